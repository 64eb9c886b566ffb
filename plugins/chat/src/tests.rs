use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plugin_kit::{Harness, Outcome, Running, StubCall, Who};
use schemas::ErrorShape;
use serde_json::{Value, json};

use super::Chat;

const MOMENT: Duration = Duration::from_millis(150);

/// A plugin between an agent that takes everything and a store that knows the session `main`.
fn around() -> Harness {
    let session = json!({ "key": "agent:main:main", "agentId": "main", "sessionId": "s-1", "entry": {} });
    Harness::new::<Chat>()
        .answer_with("agent", |call: StubCall| {
            call.interim(json!({ "runId": "r", "status": "accepted", "acceptedAt": 1 }))
        })
        .answer("agent.wait", json!({ "runId": "r", "status": "timeout" }))
        .answer("agent.runs", json!({ "runs": [] }))
        .answer("agent.abort", json!({ "runIds": [] }))
        .answer_with("session.store.open", move |call: StubCall| {
            call.finish(if call.params()["key"] == "main" {
                Ok(session.clone())
            } else {
                let absent =
                    ErrorShape::invalid_request("No session found").with_details(json!({ "code": "NO_SESSION" }));
                Err(absent)
            });
        })
}

fn say(chat: &Running, id: &str, message: &str) -> Outcome {
    let params = json!({ "sessionKey": "main", "message": message, "idempotencyKey": id });
    chat.call_as(Who::operator(&["operator.write"]), "chat.send", params)
}

fn agent(chat: &Running, id: &str, seq: u64, stream: &str, data: Value) {
    let event = json!({ "runId": id, "seq": seq, "stream": stream, "ts": 1, "data": data, "sessionKey": "main",
                        "agentId": "main", "sessionId": "s-1" });
    chat.publish("agent", event);
}

fn begin(chat: &Running, id: &str) {
    agent(chat, id, 1, "lifecycle", json!({ "phase": "start", "startedAt": 1, "origin": "client", "hidden": false }));
}

fn grow(chat: &Running, id: &str, seq: u64, text: &str) {
    agent(chat, id, seq, "assistant", json!({ "text": text, "delta": "" }));
}

fn end(chat: &Running, id: &str, data: Value) {
    agent(chat, id, 99, "lifecycle", data);
}

fn told(chat: &Running) -> Vec<Value> {
    chat.events().into_iter().filter(|event| event.name == "chat").map(|event| event.payload).collect()
}

fn texts(chat: &Running) -> Vec<(Value, Value)> {
    told(chat)
        .into_iter()
        .map(|event| (event["deltaText"].clone(), event["message"]["content"][0]["text"].clone()))
        .collect()
}

#[test]
fn an_answer_grows_at_most_once_a_moment_and_ends_once() {
    let chat = around().start();
    assert_eq!(say(&chat, "r", " hello").payload(), json!({ "runId": "r", "status": "started" }));
    let asked = chat.asked().into_iter().find(|asked| asked.method == "agent").expect("it is asked");
    assert_eq!(asked.params, json!({ "message": " hello", "sessionKey": "main", "idempotencyKey": "r" }));
    assert_eq!(asked.caller.scopes, ["operator.write"], "with the rights of who said it");
    begin(&chat, "r");
    grow(&chat, "r", 2, "a");
    grow(&chat, "r", 3, "ab");
    grow(&chat, "r", 4, "abc");
    assert_eq!(texts(&chat), [(json!("a"), json!("a"))], "the first at once");
    chat.advance(MOMENT);
    grow(&chat, "r", 5, "abcd");
    assert_eq!(texts(&chat)[1..], [(json!("bc"), json!("abc"))], "over those that were not told");
    chat.advance(MOMENT);
    chat.advance(MOMENT);
    grow(&chat, "r", 6, "other");
    let last = told(&chat).pop().unwrap();
    assert_eq!((&last["replace"], &last["deltaText"], &last["seq"]), (&json!(true), &json!("other"), &json!(6)));
    let usage = json!({ "totalTokens": 7 });
    end(&chat, "r", json!({ "phase": "end", "status": "ok", "text": " other one \n", "usage": usage }));
    end(&chat, "r", json!({ "phase": "error", "status": "error", "error": "late" }));
    grow(&chat, "r", 100, "later");
    chat.advance(MOMENT);
    let ended = told(&chat);
    assert_eq!(ended.len(), 5, "{ended:?}");
    let last = &ended[4];
    assert_eq!((&last["state"], &last["sessionKey"], &last["usage"]), (&json!("final"), &json!("main"), &usage));
    assert_eq!(last["message"]["content"], json!([{ "type": "text", "text": "other one" }]));
    let droppable: Vec<bool> = chat.events().iter().map(|event| event.droppable).collect();
    assert_eq!(droppable, [true, true, true, true, false]);
    assert_eq!(chat.timers(), 1, "but for the one that looks for lost runs");
}

