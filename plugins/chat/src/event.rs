//! The event `chat`, in the form that both protocols take: the whole text so far for those who replace it, and what was
//! added for those who append.

use plugin_api::contracts::backend::code;
use plugin_api::contracts::{Message, role};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// Payload of `chat`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatEvent {
    /// The run.
    pub run_id: String,
    /// The session, as whoever started the run spelled it.
    pub session_key: String,
    /// The agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Grows within the run, with holes.
    pub seq: u64,
    /// `delta`, `final`, `aborted` or `error`.
    pub state: State,
    /// The whole answer so far, or in the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// Of a `delta`: what was added since the one before; with `replace`, all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta_text: Option<String>,
    /// Of a `delta`: the answer began anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace: Option<bool>,
    /// Why it failed, in a sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Of an `error`: `refusal`, `timeout`, `rate_limit`, `context_length` or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<String>,
    /// What it cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Value>,
    /// Why it ended; of an `aborted` one `rpc`, `stop` or `timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
}

/// What became of the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It grows.
    Delta,
    /// It is there.
    #[default]
    Final,
    /// It was stopped.
    Aborted,
    /// It failed.
    Error,
}

impl ChatEvent {
    /// Whether more of the run follows.
    pub fn is_delta(&self) -> bool {
        self.state == State::Delta
    }
}

/// What an agent says, as `chat` shows it.
pub fn said(text: &str) -> Message {
    Message { timestamp: Some(schemas::now_ms()), ..Message::text(role::ASSISTANT, text) }
}

/// The kind of an error by its code.
pub fn error_kind(error_code: Option<&str>) -> &'static str {
    match error_code {
        Some(code::REFUSED) => "refusal",
        Some(code::RATE_LIMIT) => "rate_limit",
        Some(code::CONTEXT_LENGTH) => "context_length",
        Some("AGENT_TIMEOUT") => "timeout",
        _ => "unknown",
    }
}
