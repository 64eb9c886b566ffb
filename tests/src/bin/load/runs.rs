//! A crowd of agents' answers at once: each run's stream is looked at to its end, while somebody else asks for `health`. What
//! an agent says comes to everyone who may read, so a few connections ask for all of the runs, and each looks at its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use clap::{Args, ValueEnum};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::report::{Latencies, Outcome, Percentiles, Report};
use crate::stream::{Event, Stream};
use crate::wire::{Seen, Socket, Target, frame, look, next_text};

#[derive(Debug, Clone, Args)]
pub struct RunsArguments {
    /// Runs at once. The gateway's agent begins `max_runs` of them; the others wait for their turn.
    #[arg(long, default_value_t = 1000)]
    pub runs: usize,
    /// Connections that ask for them; each hears all of them, and gateways let each ask for so many (`max_in_flight`).
    #[arg(long, default_value_t = 16)]
    pub connections: usize,
    /// Words of each answer.
    #[arg(long, default_value_t = 40)]
    pub words: usize,
    /// Seconds over which they are asked for: 0 asks for all of them at once. Longer than an answer takes, they are not all
    /// there at a time.
    #[arg(long, default_value_t = 0.0)]
    pub ramp: f64,
    /// How they are asked for.
    #[arg(long, value_enum, default_value = "both")]
    pub by: By,
    /// Seconds until it is given up.
    #[arg(long, default_value_t = 60.0)]
    pub patience: f64,
}

/// The method that begins a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// `chat.send`.
    Chat,
    /// `agent`.
    Agent,
    /// In turn.
    Both,
}

/// Between two questions of the bystander.
const PAUSE: Duration = Duration::from_millis(5);
/// Between two looks at the server's memory.
const LOOK: Duration = Duration::from_millis(20);

