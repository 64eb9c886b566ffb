//! What is asked of jobs: list, look, make, change, remove, run.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use plugin_api::{Call, MethodError, NoParams};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::job::{Job, Payload, State, run_id};
use crate::params::{self, Fields, JobId, ListJobs, ListRuns, Loose, RunJob, RunMode};
use crate::schedule::Schedule;
use crate::store;
use crate::work::{UNKNOWN_DEFAULT, only_default_hears};
use crate::{Cron, CronConfig, CronEvent, show};

/// Rows of a page of version 4 when nobody says, and at most.
const PAGE: u64 = 50;
const PAGE_MAX: u64 = 200;

/// A list, as either version has it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Shown(Value);

/// What became of a job that was to go.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Removed {
    /// Always true.
    ok: bool,
    /// Whether there was such a job.
    removed: bool,
}

/// How jobs do.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Whether they run by themselves.
    enabled: bool,
    /// Where they are kept, from the state folder on.
    store_path: String,
    /// How many there are.
    jobs: u64,
    /// When the next one is due.
    next_wake_at_ms: Option<u64>,
    /// `sqlite`, for clients of protocol 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<&'static str>,
    /// The same place, for clients of protocol 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    sqlite_path: Option<String>,
    /// Whether other things than time start jobs: they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    triggers_enabled: Option<bool>,
}

fn is_later(call: &Call) -> Result<bool, MethodError> {
    Ok(show::is_later(call.caller()?.protocol))
}

impl Cron {
    pub(crate) async fn list(self: Arc<Self>, call: Call, asked: ListJobs) -> Result<Shown, MethodError> {
        let later = is_later(&call)?;
        let mut jobs = self.db(store::jobs).await?;
        let default_agent = match asked.agent_id {
            Some(_) => self.default_agent().await.unwrap_or_else(|| UNKNOWN_DEFAULT.to_string()),
            None => String::new(),
        };
        let wants = |job: &Job| match asked.enabled.as_deref() {
            Some("enabled") => job.enabled,
            Some("disabled") => !job.enabled,
            Some("all") => true,
            _ => job.enabled || asked.include_disabled == Some(true),
        };
        let query = asked.query.as_deref().map(|query| query.trim().to_lowercase()).unwrap_or_default();
        let has = |text: &str| text.to_lowercase().contains(&query);
        let is_of = |job: &Job, agent: &str| job.agent_id.as_deref().unwrap_or(&default_agent) == agent;
        jobs.retain(|job| {
            wants(job)
                && asked.agent_id.as_deref().is_none_or(|agent| is_of(job, agent))
                && (query.is_empty() || has(&job.name) || has(&job.id) || job.description.as_deref().is_some_and(has))
        });
        let down = asked.sort_dir.as_deref() == Some("desc");
        match asked.sort_by.as_deref() {
            Some("name") => jobs.sort_by_cached_key(|job| job.name.to_lowercase()),
            Some("updatedAtMs") => jobs.sort_by_key(|job| job.updated_at_ms),
            _ => jobs.sort_by_key(|job| job.state.next_run_at_ms.unwrap_or(u64::MAX)),
        }
        if down {
            jobs.reverse();
            // Those that are never due come last, whichever way round.
            if !matches!(asked.sort_by.as_deref(), Some("name" | "updatedAtMs")) {
                jobs.sort_by_key(|job| job.state.next_run_at_ms.is_none());
            }
        }
        let compact = asked.compact == Some(true);
        let row = |job: &Job| if later && compact { show::compact(job) } else { show::job(job, later) };
        Ok(page("jobs", &jobs, (asked.limit, asked.offset), later, row))
    }

    pub(crate) async fn get(self: Arc<Self>, call: Call, asked: JobId) -> Result<Shown, MethodError> {
        let (later, id) = (is_later(&call)?, params::named(call.method(), asked.id, asked.job_id)?);
        let found = self
            .db({
                let id = id.clone();
                move |db| store::job(db, &id)
            })
            .await?;
        let job = found.ok_or_else(|| unknown(&id, true))?;
        Ok(Shown(show::job(&job, later)))
    }

