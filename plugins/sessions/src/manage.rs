//! Ending conversations: `sessions.reset`, `sessions.delete`, `sessions.compact`, and `sessions.abort`, which stops what
//! runs. What is taken from a transcript is kept under another name.

use std::sync::Arc;
use std::time::Duration;

use database::Answer;
use database::rusqlite::Connection;
use plugin_api::contracts::run::{AbortRuns, Aborted};
use plugin_api::{Call, MethodError, lenient};
use schemars::JsonSchema;
use schemas::scope::ADMIN;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Sessions;
use crate::keys::Key;
use crate::store::sessions::{self, Session, TOKENS};
use crate::store::transcripts;

pub const ABORT: &str = "agent.abort";
/// How long runs have to stop.
const TO_STOP: Duration = Duration::from_secs(15);
/// How long the answer to that may take beyond it.
const TO_ANSWER: Duration = Duration::from_secs(5);
/// Messages that stay when nobody says.
const KEPT: u64 = 400;

/// Parameters of `sessions.reset`. From `agentId` on they are of protocol 4.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResetParams {
    /// The session, in any spelling.
    #[schemars(length(min = 1))]
    key: String,
    /// The agent of a key that names none.
    #[serde(default)]
    agent_id: Option<String>,
    /// `new` or `reset`; it makes no difference.
    #[serde(default)]
    #[expect(dead_code, reason = "clients send it")]
    reason: Option<String>,
    /// Only if this is still its conversation.
    #[serde(default)]
    expected_session_id: Option<String>,
}

/// Result of `sessions.reset`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ResetDone {
    /// Always true.
    ok: bool,
    /// The session, in its canonical spelling.
    key: String,
    /// Its entry.
    entry: Map<String, Value>,
}

/// Parameters of `sessions.delete`. From `agentId` on they are of protocol 4.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteParams {
    /// The session, in any spelling.
    #[schemars(length(min = 1))]
    key: String,
    /// Whether its transcript is archived, which it is unless said; else it keeps its name.
    #[serde(default)]
    delete_transcript: Option<bool>,
    /// The agent of a key that names none.
    #[serde(default)]
    agent_id: Option<String>,
    /// Only if this is still its conversation.
    #[serde(default)]
    expected_session_id: Option<String>,
    /// Only if it was put away before.
    #[serde(default)]
    archived_only: Option<bool>,
}

/// Result of `sessions.delete`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Deleted {
    /// Always true.
    ok: bool,
    /// The session, in its canonical spelling.
    key: String,
    /// Whether there was one.
    deleted: bool,
    /// Names under which transcripts are kept.
    archived: Vec<String>,
}

/// Parameters of `sessions.compact`. From `agentId` on they are of protocol 4.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompactParams {
    /// The session, in any spelling.
    #[schemars(length(min = 1))]
    key: String,
    /// Messages that stay, 400 unless said.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991u64))]
    max_lines: Option<u64>,
    /// The agent of a key that names none.
    #[serde(default)]
    agent_id: Option<String>,
}

/// Result of `sessions.compact`.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Compacted {
    /// Always true.
    ok: bool,
    /// The session, in its canonical spelling.
    key: String,
    /// Whether anything was taken away.
    compacted: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Messages that stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<u64>,
    /// Where the others are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    archived: Option<String>,
}

/// Parameters of `sessions.abort`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AbortParams {
    /// The session, in any spelling.
    #[serde(default)]
    #[schemars(length(min = 1))]
    key: Option<String>,
    /// One of its runs; all when absent.
    #[serde(default)]
    #[schemars(length(min = 1))]
    run_id: Option<String>,
    /// The agent of a key that names none.
    #[serde(default)]
    agent_id: Option<String>,
}

/// Result of `sessions.abort`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AbortDone {
    /// Always true.
    ok: bool,
    /// The run that was told to stop, the first of several.
    aborted_run_id: Option<String>,
    /// `aborted` or `no-active-run`.
    status: &'static str,
}

impl Sessions {
    pub(crate) async fn reset(self: Arc<Self>, call: Call, params: ResetParams) -> Result<ResetDone, MethodError> {
        let key = self.names().await?.canonical(&params.key, params.agent_id.as_deref())?;
        self.check_expected(&key, params.expected_session_id.as_deref()).await?;
        self.stop_runs(&call, params.key.trim(), &key.text).await?;
        let (session, _) = self.with_room(|| self.begin_anew(&key, params.expected_session_id.as_deref())).await?;
        let entry = session.shown_entry();
        Ok(ResetDone { ok: true, key: session.key, entry })
    }

