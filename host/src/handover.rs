//! The moment in which a plugin gets a request: on the worker that read it, or on a thread of the plugin's own; and who
//! keeps a thread for too long.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plugin_api::hosting::CallRequest;

use crate::answer::Answer;
use crate::calls::{InFlight, OpenCall, Stage};
use crate::dispatch::{checked_params, is_forgiven, settle, time_out};
use crate::gateway::Gateway;
use crate::plugin::RunningPlugin;
use crate::refusals::refused;
use crate::registry::{Handler, MethodEntry};

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
    plugin.call(request);
    let answered = HANDING.get() != request.call;
    DEPTH.set(outer.0);
    HANDING.set(outer.1);
    let kept = started.elapsed();
    if answered {
        method.metrics.microseconds.add(kept.as_micros() as u64);
    }
    if kept >= Duration::from_millis(gateway.limits().worker_stall_ms) {
        method.metrics.stalls.increment(1);
        gateway.metrics.limit_hit("worker_stall_ms");
        tracing::warn!(method = method.spec.name, plugin = &*plugin.id, ?kept, "a method kept a worker too long");
    }
    answered
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
    plugin.place.run(move || {
        let begun = gateway.calls.with(call, |open| {
            open.stage = Stage::HandingOver;
            open.handed_over = Instant::now();
            let forgiven = is_forgiven(&gateway, open.slot.as_ref());
            open.waiting.clone().map(|waiting| (waiting, forgiven, open.traceparent.clone()))
        });
        let Some((waiting, forgiven, traceparent)) = begun.flatten() else { return };
        let known = match checked_params(&method, &waiting.params, forgiven) {
            Ok(known) => known,
            Err(error) => {
                let Some(open) = gateway.calls.take(call) else { return };
                if let Some(InFlight(connection)) = &open.slot {
                    refused(&gateway, connection, &error);
                }
                settle(&gateway, call, open, Answer::Error(&serde_json::to_vec(&error).unwrap_or_default()));
                return;
            }
        };
        // That took its time: a call that has ended meanwhile is not made. From here on the plugin hears of its end.
        let waited = gateway.calls.with(call, |open| {
            open.waiting = None;
            open.started.elapsed()
        });
        let Some(waited) = waited else { return };
        method.metrics.queued.increment(waited.as_micros() as u64);
        let name = method.spec.name.as_str();
        let deadline_ms = match deadline_ms {
            0 => 0,
            whole => whole.saturating_sub(waited.as_millis() as u64).max(1),
        };
        let (params, key) = (known.as_deref().unwrap_or(&waiting.params).as_bytes(), waiting.key.as_deref());
        let outer = DEPTH.replace(depth);
        instance.call(&CallRequest {
            call,
            conn,
            deadline_ms,
            flags,
            method: name,
            params,
            idempotency_key: key,
            traceparent: traceparent.as_deref(),
        });
        DEPTH.set(outer);
        gateway.calls.with(call, |open| open.stage = Stage::Waiting);
    });
}

/// Whether parameters are checked where the plugin runs, and not by the connection's worker.
pub fn is_checked_in_place(method: &MethodEntry) -> bool {
    matches!(&method.handler, Handler::Plugin(plugin) if plugin.place.is_pool())
}

/// Looks for calls whose plugin has not given the thread back: names them in the log, and answers those whose time is up.
/// Called from a thread that no plugin can block.
pub fn watch(gateway: &Arc<Gateway>) {
    let patience = Duration::from_millis(gateway.limits().worker_stall_ms);
    let held = |call: &OpenCall| matches!(call.stage, Stage::HandingOver | Stage::Stalled) && !may_block(&call.method);
    for number in gateway.calls.numbers(|call| held(call) && call.handed_over.elapsed() >= patience) {
        let is_overdue = gateway.calls.with(number, |call| {
            name_stall(gateway, call);
            call.deadline_ms > 0 && call.started.elapsed().as_millis() as u64 >= call.deadline_ms
        });
        if is_overdue == Some(true) {
            time_out(gateway, number);
        }
    }
}

/// Names a method that has kept a thread for too long, once.
pub fn name_stall(gateway: &Gateway, call: &mut OpenCall) {
    let held = call.handed_over.elapsed();
    let is_long = held >= Duration::from_millis(gateway.limits().worker_stall_ms);
    if call.stage != Stage::HandingOver || !is_long || may_block(&call.method) {
        return;
    }
    call.stage = Stage::Stalled;
    let (method, plugin) = (&call.method.spec.name, call.method.owner());
    if is_checked_in_place(&call.method) {
        tracing::warn!(method, plugin, ?held, "a method keeps a thread of its plugin's");
    } else {
        tracing::warn!(method, plugin, ?held, "a method is blocking a worker");
    }
}

/// Whether a method's plugin says that its calls block.
fn may_block(method: &MethodEntry) -> bool {
    matches!(&method.handler, Handler::Plugin(plugin) if plugin.manifest.blocking)
        || matches!(&method.handler, Handler::Host(_))
}
