//! The presence entry: one row of the list of who is here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::connect::ConnectParams;

/// Who is here. All fields but `ts` are optional; absent ones are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct PresenceEntry {
    /// Name of the machine or program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    pub host: Option<String>,
    /// Where it connects from; absent for local connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    pub ip: Option<String>,
    /// Version of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    pub version: Option<String>,
    /// The system it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    pub platform: Option<String>,
    /// Kind of device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    pub device_family: Option<String>,
    /// Model of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    pub model_identifier: Option<String>,
    /// The client's mode, or `gateway` for the gateway's own row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    pub mode: Option<String>,
    /// Why the row was last written: `self`, `connect`, `disconnect`, or a client's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    pub reason: Option<String>,
    /// The paired device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    pub device_id: Option<String>,
    /// Tells two instances of one program apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    pub instance_id: Option<String>,
    /// Seconds since the user last touched the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub last_input_seconds: Option<u64>,
    /// Free words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    pub tags: Option<Vec<String>>,
    /// Roles of the device's connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    pub roles: Option<Vec<String>>,
    /// Scopes of the device's connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    pub scopes: Option<Vec<String>>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub text: Option<String>,
    /// When the row was last written, in milliseconds since the epoch.
    pub ts: u64,
}

impl PresenceEntry {
    /// The default line: `Node: <host> · mode <mode>`.
    pub fn describe(&self) -> String {
        let or_unknown = |field: &Option<String>| field.clone().unwrap_or_else(|| "unknown".to_string());
        format!("Node: {} · mode {}", or_unknown(&self.host), or_unknown(&self.mode))
    }
}

/// Whether this client gets a row of its own: everyone but one-shot command lines and probes' kin in mode `cli`.
pub fn is_tracked(params: &ConnectParams) -> bool {
    params.client.mode != "cli"
}

/// The key of a connection's row: device id, else instance id, else connection id, lower-cased.
pub fn key(params: &ConnectParams, conn_id: &str) -> String {
    let device = params.device.as_ref().map(|device| device.id.as_str());
    device.or(params.client.instance_id.as_deref()).unwrap_or(conn_id).to_lowercase()
}

/// The row a connection adds: the one place that makes it, for hello-ok and for the plugin that keeps the list.
pub fn connect_entry(
    params: &ConnectParams,
    reported_ip: Option<&str>,
    role: &str,
    scopes: &[String],
    now_ms: u64,
) -> PresenceEntry {
    let client = &params.client;
    let device_id = params.device.as_ref().map(|device| device.id.clone());
    let mut entry = PresenceEntry {
        host: Some(client.display_name.clone().unwrap_or_else(|| client.id.clone())),
        ip: reported_ip.map(str::to_string),
        version: Some(client.version.clone()),
        platform: Some(client.platform.clone()),
        device_family: client.device_family.clone(),
        model_identifier: client.model_identifier.clone(),
        mode: Some(client.mode.clone()),
        reason: Some("connect".to_string()),
        instance_id: device_id.clone().or_else(|| client.instance_id.clone()),
        device_id,
        last_input_seconds: None,
        tags: None,
        roles: Some(vec![role.to_string()]),
        scopes: (!scopes.is_empty()).then(|| scopes.to_vec()),
        text: None,
        ts: now_ms,
    };
    entry.text = Some(entry.describe());
    entry
}
