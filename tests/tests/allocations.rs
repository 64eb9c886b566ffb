//! How often memory is asked for on the way of a request, of an event and of a handshake, and the system on the way of answers,
//! counted and not timed. Each of these ceilings is what is needed today and very little more: whoever adds a copy to a path
//! that every frame takes sees it here.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use clawhost::authority::Authority;
use clawhost::boot::{self, Running};
use clawhost::config::{Config, Overrides};
use clawhost::connection::{self, Upgraded};
use clawhost::connections::Connection;
use clawhost::dispatch;
use clawhost::doorkeeper::Sender;
use clawhost::locality::Peer;
use clawhost::socket::Stream;
use clawhost::state::StateDir;
use clawhost_tests::support::{PATIENCE, Raw, frame_header};
use plugin_api::Caller;
use schemas::protocol::Version;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio_tungstenite::tungstenite::http::header::{HOST, HeaderMap, HeaderValue};
use {plugin_health as _, plugin_presence as _};

#[global_allocator]
static COUNTED: dhat::Alloc = dhat::Alloc;

const CONNECTIONS: u64 = 500;
/// The gateway's shared token.
const TOKEN: &str = "counted";

/// Memory is counted for the whole process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

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
fn requests_events_and_handshakes_ask_for_little_memory() {
    let _alone = alone();
    let _profiler = dhat::Profiler::builder().testing().build();
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let folder = tempfile::tempdir().expect("a folder");
    let running = runtime.block_on(start(folder.path()));
    let gateway = running.gateway().clone();
    let _inside = runtime.enter();
    let one = connection(&running);

    // From the socket to hello-ok, and its end: of an operator without a device, before anybody hears events.
    let handshakes = {
        const EACH: u64 = 20;
        let (mut guest, address) = (Guest::new(), running.addresses()[0]);
        allocations(EACH, || (0..EACH).for_each(|_| guest.shakes_hands(address)))
    };
    let request = |method: &str, params: &str| {
        let id = "3f1c2b7e-9f60-4a55-8d0a-5b6c7d8e9f01";
        let frame = format!(r#"{{"type":"req","id":"{id}","method":"{method}","params":{params}}}"#);
        const EACH: u64 = 200;
        // What a plugin learns once it knows then.
        dispatch::message(&gateway, &one, &frame);
        runtime.block_on(one.idle());
        let mut bytes = drain(&one);
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
        ("health", request("health", "{}"), 5.0),
        ("health with a parameter", request("health", r#"{"probe":false}"#), 5.0),
        ("system-presence", request("system-presence", "{}"), 13.0),
        ("an event", events, 1.1),
        ("a handshake", handshakes, 130.0),
    ];
    eprintln!("{found:?}");
    for (what, count, most) in found {
        assert!(count <= most, "{what}: {count} allocations, of {most}");
    }
    runtime.block_on(running.stop("done"));
}

#[test]
fn answers_to_what_arrived_at_once_leave_in_one_write() {
    /// Requests in one go: as many as are handled before answers leave.
    const REQUESTS: usize = 64;
    let _alone = alone();
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let folder = tempfile::tempdir().expect("a folder");
    let running = runtime.block_on(start(folder.path()));
    let gateway = running.gateway().clone();
    let (stream, mut client) = tokio::io::duplex(1 << 20);
    let writes = Arc::<Mutex<Vec<String>>>::default();
    let stream = Watched { stream, writes: writes.clone() };
    runtime.block_on(async {
        let ends = tokio::spawn(connection::run(gateway.clone(), upgraded(&running, stream)));
        client.write_all(&connect()).await.expect("room");
        let mut heard = Vec::new();
        hears(&mut client, &mut heard, "\"hello-ok\"", 1).await;
        let ask = |n| format!(r#"{{"type":"req","id":"asked-{n}","method":"health"}}"#);
        let asked: Vec<u8> = (0..REQUESTS).flat_map(|n| Raw::masked(0x81, ask(n).as_bytes())).collect();
        client.write_all(&asked).await.expect("room");
        hears(&mut client, &mut heard, "\"id\":\"asked-", REQUESTS).await;
        drop(client);
        ends.await.expect("the connection ends");
    });
    let writes = std::mem::take(&mut *writes.lock().unwrap_or_else(PoisonError::into_inner));
    let answers = writes.iter().map(|bytes| bytes.matches("\"id\":\"asked-").count()).filter(|answers| *answers > 0);
    assert_eq!(answers.collect::<Vec<_>>(), [REQUESTS], "answers in each write");
    runtime.block_on(running.stop("done"));
}

/// Reads until there were so many frames with this part.
async fn hears(client: &mut DuplexStream, heard: &mut Vec<u8>, part: &str, times: usize) {
    let reading = async {
        let mut found = 0;
        while found < times {
            match frame_header(heard) {
                Some((_, start, length)) if heard.len() >= start + length => {
                    let frame: Vec<u8> = heard.drain(..start + length).skip(start).collect();
                    found += usize::from(String::from_utf8_lossy(&frame).contains(part));
                }
                _ => assert!(client.read_buf(heard).await.expect("a pipe") > 0, "it ended before {part}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("{part} did not come {times} times"));
}

/// The gateway's end of a pipe: what was given to it in which write.
struct Watched {
    stream: DuplexStream,
    writes: Arc<Mutex<Vec<String>>>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = &written {
            let taken = String::from_utf8_lossy(&bytes[..*count]).into_owned();
            self.writes.lock().unwrap_or_else(PoisonError::into_inner).push(taken);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Stream for Watched {
    fn unread(&self) -> u64 {
        0
    }
}

/// A pipe as a socket of somebody on this machine that has been upgraded.
fn upgraded(running: &Running, stream: Watched) -> Upgraded<Watched> {
    let (gateway, address) = (running.gateway(), SocketAddr::from(([127, 0, 0, 1], 5_000)));
    let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("127.0.0.1"))]);
    Upgraded {
        stream,
        read_ahead: Vec::new(),
        held: Vec::new(),
        peer: Peer::from_request(address, &headers, &[]),
        accepted_at: tokio::time::Instant::now(),
        pending: gateway.doorkeeper.before_connect(Sender::Here, gateway.limits()).expect("a place"),
        open: gateway.doorkeeper.open(gateway.limits().max_connections).expect("a place"),
    }
}

/// The frame with which an operator without a device comes in. It holds nothing of the challenge.
fn connect() -> Vec<u8> {
    let params = json!({
        "minProtocol": 3, "maxProtocol": 3, "role": "operator", "scopes": ["operator.admin"], "auth": { "token": TOKEN },
        "client": { "id": "cli", "version": "1", "platform": "linux", "mode": "cli" },
    });
    let frame = json!({ "type": "req", "id": "connect", "method": "connect", "params": params });
    Raw::masked(0x81, frame.to_string().as_bytes())
}

/// A client that asks for no memory: all that it says is made before, and what it hears has its place.
struct Guest {
    upgrade: &'static [u8],
    connect: Vec<u8>,
    heard: Box<[u8]>,
}

impl Guest {
    fn new() -> Self {
        let upgrade = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        Guest { upgrade, connect: connect(), heard: vec![0; 256 * 1024].into() }
    }

    fn shakes_hands(&mut self, address: SocketAddr) {
        let mut socket = TcpStream::connect(address).expect("it listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time");
        socket.write_all(self.upgrade).expect("room");
        self.hears(&mut socket, b"connect.challenge");
        socket.write_all(&self.connect).expect("room");
        self.hears(&mut socket, b"hello-ok");
    }

    fn hears(&mut self, socket: &mut TcpStream, part: &[u8]) {
        let mut length = 0;
        while !self.heard[..length].windows(part.len()).any(|window| window == part) {
            let count = socket.read(&mut self.heard[length..]).expect("an answer in time");
            assert!(count > 0, "it ended");
            length += count;
        }
    }
}

async fn start(folder: &std::path::Path) -> Running {
    let overrides = Overrides {
        port: Some(0),
        token: Some(clawhost::secret::Secret::new(TOKEN)),
        state_dir: Some(folder.to_path_buf()),
        ..Overrides::default()
    };
    let config = Config::load(overrides, |_| None).expect("a configuration");
    let state = StateDir::open(folder).expect("a state folder");
    boot::start(config, state, &["health", "presence"], None, None).await.expect("a gateway")
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
