//! Conversations and their messages. A message is kept as the JSON that came, so that a part of a kind that this version
//! does not know is not lost.

use database::rusqlite::{Connection, OptionalExtension, params};
use database::{int, uint};
use plugin_api::MethodError;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::text;

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    pub session_id: String,
    pub key: String,
    pub next_seq: u64,
    pub total: u64,
    has_title: bool,
}

/// A message as it was written.
#[derive(Debug, Clone)]
pub struct Written {
    pub id: String,
    /// Its place; nothing if the conversation had it already.
    pub seq: Option<u64>,
    /// Its JSON, if it is new.
    pub json: Option<Box<RawValue>>,
}

/// A piece of a transcript.
#[derive(Debug, Default)]
pub struct Piece {
    /// Oldest first.
    pub messages: Vec<Box<RawValue>>,
    pub has_more: bool,
}

/// Begins a conversation.
pub fn begin(db: &Connection, session_id: &str, key: &str, now: u64) -> Result<(), MethodError> {
    db.prepare_cached("INSERT INTO conversations (session_id, key, began_at) VALUES (?1, ?2, ?3)")?
        .execute(params![session_id, key, int(now)])?;
    Ok(())
}

/// A conversation of this session, also one that is over.
pub fn find(db: &Connection, key: &str, session_id: &str) -> Result<Option<Conversation>, MethodError> {
    let mut statement = db.prepare_cached(
        "SELECT session_id, key, next_seq, total, title IS NOT NULL FROM conversations WHERE session_id = ?1 AND key = ?2",
    )?;
    let found = statement.query_row(params![session_id, key], |row| {
        Ok(Conversation {
            session_id: row.get(0)?,
            key: row.get(1)?,
            next_seq: uint(row, 2)?,
            total: uint(row, 3)?,
            has_title: row.get(4)?,
        })
    });
    Ok(found.optional()?)
}

/// Puts messages at the end of a conversation. One whose id is there already is passed over.
pub fn append(
    db: &Connection,
    conversation: &mut Conversation,
    messages: Vec<Map<String, Value>>,
    now: u64,
    max_bytes: usize,
) -> Result<Vec<Written>, MethodError> {
    let mut known = db.prepare_cached("SELECT 1 FROM messages WHERE session_id = ?1 AND id = ?2")?;
    let mut insert =
        db.prepare_cached("INSERT INTO messages (session_id, seq, id, role, json) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let (mut written, mut title, mut last_words) = (Vec::with_capacity(messages.len()), None, None);
    for mut message in messages {
        let id = match message.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()) {
            Some(id) => id.to_string(),
            None => uuid::Uuid::new_v4().to_string(),
        };
        if known.exists(params![conversation.session_id, id])? {
            written.push(Written { id, seq: None, json: None });
            continue;
        }
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default().to_string();
        if role.is_empty() {
            return Err(MethodError::invalid_request("a message has no role"));
        }
        message.insert("id".to_string(), json!(id));
        if message.get("timestamp").is_none_or(Value::is_null) {
            message.insert("timestamp".to_string(), json!(now));
        }
        if let Some(said) = text::of_message(&message).filter(|_| role == "user" || role == "assistant") {
            if role == "user" && !conversation.has_title && title.is_none() {
                title = Some(text::title(&said)).filter(|title| !title.is_empty());
            }
            last_words = Some(text::last_words(&said)).filter(|words| !words.is_empty()).or(last_words);
        }
        let json = serde_json::to_string(&message)?;
        if json.len() > max_bytes {
            let why = format!("a message of {} bytes is larger than {max_bytes} (max_message_bytes)", json.len());
            return Err(MethodError::invalid_request(why));
        }
        let seq = conversation.next_seq;
        insert.execute(params![conversation.session_id, int(seq), id, role, json])?;
        conversation.next_seq += 1;
        conversation.total += 1;
        written.push(Written { id, seq: Some(seq), json: Some(RawValue::from_string(json)?) });
    }
    db.prepare_cached(
        "UPDATE conversations SET next_seq = ?2, total = ?3, title = coalesce(title, ?4), \
         last_words = coalesce(?5, last_words) WHERE session_id = ?1",
    )?
    .execute(params![
        conversation.session_id,
        int(conversation.next_seq),
        int(conversation.total),
        title,
        last_words
    ])?;
    Ok(written)
}

