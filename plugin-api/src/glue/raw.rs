//! The host's table with its pointers wrapped: everything above this file is safe code.

use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::runtime::Inside;
use super::spare::{Job, Place, Spare};
use super::task::Working;
use crate::abi::*;

/// The host as this instance sees it. Copies are free; the table behind it is never freed.
#[derive(Clone, Copy)]
pub(crate) struct RawHost {
    table: &'static gwp_host,
    extensions: &'static Extensions,
}

// SAFETY: the interface lets any thread call the host's functions, and nobody writes the tables.
unsafe impl Send for RawHost {}
// SAFETY: as above.
unsafe impl Sync for RawHost {}

/// What is settled once, when the instance is created: the tables, any of which a host may withhold, and where the
/// plugin's code runs.
struct Extensions {
    inside: Option<Inside>,
    spare: Spare,
    exec: Option<&'static gwp_exec_v1>,
    invoke: Option<&'static gwp_invoke_v1>,
    kv: Option<&'static gwp_kv_v1>,
    events: Option<&'static gwp_events_v1>,
    caller: Option<&'static gwp_caller_v1>,
    snapshot: Option<&'static gwp_snapshot_v1>,
    http: Option<&'static gwp_http_v1>,
}

impl RawHost {
    /// # Safety
    /// `table` is the pointer that the host passed to `create`.
    pub(super) unsafe fn new(table: *const gwp_host, inside: Option<Inside>) -> Self {
        // SAFETY: the interface says the table stays readable until the process ends.
        let table = unsafe { &*table };
        /// # Safety
        /// The host's table `T` is the one this id stands for.
        unsafe fn find<T>(table: &'static gwp_host, id: &str) -> Option<&'static T> {
            // SAFETY: the id outlives the call; a table behind an id is static and never changes.
            unsafe { (table.extension)(table, gwp_bytes::text(id)).cast::<T>().as_ref() }
        }
        // SAFETY: each id is paired with its table's type.
        let extensions = unsafe {
            Extensions {
                inside,
                spare: Spare::default(),
                exec: find(table, extension::EXEC),
                invoke: find(table, extension::INVOKE),
                kv: find(table, extension::KV),
                events: find(table, extension::EVENTS),
                caller: find(table, extension::CALLER),
                snapshot: find(table, extension::SNAPSHOT),
                http: find(table, extension::HTTP),
            }
        };
        RawHost { table, extensions: Box::leak(Box::new(extensions)) }
    }

    /// Whether both are the same instance's.
    pub(super) fn is(self, other: RawHost) -> bool {
        std::ptr::eq(self.table, other.table)
    }

    pub(crate) fn reply(self, call: gwp_call, kind: i32, json: &[u8]) -> i32 {
        // SAFETY: the slice outlives the call.
        unsafe { (self.table.reply)(self.table, call, kind, gwp_bytes::of(json)) }
    }

    pub(crate) fn emit(self, name: &str, payload: &[u8], conns: Option<&[u64]>, flags: u32) -> i32 {
        let event = gwp_event {
            size: size_of::<gwp_event>() as u32,
            flags,
            name: gwp_bytes::text(name),
            payload: gwp_bytes::of(payload),
            conns: conns.map_or(std::ptr::null(), <[u64]>::as_ptr),
            n_conns: conns.map_or(0, <[u64]>::len),
        };
        // SAFETY: the record and what it points to outlive the call.
        unsafe { (self.table.emit)(self.table, &event) }
    }

    pub(crate) fn log(self, level: i32, target: &str, message: &str, fields: &str) -> i32 {
        let fields = if fields.is_empty() { gwp_bytes::ABSENT } else { gwp_bytes::text(fields) };
        // SAFETY: the slices outlive the call.
        unsafe { (self.table.log)(self.table, level, gwp_bytes::text(target), gwp_bytes::text(message), fields) }
    }

    /// Runs the plugin's code where its registration said; a panic is the error.
    pub(super) fn attempt<R>(self, body: impl FnOnce() -> R) -> std::thread::Result<R> {
        catch_unwind(AssertUnwindSafe(|| {
            let Some(inside) = self.extensions.inside else { return body() };
            let (mut body, mut value) = (Some(body), None);
            inside(&mut || value = body.take().map(|body| body()));
            value.expect("the surroundings run what they are given, once")
        }))
    }

    /// Runs the plugin's code; a panic stays here and its message goes to the log.
    pub(crate) fn contain<R>(self, body: impl FnOnce() -> R) -> Option<R> {
        let panic = match self.attempt(body) {
            Ok(value) => return Some(value),
            Err(panic) => panic,
        };
        self.log(1, "panic", super::panic_text(&*panic), "");
        let_go(panic);
        None
    }

    pub(super) fn fail(self, why: &str) {
        // SAFETY: the slice outlives the call; only `create` and `start` of the glue call this.
        unsafe { (self.table.fail)(self.table, gwp_bytes::text(why)) }
    }

    /// Hands over a callback that owns `user`; on failure the caller owns it again.
    ///
    /// # Safety
    /// `func` may be called once, from any thread, with `user`.
    pub(super) unsafe fn soon_with(self, func: gwp_fn, user: *mut c_void) -> i32 {
        match self.extensions.exec {
            // SAFETY: the caller's promise.
            Some(exec) => unsafe { (exec.soon)(self.table, func, user) },
            None => GWP_UNSUPPORTED,
        }
    }

    /// Runs this on a thread of the plugin's own, since the host has no room for it; false if there can be none.
    pub(super) fn run_spare(self, job: impl FnOnce() + Send + 'static) -> bool {
        self.extensions.spare.run(Box::new(job))
    }

    /// A host that has as many timers of this plugin as it keeps costs the plugin a thread, and no timer.
    pub(crate) fn after(self, ms: u64, job: impl FnOnce() + Send + 'static) -> Result<Timer, i32> {
        let exec = self.extensions.exec.ok_or(GWP_UNSUPPORTED)?;
        let job = OwnedJob::new(move || {
            self.contain(job);
        });
        let mut id = 0;
        // SAFETY: the job is handed over and runs once, or is taken back below or by `Timer::cancel`.
        match unsafe { (exec.after)(self.table, ms, OwnedJob::run, job.0, &mut id) } {
            GWP_OK => Ok(Timer { host: self, kept: Kept::ByHost { id, job: job.0 as usize } }),
            code => {
                // SAFETY: the host did not take it.
                let job = unsafe { job.reclaim() };
                let place = if code == GWP_BUSY { self.extensions.spare.after(ms, job) } else { None };
                place.map(|place| Timer { host: self, kept: Kept::Spare(place) }).ok_or(code)
            }
        }
    }

    pub(crate) fn blocking(self, job: impl FnOnce() + Send + 'static) -> Result<(), i32> {
        let exec = self.extensions.exec.ok_or(GWP_UNSUPPORTED)?;
        let job = OwnedJob::new(move || {
            self.contain(job);
        });
        // SAFETY: the job is handed over and runs once, or is taken back below.
        match unsafe { (exec.blocking)(self.table, OwnedJob::run, job.0) } {
            GWP_OK => Ok(()),
            code => {
                // SAFETY: the host did not take it.
                drop(unsafe { job.reclaim() });
                Err(code)
            }
        }
    }

    pub(crate) fn invoke(
        self,
        authority: gwp_principal,
        method: &str,
        params: &[u8],
        timeout_ms: u64,
        on_reply: impl Fn(i32, &[u8]) + Send + Sync + 'static,
    ) -> Result<InvokedCall, i32> {
        let invoke = self.extensions.invoke.ok_or(GWP_UNSUPPORTED)?;
        let listener = OwnedListener::new(on_reply);
        let (method, params) = (gwp_bytes::text(method), gwp_bytes::of(params));
        let mut call = 0;
        // SAFETY: the listener is handed over; it frees itself at the final reply, or is taken back below or by
        // `InvokedCall::cancel`. The slices outlive the call.
        let code = unsafe {
            let sink = OwnedListener::hear_until_final;
            (invoke.start)(self.table, authority, method, params, timeout_ms, sink, listener.0, &mut call)
        };
        if code != GWP_OK {
            // SAFETY: the host did not take it.
            unsafe { listener.reclaim() };
            return Err(code);
        }
        Ok(InvokedCall { host: self, call, listener: listener.0 as usize })
    }

    pub(crate) fn subscribe(
        self,
        pattern: &str,
        begin: impl Fn() -> Option<Working> + Send + Sync + 'static,
        on_event: impl Fn(i32, &[u8]) + Send + Sync + 'static,
    ) -> Result<RawSubscription, i32> {
        let events = self.extensions.events.ok_or(GWP_UNSUPPORTED)?;
        let cell: Arc<ListenerCell> = Arc::new(Mutex::new(Some(Arc::new(on_event))));
        let heard = cell.clone();
        let listener = OwnedListener::new(move |kind, json| {
            // Declared first, so dropped last: what counts as running includes letting go of the closure.
            let Some(_working) = begin() else { return };
            let listener = heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(listener) = listener {
                self.contain(|| listener(kind, json));
            }
        });
        let mut id = 0;
        // SAFETY: the listener is handed over until `unsubscribe` says the sink runs no more.
        let code = unsafe {
            (events.subscribe)(self.table, gwp_bytes::text(pattern), OwnedListener::hear, listener.0, &mut id)
        };
        if code != GWP_OK {
            // SAFETY: the host did not take it.
            unsafe { listener.reclaim() };
            return Err(code);
        }
        Ok(RawSubscription { host: self, id, listener: listener.0 as usize, cell, cancelled: AtomicBool::new(false) })
    }

    pub(crate) fn kv_get(self, key: &str, mut sink: impl FnMut(i32, &[u8])) -> i32 {
        let Some(kv) = self.extensions.kv else { return GWP_UNSUPPORTED };
        with_borrowed_sink(&mut sink, |func, user| {
            // SAFETY: the sink is called inside only, while `sink` is borrowed.
            unsafe { (kv.get)(self.table, gwp_bytes::text(key), func, user) }
        })
    }

    pub(crate) fn kv_scan(self, prefix: &str, mut sink: impl FnMut(i32, &[u8])) -> i32 {
        let Some(kv) = self.extensions.kv else { return GWP_UNSUPPORTED };
        with_borrowed_sink(&mut sink, |func, user| {
            // SAFETY: the sink is called inside only, while `sink` is borrowed.
            unsafe { (kv.scan)(self.table, gwp_bytes::text(prefix), func, user) }
        })
    }

    pub(crate) fn kv_write(
        self,
        ops: &[gwp_kv_op],
        durable: impl Fn(i32, &[u8]) + Send + Sync + 'static,
    ) -> Result<(), i32> {
        let kv = self.extensions.kv.ok_or(GWP_UNSUPPORTED)?;
        let listener = OwnedListener::new(durable);
        // SAFETY: the records outlive the call; the listener is called once and then frees itself.
        match unsafe { (kv.write)(self.table, ops.as_ptr(), ops.len(), OwnedListener::hear_once, listener.0) } {
            GWP_OK => Ok(()),
            code => {
                // SAFETY: the host did not take it.
                unsafe { listener.reclaim() };
                Err(code)
            }
        }
    }

    pub(crate) fn caller(self, call: gwp_call, mut sink: impl FnMut(i32, &[u8])) -> i32 {
        let Some(caller) = self.extensions.caller else { return GWP_UNSUPPORTED };
        with_borrowed_sink(&mut sink, |func, user| {
            // SAFETY: the sink is called inside only, while `sink` is borrowed.
            unsafe { (caller.get)(self.table, call, func, user) }
        })
    }

    pub(crate) fn retain(self, call: gwp_call) -> Result<gwp_principal, i32> {
        let caller = self.extensions.caller.ok_or(GWP_UNSUPPORTED)?;
        let mut principal = 0;
        // SAFETY: `principal` is writable.
        match unsafe { (caller.retain)(self.table, call, &mut principal) } {
            GWP_OK => Ok(principal),
            code => Err(code),
        }
    }

    pub(crate) fn release(self, principal: gwp_principal) {
        if let Some(caller) = self.extensions.caller {
            // SAFETY: a number.
            unsafe { (caller.release)(self.table, principal) };
        }
    }

    pub(crate) fn publish(self, key: &str, json: &[u8]) -> i32 {
        let Some(snapshot) = self.extensions.snapshot else { return GWP_UNSUPPORTED };
        // SAFETY: the slices outlive the call.
        unsafe { (snapshot.publish)(self.table, gwp_bytes::text(key), gwp_bytes::of(json)) }
    }

    pub(crate) fn http_head(self, exchange: gwp_exchange, status: u32, headers: &[u8]) -> i32 {
        let Some(http) = self.extensions.http else { return GWP_UNSUPPORTED };
        // SAFETY: the slice outlives the call.
        unsafe { (http.head)(self.table, exchange, status, gwp_bytes::of(headers)) }
    }

    pub(crate) fn http_write(self, exchange: gwp_exchange, kind: i32, data: &[u8]) -> i32 {
        let Some(http) = self.extensions.http else { return GWP_UNSUPPORTED };
        // SAFETY: the slice outlives the call.
        unsafe { (http.write)(self.table, exchange, kind, gwp_bytes::of(data)) }
    }

    pub(crate) fn http_end(self, exchange: gwp_exchange, code: u32, reason: &str) -> i32 {
        let Some(http) = self.extensions.http else { return GWP_UNSUPPORTED };
        // SAFETY: the slice outlives the call.
        unsafe { (http.end)(self.table, exchange, code, gwp_bytes::text(reason)) }
    }

    pub(crate) fn http_read(self, exchange: gwp_exchange, bytes: u64) -> i32 {
        let Some(http) = self.extensions.http else { return GWP_UNSUPPORTED };
        // SAFETY: numbers.
        unsafe { (http.read)(self.table, exchange, bytes) }
    }

    pub(crate) fn http_abort(self, exchange: gwp_exchange) -> i32 {
        let Some(http) = self.extensions.http else { return GWP_UNSUPPORTED };
        // SAFETY: a number.
        unsafe { (http.abort)(self.table, exchange) }
    }
}

/// Drops what a panic threw, which may panic in its turn: that value is lost rather than let out.
pub(super) fn let_go(panic: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(move || drop(panic))) {
        std::mem::forget(again);
    }
}

