//! Something changed: whoever waits looks again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Counts changes, and wakes those who wait for the next one.
#[derive(Default)]
pub struct Signal(Mutex<(u64, Vec<Waker>)>);

impl Signal {
    /// What has been seen so far, to be taken before one looks.
    pub fn seen(&self) -> u64 {
        self.lock().0
    }

    /// Something changed.
    pub fn raise(&self) {
        let wakers = {
            let mut state = self.lock();
            state.0 += 1;
            std::mem::take(&mut state.1)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Ready once something changed since then.
    pub fn poll(&self, seen: u64, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.0 != seen {
            return Poll::Ready(());
        }
        if !state.1.iter().any(|waker| waker.will_wake(context.waker())) {
            state.1.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Waits for a change since then.
    pub async fn after(&self, seen: u64) {
        std::future::poll_fn(|context| self.poll(seen, context)).await;
    }

    /// Waits for a change since then, or until the other is ready.
    pub async fn after_or(&self, seen: u64, other: impl Future<Output = ()>) {
        let mut other = std::pin::pin!(other);
        std::future::poll_fn(|context| match self.poll(seen, context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => other.as_mut().poll(context),
        })
        .await;
    }

    fn lock(&self) -> MutexGuard<'_, (u64, Vec<Waker>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
