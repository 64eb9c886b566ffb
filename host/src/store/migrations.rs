//! The shape of the state file, as numbered steps. A step that has been released never changes; a new one is added at
//! the end. Before a file with content is taken forward, a copy of it is kept beside it.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

/// Every step, in order. The file's `user_version` counts how many it has taken.
pub(super) const ALL: &[&str] = &[FIRST, PENDING_BY_ROLE, PINS];

const FIRST: &str = "
CREATE TABLE devices (
    device_id TEXT PRIMARY KEY,
    public_key TEXT NOT NULL,
    display_name TEXT,
    platform TEXT,
    device_family TEXT,
    client_id TEXT,
    client_mode TEXT,
    role TEXT,
    roles TEXT NOT NULL,
    scopes TEXT NOT NULL,
    remote_ip TEXT,
    label TEXT,
    approved_via TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    approved_at_ms INTEGER NOT NULL,
    last_seen_at_ms INTEGER
) STRICT;

CREATE TABLE device_tokens (
    device_id TEXT NOT NULL REFERENCES devices (device_id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    mint TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    rotated_at_ms INTEGER,
    revoked_at_ms INTEGER,
    last_used_at_ms INTEGER,
    previous_mint TEXT,
    previous_issued_at_ms INTEGER,
    PRIMARY KEY (device_id, role)
) STRICT;

CREATE TABLE pending_pairings (
    request_id TEXT PRIMARY KEY,
    device_id TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL,
    ts INTEGER NOT NULL
) STRICT;

CREATE TABLE plugin_kv (
    plugin TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (plugin, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
    method TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    identity TEXT NOT NULL,
    done INTEGER NOT NULL,
    outcome BLOB,
    ts INTEGER NOT NULL,
    PRIMARY KEY (method, key)
) STRICT;
CREATE INDEX idempotency_by_age ON idempotency (ts);
";

/// A device may wait for an answer in each of its roles.
const PENDING_BY_ROLE: &str = "
CREATE TABLE pending_by_role (
    request_id TEXT PRIMARY KEY,
    device_id TEXT NOT NULL,
    role TEXT NOT NULL,
    record TEXT NOT NULL,
    ts INTEGER NOT NULL,
    UNIQUE (device_id, role)
) STRICT;
INSERT INTO pending_by_role (request_id, device_id, role, record, ts)
    SELECT request_id, device_id, json_extract(record, '$.role'), record, ts FROM pending_pairings;
DROP TABLE pending_pairings;
ALTER TABLE pending_by_role RENAME TO pending_pairings;
";

/// What devices are pinned to, apart from what is shown of them. Those that were there are pinned when they come next.
const PINS: &str = "
ALTER TABLE devices ADD COLUMN pins TEXT NOT NULL DEFAULT '[]';
ALTER TABLE pending_pairings ADD COLUMN pins INTEGER NOT NULL DEFAULT 0;
";

/// Takes a file through the steps it has not taken yet, each in one transaction.
pub(super) fn migrate(connection: &mut Connection, path: &Path, steps: &[&str]) -> Result<(), String> {
    let taken: usize = connection
        .pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))
        .map_err(|error| format!("cannot be read: {error}"))? as usize;
    if taken > steps.len() {
        return Err(format!(
            "was written by a newer clawhost (state version {taken}, this one knows {}); run that version, or start \
             this one with another gateway.state_dir",
            steps.len()
        ));
    }
    if taken > 0 && taken < steps.len() {
        keep_copy(connection, path, taken)?;
    }
    for (number, step) in steps.iter().enumerate().skip(taken) {
        let version = number + 1;
        take(connection, step, version)
            .map_err(|error| format!("cannot be taken to state version {version}: {error}"))?;
    }
    Ok(())
}

fn take(connection: &mut Connection, step: &str, version: usize) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
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

    const STEPS: [&str; 2] = ["CREATE TABLE a(x); INSERT INTO a VALUES (1)", "ALTER TABLE a ADD COLUMN y"];

    fn open(path: &Path) -> Connection {
        Connection::open(path).unwrap()
    }

    #[test]
    fn an_old_file_is_kept_before_it_is_taken_forward() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let copy = directory.path().join("state.db.v1.bak");
        migrate(&mut open(&path), &path, &STEPS[..1]).unwrap();
        assert!(!copy.exists(), "an empty file needs no copy");
        migrate(&mut open(&path), &path, &STEPS).unwrap();
        open(&path).query_row("SELECT x, y FROM a", [], |_| Ok(())).unwrap();
        let old = open(&copy);
        assert_eq!(old.query_row("SELECT x FROM a", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
        assert!(old.prepare("SELECT y FROM a").is_err(), "the copy has the old shape");
        migrate(&mut open(&path), &path, &STEPS).unwrap();
    }

    #[test]
    fn who_waited_before_requests_had_a_role_waits_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        migrate(&mut open(&path), &path, &ALL[..1]).unwrap();
        let waiting = "INSERT INTO pending_pairings VALUES ('r', 'd', '{\"role\":\"node\"}', 7)";
        open(&path).execute_batch(waiting).unwrap();
        migrate(&mut open(&path), &path, ALL).unwrap();
        let kept = open(&path).query_row("SELECT device_id, role, ts FROM pending_pairings", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
        });
        assert_eq!(kept.unwrap(), ("d".to_string(), "node".to_string(), 7));
    }

    #[test]
    fn devices_from_before_there_were_pins_have_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        migrate(&mut open(&path), &path, &ALL[..2]).unwrap();
        let before = "INSERT INTO devices (device_id, public_key, platform, roles, scopes, approved_via, created_at_ms, \
                      approved_at_ms) VALUES ('d', 'k', 'linux', '[\"node\"]', '[]', 'owner', 1, 2)";
        open(&path).execute_batch(before).unwrap();
        migrate(&mut open(&path), &path, ALL).unwrap();
        let (devices, _) = crate::store::devices::load(&open(&path)).unwrap();
        assert_eq!((devices[0].platform.as_deref(), devices[0].pins.len()), (Some("linux"), 0));
    }

    #[test]
    fn a_newer_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        migrate(&mut open(&path), &path, &STEPS).unwrap();
        let error = migrate(&mut open(&path), &path, &STEPS[..1]).unwrap_err();
        assert!(error.contains("newer clawhost (state version 2, this one knows 1)"), "{error}");
    }

    #[test]
    fn a_failing_step_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        migrate(&mut open(&path), &path, &STEPS[..1]).unwrap();
        let broken = [STEPS[0], "CREATE TABLE b(x); nonsense"];
        assert!(migrate(&mut open(&path), &path, &broken).unwrap_err().contains("state version 2"));
        let connection = open(&path);
        assert!(connection.prepare("SELECT * FROM b").is_err());
        let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, 1);
    }
}
