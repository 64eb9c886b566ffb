//! Turns a [`Plugin`] into a [`gwp_entry`]: authors write `async fn`, the boundary speaks callbacks.
//!
//! Every function here that the host calls is `extern "C"` and keeps panics on this side: a panic costs one answer.

#[doc(hidden)]
pub mod home;
mod http;
pub(crate) mod raw;
#[doc(hidden)]
pub mod runtime;
mod spare;
pub(crate) mod task;

use std::any::TypeId;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::c_void;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use crate::abi::*;
use crate::call::{Answer, Call};
use crate::error::MethodError;
use crate::host::Host;
use crate::http::Exchanges;
use crate::{Plugin, Setup};
use home::{Home, Program};
use raw::{RawHost, let_go};
use runtime::{HostThreads, Runtime};
use task::Suspended;

/// The entry of a plugin: the same for one that is linked in and one that is loaded.
pub const fn entry<P: Plugin>() -> gwp_entry {
    entry_in::<P, HostThreads, Program>()
}

/// The entry of a plugin whose code runs inside this runtime and lives there.
#[doc(hidden)]
pub const fn entry_in<P: Plugin, R: Runtime, H: Home>() -> gwp_entry {
    gwp_entry {
        magic: GWP_MAGIC,
        size: size_of::<gwp_entry>() as u32,
        abi_minor: GWP_ABI_MINOR,
        flags: 0,
        manifest: manifest::<P>,
        create: create::<P, R, H>,
    }
}

/// One instance as the glue keeps it behind `self_`.
struct Instance<P> {
    plugin: Arc<P>,
    host: Host,
    calls: Arc<Suspended>,
    exchanges: Exchanges,
    methods: &'static [String],
}

unsafe extern "C" fn manifest<P: Plugin>(out: *mut gwp_bytes) {
    let text = catch_unwind(|| about::<P>().manifest.as_str()).unwrap_or_else(|panic| {
        let_go(panic);
        ""
    });
    // SAFETY: the host gave a place to write to.
    unsafe { *out = gwp_bytes::text(text) };
}

/// What never changes about a plugin type.
struct About {
    /// The manifest as JSON: its bytes are static by contract.
    manifest: String,
    /// Its methods, sorted: a call borrows its name from here.
    methods: Vec<String>,
}

/// Made once a plugin type and kept.
fn about<P: Plugin>() -> &'static About {
    static KNOWN: Mutex<Option<HashMap<TypeId, &'static About>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.get_or_insert_default().entry(TypeId::of::<P>()).or_insert_with(|| {
        let manifest = P::manifest();
        let mut methods: Vec<_> = manifest.methods.iter().map(|method| method.name.clone()).collect();
        methods.sort();
        Box::leak(Box::new(About { manifest: manifest.to_json(), methods }))
    })
}

/// The name of a method, from the manifest if it is there.
fn name_of(methods: &'static [String], asked: &str) -> Cow<'static, str> {
    match methods.binary_search_by(|name| name.as_str().cmp(asked)) {
        Ok(place) => Cow::Borrowed(&methods[place]),
        Err(_) => Cow::Owned(asked.to_string()),
    }
}

unsafe extern "C" fn create<P: Plugin, R: Runtime, H: Home>(
    host: *const gwp_host,
    setup_json: gwp_bytes,
    out: *mut gwp_plugin,
) -> i32 {
    let runtime = catch_unwind(R::prepare).unwrap_or_else(|panic| Err(panic_text(&*panic).to_string()));
    let inside = runtime.as_ref().ok().copied().flatten();
    // SAFETY: the host passes its table, a lent text, and a place to write to.
    let (raw, setup, out) = unsafe { (RawHost::new(host, inside), setup_json.str(), &mut *out) };
    if let Err(why) = runtime {
        raw.fail(&why);
        return GWP_UNSUPPORTED;
    }
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
    home::settle::<H>(raw);
    let host = Host::new(raw, setup.id.clone());
    let plugin = match raw.attempt(|| P::create(host.clone(), setup)) {
        Ok(Ok(plugin)) => plugin,
        Ok(Err(error)) => {
            raw.fail(&error.to_string());
            host.end();
            return GWP_CONFIG;
        }
        Err(panic) => {
            raw.fail(&format!("create panicked: {}", panic_text(&*panic)));
            let_go(panic);
            host.end();
            return GWP_PANIC;
        }
    };
    let methods = catch_unwind(|| about::<P>().methods.as_slice()).unwrap_or(&[]);
    let instance = Box::new(Instance {
        plugin: Arc::new(plugin),
        host,
        calls: Arc::default(),
        exchanges: Exchanges::default(),
        methods,
    });
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
        extension: http::extension::<P>,
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
    match instance.host.raw().attempt(|| plugin.start()) {
        Ok(Ok(())) => GWP_OK,
        Ok(Err(error)) => {
            instance.host.raw().fail(&error.to_string());
            GWP_INVALID
        }
        Err(panic) => {
            instance.host.raw().fail(&format!("it panicked: {}", panic_text(&*panic)));
            let_go(panic);
            GWP_PANIC
        }
    }
}

unsafe extern "C" fn call<P: Plugin>(this: *mut c_void, request: *const gwp_request) {
    // SAFETY: the host calls this between `create` and `destroy`.
    let instance = unsafe { instance::<P>(this) };
    // SAFETY: the host lends a record whose `size` says how much of it there is.
    let Some(request) = (unsafe { read_record(request) }) else { return };
    // SAFETY: the slices are lent for this call and copied by `Call::new`.
    let call = unsafe {
        Call::new(
            instance.host.clone(),
            &request,
            name_of(instance.methods, request.method.str().unwrap_or("")),
            request.params.str(),
            request.idempotency_key.str(),
            request.traceparent.str(),
        )
    };
    let id = call.id();
    let raw = instance.host.raw();
    let mut answer = Answer::new(raw, id, call.method_name());
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
        to_its_end(host.raw(), plugin.stop()).await;
        host.end();
        calls.close().await;
        host.spawned().close().await;
    });
}

/// Runs a future of the plugin's to its end, which may be a panic: what is to come after it comes all the same.
async fn to_its_end(raw: RawHost, future: impl Future<Output = ()> + Send) {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| raw.contain(|| future.as_mut().poll(context)).unwrap_or(Poll::Ready(()))).await;
}

unsafe extern "C" fn destroy<P: Plugin>(this: *mut c_void) {
    // SAFETY: made by `create`; the host calls `destroy` once and nothing after it.
    let instance = unsafe { Box::from_raw(this.cast::<Instance<P>>()) };
    // A host that destroys without `stop`, as after a failed `start`, leaves these.
    instance.calls.cancel_all();
    instance.host.end();
    instance.host.raw().contain(|| drop(instance));
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
