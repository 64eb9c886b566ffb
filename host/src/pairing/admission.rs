//! A device at the door: let in as known, approved without asking, or noted down to wait for an operator.

use std::collections::HashSet;

use schemas::bounds;
use schemas::hello::Granted;
use schemas::scope::{any_satisfies, covers, normalized};

use super::book::{self, Book};
use super::management::{self, Approver};
use super::records::{Decision, PairedDevice, PairingEvent};
use super::{Pairing, PendingRequest, pins};
use crate::auth::{Invited, TokenUse};
use crate::store::StoreError;
use crate::store::devices::{Change, DeviceRow};

/// A verified device that wants in.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its id.
    pub device_id: String,
    /// Its key in the stored form.
    pub public_key: String,
    /// The role in force.
    pub role: String,
    /// The scopes in force.
    pub scopes: Vec<String>,
    /// `client.displayName`
    pub display_name: Option<String>,
    /// `client.platform`
    pub platform: Option<String>,
    /// `client.deviceFamily`
    pub device_family: Option<String>,
    /// `client.id`
    pub client_id: Option<String>,
    /// `client.mode`
    pub client_mode: Option<String>,
    /// The reported address.
    pub remote_ip: Option<String>,
    /// Whether it may be approved without asking: it comes from this machine.
    pub local: bool,
    /// Whether it gets in even when it is not paired (a Control UI exception).
    pub pairing_optional: bool,
    /// The device token it came in by.
    pub token_use: Option<TokenUse>,
    /// Whether platform and family are pinned: it speaks protocol 4.
    pub pins: bool,
    /// The invitation it came in by.
    pub invited: Option<Invited>,
}

/// Why a device must ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairingReason {
    /// Unknown, or with another key.
    NotPaired,
    /// In a role it was not approved for.
    RoleUpgrade,
    /// With scopes it was not approved for.
    ScopeUpgrade,
    /// On another platform, or of another family, than what was approved.
    MetadataUpgrade,
}

impl PairingReason {
    /// The word for `details.reason`.
    pub fn name(self) -> &'static str {
        match self {
            PairingReason::NotPaired => "not-paired",
            PairingReason::RoleUpgrade => "role-upgrade",
            PairingReason::ScopeUpgrade => "scope-upgrade",
            PairingReason::MetadataUpgrade => "metadata-upgrade",
        }
    }

    /// What it means, for people.
    pub fn sentence(self) -> &'static str {
        match self {
            PairingReason::NotPaired => "device is not approved yet",
            PairingReason::RoleUpgrade => "device is asking for a higher role than currently approved",
            PairingReason::ScopeUpgrade => "device is asking for more scopes than currently approved",
            PairingReason::MetadataUpgrade => "device identity changed and must be re-approved",
        }
    }
}

/// What became of a candidate.
#[derive(Debug, Clone)]
pub enum Admission {
    /// It is paired.
    Paired {
        /// Its record.
        device: Box<PairedDevice>,
        /// Its token, with the token's scopes.
        granted: Granted,
        /// For [`Pairing::stands`].
        epoch: u64,
        /// What happened on the way.
        events: Vec<PairingEvent>,
    },
    /// It waits for an operator.
    Pending {
        /// What the operator decides by.
        request_id: String,
        /// Why it must wait.
        reason: PairingReason,
        /// What happened on the way.
        events: Vec<PairingEvent>,
    },
    /// It is not paired and need not be.
    Skipped,
    /// The token it came in by has fallen since.
    TokenFallen,
    /// The invitation it came by has ended since.
    InvitationFallen,
    /// Too many wait already.
    Busy,
}

enum Plan {
    Now(Admission),
    AfterWriting(Vec<Change>, Admission),
}

