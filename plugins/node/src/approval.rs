//! `node.pair.*`: who decides what of a node may be used.

use std::sync::Arc;

use plugin_api::catalogue::PairedDevice;
use plugin_api::{Batch, Call, HostError, MethodError, NoParams, WriteError};
use schemas::scope;
use serde::Serialize;

use crate::book::{Approved, Devices, Reconciled, Request, Waiting};
use crate::handoff::Handoff;
use crate::invoke::cut;
use crate::listing;
use crate::params::{Approve, ApprovedNode, NodeId, PairList, RejectedNode, RemovedNode, RequestId, Resolved};
use crate::surface::Surface;
use crate::{Node, State};

/// A node declares more than was approved.
pub const REQUESTED: &str = "node.pair.requested";
/// A node's request was decided.
pub const RESOLVED: &str = "node.pair.resolved";

impl Node {
    pub(crate) async fn pair_list(self: Arc<Self>, call: Call, _: NoParams) -> Result<PairList, MethodError> {
        let devices = self.devices(&call).await?;
        self.settled(None).await;
        let mut state = self.state();
        self.prune(&mut state, &devices);
        let mut pending: Vec<_> = state.book.pending.values().map(|waiting| waiting.request.clone()).collect();
        pending.sort_by(|a, b| (b.ts, &a.node_id).cmp(&(a.ts, &b.node_id)));
        let approved = state.book.approved.iter();
        let mut approved: Vec<_> =
            approved.map(|(id, known)| listing::paired_node(id, known, devices.get(id))).collect();
        approved.sort_by(|a, b| (b.approved_at_ms, &a.node_id).cmp(&(a.approved_at_ms, &b.node_id)));
        Ok(PairList { pending, paired: approved })
    }

    pub(crate) async fn approve(self: Arc<Self>, call: Call, asked: Approve) -> Result<ApprovedNode, MethodError> {
        let caller = call.caller()?;
        let asking = self.state().book.request(&asked.request_id).map(|waiting| waiting.request.node_id.clone());
        let devices = self.device(&call, &asking.ok_or_else(unknown_request)?).await?;
        let (waiting, approved, written) = {
            let mut state = self.state();
            self.prune(&mut state, &devices);
            let waiting = state.book.request(&asked.request_id).cloned().ok_or_else(unknown_request)?;
            let node_id = waiting.request.node_id.clone();
            let known = state.book.approved.get(&node_id);
            let Decision { required, surface, withheld } = decided(known, &waiting.request, asked.commands.as_deref())?;
            let lacks = |needed: &&String| !scope::any_satisfies(&caller.scopes, needed);
            if let Some(missing) = required.iter().find(lacks).filter(|_| caller.role != "plugin") {
                return Err(MethodError::missing_scope(missing));
            }
            let now = schemas::now_ms();
            let approved = Approved {
                pairing: waiting.pairing.clone(),
                about: waiting.request.about.clone(),
                surface,
                withheld,
                created_at_ms: known.map_or(now, |known| known.created_at_ms),
                approved_at_ms: now,
            };
            if !state.deciding.insert(node_id.clone()) {
                return Err(is_being_decided());
            }
            let (_, batch) = state.book.decide(&node_id, self.host.kv().batch());
            let batch = state.book.write_approval(&node_id, &approved, batch);
            (waiting, approved, batch.write())
        };
        // What is being written is decided, whether or not whoever asked is still there to hear it.
        let outcome = Handoff::new();
        let (node, theirs) = (self.clone(), outcome.clone());
        self.host.spawn(async move {
            let written = written.await;
            theirs.leave(node.entered(waiting, approved, &devices, written));
        });
        outcome.taken().await
    }

