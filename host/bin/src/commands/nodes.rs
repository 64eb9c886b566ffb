//! `clawhost nodes`: machines that lend their abilities to the gateway: which there are, what each offers, who is approved,
//! and asking one to do something. A node is named by its id, a beginning of it, or its name.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::call::json_argument;
use super::devices::{short, whole};
use crate::cli::Context;
use crate::failure::Failure;
use crate::session::Question;
use crate::show::{Style, Table, ago, clean, json_text, print};

/// The plugin that knows nodes.
const PLUGIN: &str = "node";
const LIST: &str = "node.list";
const PAIR_LIST: &str = "node.pair.list";
/// How long a node has for its answer when nobody says, and the gateway after it to pass that on.
const NODE_LIMIT: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(5);

/// What to do about nodes.
#[derive(Debug, Subcommand)]
pub enum NodesCommand {
    /// List the nodes, connected ones first
    List,
    /// Show what one node is and offers
    Describe {
        /// The node: its id, a beginning of it, or its name
        node: String,
    },
    /// Have a node do something, and print what came of it
    Invoke(InvokeArgs),
    /// Give a node another name
    Rename {
        /// The node: its id, a beginning of it, or its name
        node: String,
        /// Its new name
        name: String,
    },
    /// List nodes whose abilities wait for approval
    Pending,
    /// Let what a waiting node offers be used
    Approve {
        /// The request, as `pending` lists it
        request: String,
        /// Only these of the commands it asks for; it does not ask for the others again. One that was withheld before
        /// may be named as well
        #[arg(long, value_name = "COMMAND", value_delimiter = ',', num_args = 1..)]
        commands: Vec<String>,
    },
    /// Turn a waiting node's request away
    Reject {
        /// The request, as `pending` lists it
        request: String,
    },
    /// Take back what was approved of a node; its device stays paired
    Remove {
        /// The node: its id, a beginning of it, or its name
        node: String,
    },
}

/// Arguments of `nodes invoke`.
#[derive(Debug, Args)]
pub struct InvokeArgs {
    /// The node: its id, a beginning of it, or its name
    node: String,
    /// The command, such as system.which; `nodes describe` lists those of a node
    command: String,
    /// Its parameters: JSON, @FILE to read them from a file, or - for standard input
    #[arg(long, value_name = "JSON", default_value = "{}")]
    params: String,
}

/// Lists, asks or decides.
pub fn run(command: NodesCommand, context: &Context) -> Result<(), Failure> {
    match command {
        NodesCommand::List => context.show(&Question::new(LIST, PLUGIN), |list: NodeList| {
            Ok(list_text(&list.nodes, context.style, schemas::now_ms()))
        }),
        NodesCommand::Describe { node } => ask(context, "node.describe", &node, json!({}), |node: Node| {
            description(&node, context.style, schemas::now_ms())
        }),
        NodesCommand::Invoke(args) => invoke(&args, context),
        NodesCommand::Rename { node, name } => {
            ask(context, "node.rename", &node, json!({ "displayName": name }), |done: Renamed| {
                format!("node {} is called {}\n", clean(short(&done.node_id)), clean(&done.display_name))
            })
        }
        NodesCommand::Pending => context.show(&Question::new(PAIR_LIST, PLUGIN), |list: PairList| {
            Ok(pending_text(&list.pending, context.style, schemas::now_ms()))
        }),
        NodesCommand::Approve { request, commands } => {
            let more = if commands.is_empty() { json!({}) } else { json!({ "commands": commands }) };
            decide(context, "node.pair.approve", &request, more, |done: Approved| approved_text(&done.node))
        }
        NodesCommand::Reject { request } => decide(context, "node.pair.reject", &request, json!({}), |done: NodeId| {
            format!("rejected node {}\n", clean(short(&done.node_id)))
        }),
        NodesCommand::Remove { node } => ask(context, "node.pair.remove", &node, json!({}), |done: NodeId| {
            format!("took back what was approved of node {}\n", clean(short(&done.node_id)))
        }),
    }
}

