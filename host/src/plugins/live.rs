//! Plugins that change while the gateway runs: new configuration, new code, enabled, disabled, out of service.
//!
//! A new instance takes the place of an old one in this order, so that two never poll or schedule at once and no call is
//! lost: the new one is made, without effects yet; the old one quiesces and still answers; the table is swapped; the new
//! one starts and hears of the open connections; the old one is drained and ended. Whatever fails before the swap leaves
//! the old one as it was, but for a quiesced one, which is made anew.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use plugin_api::catalogue::{ConfigChanged, PluginReloaded, PluginState, RegistryChanged};
use tokio::sync::Mutex;

use super::loaded::{self, Libraries};
use super::{Linked, build_registry, create_linked, end, patterns, start_one, state_of};
use crate::audit;
use crate::config::{Config, ConfigError, PluginSettings};
use crate::events;
use crate::gateway::Gateway;
use crate::loader::{Admitted, file, marker};
use crate::plugin::{Origin, RunningPlugin, described};
use crate::registry::Registry;

/// How much longer than the window of panics a first round of them is remembered.
const ROUND_MEMORY: u32 = 10;

/// Reads the configuration again, as it was read at the start.
pub type Reread = Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// What is known of the plugins of a gateway beyond its table. One change at a time.
pub struct Plugins {
    book: Mutex<Book>,
    reread: std::sync::OnceLock<Reread>,
}

struct Book {
    linked: Linked,
    /// The configuration as it was read last. The one in force differs where a plugin could not be made from it.
    read: Option<Arc<Config>>,
    /// Libraries of running plugins.
    libraries: Libraries,
    /// Checksums of all libraries that were mapped, by plugin.
    mapped: HashMap<String, HashSet<String>>,
    /// Libraries that were mapped by reloads.
    reloads: u64,
    /// When a plugin was restarted because it panicked too often.
    rounds: HashMap<String, Instant>,
    generation: u64,
}

/// Which code a new instance is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    /// Of the file that the configuration names, as it is now.
    AsConfigured,
    /// Of the library that runs already.
    AsRunning,
}

/// A new instance that is in no table yet.
struct Fresh {
    plugin: Arc<RunningPlugin>,
    library: Option<Admitted>,
}

impl Plugins {
    /// Those that are linked in; none runs yet.
    pub fn new(linked: Linked) -> Self {
        let book = Book {
            linked,
            read: None,
            libraries: Libraries::default(),
            mapped: HashMap::new(),
            reloads: 0,
            rounds: HashMap::new(),
            generation: 1,
        };
        Plugins { book: Mutex::new(book), reread: std::sync::OnceLock::new() }
    }

    /// How the configuration is read again, if it can be.
    pub fn reread_with(&self, reread: Option<Reread>) {
        if let Some(reread) = reread {
            let _ = self.reread.set(reread);
        }
    }

    /// Waits for a change that is under way. Once the gateway is stopping, none begins.
    pub async fn settled(&self) {
        drop(self.book.lock().await);
    }

    /// The configuration as it is now. `None` where it came from no file and no environment.
    pub fn read_again(&self) -> Option<Result<Config, ConfigError>> {
        self.reread.get().map(|reread| reread())
    }
}

/// Brings up everything the configuration wants, at the start. Fails only for faults of the program itself.
pub async fn bring_up(gateway: &Arc<Gateway>) -> Result<(), String> {
    let mut book = gateway.plugins.book.lock().await;
    let config = gateway.live.load_full();
    let set = super::create(gateway, &config, &book.linked).await;
    publish(gateway, build_registry(gateway, &config, set.running, set.idle)?);
    let failed = super::start(gateway, &set.libraries).await;
    if !failed.is_empty() {
        let before = gateway.registry.load_full();
        publish(gateway, super::without(gateway, &config, &failed)?);
        for plugin in failed.iter().filter_map(|(id, _)| before.plugin(id)) {
            gateway.runtime.spawn(end::end(gateway.clone(), plugin.clone()));
        }
    }
    let sums = set.libraries.iter().map(|(id, library)| (id.to_string(), HashSet::from([library.sha256.clone()])));
    book.mapped = sums.collect();
    book.libraries = set.libraries;
    patterns::report(None, &config, &gateway.registry.load());
    // Before plugins look at how all of them are doing.
    gateway.own_ports.open(gateway);
    drop(events::notify(gateway, "host.registry.changed", &RegistryChanged { generation: 1, plugins: Vec::new() }));
    let (folders, libraries) = (gateway.folders.clone(), book.libraries.clone());
    gateway.runtime.spawn_blocking(move || loaded::tidy(&folders, &libraries));
    Ok(())
}

