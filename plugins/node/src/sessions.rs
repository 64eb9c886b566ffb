//! Connected nodes. A node is known by its device, or by its client's id if it has none; of several connections of one
//! node the one that came last is asked. A connection that goes takes only itself away: never the one that replaced it.

use std::collections::HashMap;
use std::task::Waker;

use plugin_api::catalogue::Connection;
use serde_json::Value;

use crate::policy::{Class, Policy};
use crate::surface::{About, Surface};

/// A connection of a node.
pub struct Session {
    pub conn: u64,
    pub node_id: String,
    /// Whether it came with a paired device. Nothing of one without can be approved.
    pub has_device: bool,
    pub protocol: u32,
    pub about: About,
    pub remote_ip: Option<String>,
    pub path_env: Option<String>,
    pub connected_at_ms: u64,
    pub class: Class,
    pub declared: Surface,
    /// What of it is approved.
    pub effective: Surface,
    /// What the machine last said of its load.
    pub host_stats: Option<Value>,
    /// Whether it is known by now what is approved.
    settled: bool,
}

/// Connections of nodes.
#[derive(Default)]
pub struct Sessions {
    by_conn: HashMap<u64, Session>,
    /// The connection that is asked, by node.
    current: HashMap<String, u64>,
    /// Who waits for a change, by the number that each was given.
    waiting: HashMap<u64, Waker>,
    last_waiter: u64,
}

impl Session {
    /// What a connection brings along.
    pub fn of(connection: Connection, policy: &Policy) -> Self {
        let about = About::of(&connection);
        let class = Class::of(about.platform.as_deref(), about.device_family.as_deref());
        let declared = Surface::declared(&connection, class, policy);
        let client_id = about.client_id.clone().unwrap_or_default();
        Session {
            conn: connection.conn,
            has_device: connection.device_id.is_some(),
            node_id: connection.device_id.unwrap_or(client_id),
            protocol: connection.protocol,
            about,
            remote_ip: connection.remote_ip,
            path_env: connection.path_env,
            connected_at_ms: connection.connected_at_ms,
            class,
            declared,
            effective: Surface::default(),
            host_stats: None,
            settled: false,
        }
    }
}

impl Sessions {
    /// A node has connected: it replaces the connection it had.
    pub fn opened(&mut self, session: Session) {
        self.current.insert(session.node_id.clone(), session.conn);
        self.by_conn.insert(session.conn, session);
    }

    /// A connection has gone; those who wait for it are woken by the caller.
    pub fn closed(&mut self, conn: u64) -> (Option<Session>, Vec<Waker>) {
        let session = self.by_conn.remove(&conn);
        if let Some(session) = &session
            && self.current.get(&session.node_id) == Some(&conn)
        {
            self.current.remove(&session.node_id);
        }
        (session, self.take_waiting())
    }

    /// It is known what is approved of this connection.
    pub fn settle(&mut self, conn: u64) -> Vec<Waker> {
        if let Some(session) = self.by_conn.get_mut(&conn) {
            session.settled = true;
        }
        self.take_waiting()
    }

    /// Whether it is known what is approved of this node, or of all nodes.
    pub fn is_settled(&self, node_id: Option<&str>) -> bool {
        match node_id {
            Some(node_id) => self.of_node(node_id).is_none_or(|session| session.settled),
            None => self.by_conn.values().all(|session| session.settled),
        }
    }

    /// Whether a node is there and it is known what is approved of it.
    pub fn is_here(&self, node_id: &str) -> bool {
        self.of_node(node_id).is_some_and(|session| session.settled)
    }

    /// `waker` hears of the next change. Whoever waits has one number for as long as it does, and so one place here.
    pub fn wait(&mut self, number: &mut Option<u64>, waker: &Waker) {
        let number = *number.get_or_insert_with(|| {
            self.last_waiter += 1;
            self.last_waiter
        });
        self.waiting.insert(number, waker.clone());
    }

    /// Who has this number waits no longer.
    pub fn waited(&mut self, number: u64) -> Option<Waker> {
        self.waiting.remove(&number)
    }

    fn take_waiting(&mut self) -> Vec<Waker> {
        self.waiting.drain().map(|(_, waker)| waker).collect()
    }

    /// A connection.
    pub fn get(&self, conn: u64) -> Option<&Session> {
        self.by_conn.get(&conn)
    }

    /// A connection.
    pub fn get_mut(&mut self, conn: u64) -> Option<&mut Session> {
        self.by_conn.get_mut(&conn)
    }

    /// The connection of a node that is asked.
    pub fn of_node(&self, node_id: &str) -> Option<&Session> {
        self.by_conn.get(self.current.get(node_id)?)
    }

    /// Every connection of a node.
    pub fn all_of(&self, node_id: &str) -> Vec<u64> {
        self.by_conn.values().filter(|session| session.node_id == node_id).map(|session| session.conn).collect()
    }

    /// The nodes of these connections.
    pub fn nodes_of(&self, conns: &[u64]) -> Vec<String> {
        conns.iter().filter_map(|conn| Some(self.by_conn.get(conn)?.node_id.clone())).collect()
    }

    /// Every connection.
    pub fn conns(&self) -> Vec<u64> {
        self.by_conn.keys().copied().collect()
    }

    /// Every connected node.
    pub fn current(&self) -> impl Iterator<Item = &Session> {
        self.current.values().filter_map(|conn| self.by_conn.get(conn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_has_one_place_and_none_when_it_gave_up() {
        let mut sessions = Sessions::default();
        let (mut first, mut second) = (None, None);
        for _ in 0..3 {
            sessions.wait(&mut first, Waker::noop());
            sessions.wait(&mut second, Waker::noop());
        }
        assert_eq!(sessions.waiting.len(), 2);
        assert!(sessions.waited(first.unwrap()).is_some());
        assert_eq!((sessions.waiting.len(), sessions.settle(1).len(), sessions.waiting.len()), (1, 1, 0));
    }
}
