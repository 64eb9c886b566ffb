//! Jobs in a made-up gateway: virtual time for what waits, and a clock of the test's own for what day it is.

mod asked;
mod once;
mod times;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plugin_kit::{Harness, Running, StubCall, Who};
use serde_json::{Value, json};

use super::Cron;

/// 2026-01-15T12:00:00Z
pub const NOON: u64 = 1_768_478_400_000;
pub const MINUTE: u64 = 60_000;
pub const HOUR: u64 = 60 * MINUTE;

static CLOCKS: Mutex<Vec<Arc<AtomicU64>>> = Mutex::new(Vec::new());

/// What this clock shows.
pub fn clock(number: usize) -> u64 {
    CLOCKS.lock().unwrap()[number].load(Ordering::SeqCst)
}

/// A gateway of the test's, its clock, and the questions to agents that are not answered yet.
pub struct Bench {
    pub cron: Running,
    pub clock: Arc<AtomicU64>,
    pub agent: Arc<Mutex<Vec<StubCall>>>,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(json!({}), NOON, None, |harness| harness)
    }

    /// With this configuration, at this time, in a folder as another one stands.
    pub fn with(mut config: Value, now: u64, folder: Option<&Path>, more: impl FnOnce(Harness) -> Harness) -> Self {
        let clock = Arc::new(AtomicU64::new(now));
        let number = {
            let mut clocks = CLOCKS.lock().unwrap();
            clocks.push(clock.clone());
            clocks.len() - 1
        };
        config["test_clock"] = json!(number);
        config["time_zone"] = config.get("time_zone").cloned().unwrap_or(json!("UTC"));
        let agent: Arc<Mutex<Vec<StubCall>>> = Arc::default();
        let kept = agent.clone();
        let mut harness = Harness::new::<Cron>()
            .config(config)
            .answer("presence.system-events.push", json!({ "queued": true }))
            .answer("heartbeat.wake", json!({ "ok": true }))
            .answer("sessions.reset", json!({ "ok": true }))
            .answer("agents.list", json!({ "defaultId": "ops" }))
            .answer_with("agent.run", move |call| kept.lock().unwrap().push(call));
        if let Some(folder) = folder {
            harness = harness.data_of(folder);
        }
        let cron = more(harness).start();
        cron.settle();
        Bench { cron, clock, agent }
    }

    pub fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    /// Time goes on, in steps in which the plugin looks at the clock.
    pub fn pass(&self, ms: u64) {
        let mut left = ms;
        while left > 0 {
            let step = left.min(10_000);
            self.clock.fetch_add(step, Ordering::SeqCst);
            self.cron.advance(Duration::from_millis(step));
            left -= step;
        }
        self.cron.settle();
    }

    /// The clock shows another time at once, as after a sleep of the machine.
    pub fn jump(&self, now: u64) {
        self.clock.store(now, Ordering::SeqCst);
        self.cron.advance(Duration::from_secs(31));
        self.cron.settle();
    }

    pub fn add(&self, job: Value) -> Value {
        self.cron.call("cron.add", job).payload()
    }

    /// A job that leaves a text, at these times.
    pub fn add_text(&self, schedule: Value, more: Value) -> String {
        let mut job = json!({ "name": "j", "schedule": schedule, "payload": { "kind": "systemEvent", "text": "t" } });
        job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.add(job)["id"].as_str().expect("an id").to_string()
    }

    /// A job that has an agent run, an hour from now.
    pub fn add_turn(&self, more: Value) -> String {
        let mut job = json!({ "name": "j", "schedule": { "kind": "at", "atMs": self.now() + HOUR },
                              "payload": { "kind": "agentTurn", "message": "m" } });
        job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.add(job)["id"].as_str().expect("an id").to_string()
    }

    pub fn job(&self, id: &str) -> Value {
        self.cron.call("cron.get", json!({ "id": id })).payload()
    }

    pub fn runs(&self, id: &str) -> Vec<Value> {
        self.cron.call("cron.runs", json!({ "id": id })).payload()["entries"].as_array().unwrap().clone()
    }

    /// Keys of the texts that were left.
    pub fn texts(&self) -> Vec<String> {
        let asked = self.cron.asked().into_iter().filter(|asked| asked.method == "presence.system-events.push");
        asked.map(|asked| asked.params["key"].as_str().unwrap().to_string()).collect()
    }

    pub fn asked(&self, method: &str) -> Vec<Value> {
        self.cron.asked().into_iter().filter(|asked| asked.method == method).map(|asked| asked.params).collect()
    }

    /// The question to the agent that came next.
    pub fn turn(&self) -> StubCall {
        self.cron.wait_until("a question to the agent", |_| !self.agent.lock().unwrap().is_empty());
        self.agent.lock().unwrap().remove(0)
    }

    pub fn events(&self) -> Vec<String> {
        let events = self.cron.events().into_iter().filter(|event| event.name == "cron");
        events.map(|event| event.payload["action"].as_str().unwrap().to_string()).collect()
    }
}

pub fn later() -> Who {
    Who::admin().with(|caller| caller.protocol = 4)
}

/// How a run of an agent ended.
pub fn outcome(call: &StubCall, status: &str, text: &str) {
    call.finish(Ok(json!({ "runId": call.params()["runId"], "status": status, "sessionKey": "s", "agentId": "ops",
                           "text": text, "endedAt": 1 })));
}
