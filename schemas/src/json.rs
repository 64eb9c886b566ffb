//! What is wrong with JSON that could not be read, in words for whoever sent it.

use serde_json::Error;
use serde_json::error::Category;

/// A sentence in the wording of the schema failures. The parser's own words never reach a peer: they speak of lines and
/// columns of a text that nobody sees, and may repeat what was sent, which may be a secret.
pub fn fault(error: &Error) -> &'static str {
    // The kinds are not public; a test holds these texts against the parser.
    let text = error.to_string();
    let says = |part: &str| text.starts_with(part);
    match error.classify() {
        Category::Data if says("duplicate field") => "must not hold a property twice",
        Category::Data => "must have the types that the schema names",
        _ if says("recursion limit") => "must not be nested that deeply",
        _ if says("number out of range") => "must not hold a number out of range",
        _ if says("lone leading surrogate") || says("unexpected end of hex escape") => "must not hold a lone surrogate",
        _ => "must be JSON",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::Value;

    #[derive(Debug, Deserialize)]
    struct Params {
        #[expect(dead_code, reason = "only read")]
        limit: u64,
    }

    #[test]
    fn every_fault_has_its_words() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        for (text, words) in [
            (deep.as_str(), "must not be nested that deeply"),
            ("[1e400]", "must not hold a number out of range"),
            ("[-1e400]", "must not hold a number out of range"),
            (r#"["\ud83d"]"#, "must not hold a lone surrogate"),
            (r#"["\ud83dx"]"#, "must not hold a lone surrogate"),
            (r#"["\ud83d\ud83d"]"#, "must not hold a lone surrogate"),
            (r#"["\udc00"]"#, "must not hold a lone surrogate"),
            (r#"{"\ude00":1}"#, "must not hold a lone surrogate"),
            ("[", "must be JSON"),
            ("nonsense", "must be JSON"),
        ] {
            assert_eq!(fault(&serde_json::from_str::<Value>(text).unwrap_err()), words, "{text:.40}");
        }
        for (text, words) in [
            (r#"{"limit":1,"limit":2}"#, "must not hold a property twice"),
            (r#"{"limit":"s3cret"}"#, "must have the types that the schema names"),
            ("{}", "must have the types that the schema names"),
        ] {
            assert_eq!(fault(&serde_json::from_str::<Params>(text).unwrap_err()), words, "{text}");
        }
    }
}
