//! A socket that listens: for the gateway, or for a plugin that has a port to itself. It can be closed at once, whoever is
//! waiting for the next client.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use tokio::net::{TcpListener, TcpStream};

use crate::own_ports::OwnPort;

/// A socket that listens.
pub struct Listener {
    /// None once it is closed: the port is free then, and not when its last user has noticed.
    socket: Mutex<Option<TcpListener>>,
    /// The plugin's port that it is for; without one it is for the gateway.
    pub own: Option<Arc<OwnPort>>,
}

impl Listener {
    /// One that listens.
    pub fn new(socket: TcpListener, own: Option<Arc<OwnPort>>) -> Self {
        Listener { socket: Mutex::new(Some(socket)), own }
    }

    /// The next client; `None` once it is closed.
    pub async fn next(&self) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        let accepted = poll_fn(|context| match &*self.socket.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Poll::Ready(None),
            Some(socket) => socket.poll_accept(context).map(Some),
        });
        match &self.own {
            None => accepted.await,
            // Nobody wakes who waits for a socket that is gone.
            Some(port) => tokio::select! {
                accepted = accepted => accepted,
                () = port.closed() => None,
            },
        }
    }

    /// Closes it.
    pub fn close(&self) {
        drop(self.socket.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
