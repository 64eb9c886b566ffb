//! Parameters and results on the wire.

use plugin_api::lenient;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Parameters of `chat.send`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Say {
    /// The session, in any spelling; events of the run carry this one.
    #[schemars(length(min = 1, max = 512))]
    pub session_key: String,
    /// What is said.
    pub message: String,
    /// Names the run, and makes it happen once.
    #[schemars(length(min = 1))]
    pub idempotency_key: String,
    /// How much the agent shall think.
    #[serde(default)]
    pub thinking: Option<String>,
    /// Whether the answer is delivered to a channel.
    #[serde(default)]
    pub deliver: Option<bool>,
    /// `{type?, mimeType?, fileName?, content}` each, the content in base64.
    #[serde(default)]
    pub attachments: Option<Vec<Value>>,
    /// Milliseconds until the run is given up; 0 and absent are the agent's own.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    pub timeout_ms: Option<u64>,
}

/// Result of `chat.send`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Said {
    /// What became of the message.
    Run(RunState),
    /// It was a word that stops what runs.
    Stopped(Stopped),
}

/// A run, as `chat.send` answers it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunState {
    /// The run.
    pub run_id: String,
    /// `started`, `in_flight`, `ok`, or `error`.
    pub status: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// Parameters of `chat.abort`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Abort {
    /// The session.
    #[schemars(length(min = 1))]
    pub session_key: String,
    /// One run of it; all when absent.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub run_id: Option<String>,
}

/// Result of `chat.abort`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    /// Always.
    pub ok: bool,
    /// Whether anything was stopped.
    pub aborted: bool,
    /// What was stopped.
    pub run_ids: Vec<String>,
}

impl Stopped {
    /// These were.
    pub fn of(run_ids: Vec<String>) -> Self {
        Stopped { ok: true, aborted: !run_ids.is_empty(), run_ids }
    }
}

/// Parameters of `chat.history`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recall {
    /// The session.
    #[schemars(length(min = 1))]
    pub session_key: String,
    /// The last so many messages; 200 when absent.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u64>,
    /// Without the last so many (protocol 4).
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    pub offset: Option<u64>,
    /// Where a client was that wants only what came since (protocol 4).
    #[serde(default)]
    pub cursor: Option<Value>,
    /// Largest list of messages, in bytes (protocol 4).
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    pub max_bytes: Option<u64>,
}

/// Result of `chat.history`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Recalled {
    /// Messages.
    Page(Box<Page>),
    /// Nothing is kept of where clients were: they begin anew.
    Reset {
        /// Always `reset`.
        kind: String,
    },
}

/// Messages of a session.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// The session, as it was asked for.
    pub session_key: String,
    /// Its present conversation; absent when there is no such session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Messages, oldest first.
    pub messages: Vec<Value>,
    /// How much the agent thinks, where the session says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_level: Option<String>,
    /// Whether there are older ones.
    pub has_more: bool,
    /// How many there are.
    pub total_messages: u64,
}

/// Result of `chat.startup`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Startup {
    /// The conversation.
    #[serde(flatten)]
    pub page: Page,
    /// What waits to be said: nothing, since what is said is a run at once.
    pub pending_inputs: PendingInputs,
    /// Models of sessions that name none.
    pub defaults: Value,
    /// The session's row, as `sessions.list` has it.
    pub session_info: Value,
}

/// Inputs that wait.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct PendingInputs {
    /// None.
    pub items: Vec<Value>,
    /// 0.
    pub total: u64,
}

/// Result of `chat.metadata`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Metadata {
    /// Models, as `models.list` has them.
    pub models: Vec<Value>,
    /// None.
    pub commands: Vec<Value>,
}

/// Result of `commands.list`.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Commands {
    /// None.
    pub commands: Vec<Value>,
}

/// Result of `question.list`.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Questions {
    /// None.
    pub questions: Vec<Value>,
}

/// Parameters of `chat.inject`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inject {
    /// The session.
    #[schemars(length(min = 1))]
    pub session_key: String,
    /// What is said in the agent's name.
    #[schemars(length(min = 1))]
    pub message: String,
    /// Shown before it, in brackets.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub label: Option<String>,
}

/// Result of `chat.inject`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Injected {
    /// Always.
    pub ok: bool,
    /// The message.
    pub message_id: String,
}

/// Event `agent`, as far as it is looked at.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentEvent {
    pub run_id: String,
    #[serde(default)]
    pub seq: u64,
    pub stream: String,
    #[serde(default)]
    pub session_key: Option<String>,
    #[serde(default)]
    pub agent_id: Option<String>,
    /// A run that clients are spared says so with each of its events.
    #[serde(default)]
    pub is_heartbeat: bool,
    #[serde(default)]
    pub data: Map<String, Value>,
}

impl AgentEvent {
    /// A text of its data.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.data.get(name)?.as_str()
    }

    /// Whether its data says so.
    pub fn says(&self, name: &str) -> bool {
        self.data.get(name) == Some(&Value::Bool(true))
    }
}
