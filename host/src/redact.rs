//! A configuration file as it may be shown: without what may be a secret.

use std::ops::Range;

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use crate::config::{Place, REDACTED};

mod comments;

/// Sounds secret, but what is secret in these tables has a name of its own.
const NAMED_TOKENS: &str = ".gateway.auth.tokens";
/// Bytes from which on what may be a secret is looked for in comments, too: a shorter one is mostly a word as any other.
const LONG: usize = 8;

/// The text with the values of secret keys replaced, and the comments that may hold a secret: an old one that somebody
/// left there, or one in force, which are those of this text and `known`. A text that does not parse is not shown at all:
/// where a secret ends is not known then.
pub fn toml_text(text: &str, known: &[&str]) -> String {
    let Ok(document) = DeTable::parse(text) else { return String::new() };
    let mut found = Secrets::default();
    found.collect("", document.get_ref(), Place::Plain);
    let known = found.texts.iter().map(String::as_str).chain(known.iter().copied());
    let known: Vec<&str> = known.filter(|secret| !secret.is_empty()).collect();
    let comments = comments::telling(text, &known).into_iter().map(|span| (span, format!("# {REDACTED}")));
    let mut replaced: Vec<(Range<usize>, String)> = found.spans.into_iter().chain(comments).collect();
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

/// Values that are not shown, or not whole.
#[derive(Default)]
struct Secrets {
    /// Where they stand, each with what is shown instead.
    spans: Vec<(Range<usize>, String)>,
    /// What is hidden of them, line by line.
    texts: Vec<String>,
}

impl Secrets {
    fn collect(&mut self, path: &str, table: &DeTable<'_>, place: Place) {
        for (key, value) in table {
            let path = format!("{path}.{}", key.get_ref());
            let place = if path == NAMED_TOKENS { Place::Plain } else { place.below(key.get_ref()) };
            self.collect_value(&path, value.get_ref(), value.span(), place);
        }
    }

    fn collect_value(&mut self, path: &str, value: &DeValue<'_>, span: Range<usize>, place: Place) {
        match value {
            DeValue::Table(table) => self.collect(path, table, place),
            DeValue::Array(items) => {
                let mut before = None;
                for item in items.iter() {
                    self.collect_value(path, item.get_ref(), item.span(), place.item(before));
                    before = item.get_ref().as_str();
                }
            }
            DeValue::String(text) => self.collect_text(text, span, place),
            DeValue::Boolean(_) => {}
            _ if place.is_secret() => self.spans.push((span, format!("\"{REDACTED}\""))),
            _ => {}
        }
    }

    fn collect_text(&mut self, text: &str, span: Range<usize>, place: Place) {
        let hidden = place.hidden(text);
        if hidden.is_empty() {
            return;
        }
        let lines = hidden.into_iter().flat_map(|part| text[part].lines()).map(str::trim);
        self.texts.extend(lines.filter(|line| place == Place::Secret || line.len() >= LONG).map(str::to_string));
        self.spans.push((span, toml::Value::String(place.shown(text)).to_string()));
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
    fn of_arguments_pairs_and_addresses_the_rest_is_shown() {
        let text = |secret: &str, comment: &str, other: &str| {
            format!(
                "[plugins.x.config]\nurl = \"https://{secret}@example.org/v1?{secret}\"\n\
                 args = [\"-p\", \"--api-key\", \"{secret}\", \"--model={secret}\"]\n\
                 more = [{{ args = [\"--token\", \"{secret}\"] }}]\nenv = [\"HOME\", \"KEY={secret}\"]\n\
                 # {comment}\n# Prose with --flags, https://example.org/#chapter and headers = \"x\" stays.\n\
                 [plugins.x.config.headers]\ncookie = \"{secret}\"\ncount = {other}\nstrict = true\n"
            )
        };
        let expected = text(REDACTED, REDACTED, &format!("\"{REDACTED}\""));
        for comment in [
            "args = [\"--api-key\", \"hunter2\"]",
            "base_url = \"https://example.org/?key=hunter2\"",
            "headers = { cookie = \"hunter2\" }",
        ] {
            assert_eq!(toml_text(&text("hunter2", comment, "5"), &[]), expected);
        }
    }

    #[test]
    fn a_text_that_is_shown_in_part_stays_a_text() {
        let odd = "\\ \" ' # \u{7f}\u{0}\r\n\t=";
        let file = format!("args = [{}]\n", toml::Value::String(format!("{odd} --token=hunter2")));
        assert_eq!(toml_value(&file)["args"][0], format!("{odd} --token={REDACTED}"), "{file}");
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
