//! One WebSocket over any byte stream. tungstenite reads and checks frames; what we send goes out as the bytes of the
//! connection's outbox, so that all that is queued leaves in one write. tungstenite is driven directly because the
//! limits of an open stream must change when the handshake is done.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use metrics::Counter;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use crate::frames;
use crate::outbox::Outbox;

/// Bytes asked of the socket at once. tungstenite zeroes its free read buffer before each read, and keeps it.
const READ_BUFFER: usize = 4 * 1024;

/// A byte stream under a WebSocket.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// False if there is certainly nothing to read, and whoever waits for it will be woken. A look without a lock: a task
    /// that was woken to write need not try to read.
    fn may_be_readable(&self) -> bool {
        true
    }

    /// Bytes that wait to be read, as the system itself says: readiness is only known as of the last time that anybody asked
    /// for it.
    fn unread(&self) -> u64;
}

impl Stream for TcpStream {
    fn may_be_readable(&self) -> bool {
        self.try_io(Interest::READABLE, || Ok(())).is_ok()
    }

    fn unread(&self) -> u64 {
        rustix::io::ioctl_fionread(self).unwrap_or_default()
    }
}

/// A frame that arrived, or the way the peer ended.
#[derive(Debug)]
pub enum Incoming {
    /// A text or binary message as text; both mean the same here.
    Text(FrameText),
    /// A binary message that is not UTF-8.
    NotText,
    /// The peer closed with this code and reason.
    Closed(Option<(u16, String)>),
    /// The peer went without a word.
    Gone,
    /// The peer broke the WebSocket protocol or a limit; close with this code.
    Broken(u16, &'static str),
}

/// The text of a message, still in the buffer it arrived in.
#[derive(Debug)]
pub struct FrameText(Message);

impl FrameText {
    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.to_text().unwrap_or("")
    }
}

/// A WebSocket connection of the server side.
pub struct Socket<S> {
    frames: WebSocket<Pipe<S>>,
    outbox: Arc<Outbox>,
    /// Bytes taken from the outbox, and how many of them are written.
    writing: (Vec<u8>, usize),
    /// How many bytes of `writing` were counted by the outbox and are still to be told of as written.
    counted: usize,
    /// Nothing was left to read, and the task is woken when there is.
    drained: bool,
    /// The system had no more room for what is to be written.
    stuck: bool,
    /// Bytes that waited to be read at the last look, if nothing was read since.
    unread: u64,
    bytes_out: Counter,
}

