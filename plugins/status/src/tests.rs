use std::time::Duration;

use plugin_kit::{Harness, Running, Who, sample};
use serde_json::{Value, json};

use super::Status;

fn status(running: &Running) -> Value {
    running.call_as(Who::operator(&["operator.read"]), "status", json!({})).payload()
}

#[test]
fn alone_it_has_every_field_that_clients_read() {
    let running = Harness::new::<Status>().start();
    let expected = json!({
        "connections": { "operators": 0, "nodes": 0 },
        "heartbeat": {
            "defaultAgentId": "main",
            "agents": [{ "agentId": "main", "enabled": false, "every": "disabled", "everyMs": null }],
        },
        "channelSummary": [],
        "queuedSystemEvents": [],
        "sessions": {
            "paths": [], "count": 0, "defaults": { "model": null, "contextTokens": null }, "recent": [], "byAgent": [],
        },
    });
    assert_eq!(status(&running), expected);
    let odd = json!({ "includeChannelSummary": false, "x": [null] });
    assert_eq!(running.call("status", odd).payload(), expected);
    assert!(running.call_as(Who::node(), "status", json!({})).result.is_err());
    assert!(running.call_as(Who::operator(&[]), "status", json!({})).result.is_err());
}

#[test]
fn what_others_know_is_in_it() {
    let running = Harness::new::<Status>()
        .answer("host.gateway.info", sample::gateway_info())
        .answer(
            "agents.list",
            json!({ "defaultId": "ops", "agents": [
                { "id": "ops", "name": "Ops", "model": { "primary": "openai/ollama/small" } },
                { "id": "b", "model": { "primary": "echo" } },
            ] }),
        )
        .answer("heartbeat.settings", json!({ "enabled": true, "every": "30m", "everyMs": 1_800_000, "prompt": "?" }))
        .answer("presence.system-events", json!({ "events": [{ "text": "one", "ts": 1 }, { "text": "two", "ts": 2 }] }))
        .answer(
            "channels.status",
            json!({
                "channelOrder": ["a", "b", "c"], "channelLabels": { "a": "Alpha" },
                "channels": { "a": { "configured": true, "linked": true }, "b": { "configured": true }, "c": 5 },
            }),
        )
        .answer(
            "session.store.summary",
            json!({ "path": "sessions.db", "count": 1, "recent": [{ "key": "agent:ops:main" }],
                    "byAgent": [{ "agentId": "ops", "path": "sessions.db", "count": 1, "recent": [] }] }),
        )
        .start();
    let status = status(&running);
    assert_eq!(
        running.asked().iter().find(|asked| asked.method == "session.store.summary").unwrap().params["agents"],
        json!(["ops", "b"])
    );
    assert_eq!((&status["sessions"]["paths"], &status["sessions"]["count"]), (&json!(["sessions.db"]), &json!(1)));
    assert_eq!(status["sessions"]["defaults"], json!({ "model": "ollama/small", "contextTokens": null }));
    assert_eq!(status["sessions"]["recent"][0]["key"], "agent:ops:main");
    assert_eq!(status["sessions"]["byAgent"][0]["agentId"], "ops");
    assert_eq!((&status["runtimeVersion"], &status["uptimeMs"]), (&json!("1.0.0"), &json!(0)));
    assert_eq!(status["heartbeat"]["defaultAgentId"], "ops");
    assert_eq!(
        status["heartbeat"]["agents"],
        json!([
            { "agentId": "ops", "enabled": true, "every": "30m", "everyMs": 1_800_000 },
            { "agentId": "b", "enabled": false, "every": "disabled", "everyMs": null },
        ])
    );
    assert_eq!(status["queuedSystemEvents"], json!(["one", "two"]));
    assert_eq!(status["channelSummary"], json!(["Alpha: linked", "b: configured", "c: not configured"]));
}

#[test]
fn a_part_that_is_late_or_odd_is_shown_as_empty() {
    let running = Harness::new::<Status>()
        .answer_with("agents.list", |_| {})
        .answer("presence.system-events", json!("odd"))
        .answer_error("heartbeat.settings", schemas::ErrorShape::unavailable("no"))
        .start();
    let call = running.begin("status", json!({}));
    running.settle();
    assert!(!call.is_done());
    running.advance(Duration::from_secs(2));
    let status = call.wait().payload();
    assert_eq!(status["heartbeat"]["defaultAgentId"], "main");
    assert_eq!(status["queuedSystemEvents"], json!([]));
}

#[test]
fn connections_are_counted() {
    let running = Harness::new::<Status>().start();
    let (operator, mut node) = (sample::opened(1), sample::opened(2));
    node.connection.role = "node".into();
    node.replay = true;
    running.open_connection(&operator);
    running.open_connection(&node);
    running.open_connection(&node);
    assert_eq!(status(&running)["connections"], json!({ "operators": 1, "nodes": 1 }));
    running.close_connection(&sample::closed(&operator));
    assert_eq!(status(&running)["connections"], json!({ "operators": 0, "nodes": 1 }));
}
