//! How does a plugin use what another one serves, with the rights of whoever asked?
//! `cargo run --example call_another_method`

use std::sync::{Arc, LazyLock};

use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup};
use plugin_kit::{Harness, Who};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

struct Advice;

#[derive(Deserialize)]
struct Weather {
    rain: bool,
}

#[derive(Serialize, JsonSchema)]
struct Advised {
    advice: &'static str,
}

static METHODS: LazyLock<Methods<Advice>> = LazyLock::new(|| {
    let advise = Method::operator("advice", &["operator.read"]).summary("What to take along.");
    Methods::new().add(advise, Advice::advise)
});

impl Plugin for Advice {
    fn manifest() -> Manifest {
        // The grant: without this line the host denies the call.
        Manifest::new("advice", "1.0.0").invokes(&["weather"]).methods(&METHODS)
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Advice)
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Advice);

impl Advice {
    async fn advise(self: Arc<Self>, call: Call, _: NoParams) -> Result<Advised, MethodError> {
        // `call.invoke` goes with the caller's rights; `call.host().invoke` would go in the plugin's own name.
        let weather: Weather = call.invoke("weather", &json!({})).send().await?;
        Ok(Advised { advice: if weather.rain { "an umbrella" } else { "a hat" } })
    }
}

pub(crate) fn main() {
    let plugin = Harness::new::<Advice>().answer("weather", json!({ "rain": true })).start();
    println!("{}", plugin.call_as(Who::operator(&["operator.read"]), "advice", json!({})).payload());
    for asked in plugin.asked() {
        println!("{} called {} with the rights of a {}", asked.by, asked.method, asked.caller.role);
    }
}
