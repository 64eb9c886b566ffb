//! An answer that also goes out over a channel.

use super::*;

/// An agent that was asked with these parameters and answered "done", beside a `send.deliver` that answers so: what its
/// caller was told of the delivery, and what was asked of `send`.
fn delivered(extra: Value, answered: Result<Value, ErrorShape>) -> (Value, Vec<Value>) {
    let around = harness(json!({}), json!({})).answer(BACKEND, answer("done"));
    let around = match answered {
        Ok(sent) => around.answer("send.deliver", sent),
        Err(error) => around.answer_error("send.deliver", error),
    };
    let plugin = around.start();
    let mut params = json!({ "message": "hi", "idempotencyKey": "r", "deliver": true });
    params.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    let first = plugin.call_as(Who::operator(&["operator.write"]), "agent", params.clone()).payload();
    let again = plugin.call_as(Who::operator(&["operator.write"]), "agent", params).payload();
    let told = |payload: &Value| payload["result"]["meta"]["delivery"].clone();
    assert_eq!(told(&first), told(&again), "who asks again is told the same");
    (told(&first), asked(&plugin))
}

fn asked(plugin: &Running) -> Vec<Value> {
    let asked = plugin.asked().into_iter().filter(|asked| asked.method == "send.deliver");
    asked.map(|asked| asked.params).collect()
}

fn sent() -> Value {
    json!({ "runId": "x", "channel": "pigeon", "messageId": "m-1" })
}

#[test]
fn an_answer_goes_out_once_to_whom_it_is_for_and_its_caller_is_told() {
    let (told, asked) = delivered(json!({}), Ok(sent()));
    assert_eq!(told, json!({ "ok": true, "channel": "pigeon", "messageId": "m-1" }));
    assert_eq!(
        asked,
        [json!({ "sessionKey": "agent:main:main", "text": "done", "silent": false, "idempotencyKey": "r/answer" })],
        "whom nobody names is where the session last spoke"
    );
    let (_, asked) = delivered(json!({ "replyChannel": "webchat", "replyTo": "main", "threadId": "7" }), Ok(sent()));
    assert_eq!(
        (&asked[0]["channel"], &asked[0]["to"], &asked[0]["threadId"]),
        (&json!("webchat"), &json!("main"), &json!("7"))
    );
    let (told, asked) = delivered(json!({ "deliver": false }), Ok(sent()));
    assert_eq!((told, asked.len()), (Value::Null, 0));
}

#[test]
fn an_answer_that_did_not_go_out_leaves_the_run_as_it_was() {
    let nobody = ErrorShape::invalid_request("nobody is named").with_details(json!({ "code": "NO_TARGET" }));
    let (told, asked) = delivered(json!({}), Err(nobody));
    assert_eq!(told, json!({ "ok": false, "error": "nobody is named", "code": "NO_TARGET" }));
    assert_eq!(asked.len(), 1);
    let unknown = ErrorShape::unavailable("the loft is closed").with_details(json!({ "code": "OUTCOME_UNKNOWN" }));
    let (told, asked) = delivered(json!({}), Err(unknown));
    assert_eq!(told, json!({ "ok": false, "error": "the loft is closed", "code": "OUTCOME_UNKNOWN" }));
    assert_eq!(asked.len(), 1, "nobody knows whether it went out, so it is not sent again");
}

/// `send.deliver` refuses the first so many messages with this, and takes the next one.
fn refusing(times: usize, error: ErrorShape) -> Harness {
    let left = Mutex::new(times);
    harness(json!({}), json!({})).answer(BACKEND, answer("done")).answer_with("send.deliver", move |call| {
        let mut left = left.lock().unwrap();
        if *left == 0 {
            return call.finish(Ok(sent()));
        }
        *left -= 1;
        call.finish(Err(error.clone()));
    })
}

#[test]
fn what_surely_did_not_go_out_is_handed_over_again() {
    let away = ErrorShape::unavailable("the loft is closed").with_details(json!({ "code": "NOT_SENT" }));
    let plugin = refusing(2, away).start();
    let params = json!({ "message": "hi", "idempotencyKey": "r", "deliver": true });
    let call = plugin.begin_as(Who::operator(&["operator.write"]), "agent", params);
    for (tries, wait) in [(1, 1), (2, 2)] {
        plugin.wait_until("a try", |plugin| asked(plugin).len() == tries);
        plugin.settle();
        plugin.advance(Duration::from_secs(wait));
    }
    assert_eq!(call.wait().payload()["result"]["meta"]["delivery"]["ok"], true);
    assert_eq!(asked(&plugin).len(), 3);
}

#[test]
fn what_was_not_delivered_when_the_gateway_stopped_goes_out_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    crate::book::tests::leave_undelivered(folder.path(), "r", "done");
    // Its channel comes later than the agent.
    let plugin = refusing(1, ErrorShape::invalid_request("unsupported channel: pigeon")).data_of(folder.path()).start();
    plugin.wait_until("a try", |plugin| asked(plugin).len() == 1);
    plugin.settle();
    plugin.advance(Duration::from_secs(1));
    plugin.wait_until("another one", |plugin| asked(plugin).len() == 2);
    plugin.settle();
    let sent = &asked(&plugin)[1];
    assert_eq!(
        (&sent["channel"], &sent["text"], &sent["idempotencyKey"]),
        (&json!("pigeon"), &json!("done"), &json!("r/answer"))
    );
    let again = harness(json!({}), json!({})).data_of(plugin.data_dir()).start();
    again.settle();
    assert!(asked(&again).is_empty(), "it is in the book");
}

#[test]
fn a_run_that_said_nothing_has_nothing_to_deliver() {
    let folder = tempfile::tempdir().unwrap();
    crate::book::tests::leave_undelivered(folder.path(), "r", "");
    let plugin = refusing(0, ErrorShape::unavailable("")).data_of(folder.path()).start();
    plugin.settle();
    plugin.advance(60 * SECOND);
    assert!(asked(&plugin).is_empty());
}
