//! The gateway's durable state: one SQLite file that one thread has open. Others hand that thread closures; it runs them
//! in order, so nobody waits for a lock and no async worker ever waits for a disk. What cannot be read is an error at
//! start, and nothing is written over it.

pub mod devices;
pub mod idempotency;
pub mod kv;
mod migrations;

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::{mpsc, oneshot};

/// Jobs that may wait for the disk. Past this the disk is not keeping up, and callers hear so.
const QUEUE: usize = 4096;

/// Why the store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// Too many writes wait for the disk already.
    Busy,
    /// The store is closed, or the job ended without an answer.
    Closed,
    /// The file, and SQLite's own words.
    Failed(String),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::Busy => write!(f, "{QUEUE} writes are waiting for the disk already"),
            StoreError::Closed => f.write_str("the store is closed"),
            StoreError::Failed(cause) => f.write_str(cause),
        }
    }
}

impl std::error::Error for StoreError {}

/// Tells whether it did what it was for.
type Job = Box<dyn FnOnce(&mut Connection) -> bool + Send>;

/// A handle to the open state file; clones share it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    failures: Arc<AtomicU64>,
    finished: tokio::sync::watch::Receiver<bool>,
}

impl Store {
    /// Opens or creates the state file, migrates it, and starts its thread. The error names the file and what to do.
    pub fn open(path: &Path) -> Result<Self, String> {
        let in_file = |cause: String| format!("{}: {cause}", path.display());
        create_private(path).map_err(in_file)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection =
            Connection::open_with_flags(path, flags).map_err(|error| in_file(format!("cannot be opened: {error}")))?;
        prepare(&mut connection).map_err(in_file)?;
        migrations::migrate(&mut connection, path, migrations::ALL).map_err(in_file)?;
        Self::start(connection, path.to_path_buf())
    }

    /// A store in memory, for tests.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        let mut connection = Connection::open_in_memory().expect("memory is there");
        connection.pragma_update(None, "foreign_keys", true).expect("a known pragma");
        migrations::migrate(&mut connection, Path::new(":memory:"), migrations::ALL).expect("an empty database");
        Self::start(connection, PathBuf::new()).expect("a thread can be started")
    }

    /// A store in memory whose jobs are done where the future is polled, for tests that decide who goes on.
    #[cfg(all(test, feature = "schedules"))]
    pub(crate) fn driven() -> (Self, impl Future<Output = ()> + Send) {
        let mut connection = Connection::open_in_memory().expect("memory is there");
        migrations::migrate(&mut connection, Path::new(":memory:"), migrations::ALL).expect("an empty database");
        let (sender, mut jobs) = mpsc::channel::<Job>(QUEUE);
        let (_, finished) = tokio::sync::watch::channel(true);
        let (jobs_of, failures) = (Mutex::new(Some(sender)), Arc::default());
        let shared = Shared { path: PathBuf::new(), jobs: jobs_of, failures, finished };
        let doing = async move {
            while let Some(job) = jobs.recv().await {
                job(&mut connection);
            }
        };
        (Store { shared: Arc::new(shared) }, doing)
    }

    fn start(mut connection: Connection, path: PathBuf) -> Result<Self, String> {
        let (sender, mut jobs) = mpsc::channel::<Job>(QUEUE);
        let (done, finished) = tokio::sync::watch::channel(false);
        let failures = Arc::new(AtomicU64::new(0));
        let failed = failures.clone();
        let run = move || {
            while let Some(job) = jobs.blocking_recv() {
                // A job that panics has lost its transaction, not the thread that everybody shares.
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&mut connection)));
                if !matches!(outcome, Ok(true)) {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                if outcome.is_err() {
                    tracing::error!("a job of the store panicked; its transaction was rolled back");
                }
            }
            if let Err((_, error)) = connection.close() {
                tracing::error!(%error, "the state file could not be closed properly");
            }
            let _ = done.send(true);
        };
        std::thread::Builder::new()
            .name("clawhost-store".to_string())
            .spawn(run)
            .map_err(|error| format!("cannot start the store's thread: {error}"))?;
        Ok(Store { shared: Arc::new(Shared { path, jobs: Mutex::new(Some(sender)), failures, finished }) })
    }

    /// The file this store keeps its content in.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Jobs that wait for the disk.
    pub fn waiting(&self) -> usize {
        let jobs = self.shared.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.as_ref().map_or(0, |sender| sender.max_capacity() - sender.capacity())
    }

    /// Jobs that failed, or for which there was no room.
    pub fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// Runs a closure on the store's thread and waits for its result without blocking the worker.
    ///
    /// Dropping the returned future does not take the closure back.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(Box::new(move |connection| {
            let done = job(connection);
            let well = done.is_ok();
            let _ = reply.send(done);
            well
        }))?;
        let failed = |error: rusqlite::Error| StoreError::Failed(format!("{}: {error}", self.shared.path.display()));
        answer.await.map_err(|_| StoreError::Closed)?.map_err(failed)
    }

    /// Runs a closure on the store's thread; a failure is logged. For writes nobody waits for.
    pub fn submit(
        &self,
        what: &'static str,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        let queued = self.enqueue(Box::new(move |connection| {
            let done = job(connection);
            if let Err(error) = &done {
                tracing::error!(file = %shared.path.display(), %error, what, "a write to the state file failed");
            }
            done.is_ok()
        }));
        queued.inspect_err(|error| tracing::error!(%error, what, "a write to the state file was not accepted"))
    }

    /// Takes no further jobs, finishes those that wait, and closes the file.
    pub async fn close(&self) {
        let sender = self.shared.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(sender);
        let mut finished = self.shared.finished.clone();
        // An error says that the thread is gone, which is what is waited for.
        let _ = finished.wait_for(|done| *done).await;
    }

    fn enqueue(&self, job: Job) -> Result<(), StoreError> {
        let jobs = self.shared.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = jobs.as_ref().ok_or(StoreError::Closed)?;
        sender.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                self.shared.failures.fetch_add(1, Ordering::Relaxed);
                StoreError::Busy
            }
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })
    }
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

