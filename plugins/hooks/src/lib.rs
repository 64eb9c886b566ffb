//! Webhooks: other programs wake the main session, or start a run of an agent, by an HTTP request with a token of its own.
//!
//! Shut until `[plugins.hooks.config]` opens them and says the token. A token in the address is refused, since addresses end
//! up in logs. A hook with an idempotency key happens once, also when the gateway restarts in between.

mod guard;
mod mapping;
mod once;
mod order;
mod runs;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use plugin_api::abi::extension;
use plugin_api::http::{self, Exchange, HttpSpec, Response};
use plugin_api::{Call, CreateError, Host, Manifest, MethodError, Plugin, Reply, Setup, StartError};
use schemars::JsonSchema;
use schemas::error::code;
use serde::Deserialize;
use serde_json::{Value, json};

use guard::{Guard, Verdict};
use mapping::Mapping;
use once::{Once, Place};
use order::{AgentOrder, Order, WakeOrder};
use runs::Followed;

/// Largest body of a hook.
const MOST_BODY: u64 = 256 * 1024;
/// What the row lets through: more, so that who sends too much hears it in the hooks' own shape.
const ROW_BODY: u64 = 64 * 1024 * 1024;
/// Shortest token that is taken, in bytes.
const SHORTEST_TOKEN: usize = 16;

/// `[plugins.hooks.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HooksConfig {
    /// Whether hooks are answered.
    pub enabled: bool,
    /// A file that holds the token, and nothing else; an absolute path.
    pub token_file: Option<PathBuf>,
    /// The variable of the environment that holds the token.
    pub token_env: Option<String>,
    /// The token itself; a file or the environment keeps it better.
    pub token: Option<String>,
    /// Beginnings of the session keys that hooks may name, without `agent:<id>:`.
    pub session_prefixes: Vec<String>,
    /// Agents that hooks may name, the first for those that name none; if empty, any, and the default one.
    pub agents: Vec<String>,
    /// Hooks whose runs have not ended; one more is answered with 503.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_runs: usize,
    /// Idempotency keys that are remembered; the oldest are forgotten.
    #[schemars(range(min = 1, max = 4_000))]
    pub max_keys: usize,
    /// Wrong tokens within a minute after which an address is turned away for the rest of it.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_failures: u32,
    /// Sub-paths with a message of their own, by name.
    pub mappings: BTreeMap<String, Mapping>,
}

impl Default for HooksConfig {
    fn default() -> Self {
        HooksConfig {
            enabled: false,
            token_file: None,
            token_env: None,
            token: None,
            session_prefixes: vec!["hook:".to_string()],
            agents: Vec::new(),
            max_runs: 32,
            max_keys: 1_000,
            max_failures: 20,
            mappings: BTreeMap::new(),
        }
    }
}

impl HooksConfig {
    /// The token, from the one place that says it.
    fn secret(&mut self) -> Result<String, CreateError> {
        let token = match (self.token_file.take(), self.token_env.take(), self.token.take()) {
            (Some(file), None, None) if file.is_absolute() => std::fs::read_to_string(&file)
                .map_err(|error| CreateError::new(format!("token_file cannot be read: {error}")))?,
            (Some(_), None, None) => return Err(CreateError::new("token_file has to be an absolute path")),
            (None, Some(name), None) => {
                std::env::var(&name).map_err(|_| CreateError::new("token_env names a variable that is not set"))?
            }
            (None, None, Some(token)) => token,
            _ => {
                let why = "enabled = true needs one of token_file, token_env and token, and no two of them";
                return Err(CreateError::new(why));
            }
        };
        let token = token.trim().to_string();
        if token.len() < SHORTEST_TOKEN {
            return Err(CreateError::new(format!("the token has to have at least {SHORTEST_TOKEN} characters")));
        }
        Ok(token)
    }
}

/// The plugin.
pub struct Hooks {
    host: Host,
    config: HooksConfig,
    guard: Guard,
    once: Arc<Once>,
    followed: Followed,
}

