//! Lets apps on the same network find the gateway: announces it by mDNS under the service types of the product's three
//! names, with its port and the fingerprint of its certificate. Nothing is announced, and no thread runs, while nobody but
//! this machine could reach it.
//!
//! It serves no method. An instance announces between `start` and `quiesce`, so when it is made anew the goodbye of the one
//! before is sent first.

mod announcement;
mod beacon;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mdns_sd::DaemonEvent;
use plugin_api::catalogue::GatewayInfo;
use plugin_api::{Call, CreateError, Host, Manifest, MethodError, NoParams, Plugin, Reply, Setup, Spawned, StartError};
use schemars::JsonSchema;
use serde::Deserialize;

use announcement::Announcement;
use beacon::{Beacon, Events};

/// A name is asked for three times, a quarter of a second apart, before it is announced; this is long after that.
const HEARD_BY: Duration = Duration::from_secs(10);
/// How often it looks whether the gateway shows another certificate.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// `[plugins.discovery.config]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DiscoveryConfig {
    /// When the gateway is announced.
    pub mode: Mode,
    /// What apps show; the machine's name if absent.
    #[schemars(length(min = 1))]
    pub name: Option<String>,
    /// Names of the network interfaces on which it is announced; if empty, those that it listens on.
    pub interfaces: Vec<String>,
}

/// When the gateway is announced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// When it listens on an address that other machines can reach.
    #[default]
    Auto,
    /// Always; on loopback if it listens there only.
    On,
    /// Never.
    Off,
}

/// The plugin.
pub struct Discovery {
    host: Host,
    config: DiscoveryConfig,
    work: Mutex<Work>,
    /// Whether an announcement has left the machine.
    was_sent: AtomicBool,
}

/// What runs between `start` and `quiesce`.
#[derive(Default)]
struct Work {
    beacon: Option<Beacon>,
    tasks: Vec<Spawned>,
    is_over: bool,
}

impl Plugin for Discovery {
    fn manifest() -> Manifest {
        Manifest::new("discovery", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Announces the gateway on the local network by mDNS.")
            .invokes(&["host.gateway.info"])
            .config::<DiscoveryConfig>()
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        Ok(Discovery { host, config: setup.config()?, work: Mutex::default(), was_sent: AtomicBool::new(false) })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        if self.config.mode != Mode::Off {
            let discovery = self.clone();
            let task = self.host.spawn(async move { discovery.run().await });
            lock(&self.work).tasks.push(task);
        }
        Ok(())
    }

    async fn call(self: Arc<Self>, _: Call) -> Reply {
        Reply::Error(MethodError::unavailable("discovery serves no method"))
    }

    async fn quiesce(&self) {
        // Out of the lock first: a task that is cancelled may be about to take it.
        let (beacon, tasks) = {
            let mut work = lock(&self.work);
            work.is_over = true;
            (work.beacon.take(), std::mem::take(&mut work.tasks))
        };
        tasks.iter().for_each(Spawned::cancel);
        if let Some(beacon) = beacon {
            beacon.go_out().await;
        }
    }
}

plugin_api::plugin!(Discovery);

impl Discovery {
    /// Announces the gateway, and again when what is announced has changed.
    async fn run(self: Arc<Self>) {
        let mut shown = match self.wanted().await {
            Ok(announcement) => announcement,
            Err(why) => return self.host.info(&format!("the gateway is not announced: {why}")),
        };
        if let Err(error) = self.light(&shown) {
            return self.host.warn(&format!("the gateway cannot be announced: {error}"));
        }
        self.host.sleep(HEARD_BY).await;
        if !self.was_sent.load(Ordering::Acquire) {
            self.host.warn(
                "no announcement has left so far: is there a network interface that takes multicast, and is UDP port \
                 5353 free to be shared?",
            );
        }
        loop {
            self.host.sleep(LOOK_EVERY).await;
            let Ok(announcement) = self.wanted().await else { continue };
            if announcement != shown {
                let again = lock(&self.work).beacon.as_ref().map_or(Ok(()), |beacon| beacon.show(&announcement));
                if let Err(error) = again {
                    self.host.warn(&format!("the gateway cannot be announced as it is now: {error}"));
                }
                shown = announcement;
            }
        }
    }

    /// What should be announced now, or why nothing should.
    async fn wanted(&self) -> Result<Announcement, String> {
        let info = self.host.invoke("host.gateway.info", &NoParams {}).with_own_grants().send::<GatewayInfo>();
        let info = info.await.map_err(|error| format!("nothing is known of it: {error}"))?;
        Announcement::of(&info, &self.config).map_err(str::to_string)
    }

    fn light(self: &Arc<Self>, announcement: &Announcement) -> Result<(), mdns_sd::Error> {
        let mut work = lock(&self.work);
        if work.is_over {
            return Ok(());
        }
        let (beacon, events) = Beacon::light(announcement)?;
        work.beacon = Some(beacon);
        let (discovery, announcement) = (self.clone(), announcement.clone());
        work.tasks.push(self.host.spawn(async move { discovery.follow(events, &announcement).await }));
        Ok(())
    }

    /// Tells the log what becomes of an announcement.
    async fn follow(&self, events: Events, announcement: &Announcement) {
        while let Ok(event) = events.recv_async().await {
            match event {
                DaemonEvent::Announce(..) if !self.was_sent.swap(true, Ordering::AcqRel) => {
                    let Announcement { name, port, .. } = announcement;
                    self.host.info(&format!("the gateway is announced on the network as {name:?}, port {port}"));
                }
                DaemonEvent::NameChange(change) => self.host.warn(&format!(
                    "another machine or gateway is called {:?} on the network; this one is announced as {:?}",
                    change.original, change.new_name
                )),
                DaemonEvent::Error(error) => self.host.warn(&format!("announcing the gateway failed: {error}")),
                _ => {}
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
