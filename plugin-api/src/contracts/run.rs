//! Runs of agents, for plugins that start them in their own name: jobs, inbound messages, heartbeats, webhooks. A client's
//! run is started with the method `agent`, on the client's behalf, and has the client's rights; one that is started here
//! has those of the agent's tool list, and no client's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::message::Usage;
use crate::Host;

/// Parameters of `agent.run`. The answer comes in two: [`RunAccepted`] as the interim one, [`RunOutcome`] as the final
/// one. The run goes on when nobody waits for it any more; the same `runId` again joins it, or gives its outcome.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunRequest {
    /// Names the run, and makes it happen once.
    pub run_id: String,
    /// What the agent is told.
    pub message: String,
    /// The session, in any spelling; the agent's main session when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// The agent, where the session does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Why it runs: `cron`, `inbound`, `heartbeat`, `hook`, `http`.
    pub origin: String,
    /// Attachments as `chat.send` takes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Value>,
    /// `provider/model` instead of the session's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How much it shall think instead of the session's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// Told to the agent beside its own instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_system_prompt: Option<String>,
    /// Milliseconds until it is given up; the agent's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whether clients are spared its `chat` events.
    #[serde(default)]
    pub hidden: bool,
}

/// Interim reply of `agent.run`, and of `agent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunAccepted {
    /// The run.
    pub run_id: String,
    /// Always `accepted`.
    pub status: String,
    /// When, in milliseconds since the epoch.
    pub accepted_at: u64,
    /// The session, in its canonical spelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
}

/// How a run ended: final reply of `agent.run`. That a run failed is not a failure of the method.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunOutcome {
    /// The run.
    pub run_id: String,
    /// See [`status`].
    pub status: String,
    /// The session, in its canonical spelling.
    pub session_key: String,
    /// The agent.
    pub agent_id: String,
    /// What the agent said in the end; empty when it said nothing.
    #[serde(default)]
    pub text: String,
    /// When it began, in milliseconds since the epoch; absent when it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// When it ended, in milliseconds since the epoch.
    pub ended_at: u64,
    /// Why it failed, in a sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// A code for programs that goes with `error`: those of [`super::backend::code`], `AGENT_TIMEOUT`, `INTERRUPTED`,
    /// `TOOL_LOOP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Why it was stopped, when it was: `rpc`, `stop`, `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// Who provided the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What all of it cost.
    #[serde(default)]
    pub usage: Usage,
}

/// Values of [`RunOutcome::status`]. Only `ok` is ok.
pub mod status {
    /// It ended by itself.
    pub const OK: &str = "ok";
    /// It failed.
    pub const ERROR: &str = "error";
    /// Its time was over.
    pub const TIMEOUT: &str = "timeout";
    /// Somebody stopped it.
    pub const ABORTED: &str = "aborted";
    /// The gateway stopped while it ran.
    pub const INTERRUPTED: &str = "interrupted";
}

/// Parameters of `agent.abort`: one run, or all of a session. Answers [`Aborted`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AbortRuns {
    /// The run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The session, in any spelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// Why: `rpc`, `stop` or `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// How long to wait until they have ended, in milliseconds; 0 does not wait.
    #[serde(default)]
    pub wait_ms: u64,
}

/// Result of `agent.abort`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Aborted {
    /// The runs that were told to stop, and not before.
    pub run_ids: Vec<String>,
    /// Those that had not ended when the wait was over.
    #[serde(default)]
    pub still_running: Vec<String>,
}

/// Parameters of `agent.runs`: those of one session, or all. Answers [`ActiveRuns`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunsOf {
    /// The session, in any spelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
}

/// Result of `agent.runs`: what runs or waits to run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveRuns {
    /// In the order in which they came.
    pub runs: Vec<ActiveRun>,
}

/// A run that has not ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveRun {
    /// The run.
    pub run_id: String,
    /// The session, in its canonical spelling.
    pub session_key: String,
    /// The session as whoever started the run spelled it; events carry this one.
    pub spelled_key: String,
    /// The agent.
    pub agent_id: String,
    /// Whether it has begun; else it waits for its turn.
    pub has_begun: bool,
    /// Why it runs: `client`, or as [`RunRequest::origin`].
    pub origin: String,
}

/// Result of `agent.wait`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Waited {
    /// The run.
    pub run_id: String,
    /// `ok`, `error`, or `timeout` when it has not ended.
    pub status: String,
    /// When it began, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub started_at: Option<u64>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub ended_at: Option<u64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub error: Option<String>,
    /// Why it was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub stop_reason: Option<String>,
}

/// Whether `agent` still has a run, or its outcome: asked for again, such a run is not begun anew.
pub async fn is_known(host: &Host, run_id: &str) -> bool {
    let asked = json!({ "runId": run_id, "timeoutMs": 0 });
    if let Ok(waited) = host.invoke("agent.wait", &asked).send::<Waited>().await
        && waited.status != "timeout"
    {
        return true;
    }
    let active = host.invoke("agent.runs", &RunsOf::default()).send::<ActiveRuns>().await;
    active.is_ok_and(|active| active.runs.iter().any(|active| active.run_id == run_id))
}

/// Parameters of `agents.get`: an agent, or the default one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentId {
    /// The agent, in any spelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
}

/// Result of `agents.get`: how an agent is run. An agent that is not configured is an `INVALID_REQUEST`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentRecord {
    /// Its id.
    pub agent_id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Models in the order in which they are tried, each as `<backend>/<model>` or `<backend>`; never empty.
    pub models: Vec<String>,
    /// What it is told before each conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Methods that it may use as tools: names, or a prefix and `*`. Also the bound for runs that no client started.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Methods that it may not use after all.
    #[serde(default)]
    pub tools_denied: Vec<String>,
    /// How much it thinks when nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// Milliseconds until a run is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}