#[test]
fn every_end_has_its_event() {
    let chat = around().start();
    for (id, data, expected) in [
        ("a", json!({ "phase": "end", "status": "ok", "text": " " }), json!({ "state": "final" })),
        (
            "b",
            json!({ "phase": "error", "status": "error", "error": "slow down", "errorCode": "RATE_LIMIT" }),
            json!({ "state": "error", "errorMessage": "slow down", "errorKind": "rate_limit" }),
        ),
        (
            "c",
            json!({ "phase": "error", "status": "interrupted", "error": "stopped", "errorCode": "INTERRUPTED" }),
            json!({ "state": "error", "errorMessage": "stopped", "errorKind": "unknown" }),
        ),
        (
            "d",
            json!({ "phase": "end", "status": "aborted", "aborted": true, "stopReason": "stop", "text": "half" }),
            json!({ "state": "aborted", "stopReason": "stop" }),
        ),
        (
            "e",
            json!({ "phase": "error", "status": "timeout", "error": "too long" }),
            json!({ "state": "aborted", "stopReason": "timeout", "errorMessage": "too long" }),
        ),
    ] {
        end(&chat, id, data);
        let mut expected = expected;
        expected["runId"] = json!(id);
        expected["sessionKey"] = json!("main");
        expected["agentId"] = json!("main");
        expected["seq"] = json!(99);
        assert_eq!(told(&chat).pop().unwrap(), expected);
    }
}

#[test]
fn hidden_runs_are_told_to_nobody() {
    let chat = around().start();
    agent(&chat, "h", 1, "lifecycle", json!({ "phase": "start", "origin": "heartbeat", "hidden": true }));
    grow(&chat, "h", 2, "HEARTBEAT_OK");
    end(&chat, "h", json!({ "phase": "end", "status": "ok", "text": "HEARTBEAT_OK" }));
    // Nor when the beginning was not heard: each of its events says what it is.
    let event = json!({ "runId": "x", "seq": 2, "stream": "assistant", "ts": 1, "data": { "text": "text", "delta": "" },
                        "sessionKey": "main", "agentId": "main", "isHeartbeat": true });
    chat.publish("agent", event);
    assert_eq!(told(&chat), Vec::<Value>::new());
}

#[test]
fn a_run_is_followed_whose_beginning_was_not_heard() {
    let chat = around().start();
    grow(&chat, "r", 5, "one two");
    chat.advance(MOMENT);
    grow(&chat, "r", 6, "one two three");
    let told = told(&chat);
    assert_eq!(told.len(), 2, "{told:?}");
    // What clients have of it is not known, so they begin anew.
    assert_eq!((&told[0]["replace"], &told[0]["deltaText"]), (&json!(true), &json!("one two")));
    assert_eq!((told[1].get("replace"), &told[1]["deltaText"]), (None, &json!(" three")));
    assert_eq!((&told[1]["sessionKey"], &told[1]["seq"]), (&json!("main"), &json!(6)));
}

#[test]
fn a_run_whose_end_was_not_heard_is_ended_all_the_same() {
    let is_over: Arc<AtomicBool> = Arc::default();
    let over = is_over.clone();
    let chat = around()
        .answer_with("agent.wait", move |call: StubCall| {
            let status = if over.load(Ordering::Relaxed) { "error" } else { "timeout" };
            call.finish(Ok(json!({ "runId": "r", "status": status, "error": "no model" })));
        })
        .start();
    say(&chat, "r", "hello").payload();
    begin(&chat, "r");
    is_over.store(true, Ordering::Relaxed);
    chat.advance(Duration::from_secs(60));
    assert_eq!(told(&chat), Vec::<Value>::new(), "its end may be on its way");
    assert_eq!(say(&chat, "r", "hello").payload()["status"], "in_flight");
    chat.advance(Duration::from_secs(60));
    // One that is late after all is none.
    end(&chat, "r", json!({ "phase": "end", "status": "ok", "text": "hi" }));
    let told = told(&chat);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["state"], &told[0]["errorMessage"]), (&json!("error"), &json!("no model")));
    assert_eq!(told[0]["sessionKey"], "main");
    assert_eq!(say(&chat, "r", "hello").error().message, "no model");
}

