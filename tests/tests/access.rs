//! Who may call what: every method × role × scopes, against the tables of the protocol (version 4's where the two
//! differ). The tables here are written down from the protocol's text; the gateway's own declaration is not asked.

use std::collections::BTreeSet;

use clawhost_tests::support::{Client, Connect, Gateway, Key, TOKEN};
use schemas::ErrorShape;
use serde_json::json;

/// Methods this gateway serves, and what they need.
const SERVED: &[(&str, Need)] = &[
    ("agent", Need::Write),
    ("agent.identity.get", Need::Read),
    ("agent.wait", Need::Write),
    ("agents.list", Need::Read),
    ("channels.logout", Need::Admin),
    ("channels.pairing.approve", Need::Pairing),
    ("channels.pairing.dismiss", Need::Pairing),
    ("channels.pairing.list", Need::Pairing),
    ("channels.senders.list", Need::Pairing),
    ("channels.senders.remove", Need::Pairing),
    ("channels.start", Need::Admin),
    ("channels.status", Need::Read),
    ("channels.stop", Need::Admin),
    ("chat.abort", Need::Write),
    ("chat.history", Need::Read),
    ("chat.inject", Need::Admin),
    ("chat.metadata", Need::Read),
    ("chat.send", Need::Write),
    ("chat.startup", Need::Read),
    ("commands.list", Need::Read),
    ("config.get", Need::Read),
    ("config.schema", Need::Read),
    ("cron.add", Need::Admin),
    ("cron.get", Need::Read),
    ("cron.list", Need::Read),
    ("cron.remove", Need::Admin),
    ("cron.run", Need::Admin),
    ("cron.runs", Need::Read),
    ("cron.status", Need::Read),
    ("cron.update", Need::Admin),
    ("device.pair.approve", Need::Pairing),
    ("device.pair.list", Need::Pairing),
    ("device.pair.reject", Need::Pairing),
    ("device.pair.remove", Need::Pairing),
    ("device.pair.rename", Need::Pairing),
    ("device.pair.setupCode", Need::Pairing),
    ("device.token.revoke", Need::Pairing),
    ("device.token.rotate", Need::Pairing),
    ("exec.approval.get", Need::Approvals),
    ("exec.approval.list", Need::Approvals),
    ("exec.approval.request", Need::Approvals),
    ("exec.approval.resolve", Need::Approvals),
    ("exec.approval.waitDecision", Need::Approvals),
    ("exec.approvals.get", Need::Admin),
    ("exec.approvals.node.get", Need::Admin),
    ("exec.approvals.node.set", Need::Admin),
    ("exec.approvals.set", Need::Admin),
    ("health", Need::Nothing),
    ("last-heartbeat", Need::Read),
    ("logs.tail", Need::Read),
    ("models.list", Need::Read),
    ("node.canvas.capability.refresh", Need::Node),
    ("node.describe", Need::Read),
    ("node.event", Need::Node),
    ("node.invoke", Need::Write),
    ("node.invoke.progress", Need::Node),
    ("node.invoke.result", Need::Node),
    ("node.list", Need::Read),
    ("node.pair.approve", Need::Pairing),
    ("node.pair.list", Need::Pairing),
    ("node.pair.reject", Need::Pairing),
    ("node.pair.remove", Need::Pairing),
    ("node.pluginSurface.refresh", Need::Node),
    ("node.pluginTools.update", Need::Node),
    ("node.queue.cancel", Need::Write),
    ("node.queue.list", Need::Write),
    ("node.rename", Need::Pairing),
    ("node.runnerInventory.update", Need::Node),
    ("node.skills.update", Need::Node),
    ("plugin.surface.refresh", Need::Read),
    ("plugins.reload", Need::Admin),
    ("poll", Need::Write),
    ("question.list", Need::Questions),
    ("send", Need::Write),
    ("sessions.abort", Need::Write),
    ("sessions.compact", Need::Admin),
    ("sessions.delete", Need::Write),
    ("sessions.describe", Need::Read),
    ("sessions.get", Need::Read),
    ("sessions.list", Need::Read),
    ("sessions.messages.subscribe", Need::Read),
    ("sessions.messages.unsubscribe", Need::Read),
    ("sessions.patch", Need::Write),
    ("sessions.preview", Need::Read),
    ("sessions.reset", Need::Admin),
    ("sessions.resolve", Need::Read),
    ("sessions.subscribe", Need::Read),
    ("sessions.unsubscribe", Need::Read),
    ("set-heartbeats", Need::Admin),
    ("skills.bins", Need::Node),
    ("status", Need::Read),
    ("system-event", Need::Admin),
    ("system-presence", Need::Read),
    ("system.connections", Need::Admin),
    ("system.describe", Need::Read),
    ("system.methods", Need::Read),
    ("system.metrics", Need::Read),
    ("system.plugins", Need::Read),
    ("talk.mode", Need::Talk),
    ("voicewake.get", Need::Read),
    ("voicewake.routing.get", Need::Read),
    ("voicewake.routing.set", Need::Write),
    ("voicewake.set", Need::Write),
    ("wake", Need::Write),
    ("web.login.start", Need::Admin),
    ("web.login.wait", Need::Admin),
];

