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
    waiting: Vec<Waker>,
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
        (session, std::mem::take(&mut self.waiting))
    }

    /// It is known what is approved of this connection.
    pub fn settle(&mut self, conn: u64) -> Vec<Waker> {
        if let Some(session) = self.by_conn.get_mut(&conn) {
            session.settled = true;
        }
        std::mem::take(&mut self.waiting)
    }

    /// Whether it is known what is approved of this node, or of all nodes; `waker` hears of a change.
    pub fn is_settled(&mut self, node_id: Option<&str>, waker: &Waker) -> bool {
        let settled = match node_id {
            Some(node_id) => self.of_node(node_id).is_none_or(|session| session.settled),
            None => self.by_conn.values().all(|session| session.settled),
        };
        if !settled {
            self.waiting.push(waker.clone());
        }
        settled
    }

    /// Whether a node is there and it is known what is approved of it; `waker` hears of a change.
    pub fn is_here(&mut self, node_id: &str, waker: &Waker) -> bool {
        let is_here = self.of_node(node_id).is_some_and(|session| session.settled);
        if !is_here {
            self.waiting.push(waker.clone());
        }
        is_here
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

    /// Every connected node.
    pub fn current(&self) -> impl Iterator<Item = &Session> {
        self.current.values().filter_map(|conn| self.by_conn.get(conn))
    }
}
