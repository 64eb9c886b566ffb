//! The host as one plugin instance sees it: what stands behind the C table the instance was given.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use plugin_api::abi::*;
use plugin_api::hosting::{EmittedEvent, HostServices, Invocation, Job, KvWrite, Sink, Told};
use schemas::ErrorShape;
use serde_json::json;
use serde_json::value::RawValue;

use crate::answer::Asker;
use crate::dispatch::{self, Start};
use crate::gateway::Gateway;
use crate::handover::Kind;
use crate::holdings::{Held, Holdings};
use crate::plugin::RunningPlugin;
use crate::plugin_books::{Account, Invoked, Retained};
use crate::registry::Handler;
use crate::snapshot::Unpublished;
use crate::store::kv::{KvError, KvOp, KvOutcome};
use crate::timers::Timers;
use crate::{events, frames, grants, handover, plugins};

/// The target in the log of what plugins say.
pub const LOG: &str = "clawhost::plugin";

/// What a plugin names as the target of a line that says that it panicked: its glue does so where a panic is caught, and in
/// a library where it happens.
const PANIC: &str = "panic";

/// How many calls made for one call are noted before those that are over are forgotten.
const CHILDREN: usize = 256;

/// One instance's view of the host, until it is cut off: what an instance says after its end gets `GWP_GONE`.
pub struct HostSide {
    /// Behind an atomic pointer rather than two weak ones: looking at it touches no count that all workers share.
    link: ArcSwapOption<Link>,
    timers: Arc<Timers>,
    /// What is kept for the instance.
    holdings: Holdings,
    /// Whether `create` has returned. Before that an instance has no effects, and none of its jobs runs.
    is_created: AtomicBool,
    /// Jobs that wait for that.
    waiting: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

/// Both ends of the view. It holds them alive, so whoever ends an instance cuts it off.
struct Link {
    gateway: Arc<Gateway>,
    plugin: Arc<RunningPlugin>,
}

impl HostSide {
    /// The view of an instance of this plugin.
    pub fn new(gateway: &Arc<Gateway>, plugin: &Arc<RunningPlugin>) -> Arc<Self> {
        Arc::new(HostSide {
            link: ArcSwapOption::from_pointee(Link { gateway: gateway.clone(), plugin: plugin.clone() }),
            timers: Arc::default(),
            holdings: Holdings::new(gateway.limits(), &gateway.metrics),
            is_created: AtomicBool::new(false),
            waiting: Mutex::default(),
        })
    }

    /// `create` has returned: what it asked for runs now, and from here on the instance may have effects.
    pub fn created(&self) {
        let waiting = {
            let mut waiting = lock(&self.waiting);
            self.is_created.store(true, Ordering::Release);
            std::mem::take(&mut *waiting)
        };
        waiting.into_iter().for_each(|job| job());
    }

    /// From now on the instance hears `GWP_GONE`. Timers that wait are forgotten: their jobs never run.
    pub fn cut_off(&self) {
        self.link.store(None);
        lock(&self.waiting).clear();
        self.timers.clear();
    }

    /// Runs this with both ends, or answers that they are gone.
    fn with(&self, body: impl FnOnce(&Arc<Gateway>, &Arc<RunningPlugin>) -> i32) -> i32 {
        match &*self.link.load() {
            Some(link) => body(&link.gateway, &link.plugin),
            None => GWP_GONE,
        }
    }

    fn both(&self) -> Option<(Arc<Gateway>, Arc<RunningPlugin>)> {
        self.link.load().as_ref().map(|link| (link.gateway.clone(), link.plugin.clone()))
    }

    /// Both ends, for something that has an effect, which `create` must not have: it may yet fail, or be for a plugin whose
    /// instance before it goes on.
    fn live(&self, what: &str) -> Result<(Arc<Gateway>, Arc<RunningPlugin>), i32> {
        let both = self.both().ok_or(GWP_GONE)?;
        if self.is_created.load(Ordering::Acquire) {
            return Ok(both);
        }
        tracing::warn!(
            plugin = &*both.1.id,
            what,
            "refused within `create`, which has no effects; `start` is for them"
        );
        Err(GWP_DENIED)
    }

