//! One instance of a plugin, from its entry to its end.

use std::ffi::c_void;
use std::mem::{MaybeUninit, offset_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use super::table::HostContext;
use super::{CallRequest, HostServices, HttpRequest};
use crate::abi::*;

/// Why an entry or an instance cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryError {
    /// The magic number is not that of this interface.
    Magic(u32),
    /// The table is shorter than this major's.
    Size(u32),
    /// The manifest is not UTF-8.
    Manifest,
    /// This function of the entry, or of the table that `create` filled, is NULL.
    Missing(&'static str),
    /// `create` filled a table that is shorter than this major's.
    PluginSize(u32),
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
            EntryError::Missing(function) => {
                write!(
                    f,
                    "`{function}` is NULL: every function of the table has to be there, also one that does nothing"
                )
            }
            EntryError::PluginSize(found) => write!(
                f,
                "`create` says that its table has {found} bytes, and gwp 1 has {}: set `size` to sizeof(gwp_plugin)",
                size_of::<gwp_plugin>()
            ),
            EntryError::Create(code, why) if why.is_empty() => {
                write!(f, "create failed with code {code} and no reason")
            }
            EntryError::Create(_, why) => f.write_str(why),
        }
    }
}

impl std::error::Error for EntryError {}

/// Why an instance did not go live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartFailure {
    /// One of the interface's codes.
    pub code: i32,
    /// What the plugin told the operator.
    pub why: String,
}

impl std::fmt::Display for StartFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.why.as_str() {
            "" => write!(f, "start failed with code {} and no reason", self.code),
            why => write!(f, "start failed: {why}"),
        }
    }
}

impl std::error::Error for StartFailure {}

/// The manifest text of an entry, after its header was checked.
pub fn manifest(entry: &'static gwp_entry) -> Result<&'static str, EntryError> {
    check_header(entry.magic, entry.size)?;
    let mut out = gwp_bytes::ABSENT;
    // SAFETY: `out` is writable; the interface says manifest bytes are static.
    unsafe {
        (entry.manifest)(&mut out);
        out.str().ok_or(EntryError::Manifest)
    }
}

fn check_header(magic: u32, size: u32) -> Result<(), EntryError> {
    if magic != GWP_MAGIC {
        return Err(EntryError::Magic(magic));
    }
    if (size as usize) < size_of::<gwp_entry>() {
        return Err(EntryError::Size(size));
    }
    Ok(())
}

/// An entry whose header says that it is one.
///
/// # Safety
/// At least eight bytes can be read at `address`, and if they say that they begin an entry, they do, until the process ends.
#[cfg(feature = "load")]
pub(super) unsafe fn checked(address: *const gwp_entry) -> Result<&'static gwp_entry, EntryError> {
    if address.is_null() || !address.is_aligned() {
        return Err(EntryError::Magic(0));
    }
    // SAFETY: magic and size are the first eight bytes; no reference to more is made before they are known.
    let (magic, size) = unsafe { ((&raw const (*address).magic).read(), (&raw const (*address).size).read()) };
    check_header(magic, size)?;
    // SAFETY: it is an entry of at least the size known here; the fields lie within it.
    unsafe { functions_are_there(address.cast(), &ENTRY_FUNCTIONS) }?;
    // SAFETY: as above, and no function is NULL, which a reference must not show.
    Ok(unsafe { &*address })
}

#[cfg(feature = "load")]
const ENTRY_FUNCTIONS: [(&str, usize); 2] =
    [("manifest", offset_of!(gwp_entry, manifest)), ("create", offset_of!(gwp_entry, create))];

const PLUGIN_FUNCTIONS: [(&str, usize); 7] = [
    ("start", offset_of!(gwp_plugin, start)),
    ("call", offset_of!(gwp_plugin, call)),
    ("cancel", offset_of!(gwp_plugin, cancel)),
    ("quiesce", offset_of!(gwp_plugin, quiesce)),
    ("stop", offset_of!(gwp_plugin, stop)),
    ("destroy", offset_of!(gwp_plugin, destroy)),
    ("extension", offset_of!(gwp_plugin, extension)),
];

