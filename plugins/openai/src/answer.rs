//! An answer, put together from the pieces of its stream.

use plugin_api::contracts::backend::{BackendResult, Piece};
use plugin_api::contracts::{Message, Part, Usage, role};
use serde_json::Value;

/// Tool calls of one answer at most.
const MOST_CALLS: usize = 128;

/// Why there will be no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The service told an error amid it; what it said.
    Told(String),
    /// It broke off, or makes no sense; why, for the log.
    Ununderstood(String),
}

/// An answer that is coming in.
pub(crate) struct Assembly {
    model: String,
    model_was_told: bool,
    /// Text and thoughts as they came; tool calls are put behind them.
    content: Vec<Part>,
    calls: Vec<PartialCall>,
    usage: Usage,
    finish: Option<String>,
    refused: bool,
    is_done: bool,
    /// How long the conversation was: part of the ids of calls that come without one.
    length: usize,
}

struct PartialCall {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

impl Assembly {
    pub(crate) fn new(model: &str, length: usize) -> Self {
        Assembly {
            model: model.to_string(),
            model_was_told: false,
            content: Vec::new(),
            calls: Vec::new(),
            usage: Usage::default(),
            finish: None,
            refused: false,
            is_done: false,
            length,
        }
    }

    /// The service says that this was all.
    pub(crate) fn done(&mut self) {
        self.is_done = true;
    }

    /// Whether it has come to its end; what it cost may follow.
    pub(crate) fn is_whole(&self) -> bool {
        self.finish.is_some()
    }

    /// Takes an event, and gives what is new with it.
    pub(crate) fn take(&mut self, data: &str, provider: &str) -> Result<Vec<Piece>, Broken> {
        let event: Value = serde_json::from_str(data)
            .map_err(|error| Broken::Ununderstood(format!("an event is no JSON: {error}")))?;
        if !event["error"].is_null() {
            return Err(Broken::Told(data.to_string()));
        }
        let mut pieces = Vec::new();
        if let Some(model) = event["model"].as_str().filter(|model| !model.is_empty()) {
            self.model = model.to_string();
        }
        if !std::mem::replace(&mut self.model_was_told, true) {
            pieces.push(Piece::Model { provider: provider.to_string(), model: self.model.clone() });
        }
        if event["usage"].is_object() {
            self.usage = usage(&event["usage"]);
        }
        let Some(choice) = event["choices"].as_array().and_then(|choices| choices.first()) else { return Ok(pieces) };
        // An answer in one piece has a message where a stream has deltas.
        let delta = if choice["delta"].is_object() { &choice["delta"] } else { &choice["message"] };
        let thought =
            [&delta["reasoning_content"], &delta["reasoning"]].into_iter().map(text).find(|text| !text.is_empty());
        if let Some(thought) = thought {
            match self.content.last_mut() {
                Some(Part::Thinking { thinking, .. }) => thinking.push_str(&thought),
                _ => self.content.push(Part::Thinking { thinking: thought.clone(), signature: None }),
            }
            pieces.push(Piece::Thinking { delta: thought });
        }
        let refusal = text(&delta["refusal"]);
        self.refused |= !refusal.is_empty();
        for said in [text(&delta["content"]), refusal].into_iter().filter(|said| !said.is_empty()) {
            match self.content.last_mut() {
                Some(Part::Text { text }) => text.push_str(&said),
                _ => self.content.push(Part::Text { text: said.clone() }),
            }
            pieces.push(Piece::Text { delta: said });
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            self.take_call(call)?;
        }
        // Some tell an empty one until there is one.
        if let Some(finish) = choice["finish_reason"].as_str().filter(|finish| !finish.is_empty()) {
            self.finish = Some(finish.to_string());
        }
        Ok(pieces)
    }

    /// Parts of a call have its index. Some services leave that out, or give all calls the same; then an id that was not
    /// there yet begins another call, and without an index a name does.
    fn take_call(&mut self, call: &Value) -> Result<(), Broken> {
        let index = call["index"].as_u64();
        let id = call["id"].as_str().unwrap_or_default();
        let function = &call["function"];
        let name = function["name"].as_str().unwrap_or_default();
        let is_same =
            |known: &PartialCall| known.index == index && (id.is_empty() || known.id.is_empty() || known.id == id);
        let place = self.calls.iter().rposition(is_same).filter(|_| index.is_some() || name.is_empty());
        let known = match place {
            Some(place) => &mut self.calls[place],
            None if self.calls.len() == MOST_CALLS => {
                return Err(Broken::Ununderstood(format!("more than {MOST_CALLS} tool calls")));
            }
            None => {
                let (id, name, arguments) = Default::default();
                self.calls.push(PartialCall { index, id, name, arguments });
                self.calls.last_mut().expect("it was pushed")
            }
        };
        if known.id.is_empty() {
            known.id = id.to_string();
        }
        if known.name.is_empty() {
            known.name = name.to_string();
        }
        match &function["arguments"] {
            Value::String(more) => known.arguments.push_str(more),
            whole @ Value::Object(_) => known.arguments = whole.to_string(),
            _ => {}
        }
        Ok(())
    }

    /// The answer, if it came to its end.
    pub(crate) fn finish(self, provider: &str) -> Result<BackendResult, Broken> {
        let is_empty = self.content.is_empty() && self.calls.is_empty();
        if self.finish.is_none() && (!self.is_done || is_empty) {
            return Err(Broken::Ununderstood("the stream ended before the answer did".to_string()));
        }
        let finish = self.finish.as_deref().unwrap_or("stop");
        let is_cut = finish == "length";
        let mut content = self.content;
        let mut calls = 0;
        for (number, call) in self.calls.into_iter().enumerate() {
            let text = if call.arguments.trim().is_empty() { "{}" } else { call.arguments.as_str() };
            let arguments = serde_json::from_str(text).ok().filter(Value::is_object);
            let Some(arguments) = arguments.filter(|_| !call.name.is_empty()) else {
                // The last one of an answer that was cut is half a call, and nobody's fault.
                if is_cut {
                    continue;
                }
                return Err(Broken::Ununderstood(format!(
                    "tool call {number} has no name, or arguments that are no object"
                )));
            };
            let id = if call.id.is_empty() { format!("call_{}_{number}", self.length) } else { call.id };
            content.push(Part::ToolCall { id, name: call.name, arguments });
            calls += 1;
        }
        let stop_reason = match finish {
            "length" => "length",
            "content_filter" => "refusal",
            _ if calls > 0 => "toolUse",
            _ if self.refused => "refusal",
            _ => "stop",
        };
        let message = Message {
            role: role::ASSISTANT.to_string(),
            content,
            timestamp: Some(schemas::now_ms()),
            stop_reason: Some(stop_reason.to_string()),
            usage: Some(self.usage),
            provider: Some(provider.to_string()),
            model: Some(self.model),
            ..Message::default()
        };
        Ok(BackendResult { message, usage: self.usage })
    }
}

/// A text, or the texts of a list of parts.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

fn usage(usage: &Value) -> Usage {
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let (prompt, output) = (count(&usage["prompt_tokens"]), count(&usage["completion_tokens"]));
    let cached = count(&usage["prompt_tokens_details"]["cached_tokens"]).min(prompt);
    let total_tokens = usage["total_tokens"].as_u64().unwrap_or(prompt.saturating_add(output));
    Usage { input: prompt - cached, output, cache_read: cached, cache_write: 0, total_tokens }.bounded()
}
