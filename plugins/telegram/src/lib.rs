//! Message channel: Telegram bots.

use std::sync::Arc;

use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};

/// The plugin.
pub struct Telegram;

impl Plugin for Telegram {
    fn manifest() -> Manifest {
        Manifest::new("telegram", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Message channel: Telegram bots.")
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Telegram)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

plugin_api::plugin!(Telegram);
