//! How the gateway is doing: the method `health`, the event `health`, and the part `health` of every hello-ok.
//!
//! The summary is kept as the bytes that go out, so a request costs a copy. It is found anew
//!
//! - by the clock (`refresh_ms`), at the start, and when the set of plugins changes;
//! - a second after connections opened, once for all that opened in that second. The newcomer gets the summary there is
//!   at once and to itself;
//! - for a request with `probe: true`, unless such a summary is less than a second old;
//! - for a request when the summary is older than a minute, which then waits for it (two seconds at most), and in the
//!   background when it is older than half of `refresh_ms`.
//!
//! So requests alone cause at most two refreshes in the time of one, and since only a refresh is broadcast, a client that
//! polls `health` makes no traffic for the others. Refreshes that are wanted at the same time are one.

mod run;
mod summary;

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use plugin_api::{
    Call, CreateError, EventSpec, HeardEvent, Host, HostError, Manifest, Method, MethodError, Methods, Plugin, Reply,
    Setup, Spawned, StartError, Subscription,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use run::Run;
use summary::Summary;

/// The method, the event, and the part of the snapshot.
const HEALTH: &str = "health";
/// A request waits for a new summary when the one there is is older than this.
const OLDEST: Duration = Duration::from_secs(60);
/// How long a part of the summary may take when nothing is probed: nobody who asks shall wait long.
const QUICK: Duration = Duration::from_secs(1);
/// How long connections and changes of the registry are gathered before a refresh.
const GATHER: Duration = Duration::from_secs(1);
/// Callers of any role and scope may probe, so probes have a shortest distance.
const BETWEEN_PROBES: Duration = Duration::from_secs(1);

/// `[plugins.health.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// Milliseconds between two refreshes.
    #[schemars(range(min = 1_000))]
    pub refresh_ms: u64,
    /// Milliseconds that channels have to answer a probe.
    #[schemars(range(min = 100, max = 30_000))]
    pub probe_timeout_ms: u64,
}

impl Default for HealthConfig {
    fn default() -> Self {
        HealthConfig { refresh_ms: 60_000, probe_timeout_ms: 5_000 }
    }
}

/// The plugin.
pub struct Health {
    host: Host,
    period: Duration,
    probe_timeout: Duration,
    state: Mutex<State>,
    /// Held while a summary goes out: they go out in order, and a request need not wait for that.
    publishing: Mutex<()>,
    work: Mutex<Work>,
}

#[derive(Default)]
struct State {
    cached: Option<Cached>,
    running: Option<Arc<Run>>,
    /// Number of the run that was started last.
    started: u64,
    /// The same as it was when something was heard last, while what is heard is gathered: a later run is to follow.
    heard_at: Option<u64>,
}

struct Cached {
    json: Arc<RawValue>,
    run: u64,
    at: Instant,
    probed: bool,
}

/// What runs between `start` and `quiesce`.
#[derive(Default)]
struct Work {
    subscriptions: Vec<Subscription>,
    clock: Option<Spawned>,
}

static METHODS: LazyLock<Methods<Health>> = LazyLock::new(|| {
    Methods::new().add(
        Method::everyone(HEALTH).summary("How the gateway, its channels, agents and plugins are doing.").description(
            "Answers with the last summary unless `probe` is true, which makes channels contact their services. Other \
             fields are passed over.",
        ),
        Health::health,
    )
});

