//! The `tick` event: the only sign of life that clients accept. It has a thread of its own, so no plugin that blocks a
//! worker can delay it; what it does is queue a few bytes a connection.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::events;
use crate::gateway::Gateway;

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
            let mut next = Instant::now() + interval;
            while stopped.recv_timeout(next.saturating_duration_since(Instant::now())) == Err(RecvTimeoutError::Timeout)
            {
                let Some(gateway) = gateway.upgrade() else { return };
                events::announce(&gateway, "tick", &json!({ "ts": schemas::now_ms() }), true);
                // A machine that slept does not catch up on the ticks it missed.
                next = (next + interval).max(Instant::now());
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
