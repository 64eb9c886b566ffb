//! Which surfaces are approved and which wait, by device. Kept in the plugin's key-value state and mirrored here.
//!
//! A record belongs to one pairing of a device: when the device is removed and paired again, what was approved for it
//! before counts no more.

use std::collections::{BTreeMap, HashMap, HashSet};

use plugin_api::catalogue::PairedDevice;
use plugin_api::{Batch, HostError, Kv};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::surface::{About, Pairing, Surface};

const APPROVED: &str = "approved/";
const PENDING: &str = "pending/";

/// An approved surface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approved {
    pub pairing: Pairing,
    pub about: About,
    pub surface: Surface,
    /// Commands that it asked for and was not given: it does not ask for them again, whatever else it asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<String>,
    pub created_at_ms: u64,
    pub approved_at_ms: u64,
}

/// A surface that waits, and which pairing of the device it is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    pub pairing: Pairing,
    pub request: Request,
}

/// A node that waits for approval of its surface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Id of the request.
    pub request_id: String,
    /// The node.
    pub node_id: String,
    #[serde(flatten)]
    pub about: About,
    /// What it asks for; of its commands those alone that nobody has decided about yet.
    #[serde(flatten)]
    pub surface: Surface,
    /// Commands that it offers as well, and that were withheld from it before. It does not ask for them: they are approved
    /// only if they are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld_commands: Vec<String>,
    /// Scopes that its approval takes.
    pub required_approve_scopes: Vec<String>,
    /// Whether its device was paired without a human.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<bool>,
    /// When it asked, in milliseconds since the epoch.
    pub ts: u64,
}

/// What the host said of paired devices: of all, or of those it was asked for.
pub struct Devices {
    asked: Option<HashSet<String>>,
    paired: HashMap<String, PairedDevice>,
}

impl Devices {
    /// Of all of them, or of these.
    pub fn new(asked: Option<HashSet<String>>, paired: Vec<PairedDevice>) -> Self {
        Devices { asked, paired: paired.into_iter().map(|device| (device.device_id.clone(), device)).collect() }
    }

    /// A device, if it is paired.
    pub fn get(&self, id: &str) -> Option<&PairedDevice> {
        self.paired.get(id)
    }

    /// Every device that is paired.
    pub fn paired(&self) -> impl Iterator<Item = &PairedDevice> {
        self.paired.values()
    }

    /// Whether this says anything of a device at all: that it is paired, or that it is not.
    fn tell_of(&self, id: &str) -> bool {
        self.asked.as_ref().is_none_or(|asked| asked.contains(id))
    }
}

/// The records.
#[derive(Default)]
pub struct Book {
    pub approved: BTreeMap<String, Approved>,
    pub pending: BTreeMap<String, Waiting>,
}

/// What reconciling a node with the book came to.
#[derive(Default)]
pub struct Reconciled {
    /// What the node may offer now.
    pub effective: Surface,
    /// A request that was made.
    pub requested: Option<Request>,
    /// One that is no more, because the node declares something else now.
    pub dropped: Option<Request>,
}

impl Book {
    /// The records as they were written.
    pub fn load(kv: Kv) -> Result<Self, HostError> {
        Ok(Book { approved: read(kv, APPROVED)?, pending: read(kv, PENDING)? })
    }

