//! Everything a harness knows, behind one lock that is never held while a plugin is called.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use plugin_api::abi::{GWP_SINK_EVENT, gwp_call, gwp_principal};
use plugin_api::hosting::Instance;
use plugin_api::{Caller, Manifest};
use schemas::ErrorShape;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::outcome::CancelReason;
use crate::pool::Pool;
use crate::rows::{EventRow, MethodRow, covers};
use crate::sink::SinkQueue;
use crate::stub::{Asked, Stub};
use crate::who::Who;

pub(crate) struct World {
    state: Mutex<State>,
    changed: Condvar,
    pub(crate) pool: Pool,
    pub(crate) patience: Duration,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) instances: Vec<Inhabitant>,
    pub(crate) methods: HashMap<String, (usize, Arc<MethodRow>)>,
    pub(crate) stubs: HashMap<String, Stub>,
    pub(crate) calls: HashMap<gwp_call, LiveCall>,
    /// Calls that had their final answer from the plugin, as opposed to those that were ended over its head.
    pub(crate) answered: HashSet<gwp_call>,
    pub(crate) pending: HashMap<gwp_call, Heard>,
    pub(crate) invoked: HashMap<gwp_call, Arc<SinkQueue>>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) principals: HashMap<gwp_principal, Retained>,
    pub(crate) subscriptions: BTreeMap<u64, Listener>,
    pub(crate) exchanges: HashMap<u64, crate::http::Live>,
    pub(crate) conns: BTreeSet<u64>,
    pub(crate) emitted: Vec<Emitted>,
    pub(crate) next_event: HashMap<String, usize>,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) snapshots: HashMap<String, (u64, Value)>,
    pub(crate) kv: HashMap<String, BTreeMap<String, String>>,
    pub(crate) kv_cap: usize,
    pub(crate) kv_failure: Option<String>,
    pub(crate) withheld: HashSet<String>,
    pub(crate) refused: HashMap<String, i32>,
    pub(crate) violations: Vec<String>,
    pub(crate) ended: bool,
    pub(crate) last: u64,
}

/// A plugin in the harness.
pub(crate) struct Inhabitant {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) events: HashMap<String, Arc<EventRow>>,
    pub(crate) instance: Option<Arc<Instance>>,
    pub(crate) stage: Stage,
    pub(crate) quiesced: bool,
}

/// How far a plugin is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Inside `create`, or between it and `start`.
    Created,
    /// Asked, told, and free to act.
    Running,
    /// Inside `destroy` or after it.
    Destroyed,
}

/// A call that has had no final answer yet.
pub(crate) struct LiveCall {
    pub(crate) callee: Callee,
    pub(crate) row: Option<Arc<MethodRow>>,
    pub(crate) method: String,
    pub(crate) params: String,
    pub(crate) key: Option<String>,
    pub(crate) who: Who,
    pub(crate) depth: u32,
    pub(crate) timeout_ms: u64,
    pub(crate) deadline: Option<u64>,
    /// The plugin that waits for it; `None` when the test does.
    pub(crate) invoker: Option<usize>,
    pub(crate) parent: Option<gwp_call>,
}

/// Who answers a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callee {
    Plugin(usize),
    Stub,
}

/// What a test has heard of a call of its own.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) method: String,
    pub(crate) params: Value,
    pub(crate) interims: Vec<Value>,
    pub(crate) taken: usize,
    pub(crate) result: Option<Result<Value, ErrorShape>>,
    pub(crate) error_payload: Option<Value>,
}

/// An authority that a plugin keeps.
pub(crate) struct Retained {
    pub(crate) plugin: usize,
    pub(crate) who: Who,
    pub(crate) call: gwp_call,
    pub(crate) depth: u32,
    pub(crate) revoked: bool,
}

/// A subscription of a plugin.
pub(crate) struct Listener {
    pub(crate) plugin: usize,
    pub(crate) pattern: String,
    pub(crate) queue: Arc<SinkQueue>,
}

/// An event that a plugin published.
#[derive(Debug, Clone, PartialEq)]
pub struct Emitted {
    /// The plugin's id.
    pub plugin: String,
    /// The event's name.
    pub name: String,
    /// Its content.
    pub payload: Value,
    /// The connections it went to; `None` for a broadcast.
    pub conns: Option<Vec<u64>>,
    /// Whether a slow consumer may miss it.
    pub droppable: bool,
    /// Whether it carries the snapshot's versions.
    pub stamped: bool,
}

/// A line that a plugin wrote to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The plugin's id.
    pub plugin: String,
    /// 1 error … 5 trace.
    pub level: i32,
    /// What it is about.
    pub target: String,
    /// The line.
    pub message: String,
    /// A JSON object, or empty.
    pub fields: String,
}

