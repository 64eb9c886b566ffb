//! What channels put around a message for the agent to know where it came from, and people do not want to read again:
//! `[Channel …date…] ` before it, and lines `[message_id: …]` within.

use serde_json::Value;

/// The message without it; only what people said has any.
pub fn stripped(mut message: Value) -> Value {
    if message["role"] != "user" {
        return message;
    }
    match message.get_mut("content") {
        Some(Value::String(text)) => strip(text),
        Some(Value::Array(parts)) => {
            let texts = parts.iter_mut().filter(|part| part["type"] == "text");
            for part in texts {
                if let Some(Value::String(text)) = part.get_mut("text") {
                    strip(text);
                }
            }
        }
        _ => {}
    }
    message
}

fn strip(text: &mut String) {
    if let Some(rest) = after_header(text) {
        *text = rest.to_string();
    }
    if text.contains("[message_id:") {
        let kept: Vec<&str> = text.lines().filter(|line| !is_message_id(line)).collect();
        *text = kept.join("\n").trim_end().to_string();
    }
}

/// What follows `[… date and time …]`.
fn after_header(text: &str) -> Option<&str> {
    let (header, rest) = text.strip_prefix('[')?.split_once(']')?;
    let is_header =
        !header.contains('\n') && (0..header.len()).any(|start| begins_with_time(&header.as_bytes()[start..]));
    is_header.then(|| rest.trim_start())
}

/// Whether it begins with a time such as `2026-11-26 20:15` or `2026-11-26T20:15`.
fn begins_with_time(text: &[u8]) -> bool {
    const SHAPE: &[u8; 16] = b"0000-00-00 00:00";
    text.len() >= SHAPE.len()
        && SHAPE.iter().zip(text).all(|(shape, byte)| match shape {
            b'0' => byte.is_ascii_digit(),
            b' ' => matches!(byte, b' ' | b'T'),
            other => byte == other,
        })
}

fn is_message_id(line: &str) -> bool {
    line.trim().strip_prefix("[message_id:").and_then(|rest| rest.strip_suffix(']')).is_some_and(|id| !id.contains(']'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people_read_what_they_wrote() {
        for (kept, shown) in [
            ("[Telegram Anna id:7 2026-11-26 20:15 UTC] hello", "hello"),
            ("[WebChat 2026-11-26T20:15Z]\nhello\n[message_id: 12]", "hello"),
            ("hello\n [message_id: a-b] \nthere", "hello\nthere"),
            ("[note] hello", "[note] hello"),
            ("[2026-11-26] hello", "[2026-11-26] hello"),
            ("[a\n2026-11-26 20:15] hello", "[a\n2026-11-26 20:15] hello"),
            ("say [message_id: x] aloud", "say [message_id: x] aloud"),
            ("[é 2026-11-26 20:15] ü", "ü"),
            ("[", "["),
        ] {
            let message = json!({ "role": "user", "content": [{ "type": "text", "text": kept }], "timestamp": 1 });
            assert_eq!(stripped(message)["content"][0]["text"], shown);
            assert_eq!(stripped(json!({ "role": "user", "content": kept }))["content"], shown);
            let answer = json!({ "role": "assistant", "content": kept });
            assert_eq!(stripped(answer.clone()), answer, "agents write no envelopes");
        }
    }
}
