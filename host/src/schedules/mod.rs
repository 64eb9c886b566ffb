//! The parts that many threads touch at once, under thousands of orders of events: at every lock and every atomic of
//! [`crate::sync`] a scheduler decides who goes on, and whoever waits for what never comes is a deadlock that fails the test.
//! What is tried is the code that runs in a gateway. What stands around it is made up here: who calls, what a plugin answers,
//! and who swaps tables and ends instances, which is done in the order in which `plugins` does it.
//!
//! tokio's channels and notices are taken as they are: a future is polled and woken by the scheduler, and each of their
//! operations is one step of it. Memory is sequentially consistent here, so weaker orderings are not put to the test.
//!
//! `cargo test -p clawhost --features schedules schedules::` runs them; all other tests of this crate need the build without
//! that feature. `CLAWHOST_SCHEDULES` is how many orders each test tries in each of its two ways. One that fails prints its
//! schedule, which `shuttle::replay` runs again.

mod idempotency;
mod outbox;
mod registry;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock};

use schemas::protocol::Version;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

use crate::authority::Authority;
use crate::connections::Connection;
use crate::metrics::Metrics;
use crate::outbox::{Outbox, OutboxLimits, Shared};

/// So many orders of events, unless the environment says otherwise.
const ORDERS: usize = 500;
/// The same ones every time.
const SEED: u64 = 8;
/// How often one thread is stopped in favour of another where few such places are chosen instead of many.
const DEPTH: usize = 3;

/// Made once: what it counts is of no interest, and nothing of it is scheduled.
static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// Tries something under many orders of events: any at all, and those with few changes from one thread to another.
fn under_all_orders(tried: fn()) {
    let orders = std::env::var("CLAWHOST_SCHEDULES").ok().map_or(ORDERS, |count| count.parse().expect("a number"));
    let mut config = Config::new();
    // SQLite runs on these stacks.
    config.stack_size = 1 << 20;
    Runner::new(RandomScheduler::new_from_seed(SEED, orders), config.clone()).run(tried);
    Runner::new(PctScheduler::new_from_seed(SEED, DEPTH, orders), config).run(tried);
}

/// What outboxes share, with these budgets.
fn shared(buffered: usize) -> Arc<Shared> {
    let limits = OutboxLimits { buffered, buffered_hard: 4 * buffered, buffered_total: 64 * buffered };
    Arc::new(Shared::new(limits, &METRICS))
}

/// A connection that nobody has joined yet.
fn connection(shared: &Arc<Shared>) -> Arc<Connection> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    Arc::new(Connection {
        number,
        id: number.to_string(),
        version: Version::V4,
        authority: Arc::new(Authority::operator(&[])),
        outbox: Arc::new(Outbox::new(shared.clone())),
        record: "{}".into(),
        announced: Default::default(),
        presence_key: None,
        vantage: Default::default(),
        has_capability: Default::default(),
        in_flight: Default::default(),
        idle: Default::default(),
        refusals: Default::default(),
    })
}

/// The content of the frames in these bytes; all that this side sends are short enough for a header of two or four bytes.
fn frames(mut bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let [_, length, rest @ ..] = bytes {
        let (length, content) = match length {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            length => (usize::from(*length), rest),
        };
        found.push(String::from_utf8_lossy(&content[..length]).into_owned());
        bytes = &content[length..];
    }
    found
}
