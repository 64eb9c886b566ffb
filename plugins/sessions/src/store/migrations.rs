//! The shape of the file, as numbered steps. A step that has been released never changes; a new one is added at the end.
//! Before a file with content is taken forward, a copy of it is kept beside it.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

/// Every step, in order. The file's `user_version` counts how many it has taken.
pub const ALL: &[&str] = &[FIRST];

/// A session has one present conversation; those of before, and those of sessions that were deleted, are kept under the
/// name that `archived_as` gives. Titles and last words are kept with the conversation, so that a list reads no messages.
const FIRST: &str = "
CREATE TABLE sessions (
    key TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    entry TEXT NOT NULL,
    label TEXT GENERATED ALWAYS AS (entry ->> '$.label') VIRTUAL,
    spawned_by TEXT GENERATED ALWAYS AS (entry ->> '$.spawnedBy') VIRTUAL,
    is_archived INTEGER GENERATED ALWAYS AS (coalesce(entry ->> '$.archived', 0)) VIRTUAL
) STRICT;
CREATE INDEX sessions_by_age ON sessions (updated_at);
CREATE INDEX sessions_of_agent ON sessions (agent_id, updated_at);
CREATE INDEX sessions_by_id ON sessions (session_id);
CREATE UNIQUE INDEX sessions_by_label ON sessions (agent_id, label) WHERE label IS NOT NULL;

CREATE TABLE conversations (
    session_id TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    next_seq INTEGER NOT NULL DEFAULT 1,
    total INTEGER NOT NULL DEFAULT 0,
    title TEXT,
    last_words TEXT,
    archived_as TEXT,
    archived_at INTEGER
) STRICT;
CREATE INDEX conversations_by_archive ON conversations (archived_at, session_id) WHERE archived_at IS NOT NULL;

CREATE TABLE messages (
    session_id TEXT NOT NULL REFERENCES conversations (session_id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    role TEXT NOT NULL,
    json TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX messages_in_order ON messages (session_id, seq);
CREATE UNIQUE INDEX messages_by_id ON messages (session_id, id);
";

/// Takes a file through the steps it has not taken yet, each in one transaction.
pub fn migrate(connection: &mut Connection, path: &Path, steps: &[&str]) -> Result<(), String> {
    let taken: usize = connection
        .pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))
        .map_err(|error| format!("cannot be read: {error}"))? as usize;
    if taken > steps.len() {
        return Err(format!(
            "was written by a newer version (form {taken}, this one knows {}); run that version, or move the file away",
            steps.len()
        ));
    }
    if taken > 0 && taken < steps.len() {
        keep_copy(connection, path, taken)?;
    }
    for (number, step) in steps.iter().enumerate().skip(taken) {
        let version = number + 1;
        take(connection, step, version).map_err(|error| format!("cannot be taken to form {version}: {error}"))?;
    }
    Ok(())
}

fn take(connection: &mut Connection, step: &str, version: usize) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // Another instance may have taken the step while this one waited for its turn.
    let taken: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if taken as usize >= version {
        return Ok(());
    }
    transaction.execute_batch(step)?;
    transaction.pragma_update(None, "user_version", version as u32)?;
    transaction.commit()
}

/// Writes `<file>.v<N>.bak`: a consistent copy, complete before it gets its name.
fn keep_copy(connection: &Connection, path: &Path, version: usize) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let copy = path.with_file_name(format!("{name}.v{version}.bak"));
    let partial: PathBuf = path.with_file_name(format!("{name}.v{version}.bak.partial"));
    let failed = |cause: String| format!("cannot be copied to {} before migrating it: {cause}", copy.display());
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error.to_string())),
        _ => {}
    }
    super::create_private(&partial).map_err(failed)?;
    connection
        .backup("main", &partial, None::<fn(rusqlite::backup::Progress)>)
        .map_err(|error| failed(error.to_string()))?;
    std::fs::rename(&partial, &copy).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_file_is_kept_and_a_newer_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.db");
        let steps = ["CREATE TABLE a(x); INSERT INTO a VALUES (1)", "ALTER TABLE a ADD COLUMN y"];
        let open = || Connection::open(&path).unwrap();
        migrate(&mut open(), &path, &steps[..1]).unwrap();
        migrate(&mut open(), &path, &steps).unwrap();
        open().query_row("SELECT x, y FROM a", [], |_| Ok(())).unwrap();
        let copy = Connection::open(folder.path().join("sessions.db.v1.bak")).unwrap();
        assert!(copy.prepare("SELECT y FROM a").is_err(), "the copy has the old shape");
        let error = migrate(&mut open(), &path, &steps[..1]).unwrap_err();
        assert!(error.contains("newer version (form 2, this one knows 1)"), "{error}");
        let broken = [steps[0], steps[1], "CREATE TABLE b(x); nonsense"];
        assert!(migrate(&mut open(), &path, &broken).unwrap_err().contains("form 3"));
        assert!(open().prepare("SELECT * FROM b").is_err(), "a step that fails changes nothing");
    }
}
