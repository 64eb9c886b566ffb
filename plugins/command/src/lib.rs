//! Agent backend: a command-line agent in a child process.

use std::sync::Arc;

use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};

/// The plugin.
pub struct Command;

impl Plugin for Command {
    fn manifest() -> Manifest {
        Manifest::new("command", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Agent backend: a command-line agent in a child process.")
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Command)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

plugin_api::plugin!(Command);