/// Methods that sockets must not reach: of the protocol but not served here, internal ones of plugins and of the host.
const NOT_SERVED: &[&str] = &[
    "agent.abort",
    "agent.backend.echo.run",
    "agent.hold",
    "agent.run",
    "agent.runs",
    "agents.get",
    "channel.signal.login",
    "channel.signal.send",
    "channel.webchat.send",
    "channels.inbound",
    "node.call",
    "node.pair.request",
    "session.store.append",
    "session.store.transcript",
    "send.deliver",
    "heartbeat.report",
    "heartbeat.settings",
    "heartbeat.wake",
    "presence.system-events",
    "presence.system-events.drain",
    "presence.system-events.push",
    "host.config.read",
    "host.connections.close",
    "host.connections.list",
    "host.gateway.info",
    "host.metrics.read",
    "host.pairing.approve",
    "host.pairing.list",
    "host.plugins.reload",
    "host.registry.list",
    "host.surfaces.renew",
    "host.connection.opened",
    "no.such.method",
    "HEALTH",
    " health",
    "health ",
    "hea\u{0}lth",
];

/// Events and what they need.
const EVENTS: &[&str] = &[
    "agent",
    "chat",
    "connect.challenge",
    "cron",
    "device.pair.requested",
    "device.pair.resolved",
    "exec.approval.requested",
    "exec.approval.resolved",
    "health",
    "heartbeat",
    "node.invoke.cancel",
    "node.invoke.request",
    "node.pair.requested",
    "node.pair.resolved",
    "node.queue.done",
    "plugins.changed",
    "presence",
    "session.message",
    "sessions.changed",
    "shutdown",
    "talk.mode",
    "tick",
    "voicewake.changed",
    "voicewake.routing.changed",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    Read,
    Write,
    Talk,
    Approvals,
    Pairing,
    Questions,
    Admin,
    Node,
}

impl Need {
    fn is_met_by(self, scopes: &[&str]) -> bool {
        let holds = |scope: &str| scopes.contains(&scope);
        (holds("operator.admin") && self != Need::Node)
            || match self {
                Need::Nothing => true,
                Need::Node => false,
                Need::Write => holds("operator.write"),
                Need::Read => holds("operator.read") || holds("operator.write"),
                Need::Talk => holds("operator.talk") || holds("operator.write"),
                Need::Approvals => holds("operator.approvals"),
                Need::Pairing => holds("operator.pairing"),
                Need::Questions => holds("operator.questions"),
                Need::Admin => false,
            }
    }

    fn missing(self) -> &'static str {
        match self {
            Need::Nothing => "nothing",
            Need::Node => "unauthorized role: operator",
            Need::Read => "missing scope: operator.read",
            Need::Write => "missing scope: operator.write",
            Need::Talk => "missing scope: operator.talk",
            Need::Approvals => "missing scope: operator.approvals",
            Need::Pairing => "missing scope: operator.pairing",
            Need::Questions => "missing scope: operator.questions",
            Need::Admin => "missing scope: operator.admin",
        }
    }
}

/// Scope sets of the table. In protocol 3 an empty list means admin.
const SCOPES: &[&[&str]] = &[
    &[],
    &["operator.admin"],
    &["operator.read"],
    &["operator.write"],
    &["operator.approvals"],
    &["operator.pairing"],
    &["operator.talk"],
    &["operator.questions"],
    &["operator.made-up"],
    &["operator.ADMIN"],
    &["admin"],
    &["operator.*"],
    &["operator.admin "],
    &["operator.read", "operator.pairing"],
    &["operator.read", "operator.admin"],
];

