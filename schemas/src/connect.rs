//! `connect`, the first request of a connection. One schema serves both protocol versions: the superset, closed at
//! every level; what holds for one version only is checked after negotiation.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::protocol;

/// Parameters of `connect`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectParams {
    /// Lowest protocol version the client speaks.
    #[schemars(range(min = 1))]
    #[serde(deserialize_with = "integral")]
    pub min_protocol: u64,
    /// Highest protocol version the client speaks.
    #[schemars(range(min = 1))]
    #[serde(deserialize_with = "integral")]
    pub max_protocol: u64,
    /// What program connects.
    pub client: ClientInfo,
    /// Capabilities; they widen what is sent and are never an authorization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names")]
    pub caps: Option<Vec<String>>,
    /// Commands a node can be asked to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names")]
    pub commands: Option<Vec<String>>,
    /// Permissions a node holds on its system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BTreeMap<String, bool>")]
    pub permissions: Option<BTreeMap<String, bool>>,
    /// A node's `PATH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub path_env: Option<String>,
    /// `operator` (the default) or `node`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "name")]
    pub role: Option<String>,
    /// Scopes asked for: an upper bound of what is granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names")]
    pub scopes: Option<Vec<String>>,
    /// The device that signs this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DeviceProof")]
    pub device: Option<DeviceProof>,
    /// Credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Credentials")]
    pub auth: Option<Credentials>,
    /// The user's locale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub locale: Option<String>,
    /// The client's user agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub user_agent: Option<String>,
    /// Protocol 4: accepted and passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Value")]
    pub computer_use: Option<Value>,
    /// Protocol 4: accepted and passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Value")]
    pub worker_runs: Option<Value>,
    /// Protocol 4: accepted and passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Value")]
    pub model_catalog: Option<Value>,
}

/// What program connects.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientInfo {
    /// One of [`protocol::client_ids`], or an id the operator added.
    #[schemars(schema_with = "name")]
    pub id: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "name")]
    pub display_name: Option<String>,
    /// The program's version.
    #[schemars(schema_with = "name")]
    pub version: String,
    /// The system it runs on, in the client's own words.
    #[schemars(schema_with = "name")]
    pub platform: String,
    /// Kind of device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "name")]
    pub device_family: Option<String>,
    /// Model of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "name")]
    pub model_identifier: Option<String>,
    /// One of [`protocol::CLIENT_MODES`].
    #[schemars(extend("enum" = protocol::CLIENT_MODES))]
    pub mode: String,
    /// Tells two instances of one program apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "name")]
    pub instance_id: Option<String>,
    /// Protocol 4: build of the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 96))]
    pub build_id: Option<String>,
    /// Protocol 4: the user's time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 64))]
    pub time_zone: Option<String>,
}

/// A device and its signature over the text of [`crate::device`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceProof {
    /// Lower-case hex SHA-256 of the raw public key.
    #[schemars(schema_with = "name")]
    pub id: String,
    /// Ed25519 public key: 32 bytes as base64url or base64, or a PEM SPKI text.
    #[schemars(schema_with = "name")]
    pub public_key: String,
    /// 64 bytes as base64url or base64.
    #[schemars(schema_with = "name")]
    pub signature: String,
    /// When it was signed, in milliseconds since the epoch.
    #[serde(deserialize_with = "integral")]
    pub signed_at: u64,
    /// The nonce of this socket's challenge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "name")]
    pub nonce: Option<String>,
}

/// Credentials. Never printed: the [`Debug`] form names only what is present.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// The shared token, or a device token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub token: Option<String>,
    /// The shared password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub password: Option<String>,
    /// Protocol 4: a device token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub device_token: Option<String>,
    /// Protocol 4: a setup code's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub bootstrap_token: Option<String>,
    /// Protocol 4: in-process helpers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub approval_runtime_token: Option<String>,
    /// Protocol 4: in-process helpers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub agent_runtime_identity_token: Option<String>,
}

impl Credentials {
    /// `auth.token` if it is there and not empty.
    pub fn token(&self) -> Option<&str> {
        present(&self.token)
    }

