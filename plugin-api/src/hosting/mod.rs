//! The host's side of the boundary, safe to use: [`HostServices`] is what a host offers one instance, [`Instance`] is one
//! running instance. The gateway and the test kit stand on this module, so what a plugin sees of either is one and the
//! same table, and the pointers of the interface are touched here and in `glue` only.

mod answer;
mod instance;
#[cfg(feature = "load")]
mod library;
mod table;

use std::ffi::c_void;

pub use answer::AnswerHead;
pub use instance::{EntryError, Instance, StartFailure, manifest};
#[cfg(feature = "load")]
pub use library::{OpenError, open};

use crate::abi::*;

/// What a host offers one plugin instance. Every method is `[any]`: called from any thread, never blocks, and never
/// calls into that plugin, except for the sinks of [`HostServices::kv_get`], [`HostServices::kv_scan`] and
/// [`HostServices::caller`], which run inside.
///
/// Results are the interface's codes: `GWP_OK` or one of the negative ones.
pub trait HostServices: Send + Sync + 'static {
    /// Whether the extension with this id is served to this instance.
    fn offers(&self, extension: &str) -> bool;
    /// An answer to a call.
    fn reply(&self, call: gwp_call, kind: i32, json: &[u8]) -> i32;
    /// An event to publish.
    fn emit(&self, event: EmittedEvent<'_>) -> i32;
    /// A line for the log.
    fn log(&self, level: i32, target: &str, message: &str, fields: &str) -> i32;

    /// Runs the job soon, on a worker.
    fn soon(&self, job: Job) -> i32;
    /// Runs the job after `ms`, on a worker.
    fn after(&self, ms: u64, job: Job, number: Told<'_>) -> i32;
    /// `GWP_OK`: the job will not run any more.
    fn cancel_timer(&self, timer: u64) -> i32;
    /// Runs the job where it may block.
    fn blocking(&self, job: Job) -> i32;

    /// Calls a method; the sink hears its replies.
    fn invoke(&self, request: Invocation<'_>, sink: Sink, number: Told<'_>) -> i32;
    /// `GWP_OK`: the sink will not run any more.
    fn cancel_invoke(&self, call: gwp_call) -> i32;

    /// The value of a key, given to the sink.
    fn kv_get(&self, key: &str, sink: &mut dyn FnMut(i32, &[u8])) -> i32;
    /// All entries with this prefix, given to the sink.
    fn kv_scan(&self, prefix: &str, sink: &mut dyn FnMut(i32, &[u8])) -> i32;
    /// A batch of writes, all or nothing.
    fn kv_write(&self, ops: &[KvWrite<'_>], durable: Sink) -> i32;

    /// Hears events whose name matches.
    fn subscribe(&self, pattern: &str, sink: Sink, number: Told<'_>) -> i32;
    /// `GWP_OK`: the sink will not run any more.
    fn unsubscribe(&self, subscription: u64) -> i32;

    /// Who asks, given to the sink.
    fn caller(&self, call: gwp_call, sink: &mut dyn FnMut(i32, &[u8])) -> i32;
    /// Keeps the caller's authority beyond the call.
    fn retain(&self, call: gwp_call) -> Result<gwp_principal, i32>;
    /// Gives it back.
    fn release(&self, principal: gwp_principal) -> i32;

    /// Stores the latest value of a part of the snapshot.
    fn publish(&self, key: &str, json: &[u8]) -> i32;

    /// Begins the answer of an exchange; the headers are JSON text, unchecked.
    fn http_head(&self, exchange: gwp_exchange, status: u32, headers: &[u8]) -> i32;
    /// More of the answer, or a message.
    fn http_write(&self, exchange: gwp_exchange, kind: i32, data: &[u8]) -> i32;
    /// The answer is complete, or the WebSocket is closed.
    fn http_end(&self, exchange: gwp_exchange, code: u32, reason: &str) -> i32;
    /// Lets this many more bytes come.
    fn http_read(&self, exchange: gwp_exchange, bytes: u64) -> i32;
    /// Cuts the connection.
    fn http_abort(&self, exchange: gwp_exchange) -> i32;
}

/// Where the number of what is begun goes. It is told before anything of it can run: the plugin may free the place to which it
/// is written from within what runs. 0 takes it back.
pub type Told<'a> = &'a mut dyn FnMut(u64);

/// An event as a plugin emits it.
#[derive(Debug, Clone, Copy)]
pub struct EmittedEvent<'a> {
    /// Its name.
    pub name: &'a str,
    /// JSON text, unchecked.
    pub payload: &'a [u8],
    /// `None`: broadcast.
    pub conns: Option<&'a [u64]>,
    /// `GWP_EV_…`
    pub flags: u32,
}

/// A call as a plugin starts it.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// See [`gwp_principal`].
    pub authority: gwp_principal,
    /// The method's name.
    pub method: &'a str,
    /// JSON text, unchecked.
    pub params: &'a [u8],
    /// 0: the method's own.
    pub timeout_ms: u64,
}

/// One write of a batch.
#[derive(Debug, Clone, Copy)]
pub struct KvWrite<'a> {
    /// The key.
    pub key: &'a str,
    /// The new value; `None` deletes.
    pub value: Option<&'a str>,
    /// Only if nothing is there.
    pub if_absent: bool,
    /// Only if this is there.
    pub if_equal: Option<&'a str>,
}

/// A callback of a plugin, to be run exactly once.
#[derive(Debug)]
pub struct Job {
    func: gwp_fn,
    user: *mut c_void,
}

// SAFETY: the interface says of every `gwp_fn` handed over that any thread may run it.
unsafe impl Send for Job {}

impl Job {
    /// Runs it.
    pub fn run(self) {
        // SAFETY: the plugin handed over `func` with this `user` to be run once, and `self` is used up.
        unsafe { (self.func)(self.user) }
    }
}

/// A place of a plugin that hears values.
#[derive(Debug, Clone, Copy)]
pub struct Sink {
    func: gwp_sink,
    user: *mut c_void,
}

// SAFETY: the interface says of every `gwp_sink` handed over that any thread may call it.
unsafe impl Send for Sink {}
// SAFETY: as above; the host calls one sink from one thread at a time.
unsafe impl Sync for Sink {}

impl Sink {
    /// Tells it a value.
    pub fn send(&self, kind: i32, json: &[u8]) {
        // SAFETY: `user` belongs to `func`, and the slice outlives the call.
        unsafe { (self.func)(self.user, kind, gwp_bytes::of(json)) }
    }
}

/// An HTTP request as the host hands it to an instance.
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest<'a> {
    /// The number to answer to.
    pub exchange: gwp_exchange,
    /// `GWP_HTTP_REQ_…`
    pub flags: u32,
    /// Bytes of the body; [`GWP_HTTP_LENGTH_UNKNOWN`] if nobody knows.
    pub body_len: u64,
    /// `GET`, `POST`, …
    pub verb: &'a str,
    /// The path.
    pub path: &'a str,
    /// What follows `?`.
    pub query: Option<&'a str>,
    /// The path of the manifest's row.
    pub route: &'a str,
    /// A [`crate::http::Head`] as JSON.
    pub head: &'a str,
}

/// A request as the host hands it to an instance.
#[derive(Debug, Clone, Copy)]
pub struct CallRequest<'a> {
    /// The number to answer to.
    pub call: gwp_call,
    /// The connection; 0 is the host or another plugin.
    pub conn: u64,
    /// Milliseconds from now; 0 is none.
    pub deadline_ms: u64,
    /// `GWP_REQ_…`
    pub flags: u32,
    /// The method's name.
    pub method: &'a str,
    /// JSON text, valid against the method's schema.
    pub params: &'a [u8],
    /// The key, for methods that take one.
    pub idempotency_key: Option<&'a str>,
    /// The trace it belongs to.
    pub traceparent: Option<&'a str>,
}
