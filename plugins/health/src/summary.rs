//! The health summary: what it holds and where that comes from. Whatever does not answer in time is missing from it, or
//! says so; a summary is never late because of one of its parts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plugin_api::catalogue::PluginState;
use plugin_api::{Host, InvokeReplies, InvokeReply, MethodError, NoParams};
use schemars::JsonSchema;
use schemas::hello::SessionDefaults;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// How the gateway is doing. Clients take `ok` alone for "healthy".
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    /// Always true: a gateway that is not well does not answer.
    pub(crate) ok: bool,
    /// When this was found, in milliseconds since the epoch.
    ts: u64,
    /// How long finding it took.
    duration_ms: u64,
    /// Channels by id: `accountId`, `configured`, `linked`, `probe`, `lastError` and whatever else they tell.
    channels: BTreeMap<String, Map<String, Value>>,
    /// Ids of the channels in the order to show them in.
    channel_order: Vec<String>,
    /// Names of the channels by id.
    channel_labels: BTreeMap<String, String>,
    /// Seconds between two heartbeats of the default agent; 0 without.
    heartbeat_seconds: u64,
    /// The agent that is meant when none is named.
    default_agent_id: String,
    /// The agents.
    agents: Vec<AgentHealth>,
    /// Sessions of the default agent.
    sessions: SessionsHealth,
    /// How plugins are doing.
    plugins: PluginsHealth,
}

/// How an agent is doing.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AgentHealth {
    /// Its id.
    agent_id: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Whether it is the one that is meant when none is named.
    is_default: bool,
    /// Its heartbeats.
    heartbeat: Heartbeat,
    /// Its sessions.
    sessions: SessionsHealth,
}

/// How heartbeats go; the answer of `heartbeat.settings`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Heartbeat {
    /// Whether they are on.
    enabled: bool,
    /// How often, for people: `30m`, or `disabled`.
    every: String,
    /// Milliseconds between two; null when they are off.
    every_ms: Option<u64>,
    /// What the agent is asked.
    prompt: String,
    /// Where an answer goes.
    target: String,
    /// An answer of "all is well" with at most so many further characters is not passed on.
    ack_max_chars: u64,
}

impl Default for Heartbeat {
    /// Off: nobody sees to them.
    fn default() -> Self {
        Heartbeat {
            enabled: false,
            every: "disabled".to_string(),
            every_ms: None,
            prompt: String::new(),
            target: "none".to_string(),
            ack_max_chars: 0,
        }
    }
}

impl Heartbeat {
    /// Those of an agent that none asks: they ask the default agent alone.
    fn off(&self) -> Heartbeat {
        Heartbeat { enabled: false, every: "disabled".to_string(), every_ms: None, ..self.clone() }
    }
}

/// Sessions in short.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
struct SessionsHealth {
    /// Where they are kept, without the way there; empty when no plugin keeps any.
    path: String,
    /// How many there are.
    count: u64,
    /// Those used last.
    recent: Vec<RecentSession>,
}

/// A session that was used lately.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct RecentSession {
    /// Its key.
    key: String,
    /// When it was last used, in milliseconds since the epoch.
    updated_at: Option<u64>,
    /// How long ago that is, in milliseconds.
    age: Option<u64>,
}

/// Plugins in short, closed as the schema of protocol 4 has it.
#[derive(Debug, Default, PartialEq, Serialize, JsonSchema)]
struct PluginsHealth {
    /// Ids of those that run.
    loaded: Vec<String>,
    /// Those that could not run or were stopped, and those whose HTTP is not served, and why.
    errors: Vec<FailedPlugin>,
}

/// A plugin that does not run although it should, or not as it should.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct FailedPlugin {
    /// Its id.
    id: String,
    /// `linked` or `loaded`.
    origin: String,
    /// Whether it runs: then nobody listens on the port that its HTTP has to itself.
    activated: bool,
    /// Why, without paths; the log has all of it.
    error: String,
}

/// Sessions that are shown of each agent.
const RECENT: u64 = 5;