impl Plugin for Health {
    fn manifest() -> Manifest {
        Manifest::new("health", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("How the gateway is doing.")
            .invokes(&["host.registry.list", "agents.list", "heartbeat.settings", "session.store.summary", "channel.*"])
            .hears(&["host.connection.opened", "host.registry.changed"])
            .config::<HealthConfig>()
            .methods(&METHODS)
            .event(EventSpec::everyone(HEALTH).summary("The summary was found anew.").payload::<Summary>())
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: HealthConfig = setup.config()?;
        Ok(Health {
            host,
            period: Duration::from_millis(config.refresh_ms),
            probe_timeout: Duration::from_millis(config.probe_timeout_ms),
            state: Mutex::default(),
            publishing: Mutex::default(),
            work: Mutex::default(),
        })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let mut subscriptions = Vec::new();
        for event in ["host.connection.opened", "host.registry.changed"] {
            // Weak, or the instance would keep itself alive through its own subscriptions.
            let listener = Arc::downgrade(&self);
            subscriptions.push(self.host.subscribe(event, move |event| {
                if let Some(health) = listener.upgrade() {
                    health.heard(&event);
                }
            })?);
        }
        let health = self.clone();
        let clock = self.host.spawn(async move {
            loop {
                health.refresh(false).outcome().await;
                health.host.sleep(health.period).await;
            }
        });
        *lock(&self.work) = Work { subscriptions, clock: Some(clock) };
        Ok(())
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        // The way of nearly every request: no future on the heap, nothing serialised.
        if call.method() == HEALTH
            && !wants_probe(call.params_text())
            && let Some(json) = self.ready_answer()
        {
            return Reply::Shared(json);
        }
        METHODS.dispatch(self, call).await
    }

    async fn quiesce(&self) {
        // Out of the lock first: ending a subscription waits for a listener that may be running.
        let Work { subscriptions, clock } = std::mem::take(&mut *lock(&self.work));
        drop(subscriptions);
        if let Some(clock) = clock {
            clock.cancel();
        }
    }
}

plugin_api::plugin!(Health);

impl Health {
    async fn health(self: Arc<Self>, _: Call, params: HealthParams) -> Result<Answer, MethodError> {
        let probe = params.probe == Value::Bool(true);
        let ready = if probe { self.last_probe() } else { self.ready_answer() };
        if let Some(json) = ready {
            return Ok(Answer(json));
        }
        match self.refresh(probe).outcome().await {
            Some(json) => Ok(Answer(json)),
            None => Err(MethodError::unavailable("health could not be found out").retryable()),
        }
    }

    /// The kept summary, if it is young enough to be an answer.
    fn ready_answer(self: &Arc<Self>) -> Option<Arc<RawValue>> {
        let (json, age) = {
            let state = lock(&self.state);
            let cached = state.cached.as_ref()?;
            (cached.json.clone(), cached.at.elapsed())
        };
        match Age::of(age, self.period) {
            Age::Fresh => {}
            Age::Aging => {
                self.refresh(false);
            }
            Age::Old => return None,
        }
        Some(json)
    }

    /// The kept summary, if it is of a probe just now.
    fn last_probe(&self) -> Option<Arc<RawValue>> {
        let state = lock(&self.state);
        let cached = state.cached.as_ref().filter(|cached| cached.probed && cached.at.elapsed() < BETWEEN_PROBES);
        cached.map(|cached| cached.json.clone())
    }

    fn heard(self: &Arc<Self>, event: &HeardEvent<'_>) {
        if event.event == "host.connection.opened" {
            match newcomer(event) {
                // It was here before this instance, and has heard of health already.
                Ok(newcomer) if newcomer.replay => return,
                Ok(newcomer) => self.greet(newcomer.conn),
                Err(error) => self.host.warn(&format!("{} could not be read: {error}", event.event)),
            }
        }
        self.refresh_soon();
    }

    /// The newcomer gets the summary there is. Without one yet, it hears the broadcast that is about to come.
    fn greet(&self, conn: u64) {
        let json = lock(&self.state).cached.as_ref().map(|cached| cached.json.clone());
        if let Some(json) = json {
            // It may have gone again already; nobody is left to be told then.
            let _ = self.host.event(HEALTH).stamped().send_to(&[conn], &*json);
        }
    }

    /// A refresh for everything that happens within the next moment, unless another one begins after the last of it.
    fn refresh_soon(self: &Arc<Self>) {
        let is_gathering = {
            let mut state = lock(&self.state);
            let started = state.started;
            state.heard_at.replace(started).is_some()
        };
        if is_gathering {
            return;
        }
        let health = self.clone();
        self.host.spawn(async move {
            health.host.sleep(GATHER).await;
            let is_due = {
                let mut state = lock(&health.state);
                let started = state.started;
                state.heard_at.take() == Some(started)
            };
            if is_due {
                health.refresh(false);
            }
        });
    }

