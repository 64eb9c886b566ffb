//! Hooks with a run that a test answers, over HTTP without a socket.

use std::sync::mpsc::{Receiver, channel};

use plugin_kit::http::{Answer, Ask};
use plugin_kit::{Harness, Running, StubCall};
use schemas::ErrorShape;
use serde_json::{Value, json};

use super::*;

const TOKEN: &str = "a-token-of-the-hooks";

fn harness(config: Value) -> (Harness, Receiver<StubCall>) {
    let mut all = json!({ "enabled": true, "token": TOKEN });
    for (name, value) in config.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    let (told, runs) = channel();
    let harness = Harness::new::<Hooks>()
        .config(all)
        .answer("wake", json!({ "ok": true }))
        .answer("send", json!({ "messageId": "1" }))
        .answer("send.deliver", json!({ "runId": "r", "channel": "telegram", "messageId": "1" }))
        .answer_with("agent.run", move |call| {
            if call.params()["agentId"] == "nobody" {
                return call.finish(Err(ErrorShape::invalid_request("unknown agent")));
            }
            call.interim(json!({ "runId": call.params()["runId"], "status": "accepted", "acceptedAt": 1 }));
            told.send(call).expect("the test waits");
        });
    (harness, runs)
}

fn open(config: Value) -> (Running, Receiver<StubCall>) {
    let (harness, runs) = harness(config);
    (harness.start(), runs)
}

