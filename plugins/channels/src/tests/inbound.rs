//! What becomes of a message that comes in.

use std::sync::{Arc, Mutex};

use plugin_kit::{Asked, Harness, Running, StubCall, Who};
use schemas::ErrorShape;
use serde_json::{Value, json};

use crate::Channels;

const METHODS: [(&str, &str); 4] = [
    ("post", "channel.post.send"),
    ("post", "channel.post.status"),
    ("post", "channel.post.typing"),
    ("fax", "channel.fax.send"),
];

fn registry(methods: &[(&str, &str)]) -> Value {
    let row = |(plugin, name): &(&str, &str)| json!({ "kind": "method", "plugin": plugin, "spec": { "name": name, "params": {} } });
    let methods: Vec<_> = methods.iter().map(row).collect();
    json!({ "plugins": [], "methods": methods, "events": [] })
}

pub fn harness(config: Value) -> Harness {
    Harness::new::<Channels>()
        .config(config)
        .answer("host.registry.list", registry(&METHODS))
        .answer("channel.post.typing", json!({}))
        .answer("channel.post.status", json!({ "label": "Post", "accounts": [{ "accountId": "default" }] }))
        .answer("send.deliver", json!({ "runId": "r", "channel": "post", "messageId": "1" }))
        .answer("session.store.open", json!({ "key": "k", "agentId": "main", "sessionId": "s" }))
        .answer("sessions.reset", json!({ "ok": true }))
}

/// With an agent that repeats what it is told.
fn with_echo(config: Value) -> Harness {
    harness(config).answer_with("agent.run", |call| {
        call.interim(json!({ "runId": call.params()["runId"], "status": "accepted", "acceptedAt": 1 }));
        call.finish(Ok(outcome(
            call.params(),
            "ok",
            &format!("you said {}", call.params()["message"].as_str().unwrap()),
        )));
    })
}

fn outcome(run: &Value, status: &str, text: &str) -> Value {
    json!({ "runId": run["runId"], "status": status, "sessionKey": run["sessionKey"], "agentId": "main", "text": text,
            "startedAt": 1, "endedAt": 2 })
}

fn open_to_all() -> Value {
    json!({ "rules": [{ "admit": "anyone" }] })
}

pub fn message(id: &str, change: Value) -> Value {
    let mut message = json!({ "channel": "post", "messageId": id, "text": "hello", "mentioned": true,
        "from": { "id": "7", "name": "Ann" }, "chat": { "id": "7", "kind": "direct" } });
    message.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    message
}

pub fn takes(plugin: &Running, message: Value) -> String {
    let taken = plugin.call_as(Who::plugin("post"), "channels.inbound", message).payload();
    taken["verdict"].as_str().expect("a verdict").to_string()
}

pub fn asked(plugin: &Running, method: &str) -> Vec<Value> {
    plugin.asked().into_iter().filter(|asked: &Asked| asked.method == method).map(|asked| asked.params).collect()
}

pub fn wait_for(plugin: &Running, method: &str, count: usize) -> Vec<Value> {
    plugin.wait_until(&format!("{count} calls of {method}"), |plugin| asked(plugin, method).len() >= count);
    asked(plugin, method)
}

#[test]
fn an_agent_answers_on_the_channel_that_it_was_asked_on() {
    let plugin = with_echo(open_to_all()).start();
    assert_eq!(takes(&plugin, message("1", json!({ "accountId": "work" }))), "run");
    let sent = wait_for(&plugin, "send.deliver", 1).remove(0);
    let run = asked(&plugin, "agent.run").remove(0);
    assert_eq!(
        (&run["sessionKey"], &run["origin"], &run["message"]),
        (&json!("post:direct:7"), &json!("inbound"), &json!("hello"))
    );
    assert_eq!(sent["idempotencyKey"], format!("{}/answer", run["runId"].as_str().unwrap()));
    assert_eq!(
        (&sent["channel"], &sent["to"], &sent["accountId"], &sent["text"], &sent["replyTo"]),
        (&json!("post"), &json!("7"), &json!("work"), &json!("you said hello"), &Value::Null)
    );
    let set = &asked(&plugin, "session.store.open")[0]["set"];
    assert_eq!(
        (&set["lastChannel"], &set["lastTo"], &set["displayName"]),
        (&json!("post"), &json!("7"), &json!("Ann"))
    );
    assert_eq!(asked(&plugin, "channel.post.typing")[0]["to"], "7");
}

