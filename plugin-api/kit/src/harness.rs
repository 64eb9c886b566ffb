//! Makes an instance, or shows why there is none.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use plugin_api::abi::gwp_entry;
use plugin_api::catalogue;
use plugin_api::hosting::{self, Instance, StartFailure};
use plugin_api::{LinkedPlugin, Manifest, Plugin, glue};
use schemas::ErrorShape;
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clock::Clock;
use crate::outcome::CancelReason;
use crate::rows;
use crate::running::Running;
use crate::services::Services;
use crate::stub::StubCall;
use crate::world::{Inhabitant, Stage, State, World};

/// A plugin, and the host that a test makes up around it.
pub struct Harness {
    plugins: Vec<Member>,
    state: State,
    real_time: bool,
    patience: Duration,
    found: Vec<(String, Vec<u8>)>,
}

struct Member {
    entry: &'static gwp_entry,
    manifest: Manifest,
    config: Value,
}

impl Harness {
    /// A harness around this plugin. Fails the test if its manifest is not pure, or one that a gateway would refuse.
    #[track_caller]
    pub fn new<P: Plugin>() -> Self {
        Self::of_entry(linked::<P>())
    }

    /// A harness around this entry, which may be written in any language.
    #[track_caller]
    pub fn of_entry(entry: &'static gwp_entry) -> Self {
        let state = State { kv_cap: 1 << 20, conns: BTreeSet::from([1]), ..State::default() };
        Harness {
            plugins: vec![Member::read(entry)],
            state,
            real_time: false,
            patience: Duration::from_secs(10),
            found: Vec::new(),
        }
    }

    /// A harness around the plugin in this shared library. Fails the test if the file holds none.
    #[cfg(feature = "load")]
    #[track_caller]
    pub fn of_file(path: impl AsRef<std::path::Path>) -> Self {
        let path = path.as_ref();
        Self::of_entry(hosting::open(path).unwrap_or_else(|why| panic!("{}: {why}", path.display())))
    }

