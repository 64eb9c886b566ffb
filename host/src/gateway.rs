//! What all parts of one running gateway share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use plugin_api::catalogue::GatewayInfo;
use schemas::hello::SessionDefaults;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::calls::Calls;
use crate::capabilities::Capabilities;
use crate::config::{Config, Limits};
use crate::connections::Connections;
use crate::deadlines::Deadlines;
use crate::doorkeeper::Doorkeeper;
use crate::events::Subscriptions;
use crate::exchange::Exchanges;
use crate::failures::FailureLimiter;
use crate::handshake::HandshakeSettings;
use crate::idempotency::Idempotency;
use crate::metrics::Metrics;
use crate::outbox::{self, Outbox};
use crate::own_ports::OwnPorts;
use crate::pairing::Pairing;
use crate::plugin::Freeing;
use crate::plugin_books::PluginBooks;
use crate::plugins::live::Plugins;
use crate::registry::Registry;
use crate::snapshot::SnapshotStore;
use crate::state::PluginFolders;
use crate::store::Store;
use crate::store::kv::Kv;
use crate::surfaces;
use crate::tailscale::Tailscale;
use crate::tls::Tls;
use crate::validation::Validator;

/// One running gateway.
pub struct Gateway {
    /// Its configuration at the start: what holds until it ends.
    pub config: Config,
    /// The configuration as it was read last: what holds for plugins and methods.
    pub live: ArcSwap<Config>,
    /// Its plugins, beyond what the table says.
    pub plugins: Plugins,
    /// Where plugins keep things.
    pub folders: PluginFolders,
    /// What it counts.
    pub metrics: Metrics,
    /// The table of methods and events in force.
    pub registry: ArcSwap<Registry>,
    /// Who has joined.
    pub connections: Connections,
    /// Who counts sockets at its ports.
    pub doorkeeper: Arc<Doorkeeper>,
    /// Ports that plugins have to themselves.
    pub own_ports: OwnPorts,
    /// Calls that run.
    pub calls: Calls,
    /// When they end unanswered.
    pub deadlines: Arc<Deadlines>,
    /// HTTP that plugins answer.
    pub exchanges: Exchanges,
    /// Addresses that let their bearers in.
    pub capabilities: Capabilities,
    /// Plugins that hear events.
    pub subscriptions: Subscriptions,
    /// What plugins keep and call.
    pub plugin_books: PluginBooks,
    /// What hello-ok shows.
    pub snapshot: SnapshotStore,
    /// Answers kept by key.
    pub idempotency: Idempotency,
    /// Devices, requests and tokens.
    pub pairing: Pairing,
    /// Plugins' small state.
    pub kv: Kv,
    /// The database.
    pub store: Store,
    /// How connections are judged.
    pub handshake: HandshakeSettings,
    /// TLS on its port, if it does that itself.
    pub tls: Option<Tls>,
    /// Whom it asks about identities of a tailnet, if these are allowed.
    pub tailscale: Option<Tailscale>,
    /// Who guesses too often.
    pub failures: FailureLimiter,
    /// The schema of a request frame.
    pub frame_validator: Validator,
    /// What all outboxes share.
    pub outboxes: Arc<outbox::Shared>,
    /// Where tasks run.
    pub runtime: Handle,
    /// Facts that do not change while it runs.
    pub facts: Facts,
    /// Instances of plugins that are being freed.
    pub freeing: Freeing,
    /// Turns true when it stops.
    pub stopping: watch::Sender<bool>,
}

/// Facts that do not change while a gateway runs.
pub struct Facts {
    /// Name of the machine.
    pub host: String,
    /// When it started.
    pub started: Instant,
    /// The same by the wall clock.
    pub started_at_ms: u64,
    /// Addresses it listens on.
    pub addresses: Vec<std::net::SocketAddr>,
    /// The log file, if one is written.
    pub log_file: Option<PathBuf>,
}

/// Version of this program, as hello-ok tells it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Gateway {
    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.config.gateway.limits
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.facts.addresses.first().map_or(self.config.gateway.port, std::net::SocketAddr::port)
    }

    /// An outbox for a new connection.
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.outboxes.clone())
    }

    /// Brings what was broadcast to the connections. The watchdog does so too, in case whoever promised to is stuck behind
    /// a plugin that blocks its worker.
    pub fn deliver(&self) {
        self.outboxes.broadcasts.deliver(|first, broadcasts| {
            self.connections.each(|connection| connection.outbox.deliver(first, broadcasts));
        });
    }

    /// How long it has been running.
    pub fn uptime_ms(&self) -> u64 {
        self.facts.started.elapsed().as_millis() as u64
    }

    /// What user interfaces derive their session key from.
    pub fn session_defaults(&self) -> SessionDefaults {
        let session = &self.config.gateway.session;
        SessionDefaults {
            default_agent_id: session.default_agent.clone(),
            main_key: session.main_key.clone(),
            main_session_key: format!("agent:{}:{}", session.default_agent, session.main_key),
            scope: Some(session.scope.clone()),
        }
    }

    /// The process, for `host.gateway.info`.
    pub fn info(&self) -> GatewayInfo {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        GatewayInfo {
            version: VERSION.to_string(),
            host: self.facts.host.clone(),
            ip: None,
            platform: format!("{} {}", std::env::consts::OS, kernel.trim()).trim().to_string(),
            arch: std::env::consts::ARCH.to_string(),
            pid: std::process::id(),
            started_at_ms: self.facts.started_at_ms,
            uptime_ms: self.uptime_ms(),
            addresses: self.facts.addresses.iter().map(|address| address.to_string()).collect(),
            surface_ports: surfaces::ports(self),
            tls_fingerprint: self.tls.as_ref().map(Tls::fingerprint),
            state_dir: self.config.gateway.state_dir.display().to_string(),
            config_path: self.config.file.as_ref().map(|file| file.path.display().to_string()),
            log_file: self.facts.log_file.as_ref().map(|path| path.display().to_string()),
            tick_interval_ms: self.limits().tick_interval_ms,
            session_defaults: self.session_defaults(),
        }
    }
}
