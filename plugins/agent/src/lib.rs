//! Runs agents: `agent` and `agent.wait` for clients, `agent.run`, `agent.abort` and `agent.runs` for plugins.
//!
//! A run belongs to the gateway, neither to a call nor to a connection: it is in a book on disk before it is accepted
//! (`book`), waits for its turn (`desk`), reads the conversation, asks the agent's models and calls its tools
//! (`engine`), and has one outcome, which is on disk before anybody is told. What it does meanwhile are `agent` events
//! (`events`), from which everything else that clients see of it can be derived.

mod attachments;
mod book;
mod config;
mod deliver;
mod desk;
mod engine;
mod events;
mod front;
mod model;
mod params;
mod shared;
mod signal;
mod store;
mod tools;
mod watchers;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use plugin_api::abi::extension;
use plugin_api::catalogue::GatewayInfo;
use plugin_api::contracts::keys::Names;
use plugin_api::contracts::run::{AbortRuns, Aborted, ActiveRuns, RunOutcome, RunRequest, RunsOf, Waited, status};
use plugin_api::contracts::{Message, Part, role};
use plugin_api::{
    Call, CreateError, EventSpec, HeardEvent, Host, Idempotency, Manifest, Method, MethodError, MethodSpec, Methods,
    NoParams, OnDisconnect, Plugin, Replies, Reply, Setup, StartError, Subscription, schema_of,
};
use schemas::scope::{READ, WRITE};
use serde_json::json;

use book::Book;
use config::AgentConfig;
use desk::{Desk, Run};
use events::{AGENT, AgentEvent};
use params::{AgentParams, AgentResult, WaitParams, waited};
use shared::Shared;
use signal::Signal;
use store::Store;
use tools::Registry;
use watchers::Wanting;

const REGISTRY_CHANGED: &str = "host.registry.changed";
const CONNECTIONS: &str = "host.connection.*";
/// How often an interrupted run is tried to be noted in its transcript, and the seconds before the second time.
const NOTE_TRIES: u32 = 6;
const NOTE_WAIT: Duration = Duration::from_secs(1);

/// How long a call to the instance itself may take to arrive.
const HOLD: Duration = Duration::from_secs(1);

/// The plugin.
pub struct Agent {
    host: Host,
    config: AgentConfig,
    folder: PathBuf,
    book: OnceLock<Book>,
    shared: Arc<Shared>,
    is_closed: AtomicBool,
    /// A call of its own keeps it here.
    held: Signal<()>,
    registry: Registry,
    store: Store,
    names: OnceLock<Names>,
    wanting: Wanting,
    listening: Mutex<Vec<Subscription>>,
}

static METHODS: LazyLock<Methods<Agent>> = LazyLock::new(|| {
    Methods::new()
        .add(
            Method::operator("agent.wait", &[WRITE])
                .summary("Waits for the end of a run.")
                .description(
                    "`timeout` says that it has not ended within `timeoutMs`, or is not known. A failed run is no error \
                     of this method.",
                )
                .timeout_ms(0),
            Agent::wait,
        )
        .add(
            Method::internal("agent.run")
                .summary("Runs an agent in a plugin's name: accepted first, then the outcome.")
                .description("The same runId joins the run, or gives its outcome. Its tools are those of the agent's list.")
                .effects()
                .interim()
                .timeout_ms(0),
            Agent::run,
        )
        .add(Method::internal("agent.abort").summary("Stops a run, or those of a session.").effects().timeout_ms(0), Agent::abort)
        .add(
            Method::internal("agent.hold")
                .summary("Ends with the runs of the instance that is asked.")
                .description("An instance that a reload replaces asks itself, since it stays for as long as it has calls.")
                .detached()
                .timeout_ms(0),
            Agent::hold,
        )
        .add(Method::internal("agent.runs").summary("Runs that have not ended."), Agent::runs)
});

/// The row of `agent`, which answers a failed run with an error and a payload, as typed methods do not.
fn agent_row() -> MethodSpec {
    MethodSpec {
        name: "agent".to_string(),
        summary: "Runs an agent with the caller's rights: accepted first, then what came of it.".to_string(),
        description: "The run goes on when its caller disconnects; agent.wait hears of its end. The messages /new and \
                      /reset begin the conversation anew and need operator.admin."
            .to_string(),
        role: plugin_api::Exposure::Operator,
        scopes: vec![WRITE.to_string()],
        effects: true,
        idempotency: Idempotency::Replay,
        replies: Replies::Interim,
        on_disconnect: OnDisconnect::Detach,
        timeout_ms: Some(0),
        tool: false,
        params: schema_of::<AgentParams>().into(),
        result: Some(schema_of::<AgentResult>().into()),
    }
}

