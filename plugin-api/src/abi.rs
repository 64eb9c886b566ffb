//! The C interface between host and plugin, mirrored: `gwp`, "gateway plugin", major version 1.
//!
//! Only fixed-width integers and pointers cross. Three tables ([`gwp_entry`], [`gwp_host`], [`gwp_plugin`]) never change
//! within the major; records ([`gwp_request`], [`gwp_event`], [`gwp_kv_op`]) grow at the tail; everything optional is an
//! extension asked for by id, whose table never changes either. Sizes and offsets are asserted below, and in C by
//! `include/gwp.h`, which is generated from this file.
//!
//! Each function says in brackets who calls it: `[control]` the host, one at a time per instance; `[worker]` the host,
//! several at once, return within about a millisecond; `[any]` either side, any thread, never blocks.

#![allow(non_camel_case_types)]

use std::ffi::c_void;

/// Where each field of a table or record lies.
#[doc(hidden)]
#[derive(Debug)]
pub struct Layout {
    pub name: &'static str,
    pub size: usize,
    pub fields: &'static [(&'static str, usize)],
}

/// Asserts sizes and offsets, every field named, and keeps them for the header, which asserts them in C.
macro_rules! layout {
    ($layouts:ident: $($name:ident: $size:literal { $($field:ident: $offset:literal),+ $(,)? })+) => {
        #[cfg(target_pointer_width = "64")]
        const _: () = {
            $(
                assert!(size_of::<$name>() == $size);
                $(assert!(std::mem::offset_of!($name, $field) == $offset);)+
                // No field is forgotten: a pattern without `..` names them all.
                let _ = |$name { $($field: _),+ }: $name| ();
            )+
        };

        /// Of every table and record, on machines of 64 bits.
        #[doc(hidden)]
        pub const $layouts: &[Layout] = &[
            $(Layout { name: stringify!($name), size: $size, fields: &[$((stringify!($field), $offset)),+] }),+
        ];
    };
}

mod http;

pub use http::*;

/// `GWP1` in memory, little-endian.
pub const GWP_MAGIC: u32 = 0x3150_5747;
/// For messages to people: the minor version this side was built against.
pub const GWP_ABI_MINOR: u32 = 0;

/// Text, UTF-8 without a NUL at its end; `{NULL, 0}` means absent. Lent for the length of the call that passes it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct gwp_bytes {
    /// First byte.
    pub ptr: *const u8,
    /// Number of bytes.
    pub len: usize,
}

/// One request; 0 is never valid; never reused in a process.
pub type gwp_call = u64;
/// Whose authority: a retained caller, or 0 for the plugin's own grants. With [`GWP_OWN_GRANTS`] set, the plugin's own
/// grants on the account of that caller's call: its depth counts on and its cancellation reaches the new call.
pub type gwp_principal = u64;
/// A callback without arguments.
pub type gwp_fn = unsafe extern "C" fn(user: *mut c_void);
/// A callback that hears a value; its kind is one of the `GWP_…` sink kinds.
pub type gwp_sink = unsafe extern "C" fn(user: *mut c_void, kind: i32, json: gwp_bytes);

/// A call to a method. A field may be read if it ends within `size`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct gwp_request {
    /// Size of this record as its filler knows it.
    pub size: u32,
    /// `GWP_REQ_…`
    pub flags: u32,
    /// The number to answer to.
    pub call: gwp_call,
    /// The connection; 0 is the host itself or another plugin.
    pub conn: u64,
    /// Milliseconds from now; 0 is none.
    pub deadline_ms: u64,
    /// The method's name.
    pub method: gwp_bytes,
    /// JSON text, valid against the method's schema.
    pub params: gwp_bytes,
    /// Absent unless the method takes one.
    pub idempotency_key: gwp_bytes,
    /// The trace that the call belongs to, a W3C `traceparent`; absent without one.
    pub traceparent: gwp_bytes,
}

/// An event to publish.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct gwp_event {
    /// Size of this record as its filler knows it.
    pub size: u32,
    /// `GWP_EV_…`
    pub flags: u32,
    /// The event's name, declared in the manifest.
    pub name: gwp_bytes,
    /// JSON text.
    pub payload: gwp_bytes,
    /// NULL: broadcast, numbered; else to these connections, unnumbered.
    pub conns: *const u64,
    /// How many.
    pub n_conns: usize,
}

