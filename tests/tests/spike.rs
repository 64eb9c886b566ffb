//! The spike at the wire: a plugin that outlives its connection, one that acts for its caller, one that hears of
//! connections; and what the host does with a plugin that misbehaves.

use clawhost_tests::support::{Connect, Gateway, Key};
use serde_json::{Value, json};

async fn gateway(config: &str) -> Gateway {
    Gateway::builder().program(env!("CARGO_BIN_EXE_test_gateway")).config(config).start().await
}

#[tokio::test]
async fn a_detached_run_outlives_its_connection() {
    let gateway = gateway("").await;
    let mut client = gateway.admin().await;
    let id = client.request("spike.run", json!({ "run": "r1" })).await;
    let accepted = client.reply(&id).await;
    assert_eq!(accepted.payload.expect("a payload")["status"], "accepted");
    drop(client);
    let mut other = gateway.admin().await;
    other.ok("spike.open", json!({ "gate": "r1" })).await;
    assert_eq!(other.ok("spike.result", json!({ "run": "r1" })).await, json!({ "status": "ok", "runId": "r1" }));
    other.close().await;
}

#[tokio::test]
async fn both_answers_of_a_run_carry_its_id() {
    let gateway = gateway("").await;
    let mut client = gateway.admin().await;
    let id = client.request("spike.run", json!({ "run": "r1" })).await;
    assert_eq!(client.reply(&id).await.payload.expect("a payload")["status"], "accepted");
    client.ok("spike.open", json!({ "gate": "r1" })).await;
    assert_eq!(client.reply(&id).await.payload.expect("a payload")["status"], "ok");
    client.close().await;
}

#[tokio::test]
async fn any_other_call_ends_with_its_connection() {
    let gateway = gateway("").await;
    let mut client = gateway.admin().await;
    let id = client.request("spike.attached", json!({ "run": "r1" })).await;
    client.reply(&id).await;
    drop(client);
    let mut other = gateway.admin().await;
    assert_eq!(other.ok("spike.dropped", json!({ "run": "r1" })).await["dropped"], "r1");
    gateway.metric_becomes("clawhost_calls_in_flight", 0.0).await;
    other.close().await;
}

#[tokio::test]
async fn what_a_plugin_calls_for_a_request_belongs_to_its_trace() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let gateway = gateway("").await;
    let mut client = gateway.admin().await;
    let ask = |id: &str, own: bool, traceparent: &str| {
        let params = json!({ "method": "vault.read", "own": own });
        json!({ "type": "req", "id": id, "method": "spike.on_behalf", "params": params, "traceparent": traceparent })
    };
    for (id, own) in [("as the caller", false), ("in its own name", true)] {
        client.send(&ask(id, own, TRACE)).await;
        assert_eq!(client.answer(id).await.expect("an answer")["traceparent"], TRACE, "{id}");
    }
    for (id, method) in [("first", "spike.on_behalf"), ("second", "vault.read")] {
        let ended = gateway.log_line(&format!("method=\"{method}\"")).await;
        assert!(ended.contains("0af7651916cd43dd8448eb211c80319c"), "the log names the trace ({id}): {ended}");
    }
    // One that nobody can read is as good as none, and the next request has none of its own.
    client.send(&ask("odd", false, "00-nothing")).await;
    assert_eq!(client.answer("odd").await.expect("an answer")["traceparent"], Value::Null);
    let answer = client.ok("spike.on_behalf", json!({ "method": "vault.read" })).await;
    assert_eq!(answer["traceparent"], Value::Null);
    client.send(&json!({ "type": "req", "id": "n", "method": "health", "traceparent": 7 })).await;
    let error = client.answer("n").await.expect_err("it is not a text");
    assert!(error.message.contains("/traceparent"), "{}", error.message);
    client.close().await;
}

