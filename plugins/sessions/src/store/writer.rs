//! Writes, many to a transaction. Whoever writes leaves a job and waits; one thread at a time takes what has gathered, runs
//! it in one transaction, and answers all of it after the commit. So a thousand runs that append at once share a few
//! waits for the disk, and each of them is answered when its own messages are on it.
//!
//! Every job has a savepoint of its own: one that fails takes back what it did, and nothing of the others.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plugin_api::{Host, MethodError};
use rusqlite::Connection;

use super::reply;

/// Jobs of one transaction; more are left for the next.
const BATCH: usize = 512;

/// Jobs that wait for the disk, and the connection that writes.
pub struct Writer {
    connection: Mutex<Connection>,
    queue: Mutex<Queue>,
    most: usize,
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
    fn finish(self: Box<Self>, committed: Result<(), &str>);
}

impl Writer {
    /// Over this connection, with at most so many jobs waiting.
    pub fn new(connection: Connection, most: usize) -> Self {
        Writer { connection: Mutex::new(connection), queue: Mutex::default(), most }
    }

    #[cfg(test)]
    pub fn settings(&self) -> (i64, i64) {
        let connection = lock(&self.connection);
        let value = |name| connection.pragma_query_value(None, name, |row| row.get(0)).unwrap();
        (value("synchronous"), value("foreign_keys"))
    }

    /// Runs a job in a transaction, and `after` when that is on the disk, in the order of the commits. The job runs even
    /// if nobody waits for it any more.
    pub async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        host: &Host,
        job: impl FnOnce(&Connection) -> Result<T, MethodError> + Send + 'static,
        after: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, MethodError> {
        let (reply, answer) = reply::channel();
        let job = Typed { job: Some(job), after, result: None, reply };
        let must_serve = {
            let mut queue = lock(&self.queue);
            if queue.jobs.len() >= self.most {
                let full = format!("{} writes of sessions are waiting for the disk already (max_queue)", self.most);
                return Err(MethodError::unavailable(full).retryable());
            }
            queue.jobs.push_back(Box::new(job));
            !std::mem::replace(&mut queue.is_served, true)
        };
        if must_serve {
            let serving = Serving { writer: self.clone(), is_done: false };
            // Not waited for: it serves others' jobs too, and goes on when this call is over.
            drop(host.blocking(move || serving.serve()));
        }
        answer.await.unwrap_or_else(|| Err(unwritten("the job ended without an answer")))
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
        let connection = lock(&writer.connection);
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
            commit(&connection, batch);
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
        left.into_iter().for_each(|job| job.finish(Err("the plugin stops")));
    }
}

fn commit(connection: &Connection, mut batch: Vec<Box<dyn Job>>) {
    let committed = in_transaction(connection, &mut batch);
    if let Err(why) = &committed {
        // Nothing of a transaction that failed may stay open for the next one.
        let rolled_back = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
        debug_assert!(rolled_back, "a transaction can be rolled back: {why}");
    }
    for job in batch {
        job.finish(committed.as_ref().copied().map_err(String::as_str));
    }
}

fn in_transaction(connection: &Connection, batch: &mut [Box<dyn Job>]) -> Result<(), String> {
    let run = |sql: &str| connection.execute_batch(sql).map_err(|error| error.to_string());
    run("BEGIN IMMEDIATE")?;
    for job in batch {
        run("SAVEPOINT job")?;
        // A job that panics has lost its own work, not that of the others.
        let kept = catch_unwind(AssertUnwindSafe(|| job.run(connection))).unwrap_or(false);
        run(if kept { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" })?;
    }
    run("COMMIT")
}

struct Typed<T, F, A> {
    job: Option<F>,
    after: A,
    result: Option<Result<T, MethodError>>,
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
        let result = job(connection);
        let kept = result.is_ok();
        self.result = Some(result);
        kept
    }

    fn finish(self: Box<Self>, committed: Result<(), &str>) {
        let result = match (self.result, committed) {
            (Some(Ok(value)), Ok(())) => {
                (self.after)(&value);
                Ok(value)
            }
            (Some(Err(error)), _) => Err(error),
            (_, Err(why)) => Err(unwritten(why)),
            (None, Ok(())) => Err(unwritten("the job panicked")),
        };
        self.reply.send(result);
    }
}

fn unwritten(why: &str) -> MethodError {
    MethodError::unavailable("the session could not be written; the gateway's log has the details").retryable().log(why)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
