//! Who is here: `system-presence` lists it, `system-event` adds to it, and the event `presence` tells when it changes.
//!
//! A connection's row is made by the host, which also puts it into that connection's hello-ok; this plugin keeps the
//! rows, unites the connections of one device, and publishes the list for the hello-oks to come. The list goes to every
//! operator at once, so a thousand connects in a second must not make a thousand lists: the first change of a quiet time
//! goes out at once, what follows within the pause after it goes out together, and the pause grows with the list (from
//! 100 ms to about a second at 200 rows) and with those who hear it (by as much again at five thousand).

mod announcement;
mod list;
mod queue;
mod rows;

use std::collections::HashSet;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use plugin_api::catalogue::GatewayInfo;
use plugin_api::{
    AnyParams, Call, CreateError, EventSpec, HeardEvent, Host, HostError, Manifest, Method, MethodError, Methods,
    NoParams, Plugin, Reply, Setup, Spawned, StartError, Subscription,
};
use schemars::JsonSchema;
use schemas::PresenceEntry;
use schemas::scope::{self, ADMIN, READ};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use announcement::Announcement;
use list::PresenceList;
pub use queue::SystemEvent;
use queue::{Adding, Room, SystemEvents};
use rows::Rows;

/// Shortest pause between two broadcasts.
const PAUSE: Duration = Duration::from_millis(100);
/// So many rows lengthen the pause by its own length.
const ROWS_A_PAUSE: usize = 20;
/// So many connections that hear the list lengthen it by as much.
const LISTENERS_A_PAUSE: usize = 500;
/// How often stale rows are looked for, and whether the machine still has the address it had.
const SWEEP: Duration = Duration::from_secs(60);

/// `[plugins.presence.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PresenceConfig {
    /// Milliseconds that a row without an open connection stays.
    pub ttl_ms: u64,
    /// Most rows in the list, the gateway's own included.
    #[schemars(range(min = 2, max = 10_000))]
    pub max_rows: usize,
    /// Most reports of machines (`system-event`) that wait for an agent; the oldest are given up.
    #[schemars(range(min = 1, max = 2_000))]
    pub max_reports: usize,
    /// Most texts for the main session (`wake`, jobs) that wait for an agent; the oldest are given up.
    #[schemars(range(min = 1, max = 2_000))]
    pub max_left_texts: usize,
    /// Bytes of these texts; less than gateway.limits.kv_bytes.
    #[schemars(range(min = 1_024, max = 67_108_864))]
    pub max_left_bytes: usize,
}

impl Default for PresenceConfig {
    fn default() -> Self {
        PresenceConfig { ttl_ms: 300_000, max_rows: 200, max_reports: 20, max_left_texts: 200, max_left_bytes: 262_144 }
    }
}

/// The plugin.
pub struct Presence {
    host: Host,
    rows: Mutex<Rows>,
    /// Connections that hear the list. They are counted apart from the rows, which are few however many are here.
    listeners: Mutex<HashSet<u64>>,
    /// The gateway's own row, once the host has said what it holds. Held while a list goes out: lists leave in order.
    own: Mutex<Option<PresenceEntry>>,
    events: SystemEvents,
    pace: Mutex<Pace>,
    work: Mutex<Work>,
}

/// Whether a list went out just now.
enum Pace {
    Quiet,
    Pausing { changed_again: bool },
}

/// What runs between `start` and `quiesce`.
#[derive(Default)]
struct Work {
    subscription: Option<Subscription>,
    sweeper: Option<Spawned>,
}

