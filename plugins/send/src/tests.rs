use std::sync::{Arc, Mutex};

use plugin_kit::{Harness, StubCall, Who};
use schemas::ErrorShape;
use serde_json::{Value, json};

use super::Send;

const METHODS: [&str; 4] = ["channel.post.send", "channel.post.resolve", "channel.post.poll", "channel.post.status"];

fn harness() -> Harness {
    let row = |name: &&str| json!({"kind": "method", "plugin": "post", "spec": {"name": name, "params": {}}});
    let methods: Vec<_> = METHODS.iter().map(row).collect();
    Harness::new::<Send>()
        .answer_with("host.registry.list", move |call| {
            call.finish(Ok(json!({"plugins": [], "methods": methods, "events": []})))
        })
        .answer_with("channel.post.resolve", |call| match call.params()["to"].as_str() {
            Some("nobody") => call.finish(Err(
                ErrorShape::invalid_request("nobody is called so").with_details(json!({"code": "BAD_TARGET"}))
            )),
            to => call.finish(Ok(json!({"to": format!("#{}", to.unwrap_or_default()), "chatType": "group"}))),
        })
        .answer_with("session.store.append", |call| {
            let key = call.params()["key"].clone();
            call.finish(Ok(json!({"key": key, "sessionId": "s", "ids": ["1"], "total": 1})));
        })
        .answer("agents.get", json!({"agentId": "ops", "models": ["m"]}))
}

fn delivers(harness: Harness) -> Harness {
    harness.answer("channel.post.send", json!({"messageId": "7", "chatId": "c"}))
}

fn failing(harness: Harness, code: Option<&str>) -> Harness {
    let error = ErrorShape::unavailable("the service is away");
    let error = match code {
        Some(code) => error.with_details(json!({ "code": code })),
        None => error,
    };
    harness.answer_error("channel.post.send", error)
}

fn message(key: &str) -> Value {
    json!({"to": "Room", "message": "hello", "idempotencyKey": key})
}

fn asked(running: &plugin_kit::Running, method: &str) -> Vec<Value> {
    running.asked().into_iter().filter(|asked| asked.method == method).map(|asked| asked.params).collect()
}

#[test]
fn a_message_goes_out_and_is_noted_in_its_session() {
    let send = delivers(harness()).start();
    let result = send.call("send", message("k")).payload();
    assert_eq!(result, json!({"runId": "k", "messageId": "7", "channel": "post", "chatId": "c"}));
    let sent = &asked(&send, "channel.post.send")[0];
    assert_eq!((&sent["to"], &sent["text"], &sent["idempotencyKey"]), (&json!("#Room"), &json!("hello"), &json!("k")));
    let noted = &asked(&send, "session.store.append")[0];
    assert_eq!(noted["key"], "agent:ops:post:group:#room");
    assert_eq!(noted["messages"][0]["content"], json!([{"type": "text", "text": "hello"}]));
    assert_eq!((&noted["set"]["lastChannel"], &noted["set"]["lastTo"]), (&json!("post"), &json!("#Room")));

    let mut named = message("l");
    named["sessionKey"] = json!("agent:main:MixedKey");
    send.call("send", named).payload();
    let mut mirrored = json!({"channel": "post", "to": "Room", "text": "hi", "idempotencyKey": "m"});
    mirrored["mirrorTo"] = json!("agent:main:MixedKey");
    send.call_as(Who::plugin("cron"), "send.deliver", mirrored).payload();
    let noted = asked(&send, "session.store.append");
    let keys: Vec<&Value> = noted[1..].iter().map(|noted| &noted["key"]).collect();
    assert_eq!(keys, ["agent:main:MixedKey"; 2], "how keys are spelled is for the sessions to say");
}

