//! One instance of a plugin as the host runs it: its manifest, what it may do, where its code runs, and how it is doing.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use plugin_api::Manifest;
use plugin_api::abi::GWP_HTTP_CLOSED;
use plugin_api::catalogue::{HttpPort, PluginState};
use plugin_api::hosting::{CallRequest, HttpRequest, Instance};
use tokio::sync::{oneshot, watch};

use crate::authority::Authority;
use crate::handover::{Beside, Kind, Visit};
use crate::host_side::HostSide;
use crate::place::Place;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// How long the end of an instance waits for what it has not been told yet. One whose threads are all blocked never is.
const POOL_PATIENCE: Duration = Duration::from_millis(250);

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

/// Counts instances that are being freed on threads of their own.
#[derive(Clone, Default)]
pub struct Freeing(Arc<watch::Sender<usize>>);

impl Freeing {
    /// Counts one more, until this is dropped.
    fn begin(&self) -> impl Drop + Send + use<> {
        struct Begun(Freeing);
        impl Drop for Begun {
            fn drop(&mut self) {
                self.0.0.send_modify(|count| *count -= 1);
            }
        }
        self.0.send_modify(|count| *count += 1);
        Begun(self.clone())
    }

    /// Waits until there is none.
    pub async fn over(&self) {
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// An instance of a plugin. A reload makes another one of the same id.
pub struct RunningPlugin {
    /// Its id.
    pub id: Arc<str>,
    /// The number of this instance; never reused in a process.
    pub number: u64,
    /// What it said of itself.
    pub manifest: Manifest,
    /// Where it comes from.
    pub origin: Origin,
    /// Where its code runs.
    pub place: Place,
    /// Itself, calling in its own name.
    pub authority: Arc<Authority>,
    /// Methods it may call.
    pub may_invoke: Vec<String>,
    /// Events it may hear.
    pub may_hear: Vec<String>,
    /// The port that its HTTP has to itself. It holds for the life of the instance: another one needs another instance.
    pub own_port: Option<u16>,
    /// Why nobody listens on its own port.
    port_fault: Mutex<Option<String>>,
    /// Calls that run, apart from those that are being handed over this moment.
    pub in_flight: AtomicUsize,
    /// Calls, and words of their ends, that no thread of its own has come to. Those of calls that are over count too: they are
    /// kept until a thread does, which may be never.
    behind: AtomicUsize,
    /// Calls answered with an error.
    pub errors: AtomicU64,
    /// Calls that panicked.
    pub panics: AtomicU64,
    /// Held while a `[control]` function of it runs: there is one at a time.
    control: Arc<tokio::sync::Mutex<()>>,
    retired: AtomicBool,
    quiesced: AtomicBool,
    /// Its `stop` has begun: nothing is handed over from now on.
    ending: AtomicBool,
    stopped: AtomicBool,
    failed: AtomicBool,
    failure: Mutex<Option<String>>,
    recent_panics: Mutex<VecDeque<Instant>>,
    /// What counts what it does beside its calls.
    beside: OnceLock<Beside>,
    /// Exchanges that it has heard of, and has not heard the end of.
    exchanges: watch::Sender<HashSet<u64>>,
    freeing: Freeing,
    instance: OnceLock<(Instance, Arc<HostSide>)>,
}

impl RunningPlugin {
    /// A plugin without an instance yet.
    pub fn new(
        manifest: Manifest,
        origin: Origin,
        place: Place,
        may_invoke: Vec<String>,
        may_hear: Vec<String>,
        own_port: Option<u16>,
        freeing: Freeing,
    ) -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        RunningPlugin {
            id: manifest.id.as_str().into(),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            authority: Arc::new(Authority::plugin(&manifest.id)),
            manifest,
            origin,
            place,
            may_invoke,
            may_hear,
            own_port,
            port_fault: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            behind: AtomicUsize::new(0),
            errors: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            control: Arc::default(),
            retired: AtomicBool::new(false),
            quiesced: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
            recent_panics: Mutex::default(),
            beside: OnceLock::new(),
            exchanges: watch::Sender::default(),
            freeing,
            instance: OnceLock::new(),
        }
    }

    /// Says what counts what it does beside its calls, before it does anything.
    pub fn count_beside(&self, beside: Beside) {
        // It is said once, where plugins are made.
        let _ = self.beside.set(beside);
    }

    /// Runs code of it on this thread, beside its calls, where the watchdog sees it.
    pub fn visit(&self, kind: Kind, body: impl FnOnce()) {
        let Some(Beside { counts, patience }) = self.beside.get() else { return body() };
        let (has_own_thread, plugin, patience) = (self.place.is_pool(), &*self.id, *patience);
        let may_block = kind == Kind::Blocking || self.manifest.blocking;
        let visit = Visit { kind, counts, method: None, plugin, has_own_thread, may_block, patience };
        visit.run(Instant::now(), body);
    }

    /// Gives it its instance, and the instance's view of the host.
    pub fn install(&self, instance: Instance, view: Arc<HostSide>) {
        if self.instance.set((instance, view.clone())).is_err() {
            tracing::error!(plugin = &*self.id, "a second instance was dropped");
        }
        view.created();
    }

    /// `[control]` Goes live.
    pub fn start(&self) -> Result<(), String> {
        let instance = self.instance().ok_or("it has no instance")?;
        let _turn = self.control.try_lock().map_err(|_| "another function of its life has not returned")?;
        instance.start().map_err(|failure| failure.to_string())
    }

    /// `[worker]` Hands over a request, unless the instance is being stopped: whoever does that has ended its calls.
    pub fn call(&self, request: &CallRequest<'_>) {
        if let Some(instance) = self.instance().filter(|_| !self.is_ending()) {
            instance.call(request);
        }
    }

    /// Whether it serves HTTP.
    pub fn serves_http(&self) -> bool {
        self.instance().is_some_and(Instance::serves_http)
    }

    /// `[worker]` Hands over an HTTP request, unless the instance is being stopped.
    pub fn http_request(&self, request: &HttpRequest<'_>) {
        if let Some(instance) = self.instance().filter(|_| !self.is_ending()) {
            self.exchanges.send_modify(|open| {
                open.insert(request.exchange);
            });
            self.visit(Kind::Http, || {
                instance.http_request(request);
            });
        }
    }

    /// `[worker]` Says what happens to an exchange.
    pub fn http_event(&self, exchange: u64, kind: i32, content: &[u8]) {
        if let Some(instance) = self.instance().filter(|_| !self.is_ending()) {
            self.visit(Kind::Http, || instance.http_event(exchange, kind, content));
        }
        if kind == GWP_HTTP_CLOSED {
            self.exchanges.send_modify(|open| {
                open.remove(&exchange);
            });
        }
    }

    /// `[worker]` Says that a call has ended without it; `aside` of this thread, if it must not be kept.
    pub fn cancel(self: &Arc<Self>, call: u64, reason: i32, aside: bool) {
        let plugin = self.clone();
        let tell = move || {
            if let Some(instance) = plugin.instance().filter(|_| !plugin.is_ending()) {
                instance.cancel(call, reason);
            }
        };
        // Not behind the calls: one of them may be waiting for just this.
        if aside || self.place.is_pool() {
            self.place.run_aside(self.in_turn(tell))
        } else {
            self.visit(Kind::Cancel, tell)
        }
    }

    /// A job that waits for a thread, and counts until one comes to it.
    pub fn in_turn<J: FnOnce()>(self: &Arc<Self>, job: J) -> impl FnOnce() + use<J> {
        let plugin = self.clone();
        plugin.behind.fetch_add(1, Ordering::Relaxed);
        move || {
            plugin.behind.fetch_sub(1, Ordering::Relaxed);
            job();
        }
    }

    /// Whether it has as many calls as it may, at once or one behind the other.
    pub fn is_busy(&self, most: usize) -> bool {
        self.in_flight.load(Ordering::Relaxed).max(self.behind.load(Ordering::Relaxed)) >= most
    }

    /// `[control]` Lets it end its own work, once, for at most `patience`. False if it did not say done in time.
    pub async fn quiesce(self: &Arc<Self>, patience: Duration) -> bool {
        if self.quiesced.swap(true, Ordering::SeqCst) {
            return true;
        }
        self.finish(patience, |instance, done| instance.quiesce(done)).await
    }

    /// `[control]` Stops it, once, for at most `patience`. False if it did not say done in time: its instance is then abandoned and
    /// leaked, since code may still run in it. Either way it reaches the host no more.
    pub async fn stop(self: &Arc<Self>, patience: Duration) -> bool {
        self.retire();
        // What waits for a thread of its own came before the end, cancellations among it.
        if self.place.is_pool() {
            let (begun, told) = (oneshot::channel(), oneshot::channel());
            self.place.run(move || {
                let _ = begun.0.send(());
            });
            self.place.run_aside(move || {
                let _ = told.0.send(());
            });
            for turn in [begun.1, told.1] {
                let _ = tokio::time::timeout(POOL_PATIENCE.min(patience), turn).await;
            }
        }
        // The ends of its exchanges are on their way on the workers, too.
        let _ = tokio::time::timeout(POOL_PATIENCE.min(patience), self.exchanges_over()).await;
        if self.ending.swap(true, Ordering::SeqCst) {
            return true;
        }
        let stopped = self.finish(patience, |instance, done| instance.stop(done)).await;
        self.stopped.store(stopped, Ordering::Release);
        if let Some((_, view)) = self.instance.get() {
            view.cut_off();
        }
        stopped
    }

    /// Takes no calls from now on: those that come late go to whoever has its methods now.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
    }

