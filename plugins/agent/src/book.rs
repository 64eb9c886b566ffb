//! The durable book of runs: `runs.db` in the plugin's folder. That a run was accepted, and how it ended, is on disk before
//! anybody is told. Whatever is to be written at one time is written in one transaction, so that a crowd of runs costs one
//! flush of the disk and not one each.
//!
//! A row says which process its run belongs to. What has not ended and belongs to another process will not end any more:
//! [`Book::open`] marks it as interrupted. Rows of this process belong to an instance that a reload replaced, and end by
//! themselves.

use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use plugin_api::contracts::run::{RunOutcome, status};
use plugin_api::{Host, MethodError};
use rusqlite::{Connection, OptionalExtension, params};

use crate::signal::Signal;

/// This process, so that a row tells whether its run can still be going on.
static PROCESS: LazyLock<String> = LazyLock::new(|| uuid::Uuid::new_v4().to_string());

/// What an interrupted run's outcome says.
pub const INTERRUPTED: &str = "The gateway stopped during this answer, so it was not finished.";

/// A run as it is accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// The run.
    pub run_id: String,
    /// The session, in its canonical spelling.
    pub session_key: String,
    /// Its conversation, if there is a store of them.
    pub session_id: Option<String>,
    /// The agent.
    pub agent_id: String,
    /// Why it runs.
    pub origin: String,
    /// When, in milliseconds since the epoch.
    pub accepted_at: u64,
}

/// What there is about a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// As it was accepted.
    pub accepted: Accepted,
    /// How it ended.
    pub outcome: Option<RunOutcome>,
}

enum Write {
    Accept(Accepted),
    Begin(String, u64),
    End(Box<RunOutcome>),
    Noted(String),
}

/// The book.
pub struct Book {
    connection: Mutex<Connection>,
    queue: Mutex<Queue>,
    keep_runs: u64,
}

type Done = Arc<Signal<Result<(), String>>>;

#[derive(Default)]
struct Queue {
    /// What waits to be written. Each run waits for one write at a time, and runs are bounded.
    writes: Vec<(Write, Done)>,
    is_writing: bool,
}

/// The book's file in the plugin's folder.
pub const FILE: &str = "runs.db";

/// Makes the book's file its owner's alone, before anything is written to it; those beside it follow.
pub fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let file = options.mode(0o600).open(folder.join(FILE))?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
    }
    #[cfg(not(unix))]
    options.open(folder.join(FILE))?;
    Ok(())
}

impl Book {
    /// Opens the book and marks what another process left unfinished.
    pub fn open(folder: &Path, keep_runs: u64) -> rusqlite::Result<Self> {
        Self::open_for(folder, keep_runs, &PROCESS)
    }

    /// As [`Book::open`], for a process of this name.
    pub fn open_for(folder: &Path, keep_runs: u64, process: &str) -> rusqlite::Result<Self> {
        let mut connection = Connection::open(folder.join(FILE))?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS runs (
                place INTEGER PRIMARY KEY AUTOINCREMENT,
                run_id TEXT NOT NULL UNIQUE,
                session_key TEXT NOT NULL,
                session_id TEXT,
                agent_id TEXT NOT NULL,
                origin TEXT NOT NULL,
                process TEXT NOT NULL,
                state TEXT NOT NULL,
                accepted_at INTEGER NOT NULL,
                started_at INTEGER,
                ended_at INTEGER,
                outcome TEXT,
                noted INTEGER NOT NULL DEFAULT 1
            ) STRICT;
            CREATE INDEX IF NOT EXISTS runs_by_state ON runs (state, noted);",
        )?;
        interrupt(&mut connection, process)?;
        Ok(Book { connection: Mutex::new(connection), queue: Mutex::default(), keep_runs })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes that a run was accepted; durable when it returns.
    pub async fn accept(self: &Arc<Self>, host: &Host, run: Accepted) -> Result<(), MethodError> {
        self.write(host, Write::Accept(run)).await
    }

    /// Writes that a run began, some time.
    pub fn begin(self: &Arc<Self>, host: &Host, run_id: &str, at: u64) {
        self.put(host, Write::Begin(run_id.to_string(), at));
    }

    /// Writes how a run ended, some time.
    pub fn end_later(self: &Arc<Self>, host: &Host, outcome: &RunOutcome) {
        self.put(host, Write::End(Box::new(outcome.clone())));
    }

    /// Writes how a run ended; durable when it returns.
    pub async fn end(self: &Arc<Self>, host: &Host, outcome: &RunOutcome) -> Result<(), MethodError> {
        self.write(host, Write::End(Box::new(outcome.clone()))).await
    }

    /// Writes that the transcript of an interrupted run says so.
    pub async fn noted(self: &Arc<Self>, host: &Host, run_id: &str) -> Result<(), MethodError> {
        self.write(host, Write::Noted(run_id.to_string())).await
    }

