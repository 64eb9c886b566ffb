//! What is heard of exchanges, on its way to the futures that wait for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Error, Response};
use crate::abi::*;
use crate::glue::raw::RawHost;
use crate::host::HostError;

/// How much is asked for at once.
const CHUNK: u64 = 64 * 1024;

/// The exchanges of one instance that are not over.
#[derive(Default)]
pub(crate) struct Exchanges(Mutex<HashMap<gwp_exchange, Arc<Line>>>);

impl Exchanges {
    /// A new one.
    pub(crate) fn open(&self, raw: RawHost, number: gwp_exchange) -> Arc<Line> {
        let line = Arc::new(Line { raw, number, state: Mutex::default() });
        self.lock().insert(number, line.clone());
        line
    }

    /// Something happens to one. True when it is over and was not answered to its end: whoever answers it need not go on.
    pub(crate) fn hear(&self, number: gwp_exchange, kind: i32, data: &[u8]) -> bool {
        let line = match kind {
            GWP_HTTP_CLOSED => self.lock().remove(&number),
            _ => self.lock().get(&number).cloned(),
        };
        line.is_some_and(|line| line.hear(kind, data))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<gwp_exchange, Arc<Line>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One exchange: what was heard of it, and the way back.
pub(crate) struct Line {
    raw: RawHost,
    number: gwp_exchange,
    state: Mutex<State>,
}

/// Something that came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// A part of the body.
    Body(Vec<u8>),
    /// A message of text.
    Text(Vec<u8>),
    /// A message of bytes.
    Binary(Vec<u8>),
}

#[derive(Default)]
struct State {
    came: VecDeque<Came>,
    /// Bytes asked for that have not come yet.
    outstanding: u64,
    /// Nothing more comes.
    complete: bool,
    /// How often the host has said that there is room. A flag would not do: of several that write, one would take down what
    /// another waits for.
    writable: u64,
    /// The head of the answer is sent.
    begun: bool,
    /// The answer is complete.
    ended: bool,
    is_socket: bool,
    /// The host speaks of it no more.
    closed: bool,
    /// The handler has not returned.
    handled: bool,
    /// What was to be answered is let go of.
    dropped: bool,
    reader: Option<Waker>,
    /// All that wait for room.
    writers: Vec<Waker>,
}

impl Line {
    fn hear(&self, kind: i32, data: &[u8]) -> bool {
        let mut state = self.lock();
        let mut unanswered = false;
        match kind {
            GWP_HTTP_BODY => state.came(Came::Body(data.to_vec())),
            GWP_HTTP_TEXT => state.came(Came::Text(data.to_vec())),
            GWP_HTTP_BINARY => state.came(Came::Binary(data.to_vec())),
            GWP_HTTP_END => state.complete = true,
            GWP_HTTP_WRITABLE => state.writable += 1,
            GWP_HTTP_CLOSED => {
                state.closed = true;
                unanswered = !state.ended;
            }
            _ => return false,
        }
        let reader = if kind == GWP_HTTP_WRITABLE { None } else { state.reader.take() };
        let writers = match kind {
            GWP_HTTP_WRITABLE | GWP_HTTP_CLOSED => std::mem::take(&mut state.writers),
            _ => Vec::new(),
        };
        drop(state);
        reader.into_iter().chain(writers).for_each(Waker::wake);
        unanswered
    }

    /// The next thing that comes; `None` when nothing more does.
    pub(super) fn poll_next(&self, context: &mut Context<'_>) -> Poll<super::Result<Option<Came>>> {
        let mut state = self.lock();
        if let Some(came) = state.came.pop_front() {
            return Poll::Ready(Ok(Some(came)));
        }
        if state.complete || (state.is_socket && state.closed) {
            return Poll::Ready(Ok(None));
        }
        if state.closed {
            return Poll::Ready(Err(Error::Gone));
        }
        state.reader = Some(context.waker().clone());
        if state.outstanding == 0 {
            state.outstanding = CHUNK;
            drop(state);
            if let Err(error) = HostError::check(self.raw.http_read(self.number, CHUNK)) {
                return Poll::Ready(Err(error.into()));
            }
        }
        Poll::Pending
    }

    /// Begins the answer.
    pub(super) fn begin(&self, response: &Response, whole: bool) -> super::Result {
        self.lock().begun = true;
        let headers = response.headers_json(whole);
        let sent = HostError::check(self.raw.http_head(self.number, response.code().into(), headers.as_bytes()));
        sent.map_err(|error| match error {
            HostError::Gone => Error::Gone,
            other => {
                // Nothing of it went out, so something else can.
                self.lock().begun = false;
                Error::Failed(format!("the host did not take this answer: {other}"))
            }
        })
    }

