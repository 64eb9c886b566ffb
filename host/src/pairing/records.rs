//! What clients see of the book, in the shapes of the wire. No token is in any of it, but the one that a device gets when
//! it rotates its own.

use serde::Serialize;

use crate::store::devices::{DeviceRow, PendingRequest, TokenRow};

/// A paired device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PairedDevice {
    /// The device.
    pub device_id: String,
    /// Its key, base64url without padding.
    pub public_key: String,
    /// A name the client gave itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A name the operator gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The system it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Kind of device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// The program that connected last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Its mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// The role it connected in last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Approved roles.
    pub roles: Vec<String>,
    /// Approved scopes.
    pub scopes: Vec<String>,
    /// Where it last came from, unless local.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// `silent`, `owner` or `bootstrap`.
    pub approved_via: String,
    /// When it was first approved.
    pub created_at_ms: u64,
    /// When it was last approved.
    pub approved_at_ms: u64,
    /// When it last connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_at_ms: Option<u64>,
    /// Its tokens, by role.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<TokenSummary>,
}

/// What may be told about a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenSummary {
    /// The role it is for.
    pub role: String,
    /// Its scopes, sorted.
    pub scopes: Vec<String>,
    /// When the first token of this role was minted.
    pub created_at_ms: u64,
    /// When this one was minted, if it is not the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotated_at_ms: Option<u64>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at_ms: Option<u64>,
    /// When it was last used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at_ms: Option<u64>,
}

impl From<&DeviceRow> for PairedDevice {
    fn from(device: &DeviceRow) -> Self {
        let device = device.clone();
        PairedDevice {
            device_id: device.device_id,
            public_key: device.public_key,
            display_name: device.display_name,
            label: device.label,
            platform: device.platform,
            device_family: device.device_family,
            client_id: device.client_id,
            client_mode: device.client_mode,
            role: device.role,
            roles: device.roles,
            scopes: device.scopes,
            remote_ip: device.remote_ip,
            approved_via: device.approved_via,
            created_at_ms: device.created_at_ms,
            approved_at_ms: device.approved_at_ms,
            last_seen_at_ms: device.last_seen_at_ms,
            tokens: device.tokens.into_iter().map(TokenSummary::from).collect(),
        }
    }
}

impl From<TokenRow> for TokenSummary {
    fn from(token: TokenRow) -> Self {
        TokenSummary {
            role: token.role,
            scopes: token.scopes,
            created_at_ms: token.created_at_ms,
            rotated_at_ms: token.rotated_at_ms,
            revoked_at_ms: token.revoked_at_ms,
            last_used_at_ms: token.last_used_at_ms,
        }
    }
}

/// Something that happened to a request. Serialises to the payload of its event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PairingEvent {
    /// A device asks to be let in.
    Requested(Box<PendingRequest>),
    /// A request was decided.
    #[serde(rename_all = "camelCase")]
    Resolved {
        /// The request.
        request_id: String,
        /// The device that made it.
        device_id: String,
        /// How it was decided.
        decision: Decision,
        /// When.
        ts: u64,
    },
}

impl PairingEvent {
    /// The last word of the event's name: `requested` or `resolved`.
    pub fn kind(&self) -> &'static str {
        match self {
            PairingEvent::Requested(_) => "requested",
            PairingEvent::Resolved { .. } => "resolved",
        }
    }

    pub(super) fn resolved(request: &PendingRequest, decision: Decision, ts: u64) -> Self {
        let (request_id, device_id) = (request.request_id.clone(), request.device_id.clone());
        PairingEvent::Resolved { request_id, device_id, decision, ts }
    }
}

/// How a request was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The device is paired.
    Approved,
    /// The request is gone.
    Rejected,
}

/// All there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PairingList {
    /// Requests, the newest first.
    pub pending: Vec<PendingRequest>,
    /// Devices, the one approved last first.
    pub paired: Vec<PairedDevice>,
}

/// A request was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Approved {
    /// The request.
    pub request_id: String,
    /// The device as it is now.
    pub device: PairedDevice,
}

/// A request was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// The request.
    pub request_id: String,
    /// The device that made it.
    pub device_id: String,
}

/// A device was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// The device.
    pub device_id: String,
}

/// A device was named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Renamed {
    /// The device.
    pub device_id: String,
    /// Its name.
    pub label: String,
}

/// A token was replaced.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotated {
    /// The device.
    pub device_id: String,
    /// The role.
    pub role: String,
    /// The new token, for the device itself only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// When.
    pub rotated_at_ms: u64,
    /// Whether the token is in this answer.
    pub token_delivery: TokenDelivery,
}

impl std::fmt::Debug for Rotated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rotated")
            .field("device_id", &self.device_id)
            .field("role", &self.role)
            .field("scopes", &self.scopes)
            .field("token_delivery", &self.token_delivery)
            .finish_non_exhaustive()
    }
}

/// Where a new token goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenDelivery {
    /// It is in the answer.
    InBand,
    /// The device gets it at its next connect; whoever asked does not.
    WithheldCrossDevice,
}

/// A token was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Revoked {
    /// The device.
    pub device_id: String,
    /// The role.
    pub role: String,
    /// When.
    pub revoked_at_ms: u64,
}
