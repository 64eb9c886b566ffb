//! The doors with a run that a test answers, over HTTP without a socket: what all share, completions, and models.

mod responses;
mod tools;

use std::sync::mpsc::{Receiver, channel};

use plugin_kit::http::{Answer, Ask};
use plugin_kit::{Harness, Running, StubCall};
use schemas::ErrorShape;
use serde_json::{Value, json};

use super::*;

/// Open doors, and the runs that come of them.
fn open(config: Value) -> (Running, Receiver<StubCall>) {
    let mut all = json!({ "chat_completions": true, "responses": true, "tools": true });
    for (name, value) in config.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    let (told, runs) = channel();
    let plugin = Harness::new::<Doors>()
        .config(all)
        .answer_with("agents.get", |call| match call.params()["agentId"].as_str() {
            Some(id @ ("main" | "ops")) => call.finish(Ok(json!({ "agentId": id, "models": ["echo"] }))),
            _ => call.finish(Err(ErrorShape::invalid_request("unknown agent"))),
        })
        .answer_with("session.store.transcript", |call| {
            let total = u64::from(call.params()["key"].as_str().is_some_and(|key| key.contains("known")));
            call.finish(Ok(json!({ "key": call.params()["key"], "messages": [], "total": total })));
        })
        .answer("agents.list", json!({ "agents": [{ "id": "main" }, { "id": "ops" }] }))
        .answer("agent.abort", json!({ "runIds": [] }))
        .answer_with("agent.run", move |call| told.send(call).expect("the test waits"))
        .start();
    (plugin, runs)
}

fn post(path: &str, body: &Value) -> Ask {
    Ask::post(path, body.to_string()).header("content-type", "application/json")
}

fn chat(body: Value) -> Ask {
    post("/v1/chat/completions", &body)
}

