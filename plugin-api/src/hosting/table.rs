//! The host's functions as a plugin instance sees them: the C tables, and what stands behind them.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use super::{EmittedEvent, HostServices, Invocation, Job, KvWrite, Sink};
use crate::abi::*;

/// The table an instance sees, and what its functions reach through `ctx`. Leaked on purpose, one an instance: a stray
/// thread of a plugin may read it until the process ends.
pub(super) struct HostContext {
    pub(super) table: gwp_host,
    services: Arc<dyn HostServices>,
    failure: Mutex<String>,
}

// SAFETY: `ctx` points back to the leaked value itself; everything else in it is Send and Sync.
unsafe impl Send for HostContext {}
// SAFETY: as above; the table is never written after it was made.
unsafe impl Sync for HostContext {}

impl HostContext {
    pub(super) fn leak(services: Arc<dyn HostServices>) -> &'static HostContext {
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

impl HostContext {
    /// What the plugin said of why it failed, once.
    pub(super) fn take_failure(&self) -> String {
        self.failure.lock().map(|mut why| std::mem::take(&mut *why)).unwrap_or_default()
    }
}

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
    let bytes = unsafe { lent(bytes) }?;
    std::str::from_utf8(bytes).map_err(|_| GWP_INVALID)
}

/// Bytes that are lent, if they can be: nothing has a length, and no memory more than half of what there is.
///
/// # Safety
/// As for [`gwp_bytes::bytes`], while the host function runs.
unsafe fn lent<'a>(bytes: gwp_bytes) -> Result<&'a [u8], i32> {
    if bytes.len > if bytes.ptr.is_null() { 0 } else { isize::MAX as usize } {
        return Err(GWP_INVALID);
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { bytes.bytes() })
}

/// Writes a number where the plugin wants it, if it does.
///
/// # Safety
/// `place` is NULL or the plugin's to be written to.
unsafe fn put(place: *mut u64, number: u64) {
    if !place.is_null() {
        // SAFETY: the caller's promise.
        unsafe { *place = number };
    }
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
            crate::abi::extension::HTTP => (&raw const HTTP).cast(),
            _ => return std::ptr::null(),
        };
        if context.services.offers(id) { table } else { std::ptr::null() }
    })
}

unsafe extern "C" fn reply(host: *const gwp_host, call: gwp_call, kind: i32, json: gwp_bytes) -> i32 {
    // SAFETY: `json` is lent for this call.
    with(host, GWP_PANIC, |context| code(unsafe { lent(json) }.map(|json| context.services.reply(call, kind, json))))
}

unsafe extern "C" fn emit(host: *const gwp_host, event: *const gwp_event) -> i32 {
    with(host, GWP_PANIC, |context| {
        // SAFETY: the plugin lends a record whose `size` says how much of it there is.
        let Some(event) = (unsafe { read_record(event) }) else { return GWP_INVALID };
        // SAFETY: what it points to is lent for this call.
        let (name, payload) = unsafe { (text(event.name), lent(event.payload)) };
        let conns = match (event.conns.is_null(), event.n_conns) {
            (true, 0) => None,
            (true, _) => return GWP_INVALID,
            (false, 0) => Some(&[][..]),
            (false, n) if !event.conns.is_aligned() || n > isize::MAX as usize / size_of::<u64>() => {
                return GWP_INVALID;
            }
            // SAFETY: aligned, and the plugin lends this many numbers for this call.
            (false, n) => Some(unsafe { std::slice::from_raw_parts(event.conns, n) }),
        };
        code(name.and_then(|name| {
            let payload = payload?;
            Ok(context.services.emit(EmittedEvent { name, payload, conns, flags: event.flags }))
        }))
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
        let why = reason(unsafe { why.bytes() });
        if let Ok(mut failure) = context.failure.lock() {
            *failure = why;
        }
    });
}

/// What a plugin says of why it failed, as one line of bounded length.
fn reason(why: &[u8]) -> String {
    const MAX: usize = 4 * 1024;
    let why = String::from_utf8_lossy(&why[..why.len().min(MAX)]);
    why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
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
        with(host, GWP_PANIC, |context| {
            // SAFETY: the plugin gave a place to write to, which is there until the job can run.
            context.services.after(ms, Job { func, user }, &mut |id| unsafe { put(timer, id) })
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
            let (method, params) = unsafe { (text(method), lent(params)) };
            code(method.and_then(|method| {
                let request = Invocation { authority, method, params: params?, timeout_ms };
                // SAFETY: the plugin gave a place to write to, which is there until the sink can run.
                Ok(context.services.invoke(request, Sink { func, user }, &mut |call| unsafe { put(out, call) }))
            }))
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
    if ops.is_null() || !ops.is_aligned() || n == 0 || n > MAX_OPS {
        return Err(GWP_INVALID);
    }
    // SAFETY: there is at least one record.
    let stride = unsafe { (*ops).size } as usize;
    if !stride.is_multiple_of(align_of::<gwp_kv_op>()) {
        return Err(GWP_INVALID);
    }
    (0..n)
        .map(|index| {
            // SAFETY: within the array, aligned, and as long as the first one's size says.
            let op = unsafe { read_record(ops.byte_add(index * stride)) }.filter(|op| op.size as usize == stride);
            let op = op.ok_or(GWP_INVALID)?;
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
            code(pattern.map(|pattern| {
                // SAFETY: the plugin gave a place to write to, which is there until the sink can run.
                context.services.subscribe(pattern, Sink { func, user }, &mut |number| unsafe { put(out, number) })
            }))
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
            let (key, json) = unsafe { (text(key), lent(json)) };
            code(key.and_then(|key| Ok(context.services.publish(key, json?))))
        })
    }
    gwp_snapshot_v1 { publish }
};

static HTTP: gwp_http_v1 = {
    unsafe extern "C" fn head(host: *const gwp_host, exchange: gwp_exchange, status: u32, headers: gwp_bytes) -> i32 {
        // SAFETY: lent for this call.
        with(host, GWP_PANIC, |context| {
            code(unsafe { lent(headers) }.map(|headers| context.services.http_head(exchange, status, headers)))
        })
    }
    unsafe extern "C" fn write(host: *const gwp_host, exchange: gwp_exchange, kind: i32, data: gwp_bytes) -> i32 {
        // SAFETY: lent for this call.
        with(host, GWP_PANIC, |context| {
            code(unsafe { lent(data) }.map(|data| context.services.http_write(exchange, kind, data)))
        })
    }
    unsafe extern "C" fn end(host: *const gwp_host, exchange: gwp_exchange, status: u32, reason: gwp_bytes) -> i32 {
        with(host, GWP_PANIC, |context| {
            // SAFETY: lent for this call.
            let reason = unsafe { text(reason) };
            code(reason.map(|reason| context.services.http_end(exchange, status, reason)))
        })
    }
    unsafe extern "C" fn read(host: *const gwp_host, exchange: gwp_exchange, bytes: u64) -> i32 {
        with(host, GWP_PANIC, |context| context.services.http_read(exchange, bytes))
    }
    unsafe extern "C" fn abort(host: *const gwp_host, exchange: gwp_exchange) -> i32 {
        with(host, GWP_PANIC, |context| context.services.http_abort(exchange))
    }
    gwp_http_v1 { head, write, end, read, abort }
};
