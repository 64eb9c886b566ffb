//! The message channel `telegram`: bots, through Telegram's Bot API, or a server of one's own that speaks it.
//!
//! `intake` takes what comes in, by long polling or by a webhook, and hands it to `channels.inbound`; `outbound` cuts,
//! renders and sends what goes out; `api` makes the requests, `shapes` is what is read of the answers, `account` how a bot
//! stands. Without a token the plugin loads and says so in its status.
//!
//! No crate with the Bot API's types is used. Those there are read an update all or not at all, so that a kind that
//! Telegram adds makes a whole batch unreadable, and with it everything that comes after; and they are hundreds of types
//! where this needs two dozen, of which it wants to read as little as it can.

mod account;
mod api;
mod config;
mod cut;
mod format;
mod inbound;
mod intake;
mod media;
mod outbound;
mod resolve;
mod shapes;
#[cfg(any(test, feature = "stand-in"))]
pub mod stand_in;
mod status;
mod target;
mod webhook;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use plugin_api::abi::extension;
use plugin_api::contracts::channel::{
    Account as Named, LoggedOut, Poll, Query, Report, Resolve, Resolved, Send as ToSend, Sent, Typing,
};
use plugin_api::http::{self, Exchange, HttpSpec};
use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, Plugin, Reply, Setup, StartError};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use account::Account;
use api::Lines;
pub use config::{AccountConfig, Mode, TelegramConfig, TextFormat};
use resolve::Chats;
use target::Target;

/// How long `channels.inbound` may take for a message.
const TO_TAKE: Duration = Duration::from_secs(30);
/// How long a message may take to be sent, where the caller does not say.
const TO_SEND_MS: u64 = 600_000;

/// The plugin.
pub struct Telegram {
    host: Host,
    config: TelegramConfig,
    lines: Lines,
    accounts: Vec<Account>,
    default_account: String,
    chats: Chats,
    ending: AtomicBool,
}

static METHODS: LazyLock<Methods<Telegram>> = LazyLock::new(|| {
    Methods::new()
        .add(
            Method::internal("channel.telegram.send")
                .summary("Sends a message to a chat of Telegram.")
                .description(
                    "to is a number, @name of a public group or channel, and :topic:<number> after either. A long text \
                     becomes several messages; markdown is shown as such unless text_format says otherwise.",
                )
                .effects()
                .timeout_ms(TO_SEND_MS),
            Telegram::send,
        )
        .add(
            Method::internal("channel.telegram.poll")
                .summary("Asks a chat of Telegram a question with answers to choose from.")
                .effects()
                .timeout_ms(TO_SEND_MS),
            Telegram::poll,
        )
        .add(
            Method::internal("channel.telegram.resolve").summary("Whom a target means, as a person wrote it."),
            Telegram::resolve,
        )
        .add(
            Method::internal("channel.telegram.typing")
                .summary("Shows for a few seconds that the bot writes.")
                .effects(),
            Telegram::typing,
        )
        .add(Method::internal("channel.telegram.status").summary("How the bots are doing."), Telegram::status)
        .add(
            Method::internal("channel.telegram.start")
                .summary("Takes a bot's messages again, also beyond a restart.")
                .effects(),
            Telegram::start_account,
        )
        .add(
            Method::internal("channel.telegram.stop")
                .summary("Takes no more of a bot's messages, also beyond a restart.")
                .effects(),
            Telegram::stop_account,
        )
        .add(
            Method::internal("channel.telegram.logout")
                .summary("Stops a bot and forgets what is kept of it.")
                .description("Its token is configuration, and stays where it is.")
                .effects(),
            Telegram::logout,
        )
});