#[test]
fn a_message_is_answered_once() {
    let chat = around().start();
    say(&chat, "good", "hello").payload();
    assert_eq!(say(&chat, "good", "hello").payload(), json!({ "runId": "good", "status": "in_flight" }));
    end(&chat, "good", json!({ "phase": "end", "status": "ok", "text": "hi" }));
    assert_eq!(say(&chat, "good", "hello").payload(), json!({ "runId": "good", "status": "ok" }));
    say(&chat, "bad", "hello").payload();
    end(&chat, "bad", json!({ "phase": "error", "status": "error", "error": "no model" }));
    let again = say(&chat, "bad", "hello");
    assert_eq!(again.error_payload, Some(json!({ "runId": "bad", "status": "error", "summary": "no model" })));
    assert_eq!(again.error(), ErrorShape::unavailable("no model"));
    assert_eq!(chat.asked().iter().filter(|asked| asked.method == "agent").count(), 2);

    let before = around().answer("agent.wait", json!({ "runId": "r", "status": "error", "error": "old" })).start();
    assert_eq!(say(&before, "r", "hello").error().message, "old", "also by who was started anew since");
    assert!(before.asked().iter().all(|asked| asked.method != "agent"));

    let refusal = ErrorShape::invalid_request("invalid agent params: no");
    let refusing = around().answer_error("agent", refusal.clone()).start();
    for _ in 0..2 {
        assert_eq!(say(&refusing, "r", "hello").error(), refusal, "a refusal leaves nothing behind");
    }
}

#[test]
fn what_is_wrong_with_a_message_comes_in_order() {
    let denied =
        json!({ "key": "agent:main:main", "agentId": "main", "sessionId": "s", "entry": { "sendPolicy": "deny" } });
    let chat = around().answer("session.store.open", denied).start();
    let send = |message: &str, attachments: Value| {
        let params =
            json!({ "sessionKey": "main", "message": message, "idempotencyKey": "r", "attachments": attachments });
        chat.call("chat.send", params).error().message
    };
    assert_eq!(send("  ", json!([{ "content": "" }])), "message or attachment required");
    assert_eq!(send("stop", json!([{ "content": "a" }])), "Error: attachment attachment-1: invalid base64 content");
    assert_eq!(send("stop", json!([])), "send blocked by session policy");
    let odd = chat.call("chat.send", json!({ "sessionKey": "", "message": "x", "idempotencyKey": "r" })).error();
    assert!(odd.message.starts_with("invalid chat.send params: "), "{odd}");

    let chat = around().start();
    let params = json!({ "sessionKey": "main", "message": "", "idempotencyKey": "r", "thinking": "high", "deliver": false,
                         "attachments": [{ "content": "AAAA" }, {}], "timeoutMs": 1500.0 });
    chat.call("chat.send", params).payload();
    let asked = chat.asked().into_iter().find(|asked| asked.method == "agent").unwrap().params;
    let expected = json!({ "message": " ", "sessionKey": "main", "idempotencyKey": "r", "thinking": "high", "deliver": false,
                           "attachments": [{ "content": "AAAA" }], "timeout": 2 });
    assert_eq!(asked, expected);
}

#[test]
fn a_stop_is_told_at_once_and_nothing_after_it() {
    for (word, reason) in [(Some(" STOP "), "stop"), (Some("/stop"), "stop"), (None, "rpc")] {
        let chat = around().answer("agent.abort", json!({ "runIds": ["r", "elsewhere"] })).start();
        say(&chat, "r", "hello").payload();
        begin(&chat, "r");
        grow(&chat, "r", 2, "a");
        let stopped = match word {
            Some(word) => say(&chat, "w", word).payload(),
            None => chat.call("chat.abort", json!({ "sessionKey": "main" })).payload(),
        };
        assert_eq!(stopped, json!({ "ok": true, "aborted": true, "runIds": ["r", "elsewhere"] }));
        let asked = chat.asked().into_iter().find(|asked| asked.method == "agent.abort").unwrap();
        assert_eq!(asked.params, json!({ "sessionKey": "main", "stopReason": reason, "waitMs": 0 }));
        assert_eq!(asked.caller.role, "plugin");
        grow(&chat, "r", 3, "ab");
        end(&chat, "r", json!({ "phase": "end", "status": "ok", "text": "abc" }));
        chat.advance(MOMENT);
        let told = told(&chat);
        assert_eq!(told.len(), 2);
        assert_eq!((&told[1]["state"], &told[1]["stopReason"]), (&json!("aborted"), &json!(reason)));
        assert_eq!(told[1].get("message"), None);
        assert_eq!(say(&chat, "r", "hello").payload()["status"], "ok");
    }
}

