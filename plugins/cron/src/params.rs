//! What clients write, in the forms of either protocol version, brought into the one form that is kept.

use plugin_api::{MethodError, lenient};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::forms;
use crate::job::{Delivery, Isolation, Payload, State, WakeMode};
use crate::schedule::{Fault, Missed, Schedule, moment};

/// Parameters that are brought into one form before they are looked at, so their schema is open.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Loose(pub Map<String, Value>);

/// Fields of a job: those of `cron.add`, and of a patch.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Fields {
    pub name: Option<String>,
    #[serde(deserialize_with = "said")]
    pub description: Option<Option<String>>,
    #[serde(deserialize_with = "said")]
    pub agent_id: Option<Option<String>>,
    pub enabled: Option<bool>,
    pub delete_after_run: Option<bool>,
    pub schedule: Option<Schedule>,
    pub session_target: Option<String>,
    pub wake_mode: Option<WakeMode>,
    pub payload: Option<Map<String, Value>>,
    pub isolation: Option<Isolation>,
    pub delivery: Option<Map<String, Value>>,
    #[serde(deserialize_with = "said")]
    pub missed: Option<Option<Missed>>,
    pub session_key: Option<String>,
    pub state: Option<State>,
}

const FIELDS: &[&str] = &[
    "name",
    "description",
    "agentId",
    "enabled",
    "deleteAfterRun",
    "schedule",
    "sessionTarget",
    "wakeMode",
    "payload",
    "isolation",
    "delivery",
    "missed",
    "sessionKey",
    "state",
];
const SCHEDULE: &[&str] = &["kind", "atMs", "everyMs", "anchorMs", "expr", "tz"];
const PAYLOAD: &[&str] = &["kind", "text", "message", "model", "thinking", "timeoutSeconds"];
const DELIVERY: &[&str] = &["mode", "channel", "to", "accountId", "threadId", "bestEffort"];

/// A field that was said, if only as `null`.
fn said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// Which job: `id` or `jobId`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JobId {
    /// The job.
    #[schemars(length(min = 1))]
    pub id: Option<String>,
    /// The same.
    #[schemars(length(min = 1))]
    pub job_id: Option<String>,
}

/// Parameters of `cron.run`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RunJob {
    /// The job.
    #[schemars(length(min = 1))]
    pub id: Option<String>,
    /// The same.
    #[schemars(length(min = 1))]
    pub job_id: Option<String>,
    /// Whether it runs only if it is due; clients of 3 mean `due` when they say nothing, those of 4 `force`.
    pub mode: Option<RunMode>,
}

/// When a job that somebody names runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunMode {
    /// If it is due.
    Due,
    /// In any case.
    Force,
}

/// Parameters of `cron.list`; all but the first are of protocol 4.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ListJobs {
    /// Whether disabled ones are listed.
    pub include_disabled: Option<bool>,
    /// Those of an agent.
    pub agent_id: Option<String>,
    /// `all`, `enabled` or `disabled`.
    pub enabled: Option<String>,
    /// Those with this in their name, description or id.
    pub query: Option<String>,
    /// `nextRunAtMs`, `updatedAtMs` or `name`.
    pub sort_by: Option<String>,
    /// `asc` or `desc`.
    pub sort_dir: Option<String>,
    /// At most so many.
    #[serde(deserialize_with = "lenient::optional_uint")]
    #[schemars(range(min = 1))]
    pub limit: Option<u64>,
    /// Without the first so many.
    #[serde(deserialize_with = "lenient::optional_uint")]
    pub offset: Option<u64>,
    /// With what a list shows on top.
    pub compact: Option<bool>,
    /// Nothing is shown of where answers would go.
    pub include_delivery_previews: Option<bool>,
}

/// Parameters of `cron.runs`; those from `scope` on are of protocol 4.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ListRuns {
    /// The job.
    #[schemars(length(min = 1))]
    pub id: Option<String>,
    /// The same.
    #[schemars(length(min = 1))]
    pub job_id: Option<String>,
    /// At most so many.
    #[serde(deserialize_with = "lenient::optional_uint")]
    #[schemars(range(min = 1, max = 5000))]
    pub limit: Option<u64>,
    /// `job` or `all`.
    pub scope: Option<String>,
    /// One run.
    pub run_id: Option<String>,
    /// `ok`, `error`, `skipped` or `all`.
    pub status: Option<String>,
    /// Any of these.
    pub statuses: Option<Vec<String>>,
    /// Those with this in the job's name, the summary or the error.
    pub query: Option<String>,
    /// `desc` (the latest first) or `asc`.
    pub sort_dir: Option<String>,
    /// Without the first so many.
    #[serde(deserialize_with = "lenient::optional_uint")]
    pub offset: Option<u64>,
}

