//! Runs that ended and were not heard of: what waits for a plugin is bounded, and an event beyond that is lost to it. Without
//! this such a run would go on here for ever: clients would wait for its end, and its place would never be free again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use plugin_api::Spawned;
use plugin_api::contracts::run::{ActiveRuns, RunsOf, Waited, status};
use serde_json::{Map, Value, json};

use crate::Chat;
use crate::params::AgentEvent;

/// The pause between two looks at what `agent` has.
const PAUSE: Duration = Duration::from_secs(60);

impl Chat {
    /// Looks for such runs now and then.
    pub(crate) fn look_for_lost(self: &Arc<Self>) -> Spawned {
        let (chat, host) = (Arc::downgrade(self), self.host.clone());
        self.host.spawn(async move {
            loop {
                host.sleep(PAUSE).await;
                let Some(chat) = chat.upgrade() else { break };
                chat.end_lost().await;
            }
        })
    }

    async fn end_lost(&self) {
        if self.runs().is_idle() {
            return;
        }
        let asked = self.host.invoke("agent.runs", &RunsOf::default()).send::<ActiveRuns>().await;
        // Who runs agents may be away for a moment: the next look says more.
        let Ok(active) = asked else { return };
        let active: HashSet<String> = active.runs.into_iter().map(|run| run.run_id).collect();
        let lost = self.runs().lost(&active);
        for run_id in lost {
            let params = json!({ "runId": run_id, "timeoutMs": 0 });
            if let Ok(waited) = self.host.invoke("agent.wait", &params).send::<Waited>().await {
                self.ended(&ending(run_id, waited));
            }
        }
    }
}

/// The end as its event would have told it.
fn ending(run_id: String, waited: Waited) -> AgentEvent {
    let (how, error) = match (waited.status.as_str(), waited.stop_reason.as_deref()) {
        ("ok", _) => (status::OK, None),
        // It does not run and has no outcome.
        ("timeout", _) => (status::ERROR, Some("how the run ended is not known".to_string())),
        (_, Some("timeout")) => (status::TIMEOUT, waited.error),
        (_, Some(_)) => (status::ABORTED, None),
        (_, None) => (status::ERROR, waited.error),
    };
    let data = match json!({ "status": how, "error": error, "stopReason": waited.stop_reason }) {
        Value::Object(data) => data,
        _ => Map::new(),
    };
    AgentEvent {
        run_id,
        // The run's own number is larger.
        seq: 0,
        stream: "lifecycle".to_string(),
        session_key: None,
        agent_id: None,
        is_heartbeat: false,
        data,
    }
}
