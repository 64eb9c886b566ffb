//! HTTP doors: /v1/chat/completions, /v1/responses, /tools/invoke.

use std::sync::Arc;

use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};

/// The plugin.
pub struct Doors;

impl Plugin for Doors {
    fn manifest() -> Manifest {
        Manifest::new("doors", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("HTTP doors: /v1/chat/completions, /v1/responses, /tools/invoke.")
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Doors)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

plugin_api::plugin!(Doors);