    /// Begins another conversation in a session, if it is in the expected one; how many archives were removed for it.
    fn begin_anew(&self, key: &Key, expected: Option<&str>) -> Answer<(Session, u64)> {
        let (room, archives, watch, host) = (self.room(), self.archives(), self.watch.clone(), self.host.clone());
        let (key, expected) = (key.clone(), expected.map(str::to_string));
        let job = move |db: &Connection| {
            let now = schemas::now_ms();
            let (mut session, is_new) = sessions::find_or_make(db, &key, room, now)?;
            is_expected(&session, expected.as_deref())?;
            if !is_new {
                let over = std::mem::replace(&mut session.session_id, uuid::Uuid::new_v4().to_string());
                transcripts::archive(db, &over, &format!("{over}.reset.{now}"), now)?;
                transcripts::begin(db, &session.session_id, &session.key, now)?;
            }
            for count in TOKENS {
                session.entry.insert(count.to_string(), json!(0));
            }
            for field in ["systemSent", "abortedLastRun"] {
                if session.entry.contains_key(field) {
                    session.entry.insert(field.to_string(), json!(false));
                }
            }
            session.updated_at = now;
            sessions::save(db, &session, room)?;
            let removed = transcripts::prune(db, archives)?;
            Ok((session, removed))
        };
        let after = move |(session, removed): &(Session, u64)| {
            watch.changed(&session.key, &session.agent_id, "reset");
            tell_of_removed(&host, *removed);
        };
        self.store.transaction_then(&self.host, job, after)
    }

    pub(crate) async fn delete(self: Arc<Self>, call: Call, params: DeleteParams) -> Result<Deleted, MethodError> {
        let archived_only = params.archived_only == Some(true);
        if !archived_only && !call.is_admin() && call.caller()?.plugin.is_none() {
            return Err(MethodError::missing_scope(ADMIN));
        }
        let names = self.names().await?;
        let key = names.canonical(&params.key, params.agent_id.as_deref())?;
        if key == names.main() {
            return Err(MethodError::invalid_request(format!("Cannot delete the main session ({}).", key.text)));
        }
        if archived_only {
            // Looked at first, too: what runs in a session that is in use is not to be stopped for this.
            let text = key.text.clone();
            let found = self.store.read(&self.host, move |db| sessions::find(db, &text)).await?;
            found.as_ref().map_or(Ok(()), is_put_away)?;
        }
        self.check_expected(&key, params.expected_session_id.as_deref()).await?;
        self.stop_runs(&call, params.key.trim(), &key.text).await?;
        let keeps_name = params.delete_transcript == Some(false);
        let (archives, watch, host, agent_id) =
            (self.archives(), self.watch.clone(), self.host.clone(), key.agent_id.clone());
        let text = key.text.clone();
        let job = move |db: &Connection| {
            let Some(session) = sessions::find(db, &text)? else {
                return Ok((Deleted { ok: true, key: text, deleted: false, archived: Vec::new() }, 0));
            };
            is_expected(&session, params.expected_session_id.as_deref())?;
            if archived_only {
                is_put_away(&session)?;
            }
            let now = schemas::now_ms();
            sessions::remove(db, &session.key)?;
            let id = &session.session_id;
            let total = transcripts::find(db, &session.key, id)?.map_or(0, |conversation| conversation.total);
            let name = if keeps_name { id.clone() } else { format!("{id}.deleted.{now}") };
            transcripts::archive(db, id, &name, now)?;
            let removed = transcripts::prune(db, archives)?;
            let archived = if keeps_name || total == 0 { Vec::new() } else { vec![name] };
            Ok((Deleted { ok: true, key: session.key, deleted: true, archived }, removed))
        };
        let after = move |(deleted, removed): &(Deleted, u64)| {
            if deleted.deleted {
                watch.changed(&deleted.key, &agent_id, "delete");
            }
            tell_of_removed(&host, *removed);
        };
        let (deleted, _) = self.store.transaction_then(&self.host, job, after).await?;
        Ok(deleted)
    }

