//! Parameters and results on the wire.

use plugin_api::contracts::Usage;
use plugin_api::contracts::run::{RunOutcome, Waited, status};
use plugin_api::lenient;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::deliver::Delivery;

/// Parameters of `agent`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentParams {
    /// What the agent is told.
    #[schemars(length(min = 1))]
    pub message: String,
    /// Names the run, and makes it happen once.
    #[schemars(length(min = 1))]
    pub idempotency_key: String,
    /// The agent, where the session does not say.
    #[schemars(length(min = 1))]
    pub agent_id: Option<String>,
    /// Whom an answer would go to.
    pub to: Option<String>,
    /// Whom the answer goes to instead.
    pub reply_to: Option<String>,
    /// A conversation; the session's present one is used.
    pub session_id: Option<String>,
    /// The session, in any spelling; the agent's main session when absent.
    pub session_key: Option<String>,
    /// How much it thinks.
    pub thinking: Option<String>,
    /// Whether the answer also goes out over a channel: to `replyTo` or `to`, else to where the session last spoke.
    pub deliver: Option<bool>,
    /// `{type?, mimeType?, fileName?, content}` each, the content in base64.
    pub attachments: Option<Vec<Value>>,
    /// The channel the message is from, or `last`.
    pub channel: Option<String>,
    /// The channel the answer goes to, or `last`.
    pub reply_channel: Option<String>,
    /// The account of that channel.
    pub account_id: Option<String>,
    /// The account the answer goes out with.
    pub reply_account_id: Option<String>,
    /// A thread or topic.
    pub thread_id: Option<String>,
    /// A group.
    pub group_id: Option<String>,
    /// Its channel, kept with the session.
    pub group_channel: Option<String>,
    /// Its space, kept with the session.
    pub group_space: Option<String>,
    /// Seconds until the run is given up; 0 and absent are the agent's own.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    pub timeout: Option<u64>,
    /// A queue's name; runs of one session go in order in any case.
    pub lane: Option<String>,
    /// Told to the agent beside its own instructions.
    pub extra_system_prompt: Option<String>,
    /// A name for the session.
    #[schemars(length(min = 1, max = 64))]
    pub label: Option<String>,
    /// The session that began this one.
    pub spawned_by: Option<String>,
    /// The model's provider (protocol 4).
    pub provider: Option<String>,
    /// The model, `provider/model` or with `provider` beside it (protocol 4).
    pub model: Option<String>,
    /// A folder; there is none here (protocol 4).
    pub cwd: Option<String>,
}

/// What `agent` answers in the end.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentResult {
    /// The run.
    run_id: String,
    /// `ok`, or `error` when it failed.
    status: String,
    /// `completed` or `aborted`; of a failed run, why.
    summary: String,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Answer")]
    result: Option<Answer>,
}

/// What came of a run.
#[derive(Debug, Serialize, JsonSchema)]
struct Answer {
    /// What the agent said.
    payloads: Vec<Payload>,
    /// About it.
    meta: Meta,
}

/// Something that an agent said.
#[derive(Debug, Serialize, JsonSchema)]
struct Payload {
    /// The text.
    text: String,
}

/// About a run.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Meta {
    /// How long it took.
    duration_ms: u64,
    /// Who answered.
    agent_meta: AgentMeta,
    /// Whether somebody stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    aborted: Option<bool>,
    /// What came of sending it on, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Delivery")]
    delivery: Option<Delivery>,
}

/// Who answered.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AgentMeta {
    /// The conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    session_id: Option<String>,
    /// Who provided the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    provider: Option<String>,
    /// The model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    model: Option<String>,
    /// What it cost.
    usage: Usage,
}

impl AgentResult {
    /// Of a run that ended like this.
    pub fn of(outcome: &RunOutcome, session_id: Option<String>, delivery: Option<Delivery>) -> Self {
        let aborted = outcome.status == status::ABORTED;
        if outcome.status != status::OK && !aborted {
            let (run_id, summary) = (outcome.run_id.clone(), error_of(outcome));
            return AgentResult { run_id, status: "error".to_string(), summary, result: None };
        }
        let text = outcome.text.clone();
        let payloads = if text.is_empty() { Vec::new() } else { vec![Payload { text }] };
        let began = outcome.started_at.unwrap_or(outcome.ended_at);
        let agent_meta = AgentMeta {
            session_id,
            provider: outcome.provider.clone(),
            model: outcome.model.clone(),
            usage: outcome.usage,
        };
        let duration_ms = outcome.ended_at.saturating_sub(began);
        let meta = Meta { duration_ms, agent_meta, aborted: aborted.then_some(true), delivery };
        AgentResult {
            run_id: outcome.run_id.clone(),
            status: "ok".to_string(),
            summary: if aborted { "aborted" } else { "completed" }.to_string(),
            result: Some(Answer { payloads, meta }),
        }
    }
}

/// Why a run failed.
pub fn error_of(outcome: &RunOutcome) -> String {
    outcome.error.clone().unwrap_or_else(|| "the run failed".to_string())
}

/// Parameters of `agent.wait`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaitParams {
    /// The run.
    #[schemars(length(min = 1))]
    pub run_id: String,
    /// Milliseconds to wait; 30,000 when absent, and 0 only looks.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    pub timeout_ms: Option<u64>,
}

/// What is said of a run that ended like this. Only a run that ended by itself is `ok`; one whose own time was over is not the
/// `timeout` of whoever waits.
pub fn waited(outcome: &RunOutcome) -> Waited {
    let ok = outcome.status == status::OK;
    let error = match outcome.status.as_str() {
        status::OK => None,
        status::ABORTED => Some("the run was stopped".to_string()),
        _ => Some(error_of(outcome)),
    };
    Waited {
        run_id: outcome.run_id.clone(),
        status: if ok { "ok" } else { "error" }.to_string(),
        started_at: outcome.started_at,
        ended_at: Some(outcome.ended_at),
        error,
        stop_reason: outcome.stop_reason.clone(),
    }
}
