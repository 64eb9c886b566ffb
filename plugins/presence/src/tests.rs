use std::ops::RangeInclusive;
use std::time::Duration;

use plugin_api::catalogue::ConnectionOpened;
use plugin_kit::{Harness, Running, Who, sample};
use schemas::{ErrorShape, PresenceEntry};
use serde_json::{Value, json};

use super::Presence;

const QUIET: Duration = Duration::from_secs(2);

fn harness() -> Harness {
    Harness::new::<Presence>().answer("host.gateway.info", sample::gateway_info())
}

/// Started, and past the broadcast that every start makes.
fn start(harness: Harness) -> Running {
    let presence = harness.start();
    presence.advance(QUIET);
    presence
}

fn tracked(conn: u64, key: &str, host: &str, role: &str) -> ConnectionOpened {
    let mut opened = sample::opened(conn);
    opened.connection.role = role.into();
    opened.presence_key = Some(key.into());
    opened.presence = Some(PresenceEntry {
        host: Some(host.into()),
        mode: Some("ui".into()),
        reason: Some("connect".into()),
        roles: Some(vec![role.into()]),
        text: Some(format!("Node: {host} · mode ui")),
        ts: schemas::now_ms(),
        ..PresenceEntry::default()
    });
    opened
}

fn list(presence: &Running) -> Vec<PresenceEntry> {
    presence.call("system-presence", json!({})).parse()
}

fn lists_told(presence: &Running) -> Vec<Value> {
    presence.events().into_iter().filter(|event| event.name == "presence").map(|event| event.payload).collect()
}

fn queued(presence: &Running) -> Vec<String> {
    let events = presence.call_as(Who::plugin("agent"), "presence.system-events", json!({})).payload();
    events["events"].as_array().unwrap().iter().map(|event| event["text"].as_str().unwrap().to_string()).collect()
}

#[test]
fn the_gateway_itself_is_always_here() {
    let mut info = sample::gateway_info();
    info.ip = Some("192.0.2.2".into());
    info.platform = "linux 6.1".into();
    let presence = start(Harness::new::<Presence>().answer("host.gateway.info", info));
    let rows = list(&presence);
    assert_eq!(rows.len(), 1);
    let own = serde_json::to_value(&rows[0]).unwrap();
    let expected = json!({
        "host": "testhost", "ip": "192.0.2.2", "version": "1.0.0", "platform": "linux 6.1", "deviceFamily": "Linux",
        "modelIdentifier": "x86_64", "mode": "gateway", "reason": "self",
        "text": "Gateway: testhost (192.0.2.2) · app 1.0.0 · mode gateway · reason self", "ts": own["ts"],
    });
    assert_eq!(own, expected);
    assert!(own["ts"].as_u64().unwrap().abs_diff(schemas::now_ms()) < 60_000);
    assert_eq!(presence.snapshot("presence").unwrap()[0]["mode"], "gateway");
}

#[test]
fn without_word_from_the_host_there_is_a_row_all_the_same() {
    let silent = Harness::new::<Presence>().answer_error("host.gateway.info", ErrorShape::unavailable("not now"));
    let presence = start(silent);
    assert_eq!((list(&presence)[0].mode.as_deref(), presence.snapshot_version("presence")), (Some("gateway"), 1));
    assert!(presence.logs().iter().any(|line| line.message.contains("incomplete")));
}

#[test]
fn who_comes_and_goes_is_told() {
    let presence = start(harness());
    let before = lists_told(&presence).len();
    let phone = tracked(7, "dev", "phone", "node");
    presence.open_connection(&phone);
    let told = presence.events().pop().unwrap();
    assert!(told.droppable && told.stamped && told.conns.is_none() && told.name == "presence");
    assert_eq!(presence.snapshot("presence").unwrap(), told.payload["presence"]);
    assert_eq!(list(&presence).iter().filter(|row| row.host.as_deref() == Some("phone")).count(), 1);

    presence.advance(QUIET);
    presence.close_connection(&sample::closed(&phone));
    presence.advance(QUIET);
    let told = lists_told(&presence);
    assert_eq!(told.len(), before + 2);
    let rows = told.last().unwrap()["presence"].as_array().unwrap();
    let row = rows.iter().find(|row| row["host"] == "phone").unwrap();
    assert_eq!((&row["reason"], &row["text"]), (&json!("disconnect"), &json!("Node: phone · mode ui")));
}

