//! `clawhost node`: this machine as a headless node of a gateway, here or elsewhere. What it may be asked for is decided
//! twice: an operator approves it at the gateway, and its user says which programs may run.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use clawhost::state::write_private;
use client::ClientError;
use node::abilities::{Chosen, Known, Location, Program, Source, of_this_machine};
use node::approvals::Approvals;
use node::session::Told;
use node::{Desk, Gateway, session};
use tokio::signal::unix::{SignalKind, signal};

use super::service::{Job, words};
use crate::cli::{Context, absolute};
use crate::failure::Failure;
use crate::session::block_on;
use crate::show::{clean, print, remark};

/// What the node's user allows, in the state folder.
const APPROVALS: &str = "exec-approvals.json";
/// Addresses of the service's cameras, in the state folder.
const CAMERAS: &str = "node-cameras";

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
    /// A file with one more camera a line, which nobody but its owner can read: for addresses with a password, which others
    /// would see on the command line
    #[arg(long, value_name = "FILE")]
    camera_file: Vec<PathBuf>,
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
            if context.target.url.as_ref().is_some_and(|url| url.contains('@')) {
                return Err(Failure::usage("the gateway's address holds credentials, which do not belong there"));
            }
            job(&with_addresses_aside(args, context)?, context)?.install(context)
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
            cameras: cameras(args)?,
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

/// The cameras that were named.
fn cameras(args: &RunArgs) -> Result<Vec<Source>, Failure> {
    let mut cameras = args.camera.clone();
    for file in &args.camera_file {
        cameras.extend(listed(file)?);
    }
    Ok(cameras)
}

/// The cameras of a file. What stands there is not repeated: it may be a secret.
fn listed(file: &Path) -> Result<Vec<Source>, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::usage(format!("--camera-file {}: {why}", file.display()));
    let mode = fs::metadata(file).map_err(|error| wrong(&error))?.mode();
    if mode & 0o077 != 0 {
        return Err(wrong(&"others can read it, and an address may hold a password; `chmod 600` takes that from them"));
    }
    let text = fs::read_to_string(file).map_err(|error| wrong(&error))?;
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(at, line)| line.parse::<Source>().map_err(|_| wrong(&format!("line {} is no camera", at + 1))))
        .collect()
}

/// The same cameras, with their addresses in a file of the state folder: everybody can read a service's own file, and the
/// command line of whatever runs.
fn with_addresses_aside(mut args: RunArgs, context: &Context) -> Result<RunArgs, Failure> {
    let folder = absolute(context.target.state_dir()?);
    let file = folder.join(CAMERAS);
    let failed = |error: std::io::Error| Failure::failed(format!("{}: cannot be written: {error}", file.display()));
    let (mut addresses, others): (Vec<_>, Vec<_>) = args.camera.into_iter().partition(Source::is_address);
    args.camera = others;
    if args.camera_file.contains(&file) {
        addresses.splice(0..0, listed(&file)?);
        args.camera_file.retain(|named| *named != file);
    }
    if addresses.iter().any(|camera| camera.said.contains(char::is_control)) {
        return Err(Failure::usage("a camera's address is one line of plain text"));
    }
    if addresses.is_empty() {
        // Those of the service before are nobody's any more.
        return match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(args),
        };
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
    let lines: String = addresses.iter().map(|camera| format!("{}\n", camera.said)).collect();
    write_private(&file, lines.as_bytes()).map_err(failed)?;
    args.camera_file.push(file);
    Ok(args)
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
    for file in &args.camera_file {
        line.extend([PathBuf::from("--camera-file"), absolute(file.clone())]);
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