static METHODS: LazyLock<Methods<Presence>> = LazyLock::new(|| {
    Methods::new()
        .add(
            Method::operator("system-presence", &[READ])
                .summary("Who is here: the gateway, connected clients, and those that left a short while ago."),
            Presence::system_presence,
        )
        .add(
            Method::operator("system-event", &[ADMIN])
                .summary("Tells of a machine or of something that happened.")
                .description(
                    "`text` is required. Beside it: deviceId, instanceId, host, ip, mode, version, platform, \
                     deviceFamily, modelIdentifier, reason (texts), lastInputSeconds (a number), roles, scopes, tags \
                     (lists of texts). Fields of another type are passed over. A text of the form `Node: HOST (IP) · \
                     app VERSION · last input Ns ago · mode MODE · reason REASON` has fields inside.",
                )
                .effects(),
            Presence::system_event,
        )
        .add(
            Method::internal("presence.system-events").summary("What happened and no agent has read yet."),
            Presence::system_events,
        )
        .add(
            Method::internal("presence.system-events.drain")
                .summary("What happened and no agent has read yet; it counts as read now.")
                .description("`through` is the number of the last one that is drained; all of them when absent.")
                .effects(),
            Presence::drain_system_events,
        )
        .add(
            Method::internal("presence.system-events.push")
                .summary("Leaves a text for the main session.")
                .description("With a `key`, a text is taken once, also when it is pushed again after a restart.")
                .effects(),
            Presence::push_system_event,
        )
});

impl Plugin for Presence {
    fn manifest() -> Manifest {
        Manifest::new("presence", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Who is connected, and what machines report of themselves.")
            .invokes(&["host.gateway.info"])
            .hears(&["host.connection.*"])
            .config::<PresenceConfig>()
            .methods(&METHODS)
            .event(
                EventSpec::operator("presence", &[READ])
                    .summary("Somebody came, went, or said something of themselves.")
                    .payload::<PresenceEvent<PresenceList>>(),
            )
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: PresenceConfig = setup.config()?;
        let room = Room { reports: config.max_reports, left: config.max_left_texts, left_bytes: config.max_left_bytes };
        Ok(Presence {
            rows: Mutex::new(Rows::new(config.max_rows, Duration::from_millis(config.ttl_ms))),
            listeners: Mutex::default(),
            own: Mutex::default(),
            events: SystemEvents::new(host.kv(), room),
            pace: Mutex::new(Pace::Quiet),
            work: Mutex::default(),
            host,
        })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        // Weak, or the instance would keep itself alive through its own subscription.
        let listener = Arc::downgrade(&self);
        let subscription = self.host.subscribe("host.connection.*", move |event| {
            if let Some(presence) = listener.upgrade() {
                presence.heard(&event);
            }
        })?;
        let presence = self.clone();
        let sweeper = self.host.spawn(async move { presence.keep_current().await });
        *lock(&self.work) = Work { subscription: Some(subscription), sweeper: Some(sweeper) };
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn quiesce(&self) {
        // Out of the lock first: ending the subscription waits for a listener that may be running.
        let Work { subscription, sweeper } = std::mem::take(&mut *lock(&self.work));
        drop(subscription);
        if let Some(sweeper) = sweeper {
            sweeper.cancel();
        }
    }
}

plugin_api::plugin!(Presence);

/// What is read of `host.connection.opened`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opened {
    conn: u64,
    role: String,
    scopes: Vec<String>,
    presence_key: Option<String>,
    presence: Option<PresenceEntry>,
}

/// What is read of `host.connection.closed`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Closed {
    conn: u64,
    presence_key: Option<String>,
}

impl Presence {
    async fn system_presence(self: Arc<Self>, _: Call, _: AnyParams) -> Result<PresenceList, MethodError> {
        if lock(&self.own).is_none() {
            self.learn_own_row().await;
        }
        let mut own = lock(&self.own);
        let own = own.get_or_insert_with(unknown_gateway);
        Ok(self.list(own)?)
    }

    async fn system_event(self: Arc<Self>, _: Call, said: SystemEventParams) -> Result<Accepted, MethodError> {
        let now_ms = schemas::now_ms();
        let announcement =
            Announcement::read(&said.0, now_ms).ok_or_else(|| MethodError::invalid_request("text required"))?;
        let (before, after) = lock(&self.rows).announced(&announcement.key, announcement.entry.clone(), Instant::now());
        let queued = match announcement.is_news(before.as_ref(), &after) {
            true => self.events.push(SystemEvent { text: announcement.text, ts: now_ms }, false)?,
            false => None,
        };
        self.changed();
        self.kept(queued).await?;
        Ok(Accepted { ok: true })
    }

