//! Opens a file: private, whole, of a form that is known, and with everything that is promised on the disk.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::{Shape, steps};

/// How long one instance waits for another one that writes.
const BUSY: Duration = Duration::from_secs(10);

/// The connection that writes, to a file that was made or taken through its steps where that was needed. Nothing is written
/// to a file that is refused.
pub fn open(path: &Path, shape: &Shape) -> Result<Connection, String> {
    create_private(path)?;
    let mut connection = connect(path).map_err(|error| format!("cannot be opened: {error}"))?;
    let unreadable = |error: rusqlite::Error| match (remedy(&error), shape.holds) {
        (Some(remedy), _) => format!("cannot be opened ({error}); {remedy}"),
        (None, holds) => format!(
            "is not a readable file of {holds} ({error}); move it away or restore a backup; nothing was written to it"
        ),
    };
    let taken = steps::taken(&connection, shape).map_err(unreadable)?;
    check(&connection, shape, taken).map_err(unreadable)??;
    steps::known(taken, shape.steps)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(unreadable)?;
    if mode != "wal" {
        return Err(format!("lies on a file system without shared memory for SQLite (journal mode {mode})"));
    }
    connection.pragma_update(None, "synchronous", "full").map_err(unreadable)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(unreadable)?;
    steps::migrate(&mut connection, path, shape)?;
    Ok(connection)
}

/// A connection as all are.
pub fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// What there is to do where nothing is wrong with the file itself.
fn remedy(error: &rusqlite::Error) -> Option<&'static str> {
    match error.sqlite_error_code()? {
        ErrorCode::DiskFull => Some("make room on its disk"),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => {
            Some("the gateway must be able to write to it and to its folder")
        }
        ErrorCode::SystemIoFailure => Some("look whether its disk is in order and has room"),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some("another program has it open; end that one"),
        _ => None,
    }
}

/// Looks at the file, or at the tables that everything hangs on.
fn check(connection: &Connection, shape: &Shape, taken: usize) -> rusqlite::Result<Result<(), String>> {
    let looks: Vec<String> = match (shape.checked, taken) {
        ([], _) => vec!["PRAGMA quick_check".to_string()],
        (_, 0) => Vec::new(),
        (tables, _) => tables.iter().map(|table| format!("PRAGMA quick_check('{table}')")).collect(),
    };
    for look in looks {
        let found: String = connection.query_row(&look, [], |row| row.get(0))?;
        if found != "ok" {
            return Ok(Err(format!("is damaged ({found}); restore a backup; nothing was written to it")));
        }
    }
    Ok(Ok(()))
}

/// Creates the file readable by its owner only, or takes those rights from everyone else. SQLite gives the files beside it
/// the same rights.
pub fn create_private(path: &Path) -> Result<(), String> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|error| format!("cannot be opened for writing: {error}"))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(|error| error.to_string())?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))
                .map_err(|error| format!("is open to other users and cannot be made private: {error}"))?;
        }
    }
    drop(file);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape::new("test.db", "tests", &["CREATE TABLE a (x)"]);

    #[test]
    fn what_cannot_be_read_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        let garbage = b"this is not a database, but somebody may want it back".repeat(40);
        fs::write(&path, &garbage).unwrap();
        let error = open(&path, &SHAPE).unwrap_err();
        assert!(error.contains("file of tests") && error.contains("restore a backup"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), garbage);
    }

    #[test]
    fn a_damaged_file_is_refused_as_a_whole_or_where_it_matters() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        const STEPS: &[&str] = &["CREATE TABLE a (x ANY) STRICT; CREATE TABLE b (x ANY) STRICT"];
        let shape = Shape::new("test.db", "tests", STEPS);
        let connection = open(&path, &shape).unwrap();
        // A row that breaks its table's rule, as no program can write it.
        let break_rule = "INSERT INTO a VALUES (1); PRAGMA writable_schema = 1;
             UPDATE sqlite_schema SET sql = 'CREATE TABLE a (x TEXT) STRICT' WHERE name = 'a'";
        connection.execute_batch(break_rule).unwrap();
        drop(connection);
        let error = open(&path, &shape).unwrap_err();
        assert!(error.contains("is damaged") && error.contains("restore a backup"), "{error}");
        assert!(open(&path, &shape.checked(&["a"])).is_err());
        open(&path, &shape.checked(&["b"])).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_private_and_what_is_promised_is_synced() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        fs::write(&path, b"").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let connection = open(&path, &SHAPE).unwrap();
        for name in ["test.db", "test.db-wal", "test.db-shm"] {
            let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let value = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((value("synchronous"), value("foreign_keys")), (2, 1), "FULL, and kept");
    }
}