#[tokio::test]
async fn a_plugin_acts_with_its_callers_rights_and_no_more_than_its_grants() {
    let gateway = gateway("").await;
    let mut reader = gateway.operator(&["operator.read"]).await;
    let mut admin = gateway.admin().await;
    let ask = |method: &str, own: bool| json!({ "method": method, "own": own });

    let answer = reader.ok("spike.on_behalf", ask("vault.read", false)).await;
    assert_eq!((&answer["role"], &answer["plugin"]), (&json!("operator"), &Value::Null));
    let error = reader.refused("spike.on_behalf", ask("vault.admin", false)).await;
    assert_eq!((error.code.as_str(), error.message.as_str()), ("INVALID_REQUEST", "missing scope: operator.admin"));
    assert_eq!(admin.ok("spike.on_behalf", ask("vault.admin", false)).await["scopes"], json!(["operator.admin"]));

    // With its own grants it reaches what the caller could not, and is seen as itself.
    let answer = reader.ok("spike.on_behalf", ask("vault.hidden", true)).await;
    assert_eq!((&answer["role"], &answer["plugin"]), (&json!("plugin"), &json!("spike")));

    // An internal method without a grant, one that nobody serves, one for nodes: not even for an admin.
    for method in ["other.hidden", "host.config.read", "nobody.there", "vault.node"] {
        assert!(admin.call("spike.on_behalf", ask(method, false)).await.is_err(), "{method}");
    }
    for method in ["other.hidden", "host.config.read", "nobody.there"] {
        assert!(admin.call("spike.on_behalf", ask(method, true)).await.is_err(), "{method} with own grants");
    }
    // And none of them from a socket.
    for method in ["vault.hidden", "other.hidden", "host.config.read"] {
        let error = admin.refused(method, json!({})).await;
        assert_eq!(error.message, format!("unknown method: {method}"));
    }
    let hello = admin.hello["features"]["methods"].to_string();
    assert!(!hello.contains("hidden") && !hello.contains("host."), "{hello}");
    reader.close().await;
    admin.close().await;
}

#[tokio::test]
async fn opened_is_heard_before_the_first_call_and_closed_after_the_last() {
    let gateway = gateway("").await;
    let mut observer = gateway.admin().await;
    for _ in 0..5 {
        let mut client = gateway.knock().await;
        // Everything in one write: connect and the calls behind it.
        let mut frames = vec![client.connect_frame(&Connect::operator())];
        let call = |n: usize| json!({ "type": "req", "id": format!("m{n}"), "method": "spike.mark" });
        frames.extend((0..10).map(call));
        client.send_all(&frames).await;
        client.connected().await.expect("accepted");
        let conn = client.answer("m0").await.expect("an answer")["conn"].as_u64().expect("a number");
        // The rest may or may not be answered: the connection goes at once.
        drop(client);
        let journal = observer.ok("spike.journal", json!({ "conn": conn })).await;
        let entries: Vec<_> = journal["entries"].as_array().expect("a list").iter().map(|it| it.as_str()).collect();
        assert_eq!(entries.first(), Some(&Some("opened")), "{entries:?}");
        assert_eq!(entries.last(), Some(&Some("closed")), "{entries:?}");
        assert!(entries[1..entries.len() - 1].iter().all(|it| *it == Some("call")), "{entries:?}");
    }
    observer.close().await;
}

#[tokio::test]
async fn a_panic_costs_one_answer() {
    let gateway = gateway("").await;
    let mut client = gateway.admin().await;
    let waiting = client.request("spike.wait", json!({ "gate": "g" })).await;
    let error = client.refused("spike.panic", json!({})).await;
    assert_eq!(error.code, "UNAVAILABLE");
    assert!(!error.message.contains("purpose") && !error.message.contains("/a/path"), "{}", error.message);
    gateway.log_line("on purpose").await;
    client.ok("spike.open", json!({ "gate": "g" })).await;
    client.answer(&waiting).await.expect("a call that ran beside it is answered");
    let panics = "clawhost_panics_total{method=\"spike.panic\",plugin=\"spike\"}";
    assert_eq!(gateway.metric(panics).await, 1.0);
    let plugins = client.ok("system.plugins", json!({})).await;
    let spike = plugins["plugins"].as_array().expect("a list").iter().find(|it| it["id"] == "spike").cloned();
    assert_eq!(spike.expect("it is listed")["panics"], 1);
    client.close().await;
}

#[tokio::test]
async fn a_call_over_its_time_is_answered_and_dropped() {
    let gateway = gateway("").await;
    let mut client = gateway.admin().await;
    let error = client.refused("spike.timeout", json!({ "run": "late" })).await;
    assert_eq!((error.code.as_str(), error.message.as_str()), ("UNAVAILABLE", "spike.timeout timed out after 150 ms"));
    assert_eq!(error.details, Some(json!({ "code": "METHOD_TIMEOUT", "timeoutMs": 150 })));
    client.ok("spike.dropped", json!({ "run": "late" })).await;
    assert_eq!(gateway.metric("clawhost_limit_hits_total{limit=\"method_timeout_ms\"}").await, 1.0);
    client.close().await;
}