/// Asks something about one node.
fn ask<T: serde::de::DeserializeOwned>(
    context: &Context,
    method: &str,
    typed: &str,
    mut params: Value,
    render: impl FnOnce(T) -> String,
) -> Result<(), Failure> {
    let answer = context.with_gateway(async |connection| {
        params["nodeId"] = json!(meant(connection, typed).await?);
        Question::new(method, PLUGIN).with(params).ask(connection).await
    })?;
    context.print_answer(method, &answer, |done: T| Ok(render(done)))
}

/// Decides about a request.
fn decide<T: serde::de::DeserializeOwned>(
    context: &Context,
    method: &str,
    typed: &str,
    mut params: Value,
    render: impl FnOnce(T) -> String,
) -> Result<(), Failure> {
    let answer = context.with_gateway(async |connection| {
        let list: PairList = Question::new(PAIR_LIST, PLUGIN).ask_for(connection).await?;
        let known = list.pending.iter().map(|request| request.request_id.as_str());
        params["requestId"] = json!(whole(typed, known)?);
        Question::new(method, PLUGIN).with(params).ask(connection).await
    })?;
    context.print_answer(method, &answer, |done: T| Ok(render(done)))
}

fn invoke(args: &InvokeArgs, context: &Context) -> Result<(), Failure> {
    let params = json_argument("--params", &args.params)?;
    let limit = context.target.timeout.unwrap_or(NODE_LIMIT);
    let answer = context.with_gateway(async |connection| {
        let node_id = meant(connection, &args.node).await?;
        let question = json!({
            "nodeId": node_id, "command": args.command, "params": params, "timeoutMs": limit.as_millis() as u64,
            "idempotencyKey": uuid::Uuid::new_v4().to_string(),
        });
        let invoke = Question::new("node.invoke", PLUGIN).with(question);
        invoke.within(limit + GRACE).ask(connection).await
    })?;
    if context.json {
        return print(&format!("{}\n", json_text::compact(answer.get())));
    }
    let invoked: Invoked = serde_json::from_str(answer.get()).map_err(|error| {
        Failure::failed(format!("the answer is not understood ({error}); --json shows it as it is"))
    })?;
    match invoked.payload {
        Some(payload) => print(&format!("{}\n", json_text::pretty(payload.get()))),
        None => print("done\n"),
    }
}

/// The id of the node that somebody named. One that is not known goes to the gateway as it is.
pub async fn meant(connection: &client::Connection, typed: &str) -> Result<String, Failure> {
    let list: NodeList = Question::new(LIST, PLUGIN).ask_for(connection).await?;
    pick(&list.nodes, typed)
}

fn pick(nodes: &[Node], typed: &str) -> Result<String, Failure> {
    let ids = nodes.iter().map(|node| node.node_id.as_str());
    if ids.clone().any(|id| id == typed) {
        return Ok(typed.to_string());
    }
    let is_called = |node: &&Node| node.display_name.as_deref().is_some_and(|name| same(name, typed));
    let called: Vec<&str> = nodes.iter().filter(is_called).map(|node| node.node_id.as_str()).collect();
    match called[..] {
        [only] => Ok(only.to_string()),
        [] => Ok(whole(typed, ids)?.to_string()),
        _ => Err(Failure::usage(format!("{typed} is the name of several nodes: {}", called.join(", ")))),
    }
}

fn same(name: &str, typed: &str) -> bool {
    name.trim().to_lowercase() == typed.trim().to_lowercase()
}

