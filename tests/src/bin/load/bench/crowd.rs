//! What a connection costs when there are many: memory, its ticks, and events that come to all. The same process gets more and
//! more connections, and each of them is read by a task, as a client would.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::bench::loads::EVENT_BYTES;
use crate::bench::record::{OVER, Point, Sample, Spread, Who, value};
use crate::bench::{Clock, Sizes};
use crate::process;
use crate::report::Outcome;
use crate::server::Server;
use crate::wire::{Seen, Socket, frame, look, next_text};

/// Between two ticks: often enough to be measured.
const TICK_MS: u64 = 500;
/// An event that some connection does not hear is given up after this long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before the first reading of memory, so that what a server sets up once is not counted for each.
const FIRST: usize = 32;
/// Connections that are opened before they are read: few, since a client that does not read for long is slow.
const AT_ONCE: usize = 256;

/// Configuration of a gateway for a crowd: its ticks, and room for all.
pub fn config() -> String {
    format!("[gateway.limits]\ntick_interval_ms = {TICK_MS}\nmax_connections = 100000\n")
}

/// What all connections have heard.
#[derive(Default)]
struct Heard {
    events: AtomicU64,
    /// How many events are waited for.
    expected: AtomicU64,
    all: Notify,
    lost: AtomicU64,
}

/// What one connection has heard.
type Ticks = Arc<AtomicU64>;

/// Points for all sizes that fit, and what is said of those that do not.
pub async fn run(
    server: &Server,
    who: Who,
    sizes: &Sizes,
    clock: &Clock,
    points: &mut Vec<Point>,
    skipped: &mut Vec<String>,
) -> Outcome<()> {
    let target = &server.target;
    let fits = [None, Some(server.pid)].into_iter().filter_map(process::descriptor_limit).min();
    let fits = fits.map_or(u64::MAX, |limit| limit.saturating_sub(process::OTHERS + FIRST as u64)) as usize;
    let settle = Duration::from_secs_f64(sizes.settle);
    let (mut readers, mut ticks): (JoinSet<()>, Vec<Ticks>) = (JoinSet::new(), Vec::new());
    for socket in target.open_many(FIRST).await? {
        readers.spawn(listen(socket, Ticks::default(), Arc::default()));
    }
    tokio::time::sleep(settle).await;
    let before = target.resident_kib().ok_or("the server's memory cannot be read")?;

    let heard = Arc::new(Heard::default());
    for &size in &sizes.crowd {
        if size > fits {
            skipped.push(format!(
                "{size} connections to {}: {fits} is what the limit of open files leaves room for (`ulimit -n`)",
                who.name()
            ));
            continue;
        }
        if clock.is_over() {
            skipped.push(format!("{size} connections to {}: {OVER}", who.name()));
            continue;
        }
        while ticks.len() < size {
            for socket in target.open_more(ticks.len(), (size - ticks.len()).min(AT_ONCE)).await? {
                let mine = Ticks::default();
                ticks.push(mine.clone());
                readers.spawn(listen(socket, mine, heard.clone()));
            }
        }
        tokio::time::sleep(settle).await;
        let after = target.resident_kib().ok_or("the server is gone")?;
        let mut values = Sample::new();
        let mut note = |name: &str, value: f64| values.insert(name.to_string(), value);
        note(value::IDLE_KIB, after.saturating_sub(before) as f64 / size as f64);
        if who == Who::Clawhost {
            let (cpu, missed) = watch_ticks(server, &ticks, sizes.ticks).await;
            note(value::MISSED_TICKS, missed as f64);
            cpu.map(|cpu| note(value::TICK_CPU_US, cpu));
        }
        let broadcasts = broadcast(server, &heard, size, sizes).await?;
        note(value::BROADCAST_MS, broadcasts.all.median);
        note(value::WORST_BROADCAST_MS, broadcasts.all.most);
        broadcasts.cpu_us.map(|cpu| note(value::DELIVERY_CPU_US, cpu));
        let lost = heard.lost.load(Ordering::Acquire);
        clock.say(&format!(
            "{size} connections to {}: {:.1} KiB each, {:.0} ms to tell all of them something",
            who.name(),
            values[value::IDLE_KIB],
            values[value::BROADCAST_MS]
        ));
        points.push(Point { size: size as u64, values });
        if lost > 0 {
            return Err(format!("{lost} of {size} connections were lost"));
        }
    }
    readers.shutdown().await;
    Ok(())
}

