//! `hello-ok` as the client side reads it. Newer gateways add fields and may leave old ones out, so everything that is not
//! needed to go on has a default, and unknown fields are passed over; the strict types of `schemas` are for servers.

use std::fmt;

use schemas::frame::StateVersion;
use schemas::protocol;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ClientError;

/// What the gateway said when it let this client in.
#[derive(Clone)]
pub struct Hello {
    /// The negotiated protocol version.
    pub protocol: u32,
    /// The gateway.
    pub server: Server,
    /// What can be asked and heard.
    pub features: Features,
    /// State at the moment of joining.
    pub snapshot: Snapshot,
    /// What was granted, when the gateway says.
    pub auth: Option<Granted>,
    /// Limits in force.
    pub policy: Policy,
    raw: Box<RawValue>,
}

/// The gateway.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Server {
    /// The gateway's version.
    pub version: String,
    /// Id of this connection.
    pub conn_id: String,
    /// Name of the machine.
    pub host: Option<String>,
}

/// What can be asked and heard.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Features {
    /// Methods.
    pub methods: Vec<String>,
    /// Events.
    pub events: Vec<String>,
}

/// State at the moment of joining.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Snapshot {
    /// Presence entries, unparsed.
    pub presence: Option<Box<RawValue>>,
    /// The last health summary, unparsed.
    pub health: Option<Box<RawValue>>,
    /// Versions of both.
    pub state_version: Option<Versions>,
    /// How long the gateway has been running.
    pub uptime_ms: Option<u64>,
    /// What user interfaces derive their session key from, unparsed.
    pub session_defaults: Option<Box<RawValue>>,
}

/// [`StateVersion`], passing unknown fields over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Versions {
    /// Version of the presence list.
    pub presence: u64,
    /// Version of the health summary.
    pub health: u64,
}

impl From<Versions> for StateVersion {
    fn from(versions: Versions) -> Self {
        StateVersion { presence: versions.presence, health: versions.health }
    }
}

/// What was granted to this connection.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Granted {
    /// Token to present next time in place of the shared secret.
    pub device_token: Option<String>,
    /// Role in force.
    pub role: Option<String>,
    /// Scopes of the token or of the connection.
    pub scopes: Vec<String>,
    /// When the token was minted, in milliseconds since the epoch.
    pub issued_at_ms: Option<u64>,
}

/// Limits in force.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Policy {
    /// Largest message the gateway reads, in bytes.
    pub max_payload: u64,
    /// Outbound backlog above which this client is too slow, in bytes.
    pub max_buffered_bytes: u64,
    /// Milliseconds between two `tick` events.
    pub tick_interval_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            max_payload: protocol::MAX_PAYLOAD as u64,
            max_buffered_bytes: protocol::MAX_BUFFERED_BYTES as u64,
            tick_interval_ms: protocol::TICK_INTERVAL_MS,
        }
    }
}

impl Hello {
    /// Reads the payload of the answer to `connect`.
    pub fn parse(payload: Box<RawValue>) -> Result<Self, ClientError> {
        #[derive(Deserialize)]
        struct Loose {
            protocol: u32,
            #[serde(default)]
            server: Server,
            #[serde(default)]
            features: Features,
            #[serde(default)]
            snapshot: Snapshot,
            #[serde(default)]
            auth: Option<Granted>,
            #[serde(default)]
            policy: Policy,
        }
        let loose: Loose = serde_json::from_str(payload.get()).map_err(|error| {
            // Only the place: the parser's words may quote the token.
            let (line, column) = (error.line(), error.column());
            ClientError::Protocol(format!("hello-ok cannot be read (line {line}, column {column})"))
        })?;
        let Loose { protocol, server, features, snapshot, auth, policy } = loose;
        Ok(Hello { protocol, server, features, snapshot, auth, policy, raw: payload })
    }

    /// The payload as it came, the device token included.
    pub fn raw(&self) -> &RawValue {
        &self.raw
    }

    /// Whether the gateway serves this method.
    pub fn has_method(&self, method: &str) -> bool {
        self.features.methods.iter().any(|known| known == method)
    }
}

impl fmt::Debug for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello")
            .field("protocol", &self.protocol)
            .field("server", &self.server)
            .field("auth", &self.auth)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted")
            .field("device_token", &self.device_token.is_some())
            .field("role", &self.role)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Hello, ClientError> {
        Hello::parse(RawValue::from_string(text.to_string()).unwrap())
    }

    #[test]
    fn newer_and_barer_gateways_are_understood() {
        let hello = parse(
            r#"{"type":"hello-ok","protocol":4,"server":{"version":"9","connId":"c","later":1},"pluginSurfaceUrls":{},
               "auth":{"role":"operator","scopes":[],"deviceToken":"s3cret","deviceTokens":[]},
               "snapshot":{"stateVersion":{"presence":2,"health":3,"more":4}},"features":{"methods":["health"]}}"#,
        )
        .unwrap();
        assert!(hello.has_method("health") && !hello.has_method("status"));
        assert_eq!(hello.snapshot.state_version, Some(Versions { presence: 2, health: 3 }));
        assert_eq!(hello.policy.tick_interval_ms, 30_000);
        assert!(!format!("{hello:?}").contains("s3cret"));
        assert_eq!(parse(r#"{"protocol":3}"#).unwrap().protocol, 3);
        assert!(parse(r#"{"type":"hello-ok"}"#).is_err(), "without a version nothing can be relied on");
    }
}