/// A timer that is set.
pub(crate) struct Timer {
    host: RawHost,
    kept: Kept,
}

/// Who keeps a timer.
enum Kept {
    /// The host, under this number, with this job.
    ByHost { id: u64, job: usize },
    /// The plugin's own thread, in this place.
    Spare(Place),
}

impl Timer {
    /// Takes the job back, unless it runs or has run.
    pub(crate) fn cancel(self) {
        let (id, job) = match self.kept {
            Kept::ByHost { id, job } => (id, job),
            Kept::Spare(place) => return self.host.extensions.spare.cancel(place),
        };
        let Some(exec) = self.host.extensions.exec else { return };
        // SAFETY: numbers; GWP_OK says the job will not run any more, so it is ours again.
        unsafe {
            if (exec.cancel)(self.host.table, id) == GWP_OK {
                drop(OwnedJob(job as *mut c_void).reclaim());
            }
        }
    }
}

/// A call to another method, on its way.
pub(crate) struct InvokedCall {
    host: RawHost,
    call: gwp_call,
    listener: usize,
}

impl InvokedCall {
    /// Ends it, unless its final reply is on its way already.
    pub(crate) fn cancel(self) {
        let Some(invoke) = self.host.extensions.invoke else { return };
        // SAFETY: numbers; GWP_OK says the sink will not run any more, so the listener is ours again.
        unsafe {
            if (invoke.cancel)(self.host.table, self.call) == GWP_OK {
                OwnedListener(self.listener as *mut c_void).reclaim();
            }
        }
    }
}

