//! An answer that also goes out over a channel.

use super::*;

#[test]
fn an_answer_goes_out_once_to_whom_it_is_for_and_its_caller_is_told() {
    let session = json!({ "key": "agent:main:main", "agentId": "main", "sessionId": "s", "entry": {
        "lastChannel": "pigeon", "lastTo": "anna", "lastThreadId": "7",
    } });
    let sent = json!({ "runId": "x", "channel": "pigeon", "messageId": "m-1" });
    let begun = |extra: Value, channel: Result<Value, ErrorShape>| {
        let around =
            harness(json!({}), json!({})).answer(BACKEND, answer("done")).answer("session.store.open", &session);
        let around = match channel {
            Ok(sent) => around.answer("send.deliver", sent),
            Err(error) => around.answer_error("send.deliver", error),
        };
        let plugin = around.start();
        let mut params = json!({ "message": "hi", "idempotencyKey": "r", "deliver": true });
        params.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        let payload = plugin.call_as(Who::operator(&["operator.write"]), "agent", params).payload();
        let asked = plugin.asked().into_iter().filter(|asked| asked.method == "send.deliver");
        (payload["result"]["meta"]["delivery"].clone(), asked.map(|asked| asked.params).collect::<Vec<_>>())
    };

    let (told, asked) = begun(json!({}), Ok(sent.clone()));
    assert_eq!(told, json!({ "ok": true, "channel": "pigeon", "messageId": "m-1" }));
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (&asked[0]["channel"], &asked[0]["to"], &asked[0]["threadId"], &asked[0]["text"], &asked[0]["idempotencyKey"]),
        (&json!("pigeon"), &json!("anna"), &json!("7"), &json!("done"), &json!("r/answer"))
    );
    let (_, asked) = begun(json!({ "replyChannel": "webchat", "replyTo": "main" }), Ok(sent.clone()));
    assert_eq!((&asked[0]["channel"], &asked[0]["to"]), (&json!("webchat"), &json!("main")));
    // Who wrote on one channel is not known on another.
    let (told, asked) = begun(json!({ "channel": "webchat" }), Ok(sent.clone()));
    assert_eq!((told["ok"].clone(), asked.len()), (json!(false), 0));
    // The run is what it was.
    let (told, _) = begun(json!({}), Err(ErrorShape::unavailable("the loft is closed")));
    assert_eq!(told, json!({ "ok": false, "error": "the loft is closed" }));
    let (told, asked) = begun(json!({ "deliver": false }), Ok(sent));
    assert_eq!((told, asked.len()), (Value::Null, 0));
}
