//! News for agents, kept until one reads them: a short queue that survives a restart. One key an event, so that a new
//! one writes itself and not the whole queue.

use std::sync::{Mutex, PoisonError};

use plugin_api::{Batch, HostError, Kv, Write};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const PREFIX: &str = "event/";
/// Names of those that were pushed last, so that one that is pushed again is not queued again.
const NAMED: &str = "named";
const NAMES: usize = 64;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SystemEvent {
    /// What happened.
    pub text: String,
    /// When, in milliseconds since the epoch.
    pub ts: u64,
}

/// How many are kept; for one more, the oldest of its kind go. Agents read them all into one prompt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// What machines report.
    pub(crate) reports: usize,
    /// Texts that somebody left, who was told that they are heard.
    pub(crate) left: usize,
    /// Bytes of these texts.
    pub(crate) left_bytes: usize,
}

impl Room {
    /// Keys of those that have no place beside one more of this kind, which has so many bytes.
    fn surplus(self, left: bool, bytes: usize, entries: &[(String, String)]) -> Vec<&str> {
        let (most, most_bytes) = if left { (self.left, self.left_bytes) } else { (self.reports, usize::MAX) };
        let (mut count, mut total) = (1, bytes);
        let latest_first = entries.iter().rev().filter(|(_, json)| is_left(json) == left);
        let has_no_place = latest_first.filter(|(_, json)| {
            count += 1;
            total = total.saturating_add(json.len());
            count > most || total > most_bytes
        });
        has_no_place.map(|(key, _)| key.as_str()).collect()
    }
}

/// One as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    event: SystemEvent,
    /// Whether somebody left it; a machine reported it otherwise.
    #[serde(default)]
    left: bool,
}

/// One that is being added.
pub(crate) struct Adding {
    /// It is durable when this is awaited.
    pub(crate) write: Write,
    /// How many went for it that no agent has read.
    pub(crate) gone: usize,
}

pub(crate) struct SystemEvents {
    kv: Kv,
    room: Room,
    /// Reading the last number and writing the next belong together.
    order: Mutex<()>,
}

impl SystemEvents {
    pub(crate) fn new(kv: Kv, room: Room) -> Self {
        SystemEvents { kv, room, order: Mutex::new(()) }
    }

    /// Adds what a machine reports, or what somebody left, unless it says what the last one said.
    pub(crate) fn push(&self, event: SystemEvent, left: bool) -> Result<Option<Adding>, HostError> {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = self.kv.scan(PREFIX)?;
        let last = entries.last();
        if last.and_then(|(_, json)| parse(json)).is_some_and(|last| last.text == event.text) {
            return Ok(None);
        }
        let (batch, gone) = self.adding(Kept { event, left }, &entries)?;
        Ok(Some(Adding { write: batch.write(), gone }))
    }

    /// Adds what somebody left under a name, unless one of this name was added before.
    pub(crate) fn push_named(&self, event: SystemEvent, name: &str) -> Result<Option<Adding>, HostError> {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> = self.kv.json(NAMED)?.unwrap_or_default();
        if names.iter().any(|known| known == name) {
            return Ok(None);
        }
        names.push(name.to_string());
        names.drain(..names.len().saturating_sub(NAMES));
        let names = serde_json::to_string(&names).map_err(|_| HostError::Invalid)?;
        let (batch, gone) = self.adding(Kept { event, left: true }, &self.kv.scan(PREFIX)?)?;
        Ok(Some(Adding { write: batch.set(NAMED, names).write(), gone }))
    }

    fn adding(&self, kept: Kept, entries: &[(String, String)]) -> Result<(Batch, usize), HostError> {
        let number = entries.last().and_then(|(key, _)| number(key)).map_or(0, |last| last + 1);
        let json = serde_json::to_string(&kept).map_err(|_| HostError::Invalid)?;
        let surplus = self.room.surplus(kept.left, json.len(), entries);
        let batch = surplus.iter().fold(self.kv.batch(), |batch, key| batch.delete(key));
        Ok((batch.set(&format!("{PREFIX}{number:020}"), json), surplus.len()))
    }

    /// All of them, oldest first, and the number of the last one.
    pub(crate) fn list(&self) -> Result<(Vec<SystemEvent>, Option<u64>), HostError> {
        let entries = self.kv.scan(PREFIX)?;
        let last = entries.last().and_then(|(key, _)| number(key));
        Ok((entries.iter().filter_map(|(_, json)| parse(json)).collect(), last))
    }

    /// All of them up to a number, oldest first, and none of these is left once the outcome was awaited.
    pub(crate) fn drain(&self, through: Option<u64>) -> Result<(Vec<SystemEvent>, Option<Write>), HostError> {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = self.kv.scan(PREFIX)?;
        entries.retain(|(key, _)| through.is_none_or(|through| number(key).is_none_or(|number| number <= through)));
        if entries.is_empty() {
            return Ok((Vec::new(), None));
        }
        let gone = entries.iter().fold(self.kv.batch(), |batch, (key, _)| batch.delete(key)).write();
        Ok((entries.iter().filter_map(|(_, json)| parse(json)).collect(), Some(gone)))
    }
}

fn number(key: &str) -> Option<u64> {
    key.strip_prefix(PREFIX)?.parse().ok()
}

fn parse(json: &str) -> Option<SystemEvent> {
    serde_json::from_str(json).ok()
}

fn is_left(json: &str) -> bool {
    serde_json::from_str::<Kept>(json).is_ok_and(|kept| kept.left)
}
