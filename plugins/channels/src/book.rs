//! What came in, on disk: a message is here before its channel hears that it was taken, and stays open until its answer has
//! gone out. The ids of closed ones are kept for a while, so that one that comes again is known; their texts are not.

use database::rusqlite::{Connection, OptionalExtension, Row, params};
use database::{int, uint};
use plugin_api::MethodError;
use plugin_api::contracts::channel::Inbound;

/// A message whose answer has not gone out.
#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    /// Its place in the order in which messages came.
    pub place: i64,
    /// The session it belongs to.
    pub session: String,
    /// The agent that the rule named.
    pub agent: Option<String>,
    /// The run that answers.
    pub run_id: String,
    /// What the channel handed over.
    pub message: Inbound,
    /// Whether its sender may begin the conversation anew.
    pub may_reset: bool,
}

/// What a message was found to be before.
#[derive(Debug, PartialEq)]
pub struct Seen {
    pub session: String,
    pub run_id: Option<String>,
}

/// What tells a message from all others.
pub fn key(message: &Inbound) -> String {
    let account = crate::rules::account_of(message);
    let edit = match (message.edited, message.timestamp) {
        (true, Some(at)) => format!("edit {at}"),
        (true, None) => "edit".to_string(),
        (false, _) => String::new(),
    };
    // Ids have no line breaks in them; one that has may only be taken for itself.
    [&*message.channel, account, &message.chat.id, &message.message_id, &edit].join("\n")
}

/// The message of this key, if it came before.
pub fn seen(db: &Connection, key: &str) -> Result<Option<Seen>, MethodError> {
    let found = db.query_row("SELECT session, run_id FROM messages WHERE key = ?1", [key], |row| {
        Ok(Seen { session: row.get(0)?, run_id: row.get(1)? })
    });
    Ok(found.optional()?)
}

/// How many are open: in all, and of this session.
pub fn open_count(db: &Connection, session: &str) -> Result<(u64, u64), MethodError> {
    let all = db.query_row("SELECT count(*) FROM messages WHERE message IS NOT NULL", [], |row| uint(row, 0))?;
    let of_session = "SELECT count(*) FROM messages WHERE session = ?1 AND message IS NOT NULL";
    Ok((all, db.query_row(of_session, [session], |row| uint(row, 0))?))
}

/// Keeps a message that is to be answered.
pub fn open(db: &Connection, key: &str, open: &Open, now: u64) -> Result<(), MethodError> {
    db.execute(
        "INSERT INTO messages (key, session, agent, run_id, message, may_reset, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            key,
            open.session,
            open.agent,
            open.run_id,
            serde_json::to_string(&open.message)?,
            open.may_reset,
            int(now)
        ],
    )?;
    Ok(())
}

/// Keeps the key of a message that needs no answer; forgets the oldest that are closed, once there are more than `most`.
pub fn note(db: &Connection, key: &str, session: &str, now: u64, most: u64) -> Result<(), MethodError> {
    db.execute("INSERT INTO messages (key, session, at) VALUES (?1, ?2, ?3)", params![key, session, int(now)])?;
    forget(db, most)
}

/// The session's message whose turn it is.
pub fn next(db: &Connection, session: &str) -> Result<Option<Open>, MethodError> {
    let found = db
        .prepare_cached(
            "SELECT place, session, agent, run_id, message, may_reset FROM messages
             WHERE session = ?1 AND message IS NOT NULL ORDER BY place LIMIT 1",
        )?
        .query_row([session], read)
        .optional()?;
    found.map(|(open, message)| Ok(Open { message: serde_json::from_str(&message)?, ..open })).transpose()
}

fn read(row: &Row<'_>) -> database::rusqlite::Result<(Open, String)> {
    let open = Open {
        place: row.get(0)?,
        session: row.get(1)?,
        agent: row.get(2)?,
        run_id: row.get(3)?,
        message: Inbound::default(),
        may_reset: row.get(5)?,
    };
    Ok((open, row.get(4)?))
}

/// Sessions in which messages are open, in the order in which the first of each came.
pub fn open_sessions(db: &Connection) -> Result<Vec<String>, MethodError> {
    let mut statement =
        db.prepare("SELECT session FROM messages WHERE message IS NOT NULL GROUP BY session ORDER BY min(place)")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Gives a message another run, since the one it had never began.
pub fn answer_by(db: &Connection, place: i64, run_id: &str) -> Result<(), MethodError> {
    db.execute("UPDATE messages SET run_id = ?2 WHERE place = ?1", params![place, run_id])?;
    Ok(())
}

/// Its conversation has begun anew, once: what is left of the message is to be answered in it.
pub fn begun_anew(db: &Connection, place: i64, message: &Inbound) -> Result<(), MethodError> {
    let text = serde_json::to_string(message)?;
    let update = "UPDATE messages SET message = ?2, may_reset = 0 WHERE place = ?1 AND message IS NOT NULL";
    db.execute(update, params![place, text])?;
    Ok(())
}

/// Whether its answer is still wanted.
pub fn is_open(db: &Connection, place: i64) -> Result<bool, MethodError> {
    Ok(db.prepare_cached("SELECT 1 FROM messages WHERE place = ?1 AND message IS NOT NULL")?.exists([place])?)
}

/// None of the session's messages shall be answered any more; whether there were any.
pub fn close_all(db: &Connection, session: &str) -> Result<bool, MethodError> {
    Ok(db.execute("UPDATE messages SET message = NULL WHERE session = ?1 AND message IS NOT NULL", [session])? > 0)
}

/// Its answer has gone out, or never will.
pub fn close(db: &Connection, place: i64, most: u64) -> Result<(), MethodError> {
    db.execute("UPDATE messages SET message = NULL WHERE place = ?1", [place])?;
    forget(db, most)
}

fn forget(db: &Connection, most: u64) -> Result<(), MethodError> {
    db.execute(
        "DELETE FROM messages WHERE message IS NULL AND place <= (SELECT max(place) FROM messages) - ?1",
        [int(most)],
    )?;
    Ok(())
}