#[test]
fn the_list_stays_small_and_the_oldest_rows_give_way() {
    let presence = start(harness());
    let text = "x".repeat(30_000);
    for n in 0..40 {
        let mut opened = tracked(n, &format!("k{n}"), &format!("host-{n}"), "operator");
        let entry = opened.presence.as_mut().unwrap();
        (entry.text, entry.ts) = (Some(text.clone()), n);
        presence.open_connection(&opened);
    }
    let rows = list(&presence);
    assert!((10..=18).contains(&rows.len()), "{}", rows.len());
    assert_eq!((rows[0].mode.as_deref(), rows[1].host.as_deref()), (Some("gateway"), Some("host-39")));
}

#[test]
fn clients_without_a_row_are_not_told_of() {
    let presence = start(harness());
    let before = lists_told(&presence).len();
    let cli = sample::opened(9);
    presence.open_connection(&cli);
    presence.close_connection(&sample::closed(&cli));
    presence.advance(QUIET);
    assert_eq!(lists_told(&presence).len(), before);
    assert_eq!(list(&presence).len(), 1);
}

#[test]
fn a_burst_goes_out_as_one_list() {
    let presence = start(harness());
    let before = lists_told(&presence).len();
    for conn in 1..=300 {
        presence.open_connection(&tracked(conn, &format!("key-{conn}"), &format!("host-{conn}"), "operator"));
    }
    assert_eq!(lists_told(&presence).len(), before + 1, "the first change goes out at once");
    presence.advance(QUIET);
    let told = lists_told(&presence);
    assert_eq!(told.len(), before + 2, "all others go out together");
    let rows = told.last().unwrap()["presence"].as_array().unwrap();
    assert_eq!(rows.len(), 200);
    assert!(rows.iter().any(|row| row["mode"] == "gateway"), "the own row is not pushed out");
    assert!(rows.iter().any(|row| row["host"] == "host-300"));
    presence.advance(Duration::from_secs(50));
    assert_eq!(lists_told(&presence).len(), before + 2, "nothing changed, nothing is told");
}

#[test]
fn the_pause_grows_with_those_who_hear_the_list_however_few_rows_there_are() {
    const CROWD: u64 = 5_000;
    const STEP: Duration = Duration::from_millis(100);
    let presence = start(harness());
    let crowd = |role: &str, conns: RangeInclusive<u64>| {
        let of_role = |n| tracked(n, &format!("key-{n}"), &format!("host-{n}"), role);
        conns.map(of_role).collect::<Vec<_>>()
    };
    // How long the second of two changes waits after the first went out.
    let pause = || {
        presence.advance(Duration::from_secs(10));
        let told = lists_told(&presence).len();
        presence.call("system-event", json!({ "text": "first", "deviceId": "d" })).payload();
        presence.call("system-event", json!({ "text": "second", "deviceId": "d" })).payload();
        assert_eq!(lists_told(&presence).len(), told + 1);
        let mut waited = Duration::ZERO;
        while lists_told(&presence).len() == told + 1 {
            presence.advance(STEP);
            waited += STEP;
        }
        waited
    };
    assert_eq!(pause(), Duration::from_millis(100));
    // Nodes have rows, and hear nothing.
    crowd("node", CROWD + 1..=CROWD + 600).iter().for_each(|opened| presence.open_connection(opened));
    assert_eq!((list(&presence).len(), pause()), (200, Duration::from_millis(1000)));
    let operators = crowd("operator", 1..=CROWD);
    operators.iter().for_each(|opened| presence.open_connection(opened));
    assert_eq!((list(&presence).len(), pause()), (200, Duration::from_millis(2000)));
    operators.iter().for_each(|opened| presence.close_connection(&sample::closed(opened)));
    assert_eq!(pause(), Duration::from_millis(1000));
}

