//! Runs of agents from outside: both answers, events, what survives a disconnect and a crash. The backend is `echo`, with
//! pauses long enough that a run goes on while the test does something else; no test waits for a pause to end unless said.

use std::time::Duration;

use clawhost_tests::reloading::reload;
use clawhost_tests::support::{Client, Gateway};
use schemas::frame::ResponseFrame;
use serde_json::{Value, json};

/// A word each ten seconds: a run of two words goes on for as long as any test.
const SLOW: &str = "[plugins.echo.config]\nword_ms = 10_000\n";
const AT_ONCE: &str = "[plugins.echo.config]\nword_ms = 0\n";

fn run(key: &str, message: &str) -> Value {
    json!({ "message": message, "idempotencyKey": key, "sessionKey": "main" })
}

async fn begin(client: &mut Client, key: &str, message: &str) -> String {
    let id = client.request("agent", run(key, message)).await;
    let accepted = client.reply(&id).await.payload.expect("a payload");
    assert_eq!((&accepted["runId"], &accepted["status"]), (&json!(key), &json!("accepted")));
    assert_eq!((&accepted["sessionKey"], &accepted["agentId"]), (&json!("agent:main:main"), &json!("main")));
    assert!(accepted["acceptedAt"].is_u64());
    id
}

async fn begun(client: &mut Client, key: &str) {
    let is_first_word = |event: &Value| event["runId"] == key && event["stream"] == "assistant";
    client.event_with("agent", is_first_word).await;
}

#[tokio::test]
async fn a_run_has_two_answers_and_events_between_them() {
    let gateway = Gateway::with_config(AT_ONCE).await;
    let mut client = gateway.operator(&["operator.read", "operator.write"]).await;
    let id = begin(&mut client, "r", "one two three").await;
    let outcome = client.answer(&id).await.expect("an answer");
    assert_eq!((&outcome["status"], &outcome["summary"]), (&json!("ok"), &json!("completed")));
    assert_eq!(outcome["result"]["payloads"], json!([{ "text": "one two three" }]));
    assert_eq!(outcome["result"]["meta"]["agentMeta"]["provider"], "echo");
    let events: Vec<Value> = client.heard("agent").iter().filter_map(|event| event.payload.clone()).collect();
    let seqs: Vec<_> = events.iter().map(|event| event["seq"].as_u64().expect("a number")).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>());
    let phase = |event: &Value| event["data"]["phase"].as_str().map(str::to_string);
    assert_eq!(phase(&events[0]).as_deref(), Some("start"));
    assert_eq!(phase(&events[1]).as_deref(), Some("model"));
    assert_eq!(phase(events.last().expect("an event")).as_deref(), Some("end"));
    let said = events.iter().rev().find(|event| event["stream"] == "assistant").expect("a text");
    assert_eq!((&said["data"]["text"], &said["sessionKey"]), (&json!("one two three"), &json!("main")));
    assert_eq!(client.ok("agent.wait", json!({ "runId": "r" })).await["status"], "ok");
    client.close().await;
}

#[tokio::test]
async fn a_run_outlives_whoever_began_it() {
    let gateway = Gateway::with_config("[plugins.echo.config]\nword_ms = 300\n").await;
    let mut first = gateway.admin().await;
    begin(&mut first, "r", "one two three").await;
    begun(&mut first, "r").await;
    drop(first);

    let mut second = gateway.admin().await;
    let waited = second.ok("agent.wait", json!({ "runId": "r" })).await;
    assert_eq!(waited["status"], "ok");
    assert!(waited["startedAt"].as_u64() <= waited["endedAt"].as_u64());
    let again = second.request("agent", run("r", "one two three")).await;
    let outcome = second.answer(&again).await.expect("the stored answer");
    assert_eq!(outcome["result"]["payloads"][0]["text"], "one two three");
    second.close().await;
}

