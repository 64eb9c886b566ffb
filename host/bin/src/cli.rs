//! What can be typed. `run` is meant when no command is named, so its flags stand at the top too; those that also say
//! which gateway a client command talks to are understood before and after the command.

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clawhost::RunArgs;
use clawhost::secret::Secret;
use client::Fingerprint;

use crate::commands::agent::AgentArgs;
use crate::commands::approvals::ApprovalsCommand;
use crate::commands::backup::BackupArgs;
use crate::commands::call::CallArgs;
use crate::commands::channels::ChannelsCommand;
use crate::commands::chat::ChatArgs;
use crate::commands::completions::CompletionsArgs;
use crate::commands::config::ConfigCommand;
use crate::commands::cron::CronCommand;
use crate::commands::dashboard::DashboardArgs;
use crate::commands::devices::DevicesCommand;
use crate::commands::doctor::DoctorArgs;
use crate::commands::events::EventsArgs;
use crate::commands::logs::LogsArgs;
use crate::commands::man::ManArgs;
use crate::commands::methods::MethodsArgs;
use crate::commands::node::NodeCommand;
use crate::commands::nodes::NodesCommand;
use crate::commands::pair::PairArgs;
use crate::commands::plugins::PluginsArgs;
use crate::commands::send::SendArgs;
use crate::commands::service::ServiceCommand;
use crate::commands::sessions::SessionsCommand;
use crate::commands::token::TokenCommand;
use crate::show::Style;
use crate::target::{Invitation, Target};

/// What was typed, sorted out.
pub enum Invocation {
    /// Be the gateway.
    Run(RunArgs),
    /// Do something else.
    Command(Command, Box<Context>),
}

/// What every command but `run` is told.
pub struct Context {
    /// Which gateway is meant.
    pub target: Target,
    /// For scripts rather than for people.
    pub json: bool,
    /// How text on standard output looks.
    pub style: Style,
}

/// A gateway on which every method is served by a plugin.
#[derive(Parser)]
#[command(name = "clawhost", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    command: Option<Command>,
}

const AFTER_HELP: &str = "Without a command the gateway runs. The other commands find the gateway of this machine by \
                          its state folder, or take --url.\nExit codes: 0, 1 failure, 2 usage or configuration.";

#[derive(Args)]
struct Reach {
    /// Talk to the gateway at this address (ws://HOST:PORT or wss://HOST:PORT) instead of this machine's
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// Pair with the gateway of this setup code, as `clawhost pair` there shows it; afterwards --url is enough, and the
    /// certificate has to be the one that the code names, if any
    #[arg(long, global = true, value_name = "CODE", value_parser = invitation)]
    setup_code: Option<Invitation>,
    /// Trust the certificate with this SHA-256, or with a public key of this SHA-256, and no other; may be given twice
    /// while a key changes [env: CLAWHOST_TLS_FINGERPRINT, with a comma between two]
    #[arg(long, global = true, value_name = "SHA256")]
    tls_fingerprint: Vec<Fingerprint>,
    /// How long to wait for an answer, in milliseconds
    #[arg(long, global = true, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    timeout: Option<u64>,
    /// Print JSON, for scripts
    #[arg(long, global = true)]
    json: bool,
}

/// A command.
#[derive(Subcommand)]
pub enum Command {
    /// Run the gateway (the default)
    Run(RunArgs),
    /// Call a method and print its answer
    Call(CallArgs),
    /// Say something to an agent, and print its answer as it comes; Ctrl-C stops the run
    Agent(AgentArgs),
    /// Talk to an agent, a line at a time
    Chat(ChatArgs),
    /// See to conversations: which there are, what was said
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// Send a message to somebody by a channel
    Send(SendArgs),
    /// See to channels: how they are doing, who wants to write to the agent, and who may
    #[command(subcommand)]
    Channels(ChannelsCommand),
    /// Look for what is wrong with this machine's gateway, and say what to do about it
    Doctor(DoctorArgs),
    /// Say how the gateway is doing
    Health,
    /// Say what there is: connections, heartbeats, queued events, channels
    Status,
    /// List the methods of the gateway, or describe one
    Methods(MethodsArgs),
    /// List the plugins and how they are doing, or write, check, add, run or reload one
    Plugins(PluginsArgs),
    /// Print the address of the page, with a code by which one browser comes in
    Dashboard(DashboardArgs),
    /// Make a code by which a device that is not here yet pairs itself once
    Pair(PairArgs),
    /// Decide about devices and their tokens
    #[command(subcommand)]
    Devices(DevicesCommand),
    /// See to nodes: what each offers, who is approved, and asking one to do something
    #[command(subcommand)]
    Nodes(NodesCommand),
    /// Decide about programs that somebody wants to run, and say what may run without asking
    #[command(subcommand)]
    Approvals(ApprovalsCommand),
    /// See to jobs that run at a time, or again and again
    #[command(subcommand)]
    Cron(CronCommand),
    /// List the open connections
    Connections,
    /// Show the shared token of this machine's gateway
    #[command(subcommand)]
    Token(TokenCommand),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Follow the events of the gateway until Ctrl-C
    Events(EventsArgs),
    /// Print the end of the gateway's log
    Logs(LogsArgs),
    /// Copy the state of this machine's gateway into a tar file, also while it runs
    Backup(BackupArgs),
    /// Install the gateway as a service of this user, or see to it
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Lend this machine's abilities to a gateway as a headless node
    #[command(subcommand)]
    Node(NodeCommand),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(ManArgs),
}

