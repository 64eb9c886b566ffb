//! Events delivered: one connection causes events, many subscribers count them. A window of events is kept under way, as
//! in a burst; with a window of 1 each event waits until everybody has the one before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::report::{Latencies, Outcome, Report};
use crate::wire::{self, Seen, Socket, Target};

#[derive(Debug, Clone, Args)]
pub struct FanoutArguments {
    /// Subscribers.
    #[arg(long, default_value_t = 1000)]
    pub subscribers: usize,
    /// Events, each delivered to every subscriber.
    #[arg(long, default_value_t = 200)]
    pub events: usize,
    /// Events under way at once.
    #[arg(long, default_value_t = 8)]
    pub window: usize,
    /// What causes an event: `system-event` of a gateway, `bench.broadcast` of the bare server.
    #[arg(long, default_value = "system-event")]
    pub publish_method: String,
    /// Size of the payload, for `bench.broadcast`.
    #[arg(long, default_value_t = 300)]
    pub bytes: usize,
}

impl FanoutArguments {
    fn request(&self) -> (&'static str, Value) {
        match self.publish_method.as_str() {
            "bench.broadcast" => ("bench", json!({ "bytes": self.bytes })),
            // The form of a periodic presence report: it is broadcast and queued for nobody.
            _ => (
                "presence",
                json!({"text": "Node: load · mode test · reason periodic", "instanceId": "load", "reason": "periodic"}),
            ),
        }
    }
}

/// Events that everybody should have and nobody gets more of are given up after this long.
const PATIENCE: Duration = Duration::from_secs(10);

struct Run {
    event: &'static str,
    delivered: AtomicU64,
    subscribers: u64,
    bytes: AtomicUsize,
    /// When each event was asked for, in nanoseconds since `started`; 0 before.
    published: Vec<AtomicU64>,
    started: Instant,
    progress: Notify,
}

pub async fn run(target: &Target, arguments: &FanoutArguments) -> Outcome<Report> {
    let (event, params) = arguments.request();
    let (subscribers, events, window) =
        (arguments.subscribers.max(1), arguments.events.max(1), arguments.window.max(1));
    let sockets = target.open_many(subscribers).await?;
    let mut publisher = target.open(None).await?;
    // One event before the measurement: it finds out that events arrive at all.
    const WARM_UP: usize = 1;
    let total = events + WARM_UP;
    let run = Arc::new(Run {
        event,
        delivered: AtomicU64::new(0),
        subscribers: subscribers as u64,
        bytes: AtomicUsize::new(0),
        published: (0..total).map(|_| AtomicU64::new(0)).collect(),
        started: Instant::now(),
        progress: Notify::new(),
    });
    let mut workers = JoinSet::new();
    for socket in sockets {
        workers.spawn(count_events(socket, run.clone()));
    }

    let request = wire::frame("publish", &arguments.publish_method, &params);
    publish(&mut publisher, &run, &request, 0).await?;
    if !run.reached(WARM_UP).await {
        return Err(format!(
            "{} of {subscribers} subscribers heard {event} after {}",
            run.delivered.load(Ordering::Relaxed),
            arguments.publish_method
        ));
    }
    let (resident, cpu, started) = (target.resident_kib(), target.cpu(), Instant::now());
    let mut complete = true;
    for number in WARM_UP..total {
        if number >= window + WARM_UP && !run.reached(number + 1 - window).await {
            complete = false;
            break;
        }
        publish(&mut publisher, &run, &request, number).await?;
    }
    complete = complete && run.reached(total).await;
    let (elapsed, cpu, after) = (started.elapsed(), target.cpu_since(cpu), target.resident_kib());

    let mut latencies = Vec::new();
    if complete {
        while let Some(worker) = workers.join_next().await {
            latencies.push(worker.map_err(|error| error.to_string())??);
        }
    }
    workers.shutdown().await;
    let report = Report {
        scenario: format!("fanout {} to {subscribers}", arguments.publish_method),
        unit: "deliveries",
        count: run.delivered.load(Ordering::Relaxed).saturating_sub(run.subscribers),
        expected: (events * subscribers) as u64,
        latency: Latencies::percentiles(latencies),
        server_rss_kib: resident.zip(after),
        event_bytes: Some(run.bytes.load(Ordering::Relaxed)),
        ..Report::default()
    };
    Ok(report.measured(elapsed, cpu))
}

impl Run {
    /// Waits until every subscriber has `events` events; `false` when nothing moves any more.
    async fn reached(&self, events: usize) -> bool {
        let goal = events as u64 * self.subscribers;
        loop {
            let moved = self.progress.notified();
            let before = self.delivered.load(Ordering::Acquire);
            if before >= goal {
                return true;
            }
            if timeout(PATIENCE, moved).await.is_err() && self.delivered.load(Ordering::Acquire) == before {
                return false;
            }
        }
    }

    fn elapsed_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}

async fn publish(publisher: &mut Socket, run: &Run, request: &str, number: usize) -> Outcome<()> {
    run.published[number].store(run.elapsed_ns().max(1), Ordering::Release);
    publisher.send(Message::text(request)).await.map_err(|error| error.to_string())?;
    loop {
        let text = wire::next_text(publisher).await?;
        match wire::look(&text) {
            Some(Seen::Answer { ok: true, .. }) => return Ok(()),
            Some(Seen::Answer { ok: false, .. }) => return Err(format!("the server would not publish: {text}")),
            _ => {}
        }
    }
}

/// Counts until all events have come.
async fn count_events(mut socket: Socket, run: Arc<Run>) -> Outcome<Latencies> {
    let mut latencies = Latencies::default();
    let mut mine = 0;
    while mine < run.published.len() {
        let text = match socket.next().await {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(frame))) => return Err(wire::closed(frame.as_ref())),
            Some(Ok(_)) => continue,
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err("the server ended the connection".to_string()),
        };
        if wire::look(&text) != Some(Seen::Event(run.event)) {
            continue;
        }
        let published = run.published[mine].load(Ordering::Acquire);
        if mine > 0 {
            latencies.add(Duration::from_nanos(run.elapsed_ns().saturating_sub(published)));
        } else {
            run.bytes.store(text.len(), Ordering::Relaxed);
        }
        mine += 1;
        // Waking the publisher for every delivery would cost more than the delivery.
        if (run.delivered.fetch_add(1, Ordering::AcqRel) + 1).is_multiple_of(run.subscribers) {
            run.progress.notify_one();
        }
    }
    Ok(latencies)
}