/// Makes a plugin anew, with the configuration as it is on disk now. `None`: there is no such plugin.
pub async fn reload(gateway: &Arc<Gateway>, id: &str) -> Option<PluginReloaded> {
    let mut book = gateway.plugins.book.lock().await;
    if *gateway.stopping.borrow() {
        return Some(unchanged(gateway, id, "the gateway is stopping".to_string()));
    }
    let config = match gateway.plugins.read_again() {
        Some(Ok(config)) => match usable(&book, config) {
            Ok(config) => config,
            Err(error) => return Some(unchanged(gateway, id, error.to_string())),
        },
        Some(Err(error)) => return Some(unchanged(gateway, id, error.to_string())),
        None => gateway.live.load_full(),
    };
    if !book.linked.0.contains_key(id) && config.plugins.get(id).is_none_or(|settings| settings.path.is_none()) {
        return None;
    }
    // Whatever else was changed in the file holds from now on too: it is the configuration in force.
    let mut ids = differing(gateway, &mut book, &config, None);
    ids.insert(id.to_string());
    // Whoever asks for it by name wants it tried again, whatever an earlier process died of.
    marker::clear(&gateway.folders.libraries(), id);
    let outcome = take_over(gateway, &mut book, &config, ids).await;
    let error = outcome.into_iter().find(|(of, _)| of == id || of.is_empty()).map(|(_, why)| why);
    Some(PluginReloaded { reloaded: error.is_none(), error, plugin: state_of(gateway, id) })
}

/// Takes over the configuration as it is on disk now: what differs for plugins and methods holds at once, and the log says
/// what needs a restart. `files`: plugins that are loaded without a checksum are looked at, whether their file is another
/// one now. `whole`: a configuration with another checksum is passed over.
pub async fn follow_disk(gateway: &Arc<Gateway>, files: bool, whole: Option<&str>) -> Result<(), ConfigError> {
    let mut book = gateway.plugins.book.lock().await;
    if *gateway.stopping.borrow() {
        return Ok(());
    }
    // Read when nobody else changes anything, so that what was read before never follows what was read after it.
    let Some(config) = gateway.plugins.read_again().transpose()? else { return Ok(()) };
    let sum = |config: &Config| config.file.as_ref().map(|file| file.sha256.clone());
    let found = sum(&config);
    if whole.is_some() && whole != found.as_deref() {
        return Ok(());
    }
    if !files && found == sum(&gateway.live.load()) {
        return Ok(());
    }
    let config = usable(&book, config)?;
    let other_files = if files { Some(other_files(&book, &config).await) } else { None };
    let changed = differing(gateway, &mut book, &config, other_files.as_ref());
    if changed.is_empty() && gateway.live.load().gateway.methods == config.gateway.methods {
        log_needs_restart(gateway, &config);
        let live = gateway.live.load_full();
        gateway.live.store(as_it_runs(&config, &live, &BTreeSet::new()));
        tracing::info!("the configuration was read again; nothing changes for plugins and methods");
        return Ok(());
    }
    take_over(gateway, &mut book, &config, changed).await;
    Ok(())
}

/// The plugins that are to be made anew for this configuration, which from now on is the one that was read last. With
/// `other_files` so are those, and those that could not be made before.
fn differing(
    gateway: &Gateway,
    book: &mut Book,
    config: &Arc<Config>,
    other_files: Option<&HashSet<String>>,
) -> BTreeSet<String> {
    let (live, registry) = (gateway.live.load_full(), gateway.registry.load_full());
    let noted = |id: &str| marker::is_set(&gateway.folders.libraries(), id);
    let before = book.read.replace(config.clone()).unwrap_or_else(|| live.clone());
    let ids: BTreeSet<&String> =
        book.linked.0.keys().chain(before.plugins.keys()).chain(config.plugins.keys()).collect();
    let changed = ids.into_iter().filter(|id| {
        let wanted = config.plugin(id);
        // One that is noted on the disk cost an earlier process its life, or has not come back yet.
        let has_failed = || registry.idle().iter().any(|idle| idle.id == **id && idle.state == "failed" && !noted(id));
        let is_of_files = |files: &HashSet<String>| live.plugin(id) != wanted || files.contains(*id) || has_failed();
        // An empty table is what it says by being there.
        let is_named_now = book.linked.is_opt_in(id)
            && before.plugins.contains_key(id.as_str()) != config.plugins.contains_key(id.as_str());
        before.plugin(id) != wanted || is_named_now || other_files.is_some_and(is_of_files)
    });
    changed.cloned().collect()
}

