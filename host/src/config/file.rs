//! Reading the text of `config.toml`: every key is looked up in the list of keys, every value is checked, and all that is
//! wrong is reported at once with its line, so that an operator repairs a file in one go.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration;
use super::issue::{Issue, Origin, subject};
use super::keys::{self, Fallback, Key, Kind};
use super::moment;
use super::named_tokens;
use super::plugins::{self, PluginSettings};
use super::suggest;

/// More complaints than this help nobody.
const MOST_ISSUES: usize = 50;

/// What was given for the keys of `[gateway]`, and by whom.
#[derive(Default)]
pub(super) struct Values {
    given: BTreeMap<&'static str, (Value, Origin)>,
    /// The tables of named tokens, which no key of a fixed path holds.
    pub(super) named_tokens: Vec<named_tokens::Given>,
}

impl Values {
    /// Puts a checked value in place; a later one displaces an earlier one.
    pub(super) fn put(&mut self, key: &'static Key, value: Value, origin: Origin) {
        self.given.insert(key.path, (value, origin));
    }

    /// Who gave the value, if anybody did.
    pub(super) fn origin(&self, path: &str) -> Option<&Origin> {
        self.given.get(path).map(|(_, origin)| origin)
    }

    /// The value that holds: the given one, else the default, else none.
    pub(super) fn effective(&self, path: &str) -> Option<Value> {
        match self.given.get(path) {
            Some((value, _)) => Some(value.clone()),
            None => keys::at(path).and_then(Key::default_value),
        }
    }

    /// A number that has a default.
    pub(super) fn whole(&self, path: &str) -> u64 {
        self.effective(path).and_then(|value| value.as_u64()).expect("a checked number with a default")
    }

    /// A flag that has a default.
    pub(super) fn flag(&self, path: &str) -> bool {
        self.effective(path).and_then(|value| value.as_bool()).expect("a checked flag with a default")
    }

    /// A text, if one was given or there is a default.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        self.effective(path).and_then(|value| value.as_str().map(str::to_string))
    }

    /// A list; one that is absent is empty.
    pub(super) fn list(&self, path: &str) -> Vec<String> {
        self.effective(path).map(|value| texts(&value)).unwrap_or_default()
    }
}

/// What a file says.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) values: Values,
    pub(super) plugins: BTreeMap<String, PluginSettings>,
    pub(super) issues: Vec<Issue>,
}

/// Reads the text of a file.
pub(super) fn read(text: &str) -> Contents {
    let mut reader = Reader { text, contents: Contents::default() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let line = error.span().map_or(1, |span| reader.line(span.start));
        reader.complain("", line, error.message().to_string());
    }
    if errors.is_empty() {
        reader.root(document.get_ref());
    }
    reader.contents.issues.sort_by_key(|issue| issue.line);
    reader.contents.issues.truncate(MOST_ISSUES);
    reader.contents
}

/// Checks a value against its key. The error says what would be right.
pub(super) fn check(key: &Key, value: &Value) -> Result<Value, String> {
    let fine = match (key.kind, value) {
        (_, Value::String(text)) if key.optional() && text.is_empty() => true,
        (Kind::Flag, Value::Bool(_)) | (Kind::Text | Kind::Path | Kind::Secret, Value::String(_)) => true,
        (Kind::Whole { min, max }, Value::Number(number)) => number.as_u64().is_some_and(|n| (min..=max).contains(&n)),
        (Kind::Choice(words), Value::String(text)) => words.contains(&text.as_str()),
        (Kind::List, Value::Array(items)) => items.iter().all(Value::is_string),
        (Kind::Span { min, max }, Value::String(text)) => duration::parse(text)
            .is_some_and(|span| (min * 1_000..=max * 1_000).contains(&(span.as_millis().min(u64::MAX.into()) as u64))),
        (Kind::Sha256, Value::String(text)) => text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        (Kind::Signature, Value::String(text)) => plugins::signature(text).is_some(),
        (Kind::Moment, Value::String(text)) => moment::parse(text).is_some(),
        _ => false,
    };
    let empty = matches!(key.fallback, Fallback::Text(_)) && value.as_str().is_some_and(|text| text.trim().is_empty());
    if fine && !empty { Ok(value.clone()) } else { Err(format!("{} is needed", expected(key.kind))) }
}

