//! Sessions and their transcripts: `sessions.*` for clients, `session.store.*` for other plugins.
//!
//! They are kept in a database of the plugin's own. Whatever is answered is on the disk; what is read is read from there,
//! so there is one truth. Of a session that was deleted, reset or compacted the messages stay, under another name, until
//! there are more than `archives` of them, or than `program_archives` of what jobs and single requests left.

mod internal;
mod keys;
mod list;
mod look;
mod manage;
mod patch;
mod room;
mod rows;
mod store;
mod text;
mod watch;

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use database::Database;
use plugin_api::abi::extension;
use plugin_api::catalogue::GatewayInfo;
use plugin_api::{
    Call, CreateError, EventSpec, HeardEvent, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply,
    Setup, StartError, Subscription,
};
use schemars::JsonSchema;
use schemas::scope::{READ, WRITE};
use serde::{Deserialize, Deserializer, Serialize};

use keys::Names;
use manage::ABORT;
use room::RUNS;
use store::sessions::Room;
use store::transcripts::Archives;
use watch::{CHANGED, Changed, MESSAGE, NewMessage, Watch};

/// `[plugins.sessions.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionsConfig {
    /// Most sessions; for one more, the oldest one of a single request to the HTTP doors or of a hook is given up.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_sessions: u64,
    /// Sessions that one request lists at most.
    #[schemars(range(min = 1, max = 20_000))]
    pub max_listed: u64,
    /// Messages of a conversation that can be read, the last ones; those before them stay on the disk.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_messages: u64,
    /// Largest message, in bytes of its JSON.
    #[schemars(range(min = 1_024, max = 67_108_864))]
    pub max_message_bytes: usize,
    /// Bytes of messages that one request reads at most; less than gateway.limits.max_outbound_bytes.
    #[schemars(range(min = 1_024, max = 67_108_864))]
    pub max_read_bytes: u64,
    /// Largest entry of a session, in bytes of its JSON.
    #[schemars(range(min = 1_024, max = 1_048_576))]
    pub max_entry_bytes: usize,
    /// Transcripts that are kept of sessions that were deleted, reset or compacted; the oldest are removed.
    #[schemars(range(max = 1_000_000))]
    pub archives: u64,
    /// The same of sessions that jobs and single requests of programs made; they are counted apart.
    #[schemars(range(max = 1_000_000))]
    pub program_archives: u64,
    /// Writes that may wait for the disk.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_queue: usize,
    /// Sessions whose messages one connection may hear.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_subscriptions: usize,
}

impl Default for SessionsConfig {
    fn default() -> Self {
        SessionsConfig {
            max_sessions: 100_000,
            max_listed: 5_000,
            max_messages: 20_000,
            max_message_bytes: 8_388_608,
            max_read_bytes: 12_582_912,
            max_entry_bytes: 65_536,
            archives: 1_000,
            program_archives: 200,
            max_queue: 4_096,
            max_subscriptions: 256,
        }
    }
}

/// The plugin.
pub struct Sessions {
    host: Host,
    config: SessionsConfig,
    store: Database,
    watch: Arc<Watch>,
    /// How the gateway names its main session; asked for anew when its configuration changes.
    names: Mutex<Option<Arc<Names>>>,
    subscriptions: Mutex<Vec<Subscription>>,
}

static METHODS: LazyLock<Methods<Sessions>> = LazyLock::new(|| {
    let read = |name| Method::operator(name, &[READ]);
    let write = |name| Method::operator(name, &[WRITE]).effects();
    let admin = |name| Method::operator(name, &[schemas::scope::ADMIN]).effects();
    let store = |name| Method::internal(name).summary("See plugin_api::contracts::session.");
    Methods::new()
        .add(read("sessions.list").summary("Sessions, those used last first."), Sessions::list)
        .add(read("sessions.preview").summary("What was said last in some sessions."), Sessions::preview)
        .add(read("sessions.resolve").summary("The key of a session, by key, id or label."), Sessions::resolve)
        .add(read("sessions.describe").summary("One session."), Sessions::describe)
        .add(read("sessions.get").summary("The end of a session's transcript."), Sessions::get)
        .add(
            write("sessions.patch").summary("Sets fields of a session, which is made if it is absent.").description(
                "Absent fields stay, null clears one. label, category, pinned, archived, unread, icon, color, model, \
                 thinkingLevel and fastMode take operator.write, all others operator.admin.",
            ),
            Sessions::patch,
        )
        .add(
            admin("sessions.reset")
                .summary("Begins another conversation in a session.")
                .description("Its runs are stopped first. Settings stay, counts of tokens begin anew."),
            Sessions::reset,
        )
        .add(
            write("sessions.delete")
                .summary("Deletes a session; its transcript is archived.")
                .description("Its runs are stopped first. Takes operator.admin, unless archivedOnly is true."),
            Sessions::delete,
        )
        .add(admin("sessions.compact").summary("Archives all but a transcript's last messages."), Sessions::compact)
        .add(write("sessions.abort").summary("Stops what runs in a session."), Sessions::abort)
        .add(read("sessions.subscribe").summary("Has the connection hear sessions.changed."), Sessions::subscribe)
        .add(read("sessions.unsubscribe").summary("Takes that back."), Sessions::unsubscribe)
        .add(
            read("sessions.messages.subscribe").summary("Has the connection hear session.message of a session."),
            Sessions::subscribe_messages,
        )
        .add(read("sessions.messages.unsubscribe").summary("Takes that back."), Sessions::unsubscribe_messages)
        .add(store("session.store.open"), Sessions::open)
        .add(store("session.store.append").effects(), Sessions::append)
        .add(store("session.store.transcript"), Sessions::transcript)
        .add(store("session.store.note").effects(), Sessions::note)
        .add(
            Method::internal("session.store.summary").summary("How many sessions there are, and those used last."),
            Sessions::summary,
        )
});