/// Finds it all out, within `limit` for the parts and at most about twice that in all.
pub(crate) async fn collect(host: &Host, probe: bool, limit: Duration) -> Summary {
    let (ts, begun) = (schemas::now_ms(), Instant::now());
    let registry: Registry = match host.invoke("host.registry.list", &NoParams {}).timeout(limit).send().await {
        Ok(registry) => registry,
        Err(error) => {
            host.warn(&format!("health knows of no plugins: {error}"));
            Registry::default()
        }
    };
    // All of them are asked before the first answer is awaited, so they share one deadline.
    let ask = |method: &str, params: Value| host.invoke(method, &params).timeout(limit).replies();
    let ask_if_served = |method: &str| registry.serves(method).then(|| ask(method, json!({})));
    let agents = ask_if_served("agents.list");
    let heartbeat = ask_if_served("heartbeat.settings");
    let asked: Vec<(String, InvokeReplies)> = registry
        .channels()
        .map(|id| {
            let params = json!({ "probe": probe, "timeoutMs": limit.as_millis() as u64 });
            (id.to_string(), ask(&format!("channel.{id}.status"), params))
        })
        .collect();

    let heartbeat: Heartbeat = answer(heartbeat).await.unwrap_or_default();
    let agents: AgentList = answer(agents).await.unwrap_or_default();
    let ids: Vec<&str> = agents.agents.iter().map(|agent| agent.id.as_str()).collect();
    let sessions = registry
        .serves("session.store.summary")
        .then(|| ask("session.store.summary", json!({ "agents": ids, "recent": RECENT })));
    let sessions: SessionSummary = answer(sessions).await.unwrap_or_default();
    let mut channels = Channels::default();
    for (id, replies) in asked {
        channels.add(id, last(replies).await);
    }
    Summary {
        ok: true,
        ts,
        duration_ms: begun.elapsed().as_millis() as u64,
        channels: channels.rows,
        channel_order: channels.order,
        channel_labels: channels.labels,
        heartbeat_seconds: heartbeat.every_ms.unwrap_or(0) / 1_000,
        agents: agents.health(&heartbeat, &sessions),
        sessions: sessions.of(&agents.default_id),
        default_agent_id: agents.default_id,
        plugins: registry.plugins_health(),
    }
}

/// What of `host.registry.list` matters here.
#[derive(Default, Deserialize)]
struct Registry {
    plugins: Vec<PluginState>,
    methods: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    spec: Named,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Registry {
    fn serves(&self, method: &str) -> bool {
        self.methods.iter().any(|entry| entry.spec.name == method)
    }

    /// Ids of the message channels: those that say how they are.
    fn channels(&self) -> impl Iterator<Item = &str> {
        let names = self.methods.iter().map(|entry| entry.spec.name.as_str());
        names.filter_map(|name| name.strip_prefix("channel.")?.strip_suffix(".status")).filter(|id| !id.is_empty())
    }

    fn plugins_health(&self) -> PluginsHealth {
        let running = self.plugins.iter().filter(|plugin| plugin.state == "running");
        let errors = self.plugins.iter().filter_map(|plugin| {
            let port_fault = plugin.http_port.as_ref().and_then(|port| port.error.as_deref());
            let (activated, error) = match plugin.state.as_str() {
                "failed" => (false, plugin.error.as_deref().unwrap_or("failed")),
                "running" => (true, port_fault?),
                _ => return None,
            };
            let (id, origin) = (plugin.id.clone(), plugin.origin.clone());
            Some(FailedPlugin { id, origin, activated, error: for_peers(error) })
        });
        let errors = errors.collect();
        PluginsHealth { loaded: running.map(|plugin| plugin.id.clone()).collect(), errors }
    }
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
    #[serde(default)]
    name: Option<String>,
}

impl Default for AgentList {
    /// Without a plugin for agents there is the one that every client assumes.
    fn default() -> Self {
        let id = SessionDefaults::default().default_agent_id;
        AgentList { default_id: id.clone(), agents: vec![Agent { id, name: None }] }
    }
}

impl AgentList {
    fn health(&self, heartbeat: &Heartbeat, sessions: &SessionSummary) -> Vec<AgentHealth> {
        let agents = self.agents.iter().map(|agent| AgentHealth {
            agent_id: agent.id.clone(),
            name: agent.name.clone(),
            is_default: agent.id == self.default_id,
            heartbeat: if agent.id == self.default_id { heartbeat.clone() } else { heartbeat.off() },
            sessions: sessions.of(&agent.id),
        });
        agents.collect()
    }
}

/// What of `session.store.summary` matters here.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionSummary {
    by_agent: Vec<AgentSessions>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgentSessions {
    agent_id: String,
    #[serde(flatten)]
    sessions: SessionsHealth,
}

impl SessionSummary {
    fn of(&self, agent_id: &str) -> SessionsHealth {
        let of_agent = self.by_agent.iter().find(|sessions| sessions.agent_id == agent_id);
        of_agent.map(|sessions| sessions.sessions.clone()).unwrap_or_default()
    }
}

#[derive(Default)]
struct Channels {
    rows: BTreeMap<String, Map<String, Value>>,
    order: Vec<String>,
    labels: BTreeMap<String, String>,
}

/// What a channel answers; every part may be left out.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ChannelReport {
    label: Option<String>,
    default_account_id: Option<String>,
    summary: Option<Map<String, Value>>,
    accounts: Option<Vec<Map<String, Value>>>,
}

