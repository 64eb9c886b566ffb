use std::time::Duration;

use plugin_api::catalogue::{Connection, ConnectionClosed, ConnectionOpened};
use plugin_kit::{Harness, PendingCall, Running, Who};
use serde_json::{Value, json};

use super::Node;

pub(super) fn device(paired_at_ms: u64) -> Value {
    json!({ "pending": [], "paired": [{
        "deviceId": "d1", "publicKey": "k1", "roles": ["node"], "approvedVia": "silent",
        "createdAtMs": paired_at_ms, "approvedAtMs": paired_at_ms,
    }] })
}

fn start() -> Running {
    Harness::new::<Node>().answer("host.pairing.list", device(5)).start()
}

pub(super) fn node(conn: u64, commands: &[&str]) -> ConnectionOpened {
    ConnectionOpened {
        connection: Connection {
            conn,
            conn_id: format!("conn-{conn}"),
            protocol: 4,
            role: "node".into(),
            scopes: Vec::new(),
            client: json!({ "id": "node-host", "mode": "node", "platform": "linux", "version": "1" }),
            device_id: Some("d1".into()),
            remote_ip: None,
            local: true,
            caps: vec!["system".into()],
            commands: commands.iter().map(|name| name.to_string()).collect(),
            permissions: None,
            path_env: None,
            connected_at_ms: 7,
        },
        presence_key: None,
        presence: None,
        replay: false,
    }
}

pub(super) fn closed(conn: u64) -> ConnectionClosed {
    ConnectionClosed {
        conn,
        conn_id: format!("conn-{conn}"),
        role: "node".into(),
        device_id: Some("d1".into()),
        presence_key: None,
        code: None,
        reason: String::new(),
    }
}

pub(super) fn approve(plugin: &Running) {
    let list = plugin.call("node.pair.list", json!({})).payload();
    let request = list["pending"][0]["requestId"].clone();
    plugin.call("node.pair.approve", json!({ "requestId": request })).payload();
}

fn connected(commands: &[&str]) -> (Running, ConnectionOpened) {
    let (plugin, opened) = (start(), node(2, commands));
    plugin.open_connection(&opened);
    approve(&plugin);
    (plugin, opened)
}

fn ask(plugin: &Running, extra: Value) -> (PendingCall, Value) {
    let mut params = json!({ "nodeId": "d1", "command": "system.which", "idempotencyKey": "k" });
    params.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let call = plugin.begin("node.invoke", params);
    (call, plugin.wait_event("node.invoke.request").payload)
}

pub(super) fn answer(plugin: &Running, who: &ConnectionOpened, id: &Value, rest: Value) -> Value {
    let mut params = json!({ "id": id, "nodeId": "d1", "ok": true });
    params.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    plugin.call_as(Who::of(who), "node.invoke.result", params).payload()
}

#[test]
fn nothing_can_be_used_before_somebody_approved_it() {
    let plugin = start();
    plugin.open_connection(&node(2, &["system.which", "sms.send"]));
    let requested = plugin.wait_event("node.pair.requested").payload;
    assert_eq!((&requested["commands"], &requested["silent"]), (&json!(["system.which"]), &json!(true)));
    assert_eq!(requested["requiredApproveScopes"], json!(["operator.pairing", "operator.admin"]));
    let params = json!({ "nodeId": "d1", "command": "system.which", "idempotencyKey": "k" });
    let error = plugin.call("node.invoke", params.clone()).error();
    assert!(error.message.contains("waits for approval"), "{error:?}");
    assert_eq!(plugin.call("node.list", json!({})).payload()["nodes"][0]["commands"], json!([]));

    let request = json!({ "requestId": requested["requestId"] });
    let pairing = Who::operator(&["operator.pairing", "operator.write"]);
    let error = plugin.call_as(pairing, "node.pair.approve", request.clone()).error();
    assert!(error.message.contains("operator.admin"), "{error:?}");
    plugin.call("node.pair.approve", request.clone()).payload();
    assert_eq!(plugin.call("node.pair.approve", request).error().message, "unknown requestId");
    let listed = plugin.call("node.list", json!({})).payload();
    assert_eq!(listed["nodes"][0]["commands"], json!(["system.which"]));
    assert_eq!(listed["nodes"][0]["approvalState"], "approved");
    let denied = json!({ "nodeId": "d1", "command": "sms.send", "idempotencyKey": "k" });
    assert_eq!(plugin.call("node.invoke", denied).error().details.unwrap()["reason"], "command not allowlisted");
}

