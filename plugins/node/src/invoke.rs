//! `node.invoke` and `node.invoke.result`: a question goes to a node and its answer comes back.
//!
//! There is one deadline. The node is told what is left of it; when it has passed, or when whoever asked has gone, the node
//! hears `node.invoke.cancel` and the answer is no longer waited for.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use plugin_api::{Call, Caller, Host, MethodError};
use schemas::bounds;
use schemas::scope::ADMIN;
use serde_json::{Value, json};

use crate::call::check_wish;
use crate::invokes::{Outcome, Slot, parsed};
use crate::params::{Asked, Cancelled, Heard, Invoke, InvokeResult, Invoked, NodeError};
use crate::policy::{Class, is_for_admins};
use crate::surface::Surface;
use crate::{Node, State};

/// A node is asked to do something.
pub const ASK: &str = "node.invoke.request";
/// Nobody waits for the answer any more.
pub const CANCEL: &str = "node.invoke.cancel";

/// How long a node has when nobody says.
pub const DEFAULT_TIMEOUT_MS: u64 = 30_000;
/// The longest that anybody may wait.
pub const MAX_TIMEOUT_MS: u64 = 24 * 60 * 60 * 1000;
/// Longest sentence of a node that is passed on, in characters.
const MAX_MESSAGE: usize = 4096;

impl Node {
    pub(crate) async fn invoke(self: Arc<Self>, call: Call, params: Invoke) -> Result<Invoked, MethodError> {
        let timeout_ms = params.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS).min(MAX_TIMEOUT_MS);
        let mut deadline = Instant::now() + Duration::from_millis(timeout_ms);
        if let Some(left) = call.time_left() {
            deadline = deadline.min(Instant::now() + left);
        }
        let (node_id, command) = (params.node_id.trim(), params.command.trim());
        if node_id.is_empty() || command.is_empty() {
            return Err(MethodError::invalid_request("nodeId and command required"));
        }
        let caller = call.caller()?;
        if is_for_admins(command) && !call.is_admin() && caller.role != "plugin" {
            return Err(MethodError::missing_scope(ADMIN));
        }
        check_wish(&call, &caller, command, params.params.as_deref())?;
        self.settled(Some(node_id)).await;
        if let Some(ticket) = self.absent(&call, &params, deadline).await? {
            let (node_id, command) = (node_id.to_string(), command.to_string());
            return Ok(Invoked { ok: true, node_id, command, payload: None, payload_json: None, queued: Some(ticket) });
        }
        let (id, asker) = (uuid::Uuid::new_v4().to_string(), asker(caller));
        let asking = {
            let State { sessions, invokes, book, .. } = &mut *self.state();
            if self.has_quiesced() {
                return Err(reloading());
            }
            let session = sessions.of_node(node_id).ok_or_else(not_connected)?;
            let withheld = book.withheld(node_id);
            self.check_allowed_by(session.class, &session.effective, &session.declared, withheld, command)?;
            if !invokes.has_room(&asker, self.max_open) {
                return Err(too_many());
            }
            let (conn, understands_cancel) = (session.conn, session.protocol >= 4);
            Asking { conn, slot: invokes.ask(&id, conn, Some(asker)), understands_cancel }
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let asked = Asked {
            id: &id,
            node_id,
            command,
            params_json: params.params.as_deref().map(|params| params.get()),
            timeout_ms: left.as_millis() as u64,
            idempotency_key: &params.idempotency_key,
        };
        if let Err(error) = self.host.event(ASK).send_to(&[asking.conn], &asked) {
            self.state().invokes.give_up(&id);
            let message = "failed to send invoke to node";
            let details = json!({ "nodeError": { "code": "UNAVAILABLE", "message": message } });
            return Err(MethodError::unavailable(message).with_details(details).log(error));
        }
        match self.answer_of(&id, node_id, asking, left).await {
            Some(Outcome::Done { payload, payload_json }) => {
                let payload = payload_json.as_deref().and_then(parsed).or(payload);
                let (node_id, command) = (node_id.to_string(), command.to_string());
                Ok(Invoked { ok: true, node_id, command, payload, payload_json, queued: None })
            }
            Some(Outcome::Failed(error)) => Err(failed(error)),
            Some(Outcome::Disconnected) => {
                Err(MethodError::unavailable(format!("Error: node disconnected ({})", cut(command))))
            }
            Some(Outcome::Revoked) => Err(revoked()),
            Some(Outcome::Unreadable) => {
                Err(unknown("node invoke failed: the node answered, and did not say whether it did it"))
            }
            Some(Outcome::Stopped) => {
                Err(unknown("nodes were reloaded while the node was asked, and nobody knows what came of it"))
            }
            None => Err(timed_out()),
        }
    }

