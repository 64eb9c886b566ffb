//! Calls that run. A call is a number; whoever answers it late, twice, or though it is not theirs finds no entry.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::answer::Asker;
use crate::authority::Authority;
use crate::plugin::RunningPlugin;
use crate::registry::{Handler, MethodEntry};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard};

const SHARDS: usize = 64;

/// A call that has not been answered for good.
pub struct OpenCall {
    /// What was called.
    pub method: Arc<MethodEntry>,
    /// Who hears the answer.
    pub asker: Asker,
    /// With whose rights it runs.
    pub authority: Arc<Authority>,
    /// How many calls deep it is; 0 came from a socket.
    pub depth: usize,
    /// When it started.
    pub started: Instant,
    /// When its time is up, in milliseconds from `started`; 0 is never.
    pub deadline_ms: u64,
    /// Whether [`crate::deadlines`] ends it then; until its plugin has had the thread, the watchdog does.
    pub is_timed: bool,
    /// Where it stands with the plugin.
    pub stage: Stage,
    /// When the plugin got it.
    pub handed_over: Instant,
    /// What it is called with, until a thread of the plugin takes it. It goes with the call: one that ends while it waits
    /// for a thread is never made.
    pub waiting: Option<Arc<Waiting>>,
    /// Whether its plugin counts it among those that run.
    pub in_flight: bool,
    /// Calls that end with it.
    pub children: Vec<u64>,
    /// The trace it belongs to.
    pub traceparent: Option<Traceparent>,
    /// The request it counts for, on the connection it came from.
    pub slot: Option<InFlight>,
}

impl OpenCall {
    /// Counts it among the plugin's calls that run. One that is answered while it is handed over never is: the count
    /// would cost more than it tells.
    pub fn count(&mut self) {
        if let Handler::Plugin(plugin) = &self.method.handler
            && !self.in_flight
        {
            plugin.in_flight.fetch_add(1, Ordering::Relaxed);
            self.in_flight = true;
        }
    }
}

impl OpenCall {
    /// When it ends unanswered, if it does.
    pub fn times_out_at(&self) -> Option<tokio::time::Instant> {
        let at = self.started.checked_add(Duration::from_millis(self.deadline_ms)).filter(|_| self.is_timed)?;
        Some(at.into())
    }
}

/// A W3C `traceparent`, shared by the calls that are made for one another.
pub type Traceparent = Arc<str>;

/// What a call is made with.
pub struct Waiting {
    /// JSON text.
    pub params: Box<str>,
    /// The idempotency key, for methods that take one.
    pub key: Option<Box<str>>,
}

/// Where a call stands with the plugin that answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits for a thread of the plugin's own.
    Queued,
    /// The plugin has the thread.
    HandingOver,
    /// The same, for so long that the watchdog has said so.
    Stalled,
    /// The plugin gave the thread back and answers later.
    Waiting,
}

/// One of a connection's requests in flight, until dropped.
pub struct InFlight(pub Arc<crate::connections::Connection>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}

/// All open calls.
pub struct Calls {
    shards: Vec<Mutex<HashMap<u64, OpenCall, BuildHasherDefault<NumberHasher>>>>,
    /// How many wait for calls to end, and what wakes them.
    waiting: AtomicUsize,
    taken: Notify,
}

impl Calls {
    /// None yet.
    pub fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Calls { shards, waiting: AtomicUsize::new(0), taken: Notify::new() }
    }

    /// A number that no call, timer or principal of this process has or will have.
    pub fn next_number(&self) -> u64 {
        /// Numbers that a thread takes at once, so that workers do not pass the counter back and forth.
        const BLOCK: u64 = 1024;
        thread_local! {
            static TAKEN: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
        }
        // Of this process, not of this gateway: a thread may serve two gateways in a row.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (mut next, mut end) = TAKEN.get();
        if next == end {
            next = NEXT.fetch_add(BLOCK, Ordering::Relaxed);
            end = next + BLOCK;
        }
        TAKEN.set((next + 1, end));
        next
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// Whether none runs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Enters a call.
    pub fn open(&self, number: u64, call: OpenCall) {
        self.shard(number).insert(number, call);
    }

    /// Enters a call for this instance. False if the instance takes none any more: whoever ends it retires it first and looks
    /// for its calls then, so either that one sees the call, or this one sees that it came too late.
    pub fn enter(&self, number: u64, call: OpenCall, plugin: &RunningPlugin) -> bool {
        self.open(number, call);
        !plugin.is_retired()
    }

    /// Takes a call out: the one who gets it answers it.
    pub fn take(&self, number: u64) -> Option<OpenCall> {
        self.take_if(number, |_| true)
    }

    /// Takes a call out if it is so.
    pub fn take_if(&self, number: u64, condition: impl FnOnce(&OpenCall) -> bool) -> Option<OpenCall> {
        let call = {
            let mut shard = self.shard(number);
            if !condition(shard.get(&number)?) {
                return None;
            }
            shard.remove(&number)
        };
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.taken.notify_waiters();
        }
        call
    }

    /// Waits until no call is there for which this holds.
    pub async fn ended(&self, mut condition: impl FnMut(&OpenCall) -> bool) {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        // Before the first look: whoever takes a call out after it sees that somebody waits.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.waiting);
        loop {
            let mut taken = pin!(self.taken.notified());
            taken.as_mut().enable();
            if self.numbers(&mut condition).is_empty() {
                return;
            }
            taken.await;
        }
    }

    /// Looks at a call.
    pub fn with<T>(&self, number: u64, look: impl FnOnce(&mut OpenCall) -> T) -> Option<T> {
        self.shard(number).get_mut(&number).map(look)
    }

    /// Numbers of the calls for which this holds.
    pub fn numbers(&self, mut condition: impl FnMut(&OpenCall) -> bool) -> Vec<u64> {
        let mut numbers = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            numbers.extend(shard.iter().filter(|(_, call)| condition(call)).map(|(number, _)| *number));
        }
        numbers
    }

    fn shard(&self, number: u64) -> MutexGuard<'_, HashMap<u64, OpenCall, BuildHasherDefault<NumberHasher>>> {
        self.shards[number as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self::new()
    }
}

/// Call numbers are counted up, so they need no mixing beyond a multiplication.
#[derive(Default)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
