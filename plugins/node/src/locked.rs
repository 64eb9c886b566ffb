//! The state under its lock. Whoever waits until nodes have answered hears of it when the lock is let go, whatever was the last
//! answer: nobody who changes the state has to think of them.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::State;

/// The state, locked.
pub(crate) struct Locked<'a>(Option<MutexGuard<'a, State>>);

impl<'a> Locked<'a> {
    pub(crate) fn new(state: &'a Mutex<State>) -> Self {
        Locked(Some(state.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.0.as_deref().expect("locked until it is dropped")
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.0.as_deref_mut().expect("locked until it is dropped")
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let waker = if self.resting.is_some() && !self.is_asking() { self.resting.take() } else { None };
        // Out of the lock first: with the waker may go what it wakes.
        drop(self.0.take());
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_waits_for_the_last_answer_is_woken_by_it_and_by_no_other() {
        let state = Mutex::new(State::default());
        let locked = || Locked::new(&state);
        let woken = Arc::<Woken>::default();
        let times = || woken.0.load(Ordering::Relaxed);
        {
            let mut state = locked();
            for id in ["first", "second"] {
                state.invokes.ask(id, 1, None);
            }
            state.resting = Some(Waker::from(woken.clone()));
        }
        locked().invokes.give_up("first");
        assert_eq!(times(), 0);
        locked().invokes.answered("second", 1);
        assert_eq!(times(), 1);
        locked().invokes.ask("third", 1, None);
        locked().invokes.give_up("third");
        assert_eq!(times(), 1, "nobody waits any more");
    }
}
