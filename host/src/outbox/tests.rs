use super::*;
use crate::registry::EventEntry;
use plugin_api::EventSpec;

fn shared(buffered: usize) -> Arc<Shared> {
    let limits = OutboxLimits { buffered, buffered_hard: 4 * buffered, buffered_total: 16 * buffered };
    Arc::new(Shared::new(limits, &Metrics::new()))
}

/// One that has joined.
fn outbox(buffered: usize) -> Outbox {
    let outbox = Outbox::new(shared(buffered));
    outbox.join(Arc::new(Authority::operator(&[])), || ());
    outbox
}

fn publish(outbox: &Outbox, droppable: bool) {
    let entry = Arc::new(EventEntry::new(None, EventSpec::everyone("e")).expect("no scopes"));
    let broadcasts = &outbox.shared.broadcasts;
    broadcasts.publish(Broadcast { entry, open: b"{\"type\":\"event\"".to_vec(), droppable });
    broadcasts.deliver(|first, list| outbox.deliver(first, list));
}

fn taken(outbox: &Outbox) -> String {
    let bytes = outbox.take(Waker::noop()).unwrap_or_default();
    outbox.written(bytes.len());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn seq_counts_what_was_sent_and_what_was_skipped() {
    let outbox = outbox(64);
    publish(&outbox, true);
    assert!(taken(&outbox).ends_with(",\"seq\":1}"));
    outbox.response(|out| out.extend_from_slice(&[b'r'; 100])).expect("an answer always fits");
    publish(&outbox, true);
    assert!(outbox.is_backed_up());
    assert!(taken(&outbox).ends_with("rrr"), "skipped");
    outbox.targeted(b"{\"type\":\"event\"").expect("room");
    publish(&outbox, true);
    let text = taken(&outbox);
    assert!(text.ends_with(",\"seq\":3}"), "the skipped one consumed 2, the targeted one none: {text}");
}

#[test]
fn a_peer_is_silent_if_it_was_asked_and_nothing_was_heard_until_the_next_ping() {
    let outbox = outbox(64);
    outbox.ping();
    assert_eq!(outbox.take(Waker::noop()).as_deref(), Some(&frames::PING[..]));
    assert_eq!(outbox.take(Waker::noop()), None, "it is written");
    assert!(!outbox.is_silent());
    outbox.heard();
    outbox.ping();
    outbox.ping();
    outbox.ping();
    assert!(!outbox.is_silent(), "nobody has asked it yet");
    let waiting = outbox.take(Waker::noop());
    assert_eq!(waiting.as_deref(), Some(&frames::PING[..]), "a peer that takes nothing is not sent more of them");
    outbox.asked();
    assert!(!outbox.is_silent(), "it has until the next ping");
    outbox.ping();
    assert!(outbox.is_silent());
    outbox.heard();
    assert!(!outbox.is_silent());
}

struct Woken(AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_task_that_is_awake_is_not_woken_by_its_own_answers() {
    let outbox = outbox(64);
    let woken = Arc::new(Woken(AtomicUsize::new(0)));
    let waker = woken.clone().into();
    assert_eq!(outbox.take(&waker), None);
    outbox.attend();
    outbox.response(|out| out.push(b'r')).expect("an answer always fits");
    assert!(outbox.take(&waker).is_some());
    assert_eq!((outbox.take(&waker), woken.0.load(Ordering::SeqCst)), (None, 0));
    outbox.response(|out| out.push(b'r')).expect("an answer always fits");
    assert_eq!(woken.0.load(Ordering::SeqCst), 1, "it rests");
    outbox.attend();
    outbox.close(1008, "slow consumer");
    assert_eq!(woken.0.load(Ordering::SeqCst), 2, "whatever it does");
}

#[test]
fn whoever_waits_for_a_peer_to_take_something_is_woken_by_a_ping_and_by_a_close() {
    let outbox = outbox(64);
    let woken = Arc::new(Woken(AtomicUsize::new(0)));
    outbox.response(|out| out.push(b'r')).expect("an answer always fits");
    assert!(outbox.take(&woken.clone().into()).is_some());
    outbox.response(|out| out.push(b'r')).expect("an answer always fits");
    assert_eq!(woken.0.load(Ordering::SeqCst), 0, "it is writing");
    outbox.ping();
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    outbox.close(1008, "slow consumer");
    assert_eq!(woken.0.load(Ordering::SeqCst), 2);
}

#[test]
fn an_answer_comes_behind_the_events_before_it() {
    let outbox = outbox(1024);
    let entry = Arc::new(EventEntry::new(None, EventSpec::everyone("e")).expect("no scopes"));
    let open = b"{\"event\"".to_vec();
    outbox.shared.broadcasts.publish(Broadcast { entry, open, droppable: false });
    outbox.response(|out| out.extend_from_slice(b"answer")).expect("room");
    outbox.shared.broadcasts.deliver(|first, list| outbox.deliver(first, list));
    let text = taken(&outbox);
    assert!(text.find("seq").expect("an event") < text.find("answer").expect("an answer"), "{text}");
    assert_eq!(text.matches("seq").count(), 1, "once: {text}");
}

#[test]
fn what_is_broadcast_while_somebody_joins_comes_behind_the_hello() {
    let outbox = Outbox::new(shared(1024));
    outbox.join(Arc::new(Authority::operator(&[])), || {
        let entry = Arc::new(EventEntry::new(None, EventSpec::everyone("e")).expect("no scopes"));
        let open = b"{\"event\"".to_vec();
        outbox.shared.broadcasts.publish(Broadcast { entry, open, droppable: false });
        outbox.response(|out| out.extend_from_slice(b"hello")).expect("room");
    });
    let text = taken(&outbox);
    assert!(text.find("hello").expect("a hello") < text.find("seq").expect("an event"), "{text}");
}

#[test]
fn a_slow_consumer_is_told_why() {
    let outbox = outbox(64);
    outbox.response(|out| out.extend_from_slice(&[b'r'; 100])).expect("room");
    publish(&outbox, false);
    assert_eq!(outbox.closing(), Some((1008, "slow consumer".to_string())));
    let text = taken(&outbox);
    assert!(text.ends_with("slow consumer") && !text.contains("rrr"), "{text}");
    assert_eq!(outbox.response(|_| ()), Err(Full::Closed));
}

#[test]
fn answers_are_kept_up_to_the_hard_cap() {
    let outbox = outbox(64);
    for _ in 0..3 {
        outbox.response(|out| out.extend_from_slice(&[b'r'; 100])).expect("below the hard cap");
    }
    assert_eq!(outbox.response(|_| ()), Err(Full::Overflow("max_buffered_hard_bytes")));
}

#[test]
fn the_total_returns_to_zero() {
    let shared = shared(4 * STEP);
    let outbox = Outbox::new(shared.clone());
    let total = || shared.total.load(Ordering::Relaxed);
    outbox.response(|out| out.extend_from_slice(b"one")).expect("room");
    assert_eq!(total(), 0, "less than a step");
    outbox.response(|out| out.resize(out.len() + 2 * STEP, b'x')).expect("room");
    let bytes = outbox.take(Waker::noop()).expect("queued");
    assert_eq!(total(), 2 * STEP);
    outbox.written(bytes.len() - STEP);
    assert_eq!(total(), STEP);
    outbox.response(|out| out.extend_from_slice(b"two")).expect("room");
    outbox.shut();
    assert_eq!(total(), 0);
}

#[test]
fn one_large_answer_reserves_no_room_for_what_is_small() {
    let outbox = outbox(1 << 20);
    let room = |len: usize| {
        outbox.response(|out| out.resize(out.len() + len, b'x')).expect("room");
        let bytes = outbox.take(Waker::noop()).expect("queued");
        outbox.written(bytes.len());
        bytes.capacity()
    };
    room(100);
    room(5000);
    assert!(room(100) < 1000, "behind a hello");
    room(5000);
    room(5000);
    let grown = room(5000);
    assert!((5000..6000).contains(&grown), "several large ones find their room at once: {grown}");
}