    /// A harness around what `plugin_api::plugin!` registered under this id, which runs as its registration says.
    #[track_caller]
    pub fn registered(id: &str) -> Self {
        let mut entries = plugin_api::inventory::iter::<LinkedPlugin>().map(|plugin| plugin.entry);
        let is_it = |entry: &&'static gwp_entry| {
            let text = hosting::manifest(entry).unwrap_or_else(|why| panic!("{why}"));
            Manifest::parse(text).is_ok_and(|manifest| manifest.id == id)
        };
        let entry = entries.find(is_it).unwrap_or_else(|| panic!("nothing is registered as {id}"));
        Self::of_entry(entry)
    }

    /// Its configuration: an object, as `[plugins.<id>.config]` would hold it.
    pub fn config(mut self, config: Value) -> Self {
        self.plugins[0].config = config;
        self
    }

    /// Another plugin beside it, with its configuration; each may call the other as far as their manifests grant.
    #[track_caller]
    pub fn beside<P: Plugin>(mut self, config: Value) -> Self {
        let mut member = Member::read(linked::<P>());
        member.config = config;
        self.plugins.push(member);
        self
    }

    /// What a method of the host, or of a plugin that is not there, answers. Answers of `host.*` methods have to fit the
    /// catalogue.
    #[track_caller]
    pub fn answer(self, method: &str, payload: impl Serialize) -> Self {
        let payload = serde_json::to_value(payload).expect("the answer is JSON");
        if let Some(service) = rows::service(method)
            && let Err(why) = service.check_result(&payload)
        {
            panic!("the catalogue says otherwise of the answer of {method}: {why}");
        }
        self.answer_with(method, move |call| call.finish(Ok(payload.clone())))
    }

    /// The error that a method answers with.
    pub fn answer_error(self, method: &str, error: ErrorShape) -> Self {
        self.answer_with(method, move |call| call.finish(Err(error.clone())))
    }

    /// What answers a method: a closure, run on a worker, that answers at once or keeps the call for later.
    #[track_caller]
    pub fn answer_with(mut self, method: &str, answer: impl Fn(StubCall) + Send + Sync + 'static) -> Self {
        if method.starts_with("host.") && !catalogue::SERVICES.iter().any(|service| service.name == method) {
            panic!("the catalogue has no {method}");
        }
        self.state.stubs.insert(method.to_string(), Arc::new(answer));
        self
    }

    /// What the plugin finds in its key-value state.
    pub fn kv(mut self, key: &str, value: impl Into<String>) -> Self {
        let id = self.plugins[0].manifest.id.clone();
        self.state.kv.entry(id).or_default().insert(key.to_string(), value.into());
        self
    }

    /// What the plugin finds in its folder for data: copies of the files of another folder, such as another instance's as
    /// it stands, which is what a crash leaves behind.
    #[track_caller]
    pub fn data_of(mut self, folder: impl AsRef<std::path::Path>) -> Self {
        let files = std::fs::read_dir(folder).expect("there is a folder").map(|entry| entry.expect("it can be listed"));
        for file in files.filter(|file| file.path().is_file()) {
            let bytes = std::fs::read(file.path()).expect("a file can be read");
            self.found.push((file.file_name().to_string_lossy().into_owned(), bytes));
        }
        self
    }

    /// How many bytes of keys and values the plugin may keep; 1 MiB unless said.
    pub fn kv_cap(mut self, bytes: usize) -> Self {
        self.state.kv_cap = bytes;
        self
    }

    /// A host that does not offer this extension; see [`plugin_api::abi::extension`].
    pub fn without(mut self, extension: &str) -> Self {
        self.state.withheld.insert(extension.to_string());
        self
    }

    /// From the start on, this extension, or `emit`, `log` or `reply`, answers with this code; see [`Running::refuse`].
    pub(crate) fn refusing(mut self, extension: &str, code: i32) -> Self {
        self.state.refused.insert(extension.to_string(), code);
        self
    }

    /// Real time instead of virtual.
    pub fn real_time(mut self) -> Self {
        self.real_time = true;
        self
    }

    /// How long the test waits for anything before it fails: 10 seconds unless said.
    pub fn patience(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }

    /// Makes it and starts it. Fails the test if it cannot be made.
    #[track_caller]
    pub fn start(self) -> Running {
        let (running, started) = self.start_up();
        if let Err(code) = started {
            let why: Vec<_> = running.logs().into_iter().map(|line| line.message).collect();
            panic!("`start` failed with code {code}: {}", why.join("; "));
        }
        running.world.check();
        running
    }

    /// Makes it and starts it, and gives what it logged when `start` failed. Fails the test if it went live.
    #[track_caller]
    pub fn start_error(self) -> String {
        let (_running, started) = self.start_up();
        started.expect_err("`start` succeeded").why
    }

    /// What the operator hears of a failed `create`, or of a configuration that its schema refuses. Fails the test if an
    /// instance comes of it.
    #[track_caller]
    pub fn create_error(self) -> String {
        let (world, data, mut members) = self.prepare();
        members.truncate(1);
        let made = create(&world, 0, &members[0], &data);
        world.pool.close();
        world.check();
        match made {
            Ok(_) => panic!("`create` succeeded"),
            Err(why) => why,
        }
    }

    #[track_caller]
    fn start_up(self) -> (Running, Result<(), StartFailure>) {
        let made = self.make().unwrap_or_else(|why| panic!("{why}"));
        made.go_live()
    }

    /// Makes the instances, and does not start them; or says which could not be made and why.
    pub(crate) fn make(self) -> Result<Made, String> {
        let real_time = self.real_time;
        let (world, data, members) = self.prepare();
        for (index, member) in members.iter().enumerate() {
            match create(&world, index, member, &data) {
                Ok(instance) => world.change().instances[index].instance = Some(Arc::new(instance)),
                Err(why) => {
                    world.pool.close();
                    return Err(format!("{} could not be made: {why}", member.manifest.id));
                }
            }
        }
        Ok(Made { world, data, real_time })
    }

    #[track_caller]
    fn prepare(self) -> (Arc<World>, TempDir, Vec<Member>) {
        let Harness { plugins, mut state, real_time, patience, found } = self;
        state.clock = Clock::new(real_time);
        for (index, member) in plugins.iter().enumerate() {
            let (methods, events) = rows::compile(&member.manifest).unwrap_or_else(|why| panic!("{why}"));
            for row in methods {
                let name = row.spec.name.clone();
                if let Some((other, _)) = state.methods.insert(name.clone(), (index, Arc::new(row))) {
                    panic!("{} and {} both have {name}", plugins[other].manifest.id, member.manifest.id);
                }
            }
            let events: HashMap<_, _> = events.into_iter().map(|row| (row.name().to_string(), Arc::new(row))).collect();
            let manifest = Arc::new(member.manifest.clone());
            state.instances.push(Inhabitant {
                manifest,
                events,
                instance: None,
                stage: Stage::Created,
                quiesced: false,
            });
        }
        let data = tempfile::tempdir().expect("a test can make a folder");
        let folder = data.path().join(&plugins[0].manifest.id);
        for (name, bytes) in found {
            std::fs::create_dir_all(&folder).expect("a test can make a folder");
            std::fs::write(folder.join(name), bytes).expect("a test can write a file");
        }
        (World::new(state, patience), data, plugins)
    }
}

/// Instances that were made and not started.
pub(crate) struct Made {
    pub(crate) world: Arc<World>,
    data: TempDir,
    real_time: bool,
}

