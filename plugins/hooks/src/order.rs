//! What a hook asks for.

use plugin_api::http::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{HooksConfig, refused};

/// One of the two.
pub enum Order {
    Wake(WakeOrder),
    Agent(Box<AgentOrder>),
}

/// Parameters of `wake`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WakeOrder {
    pub mode: String,
    pub text: String,
}

/// A run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentOrder {
    pub message: String,
    pub name: Option<String>,
    pub agent_id: Option<String>,
    pub wake_mode: Option<String>,
    pub session_key: Option<String>,
    pub deliver: Option<bool>,
    pub channel: Option<String>,
    pub to: Option<String>,
    pub model: Option<String>,
    pub thinking: Option<String>,
    pub timeout_seconds: Option<u64>,
    /// Whether the configuration, and not the request, says which session.
    #[serde(skip)]
    pub session_is_ours: bool,
}

impl WakeOrder {
    pub fn read(body: &Value) -> Result<Self, Response> {
        let text = body["text"].as_str().map(str::trim).filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| refused(400, "text required"))?.to_string();
        Ok(WakeOrder { text, mode: mode(body["mode"].as_str())? })
    }
}

/// When the main session shall wake.
pub fn mode(mode: Option<&str>) -> Result<String, Response> {
    match mode.unwrap_or("now") {
        mode @ ("now" | "next-heartbeat") => Ok(mode.to_string()),
        _ => Err(refused(400, "the mode is now or next-heartbeat")),
    }
}

impl AgentOrder {
    pub fn read(body: &Value) -> Result<Self, Response> {
        if !body.is_object() {
            return Err(refused(400, "the body has to be a JSON object"));
        }
        AgentOrder::deserialize(body).map_err(|error| refused(400, schemas::json::fault(&error)))
    }

    /// Whether it asks for nothing that it may not have.
    pub fn check(&self, config: &HooksConfig) -> Result<(), Response> {
        if self.message.trim().is_empty() {
            return Err(refused(400, "message required"));
        }
        if self.wake_mode.is_some() {
            mode(self.wake_mode.as_deref())?;
        }
        if let Some(agent) = &self.agent_id
            && !config.agents.is_empty()
            && !config.agents.iter().any(|allowed| allowed.eq_ignore_ascii_case(agent))
        {
            return Err(refused(400, "hooks may not name this agent"));
        }
        let Some(key) = self.session_key.as_deref().filter(|_| !self.session_is_ours) else { return Ok(()) };
        let key = key.to_ascii_lowercase();
        let agent = named_in(&key);
        if let Some((agent, _)) = agent
            && !config.agents.is_empty()
            && !config.agents.iter().any(|allowed| allowed.eq_ignore_ascii_case(agent))
        {
            return Err(refused(400, "hooks may not name this agent"));
        }
        let bare = agent.map_or(key.as_str(), |(_, bare)| bare);
        let fits = config.session_prefixes.iter().any(|prefix| bare.starts_with(&prefix.to_ascii_lowercase()));
        if !fits || key.len() > 512 || key.chars().any(char::is_control) {
            return Err(refused(400, "hooks may not name this session"));
        }
        Ok(())
    }

    /// Whether the answer is sent to somebody.
    pub fn is_delivered(&self) -> bool {
        self.deliver.unwrap_or(self.to.is_some())
    }

    /// Whether anybody hears of the answer.
    pub fn is_heard(&self) -> bool {
        self.is_delivered() || self.wake_mode.is_some()
    }

    /// Who names no agent gets the first of those that hooks may name: the default agent need not be among them.
    pub fn name_agent(&mut self, config: &HooksConfig) {
        let key = self.session_key.as_deref().unwrap_or_default().trim().to_ascii_lowercase();
        if self.agent_id.is_none() && named_in(&key).is_none() {
            self.agent_id = config.agents.first().cloned();
        }
    }
}

/// The agent that a session key in lower case names, and what comes after it.
fn named_in(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix("agent:").and_then(|rest| rest.split_once(':'))
}
