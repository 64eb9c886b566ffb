//! `agents.list` and `agent.identity.get`: which agents there are and how they present themselves, from configuration; and
//! `agents.get` for plugins: how one is run.
//!
//! Running them is the business of other plugins; this one only says what is configured.

mod id;
mod identity;
mod running;

use std::sync::{Arc, LazyLock};

use plugin_api::abi::extension;
use plugin_api::catalogue::GatewayInfo;
use plugin_api::contracts::run::{AgentId, AgentRecord};
use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup};
use schemars::JsonSchema;
use schemas::hello::SessionDefaults;
use schemas::scope;
use serde::{Deserialize, Serialize};

use identity::Identity;
pub use running::{ModelChoice, Running, Thinking};

/// `[plugins.agents.config]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AgentsConfig {
    /// The agents; absent or empty, there is one, named by `gateway.session.default_agent`.
    pub agents: Vec<Agent>,
    /// How agents are run that do not say.
    pub defaults: Running,
}

/// An agent, as configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Its id: at most 64 of `a-z`, `0-9`, `_` and `-`. Other characters become `-`.
    #[schemars(length(min = 1))]
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// How it presents itself.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// What it thinks with.
    #[serde(default)]
    pub model: Option<ModelChoice>,
    /// What it is told before each conversation.
    #[serde(default)]
    pub system: Option<String>,
    /// Methods that it may use as tools: names, or a prefix and `*`.
    #[serde(default)]
    pub tools: Option<Vec<String>>,
    /// Methods that it may not use after all.
    #[serde(default)]
    pub tools_denied: Option<Vec<String>>,
    /// How much it thinks when nobody says.
    #[serde(default)]
    pub thinking: Option<Thinking>,
    /// Seconds until a run is given up.
    #[serde(default)]
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_seconds: Option<u64>,
}

/// The plugin.
pub struct Agents {
    configured: Vec<Agent>,
    defaults: Running,
}

static METHODS: LazyLock<Methods<Agents>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::operator("agents.list", &[scope::READ]).summary("The agents one can talk to."), Agents::list)
        .add(
            Method::operator("agent.identity.get", &[scope::READ])
                .summary("Name and picture of an agent.")
                .description("The agent of `sessionKey`, else `agentId`, else the default one."),
            Agents::identity,
        )
        .add(
            Method::internal("agents.get")
                .summary("How an agent is run: its models, instructions and tools.")
                .description("The default agent when none is named. One that is not configured is an INVALID_REQUEST."),
            Agents::get,
        )
});

