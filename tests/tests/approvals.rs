//! Exec approvals from outside: one asks, others decide, whoever disconnects meanwhile.

use std::os::unix::fs::PermissionsExt;

use clawhost_tests::support::{Client, Connect, Gateway, Key};
use serde_json::{Value, json};

const APPROVALS: &[&str] = &["operator.approvals"];

/// An operator who decides, with a name and in one of the protocols.
async fn approver(gateway: &Gateway, name: &str, protocol: u64) -> Client {
    let connect = Connect::operator().scopes(APPROVALS).about("displayName", name);
    gateway.connect(&connect.with("minProtocol", json!(protocol)).with("maxProtocol", json!(protocol))).await
}

async fn requested(client: &mut Client, id: &str) -> Value {
    let event = client.event_with("exec.approval.requested", |payload| payload["id"] == id).await;
    event.payload.expect("a payload")
}

fn resolve(id: &str, decision: &str) -> Value {
    json!({ "id": id, "decision": decision })
}

#[tokio::test]
async fn one_asks_two_see_it_and_one_decides() {
    let gateway = Gateway::start().await;
    let mut requester = gateway.operator(APPROVALS).await;
    let mut anna = approver(&gateway, "Anna", 3).await;
    let mut bert = approver(&gateway, "Bert", 4).await;
    let mut reader = gateway.operator(&["operator.read", "operator.write", "operator.pairing"]).await;

    let call = requester.request("exec.approval.request", json!({ "id": "run-1", "command": "git status" })).await;
    let seen = requested(&mut anna, "run-1").await;
    assert_eq!(seen, requested(&mut bert, "run-1").await, "one shape for both protocols");
    assert_eq!(seen["request"]["command"], "git status");

    let foreign = reader.refused("exec.approval.resolve", resolve("run-1", "allow-once")).await;
    assert_eq!(foreign.message, "missing scope: operator.approvals");
    assert_eq!(anna.refused("exec.approval.resolve", resolve("run-1", "yes")).await.message, "invalid decision");
    let doubled = requester.refused("exec.approval.request", json!({ "id": "run-1", "command": "ls" })).await;
    assert_eq!(doubled.message, "approval id already pending");

    // Both at once: one counts, and the other is told which.
    let first = anna.request("exec.approval.resolve", resolve("run-1", "deny")).await;
    let second = bert.request("exec.approval.resolve", resolve("run-1", "allow-once")).await;
    let (first, second) = (anna.answer(&first).await, bert.answer(&second).await);
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let (decision, by, why) = match first.is_ok() {
        true => ("deny", "Anna", "unknown or expired approval id"),
        false => ("allow-once", "Bert", "unknown approval id"),
    };
    let late = first.and(second).expect_err("one of them is late");
    assert_eq!((late.code.as_str(), late.message.as_str()), ("INVALID_REQUEST", why), "in the words of their protocol");
    assert_eq!(late.details.expect("details"), json!({ "reason": "APPROVAL_NOT_FOUND", "decision": decision }));
    for client in [&mut anna, &mut bert, &mut requester] {
        let resolved = client.event("exec.approval.resolved").await.payload.expect("a payload");
        assert_eq!((&resolved["decision"], &resolved["resolvedBy"]), (&json!(decision), &json!(by)));
    }
    let answered = requester.answer(&call).await.expect("a decision");
    let expected = json!({ "id": "run-1", "decision": decision, "createdAtMs": seen["createdAtMs"],
                           "expiresAtMs": seen["expiresAtMs"] });
    assert_eq!(answered, expected);

    reader.ok("health", json!({})).await;
    assert!(reader.heard("exec.approval.requested").is_empty() && reader.heard("exec.approval.resolved").is_empty());
    gateway.log_line("exec approval \"run-1\"").await;
    for client in [requester, anna, bert, reader] {
        client.close().await;
    }
}

