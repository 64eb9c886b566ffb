//! The gateway with every built-in plugin and one more, `post`: a message channel that keeps a line of each message, on the
//! disk before it answers. A test that kills the gateway counts the lines.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use plugin_api::abi::extension;
use plugin_api::contracts::channel;
use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, Plugin, Reply, Setup};
use serde::Deserialize;
use serde_json::json;
use {
    plugin_acp as _, plugin_agent as _, plugin_agents as _, plugin_anthropic as _, plugin_approvals as _,
    plugin_canvas as _, plugin_channels as _, plugin_chat as _, plugin_command as _, plugin_config as _,
    plugin_console as _, plugin_cron as _, plugin_devices as _, plugin_discovery as _, plugin_doors as _,
    plugin_echo as _, plugin_health as _, plugin_heartbeat as _, plugin_hooks as _, plugin_logs as _,
    plugin_models as _, plugin_node as _, plugin_openai as _, plugin_presence as _, plugin_send as _,
    plugin_sessions as _, plugin_status as _, plugin_system as _, plugin_voice as _,
};

/// The file in the plugin's folder: a JSON object a line.
const FILE: &str = "post.jsonl";

fn main() -> std::process::ExitCode {
    clawhost::run()
}

struct Post {
    host: Host,
    config: PostConfig,
    file: Arc<Mutex<File>>,
}

/// `[plugins.post.config]`
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct PostConfig {
    /// Milliseconds that a message takes before it is on the disk, and again before that is said: in either a kill may come.
    pause_ms: u64,
}

static METHODS: LazyLock<Methods<Post>> = LazyLock::new(|| {
    let send = Method::internal("channel.post.send").summary("Keeps a line of a message.").effects();
    Methods::new().add(send, Post::send)
});

impl Plugin for Post {
    fn manifest() -> Manifest {
        Manifest::new("post", "0.1.0").requires(&[extension::EXEC]).config::<PostConfig>().methods(&METHODS)
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let file = OpenOptions::new().create(true).append(true).open(setup.data_dir()?.join(FILE))?;
        Ok(Post { host, config: setup.config()?, file: Arc::new(Mutex::new(file)) })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

impl Post {
    async fn send(self: Arc<Self>, _: Call, message: channel::Send) -> Result<channel::Sent, MethodError> {
        let pause = Duration::from_millis(self.config.pause_ms);
        self.host.sleep(pause).await;
        let line = json!({ "key": message.idempotency_key, "to": message.to, "text": message.text });
        let file = self.file.clone();
        let kept = move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_data()
        };
        self.host.blocking(kept).await??;
        self.host.sleep(pause).await;
        Ok(channel::Sent { message_id: message.idempotency_key, ..channel::Sent::default() })
    }
}

plugin_api::plugin!(Post);
