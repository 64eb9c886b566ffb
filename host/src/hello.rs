//! Writes hello-ok: the snapshot as the bytes plugins published, the features as the bytes the registry keeps.

use schemas::PresenceEntry;
use schemas::frame::{StateVersion, write};
use schemas::hello::{Granted, Policy, SessionDefaults};
use schemas::protocol::Version;
use schemas::scope;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::connections::Connection;
use crate::gateway::{Gateway, VERSION};
use crate::surfaces::Addresses;

/// What hello-ok needs to know of the one it greets.
pub struct Newcomer<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// Its presence row, if it gets one.
    pub presence: Option<&'a PresenceEntry>,
    /// Its device token, if it has one.
    pub granted: Option<&'a Granted>,
    /// Where what plugins show it lies.
    pub surfaces: &'a Addresses,
}

/// The one surface that protocol 3 has a word for.
const CANVAS: &str = "canvas";

/// The payload of the answer to an accepted `connect`. The parts that are JSON already are pasted in as they are.
pub fn hello_ok(gateway: &Gateway, newcomer: &Newcomer<'_>) -> Vec<u8> {
    let snapshot = gateway.snapshot.read();
    let registry = gateway.registry.load();
    let connection = newcomer.connection;
    let (presence, row) = match may_see_presence(connection) {
        true => (snapshot.presence.as_deref().unwrap_or("[]"), newcomer.presence),
        false => ("[]", None),
    };
    let health = snapshot.health.as_deref().unwrap_or("{}");
    let admin = connection.authority.is_admin();
    let shown_to_admins = |path: String| admin.then_some(path);
    let limits = gateway.limits();
    let server = Server {
        version: VERSION,
        host: (connection.version == Version::V3).then_some(&gateway.facts.host),
        conn_id: &connection.id,
    };
    let rest = SnapshotRest {
        state_version: snapshot.version,
        uptime_ms: gateway.uptime_ms(),
        config_path: gateway.config.file.as_ref().and_then(|file| shown_to_admins(file.path.display().to_string())),
        state_dir: shown_to_admins(gateway.config.gateway.state_dir.display().to_string()),
        session_defaults: gateway.session_defaults(),
    };
    let surfaces = newcomer.surfaces;
    let end = End {
        canvas_host_url: (connection.version == Version::V3).then(|| surfaces.get(CANVAS)).flatten(),
        plugin_surface_urls: (connection.version == Version::V4 && !surfaces.is_empty()).then_some(surfaces),
        auth: auth(connection, newcomer.granted),
        policy: Policy {
            max_payload: limits.max_payload_of(connection.version).1 as u64,
            max_buffered_bytes: limits.max_buffered_bytes as u64,
            tick_interval_ms: limits.tick_interval_ms,
        },
    };
    let mut out = Vec::with_capacity(presence.len() + health.len() + registry.features_json().len() + 1024);
    out.extend_from_slice(b"{\"type\":\"hello-ok\",\"protocol\":");
    write::integer(&mut out, connection.version.number().into());
    out.extend_from_slice(b",\"server\":");
    json(&mut out, &server);
    out.extend_from_slice(b",\"features\":");
    out.extend_from_slice(registry.features_json().as_bytes());
    out.extend_from_slice(b",\"snapshot\":{\"presence\":");
    write_presence(&mut out, presence, row);
    out.extend_from_slice(b",\"health\":");
    out.extend_from_slice(health.as_bytes());
    out.push(b',');
    fields(&mut out, &rest);
    out.extend_from_slice(b"},");
    fields(&mut out, &end);
    out.push(b'}');
    out
}

/// Appends a value.
fn json<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    // Strings, numbers and structs of them always have a JSON form.
    let _ = serde_json::to_writer(out, value);
}

/// Appends the fields of a struct without its braces.
fn fields<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    let start = out.len();
    json(out, value);
    out.pop();
    out.remove(start);
}

/// Protocol 3 knows `auth` only together with a device token, whose scopes it shows; protocol 4 always has it, with what
/// is enforced.
fn auth(connection: &Connection, granted: Option<&Granted>) -> Option<Granted> {
    if connection.version == Version::V3 {
        return granted.cloned();
    }
    let caller = connection.authority.caller();
    Some(Granted {
        device_token: granted.and_then(|granted| granted.device_token.clone()),
        role: caller.role.clone(),
        scopes: caller.scopes.clone(),
        issued_at_ms: granted.and_then(|granted| granted.issued_at_ms),
    })
}

