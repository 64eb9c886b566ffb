//! Chat: chat.*.

use std::sync::Arc;

use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};

/// The plugin.
pub struct Chat;

impl Plugin for Chat {
    fn manifest() -> Manifest {
        Manifest::new("chat", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Chat: chat.*.")
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Chat)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

plugin_api::plugin!(Chat);
