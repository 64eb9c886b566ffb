//! How does a method answer at once and finish later, even when its caller has gone?
//! `cargo run --example interim_reply`

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup};
use plugin_kit::{Harness, sample};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

struct Baker;

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Bread {
    status: &'static str,
    minutes: u64,
}

static METHODS: LazyLock<Methods<Baker>> = LazyLock::new(|| {
    // `interim` allows answers before the final one; `detached` lets a call outlive its connection.
    let bake = Method::operator("bake", &["operator.write"]).summary("Bakes a loaf.").effects().interim().detached();
    Methods::new().add(bake.timeout_ms(0), Baker::bake)
});

impl Plugin for Baker {
    fn manifest() -> Manifest {
        Manifest::new("baker", "1.0.0").methods(&METHODS)
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Baker)
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Baker);

impl Baker {
    async fn bake(self: Arc<Self>, call: Call, _: NoParams) -> Result<Bread, MethodError> {
        call.interim(&json!({ "status": "accepted" }))?;
        call.host().sleep(Duration::from_secs(40 * 60)).await;
        Ok(Bread { status: "done", minutes: 40 })
    }
}

pub(crate) fn main() {
    let plugin = Harness::new::<Baker>().start();
    let call = plugin.begin("bake", json!({}));
    println!("at once:    {}", call.next_interim());
    plugin.close_connection(&sample::closed(&sample::opened(1)));
    println!("the connection is gone; finished: {}", call.is_done());
    plugin.advance(Duration::from_secs(40 * 60));
    println!("in the end: {}", call.wait().payload());
}
