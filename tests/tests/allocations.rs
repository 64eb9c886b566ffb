//! How often memory is asked for on the way of a request and of an event, counted and not timed. Each of these ceilings is what
//! is needed today and very little more: whoever adds a copy to a path that every frame takes sees it here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::task::Waker;

use clawhost::authority::Authority;
use clawhost::boot::{self, Running};
use clawhost::config::{Config, Overrides};
use clawhost::connections::Connection;
use clawhost::dispatch;
use clawhost::state::StateDir;
use plugin_api::Caller;
use plugin_health as _;
use schemas::protocol::Version;
use serde_json::json;

#[global_allocator]
static COUNTED: dhat::Alloc = dhat::Alloc;

const CONNECTIONS: u64 = 500;

/// The fewest allocations that one of so many took in any of a few rounds: what else the process does meanwhile is no part
/// of it.
fn allocations(each: u64, mut round: impl FnMut()) -> f64 {
    round();
    let count = |_| {
        let before = dhat::HeapStats::get().total_blocks;
        round();
        dhat::HeapStats::get().total_blocks - before
    };
    (0..5).map(count).min().unwrap_or_default() as f64 / each as f64
}

#[test]
fn requests_and_events_ask_for_little_memory() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let folder = tempfile::tempdir().expect("a folder");
    let running = runtime.block_on(start(folder.path()));
    let gateway = running.gateway().clone();
    let _inside = runtime.enter();
    let one = connection(&running);

    let request = |params: &str| {
        let id = "3f1c2b7e-9f60-4a55-8d0a-5b6c7d8e9f01";
        let frame = format!(r#"{{"type":"req","id":"{id}","method":"health","params":{params}}}"#);
        const EACH: u64 = 200;
        let mut bytes = 0;
        let count = allocations(EACH, || {
            for _ in 0..EACH {
                dispatch::message(&gateway, &one, &frame);
                bytes += drain(&one);
            }
        });
        assert!(bytes > 1_000, "it was answered");
        count
    };
    let events = allocations(CONNECTIONS, {
        let audience: Vec<_> = (0..CONNECTIONS).map(|_| connection(&running)).collect();
        audience.iter().for_each(|connection| gateway.connections.join(connection.clone(), |_| ()));
        let (gateway, payload) = (gateway.clone(), json!({ "filling": "x".repeat(300) }));
        move || {
            clawhost::events::announce(&gateway, "tick", &payload, true);
            let bytes: usize = audience.iter().map(|connection| drain(connection)).sum();
            assert!(bytes > 300 * audience.len(), "everybody heard it");
        }
    });
    let found = [
        ("health", request("{}"), 5.0),
        ("health with a parameter", request(r#"{"probe":false}"#), 5.0),
        ("an event", events, 1.1),
    ];
    eprintln!("{found:?}");
    for (what, count, most) in found {
        assert!(count <= most, "{what}: {count} allocations, of {most}");
    }
    runtime.block_on(running.stop("done"));
}

async fn start(folder: &std::path::Path) -> Running {
    let overrides = Overrides {
        port: Some(0),
        token: Some(clawhost::secret::Secret::new("counted")),
        state_dir: Some(folder.to_path_buf()),
        ..Overrides::default()
    };
    let config = Config::load(overrides, |_| None).expect("a configuration");
    let state = StateDir::open(folder).expect("a state folder");
    boot::start(config, state, &["health"], None, None).await.expect("a gateway")
}

/// A connection as the host keeps it, without a socket behind it.
fn connection(running: &Running) -> Arc<Connection> {
    let gateway = running.gateway();
    let caller: Caller =
        serde_json::from_value(json!({ "role": "operator", "scopes": ["operator.admin"], "protocol": 3 }))
            .expect("a caller");
    Arc::new(Connection {
        number: gateway.connections.next_number(),
        id: "counted".to_string(),
        version: Version::V3,
        authority: Arc::new(Authority::new(caller)),
        outbox: Arc::new(gateway.outbox()),
        record: "{}".into(),
        announced: AtomicBool::new(true),
        vantage: Default::default(),
        has_capability: AtomicBool::new(false),
        presence_key: None,
        in_flight: AtomicUsize::new(0),
        idle: Default::default(),
        refusals: Default::default(),
    })
}

/// What the socket's task would do: takes all bytes and says that they are written. How many they were.
fn drain(connection: &Connection) -> usize {
    let Some(bytes) = connection.outbox.take(Waker::noop()) else { return 0 };
    connection.outbox.written(bytes.len());
    bytes.len()
}
