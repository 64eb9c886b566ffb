//! An agent backend: what turns a conversation into the next answer. A plugin becomes one by declaring the internal method
//! `agent.backend.<id>.run` with interim replies. It is given a [`BackendRun`], sends any number of [`Piece`]s while the
//! answer comes in, and ends with a [`BackendResult`], or with an error as [`code`] has them.
//!
//! A backend keeps nothing between two calls: the whole conversation is in each. It never calls the offered tools; it
//! says which the model asked for, and is called again with their answers. The call's own deadline is the answer's; a
//! cancelled call (its future is dropped) must stop what it began.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::message::{Message, Usage};

/// Parameters of `agent.backend.<id>.run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendRun {
    /// The run, for logs and for services that take an idempotency key.
    pub run_id: String,
    /// The session, in its canonical spelling.
    pub session_key: String,
    /// The agent.
    pub agent_id: String,
    /// The model, without the backend's id before it; the backend's own default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the agent is told before the conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The conversation, oldest first; the last message is the one to answer.
    pub messages: Vec<Message>,
    /// Tools that the model may ask for.
    #[serde(default)]
    pub tools: Vec<ToolOffer>,
    /// How much it shall think: `off`, `minimal`, `low`, `medium`, `high`, `xhigh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// Longest answer, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
}

/// A tool that a model may ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolOffer {
    /// Its name: at most 64 of `A-Z`, `a-z`, `0-9`, `_` and `-`, as every provider takes it.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of what it is given: an object.
    pub parameters: Value,
}

/// An interim reply: something new of the answer. Pieces come in order, and all of them before the result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Piece {
    /// More text.
    Text {
        /// What is new.
        delta: String,
    },
    /// More of what the model thinks.
    Thinking {
        /// What is new.
        delta: String,
    },
    /// Which model answers.
    Model {
        /// Who provides it.
        provider: String,
        /// The model.
        model: String,
    },
    /// Something that the backend does by itself, to be shown: an agent that runs tools of its own.
    Tool {
        /// `start`, `update` or `result`.
        phase: String,
        /// The tool.
        name: String,
        /// Names the call within the run.
        tool_call_id: String,
        /// What it is given, with `start`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        args: Option<Value>,
        /// What came of it so far with `update`, in the end with `result`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Value>,
        /// Whether it failed, with `result`.
        #[serde(default)]
        is_error: bool,
    },
    /// A piece of a kind that this version does not know.
    #[serde(other)]
    Other,
}

/// Result of `agent.backend.<id>.run`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendResult {
    /// The answer as it goes into the transcript: text, thoughts, tool calls. Its role is `assistant`; `stopReason` is
    /// `stop`, `toolUse` (the message has tool calls), `length` or `refusal`.
    pub message: Message,
    /// What it cost.
    #[serde(default)]
    pub usage: Usage,
}

/// `details.code` of a backend's error. An error with `retryable` is tried again after `retryAfterMs`, by the same backend
/// and then by the agent's next; one without ends the run at once, but for [`code::AUTH`] and [`code::UNKNOWN_MODEL`],
/// which the agent's next model may still answer. Whatever pieces came before the error are taken back.
pub mod code {
    /// The key is missing or refused.
    pub const AUTH: &str = "AUTH";
    /// There is no such model.
    pub const UNKNOWN_MODEL: &str = "UNKNOWN_MODEL";
    /// Too many requests; `retryAfterMs` says when again.
    pub const RATE_LIMIT: &str = "RATE_LIMIT";
    /// The service is not up to it just now.
    pub const OVERLOADED: &str = "OVERLOADED";
    /// The service could not be reached.
    pub const UNREACHABLE: &str = "UNREACHABLE";
    /// The answer broke off, stalled, or was not understood.
    pub const BROKEN_STREAM: &str = "BROKEN_STREAM";
    /// The conversation is too long for the model.
    pub const CONTEXT_LENGTH: &str = "CONTEXT_LENGTH";
    /// The service refused the request.
    pub const REFUSED: &str = "REFUSED";
}
