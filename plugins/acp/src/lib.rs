//! `agent.backend.acp.run`: programs that speak the Agent Client Protocol over their standard input and output, one
//! process and one session an answer.
//!
//! The protocol's own crate (agent-client-protocol 5.2) is not used: it switches on `preserve_order` of serde_json, which
//! would change the order of keys in all of this program's JSON, and brings an executor's worth of crates for the six
//! messages that are needed here. `wire` has those, `session` says what follows what.

mod files;
mod session;
mod updates;
mod wire;

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use outside::backend;
use outside::child::Program;
use plugin_api::abi::extension;
use plugin_api::contracts::backend::{BackendResult, BackendRun, code};
use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

/// `[plugins.acp.config]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AcpConfig {
    /// The program: an absolute path, or a name to look for in PATH. Without it the backend answers nothing.
    pub program: Option<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// The folder it works in, an absolute path; one in the plugin's own folder if absent.
    pub cwd: Option<String>,
    /// Names of variables of the environment that it is given, beside PATH, HOME and the like.
    pub env: Vec<String>,
    /// What it is answered when it asks whether it may do something.
    pub permissions: Permissions,
    /// Which files below its folder it may have the gateway read and write for it.
    pub files: Files,
    /// Largest file that is read or written for it, in bytes.
    #[schemars(range(min = 1))]
    pub max_file_bytes: u64,
    /// The model that answers when none is named; the program's own choice if absent.
    pub model: Option<String>,
    /// Models to be listed.
    pub models: Vec<String>,
    /// Most that it may write for one answer, in bytes.
    #[schemars(range(min = 1))]
    pub max_output_bytes: u64,
    /// Programs that run at once.
    #[schemars(range(min = 1, max = 256))]
    pub max_running: u32,
    /// Time until it has begun a session.
    #[schemars(range(min = 1))]
    pub start_timeout_ms: u64,
    /// Time that it is given to end by itself, after an answer and when one is cancelled, before it is killed.
    pub end_grace_ms: u64,
}

/// What a program is answered when it asks whether it may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Permissions {
    /// No.
    Deny,
    /// Yes, this once.
    Allow,
}

/// Which files a program may have read and written for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Files {
    /// None.
    None,
    /// Those below its folder are read.
    Read,
    /// Those below its folder are read and written.
    Write,
}

impl Default for AcpConfig {
    fn default() -> Self {
        AcpConfig {
            program: None,
            args: Vec::new(),
            cwd: None,
            env: Vec::new(),
            permissions: Permissions::Deny,
            files: Files::None,
            max_file_bytes: 1024 * 1024,
            model: None,
            models: Vec::new(),
            max_output_bytes: 16 * 1024 * 1024,
            max_running: 4,
            start_timeout_ms: 60_000,
            end_grace_ms: 2_000,
        }
    }
}

/// The plugin.
pub struct Acp {
    config: AcpConfig,
    /// What is started, if anything is configured, and where it works.
    program: Option<(Program, PathBuf)>,
    places: Arc<Semaphore>,
}

static METHODS: LazyLock<Methods<Acp>> = LazyLock::new(|| {
    Methods::new()
        .add(
            Method::internal("agent.backend.acp.run")
                .summary("Has a program that speaks the Agent Client Protocol answer a conversation.")
                .effects()
                .interim()
                .timeout_ms(0),
            Acp::run,
        )
        .add(Method::internal("agent.backend.acp.models").summary("Models as configured."), Acp::list)
});

impl Plugin for Acp {
    fn manifest() -> Manifest {
        Manifest::new("acp", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Agent backend: programs that speak the Agent Client Protocol.")
            .requires(&[extension::EXEC])
            .config::<AcpConfig>()
            .methods(&METHODS)
    }

    fn create(_: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: AcpConfig = setup.config()?;
        let program = match &config.program {
            None => None,
            Some(program) if program.is_empty() || (program.contains('/') && !Path::new(program).is_absolute()) => {
                return Err(CreateError::new("program: an absolute path, or a name without slashes, is needed"));
            }
            Some(program) => {
                let folder = match &config.cwd {
                    Some(folder) if Path::new(folder).is_absolute() => PathBuf::from(folder),
                    Some(_) => return Err(CreateError::new("cwd: an absolute path is needed")),
                    None => setup.data_dir()?.to_path_buf(),
                };
                let (args, env) = (config.args.clone(), config.env.clone());
                Some((Program { program: program.into(), args, cwd: Some(folder.clone()), env }, folder))
            }
        };
        Ok(Acp { places: Arc::new(Semaphore::new(config.max_running as usize)), program, config })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Acp, runtime = tokio);

impl Acp {
    async fn run(self: Arc<Self>, call: Call, run: BackendRun) -> Result<BackendResult, MethodError> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let message = "acp: as many programs run as max_running allows".to_string();
            return Err(backend::error(code::OVERLOADED, Some(Duration::from_secs(1)), message));
        };
        let Some((program, folder)) = &self.program else {
            let message = "acp: no program is configured; see [plugins.acp.config]".to_string();
            return Err(backend::error(code::UNKNOWN_MODEL, None, message));
        };
        session::answer(&self.config, program, folder, place, &call, &run).await
    }

    async fn list(self: Arc<Self>, _: Call, _: NoParams) -> Result<ModelsResult, MethodError> {
        let names = self.config.model.iter().chain(&self.config.models).filter(|_| self.program.is_some());
        let mut models: Vec<Model> = Vec::new();
        for name in names {
            if !models.iter().any(|known| known.id == *name) {
                models.push(Model { id: name.clone(), name: name.clone(), provider: "acp".to_string() });
            }
        }
        Ok(ModelsResult { models })
    }
}

/// Result of `agent.backend.acp.models`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ModelsResult {
    models: Vec<Model>,
}

/// A model, as `models.list` takes it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Model {
    id: String,
    name: String,
    provider: String,
}

#[cfg(test)]
mod tests;
