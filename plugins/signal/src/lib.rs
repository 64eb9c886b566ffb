//! The message channel `signal`, by a daemon of signal-cli that somebody runs: it has the keys and speaks with Signal, and
//! this plugin speaks JSON-RPC with it, over HTTP or over a socket.
//!
//! `feed` hears what comes in, `envelope` understands it, `inbox` keeps it until `channels.inbound` has it. `outgoing`
//! sends, with `markup` and `cut` for the text and `media` for files; `rpc` asks, `failure` says what a refusal means.
//! `login` links the daemon to a telephone.
//!
//! What is lost, and what is not: the daemon tells of a message once and waits for no confirmation. From the moment that the
//! plugin has read it, it is on the disk and survives everything; what comes while nobody listens is the daemon's to keep,
//! which it does when it is started with `--receive-mode=on-connection` (README, "Signal"). Between the two lie the moments
//! in which a connection breaks.

mod accounts;
mod address;
mod config;
mod cut;
mod envelope;
mod failure;
mod feed;
mod inbox;
mod lines;
mod login;
mod markup;
mod media;
mod outgoing;
mod picture;
mod rpc;
#[cfg(any(test, feature = "stand-in"))]
pub mod stand_in;
mod status;
mod store;
mod target;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outside::http::{Client, Limits};
use plugin_api::abi::extension;
use plugin_api::contracts::channel::{Account as Named, Resolve, Resolved};
use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, Plugin, Reply, Setup, StartError};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use accounts::{Accounts, People};
use address::Address;
pub use config::SignalConfig;
use feed::Feed;
use inbox::Inbox;
use login::Linking;
use rpc::{Daemon, Failure};
use store::Store;
use target::Target;

/// What there is to say without an address.
const UNCONFIGURED: &str =
    "Signal is not configured: plugins.signal.config.address says where signal-cli's daemon listens";
/// How long a message may take to be sent, where the caller does not say.
const TO_SEND_MS: u64 = 600_000;
/// How long somebody may wait for a code to be scanned.
const TO_LOGIN_MS: u64 = 330_000;
/// Messages that came on the connections of requests while nobody listened, until they are written down.
const OVERHEARD: usize = 256;

/// The plugin.
pub struct Signal {
    host: Host,
    config: SignalConfig,
    accounts: Accounts,
    people: People,
    /// None without an address.
    daemon: Option<Daemon>,
    events: Client,
    downloads: Client,
    store: Store,
    inbox: Inbox,
    /// By account over HTTP; over a socket there is one, without a name.
    feeds: tokio::sync::Mutex<BTreeMap<String, Feed>>,
    overheard: mpsc::Sender<Value>,
    overhearing: Mutex<Option<mpsc::Receiver<Value>>>,
    /// Nothing is begun any more.
    is_ending: AtomicBool,
    linking: Mutex<Option<Linking>>,
}

static METHODS: LazyLock<Methods<Signal>> = LazyLock::new(|| {
    let method = |name: &str, summary: &str| Method::internal(name).summary(summary);
    Methods::new()
        .add(
            method("channel.signal.send", "Sends a message over Signal.").effects().timeout_ms(TO_SEND_MS),
            Signal::send,
        )
        .add(method("channel.signal.status", "How Signal stands."), Signal::status)
        .add(method("channel.signal.resolve", "Understands whom somebody means on Signal."), Signal::resolve)
        .add(method("channel.signal.typing", "Shows on Signal that somebody types.").effects(), Signal::typing)
        .add(method("channel.signal.login", "Begins to link signal-cli to a telephone.").effects(), Signal::login)
        .add(
            method("channel.signal.login.wait", "Waits until the telephone has linked it.").timeout_ms(TO_LOGIN_MS),
            Signal::login_wait,
        )
        .add(method("channel.signal.logout", "Has signal-cli forget an account.").effects(), Signal::logout)
        .add(method("channel.signal.start", "Listens to an account again.").effects(), Signal::start_account)
        .add(
            method("channel.signal.stop", "Listens to an account no more, also after a restart.").effects(),
            Signal::stop_account,
        )
});

