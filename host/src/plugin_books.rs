//! What plugins keep of their callers, and the calls that they make for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use plugin_api::abi::GWP_CANCEL_ASKED;
use plugin_api::hosting::Sink;

use crate::authority::Authority;
use crate::calls::Traceparent;
use crate::dispatch;
use crate::gateway::Gateway;
use crate::holdings::Held;
use crate::host_side::lock;
use crate::mailbox::{Ear, Mailbox, Room};
use crate::plugin::RunningPlugin;

/// A call that a plugin made.
pub struct Invoked {
    /// The number of the instance.
    pub plugin: u64,
    /// What hears the answer.
    pub mailbox: Arc<Mailbox>,
    /// The call it was made for is over, and so is this one, whether it has been made yet or not.
    pub is_over: bool,
}

/// A caller's authority that a plugin keeps.
pub struct Retained {
    /// The number of the instance.
    pub plugin: u64,
    /// Whose.
    pub authority: Arc<Authority>,
    /// The call it came with.
    pub call: u64,
    /// How deep that was.
    pub depth: usize,
    /// The trace of that.
    pub traceparent: Option<Traceparent>,
    /// Counts it.
    pub held: Held,
}

/// What an invocation stands on.
pub struct Account {
    /// Whose rights it runs with.
    pub authority: Arc<Authority>,
    /// How deep it is.
    pub depth: usize,
    /// The call it ends with.
    pub parent: Option<u64>,
    /// The trace of that call.
    pub traceparent: Option<Traceparent>,
}

/// Authorities that plugins keep, and calls that plugins make.
pub struct PluginBooks {
    /// By the number that a plugin knows each by.
    pub principals: Mutex<HashMap<u64, Retained>>,
    /// By the number of the call.
    pub invocations: Mutex<HashMap<u64, Invoked>>,
    /// Of every mailbox.
    room: Room,
}

impl PluginBooks {
    /// Empty ones, for mailboxes with this much room.
    pub fn new(room: Room) -> Self {
        PluginBooks { principals: Mutex::default(), invocations: Mutex::default(), room }
    }

    /// A mailbox in front of a sink of this plugin.
    pub fn mailbox(&self, sink: Sink, plugin: &Arc<RunningPlugin>) -> Arc<Mailbox> {
        self.mailbox_of(Ear::Sink(sink), plugin)
    }

    /// A mailbox in front of what this plugin hears with.
    pub fn mailbox_of(&self, ear: Ear, plugin: &Arc<RunningPlugin>) -> Arc<Mailbox> {
        Mailbox::new(ear, plugin.clone(), self.room.clone())
    }

    /// Forgets all that an instance kept and called, and ends those calls: whoever answers one finds nobody.
    pub fn instance_ended(&self, gateway: &Arc<Gateway>, instance: u64) {
        lock(&self.principals).retain(|_, retained| retained.plugin != instance);
        let ended: Vec<_> = lock(&self.invocations).extract_if(|_, invoked| invoked.plugin == instance).collect();
        for (number, invoked) in ended {
            invoked.mailbox.close();
            dispatch::end_soon(gateway, number, GWP_CANCEL_ASKED);
        }
    }

    /// Notes that a call which has perhaps not been made yet is over.
    pub fn mark_over(&self, number: u64) {
        if let Some(invoked) = lock(&self.invocations).get_mut(&number) {
            invoked.is_over = true;
        }
    }

    /// Whether an invocation is still wanted: neither cancelled, nor made for a call or by an instance that has ended.
    pub fn is_wanted(&self, number: u64) -> bool {
        lock(&self.invocations).get(&number).is_some_and(|invoked| !invoked.is_over)
    }

    /// Takes an invocation out, which only one succeeds in: whoever does says the last word to its sink.
    pub fn end_invocation(&self, number: u64) -> bool {
        lock(&self.invocations).remove(&number).is_some()
    }

    /// Ends what plugins keep of authorities for which this holds.
    pub fn revoke(&self, which: impl Fn(&Authority) -> bool) {
        for retained in lock(&self.principals).values().filter(|retained| which(&retained.authority)) {
            retained.authority.revoke();
        }
    }
}
