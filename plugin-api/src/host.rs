//! The host as a plugin's code sees it: events, other methods, timers, threads, key-value, the snapshot, the log.
//!
//! Every method is `[any]`: callable from any thread, never blocking. Nothing here calls back into the plugin before it
//! returned, so a plugin may hold its own lock while it calls the host.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::abi::*;
use crate::call::Principal;
use crate::error::MethodError;
use crate::glue::raw::{InvokedCall, RawHost, RawSubscription, Timer};
use crate::glue::task::{self, Suspended};
use crate::heard::HeardEvent;
use crate::kv::Kv;

/// The host. Clones are cheap and see the same instance.
#[derive(Clone)]
pub struct Host {
    raw: RawHost,
    instance: Arc<Own>,
}

/// What all copies of an instance's handle share: one count to pass on, since every call is given a copy.
struct Own {
    id: String,
    spawned: Arc<Suspended>,
    subscriptions: Mutex<Vec<Weak<RawSubscription>>>,
}

impl Host {
    pub(crate) fn new(raw: RawHost, id: String) -> Self {
        Host { raw, instance: Arc::new(Own { id, spawned: Arc::default(), subscriptions: Mutex::default() }) }
    }

    /// Ends what the plugin began and did not end itself: its futures and its subscriptions. A listener that holds the
    /// plugin, kept in the plugin, would hold both for ever.
    pub(crate) fn end(&self) {
        self.instance.spawned.cancel_all();
        let subscriptions =
            std::mem::take(&mut *self.instance.subscriptions.lock().unwrap_or_else(PoisonError::into_inner));
        subscriptions.iter().filter_map(Weak::upgrade).for_each(|subscription| subscription.cancel());
    }

    pub(crate) fn raw(&self) -> RawHost {
        self.raw
    }

    pub(crate) fn spawned(&self) -> &Arc<Suspended> {
        &self.instance.spawned
    }

    /// This plugin's id.
    pub fn plugin_id(&self) -> &str {
        &self.instance.id
    }

    /// Begins an event of this plugin's manifest.
    pub fn event<'a>(&'a self, name: &'a str) -> Emit<'a> {
        Emit { host: self, name, flags: 0 }
    }

    /// Calls another method in the plugin's own name.
    pub fn invoke(&self, method: &str, params: &impl Serialize) -> Invoke {
        Invoke {
            host: self.clone(),
            method: method.to_string(),
            params: serde_json::value::to_raw_value(params).map_err(|_| HostError::Invalid),
            timeout_ms: 0,
            authority: None,
            own_grants: false,
        }
    }

    /// Hears events whose name matches: a name, or a prefix and `*`. The listener runs on a worker, one event at a time,
    /// in order. Dropping the subscription ends it.
    pub fn subscribe(
        &self,
        pattern: &str,
        listener: impl Fn(HeardEvent<'_>) + Send + Sync + 'static,
    ) -> Result<Subscription, HostError> {
        let spawned = self.instance.spawned.clone();
        let begin = move || spawned.work();
        let raw = self.raw.subscribe(pattern, begin, move |kind, json| {
            if kind == GWP_SINK_EVENT
                && let Some(event) = HeardEvent::of(json)
            {
                listener(event);
            }
        });
        let subscription = Arc::new(raw.map_err(HostError::from_code)?);
        let mut subscriptions = self.instance.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        subscriptions.retain(|known| known.strong_count() > 0);
        subscriptions.push(Arc::downgrade(&subscription));
        Ok(Subscription(subscription))
    }

    /// The plugin's own small state.
    pub fn kv(&self) -> Kv {
        Kv::new(self.raw)
    }

    /// Stores the latest value of a part of hello-ok's snapshot (`presence` or `health`) and raises its version.
    pub fn publish_snapshot<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<(), HostError> {
        let json = serde_json::to_vec(value).map_err(|_| HostError::Invalid)?;
        HostError::check(self.raw.publish(key, &json))
    }

    /// Waits.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep { host: self.raw, duration, state: None, timer: None }
    }

