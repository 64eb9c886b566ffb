//! `clawhost channels`: ways to people outside: how they are doing, who wants to write, and who may.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::devices::whole;
use crate::cli::Context;
use crate::failure::Failure;
use crate::session::Question;
use crate::show::{Style, Table, clean, print};

/// The plugin that knows channels.
const PLUGIN: &str = "channels";
const PAIRING: &str = "channels.pairing.list";
/// How long somebody has to scan a picture.
const TO_SCAN_MS: u64 = 120_000;

/// What to do about channels.
#[derive(Debug, Subcommand)]
pub enum ChannelsCommand {
    /// Say how the channels are doing
    Status {
        /// Have each channel ask its service
        #[arg(long)]
        probe: bool,
    },
    /// List people who wrote and are not known
    Pairing,
    /// Let somebody write to the agent, by the code that they were told
    Approve {
        /// The channel, such as telegram
        channel: String,
        /// The code, or the request as `pairing` lists it
        code: String,
        /// Do not tell them
        #[arg(long)]
        quiet: bool,
    },
    /// Turn somebody away who wrote and is not known
    Dismiss {
        /// The channel, such as telegram
        channel: String,
        /// The code, or the request as `pairing` lists it
        code: String,
    },
    /// List people who were let in
    Senders {
        /// Only those of this channel
        channel: Option<String>,
    },
    /// Let somebody in no more
    Forget {
        /// The channel, such as telegram
        channel: String,
        /// The sender, as `senders` lists it
        sender: String,
        /// The account they wrote to, if there are several
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
    },
    /// Start a channel that was stopped
    Start(WhichArgs),
    /// Stop a channel, also beyond a restart
    Stop(WhichArgs),
    /// Log a channel in to its service, where that takes a picture to scan
    Login {
        /// The account, if there are several
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        /// Begin anew although it is logged in
        #[arg(long)]
        force: bool,
        /// Write the picture to this file
        #[arg(long, value_name = "FILE")]
        picture: Option<PathBuf>,
    },
    /// Log a channel out of its service
    Logout(WhichArgs),
}

/// A channel.
#[derive(Debug, Args)]
pub struct WhichArgs {
    /// The channel, such as telegram
    channel: String,
    /// The account, if there are several
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
}

/// Shows or decides.
pub fn run(command: ChannelsCommand, context: &Context) -> Result<(), Failure> {
    match command {
        ChannelsCommand::Status { probe } => {
            let question = Question::new("channels.status", PLUGIN).with(json!({ "probe": probe }));
            context.show(&question, |status: Status| Ok(status_text(&status, context.style)))
        }
        ChannelsCommand::Pairing => context
            .show(&Question::new(PAIRING, PLUGIN), |list: Knocking| Ok(pairing_text(&list.requests, context.style))),
        ChannelsCommand::Approve { channel, code, quiet } => {
            let params = json!({ "channel": channel, "notify": !quiet });
            decide(context, "channels.pairing.approve", &code, params, |done: Decided| {
                let told = if done.notification.as_deref() == Some("failed") { "; they could not be told" } else { "" };
                format!("{} may write now{told}\n", clean(&done.sender_id))
            })
        }
        ChannelsCommand::Dismiss { channel, code } => {
            decide(context, "channels.pairing.dismiss", &code, json!({ "channel": channel }), |done: Decided| {
                format!("{} was turned away\n", clean(&done.sender_id))
            })
        }
        ChannelsCommand::Senders { channel } => {
            let question = Question::new("channels.senders.list", PLUGIN).with(json!({ "channel": channel }));
            context.show(&question, |list: Senders| Ok(senders_text(&list.senders, context.style)))
        }
        ChannelsCommand::Forget { channel, sender, account } => {
            let params = json!({ "channel": channel, "senderId": sender, "accountId": account });
            let question = Question::new("channels.senders.remove", PLUGIN).with(params);
            context.show(&question, |done: Removed| match done.removed {
                true => Ok(format!("{} is let in no more\n", clean(&sender))),
                false => Err(Failure::failed(format!("{sender} was not let in by a code"))),
            })
        }
        ChannelsCommand::Start(which) => act(context, "channels.start", &which, "runs"),
        ChannelsCommand::Stop(which) => act(context, "channels.stop", &which, "is stopped"),
        ChannelsCommand::Logout(which) => act(context, "channels.logout", &which, "is logged out"),
        ChannelsCommand::Login { account, force, picture } => login(context, account, force, picture),
    }
}

fn act(context: &Context, method: &str, which: &WhichArgs, how: &str) -> Result<(), Failure> {
    let params = json!({ "channel": which.channel, "accountId": which.account });
    context.show(&Question::new(method, PLUGIN).with(params), |done: Which| {
        Ok(format!("{} {how}\n", clean(&done.channel)))
    })
}

/// Decides about somebody who knocks, by their code, their request, or a beginning of it.
fn decide(
    context: &Context,
    method: &str,
    typed: &str,
    mut params: Value,
    render: impl FnOnce(Decided) -> String,
) -> Result<(), Failure> {
    let answer = context.with_gateway(async |connection| {
        let list: Knocking = Question::new(PAIRING, PLUGIN).ask_for(connection).await?;
        let known = list.requests.iter().map(|request| request.request_id.as_str());
        params["requestId"] = json!(whole(typed, known)?);
        Question::new(method, PLUGIN).with(params).ask(connection).await
    })?;
    context.print_answer(method, &answer, |done: Decided| Ok(render(done)))
}

