//! The clock of the jobs: what is due begins, and what a crash or a reload cut off is finished.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use plugin_api::MethodError;

use crate::book::{self, Step};
use crate::job::{Job, RunStatus};
use crate::store::{self, Outcome, Run};
use crate::{Cron, CronEvent, cut, lock};

/// The longest sleep: a clock that is set, or a machine that slept, is noticed after it.
const STEP: Duration = Duration::from_secs(30);
/// A clock that went back by less has been corrected, not set.
const BACK_MS: u64 = 60_000;
/// What is said of a run whose outcome nobody knows.
pub const INTERRUPTED: &str =
    "The gateway stopped during this run, and nobody knows what came of it; it is not run again.";

impl Cron {
    pub(crate) async fn keep_time(self: Arc<Self>) {
        let mut troubled = false;
        let mut trouble = |cron: &Cron, error: MethodError| {
            if !std::mem::replace(&mut troubled, true) {
                cron.host.error(&format!("jobs do not run: {error}"));
            }
        };
        while let Err(error) = self.recover().await {
            trouble(&self, error);
            self.host.sleep(STEP).await;
        }
        // What it showed before this gateway came is not known.
        let mut last = None;
        loop {
            let seen = self.changed.seen();
            let now = self.now();
            let went_back = last.is_some_and(|last| now.saturating_add(BACK_MS) < last);
            if went_back || last.is_none() {
                let config = self.config.clone();
                self.db(move |db| book::turn_back(db, now, went_back, &config))
                    .await
                    .unwrap_or_else(|error| trouble(&self, error));
            }
            last = Some(now);
            let next = self.begin_what_is_due().await.unwrap_or_else(|error| {
                trouble(&self, error);
                None
            });
            let wait =
                next.map_or(STEP, |next| Duration::from_millis(next.saturating_sub(self.now()).max(1)).min(STEP));
            self.changed.after_or(seen, self.host.sleep(wait)).await;
        }
    }

    /// Begins as many as may run at once; when the next one is due, if nothing else has to end first.
    async fn begin_what_is_due(self: &Arc<Self>) -> Result<Option<u64>, MethodError> {
        loop {
            if lock(&self.running).len() >= self.config.max_concurrent_runs {
                return Ok(None);
            }
            let (now, config) = (self.now(), self.config.clone());
            let step = self.db(move |db| book::begin(db, now, &config)).await?;
            match step {
                Step::Run(job, run) => self.do_in_background(Some(*job), run, false),
                Step::Passed(run) => self.told_of(&run),
                Step::Wait(next) => return Ok(next),
            }
        }
    }

    fn do_in_background(self: &Arc<Self>, job: Option<Job>, run: Run, again: bool) {
        let (cron, name) = (self.clone(), run.run_id.clone());
        // Its place is taken before it begins, so that its end finds it.
        lock(&self.running).insert(name.clone(), None);
        let task = self.host.spawn(async move {
            if !again {
                cron.tell(&CronEvent {
                    job_id: run.job_id.clone(),
                    action: "started",
                    run_at_ms: Some(run.started_at),
                    ..CronEvent::default()
                });
            }
            let outcome = match &job {
                Some(job) => cron.work(job, &run, again).await,
                None => Err("the job was removed while it ran".to_string()),
            };
            cron.finish(job, run, outcome).await;
        });
        if self.stopping.load(Ordering::Acquire) {
            return task.cancel();
        }
        if let Some(place) = lock(&self.running).get_mut(&name) {
            *place = Some(task);
        }
    }

    async fn finish(self: &Arc<Self>, job: Option<Job>, run: Run, outcome: Result<Done, String>) {
        let now = self.now();
        let (status, error, summary) = match outcome {
            Ok(Done { summary, trouble: None }) => (RunStatus::Ok, None, summary),
            Ok(Done { summary, trouble: Some((error, true)) }) => (RunStatus::Ok, Some(error), summary),
            Ok(Done { summary, trouble: Some((error, false)) }) => (RunStatus::Error, Some(error), summary),
            Err(error) => (RunStatus::Error, Some(error), None),
        };
        let most = self.config.max_summary_bytes;
        let outcome = Outcome {
            status,
            error: error.map(|error| cut(&error, most)),
            summary: summary.map(|summary| cut(&summary, most)),
            duration_ms: now.saturating_sub(run.started_at),
            next_run_at_ms: None,
            job_name: job.map(|job| job.name).unwrap_or_default(),
        };
        let name = run.run_id.clone();
        let mut troubled = false;
        // What it did is done: a disk that is full now may take its outcome later, and until then it counts as running.
        loop {
            let (run, outcome, config) = (run.clone(), outcome.clone(), self.config.clone());
            match self.db(move |db| book::end(db, run, outcome, now, &config)).await {
                Ok(run) => break self.told_of(&run),
                Err(error) => {
                    if !std::mem::replace(&mut troubled, true) {
                        self.host.error(&format!("the outcome of {name} could not be kept yet: {error}"));
                    }
                    self.host.sleep(STEP).await;
                }
            }
        }
        lock(&self.running).remove(&name);
        self.changed.raise();
        self.ended.raise();
    }

    fn told_of(&self, run: &Run) {
        let Some(outcome) = &run.outcome else { return };
        self.tell(&CronEvent {
            job_id: run.job_id.clone(),
            action: "finished",
            run_at_ms: Some(run.started_at),
            duration_ms: Some(outcome.duration_ms),
            status: Some(outcome.status),
            error: outcome.error.clone(),
            summary: outcome.summary.clone(),
            next_run_at_ms: outcome.next_run_at_ms,
        });
    }

    /// Finishes what began and did not end, because the gateway or the instance before this one went.
    async fn recover(self: &Arc<Self>) -> Result<(), MethodError> {
        let open = self
            .db(|db| {
                let runs = store::open_runs(db)?;
                runs.into_iter()
                    .map(|run| Ok((store::job(db, &run.job_id)?, run)))
                    .collect::<Result<Vec<_>, MethodError>>()
            })
            .await?;
        for (job, run) in open {
            self.do_in_background(job, run, true);
        }
        Ok(())
    }
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Done {
    pub summary: Option<String>,
    /// What went wrong with its answer, and whether the job is well all the same.
    pub trouble: Option<(String, bool)>,
}
