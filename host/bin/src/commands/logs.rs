//! `clawhost logs`: the end of the gateway's log, and what is added to it. The protocol has no event for log lines, so
//! following means asking again with the cursor of the last answer.

use std::time::Duration;

use clap::Args;
use client::Connection;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use crate::cli::Context;
use crate::failure::Failure;
use crate::session::{Question, block_on, until_interrupted};
use crate::show::{Style, clean, json_text, print, remark};

const PAUSE: Duration = Duration::from_secs(1);
/// What the method reads of the file at most.
const MAX_BYTES: u64 = 1_000_000;
/// What the method answers at most.
const MAX_LINES: u64 = 5_000;

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Go on with what is added, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// How many lines to begin with
    #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=MAX_LINES))]
    lines: u64,
}

/// Prints log lines.
pub fn run(args: LogsArgs, context: &Context) -> Result<(), Failure> {
    block_on(until_interrupted(tail(&args, context)))
}

async fn tail(args: &LogsArgs, context: &Context) -> Result<(), Failure> {
    let connection = Connection::open(context.target.options()?).await?;
    let mut params = json!({ "limit": args.lines, "maxBytes": MAX_BYTES });
    loop {
        let part: Part = Question::new("logs.tail", "logs").with(params).ask_for(&connection).await?;
        if part.file.is_empty() {
            remark("the gateway writes no log file");
        }
        part.print(context)?;
        if !args.follow || part.file.is_empty() {
            connection.close().await;
            return Ok(());
        }
        params = json!({ "cursor": part.cursor, "limit": MAX_LINES, "maxBytes": MAX_BYTES });
        tokio::time::sleep(PAUSE).await;
    }
}

#[derive(Deserialize)]
struct Part {
    file: String,
    cursor: u64,
    lines: Vec<String>,
}

impl Part {
    fn print(&self, context: &Context) -> Result<(), Failure> {
        let word = |line: &String| if context.json { for_scripts(line) } else { for_people(line, context.style) };
        let text: String = self.lines.iter().map(|line| word(line) + "\n").collect();
        print(&text)
    }
}

/// The gateway's own JSON, which means the same without what a terminal would obey; another line as text.
fn for_scripts(line: &str) -> String {
    let is_json = serde_json::from_str::<IgnoredAny>(line).is_ok();
    if is_json { json_text::compact(line) } else { clean(line) }
}

/// Time, level, message, and the further fields; a line that is not the gateway's own JSON stays as it is.
fn for_people(line: &str, style: Style) -> String {
    let Ok(mut fields) = serde_json::from_str::<Map<String, Value>>(line) else { return clean(line) };
    let mut take = |name: &str| fields.remove(name).map(|value| word(&value)).unwrap_or_default();
    let (time, level, message) = (take("timestamp"), take("level"), take("message"));
    take("target");
    let level = match level.as_str() {
        "ERROR" | "WARN" => style.red(&format!("{level:<5}")),
        _ => format!("{level:<5}"),
    };
    let rest: String = fields.iter().map(|(name, value)| format!(" {}={}", clean(name), word(value))).collect();
    format!("{time} {level} {message}{rest}")
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => clean(text),
        other => clean(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_worded_for_people() {
        let line =
            r#"{"timestamp":"2025-01-19T05:20:00Z","level":"INFO","message":"ready\u001b[0m","port":1,"target":"t"}"#;
        assert_eq!(for_people(line, Style::plain()), "2025-01-19T05:20:00Z INFO  ready\\u{1b}[0m port=1");
        assert_eq!(for_people("not\tjson", Style::plain()), "not\\tjson");
    }

    #[test]
    fn lines_for_scripts_move_no_cursor_either() {
        let line = "{\"message\": \"a\u{9b}2J\", \"port\":1.50}";
        assert_eq!(for_scripts(line), r#"{"message":"a\u009b2J","port":1.50}"#);
        assert_eq!(for_scripts("not \u{1b}[2Jjson\n{}"), "not \\u{1b}[2Jjson\\n{}");
    }
}
