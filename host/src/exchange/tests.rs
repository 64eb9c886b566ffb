//! What an exchange takes and gives, without a socket.

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use metrics::Counter;
use plugin_api::Manifest;

use super::*;
use crate::mailbox::{Asked, Ear, Room};
use crate::place::Place;
use crate::plugin::{Freeing, Origin, RunningPlugin};

const BUFFERED: usize = 64 * 1024;

/// An exchange with a plugin that hears nothing.
fn exchange() -> Arc<Exchange> {
    let place = Place::workers("p", tokio::runtime::Handle::current());
    let (manifest, none) = (Manifest::new("p", "1"), Vec::new);
    let plugin = RunningPlugin::new(manifest, Origin::Linked, place, none(), none(), None, Freeing::default());
    let asked = Asked {
        exchange: 1,
        flags: 0,
        body_len: 0,
        verb: "GET".to_string(),
        path: "/p".to_string(),
        query: None,
        route: "/p".to_string(),
        head: "{}".to_string(),
    };
    let room = Room { letters: 16, bytes: 1024, lost: [Counter::noop(), Counter::noop()] };
    let mailbox = Mailbox::new(Ear::Exchange(Box::new(asked)), Arc::new(plugin), room);
    Arc::new(Exchange {
        number: 1,
        instance: 1,
        mailbox,
        gateway: Weak::new(),
        terms: Terms { buffered: BUFFERED, largest: 1024 * 1024, upgrade: true, bodiless: false },
        authority: None,
        state: Mutex::default(),
        begun: Notify::new(),
        asked: Notify::new(),
    })
}

fn begun(status: StatusCode) -> Arc<Exchange> {
    let exchange = exchange();
    assert_eq!(exchange.begin(status, HeaderMap::new()), GWP_OK);
    exchange
}

/// Takes all that waits for the peer, and tells how many pieces it was.
fn drained(exchange: &Exchange) -> usize {
    let mut context = Context::from_waker(Waker::noop());
    let mut pieces = 0;
    while let Poll::Ready(Next::Out(_)) = exchange.poll_out(&mut context) {
        pieces += 1;
    }
    assert_eq!(exchange.lock().out_bytes, 0, "nothing waits, and nothing takes room");
    pieces
}

#[tokio::test]
async fn empty_messages_take_room() {
    let exchange = begun(StatusCode::SWITCHING_PROTOCOLS);
    for _ in 0..2 {
        let taken = (0..100_000).take_while(|_| exchange.write(GWP_HTTP_TEXT, b"") == GWP_OK).count();
        assert_eq!(taken, BUFFERED / EACH);
        assert_eq!(drained(&exchange), taken);
    }
    let large = vec![0; 2 * BUFFERED];
    assert_eq!(exchange.write(GWP_HTTP_BINARY, &large), GWP_OK, "into an empty queue");
    assert_eq!(exchange.write(GWP_HTTP_BINARY, b""), GWP_BUSY);
    assert_eq!(drained(&exchange), 1);
}

#[tokio::test]
async fn a_large_part_of_a_body_leaves_in_pieces() {
    let exchange = begun(StatusCode::OK);
    assert_eq!(exchange.write(GWP_HTTP_BODY, &vec![0; 150 * 1024]), GWP_OK);
    assert_eq!(drained(&exchange), 3);
}

#[tokio::test]
async fn an_answer_that_has_no_body_is_whole_without_one() {
    for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
        let exchange = begun(status);
        drop(Body::streamed(exchange.clone(), None));
        assert!(!exchange.is_closed(), "{status}: the plugin comes to its end");
        assert_eq!((exchange.write(GWP_HTTP_BODY, b"nobody reads it"), exchange.end(0, "")), (GWP_OK, GWP_OK));
        assert!(exchange.is_closed(), "{status}");
    }
    let cut = begun(StatusCode::OK);
    drop(Body::streamed(cut.clone(), None));
    assert_eq!(cut.end(0, ""), GWP_GONE, "the peer went");
}

/// Whether somebody was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Its socket is kept for another request from then on, and not for ever.
#[tokio::test]
async fn who_watches_hears_of_an_end_behind_the_last_byte() {
    let exchange = begun(StatusCode::NO_CONTENT);
    drop(Body::streamed(exchange.clone(), None));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    assert_eq!(exchange.waiting_since(&Context::from_waker(&waker)), None);
    assert_eq!(exchange.end(0, ""), GWP_OK);
    assert!(exchange.is_closed() && woken.0.load(Ordering::Relaxed));
}
