//! `clawhost plugins run`: a gateway with one plugin and what is needed to look at it, for whoever writes the plugin.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, SystemTime};

use clap::Args;
use clawhost::RunArgs;
use clawhost::state::read_gateway_json;
use notify::{RecursiveMode, Watcher};
use plugin_api::catalogue::PluginReloaded;
use plugin_api::{Exposure, Manifest};
use plugin_kit::sample;
use serde_json::json;
use tempfile::TempDir;
use toml_edit::{DocumentMut, value};

use super::add::read_manifest;
use super::file::Library;
use super::table::{self, Entry, Grants};
use super::{LibraryArgs, reload};
use crate::builtin;
use crate::cli::Context;
use crate::failure::Failure;
use crate::show::{clean, remark};
use crate::target::Target;

/// The plugins that stay enabled beside the one under test: they describe it.
const KEPT: [&str; 1] = ["system"];
/// More reloads than anybody makes in one sitting; what each maps stays mapped.
const MOST_RELOADS: i64 = 1000;
/// A build writes a file in several steps; it is over when nothing has happened for so long.
const QUIET: Duration = Duration::from_millis(300);

/// Arguments of `plugins run`.
#[derive(Debug, Args)]
pub struct RunPluginArgs {
    #[command(flatten)]
    library: LibraryArgs,
    /// TCP port; 0 takes a free one
    #[arg(long = "port", id = "own_port", value_name = "PORT", default_value_t = 0)]
    port: u16,
}

/// Runs until a signal ends it.
pub fn run(args: RunPluginArgs, context: &Context) -> Result<(), Failure> {
    let config = args.library.config()?;
    let library = Library::look(&args.library.file)?;
    let manifest = read_manifest(&library)?;
    let folders = Folders::make(context)?;
    let mut document = DocumentMut::new();
    document["gateway"]["plugins"]["allow_unpinned"] = value(true);
    document["gateway"]["plugins"]["max_reloads"] = value(MOST_RELOADS);
    for id in builtin::EXPECTED.iter().filter(|id| !KEPT.contains(id)) {
        document["plugins"][id]["enabled"] = value(false);
    }
    let path = library.path.to_str().ok_or_else(|| Failure::usage("the path of the file is not UTF-8"))?;
    let grants = Grants::wanted(&manifest);
    let entry = Entry { id: &manifest.id, path, sha256: None, grants: &grants, config: config.as_ref() };
    table::write(&mut document, &entry).map_err(Failure::usage)?;
    let file = folders.own.path().join("config.toml");
    std::fs::write(&file, document.to_string())
        .map_err(|error| Failure::failed(format!("{}: cannot be written: {error}", file.display())))?;

    let beside = Beside { library: library.path.clone(), state: folders.state.clone(), manifest, style: context.style };
    std::thread::Builder::new()
        .name("clawhost-watch".into())
        .spawn(move || beside.work())
        .map_err(|error| Failure::failed(format!("cannot start a thread: {error}")))?;
    let flags = RunArgs {
        config: Some(file),
        port: Some(args.port),
        state_dir: Some(folders.state.clone()),
        ..Default::default()
    };
    match clawhost::serve(flags, builtin::EXPECTED) == ExitCode::SUCCESS {
        true => Ok(()),
        false => Err(Failure::Said(1)),
    }
}

/// Where the configuration and the state are while it runs.
struct Folders {
    own: TempDir,
    state: PathBuf,
}

impl Folders {
    fn make(context: &Context) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::failed(format!("cannot make a temporary folder: {error}"));
        let own = tempfile::Builder::new().prefix("clawhost-run-").tempdir().map_err(failed)?;
        let state = context.target.state_dir.clone().unwrap_or_else(|| own.path().join("state"));
        // It is watched from before the gateway starts. Its own checks say what is wrong with one that is there already.
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700);
        builder.create(&state).map_err(failed)?;
        Ok(Folders { own, state })
    }
}

/// What happens beside the gateway: it is announced, and told of every new build.
struct Beside {
    library: PathBuf,
    state: PathBuf,
    manifest: Manifest,
    style: crate::show::Style,
}

impl Beside {
    fn work(&self) {
        if let Err(failure) = self.watch() {
            remark(&format!("new builds are not noticed: {}", clean(&failure.sentence())));
        }
    }

    fn watch(&self) -> Result<(), Failure> {
        let failed = |error: notify::Error| Failure::failed(format!("cannot watch files: {error}"));
        // One is enough: it says that something happened, not what.
        let (tell, changes) = sync_channel(1);
        let hear = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = tell.try_send(());
            }
        };
        let mut watcher = notify::recommended_watcher(hear).map_err(failed)?;
        let folder = self.library.parent().unwrap_or(Path::new("/"));
        // The folders, since builds and gateways put new files in the place of old ones.
        watcher.watch(folder, RecursiveMode::NonRecursive).map_err(failed)?;
        watcher.watch(&self.state, RecursiveMode::NonRecursive).map_err(failed)?;
        let mut built = self.built();
        while read_gateway_json(&self.state).is_none() {
            if changes.recv().is_err() {
                return Ok(());
            }
        }
        self.announce();
        while settled(&changes) {
            let now = self.built();
            if now.is_some() && now != built {
                built = now;
                self.reload();
            }
        }
        Ok(())
    }

    /// What tells one build from another, if there is one just now.
    fn built(&self) -> Option<(SystemTime, u64)> {
        let metadata = std::fs::metadata(&self.library).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    }

    fn announce(&self) {
        let Some(gateway) = read_gateway_json(&self.state) else { return };
        remark(&format!("{} {} runs at {}", clean(&self.manifest.id), clean(&self.manifest.version), gateway.url));
        let on_a_socket = |role| role != Exposure::Internal && role != Exposure::Node;
        if let Some(method) = self.manifest.methods.iter().find(|method| on_a_socket(method.role)) {
            let params =
                sample::fitting(&method.params.value()).into_iter().next().filter(|params| *params != json!({}));
            let params = params.map(|params| format!(" --params '{}'", params.to_string().replace('\'', "'\\''")));
            let state = self.state.display();
            remark(&format!(
                "try: clawhost --state-dir {state} call {}{}",
                clean(&method.name),
                params.unwrap_or_default()
            ));
        }
    }

    /// Asks the gateway, as `clawhost plugins reload` does.
    fn reload(&self) {
        let target = Target { state_dir: Some(self.state.clone()), ..Target::default() };
        let context = Context { target, json: false, style: self.style };
        let question = reload::question(&self.manifest.id);
        let answer = context.with_gateway(async |connection| question.ask_for::<PluginReloaded>(connection).await);
        match answer {
            Ok(reloaded) => remark(&reload::sentence(&self.manifest.id, &reloaded)),
            Err(failure) => remark(&format!("the new build is not used: {}", clean(&failure.sentence()))),
        }
    }
}

/// Waits for a change and then until nothing changes any more; false when nobody watches.
fn settled(changes: &Receiver<()>) -> bool {
    if changes.recv().is_err() {
        return false;
    }
    loop {
        match changes.recv_timeout(QUIET) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}
