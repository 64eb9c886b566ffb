//! Conversations that begin anew: once nothing can refuse the run any more.

use super::*;

fn anew(extra: Value) -> Value {
    let mut params = json!({ "message": "/new", "idempotencyKey": "new", "sessionKey": "main" });
    params.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    params
}

fn session(entry: Value) -> Value {
    json!({ "key": "agent:main:main", "agentId": "main", "sessionId": "s-1", "entry": entry })
}

fn begun(session_id: &str) -> Value {
    json!({ "ok": true, "key": "agent:main:main", "entry": { "sessionId": session_id } })
}

fn count(plugin: &Running, fits: impl Fn(&plugin_kit::Asked) -> bool) -> usize {
    plugin.asked().iter().filter(|asked| fits(asked)).count()
}

fn resets(plugin: &Running) -> usize {
    count(plugin, |asked| asked.method == "sessions.reset")
}

#[test]
fn a_refused_run_leaves_its_session_as_it_was() {
    let denied = session(json!({ "sendPolicy": "deny" }));
    let plugin = harness(json!({}), json!({}))
        .answer("session.store.open", denied)
        .answer("sessions.reset", begun("s-2"))
        .start();
    for extra in [json!({}), json!({ "label": "tea" })] {
        assert_eq!(plugin.call("agent", anew(extra)).error().message, "send blocked by session policy");
    }
    assert_eq!((resets(&plugin), count(&plugin, |asked| asked.params.get("set").is_some())), (0, 0));

    let plugin = harness(json!({}), json!({}))
        .answer_with("session.store.open", |call| {
            call.finish(match call.params().get("set") {
                Some(_) => Err(ErrorShape::invalid_request("label already in use: tea")),
                None => Ok(session(json!({}))),
            });
        })
        .answer("sessions.reset", begun("s-2"))
        .start();
    let taken = plugin.call("agent", anew(json!({ "label": "tea" }))).error();
    assert_eq!((taken.message.as_str(), resets(&plugin)), ("label already in use: tea", 0));

    let (harness, calls) = keeping(harness(json!({ "max_queued_per_session": 1 }), json!({})), BACKEND);
    let plugin = harness.answer("sessions.reset", begun("s-2")).start();
    let before = [client(&plugin, "a", "main"), client(&plugin, "b", "main")];
    let full = plugin.call("agent", anew(json!({}))).error();
    assert_eq!(full.details.expect("details")["limit"], "max_queued_per_session");
    assert_eq!(resets(&plugin), 0);
    for (place, call) in before.into_iter().enumerate() {
        nth(&plugin, &calls, place).finish(Ok(answer("x")));
        call.wait().payload();
    }
}

#[test]
fn a_session_that_begins_anew_stops_all_runs_but_the_one_it_is_for() {
    let (harness, calls) = keeping(harness(json!({}), json!({})), BACKEND);
    let (harness, asked) = keeping(harness, "sessions.reset");
    let plugin = harness.start();
    let other = client(&plugin, "other", "main");
    nth(&plugin, &calls, 0);
    let call = plugin.begin("agent", anew(json!({})));
    let reset = nth(&plugin, &asked, 0);
    assert_eq!(reset.params(), &json!({ "key": "agent:main:main" }));
    // As the store of sessions does before it answers.
    let stop = json!({ "sessionKey": "agent:main:main", "stopReason": "rpc", "waitMs": 15_000 });
    let stopped = plugin.call_as(Who::plugin("sessions"), "agent.abort", stop).payload();
    assert_eq!(stopped, json!({ "runIds": ["other"], "stillRunning": [] }));
    assert_eq!(other.wait().payload()["result"]["meta"]["aborted"], true);
    reset.finish(Ok(begun("s-2")));
    assert_eq!(call.next_interim()["status"], "accepted");
    nth(&plugin, &calls, 1).finish(Ok(answer("Hello.")));
    assert_eq!(call.wait().payload()["result"]["meta"]["agentMeta"]["sessionId"], "s-2");
}

#[test]
fn what_could_not_begin_anew_may_be_asked_again() {
    let (harness, calls) = keeping(harness(json!({}), json!({})), BACKEND);
    let (harness, asked) = keeping(harness, "sessions.reset");
    let plugin = harness.start();
    let first = plugin.begin("agent", anew(json!({})));
    nth(&plugin, &asked, 0).finish(Err(ErrorShape::unavailable("still active")));
    assert_eq!(first.wait().error().message, "still active");
    assert_eq!(plugin.call_as(Who::plugin("chat"), "agent.runs", json!({})).payload(), json!({ "runs": [] }));
    let again = plugin.begin("agent", anew(json!({})));
    nth(&plugin, &asked, 1).finish(Ok(begun("s-2")));
    assert_eq!(again.next_interim()["status"], "accepted");
    nth(&plugin, &calls, 0).finish(Ok(answer("Hello.")));
    assert_eq!(again.wait().payload()["result"]["payloads"][0]["text"], "Hello.");
}
