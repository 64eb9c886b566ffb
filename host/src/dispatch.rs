//! From a request to whoever answers it: registry entry → access → parameters → idempotency → call → answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use plugin_api::abi::*;
use plugin_api::hosting::CallRequest;
use plugin_api::{Idempotency, Replies};
use schemas::ErrorShape;
use schemas::frame::Request;
use schemas::protocol::Version;
use schemas::trace;
use serde::Deserialize;
use serde_json::json;

use crate::access;
use crate::answer::{Answer, Asker};
use crate::authority::Authority;
use crate::calls::{Entered, InFlight, OpenCall, Stage, Traceparent, Waiting};
use crate::connections::Connection;
use crate::gateway::Gateway;
use crate::handover::{hand_over, hand_over_to_pool, is_checked_in_place};
use crate::idempotency::Decision;
use crate::refusals::{bad_frame, refused};
use crate::registry::{Handler, MethodEntry, Registry};

mod ends;

pub use ends::{TRACE, Tell, disconnected, end, end_soon, ended, reply, settle, time_out};

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
        self.turn_away(error);
        if let Some(InFlight(connection)) = &self.slot {
            refused(gateway, connection, error);
        }
    }

    /// Answers a call that was not made, which is no fault of whoever asked.
    fn turn_away(&mut self, error: &ErrorShape) {
        turn_away(self.method, &mut self.asker, error);
    }
}

/// Counts a request for a method that there is, before anything else is done about it: whatever becomes of it, there are no
/// more errors than requests.
fn count_request(method: &MethodEntry) {
    method.metrics.calls.add(1);
}

/// Counts a request that is answered with an error, whether the call was made or not.
fn count_error(method: &MethodEntry) {
    method.metrics.errors.increment(1);
    if let Handler::Plugin(plugin) = &method.handler {
        plugin.errors.fetch_add(1, Ordering::Relaxed);
    }
}

/// Answers a request for which no call is made. It is counted first: who has the answer finds it in the figures.
fn turn_away(method: &MethodEntry, asker: &mut Asker, error: &ErrorShape) {
    count_error(method);
    asker.refuse(error);
}

/// Handles a message of an accepted connection.
pub fn message(gateway: &Arc<Gateway>, connection: &Arc<Connection>, text: &str) {
    let Some(request) = Request::parse(text) else { return bad_frame(gateway, connection, text) };
    let mut asker = Asker::Frame { connection: connection.clone(), id: request.id.as_ref().into() };
    let registry = gateway.registry.load();
    let known = registry.method(&request.method);
    if let Some(method) = known {
        count_request(method);
    }
    let checked = match known {
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
            match known {
                Some(method) => turn_away(method, &mut asker, &error),
                None => asker.refuse(&error),
            }
            return refused(gateway, connection, &error);
        }
    };
    let limit = gateway.limits().max_in_flight;
    if connection.in_flight.fetch_add(1, Ordering::Relaxed) >= limit {
        connection.request_ended();
        gateway.metrics.limit_hit("max_in_flight");
        let busy = busy(format!("more than {limit} requests of this connection are running"), "max_in_flight");
        return turn_away(method, &mut asker, &busy);
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

/// Makes a plugin's call, if the caller's rights and the depth allow it.
pub fn start_invocation(gateway: &Arc<Gateway>, mut start: Start<'_>) {
    count_request(start.method);
    let limit = gateway.limits().invoke_depth;
    if start.depth > limit {
        gateway.metrics.limit_hit("invoke_depth");
        let error = ErrorShape::unavailable(format!("calls are nested more than {limit} deep"));
        return start.turn_away(&error.with_details(json!({ "limit": "invoke_depth" })));
    }
    // With a caller's rights, methods of sockets ask for that caller's scopes; internal ones are a matter of grants.
    if !start.authority.is_plugin() && !start.method.access.is_internal() {
        let name = &start.method.spec.name;
        let checked = start
            .method
            .access
            .check(name, &start.authority)
            .and_then(|()| check_rules(&gateway.registry.load(), start.authority.role(), name));
        if let Err(error) = checked {
            return start.turn_away(&error);
        }
    }
    self::start(gateway, start);
}

/// Makes a call that was counted, and whose rights were checked. The asker hears of every outcome.
fn start(gateway: &Arc<Gateway>, start: Start<'_>) {
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
            return start.turn_away(&out_of_service());
        }
        if plugin.is_busy(gateway.limits().max_plugin_in_flight) {
            gateway.metrics.limit_hit("max_plugin_in_flight");
            let busy = busy("the method is busy; try again in a moment".into(), "max_plugin_in_flight");
            return start.turn_away(&busy);
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

/// Makes a call with a key that is kept, unless it was made already.
fn replayed(gateway: &Arc<Gateway>, mut start: Start<'_>, key: &str) {
    let name = start.method.spec.name.clone();
    let identity = start.authority.identity();
    let asker = std::mem::replace(&mut start.asker, Asker::Nobody);
    let now = schemas::now_ms();
    let asker = (asker, start.slot.take());
    let decision = gateway.idempotency.begin(&name, key, start.params, &identity, asker, now);
    let (run, slot) = match decision {
        Decision::Run(run, slot) => (run, slot),
        Decision::Settled => return,
        Decision::Refused => return count_error(start.method),
    };
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
                count_error(&method);
                run.hear(Answer::Error(&serde_json::to_vec(&error).unwrap_or_default()));
            }
        }
    });
}

