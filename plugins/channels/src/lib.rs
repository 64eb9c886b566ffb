//! Message channels: how they are doing, what comes in on them, and who may write to which agent.
//!
//! No channel is known here. One exists when a plugin declares internal methods `channel.<id>.…`
//! ([`plugin_api::contracts::channel`]). What comes in is handed to `channels.inbound`, which decides by rules, keeps what is
//! to be answered, has an agent run and sends its answer. A message is taken once, answered once, and lost never: what was
//! open when the gateway stopped is gone on with at the next start.

mod book;
mod control;
mod directory;
mod inbound;
mod lanes;
mod pairing;
mod people;
mod report;
mod rules;
mod status;
mod store;
mod words;
mod work;

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use database::Database;
use database::rusqlite::Connection;
use plugin_api::{
    Call, CreateError, Host, Manifest, Method, MethodError, Methods, Plugin, Reply, Setup, Spawned, StartError,
    Subscription,
};
use schemars::JsonSchema;
use schemas::scope::{ADMIN, PAIRING, READ};
use serde::Deserialize;

use directory::Directory;
use lanes::Lanes;
use rules::Rule;

const REGISTRY_CHANGED: &str = "host.registry.changed";

/// `[plugins.channels.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelsConfig {
    /// Who may write to which agent; the first that fits decides. Without any, people who are paired reach the default agent
    /// in direct chats, and groups are passed over.
    pub rules: Vec<Rule>,
    /// Sessions that are answered at once; others wait for their turn.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_concurrent: usize,
    /// Messages of one session that wait to be answered; one more is not taken, and its sender is told.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_waiting: u64,
    /// Messages that wait to be answered in all; one more has to wait at its channel.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_open: u64,
    /// Messages whose ids are remembered after they were answered, so that one that comes again is known.
    #[schemars(range(min = 100, max = 10_000_000))]
    pub keep_messages: u64,
    /// Longest text of a message, in bytes; what is longer is cut.
    #[schemars(range(min = 100, max = 4_000_000))]
    pub max_text_bytes: usize,
    /// Most bytes of the files of a message; what is over it is mentioned and not shown.
    #[schemars(range(max = 100_000_000))]
    pub max_media_bytes: usize,
    /// Milliseconds until somebody who knocks is forgotten.
    #[schemars(range(min = 1000))]
    pub pairing_ttl_ms: u64,
    /// Most people who knock at an account at the same time; others are passed over.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_pairing_requests: u64,
    /// Milliseconds that an agent or a channel that cannot now is tried again.
    pub retry_for_ms: u64,
    /// The channel of `web.login.*`; the first that can be logged in to by a picture when absent.
    pub web_login: Option<String>,
}

impl Default for ChannelsConfig {
    fn default() -> Self {
        ChannelsConfig {
            rules: Vec::new(),
            max_concurrent: 16,
            max_waiting: 20,
            max_open: 1_000,
            keep_messages: 10_000,
            max_text_bytes: 65_536,
            max_media_bytes: 20_000_000,
            pairing_ttl_ms: 3_600_000,
            max_pairing_requests: 20,
            retry_for_ms: 600_000,
            web_login: None,
        }
    }
}

/// The plugin.
pub struct Channels {
    host: Host,
    config: ChannelsConfig,
    file: Database,
    directory: Directory,
    lanes: Lanes,
    listening: Mutex<Option<Subscription>>,
    taking_up: Mutex<Option<Spawned>>,
}

