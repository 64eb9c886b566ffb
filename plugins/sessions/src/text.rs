//! Words of messages, cut to where they are shown.

use serde_json::{Map, Value};

/// Longest title that is made of what a user said first, in characters.
const TITLE: usize = 60;
/// The same for what was said last.
const LAST_WORDS: usize = 120;

/// What a message says: its text, whichever way it is written. Nothing if it has none.
pub fn of_message(message: &Map<String, Value>) -> Option<String> {
    let text = match message.get("content")? {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter(|part| part["type"] == "text").filter_map(|part| part["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => return None,
    };
    let text = if message.get("role").is_some_and(|role| role == "user") { unwrapped(&text) } else { text };
    Some(text.trim().to_string()).filter(|text| !text.is_empty())
}

/// Names of the tools that a message asks for.
pub fn tools(message: &Map<String, Value>) -> Vec<&str> {
    let parts = message.get("content").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    parts.iter().filter(|part| part["type"] == "toolCall").filter_map(|part| part["name"].as_str()).collect()
}

/// A title made of what a user said: one line, cut after a word where there is one.
pub fn title(said: &str) -> String {
    let line = one_line(said);
    if line.chars().count() <= TITLE {
        return line;
    }
    let cut: String = line.chars().take(TITLE - 1).collect();
    let at_word = cut.rfind(' ').filter(|end| cut[..*end].chars().count() > TITLE / 2);
    format!("{}…", &cut[..at_word.unwrap_or(cut.len())])
}

/// What was said last, in a line.
pub fn last_words(said: &str) -> String {
    shortened(&one_line(said), LAST_WORDS)
}

/// At most so many characters, with dots in place of what is missing.
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_string();
    }
    let cut: String = text.chars().take(most.saturating_sub(3)).collect();
    format!("{cut}...")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A user's words without what a channel wrapped around them: `[Channel … date …] ` before them, lines with
/// `[message_id: …]` among them.
fn unwrapped(text: &str) -> String {
    let is_id = |line: &&str| line.trim().starts_with("[message_id:") && line.trim().ends_with(']');
    let lines: Vec<&str> = text.lines().filter(|line| !is_id(line)).collect();
    let text = lines.join("\n");
    let Some((envelope, rest)) = text.strip_prefix('[').and_then(|text| text.split_once("] ")) else { return text };
    if is_envelope(envelope) { rest.to_string() } else { text }
}

/// A channel's name and a date, as `Telegram Ann id:7 2026-01-19 10:02`.
fn is_envelope(text: &str) -> bool {
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic());
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| bytes[range].iter().all(u8::is_ascii_digit);
    let has_date = (0..bytes.len().saturating_sub(9)).any(|at| {
        digits(at..at + 4)
            && bytes[at + 4] == b'-'
            && digits(at + 5..at + 7)
            && bytes[at + 7] == b'-'
            && digits(at + 8..at + 10)
    });
    begins && has_date && !text.contains('\n')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(role: &str, content: Value) -> Option<String> {
        of_message(json!({ "role": role, "content": content }).as_object().unwrap())
    }

    #[test]
    fn words_of_a_message() {
        let parts = json!([{ "type": "text", "text": " one" }, { "type": "image", "data": "" }, { "type": "text", "text": "two" }]);
        assert_eq!(said("assistant", parts).as_deref(), Some("one\ntwo"));
        assert_eq!(said("user", json!("plain")).as_deref(), Some("plain"));
        for nothing in [json!(""), json!([]), json!(7), json!([{ "type": "toolCall", "name": "x" }])] {
            assert_eq!(said("user", nothing.clone()), None, "{nothing}");
        }
        let wrapped = "[Telegram Ann id:7 2026-01-19 10:02] hello\n[message_id: 12]";
        assert_eq!(said("user", json!(wrapped)).as_deref(), Some("hello"));
        assert_eq!(said("assistant", json!(wrapped)).as_deref(), Some(wrapped));
        assert_eq!(said("user", json!("[x] 2026-01-19 is a day")).as_deref(), Some("[x] 2026-01-19 is a day"));
    }

    #[test]
    fn titles_are_short_lines() {
        assert_eq!(title(" one\n two "), "one two");
        assert_eq!(title(&"x".repeat(60)), "x".repeat(60));
        assert_eq!(title(&"x".repeat(61)), format!("{}…", "x".repeat(59)));
        let words = format!("{} {}", "word".repeat(10), "é".repeat(40));
        assert_eq!(title(&words), format!("{}…", "word".repeat(10)));
        assert_eq!(shortened(&"é".repeat(30), 20), format!("{}...", "é".repeat(17)));
        assert_eq!(shortened("short", 20), "short");
    }
}
