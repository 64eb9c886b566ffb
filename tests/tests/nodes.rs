//! Nodes from outside: what they offer is approved, they are asked, they answer, they go.

use clawhost_tests::support::{Client, Connect, Gateway, Key};
use serde_json::{Value, json};

/// A node host with these commands, as one protocol or the other has it.
fn host(key: &Key, protocol: u64, commands: &[&str]) -> Connect {
    let connect = Connect::node().device(key).with("caps", json!(["system"])).with("commands", json!(commands));
    connect.with("minProtocol", json!(protocol)).with("maxProtocol", json!(protocol))
}

async fn approve(admin: &mut Client, node: &Key) {
    let list = admin.ok("node.pair.list", json!({})).await;
    let waiting = list["pending"].as_array().expect("a list").iter().find(|request| request["nodeId"] == node.id());
    let request = waiting.expect("it waits")["requestId"].clone();
    admin.ok("node.pair.approve", json!({ "requestId": request })).await;
}

fn question(node: &Key, command: &str) -> Value {
    json!({ "nodeId": node.id(), "command": command, "params": { "bins": ["sh"] }, "idempotencyKey": "k" })
}

async fn answer(node: &mut Client, key: &Key, asked: &Value) -> Value {
    let result =
        json!({ "id": asked["id"], "nodeId": key.id(), "ok": true, "payloadJSON": "{\"n\":1}", "error": null });
    node.ok("node.invoke.result", result).await
}

#[tokio::test]
async fn a_node_is_approved_asked_and_answers_at_both_protocols() {
    for protocol in [3, 4] {
        let gateway = Gateway::start().await;
        let key = Key::new(1);
        let mut admin = gateway.admin().await;
        let mut node = gateway.connect(&host(&key, protocol, &["system.which", "camera.snap"])).await;
        let requested = admin.event("node.pair.requested").await.payload.expect("a payload");
        assert_eq!((&requested["nodeId"], &requested["commands"]), (&json!(key.id()), &json!(["system.which"])));
        let refused = admin.refused("node.invoke", question(&key, "system.which")).await;
        assert_eq!(refused.details.expect("details")["command"], "system.which", "not before it is approved");

        approve(&mut admin, &key).await;
        assert_eq!(node.event("node.pair.resolved").await.payload.expect("a payload")["decision"], "approved");
        let row = admin.ok("node.describe", json!({ "nodeId": key.id() })).await;
        assert_eq!((&row["commands"], &row["connected"]), (&json!(["system.which"]), &json!(true)));

        let call = admin.request("node.invoke", question(&key, "system.which")).await;
        let event = node.event("node.invoke.request").await;
        assert_eq!(event.seq, None);
        let asked = event.payload.expect("a payload");
        assert_eq!(asked["paramsJSON"], r#"{"bins":["sh"]}"#);
        assert_eq!(answer(&mut node, &key, &asked).await, json!({ "ok": true }));
        assert_eq!(answer(&mut node, &key, &asked).await, json!({ "ok": true, "ignored": true }));
        assert_eq!(admin.answer(&call).await.expect("an answer")["payload"], json!({ "n": 1 }));

        let camera = admin.refused("node.invoke", question(&key, "camera.snap")).await;
        assert_eq!(camera.details.expect("details")["reason"], "command not allowlisted");
        node.ok("node.event", json!({ "event": "no.such", "payloadJSON": null })).await;
        assert_eq!(node.refused("node.list", json!({})).await.message, "unauthorized role: node");
        let wrong = admin.refused("node.event", json!({ "event": "x" })).await;
        assert_eq!(wrong.message, "unauthorized role: operator");

        let call = admin.request("node.invoke", question(&key, "system.which")).await;
        node.event("node.invoke.request").await;
        node.close().await;
        let gone = admin.answer(&call).await.expect_err("it has gone");
        assert_eq!(gone.message, "Error: node disconnected (system.which)");
        admin.close().await;
    }
}

#[tokio::test]
async fn an_approval_survives_a_restart_and_not_a_new_pairing() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let connect = host(&key, 4, &["system.which"]);
    let node = gateway.connect(&connect).await;
    let mut admin = gateway.admin().await;
    approve(&mut admin, &key).await;
    node.close().await;
    admin.close().await;

    let gateway = gateway.stop().await.restart().await;
    let node = gateway.connect(&connect).await;
    let mut admin = gateway.admin().await;
    let described = json!({ "nodeId": key.id() });
    assert_eq!(admin.ok("node.describe", described.clone()).await["commands"], json!(["system.which"]));
    node.close().await;

    admin.ok("device.pair.remove", json!({ "deviceId": key.id() })).await;
    let mut node = gateway.connect(&connect).await;
    let row = admin.ok("node.describe", described).await;
    assert_eq!((&row["commands"], &row["approvalState"]), (&json!([]), &json!("pending-approval")));
    let refused = admin.refused("node.invoke", question(&key, "system.which")).await;
    assert!(refused.message.contains("waits for approval"), "{refused:?}");

    // A second connection takes over, and the end of the first does not take it away.
    approve(&mut admin, &key).await;
    let mut second = gateway.connect(&connect).await;
    node.ok("node.event", json!({ "event": "still.here" })).await;
    node.close().await;
    let call = admin.request("node.invoke", question(&key, "system.which")).await;
    let asked = second.event("node.invoke.request").await.payload.expect("a payload");
    answer(&mut second, &key, &asked).await;
    admin.answer(&call).await.expect("an answer");
    second.close().await;
    admin.close().await;
}

