//! Who asks, in a test.

use plugin_api::Caller;
use plugin_api::catalogue::ConnectionOpened;

/// A caller: a connection with its role and scopes, or another plugin. Local, and of protocol 3, unless changed.
#[derive(Debug, Clone)]
pub struct Who {
    pub(crate) conn: u64,
    pub(crate) caller: Caller,
    pub(crate) traceparent: Option<String>,
}

impl Who {
    /// An operator with all rights, on connection 1: who asks when a test names nobody.
    pub fn admin() -> Self {
        Self::operator(&["operator.admin"])
    }

    /// An operator with these scopes, on connection 1.
    pub fn operator(scopes: &[&str]) -> Self {
        Self::with_role("operator", scopes)
    }

    /// A node, on connection 1.
    pub fn node() -> Self {
        Self::with_role("node", &[])
    }

    /// Another plugin, or the host itself: it may call internal methods, and has no connection.
    pub fn plugin(id: &str) -> Self {
        let mut who = Self::with_role("plugin", &[]);
        who.conn = 0;
        who.caller.conn_id = None;
        who.caller.plugin = Some(id.to_string());
        who
    }

    /// Whoever is on this connection.
    pub fn of(opened: &ConnectionOpened) -> Self {
        let connection = &opened.connection;
        let text = |key: &str| connection.client.get(key).and_then(|value| value.as_str()).map(str::to_string);
        Who {
            conn: connection.conn,
            caller: Caller {
                conn_id: Some(connection.conn_id.clone()),
                role: connection.role.clone(),
                scopes: connection.scopes.clone(),
                device_id: connection.device_id.clone(),
                via_device_token: false,
                client_id: text("id"),
                client_mode: text("mode"),
                display_name: text("displayName"),
                instance_id: text("instanceId"),
                caps: connection.caps.clone(),
                remote_ip: connection.remote_ip.clone(),
                local: connection.local,
                protocol: connection.protocol,
                plugin: None,
            },
            traceparent: None,
        }
    }

    /// On this connection.
    pub fn conn(mut self, conn: u64) -> Self {
        self.conn = conn;
        self.caller.conn_id = Some(conn_id(conn));
        self
    }

    /// With this paired device.
    pub fn device(mut self, device_id: &str) -> Self {
        self.caller.device_id = Some(device_id.to_string());
        self
    }

    /// From this address, and so not local.
    pub fn remote(mut self, ip: &str) -> Self {
        self.caller.remote_ip = Some(ip.to_string());
        self.caller.local = false;
        self
    }

    /// With a W3C `traceparent`.
    pub fn traced(mut self, traceparent: &str) -> Self {
        self.traceparent = Some(traceparent.to_string());
        self
    }

    /// With whatever else the record of `gwp.caller/1` holds.
    pub fn with(mut self, change: impl FnOnce(&mut Caller)) -> Self {
        change(&mut self.caller);
        self
    }

    fn with_role(role: &str, scopes: &[&str]) -> Self {
        Who {
            conn: 1,
            caller: Caller {
                conn_id: Some(conn_id(1)),
                role: role.to_string(),
                scopes: scopes.iter().map(|scope| scope.to_string()).collect(),
                device_id: None,
                via_device_token: false,
                client_id: None,
                client_mode: None,
                display_name: None,
                instance_id: None,
                caps: Vec::new(),
                remote_ip: None,
                local: true,
                protocol: 3,
                plugin: None,
            },
            traceparent: None,
        }
    }
}

/// The id on the wire of a connection that a test made up.
pub(crate) fn conn_id(conn: u64) -> String {
    format!("conn-{conn}")
}
