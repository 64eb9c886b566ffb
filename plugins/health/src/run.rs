//! One refresh that several callers may wait for.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use serde_json::value::RawValue;

/// A refresh on its way.
pub(crate) struct Run {
    /// Later ones have higher numbers.
    pub(crate) number: u64,
    /// Whether channels contact their services.
    pub(crate) probe: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    outcome: Option<Option<Arc<RawValue>>>,
    wakers: Vec<Waker>,
}

impl Run {
    pub(crate) fn new(number: u64, probe: bool) -> Arc<Self> {
        Arc::new(Run { number, probe, state: Mutex::default() })
    }

    /// The summary, or nothing when the run came to no end.
    pub(crate) fn outcome(self: &Arc<Self>) -> Outcome {
        Outcome(self.clone())
    }

    /// Ends it; only the first outcome counts.
    pub(crate) fn finish(&self, summary: Option<Arc<RawValue>>) {
        let wakers = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.outcome.get_or_insert(summary);
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Waits for the end of a run.
pub(crate) struct Outcome(Arc<Run>);

impl Future for Outcome {
    type Output = Option<Arc<RawValue>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}
