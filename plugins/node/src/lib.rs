//! Nodes: machines that offer commands. This plugin knows which are connected, has an operator approve what each may be
//! asked, asks them, and hands their answers back.
//!
//! A paired device is let in by the host; what it offers is another question. A node that connects declares a *surface*,
//! and nothing of it can be used before somebody has approved it (`node.pair.*`). The approval belongs to that pairing of
//! the device. What a node may offer at all is bounded by the kind of machine it is, whatever was approved (`policy.rs`).

mod approval;
mod book;
mod call;
mod handoff;
mod invoke;
mod invokes;
mod listing;
mod locked;
mod params;
mod policy;
mod queue;
mod sessions;
mod shown;
mod sleeping;
mod surface;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use plugin_api::abi::extension;
use plugin_api::catalogue::{ConnectionOpened, PairingList, PairingOf};
use plugin_api::{
    AnyParams, Call, CreateError, EventSpec, Exposure, HeardEvent, Host, Manifest, Method, MethodError, Methods,
    Plugin, Reply, Setup, StartError, Subscription,
};
use schemars::JsonSchema;
use schemas::scope::{PAIRING, READ, WRITE};
use serde::Deserialize;
use serde_json::Value;

use approval::{REQUESTED, RESOLVED};
use book::{Book, Devices, Request};
use invoke::{ASK, CANCEL};
use invokes::{Invokes, Outcome};
use locked::Locked;
use params::{Asked, Bins, Cancelled, Heard, Inventory, NodeEvent, Progress, Resolved, Ticket};
use policy::Policy;
use queue::{Queue, Room, Status};
use sessions::{Session, Sessions};
use sleeping::{DONE, Sleeping};

/// Longest report of a machine's load that is kept, in bytes.
const MAX_STATS: usize = 4096;
/// How often the host is asked for its devices when a node has connected, and the pause in between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);
/// How long nodes may still answer before another instance takes over.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// `[plugins.node.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// Commands that nodes may offer beyond those of their kind of machine, such as `camera.snap`.
    pub allow_commands: Vec<String>,
    /// Commands that no node may offer, even if they are allowed above.
    pub deny_commands: Vec<String>,
    /// Most questions to nodes that wait for an answer at once. A quarter of the places is kept from whoever has the others.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_open: usize,
    /// Commands that may wait for a node that is approved and away, with the milliseconds that they may wait: `node.invoke`
    /// with `queue` is not refused then. Those for admins only cannot.
    pub queue_ttl_ms: BTreeMap<String, u64>,
    /// Whether who asks for such a command without saying `queue` waits for the node, too, up to timeoutMs.
    pub queue_unasked: bool,
    /// Most questions that wait for one node that is away, those that are over and not forgotten yet included.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_queued: usize,
    /// Most bytes of questions that are kept for all nodes together. They count against gateway.limits.kv_bytes.
    #[schemars(range(min = 1024))]
    pub max_queued_bytes: usize,
}

impl Default for NodeConfig {
    fn default() -> Self {
        NodeConfig {
            allow_commands: Vec::new(),
            deny_commands: Vec::new(),
            max_open: 4096,
            queue_ttl_ms: BTreeMap::new(),
            queue_unasked: false,
            max_queued: 32,
            max_queued_bytes: 256 * 1024,
        }
    }
}

/// The plugin.
pub struct Node {
    host: Host,
    policy: Policy,
    max_open: usize,
    sleeping: Sleeping,
    state: Mutex<State>,
    subscription: Mutex<Option<Subscription>>,
    /// Nothing is asked any more; what was asked is still answered.
    quiesced: AtomicBool,
    /// What is kept is another instance's.
    handed_over: AtomicBool,
}

/// Under one lock, so that a question is never asked of a connection whose end was told already.
#[derive(Default)]
struct State {
    sessions: Sessions,
    invokes: Invokes,
    book: Book,
    /// Nodes of which an approval is being written.
    deciding: HashSet<String>,
    queue: Queue,
    /// Connections of which it is not asked yet what is approved, and whether somebody is about to ask.
    unsettled: Vec<u64>,
    is_settling: bool,
    /// Who waits until nodes have answered all that they were asked.
    resting: Option<Waker>,
}

impl State {
    /// Whether a node was asked something and has not answered.
    fn is_asking(&self) -> bool {
        self.invokes.len() > 0 || self.queue.items().any(|(_, item)| item.status == Status::Sent)
    }
}