    /// What comes of a question that was sent, if it comes in time.
    pub(crate) async fn answer_of(&self, id: &str, node_id: &str, asking: Asking, left: Duration) -> Option<Outcome> {
        let Asking { conn, slot, understands_cancel } = asking;
        let _waiting = Waiting { node: self, id, node_id, conn, understands_cancel };
        within(&self.host, left, &slot).await
    }

    /// Ends the questions to connections of which nothing may be used any more.
    pub(crate) fn end_all_of(&self, state: &mut State, node_id: &str) {
        for conn in state.sessions.all_of(node_id) {
            self.end_all_to(state, conn, || Outcome::Revoked);
        }
    }

    /// Ends every question: the answers come to another instance from now on, which passes them over.
    pub(crate) fn end_all(&self) {
        let mut state = self.state();
        for conn in state.sessions.conns() {
            self.end_all_to(&mut state, conn, || Outcome::Stopped);
        }
    }

    fn end_all_to(&self, state: &mut State, conn: u64, outcome: fn() -> Outcome) {
        let State { sessions, invokes, .. } = state;
        let session = sessions.get(conn).filter(|session| session.protocol >= 4);
        for (id, slot) in invokes.take_all_of(conn) {
            slot.fill(outcome());
            if let Some(session) = session {
                self.cancel(conn, &id, &session.node_id);
            }
        }
    }

    /// Tells a node that nobody waits any more. One that has gone meanwhile has nothing to stop.
    fn cancel(&self, conn: u64, id: &str, node_id: &str) {
        let _ = self.host.event(CANCEL).send_to(&[conn], &Cancelled { invoke_id: id, node_id });
    }

    pub(crate) async fn result(self: Arc<Self>, call: Call, said: InvokeResult) -> Result<Heard, MethodError> {
        let conn = self.is_of_caller(&call, &said.node_id)?;
        let answered = self.state().invokes.answered(&said.id, conn);
        let Value::Bool(ok) = said.ok else {
            // Whoever asked would wait until the deadline for what has come.
            if let Some(slot) = answered {
                slot.fill(Outcome::Unreadable);
            }
            return Err(MethodError::invalid_request("invalid node.invoke.result params: at /ok: must be boolean"));
        };
        let Some(slot) = answered else { return Ok(Heard { ok: true, ignored: true }) };
        let outcome = match ok {
            true => {
                let as_text = said.payload_json.as_deref().and_then(|json| serde_json::from_str(json.get()).ok());
                let payload = said.payload.or(if as_text.is_none() { said.payload_json } else { None });
                Outcome::Done { payload, payload_json: as_text }
            }
            false => Outcome::Failed(said.error),
        };
        slot.fill(outcome);
        Ok(Heard { ok: true, ignored: false })
    }

    /// The policy first, whatever was declared; then what the node declared and somebody approved, or withheld.
    pub(crate) fn check_allowed_by(
        &self,
        class: Class,
        effective: &Surface,
        declared: &Surface,
        withheld: &[String],
        command: &str,
    ) -> Result<(), MethodError> {
        let is_in = |list: &[String]| list.iter().any(|name| name == command);
        let shown = cut(command);
        let (reason, why) = if !self.policy.admits(class, command) {
            ("command not allowlisted", self.policy.reason(&shown))
        } else if is_in(&effective.commands) {
            return Ok(());
        } else if is_in(withheld) {
            let way = "after `clawhost nodes remove` the node asks for all that it offers anew";
            ("command not declared by node", format!("{shown:?} was withheld by whoever approved the node; {way}"))
        } else if is_in(&declared.commands) {
            ("command not declared by node", format!("{shown:?} waits for approval"))
        } else if declared.commands.is_empty() {
            ("node did not declare commands", "the node offers no commands".to_string())
        } else {
            ("command not declared by node", format!("the node does not offer {shown:?}"))
        };
        let error = MethodError::invalid_request(format!("node command not allowed: {why}"));
        Err(error.with_details(json!({ "reason": reason, "command": shown })))
    }
}

