//! A running instance: ask it, tell it, look at what it did, stop it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use plugin_api::Manifest;
use plugin_api::abi::extension::HTTP;
use plugin_api::catalogue::{ConnectionClosed, ConnectionOpened};
use plugin_api::hosting::Instance;
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::outcome::{CancelReason, Outcome, PendingCall};
use crate::rows::check_notice;
use crate::stub::Asked;
use crate::who::Who;
use crate::world::{Emitted, LogLine, Stage, World};

/// A plugin that has been started. Dropping it stops it and checks that it left nothing behind.
pub struct Running {
    pub(crate) world: Arc<World>,
    data: TempDir,
    stopped: AtomicBool,
}

/// Asking it.
impl Running {
    /// Asks as [`Who::admin`], and waits for the final answer.
    #[track_caller]
    pub fn call(&self, method: &str, params: Value) -> Outcome {
        self.call_as(Who::admin(), method, params)
    }

    /// Asks as somebody, and waits for the final answer.
    #[track_caller]
    pub fn call_as(&self, who: Who, method: &str, params: Value) -> Outcome {
        self.begin_as(who, method, params).wait()
    }

    /// Asks as [`Who::admin`], and does not wait.
    pub fn begin(&self, method: &str, params: Value) -> PendingCall {
        self.begin_as(Who::admin(), method, params)
    }

    /// Asks as somebody, and does not wait.
    pub fn begin_as(&self, who: Who, method: &str, params: Value) -> PendingCall {
        let call = self.world.ask(who, method, &params);
        PendingCall { world: self.world.clone(), call, method: method.to_string() }
    }
}

/// Telling it.
impl Running {
    /// Publishes an event in the host's name, or in that of a plugin which is not there, and waits until every
    /// subscriber has heard it. Events of `host.*` have to fit the catalogue.
    #[track_caller]
    pub fn publish(&self, event: &str, payload: impl Serialize) {
        let payload = serde_json::to_value(payload).expect("the payload is JSON");
        if let Err(why) = check_notice(event, &payload) {
            panic!("the catalogue says otherwise of {event}: {why}");
        }
        {
            let mut state = self.world.change();
            self.world.publish(&mut state, event, &payload, None);
        }
        self.settle();
    }

    /// Opens a connection: from now on targeted events reach it, and `host.connection.opened` is told.
    #[track_caller]
    pub fn open_connection(&self, opened: &ConnectionOpened) {
        self.world.change().conns.insert(opened.connection.conn);
        self.publish("host.connection.opened", opened);
    }

    /// Closes a connection: its calls end, but for detached ones, and then `host.connection.closed` is told.
    #[track_caller]
    pub fn close_connection(&self, closed: &ConnectionClosed) {
        self.world.disconnect(closed.conn);
        self.publish("host.connection.closed", closed);
    }

    /// Moves virtual time, and waits until everything that was due has come to rest.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        self.world.advance(by);
        self.world.check();
    }

    /// Waits until nothing of the plugin runs and nothing is on its way to it.
    #[track_caller]
    pub fn settle(&self) {
        self.world.settle();
        self.world.check();
    }

    /// As [`Running::settle`], but leaves what was found to [`Running::take_violations`].
    #[track_caller]
    pub fn rest(&self) {
        self.world.settle();
    }

    /// From now on an extension, or `emit`, `log` or `reply` (but for errors), answers with this code instead of doing
    /// anything. What takes back (a timer, a subscription, an authority) or cuts off (an exchange) still works.
    pub fn refuse(&self, extension: &str, code: i32) {
        self.world.change().refused.insert(extension.to_string(), code);
    }

    /// Takes [`Running::refuse`] back. What an answer over HTTP could not write because the host was busy has room now.
    pub fn serve_again(&self, extension: &str) {
        self.world.change().refused.remove(extension);
        if extension == HTTP {
            self.world.http_writable();
        }
    }

    /// From now on every write of key-value state fails with this reason, as on a full disk.
    pub fn fail_writes(&self, why: &str) {
        self.world.change().kv_failure = Some(why.to_string());
    }

    /// Revokes every authority that is retained: later calls in its name are denied, and running ones end.
    pub fn revoke_authorities(&self) {
        let ended: Vec<u64> = {
            let mut state = self.world.change();
            state.principals.values_mut().for_each(|kept| kept.revoked = true);
            let borrowed =
                state.calls.iter().filter(|(_, call)| call.invoker.is_some() && call.who.caller.plugin.is_none());
            borrowed.map(|(id, _)| *id).collect()
        };
        ended.into_iter().for_each(|call| self.world.end(call, CancelReason::Revoked));
    }
}

/// Looking at what it did.
impl Running {
    /// Its manifest.
    pub fn manifest(&self) -> Manifest {
        Manifest::clone(&self.world.look().instances[0].manifest)
    }

    /// Everything published so far, in order.
    pub fn events(&self) -> Vec<Emitted> {
        self.world.look().emitted.clone()
    }

    /// Waits for the next event of this name that was not waited for yet.
    #[track_caller]
    pub fn wait_event(&self, name: &str) -> Emitted {
        let event = self.world.wait(&format!("the event {name}"), |state| {
            let seen = state.next_event.get(name).copied().unwrap_or(0);
            let event = state.emitted.iter().filter(|event| event.name == name).nth(seen)?.clone();
            state.next_event.insert(name.to_string(), seen + 1);
            Some(event)
        });
        self.world.check();
        event
    }

