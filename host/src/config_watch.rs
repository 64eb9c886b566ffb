//! Reads the configuration again when its file changes, and on SIGHUP. A file that is wrong changes nothing: the last good
//! configuration stays, and the log says what is wrong with the new one. The same goes for the operator's certificate files.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::{RecursiveMode, Watcher};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::boot;
use crate::gateway::Gateway;
use crate::plugins::live;
use crate::tls::Tls;

/// Editors write in several steps: the file is read when nothing has happened to it for this long.
const QUIET: Duration = Duration::from_millis(150);
/// What was read counts when nothing happens to the file for this long after it: whoever began to write at that moment has
/// perhaps emptied it first.
const SETTLED: Duration = Duration::from_millis(50);

/// Who writes for longer than this is read in between.
const LONGEST: Duration = Duration::from_secs(5);

/// How often the operator's certificate files are looked at. They may lie anywhere, behind links that change, so they are
/// looked at instead of watched.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Follows the file and the signal until the gateway ends.
pub async fn follow(gateway: Arc<Gateway>, mut hangup: Signal) {
    let (touched, mut touches) = mpsc::channel(1);
    let mut watch = Watch::new(gateway.config.followed(), touched);
    // It may have changed between the start and the watch, and somebody may be at it right now.
    look_again(&gateway, &mut watch, &mut touches).await;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let has_files = gateway.tls.as_ref().is_some_and(Tls::has_files);
    loop {
        tokio::select! {
            Some(()) = touches.recv() => look_again(&gateway, &mut watch, &mut touches).await,
            Some(()) = hangup.recv() => {
                watch.renew();
                take_over(&gateway, true, None).await;
                renew_certificate(&gateway);
            }
            _ = looks.tick(), if has_files => {
                if gateway.tls.as_ref().is_some_and(Tls::has_new_files) {
                    renew_certificate(&gateway);
                }
            }
            else => return,
        }
    }
}

/// Takes over what the file holds once nobody is writing it.
async fn look_again(gateway: &Arc<Gateway>, watch: &mut Watch, touches: &mut mpsc::Receiver<()>) {
    // Before it is read: what happens to it from now on is noticed.
    watch.renew();
    let whole = settled(gateway, touches).await;
    take_over(gateway, false, whole).await;
    watch.renew();
}

/// Waits until nobody is writing the file: the checksum that it has then, if it can be read. Who never stops writing is
/// not waited for.
async fn settled(gateway: &Gateway, touches: &mut mpsc::Receiver<()>) -> Option<String> {
    let begun = Instant::now();
    loop {
        while begun.elapsed() < LONGEST
            && let Ok(Some(())) = tokio::time::timeout(QUIET, touches.recv()).await
        {}
        let found = gateway.plugins.read_again();
        let is_touched = matches!(tokio::time::timeout(SETTLED, touches.recv()).await, Ok(Some(())));
        if !is_touched || begun.elapsed() >= LONGEST {
            return found?.ok()?.file.map(|file| file.sha256);
        }
    }
}

/// `files`: libraries that are loaded without a checksum are looked at too. `whole`: the checksum of the file when nobody
/// was writing it; another one is passed over, since whoever writes it now is noticed later.
async fn take_over(gateway: &Arc<Gateway>, files: bool, whole: Option<String>) {
    let taken = live::follow_disk(gateway, files, whole.as_deref()).await;
    gateway.metrics.config_valid.set(if taken.is_ok() { 1.0 } else { 0.0 });
    if let Err(error) = taken {
        tracing::error!(%error, "the configuration was not taken over; the one before it stays in force");
    }
    // A port that was taken may be free by now.
    gateway.own_ports.settle(gateway);
}

/// Shows what the operator's certificate files hold now. Local clients go by its fingerprint, so they are told.
fn renew_certificate(gateway: &Gateway) {
    let Some(tls) = &gateway.tls else { return };
    match tls.reload() {
        Ok(false) => {}
        Ok(true) => {
            let told = boot::description(gateway).map_err(|error| error.to_string()).and_then(|description| {
                description.write_to(&gateway.config.gateway.state_dir).map_err(|error| error.to_string())
            });
            if let Err(error) = told {
                tracing::warn!(error, "local clients are not told of the certificate");
            }
            tracing::info!(fingerprint = tls.fingerprint(), "new connections are shown another certificate");
        }
        Err(error) => tracing::warn!(error, "the certificate was not read again; the one before it stays"),
    }
}

/// Watches a file by its folder, since many editors replace it, and in the same way every link on the way to it: with another
/// link another file is meant.
struct Watch {
    file: PathBuf,
    watcher: Option<notify::RecommendedWatcher>,
    /// What is watched: links, and what they lead to in the end.
    way: BTreeSet<PathBuf>,
    /// The names of these in their folders.
    names: Arc<Mutex<BTreeSet<OsString>>>,
    touched: mpsc::Sender<()>,
}

