//! `agent.backend.command.run`: a command-line agent answers, one child process an answer, without a shell.
//!
//! The prompt goes to the program's standard input, or into its arguments where they have `{prompt}`; `{model}`,
//! `{session}` and `{system}` stand for what they say. The environment is a handful of variables and those that `env`
//! lists. The program and all that it started is killed when nobody waits for the answer any more, when the call's
//! deadline passes, and when it writes too much.
//!
//! With `output = "text"` what it writes is the answer. With `output = "jsonl"` each line is an object:
//!
//! | line | meaning |
//! | --- | --- |
//! | `{"type":"text","delta":"…"}` | more of the answer |
//! | `{"type":"thinking","delta":"…"}` | more of its thoughts |
//! | `{"type":"model","provider":"…","model":"…"}` | who answers |
//! | `{"type":"tool","phase":"start","name":"…","toolCallId":"…","args":…}` | it uses a tool of its own; then `update` and `result` with `result` and `isError` |
//! | `{"type":"result","text":"…","usage":{"input":1,"output":2},"stopReason":"stop"}` | the end; all fields may be left out, and then the text is what came before |
//! | `{"type":"error","message":"…","code":"RATE_LIMIT"}` | it failed; the codes are those of agent backends, the message is for the log |
//!
//! Other lines, and lines that are no objects, are passed over.

mod answer;
mod args;

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use outside::backend;
use outside::child::{Output, OutputError, Program, Running};
use plugin_api::abi::extension;
use plugin_api::contracts::backend::{BackendResult, BackendRun, Piece, code};
use plugin_api::contracts::{Message, role};
use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use answer::{Assembly, Line};
use args::Template;

/// How long a program may take to end after it has told its result.
const TO_END: Duration = Duration::from_secs(2);

/// `[plugins.command.config]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CommandConfig {
    /// The program: an absolute path, or a name to look for in PATH. Without it the backend answers nothing.
    pub program: Option<String>,
    /// Its arguments. `{prompt}`, `{model}`, `{session}` and `{system}` stand for what they say; without `{prompt}` the
    /// prompt goes to the program's standard input.
    pub args: Vec<String>,
    /// What the prompt is.
    pub conversation: Conversation,
    /// What the program writes.
    pub output: OutputKind,
    /// The model that answers when none is named.
    pub model: Option<String>,
    /// Models to be listed.
    pub models: Vec<String>,
    /// The folder it runs in, an absolute path; the gateway's own if absent.
    pub cwd: Option<String>,
    /// Names of variables of the environment that it is given, beside PATH, HOME and the like.
    pub env: Vec<String>,
    /// Most that it may write, in bytes.
    #[schemars(range(min = 1))]
    pub max_output_bytes: u64,
    /// Programs that run at once.
    #[schemars(range(min = 1, max = 256))]
    pub max_running: u32,
}

/// What a program is told of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Conversation {
    /// All of it, after what the agent is told before it.
    All,
    /// The last message only, for programs that keep their sessions themselves.
    Last,
}

/// What a program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// The answer.
    Text,
    /// An object a line.
    Jsonl,
}

impl Default for CommandConfig {
    fn default() -> Self {
        CommandConfig {
            program: None,
            args: Vec::new(),
            conversation: Conversation::All,
            output: OutputKind::Text,
            model: None,
            models: Vec::new(),
            cwd: None,
            env: Vec::new(),
            max_output_bytes: 8 * 1024 * 1024,
            max_running: 8,
        }
    }
}

/// The plugin.
pub struct Command {
    config: CommandConfig,
    args: Vec<Template>,
    places: Semaphore,
}

static METHODS: LazyLock<Methods<Command>> = LazyLock::new(|| {
    Methods::new()
        .add(
            Method::internal("agent.backend.command.run")
                .summary("Has a command-line agent answer a conversation.")
                .effects()
                .interim()
                .timeout_ms(0),
            Command::run,
        )
        .add(Method::internal("agent.backend.command.models").summary("Models as configured."), Command::list)
});

