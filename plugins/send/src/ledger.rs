//! What was handed to channels. A row is durable before the message is handed over, and says how it went afterwards; one
//! that still says "handing over" when nobody is at it is of a gateway that stopped meanwhile.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_api::contracts::channel::Sent;
use plugin_api::{Kv, MethodError};
use serde::{Deserialize, Serialize};

const PREFIX: &str = "row/";

/// How a message stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub(crate) enum Entry {
    /// The channel has it, or will have it.
    HandingOver {
        /// The channel.
        channel: String,
    },
    /// The channel's service has it.
    Sent {
        /// The channel.
        channel: String,
        /// What the channel said.
        sent: Sent,
    },
}

#[derive(Serialize, Deserialize)]
struct Row {
    at: u64,
    #[serde(flatten)]
    entry: Entry,
}

pub(crate) struct Ledger {
    kv: Kv,
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    busy: HashSet<String>,
    /// Rows that may be there: counted when first needed, and exact after each sweep.
    rows: Option<usize>,
}

/// Somebody's turn at a row.
pub(crate) struct Turn<'a> {
    ledger: &'a Ledger,
    row: String,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.ledger.state().busy.remove(&self.row);
    }
}

impl Ledger {
    pub fn new(kv: Kv, most: usize) -> Self {
        Ledger { kv, most, state: Mutex::default() }
    }

    /// Takes the turn at a row. Clients that repeat a key wait at the gateway; a plugin that does is told.
    pub fn enter(&self, row: &str) -> Result<Turn<'_>, MethodError> {
        let mut state = self.state();
        if state.busy.len() >= self.most {
            return Err(MethodError::unavailable("too many messages are on their way (max_remembered)").retryable());
        }
        if !state.busy.insert(row.to_string()) {
            return Err(MethodError::unavailable("the message is on its way").retryable());
        }
        Ok(Turn { ledger: self, row: row.to_string() })
    }

    pub fn read(&self, row: &str) -> Result<Option<Entry>, MethodError> {
        Ok(self.kv.json::<Row>(&format!("{PREFIX}{row}"))?.map(|row| row.entry))
    }

    /// Durable when it returns.
    pub async fn write(&self, row: &str, entry: &Entry) -> Result<(), MethodError> {
        if matches!(entry, Entry::HandingOver { .. }) {
            self.make_room().await?;
        }
        let row_now = Row { at: schemas::now_ms(), entry: entry.clone() };
        Ok(self.kv.set_json(&format!("{PREFIX}{row}"), &row_now).await?)
    }

    pub async fn remove(&self, row: &str) -> Result<(), MethodError> {
        Ok(self.kv.batch().delete(&format!("{PREFIX}{row}")).write().await?)
    }

    /// Forgets the oldest rows once there are too many; never one that somebody is at.
    async fn make_room(&self) -> Result<(), MethodError> {
        let is_full = {
            let mut state = self.state();
            let rows = match state.rows {
                Some(rows) => rows + 1,
                None => self.kv.scan(PREFIX)?.len() + 1,
            };
            state.rows = Some(rows);
            rows > self.most
        };
        if !is_full {
            return Ok(());
        }
        let mut rows: Vec<(u64, String)> = self
            .kv
            .scan(PREFIX)?
            .into_iter()
            .map(|(key, text)| (serde_json::from_str::<Row>(&text).map_or(0, |row| row.at), key))
            .collect();
        rows.sort();
        // An eighth at once, so that not every message sweeps.
        let surplus = (rows.len() + self.most / 8 + 1).saturating_sub(self.most);
        let mut batch = self.kv.batch();
        let mut gone = 0;
        {
            let mut state = self.state();
            for (_, key) in rows.iter().filter(|(_, key)| !state.busy.contains(&key[PREFIX.len()..])).take(surplus) {
                batch = batch.delete(key);
                gone += 1;
            }
            state.rows = Some(rows.len() - gone + 1);
        }
        if gone > 0 {
            batch.write().await?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
