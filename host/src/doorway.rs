//! The byte stream of a socket that may be upgraded. What HTTP writes to grant the upgrade is held back, so that it leaves
//! in one write with the first frame: a packet and a wake-up less for each connection, on both sides.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that holds writes back once it is told to.
pub struct Doorway<S> {
    stream: S,
    held: Vec<u8>,
    holding: Holding,
}

/// Tells a [`Doorway`] to hold back what is written from now on.
#[derive(Clone, Default)]
pub struct Holding(Arc<AtomicBool>);

impl Holding {
    /// From now on.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<S> Doorway<S> {
    /// Around a stream.
    pub fn new(stream: S, holding: Holding) -> Self {
        Doorway { stream, held: Vec::new(), holding }
    }

    /// The stream, and what was held back for it.
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.held)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Doorway<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

/// Without vectored writes: HTTP's answers here are one buffer each.
impl<S: AsyncWrite + Unpin> AsyncWrite for Doorway<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.holding.0.load(Ordering::Relaxed) {
            self.held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
