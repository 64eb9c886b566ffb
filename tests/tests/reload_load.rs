//! One plugin takes another one's place again and again while clients call it: no call is lost, none is answered twice,
//! and none by an instance that was stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clawhost_tests::libraries::{Shelf, table};
use clawhost_tests::reloading::{reload, start};
use clawhost_tests::support::{Client, Frame, Gateway};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_test_gateway");
const CLIENTS: usize = 8;
/// Requests of each client that run at any moment.
const IN_FLIGHT: usize = 16;
const RELOADS: usize = 20;

/// What one client has seen.
#[derive(Default)]
struct Seen {
    sent: u64,
    answered: u64,
    said: u64,
    instances: BTreeSet<u64>,
}

/// The next request of a client: slow and quick ones, some that tell everyone, some that call the plugin through itself.
fn request(client: usize, number: u64) -> (&'static str, Value) {
    let value = json!([client, number]);
    let echo = json!({ "ms": number % 7, "value": value, "said": number.is_multiple_of(11) });
    match number % 5 {
        0 => ("reborn.through", json!({ "method": "reborn.echo", "params": echo })),
        _ => ("reborn.echo", echo),
    }
}

/// Calls until it is told to stop, then waits for what is open.
async fn call_on(mut client: Client, name: usize, enough: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    let mut open = BTreeMap::new();
    loop {
        while open.len() < IN_FLIGHT && !enough.load(Ordering::Relaxed) {
            let (method, params) = request(name, seen.sent);
            let value = json!([name, seen.sent]);
            seen.sent += 1;
            open.insert(client.request(method, params).await, (method, value));
        }
        if open.is_empty() {
            break;
        }
        // The client itself sees to it that `seq` has no holes, and that nothing is answered twice.
        match client.next().await.expect("the connection stays") {
            Frame::Event(event) => seen.said += u64::from(event.event == "reborn.said"),
            Frame::Response(response) => {
                let (method, value) = open.remove(&response.id).expect("a request of this client");
                let error = response.error.map(|error| error.message);
                assert_eq!(error, None, "{method} {value}");
                let mut answer = response.payload.expect("a payload");
                loop {
                    assert_eq!(answer["stopped"], false, "{method} {value}: {answer}");
                    seen.instances.insert(answer["instance"].as_u64().expect("a number"));
                    if answer["value"]["instance"].is_null() {
                        break;
                    }
                    answer = answer["value"].take();
                }
                assert_eq!(answer["value"], value, "{method}");
                seen.answered += 1;
            }
        }
    }
    client.close().await;
    seen
}

async fn under_load(gateway: &Gateway, mut next: impl FnMut(usize)) {
    let enough = Arc::new(AtomicBool::new(false));
    let mut callers = Vec::new();
    for name in 0..CLIENTS {
        let client = gateway.admin().await;
        callers.push(tokio::spawn(call_on(client, name, enough.clone())));
    }
    let mut admin = gateway.admin().await;
    let mut instances = BTreeSet::new();
    for round in 0..RELOADS {
        next(round);
        reload(&mut admin, "reborn").await;
        let who = admin.ok("reborn.who", json!({})).await;
        let instance = who["instance"].as_u64().expect("a number");
        assert!(instances.last().is_none_or(|last| *last < instance), "{instance} after {instances:?}");
        instances.insert(instance);
    }
    enough.store(true, Ordering::Relaxed);
    let mut all = Seen::default();
    for caller in callers {
        let seen = caller.await.expect("a caller whose every answer was right");
        assert_eq!(seen.sent, seen.answered);
        all.sent += seen.sent;
        all.said += seen.said;
        all.instances.extend(seen.instances);
    }
    println!("{} calls, {} events, {} instances", all.sent, all.said, all.instances.len());
    assert!(all.said > 0 && all.instances.len() > RELOADS / 2, "it was under load: {:?}", all.instances);
    let newest = *instances.last().expect("it was reloaded");
    assert!(all.instances.iter().all(|instance| *instance <= newest));
    admin.close().await;
    gateway.assert_healthy().await;
    for trouble in ["did not quiesce", "did not stop", "PANIC", "panicked"] {
        assert_eq!(gateway.log_lines(trouble), [""; 0]);
    }
}

/// The grants, and where it runs.
fn reborn(shelf: &Shelf, build: char, isolation: &str) -> String {
    let grants = "grants = { invoke = [\"reborn.*\"] }";
    format!("{}{grants}\nisolation = \"{isolation}\"\n", table("reborn", &shelf.reborn(build)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_code_under_load_on_a_pool() {
    let shelf = Shelf::default();
    let gateway = start(PROGRAM, &reborn(&shelf, 'a', "pool")).await;
    under_load(&gateway, |round| {
        let build = char::from(b"abc"[round % 3]);
        gateway.replace_config(&reborn(&shelf, build, "pool"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_code_under_load_on_the_workers() {
    let shelf = Shelf::default();
    let gateway = start(PROGRAM, &reborn(&shelf, 'a', "inline")).await;
    under_load(&gateway, |_| {}).await;
}
