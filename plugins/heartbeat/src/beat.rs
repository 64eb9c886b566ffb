//! The beat: when a heartbeat is due, or somebody woke the agent, it is asked once, and what it says is passed on. There
//! is one task, so there are never two at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use plugin_api::contracts::channel::{Deliver, Delivered, LAST, NO_TARGET};
use plugin_api::contracts::run::{ActiveRuns, AgentId, AgentRecord, RunOutcome, RunRequest, RunsOf, is_known, status};
use plugin_api::{InvokeReply, MethodError, NoParams};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answer::{Meaning, meaning};
use crate::{ASKED, ENABLED, Heartbeat, HeartbeatEvent, HeartbeatStatus, Indicator};

/// Those who wake an agent within this are answered together.
const GATHER: Duration = Duration::from_millis(250);
/// Characters of a preview.
const PREVIEW: usize = 200;
/// The session that is asked.
const MAIN: &str = "main";

/// Whether somebody woke the agent.
#[derive(Default)]
pub struct Woken(Mutex<(bool, Option<Waker>)>);

impl Woken {
    /// Somebody did.
    pub fn wake(&self) {
        let waker = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 = true;
            state.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    fn take(&self) -> bool {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Waits until somebody does, or the other is ready; whether it was the first.
    async fn or(&self, other: impl Future<Output = ()>) -> bool {
        let mut other = std::pin::pin!(other);
        std::future::poll_fn(|context| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::take(&mut state.0) {
                return Poll::Ready(true);
            }
            state.1 = Some(context.waker().clone());
            drop(state);
            other.as_mut().poll(context).map(|()| false)
        })
        .await
    }
}

/// What the agent was asked and has taken on, kept until its answer was passed on.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    begun: u64,
    request: RunRequest,
}

/// What came of a beat.
enum Beat {
    /// Nothing that anybody has to hear of.
    Silent,
    /// The agent was busy.
    Busy,
    /// This.
    Told(Box<HeartbeatEvent>),
}

impl Heartbeat {
    pub(crate) async fn beat_on(self: Arc<Self>) {
        // The one before this, which a reload or a crash cut off.
        if let Ok(Some(asked)) = self.host.kv().json::<Asked>(ASKED) {
            match is_known(&self.host, &asked.request.run_id).await {
                true => self.tell(self.answered(&asked, None).await).await,
                false => self.forget_asked().await,
            }
        }
        let mut busy = false;
        loop {
            let wait = if busy { self.config.busy_retry_ms } else { self.config.every_ms };
            let woken = self.woken.or(self.host.sleep(Duration::from_millis(wait))).await;
            if woken {
                self.host.sleep(GATHER).await;
                self.woken.take();
            }
            let was_busy = busy;
            let asked_for = woken || was_busy;
            busy = false;
            match self.beat(asked_for).await {
                Beat::Silent => {}
                Beat::Busy => {
                    busy = asked_for;
                    if !was_busy {
                        self.tell(skipped("requests-in-flight")).await;
                    }
                }
                Beat::Told(event) => self.tell(*event).await,
            }
        }
    }

    async fn tell(&self, event: HeartbeatEvent) {
        if let Err(error) = self.note(event).await {
            self.host.warn(&format!("what a heartbeat brought could not be kept: {error}"));
        }
    }

    async fn beat(&self, asked_for: bool) -> Beat {
        let told = |event| Beat::Told(Box::new(event));
        let enabled = self.host.kv().json(ENABLED).ok().flatten().unwrap_or(true);
        if !enabled {
            return if asked_for { told(skipped("disabled")) } else { Beat::Silent };
        }
        if !self.serves_agents().await {
            return if asked_for { told(skipped("no-agent")) } else { Beat::Silent };
        }
        if !asked_for {
            if self.quiet.as_ref().is_some_and(|hours| hours.hold(schemas::now_ms())) {
                return told(skipped("quiet-hours"));
            }
            if self.is_passed_over().await {
                return Beat::Silent;
            }
        }
        let main = RunsOf { session_key: Some(MAIN.to_string()) };
        match self.host.invoke("agent.runs", &main).send::<ActiveRuns>().await {
            Ok(active) if !active.runs.is_empty() => return Beat::Busy,
            _ => {}
        }
        told(self.ask().await)
    }

    async fn serves_agents(&self) -> bool {
        #[derive(Deserialize)]
        struct Registry {
            methods: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            spec: Named,
        }
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let registry = self.host.invoke("host.registry.list", &NoParams {}).send::<Registry>().await;
        registry.is_ok_and(|registry| registry.methods.iter().any(|entry| entry.spec.name == "agent.run"))
    }

    /// Whether the agent's model is of a backend that is not asked by itself.
    async fn is_passed_over(&self) -> bool {
        let record = self.host.invoke("agents.get", &AgentId::default()).send::<AgentRecord>().await;
        let Ok(record) = record else { return false };
        let backend = record.models.first().and_then(|model| model.split('/').next());
        backend.is_some_and(|backend| self.config.passed_over.iter().any(|passed| passed == backend))
    }

    /// Asks the agent, with all that happened since it was asked last.
    async fn ask(&self) -> HeartbeatEvent {
        let begun = schemas::now_ms();
        let news = self.host.invoke("presence.system-events", &NoParams {}).send::<News>().await.unwrap_or_default();
        let request = RunRequest {
            run_id: format!("heartbeat:{begun}"),
            message: prompt(&self.config.prompt, &news),
            session_key: Some(MAIN.to_string()),
            origin: "heartbeat".to_string(),
            hidden: true,
            ..RunRequest::default()
        };
        self.answered(&Asked { begun, request }, news.last).await
    }