impl Plugin for Sessions {
    fn manifest() -> Manifest {
        Manifest::new("sessions", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Keeps sessions and their transcripts.")
            .requires(&[extension::EXEC, extension::INVOKE, extension::CALLER])
            .invokes(&["host.gateway.info", "agents.get", "agents.list", "models.list", ABORT, RUNS])
            .hears(&["host.connection.closed", "host.config.changed"])
            .max_concurrent(4_096)
            .config::<SessionsConfig>()
            .methods(&METHODS)
            .event(EventSpec::operator(CHANGED, &[READ]).summary("A session changed.").payload::<Changed>().targeted())
            .event(
                EventSpec::operator(MESSAGE, &[READ])
                    .summary("A message was written into a session.")
                    .payload::<NewMessage>()
                    .targeted(),
            )
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: SessionsConfig = setup.config()?;
        let store = Database::open(setup.data_dir()?, store::SHAPE.max_queue(config.max_queue, "max_queue"))
            .map_err(CreateError::new)?;
        let watch = Watch::new(host.clone(), store.clone(), config.max_subscriptions);
        Ok(Sessions { host, config, store, watch, names: Mutex::default(), subscriptions: Mutex::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let mut subscriptions = Vec::new();
        for event in ["host.connection.closed", "host.config.changed"] {
            // Weak, or the instance would keep itself alive through its own subscriptions.
            let listener = Arc::downgrade(&self);
            subscriptions.push(self.host.subscribe(event, move |event| {
                if let Some(sessions) = listener.upgrade() {
                    sessions.heard(&event);
                }
            })?);
        }
        *lock(&self.subscriptions) = subscriptions;
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn stop(&self) {
        // Out of the lock first: ending a subscription waits for a listener that may be running.
        let subscriptions = std::mem::take(&mut *lock(&self.subscriptions));
        drop(subscriptions);
    }
}

plugin_api::plugin!(Sessions);

impl Sessions {
    async fn subscribe(self: Arc<Self>, call: Call, _: NoParams) -> Result<Subscribed, MethodError> {
        self.watch.subscribe(connection(&call)?);
        Ok(Subscribed { subscribed: true })
    }

    async fn unsubscribe(self: Arc<Self>, call: Call, _: NoParams) -> Result<Subscribed, MethodError> {
        self.watch.unsubscribe(connection(&call)?);
        Ok(Subscribed { subscribed: false })
    }

    async fn subscribe_messages(self: Arc<Self>, call: Call, params: Of) -> Result<SubscribedTo, MethodError> {
        let key = self.names().await?.canonical(&params.key, params.agent_id.as_deref())?.text;
        self.watch.subscribe_messages(connection(&call)?, &key)?;
        Ok(SubscribedTo { subscribed: true, key })
    }

    async fn unsubscribe_messages(self: Arc<Self>, call: Call, params: Of) -> Result<SubscribedTo, MethodError> {
        let key = self.names().await?.canonical(&params.key, params.agent_id.as_deref())?.text;
        self.watch.unsubscribe_messages(connection(&call)?, &key);
        Ok(SubscribedTo { subscribed: false, key })
    }

    /// How the gateway names its main session.
    async fn names(&self) -> Result<Arc<Names>, MethodError> {
        let known = lock(&self.names).clone();
        if let Some(names) = known {
            return Ok(names);
        }
        let info: GatewayInfo = self.host.invoke("host.gateway.info", &NoParams {}).send().await?;
        let names = Arc::new(Names::of(&info.session_defaults));
        *lock(&self.names) = Some(names.clone());
        Ok(names)
    }

    fn heard(&self, event: &HeardEvent<'_>) {
        if event.event == "host.config.changed" {
            *lock(&self.names) = None;
            return;
        }
        match event.party() {
            Ok(closed) => self.watch.closed(closed.conn),
            Err(error) => self.host.warn(&format!("{} could not be read: {error}", event.event)),
        }
    }

    fn room(&self) -> Room {
        Room { sessions: self.config.max_sessions, entry_bytes: self.config.max_entry_bytes }
    }

    fn archives(&self) -> Archives {
        Archives { of_programs: self.config.program_archives, of_people: self.config.archives }
    }

    /// Where sessions are kept: administrators are told the way there.
    fn shown_path(&self, call: &Call) -> String {
        if call.is_admin() { self.store.path().display().to_string() } else { store::FILE.to_string() }
    }
}

/// Result of `sessions.subscribe` and `sessions.unsubscribe`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Subscribed {
    /// Whether the connection hears now.
    subscribed: bool,
}

/// Parameters of `sessions.messages.subscribe` and `.unsubscribe`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Of {
    /// The session, in any spelling.
    #[schemars(length(min = 1))]
    key: String,
    /// The agent of a key that names none.
    #[serde(default)]
    agent_id: Option<String>,
    /// Whether approvals of the session are told, too; they go to all who may see them.
    #[serde(default)]
    #[expect(dead_code, reason = "clients send it")]
    include_approvals: Option<bool>,
}

/// Result of `sessions.messages.subscribe` and `.unsubscribe`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SubscribedTo {
    /// Whether the connection hears now.
    subscribed: bool,
    /// The session, in its canonical spelling.
    key: String,
}

fn connection(call: &Call) -> Result<u64, MethodError> {
    call.conn().ok_or_else(|| MethodError::invalid_request("only a connection can subscribe"))
}

/// A field that tells `null` from absent.
fn present_or_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

fn lenient_bool(flag: Option<bool>) -> bool {
    flag == Some(true)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
