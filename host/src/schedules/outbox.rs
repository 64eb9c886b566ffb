//! Broadcasts, answers and a close on their way to one connection, from several threads at once, while it joins and while its
//! writer sleeps: nothing is lost, doubled or out of order, the writer is woken, and no byte stays counted.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use plugin_api::EventSpec;
use shuttle::future::block_on;
use shuttle::thread::{self, JoinHandle};

use super::{connection, frames, shared, under_all_orders};
use crate::broadcasts::{Broadcast, Deliver};
use crate::connections::{Connection, Connections};
use crate::outbox::{Full, Shared};
use crate::registry::EventEntry;

/// The connections of a gateway, and what their outboxes share.
struct Room {
    connections: Connections,
    shared: Arc<Shared>,
}

impl Room {
    fn new(buffered: usize) -> Arc<Room> {
        Arc::new(Room { connections: Connections::new(), shared: shared(buffered) })
    }

    fn deliver(&self) {
        self.shared.broadcasts.deliver(|first, list| self.connections.each(|one| one.outbox.deliver(first, list)));
    }

    /// Publishes an event of this name, which somebody delivers.
    fn publish(&self, name: &str) {
        let entry = Arc::new(EventEntry::new(None, EventSpec::everyone("e")).expect("no scopes"));
        let open = format!("{{\"name\":\"{name}\"").into_bytes();
        if self.shared.broadcasts.publish(Broadcast { entry, open, droppable: false }) != Deliver::Promised {
            thread::yield_now();
            self.deliver();
        }
    }
}

/// Writes until a close was queued: all that was sent.
fn writer(connection: &Arc<Connection>) -> JoinHandle<Vec<String>> {
    let outbox = connection.outbox.clone();
    thread::spawn(move || {
        let mut sent = Vec::new();
        while !sent.last().is_some_and(|frame: &String| frame.ends_with("end")) {
            let bytes = block_on(poll_fn(|context| outbox.take(context.waker()).map_or(Poll::Pending, Poll::Ready)));
            // Awake from here until it finds nothing to take.
            outbox.attend();
            sent.extend(frames(&bytes));
            thread::yield_now();
            outbox.written(bytes.len());
        }
        sent
    })
}

/// Names of the events in these frames, after a look at their numbers.
fn events(sent: &[String]) -> Vec<&str> {
    let numbered: Vec<(&str, usize)> = sent
        .iter()
        .filter_map(|frame| frame.strip_prefix("{\"name\":\"")?.strip_suffix('}')?.split_once("\",\"seq\":"))
        .map(|(name, seq)| (name, seq.parse().expect("a number")))
        .collect();
    let counted = numbered.iter().map(|(_, seq)| *seq);
    assert!(counted.eq(1..=numbered.len()), "seq has no holes: {sent:?}");
    numbered.into_iter().map(|(name, _)| name).collect()
}

fn place(sent: &[String], part: &str) -> usize {
    sent.iter().position(|frame| frame.contains(part)).unwrap_or_else(|| panic!("{part} was not sent: {sent:?}"))
}

