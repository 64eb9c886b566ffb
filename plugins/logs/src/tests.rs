use std::fs;
use std::path::Path;

use plugin_api::catalogue::GatewayInfo;
use plugin_kit::{Harness, Running, Who, sample};
use schemas::ErrorShape;
use serde_json::{Value, json};

use super::Logs;

fn reader() -> Who {
    Who::operator(&["operator.read"])
}

fn following(path: &Path) -> Running {
    let info = GatewayInfo { log_file: Some(path.display().to_string()), ..sample::gateway_info() };
    Harness::new::<Logs>().answer("host.gateway.info", info).start()
}

fn tail(plugin: &Running, params: Value) -> Value {
    plugin.call_as(reader(), "logs.tail", params).payload()
}

#[test]
fn a_client_follows_the_log_through_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clawhost.jsonl");
    let plugin = following(&path);
    assert_eq!(
        tail(&plugin, json!({})),
        json!({"file": "clawhost.jsonl", "cursor": 0, "size": 0, "lines": [], "truncated": false, "reset": false}),
        "there is no file yet"
    );
    fs::write(&path, "{\"a\":1}\n{\"b\":2}\n").unwrap();
    let first = tail(&plugin, json!({"cursor": 0, "limit": null, "maxBytes": null}));
    assert_eq!(
        first,
        json!({
            "file": "clawhost.jsonl", "cursor": 16, "size": 16, "lines": ["{\"a\":1}", "{\"b\":2}"],
            "truncated": false, "reset": false,
        })
    );
    assert_eq!(tail(&plugin, json!({"cursor": first["cursor"]}))["lines"], json!([]));
    fs::rename(&path, folder.path().join("clawhost.jsonl.1")).unwrap();
    fs::write(&path, "{\"c\":3}\n").unwrap();
    let rotated = tail(&plugin, json!({"cursor": first["cursor"]}));
    assert_eq!(
        (&rotated["lines"], &rotated["reset"], &rotated["cursor"]),
        (&json!(["{\"c\":3}"]), &json!(true), &json!(8))
    );
}

#[test]
fn numbers_are_read_as_clients_write_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clawhost.jsonl");
    fs::write(&path, "1\n2\n3\n4\n").unwrap();
    let plugin = following(&path);
    assert_eq!(tail(&plugin, json!({"limit": 3.0}))["lines"], json!(["2", "3", "4"]));
    assert_eq!(tail(&plugin, json!({"maxBytes": 1}))["lines"], json!([]));
    assert_eq!(tail(&plugin, json!({"maxBytes": 2.0, "limit": 5000}))["lines"], json!(["4"]));
    assert_eq!(tail(&plugin, json!({"maxBytes": 1_000_000}))["lines"], json!(["1", "2", "3", "4"]));
    for wrong in [
        json!({"limit": 0}),
        json!({"limit": 5001}),
        json!({"limit": 2.5}),
        json!({"limit": "3"}),
        json!({"maxBytes": 0}),
        json!({"maxBytes": 1_000_001}),
        json!({"cursor": -1}),
        json!({"cursor": 1e300}),
        json!({"follow": true}),
    ] {
        let error = plugin.call_as(reader(), "logs.tail", wrong.clone()).error();
        assert_eq!(error.code, "INVALID_REQUEST", "{wrong}");
        assert!(error.message.starts_with("invalid logs.tail params: "), "{}", error.message);
    }
}

#[test]
fn only_admins_see_where_the_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clawhost.jsonl");
    let plugin = following(&path);
    assert_eq!(tail(&plugin, json!({}))["file"], "clawhost.jsonl");
    assert_eq!(plugin.call("logs.tail", json!({})).payload()["file"], path.display().to_string());
    plugin.call_as(Who::operator(&["operator.pairing"]), "logs.tail", json!({})).error();
    plugin.call_as(Who::node(), "logs.tail", json!({})).error();
}

#[test]
fn a_gateway_without_a_log_file_has_no_lines() {
    let plugin = Harness::new::<Logs>().answer("host.gateway.info", sample::gateway_info()).start();
    assert_eq!(
        tail(&plugin, json!({"cursor": 10})),
        json!({"file": "", "cursor": 0, "size": 0, "lines": [], "truncated": false, "reset": false})
    );
}

#[test]
fn what_cannot_be_read_is_unavailable_and_names_no_path() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = following(folder.path());
    let error = plugin.call("logs.tail", json!({})).error();
    assert_eq!(error.code, "UNAVAILABLE");
    assert!(error.message.starts_with("log read failed: "), "{}", error.message);
    let path = folder.path().display().to_string();
    assert!(!error.message.contains(&path), "{}", error.message);
    assert!(plugin.logs().iter().any(|line| line.message.contains(&path)), "the operator hears which file it was");
}

#[test]
fn a_host_that_fails_is_the_answer() {
    let plugin = Harness::new::<Logs>().answer_error("host.gateway.info", ErrorShape::unavailable("stopping")).start();
    assert_eq!(plugin.call("logs.tail", json!({})).error(), ErrorShape::unavailable("stopping"));
}
