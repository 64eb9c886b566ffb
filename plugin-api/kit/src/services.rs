//! What the harness offers one instance: the host's side of the table, without any pointer.

use std::sync::Arc;

use plugin_api::abi::*;
use plugin_api::hosting::{EmittedEvent, HostServices, Invocation, Job, KvWrite, Sink, Told};
use serde_json::{Value, json};

use crate::calls::may_hear;
use crate::clock::Due;
use crate::sink::SinkQueue;
use crate::world::{Callee, Change, Emitted, Listener, LogLine, Retained, Stage, World};

pub(crate) struct Services {
    pub(crate) world: Arc<World>,
    pub(crate) plugin: usize,
}

/// What to refuse to have errors refused as well, which [`crate::Running::refuse`] of `reply` lets pass.
pub(crate) const EVERY_REPLY: &str = "every reply";

/// What a function does, as far as the life of an instance matters.
#[derive(PartialEq, Eq)]
enum Effect {
    /// Something is seen outside: not before `start`.
    Outward,
    /// Nothing is.
    Inward,
}

impl Services {
    /// The state, if this instance may do this now.
    fn enter(&self, what: &str, extension: &str, effect: Effect) -> Result<Change<'_>, i32> {
        let mut state = self.world.change();
        let stage = state.instances[self.plugin].stage;
        if stage == Stage::Destroyed {
            state.blame(self.plugin, format_args!("used {what} after it was destroyed"));
            return Err(GWP_GONE);
        }
        if stage == Stage::Created && effect == Effect::Outward {
            state.blame(self.plugin, format_args!("used {what} before `start`: `create` has no outward effect"));
        }
        match state.refused.get(extension) {
            Some(&code) => Err(code),
            None => Ok(state),
        }
    }

    fn json(&self, state: &mut Change<'_>, what: &str, json: &[u8]) -> Result<Value, i32> {
        serde_json::from_slice(json).map_err(|error| {
            state.blame(self.plugin, format_args!("{what} is not JSON: {error}"));
            GWP_INVALID
        })
    }

    fn emit_checked(&self, event: EmittedEvent<'_>) -> Result<(), i32> {
        let mut state = self.enter("emit", "emit", Effect::Outward)?;
        let name = event.name;
        let payload = self.json(&mut state, &format!("the payload of {name}"), event.payload)?;
        let Some(row) = state.instances[self.plugin].events.get(name).cloned() else {
            state.blame(self.plugin, format_args!("published {name}, which its manifest does not declare"));
            return Err(GWP_INVALID);
        };
        if let Err(why) = row.check(&payload, event.conns.is_some()) {
            state.blame(self.plugin, format_args!("published {name} against its declaration: {why}"));
        }
        if event.conns.is_some_and(|conns| !conns.iter().any(|conn| state.conns.contains(conn))) {
            return Err(GWP_GONE);
        }
        self.world.publish(&mut state, name, &payload, event.conns);
        let plugin = state.id(self.plugin);
        state.emitted.push(Emitted {
            plugin,
            name: name.to_string(),
            payload,
            conns: event.conns.map(<[u64]>::to_vec),
            droppable: event.flags & GWP_EV_DROP_IF_SLOW != 0,
            stamped: event.flags & GWP_EV_STATE_VERSION != 0,
        });
        Ok(())
    }

    fn kv_write_checked(&self, ops: &[KvWrite<'_>], durable: Sink) -> Result<(), i32> {
        let mut state = self.enter("gwp.kv/1 write", extension::KV, Effect::Outward)?;
        let queue = SinkQueue::new(durable, self.world.pool.clone());
        let id = state.id(self.plugin);
        let (cap, failure) = (state.kv_cap, state.kv_failure.clone());
        let entries = state.kv.entry(id).or_default();
        let mut next = entries.clone();
        for op in ops {
            let there = next.get(op.key);
            let absent_unmet = op.if_absent && there.is_some();
            let equal_unmet = op.if_equal.is_some_and(|expected| there.is_none_or(|text| text != expected));
            if absent_unmet || equal_unmet {
                queue.push(GWP_SINK_CONFLICT, there.cloned().unwrap_or_default().into_bytes());
                return Ok(());
            }
            match op.value {
                Some(value) => next.insert(op.key.to_string(), value.to_string()),
                None => next.remove(op.key),
            };
        }
        if next.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > cap {
            return Err(GWP_TOO_LARGE);
        }
        match failure {
            Some(why) => queue.push(GWP_SINK_FAILED, why.into_bytes()),
            None => {
                *entries = next;
                queue.push(GWP_SINK_DURABLE, Vec::new());
            }
        }
        Ok(())
    }
}

