//! Agent backend: programs that speak the Agent Client Protocol.

use std::sync::Arc;

use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};

/// The plugin.
pub struct Acp;

impl Plugin for Acp {
    fn manifest() -> Manifest {
        Manifest::new("acp", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Agent backend: programs that speak the Agent Client Protocol.")
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Acp)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

plugin_api::plugin!(Acp);