    pub(crate) async fn compact(self: Arc<Self>, _: Call, params: CompactParams) -> Result<Compacted, MethodError> {
        let key = self.names().await?.canonical(&params.key, params.agent_id.as_deref())?;
        let keep = params.max_lines.unwrap_or(KEPT);
        let (room, archives, watch, host, agent_id) =
            (self.room(), self.archives(), self.watch.clone(), self.host.clone(), key.agent_id.clone());
        let job = move |db: &Connection| {
            let nothing = || Compacted { ok: true, key: key.text.clone(), ..Compacted::default() };
            let because = |reason| Ok((Compacted { reason: Some(reason), ..nothing() }, 0));
            let Some(mut session) = sessions::find(db, &key.text)? else { return because("no sessionId") };
            let found = transcripts::find(db, &key.text, &session.session_id)?;
            let Some(conversation) = found.filter(|conversation| conversation.total > 0) else {
                return because("no transcript");
            };
            if conversation.total <= keep {
                return Ok((Compacted { kept: Some(conversation.total), ..nothing() }, 0));
            }
            let now = schemas::now_ms();
            let name = format!("{}.bak.{now}.{}", session.session_id, uuid::Uuid::new_v4().simple());
            let kept = transcripts::compact(db, &conversation, keep, &name, now)?;
            TOKENS.into_iter().for_each(|count| drop(session.entry.remove(count)));
            session.updated_at = now;
            sessions::save(db, &session, room)?;
            let removed = transcripts::prune(db, archives)?;
            Ok((Compacted { compacted: true, kept: Some(kept), archived: Some(name), ..nothing() }, removed))
        };
        let after = move |(compacted, removed): &(Compacted, u64)| {
            if compacted.compacted {
                watch.changed(&compacted.key, &agent_id, "compact");
            }
            tell_of_removed(&host, *removed);
        };
        let (compacted, _) = self.store.transaction_then(&self.host, job, after).await?;
        Ok(compacted)
    }

    pub(crate) async fn abort(self: Arc<Self>, call: Call, params: AbortParams) -> Result<AbortDone, MethodError> {
        if params.key.is_none() && params.run_id.is_none() {
            return Err(MethodError::invalid_request("key or runId is required"));
        }
        let session_key = match &params.key {
            Some(key) => Some(self.names().await?.canonical(key, params.agent_id.as_deref())?.text),
            None => None,
        };
        let abort = AbortRuns { run_id: params.run_id, session_key, stop_reason: Some("rpc".to_string()), wait_ms: 0 };
        let aborted = ask_to_stop(&call, &abort).await?;
        let status = if aborted.run_ids.is_empty() { "no-active-run" } else { "aborted" };
        Ok(AbortDone { ok: true, aborted_run_id: aborted.run_ids.into_iter().next(), status })
    }

    /// Refuses what is meant for another conversation before anything is stopped for it.
    async fn check_expected(&self, key: &Key, expected: Option<&str>) -> Result<(), MethodError> {
        if expected.is_none() {
            return Ok(());
        }
        let text = key.text.clone();
        let found = self.store.read(&self.host, move |db| sessions::find(db, &text)).await?;
        found.map_or(Ok(()), |session| is_expected(&session, expected))
    }

    /// Stops what runs in a session, and waits for that.
    async fn stop_runs(&self, call: &Call, written: &str, key: &str) -> Result<(), MethodError> {
        let abort = AbortRuns {
            session_key: Some(key.to_string()),
            stop_reason: Some("rpc".to_string()),
            wait_ms: TO_STOP.as_millis() as u64,
            ..AbortRuns::default()
        };
        let active = || {
            MethodError::unavailable(format!("Session {written} is still active; try again in a moment.")).retryable()
        };
        match ask_to_stop(call, &abort).await {
            Ok(aborted) if aborted.still_running.is_empty() => Ok(()),
            Ok(_) => Err(active()),
            Err(error) => Err(active().log(error)),
        }
    }
}

/// Asks whoever runs agents; where nobody does, nothing runs.
async fn ask_to_stop(call: &Call, abort: &AbortRuns) -> Result<Aborted, MethodError> {
    match call.invoke(ABORT, abort).with_own_grants().timeout(TO_STOP + TO_ANSWER).send::<Aborted>().await {
        Err(error) if error.shape().message == format!("unknown method: {ABORT}") => Ok(Aborted::default()),
        other => other,
    }
}

fn is_expected(session: &Session, expected: Option<&str>) -> Result<(), MethodError> {
    if expected.is_some_and(|expected| expected != session.session_id) {
        let why = format!("Session {} has begun another conversation.", session.key);
        return Err(MethodError::invalid_request(why).with_details(json!({ "code": "SESSION_CHANGED" })));
    }
    Ok(())
}

fn is_put_away(session: &Session) -> Result<(), MethodError> {
    if session.entry.get("archived") == Some(&Value::Bool(true)) {
        return Ok(());
    }
    Err(MethodError::invalid_request(format!("Session {} is not archived.", session.key)))
}

/// Nothing goes without a word: the operator can read what the limit on archives cost.
pub fn tell_of_removed(host: &plugin_api::Host, removed: u64) {
    if removed > 0 {
        host.info(&format!("the oldest {removed} archived transcripts were removed (archives, program_archives)"));
    }
}
