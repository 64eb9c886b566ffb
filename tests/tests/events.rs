//! Events as clients hear them: who hears which, in what order, with which numbers.

use std::time::Instant;

use clawhost_tests::support::{Client, Connect, Frame, Gateway, Key, Knock};
use schemas::frame::EventFrame;
use serde_json::{Value, json};

fn rows(payload: &Value) -> &Vec<Value> {
    payload["presence"].as_array().expect("a list")
}

#[tokio::test]
async fn presence_tells_who_comes_and_goes() {
    let gateway = Gateway::start().await;
    let mut watcher = gateway.operator(&["operator.read"]).await;
    let guest = Connect::operator().client("test", "ui").about("displayName", "Guest").about("instanceId", "Inst-A");
    let client = gateway.connect(&guest).await;
    let of_guest = |payload: &Value, reason: &str| {
        rows(payload).iter().any(|row| row["instanceId"] == "Inst-A" && row["reason"] == reason)
    };
    let came = watcher.event_with("presence", |payload| of_guest(payload, "connect")).await;
    let payload = came.payload.expect("a payload");
    let row = rows(&payload).iter().find(|row| row["instanceId"] == "Inst-A").expect("its row");
    assert_eq!((&row["host"], &row["mode"], &row["roles"]), (&json!("Guest"), &json!("ui"), &json!(["operator"])));
    let version = came.state_version.expect("a version").presence;
    assert!(rows(&payload).iter().any(|row| row["mode"] == "gateway" && row["reason"] == "self"), "{payload}");

    client.close().await;
    let went = watcher.event_with("presence", |payload| of_guest(payload, "disconnect")).await;
    assert!(went.state_version.expect("a version").presence > version);

    let mut admin = gateway.admin().await;
    admin.ok("system-event", json!({ "text": "Node: shed (10.0.0.9) · mode node", "instanceId": "shed" })).await;
    watcher.event_with("presence", |payload| rows(payload).iter().any(|row| row["instanceId"] == "shed")).await;
    // Whoever comes now finds the same in hello-ok, and a method tells it too.
    let late = gateway.admin().await;
    let snapshot = late.hello["snapshot"]["presence"].to_string();
    assert!(snapshot.contains("\"shed\"") && snapshot.contains("Inst-A"), "{snapshot}");
    let listed = watcher.ok("system-presence", json!({})).await;
    assert_eq!(listed.as_array().map(Vec::len), late.hello["snapshot"]["presence"].as_array().map(Vec::len));
    for client in [watcher, admin, late] {
        client.close().await;
    }
}

#[tokio::test]
async fn both_connections_of_a_device_are_one_row() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let mut watcher = gateway.operator(&["operator.read"]).await;
    let app = gateway.connect(&Connect::operator().client("openclaw-macos", "ui").device(&key)).await;
    let node = gateway.connect(&Connect::node().client("openclaw-macos", "node").device(&key)).await;
    let both = |payload: &Value| {
        rows(payload).iter().any(|row| row["deviceId"] == key.id() && row["roles"] == json!(["node", "operator"]))
    };
    let event = watcher.event_with("presence", both).await;
    let payload = event.payload.expect("a payload");
    assert_eq!(rows(&payload).iter().filter(|row| row["deviceId"] == key.id()).count(), 1);
    app.close().await;
    // One of them is still there, so the row says nothing of a disconnect.
    let left = watcher
        .event_with("presence", |payload| {
            rows(payload).iter().any(|row| row["deviceId"] == key.id() && row["roles"] == json!(["node"]))
        })
        .await;
    assert!(!left.payload.expect("a payload").to_string().contains("\"reason\":\"disconnect\""));
    node.close().await;
    watcher.close().await;
}

