//! What is counted. Handles are made once and kept where they are used, so counting is an atomic addition; [`render`]
//! makes the text of `/metrics` of it, together with what is only looked at then.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::StatusCode;
use metrics::{Counter, Gauge, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

pub mod described;
mod page;
mod process;

use described::Kind;
pub use page::render;

/// The counters of one gateway. Two gateways in one process do not share them.
pub struct Metrics {
    recorder: PrometheusRecorder,
    render: PrometheusHandle,
    /// Open WebSocket connections, before and after the handshake.
    pub connections: Gauge,
    /// Sockets that speak HTTP: most of them have not said what they want.
    pub pending_heads: Gauge,
    /// Upgraded sockets that have not finished their handshake.
    pub pending_handshakes: Gauge,
    /// Requests that plugins are answering over HTTP.
    pub http_exchanges: Gauge,
    /// WebSocket connections since the start.
    pub connections_opened: Counter,
    /// Text and binary frames read.
    pub frames_in: Counter,
    /// Text frames queued.
    pub frames_out: Counter,
    /// Bytes read from sockets.
    pub bytes_in: Counter,
    /// Bytes written to sockets.
    pub bytes_out: Counter,
    /// Times a connection was not read for a moment because its requests are refused again and again.
    pub reads_paused: Counter,
    /// Droppable events that slow consumers missed.
    pub events_dropped: Counter,
    /// Handshakes of TLS that came to nothing.
    pub tls_handshakes_failed: Counter,
    /// Handshakes that ended well.
    pub handshakes_accepted: Counter,
    /// Connections refused before the upgrade, for their Host or Origin.
    pub turned_away: Counter,
    /// Libraries that reloads have mapped.
    pub library_reloads: Counter,
    /// Whether the configuration on the disk can be read.
    pub config_valid: Gauge,
    /// By the first digit of the status, from 1 on.
    http_answers: [Counter; 5],
    in_flight: Gauge,
    /// By plugin and method, which is empty for what a plugin does beside its calls. A method keeps its counters when its
    /// plugin is made anew.
    methods: Mutex<Methods>,
}

type Methods = BTreeMap<(String, String), Arc<MethodMetrics>>;

const METADATA: Metadata<'static> = Metadata::new("clawhost", Level::INFO, None);

impl Metrics {
    /// A fresh set, all zero.
    pub fn new() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        for known in described::DESCRIBED {
            match known.kind {
                Kind::Counter => recorder.describe_counter(known.name.into(), None, known.help.into()),
                Kind::Gauge => recorder.describe_gauge(known.name.into(), None, known.help.into()),
            }
        }
        let labelled = |name, label, value| {
            recorder.register_counter(&Key::from_parts(name, vec![Label::from_static_parts(label, value)]), &METADATA)
        };
        for limit in described::LIMITS {
            let _ = labelled("clawhost_limit_hits_total", "limit", limit);
        }
        let _ = labelled("clawhost_tailscale_identities_total", "outcome", "confirmed");
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let http_answers = classes.map(|class| labelled("clawhost_http_answers_total", "class", class));
        let counter = |name| recorder.register_counter(&Key::from_static_name(name), &METADATA);
        let gauge = |name| recorder.register_gauge(&Key::from_static_name(name), &METADATA);
        let config_valid = gauge("clawhost_config_valid");
        config_valid.set(1.0);
        Metrics {
            connections: gauge("clawhost_connections"),
            pending_heads: gauge("clawhost_pending_heads"),
            pending_handshakes: gauge("clawhost_pending_handshakes"),
            http_exchanges: gauge("clawhost_http_exchanges"),
            connections_opened: counter("clawhost_connections_opened_total"),
            frames_in: counter("clawhost_frames_received_total"),
            frames_out: counter("clawhost_frames_sent_total"),
            bytes_in: counter("clawhost_bytes_received_total"),
            bytes_out: counter("clawhost_bytes_sent_total"),
            reads_paused: counter("clawhost_reads_paused_total"),
            events_dropped: counter("clawhost_events_dropped_total"),
            tls_handshakes_failed: counter("clawhost_tls_handshakes_failed_total"),
            turned_away: counter("clawhost_upgrades_refused_total"),
            library_reloads: counter("clawhost_library_reloads_total"),
            config_valid,
            http_answers,
            handshakes_accepted: labelled("clawhost_handshakes_total", "outcome", "accepted"),
            in_flight: gauge("clawhost_calls_in_flight"),
            methods: Mutex::default(),
            render: recorder.handle(),
            recorder,
        }
    }

    /// A counter with labels, to be kept by who counts.
    pub fn counter(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Counter {
        let labels = labels.iter().map(|(key, value)| Label::new(*key, value.to_string())).collect::<Vec<_>>();
        self.recorder.register_counter(&Key::from_parts(name, labels), &METADATA)
    }

    /// The counters of this method of this plugin.
    pub fn of_method(&self, method: &str, plugin: &str) -> Arc<MethodMetrics> {
        let mut methods = self.methods();
        let of_method = methods.entry((plugin.to_string(), method.to_string()));
        of_method.or_insert_with(|| Arc::new(MethodMetrics::new(self, method, plugin))).clone()
    }

    /// The counters of what this plugin does beside its calls: stalls and panics.
    pub fn of_plugin(&self, plugin: &str) -> Arc<MethodMetrics> {
        let mut methods = self.methods();
        let beside = methods.entry((plugin.to_string(), String::new()));
        beside.or_insert_with(|| Arc::new(MethodMetrics::beside_calls(self, plugin))).clone()
    }

    /// The plugin and the method whose counters have this number, and the counters.
    pub fn numbered(&self, number: u32) -> Option<(String, String, Arc<MethodMetrics>)> {
        let methods = self.methods();
        let found = methods.iter().find(|(_, counts)| counts.number == number);
        found.map(|((plugin, method), counts)| (plugin.clone(), method.clone(), counts.clone()))
    }

    /// Shows each plugin, each of its methods, and how often that panicked.
    fn panics(&self, mut show: impl FnMut(&str, &str, u64)) {
        self.methods().iter().for_each(|((plugin, method), counts)| show(plugin, method, counts.panics()));
    }

    /// Counts a limit that was hit, under the limit's name in the configuration.
    pub fn limit_hit(&self, limit: &'static str) {
        self.limit(limit).increment(1);
    }

    /// The counter of [`Metrics::limit_hit`].
    pub fn limit(&self, limit: &'static str) -> Counter {
        self.counter("clawhost_limit_hits_total", &[("limit", limit)])
    }

    /// Counts a handshake that ended badly.
    pub fn handshake_refused(&self, outcome: &'static str) {
        self.counter("clawhost_handshakes_total", &[("outcome", outcome)]).increment(1);
    }

    /// The counter of published events of this name.
    pub fn event(&self, name: &str) -> Counter {
        self.counter("clawhost_events_total", &[("event", name)])
    }

    /// Counts an answer over HTTP.
    pub fn http_answered(&self, status: StatusCode) {
        if let Some(class) = self.http_answers.get(usize::from(status.as_u16() / 100).wrapping_sub(1)) {
            class.increment(1);
        }
    }

    /// Counts a plugin that was changed while the gateway ran, or was not changed as asked.
    pub fn plugin_changed(&self, plugin: &str, done: bool) {
        let outcome = if done { "done" } else { "failed" };
        self.counter("clawhost_plugin_changes_total", &[("outcome", outcome), ("plugin", plugin)]).increment(1);
    }

    /// What was counted, in Prometheus' text form.
    fn counted(&self, calls_in_flight: usize) -> String {
        self.in_flight.set(calls_in_flight as f64);
        self.methods().values().for_each(|method| method.show());
        self.render.run_upkeep();
        self.render.render()
    }

    fn methods(&self) -> MutexGuard<'_, Methods> {
        self.methods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The counters of one method, or of what a plugin does beside its calls.
pub struct MethodMetrics {
    /// What the watchdog knows it by; never used for another one in a process.
    pub number: u32,
    /// Calls that were asked for, whatever became of them.
    pub calls: Striped,
    /// Microseconds from start to final answer, added up.
    pub microseconds: Striped,
    /// Microseconds that calls waited for a thread of their plugin's, added up; without threads of its own none waits.
    pub queued: Counter,
    /// Calls answered with an error.
    pub errors: Counter,
    /// What kept a thread longer than `worker_stall_ms`, and that limit.
    stalls: [Counter; 2],
    panics: AtomicU64,
    shown: [Counter; 2],
}

impl MethodMetrics {
    fn new(metrics: &Metrics, method: &str, plugin: &str) -> Self {
        let labels = [("method", method), ("plugin", plugin)];
        MethodMetrics {
            queued: metrics.counter("clawhost_call_queue_microseconds_total", &labels),
            errors: metrics.counter("clawhost_call_errors_total", &labels),
            shown: [
                metrics.counter("clawhost_calls_total", &labels),
                metrics.counter("clawhost_call_microseconds_total", &labels),
            ],
            ..MethodMetrics::uncalled(metrics, method, plugin)
        }
    }

    fn beside_calls(metrics: &Metrics, plugin: &str) -> Self {
        MethodMetrics::uncalled(metrics, "", plugin)
    }

    /// What is counted of anything that runs; nothing of calls.
    fn uncalled(metrics: &Metrics, method: &str, plugin: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let stalls = metrics.counter("clawhost_worker_stalls_total", &[("method", method), ("plugin", plugin)]);
        MethodMetrics {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            calls: Striped::default(),
            microseconds: Striped::default(),
            queued: Counter::noop(),
            errors: Counter::noop(),
            stalls: [stalls, metrics.limit("worker_stall_ms")],
            panics: AtomicU64::new(0),
            shown: [Counter::noop(), Counter::noop()],
        }
    }

    /// Counts something that keeps a thread, or has kept one, for too long.
    pub fn stalled(&self) {
        self.stalls.iter().for_each(|counter| counter.increment(1));
    }

    /// Counts a panic.
    pub fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// Panics so far.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Brings what is shown up to date with what was counted.
    fn show(&self) {
        self.shown[0].absolute(self.calls.sum());
        self.shown[1].absolute(self.microseconds.sum());
    }
}

/// A counter that every request touches: each thread adds to a stripe, so that workers do not pass one cache line back and
/// forth.
#[derive(Default)]
pub struct Striped([Stripe; STRIPES]);

const STRIPES: usize = 4;

/// One cache line.
#[derive(Default)]
#[repr(align(64))]
struct Stripe(AtomicU64);

impl Striped {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        thread_local! {
            static MINE: usize = {
                static NEXT: AtomicUsize = AtomicUsize::new(0);
                NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES
            };
        }
        self.0[MINE.with(|mine| *mine)].0.fetch_add(count, Ordering::Relaxed);
    }

    /// All that was added.
    pub fn sum(&self) -> u64 {
        self.0.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum()
    }
}