/// Enters the call and hands it over.
fn run(gateway: &Arc<Gateway>, start: Start<'_>, key: Option<&str>) {
    let Start { method, params, asker, authority, conn, depth, timeout_ms, slot, number, traceparent } = start;
    let started = Instant::now();
    let deadline_ms = deadline(gateway, method, timeout_ms);
    let flags = flags(&authority);
    let mut call = OpenCall {
        method: method.clone(),
        asker,
        order: (method.spec.replies == Replies::Interim).then(Arc::default),
        authority,
        depth,
        started,
        deadline_ms,
        is_timed: false,
        stage: Stage::HandingOver,
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
            match gateway.calls.enter(number, call, plugin, &gateway.registry) {
                Entered::Here => {}
                Entered::TooLate(call, registry) => return elsewhere(gateway, number, *call, &registry, params, key),
                Entered::Over => return,
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

/// Makes a call that was entered for an instance which takes none any more: whoever has the method in the table that is in
/// force now answers it.
fn elsewhere(
    gateway: &Arc<Gateway>,
    number: u64,
    call: OpenCall,
    registry: &Registry,
    params: &str,
    key: Option<&str>,
) {
    let OpenCall { method, mut asker, authority, depth, slot, in_flight, deadline_ms, traceparent, .. } = call;
    let Handler::Plugin(was) = &method.handler else { return };
    if in_flight {
        was.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
    let name = &method.spec.name;
    let Some(now) = registry.method(name) else {
        return turn_away(&method, &mut asker, &access::unknown_method(name, &authority));
    };
    // That table may ask for more than the one the call came through.
    let is_internal = now.access.is_internal();
    let allowed = if authority.is_plugin() || (is_internal && method.access.is_internal()) {
        Ok(())
    } else {
        now.access.check(name, &authority)
    };
    let allowed = match slot {
        Some(_) => allowed.and_then(|()| check_rules(registry, authority.role(), name)),
        None => allowed,
    };
    let checked = match is_checked_in_place(now) {
        true => Ok(None),
        false => checked_params(now, params, is_forgiven(gateway, slot.as_ref())),
    };
    let known = match allowed.and(checked) {
        Ok(known) => known,
        Err(error) => return turn_away(&method, &mut asker, &error),
    };
    let params = known.as_deref().unwrap_or(params);
    match &now.handler {
        Handler::Plugin(plugin) if plugin.has_failed() || was.number == plugin.number => {
            turn_away(&method, &mut asker, &out_of_service())
        }
        _ => {
            // Whoever counts its errors has counted the request, too.
            if !Arc::ptr_eq(&now.metrics, &method.metrics) {
                count_request(now);
            }
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