#[test]
fn an_answer_counts_once_and_from_the_connection_that_was_asked() {
    let (plugin, first) = connected(&["system.which"]);
    let (call, asked) = ask(&plugin, json!({ "params": { "bins": ["sh"] } }));
    assert_eq!(asked["paramsJSON"], r#"{"bins":["sh"]}"#);
    let second = node(3, &["system.which"]);
    plugin.open_connection(&second);
    let ignored = json!({ "ok": true, "ignored": true });
    assert_eq!(answer(&plugin, &second, &asked["id"], json!({})), ignored, "it was not asked");
    let sent = json!({ "payloadJSON": "{\"a\":1}", "error": null });
    assert_eq!(answer(&plugin, &first, &asked["id"], sent.clone()), json!({ "ok": true }));
    assert_eq!(answer(&plugin, &first, &asked["id"], sent), ignored, "it has answered");
    let expected = json!({
        "ok": true, "nodeId": "d1", "command": "system.which", "payload": { "a": 1 }, "payloadJSON": "{\"a\":1}",
    });
    assert_eq!(call.wait().payload(), expected);

    // The old connection goes, and the new one stays.
    plugin.close_connection(&closed(2));
    let (call, asked) = ask(&plugin, json!({}));
    assert_eq!(asked["paramsJSON"], Value::Null);
    let foreign = json!({ "id": asked["id"], "nodeId": "d2", "ok": true });
    assert_eq!(plugin.call_as(Who::of(&second), "node.invoke.result", foreign).error().message, "nodeId mismatch");
    answer(&plugin, &second, &asked["id"], json!({ "payloadJSON": { "b": 2 } }));
    let answered = call.wait().payload();
    assert_eq!((&answered["payload"], &answered["payloadJSON"]), (&json!({ "b": 2 }), &Value::Null));
}

#[test]
fn why_a_node_failed_is_heard_whatever_else_it_says() {
    let (plugin, opened) = connected(&["system.which"]);
    for (error, message, told) in [
        (json!({ "code": "X", "message": "no", "retryable": true }), "no", json!({ "code": "X", "message": "no" })),
        (json!({ "code": "", "message": "" }), "node invoke failed", json!({})),
    ] {
        let (call, asked) = ask(&plugin, json!({}));
        answer(&plugin, &opened, &asked["id"], json!({ "ok": false, "error": error }));
        let failed = call.wait().error();
        assert_eq!((failed.message.as_str(), failed.details.unwrap()["nodeError"].clone()), (message, told));
    }
}

#[test]
fn an_answer_that_is_none_is_refused_and_ends_the_question() {
    let (plugin, opened) = connected(&["system.which"]);
    for ok in [json!("yes"), json!(1), Value::Null] {
        let (call, asked) = ask(&plugin, json!({}));
        let said = json!({ "id": asked["id"], "nodeId": "d1", "ok": ok });
        for _ in 0..2 {
            let refused = plugin.call_as(Who::of(&opened), "node.invoke.result", said.clone()).error();
            let words = "invalid node.invoke.result params: at /ok: must be boolean";
            assert_eq!((refused.code.as_str(), refused.message.as_str()), ("INVALID_REQUEST", words));
        }
        let failed = call.wait().error();
        assert!(failed.code == "UNAVAILABLE" && failed.message.starts_with("node invoke failed"), "{failed:?}");
        // It may have done it.
        assert_eq!((failed.retryable, &failed.details.unwrap()["code"]), (None, &json!("OUTCOME_UNKNOWN")));
    }
    // Who was not asked ends nothing.
    let (call, asked) = ask(&plugin, json!({}));
    let other = node(3, &["system.which"]);
    plugin.open_connection(&other);
    let foreign = json!({ "id": asked["id"], "nodeId": "d1", "ok": "yes" });
    assert_eq!(plugin.call_as(Who::of(&other), "node.invoke.result", foreign).error().code, "INVALID_REQUEST");
    answer(&plugin, &opened, &asked["id"], json!({ "payload": 7 }));
    assert_eq!(call.wait().payload()["payload"], 7);
}

#[test]
fn failures_deadlines_and_ends_are_told_in_the_words_of_the_protocol() {
    let (plugin, opened) = connected(&["system.which"]);
    let (call, asked) = ask(&plugin, json!({}));
    let error = json!({ "code": "X", "message": "no" });
    answer(&plugin, &opened, &asked["id"], json!({ "ok": false, "error": error }));
    let failed = call.wait().error();
    assert_eq!((failed.message.as_str(), failed.details.unwrap()["nodeError"].clone()), ("no", error));

    let (call, asked) = ask(&plugin, json!({ "timeoutMs": 1000 }));
    plugin.advance(Duration::from_secs(2));
    assert_eq!(call.wait().error().message, "node invoke timed out");
    assert_eq!(plugin.wait_event("node.invoke.cancel").payload["invokeId"], asked["id"]);
    assert_eq!(answer(&plugin, &opened, &asked["id"], json!({}))["ignored"], true, "it is late");

    let (call, _) = ask(&plugin, json!({}));
    plugin.close_connection(&closed(2));
    let gone = call.wait().error();
    assert_eq!((gone.message.as_str(), gone.details), ("Error: node disconnected (system.which)", None));
    let params = json!({ "nodeId": "d1", "command": "system.which", "idempotencyKey": "k" });
    assert_eq!(plugin.call("node.invoke", params).error().details.unwrap()["code"], "NOT_CONNECTED");
}

#[test]
fn an_approval_is_of_one_pairing_and_survives_a_restart() {
    let (plugin, _) = connected(&["system.which"]);
    let kept = plugin.kv("approved/d1").unwrap();
    for (paired_at_ms, commands, state) in
        [(5, json!(["system.which"]), "approved"), (6, json!([]), "pending-approval")]
    {
        let again = Harness::new::<Node>().answer("host.pairing.list", device(paired_at_ms));
        let again = again.kv("approved/d1", kept.clone()).start();
        again.open_connection(&node(4, &["system.which"]));
        let row = again.call("node.list", json!({})).payload()["nodes"][0].clone();
        assert_eq!((&row["commands"], &row["approvalState"]), (&commands, &json!(state)));
    }
}

#[test]
fn more_waits_less_does_not_and_what_was_approved_stays() {
    let (plugin, _) = connected(&["system.which"]);
    plugin.close_connection(&closed(2));
    plugin.open_connection(&node(3, &["system.run", "system.which"]));
    let row = |plugin: &Running| plugin.call("node.describe", json!({ "nodeId": "d1" })).payload();
    let wider = row(&plugin);
    assert_eq!((&wider["commands"], &wider["approvalState"]), (&json!(["system.which"]), &json!("pending-reapproval")));
    let reader = plugin.call_as(Who::operator(&["operator.read"]), "node.list", json!({})).payload();
    assert!(reader["nodes"][0].get("pendingRequestId").is_none(), "{reader}");
    plugin.close_connection(&closed(3));
    plugin.open_connection(&node(4, &["system.which"]));
    assert_eq!(row(&plugin)["approvalState"], "approved", "the wish is gone");
    plugin.call("node.pair.remove", json!({ "nodeId": "d1" })).payload();
    assert_eq!((&row(&plugin)["commands"], &row(&plugin)["approvalState"]), (&json!([]), &json!("pending-approval")));
}

#[test]
fn less_can_be_approved_than_was_asked_for() {
    let plugin = start();
    let asks = ["system.notify", "system.run", "system.which"];
    plugin.open_connection(&node(2, &asks));
    let requested = plugin.wait_event("node.pair.requested").payload;
    let id = &requested["requestId"];
    let foreign = json!({ "requestId": id, "commands": ["system.which", "sms.send"] });
    assert!(plugin.call("node.pair.approve", foreign).error().message.contains("\"sms.send\""));
    // Without those that run programs it takes no admin.
    let writer = Who::operator(&["operator.pairing", "operator.write"]);
    let less = json!({ "requestId": id, "commands": ["system.notify"] });
    let done = plugin.call_as(writer, "node.pair.approve", less).payload();
    assert_eq!(done["node"]["commands"], json!(["system.notify"]));
    let row = |plugin: &Running| plugin.call("node.describe", json!({ "nodeId": "d1" })).payload();
    assert_eq!(
        (&row(&plugin)["commands"], &row(&plugin)["approvalState"]),
        (&json!(["system.notify"]), &json!("approved"))
    );
    let params = json!({ "nodeId": "d1", "command": "system.run", "params": {}, "idempotencyKey": "k" });
    assert_eq!(plugin.call("node.invoke", params).error().code, "INVALID_REQUEST");

    // It does not ask for them again, also by another gateway process; but for anything else.
    let kept = plugin.kv("approved/d1").unwrap();
    let again = Harness::new::<Node>().answer("host.pairing.list", device(5)).kv("approved/d1", kept).start();
    again.open_connection(&node(3, &asks));
    assert_eq!(
        (&row(&again)["commands"], &row(&again)["approvalState"]),
        (&json!(["system.notify"]), &json!("approved"))
    );
    again.close_connection(&closed(3));
    again.open_connection(&node(4, &["system.notify", "system.execApprovals.get", "system.run"]));
    assert_eq!(row(&again)["approvalState"], "pending-reapproval");
    again.call("node.pair.remove", json!({ "nodeId": "d1" })).payload();
    assert_eq!(row(&again)["approvalState"], "pending-approval");
}

#[test]
fn what_was_withheld_is_not_asked_for_again_with_something_else() {
    let plugin = start();
    plugin.open_connection(&node(2, &["system.notify", "system.run", "system.which"]));
    let first = plugin.wait_event("node.pair.requested").payload;
    assert!(first.get("withheldCommands").is_none(), "{first}");
    let less = json!({ "requestId": first["requestId"], "commands": ["system.notify"] });
    plugin.call("node.pair.approve", less).payload();
    plugin.close_connection(&closed(2));

    // One harmless command more, and one of the withheld ones is not offered for the moment.
    plugin.open_connection(&node(3, &["ollama.models", "system.notify", "system.run"]));
    let second = plugin.wait_event("node.pair.requested").payload;
    assert_eq!(second["commands"], json!(["ollama.models"]), "{second}");
    assert_eq!(second["withheldCommands"], json!(["system.run"]));
    assert_eq!(second["requiredApproveScopes"], json!(["operator.pairing", "operator.write"]));
    let writer = || Who::operator(&["operator.pairing", "operator.read", "operator.write"]);
    let all = json!({ "requestId": second["requestId"] });
    let done = plugin.call_as(writer(), "node.pair.approve", all).payload();
    assert_eq!(done["node"]["commands"], json!(["ollama.models", "system.notify"]), "what was approved stays");
    let describe = |who| plugin.call_as(who, "node.describe", json!({ "nodeId": "d1" })).payload();
    assert_eq!(describe(writer())["withheldCommands"], json!(["system.run", "system.which"]));
    assert!(describe(Who::operator(&["operator.read"])).get("withheldCommands").is_none());
    let run = json!({ "nodeId": "d1", "command": "system.run", "params": {}, "idempotencyKey": "k" });
    let error = plugin.call("node.invoke", run.clone()).error();
    assert!(error.message.contains("withheld") && error.message.contains("clawhost nodes remove"), "{error:?}");
    assert_eq!(error.details.unwrap()["reason"], "command not declared by node");

    // What was not offered then is remembered all the same.
    plugin.close_connection(&closed(3));
    plugin.open_connection(&node(4, &["system.notify", "system.run", "system.which"]));
    assert_eq!(describe(writer())["approvalState"], "approved");

    // Whoever wants it after all names it, and needs what that takes.
    plugin.close_connection(&closed(4));
    plugin.open_connection(&node(5, &["ollama.chat", "system.run"]));
    let third = plugin.wait_event("node.pair.requested").payload;
    let named = |commands: Value| json!({ "requestId": third["requestId"], "commands": commands });
    let absent = plugin.call("node.pair.approve", named(json!(["system.which"]))).error();
    assert!(absent.message.contains("does not ask for"), "{absent:?}");
    let named = named(json!(["ollama.models", "system.run"]));
    let error = plugin.call_as(writer(), "node.pair.approve", named.clone()).error();
    assert!(error.message.contains("operator.admin"), "{error:?}");
    let done = plugin.call("node.pair.approve", named).payload();
    assert_eq!(done["node"]["commands"], json!(["ollama.models", "system.notify", "system.run"]));
    assert_eq!(describe(writer())["withheldCommands"], json!(["ollama.chat", "system.which"]));
    plugin.begin("node.invoke", run);
    assert_eq!(plugin.wait_event("node.invoke.request").payload["command"], "system.run");
}

#[test]
fn a_request_that_an_earlier_version_kept_gives_nothing_that_was_withheld() {
    let plugin = start();
    let offers = ["ollama.models", "system.notify", "system.run"];
    plugin.open_connection(&node(2, &offers));
    let kept = plugin.kv("pending/d1").unwrap();
    let id = plugin.wait_event("node.pair.requested").payload["requestId"].clone();
    plugin.call("node.pair.approve", json!({ "requestId": id, "commands": ["system.notify"] })).payload();
    let again = Harness::new::<Node>().answer("host.pairing.list", device(5));
    let again = again.kv("approved/d1", plugin.kv("approved/d1").unwrap()).kv("pending/d1", kept).start();
    let done = again.call("node.pair.approve", json!({ "requestId": id })).payload();
    assert_eq!(done["node"]["commands"], json!(["system.notify"]));
}

#[test]
fn what_is_taken_back_ends_the_questions_and_a_node_that_was_not_ready_may_be_asked_again() {
    let (plugin, opened) = connected(&["system.which"]);
    for (code, pause) in [("NODE_NOT_READY", 1000), ("NODE_BACKGROUND_UNAVAILABLE", 10_000)] {
        let (call, asked) = ask(&plugin, json!({}));
        answer(&plugin, &opened, &asked["id"], json!({ "ok": false, "error": { "code": code, "message": "no" } }));
        let error = call.wait().error();
        assert_eq!((error.retryable, error.retry_after_ms), (Some(true), Some(pause)), "{code}");
    }
    let (call, asked) = ask(&plugin, json!({}));
    plugin.call("node.pair.remove", json!({ "nodeId": "d1" })).payload();
    assert_eq!(call.wait().error().details.unwrap()["code"], "PAIRING_CHANGED");
    assert_eq!(plugin.wait_event("node.invoke.cancel").payload["invokeId"], asked["id"]);
    assert_eq!(answer(&plugin, &opened, &asked["id"], json!({}))["ignored"], true, "it is late");
}

#[test]
fn a_node_that_is_away_shows_what_was_approved() {
    let (plugin, _) = connected(&["system.which"]);
    plugin.close_connection(&closed(2));
    let row = plugin.call("node.describe", json!({ "nodeId": "d1" })).payload();
    assert_eq!((&row["commands"], &row["connected"]), (&json!(["system.which"]), &json!(false)));
}

#[test]
fn only_so_many_questions_are_open() {
    let harness = Harness::new::<Node>().answer("host.pairing.list", device(5));
    let plugin = harness.config(json!({ "max_open": 1 })).start();
    plugin.open_connection(&node(2, &["system.which"]));
    approve(&plugin);
    let _open = ask(&plugin, json!({}));
    let params = json!({ "nodeId": "d1", "command": "system.which", "idempotencyKey": "k" });
    let error = plugin.call("node.invoke", params).error();
    assert_eq!((error.retryable, error.details), (Some(true), Some(json!({ "limit": "max_open" }))));
}

#[test]
fn a_caller_leaves_places_for_others_whatever_its_connections() {
    let harness = Harness::new::<Node>().answer("host.pairing.list", device(5));
    let plugin = harness.config(json!({ "max_open": 4 })).start();
    plugin.open_connection(&node(2, &["system.which"]));
    approve(&plugin);
    let params = json!({ "nodeId": "d1", "command": "system.which", "idempotencyKey": "k" });
    let begin = |who: Who| {
        let call = plugin.begin_as(who, "node.invoke", params.clone());
        plugin.wait_event("node.invoke.request");
        call
    };
    let refused = |who: Who| plugin.call_as(who, "node.invoke", params.clone()).error().details;
    let phone = |conn: u64| Who::admin().conn(conn).device("phone");
    let limit = Some(json!({ "limit": "max_open" }));
    let _open: Vec<_> = (10..13).map(|conn| begin(phone(conn))).collect();
    assert_eq!(refused(phone(13)), limit);
    let _last = begin(Who::admin().conn(14));
    assert_eq!(refused(Who::admin().conn(15)), limit, "there is no place left");
}

#[test]
fn a_question_that_is_open_at_a_reload_is_not_to_be_repeated() {
    let (plugin, _) = connected(&["system.which"]);
    let (call, asked) = ask(&plugin, json!({}));
    plugin.quiesce();
    let error = call.wait().error();
    assert_eq!((error.retryable, &error.details.unwrap()["code"]), (None, &json!("OUTCOME_UNKNOWN")));
    assert_eq!(plugin.wait_event("node.invoke.cancel").payload["invokeId"], asked["id"]);
    // Nothing is asked whose answer would come to another instance.
    let params = json!({ "nodeId": "d1", "command": "system.which", "idempotencyKey": "k" });
    assert_eq!(plugin.call("node.invoke", params).error().retryable, Some(true));
    assert_eq!(plugin.events().iter().filter(|event| event.name == "node.invoke.request").count(), 1);
}

#[test]
fn a_node_that_answers_soon_is_heard_before_another_instance_takes_over() {
    let plugin = Harness::new::<Node>().answer("host.pairing.list", device(5)).real_time().start();
    let opened = node(2, &["system.which"]);
    plugin.open_connection(&opened);
    approve(&plugin);
    let (call, asked) = ask(&plugin, json!({}));
    let elsewhere = json!({ "nodeId": "d2", "command": "system.which", "idempotencyKey": "k" });
    let is_closing =
        |plugin: &Running| plugin.call("node.invoke", elsewhere.clone()).error().message.contains("reloaded");
    std::thread::scope(|scope| {
        scope.spawn(|| plugin.quiesce());
        plugin.wait_until("it asks nothing any more", is_closing);
        answer(&plugin, &opened, &asked["id"], json!({ "payload": 7 }));
    });
    assert_eq!(call.wait().payload()["payload"], 7);
}
