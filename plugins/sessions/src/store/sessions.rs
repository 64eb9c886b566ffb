//! Sessions: rows with a key, the conversation they are in, and an entry of whatever is known of them.

use std::collections::HashSet;

use database::rusqlite::types::ToSql;
use database::rusqlite::{Connection, OptionalExtension, Row, params};
use database::{int, uint};
use plugin_api::MethodError;
use plugin_api::contracts::Usage;
use plugin_api::contracts::session::SessionOpened;
use serde_json::{Map, Value, json};

use super::transcripts;
use crate::keys::Key;

/// Fields that are columns or follow from the key; nobody sets them in an entry.
const COLUMNS: [&str; 3] = ["key", "sessionId", "updatedAt"];
/// Adds to the counts of tokens instead of setting a field.
const ADD_TOKENS: &str = "addTokens";
/// Counts of tokens.
pub const TOKENS: [&str; 3] = ["inputTokens", "outputTokens", "totalTokens"];

/// What an error says to programs when there is no place for one session more.
const FULL: &str = "TOO_MANY_SESSIONS";

/// How much there may be.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Sessions.
    pub sessions: u64,
    /// Bytes of an entry.
    pub entry_bytes: usize,
}

/// A session.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    pub key: String,
    pub agent_id: String,
    pub session_id: String,
    pub created_at: u64,
    pub updated_at: u64,
    /// Without what is a column.
    pub entry: Map<String, Value>,
    /// The present conversation: what it is about, and what was said last.
    pub title: Option<String>,
    pub last_words: Option<String>,
}

impl Session {
    /// A text of its entry, if it says something.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.entry.get(field).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    }

    /// Its entry as others see it.
    pub fn shown_entry(&self) -> Map<String, Value> {
        let mut entry = self.entry.clone();
        entry.insert("sessionId".to_string(), json!(self.session_id));
        entry.insert("updatedAt".to_string(), json!(self.updated_at));
        entry
    }

    /// As other plugins are told of it.
    pub fn opened(&self, is_new: bool) -> SessionOpened {
        SessionOpened {
            key: self.key.clone(),
            agent_id: self.agent_id.clone(),
            session_id: self.session_id.clone(),
            is_new,
            entry: self.shown_entry(),
        }
    }
}

const SELECT: &str = "SELECT s.key, s.agent_id, s.session_id, s.created_at, s.updated_at, s.entry, c.title, c.last_words \
                      FROM sessions s LEFT JOIN conversations c ON c.session_id = s.session_id ";

fn read(row: &Row<'_>) -> database::rusqlite::Result<Session> {
    let entry: String = row.get(5)?;
    let unreadable = |error| {
        database::rusqlite::Error::FromSqlConversionFailure(5, database::rusqlite::types::Type::Text, Box::new(error))
    };
    Ok(Session {
        key: row.get(0)?,
        agent_id: row.get(1)?,
        session_id: row.get(2)?,
        created_at: uint(row, 3)?,
        updated_at: uint(row, 4)?,
        entry: serde_json::from_str(&entry).map_err(unreadable)?,
        title: row.get(6)?,
        last_words: row.get(7)?,
    })
}

/// The session of this key.
pub fn find(db: &Connection, key: &str) -> Result<Option<Session>, MethodError> {
    let mut statement = db.prepare_cached(&format!("{SELECT}WHERE s.key = ?1"))?;
    Ok(statement.query_row([key], read).optional()?)
}

/// The session of this key, made if it is absent; and whether it was.
pub fn find_or_make(db: &Connection, key: &Key, room: Room, now: u64) -> Result<(Session, bool), MethodError> {
    match find(db, &key.text)? {
        Some(session) => Ok((session, false)),
        None => Ok((make(db, key, room, now)?, true)),
    }
}

