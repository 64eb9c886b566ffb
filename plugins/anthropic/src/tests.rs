//! Against a server of the test's own, over real sockets.

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use outside::stand_in::{Act, Asked, Server, open_stream, stream, whole};
use plugin_kit::{CancelReason, Harness, Outcome, Running, Who};
use serde_json::{Value, json};

const RUN: &str = "agent.backend.anthropic.run";
const MODELS: &str = "agent.backend.anthropic.models";
const KEY: &str = "sk-ant-a-key-that-no-log-shows";

/// As a server sends it: a thought that is signed, one that is hidden, a text with characters of several bytes, a tool
/// call in parts, what it cost.
const RECORDED: &str = concat!(
    "event: message_start\n",
    r#"data: {"type":"message_start","message":{"id":"m1","model":"claude-tiny-1","usage":{"input_tokens":8,"cache_read_input_tokens":12,"cache_creation_input_tokens":3,"output_tokens":1}}}"#,
    "\n\nevent: content_block_start\r\n",
    r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
    "\r\n\r\nevent: ping\ndata: {\"type\":\"ping\"}\n\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm. "}}"#,
    "\n\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Yes."}}"#,
    "\n\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}"#,
    "\n\n",
    r#"data: {"type":"content_block_stop","index":0}"#,
    "\n\n",
    r#"data: {"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"aGlk"}}"#,
    "\n\n",
    r#"data: {"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}"#,
    "\n\n",
    r#"data: {"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Grüße "}}"#,
    "\n\n",
    r#"data: {"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"😀"}}"#,
    "\n\n",
    r#"data: {"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"a","name":"look","input":{}}}"#,
    "\n\n",
    r#"data: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"at\":"}}"#,
    "\n\n",
    r#"data: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"[1]}"}}"#,
    "\n\n",
    r#"data: {"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"b","name":"now","input":{}}}"#,
    "\n\n",
    r#"data: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":7}}"#,
    "\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

/// What a server does after the beginning of an answer.
type End = fn(&[u8]) -> Vec<Act>;

fn start(server: &Server, more: Value) -> Running {
    let mut config = json!({ "base_url": server.url, "model": "claude-tiny" });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Harness::registered("anthropic").config(config).start()
}

fn run(messages: Value) -> Value {
    json!({ "runId": "r1", "sessionKey": "agent:main:main", "agentId": "main", "messages": messages })
}

fn hello() -> Value {
    run(json!([{ "role": "user", "content": [{ "type": "text", "text": "Hello" }] }]))
}

fn ask(plugin: &Running) -> Outcome {
    plugin.call_as(Who::plugin("agent"), RUN, hello())
}

/// What an error says to programs: its code, whether to try again, and when.
fn told(outcome: Outcome) -> (String, Option<bool>, Option<u64>) {
    let error = outcome.error();
    let code = error.details.as_ref().unwrap()["code"].as_str().unwrap().to_string();
    (code, error.retryable, error.retry_after_ms)
}

fn expect_recorded(outcome: Outcome, context: &str) {
    let all = |kind: &str| -> String {
        let pieces = outcome.interims.iter().filter(|piece| piece["type"] == kind);
        pieces.map(|piece| piece["delta"].as_str().unwrap()).collect()
    };
    assert_eq!((all("thinking").as_str(), all("text").as_str()), ("Hm. Yes.", "Grüße 😀"), "{context}");
    let model = json!({ "type": "model", "provider": "anthropic", "model": "claude-tiny-1" });
    assert_eq!(outcome.interims[0], model, "{context}");
    let result = outcome.payload();
    assert_eq!(
        result["message"]["content"],
        json!([
            { "type": "thinking", "thinking": "Hm. Yes.", "signature": "c2ln" },
            { "type": "thinking", "thinking": "", "signature": "redacted_thinking:aGlk" },
            { "type": "text", "text": "Grüße 😀" },
            { "type": "toolCall", "id": "a", "name": "look", "arguments": { "at": [1] } },
            { "type": "toolCall", "id": "b", "name": "now", "arguments": {} },
        ]),
        "{context}"
    );
    assert_eq!(result["message"]["stopReason"], "toolUse", "{context}");
    let usage = json!({ "input": 8, "output": 7, "cacheRead": 12, "cacheWrite": 3, "totalTokens": 30 });
    assert_eq!(result["usage"], usage, "{context}");
}