impl<S: Stream> Socket<S> {
    /// Takes over a stream after the upgrade, with what was read beyond it and what is to be written before any frame.
    ///
    /// Until [`Socket::authenticated`] is called at most `preauth_bytes` are read.
    pub fn new(
        stream: S,
        (read_ahead, held): (Vec<u8>, Vec<u8>),
        outbox: Arc<Outbox>,
        preauth_bytes: usize,
        bytes: (Counter, Counter),
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(preauth_bytes))
            .max_frame_size(Some(preauth_bytes));
        let budget = Some(preauth_bytes.saturating_sub(read_ahead.len()));
        let waker = Waker::noop().clone();
        let pipe = Pipe { stream, waker, control: held, budget, is_heard: false, bytes_in: bytes.0 };
        let frames = WebSocket::from_partially_read(pipe, read_ahead, Role::Server, Some(config));
        Socket {
            frames,
            outbox,
            writing: (Vec::new(), 0),
            counted: 0,
            drained: false,
            stuck: false,
            unread: 0,
            bytes_out: bytes.1,
        }
    }

    /// Raises the limits from those of a stranger to those of a client.
    pub fn authenticated(&mut self, max_payload: usize) {
        self.frames.get_mut().budget = None;
        self.frames.set_config(|config| {
            config.max_message_size = Some(max_payload);
            config.max_frame_size = Some(max_payload);
        });
    }

    /// The next message. Pings are answered on the way.
    pub fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Incoming> {
        let pipe = self.frames.get_mut();
        let same_task = pipe.waker.will_wake(context.waker());
        if self.drained && same_task && !pipe.stream.may_be_readable() {
            return Poll::Pending;
        }
        self.drained = false;
        if !same_task {
            pipe.waker.clone_from(context.waker());
        }
        loop {
            let read = self.frames.read();
            if std::mem::take(&mut self.frames.get_mut().is_heard) {
                self.unread = 0;
                self.outbox.heard();
            }
            match read {
                Ok(message @ Message::Text(_)) => return Poll::Ready(Incoming::Text(FrameText(message))),
                Ok(message @ Message::Binary(_)) => {
                    let is_text = message.to_text().is_ok();
                    return Poll::Ready(if is_text { Incoming::Text(FrameText(message)) } else { Incoming::NotText });
                }
                Ok(Message::Close(frame)) => {
                    let _ = self.frames.flush();
                    return Poll::Ready(Incoming::Closed(
                        frame.map(|frame| (frame.code.into(), frame.reason.as_str().to_string())),
                    ));
                }
                // Whoever pings on and on and takes no pong is not kept.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => match self.frames.flush() {
                    Ok(()) => {}
                    Err(error) => return Poll::Ready(ending(&error)),
                },
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    // A task whose turn is over was not told whether there is more, and nothing but its next turn will wake it.
                    self.drained = coop::has_budget_remaining();
                    return Poll::Pending;
                }
                Err(error) => return Poll::Ready(ending(&error)),
            }
        }
    }

    /// Whether the peer has said nothing for so long that it is taken for gone. What has arrived and was not read yet counts,
    /// however long this side was held up.
    pub fn is_silent(&mut self) -> bool {
        if !self.outbox.is_silent() {
            return false;
        }
        // One who is not read, for it takes nothing, is not heard by what it sent long ago.
        let unread = self.frames.get_ref().stream.unread();
        if unread > std::mem::replace(&mut self.unread, unread) {
            self.outbox.heard();
        }
        self.outbox.is_silent()
    }

    /// Writes all that is queued. Ready when nothing is left; the outbox will wake the task when there is more.
    pub fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let (bytes, done) = &mut self.writing;
            if *done < bytes.len() {
                let pipe = self.frames.get_mut();
                let Poll::Ready(count) = Pin::new(&mut pipe.stream).poll_write(context, &bytes[*done..])? else {
                    // Or the task's turn is over, which says nothing of the peer.
                    if coop::has_budget_remaining() {
                        self.stuck = true;
                        self.outbox.asked();
                    }
                    return Poll::Pending;
                };
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                // There is room again, so the peer has taken something: it lives, though its pong may be far behind.
                if std::mem::take(&mut self.stuck) {
                    self.outbox.heard();
                }
                *done += count;
                self.bytes_out.increment(count as u64);
                let from_outbox = count.min(self.counted);
                self.counted -= from_outbox;
                self.outbox.written(from_outbox);
                continue;
            }
            // A spent buffer is given back: an idle connection holds none.
            self.writing = (std::mem::take(&mut self.frames.get_mut().control), 0);
            if let Some(bytes) = self.outbox.take(context.waker()) {
                self.counted = bytes.len();
                match &mut self.writing.0 {
                    control if control.is_empty() => *control = bytes,
                    control => control.extend_from_slice(&bytes),
                }
            }
            if self.writing.0.is_empty() {
                return Pin::new(&mut self.frames.get_mut().stream).poll_flush(context);
            }
        }
    }

    /// Forgets frames that were taken to be written and have not begun, but for the close: a peer that fell behind has no use
    /// for them, and others have for the memory.
    pub fn drop_unbegun(&mut self) {
        let (bytes, done) = &mut self.writing;
        let end = frames::end_of_begun(bytes, *done);
        let dropped = bytes.drain(end..frames::close_from(bytes, end)).len().min(self.counted);
        bytes.shrink_to_fit();
        self.counted -= dropped;
        self.outbox.written(dropped);
    }

    /// Whether pongs or a close reply wait to be written.
    pub fn has_control(&self) -> bool {
        !self.frames.get_ref().control.is_empty()
    }

    /// Reads and forgets until the peer ends its side.
    pub fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 2048];
        loop {
            let mut read = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.frames.get_mut().stream).poll_read(context, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Ends our side of the byte stream.
    pub fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.frames.get_mut().stream).poll_shutdown(context)
    }
}

/// What an error of the frame reader means for the peer.
fn ending(error: &Error) -> Incoming {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Incoming::Broken(1009, ""),
        Error::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => Incoming::Broken(1009, ""),
        Error::Utf8(_) => Incoming::Broken(1007, ""),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Incoming::Gone,
        Error::Protocol(_) => Incoming::Broken(1002, ""),
        _ => Incoming::Gone,
    }
}

/// The byte stream as tungstenite sees it: reads go to the socket, writes (pongs and close replies, whole frames each)
/// are kept until the task writes.
struct Pipe<S> {
    stream: S,
    waker: Waker,
    control: Vec<u8>,
    /// Bytes a peer may still send before it is authenticated.
    budget: Option<usize>,
    /// Something was read.
    is_heard: bool,
    bytes_in: Counter,
}

