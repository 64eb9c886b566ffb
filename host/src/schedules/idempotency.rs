//! The same key from several clients at once: it runs once, all of them hear the same, and what is on disk never falls behind
//! what runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use schemas::ErrorShape;
use serde_json::Value;
use shuttle::future::block_on;
use shuttle::thread::{self, JoinHandle};

use super::{connection, frames, shared, under_all_orders};
use crate::answer::{Answer, Asker};
use crate::connections::Connection;
use crate::idempotency::{Decision, Idempotency, IdempotencyLimits, Run};
use crate::store::Store;
use crate::store::idempotency as rows;

const METHOD: &str = "m";
const KEY: &str = "k";
const HALF: &[u8] = b"\"half\"";
const WHOLE: &[u8] = b"\"whole\"";

/// The memory of keys, and its store with whoever does its work.
struct Memory {
    keys: Idempotency,
    store: Store,
    /// Runs of [`KEY`] that go on at this moment, and those that were begun.
    running: AtomicUsize,
    begun: AtomicUsize,
}

/// Does something with a memory of so many keys, and then looks at what is on the disk.
fn with_memory(entries: usize, work: impl FnOnce(&Arc<Memory>), check: impl FnOnce(Vec<rows::IdempotencyRow>)) {
    let (store, doing) = Store::driven();
    let disk = thread::spawn(move || block_on(doing));
    let limits = IdempotencyLimits { ttl_ms: 10, entries, answer_bytes: 1024 };
    let keys = block_on(Idempotency::load(store.clone(), limits, 0)).expect("an empty table");
    let (running, begun) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let memory = Arc::new(Memory { keys, store, running, begun });
    work(&memory);
    check(block_on(memory.store.run(|db| rows::load_all(db))).expect("rows"));
    block_on(memory.store.close());
    disk.join().expect("the store ends");
}

impl Memory {
    /// A client asks with a key; what it ran ends with `last`, if it is the one that runs it.
    fn ask(&self, key: &str, asker: Asker, last: &dyn Fn(&Arc<Run>)) {
        match self.keys.begin(METHOD, key, "{}", "somebody", (asker, None), 1) {
            Decision::Settled | Decision::Refused => {}
            Decision::Run(run, _) => {
                block_on(self.keys.persist(&run, 1)).expect("it can be written");
                if key != KEY {
                    return run.hear(Answer::Payload(WHOLE));
                }
                assert_eq!(self.running.fetch_add(1, Ordering::Relaxed), 0, "it runs twice at once");
                self.begun.fetch_add(1, Ordering::Relaxed);
                self.is_on_disk();
                thread::yield_now();
                run.hear(Answer::Interim(HALF));
                thread::yield_now();
                self.is_on_disk();
                self.running.fetch_sub(1, Ordering::Relaxed);
                last(&run);
            }
        }
    }

    /// What runs is written down as running: after a crash it would not run again.
    fn is_on_disk(&self) {
        let kept = block_on(self.store.run(|db| rows::load_all(db))).expect("rows");
        assert!(
            kept.iter().any(|row| row.key == KEY && row.outcome.is_none()),
            "it runs, and nothing says so: {kept:?}"
        );
    }

    /// So many clients ask with [`KEY`], each on a connection of its own.
    fn crowd(self: &Arc<Self>, clients: usize, last: fn(&Arc<Run>)) -> Crowd {
        let shared = shared(1 << 20);
        let ask = |_| {
            let (memory, client) = (self.clone(), connection(&shared));
            thread::spawn(move || {
                memory.ask(KEY, Asker::Frame { connection: client.clone(), id: "1".into() }, &last);
                client
            })
        };
        (0..clients).map(ask).collect()
    }
}

/// Clients that ask.
type Crowd = Vec<JoinHandle<Arc<Connection>>>;

/// What each of them was sent, once all are done: whoever joined is answered by whoever runs it.
fn heard(crowd: Crowd) -> Vec<Vec<Value>> {
    let clients: Vec<_> = crowd.into_iter().map(|client| client.join().expect("a client")).collect();
    let of = |client: Arc<Connection>| {
        let bytes = client.outbox.take(std::task::Waker::noop()).expect("it was answered");
        let answers = frames(&bytes).into_iter().map(|frame| serde_json::from_str::<Value>(&frame).expect("JSON"));
        answers.map(|answer| answer.get("payload").unwrap_or(&answer["error"]).clone()).collect()
    };
    clients.into_iter().map(of).collect()
}

#[test]
fn a_key_runs_once_and_everybody_hears_its_answer() {
    under_all_orders(|| {
        let work = |memory: &Arc<Memory>| {
            let clients = memory.crowd(3, |run| run.hear(Answer::Payload(WHOLE)));
            for heard in heard(clients) {
                assert!(heard == ["half", "whole"] || heard == ["whole"], "{heard:?}");
            }
            assert_eq!(memory.begun.load(Ordering::Relaxed), 1);
        };
        with_memory(10, work, |kept| {
            assert!(kept.len() == 1 && kept[0].outcome.as_ref().is_some_and(|outcome| outcome.ends_with(WHOLE)));
        });
    });
}

#[test]
fn a_key_that_failed_for_now_is_free_again_and_nobody_hears_that_its_outcome_is_unknown() {
    under_all_orders(|| {
        let work = |memory: &Arc<Memory>| {
            let clients = memory.crowd(3, |run| {
                let error = ErrorShape::unavailable("later").retryable();
                run.hear(Answer::Error(&serde_json::to_vec(&error).expect("an error is JSON")));
            });
            for heard in heard(clients) {
                assert!(heard.len() <= 2 && heard.last().is_some_and(|error| error["message"] == "later"), "{heard:?}");
            }
            assert!((1..=3).contains(&memory.begun.load(Ordering::Relaxed)));
        };
        with_memory(10, work, |kept| assert!(kept.is_empty(), "the key is free: {kept:?}"));
    });
}

#[test]
fn neither_time_nor_want_of_room_takes_a_key_from_what_runs() {
    under_all_orders(|| {
        let work = |memory: &Arc<Memory>| {
            let clients = memory.crowd(2, |run| run.hear(Answer::Payload(WHOLE)));
            let others = {
                let memory = memory.clone();
                thread::spawn(move || ["x", "y", "z"].map(|key| memory.ask(key, Asker::Nobody, &|_| ())))
            };
            let house = {
                let memory = memory.clone();
                thread::spawn(move || [1_000, 2_000].map(|now| memory.keys.sweep(now)))
            };
            for heard in heard(clients) {
                let full = |last: &Value| last["details"]["limit"] == "idempotency_entries";
                assert!(heard.last().is_some_and(|last| *last == "whole" || full(last)), "{heard:?}");
            }
            others.join().expect("the others");
            house.join().expect("whoever sweeps");
        };
        with_memory(2, work, |kept| assert!(kept.iter().all(|row| row.outcome.is_some()), "{kept:?}"));
    });
}