impl Made {
    /// Starts them; `Err` is of the first that did not start.
    pub(crate) fn go_live(self) -> (Running, Result<(), StartFailure>) {
        let Made { world, data, real_time } = self;
        if real_time {
            let world = world.clone();
            std::thread::Builder::new()
                .name("kit-clock".into())
                .spawn(move || world.run_real_clock())
                .expect("a test can start a thread");
        }
        let mut started = Ok(());
        let members = world.look().instances.len();
        // The one under test comes last: it may call the others as soon as it starts.
        for index in (0..members).rev() {
            let instance = {
                let mut state = world.change();
                state.instances[index].stage = Stage::Running;
                state.instances[index].instance.clone()
            };
            started = started.and(instance.map_or(Ok(()), |instance| instance.start()));
        }
        world.settle_workers();
        (Running::new(world, data), started)
    }

    /// As a [`Running`] that was never started: it can be stopped.
    pub(crate) fn unstarted(self) -> Running {
        Running::new(self.world, self.data)
    }
}

/// Attempts to make an instance from a setup that no gateway would give.
pub(crate) struct Trying {
    world: Arc<World>,
    data: TempDir,
    entry: &'static gwp_entry,
}

impl Trying {
    #[track_caller]
    pub(crate) fn new(harness: Harness) -> Self {
        let entry = harness.plugins[0].entry;
        let (world, data, _) = harness.prepare();
        Trying { world, data, entry }
    }

    /// Its folder for data.
    pub(crate) fn data_dir(&self) -> std::path::PathBuf {
        self.data.path().join("data")
    }

    /// Makes one and destroys it at once, or says why there is none.
    pub(crate) fn create(&self, setup: &str) -> Result<(), String> {
        self.world.change().instances[0].stage = Stage::Created;
        let services = Arc::new(Services { world: self.world.clone(), plugin: 0 });
        let made = Instance::create(self.entry, services, setup).map_err(|error| error.to_string())?;
        let (told, done) = std::sync::mpsc::channel();
        made.stop(move || {
            // Nobody listens any more when it took too long.
            let _ = told.send(());
        });
        // Without an end it is left alone: nothing is destroyed that may still run.
        if done.recv_timeout(self.world.patience).is_ok() {
            made.destroy();
        }
        self.world.settle();
        Ok(())
    }

    /// What the plugin did that it should not, and what it left behind.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut state = self.world.change();
        let (timers, authorities) = (state.clock.set_by(0), state.principals.len());
        let subscriptions = state.listeners().count();
        for (count, what) in [(timers, "timers"), (subscriptions, "subscriptions"), (authorities, "authorities")] {
            if count > 0 {
                state.blame(0, format_args!("left {count} {what} behind when `create` failed"));
            }
        }
        std::mem::take(&mut state.violations)
    }
}

impl Drop for Trying {
    fn drop(&mut self) {
        self.world.pool.close();
    }
}

impl Member {
    #[track_caller]
    fn read(entry: &'static gwp_entry) -> Self {
        let text = hosting::manifest(entry).unwrap_or_else(|why| panic!("{why}"));
        let again = hosting::manifest(entry).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(text, again, "the manifest is not the same bytes every time");
        let manifest = Manifest::parse(text).unwrap_or_else(|why| panic!("the manifest cannot be read: {why}"));
        rows::compile(&manifest).unwrap_or_else(|why| panic!("{why}"));
        Member { entry, manifest, config: json!({}) }
    }
}

#[track_caller]
fn linked<P: Plugin>() -> &'static gwp_entry {
    // The glue makes the text once and keeps it; the author's function has to be pure all the same.
    let made = [P::manifest().to_json(), P::manifest().to_json()];
    assert_eq!(made[0], made[1], "`manifest` does not give the same bytes every time");
    const { &glue::entry::<P>() }
}

fn create(world: &Arc<World>, index: usize, member: &Member, data: &TempDir) -> Result<Instance, String> {
    let id = &member.manifest.id;
    if let Some(missing) = member.manifest.requires.iter().find(|wanted| world.look().withheld.contains(*wanted)) {
        return Err(format!("this host has no {missing}, which {id} requires"));
    }
    rows::check_config(&member.manifest, &member.config).map_err(|why| format!("[plugins.{id}.config] {why}"))?;
    let setup = json!({ "config": member.config, "dataDir": data.path().join(id), "id": id }).to_string();
    let services = Arc::new(Services { world: world.clone(), plugin: index });
    Instance::create(member.entry, services, &setup).map_err(|error| error.to_string())
}

impl World {
    /// Ends every call that this plugin answers.
    pub(crate) fn end_calls_of(self: &Arc<Self>, plugin: usize, reason: CancelReason) {
        let callee = crate::world::Callee::Plugin(plugin);
        let calls: Vec<u64> = {
            let state = self.look();
            state.calls.iter().filter(|(_, call)| call.callee == callee).map(|(id, _)| *id).collect()
        };
        calls.into_iter().for_each(|call| self.end(call, reason));
    }
}