impl Watch {
    /// Of this file, which may not be there yet. It counts as touched.
    fn new(file: PathBuf, touched: mpsc::Sender<()>) -> Self {
        let names = Arc::new(Mutex::new(BTreeSet::new()));
        let (concerned, tell) = (names.clone(), touched.clone());
        let heard = move |event: notify::Result<notify::Event>| {
            let is_watched = |path: &PathBuf| path.file_name().is_some_and(|name| lock(&concerned).contains(name));
            if event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(is_watched)) {
                // One that waits already is enough.
                let _ = tell.try_send(());
            }
        };
        let watcher = match notify::recommended_watcher(heard) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, file = %file.display(), "changes of the configuration are not noticed; SIGHUP still works");
                None
            }
        };
        let mut watch = Watch { file, watcher, way: BTreeSet::new(), names, touched };
        watch.renew();
        watch
    }

    /// Watches what is on the way to the file now. If that is another way than before, the file counts as touched: it may have
    /// changed before it was watched.
    fn renew(&mut self) {
        loop {
            let way = way(&self.file);
            if way == self.way {
                return;
            }
            let (old, new) = (folders(&self.way), folders(&way));
            *lock(&self.names) = way.iter().filter_map(|entry| entry.file_name()).map(OsStr::to_os_string).collect();
            if let Some(watcher) = &mut self.watcher {
                for folder in old.difference(&new) {
                    // It may be gone, and its watch with it.
                    let _ = watcher.unwatch(folder);
                }
                for folder in new.difference(&old) {
                    if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                        let folder = folder.display();
                        tracing::warn!(%error, %folder, "changes of the configuration are not noticed there; SIGHUP still works");
                    }
                }
            }
            self.way = way;
            let _ = self.touched.try_send(());
        }
    }
}

fn lock(names: &Mutex<BTreeSet<OsString>>) -> MutexGuard<'_, BTreeSet<OsString>> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}

fn folders(way: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    way.iter().filter_map(|entry| entry.parent()).map(Path::to_path_buf).collect()
}

/// The links on the way to a file, and what is at its end, be it there or not.
fn way(file: &Path) -> BTreeSet<PathBuf> {
    /// As many as the system follows.
    const MOST_LINKS: usize = 40;
    let steps = |path: &Path| path.components().rev().map(|step| step.as_os_str().to_os_string()).collect::<Vec<_>>();
    let mut left = steps(&std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf()));
    let (mut here, mut links, mut found) = (PathBuf::new(), 0, BTreeSet::new());
    while let Some(step) = left.pop() {
        // Nothing here is a link any more, so that what is above it is what its path says.
        if step == ".." {
            here.pop();
            continue;
        }
        let entry = here.join(step);
        match std::fs::read_link(&entry) {
            Ok(target) if links < MOST_LINKS => {
                links += 1;
                found.insert(entry);
                // An absolute one begins anew by itself.
                left.extend(steps(&target));
            }
            _ => {
                if left.is_empty() {
                    found.insert(entry.clone());
                }
                here = entry;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder as a ConfigMap is mounted: `config.toml` leads through `..data` into a folder that is swapped.
    struct Mounted(tempfile::TempDir);

    impl Mounted {
        fn new() -> Self {
            let mounted = Mounted(tempfile::tempdir().expect("a folder"));
            mounted.swap("..1");
            symlink("..data/config.toml", mounted.path("config.toml")).expect("a link");
            mounted
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().canonicalize().expect("it is there").join(name)
        }

        fn swap(&self, name: &str) {
            fs::create_dir(self.path(name)).expect("a folder");
            fs::write(self.path(name).join("config.toml"), name).expect("a file");
            symlink(name, self.path("..data_tmp")).expect("a link");
            fs::rename(self.path("..data_tmp"), self.path("..data")).expect("it takes the other one's place");
        }

        fn way(&self, names: &[&str]) -> BTreeSet<PathBuf> {
            names.iter().map(|name| self.path(name)).collect()
        }
    }

    #[test]
    fn the_way_to_a_file_goes_over_all_links() {
        let mounted = Mounted::new();
        let file = mounted.path("config.toml");
        assert_eq!(way(&file), mounted.way(&["config.toml", "..data", "..1/config.toml"]));
        mounted.swap("..2");
        assert_eq!(way(&file), mounted.way(&["config.toml", "..data", "..2/config.toml"]));

        fs::create_dir(mounted.path("etc")).expect("a folder");
        symlink("../config.toml", mounted.path("etc/up")).expect("a link");
        symlink(mounted.path("etc"), mounted.path("whole")).expect("a link");
        let further = ["whole", "etc/up", "config.toml", "..data", "..2/config.toml"];
        assert_eq!(way(&mounted.path("whole/up")), mounted.way(&further));
    }

    #[test]
    fn a_way_ends_where_nothing_is() {
        let mounted = Mounted::new();
        assert_eq!(way(&mounted.path("none/config.toml")), mounted.way(&["none/config.toml"]));
        symlink("none", mounted.path("dangling")).expect("a link");
        assert_eq!(way(&mounted.path("dangling")), mounted.way(&["dangling", "none"]));
        symlink("b", mounted.path("a")).expect("a link");
        symlink("a", mounted.path("b")).expect("a link");
        assert_eq!(way(&mounted.path("a")), mounted.way(&["a", "b"]), "and in a circle");
    }

    #[tokio::test]
    async fn a_link_that_is_swapped_is_noticed_and_followed() {
        let mounted = Mounted::new();
        let (touched, mut touches) = mpsc::channel(1);
        let mut watch = Watch::new(mounted.path("config.toml"), touched);
        assert_eq!(touches.recv().await, Some(()), "it counts as touched");
        mounted.swap("..2");
        assert_eq!(touches.recv().await, Some(()), "another file is meant");
        watch.renew();
        assert_eq!(watch.way, mounted.way(&["config.toml", "..data", "..2/config.toml"]));
        // Whatever the swap was heard as.
        while touches.try_recv().is_ok() {}
        fs::write(mounted.path("..2/config.toml"), "other").expect("a file");
        assert_eq!(touches.recv().await, Some(()), "it was written where it is now");
    }
}