#[test]
fn a_message_is_taken_once() {
    let plugin = with_echo(open_to_all()).start();
    assert_eq!(takes(&plugin, message("1", json!({}))), "run");
    wait_for(&plugin, "send.deliver", 1);
    assert_eq!(takes(&plugin, message("1", json!({}))), "duplicate");
    assert_eq!(takes(&plugin, message("1", json!({ "accountId": "other" }))), "run");
    assert_eq!(takes(&plugin, message("1", json!({ "chat": { "id": "8", "kind": "direct" } }))), "run");
    assert_eq!(wait_for(&plugin, "agent.run", 3).len(), 3);
}

#[test]
fn groups_hear_an_agent_that_has_something_to_say() {
    let plugin = harness(json!({ "rules": [{ "chats": ["-1"] }] }))
        .answer_with("agent.run", |call| {
            let says = if call.params()["message"] == "[Ann] hush" { "NO_REPLY" } else { "yes" };
            call.finish(Ok(outcome(call.params(), "ok", says)));
        })
        .start();
    let group = |id: &str, text: &str, mentioned: bool| {
        message(
            id,
            json!({ "text": text, "mentioned": mentioned,
            "chat": { "id": "-1", "kind": "group", "title": "Club", "threadId": "5" } }),
        )
    };
    assert_eq!(takes(&plugin, group("1", "hello all", false)), "ignored");
    assert_eq!(takes(&plugin, group("2", "hush", true)), "run");
    assert_eq!(takes(&plugin, group("3", "are you there?", true)), "run");
    let sent = wait_for(&plugin, "send.deliver", 1);
    assert_eq!(
        (&sent[0]["to"], &sent[0]["threadId"], &sent[0]["replyTo"], &sent[0]["text"]),
        (&json!("-1"), &json!("5"), &json!("3"), &json!("yes"))
    );
    let runs = asked(&plugin, "agent.run");
    assert_eq!(runs[1]["sessionKey"], "post:group:-1:thread:5");
    assert!(runs[0]["extraSystemPrompt"].as_str().unwrap().contains("NO_REPLY"));
    assert!(!runs[0]["extraSystemPrompt"].as_str().unwrap().contains("Club"), "people choose that name");
}

#[test]
fn people_of_a_group_say_wait_to_one_another() {
    let plugin = with_echo(json!({ "rules": [{ "chats": ["-1"], "when": "always" }] }))
        .answer("agent.abort", json!({ "runIds": [] }))
        .start();
    let says = |id: &str, text: &str, mentioned: bool| {
        message(id, json!({ "text": text, "mentioned": mentioned, "chat": { "id": "-1", "kind": "group" } }))
    };
    for (id, text, mentioned, verdict) in
        [("1", "wait", false, "run"), ("2", "wait", true, "stop"), ("3", "/stop", false, "stop")]
    {
        assert_eq!(takes(&plugin, says(id, text, mentioned)), verdict, "{text}");
    }
}

/// Runs that end when the test says so.
fn held(config: Value) -> (Running, Arc<Mutex<Vec<StubCall>>>) {
    let held: Arc<Mutex<Vec<StubCall>>> = Arc::default();
    let runs = held.clone();
    let plugin = harness(config)
        .answer_with("agent.run", move |call| {
            call.interim(json!({ "runId": call.params()["runId"], "status": "accepted", "acceptedAt": 1 }));
            runs.lock().unwrap().push(call);
        })
        .answer("agent.abort", json!({ "runIds": [] }))
        .start();
    (plugin, held)
}

fn finish(plugin: &Running, held: &Arc<Mutex<Vec<StubCall>>>, status: &str, text: &str) {
    plugin.wait_until("a run", |_| !held.lock().unwrap().is_empty());
    let call = held.lock().unwrap().remove(0);
    call.finish(Ok(outcome(call.params(), status, text)));
}

