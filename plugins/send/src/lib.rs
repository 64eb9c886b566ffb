//! Messages to people: send, poll.

use std::sync::Arc;

use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};

/// The plugin.
pub struct Send;

impl Plugin for Send {
    fn manifest() -> Manifest {
        Manifest::new("send", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Messages to people: send, poll.")
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Send)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

plugin_api::plugin!(Send);
