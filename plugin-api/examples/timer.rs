//! How does a plugin do something every now and then, and stop in good order? `cargo run --example timer`

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use plugin_api::{Call, CreateError, EventSpec, Host, Manifest, Methods, Plugin, Reply, Setup, StartError};
use plugin_kit::Harness;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

struct Clock {
    host: Host,
    config: Config,
    ticking: Mutex<Option<plugin_api::Spawned>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Minutes between two strokes.
    #[serde(default = "an_hour")]
    minutes: u64,
}

#[derive(Serialize, JsonSchema)]
struct Stroke {
    number: u64,
}

static METHODS: LazyLock<Methods<Clock>> = LazyLock::new(Methods::new);

impl Plugin for Clock {
    fn manifest() -> Manifest {
        let stroke = EventSpec::everyone("stroke").summary("Every so many minutes.").payload::<Stroke>();
        Manifest::new("clock", "1.0.0").config::<Config>().event(stroke)
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        Ok(Clock { host, config: setup.config()?, ticking: Mutex::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let (host, pause) = (self.host.clone(), Duration::from_secs(60 * self.config.minutes));
        let ticking = self.host.spawn(async move {
            for number in 1.. {
                host.sleep(pause).await;
                if let Err(error) = host.event("stroke").droppable().send(&Stroke { number }) {
                    host.warn(&format!("a stroke went unheard: {error}"));
                }
            }
        });
        *self.ticking.lock().unwrap_or_else(PoisonError::into_inner) = Some(ticking);
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn quiesce(&self) {
        // Two instances never strike at once: the old one ends here, before the new one starts.
        if let Some(ticking) = self.ticking.lock().unwrap_or_else(PoisonError::into_inner).take() {
            ticking.cancel();
        }
    }
}

plugin_api::plugin!(Clock);

fn an_hour() -> u64 {
    60
}

pub(crate) fn main() {
    let plugin = Harness::new::<Clock>().config(serde_json::json!({ "minutes": 15 })).start();
    plugin.advance(Duration::from_secs(60 * 60));
    println!("in an hour: {} strokes, {} timer set", plugin.events().len(), plugin.timers());
    plugin.quiesce();
    println!("after quiesce: {} timers set", plugin.timers());
}