#[test]
fn a_session_is_answered_in_order_and_others_beside_it() {
    let (plugin, held) = held(json!({ "rules": [{ "admit": "anyone" }], "max_concurrent": 2 }));
    let at = |chat: &str| json!({ "text": chat, "chat": { "id": chat, "kind": "direct" } });
    for (id, chat) in [("1", "a"), ("2", "a"), ("3", "b"), ("4", "c")] {
        assert_eq!(takes(&plugin, message(id, at(chat))), "run");
    }
    wait_for(&plugin, "agent.run", 2);
    plugin.settle();
    let running =
        |plugin: &Running| asked(plugin, "agent.run").iter().map(|run| run["message"].clone()).collect::<Vec<_>>();
    assert_eq!(running(&plugin), ["a", "b"]);
    finish(&plugin, &held, "ok", "first");
    wait_for(&plugin, "agent.run", 3);
    assert_eq!(running(&plugin)[2], "a", "a session goes on before another begins");
    finish(&plugin, &held, "ok", "other");
    wait_for(&plugin, "agent.run", 4);
    assert_eq!(running(&plugin)[3], "c");
}

#[test]
fn too_much_of_one_session_is_not_taken_and_its_sender_is_told_once() {
    let (plugin, held) = held(json!({ "rules": [{ "admit": "anyone" }], "max_waiting": 2, "max_open": 3 }));
    assert_eq!(takes(&plugin, message("1", json!({}))), "run");
    assert_eq!(takes(&plugin, message("2", json!({}))), "run");
    assert_eq!(takes(&plugin, message("3", json!({}))), "refused");
    assert_eq!(takes(&plugin, message("4", json!({}))), "refused");
    let told = wait_for(&plugin, "send.deliver", 1);
    assert!(told[0]["text"].as_str().unwrap().starts_with("That is more than I can take at once"), "{told:?}");

    let at = |chat: &str| json!({ "chat": { "id": chat, "kind": "direct" } });
    assert_eq!(takes(&plugin, message("5", at("b"))), "run");
    let error = plugin.call_as(Who::plugin("post"), "channels.inbound", message("6", at("c"))).error();
    assert_eq!((&*error.code, error.retryable), ("UNAVAILABLE", Some(true)));
    assert!(error.message.contains("(max_open)"), "{}", error.message);
    finish(&plugin, &held, "ok", "done");
    wait_for(&plugin, "send.deliver", 2);
    // What was said has gone out before its place is free.
    let again =
        |plugin: &Running| plugin.call_as(Who::plugin("post"), "channels.inbound", message("6", at("c"))).result;
    plugin.wait_until("a place", |plugin| again(plugin).is_ok_and(|taken| taken["verdict"] == "run"));
}

#[test]
fn a_word_stops_what_runs_and_what_waits() {
    let (plugin, held) = held(open_to_all());
    takes(&plugin, message("1", json!({})));
    takes(&plugin, message("2", json!({})));
    wait_for(&plugin, "agent.run", 1);
    assert_eq!(takes(&plugin, message("3", json!({ "text": " Stop " }))), "stop");
    let told = wait_for(&plugin, "send.deliver", 1);
    assert_eq!(told[0]["text"], "Stopped.");
    assert_eq!(asked(&plugin, "agent.abort")[0]["sessionKey"], "post:direct:7");
    finish(&plugin, &held, "aborted", "half an ans");
    assert_eq!(takes(&plugin, message("4", json!({ "text": "stop" }))), "stop");
    assert_eq!(wait_for(&plugin, "send.deliver", 2)[1]["text"], "There is nothing to stop.");
    plugin.settle();
    assert_eq!(asked(&plugin, "agent.run").len(), 1, "the second message was stopped as well");
}

#[test]
fn failures_are_told_in_words_for_people() {
    for (status, expected) in [
        ("error", "I could not answer that. Please try again later."),
        ("timeout", "That took too long, so I stopped. Please try again, perhaps with a smaller question."),
        ("interrupted", "I was interrupted before I had finished. Please write that again."),
    ] {
        let (plugin, held) = held(open_to_all());
        takes(&plugin, message("1", json!({})));
        wait_for(&plugin, "agent.run", 1);
        finish(&plugin, &held, status, "secret detail");
        assert_eq!(wait_for(&plugin, "send.deliver", 1)[0]["text"], expected, "{status}");
    }
    let plugin = harness(open_to_all())
        .answer_error("agent.run", ErrorShape::invalid_request("unknown agent id \"ops\""))
        .start();
    takes(&plugin, message("1", json!({})));
    assert_eq!(wait_for(&plugin, "send.deliver", 1)[0]["text"], "I could not answer that. Please try again later.");
    assert!(plugin.logs().iter().any(|line| line.message.contains("unknown agent id")), "the log says why");
}

