//! Ends calls whose time is up. One task sees to all of them: it sleeps until the first deadline it was told of, so a call
//! with a deadline costs neither a task nor a timer of its own, and one that is answered in time costs nothing more: the task
//! sleeps on, and is not told of later ones. It runs on the workers: where all of them are held, the watchdog ends what it
//! does not come to ([`crate::handover::watch`]).

use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::dispatch::{self, Tell};
use crate::gateway::Gateway;

/// When the next look is due.
pub struct Deadlines {
    base: Instant,
    /// In microseconds from `base`; the end of time when nobody looks, or none is known.
    next: AtomicU64,
    /// The earliest moment it was told of since the last look, on the same scale.
    told: AtomicU64,
    sooner: Notify,
}

impl Deadlines {
    /// None are known.
    pub fn new() -> Self {
        Deadlines {
            base: Instant::now(),
            next: AtomicU64::new(u64::MAX),
            told: AtomicU64::new(u64::MAX),
            sooner: Notify::new(),
        }
    }

    /// A call that has been entered waits until then.
    pub fn note(&self, at: Instant) {
        // Sequentially consistent, with the call entered before: either the look that is under way finds it, or this sees
        // that the look has ended and when the next one would be.
        let at = self.micros(at);
        if at < self.next.load(Ordering::SeqCst) {
            self.told.fetch_min(at, Ordering::SeqCst);
            self.sooner.notify_one();
        }
    }

    /// A deadline may be so far out that it is none: it is still before the end of time.
    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.base).as_micros()).unwrap_or(u64::MAX - 1)
    }

    fn instant(&self, micros: u64) -> Option<Instant> {
        self.base.checked_add(Duration::from_micros(micros)).filter(|_| micros < u64::MAX)
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
        let told = deadlines.told.swap(u64::MAX, Ordering::SeqCst);
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
            there.runtime.spawn(async move { dispatch::time_out(&gateway, number, Tell::Here) });
        }
        // Also that of a call that has been answered by now: others are likely to come, and until then none has to tell.
        let told = deadlines.instant(told).filter(|told| *told > now);
        let next = first.into_iter().chain(told).min();
        deadlines.next.store(next.map_or(u64::MAX, |next| deadlines.micros(next)), Ordering::SeqCst);
        drop(there);
        let wake = next.map_or(now + LONGEST, |next| next.min(now + LONGEST));
        tokio::select! {
            () = sleep_until(wake) => {}
            () = deadlines.sooner.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_is_never_reached_is_later_than_all_others() {
        let deadlines = Deadlines::new();
        let soon = Instant::now() + Duration::from_secs(1);
        let never = Instant::now().checked_add(Duration::from_millis(i64::MAX as u64)).expect("it can be told");
        assert!(deadlines.micros(soon) < deadlines.micros(never) && deadlines.micros(never) < u64::MAX);
        assert_eq!(deadlines.instant(u64::MAX), None);
    }
}
