//! HTTP for plugins, `gwp.http/1`: an exchange is a request and its answer, under a number like a call's. This file has
//! the state that the plugin's side and the peer's side share; [`serve`] is the peer's side over HTTP, `websocket` after
//! an upgrade.
//!
//! Bytes to the peer wait in a queue whose room is `max_http_buffered_bytes`; a plugin that writes more is told to wait.
//! Of a body the plugin gets as many bytes as it asked for, and no more; messages come whole, while any of them are left.

mod arriving;
mod body;
mod head;
mod routes;
pub mod serve;
#[cfg(test)]
mod tests;
mod websocket;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};
use plugin_api::abi::*;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use arriving::{Arriving, Rest};
pub use body::Body;
pub use routes::{Route, Routes};

use crate::authority::Authority;
use crate::doorkeeper::Pending;
use crate::gateway::Gateway;
use crate::mailbox::Mailbox;

/// What a part or a message takes of the room beside its bytes: so many of them are bounded even if they are empty.
const EACH: usize = 64;

/// Exchanges that are not over, by number.
#[derive(Default)]
pub struct Exchanges {
    open: Mutex<HashMap<u64, Arc<Exchange>>>,
    ended: Notify,
}

/// Why an exchange is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was answered to its end.
    Done,
    /// The peer went.
    Peer,
    /// The peer, or the plugin, took too long.
    Timeout,
    /// The instance stops.
    Stop,
    /// The peer broke a limit or a rule.
    Refused,
    /// The plugin cut it off.
    Aborted,
}

impl Why {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Why::Done => "done",
            Why::Peer => "peer",
            Why::Timeout => "timeout",
            Why::Stop => "stop",
            Why::Refused => "refused",
            Why::Aborted => "aborted",
        }
    }
}

/// One request and its answer.
pub struct Exchange {
    /// Its number.
    pub number: u64,
    /// The instance that answers, by number.
    instance: u64,
    mailbox: Arc<Mailbox>,
    gateway: std::sync::Weak<Gateway>,
    /// What it is allowed.
    terms: Terms,
    /// What let it in, if that was a capability.
    authority: Option<Arc<Authority>>,
    state: Mutex<State>,
    begun: Notify,
    asked: Notify,
}

/// What an exchange is allowed, and how it began.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Bytes that may wait for the peer.
    pub buffered: usize,
    /// The largest part that a plugin may write at once.
    pub largest: usize,
    /// Whether the peer asked for a WebSocket.
    pub upgrade: bool,
    /// Whether the answer has no body, whatever the plugin writes.
    pub bodiless: bool,
}

#[derive(Default)]
struct State {
    head: Option<(StatusCode, HeaderMap)>,
    stage: Stage,
    is_socket: bool,
    out: VecDeque<Out>,
    /// What they take of the room.
    out_bytes: usize,
    /// Since when something has been waiting for the peer.
    waiting_since: Option<Instant>,
    /// The plugin was told to wait.
    was_full: bool,
    /// What the plugin writes is not wanted any more, though the exchange is not over.
    discards: bool,
    end: Option<(u16, String)>,
    aborted: bool,
    /// What the host answers in the plugin's place.
    refused: Option<StatusCode>,
    /// Bytes that the plugin lets come.
    credit: u64,
    /// Who writes to the peer.
    writer: Option<Waker>,
    /// Who sees to it that the peer reads. HTTP does not ask for more while its own buffer is full, and so is not woken.
    watcher: Option<Waker>,
    /// Its place among all exchanges.
    place: Option<Pending>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The answer has not begun.
    #[default]
    Waiting,
    /// Its head was given.
    Begun,
    /// The exchange is over.
    Closed,
}

/// Something on its way to the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// A part of the body, or a message of bytes.
    Bytes(Bytes),
    /// A message of text.
    Text(Bytes),
}

impl Out {
    /// What it takes of the room.
    fn room(&self) -> usize {
        match self {
            Out::Bytes(bytes) | Out::Text(bytes) => bytes.len() + EACH,
        }
    }
}

/// What the peer's side finds next.
#[derive(Debug)]
pub enum Next {
    /// This is to be written.
    Out(Out),
    /// The answer is complete; of a WebSocket, with code and reason.
    End(u16, String),
    /// It was cut off.
    Cut,
}

impl Exchanges {
    /// One by its number, if it is this instance's.
    fn find(&self, number: u64, instance: u64) -> Option<Arc<Exchange>> {
        self.lock().get(&number).filter(|exchange| exchange.instance == instance).cloned()
    }

