//! Messages to people: `send` and `poll` for clients and agents, `send.deliver` for other plugins.
//!
//! No channel is known here. One can be sent to when its plugin declares the internal method `channel.<id>.send`. What is
//! handed to a channel is written down before (`ledger`), so that a message goes out once, also across a crash.

mod ledger;
mod params;
mod place;
mod routes;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use plugin_api::abi::extension;
use plugin_api::contracts::channel::{
    BAD_TARGET, Deliver, Delivered, NOT_SENT, OUTCOME_UNKNOWN, Poll, Resolve, Resolved, Send as ToSend, Sent,
};
use plugin_api::contracts::run::{AgentId, AgentRecord};
use plugin_api::contracts::session::{AppendMessages, Appended};
use plugin_api::contracts::{Message, role};
use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, Plugin, Reply, Setup};
use schemars::JsonSchema;
use schemas::{error::code, scope};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use ledger::{Entry, Ledger};
use params::{PollParams, SendParams};
use routes::Routes;

/// `[plugins.send.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SendConfig {
    /// The channel of messages that name none. Without it, the only one that there is.
    pub default_channel: Option<String>,
    /// Other names of channels, each with the channel's id.
    pub aliases: BTreeMap<String, String>,
    /// Whether files may be named by http addresses of this machine.
    pub local_media: bool,
    /// Milliseconds that a channel may take for a message.
    #[schemars(range(min = 1000, max = 600_000))]
    pub timeout_ms: u64,
    /// Messages that are remembered, so that they do not go out twice. They count against gateway.limits.kv_bytes.
    #[schemars(range(min = 16, max = 100_000))]
    pub max_remembered: usize,
    /// Most bytes of a text.
    #[schemars(range(min = 1))]
    pub max_text_bytes: usize,
    /// Most files of a message.
    pub max_media: usize,
}

impl Default for SendConfig {
    fn default() -> Self {
        SendConfig {
            default_channel: None,
            aliases: BTreeMap::new(),
            local_media: false,
            timeout_ms: 60_000,
            max_remembered: 1000,
            max_text_bytes: 256 * 1024,
            max_media: 10,
        }
    }
}

/// How long a channel may look for a target.
const TO_RESOLVE: Duration = Duration::from_secs(15);
/// How long a session may take to note what was sent.
const TO_MIRROR: Duration = Duration::from_secs(10);
/// How long all of a call may take: longer than its parts together.
const WHOLE_MS: u64 = 660_000;
/// The agent that a session derived from a route belongs to when no agent can be asked for.
const MAIN: &str = "main";

/// The plugin.
pub struct Send {
    host: Host,
    config: SendConfig,
    ledger: Ledger,
}

static METHODS: LazyLock<Methods<Send>> = LazyLock::new(|| {
    Methods::new()
        .add(
            Method::operator("send", &[scope::WRITE])
                .summary("Sends a message to people over a message channel.")
                .description(
                    "Without `channel`, over the default one. The text is noted in the transcript of `sessionKey`, or of a \
                     session named after channel and target. Files are named by https addresses.",
                )
                .effects()
                .replayed()
                .detached()
                .timeout_ms(WHOLE_MS)
                .tool(),
            Send::send,
        )
        .add(
            Method::operator("poll", &[scope::WRITE])
                .summary("Asks people a question with answers to choose from.")
                .effects()
                .replayed()
                .detached()
                .timeout_ms(WHOLE_MS),
            Send::poll,
        )
        .add(
            Method::internal("send.deliver")
                .summary("Sends a message to people for another plugin, once.")
                .effects()
                .timeout_ms(WHOLE_MS),
            Send::deliver,
        )
});

