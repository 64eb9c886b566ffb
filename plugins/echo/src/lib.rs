//! Agent backend `echo`: says what it is told, word by word. It needs no key and no network, so a fresh gateway answers, and
//! everything around a model can be tried without one.
//!
//! **Trying a tool.** When the text is `/tool <name> <json>` and a tool of that name is offered, it asks for that tool with
//! that JSON, as a model would, and says as its answer what came of it. Nothing else is understood.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use plugin_api::abi::extension;
use plugin_api::contracts::backend::{BackendResult, BackendRun, Piece, code};
use plugin_api::contracts::{Message, Part, Usage, role};
use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What this backend is called, as a provider and as a model.
const NAME: &str = "echo";
/// What asks for a tool.
const TOOL: &str = "/tool ";

/// `[plugins.echo.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EchoConfig {
    /// Milliseconds between two words; 0 says all of them without a pause.
    #[schemars(range(max = 10_000))]
    pub word_ms: u64,
}

impl Default for EchoConfig {
    fn default() -> Self {
        EchoConfig { word_ms: 15 }
    }
}

/// The plugin.
pub struct Echo {
    host: Host,
    config: EchoConfig,
}

static METHODS: LazyLock<Methods<Echo>> = LazyLock::new(|| {
    Methods::new()
        .add(
            Method::internal("agent.backend.echo.run")
                .summary("Answers a conversation with its last text.")
                .interim()
                .timeout_ms(0),
            Echo::run,
        )
        .add(Method::internal("agent.backend.echo.models").summary("The one model there is."), Echo::models)
});

impl Plugin for Echo {
    fn manifest() -> Manifest {
        Manifest::new(NAME, env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Agent backend: says what it is told.")
            .requires(&[extension::EXEC])
            .config::<EchoConfig>()
            .methods(&METHODS)
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        Ok(Echo { host, config: setup.config()? })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Echo);

/// Result of `agent.backend.echo.models`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Models {
    /// The models.
    pub models: Vec<Model>,
}

/// A model.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Model {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Who provides it.
    pub provider: String,
}

impl Echo {
    async fn run(self: Arc<Self>, call: Call, run: BackendRun) -> Result<BackendResult, MethodError> {
        if let Some(model) = run.model.as_deref().filter(|model| *model != NAME) {
            let message = format!("the backend echo has no model \"{model}\"; its only one is echo/echo");
            return Err(MethodError::invalid_request(message).with_details(json!({ "code": code::UNKNOWN_MODEL })));
        }
        let Some(last) = run.messages.iter().rev().find(|message| message.role != role::SYSTEM) else {
            return Err(MethodError::invalid_request("there is nothing to answer"));
        };
        self.piece(&call, &Piece::Model { provider: NAME.into(), model: NAME.into() });
        let text = last.plain_text();
        let read = words(&text).count() as u64;
        if let Some(tool) = asked_tool(&run, last, &text) {
            return Ok(result(vec![tool], "toolUse", read, 1));
        }
        for (place, word) in words(&text).enumerate() {
            if place > 0 && self.config.word_ms > 0 {
                self.host.sleep(Duration::from_millis(self.config.word_ms)).await;
            }
            self.piece(&call, &Piece::Text { delta: word.to_string() });
        }
        Ok(result(vec![Part::Text { text }], "stop", read, read))
    }

    async fn models(self: Arc<Self>, _: Call, _: NoParams) -> Result<Models, MethodError> {
        Ok(Models { models: vec![Model { id: NAME.into(), name: "Echo".into(), provider: NAME.into() }] })
    }

    fn piece(&self, call: &Call, piece: &Piece) {
        // The result has everything, so a piece that nobody takes any more is no loss.
        let _ = call.interim(piece);
    }
}

/// The call of a tool that a person asked for in so many words.
fn asked_tool(run: &BackendRun, last: &Message, text: &str) -> Option<Part> {
    let rest = text.trim().strip_prefix(TOOL).filter(|_| last.role == role::USER)?.trim();
    let (name, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, "{}"));
    let arguments: Value = serde_json::from_str(arguments.trim()).ok().filter(Value::is_object)?;
    run.tools.iter().find(|tool| tool.name == name)?;
    // The conversation grows with every call, so no two calls of one conversation have the same name.
    let id = format!("echo-{}-{}", run.run_id, run.messages.len());
    Some(Part::ToolCall { id, name: name.to_string(), arguments })
}

fn result(content: Vec<Part>, stop_reason: &str, input: u64, output: u64) -> BackendResult {
    let usage = Usage { input, output, total_tokens: input + output, ..Usage::default() };
    let message = Message {
        role: role::ASSISTANT.to_string(),
        content,
        stop_reason: Some(stop_reason.to_string()),
        provider: Some(NAME.to_string()),
        model: Some(NAME.to_string()),
        ..Message::default()
    };
    BackendResult { message, usage }
}

/// The words of a text, each with the space behind it: together they are the text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let word = rest.find(|letter: char| !letter.is_whitespace())?;
        let end = rest[word..].find(char::is_whitespace).map_or(rest.len(), |at| word + at);
        let next = rest[end..].find(|letter: char| !letter.is_whitespace()).map_or(rest.len(), |at| end + at);
        let piece;
        (piece, rest) = rest.split_at(next);
        Some(piece)
    })
}

#[cfg(test)]
mod tests;