    /// Runs this once `create` has returned, which is nearly always now.
    fn when_created(&self, job: impl FnOnce() + Send + 'static) {
        if !self.is_created.load(Ordering::Acquire) {
            let mut waiting = lock(&self.waiting);
            if !self.is_created.load(Ordering::Acquire) {
                // Of an instance that came to nothing no job is kept.
                if self.link.load().is_some() {
                    waiting.push(Box::new(job));
                }
                return;
            }
        }
        job();
    }

    /// On whose account an invocation runs.
    fn account_of(&self, gateway: &Gateway, plugin: &RunningPlugin, asked: u64) -> Result<Account, i32> {
        let (own_grants, principal) = (asked & GWP_OWN_GRANTS != 0, asked & !GWP_OWN_GRANTS);
        if principal == 0 {
            let (authority, depth) = (plugin.authority.clone(), handover::ambient_depth());
            return Ok(Account { authority, depth, parent: None, traceparent: None });
        }
        let principals = lock(&gateway.plugin_books.principals);
        let retained =
            principals.get(&principal).filter(|retained| retained.plugin == plugin.number).ok_or(GWP_GONE)?;
        if retained.authority.is_revoked() {
            return Err(GWP_DENIED);
        }
        Ok(Account {
            authority: if own_grants { plugin.authority.clone() } else { retained.authority.clone() },
            depth: retained.depth + 1,
            parent: Some(retained.call),
            traceparent: retained.traceparent.clone(),
        })
    }

    /// Checks a call of the plugin's and makes it on a task of its own.
    fn begin_invocation(&self, invocation: Invocation<'_>, sink: Sink, tell: Told<'_>) -> Result<(), i32> {
        let (gateway, plugin) = self.live("invoke")?;
        let Account { authority, depth, parent, traceparent } =
            self.account_of(&gateway, &plugin, invocation.authority)?;
        if !grants::any_matches(&plugin.may_invoke, invocation.method) {
            tracing::warn!(plugin = &*plugin.id, method = invocation.method, "a call that the plugin is not granted");
            return Err(GWP_DENIED);
        }
        let method = gateway.registry.load().method(invocation.method).cloned().ok_or(GWP_NOT_FOUND)?;
        let params = if invocation.params.is_empty() { b"{}" } else { invocation.params };
        let params = std::str::from_utf8(params).map_err(|_| GWP_INVALID)?;
        serde_json::from_str::<&RawValue>(params).map_err(|_| GWP_INVALID)?;
        let held = self.holdings.invokes.one_more(&plugin.id)?;

        let number = gateway.calls.next_number();
        tell(number);
        let mailbox = gateway.plugin_books.mailbox(sink, &plugin);
        mailbox.count(held);
        lock(&gateway.plugin_books.invocations)
            .insert(number, Invoked { plugin: plugin.number, mailbox: mailbox.clone(), is_over: false });
        if let Some(parent) = parent {
            // The parent may be over already: a run that outlives its call goes on calling.
            gateway.calls.with(parent, |parent| {
                parent.children.push(number);
                // A run that makes many calls, one after the other, keeps no list of them all.
                if parent.children.len().is_multiple_of(CHILDREN) {
                    parent.children.retain(|child| gateway.plugin_books.is_wanted(*child));
                }
            });
        }
        let asker = Asker::Plugin { mailbox, gateway: Arc::downgrade(&gateway), number };
        let timeout_ms = Some(invocation.timeout_ms);
        let (params, conn) = (params.to_string(), 0);
        // On a task of its own: the other plugin must not run inside this one's call to the host.
        gateway.runtime.clone().spawn(async move {
            let start = Start {
                method: &method,
                params: &params,
                asker,
                authority,
                conn,
                depth,
                timeout_ms,
                slot: None,
                number,
                traceparent,
            };
            if gateway.plugin_books.is_wanted(number) {
                dispatch::start_invocation(&gateway, start);
            } else {
                let mut asker = start.asker;
                asker.refuse(&dispatch::ended());
            }
            // It may have been cancelled when there was nothing to end yet.
            if !gateway.plugin_books.is_wanted(number) {
                dispatch::end(&gateway, number, GWP_CANCEL_ASKED, &dispatch::ended());
            }
        });
        Ok(())
    }
}

impl HostServices for HostSide {
    fn offers(&self, id: &str) -> bool {
        let Some((gateway, plugin)) = self.both() else { return false };
        let drafts = gateway.live.load().gateway.plugins.allow_draft_extensions;
        plugins::offers(id, plugin.origin, drafts)
    }

