//! One plugin as the host runs it: its manifest, its instance, what it may do, and how it is doing.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use plugin_api::Manifest;
use plugin_api::catalogue::PluginState;
use plugin_api::hosting::{CallRequest, Instance};
use tokio::sync::{Semaphore, oneshot};

use crate::authority::Authority;

/// Where a plugin comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Linked into the program.
    Linked,
    /// Loaded from a library.
    Loaded,
}

impl Origin {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Linked => "linked",
            Origin::Loaded => "loaded",
        }
    }
}

/// A running plugin.
pub struct RunningPlugin {
    /// Its id.
    pub id: Arc<str>,
    /// What it said of itself.
    pub manifest: Manifest,
    /// Where it comes from.
    pub origin: Origin,
    /// Itself, calling in its own name.
    pub authority: Arc<Authority>,
    /// Methods it may call.
    pub may_invoke: Vec<String>,
    /// Events it may hear.
    pub may_hear: Vec<String>,
    /// Calls that run.
    pub in_flight: AtomicUsize,
    /// Calls since the start.
    pub calls: AtomicU64,
    /// Calls answered with an error.
    pub errors: AtomicU64,
    /// Calls that panicked.
    pub panics: AtomicU64,
    /// Room for blocking calls, when the manifest says so.
    pub blocking: Option<Arc<Semaphore>>,
    stopped: AtomicBool,
    failure: Mutex<Option<String>>,
    instance: OnceLock<Instance>,
}

impl RunningPlugin {
    /// A plugin without an instance yet.
    pub fn new(manifest: Manifest, origin: Origin, may_invoke: Vec<String>, may_hear: Vec<String>) -> Self {
        RunningPlugin {
            id: manifest.id.as_str().into(),
            authority: Arc::new(Authority::plugin(&manifest.id)),
            blocking: manifest.blocking.then(|| Arc::new(Semaphore::new(manifest.max_concurrent.max(1) as usize))),
            manifest,
            origin,
            may_invoke,
            may_hear,
            in_flight: AtomicUsize::new(0),
            calls: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            failure: Mutex::new(None),
            instance: OnceLock::new(),
        }
    }

    /// Gives it its instance.
    pub fn install(&self, instance: Instance) {
        if self.instance.set(instance).is_err() {
            tracing::error!(plugin = &*self.id, "a second instance was dropped");
        }
    }

    /// `[control]` Goes live.
    pub fn start(&self) -> Result<(), String> {
        let instance = self.instance.get().ok_or("it has no instance")?;
        instance.start().map_err(|code| format!("start failed with code {code}; the log has the reason"))
    }

    /// `[worker]` Hands over a request.
    pub fn call(&self, request: &CallRequest<'_>) {
        if let Some(instance) = self.instance.get() {
            instance.call(request);
        }
    }

    /// `[worker]` Says that a call has ended without it.
    pub fn cancel(&self, call: u64, reason: i32) {
        if let Some(instance) = self.instance.get() {
            instance.cancel(call, reason);
        }
    }

    /// `[control]` Quiesces, then stops it, each for at most `patience`. False if it did not say done in time: its
    /// instance is then abandoned and leaked, since code may still run in it.
    pub async fn quiesce(&self, patience: Duration) -> bool {
        let Some(instance) = self.instance.get() else { return true };
        let (done, finished) = oneshot::channel();
        instance.quiesce(move || {
            let _ = done.send(());
        });
        tokio::time::timeout(patience, finished).await.is_ok()
    }

    /// `[control]` Stops it; see [`RunningPlugin::quiesce`].
    pub async fn stop(&self, patience: Duration) -> bool {
        let Some(instance) = self.instance.get() else { return true };
        let (done, finished) = oneshot::channel();
        instance.stop(move || {
            let _ = done.send(());
        });
        let stopped = tokio::time::timeout(patience, finished).await.is_ok();
        self.stopped.store(stopped, Ordering::Release);
        stopped
    }

    /// Whether it stopped, and so takes no calls.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Notes why it does not run.
    pub fn fail(&self, why: String) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// How it is doing.
    pub fn state(&self) -> PluginState {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        PluginState {
            state: if failure.is_some() { "failed" } else { "running" }.to_string(),
            error: failure,
            calls: self.calls.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            panics: self.panics.load(Ordering::Relaxed),
            ..described(&self.manifest, self.origin)
        }
    }
}

impl Drop for RunningPlugin {
    fn drop(&mut self) {
        // An instance that did not stop is leaked: code of it may still run, and leaking is the only sound end.
        if self.is_stopped()
            && let Some(instance) = self.instance.take()
        {
            instance.destroy();
        }
    }
}

/// The state of a plugin that has no instance: disabled by config, or failed before it had one.
pub fn described(manifest: &Manifest, origin: Origin) -> PluginState {
    let mut methods: Vec<String> = manifest.methods.iter().map(|method| method.name.clone()).collect();
    let mut events: Vec<String> = manifest.events.iter().map(|event| event.name.clone()).collect();
    methods.sort();
    events.sort();
    PluginState {
        id: manifest.id.clone(),
        version: manifest.version.clone(),
        summary: manifest.summary.clone(),
        origin: origin.name().to_string(),
        state: "disabled".to_string(),
        error: None,
        methods,
        events,
        calls: 0,
        errors: 0,
        panics: 0,
    }
}
