//! The plugin's side of `gwp.http/1`.

use std::ffi::c_void;
use std::marker::PhantomData;

use super::{instance, task};
use crate::Plugin;
use crate::abi::*;
use crate::http::{Answering, Exchange};

/// The table of a plugin type.
struct Table<P>(PhantomData<P>);

impl<P: Plugin> Table<P> {
    const HTTP: &'static gwp_http_plugin_v1 = &gwp_http_plugin_v1 { request: request::<P>, event: event::<P> };
}

pub(super) unsafe extern "C" fn extension<P: Plugin>(_: *mut c_void, id: gwp_bytes) -> *const c_void {
    // SAFETY: lent for this call.
    match unsafe { id.str() } {
        Some(crate::abi::extension::HTTP) => std::ptr::from_ref(Table::<P>::HTTP).cast(),
        _ => std::ptr::null(),
    }
}

unsafe extern "C" fn request<P: Plugin>(this: *mut c_void, request: *const gwp_http_request) {
    // SAFETY: the host calls this between `create` and `destroy`.
    let instance = unsafe { instance::<P>(this) };
    // SAFETY: the host lends a record whose `size` says how much of it there is.
    let Some(request) = (unsafe { read_record(request) }) else { return };
    let number = request.exchange;
    let raw = instance.host.raw();
    let line = instance.exchanges.open(raw, number);
    // SAFETY: the slices are lent for this call, and copied.
    let exchange = unsafe {
        let texts = [request.verb, request.path, request.query, request.route, request.head].map(|text| text.str());
        Exchange::new(line.clone(), &request, texts)
    };
    let answering = Answering::new(line.clone());
    let plugin = instance.plugin.clone();
    let pending = task::start(raw, &instance.calls, number, async move {
        let result = plugin.http(exchange).await;
        answering.finish(result);
    });
    // It may have ended before the task was kept, and found nothing to cancel then.
    if pending && line.is_unanswered() {
        instance.calls.cancel(number);
    }
}

unsafe extern "C" fn event<P: Plugin>(this: *mut c_void, exchange: gwp_exchange, kind: i32, data: gwp_bytes) {
    // SAFETY: the host calls this between `create` and `destroy`.
    let instance = unsafe { instance::<P>(this) };
    // SAFETY: lent for this call, and copied.
    let data = unsafe { data.bytes() };
    if instance.exchanges.hear(exchange, kind, data) {
        instance.calls.cancel(exchange);
    }
}