    /// Waits until the harness has seen what the test looks for.
    #[track_caller]
    pub fn wait_until(&self, what: &str, mut seen: impl FnMut(&Running) -> bool) {
        /// For what changes outside of the harness, and so wakes nobody in it.
        const LOOK_AGAIN: Duration = Duration::from_millis(20);
        let until = std::time::Instant::now() + self.world.patience;
        while !seen(self) {
            assert!(std::time::Instant::now() < until, "{what} did not come in time");
            let mut looked = false;
            self.world.wait_on(|_| if std::mem::replace(&mut looked, true) { Ok(()) } else { Err(LOOK_AGAIN) });
        }
        self.world.check();
    }

    /// The latest value of a part of the snapshot.
    pub fn snapshot(&self, key: &str) -> Option<Value> {
        self.world.look().snapshots.get(key).map(|(_, value)| value.clone())
    }

    /// How often a part of the snapshot was published.
    pub fn snapshot_version(&self, key: &str) -> u64 {
        self.world.look().snapshots.get(key).map_or(0, |(version, _)| *version)
    }

    /// What is under a key of its key-value state.
    pub fn kv(&self, key: &str) -> Option<String> {
        self.kv_entries().into_iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// Its key-value state, sorted by key.
    pub fn kv_entries(&self) -> Vec<(String, String)> {
        let state = self.world.look();
        state.kv.get(&state.id(0)).cloned().unwrap_or_default().into_iter().collect()
    }

    /// Every line of the log.
    pub fn logs(&self) -> Vec<LogLine> {
        self.world.look().logs.clone()
    }

    /// Every call to another method, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.world.look().asked.clone()
    }

    /// How many authorities are retained.
    pub fn retained(&self) -> usize {
        self.world.look().principals.len()
    }

    /// How many timers are set.
    pub fn timers(&self) -> usize {
        self.world.look().clock.set_by(0)
    }

    /// How many subscriptions are in force.
    pub fn subscriptions(&self) -> usize {
        self.world.look().listeners().count()
    }

    /// The folder that `Setup::data_dir` gives.
    pub fn data_dir(&self) -> PathBuf {
        let state = self.world.look();
        self.data.path().join(state.id(0))
    }

    /// Takes what would fail the test, for tests that mean it to happen.
    pub fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut self.world.look().violations)
    }
}

/// Ending it.
impl Running {
    pub(crate) fn new(world: Arc<World>, data: TempDir) -> Self {
        Running { world, data, stopped: AtomicBool::new(false) }
    }

    /// Tells it to begin no work of its own any more, and waits for it. A second time does nothing.
    #[track_caller]
    pub fn quiesce(&self) {
        self.quiesce_one(0);
        self.world.check();
    }

    /// Ends its calls, stops it, destroys it, and checks that it gave everything back and is silent. Plugins beside it
    /// are stopped after it. A second time does nothing.
    #[track_caller]
    pub fn stop(&self) {
        if self.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        let plugins = self.world.look().instances.len();
        for plugin in 0..plugins {
            self.stop_one(plugin);
        }
        self.end_world();
        self.world.check();
    }

    #[track_caller]
    fn stop_one(&self, plugin: usize) {
        let Some(instance) = self.world.look().instances[plugin].instance.clone() else { return };
        self.quiesce_one(plugin);
        self.world.end_calls_of(plugin, CancelReason::Stop);
        self.world.settle_workers();
        self.finish("stop", |done| instance.stop(done));
        // At once, as a gateway would: whatever still runs after `stop` said done shows itself here.
        {
            let mut state = self.world.change();
            state.instances[plugin].stage = Stage::Destroyed;
            state.instances[plugin].instance = None;
        }
        match Arc::try_unwrap(instance) {
            Ok(instance) => instance.destroy(),
            Err(_) => panic!("`stop` said done while a call was being handed over"),
        }
        self.world.settle();
        let mut state = self.world.change();
        let left = [
            (state.clock.set_by(plugin), "timers"),
            (state.listeners().filter(|listener| listener.plugin == plugin).count(), "subscriptions"),
            (state.principals.values().filter(|kept| kept.plugin == plugin).count(), "authorities"),
            (state.calls.values().filter(|call| call.invoker == Some(plugin)).count(), "calls to others"),
        ];
        for (count, what) in left.into_iter().filter(|(count, _)| *count > 0) {
            state.blame(plugin, format_args!("left {count} {what} behind when it was destroyed"));
        }
    }

    #[track_caller]
    fn quiesce_one(&self, plugin: usize) {
        let first = !std::mem::replace(&mut self.world.change().instances[plugin].quiesced, true);
        let instance = self.world.look().instances[plugin].instance.clone().filter(|_| first);
        if let Some(instance) = instance {
            self.finish("quiesce", |done| instance.quiesce(done));
        }
        self.world.settle_workers();
    }

    /// Waits until the plugin says that it is done. Virtual time runs as far as it has to for that.
    #[track_caller]
    fn finish(&self, what: &str, begin: impl FnOnce(Box<dyn FnOnce() + Send>)) {
        let done = Arc::new(AtomicBool::new(false));
        let (seen, world) = (done.clone(), self.world.clone());
        begin(Box::new(move || {
            seen.store(true, Ordering::Release);
            drop(world.change());
        }));
        loop {
            self.world.settle_workers();
            // A blocking job may be what it waits for, and ends when it ends.
            let waiting = !done.load(Ordering::Acquire) && !self.world.pool.is_blocking();
            if !waiting || !self.world.fire_next() {
                break;
            }
        }
        self.world.wait(&format!("the end of `{what}`"), |_| done.load(Ordering::Acquire).then_some(()));
    }

    /// Lets it be, whatever state it is in.
    pub(crate) fn abandon(&self) {
        self.stopped.store(true, Ordering::Release);
        self.end_world();
    }

    fn end_world(&self) {
        self.world.change().ended = true;
        self.world.pool.close();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.end_world();
        } else {
            self.stop();
        }
    }
}

/// So that the compiler says here, and not in a test, when an instance can no longer be shared.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Running>();
    shared::<Instance>();
};
