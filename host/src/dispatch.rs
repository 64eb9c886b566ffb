//! From a request to whoever answers it: registry entry → access → parameters → idempotency → call → answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use plugin_api::Idempotency;
use plugin_api::abi::*;
use plugin_api::hosting::CallRequest;
use schemas::ErrorShape;
use schemas::frame::Request;
use schemas::protocol::Version;
use schemas::trace;
use serde::Deserialize;
use serde_json::json;

use crate::access;
use crate::answer::{Answer, Asker};
use crate::authority::Authority;
use crate::calls::{InFlight, OpenCall, Stage, Traceparent, Waiting};
use crate::connections::Connection;
use crate::gateway::Gateway;
use crate::handover::{self, hand_over, hand_over_to_pool, is_checked_in_place};
use crate::idempotency::{self, Decision};
use crate::plugin::RunningPlugin;
use crate::plugins::live;
use crate::refusals::{bad_frame, refused};
use crate::registry::{Handler, MethodEntry, Registry};

/// A call about to be made.
pub struct Start<'a> {
    /// What is called.
    pub method: &'a Arc<MethodEntry>,
    /// JSON text, not yet checked.
    pub params: &'a str,
    /// Who hears the answer.
    pub asker: Asker,
    /// With whose rights.
    pub authority: Arc<Authority>,
    /// The connection's number; 0 for plugins and the host.
    pub conn: u64,
    /// How many calls deep it will be.
    pub depth: usize,
    /// The asker's own deadline, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// The request it counts for.
    pub slot: Option<InFlight>,
    /// The number it will have.
    pub number: u64,
    /// The trace it belongs to.
    pub traceparent: Option<Traceparent>,
}

impl Start<'_> {
    /// Answers a call that was not made, for its parameters are wrong.
    fn refuse(mut self, gateway: &Gateway, error: &ErrorShape) {
        self.method.metrics.errors.increment(1);
        self.asker.refuse(error);
        if let Some(InFlight(connection)) = &self.slot {
            refused(gateway, connection, error);
        }
    }
}

/// Handles a message of an accepted connection.
pub fn message(gateway: &Arc<Gateway>, connection: &Arc<Connection>, text: &str) {
    let Some(request) = Request::parse(text) else { return bad_frame(gateway, connection, text) };
    let mut asker = Asker::Frame { connection: connection.clone(), id: request.id.as_ref().into() };
    let registry = gateway.registry.load();
    let method = registry.method(&request.method);
    let checked = match method {
        Some(method) => method.access.check(&request.method, &connection.authority).map(|()| method),
        None if request.method == "connect" && connection.authority.is_admin() => {
            Err(ErrorShape::invalid_request("connect is only valid as the first request"))
        }
        None => Err(access::unknown_method(&request.method, &connection.authority)),
    };
    let checked = checked
        .and_then(|method| check_rules(&registry, connection.authority.role(), &method.spec.name).map(|()| method));
    let method = match checked {
        Ok(method) => method,
        Err(error) => {
            asker.refuse(&error);
            return refused(gateway, connection, &error);
        }
    };
    let limit = gateway.limits().max_in_flight;
    if connection.in_flight.fetch_add(1, Ordering::Relaxed) >= limit {
        connection.request_ended();
        gateway.metrics.limit_hit("max_in_flight");
        return asker
            .refuse(&busy(format!("more than {limit} requests of this connection are running"), "max_in_flight"));
    }
    let slot = Some(InFlight(connection.clone()));
    let start = Start {
        method,
        params: request.params_text(),
        asker,
        authority: connection.authority.clone(),
        conn: connection.number,
        depth: 0,
        timeout_ms: None,
        slot,
        number: gateway.calls.next_number(),
        traceparent: request.traceparent.as_deref().and_then(trace::traceparent).map(Traceparent::from),
    };
    self::start(gateway, start);
}

/// Whether the operator's rules let this role have a method, on its own socket or through a plugin.
pub fn check_rules(registry: &Registry, role: &str, method: &str) -> Result<(), ErrorShape> {
    if registry.permits(role, method) { Ok(()) } else { Err(access::not_allowed(method)) }
}

