//! `config.get` and `config.schema`: what is configured, and what could be.
//!
//! Reading needs no more than `operator.read`, for both protocol versions, because secrets never come this far: the host
//! replaces them before a plugin sees the document. Writing (`config.set`, `config.apply`, `config.patch`) is absent.

mod hints;
mod time;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use plugin_api::abi::extension;
use plugin_api::catalogue::{
    ConfigDocument, ConfigIssue, ConfigRead, ConfigSchema, ConfigText, ConfigVerdict, GatewayInfo,
};
use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup};
use schemars::JsonSchema;
use schemas::scope;
use serde::Serialize;
use serde_json::Value;

use hints::Hint;

/// Where the configuration would be, if there were a file.
const FILE_NAME: &str = "config.toml";

/// The plugin.
pub struct Config;

static METHODS: LazyLock<Methods<Config>> = LazyLock::new(|| {
    Methods::new()
        .add(
            Method::operator("config.get", &[scope::READ]).summary("The configuration, secrets replaced.").description(
                "`raw` and `parsed` are the file's, `config` is what is in force with defaults applied. `hash` is that \
                 of the file as it is on disk.",
            ),
            Config::read,
        )
        .add(
            Method::operator("config.schema", &[scope::READ])
                .summary("JSON Schema of the configuration, with hints for forms."),
            Config::schema,
        )
});

impl Plugin for Config {
    fn manifest() -> Manifest {
        Manifest::new("config", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Shows the configuration and its schema.")
            .requires(&[extension::EXEC, extension::INVOKE, extension::CALLER])
            .invokes(&["host.config.read", "host.config.schema", "host.config.validate", "host.gateway.info"])
            .methods(&METHODS)
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Config)
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Config);

impl Config {
    async fn read(self: Arc<Self>, call: Call, _: NoParams) -> Result<ConfigResult, MethodError> {
        let document: ConfigDocument = call.invoke("host.config.read", &ConfigRead {}).with_own_grants().send().await?;
        let verdict = match &document.raw {
            Some(raw) => {
                let text = ConfigText { raw: raw.clone() };
                call.invoke("host.config.validate", &text).with_own_grants().send().await?
            }
            // Nothing was said, so nothing is wrong.
            None => ConfigVerdict { valid: true, issues: Vec::new() },
        };
        Ok(ConfigResult {
            path: shown_path(document.path, call.is_admin()),
            exists: document.exists,
            raw: document.raw,
            parsed: document.parsed,
            valid: verdict.valid,
            config: document.config,
            hash: document.hash,
            issues: verdict.issues,
            warnings: Vec::new(),
            legacy_issues: Vec::new(),
        })
    }

    async fn schema(self: Arc<Self>, call: Call, _: NoParams) -> Result<SchemaResult, MethodError> {
        let info: GatewayInfo = call.invoke("host.gateway.info", &NoParams {}).with_own_grants().send().await?;
        let ConfigSchema { schema } = call.invoke("host.config.schema", &NoParams {}).with_own_grants().send().await?;
        Ok(SchemaResult {
            ui_hints: hints::hints(&schema),
            schema,
            version: info.version,
            // The schema follows from the program, so it is as old as the process and the same at each look.
            generated_at: time::iso(info.started_at_ms),
        })
    }
}

/// Result of `config.get`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigResult {
    /// The file: its path for admins, its name for others.
    pub path: String,
    /// Whether it exists.
    pub exists: bool,
    /// Its text, secrets replaced; `null` without a file.
    pub raw: Option<String>,
    /// What it says, secrets replaced.
    pub parsed: Value,
    /// Whether the gateway would start with it.
    pub valid: bool,
    /// What is in force, defaults applied, secrets replaced.
    pub config: Value,
    /// SHA-256 of the file in hex.
    pub hash: String,
    /// What is wrong with it.
    pub issues: Vec<ConfigIssue>,
    /// Always empty; clients expect the list.
    pub warnings: Vec<ConfigIssue>,
    /// Always empty; clients expect the list.
    pub legacy_issues: Vec<ConfigIssue>,
}

/// Result of `config.schema`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaResult {
    /// JSON Schema of `config.toml`.
    pub schema: Value,
    /// How a form may show each key, by its dotted path; `*` stands for any name, `[]` for an item.
    pub ui_hints: BTreeMap<String, Hint>,
    /// Version of the gateway.
    pub version: String,
    /// When the schema came to be, as ISO 8601.
    pub generated_at: String,
}

/// The folder of the file tells where the gateway lives, which is for admins.
fn shown_path(path: Option<String>, admin: bool) -> String {
    let Some(path) = path else { return FILE_NAME.to_string() };
    if admin {
        return path;
    }
    Path::new(&path).file_name().map_or_else(|| FILE_NAME.to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests;