    /// An approval is on disk, or could not be written.
    fn entered(
        self: &Arc<Self>,
        waiting: Waiting,
        approved: Approved,
        devices: &Devices,
        written: Result<(), WriteError>,
    ) -> Result<ApprovedNode, MethodError> {
        let (node_id, request_id) = (waiting.request.node_id.clone(), waiting.request.request_id.clone());
        let mut state = self.state();
        state.deciding.remove(&node_id);
        if let Err(error) = written {
            state.book.pending.entry(node_id).or_insert(waiting);
            return Err(error.into());
        }
        let device = devices.get(&node_id);
        let node = listing::paired_node(&node_id, &approved, device);
        state.book.approved.insert(node_id.clone(), approved);
        self.resolved(&state, &request_id, &node_id, "approved");
        self.apply(&mut state, &node_id, device);
        self.deliver(&mut state, &node_id);
        drop(state);
        self.host.info(&format!("what node {node_id} offers was approved"));
        Ok(ApprovedNode { request_id, node })
    }

    pub(crate) async fn reject(self: Arc<Self>, _: Call, asked: RequestId) -> Result<RejectedNode, MethodError> {
        let (node_id, written) = {
            let mut state = self.state();
            let known = state.book.request(&asked.request_id).map(|waiting| waiting.request.node_id.clone());
            let node_id = known.ok_or_else(unknown_request)?;
            let (_, batch) = state.book.decide(&node_id, self.host.kv().batch());
            self.resolved(&state, &asked.request_id, &node_id, "rejected");
            (node_id, batch.write())
        };
        written.await?;
        Ok(RejectedNode { request_id: asked.request_id, node_id })
    }

    pub(crate) async fn remove(
        self: Arc<Self>,
        call: Call,
        NodeId { node_id }: NodeId,
    ) -> Result<RemovedNode, MethodError> {
        let devices = self.device(&call, &node_id).await?;
        let device = devices.get(&node_id).filter(|device| listing::is_node(device));
        let written = {
            let mut state = self.state();
            if state.deciding.contains(&node_id) {
                return Err(is_being_decided());
            }
            let (approved, batch) = state.book.forget(&node_id, self.host.kv().batch());
            let (waiting, batch) = state.book.decide(&node_id, batch);
            if approved.is_none() && waiting.is_none() && device.is_none() {
                return Err(MethodError::invalid_request("unknown nodeId"));
            }
            if let Some(waiting) = waiting {
                self.resolved(&state, &waiting.request.request_id, &node_id, "rejected");
            }
            let written = batch.write();
            self.end_all_of(&mut state, &node_id);
            self.drop_unapproved(&mut state);
            // While it is connected it asks anew at once.
            self.apply(&mut state, &node_id, device);
            written
        };
        written.await?;
        self.host.info(&format!("what was approved of node {node_id} was taken back"));
        Ok(RemovedNode { node_id })
    }

    /// Holds what connections declare against what is approved.
    pub(crate) fn reconcile(&self, conns: &[u64], devices: &Devices) {
        let mut state = self.state();
        self.prune(&mut state, devices);
        for conn in conns {
            let device = state.sessions.get(*conn).and_then(|session| devices.get(&session.node_id));
            self.apply_to(&mut state, *conn, device);
        }
    }

    /// The same for every connection of a node; the one that is asked comes last, so that its wish stands.
    fn apply(&self, state: &mut State, node_id: &str, device: Option<&PairedDevice>) {
        let current = state.sessions.of_node(node_id).map(|session| session.conn);
        let mut conns = state.sessions.all_of(node_id);
        conns.sort_by_key(|conn| Some(*conn) == current);
        for conn in conns {
            self.apply_to(state, conn, device);
        }
    }

    fn apply_to(&self, state: &mut State, conn: u64, device: Option<&PairedDevice>) {
        let State { sessions, book, .. } = state;
        let Some(session) = sessions.get_mut(conn) else { return };
        let Some(device) = device.filter(|_| session.has_device) else {
            session.effective = Default::default();
            return;
        };
        let batch = self.host.kv().batch();
        let (done, batch) = book.reconcile(device, &session.about, &session.declared, batch);
        let Reconciled { effective, requested, dropped } = done;
        session.effective = effective;
        if requested.is_some() || dropped.is_some() {
            self.write(batch);
        }
        if let Some(dropped) = dropped {
            self.resolved(state, &dropped.request_id, &dropped.node_id, "rejected");
        }
        if let Some(requested) = requested {
            self.tell(REQUESTED, None, &requested);
        }
    }