/// One write of a batch.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct gwp_kv_op {
    /// Size of this record as its filler knows it; in an array the first one's is the stride.
    pub size: u32,
    /// `GWP_KV_…`
    pub flags: u32,
    /// The key.
    pub key: gwp_bytes,
    /// The new value.
    pub value: gwp_bytes,
    /// What must be there, with [`GWP_KV_IF_EQUAL`].
    pub expected: gwp_bytes,
}

/// The host as one plugin instance sees it. The table stays readable until the process ends.
#[repr(C)]
pub struct gwp_host {
    /// Size of this table.
    pub size: u32,
    /// Minor version of the host.
    pub abi_minor: u32,
    /// The host's; not for the plugin.
    pub ctx: *mut c_void,
    /// `[any]` The table behind an id, or NULL.
    pub extension: unsafe extern "C" fn(host: *const gwp_host, id: gwp_bytes) -> *const c_void,
    /// `[any]` Answers a call; kinds `GWP_INTERIM` to `GWP_ERROR_PAYLOAD`.
    pub reply: unsafe extern "C" fn(host: *const gwp_host, call: gwp_call, kind: i32, json: gwp_bytes) -> i32,
    /// `[any]` Publishes an event.
    pub emit: unsafe extern "C" fn(host: *const gwp_host, event: *const gwp_event) -> i32,
    /// `[any]` Writes to the host's log; levels 1 error to 5 trace; `fields` is a JSON object or absent.
    pub log: unsafe extern "C" fn(
        host: *const gwp_host,
        level: i32,
        target: gwp_bytes,
        message: gwp_bytes,
        fields: gwp_bytes,
    ) -> i32,
    /// Only inside `create` and `start`: why it fails, for the operator.
    pub fail: unsafe extern "C" fn(host: *const gwp_host, why: gwp_bytes),
}

/// One running instance, filled by `create`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gwp_plugin {
    /// Size of this table.
    pub size: u32,
    /// None defined.
    pub flags: u32,
    /// The plugin's; handed back in each call.
    pub self_: *mut c_void,
    /// `[control]` Goes live.
    pub start: unsafe extern "C" fn(self_: *mut c_void) -> i32,
    /// `[worker]` A request.
    pub call: unsafe extern "C" fn(self_: *mut c_void, request: *const gwp_request),
    /// `[worker]` The call has ended without the plugin; `GWP_CANCEL_…`.
    pub cancel: unsafe extern "C" fn(self_: *mut c_void, call: gwp_call, reason: i32),
    /// `[control]` No new work of its own; calls are still answered.
    pub quiesce: unsafe extern "C" fn(self_: *mut c_void, done: gwp_fn, user: *mut c_void),
    /// `[control]` The end; no call comes after it.
    pub stop: unsafe extern "C" fn(self_: *mut c_void, done: gwp_fn, user: *mut c_void),
    /// `[control]` After `done` of `stop`.
    pub destroy: unsafe extern "C" fn(self_: *mut c_void),
    /// `[any]` The plugin's own tables by id, or NULL.
    pub extension: unsafe extern "C" fn(self_: *mut c_void, id: gwp_bytes) -> *const c_void,
}

/// What a plugin exports as `gwp_entry_v1`.
#[repr(C)]
pub struct gwp_entry {
    /// [`GWP_MAGIC`].
    pub magic: u32,
    /// Size of this table.
    pub size: u32,
    /// Minor version the plugin was built against.
    pub abi_minor: u32,
    /// None defined.
    pub flags: u32,
    /// `[control]` The manifest; pure, static, the same bytes every time.
    pub manifest: unsafe extern "C" fn(out: *mut gwp_bytes),
    /// `[control]` Makes an instance, without outward effect. Until it has returned, whatever would have one
    /// (`emit`, `invoke`, `subscribe`, `write`, `publish`) answers `GWP_DENIED`, and jobs wait.
    pub create: unsafe extern "C" fn(host: *const gwp_host, setup_json: gwp_bytes, out: *mut gwp_plugin) -> i32,
}

/// `gwp.exec/1`: run on a worker, soon or after; or where it may block. All `[any]`.
#[repr(C)]
pub struct gwp_exec_v1 {
    /// Runs exactly once, soon.
    pub soon: unsafe extern "C" fn(host: *const gwp_host, func: gwp_fn, user: *mut c_void) -> i32,
    /// Runs exactly once after `ms`, unless cancelled.
    pub after:
        unsafe extern "C" fn(host: *const gwp_host, ms: u64, func: gwp_fn, user: *mut c_void, timer: *mut u64) -> i32,
    /// 0: the callback will not run any more.
    pub cancel: unsafe extern "C" fn(host: *const gwp_host, timer: u64) -> i32,
    /// Runs exactly once where it may block.
    pub blocking: unsafe extern "C" fn(host: *const gwp_host, func: gwp_fn, user: *mut c_void) -> i32,
}