    /// Whether it takes no calls any more.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Waits until it has heard the end of each exchange that it has heard of.
    async fn exchanges_over(&self) {
        let _ = self.exchanges.subscribe().wait_for(|open| open.is_empty()).await;
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Puts it out of service: its methods stay and answer `UNAVAILABLE`.
    pub fn fail(&self, why: String) {
        *lock(&self.failure) = Some(why);
        self.failed.store(true, Ordering::Release);
    }

    /// Whether it is out of service.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Notes why nobody listens on its own port; `None` when somebody does.
    pub fn note_port(&self, fault: Option<String>) {
        *lock(&self.port_fault) = fault;
    }

    /// The port at which its HTTP is served, `main` being the gateway's; `None` while nobody listens on its own.
    pub fn port_of_http(&self, main: u16) -> Option<u16> {
        match self.own_port {
            None => Some(main),
            Some(port) => lock(&self.port_fault).is_none().then_some(port),
        }
    }

    /// Counts a call that panicked. True when that makes `limit` of them within `window`; counting then begins anew.
    pub fn panicked(&self, limit: usize, window: Duration) -> bool {
        self.panics.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let mut recent = lock(&self.recent_panics);
        recent.retain(|at| now.duration_since(*at) < window);
        recent.push_back(now);
        let too_many = recent.len() >= limit.max(1);
        if too_many {
            recent.clear();
        }
        too_many
    }

    /// How it is doing. Its calls are counted by the registry.
    pub fn state(&self) -> PluginState {
        let failure = lock(&self.failure).clone();
        PluginState {
            state: if failure.is_some() { "failed" } else { "running" }.to_string(),
            error: failure,
            errors: self.errors.load(Ordering::Relaxed),
            panics: self.panics.load(Ordering::Relaxed),
            http_port: self.own_port.map(|port| HttpPort { port, error: lock(&self.port_fault).clone() }),
            ..described(&self.manifest, self.origin)
        }
    }

    /// Begins one of the ends and waits for its `done`. A loaded plugin has a thread for it, since it may block there. One in
    /// which an earlier function of its life has not returned is not called again.
    async fn finish(
        self: &Arc<Self>,
        patience: Duration,
        begin: impl FnOnce(&Instance, Box<dyn FnOnce() + Send>) + Send + 'static,
    ) -> bool {
        let Ok(turn) = tokio::time::timeout(patience, self.control.clone().lock_owned()).await else { return false };
        let (done, finished) = oneshot::channel();
        let plugin = self.clone();
        let begin = move || {
            let _turn = turn;
            if let Some(instance) = plugin.instance() {
                begin(
                    instance,
                    Box::new(move || {
                        let _ = done.send(());
                    }),
                );
            }
        };
        if self.instance().is_none() {
            return true;
        }
        match self.origin {
            Origin::Linked => begin(),
            Origin::Loaded => {
                if std::thread::Builder::new().name(format!("stop {}", self.id)).spawn(begin).is_err() {
                    return false;
                }
            }
        }
        tokio::time::timeout(patience, finished).await.is_ok_and(|heard| heard.is_ok())
    }

    fn instance(&self) -> Option<&Instance> {
        self.instance.get().map(|(instance, _)| instance)
    }
}

impl Drop for RunningPlugin {
    fn drop(&mut self) {
        // An instance that did not stop is leaked: code of it may still run, and leaking is the only sound end.
        if !*self.stopped.get_mut() {
            return;
        }
        if let Some((instance, _)) = self.instance.take() {
            match self.origin {
                Origin::Linked => instance.destroy(),
                // It may block. Without a thread it is leaked.
                Origin::Loaded => {
                    let (id, number, begun) = (self.id.clone(), self.number, self.freeing.begin());
                    let free = move || {
                        let _begun = begun;
                        instance.destroy();
                        tracing::info!(plugin = &*id, instance = number, "an instance was freed");
                    };
                    let _ = std::thread::Builder::new().name(format!("end {}", self.id)).spawn(free);
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        http_port: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn panics_are_counted_within_a_window() {
        let place = Place::workers("p", tokio::runtime::Handle::current());
        let plugin = RunningPlugin::new(
            Manifest::new("p", "1"),
            Origin::Linked,
            place,
            Vec::new(),
            Vec::new(),
            None,
            Freeing::default(),
        );
        let minute = Duration::from_secs(60);
        assert!(!plugin.panicked(3, minute) && !plugin.panicked(3, minute));
        assert!(plugin.panicked(3, minute), "the third");
        assert!(!plugin.panicked(3, minute), "counting began anew");
        assert!(!plugin.panicked(2, Duration::ZERO), "the one before is forgotten");
        assert_eq!(plugin.state().panics, 5);
    }
}
