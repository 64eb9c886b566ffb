//! Ends calls whose time is up. One task sees to all of them: it sleeps until the first deadline there is, so a call with a
//! deadline costs neither a task nor a timer of its own, and one that is answered in time costs nothing more.

use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::dispatch;
use crate::gateway::Gateway;

/// When the next look is due.
pub struct Deadlines {
    base: Instant,
    /// In microseconds from `base`; the end of time when nobody looks, or none is known.
    next: AtomicU64,
    sooner: Notify,
}

impl Deadlines {
    /// None are known.
    pub fn new() -> Self {
        Deadlines { base: Instant::now(), next: AtomicU64::new(u64::MAX), sooner: Notify::new() }
    }

    /// A call that has been entered waits until then.
    pub fn note(&self, at: Instant) {
        // Sequentially consistent, with the call entered before: either the look that is under way finds it, or this sees
        // that the look has ended and when the next one would be.
        if self.micros(at) < self.next.load(Ordering::SeqCst) {
            self.sooner.notify_one();
        }
    }

    fn micros(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.base).as_micros() as u64
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self::new()
    }
}

/// Ends calls in time, as long as there is a gateway.
pub async fn keep(gateway: Weak<Gateway>) {
    /// How long the task outlives its gateway at most.
    const LONGEST: Duration = Duration::from_secs(60);
    loop {
        let Some(there) = gateway.upgrade() else { return };
        let deadlines = there.deadlines.clone();
        deadlines.next.store(u64::MAX, Ordering::SeqCst);
        let now = Instant::now();
        let mut first: Option<Instant> = None;
        let due = there.calls.numbers(|call| {
            let Some(at) = call.times_out_at() else { return false };
            if at > now {
                first = Some(first.map_or(at, |first| first.min(at)));
            }
            at <= now
        });
        for number in due {
            // On a task each: a plugin that is slow to hear of one end does not delay another.
            let gateway = there.clone();
            there.runtime.spawn(async move { dispatch::time_out(&gateway, number) });
        }
        deadlines.next.store(first.map_or(u64::MAX, |first| deadlines.micros(first)), Ordering::SeqCst);
        drop(there);
        let wake = first.map_or(now + LONGEST, |first| first.min(now + LONGEST));
        tokio::select! {
            () = sleep_until(wake) => {}
            () = deadlines.sooner.notified() => {}
        }
    }
}
