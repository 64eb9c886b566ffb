//! The `agent` events of one run: numbered from 1, without holes for whoever is shown its tools, the text of an answer no
//! oftener than the configuration says, and less often in a crowd: everybody who may read hears of every run, so many runs
//! that say something at once would be more than anybody reads. Nothing is lost by that: each event has the whole text, and
//! its delta spans what was passed over.

use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::task::Poll;
use std::time::Duration;

use plugin_api::contracts::run::{RunOutcome, status};
use plugin_api::{Host, HostError, Sleep};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::desk::Run;
use crate::shared::Crowd;

/// The event's name.
pub const AGENT: &str = "agent";

/// The pause between two events with text of one run, for each run that says something: all together make at most five
/// thousand of them a second.
const A_SHARE: Duration = Duration::from_micros(200);

/// Payload of the event `agent`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentEvent<'a> {
    /// The run.
    run_id: &'a str,
    /// Number of the event within the run, from 1.
    seq: u64,
    /// `lifecycle`, `assistant` or `tool`.
    stream: &'a str,
    /// When, in milliseconds since the epoch.
    ts: u64,
    /// What happened, by stream.
    data: Value,
    /// The session as whoever started the run spelled it.
    session_key: &'a str,
    /// The agent.
    agent_id: &'a str,
    /// The conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    session_id: Option<&'a str>,
    /// Whether it is a run that clients are spared the chat of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    is_heartbeat: Option<bool>,
}

/// The events of a run.
pub struct Events {
    host: Host,
    run: Arc<Run>,
    crowd: Crowd,
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seq: u64,
    session_id: Option<String>,
    /// Whether tools are told to all.
    verbose: bool,
    /// What the answers before this one said.
    before: String,
    /// What this answer has said so far.
    text: String,
    /// How much of both was told.
    told: String,
    /// Set for a moment after an event with text.
    pause: Option<Sleep>,
    model: Option<(String, Option<String>)>,
}

