//! Connections as plugins see them.

use schemars::JsonSchema;
use schemas::PresenceEntry;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A connection's record: its `connect` without secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Number of the connection, as in calls and targeted events.
    pub conn: u64,
    /// Its id on the wire.
    pub conn_id: String,
    /// Negotiated protocol version.
    pub protocol: u32,
    /// `operator` or `node`.
    pub role: String,
    /// Granted scopes.
    pub scopes: Vec<String>,
    /// `client` of its `connect`: id, displayName, version, platform, mode and so on.
    pub client: Value,
    /// The paired device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Address, absent for local connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Whether it is local.
    pub local: bool,
    /// Capabilities as sent.
    #[serde(default)]
    pub caps: Vec<String>,
    /// Commands as sent; nodes only.
    #[serde(default)]
    pub commands: Vec<String>,
    /// Permissions as sent; nodes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Value>,
    /// A node's `PATH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_env: Option<String>,
    /// When it was accepted, in milliseconds since the epoch.
    pub connected_at_ms: u64,
}

/// Payload of `host.connection.opened`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionOpened {
    /// The connection.
    #[serde(flatten)]
    pub connection: Connection,
    /// Key of its presence row; absent for clients that get none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence_key: Option<String>,
    /// The presence row made for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<PresenceEntry>,
    /// The connection was open before this instance started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
}

/// The part of `host.connection.opened` and `.closed` that says whom they are about. Who hears both for a few connections
/// only reads this first: the rest is skipped unread, and there is much of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Party {
    /// Number of the connection.
    pub conn: u64,
    /// `operator` or `node`.
    pub role: String,
}

/// Payload of `host.connection.closed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionClosed {
    /// Number of the connection.
    pub conn: u64,
    /// Its id on the wire.
    pub conn_id: String,
    /// `operator` or `node`.
    pub role: String,
    /// The paired device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Key of its presence row; absent for clients that had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence_key: Option<String>,
    /// Close code, if one was seen or sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// Close reason.
    #[serde(default)]
    pub reason: String,
}

/// Every open connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Connections {
    /// Oldest first.
    pub connections: Vec<Connection>,
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionId {
    /// Its number.
    pub conn: u64,
}

/// Which connection to close, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CloseConnection {
    /// Its number.
    pub conn: u64,
    /// Close code; 1008 when absent.
    #[serde(default)]
    pub code: Option<u16>,
    /// Close reason.
    #[serde(default)]
    pub reason: Option<String>,
}
