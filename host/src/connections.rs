//! The connections that have joined: what a broadcast goes to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plugin_api::catalogue;
use schemas::protocol::Version;

use crate::authority::Authority;
use crate::outbox::Outbox;

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
    /// Its `connect` without secrets: a [`catalogue::Connection`] as JSON, which is small and rarely read.
    pub record: Box<str>,
    /// Key of its presence row, if it has one.
    pub presence_key: Option<String>,
    /// Requests that run.
    pub in_flight: AtomicUsize,
    /// Requests that were refused for want of rights.
    pub refused: AtomicUsize,
}

impl Connection {
    /// Its record.
    pub fn describe(&self) -> Option<catalogue::Connection> {
        serde_json::from_str(&self.record).ok()
    }
}

/// All of them.
pub struct Connections {
    shards: [Mutex<HashMap<u64, Arc<Connection>>>; SHARDS],
    next: AtomicU64,
}

impl Connections {
    /// None yet.
    pub fn new() -> Self {
        Connections { shards: Default::default(), next: AtomicU64::new(1) }
    }

    /// A number for a new connection; never reused.
    pub fn next_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Joins in one step: from here on every broadcast reaches the connection, and what `hello` queues comes before any
    /// of them. Snapshots must be read inside `hello`.
    pub fn join(&self, connection: Arc<Connection>, hello: impl FnOnce(&Connection)) {
        let mut shard = self.shard(connection.number);
        hello(&connection);
        shard.insert(connection.number, connection);
    }

    /// Takes a connection out.
    pub fn leave(&self, number: u64) {
        self.shard(number).remove(&number);
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
