//! The way from whoever logs to the writing thread: bounded, and never waiting.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use tracing_subscriber::fmt::MakeWriter;

use super::counts;

/// What the writing thread is told.
pub(super) enum Message {
    /// A line to write, its newline included.
    Line(Vec<u8>),
    /// So many lines did not fit into the queue.
    Lost(u64),
    /// Somebody begins to repeat itself: there will be something to sum up.
    HeldBack,
    /// Answer when everything before this is written.
    Flush(SyncSender<()>),
    /// End.
    Stop,
}

/// The sending end.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl Queue {
    pub(super) fn new(sender: SyncSender<Message>) -> Self {
        Queue { sender, lost: Arc::default() }
    }

    /// Hands a message over if there is room; a line without room is counted.
    pub(super) fn offer(&self, message: Message) {
        if self.lost.load(Ordering::Relaxed) > 0 {
            // Taken before it is told: somebody else may be about to tell the same.
            let lost = self.lost.swap(0, Ordering::Relaxed);
            if lost > 0 && self.sender.try_send(Message::Lost(lost)).is_err() {
                self.lost.fetch_add(lost, Ordering::Relaxed);
            }
        }
        if let Err(TrySendError::Full(Message::Line(_))) = self.sender.try_send(message) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            counts::lose();
        }
    }

    /// Hands a message over, waiting for room. False if nobody listens.
    pub(super) fn send(&self, message: Message) -> bool {
        self.sender.send(message).is_ok()
    }
}

/// One formatted line on its way.
pub(super) struct Line<'q> {
    queue: &'q Queue,
    bytes: Vec<u8>,
}

impl<'q> MakeWriter<'q> for Queue {
    type Writer = Line<'q>;

    fn make_writer(&'q self) -> Line<'q> {
        Line { queue: self, bytes: Vec::new() }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.queue.offer(Message::Line(std::mem::take(&mut self.bytes)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn a_full_queue_loses_lines_and_says_how_many() {
        let (sender, receiver) = sync_channel(2);
        let queue = Queue::new(sender);
        for _ in 0..5 {
            queue.make_writer().write_all(b"line\n").unwrap();
        }
        assert!(matches!(receiver.recv(), Ok(Message::Line(_))));
        assert!(matches!(receiver.recv(), Ok(Message::Line(_))));
        queue.make_writer().write_all(b"line\n").unwrap();
        assert!(matches!(receiver.recv(), Ok(Message::Lost(3))));
        assert!(matches!(receiver.recv(), Ok(Message::Line(line)) if line == b"line\n"));
        drop(receiver);
        queue.offer(Message::HeldBack);
        assert!(!queue.send(Message::Stop));
    }

    #[test]
    fn a_line_is_lost_once_whoever_says_so() {
        const THREADS: u64 = 4;
        const LINES: u64 = 20_000;
        let (sender, receiver) = sync_channel(2);
        let queue = Queue::new(sender);
        let untold = queue.lost.clone();
        for _ in 0..THREADS {
            let queue = queue.clone();
            std::thread::spawn(move || (0..LINES).for_each(|_| queue.offer(Message::Line(Vec::new()))));
        }
        drop(queue);
        let (mut written, mut told) = (0, 0);
        for message in receiver {
            match message {
                Message::Lost(lines) => told += lines,
                _ => written += 1,
            }
        }
        assert_eq!(written + told + untold.load(Ordering::Relaxed), THREADS * LINES);
    }
}
