//! A network that loses or doubles one frame of each connection: whoever relies on this tool can see that it notices.

use std::sync::Arc;

use clawhost_tests::support::frame_header;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::Arguments;

/// What becomes of which frame.
pub struct Spoil {
    /// The first one of each connection that holds this. One of any connection would not do: who leaves before the next
    /// event cannot miss the last.
    part: String,
    /// How often it arrives.
    times: usize,
}

impl Spoil {
    pub fn asked_for(arguments: &Arguments) -> Option<Arc<Self>> {
        let (part, times) = match (&arguments.lose, &arguments.double) {
            (Some(part), _) => (part.clone(), 0),
            (None, Some(part)) => (part.clone(), 2),
            (None, None) => return None,
        };
        Some(Arc::new(Spoil { part, times }))
    }

    /// Stands between everybody and the gateway on this port: the port to come to instead.
    pub async fn before(self: Arc<Self>, gateway: u16) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let spoil = self.clone();
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", gateway)).await else { return };
                    let _ = (client.set_nodelay(true), server.set_nodelay(true));
                    let (mut from_client, to_client) = client.into_split();
                    let (from_server, mut to_server) = server.into_split();
                    // Whichever side ends first ends it.
                    tokio::select! {
                        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
                        _ = spoil.carry(from_server, to_client) => {}
                    }
                });
            }
        });
        port
    }

    /// Passes on what the gateway says: the head of its answer, and then frames, if it switches to them.
    async fn carry(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if from.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        };
        let has_frames = bytes.starts_with(b"HTTP/1.1 101");
        let mut is_done = false;
        to.write_all(&bytes[..head]).await?;
        bytes.drain(..head);
        loop {
            while let Some(frame) = self.first(&mut bytes, has_frames, &mut is_done) {
                to.write_all(&frame).await?;
            }
            if from.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Takes what can be passed on: one whole frame, as often as it shall arrive, or whatever is there.
    fn first(&self, bytes: &mut Vec<u8>, has_frames: bool, is_done: &mut bool) -> Option<Vec<u8>> {
        if !has_frames {
            return (!bytes.is_empty()).then(|| std::mem::take(bytes));
        }
        let (_, start, length) = frame_header(bytes)?;
        if bytes.len() < start + length {
            return None;
        }
        let frame: Vec<u8> = bytes.drain(..start + length).collect();
        let is_it = !*is_done && String::from_utf8_lossy(&frame[start..]).contains(&self.part);
        *is_done |= is_it;
        let times = if is_it { self.times } else { 1 };
        Some(frame.repeat(times))
    }
}