#[test]
fn whoever_joins_hears_everything_from_there_on_once_and_in_order() {
    under_all_orders(|| {
        let room = Room::new(1 << 20);
        let newcomer = connection(&room.shared);
        let writing = writer(&newcomer);
        let publishers: Vec<_> = ["a", "b"]
            .into_iter()
            .map(|who| {
                let room = room.clone();
                thread::spawn(move || (1..=2).for_each(|count| room.publish(&format!("{who}{count}"))))
            })
            .collect();
        room.publish("before");
        let mut shown = 0;
        room.connections.join(newcomer.clone(), |one| {
            // What was published until here is in the snapshot that a hello shows.
            shown = room.shared.broadcasts.next() as usize;
            one.outbox.response(|out| out.extend_from_slice(b"hello")).expect("room");
        });
        room.publish("after");
        newcomer.outbox.response(|out| out.extend_from_slice(b"answer")).expect("room");
        publishers.into_iter().for_each(|thread| thread.join().expect("a publisher"));
        room.publish("last");
        newcomer.outbox.close(1000, "end");
        let sent = writing.join().expect("the writer ends");

        assert_eq!((sent[0].as_str(), sent.iter().filter(|frame| *frame == "hello").count()), ("hello", 1));
        let heard = events(&sent);
        let mut once = heard.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), heard.len(), "twice: {heard:?}");
        assert!(!heard.contains(&"before"), "it was over: {heard:?}");
        assert!(shown + heard.len() >= 7, "of seven events {shown} were shown, and heard were {heard:?}");
        assert_eq!(heard.last(), Some(&"last"));
        assert!(place(&sent, "after") < place(&sent, "answer"), "an answer comes behind what was published before it");
        for who in ["a", "b"] {
            let own: Vec<&str> =
                heard.iter().copied().filter(|name| name.starts_with(who) && name.len() == 2).collect();
            let tail = [format!("{who}1"), format!("{who}2")];
            assert!(tail.ends_with(&own.iter().map(ToString::to_string).collect::<Vec<_>>()), "{who}: {heard:?}");
        }
        assert_eq!(room.shared.total.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn two_connections_hear_the_same_in_the_same_order() {
    under_all_orders(|| {
        let room = Room::new(1 << 20);
        let both = [connection(&room.shared), connection(&room.shared)];
        for one in &both {
            room.connections.join(one.clone(), |_| ());
        }
        let writing = both.each_ref().map(writer);
        let publishers: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .map(|who| {
                let room = room.clone();
                thread::spawn(move || room.publish(who))
            })
            .collect();
        publishers.into_iter().for_each(|thread| thread.join().expect("a publisher"));
        both.iter().for_each(|one| one.outbox.close(1000, "end"));
        let sent = writing.map(|thread| thread.join().expect("the writer ends"));
        let heard = sent.each_ref().map(|sent| events(sent));
        assert_eq!((heard[0].len(), &heard[0]), (3, &heard[1]));
    });
}

/// Large enough that the total of all connections is told of it.
const LARGE: usize = 20 * 1024;

#[test]
fn no_byte_stays_counted_whichever_way_a_connection_ends() {
    under_all_orders(|| {
        let room = Room::new(LARGE);
        let one = connection(&room.shared);
        room.connections.join(one.clone(), |_| ());
        let answering: Vec<_> = (0..2)
            .map(|_| {
                let outbox = one.outbox.clone();
                thread::spawn(move || {
                    for _ in 0..3 {
                        match outbox.response(|out| out.resize(out.len() + LARGE, b'x')) {
                            Ok(()) | Err(Full::Closed) => {}
                            Err(full) => assert_eq!(full, Full::Overflow("max_buffered_hard_bytes")),
                        }
                    }
                })
            })
            .collect();
        let publishing = {
            let room = room.clone();
            thread::spawn(move || (0..2).for_each(|_| room.publish("e")))
        };
        // Its own task takes, writes, and in the end finds that the peer has gone.
        for _ in 0..2 {
            if let Some(bytes) = one.outbox.take(std::task::Waker::noop()) {
                thread::yield_now();
                one.outbox.written(bytes.len() / 2);
                one.outbox.written(bytes.len() - bytes.len() / 2);
            }
        }
        room.connections.leave(one.number);
        one.outbox.shut();
        for thread in answering.into_iter().chain([publishing]) {
            thread.join().expect("it ends");
        }
        assert_eq!(one.outbox.response(|_| ()), Err(Full::Closed));
        assert_eq!(room.shared.total.load(Ordering::Relaxed), 0);
        assert!(!one.outbox.is_backed_up());
        // Nobody is left to take what was published, and still it is forgotten.
        room.deliver();
        assert!(room.shared.broadcasts.since(0).is_empty());
    });
}

#[test]
fn whoever_waits_until_no_request_runs_is_woken() {
    under_all_orders(|| {
        let one = connection(&shared(1 << 20));
        let requests: Vec<_> = (0..3)
            .map(|_| {
                one.in_flight.fetch_add(1, Ordering::Relaxed);
                let one = one.clone();
                thread::spawn(move || one.request_ended())
            })
            .collect();
        block_on(one.idle());
        assert_eq!(one.in_flight.load(Ordering::Relaxed), 0);
        requests.into_iter().for_each(|thread| thread.join().expect("it ends"));
    });
}