impl Pairing {
    /// Decides about a candidate. A known device with a fresh token waits for nothing; everything else is on disk before
    /// this returns.
    pub async fn admit(&self, candidate: Candidate, now_ms: u64) -> Result<Admission, StoreError> {
        if let Some(admission) = self.admit_known(&candidate, now_ms) {
            return Ok(admission);
        }
        let gate = self.gate.clone().lock_owned().await;
        let plan = self.plan(&self.lock(), &candidate, now_ms);
        match plan {
            Plan::Now(admission) => Ok(admission),
            Plan::AfterWriting(changes, admission) => {
                // Spent before it is on disk, and given back if that fails: whoever waits may leave in between.
                let invited = candidate.invited.as_ref();
                let spent = invited.and_then(|it| self.lock().invites.remove(&it.id).map(|waiting| (it.id, waiting)));
                let written = self.commit(gate, changes).await;
                if written.is_err() {
                    self.lock().invites.extend(spent);
                }
                written.map(|()| admission)
            }
        }
    }

    fn admit_known(&self, candidate: &Candidate, now_ms: u64) -> Option<Admission> {
        let mut book = self.lock();
        if candidate.invited.is_some() || need(&book, candidate).is_some() || has_fallen(&book, candidate) {
            return None;
        }
        let Book { devices, dirty, .. } = &mut *book;
        let device = devices.get_mut(&candidate.device_id)?;
        let is_fresh = book::is_fresh(&self.maker, device, &candidate.role, &candidate.scopes, now_ms);
        if !is_fresh || pins::are_due(device, candidate) {
            return None;
        }
        note_visit(device, candidate, now_ms);
        dirty.insert(candidate.device_id.clone());
        Some(self.paired(device, &candidate.role, Vec::new()))
    }

    fn plan(&self, book: &Book, candidate: &Candidate, now_ms: u64) -> Plan {
        if has_fallen(book, candidate) {
            return Plan::Now(Admission::TokenFallen);
        }
        let known = known_device(book, candidate);
        if candidate.invited.is_some() {
            return match book.invitation(candidate, now_ms) {
                Some(it) => self.plan_at_once(book, candidate, known, Approver::Invitation(it), now_ms),
                None => Plan::Now(Admission::InvitationFallen),
            };
        }
        let need = need(book, candidate);
        // A device token is for the device as it was approved: who describes it anew needs more than that.
        let excused = candidate.token_use.is_none() || need != Some(PairingReason::MetadataUpgrade);
        match (need, known) {
            (None, Some(device)) => {
                let mut device = device.clone();
                note_visit(&mut device, candidate, now_ms);
                pins::set_missing(&mut device, candidate);
                book::ensure_token(&self.maker, &mut device, &candidate.role, &candidate.scopes, now_ms);
                let admission = self.paired(&device, &candidate.role, Vec::new());
                Plan::AfterWriting(vec![Change::PutDevice(Box::new(device))], admission)
            }
            _ if candidate.pairing_optional && excused => Plan::Now(Admission::Skipped),
            (_, known) if candidate.local && excused => {
                self.plan_at_once(book, candidate, known, Approver::ThisMachine, now_ms)
            }
            (reason, known) => {
                let reason = reason.unwrap_or(PairingReason::NotPaired);
                self.plan_pending(book, candidate, known.is_some(), reason, now_ms)
            }
        }
    }

    /// Approves at once. A request of the same device in the same role that still waits is settled by this too.
    fn plan_at_once(
        &self,
        book: &Book,
        candidate: &Candidate,
        known: Option<&DeviceRow>,
        approver: Approver<'_>,
        now_ms: u64,
    ) -> Plan {
        let mut changes = Vec::new();
        let mut events = Vec::new();
        let mut request = new_request(candidate, known.is_some(), now_ms);
        if let Some(waiting) = book.pending_of(&candidate.device_id).find(|waiting| waiting.role == candidate.role) {
            changes.push(Change::DropPending(waiting.request_id.clone()));
            if self.is_alive(waiting, now_ms) {
                if asks_the_same(waiting, candidate) {
                    request.request_id = waiting.request_id.clone();
                } else {
                    events.push(PairingEvent::resolved(waiting, Decision::Rejected, now_ms));
                }
            }
        }
        let Ok(mut device) = management::approve(&self.maker, approver, known, &request, None, now_ms) else {
            return Plan::Now(match approver {
                Approver::Invitation(_) => Admission::InvitationFallen,
                _ => Admission::TokenFallen,
            });
        };
        note_visit(&mut device, candidate, now_ms);
        events.push(PairingEvent::resolved(&request, Decision::Approved, now_ms));
        let admission = self.paired(&device, &candidate.role, events);
        changes.push(Change::PutDevice(Box::new(device)));
        Plan::AfterWriting(changes, admission)
    }

