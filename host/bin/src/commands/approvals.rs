//! `clawhost approvals`: programs that somebody wants to run and may not without an operator's word, and the files that say
//! what may run without one: the gateway's and those of nodes.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::call::json_argument;
use super::devices::whole;
use super::nodes::meant;
use crate::cli::Context;
use crate::failure::Failure;
use crate::session::Question;
use crate::show::{Style, Table, ago, clean, json_text, span};

const PLUGIN: &str = "approvals";
const LIST: &str = "exec.approval.list";

/// What to do about approvals.
#[derive(Debug, Subcommand)]
pub enum ApprovalsCommand {
    /// List the programs that wait for a decision
    List,
    /// Let a program run
    Approve {
        /// The request, as listed
        request: String,
        /// Let programs like it run from now on, too
        #[arg(long)]
        always: bool,
    },
    /// Keep a program from running
    Deny {
        /// The request, as listed
        request: String,
    },
    /// Show what may run without asking
    Get {
        #[command(flatten)]
        whose: Whose,
    },
    /// Replace what may run without asking
    Set {
        /// The file as JSON, or as `get --json` printed it with its hash; @FILE reads it from a file, - from standard input
        #[arg(value_name = "JSON")]
        file: String,
        /// Hash of what it replaces, as `get` shows it
        #[arg(long, value_name = "HASH")]
        base_hash: Option<String>,
        #[command(flatten)]
        whose: Whose,
    },
}

/// Whose file it is.
#[derive(Debug, Args)]
pub struct Whose {
    /// The file of this node instead of the gateway's: its id, a beginning of it, or its name
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
}

/// Lists, decides, shows or replaces.
pub fn run(command: ApprovalsCommand, context: &Context) -> Result<(), Failure> {
    match command {
        ApprovalsCommand::List => context.show(&Question::new(LIST, PLUGIN), |waiting: Vec<Waiting>| {
            Ok(list_text(&waiting, context.style, schemas::now_ms()))
        }),
        ApprovalsCommand::Approve { request, always } => {
            resolve(context, &request, if always { "allow-always" } else { "allow-once" })
        }
        ApprovalsCommand::Deny { request } => resolve(context, &request, "deny"),
        ApprovalsCommand::Get { whose } => of_file(context, whose, "get", json!({})),
        ApprovalsCommand::Set { file, base_hash, whose } => {
            let params = change(&json_argument("the file", &file)?, base_hash)?;
            of_file(context, whose, "set", params)
        }
    }
}

fn resolve(context: &Context, typed: &str, decision: &str) -> Result<(), Failure> {
    const METHOD: &str = "exec.approval.resolve";
    let (id, answer) = context.with_gateway(async |connection| {
        let waiting: Vec<Waiting> = Question::new(LIST, PLUGIN).ask_for(connection).await?;
        let id = whole(typed, waiting.iter().map(|request| request.id.as_str()))?.to_string();
        let params = json!({ "id": id, "decision": decision });
        let answer = Question::new(METHOD, PLUGIN).with(params).ask(connection).await?;
        Ok((id, answer))
    })?;
    context.print_answer(METHOD, &answer, |_: Value| Ok(format!("{decision}: {}\n", clean(&id))))
}

fn of_file(context: &Context, whose: Whose, verb: &str, mut params: Value) -> Result<(), Failure> {
    let of_node = if whose.node.is_some() { "node." } else { "" };
    let method = format!("exec.approvals.{of_node}{verb}");
    let answer = context.with_gateway(async |connection| {
        if let Some(typed) = &whose.node {
            params["nodeId"] = json!(meant(connection, typed).await?);
        }
        Question::new(&method, PLUGIN).with(params).ask(connection).await
    })?;
    context.print_answer(&method, &answer, |snapshot: Snapshot| Ok(snapshot_text(&snapshot, context.style)))
}

/// The params of a change. What `get --json` printed holds the hash of what it was made from.
fn change(given: &RawValue, base_hash: Option<String>) -> Result<Value, Failure> {
    let given: Value = serde_json::from_str(given.get())
        .map_err(|error| Failure::usage(format!("the file is not understood: {error}")))?;
    let (file, hash) = match (given.get("file"), given.get("hash").and_then(Value::as_str)) {
        // Without a file the hash is that of nothing, and none is asked for.
        (Some(file), Some(hash)) => (file.clone(), (given["exists"] != false).then(|| hash.to_string())),
        _ => (given, None),
    };
    let mut params = json!({ "file": file });
    if let Some(hash) = base_hash.or(hash) {
        params["baseHash"] = json!(hash);
    }
    Ok(params)
}