#[tokio::test]
async fn health_comes_to_the_newcomer_alone() {
    let gateway = Gateway::start().await;
    let mut first = gateway.admin().await;
    first.ok("health", json!({})).await;
    let before = first.heard("health").len();
    for connect in [Connect::operator(), Connect::operator().scopes(&["operator.none"]), Connect::node()] {
        let mut newcomer = gateway.connect(&connect).await;
        let event = newcomer.event("health").await;
        assert_eq!(event.seq, None, "to it alone");
        assert_eq!(event.payload.expect("a payload")["ok"], true);
        assert!(newcomer.hello["snapshot"]["health"]["ok"] == true, "and in hello-ok");
        newcomer.close().await;
    }
    // Requests alone make no events for others: only a refresh does.
    for _ in 0..20 {
        first.ok("health", json!({})).await;
    }
    let heard = first.heard("health").iter().filter(|event| event.seq.is_some()).count();
    assert!(heard <= before + 3, "{heard} broadcasts after {before}");
    first.ok("health", json!({ "probe": true })).await;
    first.close().await;
}

#[tokio::test]
async fn a_refresh_is_broadcast_and_raises_the_version() {
    let gateway = Gateway::with_config("[plugins.health.config]\nrefresh_ms = 1000").await;
    let mut node = gateway.node(&Key::new(1)).await;
    let mut reader = gateway.operator(&["operator.read"]).await;
    let (mut last, mut heard) = (0, 0);
    while heard < 2 {
        let event = reader.event("health").await;
        if event.seq.is_some() {
            let version = event.state_version.expect("a version").health;
            assert!(version > last, "{version} after {last}");
            (last, heard) = (version, heard + 1);
        }
    }
    while node.event("health").await.seq.is_none() {}
    reader.close().await;
    node.close().await;
}

#[tokio::test]
async fn ticks_come_between_the_answers_under_load() {
    const INTERVAL: u64 = 500;
    let config = format!("[gateway.limits]\ntick_interval_ms = {INTERVAL}\nmax_in_flight = 10000");
    let gateway = Gateway::with_config(&config).await;
    let mut quiet = gateway.node(&Key::new(1)).await;
    let mut busy = gateway.admin().await;
    assert_eq!(quiet.hello["policy"]["tickIntervalMs"], INTERVAL);
    let mut sent = 0;
    // Answers of a few bytes: who has megabytes waiting may miss a tick, and that is not what is asked here.
    while busy.heard("tick").len() < 16 {
        let frames: Vec<_> = (sent..sent + 300)
            .map(|n| json!({ "type": "req", "id": format!("l{n}"), "method": "last-heartbeat" }))
            .collect();
        busy.send_all(&frames).await;
        for n in sent..sent + 300 {
            busy.answer(&format!("l{n}")).await.expect("an answer");
        }
        sent += 300;
    }
    let busy_heard = ticks(&busy);
    let (first, last) = (busy_heard[0], busy_heard[busy_heard.len() - 1]);
    quiet.event_with("tick", |tick| tick["ts"] == last).await;
    let quiet_heard: Vec<u64> = ticks(&quiet).into_iter().filter(|ts| (first..=last).contains(ts)).collect();
    assert_eq!(busy_heard, quiet_heard, "whoever is busy hears what the others hear");
    // One that is late is made up for, as long as it comes before the next one; a machine that has no time for longer than
    // that leaves some out, which must not be the rule.
    let (due, heard) = ((last - first) / INTERVAL, busy_heard.len() as u64 - 1);
    assert!(heard + due / 4 >= due, "{heard} ticks of {due} in {busy_heard:?}");
    quiet.close().await;
    busy.close().await;
}

/// The times that the ticks show that a client has read.
fn ticks(client: &Client) -> Vec<u64> {
    let shown = |tick: &EventFrame| tick.payload.as_ref().and_then(|payload| payload["ts"].as_u64());
    client.heard("tick").into_iter().map(|tick| shown(tick).expect("a time")).collect()
}

