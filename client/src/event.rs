//! What a connection hears. Every stream has a bounded buffer of its own: one that is not read loses its oldest events and
//! is told how many, and neither the socket nor another stream waits for it.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::ClientError;

/// An event frame; its payload is unparsed.
pub use schemas::frame::Event as EventFrame;

/// Something that happened on a connection.
#[derive(Debug, Clone)]
pub enum Event {
    /// The gateway sent an event.
    Frame(Arc<EventFrame>),
    /// The gateway's count jumped: events between the two were lost, and state should be fetched anew. Comes before the
    /// frame that showed it.
    Gap {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        received: u64,
    },
    /// This stream was not read in time and lost events.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl Event {
    /// The frame, if it is one.
    pub fn frame(&self) -> Option<&EventFrame> {
        match self {
            Event::Frame(frame) => Some(frame),
            _ => None,
        }
    }

    /// The payload of the frame with this name; `None` for every other event.
    pub fn payload<T: DeserializeOwned>(&self, name: &str) -> Option<Result<T, ClientError>> {
        let frame = self.frame().filter(|frame| frame.event == name)?;
        let text = frame.payload.as_deref().map_or("null", RawValue::get);
        Some(
            serde_json::from_str(text)
                .map_err(|error| ClientError::Shape { method: format!("event {name}"), problem: error.to_string() }),
        )
    }
}

/// Events as they come.
#[derive(Debug)]
pub struct EventStream {
    receiver: Option<broadcast::Receiver<Event>>,
}

impl EventStream {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        EventStream { receiver: Some(receiver) }
    }

    pub(crate) fn ended() -> Self {
        EventStream { receiver: None }
    }

    /// The next event; `None` once the connection is closed and everything before was read. May be cancelled and called
    /// again without losing anything.
    pub async fn next(&mut self) -> Option<Event> {
        match self.receiver.as_mut()?.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(Event::Lagged { missed }),
            Err(RecvError::Closed) => {
                self.receiver = None;
                None
            }
        }
    }

    /// The next event frame with this name; everything before it is dropped.
    pub async fn next_named(&mut self, name: &str) -> Option<Arc<EventFrame>> {
        loop {
            match self.next().await? {
                Event::Frame(frame) if frame.event == name => return Some(frame),
                _ => {}
            }
        }
    }
}

/// Watches the count of a connection's broadcasts.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    last: Option<u64>,
}

impl Sequence {
    /// Takes the next number; gives the gap if there is one. The first number of a connection may be any, since old
    /// gateways count for all connections together, and a lower one is a gateway that counts anew.
    pub(crate) fn observe(&mut self, received: u64) -> Option<Event> {
        let expected = self.last.replace(received).map(|last| last.saturating_add(1));
        expected.filter(|expected| received > *expected).map(|expected| Event::Gap { expected, received })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_jump_ahead_is_a_gap() {
        let mut sequence = Sequence::default();
        let gaps: Vec<_> = [7, 8, 10, 3, 4, 4, 6, u64::MAX, 1]
            .into_iter()
            .filter_map(|seq| match sequence.observe(seq) {
                Some(Event::Gap { expected, received }) => Some((expected, received)),
                _ => None,
            })
            .collect();
        assert_eq!(gaps, [(9, 10), (5, 6), (7, u64::MAX)]);
    }

    #[tokio::test]
    async fn a_slow_stream_is_told_what_it_lost() {
        let (sender, receiver) = broadcast::channel(2);
        let mut stream = EventStream::new(receiver);
        for seq in 0..5 {
            sender.send(Event::Gap { expected: 0, received: seq }).unwrap();
        }
        assert!(matches!(stream.next().await, Some(Event::Lagged { missed: 3 })));
        assert!(matches!(stream.next().await, Some(Event::Gap { received: 3, .. })));
        drop(sender);
        assert!(matches!(stream.next().await, Some(Event::Gap { received: 4, .. })));
        assert!(stream.next().await.is_none() && stream.next().await.is_none());
    }
}
