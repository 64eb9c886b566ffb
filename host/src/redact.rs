//! A configuration file as it may be shown: without what sounds like a secret by the name of its key.

use std::ops::Range;

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use crate::config::{REDACTED, sounds_secret};

mod comments;

/// Sounds secret, but what is secret in these tables has a name of its own.
const NAMED_TOKENS: &str = ".gateway.auth.tokens";

/// The text with the values of secret keys replaced, and the comments that may hold a secret: an old one that somebody
/// left there, or one in force, which are those of this text and `known`. A text that does not parse is not shown at all:
/// where a secret ends is not known then.
pub fn toml_text(text: &str, known: &[&str]) -> String {
    let Ok(document) = DeTable::parse(text) else { return String::new() };
    let mut found = Secrets::default();
    found.collect("", document.get_ref(), false);
    let known = found.texts.iter().map(String::as_str).chain(known.iter().copied());
    let known: Vec<&str> = known.filter(|secret| !secret.is_empty()).collect();
    let comments = comments::telling(text, &known).into_iter().map(|span| (span, format!("# {REDACTED}")));
    let values = found.spans.into_iter().map(|span| (span, format!("\"{REDACTED}\"")));
    let mut replaced: Vec<(Range<usize>, String)> = values.chain(comments).collect();
    replaced.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut shown = text.to_string();
    for (span, instead) in replaced {
        shown.replace_range(span, &instead);
    }
    shown
}

/// The content with the values of secret keys replaced.
pub fn toml_value(text: &str) -> Value {
    match DeTable::parse(&toml_text(text, &[])) {
        Ok(document) => table(document.get_ref()),
        Err(_) => Value::Object(Map::new()),
    }
}

/// Values that are not shown.
#[derive(Default)]
struct Secrets {
    /// Where they stand.
    spans: Vec<Range<usize>>,
    /// What they say, line by line.
    texts: Vec<String>,
}

impl Secrets {
    /// `within` says that the name of something around this sounds secret.
    fn collect(&mut self, path: &str, table: &DeTable<'_>, within: bool) {
        for (key, value) in table {
            let path = format!("{path}.{}", key.get_ref());
            let secret = sounds_secret(key.get_ref()) && path != NAMED_TOKENS;
            self.collect_value(&path, value.get_ref(), value.span(), within || secret);
        }
    }

    fn collect_value(&mut self, path: &str, value: &DeValue<'_>, span: Range<usize>, secret: bool) {
        match value {
            DeValue::Table(table) => self.collect(path, table, secret),
            DeValue::Array(items) => {
                items.iter().for_each(|item| self.collect_value(path, item.get_ref(), item.span(), secret));
            }
            DeValue::Boolean(_) => {}
            _ if !secret => {}
            value => {
                if let DeValue::String(text) = value {
                    self.texts.extend(text.lines().map(|line| line.trim().to_string()));
                }
                self.spans.push(span);
            }
        }
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
        let shown = toml_text(FILE, &[]);
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("# of ours") && shown.contains("token_file = \"kept\""));
        let value = toml_value(FILE);
        assert_eq!(value["gateway"]["auth"]["token"], REDACTED);
        assert_eq!(value["plugins"]["bot"]["config"]["accounts"][0]["name"], "a");
        assert_eq!(toml_text("token = \"hunter2", &[]), "", "an unfinished text is not shown");
    }

    #[test]
    fn of_a_named_token_only_the_secret_is_hidden() {
        let table = |token: &str| {
            format!(
                "[[gateway.auth.tokens]]\nname = \"a\"\ntoken = \"{token}\"\nscopes = [\"b\"] # a\nexpires = 2027-01-31\n"
            )
        };
        assert_eq!(toml_text(&table("hunter2"), &[]), table(REDACTED));
    }

    #[test]
    fn what_stands_below_a_secret_name_is_secret_too() {
        let text = "[credentials]\nuser = \"hunter2\"\nkeys = [\"hunter2\", \"hunter3\"]\nstrict = true\n";
        let hidden = format!("\"{REDACTED}\"");
        let expected = format!("[credentials]\nuser = {hidden}\nkeys = [{hidden}, {hidden}]\nstrict = true\n");
        assert_eq!(toml_text(text, &[]), expected);
    }

    #[test]
    fn comments_that_may_hold_a_secret_are_blanked_and_the_others_stay() {
        let text = include_str!("redact/commented.toml");
        let shown = toml_text(text, &["from-the-environment"]);
        assert_eq!(shown, include_str!("redact/commented.shown.toml"));
        assert!(!shown.contains("hunter") && !shown.contains("from-the-environment"));
        let windows = |text: &str| text.replace('\n', "\r\n");
        assert_eq!(toml_text(&windows(text), &["from-the-environment"]), windows(&shown));
    }

    #[test]
    fn the_file_as_it_is_shipped_is_shown_whole() {
        const SHIPPED: &str = include_str!("../../config.toml");
        assert_eq!(toml_text(SHIPPED, &["the-shared-token"]), SHIPPED);
    }
}
