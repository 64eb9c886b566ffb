use plugin_api::catalogue::{Connection, ConnectionClosed, ConnectionOpened};
use plugin_kit::{Harness, Running, Who};
use serde_json::{Value, json};

use super::Voice;

fn start() -> Running {
    Harness::new::<Voice>().start()
}

fn node(conn: u64, platform: &str, protocol: u32) -> ConnectionOpened {
    let connection = json!({
        "conn": conn, "connId": format!("c-{conn}"), "protocol": protocol, "role": "node", "scopes": [],
        "client": { "id": "node-host", "platform": platform }, "local": true, "connectedAtMs": 1,
    });
    let connection: Connection = serde_json::from_value(connection).unwrap();
    ConnectionOpened { connection, presence_key: None, presence: None, replay: false }
}

fn gone(conn: u64) -> ConnectionClosed {
    serde_json::from_value(json!({ "conn": conn, "connId": format!("c-{conn}"), "role": "node" })).unwrap()
}

fn set(voice: &Running, triggers: Value) -> Value {
    voice
        .call_as(Who::operator(&["operator.write"]), "voicewake.set", json!({ "triggers": triggers, "more": 1 }))
        .payload()
}

#[test]
fn words_are_kept_tidied_and_told() {
    let voice = start();
    let reader = || Who::operator(&["operator.read"]);
    let default = json!({ "triggers": ["openclaw", "claude", "computer"] });
    assert_eq!(voice.call_as(reader(), "voicewake.get", json!({ "odd": 1 })).payload(), default);
    let long = "ä".repeat(70);
    let stored = set(&voice, json!([" anna ", "", "  ", long]));
    assert_eq!(stored, json!({ "triggers": ["anna", "ä".repeat(64)] }));
    let told = voice.wait_event("voicewake.changed");
    assert!(told.droppable && told.conns.is_none() && told.payload == stored);
    assert_eq!(voice.call("voicewake.get", json!({})).payload(), stored);

    let kept = voice.kv("triggers").unwrap();
    let again = Harness::new::<Voice>().kv("triggers", kept).start();
    assert_eq!(again.call("voicewake.get", json!({})).payload(), stored);
    assert_eq!(set(&again, json!(["  "])), default, "nothing brings back the default");
    let many: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    assert_eq!(set(&again, json!(many))["triggers"].as_array().unwrap().len(), 32);
}

#[test]
fn words_are_a_list_of_texts() {
    let voice = start();
    for params in [json!({}), json!({ "triggers": null }), json!({ "triggers": "a" }), json!({ "triggers": [1] })] {
        let error = voice.call("voicewake.set", params).error();
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("INVALID_REQUEST", "voicewake.set requires triggers: string[]")
        );
    }
    assert!(
        voice.call_as(Who::operator(&["operator.read"]), "voicewake.set", json!({ "triggers": [] })).result.is_err()
    );
    voice.fail_writes("disk full");
    assert_eq!(voice.call("voicewake.set", json!({ "triggers": ["a"] })).error().code, "UNAVAILABLE");
    assert!(voice.events().is_empty(), "nothing is told that is not kept");
}

#[test]
fn a_node_learns_the_words_when_it_connects_and_when_they_change() {
    let voice = start();
    voice.open_connection(&node(7, "linux", 3));
    let told = voice.wait_event("voicewake.changed");
    assert_eq!((told.conns, told.payload["triggers"][0].as_str()), (Some(vec![7]), Some("openclaw")));
    assert!(voice.events().iter().all(|event| event.name != "voicewake.routing.changed"), "not at protocol 3");
    voice.open_connection(&node(8, "linux", 4));
    let routing = voice.wait_event("voicewake.routing.changed");
    let config = json!({ "version": 1, "defaultTarget": { "mode": "current" }, "routes": [], "updatedAtMs": 0 });
    assert_eq!((routing.conns, &routing.payload["config"]), (Some(vec![8]), &config));
    assert_eq!(voice.call("voicewake.routing.get", json!({})).payload(), json!({ "config": config }));
    assert_eq!(voice.wait_event("voicewake.changed").conns, Some(vec![8]));

    voice.close_connection(&gone(7));
    set(&voice, json!(["anna"]));
    let told = [voice.wait_event("voicewake.changed"), voice.wait_event("voicewake.changed")];
    let to = told.each_ref().map(|event| event.conns.clone());
    assert!(to.contains(&None) && to.contains(&Some(vec![8])), "{to:?}");
    let replayed = ConnectionOpened { replay: true, ..node(9, "linux", 4) };
    let before = voice.events().len();
    voice.open_connection(&replayed);
    assert_eq!(voice.events().len(), before, "it has heard them already");
}

