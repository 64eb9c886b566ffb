//! The host's side of the boundary, safe to use: [`HostServices`] is what a host offers one instance, [`Instance`] is one
//! running instance. The gateway and the test kit stand on this module, so what a plugin sees of either is one and the
//! same table, and the pointers of the interface are touched here and in `glue` only.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

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
    fn after(&self, ms: u64, job: Job) -> Result<u64, i32>;
    /// `GWP_OK`: the job will not run any more.
    fn cancel_timer(&self, timer: u64) -> i32;
    /// Runs the job where it may block.
    fn blocking(&self, job: Job) -> i32;

    /// Calls a method; the sink hears its replies.
    fn invoke(&self, request: Invocation<'_>, sink: Sink) -> Result<gwp_call, i32>;
    /// `GWP_OK`: the sink will not run any more.
    fn cancel_invoke(&self, call: gwp_call) -> i32;

    /// The value of a key, given to the sink.
    fn kv_get(&self, key: &str, sink: &mut dyn FnMut(i32, &[u8])) -> i32;
    /// All entries with this prefix, given to the sink.
    fn kv_scan(&self, prefix: &str, sink: &mut dyn FnMut(i32, &[u8])) -> i32;
    /// A batch of writes, all or nothing.
    fn kv_write(&self, ops: &[KvWrite<'_>], durable: Sink) -> i32;

    /// Hears events whose name matches.
    fn subscribe(&self, pattern: &str, sink: Sink) -> Result<u64, i32>;
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
}

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
}

/// Why an entry or an instance cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryError {
    /// The magic number is not that of this interface.
    Magic(u32),
    /// The table is shorter than this major's.
    Size(u32),
    /// The manifest is not UTF-8.
    Manifest,
    /// `create` failed: its code and what it told the operator.
    Create(i32, String),
}

impl std::fmt::Display for EntryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            EntryError::Magic(found) => {
                write!(f, "magic number {found:#010x} instead of {GWP_MAGIC:#010x}: not a plugin of this interface")
            }
            EntryError::Size(found) => {
                write!(f, "entry table of {found} bytes, shorter than the {} of gwp 1", size_of::<gwp_entry>())
            }
            EntryError::Manifest => f.write_str("the manifest is not UTF-8 text"),
            EntryError::Create(code, why) if why.is_empty() => {
                write!(f, "create failed with code {code} and no reason")
            }
            EntryError::Create(_, why) => f.write_str(why),
        }
    }
}

impl std::error::Error for EntryError {}

