//! Runs as clients and plugins ask for them, with a backend that answers when a test wants it to.

mod anew;
mod delivery;
mod keys;
mod panics;
mod tools;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use plugin_api::{CreateError, Host, Manifest, Plugin, Reply, Setup};
use plugin_kit::{Harness, PendingCall, Running, StubCall, Who, sample};
use schemas::ErrorShape;
use serde_json::{Value, json};

use super::Agent;
use crate::book;
pub use panics::STUMBLES;

const BACKEND: &str = "agent.backend.stub.run";
const SECOND: Duration = Duration::from_secs(1);

type Calls = Arc<Mutex<Vec<StubCall>>>;

fn record(extra: Value) -> Value {
    let mut record = json!({ "agentId": "main", "models": ["stub/large"] });
    record.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    record
}

fn harness(config: Value, extra: Value) -> Harness {
    let row = |name: &str| {
        json!({ "kind": "method", "plugin": "p", "spec": {
            "name": name, "summary": "Does it.", "role": "operator", "scopes": ["operator.write"], "tool": true,
            "params": { "type": "object", "properties": { "idempotencyKey": { "type": "string" } } },
        } })
    };
    Harness::new::<Agent>()
        .config(config)
        .answer("host.gateway.info", sample::gateway_info())
        .answer(
            "host.registry.list",
            json!({ "plugins": [], "methods": [row("node.invoke"), row("node.rename")], "events": [] }),
        )
        .answer("agents.get", record(extra))
}

/// A backend that answers when the test wants it to.
fn keeping(harness: Harness, method: &str) -> (Harness, Calls) {
    let calls = Calls::default();
    let kept = calls.clone();
    let harness = harness.answer_with(method, move |call| kept.lock().unwrap().push(call));
    (harness, calls)
}

fn answer(text: &str) -> Value {
    json!({
        "message": { "role": "assistant", "content": [{ "type": "text", "text": text }], "stopReason": "stop" },
        "usage": { "input": 2, "output": 3, "totalTokens": 5 },
    })
}

fn tool_call(name: &str, arguments: Value) -> Value {
    let part = json!({ "type": "toolCall", "id": "t1", "name": name, "arguments": arguments });
    json!({ "message": { "role": "assistant", "content": [part], "stopReason": "toolUse" } })
}

fn client(plugin: &Running, key: &str, session: &str) -> PendingCall {
    let params = json!({ "message": "hi", "idempotencyKey": key, "sessionKey": session });
    let call = plugin.begin_as(Who::operator(&["operator.write"]), "agent", params);
    assert_eq!(call.next_interim()["status"], "accepted");
    call
}

fn own(plugin: &Running, run_id: &str, extra: Value) -> PendingCall {
    let mut params = json!({ "runId": run_id, "message": "hi", "origin": "cron" });
    params.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    plugin.begin_as(Who::plugin("cron"), "agent.run", params)
}

fn nth(plugin: &Running, calls: &Calls, count: usize) -> StubCall {
    plugin.wait_until("the call", |_| calls.lock().unwrap().len() > count);
    calls.lock().unwrap()[count].clone()
}

/// The events of a run, whose numbers have no hole.
fn events(plugin: &Running, run_id: &str) -> Vec<Value> {
    let of_run = |event: plugin_kit::Emitted| (event.payload["runId"] == run_id).then_some(event.payload);
    let events: Vec<Value> = plugin.events().into_iter().filter_map(of_run).collect();
    let seqs: Vec<_> = events.iter().map(|event| event["seq"].as_u64().expect("a number")).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>());
    events
}

fn phases(events: &[Value]) -> Vec<String> {
    let name = |event: &Value| match event["data"]["phase"].as_str() {
        Some(phase) => format!("{} {phase}", event["stream"].as_str().unwrap_or_default()),
        None => event["data"]["text"].as_str().unwrap_or_default().to_string(),
    };
    events.iter().map(name).collect()
}

