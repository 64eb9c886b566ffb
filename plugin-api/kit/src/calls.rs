//! The life of a call: asked by the test or by a plugin, handed over, answered, or ended over the plugin's head.

use std::sync::Arc;

use plugin_api::abi::*;
use plugin_api::hosting::{CallRequest, Invocation, Sink, Told};
use plugin_api::{Manifest, Replies};
use schemas::ErrorShape;
use serde_json::{Value, json};

use crate::clock::Due;
use crate::outcome::CancelReason;
use crate::rows::{MethodRow, covers, service};
use crate::sink::SinkQueue;
use crate::stub::{Asked, StubCall};
use crate::who::Who;
use crate::world::{Callee, Heard, LiveCall, Stage, State, World};

/// In what form a request is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handing {
    /// As this version of the interface has it.
    Plain,
    /// In a longer record, as a later host would.
    OfLaterMinor,
}

/// Calls may lead to calls this deep.
const DEEPEST: u32 = 8;

impl World {
    /// A test asks; returns the call's number.
    pub(crate) fn ask(self: &Arc<Self>, who: Who, method: &str, params: &Value) -> gwp_call {
        let mut state = self.change();
        let (call, live) = state.admit(who, method, params);
        if let Some(live) = live {
            self.begin(&mut state, call, live);
        }
        call
    }

    /// As [`World::ask`], but on this thread, which is inside of the plugin meanwhile.
    pub(crate) fn ask_here(self: &Arc<Self>, who: Who, method: &str, params: &Value, how: Handing) -> gwp_call {
        let (call, live) = {
            let mut state = self.change();
            let (call, live) = state.admit(who, method, params);
            let live = live.map(|live| state.enter(call, live));
            (call, live.is_some())
        };
        if live {
            self.hand_over(call, how);
        }
        call
    }

    /// Hands over a call to a method that the manifest does not declare, which a gateway would not do.
    pub(crate) fn ask_undeclared(self: &Arc<Self>, who: Who, method: &str) -> gwp_call {
        let call = {
            let mut state = self.change();
            let call = state.next();
            state.pending.insert(call, Heard::of(method, &json!({})));
            let live = LiveCall::of_test(0, who, method, &json!({}), None);
            state.enter(call, live);
            call
        };
        self.hand_over(call, Handing::Plain);
        call
    }

    /// A plugin asks. The answers reach its sink later, from a worker, whatever happens.
    pub(crate) fn invoke(
        self: &Arc<Self>,
        by: usize,
        request: Invocation<'_>,
        sink: Sink,
        tell: Told<'_>,
    ) -> Result<(), i32> {
        let mut state = self.change();
        let method = request.method;
        let Ok(params) = serde_json::from_slice::<Value>(request.params) else {
            state.blame(by, format_args!("called {method} with params that are not JSON"));
            return Err(GWP_INVALID);
        };
        if !covers(&state.instances[by].manifest.invokes, method) {
            return Err(GWP_DENIED);
        }
        let own = request.authority == 0 || request.authority & GWP_OWN_GRANTS != 0;
        let (mut who, mut depth, mut parent) = (state.own_name(by), 1, None);
        if request.authority != 0 {
            let principal = request.authority & !GWP_OWN_GRANTS;
            let kept = state.principals.get(&principal).filter(|kept| kept.plugin == by).ok_or(GWP_GONE)?;
            if kept.revoked {
                return Err(GWP_DENIED);
            }
            match own {
                true => who.traceparent = kept.who.traceparent.clone(),
                false => who = kept.who.clone(),
            }
            depth = kept.depth + 1;
            parent = Some(kept.call).filter(|call| state.calls.contains_key(call));
        }
        if depth > DEEPEST {
            return Err(GWP_DENIED);
        }
        let stubbed = state.stubs.get(method).map(|_| (Callee::Stub, service(method).map(Arc::new)));
        let found = state.methods.get(method).map(|(plugin, row)| (Callee::Plugin(*plugin), Some(row.clone())));
        let (callee, row) = stubbed.or(found).ok_or(GWP_NOT_FOUND)?;
        let call = state.next();
        tell(call);
        let (caller, by_id, traceparent) = (who.caller.clone(), state.id(by), who.traceparent.clone());
        state.asked.push(Asked {
            method: method.into(),
            params: params.clone(),
            by: by_id,
            caller,
            depth,
            traceparent,
        });
        state.invoked.insert(call, SinkQueue::new(sink, self.pool.clone()));
        // A plugin that asks has no connection: what the callee emits goes to nobody by itself.
        let access =
            row.as_ref().map_or(Ok(()), |row| row.admit_on_behalf(&who).and_then(|()| row.check_params(&params)));
        who.conn = 0;
        let own_timeout = row.as_ref().and_then(|row| row.spec.timeout_ms).unwrap_or(0);
        let live = LiveCall {
            callee,
            method: method.to_string(),
            params: params.to_string(),
            key: row.as_ref().and_then(|row| row.key(&params)),
            who,
            depth,
            timeout_ms: if request.timeout_ms == 0 { own_timeout } else { request.timeout_ms },
            deadline: None,
            invoker: Some(by),
            parent,
            row,
        };
        match access {
            Ok(()) => self.begin(&mut state, call, live),
            Err(error) => {
                state.calls.insert(call, live);
                state.deliver(call, GWP_ERROR, json!(error));
            }
        }
        Ok(())
    }

