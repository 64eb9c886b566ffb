//! How an agent is run: models, instructions, tools.

use plugin_api::contracts::run::AgentRecord;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Agent;

/// What an agent thinks with that nobody configured: the backend that needs nothing.
pub const FALLBACK_MODEL: &str = "echo/echo";

/// How agents are run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Running {
    /// What they think with.
    pub model: Option<ModelChoice>,
    /// What they are told before each conversation.
    pub system: Option<String>,
    /// Methods that they may use as tools: names, or a prefix and `*`.
    pub tools: Option<Vec<String>>,
    /// Methods that they may not use after all.
    pub tools_denied: Option<Vec<String>>,
    /// How much they think when nobody says.
    pub thinking: Option<Thinking>,
    /// Seconds until a run is given up.
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_seconds: Option<u64>,
}

/// What an agent thinks with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelChoice {
    /// The model it uses first, as `backend/model`, or a backend for its own default.
    #[schemars(length(min = 1))]
    pub primary: String,
    /// Those it uses when that one does not answer, in this order.
    #[serde(default)]
    pub fallbacks: Vec<String>,
}

/// How much an agent thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Thinking {
    /// Not at all.
    Off,
    /// Hardly.
    Minimal,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// A lot.
    High,
    /// As much as it can.
    Xhigh,
}

impl Thinking {
    fn name(self) -> &'static str {
        match self {
            Thinking::Off => "off",
            Thinking::Minimal => "minimal",
            Thinking::Low => "low",
            Thinking::Medium => "medium",
            Thinking::High => "high",
            Thinking::Xhigh => "xhigh",
        }
    }
}

impl Agent {
    /// What it says about how it is run.
    pub fn running(&self) -> Running {
        Running {
            model: self.model.clone(),
            system: self.system.clone(),
            tools: self.tools.clone(),
            tools_denied: self.tools_denied.clone(),
            thinking: self.thinking,
            timeout_seconds: self.timeout_seconds,
        }
    }
}

impl Running {
    /// Whether everything in it can be meant; else what is wrong, `at` being where it stands.
    pub fn check(&self, at: &str) -> Result<(), String> {
        if let Some(model) = &self.model {
            check_model(&format!("{at}.model.primary"), &model.primary)?;
            for (place, fallback) in model.fallbacks.iter().enumerate() {
                check_model(&format!("{at}.model.fallbacks[{place}]"), fallback)?;
            }
        }
        for (key, methods) in [("tools", &self.tools), ("tools_denied", &self.tools_denied)] {
            for (place, method) in methods.iter().flatten().enumerate() {
                let name = method.strip_suffix('*').unwrap_or(method);
                if method.trim().is_empty() || name.contains(['*', ' ']) {
                    return Err(format!(
                        "{at}.{key}[{place}]: \"{method}\" is neither a method's name nor the start of one and \"*\""
                    ));
                }
            }
        }
        Ok(())
    }

    /// The record of an agent for which these are the defaults.
    pub fn record(&self, agent: Agent) -> AgentRecord {
        let said = agent.running();
        let model = said.model.or_else(|| self.model.clone());
        let models = match model {
            Some(model) => std::iter::once(model.primary).chain(model.fallbacks).collect(),
            None => vec![FALLBACK_MODEL.to_string()],
        };
        let seconds = said.timeout_seconds.or(self.timeout_seconds);
        AgentRecord {
            agent_id: agent.id,
            name: agent.name,
            models,
            system: said.system.or_else(|| self.system.clone()),
            tools: said.tools.or_else(|| self.tools.clone()).unwrap_or_default(),
            tools_denied: said.tools_denied.or_else(|| self.tools_denied.clone()).unwrap_or_default(),
            thinking: said.thinking.or(self.thinking).map(|thinking| thinking.name().to_string()),
            timeout_ms: seconds.map(|seconds| seconds * 1_000),
        }
    }
}

fn check_model(at: &str, model: &str) -> Result<(), String> {
    let (backend, name) = model.split_once('/').map_or((model, None), |(backend, name)| (backend, Some(name)));
    let is_id = !backend.is_empty()
        && backend.chars().all(|letter| matches!(letter, 'a'..='z' | '0'..='9' | '-'))
        && name.is_none_or(|name| !name.trim().is_empty());
    match is_id {
        true => Ok(()),
        false => Err(format!("{at}: \"{model}\" is no model; write \"<backend>/<model>\", or \"<backend>\" alone")),
    }
}
