//! Configuration: one file, a few variables and flags, checked as a whole before anything starts. What is wrong is
//! reported all at once, with the place and what would have been right; what is unknown is wrong.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

mod duration;
mod file;
mod issue;
mod keys;
mod limits;
mod methods;
mod moment;
mod named_tokens;
mod network;
mod plugin_host;
mod plugins;
mod schema;
mod secrets;
mod settings;
mod sources;
pub mod suggest;

pub use issue::{ConfigError, Issue};
pub use limits::Limits;
pub use methods::{MethodRules, Rule};
pub use network::{Bind, IpRange};
pub use plugin_host::PluginHostSettings;
pub use plugins::{Grants, Isolation, PluginSettings};
pub(crate) use secrets::{Place, last_word, names_pairs, sounds_secret, tells};
pub use settings::{
    AuthMode, AuthSettings, ControlUiSettings, Gateway, LogFormat, LogSettings, MetricsSettings, SessionSettings,
    TlsSettings,
};
pub use sources::Overrides;

use crate::secret::Secret;
use crate::state;

/// What stands in place of a secret wherever a configuration is shown.
pub const REDACTED: &str = "__OPENCLAW_REDACTED__";

/// The configuration of a gateway, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from, if there was one.
    pub file: Option<ConfigFile>,
    /// `[gateway]`
    pub gateway: Gateway,
    /// `[plugins.<id>]`; a plugin without a table is not in here and has the defaults.
    pub plugins: BTreeMap<String, PluginSettings>,
    /// What is allowed but worth a line in the log at the start.
    pub warnings: Vec<String>,
    shown: Value,
}

/// The file as it was read.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its text, which may hold secrets.
    pub text: Secret,
    /// SHA-256 of the text in lower-case hex.
    pub sha256: String,
    /// Whether a flag or a variable named it, so that no other one is meant.
    pub is_named: bool,
}

impl Config {
    /// Reads the configuration: flags before `CLAWHOST_…`, `OPENCLAW_…`, `CLAWDBOT_…`, the file and the defaults.
    ///
    /// The file is the one that `--config` or `…_CONFIG_PATH` names, which must exist, else `./config.toml`, else
    /// `config.toml` in the state folder, else none. Listening beyond this machine is refused without a shared secret;
    /// the token that an earlier start left in the state folder is one.
    pub fn load(overrides: Overrides, env: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let found = sources::find_file(&overrides, &env)?;
        let path = found.as_ref().map(|found| found.path.clone());
        let mut contents = file::read(found.as_ref().map_or("", |found| &found.text));
        sources::overlay(&mut contents.values, &overrides, &env, &mut contents.issues);
        let (gateway, further) = settings::assemble(&contents.values, path.as_deref(), &env, true);
        let mut issues = contents.issues;
        issues.extend(further);
        if let Some(wrong) = lacks_secret(&gateway) {
            issues.push(settings::about(&contents.values, "gateway.bind", wrong));
        }
        if !issues.is_empty() {
            return Err(ConfigError { file: path, issues });
        }
        for path in contents.plugins.values_mut().filter_map(|plugin| plugin.path.as_mut()) {
            *path = sources::expand_home(&path.to_string_lossy(), &env);
        }
        let file = found.map(|found| ConfigFile {
            sha256: hex(&Sha256::digest(found.text.as_bytes())),
            text: Secret::new(found.text),
            path: found.path,
            is_named: found.is_named,
        });
        Ok(Config::new(file, gateway, contents.plugins, &contents.values))
    }

    fn new(
        file: Option<ConfigFile>,
        gateway: Gateway,
        plugins: BTreeMap<String, PluginSettings>,
        values: &file::Values,
    ) -> Config {
        let shown_plugins: Map<_, _> = plugins.iter().map(|(id, plugin)| (id.clone(), plugin.redacted())).collect();
        let shown = json!({"gateway": settings::redacted(values, &gateway), "plugins": shown_plugins});
        Config { warnings: warnings(&gateway), file, gateway, plugins, shown }
    }

    /// The file that a gateway follows: the one it came from, else where one would be read from as soon as it is there.
    pub fn followed(&self) -> PathBuf {
        let file = self.file.as_ref().map(|file| file.path.clone());
        file.unwrap_or_else(|| self.gateway.state_dir.join("config.toml"))
    }

    /// Refuses tables of plugins that do not exist: `known` are linked in, the others need a file and a name of the form
    /// that plugins have.
    pub fn check_plugin_ids(&self, known: &[&str]) -> Result<(), ConfigError> {
        let wrong = |id: &str, settings: &PluginSettings| match &settings.path {
            _ if known.contains(&id) => None,
            None => Some(format!("no such plugin{}", suggest::hint(id, known.iter().copied()))),
            Some(_) => plugin_api::form::check_id(id).err(),
        };
        let issue = |(id, settings): (&String, &PluginSettings)| {
            wrong(id, settings).map(|wrong| Issue {
                path: format!("plugins.{id}"),
                message: format!("[plugins.{id}]: {wrong}"),
                line: settings.line,
            })
        };
        let issues: Vec<_> = self.plugins.iter().filter_map(issue).collect();
        let file = self.file.as_ref().map(|file| file.path.clone());
        if issues.is_empty() { Ok(()) } else { Err(ConfigError { file, issues }) }
    }

    /// The settings of a plugin, its own or the defaults.
    pub fn plugin(&self, id: &str) -> PluginSettings {
        self.plugins.get(id).cloned().unwrap_or_default()
    }

