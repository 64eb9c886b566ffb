//! `config.toml`: what is wrong with it is told, and it is shown, without a secret in either.

use std::collections::BTreeSet;

use clawhost::config::{Config, REDACTED};
use clawhost::redact;
use serde_json::Value;

use super::SECRET;

/// Most complaints, and one for each key that they lead to.
const MOST_ISSUES: usize = 50 + 20;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let issues = Config::validate_text(text);
    assert_eq!(issues, Config::validate_text(text), "it is judged the same every time");
    assert!(issues.len() <= MOST_ISSUES, "{} complaints", issues.len());
    let lines = 1 + text.bytes().filter(|byte| *byte == b'\n').count();
    for issue in &issues {
        assert!(!issue.message.is_empty() && issue.line.is_none_or(|line| (1..=lines).contains(&line)), "{issue:?}");
    }
    if toml::de::DeTable::parse(text).is_err() {
        assert!(redact::toml_text(text, &[]).is_empty(), "what cannot be read is not shown");
        return;
    }
    // A number may be too large for a value, and is shown all the same.
    let Ok(table) = text.parse::<toml::Table>() else { return };
    let shown = redact::toml_text(text, &["known-from-elsewhere"]);
    let read: toml::Table = shown.parse().unwrap_or_else(|error| panic!("what is shown can be read: {error}\n{shown}"));
    let mut words = Words::default();
    words.collect("", &toml::Value::Table(table), false);
    for secret in words.secrets.iter().filter(|secret| words.tells(secret)) {
        assert!(!shown.contains(secret.as_str()), "{secret:?} is shown in\n{shown}");
        let told = issues.iter().find(|issue| issue.message.contains(secret.as_str()));
        assert_eq!(told, None, "{secret:?} is told");
    }
    let mut left = Words::default();
    left.collect("", &toml::Value::Table(read), false);
    assert!(left.secrets.iter().all(|secret| secret == REDACTED), "{:?}", left.secrets);
    is_the_same_but_for_secrets(&redact::toml_value(text));
}

/// Every value below a name that sounds secret is replaced.
fn is_the_same_but_for_secrets(value: &Value) {
    fn look(path: &str, value: &Value, is_secret: bool) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                let path = format!("{path}.{name}");
                look(&path, value, is_secret || sounds_secret(&path, name));
            }),
            Value::Array(items) => items.iter().for_each(|item| look(path, item, is_secret)),
            Value::String(text) => assert!(!is_secret || text == REDACTED, "{path} = {text:?}"),
            Value::Number(number) => assert!(!is_secret, "{path} = {number}"),
            Value::Bool(_) | Value::Null => {}
        }
    }
    look("", value, false);
}

/// Told once more: what names of keys end with whose values nobody is to see.
fn sounds_secret(path: &str, name: &str) -> bool {
    let bare: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let bare = bare.strip_suffix('s').unwrap_or(&bare);
    let endings =
        ["token", "password", "passwd", "passphrase", "secret", "apikey", "privatekey", "credential", "authorization"];
    path != ".gateway.auth.tokens" && endings.iter().any(|ending| bare.ends_with(ending))
}

/// The texts of a file: those that are secret, and all others.
#[derive(Default)]
struct Words {
    secrets: BTreeSet<String>,
    others: BTreeSet<String>,
}

impl Words {
    fn collect(&mut self, path: &str, value: &toml::Value, is_secret: bool) {
        match value {
            toml::Value::Table(table) => table.iter().for_each(|(name, value)| {
                self.others.insert(name.clone());
                let path = format!("{path}.{name}");
                self.collect(&path, value, is_secret || sounds_secret(&path, name));
            }),
            toml::Value::Array(items) => items.iter().for_each(|item| self.collect(path, item, is_secret)),
            toml::Value::String(text) if is_secret => drop(self.secrets.insert(text.clone())),
            other => drop(self.others.insert(other.to_string())),
        }
    }

    /// Whether a secret could be told from anything else that the file says. One that spans lines is not looked for.
    fn tells(&self, secret: &str) -> bool {
        let is_elsewhere = || self.others.iter().any(|other| other.contains(secret));
        secret.contains(SECRET) && !secret.contains(['\n', '\r', '"', '\\']) && !is_elsewhere()
    }
}
