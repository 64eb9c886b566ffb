//! A disk without room, and one that cannot be written: before the start, and while the gateway runs.

use std::path::Path;

use clawhost_tests::support::{Client, Connect, Gateway, Key, Knock};
use schemas::ErrorShape;
use serde_json::{Value, json};

use super::means::{Disk, limit, names_no_path};

/// More writes of a kind than fit into what a database has left in files that it has already.
const WRITES: usize = 5_000;

/// What is asked for again and again until the disk is full, and the file that is full then.
const KINDS: [(&str, &str); 2] = [("cron.add", "cron.db"), ("chat.send", "state.db")];

#[tokio::test]
async fn a_full_disk_costs_what_cannot_be_kept_and_nothing_else() {
    let Some(disk) = Disk::small("a_full_disk_costs_what_cannot_be_kept_and_nothing_else") else { return };
    let gateway = Gateway::builder().state_at(&disk.state()).start().await;
    let key = Key::new(1);
    let (mut admin, token, before) = lived_in(&gateway, &key).await;

    disk.fill();
    for (method, file) in KINDS {
        let (_, error) = until_full(&mut admin, method).await;
        is_refused(&gateway, method, &error);
        let line = gateway.log_line(file).await;
        assert!(line.contains("full"), "{line}");
    }
    // The host's own file: a device that knocks is not told that it waits, since nothing would remember it.
    let mut full = false;
    for number in 2..200 {
        let mut stranger = gateway.knock_with(&Knock::remote()).await;
        let refused = stranger.connect(&Connect::operator().device(&Key::new(number))).await.expect_err("a stranger");
        names_no_path(&format!("{refused:?}"), &gateway.state_dir());
        if refused.error.code != "NOT_PAIRED"
            || refused.error.details.as_ref().is_none_or(|it| it["requestId"].is_null())
        {
            full = true;
            break;
        }
    }
    assert!(full, "a full disk kept every knock");
    let line = gateway.log_line("a device was not admitted").await;
    assert!(line.contains("state.db"), "{line}");
    // Whatever needs no disk is served.
    admin.ok("health", json!({})).await;
    gateway.assert_healthy().await;
    gateway.connect(&Connect::operator().device(&key).token(&token)).await.close().await;

    disk.make_room();
    admin.ok("cron.add", job("after")).await;
    say(&mut admin, "after").await;
    contains(&kept(&mut admin).await, &before);
    admin.close().await;
    let gateway = gateway.stop().await.restart().await;
    let mut admin = gateway.connect(&Connect::operator().device(&key).token(&token)).await;
    let now = kept(&mut admin).await;
    contains(&now, &before);
    assert!(now.iter().any(|it| it == "after"), "{now:?}");
    admin.close().await;
    gateway.stop().await;
}

/// How long any file may be: `prlimit` sets it for the gateway alone, and can take it back.
const NOTHING: &str = "--fsize=0:";
const ANYTHING: &str = "--fsize=unlimited:";

