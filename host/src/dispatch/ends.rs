//! How calls end: answered, out of time, or without those whom they were for. What is said on the way as well.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use plugin_api::Replies;
use plugin_api::abi::*;
use schemas::{ErrorShape, trace};
use serde_json::json;

use super::count_error;
use crate::answer::{Answer, Asker};
use crate::calls::{OpenCall, Stage};
use crate::connections::Connection;
use crate::gateway::Gateway;
use crate::plugin::{Origin, RunningPlugin};
use crate::plugins::live;
use crate::registry::Handler;
use crate::{handover, idempotency};

/// Takes an answer of a plugin. The code says whether it was heard.
pub fn reply(gateway: &Arc<Gateway>, plugin: &RunningPlugin, number: u64, kind: i32, json: &[u8]) -> i32 {
    let Some(answer) = Answer::of_kind(kind, json) else { return GWP_INVALID };
    let is_theirs =
        |call: &OpenCall| matches!(&call.method.handler, Handler::Plugin(own) if own.number == plugin.number);
    if answer.is_final() {
        return match gateway.calls.take_if(number, is_theirs) {
            Some(call) => settle(gateway, number, call, answer),
            None => GWP_GONE,
        };
    }
    // Looked through before the call is: behind its lock others wait.
    let fault = fault(answer, gateway.limits().max_outbound_bytes, plugin.origin == Origin::Linked);
    let heard = gateway.calls.hear_more(number, answer, |call| {
        if !is_theirs(call) {
            return Err(GWP_GONE);
        }
        let method = &call.method.spec;
        if method.replies != Replies::Interim {
            tracing::warn!(method = method.name, "an interim answer from a method that declares none");
            return Err(GWP_INVALID);
        }
        if let Some((code, what)) = fault {
            tracing::error!(method = method.name, what, "an interim answer was not passed on");
            return Err(code);
        }
        Ok(())
    });
    heard.err().unwrap_or(GWP_OK)
}

/// Ends a call from this side: its asker hears the error, and the plugin that it is over.
pub fn end(gateway: &Arc<Gateway>, number: u64, reason: i32, error: &ErrorShape) {
    if let Some(call) = gateway.calls.take(number) {
        let told = tell_cancelled(&call, number, reason, Tell::Here);
        let unknown = idempotency::unknown();
        let error = match &call.asker {
            Asker::Shared(run) if call.waiting.is_none() => {
                run.cut_off();
                // Nobody is told to try again what would be answered with this.
                if error.retryable == Some(true) { &unknown } else { error }
            }
            _ => error,
        };
        settle(gateway, number, call, Answer::Error(&serde_json::to_vec(error).unwrap_or_default()));
        told();
    }
}

/// What is said of a call whose asker or whose reason has gone.
pub fn ended() -> ErrorShape {
    ErrorShape::unavailable("the call it was made for has ended")
}

/// Ends a call on a task of its own: whoever asks may be inside a call to the host, and the plugin that is told must not
/// be the one that is calling.
pub fn end_soon(gateway: &Arc<Gateway>, number: u64, reason: i32) {
    // First, and looked at behind the call's entry: one that is about to be made is seen here or sees this.
    gateway.plugin_books.mark_over(number);
    if gateway.calls.with(number, |_| ()).is_some() {
        let gateway = gateway.clone();
        gateway.runtime.clone().spawn(async move { end(&gateway, number, reason, &ended()) });
    }
}

/// The answer to a call whose connection has gone.
const NOBODY_LISTENS: &[u8] = br#"{"code":"UNAVAILABLE","message":"the connection has gone"}"#;

/// A connection has gone: what it waits for ends, except what runs on without it.
pub fn disconnected(gateway: &Arc<Gateway>, connection: &Connection) {
    if connection.in_flight.load(Ordering::Relaxed) == 0 {
        return;
    }
    let conn = connection.number;
    let waiting = gateway.calls.numbers(|call| call.slot.as_ref().is_some_and(|slot| slot.0.number == conn));
    for number in waiting {
        let detached = gateway.calls.with(number, |call| {
            let detached = call.method.is_detached();
            if detached {
                call.slot = None;
                match &mut call.asker {
                    Asker::Shared(run) => run.forget_connection(conn),
                    asker => *asker = Asker::Nobody,
                }
            }
            detached
        });
        if detached == Some(false)
            && let Some(mut call) = gateway.calls.take(number)
        {
            call.asker = Asker::Nobody;
            let told = tell_cancelled(&call, number, GWP_CANCEL_DISCONNECT, Tell::Here);
            settle(gateway, number, call, Answer::Error(NOBODY_LISTENS));
            told();
        }
    }
    // What is left has joined what others began.
    if connection.in_flight.load(Ordering::Relaxed) > 0 {
        gateway.idempotency.forget_connection(conn);
    }
}

