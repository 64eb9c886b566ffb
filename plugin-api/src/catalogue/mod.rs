//! What the host itself serves to plugins: the `host.*` methods and events, each with its JSON shape, in one place. A
//! plugin calls the methods with [`Host::invoke`](crate::Host::invoke) and hears the events with
//! [`Host::subscribe`](crate::Host::subscribe); its manifest names them under `invokes` and `hears`. A test compares this
//! list with what the host serves.

mod connection;
mod invites;
mod registry;
mod surface;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use connection::{
    CloseConnection, Connection, ConnectionClosed, ConnectionId, ConnectionOpened, Connections, Party,
};
pub use invites::{Invite, Invited};
pub use registry::{
    ConfigChanged, HttpPort, NamedThing, PluginId, PluginReloaded, PluginState, RegistryChanged, RegistryEntry,
    RegistryList,
};
pub use surface::{FreshSurface, RefreshSurface, SurfaceAddress, SurfaceOf};

use crate::manifest::{Manifest, schema_of};
use crate::methods::NoParams;

/// One method of the host.
pub struct Service {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// JSON Schema of its parameters.
    pub params: fn() -> Value,
    /// JSON Schema of its result.
    pub result: fn() -> Value,
}

/// One event of the host.
pub struct Notice {
    /// Its name.
    pub name: &'static str,
    /// When it comes.
    pub summary: &'static str,
    /// JSON Schema of its payload.
    pub payload: fn() -> Value,
}

const fn service<P: JsonSchema, R: JsonSchema>(name: &'static str, summary: &'static str) -> Service {
    Service { name, summary, params: schema_of::<P>, result: schema_of::<R> }
}

const fn notice<P: JsonSchema>(name: &'static str, summary: &'static str) -> Notice {
    Notice { name, summary, payload: schema_of::<P> }
}

/// Every method of the host, sorted.
pub const SERVICES: &[Service] = &[
    service::<ConfigRead, ConfigDocument>("host.config.read", "The configuration in force, secrets replaced."),
    service::<NoParams, ConfigSchema>("host.config.schema", "JSON Schema of config.toml."),
    service::<ConfigText, ConfigVerdict>("host.config.validate", "Whether a text would be a valid config.toml."),
    service::<CloseConnection, Done>("host.connections.close", "Closes a connection."),
    service::<ConnectionId, Connection>("host.connections.get", "One open connection."),
    service::<NoParams, Connections>("host.connections.list", "Every open connection, oldest first."),
    service::<NoParams, GatewayInfo>("host.gateway.info", "The process: version, addresses, folders, start."),
    service::<NoParams, MetricsText>("host.metrics.read", "All that is counted, as /metrics shows it."),
    service::<ApproveDevice, ApprovedDevice>(
        "host.pairing.approve",
        "Approves a pending device, with the caller's rights.",
    ),
    service::<Invite, Invited>("host.pairing.invite", "A one-time token for a device, with the caller's rights."),
    service::<PairingOf, PairingList>("host.pairing.list", "Pending requests and paired devices."),
    service::<RequestId, RejectedDevice>("host.pairing.reject", "Rejects a pending device."),
    service::<DeviceId, DeviceId>("host.pairing.remove", "Forgets a device and closes its connections."),
    service::<RenameDevice, RenameDevice>("host.pairing.rename", "Gives a device a label."),
    service::<TokenScope, TokenRotated>("host.pairing.token.rotate", "Replaces a device's token."),
    service::<TokenOf, TokenRevoked>("host.pairing.token.revoke", "Revokes a device's token."),
    service::<PluginId, PluginReloaded>(
        "host.plugins.reload",
        "Makes a plugin anew, with its configuration and library as they are on disk.",
    ),
    service::<NamedThing, RegistryEntry>("host.registry.describe", "One method or event, with its schemas."),
    service::<NoParams, RegistryList>("host.registry.list", "Every plugin, method and event."),
    service::<SurfaceOf, SurfaceAddress>(
        "host.surfaces.renew",
        "A fresh address of what a plugin shows, for a client.",
    ),
];

/// Every event of the host, sorted.
pub const NOTICES: &[Notice] = &[
    notice::<ConfigChanged>("host.config.changed", "The configuration changed while running."),
    notice::<ConnectionClosed>("host.connection.closed", "A connection has gone; after its last call."),
    notice::<ConnectionOpened>("host.connection.opened", "A connection was accepted; before its first call."),
    notice::<PendingDevice>("host.pairing.requested", "A device asks to be paired."),
    notice::<PairingResolved>("host.pairing.resolved", "A pairing request was decided."),
    notice::<RegistryChanged>("host.registry.changed", "The set of methods and events changed."),
];

/// It is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    /// Always true.
    pub ok: bool,
}

/// The process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayInfo {
    /// Version of the gateway.
    pub version: String,
    /// Name of the machine.
    pub host: String,
    /// Address of the machine in its network, when one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// System, such as `linux 6.1`.
    pub platform: String,
    /// Processor architecture.
    pub arch: String,
    /// Process id.
    pub pid: u32,
    /// When it started, in milliseconds since the epoch.
    pub started_at_ms: u64,
    /// How long it has been running.
    pub uptime_ms: u64,
    /// Addresses it listens on.
    pub addresses: Vec<String>,
    /// The port at which each thing is that plugins show, by the name of its surface.
    #[serde(default)]
    pub surface_ports: std::collections::BTreeMap<String, u16>,
    /// SHA-256 of the certificate that it shows, if it speaks TLS: `sha256:` and 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_fingerprint: Option<String>,
    /// The state folder.
    pub state_dir: String,
    /// The configuration file, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_path: Option<String>,
    /// The log file, if one is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_file: Option<String>,
    /// Milliseconds between ticks.
    pub tick_interval_ms: u64,
    /// What user interfaces derive their session key from.
    pub session_defaults: schemas::hello::SessionDefaults,
}

