//! Hooks happen once: a key is kept before anything happens, and whoever comes with it again hears of the same run.
//!
//! An entry says whether the hook was taken. One that was not, because the gateway ended in between, is begun again under
//! the same run's name, which the agent knows if it had begun after all.

use std::collections::BTreeMap;
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
    /// By the run's name, and whether it was taken.
    open: Mutex<BTreeMap<String, bool>>,
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
    /// It came before, and whether it is taken will be known in a moment.
    Undecided,
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
            return Ok(self.place(&run_id, None));
        };
        let digest = Sha256::digest(format!("{path}\n{key}").as_bytes());
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let (run_id, key) = (format!("hook-{hex}"), format!("{PREFIX}{hex}"));
        let place = self.place(&run_id, Some(key.clone()));
        if let Place::Known(_) | Place::Undecided = place {
            return Ok(place);
        }
        // Looked at once the place is ours: whoever had it until now has written down how it went.
        let known = self.kv.json::<Entry>(&key).map_err(WriteError::Host)?;
        if let Some(known) = known.filter(|known| known.taken) {
            return Ok(Place::Known(known.run_id));
        }
        if let Place::New(_) = place {
            self.make_room().map_err(WriteError::Host)?;
            self.kv.set_json(&key, &Entry { at: schemas::now_ms(), run_id, taken: false }).await?;
        }
        Ok(place)
    }

    /// A hook that an instance before this one has taken and did not end; nothing if it is here again already.
    pub fn resume(self: &Arc<Self>, run_id: String) -> Option<Ticket> {
        let mut open = self.lock();
        if open.contains_key(&run_id) {
            return None;
        }
        open.insert(run_id.clone(), true);
        Some(Ticket { once: self.clone(), run_id, key: None })
    }

    /// Where a hook stands among those that have not ended.
    fn place(self: &Arc<Self>, run_id: &str, key: Option<String>) -> Place {
        let mut open = self.lock();
        match open.get(run_id).copied() {
            Some(true) => Place::Known(run_id.to_string()),
            Some(false) => Place::Undecided,
            None if open.len() >= self.most => Place::Full,
            None => {
                open.insert(run_id.to_string(), false);
                Place::New(Ticket { once: self.clone(), run_id: run_id.to_string(), key })
            }
        }
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

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, bool>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The hook was taken: from now on it never happens again. If that cannot be kept, the agent still knows the run.
    pub async fn taken(&self) {
        self.once.lock().insert(self.run_id.clone(), true);
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