#[test]
fn what_was_open_is_gone_on_with_at_the_next_start() {
    let (before, _held) = held(open_to_all());
    assert_eq!(takes(&before, message("1", json!({}))), "run");
    let run_id = wait_for(&before, "agent.run", 1).remove(0)["runId"].clone();
    // As a crash would leave it.
    let plugin = with_echo(open_to_all()).data_of(before.data_dir()).start();
    let sent = wait_for(&plugin, "send.deliver", 1);
    assert_eq!(sent[0]["text"], "you said hello");
    assert_eq!(asked(&plugin, "agent.run")[0]["runId"], run_id, "the run is joined");
    assert_eq!(takes(&plugin, message("1", json!({}))), "duplicate");
    plugin.settle();
    let after = with_echo(open_to_all()).data_of(plugin.data_dir()).start();
    after.settle();
    assert_eq!(asked(&after, "agent.run").len(), 0, "it was answered");
}

#[test]
fn what_reaches_an_instance_that_was_replaced_is_handed_over_again() {
    let before = with_echo(open_to_all()).start();
    before.quiesce();
    // As when it was on its way while the next instance began.
    for _ in 0..2 {
        let error = before.call_as(Who::plugin("post"), "channels.inbound", message("1", json!({}))).error();
        assert_eq!((&*error.code, error.retryable), ("UNAVAILABLE", Some(true)));
    }
    let plugin = with_echo(open_to_all()).data_of(before.data_dir()).start();
    assert_eq!(takes(&plugin, message("1", json!({}))), "duplicate");
    assert_eq!(wait_for(&plugin, "send.deliver", 1)[0]["text"], "you said hello");
    plugin.settle();
    assert_eq!((asked(&before, "agent.run").len(), asked(&plugin, "agent.run").len()), (0, 1));
}

#[test]
fn a_run_that_never_began_is_replaced() {
    let runs: Arc<Mutex<Vec<Value>>> = Arc::default();
    let seen = runs.clone();
    let plugin = harness(open_to_all())
        .answer_with("agent.run", move |call| {
            let mut seen = seen.lock().unwrap();
            seen.push(call.params()["runId"].clone());
            let mut ended = outcome(call.params(), if seen.len() == 1 { "interrupted" } else { "ok" }, "here I am");
            if seen.len() == 1 {
                ended.as_object_mut().unwrap().remove("startedAt");
            }
            call.finish(Ok(ended));
        })
        .start();
    takes(&plugin, message("1", json!({})));
    assert_eq!(wait_for(&plugin, "send.deliver", 1)[0]["text"], "here I am");
    let runs = runs.lock().unwrap();
    assert!(runs.len() == 2 && runs[0] != runs[1], "{runs:?}");
}

#[test]
fn an_answer_is_sent_again_only_while_it_surely_did_not_go_out() {
    for (code, retryable, tries) in [
        (Some("NOT_SENT"), true, 3),
        (Some("NOT_SENT"), false, 1),
        (Some("OUTCOME_UNKNOWN"), true, 1),
        (Some("BAD_TARGET"), false, 1),
        // As when the plugin that sends is being replaced.
        (None, false, 3),
    ] {
        let count: Arc<Mutex<usize>> = Arc::default();
        let seen = count.clone();
        let plugin = with_echo(open_to_all())
            .answer_with("send.deliver", move |call| {
                let mut seen = seen.lock().unwrap();
                *seen += 1;
                let mut error = ErrorShape::unavailable("away");
                error.details = code.map(|code| json!({ "code": code }));
                error.retryable = Some(retryable);
                call.finish(if *seen < 3 {
                    Err(error)
                } else {
                    Ok(json!({ "runId": "r", "channel": "post", "messageId": "1" }))
                });
            })
            .start();
        takes(&plugin, message("1", json!({})));
        for _ in 0..tries {
            plugin.settle();
            plugin.advance(std::time::Duration::from_secs(60));
        }
        plugin.settle();
        let keys: Vec<_> = asked(&plugin, "send.deliver").iter().map(|sent| sent["idempotencyKey"].clone()).collect();
        assert_eq!(keys.len(), tries, "{code:?} {retryable}");
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }
}