fn ring(path: &str, body: &Value) -> Ask {
    Ask::post(path, body.to_string()).header("authorization", &format!("Bearer {TOKEN}"))
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

fn end(run: &StubCall, text: &str) {
    run.finish(Ok(json!({
        "runId": run.params()["runId"], "status": "ok", "sessionKey": "s", "agentId": "main", "endedAt": 2, "text": text,
    })));
}

#[test]
fn hooks_are_shut_until_they_are_enabled_with_a_token() {
    let plugin = Harness::new::<Hooks>().start();
    assert_eq!(plugin.http(ring("/hooks/wake", &json!({ "text": "x" }))).wait().status, 404);
    for config in [
        json!({ "enabled": true }),
        json!({ "enabled": true, "token": "short" }),
        json!({ "enabled": true, "token": TOKEN, "token_env": "X" }),
        json!({ "enabled": true, "token_file": "relative" }),
    ] {
        let why = Harness::new::<Hooks>().config(config).create_error();
        assert!(why.contains("token") && !why.contains("short"), "{why}");
    }
    let broken = json!({ "mappings": { "ci": { "message": "{{/a" } } });
    assert!(Harness::new::<Hooks>().config(broken).create_error().contains("mappings.ci.message"));
}

#[test]
fn the_token_comes_in_a_header_and_never_in_the_address() {
    let (plugin, _runs) = open(json!({}));
    let bare = |path: &str| Ask::post(path, r#"{"text":"x"}"#);
    for name in ["x-openclaw-token", "x-moltbot-token"] {
        assert_eq!(plugin.http(bare("/hooks/wake").header(name, TOKEN)).wait().status, 200, "{name}");
    }
    assert_eq!(plugin.http(bare("/hooks/wake")).wait().status, 401);
    let wrong = plugin.http(bare("/hooks/wake").header("authorization", "Bearer wrong"));
    plugin.wait_until("the answer is delayed", |plugin| plugin.timers() == 1);
    plugin.advance(std::time::Duration::from_millis(100));
    assert_eq!(wrong.wait().status, 401);
    let in_address = plugin.http(ring(&format!("/hooks/wake?token={TOKEN}"), &json!({ "text": "x" }))).wait();
    assert_eq!(in_address.status, 400, "{in_address:?}");
    assert!(!in_address.text().contains(TOKEN));
}

#[test]
fn a_forwarded_request_is_locked_out_like_any_strangers() {
    let (plugin, _runs) = open(json!({ "max_failures": 2 }));
    let with =
        |token: &str| Ask::post("/hooks/wake", r#"{"text":"x"}"#).header("authorization", &format!("Bearer {token}"));
    for header in ["x-forwarded-for", "origin"] {
        let wrong = plugin.http(with("wrong").header(header, "x"));
        plugin.wait_until("the answer is delayed", |plugin| plugin.timers() == 1);
        plugin.advance(std::time::Duration::from_secs(2));
        assert_eq!(wrong.wait().status, 401, "{header}");
    }
    for header in ["x-forwarded-for", "forwarded", "x-real-ip", "x-forwarded-host", "origin"] {
        assert_eq!(plugin.http(with(TOKEN).header(header, "x")).wait().status, 429, "{header}");
    }
    assert_eq!(plugin.http(with(TOKEN)).wait().status, 200, "this machine's own programs are not concerned");
}

#[test]
fn a_wake_wakes_the_main_session() {
    let (plugin, _runs) = open(json!({}));
    let answer = plugin.http(ring("/hooks/wake", &json!({ "text": " mail ", "mode": "next-heartbeat" }))).wait();
    assert_eq!((answer.status, body(&answer)), (200, json!({ "ok": true, "mode": "next-heartbeat" })));
    assert_eq!(plugin.asked().last().expect("a call").params, json!({ "text": "mail", "mode": "next-heartbeat" }));
    for wrong in [json!({}), json!({ "text": " " }), json!({ "text": "x", "mode": "later" }), json!([])] {
        let answer = plugin.http(ring("/hooks/wake", &wrong)).wait();
        assert_eq!((answer.status, &body(&answer)["ok"]), (400, &json!(false)));
    }
    let large = plugin.http(ring("/hooks/wake", &json!({ "text": "x".repeat(256 * 1024) }))).wait();
    assert_eq!((large.status, body(&large)), (413, json!({ "ok": false, "error": "payload too large" })));
    assert_eq!(plugin.http(ring("/hooks/other", &json!({}))).wait().status, 404);
}

#[test]
fn a_run_is_answered_at_once_and_its_answer_delivered() {
    let (plugin, runs) = open(json!({ "max_runs": 1 }));
    let order = json!({
        "message": "look", "name": "CI", "agentId": "ops", "sessionKey": "hook:ci", "channel": "telegram", "to": "7",
        "wakeMode": "now", "thinking": "low", "timeoutSeconds": 5,
    });
    let answer = plugin.http(ring("/hooks/agent", &order)).wait();
    let run = runs.recv().expect("a run");
    assert_eq!((answer.status, &body(&answer)["runId"]), (202, &run.params()["runId"]));
    let params = run.params();
    assert_eq!(
        (&params["origin"], &params["sessionKey"], &params["timeoutMs"]),
        (&json!("hook"), &json!("hook:ci"), &json!(5000))
    );
    let full = plugin.http(ring("/hooks/agent", &order)).wait();
    assert_eq!((full.status, &body(&full)["details"]["limit"]), (503, &json!("max_runs")), "{full:?}");
    end(&run, "red");
    plugin.wait_until("it is delivered and told", |plugin| plugin.asked().iter().any(|asked| asked.method == "wake"));
    let sent = plugin.asked().into_iter().find(|asked| asked.method == "send").expect("a message");
    assert_eq!(
        (&sent.params["to"], &sent.params["message"], &sent.params["channel"]),
        (&json!("7"), &json!("red"), &json!("telegram"))
    );
    assert_eq!(plugin.asked().last().expect("a call").params, json!({ "mode": "now", "text": "CI: red" }));
}

#[test]
fn a_long_answer_is_cut_to_what_the_main_session_takes() {
    let (plugin, runs) = open(json!({}));
    plugin.http(ring("/hooks/agent", &json!({ "message": "look", "wakeMode": "now" }))).wait();
    end(&runs.recv().expect("a run"), &"ä".repeat(20_000));
    plugin.wait_until("it is told", |plugin| plugin.asked().iter().any(|asked| asked.method == "wake"));
    let told = plugin.asked().last().expect("a call").params["text"].as_str().expect("a text").to_string();
    assert!(told.starts_with("Hook: ä") && told.chars().count() == 16_384, "{} characters", told.chars().count());
}

#[test]
fn an_answer_for_nobody_in_particular_goes_where_the_main_session_last_spoke() {
    let (plugin, runs) = open(json!({}));
    plugin.http(ring("/hooks/agent", &json!({ "message": "look", "deliver": true, "channel": "telegram" }))).wait();
    end(&runs.recv().expect("a run"), "red");
    plugin.wait_until("it is delivered", |plugin| plugin.asked().iter().any(|asked| asked.method == "send.deliver"));
    let sent = plugin.asked().into_iter().find(|asked| asked.method == "send.deliver").expect("a message").params;
    assert_eq!(
        (&sent["channel"], &sent["to"], &sent["sessionKey"], &sent["text"]),
        (&json!("telegram"), &Value::Null, &json!("agent:main:main"), &json!("red"))
    );
}

#[test]
fn hooks_reach_no_session_or_agent_that_is_not_theirs() {
    let (plugin, _runs) = open(json!({ "agents": ["ops"] }));
    for wrong in [
        json!({ "message": "x", "sessionKey": "main" }),
        json!({ "message": "x", "sessionKey": "agent:ops:main" }),
        json!({ "message": "x", "sessionKey": "agent:main:hook:x" }),
        json!({ "message": "x", "agentId": "main" }),
        json!({ "message": "x", "wakeMode": "later" }),
        json!({ "message": " " }),
        json!({ "message": 5 }),
    ] {
        let answer = plugin.http(ring("/hooks/agent", &wrong)).wait();
        assert_eq!((answer.status, &body(&answer)["ok"]), (400, &json!(false)), "{wrong}");
    }
    assert!(plugin.asked().is_empty());
}

#[test]
fn who_names_no_agent_gets_the_first_that_hooks_may_name() {
    let mappings = json!({ "ci": { "message": "m" }, "own": { "message": "m", "session": "agent:b:main" } });
    let (plugin, runs) = open(json!({ "agents": ["ops", "b"], "mappings": mappings }));
    for (path, order, agent) in [
        ("/hooks/agent", json!({ "message": "x" }), json!("ops")),
        ("/hooks/agent", json!({ "message": "x", "sessionKey": "hook:a" }), json!("ops")),
        ("/hooks/agent", json!({ "message": "x", "sessionKey": "Agent:B:hook:a" }), Value::Null),
        ("/hooks/agent", json!({ "message": "x", "agentId": "b" }), json!("b")),
        ("/hooks/ci", json!({}), json!("ops")),
        ("/hooks/own", json!({}), Value::Null),
    ] {
        assert_eq!(plugin.http(ring(path, &order)).wait().status, 202, "{path} {order}");
        let run = runs.recv().expect("a run");
        assert_eq!(run.params()["agentId"], agent, "{path} {order}");
        end(&run, "");
    }
}

#[test]
fn a_repeated_hook_happens_once_also_across_a_restart() {
    let (plugin, runs) = open(json!({ "max_keys": 2 }));
    let order = json!({ "message": "look", "idempotencyKey": "k1" });
    let first = body(&plugin.http(ring("/hooks/agent", &order)).wait());
    let run = runs.recv().expect("a run");
    let again = plugin.http(ring("/hooks/agent", &order)).wait();
    assert_eq!(
        (again.status, &body(&again)["runId"], &body(&again)["duplicate"]),
        (202, &first["runId"], &json!(true))
    );
    end(&run, "");
    let header = ring("/hooks/agent", &json!({ "message": "look" })).header("idempotency-key", "k1");
    assert_eq!(body(&plugin.http(header).wait())["runId"], first["runId"]);
    assert_eq!(plugin.asked().iter().filter(|asked| asked.method == "agent.run").count(), 1);

    // Another gateway's life, with what this one kept.
    let (harness, runs) = harness(json!({}));
    let kept = plugin.kv_entries();
    let reborn = kept.into_iter().fold(harness, |harness, (key, value)| harness.kv(&key, value)).start();
    assert_eq!(body(&reborn.http(ring("/hooks/agent", &order)).wait())["runId"], first["runId"]);
    assert!(reborn.asked().is_empty() && runs.try_recv().is_err());
    plugin.stop();

    // What was refused may come again, and keys are bounded.
    let (plugin, runs) = open(json!({ "max_keys": 2 }));
    let refused = json!({ "message": "x", "agentId": "nobody", "idempotencyKey": "r" });
    assert_eq!(plugin.http(ring("/hooks/agent", &refused)).wait().status, 400);
    assert!(plugin.kv_entries().is_empty());
    for key in ["a", "b", "c", "d"] {
        plugin.http(ring("/hooks/agent", &json!({ "message": "x", "idempotencyKey": key }))).wait();
        end(&runs.recv().expect("a run"), "");
    }
    assert_eq!(plugin.kv_entries().len(), 2);
}

#[test]
fn a_repeated_hook_hears_nothing_good_before_the_first_was_taken() {
    let (harness, _runs) = harness(json!({}));
    let (told, wakes) = channel();
    let plugin = harness.answer_with("wake", move |call| told.send(call).expect("the test waits")).start();
    let order = json!({ "text": "x", "idempotencyKey": "k" });
    let first = plugin.http(ring("/hooks/wake", &order));
    let wake = wakes.recv().expect("a wake");
    let again = plugin.http(ring("/hooks/wake", &order)).wait();
    assert_eq!((again.status, again.header("retry-after")), (503, Some("1")), "{again:?}");
    wake.finish(Ok(json!({ "ok": true })));
    assert_eq!(first.wait().status, 200);
    let again = plugin.http(ring("/hooks/wake", &order)).wait();
    assert_eq!((again.status, &body(&again)["duplicate"]), (200, &json!(true)));
    assert_eq!(plugin.asked().iter().filter(|asked| asked.method == "wake").count(), 1);
}

#[test]
fn what_a_run_says_goes_out_although_who_began_it_has_gone() {
    let (before, runs) = open(json!({}));
    let order = json!({ "message": "look", "name": "CI", "to": "7", "wakeMode": "now" });
    assert_eq!(before.http(ring("/hooks/agent", &order)).wait().status, 202);
    let first = runs.recv().expect("a run");
    before.quiesce();
    first.wait_ended();
    let kept = before.kv_entries();
    assert!(kept.len() == 1 && !kept[0].1.contains("look"), "the agent has the message: {kept:?}");

    let reborn = |status: &str| {
        let (harness, runs) = harness(json!({}));
        let waited = json!({ "runId": first.params()["runId"], "status": status });
        let harness = harness.answer("agent.wait", waited).answer("agent.runs", json!({ "runs": [] }));
        (kept.iter().fold(harness, |harness, (key, value)| harness.kv(key, value.as_str())).start(), runs)
    };
    let (after, runs) = reborn("ok");
    let run = runs.recv().expect("the same run");
    assert_eq!(run.params()["runId"], first.params()["runId"]);
    end(&run, "red");
    after.wait_until("all is done", |plugin| plugin.kv_entries().is_empty());
    let asked = |method: &str| after.asked().into_iter().find(|asked| asked.method == method).expect(method).params;
    assert_eq!((&asked("send")["to"], &asked("wake")["text"]), (&json!("7"), &json!("CI: red")));

    let (forgotten, runs) = reborn("timeout");
    forgotten.wait_until("it is given up", |plugin| plugin.kv_entries().is_empty());
    assert!(runs.try_recv().is_err(), "it is not begun anew");
}

#[test]
fn a_mapped_path_says_what_another_programs_body_means() {
    let (plugin, runs) = open(json!({ "mappings": {
        "ci": {
            "message": "Build {{/build/id}} of {{/repo}} failed.", "when": { "pointer": "/state", "equals": "failed" },
            "agent": "ops", "session": "hook:ci:{{/repo}}",
        },
        "bell": { "action": "wake", "message": "{{/who}} rings" },
    } }));
    let failed = json!({ "state": "failed", "repo": "claw", "build": { "id": 7 } });
    assert_eq!(plugin.http(ring("/hooks/ci", &failed)).wait().status, 202);
    let run = runs.recv().expect("a run");
    let params = run.params().clone();
    assert_eq!(
        (&params["message"], &params["sessionKey"]),
        (&json!("Build 7 of claw failed."), &json!("hook:ci:claw"))
    );
    end(&run, "");
    assert_eq!(plugin.http(ring("/hooks/ci", &json!({ "state": "passed" }))).wait().status, 204);
    assert_eq!(plugin.http(ring("/hooks/bell", &json!({ "who": "Ann" }))).wait().status, 200);
    assert_eq!(plugin.asked().last().expect("a call").params, json!({ "mode": "now", "text": "Ann rings" }));
}
