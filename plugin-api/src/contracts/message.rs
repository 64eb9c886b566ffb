//! A message of a conversation, as transcripts keep it, clients are shown it, and backends are given it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Values of [`Message::role`]. Texts, not a closed set: who meets another one passes the message on as it is.
pub mod role {
    /// A person, or what speaks in a person's place.
    pub const USER: &str = "user";
    /// The agent.
    pub const ASSISTANT: &str = "assistant";
    /// What a tool answered; `toolCallId` says to which call.
    pub const TOOL_RESULT: &str = "toolResult";
    /// A remark of the gateway's, which models are not shown.
    pub const SYSTEM: &str = "system";
}

/// One message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its id in the transcript; who appends a message twice with one id appends it once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Who speaks; see [`role`].
    pub role: String,
    /// What is said, in order.
    #[serde(default)]
    pub content: Vec<Part>,
    /// When, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// Of a tool's answer: the call it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Of a tool's answer: the tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_name: Option<String>,
    /// Of a tool's answer: whether the tool failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_error: Option<bool>,
    /// Why an answer ended: `stop`, `toolUse`, `length`, `aborted`, `error`, `injected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// Why an answer failed, in a sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Tokens of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Who provided the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The run it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// An image, in the message itself.
    Image {
        /// Its kind, `image/png` and the like.
        mime_type: String,
        /// Its bytes in base64.
        data: String,
    },
    /// What a model thought before it answered.
    Thinking {
        /// The thought.
        thinking: String,
        /// What its provider wants to be given back with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
    /// A model asks for a tool.
    ToolCall {
        /// Names this call within the conversation.
        id: String,
        /// The tool.
        name: String,
        /// What it is given: an object.
        arguments: Value,
    },
    /// A piece of a kind that this version does not know.
    #[serde(other)]
    Other,
}

/// What an answer cost, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Read, without what came from a cache.
    pub input: u64,
    /// Written.
    pub output: u64,
    /// Read from a cache.
    pub cache_read: u64,
    /// Written to a cache.
    pub cache_write: u64,
    /// All of them.
    pub total_tokens: u64,
}

impl Usage {
    /// The most that is counted, whatever a service says: whole numbers beyond are not the same in all languages.
    pub const MOST: u64 = (1 << 53) - 1;

    /// This and another answer's.
    pub fn plus(self, other: Usage) -> Usage {
        let sum = |of: fn(&Usage) -> u64| of(&self).saturating_add(of(&other));
        Usage {
            input: sum(|usage| usage.input),
            output: sum(|usage| usage.output),
            cache_read: sum(|usage| usage.cache_read),
            cache_write: sum(|usage| usage.cache_write),
            total_tokens: sum(|usage| usage.total_tokens),
        }
        .bounded()
    }

    /// The same with no count above [`Usage::MOST`].
    pub fn bounded(self) -> Usage {
        let Usage { input, output, cache_read, cache_write, total_tokens } = self;
        let [input, output, cache_read, cache_write, total_tokens] =
            [input, output, cache_read, cache_write, total_tokens].map(|count| count.min(Usage::MOST));
        Usage { input, output, cache_read, cache_write, total_tokens }
    }
}

impl Message {
    /// A text of this role.
    pub fn text(role: &str, text: impl Into<String>) -> Self {
        Message { role: role.to_string(), content: vec![Part::Text { text: text.into() }], ..Message::default() }
    }

    /// All of its text, one piece after the other.
    pub fn plain_text(&self) -> String {
        let texts = self.content.iter().filter_map(|part| match part {
            Part::Text { text } => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }
}
