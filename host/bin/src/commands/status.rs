//! `clawhost status`: what there is, in a few lines.

use serde::Deserialize;

use crate::cli::Context;
use crate::failure::Failure;
use crate::session::Question;
use crate::show::{Style, clean, span};

/// Prints the overview.
pub fn run(context: &Context) -> Result<(), Failure> {
    context.show(&Question::new("status", "status"), |status: Status| Ok(render(&status, context.style)))
}

/// What of the overview is shown; other gateways leave some of it out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    runtime_version: Option<String>,
    uptime_ms: Option<u64>,
    tls_fingerprint: Option<String>,
    connections: Option<Connections>,
    #[serde(default)]
    heartbeat: Heartbeats,
    #[serde(default)]
    channel_summary: Vec<String>,
    #[serde(default)]
    queued_system_events: Vec<String>,
    #[serde(default)]
    sessions: Sessions,
}

#[derive(Deserialize)]
struct Connections {
    operators: u64,
    nodes: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Heartbeats {
    agents: Vec<Heartbeat>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Heartbeat {
    agent_id: String,
    enabled: bool,
    every: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Sessions {
    count: u64,
}

fn render(status: &Status, style: Style) -> String {
    let mut lines = Vec::new();
    let mut line = |name: &str, text: String| lines.push(format!("{} {}\n", style.bold(name), clean(&text)));
    if let Some(version) = &status.runtime_version {
        let running = status.uptime_ms.map(|ms| format!(", running for {}", span(ms))).unwrap_or_default();
        line("gateway:", format!("{version}{running}"));
    }
    if let Some(fingerprint) = &status.tls_fingerprint {
        line("certificate:", fingerprint.clone());
    }
    if let Some(Connections { operators, nodes }) = status.connections {
        line("connected:", format!("{}, {}", count(operators, "operator"), count(nodes, "node")));
    }
    line("sessions:", status.sessions.count.to_string());
    for heartbeat in &status.heartbeat.agents {
        let every = if heartbeat.enabled { format!("every {}", heartbeat.every) } else { "off".to_string() };
        line("heartbeat:", format!("{}: {every}", heartbeat.agent_id));
    }
    for channel in &status.channel_summary {
        line("channel:", channel.clone());
    }
    for event in &status.queued_system_events {
        line("queued:", event.clone());
    }
    lines.concat()
}

fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn shown(status: Value) -> String {
        render(&serde_json::from_value(status).unwrap(), Style::plain())
    }

    #[test]
    fn a_line_for_each_thing() {
        let status = json!({
            "runtimeVersion": "1.2.3", "uptimeMs": 61_000, "tlsFingerprint": "sha256:ab",
            "connections": {"operators": 1, "nodes": 2},
            "heartbeat": {"defaultAgentId": "main", "agents": [
                {"agentId": "main", "enabled": true, "every": "30m", "everyMs": 1_800_000},
                {"agentId": "work", "enabled": false, "every": "disabled", "everyMs": null}]},
            "channelSummary": ["Telegram: linked"], "queuedSystemEvents": ["a\u{1b}[0m"], "sessions": {"count": 4},
        });
        let expected = "gateway: 1.2.3, running for 1 min 1 s\ncertificate: sha256:ab\nconnected: 1 operator, 2 nodes\nsessions: 4\n\
                        heartbeat: main: every 30m\nheartbeat: work: off\nchannel: Telegram: linked\n\
                        queued: a\\u{1b}[0m\n";
        assert_eq!(shown(status), expected);
        assert_eq!(shown(json!({})), "sessions: 0\n");
    }
}
