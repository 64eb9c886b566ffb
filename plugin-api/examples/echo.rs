//! How does a method answer? `cargo run --example echo`

use std::sync::{Arc, LazyLock};

use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, Plugin, Reply, Setup};
use plugin_kit::Harness;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

struct Echo;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Text {
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Heard {
    heard: String,
    letters: usize,
}

static METHODS: LazyLock<Methods<Echo>> = LazyLock::new(|| {
    let echo = Method::operator("echo", &["operator.read"]).summary("Says what it heard.");
    Methods::new().add(echo, Echo::echo)
});

impl Plugin for Echo {
    fn manifest() -> Manifest {
        Manifest::new("echo", "1.0.0")
            .vendor("org.example")
            .license("MIT")
            .summary("Says what it heard.")
            .methods(&METHODS)
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Echo)
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Echo);

impl Echo {
    async fn echo(self: Arc<Self>, _call: Call, params: Text) -> Result<Heard, MethodError> {
        if params.text.is_empty() {
            return Err(MethodError::invalid_request("there is nothing to say"));
        }
        Ok(Heard { letters: params.text.chars().count(), heard: params.text })
    }
}

pub(crate) fn main() {
    let plugin = Harness::new::<Echo>().start();
    for params in [json!({ "text": "hello" }), json!({ "text": "" }), json!({ "words": 3 })] {
        match plugin.call("echo", params.clone()).result {
            Ok(payload) => println!("echo {params} -> {payload}"),
            Err(error) => println!("echo {params} -> {error}"),
        }
    }
}
