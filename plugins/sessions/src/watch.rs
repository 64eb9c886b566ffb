//! Who wants to hear of sessions, and what they are told: `sessions.changed` to those who subscribed to the list, at most
//! once for a session in [`GATHER`], and `session.message` to those who subscribed to one session's messages.
//!
//! A subscription belongs to a connection and ends with it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use database::Database;
use plugin_api::{Host, HostError, MethodError};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::rows;
use crate::store::sessions;
use crate::store::transcripts::Written;

pub const CHANGED: &str = "sessions.changed";
pub const MESSAGE: &str = "session.message";

/// How long changes are gathered before they are told.
pub const GATHER: Duration = Duration::from_millis(250);
/// Sessions that may change in that time and are told one by one; of more, it is told that many did.
const MOST_CHANGED: usize = 500;

/// Payload of `sessions.changed`. Without a key, any number of sessions changed.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// Its agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// What happened last: `create`, `patch`, `message`, `reset`, `compact`, `delete`, or `many`.
    pub reason: String,
    /// As `sessions.list` shows it; absent when it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Map<String, Value>>,
}

/// Payload of `session.message`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewMessage {
    /// The session.
    pub session_key: String,
    /// Its agent.
    pub agent_id: String,
    /// The conversation.
    pub session_id: String,
    /// Id of the message.
    pub message_id: String,
    /// Its place in the conversation, counted from 1.
    pub message_seq: u64,
    /// The message.
    #[schemars(with = "Map<String, Value>")]
    pub message: Box<RawValue>,
}

/// Subscriptions.
pub struct Watch {
    host: Host,
    store: Database,
    /// Sessions whose messages one connection may hear.
    most: usize,
    /// Whether anybody has subscribed to the list, so that a change costs nothing when nobody has.
    is_watched: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lists: HashSet<u64>,
    messages: HashMap<String, HashSet<u64>>,
    /// How many sessions each connection hears, so that the bound is its own.
    heard: HashMap<u64, usize>,
    changed: BTreeMap<String, Change>,
    too_many: bool,
    is_gathering: bool,
}

struct Change {
    agent_id: String,
    reason: &'static str,
}

impl Watch {
    pub fn new(host: Host, store: Database, most: usize) -> Arc<Self> {
        Arc::new(Watch { host, store, most, is_watched: AtomicBool::new(false), state: Mutex::default() })
    }

    pub fn subscribe(&self, conn: u64) {
        let mut state = self.state();
        state.lists.insert(conn);
        self.is_watched.store(true, Ordering::Release);
    }

    pub fn unsubscribe(&self, conn: u64) {
        let mut state = self.state();
        state.lists.remove(&conn);
        self.is_watched.store(!state.lists.is_empty(), Ordering::Release);
    }

    pub fn subscribe_messages(&self, conn: u64, key: &str) -> Result<(), MethodError> {
        let mut state = self.state();
        if state.messages.get(key).is_some_and(|conns| conns.contains(&conn)) {
            return Ok(());
        }
        let count = state.heard.entry(conn).or_default();
        if *count >= self.most {
            let most = self.most;
            return Err(MethodError::unavailable(format!(
                "this connection hears the messages of {most} sessions already (max_subscriptions)"
            )));
        }
        *count += 1;
        state.messages.entry(key.to_string()).or_default().insert(conn);
        Ok(())
    }

    pub fn unsubscribe_messages(&self, conn: u64, key: &str) {
        let mut state = self.state();
        let Some(conns) = state.messages.get_mut(key) else { return };
        let was_there = conns.remove(&conn);
        if conns.is_empty() {
            state.messages.remove(key);
        }
        if was_there && let Some(count) = state.heard.get_mut(&conn) {
            *count -= 1;
            if *count == 0 {
                state.heard.remove(&conn);
            }
        }
    }

    /// A connection has gone, and its subscriptions with it.
    pub fn closed(&self, conn: u64) {
        let mut state = self.state();
        state.lists.remove(&conn);
        self.is_watched.store(!state.lists.is_empty(), Ordering::Release);
        if state.heard.remove(&conn).is_some() {
            state.messages.retain(|_, conns| {
                conns.remove(&conn);
                !conns.is_empty()
            });
        }
    }

    /// A session changed.
    pub fn changed(self: &Arc<Self>, key: &str, agent_id: &str, reason: &'static str) {
        if !self.is_watched.load(Ordering::Acquire) {
            return;
        }
        let begins = {
            let mut state = self.state();
            if state.changed.len() >= MOST_CHANGED && !state.changed.contains_key(key) {
                state.too_many = true;
            } else {
                state.changed.insert(key.to_string(), Change { agent_id: agent_id.to_string(), reason });
            }
            !std::mem::replace(&mut state.is_gathering, true)
        };
        if begins {
            let watch = self.clone();
            self.host.spawn(async move { watch.tell_changes().await });
        }
    }

    /// Messages were written, in this order.
    pub fn written(&self, key: &str, agent_id: &str, session_id: &str, messages: &[Written]) {
        let conns: Vec<u64> = {
            let state = self.state();
            let Some(conns) = state.messages.get(key) else { return };
            conns.iter().copied().collect()
        };
        for message in messages {
            let (Some(seq), Some(json)) = (message.seq, &message.json) else { continue };
            let payload = NewMessage {
                session_key: key.to_string(),
                agent_id: agent_id.to_string(),
                session_id: session_id.to_string(),
                message_id: message.id.clone(),
                message_seq: seq,
                message: json.clone(),
            };
            self.tell(MESSAGE, &conns, &payload);
        }
    }

    async fn tell_changes(self: Arc<Self>) {
        loop {
            self.host.sleep(GATHER).await;
            let (changed, too_many, conns) = {
                let mut state = self.state();
                if state.changed.is_empty() && !state.too_many {
                    state.is_gathering = false;
                    return;
                }
                let conns: Vec<u64> = state.lists.iter().copied().collect();
                (std::mem::take(&mut state.changed), std::mem::take(&mut state.too_many), conns)
            };
            if too_many {
                let many = Changed { session_key: None, agent_id: None, reason: "many".to_string(), session: None };
                self.tell(CHANGED, &conns, &many);
                continue;
            }
            let read = self.store.read(&self.host, move |db| {
                let show = |(key, change): (String, Change)| {
                    let session = sessions::find(db, &key)?.map(|session| rows::row(&session, rows::Extras::ALL));
                    Ok(Changed {
                        session_key: Some(key),
                        agent_id: Some(change.agent_id),
                        reason: change.reason.to_string(),
                        session,
                    })
                };
                changed.into_iter().map(show).collect::<Result<Vec<_>, MethodError>>()
            });
            match read.await {
                Ok(changes) => changes.iter().for_each(|change| self.tell(CHANGED, &conns, change)),
                Err(error) => self.host.warn(&format!("changes of sessions were not told: {error}")),
            }
        }
    }

    fn tell<T: Serialize>(&self, event: &str, conns: &[u64], payload: &T) {
        if conns.is_empty() {
            return;
        }
        match self.host.event(event).droppable().send_to(conns, payload) {
            // They have gone; that will be heard in a moment.
            Ok(()) | Err(HostError::Gone) => {}
            Err(error) => self.host.warn(&format!("{event} was not sent: {error}")),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
