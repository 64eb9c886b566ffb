//! A value that one thread makes and one future waits for.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

enum Slot<T> {
    Empty(Option<Waker>),
    Full(Option<T>),
}

/// The side that has the value. Dropped without it, it says that there is none.
pub struct Sender<T>(Arc<Mutex<Slot<T>>>);

/// The side that waits; nothing comes of a sender that was dropped.
pub struct Receiver<T>(Arc<Mutex<Slot<T>>>);

/// Both sides.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let slot = Arc::new(Mutex::new(Slot::Empty(None)));
    (Sender(slot.clone()), Receiver(slot))
}

impl<T> Sender<T> {
    /// Hands the value over.
    pub fn send(self, value: T) {
        self.fill(Some(value));
    }

    fn fill(&self, value: Option<T>) {
        let waker = {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *slot {
                Slot::Empty(waker) => {
                    let waker = waker.take();
                    *slot = Slot::Full(value);
                    waker
                }
                Slot::Full(_) => None,
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.fill(None);
    }
}

impl<T> Future for Receiver<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Slot::Full(value) => Poll::Ready(value.take()),
            Slot::Empty(waker) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
