//! News for agents, kept until one reads them: a short queue that survives a restart. One key an event, so that a new
//! one writes itself and not the whole queue.

use std::sync::{Mutex, PoisonError};

use plugin_api::{Batch, HostError, Kv, Write};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const PREFIX: &str = "event/";
/// At most so many; the oldest goes. Agents read them all into one prompt.
const LIMIT: usize = 20;
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
        let batch = self.adding(event, entries)?;
        Ok(Some(batch.write()))
    }

    /// Adds one under a name, unless one of this name was added before; whether it was. Durable when the outcome is
    /// awaited.
    pub(crate) fn push_named(&self, event: &SystemEvent, name: &str) -> Result<(bool, Option<Write>), HostError> {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> = self.kv.json(NAMED)?.unwrap_or_default();
        if names.iter().any(|known| known == name) {
            return Ok((false, None));
        }
        names.push(name.to_string());
        names.drain(..names.len().saturating_sub(NAMES));
        let names = serde_json::to_string(&names).map_err(|_| HostError::Invalid)?;
        let batch = self.adding(event, self.kv.scan(PREFIX)?)?;
        Ok((true, Some(batch.set(NAMED, names).write())))
    }

    fn adding(&self, event: &SystemEvent, entries: Vec<(String, String)>) -> Result<Batch, HostError> {
        let number = entries.last().and_then(|(key, _)| number(key)).map_or(0, |last| last + 1);
        let json = serde_json::to_string(event).map_err(|_| HostError::Invalid)?;
        let surplus = (entries.len() + 1).saturating_sub(LIMIT);
        let batch = entries.iter().take(surplus).fold(self.kv.batch(), |batch, (key, _)| batch.delete(key));
        Ok(batch.set(&format!("{PREFIX}{number:020}"), json))
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
