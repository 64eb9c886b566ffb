//! A thread of the plugin's own, for what its host has no room for. A host keeps so many jobs and timers for an instance and
//! refuses more of them (`GWP_BUSY`); a future that is not woken, or whose timer is lost, would wait for ever. The thread
//! begins with the first thing that is refused and ends with the last: a plugin that asks for less never has one.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::raw::let_go;

/// Something to run.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Where a timer is found: its moment, and a number.
pub(super) type Place = (Instant, u64);

/// Longer than any process lives, and still a moment that can be named.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The thread, and what it has to do.
#[derive(Default)]
pub(super) struct Spare {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    timers: BTreeMap<Place, Job>,
    timers_set: u64,
    is_running: bool,
}

impl Spare {
    /// Runs this soon; false if there can be no thread.
    pub(super) fn run(&'static self, job: Job) -> bool {
        let mut state = self.lock();
        let runs = self.begin(&mut state);
        if runs {
            state.jobs.push_back(job);
        }
        runs
    }

    /// Runs this after so long, unless it is taken back from its place; `None` if there can be no thread.
    pub(super) fn after(&'static self, ms: u64, job: Job) -> Option<Place> {
        let mut state = self.lock();
        if !self.begin(&mut state) {
            return None;
        }
        state.timers_set += 1;
        let place = (Instant::now() + Duration::from_millis(ms).min(NEVER), state.timers_set);
        state.timers.insert(place, job);
        Some(place)
    }

    /// Takes a timer back, unless it runs or has run.
    pub(super) fn cancel(&self, place: Place) {
        let job = self.lock().timers.remove(&place);
        // There may be nothing left to wait for.
        self.changed.notify_one();
        drop(job);
    }

    /// Sees to it that the thread is there and looks.
    fn begin(&'static self, state: &mut State) -> bool {
        if !state.is_running {
            let thread = std::thread::Builder::new().name("plugin-spare".to_string());
            state.is_running = thread.spawn(move || self.work()).is_ok();
        }
        self.changed.notify_one();
        state.is_running
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if let Some(job) = state.next(now) {
                drop(state);
                if let Err(panic) = catch_unwind(AssertUnwindSafe(job)) {
                    let_go(panic);
                }
                state = self.lock();
                continue;
            }
            let Some((at, _)) = state.timers.keys().next() else {
                state.is_running = false;
                return;
            };
            let wait = at.saturating_duration_since(now);
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is to run now: whatever is due comes before what was woken, since that may go on for ever.
    fn next(&mut self, now: Instant) -> Option<Job> {
        match self.timers.first_entry().filter(|first| first.key().0 <= now) {
            Some(due) => Some(due.remove()),
            None => self.jobs.pop_front(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);
    const HOUR_MS: u64 = 3_600_000;

    struct Setting {
        spare: &'static Spare,
        tell: Sender<u32>,
        told: Receiver<u32>,
    }

    impl Setting {
        fn new() -> Self {
            let (tell, told) = channel();
            Setting { spare: Box::leak(Box::default()), tell, told }
        }

        fn job(&self, number: u32) -> Job {
            let tell = self.tell.clone();
            Box::new(move || tell.send(number).expect("somebody hears it"))
        }

        fn heard(&self) -> u32 {
            self.told.recv_timeout(PATIENCE).expect("it runs")
        }

        /// Waits until the thread has ended.
        fn over(&self) {
            while self.spare.lock().is_running {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn jobs_run_in_their_order_and_timers_when_they_are_due() {
        let setting = Setting::new();
        let spare = setting.spare;
        let never = spare.after(u64::MAX, setting.job(9)).expect("a thread");
        let late = spare.after(HOUR_MS, setting.job(8)).expect("a thread");
        assert!(spare.run(setting.job(1)) && spare.run(setting.job(2)));
        assert_eq!([setting.heard(), setting.heard()], [1, 2]);
        spare.after(1, setting.job(3)).expect("a thread");
        assert_eq!(setting.heard(), 3, "the thread does not wait for the other ones");
        spare.cancel(late);
        spare.cancel(never);
        setting.over();
        assert!(setting.told.try_recv().is_err(), "what was taken back does not run");
    }

    #[test]
    fn the_thread_ends_with_the_last_thing_and_begins_anew() {
        let setting = Setting::new();
        for number in 0..3 {
            assert!(setting.spare.run(setting.job(number)));
            assert_eq!(setting.heard(), number);
            setting.over();
        }
    }

    #[test]
    fn a_panic_ends_nothing_but_its_job() {
        let setting = Setting::new();
        assert!(setting.spare.run(Box::new(|| panic!("on purpose"))));
        assert!(setting.spare.run(setting.job(1)));
        assert_eq!(setting.heard(), 1);
    }
}
