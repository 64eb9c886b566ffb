//! What was said: `chat.history`, and what pages ask beside it when they open.

use std::sync::Arc;

use plugin_api::contracts::session::ReadTranscript;
use plugin_api::{AnyParams, Call, MethodError};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Chat;
use crate::envelope::stripped;
use crate::params::{Commands, Metadata, Page, PendingInputs, Questions, Recall, Recalled, Startup};
use crate::send::own;

/// Messages when nobody says how many.
const DEFAULT_LIMIT: u64 = 200;
/// Largest list of messages, in bytes.
const MAX_BYTES: u64 = 6_291_456;

/// Answer of `session.store.transcript`, its messages as they are: also those of a kind that is not known here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    #[serde(default)]
    session_id: Option<String>,
    messages: Vec<Value>,
    #[serde(default)]
    total: u64,
    #[serde(default)]
    has_more: bool,
    #[serde(default)]
    entry: Map<String, Value>,
}

impl Chat {
    pub(crate) async fn history(self: Arc<Self>, call: Call, recall: Recall) -> Result<Recalled, MethodError> {
        if recall.cursor.as_ref().is_some_and(|cursor| !cursor.is_null()) {
            return Ok(Recalled::Reset { kind: "reset".to_string() });
        }
        Ok(Recalled::Page(Box::new(page(&call, &recall).await?.0)))
    }

    pub(crate) async fn startup(self: Arc<Self>, call: Call, recall: Recall) -> Result<Startup, MethodError> {
        let (page, entry) = page(&call, &recall).await?;
        let key = &page.session_key;
        let described = asked(&call, "sessions.describe", json!({ "key": key })).await;
        let listed = asked(&call, "sessions.list", json!({ "limit": 1 })).await;
        let session_info = described.get("session").filter(|row| row.is_object()).cloned();
        let session_info = session_info.unwrap_or_else(|| {
            json!({ "key": key, "kind": "direct", "updatedAt": entry.get("updatedAt"), "sessionId": page.session_id })
        });
        let defaults = listed.get("defaults").filter(|defaults| defaults.is_object()).cloned();
        let defaults =
            defaults.unwrap_or_else(|| json!({ "modelProvider": null, "model": null, "contextTokens": null }));
        Ok(Startup { page, pending_inputs: PendingInputs::default(), defaults, session_info })
    }

    pub(crate) async fn metadata(self: Arc<Self>, call: Call, _: AnyParams) -> Result<Metadata, MethodError> {
        let mut listed = asked(&call, "models.list", json!({})).await;
        let models = match listed.get_mut("models").map(Value::take) {
            Some(Value::Array(models)) => models,
            _ => Vec::new(),
        };
        Ok(Metadata { models, commands: Vec::new() })
    }

    pub(crate) async fn commands(self: Arc<Self>, _: Call, _: AnyParams) -> Result<Commands, MethodError> {
        Ok(Commands::default())
    }

    pub(crate) async fn questions(self: Arc<Self>, _: Call, _: AnyParams) -> Result<Questions, MethodError> {
        Ok(Questions::default())
    }
}

/// The end of a conversation, and its session's entry.
async fn page(call: &Call, recall: &Recall) -> Result<(Page, Map<String, Value>), MethodError> {
    let read = ReadTranscript {
        key: recall.session_key.clone(),
        session_id: None,
        limit: Some(recall.limit.unwrap_or(DEFAULT_LIMIT)),
        offset: recall.offset.unwrap_or(0),
        max_bytes: Some(recall.max_bytes.map_or(MAX_BYTES, |bytes| bytes.min(MAX_BYTES))),
    };
    let stored: Stored = own(call, "session.store.transcript", &read).await?;
    let thinking_level = stored.entry.get("thinkingLevel").and_then(Value::as_str).map(str::to_string);
    let page = Page {
        session_key: recall.session_key.clone(),
        session_id: stored.session_id,
        messages: stored.messages.into_iter().map(stripped).collect(),
        thinking_level,
        has_more: stored.has_more,
        total_messages: stored.total,
    };
    Ok((page, stored.entry))
}

/// What another method answers to the caller; nothing when it does not. A page opens without it too.
async fn asked(call: &Call, method: &str, params: Value) -> Value {
    call.invoke(method, &params).send().await.unwrap_or_default()
}