    /// Holds what a node declares against the book, which was pruned, and adds what has to be written to `batch`.
    pub fn reconcile(
        &mut self,
        device: &PairedDevice,
        about: &About,
        declared: &Surface,
        mut batch: Batch,
    ) -> (Reconciled, Batch) {
        let (id, pairing) = (&device.device_id, Pairing::of(device));
        let mut done = Reconciled::default();
        let known = self.approved.get(id);
        let approved = known.map(|known| known.surface.clone()).unwrap_or_default();
        done.effective = approved.meet(declared);
        let is_withheld = |command: &String| known.is_some_and(|known| known.withheld.contains(command));
        let (withheld, mut commands): (Vec<_>, Vec<_>) = declared.commands.iter().cloned().partition(is_withheld);
        commands.retain(|command| !approved.commands.contains(command));
        let asked = Surface { commands, ..declared.clone() };
        let is_covered = approved.covers(&asked);
        let is_same = |request: &Request| request.surface == asked && request.withheld_commands == withheld;
        let stays = |known: &Waiting| !is_covered && known.pairing == pairing && is_same(&known.request);
        if let Some(known) = self.pending.get(id)
            && !stays(known)
        {
            done.dropped = self.pending.remove(id).map(|known| known.request);
            batch = batch.delete(&format!("{PENDING}{id}"));
        }
        if !is_covered && !self.pending.contains_key(id) {
            let request = Request {
                request_id: uuid::Uuid::new_v4().to_string(),
                node_id: id.clone(),
                about: about.clone(),
                required_approve_scopes: asked.required_scopes(),
                surface: asked,
                withheld_commands: withheld,
                silent: (device.approved_via.as_deref() == Some("silent")).then_some(true),
                ts: schemas::now_ms(),
            };
            done.requested = Some(request.clone());
            batch = self.wait(Waiting { pairing, request }, batch);
        }
        (done, batch)
    }

    /// Commands that a node asked for and was not given.
    pub fn withheld(&self, node_id: &str) -> &[String] {
        self.approved.get(node_id).map(|known| known.withheld.as_slice()).unwrap_or_default()
    }

    /// A request by its id.
    pub fn request(&self, request_id: &str) -> Option<&Waiting> {
        self.pending.values().find(|waiting| waiting.request.request_id == request_id)
    }

    /// Enters a request.
    pub fn wait(&mut self, waiting: Waiting, batch: Batch) -> Batch {
        let batch = batch.set(&format!("{PENDING}{}", waiting.request.node_id), json(&waiting));
        self.pending.insert(waiting.request.node_id.clone(), waiting);
        batch
    }

    /// Forgets a node's request.
    pub fn decide(&mut self, node_id: &str, batch: Batch) -> (Option<Waiting>, Batch) {
        (self.pending.remove(node_id), batch.delete(&format!("{PENDING}{node_id}")))
    }

    /// Writes an approval down, without taking it over yet.
    pub fn write_approval(&self, node_id: &str, approved: &Approved, batch: Batch) -> Batch {
        batch.set(&format!("{APPROVED}{node_id}"), json(approved))
    }

    /// Forgets a node's approval.
    pub fn forget(&mut self, node_id: &str, batch: Batch) -> (Option<Approved>, Batch) {
        (self.approved.remove(node_id), batch.delete(&format!("{APPROVED}{node_id}")))
    }

    /// Forgets what is of devices that are not paired any more, or are paired anew, as far as the list tells.
    pub fn prune(&mut self, devices: &Devices, mut batch: Batch) -> (bool, Batch) {
        let stands = |id: &str, pairing: &Pairing| {
            !devices.tell_of(id) || devices.get(id).is_some_and(|it| Pairing::of(it) == *pairing)
        };
        let approved = self.approved.iter().filter(|(id, record)| !stands(id, &record.pairing));
        let approved: Vec<String> = approved.map(|(id, _)| id.clone()).collect();
        let pending = self.pending.iter().filter(|(id, record)| !stands(id, &record.pairing));
        let pending: Vec<String> = pending.map(|(id, _)| id.clone()).collect();
        for id in &approved {
            batch = self.forget(id, batch).1;
        }
        for id in &pending {
            batch = self.decide(id, batch).1;
        }
        (!approved.is_empty() || !pending.is_empty(), batch)
    }
}

fn read<T: DeserializeOwned>(kv: Kv, prefix: &str) -> Result<BTreeMap<String, T>, HostError> {
    let entries = kv.scan(prefix)?.into_iter().map(|(key, value)| {
        let record = serde_json::from_str(&value).map_err(|_| HostError::Invalid)?;
        Ok((key[prefix.len()..].to_string(), record))
    });
    entries.collect()
}

fn json<T: Serialize>(record: &T) -> String {
    // Texts, numbers and structs of them always have a JSON form.
    serde_json::to_string(record).unwrap_or_default()
}
