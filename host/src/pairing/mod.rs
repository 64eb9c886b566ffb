//! The pairing book: which devices may come in, in which roles and with which scopes, and which ask to.
//!
//! The book is read from memory. A change is planned on a copy, written in one transaction, and only then seen: what a
//! client was told is on disk. Changes go one after another; whoever waits for one may leave, the change still completes.
//! A known device that comes back waits for no disk: when it was last seen is written behind, a few seconds later.

mod admission;
mod book;
mod invites;
mod management;
mod pins;
mod records;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use crate::auth::{DeviceTokens, Invited, TokenRefusal, TokenUse};
use crate::gateway_key::GatewayKey;
use crate::store::devices::{self, Change};
use crate::store::{Store, StoreError};
use crate::tokens::{self, TokenMaker};
use book::Book;
use schemas::scope::covers;

pub use crate::store::devices::PendingRequest;
pub use admission::{Admission, Candidate, PairingReason};
pub use invites::{Invitation, Invite, InviteError};
pub use management::{Authority, Done, Invalidated, ManageError};
pub use records::{
    Approved, Decision, PairedDevice, PairingEvent, PairingList, Rejected, Removed, Renamed, Revoked, Rotated,
    TokenDelivery, TokenSummary,
};

/// The limits of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairingSettings {
    /// `gateway.auth.token_ttl`, in milliseconds.
    pub token_ttl_ms: u64,
    /// How long a device may wait for an answer.
    pub pending_ttl_ms: u64,
    /// Devices that may wait at a time.
    pub max_pending: usize,
    /// Devices of one address that may wait at a time.
    pub max_pending_per_ip: usize,
    /// `gateway.auth.setup_code_ttl`, in milliseconds.
    pub setup_code_ttl_ms: u64,
    /// `gateway.limits.max_setup_codes`: invitations that may wait to be used.
    pub max_setup_codes: usize,
}

impl Default for PairingSettings {
    fn default() -> Self {
        PairingSettings {
            token_ttl_ms: tokens::DEFAULT_TTL_MS,
            pending_ttl_ms: 300_000,
            max_pending: 256,
            max_pending_per_ip: 32,
            setup_code_ttl_ms: 600_000,
            max_setup_codes: 32,
        }
    }
}

/// The pairing book.
pub struct Pairing {
    store: Store,
    maker: TokenMaker,
    settings: PairingSettings,
    /// Held from planning a change until it is seen.
    gate: Arc<tokio::sync::Mutex<()>>,
    book: Arc<Mutex<Book>>,
}

/// How many devices there are, how many wait to be approved, and how many are invited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Paired devices.
    pub devices: usize,
    /// Requests that wait.
    pub requests: usize,
    /// Setup codes that wait to be used.
    pub setup_codes: usize,
}

impl Pairing {
    /// Reads the book.
    pub async fn load(store: &Store, key: GatewayKey, settings: PairingSettings) -> Result<Self, StoreError> {
        let (devices, pending) = store.run(|db| devices::load(db)).await?;
        Ok(Pairing {
            store: store.clone(),
            maker: TokenMaker::new(key, settings.token_ttl_ms),
            settings,
            gate: Arc::default(),
            book: Arc::new(Mutex::new(Book::new(devices, pending))),
        })
    }

    /// Whether a state file holds paired devices: what decides if a missing key is fatal. Ask before [`Self::load`].
    pub async fn has_devices(store: &Store) -> Result<bool, StoreError> {
        store.run(|db| db.query_row("SELECT EXISTS (SELECT 1 FROM devices)", [], |row| row.get(0))).await
    }

    /// How much of what there is.
    pub fn counts(&self, now_ms: u64) -> Counts {
        let book = self.lock();
        Counts {
            devices: book.devices.len(),
            requests: book.pending.values().filter(|request| self.is_alive(request, now_ms)).count(),
            setup_codes: book.invites.values().filter(|waiting| waiting.is_open(now_ms)).count(),
        }
    }

