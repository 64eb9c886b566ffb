//! `logs.tail`: the end of the gateway's own log file, or what was added since the last look.
//!
//! Clients follow the log by asking again with the cursor of the last answer. The file is read where it may block and
//! never more of it than the caller's `maxBytes`, however large it has grown.

mod tail;

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use plugin_api::abi::extension;
use plugin_api::catalogue::GatewayInfo;
use plugin_api::{
    Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup, lenient,
};
use schemars::JsonSchema;
use schemas::scope;
use serde::{Deserialize, Serialize};

use tail::Tail;

/// Lines given when the caller does not say.
const DEFAULT_LIMIT: u64 = 500;
/// Bytes read when the caller does not say.
const DEFAULT_MAX_BYTES: u64 = 250_000;
/// Bytes read at most. The schema says so too; memory is not left to it alone.
const MOST_BYTES: u64 = 1_000_000;

/// The plugin.
pub struct Logs;

static METHODS: LazyLock<Methods<Logs>> = LazyLock::new(|| {
    Methods::new().add(
        Method::operator("logs.tail", &[scope::READ]).summary("The end of the gateway's log.").description(
            "Without a cursor: the last `maxBytes`. With one: what was added since; `reset` says that the log was \
             rotated or ran ahead and the lines begin anew, `truncated` that lines before them were left out.",
        ),
        Logs::tail,
    )
});

impl Plugin for Logs {
    fn manifest() -> Manifest {
        Manifest::new("logs", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Shows the end of the gateway's log.")
            .requires(&[extension::EXEC, extension::INVOKE, extension::CALLER])
            .invokes(&["host.gateway.info"])
            .methods(&METHODS)
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Logs)
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Logs);

impl Logs {
    async fn tail(self: Arc<Self>, call: Call, params: TailParams) -> Result<TailResult, MethodError> {
        let info: GatewayInfo = call.invoke("host.gateway.info", &NoParams {}).with_own_grants().send().await?;
        let Some(path) = info.log_file.map(PathBuf::from) else {
            return Ok(TailResult::new(String::new(), Tail::default()));
        };
        let shown = shown_name(&path, call.is_admin());
        let max_bytes = params.max_bytes.unwrap_or(DEFAULT_MAX_BYTES).min(MOST_BYTES);
        let limit = usize::try_from(params.limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX);
        let read = call.host().blocking({
            let path = path.clone();
            move || tail::read(&path, params.cursor, limit, max_bytes)
        });
        let read = read
            .await
            .map_err(|error| MethodError::unavailable("log read failed: the gateway is busy").retryable().log(error))?;
        let tail = read.map_err(|error| {
            let why = format!("cannot read {}: {error}", path.display());
            MethodError::unavailable(format!("log read failed: {}", error.kind())).log(why)
        })?;
        Ok(TailResult::new(shown, tail))
    }
}

/// Parameters of `logs.tail`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TailParams {
    /// The cursor of the last answer.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    pub cursor: Option<u64>,
    /// How many lines at most; 500 when absent.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    #[schemars(range(min = 1, max = 5000))]
    pub limit: Option<u64>,
    /// How many bytes of the file at most; 250,000 when absent.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_bytes: Option<u64>,
}

/// Result of `logs.tail`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TailResult {
    /// The log file: its path for admins, its name for others, empty if none is written.
    pub file: String,
    /// What to pass next time.
    pub cursor: u64,
    /// Size of the file in bytes.
    pub size: u64,
    /// The lines, oldest first.
    pub lines: Vec<String>,
    /// Lines between the last look and these were left out.
    pub truncated: bool,
    /// The lines do not follow on those of the last look.
    pub reset: bool,
}

impl TailResult {
    fn new(file: String, tail: Tail) -> Self {
        let Tail { size, lines, truncated, reset } = tail;
        TailResult { file, cursor: size, size, lines, truncated, reset }
    }
}

/// The folder of the log tells where the gateway lives, which is for admins.
fn shown_name(path: &Path, admin: bool) -> String {
    let name = if admin { Some(path.as_os_str()) } else { path.file_name() };
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
