//! `[[gateway.auth.tokens]]`: any number of tables, each a secret of its own and how far it reaches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemas::scope;
use serde_json::{Map, Value, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::{Reader, texts};
use super::issue::Issue;
use super::keys::{Fallback, Key, Kind};
use super::methods::Rule;
use super::moment;
use super::network::IpRange;
use super::suggest;
use crate::named_tokens::{Bounds, NamedToken};
use crate::secret::Secret;

/// Where the tables stand.
pub(super) const PATH: &str = "gateway.auth.tokens";

/// What the array is for.
pub(super) const DOC: &str = "Secrets of services and dashboards, one table each; changes hold after a restart.";

/// A shorter secret could be guessed.
const SHORTEST: usize = 16;

/// The keys of one table.
pub(super) const KEYS: &[Key] = &[
    key("gateway.auth.tokens.name", Kind::Text, Fallback::None, "What the log calls it."),
    key("gateway.auth.tokens.token", Kind::Secret, Fallback::None, "The secret. Prefer token_file."),
    key(
        "gateway.auth.tokens.token_file",
        Kind::Path,
        Fallback::None,
        "File that holds the secret, beside this one if relative.",
    ),
    key(
        "gateway.auth.tokens.scopes",
        Kind::List,
        Fallback::List(&[]),
        "Scopes that its holder may have; none only beside methods.",
    ),
    key(
        "gateway.auth.tokens.methods",
        Kind::List,
        Fallback::List(&["*"]),
        "Of the methods that these scopes allow, those it may call; \"*\" stands for any run of characters.",
    ),
    key(
        "gateway.auth.tokens.expires",
        Kind::Moment,
        Fallback::None,
        "When it ends: a date, whose first moment in UTC counts, or a date and a time with its offset. Open connections \
         are closed then.",
    ),
    key(
        "gateway.auth.tokens.from",
        Kind::List,
        Fallback::None,
        "Addresses or networks (\"10.0.0.0/8\") from which it may be used; from everywhere if absent.",
    ),
];

const fn key(path: &'static str, kind: Kind, fallback: Fallback, doc: &'static str) -> Key {
    Key { path, kind, fallback, doc }
}

/// One table: its checked values, with the line of each.
pub(super) struct Given {
    line: usize,
    values: BTreeMap<&'static str, (Value, usize)>,
}

impl Reader<'_> {
    /// Takes over the array of tables.
    pub(super) fn named_tokens(&mut self, line: usize, value: &Spanned<DeValue<'_>>) {
        let needed = format!("[gateway.auth] tokens: tables [[{PATH}]] are needed");
        let DeValue::Array(items) = value.get_ref() else { return self.complain(PATH, line, needed) };
        for item in items {
            let line = self.line(item.span().start);
            match item.get_ref() {
                DeValue::Table(table) => self.named_token(line, table),
                _ => self.complain(PATH, line, needed.clone()),
            }
        }
    }

    fn named_token(&mut self, line: usize, table: &DeTable<'_>) {
        let mut values = BTreeMap::new();
        for (name, value) in table {
            let line = self.line(name.span().start);
            let name = name.get_ref().as_ref();
            let path = format!("{PATH}.{name}");
            match KEYS.iter().find(|key| key.name() == name) {
                Some(key) => {
                    if let Some(value) = self.value(key, &path, value) {
                        values.insert(key.name(), (value, line));
                    }
                }
                None => {
                    let hint = suggest::hint(name, KEYS.iter().map(Key::name));
                    self.complain(&path, line, format!("[[{PATH}]]: unknown key \"{name}\"{hint}"));
                }
            }
        }
        self.contents.values.named_tokens.push(Given { line, values });
    }
}

impl Given {
    /// The table for people.
    pub(super) fn redacted(&self) -> Value {
        let shown = |key: &Key| match (self.value(key.name()), key.kind) {
            (Some(_), Kind::Secret) => Some(json!(super::REDACTED)),
            (value, _) => value.cloned().or_else(|| key.default_value()),
        };
        let shown = KEYS.iter().filter_map(|key| Some((key.name().to_string(), shown(key)?)));
        Value::Object(shown.collect::<Map<_, _>>())
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name).map(|(value, _)| value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.value(name).and_then(Value::as_str)
    }
}

