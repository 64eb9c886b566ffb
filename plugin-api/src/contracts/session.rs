//! The store of sessions and transcripts, as other plugins use it. Everything here is durable when it is answered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::message::Message;

/// Parameters of `session.store.open`. Answers [`SessionOpened`]; a session that is absent and shall not be made is an
/// `INVALID_REQUEST` with `details.code` `NO_SESSION`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenSession {
    /// The session, in any spelling: `main`, `agent:ops:main`, `telegram:group:7`.
    pub key: String,
    /// The agent of a key that names none; the default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Whether it is made when it is absent.
    #[serde(default = "yes")]
    pub create: bool,
    /// Fields of its entry to set, as [`NoteSession::set`].
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub set: Map<String, Value>,
}

fn yes() -> bool {
    true
}

/// A session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionOpened {
    /// Its key, in the canonical spelling.
    pub key: String,
    /// Its agent.
    pub agent_id: String,
    /// Its present conversation; a reset begins another.
    pub session_id: String,
    /// Whether it was made just now.
    #[serde(default)]
    pub is_new: bool,
    /// Its entry: what `sessions.patch` and [`NoteSession`] set, and `updatedAt`.
    #[serde(default)]
    pub entry: Map<String, Value>,
}

/// Parameters of `session.store.append`: messages for the end of a transcript, all of them or none. Answers
/// [`Appended`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppendMessages {
    /// The session, in any spelling.
    pub key: String,
    /// The conversation they belong to, also when the session has begun another since; the present one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The messages. One whose id the conversation has already is passed over.
    pub messages: Vec<Message>,
    /// Fields of the session's entry to set with them, as [`NoteSession::set`].
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub set: Map<String, Value>,
}

/// Result of `session.store.append`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Appended {
    /// The session, in its canonical spelling.
    pub key: String,
    /// The conversation.
    pub session_id: String,
    /// Ids of the messages, in their order.
    pub ids: Vec<String>,
    /// Messages in the conversation now.
    pub total: u64,
}

/// Parameters of `session.store.transcript`. Answers [`Transcript`]; an absent session has an empty one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadTranscript {
    /// The session, in any spelling.
    pub key: String,
    /// A conversation of it; the present one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The last so many; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Without the last so many.
    #[serde(default)]
    pub offset: u64,
    /// The oldest are left out until the messages' JSON fits into so many bytes; one stays in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

/// Result of `session.store.transcript`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transcript {
    /// The session, in its canonical spelling.
    pub key: String,
    /// The conversation; absent when there is no such session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Messages, oldest first.
    pub messages: Vec<Message>,
    /// How many the conversation has.
    pub total: u64,
    /// Whether there are older ones.
    #[serde(default)]
    pub has_more: bool,
    /// The session's entry.
    #[serde(default)]
    pub entry: Map<String, Value>,
}

/// Parameters of `session.store.note`: fields of a session's entry, set without a look at who may, for plugins that keep
/// book. Answers [`SessionOpened`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NoteSession {
    /// The session, in any spelling.
    pub key: String,
    /// Fields by name, `null` to remove one: `lastChannel`, `lastTo`, `lastAccountId`, `lastThreadId`, `modelProvider`,
    /// `model`, `abortedLastRun`, `label`, `spawnedBy`, `channel`, `chatType`, `subject`, `groupChannel`, `space`,
    /// `displayName`, `origin`, and whatever else `sessions.list` shows. `addTokens` with a usage is added to `inputTokens`,
    /// `outputTokens` and `totalTokens` instead.
    pub set: Map<String, Value>,
}
