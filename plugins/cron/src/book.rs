//! The steps of a run in the file, each one transaction: it begins, it ends.

use database::rusqlite::Connection;
use plugin_api::MethodError;

use crate::CronConfig;
use crate::job::{Job, RunStatus, run_id};
use crate::schedule::{Missed, Plan, plan};
use crate::store::{self, Outcome, Run};

/// What there is to do.
pub enum Step {
    /// A run began: it is in the file, and is to be done now.
    Run(Box<Job>, Run),
    /// Times of a job were passed over.
    Passed(Run),
    /// Nothing is due before this moment.
    Wait(Option<u64>),
}

/// Begins the run that is due first.
pub fn begin(db: &Connection, now: u64, config: &CronConfig) -> Result<Step, MethodError> {
    loop {
        let Some(mut job) = store::first_due(db, now, !config.enabled)? else {
            return Ok(Step::Wait(store::next_due(db)?.filter(|_| config.enabled)));
        };
        let zone = config.time_zone.as_deref();
        let scheduled = job.state.next_run_at_ms.filter(|next| job.enabled && config.enabled && *next <= now);
        let missed = (job.missed.unwrap_or(config.missed), config.missed_after_ms, config.missed_cap);
        let Plan { run, next } = match (job.forced_at_ms.take(), scheduled) {
            // Who asks for a run has it; times that are due with it are had as well.
            (Some(forced), None) => Plan { run: Some(forced), next: job.state.next_run_at_ms },
            (Some(forced), Some(due)) => Plan { run: Some(forced), ..plan(&job.schedule, due, now, zone, missed) },
            (None, Some(due)) => plan(&job.schedule, due, now, zone, missed),
            (None, None) => Plan { run: None, next: job.state.next_run_at_ms },
        };
        job.state.next_run_at_ms = next;
        let time = run.or(scheduled).unwrap_or(now);
        let name = run_id(&job.id, time);
        if store::run(db, &name)?.is_some() {
            // It was run for already: a clock went back.
            if job.schedule.is_once() {
                job.state.next_run_at_ms = None;
            }
            store::save(db, &job)?;
            continue;
        }
        store::begin(db, &name, &job.id, time, now)?;
        let begun = store::run(db, &name)?.ok_or_else(|| MethodError::unavailable("a run was not kept"))?;
        if run.is_some() {
            job.state.running_at_ms = Some(now);
            job.runs_by = Some(job.schedule.clone());
            store::save(db, &job)?;
            return Ok(Step::Run(Box::new(job), begun));
        }
        store::save(db, &job)?;
        let late = now.saturating_sub(time) / 1_000;
        let why = format!("it was due {late} s ago, when no job could run, and missed runs are skipped");
        let outcome = Outcome {
            status: RunStatus::Skipped,
            error: Some(why),
            summary: None,
            duration_ms: 0,
            next_run_at_ms: None,
            job_name: job.name,
        };
        return end(db, begun, outcome, now, config).map(Step::Passed);
    }
}

/// Ends a run: the book has its outcome, and the job its next time. The run as it stands then.
pub fn end(
    db: &Connection,
    mut run: Run,
    mut outcome: Outcome,
    now: u64,
    config: &CronConfig,
) -> Result<Run, MethodError> {
    if let Some(mut job) = store::job(db, &run.job_id)? {
        let state = &mut job.state;
        state.running_at_ms = None;
        state.last_run_at_ms = Some(run.started_at);
        state.last_status = Some(outcome.status);
        state.last_error = outcome.error.clone();
        state.last_duration_ms = Some(outcome.duration_ms);
        // A moment that it was given while it ran is one to come.
        let is_same = job.runs_by.take().is_none_or(|begun| begun == job.schedule);
        let is_over = is_same && job.schedule.is_once() && outcome.status != RunStatus::Error;
        if is_over {
            job.enabled = false;
            job.state.next_run_at_ms = None;
        }
        // Times that came while it ran are not made up for, unless all of them are wanted.
        let missed = job.missed.unwrap_or(config.missed);
        let late = job.state.next_run_at_ms.is_some_and(|next| next <= now);
        if late && missed != Missed::All && !job.schedule.is_once() {
            job.state.next_run_at_ms = job.schedule.next(now, config.time_zone.as_deref());
        }
        outcome.next_run_at_ms = job.state.next_run_at_ms.filter(|_| job.enabled);
        if is_over && outcome.status == RunStatus::Ok && job.delete_after_run == Some(true) {
            store::remove(db, &job.id)?;
        } else {
            store::save(db, &job)?;
        }
    }
    store::end(db, &run, now, &outcome, config.runs_kept)?;
    run.ended_at = Some(now);
    run.outcome = Some(outcome);
    Ok(run)
}

/// The clock went back: jobs that would wait for what it showed before are due by what it shows now. No time is run for
/// twice, since the book has the runs. Unless somebody saw the clock go back, only jobs that are of a time to come tell of it:
/// of all others the next time may be what somebody wished.
pub fn turn_back(db: &Connection, now: u64, seen: bool, config: &CronConfig) -> Result<(), MethodError> {
    for mut job in store::jobs(db)? {
        let is_of_the_future = job.updated_at_ms > now || job.state.last_run_at_ms > Some(now);
        if job.schedule.is_once() || !job.enabled || !(seen || is_of_the_future) {
            continue;
        }
        let moved = job.count_from(now);
        let next = job.schedule.next(now, config.time_zone.as_deref());
        let is_sooner = next.zip(job.state.next_run_at_ms).is_some_and(|(next, was)| next < was);
        if is_sooner {
            job.state.next_run_at_ms = next;
        }
        if is_sooner || moved {
            store::save(db, &job)?;
        }
    }
    Ok(())
}
