//! `/tools/invoke`.

use super::*;

/// A registry with a tool that reads, one that does something, and a method that is no tool.
fn tools(config: Value) -> Running {
    let row = |name: &str, scope: &str, effects: bool, tool: bool| {
        let properties = json!({ "action": {}, "sessionKey": {}, "city": {} });
        let spec = json!({
            "name": name, "role": "operator", "scopes": [scope], "effects": effects, "tool": tool,
            "params": { "type": "object", "properties": properties },
        });
        json!({ "kind": "method", "plugin": "weather", "spec": spec })
    };
    let methods = json!([
        row("weather.report", "operator.read", false, true),
        row("weather.change", "operator.write", true, true),
        row("weather.secret", "operator.read", false, false),
    ]);
    let mut all = json!({ "tools": true });
    for (name, value) in config.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    Harness::new::<Doors>()
        .config(all)
        .answer("host.registry.list", json!({ "plugins": [], "methods": methods, "events": [] }))
        .answer_with("weather.report", |call| match call.params()["city"].as_str() {
            Some("nowhere") => call.finish(Err(ErrorShape::invalid_request("no such city"))),
            _ => call.finish(Ok(call.params().clone())),
        })
        .answer("weather.change", json!({ "changed": true }))
        .answer("weather.secret", json!({}))
        .start()
}

#[test]
fn a_tool_is_invoked_and_only_those_that_are_open_exist() {
    let plugin = tools(json!({}));
    let invoke = |plugin: &Running, body_: Value| {
        let answer = plugin.http(post("/tools/invoke", &body_)).wait();
        (answer.status, body(&answer))
    };
    for tool in ["weather.report", "weather_report"] {
        let (status, answer) = invoke(&plugin, json!({ "tool": tool, "args": { "city": "Ulm" }, "sessionKey": "s" }));
        assert_eq!((status, answer), (200, json!({ "ok": true, "result": { "city": "Ulm", "sessionKey": "s" } })));
    }
    let (status, answer) = invoke(&plugin, json!({ "tool": "weather", "action": "report" }));
    assert_eq!((status, answer["result"]["action"].as_str()), (200, Some("report")));
    for tool in ["weather.change", "weather.secret", "host.registry.list", "nothing"] {
        let (status, answer) = invoke(&plugin, json!({ "tool": tool }));
        assert_eq!((status, &answer["error"]["type"]), (404, &json!("not_found")), "{tool}");
    }
    let (status, answer) = invoke(&plugin, json!({ "tool": "weather.report", "args": { "city": "nowhere" } }));
    assert_eq!((status, &answer["error"]["type"], &answer["ok"]), (400, &json!("tool_error"), &json!(false)));
    let (status, answer) = invoke(&plugin, json!({ "tool": "weather.report", "args": [] }));
    assert_eq!((status, &answer["error"]["type"]), (400, &json!("invalid_request")));

    let plugin = tools(json!({ "tools_allowed": ["weather.ch*", "weather.secret"] }));
    assert_eq!(invoke(&plugin, json!({ "tool": "weather.change" })).0, 200);
    assert_eq!(invoke(&plugin, json!({ "tool": "weather.report" })).0, 404, "the list says which, and no others");
    assert_eq!(invoke(&plugin, json!({ "tool": "weather.secret" })).0, 404, "no list makes a tool of what is none");
}