impl HostServices for Services {
    fn offers(&self, extension: &str) -> bool {
        !self.world.look().withheld.contains(extension)
    }

    fn reply(&self, call: gwp_call, kind: i32, json: &[u8]) -> i32 {
        let (refused, every) = {
            let state = self.world.look();
            (state.refused.get("reply").copied(), state.refused.get(EVERY_REPLY).copied())
        };
        match refused {
            _ if every.is_some() => every.unwrap_or(GWP_GONE),
            Some(code) if kind != GWP_ERROR => code,
            _ => self.world.reply(self.plugin, call, kind, json),
        }
    }

    fn emit(&self, event: EmittedEvent<'_>) -> i32 {
        code(self.emit_checked(event))
    }

    fn log(&self, level: i32, target: &str, message: &str, fields: &str) -> i32 {
        let mut state = self.world.change();
        if target == "panic" && state.instances[self.plugin].stage == Stage::Destroyed {
            state.blame(self.plugin, format_args!("`destroy` panicked: {message}"));
            return GWP_GONE;
        }
        drop(state);
        code(self.enter("log", "log", Effect::Inward).map(|mut state| {
            if !fields.is_empty() && !serde_json::from_str::<Value>(fields).is_ok_and(|fields| fields.is_object()) {
                state.blame(self.plugin, format_args!("logged fields that are not a JSON object: {fields}"));
            }
            let plugin = state.id(self.plugin);
            let (target, message, fields) = (target.into(), message.into(), fields.into());
            state.logs.push(LogLine { plugin, level, target, message, fields });
        }))
    }

    fn soon(&self, job: Job) -> i32 {
        let entered = self.enter("gwp.exec/1 soon", extension::EXEC, Effect::Inward).map(drop);
        code(entered.map(|()| self.world.pool.run(move || job.run())))
    }

    fn after(&self, ms: u64, job: Job, tell: Told<'_>) -> i32 {
        let entered = self.enter("gwp.exec/1 after", extension::EXEC, Effect::Inward);
        code(entered.map(|mut state| {
            let timer = state.next();
            tell(timer);
            state.clock.set(timer, ms, Due::Job(self.plugin, job));
        }))
    }

    fn cancel_timer(&self, timer: u64) -> i32 {
        match self.world.change().clock.take(timer) {
            Some(_) => GWP_OK,
            None => GWP_GONE,
        }
    }

    fn blocking(&self, job: Job) -> i32 {
        let entered = self.enter("gwp.exec/1 blocking", extension::EXEC, Effect::Inward).map(drop);
        code(entered.map(|()| self.world.pool.run_blocking(move || job.run())))
    }

    fn invoke(&self, request: Invocation<'_>, sink: Sink, tell: Told<'_>) -> i32 {
        let entered = self.enter("gwp.invoke/1", extension::INVOKE, Effect::Outward).map(drop);
        code(entered.and_then(|()| self.world.invoke(self.plugin, request, sink, tell)))
    }

    fn cancel_invoke(&self, call: gwp_call) -> i32 {
        self.world.cancel_invoke(self.plugin, call)
    }

    fn kv_get(&self, key: &str, sink: &mut dyn FnMut(i32, &[u8])) -> i32 {
        let found = self.enter("gwp.kv/1 get", extension::KV, Effect::Inward).map(|state| {
            let entries = state.kv.get(&state.id(self.plugin));
            entries.and_then(|entries| entries.get(key)).cloned()
        });
        code(found.map(|value| match value {
            Some(value) => sink(GWP_SINK_FOUND, value.as_bytes()),
            None => sink(GWP_SINK_ABSENT, &[]),
        }))
    }

    fn kv_scan(&self, prefix: &str, sink: &mut dyn FnMut(i32, &[u8])) -> i32 {
        let found = self.enter("gwp.kv/1 scan", extension::KV, Effect::Inward);
        let entries = found.map(|state| state.kv.get(&state.id(self.plugin)).cloned().unwrap_or_default());
        code(entries.map(|entries| {
            for (key, value) in entries.iter().filter(|(key, _)| key.starts_with(prefix)) {
                sink(GWP_SINK_ENTRY, json!({ "key": key, "value": value }).to_string().as_bytes());
            }
            sink(GWP_SINK_END, &[]);
        }))
    }

