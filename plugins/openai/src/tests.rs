//! Against a server of the test's own, over real sockets.

use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use outside::stand_in::{Act, Asked, Server, open_stream, stream, whole};
use plugin_api::contracts::Usage;
use plugin_kit::{CancelReason, Harness, Outcome, Running, Who};
use serde_json::{Value, json};

const RUN: &str = "agent.backend.openai.run";
const MODELS: &str = "agent.backend.openai.models";
const KEY: &str = "sk-a-key-that-no-log-shows";

/// As a server sends it: a thought, a text with characters of several bytes, two tool calls in parts, what it cost.
const RECORDED: &str = ": a comment\r\n\r\n\
    data: {\"id\":\"c1\",\"model\":\"tiny-1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\r\n\r\n\
    data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"Hm. \"}}]}\n\n\
    data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"Yes.\"}}]}\n\n\
    data: {\"choices\":[{\"delta\":{\"content\":\"Grüße \"}}]}\n\n\
    data: {\"choices\":[{\"delta\":{\"content\":\"😀\"}}]}\n\n\
    data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"look\",\"arguments\":\"\"}}]}}]}\n\n\
    data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"now\",\"arguments\":\"\"}},{\"index\":0,\"function\":{\"arguments\":\"{\\\"at\\\":\"}}]}}]}\n\n\
    data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"[1]}\"}}]}}]}\n\n\
    data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n\
    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":7,\"total_tokens\":27,\"prompt_tokens_details\":{\"cached_tokens\":12}}}\n\n\
    data: [DONE]\n\n";

/// What a server does after the beginning of an answer.
type End = fn(&[u8]) -> Vec<Act>;

fn start(server: &Server, more: Value) -> Running {
    let mut config = json!({ "base_url": format!("{}/v1", server.url), "model": "tiny" });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Harness::registered("openai").config(config).start()
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

fn answering(status: &'static str, head: &'static str, body: &'static str) -> Server {
    Server::start(move |_| whole(status, head, body))
}

fn expect_recorded(outcome: Outcome, context: &str) {
    let mut thought = String::new();
    let mut said = String::new();
    for piece in &outcome.interims {
        match piece["type"].as_str().unwrap() {
            "thinking" => thought.push_str(piece["delta"].as_str().unwrap()),
            "text" => said.push_str(piece["delta"].as_str().unwrap()),
            _ => assert_eq!(*piece, json!({ "type": "model", "provider": "openai", "model": "tiny-1" }), "{context}"),
        }
    }
    assert_eq!((thought.as_str(), said.as_str()), ("Hm. Yes.", "Grüße 😀"), "{context}");
    let result = outcome.payload();
    assert_eq!(
        result["message"]["content"],
        json!([
            { "type": "thinking", "thinking": "Hm. Yes." },
            { "type": "text", "text": "Grüße 😀" },
            { "type": "toolCall", "id": "a", "name": "look", "arguments": { "at": [1] } },
            { "type": "toolCall", "id": "b", "name": "now", "arguments": {} },
        ]),
        "{context}"
    );
    assert_eq!(result["message"]["stopReason"], "toolUse", "{context}");
    let usage = json!({ "input": 8, "output": 7, "cacheRead": 12, "cacheWrite": 0, "totalTokens": 27 });
    assert_eq!(result["usage"], usage, "{context}");
}

#[test]
fn an_answer_is_the_same_wherever_its_stream_is_cut() {
    let cut = std::sync::Arc::new(Mutex::new(0));
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
    let plugin = start(&server, json!({ "headers": { "x-title": "claw" } }));
    let mut params = run(json!([
        { "role": "user", "content": [{ "type": "text", "text": "Look" }, { "type": "image", "mimeType": "image/png", "data": "AAAA" }] },
        { "role": "system", "content": [{ "type": "text", "text": "a remark" }] },
        { "role": "assistant", "content": [
            { "type": "thinking", "thinking": "hm" }, { "type": "toolCall", "id": "a", "name": "look", "arguments": { "at": 1 } },
        ] },
        { "role": "toolResult", "toolCallId": "a", "content": [
            { "type": "text", "text": "seen" }, { "type": "image", "mimeType": "image/png", "data": "BBBB" },
        ] },
        { "role": "user", "content": [{ "type": "text", "text": "And?" }] },
    ]));
    params["system"] = "Be brief.".into();
    params["thinking"] = "low".into();
    params["maxTokens"] = 9.into();
    params["tools"] = json!([{ "name": "look", "description": "Looks.", "parameters": { "type": "object" } }]);
    plugin.call_as(Who::plugin("agent"), RUN, params).payload();
    let asked = server.asked().remove(0);
    assert_eq!(asked.what, "POST /v1/chat/completions");
    assert_eq!((asked.header("x-title"), asked.header("authorization")), (Some("claw"), None));
    assert_eq!(
        asked.json(),
        json!({
            "model": "tiny", "stream": true, "stream_options": { "include_usage": true },
            "reasoning_effort": "low", "max_tokens": 9,
            "tools": [{ "type": "function", "function": { "name": "look", "description": "Looks.", "parameters": { "type": "object" } } }],
            "messages": [
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": [
                    { "type": "text", "text": "Look" },
                    { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } },
                ] },
                { "role": "assistant", "content": null, "tool_calls": [
                    { "id": "a", "type": "function", "function": { "name": "look", "arguments": "{\"at\":1}" } },
                ] },
                { "role": "tool", "tool_call_id": "a", "content": "seen" },
                { "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "data:image/png;base64,BBBB" } }] },
                { "role": "user", "content": "And?" },
            ],
        })
    );
}