/// `gwp.invoke/1`: call another method. All `[any]`.
#[repr(C)]
pub struct gwp_invoke_v1 {
    /// Starts a call; the sink hears reply kinds, the last one once.
    pub start: unsafe extern "C" fn(
        host: *const gwp_host,
        authority: gwp_principal,
        method: gwp_bytes,
        params: gwp_bytes,
        timeout_ms: u64,
        sink: gwp_sink,
        user: *mut c_void,
        out: *mut gwp_call,
    ) -> i32,
    /// 0: the sink will not run any more.
    pub cancel: unsafe extern "C" fn(host: *const gwp_host, call: gwp_call) -> i32,
}

/// `gwp.kv/1`: the plugin's own small state, mirrored in memory. All `[any]`.
#[repr(C)]
pub struct gwp_kv_v1 {
    /// The sink is called inside.
    pub get: unsafe extern "C" fn(host: *const gwp_host, key: gwp_bytes, sink: gwp_sink, user: *mut c_void) -> i32,
    /// The sink is called inside, once a key and once at the end.
    pub scan: unsafe extern "C" fn(host: *const gwp_host, prefix: gwp_bytes, sink: gwp_sink, user: *mut c_void) -> i32,
    /// All or nothing; `durable` is called once, later.
    pub write: unsafe extern "C" fn(
        host: *const gwp_host,
        ops: *const gwp_kv_op,
        n: usize,
        durable: gwp_sink,
        user: *mut c_void,
    ) -> i32,
}

/// `gwp.events/1`: hear events, in order, one at a time per subscription. All `[any]`.
#[repr(C)]
pub struct gwp_events_v1 {
    /// A name, or a prefix and `*`.
    pub subscribe: unsafe extern "C" fn(
        host: *const gwp_host,
        name_or_prefix_star: gwp_bytes,
        sink: gwp_sink,
        user: *mut c_void,
        out: *mut u64,
    ) -> i32,
    /// 0: the sink will not run any more.
    pub unsubscribe: unsafe extern "C" fn(host: *const gwp_host, subscription: u64) -> i32,
}

/// `gwp.caller/1`: who asks; without credentials. All `[any]`.
#[repr(C)]
pub struct gwp_caller_v1 {
    /// The sink is called inside.
    pub get: unsafe extern "C" fn(host: *const gwp_host, call: gwp_call, sink: gwp_sink, user: *mut c_void) -> i32,
    /// The authority outlives call and connection, not revocation.
    pub retain: unsafe extern "C" fn(host: *const gwp_host, call: gwp_call, out: *mut gwp_principal) -> i32,
    /// Gives it back.
    pub release: unsafe extern "C" fn(host: *const gwp_host, authority: gwp_principal) -> i32,
}

/// `gwp.snapshot/1`: what hello-ok shows, never awaited. `[any]`
#[repr(C)]
pub struct gwp_snapshot_v1 {
    /// Stores the latest value and raises that key's version.
    pub publish: unsafe extern "C" fn(host: *const gwp_host, key: gwp_bytes, json: gwp_bytes) -> i32,
}

/// Ids of the extensions.
pub mod extension {
    /// [`super::gwp_exec_v1`]
    pub const EXEC: &str = "gwp.exec/1";
    /// [`super::gwp_invoke_v1`]
    pub const INVOKE: &str = "gwp.invoke/1";
    /// [`super::gwp_kv_v1`]
    pub const KV: &str = "gwp.kv/1";
    /// [`super::gwp_events_v1`]
    pub const EVENTS: &str = "gwp.events/1";
    /// [`super::gwp_caller_v1`]
    pub const CALLER: &str = "gwp.caller/1";
    /// [`super::gwp_snapshot_v1`]
    pub const SNAPSHOT: &str = "gwp.snapshot/1";
    /// [`super::gwp_http_v1`], and [`super::gwp_http_plugin_v1`] of a plugin.
    pub const HTTP: &str = "gwp.http/1";
    /// Every extension this version defines.
    pub const ALL: [&str; 7] = [EXEC, INVOKE, KV, EVENTS, CALLER, SNAPSHOT, HTTP];
}