#[tokio::test]
async fn hello_lists_what_is_in_the_table() {
    let gateway = Gateway::start().await;
    let client = gateway.operator(&["operator.read"]).await;
    let served: Vec<&str> = SERVED.iter().map(|(name, _)| *name).collect();
    assert_eq!(client.hello["features"]["methods"], json!(served), "a new method needs a row in the table above");
    assert_eq!(client.hello["features"]["events"], json!(EVENTS), "so does a new event");
    client.close().await;
}

#[tokio::test]
async fn every_method_for_every_scope() {
    let gateway = Gateway::with_config("[gateway.limits]\nmax_refused_calls = 100000").await;
    for scopes in SCOPES {
        let mut client = gateway.operator(scopes).await;
        let held: &[&str] = if scopes.is_empty() { &["operator.admin"] } else { scopes };
        for (method, need) in SERVED {
            let refusal = access_refusal(&mut client, method).await;
            let expected = (!need.is_met_by(held)).then(|| need.missing());
            assert_eq!(refusal.as_deref(), expected, "{method} with {scopes:?}");
        }
        for method in NOT_SERVED {
            let error = client.refused(method, json!({})).await;
            let expected = if held.contains(&"operator.admin") {
                format!("unknown method: {method}")
            } else {
                "missing scope: operator.admin".to_string()
            };
            assert_eq!((error.code.as_str(), error.message), ("INVALID_REQUEST", expected), "{method} with {scopes:?}");
            assert_eq!((error.details, error.retryable), (None, None), "{method} with {scopes:?}");
        }
        let again = client.refused("connect", json!({})).await.message;
        let expected = if held.contains(&"operator.admin") {
            "connect is only valid as the first request"
        } else {
            "missing scope: operator.admin"
        };
        assert_eq!(again, expected, "connect with {scopes:?}");
        client.close().await;
    }
}

#[tokio::test]
async fn a_node_gets_health_and_its_own_methods_whatever_scopes_it_names() {
    let gateway = Gateway::with_config("[gateway.limits]\nmax_refused_calls = 100000").await;
    for (number, scopes) in SCOPES.iter().enumerate() {
        let node = Connect::node().scopes(scopes).device(&Key::new(number as u8));
        let mut client = gateway.connect(&node).await;
        for (method, need) in SERVED {
            let refusal = access_refusal(&mut client, method).await;
            let expected = (!matches!(need, Need::Nothing | Need::Node)).then_some("unauthorized role: node");
            assert_eq!(refusal.as_deref(), expected, "{method} as a node with {scopes:?}");
        }
        for method in NOT_SERVED.iter().chain(&["connect"]) {
            let error = client.refused(method, json!({})).await;
            assert_eq!(error.message, "unauthorized role: node", "{method} as a node with {scopes:?}");
        }
        client.close().await;
    }
}

#[tokio::test]
async fn a_node_without_a_device_has_no_more_rights() {
    let gateway = Gateway::start().await;
    let mut client = gateway.connect(&Connect::node().scopes(&["operator.admin"])).await;
    assert_eq!(client.refused("status", json!({})).await.message, "unauthorized role: node");
    client.ok("health", json!({})).await;
    client.close().await;
}

#[tokio::test]
async fn what_admins_alone_see_is_hidden_from_readers() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.admin().await;
    let mut reader = gateway.operator(&["operator.read"]).await;
    assert!(admin.hello["snapshot"]["stateDir"].is_string());
    assert_eq!(reader.hello["snapshot"].get("stateDir"), None);
    assert_eq!(reader.hello["snapshot"].get("configPath"), None);
    let folder = gateway.state_dir().display().to_string();
    for method in [
        "config.get",
        "logs.tail",
        "status",
        "system.plugins",
        "health",
        "models.list",
        "channels.status",
        "sessions.list",
    ] {
        let payload = reader.ok(method, json!({})).await;
        if method != "logs.tail" && method != "config.get" {
            assert!(
                !payload.to_string().contains(&folder),
                "{method} tells a reader where the gateway lives: {payload}"
            );
        }
        for key in ["path", "file"] {
            let shown = payload[key].as_str().unwrap_or("");
            assert!(!shown.contains('/'), "{method} tells a reader where the gateway lives: {shown}");
        }
    }
    // Internal methods are shown to admins only.
    assert_eq!(
        reader.refused("system.methods", json!({ "internal": true })).await.message,
        "missing scope: operator.admin"
    );
    let listed = admin.ok("system.methods", json!({ "internal": true })).await.to_string();
    assert!(listed.contains("host.pairing.approve"));
    admin.close().await;
    reader.close().await;
}

