//! The durable book of runs: `runs.db` in the plugin's folder. That a run was accepted, and how it ended, is on disk before
//! anybody is told.
//!
//! A row says which process its run belongs to. What has not ended and belongs to another process will not end any more:
//! [`Book::open`] marks it as interrupted. Rows of this process belong to an instance that a reload replaced, and end by
//! themselves.

use std::path::Path;
use std::sync::LazyLock;

use database::rusqlite::{Connection, OptionalExtension, Result as SqlResult, Row, params};
use database::{Database, Shape, int, optional_uint, uint};
use plugin_api::contracts::Part;
use plugin_api::contracts::run::{RunOutcome, status};
use plugin_api::{Host, MethodError};

use crate::deliver::{Delivery, Wish};

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
    /// Where its answer shall go out.
    pub wish: Option<Wish>,
}

/// What there is about a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// As it was accepted.
    pub accepted: Accepted,
    /// How it ended.
    pub outcome: Option<RunOutcome>,
    /// What came of its answer's delivery.
    pub delivery: Option<Delivery>,
}

/// An answer that nobody knows to have gone out.
pub struct Undelivered {
    /// How its run ended.
    pub outcome: RunOutcome,
    /// Where it shall go.
    pub wish: Wish,
}

/// The book. What is written waits for the disk together with whatever else is to be written then; each run waits for one
/// write at a time, and runs are bounded.
pub struct Book {
    db: Database,
    keep_runs: u64,
}

/// A step that has been released never changes. Books of before the numbers have the first one.
const SHAPE: Shape = Shape::new("runs.db", "runs", &[FIRST, DELIVERIES, MESSAGES]).first_table("runs");