/// Done.
pub const GWP_OK: i32 = 0;
/// An argument is wrong.
pub const GWP_INVALID: i32 = -1;
/// Not offered.
pub const GWP_UNSUPPORTED: i32 = -2;
/// The configuration is wrong; `fail` said why.
pub const GWP_CONFIG: i32 = -3;
/// The call, timer, subscription or instance is no more.
pub const GWP_GONE: i32 = -4;
/// Too much at once; try later.
pub const GWP_BUSY: i32 = -5;
/// Not granted.
pub const GWP_DENIED: i32 = -6;
/// Over a size limit.
pub const GWP_TOO_LARGE: i32 = -7;
/// No such method, key or connection.
pub const GWP_NOT_FOUND: i32 = -8;
/// The other side panicked.
pub const GWP_PANIC: i32 = -9;

/// A `res` now, more to come.
pub const GWP_INTERIM: i32 = 1;
/// The json is the payload.
pub const GWP_FINAL: i32 = 2;
/// The json is an `ErrorShape`.
pub const GWP_ERROR: i32 = 3;
/// The json is `{"error","payload"}`.
pub const GWP_ERROR_PAYLOAD: i32 = 4;
/// events: `{"event","payload","conns"?}`
pub const GWP_SINK_EVENT: i32 = 10;
/// kv get: the value.
pub const GWP_SINK_FOUND: i32 = 20;
/// kv get: nothing there.
pub const GWP_SINK_ABSENT: i32 = 21;
/// kv scan: `{"key","value"}`
pub const GWP_SINK_ENTRY: i32 = 22;
/// kv scan: no more.
pub const GWP_SINK_END: i32 = 23;
/// kv write: on disk.
pub const GWP_SINK_DURABLE: i32 = 24;
/// kv write: a condition failed; the value there, as it is.
pub const GWP_SINK_CONFLICT: i32 = 25;
/// kv write: why.
pub const GWP_SINK_FAILED: i32 = 26;
/// caller: the record.
pub const GWP_SINK_CALLER: i32 = 30;

/// The connection went.
pub const GWP_CANCEL_DISCONNECT: i32 = 1;
/// The deadline passed.
pub const GWP_CANCEL_TIMEOUT: i32 = 2;
/// The instance stops.
pub const GWP_CANCEL_STOP: i32 = 3;
/// The invoker asked.
pub const GWP_CANCEL_ASKED: i32 = 4;
/// The caller's authority was revoked.
pub const GWP_CANCEL_REVOKED: i32 = 5;

/// The connection is local.
pub const GWP_REQ_LOCAL: u32 = 1;
/// The caller holds `operator.admin`.
pub const GWP_REQ_ADMIN: u32 = 2;
/// The caller's role is node.
pub const GWP_REQ_NODE: u32 = 4;

/// A slow consumer may miss it; otherwise it is closed.
pub const GWP_EV_DROP_IF_SLOW: u32 = 1;
/// Stamp the current snapshot versions.
pub const GWP_EV_STATE_VERSION: u32 = 2;

/// Delete instead of set.
pub const GWP_KV_DELETE: u32 = 1;
/// Only if nothing is there.
pub const GWP_KV_IF_ABSENT: u32 = 2;
/// Only if `expected` is there.
pub const GWP_KV_IF_EQUAL: u32 = 4;

/// See [`gwp_principal`]: own grants, that caller's account.
pub const GWP_OWN_GRANTS: u64 = 1 << 63;

layout! {
    LAYOUTS:
    gwp_bytes: 16 { ptr: 0, len: 8 }
    gwp_request: 96 {
        size: 0, flags: 4, call: 8, conn: 16, deadline_ms: 24, method: 32, params: 48, idempotency_key: 64,
        traceparent: 80,
    }
    gwp_event: 56 { size: 0, flags: 4, name: 8, payload: 24, conns: 40, n_conns: 48 }
    gwp_kv_op: 56 { size: 0, flags: 4, key: 8, value: 24, expected: 40 }
    gwp_host: 56 { size: 0, abi_minor: 4, ctx: 8, extension: 16, reply: 24, emit: 32, log: 40, fail: 48 }
    gwp_plugin: 72 {
        size: 0, flags: 4, self_: 8, start: 16, call: 24, cancel: 32, quiesce: 40, stop: 48, destroy: 56, extension: 64,
    }
    gwp_entry: 32 { magic: 0, size: 4, abi_minor: 8, flags: 12, manifest: 16, create: 24 }
    gwp_exec_v1: 32 { soon: 0, after: 8, cancel: 16, blocking: 24 }
    gwp_invoke_v1: 16 { start: 0, cancel: 8 }
    gwp_kv_v1: 24 { get: 0, scan: 8, write: 16 }
    gwp_events_v1: 16 { subscribe: 0, unsubscribe: 8 }
    gwp_caller_v1: 24 { get: 0, retain: 8, release: 16 }
    gwp_snapshot_v1: 8 { publish: 0 }
}