fn make(db: &Connection, key: &Key, room: Room, now: u64) -> Result<Session, MethodError> {
    if count(db)? >= room.sessions {
        let full =
            format!("there are {} sessions already (max_sessions); delete some that are not needed", room.sessions);
        return Err(MethodError::unavailable(full).with_details(json!({ "code": FULL })));
    }
    let session = Session {
        key: key.text.clone(),
        agent_id: key.agent_id.clone(),
        session_id: uuid::Uuid::new_v4().to_string(),
        created_at: now,
        updated_at: now,
        entry: Map::new(),
        title: None,
        last_words: None,
    };
    transcripts::begin(db, &session.session_id, &session.key, now)?;
    db.prepare_cached(
        "INSERT INTO sessions (key, agent_id, session_id, created_at, updated_at, entry) VALUES (?1, ?2, ?3, ?4, ?4, '{}')",
    )?
    .execute(params![session.key, session.agent_id, session.session_id, int(now)])?;
    Ok(session)
}

/// Whether a session could not be made because there are too many.
pub fn is_full(error: &MethodError) -> bool {
    error.shape().details.as_ref().is_some_and(|details| details["code"] == FULL)
}

/// The session of one request that was used longest ago, of those where nothing runs and that nobody named or pinned.
pub fn oldest_single(db: &Connection, busy: &HashSet<String>) -> Result<Option<Session>, MethodError> {
    let mut statement = db.prepare_cached(&format!("{SELECT}WHERE s.is_single = 1 ORDER BY s.updated_at"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let session = read(row)?;
        let is_kept = session.text("label").is_some() || session.entry.get("pinned") == Some(&Value::Bool(true));
        if !is_kept && !busy.contains(&session.key) {
            return Ok(Some(session));
        }
    }
    Ok(None)
}

/// How many there are.
pub fn count(db: &Connection) -> Result<u64, MethodError> {
    Ok(db.prepare_cached("SELECT count(*) FROM sessions")?.query_row([], |row| uint(row, 0))?)
}

/// Writes a session that was changed.
pub fn save(db: &Connection, session: &Session, room: Room) -> Result<(), MethodError> {
    if let Some(label) = session.entry.get("label") {
        let label = label.as_str().ok_or_else(|| MethodError::invalid_request("invalid label: it is a text"))?;
        may_be_called(db, session, label)?;
    }
    if session.entry.get("archived").is_some_and(|archived| !archived.is_boolean()) {
        return Err(MethodError::invalid_request("invalid archived: it is true or false"));
    }
    let entry = serde_json::to_string(&session.entry)?;
    if entry.len() > room.entry_bytes {
        let most = room.entry_bytes;
        return Err(MethodError::invalid_request(format!(
            "the session's entry is larger than {most} bytes (max_entry_bytes)"
        )));
    }
    db.prepare_cached("UPDATE sessions SET session_id = ?2, updated_at = ?3, entry = ?4 WHERE key = ?1")?
        .execute(params![session.key, session.session_id, int(session.updated_at), entry])?;
    Ok(())
}

fn may_be_called(db: &Connection, session: &Session, label: &str) -> Result<(), MethodError> {
    let mut other = db.prepare_cached("SELECT 1 FROM sessions WHERE agent_id = ?1 AND label = ?2 AND key <> ?3")?;
    if other.exists(params![session.agent_id, label, session.key])? {
        return Err(MethodError::invalid_request(format!("label already in use: {label}")));
    }
    Ok(())
}

/// Takes a session away; its conversation stays.
pub fn remove(db: &Connection, key: &str) -> Result<(), MethodError> {
    db.prepare_cached("DELETE FROM sessions WHERE key = ?1")?.execute([key])?;
    Ok(())
}

/// Sets fields of an entry; `null` removes one, `addTokens` counts on.
pub fn set(entry: &mut Map<String, Value>, fields: Map<String, Value>) -> Result<(), MethodError> {
    for (field, value) in fields {
        match value {
            _ if COLUMNS.contains(&field.as_str()) => {}
            Value::Null => drop(entry.remove(&field)),
            usage if field == ADD_TOKENS => {
                let usage: Usage = serde_json::from_value(usage)
                    .map_err(|_| MethodError::invalid_request("invalid addTokens: it is a usage"))?;
                let total =
                    if usage.total_tokens > 0 { usage.total_tokens } else { usage.input.saturating_add(usage.output) };
                for (count, more) in TOKENS.into_iter().zip([usage.input, usage.output, total]) {
                    let before = entry.get(count).and_then(Value::as_u64).unwrap_or(0);
                    entry.insert(count.to_string(), json!(before.saturating_add(more)));
                }
            }
            value => drop(entry.insert(field, value)),
        }
    }
    Ok(())
}

/// Which sessions are meant.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub agent_id: Option<String>,
    /// Only sessions of these agents.
    pub agents: Option<Vec<String>>,
    pub label: Option<String>,
    pub spawned_by: Option<String>,
    pub session_id: Option<String>,
    /// Only those used since, in milliseconds since the epoch.
    pub since: Option<u64>,
    /// Whether those that were put away are meant, or the others; both when absent.
    pub archived: Option<bool>,
    pub global: bool,
    pub unknown: bool,
    pub by_creation: bool,
}