    async fn write(self: &Arc<Self>, host: &Host, write: Write) -> Result<(), MethodError> {
        let done = self.put(host, write);
        done.wait().await.map_err(|why| MethodError::unavailable("the book of runs could not be written").log(why))
    }

    fn put(self: &Arc<Self>, host: &Host, write: Write) -> Done {
        let done = Done::default();
        let is_first = {
            let mut queue = self.queue();
            queue.writes.push((write, done.clone()));
            !std::mem::replace(&mut queue.is_writing, true)
        };
        if is_first {
            let book = self.clone();
            // The job runs whether or not somebody waits for it here.
            drop(host.blocking(move || book.write_all()));
        }
        done
    }

    /// Writes until nothing waits any more.
    fn write_all(&self) {
        loop {
            let writes = {
                let mut queue = self.queue();
                if queue.writes.is_empty() {
                    queue.is_writing = false;
                    return;
                }
                std::mem::take(&mut queue.writes)
            };
            let written = self.write_together(writes.iter().map(|(write, _)| write)).map_err(|error| error.to_string());
            writes.iter().for_each(|(_, done)| {
                done.set(written.clone());
            });
        }
    }

    fn write_together<'a>(&self, writes: impl Iterator<Item = &'a Write>) -> rusqlite::Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let mut has_ended = false;
        for write in writes {
            match write {
                Write::Accept(run) => transaction.execute(
                    "INSERT INTO runs (run_id, session_key, session_id, agent_id, origin, process, state, accepted_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'accepted', ?7)",
                    params![
                        run.run_id,
                        run.session_key,
                        run.session_id,
                        run.agent_id,
                        run.origin,
                        *PROCESS,
                        run.accepted_at as i64,
                    ],
                )?,
                Write::Begin(run_id, at) => transaction.execute(
                    "UPDATE runs SET state = 'running', started_at = ?2 WHERE run_id = ?1 AND outcome IS NULL",
                    params![run_id, *at as i64],
                )?,
                Write::End(outcome) => {
                    has_ended = true;
                    transaction.execute(
                        "UPDATE runs SET state = ?2, started_at = ?3, ended_at = ?4, outcome = ?5, noted = ?6
                         WHERE run_id = ?1 AND outcome IS NULL",
                        params![
                            outcome.run_id,
                            outcome.status,
                            outcome.started_at.map(|at| at as i64),
                            outcome.ended_at as i64,
                            serde_json::to_string(outcome).unwrap_or_default(),
                            outcome.status != status::INTERRUPTED,
                        ],
                    )?
                }
                Write::Noted(run_id) => {
                    transaction.execute("UPDATE runs SET noted = 1 WHERE run_id = ?1", params![run_id])?
                }
            };
        }
        if has_ended {
            transaction.execute(
                "DELETE FROM runs WHERE outcome IS NOT NULL AND noted = 1
                 AND place <= (SELECT max(place) FROM runs) - ?1",
                params![self.keep_runs as i64],
            )?;
        }
        transaction.commit()
    }

    /// What there is about a run.
    pub async fn look_up(self: &Arc<Self>, host: &Host, run_id: &str) -> Result<Option<Entry>, MethodError> {
        let (book, run_id) = (self.clone(), run_id.to_string());
        let found = host.blocking(move || book.find(&run_id)).await?;
        found.map_err(|error| MethodError::unavailable("the book of runs could not be read").log(error))
    }

    fn find(&self, run_id: &str) -> rusqlite::Result<Option<Entry>> {
        self.connection()
            .prepare_cached(&format!("{COLUMNS} WHERE run_id = ?1"))?
            .query_row(params![run_id], read_entry)
            .optional()
    }

    /// Interrupted runs whose transcripts do not say so yet, the oldest first.
    pub async fn unnoted(self: &Arc<Self>, host: &Host) -> Result<Vec<Entry>, MethodError> {
        let book = self.clone();
        let found = host.blocking(move || book.find_unnoted()).await?;
        found.map_err(|error| MethodError::unavailable("the book of runs could not be read").log(error))
    }

    fn find_unnoted(&self) -> rusqlite::Result<Vec<Entry>> {
        self.connection()
            .prepare(&format!("{COLUMNS} WHERE state = 'interrupted' AND noted = 0 ORDER BY place LIMIT 10000"))?
            .query_map([], read_entry)?
            .collect()
    }
}

const COLUMNS: &str = "SELECT run_id, session_key, session_id, agent_id, origin, accepted_at, outcome FROM runs";

fn read_entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    let outcome: Option<String> = row.get(6)?;
    Ok(Entry {
        accepted: Accepted {
            run_id: row.get(0)?,
            session_key: row.get(1)?,
            session_id: row.get(2)?,
            agent_id: row.get(3)?,
            origin: row.get(4)?,
            accepted_at: row.get::<_, i64>(5)? as u64,
        },
        outcome: outcome.and_then(|text| serde_json::from_str(&text).ok()),
    })
}

