//! Heartbeats: the regular question to an agent whether anything needs attention, and whether anything happened that it
//! should hear of. This plugin holds whether they are on, how often they come, and what the last one brought; it asks the
//! agent when one is due (`beat.rs`), or when somebody wakes it. Others that ask agents themselves report with
//! `heartbeat.report`; the event `heartbeat` follows from either.
//!
//! Heartbeats are on unless somebody switched them off, but those that come by themselves pass over agents whose first
//! model is of a backend in `passed_over`: nobody wants an echo every half an hour. Who wakes an agent means it.

mod answer;
mod beat;
mod quiet;

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use plugin_api::contracts::run::{AgentId, AgentRecord};
use plugin_api::{
    AnyParams, Call, CreateError, EventSpec, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply,
    Setup, Spawned, StartError, lenient,
};
use schemars::JsonSchema;
use schemas::scope::{ADMIN, READ, WRITE};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Keys of the plugin's state.
const ENABLED: &str = "enabled";
const LAST: &str = "last";
const ASKED: &str = "asked";

/// What a heartbeat asks unless the operator words it otherwise.
const PROMPT: &str = "This is a regular check. If HEARTBEAT.md exists in the workspace, do what it says. Do not take up \
                      tasks of earlier conversations again. If nothing needs attention, answer HEARTBEAT_OK.";

/// `[plugins.heartbeat.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HeartbeatConfig {
    /// Milliseconds between two heartbeats.
    #[schemars(range(min = 1_000))]
    pub every_ms: u64,
    /// What the agent is asked.
    #[schemars(length(min = 1))]
    pub prompt: String,
    /// Where an answer goes: `last` is wherever the agent last spoke.
    #[schemars(length(min = 1))]
    pub target: String,
    /// An answer of "all is well" with at most so many further characters is not passed on.
    pub ack_max_chars: u64,
    /// To whom, if `target` is a channel; whoever wrote last through it when absent.
    pub to: Option<String>,
    /// Backends whose agents are asked only when somebody wakes them.
    pub passed_over: Vec<String>,
    /// Milliseconds until an agent that was busy when somebody woke it is looked at again.
    #[schemars(range(min = 100))]
    pub busy_retry_ms: u64,
    /// From this time of day on no heartbeat comes by itself, written 22:00.
    pub quiet_from: Option<String>,
    /// Until this time of day.
    pub quiet_until: Option<String>,
    /// The zone of these, as in the IANA database; the machine's when absent.
    pub time_zone: Option<String>,
}

impl Default for HeartbeatConfig {
    fn default() -> Self {
        HeartbeatConfig {
            every_ms: 1_800_000,
            prompt: PROMPT.to_string(),
            target: "last".to_string(),
            ack_max_chars: 300,
            to: None,
            passed_over: vec!["echo".to_string()],
            busy_retry_ms: 5_000,
            quiet_from: None,
            quiet_until: None,
            time_zone: None,
        }
    }
}

/// The plugin.
pub struct Heartbeat {
    host: Host,
    config: HeartbeatConfig,
    quiet: Option<quiet::Hours>,
    woken: beat::Woken,
    beating: Mutex<Option<Spawned>>,
}

static METHODS: LazyLock<Methods<Heartbeat>> = LazyLock::new(|| {
    Methods::new()
        .add(
            Method::operator("last-heartbeat", &[READ])
                .summary("What the last heartbeat brought; null before the first."),
            Heartbeat::last_heartbeat,
        )
        .add(
            Method::operator("set-heartbeats", &[ADMIN])
                .summary("Switches heartbeats on or off, also beyond a restart.")
                .description("`enabled` (true or false) is required; other fields are passed over.")
                .effects(),
            Heartbeat::set_heartbeats,
        )
        .add(
            Method::operator("wake", &[WRITE])
                .summary("Leaves a text for the agent; with mode `now` it is asked at once.")
                .effects(),
            Heartbeat::wake,
        )
        .add(Method::internal("heartbeat.wake").summary("Asks for a heartbeat at once.").effects(), Heartbeat::wake_now)
        .add(
            Method::internal("heartbeat.settings").summary("Whether heartbeats are on, and how they go."),
            Heartbeat::settings,
        )
        .add(
            Method::internal("heartbeat.report")
                .summary("Notes what a heartbeat brought and tells everyone.")
                .effects(),
            Heartbeat::report,
        )
});

