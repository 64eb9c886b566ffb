//! The gateway with every built-in plugin and one more, `bench`, whose method sends an event to everyone at once. The load
//! tool measures delivery with it: the product's own events are paced on purpose.

use std::sync::{Arc, LazyLock};

use plugin_api::{Call, CreateError, EventSpec, Host, Manifest, Method, MethodError, Methods, Plugin, Reply, Setup};
use serde::{Deserialize, Serialize};
use {
    plugin_acp as _, plugin_agent as _, plugin_agents as _, plugin_anthropic as _, plugin_approvals as _,
    plugin_canvas as _, plugin_channels as _, plugin_chat as _, plugin_command as _, plugin_config as _,
    plugin_console as _, plugin_cron as _, plugin_devices as _, plugin_discovery as _, plugin_doors as _,
    plugin_echo as _, plugin_health as _, plugin_heartbeat as _, plugin_hooks as _, plugin_logs as _,
    plugin_models as _, plugin_node as _, plugin_openai as _, plugin_presence as _, plugin_send as _,
    plugin_sessions as _, plugin_signal as _, plugin_status as _, plugin_system as _, plugin_telegram as _,
    plugin_voice as _,
};

fn main() -> std::process::ExitCode {
    clawhost::run()
}

struct Bench {
    host: Host,
}

/// How large an event to send.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Broadcast {
    /// Bytes of its filling.
    bytes: usize,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Sent {
    ok: bool,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Filling {
    filling: String,
}

static METHODS: LazyLock<Methods<Bench>> = LazyLock::new(|| {
    let broadcast = Method::operator("bench.broadcast", &["operator.admin"]).summary("Sends an event to everyone.");
    Methods::new().add(broadcast, Bench::broadcast)
});

impl Plugin for Bench {
    fn manifest() -> Manifest {
        Manifest::new("bench", "0.1.0").methods(&METHODS).event(EventSpec::everyone("bench").payload::<Filling>())
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Bench { host })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

impl Bench {
    async fn broadcast(self: Arc<Self>, _: Call, params: Broadcast) -> Result<Sent, MethodError> {
        let filling = Filling { filling: "x".repeat(params.bytes.min(1 << 20)) };
        self.host.event("bench").send(&filling)?;
        Ok(Sent { ok: true })
    }
}

plugin_api::plugin!(Bench);