    /// A plugin ends a call of its own.
    pub(crate) fn cancel_invoke(self: &Arc<Self>, by: usize, call: gwp_call) -> i32 {
        let queue = {
            let mut state = self.change();
            match state.calls.get(&call) {
                Some(live) if live.invoker != Some(by) => return GWP_GONE,
                _ => state.invoked.remove(&call),
            }
        };
        let Some(queue) = queue else { return GWP_GONE };
        let last = serde_json::to_vec(&CancelReason::Asked.error()).expect("an error is JSON");
        let silent = queue.close_or_finish((GWP_ERROR, last));
        self.end(call, CancelReason::Asked);
        if silent { GWP_OK } else { GWP_GONE }
    }

    /// Ends a call over the head of whoever answers it: the entry goes first, then its children, then it is told.
    pub(crate) fn end(self: &Arc<Self>, call: gwp_call, reason: CancelReason) {
        let (live, children) = {
            let mut state = self.change();
            let Some(live) = state.take(call) else { return };
            state.tell(call, &live, GWP_ERROR, json!(reason.error()));
            let below = state.calls.iter().filter(|(_, child)| child.parent == Some(call)).map(|(id, _)| *id);
            let children: Vec<gwp_call> = below.collect();
            let instance = match live.callee {
                Callee::Plugin(plugin) => state.instances[plugin].instance.clone(),
                Callee::Stub => None,
            };
            (instance, children)
        };
        children.into_iter().for_each(|child| self.end(child, reason));
        if let Some(instance) = live {
            self.pool.run(move || instance.cancel(call, reason.code()));
        }
    }

    /// A plugin answers.
    pub(crate) fn reply(&self, plugin: usize, call: gwp_call, kind: i32, json: &[u8]) -> i32 {
        let mut state = self.change();
        let is_final = matches!(kind, GWP_FINAL | GWP_ERROR | GWP_ERROR_PAYLOAD);
        if state.instances[plugin].stage == Stage::Destroyed {
            state.blame(plugin, "answered a call after it was destroyed");
            return GWP_GONE;
        }
        let Some(live) = state.calls.get(&call).filter(|live| live.callee == Callee::Plugin(plugin)) else {
            if is_final && state.answered.contains(&call) {
                state.blame(plugin, "answered a call a second time");
            }
            return GWP_GONE;
        };
        let (method, row) = (live.method.clone(), live.row.clone());
        let Ok(value) = serde_json::from_slice::<Value>(json) else {
            state.blame(plugin, format_args!("answered {method} with what is not JSON"));
            return GWP_INVALID;
        };
        if !is_final && kind != GWP_INTERIM {
            state.blame(plugin, format_args!("answered {method} with the unknown kind {kind}"));
            return GWP_INVALID;
        }
        if let Some(row) = row {
            if kind == GWP_INTERIM && row.spec.replies != Replies::Interim {
                state.blame(plugin, format_args!("{method} sent an interim answer and declares none"));
                return GWP_INVALID;
            }
            if kind == GWP_FINAL
                && let Err(why) = row.check_result(&value)
            {
                state.blame(plugin, format_args!("the result of {method} does not fit its schema: {why}"));
            }
        }
        let error = if kind == GWP_ERROR_PAYLOAD { value.get("error").unwrap_or(&Value::Null) } else { &value };
        if matches!(kind, GWP_ERROR | GWP_ERROR_PAYLOAD)
            && let Err(why) = serde_json::from_value::<ErrorShape>(error.clone())
        {
            state.blame(plugin, format_args!("the error of {method} has not the shape of one: {why}"));
            return GWP_INVALID;
        }
        state.deliver(call, kind, value);
        GWP_OK
    }

