//! A conversation as `POST /chat/completions` takes it.

use outside::backend::presentable;
use plugin_api::contracts::backend::BackendRun;
use plugin_api::contracts::{Message, Part, role};
use serde_json::{Value, json};

/// The request. OpenAI itself has another name for the longest answer than everybody else.
pub(crate) fn body(run: &BackendRun, model: &str, is_openai: bool) -> Value {
    let mut body = json!({
        "model": model,
        "messages": messages(run),
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    if !run.tools.is_empty() {
        let tool = |tool: &plugin_api::contracts::backend::ToolOffer| {
            let function = json!({ "name": tool.name, "description": tool.description, "parameters": tool.parameters });
            json!({ "type": "function", "function": function })
        };
        body["tools"] = run.tools.iter().map(tool).collect();
    }
    if let Some(effort) = run.thinking.as_deref().filter(|level| !level.is_empty() && *level != "off") {
        body["reasoning_effort"] = effort.into();
    }
    if let Some(most) = run.max_tokens {
        body[if is_openai { "max_completion_tokens" } else { "max_tokens" }] = most.into();
    }
    body
}

fn messages(run: &BackendRun) -> Vec<Value> {
    let mut messages = Vec::new();
    if let Some(system) = run.system.as_deref().filter(|system| !system.is_empty()) {
        messages.push(json!({ "role": "system", "content": system }));
    }
    let mut shown: Vec<Value> = Vec::new();
    for message in presentable(&run.messages) {
        if message.role != role::TOOL_RESULT && !shown.is_empty() {
            messages.push(json!({ "role": "user", "content": std::mem::take(&mut shown) }));
        }
        match message.role.as_str() {
            role::USER => {
                let content: Vec<Value> = message.content.iter().filter_map(part).collect();
                let is_text = message.content.iter().all(|part| matches!(part, Part::Text { .. }));
                let content = if is_text { message.plain_text().into() } else { Value::from(content) };
                messages.push(json!({ "role": "user", "content": content }));
            }
            role::ASSISTANT => messages.extend(assistant(&message)),
            _ => {
                // What a tool answers is text here; its images are shown after all that the tools said.
                shown.extend(message.content.iter().filter(|part| matches!(part, Part::Image { .. })).filter_map(part));
                let id = message.tool_call_id.as_deref().unwrap_or_default();
                messages.push(json!({ "role": "tool", "tool_call_id": id, "content": message.plain_text() }));
            }
        }
    }
    if !shown.is_empty() {
        messages.push(json!({ "role": "user", "content": shown }));
    }
    messages
}

fn part(part: &Part) -> Option<Value> {
    match part {
        Part::Text { text } => Some(json!({ "type": "text", "text": text })),
        Part::Image { mime_type, data } => {
            let url = format!("data:{mime_type};base64,{data}");
            Some(json!({ "type": "image_url", "image_url": { "url": url } }))
        }
        _ => None,
    }
}

fn assistant(message: &Message) -> Option<Value> {
    let call = |part: &Part| match part {
        Part::ToolCall { id, name, arguments } => {
            let function = json!({ "name": name, "arguments": arguments.to_string() });
            Some(json!({ "id": id, "type": "function", "function": function }))
        }
        _ => None,
    };
    let calls: Vec<Value> = message.content.iter().filter_map(call).collect();
    let text = message.plain_text();
    if text.is_empty() && calls.is_empty() {
        return None;
    }
    let mut shown = json!({ "role": "assistant", "content": if text.is_empty() { Value::Null } else { text.into() } });
    if !calls.is_empty() {
        shown["tool_calls"] = calls.into();
    }
    Some(shown)
}
