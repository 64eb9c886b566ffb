//! HTTP and WebSocket as bytes, for what no library would send.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::client::{Close, PATIENCE};
use super::door::{Carrier, Door};

/// The answer to a plain request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head, in lower case.
    pub head: String,
    /// Its body.
    pub body: String,
}

impl Answer {
    fn read(text: &str) -> Answer {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_string() }
    }
}

/// Sends a request as it is and reads all of the answer.
pub async fn http(port: u16, request: &str) -> Answer {
    http_at(&Door::from(SocketAddr::from(([127, 0, 0, 1], port))), request).await
}

/// The same wherever a gateway is.
pub async fn http_at(door: &Door, request: &str) -> Answer {
    let exchange = async {
        let (mut answer, mut way) = tokio::io::split(door.open().await);
        // Both at once: a peer that answers while it reads waits for room, as this side would. Whether all was taken, the
        // answer says.
        let writing = async {
            let _ = way.write_all(request.as_bytes()).await;
            let _ = way.flush().await;
        };
        let mut bytes = Vec::new();
        let _ = tokio::join!(writing, answer.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let first = request.lines().next().unwrap_or_default();
    let text = timeout(PATIENCE, exchange).await.unwrap_or_else(|_| panic!("no end of an answer to {first:.200}"));
    Answer::read(&text)
}

/// Sends all of a request, and reads nothing of the answer before. Neither may be cut off.
pub async fn http_afterwards(door: &Door, request: &str) -> Answer {
    let exchange = async {
        let mut stream = door.open().await;
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let first = request.lines().next().unwrap_or_default();
    let ended = timeout(PATIENCE, exchange).await.unwrap_or_else(|_| panic!("no end of an answer to {first:.200}"));
    Answer::read(&ended.unwrap_or_else(|error| panic!("{first:.200} was cut off: {error}")))
}

/// An upgraded connection whose frames the test writes byte by byte.
pub struct Raw {
    stream: Box<dyn Carrier>,
    read: Vec<u8>,
}

impl Raw {
    /// Upgrades on this machine, and reads up to the end of the answer's head.
    pub async fn open(port: u16) -> Raw {
        Raw::open_at(&Door::from(SocketAddr::from(([127, 0, 0, 1], port)))).await
    }

    /// The same at any address.
    pub async fn open_at(door: &Door) -> Raw {
        let mut stream = door.open().await;
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            door.address
        );
        stream.write_all(request.as_bytes()).await.expect("the request is taken");
        stream.flush().await.expect("the request is sent");
        let mut raw = Raw { stream, read: Vec::new() };
        let end = loop {
            match raw.read.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => assert!(raw.more().await, "the upgrade was not answered"),
            }
        };
        let head = String::from_utf8_lossy(&raw.read[..end]).into_owned();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        // RFC 6455's own example of a key and its answer.
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        raw.read.drain(..end);
        raw
    }

    /// Sends bytes; a peer that has closed already is no fault.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// Reads frames until the close frame: its code and reason. `None` is an end without one.
    pub async fn close(&mut self) -> Option<Close> {
        loop {
            match self.frame().await? {
                (8, payload) => {
                    let (code, reason) = payload.split_first_chunk::<2>()?;
                    let reason = String::from_utf8_lossy(reason).into_owned();
                    return Some(Close { code: Some(u16::from_be_bytes(*code)), reason });
                }
                _ => continue,
            }
        }
    }

    /// The next frame: opcode and payload.
    pub async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((opcode, start, length)) = frame_header(&self.read)
                && self.read.len() >= start + length
            {
                let payload = self.read[start..start + length].to_vec();
                self.read.drain(..start + length);
                return Some((opcode, payload));
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Whether the peer ends the connection within a while.
    pub async fn ends(&mut self) -> bool {
        timeout(PATIENCE, async { while self.more().await {} }).await.is_ok()
    }

    async fn more(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match timeout(PATIENCE, self.stream.read(&mut bytes)).await.expect("bytes or an end") {
            Ok(count) if count > 0 => {
                self.read.extend_from_slice(&bytes[..count]);
                true
            }
            _ => false,
        }
    }

    /// A frame with a mask of zeros, so that its payload stands in it as it is.
    pub fn masked(first_byte: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first_byte];
        match payload.len() {
            length @ 0..126 => bytes.push(0x80 | length as u8),
            length @ 126..65536 => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                bytes.push(0x80 | 127);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(payload);
        bytes
    }
}

/// Opcode, start and length of the payload of a server's frame, as soon as its head is there.
pub fn frame_header(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    assert_eq!(first & 0x70, 0, "reserved bits are set");
    assert_eq!(second & 0x80, 0, "a server masks nothing");
    let (start, length) = match second {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        length => (2, length as usize),
    };
    Some((first & 0x0f, start, length))
}

/// Longer than any answer takes, shorter than a test may.
pub(super) const fn patience() -> Duration {
    Duration::from_secs(20)
}
