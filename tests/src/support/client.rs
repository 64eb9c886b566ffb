//! The client of the tests. It reads only when asked to, so a test decides who is slow; and it checks whatever it reads.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use schemas::ErrorShape;
use schemas::frame::{EventFrame, ResponseFrame};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::frame::Frame as WebSocketFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::checks::{Checks, is_interim};
use super::connect::{Connect, Refused};
use super::door::{Carrier, Door};
use super::gateway::Knock;
use super::http::{Answer, patience};
use super::secrets;

/// How long a test waits for anything that must come.
pub const PATIENCE: Duration = patience();

/// A frame of the gateway.
#[derive(Debug, Clone)]
pub enum Frame {
    /// An answer.
    Response(ResponseFrame),
    /// An event.
    Event(EventFrame),
}

/// How a connection ended. Without a code, it ended without a close frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The code.
    pub code: Option<u16>,
    /// The reason.
    pub reason: String,
}

/// A connection of a test.
pub struct Client {
    socket: WebSocketStream<Box<dyn Carrier>>,
    checks: Checks,
    backlog: VecDeque<Frame>,
    heard: Vec<EventFrame>,
    pongs: VecDeque<Vec<u8>>,
    pings: u64,
    ended: Option<Close>,
    next_id: u64,
    /// The challenge's payload.
    pub challenge: Value,
    /// The payload of hello-ok; `null` before it.
    pub hello: Value,
}

