//! The body of an answer, as HTTP writes it: bytes that are there, or an exchange's as they come.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::{Exchange, Next, Out, Why};

/// A body.
pub enum Body {
    /// Bytes that are there.
    Whole(Option<Bytes>),
    /// What a plugin writes.
    Streamed(Streamed),
}

/// The body of an exchange. Dropped before its end it tells the plugin that the peer has gone, or, when the peer has got as
/// many bytes as it was promised, lets the plugin come to its end.
pub struct Streamed {
    exchange: Arc<Exchange>,
    /// Bytes that are left of those that were promised, if any number was.
    left: Option<u64>,
}

impl Body {
    /// Of an exchange whose answer has begun.
    pub fn streamed(exchange: Arc<Exchange>, promised: Option<u64>) -> Self {
        Body::Streamed(Streamed { exchange, left: promised })
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Body::Whole((!bytes.is_empty()).then_some(bytes))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Body::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Body::Streamed(streamed) => streamed.exchange.poll_out(context).map(|next| match next {
                Next::Out(Out::Bytes(bytes) | Out::Text(bytes)) => {
                    if let Some(left) = &mut streamed.left {
                        *left = left.saturating_sub(bytes.len() as u64);
                    }
                    Some(Ok(Frame::data(bytes)))
                }
                Next::End(..) => None,
                Next::Cut => Some(Err(io::ErrorKind::ConnectionAborted.into())),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(bytes) => bytes.is_none(),
            Body::Streamed(streamed) => streamed.exchange.is_complete(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Body::Streamed(Streamed { left: Some(left), .. }) => SizeHint::with_exact(*left),
            Body::Streamed(_) => SizeHint::default(),
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if self.exchange.is_complete() {
            self.exchange.close(Why::Done);
        } else if self.left == Some(0) || self.exchange.discards() {
            self.exchange.discard();
        } else {
            self.exchange.close(Why::Peer);
        }
    }
}