impl Events {
    /// The events of this run.
    pub fn new(host: Host, run: Arc<Run>, crowd: Crowd, interval: Duration) -> Self {
        let session_id = run.session_id().map(str::to_string);
        Events { host, run, crowd, interval, state: Mutex::new(State { session_id, ..State::default() }) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The conversation as it is now, and whether its tools are told to all.
    pub fn conversation(&self, session_id: Option<String>, verbose: bool) {
        let mut state = self.state();
        state.session_id = session_id;
        state.verbose = verbose;
    }

    fn send(&self, state: &mut State, stream: &str, data: Value) {
        self.send_to(None, state, stream, data);
    }

    /// To these connections alone, or to all.
    fn send_to(&self, conns: Option<&[u64]>, state: &mut State, stream: &str, data: Value) {
        state.seq += 1;
        let event = AgentEvent {
            run_id: self.run.id(),
            seq: state.seq,
            stream,
            ts: schemas::now_ms(),
            data,
            session_key: &self.run.spelled_key,
            agent_id: &self.run.accepted.agent_id,
            session_id: state.session_id.as_deref(),
            is_heartbeat: self.run.hidden.then_some(true),
        };
        let emit = self.host.event(AGENT);
        let sent = match conns {
            Some(conns) => emit.send_to(conns, &event),
            None => emit.send(&event),
        };
        match sent {
            Ok(()) | Err(HostError::Gone) => {}
            Err(error) => self.host.warn(&format!("an event of the run {:?} was not sent: {error}", self.run.id())),
        }
    }

    /// It begins.
    pub fn start(&self, started_at: u64) {
        let data = json!({
            "phase": "start", "startedAt": started_at,
            "origin": self.run.accepted.origin, "hidden": self.run.hidden,
        });
        self.send(&mut self.state(), "lifecycle", data);
    }

    /// Which model answers, told when it changes.
    pub fn model(&self, provider: &str, model: Option<&str>) {
        let mut state = self.state();
        let now = Some((provider.to_string(), model.map(str::to_string)));
        if state.model != now {
            state.model = now;
            self.send(&mut state, "lifecycle", json!({ "phase": "model", "provider": provider, "model": model }));
        }
    }

    /// The answer goes on.
    pub fn text(&self, delta: &str) {
        let mut state = self.state();
        state.text.push_str(delta);
        if state.pause.is_none() {
            self.tell_text(&mut state);
        }
    }

    /// What the answer has said so far.
    pub fn said(&self) -> String {
        self.state().text.clone()
    }

    /// Bytes of text so far.
    pub fn said_bytes(&self) -> usize {
        let state = self.state();
        state.before.len() + state.text.len()
    }

    /// The same without this answer.
    pub fn bytes_before(&self) -> usize {
        self.state().before.len()
    }

    /// The try failed: what it said is taken back.
    pub fn take_back(&self) {
        self.state().text.clear();
    }

    /// The answer is complete, and reads like this; another one may follow.
    pub fn answered(&self, text: &str) {
        let mut state = self.state();
        state.text = text.to_string();
        self.tell_text(&mut state);
        if !state.text.trim().is_empty() {
            let text = std::mem::take(&mut state.text);
            state.before.push_str(text.trim_end());
            state.before.push_str("\n\n");
        }
        state.text.clear();
    }

    fn tell_text(&self, state: &mut State) {
        if state.text.is_empty() {
            return;
        }
        let whole = format!("{}{}", state.before, state.text);
        if whole == state.told {
            return;
        }
        let delta = whole.strip_prefix(&state.told).unwrap_or(&whole);
        let data = json!({ "text": whole, "delta": delta });
        self.send(state, "assistant", data);
        state.told = whole;
        if !self.interval.is_zero() {
            let share = A_SHARE * self.crowd.size() as u32;
            state.pause = Some(self.host.sleep(self.interval.max(share)));
        }
    }

    /// Ends at the end of each pause between two texts, and tells what has come meanwhile. Never ends by itself.
    pub async fn keep_telling<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        std::future::poll_fn(move |context| {
            if let Poll::Ready(value) = work.as_mut().poll(context) {
                return Poll::Ready(value);
            }
            let mut state = self.state();
            while let Some(pause) = &mut state.pause {
                if std::pin::Pin::new(pause).poll(context).is_pending() {
                    break;
                }
                state.pause = None;
                self.tell_text(&mut state);
            }
            Poll::Pending
        })
        .await
    }

    /// A tool, told to all where the session wants it, else to whoever asked to be shown it.
    pub fn tool(&self, data: Value) {
        let mut state = self.state();
        let watchers = self.run.watchers.list();
        if !state.verbose && watchers.is_empty() {
            return;
        }
        // The text before it was said before it.
        self.tell_text(&mut state);
        let chosen = (!state.verbose).then_some(watchers.as_slice());
        self.send_to(chosen, &mut state, "tool", data);
    }

    /// It ended: the last event of the run.
    pub fn end(&self, outcome: &RunOutcome) {
        let mut state = self.state();
        if outcome.status == status::ABORTED {
            self.tell_text(&mut state);
        }
        state.pause = None;
        let failed = outcome.status != status::OK && outcome.status != status::ABORTED;
        let mut data = json!({
            "phase": if failed { "error" } else { "end" },
            "endedAt": outcome.ended_at,
            "status": outcome.status,
            "text": outcome.text,
            "usage": outcome.usage,
            "executionSettled": true,
        });
        let optional = [
            ("startedAt", outcome.started_at.map(Value::from)),
            ("stopReason", outcome.stop_reason.clone().map(Value::from)),
            ("error", outcome.error.clone().map(Value::from)),
            ("errorCode", outcome.error_code.clone().map(Value::from)),
            ("aborted", (outcome.status == status::ABORTED).then_some(Value::Bool(true))),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                data[key] = value;
            }
        }
        self.send(&mut state, "lifecycle", data);
    }
}