#[test]
fn an_answer_ends_as_its_service_says() {
    let ends = [
        (r#"{"delta":{"content":"a"},"finish_reason":"stop"}"#, "stop"),
        (r#"{"delta":{"content":"a"},"finish_reason":"length"}"#, "length"),
        (r#"{"delta":{"content":"a"},"finish_reason":"content_filter"}"#, "refusal"),
        (r#"{"delta":{"refusal":"No."},"finish_reason":"stop"}"#, "refusal"),
        // Some say stop, give no index and no id, or all of the arguments as they are.
        (
            r#"{"delta":{"tool_calls":[{"function":{"name":"x","arguments":{"a":1}}}]},"finish_reason":"stop"}"#,
            "toolUse",
        ),
        // Half a call of an answer that was cut is none.
        (
            r#"{"delta":{"tool_calls":[{"index":0,"id":"i","function":{"name":"x","arguments":"{"}}]},"finish_reason":"length"}"#,
            "length",
        ),
    ];
    for (choice, stop_reason) in ends {
        let server = Server::start(move |_| {
            stream(&[format!("data: {{\"choices\":[{choice}]}}\n\ndata: [DONE]\n\n").as_bytes()])
        });
        assert_eq!(ask(&start(&server, json!({}))).payload()["message"]["stopReason"], stop_reason, "{choice}");
    }
    let body = r#"{"model":"m","choices":[{"message":{"role":"assistant","content":"whole"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let outcome = ask(&start(&answering("200 OK", "content-type: application/json\r\n", body), json!({})));
    assert_eq!(outcome.interims[1], json!({ "type": "text", "delta": "whole" }));
    assert_eq!(outcome.payload()["usage"]["totalTokens"], 3);
}

#[test]
fn calls_that_share_an_index_are_told_apart_by_their_ids() {
    let part =
        |index: &str, id: &str| format!(r#"{{{index}"id":"{id}","function":{{"name":"x","arguments":"{{}}"}}}}"#);
    for index in ["", "\"index\":0,"] {
        let (one, two) = (part(index, "a"), part(index, "b"));
        let event =
            format!(r#"data: {{"choices":[{{"delta":{{"tool_calls":[{one},{two}]}},"finish_reason":"tool_calls"}}]}}"#);
        let server = Server::start(move |_| stream(&[event.as_bytes(), b"\n\n"]));
        let content = ask(&start(&server, json!({}))).payload()["message"]["content"].clone();
        let ids: Vec<&str> = content.as_array().unwrap().iter().map(|part| part["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["a", "b"], "{index}");
    }
}

#[test]
fn calls_without_an_index_are_told_apart_by_their_names() {
    let with_objects = r#"{"function":{"name":"x","arguments":{"a":1}}},{"function":{"name":"y","arguments":{"b":2}}}"#;
    let in_parts = r#"{"id":"i","function":{"name":"x","arguments":"{\"a\""}},{"id":"i","function":{"arguments":":1}"}},{"function":{"name":"y","arguments":"{\"b\""}},{"function":{"arguments":":2}"}}"#;
    for calls in [with_objects, in_parts] {
        let event = format!(r#"data: {{"choices":[{{"delta":{{"tool_calls":[{calls}]}},"finish_reason":"stop"}}]}}"#);
        let server = Server::start(move |_| stream(&[event.as_bytes(), b"\n\n"]));
        let content = ask(&start(&server, json!({}))).payload()["message"]["content"].clone();
        let named = |part: &Value| (part["name"].clone(), part["arguments"].clone());
        let asked: Vec<_> = content.as_array().unwrap().iter().map(named).collect();
        assert_eq!(asked, [(json!("x"), json!({ "a": 1 })), (json!("y"), json!({ "b": 2 }))], "{calls}");
    }
}

#[test]
fn an_answer_whose_end_was_told_is_whole_whatever_becomes_of_its_stream() {
    let ended = b"data: {\"choices\":[{\"delta\":{\"content\":\"Well.\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":18446744073709551615,\"completion_tokens\":1}}\n\n".as_slice();
    for end in [Act::Close, Act::AwaitClose] {
        let server = Server::start(move |_| [open_stream(&[ended]), vec![end.clone()]].concat());
        let result = ask(&start(&server, json!({ "stall_timeout_ms": 100 }))).payload();
        assert_eq!(result["message"]["content"][0]["text"], "Well.");
        assert_eq!(result["usage"]["totalTokens"], Usage::MOST);
    }
}

#[test]
fn refusals_are_told_by_their_code_and_without_the_services_words() {
    let cases = [
        ("401 Unauthorized", "", r#"{"error":{"message":"bad key","code":"invalid_api_key"}}"#, ("AUTH", None, None)),
        ("404 Not Found", "", r#"{"error":"model 'x' not found, try pulling it"}"#, ("UNKNOWN_MODEL", None, None)),
        (
            "404 Not Found",
            "",
            r#"{"error":{"message":"secret words","code":"model_not_found"}}"#,
            ("UNKNOWN_MODEL", None, None),
        ),
        ("429 Too Many Requests", "retry-after: 7\r\n", "{}", ("RATE_LIMIT", Some(true), Some(7_000))),
        ("429 Too Many Requests", "x-ratelimit-reset-requests: 1m2s\r\n", "", ("RATE_LIMIT", Some(true), Some(62_000))),
        ("429 Too Many Requests", "", r#"{"error":{"code":"insufficient_quota"}}"#, ("AUTH", None, None)),
        ("500 Internal Server Error", "", "secret words", ("OVERLOADED", Some(true), None)),
        ("529 Overloaded", "", "", ("OVERLOADED", Some(true), None)),
        (
            "400 Bad Request",
            "",
            r#"{"error":{"message":"secret words: maximum context length is 5"}}"#,
            ("CONTEXT_LENGTH", None, None),
        ),
        ("400 Bad Request", "", r#"{"error":{"message":"secret words"}}"#, ("REFUSED", None, None)),
        ("302 Found", "location: http://127.0.0.1:1/\r\n", "", ("REFUSED", None, None)),
    ];
    for (status, head, body, (code, retryable, after)) in cases {
        let plugin = start(&answering(status, head, body), json!({}));
        let outcome = ask(&plugin);
        let message = outcome.clone().error().message;
        assert!(!message.contains("secret words") && message.starts_with("openai: "), "{message}");
        assert_eq!(told(outcome), (code.to_string(), retryable, after), "{status} {body}");
        if body.contains("secret words") {
            assert!(plugin.logs().iter().any(|line| line.message.contains("secret words")), "the log has them");
        }
    }
}

#[test]
fn an_answer_that_does_not_come_to_its_end_is_none() {
    let begun = b"data: {\"choices\":[{\"delta\":{\"content\":\"Well\"}}]}\n\n".as_slice();
    let broken = || ("BROKEN_STREAM".to_string(), Some(true), None);
    let ends: [End; 5] = [
        |begun| stream(&[begun]),
        |begun| stream(&[begun, b"data: {\"choices\":[{\"delta\":{\"content\":\", \"},\"finish_reason\":\"\"}]}\n\n"]),
        |begun| [open_stream(&[begun]), vec![Act::Close]].concat(),
        |begun| stream(&[begun, b"data: {\"choices\"\n\n"]),
        |begun| {
            stream(&[begun, b"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"x\",\"arguments\":\"{\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n"])
        },
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let server = Server::start(move |_| end(begun));
        assert_eq!(told(ask(&start(&server, json!({})))), broken(), "{number}");
    }
    let server = Server::start(move |_| {
        stream(&[begun, b"data: {\"error\":{\"message\":\"x\",\"type\":\"server_error\"}}\n\n"])
    });
    assert_eq!(told(ask(&start(&server, json!({})))), ("OVERLOADED".to_string(), Some(true), None));

    let server = Server::start(move |_| [open_stream(&[begun]), vec![Act::AwaitClose]].concat());
    assert_eq!(told(ask(&start(&server, json!({ "stall_timeout_ms": 100 })))), broken());
    server.wait_closed();
    let server = Server::start(|_| vec![Act::AwaitClose]);
    assert_eq!(told(ask(&start(&server, json!({ "stall_timeout_ms": 100 })))), broken(), "no head either");
    server.wait_closed();
    let server = Server::start(move |_| [open_stream(&[&begun.repeat(40)]), vec![Act::AwaitClose]].concat());
    let oversized = ask(&start(&server, json!({ "max_response_bytes": 1000 })));
    assert_eq!(told(oversized), ("BROKEN_STREAM".to_string(), None, None), "another try would be as long");
    server.wait_closed();
}

#[test]
fn who_cannot_be_reached_is_told_so() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = json!({ "base_url": format!("http://{port}"), "model": "m" });
    let plugin = Harness::registered("openai").config(config).start();
    assert_eq!(told(ask(&plugin)), ("UNREACHABLE".to_string(), Some(true), None));
}

#[test]
fn a_cancelled_call_closes_its_connection() {
    let begun = b"data: {\"choices\":[{\"delta\":{\"content\":\"Well\"}}]}\n\n";
    for reason in [CancelReason::Asked, CancelReason::Timeout] {
        let server = Server::start(|_| [open_stream(&[begun]), vec![Act::AwaitClose]].concat());
        let plugin = start(&server, json!({}));
        let call = plugin.begin_as(Who::plugin("agent"), RUN, hello());
        assert_eq!(call.next_interim()["type"], "model");
        assert_eq!(call.next_interim(), json!({ "type": "text", "delta": "Well" }));
        call.cancel(reason);
        server.wait_closed();
    }
}

#[test]
fn keys_come_from_files_and_variables_and_are_in_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    // A service that repeats the key, as some do.
    let server = Server::start(|asked: &Asked| {
        let key = asked.header("authorization").unwrap_or("none").to_string();
        whole("401 Unauthorized", "", &json!({ "error": { "message": key } }).to_string())
    });
    let plugin = start(&server, json!({ "api_key_file": file }));
    assert_eq!(told(ask(&plugin)).0, "AUTH");
    assert_eq!(server.asked()[0].header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    let logged: Vec<String> = plugin.logs().into_iter().map(|line| line.message).collect();
    assert!(logged.iter().any(|line| line.contains("Bearer [key]")), "{logged:?}");
    assert!(!logged.iter().any(|line| line.contains(KEY)), "{logged:?}");

    // Cargo sets this one for every test.
    let plugin = start(&server, json!({ "api_key_env": "CARGO_PKG_NAME" }));
    assert_eq!(told(ask(&plugin)).0, "AUTH");
    assert_eq!(server.asked()[1].header("authorization"), Some("Bearer plugin-openai"));

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    for config in [json!({ "api_key_file": file }), json!({ "api_key_env": "NO_SUCH_VARIABLE_HERE" })] {
        let plugin = start(&server, config);
        let outcome = ask(&plugin);
        let message = outcome.clone().error().message;
        assert_eq!((told(outcome).0.as_str(), message.contains("key")), ("AUTH", true), "{message}");
        assert!(!message.contains('/') && !message.contains("NO_SUCH"), "{message}");
        assert_eq!(server.asked().len(), 2, "nothing was asked without it");
    }
}

#[test]
fn the_first_segment_of_a_model_names_its_service() {
    let main = Server::start(|_| whole("500 Internal Server Error", "", ""));
    let other = Server::start(|_| stream(&[RECORDED.as_bytes()]));
    let plugin = start(&main, json!({ "providers": { "ollama": { "base_url": other.url } } }));
    let mut params = hello();
    params["model"] = "ollama/llama3.2".into();
    let outcome = plugin.call_as(Who::plugin("agent"), RUN, params);
    assert_eq!(outcome.interims[0]["provider"], "ollama");
    assert_eq!(outcome.payload()["message"]["provider"], "ollama");
    assert_eq!((other.asked()[0].json()["model"].as_str(), main.asked().len()), (Some("llama3.2"), 0));
    assert_eq!(other.asked()[0].header("authorization"), None, "a key is for its own service");
}

#[test]
fn models_are_listed_as_far_as_services_answer_and_kept() {
    let main = Server::start(|_| whole("200 OK", "", r#"{"data":[{"id":"tiny","max_model_len":8},{"x":1}]}"#));
    let other = Server::start(|_| whole("500 Internal Server Error", "", ""));
    let plugin = start(
        &main,
        json!({ "providers": { "lab": { "base_url": other.url }, "b": { "base_url": format!("{}/b", main.url) } } }),
    );
    let expected = json!({ "models": [
        { "id": "tiny", "name": "tiny", "provider": "openai", "contextWindow": 8 },
        { "id": "b/tiny", "name": "tiny", "provider": "openai", "contextWindow": 8 },
    ] });
    for _ in 0..2 {
        assert_eq!(plugin.call_as(Who::plugin("agent"), MODELS, json!({})).payload(), expected);
    }
    let asked: Vec<String> = main.asked().into_iter().map(|asked| asked.what).collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(other.asked().len(), 2, "what failed is asked again");
}

#[test]
fn a_service_that_is_silent_costs_its_own_models_only() {
    let main = Server::start(|_| whole("200 OK", "", r#"{"data":[{"id":"tiny"}]}"#));
    let silent = Server::start(|_| vec![Act::AwaitClose]);
    let config =
        json!({ "base_url": main.url, "providers": { "lab": { "base_url": silent.url } }, "stall_timeout_ms": 60_000 });
    let plugin = Harness::registered("openai").config(config).real_time().start();
    let models = plugin.call_as(Who::plugin("models"), MODELS, json!({})).payload()["models"].clone();
    assert_eq!(models, json!([{ "id": "tiny", "name": "tiny", "provider": "openai" }]));
    silent.wait_closed();
}

#[test]
fn what_is_wrong_in_the_configuration_is_named() {
    let refused = |config: Value| Harness::registered("openai").config(config).create_error();
    assert!(refused(json!({ "base_url": "file:///x" })).contains("base_url: "));
    assert!(refused(json!({ "providers": { "a/b": { "base_url": "http://x" } } })).contains("without slashes"));
    assert!(refused(json!({ "providers": { "a": { "base_url": "x" } } })).contains("providers.a.base_url: "));
    assert!(refused(json!({ "headers": { "Authorization": "Bearer x" } })).contains("api_key_file"));
    assert!(refused(json!({ "api_key": "x" })).contains("api_key"));
}
