//! A gateway that does what the test says, frame by frame.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

pub const NONCE: &str = "3f1c2b7e-9f60-4a55-8d0a-5b6c7d8e9f01";

/// A listening gateway.
pub struct Gateway {
    listener: TcpListener,
}

/// One connection, from the gateway's side.
pub struct Peer<S = TcpStream> {
    socket: WebSocketStream<S>,
}

impl Gateway {
    pub async fn listen() -> Self {
        Gateway { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.listener.local_addr().unwrap())
    }

    pub async fn tcp(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    /// Accepts a connection and sends the challenge.
    pub async fn accept(&self) -> Peer {
        Peer::challenge(self.tcp().await).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub async fn challenge(stream: S) -> Self {
        let socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let mut peer = Peer { socket };
        peer.event("connect.challenge", json!({"nonce": NONCE, "ts": 1_737_264_000_000u64}), None).await;
        peer
    }

    /// The next request; panics when the client closes instead.
    pub async fn request(&mut self) -> Value {
        let message = self.socket.next().await.expect("a request").expect("a message");
        serde_json::from_str(message.to_text().unwrap()).unwrap_or_else(|_| panic!("a request, not {message:?}"))
    }

    /// How the client closes, after whatever it still says.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return (frame.code.into(), frame.reason.to_string()),
                Some(Ok(_)) => {}
                end => panic!("a close frame, not {end:?}"),
            }
        }
    }

    pub async fn say(&mut self, frame: Value) {
        self.text(frame.to_string()).await;
    }

    pub async fn text(&mut self, text: String) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub async fn binary(&mut self, frame: Value) {
        self.socket.send(Message::binary(frame.to_string().into_bytes())).await.unwrap();
    }

    pub async fn answer(&mut self, request: &Value, payload: Value) {
        self.say(json!({"type": "res", "id": request["id"], "ok": true, "payload": payload})).await;
    }

    pub async fn refuse(&mut self, request: &Value, error: Value) {
        self.say(json!({"type": "res", "id": request["id"], "ok": false, "error": error})).await;
    }

    pub async fn event(&mut self, event: &str, payload: Value, seq: Option<u64>) {
        let mut frame = json!({"type": "event", "event": event, "payload": payload});
        if let Some(seq) = seq {
            frame["seq"] = seq.into();
        }
        self.say(frame).await;
    }

    pub async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: reason.to_string().into() };
        // The client may have gone already.
        let _ = self.socket.close(Some(frame)).await;
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    /// Lets the client in; gives the parameters it came with.
    pub async fn welcome(&mut self) -> Value {
        self.welcome_with(json!({})).await
    }

    /// [`Peer::welcome`] with other fields in hello-ok.
    pub async fn welcome_with(&mut self, more: Value) -> Value {
        let mut request = self.request().await;
        assert_eq!(request["method"], "connect");
        let mut hello = hello();
        for (key, value) in more.as_object().unwrap() {
            hello[key] = value.clone();
        }
        self.answer(&request, hello).await;
        request["params"].take()
    }
}

pub fn hello() -> Value {
    json!({
        "type": "hello-ok", "protocol": 3, "server": {"version": "1", "connId": "c-1"},
        "features": {"methods": ["health"], "events": ["tick"]},
        "snapshot": {"presence": [], "health": {}, "stateVersion": {"presence": 1, "health": 1}, "uptimeMs": 1},
        "policy": {"maxPayload": 4096, "maxBufferedBytes": 65536, "tickIntervalMs": 30000},
    })
}

/// Fails a test that hangs.
pub async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), work).await.expect("within ten seconds")
}
