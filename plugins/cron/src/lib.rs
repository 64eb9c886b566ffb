//! Jobs: what is to happen at a time, or again and again. A job leaves a text for the main session, or has an agent run in
//! a session of its own.
//!
//! A job runs once for each of its times, whatever ends in between. Before it does anything, one transaction says that
//! the run of that time has begun and when the next one is due (`book.rs`); the run is named after its job and its time,
//! so whoever begins it again names the same run. A start finds those that did not end, and asks for their outcome: the
//! agent knows the run by its name, and the queue of texts knows the text by it.
//!
//! An isolated job's session is `agent:<agent>:cron:<job>`, and each run begins a fresh conversation in it by
//! `sessions.reset`: it starts with nothing but its message, and the list of sessions has one row a job.

mod book;
mod forms;
mod job;
mod methods;
mod params;
mod runner;
mod schedule;
mod show;
mod signal;
mod store;
mod work;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use database::Database;
use database::rusqlite::Connection;
use plugin_api::{
    Call, CreateError, EventSpec, Host, Manifest, Method, MethodError, Methods, Plugin, Reply, Setup, Spawned,
    StartError,
};
use schemars::JsonSchema;
use schemas::scope::{ADMIN, READ};
use serde::{Deserialize, Serialize};

use schedule::Missed;
use signal::Signal;

/// `[plugins.cron.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CronConfig {
    /// Whether jobs run by themselves; they can be listed, changed and forced in any case.
    pub enabled: bool,
    /// Most jobs.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_jobs: u64,
    /// Most jobs that run at once; others wait for their turn.
    #[schemars(range(min = 1, max = 64))]
    pub max_concurrent_runs: usize,
    /// How many of the last runs of each job are remembered.
    #[schemars(range(min = 1, max = 5_000))]
    pub runs_kept: u64,
    /// Longest text or message of a job, in bytes.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_text_bytes: usize,
    /// Longest name of a job, in bytes; its description may have ten times as many.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_name_bytes: usize,
    /// Longest answer that is remembered with a run, in bytes.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_summary_bytes: usize,
    /// Shortest `everyMs` of a job.
    #[schemars(range(min = 1))]
    pub min_every_ms: u64,
    /// What becomes of times that were missed, because the gateway was not there: `skip`, `once` or `all`. A job may say
    /// otherwise (`missed`).
    pub missed: Missed,
    /// A time counts as missed when it is so many milliseconds ago.
    pub missed_after_ms: u64,
    /// Most missed times that `all` runs for.
    #[schemars(range(min = 1, max = 1_000))]
    pub missed_cap: u64,
    /// Zone of expressions that name none, as in the IANA database; the machine's when absent.
    pub time_zone: Option<String>,
    /// The clock of a test.
    #[cfg(test)]
    pub test_clock: Option<usize>,
}

impl Default for CronConfig {
    fn default() -> Self {
        CronConfig {
            enabled: true,
            max_jobs: 500,
            max_concurrent_runs: 4,
            runs_kept: 200,
            max_text_bytes: 16_384,
            max_name_bytes: 200,
            max_summary_bytes: 2_000,
            min_every_ms: 1_000,
            missed: Missed::Once,
            missed_after_ms: 60_000,
            missed_cap: 5,
            time_zone: None,
            #[cfg(test)]
            test_clock: None,
        }
    }
}

/// The plugin.
pub struct Cron {
    host: Host,
    config: CronConfig,
    store: Database,
    /// Names this process towards clients of 4.
    instance: String,
    /// Jobs or their times changed.
    changed: Signal,
    /// A run ended, or the plugin does.
    ended: Signal,
    stopping: AtomicBool,
    running: Mutex<HashMap<String, Option<Spawned>>>,
    ticker: Mutex<Option<Spawned>>,
}

