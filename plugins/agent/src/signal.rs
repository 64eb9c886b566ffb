//! Waiting: for a value that comes once, and for the first of two things.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// A value that comes once and that any number of futures wait for.
pub struct Signal<T>(Mutex<State<T>>);

struct State<T> {
    value: Option<T>,
    /// Those that wait, each under its number. Each is a call or a run, which are bounded.
    waiting: HashMap<u64, Waker>,
    next: u64,
}

impl<T> Default for Signal<T> {
    fn default() -> Self {
        Signal(Mutex::new(State { value: None, waiting: HashMap::new(), next: 0 }))
    }
}

impl<T: Clone> Signal<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the value; `false` when it was set before, and then nothing changes.
    pub fn set(&self, value: T) -> bool {
        let waiting = {
            let mut state = self.state();
            if state.value.is_some() {
                return false;
            }
            state.value = Some(value);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
        true
    }

    /// The value, if it has come.
    pub fn get(&self) -> Option<T> {
        self.state().value.clone()
    }

    /// Waits for the value.
    pub async fn wait(&self) -> T {
        let mut place = Place { signal: self, number: None };
        std::future::poll_fn(move |context| {
            let mut state = place.signal.state();
            if let Some(value) = &state.value {
                return Poll::Ready(value.clone());
            }
            let number = *place.number.get_or_insert_with(|| {
                state.next += 1;
                state.next
            });
            state.waiting.insert(number, context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// A place among those that wait, given up when the wait ends.
struct Place<'a, T: Clone> {
    signal: &'a Signal<T>,
    number: Option<u64>,
}

impl<T: Clone> Drop for Place<'_, T> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.signal.state().waiting.remove(&number);
        }
    }
}

/// Which of two things came first.
pub enum First<A, B> {
    /// The one named first; it wins when both are there.
    Left(A),
    /// The other one.
    Right(B),
}

/// Waits for the first of two things and drops the other.
pub async fn first<A, B>(left: impl Future<Output = A>, right: impl Future<Output = B>) -> First<A, B> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    std::future::poll_fn(move |context| {
        if let Poll::Ready(value) = left.as_mut().poll(context) {
            return Poll::Ready(First::Left(value));
        }
        right.as_mut().poll(context).map(First::Right)
    })
    .await
}
