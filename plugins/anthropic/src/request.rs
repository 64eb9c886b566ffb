//! A conversation as `POST /v1/messages` takes it.

use outside::backend::presentable;
use plugin_api::contracts::backend::BackendRun;
use plugin_api::contracts::{Message, Part, role};
use serde_json::{Value, json};

use crate::Thinking;

/// Signatures that begin like this are of thoughts that nobody may read; what follows is the thought.
pub(crate) const HIDDEN: &str = "redacted_thinking:";

/// How requests are written, as configured.
pub(crate) struct Style {
    pub max_tokens: u64,
    pub thinking: Thinking,
    pub cache: bool,
}

/// The request.
pub(crate) fn body(run: &BackendRun, model: &str, provider: &str, style: &Style) -> Value {
    let mut max_tokens = run.max_tokens.unwrap_or(style.max_tokens);
    let mut body = json!({ "model": model, "stream": true, "messages": messages(run, provider, style.cache) });
    if let Some(system) = run.system.as_deref().filter(|system| !system.trim().is_empty()) {
        let mut block = json!({ "type": "text", "text": system });
        if style.cache {
            block["cache_control"] = json!({ "type": "ephemeral" });
        }
        body["system"] = json!([block]);
    }
    if !run.tools.is_empty() {
        let tools = run
            .tools
            .iter()
            .map(|tool| json!({ "name": tool.name, "description": tool.description, "input_schema": tool.parameters }));
        body["tools"] = tools.collect();
    }
    let level = run.thinking.as_deref().unwrap_or("off");
    match (style.thinking, level) {
        (_, "off" | "") => {}
        (Thinking::Adaptive, _) => {
            let effort = match level {
                "minimal" | "low" => "low",
                "medium" => "medium",
                "xhigh" => "max",
                _ => "high",
            };
            body["thinking"] = json!({ "type": "adaptive" });
            body["output_config"] = json!({ "effort": effort });
        }
        (Thinking::Budget, _) => {
            let budget = match level {
                "minimal" => 1_024,
                "low" => 2_048,
                "medium" => 8_192,
                "xhigh" => 32_768,
                _ => 16_384,
            };
            max_tokens += budget;
            body["thinking"] = json!({ "type": "enabled", "budget_tokens": budget });
        }
    }
    body["max_tokens"] = max_tokens.into();
    body
}

/// Turns of user and assistant, in turn: what follows each other in one role is one turn. What tools answered is the
/// user's, and stands first in its turn.
fn messages(run: &BackendRun, provider: &str, cache: bool) -> Vec<Value> {
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for message in presentable(&run.messages) {
        let (speaker, blocks) = match message.role.as_str() {
            role::ASSISTANT => ("assistant", assistant(&message, provider)),
            role::TOOL_RESULT => ("user", vec![tool_result(&message)]),
            _ => ("user", message.content.iter().filter_map(shown).collect()),
        };
        match turns.last_mut() {
            _ if blocks.is_empty() => {}
            Some((last, known)) if *last == speaker => known.extend(blocks),
            None if speaker == "assistant" => {
                // Their first turn is the user's; here the conversation's beginning was left out.
                turns.push(("user", vec![json!({ "type": "text", "text": "(The conversation began earlier.)" })]));
                turns.push((speaker, blocks));
            }
            _ => turns.push((speaker, blocks)),
        }
    }
    if let Some(block) = turns.last_mut().filter(|_| cache).and_then(|(_, blocks)| blocks.last_mut())
        && !matches!(block["type"].as_str(), Some("thinking" | "redacted_thinking"))
    {
        block["cache_control"] = json!({ "type": "ephemeral" });
    }
    turns.into_iter().map(|(speaker, blocks)| json!({ "role": speaker, "content": blocks })).collect()
}

/// What can be shown anywhere. There are no empty texts there.
fn shown(part: &Part) -> Option<Value> {
    match part {
        Part::Text { text } if !text.trim().is_empty() => Some(json!({ "type": "text", "text": text })),
        Part::Image { mime_type, data } => {
            Some(json!({ "type": "image", "source": { "type": "base64", "media_type": mime_type, "data": data } }))
        }
        _ => None,
    }
}

fn assistant(message: &Message, provider: &str) -> Vec<Value> {
    // Thoughts go back to whom they are of, and nobody else can check their signature.
    let is_own = message.provider.as_deref().is_none_or(|known| known == provider);
    let block = |part: &Part| match part {
        Part::Thinking { thinking, signature } => {
            let signature = signature.as_deref().filter(|signature| is_own && !signature.is_empty())?;
            Some(match signature.strip_prefix(HIDDEN) {
                Some(data) => json!({ "type": "redacted_thinking", "data": data }),
                None => json!({ "type": "thinking", "thinking": thinking, "signature": signature }),
            })
        }
        Part::ToolCall { id, name, arguments } => {
            Some(json!({ "type": "tool_use", "id": call_id(id), "name": name, "input": arguments }))
        }
        Part::Image { .. } => None,
        other => shown(other),
    };
    message.content.iter().filter_map(block).collect()
}

fn tool_result(message: &Message) -> Value {
    let id = call_id(message.tool_call_id.as_deref().unwrap_or_default());
    let content: Vec<Value> = message.content.iter().filter_map(shown).collect();
    let mut block = json!({ "type": "tool_result", "tool_use_id": id, "content": content });
    if message.is_error == Some(true) {
        block["is_error"] = true.into();
    }
    block
}

/// An id as they take it, where another provider's has other characters.
fn call_id(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect()
}
