use std::sync::{Arc, Mutex};
use std::time::Duration;

use plugin_api::catalogue::{PluginState, RegistryChanged, RegistryEntry, RegistryList};
use plugin_kit::{Harness, Running, StubCall, Who, sample};
use schemas::ErrorShape;
use serde_json::{Value, json};

use super::{Age, Health};

const SECOND: Duration = Duration::from_secs(1);

fn registry(methods: &[&str]) -> RegistryList {
    let plugin = |id: &str, state: &str, error: Option<&str>| PluginState {
        id: id.into(),
        version: "1.0.0".into(),
        summary: String::new(),
        origin: "linked".into(),
        state: state.into(),
        error: error.map(str::to_string),
        methods: Vec::new(),
        events: Vec::new(),
        calls: 0,
        errors: 0,
        panics: 0,
        http_port: None,
    };
    let entry = |name: &&str| RegistryEntry {
        kind: "method".into(),
        plugin: "other".into(),
        spec: json!({ "name": name, "role": "internal", "scopes": [], "params": {} }).into(),
    };
    RegistryList {
        plugins: vec![
            plugin("health", "running", None),
            plugin("logs", "disabled", None),
            plugin("weather", "failed", Some("cannot read /etc/weather.key: denied")),
        ],
        methods: methods.iter().map(entry).collect(),
        events: Vec::new(),
    }
}

fn harness(methods: &[&str]) -> Harness {
    Harness::new::<Health>().answer("host.registry.list", registry(methods))
}

fn refreshes(health: &Running) -> usize {
    health.asked().iter().filter(|asked| asked.method == "host.registry.list").count()
}

fn broadcasts(health: &Running) -> usize {
    health.events().iter().filter(|event| event.conns.is_none()).count()
}

/// Keeps the calls to a method until the test answers them.
fn held(harness: Harness, method: &str) -> (Harness, Arc<Mutex<Vec<StubCall>>>) {
    let calls: Arc<Mutex<Vec<StubCall>>> = Arc::default();
    let kept = calls.clone();
    (harness.answer_with(method, move |call| kept.lock().unwrap().push(call)), calls)
}

#[test]
fn the_summary_is_there_from_the_start() {
    let health = harness(&[]).start();
    let told = health.wait_event("health");
    assert!(told.stamped && !told.droppable && told.conns.is_none());
    let answer = health.call("health", json!({})).payload();
    assert_eq!((&answer, Some(&answer)), (&told.payload, health.snapshot("health").as_ref()));
    let agent = json!({
        "agentId": "main", "isDefault": true,
        "heartbeat": {
            "enabled": false, "every": "disabled", "everyMs": null, "prompt": "", "target": "none", "ackMaxChars": 0,
        },
        "sessions": { "path": "", "count": 0, "recent": [] },
    });
    let error = "cannot read … denied";
    let failed = json!([{ "id": "weather", "origin": "linked", "activated": false, "error": error }]);
    let expected = json!({
        "ok": true, "ts": answer["ts"], "durationMs": answer["durationMs"], "channels": {}, "channelOrder": [],
        "channelLabels": {}, "heartbeatSeconds": 0, "defaultAgentId": "main", "agents": [agent],
        "sessions": { "path": "", "count": 0, "recent": [] },
        "plugins": { "loaded": ["health"], "errors": failed },
    });
    assert_eq!(answer, expected);
}

#[test]
fn requests_are_answered_from_what_is_kept() {
    let health = harness(&[]).start();
    let first = health.call("health", json!({})).payload();
    let odd =
        [json!({}), json!({ "probe": false }), json!({ "probe": null }), json!({ "probe": "yes" }), json!({ "x": 1 })];
    for params in odd.into_iter().cycle().take(50) {
        assert_eq!(health.call("health", params).payload(), first);
    }
    assert_eq!((refreshes(&health), broadcasts(&health)), (1, 1), "polling makes no traffic for others");
}

#[test]
fn everybody_may_ask() {
    let health = harness(&[]).start();
    for who in [Who::node(), Who::operator(&[]), Who::operator(&["operator.read"])] {
        assert_eq!(health.call_as(who, "health", json!({})).payload()["ok"], true);
    }
}

#[test]
fn it_is_found_anew_by_the_clock() {
    let health = harness(&[]).config(json!({ "refresh_ms": 10_000 })).start();
    health.advance(9 * SECOND);
    assert_eq!(broadcasts(&health), 1);
    health.advance(SECOND);
    assert_eq!(broadcasts(&health), 2);
    health.advance(30 * SECOND);
    assert_eq!((broadcasts(&health), health.snapshot_version("health")), (5, 5));
}

