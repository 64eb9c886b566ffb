//! What operators do with the book. Whoever asks can never give away more than they hold, by whatever route: all
//! approvals go through one function, and all changes of tokens through one question.

use std::collections::HashSet;

use schemas::ErrorShape;
use schemas::scope::{self, any_satisfies, covers, normalized};

use super::book;
use super::invites::Waiting;
use super::records::{
    Approved, Decision, PairedDevice, PairingEvent, PairingList, Rejected, Removed, Renamed, Revoked, Rotated,
    TokenDelivery,
};
use super::{Pairing, PendingRequest, pins};
use crate::store::StoreError;
use crate::store::devices::{Change, DeviceRow};
use crate::tokens::TokenMaker;

/// Longest label, in characters.
const MAX_LABEL: usize = 64;
pub(super) const OPERATOR: &str = "operator";

/// On whose behalf something is asked. The host itself asks without one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authority {
    /// The scopes they hold.
    pub scopes: Vec<String>,
    /// The device they sit at.
    pub device_id: Option<String>,
    /// Whether they came in by that device's token rather than by the shared secret.
    pub via_device_token: bool,
}

/// A completed change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done<T> {
    /// The answer.
    pub result: T,
    /// What to publish, before the answer.
    pub events: Vec<PairingEvent>,
    /// Whose connections to close, after the answer.
    pub invalidated: Vec<Invalidated>,
}

/// Connections that must not stand any longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalidated {
    /// Those of this device …
    pub device_id: String,
    /// … in this role.
    pub role: String,
}

/// Why a change did not happen.
#[derive(Debug, Clone, PartialEq)]
pub enum ManageError {
    /// It may not, or there is nothing to change.
    Refused(ErrorShape),
    /// The disk did not take it.
    Store(StoreError),
}

impl ManageError {
    /// What the caller is told; the disk's own words are for the log.
    pub fn into_error_shape(self) -> ErrorShape {
        match self {
            ManageError::Refused(error) => error,
            ManageError::Store(_) => ErrorShape::unavailable("the pairing book cannot be written now").retryable(),
        }
    }
}

impl From<StoreError> for ManageError {
    fn from(error: StoreError) -> Self {
        ManageError::Store(error)
    }
}