#[tokio::test]
async fn a_request_survives_whoever_disconnects() {
    let gateway = Gateway::start().await;
    let anna = approver(&gateway, "Anna", 4).await;
    let mut requester = gateway.operator(APPROVALS).await;
    let ask = json!({ "id": "run-1", "commandArgv": ["git", "push"], "host": "gateway", "twoPhase": true });
    let call = requester.request("exec.approval.request", ask).await;
    let accepted = requester.reply(&call).await.payload.expect("a payload");
    assert_eq!((&accepted["status"], &accepted["id"]), (&json!("accepted"), &json!("run-1")));
    drop(requester);
    anna.close().await;

    let mut anna = approver(&gateway, "Anna", 4).await;
    let listed = anna.ok("exec.approval.list", json!({})).await;
    assert_eq!((&listed[0]["id"], &listed[0]["expiresAtMs"]), (&json!("run-1"), &accepted["expiresAtMs"]));
    let seen = anna.ok("exec.approval.get", json!({ "id": "run-1" })).await;
    assert_eq!((&seen["commandText"], &seen["host"]), (&json!("git push"), &json!("gateway")));

    let mut requester = gateway.operator(APPROVALS).await;
    let waits = requester.request("exec.approval.waitDecision", json!({ "id": "run-1" })).await;
    anna.ok("exec.approval.resolve", resolve("run-1", "allow-always")).await;
    assert_eq!(requester.answer(&waits).await.expect("a decision")["decision"], "allow-always");
    assert_eq!(anna.ok("exec.approval.list", json!({})).await, json!([]));
    anna.close().await;
    requester.close().await;
}

#[tokio::test]
async fn a_request_expires_and_too_many_are_refused() {
    let gateway = Gateway::with_config("[plugins.approvals.config]\nmax_pending = 2").await;
    let mut requester = gateway.admin().await;
    let short = json!({ "id": "short", "command": "ls", "timeoutMs": 1 });
    let answered = requester.ok("exec.approval.request", short).await;
    assert_eq!((&answered["id"], &answered["decision"]), (&json!("short"), &Value::Null));
    assert_eq!(
        requester.refused("exec.approval.resolve", resolve("short", "deny")).await.message,
        "unknown approval id"
    );
    let mut calls = Vec::new();
    for id in ["a", "b"] {
        calls.push(requester.request("exec.approval.request", json!({ "id": id, "command": "ls" })).await);
        requested(&mut requester, id).await;
    }
    let full = requester.refused("exec.approval.request", json!({ "command": "ls" })).await;
    assert_eq!((full.code.as_str(), full.retryable), ("UNAVAILABLE", Some(true)));
    requester.ok("exec.approval.resolve", resolve("a", "deny")).await;
    assert_eq!(requester.answer(&calls[0]).await.expect("a decision")["decision"], "deny");
    calls.push(requester.request("exec.approval.request", json!({ "id": "c", "command": "ls" })).await);
    requested(&mut requester, "c").await;
    assert!(
        requester.heard("exec.approval.resolved").iter().all(|event| event.payload.as_ref().expect("one")["id"] == "a")
    );

    // Those that wait are nobody's connection's.
    drop(requester);
}

