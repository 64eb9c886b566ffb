//! Doors for programs that speak HTTP rather than the gateway's protocol: OpenAI's chat completions and responses, each
//! answered by a run of an agent, and single methods as tools.
//!
//! All of them are shut until `[plugins.doors.config]` opens them, and then open to whoever shows the gateway's secret. A
//! client that goes before its answer is whole ends the run, since nobody else can want what comes of it.

mod answer;
mod chat;
mod content;
mod models;
mod refusal;
mod responses;
mod run;
mod target;
mod tools;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plugin_api::abi::extension;
use plugin_api::http::{self, Exchange, HttpSpec, Response};
use plugin_api::{Call, CreateError, Host, Manifest, MethodError, Plugin, Reply, Setup, StartError, Subscription};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use refusal::Refusal;
use responses::Conversations;
use run::Runs;

/// Largest body of a chat completion.
const CHAT_BODY: u64 = 1024 * 1024;
/// Largest body of a response, which may hold images and files.
const RESPONSES_BODY: u64 = 20 * 1024 * 1024;
/// Largest body of a tool's call.
const TOOLS_BODY: u64 = 2 * 1024 * 1024;
/// What the rows let through: more than the doors do, so that who sends too much hears it in the door's own shape. Nothing
/// of it is read beyond the door's own bound.
const ROW_BODY: u64 = 64 * 1024 * 1024;

/// `[plugins.doors.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DoorsConfig {
    /// Whether `/v1/chat/completions` answers.
    pub chat_completions: bool,
    /// Whether `/v1/responses` answers.
    pub responses: bool,
    /// Whether `/tools/invoke` answers.
    pub tools: bool,
    /// Methods that `/tools/invoke` may call, of those that are made for agents: names, or a prefix and `*`. If empty, those
    /// that only read.
    pub tools_allowed: Vec<String>,
    /// Runs of these doors at once; one more is answered with 429.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_runs: usize,
    /// Milliseconds until a run is given up and answered with 504.
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub run_timeout_ms: u64,
    /// Milliseconds of silence in a stream after which a comment tells proxies that it lives.
    #[schemars(range(min = 1_000, max = 3_600_000))]
    pub keep_alive_ms: u64,
    /// Largest answer of an agent, in bytes.
    #[schemars(range(min = 1_024))]
    pub max_answer_bytes: usize,
    /// Responses whose conversation `previous_response_id` can go on with; the oldest are forgotten.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_responses: usize,
}

impl Default for DoorsConfig {
    fn default() -> Self {
        DoorsConfig {
            chat_completions: false,
            responses: false,
            tools: false,
            tools_allowed: Vec::new(),
            max_runs: 32,
            run_timeout_ms: 600_000,
            keep_alive_ms: 15_000,
            max_answer_bytes: 4 * 1024 * 1024,
            max_responses: 1_024,
        }
    }
}

impl DoorsConfig {
    fn keep_alive(&self) -> Duration {
        Duration::from_millis(self.keep_alive_ms)
    }
}

/// The plugin.
pub struct Doors {
    host: Host,
    config: DoorsConfig,
    runs: Arc<Runs>,
    conversations: Conversations,
    ear: Mutex<Option<Subscription>>,
}

impl Plugin for Doors {
    fn manifest() -> Manifest {
        let post = |path: &str, summary: &str| {
            HttpSpec::gateway(path).verbs(&["POST"]).max_body(ROW_BODY).timeout_ms(0).summary(summary)
        };
        Manifest::new("doors", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("HTTP doors: /v1/chat/completions, /v1/responses, /v1/models, /tools/invoke.")
            .requires(&[extension::EXEC, extension::INVOKE, extension::EVENTS, extension::HTTP])
            // Any method may be a tool; which are called is the configuration's to say.
            .invokes(&["*"])
            .hears(&["agent"])
            .config::<DoorsConfig>()
            .http(post("/v1/chat/completions", "OpenAI's chat completions, answered by an agent."))
            .http(post("/v1/responses", "OpenAI's responses, answered by an agent."))
            .http(HttpSpec::gateway("/v1/models").summary("The agents, as models."))
            .http(post("/tools/invoke", "Calls one method that is made for agents."))
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: DoorsConfig = setup.config()?;
        let runs = Arc::new(Runs::new(config.max_runs, config.max_answer_bytes));
        let conversations = Conversations::new(config.max_responses);
        Ok(Doors { host, config, runs, conversations, ear: Mutex::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        if self.config.chat_completions || self.config.responses {
            let runs = self.runs.clone();
            let ear = self.host.subscribe("agent", move |event| runs.hear(&event))?;
            *self.ear.lock().unwrap_or_else(PoisonError::into_inner) = Some(ear);
        }
        Ok(())
    }

    async fn call(self: Arc<Self>, _: Call) -> Reply {
        Reply::Error(MethodError::unavailable("doors serves no method"))
    }

    async fn http(self: Arc<Self>, exchange: Exchange) -> http::Result {
        let config = &self.config;
        let (route, whole) = (exchange.route().to_string(), exchange.below().is_empty());
        match route.as_str() {
            "/v1/chat/completions" if config.chat_completions && whole => chat::answer(&self, exchange).await,
            "/v1/responses" if config.responses && whole => responses::answer(&self, exchange).await,
            "/v1/models" if config.chat_completions || config.responses => models::answer(&self, exchange).await,
            "/tools/invoke" if config.tools && whole => tools::answer(&self, exchange).await,
            _ => exchange.respond(Response::status(404)).await,
        }
    }
}

plugin_api::plugin!(Doors);

/// The body as an object. Only what calls itself JSON is read: a page of another origin cannot send that unasked.
async fn object(exchange: &mut Exchange, most: u64) -> http::Result<Result<Value, Refusal>> {
    let kind = exchange.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind != "application/json" {
        return Ok(Err(Refusal::new(415, "the content type has to be application/json")));
    }
    let too_large = || Err(Refusal::new(413, format!("the body is larger than {most} bytes")));
    if exchange.body_len().is_some_and(|length| length > most) {
        return Ok(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = exchange.chunk().await? {
        if (body.len() + chunk.len()) as u64 > most {
            return Ok(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    let parsed: Result<Value, _> = serde_json::from_slice(&body);
    Ok(match parsed {
        Ok(value) if value.is_object() => Ok(value),
        Ok(_) => Err(Refusal::new(400, "the body has to be a JSON object")),
        Err(error) => {
            Err(Refusal::new(400, format!("the body is not JSON: line {}, column {}", error.line(), error.column())))
        }
    })
}

#[cfg(test)]
mod tests;
