//! A plugin that takes what it can get: time, memory, the ears of everybody, the log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use plugin_api::{
    Call, CreateError, EventSpec, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The plugin.
pub struct Unruly {
    host: Host,
    is_enough: AtomicBool,
}

static METHODS: LazyLock<Methods<Unruly>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::operator("unruly.spin", &[]).timeout_ms(300), Unruly::spin)
        .add(Method::operator("unruly.stop", &[]), Unruly::stop)
        .add(Method::operator("unruly.shout", &[]), Unruly::shout)
        .add(Method::operator("unruly.rant", &[]), Unruly::rant)
        .add(Method::operator("unruly.hoard", &[]), Unruly::hoard)
});

impl Plugin for Unruly {
    fn manifest() -> Manifest {
        Manifest::new("unruly", "1.0.0")
            .methods(&METHODS)
            .event(EventSpec::operator("unruly.said", &["operator.read"]))
            .event(EventSpec::operator("unruly.mumbled", &["operator.read"]))
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Unruly { host, is_enough: AtomicBool::new(false) })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Unruly);

#[derive(Deserialize, JsonSchema)]
struct Much {
    count: u64,
    #[serde(default)]
    bytes: usize,
}

impl Unruly {
    /// Computes until somebody says that it is enough, and looks at nothing else.
    async fn spin(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        let mut sum = 0u64;
        while !self.is_enough.load(Ordering::Relaxed) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        Ok(json!({ "sum": sum }))
    }

    async fn stop(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        self.is_enough.store(true, Ordering::Relaxed);
        Ok(json!({}))
    }

    /// Tells everybody, and whoever can do without it.
    async fn shout(self: Arc<Self>, _: Call, much: Much) -> Result<Value, MethodError> {
        let filler = "x".repeat(much.bytes);
        for number in 0..much.count {
            self.host.event("unruly.said").send(&json!({ "number": number }))?;
            self.host.event("unruly.mumbled").droppable().send(&json!({ "number": number, "filler": filler }))?;
        }
        Ok(json!({}))
    }

    async fn rant(self: Arc<Self>, _: Call, much: Much) -> Result<Value, MethodError> {
        let words = "rant ".repeat(much.bytes / 5);
        for number in 0..much.count {
            self.host.warn(&format!("{number} {words}"));
        }
        Ok(json!({}))
    }

    /// Keeps state until it may keep no more: how much that was.
    async fn hoard(self: Arc<Self>, _: Call, much: Much) -> Result<Value, MethodError> {
        let value = "x".repeat(much.bytes);
        for number in 0..much.count {
            if let Err(error) = self.host.kv().set_json(&format!("hoard-{number}"), &value).await {
                return Ok(json!({ "kept": number, "why": error.to_string() }));
            }
        }
        Ok(json!({ "kept": much.count }))
    }
}
