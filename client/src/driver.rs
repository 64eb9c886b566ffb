//! The task that owns a socket after the handshake. What can wake it is the closed list [`Wake`]; reading never waits for
//! writing, so a gateway that is slow to read cannot stop its own answers from arriving.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message, Utf8Bytes};

use crate::endpoint::{Socket, socket_error};
use crate::event::{EventFrame, Sequence};
use crate::inbound::Inbound;
use crate::options::{Direction, Tap};
use crate::pending::Pending;
use crate::{ClientError, Event, handshake};

/// How long a close may take.
const CLOSE_GRACE: Duration = Duration::from_secs(1);
/// How many requests are queued before the socket is read again.
const BATCH: usize = 64;

/// What handles ask of the driver.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Send this frame.
    Frame(String),
    /// Close the connection.
    Close { code: u16, reason: String },
}

/// Owns the socket.
pub(crate) struct Driver {
    pub(crate) socket: Socket,
    pub(crate) outgoing: mpsc::Receiver<Outgoing>,
    pub(crate) pending: Arc<Pending>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) closed: watch::Sender<Option<ClientError>>,
    pub(crate) tap: Option<Tap>,
    /// The silence after which the connection is given up.
    pub(crate) patience: Option<Duration>,
    sequence: Sequence,
    last_inbound: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    unflushed: bool,
    ending: Option<ClientError>,
}

/// What wakes the driver.
enum Wake {
    Message(Message),
    Failed(SocketError),
    Ended,
    Close { code: u16, reason: String },
    Timer,
}

impl Driver {
    pub(crate) fn new(
        socket: Socket,
        outgoing: mpsc::Receiver<Outgoing>,
        pending: Arc<Pending>,
        events: broadcast::Sender<Event>,
        closed: watch::Sender<Option<ClientError>>,
    ) -> Self {
        Driver {
            socket,
            outgoing,
            pending,
            events,
            closed,
            tap: None,
            patience: None,
            sequence: Sequence::default(),
            last_inbound: Instant::now(),
            timer: None,
            unflushed: false,
            ending: None,
        }
    }

    /// Runs until the connection is over.
    pub(crate) async fn run(mut self) {
        self.timer = self.patience.map(|patience| Box::pin(sleep_until(self.last_inbound + patience)));
        while !self.step().await {}
    }

    /// One event frame, as heard or from before the driver ran.
    pub(crate) fn hear(&mut self, event: EventFrame) {
        // Without a stream there is nobody to tell.
        if let Some(gap) = event.seq.and_then(|seq| self.sequence.observe(seq)) {
            let _ = self.events.send(gap);
        }
        let _ = self.events.send(Event::Frame(Arc::new(event)));
    }

    /// Waits for one thing and does it; `true` when the connection is over.
    async fn step(&mut self) -> bool {
        match std::future::poll_fn(|cx| self.poll_wake(cx)).await {
            Wake::Message(message) => {
                self.last_inbound = Instant::now();
                self.read(message);
                false
            }
            Wake::Close { code, reason } => {
                self.end(ClientError::Closed { code, reason: reason.clone() });
                self.say_close(code, &reason).await;
                false
            }
            Wake::Timer if self.ending.is_some() => true,
            Wake::Timer => {
                let patience = self.patience.unwrap_or_default();
                let due = self.last_inbound + patience;
                if due > Instant::now() {
                    self.timer = Some(Box::pin(sleep_until(due)));
                    return false;
                }
                tracing::debug!(silent_ms = patience.as_millis() as u64, "no frame for two tick intervals");
                self.end(ClientError::Closed { code: 4000, reason: "tick timeout".to_string() });
                self.say_close(4000, "tick timeout").await;
                // Whoever was silent for so long will not answer the close.
                true
            }
            Wake::Failed(error) => {
                // tungstenite closes nothing by itself after an error.
                match &error {
                    SocketError::Capacity(_) => self.say_close(1009, "").await,
                    SocketError::Utf8(_) => self.say_close(1007, "").await,
                    SocketError::Protocol(_) => self.say_close(1002, "").await,
                    _ => {}
                }
                self.end(socket_error(error));
                true
            }
            Wake::Ended => {
                self.end(ClientError::abnormal_close());
                true
            }
        }
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        let mut room = self.ending.is_none().then_some(BATCH);
        while let Some(left @ 1..) = room {
            room = match self.socket.poll_ready_unpin(cx) {
                Poll::Ready(Ok(())) => Some(left - 1),
                Poll::Ready(Err(error)) => return Poll::Ready(Wake::Failed(error)),
                Poll::Pending => break,
            };
            match self.outgoing.poll_recv(cx) {
                Poll::Ready(Some(Outgoing::Frame(frame))) => {
                    if let Some(tap) = &self.tap {
                        tap(Direction::Sent, &frame);
                    }
                    self.unflushed = true;
                    if let Err(error) = self.socket.start_send_unpin(Message::text(frame)) {
                        return Poll::Ready(Wake::Failed(error));
                    }
                }
                Poll::Ready(Some(Outgoing::Close { code, reason })) => {
                    return Poll::Ready(Wake::Close { code, reason });
                }
                // Every handle is gone: nobody can ask or listen for an answer any more.
                Poll::Ready(None) => return Poll::Ready(Wake::Close { code: 1000, reason: String::new() }),
                Poll::Pending => break,
            }
        }
        if room == Some(0) {
            cx.waker().wake_by_ref();
        }
        if self.unflushed {
            match self.socket.poll_flush_unpin(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Poll::Ready(Wake::Failed(error)),
                Poll::Pending => {}
            }
        }
        match self.socket.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(message))) => return Poll::Ready(Wake::Message(message)),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Wake::Failed(error)),
            Poll::Ready(None) => return Poll::Ready(Wake::Ended),
            Poll::Pending => {}
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx).map(|()| Wake::Timer),
            None => Poll::Pending,
        }
    }

    fn read(&mut self, message: Message) {
        match message {
            Message::Close(frame) => {
                // The library answers by itself; its answer leaves with the next polls.
                self.end(handshake::closed(frame));
            }
            Message::Text(_) | Message::Binary(_) => {
                let Ok(text) = message.to_text() else { return };
                if let Some(tap) = &self.tap {
                    tap(Direction::Received, text);
                }
                match Inbound::parse(text) {
                    Some(Inbound::Response(response)) => self.pending.answer(response),
                    Some(Inbound::Event(event)) => self.hear(event),
                    None => tracing::debug!(bytes = text.len(), "passed over a message that is no frame"),
                }
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }

    /// Notes why the connection ends; the first reason counts. What is left gets a bounded time.
    fn end(&mut self, reason: ClientError) {
        if self.ending.is_none() {
            self.ending = Some(reason);
            self.timer = Some(Box::pin(sleep_until(Instant::now() + CLOSE_GRACE)));
        }
    }

    async fn say_close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: Utf8Bytes::from(reason) };
        let _ = timeout(CLOSE_GRACE, self.socket.send(Message::Close(Some(frame)))).await;
    }
}

/// Also after a panic in a frame tap and a close that took too long: nobody waits for an answer that cannot come.
impl Drop for Driver {
    fn drop(&mut self) {
        let reason = self.ending.take().unwrap_or_else(ClientError::abnormal_close);
        self.pending.close(&reason);
        self.closed.send_replace(Some(reason));
    }
}
