//! What the gateway hears of a run: `exec.denied`, or `exec.started` and, however it ends, `exec.finished`.

use serde_json::{Value, json};

use crate::approvals::Reason;
use crate::gateway::Gateway;

/// Bytes of output, and of a command, that are told in an event; of output the last ones.
const MAX_TOLD_OUTPUT: usize = 20_000;
const MAX_TOLD_COMMAND: usize = 2_000;

/// What the gateway hears of a run.
pub struct Story {
    gateway: Gateway,
    told: Value,
}

/// A run that was begun. However it ends, the gateway hears of it.
pub struct Running(Option<Story>);

impl Story {
    /// Of a run that somebody wants.
    pub fn new(gateway: &Gateway, command: &[String], session_key: Option<&str>, run_id: Option<&str>) -> Self {
        let run_id = run_id.filter(|id| !id.is_empty()).map(str::to_string);
        let run_id = run_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        // What runs, not what the caller calls it in `rawCommand`.
        let mut told = json!({ "host": "node", "runId": run_id, "command": shown(command) });
        if let Some(key) = session_key.filter(|key| !key.is_empty()) {
            told["sessionKey"] = json!(key);
        }
        Story { gateway: gateway.clone(), told }
    }

    /// It may not run.
    pub fn denied(mut self, reason: Reason) {
        self.told["reason"] = json!(reason.as_str());
        self.gateway.tell("exec.denied", self.told);
    }

    /// It runs.
    pub fn started(self) -> Running {
        self.gateway.tell("exec.started", self.told.clone());
        Running(Some(self))
    }

    fn finished(mut self, payload: &Value) {
        for key in ["exitCode", "timedOut", "success"] {
            if let Some(value) = payload.get(key) {
                self.told[key] = value.clone();
            }
        }
        let parts = ["stdout", "stderr", "error"].map(|key| payload[key].as_str().unwrap_or_default());
        let output = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
        let from = output.ceil_char_boundary(output.len().saturating_sub(MAX_TOLD_OUTPUT));
        self.told["output"] = json!(&output[from..]);
        self.gateway.tell("exec.finished", self.told);
    }
}

impl Running {
    /// It came to its end; the payload is that of the answer.
    pub fn finished(mut self, payload: &Value) {
        if let Some(story) = self.0.take() {
            story.finished(payload);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(story) = self.0.take() {
            let error = "ended, because nobody waited for it any more";
            story.finished(&json!({ "timedOut": false, "success": false, "error": error }));
        }
    }
}

/// A command as people write it: what is not a plain word is in quotes.
fn shown(command: &[String]) -> String {
    let plain = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte))
    };
    let words = command
        .iter()
        .map(|word| if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) });
    let mut line = words.collect::<Vec<_>>().join(" ");
    line.truncate(line.floor_char_boundary(MAX_TOLD_COMMAND));
    line
}
