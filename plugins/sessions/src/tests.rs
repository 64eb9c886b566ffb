//! The plugin from outside, but for the socket.

mod clients;
mod events;
mod model;
mod store;

use plugin_kit::{Harness, Outcome, Running, Who, sample};
use serde_json::{Value, json};

use super::Sessions;

pub fn harness() -> Harness {
    Harness::new::<Sessions>().answer("host.gateway.info", sample::gateway_info())
}

pub fn start() -> Running {
    harness().start()
}

/// Asks as another plugin does.
pub fn ask(running: &Running, method: &str, params: Value) -> Outcome {
    running.call_as(Who::plugin("agent"), &format!("session.store.{method}"), params)
}

pub fn append(running: &Running, key: &str, messages: Value) -> Value {
    ask(running, "append", json!({ "key": key, "messages": messages })).payload()
}

pub fn message(role: &str, text: &str) -> Value {
    json!({ "role": role, "content": [{ "type": "text", "text": text }] })
}

pub fn numbered(id: u64) -> Value {
    json!({ "id": format!("m{id}"), "role": "user", "content": [{ "type": "text", "text": format!("text {id}") }] })
}

/// Ids of a transcript's messages.
pub fn ids(transcript: &Value) -> Vec<&str> {
    transcript["messages"].as_array().unwrap().iter().map(|message| message["id"].as_str().unwrap()).collect()
}

#[track_caller]
pub fn assert_refused(outcome: Outcome, code: &str, message: &str) {
    let error = outcome.error();
    assert_eq!((error.code.as_str(), error.message.as_str()), (code, message));
}
