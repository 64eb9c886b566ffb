//! How does a plugin hear what happens elsewhere? `cargo run --example hear_events`

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use plugin_api::catalogue::ConnectionOpened;
use plugin_api::{
    Call, CreateError, EventSpec, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup,
    StartError, Subscription,
};
use plugin_kit::{Harness, sample};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

struct Doorbell {
    host: Host,
    rung: AtomicU64,
    hearing: Mutex<Option<Subscription>>,
}

#[derive(Serialize, JsonSchema)]
struct Rung {
    times: u64,
}

static METHODS: LazyLock<Methods<Doorbell>> = LazyLock::new(|| {
    let rung = Method::operator("doorbell.rung", &["operator.read"]).summary("How often it has rung.");
    Methods::new().add(rung, Doorbell::rung)
});

impl Plugin for Doorbell {
    fn manifest() -> Manifest {
        // The grant: without `hears` the host denies the subscription to events of `host.*`.
        let ring = EventSpec::everyone("doorbell").summary("Somebody came.").payload::<Rung>();
        Manifest::new("doorbell", "1.0.0").hears(&["host.connection.opened"]).methods(&METHODS).event(ring)
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Doorbell { host, rung: AtomicU64::new(0), hearing: Mutex::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        // Weak: a listener that held the plugin, kept in the plugin, would hold both for ever.
        let plugin = Arc::downgrade(&self);
        let hearing = self.host.subscribe("host.connection.opened", move |event| {
            if let (Some(plugin), Ok(opened)) = (plugin.upgrade(), event.payload::<ConnectionOpened>()) {
                plugin.ring(&opened);
            }
        });
        let hearing = hearing.map_err(|error| StartError::new(error.to_string()))?;
        *self.hearing.lock().unwrap_or_else(PoisonError::into_inner) = Some(hearing);
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn quiesce(&self) {
        drop(self.hearing.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

plugin_api::plugin!(Doorbell);

impl Doorbell {
    fn ring(&self, opened: &ConnectionOpened) {
        // Connections that were open already when this instance started are told again, for those who keep a list.
        if opened.replay {
            return;
        }
        let times = self.rung.fetch_add(1, Ordering::Relaxed) + 1;
        if let Err(error) = self.host.event("doorbell").droppable().send(&Rung { times }) {
            self.host.warn(&format!("nobody heard the bell: {error}"));
        }
    }

    async fn rung(self: Arc<Self>, _: Call, _: NoParams) -> Result<Rung, MethodError> {
        Ok(Rung { times: self.rung.load(Ordering::Relaxed) })
    }
}

pub(crate) fn main() {
    let plugin = Harness::new::<Doorbell>().start();
    plugin.open_connection(&sample::opened(2));
    plugin.open_connection(&sample::opened(3));
    println!("{}", plugin.wait_event("doorbell").payload);
    println!("{}", plugin.call("doorbell.rung", json!({})).payload());
}