fn asking(text: &str) -> Value {
    json!({ "model": "openclaw/main", "messages": [{ "role": "user", "content": text }] })
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

fn accept(run: &StubCall) {
    run.interim(json!({ "runId": run.params()["runId"], "status": "accepted", "acceptedAt": 1 }));
}

fn end(run: &StubCall, outcome: Value) {
    let mut all =
        json!({ "runId": run.params()["runId"], "status": "ok", "sessionKey": "s", "agentId": "main", "endedAt": 2 });
    for (name, value) in outcome.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    run.finish(Ok(all));
}

fn says(plugin: &Running, run: &StubCall, text: &str) {
    let data = json!({ "text": text, "delta": text });
    let event = json!({ "runId": run.params()["runId"], "seq": 1, "ts": 1, "stream": "assistant", "data": data });
    plugin.publish("agent", event);
}

/// The data of a stream's events, and their names where they have some.
fn events(text: &str) -> Vec<(String, Value)> {
    let events = text.split("\n\n").filter(|event| !event.is_empty() && !event.starts_with(':'));
    events
        .map(|event| {
            let name = event.lines().find_map(|line| line.strip_prefix("event: ")).unwrap_or_default();
            let data = event.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
            (name.to_string(), serde_json::from_str(data).unwrap_or_else(|_| json!(data)))
        })
        .collect()
}

#[test]
fn every_door_is_shut_until_the_configuration_opens_it() {
    let plugin = Harness::new::<Doors>().start();
    for path in ["/v1/chat/completions", "/v1/responses", "/tools/invoke"] {
        assert_eq!(plugin.http(post(path, &asking("hi"))).wait().status, 404, "{path}");
    }
    assert_eq!(plugin.http(Ask::get("/v1/models")).wait().status, 404);
    assert!(plugin.asked().is_empty() && plugin.subscriptions() == 0);
    let (plugin, _runs) = open(json!({ "chat_completions": false }));
    assert_eq!(plugin.http(chat(asking("hi"))).wait().status, 404, "each by itself");
    assert_eq!(plugin.http(post("/v1/responses/x", &json!({}))).wait().status, 404, "nothing below");
}

#[test]
fn a_completion_is_a_run_of_the_agent() {
    let (plugin, runs) = open(json!({}));
    let asked = plugin.http(chat(json!({
        "model": "agent:ops", "user": "ann", "reasoning_effort": "low",
        "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "hi" },
            { "role": "assistant", "content": "hello" },
            { "role": "user", "content": [
                { "type": "text", "text": "what is this?" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } },
            ] },
        ],
    })));
    let run = runs.recv().expect("a run");
    let params = run.params().clone();
    assert_eq!(params["sessionKey"], "agent:ops:openai-user:ann");
    assert_eq!(
        (&params["agentId"], &params["origin"], &params["thinking"]),
        (&json!("ops"), &json!("http"), &json!("low"))
    );
    assert_eq!(params["extraSystemPrompt"], "Be brief.");
    assert_eq!(
        params["message"],
        "Earlier in this conversation:\n\nUser: hi\n\nAssistant: hello\n\nNow:\n\nUser: what is this?"
    );
    assert_eq!(params["attachments"], json!([{ "type": "image", "mimeType": "image/png", "content": "AAAA" }]));
    accept(&run);
    end(&run, json!({ "text": "A dot.", "usage": { "input": 5, "cacheRead": 2, "output": 3 } }));
    let answer = asked.wait();
    let completion = body(&answer);
    assert_eq!((answer.status, &completion["object"]), (200, &json!("chat.completion")));
    assert_eq!(completion["id"], params["runId"]);
    assert_eq!(completion["model"], "agent:ops");
    assert_eq!(completion["choices"][0]["message"]["content"], "A dot.");
    assert_eq!(completion["choices"][0]["finish_reason"], "stop");
    assert_eq!(
        completion["usage"],
        json!({ "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "prompt_tokens_details": { "cached_tokens": 2 } })
    );
    assert!(plugin.asked().iter().all(|asked| asked.method != "agent.abort"), "it ended by itself");
}

#[test]
fn a_session_that_knows_the_conversation_is_not_told_it_again() {
    let (plugin, runs) = open(json!({}));
    let messages = json!([
        { "role": "user", "content": "hi" }, { "role": "assistant", "content": "hello" }, { "role": "user", "content": "more" }
    ]);
    for (header, key) in [("x-moltbot-session-key", "known"), ("x-openclaw-session-key", "agent:ops:known")] {
        let asked = plugin.http(chat(json!({ "messages": messages })).header(header, key));
        let run = runs.recv().expect("a run");
        assert_eq!((&run.params()["message"], &run.params()["sessionKey"]), (&json!("more"), &json!(key)));
        end(&run, json!({ "text": "yes" }));
        assert_eq!(asked.wait().status, 200);
    }
    let asked = plugin.http(chat(json!({ "messages": messages })).header("x-moltbot-agent-id", "ops"));
    let run = runs.recv().expect("a run");
    let key = run.params()["sessionKey"].as_str().expect("a key").to_string();
    assert!(key.starts_with("agent:ops:openai:") && key.len() > 40, "a fresh one: {key}");
    end(&run, json!({ "text": "yes" }));
    asked.wait();
}

#[test]
fn a_stream_says_what_the_agent_says_in_order() {
    let (plugin, runs) = open(json!({}));
    let mut request = asking("hi");
    request["stream"] = json!(true);
    request["stream_options"] = json!({ "include_usage": true });
    let asked = plugin.http(chat(request));
    let run = runs.recv().expect("a run");
    accept(&run);
    says(&plugin, &run, "Hel");
    says(&plugin, &run, "Hello");
    // Another run's words are not this one's.
    plugin.publish(
        "agent",
        json!({ "runId": "other", "seq": 1, "ts": 1, "stream": "assistant", "data": { "text": "no" } }),
    );
    plugin.advance(Duration::from_secs(16));
    end(&run, json!({ "text": "Hello you", "usage": { "input": 1, "output": 2 } }));
    let answer = asked.wait();
    assert!(answer.whole && answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")));
    assert!(answer.text().contains(": keep-alive\n\n"), "a silent stream is not a dead one");
    let events: Vec<Value> = events(&answer.text()).into_iter().map(|(_, data)| data).collect();
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    let said: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(said, "Hello you", "what was not heard comes with the end");
    let count = events.len();
    assert_eq!(events[count - 3]["choices"][0]["finish_reason"], "stop");
    assert!(events[0]["usage"].is_null() && events[count - 2]["choices"] == json!([]));
    assert_eq!(events[count - 2]["usage"]["total_tokens"], 3);
    assert_eq!(events[count - 1], "[DONE]");
}

#[test]
fn what_is_said_after_a_tool_is_said_once() {
    let (plugin, runs) = open(json!({}));
    let all = "Let me look\n\nThe answer is five.\n";
    for (path, mut request) in
        [("/v1/chat/completions", asking("hi")), ("/v1/responses", json!({ "model": "openclaw/main", "input": "hi" }))]
    {
        request["stream"] = json!(true);
        let asked = plugin.http(post(path, &request));
        let run = runs.recv().expect("a run");
        accept(&run);
        says(&plugin, &run, "Let me look");
        says(&plugin, &run, all);
        end(&run, json!({ "text": "The answer is five." }));
        let events = events(&asked.wait().text());
        let delta = |(name, data): &(String, Value)| match name.as_str() {
            "" => data["choices"][0]["delta"]["content"].as_str().map(str::to_string),
            "response.output_text.delta" => data["delta"].as_str().map(str::to_string),
            _ => None,
        };
        assert_eq!(events.iter().filter_map(delta).collect::<String>(), all, "{path}");
        let done = events.iter().find(|(name, _)| name == "response.output_text.done");
        assert!(done.is_none_or(|(_, data)| data["text"] == all), "{done:?}");
    }
}

#[test]
fn a_client_that_goes_ends_its_run() {
    let (plugin, runs) = open(json!({ "max_runs": 1 }));
    for stream in [true, false] {
        let mut request = asking("hi");
        request["stream"] = json!(stream);
        let asked = plugin.http(chat(request));
        let run = runs.recv().expect("a run");
        accept(&run);
        says(&plugin, &run, "Hel");
        if stream {
            asked.wait_for(1);
        }
        let full = plugin.http(chat(asking("and me?"))).wait();
        assert_eq!((full.status, full.header("retry-after")), (429, Some("1")), "{full:?}");
        assert_eq!(body(&full)["error"]["details"]["limit"], "max_runs");
        asked.hang_up();
        run.wait_ended();
        let stopped = |plugin: &Running| {
            let mut stops = plugin.asked().into_iter().filter(|asked| asked.method == "agent.abort");
            stops.next_back().is_some_and(|stop| stop.params["runId"] == run.params()["runId"])
        };
        plugin.wait_until("the run is stopped", stopped);
    }
}

#[test]
fn what_goes_wrong_has_its_status() {
    let (plugin, runs) = open(json!({}));
    for (outcome, status, code) in [
        (json!({ "status": "timeout" }), 504, "timeout"),
        (json!({ "status": "error", "errorCode": "RATE_LIMIT", "error": "slow down" }), 429, "rate_limit_exceeded"),
        (json!({ "status": "error", "errorCode": "OVERLOADED" }), 503, "model_unavailable"),
        (json!({ "status": "error", "errorCode": "CONTEXT_LENGTH" }), 400, "context_length_exceeded"),
        (json!({ "status": "error", "errorCode": "AUTH" }), 500, "run_failed"),
        (json!({ "status": "interrupted" }), 503, "interrupted"),
        (json!({ "status": "aborted" }), 500, "run_aborted"),
    ] {
        for stream in [false, true] {
            let mut request = asking("hi");
            request["stream"] = json!(stream);
            let asked = plugin.http(chat(request));
            end(&runs.recv().expect("a run"), outcome.clone());
            let answer = asked.wait();
            assert_eq!(u32::from(status as u16), answer.status, "{outcome}: {answer:?}");
            assert_eq!(body(&answer)["error"]["code"], code);
        }
    }
    // After the stream has begun its status is told, and the error comes within it.
    let mut request = asking("hi");
    request["stream"] = json!(true);
    let asked = plugin.http(chat(request));
    let run = runs.recv().expect("a run");
    accept(&run);
    says(&plugin, &run, "Hel");
    end(&run, json!({ "status": "error", "errorCode": "RATE_LIMIT" }));
    let events = events(&asked.wait().text());
    assert_eq!(events[events.len() - 2].1["error"]["type"], "rate_limit_error");
    assert_eq!(events[events.len() - 1].1, "[DONE]");
    // The method itself refuses.
    let asked = plugin.http(chat(asking("hi")));
    runs.recv().expect("a run").finish(Err(ErrorShape::unavailable("busy").retry_after(2_500)));
    let answer = asked.wait();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("3")));
}

