//! Takes runs in: what was asked is checked, the session is opened, and the run is in the book before it is accepted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use plugin_api::contracts::Part;
use plugin_api::contracts::run::{RunAccepted, RunOutcome, RunRequest};
use plugin_api::{Call, MethodError, Principal};
use schemas::hello::SessionDefaults;
use schemas::scope::ADMIN;
use serde_json::{Map, Value, json};

use crate::Agent;
use crate::attachments;
use crate::book::Accepted;
use crate::deliver::Wish;
use crate::desk::{Known, Run};
use crate::params::AgentParams;
use crate::signal::Signal;

/// What a client's run is called in [`plugin_api::contracts::run::ActiveRun::origin`].
const CLIENT: &str = "client";
/// What an agent is told when somebody begins anew and says nothing else.
const GREETING: &str =
    "A new conversation begins. Greet the person in one or two sentences and ask what they want to do.";

/// A run that is asked for.
pub enum Taken {
    /// It is a new one.
    New(Place),
    /// It was accepted before.
    Known(RunAccepted, Arc<Signal<Arc<RunOutcome>>>),
}

/// A new run, in the book, that does not wait for its turn yet. Dropped, it never will.
pub struct Place {
    agent: Arc<Agent>,
    run: Arc<Run>,
    is_queued: bool,
}

impl Place {
    /// The first answer.
    pub fn accepted(&self) -> RunAccepted {
        accepted(&self.run.accepted)
    }

    /// Lets it wait for its turn.
    pub fn queue(mut self) -> Arc<Run> {
        self.is_queued = true;
        self.agent.desk().queue(&self.run);
        // Somebody may have stopped it before it waited.
        match self.run.stop.get() {
            Some(reason) => {
                self.agent.stop_run(&self.run, &reason);
            }
            None => self.agent.pump(),
        }
        self.run.clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_queued {
            self.agent.desk().end(&self.run);
            let outcome = crate::book::interrupted(&self.run.accepted, None);
            drop(self.agent.book().end(&self.agent.host, &outcome));
            self.run.ended.set(Arc::new(outcome));
        }
    }
}

fn accepted(run: &Accepted) -> RunAccepted {
    RunAccepted {
        run_id: run.run_id.clone(),
        status: "accepted".to_string(),
        accepted_at: run.accepted_at,
        session_key: Some(run.session_key.clone()),
        agent_id: Some(run.agent_id.clone()),
    }
}

/// A run before it has an agent and a session.
struct Asked {
    run_id: String,
    session_key: Option<String>,
    agent_id: Option<String>,
    origin: String,
    content: Vec<Part>,
    extra_system: Option<String>,
    model: Option<String>,
    thinking: Option<String>,
    timeout: Option<Duration>,
    hidden: bool,
    principal: Option<Principal>,
    /// Fields of the session's entry to set.
    set: Map<String, Value>,
    /// Whether the session begins anew.
    resets: bool,
    /// Where the answer shall go out.
    wish: Option<Wish>,
}

impl Agent {
    /// What is known of a run, here or in the book.
    pub async fn known(&self, run_id: &str) -> Result<Option<Arc<Signal<Arc<RunOutcome>>>>, MethodError> {
        let found = self.desk().find(run_id);
        let outcome = match found {
            Some(Known::Active(run)) => return Ok(Some(run.ended.clone())),
            Some(Known::Ended(outcome)) => outcome,
            None => match self.book().look_up(&self.host, run_id).await?.and_then(|entry| entry.outcome) {
                Some(outcome) => Arc::new(outcome),
                None => return Ok(None),
            },
        };
        let ended = Signal::default();
        ended.set(outcome);
        Ok(Some(Arc::new(ended)))
    }