/// Who approves.
#[derive(Debug, Clone, Copy)]
pub(super) enum Approver<'a> {
    /// Nobody was asked: the device is on this machine.
    ThisMachine,
    /// The host, for its owner.
    Host,
    /// A caller, within what they hold.
    Caller(&'a Authority),
    /// Whoever made the invitation, within it and within what they hold.
    Invitation(&'a Waiting),
}

/// Makes a device out of a request: the only way a device comes to hold anything.
///
/// Roles and scopes are added to those of the same key, the descriptive fields are replaced, and the role gets a fresh
/// token. `narrowed` gives less than was asked. A device that was approved for all of it already, and only describes itself
/// anew, keeps its token: it may have nothing else to come back with.
pub(super) fn approve(
    maker: &TokenMaker,
    approver: Approver<'_>,
    known: Option<&DeviceRow>,
    request: &PendingRequest,
    narrowed: Option<&[String]>,
    now_ms: u64,
) -> Result<DeviceRow, ErrorShape> {
    let scopes = narrowed.unwrap_or(&request.scopes);
    if !covers(&request.scopes, scopes) {
        return Err(ErrorShape::invalid_request("device pairing approval denied").with_details(
            serde_json::json!({ "code": "PAIRING_SCOPES_NOT_REQUESTED", "requestedScopes": request.scopes }),
        ));
    }
    let (authority, invitation) = match approver {
        Approver::ThisMachine | Approver::Host => (None, None),
        Approver::Caller(authority) => (Some(authority), None),
        Approver::Invitation(invitation) => (invitation.by.as_ref(), Some(invitation)),
    };
    let is_within = |invited: &Waiting| invited.role == request.role && covers(&invited.scopes, scopes);
    if authority.is_some_and(|authority| !permits(authority, &request.device_id, &request.role, scopes))
        || invitation.is_some_and(|invitation| !is_within(invitation))
    {
        return Err(denied("device pairing approval denied"));
    }
    // Another key is another device, whatever it calls itself: it inherits nothing.
    let known = known.filter(|device| device.public_key == request.public_key);
    let mut device = known.cloned().unwrap_or_else(|| DeviceRow {
        device_id: request.device_id.clone(),
        public_key: request.public_key.clone(),
        created_at_ms: now_ms,
        ..DeviceRow::default()
    });
    device.display_name = request.display_name.clone();
    device.platform = request.platform.clone();
    device.device_family = request.device_family.clone();
    device.client_id = request.client_id.clone();
    device.client_mode = request.client_mode.clone();
    device.remote_ip = request.remote_ip.clone();
    device.role = Some(request.role.clone());
    pins::approve(&mut device, request);
    let asks_for_no_more = device.roles.contains(&request.role) && covers(&device.scopes, scopes);
    if !device.roles.contains(&request.role) {
        device.roles.push(request.role.clone());
    }
    device.scopes.extend(scopes.iter().cloned());
    device.scopes = normalized(&device.scopes);
    device.approved_via = match approver {
        Approver::ThisMachine => "silent".to_string(),
        Approver::Host | Approver::Caller(_) => "owner".to_string(),
        Approver::Invitation(_) => "bootstrap".to_string(),
    };
    if device.label.is_none() {
        device.label = invitation.and_then(|invitation| invitation.label.clone());
    }
    device.approved_at_ms = now_ms;
    // An invitation hands out no token that reaches further than itself, whatever the device was approved for before.
    match asks_for_no_more && invitation.is_none() {
        true => book::ensure_token(maker, &mut device, &request.role, scopes, now_ms),
        false => book::mint_token(&mut device, &request.role, scopes, now_ms),
    }
    Ok(device)
}

impl Pairing {
    /// Requests and devices, of all or of these devices only. A caller at a device, without admin rights, sees its own.
    pub fn list(&self, authority: Option<&Authority>, only: &[String], now_ms: u64) -> PairingList {
        let book = self.lock();
        let asked: HashSet<&str> = only.iter().map(String::as_str).collect();
        let visible = |device_id: &str| {
            (asked.is_empty() || asked.contains(device_id))
                && authority.is_none_or(|authority| reaches(authority, device_id))
        };
        let mut pending: Vec<PendingRequest> = book
            .pending
            .values()
            .filter(|request| self.is_alive(request, now_ms) && visible(&request.device_id))
            .cloned()
            .collect();
        let mut paired: Vec<PairedDevice> =
            book.devices.values().filter(|device| visible(&device.device_id)).map(PairedDevice::from).collect();
        pending.sort_by(|a, b| b.ts.cmp(&a.ts).then_with(|| a.request_id.cmp(&b.request_id)));
        paired.sort_by(|a, b| b.approved_at_ms.cmp(&a.approved_at_ms).then_with(|| a.device_id.cmp(&b.device_id)));
        PairingList { pending, paired }
    }

    /// Lets a device in, with all it asked for or with less.
    pub async fn approve(
        &self,
        request_id: &str,
        authority: Option<&Authority>,
        narrowed: Option<&[String]>,
        now_ms: u64,
    ) -> Result<Done<Approved>, ManageError> {
        let gate = self.gate.clone().lock_owned().await;
        let request = self.waiting(request_id, now_ms)?;
        let approver = authority.map_or(Approver::Host, Approver::Caller);
        let known = self.lock().devices.get(&request.device_id).cloned();
        let device =
            approve(&self.maker, approver, known.as_ref(), &request, narrowed, now_ms).map_err(ManageError::Refused)?;
        let result = Approved { request_id: request_id.to_string(), device: PairedDevice::from(&device) };
        // Only a changed key leaves connections behind that nothing stands for any more.
        let outlived = known.filter(|known| known.public_key != device.public_key);
        let invalidated = outlived.iter().flat_map(all_roles).collect();
        let changes = vec![Change::DropPending(request_id.to_string()), Change::PutDevice(Box::new(device))];
        self.commit(gate, changes).await?;
        Ok(Done { result, events: vec![PairingEvent::resolved(&request, Decision::Approved, now_ms)], invalidated })
    }

    /// Turns a request down.
    pub async fn reject(
        &self,
        request_id: &str,
        authority: Option<&Authority>,
        now_ms: u64,
    ) -> Result<Done<Rejected>, ManageError> {
        let gate = self.gate.clone().lock_owned().await;
        let request = self.waiting(request_id, now_ms)?;
        if authority.is_some_and(|authority| !reaches(authority, &request.device_id)) {
            return Err(ManageError::Refused(denied("device pairing rejection denied")));
        }
        self.commit(gate, vec![Change::DropPending(request_id.to_string())]).await?;
        let result = Rejected { request_id: request.request_id.clone(), device_id: request.device_id.clone() };
        let events = vec![PairingEvent::resolved(&request, Decision::Rejected, now_ms)];
        Ok(Done { result, events, invalidated: Vec::new() })
    }

    /// Forgets a device: its tokens die and its connections fall.
    pub async fn remove(
        &self,
        device_id: &str,
        authority: Option<&Authority>,
        now_ms: u64,
    ) -> Result<Done<Removed>, ManageError> {
        let gate = self.gate.clone().lock_owned().await;
        let device = self.device(device_id, "unknown deviceId")?;
        if authority
            .is_some_and(|authority| !device.roles.iter().all(|r| permits(authority, device_id, r, &device.scopes)))
        {
            return Err(ManageError::Refused(denied("device removal denied")));
        }
        let waiting: Vec<PendingRequest> = self.lock().pending_of(device_id).cloned().collect();
        let mut changes = vec![Change::DropDevice(device_id.to_string())];
        changes.extend(waiting.iter().map(|request| Change::DropPending(request.request_id.clone())));
        self.commit(gate, changes).await?;
        let told = waiting.iter().filter(|request| self.is_alive(request, now_ms));
        Ok(Done {
            result: Removed { device_id: device_id.to_string() },
            events: told.map(|request| PairingEvent::resolved(request, Decision::Rejected, now_ms)).collect(),
            invalidated: all_roles(&device).collect(),
        })
    }

    /// Gives a device a name.
    pub async fn rename(
        &self,
        device_id: &str,
        label: &str,
        authority: Option<&Authority>,
    ) -> Result<Done<Renamed>, ManageError> {
        let label = self::label(label).map_err(ManageError::Refused)?;
        let gate = self.gate.clone().lock_owned().await;
        let mut device = self.device(device_id, "unknown deviceId")?;
        if authority.is_some_and(|authority| !reaches(authority, device_id)) {
            return Err(ManageError::Refused(denied("device rename denied")));
        }
        device.label = Some(label.clone());
        self.commit(gate, vec![Change::PutDevice(Box::new(device))]).await?;
        let result = Renamed { device_id: device_id.to_string(), label };
        Ok(Done { result, events: Vec::new(), invalidated: Vec::new() })
    }

    /// Replaces a device's token. The new one is told to nobody but the device itself.
    pub async fn rotate(
        &self,
        device_id: &str,
        role: &str,
        scopes: Option<&[String]>,
        authority: Option<&Authority>,
        now_ms: u64,
    ) -> Result<Done<Rotated>, ManageError> {
        let gate = self.gate.clone().lock_owned().await;
        let mut device = self.device(device_id, "unknown deviceId/role")?;
        let old = book::token(&device, role).map(|token| token.scopes.clone());
        let scopes = match (scopes, &old) {
            (Some(scopes), _) => normalized(scopes),
            (None, Some(old)) => old.clone(),
            (None, None) if role == OPERATOR => device.scopes.clone(),
            (None, None) => Vec::new(),
        };
        // Within what the device was approved for, and within what the caller holds, as is the token that ends with this.
        let approved = device.roles.iter().any(|approved| approved == role) && covers(&device.scopes, &scopes);
        let may = |scopes: &[String]| authority.is_none_or(|caller| permits(caller, device_id, role, scopes));
        if !approved || !may(&scopes) || !old.is_none_or(|old| may(&old)) {
            return Err(ManageError::Refused(denied("device token rotation denied")));
        }
        book::mint_token(&mut device, role, &scopes, now_ms);
        let mut mint = String::new();
        if let Some(token) = book::token_mut(&mut device, role) {
            token.rotated_at_ms = Some(now_ms);
            token.epoch = book::next_epoch();
            mint = token.mint.clone();
        }
        self.commit(gate, vec![Change::PutDevice(Box::new(device))]).await?;
        let is_itself = authority.is_some_and(|a| a.via_device_token && a.device_id.as_deref() == Some(device_id));
        let result = Rotated {
            device_id: device_id.to_string(),
            role: role.to_string(),
            token: is_itself.then(|| self.maker.token(device_id, role, &mint).to_string()),
            scopes,
            rotated_at_ms: now_ms,
            token_delivery: if is_itself { TokenDelivery::InBand } else { TokenDelivery::WithheldCrossDevice },
        };
        Ok(Done { result, events: Vec::new(), invalidated: vec![one_role(device_id, role)] })
    }

    /// Makes a device's token worthless. The device stays paired.
    pub async fn revoke(
        &self,
        device_id: &str,
        role: &str,
        authority: Option<&Authority>,
        now_ms: u64,
    ) -> Result<Done<Revoked>, ManageError> {
        let gate = self.gate.clone().lock_owned().await;
        let mut device = self.device(device_id, "unknown deviceId/role")?;
        let Some(token) = book::token_mut(&mut device, role) else {
            return Err(unknown("unknown deviceId/role"));
        };
        if authority.is_some_and(|authority| !permits(authority, device_id, role, &token.scopes)) {
            return Err(ManageError::Refused(denied("device token revocation denied")));
        }
        token.revoked_at_ms = Some(now_ms);
        token.previous = None;
        token.epoch = book::next_epoch();
        self.commit(gate, vec![Change::PutDevice(Box::new(device))]).await?;
        let result = Revoked { device_id: device_id.to_string(), role: role.to_string(), revoked_at_ms: now_ms };
        Ok(Done { result, events: Vec::new(), invalidated: vec![one_role(device_id, role)] })
    }

    fn waiting(&self, request_id: &str, now_ms: u64) -> Result<PendingRequest, ManageError> {
        let book = self.lock();
        let request = book.pending.get(request_id).filter(|request| self.is_alive(request, now_ms));
        request.cloned().ok_or_else(|| unknown("unknown requestId"))
    }

    fn device(&self, device_id: &str, otherwise: &str) -> Result<DeviceRow, ManageError> {
        self.lock().devices.get(device_id).cloned().ok_or_else(|| unknown(otherwise))
    }
}

/// The name that an operator gives to a device.
pub(super) fn label(text: &str) -> Result<String, ErrorShape> {
    let label = text.trim();
    if label.is_empty() || label.chars().count() > MAX_LABEL {
        let message = format!("label must have between 1 and {MAX_LABEL} characters");
        return Err(ErrorShape::invalid_request(message));
    }
    Ok(label.to_string())
}

/// Whether a caller may let in a device that is not known yet: what they could approve if it asked.
pub(super) fn may_invite(authority: &Authority, role: &str, scopes: &[String]) -> bool {
    permits(authority, "", role, scopes)
}

/// Whether a caller may decide about these scopes in this role of this device.
fn permits(authority: &Authority, device_id: &str, role: &str, scopes: &[String]) -> bool {
    let may_role = role == OPERATOR || is_admin(authority);
    reaches(authority, device_id) && may_role && covers(&authority.scopes, scopes)
}

/// Whether a caller may touch a device at all: one that came in by a device's token, without admin rights, has that
/// device only.
fn reaches(authority: &Authority, device_id: &str) -> bool {
    is_admin(authority) || !authority.via_device_token || authority.device_id.as_deref() == Some(device_id)
}

fn is_admin(authority: &Authority) -> bool {
    any_satisfies(&authority.scopes, scope::ADMIN)
}

fn all_roles(device: &DeviceRow) -> impl Iterator<Item = Invalidated> {
    device.roles.iter().map(|role| one_role(&device.device_id, role))
}

fn one_role(device_id: &str, role: &str) -> Invalidated {
    Invalidated { device_id: device_id.to_string(), role: role.to_string() }
}

fn denied(sentence: &str) -> ErrorShape {
    ErrorShape::invalid_request(sentence)
}

fn unknown(sentence: &str) -> ManageError {
    ManageError::Refused(ErrorShape::invalid_request(sentence))
}
