//! The protocol as far as driving a server needs it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use client::{Challenge, Identity, PayloadForm};
use futures_util::{SinkExt, Stream, StreamExt};
use schemas::connect::ConnectParams;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::process::{self, Cpu};
use crate::report::Outcome;

/// A WebSocket to the server.
pub type Socket = WebSocketStream<TcpStream>;

/// As the servers: a large buffer would be zeroed before each read.
const READ_BUFFER: usize = 4 * 1024;
/// Longer than any server's own handshake limit.
const PATIENCE: Duration = Duration::from_secs(20);
/// Handshakes at once while a scenario opens its connections: below the per-address caps of gateways.
const OPENING_AT_ONCE: usize = 16;
/// Connections from one address of this machine: fewer than it has ports to give away by itself.
const FROM_ONE_ADDRESS: usize = 10_000;

/// The server under load.
#[derive(Debug, Clone)]
pub struct Target {
    url: String,
    authority: String,
    token: Option<String>,
    pid: Option<u32>,
    protocol: u32,
    connect: String,
    /// The command of a node; an operator offers none.
    offers: Option<String>,
    /// Where connections come from; whatever the kernel takes if absent.
    from: Option<Ipv4Addr>,
}

/// What a server says to a newcomer that has identified itself.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// The frame with hello-ok.
    pub hello: String,
    /// Bytes of the frames right behind it.
    pub welcome_bytes: usize,
}

impl Target {
    pub fn new(url: &str, token: Option<String>, pid: Option<u32>) -> Outcome<Self> {
        let rest = url.strip_prefix("ws://").ok_or("expected ws://HOST:PORT")?;
        let authority = rest.split('/').next().unwrap_or(rest).to_string();
        if !authority.contains(':') {
            return Err("expected ws://HOST:PORT".to_string());
        }
        let mut target = Target {
            url: url.to_string(),
            authority,
            token,
            pid,
            protocol: 3,
            connect: String::new(),
            offers: None,
            from: None,
        };
        target.connect = frame("connect", "connect", &target.params());
        Ok(target)
    }

    /// The same server, spoken to in this version of the protocol.
    pub fn speaking(mut self, protocol: u32) -> Self {
        self.protocol = protocol;
        self.connect = frame("connect", "connect", &self.params());
        self
    }

    /// A reading of the server's CPU time.
    pub fn cpu(&self) -> Option<Cpu> {
        self.pid.and_then(Cpu::of)
    }

    /// CPU time since `before`.
    pub fn cpu_since(&self, before: Option<Cpu>) -> Option<Duration> {
        Some(self.cpu()?.since(&before?))
    }

    /// The server's resident memory in KiB.
    pub fn resident_kib(&self) -> Option<u64> {
        self.pid.and_then(process::resident_kib)
    }

    /// Connects up to hello-ok, with a device if there is one.
    pub async fn open(&self, identity: Option<&Identity>) -> Outcome<Socket> {
        let opened = async { Ok(self.open_patiently(identity).await?.0) };
        timeout(PATIENCE, opened).await.unwrap_or_else(|_| Err(format!("no hello-ok within {} s", PATIENCE.as_secs())))
    }

    /// Connects, and takes down what a newcomer is told: what comes before the answer to a first question belongs to it, but for
    /// the event with which gateways tell all of them of each other now and then, however many come.
    pub async fn greeting(&self) -> Outcome<Greeting> {
        let listened = async {
            let (mut socket, hello) = self.open_patiently(None).await?;
            socket
                .send(Message::text(frame("greeting", "health", &json!({}))))
                .await
                .map_err(|error| error.to_string())?;
            let mut welcome_bytes = 0;
            loop {
                let text = next_text(&mut socket).await?;
                match look(&text) {
                    Some(Seen::Answer { .. }) => return Ok(Greeting { hello, welcome_bytes }),
                    Some(Seen::Event("presence" | "tick")) => {}
                    _ => welcome_bytes += text.len(),
                }
            }
        };
        timeout(PATIENCE, listened).await.unwrap_or_else(|_| Err("no hello-ok, or no answer to health".to_string()))
    }