    /// Takes a client's run in.
    pub async fn accept_client(self: &Arc<Self>, call: &Call, params: AgentParams) -> Result<Taken, MethodError> {
        let text = params.message.trim();
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let resets = word.eq_ignore_ascii_case("/new") || word.eq_ignore_ascii_case("/reset");
        if resets && !call.is_admin() {
            return Err(MethodError::missing_scope(ADMIN));
        }
        let message = match (resets, rest.trim()) {
            (false, _) => params.message.clone(),
            (true, "") => GREETING.to_string(),
            (true, rest) => rest.to_string(),
        };
        let wish = Wish::of(&params);
        let content = content(message, params.attachments.as_deref().unwrap_or_default())?;
        for channel in [&params.channel, &params.reply_channel].into_iter().flatten() {
            let name = channel.trim().to_lowercase();
            if !matches!(name.as_str(), "" | "last" | "webchat") && !self.registry.read().await?.has_channel(&name) {
                return Err(invalid(format!("unknown channel: {channel}")));
            }
        }
        let mut set = Map::new();
        for (key, value) in [
            ("label", params.label),
            ("spawnedBy", params.spawned_by),
            ("groupId", params.group_id),
            ("groupChannel", params.group_channel),
            ("space", params.group_space),
        ] {
            if let Some(value) = value.filter(|value| !value.trim().is_empty()) {
                set.insert(key.to_string(), Value::from(value));
            }
        }
        let model = match (params.provider, params.model) {
            (Some(provider), Some(model)) if !model.starts_with(&format!("{provider}/")) => {
                Some(format!("{provider}/{model}"))
            }
            (_, model) => model,
        };
        // A plugin that asks in its own name has no client's rights to lend.
        let is_plugin = call.caller()?.plugin.is_some();
        let principal = if is_plugin { None } else { Some(call.retain()?) };
        let asked = Asked {
            run_id: params.idempotency_key,
            session_key: said(params.session_key),
            agent_id: said(params.agent_id),
            origin: CLIENT.to_string(),
            content,
            extra_system: params.extra_system_prompt,
            model: said(model),
            thinking: said(params.thinking),
            timeout: params.timeout.filter(|seconds| *seconds > 0).map(Duration::from_secs),
            hidden: false,
            principal,
            set,
            resets,
            wish,
        };
        self.take(asked).await
    }

    /// Takes a plugin's run in.
    pub async fn accept_plugin(self: &Arc<Self>, request: RunRequest) -> Result<Taken, MethodError> {
        if request.run_id.trim().is_empty() {
            return Err(MethodError::invalid_request("a run needs a runId"));
        }
        let asked = Asked {
            content: content(request.message, &request.attachments)?,
            run_id: request.run_id,
            session_key: said(request.session_key),
            agent_id: said(request.agent_id),
            origin: request.origin,
            extra_system: request.extra_system_prompt,
            model: said(request.model),
            thinking: said(request.thinking),
            timeout: request.timeout_ms.filter(|ms| *ms > 0).map(Duration::from_millis),
            hidden: request.hidden,
            principal: None,
            set: Map::new(),
            resets: false,
            wish: None,
        };
        self.take(asked).await
    }

    async fn take(self: &Arc<Self>, asked: Asked) -> Result<Taken, MethodError> {
        if let Some(known) = self.joined(&asked).await? {
            return Ok(known);
        }
        let sessions = self.sessions().await?;
        let of_key = asked.session_key.as_deref().and_then(agent_of);
        let named = asked.agent_id.as_deref().or(of_key.as_deref());
        let record = self.record(named).await.map_err(|error| match named {
            Some(id) if error.shape().code == schemas::error::code::INVALID_REQUEST => {
                invalid(format!("unknown agent id \"{id}\""))
            }
            _ => error,
        })?;
        let agent_id = record.agent_id;
        if let (Some(agent), Some(other)) = (&asked.agent_id, &of_key)
            && *other != agent_id
        {
            return Err(invalid(format!("agent \"{agent}\" does not match session key agent \"{other}\"")));
        }
        let spelled_key =
            asked.session_key.clone().unwrap_or_else(|| canonical(&sessions.main_key, Some(&agent_id), sessions));
        let mut key = canonical(&spelled_key, Some(&agent_id), sessions);
        if asked.resets {
            // Who may say it was looked at; the store of sessions need not know who it was.
            self.host.invoke("sessions.reset", &json!({ "key": key })).raw().await?;
        }
        let mut session_id = None;
        if let Some(opened) = self.store.open(&key, &agent_id, asked.set).await? {
            if asked.origin == CLIENT && opened.entry.get("sendPolicy").and_then(Value::as_str) == Some("deny") {
                return Err(MethodError::invalid_request("send blocked by session policy"));
            }
            key = opened.key;
            session_id = Some(opened.session_id).filter(|id| !id.is_empty());
        }
        let run_id = asked.run_id;
        let accepted_at = schemas::now_ms();
        let accepted = Accepted {
            run_id: run_id.clone(),
            session_key: key.clone(),
            session_id,
            agent_id,
            origin: asked.origin,
            accepted_at,
            wish: asked.wish,
        };
        let make = |ended| Run {
            accepted: accepted.clone(),
            spelled_key,
            content: asked.content,
            extra_system: asked.extra_system,
            model: asked.model,
            thinking: asked.thinking,
            timeout: asked.timeout,
            hidden: asked.hidden,
            principal: asked.principal,
            stop: Signal::default(),
            cut: Signal::default(),
            owner: Arc::downgrade(self),
            ended,
            started_at: Default::default(),
        };
        let run = {
            let mut desk = self.desk();
            if self.is_closed.load(Ordering::Acquire) {
                let message = "agents are being stopped; try again in a moment";
                return Err(MethodError::unavailable(message).retryable());
            }
            if let Some(Known::Active(run)) = desk.find(&run_id) {
                // Somebody else was faster since the look before.
                return Ok(Taken::Known(self::accepted(&run.accepted), run.ended.clone()));
            }
            desk.take(&self.config, make, &run_id, &key)?
        };
        let place = Place { agent: self.clone(), run: run.clone(), is_queued: false };
        self.book().accept(&self.host, accepted, &run.content).await?;
        Ok(Taken::New(place))
    }