#[test]
fn stale_rows_go_and_open_connections_stay() {
    let presence = start(harness().config(json!({ "ttl_ms": 0 })));
    let (stays, goes) = (tracked(1, "a", "stays", "operator"), tracked(2, "b", "goes", "operator"));
    presence.open_connection(&stays);
    presence.open_connection(&goes);
    presence.close_connection(&sample::closed(&goes));
    let hosts = |rows: &Value| {
        let rows = rows.as_array().unwrap().iter();
        rows.filter(|row| row["mode"] == "ui").map(|row| row["host"].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(hosts(&presence.call("system-presence", json!({})).payload()), ["stays"]);
    let (told, version) = (lists_told(&presence).len(), presence.snapshot_version("presence"));
    presence.advance(Duration::from_secs(120));
    assert_eq!(hosts(&presence.snapshot("presence").unwrap()), ["stays"]);
    assert!(presence.snapshot_version("presence") > version);
    assert!(lists_told(&presence).len() <= told + 1, "the sweep itself is not told");
}

#[test]
fn a_system_event_makes_a_row_and_is_queued() {
    let presence = start(harness());
    let before = lists_told(&presence).len();
    let text = "Node: Desk (10.0.0.4) · app 2026.1.24 · last input 12s ago · mode local · reason launch";
    let params =
        json!({ "text": text, "instanceId": "Desk-1", "tags": ["mac"], "lastInputSeconds": "soon", "x": null });
    assert_eq!(presence.call("system-event", params.clone()).payload(), json!({ "ok": true }));
    presence.advance(QUIET);
    let row = list(&presence).into_iter().find(|row| row.instance_id.as_deref() == Some("Desk-1")).unwrap();
    assert_eq!((row.host.as_deref(), row.ip.as_deref()), (Some("Desk"), Some("10.0.0.4")));
    assert_eq!((row.last_input_seconds, row.tags.unwrap().as_slice()), (Some(12), &["mac".to_string()][..]));
    assert_eq!(row.text.as_deref(), Some(text));
    assert_eq!(lists_told(&presence).len(), before + 1);
    assert_eq!(queued(&presence), [text]);

    presence.call("system-event", params).payload();
    let routine = text.replace("reason launch", "reason periodic");
    presence.call("system-event", json!({ "text": routine, "instanceId": "desk-1" })).payload();
    assert_eq!(queued(&presence), [text], "a machine that is still there is no news");
    presence.call("system-event", json!({ "text": "Backup finished" })).payload();
    assert_eq!(queued(&presence), [text, "Backup finished"]);
}

#[test]
fn a_system_event_and_a_connection_of_one_device_share_the_row() {
    let presence = start(harness());
    presence.open_connection(&tracked(3, "dev", "mac", "operator"));
    presence.call("system-event", json!({ "text": "awake", "deviceId": "DEV", "lastInputSeconds": 3 })).payload();
    let rows = list(&presence);
    assert_eq!(rows.len(), 2);
    let row = rows.iter().find(|row| row.host.as_deref() == Some("mac")).unwrap();
    assert_eq!((row.last_input_seconds, row.roles.as_deref()), (Some(3), Some(&["operator".to_string()][..])));
}

#[test]
fn a_text_is_required() {
    let presence = start(harness());
    for params in [json!({}), json!({ "text": null }), json!({ "text": "  " }), json!({ "text": ["a"] })] {
        let error = presence.call("system-event", params).error();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("INVALID_REQUEST", "text required"));
    }
    assert_eq!((list(&presence).len(), queued(&presence).len()), (1, 0));
}

#[test]
fn the_queue_is_short_survives_and_is_drained() {
    let presence = start(harness());
    for n in 0..30 {
        presence.call("system-event", json!({ "text": format!("event {n}") })).payload();
        presence.call("system-event", json!({ "text": format!("event {n}") })).payload();
    }
    let texts: Vec<_> = (10..30).map(|n| format!("event {n}")).collect();
    assert_eq!(queued(&presence), texts);
    let kept = presence.kv_entries();
    drop(presence);

    let harness = kept.into_iter().fold(harness(), |harness, (key, value)| harness.kv(&key, value));
    let presence = start(harness);
    assert_eq!(queued(&presence), texts);
    let agent = || Who::plugin("agent");
    let drained = presence.call_as(agent(), "presence.system-events.drain", json!({})).payload();
    assert_eq!(drained["events"].as_array().unwrap().len(), 20);
    assert!(drained["events"][0]["ts"].is_u64());
    assert!(presence.kv_entries().is_empty());
    assert_eq!(presence.call_as(agent(), "presence.system-events.drain", json!({})).payload(), json!({ "events": [] }));
}

#[test]
fn what_is_not_durable_is_not_accepted() {
    let presence = start(harness());
    presence.fail_writes("no space left on /dev/sda");
    let error = presence.call("system-event", json!({ "text": "lost" })).error();
    assert_eq!(error.code, "UNAVAILABLE");
    assert!(!error.message.contains("/dev"), "{}", error.message);
}

#[test]
fn who_may_ask() {
    let presence = start(harness());
    let reader = || Who::operator(&["operator.read"]);
    assert!(presence.call_as(reader(), "system-presence", json!({ "any": 1 })).result.is_ok());
    assert!(presence.call_as(Who::node(), "system-presence", json!({})).result.is_err());
    assert!(presence.call_as(Who::operator(&[]), "system-presence", json!({})).result.is_err());
    assert!(presence.call_as(reader(), "system-event", json!({ "text": "x" })).result.is_err());
    assert!(presence.call("presence.system-events", json!({})).result.is_err(), "internal, for admins too");
}

#[test]
fn after_quiesce_it_still_answers_and_does_nothing_else() {
    let presence = start(harness());
    presence.quiesce();
    assert_eq!((presence.subscriptions(), presence.timers()), (0, 0));
    assert_eq!(list(&presence).len(), 1);
}

#[test]
fn an_unknown_key_of_the_configuration_is_refused() {
    assert!(harness().config(json!({ "ttl": 5 })).create_error().contains("ttl"));
    assert!(harness().config(json!({ "max_rows": 1 })).create_error().contains("max_rows"));
}

#[test]
fn a_text_is_left_once_under_its_name_and_drained_as_far_as_it_was_read() {
    let presence = start(harness());
    let cron = || Who::plugin("cron");
    let push = |text: &str, key: &str| {
        let params = json!({ "text": text, "key": key });
        presence.call_as(cron(), "presence.system-events.push", params).payload()["queued"].clone()
    };
    assert_eq!([push("one", "a"), push("one", "b"), push("one", "a")], [true, true, false]);
    let listed = presence.call_as(cron(), "presence.system-events", json!({})).payload();
    let last = listed["last"].as_u64().expect("a number");
    assert_eq!(listed["events"].as_array().map(Vec::len), Some(2));
    assert_eq!(push("later", "c"), true);
    let read = presence.call_as(cron(), "presence.system-events.drain", json!({ "through": last })).payload();
    assert_eq!(read["events"].as_array().map(Vec::len), Some(2));
    let left = presence.call_as(cron(), "presence.system-events.drain", json!({})).payload();
    assert_eq!((left["events"].as_array().map(Vec::len), &left["events"][0]["text"]), (Some(1), &json!("later")));
    assert_eq!(push("later", "c"), false, "also when it was read");
    assert!(presence.call("presence.system-events.push", json!({ "text": "x" })).result.is_err(), "plugins only");
}

#[test]
fn texts_that_were_left_give_way_late_to_each_other_and_never_to_reports() {
    let presence = start(harness().config(json!({ "max_left_texts": 40, "max_left_bytes": 4_096 })));
    let push = |text: &str, key: &str| {
        let params = json!({ "text": text, "key": key });
        presence.call_as(Who::plugin("cron"), "presence.system-events.push", params).payload();
    };
    let left = || queued(&presence).into_iter().filter(|text| !text.starts_with("report")).collect::<Vec<_>>();
    let is_told = || presence.logs().iter().any(|line| line.message.contains("max_left_texts"));
    for n in 0..30 {
        push(&format!("left {n}"), &format!("k{n}"));
    }
    assert!(!is_told());
    for n in 0..30 {
        presence.call("system-event", json!({ "text": format!("report {n}") })).payload();
    }
    assert_eq!((left().len(), queued(&presence).len()), (30, 50));
    assert!(is_told(), "ten reports were given up");
    for n in 30..50 {
        let wake = json!({ "text": format!("left {n}") });
        presence.call_as(Who::plugin("heartbeat"), "presence.system-events.push", wake).payload();
    }
    assert_eq!(left(), (10..50).map(|n| format!("left {n}")).collect::<Vec<_>>());
    push(&"x".repeat(4_000), "large");
    assert!(left().len() <= 2, "{:?}", left());
    assert_eq!(queued(&presence).len() - left().len(), 20);
}