    /// Forgets what is of devices that are not paired any more.
    pub(crate) fn prune(&self, state: &mut State, devices: &Devices) {
        let (changed, batch) = state.book.prune(devices, self.host.kv().batch());
        if changed {
            self.write(batch);
            self.drop_unapproved(state);
        }
    }

    /// Writes what nobody waits for: it is made again if it is lost.
    pub(crate) fn write(&self, batch: Batch) {
        let (written, host) = (batch.write(), self.host.clone());
        self.host.spawn(async move {
            if let Err(error) = written.await {
                host.warn(&format!("what waits was not written: {error}"));
            }
        });
    }

    fn resolved(&self, state: &State, request_id: &str, node_id: &str, decision: &str) {
        let resolved = Resolved { request_id, node_id, decision, ts: schemas::now_ms() };
        self.tell(RESOLVED, None, &resolved);
        // A node that was approved publishes its inventory anew.
        if let Some(session) = state.sessions.of_node(node_id).filter(|_| decision == "approved") {
            self.tell(RESOLVED, Some(session.conn), &resolved);
        }
    }

    pub(crate) fn tell<T: Serialize>(&self, event: &str, conn: Option<u64>, payload: &T) {
        let emit = self.host.event(event).droppable();
        let sent = match conn {
            Some(conn) => emit.send_to(&[conn], payload),
            None => emit.send(payload),
        };
        match sent {
            // Nobody is there to hear it, or the instance is being stopped.
            Ok(()) | Err(HostError::Gone) => {}
            Err(error) => self.host.warn(&format!("{event} was not sent: {error}")),
        }
    }
}

/// What becomes of a node's approval by one of its requests.
#[derive(Debug)]
struct Decision {
    /// Scopes that it takes.
    required: Vec<String>,
    /// All that is approved from then on.
    surface: Surface,
    /// All that is withheld from then on.
    withheld: Vec<String>,
}

/// Adds to what is known of a node what is approved of its request: these of its commands, or all of them. What was approved
/// stays, and what was withheld as well unless it is named. Of that a request asks for nothing now, but one that an earlier
/// version kept may.
fn decided(known: Option<&Approved>, request: &Request, commands: Option<&[String]>) -> Result<Decision, MethodError> {
    let before = known.map(|known| known.surface.clone()).unwrap_or_default();
    let withheld = known.map(|known| known.withheld.as_slice()).unwrap_or_default();
    let asked = &request.surface.commands;
    let may_be_named = |command: &String| {
        [asked, &request.withheld_commands, &before.commands].into_iter().any(|list| list.contains(command))
    };
    let mut chosen: Vec<String> = match commands {
        None => asked.iter().filter(|command| !withheld.contains(command)).cloned().collect(),
        Some(named) => match named.iter().find(|command| !may_be_named(command)) {
            Some(other) => {
                let (other, asks) = (cut(other), asked.join(", "));
                let message = format!("the node does not ask for {other:?}; it asks for {asks}");
                return Err(MethodError::invalid_request(message));
            }
            None => named.to_vec(),
        },
    };
    chosen.retain(|command| !before.commands.contains(command));
    let added = Surface { commands: chosen, ..request.surface.clone() };
    let surface = before.join(&added);
    let mut withheld = scope::normalized(&[withheld, asked.as_slice()].concat());
    withheld.retain(|command| !surface.commands.contains(command));
    Ok(Decision { required: added.required_scopes(), surface, withheld })
}

/// Of two decisions the second builds on what the first came to.
fn is_being_decided() -> MethodError {
    MethodError::unavailable("what the node may do is being decided; ask again").retryable()
}

fn unknown_request() -> MethodError {
    MethodError::invalid_request("unknown requestId")
}