impl gwp_bytes {
    /// Nothing.
    pub const ABSENT: gwp_bytes = gwp_bytes { ptr: std::ptr::null(), len: 0 };

    /// Lends bytes.
    pub const fn of(bytes: &[u8]) -> gwp_bytes {
        gwp_bytes { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// Lends a text.
    pub const fn text(text: &str) -> gwp_bytes {
        gwp_bytes::of(text.as_bytes())
    }

    /// Whether this is `{NULL, 0}`.
    pub fn is_absent(&self) -> bool {
        self.ptr.is_null()
    }

    /// The bytes; empty when absent.
    ///
    /// # Safety
    /// `ptr` is NULL, or points to `len` readable bytes that nobody writes while `'a` lasts.
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        // A length that no memory has is somebody's mistake; nothing is read for it.
        if self.ptr.is_null() || self.len > isize::MAX as usize {
            return &[];
        }
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }

    /// The text, or `None` when it is not UTF-8.
    ///
    /// # Safety
    /// As for [`gwp_bytes::bytes`].
    pub unsafe fn str<'a>(self) -> Option<&'a str> {
        // SAFETY: the caller's promise.
        std::str::from_utf8(unsafe { self.bytes() }).ok()
    }
}

/// A record of the interface: it begins with its own size, and later minors add fields at its end.
///
/// # Safety
/// The type is `repr(C)`, its first field is `size: u32`, and all bytes zero are a value of it.
pub(crate) unsafe trait Record: Copy {
    /// Its size in 1.0: no filler has a shorter one.
    const OLDEST: usize;
}

// SAFETY: `repr(C)`, begins with `size`, and holds integers and pointers only.
unsafe impl Record for gwp_request {
    const OLDEST: usize = 80;
}

// SAFETY: as above.
unsafe impl Record for gwp_event {
    const OLDEST: usize = 56;
}

// SAFETY: as above.
unsafe impl Record for gwp_kv_op {
    const OLDEST: usize = 56;
}

/// Reads a record of whatever minor: fields that its filler does not know are zero, fields that are not known here are
/// passed over. `None` when it is no record.
///
/// # Safety
/// `at` is NULL, or aligned and points to as many readable bytes as the size it begins with says, at least four.
pub(crate) unsafe fn read_record<T: Record>(at: *const T) -> Option<T> {
    if at.is_null() || !at.is_aligned() {
        return None;
    }
    // SAFETY: a record begins with its size.
    let size = unsafe { at.cast::<u32>().read() } as usize;
    if size < T::OLDEST {
        return None;
    }
    let mut record = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: both hold as many bytes, and all zero is a value of the type.
    unsafe {
        std::ptr::copy_nonoverlapping(at.cast::<u8>(), record.as_mut_ptr().cast(), size.min(size_of::<T>()));
        Some(record.assume_init())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_may_be_shorter_or_longer_than_the_one_known_here() {
        /// A record that has grown since 1.0.
        #[derive(Clone, Copy)]
        #[repr(C)]
        struct Grown {
            size: u32,
            old: u32,
            new: u64,
        }
        // SAFETY: `repr(C)`, begins with `size`, integers only.
        unsafe impl Record for Grown {
            const OLDEST: usize = 8;
        }
        let filled = |size| Grown { size, old: 1, new: 2 };
        // SAFETY: each is a whole record.
        let read = |record: &Grown| unsafe { read_record(record) }.map(|record| (record.old, record.new));
        assert_eq!(read(&filled(8)), Some((1, 0)), "an older filler");
        assert_eq!(read(&filled(16)), Some((1, 2)));
        assert_eq!(read(&filled(7)), None);
        let longer = [filled(32), filled(0)];
        assert_eq!(read(&longer[0]), Some((1, 2)), "a later filler");
        // SAFETY: NULL is allowed.
        assert!(unsafe { read_record::<Grown>(std::ptr::null()) }.is_none());
    }
}