impl Plugin for Send {
    fn manifest() -> Manifest {
        Manifest::new("send", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Sends messages to people over whichever channels there are.")
            .requires(&[extension::EXEC, extension::INVOKE, extension::CALLER, extension::KV])
            .invokes(&["host.registry.list", "channel.*", "session.store.append", "session.store.open", "agents.get"])
            .config::<SendConfig>()
            .methods(&METHODS)
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: SendConfig = setup.config()?;
        let ledger = Ledger::new(host.kv(), config.max_remembered);
        Ok(Send { host, config, ledger })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + std::marker::Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Send);

/// What is on its way: where to, and how.
struct Route {
    channel: String,
    to: String,
    chat_type: Option<String>,
}

impl Send {
    async fn send(self: Arc<Self>, call: Call, params: SendParams) -> Result<Delivered, MethodError> {
        let agent = params.agent_id.clone();
        let mirror = params.session_key.clone().filter(|key| !key.trim().is_empty());
        let gif_playback = params.gif_playback.unwrap_or(false);
        let deliver = params.into_deliver()?;
        let route = self.route(&call, &deliver).await?;
        let delivered = self.hand_over(&call, &route, &deliver, gif_playback).await?;
        let session = match mirror {
            Some(key) => key,
            None => self.session_of(&call, &route, agent).await,
        };
        self.mirror(&call, &session, &route, &deliver).await;
        Ok(delivered)
    }

    async fn deliver(self: Arc<Self>, call: Call, deliver: Deliver) -> Result<Delivered, MethodError> {
        let is_named = deliver.to.is_some();
        let deliver = self.placed(&call, deliver).await?;
        let route = self.route(&call, &deliver).await?;
        let mut delivered = self.hand_over(&call, &route, &deliver, false).await?;
        delivered.to = deliver.to.clone().filter(|_| !is_named);
        if let Some(session) = &deliver.mirror_to {
            self.mirror(&call, session, &route, &deliver).await;
        }
        Ok(delivered)
    }

    async fn poll(self: Arc<Self>, call: Call, params: PollParams) -> Result<Delivered, MethodError> {
        let channel = Routes::ask(&call).await?.poll(params.channel.as_deref(), &self.config)?;
        let route = self.resolve(&call, channel, &params.to, params.account_id.as_deref()).await?;
        let key = params.idempotency_key.clone();
        let poll = Poll {
            to: route.to.clone(),
            question: params.question,
            options: params.options,
            max_selections: params.max_selections,
            duration_hours: params.duration_hours,
            account_id: params.account_id,
            idempotency_key: key.clone(),
        };
        self.once(&call, &format!("poll/{key}"), &key, &route.channel, "poll", &poll).await
    }

    /// Where a message goes, after everything about it that can be wrong.
    async fn route(&self, call: &Call, deliver: &Deliver) -> Result<Route, MethodError> {
        params::check(deliver, &self.config)?;
        let channel = Routes::ask(call).await?.send(deliver.channel.as_deref(), &self.config)?;
        let to = deliver.to.as_deref().unwrap_or_default();
        self.resolve(call, channel, to, deliver.account_id.as_deref()).await
    }

    async fn resolve(
        &self,
        call: &Call,
        channel: routes::Channel,
        to: &str,
        account_id: Option<&str>,
    ) -> Result<Route, MethodError> {
        let to = to.trim();
        if !channel.resolves {
            return Ok(Route { channel: channel.id, to: to.to_string(), chat_type: None });
        }
        let resolve = Resolve { to: to.to_string(), account_id: account_id.map(str::to_string) };
        let method = format!("channel.{}.resolve", channel.id);
        let resolved: Resolved = call.invoke(&method, &resolve).with_own_grants().timeout(TO_RESOLVE).send().await?;
        Ok(Route { channel: channel.id, to: resolved.to, chat_type: resolved.chat_type })
    }

    async fn hand_over(
        &self,
        call: &Call,
        route: &Route,
        deliver: &Deliver,
        gif_playback: bool,
    ) -> Result<Delivered, MethodError> {
        let message = ToSend {
            to: route.to.clone(),
            text: deliver.text.clone(),
            media: deliver.media.clone(),
            account_id: deliver.account_id.clone(),
            thread_id: deliver.thread_id.clone(),
            reply_to: deliver.reply_to.clone(),
            silent: deliver.silent,
            gif_playback,
            idempotency_key: deliver.idempotency_key.clone(),
        };
        let key = &deliver.idempotency_key;
        // A client's key and another plugin's are no duplicates of each other, even when they are spelled alike.
        let kind = if call.conn().is_some() { "send" } else { "deliver" };
        self.once(call, &format!("{kind}/{key}"), key, &route.channel, "send", &message).await
    }

    /// Hands something to a channel unless that was done before, and writes down how it went.
    async fn once<T: Serialize>(
        &self,
        call: &Call,
        row: &str,
        key: &str,
        channel: &str,
        what: &str,
        message: &T,
    ) -> Result<Delivered, MethodError> {
        let _turn = self.ledger.enter(row)?;
        match self.ledger.read(row)? {
            Some(Entry::Sent { channel, sent }) => return Ok(delivered(key, channel, sent)),
            Some(Entry::HandingOver { .. }) => return Err(unknown()),
            None => self.ledger.write(row, &Entry::HandingOver { channel: channel.to_string() }).await?,
        }
        let method = format!("channel.{channel}.{what}");
        let timeout = Duration::from_millis(self.config.timeout_ms);
        let answer = call.invoke(&method, message).with_own_grants().timeout(timeout).send::<Sent>().await;
        match answer {
            Ok(sent) => {
                let entry = Entry::Sent { channel: channel.to_string(), sent: sent.clone() };
                // It went out. That this cannot be written down makes a repetition unknown, not this one a failure.
                if let Err(error) = self.ledger.write(row, &entry).await {
                    self.host.warn(&format!("what {channel} sent could not be written down: {error}"));
                }
                Ok(delivered(key, channel.to_string(), sent))
            }
            Err(error) if surely_not_sent(&error) => {
                self.ledger.remove(row).await?;
                Err(error)
            }
            Err(error) => {
                self.host.warn(&format!("whether {channel} sent a message is unknown: {error}"));
                let message = error.shape().message.clone();
                Err(MethodError::unavailable(message).with_details(json!({ "code": OUTCOME_UNKNOWN })))
            }
        }
    }

    /// The session named after the route: `agent:<agent>:<channel>:<kind>:<to>`.
    async fn session_of(&self, call: &Call, route: &Route, agent: Option<String>) -> String {
        let agent = match agent.filter(|agent| !agent.trim().is_empty()) {
            Some(agent) => agent,
            None => {
                let asked = call.invoke("agents.get", &AgentId::default()).with_own_grants().timeout(TO_MIRROR);
                asked.send::<AgentRecord>().await.map_or_else(|_| MAIN.to_string(), |record| record.agent_id)
            }
        };
        let kind = route.chat_type.as_deref().unwrap_or("direct");
        format!("agent:{agent}:{}:{kind}:{}", route.channel, route.to).to_lowercase()
    }

    /// Notes what was sent in a session. The message is out already: a failure is for the log.
    async fn mirror(&self, call: &Call, session: &str, route: &Route, deliver: &Deliver) {
        let mut text = deliver.text.clone();
        for address in deliver.media.iter().filter_map(|media| media.url.as_deref()) {
            let gap = if text.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{gap}{address}"));
        }
        let mut message = Message::text(role::ASSISTANT, text);
        message.id = Some(format!("delivery-{}", deliver.idempotency_key));
        message.timestamp = Some(schemas::now_ms());
        message.stop_reason = Some("injected".to_string());
        let mut set = Map::new();
        set.insert("lastChannel".to_string(), json!(route.channel));
        set.insert("lastTo".to_string(), json!(route.to));
        for (name, value) in [("lastAccountId", &deliver.account_id), ("lastThreadId", &deliver.thread_id)] {
            if let Some(value) = value {
                set.insert(name.to_string(), json!(value));
            }
        }
        let append = AppendMessages { key: session.to_string(), session_id: None, messages: vec![message], set };
        let answer = call.invoke("session.store.append", &append).with_own_grants().timeout(TO_MIRROR);
        if let Err(error) = answer.send::<Appended>().await {
            self.host.warn(&format!("a message that was sent could not be noted in its session: {error}"));
        }
    }
}

fn delivered(key: &str, channel: String, sent: Sent) -> Delivered {
    Delivered { run_id: key.to_string(), channel, to: None, sent }
}

/// Whether a channel said that its service has nothing: by its code, or because the request itself was refused.
fn surely_not_sent(error: &MethodError) -> bool {
    let said = error.shape().details.as_ref().and_then(|details| details["code"].as_str());
    match said {
        Some(said) => said == NOT_SENT || said == BAD_TARGET,
        None => error.shape().code == code::INVALID_REQUEST,
    }
}

fn unknown() -> MethodError {
    MethodError::unavailable("the message was handed to the channel before, and nobody knows whether it went out")
        .with_details(json!({ "code": OUTCOME_UNKNOWN }))
}

#[cfg(test)]
mod tests;