impl Plugin for Telegram {
    fn manifest() -> Manifest {
        let row = HttpSpec::own_check(webhook::PATH).verbs(&["POST"]);
        let row = row.max_body(webhook::MOST_BODY).timeout_ms(webhook::TIMEOUT_MS);
        Manifest::new("telegram", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Message channel: Telegram, through its Bot API.")
            .requires(&[extension::EXEC, extension::INVOKE, extension::KV, extension::HTTP])
            .invokes(&["channels.inbound"])
            .opt_in()
            .config::<TelegramConfig>()
            .methods(&METHODS)
            .http(row.summary("Telegram brings messages, if a bot is configured so."))
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: TelegramConfig = setup.config()?;
        let bots = config.bots()?;
        let default_account = config.default_account(&bots).to_string();
        Ok(Telegram {
            host,
            lines: Lines::new(&config),
            config,
            accounts: bots.into_iter().map(Account::new).collect(),
            default_account,
            chats: Chats::default(),
            ending: AtomicBool::new(false),
        })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        (0..self.accounts.len()).for_each(|at| self.begin(at));
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn http(self: Arc<Self>, exchange: Exchange) -> http::Result {
        self.brought(exchange).await
    }

    async fn quiesce(&self) {
        self.ending.store(true, Ordering::Release);
        // What was not confirmed comes again, to the next instance.
        self.accounts.iter().for_each(|account| {
            account.cancel();
        });
    }
}

plugin_api::plugin!(Telegram, runtime = tokio);

/// It is done.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {
    /// Always true.
    ok: bool,
}

impl Telegram {
    async fn send(self: Arc<Self>, call: Call, message: ToSend) -> Result<Sent, MethodError> {
        self.send_message(&call, message).await
    }

    async fn poll(self: Arc<Self>, call: Call, poll: Poll) -> Result<Sent, MethodError> {
        self.send_poll(&call, poll).await
    }

    async fn resolve(self: Arc<Self>, _: Call, resolve: Resolve) -> Result<Resolved, MethodError> {
        let account = self.account(resolve.account_id.as_deref())?;
        self.resolved(account, Target::read(&resolve.to)?).await
    }

    async fn typing(self: Arc<Self>, _: Call, typing: Typing) -> Result<Done, MethodError> {
        let account = self.account(typing.account_id.as_deref())?;
        let target = Target::read(&typing.to)?;
        let mut params = json!({ "chat_id": target.chat.value(), "action": "typing" });
        let topic = typing.thread_id.as_deref().and_then(target::positive).or(target.topic);
        if let Some(topic) = topic {
            params["message_thread_id"] = json!(topic);
        }
        let shown: Result<Value, _> = self.request(account, "sendChatAction", params).await;
        shown
            .map(|_| Done { ok: true })
            .map_err(|fault| MethodError::unavailable("telegram: it could not be shown that the bot writes").log(fault))
    }

    async fn status(self: Arc<Self>, _: Call, query: Query) -> Result<Report, MethodError> {
        Ok(self.report(query).await)
    }

    async fn start_account(self: Arc<Self>, _: Call, named: Named) -> Result<Done, MethodError> {
        let at = self.place(named.account_id.as_deref())?;
        let account = &self.accounts[at];
        if let Err(fault) = api::token(&self.host, &account.bot.token).await {
            return Err(MethodError::unavailable("telegram: there is no token for this bot").log(fault));
        }
        account.set_stopped(&self.host, false).await?;
        let is_working = account.state().work.is_some() && account.state().is_running;
        if !is_working {
            self.begin(at);
        }
        Ok(Done { ok: true })
    }

    async fn stop_account(self: Arc<Self>, _: Call, named: Named) -> Result<Done, MethodError> {
        self.halt(self.account(named.account_id.as_deref())?).await?;
        Ok(Done { ok: true })
    }

    async fn logout(self: Arc<Self>, _: Call, named: Named) -> Result<LoggedOut, MethodError> {
        let account = self.account(named.account_id.as_deref())?;
        self.halt(account).await?;
        let cleared = account.forget(&self.host).await?;
        self.host.info(&format!(
            "Telegram account {} is stopped and forgotten; its token is configuration, and to be removed there",
            account.id()
        ));
        Ok(LoggedOut { cleared })
    }

    /// Stops an account, also beyond a restart.
    async fn halt(&self, account: &Account) -> Result<(), MethodError> {
        account.set_stopped(&self.host, true).await?;
        account.cancel();
        if account.bot.webhook.is_some() {
            // Telegram keeps what comes meanwhile for a day.
            let removed: Result<Value, _> = self.request(account, "deleteWebhook", json!({})).await;
            if let Err(fault) = removed {
                self.host.warn(&format!("Telegram goes on bringing messages of account {}: {fault}", account.id()));
            }
        }
        Ok(())
    }

    fn place(&self, id: Option<&str>) -> Result<usize, MethodError> {
        let id = id.map(str::trim).filter(|id| !id.is_empty()).unwrap_or(&self.default_account);
        let place = self.accounts.iter().position(|account| account.id() == id);
        place.ok_or_else(|| MethodError::invalid_request(format!("telegram: there is no account {id:?}")))
    }

    fn account(&self, id: Option<&str>) -> Result<&Account, MethodError> {
        self.place(id).map(|place| &self.accounts[place])
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests;
