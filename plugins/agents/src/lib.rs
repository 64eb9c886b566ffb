//! `agents.list` and `agent.identity.get`: which agents there are and how they present themselves, from configuration.
//!
//! Running them is the business of other plugins; this one only tells user interfaces whom they can talk to.

mod id;
mod identity;

use std::sync::{Arc, LazyLock};

use plugin_api::abi::extension;
use plugin_api::catalogue::GatewayInfo;
use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup};
use schemars::JsonSchema;
use schemas::hello::SessionDefaults;
use schemas::scope;
use serde::{Deserialize, Serialize};

use identity::Identity;

/// `[plugins.agents.config]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentsConfig {
    /// The agents; absent or empty, there is one, named by `gateway.session.default_agent`.
    #[serde(default)]
    pub agents: Vec<Agent>,
}

/// An agent, in the configuration and on the wire alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Its id: at most 64 of `a-z`, `0-9`, `_` and `-`. Other characters become `-`.
    #[schemars(length(min = 1))]
    pub id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How it presents itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// What it thinks with. Newer web pages let nobody write to an agent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelChoice>,
}

/// What an agent thinks with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelChoice {
    /// The model it uses first, as `provider/model`.
    #[schemars(length(min = 1))]
    pub primary: String,
}

/// The plugin.
pub struct Agents {
    configured: Vec<Agent>,
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
        let mut configured = setup.config::<AgentsConfig>()?.agents;
        for place in 0..configured.len() {
            let id = id::normalized(&configured[place].id);
            if configured[..place].iter().any(|earlier| earlier.id == id) {
                return Err(CreateError::new(format!("agents[{place}].id: \"{id}\" is taken by an agent above it")));
            }
            if let Some(identity) = &configured[place].identity {
                identity.check().map_err(|why| CreateError::new(format!("agents[{place}].identity.{why}")))?;
            }
            configured[place].id = id;
        }
        Ok(Agents { configured })
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
            vec![Agent { id: default_id.clone(), name: None, identity: None, model: None }]
        } else {
            self.configured.clone()
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
    pub agents: Vec<Agent>,
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
