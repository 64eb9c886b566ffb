//! `agent.backend.anthropic.run` and `.models`: Anthropic's Messages API, its own and that of services that speak it.
//!
//! `request` makes a conversation into what the API takes, `answer` makes an answer of its stream.

mod answer;
mod request;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use outside::backend;
use outside::http::{Client, Limits, Trouble};
use outside::hyper::header::HeaderValue;
use outside::service::{Key, Service, ServiceConfig, choose, secret_header};
use outside::{Method as Verb, sse};
use plugin_api::abi::extension;
use plugin_api::contracts::backend::{BackendResult, BackendRun, Piece, code};
use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use answer::{Assembly, Broken};

/// Anthropic's own address.
const ANTHROPIC: &str = "https://api.anthropic.com";
/// Where its key is, if nothing else is said. It is for that address only.
const ANTHROPIC_KEY: &str = "ANTHROPIC_API_KEY";
/// The version of the API that is spoken here.
const API_VERSION: &str = "2023-06-01";
/// Services that can be configured beside the main one.
const MOST_PROVIDERS: usize = 32;
/// Models that are taken over from one service.
const MOST_MODELS: usize = 1_000;

/// `[plugins.anthropic.config]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AnthropicConfig {
    /// Address of the main service, without `/v1/messages`.
    pub base_url: String,
    /// A file that holds its key, with access for its owner only; an absolute path.
    pub api_key_file: Option<String>,
    /// The variable of the environment that holds its key; ANTHROPIC_API_KEY for Anthropic's own address if neither is set.
    pub api_key_env: Option<String>,
    /// The model that answers when none is named.
    pub model: Option<String>,
    /// Headers to send along.
    pub headers: BTreeMap<String, String>,
    /// Further services by name. A model whose first segment is that name is theirs.
    pub providers: BTreeMap<String, ServiceConfig>,
    // `max_tokens` would sound like a secret to whoever shows the configuration.
    /// Longest answer in tokens, where the agent does not say; thoughts come on top of it with a budget.
    #[schemars(range(min = 1))]
    pub max_tokens_per_answer: u64,
    /// How models are told to think.
    pub thinking: Thinking,
    /// Whether the service shall keep the conversation in its cache, so that the next turn costs less.
    pub cache: bool,
    /// Time to connect.
    #[schemars(range(min = 1))]
    pub connect_timeout_ms: u64,
    /// Time without a byte of an answer after which it is given up.
    #[schemars(range(min = 1))]
    pub stall_timeout_ms: u64,
    /// Largest answer, in bytes of its stream.
    #[schemars(range(min = 1))]
    pub max_response_bytes: u64,
    /// How long the list of a service's models is kept.
    pub models_cache_ms: u64,
}

/// How models are told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Thinking {
    /// With an effort: models since Claude Opus 4.6.
    Adaptive,
    /// With a number of tokens: models before it.
    Budget,
}

impl Default for AnthropicConfig {
    fn default() -> Self {
        AnthropicConfig {
            base_url: ANTHROPIC.to_string(),
            api_key_file: None,
            api_key_env: None,
            model: None,
            headers: BTreeMap::new(),
            providers: BTreeMap::new(),
            max_tokens_per_answer: 8_192,
            thinking: Thinking::Adaptive,
            cache: true,
            connect_timeout_ms: 10_000,
            stall_timeout_ms: 300_000,
            max_response_bytes: 16 * 1024 * 1024,
            models_cache_ms: 300_000,
        }
    }
}

/// The plugin.
pub struct Anthropic {
    client: Client,
    main: Service,
    others: BTreeMap<String, Service>,
    style: request::Style,
    models_kept_for: Duration,
    /// By service; there are as many as services at most.
    models: Mutex<BTreeMap<String, (Instant, Vec<Model>)>>,
}

static METHODS: LazyLock<Methods<Anthropic>> = LazyLock::new(|| {
    Methods::new()
        .add(
            Method::internal("agent.backend.anthropic.run")
                .summary("Has a model of Anthropic's Messages API answer a conversation.")
                .interim()
                .timeout_ms(0),
            Anthropic::run,
        )
        .add(
            Method::internal("agent.backend.anthropic.models")
                .summary("Models of these services, as far as they answer."),
            Anthropic::list,
        )
});

