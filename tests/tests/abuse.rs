//! A gateway with its defaults withstands everything that the abuse suite knows, and the suite can tell who does not.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clawhost_tests::program::Home;
use clawhost_tests::support::{Gateway, TOKEN};

/// Every attack, in order.
const ATTACKS: [&str; 42] = [
    "frames: an unmasked frame, before connect",
    "frames: an unmasked frame, after connect",
    "frames: an opcode that is none, before connect",
    "frames: an opcode that is none, after connect",
    "frames: reserved bits, before connect",
    "frames: reserved bits, after connect",
    "frames: text that is not UTF-8, before connect",
    "frames: text that is not UTF-8, after connect",
    "frames: a length of a terabyte, before connect",
    "frames: a length of a terabyte, after connect",
    "frames: no JSON, before connect",
    "frames: an event first",
    "frames: another request first",
    "frames: nested deeply, before connect",
    "frames: too much, before connect",
    "frames: no JSON, after connect",
    "frames: nested deeply, after connect",
    "frames: too much, after connect",
    "signatures: replayed",
    "signatures: made with another socket's nonce",
    "signatures: made with a nonce of the client's own",
    "scopes: admin named from afar without a device",
    "scopes: a wider wish with a device token",
    "scopes: a device token shown by another device",
    "scopes: a device token shown without its device",
    "scopes: another device's token rotated",
    "forwarding: X-Forwarded-For: 127.0.0.1",
    "forwarding: X-Real-IP: 127.0.0.1",
    "forwarding: X-Forwarded-Host: localhost",
    "forwarding: Forwarded: for=127.0.0.1;host=localhost",
    "pages: a foreign page",
    "pages: a page without an origin",
    "pages: a page under a rebound name",
    "pages: a rebound name without an origin",
    "slow: a head that comes byte by byte",
    "slow: answers that are not read",
    "half-open: sockets that say nothing",
    "half-open: sockets with half a head",
    "half-open: upgrades without a connect",
    "half-open: upgrades of strangers without a connect",
    "guesses: a setup code that was used",
    "guesses: of the shared token from afar",
];

/// Runs the suite against a server of this machine: exit code, what it printed, what it said.
async fn abuse(url: &str, token: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_abuse"));
    command.args(["--url", url, "--token-file"]).arg(token).args(more);
    let run = tokio::task::spawn_blocking(move || command.output().expect("the suite can be started"));
    let Output { status, stdout, stderr } = run.await.expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (status.code(), text(&stdout), text(&stderr))
}

/// The shared token of the tests in a file.
fn token_file(folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("token");
    std::fs::write(&path, format!("{TOKEN}\n")).expect("a file in a temporary folder");
    path
}

#[tokio::test]
async fn the_gateway_withstands_every_attack() {
    // What is half open ends with this, and four attacks wait for it.
    let gateway = Gateway::with_config("[gateway.limits]\nhandshake_timeout_ms = 3_000").await;
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let (url, token) = (format!("ws://127.0.0.1:{}", gateway.port), token_file(&folder));
    let pid = gateway.pid().to_string();
    let memory = if cfg!(target_os = "linux") { vec!["--pid", &pid] } else { Vec::new() };
    let (code, printed, said) = abuse(&url, &token, &memory).await;
    let mut expected: Vec<String> = ATTACKS.iter().map(|name| format!("{name}: ok")).collect();
    expected.push("42 attacks: 42 ok, 0 FAILED, 0 skipped".to_string());
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected, "{said}");
    assert_eq!(code, Some(0), "{said}");
    // It leaves no device behind, and says so when it cannot be tried again yet.
    let mut admin = gateway.admin().await;
    let list = admin.ok("device.pair.list", serde_json::json!({})).await;
    assert_eq!(list, serde_json::json!({ "pending": [], "paired": [] }));
    admin.close().await;
    let (code, printed, said) = abuse(&url, &token, &[]).await;
    assert_eq!((code, printed.as_str()), (Some(2), ""), "{said}");
    assert!(said.contains("locked out"), "{said}");
}

#[tokio::test]
async fn a_gateway_that_lets_every_page_in_fails() {
    let gateway = Gateway::with_config("[gateway]\nallowed_origins = [\"*\"]").await;
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    let (code, printed, said) = abuse(&url, &token_file(&folder), &["--only", "pages: a "]).await;
    let expected = [
        "pages: a foreign page: FAILED: expected 403, got 101",
        "pages: a page without an origin: FAILED: expected 403, got 101",
        "pages: a page under a rebound name: FAILED: expected 403, got 101",
        "pages: a rebound name without an origin: ok",
        "4 attacks: 1 ok, 3 FAILED, 0 skipped",
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected, "{said}");
    assert_eq!(code, Some(1), "{said}");
}

#[tokio::test]
async fn attacks_go_through_tls_as_well() {
    let home = Home::default();
    home.configure("[gateway.tls]\nenabled = true\n[gateway.limits]\nhandshake_timeout_ms = 3_000\n");
    let gateway = home.start();
    let described = std::fs::read(home.state().join("gateway.json")).expect("it runs");
    let described: serde_json::Value = serde_json::from_slice(&described).expect("it is JSON");
    let fingerprint = described["tlsFingerprint"].as_str().expect("it speaks TLS").to_string();
    let token = home.state().join("token");
    for (family, attacks) in [
        ("frames: ", 18),
        ("signatures: replayed", 1),
        ("forwarding: X-F", 2),
        ("pages: a foreign page", 1),
        ("half-open: sockets", 2),
    ] {
        let more = ["--tls-fingerprint", &fingerprint, "--only", family];
        let (code, printed, said) = abuse(&gateway.url, &token, &more).await;
        let summary = format!("{attacks} attacks: {attacks} ok, 0 FAILED, 0 skipped");
        assert_eq!((code, printed.lines().last()), (Some(0), Some(&*summary)), "{printed}{said}");
    }
    let plain = abuse("ws://127.0.0.1:1", &token, &["--tls-fingerprint", &fingerprint]).await;
    assert!(plain.0 == Some(2) && plain.2.contains("needs a wss:// address"), "{plain:?}");
}

#[tokio::test]
async fn other_machines_are_left_alone_unless_told_otherwise() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let (code, printed, said) = abuse("ws://192.0.2.1:18789", &token_file(&folder), &[]).await;
    assert_eq!((code, printed.as_str()), (Some(2), ""));
    assert!(said.contains("--allow-remote"), "{said}");
}
