use plugin_api::catalogue::{Connections, MetricsText, PluginState, RegistryEntry, RegistryList};
use plugin_kit::{Harness, Running, Who, sample};
use serde_json::{Value, json};

use super::System;

fn entry(kind: &str, plugin: &str, spec: Value) -> RegistryEntry {
    RegistryEntry { kind: kind.into(), plugin: plugin.into(), spec: spec.into() }
}

fn plugin(id: &str, state: &str, error: Option<&str>) -> PluginState {
    PluginState {
        id: id.into(),
        version: "1.0.0".into(),
        summary: String::new(),
        origin: "linked".into(),
        state: state.into(),
        error: error.map(str::to_string),
        methods: Vec::new(),
        events: Vec::new(),
        calls: 3,
        errors: 1,
        panics: 0,
        http_port: None,
    }
}

fn start() -> Running {
    let method = |name: &str, role: Value, scopes: Value| {
        json!({
            "name": name, "summary": "Does it.", "role": role, "scopes": scopes, "idempotency": "replay",
            "params": { "type": "object", "title": name }, "result": { "type": "string" },
        })
    };
    let registry = RegistryList {
        plugins: vec![plugin("health", "running", None), plugin("weather", "failed", Some("no key in /etc/key"))],
        methods: vec![
            entry("method", "health", method("health", json!(["operator", "node"]), json!([]))),
            entry("method", "host", method("host.registry.list", json!("internal"), json!([]))),
            entry("method", "send", method("send", json!("operator"), json!(["operator.write"]))),
        ],
        events: vec![
            entry("event", "health", json!({ "name": "health", "role": ["node", "operator"], "scopes": [] })),
            entry("event", "host", json!({ "name": "host.config.changed", "role": "internal", "scopes": [] })),
        ],
    };
    let connections = Connections { connections: vec![sample::opened(1).connection] };
    Harness::new::<System>().answer("host.registry.list", registry).answer("host.connections.list", connections).start()
}

fn reader() -> Who {
    Who::operator(&["operator.read"])
}

fn names(rows: &Value) -> Vec<&str> {
    rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
}

#[test]
fn methods_and_events_that_sockets_can_reach() {
    let system = start();
    for params in [json!({}), json!({ "internal": null }), json!({ "internal": false })] {
        let listing = system.call_as(reader(), "system.methods", params).payload();
        assert_eq!(names(&listing["methods"]), ["health", "send"]);
        assert_eq!(names(&listing["events"]), ["health"]);
        let row = json!({
            "name": "send", "plugin": "send", "summary": "Does it.", "role": "operator", "scopes": ["operator.write"],
            "effects": false, "idempotency": "replay", "replies": "single",
        });
        assert_eq!(listing["methods"][1], row);
        assert_eq!(listing["methods"][0]["role"], json!(["operator", "node"]));
    }
}

#[test]
fn internal_ones_are_for_admins() {
    let system = start();
    let listing = system.call("system.methods", json!({ "internal": true })).payload();
    assert_eq!(names(&listing["methods"]), ["health", "host.registry.list", "send"]);
    assert_eq!(names(&listing["events"]), ["health", "host.config.changed"]);
    let error = system.call_as(reader(), "system.methods", json!({ "internal": true })).error();
    assert!(error.message.contains("missing scope: operator.admin"), "{}", error.message);
    assert_eq!(system.call("system.methods", json!({ "internals": true })).error().code, "INVALID_REQUEST");
}

#[test]
fn one_of_them_with_its_schemas() {
    let system = start();
    let send = system.call_as(reader(), "system.describe", json!({ "name": "send" })).payload();
    assert_eq!((&send["kind"], &send["plugin"], &send["name"]), (&json!("method"), &json!("send"), &json!("send")));
    assert_eq!((&send["params"]["title"], &send["result"]["type"]), (&json!("send"), &json!("string")));
    let describe = |params: Value| system.call("system.describe", params);
    assert_eq!(describe(json!({ "name": "health" })).payload()["kind"], "method");
    assert_eq!(describe(json!({ "name": "health", "kind": "event" })).payload()["kind"], "event");
    assert_eq!(describe(json!({ "name": "host.registry.list" })).payload()["plugin"], "host");
}

#[test]
fn what_nobody_knows() {
    let system = start();
    let message = |who: Who, params: Value| {
        let error = system.call_as(who, "system.describe", params).error();
        assert_eq!(error.code, "INVALID_REQUEST");
        error.message
    };
    assert_eq!(message(reader(), json!({ "name": "nope" })), "unknown method or event: nope");
    assert_eq!(message(reader(), json!({ "name": "send", "kind": "event" })), "unknown event: send");
    assert_eq!(
        message(reader(), json!({ "name": "host.registry.list" })),
        "unknown method or event: host.registry.list",
        "internal ones do not exist for others"
    );
    for params in [json!({}), json!({ "name": 5 }), json!({ "name": "" }), json!({ "name": "send", "kind": "thing" })] {
        message(Who::admin(), params);
    }
}

#[test]
fn plugins_and_why_one_failed() {
    let system = start();
    let plugins = system.call("system.plugins", json!({})).payload()["plugins"].clone();
    assert_eq!((&plugins[0]["id"], &plugins[0]["state"]), (&json!("health"), &json!("running")));
    assert_eq!(plugins[1]["error"], "no key in /etc/key");
    let plugins = system.call_as(reader(), "system.plugins", json!({})).payload()["plugins"].clone();
    assert_eq!(plugins[1]["state"], "failed");
    assert!(!plugins[1]["error"].as_str().unwrap().contains("/etc"));
    assert_eq!(plugins[0].get("error"), None);
}

#[test]
fn connections_are_for_admins() {
    let system = start();
    let connections = system.call("system.connections", json!({})).payload();
    assert_eq!(connections["connections"][0]["connId"], "conn-1");
    assert!(system.call_as(reader(), "system.connections", json!({})).result.is_err());
    assert!(system.call_as(Who::node(), "system.methods", json!({})).result.is_err());
}

#[test]
fn a_host_that_does_not_answer_is_an_error() {
    let system = Harness::new::<System>()
        .answer_error("host.registry.list", schemas::ErrorShape::unavailable("starting").retryable())
        .start();
    assert_eq!(system.call("system.plugins", json!({})).error().code, "UNAVAILABLE");
}

#[test]
fn what_was_counted() {
    let text = "clawhost_calls_total{method=\"send\",plugin=\"send\"} 2\n".to_string();
    let system = Harness::new::<System>().answer("host.metrics.read", MetricsText { text }).start();
    let counted = system.call_as(reader(), "system.metrics", json!({})).payload();
    let row = json!({ "method": "send", "plugin": "send", "calls": 2, "errors": 0, "microseconds": 0 });
    assert_eq!(counted, json!({ "methods": [row], "limits": [] }));
}