/// What a kind of value is called.
fn expected(kind: Kind) -> String {
    match kind {
        Kind::Flag => "true or false".to_string(),
        Kind::Whole { min, max } => format!("a whole number from {min} to {max}"),
        Kind::Text | Kind::Path | Kind::Secret => "a text in quotes".to_string(),
        Kind::Choice(words) => format!("one of \"{}\"", words.join("\", \"")),
        Kind::List => "a list of texts, such as [\"a\", \"b\"],".to_string(),
        Kind::Sha256 => "64 hexadecimal digits, as sha256sum prints them for the file,".to_string(),
        Kind::Signature => "an Ed25519 signature, its 64 bytes in base64,".to_string(),
        Kind::Moment => format!("{},", moment::EXPECTED),
        Kind::Span { min, max } => {
            format!("{}, from {} to {},", duration::EXPECTED, duration::write(min), duration::write(max))
        }
    }
}

/// The texts of a checked list.
pub(super) fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect()
}

/// The walk through a parsed file.
pub(super) struct Reader<'t> {
    text: &'t str,
    pub(super) contents: Contents,
}

impl Reader<'_> {
    fn root(&mut self, document: &DeTable<'_>) {
        for (name, value) in document {
            let line = self.line(name.span().start);
            match (name.get_ref().as_ref(), value.get_ref()) {
                ("gateway", DeValue::Table(table)) => self.table("gateway", table),
                ("plugins", DeValue::Table(table)) => self.plugins(table),
                (known @ ("gateway" | "plugins"), _) => {
                    self.complain(known, line, format!("\"{known}\": a table [{known}] is needed"));
                }
                (unknown, _) => {
                    let hint = misplaced(unknown).unwrap_or_else(|| suggest::hint(unknown, ["gateway", "plugins"]));
                    self.complain(unknown, line, format!("unknown key \"{unknown}\"{hint}"));
                }
            }
        }
    }

    fn table(&mut self, table: &str, content: &DeTable<'_>) {
        for (name, value) in content {
            let line = self.line(name.span().start);
            let name = name.get_ref().as_ref();
            let path = format!("{table}.{name}");
            if let Some(key) = keys::at(&path) {
                if let Some(value) = self.value(key, &path, value) {
                    self.contents.values.put(key, value, Origin::File { line });
                }
            } else if path == named_tokens::PATH {
                self.named_tokens(line, value);
            } else if keys::tables().contains(&path.as_str()) {
                match value.get_ref() {
                    DeValue::Table(content) => self.table(&path, content),
                    _ => self.complain(&path, line, format!("[{table}] {name}: a table [{path}] is needed")),
                }
            } else {
                let hint = misplaced(name).unwrap_or_else(|| suggest::hint(name, names_in(table)));
                self.complain(&path, line, format!("[{table}]: unknown key \"{name}\"{hint}"));
            }
        }
    }

    fn plugins(&mut self, content: &DeTable<'_>) {
        for (id, settings) in content {
            let line = self.line(id.span().start);
            let id = id.get_ref().as_ref();
            let path = format!("plugins.{id}");
            match settings.get_ref() {
                DeValue::Table(table) => {
                    let mut settings = PluginSettings { line: Some(line), ..PluginSettings::default() };
                    self.plugin(&path, table, &mut settings);
                    self.contents.plugins.insert(id.to_string(), settings);
                }
                _ => self.complain(&path, line, format!("[plugins] {id}: a table [{path}] is needed")),
            }
        }
    }

    fn plugin(&mut self, table: &str, content: &DeTable<'_>, settings: &mut PluginSettings) {
        if !content.contains_key("path") {
            self.pointless(table, content);
        }
        for (name, value) in content {
            let line = self.line(name.span().start);
            let name = name.get_ref().as_ref();
            let path = format!("{table}.{name}");
            match (name, value.get_ref()) {
                ("config", DeValue::Table(config)) => match json_table(config) {
                    Ok(config) => settings.config = Value::Object(config),
                    Err(wrong) => self.complain(&path, line, format!("[{path}]: {wrong}")),
                },
                ("grants", DeValue::Table(grants)) => self.grants(&path, grants, settings),
                ("config" | "grants", _) => {
                    self.complain(&path, line, format!("[{table}] {name}: a table [{path}] is needed"));
                }
                _ => match plugins::KEYS.iter().find(|key| key.name() == name && key.table() == "plugins.<id>") {
                    Some(key) => {
                        if let Some(value) = self.value(key, &path, value) {
                            settings.take(name, &value);
                        }
                    }
                    None => {
                        let known = ["config", "grants"].into_iter().chain(plugins::KEYS.iter().map(Key::name));
                        let hint = suggest::hint(name, known);
                        let own = format!("; the plugin's own keys belong in [{table}.config]");
                        let hint = if hint.is_empty() { own } else { hint };
                        self.complain(&path, line, format!("[{table}]: unknown key \"{name}\"{hint}"));
                    }
                },
            }
        }
    }

    /// Complains about keys that speak of a file where none is named: somebody believes it to be checked.
    fn pointless(&mut self, table: &str, content: &DeTable<'_>) {
        for name in content.keys().filter(|name| matches!(name.get_ref().as_ref(), "sha256" | "signature")) {
            let line = self.line(name.span().start);
            let name = name.get_ref();
            let wrong = format!("[{table}] {name}: there is no path beside it; path = \"FILE\" is needed, or neither");
            self.complain(&format!("{table}.{name}"), line, wrong);
        }
    }

    fn grants(&mut self, table: &str, content: &DeTable<'_>, settings: &mut PluginSettings) {
        settings.grants.get_or_insert_default();
        for (name, value) in content {
            let line = self.line(name.span().start);
            let name = name.get_ref().as_ref();
            let path = format!("{table}.{name}");
            let granted = || plugins::KEYS.iter().filter(|key| key.table() == "plugins.<id>.grants");
            match granted().find(|key| key.name() == name) {
                Some(key) => {
                    if let Some(value) = self.value(key, &path, value) {
                        settings.take(name, &value);
                    }
                }
                None => {
                    let hint = suggest::hint(name, granted().map(Key::name));
                    self.complain(&path, line, format!("[{table}]: unknown key \"{name}\"{hint}"));
                }
            }
        }
    }

    /// The checked value, or nothing after a complaint. An empty text under an optional key is nothing as well.
    pub(super) fn value(&mut self, key: &Key, path: &str, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let line = self.line(value.span().start);
        let json = json(value.get_ref());
        match json.clone().and_then(|json| check(key, &json)) {
            Ok(value) if key.optional() && value.as_str() == Some("") => None,
            Ok(value) => Some(value),
            Err(wrong) => {
                // A number that JSON cannot hold is shown as it stands in the file.
                let written = self.text.get(value.span()).unwrap_or_default();
                let shown = json.unwrap_or_else(|_| Value::String(written.to_string()));
                let subject = subject(key, path, &Origin::File { line }, Some(&shown));
                self.complain(path, line, format!("{subject}: {wrong}"));
                None
            }
        }
    }

    pub(super) fn complain(&mut self, path: &str, line: usize, message: String) {
        self.contents.issues.push(Issue { path: path.to_string(), message, line: Some(line) });
    }

    pub(super) fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }
}

