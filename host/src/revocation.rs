//! The end of rights: of connections, of what plugins keep of them, and of the calls that run with them.

use std::sync::Arc;

use plugin_api::abi::GWP_CANCEL_REVOKED;
use schemas::ErrorShape;

use crate::authority::Authority;
use crate::connections::Fallen;
use crate::dispatch;
use crate::gateway::Gateway;

/// Ends the rights of these callers, since what they stood on has fallen. `error` is the answer to their calls.
pub fn revoke(gateway: &Arc<Gateway>, which: impl Fn(&Authority) -> bool, fallen: Fallen, error: &ErrorShape) {
    for connection in gateway.connections.list().iter().filter(|connection| which(&connection.authority)) {
        connection.invalidate(fallen);
    }
    gateway.plugin_books.revoke(&which);
    gateway.capabilities.revoke(&which);
    gateway.exchanges.revoke(&which);
    for number in gateway.calls.numbers(|call| which(&call.authority)) {
        gateway.calls.with(number, |call| call.authority.revoke());
        dispatch::end(gateway, number, GWP_CANCEL_REVOKED, error);
    }
}
