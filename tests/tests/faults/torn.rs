//! Databases that were damaged while the gateway was away: cut short, or with a page of something else in them.

use std::path::Path;

use clawhost_tests::reloading::{reload, row};
use clawhost_tests::support::{Connect, Gateway, Key};
use serde_json::{Value, json};

use super::means::names_no_path;

/// SQLite's usual page.
const PAGE: usize = 4096;

/// How a file is damaged.
type Damage = (&'static str, fn(&mut Vec<u8>));

const DAMAGES: [Damage; 3] = [
    ("cut in half", |bytes| bytes.truncate(bytes.len() / 2 / PAGE * PAGE + 100)),
    ("its first page overwritten", |bytes| bytes[..PAGE].fill(0xa5)),
    ("all pages but the first overwritten", |bytes| bytes[PAGE..].fill(0xa5)),
];

#[tokio::test]
async fn a_damaged_state_file_stops_the_start_and_stays_as_it_is() {
    let key = Key::new(1);
    let gateway = Gateway::start().await;
    gateway.connect(&Connect::operator().device(&key)).await.close().await;
    let mut stopped = gateway.stop().await;
    let file = stopped.state_dir().join("state.db");
    for (what, damage) in DAMAGES {
        let whole = std::fs::read(&file).expect("it was made");
        let damaged = damage_file(&file, damage);
        let (code, said) = stopped.builder().fail().await;
        assert_eq!(code, 1, "{what}: {said}");
        assert!(said.contains("state.db") && said.contains("restore a backup"), "{what}: {said}");
        assert!(std::fs::read(&file).expect("it is there") == damaged, "{what}: something was written over it");
        // What the sentence says helps.
        std::fs::write(&file, whole).expect("it is ours");
        let gateway = stopped.restart().await;
        let mut admin = gateway.admin().await;
        let list = admin.ok("device.pair.list", json!({})).await;
        assert_eq!(list["paired"][0]["deviceId"], key.id(), "{what}: {list}");
        admin.close().await;
        stopped = gateway.stop().await;
    }
}

/// A plugin, its file, and what it is asked for.
const PLUGINS: [(&str, &str, &str); 2] =
    [("cron", "cron.db", "cron.list"), ("sessions", "sessions.db", "sessions.list")];

#[tokio::test]
async fn a_damaged_file_of_a_plugin_costs_that_plugin_only_and_stays_as_it_is() {
    let gateway = Gateway::start().await;
    let mut client = gateway.admin().await;
    let job = json!({ "name": "tea", "schedule": { "kind": "every", "everyMs": 86_400_000 }, "sessionTarget": "main",
                      "wakeMode": "next-heartbeat", "payload": { "kind": "systemEvent", "text": "tea" } });
    client.ok("cron.add", job).await;
    client.ok("sessions.patch", json!({ "key": "main", "label": "home" })).await;
    let mut whole = Vec::new();
    for (_, _, method) in PLUGINS {
        whole.push(client.ok(method, json!({})).await);
    }
    client.close().await;
    let mut stopped = gateway.stop().await;
    for (what, damage) in DAMAGES {
        let files = PLUGINS.map(|(plugin, name, _)| stopped.state_dir().join("data").join(plugin).join(name));
        let good = files.each_ref().map(|file| std::fs::read(file).expect("it was made"));
        let bad = files.each_ref().map(|file| damage_file(file, damage));
        let gateway = stopped.restart().await;
        let mut client = gateway.admin().await;
        for ((_, name, method), (file, bad)) in PLUGINS.iter().zip(files.iter().zip(&bad)) {
            let error = client.refused(method, json!({})).await;
            // One of them is not there without its file, the other one answers that it cannot read.
            let is_gone = error.message == format!("unknown method: {method}");
            assert!(is_gone || error.code == "UNAVAILABLE", "{what}: {error:?}");
            names_no_path(&format!("{error:?}"), &gateway.state_dir());
            let line = gateway.log_line(&file.display().to_string()).await;
            assert!(line.contains("restore a backup"), "{what}: {line}");
            assert!(std::fs::read(file).expect("it is there") == *bad, "{what}: something was written over {name}");
        }
        client.ok("health", json!({})).await;
        client.ok("device.pair.list", json!({})).await;
        // The backup is brought back while the gateway runs.
        for (((plugin, ..), file), good) in PLUGINS.iter().zip(&files).zip(&good) {
            for beside in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{beside}", file.display()));
            }
            std::fs::write(file, good).expect("it is ours");
            let now = row(&mut client, plugin).await;
            assert_eq!(reload(&mut client, plugin).await["state"], "running", "{what}: {now}");
        }
        for ((.., method), whole) in PLUGINS.iter().zip(&whole) {
            assert_eq!(without_times(client.ok(method, json!({})).await), without_times(whole.clone()), "{what}");
        }
        client.close().await;
        stopped = gateway.stop().await;
    }
}

/// Damages a file: its bytes now.
fn damage_file(file: &Path, damage: fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = std::fs::read(file).expect("it was made");
    assert!(bytes.len() > 2 * PAGE, "{} has {} bytes", file.display(), bytes.len());
    damage(&mut bytes);
    std::fs::write(file, &bytes).expect("it is ours");
    bytes
}

/// An answer without what says when it was given.
fn without_times(mut answer: Value) -> Value {
    if let Some(fields) = answer.as_object_mut() {
        fields.retain(|name, _| name != "ts");
    }
    answer
}
