use plugin_api::catalogue::GatewayInfo;
use plugin_kit::{Harness, Who, sample};
use schemas::ErrorShape;
use serde_json::{Value, json};

use super::Config;

const RAW: &str = "[gateway.auth]\ntoken = \"__OPENCLAW_REDACTED__\"\n";

fn reader() -> Who {
    Who::operator(&["operator.read"])
}

fn document() -> Value {
    json!({
        "path": "/etc/gateway/own.toml", "exists": true, "raw": RAW, "hash": "ab12",
        "parsed": {"gateway": {"auth": {"token": "__OPENCLAW_REDACTED__"}}},
        "config": {"gateway": {"port": 18789, "auth": {"token": "__OPENCLAW_REDACTED__"}}},
    })
}

fn with_schema(schema: Value) -> Harness {
    let info = GatewayInfo { version: "1.2.3".into(), started_at_ms: 1_795_306_239_332, ..sample::gateway_info() };
    Harness::new::<Config>().answer("host.gateway.info", info).answer("host.config.schema", json!({"schema": schema}))
}

#[test]
fn the_whole_document() {
    let plugin = Harness::new::<Config>()
        .answer("host.config.read", document())
        .answer("host.config.validate", json!({"valid": true, "issues": []}))
        .start();
    let expected = json!({
        "path": "/etc/gateway/own.toml", "exists": true, "raw": RAW, "valid": true, "hash": "ab12",
        "parsed": {"gateway": {"auth": {"token": "__OPENCLAW_REDACTED__"}}},
        "config": {"gateway": {"port": 18789, "auth": {"token": "__OPENCLAW_REDACTED__"}}},
        "issues": [], "warnings": [], "legacyIssues": [],
    });
    assert_eq!(plugin.call("config.get", json!({})).payload(), expected);
    let validated = plugin.asked().pop().unwrap();
    assert_eq!((validated.method.as_str(), validated.params), ("host.config.validate", json!({"raw": RAW})));
    assert_eq!(validated.caller.role, "plugin", "readers need no right to the host's services");
    assert_eq!(
        plugin.call_as(reader(), "config.get", json!({})).payload()["path"],
        "own.toml",
        "no folder for readers"
    );
}

#[test]
fn a_file_that_went_wrong_says_how() {
    let issue = json!({"path": "gateway.prot", "message": "no such key; did you mean \"port\"?"});
    let plugin = Harness::new::<Config>()
        .answer("host.config.read", document())
        .answer("host.config.validate", json!({"valid": false, "issues": [issue]}))
        .start();
    let got = plugin.call_as(reader(), "config.get", json!({})).payload();
    assert_eq!((&got["valid"], &got["issues"]), (&json!(false), &json!([issue])));
}

#[test]
fn without_a_file_there_is_nothing_wrong() {
    let plugin = Harness::new::<Config>()
        .answer("host.config.read", json!({"exists": false, "hash": "e3b0", "parsed": {}, "config": {"gateway": {}}}))
        .start();
    for who in [Who::admin(), reader()] {
        assert_eq!(
            plugin.call_as(who, "config.get", json!({})).payload(),
            json!({
                "path": "config.toml", "exists": false, "raw": null, "parsed": {}, "valid": true,
                "config": {"gateway": {}}, "hash": "e3b0", "issues": [], "warnings": [], "legacyIssues": [],
            })
        );
    }
}

#[test]
fn the_schema_has_hints_and_an_age() {
    let schema = json!({"properties": {"gateway": {"properties": {"auth": {"properties": {
        "token": {"type": "string", "description": "The shared token.", "writeOnly": true},
    }}}}}});
    let plugin = with_schema(schema.clone()).start();
    let got = plugin.call_as(reader(), "config.schema", json!({})).payload();
    assert_eq!(got["schema"], schema);
    assert_eq!((&got["version"], &got["generatedAt"]), (&json!("1.2.3"), &json!("2026-11-22T00:10:39.332Z")));
    assert_eq!(
        got["uiHints"]["gateway.auth.token"],
        json!({"label": "Token", "help": "The shared token.", "group": "Gateway", "order": 1, "sensitive": true})
    );
    assert_eq!(plugin.call("config.schema", json!({})).payload(), got, "the same at each look");
}

#[test]
fn access_params_and_failures() {
    let plugin = Harness::new::<Config>().answer_error("host.config.read", ErrorShape::unavailable("no disk")).start();
    for method in ["config.get", "config.schema"] {
        plugin.call_as(Who::operator(&["operator.approvals"]), method, json!({})).error();
        plugin.call_as(Who::node(), method, json!({})).error();
        let error = plugin.call(method, json!({"path": "gateway"})).error();
        assert!(error.message.starts_with(&format!("invalid {method} params: ")), "{}", error.message);
    }
    assert!(plugin.asked().is_empty());
    assert_eq!(plugin.call("config.get", json!({})).error(), ErrorShape::unavailable("no disk"));
}
