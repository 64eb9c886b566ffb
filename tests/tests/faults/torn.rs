//! Databases that were damaged while the gateway was away: cut short, or with a page of something else in them. And logs of
//! databases, of which a crash may leave less than was written.

use std::path::{Path, PathBuf};

use clawhost_tests::reloading::{reload, row};
use clawhost_tests::support::{Client, Connect, Gateway, Key};
use database::rusqlite::Connection;
use serde_json::{Value, json};

use super::means::{copy, names_no_path};

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

/// SQLite's log begins with so many bytes, and each page in it with so many.
const LOG_HEAD: usize = 32;
const FRAME: usize = 24 + PAGE;

/// What a crash may leave of a log, the more first.
const TEARS: [Damage; 8] = [
    ("all of it", |_| {}),
    ("its last page with something else in it", |log| {
        let page = log.len() - PAGE;
        log[page..].fill(0xa5);
    }),
    ("half of its last page", |log| log.truncate(log.len() - PAGE / 2)),
    ("half of its pages and a part of the next one's head", |log| log.truncate(half(log) + 10)),
    ("half of its pages", |log| log.truncate(half(log))),
    ("a part of its first page", |log| log.truncate(LOG_HEAD + 100)),
    ("a part of its head", |log| log.truncate(LOG_HEAD / 2)),
    ("nothing", Vec::clear),
];

/// Where half of a log's pages end.
fn half(log: &[u8]) -> usize {
    LOG_HEAD + (log.len() - LOG_HEAD) / FRAME / 2 * FRAME
}

/// What happens before the crash, one after the other: so many notes, and a device with each.
const NOTES: usize = 20;

#[tokio::test]
async fn a_log_that_a_crash_left_torn_costs_what_was_torn_off_and_nothing_before_it() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.admin().await;
    admin.ok("chat.send", json!({ "sessionKey": "main", "message": "before", "idempotencyKey": "before" })).await;
    assert_eq!(admin.ok("agent.wait", json!({ "runId": "before" })).await["status"], "ok");
    admin.close().await;
    // All of that is in the files themselves: a stop leaves no logs.
    let gateway = gateway.stop().await.restart().await;
    let mut admin = gateway.admin().await;
    for number in 0..NOTES {
        note(&mut admin, number).await;
        gateway.connect(&Connect::operator().device(&device(number))).await.close().await;
    }
    drop(admin);
    let stopped = gateway.kill().await;
    let (state, left) = (stopped.state_dir(), tempfile::tempdir().expect("a temporary folder can be made"));
    copy(&state, left.path());

    let mut last = [NOTES; 2];
    for (what, tear) in TEARS {
        std::fs::remove_dir_all(&state).expect("it is ours");
        copy(left.path(), &state);
        let files = ["data/sessions/sessions.db", "state.db"].map(|file| state.join(file));
        for file in &files {
            damage_file(&PathBuf::from(format!("{}-wal", file.display())), tear);
        }
        let gateway = stopped.builder().start().await;
        let mut admin = gateway.admin().await;
        let kept = [notes_in_order(&mut admin, what).await, devices_in_order(&mut admin, what).await];
        eprintln!("{what}: {} notes and {} devices of {NOTES}", kept[0], kept[1]);
        assert!(kept[0] <= last[0] && kept[1] <= last[1], "{what}: more than of a longer log");
        match what {
            "all of it" => assert_eq!(kept, [NOTES; 2], "what was answered"),
            "nothing" => assert_eq!(kept, [0; 2], "the log is where it was"),
            "half of its pages" => assert!(kept.iter().all(|kept| (1..NOTES).contains(kept)), "{kept:?}"),
            _ => {}
        }
        last = kept;
        // It goes on from there.
        note(&mut admin, kept[0]).await;
        assert_eq!(notes_in_order(&mut admin, what).await, kept[0] + 1, "{what}");
        admin.close().await;
        gateway.stop().await;
        for file in &files {
            let database = Connection::open(file).expect("it is there");
            let check: String =
                database.pragma_query_value(None, "quick_check", |row| row.get(0)).expect("it is a database");
            assert_eq!(check, "ok", "{what}: {}", file.display());
        }
    }
}

async fn note(admin: &mut Client, number: usize) {
    admin.ok("chat.inject", json!({ "sessionKey": "main", "message": format!("note {number}") })).await;
}

fn device(number: usize) -> Key {
    Key::new(number as u8)
}

/// How many notes there are, if none is missing before the last and all that was there before them is.
async fn notes_in_order(admin: &mut Client, what: &str) -> usize {
    let history = admin.ok("chat.history", json!({ "sessionKey": "main", "limit": 1000 })).await;
    let messages = history["messages"].as_array().expect("messages").iter();
    let texts: Vec<_> = messages.map(|message| message["content"][0]["text"].as_str().expect("a text")).collect();
    assert_eq!(texts.get(..2), Some(&["before", "before"][..]), "{what}: {texts:?}");
    for (number, text) in texts[2..].iter().enumerate() {
        assert_eq!(*text, format!("note {number}"), "{what}: {texts:?}");
    }
    texts.len() - 2
}

/// How many devices are paired, if they are the first ones.
async fn devices_in_order(admin: &mut Client, what: &str) -> usize {
    let list = admin.ok("device.pair.list", json!({})).await;
    let paired = list["paired"].as_array().expect("a list");
    for number in 0..paired.len() {
        let id = device(number).id();
        assert!(paired.iter().any(|row| row["deviceId"] == *id), "{what}: device {number} of {} is gone", paired.len());
    }
    paired.len()
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
