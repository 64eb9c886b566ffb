//! `chat.send` and `chat.abort`.

use std::sync::Arc;
use std::time::Instant;

use plugin_api::contracts::channel::is_stop_word;
use plugin_api::contracts::run::{AbortRuns, Aborted, ActiveRuns, RunsOf};
use plugin_api::contracts::session::{OpenSession, SessionOpened};
use plugin_api::{Call, InvokeReply, MethodError, Reply};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, json};

use crate::params::{Abort, RunState, Said, Say, Stopped};
use crate::runs::{Ending, Found};
use crate::{AGENT, Chat, attachments};

/// Stopped with `chat.abort`.
const BY_CALL: &str = "rpc";
/// Stopped with a word.
const BY_WORD: &str = "stop";

/// The answer of `chat.send` to a message whose run failed before: an error that has a payload as well.
pub fn with_its_error(reply: Reply) -> Reply {
    let Reply::Payload(payload) = reply else { return reply };
    match serde_json::from_str::<RunState>(payload.get()) {
        Ok(RunState { status, summary: Some(why), .. }) if status == "error" => {
            Reply::ErrorWithPayload(MethodError::unavailable(why), payload)
        }
        _ => Reply::Payload(payload),
    }
}

/// Result of `agent.wait`, as far as it is looked at.
#[derive(Deserialize)]
struct Waited {
    status: String,
    #[serde(default)]
    error: Option<String>,
}

impl Chat {
    pub(crate) async fn send(self: Arc<Self>, call: Call, mut say: Say) -> Result<Said, MethodError> {
        let given = say.attachments.take().unwrap_or_default();
        let is_blank = say.message.trim().is_empty();
        let attachments = attachments::checked(given, self.config.max_attachment_bytes)?;
        if is_blank && attachments.is_empty() {
            return Err(MethodError::invalid_request("message or attachment required"));
        }
        self.check_policy(&call, &say.session_key).await?;
        if is_stop_word(&say.message) {
            return Ok(Said::Stopped(self.stop_session(&call, &say.session_key, BY_WORD).await?));
        }
        let run_id = say.idempotency_key.clone();
        match self.runs().begin(&run_id, &say.session_key, Instant::now()) {
            Found::New => {}
            Found::Running => return Ok(run_state(run_id, "in_flight", None)),
            Found::Ended(Ending::Ok) => return Ok(run_state(run_id, "ok", None)),
            Found::Ended(Ending::Failed(why)) => return Ok(run_state(run_id, "error", Some(why))),
            Found::Full => {
                return Err(MethodError::unavailable("too many runs are followed already (max_runs)").retryable());
            }
        }
        let entry = Entry { chat: &self, run_id: &run_id, is_kept: false };
        // This plugin may have been started anew since.
        if let Some(state) = self.outcome_of_before(&call, &run_id).await {
            return Ok(state);
        }
        self.start(&call, say, attachments, entry).await
    }

    async fn start(
        &self,
        call: &Call,
        say: Say,
        attachments: Vec<serde_json::Value>,
        mut entry: Entry<'_>,
    ) -> Result<Said, MethodError> {
        let run_id = say.idempotency_key.clone();
        let is_command = say.message.starts_with('/');
        // An agent is told something in any case; a blank says that only what is attached counts.
        let message = if say.message.is_empty() { " ".to_string() } else { say.message };
        let mut params = json!({ "message": message, "sessionKey": say.session_key, "idempotencyKey": run_id });
        if let Some(thinking) = say.thinking.filter(|level| !level.is_empty() && !is_command) {
            params["thinking"] = json!(thinking);
        }
        if let Some(deliver) = say.deliver {
            params["deliver"] = json!(deliver);
        }
        if !attachments.is_empty() {
            params["attachments"] = json!(attachments);
        }
        if let Some(limit) = say.timeout_ms.filter(|limit| *limit > 0) {
            params["timeout"] = json!(limit.div_ceil(1000));
        }
        let mut replies = call.invoke(AGENT, &params).replies();
        match replies.next().await {
            InvokeReply::Interim(_) => {}
            // It is no news to `agent`, and it has no more to say.
            InvokeReply::Final(Ok(payload)) => return Ok(run_state(run_id, known_status(&payload), None)),
            InvokeReply::Final(Err(error)) => return Err(error),
        }
        entry.is_kept = true;
        // From here on the run is the agent's: it goes on when nobody waits for the final answer, and events tell of it.
        let stop = self.runs().accepted(&run_id);
        if let Some(why) = stop {
            let runs = AbortRuns { run_id: Some(run_id.clone()), stop_reason: Some(why), ..AbortRuns::default() };
            self.stop(call, runs, BY_CALL).await?;
        }
        Ok(run_state(run_id, "started", None))
    }

