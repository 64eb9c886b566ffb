//! Brings a gateway up in an order that undoes nothing: everything is read and checked before anything is published, and
//! it listens last. And takes it down in the order the protocol asks for.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use plugin_api::abi::GWP_CANCEL_STOP;
use schemas::ErrorShape;
use schemas::error::STOPPING;
use schemas::protocol::{Version, close};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::auth::{AuthMode, AuthSettings};
use crate::calls::Calls;
use crate::capabilities::Capabilities;
use crate::config::{self, Config};
use crate::connections::Connections;
use crate::doorkeeper::Doorkeeper;
use crate::events::{self, Subscriptions};
use crate::exchange::Exchanges;
use crate::failures::{FailureLimiter, FailureSettings};
use crate::gateway::{Facts, Gateway, VERSION};
use crate::gateway_key::{self, GatewayKey};
use crate::handshake::{ControlUi, HandshakeSettings};
use crate::idempotency::{Idempotency, IdempotencyLimits};
use crate::listener::Listener;
use crate::mailbox::Room;
use crate::metrics::Metrics;
use crate::outbox::{self, OutboxLimits};
use crate::own_ports::{self, OwnPorts};
use crate::pairing::{Pairing, PairingSettings};
use crate::plugin::Freeing;
use crate::plugin_books::PluginBooks;
use crate::plugins::live::{self, Plugins, Reread};
use crate::plugins::{self, Linked, end};
use crate::registry::Registry;
use crate::snapshot::SnapshotStore;
use crate::state::{LocalAuth, LocalGateway, StateDir};
use crate::store::Store;
use crate::store::kv::Kv;
use crate::tailscale::Tailscale;
use crate::tick::Ticker;
use crate::tls::{self, Tls, TlsError};
use crate::validation::Validator;
use crate::{config_watch, deadlines, dispatch, http};

/// Protocol versions this gateway serves.
const SERVED: [Version; 2] = [Version::V3, Version::V4];
/// How often put-off writes are made.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// How often kept answers are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Why a gateway did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration is wrong: exit code 2.
    Config(String),
    /// Something else is in the way: exit code 1.
    Failed(String),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Config(why) | StartError::Failed(why) => f.write_str(why),
        }
    }
}

/// A gateway that runs. [`Running::stop`] ends it in order.
pub struct Running {
    gateway: Arc<Gateway>,
    ticker: Option<Ticker>,
    tasks: Vec<JoinHandle<()>>,
    state: StateDir,
}

/// Starts a gateway with the plugins that are linked into this program, and those that the configuration names.
///
/// `reread` reads the configuration again, as it was read for this start; without it what changes on disk is never seen.
/// `expected` names the plugins that must be among them: a program that forgot to name a crate has lost its registration
/// without a word, and must not start with half of its methods.
pub async fn start(
    mut config: Config,
    state: StateDir,
    expected: &[&str],
    log_file: Option<PathBuf>,
    reread: Option<Reread>,
) -> Result<Running, StartError> {
    let started = Instant::now();
    let linked = plugins::linked(expected).map_err(StartError::Failed)?;
    config.check_plugin_ids(&linked.ids()).map_err(|error| StartError::Config(error.to_string()))?;
    if config.gateway.auth.mode == config::AuthMode::Token && config.gateway.auth.token.is_none() {
        config.gateway.auth.token = Some(state.shared_token().map_err(|error| StartError::Failed(error.to_string()))?);
    }
    let listeners = listen(&config).await.map_err(StartError::Failed)?;
    let addresses: Vec<SocketAddr> = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    let facts = Facts { host: host_name(), started, started_at_ms: schemas::now_ms(), addresses, log_file };
    let gateway = Arc::new(assemble(config, &state, facts, linked).await?);
    // Before anybody can connect and ask for a reload.
    gateway.plugins.reread_with(reread);
    tokio::spawn(deadlines::keep(Arc::downgrade(&gateway)));
    live::bring_up(&gateway).await.map_err(StartError::Failed)?;

    let ticker =
        Ticker::start(&gateway).map_err(|error| StartError::Failed(format!("no thread for ticks: {error}")))?;
    let mut tasks = vec![tokio::spawn(keep_house(gateway.clone()))];
    for listener in listeners {
        tasks.push(tokio::spawn(http::accept(gateway.clone(), Arc::new(Listener::new(listener, None)))));
    }
    let running = Running { gateway, ticker: Some(ticker), tasks, state };
    running.announce()?;
    Ok(running)
}

