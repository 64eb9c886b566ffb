//! Whether what comes with a message can be attached. It is decoded by who runs the agent; here it is looked at, so that
//! nothing starts with what cannot be.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use plugin_api::MethodError;
use serde_json::Value;

/// Bits that no byte takes up are passed over, as most decoders do.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Those that have a content; an error names the first that is none.
pub fn checked(attachments: Vec<Value>, max_bytes: usize) -> Result<Vec<Value>, MethodError> {
    let has_content = |(_, attachment): &(usize, Value)| match &attachment["content"] {
        Value::Null => false,
        Value::String(content) => !content.is_empty(),
        _ => true,
    };
    let kept: Vec<(usize, Value)> = attachments.into_iter().enumerate().filter(has_content).collect();
    for (place, attachment) in kept.iter().map(|(place, attachment)| (*place, attachment)) {
        check(attachment, max_bytes).map_err(|why| {
            MethodError::invalid_request(format!("Error: attachment {}: {why}", label(attachment, place)))
        })?;
    }
    Ok(kept.into_iter().map(|(_, attachment)| attachment).collect())
}

fn check(attachment: &Value, max_bytes: usize) -> Result<(), String> {
    let content = attachment["content"].as_str().ok_or("content must be base64 string")?.trim();
    let content = match content.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((_, data)) => data,
        None => content,
    };
    let padding = content.bytes().rev().take_while(|byte| *byte == b'=').count();
    // Said by its length already, so that nothing large is decoded for nothing.
    let size = (content.len() / 4 * 3).saturating_sub(padding.min(2));
    if content.is_empty() || !content.len().is_multiple_of(4) {
        return Err("invalid base64 content".to_string());
    }
    if size > max_bytes {
        return Err(format!("exceeds size limit ({size} > {max_bytes} bytes)"));
    }
    BASE64.decode(content).map(drop).map_err(|_| "invalid base64 content".to_string())
}

fn label(attachment: &Value, place: usize) -> String {
    let named = |key: &str| attachment[key].as_str().filter(|name| !name.is_empty());
    named("fileName").or_else(|| named("type")).map_or_else(|| format!("attachment-{}", place + 1), str::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_attached_is_named() {
        let refused = |attachment: Value| checked(vec![attachment], 6).unwrap_err().shape().message.clone();
        for (attachment, why) in [
            (json!({ "fileName": "a.png", "type": "image", "content": 7 }), "a.png: content must be base64 string"),
            (json!({ "type": "image", "content": "abc" }), "image: invalid base64 content"),
            (json!({ "fileName": "", "content": "ab-_" }), "attachment-1: invalid base64 content"),
            (json!({ "content": "ab\ncd123" }), "attachment-1: invalid base64 content"),
            (json!({ "content": "=AAA" }), "attachment-1: invalid base64 content"),
            (json!({ "content": "data:image/png;base64," }), "attachment-1: invalid base64 content"),
            (json!({ "content": "AAAAAAAAAAAA" }), "attachment-1: exceeds size limit (9 > 6 bytes)"),
            (json!({ "content": "AAAAAAAAAA==" }), "attachment-1: exceeds size limit (7 > 6 bytes)"),
        ] {
            assert_eq!(refused(attachment), format!("Error: attachment {why}"));
        }
        let second = checked(vec![json!({ "content": "AAAA" }), json!({ "content": "!" })], 6).unwrap_err();
        assert_eq!(second.shape().message, "Error: attachment attachment-2: invalid base64 content");
        assert_eq!(second.shape().code, "INVALID_REQUEST");
    }

    #[test]
    fn what_can_be_is_handed_on_as_it_came_and_the_rest_left_out() {
        let good =
            [json!({ "content": "AAAAAAAA" }), json!({ "content": " data:image/png;base64,AA== ", "type": "image" })];
        let empty = [json!({}), json!({ "content": null }), json!({ "content": "" }), json!("odd")];
        let all = good.iter().chain(&empty).cloned().collect();
        assert_eq!(checked(all, 6).unwrap(), good);
    }
}
