//! An answer, put together from a session's updates.

use std::collections::HashMap;

use plugin_api::contracts::backend::{BackendResult, Piece};
use plugin_api::contracts::{Message, Part, Usage, role};
use serde_json::Value;

/// Tool calls whose names are kept at once.
const MOST_TOOLS: usize = 1_024;
/// Longest name of a tool call: programs put what it is about into it.
const LONGEST_NAME: usize = 200;

/// An answer that is coming in.
#[derive(Default)]
pub(crate) struct Assembly {
    pub model: Option<String>,
    content: Vec<Part>,
    usage: Usage,
    /// Names of the calls that have begun and not ended.
    tools: HashMap<String, String>,
}

impl Assembly {
    /// Takes an update, and gives what is new with it.
    pub(crate) fn take(&mut self, update: &Value) -> Vec<Piece> {
        let text = || update["content"]["text"].as_str().filter(|text| !text.is_empty()).map(str::to_string);
        match update["sessionUpdate"].as_str().unwrap_or_default() {
            "agent_message_chunk" => {
                let Some(delta) = text() else { return Vec::new() };
                match self.content.last_mut() {
                    Some(Part::Text { text }) => text.push_str(&delta),
                    _ => self.content.push(Part::Text { text: delta.clone() }),
                }
                vec![Piece::Text { delta }]
            }
            "agent_thought_chunk" => {
                let Some(delta) = text() else { return Vec::new() };
                match self.content.last_mut() {
                    Some(Part::Thinking { thinking, .. }) => thinking.push_str(&delta),
                    _ => self.content.push(Part::Thinking { thinking: delta.clone(), signature: None }),
                }
                vec![Piece::Thinking { delta }]
            }
            kind @ ("tool_call" | "tool_call_update") => self.tool(kind == "tool_call", update),
            _ => Vec::new(),
        }
    }

    fn tool(&mut self, is_new: bool, update: &Value) -> Vec<Piece> {
        let Some(id) = update["toolCallId"].as_str() else { return Vec::new() };
        let given = |name: &str| Some(update[name].clone()).filter(|value| !value.is_null());
        let named = update["title"].as_str().filter(|title| !title.is_empty());
        let named = named.map(|title| title.chars().take(LONGEST_NAME).collect::<String>());
        let is_known = self.tools.contains_key(id);
        let name = named.or_else(|| self.tools.get(id).cloned()).unwrap_or_else(|| "tool".to_string());
        let piece = |phase: &str, args, result, is_error| Piece::Tool {
            phase: phase.to_string(),
            name: name.clone(),
            tool_call_id: id.to_string(),
            args,
            result,
            is_error,
        };
        let status = update["status"].as_str().unwrap_or_default();
        let is_over = matches!(status, "completed" | "failed");
        let mut pieces = Vec::new();
        if is_new || !is_known {
            pieces.push(piece("start", given("rawInput"), None, false));
        }
        let result = given("rawOutput").or_else(|| given("content"));
        if is_over {
            pieces.push(piece("result", None, result, status == "failed"));
            self.tools.remove(id);
        } else {
            if is_known && !is_new {
                pieces.push(piece("update", None, result, false));
            }
            if is_known || self.tools.len() < MOST_TOOLS {
                self.tools.insert(id.to_string(), name.clone());
            }
        }
        pieces
    }

    /// What programs tell of their costs, if they do.
    pub(crate) fn count(&mut self, usage: &Value) {
        let count = |name: &str| usage[name].as_u64().unwrap_or(0);
        self.usage = Usage {
            input: count("inputTokens"),
            output: count("outputTokens"),
            cache_read: count("cachedReadTokens"),
            cache_write: count("cachedWriteTokens"),
            total_tokens: count("totalTokens"),
        };
    }

    /// The answer; `None` if it did not come to its end.
    pub(crate) fn finish(&mut self, reason: &str) -> Option<BackendResult> {
        let stop_reason = match reason {
            "end_turn" => "stop",
            "max_tokens" | "max_turn_requests" => "length",
            "refusal" => "refusal",
            _ => return None,
        };
        let message = Message {
            role: role::ASSISTANT.to_string(),
            content: std::mem::take(&mut self.content),
            timestamp: Some(schemas::now_ms()),
            stop_reason: Some(stop_reason.to_string()),
            usage: Some(self.usage),
            provider: Some("acp".to_string()),
            model: self.model.clone(),
            ..Message::default()
        };
        Some(BackendResult { message, usage: self.usage })
    }
}