#[tokio::test]
async fn a_crash_during_a_run_is_no_answer_and_no_second_run() {
    let gateway = Gateway::with_config(SLOW).await;
    let mut client = gateway.admin().await;
    begin(&mut client, "r", "one two three").await;
    begun(&mut client, "r").await;
    begin(&mut client, "queued", "never").await;
    let next = Gateway::builder().config(SLOW).state_of(&gateway);
    gateway.kill().await;
    drop(client);

    let gateway = next.start().await;
    let mut client = gateway.admin().await;
    for run_id in ["r", "queued"] {
        let waited = client.ok("agent.wait", json!({ "runId": run_id })).await;
        assert_eq!(waited["status"], "error");
        assert!(waited["error"].as_str().expect("a sentence").contains("The gateway stopped"), "{waited}");
    }
    let again = client.refused("agent", run("r", "one two three")).await;
    assert_eq!((&*again.code, &again.details.expect("details")["code"]), ("UNAVAILABLE", &json!("OUTCOME_UNKNOWN")));

    // Nothing that was said is missing, also of the run whose turn never came.
    let expected = ["r/user", "r/interrupted", "queued/user", "queued/interrupted"];
    let in_time = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let history = client.ok("chat.history", json!({ "sessionKey": "main" })).await;
            let messages = history["messages"].as_array().expect("messages").clone();
            if messages.last().is_some_and(|last| last["id"] == expected[3]) {
                return messages;
            }
        }
    });
    let messages = in_time.await.expect("both runs in the transcript");
    let has = |id: &&str| messages.iter().filter(|message| message["id"] == *id).count() == 1;
    assert!(expected.iter().all(has), "{messages:?}");
    let of_queued = messages.iter().find(|message| message["id"] == "queued/user").expect("found above");
    assert_eq!(of_queued["content"][0]["text"], "never");
    client.close().await;
}

#[tokio::test]
async fn a_run_goes_on_when_the_agent_is_reloaded_and_can_still_be_stopped() {
    let gateway = Gateway::with_config(SLOW).await;
    let mut client = gateway.admin().await;
    let say = |key: &str| json!({ "sessionKey": "main", "message": "one two three", "idempotencyKey": key });
    client.ok("chat.send", say("r")).await;
    begun(&mut client, "r").await;
    client.ok("chat.send", say("next")).await;
    reload(&mut client, "agent").await;
    client.ok("chat.send", say("last")).await;
    assert_eq!(client.ok("agent.wait", json!({ "runId": "r", "timeoutMs": 0 })).await["status"], "timeout");

    // In the order in which they came, whichever instance has them.
    for key in ["r", "next", "last"] {
        if key != "r" {
            begun(&mut client, key).await;
        }
        let stopped = client.ok("chat.abort", json!({ "sessionKey": "main", "runId": key })).await;
        assert_eq!((&stopped["aborted"], &stopped["runIds"]), (&json!(true), &json!([key])));
        client.event_with("chat", |event| event["runId"] == key && event["state"] == "aborted").await;
        assert_eq!(client.ok("agent.wait", json!({ "runId": key })).await["error"], "the run was stopped");
        let history = client.ok("chat.history", json!({ "sessionKey": "main" })).await;
        let of_run = |message: &&Value| message["runId"] == key;
        let said: Vec<_> = history["messages"].as_array().expect("messages").iter().filter(of_run).collect();
        assert_eq!((said.len(), &said[0]["role"], &said[1]["content"][0]["text"]), (2, &json!("user"), &json!("one")));
    }
    client.close().await;
}

#[tokio::test]
async fn a_run_whose_time_is_over_failed() {
    let gateway = Gateway::with_config(SLOW).await;
    let mut client = gateway.admin().await;
    let mut params = run("r", "one two");
    params["timeout"] = json!(1);
    let id = client.request("agent", params).await;
    assert_eq!(client.reply(&id).await.payload.expect("a payload")["status"], "accepted");
    let last: ResponseFrame = client.reply(&id).await;
    assert!(!last.ok);
    assert_eq!(last.payload.expect("a payload")["status"], "error");
    let error = last.error.expect("an error");
    assert_eq!((&*error.code, &error.details.expect("details")["code"]), ("UNAVAILABLE", &json!("AGENT_TIMEOUT")));
    client.close().await;
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_named() {
    let config = format!("{AT_ONCE}[plugins.agents.config.defaults]\nmodel = {{ primary = \"none/x\" }}\n");
    let gateway = Gateway::with_config(&config).await;
    let mut client = gateway.admin().await;
    let id = begin(&mut client, "r", "hi").await;
    let error = client.answer(&id).await.expect_err("there is no such backend");
    assert!(error.message.contains("no agent backend \"none\""), "{}", error.message);
    let listed = client.ok("agents.list", json!({})).await;
    assert_eq!(listed["agents"], json!([{ "id": "main", "model": { "primary": "none/x" } }]));
    client.close().await;
}
