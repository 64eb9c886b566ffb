//! Records of the host as a test needs them: complete, valid, and to be changed where it matters.

use plugin_api::catalogue::{Connection, ConnectionClosed, ConnectionOpened, GatewayInfo};
use serde_json::json;

use crate::who::conn_id;

/// A local operator with all rights that has just connected, without a presence row.
pub fn opened(conn: u64) -> ConnectionOpened {
    ConnectionOpened {
        connection: Connection {
            conn,
            conn_id: conn_id(conn),
            protocol: 3,
            role: "operator".into(),
            scopes: vec!["operator.admin".into()],
            client: json!({ "id": "test", "version": "1.0.0", "platform": "linux", "mode": "cli" }),
            device_id: None,
            remote_ip: None,
            local: true,
            caps: Vec::new(),
            commands: Vec::new(),
            permissions: None,
            path_env: None,
            connected_at_ms: schemas::now_ms(),
        },
        presence_key: None,
        presence: None,
        replay: false,
    }
}

/// The same connection, gone in good order.
pub fn closed(opened: &ConnectionOpened) -> ConnectionClosed {
    ConnectionClosed {
        conn: opened.connection.conn,
        conn_id: opened.connection.conn_id.clone(),
        role: opened.connection.role.clone(),
        device_id: opened.connection.device_id.clone(),
        presence_key: opened.presence_key.clone(),
        code: Some(1000),
        reason: String::new(),
    }
}

/// A gateway, for `host.gateway.info`.
pub fn gateway_info() -> GatewayInfo {
    GatewayInfo {
        version: "1.0.0".into(),
        host: "testhost".into(),
        ip: None,
        platform: "linux".into(),
        arch: "x86_64".into(),
        pid: 1,
        started_at_ms: schemas::now_ms(),
        uptime_ms: 0,
        addresses: vec!["127.0.0.1:18789".into()],
        surface_ports: Default::default(),
        tls_fingerprint: None,
        state_dir: "state".into(),
        config_path: None,
        log_file: None,
        tick_interval_ms: 30_000,
        session_defaults: Default::default(),
    }
}

/// Values that fit a JSON Schema: its author's examples, the smallest one, and one with everything optional in it. Empty if
/// none could be made up.
pub fn fitting(schema: &serde_json::Value) -> Vec<serde_json::Value> {
    crate::made_up::values(schema)
}
