//! `clawhost cron`: jobs that run at a time, or again and again. A job is named by its id, a beginning of it, or its name.

use std::collections::HashSet;

use clap::{ArgGroup, Args, Subcommand};
use client::Connection;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::devices::{short, whole};
use crate::cli::Context;
use crate::failure::Failure;
use crate::session::{Question, read};
use crate::show::{Style, Table, ago, clean, span};

/// The plugin that runs jobs.
const PLUGIN: &str = "cron";
const LIST: &str = "cron.list";
/// The most jobs that are asked for at once: all of them may be too much for a frame.
const PAGE: usize = 200;

/// What to do about jobs.
#[derive(Debug, Subcommand)]
pub enum CronCommand {
    /// List the jobs, those that are due next first
    List {
        /// Disabled ones, too
        #[arg(long)]
        all: bool,
    },
    /// Make a job
    Add(AddArgs),
    /// Change a job
    Edit {
        /// The job: its id, a beginning of it, or its name
        job: String,
        #[command(flatten)]
        change: Change,
        /// Its new name
        #[arg(long)]
        name: Option<String>,
    },
    /// Let a job run at its times again
    Enable {
        /// The job: its id, a beginning of it, or its name
        job: String,
    },
    /// Keep a job from running by itself
    Disable {
        /// The job: its id, a beginning of it, or its name
        job: String,
    },
    /// Remove a job
    Rm {
        /// The job: its id, a beginning of it, or its name
        job: String,
    },
    /// Run a job now
    Run {
        /// The job: its id, a beginning of it, or its name
        job: String,
        /// Only if it is due
        #[arg(long)]
        due: bool,
    },
    /// Show what came of a job's last runs
    Runs {
        /// The job: its id, a beginning of it, or its name
        job: String,
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=200))]
        limit: u64,
    },
}

/// Arguments of `cron add`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("when").required(true).args(["at", "in_", "every", "cron"]))]
#[command(group = ArgGroup::new("what").required(true).args(["text", "message"]))]
pub struct AddArgs {
    /// Its name
    name: String,
    #[command(flatten)]
    change: Change,
    /// Remove it when it ran well, if it runs once
    #[arg(long)]
    delete_after_run: bool,
    /// Leave it disabled for now
    #[arg(long)]
    disabled: bool,
}

/// What a job is, or what of it changes.
#[derive(Debug, Args)]
pub struct Change {
    /// Run it once, then: 2026-12-24T18:00:00Z, or with another offset; without one it is UTC
    #[arg(long, value_name = "TIME", group = "schedule")]
    at: Option<String>,
    /// Run it once, after this long: 20m, 2h, 1d
    #[arg(long = "in", value_name = "SPAN", group = "schedule", value_parser = spelled_span)]
    in_: Option<u64>,
    /// Run it again and again, after this long each time: 30m, 2h, 1d
    #[arg(long, value_name = "SPAN", group = "schedule", value_parser = spelled_span)]
    every: Option<u64>,
    /// Run it when this expression fits: minute hour day month weekday
    #[arg(long, value_name = "EXPRESSION", group = "schedule")]
    cron: Option<String>,
    /// The zone of the expression, such as Europe/Berlin; the gateway's if not said
    #[arg(long, value_name = "ZONE", requires = "cron")]
    tz: Option<String>,
    /// Leave this text for the main session
    #[arg(long, group = "does")]
    text: Option<String>,
    /// Have an agent run on this message, in a session of its own
    #[arg(long, group = "does")]
    message: Option<String>,
    /// The agent
    #[arg(long)]
    agent: Option<String>,
    /// The model of its run
    #[arg(long, requires = "message")]
    model: Option<String>,
    /// Send the answer to this person or chat
    #[arg(long, requires = "message")]
    to: Option<String>,
    /// Send the answer through this channel; `last` is the one that was used last
    #[arg(long, requires = "message")]
    channel: Option<String>,
    /// Wake the agent at once
    #[arg(long)]
    wake: bool,
}

