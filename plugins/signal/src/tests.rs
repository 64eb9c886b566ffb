//! Against a daemon of the test's own, over real sockets.

use std::sync::{Arc, Mutex};

use outside::stand_in::{Server, whole};
use plugin_kit::{Harness, Running, StubCall, Who};
use schemas::ErrorShape;
use serde_json::{Value, json};

use super::Signal;
use crate::stand_in::{Asked, Daemon, Gate, Reply, message, uuid_of};

mod incoming;
mod login;
mod sending;

const ME: &str = "+4930123456";
const ADA: &str = "+4915112345678";
const BOB: &str = "+4915187654321";
/// Both ways to speak with a daemon.
const WAYS: [&str; 2] = ["http", "tcp"];

fn config(address: &str, more: Value) -> Value {
    let mut config = json!({ "address": address, "account": ME, "retry_min_ms": 20, "retry_max_ms": 200 });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

fn address<'a>(daemon: &'a Daemon, way: &str) -> &'a str {
    if way == "http" { &daemon.http } else { &daemon.tcp }
}

/// A plugin whose messages are taken.
fn harness(address: &str, more: Value) -> Harness {
    Harness::registered("signal")
        .config(config(address, more))
        .answer("channels.inbound", json!({ "verdict": "run", "runId": "r" }))
}

fn call(plugin: &Running, what: &str, params: Value) -> plugin_kit::Outcome {
    plugin.call_as(Who::plugin("send"), &format!("channel.signal.{what}"), params)
}

fn send(plugin: &Running, more: Value) -> plugin_kit::Outcome {
    let mut params = json!({ "to": ADA, "text": "hello", "idempotencyKey": "k" });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    call(plugin, "send", params)
}

/// What an error says to programs.
fn code(error: &ErrorShape) -> String {
    error.details.as_ref().map_or_else(String::new, |details| details["code"].as_str().unwrap_or_default().to_string())
}

/// What was handed over: the texts.
fn taken(plugin: &Running) -> Vec<String> {
    let all = plugin.asked().into_iter().filter(|asked| asked.method == "channels.inbound");
    all.map(|asked| asked.params["text"].as_str().unwrap_or_default().to_string()).collect()
}

fn account(plugin: &Running, probe: bool) -> Value {
    call(plugin, "status", json!({ "probe": probe, "timeoutMs": 8_000 })).payload()["accounts"][0].clone()
}

#[test]
fn without_an_address_it_loads_and_says_so() {
    let plugin = Harness::new::<Signal>().start();
    let report = call(&plugin, "status", json!({ "probe": true })).payload();
    assert_eq!((&report["label"], &report["senderLabel"]), (&json!("Signal"), &json!("Phone number")));
    for shown in [&report["summary"], &report["accounts"][0]] {
        let standing = (&shown["configured"], &shown["linked"], &shown["running"], &shown["connected"]);
        assert_eq!(standing, (&json!(false), &json!(false), &json!(false), &json!(false)), "{shown}");
        assert!(shown["lastError"].as_str().unwrap().contains("plugins.signal.config.address"));
    }
    let error = send(&plugin, json!({})).error();
    assert_eq!(code(&error), "NOT_SENT");
    assert!(plugin.logs().iter().any(|line| line.message.contains("not configured")));
}

#[test]
fn a_wrong_configuration_names_its_key() {
    let wrong = |config: Value| Harness::new::<Signal>().config(config).create_error();
    assert!(wrong(json!({ "address": "http://192.168.1.5:8080" })).contains("allow_remote"));
    assert!(wrong(json!({ "address": "tcp://192.168.1.5:8080" })).contains("lets in everybody"));
    assert!(wrong(json!({ "account": "me" })).starts_with("account: "));
    assert!(wrong(json!({ "accounts": ["4930"] })).starts_with("accounts: "));
    assert!(wrong(json!({ "adress": "x" })).contains("adress"));
    assert!(wrong(json!({ "max_media_bytes": 100_000_000 })).contains("max_media_bytes"));
}