/// A node that was given less than it offered, and offers something harmless beside it, gets nothing else by that.
#[tokio::test]
async fn what_was_withheld_is_in_no_later_request_and_survives_a_restart() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let mut admin = gateway.admin().await;
    let node = gateway.connect(&host(&key, 4, &["system.notify", "system.run", "system.which"])).await;
    let first = admin.event("node.pair.requested").await.payload.expect("a payload");
    assert_eq!(first["commands"], json!(["system.notify", "system.run", "system.which"]));
    let less = json!({ "requestId": first["requestId"], "commands": ["system.notify"] });
    admin.ok("node.pair.approve", less).await;
    node.close().await;
    admin.close().await;

    let gateway = gateway.stop().await.restart().await;
    let mut admin = gateway.admin().await;
    let node = gateway.connect(&host(&key, 4, &["ollama.models", "system.notify", "system.run"])).await;
    let second = admin.event("node.pair.requested").await.payload.expect("a payload");
    assert_eq!(second["commands"], json!(["ollama.models"]), "{second}");
    assert_eq!(second["withheldCommands"], json!(["system.run"]), "{second}");
    assert_eq!(second["requiredApproveScopes"], json!(["operator.pairing", "operator.write"]));
    let listed = admin.ok("node.pair.list", json!({})).await;
    assert_eq!(listed["pending"], json!([second]));
    // What the console and the command line send when nobody picks.
    let done = admin.ok("node.pair.approve", json!({ "requestId": second["requestId"] })).await;
    assert_eq!(done["node"]["commands"], json!(["ollama.models", "system.notify"]));
    let refused = admin.refused("node.invoke", question(&key, "system.run")).await;
    assert!(refused.message.contains("withheld by whoever approved the node"), "{refused:?}");
    node.close().await;

    // Also what it did not offer in the meantime, until everything is taken back.
    let offers = ["ollama.models", "system.notify", "system.run", "system.which"];
    let mut node = gateway.connect(&host(&key, 4, &offers)).await;
    let row = admin.ok("node.describe", json!({ "nodeId": key.id() })).await;
    assert_eq!((&row["approvalState"], &row["commands"]), (&json!("approved"), &json!(offers[..2])));
    assert_eq!(row["withheldCommands"], json!(offers[2..]));
    admin.ok("node.pair.remove", json!({ "nodeId": key.id() })).await;
    let anew = admin.event("node.pair.requested").await.payload.expect("a payload");
    assert_eq!((&anew["commands"], anew.get("withheldCommands")), (&json!(offers), None));
    approve(&mut admin, &key).await;
    let call = admin.request("node.invoke", question(&key, "system.run")).await;
    let asked = node.event("node.invoke.request").await.payload.expect("a payload");
    answer(&mut node, &key, &asked).await;
    admin.answer(&call).await.expect("an answer");
    node.close().await;
    admin.close().await;
}