fn login(context: &Context, account: Option<String>, force: bool, picture: Option<PathBuf>) -> Result<(), Failure> {
    let begin = Question::new("web.login.start", PLUGIN).with(json!({ "accountId": account, "force": force }));
    let wait = json!({ "accountId": account, "timeoutMs": TO_SCAN_MS });
    let answer = context.with_gateway(async |connection| {
        let begun: Begun = begin.ask_for(connection).await?;
        if let (Some(file), Some(data)) = (&picture, &begun.qr_data_url) {
            save(file, data)?;
        }
        if !context.json {
            print(&format!("{}\n", clean(&begun.message)))?;
        }
        let patience = std::time::Duration::from_millis(TO_SCAN_MS + 30_000);
        Question::new("web.login.wait", PLUGIN).with(wait).within(patience).ask(connection).await
    })?;
    context.print_answer("web.login.wait", &answer, |done: Waited| match done.connected {
        true => Ok(format!("{}\n", clean(&done.message))),
        false => Err(Failure::failed(done.message)),
    })
}

fn save(file: &PathBuf, data: &str) -> Result<(), Failure> {
    let bytes = data.split_once(";base64,").and_then(|(_, data)| STANDARD.decode(data).ok());
    let bytes = bytes.ok_or_else(|| Failure::failed("the gateway's picture is not understood".to_string()))?;
    std::fs::write(file, bytes).map_err(|error| Failure::failed(format!("cannot write {}: {error}", file.display())))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    channel_order: Vec<String>,
    #[serde(default)]
    channel_labels: Map<String, Value>,
    #[serde(default)]
    channel_accounts: std::collections::HashMap<String, Vec<Map<String, Value>>>,
}

#[derive(Deserialize)]
struct Knocking {
    requests: Vec<Request>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    request_id: String,
    channel: String,
    account_id: String,
    sender_id: String,
    #[serde(default)]
    metadata: Map<String, Value>,
    last_seen_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Decided {
    sender_id: String,
    notification: Option<String>,
}

#[derive(Deserialize)]
struct Senders {
    senders: Vec<Sender>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sender {
    channel: String,
    account_id: String,
    sender_id: String,
    name: Option<String>,
    handle: Option<String>,
    approved_at: String,
}

#[derive(Deserialize)]
struct Removed {
    removed: bool,
}

#[derive(Deserialize)]
struct Which {
    channel: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Begun {
    qr_data_url: Option<String>,
    message: String,
}

#[derive(Deserialize)]
struct Waited {
    connected: bool,
    message: String,
}

fn status_text(status: &Status, style: Style) -> String {
    if status.channel_order.is_empty() {
        return "there is no channel; enable one in config.toml\n".to_string();
    }
    let mut table = Table::new(&["CHANNEL", "ACCOUNT", "STATE", "TROUBLE"]);
    for id in &status.channel_order {
        let label = status.channel_labels.get(id).and_then(Value::as_str).unwrap_or(id);
        for account in status.channel_accounts.get(id).into_iter().flatten() {
            let text = |key: &str| account.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
            table.row([label.to_string(), text("accountId"), state(account).to_string(), text("lastError")]);
        }
    }
    table.render(style)
}

/// The most telling of what an account says of itself.
fn state(account: &Map<String, Value>) -> &'static str {
    let says = |key: &str| account.get(key).and_then(Value::as_bool);
    match (says("configured"), says("running"), says("connected")) {
        (Some(false), ..) => "not configured",
        (_, Some(false), _) => "stopped",
        (_, _, Some(false)) => "not connected",
        (_, _, Some(true)) => "connected",
        (_, Some(true), _) => "running",
        _ => "configured",
    }
}

fn pairing_text(requests: &[Request], style: Style) -> String {
    if requests.is_empty() {
        return "nobody wants to be let in\n".to_string();
    }
    let mut table = Table::new(&["REQUEST", "CHANNEL", "ACCOUNT", "SENDER", "NAME", "LAST WROTE"]);
    for request in requests {
        let named = |key: &str| request.metadata.get(key).and_then(Value::as_str);
        table.row([
            request.request_id.clone(),
            request.channel.clone(),
            request.account_id.clone(),
            request.sender_id.clone(),
            named("name").or(named("handle")).unwrap_or_default().to_string(),
            request.last_seen_at.clone(),
        ]);
    }
    table.render(style)
}

fn senders_text(senders: &[Sender], style: Style) -> String {
    if senders.is_empty() {
        return "nobody was let in by a code\n".to_string();
    }
    let mut table = Table::new(&["CHANNEL", "ACCOUNT", "SENDER", "NAME", "SINCE"]);
    for sender in senders {
        let name = sender.name.as_ref().or(sender.handle.as_ref()).cloned().unwrap_or_default();
        let Sender { channel, account_id, sender_id, approved_at, .. } = sender;
        table.row([channel.clone(), account_id.clone(), sender_id.clone(), name, approved_at.clone()]);
    }
    table.render(style)
}
