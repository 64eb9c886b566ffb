//! Nodes that are away: what is asked of them waits, if the configuration lets the command wait and whoever asks wants it.
//!
//! Who waits for the answer waits in memory, and nothing of the question is left when the wait is over. Who takes a ticket
//! leaves a record behind (`queue.rs`); when the node is back it is asked once, in the order in which the questions were
//! left, and `node.queue.done` tells operators what came of it.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use plugin_api::{Batch, Call, HostError, MethodError, WriteError};
use serde_json::json;

use crate::handoff::Handoff;
use crate::invoke::{self, Asking};
use crate::invokes::Outcome;
use crate::params::{Invoke, NodeError, QueueList, QueueOf, Queueing, Ticket, TicketName};
use crate::policy::{Class, is_for_admins};
use crate::queue::{Item, Room, Status};
use crate::surface::About;
use crate::{Node, State};

/// Something became of a question that was left.
pub const DONE: &str = "node.queue.done";

/// Longest text of what came of a question that is kept with it, in bytes.
const MAX_KEPT: usize = 4096;
/// The longest that a question may be left for a node.
pub const MAX_TTL_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// What the configuration says of questions to nodes that are away.
pub struct Sleeping {
    /// How long commands may wait.
    pub ttl_ms: std::collections::BTreeMap<String, u64>,
    /// Who says nothing waits.
    pub unasked: bool,
    pub room: Room,
}

impl Sleeping {
    /// What is wrong with it.
    pub fn fault(&self) -> Option<String> {
        self.ttl_ms.iter().find_map(|(command, ttl_ms)| {
            let key = format!("queue_ttl_ms.{command:?}");
            if is_for_admins(command) {
                Some(format!("{key}: commands for admins only are not left for later"))
            } else if !(1..=MAX_TTL_MS).contains(ttl_ms) {
                Some(format!("{key}: between 1 and {MAX_TTL_MS} is needed"))
            } else {
                None
            }
        })
    }
}

impl Node {
    /// A question to a node that may be away: its ticket, or nothing when the node is there and can be asked.
    pub(crate) async fn absent(
        self: &Arc<Self>,
        call: &Call,
        params: &Invoke,
        deadline: Instant,
    ) -> Result<Option<Ticket>, MethodError> {
        let (node_id, command) = (params.node_id.trim(), params.command.trim());
        let wish = params.queue.or(self.sleeping.unasked.then_some(Queueing::Wait));
        let (Some(wish), Some(ttl_ms)) = (wish, self.sleeping.ttl_ms.get(command)) else { return Ok(None) };
        if self.state().sessions.of_node(node_id).is_some() {
            return Ok(None);
        }
        // A device that was removed meanwhile is no node any more.
        let devices = self.device(call, node_id).await?;
        match wish {
            Queueing::Wait => {
                {
                    let mut state = self.state();
                    self.prune(&mut state, &devices);
                    self.may_wait(&state, node_id, command)?;
                    if !state.queue.wait(node_id, self.sleeping.room) {
                        return Err(full("max_queued"));
                    }
                }
                let _place = Place { node: self, node_id };
                match self.comes(node_id, deadline.saturating_duration_since(Instant::now())).await {
                    true => Ok(None),
                    false => Err(invoke::timed_out()),
                }
            }
            Queueing::Ticket => {
                let (ticket, number, written) = {
                    let mut state = self.state();
                    self.prune(&mut state, &devices);
                    if state.sessions.of_node(node_id).is_some() {
                        return Ok(None);
                    }
                    self.may_wait(&state, node_id, command)?;
                    let params_json = params.params.as_deref().map(|params| params.get().to_string());
                    if let Some(known) = known(&state, node_id, command, &params.idempotency_key) {
                        return match known.params_json == params_json {
                            true => Ok(Some(known.row())),
                            false => Err(MethodError::invalid_request("idempotencyKey belongs to another question")),
                        };
                    }
                    let now = schemas::now_ms();
                    let item = Item {
                        ticket: uuid::Uuid::new_v4().to_string(),
                        node_id: node_id.to_string(),
                        command: command.to_string(),
                        params_json,
                        timeout_ms: params.timeout_ms.unwrap_or(invoke::DEFAULT_TIMEOUT_MS).min(invoke::MAX_TIMEOUT_MS),
                        idempotency_key: params.idempotency_key.clone(),
                        ttl_ms: *ttl_ms,
                        queued_at_ms: now,
                        expires_at_ms: now.saturating_add(*ttl_ms),
                        status: Status::Queued,
                        payload_json: None,
                        error: None,
                        not_on: None,
                    };
                    let ticket = item.row();
                    let left = state.queue.leave(item, self.sleeping.room, self.host.kv().batch()).map_err(full)?;
                    (ticket, left.0, left.1.write())
                };
                // On disk before anybody is told that it is kept.
                if let Err(error) = written.await {
                    let written = self.state().queue.forget(number, self.host.kv().batch()).write();
                    drop(written);
                    return Err(error.into());
                }
                self.expires(number, Duration::from_millis(*ttl_ms));
                Ok(Some(ticket))
            }
        }
    }