    async fn system_events(self: Arc<Self>, _: Call, _: NoParams) -> Result<Events, MethodError> {
        let (events, last) = self.events.list()?;
        Ok(Events { events, last })
    }

    async fn drain_system_events(self: Arc<Self>, _: Call, asked: Drain) -> Result<Events, MethodError> {
        let (events, gone) = self.events.drain(asked.through)?;
        if let Some(write) = gone {
            write.await?;
        }
        Ok(Events { events, last: None })
    }

    async fn push_system_event(self: Arc<Self>, _: Call, pushed: Push) -> Result<Pushed, MethodError> {
        let event = SystemEvent { text: pushed.text, ts: schemas::now_ms() };
        let queued = match pushed.key {
            Some(key) => self.events.push_named(event, &key)?,
            None => self.events.push(event, true)?,
        };
        Ok(Pushed { queued: self.kept(queued).await? })
    }

    /// Waits until what is being added is durable; whether anything is.
    async fn kept(&self, adding: Option<Adding>) -> Result<bool, MethodError> {
        let Some(Adding { write, gone }) = adding else { return Ok(false) };
        write.await?;
        if gone > 0 {
            let limits = "max_reports, max_left_texts, max_left_bytes";
            self.host.warn(&format!("the oldest {gone} of what no agent has read yet were given up ({limits})"));
        }
        Ok(true)
    }

    fn heard(self: &Arc<Self>, event: &HeardEvent<'_>) {
        let changed = match &*event.event {
            "host.connection.opened" => event.payload::<Opened>().map(|opened| self.opened(opened)),
            "host.connection.closed" => event.payload::<Closed>().map(|closed| self.closed(closed)),
            _ => Ok(false),
        };
        match changed {
            Ok(true) => self.changed(),
            Ok(false) => {}
            Err(error) => self.host.warn(&format!("{} could not be read: {error}", event.event)),
        }
    }

    fn opened(&self, opened: Opened) -> bool {
        if opened.role == "operator" && scope::any_satisfies(&opened.scopes, READ) {
            lock(&self.listeners).insert(opened.conn);
        }
        let (Some(key), Some(entry)) = (opened.presence_key, opened.presence) else { return false };
        lock(&self.rows).opened(&key, opened.conn, entry, Instant::now());
        true
    }

    fn closed(&self, closed: Closed) -> bool {
        lock(&self.listeners).remove(&closed.conn);
        let Some(key) = closed.presence_key else { return false };
        lock(&self.rows).closed(&key, closed.conn, Instant::now(), schemas::now_ms())
    }

    /// The list changed: it goes out now, or with the other changes of this pause.
    fn changed(self: &Arc<Self>) {
        match &mut *lock(&self.pace) {
            Pace::Pausing { changed_again } => {
                *changed_again = true;
                return;
            }
            quiet => *quiet = Pace::Pausing { changed_again: false },
        }
        self.publish(true);
        let presence = self.clone();
        self.host.spawn(async move {
            loop {
                presence.host.sleep(presence.pause()).await;
                match &mut *lock(&presence.pace) {
                    Pace::Pausing { changed_again } if *changed_again => *changed_again = false,
                    pace => {
                        *pace = Pace::Quiet;
                        return;
                    }
                }
                presence.publish(true);
            }
        });
    }

    fn pause(&self) -> Duration {
        let (rows, listeners) = (lock(&self.rows).len(), lock(&self.listeners).len());
        PAUSE * (1 + rows / ROWS_A_PAUSE + listeners / LISTENERS_A_PAUSE) as u32
    }

    /// Into the hello-oks to come, and then to those who are here; never the other way round, or a newcomer between the
    /// two would have neither.
    fn publish(&self, tell: bool) {
        let mut own = lock(&self.own);
        // Nothing goes out before the gateway's own row is known; learning it publishes.
        let Some(own) = own.as_mut() else { return };
        let published = self.list(own).and_then(|presence| {
            self.host.publish_snapshot("presence", &presence)?;
            if tell {
                self.host.event("presence").droppable().stamped().send(&PresenceEvent { presence })?;
            }
            Ok(())
        });
        if let Err(error) = published
            && error != HostError::Gone
        {
            self.host.warn(&format!("the list of who is here could not be published: {error}"));
        }
    }

