//! Devices: whether this program's own is paired, and who waits to be let in.

use client::{Connection, Identity};
use plugin_api::catalogue::PairingList;
use serde::Deserialize;
use serde_json::Value;

use super::finding::Finding;
use super::gateway::silent;
use crate::session::Question;
use crate::target::{IDENTITY, Target};

const CHECK: &str = "pairing";

/// Asks the gateway.
pub async fn examine(connection: &Connection, target: &Target) -> Vec<Finding> {
    let mut findings = Vec::new();
    match Question::new("device.pair.list", "devices").ask_for::<PairingList>(connection).await {
        Ok(list) => {
            findings.push(own(&list, target));
            findings.extend(waiting(list.pending.len(), "device", "clawhost devices list"));
        }
        Err(failure) => findings.push(silent("device.pair.list", &failure)),
    }
    match Question::new("node.pair.list", "node").ask_for::<Nodes>(connection).await {
        Ok(list) => findings.extend(waiting(list.pending.len(), "node", "clawhost nodes pending")),
        Err(failure) => findings.push(silent("node.pair.list", &failure)),
    }
    findings
}

#[derive(Deserialize)]
struct Nodes {
    pending: Vec<Value>,
}

fn own(list: &PairingList, target: &Target) -> Finding {
    let Ok(folder) = target.state_dir() else {
        return Finding::note(CHECK, "there is no state folder to keep a device in");
    };
    let file = folder.join(IDENTITY);
    match Identity::load(&file) {
        Err(error) => Finding::error(CHECK, error.to_string()).file(file).edit("restore the file, or move it away"),
        Ok(None) => Finding::ok(CHECK, "this program has no device of its own: the shared secret lets it in"),
        Ok(Some(identity)) => {
            let id = identity.device_id();
            if list.paired.iter().any(|device| device.device_id == id) {
                return Finding::ok(CHECK, "this program's device is paired").file(file);
            }
            let what = "this program's device is not paired with this gateway; the shared secret lets it in without";
            Finding::note(CHECK, what).file(file)
        }
    }
}

fn waiting(count: usize, what: &str, command: &str) -> Option<Finding> {
    let sentence = match count {
        0 => return None,
        1 => format!("1 {what} waits to be approved"),
        many => format!("{many} {what}s wait to be approved"),
    };
    Some(Finding::note(CHECK, sentence).run(command))
}
