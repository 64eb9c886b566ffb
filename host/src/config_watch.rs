//! Reads the configuration again when its file changes, and on SIGHUP. A file that is wrong changes nothing: the last good
//! configuration stays, and the log says what is wrong with the new one. The same goes for the operator's certificate files.

use std::path::Path;
use std::sync::Arc;
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
    // Held as long as this runs: dropping it ends the watch.
    let _watcher = watch(&gateway.config.followed(), touched);
    // It may have changed between the start and the watch, and somebody may be at it right now.
    let whole = settled(&gateway, &mut touches).await;
    take_over(&gateway, false, whole).await;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let has_files = gateway.tls.as_ref().is_some_and(Tls::has_files);
    loop {
        tokio::select! {
            Some(()) = touches.recv() => {
                let whole = settled(&gateway, &mut touches).await;
                take_over(&gateway, false, whole).await;
            }
            Some(()) = hangup.recv() => {
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

/// Watches the folder: many editors replace the file.
fn watch(file: &Path, touched: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let name = file.file_name()?.to_os_string();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let tell = move |event: notify::Result<notify::Event>| {
        let concerns = |event: &notify::Event| {
            !event.kind.is_access() && event.paths.iter().any(|path| path.file_name() == Some(&name))
        };
        if event.is_ok_and(|event| concerns(&event)) {
            // One that waits already is enough.
            let _ = touched.try_send(());
        }
    };
    let watcher = notify::recommended_watcher(tell).and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    match watcher {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, file = %file.display(), "changes of the configuration are not noticed; SIGHUP still works");
            None
        }
    }
}
