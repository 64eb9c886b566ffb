//! `agent.backend.openai.run` and `.models`: every server with OpenAI's API, its own and those of other people (Ollama,
//! llama.cpp, vLLM, LM Studio).
//!
//! The main service is OpenAI's own unless configured otherwise; further ones have a name each, and a model whose first
//! segment is that name is theirs: `ollama/llama3.2`. `request` makes a conversation into what the API takes,
//! `answer` makes an answer of its stream.

mod answer;
mod request;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use outside::backend;
use outside::http::{Client, Limits, Trouble};
use outside::service::{Key, Service, ServiceConfig, choose, secret_header};
use outside::{Method as Verb, sse};
use plugin_api::abi::extension;
use plugin_api::contracts::backend::{BackendResult, BackendRun, code};
use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use answer::Assembly;

/// OpenAI's own address.
const OPENAI: &str = "https://api.openai.com/v1";
/// Where its key is, if nothing else is said. It is for that address only.
const OPENAI_KEY: &str = "OPENAI_API_KEY";
/// Services that can be configured beside the main one.
const MOST_PROVIDERS: usize = 32;
/// Models that are taken over from one service.
const MOST_MODELS: usize = 1_000;

/// `[plugins.openai.config]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OpenaiConfig {
    /// Address of the main service, without `/chat/completions`.
    pub base_url: String,
    /// A file that holds its key, with access for its owner only; an absolute path.
    pub api_key_file: Option<String>,
    /// The variable of the environment that holds its key; OPENAI_API_KEY for OpenAI's own address if neither is set.
    pub api_key_env: Option<String>,
    /// The model that answers when none is named.
    pub model: Option<String>,
    /// Headers to send along.
    pub headers: BTreeMap<String, String>,
    /// Further services by name. A model whose first segment is that name is theirs.
    pub providers: BTreeMap<String, ServiceConfig>,
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

impl Default for OpenaiConfig {
    fn default() -> Self {
        OpenaiConfig {
            base_url: OPENAI.to_string(),
            api_key_file: None,
            api_key_env: None,
            model: None,
            headers: BTreeMap::new(),
            providers: BTreeMap::new(),
            connect_timeout_ms: 10_000,
            stall_timeout_ms: 300_000,
            max_response_bytes: 16 * 1024 * 1024,
            models_cache_ms: 300_000,
        }
    }
}

/// The plugin.
pub struct Openai {
    client: Client,
    main: Service,
    others: BTreeMap<String, Service>,
    models_kept_for: Duration,
    /// By service; there are as many as services at most.
    models: Mutex<BTreeMap<String, (Instant, Vec<Model>)>>,
}

static METHODS: LazyLock<Methods<Openai>> = LazyLock::new(|| {
    Methods::new()
        .add(
            Method::internal("agent.backend.openai.run")
                .summary("Has a model of a server with OpenAI's API answer a conversation.")
                .interim()
                .timeout_ms(0),
            Openai::run,
        )
        .add(
            Method::internal("agent.backend.openai.models").summary("Models of these servers, as far as they answer."),
            Openai::list,
        )
});

