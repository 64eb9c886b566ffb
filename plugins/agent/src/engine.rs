//! How a run goes: it waits for its turn, reads the conversation, asks models, calls tools, and ends once. It belongs to the
//! gateway: whoever started it may go, and asks for the outcome later.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plugin_api::contracts::backend::BackendRun;
use plugin_api::contracts::run::{AgentId, AgentRecord, RunOutcome, status};
use plugin_api::contracts::{Message, Part, Usage, role};
use plugin_api::{MethodError, Principal};
use schemas::error::STOPPING;
use serde_json::{Map, Value, json};

use crate::Agent;
use crate::book::{Accepted, interrupted};
use crate::desk::Run;
use crate::events::Events;
use crate::model::{self, Failure, tool_data};
use crate::signal::{First, first};
use crate::store::{is_unknown, tidy, tool_result};
use crate::tools::{self, Answered, Tool};

/// What an agent is run with when nobody keeps agents.
const FALLBACK_MODEL: &str = "echo/echo";

/// How long a run that is cut short may take to say so.
const CUT: Duration = Duration::from_millis(500);

/// How far a run has come.
#[derive(Default)]
struct Progress {
    /// The conversation.
    session_id: Option<String>,
    /// Whether its message is in the transcript.
    is_written: bool,
    /// Messages of the agent and its tools so far.
    messages: u32,
    /// What the agent said last.
    text: String,
    usage: Usage,
    provider: Option<String>,
    model: Option<String>,
}

/// How a run ended.
enum End {
    Answered,
    Failed(Failure),
    Stopped(String),
    TooLate(Duration),
    /// The gateway stops, and with it what the run needs; or the instance that a reload replaced does.
    CutShort,
}

/// A run's turn. If it ends without an outcome, by a panic say, it ends like a run that failed.
struct Turn {
    agent: Arc<Agent>,
    run: Arc<Run>,
    events: Arc<Events>,
    progress: Arc<Mutex<Progress>>,
    /// Whether it takes the place of one that had no outcome.
    is_second: bool,
}

impl Turn {
    fn new(agent: Arc<Agent>, run: Arc<Run>) -> Self {
        let interval = Duration::from_millis(agent.config.delta_interval_ms);
        let events = Events::new(agent.host.clone(), run.clone(), agent.shared.crowd(), interval);
        Turn { agent, run, events: Arc::new(events), progress: Arc::default(), is_second: false }
    }

    fn end(&self, outcome: RunOutcome) {
        let outcome = Arc::new(outcome);
        {
            let mut desk = self.agent.desk();
            desk.end(&self.run);
            desk.remember(&self.agent.config, outcome.clone());
        }
        self.run.ended.set(outcome);
        self.agent.pump();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.run.ended.get().is_some() {
            return;
        }
        let (agent, run) = (self.agent.clone(), self.run.clone());
        let failure = Failure::new("INTERNAL", "the run failed; the gateway's log has the details");
        let end = End::Failed(failure);
        if !self.is_second {
            let (events, progress, host) = (self.events.clone(), self.progress.clone(), agent.host.clone());
            let second = Turn { agent, run, events, progress, is_second: true };
            host.spawn(async move { second.finish(end).await });
            return;
        }
        // That failed as well, or there is no time for it: nothing can be waited for here.
        let outcome = outcome(&run, &lock(&self.progress), &end, String::new());
        drop(agent.book().end(&agent.host, &outcome));
        self.events.end(&outcome);
        self.end(outcome);
    }
}

impl Agent {
    /// Begins the runs whose turn it is, each in the instance that has it.
    pub fn pump(self: &Arc<Self>) {
        loop {
            let next = self.desk().next(self.config.max_runs);
            let Some(run) = next else { return };
            let agent = run.owner.upgrade().unwrap_or_else(|| self.clone());
            let host = agent.host.clone();
            host.spawn(Turn::new(agent, run).go());
        }
    }

    /// Tells a run to stop; whether nobody had done so before.
    pub fn stop_run(self: &Arc<Self>, run: &Arc<Run>, reason: &str) -> bool {
        let is_new = run.stop.set(reason.to_string());
        let is_waiting = self.desk().withdraw(run);
        if is_waiting {
            let turn = Turn::new(self.clone(), run.clone());
            let reason = reason.to_string();
            self.host.spawn(async move { turn.finish(End::Stopped(reason)).await });
        }
        is_new
    }