#[test]
fn rules_are_kept_and_told() {
    let voice = start();
    voice.open_connection(&node(7, "linux", 3));
    voice.open_connection(&node(8, "linux", 4));
    voice.wait_event("voicewake.routing.changed");
    let writer = || Who::operator(&["operator.write"]);
    let wanted = json!({
        "version": 1, "defaultTarget": { "agentId": "Ops" }, "updatedAtMs": 5, "more": 1,
        "routes": [
            { "trigger": " Hey, Robot!", "target": { "sessionKey": "agent:main:telegram:7" } },
            { "trigger": "anna", "target": { "mode": "current" } },
        ],
    });
    let stored = voice.call_as(writer(), "voicewake.routing.set", json!({ "config": wanted, "more": 1 })).payload();
    let config = &stored["config"];
    assert_eq!(
        (&config["version"], &config["defaultTarget"], &config["routes"]),
        (
            &json!(1),
            &json!({ "agentId": "ops" }),
            &json!([
                { "trigger": "Hey, Robot!", "target": { "sessionKey": "agent:main:telegram:7" } },
                { "trigger": "anna", "target": { "mode": "current" } },
            ])
        )
    );
    assert!(config["updatedAtMs"].as_u64().is_some_and(|at| at > 5), "{config}");
    let told = [voice.wait_event("voicewake.routing.changed"), voice.wait_event("voicewake.routing.changed")];
    assert!(told.iter().all(|event| event.payload == stored));
    let to = told.each_ref().map(|event| event.conns.clone());
    assert!(to.contains(&None) && to.contains(&Some(vec![8])), "and no node of protocol 3: {to:?}");
    assert_eq!(voice.call("voicewake.routing.get", json!({})).payload(), stored);

    let again = Harness::new::<Voice>().kv("routing", voice.kv("routing").unwrap()).start();
    again.open_connection(&node(9, "linux", 4));
    assert_eq!(again.wait_event("voicewake.routing.changed").payload, stored);
    let default = again.call("voicewake.routing.set", json!({ "config": {} })).payload();
    assert_eq!(
        (&default["config"]["defaultTarget"], &default["config"]["routes"]),
        (&json!({ "mode": "current" }), &json!([]))
    );
}

#[test]
fn rules_are_what_every_app_can_read() {
    let voice = start();
    let one = |trigger: Value, target: Value| json!({ "routes": [{ "trigger": trigger, "target": target }] });
    let current = || json!({ "mode": "current" });
    let twice = json!({ "routes": [
        { "trigger": "hey bot", "target": current() }, { "trigger": "Hey,  BOT!!", "target": current() },
    ] });
    let many: Vec<Value> = (0..33).map(|n| json!({ "trigger": n.to_string(), "target": current() })).collect();
    for (config, words) in [
        (json!(null), "voicewake.routing.set requires config: object"),
        (json!([]), "voicewake.routing.set requires config: object"),
        (json!({ "version": 2 }), "config.version must be 1"),
        (json!({ "defaultTarget": {} }), "config.defaultTarget must be"),
        (json!({ "routes": {} }), "config.routes must be a list"),
        (json!({ "routes": many }), "at most 32"),
        (one(json!(1), current()), "config.routes[0].trigger must be a text"),
        (one(json!("x".repeat(65)), current()), "config.routes[0].trigger must be a text"),
        (one(json!("?!"), current()), "config.routes[0].trigger must hold a word"),
        (twice, "config.routes[1].trigger sounds like"),
        (one(json!("a"), json!({ "mode": "current", "agentId": "b" })), "one of them only"),
        (one(json!("a"), json!({ "mode": "other" })), "one of them only"),
        (one(json!("a"), json!(null)), "config.routes[0].target must be"),
        (one(json!("a"), json!({ "agentId": "../b" })), "config.routes[0].target.agentId"),
        (one(json!("a"), json!({ "sessionKey": "main" })), "config.routes[0].target.sessionKey"),
        (one(json!("a"), json!({ "sessionKey": "agent:b:" })), "config.routes[0].target.sessionKey"),
        (one(json!("a"), json!({ "sessionKey": format!("agent:b:{}", "x".repeat(260)) })), "sessionKey"),
    ] {
        let error = voice.call("voicewake.routing.set", json!({ "config": config })).error();
        assert!(error.code == "INVALID_REQUEST" && error.message.contains(words), "{words}: {error:?}");
    }
    assert!(voice.events().is_empty());
    let reader = Who::operator(&["operator.read"]);
    assert!(voice.call_as(reader, "voicewake.routing.set", json!({ "config": {} })).result.is_err());
    voice.call("voicewake.routing.set", json!({ "config": { "version": 1.0, "routes": null } })).payload();
}

#[test]
fn talking_is_passed_on() {
    let voice = start();
    let talker = || Who::operator(&["operator.talk"]);
    let mode = voice.call_as(talker(), "talk.mode", json!({ "enabled": true, "phase": "listening" })).payload();
    assert_eq!((&mode["enabled"], &mode["phase"]), (&json!(true), &json!("listening")));
    assert_eq!(voice.wait_event("talk.mode").payload, mode);
    let off = voice.call("talk.mode", json!({ "enabled": false, "phase": null })).payload();
    assert_eq!(off["phase"], Value::Null);

    for (id, client_mode) in [("webchat-ui", "ui"), ("other", "webchat")] {
        let webchat = || {
            talker().with(|caller| {
                caller.client_id = Some(id.to_string());
                caller.client_mode = Some(client_mode.to_string());
            })
        };
        let ask = || voice.call_as(webchat(), "talk.mode", json!({ "enabled": true }));
        voice.open_connection(&node(7, "linux", 3));
        let refused = ask().error();
        assert_eq!(
            (refused.code.as_str(), refused.message.as_str()),
            ("UNAVAILABLE", "talk disabled: no connected iOS/Android nodes")
        );
        voice.open_connection(&node(8, "iPadOS 18.1", 3));
        ask().payload();
        voice.close_connection(&gone(8));
        assert!(ask().result.is_err());
    }
    assert!(voice.call_as(Who::operator(&["operator.read"]), "talk.mode", json!({ "enabled": true })).result.is_err());
}

#[test]
fn the_operator_chooses_the_default() {
    let voice = Harness::new::<Voice>().config(json!({ "default_triggers": [" hal "] })).start();
    assert_eq!(voice.call("voicewake.get", json!({})).payload(), json!({ "triggers": ["hal"] }));
    let why = Harness::new::<Voice>().config(json!({ "default_triggers": [" "] })).create_error();
    assert!(why.contains("default_triggers"), "{why}");
}