const FIRST: &str = "
CREATE TABLE runs (
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
CREATE INDEX runs_by_state ON runs (state, noted);
";

const DELIVERIES: &str = "
ALTER TABLE runs ADD COLUMN wish TEXT;
ALTER TABLE runs ADD COLUMN delivery TEXT;
CREATE INDEX runs_undelivered ON runs (place) WHERE wish IS NOT NULL AND delivery IS NULL;
";

/// What was said to an agent, for as long as the transcript may lack it.
const MESSAGES: &str = "ALTER TABLE runs ADD COLUMN message TEXT;";

impl Book {
    /// Opens the book and marks what another process left unfinished. The error is for the operator.
    pub fn open(folder: &Path, keep_runs: u64) -> Result<Self, String> {
        Self::open_for(folder, keep_runs, &PROCESS)
    }

    /// As [`Book::open`], for a process of this name.
    pub fn open_for(folder: &Path, keep_runs: u64, process: &str) -> Result<Self, String> {
        let db = Database::open(folder, SHAPE)?;
        db.transaction_here(|db| Ok(interrupt(db, process)?)).map_err(|error| error.to_string())?;
        Ok(Book { db, keep_runs })
    }

    /// Writes that a run was accepted, and for what message; durable when it returns.
    pub async fn accept(&self, host: &Host, run: Accepted, message: &[Part]) -> Result<(), MethodError> {
        let message = serde_json::to_string(message)?;
        self.db.transaction(host, move |db| accept(db, &run, &message)).await
    }

    /// Takes out a run that was refused after all, of which nobody was told.
    pub async fn forget(&self, host: &Host, run_id: &str) -> Result<(), MethodError> {
        let run_id = run_id.to_string();
        self.db.transaction(host, move |db| Ok(forget(db, &run_id)?)).await
    }

    /// Writes that a run began, some time.
    pub fn begin(&self, host: &Host, run_id: &str, at: u64) {
        let run_id = run_id.to_string();
        drop(self.db.transaction(host, move |db| Ok(begin(db, &run_id, at)?)));
    }

    /// Writes how a run ended; durable when what it gives was waited for, which nobody has to. That is the outcome that
    /// counts: another one if that was first.
    pub fn end(&self, host: &Host, outcome: &RunOutcome) -> database::Answer<RunOutcome> {
        let (outcome, keep_runs) = (outcome.clone(), self.keep_runs);
        self.db.transaction(host, move |db| end(db, &outcome, keep_runs))
    }

    /// Writes that the transcript of an interrupted run says so.
    pub async fn noted(&self, host: &Host, run_id: &str) -> Result<(), MethodError> {
        let run_id = run_id.to_string();
        self.db.transaction(host, move |db| Ok(note(db, &run_id)?)).await
    }

    /// Writes what came of the delivery of a run's answer; nothing where there was nothing to send.
    pub async fn delivered(&self, host: &Host, run_id: &str, what: Option<&Delivery>) -> Result<(), MethodError> {
        let (run_id, what) = (run_id.to_string(), serde_json::to_string(&what)?);
        self.db.transaction(host, move |db| Ok(delivered(db, &run_id, &what)?)).await
    }

    /// Answers that are not known to have gone out, the oldest first.
    pub async fn undelivered(&self, host: &Host) -> Result<Vec<Undelivered>, MethodError> {
        self.db.read(host, |db| Ok(undelivered(db)?)).await
    }

    /// What there is about a run.
    pub async fn look_up(&self, host: &Host, run_id: &str) -> Result<Option<Entry>, MethodError> {
        let run_id = run_id.to_string();
        self.db.read(host, move |db| Ok(find(db, &run_id)?)).await
    }

    /// What was said to the agent, of a run that goes on or was interrupted and whose transcript does not say so yet.
    pub async fn message(&self, host: &Host, run_id: &str) -> Result<Option<Vec<Part>>, MethodError> {
        let run_id = run_id.to_string();
        let text = self.db.read(host, move |db| Ok(message(db, &run_id)?)).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Interrupted runs whose transcripts do not say so yet, the oldest first.
    pub async fn unnoted(&self, host: &Host) -> Result<Vec<Entry>, MethodError> {
        self.db.read(host, |db| Ok(unnoted(db)?)).await
    }
}

fn accept(db: &Connection, run: &Accepted, message: &str) -> Result<(), MethodError> {
    let mut insert = db.prepare_cached(
        "INSERT INTO runs (run_id, session_key, session_id, agent_id, origin, process, state, accepted_at, wish, message)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'accepted', ?7, ?8, ?9)",
    )?;
    let Accepted { run_id, session_key, session_id, agent_id, origin, accepted_at, wish } = run;
    let wish = wish.as_ref().map(serde_json::to_string).transpose()?;
    let at = int(*accepted_at);
    insert.execute(params![run_id, session_key, session_id, agent_id, origin, *PROCESS, at, wish, message])?;
    Ok(())
}

fn forget(db: &Connection, run_id: &str) -> SqlResult<()> {
    db.prepare_cached("DELETE FROM runs WHERE run_id = ?1 AND outcome IS NULL")?.execute([run_id])?;
    Ok(())
}

fn begin(db: &Connection, run_id: &str, at: u64) -> SqlResult<()> {
    db.prepare_cached("UPDATE runs SET state = 'running', started_at = ?2 WHERE run_id = ?1 AND outcome IS NULL")?
        .execute(params![run_id, int(at)])?;
    Ok(())
}

/// Enters an outcome, the first one of its run, and forgets the oldest runs that ended. The one that is in the book then.
fn end(db: &Connection, outcome: &RunOutcome, keep_runs: u64) -> Result<RunOutcome, MethodError> {
    let mut update = db.prepare_cached(
        "UPDATE runs SET state = ?2, started_at = ?3, ended_at = ?4, outcome = ?5, noted = ?6,
         message = iif(?6, NULL, message) WHERE run_id = ?1 AND outcome IS NULL",
    )?;
    let is_first = update.execute(params![
        outcome.run_id,
        outcome.status,
        outcome.started_at.map(int),
        int(outcome.ended_at),
        serde_json::to_string(outcome)?,
        outcome.status != status::INTERRUPTED,
    ])? > 0;
    let kept = if is_first { None } else { find(db, &outcome.run_id)?.and_then(|entry| entry.outcome) };
    db.prepare_cached(
        "DELETE FROM runs WHERE outcome IS NOT NULL AND noted = 1 AND place <= (SELECT max(place) FROM runs) - ?1
         AND (wish IS NULL OR delivery IS NOT NULL OR state <> 'ok')",
    )?
    .execute([int(keep_runs)])?;
    Ok(kept.unwrap_or_else(|| outcome.clone()))
}

fn note(db: &Connection, run_id: &str) -> SqlResult<()> {
    db.prepare_cached("UPDATE runs SET noted = 1, message = NULL WHERE run_id = ?1")?.execute([run_id])?;
    Ok(())
}

fn message(db: &Connection, run_id: &str) -> SqlResult<Option<String>> {
    let text = db.prepare_cached("SELECT message FROM runs WHERE run_id = ?1")?.query_row([run_id], |row| row.get(0));
    text.optional().map(Option::flatten)
}

fn delivered(db: &Connection, run_id: &str, what: &str) -> SqlResult<()> {
    db.prepare_cached("UPDATE runs SET delivery = ?2 WHERE run_id = ?1")?.execute([run_id, what])?;
    Ok(())
}

fn undelivered(db: &Connection) -> SqlResult<Vec<Undelivered>> {
    let mut statement = db.prepare_cached(
        "SELECT outcome, wish FROM runs
         WHERE wish IS NOT NULL AND delivery IS NULL AND state = 'ok' ORDER BY place LIMIT 10000",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let read = |(outcome, wish): (String, String)| {
        Some(Undelivered { outcome: serde_json::from_str(&outcome).ok()?, wish: serde_json::from_str(&wish).ok()? })
    };
    rows.filter_map(|row| row.map(read).transpose()).collect()
}

fn find(db: &Connection, run_id: &str) -> SqlResult<Option<Entry>> {
    db.prepare_cached(&format!("{COLUMNS} WHERE run_id = ?1"))?.query_row([run_id], read_entry).optional()
}

fn unnoted(db: &Connection) -> SqlResult<Vec<Entry>> {
    db.prepare(&format!("{COLUMNS} WHERE state = 'interrupted' AND noted = 0 ORDER BY place LIMIT 10000"))?
        .query_map([], read_entry)?
        .collect()
}

const COLUMNS: &str = "SELECT run_id, session_key, session_id, agent_id, origin, accepted_at, outcome, wish, delivery, started_at FROM runs";

fn read_entry(row: &Row<'_>) -> SqlResult<Entry> {
    // What cannot be read is as if it were not there; only this plugin writes it.
    fn read<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> SqlResult<Option<T>> {
        let text: Option<String> = row.get(column)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }
    Ok(Entry {
        accepted: Accepted {
            run_id: row.get(0)?,
            session_key: row.get(1)?,
            session_id: row.get(2)?,
            agent_id: row.get(3)?,
            origin: row.get(4)?,
            accepted_at: uint(row, 5)?,
            wish: read(row, 7)?,
        },
        outcome: read(row, 6)?,
        delivery: read(row, 8)?,
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

/// Ends what another process left unfinished.
fn interrupt(db: &Connection, process: &str) -> SqlResult<()> {
    let left: Vec<(Entry, Option<u64>)> = db
        .prepare(&format!("{COLUMNS} WHERE outcome IS NULL AND process <> ?1"))?
        .query_map([process], |row| Ok((read_entry(row)?, optional_uint(row, 9)?)))?
        .collect::<Result<_, _>>()?;
    for (entry, started_at) in left {
        let outcome = interrupted(&entry.accepted, started_at);
        db.execute(
            "UPDATE runs SET state = 'interrupted', ended_at = ?2, outcome = ?3, noted = 0 WHERE run_id = ?1",
            params![entry.accepted.run_id, int(outcome.ended_at), serde_json::to_string(&outcome).unwrap_or_default()],
        )?;
    }
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use super::*;

    fn accepted(run_id: &str) -> Accepted {
        Accepted {
            run_id: run_id.to_string(),
            session_key: "agent:main:main".to_string(),
            session_id: Some("s-1".to_string()),
            agent_id: "main".to_string(),
            origin: "client".to_string(),
            accepted_at: 1,
            wish: None,
        }
    }

    /// Does it in the book, on this thread.
    fn now<T, E: Into<MethodError>>(book: &Book, job: impl FnOnce(&Connection) -> Result<T, E>) -> T {
        book.db.transaction_here(|db| job(db).map_err(Into::into)).expect("a transaction")
    }

    fn outcome_of(book: &Book, run_id: &str) -> Option<RunOutcome> {
        now(book, |db| find(db, run_id)).expect("a row").outcome
    }

    /// A run of a process that is no more, as a crash leaves it.
    pub fn leave_behind(folder: &Path, run_id: &str, session_key: &str) {
        let book = Book::open_for(folder, 10, "another").expect("a book");
        let run = Accepted { session_key: session_key.to_string(), ..accepted(run_id) };
        now(&book, |db| accept(db, &run, r#"[{"type":"text","text":"hello"}]"#));
        now(&book, |db| {
            begin(db, run_id, 2)?;
            db.execute("UPDATE runs SET process = 'dead' WHERE run_id = ?1", [run_id])
        });
    }

    /// An answer of such a run that has not gone out.
    pub fn leave_undelivered(folder: &Path, run_id: &str, text: &str) {
        let book = Book::open_for(folder, 10, "another").expect("a book");
        let wish = serde_json::json!({ "channel": "pigeon", "to": "anna", "account_id": null, "thread_id": null });
        let wish = Some(serde_json::from_value(wish).expect("a wish"));
        now(&book, |db| accept(db, &Accepted { wish, ..accepted(run_id) }, "[]"));
        now(&book, |db| end(db, &RunOutcome { text: text.to_string(), ..outcome(run_id) }, 10));
        now(&book, |db| db.execute("UPDATE runs SET process = 'dead' WHERE run_id = ?1", [run_id]));
    }

    fn outcome(run_id: &str) -> RunOutcome {
        RunOutcome { run_id: run_id.to_string(), status: status::OK.to_string(), ended_at: 5, ..RunOutcome::default() }
    }

    #[test]
    fn what_another_process_left_is_interrupted_once() {
        let folder = tempfile::tempdir().expect("a folder");
        leave_behind(folder.path(), "r", "agent:main:main");
        let book = Book::open(folder.path(), 10).expect("a book");
        let found = outcome_of(&book, "r").expect("an outcome");
        assert_eq!((found.status.as_str(), found.started_at), ("interrupted", Some(2)));
        assert_eq!(found.error.as_deref(), Some(INTERRUPTED));
        assert_eq!(now(&book, unnoted).len(), 1);
        now(&book, |db| note(db, "r"));
        drop(book);
        let book = Book::open(folder.path(), 10).expect("a book");
        assert_eq!(now(&book, unnoted), []);
        assert_eq!(outcome_of(&book, "r"), Some(found));
    }

    #[test]
    fn runs_of_this_process_go_on_and_the_oldest_ended_ones_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let book = Book::open(folder.path(), 2).expect("a book");
        for place in 0..5 {
            now(&book, |db| accept(db, &accepted(&format!("r{place}")), "[]"));
        }
        let again = Book::open(folder.path(), 2).expect("another instance's book");
        assert_eq!(outcome_of(&again, "r0"), None);
        let end_here = |outcome: &RunOutcome| again.db.transaction_here(|db| end(db, outcome, 2)).expect("an end");
        [1, 2, 4].iter().for_each(|place| drop(end_here(&outcome(&format!("r{place}")))));
        let is_there = |run_id| now(&again, |db| find(db, run_id)).is_some();
        assert!(is_there("r0") && is_there("r3") && is_there("r4"), "what has not ended stays");
        assert!(!is_there("r1") && !is_there("r2"));
        let counts = end_here(&RunOutcome { status: status::ERROR.to_string(), ..outcome("r4") });
        assert_eq!(counts, outcome("r4"), "whoever is second is told so");
        assert_eq!(outcome_of(&again, "r4"), Some(outcome("r4")), "one end");
    }

    /// As books were made before their form had a number.
    const OF_BEFORE: &str = "
        CREATE TABLE IF NOT EXISTS runs (
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
        CREATE INDEX IF NOT EXISTS runs_by_state ON runs (state, noted);
        INSERT INTO runs (run_id, session_key, agent_id, origin, process, state, accepted_at)
            VALUES ('r', 'agent:main:main', 'main', 'client', 'dead', 'accepted', 1);";

    #[test]
    fn a_book_of_before_the_numbers_opens() {
        let folder = tempfile::tempdir().expect("a folder");
        let old = Connection::open(folder.path().join("runs.db")).expect("a file");
        old.execute_batch(OF_BEFORE).expect("a book of before");
        drop(old);
        let book = Book::open(folder.path(), 10).expect("a book");
        assert_eq!(outcome_of(&book, "r").expect("an outcome").status, "interrupted");
        now(&book, |db| accept(db, &accepted("s"), "[]"));
    }
}
