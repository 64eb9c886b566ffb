//! A job as it is kept: one form for both protocol versions.

use plugin_api::lenient;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schedule::{Missed, Schedule};

/// A job and how it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    pub id: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_run: Option<bool>,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
    pub schedule: Schedule,
    /// `main`, `isolated`, or `session:<key>`.
    pub session_target: String,
    pub wake_mode: WakeMode,
    pub payload: Payload,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// Whether the main session hears what an isolated job brought. Clients of 3 mean it; those of 4 have `delivery`.
    #[serde(default)]
    pub posts_to_main: bool,
    #[serde(default)]
    pub delivery: Delivery,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<Missed>,
    #[serde(default)]
    pub state: State,
    /// A run that somebody asked for and that has not begun, by the moment it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced_at_ms: Option<u64>,
    /// While it runs, the schedule that this run began with: with another one the job is not over at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_by: Option<Schedule>,
}

/// When an agent hears of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WakeMode {
    /// With the next heartbeat.
    #[default]
    NextHeartbeat,
    /// At once, by a heartbeat of its own.
    Now,
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Payload {
    /// It leaves a text for the main session.
    SystemEvent {
        /// The text.
        text: String,
    },
    /// It has an agent run.
    AgentTurn {
        /// What the agent is told.
        message: String,
        /// `provider/model` instead of the agent's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// How much it thinks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thinking: Option<String>,
        /// Seconds until it is given up.
        #[serde(default, deserialize_with = "lenient::optional_uint", skip_serializing_if = "Option::is_none")]
        timeout_seconds: Option<u64>,
    },
}

/// What the main session hears of an isolated job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Isolation {
    /// What stands before it; `Cron` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_to_main_prefix: Option<String>,
    /// Its beginning, or all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_to_main_mode: Option<PostMode>,
    /// Characters of all of it; 8000 when absent.
    #[serde(default, deserialize_with = "lenient::optional_uint", skip_serializing_if = "Option::is_none")]
    pub post_to_main_max_chars: Option<u64>,
}

/// How much of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PostMode {
    /// Its beginning.
    Summary,
    /// All of it.
    Full,
}

/// Who is sent an isolated job's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delivery {
    /// Whether it is sent; if there is somebody to send it to, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<DeliveryMode>,
    /// The channel; `last` is the one that the main session used last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// To whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The account that sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// A thread within the chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// Whether the job is well although its answer could not be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_effort: Option<bool>,
}

/// Whether an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryMode {
    /// It is not.
    None,
    /// It is.
    Announce,
}

impl Delivery {
    /// Whether the answer is sent.
    pub fn is_wanted(&self) -> bool {
        match self.mode {
            Some(mode) => mode == DeliveryMode::Announce,
            None => self.to.as_deref().is_some_and(|to| !to.trim().is_empty()),
        }
    }
}

/// How a job stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    /// When it is due.
    #[serde(default, deserialize_with = "lenient::optional_uint", skip_serializing_if = "Option::is_none")]
    pub next_run_at_ms: Option<u64>,
    /// Since when it runs, while it does.
    #[serde(default, deserialize_with = "lenient::optional_uint", skip_serializing_if = "Option::is_none")]
    pub running_at_ms: Option<u64>,
    /// When it ran last.
    #[serde(default, deserialize_with = "lenient::optional_uint", skip_serializing_if = "Option::is_none")]
    pub last_run_at_ms: Option<u64>,
    /// How that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_status: Option<RunStatus>,
    /// Why it failed or was passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How long it took.
    #[serde(default, deserialize_with = "lenient::optional_uint", skip_serializing_if = "Option::is_none")]
    pub last_duration_ms: Option<u64>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Well.
    Ok,
    /// It failed.
    Error,
    /// It was passed over.
    Skipped,
}

impl Job {
    /// When somebody has to look at it next.
    pub fn due_at(&self) -> Option<u64> {
        if self.state.running_at_ms.is_some() {
            return None;
        }
        let scheduled = self.state.next_run_at_ms.filter(|_| self.enabled);
        [self.forced_at_ms, scheduled].into_iter().flatten().min()
    }

    /// Whether the run of this name was asked for and has not begun.
    pub fn waits_as(&self, run: &str) -> bool {
        self.forced_at_ms.is_some_and(|time| run_id(&self.id, time) == run)
    }

    /// When it is due from this moment on. A moment of the past is due at once, unless it was run for.
    pub fn schedule_from(&mut self, now: u64, zone: Option<&str>) {
        self.count_from(now);
        self.state.next_run_at_ms = match &self.schedule {
            _ if !self.enabled => None,
            Schedule::At { at_ms } if self.was_run_for(*at_ms) => None,
            Schedule::At { at_ms } => Some((*at_ms).max(now)),
            other => other.next(now, zone),
        };
    }

    /// Whether its last run went well and began at this moment or later.
    fn was_run_for(&self, moment: u64) -> bool {
        self.state.last_status == Some(RunStatus::Ok) && self.state.last_run_at_ms >= Some(moment)
    }

    /// Moves the moment that its times are counted from by whole spans, if the clock has shown that moment before and went
    /// back since: the job would rest until then. Whether it was moved.
    pub fn count_from(&mut self, now: u64) -> bool {
        let Schedule::Every { every_ms, anchor_ms: Some(anchor) } = &mut self.schedule else { return false };
        let was_there = *anchor <= self.created_at_ms || self.state.last_run_at_ms >= Some(*anchor);
        if *anchor <= now || !was_there {
            return false;
        }
        let every = (*every_ms).max(1);
        let phase = *anchor % every;
        *anchor = now.checked_sub(phase).map_or(phase, |past| now - past % every);
        true
    }
}

/// The name of the run of a job for a time: the same one however often it is begun.
pub fn run_id(job_id: &str, due: u64) -> String {
    format!("cron:{job_id}:{due}")
}
