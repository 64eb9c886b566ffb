//! Agent backend: Anthropic's Messages API.

use std::sync::Arc;

use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};

/// The plugin.
pub struct Anthropic;

impl Plugin for Anthropic {
    fn manifest() -> Manifest {
        Manifest::new("anthropic", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Agent backend: Anthropic's Messages API.")
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Anthropic)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

plugin_api::plugin!(Anthropic);