    /// A stub answers.
    pub(crate) fn answer(&self, call: gwp_call, kind: i32, value: Value) {
        let mut state = self.change();
        let Some(live) = state.calls.get(&call) else { return };
        if kind == GWP_FINAL
            && let Some(row) = &live.row
            && let Err(why) = row.check_result(&value)
        {
            let complaint = format!("the test's answer to {} does not fit its schema: {why}", live.method);
            state.violations.push(complaint);
        }
        state.deliver(call, kind, value);
    }

    fn begin(self: &Arc<Self>, state: &mut State, call: gwp_call, live: LiveCall) {
        let blocking = match live.callee {
            Callee::Plugin(plugin) => state.instances[plugin].manifest.blocking,
            Callee::Stub => false,
        };
        state.enter(call, live);
        let world = self.clone();
        let work = move || world.hand_over(call, Handing::Plain);
        if blocking { self.pool.run_blocking(work) } else { self.pool.run(work) }
    }

    fn hand_over(self: &Arc<Self>, call: gwp_call, how: Handing) {
        let (callee, method, params, key, who, deadline_ms) = {
            let state = self.look();
            let Some(live) = state.calls.get(&call) else { return };
            (live.callee, live.method.clone(), live.params.clone(), live.key.clone(), live.who.clone(), live.timeout_ms)
        };
        let plugin = match callee {
            Callee::Plugin(plugin) => plugin,
            Callee::Stub => return self.ask_stub(call, &method),
        };
        let instance = self.look().instances[plugin].instance.clone();
        let Some(instance) = instance else { return self.end(call, CancelReason::Stop) };
        let flag = |on: bool, flag: u32| if on { flag } else { 0 };
        let request = CallRequest {
            call,
            conn: who.conn,
            deadline_ms,
            flags: flag(who.caller.local, GWP_REQ_LOCAL)
                | flag(who.is_admin(), GWP_REQ_ADMIN)
                | flag(who.caller.role == "node", GWP_REQ_NODE),
            method: &method,
            params: params.as_bytes(),
            idempotency_key: key.as_deref(),
            traceparent: who.traceparent.as_deref(),
        };
        match how {
            Handing::Plain => instance.call(&request),
            Handing::OfLaterMinor => instance.call_of_later_minor(&request),
        }
    }

    fn ask_stub(self: &Arc<Self>, call: gwp_call, method: &str) {
        let (stub, asked) = {
            let state = self.look();
            let Some((live, stub)) = state.calls.get(&call).zip(state.stubs.get(method)) else { return };
            let by = live.invoker.map(|plugin| state.id(plugin)).unwrap_or_default();
            let params = serde_json::from_str(&live.params).expect("params were parsed before");
            let (caller, traceparent) = (live.who.caller.clone(), live.who.traceparent.clone());
            (stub.clone(), Asked { method: method.into(), params, by, caller, depth: live.depth, traceparent })
        };
        let stub_call = StubCall { world: self.clone(), call, asked };
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stub(stub_call))).is_err() {
            self.change().violations.push(format!("the test's own answer to {method} panicked"));
        }
    }
}

