//! Memory of connections that do nothing.

use std::time::{Duration, Instant};

use clap::Args;

use crate::report::{Outcome, Report};
use crate::wire::Target;

#[derive(Debug, Clone, Args)]
pub struct IdleArguments {
    /// Connections.
    #[arg(long, default_value_t = 2000)]
    pub connections: usize,
    /// How long they stay before memory is read.
    #[arg(long, default_value_t = 1.0)]
    pub settle: f64,
}

/// Opened before the first reading, so that what a server sets up once is not counted for each.
const FIRST: usize = 32;

pub async fn run(target: &Target, arguments: &IdleArguments) -> Outcome<Report> {
    let settle = Duration::from_secs_f64(arguments.settle);
    let first = target.open_many(FIRST).await?;
    tokio::time::sleep(settle).await;
    let before = target.resident_kib().ok_or("--server-pid is missing: memory is read from the server's process")?;
    let started = Instant::now();
    let sockets = target.open_many(arguments.connections.max(1)).await?;
    let elapsed = started.elapsed();
    tokio::time::sleep(settle).await;
    let after = target.resident_kib().ok_or("the server's process is gone")?;
    let count = sockets.len();
    drop((first, sockets));
    let report = Report {
        scenario: format!("idle {count}"),
        unit: "connections",
        count: count as u64,
        expected: arguments.connections as u64,
        server_rss_kib: Some((before, after)),
        kib_per_connection: Some(after.saturating_sub(before) as f64 / count as f64),
        ..Report::default()
    };
    Ok(report.measured(elapsed, None))
}