    fn insert(&self, exchange: &Arc<Exchange>) {
        self.lock().insert(exchange.number, exchange.clone());
    }

    fn remove(&self, number: u64) {
        self.lock().remove(&number);
        self.ended.notify_waiters();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until none of this instance is left. Its WebSockets are closed: they end by themselves only at their peers'
    /// pleasure.
    pub async fn ended(&self, instance: u64) {
        self.close_sockets(|of| of == instance);
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.of(instance).is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// Closes the WebSockets of these instances.
    pub fn close_sockets(&self, of: impl Fn(u64) -> bool) {
        let sockets: Vec<_> = self.lock().values().filter(|exchange| of(exchange.instance)).cloned().collect();
        sockets.iter().for_each(|socket| socket.close_socket(1012, "service restart"));
    }

    /// Whether any came in by a capability of these.
    pub fn any(&self, which: impl Fn(&Authority) -> bool) -> bool {
        self.lock().values().any(|exchange| exchange.authority.as_deref().is_some_and(&which))
    }

    /// Ends those that came in by a capability of these.
    pub fn revoke(&self, which: impl Fn(&Authority) -> bool) {
        let stands = |exchange: &&Arc<Exchange>| exchange.authority.as_deref().is_some_and(&which);
        let fallen: Vec<_> = self.lock().values().filter(stands).cloned().collect();
        for exchange in fallen {
            exchange.close_socket(1008, "device access changed");
            if !exchange.lock().is_socket {
                exchange.cut(Why::Refused);
            }
        }
    }

    /// Ends those of this instance.
    pub fn stop(&self, instance: u64) {
        self.of(instance).iter().for_each(|exchange| exchange.close(Why::Stop));
    }

    fn of(&self, instance: u64) -> Vec<Arc<Exchange>> {
        self.lock().values().filter(|exchange| exchange.instance == instance).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Exchange>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The plugin's side: what stands behind the table.
impl Exchanges {
    /// `head`
    pub fn head(&self, instance: u64, number: u64, status: u32, headers: &[u8]) -> i32 {
        let Some(exchange) = self.find(number, instance) else { return GWP_GONE };
        let Ok((status, headers)) = head::read(status, headers, exchange.terms.upgrade) else { return GWP_INVALID };
        exchange.begin(status, headers)
    }

    /// `write`
    pub fn write(&self, instance: u64, number: u64, kind: i32, data: &[u8]) -> i32 {
        let Some(exchange) = self.find(number, instance) else { return GWP_GONE };
        exchange.write(kind, data)
    }

    /// `end`
    pub fn end(&self, instance: u64, number: u64, code: u32, reason: &str) -> i32 {
        let Some(exchange) = self.find(number, instance) else { return GWP_GONE };
        exchange.end(code, reason)
    }

    /// `read`
    pub fn read(&self, instance: u64, number: u64, bytes: u64) -> i32 {
        let Some(exchange) = self.find(number, instance) else { return GWP_GONE };
        exchange.ask(bytes);
        GWP_OK
    }

    /// `abort`
    pub fn abort(&self, instance: u64, number: u64) -> i32 {
        let Some(exchange) = self.find(number, instance) else { return GWP_GONE };
        exchange.cut(Why::Aborted);
        GWP_OK
    }
}

impl Exchange {
    fn begin(&self, status: StatusCode, headers: HeaderMap) -> i32 {
        let mut state = self.lock();
        if state.stage != Stage::Waiting {
            return if state.stage == Stage::Closed { GWP_GONE } else { GWP_INVALID };
        }
        state.stage = Stage::Begun;
        state.is_socket = status == StatusCode::SWITCHING_PROTOCOLS;
        let bodiless = self.terms.bodiless || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        state.discards = bodiless && !state.is_socket;
        state.head = Some((status, headers));
        drop(state);
        self.begun.notify_one();
        GWP_OK
    }

    fn write(&self, kind: i32, data: &[u8]) -> i32 {
        let mut state = self.lock();
        let fits = match kind {
            GWP_HTTP_BODY => !state.is_socket,
            GWP_HTTP_TEXT => state.is_socket && std::str::from_utf8(data).is_ok(),
            GWP_HTTP_BINARY => state.is_socket,
            _ => false,
        };
        match state.stage {
            Stage::Closed => return GWP_GONE,
            _ if state.aborted => return GWP_GONE,
            Stage::Waiting => return GWP_INVALID,
            Stage::Begun if !fits || state.end.is_some() => return GWP_INVALID,
            Stage::Begun => {}
        }
        if data.len() > self.terms.largest {
            return GWP_TOO_LARGE;
        }
        if state.discards || (data.is_empty() && !state.is_socket) {
            return GWP_OK;
        }
        // An empty queue takes whatever comes.
        if !state.out.is_empty() && state.out_bytes + data.len() + EACH > self.terms.buffered {
            if !std::mem::replace(&mut state.was_full, true)
                && let Some(gateway) = self.gateway.upgrade()
            {
                gateway.metrics.limit_hit("max_http_buffered_bytes");
            }
            return GWP_BUSY;
        }
        let data = Bytes::copy_from_slice(data);
        state.out_bytes += data.len() + EACH;
        state.out.push_back(if kind == GWP_HTTP_TEXT { Out::Text(data) } else { Out::Bytes(data) });
        let watcher = match state.waiting_since {
            Some(_) => None,
            None => {
                state.waiting_since = Some(Instant::now());
                state.watcher.take()
            }
        };
        wake(state);
        if let Some(watcher) = watcher {
            watcher.wake();
        }
        GWP_OK
    }

    fn end(&self, code: u32, reason: &str) -> i32 {
        let mut state = self.lock();
        match state.stage {
            Stage::Closed => return GWP_GONE,
            Stage::Waiting => return GWP_INVALID,
            Stage::Begun if state.end.is_some() => return GWP_INVALID,
            Stage::Begun => {}
        }
        let code = match code {
            0 => 1000,
            code @ (1000 | 1001 | 1003 | 1007..=1014 | 3000..=4999) => code as u16,
            _ if !state.is_socket => 1000,
            _ => return GWP_INVALID,
        };
        // A close frame has room for so many bytes.
        let reason = crate::frames::cut(reason, 120).to_string();
        state.end = Some((code, reason));
        let discards = state.discards;
        wake(state);
        if discards {
            self.close(Why::Done);
        }
        GWP_OK
    }

    /// Lets more come.
    fn ask(&self, bytes: u64) {
        let mut state = self.lock();
        state.credit = state.credit.saturating_add(bytes);
        drop(state);
        self.asked.notify_one();
    }

    /// Cuts the connection: whoever writes to the peer sees it.
    fn cut(&self, why: Why) {
        {
            let mut state = self.lock();
            state.aborted = true;
            wake(state);
        }
        self.begun.notify_one();
        self.close(why);
    }

    /// The peer did wrong: it hears so, or if the answer has begun, sees that it is cut off.
    fn refuse(&self, status: StatusCode) {
        self.lock().refused = Some(status);
        self.cut(Why::Refused);
    }

    /// Closes a WebSocket, if it is one.
    fn close_socket(&self, code: u16, reason: &str) {
        let mut state = self.lock();
        if state.is_socket && state.end.is_none() {
            state.end = Some((code, reason.to_string()));
            wake(state);
        }
    }

    /// It is over, for this reason unless it was over before: the plugin hears of it, and of nothing else any more.
    pub fn close(&self, why: Why) {
        self.close_with(json!({ "why": why.name() }));
    }

    /// As [`Exchange::close`], with what a WebSocket was closed with.
    fn close_by_peer(&self, code: Option<u16>, reason: &str) {
        self.close_with(json!({ "why": Why::Peer.name(), "code": code, "reason": reason }));
    }

    fn close_with(&self, told: serde_json::Value) {
        let mut state = self.lock();
        if state.stage == Stage::Closed {
            return;
        }
        state.stage = Stage::Closed;
        // What was written before the end still goes out.
        if state.end.is_none() {
            state.out.clear();
            state.out_bytes = 0;
        }
        // Who has had the whole body does not write any more, and has to know all the same.
        let (place, watcher) = (state.place.take(), state.watcher.take());
        wake(state);
        if let Some(watcher) = watcher {
            watcher.wake();
        }
        drop(place);
        self.begun.notify_one();
        self.asked.notify_one();
        if let Some(gateway) = self.gateway.upgrade() {
            gateway.exchanges.remove(self.number);
        }
        self.mailbox.finish(GWP_HTTP_CLOSED, told.to_string().into_bytes().into());
    }

    /// Waits until the answer begins; `None` if it never does.
    async fn head(&self) -> Option<(StatusCode, HeaderMap)> {
        loop {
            {
                let mut state = self.lock();
                if state.head.is_some() {
                    return state.head.take();
                }
                if state.stage == Stage::Closed || state.aborted {
                    return None;
                }
            }
            self.begun.notified().await;
        }
    }

    /// The next thing for the peer.
    pub fn poll_out(&self, context: &mut Context<'_>) -> Poll<Next> {
        let mut state = self.lock();
        if state.aborted {
            return Poll::Ready(Next::Cut);
        }
        if let Some(out) = state.next_out() {
            state.waiting_since = (!state.out.is_empty()).then(Instant::now);
            // Half of the room is free: worth a word to whoever waits for it.
            let writable = state.was_full && state.out_bytes <= self.terms.buffered / 2;
            if writable {
                state.was_full = false;
            }
            drop(state);
            if writable {
                self.mailbox.send(GWP_HTTP_WRITABLE, Arc::default());
            }
            return Poll::Ready(Next::Out(out));
        }
        if let Some((code, reason)) = state.end.clone() {
            return Poll::Ready(Next::End(code, reason));
        }
        if state.stage == Stage::Closed {
            return Poll::Ready(Next::Cut);
        }
        state.writer = Some(context.waker().clone());
        Poll::Pending
    }

    /// Whether all that was to be said has been taken.
    fn is_complete(&self) -> bool {
        let state = self.lock();
        state.end.is_some() && state.out.is_empty() && !state.aborted
    }

    /// Whether the answer has no body, or no more of it is wanted: the peer has had it whole.
    pub fn discards(&self) -> bool {
        self.lock().discards
    }

    /// The peer has had all that it wants of the body: what still comes is thrown away, until the plugin ends it.
    fn discard(&self) {
        let mut state = self.lock();
        state.discards = true;
        state.out.clear();
        state.out_bytes = 0;
        state.waiting_since = None;
        let (ended, was_full) = (state.end.is_some(), std::mem::take(&mut state.was_full));
        drop(state);
        match ended {
            true => self.close(Why::Done),
            false if was_full => self.mailbox.send(GWP_HTTP_WRITABLE, Arc::default()),
            false => {}
        }
    }

    /// Since when something has been waiting for the peer to read. If nothing is, the task is woken when something does, and
    /// when the exchange is over.
    pub fn waiting_since(&self, context: &Context<'_>) -> Option<Instant> {
        let mut state = self.lock();
        if state.waiting_since.is_none() {
            state.watcher = Some(context.waker().clone());
        }
        state.waiting_since
    }

    /// Whether it is over.
    pub fn is_closed(&self) -> bool {
        self.lock().stage == Stage::Closed
    }

    /// Whether the plugin lets something come.
    fn may_come(&self) -> bool {
        let state = self.lock();
        state.credit > 0 && state.stage != Stage::Closed
    }

    /// Waits until the plugin lets something come; false when it never will.
    async fn wanted(&self) -> bool {
        loop {
            if self.is_closed() {
                return false;
            }
            if self.may_come() {
                return true;
            }
            self.asked.notified().await;
        }
    }

    /// How many of so many bytes may come.
    fn allowed(&self, bytes: usize) -> usize {
        usize::try_from(self.lock().credit).map_or(bytes, |credit| credit.min(bytes))
    }

    /// Hands over something that came. A message may be larger than what was left to come.
    async fn hand(&self, kind: i32, data: Bytes) {
        {
            let mut state = self.lock();
            state.credit = state.credit.saturating_sub(data.len().max(1) as u64);
        }
        if let Some(heard) = self.mailbox.hand(kind, data.into()) {
            let _ = heard.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next thing for the peer. Large parts of a body go piece by piece, so that it shows how far the peer has read.
    fn next_out(&mut self) -> Option<Out> {
        const PIECE: usize = 64 * 1024;
        match self.out.front_mut() {
            Some(Out::Bytes(bytes)) if bytes.len() > PIECE && !self.is_socket => {
                self.out_bytes -= PIECE;
                Some(Out::Bytes(bytes.split_to(PIECE)))
            }
            _ => {
                let out = self.out.pop_front()?;
                self.out_bytes -= out.room();
                Some(out)
            }
        }
    }
}

/// Wakes whoever writes to the peer.
fn wake(mut state: MutexGuard<'_, State>) {
    let writer = state.writer.take();
    drop(state);
    if let Some(writer) = writer {
        writer.wake();
    }
}
