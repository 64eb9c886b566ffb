//! Ports that the HTTP of a plugin has to itself: `[plugins.<id>] http_port`. What is shown there has another origin than
//! the gateway, so that a page of it reaches neither what the gateway's own pages keep nor its socket.
//!
//! An instance is served at one place: on its own port if it was made with one, else on the gateway's. If nobody can listen
//! on its own, it is served nowhere rather than on the gateway's, where it was not to be. The ports follow the table of
//! plugins; whoever changes the table settles them.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpSocket;
use tokio::sync::watch;

use crate::gateway::Gateway;
use crate::http;
use crate::listener::Listener;
use crate::plugin::RunningPlugin;

/// The ports of plugins that are open.
#[derive(Default)]
pub struct OwnPorts {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether plugins have started.
    is_up: bool,
    open: BTreeMap<Arc<str>, Open>,
}

struct Open {
    port: Arc<OwnPort>,
    listeners: Vec<Arc<Listener>>,
}

/// A port that a plugin has to itself.
pub struct OwnPort {
    /// The plugin's id: its instances come and go.
    pub plugin: Arc<str>,
    /// The number of the port.
    pub number: u16,
    closed: watch::Sender<bool>,
}

impl OwnPort {
    /// Waits until it is closed.
    pub async fn closed(&self) {
        // The sender is this very value's.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }
}

impl Open {
    /// Frees the port. Requests that are being answered are answered; no more come on their sockets.
    fn close(&self) {
        self.listeners.iter().for_each(|listener| listener.close());
        self.port.closed.send_replace(true);
    }
}

/// Whether the HTTP of this instance is served here: on this port of a plugin, or on the gateway's.
pub fn is_served(plugin: &RunningPlugin, here: Option<&OwnPort>) -> bool {
    match here {
        None => plugin.own_port.is_none(),
        Some(port) => plugin.own_port == Some(port.number) && plugin.id == port.plugin,
    }
}

impl OwnPorts {
    /// Plugins have started: from now on they are open.
    pub fn open(&self, gateway: &Arc<Gateway>) {
        self.lock().is_up = true;
        self.settle(gateway);
    }

    /// Sees to it that the ports are open which the table of plugins asks for, and no others. One that could not be opened
    /// before is tried again.
    pub fn settle(&self, gateway: &Arc<Gateway>) {
        let mut state = self.lock();
        if !state.is_up || *gateway.stopping.borrow() {
            return;
        }
        let registry = gateway.registry.load_full();
        let in_service = registry.plugins().iter().filter(|plugin| !plugin.has_failed());
        let wanted: BTreeMap<Arc<str>, (&Arc<RunningPlugin>, u16)> =
            in_service.filter_map(|plugin| Some((plugin.id.clone(), (plugin, plugin.own_port?)))).collect();
        // First of all, so that a port can go from one plugin to another.
        state.open.retain(|id, open| {
            let stays = wanted.get(id).is_some_and(|(_, number)| *number == open.port.number);
            if !stays {
                open.close();
                tracing::info!(plugin = &**id, port = open.port.number, "a plugin's own port was closed");
            }
            stays
        });
        for (id, (plugin, number)) in wanted {
            if state.open.contains_key(&id) {
                plugin.note_port(None);
                continue;
            }
            match state.listen(gateway, &id, number) {
                Ok(open) => {
                    tracing::info!(plugin = &*id, port = number, "the plugin's HTTP is served on a port of its own");
                    state.open.insert(id, open);
                    plugin.note_port(None);
                }
                Err(why) => {
                    tracing::error!(plugin = &*id, port = number, why, "the plugin's HTTP is not served");
                    plugin.note_port(Some(why));
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Listens where the gateway does: the first address must be free, the others are a courtesy, as for the gateway's port.
    fn listen(&self, gateway: &Arc<Gateway>, id: &Arc<str>, number: u16) -> Result<Open, String> {
        let addresses = &gateway.facts.addresses;
        if addresses.iter().any(|address| address.port() == number) {
            return Err(format!("http_port {number} is the gateway's own port; choose another one"));
        }
        if let Some((other, _)) = self.open.iter().find(|(_, open)| open.port.number == number) {
            return Err(format!("http_port {number} is the port of the plugin {other:?}; choose another one"));
        }
        let port = Arc::new(OwnPort { plugin: id.clone(), number, closed: watch::Sender::new(false) });
        let mut listeners: Vec<Arc<Listener>> = Vec::new();
        for address in addresses {
            let address = SocketAddr::new(address.ip(), number);
            match bind(address) {
                Ok(socket) => listeners.push(Arc::new(Listener::new(socket, Some(port.clone())))),
                Err(error) if listeners.is_empty() => return Err(refused(number, &error)),
                Err(error) => tracing::debug!(%address, %error, "not listening on a further address"),
            }
        }
        for listener in &listeners {
            gateway.runtime.spawn(http::accept(gateway.clone(), listener.clone()));
        }
        Ok(Open { port, listeners })
    }
}

fn refused(number: u16, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "http_port {number} is taken by another program; free it and run clawhost plugins reload, or choose another one"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("http_port {number} may not be opened by this user; choose one above 1023")
        }
        _ => format!("http_port {number} cannot be opened: {error}"),
    }
}

/// Listens at an address.
pub fn bind(address: SocketAddr) -> io::Result<tokio::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A port in TIME_WAIT after a restart is free; one that somebody listens on is still refused.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}
