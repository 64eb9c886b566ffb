//! The `tick` event, the only sign of life that clients accept, the ping, by which the gateway finds clients that are gone
//! without a word, and the watchdog over plugins. They have a thread of their own, so no plugin that blocks a worker can
//! delay them.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use schemas::protocol::Version;
use serde_json::json;

use crate::gateway::Gateway;
use crate::{events, handover, named_tokens};

/// How often the watchdog looks.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// Ticks until dropped.
pub struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Starts ticking.
    pub fn start(gateway: &Arc<Gateway>) -> std::io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let interval = Duration::from_millis(gateway.limits().tick_interval_ms);
        let ping_interval = Duration::from_millis(gateway.limits().ping_interval_ms);
        let gateway: Weak<Gateway> = Arc::downgrade(gateway);
        let thread = std::thread::Builder::new().name("clawhost-tick".to_string()).spawn(move || {
            let mut next_tick = Instant::now() + interval;
            let mut next_ping = Instant::now() + ping_interval;
            let mut sleep = Sleep::new();
            loop {
                let wait = next_tick.min(next_ping).saturating_duration_since(Instant::now()).min(WATCH_EVERY);
                if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                let Some(gateway) = gateway.upgrade() else { return };
                sleep.look();
                handover::watch(&gateway);
                gateway.deliver();
                named_tokens::close_expired(&gateway, schemas::now_ms());
                if Instant::now() >= next_ping {
                    // A machine that slept has heard nobody, and begins anew with everybody.
                    let has_slept = sleep.take() || Instant::now() > next_ping + ping_interval / 2;
                    // In protocol 3 a gateway sends no pings, and clients may be made for that.
                    gateway.connections.each(|connection| {
                        if connection.version < Version::V4 {
                            return;
                        }
                        if has_slept {
                            connection.outbox.heard();
                        }
                        connection.outbox.ping();
                    });
                    // Never two at once: between them there must be time for an answer.
                    next_ping = (next_ping + ping_interval).max(Instant::now() + ping_interval / 2);
                }
                if Instant::now() >= next_tick {
                    events::announce(&gateway, "tick", &json!({ "ts": schemas::now_ms() }), true);
                    // A machine that slept does not catch up on the ticks it missed.
                    next_tick = (next_tick + interval).max(Instant::now());
                }
            }
        })?;
        Ok(Ticker { stop: Some(stop), thread: Some(thread) })
    }
}

/// Finds out that the machine slept: the clock on the wall went on, and that which counts spans stood still. A wall clock
/// that is set forward looks the same, and does no harm: everybody gets a little more time once.
struct Sleep {
    last: (Instant, SystemTime),
    found: bool,
}

impl Sleep {
    fn new() -> Self {
        Sleep { last: (Instant::now(), SystemTime::now()), found: false }
    }

    fn look(&mut self) {
        self.compare((Instant::now(), SystemTime::now()));
    }

    fn compare(&mut self, now: (Instant, SystemTime)) {
        /// Clocks that are corrected bit by bit differ by less.
        const AT_LEAST: Duration = Duration::from_secs(2);
        let by_wall = now.1.duration_since(self.last.1).unwrap_or_default();
        self.found |= by_wall > now.0.saturating_duration_since(self.last.0) + AT_LEAST;
        self.last = now;
    }

    /// Whether it was found since this was last asked.
    fn take(&mut self) -> bool {
        std::mem::take(&mut self.found)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_slept_is_found_out_once() {
        let mut sleep = Sleep::new();
        let (awake, wall) = sleep.last;
        let after = |awake_s, wall_s| (awake + Duration::from_secs(awake_s), wall + Duration::from_secs(wall_s));
        sleep.compare(after(1, 1));
        assert!(!sleep.take());
        sleep.compare(after(2, 600));
        sleep.compare(after(3, 601));
        assert!(sleep.take() && !sleep.take());
        sleep.compare(after(4, 30));
        assert!(!sleep.take(), "the clock was set back");
    }
}
