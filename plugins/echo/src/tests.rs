use std::time::Duration;

use plugin_kit::{Harness, Running, Who};
use serde_json::{Value, json};

use super::{Echo, words};

fn start(word_ms: u64) -> Running {
    Harness::new::<Echo>().config(json!({ "word_ms": word_ms })).start()
}

fn run(text: &str) -> Value {
    json!({
        "runId": "r", "sessionKey": "agent:main:main", "agentId": "main",
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": text }] }],
        "tools": [{ "name": "node_invoke", "description": "", "parameters": { "type": "object" } }],
    })
}

fn ask(echo: &Running, run: Value) -> plugin_kit::Outcome {
    echo.call_as(Who::plugin("agent"), "agent.backend.echo.run", run)
}

#[test]
fn it_says_what_it_is_told_word_by_word() {
    let echo = start(15);
    let call = echo.begin_as(Who::plugin("agent"), "agent.backend.echo.run", run("one  two\nthree "));
    echo.settle();
    assert!(!call.is_done(), "there is a pause after each word");
    echo.advance(Duration::from_millis(30));
    let outcome = call.wait();
    let pieces: Vec<_> = outcome.interims.iter().filter_map(|piece| piece["delta"].as_str()).collect();
    assert_eq!(pieces, ["one  ", "two\n", "three "]);
    let result = outcome.payload();
    assert_eq!(result["message"]["content"], json!([{ "type": "text", "text": "one  two\nthree " }]));
    assert_eq!((&result["usage"]["input"], &result["usage"]["totalTokens"]), (&json!(3), &json!(6)));
    assert_eq!(result["message"]["stopReason"], "stop");
}

#[test]
fn a_tool_can_be_tried() {
    let echo = start(0);
    let result = ask(&echo, run("/tool node_invoke {\"nodeId\": \"n\"}")).payload();
    let part = &result["message"]["content"][0];
    assert_eq!((&part["type"], &part["name"]), (&json!("toolCall"), &json!("node_invoke")));
    assert_eq!((&part["arguments"], &result["message"]["stopReason"]), (&json!({ "nodeId": "n" }), &json!("toolUse")));
    for text in ["/tool agent {}", "/tool node_invoke [1]", "/tool node_invoke {"] {
        let said = ask(&echo, run(text)).payload();
        assert_eq!(said["message"]["content"][0]["text"], text, "what is no tool's call is text");
    }
    let mut answered = run("/tool node_invoke {}");
    let messages = answered["messages"].as_array_mut().expect("messages");
    messages.push(json!({ "role": "assistant", "content": [part] }));
    messages.push(json!({ "role": "toolResult", "content": [{ "type": "text", "text": "/tool node_invoke {}" }] }));
    assert_eq!(ask(&echo, answered).payload()["message"]["content"][0]["text"], "/tool node_invoke {}");
}

#[test]
fn another_model_is_unknown() {
    let echo = start(0);
    let mut run = run("hi");
    run["model"] = json!("large");
    assert_eq!(ask(&echo, run).error().details.expect("details")["code"], "UNKNOWN_MODEL");
    let models = echo.call_as(Who::plugin("models"), "agent.backend.echo.models", json!({})).payload();
    assert_eq!(models["models"][0]["id"], "echo");
}

#[test]
fn words_are_the_text() {
    for text in ["", "a", " a", "a b", "a\n\n b  ", "ä ö"] {
        let joined: String = words(text).collect();
        assert_eq!(joined, if text.trim().is_empty() { "" } else { text }, "{text:?}");
    }
}
