//! What is wrong with a configuration, told so that it can be repaired.

use std::path::PathBuf;

use serde_json::Value;

use super::keys::{Key, Kind};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The key, joined by dots; empty for what concerns no key.
    pub path: String,
    /// What is wrong and what would be right. Never holds a secret.
    pub message: String,
    /// The line in the file, counted from 1, if it is the file's.
    pub line: Option<usize>,
}

/// All that is wrong with a configuration. Prints one line for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file that the lines belong to.
    pub file: Option<PathBuf>,
    /// What is wrong; never empty.
    pub issues: Vec<Issue>,
}

impl std::error::Error for ConfigError {}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, issue) in self.issues.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match (&self.file, issue.line) {
                (Some(file), Some(line)) => write!(f, "{}:{line}: {}", file.display(), issue.message)?,
                (None, Some(line)) => write!(f, "line {line}: {}", issue.message)?,
                (_, None) => f.write_str(&issue.message)?,
            }
        }
        Ok(())
    }
}

/// Who gave a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The file.
    File {
        /// At this line.
        line: usize,
    },
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command line.
    Flag(&'static str),
}

/// The beginning of a complaint: who said what. `shown` is left out for secrets.
pub(super) fn subject(key: &Key, path: &str, origin: &Origin, shown: Option<&Value>) -> String {
    let shown = shown.filter(|_| key.kind != Kind::Secret).map(|value| shortened(value.to_string()));
    match origin {
        Origin::File { .. } => {
            let (table, name) = path.rsplit_once('.').unwrap_or(("", path));
            shown.map_or_else(|| format!("[{table}] {name}"), |value| format!("[{table}] {name} = {value}"))
        }
        Origin::Environment(name) => {
            shown.map_or_else(|| name.clone(), |value| format!("{name}={}", value.trim_matches('"')))
        }
        Origin::Flag(name) => {
            shown.map_or_else(|| name.to_string(), |value| format!("{name} {}", value.trim_matches('"')))
        }
    }
}

/// Enough of a value to recognise it.
fn shortened(text: String) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain(['…']).collect() }
}
