//! Jobs: cron.*.

use std::sync::Arc;

use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};

/// The plugin.
pub struct Cron;

impl Plugin for Cron {
    fn manifest() -> Manifest {
        Manifest::new("cron", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Jobs: cron.*.")
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Cron)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

plugin_api::plugin!(Cron);