impl Plugin for Hooks {
    fn manifest() -> Manifest {
        let row = HttpSpec::own_check("/hooks").verbs(&["POST"]).max_body(ROW_BODY);
        Manifest::new("hooks", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Webhooks: /hooks/*.")
            .requires(&[extension::EXEC, extension::INVOKE, extension::KV, extension::HTTP])
            .invokes(&["agent.run", "agent.runs", "agent.wait", "wake", "send", "send.deliver"])
            .config::<HooksConfig>()
            .http(row.summary("Wakes the main session or starts a run of an agent."))
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let mut config: HooksConfig = setup.config()?;
        for (name, mapping) in &config.mappings {
            mapping.check().map_err(|why| CreateError::new(format!("mappings.{name}.{why}")))?;
        }
        let secret = if config.enabled { Some(config.secret()?) } else { None };
        let guard = Guard::new(secret, config.max_failures);
        let once = Arc::new(Once::new(host.kv(), config.max_keys, config.max_runs));
        Ok(Hooks { host, config, guard, once, followed: Followed::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        self.follow_on();
        Ok(())
    }

    async fn call(self: Arc<Self>, _: Call) -> Reply {
        Reply::Error(MethodError::unavailable("hooks serves no method"))
    }

    async fn http(self: Arc<Self>, mut exchange: Exchange) -> http::Result {
        if !self.config.enabled {
            return exchange.respond(Response::status(404)).await;
        }
        if exchange.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("token="))) {
            let why = "a token in the address ends up in logs; send it as Authorization: Bearer";
            return exchange.respond(refused(400, why)).await;
        }
        match self.guard.look(&exchange) {
            Verdict::In => {}
            Verdict::Wrong(wait) => {
                if let Some(wait) = wait {
                    self.host.sleep(wait.length()).await;
                }
                let answer = Response::status(401).header("www-authenticate", "Bearer");
                return exchange.respond(answer).await;
            }
            Verdict::Locked(seconds) => {
                let answer = Response::status(429).header("retry-after", &seconds.to_string());
                return exchange.respond(answer).await;
            }
        }
        let Some(body) = body(&mut exchange).await? else {
            return exchange.respond(refused(413, "payload too large")).await;
        };
        let answer = self.answer(&exchange, &body).await;
        exchange.respond(answer.unwrap_or_else(|refusal| refusal)).await
    }

    async fn quiesce(&self) {
        // What agents do goes on; the next instance, or the next start, asks for its outcome.
        self.followed.end();
    }
}

plugin_api::plugin!(Hooks);

/// The body; nothing if it is too large.
async fn body(exchange: &mut Exchange) -> http::Result<Option<Vec<u8>>> {
    if exchange.body_len().is_some_and(|length| length > MOST_BODY) {
        return Ok(None);
    }
    let mut body = Vec::new();
    while let Some(chunk) = exchange.chunk().await? {
        if (body.len() + chunk.len()) as u64 > MOST_BODY {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

impl Hooks {
    async fn answer(self: &Arc<Self>, exchange: &Exchange, body: &[u8]) -> Result<Response, Response> {
        let body: Value = serde_json::from_slice(body).map_err(|_| refused(400, "the body has to be JSON"))?;
        let below = exchange.below().trim_matches('/');
        let order = match below {
            "wake" => Some(Order::Wake(WakeOrder::read(&body)?)),
            "agent" => Some(Order::Agent(Box::new(AgentOrder::read(&body)?))),
            name => match self.config.mappings.get(name) {
                Some(mapping) => mapping.order(name, &body)?,
                None => return Err(Response::status(404)),
            },
        };
        let Some(mut order) = order else { return Ok(Response::status(204)) };
        let key = match body["idempotencyKey"].as_str().or(exchange.header("idempotency-key")) {
            Some(key) if key.is_empty() || key.len() > 256 => {
                return Err(refused(400, "an idempotency key has 1 to 256 bytes"));
            }
            key => key,
        };
        if let Order::Agent(order) = &mut order {
            order.check(&self.config)?;
            order.name_agent(&self.config);
        }
        let place = match self.once.enter(below, key).await {
            Ok(Place::New(place)) => place,
            Ok(Place::Known(run_id)) => {
                let status = if matches!(order, Order::Wake(_)) { 200 } else { 202 };
                return Ok(
                    Response::json(&json!({ "ok": true, "runId": run_id, "duplicate": true })).with_status(status)
                );
            }
            Ok(Place::Undecided) => {
                let why = "the same hook is being taken; ask again in a moment";
                return Err(refused(503, why).header("retry-after", "1"));
            }
            Ok(Place::Full) => return Err(full()),
            Err(error) => {
                self.host.warn(&format!("a hook's key could not be kept: {error}"));
                return Err(refused(503, "the hook cannot be taken just now"));
            }
        };
        match order {
            Order::Wake(wake) => {
                let woken: Result<Value, MethodError> = self.host.invoke("wake", &wake).send().await;
                match woken {
                    Ok(_) => {
                        place.taken().await;
                        Ok(Response::json(&json!({ "ok": true, "mode": wake.mode })))
                    }
                    Err(error) => {
                        place.give_up().await;
                        Err(of_method(&error))
                    }
                }
            }
            Order::Agent(order) => self.run(*order, place).await,
        }
    }
}

/// A refusal in the hooks' shape.
fn refused(status: u16, why: &str) -> Response {
    Response::json(&json!({ "ok": false, "error": why })).with_status(status)
}

/// No place is left; with the limit where programs look for it, as in the gateway's own errors.
fn full() -> Response {
    let error = "too many hooks at once (max_runs)";
    let body = json!({ "ok": false, "error": error, "details": { "limit": "max_runs" } });
    Response::json(&body).with_status(503).header("retry-after", "1")
}

fn of_method(error: &MethodError) -> Response {
    let status = if error.shape().code == code::INVALID_REQUEST { 400 } else { 503 };
    refused(status, &error.shape().message)
}

#[cfg(test)]
mod tests;
