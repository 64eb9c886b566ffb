//! One sink of the plugin and what it is still to hear: in order, one at a time, and always from a worker, never from
//! within a host function that the plugin is calling.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plugin_api::abi::{GWP_ERROR, GWP_ERROR_PAYLOAD, GWP_FINAL};
use plugin_api::hosting::Sink;

use crate::pool::Pool;

pub(crate) struct SinkQueue {
    sink: Sink,
    pool: Pool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(i32, Vec<u8>)>,
    draining: bool,
    sending: bool,
    closed: bool,
}

impl SinkQueue {
    pub(crate) fn new(sink: Sink, pool: Pool) -> Arc<Self> {
        Arc::new(SinkQueue { sink, pool, state: Mutex::default() })
    }

    pub(crate) fn push(self: &Arc<Self>, kind: i32, json: Vec<u8>) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.waiting.push_back((kind, json));
        if !state.draining {
            state.draining = true;
            let queue = self.clone();
            self.pool.run(move || queue.drain());
        }
    }

    /// Ends a sink that hears any number of values. True: it will not run any more. False: it is running just now, and
    /// this is the last time.
    pub(crate) fn close(&self) -> bool {
        let mut state = self.lock();
        state.closed = true;
        state.waiting.clear();
        !state.sending
    }

    /// Whether it hears nothing more.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Ends a sink that hears answers until a final one. True: it will not run any more. False: the final answer is
    /// being told or has been, or an interim one is, and then `last` is its final one.
    pub(crate) fn close_or_finish(self: &Arc<Self>, last: (i32, Vec<u8>)) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        if state.sending {
            state.waiting.clear();
            state.waiting.push_back(last);
            return false;
        }
        state.closed = true;
        state.waiting.clear();
        true
    }

    fn drain(&self) {
        let mut state = self.lock();
        while let Some((kind, json)) = state.waiting.pop_front() {
            state.sending = true;
            if matches!(kind, GWP_FINAL | GWP_ERROR | GWP_ERROR_PAYLOAD) {
                state.closed = true;
                state.waiting.clear();
            }
            drop(state);
            self.sink.send(kind, &json);
            state = self.lock();
            state.sending = false;
        }
        state.draining = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
