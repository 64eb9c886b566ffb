use std::time::Duration;

use plugin_kit::{Harness, Running, StubCall, Who};
use schemas::ErrorShape;
use serde_json::{Value, json};

use super::Models;

fn registry(methods: &[&str]) -> Value {
    let row =
        |name: &&str| json!({"kind": "method", "plugin": "some", "spec": {"name": name, "params": {"deep": [1]}}});
    json!({"plugins": [], "methods": methods.iter().map(row).collect::<Vec<_>>(), "events": []})
}

fn small() -> Value {
    json!({"id": "small", "name": "Small", "provider": "acme", "contextWindow": 8192, "reasoning": false, "input": ["text"]})
}

fn names(plugin: &Running) -> Vec<String> {
    let payload = plugin.call_as(Who::operator(&["operator.read"]), "models.list", json!({})).payload();
    let models = payload["models"].as_array().unwrap();
    models
        .iter()
        .map(|model| format!("{}/{}", model["provider"].as_str().unwrap(), model["name"].as_str().unwrap()))
        .collect()
}

#[test]
fn configured_models_in_their_order() {
    let bare = json!({"id": "b", "name": "B", "provider": "acme"});
    let plugin = Harness::new::<Models>()
        .config(json!({"models": [small(), bare]}))
        .answer("host.registry.list", registry(&["health"]))
        .start();
    let expected = json!({"models": [small(), bare]});
    assert_eq!(plugin.call("models.list", json!({})).payload(), expected);
    let newer = json!({"view": "configured", "agentId": "main", "sessionKey": "agent:main:main", "refresh": null});
    assert_eq!(plugin.call("models.list", newer).payload(), expected);
    let error = plugin.call("models.list", json!({"provider": "acme"})).error();
    assert!(error.message.starts_with("invalid models.list params: "), "{}", error.message);
    plugin.call_as(Who::node(), "models.list", json!({})).error();
    plugin.call_as(Who::operator(&[]), "models.list", json!({})).error();
}

#[test]
fn nothing_is_configured_and_the_registry_is_silent() {
    let plugin = Harness::new::<Models>().start();
    assert_eq!(plugin.call("models.list", json!({})).payload(), json!({"models": []}));
    assert!(plugin.logs().iter().any(|line| line.message.contains("host.registry.list")), "the operator is told");
}

#[test]
fn backends_add_theirs() {
    let plugin = Harness::new::<Models>()
        .config(json!({"models": [small()]}))
        .answer(
            "host.registry.list",
            registry(&["agent", "agent.backend.b.models", "agent.backend.b.run", "agent.backend.a.models", "agent.backend.models"]),
        )
        .answer("agent.backend.a.models", json!({"models": [{"id": "z"}, {"id": "small", "provider": "acme"}]}))
        .answer(
            "agent.backend.b.models",
            json!({"more": 1, "models": [
                {"id": "y", "name": "Why", "provider": "a", "contextWindow": 0, "input": ["text", "audio"], "alias": "w"},
                {"name": "no id"}, 7, {"id": "  "},
            ]}),
        )
        .start();
    let payload = plugin.call("models.list", json!({})).payload();
    assert_eq!(
        payload["models"],
        json!([
            small(),
            {"id": "y", "name": "Why", "provider": "a", "input": ["text"]},
            {"id": "z", "name": "z", "provider": "a"},
        ])
    );
    let asked: Vec<String> = plugin.asked().into_iter().map(|asked| asked.method).collect();
    assert_eq!(asked, ["host.registry.list", "agent.backend.a.models", "agent.backend.b.models"]);
}

#[test]
fn a_backend_that_fails_or_hangs_costs_only_its_own() {
    let plugin = Harness::new::<Models>()
        .config(json!({"models": [small()]}))
        .answer(
            "host.registry.list",
            registry(&[
                "agent.backend.bad.models",
                "agent.backend.gone.models",
                "agent.backend.good.models",
                "agent.backend.odd.models",
                "agent.backend.slow.models",
            ]),
        )
        .answer_error("agent.backend.bad.models", ErrorShape::unavailable("no key"))
        .answer("agent.backend.good.models", json!({"models": [{"id": "g", "name": "G"}]}))
        .answer("agent.backend.odd.models", json!(["a", "b"]))
        .answer_with("agent.backend.slow.models", |_: StubCall| {})
        .start();
    let call = plugin.begin("models.list", json!({}));
    plugin.settle();
    assert!(!call.is_done(), "the slow one may still answer");
    plugin.advance(Duration::from_secs(3));
    let payload = call.wait().payload();
    assert_eq!(payload["models"], json!([small(), {"id": "g", "name": "G", "provider": "good"}]));
    for backend in ["bad", "gone", "odd", "slow"] {
        assert!(plugin.logs().iter().any(|line| line.message.contains(&format!("those of {backend}: "))), "{backend}");
    }
}

#[test]
fn the_order_does_not_depend_on_who_answers_first() {
    let models = |ids: &[&str]| json!({"models": ids.iter().map(|id| json!({"id": id})).collect::<Vec<_>>()});
    let plugin = Harness::new::<Models>()
        .answer("host.registry.list", registry(&["agent.backend.b.models", "agent.backend.a.models"]))
        .answer("agent.backend.a.models", models(&["2", "1"]))
        .answer("agent.backend.b.models", models(&["0"]))
        .start();
    assert_eq!(names(&plugin), ["a/1", "a/2", "b/0"]);
}

#[test]
fn wrong_configuration_is_refused() {
    for (config, hint) in [
        (json!({"models": [{"id": "a", "name": "A"}]}), "provider"),
        (json!({"models": [{"id": "a", "name": "A", "provider": "p", "contextWindow": 0}]}), "minimum"),
        (json!({"models": [{"id": "a", "name": "A", "provider": "p", "input": ["smell"]}]}), "smell"),
        (json!({"model": []}), "model"),
        (json!({"models": [small(), small()]}), "models[1]: \"small\" of \"acme\" is listed twice"),
    ] {
        let error = Harness::new::<Models>().config(config).create_error();
        assert!(error.contains(hint), "{error}");
    }
}