    /// Whether a connection admitted with this epoch may still stand. Ask once after joining: a removal between admission
    /// and joining found no connection to close.
    pub fn stands(&self, device_id: &str, role: &str, epoch: u64) -> bool {
        let book = self.lock();
        book.devices.get(device_id).and_then(|device| book::token(device, role)).is_some_and(|t| t.epoch == epoch)
    }

    /// Writes what was put off: when devices were last seen. Call at shutdown before the store closes.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let gate = self.gate.clone().lock_owned().await;
        let (ids, changes) = {
            let mut book = self.lock();
            let ids: Vec<String> = book.dirty.drain().collect();
            let put = |id: &String| book.devices.get(id).map(|device| Change::PutDevice(Box::new(device.clone())));
            let changes: Vec<Change> = ids.iter().filter_map(put).collect();
            (ids, changes)
        };
        if changes.is_empty() {
            return Ok(());
        }
        // Not applied to the book afterwards: it may have moved on meanwhile.
        let written = self
            .store
            .run(move |db| {
                let written = devices::write(db, &changes);
                drop(gate);
                written
            })
            .await;
        if written.is_err() {
            self.lock().dirty.extend(ids);
        }
        written
    }

    /// Flushes every few seconds for as long as it is polled.
    pub async fn keep_flushing(&self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            if let Err(error) = self.flush().await {
                tracing::warn!(%error, "when devices were last seen could not be written; trying again");
            }
        }
    }

    /// Writes changes and lets them be seen. The gate stays shut until then, even if nobody waits for the answer.
    async fn commit(&self, gate: OwnedMutexGuard<()>, changes: Vec<Change>) -> Result<(), StoreError> {
        let book = self.book.clone();
        self.store
            .run(move |db| {
                devices::write(db, &changes)?;
                lock(&book).apply(changes);
                drop(gate);
                Ok(())
            })
            .await
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }
}

impl DeviceTokens for Pairing {
    /// Also notes that the token was used, and retires the one it replaced.
    fn verify_device_token(
        &self,
        device_id: &str,
        role: &str,
        token: &str,
        scopes: &[String],
        now_ms: u64,
    ) -> Result<TokenUse, TokenRefusal> {
        let mut book = self.lock();
        let Book { devices, dirty, .. } = &mut *book;
        let device = devices.get_mut(device_id).ok_or(TokenRefusal::DeviceNotPaired)?;
        if !device.roles.iter().any(|approved| approved == role) {
            return Err(TokenRefusal::RoleMissing);
        }
        let record = book::token_mut(device, role).ok_or(TokenRefusal::TokenMissing)?;
        if record.revoked_at_ms.is_some() {
            return Err(TokenRefusal::TokenRevoked);
        }
        let is_current = self.maker.matches(device_id, role, &record.mint, token);
        let replaced = record.previous.as_ref().filter(|old| self.maker.matches(device_id, role, &old.mint, token));
        let issued_at_ms = match (is_current, replaced) {
            (true, _) => record.issued_at_ms(),
            (false, Some(old)) => old.issued_at_ms,
            (false, None) => return Err(TokenRefusal::TokenMismatch),
        };
        if self.maker.is_expired(issued_at_ms, now_ms) {
            return Err(TokenRefusal::TokenExpired);
        }
        if !covers(&record.scopes, scopes) {
            return Err(TokenRefusal::ScopeMismatch);
        }
        if is_current {
            record.previous = None;
        }
        record.last_used_at_ms = Some(now_ms);
        dirty.insert(device_id.to_string());
        Ok(TokenUse { epoch: record.epoch })
    }

    fn reach(&self, device_id: &str, role: &str) -> Vec<String> {
        let book = self.lock();
        let token = book.devices.get(device_id).and_then(|device| book::token(device, role));
        token.map(|token| token.scopes.clone()).unwrap_or_default()
    }

    fn verify_bootstrap_token(&self, device_id: &str, role: &str, token: &str, now_ms: u64) -> Option<Invited> {
        self.accept(token, device_id, role, now_ms)
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}
