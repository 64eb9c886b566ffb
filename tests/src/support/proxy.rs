//! A network that fails as it is told to: a proxy between clients and a gateway that passes bytes on, keeps them back, loses
//! them, or cuts. What it does not pass on it does not tell either: an end that falls into such a time is not heard of.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::door::Door;

/// What becomes of bytes on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    /// They arrive.
    #[default]
    Open,
    /// They are not taken: whoever sends fills the buffers of its own system.
    Stalled,
    /// They are taken, and never arrive.
    Lost,
}

/// The network.
pub struct Proxy {
    /// Where clients reach the gateway through it.
    pub port: u16,
    weather: watch::Sender<Weather>,
    listening: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    to_gateway: Way,
    to_client: Way,
    /// Whether nobody gets through any more.
    is_down: bool,
    /// Connections of before the last cut are none any more.
    cuts: u64,
}

impl Proxy {
    /// A network in order, to a gateway on this port of this machine.
    pub async fn to(gateway: u16) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let (weather, forecast) = watch::channel(Weather::default());
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if forecast.borrow().is_down {
                    continue;
                }
                let forecast = forecast.clone();
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", gateway)).await {
                        pass(client, server, forecast).await;
                    }
                });
            }
        });
        Proxy { port, weather, listening }
    }

    /// As a gateway's port.
    pub fn door(&self) -> Door {
        Door::from(SocketAddr::from(([127, 0, 0, 1], self.port)))
    }

    /// What becomes of bytes from here on, in either direction.
    pub fn ways(&self, to_gateway: Way, to_client: Way) {
        self.weather.send_modify(|weather| (weather.to_gateway, weather.to_client) = (to_gateway, to_client));
    }

    /// Cuts every connection; both sides hear of it.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// Cuts every connection, and lets nobody through.
    pub fn down(&self) {
        self.weather.send_modify(|weather| (weather.is_down, weather.cuts) = (true, weather.cuts + 1));
    }

    /// Lets clients through again.
    pub fn up(&self) {
        self.weather.send_modify(|weather| *weather = Weather { cuts: weather.cuts, ..Weather::default() });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Passes bytes on until an end arrives, or the connection is cut.
async fn pass(client: TcpStream, server: TcpStream, mut weather: watch::Receiver<Weather>) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let begun = weather.borrow().cuts;
    let up = carry(from_client, to_server, weather.clone(), |weather| weather.to_gateway);
    let down = carry(from_server, to_client, weather.clone(), |weather| weather.to_client);
    tokio::select! {
        () = up => {}
        () = down => {}
        _ = weather.wait_for(|weather| weather.cuts != begun) => {}
    }
}

/// Passes bytes on in one direction, as far as its way is open.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
    way: fn(&Weather) -> Way,
) {
    let mut bytes = vec![0; 16 * 1024];
    let mut has_ended = false;
    loop {
        let now = way(&weather.borrow_and_update());
        match now {
            Way::Open if has_ended => return,
            Way::Open | Way::Lost if !has_ended => {
                tokio::select! {
                    read = from.read(&mut bytes) => match read {
                        Ok(count @ 1..) if now == Way::Open => {
                            if to.write_all(&bytes[..count]).await.is_err() {
                                return;
                            }
                        }
                        Ok(1..) => {}
                        _ => has_ended = true,
                    },
                    changed = weather.changed() => if changed.is_err() { return },
                }
            }
            _ => {
                if weather.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}