impl Running {
    /// The addresses it listens on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.gateway.facts.addresses
    }

    /// What its parts share.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// From now on the configuration is read again when its file changes, and on SIGHUP.
    pub fn follow(&mut self, hangup: Signal) {
        self.tasks.push(tokio::spawn(config_watch::follow(self.gateway.clone(), hangup)));
    }

    /// Stops it: no new work, `shutdown`, running calls get `drain_ms`, connections close with 1012, plugins stop, what
    /// was put off is written.
    pub async fn stop(mut self, reason: &str) {
        let gateway = self.gateway.clone();
        let limits = gateway.limits();
        let drain = Duration::from_millis(limits.drain_ms);
        tracing::info!(reason, "stopping");
        gateway.stopping.send_replace(true);
        // Those in the table then are the last ones.
        if tokio::time::timeout(drain, gateway.plugins.settled()).await.is_err() {
            tracing::warn!("a plugin was still being made anew when the time for it was over");
        }
        let registry = gateway.registry.load_full();
        for plugin in registry.plugins() {
            if !plugin.quiesce(drain).await {
                tracing::warn!(plugin = &*plugin.id, "the plugin did not quiesce in time");
            }
        }
        events::announce(&gateway, "shutdown", &json!({ "reason": reason, "restartExpectedMs": null }), false);
        // Not until the calls are taken out: between that and its answer in the outbox a close would come first.
        let answered = async {
            for connection in gateway.connections.list() {
                connection.idle().await;
            }
        };
        if tokio::time::timeout(drain, answered).await.is_err() {
            tracing::warn!("calls were still running when the time to drain was over");
        }
        drop(self.ticker.take());
        let stopped = ErrorShape::unavailable("the gateway is stopping").retry_after(1500);
        let stopped = stopped.with_details(json!({ "code": STOPPING }));
        // Behind a close nobody would hear it.
        for call in gateway.calls.numbers(|call| call.slot.is_some()) {
            dispatch::end(&gateway, call, GWP_CANCEL_STOP, &stopped);
        }
        gateway.exchanges.close_sockets(|_| true);
        gateway.connections.each(|connection| connection.outbox.close(close::RESTART, "service restart"));
        let grace = Duration::from_millis(limits.close_grace_ms) + Duration::from_millis(500);
        let _ = tokio::time::timeout(grace, gateway.connections.gone()).await;
        for call in gateway.calls.numbers(|_| true) {
            dispatch::end(&gateway, call, GWP_CANCEL_STOP, &stopped);
        }
        for plugin in registry.plugins() {
            end::stop(&gateway, plugin, drain).await;
        }
        // With the table and the calls goes what held the instances.
        drop(registry);
        gateway.registry.store(Arc::default());
        if tokio::time::timeout(drain, gateway.freeing.over()).await.is_err() {
            tracing::warn!("a plugin was still being freed when the time for it was over");
        }
        if let Err(error) = gateway.pairing.flush().await {
            tracing::error!(%error, "when devices were last seen could not be written");
        }
        self.tasks.iter().for_each(JoinHandle::abort);
        gateway.store.close().await;
        drop(self.state);
        tracing::info!("stopped");
    }

    /// Tells the log and local clients where it is.
    fn announce(&self) -> Result<(), StartError> {
        let gateway = &self.gateway;
        let local = description(gateway)?;
        self.state.publish(&local).map_err(|error| StartError::Failed(error.to_string()))?;
        let registry = gateway.registry.load();
        tracing::info!(
            methods = registry.features().methods.len(),
            plugins = registry.plugins().len(),
            ready_after = ?gateway.facts.started.elapsed(),
            "listening on {}",
            local.url
        );
        for address in &gateway.facts.addresses[1..] {
            tracing::info!("listening on {}://{address}", scheme(gateway));
        }
        if let Some(fingerprint) = &local.tls_fingerprint {
            tracing::info!(fingerprint, "clients that pin the certificate compare it with this");
        }
        Ok(())
    }
}

