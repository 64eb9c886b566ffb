//! What `config.toml` does to plugins, and what a plugin that does not come up does to the rest.

use clawhost_tests::support::{Client, Gateway};
use serde_json::{Value, json};

const ALL: [&str; 31] = [
    "acp",
    "agent",
    "agents",
    "anthropic",
    "approvals",
    "canvas",
    "channels",
    "chat",
    "command",
    "config",
    "console",
    "cron",
    "devices",
    "discovery",
    "doors",
    "echo",
    "health",
    "heartbeat",
    "hooks",
    "logs",
    "models",
    "node",
    "openai",
    "presence",
    "send",
    "sessions",
    "signal",
    "status",
    "system",
    "telegram",
    "voice",
];

fn methods(client: &Client) -> Vec<String> {
    let list = client.hello["features"]["methods"].as_array().expect("a list");
    list.iter().map(|name| name.as_str().expect("a name").to_string()).collect()
}

async fn plugin(client: &mut Client, id: &str) -> Value {
    let plugins = client.ok("system.plugins", json!({})).await;
    let found = plugins["plugins"].as_array().expect("a list").iter().find(|plugin| plugin["id"] == id).cloned();
    found.unwrap_or_else(|| panic!("{id} is not listed: {plugins}"))
}

#[tokio::test]
async fn a_disabled_plugin_is_gone() {
    let gateway = Gateway::start().await;
    let mut client = gateway.admin().await;
    let before = methods(&client);
    client.ok("status", json!({})).await;
    client.close().await;
    let gateway = gateway.stop().await.builder().config("[plugins.status]\nenabled = false").start().await;
    let mut client = gateway.admin().await;
    let after = methods(&client);
    assert_eq!(before.iter().filter(|name| *name != "status").cloned().collect::<Vec<_>>(), after);
    let error = client.refused("status", json!({})).await;
    assert_eq!((error.code.as_str(), error.message.as_str()), ("INVALID_REQUEST", "unknown method: status"));
    assert_eq!(plugin(&mut client, "status").await["state"], "disabled");
    client.close().await;
}

#[tokio::test]
async fn a_gateway_without_plugins_serves_the_protocol() {
    let config: String = ALL.iter().map(|id| format!("[plugins.{id}]\nenabled = false\n")).collect();
    let gateway = Gateway::with_config(&format!("{config}[gateway.limits]\ntick_interval_ms = 100")).await;
    let mut client = gateway.admin().await;
    assert_eq!(client.hello["features"], json!({ "methods": [], "events": ["connect.challenge", "shutdown", "tick"] }));
    assert_eq!(client.hello["snapshot"]["health"], json!({}));
    assert_eq!(client.refused("health", json!({})).await.message, "unknown method: health");
    client.event("tick").await;
    gateway.terminate();
    client.event("shutdown").await;
    client.expect_close(1012, "service restart").await;
    gateway.stop().await;
}

#[tokio::test]
async fn each_plugin_can_be_missing() {
    // Whoever asks a missing plugin must do without its answer.
    for id in ALL {
        let gateway = Gateway::with_config(&format!("[plugins.{id}]\nenabled = false")).await;
        let mut client = gateway.admin().await;
        for method in ["health", "status", "system-presence", "system.plugins", "channels.status", "agents.list"] {
            if methods(&client).iter().any(|name| name == method) {
                client.ok(method, json!({})).await;
            }
        }
        client.close().await;
    }
}

#[tokio::test]
async fn wrong_keys_of_a_plugin_disable_it_and_nothing_else() {
    for (config, fault) in [
        ("[plugins.presence.config]\nmax_rows = 1", "/max_rows"),
        ("[plugins.presence.config]\nmax_rowz = 10", "max_rowz"),
        ("[plugins.presence.config]\nmax_rows = \"many\"", "/max_rows"),
        ("[plugins.presence]\nmethods = [\"system-presents\"]", "system-presence"),
    ] {
        let gateway = Gateway::with_config(config).await;
        let mut client = gateway.admin().await;
        assert!(!methods(&client).contains(&"system-presence".to_string()), "{config}");
        assert!(!client.hello["features"]["events"].to_string().contains("presence"), "{config}");
        assert_eq!(client.refused("system-presence", json!({})).await.message, "unknown method: system-presence");
        let state = plugin(&mut client, "presence").await;
        assert_eq!(state["state"], "failed", "{state}");
        let why = state["error"].as_str().expect("a reason").to_string();
        assert!(why.contains(fault) && why.contains("test.toml:1"), "{why}");
        // Whoever is no admin learns that it failed, and not what the file says.
        let mut reader = gateway.operator(&["operator.read"]).await;
        let shown = plugin(&mut reader, "presence").await["error"].as_str().expect("a reason").to_string();
        assert!(!shown.contains("test.toml"), "{shown}");
        let health = client.ok("health", json!({})).await;
        assert!(health["plugins"].to_string().contains("presence"), "{health}");
        client.ok("status", json!({})).await;
        gateway.log_line("a plugin is disabled").await;
        client.close().await;
        reader.close().await;
    }
}

