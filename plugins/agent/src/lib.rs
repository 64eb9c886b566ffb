//! Runs agents: agent, agent.wait.

use std::sync::Arc;

use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};

/// The plugin.
pub struct Agent;

impl Plugin for Agent {
    fn manifest() -> Manifest {
        Manifest::new("agent", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Runs agents: agent, agent.wait.")
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Agent)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

plugin_api::plugin!(Agent);