/// What is read of a transcript.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// The last so many.
    pub limit: u64,
    /// Without the last so many.
    pub offset: u64,
    /// The oldest are left out until the JSON fits; one stays.
    pub max_bytes: u64,
}

/// The messages of a window.
pub fn read(db: &Connection, conversation: &Conversation, window: Window) -> Result<Piece, MethodError> {
    let mut statement =
        db.prepare_cached("SELECT json FROM messages WHERE session_id = ?1 ORDER BY seq DESC LIMIT ?2 OFFSET ?3")?;
    let mut rows = statement.query(params![conversation.session_id, int(window.limit), int(window.offset)])?;
    let (mut messages, mut bytes) = (Vec::new(), 2u64);
    while let Some(row) = rows.next()? {
        let json: String = row.get(0)?;
        // With the comma that comes before it.
        bytes += json.len() as u64 + u64::from(!messages.is_empty());
        if bytes > window.max_bytes && !messages.is_empty() {
            break;
        }
        messages.push(message(json)?);
    }
    messages.reverse();
    let has_more = window.offset.saturating_add(messages.len() as u64) < conversation.total;
    Ok(Piece { messages, has_more })
}

/// A message as it is kept: an object, unless somebody else has written into the file.
fn message(json: String) -> Result<Box<RawValue>, serde_json::Error> {
    let message = RawValue::from_string(json)?;
    match message.get().starts_with('{') {
        true => Ok(message),
        false => Err(serde::de::Error::custom("a message that is kept is no JSON object")),
    }
}

/// Gives a conversation that is over the name under which it is kept.
pub fn archive(db: &Connection, session_id: &str, name: &str, now: u64) -> Result<(), MethodError> {
    db.prepare_cached("UPDATE conversations SET archived_as = ?2, archived_at = ?3 WHERE session_id = ?1")?
        .execute(params![session_id, name, int(now)])?;
    Ok(())
}

/// Leaves the last messages in a conversation and moves those before them into an archive of this name. What is left does
/// not begin with what a tool answered, which would be an answer to nothing. How many are left.
pub fn compact(
    db: &Connection,
    conversation: &Conversation,
    keep: u64,
    name: &str,
    now: u64,
) -> Result<u64, MethodError> {
    let id = &conversation.session_id;
    let first: i64 = db
        .prepare_cached("SELECT seq FROM messages WHERE session_id = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2")?
        .query_row(params![id, int(keep.saturating_sub(1))], |row| row.get(0))?;
    let first: Option<i64> = db
        .prepare_cached("SELECT min(seq) FROM messages WHERE session_id = ?1 AND seq >= ?2 AND role <> 'toolResult'")?
        .query_row(params![id, first], |row| row.get(0))?;
    let first = first.unwrap_or(int(conversation.next_seq));
    begin(db, name, &conversation.key, now)?;
    let moved = db
        .prepare_cached("UPDATE messages SET session_id = ?2 WHERE session_id = ?1 AND seq < ?3")?
        .execute(params![id, name, first])? as u64;
    db.prepare_cached("UPDATE conversations SET total = ?2, next_seq = ?3 WHERE session_id = ?1")?.execute(params![
        name,
        int(moved),
        int(conversation.next_seq)
    ])?;
    archive(db, name, name, now)?;
    let kept = conversation.total - moved;
    db.prepare_cached("UPDATE conversations SET total = ?2 WHERE session_id = ?1")?.execute(params![id, int(kept)])?;
    Ok(kept)
}

/// How many archives are kept.
#[derive(Debug, Clone, Copy)]
pub struct Archives {
    /// Of sessions that jobs and single requests of programs made.
    pub of_programs: u64,
    /// Of all others.
    pub of_people: u64,
}

/// Removes the oldest archives beyond so many. How many were removed.
pub fn prune(db: &Connection, keep: Archives) -> Result<u64, MethodError> {
    let mut statement = db.prepare_cached(
        "DELETE FROM conversations WHERE session_id IN (SELECT session_id FROM conversations WHERE archived_at IS NOT NULL \
         AND is_of_program = ?1 ORDER BY archived_at DESC, session_id LIMIT -1 OFFSET ?2)",
    )?;
    let of_programs = statement.execute(params![true, int(keep.of_programs)])?;
    let of_people = statement.execute(params![false, int(keep.of_people)])?;
    Ok((of_programs + of_people) as u64)
}