    /// Ends a run because its instance stops; whether it was in time.
    pub async fn cut_short(&self, run: &Arc<Run>) -> bool {
        run.cut.set(());
        let is_waiting = self.desk().withdraw(run);
        if let (true, Some(agent)) = (is_waiting, run.owner.upgrade()) {
            Turn::new(agent, run.clone()).finish(End::CutShort).await;
        }
        matches!(first(run.ended.wait(), self.host.sleep(CUT)).await, First::Left(_))
    }

    /// How an agent is run.
    pub async fn record(&self, agent_id: Option<&str>) -> Result<AgentRecord, MethodError> {
        let method = "agents.get";
        let asked = AgentId { agent_id: agent_id.map(str::to_string) };
        match self.host.invoke(method, &asked).send().await {
            Err(error) if is_unknown(&error, method) => {
                let agent_id = match agent_id {
                    Some(id) => id.to_string(),
                    None => self.names().await?.default_agent().to_string(),
                };
                Ok(AgentRecord { agent_id, models: vec![FALLBACK_MODEL.to_string()], ..AgentRecord::default() })
            }
            other => other,
        }
    }
}

impl Turn {
    async fn go(self) {
        let started_at = schemas::now_ms();
        *self.run.started_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(started_at);
        let (host, config) = (&self.agent.host, &self.agent.config);
        self.agent.book().begin(host, self.run.id(), started_at);
        let work = async {
            let record = self.agent.record(Some(&self.run.accepted.agent_id)).await;
            self.events.start(started_at);
            let record = match record {
                Ok(record) => record,
                Err(error) => return failed(Failure::of(&error)),
            };
            let own = self.run.timeout.or(record.timeout_ms.map(Duration::from_millis));
            let longest = Duration::from_millis(config.max_timeout_ms);
            let time = own.unwrap_or(Duration::from_millis(config.timeout_ms)).min(longest);
            match first(self.answer(&record), host.sleep(time)).await {
                First::Left(Ok(())) => End::Answered,
                First::Left(Err(failure)) => failed(failure),
                First::Right(()) => End::TooLate(time),
            }
        };
        let stopped = async {
            match first(self.run.stop.wait(), self.run.cut.wait()).await {
                First::Left(reason) => End::Stopped(reason),
                First::Right(()) => End::CutShort,
            }
        };
        let end = match first(stopped, self.events.keep_telling(work)).await {
            First::Left(end) | First::Right(end) => end,
        };
        self.finish(end).await;
    }

