//! Reading JSON of whoever sent it, and what is wrong with what could not be read, in words for them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Error, Map, Value};

/// A text as a value, and as nothing else: serde_json's own way of reading one, in a program that passes JSON on as bytes,
/// takes an object with a certain name in it for a text to be parsed, and what would be looked at then is not what was sent.
pub fn value(text: &str) -> Result<Value, Error> {
    serde_json::from_str::<Plain>(text).map(|plain| plain.0)
}

struct Plain(Value);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor).map(Plain)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Plain(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Plain(value))) = entries.next_entry::<String, Plain>()? {
            object.insert(name, value);
        }
        Ok(object.into())
    }
}

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
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    struct Params {
        #[expect(dead_code, reason = "only read")]
        limit: u64,
    }

    #[test]
    fn a_value_is_what_was_sent() {
        let text = r#"{"a":[1,-2,2.5,true,null,"b\n"],"c":{"d":"\u00e9","d":18446744073709551615}}"#;
        assert_eq!(
            value(text).unwrap(),
            json!({ "a": [1, -2, 2.5, true, null, "b\n"], "c": { "d": 18446744073709551615_u64 } })
        );
        let name = "$serde_json::private::RawValue";
        let wrapped = json!({ name: "{\"hidden\":true}" }).to_string();
        assert_eq!(value(&wrapped).unwrap().as_object().unwrap().keys().collect::<Vec<_>>(), [name]);
        assert!(value("{} {}").is_err() && value(&("[".repeat(200) + &"]".repeat(200))).is_err());
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