    /// The run of this id, if it was accepted before.
    async fn joined(&self, asked: &Asked) -> Result<Option<Taken>, MethodError> {
        let found = self.desk().find(&asked.run_id);
        let (run, ended) = match found {
            Some(Known::Active(run)) => (run.accepted.clone(), run.ended.clone()),
            _ => match self.book().look_up(&self.host, &asked.run_id).await? {
                Some(entry) => {
                    let came = self.desk().find(&asked.run_id);
                    if let (Some(Known::Active(run)), true) = (came, entry.accepted.origin == asked.origin) {
                        // It came between the two looks.
                        return Ok(Some(Taken::Known(accepted(&run.accepted), run.ended.clone())));
                    }
                    let Some(outcome) = entry.outcome else {
                        let message = "the run goes on in an instance that was replaced; ask agent.wait for its end";
                        return Err(MethodError::unavailable(message).retryable());
                    };
                    let ended = Signal::default();
                    ended.set(Arc::new(outcome));
                    (entry.accepted, Arc::new(ended))
                }
                None => return Ok(None),
            },
        };
        // A client's key is nobody else's answer, and no plugin's run is joined by guessing its id.
        if run.origin != asked.origin {
            return Err(MethodError::invalid_request("the run's id was used for another run"));
        }
        Ok(Some(Taken::Known(accepted(&run), ended)))
    }
}

fn invalid(why: String) -> MethodError {
    MethodError::invalid_request(format!("invalid agent params: {why}"))
}

fn said(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_string()).filter(|text| !text.is_empty())
}

fn content(message: String, attachments: &[Value]) -> Result<Vec<Part>, MethodError> {
    let mut content = vec![Part::Text { text: message }];
    content.extend(attachments::images(attachments)?);
    Ok(content)
}

/// The agent that a session key names: `agent:<id>:<rest>`.
fn agent_of(key: &str) -> Option<String> {
    let mut parts = key.trim().splitn(3, ':');
    let is_agent = parts.next()?.eq_ignore_ascii_case("agent");
    let id = parts.next()?.trim().to_lowercase();
    let rest = parts.next()?;
    (is_agent && !id.is_empty() && !rest.is_empty()).then_some(id)
}

/// A session key in the spelling that is the same for all: `agent:<id>:<rest>`, or `global`. The store of sessions has the
/// last word on it where there is one.
pub fn canonical(key: &str, agent_id: Option<&str>, sessions: &SessionDefaults) -> String {
    let key = key.trim();
    if let Some(agent) = agent_of(key) {
        let rest = key.splitn(3, ':').nth(2).unwrap_or_default();
        return format!("agent:{agent}:{rest}");
    }
    if key == "global" || key == "unknown" {
        return key.to_string();
    }
    let agent = agent_id.unwrap_or(&sessions.default_agent_id);
    let is_main = key.is_empty() || key == "main" || key == sessions.main_key;
    match (is_main, sessions.scope.as_deref()) {
        (true, Some("global")) => "global".to_string(),
        (true, _) => format!("agent:{agent}:{}", sessions.main_key),
        (false, _) => format!("agent:{agent}:{key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_spelling() {
        let sessions = SessionDefaults::default();
        for (key, agent, canonical_key) in [
            ("main", None, "agent:main:main"),
            ("main", Some("ops"), "agent:ops:main"),
            ("agent:Ops:main", None, "agent:ops:main"),
            ("telegram:group:7", None, "agent:main:telegram:group:7"),
            ("global", Some("ops"), "global"),
        ] {
            assert_eq!(canonical(key, agent, &sessions), canonical_key, "{key}");
        }
        let global = SessionDefaults { scope: Some("global".to_string()), ..sessions };
        assert_eq!(canonical("main", None, &global), "global");
        assert_eq!(agent_of("agent:ops"), None);
    }
}