    pub(crate) async fn status(self: Arc<Self>, call: Call, _: NoParams) -> Result<Status, MethodError> {
        let later = is_later(&call)?;
        let (jobs, next) = self.db(|db| Ok((store::count(db)?, store::next_due(db)?))).await?;
        let path = format!("data/cron/{}", store::FILE);
        Ok(Status {
            enabled: self.config.enabled,
            store_path: path.clone(),
            jobs,
            next_wake_at_ms: next.filter(|_| self.config.enabled),
            storage: later.then_some("sqlite"),
            sqlite_path: later.then_some(path),
            triggers_enabled: later.then_some(false),
        })
    }

    pub(crate) async fn runs(self: Arc<Self>, call: Call, asked: ListRuns) -> Result<Shown, MethodError> {
        let later = is_later(&call)?;
        let id = match asked.scope.as_deref() {
            Some("all") => None,
            _ => Some(params::named(call.method(), asked.id, asked.job_id)?),
        };
        let mut runs = self.db(move |db| store::ended_runs(db, id.as_deref())).await?;
        let mut statuses = asked.statuses.unwrap_or_default();
        statuses.extend(asked.status.filter(|status| status != "all"));
        let query = asked.query.as_deref().map(|query| query.trim().to_lowercase()).unwrap_or_default();
        runs.retain(|run| {
            let Some(outcome) = &run.outcome else { return false };
            let status = json!(outcome.status);
            let texts = [Some(&outcome.job_name), outcome.summary.as_ref(), outcome.error.as_ref()];
            asked.run_id.as_ref().is_none_or(|wanted| *wanted == run.run_id)
                && (statuses.is_empty() || statuses.iter().any(|wanted| status == wanted.as_str()))
                && (query.is_empty() || texts.into_iter().flatten().any(|text| text.to_lowercase().contains(&query)))
        });
        let row = |run: &store::Run| show::run(run, later);
        if !later {
            let limit = usize::try_from(asked.limit.unwrap_or(PAGE_MAX)).unwrap_or(usize::MAX);
            let from = runs.len().saturating_sub(limit);
            return Ok(page("entries", &runs[from..], (None, None), false, row));
        }
        if asked.sort_dir.as_deref() != Some("asc") {
            runs.reverse();
        }
        Ok(page("entries", &runs, (asked.limit, asked.offset), true, row))
    }

    pub(crate) async fn add(self: Arc<Self>, call: Call, Loose(given): Loose) -> Result<Shown, MethodError> {
        let (later, method) = (is_later(&call)?, call.method().to_string());
        let fields = params::added(&method, given, later)?;
        let now = self.now();
        let mut job = Job {
            id: uuid::Uuid::new_v4().to_string(),
            name: String::new(),
            description: None,
            agent_id: None,
            enabled: true,
            delete_after_run: None,
            created_at_ms: now,
            updated_at_ms: now,
            schedule: Schedule::At { at_ms: 0 },
            session_target: String::new(),
            wake_mode: Default::default(),
            payload: Payload::SystemEvent { text: String::new() },
            isolation: None,
            posts_to_main: !later,
            delivery: Default::default(),
            missed: None,
            state: State::default(),
            forced_at_ms: None,
            runs_by: None,
        };
        let default_agent = self.default_agent().await;
        apply(&method, &mut job, fields, &self.config, now, default_agent.as_deref())?;
        job.posts_to_main &= job.session_target != "main";
        let most = self.config.max_jobs;
        let kept = job.clone();
        self.db(move |db| {
            if store::count(db)? >= most {
                return Err(MethodError::unavailable(format!("Error: there are {most} cron jobs already (max_jobs)")));
            }
            store::save(db, &kept)
        })
        .await?;
        self.told(&job, "added");
        Ok(Shown(show::job(&job, later)))
    }

