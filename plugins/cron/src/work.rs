//! What a run does: a text for the main session, or a run of an agent and its answer on its way.

use std::sync::Arc;

use plugin_api::contracts::channel::{Deliver, Delivered, LAST};
use plugin_api::contracts::run::{RunOutcome, RunRequest, is_known, status};
use plugin_api::{InvokeReply, MethodError};
use serde_json::{Value, json};

use crate::job::{Job, Payload, PostMode, WakeMode};
use crate::runner::{Done, INTERRUPTED};
use crate::store::{self, Run};
use crate::{Cron, cut};

/// Characters of a text for the main session when nobody says.
const POSTED: u64 = 8_000;
/// The default agent when nobody says which one it is.
pub(crate) const UNKNOWN_DEFAULT: &str = "main";
/// Characters of the beginning of an answer.
const SUMMARY: usize = 2_000;

impl Cron {
    /// Does it; `again` when it began before and was cut off.
    pub(crate) async fn work(self: &Arc<Self>, job: &Job, run: &Run, again: bool) -> Result<Done, String> {
        match &job.payload {
            Payload::SystemEvent { text } => {
                self.is_heard(job).await?;
                self.post(text, &run.run_id).await.map_err(|error| sentence(&error))?;
                self.wake(job).await;
                Ok(Done { summary: Some(text.clone()), trouble: None })
            }
            Payload::AgentTurn { message, model, thinking, timeout_seconds } => {
                let request = RunRequest {
                    run_id: run.run_id.clone(),
                    message: message.clone(),
                    session_key: Some(self.session(job).await),
                    agent_id: job.agent_id.clone(),
                    origin: "cron".to_string(),
                    model: model.clone(),
                    thinking: thinking.clone(),
                    timeout_ms: timeout_seconds.map(|seconds| seconds.saturating_mul(1_000)),
                    ..RunRequest::default()
                };
                // A run that was refused is one that failed: whoever hears of the one hears of the other.
                let result = match self.ask(request, run, again, job.session_target == "isolated").await {
                    Ok(outcome) if outcome.status == status::OK => Ok(outcome.text.trim().to_string()),
                    Ok(outcome) => {
                        Err(outcome.error.unwrap_or_else(|| format!("the run ended with {}", outcome.status)))
                    }
                    Err(why) => Err(why),
                };
                self.pass_on(job, run, result).await
            }
        }
    }

    /// Has the agent run, or joins the run that it has already.
    async fn ask(&self, request: RunRequest, run: &Run, again: bool, fresh: bool) -> Result<RunOutcome, String> {
        if again && run.accepted && !is_known(&self.host, &run.run_id).await {
            return Err(INTERRUPTED.to_string());
        }
        if fresh && !again {
            // A session that is not there yet has nothing to forget.
            let reset = json!({ "key": request.session_key });
            let _ = self.host.invoke("sessions.reset", &reset).raw().await;
        }
        let mut replies = self.host.invoke("agent.run", &request).replies();
        loop {
            match replies.next().await {
                InvokeReply::Interim(_) => {
                    let name = run.run_id.clone();
                    if let Err(error) = self.db(move |db| store::accepted(db, &name)).await {
                        self.host.warn(&format!("that {} began could not be kept: {error}", run.run_id));
                    }
                }
                InvokeReply::Final(Ok(payload)) => {
                    return serde_json::from_str(payload.get())
                        .map_err(|_| "the agent's answer has another form".to_string());
                }
                InvokeReply::Final(Err(error)) => return Err(sentence(&error)),
            }
        }
    }

    /// The session that a job runs in.
    async fn session(&self, job: &Job) -> String {
        if let Some(key) = job.session_target.strip_prefix("session:") {
            return key.to_string();
        }
        let agent = match &job.agent_id {
            Some(agent) => agent.clone(),
            None => self.default_agent().await.unwrap_or_else(|| UNKNOWN_DEFAULT.to_string()),
        };
        format!("agent:{agent}:cron:{}", job.id)
    }

    /// The agent that is meant when a job names none; nothing if nobody says.
    pub(crate) async fn default_agent(&self) -> Option<String> {
        let list: Result<Value, _> = self.host.invoke("agents.list", &json!({})).send().await;
        list.ok()?["defaultId"].as_str().map(str::to_string)
    }