    /// Runs a future on the host's threads until it ends, is cancelled, or the instance stops. It is not polled before
    /// this returns.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Spawned {
        let id = crate::glue::next_id();
        task::spawn(self.raw, &self.instance.spawned, id, future);
        Spawned { tasks: self.instance.spawned.clone(), id }
    }

    /// Runs a closure where it may block, and waits for it.
    pub fn blocking<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Blocking<T> {
        let slot: Arc<Slot<T>> = Arc::default();
        let out = OnDrop(slot.clone());
        let Some(working) = self.instance.spawned.work() else { return Blocking { slot, none: HostError::Gone } };
        let started = self.raw.blocking(move || {
            // Declared first, so dropped last: the end of the instance waits until the closure is gone too.
            let _working = working;
            let out = out;
            let value = job();
            out.0.fill(Some(value));
        });
        // Where the host did not take it, the slot was filled with nothing.
        Blocking { slot, none: started.err().map_or(HostError::Gone, HostError::from_code) }
    }

    /// Writes to the host's log: 1 error … 5 trace.
    pub fn log(&self, level: i32, message: &str) {
        self.raw.log(level, &self.instance.id, message, "");
    }

    /// Writes an error to the host's log.
    pub fn error(&self, message: &str) {
        self.log(1, message);
    }

    /// Writes a warning to the host's log.
    pub fn warn(&self, message: &str) {
        self.log(2, message);
    }

    /// Writes a line to the host's log.
    pub fn info(&self, message: &str) {
        self.log(3, message);
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("plugin", &self.instance.id).finish_non_exhaustive()
    }
}

/// Why the host did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostError {
    /// An argument is wrong: an undeclared event, a broken JSON text.
    Invalid,
    /// This host does not offer it.
    Unsupported,
    /// The call, connection or instance is no more.
    Gone,
    /// Too much at once: the host keeps so much for one plugin.
    Busy,
    /// Not granted.
    Denied,
    /// Over a size limit.
    TooLarge,
    /// No such method or connection.
    NotFound,
    /// A code that this version does not know.
    Other(i32),
}

impl HostError {
    pub(crate) fn from_code(code: i32) -> Self {
        match code {
            GWP_INVALID => HostError::Invalid,
            GWP_UNSUPPORTED => HostError::Unsupported,
            GWP_GONE => HostError::Gone,
            GWP_BUSY => HostError::Busy,
            GWP_DENIED => HostError::Denied,
            GWP_TOO_LARGE => HostError::TooLarge,
            GWP_NOT_FOUND => HostError::NotFound,
            other => HostError::Other(other),
        }
    }

    pub(crate) fn check(code: i32) -> Result<(), Self> {
        if code == GWP_OK { Ok(()) } else { Err(Self::from_code(code)) }
    }
}

impl std::fmt::Display for HostError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            HostError::Invalid => "the host refused an argument",
            HostError::Unsupported => "the host does not offer this",
            HostError::Gone => "it is no more",
            HostError::Busy => "the host is busy",
            HostError::Denied => "the plugin is not granted this",
            HostError::TooLarge => "over a size limit",
            HostError::NotFound => "not found",
            HostError::Other(code) => return write!(f, "the host answered with code {code}"),
        })
    }
}

impl std::error::Error for HostError {}

/// An event on its way out.
#[derive(Debug)]
#[must_use = "an event goes out with `send` or `send_to`"]
pub struct Emit<'a> {
    host: &'a Host,
    name: &'a str,
    flags: u32,
}

impl Emit<'_> {
    /// A slow consumer may miss it; otherwise a slow consumer is closed.
    pub fn droppable(mut self) -> Self {
        self.flags |= GWP_EV_DROP_IF_SLOW;
        self
    }

    /// Stamps the snapshot's versions on it.
    pub fn stamped(mut self) -> Self {
        self.flags |= GWP_EV_STATE_VERSION;
        self
    }

    /// To everyone who may see it, numbered.
    pub fn send<T: Serialize + ?Sized>(self, payload: &T) -> Result<(), HostError> {
        self.emit(payload, None)
    }

    /// To these connections, unnumbered. `Gone` says that none of them is there any more.
    pub fn send_to<T: Serialize + ?Sized>(self, conns: &[u64], payload: &T) -> Result<(), HostError> {
        self.emit(payload, Some(conns))
    }

    fn emit<T: Serialize + ?Sized>(self, payload: &T, conns: Option<&[u64]>) -> Result<(), HostError> {
        let json = serde_json::to_vec(payload).map_err(|_| HostError::Invalid)?;
        HostError::check(self.host.raw.emit(self.name, &json, conns, self.flags))
    }
}

