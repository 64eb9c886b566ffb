//! What one connection has yet to send: the only way to its socket, so the byte budget of a connection is counted in
//! one place. Frames are written here as bytes, and the connection's task takes all that is queued in one go.
//!
//! `seq` is counted here too, per connection from 1: a hole always means a lost event, never a guarded one. Events sent
//! to chosen connections carry none.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use metrics::Counter;
use schemas::frame::write;
use schemas::protocol::close;

use crate::frames;

/// Byte limits of a connection's outbox and of all of them together.
#[derive(Debug, Clone, Copy)]
pub struct OutboxLimits {
    /// Backlog above which the connection is a slow consumer.
    pub buffered: usize,
    /// Backlog above which it is closed even for a response.
    pub buffered_hard: usize,
    /// Backlog of all connections together above which the one that adds to it is closed.
    pub buffered_total: usize,
}

/// Why something was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The connection is closing or closed.
    Closed,
    /// A droppable event was skipped for a slow consumer.
    Skipped,
    /// The connection is now closing because of this limit (its name in the configuration).
    Overflow(&'static str),
}

/// The outgoing bytes of one connection.
pub struct Outbox {
    state: Mutex<State>,
    limits: OutboxLimits,
    /// Bytes queued or being written; kept beside the lock so that looking costs none.
    backlog: AtomicUsize,
    is_closing: AtomicBool,
    total: Arc<AtomicUsize>,
    frames: Counter,
}

#[derive(Default)]
struct State {
    /// Whole frames, not yet taken by the writer.
    bytes: Vec<u8>,
    /// Frames in `bytes`, for the metric.
    frames: u64,
    /// How much the writer took last: about what there will be next.
    typical: usize,
    seq: u64,
    closing: Option<(u16, String)>,
    closed: bool,
    waker: Option<Waker>,
    /// Somebody has promised to wake the connection.
    woken_later: bool,
}

impl Outbox {
    /// An empty one. `total` is shared by all of them, `frames` counts what is queued.
    pub fn new(limits: OutboxLimits, total: Arc<AtomicUsize>, frames: Counter) -> Self {
        Outbox {
            state: Mutex::default(),
            limits,
            backlog: AtomicUsize::new(0),
            is_closing: AtomicBool::new(false),
            total,
            frames,
        }
    }