/// The parameters are wrong.
pub fn invalid(method: &str, why: impl std::fmt::Display) -> MethodError {
    MethodError::invalid_request(format!("invalid {method} params: {why}"))
}

/// A place in the parameters is wrong.
pub fn fault(method: &str, (place, why): Fault) -> MethodError {
    invalid(method, format!("at {place}: {why}"))
}

/// The job that is named: one of the two, not both.
pub fn named(method: &str, id: Option<String>, job_id: Option<String>) -> Result<String, MethodError> {
    match (id, job_id) {
        (Some(_), Some(_)) => Err(invalid(method, "at root: unexpected property 'jobId'")),
        (Some(id), None) | (None, Some(id)) => Ok(id.trim().to_string()),
        (None, None) => Err(invalid(method, "missing id")),
    }
}

/// A value as a type; what is wrong is said without repeating what was sent.
pub fn read<T: DeserializeOwned>(method: &str, place: &str, value: Value) -> Result<T, MethodError> {
    serde_json::from_value(value).map_err(|error| {
        let text = error.to_string();
        let name = |start: &str| text.strip_prefix(start)?.split('`').next().map(str::to_string);
        let why = match (name("unknown field `"), name("missing field `")) {
            (Some(name), _) => format!("unexpected property '{name}'"),
            (_, Some(name)) => format!("must have required property '{name}'"),
            _ => "must have the types and values that a job has".to_string(),
        };
        invalid(method, format!("at {place}: {why}"))
    })
}

/// The parameters of `cron.add` in one form.
pub fn added(method: &str, params: Map<String, Value>, tolerant: bool) -> Result<Fields, MethodError> {
    let inner = ["data", "job"].into_iter().find_map(|key| params.get(key)?.as_object().cloned());
    let mut params = inner.unwrap_or(params);
    normalize(method, &mut params, tolerant)?;
    // As elsewhere, null is as good as nothing.
    let is_said = |params: &Map<String, Value>, name: &str| params.get(name).is_some_and(|value| !value.is_null());
    if !is_said(&params, "sessionTarget") {
        let kind = params.get("payload").and_then(|payload| payload.get("kind")).and_then(Value::as_str);
        let target = if kind == Some("agentTurn") { "isolated" } else { "main" };
        params.insert("sessionTarget".to_string(), json!(target));
    }
    for required in ["name", "schedule", "payload"] {
        if !is_said(&params, required) {
            return Err(invalid(method, format!("must have required property '{required}'")));
        }
    }
    read(method, "root", Value::Object(params))
}

/// A patch in one form.
pub fn patched(method: &str, mut patch: Map<String, Value>, tolerant: bool) -> Result<Fields, MethodError> {
    normalize(method, &mut patch, tolerant)?;
    read(method, "root", Value::Object(patch))
}

fn normalize(method: &str, fields: &mut Map<String, Value>, tolerant: bool) -> Result<(), MethodError> {
    if let Some(Value::String(enabled)) = fields.get("enabled")
        && let Ok(enabled) = enabled.trim().to_lowercase().parse::<bool>()
    {
        fields.insert("enabled".to_string(), json!(enabled));
    }
    if let Some(Value::String(agent)) = fields.get("agentId") {
        let agent = agent_id(agent);
        fields.insert("agentId".to_string(), json!(agent));
    }
    if let Some(Value::Object(schedule)) = fields.get_mut("schedule") {
        normalize_schedule(method, schedule)?;
        keep(schedule, SCHEDULE, tolerant);
    }
    if let Some(Value::Object(payload)) = fields.get_mut("payload") {
        let moved = normalize_payload(method, payload)?;
        keep(payload, PAYLOAD, tolerant);
        if !moved.is_empty() {
            let delivery = fields.entry("delivery").or_insert_with(|| json!({}));
            if let Value::Object(delivery) = delivery {
                for (key, value) in moved {
                    delivery.entry(key).or_insert(value);
                }
            }
        }
    }
    if let Some(Value::Object(delivery)) = fields.get_mut("delivery") {
        if delivery.get("mode").and_then(Value::as_str) == Some("webhook") {
            return Err(not_served(method, "/delivery/mode", "webhook"));
        }
        if let Some(best) = delivery.remove("bestEffortDeliver") {
            delivery.entry("bestEffort").or_insert(best);
        }
        keep(delivery, DELIVERY, tolerant);
    }
    keep(fields, FIELDS, tolerant);
    forms::check(method, fields)
}

