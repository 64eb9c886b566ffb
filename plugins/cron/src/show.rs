//! Jobs and runs as either protocol version shows them.

use serde_json::{Map, Value, json};

use crate::job::{DeliveryMode, Job, Payload};
use crate::schedule::{Schedule, written};
use crate::store::Run;

/// Whether a client has the forms of version 4.
pub fn is_later(protocol: u32) -> bool {
    protocol >= 4
}

/// A job.
pub fn job(job: &Job, later: bool) -> Value {
    let mut shown = Map::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            shown.insert(name.to_string(), value);
        }
    };
    set("id", json!(job.id));
    set("agentId", json!(job.agent_id));
    set("name", json!(job.name));
    set("description", json!(job.description));
    set("enabled", json!(job.enabled));
    set("deleteAfterRun", json!(job.delete_after_run));
    set("createdAtMs", json!(job.created_at_ms));
    set("updatedAtMs", json!(job.updated_at_ms));
    set("schedule", schedule(&job.schedule, later));
    let has_own_session = job.session_target.starts_with("session:");
    set("sessionTarget", json!(if has_own_session && !later { "isolated" } else { &job.session_target }));
    set("wakeMode", json!(job.wake_mode));
    let mut payload = json!(job.payload);
    if matches!(job.payload, Payload::AgentTurn { .. }) {
        let delivery = &job.delivery;
        if later {
            let mut shown = json!(delivery);
            shown["mode"] = json!(if delivery.is_wanted() { DeliveryMode::Announce } else { DeliveryMode::None });
            set("delivery", shown);
        } else if let Value::Object(payload) = &mut payload {
            let deliver = delivery.mode.map(|mode| mode == DeliveryMode::Announce);
            let fields = [
                ("deliver", json!(deliver)),
                ("channel", json!(delivery.channel)),
                ("to", json!(delivery.to)),
                ("bestEffortDeliver", json!(delivery.best_effort)),
            ];
            payload.extend(fields.into_iter().filter(|(_, v)| !v.is_null()).map(|(name, v)| (name.to_string(), v)));
        }
    }
    set("payload", payload);
    if !later {
        set("isolation", json!(job.isolation));
    } else {
        set("missed", json!(job.missed));
    }
    set("state", json!(job.state));
    Value::Object(shown)
}

/// A job with what a list of version 4 shows on top.
pub fn compact(of: &Job) -> Value {
    let mut shown = job(of, true);
    shown["scheduleKind"] = json!(of.schedule.kind());
    shown["nextRunAtMs"] = json!(of.state.next_run_at_ms);
    shown["nextRunAt"] = json!(of.state.next_run_at_ms.map(written));
    shown["lastRunAtMs"] = json!(of.state.last_run_at_ms);
    shown["lastRunAt"] = json!(of.state.last_run_at_ms.map(written));
    shown["lastRunStatus"] = json!(of.state.last_status);
    shown["lastRunError"] = json!(of.state.last_error);
    shown
}

fn schedule(schedule: &Schedule, later: bool) -> Value {
    match schedule {
        Schedule::At { at_ms } if later => json!({ "kind": "at", "at": written(*at_ms) }),
        other => json!(other),
    }
}

/// A run that ended.
pub fn run(run: &Run, later: bool) -> Value {
    let mut shown = json!({ "ts": run.ended_at.unwrap_or(run.started_at), "jobId": run.job_id, "action": "finished" });
    let Some(outcome) = &run.outcome else { return shown };
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            shown[name] = value;
        }
    };
    set("status", json!(outcome.status));
    set("error", json!(outcome.error));
    set("summary", json!(outcome.summary));
    set("runAtMs", json!(run.started_at));
    set("durationMs", json!(outcome.duration_ms));
    set("nextRunAtMs", json!(outcome.next_run_at_ms));
    if later {
        set("runId", json!(run.run_id));
        set("jobName", json!(outcome.job_name));
    }
    shown
}