impl Plugin for Agents {
    fn manifest() -> Manifest {
        Manifest::new("agents", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Lists the agents one can talk to.")
            .requires(&[extension::EXEC, extension::INVOKE, extension::CALLER])
            .invokes(&["host.gateway.info"])
            .config::<AgentsConfig>()
            .methods(&METHODS)
    }

    fn create(_: Host, setup: Setup) -> Result<Self, CreateError> {
        let AgentsConfig { agents: mut configured, defaults } = setup.config()?;
        defaults.check("defaults").map_err(CreateError::new)?;
        for place in 0..configured.len() {
            let id = id::normalized(&configured[place].id);
            if configured[..place].iter().any(|earlier| earlier.id == id) {
                return Err(CreateError::new(format!("agents[{place}].id: \"{id}\" is taken by an agent above it")));
            }
            if let Some(identity) = &configured[place].identity {
                identity.check().map_err(|why| CreateError::new(format!("agents[{place}].identity.{why}")))?;
            }
            configured[place].running().check(&format!("agents[{place}]")).map_err(CreateError::new)?;
            configured[place].id = id;
        }
        Ok(Agents { configured, defaults })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Agents);

impl Agents {
    async fn list(self: Arc<Self>, call: Call, _: NoParams) -> Result<AgentsList, MethodError> {
        let defaults = session_defaults(&call).await?;
        let default_id = self.default_id(&defaults);
        let agents = if self.configured.is_empty() {
            vec![self.shown(&Agent { id: default_id.clone(), ..Agent::default() })]
        } else {
            self.configured.iter().map(|agent| self.shown(agent)).collect()
        };
        Ok(AgentsList {
            default_id,
            main_key: defaults.main_key,
            scope: defaults.scope.unwrap_or_else(|| "per-sender".to_string()),
            agents,
        })
    }

    async fn identity(self: Arc<Self>, call: Call, params: IdentityParams) -> Result<IdentityResult, MethodError> {
        let asked = params.agent_id.as_deref().map(str::trim).filter(|id| !id.is_empty());
        let session = params.session_key.as_deref().map(str::trim).filter(|key| !key.is_empty());
        let agent_id = match (session.map(id::of_session_key), asked) {
            (Some(Some(id)), _) => id,
            (None, Some(asked)) => id::normalized(asked),
            // A session key that names no agent belongs to the default one.
            (Some(None), _) | (None, None) => self.default_id(&session_defaults(&call).await?),
        };
        if let Some(asked) = asked
            && id::normalized(asked) != agent_id
        {
            return Err(MethodError::invalid_request(format!(
                "invalid agent.identity.get params: agent \"{asked}\" does not match session key agent \"{agent_id}\""
            )));
        }
        let agent = self.configured.iter().find(|agent| agent.id == agent_id);
        let (name, avatar) = identity::shown(agent);
        Ok(IdentityResult { agent_id, name, avatar })
    }

    async fn get(self: Arc<Self>, call: Call, asked: AgentId) -> Result<AgentRecord, MethodError> {
        let asked = asked.agent_id.as_deref().map(str::trim).filter(|id| !id.is_empty());
        let known = |id: &str| self.configured.iter().find(|agent| agent.id == id).cloned();
        let default = || async { Ok::<_, MethodError>(self.default_id(&session_defaults(&call).await?)) };
        let agent = match asked {
            Some(asked) => match known(&id::normalized(asked)) {
                Some(agent) => Some(agent),
                // With no agent configured there is the default one alone.
                None if self.configured.is_empty() && default().await? == id::normalized(asked) => {
                    Some(Agent { id: id::normalized(asked), ..Agent::default() })
                }
                None => None,
            },
            None => {
                let id = default().await?;
                Some(known(&id).unwrap_or(Agent { id, ..Agent::default() }))
            }
        };
        let agent = agent.ok_or_else(|| {
            MethodError::invalid_request(format!("unknown agent id \"{}\"", asked.unwrap_or_default()))
        })?;
        Ok(self.defaults.record(agent))
    }

    /// An agent as clients are shown it.
    fn shown(&self, agent: &Agent) -> ListedAgent {
        let model = agent.model.as_ref().or(self.defaults.model.as_ref());
        let primary = model.map_or_else(|| running::FALLBACK_MODEL.to_string(), |model| model.primary.clone());
        ListedAgent {
            id: agent.id.clone(),
            name: agent.name.clone(),
            identity: agent.identity.clone(),
            model: ListedModel { primary },
        }
    }

    /// The gateway's default agent if it is one of ours, else the first.
    fn default_id(&self, defaults: &SessionDefaults) -> String {
        let default_id = id::normalized(&defaults.default_agent_id);
        match self.configured.first() {
            Some(first) if self.configured.iter().all(|agent| agent.id != default_id) => first.id.clone(),
            _ => default_id,
        }
    }
}

/// Result of `agents.list`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentsList {
    /// The agent to talk to first.
    pub default_id: String,
    /// Short name of the main session.
    pub main_key: String,
    /// `per-sender` or `global`.
    pub scope: String,
    /// The agents, in the order of the configuration.
    pub agents: Vec<ListedAgent>,
}

/// An agent in `agents.list`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListedAgent {
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub name: Option<String>,
    /// How it presents itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Identity")]
    pub identity: Option<Identity>,
    /// What it thinks with. Newer web pages let nobody write to an agent without one.
    pub model: ListedModel,
}

/// What an agent in `agents.list` thinks with.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListedModel {
    /// The model it uses first, as `provider/model`.
    pub primary: String,
}

/// Parameters of `agent.identity.get`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityParams {
    /// The agent.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub agent_id: Option<String>,
    /// A session of the agent.
    #[serde(default)]
    pub session_key: Option<String>,
}

/// Result of `agent.identity.get`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentityResult {
    /// The agent.
    pub agent_id: String,
    /// Its name, at most 50 characters.
    pub name: String,
    /// A picture's address or a few characters, at most 200.
    pub avatar: String,
}

async fn session_defaults(call: &Call) -> Result<SessionDefaults, MethodError> {
    let info: GatewayInfo = call.invoke("host.gateway.info", &NoParams {}).with_own_grants().send().await?;
    Ok(info.session_defaults)
}

#[cfg(test)]
mod tests;