/// What local clients are told of it.
pub(crate) fn description(gateway: &Gateway) -> Result<LocalGateway, StartError> {
    let Some(address) = gateway.facts.addresses.first() else {
        return Err(StartError::Failed("no address to listen on".to_string()));
    };
    let auth = &gateway.handshake.auth;
    let secret = match auth.mode {
        AuthMode::Token => auth.token.clone().map(LocalAuth::Token),
        AuthMode::Password => auth.password.clone().map(LocalAuth::Password),
    };
    let auth = secret.ok_or_else(|| {
        StartError::Config("gateway.auth.mode is \"password\", but gateway.auth.password is not set".to_string())
    })?;
    Ok(LocalGateway {
        url: format!("{}://{}", scheme(gateway), reachable(*address)),
        port: address.port(),
        pid: std::process::id(),
        version: VERSION.to_string(),
        started_at_ms: gateway.facts.started_at_ms,
        auth,
        tls_fingerprint: gateway.tls.as_ref().map(Tls::fingerprint),
        config: Some(whole_path(&gateway.config.followed())),
    })
}

/// The same file for who looks from another folder. Links on the way to it stay what they are: they may lead elsewhere later.
fn whole_path(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf())
}

fn scheme(gateway: &Gateway) -> &'static str {
    if gateway.tls.is_some() { "wss" } else { "ws" }
}

