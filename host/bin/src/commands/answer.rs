//! An agent's answer as it comes: printed while it grows, and complete in the end.

use client::{Connection, Event, EventStream};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::show::{clean, print};

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// The agent has said it all.
    Said,
    /// It was stopped; why.
    Stopped(String),
    /// It failed; why.
    Failed(String),
}

/// Event `chat`, as far as it is shown; other gateways leave some of it out.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Chat {
    run_id: String,
    state: String,
    message: Value,
    error_message: Option<String>,
    stop_reason: Option<String>,
}

/// Prints what a run says until it ends.
pub async fn follow(
    events: &mut EventStream,
    connection: &Connection,
    run_id: &str,
    text: &mut Text,
) -> Result<Ended, Failure> {
    while let Some(event) = events.next().await {
        if let Event::Lagged { missed } = event {
            return Err(Failure::failed(format!(
                "{missed} events came faster than they were read; see `sessions show`"
            )));
        }
        let Some(chat) = event.payload::<Chat>("chat") else { continue };
        let chat = chat?;
        if chat.run_id != run_id {
            continue;
        }
        if let Some(whole) = plain(&chat.message) {
            print(&text.grow(&whole))?;
        }
        match chat.state.as_str() {
            "final" => return Ok(Ended::Said),
            "aborted" => return Ok(Ended::Stopped(chat.stop_reason.unwrap_or_default())),
            "error" => return Ok(Ended::Failed(chat.error_message.unwrap_or_else(|| "the run failed".to_string()))),
            _ => {}
        }
    }
    Err(connection.closed().await.into())
}

/// Has what runs in a session stopped.
pub async fn stop(connection: &Connection, session_key: &str, run_id: Option<&str>) -> Result<Value, Failure> {
    let mut params = json!({ "sessionKey": session_key });
    if let Some(run_id) = run_id {
        params["runId"] = json!(run_id);
    }
    Ok(connection.request("chat.abort", params).await?)
}

/// The text of a message, whichever form it has.
pub fn plain(message: &Value) -> Option<String> {
    match message.get("content")? {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            (!texts.is_empty()).then(|| texts.concat())
        }
        _ => None,
    }
}

/// What of an answer stands on the terminal already.
#[derive(Debug, Default)]
pub struct Text {
    shown: String,
}

impl Text {
    /// What to print so that all of it stands there: the rest of it, or all on a new line when it is another text.
    pub fn grow(&mut self, whole: &str) -> String {
        if self.shown.trim_end() == whole.trim_end() {
            return String::new();
        }
        let added = match whole.strip_prefix(self.shown.as_str()) {
            Some(added) => visible(added),
            None => format!("\n{}", visible(whole)),
        };
        self.shown = whole.to_string();
        added
    }

    /// What ends it: a new line, unless there is one.
    pub fn finish(&self) -> &'static str {
        if self.shown.is_empty() || self.shown.ends_with('\n') { "" } else { "\n" }
    }
}

/// The text with its lines, and without what a terminal would obey.
pub fn visible(text: &str) -> String {
    text.split_inclusive(['\n', '\t'])
        .map(|piece| match piece.strip_suffix(['\n', '\t']) {
            Some(line) => format!("{}{}", clean(line), &piece[line.len()..]),
            None => clean(piece),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_printed_once() {
        let mut text = Text::default();
        let steps = ["Hel", "Hello\n", "Hello\n", "Hello", "Other\u{1b}[2J", "Other\u{1b}[2J one"];
        let printed: Vec<String> = steps.iter().map(|whole| text.grow(whole)).collect();
        assert_eq!(printed, ["Hel", "lo\n", "", "", "\nOther\\u{1b}[2J", " one"]);
        assert_eq!((text.finish(), Text::default().finish()), ("\n", ""));
        assert_eq!(visible("a\tb\nc\rd"), "a\tb\nc\\rd");
    }

    #[test]
    fn a_message_has_a_text_in_either_form() {
        assert_eq!(plain(&json!({ "content": "a" })).as_deref(), Some("a"));
        let parts = json!({ "content": [{ "type": "text", "text": "a" }, { "type": "toolCall" }, { "text": "b" }] });
        assert_eq!(plain(&parts).as_deref(), Some("ab"));
        assert_eq!(plain(&Value::Null), None);
    }
}
