//! Starts a gateway and the bare server, drives both in turn, prints ratios.
//!
//! All scenarios run against the same two processes, one directly after the other and in changing order, so that the
//! machine's mood hits both alike. `idle` comes first, before the allocators hold anything they could reuse.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::fanout::FanoutArguments;
use crate::handshakes::HandshakesArguments;
use crate::idle::IdleArguments;
use crate::invokes::InvokesArguments;
use crate::report::{Outcome, Report};
use crate::requests::RequestsArguments;
use crate::server::Server;
use crate::wire::Target;
use crate::{fanout, handshakes, idle, invokes, process, requests};

#[derive(Debug, Clone, Args)]
pub struct CompareArguments {
    /// The gateway's program.
    #[arg(long)]
    pub gateway_bin: PathBuf,
    /// The bare server's program.
    #[arg(long)]
    pub bare_bin: PathBuf,
    /// Configuration file of the gateway.
    #[arg(long)]
    pub gateway_config: Option<PathBuf>,
    /// Seconds of each request scenario.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// Idle connections.
    #[arg(long, default_value_t = 2000)]
    pub idle: usize,
    /// Handshakes.
    #[arg(long, default_value_t = 8000)]
    pub handshakes: usize,
    /// Subscribers of the fan-out.
    #[arg(long, default_value_t = 1000)]
    pub subscribers: usize,
    /// Events of the fan-out.
    #[arg(long, default_value_t = 300)]
    pub events: usize,
    /// Rounds; the table shows the round with the median ratio.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
}

/// How long a server rests before its memory at rest is read.
const REST: Duration = Duration::from_secs(1);

/// One line of the table.
struct Row {
    name: String,
    unit: &'static str,
    gateway: Report,
    bare: Report,
    goal: Goal,
}

/// What was set out to reach.
#[derive(Clone, Copy)]
enum Goal {
    /// Server CPU time at most this many times the bare server's.
    Ratio(f64),
    /// KiB per connection at most this much above the bare server's.
    KibAbove(f64),
}

pub async fn run(arguments: &CompareArguments, json: bool) -> Outcome<()> {
    let directory = tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
    let gateway =
        Server::gateway(&arguments.gateway_bin, arguments.gateway_config.as_deref(), directory.path()).await?;
    let bare = Server::bare(&arguments.bare_bin, &[]).await?;
    tokio::time::sleep(REST).await;
    let at_rest = (process::resident_kib(gateway.pid), process::resident_kib(bare.pid));

    let mut rows = vec![idle_row(arguments, &gateway.target, &bare.target).await?];
    let mut failed = None;
    for scenario in
        ["health 64x1", "health 64x16", "handshake", "handshake with device", "event delivered", "node invoke"]
    {
        match median(arguments, scenario, &gateway.target, &bare.target).await {
            Ok(row) => {
                if !json {
                    eprintln!("gateway  {}\nbare     {}", row.gateway, row.bare);
                }
                rows.push(row);
            }
            // The others still say something.
            Err(error) => {
                eprintln!("{scenario}: {error}");
                failed = Some(format!("{scenario} could not be measured"));
            }
        }
    }
    if json {
        print_json(&rows, &gateway, &bare, at_rest);
    } else {
        print_table(&rows, &gateway, &bare, at_rest);
    }
    failed.map_or(Ok(()), Err)
}

async fn median(arguments: &CompareArguments, scenario: &str, gateway: &Target, bare: &Target) -> Outcome<Row> {
    let mut rounds = Vec::new();
    for number in 0..arguments.rounds.clamp(1, 9) {
        rounds.push(round(arguments, scenario, gateway, bare, number % 2 == 1).await?);
    }
    rounds.sort_by(|a, b| a.ratio().unwrap_or(0.0).total_cmp(&b.ratio().unwrap_or(0.0)));
    let middle = rounds.len() / 2;
    Ok(rounds.swap_remove(middle))
}

async fn round(
    arguments: &CompareArguments,
    scenario: &str,
    gateway: &Target,
    bare: &Target,
    bare_first: bool,
) -> Outcome<Row> {
    let row = |unit, gateway, bare, goal| Row { name: scenario.to_string(), unit, gateway, bare, goal };
    match scenario {
        "event delivered" => {
            let fanout = FanoutArguments {
                subscribers: arguments.subscribers,
                events: arguments.events,
                window: 8,
                publish_method: "bench.broadcast".to_string(),
                bytes: 300,
            };
            let run = |target| fanout::run(target, &fanout);
            let (first, second) = in_order(bare_first, run, gateway, bare).await?;
            Ok(row("µs CPU/delivery", first, second, Goal::Ratio(1.3)))
        }
        "node invoke" => {
            let invokes = InvokesArguments { connections: 8, in_flight: 8, seconds: arguments.seconds, warm_up: 0.5 };
            let run = |target| invokes::run(target, &invokes);
            let (first, second) = in_order(bare_first, run, gateway, bare).await?;
            Ok(row("µs CPU/invoke", first, second, Goal::Ratio(2.5)))
        }
        "handshake" | "handshake with device" => {
            let device = scenario.ends_with("device");
            let handshakes = HandshakesArguments { count: arguments.handshakes, concurrency: 8, seconds: None, device };
            let run = |target| handshakes::run(target, &handshakes);
            let (first, second) = in_order(bare_first, run, gateway, bare).await?;
            Ok(row("µs CPU/handshake", first, second, Goal::Ratio(2.0)))
        }
        _ => {
            let (in_flight, goal) = if scenario.ends_with("x16") { (16, 2.5) } else { (1, 1.3) };
            let requests = RequestsArguments {
                connections: 64,
                in_flight,
                seconds: arguments.seconds,
                requests: None,
                warm_up: 0.5,
                method: "health".to_string(),
                params: "{}".to_string(),
            };
            let run = |target| requests::run(target, &requests);
            let (first, second) = in_order(bare_first, run, gateway, bare).await?;
            Ok(row("µs CPU/request", first, second, Goal::Ratio(goal)))
        }
    }
}

