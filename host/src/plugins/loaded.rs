//! Plugins from shared libraries: tables with a `path`. Files are read and checked side by side, since that runs no code
//! of them. Then one after the other is opened and created, so that a note on disk can name the one the gateway died of.
//! Every fault is the plugin's own: it is listed as failed, and the start goes on.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use plugin_api::Manifest;
use plugin_api::hosting::Instance;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{PluginSet, Prepared, check_manifest, end, failed, place, prepare};
use crate::claims::Claims;
use crate::config::{Config, PluginSettings};
use crate::gateway::Gateway;
use crate::host_side::HostSide;
use crate::loader::marker::{self, Marker};
use crate::loader::{self, Admitted, Checks, Fault, Opened, Refusal};
use crate::plugin::{Origin, RunningPlugin, described};
use crate::state::PluginFolders;

/// Libraries of running plugins, by id.
pub type Libraries = HashMap<Arc<str>, Admitted>;

/// What is known of a plugin that did not come up.
pub struct Failure {
    /// What it said of itself, if it came that far.
    pub manifest: Option<Manifest>,
    /// The reason, with what to do.
    pub why: String,
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Failure { manifest: None, why }
    }
}

/// A table with a path, its file on the way to being checked.
pub struct Candidate {
    id: String,
    settings: PluginSettings,
    file: PathBuf,
    admission: JoinHandle<Result<Admitted, Refusal>>,
}

/// Brings up the plugins that have a path, beside those in `set`, none of which they may get in the way of. `linked` are
/// the ids of all plugins that are linked in.
pub async fn create(gateway: &Arc<Gateway>, config: &Config, linked: &[&str], set: &mut PluginSet) {
    let mut claims = claims_of(config, &set.running);
    for candidate in candidates(gateway, config, linked, set) {
        let (id, file) = (candidate.id.clone(), candidate.file.clone());
        match bring_up(gateway, config, candidate, &mut claims).await {
            Ok((plugin, library)) => {
                tracing::info!(plugin = id, file = %file.display(), sha256 = library.sha256, "a plugin is loaded");
                set.libraries.insert(plugin.id.clone(), library);
                set.running.push(plugin);
            }
            Err(Failure { manifest, why }) => {
                claims.remove(&id);
                refuse(set, &id, manifest, &file, &why);
            }
        }
    }
}

/// Names that these plugins have.
pub fn claims_of(config: &Config, plugins: &[Arc<RunningPlugin>]) -> Claims {
    let mut claims = Claims::default();
    for plugin in plugins {
        // Between plugins that are linked in a clash is a fault of the program, which the registry reports.
        let _ = claims.add(&plugin.manifest, super::enabled(config));
    }
    claims
}

/// Deletes copies of libraries that no table names any more. Blocks.
pub fn tidy(folders: &PluginFolders, libraries: &Libraries) {
    let needed: Vec<&str> = libraries.values().map(|library| library.sha256.as_str()).collect();
    loader::prune(&folders.libraries(), &needed);
}

/// `[control]` Goes live with a plugin, for at most `create_ms`.
pub async fn start(gateway: &Gateway, plugin: &Arc<RunningPlugin>, library: &Admitted) -> Result<(), String> {
    let starting = plugin.clone();
    let started = patiently(gateway, &plugin.id, library, "start", move || starting.start()).await;
    started.map_err(|refusal| refusal.to_string())?
}

/// The tables with a path whose plugin is to run; the others are listed and done with.
fn candidates(gateway: &Gateway, config: &Config, linked: &[&str], set: &mut PluginSet) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (id, settings) in &config.plugins {
        let Some(file) = config.plugin_file(settings) else { continue };
        if linked.contains(&id.as_str()) {
            let why = format!(
                "{}a plugin {id:?} is linked into this program, and {} cannot take its place; remove path, or give the \
                 plugin in the file an id of its own",
                place(config, settings, &format!("plugins.{id}")),
                file.display()
            );
            refuse(set, id, None, &file, &why);
        } else if !settings.enabled {
            set.idle.push(described(&Manifest::new(id, ""), Origin::Loaded));
        } else {
            found.push(candidate(gateway, config, id, settings, file));
        }
    }
    found
}

/// A plugin from this file, which is read and checked from now on.
pub fn candidate(gateway: &Gateway, config: &Config, id: &str, settings: &PluginSettings, file: PathBuf) -> Candidate {
    let checks = Checks::configured(&config.gateway.plugins, settings);
    let (folder, named) = (gateway.folders.libraries(), file.clone());
    let admission = gateway.runtime.spawn_blocking(move || loader::admit(&folder, &named, &checks));
    Candidate { id: id.to_string(), settings: settings.clone(), file, admission }
}