#[test]
fn how_it_stands() {
    for way in WAYS {
        let daemon = Daemon::obliging(ME);
        let plugin = harness(address(&daemon, way), json!({})).start();
        daemon.wait_listener(1);
        plugin.wait_until("a connection", |plugin| account(plugin, false)["connected"] == true);
        let shown = account(&plugin, true);
        assert_eq!(
            (&shown["accountId"], &shown["configured"], &shown["running"]),
            (&json!(ME), &json!(true), &json!(true))
        );
        assert_eq!((&shown["linked"], &shown["probe"]["version"]), (&json!(true), &json!("0.14.0")));
        assert_eq!(
            (&shown["baseUrl"], &shown["lastError"], &shown["lastInboundAt"]),
            (&json!(address(&daemon, way)), &Value::Null, &Value::Null)
        );
        daemon.tell(&message(ME, ADA, 1_700_000_000_005, "hello"));
        plugin.wait_until("a message", |plugin| !taken(plugin).is_empty());
        send(&plugin, json!({})).payload();
        let shown = account(&plugin, false);
        assert!(shown["lastInboundAt"].is_u64() && shown["lastOutboundAt"].is_u64(), "{shown}");
    }
}

#[test]
fn a_daemon_without_the_account_is_told() {
    let daemon = Daemon::start(|asked| match asked.method.as_str() {
        "listAccounts" => Reply::Result(json!([{ "number": BOB }])),
        "version" => Reply::Result(json!({ "version": "1" })),
        _ => Reply::Status(400),
    });
    let plugin = harness(&daemon.http, json!({})).start();
    assert_eq!(daemon.wait_asked(&format!("/api/v1/events?account=%2B{}", &ME[1..]), 1), Value::Null);
    plugin.wait_until("the error", |plugin| account(plugin, false)["lastError"].is_string());
    let shown = account(&plugin, true);
    assert_eq!((&shown["linked"], &shown["connected"]), (&json!(false), &json!(false)));
    assert!(shown["lastError"].as_str().unwrap().contains("does not have this account"), "{shown}");
}

#[test]
fn who_is_stopped_stays_so_until_started_again() {
    for way in WAYS {
        let daemon = Daemon::obliging(ME);
        let plugin = harness(address(&daemon, way), json!({})).start();
        daemon.wait_listener(1);
        call(&plugin, "stop", json!({ "accountId": ME })).payload();
        daemon.wait_deaf();
        let shown = account(&plugin, false);
        assert_eq!(
            (&shown["running"], &shown["connected"], &shown["configured"]),
            (&json!(false), &json!(false), &json!(true))
        );
        assert_eq!(send(&plugin, json!({})).payload()["messageId"], "1700000000001", "it sends all the same");

        let kept = plugin.kv_entries();
        plugin.stop();
        let plugin = kept
            .into_iter()
            .fold(harness(address(&daemon, way), json!({})), |harness, (key, value)| harness.kv(&key, value))
            .start();
        assert_eq!(account(&plugin, false)["running"], false, "{way}");
        let before = daemon.connections();
        call(&plugin, "start", json!({})).payload();
        daemon.wait_listener(before + 1);
        plugin.wait_until("a connection", |plugin| account(plugin, false)["connected"] == true);
        assert_eq!(plugin.kv_entries(), []);
    }
}

#[test]
fn whom_somebody_means() {
    let plugin = Harness::new::<Signal>().start();
    let resolve = |to: &str| call(&plugin, "resolve", json!({ "to": to }));
    assert_eq!(resolve("signal:+49 1511 2345678").payload(), json!({ "to": ADA, "chatType": "direct" }));
    let group = "group:Pmpi+EfPWmsxiomLe9Nx2XF9HOE483p6iKiFj65iMwI=";
    assert_eq!(resolve(group).payload(), json!({ "to": group, "chatType": "group" }));
    let error = resolve("ada").error();
    assert_eq!((error.code.as_str(), code(&error).as_str()), ("INVALID_REQUEST", "BAD_TARGET"));
    assert!(call(&plugin, "resolve", json!({ "to": ADA, "accountId": BOB })).error().message.contains(BOB));
}
