//! From `agent` events to `chat` events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use plugin_api::HeardEvent;
use plugin_api::contracts::run::status;
use serde_json::Value;

use crate::event::{ChatEvent, State, error_kind, said};
use crate::params::AgentEvent;
use crate::runs::Ending;
use crate::{AGENT, Chat};

impl Chat {
    /// A run says something.
    pub fn heard(self: &Arc<Self>, event: &HeardEvent<'_>) {
        let event: AgentEvent = match event.payload() {
            Ok(event) => event,
            Err(error) => return self.host.warn(&format!("an event {AGENT} is not understood: {error}")),
        };
        match (event.stream.as_str(), event.text("phase")) {
            ("assistant", _) => self.grew(&event),
            ("lifecycle", Some("start")) => self.started(&event),
            ("lifecycle", Some("end" | "error")) => self.ended(&event),
            _ => {}
        }
    }

    fn started(&self, event: &AgentEvent) {
        // Without a session there is nobody to tell.
        if let Some(key) = &event.session_key {
            let hidden = event.is_heartbeat || event.says("hidden");
            self.runs().started(&event.run_id, key, event.agent_id.as_deref(), event.seq, hidden);
        }
    }

    fn grew(self: &Arc<Self>, event: &AgentEvent) {
        let Some(text) = event.text("text").filter(|_| !event.is_heartbeat) else { return };
        let mut runs = self.runs();
        if let Some(key) = &event.session_key {
            runs.joined(&event.run_id, key, event.agent_id.as_deref());
        }
        let Some((delta, number)) = runs.grew(&event.run_id, text, event.seq) else { return };
        self.emit(&delta);
        drop(runs);
        let (chat, run_id) = (Arc::downgrade(self), event.run_id.clone());
        let (host, moment) = (self.host.clone(), Duration::from_millis(self.config.delta_interval_ms));
        self.host.spawn(async move {
            loop {
                host.sleep(moment).await;
                let Some(chat) = chat.upgrade() else { break };
                let mut runs = chat.runs();
                match runs.moment_over(&run_id, number) {
                    Some(delta) => chat.emit(&delta),
                    None => break,
                }
            }
        });
    }

    pub(crate) fn ended(&self, event: &AgentEvent) {
        let hidden = event.is_heartbeat || event.says("hidden");
        let failed = event.text("phase") == Some("error");
        let how = event.text("status").unwrap_or(if failed { status::ERROR } else { status::OK });
        let error = event.text("error").map(str::to_string);
        let stop_reason = event.text("stopReason").map(str::to_string);
        let told = ChatEvent {
            run_id: event.run_id.clone(),
            session_key: event.session_key.clone().unwrap_or_default(),
            agent_id: event.agent_id.clone(),
            seq: event.seq,
            ..ChatEvent::default()
        };
        let usage = event.data.get("usage").filter(|usage| !usage.is_null()).cloned();
        let (told, ending) = match how {
            status::ABORTED | status::TIMEOUT => {
                let is_timeout = how == status::TIMEOUT;
                let stop_reason = stop_reason.or(Some(if is_timeout { "timeout" } else { "rpc" }.to_string()));
                let ending = match &error {
                    Some(error) if is_timeout => Ending::Failed(error.clone()),
                    _ => Ending::Ok,
                };
                let error_message = error.filter(|_| is_timeout);
                (ChatEvent { state: State::Aborted, stop_reason, error_message, ..told }, ending)
            }
            status::OK if event.says("aborted") => (
                ChatEvent { state: State::Aborted, stop_reason: stop_reason.or(Some("rpc".into())), ..told },
                Ending::Ok,
            ),
            status::OK => {
                let text = event.text("text").map(str::trim).filter(|text| !text.is_empty());
                (ChatEvent { state: State::Final, message: text.map(said), usage, stop_reason, ..told }, Ending::Ok)
            }
            _ => {
                let why = error.unwrap_or_else(|| "the run failed".to_string());
                let error_kind = Some(error_kind(event.data.get("errorCode").and_then(Value::as_str)).to_string());
                let error_message = Some(why.clone());
                (ChatEvent { state: State::Error, error_message, error_kind, usage, ..told }, Ending::Failed(why))
            }
        };
        let mut runs = self.runs();
        if let Some(told) = runs.end(told, hidden, ending, Instant::now()) {
            self.emit(&told);
        }
    }
}