/// Puts a configuration in force and makes these plugins anew for it. The reasons of those that were not.
async fn take_over(
    gateway: &Arc<Gateway>,
    book: &mut Book,
    config: &Arc<Config>,
    ids: BTreeSet<String>,
) -> Vec<(String, String)> {
    log_needs_restart(gateway, config);
    for id in &ids {
        book.rounds.remove(id);
    }
    let ids: Vec<String> = ids.into_iter().collect();
    let faults = change(gateway, book, config, &ids, Code::AsConfigured).await;
    audit::configured(&ids);
    drop(events::notify(gateway, "host.config.changed", &ConfigChanged { plugins: ids }));
    faults
}

fn log_needs_restart(gateway: &Gateway, config: &Config) {
    for key in config.needs_restart(&gateway.live.load()) {
        tracing::warn!(key, "the key was changed in the configuration; it holds after a restart");
    }
}

/// A plugin has panicked too often: it is made anew, and after a second round taken out of service.
pub fn panicked_too_often(gateway: &Arc<Gateway>, plugin: &Arc<RunningPlugin>) {
    let (gateway, plugin) = (gateway.clone(), plugin.clone());
    gateway.runtime.clone().spawn(async move {
        let mut book = gateway.plugins.book.lock().await;
        let id = plugin.id.to_string();
        let is_current = gateway.registry.load().plugin(&id).is_some_and(|current| current.number == plugin.number);
        if !is_current || plugin.has_failed() || *gateway.stopping.borrow() {
            return;
        }
        let config = gateway.live.load_full();
        let limits = &config.gateway.plugins;
        let memory = Duration::from_millis(limits.max_panics_window_ms) * ROUND_MEMORY;
        gateway.metrics.limit_hit("max_panics");
        let again = book.rounds.insert(id.clone(), Instant::now()).is_some_and(|last| last.elapsed() < memory);
        if !again {
            tracing::error!(plugin = id, panics = limits.max_panics, "a plugin panics too often; it is made anew");
            change(&gateway, &mut book, &config, &[id], Code::AsRunning).await;
            return;
        }
        let why = format!(
            "it panicked {} times within {} ms, and again after it was made anew; mend it, then run: clawhost plugins \
             reload {id}",
            limits.max_panics, limits.max_panics_window_ms
        );
        tracing::error!(plugin = id, why, "a plugin is out of service");
        plugin.fail(why);
        gateway.own_ports.settle(&gateway);
        quiesce(&gateway, &plugin).await;
        tell(&gateway, &mut book, vec![id]);
        drop(book);
        end::end(gateway, plugin).await;
    });
}