#[tokio::test]
async fn comments_of_the_configuration_show_no_secret() {
    let comment = format!(
        "\
        # Of the lab.\n# token = \"hunter1\"\n[gateway.auth] # {TOKEN} by flag\ntoken = \"hunter2\" # not hunter2 again\n\
        token_ttl = \"30d\" # long\n"
    );
    let gateway = Gateway::with_config(&comment).await;
    let mut reader = gateway.operator(&["operator.read"]).await;
    let config = reader.ok("config.get", json!({})).await;
    let hidden = "__OPENCLAW_REDACTED__";
    let expected = format!(
        "# Of the lab.\n# {hidden}\n[gateway.auth] # {hidden}\ntoken = \"{hidden}\" # {hidden}\ntoken_ttl = \"30d\" # long\n"
    );
    assert_eq!(config["raw"], json!(expected));
    assert!(!config.to_string().contains("hunter"), "{config}");
    reader.close().await;
}

#[tokio::test]
async fn arguments_and_headers_of_the_configuration_show_no_secret() {
    let gateway = Gateway::with_config(
        "[plugins.command.config]\nargs = [\"-p\", \"--api-key\", \"hunter2\", \"--token=hunter2\"]\n\
         [plugins.openai.config.headers]\nocp-apim-subscription-key = \"hunter2\"\n",
    )
    .await;
    let mut reader = gateway.operator(&["operator.read"]).await;
    let config = reader.ok("config.get", json!({})).await;
    assert!(!config.to_string().contains("hunter2"), "{config}");
    let hidden = "__OPENCLAW_REDACTED__";
    let args = json!(["-p", "--api-key", hidden, format!("--token={hidden}")]);
    for shown in [&config["parsed"], &config["config"]] {
        assert_eq!(shown["plugins"]["command"]["config"]["args"], args);
    }
    assert_eq!(config["valid"], true);
    reader.close().await;
}

#[tokio::test]
async fn method_lists_of_the_operator_bound_everybody() {
    let gateway = Gateway::with_config(
        "[gateway.methods]\ndeny = [\"logs.*\"]\n[gateway.methods.operator]\ndeny = [\"status\"]\n\
         [gateway.methods.node]\nallow = []\n[plugins.models]\nmethods = []",
    )
    .await;
    let mut admin = gateway.admin().await;
    let listed = admin.hello["features"]["methods"].as_array().expect("a list").clone();
    let listed: BTreeSet<_> = listed.iter().filter_map(|name| name.as_str()).collect();
    assert!(!listed.contains("logs.tail") && !listed.contains("models.list") && listed.contains("health"));
    assert_eq!(admin.refused("logs.tail", json!({})).await.message, "unknown method: logs.tail");
    assert_eq!(admin.refused("models.list", json!({})).await.message, "unknown method: models.list");
    assert_eq!(admin.refused("status", json!({})).await.message, "method not allowed: status");
    let mut node = gateway.node(&Key::new(1)).await;
    assert_eq!(node.refused("health", json!({})).await.message, "method not allowed: health");
    admin.close().await;
    node.close().await;
}

/// The sentence with which access is refused; `None` when the call gets past that check.
async fn access_refusal(client: &mut Client, method: &str) -> Option<String> {
    match client.call(method, json!({})).await {
        Ok(_) => None,
        Err(ErrorShape { code, message, details, .. }) => {
            let is_access = ["missing scope: ", "unauthorized role: ", "unknown method: ", "method not allowed: "]
                .iter()
                .any(|begin| message.starts_with(begin));
            if is_access {
                assert_eq!((code.as_str(), details), ("INVALID_REQUEST", None), "{method}: {message}");
            }
            is_access.then_some(message)
        }
    }
}