#[tokio::test]
async fn a_plugin_that_fails_is_disabled_wherever_it_fails() {
    for (stage, why) in [("create", "fails_in says so"), ("panic", ""), ("start", "")] {
        let config = format!("[plugins.grumpy.config]\nfails_in = \"{stage}\"");
        let gateway = Gateway::builder().program(env!("CARGO_BIN_EXE_test_gateway")).config(&config).start().await;
        let mut client = gateway.admin().await;
        assert_eq!(client.refused("grumpy.hello", json!({})).await.message, "unknown method: grumpy.hello", "{stage}");
        let state = plugin(&mut client, "grumpy").await;
        assert_eq!(state["state"], "failed", "{stage}: {state}");
        assert!(state["error"].as_str().is_some_and(|text| !text.is_empty() && text.contains(why)), "{stage}: {state}");
        client.ok("vault.read", json!({})).await;
        client.close().await;
    }
    let gateway = Gateway::builder().program(env!("CARGO_BIN_EXE_test_gateway")).start().await;
    let mut client = gateway.admin().await;
    client.ok("grumpy.hello", json!({})).await;
    client.close().await;
}

#[tokio::test]
async fn a_plugin_that_does_not_stop_is_left_behind() {
    let config = "[plugins.grumpy.config]\nfails_in = \"stop\"\n[gateway.limits]\ndrain_ms = 100";
    let gateway = Gateway::builder().program(env!("CARGO_BIN_EXE_test_gateway")).config(config).start().await;
    let client = gateway.admin().await;
    client.close().await;
    let stopped = gateway.stop().await;
    assert!(stopped.log.contains("did not stop in time"), "{}", stopped.log);
}

#[tokio::test]
async fn names_nobody_knows_stop_the_start() {
    for (config, parts) in [
        ("[plugins.statsu]\nenabled = false", vec!["test.toml", "statsu", "did you mean \"status\""]),
        ("[plugins.status]\nenabeld = false", vec!["test.toml", "enabeld", "enabled"]),
        ("[gateway]\nprot = 1", vec!["test.toml", "prot", "port"]),
        ("[gatway]\nport = 1", vec!["test.toml", "gatway", "gateway"]),
        ("[gateway]\nport = \"many\"", vec!["test.toml:2", "[gateway] port", "0 to 65535"]),
        ("[gateway.limits]\nmax_in_flight = 0", vec!["test.toml:2", "[gateway.limits] max_in_flight", "1 to 100000"]),
        ("[gateway.limits]\nmax_buffered_hard_bytes = 2048", vec!["max_buffered_hard_bytes", "max_buffered_bytes"]),
        ("[gateway\nport = 1", vec!["test.toml"]),
    ] {
        let (code, log) = Gateway::builder().config(config).fail().await;
        assert_eq!(code, 2, "{config}: {log}");
        for part in parts {
            assert!(log.contains(part), "{part:?} is not said for {config:?}: {log}");
        }
    }
    let (code, _) = Gateway::builder().argument("--no-such-flag").fail().await;
    assert_eq!(code, 2);
}

#[tokio::test]
async fn binding_beyond_this_machine_needs_a_secret() {
    let (code, log) = Gateway::builder().no_token().argument("--bind").argument("lan").fail().await;
    assert_eq!(code, 2, "{log}");
    assert!(log.contains("token") && log.contains("bind"), "{log}");
}

#[tokio::test]
async fn one_gateway_a_folder_and_a_port() {
    let gateway = Gateway::start().await;
    let (code, log) = Gateway::builder().state_of(&gateway).fail().await;
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("already") && log.contains(&gateway.state_dir().display().to_string()), "{log}");
    let (code, log) = Gateway::builder().port(gateway.port).fail().await;
    assert_eq!(code, 1, "{log}");
    let expected = format!("another gateway instance is already listening on ws://127.0.0.1:{}", gateway.port);
    assert!(log.contains(&expected), "{log}");
    gateway.assert_healthy().await;
    // The first one's description is still there, and a killed gateway's folder can be used again.
    assert!(gateway.state_file("gateway.json").exists());
    let gateway = gateway.kill().await.restart().await;
    gateway.assert_healthy().await;
}

#[tokio::test]
async fn the_first_start_makes_a_token() {
    let gateway = Gateway::builder().no_token().start().await;
    let token = std::fs::read_to_string(gateway.state_file("token")).expect("the file").trim().to_string();
    assert!(token.len() >= 32, "{token}");
    let connect = clawhost_tests::support::Connect::operator().token(&token);
    gateway.connect(&connect).await.close().await;
    let log = gateway.log_line("listening on").await;
    assert!(!log.contains(&token));
    let gateway = gateway.stop().await.restart().await;
    gateway.connect(&connect).await.close().await;
    let stopped = gateway.stop().await;
    assert!(!stopped.log.contains(&token));
}