/// Hears events until dropped.
pub struct Subscription(Arc<RawSubscription>);

impl Drop for Subscription {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A future on the host's threads. Dropping this lets it run on.
pub struct Spawned {
    tasks: Arc<Suspended>,
    id: u64,
}

impl Spawned {
    /// Drops the future where it waits.
    pub fn cancel(&self) {
        self.tasks.cancel(self.id);
    }
}

/// Waits; see [`Host::sleep`].
pub struct Sleep {
    host: RawHost,
    duration: Duration,
    state: Option<Arc<SleepState>>,
    timer: Option<Timer>,
}

#[derive(Default)]
struct SleepState {
    fired: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let state = self.state.get_or_insert_default().clone();
        *state.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        if self.timer.is_none() {
            let fired = state.clone();
            let ms = u64::try_from(self.duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
            let timer = self.host.after(ms, move || {
                fired.fired.store(true, Ordering::Release);
                let waker = fired.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(waker) = waker {
                    waker.wake();
                }
            });
            match timer {
                Ok(timer) => self.timer = Some(timer),
                // A host that takes no timers is stopping this instance; never waking is what it wants.
                Err(_) => return Poll::Pending,
            }
        }
        if state.fired.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.cancel();
        }
    }
}

/// A value that arrives once from another thread.
struct Slot<T>(Mutex<SlotState<T>>);

enum SlotState<T> {
    Empty(Option<Waker>),
    Full(Option<T>),
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Slot(Mutex::new(SlotState::Empty(None)))
    }
}