/// The gateway's report and the bare server's, measured in either order.
async fn in_order<'a, Running: Future<Output = Outcome<Report>>>(
    bare_first: bool,
    run: impl Fn(&'a Target) -> Running,
    gateway: &'a Target,
    bare: &'a Target,
) -> Outcome<(Report, Report)> {
    if bare_first {
        let second = run(bare).await?;
        Ok((run(gateway).await?, second))
    } else {
        let first = run(gateway).await?;
        Ok((first, run(bare).await?))
    }
}

async fn idle_row(arguments: &CompareArguments, gateway: &Target, bare: &Target) -> Outcome<Row> {
    let idle = IdleArguments { connections: arguments.idle, settle: 1.0 };
    let first = idle::run(gateway, &idle).await?;
    let second = idle::run(bare, &idle).await?;
    let name = "idle connection".to_string();
    Ok(Row { name, unit: "KiB", gateway: first, bare: second, goal: Goal::KibAbove(8.0) })
}

impl Row {
    fn values(&self) -> Option<(f64, f64)> {
        let value = |report: &Report| report.kib_per_connection.or(report.server_cpu_us);
        value(&self.gateway).zip(value(&self.bare))
    }

    fn ratio(&self) -> Option<f64> {
        self.values().map(|(gateway, bare)| gateway / bare.max(1e-9))
    }

    /// The goal in words, and whether it was reached.
    fn verdict(&self) -> (String, Option<bool>) {
        let values = self.values();
        match self.goal {
            Goal::Ratio(limit) => (format!("at most {limit}x"), self.ratio().map(|ratio| ratio <= limit)),
            Goal::KibAbove(limit) => {
                (format!("at most +{limit} KiB"), values.map(|(gateway, bare)| gateway - bare <= limit))
            }
        }
    }
}

fn word(reached: Option<bool>) -> &'static str {
    match reached {
        Some(true) => "reached",
        Some(false) => "MISSED",
        None => "unknown",
    }
}

fn print_table(rows: &[Row], gateway: &Server, bare: &Server, at_rest: (Option<u64>, Option<u64>)) {
    println!(
        "{:<22} {:>18} {:>10} {:>10} {:>7}  {:<16} result",
        "scenario", "unit", "gateway", "bare", "ratio", "goal"
    );
    for row in rows {
        let (goal, reached) = row.verdict();
        let (first, second) = row.values().unwrap_or((f64::NAN, f64::NAN));
        let ratio = row.ratio().unwrap_or(f64::NAN);
        let word = word(reached);
        println!("{:<22} {:>18} {first:>10.2} {second:>10.2} {ratio:>7.2}  {goal:<16} {word}", row.name, row.unit);
    }
    let rest = |kib: Option<u64>| kib.map_or(f64::NAN, |kib| kib as f64 / 1024.0);
    let (first, second) = (rest(at_rest.0), rest(at_rest.1));
    let reached = word(at_rest.0.map(|kib| kib < 20 * 1024));
    println!(
        "{:<22} {:>18} {first:>10.2} {second:>10.2} {:>7}  {:<16} {reached}",
        "at rest", "MiB", "", "under 20 MiB"
    );
    let (first, second) = (gateway.start_ms(), bare.start_ms());
    let reached = word(Some(first < 100.0));
    println!("{:<22} {:>18} {first:>10.2} {second:>10.2} {:>7}  {:<16} {reached}", "start", "ms", "", "under 100 ms");
}

fn print_json(rows: &[Row], gateway: &Server, bare: &Server, at_rest: (Option<u64>, Option<u64>)) {
    let lines: Vec<_> = rows
        .iter()
        .map(|row| {
            let (goal, reached) = row.verdict();
            json!({
                "scenario": row.name, "unit": row.unit, "ratio": row.ratio(), "goal": goal, "reached": reached,
                "gateway": row.gateway, "bare": row.bare,
            })
        })
        .collect();
    let start = json!({"gateway": gateway.start_ms(), "bare": bare.start_ms()});
    let rest = json!({"gateway": at_rest.0, "bare": at_rest.1});
    println!("{}", json!({"rows": lines, "startMs": start, "restKib": rest}));
}
