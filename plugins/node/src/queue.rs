//! Questions that were left for nodes that are away: what is kept of each, and how much is kept at all.
//!
//! Each is a record of the plugin's key-value state, mirrored here. A record says that its question was sent before it is
//! sent, so that no question is ever sent twice: one that was being sent when the gateway went down has an outcome that
//! nobody knows, and is told so.

use std::collections::{BTreeMap, HashMap, HashSet};

use plugin_api::{Batch, HostError, Kv};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::params::{NodeError, Ticket};

const PREFIX: &str = "queue/";

/// What became of a question that was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits for its node.
    Queued,
    /// Its node was asked.
    Sent,
    /// Its node did it.
    Done,
    /// Its node did not.
    Failed,
    /// Its node was asked, and nobody knows what came of it.
    Unknown,
    /// Its node did not come in time.
    Expired,
    /// Somebody took it back, or what was approved of its node.
    Cancelled,
}

impl Status {
    /// Whether nothing more will become of it.
    pub fn is_over(self) -> bool {
        !matches!(self, Status::Queued | Status::Sent)
    }
}

/// A question that was left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    pub ticket: String,
    pub node_id: String,
    pub command: String,
    pub params_json: Option<String>,
    /// How long the node has once it was asked.
    pub timeout_ms: u64,
    pub idempotency_key: String,
    pub ttl_ms: u64,
    pub queued_at_ms: u64,
    /// When it is given up, or, when it is over, forgotten.
    pub expires_at_ms: u64,
    pub status: Status,
    /// What came of it, unless it is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_json: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<NodeError>,
    /// The connection whose node was not ready for it: it is not asked again.
    #[serde(skip)]
    pub not_on: Option<u64>,
}

impl Item {
    /// As operators see it.
    pub fn row(&self) -> Ticket {
        Ticket {
            ticket: self.ticket.clone(),
            node_id: self.node_id.clone(),
            command: self.command.clone(),
            idempotency_key: self.idempotency_key.clone(),
            status: self.status,
            queued_at_ms: self.queued_at_ms,
            expires_at_ms: self.expires_at_ms,
            payload: self.payload_json.as_deref().and_then(crate::invokes::parsed),
            error: self.error.clone(),
        }
    }

    fn json(&self) -> String {
        // Texts and numbers always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Questions of one node.
    pub per_node: usize,
    /// All records together.
    pub bytes: usize,
}

/// The questions, in the order in which they were left.
#[derive(Default)]
pub struct Queue {
    items: BTreeMap<u64, Item>,
    /// The number of the next one. None comes twice while this runs: a timer knows its question by it.
    next: u64,
    bytes: usize,
    /// How many callers wait for a node themselves.
    waiting: HashMap<String, usize>,
    /// Nodes that are being asked what was left for them.
    pub delivering: HashSet<String>,
}

impl Queue {
    /// The records as they were written.
    pub fn load(kv: Kv) -> Result<Self, HostError> {
        let mut queue = Queue::default();
        for (key, value) in kv.scan(PREFIX)? {
            let number = u64::from_str_radix(&key[PREFIX.len()..], 16).map_err(|_| HostError::Invalid)?;
            queue.bytes += value.len();
            queue.next = queue.next.max(number.saturating_add(1));
            queue.items.insert(number, serde_json::from_str(&value).map_err(|_| HostError::Invalid)?);
        }
        Ok(queue)
    }

    /// Every question.
    pub fn items(&self) -> impl Iterator<Item = (u64, &Item)> {
        self.items.iter().map(|(number, item)| (*number, item))
    }

    /// A question.
    pub fn get(&self, number: u64) -> Option<&Item> {
        self.items.get(&number)
    }

    /// The first question that waits for a node, but for those that it was not ready for on this connection.
    pub fn first_for(&self, node_id: &str, conn: u64) -> Option<u64> {
        let waits = |item: &Item| item.status == Status::Queued && item.node_id == node_id && item.not_on != Some(conn);
        self.items().find(|(_, item)| waits(item)).map(|(number, _)| number)
    }

    /// Leaves a question. The limit that is in its way, if there is no room even without what is over.
    pub fn leave(&mut self, item: Item, room: Room, mut batch: Batch) -> Result<(u64, Batch), &'static str> {
        let text = item.json();
        // All of it first: what is forgotten here has to be in the batch, and there is none if it does not suffice.
        for number in self.gives_way(&item.node_id, text.len(), room)? {
            batch = self.forget(number, batch);
        }
        let number = self.next;
        self.next += 1;
        self.bytes += text.len();
        batch = batch.set(&key(number), text);
        self.items.insert(number, item);
        Ok((number, batch))
    }

    /// What is over and gives way to a question, the oldest first; the limit that is in its way if that does not suffice.
    fn gives_way(&self, node_id: &str, bytes: usize, room: Room) -> Result<Vec<u64>, &'static str> {
        let of_node = self.items.values().filter(|other| other.node_id == node_id).count();
        let too_many = (of_node + self.waiting(Some(node_id)) + 1).saturating_sub(room.per_node);
        let over = || self.items().filter(|(_, other)| other.status.is_over());
        let (mut gone, mut freed) = (Vec::new(), 0);
        for (number, other) in over().filter(|(_, other)| other.node_id == node_id).take(too_many) {
            gone.push(number);
            freed += other.json().len();
        }
        if gone.len() < too_many {
            return Err("max_queued");
        }
        let has_room = |freed: usize| self.bytes + bytes <= room.bytes + freed;
        for (number, other) in over() {
            if has_room(freed) {
                break;
            }
            if !gone.contains(&number) {
                gone.push(number);
                freed += other.json().len();
            }
        }
        if has_room(freed) { Ok(gone) } else { Err("max_queued_bytes") }
    }

    /// Changes a record.
    pub fn change(&mut self, number: u64, batch: Batch, change: impl FnOnce(&mut Item)) -> Batch {
        let Some(item) = self.items.get_mut(&number) else { return batch };
        let before = item.json().len();
        change(item);
        let text = item.json();
        self.bytes = (self.bytes + text.len()).saturating_sub(before);
        batch.set(&key(number), text)
    }

    /// Forgets a record.
    pub fn forget(&mut self, number: u64, batch: Batch) -> Batch {
        if let Some(item) = self.items.remove(&number) {
            self.bytes = self.bytes.saturating_sub(item.json().len());
        }
        batch.delete(&key(number))
    }

    /// Somebody waits for a node; false if too many do.
    pub fn wait(&mut self, node_id: &str, room: Room) -> bool {
        let waiting = self.waiting.entry(node_id.to_string()).or_default();
        *waiting += 1;
        let fits = *waiting <= room.per_node;
        if !fits {
            self.waited(node_id);
        }
        fits
    }

    /// Somebody waits no longer.
    pub fn waited(&mut self, node_id: &str) {
        if let Some(waiting) = self.waiting.get_mut(node_id) {
            *waiting -= 1;
            if *waiting == 0 {
                self.waiting.remove(node_id);
            }
        }
    }

    /// How many callers wait for a node, or for any.
    pub fn waiting(&self, node_id: Option<&str>) -> usize {
        match node_id {
            Some(node_id) => self.waiting.get(node_id).copied().unwrap_or(0),
            None => self.waiting.values().sum(),
        }
    }
}

fn key(number: u64) -> String {
    format!("{PREFIX}{number:016x}")
}
