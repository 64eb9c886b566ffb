//! Hooks happen once: a key is kept before anything happens, and whoever comes with it again hears of the same run.
//!
//! An entry says whether the hook was taken. One that was not, because the gateway ended in between, is begun again under
//! the same run's name, which the agent knows if it had begun after all.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plugin_api::{HostError, Kv, WriteError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const PREFIX: &str = "key:";

/// The keys that were seen, and the hooks that have not ended.
pub struct Once {
    kv: Kv,
    most_keys: usize,
    most: usize,
    open: Mutex<BTreeSet<String>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    at: u64,
    run_id: String,
    taken: bool,
}

/// Where a hook stands.
pub enum Place {
    /// It is to happen.
    New(Ticket),
    /// It happened, or happens, under this name.
    Known(String),
    /// Too many happen.
    Full,
}

/// A hook that happens; it counts until it is let go of.
pub struct Ticket {
    once: Arc<Once>,
    run_id: String,
    key: Option<String>,
}

impl Once {
    pub fn new(kv: Kv, most_keys: usize, most: usize) -> Self {
        Once { kv, most_keys, most, open: Mutex::default() }
    }

    /// Begins a hook. Keys of one path mean nothing on another.
    pub async fn enter(self: &Arc<Self>, path: &str, key: Option<&str>) -> Result<Place, WriteError> {
        let Some(key) = key else {
            let run_id = format!("hook-{}", uuid::Uuid::new_v4());
            return Ok(self.ticket(run_id, None).map_or(Place::Full, Place::New));
        };
        let digest = Sha256::digest(format!("{path}\n{key}").as_bytes());
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let (run_id, key) = (format!("hook-{hex}"), format!("{PREFIX}{hex}"));
        if self.lock().contains(&run_id) {
            return Ok(Place::Known(run_id));
        }
        let known = self.kv.json::<Entry>(&key).map_err(WriteError::Host)?;
        if let Some(known) = known.filter(|known| known.taken) {
            return Ok(Place::Known(known.run_id));
        }
        let ticket = {
            let mut open = self.lock();
            if open.contains(&run_id) {
                return Ok(Place::Known(run_id));
            }
            if open.len() >= self.most {
                return Ok(Place::Full);
            }
            open.insert(run_id.clone());
            Ticket { once: self.clone(), run_id: run_id.clone(), key: Some(key.clone()) }
        };
        self.make_room().map_err(WriteError::Host)?;
        self.kv.set_json(&key, &Entry { at: schemas::now_ms(), run_id, taken: false }).await?;
        Ok(Place::New(ticket))
    }

    fn ticket(self: &Arc<Self>, run_id: String, key: Option<String>) -> Option<Ticket> {
        let mut open = self.lock();
        (open.len() < self.most).then(|| {
            open.insert(run_id.clone());
            Ticket { once: self.clone(), run_id, key }
        })
    }

    /// Forgets the oldest keys beyond those that may stay.
    fn make_room(&self) -> Result<(), HostError> {
        let entries = self.kv.scan(PREFIX)?;
        if entries.len() < self.most_keys {
            return Ok(());
        }
        let at = |text: &str| serde_json::from_str::<Entry>(text).map_or(0, |entry| entry.at);
        let mut aged: Vec<(u64, String)> = entries.into_iter().map(|(key, text)| (at(&text), key)).collect();
        aged.sort();
        let surplus = aged.len() + 1 - self.most_keys;
        let batch = aged.iter().take(surplus).fold(self.kv.batch(), |batch, (_, key)| batch.delete(key));
        drop(batch.write());
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The hook was taken: from now on it never happens again. If that cannot be kept, the agent still knows the run.
    pub async fn taken(&self) {
        if let Some(key) = &self.key {
            let entry = Entry { at: schemas::now_ms(), run_id: self.run_id.clone(), taken: true };
            drop(self.once.kv.set_json(key, &entry).await);
        }
    }

    /// The hook was refused, and may come again.
    pub async fn give_up(self) {
        if let Some(key) = &self.key {
            drop(self.once.kv.batch().delete(key).write().await);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.once.lock().remove(&self.run_id);
    }
}
