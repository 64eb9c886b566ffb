//! New connections per second: TCP, upgrade, challenge, `connect`, hello-ok and an orderly close. With `--device` each
//! worker has one Ed25519 identity, paired before the measurement, so that verifying is measured and not pairing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use client::Identity;
use futures_util::StreamExt;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::report::{Latencies, Outcome, Report};
use crate::wire::{Socket, Target};

#[derive(Debug, Clone, Args)]
pub struct HandshakesArguments {
    /// Handshakes in all.
    #[arg(long, default_value_t = 5000)]
    pub count: usize,
    /// Handshakes at once.
    #[arg(long, default_value_t = 8)]
    pub concurrency: usize,
    /// Begin no more after so many seconds.
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Sign each with a device identity.
    #[arg(long)]
    pub device: bool,
}

/// How long a close may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(20);

pub async fn run(target: &Target, arguments: &HandshakesArguments) -> Outcome<Report> {
    let identities: Vec<Option<Identity>> = (0..arguments.concurrency.clamp(1, 256))
        .map(|_| arguments.device.then(Identity::generate).transpose().map_err(|error| error.to_string()))
        .collect::<Outcome<_>>()?;
    run_as(identities, target, arguments).await
}

/// The same as devices that there are already, or as none: one worker for each.
pub async fn run_as(
    identities: Vec<Option<Identity>>,
    target: &Target,
    arguments: &HandshakesArguments,
) -> Outcome<Report> {
    let concurrency = identities.len();
    for identity in &identities {
        connect_once(target, identity.as_ref()).await?;
    }

    let resident = target.resident_kib();
    let left = Arc::new(AtomicUsize::new(arguments.count));
    let (cpu, started) = (target.cpu(), Instant::now());
    let end = arguments.seconds.map(|seconds| started + Duration::from_secs_f64(seconds));
    let is_in_time = move || end.is_none_or(|end| Instant::now() < end);
    let mut workers = JoinSet::new();
    for identity in identities {
        let (target, left) = (target.clone(), left.clone());
        workers.spawn(async move {
            let mut latencies = Latencies::default();
            let mut count = 0;
            while is_in_time()
                && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            {
                latencies.add(connect_once(&target, identity.as_ref()).await?);
                count += 1;
            }
            Ok::<_, String>((latencies, count))
        });
    }
    let mut latencies = Vec::new();
    let mut count = 0;
    while let Some(worker) = workers.join_next().await {
        let (part, done) = worker.map_err(|error| error.to_string())??;
        latencies.push(part);
        count += done;
    }
    let (elapsed, cpu) = (started.elapsed(), target.cpu_since(cpu));
    let report = Report {
        scenario: format!("handshakes x{concurrency}{}", if arguments.device { " with device" } else { "" }),
        unit: "handshakes",
        count,
        expected: if is_in_time() { arguments.count as u64 } else { count.max(1) },
        latency: Latencies::percentiles(latencies),
        server_rss_kib: resident.zip(target.resident_kib()),
        ..Report::default()
    };
    Ok(report.measured(elapsed, cpu))
}

/// Connects and closes; the time up to hello-ok.
async fn connect_once(target: &Target, identity: Option<&Identity>) -> Outcome<Duration> {
    let started = Instant::now();
    let socket = target.open(identity).await?;
    let latency = started.elapsed();
    farewell(socket).await?;
    Ok(latency)
}

/// Closes in order.
pub async fn farewell(mut socket: Socket) -> Outcome<()> {
    let closed = async {
        socket.close(None).await.ok();
        while let Some(Ok(_)) = socket.next().await {}
    };
    timeout(CLOSE_PATIENCE, closed).await.map_err(|_| "the server does not answer a close".to_string())
}
