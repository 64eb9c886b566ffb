//! What the host keeps for one instance of a plugin, counted by kind. Each kind has an end, so that no plugin fills the
//! memory by asking, and none takes the room of another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use metrics::Counter;
use plugin_api::abi::GWP_BUSY;

use crate::config::Limits;
use crate::metrics::Metrics;

/// All that may be kept for one instance.
pub struct Holdings {
    /// Timers that are set, until their jobs begin.
    pub timers: Holding,
    /// Jobs that wait for a thread, and writes whose outcome was not heard.
    pub jobs: Holding,
    /// Jobs that wait where they may block. They have room of their own: what is stuck there holds up no wake.
    pub blocking: Holding,
    /// Calls that the plugin makes, until it hears their last word.
    pub invokes: Holding,
    /// Subscriptions in force.
    pub subscriptions: Holding,
    /// Callers' rights beyond the calls.
    pub principals: Holding,
}

impl Holdings {
    /// Nothing yet, with these ends.
    pub fn new(limits: &Limits, metrics: &Metrics) -> Self {
        let holding = |limit, most| Holding::new(limit, most, metrics.limit(limit));
        Holdings {
            timers: holding("max_plugin_timers", limits.max_plugin_timers),
            jobs: holding("max_plugin_jobs", limits.max_plugin_jobs),
            blocking: holding("max_plugin_jobs", limits.max_plugin_jobs),
            invokes: holding("max_plugin_invokes", limits.max_plugin_invokes),
            subscriptions: holding("max_plugin_subscriptions", limits.max_plugin_subscriptions),
            principals: holding("max_plugin_principals", limits.max_plugin_principals),
        }
    }
}

/// Things of one kind.
pub struct Holding {
    held: Arc<AtomicUsize>,
    most: usize,
    /// The key of the configuration that says how many.
    limit: &'static str,
    refused: Counter,
    is_said: AtomicBool,
}

impl Holding {
    fn new(limit: &'static str, most: usize, refused: Counter) -> Self {
        Holding { held: Arc::default(), most, limit, refused, is_said: AtomicBool::new(false) }
    }

    /// Counts one more for this plugin. `GWP_BUSY` when there are as many as may be: that is counted, and said once.
    pub fn one_more(&self, plugin: &str) -> Result<Held, i32> {
        let within = |held: usize| (held < self.most).then_some(held + 1);
        if self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok() {
            return Ok(Held(self.held.clone()));
        }
        self.refused.increment(1);
        if !self.is_said.swap(true, Ordering::Relaxed) {
            let (limit, most) = (self.limit, self.most);
            tracing::warn!(plugin, limit, most, "a plugin has as much of this as it may; more is refused");
        }
        Err(GWP_BUSY)
    }
}

/// One that counts, until this is dropped.
pub struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(most: usize) -> Holding {
        Holding::new("max_of_them", most, Counter::noop())
    }

    #[test]
    fn there_are_as_many_as_may_be_and_room_when_one_has_gone() {
        let holding = holding(2);
        let (first, second) = (holding.one_more("p"), holding.one_more("p"));
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(holding.one_more("p").err(), Some(GWP_BUSY));
        drop(first);
        let third = holding.one_more("p");
        assert!(third.is_ok());
        assert_eq!(holding.one_more("p").err(), Some(GWP_BUSY));
        drop((second, third));
        assert_eq!(holding.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn whoever_asks_at_the_same_time_gets_no_more() {
        const MOST: usize = 100;
        const ASKERS: usize = 4;
        let holding = holding(MOST);
        let taken: usize = std::thread::scope(|scope| {
            let ask = || (0..MOST).filter_map(|_| holding.one_more("p").ok()).collect::<Vec<_>>();
            let askers: Vec<_> = (0..ASKERS).map(|_| scope.spawn(ask)).collect();
            // Nobody gives anything back before all have asked.
            let taken: Vec<_> = askers.into_iter().map(|asker| asker.join().expect("an asker")).collect();
            taken.iter().map(Vec::len).sum()
        });
        assert_eq!(taken, MOST);
        assert_eq!(holding.held.load(Ordering::Relaxed), 0);
    }
}
