//! `clawhost node`: this machine as a headless node of a gateway, here or elsewhere. What it may be asked for is decided
//! twice: an operator approves it at the gateway, and its user says which programs may run.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use client::ClientError;
use node::abilities::{Chosen, Known, Location, Program, Source, of_this_machine};
use node::approvals::Approvals;
use node::session::Told;
use node::{Desk, Gateway, session};
use tokio::signal::unix::{SignalKind, signal};

use super::service::{Job, words};
use crate::cli::Context;
use crate::failure::Failure;
use crate::session::block_on;
use crate::show::{clean, print, remark};

/// What the node's user allows, in the state folder.
const APPROVALS: &str = "exec-approvals.json";

/// What to do as a node.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Be a node until Ctrl-C; a lost connection is made again
    Run(RunArgs),
    /// Let programs run on this node that fit a pattern, such as /usr/bin/git or /usr/bin/*
    Allow(AllowArgs),
    /// Install the node as a service of this user, and start it
    Install(RunArgs),
    /// Stop the service and take it away
    Uninstall,
    /// Say whether the service is installed and runs
    Status,
}

/// Arguments of `node run`.
#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// What to call this node; the machine's name unless said
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where this machine stands, as LATITUDE,LONGITUDE or LATITUDE,LONGITUDE,METRES, or "geoclue" to ask the system's location
    /// service; not told unless said
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    location: Option<Known>,
    /// One more camera: a device such as /dev/video0, an rtsp: or http: address, or "test" for a generated picture; may be
    /// given more than once
    #[arg(long, value_name = "CAMERA")]
    camera: Vec<Source>,
    /// Let the screen be recorded
    #[arg(long)]
    screen: bool,
    /// The Chromium or Chrome that shows the canvas; one on the PATH unless said
    #[arg(long, value_name = "PROGRAM")]
    browser: Option<PathBuf>,
    /// Start the browser without its sandbox, which as root is the only way: a page that breaks out of the browser then has all
    /// that this user has
    #[arg(long)]
    browser_without_sandbox: bool,
    /// Show no canvas, even with a browser
    #[arg(long, conflicts_with = "browser")]
    no_canvas: bool,
    /// Let the gateway change which programs may run here: whoever holds the gateway can then run anything
    #[arg(long)]
    let_gateway_approve: bool,
}

/// Arguments of `node allow`.
#[derive(Debug, Args)]
pub struct AllowArgs {
    /// A program's path; * stands for any text without a slash, ** for any text
    #[arg(value_name = "PATTERN", required = true)]
    patterns: Vec<String>,
}

/// Does what was asked.
pub fn run(command: NodeCommand, context: &Context) -> Result<(), Failure> {
    match command {
        NodeCommand::Run(args) => be(&args, context),
        NodeCommand::Allow(args) => allow(&args, context),
        NodeCommand::Install(args) => {
            if context.target.token.is_some() || context.target.password.is_some() {
                return Err(Failure::usage(
                    "a secret would be readable in the service's file; connect once with `clawhost node run`, after which \
                     the node has a token of its own",
                ));
            }
            if context.target.invitation.is_some() {
                return Err(Failure::usage(
                    "a setup code lets in once, and the service starts again and again; connect once with \
                     `clawhost node run --setup-code CODE`, and install it with --url afterwards",
                ));
            }
            job(&args, context)?.install(context)
        }
        NodeCommand::Uninstall => job(&RunArgs::default(), context)?.uninstall(context),
        NodeCommand::Status => job(&RunArgs::default(), context)?.status(context),
    }
}

fn be(args: &RunArgs, context: &Context) -> Result<(), Failure> {
    block_on(async {
        let name = args.name.clone().unwrap_or_else(clawhost::boot::host_name);
        let options = context.target.node_options()?.display_name(name);
        let chosen = Chosen {
            approvals: approvals(context)?,
            approvals_may_be_changed: args.let_gateway_approve,
            cameras: args.camera.clone(),
            screen: args.screen,
            location: location(args).await,
            browser: browser(args)?,
        };
        let (gateway, line) = Gateway::new();
        let desk = Arc::new(Desk::new(of_this_machine(chosen, &gateway)));
        remark(&format!("abilities: {}", desk.commands().join(", ")));
        Ok(session::run(options, desk, (gateway, line), asked_to_stop()?, Arc::new(tell)).await?)
    })
}

