//! What a plugin keeps that has to be there after a crash: one SQLite file in its folder, its owner's alone.
//!
//! What a transaction wrote is on the disk when its [`Answer`] comes. Transactions never run on a worker, and those that come
//! at one time are committed together (`writer`), so that a crowd of them waits for the disk a few times and not each for
//! itself. Jobs that read see the file at one moment, beside whoever writes.
//!
//! The file's form is a list of numbered steps ([`Shape`]); a file is taken through those that it has not taken yet, and a
//! copy of it is kept before that. What cannot be read, is damaged or was written by a newer program is an error that names
//! the file and what to do, and nothing is written over it. Nothing is mirrored in memory: two instances that follow each
//! other in a reload may have the file open at once.
//!
//! ```
//! use database::{Database, Shape};
//! use plugin_api::{Host, MethodError};
//!
//! const SHAPE: Shape = Shape::new("notes.db", "notes", &["CREATE TABLE notes (text TEXT NOT NULL) STRICT"]);
//!
//! async fn add(db: &Database, host: &Host, text: String) -> Result<(), MethodError> {
//!     db.transaction(host, move |db| {
//!         db.execute("INSERT INTO notes VALUES (?1)", [text])?;
//!         Ok(())
//!     })
//!     .await
//! }
//! ```

mod file;
mod reply;
mod steps;
mod writer;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll};

use plugin_api::{Host, MethodError};
pub use rusqlite;
use rusqlite::Connection;

use writer::Writer;

/// Connections that read at once; who comes while all are busy waits.
const READERS: usize = 4;

/// What a file is and holds.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    file: &'static str,
    holds: &'static str,
    steps: &'static [&'static str],
    first_table: Option<&'static str>,
    checked: &'static [&'static str],
    max_queue: Option<(usize, &'static str)>,
}

impl Shape {
    /// A file of this name in the plugin's folder. `holds` is what errors call its content, such as `jobs`. The steps are
    /// SQL; the file's `user_version` counts how many it has taken. A step that has been released never changes, and a new
    /// one is added at the end.
    pub const fn new(file: &'static str, holds: &'static str, steps: &'static [&'static str]) -> Self {
        Shape { file, holds, steps, first_table: None, checked: &[], max_queue: None }
    }

    /// A file with this table has taken the first step, though it does not say so: it was written before steps had numbers.
    pub const fn first_table(mut self, table: &'static str) -> Self {
        self.first_table = Some(table);
        self
    }

    /// Only these tables are looked at when the file is opened, since the rest is large.
    pub const fn checked(mut self, tables: &'static [&'static str]) -> Self {
        self.checked = tables;
        self
    }

    /// At most so many transactions wait for the disk; a further one is refused with the name of the limit. Without this,
    /// whoever writes has to be bounded.
    pub const fn max_queue(mut self, most: usize, limit: &'static str) -> Self {
        self.max_queue = Some((most, limit));
        self
    }
}

/// The file; clones share it.
#[derive(Clone)]
pub struct Database(Arc<Shared>);

struct Shared {
    path: PathBuf,
    writer: Arc<Writer>,
    readers: [Mutex<Option<Connection>>; READERS],
    next_reader: AtomicUsize,
}

impl Database {
    /// The file in this folder, opened when it is first needed: until then, and where it cannot be opened, each use tries.
    pub fn new(folder: &Path, shape: Shape) -> Self {
        let path = folder.join(shape.file);
        let writer = Arc::new(Writer::new(path.clone(), shape));
        Database(Arc::new(Shared { path, writer, readers: Default::default(), next_reader: AtomicUsize::new(0) }))
    }

    /// The file in this folder, opened or made now. The error names the file and what to do; it is for the operator.
    pub fn open(folder: &Path, shape: Shape) -> Result<Self, String> {
        let database = Self::new(folder, shape);
        database.0.writer.open()?;
        Ok(database)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Does all of it in the file, or nothing, where it may block. Transactions are done in the order in which they are
    /// asked for, whether or not somebody waits for their answers.
    pub fn transaction<T: Send + 'static>(
        &self,
        host: &Host,
        job: impl FnOnce(&Connection) -> Result<T, MethodError> + Send + 'static,
    ) -> Answer<T> {
        self.transaction_then(host, job, |_| ())
    }

    /// As [`Database::transaction`]; `after` runs when that is on the disk, in the order of the transactions.
    pub fn transaction_then<T: Send + 'static>(
        &self,
        host: &Host,
        job: impl FnOnce(&Connection) -> Result<T, MethodError> + Send + 'static,
        after: impl FnOnce(&T) + Send + 'static,
    ) -> Answer<T> {
        self.0.writer.write(host, job, after)
    }

    /// As [`Database::transaction`], on this thread, which may have to wait: for `start`, and for tests.
    pub fn transaction_here<T>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, MethodError>,
    ) -> Result<T, MethodError> {
        self.0.writer.write_here(job)
    }

    /// Runs a job that reads: all of it sees the file at one moment.
    pub async fn read<T: Send + 'static>(
        &self,
        host: &Host,
        job: impl FnOnce(&Connection) -> Result<T, MethodError> + Send + 'static,
    ) -> Result<T, MethodError> {
        let shared = self.0.clone();
        host.blocking(move || shared.read(job)).await?
    }

    /// As [`Database::read`], on this thread.
    pub fn read_here<T>(&self, job: impl FnOnce(&Connection) -> Result<T, MethodError>) -> Result<T, MethodError> {
        self.0.read(job)
    }
}

impl Shared {
    fn read<T>(&self, job: impl FnOnce(&Connection) -> Result<T, MethodError>) -> Result<T, MethodError> {
        let mut reader = self.reader();
        if reader.is_none() {
            // The writer makes the file and takes it through its steps.
            self.writer.open().map_err(|why| self.writer.unreadable(why))?;
            let reading = file::connect(&self.path).and_then(|connection| {
                connection.pragma_update(None, "query_only", true)?;
                Ok(connection)
            });
            *reader = Some(reading.map_err(|error| self.writer.in_file(error.into()))?);
        }
        let Some(connection) = reader.as_ref() else { return Err(MethodError::unavailable("no connection reads")) };
        let snapshot = connection.unchecked_transaction().map_err(|error| self.writer.in_file(error.into()))?;
        let result = job(connection).map_err(|error| self.writer.in_file(error));
        drop(snapshot);
        result
    }

    /// A connection that is free, or else the one whose turn it is.
    fn reader(&self) -> MutexGuard<'_, Option<Connection>> {
        let free = self.readers.iter().find_map(|reader| match reader.try_lock() {
            Ok(free) => Some(free),
            // A job that panicked is over, and its transaction with it.
            Err(TryLockError::Poisoned(free)) => Some(free.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        if let Some(free) = free {
            return free;
        }
        let turn = self.next_reader.fetch_add(1, Ordering::Relaxed) % READERS;
        lock(&self.readers[turn])
    }
}

/// What comes of a transaction. The transaction is done whether or not this is waited for.
pub struct Answer<T>(reply::Receiver<Result<T, MethodError>>);

impl<T> Future for Answer<T> {
    type Output = Result<T, MethodError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let lost = || MethodError::unavailable("a transaction ended without an answer").retryable();
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or_else(|| Err(lost())))
    }
}

/// A count as SQLite takes it.
pub fn int(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count as SQLite gives it.
pub fn uint(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|count| count.max(0) as u64)
}

/// A count as SQLite gives it, where there may be none.
pub fn optional_uint(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(|count| count.max(0) as u64))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
