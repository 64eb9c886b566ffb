//! What plugins hear of a connection, written from what the handshake holds: every handshake makes one, so nothing is
//! copied into the catalogue's type only to be written.

use std::collections::BTreeMap;

use plugin_api::Caller;
use schemas::PresenceEntry;
use schemas::connect::{ClientInfo, ConnectParams};
use serde::Serialize;

/// A `catalogue::ConnectionOpened`, borrowed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    conn: u64,
    conn_id: &'a str,
    protocol: u32,
    role: &'a str,
    scopes: &'a [String],
    client: &'a ClientInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_ip: Option<&'a str>,
    local: bool,
    caps: &'a [String],
    commands: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<&'a BTreeMap<String, bool>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_env: Option<&'a str>,
    connected_at_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence: Option<&'a PresenceEntry>,
}

/// The record of a connection as JSON. `presence` is its key and its row, if it gets one.
pub fn opened(
    number: u64,
    caller: &Caller,
    params: &ConnectParams,
    presence: Option<(&str, &PresenceEntry)>,
    now_ms: u64,
) -> String {
    let record = Record {
        conn: number,
        conn_id: caller.conn_id.as_deref().unwrap_or(""),
        protocol: caller.protocol,
        role: &caller.role,
        scopes: &caller.scopes,
        client: &params.client,
        device_id: caller.device_id.as_deref(),
        remote_ip: caller.remote_ip.as_deref(),
        local: caller.local,
        caps: &caller.caps,
        commands: params.commands.as_deref().unwrap_or(&[]),
        permissions: params.permissions.as_ref(),
        path_env: params.path_env.as_deref(),
        connected_at_ms: now_ms,
        presence_key: presence.map(|(key, _)| key),
        presence: presence.map(|(_, entry)| entry),
    };
    // About as long as most are, so that it is not moved while it grows.
    let mut json = Vec::with_capacity(1024);
    // Strings, numbers and structs of them always have a JSON form.
    let _ = serde_json::to_writer(&mut json, &record);
    String::from_utf8(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Authority;
    use plugin_api::catalogue::ConnectionOpened;
    use serde_json::{Value, json};

    #[test]
    fn a_record_is_what_the_catalogue_says() {
        let full = json!({
            "minProtocol": 3, "maxProtocol": 3, "role": "node", "commands": ["camera.snap"], "caps": ["camera"],
            "permissions": { "camera": true }, "pathEnv": "/bin",
            "client": { "id": "cli", "version": "1", "platform": "linux", "mode": "node", "displayName": "N" }
        });
        let params: ConnectParams = serde_json::from_value(full).unwrap();
        let mut caller = Authority::operator(&["operator.read"]).caller().clone();
        (caller.conn_id, caller.device_id, caller.remote_ip) =
            (Some("c".into()), Some("d".into()), Some("1.2.3.4".into()));
        caller.caps = vec!["camera".into()];
        let entry = PresenceEntry { ts: 7, ..PresenceEntry::default() };
        for presence in [Some(("d", &entry)), None] {
            let written: Value = serde_json::from_str(&opened(5, &caller, &params, presence, 9)).unwrap();
            let read: ConnectionOpened = serde_json::from_value(written.clone()).unwrap();
            let mut again = serde_json::to_value(&read).unwrap();
            again.as_object_mut().unwrap().remove("replay");
            assert_eq!(again, written);
        }
    }
}