#[tokio::test]
async fn the_default_time_is_configurable() {
    let gateway = gateway("[gateway.limits]\nmethod_timeout_ms = 50").await;
    let mut client = gateway.admin().await;
    let error = client.refused("spike.wait", json!({ "gate": "never" })).await;
    assert_eq!(error.message, "spike.wait timed out after 50 ms");
    client.close().await;
}

#[tokio::test]
async fn a_plugin_that_blocks_is_named_and_stops_nobody() {
    let gateway = gateway("[gateway.limits]\nworker_stall_ms = 50\ntick_interval_ms = 100").await;
    let mut other = gateway.operator(&["operator.read"]).await;
    let mut client = gateway.admin().await;
    let begun = schemas::now_ms();
    let id = client.request("spike.block", json!({ "ms": 3_000 })).await;
    // Ticks come meanwhile, also to somebody who asks for nothing.
    for _ in 0..5 {
        let ts = other.event("tick").await.payload.expect("a payload")["ts"].as_u64().expect("a time");
        assert!(ts < begun + 3_000, "the {ts} of a tick, and the call began at {begun}");
    }
    client.answer(&id).await.expect("an answer");
    assert!(schemas::now_ms() >= begun + 3_000);
    let line = gateway.log_line("kept a worker too long").await;
    assert!(line.contains("spike.block"), "{line}");
    let stalls = "clawhost_worker_stalls_total{method=\"spike.block\",plugin=\"spike\"}";
    assert_eq!(gateway.metric(stalls).await, 1.0);
    client.close().await;
    other.close().await;
}