impl Filter {
    fn sql(&self) -> (String, Vec<Box<dyn ToSql>>) {
        let mut conditions = vec!["1 = 1".to_string()];
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        let mut equal = |column: &str, value: &Option<String>| {
            if let Some(value) = value {
                values.push(Box::new(value.clone()));
                conditions.push(format!("{column} = ?{}", values.len()));
            }
        };
        equal("s.agent_id", &self.agent_id);
        equal("s.label", &self.label);
        equal("s.spawned_by", &self.spawned_by);
        equal("s.session_id", &self.session_id);
        if let Some(since) = self.since {
            values.push(Box::new(int(since)));
            conditions.push(format!("s.updated_at >= ?{}", values.len()));
        }
        if let Some(agents) = &self.agents {
            let places: Vec<String> = agents
                .iter()
                .map(|agent| {
                    values.push(Box::new(agent.clone()));
                    format!("?{}", values.len())
                })
                .collect();
            conditions.push(format!("s.agent_id IN ({})", places.join(", ")));
        }
        if let Some(archived) = self.archived {
            conditions.push(format!("s.is_archived {} 0", if archived { "<>" } else { "=" }));
        }
        for (key, shown) in [(crate::keys::GLOBAL, self.global), (crate::keys::UNKNOWN, self.unknown)] {
            if !shown {
                conditions.push(format!("s.key <> '{key}'"));
            }
        }
        let order = if self.by_creation { "s.created_at" } else { "s.updated_at" };
        (format!("WHERE {} ORDER BY {order} DESC, s.key", conditions.join(" AND ")), values)
    }
}

/// Sessions that are meant, those used last first: `each` sees one after the other until it says that it has enough.
pub fn walk(db: &Connection, filter: &Filter, mut each: impl FnMut(Session) -> bool) -> Result<(), MethodError> {
    let (condition, values) = filter.sql();
    let mut statement = db.prepare_cached(&format!("{SELECT}{condition}"))?;
    let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
    let mut rows = statement.query(values.as_slice())?;
    while let Some(row) = rows.next()? {
        if !each(read(row)?) {
            break;
        }
    }
    Ok(())
}

/// A page of them.
pub fn page(db: &Connection, filter: &Filter, offset: u64, limit: u64) -> Result<Vec<Session>, MethodError> {
    let (condition, values) = filter.sql();
    let mut statement = db.prepare_cached(&format!("{SELECT}{condition} LIMIT {limit} OFFSET {offset}"))?;
    let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
    let found: Result<Vec<Session>, _> = statement.query_map(values.as_slice(), read)?.collect();
    Ok(found?)
}

/// How many are meant.
pub fn count_of(db: &Connection, filter: &Filter) -> Result<u64, MethodError> {
    let (condition, values) = filter.sql();
    let mut statement = db.prepare_cached(&format!("SELECT count(*) FROM sessions s {condition}"))?;
    let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
    Ok(statement.query_row(values.as_slice(), |row| uint(row, 0))?)
}