impl World {
    pub(crate) fn new(state: State, patience: Duration) -> Arc<Self> {
        /// Enough for several calls at once, few enough to hand work from one to the next.
        const WORKERS: usize = 4;
        Arc::new(World { state: Mutex::new(state), changed: Condvar::new(), pool: Pool::new(WORKERS), patience })
    }

    /// The state, to read.
    pub(crate) fn look(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, to change: whoever waits looks again afterwards.
    pub(crate) fn change(&self) -> Change<'_> {
        Change { state: self.look(), changed: &self.changed }
    }

    /// Waits until `found` finds something.
    pub(crate) fn wait<T>(&self, what: &str, mut found: impl FnMut(&mut State) -> Option<T>) -> T {
        let until = Instant::now() + self.patience;
        self.wait_on(|state| {
            if let Some(value) = found(state) {
                return Ok(value);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.give_up(what, state);
            }
            Err(left)
        })
    }

    /// Looks whenever something has changed, and when the time that it gave is over.
    pub(crate) fn wait_on<T>(&self, mut look: impl FnMut(&mut State) -> Result<T, Duration>) -> T {
        let mut state = self.look();
        loop {
            match look(&mut state) {
                Ok(value) => return value,
                Err(wait) => {
                    state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// Waits until nothing runs and nothing is on its way.
    pub(crate) fn settle(&self) {
        if !self.pool.wait_idle(self.patience, true) {
            self.give_up("coming to rest: the end of a callback or of a blocking job", &self.look());
        }
    }

    /// As [`World::settle`], but for blocking jobs: a plugin may have one that lasts as long as itself.
    pub(crate) fn settle_workers(&self) {
        if !self.pool.wait_idle(self.patience, false) {
            self.give_up("coming to rest: the end of a callback", &self.look());
        }
    }

    fn give_up(&self, what: &str, state: &State) -> ! {
        let calls: Vec<_> = state.calls.values().map(|call| call.method.as_str()).collect();
        let logs: Vec<_> = state.logs.iter().map(|line| line.message.as_str()).collect();
        panic!(
            "{what} did not come within {:?}; running calls: {calls:?}; the log: {logs:?}; findings: {:?}",
            self.patience, state.violations
        );
    }

    /// Fails the test if a plugin did what a gateway would not stand.
    pub(crate) fn check(&self) {
        let violations = std::mem::take(&mut self.look().violations);
        assert!(violations.is_empty(), "the plugin broke its contract: {}", violations.join("; "));
    }

    /// Tells every subscriber whose pattern matches.
    pub(crate) fn publish(&self, state: &mut State, name: &str, payload: &Value, conns: Option<&[u64]>) {
        let mut event = json!({ "event": name, "payload": payload });
        if let Some(conns) = conns {
            event["conns"] = json!(conns);
        }
        for listener in state.subscriptions.values() {
            if covers(std::slice::from_ref(&listener.pattern), name) {
                listener.queue.push(GWP_SINK_EVENT, event.to_string().into_bytes());
            }
        }
    }

    /// A connection goes: its calls end, but for detached ones.
    pub(crate) fn disconnect(self: &Arc<Self>, conn: u64) {
        let gone: Vec<gwp_call> = {
            let mut state = self.change();
            state.conns.remove(&conn);
            let ends = |call: &&LiveCall| call.invoker.is_none() && call.who.conn == conn && !call.detaches();
            state.calls.iter().filter(|(_, call)| ends(call)).map(|(id, _)| *id).collect()
        };
        gone.into_iter().for_each(|call| self.end(call, CancelReason::Disconnect));
    }
}

impl LiveCall {
    fn detaches(&self) -> bool {
        self.row.as_ref().is_some_and(|row| row.spec.on_disconnect == plugin_api::OnDisconnect::Detach)
    }
}

impl State {
    /// A number that was never used before.
    pub(crate) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(crate) fn id(&self, plugin: usize) -> String {
        self.instances[plugin].manifest.id.clone()
    }

    /// Notes what a gateway would not stand.
    pub(crate) fn blame(&mut self, plugin: usize, what: impl std::fmt::Display) {
        let id = self.id(plugin);
        self.violations.push(format!("{id}: {what}"));
    }

    /// How the record of `gwp.caller/1` names a plugin that asks in its own name.
    pub(crate) fn own_name(&self, plugin: usize) -> Who {
        Who::plugin(&self.id(plugin))
    }

    /// Subscriptions in force. One that was ended while its sink ran is none, though its number still answers.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.subscriptions.values().filter(|listener| !listener.queue.is_closed())
    }

    pub(crate) fn caller(&self, call: gwp_call, plugin: usize) -> Option<&Caller> {
        let live = self.calls.get(&call).filter(|live| live.callee == Callee::Plugin(plugin))?;
        Some(&live.who.caller)
    }
}

/// The state, locked to be changed.
pub(crate) struct Change<'a> {
    state: MutexGuard<'a, State>,
    changed: &'a Condvar,
}

impl Deref for Change<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.changed.notify_all();
    }
}
