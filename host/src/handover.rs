//! The moment in which a plugin gets a request: on the worker that read it, or on a thread of the plugin's own; and the
//! watchdog over what has a thread, and over calls that nobody else ends in time.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plugin_api::hosting::CallRequest;

use crate::answer::Answer;
use crate::calls::{InFlight, OpenCall, Stage};
use crate::dispatch::{Tell, checked_params, is_forgiven, settle, time_out};
use crate::gateway::Gateway;
use crate::plugin::RunningPlugin;
use crate::refusals::refused;
use crate::registry::{Handler, MethodEntry};

mod held;

pub use held::{Beside, Kind, Visit, panic_answered, panic_said};

thread_local! {
    /// How deep the call is that this thread is handing to a plugin right now; 0 outside of one.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// The call that this thread is handing to a plugin right now, until it is answered; 0 otherwise.
    static HANDING: Cell<u64> = const { Cell::new(0) };
}

/// How deep a call would be that a plugin starts on this thread now, in its own name and on nobody's account.
pub fn ambient_depth() -> usize {
    DEPTH.get() + 1
}

/// Notes that this call was answered. Whether it is being handed over on this thread right now: then whoever does that
/// measures it.
pub fn answered(number: u64) -> bool {
    let handing = HANDING.get() == number;
    if handing {
        HANDING.set(0);
    }
    handing
}

/// Hands a request to a plugin on this thread. Tells whether it was answered meanwhile.
pub fn hand_over(
    gateway: &Gateway,
    plugin: &RunningPlugin,
    method: &MethodEntry,
    request: &CallRequest<'_>,
    depth: usize,
    started: Instant,
) -> bool {
    let outer = (DEPTH.replace(depth), HANDING.replace(request.call));
    let kept = visit(gateway, plugin, method).run(started, || plugin.call(request));
    let answered = HANDING.get() != request.call;
    DEPTH.set(outer.0);
    HANDING.set(outer.1);
    if answered {
        method.metrics.microseconds.add(kept.as_micros() as u64);
    }
    answered
}

/// A call that is about to have this thread.
fn visit<'a>(gateway: &Gateway, plugin: &'a RunningPlugin, method: &'a MethodEntry) -> Visit<'a> {
    Visit {
        kind: Kind::Call,
        counts: &method.metrics,
        method: Some(&method.spec.name),
        plugin: &plugin.id,
        has_own_thread: plugin.place.is_pool(),
        may_block: plugin.manifest.blocking,
        patience: Duration::from_millis(gateway.limits().worker_stall_ms),
    }
}

/// Hands a request to a plugin that has threads of its own, on one of which it is checked first: a schema of somebody
/// else's may take its time, and shall take it from nobody but its own plugin. Parameters and key wait with the call.
pub fn hand_over_to_pool(
    gateway: &Arc<Gateway>,
    plugin: &Arc<RunningPlugin>,
    method: &Arc<MethodEntry>,
    request: &CallRequest<'_>,
    depth: usize,
) {
    let (gateway, instance, method) = (gateway.clone(), plugin.clone(), method.clone());
    let CallRequest { call, conn, deadline_ms, flags, .. } = *request;
    let (params, idempotency_key, traceparent) = (b"".as_slice(), None, None);
    let bare = CallRequest { call, conn, deadline_ms, flags, method: "", params, idempotency_key, traceparent };
    plugin.place.run(plugin.in_turn(move || {
        let begun = Instant::now();
        visit(&gateway, &instance, &method).run(begun, || take_over(&gateway, &instance, &method, bare, depth, begun));
    }));
}

/// A thread of the plugin's has come to the call, of which `bare` has what did not wait with it.
fn take_over(
    gateway: &Arc<Gateway>,
    plugin: &RunningPlugin,
    method: &MethodEntry,
    bare: CallRequest<'static>,
    depth: usize,
    begun: Instant,
) {
    let call = bare.call;
    let waiting = gateway.calls.with(call, |open| {
        open.stage = Stage::HandingOver;
        let forgiven = is_forgiven(gateway, open.slot.as_ref());
        let queued = begun.saturating_duration_since(open.started);
        open.waiting.clone().map(|waiting| (waiting, forgiven, open.traceparent.clone(), queued))
    });
    let Some((waiting, forgiven, traceparent, queued)) = waiting.flatten() else { return };
    method.metrics.queued.increment(queued.as_micros() as u64);
    let known = match checked_params(method, &waiting.params, forgiven) {
        Ok(known) => known,
        Err(error) => {
            let Some(open) = gateway.calls.take(call) else { return };
            if let Some(InFlight(connection)) = &open.slot {
                refused(gateway, connection, &error);
            }
            settle(gateway, call, open, Answer::Error(&serde_json::to_vec(&error).unwrap_or_default()));
            return;
        }
    };
    // That took its time: a call that has ended meanwhile is not made. From here on the plugin hears of its end.
    let passed = gateway.calls.with(call, |open| {
        open.waiting = None;
        open.started.elapsed()
    });
    let Some(passed) = passed else { return };
    let deadline_ms = match bare.deadline_ms {
        0 => 0,
        whole => whole.saturating_sub(passed.as_millis() as u64).max(1),
    };
    let outer = DEPTH.replace(depth);
    plugin.call(&CallRequest {
        deadline_ms,
        method: &method.spec.name,
        params: known.as_deref().unwrap_or(&waiting.params).as_bytes(),
        idempotency_key: waiting.key.as_deref(),
        traceparent: traceparent.as_deref(),
        ..bare
    });
    DEPTH.set(outer);
    gateway.calls.with(call, |open| open.stage = Stage::Waiting);
}

/// Whether parameters are checked where the plugin runs, and not by the connection's worker.
pub fn is_checked_in_place(method: &MethodEntry) -> bool {
    matches!(&method.handler, Handler::Plugin(plugin) if plugin.place.is_pool())
}

/// By how much a call is over its time before the watchdog ends it. The task that does so is there at once, unless every
/// worker is held.
const LATE: Duration = Duration::from_millis(250);

/// Names what keeps a thread for too long, and answers calls whose time is up and that nobody else ends. Called from a thread
/// that no plugin can block.
pub fn watch(gateway: &Arc<Gateway>) {
    if held::look(gateway) {
        // One of the workers waits for the sockets of all. If that is the one, the idle ones do not know that nobody waits for
        // them any more: whichever is woken has nothing to do, and waits in its place.
        gateway.runtime.spawn(std::future::ready(()));
    }
    let now = Instant::now();
    for number in gateway.calls.numbers(|call| is_left_behind(call, now)) {
        time_out(gateway, number, Tell::Aside);
    }
}

/// Whether the time of a call is up, and nobody but the watchdog ends it.
fn is_left_behind(call: &OpenCall, now: Instant) -> bool {
    let Some(late) = call.ends_at().and_then(|at| now.checked_duration_since(at)) else { return false };
    // The task that ends calls knows of one when its plugin has given the thread back.
    if call.is_timed { late >= LATE } else { call.stage == Stage::HandingOver && !may_block(&call.method) }
}

/// Whether a method's plugin says that its calls block.
fn may_block(method: &MethodEntry) -> bool {
    matches!(&method.handler, Handler::Plugin(plugin) if plugin.manifest.blocking)
        || matches!(&method.handler, Handler::Host(_))
}