    pub(crate) async fn update(self: Arc<Self>, call: Call, Loose(mut given): Loose) -> Result<Shown, MethodError> {
        let (later, method) = (is_later(&call)?, call.method().to_string());
        let mut id = |name: &str| match given.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(id)) if !id.is_empty() => Ok(Some(id)),
            Some(_) => Err(params::invalid(&method, format!("at /{name}: must be a non-empty string"))),
        };
        let (id, job_id) = (id("id")?, id("jobId")?);
        let id = params::named(&method, id, job_id)?;
        let Some(Value::Object(patch)) = given.remove("patch") else {
            return Err(params::invalid(&method, "must have required property 'patch'"));
        };
        if let Some(name) = given.keys().next().filter(|_| !later) {
            return Err(params::invalid(&method, format!("at root: unexpected property '{name}'")));
        }
        let fields = params::patched(&method, patch, later)?;
        let (now, config) = (self.now(), self.config.clone());
        let default_agent = self.default_agent().await;
        let job = self
            .db(move |db| {
                let mut job = store::job(db, &id)?.ok_or_else(|| unknown(&id, later))?;
                apply(&method, &mut job, fields, &config, now, default_agent.as_deref())?;
                job.updated_at_ms = now;
                store::save(db, &job)?;
                Ok(job)
            })
            .await?;
        self.told(&job, "updated");
        Ok(Shown(show::job(&job, later)))
    }

    pub(crate) async fn remove(self: Arc<Self>, call: Call, asked: JobId) -> Result<Removed, MethodError> {
        let id = params::named(call.method(), asked.id, asked.job_id)?;
        let removed = self
            .db({
                let id = id.clone();
                move |db| store::remove(db, &id)
            })
            .await?;
        if removed {
            self.tell(&CronEvent { job_id: id, action: "removed", ..CronEvent::default() });
            self.changed.raise();
            // Whoever waits for a run of it that has not begun waits for nothing.
            self.ended.raise();
        }
        Ok(Removed { ok: true, removed })
    }

    pub(crate) async fn run(self: Arc<Self>, call: Call, asked: RunJob) -> Result<Shown, MethodError> {
        let later = is_later(&call)?;
        let id = params::named(call.method(), asked.id, asked.job_id)?;
        let only_due = asked.mode.unwrap_or(if later { RunMode::Force } else { RunMode::Due }) == RunMode::Due;
        let now = self.now();
        let seen = self.ended.seen();
        let asked = self
            .db(move |db| {
                let mut job = store::job(db, &id)?.ok_or_else(|| unknown(&id, later))?;
                if job.state.running_at_ms.is_some() || job.forced_at_ms.is_some() {
                    return Ok(Err("already-running"));
                }
                let due = job.state.next_run_at_ms.filter(|next| job.enabled && *next <= now);
                if only_due && due.is_none() {
                    return Ok(Err("not-due"));
                }
                // A time of its own, also when it was asked for twice within a millisecond.
                let mut time = due.unwrap_or(now);
                while store::run(db, &run_id(&job.id, time))?.is_some() {
                    time += 1;
                }
                job.forced_at_ms = Some(time);
                store::save(db, &job)?;
                Ok(Ok((run_id(&job.id, time), job.id)))
            })
            .await?;
        let (name, id) = match asked {
            Ok(names) => names,
            Err(reason) => return Ok(Shown(json!({ "ok": true, "ran": false, "reason": reason }))),
        };
        self.changed.raise();
        if later {
            let instance = &self.instance;
            return Ok(Shown(json!({ "ok": true, "enqueued": true, "runId": name, "processInstanceId": instance })));
        }
        self.until_ended(&name, &id, seen).await?;
        Ok(Shown(json!({ "ok": true, "ran": true })))
    }

    /// Waits for the end of a run that somebody asked for.
    async fn until_ended(&self, name: &str, id: &str, mut seen: u64) -> Result<(), MethodError> {
        let mut has_begun = false;
        loop {
            let (wanted, id) = (name.to_string(), id.to_string());
            let (run, job) = self.db(move |db| Ok((store::run(db, &wanted)?, store::job(db, &id)?))).await?;
            match (run, job) {
                (Some(run), _) if run.ended_at.is_some() => return Ok(()),
                (Some(_), _) => has_begun = true,
                (None, Some(job)) if job.waits_as(name) => {}
                // It began, and the book has forgotten it since: only what has ended is forgotten.
                (None, Some(_)) => return Ok(()),
                (None, None) if has_begun => return Ok(()),
                (None, None) => {
                    return Err(MethodError::unavailable("Error: the cron job was removed before its run began"));
                }
            }
            if self.stopping.load(Ordering::Acquire) {
                let message = "jobs are being handed over; the run goes on, and cron.runs will tell of it";
                return Err(MethodError::unavailable(message).retryable());
            }
            self.ended.after(seen).await;
            seen = self.ended.seen();
        }
    }

    fn told(&self, job: &Job, action: &'static str) {
        let next_run_at_ms = job.state.next_run_at_ms;
        self.tell(&CronEvent { job_id: job.id.clone(), action, next_run_at_ms, ..CronEvent::default() });
        self.changed.raise();
    }
}

