//! What is between a gateway and a plugin, and what it costs: the same small method called as a function of Rust, through
//! the table of C functions alone, and all the way through `dispatch::message` into the outbox; linked in, loaded on the
//! gateway's own threads (`isolation = "inline"`), and loaded on threads of its own (`"pool"`).
//!
//! After criterion's report a table says what each way costs beyond another one.

#[path = "boundary/listener.rs"]
mod listener;
#[path = "boundary/plugin.rs"]
mod plugin;
#[path = "boundary/served.rs"]
mod served;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clawhost_tests::libraries::Shelf;
use clawhost_tests::support::example_library;
use criterion::{Criterion, Throughput};
use plugin_api::abi::{GWP_REQ_ADMIN, gwp_entry};
use plugin_api::glue;
use plugin_api::hosting::{self, CallRequest, Instance};

use listener::Listener;
use served::Served;

/// The plugin that is linked in.
const ID: &str = "linked-sums";
const METHOD: &str = "linked-sums.sum";
/// The same as a library; see `tests/examples/loaded_sums.rs`.
const LOADED_ID: &str = "loaded-sums";
const LOADED_METHOD: &str = "loaded-sums.sum";

const PARAMS: &str = r#"{"name":"Ada","terms":[1,2,3,4]}"#;
/// Calls on the way at a time, where the way has a queue.
const MANY: usize = 64;

/// Microseconds that the boundary may cost a call with `isolation = "inline"`.
const GOAL: f64 = 0.5;

plugin_api::plugin!(plugin::Sums);

/// A way to call the method.
struct Way<'a> {
    name: &'static str,
    /// Calls in one go.
    calls: usize,
    go: Box<dyn FnMut() + 'a>,
}

impl<'a> Way<'a> {
    fn new(name: &'static str, calls: usize, go: impl FnMut() + 'a) -> Self {
        Way { name, calls, go: Box::new(go) }
    }
}

const DIRECT: &str = "a function of Rust";
const TABLE_LINKED: &str = "table, linked in";
const TABLE_LOADED: &str = "table, loaded";
const LINKED: &str = "dispatch, linked in";
const INLINE: &str = "dispatch, loaded, inline";
const POOL: &str = "dispatch, loaded, pool";
const INLINE_MANY: &str = "dispatch, loaded, inline, 64 at once";
const POOL_MANY: &str = "dispatch, loaded, pool, 64 at once";

fn main() {
    let shelf = Shelf::default();
    let built = std::fs::read(example_library("loaded_sums")).expect("it was built");
    let library = shelf.write("loaded_sums.so", &built);
    let (inline, pool) = (Served::start(&library, "inline"), Served::start(&library, "pool"));
    let entry = hosting::open(&library).unwrap_or_else(|error| panic!("{error}"));

    let mut ways = vec![
        Way::new(DIRECT, 1, || drop(black_box(direct(black_box(PARAMS))))),
        table(TABLE_LINKED, const { &glue::entry::<plugin::Sums>() }, METHOD),
        table(TABLE_LOADED, entry, LOADED_METHOD),
    ];
    for (name, served, method, at_once) in [
        (LINKED, &inline, METHOD, 1),
        (INLINE, &inline, LOADED_METHOD, 1),
        (POOL, &pool, LOADED_METHOD, 1),
        (INLINE_MANY, &inline, LOADED_METHOD, MANY),
        (POOL_MANY, &pool, LOADED_METHOD, MANY),
    ] {
        let calls = served.calls(method, at_once);
        ways.push(Way::new(name, at_once, move || calls.run()));
    }

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("boundary");
    for way in &mut ways {
        group.throughput(Throughput::Elements(way.calls as u64));
        group.bench_function(way.name, |bencher| bencher.iter(|| (way.go)()));
    }
    group.finish();
    criterion.final_summary();
    report(&mut ways);
}

/// The plugin's own work: from JSON to JSON.
fn direct(params: &str) -> String {
    let asked = serde_json::from_str(params).expect("they are right");
    serde_json::to_string(&plugin::sum(asked)).expect("it has a JSON form")
}

/// Calls through an instance's table, with a host behind it that only listens.
fn table<'a>(name: &'static str, entry: &'static gwp_entry, method: &'static str) -> Way<'a> {
    let setup = r#"{"id":"sums","dataDir":"/nonexistent","config":{}}"#;
    let instance = Instance::create(entry, Arc::new(Listener), setup).unwrap_or_else(|error| panic!("{error}"));
    instance.start().unwrap_or_else(|code| panic!("start failed with code {code}"));
    let mut call = 0;
    Way::new(name, 1, move || {
        call += 1;
        let params = PARAMS.as_bytes();
        let (conn, deadline_ms, flags, idempotency_key) = (1, 10_000, GWP_REQ_ADMIN, None);
        instance.call(&CallRequest {
            call,
            conn,
            deadline_ms,
            flags,
            method,
            params,
            idempotency_key,
            traceparent: None,
        });
    })
}

/// Measures the ways once more, turn by turn, so that the machine's mood hits all alike, and prints the differences.
fn report(ways: &mut [Way<'_>]) {
    const TURNS: usize = 31;
    let mut found: Vec<Vec<f64>> = vec![Vec::new(); ways.len()];
    for _ in 0..TURNS {
        for (way, found) in ways.iter_mut().zip(&mut found) {
            found.push(turn(way));
        }
    }
    println!("\n{:<40} {:>10}", "way", "µs a call");
    let medians: Vec<(&str, f64)> = ways.iter().zip(&mut found).map(|(way, found)| (way.name, median(found))).collect();
    for (name, micros) in &medians {
        println!("{name:<40} {micros:>10.3}");
    }
    let of = |wanted: &str| medians.iter().find(|(name, _)| *name == wanted).map_or(f64::NAN, |(_, micros)| *micros);
    let beyond = |what: &str, more: &str, less: &str| {
        let cost = of(more) - of(less);
        println!("{what:<40} {cost:>10.3}");
        cost
    };
    println!("\n{:<40} {:>10}", "what it costs", "µs a call");
    beyond("the table, linked in", TABLE_LINKED, DIRECT);
    let boundary = beyond("the table, loaded", TABLE_LOADED, DIRECT);
    beyond("the gateway around a linked-in plugin", LINKED, TABLE_LINKED);
    beyond("loaded and not linked in", INLINE, LINKED);
    beyond("the pool, one call after another", POOL, INLINE);
    beyond("the pool, 64 calls at once", POOL_MANY, INLINE_MANY);
    let word = if boundary <= GOAL { "reached" } else { "MISSED" };
    println!(
        "\nthe boundary, inline: {boundary:.3} µs a call beyond the plugin's own work; at most {GOAL} is the goal, {word}"
    );
}

/// Microseconds a call in one turn.
fn turn(way: &mut Way<'_>) -> f64 {
    const TURN: Duration = Duration::from_millis(10);
    let (started, mut rounds) = (Instant::now(), 0_usize);
    loop {
        // Looking at the clock must not count.
        for _ in 0..64 {
            (way.go)();
        }
        rounds += 64;
        let taken = started.elapsed();
        if taken >= TURN {
            return taken.as_secs_f64() * 1e6 / (rounds * way.calls) as f64;
        }
    }
}

fn median(found: &mut [f64]) -> f64 {
    found.sort_by(f64::total_cmp);
    found[found.len() / 2]
}
