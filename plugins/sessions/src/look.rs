//! Looking at sessions: `sessions.preview`, `sessions.resolve`, `sessions.describe`, `sessions.get`.

use std::sync::Arc;

use database::rusqlite::Connection;
use plugin_api::{Call, MethodError, lenient};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::keys::{self, Key};
use crate::rows::{self, Extras};
use crate::store::sessions::{self, Filter};
use crate::store::transcripts;
use crate::{Sessions, lenient_bool, text};

/// Keys of a preview that are looked at; the rest is left out.
const MOST_KEYS: usize = 64;
/// Messages of a preview: when nobody says, and at most.
const ITEMS: (u64, u64) = (12, 50);
/// Characters of each: when nobody says, and at most.
const CHARS: (u64, u64) = (240, 2_000);

/// Parameters of `sessions.preview`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreviewParams {
    /// Sessions, in any spelling.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    keys: Vec<String>,
    /// Messages of each, 12 unless said.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991u64))]
    limit: Option<u64>,
    /// Characters of each message, 240 unless said.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    #[schemars(range(min = 20, max = 9_007_199_254_740_991u64))]
    max_chars: Option<u64>,
}

/// Result of `sessions.preview`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Previews {
    /// When it was asked, in milliseconds since the epoch.
    ts: u64,
    /// In the order in which they were asked for.
    previews: Vec<Preview>,
}

/// What was said last in a session.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Preview {
    /// The session, as it was asked for.
    key: String,
    /// `ok`, `empty`, `missing` or `error`.
    status: &'static str,
    /// Oldest first.
    items: Vec<Item>,
}

/// A message in short.
#[derive(Debug, Serialize, JsonSchema)]
struct Item {
    /// `user`, `assistant`, `tool`, `system` or `other`.
    role: &'static str,
    /// What it says.
    text: String,
}

/// Parameters of `sessions.resolve`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResolveParams {
    /// A session, in any spelling.
    #[serde(default)]
    #[schemars(length(min = 1))]
    key: Option<String>,
    /// Its present conversation.
    #[serde(default)]
    #[schemars(length(min = 1))]
    session_id: Option<String>,
    /// Its label.
    #[serde(default)]
    #[schemars(length(min = 1, max = 512))]
    label: Option<String>,
    /// Only sessions of this agent.
    #[serde(default)]
    #[schemars(length(min = 1))]
    agent_id: Option<String>,
    /// Only those that this session started.
    #[serde(default)]
    #[schemars(length(min = 1))]
    spawned_by: Option<String>,
    /// Whether `global` is meant too.
    #[serde(default)]
    include_global: Option<bool>,
    /// Whether `unknown` is meant too.
    #[serde(default)]
    include_unknown: Option<bool>,
}

/// Result of `sessions.resolve`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ResolvedKey {
    /// Always true.
    ok: bool,
    /// The session, in its canonical spelling.
    key: String,
}

/// Parameters of `sessions.describe`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DescribeParams {
    /// The session, in any spelling.
    #[schemars(length(min = 1))]
    key: String,
    /// The agent of a key that names none.
    #[serde(default)]
    agent_id: Option<String>,
    /// Whether the row has a `derivedTitle`.
    #[serde(default)]
    include_derived_titles: Option<bool>,
    /// Whether the row has a `lastMessagePreview`.
    #[serde(default)]
    include_last_message: Option<bool>,
}

/// Result of `sessions.describe`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Described {
    /// As `sessions.list` shows it; null when there is none.
    session: Option<Map<String, Value>>,
}

/// Parameters of `sessions.get`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetParams {
    /// The session, in any spelling.
    #[schemars(length(min = 1))]
    key: String,
    /// The agent of a key that names none.
    #[serde(default)]
    agent_id: Option<String>,
    /// The last so many messages, 200 unless said.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u64>,
}

/// Result of `sessions.get`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Got {
    /// The transcript's end, oldest first.
    #[schemars(with = "Vec<Map<String, Value>>")]
    messages: Vec<Box<RawValue>>,
}

impl Sessions {
    pub(crate) async fn preview(self: Arc<Self>, _: Call, params: PreviewParams) -> Result<Previews, MethodError> {
        let names = self.names().await?;
        let limit = params.limit.unwrap_or(ITEMS.0).min(ITEMS.1) as usize;
        let max_chars = params.max_chars.unwrap_or(CHARS.0).min(CHARS.1) as usize;
        let keys: Vec<(String, Result<Key, MethodError>)> = params
            .keys
            .into_iter()
            .take(MOST_KEYS)
            .map(|written| {
                let key = names.canonical(&written, None);
                (written, key)
            })
            .collect();
        let window = self.window(Some(limit as u64 * 4), 0, None);
        let read = self.store.read(&self.host, move |db| {
            let preview = |(key, canonical): (String, Result<Key, MethodError>)| {
                let found = canonical.and_then(|canonical| items(db, &canonical, window, limit, max_chars));
                let (status, items) = match found {
                    Ok(Some(items)) if items.is_empty() => ("empty", items),
                    Ok(Some(items)) => ("ok", items),
                    Ok(None) => ("missing", Vec::new()),
                    Err(_) => ("error", Vec::new()),
                };
                Preview { key, status, items }
            };
            Ok(keys.into_iter().map(preview).collect())
        });
        Ok(Previews { ts: schemas::now_ms(), previews: read.await? })
    }