#[tokio::test]
async fn a_disk_that_takes_no_more_writes_costs_what_cannot_be_kept_and_nothing_else() {
    let name = "a_disk_that_takes_no_more_writes_costs_what_cannot_be_kept_and_nothing_else";
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let (mut admin, token, before) = lived_in(&gateway, &key).await;

    if !limit(name, &gateway, NOTHING) {
        return;
    }
    for (method, file) in KINDS {
        let params = if method == "cron.add" { job("amid") } else { words("amid") };
        is_refused(&gateway, method, &admin.refused(method, params).await);
        let line = gateway.log_line(file).await;
        assert!(line.contains("disk I/O error"), "{line}");
    }
    let mut stranger = gateway.knock_with(&Knock::remote()).await;
    let refused = stranger.connect(&Connect::operator().device(&Key::new(2))).await.expect_err("a stranger");
    names_no_path(&format!("{refused:?}"), &gateway.state_dir());
    let waits = refused.error.details.as_ref().is_some_and(|details| details["requestId"].is_string());
    assert!(!waits, "nothing remembers it: {refused:?}");
    let line = gateway.log_line("a device was not admitted").await;
    assert!(line.contains("state.db"), "{line}");
    // Whatever needs no disk is served, and what was refused has not happened.
    admin.ok("health", json!({})).await;
    assert_eq!(kept(&mut admin).await, before);
    gateway.assert_healthy().await;
    gateway.connect(&Connect::operator().device(&key).token(&token)).await.close().await;

    // It takes some again: files that have so much, up to the middle of a page.
    let log = gateway.state_file("data/cron/cron.db-wal");
    let room = std::fs::metadata(log).expect("the database has a log").len() + 50_001;
    assert!(limit(name, &gateway, &format!("--fsize={room}:")));
    let (took, error) = until_full(&mut admin, "cron.add").await;
    is_refused(&gateway, "cron.add", &error);

    // What was refused may be asked for again, by the same name.
    assert!(limit(name, &gateway, ANYTHING));
    admin.ok("cron.add", job("amid")).await;
    say(&mut admin, "amid").await;
    admin.close().await;
    let gateway = gateway.stop().await.restart().await;
    let mut admin = gateway.connect(&Connect::operator().device(&key).token(&token)).await;
    let now = kept(&mut admin).await;
    contains(&now, &before);
    contains(&now, &took);
    assert_eq!(now.iter().filter(|it| *it == "amid").count(), 3, "a job, a message and its answer: {now:?}");
    admin.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_gateway_says_what_to_do_where_it_cannot_write() {
    let Some(disk) = Disk::small("a_gateway_says_what_to_do_where_it_cannot_write") else { return };
    let gateway = Gateway::builder().state_at(&disk.state()).start().await;
    let mut admin = gateway.admin().await;
    say(&mut admin, "before").await;
    admin.ok("cron.add", job("before")).await;
    let before = kept(&mut admin).await;
    admin.close().await;
    let stopped = gateway.stop().await;
    let files = contents(&disk.state());

    disk.read_only(true);
    let (code, said) = stopped.builder().fail().await;
    assert_eq!(code, 1, "{said}");
    // The first file that it would write is the one that tells it.
    says(&said, &disk.state().join("gateway.lock"), "the gateway must be able to write to it and to its folder");
    disk.read_only(false);

    disk.fill();
    let (code, said) = stopped.builder().fail().await;
    assert_eq!(code, 1, "{said}");
    says(&said, &disk.state().join("state.db"), "look whether its disk is in order and has room");
    disk.make_room();
    for (file, bytes) in &files {
        assert!(std::fs::read(file).is_ok_and(|now| now == *bytes), "{} was changed", file.display());
    }

    let gateway = stopped.restart().await;
    let mut admin = gateway.admin().await;
    contains(&kept(&mut admin).await, &before);
    admin.close().await;
    gateway.stop().await;
}

/// One line names the file and says what to do.
fn says(said: &str, file: &Path, advice: &str) {
    let file = format!("{}: ", file.display());
    assert!(said.lines().any(|line| line.contains(&file) && line.contains(advice)), "{file}{advice}: {said}");
}

/// Asks until there is no room for it: what was taken, and the refusal.
async fn until_full(client: &mut Client, method: &str) -> (Vec<String>, ErrorShape) {
    let mut took = Vec::new();
    while took.len() < WRITES {
        let name = format!("full-{}", took.len());
        let params = if method == "cron.add" { job(&name) } else { words(&name) };
        let id = client.request(method, params).await;
        match client.reply(&id).await.error {
            Some(error) => return (took, error),
            None => took.push(name),
        }
    }
    panic!("a full disk took {WRITES} times {method}")
}

/// It cannot be done now, and nobody learns where it would have been kept.
fn is_refused(gateway: &Gateway, method: &str, error: &ErrorShape) {
    assert_eq!(error.code, "UNAVAILABLE", "{method}: {error:?}");
    names_no_path(&format!("{error:?}"), &gateway.state_dir());
}

fn job(name: &str) -> Value {
    json!({ "name": name, "schedule": { "kind": "every", "everyMs": 86_400_000 }, "sessionTarget": "main",
            "wakeMode": "next-heartbeat", "payload": { "kind": "systemEvent", "text": "x".repeat(3_000) } })
}

fn words(key: &str) -> Value {
    json!({ "sessionKey": "main", "message": key, "idempotencyKey": key })
}

/// A gateway with a device, a job and a message: the device's connection, its token, and what is kept.
async fn lived_in(gateway: &Gateway, key: &Key) -> (Client, String, Vec<String>) {
    let mut admin = gateway.connect(&Connect::operator().device(key)).await;
    let token = admin.hello["auth"]["deviceToken"].as_str().expect("a device token").to_string();
    admin.ok("cron.add", job("before")).await;
    say(&mut admin, "before").await;
    let before = kept(&mut admin).await;
    (admin, token, before)
}

/// A message, and its answer.
async fn say(client: &mut Client, what: &str) {
    client.ok("chat.send", words(what)).await;
    assert_eq!(client.ok("agent.wait", json!({ "runId": what })).await["status"], "ok");
}

/// What a gateway remembers: jobs, and what was said.
async fn kept(client: &mut Client) -> Vec<String> {
    let jobs = client.ok("cron.list", json!({ "includeDisabled": true })).await;
    let history = client.ok("chat.history", json!({ "sessionKey": "main", "limit": 1000 })).await;
    let text = |value: &Value| value.as_str().map(str::to_string);
    let jobs = jobs["jobs"].as_array().expect("jobs").iter().filter_map(|job| text(&job["name"]));
    let said = history["messages"].as_array().expect("messages").iter();
    jobs.chain(said.filter_map(|message| text(&message["content"][0]["text"]))).collect()
}

fn contains(now: &[String], before: &[String]) {
    for it in before {
        assert!(now.contains(it), "{it} is gone");
    }
}

/// The databases of a state folder.
fn contents(state: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let files = [state.join("state.db"), state.join("data/cron/cron.db"), state.join("data/sessions/sessions.db")];
    files.into_iter().map(|file| (file.clone(), std::fs::read(file).expect("it was made"))).collect()
}