/// Who tells where this machine stands, if that can be told now.
async fn location(args: &RunArgs) -> Option<Location> {
    match Location::find(args.location?).await {
        Ok(location) => Some(location),
        Err(why) => {
            remark(&format!("no location: {}", clean(&why)));
            None
        }
    }
}

/// What shows the canvas. One that was named has to be fit for it; one that is found only may be.
fn browser(args: &RunArgs) -> Result<Option<Program>, Failure> {
    if args.no_canvas {
        return Ok(None);
    }
    match Program::find(args.browser.as_deref(), !args.browser_without_sandbox) {
        Err(why) if args.browser.is_none() => {
            remark(&format!("no canvas: {why}"));
            Ok(None)
        }
        found => found.map_err(Failure::Usage),
    }
}

/// Ctrl-C, or a supervisor: what was started for somebody is ended then, too.
fn asked_to_stop() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")));
    let (mut interrupted, mut terminated) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    })
}

/// What happens to the connection, one line each.
fn tell(told: Told) {
    match told {
        Told::Connected(version) => remark(&format!(
            "connected to gateway {}; an operator approves the commands once: `clawhost nodes pending` there shows what waits",
            clean(&version)
        )),
        Told::WaitsForPairing(Some(id)) => {
            remark(&format!("waits for an operator to run `clawhost devices approve {}`", clean(&id)))
        }
        Told::WaitsForPairing(None) => remark("waits for an operator to approve this device"),
        Told::Disconnected(ClientError::Refused { error, .. }) => {
            remark(&format!("not let in: {}; trying again", clean(&error.message)))
        }
        Told::Asked(command) => remark(&format!("asked for {}", clean(&command))),
        Told::Failed(why) => remark(&format!("not done: {}", clean(&why))),
        Told::Disconnected(why) => remark(&format!("{}; connecting again", clean(&why.to_string()))),
    }
}

fn allow(args: &AllowArgs, context: &Context) -> Result<(), Failure> {
    let approvals = approvals(context)?;
    for pattern in &args.patterns {
        approvals.allow(pattern).map_err(Failure::Usage)?;
    }
    print(&format!("{}\n", approvals.path().display()))
}

fn approvals(context: &Context) -> Result<Approvals, Failure> {
    Ok(Approvals::at(context.target.state_dir()?.join(APPROVALS)))
}

/// The node as a service, with the same flags.
fn job(args: &RunArgs, context: &Context) -> Result<Job<'static>, Failure> {
    let target = &context.target;
    let mut line = words(&["node", "run"], target.config.as_deref(), target.state_dir.as_deref());
    let mut flag = |name: &str, value: &str| line.extend([PathBuf::from(name), PathBuf::from(value)]);
    if let Some(url) = &target.url {
        flag("--url", url);
    }
    for fingerprint in &target.tls_fingerprints {
        flag("--tls-fingerprint", &fingerprint.to_string());
    }
    if let Some(name) = &args.name {
        flag("--name", name);
    }
    for camera in &args.camera {
        flag("--camera", &camera.said);
    }
    if let Some(known) = args.location {
        flag("--location", &known.to_string());
    }
    if let Some(browser) = &args.browser {
        let browser = std::path::absolute(browser).unwrap_or_else(|_| browser.clone());
        line.extend([PathBuf::from("--browser"), browser]);
    }
    if args.browser_without_sandbox {
        line.push(PathBuf::from("--browser-without-sandbox"));
    }
    if args.no_canvas {
        line.push(PathBuf::from("--no-canvas"));
    }
    if args.screen {
        line.push(PathBuf::from("--screen"));
    }
    if args.let_gateway_approve {
        line.push(PathBuf::from("--let-gateway-approve"));
    }
    Ok(Job {
        label: "clawhost-node",
        description: "clawhost node",
        words: line,
        next: "Its commands wait for an operator: `clawhost nodes pending` at the gateway shows them.",
    })
}
