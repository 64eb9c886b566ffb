//! A socket as HTTP and the WebSocket see it, with TLS or without. An enum rather than a type parameter: the code above is
//! compiled once, and without TLS nothing is added but a look at which of the two it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::socket::Stream;

/// The byte stream of one client.
pub enum Transport {
    /// Bytes as they are.
    Plain(TcpStream),
    /// Bytes in TLS; on the heap, since its state is large and plain sockets should not pay for it.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream for Transport {
    /// In TLS there may be bytes that were taken from the socket and are not read yet, so there it is always possible.
    fn may_be_readable(&self) -> bool {
        match self {
            Transport::Plain(stream) => stream.may_be_readable(),
            Transport::Tls(_) => true,
        }
    }

    fn unread(&self) -> u64 {
        match self {
            Transport::Plain(stream) => stream.unread(),
            Transport::Tls(stream) => stream.get_ref().0.unread(),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, into),
            Transport::Tls(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
