//! Calls that run. A call is a number; whoever answers it late, twice, or though it is not theirs finds no entry.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use plugin_api::abi::GWP_GONE;
use schemas::ErrorShape;
use tokio::sync::Notify;

use crate::answer::{Answer, Asker};
use crate::authority::Authority;
use crate::plugin::RunningPlugin;
use crate::registry::{Handler, MethodEntry, Registry};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard};

const SHARDS: usize = 64;

/// A call that has not been answered for good.
pub struct OpenCall {
    /// What was called.
    pub method: Arc<MethodEntry>,
    /// Who hears the answer.
    pub asker: Asker,
    /// Keeps its answers in order, if it may have several.
    pub order: Option<Arc<Order>>,
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

    /// When its time is up, if it ever is.
    pub fn ends_at(&self) -> Option<Instant> {
        self.started.checked_add(Duration::from_millis(self.deadline_ms)).filter(|_| self.deadline_ms > 0)
    }

    /// When [`crate::deadlines`] ends it unanswered, if that does.
    pub fn times_out_at(&self) -> Option<tokio::time::Instant> {
        self.ends_at().filter(|_| self.is_timed).map(Into::into)
    }

    /// Lets whoever asked hear the last word: behind what is being said, and nothing is heard behind it.
    pub fn hear_last(&mut self, answer: Answer<'_>) {
        let order = self.order.take();
        let is_over = order.as_ref().map(|order| order.lock());
        self.asker.hear(answer);
        if let Some(mut is_over) = is_over {
            *is_over = true;
        }
    }

    /// As [`OpenCall::hear_last`], of an error of the host's own.
    pub fn refuse(&mut self, error: &ErrorShape) {
        self.hear_last(Answer::Error(&serde_json::to_vec(error).unwrap_or_default()));
    }
}

/// Keeps the answers of one call in order, without a lock that other calls wait for. It is held while one of them is
/// heard, and knows whether the last one was.
#[derive(Default)]
pub struct Order(Mutex<bool>);

impl Order {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// The plugin gave the thread back and answers later.
    Waiting,
}

/// Where a call went that was entered.
pub enum Entered {
    /// To the instance that it was entered for.
    Here,
    /// Back: that instance takes none any more. Whoever has its method in this table answers it, if anybody has.
    TooLate(Box<OpenCall>, Arc<Registry>),
    /// Nowhere: it has ended meanwhile.
    Over,
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

    /// Enters a call for this instance. Whoever ends an instance retires it first and looks for its calls then, so either
    /// that one sees the call, or this one sees that it came too late, and gives it back with the table that is in force now.
    pub fn enter(&self, number: u64, call: OpenCall, plugin: &RunningPlugin, registry: &ArcSwap<Registry>) -> Entered {
        self.open(number, call);
        if !plugin.is_retired() {
            return Entered::Here;
        }
        match self.take(number) {
            Some(call) => Entered::TooLate(Box::new(call), registry.load_full()),
            None => Entered::Over,
        }
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

    /// Lets whoever made a call hear something that is not the last word, if the call is so. They hear it while nobody is
    /// kept from other calls: what comes of one call is in order all the same, and nothing comes behind its last word.
    pub fn hear_more(
        &self,
        number: u64,
        answer: Answer<'_>,
        condition: impl FnOnce(&OpenCall) -> Result<(), i32>,
    ) -> Result<(), i32> {
        let found = self.with(number, |call| condition(call).map(|()| (call.asker.for_more(), call.order.clone())));
        let (mut asker, order) = found.ok_or(GWP_GONE)??;
        let is_over = order.as_ref().map(|order| order.lock());
        if is_over.as_deref() == Some(&true) {
            return Err(GWP_GONE);
        }
        asker.hear(answer);
        Ok(())
    }

    /// Looks at a call.
    pub fn with<T>(&self, number: u64, look: impl FnOnce(&mut OpenCall) -> T) -> Option<T> {
        self.shard(number).get_mut(&number).map(look)
    }

    /// Looks at each call.
    pub fn each(&self, mut look: impl FnMut(u64, &OpenCall)) {
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.iter().for_each(|(number, call)| look(*number, call));
        }
    }

    /// Numbers of the calls for which this holds.
    pub fn numbers(&self, mut condition: impl FnMut(&OpenCall) -> bool) -> Vec<u64> {
        let mut numbers = Vec::new();
        self.each(|number, call| {
            if condition(call) {
                numbers.push(number);
            }
        });
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