impl Change {
    fn fields(&self, now_ms: u64) -> Map<String, Value> {
        let mut fields = Map::new();
        let schedule = match (&self.at, self.in_, self.every, &self.cron) {
            (Some(at), ..) => json!({ "kind": "at", "at": at }),
            (_, Some(span), ..) => json!({ "kind": "at", "atMs": now_ms.saturating_add(span) }),
            (_, _, Some(every), _) => json!({ "kind": "every", "everyMs": every }),
            (_, _, _, Some(expr)) => match &self.tz {
                Some(tz) => json!({ "kind": "cron", "expr": expr, "tz": tz }),
                None => json!({ "kind": "cron", "expr": expr }),
            },
            _ => Value::Null,
        };
        let payload = match (&self.text, &self.message) {
            (Some(text), _) => json!({ "kind": "systemEvent", "text": text }),
            (_, Some(message)) => {
                let mut payload = json!({ "kind": "agentTurn", "message": message });
                if let Some(model) = &self.model {
                    payload["model"] = json!(model);
                }
                payload
            }
            _ => Value::Null,
        };
        let delivery = match (&self.to, &self.channel) {
            (None, None) => Value::Null,
            (to, channel) => {
                let mut delivery = json!({ "mode": "announce" });
                for (name, value) in [("to", to), ("channel", channel)] {
                    if let Some(value) = value {
                        delivery[name] = json!(value);
                    }
                }
                delivery
            }
        };
        let target = match (&self.text, &self.message) {
            (Some(_), _) => json!("main"),
            (_, Some(_)) => json!("isolated"),
            _ => Value::Null,
        };
        let wake = if self.wake { json!("now") } else { Value::Null };
        for (name, value) in [
            ("schedule", schedule),
            ("payload", payload),
            ("delivery", delivery),
            ("sessionTarget", target),
            ("agentId", json!(self.agent)),
            ("wakeMode", wake),
        ] {
            if !value.is_null() {
                fields.insert(name.to_string(), value);
            }
        }
        fields
    }
}

/// Does it.
pub fn run(command: CronCommand, context: &Context) -> Result<(), Failure> {
    let now = schemas::now_ms();
    match command {
        CronCommand::List { all } => {
            let answer = context.with_gateway(async |connection| all_jobs(connection, all).await)?;
            context.print_answer(LIST, &answer, |list: Jobs| Ok(list_text(&list.jobs, context.style, now)))
        }
        CronCommand::Add(args) => {
            let mut job = args.change.fields(now);
            job.insert("name".to_string(), json!(args.name));
            job.insert("enabled".to_string(), json!(!args.disabled));
            job.insert("deleteAfterRun".to_string(), json!(args.delete_after_run));
            let asked = Question::new("cron.add", PLUGIN).with(Value::Object(job));
            context.show(&asked, |job: Job| Ok(format!("made job {}: {}\n", clean(short(&job.id)), due(&job, now))))
        }
        CronCommand::Edit { job, change, name } => {
            let mut patch = change.fields(now);
            if let Some(name) = name {
                patch.insert("name".to_string(), json!(name));
            }
            if patch.is_empty() {
                return Err(Failure::usage(
                    "say what shall change; `clawhost cron edit --help` lists what can".to_string(),
                ));
            }
            update(context, &job, Value::Object(patch), now)
        }
        CronCommand::Enable { job } => update(context, &job, json!({ "enabled": true }), now),
        CronCommand::Disable { job } => update(context, &job, json!({ "enabled": false }), now),
        CronCommand::Rm { job } => ask(context, "cron.remove", &job, json!({}), |done: Removed| match done.removed {
            true => Ok("removed\n".to_string()),
            false => Err(Failure::failed(format!("there is no job {job}"))),
        }),
        CronCommand::Run { job, due } => {
            let mode = json!({ "mode": if due { "due" } else { "force" } });
            ask(context, "cron.run", &job, mode, |run: Ran| {
                Ok(match (run.reason, run.enqueued) {
                    (Some(reason), _) => format!("not run: {}\n", clean(&reason)),
                    (None, Some(true)) => "it runs; `clawhost cron runs` will tell what came of it\n".to_string(),
                    (None, _) => "it has run\n".to_string(),
                })
            })
        }
        CronCommand::Runs { job, limit } => ask(context, "cron.runs", &job, json!({ "limit": limit }), |runs: Runs| {
            Ok(runs_text(&runs.entries, context.style, now))
        }),
    }
}

fn update(context: &Context, typed: &str, patch: Value, now: u64) -> Result<(), Failure> {
    ask(context, "cron.update", typed, json!({ "patch": patch }), |job: Job| {
        Ok(format!("job {}: {}\n", clean(short(&job.id)), due(&job, now)))
    })
}