#[test]
fn agents_and_heartbeats_come_from_their_plugins() {
    let settings = json!({
        "enabled": true, "every": "30m", "everyMs": 1_800_000, "prompt": "All well?", "target": "last", "ackMaxChars": 300,
    });
    let health = harness(&["agents.list", "heartbeat.settings"])
        .answer(
            "agents.list",
            json!({ "defaultId": "ops", "agents": [{ "id": "main" }, { "id": "ops", "name": "Ops" }] }),
        )
        .answer("heartbeat.settings", settings.clone())
        .start();
    let summary = health.call("health", json!({})).payload();
    assert_eq!((&summary["defaultAgentId"], &summary["heartbeatSeconds"]), (&json!("ops"), &json!(1_800)));
    let agents = summary["agents"].as_array().unwrap();
    assert_eq!((&agents[0]["isDefault"], &agents[1]["isDefault"]), (&json!(false), &json!(true)));
    assert_eq!((&agents[1]["name"], &agents[1]["heartbeat"]), (&json!("Ops"), &settings));
    let off = &agents[0]["heartbeat"];
    assert_eq!((&off["enabled"], &off["every"], &off["everyMs"]), (&json!(false), &json!("disabled"), &Value::Null));
    assert_eq!(agents[0].get("name"), None);
}

#[test]
fn channels_are_asked_at_once_and_a_slow_one_holds_nobody_up() {
    let stubs = harness(&["channel.a.status", "channel.b.status", "channel.c.status", "channel.c.send"])
        .answer(
            "channel.a.status",
            json!({ "label": "Alpha", "summary": { "configured": true }, "accounts": [{ "accountId": "x", "linked": true }] }),
        )
        .answer_error("channel.b.status", ErrorShape::unavailable("token in /etc/b is wrong"));
    let (stubs, slow) = held(stubs, "channel.c.status");
    let health = stubs.config(json!({ "probe_timeout_ms": 3_000 })).start();
    let asked = |probe: bool| {
        let asked = health.asked();
        asked.iter().filter(|asked| asked.method.starts_with("channel.") && asked.params["probe"] == probe).count()
    };
    assert_eq!(asked(false), 3);
    let call = health.begin("health", json!({}));
    health.settle();
    assert!(!call.is_done(), "there is none yet");
    health.advance(SECOND);
    let summary = call.wait().payload();
    assert_eq!(summary["channelOrder"], json!(["a", "b", "c"]));
    assert_eq!(summary["channelLabels"], json!({ "a": "Alpha", "b": "b", "c": "c" }));
    let account = json!({ "accountId": "x", "linked": true });
    assert_eq!(summary["channels"]["a"], json!({ "accountId": "x", "configured": true, "accounts": { "x": account } }));
    assert_eq!(summary["channels"]["b"], json!({ "accountId": "default", "lastError": "token in … is wrong" }));
    assert!(summary["channels"]["c"]["lastError"].is_string());

    let probe = health.begin("health", json!({ "probe": true }));
    health.settle();
    assert_eq!(asked(true), 3);
    assert_eq!(health.call("health", json!({})).payload(), summary, "others are answered meanwhile");
    slow.lock().unwrap().pop().unwrap().finish(Ok(json!({ "summary": { "linked": true, "probe": { "ok": true } } })));
    let probed = probe.wait().payload();
    assert_eq!(probed["channels"]["c"], json!({ "accountId": "default", "linked": true, "probe": { "ok": true } }));
    assert_eq!(health.call("health", json!({})).payload(), probed);
}

#[test]
fn probes_at_the_same_time_are_one() {
    let (stubs, calls) = held(harness(&["channel.a.status"]), "channel.a.status");
    let health = stubs.start();
    health.advance(SECOND);
    let probes: Vec<_> = (0..5).map(|_| health.begin("health", json!({ "probe": true }))).collect();
    health.settle();
    assert_eq!(calls.lock().unwrap().len(), 2, "one at the start, one for all five");
    calls.lock().unwrap().pop().unwrap().finish(Ok(json!({ "summary": { "configured": true } })));
    let answers: Vec<_> = probes.into_iter().map(|probe| probe.wait().payload()).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(answers[0]["channels"]["a"]["configured"], true);
    let before = broadcasts(&health);
    assert_eq!(health.call("health", json!({ "probe": true })).payload(), answers[0], "just probed");
    assert_eq!(broadcasts(&health), before);
}