/// A question that was put to a connection.
pub struct Asking {
    pub conn: u64,
    pub slot: Arc<Slot>,
    pub understands_cancel: bool,
}

/// A question that waits. Dropped before its answer is there, it is given up and the node is told.
struct Waiting<'a> {
    node: &'a Node,
    id: &'a str,
    node_id: &'a str,
    conn: u64,
    understands_cancel: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let gave_up = self.node.state().invokes.give_up(self.id);
        if gave_up && self.understands_cancel {
            self.node.cancel(self.conn, self.id, self.node_id);
        }
    }
}

/// The outcome, if it comes in time.
async fn within(host: &Host, left: Duration, slot: &Slot) -> Option<Outcome> {
    let mut end = std::pin::pin!(host.sleep(left));
    std::future::poll_fn(|context| match slot.poll(context) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => end.as_mut().poll(context).map(|()| None),
    })
    .await
}

pub fn not_connected() -> MethodError {
    const MESSAGE: &str = "node not connected";
    MethodError::unavailable(MESSAGE).with_details(json!({
        "code": "NOT_CONNECTED",
        "nodeError": { "code": "NOT_CONNECTED", "message": MESSAGE },
        "nodeCommandDispatched": false,
    }))
}

/// Between two instances neither asks: the answer would come to one that does not know the question.
pub fn reloading() -> MethodError {
    MethodError::unavailable("nodes are being reloaded; ask again in a moment").retryable()
}

/// Who has a share of the open questions: a device, a plugin, or a connection that is neither's.
fn asker(caller: Caller) -> String {
    caller.device_id.or(caller.plugin).or(caller.conn_id).unwrap_or_default()
}

fn too_many() -> MethodError {
    let message = "too many questions to nodes, or of one caller, wait for an answer (plugins.node.config.max_open)";
    MethodError::unavailable(message).with_details(json!({ "limit": "max_open" })).retryable()
}

/// Not to be tried again: the node may have done it.
fn unknown(message: &str) -> MethodError {
    let code = "OUTCOME_UNKNOWN";
    let details = json!({ "code": code, "nodeError": { "code": code, "message": message } });
    MethodError::unavailable(message).with_details(details)
}

pub fn timed_out() -> MethodError {
    const MESSAGE: &str = "node invoke timed out";
    let details = json!({ "nodeError": { "code": "TIMEOUT", "message": MESSAGE } });
    MethodError::unavailable(MESSAGE).with_details(details)
}

fn revoked() -> MethodError {
    const MESSAGE: &str = "node pairing changed while invocation was active";
    MethodError::unavailable(MESSAGE).with_details(json!({ "code": "PAIRING_CHANGED" }))
}

fn failed(error: Option<NodeError>) -> MethodError {
    let error = error.map(clipped);
    let message = error.as_ref().and_then(|error| error.message.clone());
    let message = message.unwrap_or_else(|| "node invoke failed".to_string());
    let failed = MethodError::unavailable(message).with_details(json!({ "nodeError": error }));
    match error.as_ref().and_then(retry_after) {
        Some(pause) => failed.retry_after(pause),
        None => failed,
    }
}

/// What a node said, as far as it is passed on.
pub fn clipped(mut error: NodeError) -> NodeError {
    for text in [&mut error.code, &mut error.message].into_iter().flatten() {
        bounds::clip(text, MAX_MESSAGE);
    }
    error
}

/// When a node that says that it did nothing yet may be asked again.
pub fn retry_after(error: &NodeError) -> Option<Duration> {
    match error.code.as_deref() {
        // It is still starting.
        Some("NODE_NOT_READY") => Some(Duration::from_secs(1)),
        // Its app is in the background, until somebody takes it to the front.
        Some("NODE_BACKGROUND_UNAVAILABLE") => Some(Duration::from_secs(10)),
        _ => None,
    }
}

/// A command as far as it is repeated: none that is longer was ever declared.
pub fn cut(command: &str) -> String {
    let mut command = command.to_string();
    bounds::clip(&mut command, bounds::MAX_NAME);
    command
}