impl<S: AsyncRead + Unpin> Read for Pipe<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = ReadBuf::new(buffer);
        let mut context = Context::from_waker(&self.waker);
        match Pin::new(&mut self.stream).poll_read(&mut context, &mut read) {
            Poll::Ready(Ok(())) => {
                let count = read.filled().len();
                self.bytes_in.increment(count as u64);
                self.is_heard |= count > 0;
                if let Some(budget) = &mut self.budget {
                    *budget = budget.checked_sub(count).ok_or(io::ErrorKind::FileTooLarge)?;
                }
                Ok(count)
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S> Write for Pipe<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        /// Pongs to a peer that pings and never reads.
        const MAX_CONTROL: usize = 64 * 1024;
        if self.control.len() > MAX_CONTROL {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.control.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::time::Duration;

    use metrics::Counter;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;
    use crate::metrics::Metrics;
    use crate::outbox::{OutboxLimits, Shared};

    /// A masked text frame of two bytes.
    const FRAME: [u8; 8] = [0x81, 0x82, 0, 0, 0, 0, b'h', b'i'];

    /// A socket over this stream, which held something back to be written first.
    fn over<S: Stream>(stream: S, held: &[u8]) -> Socket<S> {
        let limits = OutboxLimits { buffered: 1 << 20, buffered_hard: 1 << 20, buffered_total: 1 << 20 };
        let outbox = Arc::new(Outbox::new(Arc::new(Shared::new(limits, &Metrics::new()))));
        Socket::new(stream, (Vec::new(), held.to_vec()), outbox, 1 << 16, (Counter::noop(), Counter::noop()))
    }

    async fn connected() -> (Socket<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it listens");
        let (server, _) = listener.accept().await.expect("it came");
        (over(server, b""), client)
    }

    /// Takes whatever it is given, and keeps what came in which write.
    #[derive(Default)]
    struct Writes(Vec<Vec<u8>>);

    impl AsyncRead for Writes {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Writes {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.0.push(bytes.to_vec());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl Stream for Writes {
        fn unread(&self) -> u64 {
            0
        }
    }

    #[test]
    fn all_that_is_queued_leaves_in_one_write() {
        const QUEUED: usize = 64;
        let answer = b"{\"type\":\"res\"}";
        let mut context = Context::from_waker(Waker::noop());
        let mut socket = over(Writes::default(), b"granted");
        for batch in 1..=3 {
            for _ in 0..QUEUED {
                socket.outbox.response(|out| out.extend_from_slice(answer)).expect("room");
            }
            if batch == 2 {
                // A pong goes along.
                socket.frames.get_mut().write_all(&[0x8a, 0]).expect("room");
            }
            assert!(matches!(socket.poll_write(&mut context), Poll::Ready(Ok(()))));
            // Nothing more is queued, so nothing more is written.
            assert!(matches!(socket.poll_write(&mut context), Poll::Ready(Ok(()))));
            let writes = &socket.frames.get_ref().stream.0;
            assert_eq!(writes.len(), batch, "a write for each batch");
            let before = [0, 7, 2, 0][batch];
            assert_eq!(writes[batch - 1].len(), before + QUEUED * (2 + answer.len()), "and all of it in that one");
        }
        let writes = &socket.frames.get_ref().stream.0;
        assert!(writes[0].starts_with(b"granted") && writes[1].starts_with(&[0x8a, 0]));
    }

    #[tokio::test]
    async fn a_turn_that_ends_where_nothing_is_left_to_read_is_followed_by_another_look() {
        let (mut socket, mut client) = connected().await;
        let (rests, rested) = oneshot::channel();
        let (mut rests, mut heard, mut is_first_turn) = (Some(rests), 0, true);
        let both = poll_fn(move |context| {
            while let Poll::Ready(read) = socket.poll_read(context) {
                assert!(matches!(read, Incoming::Text(text) if text.as_str() == "hi"));
                heard += 1;
                if heard == 2 {
                    return Poll::Ready(());
                }
                // All is read, nobody has said so yet, and here the turn ends.
                while coop::has_budget_remaining() {
                    let _ = pin!(coop::consume_budget()).poll(context);
                }
            }
            if heard == 1 && !std::mem::take(&mut is_first_turn) {
                rests.take().map(|rests| rests.send(()));
            }
            Poll::Pending
        });
        client.write_all(&FRAME).await.expect("room");
        // A task of its own: nothing else wakes it.
        let both = tokio::spawn(both);
        rested.await.expect("it rests");
        client.write_all(&FRAME).await.expect("room");
        let both = timeout(Duration::from_secs(10), both).await;
        both.expect("it is woken by what arrives").expect("no panic");
    }
}