    /// Bytes of the payload that answers this question.
    pub async fn payload_bytes(&self, method: &str) -> Outcome<usize> {
        #[derive(Deserialize)]
        struct Answer<'a> {
            #[serde(borrow)]
            payload: &'a RawValue,
        }
        let asked = async {
            let mut socket = self.open(None).await?;
            socket.send(Message::text(frame("size", method, &json!({})))).await.map_err(|error| error.to_string())?;
            loop {
                let text = next_text(&mut socket).await?;
                match look(&text) {
                    Some(Seen::Answer { ok: true, .. }) => {
                        let answer: Answer<'_> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
                        return Ok(answer.payload.get().len());
                    }
                    Some(Seen::Answer { ok: false, .. }) => return Err(text),
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(format!("no answer to {method}")))
    }

    /// Connects as a node that offers this command.
    pub async fn open_node(&self, identity: &Identity, command: &str) -> Outcome<Socket> {
        let mut node = self.clone();
        node.offers = Some(command.to_string());
        node.open(Some(identity)).await
    }

    /// Connects as somebody who hears nothing of what agents say.
    pub async fn open_deaf(&self) -> Outcome<Socket> {
        let mut deaf = self.clone();
        let mut params = self.params();
        params["scopes"] = json!(["operator.pairing"]);
        deaf.connect = frame("connect", "connect", &params);
        deaf.open(None).await
    }

    /// Opens many connections, a few at a time.
    pub async fn open_many(&self, count: usize) -> Outcome<Vec<Socket>> {
        self.open_more(0, count).await
    }

    /// The same, for somebody who has so many already.
    pub async fn open_more(&self, already: usize, count: usize) -> Outcome<Vec<Socket>> {
        process::check_descriptors(already + count)?;
        let gate = std::sync::Arc::new(Semaphore::new(OPENING_AT_ONCE));
        let mut opening = tokio::task::JoinSet::new();
        for number in already..already + count {
            let (gate, mut target) = (gate.clone(), self.clone());
            if let further @ 1.. = number / FROM_ONE_ADDRESS {
                // Linux answers for all of 127.0.0.0/8.
                target.from = Some(Ipv4Addr::new(127, 0, 0, (1 + further).min(254) as u8));
            }
            opening.spawn(async move {
                let _place = gate.acquire().await;
                target.open(None).await
            });
        }
        let mut sockets = Vec::with_capacity(count);
        while let Some(opened) = opening.join_next().await {
            sockets.push(opened.map_err(|error| error.to_string())??);
        }
        Ok(sockets)
    }

    async fn connect_tcp(&self) -> std::io::Result<TcpStream> {
        let Some(from) = self.from else { return TcpStream::connect(&self.authority).await };
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        socket.connect(self.authority.parse().map_err(std::io::Error::other)?).await
    }

    /// The connection and the frame with hello-ok.
    async fn open_patiently(&self, identity: Option<&Identity>) -> Outcome<(Socket, String)> {
        let words = |error: &dyn std::fmt::Display| format!("{}: {error}", self.url);
        let stream = self.connect_tcp().await.map_err(|error| words(&error))?;
        stream.set_nodelay(true).map_err(|error| words(&error))?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
        let (mut socket, _) = tokio_tungstenite::client_async_with_config(&self.url, stream, Some(config))
            .await
            .map_err(|error| words(&error))?;
        let challenge = next_text(&mut socket).await?;
        let connect = match identity {
            None => self.connect.clone(),
            Some(identity) => self.signed(identity, &challenge)?,
        };
        socket.send(Message::text(connect)).await.map_err(|error| words(&error))?;
        loop {
            let answer = next_text(&mut socket).await?;
            if answer.contains("\"type\":\"hello-ok\"") {
                return Ok((socket, answer));
            }
            if answer.starts_with("{\"type\":\"res\"") {
                return Err(format!("{} refused the connection: {answer}", self.url));
            }
        }
    }

    fn signed(&self, identity: &Identity, challenge: &str) -> Outcome<String> {
        #[derive(Deserialize)]
        struct Event {
            payload: Challenge,
        }
        let event: Event = serde_json::from_str(challenge).map_err(|_| "the challenge cannot be read".to_string())?;
        let params = self.params();
        let mut typed: ConnectParams = serde_json::from_value(params).expect("written to fit");
        typed.device = Some(identity.sign(&typed, Some(&event.payload), PayloadForm::V2));
        Ok(frame("connect", "connect", &serde_json::to_value(typed).expect("strings have a JSON form")))
    }

    /// One instance id for all: those without a device share one presence row, so that presence stays as small as it is for one
    /// client. Each device has a row of its own whatever instance it is, since a row goes by its device's id first.
    fn params(&self) -> Value {
        let mut params = json!({
            "minProtocol": self.protocol, "maxProtocol": self.protocol, "role": "operator", "scopes": ["operator.admin"],
            "client": {
                "id": "gateway-client", "mode": "backend", "version": env!("CARGO_PKG_VERSION"),
                "platform": std::env::consts::OS, "instanceId": "load",
            },
        });
        if let Some(command) = &self.offers {
            params["role"] = "node".into();
            params["scopes"] = json!([]);
            params["caps"] = json!(["system"]);
            params["commands"] = json!([command]);
            params["client"]["id"] = "node-host".into();
            params["client"]["mode"] = "node".into();
            params["client"]["instanceId"] = "load-node".into();
        }
        if let Some(token) = &self.token {
            params["auth"] = json!({ "token": token });
        }
        params
    }
}

/// A request frame.
pub fn frame(id: &str, method: &str, params: &Value) -> String {
    json!({"type": "req", "id": id, "method": method, "params": params}).to_string()
}

/// What a scenario looks at in a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen<'a> {
    /// An answer.
    Answer { id: &'a str, ok: bool },
    /// An event.
    Event(&'a str),
}

/// Looks at a frame. The usual order of keys is found without parsing; any other order is parsed.
pub fn look(text: &str) -> Option<Seen<'_>> {
    if let Some(rest) = text.strip_prefix("{\"type\":\"res\",\"id\":\"") {
        let (id, rest) = rest.split_once('"')?;
        return match rest {
            _ if rest.starts_with(",\"ok\":true") => Some(Seen::Answer { id, ok: true }),
            _ if rest.starts_with(",\"ok\":false") => Some(Seen::Answer { id, ok: false }),
            _ => None,
        };
    }
    if let Some(rest) = text.strip_prefix("{\"type\":\"event\",\"event\":\"") {
        return Some(Seen::Event(rest.split_once('"')?.0));
    }
    #[derive(Deserialize)]
    struct Any<'a> {
        id: Option<&'a str>,
        ok: Option<bool>,
        event: Option<&'a str>,
    }
    match serde_json::from_str(text).ok()? {
        Any { event: Some(event), .. } => Some(Seen::Event(event)),
        Any { id: Some(id), ok: Some(ok), .. } => Some(Seen::Answer { id, ok }),
        _ => None,
    }
}