    pub(crate) async fn resolve(self: Arc<Self>, _: Call, params: ResolveParams) -> Result<ResolvedKey, MethodError> {
        let said = |text: Option<String>| text.map(|text| text.trim().to_string()).filter(|text| !text.is_empty());
        let (key, session_id, label) = (said(params.key), said(params.session_id), said(params.label));
        let count = [&key, &session_id, &label].into_iter().flatten().count();
        if count > 1 {
            return Err(MethodError::invalid_request("Provide either key, sessionId, or label (not multiple)"));
        }
        if count == 0 {
            return Err(MethodError::invalid_request("Either key, sessionId, or label is required"));
        }
        let names = self.names().await?;
        let spawned_by = match &params.spawned_by {
            Some(key) => Some(names.canonical(key, None)?.text),
            None => None,
        };
        let canonical = match &key {
            Some(key) => Some(names.canonical(key, params.agent_id.as_deref())?),
            None => None,
        };
        let whole = params.agent_id.is_none();
        let filter = Filter {
            agent_id: params.agent_id.as_deref().map(keys::agent_id),
            spawned_by,
            session_id: session_id.clone(),
            label: label.clone(),
            global: whole && params.include_global == Some(true),
            unknown: whole && params.include_unknown == Some(true),
            ..Filter::default()
        };
        let found = self.store.read(&self.host, move |db| {
            if let Some(canonical) = canonical {
                return Ok(sessions::find(db, &canonical.text)?.into_iter().map(|session| session.key).collect());
            }
            let mut found = Vec::new();
            sessions::walk(db, &filter, |session| {
                found.push(session.key);
                found.len() < MOST_KEYS
            })?;
            Ok(found)
        });
        let mut found: Vec<String> = found.await?;
        found.sort();
        match (found.len(), label) {
            (1, _) => Ok(ResolvedKey { ok: true, key: found.remove(0) }),
            (0, Some(label)) => Err(MethodError::invalid_request(format!("No session found with label: {label}"))),
            (0, None) => {
                let asked = key.or(session_id).unwrap_or_default();
                Err(MethodError::invalid_request(format!("No session found: {asked}")))
            }
            (_, Some(label)) => {
                let keys = found.join(", ");
                Err(MethodError::invalid_request(format!("Multiple sessions found with label: {label} ({keys})")))
            }
            (_, None) => {
                let (id, keys) = (session_id.unwrap_or_default(), found.join(", "));
                Err(MethodError::invalid_request(format!("Multiple sessions found for sessionId: {id} ({keys})")))
            }
        }
    }

    pub(crate) async fn describe(self: Arc<Self>, _: Call, params: DescribeParams) -> Result<Described, MethodError> {
        let key = self.names().await?.canonical(&params.key, params.agent_id.as_deref())?.text;
        let extras = Extras {
            titles: lenient_bool(params.include_derived_titles),
            last_message: lenient_bool(params.include_last_message),
        };
        let session = self.store.read(&self.host, move |db| sessions::find(db, &key)).await?;
        Ok(Described { session: session.map(|session| rows::row(&session, extras)) })
    }

    pub(crate) async fn get(self: Arc<Self>, _: Call, params: GetParams) -> Result<Got, MethodError> {
        let key = self.names().await?.canonical(&params.key, params.agent_id.as_deref())?;
        let window = self.window(Some(params.limit.unwrap_or(200)), 0, None);
        let read = self.store.read(&self.host, move |db| last(db, &key, window));
        Ok(Got { messages: read.await?.unwrap_or_default() })
    }
}

/// The end of a session's transcript; nothing when there is no such session.
fn last(db: &Connection, key: &Key, window: transcripts::Window) -> Result<Option<Vec<Box<RawValue>>>, MethodError> {
    let Some(session) = sessions::find(db, &key.text)? else { return Ok(None) };
    let Some(conversation) = transcripts::find(db, &key.text, &session.session_id)? else {
        return Ok(Some(Vec::new()));
    };
    Ok(Some(transcripts::read(db, &conversation, window)?.messages))
}

/// What was said last, in short.
fn items(
    db: &Connection,
    key: &Key,
    window: transcripts::Window,
    limit: usize,
    max_chars: usize,
) -> Result<Option<Vec<Item>>, MethodError> {
    let Some(messages) = last(db, key, window)? else { return Ok(None) };
    let mut items = Vec::new();
    for message in messages.iter().rev() {
        let message: Map<String, Value> = serde_json::from_str(message.get())?;
        items.extend(item(&message, max_chars));
        if items.len() >= limit {
            break;
        }
    }
    items.reverse();
    Ok(Some(items))
}

fn item(message: &Map<String, Value>, max_chars: usize) -> Option<Item> {
    let role = match message.get("role").and_then(Value::as_str).unwrap_or_default() {
        "user" => "user",
        "assistant" => "assistant",
        "toolResult" | "tool" => "tool",
        "system" => "system",
        _ => "other",
    };
    let (role, said) = match text::of_message(message) {
        Some(said) => (role, said),
        None => {
            let tools = text::tools(message);
            if tools.is_empty() {
                return None;
            }
            ("tool", format!("call {}", tools.join(", ")))
        }
    };
    Some(Item { role, text: text::shortened(&said, max_chars) })
}
