//! What one connection has yet to send: the only way to its socket, so the byte budget of a connection is counted in
//! one place. Frames are written here as bytes, and the connection's task takes all that is queued in one go.
//!
//! `seq` is counted here too, per connection from 1: a hole always means a lost event, never a guarded one. Events sent
//! to chosen connections carry none.

use std::sync::{Arc, PoisonError};
use std::task::Waker;

use metrics::Counter;
use schemas::frame::write;
use schemas::protocol::close;

use crate::authority::Authority;
use crate::broadcasts::{Broadcast, Broadcasts};
use crate::frames;
use crate::metrics::Metrics;
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard};

// How it stands with the ping: something was heard since the last one; it waits to be written; it was written, or the peer takes
// nothing; and it was not answered when the next one was due.
const HEARD: u8 = 0;
const QUEUED: u8 = 1;
const ASKED: u8 = 2;
const SILENT: u8 = 3;

/// What one who fell behind is closed with.
pub const SLOW: &str = "slow consumer";

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

/// The total of all connections is counted in steps of this many bytes, so that short answers do not touch what every
/// worker shares.
const STEP: usize = 16 * 1024;

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

/// What all outboxes share.
pub struct Shared {
    /// Byte limits.
    pub limits: OutboxLimits,
    /// Broadcasts that not everybody has taken yet.
    pub broadcasts: Broadcasts,
    /// Bytes queued for all connections together, in whole steps of each.
    pub total: AtomicUsize,
    /// Frames queued.
    pub frames: Counter,
    /// Droppable events that slow consumers missed.
    pub skipped: Counter,
    /// Connections closed, by the name of the limit.
    pub overflows: [(&'static str, Counter); 3],
}

/// The outgoing bytes of one connection.
pub struct Outbox {
    state: Mutex<State>,
    /// Bytes queued or being written; kept beside the lock so that looking costs none.
    backlog: AtomicUsize,
    /// How many of them the total knows of: always a multiple of [`STEP`].
    known: AtomicUsize,
    is_closing: AtomicBool,
    /// The connection's own task is awake and will look again before it rests. Changed without the lock by that task alone,
    /// and back with it: whoever holds the lock and sees it set is followed by that look.
    is_attended: AtomicBool,
    /// How it stands with the ping.
    pulse: AtomicU8,
    shared: Arc<Shared>,
}

/// Names of limits in the configuration.
const BUFFERED: &str = "max_buffered_bytes";
const HARD: &str = "max_buffered_hard_bytes";
const TOTAL: &str = "max_buffered_total_bytes";

#[derive(Default)]
struct State {
    /// Whole frames, not yet taken by the writer.
    bytes: Vec<u8>,
    /// Frames in `bytes`, for the metric.
    frames: u64,
    /// How much the writer took last.
    last: usize,
    /// The lesser of the last two: about what there will be next. The one large hello of a connection says nothing of its ticks.
    typical: usize,
    seq: u64,
    /// Who hears broadcasts here, once it has joined.
    audience: Option<Arc<Authority>>,
    /// Number of the next broadcast to take.
    next_broadcast: u64,
    closing: Option<(u16, String)>,
    closed: bool,
    waker: Option<Waker>,
    /// Whom to wake although it is writing: the peer may never take what is written.
    writer: Option<Waker>,
}

impl State {
    fn is_open(&self) -> bool {
        !self.closed && self.closing.is_none()
    }
}

/// Lets go of the lock, then wakes the connection if there is something to write.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = if state.bytes.is_empty() { None } else { state.waker.take() };
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Lets go of the lock, then wakes the connection whatever it waits for.
fn rouse(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take().or_else(|| state.writer.clone());
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Shared {
    /// For the outboxes of one gateway.
    pub fn new(limits: OutboxLimits, metrics: &Metrics) -> Self {
        Shared {
            limits,
            broadcasts: Broadcasts::default(),
            total: AtomicUsize::new(0),
            frames: metrics.frames_out.clone(),
            skipped: metrics.events_dropped.clone(),
            overflows: [BUFFERED, HARD, TOTAL].map(|limit| (limit, metrics.limit(limit))),
        }
    }
}

impl Outbox {
    /// An empty one.
    pub fn new(shared: Arc<Shared>) -> Self {
        Outbox {
            state: Mutex::default(),
            backlog: AtomicUsize::new(0),
            known: AtomicUsize::new(0),
            is_closing: AtomicBool::new(false),
            is_attended: AtomicBool::new(false),
            pulse: AtomicU8::new(HEARD),
            shared,
        }
    }

    /// It hears the broadcasts that come from here on, as far as this authority may, behind what `hello` queues.
    pub fn join(&self, audience: Arc<Authority>, hello: impl FnOnce()) {
        // What is broadcast while the hello is written is in neither, if its number is not taken first; and it would
        // come before the hello, if that were not queued without an audience.
        let next_broadcast = self.shared.broadcasts.next();
        hello();
        let mut state = self.lock();
        state.next_broadcast = next_broadcast;
        state.audience = Some(audience);
    }

    /// Takes over broadcasts, of which the first has this number, and wakes the connection if there is something for it.
    pub fn deliver(&self, first: u64, broadcasts: &[Arc<Broadcast>]) {
        let mut state = self.lock();
        if state.is_open() {
            self.take_over(&mut state, first, broadcasts);
        }
        self.wake(state);
    }

    /// Queues an answer. Answers are never dropped; over the hard cap the connection closes instead.
    pub fn response(&self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Full> {
        self.queue(|state| {
            if self.backlog() > self.shared.limits.buffered_hard {
                return Err(self.overflow(state, HARD));
            }
            if self.total() > self.shared.limits.buffered_total {
                return Err(self.overflow(state, TOTAL));
            }
            frames::text(&mut state.bytes, write);
            Ok(())
        })
    }

    /// Queues an event without `seq`: never dropped, like an answer.
    pub fn targeted(&self, open: &[u8]) -> Result<(), Full> {
        self.response(|out| {
            out.extend_from_slice(open);
            out.push(b'}');
        })
    }

    /// Asks the peer for a sign of life, or, when it was asked the last time and nothing was heard since, has the owner of the
    /// socket look whether that is the end: it alone knows whether there is something left to read.
    pub fn ping(&self) {
        let mut state = self.lock();
        if !state.is_open() {
            return;
        }
        match self.pulse.load(Ordering::Relaxed) {
            HEARD => {
                self.pulse.store(QUEUED, Ordering::Relaxed);
                let _ = self.append(&mut state, |state| {
                    state.bytes.extend_from_slice(&frames::PING);
                    Ok(())
                });
            }
            // The owner was held up, and has asked nobody yet.
            QUEUED => {}
            // Unless it is heard at this very moment.
            _ => _ = self.pulse.compare_exchange(ASKED, SILENT, Ordering::Relaxed, Ordering::Relaxed),
        }
        rouse(state);
    }

    /// The ping is on its way, or the peer takes nothing: from here on it has the time from one ping to the next.
    pub fn asked(&self) {
        let _ = self.pulse.compare_exchange(QUEUED, ASKED, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The peer lives.
    pub fn heard(&self) {
        if self.pulse.load(Ordering::Relaxed) != HEARD {
            self.pulse.store(HEARD, Ordering::Relaxed);
        }
    }

    /// Whether nothing was heard of the peer for the time from one ping to the next.
    pub fn is_silent(&self) -> bool {
        self.pulse.load(Ordering::Relaxed) == SILENT
    }

    /// Queues a close frame after all that is queued; nothing is queued after it.
    pub fn close(&self, code: u16, reason: &str) {
        let _ = self.queue(|state| {
            self.begin_close(state, code, reason);
            Ok(())
        });
    }

    /// Promises that the connection's task calls [`Outbox::take`] before it rests, so that nobody needs to wake it: most of
    /// what is queued are answers that it gives itself. One that closes is woken all the same.
    pub fn attend(&self) {
        self.is_attended.store(true, Ordering::Relaxed);
    }

    /// Takes all queued bytes to be written, or leaves a waker for when there are some. What was taken before is written.
    pub fn take(&self, waker: &Waker) -> Option<Vec<u8>> {
        let mut state = self.lock();
        if state.is_open() {
            self.catch_up(&mut state);
        }
        if state.bytes.is_empty() {
            // With the lock: a ping that is queued from here on is none that was written.
            self.asked();
            self.is_attended.store(false, Ordering::Relaxed);
            match &mut state.waker {
                Some(known) => known.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
            return None;
        }
        /// A single large answer must not make every later buffer large.
        const MAX_TYPICAL: usize = 64 * 1024;
        let bytes = std::mem::take(&mut state.bytes);
        let taken = bytes.len().min(MAX_TYPICAL);
        state.typical = taken.min(std::mem::replace(&mut state.last, taken));
        match &mut state.writer {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        self.shared.frames.increment(std::mem::take(&mut state.frames));
        Some(bytes)
    }

    /// Tells that the writer got rid of this many of the bytes it took.
    pub fn written(&self, count: usize) {
        self.backlog.fetch_sub(count, Ordering::Relaxed);
        if self.known.load(Ordering::Relaxed) > 0 {
            let _state = self.lock();
            self.tell_total(self.backlog());
        }
    }

    /// Whether the connection should not be read until it drains.
    pub fn is_backed_up(&self) -> bool {
        self.backlog() > self.shared.limits.buffered
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
        self.backlog.store(0, Ordering::Relaxed);
        state.bytes = Vec::new();
        state.waker = None;
        state.writer = None;
        state.audience = None;
        self.tell_total(0);
    }

    /// Queues behind the broadcasts published so far, and wakes the connection.
    fn queue(&self, add: impl FnOnce(&mut State) -> Result<(), Full>) -> Result<(), Full> {
        let mut state = self.lock();
        if state.is_open() {
            self.catch_up(&mut state);
        }
        let outcome = if state.is_open() { self.append(&mut state, add) } else { Err(Full::Closed) };
        self.wake(state);
        outcome
    }

    /// A connection that is to close is woken also where it waits for its peer to take something.
    fn wake(&self, state: MutexGuard<'_, State>) {
        if self.is_closing() {
            rouse(state);
        } else if !self.is_attended.load(Ordering::Relaxed) {
            wake(state);
        }
    }

    /// Lets `add` change the bytes, and counts how many there are now.
    fn append(&self, state: &mut State, add: impl FnOnce(&mut State) -> Result<(), Full>) -> Result<(), Full> {
        let before = state.bytes.len();
        if state.bytes.capacity() == 0 {
            state.bytes.reserve(state.typical);
        }
        let outcome = add(state);
        state.frames += u64::from(outcome.is_ok());
        // One addition for both directions: it wraps around.
        let grown = state.bytes.len().wrapping_sub(before);
        self.tell_total(self.backlog.fetch_add(grown, Ordering::Relaxed).wrapping_add(grown));
        outcome
    }

    /// Takes over what was broadcast meanwhile.
    fn catch_up(&self, state: &mut State) {
        if state.audience.is_some() && state.next_broadcast != self.shared.broadcasts.next() {
            let (first, broadcasts) = (state.next_broadcast, self.shared.broadcasts.since(state.next_broadcast));
            self.take_over(state, first, &broadcasts);
        }
    }

    /// Appends the frames of those broadcasts that it has not taken yet and may hear.
    fn take_over(&self, state: &mut State, first: u64, broadcasts: &[Arc<Broadcast>]) {
        let Some(audience) = state.audience.clone() else { return };
        let known = state.next_broadcast.saturating_sub(first) as usize;
        for broadcast in broadcasts.get(known..).unwrap_or_default() {
            state.next_broadcast += 1;
            if state.is_open() && broadcast.entry.admits(&audience) {
                let _ = self.append(state, |state| self.event(state, broadcast));
            }
        }
    }

    /// Queues an event with the next `seq`. One that is skipped consumes its number, so that the consumer sees the hole.
    fn event(&self, state: &mut State, broadcast: &Broadcast) -> Result<(), Full> {
        state.seq += 1;
        let limit = if self.backlog() > self.shared.limits.buffered {
            BUFFERED
        } else if self.total() > self.shared.limits.buffered_total {
            TOTAL
        } else {
            let mut digits = [0; 20];
            let number = write::digits(&mut digits, state.seq);
            frames::text_of_parts(&mut state.bytes, &[&broadcast.open, b",\"seq\":", number, b"}"]);
            return Ok(());
        };
        if broadcast.droppable {
            self.shared.skipped.increment(1);
            return Err(Full::Skipped);
        }
        Err(self.overflow(state, limit))
    }

    /// Closes a consumer that does not keep up. What it has not been sent yet makes room for the close frame: the frame
    /// being written is finished, the ones behind it are not worth its patience.
    fn overflow(&self, state: &mut State, limit: &'static str) -> Full {
        state.bytes.clear();
        self.begin_close(state, close::POLICY, SLOW);
        if let Some((_, counter)) = self.shared.overflows.iter().find(|(name, _)| *name == limit) {
            counter.increment(1);
        }
        let id = state.audience.as_ref().and_then(|audience| audience.caller().conn_id.as_deref());
        tracing::warn!(id, limit, "closing a slow consumer");
        Full::Overflow(limit)
    }

    fn begin_close(&self, state: &mut State, code: u16, reason: &str) {
        frames::close(&mut state.bytes, code, reason);
        state.closing = Some((code, frames::cut(reason, schemas::protocol::MAX_CLOSE_REASON).to_string()));
        self.is_closing.store(true, Ordering::Release);
    }

    /// Brings `total` up to date with a backlog, as far as whole steps go. Called with the state locked.
    fn tell_total(&self, backlog: usize) {
        let (known, now) = (self.known.load(Ordering::Relaxed), backlog / STEP * STEP);
        if known != now {
            self.known.store(now, Ordering::Relaxed);
            self.shared.total.fetch_add(now.wrapping_sub(known), Ordering::Relaxed);
        }
    }

    fn backlog(&self) -> usize {
        self.backlog.load(Ordering::Relaxed)
    }

    fn total(&self) -> usize {
        self.shared.total.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
