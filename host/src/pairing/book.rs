//! The book in memory, and the few steps that change a device's record.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use schemas::scope::{covers, normalized};

use super::invites::Waiting;
use crate::store::devices::{Change, DeviceRow, PendingRequest, PreviousMint, TokenRow};
use crate::tokens::TokenMaker;

/// Devices by id and pending requests by theirs.
pub(super) struct Book {
    pub(super) devices: HashMap<String, DeviceRow>,
    pub(super) pending: HashMap<String, PendingRequest>,
    /// Devices whose row on disk is behind.
    pub(super) dirty: HashSet<String>,
    /// Invitations that wait to be used, by the SHA-256 of their tokens. Never on disk.
    pub(super) invites: HashMap<[u8; 32], Waiting>,
}

impl Book {
    pub(super) fn new(devices: Vec<DeviceRow>, pending: Vec<PendingRequest>) -> Self {
        let fresh = |mut device: DeviceRow| {
            device.tokens.iter_mut().for_each(|token| token.epoch = next_epoch());
            (device.device_id.clone(), device)
        };
        Book {
            devices: devices.into_iter().map(fresh).collect(),
            pending: pending.into_iter().map(|request| (request.request_id.clone(), request)).collect(),
            dirty: HashSet::new(),
            invites: HashMap::new(),
        }
    }

    /// Makes changes seen that are on disk.
    pub(super) fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::PutDevice(device) => {
                    self.devices.insert(device.device_id.clone(), *device);
                }
                Change::DropDevice(id) => {
                    self.devices.remove(&id);
                    self.forget_invited(&id);
                    self.dirty.remove(&id);
                }
                Change::PutPending(request) => {
                    self.pending.insert(request.request_id.clone(), *request);
                }
                Change::DropPending(id) => {
                    self.pending.remove(&id);
                }
            }
        }
    }

    /// The requests a device waits with, at most one a role, expired or not.
    pub(super) fn pending_of(&self, device_id: &str) -> impl Iterator<Item = &PendingRequest> {
        self.pending.values().filter(move |request| request.device_id == device_id)
    }
}

/// Marks a token in memory; a new number says that whatever stood on the old one must fall.
pub(super) fn next_epoch() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// A device's token record for a role.
pub(super) fn token<'a>(device: &'a DeviceRow, role: &str) -> Option<&'a TokenRow> {
    device.tokens.iter().find(|token| token.role == role)
}

/// The same, to be changed.
pub(super) fn token_mut<'a>(device: &'a mut DeviceRow, role: &str) -> Option<&'a mut TokenRow> {
    device.tokens.iter_mut().find(|token| token.role == role)
}

/// Whether the token of this role can be handed out again as it is.
pub(super) fn is_fresh(maker: &TokenMaker, device: &DeviceRow, role: &str, scopes: &[String], now_ms: u64) -> bool {
    token(device, role).is_some_and(|token| {
        is_usable(maker, token, scopes, now_ms) && !maker.wants_renewal(token.issued_at_ms(), now_ms)
    })
}

/// Sees to it that the device has a good token for this role and these scopes: keeps it, renews it, or mints one.
pub(super) fn ensure_token(maker: &TokenMaker, device: &mut DeviceRow, role: &str, scopes: &[String], now_ms: u64) {
    match token_mut(device, role) {
        Some(token) if is_usable(maker, token, scopes, now_ms) => {
            if maker.wants_renewal(token.issued_at_ms(), now_ms) {
                token.previous = Some(PreviousMint { mint: token.mint.clone(), issued_at_ms: token.issued_at_ms() });
                token.mint = TokenMaker::draw_mint();
                token.rotated_at_ms = Some(now_ms);
            }
        }
        _ => mint_token(device, role, scopes, now_ms),
    }
}

/// Mints a token with exactly these scopes; an older one of the role dies.
pub(super) fn mint_token(device: &mut DeviceRow, role: &str, scopes: &[String], now_ms: u64) {
    let scopes = normalized(scopes);
    match token_mut(device, role) {
        Some(token) => {
            token.mint = TokenMaker::draw_mint();
            token.scopes = scopes;
            token.rotated_at_ms = Some(now_ms);
            (token.revoked_at_ms, token.last_used_at_ms, token.previous) = (None, None, None);
        }
        None => {
            device.tokens.push(TokenRow {
                role: role.to_string(),
                mint: TokenMaker::draw_mint(),
                scopes,
                created_at_ms: now_ms,
                epoch: next_epoch(),
                ..TokenRow::default()
            });
            device.tokens.sort_by(|a, b| a.role.cmp(&b.role));
        }
    }
}

fn is_usable(maker: &TokenMaker, token: &TokenRow, scopes: &[String], now_ms: u64) -> bool {
    token.revoked_at_ms.is_none() && !maker.is_expired(token.issued_at_ms(), now_ms) && covers(&token.scopes, scopes)
}