#[test]
fn a_run_is_stopped_by_its_session() {
    let run = |id: &str, spelled: &str| {
        json!({ "runId": id, "sessionKey": "agent:main:main", "spelledKey": spelled,
                                                "agentId": "main", "hasBegun": true, "origin": "client" })
    };
    let chat = around()
        .answer_with("agent.runs", move |call: StubCall| {
            let runs = match call.params()["sessionKey"].as_str() {
                None | Some("MAIN") => json!([run("r", "main")]),
                Some(_) => json!([]),
            };
            call.finish(Ok(json!({ "runs": runs })));
        })
        .answer("agent.abort", json!({ "runIds": ["r"] }))
        .start();
    for key in ["main", "agent:main:main", "MAIN"] {
        let stopped = chat.call("chat.abort", json!({ "sessionKey": key, "runId": "r" })).payload();
        assert_eq!(stopped, json!({ "ok": true, "aborted": true, "runIds": ["r"] }), "{key}");
    }
    let foreign = chat.call("chat.abort", json!({ "sessionKey": "other", "runId": "r" })).error();
    assert_eq!(
        (foreign.code.as_str(), foreign.message.as_str()),
        ("INVALID_REQUEST", "runId does not match sessionKey")
    );
    let unknown = chat.call("chat.abort", json!({ "sessionKey": "main", "runId": "x" })).payload();
    assert_eq!(unknown, json!({ "ok": true, "aborted": false, "runIds": [] }));
}

#[test]
fn who_stops_a_run_before_the_agent_has_it_stops_it_all_the_same() {
    let kept: Arc<Mutex<Vec<StubCall>>> = Arc::default();
    let keeping = kept.clone();
    let chat = around()
        .answer_with("agent", move |call: StubCall| keeping.lock().unwrap().push(call))
        .answer("agent.abort", json!({ "runIds": ["r"] }))
        .start();
    let params = json!({ "sessionKey": "main", "message": "hello", "idempotencyKey": "r" });
    let sending = chat.begin("chat.send", params);
    chat.wait_until("the agent being asked", |_| !kept.lock().unwrap().is_empty());
    let stopped = chat.call("chat.abort", json!({ "sessionKey": "main", "runId": "r" })).payload();
    assert_eq!(stopped["runIds"], json!(["r"]));
    kept.lock().unwrap()[0].interim(json!({ "status": "accepted" }));
    assert_eq!(sending.wait().payload()["status"], "started");
    assert_eq!(told(&chat)[0]["state"], "aborted");
}