impl Heard {
    fn of(method: &str, params: &Value) -> Self {
        Heard { method: method.to_string(), params: params.clone(), ..Heard::default() }
    }
}

impl LiveCall {
    /// A call that a test asked for; `row` is absent for a method that the manifest does not declare.
    fn of_test(plugin: usize, who: Who, method: &str, params: &Value, row: Option<Arc<MethodRow>>) -> Self {
        LiveCall {
            callee: Callee::Plugin(plugin),
            method: method.to_string(),
            params: params.to_string(),
            key: row.as_ref().and_then(|row| row.key(params)),
            who,
            depth: 0,
            timeout_ms: row.as_ref().and_then(|row| row.spec.timeout_ms).unwrap_or(0),
            deadline: None,
            invoker: None,
            parent: None,
            row,
        }
    }
}

impl State {
    /// The number of a test's call, and the call unless it is refused already.
    fn admit(&mut self, who: Who, method: &str, params: &Value) -> (gwp_call, Option<LiveCall>) {
        let call = self.next();
        self.pending.insert(call, Heard::of(method, params));
        if who.conn != 0 {
            self.conns.insert(who.conn);
        }
        let refusal = match self.methods.get(method) {
            _ if self.ended => Some(CancelReason::Stop.error()),
            Some((_, row)) => row.admit(&who).and_then(|()| row.check_params(params)).err(),
            None => Some(ErrorShape::invalid_request(format!("unknown method: {method}"))),
        };
        if let Some(error) = refusal {
            self.pending.entry(call).or_default().result = Some(Err(error));
            return (call, None);
        }
        let (plugin, row) = self.methods[method].clone();
        (call, Some(LiveCall::of_test(plugin, who, method, params, Some(row))))
    }

    /// Keeps a call, with its deadline.
    fn enter(&mut self, call: gwp_call, mut live: LiveCall) {
        if live.timeout_ms > 0 {
            let timer = self.next();
            self.clock.set(timer, live.timeout_ms, Due::Deadline(call));
            live.deadline = Some(timer);
        }
        self.calls.insert(call, live);
    }

    /// Hands an answer to whoever waits for it; a final one ends the call.
    fn deliver(&mut self, call: gwp_call, kind: i32, value: Value) {
        if kind == GWP_INTERIM {
            if let Some(queue) = self.invoked.get(&call) {
                queue.push(kind, value.to_string().into_bytes());
            } else if let Some(heard) = self.pending.get_mut(&call) {
                heard.interims.push(value);
            }
        } else if let Some(live) = self.take(call) {
            self.answered.insert(call);
            self.tell(call, &live, kind, value);
        }
    }

    /// Takes a call out, with its deadline.
    fn take(&mut self, call: gwp_call) -> Option<LiveCall> {
        let live = self.calls.remove(&call)?;
        if let Some(timer) = live.deadline {
            self.clock.take(timer);
        }
        Some(live)
    }

    /// Says the final answer of a call that was taken out.
    fn tell(&mut self, call: gwp_call, live: &LiveCall, kind: i32, value: Value) {
        if live.invoker.is_some() {
            if let Some(queue) = self.invoked.get(&call) {
                queue.push(kind, value.to_string().into_bytes());
            }
            return;
        }
        let Some(heard) = self.pending.get_mut(&call) else { return };
        let shape = |error: &Value| serde_json::from_value::<ErrorShape>(error.clone());
        heard.result = Some(match kind {
            GWP_FINAL => Ok(value),
            GWP_ERROR_PAYLOAD => {
                heard.error_payload = value.get("payload").cloned();
                Err(shape(&value["error"]).expect("the shape was checked before"))
            }
            _ => Err(shape(&value).expect("the shape was checked before")),
        });
    }
}

/// Whether a manifest lets its plugin hear what matches.
pub(crate) fn may_hear(manifest: &Manifest, pattern: &str) -> bool {
    covers(&manifest.hears, pattern)
}
