//! Where a gateway is reached, and whether TLS is spoken there.

use std::net::SocketAddr;

use client::{TlsOptions, tls};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use super::client::PATIENCE;

/// Bytes to and from a gateway, in TLS or as they are.
pub trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carrier for T {}

/// A gateway's port.
#[derive(Debug, Clone)]
pub struct Door {
    /// Its address.
    pub address: SocketAddr,
    /// The name its certificate is for and how it is trusted, if TLS is spoken.
    pub tls: Option<(String, TlsOptions)>,
}

impl From<SocketAddr> for Door {
    fn from(address: SocketAddr) -> Self {
        Door { address, tls: None }
    }
}

impl Door {
    /// A socket over which nothing of HTTP was said.
    pub async fn open(&self) -> Box<dyn Carrier> {
        self.open_with(None).await
    }

    /// The same with a buffer of this size in the kernel.
    pub async fn open_with(&self, receive_buffer: Option<u32>) -> Box<dyn Carrier> {
        let tcp = if self.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.expect("a socket");
        if let Some(bytes) = receive_buffer {
            tcp.set_recv_buffer_size(bytes).expect("a socket's buffer can be set");
        }
        let stream = tcp.connect(self.address).await.expect("the port is open");
        let Some((host, options)) = &self.tls else { return Box::new(stream) };
        let secured = timeout(PATIENCE, tls::connect(options, host, stream)).await.expect("a TLS handshake has an end");
        Box::new(secured.unwrap_or_else(|error| panic!("{error}")))
    }
}
