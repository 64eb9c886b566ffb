//! Which channels there are and what each can do: the methods `channel.<id>.<what>` of the registry, read again when it
//! changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plugin_api::{Host, MethodError, NoParams};
use serde::Deserialize;

/// Channels by id.
pub type Channels = BTreeMap<String, Channel>;

/// What is known of a channel.
#[derive(Debug, Default)]
pub struct Channel {
    /// The plugin that sends for it.
    plugin: String,
    methods: BTreeSet<String>,
}

impl Channel {
    /// Whether there is `channel.<id>.<what>`.
    pub fn can(&self, what: &str) -> bool {
        self.methods.contains(what)
    }

    /// Whether it is this plugin's.
    pub fn belongs_to(&self, plugin: &str) -> bool {
        self.plugin == plugin
    }
}

/// The registry, as far as channels go.
pub struct Directory {
    host: Host,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// How often it was said to have changed.
    changes: u64,
    read: Option<(u64, Arc<Channels>)>,
}

impl Directory {
    pub fn new(host: Host) -> Self {
        Directory { host, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The registry has changed: what was read of it is old.
    pub fn changed(&self) {
        self.known().changes += 1;
    }

    /// As it is now.
    pub async fn read(&self) -> Result<Arc<Channels>, MethodError> {
        let changes = {
            let known = self.known();
            match &known.read {
                Some((changes, read)) if *changes == known.changes => return Ok(read.clone()),
                _ => known.changes,
            }
        };
        let registry: Registry = self.host.invoke("host.registry.list", &NoParams {}).send().await?;
        let read = Arc::new(channels(registry));
        self.known().read = Some((changes, read.clone()));
        Ok(read)
    }

    /// As it is now, whether or not anybody said that it has changed.
    pub async fn read_anew(&self) -> Result<Arc<Channels>, MethodError> {
        self.changed();
        self.read().await
    }

    /// The channel of this name, in any case of letters, and its id.
    pub async fn find(&self, name: &str) -> Result<Option<String>, MethodError> {
        let channels = self.read().await?;
        Ok(channels.keys().find(|id| id.eq_ignore_ascii_case(name.trim())).cloned())
    }
}

fn channels(registry: Registry) -> Channels {
    let mut channels = Channels::new();
    for row in registry.methods {
        let Some((id, what)) = row.spec.name.strip_prefix("channel.").and_then(|name| name.split_once('.')) else {
            continue;
        };
        if id.is_empty() {
            continue;
        }
        let channel = channels.entry(id.to_string()).or_default();
        if what == "send" {
            channel.plugin = row.plugin;
        }
        channel.methods.insert(what.to_string());
    }
    channels
}

/// Of the registry, only names matter here; its schemas are skipped unread.
#[derive(Deserialize)]
struct Registry {
    methods: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    plugin: String,
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    name: String,
}
