//! Jobs and what came of them, on disk: one SQLite file in the plugin's folder. It is the truth, and nothing is mirrored:
//! two instances that follow each other in a reload see the same jobs. What cannot be read is an error, and nothing is
//! written over it.

use database::rusqlite::{Connection, OptionalExtension, Params, Result as SqlResult, Row, params};
use database::{Shape, int, optional_uint, uint};
use plugin_api::MethodError;
use serde::{Deserialize, Serialize};

use crate::job::{Job, RunStatus};

/// Name of the file in the plugin's folder.
pub const FILE: &str = "cron.db";
/// What is in it. A step that has been released never changes.
pub const SHAPE: Shape = Shape::new(FILE, "jobs", &[FIRST]);

const FIRST: &str = "
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    job TEXT NOT NULL,
    due_at INTEGER
) STRICT;
CREATE INDEX jobs_by_time ON jobs (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE runs (
    run_id TEXT PRIMARY KEY,
    job_id TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    accepted INTEGER NOT NULL DEFAULT 0,
    ended_at INTEGER,
    outcome TEXT
) STRICT;
CREATE INDEX runs_of_job ON runs (job_id, ended_at);
CREATE INDEX runs_open ON runs (started_at) WHERE ended_at IS NULL;
";

/// A run in the book.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub run_id: String,
    pub job_id: String,
    pub due_at: u64,
    pub started_at: u64,
    /// Whether the agent said that it has it.
    pub accepted: bool,
    pub ended_at: Option<u64>,
    pub outcome: Option<Outcome>,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub status: RunStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    pub duration_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at_ms: Option<u64>,
    /// The job's name then; it may be gone.
    #[serde(default)]
    pub job_name: String,
}

/// Every job.
pub fn jobs(db: &Connection) -> Result<Vec<Job>, MethodError> {
    let mut statement = db.prepare_cached("SELECT job FROM jobs ORDER BY rowid")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    rows.map(|json| parsed(&json?)).collect()
}

/// How many there are.
pub fn count(db: &Connection) -> Result<u64, MethodError> {
    Ok(db.query_row("SELECT count(*) FROM jobs", [], |row| uint(row, 0))?)
}

/// One of them.
pub fn job(db: &Connection, id: &str) -> Result<Option<Job>, MethodError> {
    let json: Option<String> = db.query_row("SELECT job FROM jobs WHERE id = ?1", [id], |row| row.get(0)).optional()?;
    json.map(|json| parsed(&json)).transpose()
}

/// Writes one.
pub fn save(db: &Connection, job: &Job) -> Result<(), MethodError> {
    let json = serde_json::to_string(job)?;
    db.execute(
        "INSERT INTO jobs (id, job, due_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET job = excluded.job, due_at = excluded.due_at",
        params![job.id, json, job.due_at().map(int)],
    )?;
    Ok(())
}

/// Takes one away; its runs stay in the book for a while.
pub fn remove(db: &Connection, id: &str) -> Result<bool, MethodError> {
    Ok(db.execute("DELETE FROM jobs WHERE id = ?1", [id])? > 0)
}

/// The one that is due first, if it is due by now; of those alone that somebody asked for, if only these shall run.
pub fn first_due(db: &Connection, now: u64, only_forced: bool) -> Result<Option<Job>, MethodError> {
    let first = "SELECT job FROM jobs WHERE due_at <= ?1 AND (NOT ?2 OR job ->> '$.forcedAtMs' IS NOT NULL)
                 ORDER BY due_at, rowid LIMIT 1";
    let json: Option<String> = db.query_row(first, params![int(now), only_forced], |row| row.get(0)).optional()?;
    json.map(|json| parsed(&json)).transpose()
}

/// When the next one is due.
pub fn next_due(db: &Connection) -> Result<Option<u64>, MethodError> {
    Ok(db.query_row("SELECT min(due_at) FROM jobs", [], |row| optional_uint(row, 0))?)
}

/// Enters a run that begins.
pub fn begin(db: &Connection, run_id: &str, job_id: &str, due_at: u64, started_at: u64) -> Result<(), MethodError> {
    db.execute(
        "INSERT INTO runs (run_id, job_id, due_at, started_at) VALUES (?1, ?2, ?3, ?4)",
        params![run_id, job_id, int(due_at), int(started_at)],
    )?;
    Ok(())
}

/// Notes that the agent has it.
pub fn accepted(db: &Connection, run_id: &str) -> Result<(), MethodError> {
    db.execute("UPDATE runs SET accepted = 1 WHERE run_id = ?1", [run_id])?;
    Ok(())
}

/// Notes how it ended, and forgets what is older than the last `kept` of the job, or of the jobs that are gone.
pub fn end(db: &Connection, run: &Run, ended_at: u64, outcome: &Outcome, kept: u64) -> Result<(), MethodError> {
    let json = serde_json::to_string(outcome)?;
    db.execute(
        "UPDATE runs SET ended_at = ?2, outcome = ?3 WHERE run_id = ?1 AND ended_at IS NULL",
        params![run.run_id, int(ended_at), json],
    )?;
    let old = "DELETE FROM runs WHERE run_id IN (SELECT run_id FROM runs WHERE ended_at IS NOT NULL AND ";
    let rest = " ORDER BY ended_at DESC, rowid DESC LIMIT -1 OFFSET ?1)";
    db.execute(&format!("{old} job_id = ?2 {rest}"), params![int(kept), run.job_id])?;
    db.execute(&format!("{old} job_id NOT IN (SELECT id FROM jobs) {rest}"), params![int(kept)])?;
    Ok(())
}

const COLUMNS: &str = "SELECT run_id, job_id, due_at, started_at, accepted, ended_at, outcome FROM runs";

/// One run.
pub fn run(db: &Connection, run_id: &str) -> Result<Option<Run>, MethodError> {
    let row = db.query_row(&format!("{COLUMNS} WHERE run_id = ?1"), [run_id], columns).optional()?;
    row.map(read).transpose()
}

/// Runs that began and did not end.
pub fn open_runs(db: &Connection) -> Result<Vec<Run>, MethodError> {
    collect(db, &format!("{COLUMNS} WHERE ended_at IS NULL ORDER BY started_at"), [])
}

/// Runs that ended, oldest first: those of a job, or all.
pub fn ended_runs(db: &Connection, job_id: Option<&str>) -> Result<Vec<Run>, MethodError> {
    let query =
        format!("{COLUMNS} WHERE ended_at IS NOT NULL AND (?1 IS NULL OR job_id = ?1) ORDER BY ended_at, rowid");
    collect(db, &query, [job_id])
}

type Columns = (Run, Option<String>);

fn collect(db: &Connection, query: &str, parameters: impl Params) -> Result<Vec<Run>, MethodError> {
    let mut statement = db.prepare_cached(query)?;
    let rows: Vec<Columns> = statement.query_map(parameters, columns)?.collect::<Result<_, _>>()?;
    rows.into_iter().map(read).collect()
}

fn columns(row: &Row<'_>) -> SqlResult<Columns> {
    let run = Run {
        run_id: row.get(0)?,
        job_id: row.get(1)?,
        due_at: uint(row, 2)?,
        started_at: uint(row, 3)?,
        accepted: row.get(4)?,
        ended_at: optional_uint(row, 5)?,
        outcome: None,
    };
    Ok((run, row.get(6)?))
}

fn read((mut run, outcome): Columns) -> Result<Run, MethodError> {
    run.outcome = outcome.map(|json| parsed(&json)).transpose()?;
    Ok(run)
}

fn parsed<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, MethodError> {
    Ok(serde_json::from_str(json)?)
}
