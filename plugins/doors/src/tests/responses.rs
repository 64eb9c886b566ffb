//! `/v1/responses`.

use super::*;

#[test]
fn a_response_streams_its_events_in_order_and_is_gone_on_with() {
    let (plugin, runs) = open(json!({}));
    let request = json!({
        "model": "openclaw", "instructions": "Be kind.", "stream": true,
        "input": [
            { "type": "message", "role": "developer", "content": "Be brief." },
            { "role": "user", "content": [
                { "type": "input_text", "text": "read" },
                { "type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGk=" },
            ] },
        ],
    });
    let asked = plugin.http(post("/v1/responses", &request));
    let run = runs.recv().expect("a run");
    assert_eq!(run.params()["extraSystemPrompt"], "Be kind.\n\nBe brief.");
    assert_eq!(run.params()["message"], "read\nFile \"a.txt\":\nhi");
    accept(&run);
    says(&plugin, &run, "He");
    end(&run, json!({ "text": "Hello", "usage": { "input": 1, "output": 2 } }));
    let events = events(&asked.wait().text());
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
            "",
        ]
    );
    for (number, (name, data)) in events[..10].iter().enumerate() {
        assert_eq!((&data["sequence_number"], &data["type"]), (&json!(number), &json!(name)));
    }
    let response = &events[9].1["response"];
    assert_eq!(
        (&response["status"], &response["output"][0]["content"][0]["text"]),
        (&json!("completed"), &json!("Hello"))
    );
    assert_eq!((&response["usage"]["total_tokens"], &events[10].1), (&json!(3), &json!("[DONE]")));

    let session = run.params()["sessionKey"].clone();
    assert!(session.as_str().is_some_and(|key| key.starts_with("agent:main:openresponses:")));
    let next = json!({ "input": "go on", "previous_response_id": response["id"] });
    let asked = plugin.http(post("/v1/responses", &next));
    let run = runs.recv().expect("a run");
    assert_eq!(run.params()["sessionKey"], session);
    end(&run, json!({ "text": "on" }));
    let answer = body(&asked.wait());
    assert_eq!((&answer["object"], &answer["output"][0]["content"][0]["text"]), (&json!("response"), &json!("on")));
    let lost = plugin.http(post("/v1/responses", &json!({ "input": "x", "previous_response_id": "resp_0" }))).wait();
    assert_eq!((lost.status, &body(&lost)["error"]["code"]), (404, &json!("previous_response_not_found")));
}

#[test]
fn a_response_that_fails_on_the_way_says_so() {
    let (plugin, runs) = open(json!({ "max_answer_bytes": 1024 }));
    for fail in [true, false] {
        let asked = plugin.http(post("/v1/responses", &json!({ "input": "x", "stream": true })));
        let run = runs.recv().expect("a run");
        accept(&run);
        says(&plugin, &run, "He");
        if fail {
            end(&run, json!({ "status": "error", "error": "no" }));
        } else {
            says(&plugin, &run, &"He".repeat(1024));
        }
        let events = events(&asked.wait().text());
        let (name, data) = &events[events.len() - 2];
        assert_eq!((name.as_str(), &data["response"]["status"]), ("response.failed", &json!("failed")));
        let code = if fail { "run_failed" } else { "answer_too_long" };
        assert_eq!(data["response"]["error"]["code"], code);
    }
    plugin.wait_until("a run that says too much is stopped", |plugin| {
        plugin.asked().iter().any(|asked| asked.method == "agent.abort")
    });
}
