//! From the plugins a program holds to the registry: what is linked in, what the configuration says of each, which come
//! up. A plugin that cannot be made or started is disabled and reported, and the rest serves. What changes while the
//! gateway runs is in [`live`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plugin_api::catalogue::PluginState;
use plugin_api::hosting::{self, Instance};
use plugin_api::{LinkedPlugin, Manifest};
use serde_json::json;

use crate::config::{Config, Isolation, Issue, PluginSettings};
use crate::gateway::Gateway;
use crate::handover::Beside;
use crate::host_side::HostSide;
use crate::loader;
use crate::place::Place;
use crate::plugin::{Origin, RunningPlugin, described};
use crate::registry::{self, Registry};
use crate::validation::Validator;

/// Threads at most of a plugin whose calls block, whatever its manifest says.
const MAX_BLOCKING_CALLS: u32 = 256;

pub mod end;
pub mod live;
pub mod loaded;
mod patterns;

use loaded::Libraries;

/// Plugins linked into this program, by id.
pub struct Linked(BTreeMap<String, LinkedIn>);

/// One of them.
#[derive(Clone)]
struct LinkedIn {
    entry: &'static plugin_api::abi::gwp_entry,
    manifest: Manifest,
}

impl Linked {
    /// Their ids.
    pub fn ids(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// Whether one of them is to run. Those that are of no use without a configuration want a table of their own.
    fn wants(&self, config: &Config, id: &str) -> bool {
        config.plugin(id).enabled && (config.plugins.contains_key(id) || !self.is_opt_in(id))
    }

    fn is_opt_in(&self, id: &str) -> bool {
        self.0.get(id).is_some_and(|plugin| plugin.manifest.opt_in)
    }
}

/// Plugins that have an instance, and those that are only listed.
pub struct PluginSet {
    /// With an instance.
    pub running: Vec<Arc<RunningPlugin>>,
    /// Disabled, or failed.
    pub idle: Vec<PluginState>,
    /// The files of those that were loaded.
    pub libraries: Libraries,
}

/// Reads the manifests of the plugins that are linked in, and checks that the expected ones are among them.
pub fn linked(expected: &[&str]) -> Result<Linked, String> {
    let mut found = BTreeMap::new();
    for LinkedPlugin { entry, crate_name } in plugin_api::inventory::iter::<LinkedPlugin>() {
        let text = hosting::manifest(entry).map_err(|error| format!("plugin crate {crate_name}: {error}"))?;
        let manifest =
            Manifest::parse(text).map_err(|error| format!("plugin crate {crate_name}: manifest: {error}"))?;
        let id = manifest.id.clone();
        if found.insert(id.clone(), LinkedIn { entry, manifest }).is_some() {
            return Err(format!("two linked-in plugins have the id {id:?}; one of them is in crate {crate_name}"));
        }
    }
    let lost: Vec<_> = expected.iter().filter(|id| !found.contains_key(**id)).copied().collect();
    if !lost.is_empty() {
        return Err(format!(
            "these plugins should be linked in but are not registered: {}; their crates must be named with `use … as _;`",
            lost.join(", ")
        ));
    }
    Ok(Linked(found))
}

/// Makes an instance of each enabled plugin, the linked-in ones first.
pub async fn create(gateway: &Arc<Gateway>, config: &Config, linked: &Linked) -> PluginSet {
    let mut set = PluginSet { running: Vec::new(), idle: Vec::new(), libraries: Libraries::default() };
    for (id, plugin) in &linked.0 {
        if !linked.wants(config, id) {
            set.idle.push(described(&plugin.manifest, Origin::Linked));
            continue;
        }
        match create_linked(gateway, config, plugin) {
            Ok(plugin) => set.running.push(plugin),
            Err(why) => {
                tracing::error!(plugin = id, why, "a plugin is disabled");
                set.idle.push(failed(&plugin.manifest, Origin::Linked, &why));
            }
        }
    }
    loaded::create(gateway, config, &linked.ids(), &mut set).await;
    set
}

/// Goes live with each plugin; the ids of those that did not.
pub async fn start(gateway: &Arc<Gateway>, libraries: &Libraries) -> Vec<(Arc<str>, String)> {
    let mut failed = Vec::new();
    let registry = gateway.registry.load_full();
    for plugin in registry.plugins() {
        let library = libraries.get(&plugin.id);
        if let Err(why) = start_one(gateway, plugin, library).await {
            let file = library.map(|library| tracing::field::display(library.file.display()));
            tracing::error!(plugin = &*plugin.id, file, why, "a plugin is disabled");
            plugin.fail(why.clone());
            failed.push((plugin.id.clone(), why));
        }
    }
    failed
}

async fn start_one(
    gateway: &Gateway,
    plugin: &Arc<RunningPlugin>,
    library: Option<&loader::Admitted>,
) -> Result<(), String> {
    match library {
        None => plugin.start(),
        Some(library) => loaded::start(gateway, plugin, library).await,
    }
}

/// The table of these plugins. A name claimed twice between linked-in plugins is an error.
pub fn build_registry(
    gateway: &Gateway,
    config: &Config,
    running: Vec<Arc<RunningPlugin>>,
    idle: Vec<PluginState>,
) -> Result<Registry, String> {
    let registry = Registry::build(running, idle, enabled(config), &gateway.metrics);
    registry.map(|registry| registry.with_rules(config.gateway.methods.clone())).map_err(|error| error.to_string())
}

/// Whether a plugin's method is served, by the plugin's table and the rule for everyone.
fn enabled(config: &Config) -> impl Fn(&str, &str) -> bool {
    |plugin: &str, method: &str| {
        let chosen = config.plugins.get(plugin).and_then(|settings| settings.methods.as_ref());
        config.gateway.methods.everyone.permits(method)
            && chosen.is_none_or(|chosen| chosen.iter().any(|name| name == method))
    }
}

/// The table in force without the plugins that failed to start.
pub fn without(gateway: &Gateway, config: &Config, failed_ids: &[(Arc<str>, String)]) -> Result<Registry, String> {
    let registry = gateway.registry.load();
    let reason = |plugin: &Arc<RunningPlugin>| failed_ids.iter().find(|(id, _)| *id == plugin.id).map(|(_, why)| why);
    let mut idle = registry.idle().to_vec();
    let mut running = Vec::new();
    for plugin in registry.plugins() {
        match reason(plugin) {
            Some(why) => idle.push(failed(&plugin.manifest, plugin.origin, why)),
            None => running.push(plugin.clone()),
        }
    }
    build_registry(gateway, config, running, idle)
}

fn create_linked(gateway: &Arc<Gateway>, config: &Config, linked: &LinkedIn) -> Result<Arc<RunningPlugin>, String> {
    let id = linked.manifest.id.as_str();
    let settings = config.plugin(id);
    check_manifest(config, &linked.manifest, Origin::Linked)?;
    let Prepared { plugin, setup } = prepare(gateway, config, &linked.manifest, Origin::Linked, &settings)?;
    let view = HostSide::new(gateway, &plugin);
    match Instance::create(linked.entry, view.clone(), &setup) {
        Ok(instance) => plugin.install(instance, view),
        Err(error) => {
            end::forget(gateway, &plugin, &view);
            return Err(format!("{}{error}", config_place(config, &settings, id)));
        }
    }
    Ok(plugin)
}

/// What its author has to have got right.
fn check_manifest(config: &Config, manifest: &Manifest, origin: Origin) -> Result<(), String> {
    manifest.check_form()?;
    // Those that are linked in were tried by the tests of whoever built them, and hundreds take their time.
    if origin == Origin::Loaded {
        registry::check_schemas(manifest)?;
    }
    check_requirements(manifest, origin, config.gateway.plugins.allow_draft_extensions)?;
    registry::reserve_scopes(manifest)
}

/// A plugin whose configuration was found right, before anything of it is created.
struct Prepared {
    plugin: Arc<RunningPlugin>,
    /// What `create` is given.
    setup: String,
}

fn prepare(
    gateway: &Gateway,
    config: &Config,
    manifest: &Manifest,
    origin: Origin,
    settings: &PluginSettings,
) -> Result<Prepared, String> {
    let id = manifest.id.as_str();
    check_table(manifest, settings).map_err(|why| format!("{}{why}", config_place(config, settings, id)))?;
    let (invokes, hears) = match (&settings.grants, origin) {
        (Some(grants), _) => (grants.invoke.clone(), grants.hear.clone()),
        (None, Origin::Linked) => (manifest.invokes.clone(), manifest.hears.clone()),
        // What somebody else's plugin wants is for the operator to grant.
        (None, Origin::Loaded) => (Vec::new(), Vec::new()),
    };
    let isolation = settings.isolation.unwrap_or(match origin {
        Origin::Linked => Isolation::Inline,
        Origin::Loaded => Isolation::Pool,
    });
    let threads = match (isolation, manifest.blocking) {
        (Isolation::Inline, false) => None,
        (Isolation::Pool, false) => Some(config.gateway.plugins.pool_threads),
        // Calls that block are what the manifest asks for at once.
        (_, true) => Some(manifest.max_concurrent.clamp(1, MAX_BLOCKING_CALLS) as usize),
    };
    let workers = gateway.runtime.clone();
    let here = match threads {
        None => Place::workers(id, workers),
        Some(threads) => Place::pool(id, workers, threads).map_err(|error| format!("no threads for it: {error}"))?,
    };
    let freeing = gateway.freeing.clone();
    let plugin =
        Arc::new(RunningPlugin::new(manifest.clone(), origin, here, invokes, hears, settings.http_port, freeing));
    let patience = Duration::from_millis(gateway.limits().worker_stall_ms);
    plugin.count_beside(Beside { counts: gateway.metrics.of_plugin(id), patience });
    let data_dir = gateway.folders.data(id).map_err(|error| error.to_string())?;
    let setup = json!({ "id": id, "dataDir": data_dir, "config": settings.config }).to_string();
    Ok(Prepared { plugin, setup })
}

/// Whether an instance is served an extension. Drafts change without notice, which only plugins that are built with the
/// program can live with, unless the operator says otherwise.
pub fn offers(extension: &str, origin: Origin, drafts: bool) -> bool {
    let is_open = origin == Origin::Linked || drafts || !extension.starts_with("draft.");
    is_open && plugin_api::abi::extension::ALL.contains(&extension)
}

/// Refuses a plugin that cannot live with what this gateway offers.
fn check_requirements(manifest: &Manifest, origin: Origin, drafts: bool) -> Result<(), String> {
    let http = (!manifest.http.is_empty()).then(|| plugin_api::abi::extension::HTTP.to_string());
    for extension in manifest.requires.iter().chain(&http) {
        if extension.starts_with("draft.") && origin == Origin::Loaded && !drafts {
            return Err(format!(
                "it requires the draft {extension:?}; gateway.plugins.allow_draft_extensions = true serves drafts, which \
                 change without notice"
            ));
        }
        if !plugin_api::abi::extension::ALL.contains(&extension.as_str()) {
            return Err(format!("it requires {extension:?}, which this gateway does not offer; another version may"));
        }
    }
    Ok(())
}

/// What is wrong with the tables of plugins that are linked in: for each, what its start would say and be disabled for.
pub fn check_tables(config: &Config, linked: &Linked) -> Vec<Issue> {
    let issue = |(id, plugin): (&String, &LinkedIn)| {
        let settings = config.plugin(id);
        let why = check_table(&plugin.manifest, &settings).err().filter(|_| settings.enabled)?;
        let path = format!("plugins.{id}.config");
        Some(Issue { message: format!("[{path}]: {why}"), path, line: settings.line })
    };
    linked.0.iter().filter_map(issue).collect()
}

/// Checks what a plugin's table says against its manifest.
fn check_table(manifest: &Manifest, settings: &PluginSettings) -> Result<(), String> {
    for name in settings.methods.iter().flatten() {
        if !manifest.methods.iter().any(|method| method.name == *name) {
            let hint = crate::config::suggest::hint(name, manifest.methods.iter().map(|method| method.name.as_str()));
            return Err(format!("methods: the plugin has no method {name:?}{hint}"));
        }
    }
    if settings.http_port.is_some() && manifest.http.is_empty() {
        return Err("http_port: the plugin answers no HTTP".to_string());
    }
    check_config(manifest, &settings.config)
}

/// Checks an author's keys against the manifest's schema.
fn check_config(manifest: &Manifest, config: &serde_json::Value) -> Result<(), String> {
    match &manifest.config {
        None if config.as_object().is_none_or(|map| map.is_empty()) => Ok(()),
        None => Err("the plugin takes no configuration; remove the table".to_string()),
        Some(schema) => {
            let validator = Validator::new(&schema.value())
                .map_err(|error| format!("the plugin's own config schema is broken: {error}"))?;
            match validator.describe(config) {
                None => Ok(()),
                Some(fault) => Err(fault),
            }
        }
    }
}

/// Where in the configuration a fault of the author's keys lies.
fn config_place(config: &Config, settings: &PluginSettings, id: &str) -> String {
    place(config, settings, &format!("plugins.{id}.config"))
}

/// The beginning of a sentence about a plugin's table.
fn place(config: &Config, settings: &PluginSettings, table: &str) -> String {
    let file = config.file.as_ref().and_then(|file| file.path.file_name());
    match (file, settings.line) {
        (Some(file), Some(line)) => format!("{}:{line}: [{table}]: ", file.to_string_lossy()),
        _ => String::new(),
    }
}

/// How a plugin is doing.
fn state_of(gateway: &Gateway, id: &str) -> PluginState {
    let known = gateway.registry.load().state_of(id);
    known.unwrap_or_else(|| failed(&Manifest::new(id, ""), Origin::Loaded, ""))
}

fn failed(manifest: &Manifest, origin: Origin, why: &str) -> PluginState {
    PluginState { state: "failed".to_string(), error: Some(why.to_string()), ..described(manifest, origin) }
}
