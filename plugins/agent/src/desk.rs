//! Which runs there are: those that go on, those that wait for their turn, and the outcomes of those that ended lately. Runs
//! of one session go one after the other in the order in which they came; runs of different sessions go side by side.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use plugin_api::contracts::Part;
use plugin_api::contracts::run::{ActiveRun, RunOutcome};
use plugin_api::{MethodError, Principal};
use serde_json::json;

use crate::Agent;
use crate::book::Accepted;
use crate::config::AgentConfig;
use crate::signal::Signal;
use crate::watchers::Watchers;

/// A run that has not ended.
pub struct Run {
    /// As the book has it.
    pub accepted: Accepted,
    /// The session as the client that started the run spelled it; of all other runs, as the book has it.
    pub spelled_key: String,
    /// What the agent is told.
    pub content: Vec<Part>,
    /// Told to the agent beside its own instructions.
    pub extra_system: Option<String>,
    /// The model instead of the session's.
    pub model: Option<String>,
    /// How much it thinks instead of the session's.
    pub thinking: Option<String>,
    /// Until it is given up, if it says.
    pub timeout: Option<Duration>,
    /// Whether clients are spared its `chat` events.
    pub hidden: bool,
    /// The client's rights; without them tools are called in the plugin's name.
    pub principal: Option<Principal>,
    /// Set when it shall stop: why.
    pub stop: Signal<String>,
    /// Set when the instance that has it stops.
    pub cut: Signal<()>,
    /// The instance that has it.
    pub owner: Weak<Agent>,
    /// How it ended.
    pub ended: Arc<Signal<Arc<RunOutcome>>>,
    /// When it began, in milliseconds since the epoch.
    pub started_at: Mutex<Option<u64>>,
    /// Set while its session is made to begin anew for it, which stops what else runs there.
    pub is_resetting: AtomicBool,
    /// The conversation that began anew for it.
    pub new_session_id: OnceLock<String>,
    /// Who is shown its tools.
    pub watchers: Watchers,
}

impl Run {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.accepted.run_id
    }

    /// Its conversation, as far as it is known before the run begins.
    pub fn session_id(&self) -> Option<&str> {
        self.new_session_id.get().or(self.accepted.session_id.as_ref()).map(String::as_str)
    }

    /// When it began.
    pub fn started_at(&self) -> Option<u64> {
        *self.started_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As `agent.runs` lists it.
    pub fn active(&self) -> ActiveRun {
        ActiveRun {
            run_id: self.accepted.run_id.clone(),
            session_key: self.accepted.session_key.clone(),
            spelled_key: self.spelled_key.clone(),
            agent_id: self.accepted.agent_id.clone(),
            has_begun: self.started_at().is_some(),
            origin: self.accepted.origin.clone(),
        }
    }
}

/// What a run's id stands for.
pub enum Known {
    /// A run that has not ended.
    Active(Arc<Run>),
    /// One that has.
    Ended(Arc<RunOutcome>),
}

/// The runs.
#[derive(Default)]
pub struct Desk {
    /// Every run that has not ended, by id.
    active: HashMap<String, Arc<Run>>,
    /// Their ids in the order in which they came.
    order: VecDeque<String>,
    /// Those that wait for their turn, in order.
    waiting: VecDeque<Arc<Run>>,
    /// Sessions in which a run goes on, each with that run.
    busy: HashMap<String, String>,
    /// Outcomes of runs that ended lately, and until when they are remembered.
    remembered: HashMap<String, (Instant, Arc<RunOutcome>)>,
    forgetting: VecDeque<String>,
    /// Who waits for a run that is not known yet. Each is a call, which the host bounds.
    expected: HashMap<String, Weak<Signal<Arc<RunOutcome>>>>,
}

impl Desk {
    /// What is known of a run.
    pub fn find(&self, run_id: &str) -> Option<Known> {
        if let Some(run) = self.active.get(run_id) {
            return Some(Known::Active(run.clone()));
        }
        let (until, outcome) = self.remembered.get(run_id)?;
        (*until > Instant::now()).then(|| Known::Ended(outcome.clone()))
    }

