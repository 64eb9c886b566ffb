//! Chat: people talk to agents, and everybody who looks at the conversation sees the same of it.
//!
//! A message starts a run with the method `agent`, on behalf of whoever sent it. What the run says comes as `agent` events,
//! many a second; from them the plugin makes the event `chat`, at most one each moment and exactly one at the end, for runs
//! that it started and for all others alike. History is what the store of sessions has; nothing is kept here but what runs,
//! and for a while how it ended, so that a message which is sent again is not answered again.

mod attachments;
mod channel;
mod envelope;
mod event;
mod heard;
mod history;
mod lost;
mod params;
mod runs;
mod send;

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use plugin_api::abi::extension;
use plugin_api::{
    Call, CreateError, EventSpec, Host, HostError, Manifest, Method, Methods, Plugin, Reply, Setup, Spawned,
    StartError, Subscription,
};
use schemars::JsonSchema;
use schemas::scope::{ADMIN, READ, WRITE};
use serde::Deserialize;

use event::ChatEvent;
use runs::Book;

/// What an agent's run says, step by step.
const AGENT: &str = "agent";
/// What of it those see who follow a conversation.
const CHAT: &str = "chat";
const SEND: &str = "chat.send";
/// Deciding about questions of agents.
const QUESTIONS: &str = "operator.questions";

/// `[plugins.chat.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChatConfig {
    /// Milliseconds between two `chat` events in which the answer of one run grows.
    #[schemars(range(min = 10, max = 10_000))]
    pub delta_interval_ms: u64,
    /// Most runs that are followed at once. More messages are refused; of runs that others started, the oldest one is no
    /// longer followed.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_runs: usize,
    /// Milliseconds for which it is remembered how a run ended, and so for which a repeated message is not answered again.
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub outcome_ttl_ms: u64,
    /// Most ends of runs that are remembered.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_outcomes: usize,
    /// Largest attachment, in bytes, once it is decoded.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_attachment_bytes: usize,
}

impl Default for ChatConfig {
    fn default() -> Self {
        ChatConfig {
            delta_interval_ms: 150,
            max_runs: 1000,
            outcome_ttl_ms: 300_000,
            max_outcomes: 1000,
            max_attachment_bytes: 5_000_000,
        }
    }
}

/// The plugin.
pub struct Chat {
    host: Host,
    config: ChatConfig,
    runs: Mutex<Book>,
    subscription: Mutex<Option<Subscription>>,
    looking: Mutex<Option<Spawned>>,
}

static METHODS: LazyLock<Methods<Chat>> = LazyLock::new(|| {
    let reading = |name| Method::operator(name, &[READ]);
    Methods::new()
        .add(
            Method::operator(SEND, &[WRITE])
                .summary("Says something to an agent.")
                .description(
                    "The answer says that the agent is at work; what it says comes as `chat` events, whose `runId` is the \
                     idempotency key. /stop and its likes stop what runs in the session instead.",
                )
                .effects()
                .keyed()
                .detached(),
            Chat::send,
        )
        .add(
            Method::operator("chat.abort", &[WRITE])
                .summary("Stops a run of a session, or all of them.")
                .effects(),
            Chat::abort,
        )
        .add(reading("chat.history").summary("What was said in a session, oldest first."), Chat::history)
        .add(
            reading("chat.startup").summary("What a page needs to show a session: history, its row, defaults."),
            Chat::startup,
        )
        .add(reading("chat.metadata").summary("Models and commands that a session can choose from."), Chat::metadata)
        .add(reading("commands.list").summary("Commands that agents understand: none but those of chat itself."), Chat::commands)
        .add(
            Method::operator("question.list", &[QUESTIONS]).summary("Questions of agents that wait for an answer: none."),
            Chat::questions,
        )
        .add(
            Method::operator("chat.inject", &[ADMIN])
                .summary("Puts a message into a session as if its agent had said it.")
                .effects(),
            Chat::inject,
        )
        .add(
            Method::internal("channel.webchat.send").summary("Shows a message to whoever follows a session.").effects(),
            Chat::channel_send,
        )
});

impl Plugin for Chat {
    fn manifest() -> Manifest {
        Manifest::new("chat", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Lets operators talk to agents, and shows each what the others see.")
            .requires(&[extension::EXEC, extension::INVOKE, extension::CALLER])
            .invokes(&[
                "agent",
                "agent.abort",
                "agent.runs",
                "agent.wait",
                "models.list",
                "session.store.*",
                "sessions.describe",
                "sessions.list",
            ])
            .hears(&[AGENT])
            .config::<ChatConfig>()
            .methods(&METHODS)
            .event(
                EventSpec::operator(CHAT, &[READ])
                    .summary("An agent's answer grows, is there, failed or was stopped.")
                    .payload::<ChatEvent>(),
            )
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: ChatConfig = setup.config()?;
        let runs = Mutex::new(Book::new(&config));
        Ok(Chat { host, config, runs, subscription: Mutex::default(), looking: Mutex::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let chat: Weak<Self> = Arc::downgrade(&self);
        let subscription = self.host.subscribe(AGENT, move |event| {
            if let Some(chat) = chat.upgrade() {
                chat.heard(&event);
            }
        })?;
        *self.subscription.lock().unwrap_or_else(PoisonError::into_inner) = Some(subscription);
        *self.looking.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.look_for_lost());
        Ok(())
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        let is_send = call.method() == SEND;
        let reply = METHODS.dispatch(self, call).await;
        if is_send { send::with_its_error(reply) } else { reply }
    }

    async fn quiesce(&self) {
        // The next instance follows the runs from now on; two would tell everything twice.
        self.subscription.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.runs().close();
        let looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(looking) = looking {
            looking.cancel();
        }
    }
}

plugin_api::plugin!(Chat);

impl Chat {
    fn runs(&self) -> MutexGuard<'_, Book> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody. Called under the lock of the runs, so that all see a run's events in one order.
    fn emit(&self, event: &ChatEvent) {
        let emit = self.host.event(CHAT);
        let emit = if event.is_delta() { emit.droppable() } else { emit };
        match emit.send(event) {
            // Nobody is there to hear it.
            Ok(()) | Err(HostError::Gone) => {}
            Err(error) => self.host.warn(&format!("{CHAT} of run {:?} was not sent: {error}", event.run_id)),
        }
    }
}

#[cfg(test)]
mod tests;
