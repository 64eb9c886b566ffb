//! A result that one task leaves for another, which may have stopped waiting for it.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Where the result is left. Both sides have it.
pub struct Handoff<T>(Arc<Mutex<Place<T>>>);

struct Place<T> {
    result: Option<T>,
    waker: Option<Waker>,
}

impl<T> Handoff<T> {
    /// Nothing is there yet.
    pub fn new() -> Self {
        Handoff(Arc::new(Mutex::new(Place { result: None, waker: None })))
    }

    /// Leaves the result.
    pub fn leave(&self, result: T) {
        let waker = {
            let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            place.result = Some(result);
            place.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits for it.
    pub async fn taken(&self) -> T {
        poll_fn(|context| {
            let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match place.result.take() {
                Some(result) => Poll::Ready(result),
                None => {
                    place.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl<T> Clone for Handoff<T> {
    fn clone(&self) -> Self {
        Handoff(self.0.clone())
    }
}