#[test]
fn an_answer_is_the_same_wherever_its_stream_is_cut() {
    let cut = Arc::new(Mutex::new(0));
    let at = cut.clone();
    let server = Server::start(move |_| {
        let (first, second) = RECORDED.as_bytes().split_at(*at.lock().unwrap());
        stream(&[first, second])
    });
    let plugin = start(&server, json!({}));
    for place in 0..=RECORDED.len() {
        *cut.lock().unwrap() = place;
        expect_recorded(ask(&plugin), &format!("cut at {place}"));
    }
    let server = Server::start(|_| stream(&RECORDED.as_bytes().chunks(1).collect::<Vec<_>>()));
    expect_recorded(ask(&start(&server, json!({}))), "byte by byte");
}

#[test]
fn a_conversation_is_told_as_the_api_takes_it() {
    let server = Server::start(|_| stream(&[RECORDED.as_bytes()]));
    let plugin = start(&server, json!({ "cache": false }));
    let mut params = run(json!([
        { "role": "assistant", "content": [{ "type": "text", "text": "Hi." }] },
        { "role": "user", "content": [{ "type": "text", "text": "Look" }, { "type": "image", "mimeType": "image/png", "data": "AAAA" }] },
        { "role": "system", "content": [{ "type": "text", "text": "a remark" }] },
        { "role": "assistant", "provider": "anthropic", "content": [
            { "type": "thinking", "thinking": "hm", "signature": "s" },
            { "type": "thinking", "thinking": "", "signature": "redacted_thinking:d" },
            { "type": "thinking", "thinking": "unsigned" },
            { "type": "text", "text": " " },
            { "type": "toolCall", "id": "call.1", "name": "look", "arguments": { "at": 1 } },
            { "type": "toolCall", "id": "b", "name": "look", "arguments": {} },
        ] },
        { "role": "toolResult", "toolCallId": "b", "isError": true, "content": [{ "type": "text", "text": "blind" }] },
        { "role": "user", "content": [{ "type": "text", "text": "And?" }] },
        { "role": "toolResult", "toolCallId": "call.1", "content": [{ "type": "image", "mimeType": "image/png", "data": "BBBB" }] },
        { "role": "assistant", "provider": "other", "content": [
            { "type": "thinking", "thinking": "of another", "signature": "x" }, { "type": "text", "text": "Well." },
        ] },
        { "role": "user", "content": [{ "type": "text", "text": "Go on" }] },
    ]));
    params["system"] = "Be brief.".into();
    params["maxTokens"] = 9.into();
    params["tools"] = json!([{ "name": "look", "description": "Looks.", "parameters": { "type": "object" } }]);
    plugin.call_as(Who::plugin("agent"), RUN, params).payload();
    let asked = server.asked().remove(0);
    assert_eq!(asked.what, "POST /v1/messages");
    assert_eq!((asked.header("anthropic-version"), asked.header("x-api-key")), (Some("2023-06-01"), None));
    let image = |data: &str| json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": data } });
    let text = |text: &str| json!({ "type": "text", "text": text });
    assert_eq!(
        asked.json(),
        json!({
            "model": "claude-tiny", "stream": true, "max_tokens": 9, "system": [text("Be brief.")],
            "tools": [{ "name": "look", "description": "Looks.", "input_schema": { "type": "object" } }],
            "messages": [
                { "role": "user", "content": [text("(The conversation began earlier.)")] },
                { "role": "assistant", "content": [text("Hi.")] },
                { "role": "user", "content": [text("Look"), image("AAAA")] },
                { "role": "assistant", "content": [
                    { "type": "thinking", "thinking": "hm", "signature": "s" },
                    { "type": "redacted_thinking", "data": "d" },
                    { "type": "tool_use", "id": "call_1", "name": "look", "input": { "at": 1 } },
                    { "type": "tool_use", "id": "b", "name": "look", "input": {} },
                ] },
                { "role": "user", "content": [
                    { "type": "tool_result", "tool_use_id": "call_1", "content": [image("BBBB")] },
                    { "type": "tool_result", "tool_use_id": "b", "content": [text("blind")], "is_error": true },
                    text("And?"),
                ] },
                { "role": "assistant", "content": [text("Well.")] },
                { "role": "user", "content": [text("Go on")] },
            ],
        })
    );
}

