//! Addresses that let their bearer in: `/__openclaw__/cap/<capability>/…`, told to a paired node or an operator in
//! hello-ok and good for paths that plugins serve to such bearers, and for nothing else.
//!
//! A device has one a role for as long as it is connected and `surface_ttl_ms` beyond, so that a page it shows outlives a
//! reconnect; without a device it ends with the connection. Who asks for a fresh one gets it, and the one before is good for
//! `surface_ttl_ms` more. It falls with what its bearer stands on. In memory only, found by its hash, so that nobody learns
//! it from how long a look takes.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
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
    by_hash: HashMap<Hash, Held>,
    by_owner: HashMap<Owner, Owned>,
    sweep_at: usize,
}

type Hash = [u8; 32];

/// Whose they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Owner {
    Device { role: String, device: String },
    Connection(u64),
}

/// Those of one owner.
#[derive(Clone, Copy)]
struct Owned {
    now: Hash,
    /// The one that the last fresh one took the place of.
    before: Option<Hash>,
}

struct Held {
    secret: String,
    owner: Owner,
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

/// A capability that somebody asked for.
pub struct Renewed {
    /// Itself.
    pub secret: String,
    /// How long it is good at least, in milliseconds since 1970.
    pub good_until_ms: u64,
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
        if !may_have(&connection.authority) {
            return None;
        }
        let mut state = self.lock();
        state.sweep(self.ttl_ms, now_ms);
        self.told_in(&mut state, connection, now_ms)
    }

    /// A fresh one in the place of this connection's, which stays good for `surface_ttl_ms`. Who does not name the one in
    /// force has missed that somebody else of its device has asked, and is told what that one was.
    pub fn renewed(&self, connection: &Connection, observed: Option<&str>, now_ms: u64) -> Option<Renewed> {
        if !may_have(&connection.authority) {
            return None;
        }
        let mut state = self.lock();
        state.sweep(self.ttl_ms, now_ms);
        let was_told = connection.has_capability.load(Ordering::Relaxed);
        let mut secret = self.told_in(&mut state, connection, now_ms)?;
        if was_told && observed.is_none_or(|observed| observed == secret) {
            secret = state.replace(&owner(connection), &connection.authority, now_ms)?;
        }
        Some(Renewed { secret, good_until_ms: now_ms.saturating_add(self.ttl_ms) })
    }

    fn told_in(&self, state: &mut State, connection: &Connection, now_ms: u64) -> Option<String> {
        let (owner, authority) = (owner(connection), &connection.authority);
        let is_first = !connection.has_capability.swap(true, Ordering::Relaxed);
        if let Some(owned) = state.by_owner.get(&owner).copied()
            && let Some(held) = state.by_hash.get_mut(&owned.now).filter(|held| !held.is_over(self.ttl_ms, now_ms))
        {
            held.open += usize::from(is_first);
            held.authority = authority.clone();
            return Some(held.secret.clone());
        }
        let secret = random()?;
        state.forget(&owner);
        state.hold(&owner, &secret, authority, 1, None);
        Some(secret)
    }

    /// A connection that was told one has gone.
    pub fn left(&self, connection: &Connection, now_ms: u64) {
        if !connection.has_capability.swap(false, Ordering::Relaxed) {
            return;
        }
        let owner = owner(connection);
        let mut state = self.lock();
        let Some(owned) = state.by_owner.get(&owner).copied() else { return };
        let Some(held) = state.by_hash.get_mut(&owned.now) else { return };
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
    /// Notes one, and the one before it.
    fn hold(&mut self, owner: &Owner, secret: &str, authority: &Arc<Authority>, open: usize, before: Option<Hash>) {
        let (owner, authority) = (owner.clone(), authority.clone());
        let now = hash(secret);
        self.by_owner.insert(owner.clone(), Owned { now, before });
        self.by_hash.insert(now, Held { secret: secret.to_string(), owner, authority, open, left_at_ms: 0 });
    }

    /// Puts a fresh one in the place of an owner's, which from now on nobody is connected with. Of all before it only the last
    /// is kept, so that nobody gathers more than two.
    fn replace(&mut self, owner: &Owner, authority: &Arc<Authority>, now_ms: u64) -> Option<String> {
        let owned = self.by_owner.get(owner).copied()?;
        let secret = random()?;
        let held = self.by_hash.get_mut(&owned.now)?;
        let open = std::mem::take(&mut held.open);
        held.left_at_ms = now_ms;
        if let Some(before) = owned.before {
            self.by_hash.remove(&before);
        }
        self.hold(owner, &secret, authority, open, Some(owned.now));
        Some(secret)
    }

    fn forget(&mut self, owner: &Owner) {
        if let Some(Owned { now, before }) = self.by_owner.remove(owner) {
            self.by_hash.remove(&now);
            before.and_then(|before| self.by_hash.remove(&before));
        }
    }

    /// Forgets what is over, now and then: as often as the number of entries has doubled.
    fn sweep(&mut self, ttl_ms: u64, now_ms: u64) {
        if self.by_hash.len() < self.sweep_at.max(FEW) {
            return;
        }
        let over = self.by_hash.iter().filter(|(_, held)| held.is_over(ttl_ms, now_ms));
        let over: Vec<(Hash, Owner)> = over.map(|(hash, held)| (*hash, held.owner.clone())).collect();
        for (hash, owner) in over {
            match self.by_owner.get_mut(&owner) {
                Some(owned) if owned.before == Some(hash) => {
                    owned.before = None;
                    self.by_hash.remove(&hash);
                }
                // The one before it was left earlier.
                _ => self.forget(&owner),
            }
        }
        self.sweep_at = self.by_hash.len() * 2;
    }
}

/// Nodes, and operators that may read.
fn may_have(authority: &Authority) -> bool {
    let caller = authority.caller();
    caller.role == "node" || scope::any_satisfies(&caller.scopes, scope::READ)
}

fn owner(connection: &Connection) -> Owner {
    let caller = connection.authority.caller();
    match &caller.device_id {
        Some(device) => Owner::Device { role: caller.role.clone(), device: device.clone() },
        None => Owner::Connection(connection.number),
    }
}

fn random() -> Option<String> {
    let mut random = [0; 24];
    if getrandom::fill(&mut random).is_err() {
        tracing::error!("the system gives no random numbers");
        return None;
    }
    Some(BASE64_URL_SAFE_NO_PAD.encode(random))
}

fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

/// The capability in an address that somebody was told.
pub fn of_address(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once(PREFIX)?;
    rest.split('/').next()
}

/// The capability in a path, and the path behind it.
pub fn split(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(PREFIX)?;
    match rest.find('/') {
        Some(end) => Some((&rest[..end], &rest[end..])),
        None => Some((rest, "/")),
    }
}
