//! A configuration file as it may be shown: without what sounds like a secret by the name of its key.

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use crate::config::{REDACTED, sounds_secret};

/// The text with the values of secret keys replaced. A text that does not parse is not shown at all: where a secret ends
/// is not known then.
pub fn toml_text(text: &str) -> String {
    let Ok(document) = DeTable::parse(text) else { return String::new() };
    let mut spans = Vec::new();
    collect(document.get_ref(), &mut spans);
    spans.sort_by_key(|span| std::cmp::Reverse(span.start));
    let mut shown = text.to_string();
    for span in spans {
        shown.replace_range(span, &format!("\"{REDACTED}\""));
    }
    shown
}

/// The content with the values of secret keys replaced.
pub fn toml_value(text: &str) -> Value {
    match DeTable::parse(&toml_text(text)) {
        Ok(document) => table(document.get_ref()),
        Err(_) => Value::Object(Map::new()),
    }
}

fn collect(table: &DeTable<'_>, spans: &mut Vec<std::ops::Range<usize>>) {
    for (key, value) in table {
        let hidden =
            sounds_secret(key.get_ref()) && !matches!(value.get_ref(), DeValue::Boolean(_) | DeValue::Table(_));
        if hidden {
            spans.push(value.span());
        } else {
            collect_value(value.get_ref(), spans);
        }
    }
}

fn collect_value(value: &DeValue<'_>, spans: &mut Vec<std::ops::Range<usize>>) {
    match value {
        DeValue::Table(table) => collect(table, spans),
        DeValue::Array(items) => items.iter().for_each(|item| collect_value(item.get_ref(), spans)),
        _ => {}
    }
}

fn table(content: &DeTable<'_>) -> Value {
    Value::Object(content.iter().map(|(key, item)| (key.get_ref().to_string(), value(item.get_ref()))).collect())
}

fn value(value_: &DeValue<'_>) -> Value {
    match value_ {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Integer(number) => {
            number.to_string().parse().map_or_else(|_| Value::String(number.to_string()), Value::Number)
        }
        DeValue::Float(number) => {
            number.to_string().parse().map_or_else(|_| Value::String(number.to_string()), Value::Number)
        }
        DeValue::Datetime(moment) => Value::String(moment.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| value(item.get_ref())).collect()),
        DeValue::Table(content) => table(content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
[gateway.auth]
token = "hunter2" # of ours
token_file = "kept"
[plugins.bot.config]
accounts = [{ api_key = """hunter2
hunter2""", name = "a" }]
maxTokens = 5
"#;

    #[test]
    fn secrets_are_replaced_where_they_stand() {
        let shown = toml_text(FILE);
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("# of ours") && shown.contains("token_file = \"kept\""));
        let value = toml_value(FILE);
        assert_eq!(value["gateway"]["auth"]["token"], REDACTED);
        assert_eq!(value["plugins"]["bot"]["config"]["accounts"][0]["name"], "a");
        assert_eq!(toml_text("token = \"hunter2"), "", "an unfinished text is not shown");
    }
}