    fn list(&self, own: &mut PresenceEntry) -> Result<PresenceList, HostError> {
        own.ts = schemas::now_ms();
        let others = lock(&self.rows).written(Instant::now());
        others.and_then(|others| PresenceList::new(own, others)).map_err(|_| HostError::Invalid)
    }

    async fn keep_current(self: Arc<Self>) {
        self.learn_own_row().await;
        // Whoever came before the own row was known has not been told of yet.
        self.changed();
        loop {
            self.host.sleep(SWEEP).await;
            if self.learn_own_row().await | lock(&self.rows).sweep(Instant::now()) {
                self.publish(false);
            }
        }
    }

    /// Asks the host what the gateway's own row holds; true when that is new.
    async fn learn_own_row(&self) -> bool {
        match self.host.invoke("host.gateway.info", &NoParams {}).send::<GatewayInfo>().await {
            Ok(info) => {
                let row = own_row(&info);
                let mut own = lock(&self.own);
                let known = own.as_ref().is_some_and(|own| PresenceEntry { ts: row.ts, ..own.clone() } == row);
                *own = Some(row);
                !known
            }
            Err(error) => {
                self.host.warn(&format!("the gateway's own row is incomplete: {error}"));
                let mut own = lock(&self.own);
                let first = own.is_none();
                own.get_or_insert_with(unknown_gateway);
                first
            }
        }
    }
}

/// Parameters of `system-event`: an open object, read by hand because wrong types are passed over.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct SystemEventParams(Map<String, Value>);

/// It is noted.
#[derive(Debug, Serialize, JsonSchema)]
struct Accepted {
    /// Always true.
    ok: bool,
}

/// What happened.
#[derive(Debug, Serialize, JsonSchema)]
struct Events {
    /// Oldest first.
    events: Vec<SystemEvent>,
    /// The number of the last one, for `presence.system-events.drain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<u64>,
}

/// Parameters of `presence.system-events.drain`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Drain {
    /// The number of the last one that is drained.
    through: Option<u64>,
}

/// Parameters of `presence.system-events.push`.
#[derive(Debug, Deserialize, JsonSchema)]
struct Push {
    /// What happened.
    #[schemars(length(min = 1))]
    text: String,
    /// Names it, and makes it happen once.
    #[serde(default)]
    key: Option<String>,
}

/// Result of `presence.system-events.push`.
#[derive(Debug, Serialize, JsonSchema)]
struct Pushed {
    /// Whether it was not there yet.
    queued: bool,
}

/// Payload of the event `presence`.
#[derive(Debug, Serialize, JsonSchema)]
struct PresenceEvent<T> {
    /// Everyone who is here, latest first.
    presence: T,
}

fn own_row(info: &GatewayInfo) -> PresenceEntry {
    let present = |text: &str| (!text.is_empty()).then(|| text.to_string());
    let at = info.ip.as_ref().map(|ip| format!(" ({ip})")).unwrap_or_default();
    PresenceEntry {
        host: present(&info.host),
        ip: info.ip.clone(),
        version: present(&info.version),
        platform: present(&info.platform),
        device_family: present(device_family(&info.platform)),
        model_identifier: present(&info.arch),
        mode: Some("gateway".to_string()),
        reason: Some("self".to_string()),
        text: Some(format!("Gateway: {}{at} · app {} · mode gateway · reason self", info.host, info.version)),
        ts: schemas::now_ms(),
        ..PresenceEntry::default()
    }
}

/// The own row when the host would not say what it holds.
fn unknown_gateway() -> PresenceEntry {
    PresenceEntry {
        mode: Some("gateway".to_string()),
        reason: Some("self".to_string()),
        text: Some("Gateway: mode gateway · reason self".to_string()),
        ts: schemas::now_ms(),
        ..PresenceEntry::default()
    }
}

/// The family that the apps of the protocol know a system by.
fn device_family(platform: &str) -> &str {
    match platform.split_whitespace().next().unwrap_or_default() {
        "linux" => "Linux",
        "macos" | "darwin" => "Mac",
        "windows" | "win32" => "Windows",
        other => other,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
