//! What hello-ok shows of the state: the latest bytes a plugin published for each part, and how often it did.

use std::sync::{Arc, Mutex, PoisonError};

use schemas::frame::StateVersion;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

/// The parts of the snapshot, as the protocol names them, each with its shape: every client reads them.
const PARTS: [(&str, Shape); 2] = [("presence", is_list_of_objects), ("health", is_object)];

/// Whether a text is JSON of a certain shape.
type Shape = fn(&[u8]) -> bool;

/// Latest values and their versions. A handshake reads them and never waits for a plugin.
#[derive(Default)]
pub struct SnapshotStore {
    parts: Mutex<Parts>,
}

#[derive(Clone, Default)]
struct Parts {
    values: [Option<Arc<str>>; 2],
    versions: [u64; 2],
    /// The ids of the plugins that keep them.
    owners: [Option<Arc<str>>; 2],
}

/// Why a part was not published.
#[derive(Debug, PartialEq, Eq)]
pub enum Unpublished {
    /// There is no such part.
    NoSuchPart,
    /// The value is not JSON of the shape that clients read.
    Shape,
    /// This plugin keeps it.
    Owned(Arc<str>),
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
    /// Stores the latest value of a part and raises its version. A part is kept by one plugin: by the first that published
    /// it, as long as that one is served.
    pub fn publish(
        &self,
        part: &str,
        json: &[u8],
        plugin: &Arc<str>,
        is_served: impl Fn(&str) -> bool,
    ) -> Result<(), Unpublished> {
        let place = PARTS.iter().position(|(name, _)| *name == part).ok_or(Unpublished::NoSuchPart)?;
        let json = json.trim_ascii();
        let text = std::str::from_utf8(json).ok().filter(|_| PARTS[place].1(json)).ok_or(Unpublished::Shape)?;
        let mut parts = self.lock();
        if let Some(owner) = parts.owners[place].as_ref().filter(|owner| **owner != *plugin && is_served(owner)) {
            return Err(Unpublished::Owned(owner.clone()));
        }
        parts.values[place] = Some(text.into());
        parts.versions[place] += 1;
        parts.owners[place] = Some(plugin.clone());
        Ok(())
    }

    /// Values and versions.
    pub fn read(&self) -> Snapshot {
        let Parts { values: [presence, health], versions, .. } = self.lock().clone();
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

fn is_list_of_objects(json: &[u8]) -> bool {
    serde_json::from_slice::<Vec<AnyObject>>(json).is_ok()
}

fn is_object(json: &[u8]) -> bool {
    serde_json::from_slice::<AnyObject>(json).is_ok()
}

/// An object, whatever is in it; none of it is kept.
struct AnyObject;

impl<'de> Deserialize<'de> for AnyObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = AnyObject;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnyObject, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(AnyObject)
            }
        }
        deserializer.deserialize_map(Walk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_one_keeper_and_one_shape() {
        let (store, [first, second]) = (SnapshotStore::default(), ["a", "b"].map(Arc::from));
        let both_serve = |part: &str, json: &str, plugin| store.publish(part, json.as_bytes(), plugin, |_| true);
        assert_eq!(both_serve("presence", " [{\"ts\":1}]\n", &first), Ok(()));
        for broken in ["", "{}", "[1]", "[[]]", "[{}]]", "[{\"a\":}]", "\"x\""] {
            assert_eq!(both_serve("presence", broken, &first), Err(Unpublished::Shape), "{broken}");
        }
        for broken in ["", "[]", "42", "{", "null"] {
            assert_eq!(both_serve("health", broken, &first), Err(Unpublished::Shape), "{broken}");
        }
        assert_eq!(both_serve("weather", "{}", &first), Err(Unpublished::NoSuchPart));
        assert_eq!(both_serve("presence", "[]", &second), Err(Unpublished::Owned("a".into())));
        assert_eq!(store.read().presence.as_deref(), Some("[{\"ts\":1}]"));
        assert_eq!(store.publish("presence", b"[]", &second, |id| id != "a"), Ok(()));
        assert_eq!(store.version(), StateVersion { presence: 3, health: 1 });
    }
}