static METHODS: LazyLock<Methods<Channels>> = LazyLock::new(|| {
    Methods::new()
        .add(
            Method::operator("channels.status", &[READ]).summary("How the message channels are doing.").description(
                "`probe` has each channel ask its service; `timeoutMs` (default 10,000, at least 1,000) is for all of them \
                 together. A channel that fails or is late is shown with `lastError`.",
            ),
            Channels::status,
        )
        .add(
            Method::operator("channels.pairing.list", &[PAIRING])
                .summary("People who wrote on a channel and are not known."),
            Channels::pairing_list,
        )
        .add(
            Method::operator("channels.pairing.approve", &[PAIRING])
                .summary("Lets somebody write to the agent.")
                .description("`requestId` is that of the list, or the code that the sender was told.")
                .effects(),
            Channels::pairing_approve,
        )
        .add(
            Method::operator("channels.pairing.dismiss", &[PAIRING]).summary("Turns somebody away.").effects(),
            Channels::pairing_dismiss,
        )
        .add(
            Method::operator("channels.senders.list", &[PAIRING]).summary("People who were let in."),
            Channels::senders_list,
        )
        .add(
            Method::operator("channels.senders.remove", &[PAIRING]).summary("Lets somebody in no more.").effects(),
            Channels::senders_remove,
        )
        .add(
            Method::operator("channels.start", &[ADMIN]).summary("Starts a channel.").effects(),
            Channels::start_channel,
        )
        .add(Method::operator("channels.stop", &[ADMIN]).summary("Stops a channel.").effects(), Channels::stop_channel)
        .add(
            Method::operator("channels.logout", &[ADMIN]).summary("Logs a channel out of its service.").effects(),
            Channels::logout,
        )
        .add(
            Method::operator("web.login.start", &[ADMIN])
                .summary("Begins to log a channel in to its service: a picture to scan.")
                .effects()
                .timeout_ms(WHOLE_MS),
            Channels::login_start,
        )
        .add(
            Method::operator("web.login.wait", &[ADMIN])
                .summary("Waits until the picture was scanned.")
                .effects()
                .timeout_ms(WHOLE_MS),
            Channels::login_wait,
        )
        .add(
            Method::internal("channels.inbound")
                .summary("Takes a message that came in on a channel.")
                .description("It is on disk, or deliberately dropped, when this is answered.")
                .effects(),
            Channels::inbound,
        )
});

/// How long a login may take in all: longer than a channel may wait for one.
const WHOLE_MS: u64 = 660_000;

impl Plugin for Channels {
    fn manifest() -> Manifest {
        Manifest::new("channels", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Shows how message channels are doing, and takes what comes in on them to agents.")
            .invokes(&[
                "agent.abort",
                "agent.run",
                "channel.*",
                "host.registry.list",
                "send.deliver",
                "session.store.open",
                "sessions.reset",
            ])
            .hears(&[REGISTRY_CHANGED])
            .config::<ChannelsConfig>()
            .methods(&METHODS)
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: ChannelsConfig = setup.config()?;
        for (place, rule) in config.rules.iter().enumerate() {
            rule.check().map_err(|why| CreateError::new(format!("rules[{place}].{why}")))?;
        }
        Ok(Channels {
            file: Database::new(setup.data_dir()?, store::SHAPE),
            directory: Directory::new(host.clone()),
            lanes: Lanes::default(),
            listening: Mutex::default(),
            taking_up: Mutex::default(),
            config,
            host,
        })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let plugin = Arc::downgrade(&self);
        let listener = self.host.subscribe(REGISTRY_CHANGED, move |_| {
            if let Some(plugin) = plugin.upgrade() {
                plugin.directory.changed();
            }
        })?;
        *self.listening.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
        let plugin = self.clone();
        let task = self.host.spawn(async move { plugin.take_up().await });
        *self.taking_up.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn quiesce(&self) {
        if let Some(task) = self.taking_up.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.cancel();
        }
        self.lanes.close();
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

plugin_api::plugin!(Channels);

impl Channels {
    /// Goes on with what was open when the instance before this one ended.
    async fn take_up(self: Arc<Self>) {
        let mut troubled = false;
        let sessions = loop {
            match self.db(book::open_sessions).await {
                Ok(sessions) => break sessions,
                Err(error) => {
                    if !std::mem::replace(&mut troubled, true) {
                        self.host.error(&format!("messages that wait to be answered cannot be read: {error}"));
                    }
                    self.host.sleep(work::LONG_PAUSE).await;
                }
            }
        };
        for session in &sessions {
            lanes::wake(&self, session);
        }
    }

    /// Does all of it in the file, or nothing.
    async fn db<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, MethodError> + Send + 'static,
    ) -> Result<T, MethodError> {
        self.file.transaction(&self.host, job).await
    }
}

#[cfg(test)]
mod tests;
