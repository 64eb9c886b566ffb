//! A plugin of somebody else, as the tests load it: a shared library in Rust. `[plugins.loaded.config]` says where it
//! fails.

use std::sync::{Arc, LazyLock};

use plugin_api::{
    Call, CreateError, EventSpec, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup,
    StartError,
};
use schemars::JsonSchema;
use schemas::scope::READ;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

struct Loaded {
    host: Host,
    fails_in: String,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// "create", "panic" (in create), "start".
    fails_in: String,
}

/// Any object.
#[derive(Deserialize, Serialize, JsonSchema)]
struct Anything(serde_json::Map<String, Value>);

/// Which method to call, in the plugin's own name.
#[derive(Deserialize, JsonSchema)]
struct Wanted {
    method: String,
}

static METHODS: LazyLock<Methods<Loaded>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::operator("loaded.echo", &[READ]).summary("Says what it heard."), Loaded::echo)
        .add(Method::operator("loaded.panic", &[READ]).summary("Panics."), Loaded::panic)
        .add(Method::operator("loaded.ask", &[READ]).summary("Calls another method."), Loaded::ask)
});

impl Plugin for Loaded {
    fn manifest() -> Manifest {
        Manifest::new("loaded", "1.2.3")
            .summary("A plugin from a library.")
            .invokes(&["*"])
            .config::<Config>()
            .methods(&METHODS)
            .event(EventSpec::operator("loaded.said", &[READ]))
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let Config { fails_in } = setup.config()?;
        match fails_in.as_str() {
            "create" => Err(CreateError::new("fails_in says so")),
            "panic" => panic!("fails_in says so"),
            _ => Ok(Loaded { host, fails_in }),
        }
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        if self.fails_in == "start" { Err(StartError::new("fails_in says so")) } else { Ok(()) }
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

impl Loaded {
    async fn echo(self: Arc<Self>, _: Call, said: Anything) -> Result<Anything, MethodError> {
        tracing::warn!(target: "loaded", fields = said.0.len(), "heard something");
        // Nobody may be there to hear it.
        let _ = self.host.event("loaded.said").send(&said);
        Ok(said)
    }

    async fn panic(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        panic!("as it was asked to")
    }

    async fn ask(self: Arc<Self>, _: Call, wanted: Wanted) -> Result<Value, MethodError> {
        self.host.invoke(&wanted.method, &json!({})).send().await
    }
}

plugin_api::dylib!(Loaded);
