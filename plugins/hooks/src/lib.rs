//! Webhooks: /hooks/*.

use std::sync::Arc;

use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};

/// The plugin.
pub struct Hooks;

impl Plugin for Hooks {
    fn manifest() -> Manifest {
        Manifest::new("hooks", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Webhooks: /hooks/*.")
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Hooks)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

plugin_api::plugin!(Hooks);