    /// Every run that has not ended, in the order in which they came.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.order.iter().filter_map(|id| self.active.get(id))
    }

    /// The signal of a run that may come.
    pub fn expect(&mut self, run_id: &str) -> Arc<Signal<Arc<RunOutcome>>> {
        // It may have come since it was looked for.
        if let Some(run) = self.active.get(run_id) {
            return run.ended.clone();
        }
        if let Some(signal) = self.expected.get(run_id).and_then(Weak::upgrade) {
            return signal;
        }
        self.expected.retain(|_, signal| signal.strong_count() > 0);
        let signal = Arc::default();
        self.expected.insert(run_id.to_string(), Arc::downgrade(&signal));
        signal
    }

    /// Takes a run in, which waits for its turn only after [`Desk::queue`]; or says why not.
    pub fn take(
        &mut self,
        config: &AgentConfig,
        make: impl FnOnce(Arc<Signal<Arc<RunOutcome>>>) -> Run,
        run_id: &str,
        session_key: &str,
    ) -> Result<Arc<Run>, MethodError> {
        let of_session = self.active.values().filter(|run| run.accepted.session_key == session_key).count();
        // One of them goes on or is about to, so it does not wait.
        for (count, most, limit) in [
            (of_session, config.max_queued_per_session + 1, "max_queued_per_session"),
            (self.active.len(), config.max_queued + config.max_runs, "max_queued"),
        ] {
            if count >= most {
                let message = format!("too many runs wait for their turn ({limit})");
                let details = json!({ "limit": limit });
                return Err(MethodError::unavailable(message).retryable().with_details(details));
            }
        }
        let ended = self.expected.remove(run_id).and_then(|signal| signal.upgrade()).unwrap_or_default();
        let run = Arc::new(make(ended));
        self.active.insert(run_id.to_string(), run.clone());
        self.order.push_back(run_id.to_string());
        Ok(run)
    }

    /// Lets a run wait for its turn.
    pub fn queue(&mut self, run: &Arc<Run>) {
        self.waiting.push_back(run.clone());
    }

    /// The next run whose turn it is; its session is busy from now on.
    pub fn next(&mut self, max_runs: usize) -> Option<Arc<Run>> {
        if self.busy.len() >= max_runs {
            return None;
        }
        let place = self.waiting.iter().position(|run| !self.busy.contains_key(&run.accepted.session_key))?;
        let run = self.waiting.remove(place)?;
        self.busy.insert(run.accepted.session_key.clone(), run.id().to_string());
        Some(run)
    }

    /// Takes a run out of those that wait; `false` when it does not wait.
    pub fn withdraw(&mut self, run: &Arc<Run>) -> bool {
        let place = self.waiting.iter().position(|waiting| Arc::ptr_eq(waiting, run));
        place.and_then(|place| self.waiting.remove(place)).is_some()
    }

    /// A run is over, whether or not it was its turn.
    pub fn end(&mut self, run: &Run) {
        if self.busy.get(&run.accepted.session_key).is_some_and(|busy| busy == run.id()) {
            self.busy.remove(&run.accepted.session_key);
        }
        self.active.remove(run.id());
        self.order.retain(|id| id != run.id());
    }

    /// Remembers how a run ended.
    pub fn remember(&mut self, config: &AgentConfig, outcome: Arc<RunOutcome>) {
        let until = Instant::now() + Duration::from_millis(config.remember_ms);
        let run_id = outcome.run_id.clone();
        if self.remembered.insert(run_id.clone(), (until, outcome)).is_none() {
            self.forgetting.push_back(run_id);
        }
        let now = Instant::now();
        while let Some(oldest) = self.forgetting.front() {
            let is_over = self.remembered.get(oldest).is_none_or(|(until, _)| *until <= now);
            if !is_over && self.remembered.len() <= config.max_remembered {
                break;
            }
            if let Some(oldest) = self.forgetting.pop_front() {
                self.remembered.remove(&oldest);
            }
        }
    }

    /// An instance stops: its runs that have not ended, of which those that wait begin no more.
    pub fn of(&self, owner: &Agent) -> Vec<Arc<Run>> {
        self.all().filter(|run| std::ptr::eq(run.owner.as_ptr(), owner)).cloned().collect()
    }
}