#[test]
fn a_run_is_accepted_told_and_answered() {
    let (harness, calls) = keeping(harness(json!({}), json!({ "system": "Be brief." })), BACKEND);
    let plugin = harness.start();
    let params = json!({ "message": "hi", "idempotencyKey": "r", "extraSystemPrompt": "Now." });
    let call = plugin.begin_as(Who::operator(&["operator.write"]), "agent", params);
    let accepted = call.next_interim();
    assert_eq!((&accepted["runId"], &accepted["status"]), (&json!("r"), &json!("accepted")));
    assert_eq!((&accepted["sessionKey"], &accepted["agentId"]), (&json!("agent:main:main"), &json!("main")));
    let backend = nth(&plugin, &calls, 0);
    assert_eq!(
        (&backend.params()["model"], &backend.params()["system"]),
        (&json!("large"), &json!("Be brief.\n\nNow."))
    );
    assert_eq!(backend.params()["messages"][0]["content"][0]["text"], "hi");
    for delta in ["one ", "two ", "three "] {
        backend.interim(json!({ "type": "text", "delta": delta }));
    }
    plugin.settle();
    plugin.advance(Duration::from_millis(50));
    backend.interim(json!({ "type": "text", "delta": "four" }));
    plugin.settle();
    backend.finish(Ok(answer("one two three four")));
    let outcome = call.wait().payload();
    assert_eq!((&outcome["status"], &outcome["summary"]), (&json!("ok"), &json!("completed")));
    assert_eq!(outcome["result"]["payloads"], json!([{ "text": "one two three four" }]));
    let meta = &outcome["result"]["meta"]["agentMeta"];
    assert_eq!(
        (&meta["provider"], &meta["model"], &meta["usage"]["totalTokens"]),
        (&json!("stub"), &json!("large"), &json!(5))
    );

    let events = events(&plugin, "r");
    assert_eq!(
        phases(&events),
        ["lifecycle start", "lifecycle model", "one ", "one two three ", "one two three four", "lifecycle end"],
        "what comes between two events is in the second one"
    );
    assert_eq!(events[3]["data"]["delta"], "two three ");
    let end = &events[5]["data"];
    assert_eq!(
        (&end["status"], &end["executionSettled"], &end["text"]),
        (&json!("ok"), &json!(true), &json!("one two three four"))
    );

    let waited = plugin.call("agent.wait", json!({ "runId": "r" })).payload();
    assert_eq!((&waited["status"], &waited["endedAt"]), (&json!("ok"), &end["endedAt"]));
    // The same key again is the same run, also when the host has forgotten it.
    assert_eq!(client(&plugin, "r", "main").wait().payload()["result"]["payloads"], outcome["result"]["payloads"]);
    assert_eq!(own(&plugin, "r", json!({})).wait().error().code, "INVALID_REQUEST", "a client's run is no plugin's");
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[test]
fn runs_of_a_session_go_in_order_and_others_side_by_side() {
    let config = json!({ "max_queued_per_session": 2, "max_runs": 2 });
    let (harness, calls) = keeping(harness(config, json!({})), BACKEND);
    let plugin = harness.start();
    let first = client(&plugin, "a1", "a");
    let second = client(&plugin, "a2", "agent:main:a");
    let third = client(&plugin, "a3", "a");
    let full = plugin.call("agent", json!({ "message": "hi", "idempotencyKey": "a4", "sessionKey": "a" })).error();
    assert_eq!((full.code.as_str(), full.retryable), ("UNAVAILABLE", Some(true)));
    assert_eq!(full.details.expect("details")["limit"], "max_queued_per_session");
    let other = client(&plugin, "b1", "b");
    let beyond = client(&plugin, "c1", "c");
    nth(&plugin, &calls, 1);
    plugin.settle();
    let asked = |place: usize| calls.lock().unwrap()[place].params()["runId"].clone();
    let count = calls.lock().unwrap().len();
    assert_eq!((count, asked(0), asked(1)), (2, json!("a1"), json!("b1")));
    let runs = plugin.call_as(Who::plugin("chat"), "agent.runs", json!({ "sessionKey": "a" })).payload();
    let begun: Vec<_> = runs["runs"].as_array().unwrap().iter().map(|run| (&run["runId"], &run["hasBegun"])).collect();
    let (yes, no) = (json!(true), json!(false));
    assert_eq!(begun, [(&json!("a1"), &yes), (&json!("a2"), &no), (&json!("a3"), &no)]);

    // One that waits is stopped at once, and is not begun.
    let stopped =
        plugin.call_as(Who::plugin("chat"), "agent.abort", json!({ "runId": "a2", "waitMs": 1000 })).payload();
    assert_eq!(stopped, json!({ "runIds": ["a2"], "stillRunning": [] }));
    assert_eq!(second.wait().payload()["result"]["meta"]["aborted"], true);
    assert_eq!(phases(&events(&plugin, "a2")), ["lifecycle end"]);
    nth(&plugin, &calls, 0).finish(Ok(answer("x")));
    first.wait().payload();
    let next = nth(&plugin, &calls, 2);
    assert_eq!(next.params()["runId"], "a3", "it came before the one of another session");
    nth(&plugin, &calls, 1).finish(Ok(answer("x")));
    other.wait().payload();
    nth(&plugin, &calls, 3).finish(Ok(answer("x")));
    beyond.wait().payload();
    next.finish(Ok(answer("x")));
    third.wait().payload();
    assert_eq!(plugin.call_as(Who::plugin("chat"), "agent.runs", json!({})).payload(), json!({ "runs": [] }));
}

#[test]
fn a_crowd_of_runs_is_told_less_often() {
    const CROWD: usize = 300;
    let (harness, calls) = keeping(harness(json!({}), json!({})), BACKEND);
    let plugin = harness.start();
    let runs: Vec<PendingCall> = (0..CROWD).map(|n| client(&plugin, &format!("r{n}"), &format!("s{n}"))).collect();
    nth(&plugin, &calls, CROWD - 1);
    let texts = |plugin: &Running| {
        let events = plugin.events().into_iter().filter(|event| event.payload["stream"] == "assistant");
        events.filter(|event| event.name == "agent").count()
    };
    let say = |delta: &str| {
        calls.lock().unwrap().iter().for_each(|call| call.interim(json!({ "type": "text", "delta": delta })));
        plugin.settle();
    };
    say("one ");
    assert_eq!(texts(&plugin), CROWD, "the first words at once");
    say("two ");
    plugin.advance(Duration::from_millis(59));
    assert_eq!(texts(&plugin), CROWD, "0.2 ms for each of them");
    plugin.advance(Duration::from_millis(1));
    assert_eq!(texts(&plugin), 2 * CROWD);
    calls.lock().unwrap().iter().for_each(|call| call.finish(Ok(answer("one two"))));
    for run in runs {
        assert_eq!(run.wait().payload()["result"]["payloads"][0]["text"], "one two");
    }
}

#[test]
fn a_run_is_stopped_with_what_it_said() {
    let (harness, calls) = keeping(harness(json!({}), json!({})), BACKEND);
    let harness = harness
        .answer(
            "session.store.open",
            json!({ "key": "agent:main:main", "agentId": "main", "sessionId": "s", "entry": {} }),
        )
        .answer("session.store.append", json!({ "key": "agent:main:main", "sessionId": "s", "ids": [], "total": 1 }))
        .answer("session.store.transcript", json!({ "key": "agent:main:main", "messages": [], "total": 0 }));
    let plugin = harness.start();
    let call = client(&plugin, "r", "main");
    let backend = nth(&plugin, &calls, 0);
    let appended = |plugin: &Running| {
        let of_store = |asked: plugin_kit::Asked| {
            (asked.method == "session.store.append").then(|| asked.params["messages"][0].clone())
        };
        plugin.asked().into_iter().filter_map(of_store).collect::<Vec<_>>()
    };
    assert_eq!(appended(&plugin)[0]["id"], "r/user", "the message is written before a model is asked");
    backend.interim(json!({ "type": "text", "delta": "half an " }));
    plugin.settle();
    plugin.call_as(Who::plugin("chat"), "agent.abort", json!({ "sessionKey": "main", "stopReason": "stop" })).payload();
    let outcome = call.wait().payload();
    assert_eq!(outcome["result"]["payloads"][0]["text"], "half an");
    backend.wait_ended();
    let last = appended(&plugin).pop().expect("a message");
    assert_eq!((&last["id"], &last["stopReason"]), (&json!("r/1"), &json!("aborted")));
    assert_eq!(last["content"][0]["text"], "half an");
    let end = events(&plugin, "r").pop().expect("an end");
    assert_eq!((&end["data"]["aborted"], &end["data"]["stopReason"]), (&json!(true), &json!("stop")));
    assert_eq!((&end["sessionKey"], &end["sessionId"]), (&json!("main"), &json!("s")));
    let waited = plugin.call("agent.wait", json!({ "runId": "r", "timeoutMs": 0 })).payload();
    assert_eq!((&waited["status"], &waited["error"]), (&json!("error"), &json!("the run was stopped")));
}

#[test]
fn a_run_whose_time_is_over_is_never_ok() {
    let (harness, calls) = keeping(harness(json!({}), json!({ "timeoutMs": 5_000 })), BACKEND);
    let plugin = harness.start();
    let call = client(&plugin, "r", "main");
    let backend = nth(&plugin, &calls, 0);
    let outcome = own(&plugin, "mine", json!({ "sessionKey": "other", "timeoutMs": 3_000 }));
    nth(&plugin, &calls, 1);
    plugin.advance(3 * SECOND);
    let outcome = outcome.wait().payload();
    assert_eq!((&outcome["status"], &outcome["errorCode"]), (&json!("timeout"), &json!("AGENT_TIMEOUT")));
    assert!(!call.is_done());
    plugin.advance(2 * SECOND);
    let failed = call.wait();
    assert_eq!(failed.error_payload.as_ref().expect("a payload")["status"], "error");
    assert_eq!(failed.error().details.expect("details")["code"], "AGENT_TIMEOUT");
    backend.wait_ended();
    assert_eq!(phases(&events(&plugin, "r")).last().expect("an end"), "lifecycle error");
}

#[test]
fn models_are_tried_again_and_one_after_the_other() {
    let models = json!({ "models": ["none/x", "stub/large", "spare/small"] });
    let (harness, calls) = keeping(harness(json!({ "retries": 1 }), models), BACKEND);
    let (harness, spare) = keeping(harness, "agent.backend.spare.run");
    let plugin = harness.start();
    let call = client(&plugin, "r", "main");
    let busy = |after| {
        let mut error = ErrorShape::unavailable("busy");
        (error.retryable, error.retry_after_ms) = (Some(true), after);
        Err(error)
    };
    let first = nth(&plugin, &calls, 0);
    first.interim(json!({ "type": "text", "delta": "taken back" }));
    plugin.settle();
    first.finish(busy(Some(7_000)));
    plugin.settle();
    plugin.advance(6 * SECOND);
    assert_eq!(calls.lock().unwrap().len(), 1);
    plugin.advance(SECOND);
    nth(&plugin, &calls, 1).finish(busy(None));
    let last = nth(&plugin, &spare, 0);
    last.interim(json!({ "type": "text", "delta": "anew" }));
    last.finish(Ok(answer("anew")));
    assert_eq!(call.wait().payload()["result"]["payloads"][0]["text"], "anew");
    let events = events(&plugin, "r");
    let texts: Vec<_> = events.iter().filter(|event| event["stream"] == "assistant").collect();
    let last = &texts.last().expect("a text")["data"];
    assert_eq!((&last["text"], &last["delta"]), (&json!("anew"), &json!("anew")));

    // What would fail again ends the run.
    let call = client(&plugin, "s", "main");
    nth(&plugin, &calls, 2)
        .finish(Err(ErrorShape::invalid_request("too long").with_details(json!({ "code": "CONTEXT_LENGTH" }))));
    let error = call.wait().error();
    assert_eq!(
        (error.message.as_str(), &error.details.expect("details")["code"]),
        ("too long", &json!("CONTEXT_LENGTH"))
    );
}

#[test]
fn an_answer_is_bounded_however_it_is_told() {
    let (harness, calls) = keeping(harness(json!({ "max_answer_bytes": 1_024 }), json!({})), BACKEND);
    let plugin = harness.start();
    let long = "x".repeat(1_025);
    for (place, in_pieces) in [true, false].into_iter().enumerate() {
        let call = client(&plugin, &format!("r{place}"), "main");
        let backend = nth(&plugin, &calls, place);
        match in_pieces {
            true => backend.interim(json!({ "type": "text", "delta": long })),
            false => backend.finish(Ok(answer(&long))),
        }
        assert_eq!(call.wait().error().details.expect("details")["code"], "ANSWER_TOO_LONG");
    }
}

#[test]
fn a_model_may_be_called_as_its_provider_is() {
    let entry = json!({ "providerOverride": "stub", "modelOverride": "stub/small" });
    let key = "agent:main:main";
    let (harness, calls) = keeping(harness(json!({}), json!({})), BACKEND);
    let plugin = harness
        .answer("session.store.open", json!({ "key": key, "agentId": "main", "sessionId": "s", "entry": entry }))
        .answer("session.store.append", json!({ "key": key, "sessionId": "s", "ids": [], "total": 1 }))
        .answer("session.store.transcript", json!({ "key": key, "messages": [], "total": 0 }))
        .start();
    let call = client(&plugin, "r", "main");
    let backend = nth(&plugin, &calls, 0);
    assert_eq!(backend.params()["model"], "stub/small");
    backend.finish(Ok(answer("yes")));
    call.wait().payload();
}

#[test]
fn a_backend_that_is_not_there_is_named() {
    let plugin = harness(json!({}), json!({})).start();
    let failed = client(&plugin, "r", "main").wait();
    let sentence = "There is no agent backend \"stub\", which the model \"stub/large\" needs.";
    assert_eq!(failed.error_payload.as_ref().expect("a payload")["summary"], sentence);
    assert_eq!(failed.error().message, sentence);
    let waited = plugin.call("agent.wait", json!({ "runId": "r" })).payload();
    assert_eq!((&waited["status"], &waited["error"]), (&json!("error"), &json!(sentence)));
}

#[test]
fn what_is_wrong_is_said_before_anything_begins() {
    let harness = harness(json!({}), json!({})).answer_with("agents.get", |call| {
        let known = call.params()["agentId"].as_str().is_none_or(|id| id == "main" || id == "ops");
        let id = call.params()["agentId"].as_str().unwrap_or("main").to_string();
        call.finish(match known {
            true => Ok(json!({ "agentId": id, "models": ["stub/large"] })),
            false => Err(ErrorShape::invalid_request("unknown")),
        });
    });
    let plugin = harness.start();
    let writer = || Who::operator(&["operator.write"]);
    for (extra, why) in [
        (json!({ "agentId": "nobody" }), "invalid agent params: unknown agent id \"nobody\""),
        (
            json!({ "agentId": "ops", "sessionKey": "agent:main:main" }),
            "invalid agent params: agent \"ops\" does not match session key agent \"main\"",
        ),
        (json!({ "channel": "pigeon" }), "invalid agent params: unknown channel: pigeon"),
        (json!({ "attachments": [{ "content": "abc" }] }), "Error: attachment attachment-1: invalid base64 content"),
    ] {
        let mut params = json!({ "message": "hi", "idempotencyKey": "r" });
        params.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        let error = plugin.call_as(writer(), "agent", params).error();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("INVALID_REQUEST", why));
    }
    for message in ["/new", " /Reset please"] {
        let error = plugin.call_as(writer(), "agent", json!({ "message": message, "idempotencyKey": "r" })).error();
        assert!(error.message.contains("operator.admin"), "{message}: {}", error.message);
    }
    plugin
        .call_as(Who::operator(&["operator.read"]), "agent", json!({ "message": "hi", "idempotencyKey": "r" }))
        .error();
    plugin.call_as(writer(), "agent.run", json!({ "runId": "r", "message": "hi", "origin": "x" })).error();
    assert_eq!(plugin.events().len(), 0);
}