/// A subscription in force.
pub(crate) struct RawSubscription {
    host: RawHost,
    id: u64,
    listener: usize,
    cell: Arc<ListenerCell>,
    cancelled: AtomicBool,
}

/// The plugin's closure, taken out when the subscription ends.
type ListenerCell = Mutex<Option<Arc<dyn Fn(i32, &[u8]) + Send + Sync>>>;

impl RawSubscription {
    /// Ends it; a second time does nothing. When the host is calling the sink right now, the few bytes of the sink are
    /// leaked, since freeing them would be wrong; the plugin's closure and what it holds go in any case.
    pub(crate) fn cancel(&self) {
        if self.cancelled.swap(true, Ordering::AcqRel) {
            return;
        }
        let listener = self.cell.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.host.contain(|| drop(listener));
        let Some(events) = self.host.extensions.events else { return };
        // SAFETY: numbers; GWP_OK says the sink will not run any more, so the listener is ours again. The flag above
        // lets one caller in.
        unsafe {
            if (events.unsubscribe)(self.host.table, self.id) == GWP_OK {
                OwnedListener(self.listener as *mut c_void).reclaim();
            }
        }
    }
}

/// A closure on its way to being run once by the host.
struct OwnedJob(*mut c_void);

impl OwnedJob {
    fn new(job: impl FnOnce() + Send + 'static) -> Self {
        OwnedJob(Box::into_raw(Box::new(Box::new(job) as Job)).cast())
    }

