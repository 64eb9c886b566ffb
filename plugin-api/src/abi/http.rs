//! `gwp.http/1`: HTTP on the gateway's port. Not a method: it has a head, raw bytes both ways, back-pressure, and may
//! become a WebSocket.
//!
//! An exchange is a number like a call. The host hands over a [`gwp_http_request`] for a row of the manifest's `http`; the
//! plugin lets the body come with `read`, answers with `head`, any number of `write` and `end`, and hears of all that
//! happens meanwhile through `event`. `GWP_HTTP_CLOSED` is the last that it hears of an exchange, and comes once, unless
//! the instance is stopped before.

use std::ffi::c_void;

use super::{Layout, Record, gwp_bytes, gwp_host};

/// One request and its answer; 0 is never valid; never reused in a process.
pub type gwp_exchange = u64;

/// An HTTP request. A field may be read if it ends within `size`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct gwp_http_request {
    /// Size of this record as its filler knows it.
    pub size: u32,
    /// `GWP_HTTP_REQ_…`
    pub flags: u32,
    /// The number to answer to.
    pub exchange: gwp_exchange,
    /// Bytes of the body, if they are known beforehand; all bits set if not.
    pub body_len: u64,
    /// `GET`, `POST`, …
    pub verb: gwp_bytes,
    /// The path as it was sent, without query, and without a capability before it.
    pub path: gwp_bytes,
    /// What follows `?`; absent without one.
    pub query: gwp_bytes,
    /// The path of the row of the manifest that it came by.
    pub route: gwp_bytes,
    /// The rest, as a JSON object: see `HttpHead` in the catalogue.
    pub head: gwp_bytes,
}

/// `gwp.http/1` of the host. All `[any]`. Each answers `GWP_GONE` once the exchange is over.
#[repr(C)]
pub struct gwp_http_v1 {
    /// Begins the answer: a status and the headers, `[["name","value"],…]` as JSON. Status 101 takes an upgrade.
    pub head:
        unsafe extern "C" fn(host: *const gwp_host, exchange: gwp_exchange, status: u32, headers: gwp_bytes) -> i32,
    /// More of the answer, or a message; `kind` is `GWP_HTTP_BODY`, `GWP_HTTP_TEXT` or `GWP_HTTP_BINARY`. `GWP_BUSY`:
    /// too much waits, nothing was taken, and `GWP_HTTP_WRITABLE` will tell when there is room.
    pub write: unsafe extern "C" fn(host: *const gwp_host, exchange: gwp_exchange, kind: i32, data: gwp_bytes) -> i32,
    /// The answer is complete, or the WebSocket is closed with this code and reason (0: 1000).
    pub end: unsafe extern "C" fn(host: *const gwp_host, exchange: gwp_exchange, code: u32, reason: gwp_bytes) -> i32,
    /// Lets this many more bytes of the body, or of messages, come. A WebSocket begins with its row's `maxBody`.
    pub read: unsafe extern "C" fn(host: *const gwp_host, exchange: gwp_exchange, bytes: u64) -> i32,
    /// Cuts the connection: the peer sees that the answer is not whole.
    pub abort: unsafe extern "C" fn(host: *const gwp_host, exchange: gwp_exchange) -> i32,
}

/// `gwp.http/1` of a plugin, which its `extension` gives.
#[repr(C)]
pub struct gwp_http_plugin_v1 {
    /// `[worker]` A request.
    pub request: unsafe extern "C" fn(self_: *mut c_void, request: *const gwp_http_request),
    /// `[worker]` What happens to an exchange, in order, one at a time; kinds `GWP_HTTP_BODY` to `GWP_HTTP_CLOSED`.
    pub event: unsafe extern "C" fn(self_: *mut c_void, exchange: gwp_exchange, kind: i32, data: gwp_bytes),
}

/// A part of the body, either way.
pub const GWP_HTTP_BODY: i32 = 40;
/// The body has ended.
pub const GWP_HTTP_END: i32 = 41;
/// A message of text, either way.
pub const GWP_HTTP_TEXT: i32 = 42;
/// A message of bytes, either way.
pub const GWP_HTTP_BINARY: i32 = 43;
/// There is room to write again.
pub const GWP_HTTP_WRITABLE: i32 = 44;
/// It is over, and nothing follows; `{"why"}`, and `code`, `reason`.
pub const GWP_HTTP_CLOSED: i32 = 45;

/// The client is local.
pub const GWP_HTTP_REQ_LOCAL: u32 = 1;
/// It asks for a WebSocket.
pub const GWP_HTTP_REQ_UPGRADE: u32 = 2;
/// A body follows.
pub const GWP_HTTP_REQ_BODY: u32 = 4;

/// Of a body whose length nobody knows yet.
pub const GWP_HTTP_LENGTH_UNKNOWN: u64 = u64::MAX;

layout! {
    HTTP_LAYOUTS:
    gwp_http_request: 104 {
        size: 0, flags: 4, exchange: 8, body_len: 16, verb: 24, path: 40, query: 56, route: 72, head: 88,
    }
    gwp_http_v1: 40 { head: 0, write: 8, end: 16, read: 24, abort: 32 }
    gwp_http_plugin_v1: 16 { request: 0, event: 8 }
}

// SAFETY: `repr(C)`, begins with `size`, and holds integers and pointers only.
unsafe impl Record for gwp_http_request {
    const OLDEST: usize = 104;
}