    fn kv_write(&self, ops: &[KvWrite<'_>], durable: Sink) -> i32 {
        code(self.kv_write_checked(ops, durable))
    }

    fn subscribe(&self, pattern: &str, sink: Sink, tell: Told<'_>) -> i32 {
        let mut state = match self.enter("gwp.events/1", extension::EVENTS, Effect::Outward) {
            Ok(state) => state,
            Err(code) => return code,
        };
        if !may_hear(&state.instances[self.plugin].manifest, pattern) {
            return GWP_DENIED;
        }
        let subscription = state.next();
        tell(subscription);
        let queue = SinkQueue::new(sink, self.world.pool.clone());
        state.subscriptions.insert(subscription, Listener { plugin: self.plugin, pattern: pattern.to_string(), queue });
        GWP_OK
    }

    fn unsubscribe(&self, subscription: u64) -> i32 {
        let mut state = self.world.change();
        match state.subscriptions.get(&subscription).map(|listener| listener.queue.close()) {
            Some(true) => {
                state.subscriptions.remove(&subscription);
                GWP_OK
            }
            Some(false) => GWP_BUSY,
            None => GWP_GONE,
        }
    }

    fn caller(&self, call: gwp_call, sink: &mut dyn FnMut(i32, &[u8])) -> i32 {
        let refused = self.world.look().refused.get(extension::CALLER).copied();
        let record = self.world.look().caller(call, self.plugin).map(|caller| json!(caller).to_string());
        match (refused, record) {
            (Some(code), _) => code,
            (None, None) => GWP_GONE,
            (None, Some(record)) => {
                sink(GWP_SINK_CALLER, record.as_bytes());
                GWP_OK
            }
        }
    }

    fn retain(&self, call: gwp_call) -> Result<gwp_principal, i32> {
        let mut state = self.enter("gwp.caller/1 retain", extension::CALLER, Effect::Inward)?;
        let live = state.calls.get(&call).filter(|live| live.callee == Callee::Plugin(self.plugin)).ok_or(GWP_GONE)?;
        let (who, depth) = (live.who.clone(), live.depth);
        let principal = state.next();
        state.principals.insert(principal, Retained { plugin: self.plugin, who, call, depth, revoked: false });
        Ok(principal)
    }

    fn release(&self, principal: gwp_principal) -> i32 {
        let mut state = self.world.change();
        match state.principals.get(&principal).is_some_and(|kept| kept.plugin == self.plugin) {
            true => {
                state.principals.remove(&principal);
                GWP_OK
            }
            false => {
                state.blame(self.plugin, "gave back an authority that it did not hold");
                GWP_GONE
            }
        }
    }

    fn publish(&self, key: &str, json: &[u8]) -> i32 {
        let entered = self.enter("gwp.snapshot/1", extension::SNAPSHOT, Effect::Outward);
        code(entered.and_then(|mut state| {
            let value = self.json(&mut state, &format!("the snapshot's {key}"), json)?;
            if key != "presence" && key != "health" {
                return Err(GWP_NOT_FOUND);
            }
            let part = state.snapshots.entry(key.to_string()).or_insert((0, Value::Null));
            *part = (part.0 + 1, value);
            Ok(())
        }))
    }

    fn http_head(&self, exchange: gwp_exchange, status: u32, headers: &[u8]) -> i32 {
        self.world.http_head(self.plugin, exchange, status, headers)
    }

    fn http_write(&self, exchange: gwp_exchange, kind: i32, data: &[u8]) -> i32 {
        self.world.http_write(self.plugin, exchange, kind, data)
    }

    fn http_end(&self, exchange: gwp_exchange, code: u32, _: &str) -> i32 {
        self.world.http_end(self.plugin, exchange, code)
    }

    fn http_read(&self, exchange: gwp_exchange, bytes: u64) -> i32 {
        self.world.http_read(self.plugin, exchange, bytes)
    }

    fn http_abort(&self, exchange: gwp_exchange) -> i32 {
        self.world.http_abort(self.plugin, exchange)
    }
}

fn code(result: Result<(), i32>) -> i32 {
    result.err().unwrap_or(GWP_OK)
}