    /// The refresh that is on its way, or a new one. Only a probe does not content itself with one that does not probe.
    fn refresh(self: &Arc<Self>, probe: bool) -> Arc<Run> {
        let run = {
            let mut state = lock(&self.state);
            if let Some(run) = state.running.as_ref().filter(|run| run.probe || !probe) {
                return run.clone();
            }
            state.started += 1;
            let run = Run::new(state.started, probe);
            state.running = Some(run.clone());
            run
        };
        // Made before the future runs: it ends the run even if the future is dropped or panics.
        let ending = Ending { health: self.clone(), run: run.clone() };
        let limit = if probe { self.probe_timeout } else { QUICK };
        self.host.spawn(async move {
            let summary = summary::collect(&ending.health.host, probe, limit).await;
            match to_raw_value(&summary) {
                Ok(json) => ending.health.publish(&ending.run, json.into()),
                Err(error) => ending.health.host.error(&format!("health cannot be written as JSON: {error}")),
            }
        });
        run
    }

    /// Keeps the summary, shows it in the hello-oks to come, and tells those who are here.
    fn publish(&self, run: &Run, json: Arc<RawValue>) {
        // A summary that a later run has overtaken is an answer to those who wait for it, and no more.
        let order = lock(&self.publishing);
        if lock(&self.state).cached.as_ref().is_none_or(|cached| cached.run < run.number) {
            let cached = Cached { json: json.clone(), run: run.number, at: Instant::now(), probed: run.probe };
            lock(&self.state).cached = Some(cached);
            let published = self
                .host
                .publish_snapshot(HEALTH, &*json)
                .and_then(|()| self.host.event(HEALTH).stamped().send(&*json));
            if let Err(error) = published
                && error != HostError::Gone
            {
                self.host.warn(&format!("health could not be published: {error}"));
            }
        }
        drop(order);
        run.finish(Some(json));
    }
}

/// Sees to it that a run ends, whatever becomes of its future.
struct Ending {
    health: Arc<Health>,
    run: Arc<Run>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let mut state = lock(&self.health.state);
        if state.running.as_ref().is_some_and(|run| run.number == self.run.number) {
            state.running = None;
        }
        drop(state);
        self.run.finish(None);
    }
}

/// What a summary of this age is good for.
#[derive(Debug, PartialEq, Eq)]
enum Age {
    Fresh,
    /// Good enough, but a new one is due.
    Aging,
    Old,
}

impl Age {
    fn of(age: Duration, period: Duration) -> Self {
        match age {
            age if age >= OLDEST => Age::Old,
            age if age >= period / 2 => Age::Aging,
            _ => Age::Fresh,
        }
    }
}

/// What of `host.connection.opened` matters here; its other fields are skipped unread.
#[derive(Deserialize)]
struct Newcomer {
    conn: u64,
    #[serde(default)]
    replay: bool,
}

fn newcomer(event: &HeardEvent<'_>) -> Result<Newcomer, serde_json::Error> {
    if event.mentions("\"replay\"") {
        return event.payload();
    }
    // Only those that were here before are said to have been.
    event.party().map(|party| Newcomer { conn: party.conn, replay: false })
}

/// Parameters of `health`: open.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct HealthParams {
    /// `true`: channels contact their services.
    #[serde(default)]
    probe: Value,
}

/// The summary as ready-made JSON.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
struct Answer(
    #[serde(serialize_with = "as_it_is")]
    #[schemars(with = "Summary")]
    Arc<RawValue>,
);

fn as_it_is<S: serde::Serializer>(json: &Arc<RawValue>, serializer: S) -> Result<S::Ok, S::Error> {
    RawValue::serialize(json, serializer)
}

fn wants_probe(params: &str) -> bool {
    // Parsed only when there may be something in it.
    params.len() > 2 && serde_json::from_str(params).is_ok_and(|params: HealthParams| params.probe == Value::Bool(true))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