#[test]
fn what_cannot_be_sent_is_refused_before_a_channel_hears_of_it() {
    let send = delivers(harness()).start();
    let refused = |change: Value| {
        let mut params = message("k");
        params.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        send.call("send", params).error().message
    };
    assert_eq!(refused(json!({"channel": "Fax"})), "unsupported channel: Fax");
    assert_eq!(refused(json!({"to": "nobody"})), "nobody is called so");
    assert_eq!(refused(json!({"mediaUrl": "file:///etc/passwd"})), "files must be named by https addresses");
    assert!(refused(json!({"message": null})).starts_with("message must not be empty"));
    assert_eq!(asked(&send, "channel.post.send"), Vec::<Value>::new());
    assert_eq!(send.kv_entries(), []);

    let media = json!({"to": "a", "mediaUrls": ["https://example.org/a.png"], "silent": true, "threadId": "3",
        "idempotencyKey": "m"});
    send.call("send", media).payload();
    let sent = &asked(&send, "channel.post.send")[0];
    assert_eq!((&sent["silent"], &sent["threadId"]), (&json!(true), &json!("3")));
    assert_eq!(sent["media"], json!([{"url": "https://example.org/a.png"}]));
}

#[test]
fn another_plugins_message_goes_out_once() {
    let send = delivers(harness()).start();
    let params = json!({"channel": "POST", "to": "Room", "text": "hi", "idempotencyKey": "run-1"});
    let first = send.call_as(Who::plugin("cron"), "send.deliver", params.clone()).payload();
    let again = send.call_as(Who::plugin("cron"), "send.deliver", params).payload();
    assert_eq!(first, again);
    assert_eq!(asked(&send, "channel.post.send").len(), 1);
    assert_eq!(asked(&send, "session.store.append").len(), 0, "it named no session");
}

#[test]
fn who_is_not_named_is_where_the_session_last_spoke() {
    let delivered = |entry: Option<Value>, more: Value| {
        let harness = delivers(harness().config(json!({ "aliases": { "mail": "post" } })));
        let send = match entry {
            Some(entry) => harness.answer(
                "session.store.open",
                json!({
                    "key": "agent:main:main", "agentId": "main", "sessionId": "s", "entry": entry,
                }),
            ),
            None => harness.answer_error("session.store.open", ErrorShape::invalid_request("no session found: main")),
        };
        let send = send.start();
        let mut params = json!({ "text": "hi", "idempotencyKey": "k", "sessionKey": "main" });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = send.call_as(Who::plugin("cron"), "send.deliver", params).result;
        (answer, asked(&send, "channel.post.send").pop().unwrap_or_default())
    };
    let spoke = json!({ "lastChannel": "post", "lastTo": "anna", "lastAccountId": "a", "lastThreadId": "7" });
    for channel in [json!({}), json!({ "channel": "last" }), json!({ "channel": "POST" }), json!({ "channel": "mail" })]
    {
        let (answer, sent) = delivered(Some(spoke.clone()), channel);
        assert_eq!(answer.unwrap()["to"], "anna");
        assert_eq!([&sent["to"], &sent["accountId"], &sent["threadId"]], ["#anna", "a", "7"]);
    }
    let (answer, sent) = delivered(Some(spoke.clone()), json!({ "channel": "last", "to": "ben", "threadId": "8" }));
    assert_eq!((answer.unwrap().get("to"), &sent["to"], &sent["threadId"]), (None, &json!("#ben"), &json!("8")));
    assert_eq!(sent.get("accountId"), None, "it is anna's");
    let elsewhere = json!({ "lastChannel": "telegram", "lastTo": "anna" });
    for (entry, more, why) in [
        (Some(elsewhere), json!({ "channel": "post" }), "the session last spoke on telegram, not on post"),
        (Some(json!({})), json!({}), "nobody wrote in this session yet"),
        (None, json!({ "channel": "last" }), "nobody wrote in this session yet"),
        (Some(spoke), json!({ "sessionKey": null }), "nobody is named"),
    ] {
        let (answer, sent) = delivered(entry, more);
        let error = answer.unwrap_err();
        assert!(error.message.contains(why), "{error:?}");
        assert_eq!((&error.details.unwrap()["code"], sent), (&json!("NO_TARGET"), Value::Null));
    }
}

