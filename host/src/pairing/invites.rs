//! Invitations: a device that shows a one-time token is let in as whoever made it said, without anybody being asked again.
//!
//! A token stands here as its SHA-256 and in memory only, so that a restart ends them all. The first device that shows it is
//! the only one that can use it; until its pairing is on disk it may try again, and from then on only the device token that it
//! was handed counts. What ends the connections of the device that invites ends its invitations.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::ErrorShape;
use schemas::bounds;
use schemas::scope::{self, normalized};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::management::{self, OPERATOR};
use super::{Authority, Book, Candidate, Pairing, book};
use crate::auth::Invited;

const NODE: &str = "node";
/// What an operator may do who is invited without a word about it, as far as the inviter may.
const USUAL: [&str; 2] = [scope::READ, scope::WRITE];

/// What somebody invites to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invite {
    /// `operator` unless said.
    pub role: Option<String>,
    /// What an operator may do: to read and to write unless said.
    pub scopes: Option<Vec<String>>,
    /// A name for the device.
    pub label: Option<String>,
    /// When the inviter's own access ends.
    pub ends_at_ms: Option<u64>,
}

/// An invitation that was made. The token is told here and never again.
pub struct Invitation {
    /// What the device shows.
    pub token: Zeroizing<String>,
    /// When it is worth nothing any more.
    pub expires_at_ms: u64,
    /// The role it is for.
    pub role: String,
    /// What it grants at most.
    pub scopes: Vec<String>,
}

/// Why there is no invitation.
#[derive(Debug, Clone, PartialEq)]
pub enum InviteError {
    /// It may not be, or makes no sense.
    Refused(ErrorShape),
    /// `gateway.limits.max_setup_codes` wait to be used.
    Full,
}

/// An invitation that waits to be used.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) role: String,
    pub(super) scopes: Vec<String>,
    pub(super) label: Option<String>,
    /// Who invites; the host itself without one.
    pub(super) by: Option<Authority>,
    /// Of the inviter's token, if the inviter is a paired device.
    epoch: Option<u64>,
    expires_at_ms: u64,
    /// The device that showed it first.
    used_by: Option<String>,
}

impl Waiting {
    /// Whether its time is not over.
    pub(super) fn is_open(&self, now_ms: u64) -> bool {
        self.expires_at_ms > now_ms
    }
}

impl Pairing {
    /// Invites a device that is not known yet, within what the caller holds.
    pub fn invite(&self, invite: Invite, by: Option<&Authority>, now_ms: u64) -> Result<Invitation, InviteError> {
        let refused = |error| Err(InviteError::Refused(error));
        let role = invite.role.unwrap_or_else(|| OPERATOR.to_string());
        let scopes = match (role.as_str(), invite.scopes) {
            (OPERATOR, Some(scopes)) => normalized(&bounds::names(scopes, bounds::MAX_SCOPES)),
            (OPERATOR, None) => by.map_or_else(|| normalized(&USUAL), |by| scope::meet(&by.scopes, &USUAL)),
            (NODE, None) => Vec::new(),
            (NODE, Some(scopes)) if scopes.is_empty() => Vec::new(),
            (NODE, Some(_)) => return refused(ErrorShape::invalid_request("a node has no scopes")),
            _ => return refused(ErrorShape::invalid_request("role must be operator or node")),
        };
        let label = invite.label.as_deref().map(management::label).transpose().map_err(InviteError::Refused)?;
        if by.is_some_and(|by| !management::may_invite(by, &role, &scopes)) {
            return refused(ErrorShape::invalid_request("device invitation denied"));
        }
        let ends_at_ms = invite.ends_at_ms.unwrap_or(u64::MAX);
        let expires_at_ms = now_ms.saturating_add(self.settings.setup_code_ttl_ms).min(ends_at_ms);
        let mut book = self.lock();
        book.invites.retain(|_, waiting| waiting.is_open(now_ms));
        if book.invites.len() >= self.settings.max_setup_codes {
            return Err(InviteError::Full);
        }
        let epoch = by.and_then(|by| by.device_id.as_deref()).and_then(|device| epoch_of(&book, device));
        let token = draw_token();
        let (by, used_by) = (by.cloned(), None);
        let waiting = Waiting { role: role.clone(), scopes: scopes.clone(), label, by, epoch, expires_at_ms, used_by };
        book.invites.insert(digest(&token), waiting);
        Ok(Invitation { token, expires_at_ms, role, scopes })
    }

    /// What the token invites to, if this device may use it in this role now. From here on no other device may.
    pub(super) fn accept(&self, token: &str, device_id: &str, role: &str, now_ms: u64) -> Option<Invited> {
        let mut book = self.lock();
        let id = digest(token);
        let scopes = standing(&book, &id, device_id, role, now_ms)?.scopes.clone();
        book.invites.get_mut(&id)?.used_by = Some(device_id.to_string());
        Some(Invited { id, scopes })
    }
}

impl Book {
    /// The invitation by which a candidate comes, if it still stands.
    pub(super) fn invitation(&self, candidate: &Candidate, now_ms: u64) -> Option<&Waiting> {
        let id = &candidate.invited.as_ref()?.id;
        standing(self, id, &candidate.device_id, &candidate.role, now_ms)
    }

    /// A device is forgotten: a code that it has begun to use must not bring it back.
    pub(super) fn forget_invited(&mut self, device_id: &str) {
        self.invites.retain(|_, waiting| waiting.used_by.as_deref() != Some(device_id));
    }
}

fn standing<'b>(book: &'b Book, id: &[u8; 32], device_id: &str, role: &str, now_ms: u64) -> Option<&'b Waiting> {
    let waiting = book.invites.get(id)?;
    let inviter = waiting.by.as_ref().and_then(|by| by.device_id.as_deref());
    // An inviter that was no paired device stands on a secret that only a restart changes.
    let inviter_stands = waiting.epoch.is_none_or(|epoch| inviter.and_then(|it| epoch_of(book, it)) == Some(epoch));
    let is_theirs = waiting.used_by.as_deref().is_none_or(|first| first == device_id);
    (waiting.is_open(now_ms) && waiting.role == role && inviter_stands && is_theirs).then_some(waiting)
}

/// What changes when the connections of an operator at this device must fall.
fn epoch_of(book: &Book, device_id: &str) -> Option<u64> {
    let token = book::token(book.devices.get(device_id)?, OPERATOR)?;
    token.revoked_at_ms.is_none().then_some(token.epoch)
}

fn draw_token() -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0u8; 32]);
    getrandom::fill(&mut *bytes).expect("the system's random source has been answering since the start");
    Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes))
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