impl Plugin for Signal {
    fn manifest() -> Manifest {
        Manifest::new("signal", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Message channel: Signal, through a daemon of signal-cli.")
            .opt_in()
            .requires(&[extension::EXEC, extension::INVOKE, extension::KV])
            .invokes(&["channels.inbound"])
            .config::<SignalConfig>()
            .methods(&METHODS)
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: SignalConfig = setup.config()?;
        let accounts = Accounts::new(config.numbers().map_err(CreateError::new)?);
        let address = config.address.as_deref().map(str::trim).filter(|address| !address.is_empty());
        let address =
            address.map(|text| Address::parse(text, config.allow_remote)).transpose().map_err(CreateError::new)?;
        let connect = Duration::from_millis(config.connect_timeout_ms);
        let stall = Duration::from_millis(config.stall_timeout_ms);
        let (overheard, overhearing) = mpsc::channel(OVERHEARD);
        Ok(Signal {
            daemon: address.map(|address| Daemon::new(address, &config)),
            events: Client::new(Limits { connect, stall, max_bytes: u64::MAX }),
            downloads: Client::new(Limits { connect, stall, max_bytes: config.max_media_bytes as u64 }),
            store: Store::new(setup.data_dir()?),
            inbox: Inbox::new(config.max_waiting),
            people: People::default(),
            feeds: tokio::sync::Mutex::default(),
            overheard,
            overhearing: Mutex::new(Some(overhearing)),
            is_ending: AtomicBool::new(false),
            linking: Mutex::default(),
            accounts,
            config,
            host,
        })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        if self.daemon.is_none() {
            self.host.warn(UNCONFIGURED);
            return Ok(());
        }
        self.accounts.recall(&self.host.kv());
        self.take_over().map_err(|error| StartError::new(error.to_string()))?;
        if let Some(mut overhearing) = lock(&self.overhearing).take() {
            let plugin = self.clone();
            self.host.spawn(async move {
                while let Some(told) = overhearing.recv().await {
                    let room = plugin.inbox.room.clone().try_acquire_owned().ok();
                    plugin.take(told, room).await;
                }
            });
        }
        if let Ok(mut feeds) = self.feeds.try_lock() {
            self.listen_to_wanted(&mut feeds);
        }
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn quiesce(&self) {
        self.is_ending.store(true, Ordering::SeqCst);
        lock(&self.linking).take();
        let feeds = std::mem::take(&mut *self.feeds.lock().await);
        feed::end_all(feeds.into_values()).await;
        self.inbox.close();
    }
}

plugin_api::plugin!(Signal, runtime = tokio);

impl Signal {
    async fn resolve(self: Arc<Self>, _: Call, resolve: Resolve) -> Result<Resolved, MethodError> {
        let target = Target::parse(&resolve.to)?;
        self.accounts.named(resolve.account_id.as_deref())?;
        Ok(Resolved { to: target.to_string(), chat_type: Some(target.kind().to_string()), label: None })
    }

    async fn start_account(self: Arc<Self>, _: Call, named: Named) -> Result<Map<String, Value>, MethodError> {
        let account = self.accounts.named(named.account_id.as_deref())?;
        self.configured()?;
        self.accounts.set_stopped(&self.host.kv(), account, false).await?;
        self.listen_to_wanted(&mut *self.feeds.lock().await);
        self.go_on_with(&account.id);
        Ok(Map::from_iter([("started".to_string(), json!(true))]))
    }

    async fn stop_account(self: Arc<Self>, _: Call, named: Named) -> Result<Map<String, Value>, MethodError> {
        let account = self.accounts.named(named.account_id.as_deref())?;
        self.accounts.set_stopped(&self.host.kv(), account, true).await?;
        let unwanted = {
            let mut feeds = self.feeds.lock().await;
            let wanted = self.wanted();
            let (kept, unwanted) =
                std::mem::take(&mut *feeds).into_iter().partition(|(name, _)| wanted.contains_key(name));
            *feeds = kept;
            unwanted
        };
        feed::end_all(BTreeMap::into_values(unwanted)).await;
        Ok(Map::from_iter([("stopped".to_string(), json!(true))]))
    }

    /// Begins what should be listened to and is not.
    fn listen_to_wanted(self: &Arc<Self>, feeds: &mut BTreeMap<String, Feed>) {
        for (name, number) in self.wanted() {
            feeds.entry(name).or_insert_with(|| self.listen(number));
        }
    }

    /// Ends listening, and begins once more.
    async fn listen_anew(self: &Arc<Self>) {
        let mut feeds = self.feeds.lock().await;
        feed::end_all(std::mem::take(&mut *feeds).into_values()).await;
        self.listen_to_wanted(&mut feeds);
    }

    /// What should be listened to: a name, and the number that the daemon is asked for.
    fn wanted(&self) -> BTreeMap<String, Option<String>> {
        if self.daemon.is_none() || self.is_ending.load(Ordering::SeqCst) {
            return BTreeMap::new();
        }
        let running = self.accounts.iter().filter(|account| !self.accounts.is_stopped(&account.id));
        let is_http = self.daemon.as_ref().is_some_and(|daemon| daemon.address.is_http());
        running
            .map(|account| (self.feed_of(&account.id).to_string(), account.number.clone().filter(|_| is_http)))
            .collect()
    }

    /// The name of what an account is heard by.
    fn feed_of<'a>(&self, account: &'a str) -> &'a str {
        if self.daemon.as_ref().is_some_and(|daemon| daemon.address.is_http()) { account } else { "" }
    }

    fn configured(&self) -> Result<&Daemon, MethodError> {
        self.daemon.as_ref().ok_or_else(|| failure::not_sent(UNCONFIGURED))
    }

    /// The account that a message is for; none of the channel's if the daemon has more than are configured.
    fn account_of_number(&self, number: Option<&str>) -> Option<&str> {
        self.accounts.of_number(number).map(|account| account.id.as_str())
    }

    /// Asks the daemon, for an account.
    async fn ask(
        self: &Arc<Self>,
        method: &str,
        mut params: Value,
        account: &str,
        limit: Duration,
    ) -> Result<Value, Failure> {
        let number = self.accounts.iter().find(|known| known.id == account).and_then(|account| account.number.as_ref());
        if let Some(number) = number {
            params["account"] = json!(number);
        }
        self.ask_plainly(method, params, limit).await
    }

    /// Asks the daemon, for none of its accounts.
    async fn ask_plainly(self: &Arc<Self>, method: &str, params: Value, limit: Duration) -> Result<Value, Failure> {
        let Some(daemon) = &self.daemon else { return Err(Failure::Unreachable("there is no address".to_string())) };
        // Over a socket each connection hears what comes in. Whoever listens hears it too, so it is kept only if nobody does.
        let overhears = |told: Value| {
            let is_heard = self.feeds.try_lock().is_ok_and(|feeds| feeds.values().any(|feed| feed.link().is_connected));
            if !is_heard && self.overheard.try_send(told).is_err() {
                self.host.warn(&format!(
                    "a message that came while nobody listened is lost: {OVERHEARD} of them wait already"
                ));
            }
        };
        daemon.call(&self.host, method, params, limit, &overhears).await
    }

    fn linking(&self) -> MutexGuard<'_, Option<Linking>> {
        lock(&self.linking)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