/// Sets what the fields say, and checks the whole.
fn apply(
    method: &str,
    job: &mut Job,
    fields: Fields,
    config: &CronConfig,
    now: u64,
    default_agent: Option<&str>,
) -> Result<(), MethodError> {
    let is_new = job.name.is_empty();
    // A job that was made before the default agent was another one can still be changed otherwise.
    let says_who_hears = fields.agent_id.is_some() || fields.session_target.is_some();
    let (was, was_enabled) = (job.schedule.clone(), job.enabled);
    if let Some(name) = fields.name {
        job.name = name.trim().to_string();
    }
    if let Some(description) = fields.description {
        job.description = description.map(|text| text.trim().to_string()).filter(|text| !text.is_empty());
    }
    if let Some(agent) = fields.agent_id {
        job.agent_id = agent;
    }
    job.enabled = fields.enabled.unwrap_or(job.enabled);
    job.delete_after_run = fields.delete_after_run.or(job.delete_after_run);
    job.wake_mode = fields.wake_mode.unwrap_or(job.wake_mode);
    if let Some(missed) = fields.missed {
        job.missed = missed;
    }
    if let Some(isolation) = fields.isolation {
        (job.isolation, job.posts_to_main) = (Some(isolation), true);
    }
    if let Some(schedule) = fields.schedule {
        job.schedule = schedule;
        job.schedule
            .check(config.min_every_ms, config.time_zone.as_deref())
            .map_err(|why| params::fault(method, why))?;
        if let Schedule::Every { anchor_ms: anchor @ None, .. } = &mut job.schedule {
            *anchor = Some(job.created_at_ms);
        }
    }
    if let Some(payload) = fields.payload {
        job.payload = params::merged(method, (!is_new).then_some(&job.payload), payload)?;
    }
    if let Some(delivery) = fields.delivery {
        job.delivery = params::redirected(method, &job.delivery, delivery)?;
    }
    if let Some(target) = fields.session_target {
        job.session_target = session_target(method, &target, fields.session_key.as_deref())?;
    }
    let said_error = fields.state.as_ref().and_then(|state| state.last_error.as_ref()).map_or(0, String::len);
    check_lengths(method, job, said_error, config)?;
    match (&job.payload, job.session_target.as_str()) {
        (Payload::SystemEvent { .. }, "main") => {}
        (Payload::AgentTurn { .. }, "main") => {
            return Err(MethodError::unavailable(r#"Error: main cron jobs require payload.kind="systemEvent""#));
        }
        (Payload::SystemEvent { .. }, _) => {
            return Err(MethodError::unavailable(r#"Error: isolated cron jobs require payload.kind="agentTurn""#));
        }
        (Payload::AgentTurn { .. }, _) => {}
    }
    if says_who_hears && job.session_target == "main" {
        is_of_default(method, job, default_agent)?;
    }
    if is_new || was != job.schedule || was_enabled != job.enabled {
        job.schedule_from(now, config.time_zone.as_deref());
    }
    if let Some(state) = fields.state {
        // When it runs is for the runs to say.
        let before = &mut job.state;
        before.next_run_at_ms = state.next_run_at_ms.or(before.next_run_at_ms);
        before.last_run_at_ms = state.last_run_at_ms.or(before.last_run_at_ms);
        before.last_status = state.last_status.or(before.last_status);
        before.last_error = state.last_error.or(before.last_error.take());
        before.last_duration_ms = state.last_duration_ms.or(before.last_duration_ms);
    }
    Ok(())
}

fn session_target(method: &str, target: &str, current: Option<&str>) -> Result<String, MethodError> {
    let key = |key: &str| format!("session:{}", key.trim());
    match target.trim() {
        target @ ("main" | "isolated") => Ok(target.to_string()),
        // The session of whoever makes the job, if they say which one that is.
        "current" => Ok(current.map_or_else(|| "isolated".to_string(), key)),
        target if target.strip_prefix("session:").is_some_and(|key| !key.trim().is_empty()) => Ok(target.to_string()),
        _ => Err(params::invalid(method, "at /sessionTarget: must be main, isolated or session:<key>")),
    }
}

fn is_of_default(method: &str, job: &Job, default_agent: Option<&str>) -> Result<(), MethodError> {
    match (job.agent_id.as_deref(), default_agent) {
        (Some(agent), Some(default)) if agent != default => {
            Err(params::invalid(method, format!("at /agentId: {}", only_default_hears(default))))
        }
        _ => Ok(()),
    }
}

/// `said_error`: the length of an error that the client says. Those that runs leave are cut to fit.
fn check_lengths(method: &str, job: &Job, said_error: usize, config: &CronConfig) -> Result<(), MethodError> {
    let (name, text) = (config.max_name_bytes, config.max_text_bytes);
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let (said, model, thinking) = match &job.payload {
        Payload::SystemEvent { text } => (text.len(), 0, 0),
        Payload::AgentTurn { message, model, thinking, .. } => (message.len(), length(model), length(thinking)),
    };
    let rest = serde_json::to_string(&(&job.schedule, &job.delivery, &job.isolation, &job.session_target))?;
    if job.name.is_empty() {
        return Err(params::invalid(method, "at /name: must NOT have fewer than 1 characters"));
    }
    let rows = [
        ("/name", job.name.len(), name, "max_name_bytes"),
        ("/description", length(&job.description), name * 10, "ten times max_name_bytes"),
        ("/payload", said, text, "max_text_bytes"),
        ("/payload/model", model, text, "max_text_bytes"),
        ("/payload/thinking", thinking, text, "max_text_bytes"),
        ("/state/lastError", said_error, config.max_summary_bytes, "max_summary_bytes"),
        ("root", rest.len(), text, "max_text_bytes"),
    ];
    match rows.into_iter().find(|(_, long, most, _)| long > most) {
        Some((place, _, most, key)) => {
            Err(params::invalid(method, format!("at {place}: more than {most} bytes ({key})")))
        }
        None => Ok(()),
    }
}

/// There is no such job, in the words of either version.
fn unknown(id: &str, later: bool) -> MethodError {
    let shown: String = id.chars().take(100).collect();
    let message = format!("unknown cron job id: {shown}");
    let error = if later {
        MethodError::invalid_request(message)
    } else {
        MethodError::unavailable(format!("Error: {message}"))
    };
    error.with_details(json!({ "code": "CRON_JOB_NOT_FOUND", "jobId": shown }))
}

/// A page of version 4, or all rows for clients of version 3, who know no pages unless they ask for one.
fn page<T>(
    name: &str,
    rows: &[T],
    (limit, offset): (Option<u64>, Option<u64>),
    later: bool,
    show: impl Fn(&T) -> Value,
) -> Shown {
    let index = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let limit = match (limit, later) {
        (Some(limit), _) => limit.clamp(1, PAGE_MAX),
        (None, true) => PAGE,
        (None, false) => u64::MAX,
    };
    let offset = offset.unwrap_or(0);
    let shown: Vec<Value> = rows.iter().skip(index(offset)).take(index(limit)).map(show).collect();
    let mut answer = Map::new();
    if later {
        let end = offset.saturating_add(shown.len() as u64);
        let more = end < rows.len() as u64;
        answer.insert("total".to_string(), json!(rows.len()));
        answer.insert("offset".to_string(), json!(offset));
        answer.insert("limit".to_string(), json!(limit));
        answer.insert("hasMore".to_string(), json!(more));
        answer.insert("nextOffset".to_string(), json!(more.then_some(end)));
    }
    answer.insert(name.to_string(), Value::Array(shown));
    Shown(Value::Object(answer))
}