/// Makes a call whose rights were checked. The asker hears of every outcome.
pub fn start(gateway: &Arc<Gateway>, start: Start<'_>) {
    let method = start.method;
    let checked = match is_checked_in_place(method) {
        true => Ok(None),
        false => checked_params(method, start.params, is_forgiven(gateway, start.slot.as_ref())),
    };
    let known = match checked {
        Ok(known) => known,
        Err(error) => return start.refuse(gateway, &error),
    };
    let mut start = Start { params: known.as_deref().unwrap_or(start.params), ..start };
    if let Handler::Plugin(plugin) = &method.handler {
        if plugin.has_failed() {
            return start.asker.refuse(&out_of_service());
        }
        if plugin.in_flight.load(Ordering::Relaxed) >= gateway.limits().max_plugin_in_flight {
            gateway.metrics.limit_hit("max_plugin_in_flight");
            return start
                .asker
                .refuse(&busy("the method is busy; try again in a moment".into(), "max_plugin_in_flight"));
        }
    }
    let key = match method.spec.idempotency {
        Idempotency::None => None,
        Idempotency::Plugin | Idempotency::Replay => key_of(start.params),
    };
    if key.as_ref().is_some_and(|key| key.len() > MAX_KEY) {
        let name = &method.spec.name;
        let fault = format!("invalid {name} params: at /idempotencyKey: must NOT have more than {MAX_KEY} characters");
        return start.refuse(gateway, &ErrorShape::invalid_request(fault));
    }
    let key = match method.spec.idempotency {
        Idempotency::None | Idempotency::Plugin => key,
        Idempotency::Replay => match key {
            Some(key) => return replayed(gateway, start, &key),
            None => {
                let name = &method.spec.name;
                let fault = format!("invalid {name} params: must have required property 'idempotencyKey'");
                return start.refuse(gateway, &ErrorShape::invalid_request(fault));
            }
        },
    };
    run(gateway, start, key.as_deref());
}

/// Whether a caller may send more parameters than a method knows.
///
/// Newer clients send more with every month, so protocol 4 passes over what is not known; with
/// `gateway.allow_extra_params` so does protocol 3. Clients alone are forgiven: what a plugin asks of another one is written
/// against the schema that is here.
pub fn is_forgiven(gateway: &Gateway, slot: Option<&InFlight>) -> bool {
    let allowed = gateway.config.gateway.allow_extra_params;
    slot.is_some_and(|InFlight(connection)| allowed || connection.version >= Version::V4)
}

/// Checks the parameters of a call: those to use instead, if there are such, or what is wrong with them.
pub fn checked_params(method: &MethodEntry, params: &str, forgiven: bool) -> Result<Option<String>, ErrorShape> {
    let Some(fault) = method.params_fault(params) else { return Ok(None) };
    let known = if forgiven { method.without_extra(params) } else { None };
    let fault = known.as_deref().map_or(Some(fault), |known| method.params_fault(known));
    match fault {
        None => Ok(known),
        Some(fault) => Err(ErrorShape::invalid_request(format!("invalid {} params: {fault}", method.spec.name))),
    }
}

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
    let fault = fault(answer, gateway.limits().max_outbound_bytes, plugin.origin == crate::plugin::Origin::Linked);
    let heard = gateway.calls.with(number, |call| {
        if !is_theirs(call) {
            return GWP_GONE;
        }
        let method = &call.method.spec;
        if method.replies != plugin_api::Replies::Interim {
            tracing::warn!(method = method.name, "an interim answer from a method that declares none");
            return GWP_INVALID;
        }
        if let Some((code, what)) = fault {
            tracing::error!(method = method.name, what, "an interim answer was not passed on");
            return code;
        }
        call.asker.hear(answer);
        GWP_OK
    });
    heard.unwrap_or(GWP_GONE)
}