/// Ends a call whose time is up. On this thread the plugin is told of that only where it has given the call's thread back:
/// what it keeps may be what its `cancel` waits for.
pub fn time_out(gateway: &Arc<Gateway>, number: u64, tell: Tell) {
    let Some(call) = gateway.calls.take(number) else { return };
    let (method, deadline_ms) = (call.method.clone(), call.deadline_ms);
    let name = &method.spec.name;
    gateway.metrics.limit_hit("method_timeout_ms");
    let error = ErrorShape::unavailable(format!("{name} timed out after {deadline_ms} ms"))
        .with_details(json!({ "code": "METHOD_TIMEOUT", "timeoutMs": deadline_ms }));
    let tell = if call.stage == Stage::Waiting { tell } else { Tell::Aside };
    let told = tell_cancelled(&call, number, GWP_CANCEL_TIMEOUT, tell);
    settle(gateway, number, call, Answer::Error(&serde_json::to_vec(&error).unwrap_or_default()));
    told();
}

/// The target of lines about traced calls. A client asks for each of them, so none is held back.
pub const TRACE: &str = "clawhost::trace";

/// Delivers the final answer of a call that was taken out. It is counted first: who has the answer finds it in the figures.
pub fn settle(gateway: &Arc<Gateway>, number: u64, mut call: OpenCall, answer: Answer<'_>) -> i32 {
    let trusted = match &call.method.handler {
        Handler::Plugin(plugin) => plugin.origin == Origin::Linked,
        Handler::Host(_) => true,
    };
    let fault = fault(answer, gateway.limits().max_outbound_bytes, trusted);
    count_answer(gateway, number, &call, answer, answer.is_error() || fault.is_some());
    let code = match fault {
        None => {
            call.hear_last(answer);
            GWP_OK
        }
        Some((code, what)) => {
            tracing::error!(method = call.method.spec.name, call = number, what, "an answer was not passed on");
            call.refuse(&ErrorShape::unavailable(what));
            code
        }
    };
    for child in std::mem::take(&mut call.children) {
        end_soon(gateway, child, GWP_CANCEL_ASKED);
    }
    code
}

fn count_answer(gateway: &Arc<Gateway>, number: u64, call: &OpenCall, answer: Answer<'_>, failed: bool) {
    let metrics = &call.method.metrics;
    if !handover::answered(number) {
        metrics.microseconds.add(call.started.elapsed().as_micros() as u64);
    }
    if failed {
        count_error(&call.method);
    }
    if let Some(traceparent) = &call.traceparent {
        let (trace, elapsed) = (trace::trace_id(traceparent), call.started.elapsed());
        let method = &*call.method.spec.name;
        tracing::info!(target: TRACE, trace, method, call = number, failed, ?elapsed, "a traced call ended");
    }
    let Handler::Plugin(plugin) = &call.method.handler else { return };
    if call.in_flight {
        plugin.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
    if failed && answer.is_panic() {
        let limits = &gateway.live.load().gateway.plugins;
        let window = Duration::from_millis(limits.max_panics_window_ms);
        metrics.panicked();
        handover::panic_answered();
        if plugin.panicked(limits.max_panics as usize, window) {
            live::panicked_too_often(gateway, plugin);
        }
    }
}

/// Why an answer cannot be passed on.
fn fault(answer: Answer<'_>, max_bytes: usize, trusted: bool) -> Option<(i32, &'static str)> {
    let json = answer.json();
    if json.len() > max_bytes {
        return Some((GWP_TOO_LARGE, "the answer is larger than the gateway passes on"));
    }
    (!trusted && !answer.is_well_formed()).then_some((GWP_INVALID, "the method gave a broken answer"))
}

/// Where a plugin is told that a call has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tell {
    /// On this thread, which is a worker.
    Here,
    /// On a thread of its own: this one must not be kept.
    Aside,
}

/// What tells the plugin that this call has ended without it, once it has. One that it never got is no news to it.
fn tell_cancelled(call: &OpenCall, number: u64, reason: i32, tell: Tell) -> impl FnOnce() + use<> {
    let method = call.waiting.is_none().then(|| call.method.clone());
    move || {
        if let Some(Handler::Plugin(plugin)) = method.as_ref().map(|method| &method.handler) {
            plugin.cancel(number, reason, tell == Tell::Aside);
        }
    }
}