#[tokio::test]
async fn shutdown_is_told_and_closes_with_1012() {
    let gateway = Gateway::start().await;
    let mut operator = gateway.operator(&["operator.none"]).await;
    let mut node = gateway.node(&Key::new(1)).await;
    let mut stranger = gateway.knock().await;
    gateway.terminate();
    for client in [&mut operator, &mut node] {
        let event = client.event("shutdown").await;
        assert_eq!(event.payload, Some(json!({ "reason": "gateway stopping", "restartExpectedMs": null })));
        assert!(event.seq.is_some());
        client.expect_close(1012, "service restart").await;
        assert!(client.next().await.is_none_or(|frame| matches!(frame, Frame::Event(_))));
    }
    drop(stranger.closed().await);
    let stopped = gateway.stop().await;
    assert!(!stopped.state_dir().join("gateway.json").exists(), "nobody is led to a gateway that has gone");
}

#[tokio::test]
async fn a_running_call_is_answered_before_the_end() {
    let gateway = Gateway::builder().program(env!("CARGO_BIN_EXE_test_gateway")).start().await;
    let mut waiting = gateway.admin().await;
    let mut other = gateway.admin().await;
    let id = waiting.request("spike.wait", json!({ "gate": "g" })).await;
    gateway.metric_becomes("clawhost_calls_in_flight", 1.0).await;
    gateway.terminate();
    other.event("shutdown").await;
    // Drained, not cut off: the gate can still be opened and the answer still comes.
    other.ok("spike.open", json!({ "gate": "g" })).await;
    waiting.answer(&id).await.expect("an answer");
    waiting.expect_close(1012, "service restart").await;
    other.expect_close(1012, "service restart").await;
    gateway.stop().await;
}

#[tokio::test]
async fn guarded_events_reach_those_who_may_hear_them() {
    let gateway = Gateway::start().await;
    let mut pairing = gateway.operator(&["operator.pairing"]).await;
    let mut reader = gateway.operator(&["operator.read"]).await;
    let mut node = gateway.node(&Key::new(1)).await;
    let knocking = Connect::operator().device(&Key::new(2));
    gateway.knock_with(&Knock::remote()).await.connect(&knocking).await.expect_err("not paired");
    let requested = pairing.event("device.pair.requested").await.payload.expect("a payload");
    assert_eq!(requested["deviceId"], Key::new(2).id());
    // A row of presence is for readers.
    let guest = gateway.connect(&Connect::operator().client("test", "ui").about("instanceId", "guest")).await;
    reader.event_with("presence", |payload| payload.to_string().contains("guest")).await;
    guest.close().await;
    reader.event_with("presence", |payload| payload.to_string().contains("disconnect")).await;
    // An answer to each shows that nothing else is on its way.
    for client in [&mut pairing, &mut reader, &mut node] {
        client.ok("health", json!({})).await;
    }
    assert!(pairing.heard("presence").is_empty(), "pairing is not reading");
    assert!(reader.heard("device.pair.requested").is_empty() && reader.heard("device.pair.resolved").is_empty());
    assert!(node.heard("presence").is_empty() && node.heard("device.pair.requested").is_empty());
    for client in [pairing, reader, node] {
        client.close().await;
    }
}

#[tokio::test]
async fn numbers_begin_anew_with_each_connection() {
    let gateway = Gateway::with_config("[gateway.limits]\ntick_interval_ms = 50").await;
    for _ in 0..3 {
        // The client checks that the first number is 1, however many ticks there were before.
        let mut client = gateway.admin().await;
        client.event("tick").await;
        client.event("tick").await;
        client.close().await;
    }
}

#[tokio::test]
async fn hundreds_of_guests_make_few_lists() {
    let gateway = Gateway::start().await;
    let mut watcher = gateway.operator(&["operator.read"]).await;
    let mut guests = Vec::new();
    let begun = Instant::now();
    for n in 0..60 {
        let guest = Connect::operator().client("test", "ui").about("instanceId", &format!("guest-{n}"));
        guests.push(gateway.connect(&guest).await);
    }
    watcher.event_with("presence", |payload| rows(payload).len() == 61).await;
    // Ten a second at most, and fewer when the list is long.
    let (lists, most) = (watcher.heard("presence").len(), 3 + begun.elapsed().as_millis() as usize / 100);
    assert!(lists <= most.min(61), "{lists} lists for 60 guests in {:?}", begun.elapsed());
    drop(guests);
    watcher.close().await;
}