#[test]
fn thinking_and_caching_are_asked_for_as_configured() {
    let server = Server::start(|_| stream(&[RECORDED.as_bytes()]));
    let asked = |config: Value, level: &str| {
        let mut params = hello();
        (params["thinking"], params["system"]) = (level.into(), "Be brief.".into());
        start(&server, config).call_as(Who::plugin("agent"), RUN, params).payload();
        server.asked().last().unwrap().json()
    };
    let body = asked(json!({}), "xhigh");
    assert_eq!(
        (&body["thinking"], &body["output_config"]),
        (&json!({ "type": "adaptive" }), &json!({ "effort": "max" }))
    );
    let mark = json!({ "type": "ephemeral" });
    assert_eq!(
        (&body["system"][0]["cache_control"], &body["messages"][0]["content"][0]["cache_control"]),
        (&mark, &mark)
    );
    let body = asked(json!({ "thinking": "budget", "max_tokens_per_answer": 100 }), "low");
    assert_eq!(body["thinking"], json!({ "type": "enabled", "budget_tokens": 2048 }));
    assert_eq!(body["max_tokens"], 2148);
    assert_eq!(asked(json!({}), "off")["thinking"], Value::Null);
}

#[test]
fn an_answer_ends_as_its_service_says() {
    for (told, stop_reason) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "refusal"),
    ] {
        let end = format!(
            "data: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"{told}\"}}}}\n\ndata: {{\"type\":\"message_stop\"}}\n\n"
        );
        let server = Server::start(move |_| stream(&[end.as_bytes()]));
        assert_eq!(ask(&start(&server, json!({}))).payload()["message"]["stopReason"], stop_reason, "{told}");
    }
}

#[test]
fn refusals_are_told_by_their_code_and_without_the_services_words() {
    let body =
        |kind: &str, words: &str| json!({ "type": "error", "error": { "type": kind, "message": words } }).to_string();
    let again = Some(true);
    let cases = [
        ("401 Unauthorized", "", body("authentication_error", "secret words"), ("AUTH", None, None)),
        ("400 Bad Request", "", body("invalid_request_error", "Your credit balance is too low"), ("AUTH", None, None)),
        ("404 Not Found", "", body("not_found_error", "model: x"), ("UNKNOWN_MODEL", None, None)),
        (
            "429 Too Many Requests",
            "retry-after: 7\r\n",
            body("rate_limit_error", "secret words"),
            ("RATE_LIMIT", again, Some(7_000)),
        ),
        ("500 Internal Server Error", "", body("api_error", "secret words"), ("OVERLOADED", again, None)),
        ("529 Overloaded", "retry-after: 2\r\n", body("overloaded_error", ""), ("OVERLOADED", again, Some(2_000))),
        ("503 Service Unavailable", "", "<html>secret words".to_string(), ("OVERLOADED", again, None)),
        (
            "400 Bad Request",
            "",
            body("invalid_request_error", "prompt is too long: 9 tokens"),
            ("CONTEXT_LENGTH", None, None),
        ),
        ("413 Payload Too Large", "", body("request_too_large", ""), ("CONTEXT_LENGTH", None, None)),
        ("400 Bad Request", "", body("invalid_request_error", "secret words"), ("REFUSED", None, None)),
    ];
    for (status, head, body, (code, retryable, after)) in cases {
        let words = body.clone();
        let server = Server::start(move |_| whole(status, head, &words));
        let plugin = start(&server, json!({}));
        let outcome = ask(&plugin);
        let message = outcome.clone().error().message;
        assert!(!message.contains("secret words") && message.starts_with("anthropic: "), "{message}");
        assert_eq!(told(outcome), (code.to_string(), retryable, after), "{status} {body}");
        if body.contains("secret words") {
            assert!(plugin.logs().iter().any(|line| line.message.contains("secret words")), "the log has them");
        }
    }
}

