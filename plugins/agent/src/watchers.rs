//! Who is shown what tools a run uses: clients of protocol 4 with the capability `tool-events`, each the runs it began and
//! those that went on in the same session then. All others are shown it where the session is verbose.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_api::catalogue::ConnectionClosed;
use plugin_api::{Call, Caller, HeardEvent};
use serde::Deserialize;

/// What a client says that wants to be shown tools.
const TOOL_EVENTS: &str = "tool-events";
/// Connections that one run is shown to.
const MOST: usize = 64;

/// Connections that want to be shown tools: their numbers, by their ids on the wire. There are as many as the host lets be open.
#[derive(Default)]
pub struct Wanting(Mutex<HashMap<String, u64>>);

/// What of `host.connection.opened` matters here; its other fields are skipped unread.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Newcomer {
    conn: u64,
    conn_id: String,
    protocol: u32,
    #[serde(default)]
    caps: Vec<String>,
}

impl Wanting {
    /// A connection was opened or closed.
    pub fn heard(&self, event: &HeardEvent<'_>) -> Result<(), serde_json::Error> {
        // Nodes begin no runs, and there are many of them.
        if event.party()?.role != "operator" {
            return Ok(());
        }
        // Hardly any connection wants it, so of most no more is read.
        if event.event == "host.connection.closed" {
            if !lock(&self.0).is_empty() {
                let closed: ConnectionClosed = event.payload()?;
                lock(&self.0).remove(&closed.conn_id);
            }
        } else if event.mentions(TOOL_EVENTS) {
            let Newcomer { conn, conn_id, protocol, caps } = event.payload()?;
            if is_wanting(protocol, &caps) {
                lock(&self.0).insert(conn_id, conn);
            }
        }
        Ok(())
    }

    /// The connection to show tools to, if whoever asks wants that. A call on somebody's behalf has an id of it alone.
    pub fn of(&self, call: &Call, caller: &Caller) -> Option<u64> {
        if !is_wanting(caller.protocol, &caller.caps) {
            return None;
        }
        call.conn().or_else(|| lock(&self.0).get(caller.conn_id.as_ref()?).copied())
    }
}

fn is_wanting(protocol: u32, caps: &[String]) -> bool {
    protocol >= 4 && caps.iter().any(|cap| cap == TOOL_EVENTS)
}

/// The connections that a run's tools are shown to.
#[derive(Default)]
pub struct Watchers(Mutex<Vec<u64>>);

impl Watchers {
    /// One more; with too many, the one that came first is shown no more.
    pub fn add(&self, conn: u64) {
        let mut conns = lock(&self.0);
        if conns.contains(&conn) {
            return;
        }
        if conns.len() >= MOST {
            conns.remove(0);
        }
        conns.push(conn);
    }

    /// Those that are there.
    pub fn list(&self) -> Vec<u64> {
        lock(&self.0).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_shown_to_so_many() {
        let watchers = Watchers::default();
        for conn in (1..=MOST as u64 + 1).chain([2]) {
            watchers.add(conn);
        }
        assert_eq!(watchers.list(), (2..=MOST as u64 + 1).collect::<Vec<_>>());
    }
}