pub async fn run(target: &Target, arguments: &RunsArguments) -> Outcome<Report> {
    let sockets = target.open_many(arguments.connections.max(1)).await?;
    let bystander = target.open_deaf().await?;
    let before = target.resident_kib();
    let (is_over, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let health = tokio::spawn(ask_for_health(bystander, is_over.clone()));
    let looking = tokio::spawn(watch_memory(target.clone(), peak.clone()));
    let cpu = target.cpu();
    let name = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
    let started = Instant::now();
    let step = Duration::from_secs_f64(arguments.ramp / arguments.runs.max(1) as f64);
    let mut asking = tokio::task::JoinSet::new();
    let count = sockets.len();
    for (place, socket) in sockets.into_iter().enumerate() {
        let mine = (place..arguments.runs).step_by(count);
        let streams: Vec<(String, Stream)> = mine
            .map(|number| {
                let is_chat = arguments.by == By::Chat || arguments.by == By::Both && number % 2 == 0;
                let words: Vec<String> = (0..arguments.words).map(|word| format!("{word}-of-{number}")).collect();
                (format!("load-{name}-{number}"), Stream::new(words.join(" "), is_chat, started + step * number as u32))
            })
            .collect();
        asking.spawn(follow(socket, streams, Duration::from_secs_f64(arguments.patience)));
    }
    let mut streams = Vec::new();
    while let Some(followed) = asking.join_next().await {
        streams.extend(followed.map_err(|error| error.to_string())??);
    }
    let elapsed = started.elapsed();
    let cpu = target.cpu_since(cpu);
    is_over.store(true, Ordering::Release);
    let bystander = health.await.map_err(|error| error.to_string())??;
    looking.abort();
    let after = target.resident_kib();
    let faults: Vec<&String> = streams.iter().filter_map(|stream| stream.fault.as_ref()).collect();
    if let Some(first) = faults.first() {
        eprintln!("{} streams are not as they should be; the first: {first}", faults.len());
    }
    let of = |pick: fn(&Stream) -> Option<Duration>| {
        let mut latencies = Latencies::default();
        streams.iter().filter_map(pick).for_each(|latency| latencies.add(latency));
        Latencies::percentiles([latencies])
    };
    let report = Report {
        scenario: format!("runs {}x{}", arguments.runs, arguments.words),
        unit: "runs",
        count: streams.iter().filter(|stream| stream.is_over()).count() as u64,
        expected: arguments.runs as u64,
        errors: faults.len() as u64,
        latency: of(|stream| stream.ended),
        first_delta: of(|stream| stream.first),
        bystander,
        server_rss_kib: before.zip(after),
        peak_rss_kib: Some(peak.load(Ordering::Acquire)).filter(|peak| *peak > 0),
        ..Report::default()
    };
    Ok(report.measured(elapsed, cpu))
}

/// Asks for each run when its time has come, and reads until their streams are over. Those that are not in time have a
/// fault.
async fn follow(socket: Socket, streams: Vec<(String, Stream)>, patience: Duration) -> Outcome<Vec<Stream>> {
    let (mut sink, mut source) = socket.split();
    let mut requests = Vec::new();
    for (id, stream) in &streams {
        let session = format!("agent:main:{id}");
        let (method, params) = match stream.is_chat {
            true => ("chat.send", json!({ "sessionKey": session, "message": stream.expected, "idempotencyKey": id })),
            false => ("agent", json!({ "sessionKey": session, "message": stream.expected, "idempotencyKey": id })),
        };
        requests.push((stream.asked, frame(id, method, &params)));
    }
    let ask = async move {
        for (when, request) in requests {
            if when > Instant::now() {
                sink.flush().await.map_err(|error| error.to_string())?;
                tokio::time::sleep_until(when.into()).await;
            }
            sink.feed(Message::text(request)).await.map_err(|error| error.to_string())?;
        }
        sink.flush().await.map_err(|error| error.to_string())
    };
    let mut streams: HashMap<String, Stream> = streams.into_iter().collect();
    let mut left = streams.len();
    let read = async {
        while left > 0 {
            let text = next_text(&mut source).await?;
            let is_over = match look(&text) {
                Some(Seen::Event("agent" | "chat")) => {
                    let event: Event<'_> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
                    let Some(stream) = streams.get_mut(&*event.payload.run_id) else { continue };
                    let was_over = stream.is_over();
                    stream.hear(&event);
                    !was_over && stream.is_over()
                }
                Some(Seen::Answer { id, ok: false }) => match streams.get_mut(id) {
                    Some(stream) if !stream.is_over() => {
                        stream.fail(text.clone());
                        true
                    }
                    _ => false,
                },
                _ => false,
            };
            left -= usize::from(is_over);
        }
        Ok::<(), String>(())
    };
    let ended = timeout(patience, async { tokio::try_join!(ask, read) }).await;
    if let Ok(Err(why)) = &ended {
        eprintln!("a connection ended amid its runs: {why}");
    }
    let mut streams: Vec<Stream> = streams.into_values().collect();
    streams.iter_mut().for_each(Stream::finish);
    Ok(streams)
}

async fn ask_for_health(mut socket: Socket, is_over: Arc<AtomicBool>) -> Outcome<Option<Percentiles>> {
    let mut latencies = Latencies::default();
    let mut count = 0u64;
    while !is_over.load(Ordering::Acquire) {
        count += 1;
        let id = count.to_string();
        let asked = Instant::now();
        let request = frame(&id, "health", &json!({}));
        socket.send(Message::text(request)).await.map_err(|error| error.to_string())?;
        loop {
            let text = next_text(&mut socket).await?;
            match look(&text) {
                Some(Seen::Answer { id: answered, ok: true }) if answered == id => break,
                Some(Seen::Answer { .. }) => return Err(text),
                _ => {}
            }
        }
        latencies.add(asked.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Latencies::percentiles([latencies]))
}

async fn watch_memory(target: Target, peak: Arc<AtomicU64>) {
    while let Some(kib) = target.resident_kib() {
        peak.fetch_max(kib, Ordering::AcqRel);
        tokio::time::sleep(LOOK).await;
    }
}
