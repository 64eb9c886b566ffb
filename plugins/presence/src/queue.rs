//! News for agents, kept until one reads them: a short queue that survives a restart. One key an event, so that a new
//! one writes itself and not the whole queue.

use std::sync::{Mutex, PoisonError};

use plugin_api::{HostError, Kv, Write};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const PREFIX: &str = "event/";
/// At most so many; the oldest goes. Agents read them all into one prompt.
const LIMIT: usize = 20;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SystemEvent {
    /// What happened.
    pub text: String,
    /// When, in milliseconds since the epoch.
    pub ts: u64,
}

pub(crate) struct SystemEvents {
    kv: Kv,
    /// Reading the last number and writing the next belong together.
    order: Mutex<()>,
}

impl SystemEvents {
    pub(crate) fn new(kv: Kv) -> Self {
        SystemEvents { kv, order: Mutex::new(()) }
    }

    /// Adds one, unless it says what the last one said. Durable when the outcome is awaited.
    pub(crate) fn push(&self, event: &SystemEvent) -> Result<Option<Write>, HostError> {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = self.kv.scan(PREFIX)?;
        let last = entries.last();
        if last.and_then(|(_, json)| parse(json)).is_some_and(|last| last.text == event.text) {
            return Ok(None);
        }
        let number = last.and_then(|(key, _)| key.strip_prefix(PREFIX)?.parse::<u64>().ok()).map_or(0, |last| last + 1);
        let json = serde_json::to_string(event).map_err(|_| HostError::Invalid)?;
        let surplus = (entries.len() + 1).saturating_sub(LIMIT);
        let batch = entries.iter().take(surplus).fold(self.kv.batch(), |batch, (key, _)| batch.delete(key));
        Ok(Some(batch.set(&format!("{PREFIX}{number:020}"), json).write()))
    }

    /// All of them, oldest first.
    pub(crate) fn list(&self) -> Result<Vec<SystemEvent>, HostError> {
        Ok(self.kv.scan(PREFIX)?.iter().filter_map(|(_, json)| parse(json)).collect())
    }

    /// All of them, oldest first, and none is left once the outcome was awaited.
    pub(crate) fn drain(&self) -> Result<(Vec<SystemEvent>, Option<Write>), HostError> {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = self.kv.scan(PREFIX)?;
        if entries.is_empty() {
            return Ok((Vec::new(), None));
        }
        let gone = entries.iter().fold(self.kv.batch(), |batch, (key, _)| batch.delete(key)).write();
        Ok((entries.iter().filter_map(|(_, json)| parse(json)).collect(), Some(gone)))
    }
}

fn parse(json: &str) -> Option<SystemEvent> {
    serde_json::from_str(json).ok()
}