#[test]
fn who_waits_for_a_run_that_is_not_known_yet_hears_of_it() {
    let (harness, calls) = keeping(harness(json!({}), json!({})), BACKEND);
    let plugin = harness.start();
    let waiting = plugin.begin("agent.wait", json!({ "runId": "r" }));
    let in_vain = plugin.begin("agent.wait", json!({ "runId": "never", "timeoutMs": 2_000 }));
    plugin.settle();
    let call = own(&plugin, "r", json!({ "hidden": true }));
    assert_eq!(call.next_interim()["status"], "accepted");
    let joined = own(&plugin, "r", json!({}));
    nth(&plugin, &calls, 0).finish(Ok(answer("yes")));
    assert_eq!(call.wait().payload()["text"], "yes");
    assert_eq!(joined.wait().payload()["text"], "yes");
    assert_eq!(waiting.wait().payload()["status"], "ok");
    plugin.advance(2 * SECOND);
    assert_eq!(in_vain.wait().payload(), json!({ "runId": "never", "status": "timeout" }));
    assert_eq!(calls.lock().unwrap().len(), 1);
    let events = events(&plugin, "r");
    assert!(events.iter().all(|event| event["isHeartbeat"] == true));
    assert_eq!((&events[0]["data"]["hidden"], &events[0]["data"]["origin"]), (&json!(true), &json!("cron")));
}