/// The names that a table may hold.
fn names_in(table: &str) -> Vec<&'static str> {
    let tables = keys::tables().into_iter().filter_map(|path| path.rsplit_once('.'));
    let subtables = tables.filter(|(parent, _)| *parent == table).map(|(_, name)| name);
    let arrays = named_tokens::PATH.rsplit_once('.').filter(|(parent, _)| *parent == table).map(|(_, name)| name);
    keys::all().filter(|key| key.table() == table).map(Key::name).chain(subtables).chain(arrays).collect()
}

/// For a key that is right in another table: where it belongs.
fn misplaced(name: &str) -> Option<String> {
    let mut tables: Vec<_> = keys::all().filter(|key| key.name() == name).map(Key::table).collect();
    tables.dedup();
    (!tables.is_empty()).then(|| format!("; it belongs in [{}]", tables.join("] or [")))
}

fn json_table(table: &DeTable<'_>) -> Result<Map<String, Value>, String> {
    table.iter().map(|(name, value)| Ok((name.get_ref().to_string(), json(value.get_ref())?))).collect()
}

/// A value of the file as JSON; dates become texts.
fn json(value: &DeValue<'_>) -> Result<Value, String> {
    Ok(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(datetime) => Value::String(datetime.to_string()),
        DeValue::Integer(number) => {
            let (digits, radix) = (number.as_str(), number.radix());
            let signed = i64::from_str_radix(digits, radix).map(Number::from);
            let number = signed.or_else(|_| u64::from_str_radix(digits, radix).map(Number::from));
            Value::Number(number.map_err(|_| "a number that fits in 64 bits is needed".to_string())?)
        }
        DeValue::Float(number) => {
            let finite = number.as_str().parse().ok().and_then(Number::from_f64);
            Value::Number(finite.ok_or("a number that is neither infinite nor \"nan\" is needed")?)
        }
        DeValue::Array(items) => Value::Array(items.iter().map(|item| json(item.get_ref())).collect::<Result<_, _>>()?),
        DeValue::Table(table) => Value::Object(json_table(table)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> Vec<String> {
        let line = |issue: Issue| format!("{}: {}", issue.line.unwrap(), issue.message);
        read(text).issues.into_iter().map(line).collect()
    }

    #[test]
    fn unknown_keys_name_line_table_and_the_nearest() {
        assert_eq!(
            complaints("\n[gateway.limits]\nmax_playload = 1\n"),
            ["3: [gateway.limits]: unknown key \"max_playload\"; did you mean \"max_payload\"?"]
        );
        assert_eq!(complaints("[gatewya]\n"), ["1: unknown key \"gatewya\"; did you mean \"gateway\"?"]);
        assert_eq!(complaints("port = 1"), ["1: unknown key \"port\"; it belongs in [gateway]"]);
        assert_eq!(
            complaints("[gateway]\nlimit.max_payload = 1"),
            ["2: [gateway]: unknown key \"limit\"; did you mean \"limits\"?"]
        );
        assert_eq!(
            complaints("[plugins.status]\nenabeld = false\nmodel = \"x\""),
            [
                "2: [plugins.status]: unknown key \"enabeld\"; did you mean \"enabled\"?",
                "3: [plugins.status]: unknown key \"model\"; the plugin's own keys belong in [plugins.status.config]",
            ]
        );
    }

    #[test]
    fn wrong_values_say_what_would_be_right_and_all_are_listed() {
        let text = "[gateway]\nport = 99999\nbind = 7\nlog.format = \"xml\"\nclient_ids = [1]\n[gateway.auth]\n\
                    token_ttl = \"soon\"\n[gateway.limits]\nmax_payload = 1.5\ntick_interval_ms = 99999999999999999999";
        assert_eq!(
            complaints(text),
            [
                "2: [gateway] port = 99999: a whole number from 0 to 65535 is needed",
                "3: [gateway] bind = 7: a text in quotes is needed",
                "4: [gateway.log] format = \"xml\": one of \"text\", \"json\" is needed",
                "5: [gateway] client_ids = [1]: a list of texts, such as [\"a\", \"b\"], is needed",
                "7: [gateway.auth] token_ttl = \"soon\": a number with a unit (ms, s, m, h or d), such as \"30d\", \
                 from 1s to 3650d, is needed",
                "9: [gateway.limits] max_payload = 1.5: a whole number from 1024 to 268435456 is needed",
                "10: [gateway.limits] tick_interval_ms = \"99999999999999999999\": a number that fits in 64 bits is needed",
            ]
        );
        assert_eq!(complaints("gateway = 1"), ["1: \"gateway\": a table [gateway] is needed"]);
        assert_eq!(complaints("[gateway]\nlimits = 1"), ["2: [gateway] limits: a table [gateway.limits] is needed"]);
    }

    #[test]
    fn secrets_are_never_shown() {
        for text in [
            "[gateway.auth]\ntoken = [\"hunter2\"]",
            "[gateway.auth]\npassword = { x = \"hunter2\" }",
            "[gateway.auth]\ntokn = \"hunter2\"",
            "[gateway.auth]\ntoken = hunter2",
            "[gateway.auth]\ntoken = \"hunter2",
            "[gateway.auth]\ntoken = 'hunter2\npassword = 3",
            "[gateway.auth]\ntoken = \"a\"\ntoken = \"hunter2\"",
        ] {
            let found = complaints(text);
            assert!(!found.is_empty() && !found.concat().contains("hunter2"), "{found:?}");
        }
    }

    #[test]
    fn plugin_tables_are_read_whole() {
        let text = "[plugins.agent]\nenabled = false\nmethods = [\"agent\"]\nisolation = \"pool\"\n\
                    grants = { invoke = [\"send\"], hear = [] }\n[plugins.agent.config]\nmodel = \"small\"\nday = 2026-01-02\n";
        let contents = read(text);
        assert!(contents.issues.is_empty());
        let agent = &contents.plugins["agent"];
        assert!(!agent.enabled);
        assert_eq!(agent.methods.as_deref(), Some(&["agent".to_string()][..]));
        assert_eq!(agent.grants.as_ref().unwrap().invoke, ["send"]);
        assert_eq!(agent.config, serde_json::json!({"model": "small", "day": "2026-01-02"}));
        assert_eq!(complaints("plugins.x.config.a = inf").len(), 1);
    }

    #[test]
    fn a_file_of_a_plugin_comes_with_what_it_is_checked_against() {
        let (sum, signature) = ("AB".repeat(32), "A".repeat(86) + "==");
        let table = format!("[plugins.x]\npath = \"x.so\"\nsha256 = \"{sum}\"\nsignature = \"{signature}\"");
        let contents = read(&table);
        assert!(contents.issues.is_empty(), "{:?}", contents.issues);
        let x = &contents.plugins["x"];
        assert_eq!(x.path.as_deref(), Some(std::path::Path::new("x.so")));
        assert_eq!(x.sha256, Some(sum.to_lowercase()));
        assert!(x.signature.is_some());
        assert_eq!(
            complaints("[plugins.x]\npath = 1\nsha256 = \"abc\"\nsignature = \"abc\""),
            [
                "2: [plugins.x] path = 1: a text in quotes is needed",
                "3: [plugins.x] sha256 = \"abc\": 64 hexadecimal digits, as sha256sum prints them for the file, is needed",
                "4: [plugins.x] signature = \"abc\": an Ed25519 signature, its 64 bytes in base64, is needed",
            ]
        );
        assert_eq!(
            complaints(&format!("[plugins.x]\nsha256 = \"{sum}\"")),
            ["2: [plugins.x] sha256: there is no path beside it; path = \"FILE\" is needed, or neither"]
        );
    }

    #[test]
    fn an_empty_text_leaves_an_optional_key_unset() {
        let contents = read("[gateway.auth]\ntoken = \"\"\nmode = \"\"");
        assert!(contents.issues.is_empty());
        assert!(contents.values.effective("gateway.auth.token").is_none());
        assert_eq!(complaints("[gateway]\nbind = \"\"").len(), 1, "bind is not optional");
    }
}
