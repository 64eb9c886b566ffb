//! Sub-paths of the configuration: what another program's body means.

use plugin_api::http::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::order::{AgentOrder, Order, WakeOrder, mode};
use crate::refused;

/// Longest text that a template makes, in bytes.
const LONGEST: usize = 256 * 1024;

/// `[plugins.hooks.config.mappings.<name>]`. `{{/a/b}}` in a text stands for what the body has there, by JSON pointer.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    /// `agent` or `wake`; `agent` if absent.
    pub action: Option<Action>,
    /// What the agent is told.
    pub message: String,
    /// A pointer and the text that has to be there; another body is answered with 204, and nothing happens.
    pub when: Option<When>,
    /// What it is called where its answer is mentioned.
    pub name: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// The session's key; may have pointers.
    pub session: Option<String>,
    /// Whether the answer is delivered: when `to` is there, unless this says no. Without `to`, it goes where the agent's
    /// main session last spoke.
    pub deliver: Option<bool>,
    /// The channel that delivers it.
    pub channel: Option<String>,
    /// To whom.
    pub to: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// How much the agent thinks.
    pub thinking: Option<String>,
    /// Seconds until the run is given up.
    pub timeout_seconds: Option<u64>,
    /// `now` or `next-heartbeat`: of `wake`, or to tell the main session of the answer.
    pub wake_mode: Option<String>,
}

/// What a mapped path does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A run of an agent.
    Agent,
    /// The main session wakes.
    Wake,
}

/// A condition.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// A JSON pointer.
    pub pointer: String,
    /// The text there.
    pub equals: String,
}

impl Mapping {
    /// What is wrong with it, beginning with the key.
    pub fn check(&self) -> Result<(), String> {
        if self.message.trim().is_empty() {
            return Err("message is missing".to_string());
        }
        for (key, text) in [("message", Some(&self.message)), ("session", self.session.as_ref())] {
            if let Some(text) = text {
                pieces(text).map_err(|why| format!("{key}: {why}"))?;
            }
        }
        if mode(self.wake_mode.as_deref()).is_err() {
            return Err("wake_mode is \"now\" or \"next-heartbeat\"".to_string());
        }
        Ok(())
    }

    /// What this body asks for; nothing if it is not meant.
    pub fn order(&self, name: &str, body: &Value) -> Result<Option<Order>, Response> {
        if let Some(when) = &self.when
            && body.pointer(&when.pointer).map(shown).as_deref() != Some(when.equals.as_str())
        {
            return Ok(None);
        }
        let message = filled(&self.message, body)?;
        if message.trim().is_empty() {
            return Ok(None);
        }
        if self.action == Some(Action::Wake) {
            return Ok(Some(Order::Wake(WakeOrder { mode: mode(self.wake_mode.as_deref())?, text: message })));
        }
        let session = self.session.as_deref();
        // Only a session without pointers is the owner's choice alone.
        let session_is_ours = session.is_some_and(|session| !session.contains("{{"));
        Ok(Some(Order::Agent(Box::new(AgentOrder {
            message,
            name: Some(self.name.clone().unwrap_or_else(|| name.to_string())),
            agent_id: self.agent.clone(),
            wake_mode: self.wake_mode.clone(),
            session_key: session.map(|session| filled(session, body)).transpose()?,
            deliver: self.deliver,
            channel: self.channel.clone(),
            to: self.to.clone(),
            model: self.model.clone(),
            thinking: self.thinking.clone(),
            timeout_seconds: self.timeout_seconds,
            session_is_ours,
        }))))
    }
}

/// Text, and the pointer after it if one follows.
fn pieces(template: &str) -> Result<Vec<(&str, Option<&str>)>, String> {
    let (mut pieces, mut rest) = (Vec::new(), template);
    while let Some((before, after)) = rest.split_once("{{") {
        let (pointer, after) = after.split_once("}}").ok_or("a {{ without its }}")?;
        let pointer = pointer.trim();
        if !pointer.starts_with('/') {
            return Err("between {{ and }} stands a JSON pointer, which begins with /".to_string());
        }
        pieces.push((before, Some(pointer)));
        rest = after;
    }
    pieces.push((rest, None));
    Ok(pieces)
}

fn filled(template: &str, body: &Value) -> Result<String, Response> {
    let mut text = String::new();
    for (before, pointer) in pieces(template).map_err(|why| refused(400, &why))? {
        text.push_str(before);
        if let Some(value) = pointer.and_then(|pointer| body.pointer(pointer)) {
            text.push_str(&shown(value));
        }
        if text.len() > LONGEST {
            return Err(refused(413, "payload too large"));
        }
    }
    Ok(text)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
