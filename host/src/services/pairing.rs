//! `host.pairing.*`: the one way in which plugins reach the pairing book, with the rights of whom they act for.

use std::sync::Arc;
use std::time::Duration;

use plugin_api::Caller;
use plugin_api::catalogue::{
    ApproveDevice, DeviceId, Invite, Invited, PairingOf, RenameDevice, RequestId, TokenOf, TokenScope,
};
use schemas::ErrorShape;
use schemas::error::code;
use serde::Serialize;

use super::{Outcome, answer, parse};
use crate::audit;
use crate::authority::Authority;
use crate::connections::{self, Connection};
use crate::events;
use crate::gateway::Gateway;
use crate::pairing::{self, Done, InviteError, ManageError, PairingEvent};
use crate::revocation;

pub(super) async fn call(gateway: &Arc<Gateway>, authority: &Authority, name: &str, params: &str) -> Outcome {
    let (book, now) = (&gateway.pairing, schemas::now_ms());
    let rights = rights(authority);
    let rights = rights.as_ref();
    match name {
        "host.pairing.list" => {
            let PairingOf { device_ids } = parse(params)?;
            answer(&book.list(rights, &device_ids, now))
        }
        "host.pairing.approve" => {
            let ApproveDevice { request_id, scopes } = parse(params)?;
            finish(gateway, authority, book.approve(&request_id, rights, scopes.as_deref(), now).await).await
        }
        "host.pairing.reject" => {
            let RequestId { request_id } = parse(params)?;
            finish(gateway, authority, book.reject(&request_id, rights, now).await).await
        }
        "host.pairing.remove" => {
            let DeviceId { device_id } = parse(params)?;
            finish(gateway, authority, book.remove(&device_id, rights, now).await).await
        }
        "host.pairing.rename" => {
            let RenameDevice { device_id, label } = parse(params)?;
            finish(gateway, authority, book.rename(&device_id, &label, rights).await).await
        }
        "host.pairing.token.rotate" => {
            let TokenScope { device_id, role, scopes } = parse(params)?;
            finish(gateway, authority, book.rotate(&device_id, &role, scopes.as_deref(), rights, now).await).await
        }
        "host.pairing.token.revoke" => {
            let TokenOf { device_id, role } = parse(params)?;
            finish(gateway, authority, book.revoke(&device_id, &role, rights, now).await).await
        }
        "host.pairing.invite" => answer(&invite(gateway, authority, parse(params)?, now)?),
        other => Err(ErrorShape::unavailable(format!("{other} is not served by this host"))),
    }
}

/// Makes a one-time token for a device that is not known yet.
fn invite(gateway: &Gateway, authority: &Authority, wish: Invite, now_ms: u64) -> Result<Invited, ErrorShape> {
    if !authority.is_plugin() && authority.role() != "operator" {
        return Err(ErrorShape::invalid_request("device invitation denied"));
    }
    let Invite { role, scopes, label } = wish;
    let invite = pairing::Invite { role, scopes, label, ends_at_ms: authority.ends_at_ms() };
    match gateway.pairing.invite(invite, rights(authority).as_ref(), now_ms) {
        Ok(pairing::Invitation { token, expires_at_ms, role, scopes }) => {
            Ok(Invited { bootstrap_token: token.to_string(), expires_at_ms, role, scopes })
        }
        Err(InviteError::Refused(error)) => Err(error),
        Err(InviteError::Full) => {
            gateway.metrics.limit_hit("max_setup_codes");
            let message = "too many setup codes wait to be used (gateway.limits.max_setup_codes)";
            Err(ErrorShape::unavailable(message).retryable())
        }
    }
}

/// Tells plugins what happened to pairing requests, and waits a moment until they have heard it: what they publish about
/// it goes out before the answer.
pub async fn publish(gateway: &Gateway, happened: &[PairingEvent]) {
    const PATIENCE: Duration = Duration::from_millis(500);
    for event in happened {
        audit::pairing(event);
        for heard in events::notify(gateway, &format!("host.pairing.{}", event.kind()), event) {
            let _ = tokio::time::timeout(PATIENCE, heard).await;
        }
    }
}

/// Whose rights bound what may be granted: the caller's. A plugin in its own name acts for the host.
fn rights(authority: &Authority) -> Option<pairing::Authority> {
    let caller = authority.caller();
    (!authority.is_plugin()).then(|| pairing::Authority {
        scopes: caller.scopes.clone(),
        device_id: caller.device_id.clone(),
        via_device_token: caller.via_device_token,
    })
}

/// Publishes what happened, and closes the connections that lost their standing.
async fn finish<T: Serialize>(
    gateway: &Arc<Gateway>,
    authority: &Authority,
    done: Result<Done<T>, ManageError>,
) -> Outcome {
    let done = done.map_err(|error| {
        if let ManageError::Store(cause) = &error {
            tracing::error!(%cause, "the pairing book was not written");
        }
        error.into_error_shape()
    })?;
    publish(gateway, &done.events).await;
    if !done.invalidated.is_empty() {
        let fallen = Fallen(done.invalidated.iter().map(|it| (it.device_id.clone(), it.role.clone())).collect());
        let asking = authority.caller().conn_id.clone();
        revoke(gateway, |caller| fallen.includes(caller) && (asking.is_none() || caller.conn_id != asking));
        // Who ended itself hears so first: the answer may hold its new token, which nobody else is ever told.
        let gateway = gateway.clone();
        gateway.runtime.clone().spawn(async move {
            let Some(asking) = asking else { return };
            if let Some(itself) = gateway.connections.list().into_iter().find(|connection| connection.id == asking) {
                answered(&itself).await;
            }
            revoke(&gateway, |caller| fallen.includes(caller) && caller.conn_id.as_ref() == Some(&asking));
        });
    }
    answer(&done.result)
}

/// Devices and roles that lost their standing.
struct Fallen(Vec<(String, String)>);

impl Fallen {
    fn includes(&self, caller: &Caller) -> bool {
        let is_theirs = |device: &str| self.0.iter().any(|(id, role)| id == device && *role == caller.role);
        caller.device_id.as_deref().is_some_and(is_theirs)
    }
}

/// Ends the rights of these callers.
fn revoke(gateway: &Arc<Gateway>, which: impl Fn(&Caller) -> bool) {
    const REASON: &str = "device access changed; connect again";
    let error = ErrorShape::new(code::NOT_PAIRED, REASON);
    revocation::revoke(gateway, |authority| which(authority.caller()), connections::Fallen::Device, &error);
}

/// Waits until the connection's requests are answered, for a short while at most.
async fn answered(connection: &Connection) {
    const PATIENCE: Duration = Duration::from_secs(1);
    let _ = tokio::time::timeout(PATIENCE, connection.idle()).await;
}
