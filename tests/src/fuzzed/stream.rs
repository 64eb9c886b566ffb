//! The byte stream of a WebSocket, as a peer sends it: cut wherever the network cuts it.

use std::io::{self, Cursor};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use clawhost::metrics::Metrics;
use clawhost::outbox::{Outbox, OutboxLimits, Shared};
use clawhost::socket::{Incoming, Socket, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::frame::FrameSocket;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, OpCode};

use super::choice;

/// Bytes of a stranger that are read at most.
const PREAUTH: usize = 300;
/// Bytes of a message that are read at most from a client.
const LARGEST: usize = 1000;
/// Pongs of a peer that reads nothing are kept up to this, and one more frame.
const MOST_CONTROL: usize = 64 * 1024 + 256;

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

pub fn run(data: &[u8]) {
    let (cut, bytes) = choice(data);
    let piece = usize::from(cut % 64) + 1;
    let (said, _) = read(bytes, piece, cut & 0x40 != 0);
    let total: usize = said.iter().map(String::len).sum();
    assert!(total <= bytes.len(), "nothing is read that was not sent");
    // However it is cut, it is the same, as long as a stranger does not send too much: then it ends sooner or later.
    if cut & 0x40 != 0 || bytes.len() <= PREAUTH {
        let (whole, _) = read(bytes, usize::MAX, cut & 0x40 != 0);
        assert_eq!(said, whole);
    }
    is_read_as_sent(bytes, piece);
}

/// A message that a client sends arrives as it was, and so does a ping.
fn is_read_as_sent(bytes: &[u8], piece: usize) {
    let text: String = String::from_utf8_lossy(bytes).chars().take(LARGEST / 4).collect();
    let mut sent = masked(0x89, b"ping");
    sent.extend(masked(0x81, text.as_bytes()));
    sent.extend(masked(0x82, text.as_bytes()));
    let (said, answered) = read(&sent, piece, true);
    assert_eq!(said, [text.clone(), text]);
    assert_eq!(answered, [(OpCode::Control(Control::Pong), b"ping".to_vec())]);
}

/// A frame of a client.
fn masked(kind: u8, content: &[u8]) -> Vec<u8> {
    let key = [0x5a, 0x00, 0xff, 0x31];
    let mut frame = match u16::try_from(content.len()).expect("it is short") {
        short @ 0..126 => vec![kind, 0x80 | short as u8],
        long => [&[kind, 0x80 | 126][..], &long.to_be_bytes()].concat(),
    };
    frame.extend(key);
    frame.extend(content.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// What was said until the peer or this side ended it, and the frames that were sent back of their own accord.
fn read(bytes: &[u8], piece: usize, is_known: bool) -> (Vec<String>, Vec<(OpCode, Vec<u8>)>) {
    let limits = OutboxLimits { buffered: 1 << 20, buffered_hard: 1 << 20, buffered_total: 1 << 20 };
    let outbox = Arc::new(Outbox::new(Arc::new(Shared::new(limits, &METRICS))));
    let written = Written::default();
    let wire = Wire { bytes: bytes.to_vec(), at: 0, piece, written: written.clone() };
    let counters = (METRICS.bytes_in.clone(), METRICS.bytes_out.clone());
    let mut socket = Socket::new(wire, (Vec::new(), Vec::new()), outbox, PREAUTH, counters);
    if is_known {
        socket.authenticated(LARGEST);
    }
    let most = if is_known { LARGEST } else { PREAUTH };
    let mut context = Context::from_waker(Waker::noop());
    let mut said = Vec::new();
    loop {
        match socket.poll_read(&mut context) {
            // The wire is never empty before its end, so nothing is waited for.
            Poll::Pending => panic!("it waits for more than there is"),
            Poll::Ready(Incoming::Text(text)) => {
                assert!(text.as_str().len() <= most, "a message over the limit");
                said.push(text.as_str().to_string());
            }
            Poll::Ready(Incoming::NotText) => said.push(String::new()),
            Poll::Ready(Incoming::Closed(_) | Incoming::Gone) => break,
            Poll::Ready(Incoming::Broken(code, _)) => {
                assert!([1002, 1007, 1009].contains(&code), "{code}");
                break;
            }
        }
    }
    let _ = socket.poll_write(&mut context);
    let written = written.lock();
    assert!(written.len() <= MOST_CONTROL, "{} bytes for a peer that does not read", written.len());
    let mut back = FrameSocket::new(Cursor::new(written.clone()));
    let answered = std::iter::from_fn(|| back.read(None).expect("what is sent is well-formed"))
        .map(|frame| (frame.header().opcode, frame.into_payload().to_vec()))
        .collect();
    (said, answered)
}

/// What went out.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A peer's bytes in pieces, and then its end.
struct Wire {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
    written: Written,
}

impl Stream for Wire {
    fn unread(&self) -> u64 {
        0
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = self.bytes.len() - self.at;
        let count = left.min(self.piece).min(buffer.remaining());
        buffer.put_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.lock().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
