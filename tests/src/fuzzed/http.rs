//! Requests at the HTTP doors: chat completions, responses, models, tools, hooks. Every answer has a status that the door knows,
//! a body of its shape, and no secret in it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_doors::Doors;
use plugin_hooks::Hooks;
use plugin_kit::http::{Answer, Ask};
use plugin_kit::{Harness, Running, StubCall};
use schemas::ErrorShape;
use serde_json::{Value, json};

use super::{SECRET, choice, hides_secrets, line};

/// The hooks' own.
const TOKEN: &str = "s3cret-token-of-the-hooks";
/// Inputs for one pair of instances: a harness remembers all that it saw.
const INPUTS: u32 = 500;
/// Where requests go.
const PATHS: [&str; 10] = [
    "/v1/chat/completions",
    "/v1/responses",
    "/tools/invoke",
    "/v1/models",
    "/hooks/agent",
    "/hooks/wake",
    "/hooks/ci",
    "/hooks/woken",
    "/v1/chat/completions/more",
    "/hooks",
];

struct Kept {
    doors: Running,
    hooks: Running,
    inputs: u32,
}

static KEPT: Mutex<Option<Kept>> = Mutex::new(None);

fn kept() -> MutexGuard<'static, Option<Kept>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stops the instances.
pub fn rest() {
    drop(kept().take());
}

/// An agent that says the same to everybody, and one that there is not.
fn runs(call: &StubCall) {
    if call.params()["agentId"] == "nobody" {
        return call.finish(Err(ErrorShape::invalid_request("unknown agent")));
    }
    let run_id = &call.params()["runId"];
    call.interim(json!({ "runId": run_id, "status": "accepted", "acceptedAt": 1 }));
    call.finish(Ok(json!({
        "runId": run_id, "status": "ok", "sessionKey": "s", "agentId": "main", "endedAt": 2, "text": "hello",
    })));
}

impl Kept {
    fn new() -> Kept {
        let row = |name: &str, effects: bool| {
            let spec = json!({
                "name": name, "role": "operator", "scopes": ["operator.read"], "effects": effects, "tool": true,
                "params": { "type": "object", "properties": { "action": {}, "sessionKey": {} } },
            });
            json!({ "kind": "method", "plugin": "weather", "spec": spec })
        };
        let methods = json!([row("weather.report", false), row("weather.change", true)]);
        let doors = Harness::new::<Doors>()
            .config(json!({ "chat_completions": true, "responses": true, "tools": true }))
            .answer_with("agents.get", |call| match call.params()["agentId"].as_str() {
                Some(id @ ("main" | "ops")) => call.finish(Ok(json!({ "agentId": id, "models": ["echo"] }))),
                _ => call.finish(Err(ErrorShape::invalid_request("unknown agent"))),
            })
            .answer_with("session.store.transcript", |call| {
                call.finish(Ok(json!({ "key": call.params()["key"], "messages": [], "total": 0 })));
            })
            .answer("agents.list", json!({ "agents": [{ "id": "main" }, { "id": "ops" }] }))
            .answer("agent.abort", json!({ "runIds": [] }))
            .answer("host.registry.list", json!({ "plugins": [], "methods": methods, "events": [] }))
            .answer_with("weather.report", |call| call.finish(Ok(call.params().clone())))
            .answer_with("weather.change", |_| panic!("what has effects is not open"))
            .answer_with("agent.run", |call| runs(&call))
            .start();
        let mappings = json!({
            "ci": { "message": "{{/repo}} is {{/state}}", "session": "hook:{{/repo}}", "when": { "pointer": "/on", "equals": "ci" } },
            "woken": { "action": "wake", "message": "{{/text}}" },
        });
        let hooks = Harness::new::<Hooks>()
            .config(json!({ "enabled": true, "token": TOKEN, "mappings": mappings, "agents": ["main", "nobody"] }))
            .answer("wake", json!({ "ok": true }))
            .answer("send", json!({ "messageId": "1" }))
            .answer("send.deliver", json!({ "runId": "r", "channel": "telegram", "messageId": "1" }))
            .answer_with("agent.run", |call| runs(&call))
            .start();
        Kept { doors, hooks, inputs: 0 }
    }
}