#[test]
fn history_is_what_the_store_has() {
    let messages = json!([{ "role": "user", "content": [{ "type": "text", "text": "[Telegram 2026-11-26 20:15] hi" }] },
                          { "role": "custom", "content": "kept", "display": true }]);
    let stored = json!({ "key": "agent:main:main", "sessionId": "s", "messages": messages, "total": 9, "hasMore": true,
                         "entry": { "thinkingLevel": "low", "updatedAt": 5 } });
    let reader = || Who::operator(&["operator.read"]);
    let chat = around().answer("session.store.transcript", stored).start();
    let page = chat.call_as(reader(), "chat.history", json!({ "sessionKey": "main" })).payload();
    assert_eq!(page["messages"][0]["content"][0]["text"], "hi");
    assert_eq!((&page["messages"][1], &page["thinkingLevel"]), (&messages[1], &json!("low")));
    assert_eq!((&page["hasMore"], &page["totalMessages"], &page["sessionId"]), (&json!(true), &json!(9), &json!("s")));
    let asked = chat.asked().pop().unwrap().params;
    assert_eq!(asked, json!({ "key": "main", "limit": 200, "offset": 0, "maxBytes": 6_291_456 }));
    let reset = chat.call("chat.history", json!({ "sessionKey": "main", "cursor": "abc" })).payload();
    assert_eq!(reset, json!({ "kind": "reset" }));
    assert!(chat.call("chat.history", json!({ "sessionKey": "main", "limit": 1001 })).result.is_err());

    // Without anybody who knows sessions a page opens too.
    let startup = json!({ "sessionKey": "main", "limit": 80, "maxBytes": 262_144 });
    let bare = chat.call_as(reader(), "chat.startup", startup.clone()).payload();
    assert_eq!(bare["pendingInputs"], json!({ "items": [], "total": 0 }));
    assert_eq!((&bare["sessionInfo"]["key"], &bare["sessionInfo"]["updatedAt"]), (&json!("main"), &json!(5)));
    assert_eq!(bare["defaults"]["model"], Value::Null);
    assert_eq!(chat.call_as(reader(), "chat.metadata", json!({})).payload(), json!({ "models": [], "commands": [] }));
    assert_eq!(chat.call_as(reader(), "commands.list", json!({ "a": 1 })).payload(), json!({ "commands": [] }));
    assert_eq!(chat.call("question.list", json!({})).payload(), json!({ "questions": [] }));

    let row = json!({ "key": "agent:main:main", "kind": "direct", "updatedAt": 7 });
    let chat = around()
        .answer("session.store.transcript", json!({ "key": "agent:main:main", "messages": [], "total": 0 }))
        .answer("sessions.describe", json!({ "session": row }))
        .answer("sessions.list", json!({ "defaults": { "model": "m" } }))
        .answer("models.list", json!({ "models": [{ "id": "m" }] }))
        .start();
    let full = chat.call_as(reader(), "chat.startup", startup).payload();
    assert_eq!((&full["sessionInfo"], &full["defaults"]["model"]), (&row, &json!("m")));
    assert_eq!(chat.call("chat.metadata", json!({})).payload()["models"], json!([{ "id": "m" }]));
}

#[test]
fn messages_that_no_run_made_are_kept_and_shown() {
    let written = json!({ "key": "agent:main:main", "sessionId": "s-1", "ids": ["m-1"], "total": 1 });
    let chat = around().answer("session.store.append", written).start();
    let inject = |key: &str| chat.call("chat.inject", json!({ "sessionKey": key, "message": "news", "label": "cron" }));
    assert_eq!(inject("main").payload(), json!({ "ok": true, "messageId": "m-1" }));
    let shown = told(&chat).pop().unwrap();
    assert_eq!((&shown["runId"], &shown["seq"], &shown["state"]), (&json!("inject-m-1"), &json!(0), &json!("final")));
    assert_eq!(shown["message"]["content"][0]["text"], "[cron]\n\nnews");
    let kept = chat.asked().pop().unwrap().params["messages"][0].clone();
    assert_eq!((&kept["role"], &kept["stopReason"]), (&json!("assistant"), &json!("injected")));
    assert_eq!(inject("absent").error().message, "session not found");
    assert!(chat.call_as(Who::operator(&["operator.write"]), "chat.inject", json!({})).result.is_err(), "admins only");

    let plugin = || Who::plugin("send");
    let send = |to: &str| {
        let params =
            json!({ "to": to, "text": "hello", "media": [{ "url": "https://a/b.png" }], "idempotencyKey": "k" });
        chat.call_as(plugin(), "channel.webchat.send", params)
    };
    assert_eq!(send("main").payload(), json!({ "messageId": "m-1", "conversationId": "agent:main:main" }));
    assert_eq!(told(&chat).pop().unwrap()["sessionKey"], "agent:main:main", "as lists show it: no client spelled it");
    assert_eq!(chat.asked().pop().unwrap().params["messages"][0]["id"], "send-k");
    assert_eq!(told(&chat).pop().unwrap()["message"]["content"][0]["text"], "hello\nhttps://a/b.png");
    assert_eq!(send("absent").error().details.unwrap()["code"], "BAD_TARGET");

    let full = around().answer_error("session.store.append", ErrorShape::unavailable("disk full")).start();
    let error = full.call("chat.inject", json!({ "sessionKey": "main", "message": "x" })).error();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("UNAVAILABLE", "failed to write transcript: disk full"));
    assert_eq!(told(&full), Vec::<Value>::new());
}