    /// `auth.password` if it is there and not empty.
    pub fn password(&self) -> Option<&str> {
        present(&self.password)
    }

    /// `auth.deviceToken` if it is there and not empty.
    pub fn device_token(&self) -> Option<&str> {
        present(&self.device_token)
    }

    /// `auth.bootstrapToken` if it is there and not empty.
    pub fn bootstrap_token(&self) -> Option<&str> {
        present(&self.bootstrap_token)
    }

    /// The token a device signs: the first present of `token`, `deviceToken`, `bootstrapToken`, exactly as sent.
    pub fn signed_token(&self) -> &str {
        [&self.token, &self.device_token, &self.bootstrap_token].into_iter().find_map(present).unwrap_or("")
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("token", &self.token.is_some())
            .field("password", &self.password.is_some())
            .field("device_token", &self.device_token.is_some())
            .field("bootstrap_token", &self.bootstrap_token.is_some())
            .finish_non_exhaustive()
    }
}

impl ConnectParams {
    /// The role in force: what was sent, else `operator`.
    pub fn role(&self) -> &str {
        self.role.as_deref().unwrap_or("operator")
    }

    /// The scopes as sent; empty when absent.
    pub fn requested_scopes(&self) -> &[String] {
        self.scopes.as_deref().unwrap_or(&[])
    }

    /// The credentials as sent.
    pub fn credentials(&self) -> Credentials {
        self.auth.clone().unwrap_or_default()
    }
}

/// The schema of [`ConnectParams`] with `client.id` closed to the known ids and those the operator added.
pub fn schema(extra_client_ids: &[String]) -> Value {
    let mut schema = serde_json::to_value(schemars::schema_for!(ConnectParams)).expect("a schema is JSON");
    let ids: Vec<String> = protocol::client_ids().into_iter().chain(extra_client_ids.iter().cloned()).collect();
    schema["$defs"]["ClientInfo"]["properties"]["id"] = serde_json::json!({ "type": "string", "enum": ids });
    schema
}

fn present(field: &Option<String>) -> Option<&str> {
    field.as_deref().filter(|value| !value.is_empty())
}

fn name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1 })
}

fn names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "type": "string", "minLength": 1 } })
}

/// Reads `3` and `3.0` alike: a JSON number with an integral value is an integer on this wire.
fn integral<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    number
        .as_u64()
        .or_else(|| {
            number
                .as_f64()
                .filter(|n| n.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(n))
                .map(|n| n as u64)
        })
        .ok_or_else(|| serde::de::Error::custom("expected a non-negative integer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimal() -> Value {
        serde_json::json!({
            "minProtocol": 3, "maxProtocol": 3.0,
            "client": { "id": "cli", "version": "dev", "platform": "linux", "mode": "cli" },
        })
    }

    #[test]
    fn integers_may_be_written_with_a_fraction() {
        let params: ConnectParams = serde_json::from_value(minimal()).unwrap();
        assert_eq!(params.max_protocol, 3);
        assert_eq!(params.role(), "operator");
    }

    #[test]
    fn unknown_keys_are_refused_at_every_level() {
        for pointer in ["", "/client"] {
            let mut params = minimal();
            params.pointer_mut(pointer).unwrap()["extra"] = Value::Bool(true);
            assert!(serde_json::from_value::<ConnectParams>(params).is_err(), "at {pointer:?}");
        }
    }

    #[test]
    fn credentials_never_show_their_values() {
        let auth = Credentials { token: Some("s3cret".into()), ..Default::default() };
        assert!(!format!("{auth:?}").contains("s3cret"));
        assert_eq!(auth.signed_token(), "s3cret");
    }

    #[test]
    fn the_schema_closes_the_client_ids() {
        let schema = schema(&["my-app".into()]);
        let ids = schema["$defs"]["ClientInfo"]["properties"]["id"]["enum"].as_array().unwrap();
        assert!(ids.contains(&"my-app".into()) && ids.contains(&"moltbot-control-ui".into()));
    }
}
