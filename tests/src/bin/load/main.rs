//! How much can a gateway do, and what does it cost? Each scenario drives one server and reports a line for people and a
//! line of JSON; `compare` starts a gateway and the bare server of this package, drives both in turn in one run, and
//! prints the ratios; `bench` does so with other people's servers too, and with many connections and many plugins, and
//! `page` makes tables and plots of what it found; `start` measures how long a gateway with many loaded plugins takes to
//! accept. The tool itself is light: prebuilt frames on plain tokio-tungstenite, no client library.
//!
//! Server CPU time comes from the kernel's accounting of the server's process, so only Linux gives all numbers.

mod bench;
mod compare;
mod fanout;
mod handshakes;
mod idle;
mod invokes;
mod page;
mod process;
mod report;
mod requests;
mod runs;
mod server;
mod start;
mod stream;
mod wire;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::report::{Outcome, Report};
use crate::wire::Target;

/// Drives a gateway and measures it.
#[derive(Parser)]
#[command(name = "load")]
struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
    /// Print JSON only.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Args)]
struct ServerArguments {
    /// Address of the server (the scenarios that start none).
    #[arg(long, global = true)]
    url: Option<String>,
    /// The shared token.
    #[arg(long, global = true, env = "CLAWHOST_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Process of the server, for CPU time and memory.
    #[arg(long, global = true)]
    server_pid: Option<u32>,
    /// Version of the protocol that is spoken (the scenarios that take --url).
    #[arg(long, global = true, default_value_t = 3)]
    protocol: u32,
}

#[derive(Subcommand)]
enum Scenario {
    /// Requests per second over open connections.
    Requests(requests::RequestsArguments),
    /// New connections per second, each up to hello-ok.
    Handshakes(handshakes::HandshakesArguments),
    /// Events delivered to many subscribers.
    Fanout(fanout::FanoutArguments),
    /// Questions to a node and their answers.
    Invokes(invokes::InvokesArguments),
    /// A crowd of agents' answers at once.
    Runs(runs::RunsArguments),
    /// Memory of connections that do nothing.
    Idle(idle::IdleArguments),
    /// Starts a gateway and the bare server and runs every scenario against both.
    Compare(compare::CompareArguments),
    /// Starts a gateway with many loaded plugins, again and again.
    Start(start::StartArguments),
    /// Starts the gateway and others' servers, drives all of them, and keeps the result.
    Bench(Box<bench::BenchArguments>),
    /// Makes tables and plots of a kept result.
    Page(page::PageArguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json;
    let done = match &arguments.scenario {
        Scenario::Compare(compare) => Some(compare::run(compare, json).await),
        Scenario::Start(start) => Some(start::run(start, json).await),
        Scenario::Bench(bench) => Some(bench::run(bench).await),
        Scenario::Page(page) => Some(page::run(page)),
        _ => None,
    };
    if let Some(done) = done {
        return finish(done.map(|()| None), json);
    }
    let Some(url) = arguments.server.url else {
        eprintln!("--url is missing: the address of the server, for example ws://127.0.0.1:18789");
        return ExitCode::from(2);
    };
    let target = match Target::new(&url, arguments.server.token, arguments.server.server_pid) {
        Ok(target) => target.speaking(arguments.server.protocol),
        Err(error) => {
            eprintln!("--url {url}: {error}");
            return ExitCode::from(2);
        }
    };
    let outcome = match &arguments.scenario {
        Scenario::Requests(scenario) => requests::run(&target, scenario).await,
        Scenario::Handshakes(scenario) => handshakes::run(&target, scenario).await,
        Scenario::Fanout(scenario) => fanout::run(&target, scenario).await,
        Scenario::Invokes(scenario) => invokes::run(&target, scenario).await,
        Scenario::Runs(scenario) => runs::run(&target, scenario).await,
        Scenario::Idle(scenario) => idle::run(&target, scenario).await,
        Scenario::Compare(_) | Scenario::Start(_) | Scenario::Bench(_) | Scenario::Page(_) => {
            unreachable!("done above")
        }
    };
    finish(outcome.map(Some), json)
}

fn finish(outcome: Outcome<Option<Report>>, json: bool) -> ExitCode {
    match outcome {
        Ok(report) => {
            if let Some(report) = report {
                if !json {
                    println!("{report}");
                }
                println!("{}", report.json());
                if !report.complete() {
                    return ExitCode::FAILURE;
                }
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
