//! Timers. Virtual time stands still until a test moves it; real time runs on a thread of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plugin_api::abi::gwp_call;
use plugin_api::hosting::Job;

use crate::world::{State, World};

/// What is due at some time.
pub(crate) enum Due {
    /// A callback of this plugin.
    Job(usize, Job),
    /// A call's deadline.
    Deadline(gwp_call),
}

/// Timers by when they are due, then by when they were set.
#[derive(Default)]
pub(crate) struct Clock {
    real: Option<Instant>,
    now_ms: u64,
    timers: BTreeMap<(u64, u64), Due>,
}

impl Clock {
    pub(crate) fn new(real: bool) -> Self {
        Clock { real: real.then(Instant::now), ..Clock::default() }
    }

    pub(crate) fn set(&mut self, id: u64, ms: u64, due: Due) {
        let at = self.now().saturating_add(ms);
        self.timers.insert((at, id), due);
    }

    /// Takes a timer back, unless it has gone off.
    pub(crate) fn take(&mut self, id: u64) -> Option<Due> {
        let key = *self.timers.keys().find(|(_, timer)| *timer == id)?;
        self.timers.remove(&key)
    }

    /// How many callbacks of this plugin are set.
    pub(crate) fn set_by(&self, plugin: usize) -> usize {
        self.timers.values().filter(|due| matches!(due, Due::Job(owner, _) if *owner == plugin)).count()
    }

    fn now(&self) -> u64 {
        self.real.map_or(self.now_ms, |start| start.elapsed().as_millis() as u64)
    }

    /// The next one that is due by then, and moves virtual time to it.
    fn pop(&mut self, until: u64) -> Option<Due> {
        let entry = self.timers.first_entry().filter(|entry| entry.key().0 <= until)?;
        let ((at, _), due) = entry.remove_entry();
        self.now_ms = self.now_ms.max(at);
        Some(due)
    }
}

impl World {
    /// Moves virtual time on, timer by timer; what each sets off comes to rest before the next.
    pub(crate) fn advance(self: &Arc<Self>, by: Duration) {
        /// More timers than any test sets for one and the same moment.
        const MOST: usize = 1000;
        self.settle();
        let until = {
            let clock = &self.look().clock;
            assert!(clock.real.is_none(), "time is real in this harness: `advance` needs virtual time");
            clock.now_ms + by.as_millis() as u64
        };
        let (mut at, mut fired) = (0, 0);
        loop {
            let (due, now) = {
                let clock = &mut self.change().clock;
                (clock.pop(until), clock.now_ms)
            };
            let Some(due) = due else { break };
            fired = if now == at { fired + 1 } else { 0 };
            at = now;
            assert!(fired < MOST, "{MOST} timers went off at one moment: one sets itself again without waiting");
            self.fire(due);
            self.settle();
        }
        self.change().clock.now_ms = until;
    }

    /// Lets virtual time run to the next timer; false if there is none, or time is real.
    pub(crate) fn fire_next(self: &Arc<Self>) -> bool {
        let due = {
            let clock = &mut self.change().clock;
            if clock.real.is_some() { None } else { clock.pop(u64::MAX) }
        };
        due.map(|due| self.fire(due)).is_some()
    }

    /// Lets real timers go off; returns when the world has ended.
    pub(crate) fn run_real_clock(self: &Arc<Self>) {
        loop {
            let due = self.wait_on(|state: &mut State| {
                if state.ended {
                    return Ok(None);
                }
                let now = state.clock.now();
                let next =
                    state.clock.timers.keys().next().map(|(at, _)| Duration::from_millis(at.saturating_sub(now)));
                match state.clock.pop(now) {
                    Some(due) => Ok(Some(due)),
                    None => Err(next.unwrap_or(Duration::from_secs(3600))),
                }
            });
            match due {
                Some(due) => self.fire(due),
                None => return,
            }
        }
    }

    fn fire(self: &Arc<Self>, due: Due) {
        match due {
            Due::Job(_, job) => self.pool.run(move || job.run()),
            Due::Deadline(call) => self.end(call, crate::CancelReason::Timeout),
        }
    }
}