    /// The library of a plugin, if its settings name one: a relative path is seen from the folder of the configuration
    /// file (without one, from where the program runs), and if nothing is there, from `gateway.plugins.directory`.
    pub fn plugin_file(&self, settings: &PluginSettings) -> Option<PathBuf> {
        let named = settings.path.as_ref()?;
        let beside = sources::beside(self.file.as_ref().map(|file| file.path.as_path()), named.clone());
        let beside = std::path::absolute(&beside).unwrap_or(beside);
        let kept = self.gateway.plugins.directory.join(named);
        let is_there = |path: &PathBuf| path.symlink_metadata().is_ok();
        Some(if !is_there(&beside) && is_there(&kept) { kept } else { beside })
    }

    /// Keys of `[gateway]` that differ from those before and hold after a restart only; secrets among them, without their
    /// values.
    pub fn needs_restart(&self, before: &Config) -> Vec<String> {
        let mut keys = Vec::new();
        differences("gateway", &before.shown["gateway"], &self.shown["gateway"], &mut keys);
        keys.retain(|key| !key.starts_with("gateway.methods") && !key.starts_with("gateway.plugins"));
        for key in self.other_secrets(before) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// Keys whose secret is another one than before. They are all shown alike, and of a file only its name. One that the
    /// configuration does not hold is the state folder's, which is not among them.
    fn other_secrets(&self, before: &Config) -> Vec<String> {
        let (old, new) = (&before.gateway.auth, &self.gateway.auth);
        let is_other = |old: &Secret, new: &Secret| !old.matches(new.expose());
        let mut keys = Vec::new();
        for (name, old, new) in [("token", &old.token, &new.token), ("password", &old.password, &new.password)] {
            if old.as_ref().zip(new.as_ref()).is_some_and(|(old, new)| is_other(old, new)) {
                let is_direct = self.shown["gateway"]["auth"].get(name).is_some();
                keys.push(format!("gateway.auth.{name}{}", if is_direct { "" } else { "_file" }));
            }
        }
        if old.named.iter().zip(&new.named).any(|(old, new)| is_other(&old.secret, &new.secret)) {
            keys.push(named_tokens::PATH.to_string());
        }
        keys
    }

    /// The addresses to listen on. The first must be bound; the others may fail.
    pub fn listen_addresses(&self) -> Vec<SocketAddr> {
        self.gateway.bind.addresses(self.gateway.port)
    }

    /// The effective configuration for people: defaults applied, secrets replaced by [`REDACTED`].
    pub fn redacted(&self) -> Value {
        self.shown.clone()
    }

    /// The shape of the file as JSON Schema.
    pub fn json_schema() -> Value {
        schema::json_schema()
    }

    /// What is wrong with the text of a file, without looking at anything else on this machine.
    pub fn validate_text(text: &str) -> Vec<Issue> {
        let contents = file::read(text);
        let (_, further) = settings::assemble(&contents.values, None, &|_| None, false);
        contents.issues.into_iter().chain(further).collect()
    }
}

impl Default for Config {
    /// The configuration of a gateway that was told nothing.
    fn default() -> Self {
        let values = file::Values::default();
        let (gateway, _) = settings::assemble(&values, None, &|name| std::env::var(name).ok(), false);
        Config::new(None, gateway, BTreeMap::new(), &values)
    }
}

/// Paths of the values that differ.
fn differences(path: &str, before: &Value, after: &Value, keys: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                let (before, after) = (before.get(name), after.get(name));
                differences(
                    &format!("{path}.{name}"),
                    before.unwrap_or(&Value::Null),
                    after.unwrap_or(&Value::Null),
                    keys,
                );
            }
        }
        _ if before != after => keys.push(path.to_string()),
        _ => {}
    }
}

/// Why a gateway that other machines might reach must not start.
fn lacks_secret(gateway: &Gateway) -> Option<&'static str> {
    let secret = match gateway.auth.mode {
        AuthMode::Token => gateway.auth.token.is_some() || state::has_shared_token(&gateway.state_dir),
        AuthMode::Password => gateway.auth.password.is_some(),
    };
    (gateway.bind.is_exposed() && !secret).then_some(
        "listening beyond this machine needs a shared secret; set CLAWHOST_GATEWAY_TOKEN or gateway.auth.token_file, or \
         start once with bind = \"loopback\", which makes a token",
    )
}

fn warnings(gateway: &Gateway) -> Vec<String> {
    let mut warnings = Vec::new();
    if gateway.control_ui.dangerously_disable_device_auth {
        warnings.push(
            "gateway.control_ui.dangerously_disable_device_auth is on: the shared secret alone makes an operator",
        );
    }
    if gateway.control_ui.allow_insecure_auth {
        warnings.push("gateway.control_ui.allow_insecure_auth is on: the Control UI needs no device identity");
    }
    if gateway.allowed_origins.iter().any(|origin| origin == "*") {
        warnings.push("gateway.allowed_origins holds \"*\": every web page may try to connect");
    }
    if gateway.plugins.allow_unpinned {
        warnings.push("gateway.plugins.allow_unpinned is on: libraries of plugins are loaded whatever they hold");
    }
    if gateway.allowed_hosts.iter().any(|host| host == "*") {
        warnings.push("gateway.allowed_hosts holds \"*\": pages can reach the gateway under names of their own");
    }
    warnings.into_iter().map(str::to_string).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
