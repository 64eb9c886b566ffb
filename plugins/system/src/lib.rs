//! The gateway about itself, for operators and programs: which methods and events there are with their schemas, which
//! plugins run, who is connected. Everything comes from the host when asked; nothing is kept here.

mod metrics;

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use plugin_api::catalogue::{
    Connections, FreshSurface, MetricsText, PluginId, PluginReloaded, PluginState, RefreshSurface, RegistryChanged,
    RegistryEntry, RegistryList, SurfaceAddress, SurfaceOf,
};
use plugin_api::{
    Call, CreateError, EventSpec, Exposure, Host, Idempotency, Manifest, Method, MethodError, MethodSpec, Methods,
    NoParams, Plugin, Replies, Reply, Setup, StartError, Subscription,
};
use schemars::JsonSchema;
use schemas::scope::{ADMIN, READ};
use serde::{Deserialize, Serialize};

use metrics::Metrics;

/// The plugin.
pub struct System {
    host: Host,
    hearing: Mutex<Option<Subscription>>,
}

static METHODS: LazyLock<Methods<System>> = LazyLock::new(|| {
    Methods::new()
        .add(
            Method::operator("system.methods", &[READ])
                .summary("Every method and event, with the plugin that owns it and who may use it.")
                .description("`internal: true` adds those that only plugins can reach; it needs operator.admin."),
            System::methods,
        )
        .add(
            Method::operator("system.describe", &[READ]).summary("One method or event, with its schemas.").description(
                "Some names are both; `kind` (`method` or `event`) chooses, and without it the method comes first. \
                     Internal ones are unknown to callers without operator.admin.",
            ),
            System::describe,
        )
        .add(
            Method::operator("system.plugins", &[READ])
                .summary("Every plugin and how it is doing, failed and disabled ones included.")
                .description("The full reason of a failure may name files; only operator.admin gets it."),
            System::plugins,
        )
        .add(
            Method::operator("system.connections", &[ADMIN]).summary("Every open connection, oldest first."),
            System::connections,
        )
        .add(
            Method::operator("system.metrics", &[READ])
                .summary("What was counted since the start: calls, errors and time by method, and limits that were hit."),
            System::metrics,
        )
        .add(
            Method::operator("plugins.reload", &[ADMIN])
                .summary("Makes a plugin anew, with its configuration and library as they are on disk.")
                .description(
                    "Calls that run are finished by the instance they reached; the next ones reach the new one. When it \
                     cannot be made, the old one goes on and `error` says why.",
                )
                .effects(),
            System::reload,
        )
        .add(
            Method::operator("plugin.surface.refresh", &[READ])
                .summary("A fresh address of what a plugin shows; the one before is good for a while.")
                .effects(),
            System::refresh_surface,
        )
});

/// The event that tells of other methods, events or plugins.
const CHANGED: &str = "plugins.changed";

impl Plugin for System {
    fn manifest() -> Manifest {
        Manifest::new("system", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("What the gateway serves, which plugins run, and who is connected.")
            .invokes(&[
                "host.registry.list",
                "host.connections.list",
                "host.metrics.read",
                "host.plugins.reload",
                "host.surfaces.renew",
            ])
            .hears(&["host.registry.changed"])
            .methods(&METHODS)
            .event(
                EventSpec::operator(CHANGED, &[READ])
                    .summary("Plugins were enabled, disabled, made anew or failed; features may be others now.")
                    .payload::<RegistryChanged>(),
            )
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(System { host, hearing: Mutex::new(None) })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let host = self.host.clone();
        let hearing =
            self.host.subscribe("host.registry.changed", move |event| match event.payload::<RegistryChanged>() {
                // The first table is what everybody is greeted with.
                Ok(changed) if changed.generation <= 1 => {}
                Ok(changed) => {
                    if let Err(error) = host.event(CHANGED).send(&changed) {
                        host.warn(&format!("{CHANGED} could not be sent: {error}"));
                    }
                }
                Err(error) => host.warn(&format!("{} could not be read: {error}", event.event)),
            })?;
        *self.hearing.lock().unwrap_or_else(PoisonError::into_inner) = Some(hearing);
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn quiesce(&self) {
        let hearing = self.hearing.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(hearing);
    }
}

plugin_api::plugin!(System);

impl System {
    async fn methods(self: Arc<Self>, call: Call, which: Which) -> Result<Listing, MethodError> {
        let internal = which.internal == Some(true);
        if internal && !call.is_admin() {
            return Err(MethodError::missing_scope(ADMIN));
        }
        let registry = self.registry().await?;
        let methods = registry.methods.into_iter().filter_map(|entry| MethodRow::read(entry, internal)).collect();
        let events = registry.events.into_iter().filter_map(|entry| EventRow::read(entry, internal)).collect();
        Ok(Listing { methods, events })
    }

    async fn describe(self: Arc<Self>, call: Call, wanted: Wanted) -> Result<Description, MethodError> {
        let registry = self.registry().await?;
        let entries = registry.methods.into_iter().chain(registry.events);
        let mut fitting = entries.filter(|entry| {
            let kind_fits = wanted.kind.is_none_or(|kind| kind.name() == entry.kind);
            let is_it = |head: Head| head.name == wanted.name && (call.is_admin() || head.role != Exposure::Internal);
            kind_fits && entry.spec.read().is_ok_and(is_it)
        });
        fitting.next().map(Description::from).ok_or_else(|| {
            let what = wanted.kind.map_or("method or event", Kind::name);
            MethodError::invalid_request(format!("unknown {what}: {}", wanted.name))
        })
    }

    async fn plugins(self: Arc<Self>, call: Call, _: NoParams) -> Result<Plugins, MethodError> {
        let mut plugins = self.registry().await?.plugins;
        if !call.is_admin() {
            for plugin in &mut plugins {
                plugin.error = plugin.error.take().map(|_| "it failed; the gateway's log says why".to_string());
            }
        }
        Ok(Plugins { plugins })
    }

    async fn connections(self: Arc<Self>, _: Call, _: NoParams) -> Result<Connections, MethodError> {
        self.host.invoke("host.connections.list", &NoParams {}).send().await
    }

    async fn metrics(self: Arc<Self>, _: Call, _: NoParams) -> Result<Metrics, MethodError> {
        let read: MetricsText = self.host.invoke("host.metrics.read", &NoParams {}).send().await?;
        Ok(Metrics::read(&read.text))
    }

    /// With the caller's rights, so that the account of decisions says who it was.
    async fn reload(self: Arc<Self>, call: Call, plugin: PluginId) -> Result<PluginReloaded, MethodError> {
        call.invoke("host.plugins.reload", &plugin).send().await
    }

    async fn refresh_surface(self: Arc<Self>, call: Call, asked: RefreshSurface) -> Result<FreshSurface, MethodError> {
        let conn =
            call.conn().ok_or_else(|| MethodError::invalid_request("only a connected client is told addresses"))?;
        let asked = SurfaceOf { conn, surface: asked.surface, observed_url: asked.observed_url };
        let fresh: SurfaceAddress = self.host.invoke("host.surfaces.renew", &asked).with_own_grants().send().await?;
        Ok(fresh.into())
    }

    async fn registry(&self) -> Result<RegistryList, MethodError> {
        self.host.invoke("host.registry.list", &NoParams {}).send().await
    }
}

/// Parameters of `system.methods`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Whether internal ones are listed too; needs operator.admin.
    #[serde(default)]
    internal: Option<bool>,
}

/// Parameters of `system.describe`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Its name.
    #[schemars(length(min = 1))]
    name: String,
    /// What it is, for names that are both.
    #[serde(default)]
    kind: Option<Kind>,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Method,
    Event,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Method => "method",
            Kind::Event => "event",
        }
    }
}