    /// Waits for the agent's answer and passes it on. `news`: how far what happened is told with the question.
    async fn answered(&self, asked: &Asked, news: Option<u64>) -> HeartbeatEvent {
        let begun = asked.begun;
        let outcome = self.run(asked, news).await;
        let mut event = event(HeartbeatStatus::Failed, begun);
        match outcome {
            Ok(outcome) if outcome.status == status::OK => self.pass_on(&outcome.text, &mut event).await,
            Ok(outcome) => {
                event.reason = Some(outcome.error.unwrap_or_else(|| format!("the run ended with {}", outcome.status)));
            }
            Err(error) => event.reason = Some(sentence(&error)),
        }
        event.indicator_type = Some(match event.status {
            HeartbeatStatus::OkEmpty | HeartbeatStatus::OkToken => Indicator::Ok,
            HeartbeatStatus::Failed => Indicator::Error,
            HeartbeatStatus::Sent | HeartbeatStatus::Skipped => Indicator::Alert,
        });
        event.ts = schemas::now_ms();
        event.duration_ms = Some(event.ts.saturating_sub(begun));
        self.forget_asked().await;
        event
    }

    async fn forget_asked(&self) {
        if let Err(error) = self.host.kv().batch().delete(ASKED).write().await {
            self.host.warn(&format!("an answer that nobody waits for will be asked for again: {error}"));
        }
    }

    async fn run(&self, asked: &Asked, news: Option<u64>) -> Result<RunOutcome, MethodError> {
        let mut is_taken = false;
        let mut replies = self.host.invoke("agent.run", &asked.request).replies();
        loop {
            let reply = replies.next().await;
            let takes = !matches!(reply, InvokeReply::Final(Err(_)));
            if takes && !std::mem::replace(&mut is_taken, true) {
                self.taken(asked, news).await;
            }
            if let InvokeReply::Final(result) = reply {
                return Ok(serde_json::from_str(result?.get())?);
            }
        }
    }

    /// The agent has it: whoever comes after this instance waits on for the answer, and what happened counts as read.
    /// Nothing is drained a second time, since numbers begin anew: it could be what nobody has read.
    async fn taken(&self, asked: &Asked, news: Option<u64>) {
        if let Err(error) = self.host.kv().set_json(ASKED, asked).await {
            self.host.warn(&format!("a restart would lose the answer to {}: {error}", asked.request.run_id));
        }
        let Some(through) = news else { return };
        let drained = json!({ "through": through });
        if let Err(error) = self.host.invoke("presence.system-events.drain", &drained).raw().await {
            self.host.warn(&format!("what an agent has read stays to be read again: {error}"));
        }
    }

    async fn pass_on(&self, text: &str, event: &mut HeartbeatEvent) {
        let text = match meaning(text, self.config.ack_max_chars) {
            Meaning::Empty => return well(event, HeartbeatStatus::OkEmpty),
            Meaning::Fine => return well(event, HeartbeatStatus::OkToken),
            Meaning::News(text) => text,
        };
        event.preview = Some(text.chars().take(PREVIEW).collect());
        if self.config.target == "none" {
            event.status = HeartbeatStatus::Skipped;
            event.reason = Some("target-none".to_string());
            event.silent = Some(true);
            return;
        }
        // Whom nobody names is where the main session last spoke. A channel that is named is where somebody else may be.
        let any = self.config.target == LAST;
        let deliver = Deliver {
            channel: Some(self.config.target.clone()),
            to: self.config.to.clone().filter(|_| !any),
            session_key: Some(MAIN.to_string()),
            text: text.to_string(),
            idempotency_key: format!("heartbeat:{}", event.ts),
            ..Deliver::default()
        };
        event.to = deliver.to.clone();
        event.channel = deliver.channel.clone().filter(|_| !any);
        match self.host.invoke("send.deliver", &deliver).send::<Delivered>().await {
            Ok(sent) => {
                event.status = HeartbeatStatus::Sent;
                event.channel = Some(sent.channel);
                event.to = sent.to.or(event.to.take());
            }
            Err(error) if code_of(&error) == Some(NO_TARGET) => {
                event.status = HeartbeatStatus::Skipped;
                event.reason = Some("no-target".to_string());
                event.channel = None;
            }
            Err(error) => event.reason = Some(format!("the answer could not be sent: {}", sentence(&error))),
        }
    }
}

/// What an error is, for programs.
fn code_of(error: &MethodError) -> Option<&str> {
    error.shape().details.as_ref().and_then(|details| details["code"].as_str())
}

/// What happened, as `presence.system-events` answers.
#[derive(Default, Deserialize)]
struct News {
    events: Vec<BTreeMap<String, Value>>,
    #[serde(default)]
    last: Option<u64>,
}

fn prompt(prompt: &str, news: &News) -> String {
    let texts = news.events.iter().filter_map(|event| event.get("text")?.as_str());
    let lines: String = texts.map(|text| format!("System: {text}\n")).collect();
    if lines.is_empty() { prompt.to_string() } else { format!("{lines}\n{prompt}") }
}

fn event(status: HeartbeatStatus, ts: u64) -> HeartbeatEvent {
    HeartbeatEvent {
        ts,
        status,
        to: None,
        preview: None,
        duration_ms: None,
        has_media: None,
        reason: None,
        channel: None,
        silent: None,
        indicator_type: None,
    }
}

fn skipped(reason: &str) -> HeartbeatEvent {
    HeartbeatEvent { reason: Some(reason.to_string()), ..event(HeartbeatStatus::Skipped, schemas::now_ms()) }
}

fn well(event: &mut HeartbeatEvent, status: HeartbeatStatus) {
    event.status = status;
    event.silent = Some(true);
}

/// What an error says, without what only the log shall hold.
fn sentence(error: &MethodError) -> String {
    error.shape().message.clone()
}
