use plugin_api::catalogue::GatewayInfo;
use plugin_kit::{Harness, Running, Who, sample};
use schemas::ErrorShape;
use schemas::hello::SessionDefaults;
use serde_json::{Value, json};

use super::Agents;

fn get(plugin: &Running, params: Value) -> Value {
    plugin.call_as(Who::plugin("agent"), "agents.get", params).payload()
}

fn reader() -> Who {
    Who::operator(&["operator.read"])
}

fn gateway(default_agent: &str) -> GatewayInfo {
    let defaults = SessionDefaults { default_agent_id: default_agent.to_string(), ..SessionDefaults::default() };
    GatewayInfo { session_defaults: defaults, ..sample::gateway_info() }
}

fn with(config: Value, default_agent: &str) -> Running {
    Harness::new::<Agents>().config(config).answer("host.gateway.info", gateway(default_agent)).start()
}

fn two_agents() -> Value {
    json!({"agents": [
        {"id": "Ops Team", "name": "Ops", "model": {"primary": "acme/small"}},
        {"id": "home", "identity": {"name": "Casa", "theme": "warm", "emoji": "🏠", "avatarUrl": "https://example.org/a.png"}},
    ]})
}

fn identity(plugin: &Running, params: Value) -> Value {
    plugin.call_as(reader(), "agent.identity.get", params).payload()
}

#[test]
fn unless_configured_there_is_one() {
    let plugin = with(json!({}), "main");
    assert_eq!(
        plugin.call_as(reader(), "agents.list", json!({})).payload(),
        json!({"defaultId": "main", "mainKey": "main", "scope": "per-sender", "agents": [{"id": "main", "model": {"primary": "echo/echo"}}]})
    );
    assert_eq!(identity(&plugin, json!({})), json!({"agentId": "main", "name": "Assistant", "avatar": "A"}));
    let plugin = with(json!({"agents": []}), "Butler");
    let list = plugin.call("agents.list", json!({})).payload();
    assert_eq!(
        (&list["defaultId"], &list["agents"]),
        (&json!("butler"), &json!([{"id": "butler", "model": {"primary": "echo/echo"}}]))
    );
}

#[test]
fn configured_ones_are_listed_with_normal_ids() {
    let plugin = with(two_agents(), "home");
    assert_eq!(
        plugin.call("agents.list", json!({})).payload(),
        json!({
            "defaultId": "home", "mainKey": "main", "scope": "per-sender",
            "agents": [
                {"id": "ops-team", "name": "Ops", "model": {"primary": "acme/small"}},
                {"id": "home", "identity": {
                    "name": "Casa", "theme": "warm", "emoji": "🏠", "avatarUrl": "https://example.org/a.png",
                }, "model": {"primary": "echo/echo"}},
            ],
        })
    );
    let stranger = with(two_agents(), "main");
    assert_eq!(
        stranger.call("agents.list", json!({})).payload()["defaultId"],
        "ops-team",
        "the default is one of them"
    );
}

#[test]
fn an_identity_by_agent_or_session() {
    let plugin = with(two_agents(), "home");
    let casa = json!({"agentId": "home", "name": "Casa", "avatar": "https://example.org/a.png"});
    let ops = json!({"agentId": "ops-team", "name": "Ops", "avatar": "A"});
    for params in [
        json!({}),
        json!({"agentId": null, "sessionKey": null}),
        json!({"agentId": "HOME"}),
        json!({"sessionKey": "main"}),
        json!({"sessionKey": " "}),
        json!({"sessionKey": "agent:home:main"}),
        json!({"sessionKey": "agent:home:main", "agentId": "Home"}),
    ] {
        assert_eq!(identity(&plugin, params.clone()), casa, "{params}");
    }
    for params in [json!({"agentId": "ops team"}), json!({"sessionKey": "agent:ops-team:telegram:7"})] {
        assert_eq!(identity(&plugin, params.clone()), ops, "{params}");
    }
    let unknown = json!({"agentId": "nobody", "name": "Assistant", "avatar": "A"});
    assert_eq!(identity(&plugin, json!({"agentId": "nobody"})), unknown);
}

#[test]
fn agent_and_session_must_agree() {
    let plugin = with(two_agents(), "home");
    for (params, session_agent) in [
        (json!({"agentId": "Ops", "sessionKey": "agent:home:main"}), "home"),
        (json!({"agentId": "Ops", "sessionKey": "main"}), "home"),
    ] {
        let error = plugin.call("agent.identity.get", params).error();
        assert_eq!(
            error,
            ErrorShape::invalid_request(format!(
                "invalid agent.identity.get params: agent \"Ops\" does not match session key agent \"{session_agent}\""
            ))
        );
    }
}

