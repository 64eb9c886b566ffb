//! A session as clients are shown it: the rows of `sessions.list`, `sessions.describe` and `sessions.changed`.

use serde_json::{Map, Value, json};

use crate::keys;
use crate::store::sessions::Session;

/// Fields of the entry that are shown as they are.
const SHOWN: [&str; 27] = [
    "label",
    "channel",
    "subject",
    "groupChannel",
    "space",
    "chatType",
    "origin",
    "systemSent",
    "abortedLastRun",
    "thinkingLevel",
    "verboseLevel",
    "reasoningLevel",
    "elevatedLevel",
    "sendPolicy",
    "inputTokens",
    "outputTokens",
    "totalTokens",
    "responseUsage",
    "contextTokens",
    "lastChannel",
    "lastTo",
    "lastAccountId",
    "spawnedBy",
    "fastMode",
    "category",
    "icon",
    "color",
];
/// Flags that are shown when they are set.
const FLAGS: [&str; 3] = ["archived", "pinned", "unread"];

/// What of a row is made of the transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extras {
    pub titles: bool,
    pub last_message: bool,
}

impl Extras {
    pub const ALL: Extras = Extras { titles: true, last_message: true };
}

/// The row of a session.
pub fn row(session: &Session, extras: Extras) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("key".to_string(), json!(session.key));
    row.insert("kind".to_string(), json!(kind(session)));
    row.insert("updatedAt".to_string(), json!(session.updated_at));
    row.insert("sessionId".to_string(), json!(session.session_id));
    for field in SHOWN {
        if let Some(value) = session.entry.get(field) {
            row.insert(field.to_string(), value.clone());
        }
    }
    for flag in FLAGS {
        if session.entry.get(flag) == Some(&Value::Bool(true)) {
            row.insert(flag.to_string(), Value::Bool(true));
        }
    }
    let (provider, model) = model(session);
    for (field, value) in [("modelProvider", provider), ("model", model), ("displayName", display_name(session))] {
        if let Some(value) = value {
            row.insert(field.to_string(), json!(value));
        }
    }
    if let Some(context) = delivery(session) {
        row.insert("deliveryContext".to_string(), context);
    }
    if extras.titles {
        row.insert("derivedTitle".to_string(), json!(title(session)));
    }
    if extras.last_message
        && let Some(words) = &session.last_words
    {
        row.insert("lastMessagePreview".to_string(), json!(words));
    }
    row
}

/// Whether a search finds it.
pub fn is_found(session: &Session, search: &str) -> bool {
    let search = search.to_lowercase();
    let display_name = display_name(session);
    [display_name, session.text("label"), session.text("subject"), Some(&session.session_id), Some(&session.key)]
        .into_iter()
        .flatten()
        .any(|text| text.to_lowercase().contains(&search))
}

/// `direct`, `group`, `global` or `unknown`.
pub fn kind(session: &Session) -> &'static str {
    keys::kind(&session.key, session.text("chatType"))
}

/// Provider and model: the chosen ones, else those that answered last.
pub fn model(session: &Session) -> (Option<&str>, Option<&str>) {
    match session.text("modelOverride") {
        Some(model) => (session.text("providerOverride"), Some(model)),
        None => (session.text("modelProvider"), session.text("model")),
    }
}

fn display_name(session: &Session) -> Option<&str> {
    let origin = || session.entry.get("origin").and_then(|origin| origin["label"].as_str());
    session.text("displayName").or_else(origin).filter(|name| !name.trim().is_empty())
}

/// What it is about: a name, a subject, what the user said first, or the begin of its id.
fn title(session: &Session) -> String {
    let said = session.title.as_deref().filter(|title| !title.is_empty());
    let title = display_name(session).or_else(|| session.text("subject")).or(said);
    title.map_or_else(|| session.session_id.chars().take(8).collect(), str::to_string)
}

/// Where an answer would go.
fn delivery(session: &Session) -> Option<Value> {
    if let Some(context) = session.entry.get("deliveryContext") {
        return Some(context.clone());
    }
    let mut context = Map::new();
    for (field, of) in
        [("channel", "lastChannel"), ("to", "lastTo"), ("accountId", "lastAccountId"), ("threadId", "lastThreadId")]
    {
        if let Some(value) = session.entry.get(of) {
            context.insert(field.to_string(), value.clone());
        }
    }
    (!context.is_empty()).then_some(Value::Object(context))
}
