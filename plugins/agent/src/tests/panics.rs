//! Runs in which something panics.

use super::*;

/// One in which something does, once it has an answer.
pub const STUMBLES: &str = "stumbles";
const WHY: &str = "the run failed; the gateway's log has the details";

#[test]
fn a_run_that_panics_ends_as_one_that_failed() {
    let key = "agent:main:main";
    let (kept, calls) = keeping(harness(json!({}), json!({})), BACKEND);
    let plugin = kept
        .answer("session.store.open", json!({ "key": key, "agentId": "main", "sessionId": "s", "entry": {} }))
        .answer("session.store.append", json!({ "key": key, "sessionId": "s", "ids": [], "total": 1 }))
        .answer("session.store.transcript", json!({ "key": key, "messages": [], "total": 0 }))
        .start();
    let waiting = plugin.begin("agent.wait", json!({ "runId": STUMBLES }));
    plugin.settle();
    let call = client(&plugin, STUMBLES, "main");
    let next = client(&plugin, "next", "main");
    nth(&plugin, &calls, 0).finish(Ok(answer("one two")));

    let failed = call.wait();
    assert_eq!(failed.error_payload.as_ref().expect("a payload")["summary"], WHY);
    assert_eq!(failed.error().details.expect("details")["code"], "INTERNAL");
    let waited = waiting.wait().payload();
    assert_eq!((&waited["status"], &waited["error"]), (&json!("error"), &json!(WHY)));
    let told = events(&plugin, STUMBLES);
    assert_eq!(phases(&told), ["lifecycle start", "lifecycle model", "one two", "lifecycle error"]);
    let end = &told[3]["data"];
    assert_eq!((&end["status"], &end["error"], &end["errorCode"]), (&json!("error"), &json!(WHY), &json!("INTERNAL")));
    assert_eq!((&end["text"], &end["usage"]["totalTokens"]), (&json!("one two"), &json!(5)));
    let of_run = |asked: &plugin_kit::Asked| {
        asked.method == "session.store.append" && asked.params["messages"][0]["runId"] == STUMBLES
    };
    let last = plugin.asked().into_iter().rfind(of_run).expect("a message");
    assert_eq!(last.params["messages"][0]["errorMessage"], WHY);

    // What waits behind it goes on.
    nth(&plugin, &calls, 1).finish(Ok(answer("three")));
    assert_eq!(next.wait().payload()["result"]["payloads"][0]["text"], "three");
    assert_eq!(plugin.call_as(Who::plugin("chat"), "agent.runs", json!({})).payload(), json!({ "runs": [] }));
    plugin.stop();

    let again = harness(json!({}), json!({})).data_of(plugin.data_dir()).start();
    let waited = again.call("agent.wait", json!({ "runId": STUMBLES })).payload();
    assert_eq!((&waited["status"], &waited["error"]), (&json!("error"), &json!(WHY)));
    assert_eq!(waited["endedAt"], end["endedAt"]);
}