/// Brings these plugins into the form that the configuration wants, one after the other, then rebuilds the table for what
/// concerns no plugin alone. The reasons of those that are not as they should be.
async fn change(
    gateway: &Arc<Gateway>,
    book: &mut Book,
    config: &Arc<Config>,
    ids: &[String],
    code: Code,
) -> Vec<(String, String)> {
    let before = gateway.live.load_full();
    let table = gateway.registry.load_full();
    let mut faults = Vec::new();
    for id in ids {
        let outcome = if is_wanted(book, config, id) {
            let library = (code == Code::AsRunning).then(|| book.libraries.get(id.as_str()).cloned()).flatten();
            replace(gateway, book, config, &before, id, library).await
        } else {
            remove(gateway, book, config, id).await
        };
        gateway.metrics.plugin_changed(id, outcome.is_ok());
        match outcome {
            Ok(()) => {
                let state = gateway.registry.load().state_of(id).map_or("gone".to_string(), |state| state.state);
                tracing::info!(plugin = id, state, "a plugin was changed");
            }
            Err(why) => {
                tracing::error!(plugin = id, why, "a plugin was not changed as asked");
                faults.push((id.clone(), why));
            }
        }
    }
    let registry = gateway.registry.load_full();
    let is_as_asked = |id: &&String| registry.plugin(id).is_none() || !faults.iter().any(|(fault, _)| fault == *id);
    let config = &as_it_runs(config, &before, &ids.iter().filter(is_as_asked).collect());
    // The tables on the way here were built with the methods of plugins that then could not be changed.
    let is_mixed = !faults.is_empty() && !Arc::ptr_eq(&table, &registry);
    if is_mixed || before.gateway.methods != config.gateway.methods {
        match build_registry(gateway, config, registry.plugins().to_vec(), registry.idle().to_vec()) {
            Ok(registry) => publish(gateway, registry),
            Err(why) => {
                tracing::error!(why, "the table of methods stays as it was");
                faults.push((String::new(), why));
            }
        }
    }
    gateway.live.store(config.clone());
    patterns::report(Some((&*before, &*table)), config, &gateway.registry.load());
    // A plugin that goes on as it was is no news.
    if !Arc::ptr_eq(&table, &gateway.registry.load_full()) {
        tell(gateway, book, ids.to_vec());
    }
    faults
}

/// This configuration with the tables that plugins run by: those in force, but for the plugins that were changed as it asks.
/// What could not be done yet so stays a difference, and is tried again.
fn as_it_runs(config: &Arc<Config>, live: &Config, changed: &BTreeSet<&String>) -> Arc<Config> {
    let mut mixed = config.clone();
    let ids: BTreeSet<&String> = config.plugins.keys().chain(live.plugins.keys()).collect();
    for id in ids.into_iter().filter(|id| !changed.contains(id) && live.plugin(id) != config.plugin(id)) {
        let plugins = &mut Arc::make_mut(&mut mixed).plugins;
        match live.plugins.get(id) {
            Some(settings) => drop(plugins.insert(id.clone(), settings.clone())),
            None => drop(plugins.remove(id)),
        }
    }
    mixed
}