static METHODS: LazyLock<Methods<Node>> = LazyLock::new(|| {
    let pairing = |name| Method::operator(name, &[PAIRING]);
    Methods::new()
        .add(Method::operator("node.list", &[READ]).summary("Nodes, connected ones first."), Node::list)
        .add(Method::operator("node.describe", &[READ]).summary("One node."), Node::describe)
        .add(pairing("node.rename").summary("Gives a node another name.").effects(), Node::rename)
        .add(
            Method::operator("node.invoke", &[WRITE])
                .summary("Has a node do something, and waits for its answer.")
                .description(
                    "The node must be connected, the command offered by nodes of its kind, declared and approved. \
                     browser.proxy, fs.listDir and terminal.upload take operator.admin. Commands that the \
                     configuration lets wait are left for a node that is away if queue says so.",
                )
                .effects()
                .keyed()
                .timeout_ms(0),
            Node::invoke,
        )
        .add(
            Method::operator("node.queue.list", &[WRITE]).summary("Questions that were left for nodes that are away."),
            Node::queue_list,
        )
        .add(
            Method::operator("node.queue.cancel", &[WRITE])
                .summary("Takes a question back before its node hears it.")
                .effects(),
            Node::queue_cancel,
        )
        .add(
            Method::internal("node.call")
                .summary("Has a node do something, on a plugin's account.")
                .effects()
                .timeout_ms(0),
            Node::call_node,
        )
        .add(Method::node("node.invoke.result").summary("A node's answer.").effects(), Node::result)
        .add(Method::node("node.invoke.progress").summary("A part of a node's answer; passed over."), Node::progress)
        .add(Method::node("node.event").summary("Something happened at a node.").effects(), Node::event)
        .add(Method::node("node.runnerInventory.update").summary("What a node can run; not kept."), Node::inventory)
        .add(Method::node("node.skills.update").summary("Skills of a node; not kept."), Node::inventory)
        .add(Method::node("node.pluginTools.update").summary("Tools of a node; not kept."), Node::inventory)
        .add(
            Method::node("node.pluginSurface.refresh")
                .summary("A fresh address of what a plugin shows on nodes; the one before is good for a while.")
                .effects(),
            Node::refresh_surface,
        )
        .add(
            Method::node("node.canvas.capability.refresh")
                .summary("The same for the canvas, as protocol 3 says it.")
                .effects(),
            Node::refresh_canvas,
        )
        .add(Method::node("skills.bins").summary("Programs that skills need: none."), Node::bins)
        .add(pairing("node.pair.list").summary("Surfaces that wait for approval, and approved ones."), Node::pair_list)
        .add(
            pairing("node.pair.approve")
                .summary("Lets what a node declares be used.")
                .description(
                    "Takes operator.write if there are commands, operator.admin for those that run programs. What was \
                     approved before stays. With `commands` only those of them are approved; the node does not ask for \
                     the others again, until what was approved of it is taken back (`node.pair.remove`). With its next \
                     request they are approved only if they are named.",
                )
                .effects()
                .detached(),
            Node::approve,
        )
        .add(pairing("node.pair.reject").summary("Turns a node's request away.").effects().detached(), Node::reject)
        .add(
            pairing("node.pair.remove")
                .summary("Takes back what was approved of a node; its device stays paired.")
                .effects()
                .detached(),
            Node::remove,
        )
});

