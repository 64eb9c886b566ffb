//! Takes runs in: what was asked is checked, the session is opened, and the run is in the book before it is accepted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use plugin_api::contracts::run::{RunAccepted, RunOutcome, RunRequest, status};
use plugin_api::contracts::session::SessionOpened;
use plugin_api::contracts::{Part, keys};
use plugin_api::{Call, MethodError, Principal};
use schemas::scope::ADMIN;
use serde::Deserialize;
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
/// An agent's main session, in the spelling that all gateways know.
const MAIN: &str = "main";
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
    is_settled: bool,
}

impl Place {
    /// The first answer.
    pub fn accepted(&self) -> RunAccepted {
        accepted(&self.run.accepted)
    }

    /// Lets it wait for its turn.
    pub fn queue(mut self) -> Arc<Run> {
        self.is_settled = true;
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

    /// Gives it up as if it had never been asked for; whoever has joined it is told why.
    async fn refuse(mut self, error: &MethodError) {
        let (agent, run) = (self.agent.clone(), self.run.clone());
        if let Err(failure) = agent.book().forget(&agent.host, run.id()).await {
            agent.host.error(&format!("the run {:?}, which was refused, is still in the book: {failure}", run.id()));
        }
        self.is_settled = true;
        agent.desk().end(&run);
        run.ended.set(Arc::new(RunOutcome {
            status: status::ERROR.to_string(),
            error: Some(error.shape().message.clone()),
            error_code: None,
            ..crate::book::interrupted(&run.accepted, None)
        }));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_settled {
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
    /// The connection that wants to be shown its tools.
    watcher: Option<u64>,
}

/// What `sessions.reset` answers, as far as it is looked at.
#[derive(Deserialize)]
struct BegunAnew {
    #[serde(default)]
    entry: Map<String, Value>,
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
        let spawned_by = match said(params.spawned_by) {
            // As lists look for it.
            Some(parent) => Some(self.names().await?.canonical(&parent, None)?.text),
            None => None,
        };
        let mut set = Map::new();
        for (key, value) in [
            ("label", params.label),
            ("spawnedBy", spawned_by),
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
        let caller = call.caller()?;
        let principal = if caller.plugin.is_some() { None } else { Some(call.retain()?) };
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
            watcher: self.wanting.of(call, &caller),
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
            watcher: None,
        };
        self.take(asked).await
    }

    async fn take(self: &Arc<Self>, mut asked: Asked) -> Result<Taken, MethodError> {
        if let Some(known) = self.joined(&asked).await? {
            return Ok(known);
        }
        let agent_id = self.agent_of(&asked).await?;
        let written = asked.session_key.as_deref().unwrap_or(MAIN);
        let mut key = self.names().await?.canonical(written, Some(&agent_id))?.text;
        let mut session_id = None;
        if let Some(opened) = self.open_session(&key, &agent_id, &mut asked).await? {
            key = opened.key;
            session_id = Some(opened.session_id).filter(|id| !id.is_empty());
        }
        // Clients look for their own spelling; where none asked, for the one that lists show.
        let spelled_key = asked.session_key.filter(|_| asked.origin == CLIENT).unwrap_or_else(|| key.clone());
        let (run_id, resets, watcher) = (asked.run_id, asked.resets, asked.watcher);
        let accepted_at = schemas::now_ms();
        let accepted = Accepted {
            run_id: run_id.clone(),
            session_key: key.clone(),
            // One that begins anew is not known yet.
            session_id: session_id.filter(|_| !resets),
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
            is_resetting: AtomicBool::new(resets),
            new_session_id: Default::default(),
            watchers: Default::default(),
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
            let run = desk.take(&self.config, make, &run_id, &key)?;
            if let Some(conn) = watcher {
                desk.all().filter(|other| other.accepted.session_key == key).for_each(|run| run.watchers.add(conn));
            }
            run
        };
        let place = Place { agent: self.clone(), run: run.clone(), is_settled: false };
        self.book().accept(&self.host, accepted, &run.content).await?;
        if resets && let Err(error) = self.begin_anew(&run).await {
            place.refuse(&error).await;
            return Err(error);
        }
        Ok(Taken::New(place))
    }

    /// The agent of a run, by its own word or its session's key.
    async fn agent_of(&self, asked: &Asked) -> Result<String, MethodError> {
        let of_key = asked.session_key.as_deref().and_then(keys::agent_of);
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
        Ok(agent_id)
    }

    /// Opens the session, unless it is closed to those who write; then nothing of it is set either.
    async fn open_session(
        &self,
        key: &str,
        agent_id: &str,
        asked: &mut Asked,
    ) -> Result<Option<SessionOpened>, MethodError> {
        let (is_client, set) = (asked.origin == CLIENT, std::mem::take(&mut asked.set));
        if is_client && !set.is_empty() {
            check_policy(self.store.find(key, agent_id).await?.as_ref())?;
        }
        let opened = self.store.open(key, agent_id, set).await?;
        if is_client {
            check_policy(opened.as_ref())?;
        }
        Ok(opened)
    }

    /// Ends the conversation that the session had, and whatever else runs in it. Comes last, when nothing can refuse the run
    /// any more: what was said is not taken away for nothing.
    async fn begin_anew(&self, run: &Run) -> Result<(), MethodError> {
        // Who may say it was looked at; the store of sessions need not know who it was.
        let reset = self.host.invoke("sessions.reset", &json!({ "key": run.accepted.session_key }));
        let BegunAnew { entry } = reset.send().await?;
        if let Some(id) = entry.get("sessionId").and_then(Value::as_str) {
            let _ = run.new_session_id.set(id.to_string());
        }
        run.is_resetting.store(false, Ordering::Release);
        Ok(())
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

fn check_policy(opened: Option<&SessionOpened>) -> Result<(), MethodError> {
    match opened.and_then(|opened| opened.entry.get("sendPolicy")).and_then(Value::as_str) {
        Some("deny") => Err(MethodError::invalid_request("send blocked by session policy")),
        _ => Ok(()),
    }
}