/// The manifest text of an entry, after its header was checked.
pub fn manifest(entry: &'static gwp_entry) -> Result<&'static str, EntryError> {
    if entry.magic != GWP_MAGIC {
        return Err(EntryError::Magic(entry.magic));
    }
    if (entry.size as usize) < size_of::<gwp_entry>() {
        return Err(EntryError::Size(entry.size));
    }
    let mut out = gwp_bytes::ABSENT;
    // SAFETY: `out` is writable; the interface says manifest bytes are static.
    unsafe {
        (entry.manifest)(&mut out);
        out.str().ok_or(EntryError::Manifest)
    }
}

/// One running instance of a plugin.
pub struct Instance {
    plugin: gwp_plugin,
}

// SAFETY: the interface lets the host call an instance from any of its threads; the host keeps the `[control]` order.
unsafe impl Send for Instance {}
// SAFETY: `call` and `cancel` are `[worker]`: several at once.
unsafe impl Sync for Instance {}

impl Instance {
    /// `[control]` Makes an instance that sees the host as `services`.
    pub fn create(
        entry: &'static gwp_entry,
        services: Arc<dyn HostServices>,
        setup_json: &str,
    ) -> Result<Instance, EntryError> {
        let context = HostContext::leak(services);
        let mut plugin = gwp_plugin { size: size_of::<gwp_plugin>() as u32, ..EMPTY_PLUGIN };
        // SAFETY: the table is never freed; `setup_json` outlives the call; `plugin` is writable and says its size.
        let code = unsafe { (entry.create)(&context.table, gwp_bytes::text(setup_json), &mut plugin) };
        if code != GWP_OK {
            let why = context.failure.lock().map(|mut why| std::mem::take(&mut *why)).unwrap_or_default();
            return Err(EntryError::Create(code, why));
        }
        Ok(Instance { plugin })
    }

    /// `[control]` Goes live.
    pub fn start(&self) -> Result<(), i32> {
        // SAFETY: `self_` is what `create` filled in, and `destroy` has not run: it takes `self`.
        match unsafe { (self.plugin.start)(self.plugin.self_) } {
            GWP_OK => Ok(()),
            code => Err(code),
        }
    }

    /// `[worker]` Hands over a request; the answer comes through [`HostServices::reply`], perhaps before this returns.
    pub fn call(&self, request: &CallRequest<'_>) {
        let record = gwp_request {
            size: size_of::<gwp_request>() as u32,
            flags: request.flags,
            call: request.call,
            conn: request.conn,
            deadline_ms: request.deadline_ms,
            method: gwp_bytes::text(request.method),
            params: gwp_bytes::of(request.params),
            idempotency_key: request.idempotency_key.map_or(gwp_bytes::ABSENT, gwp_bytes::text),
        };
        // SAFETY: the record and what it points to outlive the call.
        unsafe { (self.plugin.call)(self.plugin.self_, &record) }
    }

    /// `[worker]` Says that a call has ended without the plugin.
    pub fn cancel(&self, call: gwp_call, reason: i32) {
        // SAFETY: `self_` is alive; the number may be any.
        unsafe { (self.plugin.cancel)(self.plugin.self_, call, reason) }
    }

    /// `[control]` No new work of its own; `done` runs when that is so.
    pub fn quiesce(&self, done: impl FnOnce() + Send + 'static) {
        let (func, user) = completion(done);
        // SAFETY: `self_` is alive; `func` takes this `user`, however often it is called.
        unsafe { (self.plugin.quiesce)(self.plugin.self_, func, user) }
    }

    /// `[control]` The end; `done` runs when nothing of the plugin runs any more.
    pub fn stop(&self, done: impl FnOnce() + Send + 'static) {
        let (func, user) = completion(done);
        // SAFETY: as for `quiesce`.
        unsafe { (self.plugin.stop)(self.plugin.self_, func, user) }
    }

    /// `[control]` Frees it, after `done` of [`Instance::stop`]. An instance that never said done is leaked instead.
    pub fn destroy(self) {
        // SAFETY: `self` is used up, so nothing is called on it after this.
        unsafe { (self.plugin.destroy)(self.plugin.self_) }
    }
}

/// A completion callback that survives being called twice: what it points to is never freed, only emptied.
fn completion(done: impl FnOnce() + Send + 'static) -> (gwp_fn, *mut c_void) {
    type Slot = Mutex<Option<Box<dyn FnOnce() + Send>>>;
    unsafe extern "C" fn run(user: *mut c_void) {
        // SAFETY: `user` is the leaked slot made below.
        let slot = unsafe { &*user.cast::<Slot>() };
        let done = slot.lock().ok().and_then(|mut slot| slot.take());
        if let Some(done) = done {
            let _ = catch_unwind(AssertUnwindSafe(done));
        }
    }
    let slot: Box<Slot> = Box::new(Mutex::new(Some(Box::new(done))));
    (run, Box::into_raw(slot).cast())
}

/// The table an instance sees, and what its functions reach through `ctx`. Leaked on purpose, one an instance: a stray
/// thread of a plugin may read it until the process ends.
struct HostContext {
    table: gwp_host,
    services: Arc<dyn HostServices>,
    failure: Mutex<String>,
}

// SAFETY: `ctx` points back to the leaked value itself; everything else in it is Send and Sync.
unsafe impl Send for HostContext {}
// SAFETY: as above; the table is never written after it was made.
unsafe impl Sync for HostContext {}

impl HostContext {
    fn leak(services: Arc<dyn HostServices>) -> &'static HostContext {
        let table = gwp_host {
            size: size_of::<gwp_host>() as u32,
            abi_minor: GWP_ABI_MINOR,
            ctx: std::ptr::null_mut(),
            extension,
            reply,
            emit,
            log,
            fail,
        };
        let context = Box::new(HostContext { table, services, failure: Mutex::new(String::new()) });
        let address = Box::into_raw(context);
        // SAFETY: just made and never freed. Everything goes through the one pointer that is kept in `ctx`: a write
        // through another path would make later reads through it unsound.
        unsafe {
            (*address).table.ctx = address.cast();
            &*address
        }
    }
}