#[test]
fn what_cannot_be_met_is_refused_with_the_parameters_name() {
    let (plugin, runs) = open(json!({}));
    let with = |name: &str, value: Value| {
        let mut request = asking("hi");
        request[name] = value;
        request
    };
    let images = |count: usize| {
        let image = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } });
        json!({ "role": "user", "content": vec![image; count] })
    };
    for (request, param) in [
        (with("tools", json!([{ "type": "function" }])), "tools"),
        (with("n", json!(2)), "n"),
        (with("n", json!(2.0)), "n"),
        (with("n", json!(-1)), "n"),
        (with("n", json!("2")), "n"),
        (with("n", json!("1")), "n"),
        (with("response_format", json!({ "type": "json_object" })), "response_format"),
        (with("stream", json!("yes")), "stream"),
        (with("messages", json!([])), "messages"),
        (with("messages", json!([{ "role": "system", "content": "x" }])), "messages"),
        (
            with("messages", json!([{ "role": "user", "content": "x" }, { "role": "assistant", "content": "y" }])),
            "messages",
        ),
        (with("messages", json!([{ "role": "alien", "content": "x" }])), "messages[0].role"),
        (with("messages", json!([images(12), images(9)])), "messages"),
        (
            with(
                "messages",
                json!([{ "role": "user", "content": [
                { "type": "image_url", "image_url": { "url": "http://127.0.0.1/x.png" } }
            ] }]),
            ),
            "messages[0].content[0]",
        ),
    ] {
        let answer = plugin.http(chat(request)).wait();
        let error = body(&answer)["error"].clone();
        assert_eq!(
            (answer.status, &error["param"], &error["type"]),
            (400, &json!(param), &json!("invalid_request_error"))
        );
    }
    assert!(plugin.asked().iter().all(|asked| asked.method != "agent.run"));
    let asked = plugin.http(chat(with("n", json!(1.0))));
    end(&runs.recv().expect("a run"), json!({ "text": "one" }));
    assert_eq!(asked.wait().status, 200);
    let before = plugin.asked().len();
    let unknown = plugin.http(chat(with("model", json!("openclaw/nobody")))).wait();
    assert_eq!((unknown.status, &body(&unknown)["error"]["code"]), (404, &json!("model_not_found")));
    let form = plugin.http(Ask::post("/v1/chat/completions", "{}").header("content-type", "text/plain")).wait();
    assert_eq!(form.status, 415, "a page of another origin could send that");
    let broken = plugin.http(Ask::post("/v1/chat/completions", "{").header("content-type", "application/json")).wait();
    assert_eq!(broken.status, 400);
    let large = plugin.http(chat(asking(&"x".repeat(1024 * 1024)))).wait();
    assert_eq!((large.status, &body(&large)["error"]["type"]), (413, &json!("invalid_request_error")));
    assert!(plugin.asked().iter().skip(before).all(|asked| asked.method != "agent.run"));
}

#[test]
fn agents_are_models() {
    let (plugin, _runs) = open(json!({}));
    let list = body(&plugin.http(Ask::get("/v1/models")).wait());
    assert_eq!((&list["object"], &list["data"][1]["id"]), (&json!("list"), &json!("openclaw/ops")));
    assert_eq!(body(&plugin.http(Ask::get("/v1/models/openclaw%2Fops")).wait())["id"], "openclaw/ops");
    assert_eq!(plugin.http(Ask::get("/v1/models/openclaw/nobody")).wait().status, 404);
}