    /// Answers the message.
    async fn answer(&self, record: &AgentRecord) -> Result<(), Failure> {
        let Turn { agent, run, events, .. } = self;
        let (host, config) = (&agent.host, &agent.config);
        let (messages, entry) = self.conversation().await?;
        let read = agent.registry.read().await.unwrap_or_else(|error| {
            host.warn(&format!("the run {:?} has no tools: {error}", run.id()));
            Arc::default()
        });
        let tools = tools::of_agent(&read, record);
        let system = [record.system.as_deref(), run.extra_system.as_deref()];
        let system: Vec<&str> = system.into_iter().flatten().filter(|text| !text.trim().is_empty()).collect();
        let of_session = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_string);
        let chosen = run.model.clone().or_else(|| chosen_model(&entry));
        let mut models = record.models.clone();
        if let Some(chosen) = chosen {
            models.retain(|model| *model != chosen);
            models.insert(0, chosen);
        }
        let mut asked = BackendRun {
            run_id: run.id().to_string(),
            session_key: run.accepted.session_key.clone(),
            agent_id: run.accepted.agent_id.clone(),
            model: None,
            system: (!system.is_empty()).then(|| system.join("\n\n")),
            messages,
            tools: tools.iter().map(|tool| tool.offer.clone()).collect(),
            thinking: run.thinking.clone().or_else(|| of_session("thinkingLevel")).or_else(|| record.thinking.clone()),
            max_tokens: None,
        };
        let mut rounds = 0;
        loop {
            let answer = model::ask(host, config, events, &models, &mut asked).await?;
            let mut message = answer.result.message;
            tools::name_apart(&mut message.content, &asked.messages);
            let text = message.plain_text();
            events.answered(&text);
            message.role = role::ASSISTANT.to_string();
            message.usage = Some(answer.result.usage);
            message.provider = Some(answer.provider.clone());
            message.model = answer.model.clone();
            let set = json!({
                "addTokens": answer.result.usage, "modelProvider": answer.provider, "model": answer.model,
            });
            {
                let mut progress = lock(&self.progress);
                progress.usage = progress.usage.plus(answer.result.usage);
                progress.provider = Some(answer.provider);
                progress.model = answer.model;
                if !text.trim().is_empty() {
                    progress.text = text.trim().to_string();
                }
            }
            let calls: Vec<(String, String, Value)> = message.content.iter().filter_map(tool_call).collect();
            let refused = message.stop_reason.as_deref() == Some("refusal");
            let message = self.write(message, set).await;
            // Something may panic in any run; in this one it does.
            #[cfg(test)]
            assert_ne!(run.id(), crate::tests::STUMBLES, "the test wants it");
            if refused && text.trim().is_empty() {
                return Err(Failure::new("REFUSED", "the model refused to answer"));
            }
            if calls.is_empty() {
                return Ok(());
            }
            rounds += 1;
            if rounds > config.max_tool_rounds {
                let message = format!("the agent asked for tools {rounds} times and came to no end (max_tool_rounds)");
                return Err(Failure::new("TOOL_LOOP", message));
            }
            asked.messages.push(message);
            for (place, (id, name, arguments)) in calls.iter().enumerate() {
                events.tool(tool_data("start", name, id, Some(arguments.clone()), None, false));
                let answered = if place < config.max_tool_calls {
                    self.call_tool(&tools, id, name, arguments).await
                } else {
                    Answered::failed("Too many tools at a time; ask again for fewer.")
                };
                let result = json!({ "content": [{ "type": "text", "text": answered.text }] });
                events.tool(tool_data("result", name, id, None, Some(result), answered.is_error));
                let message = tool_result(id, name, &answered.text, answered.is_error);
                asked.messages.push(self.write(message, json!({})).await);
            }
        }
    }

    async fn call_tool(&self, tools: &[Arc<Tool>], id: &str, name: &str, arguments: &Value) -> Answered {
        // The name is the model's word; only what was offered is called.
        let Some(tool) = tools.iter().find(|tool| tool.offer.name == name) else {
            return Answered::failed(format!("There is no tool \"{name}\"."));
        };
        let config = &self.agent.config;
        let limits = (Duration::from_millis(config.tool_timeout_ms), config.tool_result_bytes);
        let key = format!("{}:{id}", self.run.id());
        let principal: Option<&Principal> = self.run.principal.as_ref();
        tools::call(&self.agent.host, tool, arguments, &key, principal, limits).await
    }

    /// Writes the message into the transcript and gives the conversation, with the session's entry.
    async fn conversation(&self) -> Result<(Vec<Message>, Map<String, Value>), Failure> {
        let (agent, run) = (&self.agent, &self.run);
        let key = &run.accepted.session_key;
        let failed = |error: MethodError| {
            agent.host.warn(&format!("the run {:?} could not use its session: {error}", run.id()));
            Failure::of(&error)
        };
        let message = said(&run.accepted, run.content.clone(), schemas::now_ms());
        let opened = agent.store.open(key, &run.accepted.agent_id, Map::new()).await.map_err(failed)?;
        let Some(opened) = opened else { return Ok((vec![message], Map::new())) };
        let session_id = Some(opened.session_id.clone()).filter(|id| !id.is_empty());
        let verbose = opened.entry.get("verboseLevel").and_then(Value::as_str);
        self.events.conversation(session_id.clone(), matches!(verbose, Some("on" | "full")));
        let appended = agent.store.append(key, session_id.as_deref(), vec![message.clone()], Map::new()).await;
        appended.map_err(failed)?;
        {
            let mut progress = lock(&self.progress);
            progress.session_id = session_id.clone();
            progress.is_written = true;
        }
        let (limit, bytes) = (agent.config.history_messages, agent.config.history_bytes);
        let read = agent.store.transcript(key, session_id.as_deref(), limit, bytes).await.map_err(failed)?;
        let mut messages = tidy(read);
        if messages.is_empty() {
            messages.push(message);
        }
        Ok((messages, opened.entry))
    }

    /// Gives a message of the agent's or of a tool its place, and writes it into the transcript.
    async fn write(&self, mut message: Message, set: Value) -> Message {
        let (session_id, is_written) = {
            let mut progress = lock(&self.progress);
            progress.messages += 1;
            message.id = Some(format!("{}/{}", self.run.id(), progress.messages));
            (progress.session_id.clone(), progress.is_written)
        };
        message.timestamp.get_or_insert_with(schemas::now_ms);
        message.run_id = Some(self.run.id().to_string());
        if is_written {
            let key = &self.run.accepted.session_key;
            let set = set.as_object().cloned().unwrap_or_default();
            let store = &self.agent.store;
            if let Err(error) = store.append(key, session_id.as_deref(), vec![message.clone()], set).await {
                let host = &self.agent.host;
                host.error(&format!("an answer of the run {:?} is not in the transcript: {error}", self.run.id()));
            }
        }
        message
    }

    /// Ends the run: the transcript first, then the book, and then whoever waits.
    async fn finish(&self, end: End) {
        let partial = self.events.said().trim().to_string();
        let stopped = match &end {
            // What is in the transcript stays; the next start adds why there is no more.
            End::Answered | End::CutShort => None,
            End::Failed(failure) => Some(("error", Some(failure.message.clone()))),
            End::Stopped(_) | End::TooLate(_) => Some(("aborted", None)),
        };
        if let Some((stop_reason, error_message)) = stopped
            && lock(&self.progress).is_written
        {
            let content = match stop_reason {
                "aborted" if !partial.is_empty() => vec![Part::Text { text: partial.clone() }],
                _ => Vec::new(),
            };
            if error_message.is_some() || !content.is_empty() {
                let message = Message {
                    role: role::ASSISTANT.to_string(),
                    content,
                    stop_reason: Some(stop_reason.to_string()),
                    error_message,
                    ..Message::default()
                };
                self.write(message, json!({ "abortedLastRun": stop_reason == "aborted" })).await;
            }
        }
        let outcome = outcome(&self.run, &lock(&self.progress), &end, partial);
        let outcome = self.agent.write_end(outcome).await;
        self.events.end(&outcome);
        self.end(outcome);
    }
}