fn prepare(connection: &mut Connection) -> Result<(), String> {
    let failed = |error: rusqlite::Error| match remedy(&error) {
        Some(remedy) => format!("cannot be opened ({error}); {remedy}"),
        None => {
            format!(
                "is not a readable state file ({error}); move it away or restore a backup; nothing was written to it"
            )
        }
    };
    connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(failed)?;
    let check: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(failed)?;
    if check != "ok" {
        return Err(format!("is damaged ({check}); restore a backup; nothing was written to it"));
    }
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        return Err(format!("lies on a file system without shared memory for SQLite (journal mode {mode})"));
    }
    connection.pragma_update(None, "synchronous", "full").map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn what_is_written_is_there_after_closing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        runtime().block_on(async {
            let store = Store::open(&path).unwrap();
            store.submit("test", |db| db.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES (7)")).unwrap();
            store.close().await;
            assert_eq!(store.run(|_| Ok(())).await, Err(StoreError::Closed));
            let store = Store::open(&path).unwrap();
            let read = store.run(|db| db.query_row("SELECT x FROM t", [], |row| row.get::<_, i64>(0))).await;
            assert_eq!(read, Ok(7));
            let settings = store
                .run(|db| {
                    let synchronous: i64 = db.pragma_query_value(None, "synchronous", |row| row.get(0))?;
                    let foreign_keys: i64 = db.pragma_query_value(None, "foreign_keys", |row| row.get(0))?;
                    Ok((synchronous, foreign_keys))
                })
                .await;
            assert_eq!(settings, Ok((2, 1)));
        });
    }

    #[test]
    fn a_job_that_fails_or_panics_leaves_the_store_working() {
        runtime().block_on(async {
            let store = Store::in_memory();
            let failed = store.run(|db| db.execute_batch("nonsense")).await;
            assert!(matches!(failed, Err(StoreError::Failed(_))), "{failed:?}");
            let panicked = store.run(|_| -> rusqlite::Result<()> { panic!("on purpose") }).await;
            assert_eq!(panicked, Err(StoreError::Closed));
            assert_eq!(store.run(|_| Ok(1)).await, Ok(1));
            assert_eq!(store.failures(), 2);
        });
    }

    #[test]
    fn a_full_queue_is_an_error_and_not_a_wait() {
        runtime().block_on(async {
            let store = Store::in_memory();
            let (release, held) = std::sync::mpsc::channel::<()>();
            let (entered, inside) = oneshot::channel();
            store
                .submit("holds the thread", move |_| {
                    let _ = entered.send(());
                    let _ = held.recv();
                    Ok(())
                })
                .unwrap();
            inside.await.unwrap();
            for _ in 0..QUEUE {
                store.submit("waits", |_| Ok(())).unwrap();
            }
            assert_eq!((store.waiting(), store.failures()), (QUEUE, 0));
            assert_eq!(store.run(|_| Ok(())).await, Err(StoreError::Busy));
            assert_eq!(store.failures(), 1);
            drop(release);
            store.close().await;
        });
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        fs::write(&path, b"").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let store = Store::open(&path).unwrap();
        for name in ["state.db", "state.db-wal", "state.db-shm"] {
            let mode = fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        runtime().block_on(store.close());
    }

    #[test]
    fn what_cannot_be_read_is_fatal_and_stays_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let garbage = b"this is not a database, but somebody may want it back".repeat(40);
        fs::write(&path, &garbage).unwrap();
        let error = Store::open(&path).err().unwrap();
        assert!(error.contains("state.db") && error.contains("restore a backup"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), garbage);
    }
}
