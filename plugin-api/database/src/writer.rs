//! Writes, many to a transaction. Whoever writes leaves a job and waits; one thread at a time takes what has gathered, runs
//! it in one transaction, and answers all of it after the commit. So a thousand runs that append at once share a few
//! waits for the disk, and each of them is answered when its own rows are on it.
//!
//! Every job has a savepoint of its own: one that fails takes back what it did, and nothing of the others.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use plugin_api::{Host, MethodError};
use rusqlite::{Connection, TransactionBehavior};

use crate::{Answer, Shape, file, lock, reply};

/// Jobs of one transaction; more are left for the next.
const BATCH: usize = 512;

/// Jobs that wait for the disk, and the connection that writes.
pub struct Writer {
    path: PathBuf,
    shape: Shape,
    connection: Mutex<Option<Connection>>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Box<dyn Job>>,
    /// A thread sees to the jobs, or is about to.
    is_served: bool,
}

/// Something to be written.
trait Job: Send {
    /// Does it; `false` says that it is to be taken back.
    fn run(&mut self, connection: &Connection) -> bool;
    /// The transaction was committed, or why it was not.
    fn finish(self: Box<Self>, committed: Result<(), &MethodError>);
}

impl Writer {
    /// Of this file, which is opened when it is needed.
    pub fn new(path: PathBuf, shape: Shape) -> Self {
        Writer { path, shape, connection: Mutex::default(), queue: Mutex::default() }
    }

    /// Opens the file, if it is not open. The error names it.
    pub fn open(&self) -> Result<(), String> {
        self.opened(&mut lock(&self.connection)).map(drop)
    }

    fn opened<'a>(&self, connection: &'a mut Option<Connection>) -> Result<&'a mut Connection, String> {
        if let Some(connection) = connection {
            return Ok(connection);
        }
        let opened = file::open(&self.path, &self.shape).map_err(|why| format!("{}: {why}", self.path.display()))?;
        Ok(connection.insert(opened))
    }

    /// Runs a job in a transaction, and `after` when that is on the disk, in the order of the commits.
    pub fn write<T: Send + 'static>(
        self: &Arc<Self>,
        host: &Host,
        job: impl FnOnce(&Connection) -> Result<T, MethodError> + Send + 'static,
        after: impl FnOnce(&T) + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = reply::channel();
        let must_serve = {
            let mut queue = lock(&self.queue);
            match self.shape.max_queue {
                Some((most, limit)) if queue.jobs.len() >= most => {
                    let full =
                        format!("{most} writes of {} are waiting for the disk already ({limit})", self.shape.holds);
                    reply.send(Err(MethodError::unavailable(full).retryable()));
                    return Answer(answer);
                }
                _ => {}
            }
            let writer = self.clone();
            let job = move |db: &Connection| job(db).map_err(|error| writer.in_file(error));
            let why = self.unwritten("the job panicked");
            queue.jobs.push_back(Box::new(Typed { job: Some(job), after, result: Err(why), reply }));
            !std::mem::replace(&mut queue.is_served, true)
        };
        if must_serve {
            let serving = Serving { writer: self.clone(), is_done: false };
            // Not waited for: it serves others' jobs too, and goes on when this call is over.
            drop(host.blocking(move || serving.serve()));
        }
        Answer(answer)
    }

    /// Runs a job in a transaction of its own, on this thread.
    pub fn write_here<T>(&self, job: impl FnOnce(&Connection) -> Result<T, MethodError>) -> Result<T, MethodError> {
        let mut connection = lock(&self.connection);
        let connection = self.opened(&mut connection).map_err(|why| self.unreadable(why))?;
        let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = begun.map_err(|error| self.in_file(error.into()))?;
        let done = job(&transaction).map_err(|error| self.in_file(error))?;
        transaction.commit().map_err(|error| self.in_file(error.into()))?;
        Ok(done)
    }

    /// The file cannot be opened.
    pub fn unreadable(&self, why: String) -> MethodError {
        let holds = self.shape.holds;
        MethodError::unavailable(format!("the {holds} cannot be read; the gateway's log has the details")).log(why)
    }

    /// The same error. Where the log is told a cause, it is told the file as well.
    pub fn in_file(&self, error: MethodError) -> MethodError {
        match error.detail_for_log().map(|detail| format!("{}: {detail}", self.path.display())) {
            Some(detail) => error.log(detail),
            None => error,
        }
    }

    fn unwritten(&self, why: impl std::fmt::Display) -> MethodError {
        let said = format!("the {} could not be written; the gateway's log has the details", self.shape.holds);
        self.in_file(MethodError::unavailable(said).retryable().log(why))
    }

    fn commit(&self, connection: &mut MutexGuard<'_, Option<Connection>>, mut batch: Vec<Box<dyn Job>>) {
        let committed = match self.opened(connection) {
            Ok(connection) => in_transaction(connection, &mut batch).map_err(|error| self.unwritten(error)),
            Err(why) => Err(self.unreadable(why)),
        };
        for job in batch {
            // Where the end of one panics, those after it are answered all the same: they are on the disk.
            let _ = catch_unwind(AssertUnwindSafe(|| job.finish(committed.as_ref().copied())));
        }
    }
}

/// The duty to see to the jobs. Given up, it fails those that wait: nobody else would come for them.
struct Serving {
    writer: Arc<Writer>,
    is_done: bool,
}

impl Serving {
    fn serve(mut self) {
        let writer = self.writer.clone();
        let mut connection = lock(&writer.connection);
        loop {
            let batch: Vec<Box<dyn Job>> = {
                let mut queue = lock(&writer.queue);
                let count = queue.jobs.len().min(BATCH);
                if count == 0 {
                    queue.is_served = false;
                    self.is_done = true;
                    return;
                }
                queue.jobs.drain(..count).collect()
            };
            writer.commit(&mut connection, batch);
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let left = {
            let mut queue = lock(&self.writer.queue);
            queue.is_served = false;
            std::mem::take(&mut queue.jobs)
        };
        let why = self.writer.unwritten("the plugin stops");
        left.into_iter().for_each(|job| job.finish(Err(&why)));
    }
}

fn in_transaction(connection: &mut Connection, batch: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    // Dropped without a commit, it is rolled back: nothing of it stays open for the next one.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in batch {
        transaction.execute_batch("SAVEPOINT job")?;
        // A job that panics has lost its own work, not that of the others.
        let kept = catch_unwind(AssertUnwindSafe(|| job.run(&transaction))).unwrap_or(false);
        transaction.execute_batch(if kept { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" })?;
    }
    transaction.commit()
}

struct Typed<T, F, A> {
    job: Option<F>,
    after: A,
    /// What the job gave; until it has, that it gave nothing.
    result: Result<T, MethodError>,
    reply: reply::Sender<Result<T, MethodError>>,
}

impl<T, F, A> Job for Typed<T, F, A>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, MethodError> + Send,
    A: FnOnce(&T) + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let Some(job) = self.job.take() else { return false };
        self.result = job(connection);
        self.result.is_ok()
    }

    fn finish(self: Box<Self>, committed: Result<(), &MethodError>) {
        let Typed { job, after, result, reply } = *self;
        let failed = match (result, job, committed) {
            (Ok(value), _, Ok(())) => {
                after(&value);
                return reply.send(Ok(value));
            }
            // It had no turn, or what it did was taken back.
            (_, Some(_), Err(why)) | (Ok(_), _, Err(why)) => why.clone(),
            (Err(error), ..) => error,
        };
        // What waits for the commit is given up before anybody hears that there is none.
        drop(after);
        reply.send(Err(failed));
    }
}