fn failed(failure: Failure) -> End {
    if failure.code.as_deref() == Some(STOPPING) { End::CutShort } else { End::Failed(failure) }
}

/// What was said to the agent, as it stands in the transcript: at most once, because its id says of which run it is.
pub fn said(run: &Accepted, content: Vec<Part>, at: u64) -> Message {
    Message {
        id: Some(format!("{}/user", run.run_id)),
        content,
        timestamp: Some(at),
        run_id: Some(run.run_id.clone()),
        role: role::USER.to_string(),
        ..Message::default()
    }
}

fn lock(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The model that somebody chose for the session.
fn chosen_model(entry: &Map<String, Value>) -> Option<String> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let model = text("modelOverride")?;
    match text("providerOverride") {
        // The provider's own id, which may begin like its name.
        Some(provider) => Some(format!("{provider}/{model}")),
        None => Some(model.to_string()),
    }
}

fn tool_call(part: &Part) -> Option<(String, String, Value)> {
    match part {
        Part::ToolCall { id, name, arguments } => Some((id.clone(), name.clone(), arguments.clone())),
        _ => None,
    }
}

fn outcome(run: &Run, progress: &Progress, end: &End, partial: String) -> RunOutcome {
    let (status, failure, stop_reason) = match end {
        End::Answered => (status::OK, None, None),
        End::Failed(failure) => (status::ERROR, Some(failure.clone()), None),
        End::Stopped(reason) => (status::ABORTED, None, Some(reason.clone())),
        End::CutShort => return interrupted(&run.accepted, run.started_at()),
        End::TooLate(time) => {
            let message = format!("the run took longer than {} seconds and was given up", time.as_secs_f64());
            (status::TIMEOUT, Some(Failure::new("AGENT_TIMEOUT", message)), Some("timeout".to_string()))
        }
    };
    let text = match end {
        End::Stopped(_) | End::TooLate(_) if !partial.is_empty() => partial,
        _ => progress.text.clone(),
    };
    RunOutcome {
        run_id: run.id().to_string(),
        status: status.to_string(),
        session_key: run.accepted.session_key.clone(),
        agent_id: run.accepted.agent_id.clone(),
        text,
        started_at: run.started_at(),
        ended_at: schemas::now_ms(),
        error: failure.as_ref().map(|failure| failure.message.clone()),
        error_code: failure.and_then(|failure| failure.code),
        stop_reason,
        provider: progress.provider.clone(),
        model: progress.model.clone(),
        usage: progress.usage,
    }
}
