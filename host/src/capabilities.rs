//! Addresses that let their bearer in: `/__openclaw__/cap/<capability>/…`, told to a paired node or an operator in
//! hello-ok and good for paths that plugins serve to such bearers, and for nothing else.
//!
//! A device has one a role for as long as it is connected and `surface_ttl_ms` beyond, so that a page it shows outlives a
//! reconnect; without a device it ends with the connection. It falls with what its bearer stands on. In memory only, found
//! by its hash, so that nobody learns it from how long a look takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use schemas::scope;
use sha2::{Digest, Sha256};

use crate::authority::Authority;
use crate::connections::Connection;

/// What comes before the capability.
pub const PREFIX: &str = "/__openclaw__/cap/";
/// Entries from which on those that are over are looked for.
const FEW: usize = 1024;

/// All that were told and are not over.
pub struct Capabilities {
    ttl_ms: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_hash: HashMap<[u8; 32], Held>,
    by_owner: HashMap<String, [u8; 32]>,
    sweep_at: usize,
}

struct Held {
    secret: String,
    owner: String,
    authority: Arc<Authority>,
    /// Connections that were told it.
    open: usize,
    /// Since when there is none, in milliseconds since 1970.
    left_at_ms: u64,
}

impl Held {
    fn is_over(&self, ttl_ms: u64, now_ms: u64) -> bool {
        self.authority.is_revoked() || (self.open == 0 && now_ms.saturating_sub(self.left_at_ms) >= ttl_ms)
    }
}

/// Who comes with a capability.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// Whose rights it stands on.
    pub authority: Arc<Authority>,
    /// The device that it was made for.
    pub device_id: Option<String>,
    /// The role that it was made for.
    pub role: String,
}

impl Capabilities {
    /// None yet.
    pub fn new(ttl_ms: u64) -> Self {
        Capabilities { ttl_ms, state: Mutex::default() }
    }

    /// The one of this connection, until [`Capabilities::left`]; `None` for who may not read.
    pub fn told(&self, connection: &Connection, now_ms: u64) -> Option<String> {
        let authority = &connection.authority;
        if !may_have(authority) {
            return None;
        }
        let owner = owner(connection);
        let mut state = self.lock();
        state.sweep(self.ttl_ms, now_ms);
        if let Some(hash) = state.by_owner.get(&owner).copied()
            && let Some(held) = state.by_hash.get_mut(&hash).filter(|held| !held.is_over(self.ttl_ms, now_ms))
        {
            held.open += 1;
            held.authority = authority.clone();
            return Some(held.secret.clone());
        }
        let mut random = [0; 24];
        if getrandom::fill(&mut random).is_err() {
            tracing::error!("the system gives no random numbers");
            return None;
        }
        let secret = BASE64_URL_SAFE_NO_PAD.encode(random);
        let held =
            Held { secret: secret.clone(), owner: owner.clone(), authority: authority.clone(), open: 1, left_at_ms: 0 };
        state.forget(&owner);
        state.by_owner.insert(owner, hash(&secret));
        state.by_hash.insert(hash(&secret), held);
        Some(secret)
    }

    /// A connection that was told one has gone.
    pub fn left(&self, connection: &Connection, now_ms: u64) {
        if !may_have(&connection.authority) {
            return;
        }
        let owner = owner(connection);
        let mut state = self.lock();
        let Some(hash) = state.by_owner.get(&owner).copied() else { return };
        let Some(held) = state.by_hash.get_mut(&hash) else { return };
        held.open = held.open.saturating_sub(1);
        held.left_at_ms = now_ms;
        if held.open == 0 && (connection.authority.caller().device_id.is_none() || held.authority.is_revoked()) {
            state.forget(&owner);
        }
    }

    /// Who comes with this one, if it is good.
    pub fn bearer(&self, secret: &str, now_ms: u64) -> Option<Bearer> {
        let state = self.lock();
        let held = state.by_hash.get(&hash(secret)).filter(|held| !held.is_over(self.ttl_ms, now_ms))?;
        let caller = held.authority.caller();
        Some(Bearer {
            authority: held.authority.clone(),
            device_id: caller.device_id.clone(),
            role: caller.role.clone(),
        })
    }

    /// Ends those whose bearers' rights have fallen.
    pub fn revoke(&self, which: impl Fn(&Authority) -> bool) {
        for held in self.lock().by_hash.values().filter(|held| which(&held.authority)) {
            held.authority.revoke();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, owner: &str) {
        if let Some(hash) = self.by_owner.remove(owner) {
            self.by_hash.remove(&hash);
        }
    }

    /// Forgets what is over, now and then: as often as the number of entries has doubled.
    fn sweep(&mut self, ttl_ms: u64, now_ms: u64) {
        if self.by_hash.len() < self.sweep_at.max(FEW) {
            return;
        }
        let over: Vec<_> = self.by_hash.values().filter(|held| held.is_over(ttl_ms, now_ms)).collect();
        let over: Vec<String> = over.into_iter().map(|held| held.owner.clone()).collect();
        over.iter().for_each(|owner| self.forget(owner));
        self.sweep_at = self.by_hash.len() * 2;
    }
}

/// Nodes, and operators that may read.
fn may_have(authority: &Authority) -> bool {
    let caller = authority.caller();
    caller.role == "node" || scope::any_satisfies(&caller.scopes, scope::READ)
}

fn owner(connection: &Connection) -> String {
    let caller = connection.authority.caller();
    match &caller.device_id {
        Some(device) => format!("{} {device}", caller.role),
        None => format!("connection {}", connection.number),
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// The capability in a path, and the path behind it.
pub fn split(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(PREFIX)?;
    match rest.find('/') {
        Some(end) => Some((&rest[..end], &rest[end..])),
        None => Some((rest, "/")),
    }
}
