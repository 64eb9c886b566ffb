//! The lines of the log by which one can say afterwards who came in, who did not, and who decided what. One line each, with
//! the same names for the same things: `action`, who (`device`, `client`, `by_…`), from where (`ip`). None holds a secret.
//!
//! They are ordinary lines of the log, so whoever follows it sees them, and [`TARGET`] in `gateway.log.level` turns them
//! off or finds them. Decisions never count as repeated. Refusals do, since anybody can cause as many as they like, and so do
//! connects that come in crowds, whose lines would cost more than their handshakes: those left out are counted.

use schemas::{ErrorShape, bounds};
use serde::Deserialize;

use crate::auth::AuthMethod;
use crate::authority::Authority;
use crate::connections::Connection;
use crate::handshake::{Accepted, Refusal};
use crate::locality::Peer;
use crate::pairing::{Decision, PairingEvent};

/// The name under which the lines stand in the log.
pub const TARGET: &str = "clawhost::audit";

/// Of those that come in crowds.
const CONNECTED: &str = "clawhost::audit::connected";
const REFUSED: &str = "clawhost::audit::refused";

/// A connection is in.
pub fn connected(connection: &Connection, accepted: &Accepted, peer: &Peer) {
    let caller = connection.authority.caller();
    let login = peer.tailscale_login.as_deref().filter(|_| accepted.auth_method == AuthMethod::Tailscale);
    tracing::info!(
        target: CONNECTED,
        action = "connected",
        conn = connection.id,
        ip = %peer.client_ip,
        local = peer.local,
        client = accepted.params.client.id,
        mode = accepted.params.client.mode,
        device = caller.device_id.as_deref().unwrap_or_default(),
        role = caller.role,
        scopes = caller.scopes.join(","),
        method = accepted.auth_method.name(),
        token = connection.authority.token_name().unwrap_or_default(),
        login = login.unwrap_or_default(),
        protocol = accepted.version.number(),
        "a client is in"
    );
}

/// A connection was refused.
pub fn refused(refusal: &Refusal, peer: &Peer) {
    tracing::info!(
        target: REFUSED,
        action = "refused",
        ip = %peer.client_ip,
        local = peer.local,
        outcome = refusal.outcome,
        cause = refusal.detail_for_log,
        "refused a connection"
    );
}

/// A request for pairing was made, or decided.
pub fn pairing(event: &PairingEvent) {
    match event {
        PairingEvent::Requested(request) => tracing::info!(
            target: TARGET,
            action = "pairing-requested",
            request = request.request_id,
            device = request.device_id,
            client = request.client_id.as_deref().unwrap_or_default(),
            ip = request.remote_ip.as_deref().unwrap_or_default(),
            role = request.role,
            scopes = request.scopes.join(","),
            repair = request.is_repair,
            "a device asks to be let in"
        ),
        PairingEvent::Resolved { request_id, device_id, decision, .. } => {
            let action = match decision {
                Decision::Approved => "pairing-approved",
                Decision::Rejected => "pairing-rejected",
            };
            tracing::info!(target: TARGET, action, request = request_id, device = device_id, "a request was decided");
        }
    }
}

/// What a decision is about. Of what a caller sends, only this is written down, and none of it at length.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Subject {
    request_id: String,
    device_id: String,
    role: String,
    scopes: Vec<String>,
    id: String,
}

impl Subject {
    fn of(params: &str) -> Self {
        let mut subject: Subject = serde_json::from_str(params).unwrap_or_default();
        for text in [&mut subject.request_id, &mut subject.device_id, &mut subject.role, &mut subject.id] {
            bounds::clip(text, bounds::MAX_TEXT);
        }
        subject.scopes = bounds::names(subject.scopes, bounds::MAX_SCOPES);
        subject
    }
}

/// Somebody decided about a device, a connection or a plugin, or tried to. `service` is the host's method that they went
/// through.
pub fn decided(service: &str, authority: &Authority, params: &str, error: Option<&ErrorShape>) {
    let subject = Subject::of(params);
    let mut refused = error.map(|error| error.message.clone()).unwrap_or_default();
    bounds::clip(&mut refused, bounds::MAX_TEXT);
    let caller = authority.caller();
    tracing::info!(
        target: TARGET,
        action = service.trim_start_matches("host."),
        by_conn = caller.conn_id.as_deref().unwrap_or_default(),
        by_device = caller.device_id.as_deref().unwrap_or_default(),
        by_client = caller.client_id.as_deref().unwrap_or_default(),
        by_token = authority.token_name().unwrap_or_default(),
        by_plugin = caller.plugin.as_deref().unwrap_or_default(),
        ip = caller.remote_ip.as_deref().unwrap_or_default(),
        local = caller.local,
        request = subject.request_id,
        device = subject.device_id,
        role = subject.role,
        scopes = subject.scopes.join(","),
        id = subject.id,
        refused,
        "a decision"
    );
}

/// The configuration was read anew and is in force.
pub fn configured(plugins: &[String]) {
    tracing::info!(target: TARGET, action = "configured", plugins = plugins.join(","), "another configuration is in force");
}