/// The tokens of these tables. `read` reads the secret out of a file, or nothing where the machine is not looked at.
pub(super) fn assemble(
    given: &[Given],
    shared: &[&Secret],
    read: &dyn Fn(&str) -> Result<Option<Secret>, String>,
) -> (Vec<NamedToken>, Vec<Issue>) {
    let mut assembly = Assembly { read, names: BTreeSet::new(), secrets: Vec::new(), issues: Vec::new() };
    assembly.secrets.extend(shared.iter().map(|secret| (*secret).clone()));
    let tokens = given.iter().filter_map(|table| assembly.token(table)).collect();
    (tokens, assembly.issues)
}

struct Assembly<'a> {
    read: &'a dyn Fn(&str) -> Result<Option<Secret>, String>,
    names: BTreeSet<String>,
    /// Those that were given to somebody already.
    secrets: Vec<Secret>,
    issues: Vec<Issue>,
}

impl Assembly<'_> {
    fn token(&mut self, given: &Given) -> Option<NamedToken> {
        let name = self.name(given);
        let scopes = self.scopes(given);
        let from = self.from(given);
        let methods =
            given.value("methods").map_or_else(Rule::default, |value| Rule { allow: texts(value), deny: vec![] });
        let expires_at_ms = given.text("expires").and_then(moment::parse);
        let secret = self.secret(given)?;
        Some(NamedToken { secret, bounds: Arc::new(Bounds { name, scopes, methods, expires_at_ms, from }) })
    }

    fn name(&mut self, given: &Given) -> String {
        let name = given.text("name").unwrap_or_default().to_string();
        let is_sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(is_sound) {
            self.complain(given, "name", "up to 64 letters, digits, \"-\", \"_\" and \".\" are needed");
        } else if !self.names.insert(name.clone()) {
            self.complain(given, "name", &format!("there is another token \"{name}\"; a name of its own is needed"));
        }
        name
    }

    /// Which methods need no scope is known when plugins run, so that a token without any must at least name its methods.
    fn scopes(&mut self, given: &Given) -> Vec<String> {
        let scopes = given.value("scopes").map(texts).unwrap_or_default();
        for unknown in scopes.iter().filter(|scope| !scope::KNOWN.contains(&scope.as_str())) {
            let hint = suggest::hint(unknown, scope::KNOWN);
            let known = scope::KNOWN.join("\", \"");
            let wrong = format!("unknown scope {unknown:?}{hint}");
            let wrong = if hint.is_empty() { format!("{wrong}; \"{known}\" are known") } else { wrong };
            self.complain(given, "scopes", &wrong);
        }
        if scopes.is_empty() && given.value("methods").is_none() {
            self.complain(given, "scopes", "at least one scope is needed, or methods that need none");
        }
        scope::normalized(&scopes)
    }

    fn from(&mut self, given: &Given) -> Option<Vec<IpRange>> {
        let entries = given.value("from").map(texts)?;
        if entries.is_empty() {
            self.complain(given, "from", "an IP address or network is needed, or no such key");
        }
        let mut ranges = Vec::new();
        for entry in entries {
            match entry.parse() {
                Ok(range) => ranges.push(range),
                Err(()) => {
                    self.complain(given, "from", &format!("an IP address or network is needed in place of {entry:?}"));
                }
            }
        }
        Some(ranges)
    }

    fn secret(&mut self, given: &Given) -> Option<Secret> {
        let (key, secret) = match (given.text("token"), given.text("token_file")) {
            (Some(token), None) => ("token", Ok(Some(Secret::new(token.trim())))),
            (None, Some(file)) => ("token_file", (self.read)(file)),
            (Some(_), Some(_)) => ("token_file", Err("token is set as well; only one of the two may be".to_string())),
            (None, None) => ("token", Err("the secret is needed, or token_file".to_string())),
        };
        let secret = match secret {
            Ok(secret) => secret?,
            Err(wrong) => {
                self.complain(given, key, &wrong);
                return None;
            }
        };
        if secret.expose().chars().count() < SHORTEST {
            self.complain(given, key, &format!("a secret of at least {SHORTEST} characters is needed"));
        }
        if self.secrets.iter().any(|other| other.matches(secret.expose())) {
            self.complain(given, key, "the same secret stands elsewhere; one of its own is needed");
        }
        self.secrets.push(secret.clone());
        Some(secret)
    }

    fn complain(&mut self, given: &Given, name: &str, wrong: &str) {
        let line = given.values.get(name).map_or(given.line, |(_, line)| *line);
        let message = format!("[[{PATH}]] {name}: {wrong}");
        self.issues.push(Issue { path: format!("{PATH}.{name}"), message, line: Some(line) });
    }
}