#[test]
fn a_channel_speaks_for_itself_only() {
    let plugin = with_echo(open_to_all()).start();
    let refused = |who: Who, message: Value| plugin.call_as(who, "channels.inbound", message).error().message;
    assert_eq!(refused(Who::plugin("fax"), message("1", json!({}))), "the plugin fax is not the channel \"post\"");
    let unknown = message("1", json!({ "channel": "pigeon" }));
    assert_eq!(refused(Who::plugin("post"), unknown), "the plugin post is not the channel \"pigeon\"");
    assert_eq!(refused(Who::plugin("post"), message("", json!({}))), "messageId is missing");
    assert_eq!(refused(Who::plugin("post"), message("1", json!({ "from": { "id": " " } }))), "from.id is missing");
}

#[test]
fn a_channel_is_heard_before_anybody_says_that_it_has_come() {
    let reads = Mutex::new(0);
    let plugin = with_echo(open_to_all())
        .answer_with("host.registry.list", move |call| {
            let mut reads = reads.lock().unwrap();
            *reads += 1;
            let without = if *reads == 1 { 3 } else { 0 };
            call.finish(Ok(registry(&METHODS[without..])));
        })
        .start();
    assert_eq!(takes(&plugin, message("1", json!({}))), "run");
}

#[test]
fn a_conversation_begins_anew_for_whom_it_belongs_to() {
    let plugin = with_echo(json!({ "rules": [{ "kind": "direct", "admit": "anyone" }, { "chats": ["-1"] }] })).start();
    takes(&plugin, message("1", json!({ "text": "/new" })));
    assert_eq!(wait_for(&plugin, "send.deliver", 1)[0]["text"], "A new conversation begins.");
    takes(&plugin, message("2", json!({ "text": "/RESET tell me more" })));
    assert_eq!(wait_for(&plugin, "send.deliver", 2)[1]["text"], "you said tell me more");
    assert_eq!(asked(&plugin, "sessions.reset"), vec![json!({ "key": "post:direct:7" }); 2]);
    takes(&plugin, message("3", json!({ "text": "/new", "chat": { "id": "-1", "kind": "group" } })));
    assert_eq!(wait_for(&plugin, "send.deliver", 3)[2]["text"], "you said [Ann] /new");
    assert_eq!(asked(&plugin, "sessions.reset").len(), 2, "one of a group does not reset it for all");
}

#[test]
fn a_conversation_begins_anew_once_also_across_a_crash() {
    let (before, _held) = held(open_to_all());
    takes(&before, message("1", json!({ "text": "/new tell me more" })));
    wait_for(&before, "agent.run", 1);
    assert_eq!(asked(&before, "sessions.reset").len(), 1);
    // As a crash would leave it, perhaps with an answer in the new conversation already.
    let plugin = with_echo(open_to_all()).data_of(before.data_dir()).start();
    assert_eq!(wait_for(&plugin, "send.deliver", 1)[0]["text"], "you said tell me more");
    assert_eq!(asked(&plugin, "sessions.reset").len(), 0);
}

#[test]
fn what_is_too_large_is_cut_and_mentioned() {
    let plugin =
        with_echo(json!({ "rules": [{ "admit": "anyone" }], "max_text_bytes": 100, "max_media_bytes": 6 })).start();
    let media = json!([
        { "data": "AAAA", "mimeType": "image/png", "fileName": "a.png" },
        { "data": "AAAAAAAA", "mimeType": "image/png", "fileName": "b.png" },
    ]);
    takes(&plugin, message("1", json!({ "text": "x".repeat(200), "media": media })));
    let run = wait_for(&plugin, "agent.run", 1).remove(0);
    assert_eq!(run["message"], format!("{}…\n[attached: b.png (image/png), which is too large]", "x".repeat(100)));
    assert_eq!(
        run["attachments"],
        json!([{ "type": "image", "mimeType": "image/png", "fileName": "a.png", "content": "AAAA" }])
    );
}
