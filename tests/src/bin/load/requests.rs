//! Requests per second: N connections, each with M requests in flight. Whatever has arrived is answered with new requests
//! and flushed once, so the generator costs little beside the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::report::{Latencies, Outcome, Report};
use crate::wire::{self, Seen, Socket, Target};

#[derive(Debug, Clone, Args)]
pub struct RequestsArguments {
    /// Connections.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Requests in flight on each connection.
    #[arg(long, default_value_t = 1)]
    pub in_flight: usize,
    /// How long to measure.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Stop after this many requests, within --seconds.
    #[arg(long)]
    pub requests: Option<u64>,
    /// How long to run before measuring.
    #[arg(long, default_value_t = 0.5)]
    pub warm_up: f64,
    /// The method.
    #[arg(long, default_value = "health")]
    pub method: String,
    /// Its parameters.
    #[arg(long, default_value = "{}")]
    pub params: String,
}

const WARMING_UP: u8 = 0;
const MEASURING: u8 = 1;
const STOPPED: u8 = 2;

/// Shared by the connections of one run.
struct Run {
    phase: AtomicU8,
    done: AtomicU64,
    limit: u64,
    /// The request of each place in flight.
    frames: Vec<Utf8Bytes>,
}

/// What one connection saw while measuring.
#[derive(Default)]
struct Tally {
    latencies: Latencies,
    count: u64,
    errors: u64,
    refusal: Option<String>,
}

pub async fn run(target: &Target, arguments: &RequestsArguments) -> Outcome<Report> {
    let params: Value =
        serde_json::from_str(&arguments.params).map_err(|error| format!("--params is not JSON: {error}"))?;
    let (connections, in_flight) = (arguments.connections.max(1), arguments.in_flight.clamp(1, 4096));
    let frames = (0..in_flight).map(|slot| wire::frame(&slot.to_string(), &arguments.method, &params).into());
    let run = Arc::new(Run {
        phase: AtomicU8::new(WARMING_UP),
        done: AtomicU64::new(0),
        limit: arguments.requests.unwrap_or(u64::MAX),
        frames: frames.collect(),
    });

    let mut workers = JoinSet::new();
    for socket in target.open_many(connections).await? {
        workers.spawn(drive(socket, run.clone()));
    }
    tokio::time::sleep(Duration::from_secs_f64(arguments.warm_up)).await;
    let (resident, cpu, started) = (target.resident_kib(), target.cpu(), Instant::now());
    run.phase.store(MEASURING, Ordering::Relaxed);
    let deadline = started + Duration::from_secs_f64(arguments.seconds);
    while Instant::now() < deadline && run.done.load(Ordering::Relaxed) < run.limit && workers.len() == connections {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let (elapsed, cpu, after) = (started.elapsed(), target.cpu_since(cpu), target.resident_kib());
    run.phase.store(STOPPED, Ordering::Relaxed);

    let mut latencies = Vec::new();
    let mut report = Report {
        scenario: format!("requests {} {connections}x{in_flight}", arguments.method),
        unit: "requests",
        server_rss_kib: resident.zip(after),
        ..Report::default()
    };
    while let Some(worker) = workers.join_next().await {
        let tally = worker.map_err(|error| error.to_string())??;
        report.count += tally.count;
        report.errors += tally.errors;
        report.refusal = report.refusal.or(tally.refusal);
        latencies.push(tally.latencies);
    }
    report.expected = arguments.requests.unwrap_or(1);
    report.latency = Latencies::percentiles(latencies);
    Ok(report.measured(elapsed, cpu))
}

async fn drive(mut socket: Socket, run: Arc<Run>) -> Outcome<Tally> {
    let words = |error: tokio_tungstenite::tungstenite::Error| error.to_string();
    let mut tally = Tally::default();
    let mut sent = vec![Instant::now(); run.frames.len()];
    for (slot, frame) in run.frames.iter().enumerate() {
        sent[slot] = Instant::now();
        socket.feed(Message::Text(frame.clone())).await.map_err(words)?;
    }
    socket.flush().await.map_err(words)?;

    while run.phase.load(Ordering::Relaxed) != STOPPED {
        let mut next = socket.next().await;
        let now = Instant::now();
        loop {
            match next {
                Some(Ok(Message::Text(text))) => {
                    if let Some(Seen::Answer { id, ok }) = wire::look(&text) {
                        let slot: usize = id.parse().map_err(|_| format!("an answer to nothing: {id}"))?;
                        let frame = run.frames.get(slot).ok_or_else(|| format!("an answer to nothing: {id}"))?;
                        if run.phase.load(Ordering::Relaxed) == MEASURING {
                            tally.count += 1;
                            tally.errors += u64::from(!ok);
                            if !ok && tally.refusal.is_none() {
                                tally.refusal = Some(text.as_str().to_string());
                            }
                            tally.latencies.add(now - sent[slot]);
                            if run.limit != u64::MAX {
                                run.done.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        sent[slot] = now;
                        socket.feed(Message::Text(frame.clone())).await.map_err(words)?;
                    }
                }
                Some(Ok(Message::Close(frame))) => return Err(wire::closed(frame.as_ref())),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(words(error)),
                None => return Err("the server ended the connection".to_string()),
            }
            match socket.next().now_or_never() {
                Some(more) => next = more,
                None => break,
            }
        }
        socket.flush().await.map_err(words)?;
    }
    // The scenario is over; what is still in flight is nobody's.
    let _ = socket.close(None).await;
    Ok(tally)
}
