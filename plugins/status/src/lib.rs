//! An overview for people: heartbeats, queued system events, sessions, and how many are connected. `health` says whether
//! things work; this says what there is.
//!
//! Every part comes from the plugin that owns it, if it runs; a part that is missing or late is shown as empty.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plugin_api::catalogue::GatewayInfo;
use plugin_api::{
    AnyParams, Call, CreateError, HeardEvent, Host, InvokeReplies, InvokeReply, Manifest, Method, MethodError, Methods,
    NoParams, Plugin, Reply, Setup, StartError, Subscription,
};
use schemars::JsonSchema;
use schemas::hello::SessionDefaults;
use schemas::scope::READ;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How long the parts have to answer.
const LIMIT: Duration = Duration::from_secs(2);

/// The plugin.
pub struct Status {
    host: Host,
    /// Open connections by number, and whether each is a node. Counted from events, since the host's own list carries the
    /// whole record of every connection.
    open: Mutex<HashMap<u64, bool>>,
    subscription: Mutex<Option<Subscription>>,
}

static METHODS: LazyLock<Methods<Status>> = LazyLock::new(|| {
    Methods::new().add(
        Method::operator("status", &[READ]).summary("What there is: heartbeats, sessions, queued events, connections."),
        Status::status,
    )
});

impl Plugin for Status {
    fn manifest() -> Manifest {
        Manifest::new("status", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("An overview of the gateway for people.")
            .invokes(&[
                "host.gateway.info",
                "agents.list",
                "heartbeat.settings",
                "presence.system-events",
                "channels.status",
                "session.store.summary",
            ])
            .hears(&["host.connection.*"])
            .methods(&METHODS)
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Status { host, open: Mutex::default(), subscription: Mutex::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        // Weak, or the instance would keep itself alive through its own subscription.
        let listener = Arc::downgrade(&self);
        let subscription = self.host.subscribe("host.connection.*", move |event| {
            if let Some(status) = listener.upgrade() {
                status.heard(&event);
            }
        })?;
        *lock(&self.subscription) = Some(subscription);
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn stop(&self) {
        // Not in `quiesce`: calls are answered until here, and shall not count connections that have gone. Out of the lock
        // first: ending the subscription waits for a listener that may be running.
        let subscription = lock(&self.subscription).take();
        drop(subscription);
    }
}

plugin_api::plugin!(Status);

impl Status {
    async fn status(self: Arc<Self>, _: Call, _: AnyParams) -> Result<Summary, MethodError> {
        // All of them are asked before the first answer is awaited.
        let info = self.ask("host.gateway.info");
        let agents = self.ask("agents.list");
        let heartbeat = self.ask("heartbeat.settings");
        let events = self.ask("presence.system-events");
        let channels = self.ask("channels.status");

        let info: Option<GatewayInfo> = answer(info).await;
        let agents: AgentList = answer(agents).await.unwrap_or_default();
        let sessions = self.host.invoke("session.store.summary", &OfAgents::of(&agents)).timeout(LIMIT).replies();
        let heartbeat: Heartbeat = answer(heartbeat).await.unwrap_or_default();
        let events: Events = answer(events).await.unwrap_or_default();
        let channels: Channels = answer(channels).await.unwrap_or_default();
        let defaults = agents.defaults();
        Ok(Summary {
            runtime_version: info.as_ref().map(|info| info.version.clone()),
            uptime_ms: info.as_ref().map(|info| info.uptime_ms),
            tls_fingerprint: info.and_then(|info| info.tls_fingerprint),
            connections: self.connections(),
            heartbeat: Heartbeats {
                agents: agents.agents.into_iter().map(|agent| heartbeat.of(agent.id, &agents.default_id)).collect(),
                default_agent_id: agents.default_id,
            },
            channel_summary: channels.lines(),
            queued_system_events: events.events.into_iter().map(|event| event.text).collect(),
            sessions: Sessions {
                defaults,
                ..answer(sessions).await.map_or_else(Sessions::default, SessionSummary::shown)
            },
        })
    }

    fn heard(&self, event: &HeardEvent<'_>) {
        let noted = match &*event.event {
            "host.connection.opened" => event.party().map(|party| {
                lock(&self.open).insert(party.conn, party.role == "node");
            }),
            "host.connection.closed" => event.party().map(|party| {
                lock(&self.open).remove(&party.conn);
            }),
            _ => Ok(()),
        };
        if let Err(error) = noted {
            self.host.warn(&format!("{} could not be read: {error}", event.event));
        }
    }

    fn connections(&self) -> ConnectionCount {
        let open = lock(&self.open);
        let nodes = open.values().filter(|is_node| **is_node).count();
        ConnectionCount { operators: open.len() - nodes, nodes }
    }

    fn ask(&self, method: &str) -> InvokeReplies {
        self.host.invoke(method, &NoParams {}).timeout(LIMIT).replies()
    }
}

/// Result of `status`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Summary {
    /// Version of the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_version: Option<String>,
    /// How long the gateway has been running.
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_ms: Option<u64>,
    /// SHA-256 of the certificate that the gateway shows, if it speaks TLS: what clients pin.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_fingerprint: Option<String>,
    /// How many are connected.
    connections: ConnectionCount,
    /// Heartbeats of the agents.
    heartbeat: Heartbeats,
    /// A line for each message channel.
    channel_summary: Vec<String>,
    /// What happened and no agent has read yet, oldest first.
    queued_system_events: Vec<String>,
    /// Sessions of all agents.
    sessions: Sessions,
}

/// How many are connected.
#[derive(Debug, Serialize, JsonSchema)]
struct ConnectionCount {
    /// Operators, the one that asks included.
    operators: usize,
    /// Nodes.
    nodes: usize,
}

/// Heartbeats of the agents.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Heartbeats {
    /// The agent that is meant when none is named.
    default_agent_id: String,
    /// One row an agent.
    agents: Vec<AgentHeartbeat>,
}

/// Heartbeats of an agent.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AgentHeartbeat {
    /// The agent.
    agent_id: String,
    /// Whether they are on.
    enabled: bool,
    /// How often, for people: `30m`, or `disabled`.
    every: String,
    /// Milliseconds between two; null when they are off.
    every_ms: Option<u64>,
}