impl Plugin for Node {
    fn manifest() -> Manifest {
        let to_node = |name| EventSpec { role: Exposure::Node, ..EventSpec::everyone(name).targeted() };
        Manifest::new("node", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Knows the nodes, has what they offer approved, and asks them to do it.")
            .requires(&[extension::EXEC, extension::INVOKE, extension::EVENTS, extension::CALLER, extension::KV])
            .invokes(&["host.pairing.list", "host.pairing.rename", "host.surfaces.renew"])
            .hears(&["host.connection.*"])
            .config::<NodeConfig>()
            .methods(&METHODS)
            .event(to_node(ASK).summary("A node is asked to do something.").payload::<Asked<'static>>())
            .event(to_node(CANCEL).summary("Nobody waits for the answer any more.").payload::<Cancelled<'static>>())
            .event(
                EventSpec::operator(DONE, &[WRITE])
                    .summary("Nothing more will become of a question that was left for a node.")
                    .payload::<Ticket>(),
            )
            .event(
                EventSpec::operator(REQUESTED, &[PAIRING])
                    .summary("A node declares more than was approved.")
                    .payload::<Request>(),
            )
            .event(
                EventSpec { role: Exposure::OperatorAndNode, ..EventSpec::operator(RESOLVED, &[PAIRING]) }
                    .summary("A node's request was decided; a node that was approved is told so too.")
                    .payload::<Resolved<'static>>(),
            )
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: NodeConfig = setup.config()?;
        let policy = Policy::new(config.allow_commands, config.deny_commands);
        let room = Room { per_node: config.max_queued, bytes: config.max_queued_bytes };
        let sleeping = Sleeping { ttl_ms: config.queue_ttl_ms, unasked: config.queue_unasked, room };
        if let Some(fault) = sleeping.fault() {
            return Err(CreateError::new(fault));
        }
        let (state, subscription, quiesced, handed_over) = Default::default();
        Ok(Node { host, policy, max_open: config.max_open, sleeping, state, subscription, quiesced, handed_over })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let book = Book::load(self.host.kv())
            .map_err(|error| StartError::new(format!("what was approved of nodes could not be read: {error}")))?;
        let queue = Queue::load(self.host.kv())
            .map_err(|error| StartError::new(format!("what was left for nodes could not be read: {error}")))?;
        {
            let mut state = self.state();
            (state.book, state.queue) = (book, queue);
        }
        self.wake_up();
        // Weak, or the instance would keep itself alive through its own subscription.
        let listener = Arc::downgrade(&self);
        let subscription = self.host.subscribe("host.connection.*", move |event| {
            if let Some(node) = listener.upgrade() {
                node.heard(&event);
            }
        })?;
        *self.subscription.lock().unwrap_or_else(PoisonError::into_inner) = Some(subscription);
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn quiesce(&self) {
        self.quiesced.store(true, Ordering::Relaxed);
        self.last_answers().await;
        self.handed_over.store(true, Ordering::Relaxed);
        // Out of the lock first: ending the subscription waits for a listener that may be running.
        let subscription = self.subscription.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(subscription);
        self.end_all();
    }
}

plugin_api::plugin!(Node);

impl Node {
    fn state(&self) -> Locked<'_> {
        Locked::new(&self.state)
    }

    /// Whether nothing is asked any more. Looked at under the lock of the state.
    fn has_quiesced(&self) -> bool {
        self.quiesced.load(Ordering::Relaxed)
    }

    /// Whether another instance has taken over what is kept.
    fn has_handed_over(&self) -> bool {
        self.handed_over.load(Ordering::Relaxed)
    }

    /// Waits a moment for what nodes still answer: the host brings answers here until this instance has quiesced.
    async fn last_answers(&self) {
        let mut end = std::pin::pin!(self.host.sleep(LAST_MOMENT));
        std::future::poll_fn(|context| {
            {
                let mut state = self.state();
                if !state.is_asking() {
                    return Poll::Ready(());
                }
                state.resting = Some(context.waker().clone());
            }
            end.as_mut().poll(context)
        })
        .await;
        let waker = self.state().resting.take();
        // Out of the lock, as everywhere.
        drop(waker);
    }

    /// Most connections are nobody's node, so who it is comes first.
    fn heard(self: &Arc<Self>, event: &HeardEvent<'_>) {
        let heard = match &*event.event {
            "host.connection.opened" => event.party().and_then(|party| match &*party.role {
                "node" => event.payload::<ConnectionOpened>().map(|opened| self.opened(opened)),
                _ => Ok(()),
            }),
            "host.connection.closed" => event.party().map(|closed| self.closed(closed.conn)),
            _ => Ok(()),
        };
        if let Err(error) = heard {
            self.host.warn(&format!("{} could not be read: {error}", event.event));
        }
    }

    fn opened(self: &Arc<Self>, opened: ConnectionOpened) {
        let session = Session::of(opened.connection, &self.policy);
        let (conn, has_device) = (session.conn, session.has_device);
        let (wakers, asks) = {
            let mut state = self.state();
            state.sessions.opened(session);
            match has_device {
                true => {
                    state.unsettled.push(conn);
                    (Vec::new(), !std::mem::replace(&mut state.is_settling, true))
                }
                false => (state.sessions.settle(conn), false),
            }
        };
        wakers.into_iter().for_each(|waker| waker.wake());
        if asks {
            let node = self.clone();
            self.host.spawn(async move { node.settle().await });
        }
    }

    fn closed(&self, conn: u64) {
        let (wakers, unanswered) = {
            let mut state = self.state();
            let (_, wakers) = state.sessions.closed(conn);
            (wakers, state.invokes.take_all_of(conn))
        };
        unanswered.iter().for_each(|(_, slot)| slot.fill(Outcome::Disconnected));
        wakers.into_iter().for_each(|waker| waker.wake());
    }

    /// Finds out what is approved of connections. Until then nothing of them can be used. Those that come while the host is
    /// asked are looked at together: after a restart all nodes come at once, and the list is as long as they are many.
    async fn settle(self: Arc<Self>) {
        loop {
            let conns = {
                let mut state = self.state();
                let conns = std::mem::take(&mut state.unsettled);
                state.is_settling = !conns.is_empty();
                conns
            };
            if conns.is_empty() {
                return;
            }
            let asked = PairingOf { device_ids: self.state().sessions.nodes_of(&conns) };
            for tried in 1..=TRIES {
                match self.host.invoke("host.pairing.list", &asked).send::<PairingList>().await {
                    Ok(list) => {
                        let ids = asked.device_ids.iter().cloned().collect();
                        self.reconcile(&conns, &Devices::new(Some(ids), list.paired));
                        break;
                    }
                    Err(error) if tried == TRIES => {
                        self.host.warn(&format!(
                            "nodes stay without their commands, for the host would not list its devices: {error}"
                        ));
                    }
                    Err(_) => self.host.sleep(PAUSE).await,
                }
            }
            let mut wakers = Vec::new();
            {
                let mut state = self.state();
                for conn in conns {
                    wakers.append(&mut state.sessions.settle(conn));
                    if let Some(node_id) = state.sessions.get(conn).map(|session| session.node_id.clone()) {
                        self.deliver(&mut state, &node_id);
                    }
                }
            }
            wakers.into_iter().for_each(|waker| waker.wake());
        }
    }

    /// Waits until it is known what is approved of a node, or of every node.
    async fn settled(&self, node_id: Option<&str>) {
        self.sessions_are(|sessions| sessions.is_settled(node_id)).await;
    }

    /// Waits until the sessions are as wished.
    async fn sessions_are(&self, wished: impl Fn(&Sessions) -> bool) {
        let mut waiter = Waiter { node: self, number: None };
        std::future::poll_fn(|context| {
            let mut state = self.state();
            if wished(&state.sessions) {
                return Poll::Ready(());
            }
            state.sessions.wait(&mut waiter.number, context.waker());
            Poll::Pending
        })
        .await;
    }

    /// Every paired device, whoever asks.
    async fn devices(&self, call: &Call) -> Result<Devices, MethodError> {
        let list: PairingList =
            call.invoke("host.pairing.list", &PairingOf::default()).with_own_grants().send().await?;
        Ok(Devices::new(None, list.paired))
    }

    /// A device, if it is paired, whoever asks. Where there are many, this is much less than all of them.
    async fn device(&self, call: &Call, id: &str) -> Result<Devices, MethodError> {
        let asked = PairingOf { device_ids: vec![id.to_string()] };
        let list: PairingList = call.invoke("host.pairing.list", &asked).with_own_grants().send().await?;
        Ok(Devices::new(Some(HashSet::from([id.to_string()])), list.paired))
    }

    async fn event(self: Arc<Self>, call: Call, said: NodeEvent) -> Result<Heard, MethodError> {
        if said.event == "node.host.stats" {
            let text = said.payload_json.as_deref().or(said.payload.as_deref().map(|payload| payload.get()));
            let stats = text.filter(|text| text.len() <= MAX_STATS).and_then(|text| serde_json::from_str(text).ok());
            let mut state = self.state();
            if let (Some(stats @ Value::Object(_)), Some(conn)) = (stats, call.conn())
                && let Some(session) = state.sessions.get_mut(conn)
            {
                session.host_stats = Some(stats);
            }
        }
        Ok(Heard { ok: true, ignored: false })
    }

    async fn progress(self: Arc<Self>, call: Call, said: Progress) -> Result<Heard, MethodError> {
        self.is_of_caller(&call, &said.node_id)?;
        Ok(Heard { ok: true, ignored: true })
    }

    async fn inventory(self: Arc<Self>, call: Call, _: AnyParams) -> Result<Inventory, MethodError> {
        let node_id = call.conn().and_then(|conn| Some(self.state().sessions.get(conn)?.node_id.clone()));
        let node_id = node_id.ok_or_else(|| MethodError::unavailable("node not connected"))?;
        let none = |method| (call.method() == method).then(Vec::new);
        Ok(Inventory { node_id, skills: none("node.skills.update"), tools: none("node.pluginTools.update") })
    }

    async fn bins(self: Arc<Self>, _: Call, _: AnyParams) -> Result<Bins, MethodError> {
        Ok(Bins { bins: Vec::new() })
    }

    /// Checks that a node speaks for itself; its connection.
    fn is_of_caller(&self, call: &Call, node_id: &str) -> Result<u64, MethodError> {
        let state = self.state();
        let session = call.conn().and_then(|conn| state.sessions.get(conn));
        let session = session.filter(|session| session.node_id == node_id);
        session.map(|session| session.conn).ok_or_else(|| MethodError::invalid_request("nodeId mismatch"))
    }
}

/// Somebody who waits for a change of the sessions, and is forgotten when it gives up.
struct Waiter<'a> {
    node: &'a Node,
    number: Option<u64>,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = self.node.state().sessions.waited(number);
            // Out of the lock: with it may go what it wakes.
            drop(waker);
        }
    }
}

#[cfg(test)]
mod sleeping_tests;
#[cfg(test)]
mod tests;
