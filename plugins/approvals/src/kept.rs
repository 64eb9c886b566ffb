//! Requests on disk, from before anybody hears of one until its time is over: one SQLite file in the plugin's folder. The
//! [`crate::pending::Book`] of an instance is made of it when that starts.

use database::rusqlite::{Connection, params};
use database::{Shape, int};
use plugin_api::MethodError;

use crate::params::Decision;
use crate::pending::Pending;

/// What is in the file. A step that has been released never changes.
pub const SHAPE: Shape = Shape::new("approvals.db", "exec approvals", &[FIRST]);

const FIRST: &str = "
CREATE TABLE requests (
    id TEXT PRIMARY KEY,
    request TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    decision TEXT,
    decided_at INTEGER
) STRICT;
CREATE INDEX requests_by_time ON requests (expires_at);
CREATE INDEX requests_decided ON requests (decided_at) WHERE decided_at IS NOT NULL;
";

/// Writes one that nobody has decided about. Of its id there is none, or one whose time is over.
pub fn put(db: &Connection, pending: &Pending) -> Result<(), MethodError> {
    let request = serde_json::to_string(pending)?;
    db.execute(
        "INSERT OR REPLACE INTO requests (id, request, expires_at) VALUES (?1, ?2, ?3)",
        params![pending.id, request, int(pending.expires_at_ms)],
    )?;
    Ok(())
}

/// Writes a decision down, unless there is one. Of those that were decided only the last `most` are kept.
pub fn decide(db: &Connection, id: &str, decision: Decision, now_ms: u64, most: usize) -> Result<(), MethodError> {
    db.execute(
        "UPDATE requests SET decision = ?2, decided_at = ?3 WHERE id = ?1 AND decision IS NULL",
        params![id, decision.name(), int(now_ms)],
    )?;
    db.execute(
        "DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE decided_at IS NOT NULL
         ORDER BY decided_at DESC, rowid DESC LIMIT -1 OFFSET ?1)",
        [int(most as u64)],
    )?;
    Ok(())
}

/// Forgets those whose time is over.
pub fn forget_expired(db: &Connection, now_ms: u64) -> Result<(), MethodError> {
    db.execute("DELETE FROM requests WHERE expires_at <= ?1", [int(now_ms)])?;
    Ok(())
}

/// All of them with their decisions, the oldest decision first.
pub fn all(db: &Connection) -> Result<Vec<(Pending, Option<Decision>)>, MethodError> {
    let mut statement = db.prepare("SELECT request, decision FROM requests ORDER BY decided_at, rowid")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))?;
    rows.map(|row| {
        let (request, decision) = row?;
        let named = |name: String| {
            let odd = || MethodError::unavailable("a decision cannot be read").log(format!("it is {name:?}"));
            Decision::named(&name).ok_or_else(odd)
        };
        Ok((serde_json::from_str(&request)?, decision.map(named).transpose()?))
    })
    .collect()
}