/// Many questions to many nodes, some of which leave in the middle: each has one answer, from the node it was for.
#[tokio::test]
async fn each_question_has_one_answer_from_the_node_it_was_for() {
    const NODES: usize = 20;
    const ROUNDS: usize = 20;
    let gateway = Gateway::start().await;
    let mut admin = gateway.admin().await;
    let keys: Vec<Key> = (0..NODES).map(|number| Key::new(number as u8)).collect();
    let mut nodes = Vec::new();
    for key in &keys {
        nodes.push(gateway.connect(&host(key, 4, &["system.which"])).await);
        approve(&mut admin, key).await;
    }
    for round in 0..ROUNDS {
        let mut calls = Vec::new();
        for key in &keys {
            calls.push(admin.request("node.invoke", question(key, "system.which")).await);
        }
        for (number, key) in keys.iter().enumerate() {
            let asked = nodes[number].event("node.invoke.request").await.payload.expect("a payload");
            assert_eq!(asked["nodeId"], key.id());
            if number == round % NODES {
                let fresh = gateway.connect(&host(key, 4, &["system.which"])).await;
                std::mem::replace(&mut nodes[number], fresh).close().await;
            } else {
                let result =
                    json!({ "id": asked["id"], "nodeId": key.id(), "ok": true, "payload": { "of": key.id() } });
                nodes[number].ok("node.invoke.result", result).await;
            }
        }
        for (number, call) in calls.iter().enumerate() {
            match admin.answer(call).await {
                Ok(answered) => assert_eq!(answered["payload"]["of"], keys[number].id()),
                Err(error) => {
                    assert_eq!(number, round % NODES);
                    assert_eq!(error.message, "Error: node disconnected (system.which)");
                }
            }
        }
    }
    for node in nodes {
        node.close().await;
    }
    admin.close().await;
}

#[tokio::test]
async fn what_is_left_for_a_node_survives_a_restart() {
    let config = "[plugins.node.config]\nqueue_ttl_ms = { \"system.which\" = 600_000 }";
    let gateway = Gateway::with_config(config).await;
    let key = Key::new(1);
    let connect = host(&key, 4, &["system.which"]);
    let node = gateway.connect(&connect).await;
    let mut admin = gateway.admin().await;
    approve(&mut admin, &key).await;
    node.close().await;
    gateway.metric_becomes("clawhost_connections", 1.0).await;
    let mut left = question(&key, "system.which");
    left["queue"] = json!("ticket");
    let ticket = admin.ok("node.invoke", left).await["queued"]["ticket"].clone();
    assert!(ticket.is_string());
    admin.close().await;

    let gateway = gateway.stop().await.restart().await;
    let mut admin = gateway.admin().await;
    let mut node = gateway.connect(&connect).await;
    let asked = node.event("node.invoke.request").await.payload.expect("a payload");
    answer(&mut node, &key, &asked).await;
    let done = admin.event("node.queue.done").await.payload.expect("a payload");
    assert_eq!((&done["ticket"], &done["payload"]), (&ticket, &json!({ "n": 1 })));
    node.close().await;
    admin.close().await;
}

/// The answer would come to an instance that was not asked: whoever asked is told so, and not to try again.
#[tokio::test]
async fn a_question_that_is_open_at_a_reload_has_an_outcome_that_nobody_knows() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let mut admin = gateway.admin().await;
    let mut node = gateway.connect(&host(&key, 4, &["system.which"])).await;
    approve(&mut admin, &key).await;
    let call = admin.request("node.invoke", question(&key, "system.which")).await;
    let asked = node.event("node.invoke.request").await.payload.expect("a payload");
    admin.ok("plugins.reload", json!({ "id": "node" })).await;
    let ended = admin.answer(&call).await.expect_err("nobody knows");
    assert_eq!((ended.retryable, &ended.details.expect("details")["code"]), (None, &json!("OUTCOME_UNKNOWN")));
    let cancelled = node.event("node.invoke.cancel").await.payload.expect("a payload");
    assert_eq!(cancelled["invokeId"], asked["id"]);
    node.close().await;
    admin.close().await;
}