/// What is counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricsText {
    /// In Prometheus' text form.
    pub text: String,
}

/// Parameters of `host.config.read`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigRead {}

/// The configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigDocument {
    /// Path of the file, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether the file exists.
    pub exists: bool,
    /// Text of the file, secrets replaced; absent without a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// SHA-256 of the file as it is, in hex; that of the empty text without a file.
    pub hash: String,
    /// What the file says, secrets replaced.
    pub parsed: Value,
    /// What is in force, defaults applied, secrets replaced.
    pub config: Value,
}

/// JSON Schema of config.toml.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigSchema {
    /// The schema; `[plugins.<id>.config]` included from the manifests.
    pub schema: Value,
}

/// A text that may be a config.toml.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigText {
    /// TOML text.
    pub raw: String,
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigVerdict {
    /// Whether the gateway would start with it.
    pub valid: bool,
    /// What is wrong.
    pub issues: Vec<ConfigIssue>,
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigIssue {
    /// Dotted path of the key.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A pairing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestId {
    /// Id of the request.
    #[serde(rename = "requestId")]
    pub request_id: String,
}

/// Which request to approve, and how far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApproveDevice {
    /// Id of the request.
    pub request_id: String,
    /// Fewer scopes than asked for; absent grants what was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}

/// A device that waits for approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingDevice {
    /// Id of the request.
    pub request_id: String,
    /// Id of the device.
    pub device_id: String,
    /// Its public key, base64url.
    pub public_key: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Its system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Kind of device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// `client.id`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// `client.mode`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// Role asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Roles asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// Scopes asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Address, absent for local connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Whether it may be approved without a human.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<bool>,
    /// Whether the device was paired before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_repair: Option<bool>,
    /// When it asked, in milliseconds since the epoch.
    pub ts: u64,
}

/// A paired device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairedDevice {
    /// Id of the device.
    pub device_id: String,
    /// Its public key, base64url.
    pub public_key: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A label given by an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Kind of device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// `client.id`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// `client.mode`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// Role it last connected with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Approved roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// Approved scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Address it last connected from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Its tokens, without the tokens themselves, sorted by role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<TokenSummary>>,
    /// `silent` (a device of this machine), `owner` (an operator decided) or `bootstrap` (it showed a setup code).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_via: Option<String>,
    /// When it was first approved.
    pub created_at_ms: u64,
    /// When it was last approved.
    pub approved_at_ms: u64,
    /// When it last connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at_ms: Option<u64>,
}

/// A token's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenSummary {
    /// The role it is for.
    pub role: String,
    /// Its scopes, sorted.
    pub scopes: Vec<String>,
    /// When it was first minted.
    pub created_at_ms: u64,
    /// When it was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at_ms: Option<u64>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_ms: Option<u64>,
    /// When it was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at_ms: Option<u64>,
}

/// Which devices: these, or all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PairingOf {
    /// Their ids; absent or empty, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_ids: Vec<String>,
}

/// Pending requests and paired devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairingList {
    /// Newest first.
    pub pending: Vec<PendingDevice>,
    /// Last approved first.
    pub paired: Vec<PairedDevice>,
}

/// A device that was approved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovedDevice {
    /// Id of the request.
    pub request_id: String,
    /// The device.
    pub device: PairedDevice,
}

/// A device that was rejected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedDevice {
    /// Id of the request.
    pub request_id: String,
    /// The device.
    pub device_id: String,
}

/// Payload of `host.pairing.resolved`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairingResolved {
    /// Id of the request.
    pub request_id: String,
    /// The device.
    pub device_id: String,
    /// `approved` or `rejected`.
    pub decision: String,
    /// When, in milliseconds since the epoch.
    pub ts: u64,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceId {
    /// Its id.
    pub device_id: String,
}

/// A device and its label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenameDevice {
    /// Its id.
    pub device_id: String,
    /// At most 64 characters.
    pub label: String,
}

/// A device's token for a role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenOf {
    /// The device.
    pub device_id: String,
    /// The role.
    pub role: String,
}

/// A device's token for a role, and the scopes of the next one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenScope {
    /// The device.
    pub device_id: String,
    /// The role.
    pub role: String,
    /// Scopes of the new token; absent keeps those of the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}

/// A replaced token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenRotated {
    /// The device.
    pub device_id: String,
    /// The role.
    pub role: String,
    /// The new token, only when the device itself asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// `in-band` or `withheld-cross-device`.
    pub token_delivery: String,
    /// Scopes of the new token.
    pub scopes: Vec<String>,
    /// When, in milliseconds since the epoch.
    pub rotated_at_ms: u64,
}

/// A revoked token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenRevoked {
    /// The device.
    pub device_id: String,
    /// The role.
    pub role: String,
    /// When, in milliseconds since the epoch.
    pub revoked_at_ms: u64,
}

/// JSON Schema of the manifest document itself.
pub fn manifest_schema() -> Value {
    schema_of::<Manifest>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_reserved() {
        let services: Vec<_> = SERVICES.iter().map(|service| service.name).collect();
        let notices: Vec<_> = NOTICES.iter().map(|notice| notice.name).collect();
        for names in [&services, &notices] {
            assert!(names.iter().all(|name| name.starts_with("host.")));
        }
        let mut sorted = notices.clone();
        sorted.sort();
        assert_eq!(notices, sorted);
    }
}