impl Plugin for Agent {
    fn manifest() -> Manifest {
        Manifest::new("agent", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Runs agents: their conversations, models and tools.")
            .requires(&[extension::EXEC, extension::INVOKE, extension::CALLER, extension::EVENTS])
            // A tool may be any method; which ones an agent may use is what its list says.
            .invokes(&["*"])
            .hears(&[REGISTRY_CHANGED, CONNECTIONS])
            .config::<AgentConfig>()
            .method(agent_row())
            .methods(&METHODS)
            .event(EventSpec::operator(AGENT, &[READ]).summary("A run goes on.").payload::<AgentEvent<'static>>())
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: AgentConfig = setup.config()?;
        let folder = setup.data_dir()?.to_path_buf();
        Ok(Agent {
            config,
            shared: Shared::of(&folder),
            is_closed: AtomicBool::new(false),
            held: Signal::default(),
            folder,
            book: OnceLock::new(),
            registry: Registry::new(host.clone()),
            store: Store::new(host.clone()),
            names: OnceLock::new(),
            wanting: Wanting::default(),
            listening: Mutex::default(),
            host,
        })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let book = Book::open(&self.folder, self.config.keep_runs).map_err(StartError::new)?;
        let _ = self.book.set(book);
        self.shared.begin(&self);
        let mut listening = Vec::new();
        for pattern in [REGISTRY_CHANGED, CONNECTIONS] {
            let agent = Arc::downgrade(&self);
            listening.push(self.host.subscribe(pattern, move |event| {
                if let Some(agent) = agent.upgrade() {
                    agent.heard(&event);
                }
            })?);
        }
        *self.listening.lock().unwrap_or_else(PoisonError::into_inner) = listening;
        let agent = self.clone();
        self.host.spawn(async move { agent.note_interrupted().await });
        let agent = self.clone();
        self.host.spawn(async move { agent.deliver_left().await });
        Ok(())
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        match call.method() {
            "agent" => self.agent(call).await,
            _ => METHODS.dispatch(self, call).await,
        }
    }

    async fn quiesce(&self) {
        if self.desk().of(self).is_empty() {
            return;
        }
        let mut replies = self.host.invoke("agent.hold", &NoParams {}).replies();
        self.host.spawn(async move { drop(replies.next().await) });
        // Once it is here it is this instance's; before, it could become that of the next one.
        signal::first(self.held.wait(), self.host.sleep(HOLD)).await;
    }

    async fn stop(&self) {
        let listening = std::mem::take(&mut *self.listening.lock().unwrap_or_else(PoisonError::into_inner));
        drop(listening);
        let left = {
            let desk = self.desk();
            self.is_closed.store(true, Ordering::Release);
            desk.of(self)
        };
        for run in &left {
            run.cut.set(());
        }
        for run in &left {
            if !self.cut_short(run).await {
                let outcome = book::interrupted(&run.accepted, run.started_at());
                let outcome = Arc::new(self.write_end(outcome).await);
                self.desk().end(run);
                run.ended.set(outcome);
            }
        }
        // Otherwise the next start does it.
        if let Some(next) = self.shared.successor(self).filter(|_| !left.is_empty()) {
            next.host.clone().spawn(next.note_interrupted());
        }
    }
}

plugin_api::plugin!(Agent);

impl Agent {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.shared.desk()
    }

    fn book(&self) -> &Book {
        self.book.get().expect("a plugin that was started has its book")
    }

    /// Writes how a run ended. What counts as its end, which may have been written before.
    async fn write_end(&self, outcome: RunOutcome) -> RunOutcome {
        match self.book().end(&self.host, &outcome).await {
            Ok(kept) => kept,
            Err(error) => {
                self.host.error(&format!("how the run {:?} ended is not in the book: {error}", outcome.run_id));
                outcome
            }
        }
    }

    fn heard(&self, event: &HeardEvent<'_>) {
        if event.event == REGISTRY_CHANGED {
            return self.registry.changed();
        }
        if let Err(error) = self.wanting.heard(event) {
            self.host.warn(&format!("{} could not be read: {error}", event.event));
        }
    }

    /// How the gateway names its main session. It does not change while the gateway runs.
    async fn names(&self) -> Result<&Names, MethodError> {
        if let Some(names) = self.names.get() {
            return Ok(names);
        }
        let info: GatewayInfo = self.host.invoke("host.gateway.info", &NoParams {}).send().await?;
        Ok(self.names.get_or_init(|| Names::of(&info.session_defaults)))
    }

    /// Says in the transcripts of interrupted runs that the gateway stopped, each once.
    async fn note_interrupted(self: Arc<Self>) {
        let mut wait = NOTE_WAIT;
        for _ in 0..NOTE_TRIES {
            let left = match self.book().unnoted(&self.host).await {
                Ok(left) => left,
                Err(error) => return self.host.error(&format!("interrupted runs could not be read: {error}")),
            };
            let mut has_failed = false;
            for entry in left {
                let run = &entry.accepted;
                // Passed over where the run came so far as to write it.
                let said = match self.book().message(&self.host, &run.run_id).await {
                    Ok(said) => said.map(|content| engine::said(run, content, run.accepted_at)),
                    Err(error) => return self.host.error(&format!("interrupted runs could not be read: {error}")),
                };
                let end = Message {
                    id: Some(format!("{}/interrupted", run.run_id)),
                    role: role::ASSISTANT.to_string(),
                    content: vec![Part::Text { text: book::INTERRUPTED.to_string() }],
                    timestamp: entry.outcome.as_ref().map(|outcome| outcome.ended_at),
                    stop_reason: Some("error".to_string()),
                    error_message: Some(book::INTERRUPTED.to_string()),
                    run_id: Some(run.run_id.clone()),
                    ..Message::default()
                };
                let set = json!({ "abortedLastRun": true }).as_object().cloned().unwrap_or_default();
                let key = &run.session_key;
                let messages = said.into_iter().chain([end]).collect();
                let told = match self.store.append(key, run.session_id.as_deref(), messages, set).await {
                    // The conversation is gone with all that was said in it.
                    Err(error) if store::is_absent(&error) => Ok(()),
                    told => told,
                };
                match told {
                    Ok(()) => {
                        if let Err(error) = self.book().noted(&self.host, &run.run_id).await {
                            return self.host.error(&format!("interrupted runs could not be noted: {error}"));
                        }
                    }
                    Err(error) => {
                        self.host.warn(&format!("the transcript of {:?} could not be told: {error}", run.run_id));
                        has_failed = true;
                    }
                }
            }
            if !has_failed {
                return;
            }
            self.host.sleep(wait).await;
            wait *= 2;
        }
    }

    async fn agent(self: Arc<Self>, call: Call) -> Reply {
        let accepted = match call.params::<AgentParams>() {
            Ok(params) => self.accept_client(&call, params).await,
            Err(error) => Err(error),
        };
        let mut delivered = None;
        let (outcome, session_id) = match accepted {
            Ok(front::Taken::New(place)) => {
                // Whoever has gone asks by the run's id.
                let _ = call.interim(&place.accepted());
                let run = place.queue();
                let delivery = run.accepted.wish.clone().map(|wish| self.deliver_later(&run, wish));
                let outcome = run.ended.wait().await;
                if let Some(delivery) = delivery {
                    delivered = delivery.wait().await;
                }
                (outcome, run.session_id().map(str::to_string))
            }
            Ok(front::Taken::Known(accepted, ended)) => {
                let _ = call.interim(&accepted);
                let outcome = ended.wait().await;
                if let Ok(Some(entry)) = self.book().look_up(&self.host, &outcome.run_id).await {
                    delivered = entry.delivery;
                }
                (outcome, None)
            }
            Err(error) => return Reply::Error(error),
        };
        let result = AgentResult::of(&outcome, session_id, delivered);
        if outcome.status == status::OK || outcome.status == status::ABORTED {
            return Reply::ok(&result);
        }
        let mut error = MethodError::unavailable(params::error_of(&outcome));
        if let Some(code) = &outcome.error_code {
            error = error.with_details(json!({ "code": code }));
        }
        match serde_json::value::to_raw_value(&result) {
            Ok(payload) => Reply::ErrorWithPayload(error, payload),
            Err(error) => Reply::Error(error.into()),
        }
    }

    async fn run(self: Arc<Self>, call: Call, request: RunRequest) -> Result<RunOutcome, MethodError> {
        let ended = match self.accept_plugin(request).await? {
            front::Taken::New(place) => {
                let _ = call.interim(&place.accepted());
                place.queue().ended.clone()
            }
            front::Taken::Known(accepted, ended) => {
                let _ = call.interim(&accepted);
                ended
            }
        };
        Ok(RunOutcome::clone(&*ended.wait().await))
    }

    async fn hold(self: Arc<Self>, _: Call, _: NoParams) -> Result<NoParams, MethodError> {
        self.held.set(());
        loop {
            let Some(run) = self.desk().of(&self).pop() else { return Ok(NoParams {}) };
            run.ended.wait().await;
        }
    }

    async fn wait(self: Arc<Self>, _: Call, params: WaitParams) -> Result<Waited, MethodError> {
        let time = Duration::from_millis(params.timeout_ms.unwrap_or(30_000).min(self.config.max_timeout_ms));
        let run_id = params.run_id;
        let ended = match self.known(&run_id).await? {
            Some(ended) => ended,
            None => self.desk().expect(&run_id),
        };
        if let Some(outcome) = ended.get() {
            return Ok(waited(&outcome));
        }
        if !time.is_zero()
            && let signal::First::Left(outcome) = signal::first(ended.wait(), self.host.sleep(time)).await
        {
            return Ok(waited(&outcome));
        }
        // It may have been a run of an instance that a reload replaced, whose end is in the book alone.
        match self.known(&run_id).await?.and_then(|ended| ended.get()) {
            Some(outcome) => Ok(waited(&outcome)),
            None => Ok(Waited { run_id, status: "timeout".to_string(), ..Waited::default() }),
        }
    }

    async fn abort(self: Arc<Self>, _: Call, params: AbortRuns) -> Result<Aborted, MethodError> {
        if params.run_id.is_none() && params.session_key.is_none() {
            return Err(MethodError::invalid_request("agent.abort needs a runId or a sessionKey"));
        }
        let runs = self.runs_of(params.session_key.as_deref()).await?;
        let fits = |run: &Arc<Run>| match params.run_id.as_deref() {
            Some(id) => id == run.id(),
            // What makes its session begin anew stops all others there.
            None => !run.is_resetting.load(Ordering::Acquire),
        };
        let runs: Vec<_> = runs.into_iter().filter(fits).collect();
        let reason = params.stop_reason.as_deref().unwrap_or("rpc");
        let told: Vec<_> = runs.iter().filter(|run| self.stop_run(run, reason)).cloned().collect();
        if params.wait_ms > 0 {
            let all = async {
                for run in &runs {
                    run.ended.wait().await;
                }
            };
            signal::first(all, self.host.sleep(Duration::from_millis(params.wait_ms))).await;
        }
        let ids = |runs: &[Arc<Run>]| runs.iter().map(|run| run.id().to_string()).collect();
        let still: Vec<_> = runs.iter().filter(|run| run.ended.get().is_none()).cloned().collect();
        Ok(Aborted { run_ids: ids(&told), still_running: ids(&still) })
    }

    async fn runs(self: Arc<Self>, _: Call, params: RunsOf) -> Result<ActiveRuns, MethodError> {
        let runs = self.runs_of(params.session_key.as_deref()).await?;
        Ok(ActiveRuns { runs: runs.iter().map(|run| run.active()).collect() })
    }

    /// Runs that have not ended: those of a session, in any spelling or in the one that its client used, or all.
    async fn runs_of(&self, session_key: Option<&str>) -> Result<Vec<Arc<Run>>, MethodError> {
        let Some(key) = session_key else { return Ok(self.desk().all().cloned().collect()) };
        // A key that is none is nobody's.
        let canonical = self.names().await?.canonical(key, None).map_or_else(|_| key.to_string(), |key| key.text);
        let is_of = |run: &&Arc<Run>| {
            let session = &run.accepted.session_key;
            *session == canonical || session == key || run.spelled_key == key
        };
        Ok(self.desk().all().filter(is_of).cloned().collect())
    }
}

#[cfg(test)]
mod tests;