impl Plugin for Heartbeat {
    fn manifest() -> Manifest {
        Manifest::new("heartbeat", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Whether agents are asked regularly if anything needs attention, and what came of it last.")
            .invokes(&[
                "agent.run",
                "agent.runs",
                "agent.wait",
                "agents.get",
                "host.registry.list",
                "presence.system-events",
                "presence.system-events.drain",
                "presence.system-events.push",
                "send.deliver",
            ])
            .config::<HeartbeatConfig>()
            .methods(&METHODS)
            .event(
                EventSpec::everyone("heartbeat").summary("A heartbeat ran or was skipped.").payload::<HeartbeatEvent>(),
            )
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: HeartbeatConfig = setup.config()?;
        let quiet = quiet::Hours::read(&config).map_err(CreateError::new)?;
        Ok(Heartbeat { host, config, quiet, woken: Default::default(), beating: Mutex::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let heartbeat = self.clone();
        let beating = self.host.spawn(async move { heartbeat.beat_on().await });
        *self.beating.lock().unwrap_or_else(PoisonError::into_inner) = Some(beating);
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn quiesce(&self) {
        if let Some(beating) = self.beating.lock().unwrap_or_else(PoisonError::into_inner).take() {
            beating.cancel();
        }
    }
}

plugin_api::plugin!(Heartbeat);

impl Heartbeat {
    async fn last_heartbeat(self: Arc<Self>, _: Call, _: AnyParams) -> Result<Option<HeartbeatEvent>, MethodError> {
        Ok(self.host.kv().json(LAST)?)
    }

    async fn set_heartbeats(self: Arc<Self>, _: Call, switch: Switch) -> Result<Switched, MethodError> {
        let Value::Bool(enabled) = switch.enabled else {
            return Err(MethodError::invalid_request("invalid set-heartbeats params: enabled (boolean) required"));
        };
        self.host.kv().set_json(ENABLED, &enabled).await?;
        Ok(Switched { ok: true, enabled })
    }

    async fn settings(self: Arc<Self>, _: Call, _: NoParams) -> Result<HeartbeatSettings, MethodError> {
        let enabled = self.host.kv().json(ENABLED)?.unwrap_or(true);
        let config = &self.config;
        Ok(HeartbeatSettings {
            enabled,
            every: if enabled { words(config.every_ms) } else { "disabled".to_string() },
            every_ms: enabled.then_some(config.every_ms),
            prompt: config.prompt.clone(),
            target: config.target.clone(),
            ack_max_chars: config.ack_max_chars,
        })
    }

    async fn report(self: Arc<Self>, _: Call, event: HeartbeatEvent) -> Result<Noted, MethodError> {
        self.note(event).await
    }

    async fn wake(self: Arc<Self>, _: Call, wake: Wake) -> Result<Woke, MethodError> {
        let text = wake.text.trim();
        if text.is_empty() {
            return Ok(Woke { ok: false });
        }
        if let Some(agent) = wake.agent() {
            self.is_asked(agent).await?;
        }
        let event = serde_json::json!({ "text": text });
        self.host.invoke("presence.system-events.push", &event).raw().await?;
        if wake.mode == WakeMode::Now {
            self.woken.wake();
        }
        Ok(Woke { ok: true })
    }

    /// Whether heartbeats ask this agent, which is the default one: a text for another would be told to the wrong one.
    async fn is_asked(&self, agent: &str) -> Result<(), MethodError> {
        match self.host.invoke("agents.get", &AgentId::default()).send::<AgentRecord>().await {
            Ok(record) if !record.agent_id.eq_ignore_ascii_case(agent) => {
                let why = format!("invalid wake params: at /agentId: only {} can be woken", record.agent_id);
                Err(MethodError::invalid_request(why))
            }
            _ => Ok(()),
        }
    }

    async fn wake_now(self: Arc<Self>, _: Call, _: AnyParams) -> Result<Noted, MethodError> {
        self.woken.wake();
        Ok(Noted { ok: true })
    }

    async fn note(&self, event: HeartbeatEvent) -> Result<Noted, MethodError> {
        let noted = self.host.kv().set_json(LAST, &event);
        self.host.event("heartbeat").droppable().send(&event)?;
        noted.await?;
        Ok(Noted { ok: true })
    }
}

/// Parameters of `set-heartbeats`: open, and checked by hand because clients know the sentence that refuses them.
#[derive(Debug, Deserialize, JsonSchema)]
struct Switch {
    /// Whether heartbeats shall come.
    #[serde(default)]
    enabled: Value,
}

/// Result of `set-heartbeats`.
#[derive(Debug, Serialize, JsonSchema)]
struct Switched {
    /// Always true.
    ok: bool,
    /// Whether heartbeats come now.
    enabled: bool,
}

/// Parameters of `wake`; the last two are of protocol 4, and there is one main session.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wake {
    /// When the agent hears of it.
    mode: WakeMode,
    /// What happened.
    #[schemars(length(min = 1, max = 16_384))]
    text: String,
    /// A session of the default agent.
    #[serde(default)]
    session_key: Option<String>,
    /// The default agent; no other one can be woken.
    #[serde(default)]
    agent_id: Option<String>,
}

impl Wake {
    /// The agent that is named, by itself or in the session's key.
    fn agent(&self) -> Option<&str> {
        let of_key = || self.session_key.as_deref()?.trim().strip_prefix("agent:")?.split(':').next();
        self.agent_id.as_deref().or_else(of_key).map(str::trim).filter(|agent| !agent.is_empty())
    }
}

/// When an agent hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum WakeMode {
    /// At once.
    Now,
    /// With the next heartbeat.
    NextHeartbeat,
}

/// Result of `wake`.
#[derive(Debug, Serialize, JsonSchema)]
struct Woke {
    /// Whether there was anything to say.
    ok: bool,
}

/// It is noted.
#[derive(Debug, Serialize, JsonSchema)]
struct Noted {
    /// Always true.
    ok: bool,
}

/// How heartbeats go.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct HeartbeatSettings {
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

/// What a heartbeat brought: payload of the event `heartbeat`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeartbeatEvent {
    /// When, in milliseconds since the epoch.
    #[serde(deserialize_with = "lenient::uint")]
    pub ts: u64,
    /// What came of it.
    pub status: HeartbeatStatus,
    /// Who got the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The beginning of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// How long it took.
    #[serde(default, deserialize_with = "lenient::optional_uint", skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Whether the answer had media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_media: Option<bool>,
    /// Why it was skipped or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The channel that the answer went through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Whether nobody was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<bool>,
    /// What an indicator shows: `ok`, `alert` or `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indicator_type: Option<Indicator>,
}

/// What came of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HeartbeatStatus {
    /// An answer was passed on.
    Sent,
    /// The answer was empty: nothing needs attention.
    OkEmpty,
    /// The answer was the word for "nothing needs attention".
    OkToken,
    /// It did not run.
    Skipped,
    /// It ran and failed.
    Failed,
}

/// What an indicator shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Indicator {
    /// All is well.
    Ok,
    /// Something needs attention.
    Alert,
    /// The heartbeat failed.
    Error,
}

/// A time for people, in the largest unit that divides it: `30m`.
fn words(ms: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = units.into_iter().find(|(length, _)| ms > 0 && ms.is_multiple_of(*length));
    unit.map_or_else(|| format!("{ms}ms"), |(length, name)| format!("{}{name}", ms / length))
}

#[cfg(test)]
mod tests;