#[test]
fn a_probe_does_not_content_itself_with_less() {
    let (stubs, calls) = held(harness(&["channel.a.status"]), "channel.a.status");
    let health = stubs.start();
    let probe = health.begin("health", json!({ "probe": true }));
    health.settle();
    let (plain, probing) = {
        let mut calls = calls.lock().unwrap();
        (calls.remove(0), calls.remove(0))
    };
    assert_eq!((&plain.params()["probe"], &probing.params()["probe"]), (&json!(false), &json!(true)));
    probing.finish(Ok(json!({ "summary": { "probed": true } })));
    assert_eq!(probe.wait().payload()["channels"]["a"]["probed"], true);
    plain.finish(Ok(json!({ "summary": { "probed": false } })));
    health.settle();
    let kept = health.call("health", json!({})).payload();
    assert_eq!(kept["channels"]["a"]["probed"], true, "a later summary is not overtaken by an earlier one");
}

#[test]
fn a_newcomer_gets_the_summary_to_itself_and_a_crowd_costs_one_refresh() {
    let health = harness(&[]).start();
    for conn in 2..=40 {
        health.open_connection(&sample::opened(conn));
    }
    let greetings: Vec<_> = health.events().into_iter().filter(|event| event.conns.is_some()).collect();
    let to: Vec<u64> = greetings.iter().flat_map(|event| event.conns.clone().unwrap()).collect();
    assert_eq!(to, (2..=40).collect::<Vec<_>>());
    assert!(greetings.iter().all(|event| event.stamped && event.payload["ok"] == true));
    assert_eq!(broadcasts(&health), 1);
    health.advance(SECOND);
    assert_eq!(broadcasts(&health), 2);
    health.advance(10 * SECOND);
    assert_eq!(broadcasts(&health), 2);

    let mut known = sample::opened(50);
    known.replay = true;
    health.open_connection(&known);
    health.advance(10 * SECOND);
    assert_eq!(broadcasts(&health), 2, "it was here before");
}

#[test]
fn a_change_of_the_registry_is_told() {
    let health = harness(&[]).start();
    health.publish("host.registry.changed", RegistryChanged { generation: 2, plugins: Vec::new() });
    health.publish("host.registry.changed", RegistryChanged { generation: 3, plugins: Vec::new() });
    assert_eq!(broadcasts(&health), 1);
    health.advance(SECOND);
    assert_eq!(broadcasts(&health), 2);
}

#[test]
fn a_refresh_that_began_meanwhile_is_enough() {
    let health = harness(&[]).config(json!({ "refresh_ms": 1_000 })).start();
    health.advance(SECOND / 2);
    health.publish("host.registry.changed", RegistryChanged { generation: 2, plugins: Vec::new() });
    health.advance(SECOND);
    assert_eq!(broadcasts(&health), 2, "the clock's, and none for the change");
}

#[test]
fn what_changes_after_a_refresh_began_is_told_as_well() {
    let health = harness(&[]).config(json!({ "refresh_ms": 1_000 })).start();
    let change = |generation| {
        health.publish("host.registry.changed", RegistryChanged { generation, plugins: Vec::new() });
    };
    health.advance(SECOND / 2);
    change(2);
    health.advance(3 * SECOND / 4);
    assert_eq!(broadcasts(&health), 2, "the clock's");
    change(3);
    health.advance(SECOND / 2);
    assert_eq!(broadcasts(&health), 3, "and one for the second change");
}

#[test]
fn without_the_registry_it_is_healthy_all_the_same() {
    let mute = Harness::new::<Health>().answer_error("host.registry.list", ErrorShape::unavailable("starting"));
    let health = mute.start();
    let summary = health.call("health", json!({})).payload();
    assert_eq!((&summary["ok"], &summary["plugins"]["loaded"]), (&Value::Bool(true), &json!([])));
    assert!(health.logs().iter().any(|line| line.message.contains("no plugins")));
}

#[test]
fn after_quiesce_it_still_answers_and_does_nothing_else() {
    let health = harness(&[]).start();
    health.quiesce();
    assert_eq!((health.subscriptions(), health.timers()), (0, 0));
    assert_eq!(health.call("health", json!({})).payload()["ok"], true);
    health.advance(600 * SECOND);
    assert_eq!(broadcasts(&health), 1);
}

#[test]
fn a_bad_configuration_is_refused() {
    assert!(harness(&[]).config(json!({ "refresh_ms": 10 })).create_error().contains("refresh_ms"));
    assert!(harness(&[]).config(json!({ "refresh": 60_000 })).create_error().contains("refresh"));
}

#[test]
fn what_a_summary_is_good_for() {
    let minute = Duration::from_secs(60);
    let age = |seconds, period| Age::of(Duration::from_secs(seconds), period);
    assert_eq!([age(0, minute), age(29, minute)], [Age::Fresh, Age::Fresh]);
    assert_eq!([age(30, minute), age(59, minute)], [Age::Aging, Age::Aging]);
    assert_eq!([age(60, minute), age(60, 60 * minute)], [Age::Old, Age::Old]);
    assert_eq!(age(59, 60 * minute), Age::Fresh);
}
