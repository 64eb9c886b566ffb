//! Sessions and their transcripts: sessions.*.

use std::sync::Arc;

use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};

/// The plugin.
pub struct Sessions;

impl Plugin for Sessions {
    fn manifest() -> Manifest {
        Manifest::new("sessions", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Sessions and their transcripts: sessions.*.")
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Sessions)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

plugin_api::plugin!(Sessions);