/// Protocol 4 shows who is here to those who may read; protocol 3 to everybody.
fn may_see_presence(connection: &Connection) -> bool {
    let caller = connection.authority.caller();
    connection.version == Version::V3 || scope::any_satisfies(&caller.scopes, scope::READ)
}

/// Appends the list with the newcomer's row first: it is the newest. An older row of the same device or instance gives way.
fn write_presence(out: &mut Vec<u8>, list: &str, newcomer: Option<&PresenceEntry>) {
    let Some(entry) = newcomer else { return out.extend_from_slice(list.as_bytes()) };
    out.push(b'[');
    json(out, entry);
    let id = entry.device_id.as_deref().or(entry.instance_id.as_deref()).unwrap_or_default();
    // Only rows that mention the newcomer need a closer look, and only in a list with any of them its rows are told apart.
    let mentions: Vec<usize> =
        if id.is_empty() { Vec::new() } else { list.match_indices(id).map(|(at, _)| at).collect() };
    if mentions.is_empty() {
        // The store takes nothing but a list of objects.
        let rows = list.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or_default().trim();
        if !rows.is_empty() {
            out.push(b',');
            out.extend_from_slice(rows.as_bytes());
        }
    } else {
        let rows: Vec<&RawValue> = serde_json::from_str(list).unwrap_or_default();
        let is_mentioned = |row: &str| {
            let start = row.as_ptr().addr() - list.as_ptr().addr();
            mentions.iter().any(|at| (start..start + row.len()).contains(at))
        };
        for row in rows.into_iter().map(RawValue::get).filter(|row| !is_mentioned(row) || !is_of(row, id)) {
            out.push(b',');
            out.extend_from_slice(row.as_bytes());
        }
    }
    out.push(b']');
}

/// Whether a row is that of this device or instance.
fn is_of(row: &str, id: &str) -> bool {
    let row: Option<PresenceEntry> = serde_json::from_str(row).ok();
    row.and_then(|row| row.device_id.or(row.instance_id)).is_some_and(|other| other.eq_ignore_ascii_case(id))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Server<'a> {
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a String>,
    conn_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotRest {
    state_version: StateVersion,
    uptime_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    config_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_dir: Option<String>,
    session_defaults: SessionDefaults,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct End<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    canvas_host_url: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin_surface_urls: Option<&'a Addresses>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<Granted>,
    policy: Policy,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, ts: u64) -> PresenceEntry {
        PresenceEntry { device_id: Some(id.to_string()), ts, ..PresenceEntry::default() }
    }

    fn with_newcomer(list: &str, newcomer: Option<&PresenceEntry>) -> String {
        let mut out = Vec::new();
        write_presence(&mut out, list, newcomer);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_newcomer_comes_first_and_once() {
        assert_eq!(with_newcomer("[]", None), "[]");
        assert_eq!(with_newcomer("[]", Some(&entry("a", 1))), r#"[{"deviceId":"a","ts":1}]"#);
        let others = r#"[{"deviceId":"b","ts":1},{"deviceId":"a","ts":2}]"#;
        let rows: Vec<PresenceEntry> = serde_json::from_str(&with_newcomer(others, Some(&entry("a", 3)))).unwrap();
        assert_eq!(rows, [entry("a", 3), entry("b", 1)]);
        // Who is only spoken of is somebody else.
        let spoken_of = r#"[ {"text":"a","ts":1}, {"deviceId":"a","ts":2} ]"#;
        assert_eq!(with_newcomer(spoken_of, Some(&entry("a", 3))), r#"[{"deviceId":"a","ts":3},{"text":"a","ts":1}]"#);
        assert_eq!(with_newcomer(spoken_of, Some(&PresenceEntry::default())).matches('{').count(), 3);
        let rows: Vec<PresenceEntry> = serde_json::from_str(&with_newcomer(others, Some(&entry("new", 3)))).unwrap();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0], entry("new", 3));
    }
}