/// The next text; a close is an error with its reason.
pub async fn next_text(
    socket: &mut (impl Stream<Item = Result<Message, tungstenite::Error>> + Unpin),
) -> Outcome<String> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_string()),
            Some(Ok(Message::Close(frame))) => return Err(closed(frame.as_ref())),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err("the server ended the connection".to_string()),
        }
    }
}

/// A close frame in words.
pub fn closed(frame: Option<&tokio_tungstenite::tungstenite::protocol::CloseFrame>) -> String {
    match frame {
        Some(frame) => format!("the server closed the connection: {} {}", frame.code, frame.reason),
        None => "the server closed the connection".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_seen_in_any_order_of_keys() {
        let answer = Some(Seen::Answer { id: "7", ok: true });
        assert_eq!(look(r#"{"type":"res","id":"7","ok":true,"payload":{}}"#), answer);
        assert_eq!(look(r#"{"id":"7","type":"res","ok":true}"#), answer);
        assert_eq!(look(r#"{"type":"res","id":"7","ok":false,"error":{}}"#), Some(Seen::Answer { id: "7", ok: false }));
        assert_eq!(look(r#"{"type":"event","event":"tick","seq":1}"#), Some(Seen::Event("tick")));
        assert_eq!(look(r#"{"seq":1,"event":"tick","type":"event"}"#), Some(Seen::Event("tick")));
        assert_eq!(look("{}"), None);
    }
}