    fn reply(&self, call: gwp_call, kind: i32, json: &[u8]) -> i32 {
        self.with(|gateway, plugin| dispatch::reply(gateway, plugin, call, kind, json))
    }

    fn emit(&self, event: EmittedEvent<'_>) -> i32 {
        match self.live("emit") {
            Ok((gateway, plugin)) => events::emit(&gateway, &plugin, event),
            Err(code) => code,
        }
    }

    fn log(&self, level: i32, target: &str, message: &str, fields: &str) -> i32 {
        let link = self.link.load();
        let Some(plugin) = link.as_ref().map(|link| &*link.plugin.id) else { return GWP_GONE };
        let [target, message, fields] = [target, message, fields].map(frames::one_line);
        let (target, fields) = (&*target, &*fields);
        if level == 1 && target == PANIC {
            handover::panic_said();
        }
        match level {
            1 => tracing::error!(target: LOG, plugin, about = target, fields, "{message}"),
            2 => tracing::warn!(target: LOG, plugin, about = target, fields, "{message}"),
            3 => tracing::info!(target: LOG, plugin, about = target, fields, "{message}"),
            4 => tracing::debug!(target: LOG, plugin, about = target, fields, "{message}"),
            _ => tracing::trace!(target: LOG, plugin, about = target, fields, "{message}"),
        }
        GWP_OK
    }

    fn soon(&self, job: Job) -> i32 {
        let Some((_, plugin)) = self.both() else { return GWP_GONE };
        let held = match self.holdings.jobs.one_more(&plugin.id) {
            Ok(held) => held,
            Err(code) => return code,
        };
        self.when_created(move || {
            let place = plugin.place.clone();
            place.run(move || run_for(plugin, Kind::Job, job, held));
        });
        GWP_OK
    }

    fn after(&self, ms: u64, job: Job, tell: Told<'_>) -> i32 {
        let Some((gateway, plugin)) = self.both() else { return GWP_GONE };
        let held = match self.holdings.timers.one_more(&plugin.id) {
            Ok(held) => held,
            Err(code) => return code,
        };
        let number = gateway.calls.next_number();
        tell(number);
        let (place, instance) = (plugin.place.clone(), plugin.clone());
        let due = Box::new(move || instance.place.clone().run_here(move || run_for(instance, Kind::Timer, job, held)));
        // Looked at with the timers locked: whoever cuts the instance off does that first, and clears the timers then.
        if !self.timers.set(number, Duration::from_millis(ms), due, || self.link.load().is_some()) {
            tell(0);
            return GWP_GONE;
        }
        let timers = self.timers.clone();
        self.when_created(move || timers.keep(place.worker_threads()));
        GWP_OK
    }

    fn cancel_timer(&self, timer: u64) -> i32 {
        if self.timers.cancel(timer) { GWP_OK } else { GWP_GONE }
    }

    fn blocking(&self, job: Job) -> i32 {
        let Some((_, plugin)) = self.both() else { return GWP_GONE };
        if !plugin.place.can_block() {
            return GWP_BUSY;
        }
        let held = match self.holdings.blocking.one_more(&plugin.id) {
            Ok(held) => held,
            Err(code) => return code,
        };
        self.when_created(move || {
            let place = plugin.place.clone();
            place.run_blocking(move || run_for(plugin, Kind::Blocking, job, held));
        });
        GWP_OK
    }

    fn invoke(&self, invocation: Invocation<'_>, sink: Sink, number: Told<'_>) -> i32 {
        self.begin_invocation(invocation, sink, number).err().unwrap_or(GWP_OK)
    }

    fn cancel_invoke(&self, call: gwp_call) -> i32 {
        let Some((gateway, plugin)) = self.both() else { return GWP_GONE };
        let mailbox = {
            let mut invocations = lock(&gateway.plugin_books.invocations);
            match invocations.get(&call) {
                Some(invoked) if invoked.plugin == plugin.number => {
                    invocations.remove(&call).map(|invoked| invoked.mailbox)
                }
                _ => None,
            }
        };
        let Some(mailbox) = mailbox else { return GWP_GONE };
        let ended = ErrorShape::unavailable("the call was cancelled by the plugin that made it");
        let code = mailbox.end(GWP_ERROR, serde_json::to_vec(&ended).unwrap_or_default().into());
        dispatch::end_soon(&gateway, call, GWP_CANCEL_ASKED);
        code
    }

