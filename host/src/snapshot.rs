//! What hello-ok shows of the state: the latest bytes a plugin published for each part, and how often it did.

use std::sync::{Arc, Mutex, PoisonError};

use schemas::frame::StateVersion;

/// The parts of the snapshot, as the protocol names them.
const PARTS: [&str; 2] = ["presence", "health"];

/// Latest values and their versions. A handshake reads them and never waits for a plugin.
#[derive(Default)]
pub struct SnapshotStore {
    parts: Mutex<Parts>,
}

#[derive(Clone, Default)]
struct Parts {
    values: [Option<Arc<str>>; 2],
    versions: [u64; 2],
}

/// Both values and both versions at one moment.
pub struct Snapshot {
    /// Presence entries as a JSON array, if a plugin keeps them.
    pub presence: Option<Arc<str>>,
    /// The health summary as a JSON object, if a plugin makes it.
    pub health: Option<Arc<str>>,
    /// Versions, counting from 1.
    pub version: StateVersion,
}

impl SnapshotStore {
    /// Stores the latest value of a part and raises its version; false when there is no such part.
    pub fn publish(&self, part: &str, json: &str) -> bool {
        let Some(place) = PARTS.iter().position(|name| *name == part) else { return false };
        let mut parts = self.lock();
        parts.values[place] = Some(json.into());
        parts.versions[place] += 1;
        true
    }

    /// Values and versions.
    pub fn read(&self) -> Snapshot {
        let Parts { values: [presence, health], versions } = self.lock().clone();
        Snapshot { presence, health, version: counted(versions) }
    }

    /// Versions, for stamping an event.
    pub fn version(&self) -> StateVersion {
        counted(self.lock().versions)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Versions count from 1, which is the state before anything was published.
fn counted([presence, health]: [u64; 2]) -> StateVersion {
    StateVersion { presence: presence + 1, health: health + 1 }
}
