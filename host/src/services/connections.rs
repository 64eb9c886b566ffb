//! `host.connections.*`, and what a connection is told anew.

use plugin_api::catalogue::{CloseConnection, Connection, ConnectionId, Connections, Done, SurfaceAddress, SurfaceOf};
use schemas::ErrorShape;
use schemas::protocol::close as codes;

use crate::gateway::Gateway;
use crate::surfaces;

pub(super) fn list(gateway: &Gateway) -> Connections {
    let connections = gateway.connections.list();
    Connections { connections: connections.iter().filter_map(|connection| connection.describe()).collect() }
}

pub(super) fn get(gateway: &Gateway, asked: ConnectionId) -> Result<Connection, ErrorShape> {
    gateway.connections.find(asked.conn).and_then(|connection| connection.describe()).ok_or_else(unknown)
}

pub(super) fn close(gateway: &Gateway, asked: CloseConnection) -> Result<Done, ErrorShape> {
    let code = asked.code.unwrap_or(codes::POLICY);
    if !matches!(code, 1000 | 1001 | 1008 | 1011..=1013 | 3000..=4999) {
        return Err(ErrorShape::invalid_request("code must be 1000, 1001, 1008, 1011 to 1013, or 3000 to 4999"));
    }
    let connection = gateway.connections.find(asked.conn).ok_or_else(unknown)?;
    connection.outbox.close(code, asked.reason.as_deref().unwrap_or(""));
    Ok(Done { ok: true })
}

pub(super) fn renew_surface(gateway: &Gateway, asked: SurfaceOf) -> Result<SurfaceAddress, ErrorShape> {
    let connection = gateway.connections.find(asked.conn).ok_or_else(unknown)?;
    surfaces::renewed(gateway, &connection, &asked.surface, asked.observed_url.as_deref())
}

fn unknown() -> ErrorShape {
    ErrorShape::invalid_request("unknown connection")
}