#[test]
fn a_run_outlives_its_call() {
    let (harness, calls) = keeping(harness(json!({}), json!({})), BACKEND);
    let plugin = harness.start();
    let call = own(&plugin, "r", json!({}));
    let backend = nth(&plugin, &calls, 0);
    call.cancel(plugin_kit::CancelReason::Asked);
    plugin.settle();
    assert!(!backend.is_ended());
    backend.finish(Ok(answer("after all")));
    assert_eq!(plugin.call("agent.wait", json!({ "runId": "r" })).payload()["status"], "ok");
}

/// Leaves behind what a gateway that was killed leaves, before the plugin starts.
struct Crash;

impl Plugin for Crash {
    fn manifest() -> Manifest {
        Manifest::new("crash", "1.0.0").vendor("dev.clawhost").license("MIT OR Apache-2.0").summary("A crash.")
    }

    fn create(_: Host, setup: Setup) -> Result<Self, CreateError> {
        let folder = setup.data_dir()?.parent().expect("a folder").join("agent");
        std::fs::create_dir_all(&folder)?;
        book::tests::leave_behind(&folder, "r", "agent:main:main");
        Ok(Crash)
    }

    async fn call(self: Arc<Self>, call: plugin_api::Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

#[test]
fn what_a_crash_cut_short_is_interrupted_and_its_transcript_says_so_once() {
    let failures = Arc::new(Mutex::new(1));
    let harness =
        harness(json!({}), json!({})).beside::<Crash>(json!({})).answer_with("session.store.append", move |call| {
            let mut left = failures.lock().unwrap();
            let fails = *left > 0;
            *left -= i32::from(fails);
            call.finish(match fails {
                true => Err(ErrorShape::unavailable("starting")),
                false => Ok(json!({ "key": "agent:main:main", "sessionId": "s-1", "ids": [], "total": 1 })),
            });
        });
    let plugin = harness.start();
    let waited = plugin.call("agent.wait", json!({ "runId": "r" })).payload();
    assert_eq!((&waited["status"], &waited["error"]), (&json!("error"), &json!(book::INTERRUPTED)));
    let appended = |plugin: &Running| {
        plugin.asked().into_iter().filter(|asked| asked.method == "session.store.append").collect::<Vec<_>>()
    };
    plugin.wait_until("the first try", |plugin| appended(plugin).len() == 1);
    plugin.settle();
    plugin.advance(SECOND);
    plugin.wait_until("the second try", |plugin| appended(plugin).len() == 2);
    plugin.settle();
    plugin.advance(60 * SECOND);
    let appended = appended(&plugin);
    assert_eq!(appended.len(), 2, "once it is written it is not written again");
    let messages = &appended[1].params["messages"];
    assert_eq!((&messages[0]["id"], &messages[0]["content"][0]["text"]), (&json!("r/user"), &json!("hello")));
    assert_eq!((&messages[1]["id"], &messages[1]["stopReason"]), (&json!("r/interrupted"), &json!("error")));
    assert_eq!(appended[1].params["sessionId"], "s-1");
}

#[test]
fn a_transcript_that_is_gone_is_not_told_what_a_crash_cut_short() {
    let gone = ErrorShape::invalid_request("No session found").with_details(json!({ "code": "NO_SESSION" }));
    let harness = harness(json!({}), json!({})).beside::<Crash>(json!({}));
    let plugin = harness.answer_error("session.store.append", gone).start();
    let tries =
        |plugin: &Running| plugin.asked().into_iter().filter(|asked| asked.method == "session.store.append").count();
    plugin.wait_until("the try", |plugin| tries(plugin) == 1);
    plugin.settle();
    plugin.advance(60 * SECOND);
    assert_eq!(tries(&plugin), 1);
}