#[tokio::test]
async fn a_request_waits_on_across_reloads_and_restarts() {
    let gateway = Gateway::start().await;
    let mut requester = gateway.admin().await;
    let mut anna = approver(&gateway, "Anna", 4).await;
    let ask = |id: &str| json!({ "id": id, "command": format!("git push {id}"), "timeoutMs": 600_000 });
    let mut calls = Vec::new();
    for id in ["a", "b", "c"] {
        calls.push(requester.request("exec.approval.request", ask(id)).await);
        requested(&mut anna, id).await;
    }
    anna.ok("exec.approval.resolve", resolve("a", "deny")).await;
    assert_eq!(requester.answer(&calls[0]).await.expect("a decision")["decision"], "deny");
    let waiting = anna.ok("exec.approval.list", json!({})).await;

    // A reload: who waits is told where the answer will be.
    requester.ok("plugins.reload", json!({ "id": "approvals" })).await;
    for (call, id) in calls[1..].iter().zip(["b", "c"]) {
        let ended = requester.answer(call).await.expect_err("it was not decided");
        assert_eq!((ended.code.as_str(), ended.retryable), ("UNAVAILABLE", Some(true)));
        assert_eq!(ended.details.expect("details"), json!({ "reason": "APPROVAL_WAITS_ON", "id": id }));
    }
    assert_eq!(anna.ok("exec.approval.list", json!({})).await, waiting);
    let waits = requester.request("exec.approval.waitDecision", json!({ "id": "b" })).await;
    anna.ok("exec.approval.resolve", resolve("b", "allow-once")).await;
    assert_eq!(requester.answer(&waits).await.expect("a decision")["decision"], "allow-once");
    let resolved = anna.event_with("exec.approval.resolved", |payload| payload["id"] == "b").await;
    assert_eq!(resolved.payload.expect("a payload")["resolvedBy"], "Anna");
    assert_eq!(anna.heard("exec.approval.requested").len(), 3, "nobody was asked twice");

    // A gateway that is killed, and one that is stopped.
    let gateway = gateway.kill().await.restart().await;
    let mode =
        std::fs::metadata(gateway.state_file("data/approvals/approvals.db")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut anna = approver(&gateway, "Anna", 4).await;
    let listed = anna.ok("exec.approval.list", json!({})).await;
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]), (Some(1), &waiting[1]));
    let late = anna.refused("exec.approval.resolve", resolve("b", "deny")).await;
    assert_eq!(late.details.expect("details"), json!({ "reason": "APPROVAL_NOT_FOUND", "decision": "allow-once" }));
    let mut requester = gateway.admin().await;
    let again = requester.ok("exec.approval.waitDecision", json!({ "id": "b" })).await;
    assert_eq!(again["decision"], "allow-once");
    let waits = requester.request("exec.approval.waitDecision", json!({ "id": "c" })).await;
    anna.ok("exec.approval.resolve", resolve("c", "allow-always")).await;
    assert_eq!(requester.answer(&waits).await.expect("a decision")["decision"], "allow-always");

    let short = json!({ "id": "short", "command": "ls", "timeoutMs": 1_500 });
    requester.request("exec.approval.request", short).await;
    requested(&mut anna, "short").await;
    let gateway = gateway.stop().await.restart().await;
    let mut requester = gateway.admin().await;
    // Whether its time was over by then or is soon, it ends, and nothing comes of it.
    match requester.call("exec.approval.waitDecision", json!({ "id": "short" })).await {
        Ok(answered) => assert_eq!(answered["decision"], Value::Null),
        Err(error) => assert_eq!(error.message, "approval expired or not found"),
    }
    assert_eq!(requester.ok("exec.approval.list", json!({})).await, json!([]));
    let refused = requester.refused("exec.approval.resolve", resolve("short", "deny")).await;
    assert_eq!(refused.details.expect("details"), json!({ "reason": "APPROVAL_NOT_FOUND" }));
    requester.close().await;
}

#[tokio::test]
async fn the_gateways_file_is_changed_by_admins_who_know_it() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.admin().await;
    let none = admin.ok("exec.approvals.get", json!({})).await;
    assert_eq!((&none["exists"], &none["file"]["version"]), (&json!(false), &json!(1)));
    let file = json!({ "version": 1, "socket": { "path": "/s", "token": "the-token-of-a-socket" },
                       "defaults": { "security": "allowlist", "ask": "on-miss" } });
    let first = admin.ok("exec.approvals.set", json!({ "file": file })).await;
    assert_eq!(first["file"]["socket"], json!({ "path": "/s" }), "the token is not told");
    let path = gateway.state_file("data/approvals/exec-approvals.json");
    assert_eq!(first["path"], path.display().to_string());
    assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);

    let next = json!({ "version": 1, "defaults": { "security": "deny" } });
    for (hash, why) in [(None, "base hash required"), (Some(&none["hash"]), "changed since last load")] {
        let mut params = json!({ "file": next });
        if let Some(hash) = hash {
            params["baseHash"] = hash.clone();
        }
        let error = admin.refused("exec.approvals.set", params).await;
        assert_eq!(error.code, "INVALID_REQUEST");
        assert_eq!(error.message, format!("exec approvals {why}; re-run exec.approvals.get and retry"));
    }
    let connect = Connect::operator().with("minProtocol", json!(4)).with("maxProtocol", json!(4));
    let mut newer = gateway.connect(&connect).await;
    let more = json!({ "version": 1, "defaults": { "security": "deny", "ofNextMonth": 1 } });
    newer.ok("exec.approvals.set", json!({ "file": more, "baseHash": first["hash"] })).await;
    newer.close().await;
    let wrong = admin.refused("exec.approvals.set", json!({ "file": { "version": 1, "odd": true } })).await;
    assert!(wrong.message.starts_with("invalid exec.approvals.set params: at /file"), "{wrong:?}");
    let mut approver = gateway.operator(APPROVALS).await;
    assert_eq!(approver.refused("exec.approvals.get", json!({})).await.message, "missing scope: operator.admin");
    approver.close().await;
    admin.close().await;

    let gateway = gateway.stop().await.restart().await;
    let mut admin = gateway.admin().await;
    let kept = admin.ok("exec.approvals.get", json!({})).await["file"].clone();
    assert_eq!(
        kept,
        json!({ "version": 1, "socket": { "path": "/s" }, "defaults": { "security": "deny" }, "agents": {} })
    );
    admin.close().await;
}