    /// A device waits in each of its roles by itself: one program may knock as an operator and as a node in turn, and
    /// neither must push the other's request out from under the operator who is about to approve it. Within a role, who
    /// asks for no more than the waiting request does is given that one.
    fn plan_pending(
        &self,
        book: &Book,
        candidate: &Candidate,
        is_repair: bool,
        reason: PairingReason,
        now_ms: u64,
    ) -> Plan {
        let mut events = Vec::new();
        let (alive, expired): (Vec<_>, Vec<_>) =
            book.pending.values().partition(|request| self.is_alive(request, now_ms));
        let mut changes: Vec<Change> =
            expired.iter().map(|request| Change::DropPending(request.request_id.clone())).collect();
        let (own, others): (Vec<_>, Vec<_>) =
            alive.into_iter().partition(|request| request.device_id == candidate.device_id);
        let mut request = Box::new(new_request(candidate, is_repair, now_ms));
        let mut displaced = Vec::new();
        if let Some(waiting) = own.iter().find(|waiting| waiting.role == candidate.role) {
            let is_same_device = waiting.public_key == candidate.public_key && pins::agree(waiting, candidate);
            if is_same_device && covers(&waiting.scopes, &candidate.scopes) {
                let request_id = waiting.request_id.clone();
                return Plan::Now(Admission::Pending { request_id, reason, events });
            }
            // Under a new id, since what is asked for must not grow while an operator looks at it. It asks for both, or
            // two programs of the device with different wishes would displace each other for ever.
            let earlier = waiting.scopes.iter().filter(|scope| !any_satisfies(&candidate.scopes, scope));
            request.scopes.extend(earlier.cloned());
            request.scopes.truncate(2 * bounds::MAX_SCOPES);
            displaced.push(*waiting);
        } else if own.is_empty() {
            match self.room_for(candidate, book, &others) {
                Some(giving_way) => displaced = giving_way,
                None => return Plan::Now(Admission::Busy),
            }
        }
        for request in displaced {
            changes.push(Change::DropPending(request.request_id.clone()));
            events.push(PairingEvent::resolved(request, Decision::Rejected, now_ms));
        }
        events.push(PairingEvent::Requested(request.clone()));
        let request_id = request.request_id.clone();
        changes.push(Change::PutPending(request));
        Plan::AfterWriting(changes, Admission::Pending { request_id, reason, events })
    }

