//! `hello-ok`, the answer to an accepted `connect`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::frame::StateVersion;

/// The payload of the answer to an accepted `connect`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HelloOk {
    /// Always `hello-ok`.
    #[serde(rename = "type")]
    #[schemars(extend("const" = "hello-ok"))]
    pub kind: String,
    /// The negotiated protocol version.
    pub protocol: u32,
    /// The gateway.
    pub server: Server,
    /// What can be asked and heard.
    pub features: Features,
    /// State at the moment of joining.
    pub snapshot: Snapshot,
    /// Protocol 3: base of the canvas addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub canvas_host_url: Option<String>,
    /// Protocol 4: addresses of what plugins show, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub plugin_surface_urls: Option<BTreeMap<String, String>>,
    /// What was granted. Protocol 3 sends it only together with a device token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Granted")]
    pub auth: Option<Granted>,
    /// Limits in force.
    pub policy: Policy,
}

/// The gateway.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Server {
    /// The gateway's version.
    #[schemars(length(min = 1))]
    pub version: String,
    /// Protocol 3: commit the gateway was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub commit: Option<String>,
    /// Protocol 3: name of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub host: Option<String>,
    /// Id of this connection.
    #[schemars(length(min = 1))]
    pub conn_id: String,
}

/// The sorted content of the registry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Methods that sockets may call.
    pub methods: Vec<String>,
    /// Events that sockets may hear.
    pub events: Vec<String>,
}

/// State at the moment of joining.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    /// Presence entries; see [`crate::PresenceEntry`].
    #[schemars(with = "Vec<crate::PresenceEntry>")]
    pub presence: Box<RawValue>,
    /// The last health summary, `{}` before the first.
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub health: Box<RawValue>,
    /// Versions of both.
    pub state_version: StateVersion,
    /// How long the gateway has been running.
    pub uptime_ms: u64,
    /// Path of the configuration file; for admins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub config_path: Option<String>,
    /// Path of the state directory; for admins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub state_dir: Option<String>,
    /// What user interfaces derive their session key from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SessionDefaults")]
    pub session_defaults: Option<SessionDefaults>,
}

/// What user interfaces derive their session key from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionDefaults {
    /// The default agent.
    pub default_agent_id: String,
    /// Short name of the main session.
    pub main_key: String,
    /// Full key of the main session.
    pub main_session_key: String,
    /// `per-sender` or `global`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub scope: Option<String>,
}

impl Default for SessionDefaults {
    fn default() -> Self {
        SessionDefaults {
            default_agent_id: "main".to_string(),
            main_key: "main".to_string(),
            main_session_key: "agent:main:main".to_string(),
            scope: Some("per-sender".to_string()),
        }
    }
}

/// What was granted to this connection.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Granted {
    /// Token to present next time in place of the shared secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub device_token: Option<String>,
    /// Role in force.
    pub role: String,
    /// Scopes of the token (protocol 3) or of the connection (protocol 4), sorted.
    pub scopes: Vec<String>,
    /// When the token was minted, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub issued_at_ms: Option<u64>,
}

impl std::fmt::Debug for Granted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Granted")
            .field("device_token", &self.device_token.is_some())
            .field("role", &self.role)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// Limits in force for this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Largest message the gateway reads, in bytes.
    pub max_payload: u64,
    /// Outbound backlog, in bytes, above which a connection is a slow consumer.
    pub max_buffered_bytes: u64,
    /// Milliseconds between two `tick` events.
    pub tick_interval_ms: u64,
}