#[tokio::test]
async fn a_nodes_file_is_reached_by_admins_and_in_no_other_way() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let commands = json!(["system.execApprovals.get", "system.execApprovals.set", "system.run"]);
    let mut node = gateway.connect(&Connect::node().device(&key).with("commands", commands)).await;
    let mut admin = gateway.admin().await;
    let of_node = json!({ "nodeId": key.id() });
    let unapproved = admin.refused("exec.approvals.node.get", of_node.clone()).await;
    assert!(unapproved.message.contains("waits for approval"), "{unapproved:?}");
    let waiting = admin.ok("node.pair.list", json!({})).await["pending"][0]["requestId"].clone();
    admin.ok("node.pair.approve", json!({ "requestId": waiting })).await;

    let call = admin.request("exec.approvals.node.get", of_node.clone()).await;
    let asked = node.event("node.invoke.request").await.payload.expect("a payload");
    assert_eq!((&asked["command"], &asked["paramsJSON"]), (&json!("system.execApprovals.get"), &json!("{}")));
    let snapshot = json!({ "path": "/n", "exists": true, "hash": "h",
                           "file": { "version": 1, "socket": { "path": "/s", "token": "t" } } });
    let result = json!({ "id": asked["id"], "nodeId": key.id(), "ok": true, "payloadJSON": snapshot.to_string() });
    node.ok("node.invoke.result", result).await;
    let got = admin.answer(&call).await.expect("its file");
    assert_eq!((&got["hash"], &got["file"]["socket"]), (&json!("h"), &json!({ "path": "/s" })));

    let file = json!({ "version": 1, "agents": {} });
    let set = json!({ "nodeId": key.id(), "file": file, "baseHash": "h" });
    let call = admin.request("exec.approvals.node.set", set).await;
    let asked = node.event("node.invoke.request").await.payload.expect("a payload");
    let params: Value = serde_json::from_str(asked["paramsJSON"].as_str().expect("a text")).expect("JSON");
    assert_eq!(
        (&asked["command"], params),
        (&json!("system.execApprovals.set"), json!({ "file": file, "baseHash": "h" }))
    );
    let error = json!({ "code": "INVALID_REQUEST", "message": "the file changed" });
    let result = json!({ "id": asked["id"], "nodeId": key.id(), "ok": false, "error": error });
    node.ok("node.invoke.result", result).await;
    let refused = admin.answer(&call).await.expect_err("the node refused");
    assert_eq!((refused.code.as_str(), refused.message.as_str()), ("UNAVAILABLE", "the file changed"));
    assert_eq!(refused.details.expect("details")["nodeError"]["code"], "INVALID_REQUEST");

    // Not by who may only write, nor past the file's own methods, nor with an approval that nobody gave.
    let mut writer = gateway.operator(&["operator.write"]).await;
    let invoke = |command: &str, params: Value| json!({ "nodeId": key.id(), "command": command, "params": params, "idempotencyKey": "k" });
    let around = admin.refused("node.invoke", invoke("system.execApprovals.set", json!({}))).await;
    assert!(around.message.starts_with("node.invoke does not allow system.execApprovals.*"), "{around:?}");
    let claim = json!({ "command": ["ls"], "approved": true });
    let claimed = writer.refused("node.invoke", invoke("system.run", claim.clone())).await;
    assert_eq!(claimed.message, "missing scope: operator.approvals");
    let mut both = gateway.operator(&["operator.write", "operator.approvals"]).await;
    let call = both.request("node.invoke", invoke("system.run", claim)).await;
    let asked = node.event("node.invoke.request").await.payload.expect("a payload");
    node.ok("node.invoke.result", json!({ "id": asked["id"], "nodeId": key.id(), "ok": true })).await;
    both.answer(&call).await.expect("it ran");

    node.close().await;
    gateway.metric_becomes("clawhost_connections ", 3.0).await;
    assert_eq!(admin.refused("exec.approvals.node.get", of_node).await.message, "node not connected");
    for client in [admin, writer, both] {
        client.close().await;
    }
}
