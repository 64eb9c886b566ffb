use std::time::Duration;

use plugin_kit::{Harness, Running, Who};
use serde_json::{Value, json};

use super::Node;
use super::tests::{answer, approve, closed, device, node};

fn harness() -> Harness {
    let config = json!({ "queue_ttl_ms": { "system.which": 60_000 }, "max_queued": 2 });
    Harness::new::<Node>().answer("host.pairing.list", device(5)).config(config)
}

/// A node that was approved and is away.
fn away() -> Running {
    away_of(harness())
}

fn away_of(harness: Harness) -> Running {
    let plugin = harness.start();
    plugin.open_connection(&node(2, &["system.which"]));
    approve(&plugin);
    plugin.close_connection(&closed(2));
    plugin
}

fn question(key: &str, queue: &str) -> Value {
    json!({ "nodeId": "d1", "command": "system.which", "params": { "n": 1 }, "idempotencyKey": key, "queue": queue })
}

fn leave(plugin: &Running, key: &str) -> Value {
    plugin.call("node.invoke", question(key, "ticket")).payload()["queued"].clone()
}

fn listed(plugin: &Running) -> Value {
    plugin.call("node.queue.list", json!({})).payload()
}

#[test]
fn what_is_left_is_asked_once_when_the_node_is_back() {
    let plugin = away();
    let mut unasked = question("k", "ticket");
    unasked.as_object_mut().unwrap().remove("queue");
    assert_eq!(plugin.call("node.invoke", unasked).error().details.unwrap()["code"], "NOT_CONNECTED");
    let ticket = leave(&plugin, "k1");
    assert_eq!((&ticket["status"], &leave(&plugin, "k1")), (&json!("queued"), &ticket), "asked again, left once");
    let mut other = question("k1", "ticket");
    other["params"] = json!({ "n": 2 });
    assert!(plugin.call("node.invoke", other).error().message.contains("idempotencyKey"));
    leave(&plugin, "k2");
    let error = plugin.call("node.invoke", question("k3", "ticket")).error();
    assert_eq!((error.retryable, error.details), (Some(true), Some(json!({ "limit": "max_queued" }))));

    let back = node(3, &["system.which"]);
    plugin.open_connection(&back);
    for key in ["k1", "k2"] {
        let asked = plugin.wait_event("node.invoke.request").payload;
        assert_eq!((&asked["idempotencyKey"], &asked["paramsJSON"]), (&json!(key), &json!(r#"{"n":1}"#)));
        answer(&plugin, &back, &asked["id"], json!({ "payloadJSON": "{\"a\":1}" }));
        let done = plugin.wait_event("node.queue.done").payload;
        assert_eq!((&done["status"], &done["payload"]), (&json!("done"), &json!({ "a": 1 })));
    }
    plugin.close_connection(&closed(3));
    plugin.open_connection(&node(4, &["system.which"]));
    plugin.settle();
    let list = listed(&plugin);
    assert_eq!((&list["open"], &list["queued"][0]["status"]), (&json!(0), &json!("done")));
    let asks = plugin.events().into_iter().filter(|event| event.name == "node.invoke.request").count();
    assert_eq!(asks, 2, "nothing is asked twice");
}

#[test]
fn what_was_being_sent_at_a_crash_is_not_sent_again() {
    let plugin = away();
    leave(&plugin, "k1");
    leave(&plugin, "k2");
    let entries = plugin.kv_entries();
    let mut again = harness();
    for (key, value) in entries {
        let is_first = key.starts_with("queue/") && value.contains("\"k1\"");
        again = again.kv(&key, if is_first { value.replace("\"queued\"", "\"sent\"") } else { value });
    }
    let again = again.start();
    let lost = again.wait_event("node.queue.done").payload;
    assert_eq!((&lost["status"], &lost["error"]["code"]), (&json!("unknown"), &json!("OUTCOME_UNKNOWN")));
    again.open_connection(&node(3, &["system.which"]));
    assert_eq!(again.wait_event("node.invoke.request").payload["idempotencyKey"], "k2");
    again.close_connection(&closed(3));
    let lost = again.wait_event("node.queue.done").payload;
    assert_eq!((&lost["idempotencyKey"], &lost["status"]), (&json!("k2"), &json!("unknown")), "it went before it said");
    let kept = again.kv_entries().into_iter().filter(|(key, _)| key.starts_with("queue/"));
    assert!(kept.clone().count() == 2 && kept.into_iter().all(|(_, value)| value.contains("\"unknown\"")));
}

#[test]
fn a_mark_that_is_not_written_is_not_acted_on() {
    let plugin = away();
    leave(&plugin, "k1");
    plugin.fail_writes("disk full");
    plugin.open_connection(&node(3, &["system.which"]));
    plugin.settle();
    assert!(!plugin.events().iter().any(|event| event.name == "node.invoke.request"), "at most once");
}

#[test]
fn what_waits_is_taken_back_given_up_and_emptied() {
    let plugin = away();
    let ticket = leave(&plugin, "k1");
    let name = json!({ "ticket": ticket["ticket"] });
    assert_eq!(plugin.call("node.queue.cancel", name.clone()).payload()["status"], "cancelled");
    assert_eq!(plugin.wait_event("node.queue.done").payload["error"]["code"], "CANCELLED");
    assert_eq!(plugin.call("node.queue.cancel", name).error().details.unwrap()["status"], "cancelled");
    let unknown = plugin.call("node.queue.cancel", json!({ "ticket": "x" })).error();
    assert_eq!(unknown.message, "unknown ticket");

    leave(&plugin, "k2");
    plugin.advance(Duration::from_secs(61));
    assert_eq!(plugin.wait_event("node.queue.done").payload["status"], "expired");
    leave(&plugin, "k3");
    plugin.call("node.pair.remove", json!({ "nodeId": "d1" })).payload();
    assert_eq!(plugin.wait_event("node.queue.done").payload["error"]["code"], "APPROVAL_REVOKED");
    let error = plugin.call("node.invoke", question("k4", "ticket")).error();
    assert_eq!(error.details.unwrap()["code"], "NOT_CONNECTED", "nothing is approved");
}

#[test]
fn a_question_is_given_up_when_its_own_time_is_over() {
    let plugin = away();
    leave(&plugin, "k1");
    let second = leave(&plugin, "k2");
    plugin.call("node.queue.cancel", json!({ "ticket": second["ticket"] })).payload();
    plugin.advance(Duration::from_secs(30));
    // The second is over and gives way.
    let third = leave(&plugin, "k3");
    plugin.advance(Duration::from_secs(31));
    let rows = listed(&plugin)["queued"].clone();
    assert_eq!((&rows[0]["status"], &rows[1]), (&json!("expired"), &third));
    plugin.advance(Duration::from_secs(30));
    assert_eq!(listed(&plugin)["queued"][1]["status"], "expired");
}

#[test]
fn what_could_not_be_taken_back_waits_on() {
    let plugin = away();
    let ticket = leave(&plugin, "k1");
    plugin.fail_writes("disk full");
    let error = plugin.call("node.queue.cancel", json!({ "ticket": ticket["ticket"] })).error();
    assert_eq!(error.code, "UNAVAILABLE");
    assert_eq!(listed(&plugin)["queued"], json!([ticket]));
    assert!(!plugin.events().iter().any(|event| event.name == "node.queue.done"), "nothing became of it");
}

#[test]
fn a_question_that_does_not_fit_leaves_everything_as_it_was() {
    let config = json!({ "queue_ttl_ms": { "system.which": 60_000 }, "max_queued_bytes": 1024 });
    let plugin = away_of(Harness::new::<Node>().answer("host.pairing.list", device(5)).config(config));
    let over = leave(&plugin, "k1");
    plugin.call("node.queue.cancel", json!({ "ticket": over["ticket"] })).payload();
    let kept = listed(&plugin)["queued"].clone();
    let mut long = question("k2", "ticket");
    long["params"] = json!({ "n": "x".repeat(2000) });
    let error = plugin.call("node.invoke", long).error();
    assert_eq!(error.details, Some(json!({ "limit": "max_queued_bytes" })));
    assert_eq!(listed(&plugin)["queued"], kept);
}

#[test]
fn who_waits_is_answered_or_leaves_nothing_behind() {
    let plugin = away();
    let call = plugin.begin("node.invoke", question("k1", "wait"));
    plugin.wait_until("it waits", |plugin| listed(plugin)["waiting"] == 1);
    let back = node(3, &["system.which"]);
    plugin.open_connection(&back);
    let asked = plugin.wait_event("node.invoke.request").payload;
    answer(&plugin, &back, &asked["id"], json!({ "payload": 7 }));
    assert_eq!(call.wait().payload()["payload"], 7);

    plugin.close_connection(&closed(3));
    let call = plugin.begin("node.invoke", question("k2", "wait"));
    plugin.wait_until("it waits", |plugin| listed(plugin)["waiting"] == 1);
    plugin.advance(Duration::from_secs(31));
    assert_eq!(call.wait().error().message, "node invoke timed out");
    let list = listed(&plugin);
    assert_eq!((&list["waiting"], &list["open"], &list["queued"]), (&json!(0), &json!(0), &json!([])));
}

#[test]
fn a_node_that_was_not_ready_is_asked_again_when_it_is_back() {
    let plugin = away();
    leave(&plugin, "k1");
    let back = node(3, &["system.which"]);
    plugin.open_connection(&back);
    let asked = plugin.wait_event("node.invoke.request").payload;
    let asleep = json!({ "ok": false, "error": { "code": "NODE_BACKGROUND_UNAVAILABLE", "message": "asleep" } });
    answer(&plugin, &back, &asked["id"], asleep);
    plugin.wait_until("it is put back", |plugin| listed(plugin)["queued"][0]["status"] == "queued");
    plugin.close_connection(&closed(3));
    let awake = node(4, &["system.which"]);
    plugin.open_connection(&awake);
    let asked = plugin.wait_event("node.invoke.request").payload;
    answer(&plugin, &awake, &asked["id"], json!({}));
    assert_eq!(plugin.wait_event("node.queue.done").payload["status"], "done");
}

#[test]
fn an_answer_that_is_none_leaves_an_outcome_that_nobody_knows() {
    let plugin = away();
    leave(&plugin, "k1");
    let back = node(3, &["system.which"]);
    plugin.open_connection(&back);
    let asked = plugin.wait_event("node.invoke.request").payload;
    let said = json!({ "id": asked["id"], "nodeId": "d1", "ok": "yes" });
    assert_eq!(plugin.call_as(Who::of(&back), "node.invoke.result", said).error().code, "INVALID_REQUEST");
    let done = plugin.wait_event("node.queue.done").payload;
    assert_eq!((&done["status"], &done["error"]["code"]), (&json!("unknown"), &json!("OUTCOME_UNKNOWN")));
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused() {
    for (command, ttl_ms) in [("fs.listDir", 1000), ("system.which", 0), ("system.which", 8 * 24 * 60 * 60 * 1000)] {
        let config = json!({ "queue_ttl_ms": { command: ttl_ms as u64 } });
        assert!(Harness::new::<Node>().config(config).create_error().contains("queue_ttl_ms"), "{command} {ttl_ms}");
    }
}