impl Command {
    /// Whether the command looks at this machine only.
    fn is_local(&self) -> bool {
        match self {
            Command::Token(_)
            | Command::Config(_)
            | Command::Backup(_)
            | Command::Service(_)
            | Command::Completions(_)
            | Command::Man(_) => true,
            Command::Plugins(args) => args.is_local(),
            _ => false,
        }
    }
}

/// Reads the command line; on a mistake, says so and leaves with 2.
pub fn parse() -> Invocation {
    understand(std::env::args_os()).unwrap_or_else(|error| error.exit())
}

/// The command line's own description, as completions need it.
pub fn command() -> clap::Command {
    let shared = |id: &'static str, help: &'static str| move |arg: clap::Arg| arg.id(id).global(true).help(help);
    Cli::command()
        .mut_arg("config", shared("config", "Configuration file"))
        .mut_arg("token", shared("token", "Shared token: the one to ask clients for, or the one to show a gateway"))
        .mut_arg("password", shared("password", "Shared password, likewise"))
        .mut_arg("state_dir", shared("state_dir", "State folder of the gateway"))
}

fn understand<T: Into<std::ffi::OsString> + Clone>(
    words: impl IntoIterator<Item = T>,
) -> Result<Invocation, clap::Error> {
    let mut matches = command().try_get_matches_from(words)?;
    let Cli { run, reach, command } = Cli::from_arg_matches_mut(&mut matches)?;
    let conflict = |what: &str| Err(self::command().error(ErrorKind::ArgumentConflict, what));
    let command = match command {
        None => None,
        Some(Command::Run(own)) => {
            return if reach.is_said() { conflict(RUN_TAKES_NONE) } else { Ok(Invocation::Run(merged(own, run))) };
        }
        Some(command) => Some(command),
    };
    let Some(command) = command else {
        return if reach.is_said() { conflict(RUN_TAKES_NONE) } else { Ok(Invocation::Run(run)) };
    };
    if run.port.is_some() || run.bind.is_some() || run.log_level.is_some() {
        return conflict("--port, --bind and --log-level are for running a gateway; --url names one to talk to");
    }
    if command.is_local() && (reach.url.is_some() || reach.setup_code.is_some() || !reach.tls_fingerprint.is_empty()) {
        return conflict(
            "this command looks at files of this machine; --url, --setup-code and --tls-fingerprint do not apply",
        );
    }
    let has_other = reach.url.is_some() || run.token.is_some() || run.password.is_some();
    if reach.setup_code.is_some() && (has_other || !reach.tls_fingerprint.is_empty()) {
        return conflict("a setup code says itself where the gateway is, and lets in: it stands alone");
    }
    let target = Target {
        url: reach.url,
        invitation: reach.setup_code,
        token: run.token.map(Secret::new),
        password: run.password.map(Secret::new),
        state_dir: run.state_dir.map(absolute),
        config: run.config,
        tls_fingerprints: reach.tls_fingerprint,
        timeout: reach.timeout.map(Duration::from_millis),
    };
    let context = Context { target, json: reach.json, style: Style::of_stdout() };
    Ok(Invocation::Command(command, Box::new(context)))
}

const RUN_TAKES_NONE: &str =
    "--url, --setup-code, --tls-fingerprint, --timeout and --json are for commands that talk to a gateway";

impl Reach {
    fn is_said(&self) -> bool {
        self.url.is_some()
            || self.setup_code.is_some()
            || !self.tls_fingerprint.is_empty()
            || self.timeout.is_some()
            || self.json
    }
}

fn invitation(text: &str) -> Result<Invitation, String> {
    Invitation::read(text).ok_or_else(|| "this is no setup code".to_string())
}