/// Nodes, as far as they are shown; other gateways leave some of it out.
#[derive(Deserialize)]
struct NodeList {
    nodes: Vec<Node>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Node {
    node_id: String,
    display_name: Option<String>,
    platform: Option<String>,
    version: Option<String>,
    device_family: Option<String>,
    remote_ip: Option<String>,
    caps: Vec<String>,
    commands: Vec<String>,
    approval_state: Option<String>,
    pending_request_id: Option<String>,
    pending_declared_commands: Option<Vec<String>>,
    withheld_commands: Option<Vec<String>>,
    connected: bool,
    connected_at_ms: Option<u64>,
    approved_at_ms: Option<u64>,
    last_seen_at_ms: Option<u64>,
}

#[derive(Deserialize)]
struct PairList {
    pending: Vec<Waiting>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    request_id: String,
    node_id: String,
    display_name: Option<String>,
    platform: Option<String>,
    #[serde(default)]
    commands: Vec<String>,
    #[serde(default)]
    required_approve_scopes: Vec<String>,
    ts: u64,
}

#[derive(Deserialize)]
struct Approved {
    node: Node,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeId {
    node_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Renamed {
    node_id: String,
    display_name: String,
}

#[derive(Deserialize)]
struct Invoked {
    payload: Option<Box<RawValue>>,
}

fn list_text(nodes: &[Node], style: Style, now_ms: u64) -> String {
    if nodes.is_empty() {
        return "there is no node; `clawhost node run` on a machine makes it one\n".to_string();
    }
    let mut table = Table::new(&["NODE", "NAME", "SYSTEM", "CONNECTED", "APPROVAL", "COMMANDS"]);
    for node in nodes {
        table.row([
            short(&node.node_id).to_string(),
            node.display_name.clone().unwrap_or_default(),
            node.platform.clone().unwrap_or_default(),
            connected(node, now_ms),
            approval(node),
            node.commands.len().to_string(),
        ]);
    }
    table.render(style)
}

fn pending_text(pending: &[Waiting], style: Style, now_ms: u64) -> String {
    if pending.is_empty() {
        return "no node waits for approval\n".to_string();
    }
    let mut table = Table::new(&["REQUEST", "NODE", "NAME", "SYSTEM", "TAKES", "SINCE", "COMMANDS"]);
    for request in pending {
        let scopes: Vec<&str> =
            request.required_approve_scopes.iter().map(|scope| scope.trim_start_matches("operator.")).collect();
        table.row([
            request.request_id.clone(),
            short(&request.node_id).to_string(),
            request.display_name.clone().unwrap_or_default(),
            request.platform.clone().unwrap_or_default(),
            scopes.join(", "),
            ago(request.ts, now_ms),
            names(&request.commands),
        ]);
    }
    table.render(style)
}

fn approved_text(node: &Node) -> String {
    format!("approved node {}: {}\n", clean(short(&node.node_id)), clean(&names(&node.commands)))
}

fn description(node: &Node, style: Style, now_ms: u64) -> String {
    let mut lines = Vec::new();
    let mut line = |name: &str, text: &str| {
        if !text.is_empty() {
            lines.push(format!("{} {}\n", style.bold(name), clean(text)));
        }
    };
    line("node:", &node.node_id);
    line("name:", node.display_name.as_deref().unwrap_or_default());
    let system = [&node.platform, &node.device_family, &node.version].map(|fact| fact.as_deref().unwrap_or_default());
    let system: Vec<&str> = system.into_iter().filter(|fact| !fact.is_empty()).collect();
    line("system:", &system.join(", "));
    line("address:", node.remote_ip.as_deref().unwrap_or_default());
    line("connected:", &connected(node, now_ms));
    line("approval:", &approval(node));
    line("approved:", &node.approved_at_ms.map(|at| ago(at, now_ms)).unwrap_or_default());
    line("abilities:", &node.caps.join(", "));
    line("commands:", &names(&node.commands));
    let waiting = node.pending_declared_commands.as_deref().unwrap_or_default();
    line("waits for approval:", &waiting.join(", "));
    line("withheld:", &node.withheld_commands.as_deref().unwrap_or_default().join(", "));
    if let Some(request) = &node.pending_request_id {
        line("next:", &format!("clawhost nodes approve {request}"));
    }
    lines.concat()
}

fn connected(node: &Node, now_ms: u64) -> String {
    match (node.connected, node.connected_at_ms, node.last_seen_at_ms) {
        (true, Some(since), _) => ago(since, now_ms),
        (true, None, _) => "yes".to_string(),
        (false, _, Some(seen)) => format!("no, last seen {}", ago(seen, now_ms)),
        (false, _, None) => "no".to_string(),
    }
}

fn approval(node: &Node) -> String {
    node.approval_state.as_deref().unwrap_or_default().replace('-', " ")
}

fn names(commands: &[String]) -> String {
    if commands.is_empty() { "nothing".to_string() } else { commands.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(value: Value) -> Node {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn which_where_since_when_and_how_much() {
        let nodes = [
            node(json!({ "nodeId": "0123456789abcdef", "displayName": "Gar\u{1b}age", "platform": "linux",
                         "connected": true, "connectedAtMs": 0, "approvalState": "approved",
                         "commands": ["system.run", "system.which"] })),
            node(json!({ "nodeId": "fedcba9876543210", "connected": false, "lastSeenAtMs": 30_000,
                         "approvalState": "pending-approval", "commands": [] })),
        ];
        let expected = "\
            NODE          NAME           SYSTEM  CONNECTED                APPROVAL          COMMANDS\n\
            0123456789ab  Gar\\u{1b}age  linux   1 min ago                approved          2\n\
            fedcba987654  -              -       no, last seen 30 s ago   pending approval  0\n";
        let shown = list_text(&nodes, Style::plain(), 60_000);
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed(&shown), squeezed(expected));
        assert!(list_text(&[], Style::plain(), 0).contains("clawhost node run"));
    }

    #[test]
    fn what_a_node_calls_its_commands_moves_no_cursor() {
        let node = node(json!({ "nodeId": "n\u{9b}", "commands": ["a\u{1b}[2J", "b"] }));
        assert_eq!(approved_text(&node), "approved node n\\u{9b}: a\\u{1b}[2J, b\n");
    }

    #[test]
    fn a_node_is_described_with_what_to_do_next() {
        let node = node(json!({ "nodeId": "n", "displayName": "Garage", "platform": "linux", "version": "1.0",
                                "connected": true, "approvalState": "pending-approval", "caps": ["system"],
                                "pendingRequestId": "r-1", "pendingDeclaredCommands": ["system.run"],
                                "withheldCommands": ["system.notify"] }));
        let expected = "node: n\nname: Garage\nsystem: linux, 1.0\nconnected: yes\napproval: pending approval\n\
                        abilities: system\ncommands: nothing\nwaits for approval: system.run\n\
                        withheld: system.notify\n\
                        next: clawhost nodes approve r-1\n";
        assert_eq!(description(&node, Style::plain(), 0), expected);
    }

    #[test]
    fn what_waits_is_shown_with_what_its_approval_takes() {
        let waiting: Waiting = serde_json::from_value(json!({
            "requestId": "r-1", "nodeId": "0123456789abcdef", "displayName": "Garage", "platform": "linux",
            "commands": ["system.run"], "requiredApproveScopes": ["operator.pairing", "operator.admin"], "ts": 0,
        }))
        .unwrap();
        let expected = "REQUEST  NODE          NAME    SYSTEM  TAKES           SINCE      COMMANDS\n\
                        r-1      0123456789ab  Garage  linux   pairing, admin  1 min ago  system.run\n";
        assert_eq!(pending_text(&[waiting], Style::plain(), 60_000), expected);
        assert_eq!(pending_text(&[], Style::plain(), 0), "no node waits for approval\n");
    }

    #[test]
    fn a_node_is_meant_by_id_beginning_or_name() {
        let nodes = [
            node(json!({ "nodeId": "abcdef", "displayName": "Garage" })),
            node(json!({ "nodeId": "abcxyz", "displayName": "Kitchen" })),
            node(json!({ "nodeId": "123456", "displayName": "kitchen" })),
            node(json!({ "nodeId": "garage" })),
        ];
        let meant = |typed| pick(&nodes, typed).unwrap();
        assert_eq!(
            (meant("garage"), meant("GARAGE")),
            ("garage".to_string(), "abcdef".to_string()),
            "an id goes first"
        );
        assert_eq!((meant("abcd"), meant("zzzz")), ("abcdef".to_string(), "zzzz".to_string()));
        let several = pick(&nodes, "Kitchen").unwrap_err();
        assert!(several.code() == 2 && several.sentence().contains("abcxyz, 123456"), "{several:?}");
    }
}
