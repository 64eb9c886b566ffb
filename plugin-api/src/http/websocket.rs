//! A WebSocket of a plugin.

use std::future::poll_fn;

use super::exchange::Held;
use super::wire::Came;
use crate::abi::*;

/// A message, either way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

/// An upgraded exchange. The host answers pings, asks whether the peer is still there, and closes for whoever goes. Let go
/// of, it is closed with code 1000.
pub struct WebSocket(Held);

impl WebSocket {
    pub(super) fn new(held: Held) -> Self {
        WebSocket(held)
    }

    /// The next message; `None` when the socket is closed.
    pub async fn next(&mut self) -> super::Result<Option<Message>> {
        Ok(poll_fn(|context| self.0.0.poll_next(context)).await?.map(|came| match came {
            Came::Text(text) => Message::Text(String::from_utf8_lossy(&text).into_owned()),
            Came::Binary(bytes) | Came::Body(bytes) => Message::Binary(bytes),
        }))
    }

    /// Sends a text, when there is room for it.
    pub async fn text(&self, text: &str) -> super::Result {
        self.0.0.write(GWP_HTTP_TEXT, text.as_bytes()).await
    }

    /// Sends bytes, when there is room for them.
    pub async fn binary(&self, bytes: &[u8]) -> super::Result {
        self.0.0.write(GWP_HTTP_BINARY, bytes).await
    }

    /// Whether the peer has gone.
    pub fn is_closed(&self) -> bool {
        self.0.0.is_closed()
    }

    /// Closes with this code and reason.
    pub fn close(self, code: u16, reason: &str) -> super::Result {
        self.0.0.end(code, reason)
    }
}
