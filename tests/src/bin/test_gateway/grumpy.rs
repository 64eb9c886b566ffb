//! A plugin that fails where its configuration says.

use std::sync::{Arc, LazyLock};

use plugin_api::{
    Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup, StartError,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// `[plugins.grumpy.config]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct GrumpyConfig {
    /// `create`, `panic`, `start` or `stop`.
    fails_in: String,
}

/// The plugin.
pub struct Grumpy {
    config: GrumpyConfig,
}

static METHODS: LazyLock<Methods<Grumpy>> =
    LazyLock::new(|| Methods::new().add(Method::operator("grumpy.hello", &[]), Grumpy::hello));

impl Plugin for Grumpy {
    fn manifest() -> Manifest {
        Manifest::new("grumpy", "1.0.0").config::<GrumpyConfig>().methods(&METHODS)
    }

    fn create(_: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: GrumpyConfig = setup.config()?;
        match config.fails_in.as_str() {
            "create" => Err(CreateError::new("fails_in says so")),
            "panic" => panic!("as configured"),
            _ => Ok(Grumpy { config }),
        }
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        match self.config.fails_in.as_str() {
            "start" => Err(StartError::new("fails_in says so")),
            _ => Ok(()),
        }
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn stop(&self) {
        if self.config.fails_in == "stop" {
            std::future::pending::<()>().await;
        }
    }
}

plugin_api::plugin!(Grumpy);

impl Grumpy {
    async fn hello(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        Ok(json!({ "mood": "grumpy" }))
    }
}