const EMPTY_PLUGIN: gwp_plugin = {
    unsafe extern "C" fn start(_: *mut c_void) -> i32 {
        GWP_UNSUPPORTED
    }
    unsafe extern "C" fn call(_: *mut c_void, _: *const gwp_request) {}
    unsafe extern "C" fn cancel(_: *mut c_void, _: gwp_call, _: i32) {}
    unsafe extern "C" fn finish(_: *mut c_void, done: gwp_fn, user: *mut c_void) {
        // SAFETY: the host handed over both.
        unsafe { done(user) }
    }
    unsafe extern "C" fn destroy(_: *mut c_void) {}
    unsafe extern "C" fn extension(_: *mut c_void, _: gwp_bytes) -> *const c_void {
        std::ptr::null()
    }
    gwp_plugin {
        size: 0,
        flags: 0,
        self_: std::ptr::null_mut(),
        start,
        call,
        cancel,
        quiesce: finish,
        stop: finish,
        destroy,
        extension,
    }
};

/// Runs a host function: finds the services behind the table, keeps a panic on this side.
fn with<R>(host: *const gwp_host, on_panic: R, body: impl FnOnce(&'static HostContext) -> R) -> R {
    if host.is_null() {
        return on_panic;
    }
    // SAFETY: the interface says `host` is the table given to `create`, whose `ctx` is the leaked context.
    let context = unsafe { &*(*host).ctx.cast::<HostContext>() };
    catch_unwind(AssertUnwindSafe(|| body(context))).unwrap_or(on_panic)
}

/// A text argument of a plugin.
///
/// # Safety
/// As for [`gwp_bytes::bytes`], while the host function runs.
unsafe fn text<'a>(bytes: gwp_bytes) -> Result<&'a str, i32> {
    // SAFETY: the caller's promise.
    unsafe { bytes.str() }.ok_or(GWP_INVALID)
}

fn code(result: Result<i32, i32>) -> i32 {
    result.unwrap_or_else(|code| code)
}

unsafe extern "C" fn extension(host: *const gwp_host, id: gwp_bytes) -> *const c_void {
    with(host, std::ptr::null(), |context| {
        // SAFETY: lent for this call.
        let id = unsafe { text(id) }.unwrap_or("");
        let table: *const c_void = match id {
            crate::abi::extension::EXEC => (&raw const EXEC).cast(),
            crate::abi::extension::INVOKE => (&raw const INVOKE).cast(),
            crate::abi::extension::KV => (&raw const KV).cast(),
            crate::abi::extension::EVENTS => (&raw const EVENTS).cast(),
            crate::abi::extension::CALLER => (&raw const CALLER).cast(),
            crate::abi::extension::SNAPSHOT => (&raw const SNAPSHOT).cast(),
            _ => return std::ptr::null(),
        };
        if context.services.offers(id) { table } else { std::ptr::null() }
    })
}

unsafe extern "C" fn reply(host: *const gwp_host, call: gwp_call, kind: i32, json: gwp_bytes) -> i32 {
    // SAFETY: `json` is lent for this call.
    with(host, GWP_PANIC, |context| context.services.reply(call, kind, unsafe { json.bytes() }))
}

unsafe extern "C" fn emit(host: *const gwp_host, event: *const gwp_event) -> i32 {
    with(host, GWP_PANIC, |context| {
        if event.is_null() {
            return GWP_INVALID;
        }
        // SAFETY: the plugin lends a record; `size` says how much of it there is.
        if (unsafe { (*event).size } as usize) < size_of::<gwp_event>() {
            return GWP_INVALID;
        }
        // SAFETY: it is at least as long as the record known here, and what it points to is lent for this call.
        let (event, name, payload) = unsafe { (&*event, text((*event).name), (*event).payload.bytes()) };
        let conns = (!event.conns.is_null()).then(|| {
            // SAFETY: `n_conns` numbers at `conns`, lent for this call.
            unsafe { std::slice::from_raw_parts(event.conns, event.n_conns) }
        });
        code(name.map(|name| context.services.emit(EmittedEvent { name, payload, conns, flags: event.flags })))
    })
}

unsafe extern "C" fn log(
    host: *const gwp_host,
    level: i32,
    target: gwp_bytes,
    message: gwp_bytes,
    fields: gwp_bytes,
) -> i32 {
    with(host, GWP_PANIC, |context| {
        // SAFETY: all three are lent for this call.
        let texts = unsafe { (text(target), text(message), text(fields)) };
        match texts {
            (Ok(target), Ok(message), Ok(fields)) => context.services.log(level, target, message, fields),
            _ => GWP_INVALID,
        }
    })
}

unsafe extern "C" fn fail(host: *const gwp_host, why: gwp_bytes) {
    with(host, (), |context| {
        // SAFETY: lent for this call.
        let why = String::from_utf8_lossy(unsafe { why.bytes() }).into_owned();
        if let Ok(mut failure) = context.failure.lock() {
            *failure = why;
        }
    });
}

static EXEC: gwp_exec_v1 = {
    unsafe extern "C" fn soon(host: *const gwp_host, func: gwp_fn, user: *mut c_void) -> i32 {
        with(host, GWP_PANIC, |context| context.services.soon(Job { func, user }))
    }
    unsafe extern "C" fn after(
        host: *const gwp_host,
        ms: u64,
        func: gwp_fn,
        user: *mut c_void,
        timer: *mut u64,
    ) -> i32 {
        with(host, GWP_PANIC, |context| match context.services.after(ms, Job { func, user }) {
            Ok(id) => {
                if !timer.is_null() {
                    // SAFETY: the plugin gave a place to write to.
                    unsafe { *timer = id };
                }
                GWP_OK
            }
            Err(code) => code,
        })
    }
    unsafe extern "C" fn cancel(host: *const gwp_host, timer: u64) -> i32 {
        with(host, GWP_PANIC, |context| context.services.cancel_timer(timer))
    }
    unsafe extern "C" fn blocking(host: *const gwp_host, func: gwp_fn, user: *mut c_void) -> i32 {
        with(host, GWP_PANIC, |context| context.services.blocking(Job { func, user }))
    }
    gwp_exec_v1 { soon, after, cancel, blocking }
};

static INVOKE: gwp_invoke_v1 = {
    unsafe extern "C" fn start(
        host: *const gwp_host,
        authority: gwp_principal,
        method: gwp_bytes,
        params: gwp_bytes,
        timeout_ms: u64,
        func: gwp_sink,
        user: *mut c_void,
        out: *mut gwp_call,
    ) -> i32 {
        with(host, GWP_PANIC, |context| {
            // SAFETY: both are lent for this call.
            let (method, params) = unsafe { (text(method), params.bytes()) };
            let started = method.and_then(|method| {
                let request = Invocation { authority, method, params, timeout_ms };
                context.services.invoke(request, Sink { func, user })
            });
            match started {
                Ok(call) => {
                    if !out.is_null() {
                        // SAFETY: the plugin gave a place to write to.
                        unsafe { *out = call };
                    }
                    GWP_OK
                }
                Err(code) => code,
            }
        })
    }
    unsafe extern "C" fn cancel(host: *const gwp_host, call: gwp_call) -> i32 {
        with(host, GWP_PANIC, |context| context.services.cancel_invoke(call))
    }
    gwp_invoke_v1 { start, cancel }
};

static KV: gwp_kv_v1 = {
    unsafe extern "C" fn get(host: *const gwp_host, key: gwp_bytes, func: gwp_sink, user: *mut c_void) -> i32 {
        let sink = Sink { func, user };
        with(host, GWP_PANIC, |context| {
            // SAFETY: lent for this call.
            let key = unsafe { text(key) };
            code(key.map(|key| context.services.kv_get(key, &mut |kind, json| sink.send(kind, json))))
        })
    }
    unsafe extern "C" fn scan(host: *const gwp_host, prefix: gwp_bytes, func: gwp_sink, user: *mut c_void) -> i32 {
        let sink = Sink { func, user };
        with(host, GWP_PANIC, |context| {
            // SAFETY: lent for this call.
            let prefix = unsafe { text(prefix) };
            code(prefix.map(|prefix| context.services.kv_scan(prefix, &mut |kind, json| sink.send(kind, json))))
        })
    }
    unsafe extern "C" fn write(
        host: *const gwp_host,
        ops: *const gwp_kv_op,
        n: usize,
        func: gwp_sink,
        user: *mut c_void,
    ) -> i32 {
        with(host, GWP_PANIC, |context| {
            // SAFETY: the plugin lends `n` records for this call.
            match unsafe { kv_writes(ops, n) } {
                Ok(writes) => context.services.kv_write(&writes, Sink { func, user }),
                Err(code) => code,
            }
        })
    }
    gwp_kv_v1 { get, scan, write }
};

/// Reads a batch whose records may be longer than the ones known here.
///
/// # Safety
/// `ops` points to `n` records, each as long as the first one's `size` says.
unsafe fn kv_writes<'a>(ops: *const gwp_kv_op, n: usize) -> Result<Vec<KvWrite<'a>>, i32> {
    /// More than any batch needs; keeps a wild `n` from becoming an allocation.
    const MAX_OPS: usize = 4096;
    if ops.is_null() || n == 0 || n > MAX_OPS {
        return Err(GWP_INVALID);
    }
    // SAFETY: there is at least one record.
    let stride = unsafe { (*ops).size } as usize;
    if stride < size_of::<gwp_kv_op>() || !stride.is_multiple_of(align_of::<gwp_kv_op>()) {
        return Err(GWP_INVALID);
    }
    (0..n)
        .map(|index| {
            // SAFETY: within the array, aligned, and at least as long as the record known here.
            let op = unsafe { &*ops.byte_add(index * stride) };
            // SAFETY: all three are lent for this call.
            let (key, value, expected) = unsafe { (text(op.key)?, text(op.value)?, text(op.expected)?) };
            Ok(KvWrite {
                key,
                value: (op.flags & GWP_KV_DELETE == 0).then_some(value),
                if_absent: op.flags & GWP_KV_IF_ABSENT != 0,
                if_equal: (op.flags & GWP_KV_IF_EQUAL != 0).then_some(expected),
            })
        })
        .collect()
}

static EVENTS: gwp_events_v1 = {
    unsafe extern "C" fn subscribe(
        host: *const gwp_host,
        pattern: gwp_bytes,
        func: gwp_sink,
        user: *mut c_void,
        out: *mut u64,
    ) -> i32 {
        with(host, GWP_PANIC, |context| {
            // SAFETY: lent for this call.
            let pattern = unsafe { text(pattern) };
            match pattern.and_then(|pattern| context.services.subscribe(pattern, Sink { func, user })) {
                Ok(subscription) => {
                    if !out.is_null() {
                        // SAFETY: the plugin gave a place to write to.
                        unsafe { *out = subscription };
                    }
                    GWP_OK
                }
                Err(code) => code,
            }
        })
    }
    unsafe extern "C" fn unsubscribe(host: *const gwp_host, subscription: u64) -> i32 {
        with(host, GWP_PANIC, |context| context.services.unsubscribe(subscription))
    }
    gwp_events_v1 { subscribe, unsubscribe }
};

static CALLER: gwp_caller_v1 = {
    unsafe extern "C" fn get(host: *const gwp_host, call: gwp_call, func: gwp_sink, user: *mut c_void) -> i32 {
        let sink = Sink { func, user };
        with(host, GWP_PANIC, |context| context.services.caller(call, &mut |kind, json| sink.send(kind, json)))
    }
    unsafe extern "C" fn retain(host: *const gwp_host, call: gwp_call, out: *mut gwp_principal) -> i32 {
        with(host, GWP_PANIC, |context| {
            if out.is_null() {
                return GWP_INVALID;
            }
            match context.services.retain(call) {
                Ok(principal) => {
                    // SAFETY: the plugin gave a place to write to.
                    unsafe { *out = principal };
                    GWP_OK
                }
                Err(code) => code,
            }
        })
    }
    unsafe extern "C" fn release(host: *const gwp_host, principal: gwp_principal) -> i32 {
        with(host, GWP_PANIC, |context| context.services.release(principal))
    }
    gwp_caller_v1 { get, retain, release }
};

static SNAPSHOT: gwp_snapshot_v1 = {
    unsafe extern "C" fn publish(host: *const gwp_host, key: gwp_bytes, json: gwp_bytes) -> i32 {
        with(host, GWP_PANIC, |context| {
            // SAFETY: both are lent for this call.
            let (key, json) = unsafe { (text(key), json.bytes()) };
            code(key.map(|key| context.services.publish(key, json)))
        })
    }
    gwp_snapshot_v1 { publish }
};
