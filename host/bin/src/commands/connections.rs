//! `clawhost connections`: who is connected.

use plugin_api::catalogue::{Connection, Connections};

use super::devices::{rights, short};
use crate::cli::Context;
use crate::failure::Failure;
use crate::session::Question;
use crate::show::{Style, Table, ago};

/// Prints the list.
pub fn run(context: &Context) -> Result<(), Failure> {
    context.show(&Question::new("system.connections", "system"), |list: Connections| {
        Ok(render(&list.connections, context.style, schemas::now_ms()))
    })
}

fn render(connections: &[Connection], style: Style, now_ms: u64) -> String {
    let mut table = Table::new(&["CLIENT", "NAME", "AS", "FROM", "DEVICE", "VERSION", "SINCE"]);
    for connection in connections {
        let client = |field: &str| connection.client[field].as_str().unwrap_or_default().to_string();
        let from = match (&connection.remote_ip, connection.local) {
            (Some(address), _) => address.clone(),
            (None, true) => "this machine".to_string(),
            (None, false) => String::new(),
        };
        table.row([
            client("id"),
            client("displayName"),
            rights([connection.role.as_str()], &connection.scopes),
            from,
            short(connection.device_id.as_deref().unwrap_or_default()).to_string(),
            format!("{} on {}, protocol {}", client("version"), client("platform"), connection.protocol),
            ago(connection.connected_at_ms, now_ms),
        ]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_from_where_as_what_and_since_when() {
        let list = json!({"connections": [{
            "conn": 1, "connId": "c", "protocol": 3, "role": "operator", "scopes": ["operator.admin", "operator.read"],
            "client": {"id": "cli", "version": "1.0", "platform": "linux", "mode": "cli"}, "local": true,
            "connectedAtMs": 0,
        }, {
            "conn": 2, "connId": "d", "protocol": 4, "role": "node", "scopes": [], "deviceId": "0123456789abcdef",
            "client": {"id": "node-host", "displayName": "Phone", "version": "2.0", "platform": "ios"}, "local": false,
            "remoteIp": "192.0.2.4", "connectedAtMs": 50_000,
        }]});
        let list: Connections = serde_json::from_value(list).unwrap();
        let expected = "\
CLIENT     NAME   AS                     FROM          DEVICE        VERSION                   SINCE
cli        -      operator: admin, read  this machine  -             1.0 on linux, protocol 3  1 min ago
node-host  Phone  node                   192.0.2.4     0123456789ab  2.0 on ios, protocol 4    10 s ago
";
        assert_eq!(render(&list.connections, Style::plain(), 60_000), expected);
    }
}
