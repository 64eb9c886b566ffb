//! Events on their way out. A payload is serialised once and a broadcast's frame is written once: per connection only
//! `,"seq":N` differs. `broadcasts.rs` brings it to the outboxes. Who may see an event was settled when it was registered.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use plugin_api::abi::*;
use plugin_api::hosting::EmittedEvent;
use schemas::frame::write;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::broadcasts::{Broadcast, Deliver};
use crate::connections::{Connection, Connections};
use crate::gateway::Gateway;
use crate::grants;
use crate::mailbox::Mailbox;
use crate::plugin::{Origin, RunningPlugin};
use crate::registry::EventEntry;

/// The event of a connection that was accepted.
const OPENED: &str = "host.connection.opened";

/// About as many hear one event of the host's.
const SOME: usize = 16;

/// Plugins that hear events.
#[derive(Default)]
pub struct Subscriptions {
    list: RwLock<Vec<Subscription>>,
}

struct Subscription {
    number: u64,
    /// The number of the instance.
    plugin: u64,
    pattern: Box<str>,
    mailbox: Arc<Mailbox>,
}

impl Subscriptions {
    /// Adds one. Whoever hears of connections hears of those that are open already.
    pub fn add(&self, open: &Connections, number: u64, plugin: u64, pattern: &str, mailbox: Arc<Mailbox>) {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        if grants::matches(pattern, OPENED) {
            for connection in open.list().iter().filter(|connection| connection.is_announced()) {
                let payload = connection.opened(true);
                mailbox.send(GWP_SINK_EVENT, heard(OPENED, &payload, None).into());
            }
        }
        // Those that ended while they heard, and were asked for no more.
        list.retain(|known| known.plugin != plugin || !known.mailbox.is_over());
        list.push(Subscription { number, plugin, pattern: pattern.into(), mailbox });
    }

    /// Ends one of a plugin's. `GWP_BUSY` while its sink is running, however often it is asked; then the sink runs no more.
    pub fn remove(&self, number: u64, plugin: u64) -> i32 {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        match list.iter().position(|known| known.number == number && known.plugin == plugin) {
            Some(place) => {
                let code = list[place].mailbox.close();
                if code != GWP_BUSY {
                    list.swap_remove(place);
                }
                code
            }
            None => GWP_GONE,
        }
    }

    /// Ends all of an instance's.
    pub fn remove_all(&self, plugin: u64) {
        self.list.write().unwrap_or_else(PoisonError::into_inner).retain(|known| {
            let keep = known.plugin != plugin;
            if !keep {
                known.mailbox.close();
            }
            keep
        });
    }

    /// Tells everyone who hears this event.
    fn tell(&self, name: &str, payload: &[u8], conns: Option<&[u64]>, mut tell: impl FnMut(&Arc<Mailbox>, Arc<[u8]>)) {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        Self::tell_each(&list, name, payload, conns, &mut tell);
    }

    fn tell_each(
        list: &[Subscription],
        name: &str,
        payload: &[u8],
        conns: Option<&[u64]>,
        tell: &mut impl FnMut(&Arc<Mailbox>, Arc<[u8]>),
    ) {
        let mut json: Option<Arc<[u8]>> = None;
        for subscription in list.iter().filter(|known| grants::matches(&known.pattern, name)) {
            let json = json.get_or_insert_with(|| heard(name, payload, conns).into());
            tell(&subscription.mailbox, json.clone());
        }
    }
}

/// `{"event","payload","conns"?}`
fn heard(name: &str, payload: &[u8], conns: Option<&[u64]>) -> Vec<u8> {
    let mut json = Vec::with_capacity(payload.len() + name.len() + 48);
    json.extend_from_slice(b"{\"event\":");
    write::string(&mut json, name);
    json.extend_from_slice(b",\"payload\":");
    json.extend_from_slice(if payload.is_empty() { b"null" } else { payload });
    if let Some(conns) = conns {
        json.extend_from_slice(b",\"conns\":[");
        for (place, conn) in conns.iter().enumerate() {
            if place > 0 {
                json.push(b',');
            }
            write::integer(&mut json, *conn);
        }
        json.push(b']');
    }
    json.push(b'}');
    json
}

/// Publishes an event of a plugin.
pub fn emit(gateway: &Arc<Gateway>, plugin: &RunningPlugin, event: EmittedEvent<'_>) -> i32 {
    let registry = gateway.registry.load();
    let Some(entry) = registry.event(event.name).filter(|entry| entry.owner.as_deref() == Some(&*plugin.id)) else {
        tracing::warn!(plugin = &*plugin.id, event = event.name, "an event that the manifest does not declare");
        return GWP_INVALID;
    };
    if event.payload.len() > gateway.limits().max_outbound_bytes {
        gateway.metrics.limit_hit("max_outbound_bytes");
        return GWP_TOO_LARGE;
    }
    let checked = plugin.origin == Origin::Linked || serde_json::from_slice::<&RawValue>(event.payload).is_ok();
    if !checked || (entry.targeted && event.conns.is_none()) {
        return GWP_INVALID;
    }
    entry.count(&gateway.metrics);
    let open = opened(gateway, entry, event.payload, event.flags & GWP_EV_STATE_VERSION != 0);
    let code = match event.conns {
        Some(conns) => send_to(gateway, entry, &open, conns),
        None => {
            broadcast(gateway, entry, open, event.flags & GWP_EV_DROP_IF_SLOW != 0);
            GWP_OK
        }
    };
    gateway
        .subscriptions
        .tell(event.name, event.payload, event.conns, |mailbox, json| mailbox.send(GWP_SINK_EVENT, json));
    code
}