/// Asks something about one job.
fn ask<T: serde::de::DeserializeOwned>(
    context: &Context,
    method: &str,
    typed: &str,
    mut params: Value,
    render: impl FnOnce(T) -> Result<String, Failure>,
) -> Result<(), Failure> {
    let answer = context.with_gateway(async |connection| {
        let list: Jobs = read(LIST, &all_jobs(connection, true).await?)?;
        params["id"] = json!(pick(&list.jobs, typed)?);
        Question::new(method, PLUGIN).with(params).ask(connection).await
    })?;
    context.print_answer(method, &answer, render)
}

/// The list of all jobs, which is asked for a page after the other.
async fn all_jobs(connection: &Connection, include_disabled: bool) -> Result<Box<RawValue>, Failure> {
    let mut all = All::default();
    loop {
        let params = json!({ "includeDisabled": include_disabled, "limit": PAGE, "offset": all.seen });
        let page: Page = Question::new(LIST, PLUGIN).with(params).ask_for(connection).await?;
        if !all.take(page) {
            return Ok(to_raw_value(&all).expect("what was JSON is serialisable"));
        }
    }
}

fn pick(jobs: &[Job], typed: &str) -> Result<String, Failure> {
    let called: Vec<&str> = jobs.iter().filter(|job| job.name == typed).map(|job| job.id.as_str()).collect();
    match called[..] {
        [only] => Ok(only.to_string()),
        [] => Ok(whole(typed, jobs.iter().map(|job| job.id.as_str()))?.to_string()),
        _ => Err(Failure::usage(format!("{typed} is the name of several jobs: {}", called.join(", ")))),
    }
}

/// A span as people write it: 90s, 30m, 2h, 1d.
fn spelled_span(text: &str) -> Result<u64, String> {
    let units = [('s', 1_000), ('m', 60_000), ('h', 3_600_000), ('d', 86_400_000)];
    let read =
        units.iter().find_map(|(unit, ms)| text.strip_suffix(*unit)?.trim().parse::<u64>().ok()?.checked_mul(*ms));
    read.filter(|ms| *ms > 0).ok_or_else(|| "write it as 90s, 30m, 2h or 1d".to_string())
}

/// Some of the jobs, as they came.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    jobs: Vec<Box<RawValue>>,
    /// Whether there are more; gateways do not say so in protocol 3.
    has_more: Option<bool>,
}

/// All of them, as they came.
#[derive(Default, Serialize)]
struct All {
    jobs: Vec<Box<RawValue>>,
    #[serde(skip)]
    ids: HashSet<String>,
    /// How many rows came: where the next page begins.
    #[serde(skip)]
    seen: usize,
}

impl All {
    /// Takes a page in; whether another one is to be asked for.
    fn take(&mut self, page: Page) -> bool {
        let (rows, before) = (page.jobs.len(), self.jobs.len());
        self.seen += rows;
        for job in page.jobs {
            // One whose time changes meanwhile may come on two pages.
            let is_new = match serde_json::from_str(job.get()) {
                Ok(Job { id, .. }) => self.ids.insert(id),
                Err(_) => true,
            };
            if is_new {
                self.jobs.push(job);
            }
        }
        page.has_more.unwrap_or(rows >= PAGE) && self.jobs.len() > before
    }
}