    /// Whether the agent that a text is for hears of it: the default agent may be another one than when the job was made.
    async fn is_heard(&self, job: &Job) -> Result<(), String> {
        let Some(agent) = job.agent_id.as_deref() else { return Ok(()) };
        match self.default_agent().await {
            Some(default) if default != agent => Err(only_default_hears(&default)),
            _ => Ok(()),
        }
    }

    /// Sends the answer where it is wanted, and tells the main session of it.
    async fn pass_on(&self, job: &Job, run: &Run, result: Result<String, String>) -> Result<Done, String> {
        let mut trouble = None;
        if let Ok(text) = &result
            && job.delivery.is_wanted()
            && !text.is_empty()
            && let Err(why) = self.deliver(job, run, text).await
        {
            let why = format!("the answer could not be sent: {why}");
            trouble = Some((why, job.delivery.best_effort == Some(true)));
        }
        if job.posts_to_main {
            let text = posted(job, &result);
            if let Err(error) = self.post(&text, &run.run_id).await {
                self.host.warn(&format!("the main session does not hear of {}: {error}", run.run_id));
            }
            self.wake(job).await;
        }
        result.map(|text| Done { summary: (!text.is_empty()).then_some(text), trouble })
    }

    /// What the job leaves open is where its agent's main session last spoke.
    async fn deliver(&self, job: &Job, run: &Run, text: &str) -> Result<(), String> {
        let wanted = &job.delivery;
        let deliver = Deliver {
            channel: Some(wanted.channel.clone().unwrap_or_else(|| LAST.to_string())),
            to: wanted.to.clone(),
            session_key: Some(job.agent_id.as_ref().map_or("main".to_string(), |agent| format!("agent:{agent}:main"))),
            text: text.to_string(),
            account_id: wanted.account_id.clone(),
            thread_id: wanted.thread_id.clone(),
            idempotency_key: format!("{}:answer", run.run_id),
            ..Deliver::default()
        };
        let sent = self.host.invoke("send.deliver", &deliver).send::<Delivered>().await;
        sent.map(drop).map_err(|error| sentence(&error))
    }

    /// Leaves a text for the main session, once.
    async fn post(&self, text: &str, key: &str) -> Result<(), MethodError> {
        let text = cut(text, self.config.max_text_bytes);
        let event = json!({ "text": text, "key": key });
        self.host.invoke("presence.system-events.push", &event).raw().await.map(drop)
    }

    /// Asks for a heartbeat at once, if the job wants one. Without heartbeats the text waits for the next run.
    async fn wake(&self, job: &Job) {
        if job.wake_mode != WakeMode::Now {
            return;
        }
        let reason = json!({ "reason": format!("cron:{}", job.id) });
        if let Err(error) = self.host.invoke("heartbeat.wake", &reason).raw().await {
            self.host.warn(&format!("no heartbeat could be asked for: {error}"));
        }
    }
}

/// Heartbeats read texts to one agent, so a text for another one would be told to the wrong one.
pub(crate) fn only_default_hears(default_agent: &str) -> String {
    format!(
        "texts are for the main session of {default_agent}; have another agent run on a message (agentTurn, isolated)"
    )
}

/// What the main session hears of an isolated job.
fn posted(job: &Job, result: &Result<String, String>) -> String {
    let isolation = job.isolation.clone().unwrap_or_default();
    let prefix = isolation.post_to_main_prefix.as_deref().map(str::trim).filter(|prefix| !prefix.is_empty());
    let (name, prefix) = (&job.name, prefix.unwrap_or("Cron"));
    let said = match result {
        Ok(text) if text.is_empty() => "done, without an answer".to_string(),
        Ok(text) => {
            let full = isolation.post_to_main_mode == Some(PostMode::Full);
            let most = if full { usize::MAX } else { SUMMARY };
            let asked = isolation.post_to_main_max_chars.unwrap_or(POSTED);
            let most = most.min(usize::try_from(asked).unwrap_or(usize::MAX));
            text.chars().take(most).collect()
        }
        Err(why) => format!("failed: {why}"),
    };
    format!("{prefix} ({name}): {said}")
}

/// What an error says, without what only the log shall hold.
fn sentence(error: &MethodError) -> String {
    error.shape().message.clone()
}