impl Plugin for Anthropic {
    fn manifest() -> Manifest {
        Manifest::new("anthropic", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Agent backend: Anthropic's Messages API.")
            .requires(&[extension::EXEC])
            .config::<AnthropicConfig>()
            .methods(&METHODS)
    }

    fn create(_: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: AnthropicConfig = setup.config()?;
        if config.providers.len() > MOST_PROVIDERS {
            return Err(CreateError::new(format!("providers: at most {MOST_PROVIDERS} are possible")));
        }
        let limits = Limits {
            connect: Duration::from_millis(config.connect_timeout_ms),
            stall: Duration::from_millis(config.stall_timeout_ms),
            max_bytes: config.max_response_bytes,
        };
        let is_anthropic = config.base_url.trim().trim_end_matches('/') == ANTHROPIC;
        let default_key = (is_anthropic && config.api_key_file.is_none()).then(|| ANTHROPIC_KEY.to_string());
        let main = ServiceConfig {
            base_url: config.base_url,
            api_key_file: config.api_key_file,
            api_key_env: config.api_key_env.or(default_key),
            model: config.model,
            headers: config.headers,
        };
        let mut others = BTreeMap::new();
        for (name, provider) in &config.providers {
            if name.is_empty() || name.contains('/') {
                return Err(CreateError::new(format!("providers.{name:?}: a name without slashes is needed")));
            }
            others.insert(name.clone(), Service::new(name, &format!("providers.{name}."), provider)?);
        }
        Ok(Anthropic {
            client: Client::new(limits),
            main: Service::new("anthropic", "", &main)?,
            others,
            style: request::Style {
                max_tokens: config.max_tokens_per_answer,
                thinking: config.thinking,
                cache: config.cache,
            },
            models_kept_for: Duration::from_millis(config.models_cache_ms),
            models: Mutex::default(),
        })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Anthropic, runtime = tokio);

impl Anthropic {
    async fn run(self: Arc<Self>, call: Call, run: BackendRun) -> Result<BackendResult, MethodError> {
        let (service, model) = choose(&self.main, &self.others, run.model.as_deref())?;
        let key = service.key(call.host()).await?;
        let body = serde_json::to_vec(&request::body(&run, model, &service.name, &self.style))?;
        let mut answer = self.send(call.host(), service, key.as_ref(), Verb::POST, "/v1/messages", Some(body)).await?;
        let mut assembly = Assembly::new(model);
        let mut parser = sse::Parser::default();
        while !assembly.is_done() {
            let chunk = answer.chunk().await.map_err(|trouble| backend::from_trouble(service, trouble))?;
            let events = match &chunk {
                Some(chunk) => parser.push(chunk),
                None => parser.finish().into_iter().collect(),
            };
            for event in events {
                let piece =
                    assembly.take(&event.data, &service.name).map_err(|why| error(why, service, key.as_ref()))?;
                if let Some(piece) = piece {
                    send(&call, &piece);
                }
            }
            if chunk.is_none() {
                break;
            }
        }
        assembly.finish(&service.name).map_err(|why| error(why, service, key.as_ref()))
    }

    async fn list(self: Arc<Self>, call: Call, _: NoParams) -> Result<ModelsResult, MethodError> {
        let services = std::iter::once(&self.main).chain(self.others.values());
        let asked =
            services.map(|service| backend::models_in_time(call.host(), service, self.models_of(call.host(), service)));
        let mut models = Vec::new();
        for answer in join_all(asked).await {
            match answer {
                Ok(some) => models.extend(some),
                Err(error) => call.host().warn(&format!("agent.backend.anthropic.models goes without some: {error}")),
            }
        }
        Ok(ModelsResult { models })
    }

    async fn models_of(&self, host: &Host, service: &Service) -> Result<Vec<Model>, MethodError> {
        let kept = |models: &BTreeMap<String, (Instant, Vec<Model>)>| {
            let (when, models) = models.get(&service.name)?;
            (when.elapsed() < self.models_kept_for).then(|| models.clone())
        };
        if let Some(models) = kept(&self.models.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(models);
        }
        // Without its key it is not in use, which is no news each time that somebody lists models.
        let Ok(key) = service.key(host).await else { return Ok(Vec::new()) };
        let mut answer = self.send(host, service, key.as_ref(), Verb::GET, "/v1/models?limit=1000", None).await?;
        let body = answer.body().await.map_err(|trouble| backend::from_trouble(service, trouble))?;
        let listed: Listed = serde_json::from_slice(&body)?;
        let is_main = std::ptr::eq(service, &self.main);
        let models = listed.data.iter().take(MOST_MODELS).filter_map(|model| {
            let id = model["id"].as_str().filter(|id| !id.is_empty())?;
            let name = model["display_name"].as_str().filter(|name| !name.is_empty()).unwrap_or(id);
            Some(Model {
                id: if is_main { id.to_string() } else { format!("{}/{id}", service.name) },
                name: name.to_string(),
                provider: "anthropic".to_string(),
                context_window: model["max_input_tokens"].as_u64().filter(|&tokens| tokens > 0),
            })
        });
        let models: Vec<Model> = models.collect();
        let mut all = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(service.name.clone(), (Instant::now(), models.clone()));
        Ok(models)
    }

    /// Sends a request and waits for the head of an answer that is one.
    async fn send(
        &self,
        host: &Host,
        service: &Service,
        key: Option<&Key>,
        verb: Verb,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<outside::http::Answer, MethodError> {
        let mut request = service.request(verb, path, body)?;
        request.headers_mut().insert("anthropic-version", HeaderValue::from_static(API_VERSION));
        if let Some(key) = key {
            secret_header(&mut request, "x-api-key", key.reveal())?;
        }
        let lost = |trouble: Trouble| backend::from_trouble(service, trouble);
        let answer = self.client.send(host, request).await.map_err(lost)?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(backend::from_refusal(service, answer, key, classify).await)
    }
}

/// Result of `agent.backend.anthropic.models`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ModelsResult {
    models: Vec<Model>,
}

/// A model, as `models.list` takes it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    id: String,
    name: String,
    provider: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_window: Option<u64>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    data: Vec<Value>,
}

/// A piece that cannot be sent is part of the result all the same.
fn send(call: &Call, piece: &Piece) {
    let _ = call.interim(piece);
}

/// What an error means, by its kind and its words.
fn classify(body: &str) -> Option<&'static str> {
    let body: Value = serde_json::from_str(body).ok()?;
    let message = body["error"]["message"].as_str().unwrap_or_default().to_ascii_lowercase();
    let is_too_long =
        ["prompt is too long", "context window", "context limit"].iter().any(|words| message.contains(words));
    match body["error"]["type"].as_str()? {
        "authentication_error" | "permission_error" | "billing_error" => Some(code::AUTH),
        "invalid_request_error" if message.contains("credit balance") => Some(code::AUTH),
        "not_found_error" => Some(code::UNKNOWN_MODEL),
        "rate_limit_error" => Some(code::RATE_LIMIT),
        "overloaded_error" | "api_error" | "timeout_error" => Some(code::OVERLOADED),
        "request_too_large" => Some(code::CONTEXT_LENGTH),
        "invalid_request_error" if is_too_long => Some(code::CONTEXT_LENGTH),
        "invalid_request_error" => Some(code::REFUSED),
        _ => None,
    }
}

fn error(broken: Broken, service: &Service, key: Option<&Key>) -> MethodError {
    match broken {
        Broken::Told(body) => {
            let code = classify(&body).unwrap_or(code::OVERLOADED);
            backend::told(service, code, &format!("amid the answer: {body}"), key)
        }
        Broken::Ununderstood(why) => backend::told(service, code::BROKEN_STREAM, &why, key),
    }
}

#[cfg(test)]
mod tests;
