//! Agent backend: every server with OpenAI's API.

use std::sync::Arc;

use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};

/// The plugin.
pub struct Openai;

impl Plugin for Openai {
    fn manifest() -> Manifest {
        Manifest::new("openai", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Agent backend: every server with OpenAI's API.")
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Openai)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

plugin_api::plugin!(Openai);
