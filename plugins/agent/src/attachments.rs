//! Attachments of a message: base64, checked as the protocol says. Images go to the agent, other kinds are left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plugin_api::MethodError;
use plugin_api::contracts::Part;
use serde_json::Value;

/// The largest one, decoded.
const LARGEST: usize = 5_000_000;

/// The images among the attachments.
pub fn images(attachments: &[Value]) -> Result<Vec<Part>, MethodError> {
    let mut images = Vec::new();
    for (place, attachment) in attachments.iter().enumerate() {
        let named = |key: &str| attachment[key].as_str().map(str::trim).filter(|text| !text.is_empty());
        let name = named("fileName").or_else(|| named("type")).map(str::to_string);
        let name = name.unwrap_or_else(|| format!("attachment-{}", place + 1));
        let wrong = |why: String| MethodError::invalid_request(format!("Error: attachment {name}: {why}"));
        let content = match &attachment["content"] {
            Value::Null => continue,
            Value::String(content) if content.is_empty() => continue,
            Value::String(content) => content.trim(),
            _ => return Err(wrong("content must be base64 string".to_string())),
        };
        let (said, encoded) = match content.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
            Some((kind, encoded)) => (Some(kind), encoded),
            None => (None, content),
        };
        if encoded.len() % 4 != 0 {
            return Err(wrong("invalid base64 content".to_string()));
        }
        let bytes = STANDARD.decode(encoded).map_err(|_| wrong("invalid base64 content".to_string()))?;
        if bytes.is_empty() || bytes.len() > LARGEST {
            return Err(wrong(format!("exceeds size limit ({} > {LARGEST} bytes)", bytes.len())));
        }
        // What the bytes are counts before what somebody says of them.
        let kind = sniffed(&bytes).or_else(|| named("mimeType").or(said).map(str::to_ascii_lowercase));
        if let Some(mime_type) = kind.filter(|kind| kind.starts_with("image/")) {
            images.push(Part::Image { mime_type, data: encoded.to_string() });
        }
    }
    Ok(images)
}

fn sniffed(bytes: &[u8]) -> Option<String> {
    let kind = match bytes {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        [b'%', b'P', b'D', b'F', ..] => "application/pdf",
        [b'P', b'K', 3, 4, ..] => "application/zip",
        _ => return None,
    };
    Some(kind.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PNG: &str = "iVBORw0KGgo=";

    #[test]
    fn images_are_kept_and_others_left_out() {
        let attachments = [
            json!({ "content": PNG, "mimeType": "text/plain" }),
            json!({ "content": format!("data:image/webp;base64,{PNG}") }),
            json!({ "content": "JVBERi0=", "mimeType": "image/png" }),
            json!({ "content": "AAAA", "mimeType": "image/x-odd" }),
            json!({ "content": "AAAA" }),
            json!({ "fileName": "nothing.png" }),
        ];
        let kinds: Vec<_> = images(&attachments).expect("images").into_iter().map(|part| json!(part)).collect();
        assert_eq!(kinds.len(), 3);
        assert_eq!(kinds[0], json!({ "type": "image", "mimeType": "image/png", "data": PNG }));
        assert_eq!((&kinds[1]["mimeType"], &kinds[2]["mimeType"]), (&json!("image/png"), &json!("image/x-odd")));
    }

    #[test]
    fn wrong_ones_are_refused() {
        for (attachment, why) in [
            (json!({ "content": 7, "fileName": "a.png" }), "Error: attachment a.png: content must be base64 string"),
            (json!({ "content": "abc", "type": "image" }), "Error: attachment image: invalid base64 content"),
            (json!({ "content": "ab-_" }), "Error: attachment attachment-1: invalid base64 content"),
            (
                json!({ "content": STANDARD.encode(vec![0; LARGEST + 1]) }),
                "Error: attachment attachment-1: exceeds size limit (5000001 > 5000000 bytes)",
            ),
        ] {
            assert_eq!(images(&[attachment]).unwrap_err().shape().message, why);
        }
    }
}