#[test]
fn a_message_that_surely_did_not_go_out_may_be_sent_again() {
    for (code, tries) in [(Some("NOT_SENT"), 2), (Some("OUTCOME_UNKNOWN"), 1), (None, 1)] {
        let send = failing(harness(), code).start();
        let params = json!({"to": "Room", "text": "hi", "idempotencyKey": "k"});
        for _ in 0..2 {
            let error = send.call_as(Who::plugin("cron"), "send.deliver", params.clone()).error();
            let expected = if tries == 2 { "NOT_SENT" } else { "OUTCOME_UNKNOWN" };
            assert_eq!((&*error.code, &error.details.unwrap()["code"]), ("UNAVAILABLE", &json!(expected)));
            assert!(!error.message.contains("stopped"), "nothing stopped: {}", error.message);
        }
        assert_eq!(asked(&send, "channel.post.send").len(), tries, "{code:?}");
    }
}

#[test]
fn after_a_restart_amid_the_delivery_nobody_knows() {
    let held: Arc<Mutex<Vec<StubCall>>> = Arc::default();
    let keep = held.clone();
    let send = harness().answer_with("channel.post.send", move |call| keep.lock().unwrap().push(call)).start();
    let params = json!({"to": "Room", "text": "hi", "idempotencyKey": "k"});
    let _open = send.begin_as(Who::plugin("cron"), "send.deliver", params.clone());
    send.wait_until("the message at the channel", |_| !held.lock().unwrap().is_empty());
    let left = send.kv_entries();
    assert_eq!(left.len(), 1, "it is written down before the channel has answered");
    let busy = send.call_as(Who::plugin("cron"), "send.deliver", params.clone()).error();
    assert_eq!((&*busy.message, busy.retryable), ("the message is on its way", Some(true)));
    send.stop();

    let after = left.into_iter().fold(delivers(harness()), |harness, (key, value)| harness.kv(&key, value)).start();
    let error = after.call_as(Who::plugin("cron"), "send.deliver", params).error();
    assert_eq!((&*error.code, &error.details.unwrap()["code"]), ("UNAVAILABLE", &json!("OUTCOME_UNKNOWN")));
    assert_eq!(asked(&after, "channel.post.send"), Vec::<Value>::new());
}

#[test]
fn nothing_is_handed_over_that_cannot_be_written_down() {
    let send = delivers(harness()).start();
    send.fail_writes("the disk is full");
    let error = send.call("send", message("k")).error();
    assert_eq!(error.code, "UNAVAILABLE");
    assert_eq!(asked(&send, "channel.post.send"), Vec::<Value>::new());
}

#[test]
fn only_so_many_messages_are_remembered() {
    let send = delivers(harness().config(json!({"max_remembered": 16}))).start();
    for n in 0..40 {
        send.call("send", message(&format!("k{n}"))).payload();
    }
    assert!(send.kv_entries().len() <= 16, "{}", send.kv_entries().len());
    assert!(send.kv_entries().iter().any(|(key, _)| key.ends_with("/k39")), "the newest is kept");
}

#[test]
fn a_poll_goes_to_a_channel_that_has_polls() {
    let send = harness().answer("channel.post.poll", json!({"messageId": "9", "pollId": "p"})).start();
    let params = json!({"to": "Room", "question": "When?", "options": ["now", "later"], "idempotencyKey": "k"});
    let result = send.call_as(Who::operator(&["operator.write"]), "poll", params.clone()).payload();
    assert_eq!(result, json!({"runId": "k", "messageId": "9", "channel": "post", "pollId": "p"}));
    let mut other = params;
    other["channel"] = json!("fax");
    assert_eq!(send.call("poll", other).error().message, "unsupported poll channel: fax");
}
