//! Clients of the protocol that other people wrote, against a real gateway, with nothing but address and token.

use std::path::Path;
use std::process::Command;

use clawhost_tests::foreign::{folder, node};
use clawhost_tests::program::{Home, Outcome};
use serde_json::{Value, json};

/// What node must be for the reference's own client.
const NODE_OF_REFERENCE: u32 = 22;
/// What node must be for OpenAI's own client.
const NODE_OF_OPENAI: u32 = 22;

#[test]
fn openclaw_node_of_protocol_3_connects_asks_hears_ticks_and_comes_back() {
    openclaw_node("openclaw-node", 3);
}

#[test]
fn openclaw_node_of_protocol_4_connects_asks_hears_ticks_and_comes_back() {
    openclaw_node("openclaw-node-4", 4);
}

/// Drives a release of a third party's client.
fn openclaw_node(package: &str, protocol: u32) {
    let Some(node) = node(package, 18) else { return };
    let home = Home::default();
    home.configure("[gateway.limits]\ntick_interval_ms = 100\n");
    let gateway = home.start();
    let report = drive(&node, "openclaw-node.mjs", package, &gateway.url, &home);

    assert_eq!(report["errors"], json!([]), "the client complains of nothing");
    assert_eq!(report["gaps"], json!([]), "no event was lost");
    for connect in ["first", "second", "third"] {
        let hello = &report[connect];
        assert_eq!(hello["protocol"], protocol, "{connect}");
        assert_eq!(hello["role"], "operator", "{connect}");
        assert_eq!(hello["scopes"], json!(["operator.read", "operator.write"]), "{connect}");
        assert_eq!(hello["hasDeviceToken"], true, "{connect}");
        assert_eq!(hello["tickIntervalMs"], 100, "{connect}");
        for (kind, name) in [("methods", "health"), ("methods", "status"), ("events", "tick"), ("events", "health")] {
            assert!(hello[kind].as_array().expect("a list").contains(&json!(name)), "{connect}: {name}");
        }
    }
    assert_ne!(report["first"]["connId"], report["second"]["connId"]);
    assert_ne!(report["second"]["connId"], report["third"]["connId"]);

    assert_eq!(report["health"]["ok"], true);
    assert!(report["health"]["ts"].is_u64() && report["health"]["agents"].is_array());
    assert_eq!(report["healthHelper"]["ok"], true);
    assert!(report["status"]["sessions"].is_object() && report["status"]["heartbeat"].is_object());
    assert_ne!(report["unknown"], "answered", "a method that does not exist is refused");
    let ticks = report["ticks"].as_array().expect("a list");
    assert!(ticks.len() >= 2 && ticks.iter().all(|tick| tick["ts"].is_u64()), "{ticks:?}");

    assert_eq!(report["connectedAfterDisconnect"], false);
    assert_eq!(report["healthAgain"], true);
    assert_eq!(report["healthAfterReconnect"], true);
}

/// The reference's own client: its device, its token, a dropped socket, and the schemas that it is published with.
#[test]
fn the_references_client_finds_all_it_asks_for() {
    let package = "@openclaw/gateway-client";
    let Some(node) = node(package, NODE_OF_REFERENCE) else { return };
    let home = Home::default();
    home.configure("[gateway.limits]\ntick_interval_ms = 1_000\n");
    let gateway = home.start();
    let report = drive(&node, "gateway-client.mjs", package, &gateway.url, &home);

    for nothing in ["errors", "gaps", "faults"] {
        assert_eq!(report[nothing], json!([]), "{nothing}");
    }
    let hellos = report["hellos"].as_array().expect("a list");
    assert_eq!(hellos.len(), 3, "with the token, after the network dropped it, and by its device token");
    for hello in hellos {
        assert_eq!((&hello["protocol"], &hello["role"]), (&json!(4), &json!("operator")));
        assert_eq!(hello["scopes"], json!(["operator.read", "operator.write"]));
        assert!(hello["methods"].as_array().expect("a list").contains(&json!("health")));
    }
    assert_eq!(report["hasDeviceToken"], true);
    assert_eq!((&report["health"]["ok"], &report["healthAfterReconnect"]), (&json!(true), &json!(true)));
    assert_eq!((&report["healthByDeviceToken"], &report["ticks"]), (&json!(true), &json!(2)));
    assert!(report["status"]["heartbeat"].is_object());
    assert_eq!(report["unknown"], "missing scope: operator.admin", "what exists is not told to whom it is not for");
    assert_eq!(report["wrongToken"], "unauthorized: gateway token mismatch (provide gateway auth token)");
}

/// OpenAI's own client, at the doors that speak its language: whole answers, streams, and a conversation gone on with.
#[test]
fn openais_client_talks_to_an_agent() {
    let package = "openai";
    let Some(node) = node(package, NODE_OF_OPENAI) else { return };
    let home = Home::default();
    home.configure("[plugins.doors.config]\nchat_completions = true\nresponses = true\n");
    let gateway = home.start();
    let report = drive(&node, "openai.mjs", package, &gateway.url, &home);

    assert_eq!(report["models"], json!(["openclaw/main"]));
    assert_eq!((&report["whole"], &report["finish"]), (&json!("one two three"), &json!("stop")));
    let joined =
        |name: &str| -> String { report[name].as_array().expect("a list").iter().filter_map(Value::as_str).collect() };
    assert_eq!((joined("chunks").as_str(), joined("deltas").as_str()), ("one two three", "four five"));
    assert!(report["usage"]["total_tokens"].is_u64());
    assert_eq!(
        report["events"],
        json!([
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ])
    );
    assert_eq!(report["next"], "six");
    assert_eq!((&report["refused"], &report["stranger"]), (&json!([404, "model_not_found"]), &json!(401)));
}

/// The lock file is for every machine: it must not say where packages come from.
#[test]
fn the_lock_file_names_packages_and_hashes_only() {
    let text = std::fs::read_to_string(folder().join("package-lock.json")).expect("the lock file is there");
    let lock: Value = serde_json::from_str(&text).expect("the lock file is JSON");
    let packages = lock["packages"].as_object().expect("it lists packages");
    for (package, version) in [
        ("openai", "7.57.0"),
        ("openclaw-node", "0.1.0"),
        ("openclaw-node-4", "0.14.0"),
        ("@openclaw/gateway-client", "2026.9.1"),
        ("quicktype-core", "26.0.0"),
        ("typescript", "5.9.3"),
    ] {
        assert_eq!(packages[&format!("node_modules/{package}")]["version"], version);
    }
    for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
        assert!(package.get("resolved").is_none(), "{name} has an address");
        assert!(package["integrity"].as_str().is_some_and(|hash| hash.starts_with("sha512-")), "{name} has no hash");
    }
}

fn drive(node: &Path, script: &str, package: &str, url: &str, home: &Home) -> Value {
    let mut command = Command::new(node);
    command.current_dir(folder()).arg(script).env("CLIENT_PACKAGE", package);
    command.env("CLIENT_URL", url).env("CLIENT_TOKEN", home.token()).env("CLIENT_HOME", home.path());
    let outcome = Outcome::of(command, package);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    serde_json::from_str(&outcome.out).unwrap_or_else(|error| panic!("{package} printed no JSON: {error}: {outcome:?}"))
}
