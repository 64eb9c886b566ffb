//! `clawhost sessions`: conversations that the gateway keeps.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{plain, visible};
use crate::cli::Context;
use crate::failure::Failure;
use crate::session::Question;
use crate::show::{Style, Table, ago, clean};

/// The plugin that keeps them.
const PLUGIN: &str = "sessions";

/// What to do about sessions.
#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// List the sessions, those used last first
    List,
    /// Show what was said in one
    Show {
        /// The session, such as main
        key: String,
    },
    /// Begin a new conversation in one; the old one is kept aside
    Reset {
        /// The session
        key: String,
    },
    /// Delete one; its transcript is set aside
    Delete {
        /// The session
        key: String,
    },
}

/// Lists, shows, resets or deletes.
pub fn run(command: SessionsCommand, context: &Context) -> Result<(), Failure> {
    match command {
        SessionsCommand::List => context.show(&Question::new("sessions.list", PLUGIN), |list: List| {
            Ok(list_text(&list.sessions, context.style, schemas::now_ms()))
        }),
        SessionsCommand::Show { key } => {
            let question = Question::new("chat.history", "chat").with(json!({ "sessionKey": key, "limit": 1000 }));
            context.show(&question, |history: History| Ok(conversation(&history.messages, context.style)))
        }
        SessionsCommand::Reset { key } => {
            let question = Question::new("sessions.reset", PLUGIN).with(json!({ "key": key }));
            context.show(&question, |done: Done| Ok(format!("{} begins anew\n", clean(&done.key))))
        }
        SessionsCommand::Delete { key } => {
            let question = Question::new("sessions.delete", PLUGIN).with(json!({ "key": key }));
            context.show(&question, |done: Done| match done.deleted {
                false => Err(Failure::failed(format!("there is no session {}", done.key))),
                true => Ok(format!("deleted {}\n", clean(&done.key))),
            })
        }
    }
}

#[derive(Deserialize)]
struct List {
    sessions: Vec<Row>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Row {
    key: String,
    kind: String,
    label: Option<String>,
    display_name: Option<String>,
    updated_at: Option<u64>,
    model: Option<String>,
    total_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct History {
    messages: Vec<Value>,
}

#[derive(Deserialize)]
struct Done {
    key: String,
    #[serde(default)]
    deleted: bool,
}

fn list_text(rows: &[Row], style: Style, now_ms: u64) -> String {
    if rows.is_empty() {
        return "there is no session yet; `clawhost chat` begins one\n".to_string();
    }
    let mut table = Table::new(&["SESSION", "KIND", "USED", "MODEL", "TOKENS", "NAME"]);
    for row in rows {
        table.row([
            row.key.clone(),
            row.kind.clone(),
            row.updated_at.map(|at| ago(at, now_ms)).unwrap_or_default(),
            row.model.clone().unwrap_or_default(),
            row.total_tokens.map(|tokens| tokens.to_string()).unwrap_or_default(),
            row.label.clone().or(row.display_name.clone()).unwrap_or_default(),
        ]);
    }
    table.render(style)
}

fn conversation(messages: &[Value], style: Style) -> String {
    let said = messages.iter().filter_map(|message| {
        let text = plain(message)?;
        let role = clean(message["role"].as_str().unwrap_or("?"));
        Some(format!("{} {}\n", style.bold(&format!("{role}:")), visible(text.trim_end())))
    });
    let text: String = said.collect();
    if text.is_empty() { "nothing was said yet\n".to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_and_what_was_said() {
        let row: Row = serde_json::from_value(json!({ "key": "agent:main:main", "kind": "direct", "updatedAt": 0,
                                                      "totalTokens": 7, "label": "Anna\u{1b}" }))
        .unwrap();
        let expected = "SESSION          KIND    USED       MODEL  TOKENS  NAME\n\
                        agent:main:main  direct  1 min ago  -      7       Anna\\u{1b}\n";
        assert_eq!(list_text(&[row], Style::plain(), 60_000), expected);
        assert!(list_text(&[], Style::plain(), 0).contains("clawhost chat"));
        let messages = [
            json!({ "role": "user", "content": "a\nb" }),
            json!({ "role": "assistant", "content": [{ "type": "text", "text": "c\n" }] }),
            json!({ "role": "toolResult" }),
        ];
        assert_eq!(conversation(&messages, Style::plain()), "user: a\nb\nassistant: c\n");
        assert_eq!(conversation(&[], Style::plain()), "nothing was said yet\n");
    }
}
