//! The `tick` event, the only sign of life that clients accept, and the watchdog over calls. Both have a thread of their
//! own, so no plugin that blocks a worker can delay them.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

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
        let gateway: Weak<Gateway> = Arc::downgrade(gateway);
        let thread = std::thread::Builder::new().name("clawhost-tick".to_string()).spawn(move || {
            let mut next_tick = Instant::now() + interval;
            loop {
                let wait = next_tick.saturating_duration_since(Instant::now()).min(WATCH_EVERY);
                if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                let Some(gateway) = gateway.upgrade() else { return };
                handover::watch(&gateway);
                gateway.deliver();
                named_tokens::close_expired(&gateway, schemas::now_ms());
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

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
