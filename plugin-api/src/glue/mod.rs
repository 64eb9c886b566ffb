//! Turns a [`Plugin`] into a [`gwp_entry`]: authors write `async fn`, the boundary speaks callbacks.
//!
//! Every function here that the host calls is `extern "C"` and keeps panics on this side: a panic costs one answer.

pub(crate) mod raw;
pub(crate) mod task;

use std::any::TypeId;
use std::collections::HashMap;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::abi::*;
use crate::call::{Answer, Call};
use crate::error::MethodError;
use crate::host::Host;
use crate::{Plugin, Setup};
use raw::RawHost;
use task::Suspended;

/// The entry of a plugin: the same for one that is linked in and one that is loaded.
pub const fn entry<P: Plugin>() -> gwp_entry {
    gwp_entry {
        magic: GWP_MAGIC,
        size: size_of::<gwp_entry>() as u32,
        abi_minor: GWP_ABI_MINOR,
        flags: 0,
        manifest: manifest::<P>,
        create: create::<P>,
    }
}

/// One instance as the glue keeps it behind `self_`.
struct Instance<P> {
    plugin: Arc<P>,
    host: Host,
    calls: Arc<Suspended>,
}

unsafe extern "C" fn manifest<P: Plugin>(out: *mut gwp_bytes) {
    let text = catch_unwind(manifest_text::<P>).unwrap_or("");
    // SAFETY: the host gave a place to write to.
    unsafe { *out = gwp_bytes::text(text) };
}

/// The manifest as JSON, made once a plugin type and kept: its bytes are static by contract.
fn manifest_text<P: Plugin>() -> &'static str {
    static TEXTS: Mutex<Option<HashMap<TypeId, &'static str>>> = Mutex::new(None);
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    texts.get_or_insert_default().entry(TypeId::of::<P>()).or_insert_with(|| P::manifest().to_json().leak())
}

unsafe extern "C" fn create<P: Plugin>(host: *const gwp_host, setup_json: gwp_bytes, out: *mut gwp_plugin) -> i32 {
    // SAFETY: the host passes its table, a lent text, and a place to write to.
    let (raw, setup, out) = unsafe { (RawHost::new(host), setup_json.str(), &mut *out) };
    if (out.size as usize) < size_of::<gwp_plugin>() {
        raw.fail("this host's plugin table is older than gwp 1");
        return GWP_UNSUPPORTED;
    }
    let setup = match Setup::parse(setup.unwrap_or("")) {
        Ok(setup) => setup,
        Err(error) => {
            raw.fail(&error.to_string());
            return GWP_CONFIG;
        }
    };
    let host = Host::new(raw, setup.id.clone());
    let plugin = match catch_unwind(AssertUnwindSafe(|| P::create(host.clone(), setup))) {
        Ok(Ok(plugin)) => plugin,
        Ok(Err(error)) => {
            raw.fail(&error.to_string());
            host.end();
            return GWP_CONFIG;
        }
        Err(panic) => {
            raw.fail(&format!("create panicked: {}", panic_text(&*panic)));
            host.end();
            return GWP_PANIC;
        }
    };
    let instance = Box::new(Instance { plugin: Arc::new(plugin), host, calls: Arc::default() });
    *out = gwp_plugin {
        size: size_of::<gwp_plugin>() as u32,
        flags: 0,
        self_: Box::into_raw(instance).cast(),
        start: start::<P>,
        call: call::<P>,
        cancel: cancel::<P>,
        quiesce: quiesce::<P>,
        stop: stop::<P>,
        destroy: destroy::<P>,
        extension: no_extension,
    };
    GWP_OK
}

/// # Safety
/// `this` is what `create` put into `self_`, and `destroy` has not run.
unsafe fn instance<'a, P>(this: *mut c_void) -> &'a Instance<P> {
    // SAFETY: the caller's promise.
    unsafe { &*this.cast::<Instance<P>>() }
}

unsafe extern "C" fn start<P: Plugin>(this: *mut c_void) -> i32 {
    // SAFETY: the host calls this between `create` and `destroy`.
    let instance = unsafe { instance::<P>(this) };
    let plugin = instance.plugin.clone();
    match catch_unwind(AssertUnwindSafe(|| plugin.start())) {
        Ok(Ok(())) => GWP_OK,
        Ok(Err(error)) => {
            instance.host.error(&error.to_string());
            GWP_INVALID
        }
        Err(panic) => {
            instance.host.error(&format!("start panicked: {}", panic_text(&*panic)));
            GWP_PANIC
        }
    }
}