pub fn run(data: &[u8]) {
    let mut place = kept();
    if place.as_ref().is_some_and(|kept| kept.inputs >= INPUTS) {
        *place = None;
    }
    let kept = place.get_or_insert_with(Kept::new);
    kept.inputs += 1;
    let (way, rest) = choice(data);
    let path = PATHS[usize::from(way) % PATHS.len()];
    let shows_token = way < 200;
    let (head, body) = match way & 0x10 {
        0 => ("", rest),
        _ => split(rest),
    };
    let says_token = String::from_utf8_lossy(data).contains(SECRET);
    let mut ask = if path == "/v1/models" { Ask::get(path) } else { Ask::post(path, body) };
    ask = ask.header("content-type", "application/json");
    if let Some((name, value)) = head.split_once(':') {
        ask = ask.header(name.trim(), value.trim());
    }
    if path.starts_with("/hooks") {
        // A wrong token makes its sender wait, which is tried elsewhere: here there is the right one, or none.
        let guesses = ["authorization", "x-openclaw-token", "x-moltbot-token", "x-clawdbot-token"];
        if guesses.iter().any(|name| head.to_ascii_lowercase().contains(name)) {
            return;
        }
        let asked = if shows_token { ask.header("x-openclaw-token", TOKEN) } else { ask };
        let answer = kept.hooks.http(asked).wait();
        kept.hooks.settle();
        of_hooks(&answer, shows_token);
        if !says_token {
            hides_secrets(&answer.text());
        }
        return;
    }
    let answer = kept.doors.http(ask).wait();
    kept.doors.settle();
    of_doors(path, &answer);
}

/// The first line as a header, and the rest as the body.
fn split(data: &[u8]) -> (&str, &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    match std::str::from_utf8(&data[..end]) {
        Ok(head) if head.chars().all(|c| c.is_ascii_graphic() || c == ' ') => {
            (head, data.get(end + 1..).unwrap_or_default())
        }
        _ => ("", data),
    }
}

fn of_hooks(answer: &Answer, shows_token: bool) {
    assert!(answer.whole, "{answer:?}");
    let known = [200, 202, 204, 400, 404, 413, 503];
    let fits = if shows_token { known.contains(&answer.status) } else { answer.status == 401 };
    assert!(fits, "{answer:?}");
    if answer.body.is_empty() {
        return;
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    if answer.status < 300 {
        assert_eq!(body["ok"], true, "{answer:?}");
    } else if body.is_object() {
        assert!(body["ok"] == false && body["error"].as_str().is_some_and(|why| !why.is_empty()), "{answer:?}");
    }
}

fn of_doors(path: &str, answer: &Answer) {
    assert!(answer.whole, "{answer:?}");
    assert!([200, 400, 404, 413, 415, 429, 503].contains(&answer.status), "{answer:?}");
    if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
        return is_a_stream(&answer.text());
    }
    // What is below a door is nowhere, and said so by the gateway's own words.
    if path.ends_with("/more") {
        return assert_eq!(answer.status, 404);
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    match (answer.status, path) {
        (200, "/v1/models") => assert_eq!(body["object"], "list"),
        (200, "/tools/invoke") => assert_eq!(body["ok"], true),
        (200, "/v1/responses") => assert_eq!(body["status"], "completed", "{body}"),
        (200, _) => assert_eq!(body["choices"][0]["message"]["content"], "hello", "{body}"),
        _ => assert!(body["error"]["message"].as_str().is_some_and(|why| !why.is_empty()), "{body}"),
    }
}

/// Events with JSON in them, up to the one that says that there are no more.
fn is_a_stream(text: &str) {
    let events: Vec<&str> = text.split("\n\n").filter(|event| !event.is_empty() && !event.starts_with(':')).collect();
    let data = |event: &str| event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_string);
    let last = events.last().and_then(|event| data(event));
    for event in &events {
        let data = data(event).unwrap_or_else(|| panic!("an event without data: {text}"));
        assert!(data == "[DONE]" || serde_json::from_str::<Value>(&data).is_ok(), "{data}");
    }
    let (_, rest) = line(text);
    assert!(!rest.is_empty() && last.is_some(), "{text}");
}