/// Jobs, as far as they are shown.
#[derive(Deserialize)]
struct Jobs {
    jobs: Vec<Job>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Job {
    id: String,
    name: String,
    enabled: bool,
    schedule: Value,
    payload: Value,
    state: State,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct State {
    next_run_at_ms: Option<u64>,
    running_at_ms: Option<u64>,
    last_run_at_ms: Option<u64>,
    last_status: Option<String>,
}

#[derive(Deserialize)]
struct Runs {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    ts: u64,
    status: Option<String>,
    error: Option<String>,
    summary: Option<String>,
    duration_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Removed {
    removed: bool,
}

#[derive(Deserialize)]
struct Ran {
    reason: Option<String>,
    enqueued: Option<bool>,
}

fn list_text(jobs: &[Job], style: Style, now_ms: u64) -> String {
    if jobs.is_empty() {
        return "there is no job; `clawhost cron add` makes one\n".to_string();
    }
    let mut table = Table::new(&["JOB", "NAME", "WHEN", "NEXT", "LAST", "DOES"]);
    for job in jobs {
        let last = match (job.state.last_run_at_ms, &job.state.last_status) {
            (Some(at), Some(status)) => format!("{status}, {}", ago(at, now_ms)),
            _ => String::new(),
        };
        let does = if job.payload["kind"] == "systemEvent" { "text" } else { "agent" };
        let cells = [short(&job.id).to_string(), job.name.clone(), when(&job.schedule), due(job, now_ms), last];
        table.row(cells.into_iter().chain([does.to_string()]));
    }
    table.render(style)
}

fn runs_text(entries: &[Entry], style: Style, now_ms: u64) -> String {
    if entries.is_empty() {
        return "it has not run yet\n".to_string();
    }
    let mut table = Table::new(&["ENDED", "STATUS", "TOOK", "WHAT CAME OF IT"]);
    for entry in entries {
        table.row([
            ago(entry.ts, now_ms),
            entry.status.clone().unwrap_or_default(),
            entry.duration_ms.map(span).unwrap_or_default(),
            entry.error.clone().or_else(|| entry.summary.clone()).unwrap_or_default(),
        ]);
    }
    table.render(style)
}

fn when(schedule: &Value) -> String {
    let text = |name: &str| schedule[name].as_str().unwrap_or_default();
    match text("kind") {
        "at" => "once".to_string(),
        "every" => format!("every {}", span(schedule["everyMs"].as_u64().unwrap_or(0))),
        _ => format!("{} {}", text("expr"), text("tz")).trim_end().to_string(),
    }
}

fn due(job: &Job, now_ms: u64) -> String {
    match (job.state.running_at_ms, job.state.next_run_at_ms) {
        (Some(since), _) => format!("running since {}", ago(since, now_ms)),
        _ if !job.enabled => "disabled".to_string(),
        (None, Some(next)) if next <= now_ms => "now".to_string(),
        (None, Some(next)) => format!("in {}", span(next - now_ms)),
        (None, None) => "never".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_as_people_write_them() {
        let read = |text| spelled_span(text).ok();
        assert_eq!(
            [read("90s"), read("30m"), read("2h"), read("1d")].map(Option::unwrap),
            [90_000, 1_800_000, 7_200_000, 86_400_000]
        );
        assert_eq!([read("0m"), read("5"), read("m"), read("-1m")], [None; 4]);
    }

    fn page(numbers: std::ops::Range<usize>, has_more: Option<bool>) -> Page {
        let job = |number: usize| to_raw_value(&json!({ "id": number.to_string() })).unwrap();
        Page { jobs: numbers.map(job).collect(), has_more }
    }

    #[test]
    fn pages_are_asked_for_until_there_are_no_more() {
        let mut all = All::default();
        assert!(all.take(page(0..PAGE, None)), "there may be more");
        assert!(all.take(page(PAGE - 1..2 * PAGE - 1, None)), "one came again, with others");
        assert!(!all.take(page(2 * PAGE - 1..2 * PAGE, None)));
        assert_eq!((all.seen, all.jobs.len()), (2 * PAGE + 1, 2 * PAGE));
        let list: Jobs = read(LIST, &to_raw_value(&all).unwrap()).unwrap();
        assert_eq!(list.jobs[2 * PAGE - 1].id, (2 * PAGE - 1).to_string());

        let mut all = All::default();
        assert!(all.take(page(0..2, Some(true))));
        assert!(!all.take(page(0..2, Some(true))), "whoever knows no pages is not asked for ever");
        assert!(!All::default().take(page(0..PAGE, Some(false))));
    }

    #[test]
    fn jobs_are_shown_with_when_they_are_due() {
        let jobs: Vec<Job> = serde_json::from_value(json!([
            { "id": "0123456789abcdef", "name": "news", "enabled": true, "payload": { "kind": "agentTurn" },
              "schedule": { "kind": "every", "everyMs": 1_800_000 },
              "state": { "nextRunAtMs": 120_000, "lastRunAtMs": 0, "lastStatus": "ok" } },
            { "id": "b", "name": "tea", "enabled": false, "payload": { "kind": "systemEvent" },
              "schedule": { "kind": "cron", "expr": "0 9 * * *", "tz": "UTC" }, "state": {} },
        ]))
        .unwrap();
        let squeezed = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            squeezed(list_text(&jobs, Style::plain(), 60_000)),
            "JOB NAME WHEN NEXT LAST DOES 0123456789ab news every 30 min in 1 min ok, 1 min ago agent \
             b tea 0 9 * * * UTC disabled - text",
        );
        assert_eq!(pick(&jobs, "tea").unwrap(), "b");
    }
}