/// Result of `system.methods`.
#[derive(Debug, Serialize, JsonSchema)]
struct Listing {
    /// Sorted by name.
    methods: Vec<MethodRow>,
    /// Sorted by name.
    events: Vec<EventRow>,
}

/// A method in short.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct MethodRow {
    /// Its name.
    name: String,
    /// The plugin that owns it; `host` for the gateway's own.
    plugin: String,
    /// What it does.
    summary: String,
    /// Who may call it.
    role: Exposure,
    /// Any of these scopes is needed; none when empty.
    scopes: Vec<String>,
    /// Whether it has effects.
    effects: bool,
    /// What a repeated idempotency key does.
    idempotency: Idempotency,
    /// Whether it answers once or with interim replies.
    replies: Replies,
}

impl MethodRow {
    fn read(entry: RegistryEntry, internal: bool) -> Option<Self> {
        let spec: MethodSpec = entry.spec.read().ok()?;
        (internal || spec.role != Exposure::Internal).then_some(MethodRow {
            name: spec.name,
            plugin: entry.plugin,
            summary: spec.summary,
            role: spec.role,
            scopes: spec.scopes,
            effects: spec.effects,
            idempotency: spec.idempotency,
            replies: spec.replies,
        })
    }
}

/// An event in short.
#[derive(Debug, Serialize, JsonSchema)]
struct EventRow {
    /// Its name.
    name: String,
    /// The plugin that owns it; `host` for the gateway's own.
    plugin: String,
    /// When it comes.
    summary: String,
    /// Who may see it.
    role: Exposure,
    /// Any of these scopes is needed; none when empty.
    scopes: Vec<String>,
}

impl EventRow {
    fn read(entry: RegistryEntry, internal: bool) -> Option<Self> {
        let spec: EventSpec = entry.spec.read().ok()?;
        (internal || spec.role != Exposure::Internal).then_some(EventRow {
            name: spec.name,
            plugin: entry.plugin,
            summary: spec.summary,
            role: spec.role,
            scopes: spec.scopes,
        })
    }
}

/// Result of `system.describe`: the row of the manifest and where it is from.
#[derive(Debug, Serialize, JsonSchema)]
struct Description {
    /// `method` or `event`.
    kind: String,
    /// The plugin that owns it; `host` for the gateway's own.
    plugin: String,
    /// Its row: name, summary, role, scopes and so on, with the schemas `params` and `result`, or `payload`.
    #[serde(flatten)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    spec: serde_json::Value,
}

impl From<RegistryEntry> for Description {
    fn from(entry: RegistryEntry) -> Self {
        Description { kind: entry.kind, plugin: entry.plugin, spec: entry.spec.value() }
    }
}

/// Result of `system.plugins`.
#[derive(Debug, Serialize, JsonSchema)]
struct Plugins {
    /// Sorted by id.
    plugins: Vec<PluginState>,
}

/// What of a row says whether it is the one that is asked for.
#[derive(Deserialize)]
struct Head {
    name: String,
    role: Exposure,
}

#[cfg(test)]
mod tests;
