//! The paths that every frame takes, without a socket: parsing a request, dispatching it to a plugin and back into the
//! outbox, and broadcasting to a thousand connections.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::task::Waker;

use clawhost::authority::Authority;
use clawhost::boot::{self, Running};
use clawhost::config::{Config, Overrides};
use clawhost::connections::Connection;
use clawhost::dispatch;
use clawhost::state::StateDir;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use plugin_api::Caller;
use plugin_health as _;
use schemas::frame::{Request, write};
use schemas::protocol::Version;
use serde_json::json;

const REQUEST: &str = r#"{"type":"req","id":"3f1c2b7e-9f60-4a55-8d0a-5b6c7d8e9f01","method":"health","params":{}}"#;

fn frames(criterion: &mut Criterion) {
    criterion.bench_function("parse a request", |bencher| {
        bencher.iter(|| black_box(Request::parse(black_box(REQUEST))).is_some());
    });
    let payload = json!({ "ok": true, "filling": "x".repeat(600) }).to_string();
    criterion.bench_function("write a response of 600 bytes", |bencher| {
        bencher.iter_batched_ref(
            || Vec::with_capacity(1024),
            |out| write::response_ok(out, "3f1c2b7e-9f60-4a55-8d0a-5b6c7d8e9f01", payload.as_bytes()),
            BatchSize::SmallInput,
        );
    });
}

fn gateway(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let folder = tempfile::tempdir().expect("a folder");
    let running = runtime.block_on(start(folder.path()));
    let gateway = running.gateway().clone();
    let _inside = runtime.enter();

    let connection = connection(&running);
    criterion.bench_function("dispatch health, answer into the outbox", |bencher| {
        bencher.iter(|| {
            dispatch::message(&gateway, &connection, REQUEST);
            drain(&connection);
        });
    });

    let audience: Vec<_> = (0..1000).map(|_| self::connection(&running)).collect();
    for connection in &audience {
        gateway.connections.join(connection.clone(), |_| ());
    }
    let mut group = criterion.benchmark_group("broadcast");
    group.throughput(Throughput::Elements(audience.len() as u64));
    group.bench_function("300 bytes to 1,000 outboxes", |bencher| {
        let payload = json!({ "filling": "x".repeat(300) });
        bencher.iter_batched(
            || audience.iter().for_each(|connection| drain(connection)),
            |()| clawhost::events::announce(&gateway, "tick", &payload, true),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    for connection in &audience {
        gateway.connections.leave(connection.number);
    }
    runtime.block_on(running.stop("done"));
}

async fn start(folder: &std::path::Path) -> Running {
    let overrides = Overrides {
        port: Some(0),
        token: Some(clawhost::secret::Secret::new("bench")),
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
        id: "bench".to_string(),
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

/// What the socket's task would do: takes all bytes and says that they are written.
fn drain(connection: &Connection) {
    if let Some(bytes) = connection.outbox.take(Waker::noop()) {
        connection.outbox.written(bytes.len());
    }
}

criterion_group!(benches, frames, gateway);
criterion_main!(benches);
