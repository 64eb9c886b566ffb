//! Rows that remember which keys have been used and with what outcome. Only reading and writing: what a row means is
//! decided above.

use rusqlite::{Connection, params};

/// One used key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRow {
    /// The method the key was used with.
    pub method: String,
    /// The key.
    pub key: String,
    /// Digest of the params.
    pub fingerprint: String,
    /// Who used it.
    pub identity: String,
    /// The outcome; `None` while the call runs, empty when the gateway stopped before it ended.
    pub outcome: Option<Vec<u8>>,
    /// When the row was last written.
    pub ts: u64,
}

/// All rows, oldest first.
pub fn load_all(connection: &Connection) -> rusqlite::Result<Vec<IdempotencyRow>> {
    let mut statement = connection
        .prepare("SELECT method, key, fingerprint, identity, done, outcome, ts FROM idempotency ORDER BY ts")?;
    let rows = statement.query_map([], |row| {
        let done: bool = row.get(4)?;
        let outcome: Option<Vec<u8>> = row.get(5)?;
        Ok(IdempotencyRow {
            method: row.get(0)?,
            key: row.get(1)?,
            fingerprint: row.get(2)?,
            identity: row.get(3)?,
            outcome: done.then(|| outcome.unwrap_or_default()),
            ts: row.get::<_, i64>(6)? as u64,
        })
    })?;
    rows.collect()
}

/// Writes that a call with this key runs. An existing row of the same key is an error.
pub fn begin(
    connection: &Connection,
    method: &str,
    key: &str,
    fingerprint: &str,
    identity: &str,
    ts: u64,
) -> rusqlite::Result<()> {
    connection
        .execute(
            "INSERT INTO idempotency (method, key, fingerprint, identity, done, ts) VALUES (?1, ?2, ?3, ?4, 0, ?5)",
            params![method, key, fingerprint, identity, ts as i64],
        )
        .map(|_| ())
}

/// Writes the outcome of a call that was begun. Tells whether there was such a row.
pub fn complete(connection: &Connection, method: &str, key: &str, outcome: &[u8], ts: u64) -> rusqlite::Result<bool> {
    let changed = connection.execute(
        "UPDATE idempotency SET done = 1, outcome = ?3, ts = ?4 WHERE method = ?1 AND key = ?2",
        params![method, key, outcome, ts as i64],
    )?;
    Ok(changed > 0)
}

/// Removes a row, so that the key can be used again.
pub fn forget(connection: &Connection, method: &str, key: &str) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM idempotency WHERE method = ?1 AND key = ?2", params![method, key]).map(|_| ())
}

/// Marks what ran when the gateway before this one stopped: it is over, and nobody knows how. It is kept from now on as
/// long as any outcome, however long ago it began.
pub fn give_up(connection: &Connection, ts: u64) -> rusqlite::Result<usize> {
    connection.execute("UPDATE idempotency SET done = 1, ts = ?1 WHERE done = 0", params![ts as i64])
}

/// Removes rows of calls that are over and were last written before this moment, and tells how many. One that still runs
/// keeps its row, however long it takes: without it the key would run again after a restart.
pub fn purge_before(connection: &Connection, ts: u64) -> rusqlite::Result<usize> {
    connection.execute("DELETE FROM idempotency WHERE done = 1 AND ts < ?1", params![ts as i64])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn a_row_runs_completes_and_goes() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = Store::in_memory();
        runtime
            .block_on(store.run(|db| {
                begin(db, "send", "k1", "f", "device:a", 10)?;
                begin(db, "send", "k2", "f", "device:a", 11)?;
                assert!(begin(db, "send", "k1", "f", "device:b", 12).is_err(), "insert first, or not at all");
                assert_eq!(load_all(db)?[0].outcome, None);
                assert!(complete(db, "send", "k1", b"{}", 20)?);
                assert!(!complete(db, "send", "unknown", b"{}", 20)?);
                let row = IdempotencyRow {
                    method: "send".into(),
                    key: "k1".into(),
                    fingerprint: "f".into(),
                    identity: "device:a".into(),
                    outcome: Some(b"{}".to_vec()),
                    ts: 20,
                };
                assert_eq!(load_all(db)?[1], row);
                assert_eq!(purge_before(db, 20)?, 0, "one still runs");
                assert_eq!(give_up(db, 900)?, 1);
                assert_eq!(purge_before(db, 900)?, 1, "the one that was answered");
                let left = load_all(db)?;
                assert_eq!(
                    (left.len(), &*left[0].key, &left[0].outcome, left[0].ts),
                    (1, "k2", &Some(Vec::new()), 900)
                );
                assert_eq!(purge_before(db, 901)?, 1);
                begin(db, "send", "k1", "f", "device:a", 902)?;
                forget(db, "send", "k1")?;
                assert!(load_all(db)?.is_empty());
                Ok(())
            }))
            .unwrap();
    }
}