    fn kv_get(&self, key: &str, sink: &mut dyn FnMut(i32, &[u8])) -> i32 {
        let Some((gateway, plugin)) = self.both() else { return GWP_GONE };
        match gateway.kv.get(&plugin.id, key) {
            Some(value) => sink(GWP_SINK_FOUND, value.as_bytes()),
            None => sink(GWP_SINK_ABSENT, b""),
        }
        GWP_OK
    }

    fn kv_scan(&self, prefix: &str, sink: &mut dyn FnMut(i32, &[u8])) -> i32 {
        let Some((gateway, plugin)) = self.both() else { return GWP_GONE };
        for (key, value) in gateway.kv.scan(&plugin.id, prefix) {
            sink(GWP_SINK_ENTRY, json!({ "key": key, "value": &*value }).to_string().as_bytes());
        }
        sink(GWP_SINK_END, b"");
        GWP_OK
    }

    fn kv_write(&self, ops: &[KvWrite<'_>], durable: Sink) -> i32 {
        let (gateway, plugin) = match self.live("kv.write") {
            Ok(both) => both,
            Err(code) => return code,
        };
        let ops = ops.iter().map(|op| {
            let write = match op.value {
                Some(value) => KvOp::set(op.key, value),
                None => KvOp::delete(op.key),
            };
            match (op.if_absent, op.if_equal) {
                (true, _) => write.if_absent(),
                (false, Some(expected)) => write.if_equal(expected),
                (false, None) => write,
            }
        });
        let held = match self.holdings.jobs.one_more(&plugin.id) {
            Ok(held) => held,
            Err(code) => return code,
        };
        let mailbox = gateway.plugin_books.mailbox(durable, &plugin);
        mailbox.count(held);
        let told = mailbox.clone();
        let written = gateway.kv.write(
            &plugin.id,
            ops.collect(),
            Box::new(move |outcome| match outcome {
                KvOutcome::Durable => told.send(GWP_SINK_DURABLE, (*b"").into()),
                KvOutcome::Failed(why) => told.send(GWP_SINK_FAILED, why.as_bytes().into()),
            }),
        );
        match written {
            Ok(()) => GWP_OK,
            Err(KvError::Conflict { present, .. }) => {
                mailbox.send(GWP_SINK_CONFLICT, present.as_deref().unwrap_or("").as_bytes().into());
                GWP_OK
            }
            Err(KvError::TooLarge { .. }) => {
                gateway.metrics.limit_hit("kv_bytes");
                GWP_TOO_LARGE
            }
            Err(KvError::Store(_)) => GWP_BUSY,
        }
    }

    fn subscribe(&self, pattern: &str, sink: Sink, tell: Told<'_>) -> i32 {
        let (gateway, plugin) = match self.live("events.subscribe") {
            Ok(both) => both,
            Err(code) => return code,
        };
        if !grants::covers_pattern(&plugin.may_hear, pattern) {
            tracing::warn!(plugin = &*plugin.id, pattern, "a subscription that the plugin is not granted");
            return GWP_DENIED;
        }
        let held = match self.holdings.subscriptions.one_more(&plugin.id) {
            Ok(held) => held,
            Err(code) => return code,
        };
        let number = gateway.calls.next_number();
        tell(number);
        let mailbox = gateway.plugin_books.mailbox(sink, &plugin);
        mailbox.count(held);
        gateway.subscriptions.add(&gateway.connections, number, plugin.number, pattern, mailbox);
        GWP_OK
    }

    fn unsubscribe(&self, subscription: u64) -> i32 {
        let Some((gateway, plugin)) = self.both() else { return GWP_GONE };
        gateway.subscriptions.remove(subscription, plugin.number)
    }

    fn caller(&self, call: gwp_call, sink: &mut dyn FnMut(i32, &[u8])) -> i32 {
        let Some((gateway, plugin)) = self.both() else { return GWP_GONE };
        let authority = gateway.calls.with(call, |open| is_theirs(open, &plugin).then(|| open.authority.clone()));
        match authority.flatten() {
            Some(authority) => {
                sink(GWP_SINK_CALLER, authority.record());
                GWP_OK
            }
            None => GWP_GONE,
        }
    }

    fn retain(&self, call: gwp_call) -> Result<gwp_principal, i32> {
        let (gateway, plugin) = self.both().ok_or(GWP_GONE)?;
        let found = gateway.calls.with(call, |open| {
            is_theirs(open, &plugin).then(|| (open.authority.clone(), open.depth, open.traceparent.clone()))
        });
        let (authority, depth, traceparent) = found.flatten().ok_or(GWP_GONE)?;
        let held = self.holdings.principals.one_more(&plugin.id)?;
        let number = gateway.calls.next_number();
        let mut principals = lock(&gateway.plugin_books.principals);
        if principals.len() >= gateway.limits().max_principals {
            gateway.metrics.limit_hit("max_principals");
            return Err(GWP_BUSY);
        }
        principals.insert(number, Retained { plugin: plugin.number, authority, call, depth, traceparent, held });
        Ok(number)
    }

    fn release(&self, principal: gwp_principal) -> i32 {
        let Some((gateway, plugin)) = self.both() else { return GWP_GONE };
        let mut principals = lock(&gateway.plugin_books.principals);
        match principals.get(&principal) {
            Some(retained) if retained.plugin == plugin.number => {
                principals.remove(&principal);
                GWP_OK
            }
            _ => GWP_GONE,
        }
    }

    fn publish(&self, key: &str, json: &[u8]) -> i32 {
        let (gateway, plugin) = match self.live("snapshot.publish") {
            Ok(both) => both,
            Err(code) => return code,
        };
        if json.len() > gateway.limits().max_snapshot_bytes {
            gateway.metrics.limit_hit("max_snapshot_bytes");
            return GWP_TOO_LARGE;
        }
        let serves = |id: &str| gateway.registry.load().plugin(id).is_some();
        match gateway.snapshot.publish(key, json, &plugin.id, serves) {
            Ok(()) => GWP_OK,
            Err(Unpublished::NoSuchPart) => GWP_NOT_FOUND,
            Err(Unpublished::Shape) => GWP_INVALID,
            Err(Unpublished::Owned(owner)) => {
                tracing::warn!(
                    plugin = &*plugin.id,
                    key,
                    owner = &*owner,
                    "a part of hello-ok that another plugin keeps"
                );
                GWP_DENIED
            }
        }
    }

    fn http_head(&self, exchange: gwp_exchange, status: u32, headers: &[u8]) -> i32 {
        self.with(|gateway, plugin| gateway.exchanges.head(plugin.number, exchange, status, headers))
    }

    fn http_write(&self, exchange: gwp_exchange, kind: i32, data: &[u8]) -> i32 {
        self.with(|gateway, plugin| gateway.exchanges.write(plugin.number, exchange, kind, data))
    }

    fn http_end(&self, exchange: gwp_exchange, code: u32, reason: &str) -> i32 {
        self.with(|gateway, plugin| gateway.exchanges.end(plugin.number, exchange, code, reason))
    }

    fn http_read(&self, exchange: gwp_exchange, bytes: u64) -> i32 {
        self.with(|gateway, plugin| gateway.exchanges.read(plugin.number, exchange, bytes))
    }

    fn http_abort(&self, exchange: gwp_exchange) -> i32 {
        self.with(|gateway, plugin| gateway.exchanges.abort(plugin.number, exchange))
    }
}

/// Runs a job of an instance, which is freed after it at the earliest. It counts until now: whoever sets the next one from
/// within it has room.
fn run_for(plugin: Arc<RunningPlugin>, kind: Kind, job: Job, held: Held) {
    drop(held);
    plugin.visit(kind, || job.run());
    drop(plugin);
}

fn is_theirs(call: &crate::calls::OpenCall, plugin: &RunningPlugin) -> bool {
    matches!(&call.method.handler, Handler::Plugin(own) if own.number == plugin.number)
}

/// What a mutex holds, whoever has panicked while it was locked.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
