//! An answer, put together from what a program writes.

use plugin_api::contracts::backend::{BackendResult, Piece, code};
use plugin_api::contracts::{Message, Part, Usage, role};
use serde::Deserialize;
use serde_json::Value;

/// A line of `output = "jsonl"`.
pub(crate) enum Line {
    Piece(Piece),
    Result(Told),
    Error { code: &'static str, message: String },
    Unknown,
}

/// The line `result`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Told {
    text: Option<String>,
    usage: Usage,
    model: Option<String>,
    stop_reason: Option<String>,
}

impl Line {
    pub(crate) fn parse(line: &[u8]) -> Line {
        let Ok(line) = serde_json::from_slice::<Value>(line) else { return Line::Unknown };
        match line["type"].as_str() {
            Some("result") => Line::Result(
                Told::deserialize(&line)
                    .unwrap_or_else(|_| Told { text: line["text"].as_str().map(str::to_string), ..Told::default() }),
            ),
            Some("error") => {
                let known = [
                    code::AUTH,
                    code::UNKNOWN_MODEL,
                    code::RATE_LIMIT,
                    code::OVERLOADED,
                    code::UNREACHABLE,
                    code::CONTEXT_LENGTH,
                    code::REFUSED,
                ];
                let told = line["code"].as_str().unwrap_or_default();
                let code = known.into_iter().find(|code| *code == told).unwrap_or(code::BROKEN_STREAM);
                Line::Error { code, message: line["message"].as_str().unwrap_or("no reason was given").to_string() }
            }
            Some(_) => match Piece::deserialize(&line) {
                Ok(Piece::Other) | Err(_) => Line::Unknown,
                Ok(piece) => Line::Piece(piece),
            },
            None => Line::Unknown,
        }
    }
}

/// An answer that is coming in.
pub(crate) struct Assembly {
    provider: String,
    model: Option<String>,
    content: Vec<Part>,
    end: Option<Told>,
}

impl Assembly {
    pub(crate) fn new(model: Option<String>) -> Self {
        Assembly { provider: "command".to_string(), model, content: Vec::new(), end: None }
    }

    /// Which model answers, if that is known before the program says so.
    pub(crate) fn model_piece(&self) -> Option<Piece> {
        Some(Piece::Model { provider: self.provider.clone(), model: self.model.clone()? })
    }

    /// Takes a piece, and gives it back if there is anything in it.
    pub(crate) fn take(&mut self, piece: Piece) -> Option<Piece> {
        match &piece {
            Piece::Text { delta } | Piece::Thinking { delta } if delta.is_empty() => return None,
            Piece::Text { delta } => match self.content.last_mut() {
                Some(Part::Text { text }) => text.push_str(delta),
                _ => self.content.push(Part::Text { text: delta.clone() }),
            },
            Piece::Thinking { delta } => match self.content.last_mut() {
                Some(Part::Thinking { thinking, .. }) => thinking.push_str(delta),
                _ => self.content.push(Part::Thinking { thinking: delta.clone(), signature: None }),
            },
            Piece::Model { provider, model } => {
                self.provider.clone_from(provider);
                self.model = Some(model.clone());
            }
            Piece::Tool { .. } => {}
            Piece::Other => return None,
        }
        Some(piece)
    }

    /// Takes the result. Its text counts; it is a piece if none came before it.
    pub(crate) fn end(&mut self, told: Told) -> Option<Piece> {
        let has_text = self.content.iter().any(|part| matches!(part, Part::Text { .. }));
        let piece = told.text.clone().filter(|text| !has_text && !text.is_empty());
        if let Some(text) = told.text.clone().filter(|text| !text.is_empty()) {
            self.content.retain(|part| !matches!(part, Part::Text { .. }));
            self.content.push(Part::Text { text });
        }
        self.end = Some(told);
        piece.map(|delta| Piece::Text { delta })
    }

    pub(crate) fn has_result(&self) -> bool {
        self.end.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        let is_said = |part: &Part| matches!(part, Part::Text { text } if !text.trim().is_empty());
        !self.content.iter().any(is_said)
    }

    pub(crate) fn finish(mut self) -> BackendResult {
        // The line feed at the end of what programs write is no part of the answer.
        if let Some(Part::Text { text }) = self.content.last_mut() {
            text.truncate(text.trim_end().len());
        }
        let end = self.end.unwrap_or_default();
        let mut usage = end.usage;
        if usage.total_tokens == 0 {
            let counts = [usage.input, usage.output, usage.cache_read, usage.cache_write];
            usage.total_tokens = counts.into_iter().fold(0, u64::saturating_add);
        }
        let told = end.stop_reason.as_deref();
        let stop_reason = told.filter(|told| ["length", "refusal"].contains(told)).unwrap_or("stop");
        let message = Message {
            role: role::ASSISTANT.to_string(),
            content: self.content,
            timestamp: Some(schemas::now_ms()),
            stop_reason: Some(stop_reason.to_string()),
            usage: Some(usage),
            provider: Some(self.provider),
            model: end.model.or(self.model),
            ..Message::default()
        };
        BackendResult { message, usage }
    }
}