/// Ends a call from this side: its asker hears the error, and the plugin that it is over.
pub fn end(gateway: &Arc<Gateway>, number: u64, reason: i32, error: &ErrorShape) {
    if let Some(mut call) = gateway.calls.take(number) {
        // With the call goes what the watchdog would see.
        handover::name_stall(gateway, &mut call);
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

/// Makes a call with a key that is kept, unless it was made already.
fn replayed(gateway: &Arc<Gateway>, mut start: Start<'_>, key: &str) {
    let name = start.method.spec.name.clone();
    let identity = start.authority.identity();
    let asker = std::mem::replace(&mut start.asker, Asker::Nobody);
    let now = schemas::now_ms();
    let asker = (asker, start.slot.take());
    let decision = gateway.idempotency.begin(&name, key, start.params, &identity, asker, now);
    let Decision::Run(run, slot) = decision else { return };
    let (gateway, key, params) = (gateway.clone(), key.to_string(), start.params.to_string());
    let method = start.method.clone();
    let Start { authority, conn, depth, timeout_ms, number, traceparent, .. } = start;
    gateway.runtime.clone().spawn(async move {
        match gateway.idempotency.persist(&run, now).await {
            Ok(()) => {
                let (method, params, asker) = (&method, params.as_str(), Asker::Shared(run));
                let start =
                    Start { method, params, asker, authority, conn, depth, timeout_ms, slot, number, traceparent };
                self::run(&gateway, start, Some(&key));
            }
            Err(error) => {
                tracing::error!(%error, method = name, "a call was not made: its key could not be written");
                let error = ErrorShape::unavailable("the request could not be recorded; try again").retry_after(1000);
                run.hear(Answer::Error(&serde_json::to_vec(&error).unwrap_or_default()));
            }
        }
    });
}

/// Enters the call and hands it over.
fn run(gateway: &Arc<Gateway>, start: Start<'_>, key: Option<&str>) {
    let Start { method, params, asker, authority, conn, depth, timeout_ms, slot, number, traceparent } = start;
    let started = Instant::now();
    method.metrics.calls.add(1);
    let deadline_ms = deadline(gateway, method, timeout_ms);
    let flags = flags(&authority);
    let mut call = OpenCall {
        method: method.clone(),
        asker,
        authority,
        depth,
        started,
        deadline_ms,
        is_timed: false,
        stage: Stage::HandingOver,
        handed_over: started,
        waiting: None,
        in_flight: false,
        children: Vec::new(),
        traceparent: traceparent.clone(),
        slot,
    };
    match &method.handler {
        Handler::Plugin(plugin) => {
            if plugin.place.is_pool() {
                call.count();
                call.stage = Stage::Queued;
                call.waiting = Some(Arc::new(Waiting { params: params.into(), key: key.map(Box::from) }));
            }
            if !gateway.calls.enter(number, call, plugin) {
                return elsewhere(gateway, number, params, key);
            }
            let name = method.spec.name.as_str();
            let params = params.as_bytes();
            let mut request = CallRequest {
                call: number,
                conn,
                deadline_ms,
                flags,
                method: name,
                params,
                idempotency_key: key,
                traceparent: traceparent.as_deref(),
            };
            if plugin.place.is_pool() {
                request.params = b"";
                request.idempotency_key = None;
                hand_over_to_pool(gateway, plugin, method, &request, depth);
            } else if hand_over(gateway, plugin, method, &request, depth, started) {
                return;
            }
        }
        Handler::Host(service) => {
            let authority = call.authority.clone();
            gateway.calls.open(number, call);
            let (service, gateway, params) = (*service, gateway.clone(), params.to_string());
            gateway.runtime.clone().spawn(async move {
                let outcome = service.call(&gateway, &authority, &params).await;
                let Some(call) = gateway.calls.take(number) else { return };
                match &outcome {
                    Ok(payload) => settle(&gateway, number, call, Answer::Payload(payload.get().as_bytes())),
                    Err(error) => {
                        let error = serde_json::to_vec(error).unwrap_or_default();
                        settle(&gateway, number, call, Answer::Error(&error))
                    }
                };
            });
        }
    }
    wait_for_answer(gateway, number, deadline_ms);
}

/// Makes a call that was entered for an instance which takes none any more: whoever has the method now answers it.
fn elsewhere(gateway: &Arc<Gateway>, number: u64, params: &str, key: Option<&str>) {
    let Some(call) = gateway.calls.take(number) else { return };
    let OpenCall { method, mut asker, authority, depth, slot, in_flight, deadline_ms, traceparent, .. } = call;
    let Handler::Plugin(was) = &method.handler else { return };
    if in_flight {
        was.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
    let name = &method.spec.name;
    let registry = gateway.registry.load();
    let Some(now) = registry.method(name) else { return asker.refuse(&access::unknown_method(name, &authority)) };
    // The table that is in force now may ask for more than the one the call came through.
    let is_internal = now.access.is_internal();
    let allowed = if authority.is_plugin() || (is_internal && method.access.is_internal()) {
        Ok(())
    } else {
        now.access.check(name, &authority)
    };
    let allowed = match slot {
        Some(_) => allowed.and_then(|()| check_rules(&registry, authority.role(), name)),
        None => allowed,
    };
    let checked = match is_checked_in_place(now) {
        true => Ok(None),
        false => checked_params(now, params, is_forgiven(gateway, slot.as_ref())),
    };
    let known = match allowed.and(checked) {
        Ok(known) => known,
        Err(error) => return asker.refuse(&error),
    };
    let params = known.as_deref().unwrap_or(params);
    match &now.handler {
        Handler::Plugin(plugin) if plugin.has_failed() || was.number == plugin.number => {
            asker.refuse(&out_of_service())
        }
        _ => {
            let conn = slot.as_ref().map_or(0, |slot| slot.0.number);
            let timeout_ms = Some(deadline_ms);
            let start =
                Start { method: now, params, asker, authority, conn, depth, timeout_ms, slot, number, traceparent };
            run(gateway, start, key);
        }
    }
}

/// Notes that the plugin answers later, if it has not answered yet, and ends the call when its time is up.
fn wait_for_answer(gateway: &Arc<Gateway>, number: u64, deadline_ms: u64) {
    let times_out_at = gateway.calls.with(number, |call| {
        if !is_checked_in_place(&call.method) {
            call.stage = Stage::Waiting;
        }
        call.count();
        call.is_timed = deadline_ms > 0;
        call.times_out_at()
    });
    if let Some(at) = times_out_at.flatten() {
        gateway.deadlines.note(at);
    }
}

/// Ends a call whose time is up. For the thread of the watchdog too, which no plugin may keep.
pub fn time_out(gateway: &Arc<Gateway>, number: u64) {
    let Some(mut call) = gateway.calls.take(number) else { return };
    let (method, deadline_ms) = (call.method.clone(), call.deadline_ms);
    let name = &method.spec.name;
    gateway.metrics.limit_hit("method_timeout_ms");
    handover::name_stall(gateway, &mut call);
    let error = ErrorShape::unavailable(format!("{name} timed out after {deadline_ms} ms"))
        .with_details(json!({ "code": "METHOD_TIMEOUT", "timeoutMs": deadline_ms }));
    // One that still has the thread may hold what its `cancel` waits for.
    let tell = if call.stage == Stage::Waiting { Tell::Here } else { Tell::Aside };
    let told = tell_cancelled(&call, number, GWP_CANCEL_TIMEOUT, tell);
    settle(gateway, number, call, Answer::Error(&serde_json::to_vec(&error).unwrap_or_default()));
    told();
}

/// The target of lines about traced calls. A client asks for each of them, so none is held back.
pub const TRACE: &str = "clawhost::trace";

/// Delivers the final answer of a call that was taken out. It is counted first: who has the answer finds it in the figures.
pub fn settle(gateway: &Arc<Gateway>, number: u64, mut call: OpenCall, answer: Answer<'_>) -> i32 {
    let trusted = match &call.method.handler {
        Handler::Plugin(plugin) => plugin.origin == crate::plugin::Origin::Linked,
        Handler::Host(_) => true,
    };
    let fault = fault(answer, gateway.limits().max_outbound_bytes, trusted);
    count_answer(gateway, number, &call, answer, answer.is_error() || fault.is_some());
    let code = match fault {
        None => {
            call.asker.hear(answer);
            GWP_OK
        }
        Some((code, what)) => {
            tracing::error!(method = call.method.spec.name, call = number, what, "an answer was not passed on");
            call.asker.refuse(&ErrorShape::unavailable(what));
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
        metrics.errors.increment(1);
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
    if failed {
        plugin.errors.fetch_add(1, Ordering::Relaxed);
    }
    if failed && answer.is_panic() {
        let limits = &gateway.live.load().gateway.plugins;
        let window = Duration::from_millis(limits.max_panics_window_ms);
        gateway.metrics.counter("clawhost_panics_total", &[("plugin", &plugin.id)]).increment(1);
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
enum Tell {
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

fn deadline(gateway: &Gateway, method: &MethodEntry, asked: Option<u64>) -> u64 {
    let own = method.spec.timeout_ms.unwrap_or(gateway.limits().method_timeout_ms);
    match asked {
        Some(asked) if asked > 0 && (own == 0 || asked < own) => asked,
        _ => own,
    }
}

fn flags(authority: &Authority) -> u32 {
    let mut flags = 0;
    if authority.caller().local && !authority.is_plugin() {
        flags |= GWP_REQ_LOCAL;
    }
    if authority.is_admin() {
        flags |= GWP_REQ_ADMIN;
    }
    if authority.role() == "node" {
        flags |= GWP_REQ_NODE;
    }
    flags
}

fn out_of_service() -> ErrorShape {
    let error = ErrorShape::unavailable("the method is out of service: its plugin failed");
    error.with_details(json!({ "code": "PLUGIN_FAILED" }))
}

fn busy(message: String, limit: &str) -> ErrorShape {
    ErrorShape::unavailable(message).with_details(json!({ "limit": limit })).retry_after(250)
}

/// Longest idempotency key, in bytes: keys are kept, and written down.
const MAX_KEY: usize = 512;

/// The key in the parameters, if there is one.
fn key_of(params: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Keyed {
        idempotency_key: Option<String>,
    }
    serde_json::from_str::<Keyed>(params).ok()?.idempotency_key.filter(|key| !key.is_empty())
}