/// A request, as far as it is shown.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    id: String,
    request: Request,
    created_at_ms: u64,
    expires_at_ms: u64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Request {
    command: String,
    cwd: Option<String>,
    host: Option<String>,
    node_id: Option<String>,
    agent_id: Option<String>,
}

#[derive(Deserialize)]
struct Snapshot {
    path: Option<String>,
    exists: Option<bool>,
    hash: Option<String>,
    file: Box<RawValue>,
}

fn list_text(waiting: &[Waiting], style: Style, now_ms: u64) -> String {
    if waiting.is_empty() {
        return "no program waits for a decision\n".to_string();
    }
    let mut table = Table::new(&["REQUEST", "AGENT", "WHERE", "FOLDER", "SINCE", "STILL", "COMMAND"]);
    for Waiting { id, request, created_at_ms, expires_at_ms } in waiting {
        let place = request.node_id.as_ref().map(|node| format!("node {node}")).or(request.host.clone());
        table.row([
            id.clone(),
            request.agent_id.clone().unwrap_or_default(),
            place.unwrap_or_default(),
            request.cwd.clone().unwrap_or_default(),
            ago(*created_at_ms, now_ms),
            span(expires_at_ms.saturating_sub(now_ms)),
            request.command.clone(),
        ]);
    }
    table.render(style)
}

fn snapshot_text(snapshot: &Snapshot, style: Style) -> String {
    let mut text = String::new();
    let mut line = |name: &str, fact: &str| text.push_str(&format!("{} {}\n", style.bold(name), clean(fact)));
    if let Some(path) = &snapshot.path {
        let absent = if snapshot.exists == Some(false) { " (not there yet)" } else { "" };
        line("file:", &format!("{path}{absent}"));
    }
    if let Some(hash) = &snapshot.hash {
        line("hash:", hash);
    }
    text.push_str(&format!("{}\n", json_text::pretty(snapshot.file.get())));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(value: Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(&value).unwrap()
    }

    #[test]
    fn what_waits_is_shown_in_full() {
        let waiting: Vec<Waiting> = serde_json::from_value(json!([
            { "id": "run-1", "createdAtMs": 0, "expiresAtMs": 90_000,
              "request": { "command": "rm -r x\nls", "cwd": "/a", "host": "node", "nodeId": "n", "agentId": "main" } },
            { "id": "run-2", "createdAtMs": 58_000, "expiresAtMs": 50_000, "request": { "command": "ls" } },
        ]))
        .unwrap();
        let expected = "REQUEST  AGENT  WHERE   FOLDER  SINCE      STILL  COMMAND\n\
                        run-1    main   node n  /a      1 min ago  30 s   rm -r x\\nls\n\
                        run-2    -      -       -       just now   0 ms   ls\n";
        assert_eq!(list_text(&waiting, Style::plain(), 60_000), expected);
        assert_eq!(list_text(&[], Style::plain(), 0), "no program waits for a decision\n");
    }

    #[test]
    fn a_change_knows_what_it_was_made_from() {
        let file = json!({ "version": 1 });
        let shown = |exists| raw(json!({ "path": "/p", "exists": exists, "hash": "h", "file": file }));
        assert_eq!(change(&shown(true), None).unwrap(), json!({ "file": file, "baseHash": "h" }));
        assert_eq!(change(&shown(true), Some("i".into())).unwrap(), json!({ "file": file, "baseHash": "i" }));
        assert_eq!(change(&shown(false), None).unwrap(), json!({ "file": file }));
        assert_eq!(change(&raw(file.clone()), None).unwrap(), json!({ "file": file }));
        assert_eq!(change(&raw(file.clone()), Some("h".into())).unwrap(), json!({ "file": file, "baseHash": "h" }));
    }

    #[test]
    fn a_file_is_shown_with_its_place_and_hash() {
        let snapshot: Snapshot =
            serde_json::from_value(json!({ "path": "/p", "exists": false, "hash": "h", "file": { "version": 1 } }))
                .unwrap();
        let text = snapshot_text(&snapshot, Style::plain());
        assert_eq!(text, "file: /p (not there yet)\nhash: h\n{\n  \"version\": 1\n}\n");
    }
}