impl Channels {
    /// A channel that fails is shown as failed; the others are none the worse for it.
    fn add(&mut self, id: String, status: Result<Value, MethodError>) {
        let report = match status {
            Ok(report) => serde_json::from_value(report).map_err(|_| "its answer was not understood".to_string()),
            Err(error) => Err(for_peers(&error.shape().message)),
        };
        let report = report.unwrap_or_else(|error| ChannelReport {
            summary: Some(Map::from_iter([("lastError".to_string(), json!(error))])),
            ..ChannelReport::default()
        });
        let accounts: Map<String, Value> = report
            .accounts
            .unwrap_or_default()
            .into_iter()
            .map(|account| (account_id(&account).unwrap_or("default").to_string(), Value::Object(account)))
            .collect();
        let mut row = report.summary.unwrap_or_default();
        let account = report.default_account_id.or_else(|| accounts.keys().next().cloned());
        row.entry("accountId").or_insert_with(|| json!(account.unwrap_or_else(|| "default".to_string())));
        if !accounts.is_empty() {
            row.insert("accounts".to_string(), Value::Object(accounts));
        }
        self.labels.insert(id.clone(), report.label.unwrap_or_else(|| id.clone()));
        self.order.push(id.clone());
        self.rows.insert(id, row);
    }
}

fn account_id(account: &Map<String, Value>) -> Option<&str> {
    account.get("accountId")?.as_str()
}

/// The answer of a method that may be missing or fail.
async fn answer<T: DeserializeOwned>(asked: Option<InvokeReplies>) -> Option<T> {
    let value = last(asked?).await.ok()?;
    serde_json::from_value(value).ok()
}

async fn last(mut replies: InvokeReplies) -> Result<Value, MethodError> {
    loop {
        if let InvokeReply::Final(result) = replies.next().await {
            return Ok(serde_json::from_str(result?.get())?);
        }
    }
}

/// An operator's error for everybody's eyes: its first line, bounded, without words that look like places.
fn for_peers(error: &str) -> String {
    const LONGEST: usize = 200;
    let line = error.lines().next().unwrap_or_default();
    let is_place = |word: &str| word.contains(['/', '\\']);
    let words: Vec<&str> = line.split_whitespace().map(|word| if is_place(word) { "…" } else { word }).collect();
    words.join(" ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_hear_no_places() {
        assert_eq!(
            for_peers("config: [plugins.status.config] every: unknown key; did you mean \"every_ms\"?\nsecond line"),
            "config: [plugins.status.config] every: unknown key; did you mean \"every_ms\"?"
        );
        assert_eq!(for_peers("cannot open /etc/x/y.toml: denied (see C:\\logs)"), "cannot open … denied (see …");
        assert_eq!(for_peers(&"é".repeat(500)).chars().count(), 200);
    }
}
