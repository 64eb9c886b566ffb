//! `clawhost health`: whether the gateway is well, and which part of it is not.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::cli::Context;
use crate::failure::Failure;
use crate::session::Question;
use crate::show::{Style, Table, ago, clean};

/// Prints the summary; a gateway that says it is not well is a failure.
pub fn run(context: &Context) -> Result<(), Failure> {
    let question = Question::new("health", "health");
    let answer = context.with_gateway(async |connection| question.ask(connection).await)?;
    context.print_answer(question.method, &answer, |health: Health| {
        Ok(render(&health, context.style, schemas::now_ms()))
    })?;
    let well = serde_json::from_str::<Health>(answer.get()).is_ok_and(|health| health.ok);
    match (well, context.json) {
        (true, _) => Ok(()),
        // The answer says it already.
        (false, true) => Err(Failure::Said(1)),
        (false, false) => Err(Failure::failed("the gateway says that it is not well")),
    }
}

/// What of the summary is shown. Gateways differ in what they say, so only `ok` has to be there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    ok: bool,
    ts: Option<u64>,
    duration_ms: Option<u64>,
    #[serde(default)]
    channels: BTreeMap<String, Value>,
    #[serde(default)]
    channel_order: Vec<String>,
    #[serde(default)]
    channel_labels: BTreeMap<String, String>,
    #[serde(default)]
    agents: Vec<Agent>,
    #[serde(default)]
    plugins: Plugins,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Agent {
    agent_id: String,
    #[serde(default)]
    is_default: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Plugins {
    loaded: Vec<String>,
    errors: Vec<Failed>,
}

#[derive(Deserialize)]
struct Failed {
    id: String,
    error: String,
}

fn render(health: &Health, style: Style, now_ms: u64) -> String {
    let state = if health.ok { style.green("ok") } else { style.red("not ok") };
    let mut text = state;
    if let (Some(ts), Some(took)) = (health.ts, health.duration_ms) {
        text.push_str(&format!(" (checked {}, took {took} ms)", ago(ts, now_ms)));
    }
    text.push('\n');

    let Plugins { loaded, errors } = &health.plugins;
    text.push_str(&format!("plugins: {} running\n", loaded.len()));
    for Failed { id, error } in errors {
        text.push_str(&format!("  {} {}\n", style.red("failed:"), clean(&format!("{id}: {error}"))));
    }
    if !health.agents.is_empty() {
        let name = |agent: &Agent| match agent.is_default {
            true => format!("{} (default)", agent.agent_id),
            false => agent.agent_id.clone(),
        };
        let names: Vec<_> = health.agents.iter().map(name).collect();
        text.push_str(&format!("agents: {}\n", clean(&names.join(", "))));
    }
    let channels = channels(health);
    if !channels.is_empty() {
        text.push_str(&channels.render(style));
    }
    text
}

fn channels(health: &Health) -> Table {
    let mut table = Table::new(&["CHANNEL", "STATE", "LAST ERROR"]);
    let ordered = health.channel_order.iter().filter(|id| health.channels.contains_key(*id));
    let others = health.channels.keys().filter(|id| !health.channel_order.contains(id));
    for id in ordered.chain(others) {
        let channel = &health.channels[id];
        let is = |field: &str| channel[field] == true;
        let state = match (is("linked"), is("configured")) {
            (true, _) => "linked",
            (false, true) => "configured",
            (false, false) => "not configured",
        };
        let label = health.channel_labels.get(id).unwrap_or(id);
        table.row([label, state, channel["lastError"].as_str().unwrap_or_default()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(health: Value) -> String {
        render(&serde_json::from_value(health).unwrap(), Style::plain(), 20_000)
    }

    #[test]
    fn parts_that_are_not_well_are_named() {
        let health = json!({
            "ok": true, "ts": 8_000, "durationMs": 3,
            "channels": {"telegram": {"configured": true, "linked": true, "lastError": null},
                         "signal": {"configured": true, "lastError": "no\nroute"}},
            "channelOrder": ["telegram"], "channelLabels": {"telegram": "Telegram"},
            "agents": [{"agentId": "main", "isDefault": true}, {"agentId": "work"}],
            "plugins": {"loaded": ["health", "status"], "errors": [{"id": "voice", "error": "bad config"}]},
        });
        let expected = "ok (checked 12 s ago, took 3 ms)\n\
                        plugins: 2 running\n  failed: voice: bad config\n\
                        agents: main (default), work\n\
                        CHANNEL   STATE       LAST ERROR\nTelegram  linked      -\nsignal    configured  no\\nroute\n";
        assert_eq!(shown(health), expected);
    }

    #[test]
    fn gateways_that_say_less_are_understood() {
        assert_eq!(shown(json!({"ok": false})), "not ok\nplugins: 0 running\n");
    }
}
