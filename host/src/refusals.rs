//! How many requests of a connection were refused lately. Refusals drain away like water from a leaky bucket: a client
//! that asks now and then for something nobody offers is an ordinary client, however long it stays. Whoever fills half of
//! the bucket is read more slowly, and only who goes on all the same is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use schemas::ErrorShape;
use schemas::protocol::close;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::answer::Asker;
use crate::connections::Connection;
use crate::gateway::Gateway;

/// Longest time that a connection is not read for one refused request.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The refusals of one connection.
pub struct Refusals {
    since: Instant,
    count: AtomicU64,
    /// When the last of them will have drained away, in microseconds from `since`.
    empty_at: AtomicU64,
    /// How long the connection is not to be read, in microseconds.
    pause: AtomicU64,
    slowed: AtomicBool,
}

/// What another refusal means for the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Calm,
    /// It is read more slowly, and this is the first time.
    FirstSlowed,
    /// It is read more slowly.
    Slowed,
    /// It goes on and on.
    Flood,
}

impl Refusals {
    /// None yet.
    pub fn new() -> Self {
        let none = || AtomicU64::new(0);
        Refusals {
            since: Instant::now(),
            count: none(),
            empty_at: none(),
            pause: none(),
            slowed: AtomicBool::new(false),
        }
    }

    /// Counts one more. `max` of them drain away within the window.
    pub fn add(&self, max: usize, window: Duration, now: Instant) -> Verdict {
        self.count.fetch_add(1, Ordering::Relaxed);
        let now = micros(now.saturating_duration_since(self.since));
        let each = (micros(window) / max as u64).max(1);
        let later = |empty_at: u64| empty_at.max(now) + each;
        let before = self.empty_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| Some(later(at)));
        let empty_at = later(before.unwrap_or_else(|at| at));
        let full = each * max as u64;
        match empty_at - now {
            level if level > full => Verdict::Flood,
            level if level > full / 2 => {
                // Half of what it takes to drain: a flood goes on filling the bucket, only that it takes its time.
                self.pause.store((each / 2).min(micros(LONGEST_PAUSE)), Ordering::Relaxed);
                if self.slowed.swap(true, Ordering::Relaxed) { Verdict::Slowed } else { Verdict::FirstSlowed }
            }
            _ => Verdict::Calm,
        }
    }

    /// How many there were since the connection was opened.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// How long the connection is not to be read from here on; told once.
    pub fn take_pause(&self) -> Option<Duration> {
        if self.pause.load(Ordering::Relaxed) == 0 {
            return None;
        }
        Some(Duration::from_micros(self.pause.swap(0, Ordering::Relaxed)))
    }
}

/// Counts a request that was refused. A connection that goes on and on is slowed down first, and closed in the end.
pub fn refused(gateway: &Gateway, connection: &Connection, error: &ErrorShape) {
    let limits = gateway.limits();
    let window = Duration::from_millis(limits.refused_window_ms);
    let verdict = connection.refusals.add(limits.max_refused_calls, window, Instant::now());
    let (conn, count) = (connection.number, connection.refusals.count());
    match verdict {
        Verdict::Flood => {
            gateway.metrics.limit_hit("max_refused_calls");
            tracing::info!(conn, count, "closing a connection whose requests are refused again and again");
            connection.outbox.close(close::POLICY, "too many refused requests");
        }
        Verdict::FirstSlowed => tracing::info!(conn, count, "slowing a connection whose requests are refused"),
        Verdict::Calm if count == 1 => tracing::info!(conn, error = error.message, "refused a request"),
        Verdict::Calm | Verdict::Slowed => {}
    }
}

impl Default for Refusals {
    fn default() -> Self {
        Self::new()
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

/// Answers what is not a request: text that is not JSON is passed over, as clients expect.
pub fn bad_frame(gateway: &Gateway, connection: &Arc<Connection>, text: &str) {
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        tracing::debug!(conn = connection.number, "passing over a message that is not JSON");
        return refused(gateway, connection, &ErrorShape::invalid_request("not JSON"));
    }
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    // Of a frame that nests too deeply to be a value, too.
    let id = match schemas::json::value(text) {
        Ok(value) => value.get("id").and_then(serde_json::Value::as_str).map(str::to_string),
        Err(_) => serde_json::from_str::<Named>(text).ok().map(|named| named.id),
    };
    let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| "invalid".to_string());
    let fault = gateway.frame_validator.describe_frame(text);
    let error = ErrorShape::invalid_request(format!("invalid request frame: {fault}"));
    let mut asker = Asker::Frame { connection: connection.clone(), id: id.into() };
    asker.refuse(&error);
    refused(gateway, connection, &error);
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    #[test]
    fn a_client_that_polls_what_nobody_offers_is_never_slowed() {
        let refusals = Refusals::new();
        for round in 0..4 * 3600 / 5 {
            let now = refusals.since + Duration::from_secs(5 * round);
            for _ in 0..3 {
                assert_eq!(refusals.add(100, WINDOW, now), Verdict::Calm, "round {round}");
            }
        }
        assert_eq!((refusals.count(), refusals.take_pause()), (4 * 3600 / 5 * 3, None));
    }

    #[test]
    fn a_burst_is_slowed_and_forgotten() {
        let refusals = Refusals::new();
        let mut now = refusals.since;
        let burst: Vec<_> = (0..60).map(|_| refusals.add(100, WINDOW, now)).collect();
        assert!(burst[..50].iter().all(|verdict| *verdict == Verdict::Calm));
        assert_eq!(burst[50..52], [Verdict::FirstSlowed, Verdict::Slowed]);
        assert_eq!(refusals.take_pause(), Some(Duration::from_millis(300)));
        assert_eq!(refusals.take_pause(), None, "told once");
        now += WINDOW;
        assert_eq!(refusals.add(100, WINDOW, now), Verdict::Calm);
    }

    #[test]
    fn a_flood_fills_the_bucket_however_slowly_it_is_read() {
        let refusals = Refusals::new();
        let mut now = refusals.since;
        let mut verdict = Verdict::Calm;
        while verdict != Verdict::Flood {
            now += refusals.take_pause().unwrap_or_default();
            verdict = refusals.add(100, WINDOW, now);
        }
        let (took, count) = (now - refusals.since, refusals.count());
        assert!((25..40).contains(&took.as_secs()) && (140..160).contains(&count), "{took:?} {count}");
    }
}