unsafe extern "C" fn call<P: Plugin>(this: *mut c_void, request: *const gwp_request) {
    // SAFETY: the host calls this between `create` and `destroy`.
    let instance = unsafe { instance::<P>(this) };
    // SAFETY: the host lends a record whose `size` says how much of it there is.
    if (unsafe { (*request).size } as usize) < size_of::<gwp_request>() {
        return;
    }
    // SAFETY: at least as long as the record known here; the slices are lent for this call and copied by `Call::new`.
    let call = unsafe {
        let request = &*request;
        Call::new(
            instance.host.clone(),
            request,
            request.method.str(),
            request.params.str(),
            request.idempotency_key.str(),
        )
    };
    let id = call.id();
    let raw = instance.host.raw();
    let mut answer = Answer::new(instance.host.clone(), id, call.method_name());
    let plugin = instance.plugin.clone();
    let pending = task::start(raw, &instance.calls, id, async move {
        let reply = plugin.call(call).await;
        answer.send(reply);
    });
    // A cancel that came before the task was kept found nothing to cancel; the host's answer tells whether it did.
    if pending && raw.caller(id, |_, _| ()) == GWP_GONE {
        instance.calls.cancel(id);
    }
}

unsafe extern "C" fn cancel<P: Plugin>(this: *mut c_void, call: gwp_call, _reason: i32) {
    // SAFETY: the host calls this between `create` and `destroy`.
    unsafe { instance::<P>(this) }.calls.cancel(call);
}

unsafe extern "C" fn quiesce<P: Plugin>(this: *mut c_void, done: gwp_fn, user: *mut c_void) {
    // SAFETY: the host calls this between `create` and `destroy`.
    let instance = unsafe { instance::<P>(this) };
    let plugin = instance.plugin.clone();
    let done = Done { func: done, user };
    task::start(instance.host.raw(), instance.host.spawned(), next_id(), async move {
        let _done = done;
        let plugin = plugin;
        plugin.quiesce().await;
    });
}

unsafe extern "C" fn stop<P: Plugin>(this: *mut c_void, done: gwp_fn, user: *mut c_void) {
    // SAFETY: the host calls this between `create` and `destroy`.
    let instance = unsafe { instance::<P>(this) };
    let plugin = instance.plugin.clone();
    let (host, calls) = (instance.host.clone(), instance.calls.clone());
    let done = Done { func: done, user };
    let own: Arc<Suspended> = Arc::default();
    task::start(instance.host.raw(), &own, next_id(), async move {
        // Declared first, so dropped last: when the host hears of the end, nothing here holds the plugin any more.
        let _done = done;
        let (plugin, host, calls) = (plugin, host, calls);
        plugin.stop().await;
        host.end();
        calls.close().await;
        host.spawned().close().await;
    });
}

unsafe extern "C" fn destroy<P: Plugin>(this: *mut c_void) {
    // SAFETY: made by `create`; the host calls `destroy` once and nothing after it.
    let instance = unsafe { Box::from_raw(this.cast::<Instance<P>>()) };
    // A host that destroys without `stop`, as after a failed `start`, leaves these.
    instance.calls.cancel_all();
    instance.host.end();
    instance.host.raw().contain(|| drop(instance));
}

unsafe extern "C" fn no_extension(_: *mut c_void, _: gwp_bytes) -> *const c_void {
    std::ptr::null()
}

/// Calls the host's `done` when dropped: at the end of the future, after a panic, or when the host takes no more work.
struct Done {
    func: gwp_fn,
    user: *mut c_void,
}

// SAFETY: the interface lets any thread call `done`.
unsafe impl Send for Done {}

impl Drop for Done {
    fn drop(&mut self) {
        // SAFETY: handed over by the host, to be called once.
        unsafe { (self.func)(self.user) }
    }
}

/// Numbers for tasks that are not calls.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("?")
}

impl MethodError {
    /// What a caller hears of a call that was dropped without an answer.
    pub(crate) fn dropped() -> Self {
        let (message, code) = if std::thread::panicking() {
            ("the method failed; the gateway's log has the details", "METHOD_PANICKED")
        } else {
            ("the method was stopped before it answered", "METHOD_STOPPED")
        };
        MethodError::unavailable(message).retryable().with_details(serde_json::json!({ "code": code }))
    }
}
