//! Session keys: which runs one means, and which one is told.

use plugin_api::catalogue::GatewayInfo;
use schemas::hello::SessionDefaults;

use super::*;

fn stop(plugin: &Running, key: &str) -> Value {
    plugin.call_as(Who::plugin("chat"), "agent.abort", json!({ "sessionKey": key })).payload()["runIds"].clone()
}

#[test]
fn a_session_s_runs_are_found_by_every_spelling_of_its_key() {
    let plain = SessionDefaults::default();
    let home = SessionDefaults { main_key: "home".to_string(), ..plain.clone() };
    let global = SessionDefaults { scope: Some("global".to_string()), ..plain.clone() };
    for (defaults, begun, stopped, kept) in [
        (&plain, "agent:ops:Main", "agent:ops:Main", "agent:ops:main"),
        (&plain, "agent:ops: y", "agent:ops:y", "agent:ops:y"),
        (&plain, "agent::ops:x", "agent:ops:x", "agent:ops:x"),
        (&home, "agent:ops:main", "agent:ops:HOME", "agent:ops:home"),
        (&global, "agent:ops:main", "main", "global"),
        // The agent that it was begun with is not in the key, so only the same spelling finds it.
        (&plain, "main", "main", "agent:ops:main"),
    ] {
        let info = GatewayInfo { session_defaults: defaults.clone(), ..plugin_kit::sample::gateway_info() };
        let harness = harness(json!({}), json!({})).answer("host.gateway.info", info);
        let (harness, calls) = keeping(harness.answer("agents.get", record(json!({ "agentId": "ops" }))), BACKEND);
        let plugin = harness.start();
        let params = json!({ "message": "hi", "idempotencyKey": "r", "sessionKey": begun, "agentId": "ops" });
        let call = plugin.begin("agent", params);
        assert_eq!(call.next_interim()["sessionKey"], kept, "{begun}");
        assert_eq!(nth(&plugin, &calls, 0).params()["agentId"], "ops", "{begun}");
        assert_eq!(stop(&plugin, "agent:ops:another"), json!([]), "{begun}");
        assert_eq!(stop(&plugin, stopped), json!(["r"]), "{begun}");
        call.wait().payload();
    }
}

#[test]
fn a_run_is_told_under_its_client_s_spelling_or_else_under_the_one_that_lists_show() {
    let (harness, calls) = keeping(harness(json!({}), json!({})), BACKEND);
    let plugin = harness.start();
    let own = own(&plugin, "own", json!({ "sessionKey": "hook:Z1" }));
    nth(&plugin, &calls, 0).finish(Ok(answer("yes")));
    own.wait().payload();
    let client = client(&plugin, "client", "hook:Z1");
    nth(&plugin, &calls, 1).finish(Ok(answer("yes")));
    client.wait().payload();
    for (run_id, key) in [("own", "agent:main:hook:Z1"), ("client", "hook:Z1")] {
        let events = events(&plugin, run_id);
        assert!(!events.is_empty() && events.iter().all(|event| event["sessionKey"] == key), "{events:?}");
    }
}

#[test]
fn who_began_a_session_is_kept_in_the_spelling_that_lists_look_for() {
    let (harness, calls) = keeping(harness(json!({}), json!({})), BACKEND);
    let key = "agent:main:subagent:1";
    let plugin = harness
        .answer("session.store.open", json!({ "key": key, "agentId": "main", "sessionId": "s", "entry": {} }))
        .answer("session.store.append", json!({ "key": key, "sessionId": "s", "ids": [], "total": 1 }))
        .answer("session.store.transcript", json!({ "key": key, "messages": [], "total": 0 }))
        .start();
    let params = json!({ "message": "hi", "idempotencyKey": "r", "sessionKey": "subagent:1", "spawnedBy": "main" });
    let call = plugin.begin("agent", params);
    nth(&plugin, &calls, 0).finish(Ok(answer("yes")));
    call.wait().payload();
    let set = plugin.asked().into_iter().find_map(|asked| asked.params.get("set").cloned());
    assert_eq!(set, Some(json!({ "spawnedBy": "agent:main:main" })));
}