    pub(crate) async fn abort(self: Arc<Self>, call: Call, params: Abort) -> Result<Stopped, MethodError> {
        let Abort { session_key, run_id } = params;
        let Some(run_id) = run_id else { return self.stop_session(&call, &session_key, BY_CALL).await };
        let starting = self.runs().stop_starting(&session_key, Some(&run_id), BY_CALL);
        if !starting.is_empty() {
            return Ok(Stopped::of(starting));
        }
        let all: ActiveRuns = own(&call, "agent.runs", &RunsOf::default()).await?;
        let Some(run) = all.runs.into_iter().find(|run| run.run_id == run_id) else {
            return Ok(Stopped::of(Vec::new()));
        };
        if run.spelled_key != session_key && run.session_key != session_key {
            let of_session = RunsOf { session_key: Some(session_key) };
            let same: ActiveRuns = own(&call, "agent.runs", &of_session).await?;
            if same.runs.iter().all(|run| run.run_id != run_id) {
                return Err(MethodError::invalid_request("runId does not match sessionKey"));
            }
        }
        let runs = AbortRuns { run_id: Some(run_id), stop_reason: Some(BY_CALL.into()), ..AbortRuns::default() };
        Ok(Stopped::of(self.stop(&call, runs, BY_CALL).await?))
    }

    async fn stop_session(&self, call: &Call, session_key: &str, why: &str) -> Result<Stopped, MethodError> {
        let starting = self.runs().stop_starting(session_key, None, why);
        let runs = AbortRuns {
            session_key: Some(session_key.to_string()),
            stop_reason: Some(why.to_string()),
            ..AbortRuns::default()
        };
        let mut stopped = self.stop(call, runs, why).await?;
        let new: Vec<String> = starting.into_iter().filter(|id| !stopped.contains(id)).collect();
        stopped.extend(new);
        Ok(Stopped::of(stopped))
    }

    /// Has runs stopped, and tells it at once: they may take a moment, and what they still say counts no more.
    async fn stop(&self, call: &Call, runs: AbortRuns, why: &str) -> Result<Vec<String>, MethodError> {
        let why = runs.stop_reason.clone().unwrap_or_else(|| why.to_string());
        let aborted: Aborted = own(call, "agent.abort", &runs).await?;
        let mut book = self.runs();
        for run_id in &aborted.run_ids {
            if let Some(event) = book.stopped(run_id, &why, Instant::now()) {
                self.emit(&event);
            }
        }
        Ok(aborted.run_ids)
    }

    /// A session may be closed to those who write. One that is not there yet is open.
    async fn check_policy(&self, call: &Call, key: &str) -> Result<(), MethodError> {
        let open = OpenSession { key: key.to_string(), agent_id: None, create: false, set: Map::new() };
        match own::<SessionOpened>(call, "session.store.open", &open).await {
            Ok(opened) if opened.entry.get("sendPolicy").is_some_and(|policy| policy == "deny") => {
                Err(MethodError::invalid_request("send blocked by session policy"))
            }
            // Whoever runs the agent looks again, and says what is wrong with the key.
            _ => Ok(()),
        }
    }

    async fn outcome_of_before(&self, call: &Call, run_id: &str) -> Option<Said> {
        let params = json!({ "runId": run_id, "timeoutMs": 0 });
        let waited: Waited = own(call, "agent.wait", &params).await.ok()?;
        match waited.status.as_str() {
            "timeout" => None,
            "error" => {
                let why = waited.error.unwrap_or_else(|| "the run failed".to_string());
                Some(run_state(run_id.to_string(), "error", Some(why)))
            }
            _ => Some(run_state(run_id.to_string(), "ok", None)),
        }
    }
}

/// A run in the book, which is taken out again unless `agent` takes it, also when the call ends meanwhile.
struct Entry<'a> {
    chat: &'a Chat,
    run_id: &'a str,
    is_kept: bool,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.chat.runs().forget(self.run_id);
        }
    }
}

fn run_state(run_id: String, status: &str, summary: Option<String>) -> Said {
    Said::Run(RunState { run_id, status: status.to_string(), summary })
}

/// What a final answer of `agent` that comes first says of a run that was started before.
fn known_status(payload: &RawValue) -> &'static str {
    match serde_json::from_str::<Waited>(payload.get()) {
        Ok(known) if known.status == "accepted" => "in_flight",
        _ => "ok",
    }
}

/// Asks another plugin in this one's own name, on account of this call.
pub async fn own<T: serde::de::DeserializeOwned>(
    call: &Call,
    method: &str,
    params: &impl serde::Serialize,
) -> Result<T, MethodError> {
    call.invoke(method, params).with_own_grants().send().await
}
