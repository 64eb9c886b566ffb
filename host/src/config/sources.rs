//! Where values come from besides the file: flags, and the environment under the names of this gateway and of those whose
//! clients and service files people already have.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::file::{Values, check};
use super::issue::{ConfigError, Issue, Origin, subject};
use super::keys;
use crate::secret::Secret;

/// Values given on the command line.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--port`
    pub port: Option<u16>,
    /// `--bind`
    pub bind: Option<String>,
    /// `--token`
    pub token: Option<Secret>,
    /// `--password`
    pub password: Option<Secret>,
    /// `--state-dir`
    pub state_dir: Option<PathBuf>,
    /// `--log-level`
    pub log_level: Option<String>,
}

/// Prefixes of variables, the strongest first.
const PREFIXES: [&str; 3] = ["CLAWHOST", "OPENCLAW", "CLAWDBOT"];

/// Key, the variable's name behind the prefix, and a short form that only the strongest prefix has.
const VARIABLES: [(&str, &str, Option<&str>); 7] = [
    ("gateway.port", "GATEWAY_PORT", Some("PORT")),
    ("gateway.bind", "GATEWAY_BIND", Some("BIND")),
    ("gateway.auth.token", "GATEWAY_TOKEN", Some("TOKEN")),
    ("gateway.auth.password", "GATEWAY_PASSWORD", Some("PASSWORD")),
    ("gateway.state_dir", "STATE_DIR", None),
    ("gateway.log.level", "LOG", None),
    ("gateway.log.format", "LOG_FORMAT", None),
];

/// The environment, as [`std::env::var`] would answer.
pub(super) type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The text of a configuration file.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) is_named: bool,
}

/// The file to read, or none: the one that was named, else the first that exists in the usual places.
pub(super) fn find_file(overrides: &Overrides, env: Environment<'_>) -> Result<Option<Found>, ConfigError> {
    let named = match &overrides.config {
        Some(path) => Some((path.clone(), "--config".to_string())),
        None => variable(env, "CONFIG_PATH", None).map(|(name, path)| (expand_home(&path, env), name)),
    };
    if let Some((path, by)) = named {
        let refuse = |why: String| Err(alone(format!("{}: {why} (named by {by})", path.display())));
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            return refuse("this gateway is configured in TOML, not JSON".to_string());
        }
        return match read_text(&path) {
            Ok(text) => Ok(Some(Found { path, text, is_named: true })),
            Err(error) => refuse(format!("cannot read the configuration: {error}")),
        };
    }
    for path in [PathBuf::from("config.toml"), state_dir_hint(overrides, env).join("config.toml")] {
        match read_text(&path) {
            Ok(text) => return Ok(Some(Found { path, text, is_named: false })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(alone(format!("{}: cannot read the configuration: {error}", path.display()))),
        }
    }
    Ok(None)
}

/// The text of a file. It is read again while the gateway runs, so nothing is taken that can be read once, or for ever.
fn read_text(path: &Path) -> std::io::Result<String> {
    const LARGEST: u64 = 4 * 1024 * 1024;
    let found = std::fs::metadata(path)?;
    if !found.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    if found.len() > LARGEST {
        return Err(std::io::Error::other(format!("it has {} bytes, and at most {LARGEST} are read", found.len())));
    }
    std::fs::read_to_string(path)
}

/// Lays the environment and then the flags over what the file said.
pub(super) fn overlay(values: &mut Values, overrides: &Overrides, env: Environment<'_>, issues: &mut Vec<Issue>) {
    for (path, name, short) in VARIABLES {
        if let Some((name, text)) = variable(env, name, short) {
            let value = if path == "gateway.port" { number(&text) } else { json!(text) };
            put(values, path, value, Origin::Environment(name), issues);
        }
    }
    let path_text = |path: &PathBuf| json!(path.to_string_lossy());
    let flags = [
        ("gateway.port", "--port", overrides.port.map(|port| json!(port))),
        ("gateway.bind", "--bind", overrides.bind.as_ref().map(|bind| json!(bind))),
        ("gateway.auth.token", "--token", overrides.token.as_ref().map(|token| json!(token.expose()))),
        ("gateway.auth.password", "--password", overrides.password.as_ref().map(|password| json!(password.expose()))),
        ("gateway.state_dir", "--state-dir", overrides.state_dir.as_ref().map(path_text)),
        ("gateway.log.level", "--log-level", overrides.log_level.as_ref().map(|level| json!(level))),
    ];
    for (path, name, value) in flags {
        if let Some(value) = value {
            put(values, path, value, Origin::Flag(name), issues);
        }
    }
}

/// A path with a leading `~` replaced by the home folder, if there is one.
pub(super) fn expand_home(text: &str, env: Environment<'_>) -> PathBuf {
    let rest = text.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match (rest, home(env)) {
        (Some(rest), Some(home)) => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(text),
    }
}

/// Whether a path needs a home folder that is not known.
pub(super) fn lacks_home(text: &str, env: Environment<'_>) -> bool {
    (text == "~" || text.starts_with("~/")) && home(env).is_none()
}

fn home(env: Environment<'_>) -> Option<PathBuf> {
    env("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// The state folder as far as it can be known before the file is read.
fn state_dir_hint(overrides: &Overrides, env: Environment<'_>) -> PathBuf {
    let from_variable = || variable(env, "STATE_DIR", None).map(|(_, path)| expand_home(&path, env));
    overrides.state_dir.clone().or_else(from_variable).unwrap_or_else(|| expand_home("~/.clawhost", env))
}

/// The strongest variable that says something. An empty one says nothing: that is what templates leave behind.
fn variable(env: Environment<'_>, name: &str, short: Option<&str>) -> Option<(String, String)> {
    let long = PREFIXES.iter().map(|prefix| format!("{prefix}_{name}"));
    let short = short.map(|short| format!("{}_{short}", PREFIXES[0]));
    let mut names: Vec<_> = long.collect();
    names.splice(1..1, short);
    names.into_iter().find_map(|name| {
        let text = env(&name)?.trim().to_string();
        (!text.is_empty()).then_some((name, text))
    })
}

fn number(text: &str) -> Value {
    text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number))
}

fn put(values: &mut Values, path: &str, value: Value, origin: Origin, issues: &mut Vec<Issue>) {
    let key = keys::at(path).expect("variables and flags name known keys");
    let empty = value.as_str().is_some_and(|text| text.trim().is_empty());
    let checked = if empty { Err("a text that is not empty is needed".to_string()) } else { check(key, &value) };
    match checked {
        Ok(value) => values.put(key, value, origin),
        Err(wrong) => {
            let message = format!("{}: {wrong}", subject(key, path, &origin, Some(&value)));
            issues.push(Issue { path: path.to_string(), message, line: None });
        }
    }
}

fn alone(message: String) -> ConfigError {
    ConfigError { file: None, issues: vec![Issue { path: String::new(), message, line: None }] }
}

/// A path of the file as it is meant: seen from the file's folder.
pub(super) fn beside(file: Option<&Path>, path: PathBuf) -> PathBuf {
    match file.and_then(Path::parent) {
        Some(folder) if path.is_relative() => folder.join(path),
        _ => path,
    }
}