    /// The requests that give way to another device. Room is made at the cost of the newcomer that waits longest; a device
    /// that was paired before keeps its place. `None`: there is none.
    fn room_for<'a>(
        &self,
        candidate: &Candidate,
        book: &Book,
        others: &[&'a PendingRequest],
    ) -> Option<Vec<&'a PendingRequest>> {
        let is_from_here = |request: &PendingRequest| request.remote_ip == candidate.remote_ip;
        let devices = |requests: &mut dyn Iterator<Item = &&'a PendingRequest>| {
            requests.map(|request| request.device_id.as_str()).collect::<HashSet<_>>().len()
        };
        let crowded = devices(&mut others.iter()) >= self.settings.max_pending;
        let crowded_here =
            devices(&mut others.iter().filter(|other| is_from_here(other))) >= self.settings.max_pending_per_ip;
        if !crowded && !crowded_here {
            return Some(Vec::new());
        }
        let may_give_way = |request: &&&PendingRequest| {
            !book.devices.contains_key(&request.device_id) && (!crowded_here || is_from_here(request))
        };
        let oldest = others.iter().filter(may_give_way).min_by_key(|request| request.ts)?;
        Some(others.iter().copied().filter(|request| request.device_id == oldest.device_id).collect())
    }

    fn paired(&self, device: &DeviceRow, role: &str, events: Vec<PairingEvent>) -> Admission {
        let token = book::token(device, role);
        let granted = Granted {
            device_token: token.map(|t| self.maker.token(&device.device_id, role, &t.mint).to_string()),
            role: role.to_string(),
            scopes: token.map(|t| t.scopes.clone()).unwrap_or_default(),
            issued_at_ms: token.map(|t| t.issued_at_ms()),
        };
        let epoch = token.map_or(0, |t| t.epoch);
        Admission::Paired { device: Box::new(device.into()), granted, epoch, events }
    }

    pub(super) fn is_alive(&self, request: &PendingRequest, now_ms: u64) -> bool {
        now_ms.saturating_sub(request.ts) < self.settings.pending_ttl_ms
    }
}

fn known_device<'a>(book: &'a Book, candidate: &Candidate) -> Option<&'a DeviceRow> {
    book.devices.get(&candidate.device_id).filter(|device| device.public_key == candidate.public_key)
}

/// Why the candidate must ask, if it must.
fn need(book: &Book, candidate: &Candidate) -> Option<PairingReason> {
    let Some(device) = known_device(book, candidate) else { return Some(PairingReason::NotPaired) };
    if !device.roles.contains(&candidate.role) {
        return Some(PairingReason::RoleUpgrade);
    }
    if !covers(&device.scopes, &candidate.scopes) {
        return Some(PairingReason::ScopeUpgrade);
    }
    pins::differ(device, candidate).then_some(PairingReason::MetadataUpgrade)
}

/// Whether the token the candidate came in by was revoked, rotated or removed since it was looked at. Without this check
/// a revoked device could be handed a fresh token.
fn has_fallen(book: &Book, candidate: &Candidate) -> bool {
    let Some(TokenUse { epoch }) = candidate.token_use else { return false };
    let token = book.devices.get(&candidate.device_id).and_then(|device| book::token(device, &candidate.role));
    !token.is_some_and(|token| token.epoch == epoch && token.revoked_at_ms.is_none())
}

fn note_visit(device: &mut DeviceRow, candidate: &Candidate, now_ms: u64) {
    device.display_name = candidate.display_name.clone();
    device.platform = candidate.platform.clone();
    device.device_family = candidate.device_family.clone();
    device.client_id = candidate.client_id.clone();
    device.client_mode = candidate.client_mode.clone();
    device.remote_ip = candidate.remote_ip.clone();
    device.role = Some(candidate.role.clone());
    device.last_seen_at_ms = Some(now_ms);
}

fn asks_the_same(request: &PendingRequest, candidate: &Candidate) -> bool {
    request.public_key == candidate.public_key
        && request.role == candidate.role
        && normalized(&request.scopes) == normalized(&candidate.scopes)
}

fn new_request(candidate: &Candidate, is_repair: bool, now_ms: u64) -> PendingRequest {
    PendingRequest {
        request_id: uuid::Uuid::new_v4().to_string(),
        device_id: candidate.device_id.clone(),
        public_key: candidate.public_key.clone(),
        display_name: candidate.display_name.clone(),
        platform: candidate.platform.clone(),
        device_family: candidate.device_family.clone(),
        client_id: candidate.client_id.clone(),
        client_mode: candidate.client_mode.clone(),
        role: candidate.role.clone(),
        roles: vec![candidate.role.clone()],
        scopes: candidate.scopes.clone(),
        remote_ip: candidate.remote_ip.clone(),
        silent: candidate.local && candidate.token_use.is_none(),
        is_repair,
        ts: now_ms,
        pins: candidate.pins,
    }
}