    /// Queues an answer. Answers are never dropped; over the hard cap the connection closes instead.
    pub fn response(&self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Full> {
        self.queue(|state| {
            if self.backlog() > self.limits.buffered_hard {
                return Err(self.overflow(state, "max_buffered_hard_bytes"));
            }
            if self.total() > self.limits.buffered_total {
                return Err(self.overflow(state, "max_buffered_total_bytes"));
            }
            frames::text(&mut state.bytes, write);
            Ok(())
        })
    }

    /// Queues an event with the next `seq`. `open` is its frame without the closing brace.
    ///
    /// With `wakers`, the connection is not woken here but added to them, once until it has looked: who broadcasts wakes
    /// everyone later. Anything else that is queued meanwhile wakes it all the same.
    pub fn broadcast(&self, open: &[u8], droppable: bool, wakers: Option<&mut Vec<Waker>>) -> Result<(), Full> {
        let (outcome, waker) = self.queue_quietly(wakers.is_some(), |state| {
            // A skipped event consumes its number, so that the consumer sees the hole.
            state.seq += 1;
            if self.backlog() > self.limits.buffered {
                return Err(if droppable { Full::Skipped } else { self.overflow(state, "max_buffered_bytes") });
            }
            if self.total() > self.limits.buffered_total {
                return Err(if droppable { Full::Skipped } else { self.overflow(state, "max_buffered_total_bytes") });
            }
            let mut digits = [0; 20];
            let number = write::digits(&mut digits, state.seq);
            frames::text_of_parts(&mut state.bytes, &[open, b",\"seq\":", number, b"}"]);
            Ok(())
        });
        match wakers {
            Some(wakers) => wakers.extend(waker),
            None => waker.into_iter().for_each(Waker::wake),
        }
        outcome
    }

    /// Queues an event without `seq`: never dropped, like an answer.
    pub fn targeted(&self, open: &[u8]) -> Result<(), Full> {
        self.response(|out| {
            out.extend_from_slice(open);
            out.push(b'}');
        })
    }

    /// Queues a close frame after all that is queued; nothing is queued after it.
    pub fn close(&self, code: u16, reason: &str) {
        let _ = self.queue(|state| {
            self.begin_close(state, code, reason);
            Ok(())
        });
    }

    /// Takes all queued bytes to be written, or leaves a waker for when there are some.
    pub fn take(&self, waker: &Waker) -> Option<Vec<u8>> {
        let mut state = self.lock();
        state.woken_later = false;
        if state.bytes.is_empty() {
            match &mut state.waker {
                Some(known) => known.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
            return None;
        }
        /// A single large answer must not make every later buffer large.
        const MAX_TYPICAL: usize = 64 * 1024;
        let bytes = std::mem::take(&mut state.bytes);
        state.typical = bytes.len().min(MAX_TYPICAL);
        self.frames.increment(std::mem::take(&mut state.frames));
        Some(bytes)
    }

    /// Tells that the writer got rid of this many of the bytes it took.
    pub fn written(&self, count: usize) {
        self.backlog.fetch_sub(count, Ordering::Relaxed);
        self.total.fetch_sub(count, Ordering::Relaxed);
    }

    /// Whether the connection should not be read until it drains.
    pub fn is_backed_up(&self) -> bool {
        self.backlog() > self.limits.buffered
    }

    /// Whether a close was queued.
    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// The close that was queued, if one was.
    pub fn closing(&self) -> Option<(u16, String)> {
        self.lock().closing.clone()
    }

    /// The socket is gone: forgets what is queued and refuses more.
    pub fn shut(&self) {
        let mut state = self.lock();
        state.closed = true;
        let rest = self.backlog.swap(0, Ordering::Relaxed);
        state.bytes = Vec::new();
        state.waker = None;
        self.total.fetch_sub(rest, Ordering::Relaxed);
    }

    fn queue(&self, add: impl FnOnce(&mut State) -> Result<(), Full>) -> Result<(), Full> {
        let (outcome, waker) = self.queue_quietly(false, add);
        if let Some(waker) = waker {
            waker.wake();
        }
        outcome
    }

    /// Queues, and tells whom to wake for it.
    fn queue_quietly(
        &self,
        later: bool,
        add: impl FnOnce(&mut State) -> Result<(), Full>,
    ) -> (Result<(), Full>, Option<Waker>) {
        let mut state = self.lock();
        if state.closed || state.closing.is_some() {
            return (Err(Full::Closed), None);
        }
        let before = state.bytes.len();
        if state.bytes.capacity() == 0 {
            let typical = state.typical;
            state.bytes.reserve(typical);
        }
        let outcome = add(&mut state);
        let after = state.bytes.len();
        if after >= before {
            self.backlog.fetch_add(after - before, Ordering::Relaxed);
            self.total.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.backlog.fetch_sub(before - after, Ordering::Relaxed);
            self.total.fetch_sub(before - after, Ordering::Relaxed);
        }
        state.frames += u64::from(outcome.is_ok());
        let waker = match (after == before, later) {
            (true, _) => None,
            (false, false) => state.waker.take(),
            (false, true) if std::mem::replace(&mut state.woken_later, true) => None,
            (false, true) => state.waker.clone(),
        };
        drop(state);
        (outcome, waker)
    }

    /// Closes a consumer that does not keep up. What it has not been sent yet makes room for the close frame: the frame
    /// being written is finished, the ones behind it are not worth its patience.
    fn overflow(&self, state: &mut State, limit: &'static str) -> Full {
        state.bytes.clear();
        self.begin_close(state, close::POLICY, "slow consumer");
        Full::Overflow(limit)
    }

    fn begin_close(&self, state: &mut State, code: u16, reason: &str) {
        frames::close(&mut state.bytes, code, reason);
        state.closing = Some((code, frames::cut(reason, schemas::protocol::MAX_CLOSE_REASON).to_string()));
        self.is_closing.store(true, Ordering::Release);
    }

    fn backlog(&self) -> usize {
        self.backlog.load(Ordering::Relaxed)
    }

    fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(buffered: usize) -> Outbox {
        let limits = OutboxLimits { buffered, buffered_hard: 4 * buffered, buffered_total: 16 * buffered };
        Outbox::new(limits, Arc::default(), Counter::noop())
    }

    fn taken(outbox: &Outbox) -> String {
        let bytes = outbox.take(Waker::noop()).unwrap_or_default();
        outbox.written(bytes.len());
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn seq_counts_what_was_sent_and_what_was_skipped() {
        let outbox = outbox(64);
        outbox.broadcast(b"{\"type\":\"event\"", true, None).expect("room");
        assert!(taken(&outbox).ends_with(",\"seq\":1}"));
        outbox.response(|out| out.extend_from_slice(&[b'r'; 100])).expect("an answer always fits");
        assert_eq!(outbox.broadcast(b"{\"type\":\"event\"", true, None), Err(Full::Skipped));
        assert!(outbox.is_backed_up());
        taken(&outbox);
        outbox.targeted(b"{\"type\":\"event\"").expect("room");
        outbox.broadcast(b"{\"type\":\"event\"", true, None).expect("room");
        let text = taken(&outbox);
        assert!(text.ends_with(",\"seq\":3}"), "the skipped one consumed 2, the targeted one none: {text}");
    }

    #[test]
    fn a_slow_consumer_is_told_why() {
        let outbox = outbox(64);
        outbox.response(|out| out.extend_from_slice(&[b'r'; 100])).expect("room");
        assert_eq!(outbox.broadcast(b"{\"type\":\"event\"", false, None), Err(Full::Overflow("max_buffered_bytes")));
        assert_eq!(outbox.closing(), Some((1008, "slow consumer".to_string())));
        let text = taken(&outbox);
        assert!(text.ends_with("slow consumer") && !text.contains("rrr"), "{text}");
        assert_eq!(outbox.response(|_| ()), Err(Full::Closed));
    }

    #[test]
    fn answers_are_kept_up_to_the_hard_cap() {
        let outbox = outbox(64);
        for _ in 0..3 {
            outbox.response(|out| out.extend_from_slice(&[b'r'; 100])).expect("below the hard cap");
        }
        assert_eq!(outbox.response(|_| ()), Err(Full::Overflow("max_buffered_hard_bytes")));
    }

    #[test]
    fn the_total_returns_to_zero() {
        let total = Arc::new(AtomicUsize::new(0));
        let limits = OutboxLimits { buffered: 64, buffered_hard: 128, buffered_total: 1024 };
        let outbox = Outbox::new(limits, total.clone(), Counter::noop());
        outbox.response(|out| out.extend_from_slice(b"one")).expect("room");
        let bytes = outbox.take(Waker::noop()).expect("queued");
        outbox.written(2);
        assert_eq!(total.load(Ordering::Relaxed), bytes.len() - 2);
        outbox.response(|out| out.extend_from_slice(b"two")).expect("room");
        outbox.shut();
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }
}