impl<T> Slot<T> {
    fn fill(&self, value: Option<T>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let SlotState::Empty(waker) = &mut *state {
            let waker = waker.take();
            *state = SlotState::Full(value);
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<T>> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            SlotState::Full(value) => Poll::Ready(value.take()),
            SlotState::Empty(waker) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Fills the slot with nothing if the closure that held it ends without a value.
struct OnDrop<T>(Arc<Slot<T>>);

impl<T> Drop for OnDrop<T> {
    fn drop(&mut self) {
        self.0.fill(None);
    }
}

/// The outcome of [`Host::blocking`]; `Err` when the closure panicked or the host took no more work, [`HostError::Busy`] when
/// as much of this plugin's waits as may.
pub struct Blocking<T> {
    slot: Arc<Slot<T>>,
    /// Why there may be no value.
    none: HostError,
}

impl<T> Future for Blocking<T> {
    type Output = Result<T, HostError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.slot.poll(context).map(|value| value.ok_or(self.none))
    }
}

/// A call to another method, not yet sent.
#[must_use = "a call goes out when `send`, `raw` or `replies` is awaited"]
pub struct Invoke {
    host: Host,
    method: String,
    params: Result<Box<RawValue>, HostError>,
    timeout_ms: u64,
    authority: Option<Principal>,
    own_grants: bool,
}

impl Invoke {
    pub(crate) fn failed(host: Host, method: &str, error: HostError) -> Self {
        Invoke {
            host,
            method: method.to_string(),
            params: Err(error),
            timeout_ms: 0,
            authority: None,
            own_grants: false,
        }
    }

    /// With a caller's rights instead of the plugin's own.
    pub fn on_behalf_of(mut self, principal: Principal) -> Self {
        self.authority = Some(principal);
        self
    }

    /// With the plugin's own grants after all, though on the account of the caller's call: its depth counts on.
    pub fn with_own_grants(mut self) -> Self {
        self.own_grants = true;
        self
    }

    /// Ends it after this long.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        // No time at all is not the method's own, for which 0 stands.
        self.timeout_ms = timeout.as_millis().max(1) as u64;
        self
    }

    /// Waits for the final answer as a type.
    pub async fn send<T: DeserializeOwned>(self) -> Result<T, MethodError> {
        let payload = self.raw().await?;
        Ok(serde_json::from_str(payload.get())?)
    }

    /// Waits for the final answer, unparsed. Dropping the future cancels the call.
    pub async fn raw(self) -> Result<Box<RawValue>, MethodError> {
        let mut replies = self.replies();
        loop {
            match replies.next().await {
                InvokeReply::Interim(_) => {}
                InvokeReply::Final(result) => return result,
            }
        }
    }

    /// Starts the call and hears its answers one by one. Dropping them cancels the call.
    pub fn replies(self) -> Replies {
        let queue: Arc<Mutex<ReplyQueue>> = Arc::default();
        let started = self.params.and_then(|params| {
            let authority = self.authority.as_ref().map_or(0, Principal::id);
            let authority = if self.own_grants && authority != 0 { authority | GWP_OWN_GRANTS } else { authority };
            let sink = queue.clone();
            self.host
                .raw
                .invoke(authority, &self.method, params.get().as_bytes(), self.timeout_ms, move |kind, json| {
                    if let Some(reply) = InvokeReply::parse(kind, json) {
                        ReplyQueue::push(&sink, reply);
                    }
                })
                .map_err(HostError::from_code)
        });
        let call = match started {
            Ok(call) => Some(call),
            Err(error) => {
                let error = invoke_error(error, &self.method);
                ReplyQueue::push(&queue, InvokeReply::Final(Err(error)));
                None
            }
        };
        Replies { queue, call, _authority: self.authority }
    }
}

fn invoke_error(error: HostError, method: &str) -> MethodError {
    match error {
        HostError::NotFound => MethodError::unavailable(format!("unknown method: {method}")),
        HostError::Denied => MethodError::unavailable(format!("calling {method} is not allowed here")),
        HostError::Busy => MethodError::unavailable("the gateway is busy; try again in a moment").retryable(),
        other => MethodError::unavailable(format!("{method} could not be called")).log(other),
    }
}

/// One answer of a call to another method.
#[derive(Debug)]
pub enum InvokeReply {
    /// More is to come.
    Interim(Box<RawValue>),
    /// The last one.
    Final(Result<Box<RawValue>, MethodError>),
}

impl InvokeReply {
    /// `None` for a kind that is not known here, which is passed over.
    fn parse(kind: i32, json: &[u8]) -> Option<Self> {
        let raw = || serde_json::from_slice::<Box<RawValue>>(json);
        Some(match kind {
            GWP_INTERIM => raw().map_or_else(|error| InvokeReply::Final(Err(error.into())), InvokeReply::Interim),
            GWP_FINAL => InvokeReply::Final(raw().map_err(MethodError::from)),
            GWP_ERROR_PAYLOAD => {
                #[derive(serde::Deserialize)]
                struct Both {
                    error: schemas::frame::LooseError,
                }
                InvokeReply::Final(Err(serde_json::from_slice::<Both>(json)
                    .map_or_else(MethodError::from, |both| MethodError::from_shape(both.error.into()))))
            }
            GWP_ERROR => InvokeReply::Final(Err(serde_json::from_slice::<schemas::frame::LooseError>(json)
                .map_or_else(MethodError::from, |error| MethodError::from_shape(error.into())))),
            _ => return None,
        })
    }
}

#[derive(Default)]
struct ReplyQueue {
    replies: VecDeque<InvokeReply>,
    waker: Option<Waker>,
}

impl ReplyQueue {
    fn push(queue: &Mutex<Self>, reply: InvokeReply) {
        let waker = {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.replies.push_back(reply);
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The answers of a call; see [`Invoke::replies`].
pub struct Replies {
    queue: Arc<Mutex<ReplyQueue>>,
    call: Option<InvokedCall>,
    _authority: Option<Principal>,
}

impl Replies {
    /// Waits for the next answer. After the final one it waits for ever.
    pub async fn next(&mut self) -> InvokeReply {
        let reply = std::future::poll_fn(|context| {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            match queue.replies.pop_front() {
                Some(reply) => Poll::Ready(reply),
                None => {
                    queue.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        if matches!(reply, InvokeReply::Final(_)) {
            self.call = None;
        }
        reply
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            call.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_a_kind_that_is_not_known_is_passed_over() {
        assert!(InvokeReply::parse(99, b"{}").is_none());
        assert!(matches!(InvokeReply::parse(GWP_INTERIM, b"1"), Some(InvokeReply::Interim(_))));
        for kind in [GWP_FINAL, GWP_ERROR, GWP_ERROR_PAYLOAD] {
            assert!(matches!(InvokeReply::parse(kind, b"{}"), Some(InvokeReply::Final(_))), "{kind}");
        }
    }
}