/// Flags of `run` given before the command hold as well as those after it.
fn merged(own: RunArgs, before: RunArgs) -> RunArgs {
    RunArgs {
        config: own.config.or(before.config),
        port: own.port.or(before.port),
        bind: own.bind.or(before.bind),
        token: own.token.or(before.token),
        password: own.password.or(before.password),
        state_dir: own.state_dir.or(before.state_dir),
        log_level: own.log_level.or(before.log_level),
    }
}

/// The path from the root, wherever a service or another program stands.
pub fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> RunArgs {
        match understand(line.split(' ')) {
            Ok(Invocation::Run(args)) => args,
            Ok(Invocation::Command(..)) => panic!("{line}: taken for a client command"),
            Err(error) => panic!("{line}: {error}"),
        }
    }

    fn client(line: &str) -> (Command, Context) {
        match understand(line.split(' ')) {
            Ok(Invocation::Command(command, context)) => (command, *context),
            Ok(Invocation::Run(_)) => panic!("{line}: taken for run"),
            Err(error) => panic!("{line}: {error}"),
        }
    }

    #[test]
    fn the_description_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn run_is_meant_without_a_command() {
        assert_eq!(run("clawhost").port, None);
        assert_eq!(run("clawhost --port 0").port, Some(0));
        let args = run("clawhost --port 1 --token a run --bind lan --state-dir /s");
        assert_eq!((args.port, args.bind.as_deref(), args.token.as_deref()), (Some(1), Some("lan"), Some("a")));
        assert_eq!(args.state_dir, Some(PathBuf::from("/s")));
        assert_eq!(run("clawhost --token a run --token b").token.as_deref(), Some("b"));
    }

    #[test]
    fn the_gateway_is_named_before_or_after_the_command() {
        for line in [
            "clawhost --url ws://h:1 --token t --json --timeout 5 --state-dir /s call health",
            "clawhost call health --url ws://h:1 --token t --json --timeout 5 --state-dir /s",
            "clawhost --token t call --json health --url ws://h:1 --state-dir /s --timeout 5",
        ] {
            let (command, Context { target, json, .. }) = client(line);
            assert!(matches!(command, Command::Call(_)) && json, "{line}");
            assert_eq!(target.url.as_deref(), Some("ws://h:1"));
            assert!(target.token.is_some_and(|token| token.matches("t")), "{line}");
            assert_eq!(target.state_dir, Some(PathBuf::from("/s")));
            assert_eq!(target.timeout, Some(Duration::from_millis(5)));
        }
        let (command, _) = client("clawhost devices approve 1234 --scopes operator.read,operator.write");
        assert!(matches!(command, Command::Devices(_)));
    }

    #[test]
    fn fingerprints_may_be_repeated_and_stand_anywhere() {
        let [one, two] = [b"one", b"two"].map(|der| Fingerprint::of(der));
        let line = format!("clawhost --url wss://h:1 health --tls-fingerprint {one} --tls-fingerprint sha256:{two}");
        assert_eq!(client(&line).1.target.tls_fingerprints, [one, two]);
        let line = format!("clawhost --tls-fingerprint {one} --url wss://h:1 health");
        assert_eq!(client(&line).1.target.tls_fingerprints, [one]);
        let error = understand("clawhost health --tls-fingerprint abc".split(' ')).err().expect("it is none");
        assert!(error.exit_code() == 2 && error.to_string().contains("64 hexadecimal digits"), "{error}");
        for line in ["clawhost run --tls-fingerprint", "clawhost token show --tls-fingerprint"] {
            let error = understand(format!("{line} {one}").split(' ')).err().expect(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_a_mistake_of_usage() {
        for line in [
            "clawhost --port 1 health",
            "clawhost --bind lan call health",
            "clawhost --url ws://h:1",
            "clawhost run --json",
            "clawhost token show --url ws://h:1",
            "clawhost health --timeout 0",
            "clawhost helth",
            "clawhost --prot 1",
            "clawhost plugins check x.so --url ws://h:1",
            "clawhost plugins new",
            "clawhost health --setup-code abc",
            "clawhost token show --setup-code eyJ1cmwiOiJ3czovL2g6MSIsImJvb3RzdHJhcFRva2VuIjoidCJ9",
            "clawhost health --token t --setup-code eyJ1cmwiOiJ3czovL2g6MSIsImJvb3RzdHJhcFRva2VuIjoidCJ9",
            "clawhost pair --node --scopes operator.read",
        ] {
            let error = understand(line.split(' ')).err().expect(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
