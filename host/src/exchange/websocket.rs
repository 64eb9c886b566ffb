//! A WebSocket of a plugin, after its upgrade.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use plugin_api::abi::{GWP_HTTP_BINARY, GWP_HTTP_TEXT};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Bytes, Message, Utf8Bytes};

use super::{Exchange, Next, Out, Why};
use crate::tls::Transport;

/// The terms of one socket.
pub struct Terms {
    /// Largest message of the peer, in bytes.
    pub max_message: usize,
    /// Largest message of the plugin, in bytes.
    pub largest_sent: usize,
    /// How long the peer may not read what waits for it.
    pub stall: Duration,
    /// Time between two pings; a peer that says nothing in two of them is gone.
    pub ping: Duration,
    /// Time for the close.
    pub grace: Duration,
}

/// Runs a socket to its end.
pub async fn run(exchange: Arc<Exchange>, stream: Transport, read_ahead: Vec<u8>, terms: Terms) {
    // Beyond a message that is being sent, pongs have this much room; then the newest takes the place of the one before.
    const PONGS: usize = 64 * 1024;
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(terms.largest_sent + PONGS)
        .max_message_size(Some(terms.max_message))
        .max_frame_size(Some(terms.max_message));
    let mut socket = WebSocketStream::from_partially_read(stream, read_ahead, Role::Server, Some(config)).await;
    let mut ping = interval_at(Instant::now() + terms.ping, terms.ping);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    exchange.ask(terms.max_message as u64);
    loop {
        let sent = tokio::select! {
            next = poll_fn(|context| exchange.poll_out(context)) => match next {
                Next::Out(Out::Text(text)) => send(&mut socket, text_of(text), &terms).await,
                Next::Out(Out::Bytes(bytes)) => send(&mut socket, Message::Binary(bytes), &terms).await,
                Next::End(code, reason) => return close(exchange, socket, code, &reason, &terms).await,
                Next::Cut => return,
            },
            came = socket.next(), if exchange.may_come() => {
                match came {
                    Some(Ok(Message::Text(text))) => exchange.hand(GWP_HTTP_TEXT, text.into()).await,
                    Some(Ok(Message::Binary(bytes))) => exchange.hand(GWP_HTTP_BINARY, bytes).await,
                    Some(Ok(Message::Close(frame))) => {
                        let frame = frame.map(|frame| (u16::from(frame.code), frame.reason));
                        let (code, reason) = frame.unzip();
                        exchange.close_by_peer(code, reason.as_deref().unwrap_or_default());
                        // The answer to the close.
                        let _ = timeout(terms.grace, socket.flush()).await;
                        return;
                    }
                    Some(Ok(_)) => {}
                    Some(Err(tungstenite::Error::Capacity(_))) => {
                        exchange.close(Why::Refused);
                        return farewell(socket, 1009, "message too big", &terms).await;
                    }
                    Some(Err(_)) | None => return exchange.close(Why::Peer),
                }
                // Only now: while the plugin was at a message the peer was neither asked nor read.
                heard = Instant::now();
                Ok(())
            }
            _ = exchange.wanted(), if !exchange.may_come() => {
                heard = Instant::now();
                Ok(())
            }
            _ = ping.tick() => {
                // One that is not read cannot be heard either.
                if !exchange.may_come() {
                    heard = Instant::now();
                } else if heard.elapsed() > terms.ping * 2 {
                    return exchange.close(Why::Timeout);
                }
                send(&mut socket, Message::Ping(Bytes::new()), &terms).await
            }
        };
        if let Err(why) = sent {
            return exchange.close(why);
        }
    }
}

async fn send(socket: &mut WebSocketStream<Transport>, message: Message, terms: &Terms) -> Result<(), Why> {
    match timeout(terms.stall, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Why::Peer),
        Err(_) => Err(Why::Timeout),
    }
}

async fn close(exchange: Arc<Exchange>, socket: WebSocketStream<Transport>, code: u16, reason: &str, terms: &Terms) {
    farewell(socket, code, reason, terms).await;
    exchange.close(Why::Done);
}

/// Says goodbye and waits for the peer's.
async fn farewell(mut socket: WebSocketStream<Transport>, code: u16, reason: &str, terms: &Terms) {
    let frame = CloseFrame { code: code.into(), reason: reason.to_string().into() };
    let goodbye = async {
        let _ = socket.close(Some(frame)).await;
        while let Some(Ok(_)) = socket.next().await {}
    };
    let _ = timeout(terms.grace, goodbye).await;
}

/// The host takes texts of plugins that are UTF-8 only.
fn text_of(text: Bytes) -> Message {
    Utf8Bytes::try_from(text).map_or_else(|_| Message::Text(Utf8Bytes::default()), Message::Text)
}
