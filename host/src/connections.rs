//! The connections that have joined: what a broadcast goes to.

use std::borrow::Cow;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, PoisonError};

use plugin_api::catalogue;
use schemas::protocol::{Version, close};
use tokio::sync::Notify;

use crate::authority::Authority;
use crate::outbox::Outbox;
use crate::refusals::Refusals;
use crate::surfaces::Vantage;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// Locks are taken a shard at a time, so that joining and broadcasting rarely wait for each other.
const SHARDS: usize = 16;

/// One accepted connection.
pub struct Connection {
    /// Its number: in calls, and in targeted events.
    pub number: u64,
    /// Its id on the wire.
    pub id: String,
    /// Negotiated version.
    pub version: Version,
    /// Its rights.
    pub authority: Arc<Authority>,
    /// Its way out.
    pub outbox: Arc<Outbox>,
    /// What plugins hear of it, a [`catalogue::ConnectionOpened`] as JSON: its `connect` without secrets, and its presence
    /// row. Small, and rarely read.
    pub record: Box<str>,
    /// Whether plugins have heard of it.
    pub announced: AtomicBool,
    /// Key of its presence row, if it has one.
    pub presence_key: Option<String>,
    /// How its client reaches the gateway.
    pub vantage: Vantage,
    /// Whether a capability is held for it.
    pub has_capability: AtomicBool,
    /// Requests that run.
    pub in_flight: AtomicUsize,
    /// Wakes whoever waits until none does.
    pub idle: Idle,
    /// Requests that were refused.
    pub refusals: Refusals,
}

/// What a connection stood on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallen {
    /// Its device, or the device's token.
    Device,
    /// The named token that it showed.
    NamedToken,
}

/// Somebody may wait until no request of a connection runs.
#[derive(Default)]
pub struct Idle {
    awaited: AtomicBool,
    none_runs: Notify,
}

impl Connection {
    /// What it stands on has fallen: it has no more rights, and is closed with what its version says of that.
    pub fn invalidate(&self, fallen: Fallen) {
        self.authority.revoke();
        let code = match self.version {
            Version::V3 => close::POLICY,
            Version::V4 => close::INVALIDATED,
        };
        let reason = match (fallen, self.version) {
            (Fallen::Device, Version::V3) => "device access changed; connect again",
            (Fallen::Device, Version::V4) => "client invalidated: device access changed",
            (Fallen::NamedToken, _) => "gateway auth changed",
        };
        self.outbox.close(code, reason);
    }

    /// One request less runs: its answer is in the outbox, or there is nobody to hear it.
    pub fn request_ended(&self) {
        // Sequentially consistent like `idle`: either this sees that somebody waits, or that one sees that none runs.
        if self.in_flight.fetch_sub(1, Ordering::SeqCst) == 1 && self.idle.awaited.load(Ordering::SeqCst) {
            self.idle.none_runs.notify_waiters();
        }
    }

    /// Waits until none of its requests runs: what they were answered is in the outbox.
    pub async fn idle(&self) {
        self.idle.awaited.store(true, Ordering::SeqCst);
        loop {
            let mut none_runs = pin!(self.idle.none_runs.notified());
            none_runs.as_mut().enable();
            if self.in_flight.load(Ordering::SeqCst) == 0 {
                return;
            }
            none_runs.await;
        }
    }

    /// Plugins hear of it now.
    pub fn announce(&self) {
        self.announced.store(true, Ordering::Release);
    }

    /// Whether plugins that were there have heard of it.
    pub fn is_announced(&self) -> bool {
        self.announced.load(Ordering::Acquire)
    }

    /// What plugins are told of it. `replay`: it was open before the one who hears.
    pub fn opened(&self, replay: bool) -> Cow<'_, [u8]> {
        if !replay {
            return self.record.as_bytes().into();
        }
        let mut json = self.record.as_bytes().to_vec();
        json.pop();
        json.extend_from_slice(b",\"replay\":true}");
        json.into()
    }

    /// Its record.
    pub fn describe(&self) -> Option<catalogue::Connection> {
        serde_json::from_str(&self.record).ok()
    }
}

/// All of them.
pub struct Connections {
    shards: [Mutex<HashMap<u64, Arc<Connection>>>; SHARDS],
    next: AtomicU64,
    count: AtomicUsize,
    left: Notify,
}

impl Connections {
    /// None yet.
    pub fn new() -> Self {
        Connections {
            shards: Default::default(),
            next: AtomicU64::new(1),
            count: AtomicUsize::new(0),
            left: Notify::new(),
        }
    }

    /// A number for a new connection; never reused.
    pub fn next_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Joins in one step: from here on every broadcast reaches the connection, and what `hello` queues comes before any
    /// of them. Snapshots must be read inside `hello`.
    pub fn join(&self, connection: Arc<Connection>, hello: impl FnOnce(&Connection)) {
        let mut shard = self.shard(connection.number);
        connection.outbox.join(connection.authority.clone(), || hello(&connection));
        shard.insert(connection.number, connection);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Takes a connection out.
    pub fn leave(&self, number: u64) {
        if self.shard(number).remove(&number).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        self.left.notify_waiters();
    }

    /// Waits until nobody is left.
    pub async fn gone(&self) {
        loop {
            let mut left = pin!(self.left.notified());
            left.as_mut().enable();
            if self.shards.iter().all(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).is_empty()) {
                return;
            }
            left.await;
        }
    }

    /// A connection by its number.
    pub fn find(&self, number: u64) -> Option<Arc<Connection>> {
        self.shard(number).get(&number).cloned()
    }

    /// Visits each connection.
    pub fn each(&self, mut visit: impl FnMut(&Arc<Connection>)) {
        for shard in &self.shards {
            shard.lock().unwrap_or_else(PoisonError::into_inner).values().for_each(&mut visit);
        }
    }

    /// All of them, oldest first.
    pub fn list(&self) -> Vec<Arc<Connection>> {
        let mut list = Vec::new();
        self.each(|connection| list.push(connection.clone()));
        list.sort_by_key(|connection| connection.number);
        list
    }

    fn shard(&self, number: u64) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.shards[number as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self::new()
    }
}