/// Broadcasts an event of the host's own to everyone, here and now: it waits for nobody.
pub fn announce(gateway: &Arc<Gateway>, name: &str, payload: &serde_json::Value, droppable: bool) {
    let registry = gateway.registry.load();
    if let Some(entry) = registry.event(name) {
        let open = opened(gateway, entry, payload.to_string().as_bytes(), false);
        broadcast(gateway, entry, open, droppable);
        gateway.deliver();
    }
}

/// Tells plugins of an internal event of the host's own, here and now. The receivers that are left resolve when the
/// plugins that are busy have heard it too. Never from within a host function that a plugin is calling.
pub fn notify<T: serde::Serialize>(gateway: &Gateway, name: &str, payload: &T) -> Vec<oneshot::Receiver<()>> {
    match serde_json::to_vec(payload) {
        Ok(json) => notify_json(gateway, name, &json),
        Err(error) => {
            tracing::error!(%error, event = name, "an event has no JSON form");
            Vec::new()
        }
    }
}

/// Tells plugins of a connection, each once: those that subscribe while this happens hear of it either here or as one that
/// is open already.
pub fn notify_opened(gateway: &Gateway, connection: &Connection) -> Vec<oneshot::Receiver<()>> {
    let mut mailboxes = Vec::with_capacity(SOME);
    {
        let list = gateway.subscriptions.list.read().unwrap_or_else(PoisonError::into_inner);
        connection.announce();
        let payload = connection.opened(false);
        let mut collect = |mailbox: &Arc<Mailbox>, json| mailboxes.push((mailbox.clone(), json));
        Subscriptions::tell_each(&list, OPENED, &payload, None, &mut collect);
    }
    send_now(mailboxes)
}

/// [`notify`] with a payload that is JSON already.
fn notify_json(gateway: &Gateway, name: &str, payload: &[u8]) -> Vec<oneshot::Receiver<()>> {
    let mut mailboxes = Vec::with_capacity(SOME);
    gateway.subscriptions.tell(name, payload, None, |mailbox, json| mailboxes.push((mailbox.clone(), json)));
    send_now(mailboxes)
}

/// Called with no list locked: a plugin that hears may subscribe.
fn send_now(mailboxes: Vec<(Arc<Mailbox>, Arc<[u8]>)>) -> Vec<oneshot::Receiver<()>> {
    mailboxes.into_iter().filter_map(|(mailbox, json)| mailbox.send_now(GWP_SINK_EVENT, json)).collect()
}

/// The frame of an event up to its closing brace.
fn opened(gateway: &Gateway, entry: &EventEntry, payload: &[u8], stamped: bool) -> Vec<u8> {
    let mut open = Vec::with_capacity(payload.len() + entry.name.len() + 96);
    let payload = (!payload.is_empty()).then_some(payload);
    write::event_open(&mut open, &entry.name, payload, stamped.then(|| gateway.snapshot.version()));
    open
}

/// So many connections are told of all that comes within [`GATHERING`] in one write each: the write is nearly all that a
/// delivery costs, and a burst would pay for each of its events alone. Fewer hear at once.
const MANY: usize = 256;
const GATHERING: Duration = Duration::from_millis(1);

/// Publishes to everyone who may see it. Delivered when the task that runs now is done, so that several events reach each
/// socket in one write.
fn broadcast(gateway: &Arc<Gateway>, entry: &Arc<EventEntry>, open: Vec<u8>, droppable: bool) {
    if entry.access.is_internal() {
        return;
    }
    match gateway.outboxes.broadcasts.publish(Broadcast { entry: entry.clone(), open, droppable }) {
        Deliver::Promised => {}
        Deliver::Now => gateway.deliver(),
        Deliver::Soon => {
            let gateway = gateway.clone();
            gateway.runtime.clone().spawn(async move {
                if gateway.connections.count() >= MANY {
                    tokio::time::sleep(GATHERING).await;
                } else {
                    // Behind what is ready to run, so that under load more gathers.
                    tokio::task::yield_now().await;
                }
                gateway.deliver();
            });
        }
    }
}

fn send_to(gateway: &Gateway, entry: &EventEntry, open: &[u8], conns: &[u64]) -> i32 {
    let mut reached = 0usize;
    for connection in conns.iter().filter_map(|number| gateway.connections.find(*number)) {
        if entry.admits_chosen(&connection.authority) && connection.outbox.targeted(open).is_ok() {
            reached += 1;
        }
    }
    if reached > 0 { GWP_OK } else { GWP_GONE }
}
