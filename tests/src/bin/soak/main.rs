//! Does a gateway stay as it is? It is started, given a mixed load for as long as one says, and watched: answers that are
//! lost, doubled or wrong, ticks that are missing, memory and descriptors that grow. Whatever is found is printed and makes
//! the run fail; so does a gateway that does not end in order. Half of its clients speak protocol 3 and half of them 4; one of
//! its plugins is in C, and some of what its agents are told comes by HTTP.
//!
//! The clients are those of the tests: they look at everything that they receive, so a hole in `seq` or a second answer is
//! found wherever it happens.

mod judge;
mod load;
mod report;
mod spoil;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use clawhost_tests::libraries::{Shelf, table};
use clawhost_tests::support::Gateway;
use tokio::signal::unix::{SignalKind, signal};

use crate::load::{GUEST, Plan, SPARE, Tally};
use crate::report::Report;
use crate::spoil::Spoil;
use crate::watch::Watch;

/// Time between two ticks of a gateway under load, so that a short run has some.
const TICK_MS: u64 = 1_000;

/// Keeps a gateway busy and looks whether it stays as it is.
#[derive(Parser, Clone)]
#[command(name = "soak")]
struct Arguments {
    /// How long, in seconds.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// So many rounds of everybody instead, however long they take.
    #[arg(long)]
    rounds: Option<u64>,
    /// Operators that talk to an agent, also by HTTP, ask for health and presence, and ask nodes and a plugin in C.
    #[arg(long, default_value_t = 8)]
    operators: usize,
    /// Nodes that are asked.
    #[arg(long, default_value_t = 2)]
    nodes: usize,
    /// Clients that come and go.
    #[arg(long, default_value_t = 4)]
    visitors: usize,
    /// Pairs of which one asks for approvals and the other decides, heard by all.
    #[arg(long, default_value_t = 2)]
    approvers: usize,
    /// Seconds between two changes of the configuration.
    #[arg(long, default_value_t = 20.0)]
    reload_every: f64,
    /// Seconds between two looks at memory and descriptors.
    #[arg(long, default_value_t = 5.0)]
    look_every: f64,
    /// Memory that a gateway may gain in a minute, in KiB, once it has all that it uses.
    #[arg(long, default_value_t = judge::MAX_SLOPE_KIB)]
    max_slope_kib: f64,
    /// Memory that it may gain in all from then on, in KiB.
    #[arg(long, default_value_t = judge::MAX_GROWTH_KIB)]
    max_growth_kib: f64,
    /// Lose the first frame of each connection that holds this, to see that it is missed.
    #[arg(long, conflicts_with = "double")]
    lose: Option<String>,
    /// Pass the first frame of each connection that holds this on twice, to see that it is noticed.
    #[arg(long)]
    double: Option<String>,
    /// The gateway's program; `clawhost` beside this one if absent.
    #[arg(long)]
    gateway_bin: Option<PathBuf>,
    /// Print JSON only.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // What a client panics with is a finding, and printed as one.
    std::panic::set_hook(Box::new(|_| {}));
    let json = arguments.json;
    let report = tokio::select! {
        report = tokio::spawn(soak(arguments)) => report,
        // With the runtime goes the gateway, which would outlive this tool otherwise.
        () = told_to_end() => {
            eprintln!("ended before its time");
            return ExitCode::FAILURE;
        }
    };
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{}", load::words(error));
            return ExitCode::FAILURE;
        }
    };
    if !json {
        println!("{report}");
    }
    println!("{}", report.json());
    if report.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Somebody wants this to end.
async fn told_to_end() {
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be waited for");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

async fn soak(arguments: Arguments) -> Report {
    let beside =
        || std::env::current_exe().map(|it| it.with_file_name("clawhost")).expect("a running program has a path");
    let program = arguments.gateway_bin.clone().unwrap_or_else(beside);
    let shelf = Shelf::default();
    let guest = shelf.c(GUEST, &[]).map(|library| table(GUEST, &library)).unwrap_or_default();
    let builder = Gateway::builder().config(&load::config(0, &guest));
    let builder = match program.file_stem().is_some_and(|name| name == "clawhost") {
        true => builder.product(&program),
        false => builder.program(&program.display().to_string()),
    };
    let mut gateway = builder.start().await;
    if let Some(spoil) = Spoil::asked_for(&arguments) {
        gateway.port = spoil.before(gateway.port).await;
    }
    let gateway = Arc::new(gateway);
    let tally = Arc::new(Tally::default());
    let plan = Arc::new(Plan::new(&arguments));
    let started = Instant::now();
    let mut watch =
        Watch::start(gateway.clone(), plan.clone(), tally.clone(), Duration::from_secs_f64(arguments.look_every));
    let mut load = load::begin(&gateway, &plan, &tally, &guest, &arguments).await;
    tally.join(&mut load.users, plan.deadline()).await;
    let elapsed = started.elapsed();
    plan.end();
    tally.join(&mut load.servants, Some(Instant::now() + SPARE)).await;
    watch.ended().await;
    watch.afterwards(&gateway).await;
    let mut report = Report::new(elapsed, &tally, &watch);
    if guest.is_empty() {
        report.not_judged.push("a plugin in C, for which there is no compiler".to_string());
    }
    report.judge(&arguments);
    match Arc::try_unwrap(gateway) {
        Ok(gateway) => {
            let ended = tokio::spawn(async move { gateway.stop().await.log.contains("stopped") }).await;
            if !ended.is_ok_and(|in_order| in_order) {
                report.faults.push("the gateway did not end in order".to_string());
            }
        }
        Err(_) => report.faults.push("somebody still uses the gateway".to_string()),
    }
    report
}