#[tokio::test]
async fn calls_nest_to_the_limit() {
    for (config, deepest) in
        [("", 8), ("[plugins.spike]\nisolation = \"pool\"", 8), ("[gateway.limits]\ninvoke_depth = 3", 3)]
    {
        let gateway = gateway(config).await;
        let mut client = gateway.admin().await;
        for own in [false, true] {
            let answer = client.ok("spike.deep", json!({ "own": own })).await;
            assert_eq!(answer["level"], deepest, "{config}, own: {own}: {answer}");
            assert!(answer["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
        }
        client.close().await;
    }
}

#[tokio::test]
async fn the_operator_takes_grants_away() {
    let deaf = gateway("[plugins.spike.grants]\ninvoke = [\"vault.read\"]").await;
    let mut client = deaf.admin().await;
    let unknown = client.refused("spike.effects", json!({})).await.message;
    assert_eq!(unknown, "unknown method: spike.effects", "a plugin that must hear and may not does not start");
    client.close().await;

    let gateway = gateway("[plugins.spike.grants]\ninvoke = [\"vault.read\"]\nhear = [\"host.connection.*\"]").await;
    let mut client = gateway.admin().await;
    let ask = |method: &str, own: bool| json!({ "method": method, "own": own });
    client.ok("spike.on_behalf", ask("vault.read", false)).await;
    for own in [false, true] {
        client.refused("spike.on_behalf", ask("vault.admin", own)).await;
        client.refused("spike.on_behalf", ask("vault.hidden", own)).await;
    }
    client.close().await;
}

#[tokio::test]
async fn a_plugin_that_blocks_on_the_pool_is_counted_and_holds_up_no_worker() {
    let gateway = gateway("[plugins.spike]\nisolation = \"pool\"\n[gateway.limits]\nworker_stall_ms = 50").await;
    let mut client = gateway.admin().await;
    let slow = client.request("spike.block", json!({ "ms": 300 })).await;
    client.ok("spike.effects", json!({})).await;
    client.answer(&slow).await.expect("an answer");
    client.refused("spike.panic", json!({})).await;
    let error = client.refused("spike.timeout", json!({ "run": "late" })).await;
    assert_eq!(error.message, "spike.timeout timed out after 150 ms");
    client.ok("spike.dropped", json!({ "run": "late" })).await;
    let stalls = "clawhost_worker_stalls_total{method=\"spike.block\",plugin=\"spike\"}";
    assert_eq!(gateway.metric(stalls).await, 1.0);
    for said in ["kept a worker too long", "is blocking a worker"] {
        let lines = gateway.log_lines(said);
        assert!(!lines.iter().any(|line| line.contains("spike.block")), "{lines:?}");
    }
    client.close().await;
}

#[tokio::test]
async fn a_targeted_event_reaches_its_connection_alone_and_without_seq() {
    let gateway = gateway("").await;
    let mut client = gateway.admin().await;
    let mut other = gateway.admin().await;
    let answer = client.ok("spike.note", json!({})).await;
    assert!(answer["gone"].is_string(), "a connection that is not there: {answer}");
    let note = client.event("spike.note").await;
    assert_eq!((note.payload, note.seq), (Some(json!({ "for": "you" })), None));
    other.ok("spike.effects", json!({})).await;
    assert!(other.heard("spike.note").is_empty());
    client.close().await;
    other.close().await;
}

#[tokio::test]
async fn guarded_events_leave_no_holes() {
    let gateway = gateway("[gateway.limits]\ntick_interval_ms = 100").await;
    let mut listener = gateway.operator(&["spike.listen"]).await;
    let mut other = gateway.operator(&["operator.read"]).await;
    for _ in 0..3 {
        other.ok("spike.emit", json!({ "bytes": 10 })).await;
    }
    for _ in 0..3 {
        listener.event("spike.burst").await;
    }
    // The client checks that the numbers of both go up by one each time.
    other.event("tick").await;
    other.event("tick").await;
    listener.event("tick").await;
    assert!(other.heard("spike.burst").is_empty());
    listener.close().await;
    other.close().await;
}

#[tokio::test]
async fn causes_stay_in_the_log() {
    let gateway = gateway("").await;
    let mut client = gateway.admin().await;
    let error = client.refused("spike.fail", json!({})).await;
    assert_eq!(error.code, "UNAVAILABLE");
    assert!(!error.message.contains("of-a-plugin") && !error.message.contains("os error"), "{}", error.message);
    gateway.log_line("No such file").await;
    client.close().await;
}

#[tokio::test]
async fn an_answer_over_the_limit_is_an_error_and_not_a_silence() {
    let gateway = gateway("[gateway.limits]\nmax_outbound_bytes = 4096").await;
    let mut client = gateway.admin().await;
    client.ok("spike.big", json!({ "bytes": 3000 })).await;
    let error = client.refused("spike.big", json!({ "bytes": 5000 })).await;
    assert_eq!(error.code, "UNAVAILABLE");
    client.ok("spike.effects", json!({})).await;
    client.close().await;
}

#[tokio::test]
async fn numbers_as_clients_write_them() {
    let gateway = gateway("").await;
    let mut client = gateway.admin().await;
    let mut sum = async |params: &str| {
        client.send_text(&format!(r#"{{"type":"req","id":"s","method":"spike.sum","params":{params}}}"#)).await;
        client.answer("s").await.map(|payload| payload["sum"].clone())
    };
    for (params, expected) in
        [(r#"{"a":3.0,"b":null}"#, 3), (r#"{"a":1,"b":2.0}"#, 3), (r#"{"a":1e2}"#, 100), (r#"{"a":5}"#, 5)]
    {
        assert_eq!(sum(params).await.expect("an answer"), expected, "{params}");
    }
    for (params, fault) in [
        (r#"{"a":1.5}"#, "invalid spike.sum params: at /a: must be integer"),
        (r#"{"a":-1}"#, "invalid spike.sum params: at /a: must be >= 0"),
        (r#"{"a":"1"}"#, "invalid spike.sum params: at /a: must be integer"),
        (r#"{}"#, "invalid spike.sum params: must have required property 'a'"),
        (r#"{"a":1,"c":2}"#, "invalid spike.sum params: at root: unexpected property 'c'"),
        (r#"[]"#, "invalid spike.sum params: must be object"),
        (r#""x""#, "invalid spike.sum params: must be object"),
    ] {
        let error = sum(params).await.expect_err(params);
        assert_eq!((error.code.as_str(), error.message.as_str()), ("INVALID_REQUEST", fault), "{params}");
    }
    client.close().await;
}

#[tokio::test]
async fn what_a_plugin_was_told_is_durable_survives_a_kill() {
    let gateway = gateway("").await;
    let mut client = gateway.admin().await;
    client.ok("spike.keep", json!({ "key": "k", "value": "v" })).await;
    let gateway = gateway.kill().await.restart().await;
    let mut client = gateway.admin().await;
    assert_eq!(client.ok("spike.kept", json!({ "key": "k" })).await["value"], "v");
    client.close().await;
}

#[tokio::test]
async fn methods_for_nodes_are_for_nodes() {
    let gateway = gateway("").await;
    let mut node = gateway.node(&Key::new(1)).await;
    assert_eq!(node.ok("vault.node", json!({})).await["role"], "node");
    assert_eq!(node.refused("vault.read", json!({})).await.message, "unauthorized role: node");
    let mut admin = gateway.admin().await;
    assert_eq!(admin.refused("vault.node", json!({})).await.message, "unauthorized role: operator");
    node.close().await;
    admin.close().await;
}