    /// # Safety
    /// Nobody will run it.
    unsafe fn reclaim(self) -> Job {
        // SAFETY: made by `new`; the caller's promise.
        *unsafe { Box::from_raw(self.0.cast::<Job>()) }
    }

    unsafe extern "C" fn run(user: *mut c_void) {
        // SAFETY: made by `new`, and the host runs it once.
        let job = unsafe { Box::from_raw(user.cast::<Job>()) };
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

/// A closure that the host calls with values.
struct OwnedListener(*mut c_void);

type BoxedListener = Box<dyn Fn(i32, &[u8]) + Send + Sync>;

impl OwnedListener {
    fn new(listener: impl Fn(i32, &[u8]) + Send + Sync + 'static) -> Self {
        OwnedListener(Box::into_raw(Box::new(Box::new(listener) as BoxedListener)).cast())
    }

    /// # Safety
    /// Nobody will call it any more.
    unsafe fn reclaim(self) {
        // SAFETY: made by `new`; the caller's promise.
        drop(unsafe { Box::from_raw(self.0.cast::<BoxedListener>()) });
    }

    unsafe extern "C" fn hear(user: *mut c_void, kind: i32, json: gwp_bytes) {
        // SAFETY: made by `new` and not yet taken back; the bytes are lent for this call.
        let (listener, json) = unsafe { (&*user.cast::<BoxedListener>(), json.bytes()) };
        let _ = catch_unwind(AssertUnwindSafe(|| listener(kind, json)));
    }

    unsafe extern "C" fn hear_until_final(user: *mut c_void, kind: i32, json: gwp_bytes) {
        // SAFETY: as for `hear`; after a final reply the host calls no more.
        unsafe {
            Self::hear(user, kind, json);
            if matches!(kind, GWP_FINAL | GWP_ERROR | GWP_ERROR_PAYLOAD) {
                OwnedListener(user).reclaim();
            }
        }
    }

    unsafe extern "C" fn hear_once(user: *mut c_void, kind: i32, json: gwp_bytes) {
        // SAFETY: as for `hear`; the host calls it once.
        unsafe {
            Self::hear(user, kind, json);
            OwnedListener(user).reclaim();
        }
    }
}

/// Lends a closure as a sink for the length of one host function.
fn with_borrowed_sink<S: FnMut(i32, &[u8])>(sink: &mut S, body: impl FnOnce(gwp_sink, *mut c_void) -> i32) -> i32 {
    unsafe extern "C" fn hear<S: FnMut(i32, &[u8])>(user: *mut c_void, kind: i32, json: gwp_bytes) {
        // SAFETY: `user` is the borrowed closure below, alive while the host function runs; the bytes are lent.
        let (sink, json) = unsafe { (&mut *user.cast::<S>(), json.bytes()) };
        let _ = catch_unwind(AssertUnwindSafe(|| sink(kind, json)));
    }
    body(hear::<S>, (sink as *mut S).cast())
}
