//! What a gateway is given to do before it is killed, and what it said of it until then.

use std::time::Duration;

use clawhost_tests::chance::Chance;
use clawhost_tests::support::{Client, Frame};
use serde_json::{Value, json};
use tokio::time::timeout;

/// What an agent is told, and so its answer.
pub const WORDS: &str = "one two three four";

/// The message that is sent beside the agents' answers.
pub const SENT: &str = "hello";

/// A run that was asked for.
pub struct Run {
    pub id: String,
    pub session: String,
    /// The key of the message that its answer goes out with.
    pub message: Option<String>,
    /// Whether the gateway said that it has it.
    pub is_accepted: bool,
    request: String,
}

/// Everything that was asked for between two kills.
pub struct Work {
    pub runs: Vec<Run>,
    /// A message that was sent: its key, and whether the gateway said that it went out.
    pub sent: (String, bool),
    /// A job: its name, when it is due, and whether the gateway said that it has it.
    pub job: (String, u64, bool),
    requests: [String; 2],
}

impl Work {
    /// Asks for it all without waiting for an answer.
    pub async fn begin(client: &mut Client, number: u64, chance: &mut Chance) -> Self {
        let mut runs = Vec::new();
        let spoke = format!("kills-{number}-spoke");
        let send = json!({ "to": "anna", "channel": "post", "message": SENT, "sessionKey": spoke,
                           "idempotencyKey": format!("send-{number}") });
        let sent = client.request("send", send).await;
        // Two of one session, so that one waits for the other's turn.
        for place in 0..2 {
            let (id, session) = (format!("chat-{number}-{place}"), format!("kills-{number}-chat"));
            let say = json!({ "sessionKey": session, "message": WORDS, "idempotencyKey": id });
            let request = client.request("chat.send", say).await;
            runs.push(Run { id, session, message: None, is_accepted: false, request });
        }
        // To somebody, and to whom the session last spoke.
        for to in [Some("ben"), None] {
            let id = format!("agent-{number}-{}", to.unwrap_or("last"));
            let session = to.map_or(spoke.clone(), |to| format!("kills-{number}-{to}"));
            let mut ask = json!({ "sessionKey": session, "message": WORDS, "idempotencyKey": id, "deliver": true,
                                  "channel": "post" });
            if let Some(to) = to {
                ask["to"] = json!(to);
            }
            let request = client.request("agent", ask).await;
            let message = Some(format!("{id}/answer"));
            runs.push(Run { id, session, message, is_accepted: false, request });
        }
        let due = schemas::now_ms() + chance.below(300);
        let name = format!("job-{number}");
        let job = json!({ "name": name, "schedule": { "kind": "at", "atMs": due }, "sessionTarget": "isolated",
            "wakeMode": "next-heartbeat", "payload": { "kind": "agentTurn", "message": WORDS, "deliver": true,
            "channel": "post", "to": "job" } });
        let added = client.request("cron.add", job).await;
        Work { runs, sent: (format!("send-{number}"), false), job: (name, due, false), requests: [sent, added] }
    }

    /// Reads what the gateway says for so long.
    pub async fn follow(&mut self, client: &mut Client, time: Duration) {
        let read = async {
            while let Some(frame) = client.next().await {
                if let Frame::Response(answer) = frame {
                    self.answered(&answer.id, answer.ok, answer.payload.unwrap_or_default());
                }
            }
        };
        let _ = timeout(time, read).await;
    }

    fn answered(&mut self, request: &str, is_ok: bool, payload: Value) {
        if request == self.requests[0] {
            self.sent.1 = is_ok;
        } else if request == self.requests[1] {
            self.job.2 = is_ok;
        } else if let Some(run) = self.runs.iter_mut().find(|run| run.request == request) {
            run.is_accepted |= is_ok && matches!(payload["status"].as_str(), Some("accepted" | "started" | "ok"));
        }
    }
}
