//! Message channel: Signal, through signal-cli.

use std::sync::Arc;

use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};

/// The plugin.
pub struct Signal;

impl Plugin for Signal {
    fn manifest() -> Manifest {
        Manifest::new("signal", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Message channel: Signal, through signal-cli.")
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Signal)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

plugin_api::plugin!(Signal);