#[test]
fn access_and_params() {
    let plugin = with(json!({}), "main");
    for method in ["agents.list", "agent.identity.get"] {
        plugin.call_as(Who::operator(&["operator.pairing"]), method, json!({})).error();
        plugin.call_as(Who::node(), method, json!({})).error();
        for params in [json!({"verbose": true}), json!([]), json!("main")] {
            let error = plugin.call(method, params.clone()).error();
            assert!(error.message.starts_with(&format!("invalid {method} params: ")), "{params}: {}", error.message);
        }
    }
    plugin.call("agent.identity.get", json!({"agentId": ""})).error();
    plugin.call("agent.identity.get", json!({"agentId": 7})).error();
}

#[test]
fn a_host_that_fails_is_the_answer() {
    let plugin =
        Harness::new::<Agents>().answer_error("host.gateway.info", ErrorShape::unavailable("stopping")).start();
    assert_eq!(plugin.call("agents.list", json!({})).error(), ErrorShape::unavailable("stopping"));
    let by_name = plugin.call("agent.identity.get", json!({"agentId": "main"})).payload();
    assert_eq!(by_name["agentId"], "main", "what needs no host still answers");
}

#[test]
fn wrong_configuration_is_refused() {
    for (config, hint) in [
        (json!({"agents": [{"name": "A"}]}), "id"),
        (json!({"agents": [{"id": ""}]}), "agents/0/id"),
        (json!({"agents": [{"id": "a", "modell": {}}]}), "modell"),
        (json!({"agents": [{"id": "a b"}, {"id": "A-B"}]}), "agents[1].id: \"a-b\" is taken by an agent above it"),
        (json!({"defaults": {"model": {"primary": "/large"}}}), "defaults.model.primary: \"/large\" is no model"),
        (
            json!({"agents": [{"id": "a", "model": {"primary": "acme", "fallbacks": ["a b"]}}]}),
            "agents[0].model.fallbacks[0]: \"a b\" is no model",
        ),
        (json!({"agents": [{"id": "a", "tools": ["*.x"]}]}), "agents[0].tools[0]: \"*.x\" is neither a method"),
        (json!({"agents": [{"id": "a", "thinking": "much"}]}), "agents/0/thinking"),
        (
            json!({"agents": [{"id": "a", "identity": {"avatar": "pictures/a.png"}}]}),
            "agents[0].identity.avatar: \"pictures/a.png\" is not an https:, http: or data:image/ address",
        ),
    ] {
        let error = Harness::new::<Agents>().config(config).create_error();
        assert!(error.contains(hint), "{error}");
    }
}

#[test]
fn how_an_agent_is_run() {
    let plugin = with(json!({}), "main");
    let bare = json!({"agentId": "main", "models": ["echo/echo"], "tools": [], "toolsDenied": []});
    assert_eq!(get(&plugin, json!({})), bare);
    assert_eq!(get(&plugin, json!({"agentId": " MAIN "})), bare);
    let error = plugin.call_as(Who::plugin("agent"), "agents.get", json!({"agentId": "ops"})).error();
    assert_eq!(error, ErrorShape::invalid_request("unknown agent id \"ops\""));
    plugin.call("agents.get", json!({})).error();

    let config = json!({
        "defaults": {
            "model": {"primary": "acme/large", "fallbacks": ["acme/small", "echo"]}, "system": "Be brief.",
            "tools": ["node.*"], "timeout_seconds": 60, "thinking": "low",
        },
        "agents": [
            {"id": "ops", "name": "Ops", "system": "You run things.", "tools_denied": ["node.rename"]},
            {"id": "home", "model": {"primary": "echo/echo"}, "tools": [], "thinking": "high", "timeout_seconds": 5},
        ],
    });
    let plugin = with(config, "home");
    assert_eq!(
        get(&plugin, json!({"agentId": "ops"})),
        json!({
            "agentId": "ops", "name": "Ops", "models": ["acme/large", "acme/small", "echo"], "system": "You run things.",
            "tools": ["node.*"], "toolsDenied": ["node.rename"], "thinking": "low", "timeoutMs": 60_000,
        })
    );
    assert_eq!(
        get(&plugin, json!({})),
        json!({
            "agentId": "home", "models": ["echo/echo"], "system": "Be brief.", "tools": [], "toolsDenied": [],
            "thinking": "high", "timeoutMs": 5_000,
        })
    );
    let listed = plugin.call("agents.list", json!({})).payload()["agents"][0].clone();
    assert_eq!(listed, json!({"id": "ops", "name": "Ops", "model": {"primary": "acme/large"}}));
}
