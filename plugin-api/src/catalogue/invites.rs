//! Invitations: one-time tokens by which devices that are not known yet pair themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to invite a device to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Invite {
    /// `operator` (the default) or `node`; the latter takes an administrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What an operator may do at most; absent is to read and to write, as far as the caller may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// A name for the device, of at most 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// An invitation.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Invited {
    /// What the device shows once, as `auth.bootstrapToken`. It is told to nobody again.
    pub bootstrap_token: String,
    /// When it is worth nothing any more, in milliseconds since the epoch.
    pub expires_at_ms: u64,
    /// The role it is for.
    pub role: String,
    /// What it grants at most.
    pub scopes: Vec<String>,
}
