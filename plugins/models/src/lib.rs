//! `models.list`: the models that can be chosen, as configured, and those that agent backends offer.
//!
//! A backend that wants its models listed declares the internal method `agent.backend.<id>.models`, which takes `{}` and
//! answers `{"models": [{id, name?, provider?, contextWindow?, reasoning?, input?}]}`. None has to: a backend that is
//! absent, slow or failing costs its own models only.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use plugin_api::abi::extension;
use plugin_api::{
    Call, CreateError, Host, InvokeReplies, InvokeReply, Manifest, Method, MethodError, Methods, NoParams, Plugin,
    Reply, Setup,
};
use schemars::JsonSchema;
use schemas::scope;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How long backends may take, all together, since they are asked at once.
const BACKENDS_MAY_TAKE: Duration = Duration::from_secs(3);

/// Models taken from one backend at most.
const MOST_PER_BACKEND: usize = 2_000;

/// `[plugins.models.config]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelsConfig {
    /// Models to list, in this order. One that a backend offers too is listed as it stands here.
    #[serde(default)]
    pub models: Vec<Model>,
}

/// The plugin.
pub struct Models {
    configured: Vec<Model>,
}

static METHODS: LazyLock<Methods<Models>> = LazyLock::new(|| {
    Methods::new().add(
        Method::operator("models.list", &[scope::READ]).summary("Models that can be chosen.").description(
            "Those of the configuration in their order, then those of agent backends by provider and name.",
        ),
        Models::list,
    )
});

impl Plugin for Models {
    fn manifest() -> Manifest {
        Manifest::new("models", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Lists the models that can be chosen.")
            .requires(&[extension::EXEC, extension::INVOKE, extension::CALLER])
            .invokes(&["host.registry.list", "agent.backend.*"])
            .config::<ModelsConfig>()
            .methods(&METHODS)
    }

    fn create(_: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: ModelsConfig = setup.config()?;
        for (place, model) in config.models.iter().enumerate() {
            if config.models[..place].iter().any(|earlier| earlier.is_same(model)) {
                return Err(CreateError::new(format!(
                    "models[{place}]: \"{}\" of \"{}\" is listed twice; keep one of them",
                    model.id, model.provider
                )));
            }
        }
        Ok(Models { configured: config.models })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Models);

impl Models {
    async fn list(self: Arc<Self>, call: Call, _: ListParams) -> Result<ListResult, MethodError> {
        let mut offered: Vec<Model> = Vec::new();
        for model in offered_by_backends(&call).await {
            let known = self.configured.iter().chain(&offered).any(|known| known.is_same(&model));
            if !known {
                offered.push(model);
            }
        }
        offered.sort_by(|a, b| (&a.provider, &a.name, &a.id).cmp(&(&b.provider, &b.name, &b.id)));
        let mut models = self.configured.clone();
        models.append(&mut offered);
        Ok(ListResult { models })
    }
}

/// Parameters of `models.list`. Protocol 3 has none; those of protocol 4 narrow the list for one session, which makes no
/// difference here.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListParams {
    /// `configured`, `all` and the like.
    #[serde(default)]
    pub view: Option<String>,
    /// The agent to choose for.
    #[serde(default)]
    pub agent_id: Option<String>,
    /// The session to choose for.
    #[serde(default)]
    pub session_key: Option<String>,
    /// Whether to look again; every look is fresh.
    #[serde(default)]
    pub refresh: Option<bool>,
}

/// Result of `models.list`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListResult {
    /// The models.
    pub models: Vec<Model>,
}

/// A model that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Model {
    /// Its id at the provider.
    #[schemars(length(min = 1))]
    pub id: String,
    /// Its name for people.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Who provides it.
    #[schemars(length(min = 1))]
    pub provider: String,
    /// How many tokens it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub context_window: Option<u64>,
    /// Whether it reasons before it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
    /// What it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Vec<Input>>,
}

/// What a model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Input {
    /// Text.
    Text,
    /// Images.
    Image,
}

impl Model {
    fn is_same(&self, other: &Model) -> bool {
        self.id == other.id && self.provider == other.provider
    }

    /// Reads what a backend offers. Its plugin is not ours and may know more than clients do: only what they can read is
    /// taken over.
    fn from_backend(value: &Value, backend: &str) -> Option<Model> {
        let text = |field: &str| value[field].as_str().filter(|text| !text.trim().is_empty()).map(str::to_string);
        let id = text("id")?;
        Some(Model {
            name: text("name").unwrap_or_else(|| id.clone()),
            provider: text("provider").unwrap_or_else(|| backend.to_string()),
            id,
            context_window: value["contextWindow"].as_u64().filter(|&tokens| tokens > 0),
            reasoning: value["reasoning"].as_bool(),
            input: value["input"]
                .as_array()
                .map(|kinds| kinds.iter().filter_map(|kind| Input::deserialize(kind).ok()).collect()),
        })
    }
}

async fn offered_by_backends(call: &Call) -> Vec<Model> {
    let backends = match backends(call).await {
        Ok(backends) => backends,
        Err(error) => {
            call.host().warn(&format!("models.list goes without agent backends: {error}"));
            return Vec::new();
        }
    };
    // All are asked before the first is waited for.
    let asked: Vec<(String, InvokeReplies)> = backends
        .into_iter()
        .map(|backend| {
            let method = format!("agent.backend.{backend}.models");
            let replies = call.invoke(&method, &NoParams {}).with_own_grants().timeout(BACKENDS_MAY_TAKE).replies();
            (backend, replies)
        })
        .collect();
    let mut offered = Vec::new();
    for (backend, mut replies) in asked {
        let answer = loop {
            if let InvokeReply::Final(answer) = replies.next().await {
                break answer;
            }
        };
        let answer = answer.and_then(|payload| Ok(serde_json::from_str::<BackendModels>(payload.get())?));
        match answer {
            Ok(answer) => {
                let models = answer.models.iter().take(MOST_PER_BACKEND);
                offered.extend(models.filter_map(|model| Model::from_backend(model, &backend)));
            }
            Err(error) => call.host().warn(&format!("models.list goes without those of {backend}: {error}")),
        }
    }
    offered
}

/// Ids of the backends that offer models, sorted.
async fn backends(call: &Call) -> Result<Vec<String>, MethodError> {
    let registry: Registry = call.invoke("host.registry.list", &NoParams {}).with_own_grants().send().await?;
    let backend = |row: &Row| Some(row.spec.name.strip_prefix("agent.backend.")?.strip_suffix(".models")?.to_string());
    let mut backends: Vec<String> = registry.methods.iter().filter_map(backend).filter(|id| !id.is_empty()).collect();
    backends.sort();
    Ok(backends)
}

#[derive(Deserialize)]
struct BackendModels {
    models: Vec<Value>,
}

/// Of the registry, only names matter here; its schemas are skipped unread.
#[derive(Deserialize)]
struct Registry {
    methods: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    name: String,
}

#[cfg(test)]
mod tests;