/// File → entry → manifest → requirements, names, scopes → config → create.
pub async fn bring_up(
    gateway: &Arc<Gateway>,
    config: &Config,
    candidate: Candidate,
    claims: &mut Claims,
) -> Result<(Arc<RunningPlugin>, Admitted), Failure> {
    let (id, settings) = (candidate.id.clone(), candidate.settings.clone());
    let library = admitted(config, candidate).await?;
    let plugin = from_library(gateway, config, &id, &settings, &library, claims).await?;
    Ok((plugin, library))
}

/// The library of a candidate, once its bytes were checked.
pub async fn admitted(config: &Config, candidate: Candidate) -> Result<Admitted, String> {
    let Candidate { id, settings, admission, .. } = candidate;
    let place = place(config, &settings, &format!("plugins.{id}"));
    let library = admission.await.map_err(|error| format!("{place}{error}"))?;
    library.map_err(|refusal| format!("{place}{refusal}"))
}

/// A plugin from a library whose bytes were checked.
pub async fn from_library(
    gateway: &Arc<Gateway>,
    config: &Config,
    id: &str,
    settings: &PluginSettings,
    library: &Admitted,
    claims: &mut Claims,
) -> Result<Arc<RunningPlugin>, Failure> {
    let place = place(config, settings, &format!("plugins.{id}"));
    let at = |why: &dyn std::fmt::Display| format!("{place}{why}");
    let refused = |fault| Refusal { file: library.file.clone(), fault };
    marker::check(&gateway.folders.libraries(), id, &library.sha256).map_err(|fault| at(&refused(fault)))?;

    let file = library.clone();
    let opened = patiently(gateway, id, library, "opening it", move || file.open()).await.and_then(|opened| opened);
    let Opened { entry, manifest } = opened.map_err(|refusal| at(&refusal))?;
    let failure = |why: String| Failure { manifest: (manifest.id == id).then(|| manifest.clone()), why };
    let in_file = |why: String| at(&format!("{}: {why}", library.file.display()));
    if manifest.id != id {
        let own = &manifest.id;
        let why = format!("the plugin in it calls itself {own:?}; name the table [plugins.{own}], or the right file");
        return Err(failure(in_file(why)));
    }
    let in_manifest = |why: String| failure(at(&refused(Fault::Manifest(why))));
    check_manifest(config, &manifest, Origin::Loaded).map_err(in_manifest)?;
    let Prepared { plugin, setup } = prepare(gateway, config, &manifest, Origin::Loaded, settings).map_err(&failure)?;
    claims.add(&manifest, super::enabled(config)).map_err(|why| failure(in_file(why)))?;

    let view = HostSide::new(gateway, &plugin);
    let services = view.clone();
    let create = move || Instance::create(entry, services, &setup);
    let created = match patiently(gateway, id, library, "create", create).await {
        Ok(created) => created.map_err(|error| format!("{}{error}", super::config_place(config, settings, id))),
        Err(refusal) => Err(at(&refusal)),
    };
    match created {
        Ok(instance) => plugin.install(instance, view),
        Err(why) => {
            end::forget(gateway, &plugin, &view);
            return Err(failure(why));
        }
    }
    Ok(plugin)
}

/// Runs code of a plugin on a thread of its own, with a note on disk for as long as it runs. One that takes too long is
/// given up: the thread and whatever it makes are left behind, since there is no sound way to end them, and the note too,
/// so that the next start knows what this process died of if it dies of that thread.
async fn patiently<T: Send + 'static>(
    gateway: &Gateway,
    id: &str,
    library: &Admitted,
    step: &'static str,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let refused = |fault| Refusal { file: library.file.clone(), fault };
    let patience_ms = gateway.live.load().gateway.plugins.create_ms;
    let note = Marker::set(&gateway.folders.libraries(), id, &library.sha256).map_err(refused)?;
    let (done, outcome) = oneshot::channel();
    let plugin = id.to_string();
    let work = move || {
        let made = job();
        // Before anybody hears of it: the next step has a note of its own.
        drop(note);
        if done.send(made).is_err() {
            tracing::warn!(plugin, step, "a step of a plugin ended after it was given up; what it made is left behind");
        }
    };
    std::thread::Builder::new()
        .name(format!("load {id}"))
        .spawn(work)
        .map_err(|error| refused(Fault::Thread(error.to_string())))?;
    match tokio::time::timeout(Duration::from_millis(patience_ms), outcome).await {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(_)) => Err(refused(Fault::Panicked { step })),
        Err(_) => Err(refused(Fault::Slow { step, patience_ms })),
    }
}

fn refuse(set: &mut PluginSet, id: &str, manifest: Option<Manifest>, file: &Path, why: &str) {
    tracing::error!(plugin = id, file = %file.display(), why, "a plugin is disabled");
    set.idle.push(failed(&manifest.unwrap_or_else(|| Manifest::new(id, "")), Origin::Loaded, why));
}