impl Plugin for Command {
    fn manifest() -> Manifest {
        Manifest::new("command", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Agent backend: a command-line agent in a child process.")
            .requires(&[extension::EXEC])
            .config::<CommandConfig>()
            .methods(&METHODS)
    }

    fn create(_: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: CommandConfig = setup.config()?;
        if let Some(program) = &config.program
            && (program.is_empty() || (program.contains('/') && !Path::new(program).is_absolute()))
        {
            return Err(CreateError::new("program: an absolute path, or a name without slashes, is needed"));
        }
        if config.cwd.as_deref().is_some_and(|folder| !Path::new(folder).is_absolute()) {
            return Err(CreateError::new("cwd: an absolute path is needed"));
        }
        let args =
            config.args.iter().enumerate().map(|(place, arg)| {
                Template::parse(arg).map_err(|why| CreateError::new(format!("args[{place}]: {why}")))
            });
        let args = args.collect::<Result<_, _>>()?;
        Ok(Command { args, places: Semaphore::new(config.max_running as usize), config })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Command, runtime = tokio);

impl Command {
    async fn run(self: Arc<Self>, call: Call, run: BackendRun) -> Result<BackendResult, MethodError> {
        let Ok(_place) = self.places.try_acquire() else {
            let message = "command: as many programs run as max_running allows".to_string();
            return Err(backend::error(code::OVERLOADED, Some(Duration::from_secs(1)), message));
        };
        let model = run.model.clone().or_else(|| self.config.model.clone());
        let (program, input) = self.program(&run, model.as_deref())?;
        let (mut running, stdin, stdout) = program.start().map_err(not_started)?;
        match input {
            Some(input) => running.feed(stdin, input.into_bytes()),
            None => drop(stdin),
        }
        let mut output = Output::new(stdout, self.config.max_output_bytes);
        let mut assembly = Assembly::new(model);
        if let Some(piece) = assembly.model_piece() {
            send(&call, &piece);
        }
        loop {
            let piece = match self.config.output {
                OutputKind::Text => match output.text().await.map_err(|error| unreadable(error, &running))? {
                    Some(text) => assembly.take(Piece::Text { delta: text }),
                    None => break,
                },
                OutputKind::Jsonl => match output.line().await.map_err(|error| unreadable(error, &running))? {
                    Some(line) => match Line::parse(&line) {
                        Line::Piece(piece) => assembly.take(piece),
                        Line::Result(result) => {
                            if let Some(piece) = assembly.end(result) {
                                send(&call, &piece);
                            }
                            break;
                        }
                        Line::Error { code, message } => {
                            let told = format!("the program told an error: {message}; {}", running.complaints());
                            return Err(failed(code, told));
                        }
                        Line::Unknown => None,
                    },
                    None => break,
                },
            };
            if let Some(piece) = piece {
                send(&call, &piece);
            }
        }
        if assembly.has_result() {
            // What it still does is its own affair, as long as it does not take long.
            let rest = async {
                while let Ok(Some(_)) = output.line().await {}
                running.ended().await
            };
            let _ = timeout(TO_END, rest).await;
            return Ok(assembly.finish());
        }
        let status = running.ended().await.map_err(|error| failed(code::BROKEN_STREAM, error.to_string()))?;
        if !status.success() {
            return Err(failed(
                code::BROKEN_STREAM,
                format!("the program ended with {status}: {}", running.complaints()),
            ));
        }
        if assembly.is_empty() {
            return Err(failed(code::BROKEN_STREAM, format!("the program said nothing: {}", running.complaints())));
        }
        Ok(assembly.finish())
    }

    /// What to start for this answer, and what to write to it.
    fn program(&self, run: &BackendRun, model: Option<&str>) -> Result<(Program, Option<String>), MethodError> {
        let Some(program) = &self.config.program else {
            let message = "command: no program is configured; see [plugins.command.config]".to_string();
            return Err(backend::error(code::UNKNOWN_MODEL, None, message));
        };
        let has = |name: &str| self.args.iter().any(|arg| arg.has(name));
        let prompt = match self.config.conversation {
            Conversation::All => backend::as_text(run.system.as_deref().filter(|_| !has("system")), &run.messages),
            Conversation::Last => {
                let last: Option<&Message> = run.messages.iter().rev().find(|message| message.role == role::USER);
                backend::as_text(None, last.map(std::slice::from_ref).unwrap_or_default())
            }
        };
        if has("model") && model.is_none() {
            let message = "command: no model is named, and its configuration has none".to_string();
            return Err(backend::error(code::UNKNOWN_MODEL, None, message));
        }
        let known = [
            ("prompt", prompt.as_str()),
            ("model", model.unwrap_or_default()),
            ("session", run.session_key.as_str()),
            ("system", run.system.as_deref().unwrap_or_default()),
        ];
        let args = args::fill(&self.args, &known)
            .map_err(|why| MethodError::invalid_request(format!("command: {why}")).with_details(refused()))?;
        let cwd = self.config.cwd.as_ref().map(Into::into);
        let program = Program { program: program.into(), args, cwd, env: self.config.env.clone() };
        let input = (!has("prompt")).then_some(prompt);
        Ok((program, input))
    }

    async fn list(self: Arc<Self>, _: Call, _: NoParams) -> Result<ModelsResult, MethodError> {
        let names = self.config.model.iter().chain(&self.config.models).filter(|_| self.config.program.is_some());
        let mut models: Vec<Model> = Vec::new();
        for name in names {
            if !models.iter().any(|known| known.id == *name) {
                models.push(Model { id: name.clone(), name: name.clone(), provider: "command".to_string() });
            }
        }
        Ok(ModelsResult { models })
    }
}

/// Result of `agent.backend.command.models`.
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

/// A piece that cannot be sent is part of the result all the same.
fn send(call: &Call, piece: &Piece) {
    let _ = call.interim(piece);
}

fn refused() -> serde_json::Value {
    serde_json::json!({ "code": code::REFUSED })
}

fn not_started(error: std::io::Error) -> MethodError {
    if error.kind() == std::io::ErrorKind::ArgumentListTooLong {
        let message = "command: the conversation is too long for an argument".to_string();
        return backend::error(code::CONTEXT_LENGTH, None, message).log(error);
    }
    let message = "command: the program could not be started".to_string();
    backend::error(code::UNREACHABLE, None, message).log(error)
}

fn unreadable(error: OutputError, running: &Running) -> MethodError {
    match error {
        OutputError::TooMuch(limit) => {
            // Another try would be as long.
            let message = "command: the program wrote more than max_output_bytes";
            MethodError::unavailable(message)
                .with_details(serde_json::json!({ "code": code::BROKEN_STREAM }))
                .log(format!("more than {limit} bytes: {}", running.complaints()))
        }
        OutputError::Io(error) => failed(code::BROKEN_STREAM, error.to_string()),
    }
}

fn failed(code: &str, why: String) -> MethodError {
    let what = if code == code::BROKEN_STREAM { "the program failed" } else { backend::sentence(code) };
    backend::error(code, None, format!("command: {what}")).log(backend::for_log(&why, None))
}

#[cfg(test)]
mod tests;