#[test]
fn an_answer_that_does_not_come_to_its_end_is_none() {
    let begun = RECORDED.split("event: message_stop").next().unwrap().as_bytes();
    let broken = || ("BROKEN_STREAM".to_string(), Some(true), None);
    let ends: [End; 4] = [
        |begun| stream(&[begun]),
        |begun| [open_stream(&[begun]), vec![Act::Close]].concat(),
        |begun| stream(&[begun, b"data: {\"type\"\n\n"]),
        |begun| stream(&[begun, b"data: {\"type\":\"content_block_delta\",\"index\":9,\"delta\":{}}\n\n"]),
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let server = Server::start(move |_| end(begun));
        assert_eq!(told(ask(&start(&server, json!({})))), broken(), "{number}");
    }
    let overloaded =
        b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n";
    let server = Server::start(move |_| stream(&[begun, overloaded]));
    assert_eq!(told(ask(&start(&server, json!({})))), ("OVERLOADED".to_string(), Some(true), None));

    let server = Server::start(move |_| [open_stream(&[begun]), vec![Act::AwaitClose]].concat());
    assert_eq!(told(ask(&start(&server, json!({ "stall_timeout_ms": 100 })))), broken());
    server.wait_closed();
    let server = Server::start(move |_| [open_stream(&[begun]), vec![Act::AwaitClose]].concat());
    let oversized = ask(&start(&server, json!({ "max_response_bytes": 1000 })));
    assert_eq!(told(oversized), ("BROKEN_STREAM".to_string(), None, None), "another try would be as long");
    server.wait_closed();
}

#[test]
fn a_cancelled_call_closes_its_connection() {
    let begun = RECORDED.split("event: message_stop").next().unwrap().as_bytes();
    let server = Server::start(|_| [open_stream(&[begun]), vec![Act::AwaitClose]].concat());
    let plugin = start(&server, json!({}));
    let call = plugin.begin_as(Who::plugin("agent"), RUN, hello());
    assert_eq!(call.next_interim()["type"], "model");
    call.cancel(CancelReason::Asked);
    server.wait_closed();
}

#[test]
fn keys_come_from_files_and_variables_and_are_in_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    // A service that repeats the key, as some do.
    let server = Server::start(|asked: &Asked| {
        let key = asked.header("x-api-key").unwrap_or("none").to_string();
        whole(
            "401 Unauthorized",
            "",
            &json!({ "error": { "type": "authentication_error", "message": key } }).to_string(),
        )
    });
    let plugin = start(&server, json!({ "api_key_file": file }));
    assert_eq!(told(ask(&plugin)).0, "AUTH");
    assert_eq!(server.asked()[0].header("x-api-key"), Some(KEY));
    let logged: Vec<String> = plugin.logs().into_iter().map(|line| line.message).collect();
    assert!(logged.iter().any(|line| line.contains("[key]")), "{logged:?}");
    assert!(!logged.iter().any(|line| line.contains(KEY)), "{logged:?}");

    // Cargo sets this one for every test.
    let plugin = start(&server, json!({ "api_key_env": "CARGO_PKG_NAME" }));
    assert_eq!(told(ask(&plugin)).0, "AUTH");
    assert_eq!(server.asked()[1].header("x-api-key"), Some("plugin-anthropic"));

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let plugin = start(&server, json!({ "api_key_file": file }));
    assert_eq!(told(ask(&plugin)).0, "AUTH");
    assert_eq!(server.asked().len(), 2, "nothing was asked without it");
}

#[test]
fn models_are_listed_and_kept() {
    let listed =
        r#"{"data":[{"id":"claude-tiny-1","display_name":"Claude Tiny","max_input_tokens":9}],"has_more":false}"#;
    let server = Server::start(move |_| whole("200 OK", "", listed));
    let plugin = start(&server, json!({}));
    let expected = json!({ "models": [{ "id": "claude-tiny-1", "name": "Claude Tiny", "provider": "anthropic", "contextWindow": 9 }] });
    for _ in 0..2 {
        assert_eq!(plugin.call_as(Who::plugin("models"), MODELS, json!({})).payload(), expected);
    }
    assert_eq!(server.asked().len(), 1);
    assert_eq!(server.asked()[0].what, "GET /v1/models?limit=1000");
}

#[test]
fn a_service_that_is_silent_costs_its_own_models_only() {
    let main = Server::start(|_| whole("200 OK", "", r#"{"data":[{"id":"claude-tiny-1"}]}"#));
    let silent = Server::start(|_| vec![Act::AwaitClose]);
    let config = json!({ "base_url": main.url, "providers": { "lab": { "base_url": silent.url } } });
    let plugin = Harness::registered("anthropic").config(config).real_time().start();
    let models = plugin.call_as(Who::plugin("models"), MODELS, json!({})).payload()["models"].clone();
    assert_eq!(models, json!([{ "id": "claude-tiny-1", "name": "claude-tiny-1", "provider": "anthropic" }]));
    silent.wait_closed();
}