static METHODS: LazyLock<Methods<Cron>> = LazyLock::new(|| {
    Methods::new()
        .add(
            Method::operator("cron.list", &[READ])
                .summary("The jobs, those that are due next first; disabled ones if asked for."),
            Cron::list,
        )
        .add(Method::operator("cron.get", &[READ]).summary("One job."), Cron::get)
        .add(
            Method::operator("cron.status", &[READ]).summary("Whether jobs run, how many there are, and when the next is due."),
            Cron::status,
        )
        .add(
            Method::operator("cron.runs", &[READ])
                .summary("What came of a job's last runs; oldest first for clients of protocol 3, latest first for those of 4."),
            Cron::runs,
        )
        .add(
            Method::operator("cron.add", &[ADMIN])
                .summary("Makes a job.")
                .description(
                    "name, schedule ({kind: at, at or atMs}, {kind: every, everyMs, anchorMs?} or {kind: cron, expr, tz?}) \
                     and payload ({kind: systemEvent, text} or {kind: agentTurn, message, model?, thinking?, \
                     timeoutSeconds?}) are required. Beside them: description, agentId, enabled, deleteAfterRun, \
                     sessionTarget (main, isolated, session:<key>), wakeMode (now, next-heartbeat), isolation, delivery \
                     ({mode: none or announce, channel, to, accountId, threadId, bestEffort}; or deliver, channel, to, \
                     bestEffortDeliver in the payload), missed (skip, once, all). The whole may be wrapped in `data` or `job`.",
                )
                .effects(),
            Cron::add,
        )
        .add(
            Method::operator("cron.update", &[ADMIN])
                .summary("Changes a job.")
                .description(
                    "id or jobId, and patch with the fields of cron.add that change. A payload of the same kind is merged.",
                )
                .effects(),
            Cron::update,
        )
        .add(Method::operator("cron.remove", &[ADMIN]).summary("Takes a job away.").effects(), Cron::remove)
        .add(
            Method::operator("cron.run", &[ADMIN])
                .summary("Runs a job now.")
                .description(
                    "Clients of protocol 3 are answered when it has finished, those of 4 as soon as it will run for certain.",
                )
                .effects()
                .timeout_ms(0),
            Cron::run,
        )
});

impl Plugin for Cron {
    fn manifest() -> Manifest {
        Manifest::new("cron", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Jobs that run at a time, or again and again, once for each of their times.")
            .invokes(&[
                "agent.run",
                "agent.runs",
                "agent.wait",
                "agents.list",
                "heartbeat.wake",
                "presence.system-events.push",
                "send.deliver",
                "sessions.reset",
            ])
            .config::<CronConfig>()
            .methods(&METHODS)
            .event(
                EventSpec::operator("cron", &[READ])
                    .summary("A job was added, updated or removed, or a run of one started or finished.")
                    .payload::<CronEvent>(),
            )
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: CronConfig = setup.config()?;
        schedule::zone_of(config.time_zone.as_deref())
            .map_err(|why| CreateError::new(format!("time_zone: {why}; write it as Europe/Berlin")))?;
        Ok(Cron {
            host,
            store: Database::new(setup.data_dir()?, store::SHAPE),
            config,
            instance: uuid::Uuid::new_v4().to_string(),
            changed: Signal::default(),
            ended: Signal::default(),
            stopping: AtomicBool::new(false),
            running: Mutex::default(),
            ticker: Mutex::default(),
        })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let cron = self.clone();
        let ticker = self.host.spawn(async move { cron.keep_time().await });
        *lock(&self.ticker) = Some(ticker);
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn quiesce(&self) {
        self.stopping.store(true, Ordering::Release);
        // What agents do goes on; the next instance, or the next start, asks for its outcome.
        let ticker = lock(&self.ticker).take();
        let running = std::mem::take(&mut *lock(&self.running));
        ticker.into_iter().chain(running.into_values().flatten()).for_each(|task| task.cancel());
        self.ended.raise();
    }
}

plugin_api::plugin!(Cron);

impl Cron {
    /// The wall clock.
    fn now(&self) -> u64 {
        #[cfg(test)]
        if let Some(clock) = self.config.test_clock {
            return tests::clock(clock);
        }
        schemas::now_ms()
    }

    /// Does all of it in the file, or nothing, where it may block.
    async fn db<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, MethodError> + Send + 'static,
    ) -> Result<T, MethodError> {
        self.store.transaction(&self.host, job).await
    }

    fn tell(&self, event: &CronEvent) {
        if let Err(error) = self.host.event("cron").droppable().send(event)
            && error != plugin_api::HostError::Gone
        {
            self.host.warn(&format!("the event cron could not be sent: {error}"));
        }
    }
}

/// Payload of the event `cron`.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronEvent {
    /// The job.
    job_id: String,
    /// `added`, `updated`, `removed`, `started` or `finished`.
    action: &'static str,
    /// When the run began.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at_ms: Option<u64>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<job::RunStatus>,
    /// Why it failed or was passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    /// When the job is due next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_run_at_ms: Option<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The beginning of a text, in so many bytes.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_string();
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests;
