//! What both of OpenAI's doors share: numbers of tokens, server-sent events, and the parameters that cannot be met.

use plugin_api::contracts::Usage;
use plugin_api::http::{self, Outgoing, Response};
use serde_json::Value;

use crate::refusal::Refusal;

/// Tokens read, of which from a cache, and written.
pub fn tokens(usage: &Usage) -> (u64, u64, u64) {
    (usage.input + usage.cache_read + usage.cache_write, usage.cache_read, usage.output)
}

/// The head of a stream.
pub fn stream_head() -> Response {
    Response::begin("text/event-stream; charset=utf-8")
        .header("cache-control", "no-cache")
        .header("x-accel-buffering", "no")
}

/// Sends an event without a name.
pub async fn send(out: &mut Outgoing, value: &Value) -> http::Result {
    out.write(format!("data: {value}\n\n").as_bytes()).await
}

/// Sends a comment, which clients pass over.
pub async fn keep_alive(out: &mut Outgoing) -> http::Result {
    out.write(b": keep-alive\n\n").await
}

/// That was all.
pub async fn done(mut out: Outgoing) -> http::Result {
    out.write(b"data: [DONE]\n\n").await?;
    out.end()
}

/// Seconds since the epoch.
pub fn now() -> u64 {
    schemas::now_ms() / 1000
}

/// A flag that may be absent.
pub fn flag(body: &Value, name: &str) -> Result<bool, Refusal> {
    match &body[name] {
        Value::Null => Ok(false),
        Value::Bool(set) => Ok(*set),
        _ => Err(Refusal::of(name, format!("{name} has to be true or false"))),
    }
}

/// A text that may be absent.
pub fn text<'a>(body: &'a Value, name: &str) -> Result<Option<&'a str>, Refusal> {
    match &body[name] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(Refusal::of(name, format!("{name} has to be a text"))),
    }
}

/// Tools are the agent's own; those of a client have nobody to call them.
pub fn no_tools(body: &Value, names: &[&str]) -> Result<(), Refusal> {
    for name in names {
        let is_there = match &body[*name] {
            Value::Null => false,
            Value::Array(list) => !list.is_empty(),
            _ => true,
        };
        if is_there {
            let why = "tools of the client are not supported; the agent uses the tools it is configured with";
            return Err(Refusal::of(*name, why).code("unsupported_parameter"));
        }
    }
    Ok(())
}

/// An answer is text; a promise of another form would not be kept.
pub fn plain_format(format: &Value, name: &str) -> Result<(), Refusal> {
    match format["type"].as_str() {
        None if format.is_null() => Ok(()),
        Some("text") => Ok(()),
        _ => Err(Refusal::of(name, "answers are text; other formats are not supported").code("unsupported_parameter")),
    }
}

/// How much the agent shall think.
pub fn thinking(effort: Option<&str>) -> Option<String> {
    let level = match effort? {
        "none" => "off",
        level @ ("minimal" | "low" | "medium" | "high" | "xhigh") => level,
        _ => return None,
    };
    Some(level.to_string())
}
