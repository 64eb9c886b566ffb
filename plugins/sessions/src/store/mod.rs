//! Sessions and transcripts on disk: one SQLite file in the plugin's folder. One connection writes (`writer.rs`), a few
//! read beside it. What cannot be read is an error at the start, and nothing is written over it.

mod migrations;
mod reply;
pub mod sessions;
pub mod transcripts;
mod writer;

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plugin_api::{Host, MethodError};
use rusqlite::{Connection, OpenFlags};

use writer::Writer;

/// Name of the file in the plugin's folder.
pub const FILE: &str = "sessions.db";
/// Connections that read at once; who comes while all are busy waits.
const READERS: usize = 4;

/// The open file; clones share it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    writer: Arc<Writer>,
    readers: [Mutex<Option<Connection>>; READERS],
    next_reader: AtomicUsize,
}

impl Store {
    /// Opens or creates the file in this folder and migrates it. The error names the file and what to do.
    pub fn open(folder: &Path, max_queue: usize) -> Result<Self, String> {
        let path = folder.join(FILE);
        let in_file = |cause: String| format!("{}: {cause}", path.display());
        create_private(&path).map_err(in_file)?;
        let mut connection = connect(&path).map_err(|error| in_file(format!("cannot be opened: {error}")))?;
        prepare(&connection).map_err(in_file)?;
        check(&connection).map_err(in_file)?;
        migrations::migrate(&mut connection, &path, migrations::ALL).map_err(in_file)?;
        let writer = Arc::new(Writer::new(connection, max_queue));
        let shared = Shared { path, writer, readers: Default::default(), next_reader: AtomicUsize::new(0) };
        Ok(Store { shared: Arc::new(shared) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Runs a job in a transaction, and `after` when that is on the disk. See [`Writer::write`].
    pub async fn write<T: Send + 'static>(
        &self,
        host: &Host,
        job: impl FnOnce(&Connection) -> Result<T, MethodError> + Send + 'static,
        after: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, MethodError> {
        self.shared.writer.write(host, job, after).await
    }

    /// Runs a job that reads: all of it sees the file at one moment.
    pub async fn read<T: Send + 'static>(
        &self,
        host: &Host,
        job: impl FnOnce(&Connection) -> Result<T, MethodError> + Send + 'static,
    ) -> Result<T, MethodError> {
        let shared = self.shared.clone();
        host.blocking(move || shared.read(job)).await?
    }
}

impl Shared {
    fn read<T>(&self, job: impl FnOnce(&Connection) -> Result<T, MethodError>) -> Result<T, MethodError> {
        let mut reader = self.reader();
        if reader.is_none() {
            let connection = connect(&self.path)?;
            connection.pragma_update(None, "query_only", true)?;
            *reader = Some(connection);
        }
        let Some(connection) = reader.as_ref() else { return Err(MethodError::unavailable("no connection reads")) };
        let snapshot = connection.unchecked_transaction()?;
        let result = job(connection);
        drop(snapshot);
        result
    }

    /// A connection that is free, or else the one whose turn it is.
    fn reader(&self) -> MutexGuard<'_, Option<Connection>> {
        if let Some(free) = self.readers.iter().find_map(|reader| reader.try_lock().ok()) {
            return free;
        }
        let turn = self.next_reader.fetch_add(1, Ordering::Relaxed) % READERS;
        self.readers[turn].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A count as SQLite takes it.
fn int(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count as SQLite gives it.
fn uint(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|count| count.max(0) as u64)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Creates the file readable by its owner only, or takes those rights from everyone else.
fn create_private(path: &Path) -> Result<(), String> {
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

fn prepare(connection: &Connection) -> Result<(), String> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(unreadable)?;
    if mode != "wal" {
        return Err(format!("lies on a file system without shared memory for SQLite (journal mode {mode})"));
    }
    connection.pragma_update(None, "synchronous", "full").map_err(unreadable)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(unreadable)
}

/// Looks at the tables that everything hangs on. Transcripts may be large, and are not read at each start.
fn check(connection: &Connection) -> Result<(), String> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(unreadable)?;
    let tables: &[&str] = if version == 0 { &[] } else { &["sessions", "conversations"] };
    for table in tables {
        let look = format!("PRAGMA quick_check('{table}')");
        let found: String = connection.query_row(&look, [], |row| row.get(0)).map_err(unreadable)?;
        if found != "ok" {
            return Err(format!("is damaged ({found}); restore a backup; nothing was written to it"));
        }
    }
    Ok(())
}

fn unreadable(error: rusqlite::Error) -> String {
    format!("is not a readable file of sessions ({error}); move it away or restore a backup; nothing was written to it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let garbage = b"this is not a database, but somebody may want it back".repeat(40);
        fs::write(&path, &garbage).unwrap();
        let error = Store::open(folder.path(), 8).err().unwrap();
        assert!(error.contains(FILE) && error.contains("restore a backup"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), garbage);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_private_and_what_is_promised_is_synced() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, b"").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let store = Store::open(folder.path(), 8).unwrap();
        for name in ["sessions.db", "sessions.db-wal", "sessions.db-shm"] {
            let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let settings = store.shared.writer.settings();
        assert_eq!(settings, (2, 1), "synchronous is FULL, foreign keys are kept");
    }
}