fn normalize_schedule(method: &str, schedule: &mut Map<String, Value>) -> Result<(), MethodError> {
    let at = schedule.remove("at").or_else(|| schedule.get("atMs").filter(|at| at.is_string()).cloned());
    if let Some(at) = at {
        let ms = match &at {
            Value::String(text) => moment(text),
            other => other.as_u64(),
        };
        let ms = ms.ok_or_else(|| invalid(method, "at /schedule/at: must be a date, a date and a time, or digits"))?;
        schedule.insert("atMs".to_string(), json!(ms));
    }
    if let Some(cron) = schedule.remove("cron") {
        schedule.entry("expr").or_insert(cron);
    }
    if !schedule.contains_key("kind") {
        let kinds = [("atMs", "at"), ("everyMs", "every"), ("expr", "cron")];
        if let Some((_, kind)) = kinds.into_iter().find(|(field, _)| schedule.contains_key(*field)) {
            schedule.insert("kind".to_string(), json!(kind));
        }
    }
    match schedule.get("kind").and_then(Value::as_str) {
        Some(kind @ ("on-exit" | "stream")) => Err(not_served(method, "/schedule/kind", kind)),
        _ => Ok(()),
    }
}

/// Brings the payload into its form, and gives what of it says where the answer goes.
fn normalize_payload(method: &str, payload: &mut Map<String, Value>) -> Result<Map<String, Value>, MethodError> {
    if !payload.contains_key("kind") {
        let kinds = [("text", "systemEvent"), ("message", "agentTurn")];
        if let Some((_, kind)) = kinds.into_iter().find(|(field, _)| payload.contains_key(*field)) {
            payload.insert("kind".to_string(), json!(kind));
        }
    }
    let mut delivery = Map::new();
    match payload.get("kind").and_then(Value::as_str) {
        Some(kind @ ("command" | "script")) => return Err(not_served(method, "/payload/kind", kind)),
        Some("agentTurn") => {}
        Some(_) => return Ok(delivery),
        None => return Err(invalid(method, "at /payload: must have required property 'kind'")),
    }
    if let Some(provider) = payload.remove("provider") {
        payload.entry("channel").or_insert(provider);
    }
    for (field, name) in [("channel", "channel"), ("to", "to"), ("bestEffortDeliver", "bestEffort")] {
        if let Some(value) = payload.remove(field) {
            delivery.insert(name.to_string(), value);
        }
    }
    match payload.remove("deliver") {
        Some(Value::Bool(deliver)) => {
            delivery.insert("mode".to_string(), json!(if deliver { "announce" } else { "none" }));
        }
        None | Some(Value::Null) => {}
        Some(_) => return Err(invalid(method, "at /payload/deliver: must be boolean")),
    }
    Ok(delivery)
}

fn not_served(method: &str, place: &str, kind: &str) -> MethodError {
    invalid(method, format!("at {place}: {kind} is not served by this gateway"))
}

/// Clients of 4 send more every month; those of 3 hear of what is too much.
fn keep(fields: &mut Map<String, Value>, known: &[&str], tolerant: bool) {
    if tolerant {
        fields.retain(|name, _| known.contains(&name.as_str()));
    }
}

/// An agent's id as it would be configured; none when nothing is left of it.
pub fn agent_id(text: &str) -> Option<String> {
    let mut id = String::new();
    for c in text.trim().to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' | '_' => id.push(c),
            _ if id.is_empty() || id.ends_with('-') => {}
            _ => id.push('-'),
        }
    }
    let id: String = id.trim_start_matches(['-', '_']).chars().take(64).collect();
    let id = id.trim_end_matches('-').to_string();
    (!id.is_empty()).then_some(id)
}

/// The payload that a patch makes of one: merged while the kind stays.
pub fn merged(method: &str, before: Option<&Payload>, patch: Map<String, Value>) -> Result<Payload, MethodError> {
    let before = before.map(serde_json::to_value).transpose()?;
    let same = before.as_ref().is_some_and(|before| before.get("kind") == patch.get("kind"));
    let mut payload = match before {
        Some(Value::Object(before)) if same => before,
        _ => Map::new(),
    };
    payload.extend(patch);
    let payload: Payload = read(method, "/payload", Value::Object(payload))?;
    let (place, said) = match &payload {
        Payload::SystemEvent { text } => ("/payload/text", text),
        Payload::AgentTurn { message, timeout_seconds, .. } => {
            if *timeout_seconds == Some(0) {
                return Err(invalid(method, "at /payload/timeoutSeconds: must be >= 1"));
            }
            ("/payload/message", message)
        }
    };
    if said.is_empty() {
        return Err(invalid(method, format!("at {place}: must NOT have fewer than 1 characters")));
    }
    Ok(payload)
}

/// Where the answer goes after a patch.
pub fn redirected(method: &str, before: &Delivery, patch: Map<String, Value>) -> Result<Delivery, MethodError> {
    let mut delivery = match serde_json::to_value(before)? {
        Value::Object(before) => before,
        _ => Map::new(),
    };
    delivery.extend(patch);
    read(method, "/delivery", Value::Object(delivery))
}
