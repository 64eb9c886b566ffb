//! A host that does nothing but listen to answers, so that only the table is between it and a plugin.

use std::hint::black_box;

use plugin_api::abi::*;
use plugin_api::hosting::{EmittedEvent, HostServices, Invocation, Job, KvWrite, Sink, Told};

/// It offers no extension.
pub struct Listener;

impl HostServices for Listener {
    fn offers(&self, _: &str) -> bool {
        false
    }

    fn reply(&self, call: gwp_call, kind: i32, json: &[u8]) -> i32 {
        assert_eq!(kind, GWP_FINAL, "the plugin failed: {}", String::from_utf8_lossy(json));
        black_box((call, json));
        GWP_OK
    }

    fn emit(&self, _: EmittedEvent<'_>) -> i32 {
        GWP_UNSUPPORTED
    }

    fn log(&self, _: i32, _: &str, _: &str, _: &str) -> i32 {
        GWP_OK
    }

    fn soon(&self, _: Job) -> i32 {
        GWP_UNSUPPORTED
    }

    fn after(&self, _: u64, _: Job, _: Told<'_>) -> i32 {
        GWP_UNSUPPORTED
    }

    fn cancel_timer(&self, _: u64) -> i32 {
        GWP_UNSUPPORTED
    }

    fn blocking(&self, _: Job) -> i32 {
        GWP_UNSUPPORTED
    }

    fn invoke(&self, _: Invocation<'_>, _: Sink, _: Told<'_>) -> i32 {
        GWP_UNSUPPORTED
    }

    fn cancel_invoke(&self, _: gwp_call) -> i32 {
        GWP_UNSUPPORTED
    }

    fn kv_get(&self, _: &str, _: &mut dyn FnMut(i32, &[u8])) -> i32 {
        GWP_UNSUPPORTED
    }

    fn kv_scan(&self, _: &str, _: &mut dyn FnMut(i32, &[u8])) -> i32 {
        GWP_UNSUPPORTED
    }

    fn kv_write(&self, _: &[KvWrite<'_>], _: Sink) -> i32 {
        GWP_UNSUPPORTED
    }

    fn subscribe(&self, _: &str, _: Sink, _: Told<'_>) -> i32 {
        GWP_UNSUPPORTED
    }

    fn unsubscribe(&self, _: u64) -> i32 {
        GWP_UNSUPPORTED
    }

    fn caller(&self, _: gwp_call, _: &mut dyn FnMut(i32, &[u8])) -> i32 {
        GWP_UNSUPPORTED
    }

    fn retain(&self, _: gwp_call) -> Result<gwp_principal, i32> {
        Err(GWP_UNSUPPORTED)
    }

    fn release(&self, _: gwp_principal) -> i32 {
        GWP_UNSUPPORTED
    }

    fn publish(&self, _: &str, _: &[u8]) -> i32 {
        GWP_UNSUPPORTED
    }

    fn http_head(&self, _: gwp_exchange, _: u32, _: &[u8]) -> i32 {
        GWP_GONE
    }

    fn http_write(&self, _: gwp_exchange, _: i32, _: &[u8]) -> i32 {
        GWP_GONE
    }

    fn http_end(&self, _: gwp_exchange, _: u32, _: &str) -> i32 {
        GWP_GONE
    }

    fn http_read(&self, _: gwp_exchange, _: u64) -> i32 {
        GWP_GONE
    }

    fn http_abort(&self, _: gwp_exchange) -> i32 {
        GWP_GONE
    }
}
