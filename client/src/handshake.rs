//! From an address to `hello-ok`: dial, wait for the challenge, sign, ask, and read the answer or why there is none.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use schemas::connect::Credentials;
use schemas::frame::Event;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::endpoint::{Endpoint, Socket, socket_error};
use crate::inbound::Inbound;
use crate::{Challenge, ClientError, ConnectOptions, Direction, Hello};

/// How long a refusal waits for the close frame that follows it.
const CLOSE_GRACE: Duration = Duration::from_secs(1);
/// The id of the `connect` request; later requests count from 1.
const CONNECT_ID: &str = "connect";
/// More frames than this before the answer to `connect` are not a gateway's.
const MAX_EARLY_FRAMES: usize = 64;

/// A connection that was let in.
pub(crate) struct Established {
    pub(crate) socket: Socket,
    pub(crate) hello: Hello,
    /// Events that came before the answer.
    pub(crate) early: Vec<Event>,
}

/// Connects with these credentials.
pub(crate) async fn establish(
    endpoint: &Endpoint,
    options: &ConnectOptions,
    credentials: Credentials,
) -> Result<Established, ClientError> {
    let limit = Limit { until: Instant::now() + options.connect_timeout, after: options.connect_timeout };
    let mut socket = limit.hold("connection", endpoint.open(options)).await?;

    let mut reader = Reader { socket: &mut socket, options, early: Vec::new() };
    let challenge = limit.hold("challenge", reader.challenge()).await?;

    let mut params = options.params(credentials);
    params.device =
        options.identity.as_ref().map(|identity| identity.sign(&params, Some(&challenge), options.payload_form));
    let params = serde_json::to_string(&params).expect("strings and numbers have a JSON form");
    let mut frame = Vec::with_capacity(params.len() + 64);
    schemas::frame::write::request(&mut frame, CONNECT_ID, "connect", Some(&params));
    let frame = String::from_utf8(frame).expect("a frame is made of strings");
    limit.hold("answer to connect", reader.send(frame)).await?;

    let answer = limit.hold("answer to connect", reader.answer()).await?;
    let early = reader.early;
    match answer {
        Ok(payload) => Ok(Established { hello: Hello::parse(payload)?, socket, early }),
        Err(error) => {
            let close = closing(&mut socket, options).await;
            Err(ClientError::Refused { error: Box::new(error), close })
        }
    }
}

/// The time `connect` may take as a whole.
struct Limit {
    until: Instant,
    after: Duration,
}

impl Limit {
    async fn hold<T>(&self, what: &str, work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
        let expired = |_| ClientError::Timeout { what: what.to_string(), after: self.after };
        timeout_at(self.until, work).await.map_err(expired)?
    }
}

struct Reader<'a> {
    socket: &'a mut Socket,
    options: &'a ConnectOptions,
    early: Vec<Event>,
}

impl Reader<'_> {
    async fn challenge(&mut self) -> Result<Challenge, ClientError> {
        for _ in 0..MAX_EARLY_FRAMES {
            let Some(Inbound::Event(event)) = self.next().await? else { continue };
            if event.event == "connect.challenge" {
                let payload = event.payload.as_deref().map_or("null", |payload| payload.get());
                return serde_json::from_str(payload)
                    .map_err(|_| ClientError::Protocol("the challenge holds no nonce".to_string()));
            }
        }
        Err(ClientError::Protocol("no challenge among the first frames".to_string()))
    }

    async fn send(&mut self, frame: String) -> Result<(), ClientError> {
        if let Some(tap) = &self.options.tap {
            tap(Direction::Sent, &frame);
        }
        self.socket.send(Message::text(frame)).await.map_err(socket_error)
    }

    async fn answer(&mut self) -> Result<Result<Box<serde_json::value::RawValue>, schemas::ErrorShape>, ClientError> {
        for _ in 0..MAX_EARLY_FRAMES {
            match self.next().await? {
                Some(Inbound::Response(response)) if response.id == CONNECT_ID => return Ok(response.outcome),
                Some(Inbound::Event(event)) => self.early.push(event),
                _ => {}
            }
        }
        Err(ClientError::Protocol("no answer to connect among the first frames".to_string()))
    }

    /// The next frame; `None` for a message that is none.
    async fn next(&mut self) -> Result<Option<Inbound>, ClientError> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    let Ok(text) = message.to_text() else { return Ok(None) };
                    if let Some(tap) = &self.options.tap {
                        tap(Direction::Received, text);
                    }
                    return Ok(Inbound::parse(text));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(socket_error(error)),
                None => return Err(ClientError::abnormal_close()),
            }
        }
    }
}

/// How the peer ended the connection.
pub(crate) fn closed(frame: Option<CloseFrame>) -> ClientError {
    // 1005 is the code for a close frame without one.
    let frame = frame.unwrap_or(CloseFrame { code: CloseCode::Status, reason: "".into() });
    ClientError::Closed { code: frame.code.into(), reason: frame.reason.to_string() }
}

/// The close frame after a refusal, if it comes in time.
async fn closing(socket: &mut Socket, options: &ConnectOptions) -> Option<(u16, String)> {
    let mut reader = Reader { socket, options, early: Vec::new() };
    let end = async {
        loop {
            if let Err(error) = reader.next().await {
                return error;
            }
        }
    };
    match timeout_at(Instant::now() + CLOSE_GRACE, end).await {
        Ok(ClientError::Closed { code, reason }) if code != 1006 => Some((code, reason)),
        _ => None,
    }
}