/// Puts a new instance in the place of the one there is, if there is one.
async fn replace(
    gateway: &Arc<Gateway>,
    book: &mut Book,
    config: &Arc<Config>,
    before: &Arc<Config>,
    id: &str,
    library: Option<Admitted>,
) -> Result<(), String> {
    let registry = gateway.registry.load_full();
    let old = registry.plugin(id).cloned();
    let fresh = match make(gateway, book, config, id, library).await {
        Ok(fresh) => fresh,
        Err(why) if old.is_some() => return Err(format!("{why}; the instance before it goes on")),
        Err(why) => return Err(give_up(gateway, book, config, id, why)),
    };
    if let Some(old) = &old {
        fresh.plugin.errors.store(old.errors.load(Ordering::Relaxed), Ordering::Relaxed);
        fresh.plugin.panics.store(old.panics.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    let table = match table_with(gateway, config, id, Ok(&fresh.plugin)) {
        Ok(table) => table,
        Err(why) => {
            gateway.runtime.spawn(end::end(gateway.clone(), fresh.plugin));
            return Err(why);
        }
    };
    if let Some(old) = &old {
        quiesce(gateway, old).await;
    }
    publish(gateway, table);
    let started = start_one(gateway, &fresh.plugin, fresh.library.as_ref()).await;
    let outcome = match started {
        Ok(()) => {
            note_library(book, id, fresh.library);
            Ok(())
        }
        Err(why) => {
            // Out of the table before it is ended: a call must not find it there. And ended before another takes its place: what
            // it has begun, or taken hold of, goes first.
            match table_with(gateway, before, id, Err(None)) {
                Ok(table) => publish(gateway, table),
                Err(further) => tracing::error!(plugin = id, why = further, "the table of methods stays as it was"),
            }
            end::end(gateway.clone(), fresh.plugin).await;
            Err(go_back(gateway, book, before, id, old.is_some(), why).await)
        }
    };
    if let Some(old) = old {
        gateway.runtime.spawn(end::end(gateway.clone(), old));
    }
    outcome
}

/// The new instance did not start, and the old one has quiesced: one more of the old kind takes its place.
async fn go_back(
    gateway: &Arc<Gateway>,
    book: &mut Book,
    before: &Arc<Config>,
    id: &str,
    existed: bool,
    why: String,
) -> String {
    if !existed {
        return give_up(gateway, book, before, id, why);
    }
    let library = book.libraries.get(id).cloned();
    let again = async {
        let fresh = make(gateway, book, before, id, library).await.map_err(|why| (why, None))?;
        let started = async {
            publish(gateway, table_with(gateway, before, id, Ok(&fresh.plugin))?);
            start_one(gateway, &fresh.plugin, fresh.library.as_ref()).await
        };
        started.await.map_err(|why| (why, Some(fresh.plugin)))
    };
    match again.await {
        Ok(()) => format!("{why}; it runs as before"),
        Err((further, made)) => {
            let why = format!("{why}; and it cannot be made as it was before: {further}");
            let why = give_up(gateway, book, before, id, why);
            if let Some(made) = made {
                gateway.runtime.spawn(end::end(gateway.clone(), made));
            }
            why
        }
    }
}

/// Takes a plugin out of the table, with the reason.
fn give_up(gateway: &Arc<Gateway>, book: &mut Book, config: &Config, id: &str, why: String) -> String {
    let state = PluginState { error: Some(why.clone()), state: "failed".to_string(), ..plain_state(gateway, book, id) };
    match table_with(gateway, config, id, Err(Some(state))) {
        Ok(table) => publish(gateway, table),
        Err(further) => tracing::error!(plugin = id, why = further, "the table of methods stays as it was"),
    }
    book.libraries.remove(id);
    why
}

/// Takes a plugin away that is not wanted any more.
async fn remove(gateway: &Arc<Gateway>, book: &mut Book, config: &Config, id: &str) -> Result<(), String> {
    let old = gateway.registry.load().plugin(id).cloned();
    let listed = config.plugins.contains_key(id) || book.linked.0.contains_key(id);
    let state = listed.then(|| PluginState { state: "disabled".to_string(), ..plain_state(gateway, book, id) });
    let table = table_with(gateway, config, id, Err(state))?;
    if let Some(old) = &old {
        quiesce(gateway, old).await;
    }
    publish(gateway, table);
    book.libraries.remove(id);
    if let Some(old) = old {
        gateway.runtime.spawn(end::end(gateway.clone(), old));
    }
    Ok(())
}

/// A new instance, from this library or from what the configuration names.
async fn make(
    gateway: &Arc<Gateway>,
    book: &mut Book,
    config: &Config,
    id: &str,
    library: Option<Admitted>,
) -> Result<Fresh, String> {
    if let Some(linked) = book.linked.0.get(id) {
        if config.plugins.get(id).is_some_and(|settings| settings.path.is_some()) {
            return Err(format!(
                "a plugin {id:?} is linked into this program, and no file can take its place; remove path"
            ));
        }
        return Ok(Fresh { plugin: create_linked(gateway, config, linked)?, library: None });
    }
    let settings = config.plugin(id);
    let others: Vec<_> = gateway.registry.load().plugins().iter().filter(|plugin| &*plugin.id != id).cloned().collect();
    let mut claims = loaded::claims_of(config, &others);
    if let Some(library) = library {
        let plugin = loaded::from_library(gateway, config, id, &settings, &library, &mut claims).await;
        return Ok(Fresh { plugin: plugin.map_err(|failure| failure.why)?, library: Some(library) });
    }
    let file = config.plugin_file(&settings).ok_or("its table names no path")?;
    let candidate = loaded::candidate(gateway, config, id, &settings, file);
    let library = loaded::admitted(config, candidate).await?;
    check_room(gateway, book, config, id, &library)?;
    let plugin = loaded::from_library(gateway, config, id, &settings, &library, &mut claims).await;
    Ok(Fresh { plugin: plugin.map_err(|failure| failure.why)?, library: Some(library) })
}

/// Code once loaded stays mapped, so there is an end to it.
fn check_room(gateway: &Gateway, book: &mut Book, config: &Config, id: &str, library: &Admitted) -> Result<(), String> {
    if book.mapped.values().any(|libraries| libraries.contains(&library.sha256)) {
        return Ok(());
    }
    if !book.mapped.contains_key(id) {
        // The first one of a plugin is no reload.
        book.mapped.insert(id.to_string(), HashSet::from([library.sha256.clone()]));
        return Ok(());
    }
    let limit = config.gateway.plugins.max_reloads;
    if book.reloads >= limit {
        gateway.metrics.limit_hit("max_reloads");
        return Err(format!(
            "{limit} libraries were loaded since the start, as many as gateway.plugins.max_reloads allows; code once loaded \
             stays in memory, so restart the gateway or raise the limit"
        ));
    }
    book.reloads += 1;
    gateway.metrics.library_reloads.increment(1);
    book.mapped.entry(id.to_string()).or_default().insert(library.sha256.clone());
    tracing::info!(reloads = book.reloads, limit, sha256 = library.sha256, "one more library stays mapped");
    Ok(())
}

/// The table in force with this plugin in the place of the one of its id, or with what is to be listed of it.
fn table_with(
    gateway: &Gateway,
    config: &Config,
    id: &str,
    plugin: Result<&Arc<RunningPlugin>, Option<PluginState>>,
) -> Result<Registry, String> {
    let registry = gateway.registry.load();
    let mut running: Vec<_> = registry.plugins().iter().filter(|known| &*known.id != id).cloned().collect();
    let mut idle: Vec<_> = registry.idle().iter().filter(|known| known.id != id).cloned().collect();
    match plugin {
        Ok(plugin) => running.push(plugin.clone()),
        Err(state) => idle.extend(state),
    }
    build_registry(gateway, config, running, idle)
}

fn publish(gateway: &Arc<Gateway>, registry: Registry) {
    gateway.registry.store(Arc::new(registry));
    gateway.own_ports.settle(gateway);
    gateway.connections.each(|connection| connection.authority.recount());
}

async fn quiesce(gateway: &Gateway, plugin: &Arc<RunningPlugin>) {
    let patience = Duration::from_millis(gateway.live.load().gateway.plugins.drain_ms);
    if !plugin.quiesce(patience).await {
        tracing::warn!(plugin = &*plugin.id, "the plugin did not quiesce in time");
    }
}

fn tell(gateway: &Gateway, book: &mut Book, plugins: Vec<String>) {
    book.generation += 1;
    let changed = RegistryChanged { generation: book.generation, plugins };
    drop(events::notify(gateway, "host.registry.changed", &changed));
}

/// A configuration whose tables name plugins that exist.
fn usable(book: &Book, config: Config) -> Result<Arc<Config>, ConfigError> {
    config.check_plugin_ids(&book.linked.ids())?;
    Ok(Arc::new(config))
}

fn is_wanted(book: &Book, config: &Config, id: &str) -> bool {
    let PluginSettings { enabled, path, .. } = config.plugin(id);
    if book.linked.0.contains_key(id) { book.linked.wants(config, id) } else { enabled && path.is_some() }
}

/// Plugins that are loaded without a checksum and whose file has other bytes now.
async fn other_files(book: &Book, config: &Config) -> HashSet<String> {
    let running = book.libraries.iter().filter_map(|(id, library)| {
        let settings = config.plugin(id);
        let path = config.plugin_file(&settings).filter(|_| settings.sha256.is_none())?;
        Some((id.to_string(), path, library.sha256.clone()))
    });
    let running: Vec<_> = running.collect();
    let is_other = |path: &std::path::Path, known: &str| file::read(path).is_ok_and(|found| found.sha256 != *known);
    let looked = tokio::task::spawn_blocking(move || {
        running.into_iter().filter(|(_, path, known)| is_other(path, known)).map(|(id, ..)| id).collect()
    });
    looked.await.unwrap_or_default()
}

fn note_library(book: &mut Book, id: &str, library: Option<Admitted>) {
    match library {
        Some(library) => drop(book.libraries.insert(id.into(), library)),
        None => drop(book.libraries.remove(id)),
    }
}

/// What is listed of a plugin that has no instance.
fn plain_state(gateway: &Gateway, book: &Book, id: &str) -> PluginState {
    let registry = gateway.registry.load();
    match (registry.plugin(id), book.linked.0.get(id)) {
        (Some(plugin), _) => described(&plugin.manifest, plugin.origin),
        (None, Some(linked)) => described(&linked.manifest, Origin::Linked),
        (None, None) => described(&plugin_api::Manifest::new(id, ""), Origin::Loaded),
    }
}

fn unchanged(gateway: &Gateway, id: &str, why: String) -> PluginReloaded {
    PluginReloaded { reloaded: false, error: Some(why), plugin: state_of(gateway, id) }
}