    /// Takes the upgrade that was asked for; the host lets this many bytes of messages come by itself.
    pub(super) fn upgrade(&self, response: &Response) -> super::Result {
        self.begin(response, false)?;
        self.lock().is_socket = true;
        Ok(())
    }

    /// Writes when there is room.
    pub(super) async fn write(&self, kind: i32, data: &[u8]) -> super::Result {
        loop {
            let before = self.lock().writable;
            match self.raw.http_write(self.number, kind, data) {
                GWP_BUSY => std::future::poll_fn(|context| self.poll_writable(before, context)).await,
                code => return Ok(HostError::check(code)?),
            }
        }
    }

    fn poll_writable(&self, before: u64, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.writable != before || state.closed {
            return Poll::Ready(());
        }
        if !state.writers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.writers.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// The answer is complete, or the socket is closed.
    pub(super) fn end(&self, code: u16, reason: &str) -> super::Result {
        let is_socket = {
            let mut state = self.lock();
            state.ended = true;
            state.is_socket
        };
        let ended = HostError::check(self.raw.http_end(self.number, code.into(), reason));
        if is_socket && ended == Err(HostError::Invalid) {
            // Not with a code that none may be closed with; but the peer is not left waiting.
            self.raw.http_end(self.number, 1000, "");
        }
        Ok(ended?)
    }

    /// Whether the client has gone, or the host ended it.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Whether it is over, and was not answered to its end.
    pub(crate) fn is_unanswered(&self) -> bool {
        let state = self.lock();
        state.closed && !state.ended
    }

    /// What was to be answered is let go of. While its handler runs it is left to that one's end, which knows why.
    pub(super) fn let_go(&self) {
        {
            let mut state = self.lock();
            state.dropped = true;
            if state.handled {
                return;
            }
        }
        self.conclude(Ok(()));
    }

    /// Says what is left to say.
    fn conclude(&self, result: super::Result) {
        let (begun, ended, is_socket) = {
            let state = self.lock();
            (state.begun, state.ended || state.closed, state.is_socket)
        };
        if let Err(Error::Failed(why)) = &result {
            self.raw.log(1, "http", why, "");
        }
        match (begun, result) {
            _ if ended => {}
            // Whatever happens the client is not left waiting.
            (false, Err(Error::Answer(response))) if self.answer(&response) => {}
            (false, _) if self.answer(&Response::status(500)) => {}
            (true, Ok(())) if is_socket => drop(self.end(1000, "")),
            (true, _) if is_socket => drop(self.end(1011, "")),
            _ => {
                self.raw.http_abort(self.number);
            }
        }
    }

    /// False if the host did not take it.
    fn answer(&self, response: &Response) -> bool {
        let begun = self.begin(response, true);
        if begun.is_ok() {
            // Into an empty queue, which takes whatever comes first.
            let _ = self.raw.http_write(self.number, GWP_HTTP_BODY, response.bytes());
            let _ = self.end(0, "");
        }
        !matches!(begun, Err(Error::Failed(_)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn came(&mut self, came: Came) {
        let bytes = match &came {
            Came::Body(bytes) | Came::Text(bytes) | Came::Binary(bytes) => bytes.len() as u64,
        };
        self.outstanding = self.outstanding.saturating_sub(bytes.max(1));
        self.came.push_back(came);
    }
}

/// A handler that runs. At its end, or if it is dropped, whatever it left unanswered is answered.
pub(crate) struct Answering(Option<Arc<Line>>);

impl Answering {
    pub(crate) fn new(line: Arc<Line>) -> Self {
        line.lock().handled = true;
        Answering(Some(line))
    }

    /// The handler has returned.
    pub(crate) fn finish(mut self, result: super::Result) {
        self.end(result);
    }

    fn end(&mut self, result: super::Result) {
        let Some(line) = self.0.take() else { return };
        let dropped = {
            let mut state = line.lock();
            state.handled = false;
            state.dropped
        };
        match result {
            result if dropped => line.conclude(result),
            // Somebody else answers it.
            Err(Error::Failed(why)) => drop(line.raw.log(1, "http", &why, "")),
            _ => {}
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.end(Err(Error::Gone));
    }
}