async fn listen(mut socket: Socket, ticks: Ticks, heard: Arc<Heard>) {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => match look(&text) {
                Some(Seen::Event("tick")) => drop(ticks.fetch_add(1, Ordering::Relaxed)),
                Some(Seen::Event("bench")) => {
                    let count = heard.events.fetch_add(1, Ordering::AcqRel) + 1;
                    if count == heard.expected.load(Ordering::Acquire) {
                        heard.all.notify_one();
                    }
                }
                _ => {}
            },
            Some(Ok(_)) => {}
            Some(Err(_)) | None => {
                heard.lost.fetch_add(1, Ordering::AcqRel);
                return;
            }
        }
    }
}

/// Server CPU time of one tick at one connection, in microseconds, and how many connections missed ticks of this time.
async fn watch_ticks(server: &Server, ticks: &[Ticks], seconds: f64) -> (Option<f64>, usize) {
    ticks.iter().for_each(|ticks| ticks.store(0, Ordering::Relaxed));
    let before = server.target.cpu();
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    let spent = server.target.cpu_since(before);
    let counts: Vec<u64> = ticks.iter().map(|ticks| ticks.load(Ordering::Relaxed)).collect();
    let sum: u64 = counts.iter().sum();
    let cpu = spent.filter(|_| sum > 0).map(|spent| spent.as_secs_f64() * 1e6 / sum as f64);
    (cpu, missed(&counts, seconds))
}

/// How many of these counts are too few for so many seconds. One tick less than there should be may be one that came just
/// before or after.
fn missed(counts: &[u64], seconds: f64) -> usize {
    let least = ((seconds * 1000.0 / TICK_MS as f64) as u64).saturating_sub(1).max(1);
    counts.iter().filter(|count| **count < least).count()
}

struct Broadcasts {
    /// Milliseconds until everybody had it.
    all: Spread,
    /// Server CPU time of one delivery.
    cpu_us: Option<f64>,
}

/// One event after another, each when everybody has the one before.
async fn broadcast(server: &Server, heard: &Heard, size: usize, sizes: &Sizes) -> Outcome<Broadcasts> {
    let mut publisher = server.target.open(None).await?;
    let rounds = (sizes.deliveries / size).clamp(3, 200);
    let request = frame("publish", "bench.broadcast", &json!({ "bytes": EVENT_BYTES }));
    let before = server.target.cpu();
    let mut each = Vec::new();
    for _ in 0..rounds {
        let expected = heard.events.load(Ordering::Acquire) + size as u64;
        heard.expected.store(expected, Ordering::Release);
        let started = Instant::now();
        publisher.send(Message::text(request.as_str())).await.map_err(|error| error.to_string())?;
        loop {
            let text = next_text(&mut publisher).await?;
            match look(&text) {
                Some(Seen::Answer { ok: true, .. }) => break,
                Some(Seen::Answer { ok: false, .. }) => return Err(format!("the server would not publish: {text}")),
                _ => {}
            }
        }
        while heard.events.load(Ordering::Acquire) < expected {
            if timeout(PATIENCE, heard.all.notified()).await.is_err() {
                let missing = expected - heard.events.load(Ordering::Acquire);
                return Err(format!("{missing} of {size} connections did not hear an event"));
            }
        }
        each.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    let spent = server.target.cpu_since(before);
    let deliveries = (rounds * size) as f64;
    Ok(Broadcasts {
        all: Spread::of(each).ok_or("nothing was broadcast")?,
        cpu_us: spent.map(|spent| spent.as_secs_f64() * 1e6 / deliveries),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hears_two_ticks_too_few_has_missed_some() {
        assert_eq!(missed(&[9, 8, 7, 6, 1, 0], 4.0), 3);
        assert_eq!(missed(&[2, 1, 0], 1.2), 1);
        assert_eq!(missed(&[1, 0], 0.1), 1);
    }
}