/// The outcome of a run that the gateway's end cut short.
pub fn interrupted(run: &Accepted, started_at: Option<u64>) -> RunOutcome {
    RunOutcome {
        run_id: run.run_id.clone(),
        status: status::INTERRUPTED.to_string(),
        session_key: run.session_key.clone(),
        agent_id: run.agent_id.clone(),
        started_at,
        ended_at: schemas::now_ms(),
        error: Some(INTERRUPTED.to_string()),
        error_code: Some("INTERRUPTED".to_string()),
        ..RunOutcome::default()
    }
}

fn interrupt(connection: &mut Connection, process: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let left: Vec<(Entry, Option<i64>)> = transaction
        .prepare(
            "SELECT run_id, session_key, session_id, agent_id, origin, accepted_at, outcome, started_at FROM runs
             WHERE outcome IS NULL AND process <> ?1",
        )?
        .query_map(params![process], |row| Ok((read_entry(row)?, row.get(7)?)))?
        .collect::<Result<_, _>>()?;
    for (entry, started_at) in left {
        let outcome = interrupted(&entry.accepted, started_at.map(|at| at as u64));
        transaction.execute(
            "UPDATE runs SET state = 'interrupted', ended_at = ?2, outcome = ?3, noted = 0 WHERE run_id = ?1",
            params![
                entry.accepted.run_id,
                outcome.ended_at as i64,
                serde_json::to_string(&outcome).unwrap_or_default()
            ],
        )?;
    }
    transaction.commit()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A run of a process that is no more, as a crash leaves it.
    pub fn leave_behind(folder: &Path, run_id: &str, session_key: &str) {
        let book = Book::open_for(folder, 10, "another").expect("a book");
        let run = Accepted {
            run_id: run_id.to_string(),
            session_key: session_key.to_string(),
            session_id: Some("s-1".to_string()),
            agent_id: "main".to_string(),
            origin: "client".to_string(),
            accepted_at: 1,
        };
        book.write_together([Write::Accept(run), Write::Begin(run_id.to_string(), 2)].iter()).expect("a row");
        let changed = book.connection().execute("UPDATE runs SET process = 'dead' WHERE run_id = ?1", params![run_id]);
        assert_eq!(changed, Ok(1));
    }

    fn outcome(run_id: &str) -> RunOutcome {
        RunOutcome { run_id: run_id.to_string(), status: status::OK.to_string(), ended_at: 5, ..RunOutcome::default() }
    }

    #[test]
    fn what_another_process_left_is_interrupted_once() {
        let folder = tempfile::tempdir().expect("a folder");
        leave_behind(folder.path(), "r", "agent:main:main");
        let book = Book::open(folder.path(), 10).expect("a book");
        let found = book.find("r").expect("a look").expect("a row").outcome.expect("an outcome");
        assert_eq!((found.status.as_str(), found.started_at), ("interrupted", Some(2)));
        assert_eq!(found.error.as_deref(), Some(INTERRUPTED));
        assert_eq!(book.find_unnoted().expect("a look").len(), 1);
        book.write_together([Write::Noted("r".to_string())].iter()).expect("a write");
        drop(book);
        let book = Book::open(folder.path(), 10).expect("a book");
        assert_eq!(book.find_unnoted().expect("a look"), []);
        assert_eq!(book.find("r").expect("a look").expect("a row").outcome, Some(found));
    }

    #[test]
    fn runs_of_this_process_go_on_and_the_oldest_ended_ones_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let book = Book::open(folder.path(), 2).expect("a book");
        for place in 0..5 {
            let run = Accepted {
                run_id: format!("r{place}"),
                session_key: "agent:main:main".to_string(),
                session_id: None,
                agent_id: "main".to_string(),
                origin: "cron".to_string(),
                accepted_at: place,
            };
            book.write_together([Write::Accept(run)].iter()).expect("a row");
        }
        let again = Book::open(folder.path(), 2).expect("another instance's book");
        assert_eq!(again.find("r0").expect("a look").expect("a row").outcome, None);
        for place in [1, 2, 4] {
            again.write_together([Write::End(Box::new(outcome(&format!("r{place}"))))].iter()).expect("an end");
        }
        let is_there = |run_id| again.find(run_id).expect("a look").is_some();
        assert!(is_there("r0") && is_there("r3") && is_there("r4"), "what has not ended stays");
        assert!(!is_there("r1") && !is_there("r2"));
        let second = RunOutcome { status: status::ERROR.to_string(), ..outcome("r4") };
        again.write_together([Write::End(Box::new(second))].iter()).expect("no end");
        assert_eq!(again.find("r4").expect("a look").expect("a row").outcome, Some(outcome("r4")), "one end");
    }
}