impl Client {
    /// A socket that was challenged and has said nothing, or the answer of a refused upgrade.
    pub async fn open(door: &Door, knock: &Knock) -> Result<Client, Answer> {
        let mut request = format!("ws://{}/", door.address).into_client_request().expect("an address");
        let headers = request.headers_mut();
        if let Some(host) = &knock.host {
            headers.insert("host", HeaderValue::from_str(host).expect("a header's value"));
        }
        for (name, value) in &knock.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
            headers.append(name, HeaderValue::from_str(value).expect("a header's value"));
        }
        let stream = door.open_with(knock.receive_buffer).await;
        match timeout(PATIENCE, client_async(request, stream)).await.expect("an answer to the upgrade") {
            Ok((socket, _)) => {
                let mut client = Client {
                    socket,
                    checks: Checks::default(),
                    backlog: VecDeque::new(),
                    heard: Vec::new(),
                    pongs: VecDeque::new(),
                    pings: 0,
                    ended: None,
                    next_id: 0,
                    challenge: Value::Null,
                    hello: Value::Null,
                };
                match client.receive().await {
                    Some(Frame::Event(event)) => client.challenge = event.payload.unwrap_or_default(),
                    other => panic!("no challenge, but {other:?}"),
                }
                Ok(client)
            }
            Err(Error::Http(response)) => {
                let head = response.headers().iter();
                let head = head.map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap_or("")));
                Err(Answer {
                    status: response.status().as_u16(),
                    head: head.collect::<String>().to_ascii_lowercase(),
                    body: response
                        .body()
                        .as_ref()
                        .map(|body| String::from_utf8_lossy(body).into_owned())
                        .unwrap_or_default(),
                })
            }
            Err(error) => panic!("the upgrade failed: {error}"),
        }
    }

    /// The nonce of this socket.
    pub fn nonce(&self) -> &str {
        self.challenge["nonce"].as_str().unwrap_or("")
    }

    /// Connects: the payload of hello-ok, or the refusal and the close that must follow it.
    pub async fn connect(&mut self, connect: &Connect) -> Result<Value, Refused> {
        let frame = self.connect_frame(connect);
        self.send(&frame).await;
        self.connected().await
    }

    /// The frame that [`Client::connect`] sends.
    pub fn connect_frame(&self, connect: &Connect) -> Value {
        json!({ "type": "req", "id": "connect", "method": "connect", "params": connect.params(self.nonce()) })
    }

    /// Waits for the answer to a connect frame that was sent.
    pub async fn connected(&mut self) -> Result<Value, Refused> {
        match self.answer("connect").await {
            Ok(hello) => {
                self.hello = hello.clone();
                Ok(hello)
            }
            Err(error) => Err(Refused { error, close: self.closed().await }),
        }
    }

    /// Sends a JSON value as a text frame.
    pub async fn send(&mut self, value: &Value) {
        self.send_text(&value.to_string()).await;
    }

    /// Sends a text frame.
    pub async fn send_text(&mut self, text: &str) {
        self.checks.sent(text);
        self.write(Message::text(text)).await;
    }

    /// Sends a text padded with blanks to this size.
    pub async fn send_padded(&mut self, text: &str, size: usize) {
        self.send_text(&(text.to_string() + &" ".repeat(size - text.len()))).await;
    }

    /// Sends a binary frame.
    pub async fn send_binary(&mut self, bytes: &[u8]) {
        self.checks.sent(&String::from_utf8_lossy(bytes));
        self.write(Message::binary(bytes.to_vec())).await;
    }

    /// Sends a text in so many fragments.
    pub async fn send_fragments(&mut self, text: &str, fragments: usize) {
        self.checks.sent(text);
        let bytes = text.as_bytes();
        let size = bytes.len().div_ceil(fragments.max(1)).max(1);
        let count = bytes.len().div_ceil(size);
        for (place, part) in bytes.chunks(size).enumerate() {
            let data = if place == 0 { Data::Text } else { Data::Continue };
            self.write_frame(data, part, place + 1 == count).await;
        }
    }

    /// Sends one frame of a message, whatever its bytes are.
    pub async fn write_frame(&mut self, data: Data, bytes: &[u8], last: bool) {
        let frame = WebSocketFrame::message(Bytes::copy_from_slice(bytes), OpCode::Data(data), last);
        self.write(Message::Frame(frame)).await;
    }

    /// Sends a message of the WebSocket library; a gateway that has closed is no fault.
    pub async fn write(&mut self, message: Message) {
        let _ = timeout(PATIENCE, self.socket.send(message)).await.expect("the gateway reads");
    }

    /// Sends several frames in one write.
    pub async fn send_all(&mut self, frames: &[Value]) {
        for frame in frames {
            let text = frame.to_string();
            self.checks.sent(&text);
            let _ = self.socket.feed(Message::text(text)).await;
        }
        let _ = timeout(PATIENCE, self.socket.flush()).await.expect("the gateway reads");
    }

    /// Sends a request; its id.
    pub async fn request(&mut self, method: &str, params: Value) -> String {
        self.next_id += 1;
        let id = format!("r{}", self.next_id);
        self.send(&json!({ "type": "req", "id": id, "method": method, "params": params })).await;
        id
    }

    /// Sends a request and waits for its final answer.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, ErrorShape> {
        let id = self.request(method, params).await;
        self.answer(&id).await
    }

    /// Like [`Client::call`] for a request that must succeed.
    pub async fn ok(&mut self, method: &str, params: Value) -> Value {
        self.call(method, params).await.unwrap_or_else(|error| panic!("{method}: {error:?}"))
    }

    /// Like [`Client::call`] for a request that must fail: the code and the sentence.
    pub async fn refused(&mut self, method: &str, params: Value) -> ErrorShape {
        match self.call(method, params).await {
            Err(error) => error,
            Ok(payload) => panic!("{method} was answered: {payload}"),
        }
    }

    /// Waits for the final answer to a request.
    pub async fn answer(&mut self, id: &str) -> Result<Value, ErrorShape> {
        loop {
            let response = self.reply(id).await;
            if !is_interim(&response) {
                return match response.error {
                    None => Ok(response.payload.unwrap_or_default()),
                    Some(error) => Err(error),
                };
            }
        }
    }

    /// Waits for the next answer to a request, interim or final.
    pub async fn reply(&mut self, id: &str) -> ResponseFrame {
        self.take(&format!("an answer to {id}"), |frame| match frame {
            Frame::Response(response) if response.id == id => Some(response.clone()),
            _ => None,
        })
        .await
        .unwrap_or_else(|close| panic!("{close:?} before the answer to {id}"))
    }

    /// Waits for the next event of this name that no test has taken yet.
    pub async fn event(&mut self, name: &str) -> EventFrame {
        self.event_with(name, |_| true).await
    }

    /// Waits for the next event of this name whose payload is like that.
    pub async fn event_with(&mut self, name: &str, fits: impl Fn(&Value) -> bool) -> EventFrame {
        self.take(&format!("the event {name}"), |frame| match frame {
            Frame::Event(event) if event.event == name && fits(event.payload.as_ref().unwrap_or(&Value::Null)) => {
                Some(event.clone())
            }
            _ => None,
        })
        .await
        .unwrap_or_else(|close| panic!("{close:?} before the event {name}"))
    }

    /// Waits for the next frame of any kind; `None` is the end.
    pub async fn next(&mut self) -> Option<Frame> {
        match self.backlog.pop_front() {
            Some(frame) => Some(frame),
            None => self.receive().await,
        }
    }

    /// Every event read so far, taken or not.
    pub fn heard(&self, name: &str) -> Vec<&EventFrame> {
        self.heard.iter().filter(|event| event.event == name).collect()
    }

    /// Forgets the events read so far, so that a client can stay for hours. Those of one name still wait to be taken.
    pub fn forget_events(&mut self, but: &str) {
        self.heard.clear();
        self.backlog.retain(|frame| match frame {
            Frame::Response(_) => true,
            Frame::Event(event) => event.event == but,
        });
    }

    /// Waits for the pong to a ping.
    pub async fn pong(&mut self) -> Vec<u8> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(pong) = self.pongs.pop_front() {
                return pong;
            }
            self.read_one(end, "a pong").await;
            assert!(self.ended.is_none(), "{:?} before a pong", self.ended);
        }
    }

    /// How often the gateway pinged so far. The library answers each when it reads on.
    pub fn pings(&self) -> u64 {
        self.pings
    }

    /// Reads on to the end; frames that come before it stay to be taken.
    pub async fn closed(&mut self) -> Close {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(close) = &self.ended {
                return close.clone();
            }
            self.read_one(end, "the end of the connection").await;
        }
    }

    /// Panics unless the connection ends with this close frame.
    pub async fn expect_close(&mut self, code: u16, reason: &str) {
        assert_eq!(self.closed().await, Close { code: Some(code), reason: reason.to_string() });
    }

    /// Ends the connection as a client does. Nothing may be left unanswered.
    pub async fn close(mut self) {
        let waiting = self.checks.waiting();
        assert!(waiting.is_empty(), "never answered: {waiting:?}");
        let _ = timeout(PATIENCE, self.socket.close(None)).await;
        self.closed().await;
    }

    /// What is known of this connection.
    pub fn checks(&mut self) -> &mut Checks {
        &mut self.checks
    }

    /// Reads on until there is such a frame. Whatever else comes meanwhile, such as ticks, wins no time.
    async fn take<T>(&mut self, what: &str, mut find: impl FnMut(&Frame) -> Option<T>) -> Result<T, Close> {
        let end = Instant::now() + PATIENCE;
        let mut place = 0;
        loop {
            while place < self.backlog.len() {
                if let Some(found) = find(&self.backlog[place]) {
                    self.backlog.remove(place);
                    return Ok(found);
                }
                place += 1;
            }
            if let Some(close) = &self.ended {
                return Err(close.clone());
            }
            self.read_one(end, what).await;
        }
    }

    /// The next frame from the socket; `None` is the end.
    async fn receive(&mut self) -> Option<Frame> {
        let end = Instant::now() + PATIENCE;
        while self.ended.is_none() {
            self.read_one(end, "a frame").await;
            if let Some(frame) = self.backlog.pop_front() {
                return Some(frame);
            }
        }
        None
    }

    /// Reads one message for a wait that has this end. A peer that always has another one ready does not put it off.
    async fn read_one(&mut self, end: Instant, what: &str) {
        let message = timeout_at(end, self.socket.next()).await.ok().filter(|_| Instant::now() < end);
        let message = message.unwrap_or_else(|| panic!("{what} did not come within {PATIENCE:?}"));
        match message {
            Some(Ok(Message::Text(text))) => {
                secrets::check_frame(text.as_str());
                let frame = self.checks.received(text.as_str());
                if let Frame::Event(event) = &frame {
                    self.heard.push(event.clone());
                }
                self.backlog.push_back(frame);
            }
            Some(Ok(Message::Ping(_))) => self.pings += 1,
            Some(Ok(Message::Pong(bytes))) => self.pongs.push_back(bytes.to_vec()),
            Some(Ok(Message::Close(frame))) => {
                let close = frame.map(|frame| (frame.code.into(), frame.reason.as_str().to_string()));
                let (code, reason) = close.map_or((None, String::new()), |(code, reason)| (Some(code), reason));
                self.ended.get_or_insert(Close { code, reason });
            }
            Some(Ok(other)) => panic!("a gateway sends text frames, not {other:?}"),
            Some(Err(_)) | None => {
                self.ended.get_or_insert(Close { code: None, reason: String::new() });
            }
        }
    }
}
