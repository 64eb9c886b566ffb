//! From the plugins a program holds to the registry: what is linked in, what the configuration says of each, which come
//! up. A plugin that cannot be made or started is disabled and reported, and the rest serves.

use std::collections::BTreeMap;
use std::sync::Arc;

use plugin_api::catalogue::PluginState;
use plugin_api::hosting::{self, Instance};
use plugin_api::{LinkedPlugin, Manifest};
use serde_json::json;

use crate::config::Isolation;
use crate::gateway::Gateway;
use crate::host_side::HostSide;
use crate::plugin::{Origin, RunningPlugin, described};
use crate::registry::{self, Registry};
use crate::state::StateDir;
use crate::validation::Validator;

/// Plugins linked into this program, by id.
pub struct Linked(BTreeMap<String, (&'static plugin_api::abi::gwp_entry, Manifest)>);

impl Linked {
    /// Their ids.
    pub fn ids(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

/// Plugins that have an instance, and those that are only listed.
pub struct PluginSet {
    /// With an instance.
    pub running: Vec<Arc<RunningPlugin>>,
    /// Disabled, or failed.
    pub idle: Vec<PluginState>,
}

/// Reads the manifests of the plugins that are linked in, and checks that the expected ones are among them.
pub fn linked(expected: &[&str]) -> Result<Linked, String> {
    let mut found = BTreeMap::new();
    for LinkedPlugin { entry, crate_name } in plugin_api::inventory::iter::<LinkedPlugin>() {
        let text = hosting::manifest(entry).map_err(|error| format!("plugin crate {crate_name}: {error}"))?;
        let manifest =
            Manifest::parse(text).map_err(|error| format!("plugin crate {crate_name}: manifest: {error}"))?;
        let id = manifest.id.clone();
        if found.insert(id.clone(), (*entry, manifest)).is_some() {
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

/// Makes an instance of each enabled plugin.
pub fn create(gateway: &Arc<Gateway>, state: &StateDir, linked: Linked) -> PluginSet {
    let mut set = PluginSet { running: Vec::new(), idle: Vec::new() };
    for (id, (entry, manifest)) in linked.0 {
        if !gateway.config.plugin(&id).enabled {
            set.idle.push(described(&manifest, Origin::Linked));
            continue;
        }
        match create_one(gateway, state, entry, &manifest) {
            Ok(plugin) => set.running.push(plugin),
            Err(why) => {
                tracing::error!(plugin = id, why, "a plugin is disabled");
                set.idle.push(failed(&manifest, Origin::Linked, &why));
            }
        }
    }
    set
}

/// Goes live with each plugin; the ids of those that did not.
pub fn start(registry: &Registry) -> Vec<(Arc<str>, String)> {
    let mut failed = Vec::new();
    for plugin in registry.plugins() {
        if let Err(why) = plugin.start() {
            tracing::error!(plugin = &*plugin.id, why, "a plugin is disabled");
            plugin.fail(why.clone());
            failed.push((plugin.id.clone(), why));
        }
    }
    failed
}

/// The table of these plugins. A name claimed twice between linked-in plugins is an error.
pub fn build_registry(
    gateway: &Gateway,
    running: Vec<Arc<RunningPlugin>>,
    idle: Vec<PluginState>,
) -> Result<Registry, String> {
    let config = &gateway.config;
    let enabled = |plugin: &str, method: &str| {
        let chosen = config.plugin(plugin).methods;
        config.gateway.methods.everyone.permits(method)
            && chosen.is_none_or(|chosen| chosen.iter().any(|name| name == method))
    };
    Registry::build(running, idle, enabled, &gateway.metrics).map_err(|error| error.to_string())
}

/// The table in force without the plugins that failed to start.
pub fn without(gateway: &Gateway, failed_ids: &[(Arc<str>, String)]) -> Result<Registry, String> {
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
    build_registry(gateway, running, idle)
}

fn create_one(
    gateway: &Arc<Gateway>,
    state: &StateDir,
    entry: &'static plugin_api::abi::gwp_entry,
    manifest: &Manifest,
) -> Result<Arc<RunningPlugin>, String> {
    let id = manifest.id.as_str();
    let settings = gateway.config.plugin(id);
    registry::check_names(manifest)?;
    registry::check_schemas(manifest)?;
    for extension in &manifest.requires {
        if !plugin_api::abi::extension::ALL.contains(&extension.as_str()) {
            return Err(format!("it requires {extension:?}, which this gateway does not offer"));
        }
    }
    for name in settings.methods.iter().flatten() {
        if !manifest.methods.iter().any(|method| method.name == *name) {
            let hint = crate::config::suggest::hint(name, manifest.methods.iter().map(|method| method.name.as_str()));
            return Err(format!("{}methods: the plugin has no method {name:?}{hint}", at(gateway, &settings, id)));
        }
    }
    check_config(manifest, &settings.config).map_err(|why| format!("{}{why}", at(gateway, &settings, id)))?;
    let (invokes, hears) = match &settings.grants {
        Some(grants) => (grants.invoke.clone(), grants.hear.clone()),
        None => (manifest.invokes.clone(), manifest.hears.clone()),
    };
    let mut manifest = manifest.clone();
    manifest.blocking |= settings.isolation == Some(Isolation::Pool);
    let plugin = Arc::new(RunningPlugin::new(manifest, Origin::Linked, invokes, hears));
    let data_dir = state.plugin_data(id).map_err(|error| error.to_string())?;
    let setup = json!({ "id": id, "dataDir": data_dir, "config": settings.config }).to_string();
    let instance = Instance::create(entry, HostSide::new(gateway, &plugin), &setup)
        .map_err(|error| format!("{}{error}", at(gateway, &settings, id)))?;
    plugin.install(instance);
    Ok(plugin)
}

/// Checks an author's keys against the manifest's schema.
fn check_config(manifest: &Manifest, config: &serde_json::Value) -> Result<(), String> {
    match &manifest.config {
        None if config.as_object().is_none_or(|map| map.is_empty()) => Ok(()),
        None => Err("the plugin takes no configuration; remove the table".to_string()),
        Some(schema) => {
            let validator =
                Validator::new(schema).map_err(|error| format!("the plugin's own config schema is broken: {error}"))?;
            match validator.describe(config) {
                None => Ok(()),
                Some(fault) => Err(fault),
            }
        }
    }
}

/// Where in the configuration a fault lies.
fn at(gateway: &Gateway, settings: &crate::config::PluginSettings, id: &str) -> String {
    let file = gateway.config.file.as_ref().and_then(|file| file.path.file_name());
    match (file, settings.line) {
        (Some(file), Some(line)) => format!("{}:{line}: [plugins.{id}.config]: ", file.to_string_lossy()),
        _ => String::new(),
    }
}

fn failed(manifest: &Manifest, origin: Origin, why: &str) -> PluginState {
    PluginState { state: "failed".to_string(), error: Some(why.to_string()), ..described(manifest, origin) }
}