impl Plugin for Openai {
    fn manifest() -> Manifest {
        Manifest::new("openai", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Agent backend: every server with OpenAI's API.")
            .requires(&[extension::EXEC])
            .config::<OpenaiConfig>()
            .methods(&METHODS)
    }

    fn create(_: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: OpenaiConfig = setup.config()?;
        if config.providers.len() > MOST_PROVIDERS {
            return Err(CreateError::new(format!("providers: at most {MOST_PROVIDERS} are possible")));
        }
        let limits = Limits {
            connect: Duration::from_millis(config.connect_timeout_ms),
            stall: Duration::from_millis(config.stall_timeout_ms),
            max_bytes: config.max_response_bytes,
        };
        let is_openai = config.base_url.trim().trim_end_matches('/') == OPENAI;
        let default_key = (is_openai && config.api_key_file.is_none()).then(|| OPENAI_KEY.to_string());
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
        Ok(Openai {
            client: Client::new(limits),
            main: Service::new("openai", "", &main)?,
            others,
            models_kept_for: Duration::from_millis(config.models_cache_ms),
            models: Mutex::default(),
        })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Openai, runtime = tokio);

impl Openai {
    async fn run(self: Arc<Self>, call: Call, run: BackendRun) -> Result<BackendResult, MethodError> {
        let (service, model) = choose(&self.main, &self.others, run.model.as_deref())?;
        let key = service.key(call.host()).await?;
        let body = request::body(&run, model, service.base() == OPENAI);
        let mut request = service.request(Verb::POST, "/chat/completions", Some(serde_json::to_vec(&body)?))?;
        if let Some(key) = &key {
            secret_header(&mut request, "authorization", &format!("Bearer {}", key.reveal()))?;
        }
        let lost = |trouble: Trouble| backend::from_trouble(service, trouble);
        let mut answer = self.client.send(call.host(), request).await.map_err(lost)?;
        if !answer.status().is_success() {
            return Err(backend::from_refusal(service, answer, key.as_ref(), classify).await);
        }
        let mut assembly = Assembly::new(model, run.messages.len());
        let broken = |why: answer::Broken| why.into_error(service, key.as_ref());
        // Who cannot stream answers in one piece.
        let content_type = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if content_type.starts_with("application/json") {
            let body = answer.body().await.map_err(lost)?;
            let pieces = assembly.take(&String::from_utf8_lossy(&body), &service.name).map_err(broken)?;
            pieces.iter().for_each(|piece| send(&call, piece));
        } else {
            let mut parser = sse::Parser::default();
            'stream: loop {
                let chunk = match answer.chunk().await {
                    // What would follow is of no more use.
                    Err(_) if assembly.is_whole() => break,
                    chunk => chunk.map_err(lost)?,
                };
                let events = match &chunk {
                    Some(chunk) => parser.push(chunk),
                    None => parser.finish().into_iter().collect(),
                };
                for event in events {
                    if event.data.trim() == "[DONE]" {
                        assembly.done();
                        break 'stream;
                    }
                    let pieces = assembly.take(&event.data, &service.name).map_err(broken)?;
                    pieces.iter().for_each(|piece| send(&call, piece));
                }
                if chunk.is_none() {
                    break;
                }
            }
        }
        assembly.finish(&service.name).map_err(broken)
    }

    async fn list(self: Arc<Self>, call: Call, _: NoParams) -> Result<ModelsResult, MethodError> {
        let services = std::iter::once(&self.main).chain(self.others.values());
        let asked =
            services.map(|service| backend::models_in_time(call.host(), service, self.models_of(call.host(), service)));
        let mut models = Vec::new();
        for answer in join_all(asked).await {
            match answer {
                Ok(some) => models.extend(some),
                Err(error) => call.host().warn(&format!("agent.backend.openai.models goes without some: {error}")),
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
        let mut request = service.request(Verb::GET, "/models", None)?;
        if let Some(key) = &key {
            secret_header(&mut request, "authorization", &format!("Bearer {}", key.reveal()))?;
        }
        let lost = |trouble: Trouble| backend::from_trouble(service, trouble);
        let mut answer = self.client.send(host, request).await.map_err(lost)?;
        if !answer.status().is_success() {
            return Err(backend::from_refusal(service, answer, key.as_ref(), classify).await);
        }
        let body = answer.body().await.map_err(lost)?;
        let listed: Listed = serde_json::from_slice(&body)?;
        let is_main = std::ptr::eq(service, &self.main);
        let models = listed.data.iter().take(MOST_MODELS).filter_map(|model| {
            let id = model["id"].as_str().filter(|id| !id.is_empty())?;
            let window =
                ["context_window", "context_length", "max_model_len"].iter().find_map(|name| model[*name].as_u64());
            Some(Model {
                id: if is_main { id.to_string() } else { format!("{}/{id}", service.name) },
                name: id.to_string(),
                provider: "openai".to_string(),
                context_window: window.filter(|&tokens| tokens > 0),
            })
        });
        let models: Vec<Model> = models.collect();
        let mut all = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(service.name.clone(), (Instant::now(), models.clone()));
        Ok(models)
    }
}

/// Result of `agent.backend.openai.models`.
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
fn send(call: &Call, piece: &plugin_api::contracts::backend::Piece) {
    let _ = call.interim(piece);
}

/// What an error's body says that its status does not.
fn classify(body: &str) -> Option<&'static str> {
    let body: Value = serde_json::from_str(body).ok()?;
    let error = if body["error"].is_null() { &body } else { &body["error"] };
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_ascii_lowercase();
    let (kind, named) = (text("type"), text("code"));
    // Some tell a sentence where others have an object.
    let message = error.as_str().map_or_else(|| text("message"), str::to_ascii_lowercase);
    let says = |words: &[&str]| words.iter().any(|word| named == *word || kind == *word);
    let message_says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["context_length_exceeded", "exceed_context_size_error"])
        || message_says(&["maximum context length", "context window", "context size", "context length"])
    {
        Some(code::CONTEXT_LENGTH)
    } else if says(&["model_not_found"])
        || (message.contains("model") && message_says(&["not found", "does not exist"]))
    {
        Some(code::UNKNOWN_MODEL)
    } else if says(&["insufficient_quota", "invalid_api_key", "authentication_error"]) {
        // Without money a key is as good as none, and waiting does not help.
        Some(code::AUTH)
    } else if says(&["rate_limit_exceeded", "rate_limit_error"]) {
        Some(code::RATE_LIMIT)
    } else if says(&["server_error", "overloaded_error", "service_unavailable"]) {
        Some(code::OVERLOADED)
    } else {
        None
    }
}

impl answer::Broken {
    fn into_error(self, service: &Service, key: Option<&Key>) -> MethodError {
        match self {
            answer::Broken::Told(body) => {
                let code = classify(&body).unwrap_or(code::OVERLOADED);
                backend::told(service, code, &format!("amid the answer: {body}"), key)
            }
            answer::Broken::Ununderstood(why) => backend::told(service, code::BROKEN_STREAM, &why, key),
        }
    }
}

#[cfg(test)]
mod tests;
