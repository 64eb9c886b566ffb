//! The timers of one plugin instance. One task waits for all of them, and only while there are any: to set a timer and to
//! take it back, as every answer in time does, costs an entry in a list and no task.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// What is to be done when a timer is due.
pub type Due = Box<dyn FnOnce() + Send>;

/// Timers that wait.
#[derive(Default)]
pub struct Timers {
    state: Mutex<State>,
    sooner: Notify,
}

#[derive(Default)]
struct State {
    /// By moment, then number.
    waiting: BTreeMap<(Instant, u64), Due>,
    moments: HashMap<u64, Instant>,
    /// Whether the task runs.
    is_kept: bool,
    /// When it wakes.
    wakes: Option<Instant>,
}

impl Timers {
    /// Sets a timer, if this holds with the timers locked. It is due when it is kept ([`Timers::keep`]) and its time has come.
    pub fn set(&self, number: u64, after: Duration, due: Due, condition: impl FnOnce() -> bool) -> bool {
        let mut state = self.lock();
        if !condition() {
            return false;
        }
        // So far away that nobody can name it is never.
        let at = Instant::now().checked_add(after);
        if let Some(at) = at {
            state.waiting.insert((at, number), due);
            state.moments.insert(number, at);
            if state.wakes.is_some_and(|wakes| at < wakes) {
                self.sooner.notify_one();
            }
        }
        true
    }

    /// Takes a timer back; whether it was still waiting.
    pub fn cancel(&self, number: u64) -> bool {
        let cancelled = {
            let mut state = self.lock();
            state.moments.remove(&number).and_then(|at| state.waiting.remove(&(at, number)))
        };
        // What it holds may have a destructor that sets or cancels others.
        cancelled.is_some()
    }

    /// Takes all of them back.
    pub fn clear(&self) {
        let cleared = {
            let mut state = self.lock();
            state.moments.clear();
            std::mem::take(&mut state.waiting)
        };
        drop(cleared);
        self.sooner.notify_one();
    }

    /// Sees to it that somebody waits for what is set.
    pub fn keep(self: &Arc<Self>, runtime: &Handle) {
        let mut state = self.lock();
        if !state.is_kept && !state.waiting.is_empty() {
            state.is_kept = true;
            let (timers, workers) = (self.clone(), runtime.clone());
            runtime.spawn(async move { timers.wait(&workers).await });
        }
    }

    async fn wait(&self, workers: &Handle) {
        loop {
            let (due, next) = self.due();
            for due in due {
                workers.spawn(async move { due() });
            }
            let Some(next) = next else { return };
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.sooner.notified() => {}
            }
        }
    }

    /// Takes out what is due now, and says when there is more.
    fn due(&self) -> (Vec<Due>, Option<Instant>) {
        let mut state = self.lock();
        let later = state.waiting.split_off(&(Instant::now() + Duration::from_nanos(1), 0));
        let due = std::mem::replace(&mut state.waiting, later);
        for (_, number) in due.keys() {
            state.moments.remove(number);
        }
        state.wakes = state.waiting.keys().next().map(|(at, _)| *at);
        state.is_kept = state.wakes.is_some();
        (due.into_values().collect(), state.wakes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    struct Setting {
        timers: Arc<Timers>,
        tell: UnboundedSender<u64>,
        told: UnboundedReceiver<u64>,
    }

    impl Setting {
        fn new() -> Self {
            let (tell, told) = unbounded_channel();
            Setting { timers: Arc::default(), tell, told }
        }

        fn set(&self, number: u64, ms: u64) {
            let tell = self.tell.clone();
            let due = Box::new(move || tell.send(number).unwrap());
            assert!(self.timers.set(number, Duration::from_millis(ms), due, || true));
            self.timers.keep(&Handle::current());
        }
    }

    #[tokio::test]
    async fn timers_are_due_by_their_moments_whatever_the_order_they_were_set_in() {
        let mut all = Setting::new();
        let started = Instant::now();
        all.set(1, 30);
        tokio::task::yield_now().await;
        all.set(2, 10);
        all.set(3, 20);
        all.set(4, 10);
        for (number, ms) in [(2, 10), (4, 10), (3, 20), (1, 30)] {
            assert_eq!(all.told.recv().await, Some(number));
            assert!(started.elapsed().as_millis() >= ms);
        }
        assert!(!all.timers.lock().is_kept, "nobody waits for nothing");
        all.set(5, 1);
        assert_eq!(all.told.recv().await, Some(5), "and somebody waits again");
    }

    #[tokio::test]
    async fn one_that_was_taken_back_is_never_due() {
        let mut all = Setting::new();
        all.set(1, 1);
        all.set(2, 2);
        assert!(all.timers.cancel(1) && !all.timers.cancel(1) && !all.timers.cancel(7));
        assert_eq!(all.told.recv().await, Some(2));
        all.set(3, 1);
        all.timers.clear();
        all.set(4, 2);
        assert_eq!(all.told.recv().await, Some(4));
        assert!(!all.timers.set(5, Duration::ZERO, Box::new(|| {}), || false));
        assert!(all.timers.set(6, Duration::MAX, Box::new(|| {}), || true), "never is a moment too");
    }
}
