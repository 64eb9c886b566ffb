//! An answer, put together from the events of its stream.

use plugin_api::contracts::backend::{BackendResult, Piece};
use plugin_api::contracts::{Message, Part, Usage, role};
use serde_json::Value;

use crate::request::HIDDEN;

/// Blocks of one answer at most.
const MOST_BLOCKS: usize = 1_024;

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
    blocks: Vec<(u64, Block)>,
    usage: Usage,
    stop: Option<String>,
    is_done: bool,
}

enum Block {
    Text(String),
    Thinking {
        thinking: String,
        signature: String,
    },
    Hidden(String),
    ToolUse {
        id: String,
        name: String,
        input: Value,
        json: String,
    },
    /// A kind that this version does not know.
    Other,
}

impl Assembly {
    pub(crate) fn new(model: &str) -> Self {
        Assembly { model: model.to_string(), blocks: Vec::new(), usage: Usage::default(), stop: None, is_done: false }
    }

    /// Whether its last event has come.
    pub(crate) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Takes an event, and gives what is new with it.
    pub(crate) fn take(&mut self, data: &str, provider: &str) -> Result<Option<Piece>, Broken> {
        let event: Value = serde_json::from_str(data)
            .map_err(|error| Broken::Ununderstood(format!("an event is no JSON: {error}")))?;
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => {
                if let Some(model) = event["message"]["model"].as_str().filter(|model| !model.is_empty()) {
                    self.model = model.to_string();
                }
                self.count(&event["message"]["usage"]);
                return Ok(Some(Piece::Model { provider: provider.to_string(), model: self.model.clone() }));
            }
            "content_block_start" => return self.begin(&event),
            "content_block_delta" => return self.more(&event),
            "message_delta" => {
                if let Some(stop) = event["delta"]["stop_reason"].as_str() {
                    self.stop = Some(stop.to_string());
                }
                self.count(&event["usage"]);
            }
            "message_stop" => self.is_done = true,
            "error" => return Err(Broken::Told(data.to_string())),
            // Pings, ends of blocks, and what may come one day.
            _ => {}
        }
        Ok(None)
    }

    fn begin(&mut self, event: &Value) -> Result<Option<Piece>, Broken> {
        if self.blocks.len() == MOST_BLOCKS {
            return Err(Broken::Ununderstood(format!("more than {MOST_BLOCKS} blocks")));
        }
        let given = &event["content_block"];
        let text = |name: &str| given[name].as_str().unwrap_or_default().to_string();
        let block = match given["type"].as_str().unwrap_or_default() {
            "text" => Block::Text(text("text")),
            "thinking" => Block::Thinking { thinking: text("thinking"), signature: text("signature") },
            "redacted_thinking" => Block::Hidden(text("data")),
            "tool_use" => {
                let (id, name, input) = (text("id"), text("name"), given["input"].clone());
                Block::ToolUse { id, name, input, json: String::new() }
            }
            _ => Block::Other,
        };
        let piece = match &block {
            Block::Text(text) if !text.is_empty() => Some(Piece::Text { delta: text.clone() }),
            Block::Thinking { thinking, .. } if !thinking.is_empty() => {
                Some(Piece::Thinking { delta: thinking.clone() })
            }
            _ => None,
        };
        self.blocks.push((event["index"].as_u64().unwrap_or_default(), block));
        Ok(piece)
    }

    fn more(&mut self, event: &Value) -> Result<Option<Piece>, Broken> {
        let index = event["index"].as_u64().unwrap_or_default();
        let block = self.blocks.iter_mut().rev().find(|(known, _)| *known == index).map(|(_, block)| block);
        let block = block.ok_or_else(|| Broken::Ununderstood(format!("more of block {index}, which never began")))?;
        let delta = &event["delta"];
        let new = |name: &str| delta[name].as_str().unwrap_or_default();
        Ok(match (delta["type"].as_str().unwrap_or_default(), block) {
            ("text_delta", Block::Text(text)) => {
                text.push_str(new("text"));
                Some(Piece::Text { delta: new("text").to_string() })
            }
            ("thinking_delta", Block::Thinking { thinking, .. }) => {
                thinking.push_str(new("thinking"));
                Some(Piece::Thinking { delta: new("thinking").to_string() })
            }
            ("signature_delta", Block::Thinking { signature, .. }) => {
                signature.push_str(new("signature"));
                None
            }
            ("input_json_delta", Block::ToolUse { json, .. }) => {
                json.push_str(new("partial_json"));
                None
            }
            _ => None,
        })
    }

    /// Later counts are of the whole answer up to there, and leave out what has not changed.
    fn count(&mut self, usage: &Value) {
        let keep = |known: &mut u64, name: &str| *known = usage[name].as_u64().unwrap_or(*known);
        keep(&mut self.usage.input, "input_tokens");
        keep(&mut self.usage.output, "output_tokens");
        keep(&mut self.usage.cache_read, "cache_read_input_tokens");
        keep(&mut self.usage.cache_write, "cache_creation_input_tokens");
        let Usage { input, output, cache_read, cache_write, .. } = self.usage;
        self.usage.total_tokens = [input, output, cache_read, cache_write].into_iter().fold(0, u64::saturating_add);
        self.usage = self.usage.bounded();
    }

    /// The answer, if it came to its end.
    pub(crate) fn finish(self, provider: &str) -> Result<BackendResult, Broken> {
        let Some(stop) = self.stop.filter(|_| self.is_done) else {
            return Err(Broken::Ununderstood("the stream ended before the answer did".to_string()));
        };
        let is_cut = matches!(stop.as_str(), "max_tokens" | "model_context_window_exceeded");
        let mut content = Vec::new();
        let mut calls = 0;
        for (index, block) in self.blocks {
            match block {
                Block::Text(text) if !text.is_empty() => content.push(Part::Text { text }),
                Block::Thinking { thinking, signature } => {
                    let signature = Some(signature).filter(|signature| !signature.is_empty());
                    content.push(Part::Thinking { thinking, signature });
                }
                Block::Hidden(data) => {
                    content
                        .push(Part::Thinking { thinking: String::new(), signature: Some(format!("{HIDDEN}{data}")) });
                }
                Block::ToolUse { id, name, input, json } => {
                    let arguments = if json.trim().is_empty() { Some(input) } else { serde_json::from_str(&json).ok() };
                    match arguments.filter(Value::is_object) {
                        Some(arguments) => {
                            content.push(Part::ToolCall { id, name, arguments });
                            calls += 1;
                        }
                        // The last one of an answer that was cut is half a call, and nobody's fault.
                        None if is_cut => {}
                        None => return Err(Broken::Ununderstood(format!("the input of block {index} is no object"))),
                    }
                }
                Block::Text(_) | Block::Other => {}
            }
        }
        let stop_reason = match stop.as_str() {
            _ if is_cut => "length",
            "refusal" => "refusal",
            _ if calls > 0 => "toolUse",
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