/// Reads the state and puts the parts together.
async fn assemble(config: Config, state: &StateDir, facts: Facts, linked: Linked) -> Result<Gateway, StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::Failed(error.to_string());
    let settings = &config.gateway;
    let limits = &settings.limits;
    gateway_key::check_database(state.path(), &state.database()).map_err(|error| failed(&error))?;
    let store = Store::open(&state.database()).map_err(|error| failed(&error))?;
    let has_devices = Pairing::has_devices(&store).await.map_err(|error| failed(&error))?;
    let key = GatewayKey::load_or_create(state.path(), has_devices).map_err(|error| failed(&error))?;
    let pairing_settings = PairingSettings {
        token_ttl_ms: settings.auth.token_ttl.as_millis() as u64,
        setup_code_ttl_ms: settings.auth.setup_code_ttl.as_millis() as u64,
        max_setup_codes: limits.max_setup_codes,
        ..PairingSettings::default()
    };
    let pairing = Pairing::load(&store, key, pairing_settings).await.map_err(|error| failed(&error))?;
    let kv = Kv::load(&store, limits.kv_bytes).await.map_err(|error| failed(&error))?;
    let kept = IdempotencyLimits {
        ttl_ms: limits.idempotency_ttl_ms,
        entries: limits.idempotency_entries,
        answer_bytes: limits.idempotency_answer_bytes,
    };
    let metrics = Metrics::new();
    let idempotency =
        Idempotency::load(store.clone(), kept, schemas::now_ms()).await.map_err(|error| failed(&error))?;
    let idempotency = idempotency.counted_by(metrics.limit("idempotency_entries"));
    let auth = AuthSettings {
        mode: match settings.auth.mode {
            config::AuthMode::Token => AuthMode::Token,
            config::AuthMode::Password => AuthMode::Password,
        },
        token: settings.auth.token.clone(),
        password: settings.auth.password.clone(),
        named: settings.auth.named.clone(),
    };
    let control_ui = ControlUi {
        allow_insecure_auth: settings.control_ui.allow_insecure_auth,
        dangerously_disable_device_auth: settings.control_ui.dangerously_disable_device_auth,
    };
    let handshake = HandshakeSettings::new(SERVED.to_vec(), auth, control_ui, &settings.client_ids)
        .map_err(|error| failed(&error))?;
    let handshake = HandshakeSettings { allow_extra_params: settings.allow_extra_params, ..handshake };
    let tls = match settings.tls.enabled {
        true => Some(Tls::new(&settings.tls, state.path(), &facts.host, &facts.addresses).map_err(no_tls)?),
        false => None,
    };
    let tailscale = settings.auth.tailscale_socket.clone().map(Tailscale::at);
    let failures = FailureLimiter::new(FailureSettings {
        auth_failures: limits.auth_failures as u32,
        auth_failure_window_ms: limits.auth_failure_window_ms,
        auth_lockout_ms: limits.auth_lockout_ms,
    });
    let outbox_limits = OutboxLimits {
        buffered: limits.max_buffered_bytes,
        buffered_hard: limits.max_buffered_hard_bytes,
        buffered_total: limits.max_buffered_total_bytes,
    };
    let outboxes = Arc::new(outbox::Shared::new(outbox_limits, &metrics));
    let plugin_books = PluginBooks::new(Room::new(limits, &metrics));
    let capabilities = Capabilities::new(limits.surface_ttl_ms);
    let (heads, handshakes) = (metrics.pending_heads.clone(), metrics.pending_handshakes.clone());
    let doorkeeper = Doorkeeper::new(heads, handshakes, metrics.http_exchanges.clone());
    Ok(Gateway {
        metrics,
        registry: ArcSwap::from_pointee(Registry::default()),
        connections: Connections::new(),
        doorkeeper,
        own_ports: OwnPorts::default(),
        calls: Calls::new(),
        exchanges: Exchanges::default(),
        capabilities,
        subscriptions: Subscriptions::default(),
        deadlines: Arc::default(),
        plugin_books,
        snapshot: SnapshotStore::default(),
        idempotency,
        pairing,
        kv,
        store,
        handshake,
        tls,
        tailscale,
        failures,
        frame_validator: Validator::request_frame(),
        outboxes,
        runtime: Handle::current(),
        facts,
        freeing: Freeing::default(),
        stopping: watch::Sender::new(false),
        plugins: Plugins::new(linked),
        folders: state.plugin_folders(),
        live: ArcSwap::from_pointee(config.clone()),
        config,
    })
}

fn no_tls(error: TlsError) -> StartError {
    match error {
        TlsError::Configured(why) => StartError::Config(why),
        TlsError::Own(why) => StartError::Failed(why),
    }
}

/// Opens the port: the first address must be free, the others are a courtesy.
async fn listen(config: &Config) -> Result<Vec<TcpListener>, String> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for mut address in config.listen_addresses() {
        if let Some(first) = listeners.first()
            && let Ok(bound) = first.local_addr()
        {
            address.set_port(bound.port());
        }
        match own_ports::bind(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if listeners.is_empty() && error.kind() == std::io::ErrorKind::AddrInUse => {
                let scheme = if tls::is_spoken_at(reachable(address)).await { "wss" } else { "ws" };
                return Err(format!(
                    "another gateway instance is already listening on {scheme}://{address}, or another program is; choose another port with --port or gateway.port"
                ));
            }
            Err(error) if listeners.is_empty() => return Err(format!("cannot listen on {address}: {error}")),
            Err(error) => tracing::debug!(%address, %error, "not listening on a further address"),
        }
    }
    Ok(listeners)
}

/// An address that a client on this machine can use.
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    address
}

/// Puts-off writes and old answers.
async fn keep_house(gateway: Arc<Gateway>) {
    let sweep = async {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            gateway.idempotency.sweep(schemas::now_ms());
        }
    };
    tokio::join!(gateway.pairing.keep_flushing(FLUSH_EVERY), sweep);
}

/// The name of this machine.
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|name| name.trim().to_string())
        .filter(|name| !name.is_empty());
    name.unwrap_or_else(|| "localhost".to_string())
}