/// Whether a table that another language filled has all its functions.
///
/// # Safety
/// Each offset is that of a pointer within readable memory at `table`.
unsafe fn functions_are_there(table: *const u8, functions: &[(&'static str, usize)]) -> Result<(), EntryError> {
    for (name, offset) in functions {
        // SAFETY: the caller's promise. The pointer is read as one to data, for which NULL is a value.
        if unsafe { table.add(*offset).cast::<*const c_void>().read() }.is_null() {
            return Err(EntryError::Missing(name));
        }
    }
    Ok(())
}

/// One running instance of a plugin.
pub struct Instance {
    plugin: gwp_plugin,
    context: &'static HostContext,
    http: Option<&'static gwp_http_plugin_v1>,
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
        let mut plugin = MaybeUninit::new(gwp_plugin { size: size_of::<gwp_plugin>() as u32, ..EMPTY_PLUGIN });
        // SAFETY: the table is never freed; `setup_json` outlives the call; `plugin` is writable and says its size.
        let code = unsafe { (entry.create)(&context.table, gwp_bytes::text(setup_json), plugin.as_mut_ptr()) };
        if code != GWP_OK {
            return Err(EntryError::Create(code, context.take_failure()));
        }
        // SAFETY: it was initialised above, and the fields lie within it.
        unsafe { functions_are_there(plugin.as_ptr().cast(), &PLUGIN_FUNCTIONS) }?;
        // SAFETY: initialised, and no function is NULL.
        let plugin = unsafe { plugin.assume_init() };
        if (plugin.size as usize) < size_of::<gwp_plugin>() {
            return Err(EntryError::PluginSize(plugin.size));
        }
        // SAFETY: `self_` is what `create` filled in.
        let http = unsafe { http_table(&plugin) }?;
        Ok(Instance { plugin, context, http })
    }

    /// `[control]` Goes live.
    pub fn start(&self) -> Result<(), StartFailure> {
        // SAFETY: `self_` is what `create` filled in, and `destroy` has not run: it takes `self`.
        match unsafe { (self.plugin.start)(self.plugin.self_) } {
            GWP_OK => Ok(()),
            code => Err(StartFailure { code, why: self.context.take_failure() }),
        }
    }

    /// `[worker]` Hands over a request; the answer comes through [`HostServices::reply`], perhaps before this returns.
    pub fn call(&self, request: &CallRequest<'_>) {
        let record = record(request, size_of::<gwp_request>());
        // SAFETY: the record and what it points to outlive the call.
        unsafe { (self.plugin.call)(self.plugin.self_, &record) }
    }

    /// `[worker]` Hands over a request as a host of a later minor would: in a longer record, whose `size` says so. For
    /// tests of plugins.
    pub fn call_of_later_minor(&self, request: &CallRequest<'_>) {
        /// The record as it may be one day.
        #[repr(C)]
        struct Later {
            known: gwp_request,
            new: [u64; 8],
        }
        let record = Later { known: record(request, size_of::<Later>()), new: [u64::MAX; 8] };
        // SAFETY: as for `call`; the pointer is one to the whole of the longer record.
        unsafe { (self.plugin.call)(self.plugin.self_, (&raw const record).cast()) }
    }

    /// `[worker]` Says that a call has ended without the plugin.
    pub fn cancel(&self, call: gwp_call, reason: i32) {
        // SAFETY: `self_` is alive; the number may be any.
        unsafe { (self.plugin.cancel)(self.plugin.self_, call, reason) }
    }

    /// Whether it serves HTTP.
    pub fn serves_http(&self) -> bool {
        self.http.is_some()
    }

    /// `[worker]` Hands over an HTTP request; false if it serves none.
    pub fn http_request(&self, request: &HttpRequest<'_>) -> bool {
        let Some(http) = self.http else { return false };
        let record = gwp_http_request {
            size: size_of::<gwp_http_request>() as u32,
            flags: request.flags,
            exchange: request.exchange,
            body_len: request.body_len,
            verb: gwp_bytes::text(request.verb),
            path: gwp_bytes::text(request.path),
            query: request.query.map_or(gwp_bytes::ABSENT, gwp_bytes::text),
            route: gwp_bytes::text(request.route),
            head: gwp_bytes::text(request.head),
        };
        // SAFETY: the record and what it points to outlive the call.
        unsafe { (http.request)(self.plugin.self_, &record) };
        true
    }

    /// `[worker]` Says what happens to an exchange.
    pub fn http_event(&self, exchange: gwp_exchange, kind: i32, data: &[u8]) {
        if let Some(http) = self.http {
            // SAFETY: the slice outlives the call.
            unsafe { (http.event)(self.plugin.self_, exchange, kind, gwp_bytes::of(data)) }
        }
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

/// A plugin's table for HTTP, asked for once.
///
/// # Safety
/// `plugin` is what a `create` that succeeded filled in.
unsafe fn http_table(plugin: &gwp_plugin) -> Result<Option<&'static gwp_http_plugin_v1>, EntryError> {
    // SAFETY: the id outlives the call; `self_` is alive.
    let table = unsafe { (plugin.extension)(plugin.self_, gwp_bytes::text(extension::HTTP)) };
    if table.is_null() {
        return Ok(None);
    }
    let functions =
        [("request", offset_of!(gwp_http_plugin_v1, request)), ("event", offset_of!(gwp_http_plugin_v1, event))];
    // SAFETY: a table behind an id is static, never changes, and has these functions.
    unsafe { functions_are_there(table.cast(), &functions) }?;
    // SAFETY: as above, and no function is NULL.
    Ok(unsafe { table.cast::<gwp_http_plugin_v1>().as_ref() })
}

/// The record of a request, which lends what the request lends.
fn record(request: &CallRequest<'_>, size: usize) -> gwp_request {
    gwp_request {
        size: size as u32,
        flags: request.flags,
        call: request.call,
        conn: request.conn,
        deadline_ms: request.deadline_ms,
        method: gwp_bytes::text(request.method),
        params: gwp_bytes::of(request.params),
        idempotency_key: request.idempotency_key.map_or(gwp_bytes::ABSENT, gwp_bytes::text),
        traceparent: request.traceparent.map_or(gwp_bytes::ABSENT, gwp_bytes::text),
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

/// What a `create` that fills nothing in leaves behind.
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
