use plugin_kit::{Harness, Running, Who};
use serde_json::{Value, json};

use super::Heartbeat;

fn start() -> Running {
    Harness::new::<Heartbeat>().start()
}

fn agent() -> Who {
    Who::plugin("agent")
}

fn settings(heartbeat: &Running) -> Value {
    heartbeat.call_as(agent(), "heartbeat.settings", json!({})).payload()
}

#[test]
fn there_was_none_yet() {
    let heartbeat = start();
    assert_eq!(heartbeat.call("last-heartbeat", json!({})).payload(), Value::Null);
    let reader = Who::operator(&["operator.read"]);
    assert_eq!(heartbeat.call_as(reader, "last-heartbeat", json!({ "odd": [1] })).payload(), Value::Null);
    assert!(heartbeat.call_as(Who::node(), "last-heartbeat", json!({})).result.is_err());
}

#[test]
fn what_was_reported_is_kept_and_told() {
    let heartbeat = start();
    let beat = json!({ "ts": 5, "status": "ok-token", "durationMs": 12, "silent": true, "indicatorType": "ok" });
    let mut sent = beat.clone();
    sent["ts"] = json!(5.0);
    sent["preview"] = Value::Null;
    heartbeat.call_as(agent(), "heartbeat.report", sent).payload();
    let told = heartbeat.wait_event("heartbeat");
    assert_eq!(told.payload, beat);
    assert!(told.droppable && !told.stamped && told.conns.is_none());
    assert_eq!(heartbeat.call("last-heartbeat", json!({})).payload(), beat);

    let kept = heartbeat.kv("last").unwrap();
    let again = Harness::new::<Heartbeat>().kv("last", kept).start();
    assert_eq!(again.call("last-heartbeat", json!({})).payload(), beat);
}

#[test]
fn a_report_has_to_be_one() {
    let heartbeat = start();
    for params in
        [json!({ "ts": 5, "status": "fine" }), json!({ "status": "sent" }), json!({ "ts": -1, "status": "sent" })]
    {
        assert_eq!(heartbeat.call_as(agent(), "heartbeat.report", params).error().code, "INVALID_REQUEST");
    }
    let valid = json!({ "ts": 5, "status": "sent" });
    assert!(heartbeat.call("heartbeat.report", valid).result.is_err(), "plugins only");
    assert!(heartbeat.events().is_empty());
}

#[test]
fn they_are_switched_for_good() {
    let heartbeat = start();
    let on = settings(&heartbeat);
    assert_eq!((&on["enabled"], &on["every"], &on["everyMs"]), (&json!(true), &json!("30m"), &json!(1_800_000)));
    assert_eq!((&on["target"], &on["ackMaxChars"]), (&json!("last"), &json!(300)));

    let off = heartbeat.call("set-heartbeats", json!({ "enabled": false, "more": 1 })).payload();
    assert_eq!(off, json!({ "ok": true, "enabled": false }));
    let off = settings(&heartbeat);
    assert_eq!((&off["enabled"], &off["every"], &off["everyMs"]), (&json!(false), &json!("disabled"), &Value::Null));

    let kept = heartbeat.kv("enabled").unwrap();
    let again = Harness::new::<Heartbeat>().kv("enabled", kept).start();
    assert_eq!(settings(&again)["enabled"], false);
    assert_eq!(again.call("set-heartbeats", json!({ "enabled": true })).payload()["enabled"], true);
    assert_eq!(settings(&again)["enabled"], true);
}

#[test]
fn the_switch_is_on_or_off_and_nothing_else() {
    let heartbeat = start();
    for params in [json!({}), json!({ "enabled": null }), json!({ "enabled": "true" }), json!({ "enabled": 1 })] {
        let error = heartbeat.call("set-heartbeats", params).error();
        assert_eq!(error.code, "INVALID_REQUEST");
        assert_eq!(error.message, "invalid set-heartbeats params: enabled (boolean) required");
    }
    let writer = Who::operator(&["operator.write"]);
    assert!(heartbeat.call_as(writer, "set-heartbeats", json!({ "enabled": false })).result.is_err());
    assert_eq!(settings(&heartbeat)["enabled"], true);
    heartbeat.fail_writes("disk full");
    assert_eq!(heartbeat.call("set-heartbeats", json!({ "enabled": false })).error().code, "UNAVAILABLE");
}

#[test]
fn the_operator_words_them() {
    let config = json!({ "every_ms": 7_200_000, "prompt": "Anything?", "target": "none", "ack_max_chars": 5 });
    let heartbeat = Harness::new::<Heartbeat>().config(config).start();
    let settings = settings(&heartbeat);
    assert_eq!((&settings["every"], &settings["prompt"]), (&json!("2h"), &json!("Anything?")));
    assert!(Harness::new::<Heartbeat>().config(json!({ "every": "1h" })).create_error().contains("every"));
}

#[test]
fn times_for_people() {
    for (ms, words) in [(86_400_000, "1d"), (5_400_000, "90m"), (90_000, "90s"), (1_500, "1500ms"), (0, "0ms")] {
        assert_eq!(super::words(ms), words);
    }
}
