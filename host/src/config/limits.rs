//! `[gateway.limits]`: one key a limit, each with the range in which the gateway still works.

use std::ops::RangeInclusive;

use schemas::protocol::{self, Version};

use super::file::Values;
use super::keys::{Fallback, Key, Kind};

/// Declares the struct, its keys and the way from one to the other, so that a limit is written down once.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr, $range:expr;)+) => {
        /// The limits that hold for this gateway. Names are those of the keys; `…_ms` are milliseconds.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Limits { $($name: $default as $type,)+ }
            }
        }

        /// The keys of the table.
        pub(super) const KEYS: &[Key] = &[$(Key {
            path: concat!("gateway.limits.", stringify!($name)),
            kind: whole($range),
            fallback: Fallback::Whole($default as u64),
            doc: concat!($($doc),+),
        },)+];

        impl Limits {
            pub(super) fn read(values: &Values) -> Self {
                Limits { $($name: values.whole(concat!("gateway.limits.", stringify!($name))) as $type,)+ }
            }
        }
    };
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const DAY_MS: u64 = 86_400_000;
/// How deep calls between plugins may nest at most, whatever is configured; the plugin boundary promises it.
const DEEPEST_INVOKE: u64 = 8;

limits! {
    /// Largest inbound message after authentication, in bytes.
    max_payload: usize = protocol::MAX_PAYLOAD, KIB..=256 * MIB;
    /// The same of clients that speak protocol 4: photos and recordings come in one message.
    max_payload_4: usize = 25 * MIB, KIB..=256 * MIB;
    /// Bytes a connection may send before it is authenticated.
    max_preauth_bytes: usize = protocol::MAX_PREAUTH_BYTES, KIB..=16 * MIB;
    /// Bytes waiting for one connection above which it is slow: droppable events are left out and it is not read.
    max_buffered_bytes: usize = protocol::MAX_BUFFERED_BYTES, KIB..=1024 * MIB;
    /// Bytes waiting for one connection at which it is closed, whatever waits.
    max_buffered_hard_bytes: usize = 16 * MIB, KIB..=4096 * MIB;
    /// Bytes waiting for all connections together at which whoever is to be sent more is closed.
    max_buffered_total_bytes: usize = 256 * MIB, KIB..=65_536 * MIB;
    /// Largest payload a plugin may answer or publish, in bytes.
    max_outbound_bytes: usize = 16 * MIB, KIB..=1024 * MIB;
    /// Open connections.
    max_connections: usize = 20_000, 1..=1_000_000;
    /// Connections that have not authenticated yet, and as many sockets that have not sent a request yet. An eighth of them
    /// is kept for clients that come from this machine directly.
    max_pending_handshakes: usize = 512, 1..=1_000_000;
    /// Of these, connections and sockets of one address. Clients that come from this machine directly are not counted.
    max_pending_handshakes_per_ip: usize = 64, 1..=1_000_000;
    /// Time from accepting a socket to an accepted connect.
    handshake_timeout_ms: u64 = protocol::HANDSHAKE_TIMEOUT_MS, 50..=600_000;
    /// Calls of one connection that run at once.
    max_in_flight: usize = 128, 1..=100_000;
    /// Calls into one plugin that run at once, and calls of it that wait for a thread of its own, even if they are over by then.
    max_plugin_in_flight: usize = 4_096, 1..=1_000_000;
    /// Events and interim answers that wait for one subscription or call of a plugin; what comes then is lost to it.
    plugin_backlog_events: usize = 16_384, 1..=1_000_000;
    /// The same in bytes.
    plugin_backlog_bytes: usize = 16 * MIB, KIB..=4096 * MIB;
    /// Timers of one plugin that wait for their time.
    max_plugin_timers: usize = 65_536, 1..=10_000_000;
    /// Jobs of one plugin that wait for a thread, and writes to its state that it has heard no outcome of; as many more of the
    /// jobs that may block.
    max_plugin_jobs: usize = 65_536, 1..=10_000_000;
    /// Calls that one plugin makes at once, of other plugins and of the gateway.
    max_plugin_invokes: usize = 32_768, 1..=1_000_000;
    /// Subscriptions of one plugin to events.
    max_plugin_subscriptions: usize = 1_024, 1..=1_000_000;
    /// Callers' rights that plugins keep beyond the calls, all together.
    max_principals: usize = 65_536, 1..=10_000_000;
    /// Of these, those of one plugin.
    max_plugin_principals: usize = 16_384, 1..=10_000_000;
    /// Largest part of the snapshot in hello-ok that a plugin may publish, in bytes.
    max_snapshot_bytes: usize = MIB, KIB..=64 * MIB;
    /// Refused calls, and calls with wrong parameters, that drain away within refused_window_ms. A connection with half as
    /// many is read more slowly, one with more is closed.
    max_refused_calls: usize = 100, 1..=1_000_000;
    /// The time in which max_refused_calls are forgotten.
    refused_window_ms: u64 = 60_000, 50..=DAY_MS;
    /// Wrong secrets from one address, within auth_failure_window_ms, that lock it out.
    auth_failures: usize = 10, 1..=1_000_000;
    /// The window in which wrong secrets are counted.
    auth_failure_window_ms: u64 = 60_000, 50..=DAY_MS;
    /// How long an address stays locked out.
    auth_lockout_ms: u64 = 300_000, 50..=DAY_MS;
    /// Setup codes that wait to be used.
    max_setup_codes: usize = 32, 1..=10_000;
    /// HTTP requests and WebSockets that plugins answer at once. An eighth of them is kept for clients that come from this
    /// machine directly.
    max_http_exchanges: usize = 1_024, 1..=1_000_000;
    /// Of these, those of one address. Clients that come from this machine directly are not counted.
    max_http_exchanges_per_ip: usize = 128, 1..=1_000_000;
    /// Largest body of a request to a plugin, and largest message on a WebSocket of a plugin, in bytes, whatever its
    /// manifest says.
    max_http_body_bytes: usize = 64 * MIB, KIB..=4096 * MIB;
    /// Bytes of a plugin's answer that wait for one client; a plugin that writes more is told to wait.
    max_http_buffered_bytes: usize = 256 * KIB, KIB..=1024 * MIB;
    /// Time in which nothing of a body moves, either way, after which it is given up.
    http_stall_ms: u64 = 30_000, 50..=DAY_MS;
    /// How long an HTTP connection is kept open for another request.
    http_keep_alive_ms: u64 = 10_000, 0..=600_000;
    /// How long an address with a capability is good when its device has gone, or has asked for a fresh one.
    surface_ttl_ms: u64 = 600_000, 0..=DAY_MS;
    /// Time between two tick events.
    tick_interval_ms: u64 = protocol::TICK_INTERVAL_MS, 50..=3_600_000;
    /// Time between two pings of a connection of protocol 4. One that has sent nothing by the next is closed.
    ping_interval_ms: u64 = protocol::PING_INTERVAL_MS, 50..=3_600_000;
    /// Time a method may take unless its manifest says otherwise.
    method_timeout_ms: u64 = 60_000, 10..=DAY_MS;
    /// How long an answer is kept for its idempotency key.
    idempotency_ttl_ms: u64 = 300_000, 50..=30 * DAY_MS;
    /// Answers kept for idempotency keys.
    idempotency_entries: usize = 10_000, 1..=10_000_000;
    /// Largest answer kept for an idempotency key, in bytes; of a larger one only that it was given.
    idempotency_answer_bytes: usize = 256 * KIB, 0..=64 * MIB;
    /// Bytes of key-value state one plugin may keep.
    kv_bytes: usize = MIB, 0..=1024 * MIB;
    /// Time given to the last frames and the close frame before a socket is dropped.
    close_grace_ms: u64 = 1_000, 0..=60_000;
    /// Time that one who fell behind has to take what is queued for it, and its close.
    slow_close_ms: u64 = 15_000, 0..=600_000;
    /// Time after which the log names what of a plugin keeps a worker, or a thread of its own.
    worker_stall_ms: u64 = 100, 10..=60_000;
    /// How deep calls between plugins may nest.
    invoke_depth: usize = DEEPEST_INVOKE, 1..=DEEPEST_INVOKE;
    /// Time given to running calls when the gateway stops.
    drain_ms: u64 = 5_000, 0..=600_000;
}

const fn whole(range: RangeInclusive<u64>) -> Kind {
    Kind::Whole { min: *range.start(), max: *range.end() }
}

impl Limits {
    /// The largest inbound message of a client that speaks this version: the limit's name, and bytes.
    pub fn max_payload_of(&self, version: Version) -> (&'static str, usize) {
        match version {
            Version::V3 => ("max_payload", self.max_payload),
            Version::V4 => ("max_payload_4", self.max_payload_4),
        }
    }

    /// What is wrong between limits that are each in range: key, and what would be right.
    pub(super) fn contradictions(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.max_buffered_hard_bytes < self.max_buffered_bytes {
            let right = format!("at least max_buffered_bytes ({}) is needed", self.max_buffered_bytes);
            found.push(("gateway.limits.max_buffered_hard_bytes", right));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_lies_in_its_range() {
        for key in KEYS {
            let (Kind::Whole { min, max }, Fallback::Whole(default)) = (key.kind, key.fallback) else {
                panic!("{} is not a number", key.path)
            };
            assert!((min..=max).contains(&default), "{}", key.path);
        }
    }
}