    /// Whether a question may be left for a node that is not there.
    fn may_wait(&self, state: &State, node_id: &str, command: &str) -> Result<(), MethodError> {
        if self.has_quiesced() {
            return Err(invoke::not_connected().retryable());
        }
        let approved = state.book.approved.get(node_id).ok_or_else(invoke::not_connected)?;
        let About { platform, device_family, .. } = &approved.about;
        let class = Class::of(platform.as_deref(), device_family.as_deref());
        self.check_allowed_by(class, &approved.surface, &approved.surface, &approved.withheld, command)
    }

    /// Waits until a node is there; false when the time is up before.
    async fn comes(&self, node_id: &str, left: Duration) -> bool {
        let mut here = std::pin::pin!(self.sessions_are(|sessions| sessions.is_here(node_id)));
        let mut end = std::pin::pin!(self.host.sleep(left));
        std::future::poll_fn(|context| match here.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending => end.as_mut().poll(context).map(|()| false),
        })
        .await
    }

    /// Takes over what was left before the start. What was being sent then has an outcome that nobody knows.
    pub(crate) fn wake_up(self: &Arc<Self>) {
        let now = schemas::now_ms();
        let mut state = self.state();
        let mut interrupted = Vec::new();
        for (number, item) in state.queue.items() {
            match item.status {
                Status::Queued => self.expires(number, Duration::from_millis(item.expires_at_ms.saturating_sub(now))),
                Status::Sent => interrupted.push(number),
                _ => {}
            }
        }
        for number in interrupted {
            self.end(&mut state, number, Status::Unknown, None, Some(unknown_outcome()));
        }
    }

    /// Gives a question up when its time is up.
    fn expires(self: &Arc<Self>, number: u64, left: Duration) {
        let (node, end) = (Arc::downgrade(self), self.host.sleep(left));
        self.host.spawn(async move {
            end.await;
            if let Some(node) = node.upgrade() {
                let mut state = node.state();
                if state.queue.get(number).is_some_and(|item| item.status == Status::Queued) {
                    let error = error("EXPIRED", "the node did not come in time");
                    node.end(&mut state, number, Status::Expired, None, Some(error));
                }
            }
        });
    }

    /// Asks a node that is there what was left for it.
    pub(crate) fn deliver(self: &Arc<Self>, state: &mut State, node_id: &str) {
        let waits = |item: &Item| item.status == Status::Queued && item.node_id == node_id;
        if state.queue.items().any(|(_, item)| waits(item)) && state.queue.delivering.insert(node_id.to_string()) {
            let (node, node_id) = (self.clone(), node_id.to_string());
            self.host.spawn(async move { node.deliver_all(&node_id).await });
        }
    }

    async fn deliver_all(self: &Arc<Self>, node_id: &str) {
        loop {
            let (number, written) = {
                let state = &mut *self.state();
                let conn = state.sessions.of_node(node_id).map(|session| session.conn).filter(|_| !self.has_quiesced());
                let Some(number) = conn.and_then(|conn| state.queue.first_for(node_id, conn)) else {
                    state.queue.delivering.remove(node_id);
                    return;
                };
                let batch = state.queue.change(number, self.host.kv().batch(), |item| item.status = Status::Sent);
                (number, batch.write())
            };
            // On disk before it is sent: it is never sent again, whatever happens from here on.
            if let Err(error) = written.await {
                self.host.warn(&format!("what was left for node {node_id} waits on, for it was not written: {error}"));
                let mut state = self.state();
                self.put_back(&mut state, number, None);
                state.queue.delivering.remove(node_id);
                return;
            }
            self.hand_over(number, node_id);
        }
    }

    /// Sends a question that is marked as sent, or puts it back if there is nobody to send it to.
    fn hand_over(self: &Arc<Self>, number: u64, node_id: &str) {
        let id = uuid::Uuid::new_v4().to_string();
        let (asking, item) = {
            let state = &mut *self.state();
            let Some(item) = state.queue.get(number).filter(|item| item.status == Status::Sent).cloned() else {
                return;
            };
            let Some(session) = state.sessions.of_node(node_id).filter(|_| !self.has_quiesced()) else {
                return self.put_back(state, number, None);
            };
            let (effective, declared, withheld) = (&session.effective, &session.declared, state.book.withheld(node_id));
            let allowed = self.check_allowed_by(session.class, effective, declared, withheld, &item.command);
            if let Err(refused) = allowed {
                let error = error("NOT_ALLOWED", &refused.shape().message);
                return self.end(state, number, Status::Failed, None, Some(error));
            }
            let (conn, understands_cancel) = (session.conn, session.protocol >= 4);
            (Asking { conn, slot: state.invokes.ask(&id, conn, None), understands_cancel }, item)
        };
        let conn = asking.conn;
        if let Err(error) = self.send(&id, &asking, &item, Duration::from_millis(item.timeout_ms)) {
            self.host.info(&format!("what was left for node {node_id} waits on, for it has gone again: {error}"));
            let mut state = self.state();
            state.invokes.give_up(&id);
            return self.put_back(&mut state, number, Some(conn));
        }
        let (node, left) = (self.clone(), Duration::from_millis(item.timeout_ms));
        self.host.spawn(async move { node.conclude(number, &id, asking, left, &item.node_id).await });
    }

    fn send(&self, id: &str, asking: &Asking, item: &Item, left: Duration) -> Result<(), HostError> {
        let asked = crate::params::Asked {
            id,
            node_id: &item.node_id,
            command: &item.command,
            params_json: item.params_json.as_deref(),
            timeout_ms: left.as_millis() as u64,
            idempotency_key: &item.idempotency_key,
        };
        self.host.event(invoke::ASK).send_to(&[asking.conn], &asked)
    }

    /// Waits for what comes of a question that was sent.
    async fn conclude(self: Arc<Self>, number: u64, id: &str, asking: Asking, left: Duration, node_id: &str) {
        let conn = asking.conn;
        let outcome = self.answer_of(id, node_id, asking, left).await;
        let mut state = self.state();
        match outcome {
            Some(Outcome::Done { payload, payload_json }) => {
                let payload = payload_json.or(payload.map(|payload| payload.get().to_string()));
                self.end(&mut state, number, Status::Done, payload, None);
            }
            // It says itself that it did nothing, so it may be asked again when it is back.
            Some(Outcome::Failed(Some(error))) if invoke::retry_after(&error).is_some() => {
                self.put_back(&mut state, number, Some(conn));
            }
            Some(Outcome::Failed(failed)) => {
                let failed = failed.map(invoke::clipped).unwrap_or_default();
                self.end(&mut state, number, Status::Failed, None, Some(failed));
            }
            Some(Outcome::Unreadable | Outcome::Disconnected | Outcome::Revoked) => {
                self.end(&mut state, number, Status::Unknown, None, Some(unknown_outcome()));
            }
            // The instance that takes over says so.
            Some(Outcome::Stopped) => {}
            None => {
                let error = error("TIMEOUT", "node invoke timed out");
                self.end(&mut state, number, Status::Unknown, None, Some(error));
            }
        }
    }

    /// It was not sent, or its node was not ready for it on that connection.
    fn put_back(&self, state: &mut State, number: u64, not_on: Option<u64>) {
        if self.has_handed_over() {
            return;
        }
        let is_late = state.queue.get(number).is_some_and(|item| item.expires_at_ms <= schemas::now_ms());
        if is_late {
            let error = error("EXPIRED", "the node did not come in time");
            return self.end(state, number, Status::Expired, None, Some(error));
        }
        let batch = state.queue.change(number, self.host.kv().batch(), |item| {
            (item.status, item.not_on) = (Status::Queued, not_on.or(item.not_on));
        });
        self.write(batch);
    }

    /// Nothing more will become of a question. What came of it is kept for as long again as it could have waited.
    fn end(&self, state: &mut State, number: u64, status: Status, payload: Option<String>, error: Option<NodeError>) {
        // The next instance has taken the records over, and said that it does not know.
        if self.has_handed_over() {
            return;
        }
        let has_room = payload.as_ref().is_none_or(|payload| payload.len() <= MAX_KEPT);
        let kept = payload.clone().filter(|_| has_room);
        self.write(self.closed_as(state, number, status, kept, error));
        if let Some(item) = state.queue.get(number) {
            let mut row = item.row();
            row.payload = payload.as_deref().and_then(crate::invokes::parsed);
            self.tell(DONE, None, &row);
        }
    }

    fn closed_as(
        &self,
        state: &mut State,
        number: u64,
        status: Status,
        payload: Option<String>,
        error: Option<NodeError>,
    ) -> Batch {
        state.queue.change(number, self.host.kv().batch(), |item| {
            (item.status, item.payload_json, item.error) = (status, payload, error);
            item.params_json = None;
            item.expires_at_ms = schemas::now_ms().saturating_add(item.ttl_ms);
        })
    }

    /// Empties the queues of nodes of which nothing is approved any more.
    pub(crate) fn drop_unapproved(&self, state: &mut State) {
        let lost = |item: &Item| item.status == Status::Queued && !state.book.approved.contains_key(&item.node_id);
        let lost: Vec<u64> = state.queue.items().filter(|(_, item)| lost(item)).map(|(number, _)| number).collect();
        for number in lost {
            let error = error("APPROVAL_REVOKED", "what was approved of the node was taken back");
            self.end(state, number, Status::Cancelled, None, Some(error));
        }
    }

    pub(crate) async fn queue_list(self: Arc<Self>, call: Call, asked: QueueOf) -> Result<QueueList, MethodError> {
        let devices = self.devices(&call).await?;
        let (node_id, now) = (asked.node_id.as_deref().map(str::trim), schemas::now_ms());
        let mut state = self.state();
        self.prune(&mut state, &devices);
        let forgotten = |item: &Item| item.status.is_over() && item.expires_at_ms <= now;
        let old: Vec<u64> = state.queue.items().filter(|(_, item)| forgotten(item)).map(|(number, _)| number).collect();
        if !old.is_empty() {
            let batch = self.host.kv().batch();
            self.write(old.into_iter().fold(batch, |batch, number| state.queue.forget(number, batch)));
        }
        let rows = state.queue.items().filter(|(_, item)| node_id.is_none_or(|node_id| item.node_id == node_id));
        let queued = rows.map(|(_, item)| item.row()).collect();
        Ok(QueueList { ts: now, queued, waiting: state.queue.waiting(node_id), open: state.invokes.len() })
    }

    pub(crate) async fn queue_cancel(self: Arc<Self>, _: Call, asked: TicketName) -> Result<Ticket, MethodError> {
        let (number, before, row, written) = {
            let mut state = self.state();
            if self.has_handed_over() {
                return Err(invoke::reloading());
            }
            let found = state.queue.items().find(|(_, item)| item.ticket == asked.ticket);
            let (number, before) = found.map(|(number, item)| (number, item.clone())).ok_or_else(unknown_ticket)?;
            if before.status != Status::Queued {
                let details = json!({ "status": before.status });
                return Err(MethodError::invalid_request("the question does not wait any more").with_details(details));
            }
            let error = error("CANCELLED", "an operator took the question back");
            let batch = self.closed_as(&mut state, number, Status::Cancelled, None, Some(error));
            let row = state.queue.get(number).map(Item::row).ok_or_else(unknown_ticket)?;
            (number, before, row, batch.write())
        };
        // Told when it is on disk, or put back, whether or not whoever asked is still there to hear it.
        let outcome = Handoff::new();
        let (node, theirs) = (self.clone(), outcome.clone());
        self.host.spawn(async move {
            let written = written.await;
            theirs.leave(node.cancelled(number, before, row, written));
        });
        outcome.taken().await
    }

    /// That a question was taken back is on disk, or could not be written: then it waits on.
    fn cancelled(
        self: &Arc<Self>,
        number: u64,
        before: Item,
        row: Ticket,
        written: Result<(), WriteError>,
    ) -> Result<Ticket, MethodError> {
        let Err(error) = written else {
            self.tell(DONE, None, &row);
            return Ok(row);
        };
        let mut state = self.state();
        let node_id = before.node_id.clone();
        drop(state.queue.change(number, self.host.kv().batch(), |item| *item = before));
        self.put_back(&mut state, number, None);
        self.deliver(&mut state, &node_id);
        Err(error.into())
    }
}

/// A caller who waits for a node.
struct Place<'a> {
    node: &'a Node,
    node_id: &'a str,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.node.state().queue.waited(self.node_id);
    }
}

/// The same question, asked before.
fn known<'a>(state: &'a State, node_id: &str, command: &str, idempotency_key: &str) -> Option<&'a Item> {
    let same =
        |item: &&Item| item.node_id == node_id && item.command == command && item.idempotency_key == idempotency_key;
    state.queue.items().map(|(_, item)| item).find(same)
}

fn unknown_ticket() -> MethodError {
    MethodError::invalid_request("unknown ticket")
}

fn full(limit: &'static str) -> MethodError {
    let message = format!("too much waits for nodes that are away (plugins.node.config.{limit})");
    MethodError::unavailable(message).with_details(json!({ "limit": limit })).retryable()
}

fn error(code: &str, message: &str) -> NodeError {
    NodeError { code: Some(code.to_string()), message: Some(message.to_string()) }
}

fn unknown_outcome() -> NodeError {
    error("OUTCOME_UNKNOWN", "the node was asked, and nobody knows what came of it")
}
