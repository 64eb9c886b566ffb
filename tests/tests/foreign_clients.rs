//! Clients of the protocol that other people wrote, against a real gateway, with nothing but address and token.
//!
//! They need node and npm, and `npm ci` in `tests/foreign`. Where those are missing the test says loudly that it did
//! nothing, unless `CLAWHOST_REQUIRE_FOREIGN=1`, which continuous integration sets, makes that a failure.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use clawhost_tests::program::{Home, Outcome, repository};
use serde_json::{Value, json};

const CLIENT: &str = "openclaw-node";

#[test]
fn openclaw_node_connects_asks_hears_ticks_and_comes_back() {
    if let Err(why) = installed() {
        assert!(std::env::var_os("CLAWHOST_REQUIRE_FOREIGN").is_none_or(|value| value != "1"), "{CLIENT}: {why}");
        // Past the runner, which keeps back what a test that passes prints.
        writeln!(std::io::stderr(), "SKIPPED foreign client {CLIENT}: {why}").expect("standard error is open");
        return;
    }
    let home = Home::default();
    home.configure("[gateway.limits]\ntick_interval_ms = 100\n");
    let gateway = home.start();
    let report = drive(&gateway.url, &home);

    assert_eq!(report["errors"], json!([]), "the client complains of nothing");
    assert_eq!(report["gaps"], json!([]), "no event was lost");
    for connect in ["first", "second", "third"] {
        let hello = &report[connect];
        assert_eq!(hello["protocol"], 3, "{connect}");
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

/// The lock file is for every machine: it must not say where packages come from.
#[test]
fn the_lock_file_names_packages_and_hashes_only() {
    let text = std::fs::read_to_string(folder().join("package-lock.json")).expect("the lock file is there");
    let lock: Value = serde_json::from_str(&text).expect("the lock file is JSON");
    let packages = lock["packages"].as_object().expect("it lists packages");
    assert_eq!(packages["node_modules/openclaw-node"]["version"], "0.1.0");
    for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
        assert!(package.get("resolved").is_none(), "{name} has an address");
        assert!(package["integrity"].as_str().is_some_and(|hash| hash.starts_with("sha512-")), "{name} has no hash");
    }
}

fn drive(url: &str, home: &Home) -> Value {
    let mut command = Command::new("node");
    command.current_dir(folder()).arg("openclaw-node.mjs");
    command.env("CLIENT_URL", url).env("CLIENT_TOKEN", home.token()).env("CLIENT_HOME", home.path());
    let outcome = Outcome::of(command, CLIENT);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    serde_json::from_str(&outcome.out).unwrap_or_else(|error| panic!("{CLIENT} printed no JSON: {error}: {outcome:?}"))
}

fn installed() -> Result<(), String> {
    for program in ["node", "npm"] {
        if !Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success()) {
            return Err(format!("there is no {program} on this machine"));
        }
    }
    if module_version("openclaw-node").as_deref() == Some("0.1.0") && module_version("ws").is_some() {
        return Ok(());
    }
    Err("it is not installed; run `npm ci` in tests/foreign".to_string())
}

fn module_version(name: &str) -> Option<String> {
    let text = std::fs::read_to_string(folder().join("node_modules").join(name).join("package.json")).ok()?;
    let package: Value = serde_json::from_str(&text).ok()?;
    package["version"].as_str().map(str::to_string)
}

fn folder() -> PathBuf {
    Path::new(repository()).join("tests/foreign")
}