/// Sessions of all agents; none where no plugin keeps any.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Sessions {
    /// Where they are kept.
    paths: Vec<String>,
    /// How many there are.
    count: u64,
    /// What a new session starts with.
    defaults: SessionModel,
    /// Those used last.
    recent: Vec<serde_json::Map<String, serde_json::Value>>,
    /// The same by agent.
    by_agent: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// What a new session starts with.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SessionModel {
    /// Its model.
    model: Option<String>,
    /// How much that model reads.
    context_tokens: Option<u64>,
}

/// What of `agents.list` matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgentList {
    default_id: String,
    agents: Vec<Agent>,
}

#[derive(Deserialize)]
struct Agent {
    id: String,
    model: Option<Model>,
}

#[derive(Deserialize)]
struct Model {
    primary: String,
}

impl Default for AgentList {
    /// Without a plugin for agents there is the one that every client assumes.
    fn default() -> Self {
        let id = SessionDefaults::default().default_agent_id;
        AgentList { default_id: id.clone(), agents: vec![Agent { id, model: None }] }
    }
}

impl AgentList {
    /// What a new session of the default agent starts with, as `sessions.list` has it.
    fn defaults(&self) -> SessionModel {
        let agent = self.agents.iter().find(|agent| agent.id == self.default_id);
        let primary = agent.and_then(|agent| agent.model.as_ref()).map(|model| model.primary.as_str());
        let model = primary.and_then(|primary| primary.split_once('/')).map(|(_, model)| model.to_string());
        SessionModel { model, context_tokens: None }
    }
}

/// What of `heartbeat.settings` matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Heartbeat {
    enabled: bool,
    every: String,
    every_ms: Option<u64>,
}

impl Default for Heartbeat {
    /// Off: nobody sees to them.
    fn default() -> Self {
        Heartbeat { enabled: false, every: "disabled".to_string(), every_ms: None }
    }
}

impl Heartbeat {
    /// Those of an agent: they ask the default agent alone.
    fn of(&self, agent_id: String, default_id: &str) -> AgentHeartbeat {
        let off = Heartbeat::default();
        let shown = if agent_id == default_id { self } else { &off };
        AgentHeartbeat { agent_id, enabled: shown.enabled, every: shown.every.clone(), every_ms: shown.every_ms }
    }
}

/// What of `presence.system-events` matters here.
#[derive(Default, Deserialize)]
struct Events {
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    text: String,
}

/// Parameters of `session.store.summary`.
#[derive(Serialize)]
struct OfAgents<'a> {
    agents: Vec<&'a str>,
}

impl<'a> OfAgents<'a> {
    fn of(list: &'a AgentList) -> Self {
        OfAgents { agents: list.agents.iter().map(|agent| agent.id.as_str()).collect() }
    }
}

/// Result of `session.store.summary`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionSummary {
    path: String,
    count: u64,
    recent: Vec<serde_json::Map<String, serde_json::Value>>,
    by_agent: Vec<serde_json::Map<String, serde_json::Value>>,
}

impl SessionSummary {
    fn shown(self) -> Sessions {
        Sessions {
            paths: vec![self.path],
            count: self.count,
            defaults: SessionModel::default(),
            recent: self.recent,
            by_agent: self.by_agent,
        }
    }
}

/// What of `channels.status` matters here.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Channels {
    channel_order: Vec<String>,
    #[serde(default)]
    channel_labels: HashMap<String, String>,
    #[serde(default)]
    channels: HashMap<String, serde_json::Value>,
}

impl Channels {
    /// `Telegram: linked`, one a channel.
    fn lines(&self) -> Vec<String> {
        let line = |id: &String| {
            let is = |field: &str| self.channels.get(id).is_some_and(|channel| channel[field] == true);
            let state = match (is("linked"), is("configured")) {
                (true, _) => "linked",
                (false, true) => "configured",
                (false, false) => "not configured",
            };
            format!("{}: {state}", self.channel_labels.get(id).unwrap_or(id))
        };
        self.channel_order.iter().map(line).collect()
    }
}

/// The answer of a method that may be missing or fail.
async fn answer<T: DeserializeOwned>(mut replies: InvokeReplies) -> Option<T> {
    loop {
        if let InvokeReply::Final(result) = replies.next().await {
            return serde_json::from_str(result.ok()?.get()).ok();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
