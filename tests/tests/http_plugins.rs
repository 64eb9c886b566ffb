//! HTTP that plugins answer, at the wire: linked in and from a library, whole and piece by piece, with clients that do not
//! read, do not write, or go.

use clawhost_tests::compiler::{self, Compiler, Language};
use clawhost_tests::libraries::{Shelf, table};
use clawhost_tests::program::repository;
use clawhost_tests::support::{
    Answer, Builder, Door, Gateway, Key, PATIENCE, TOKEN, example_library, http, http_afterwards,
};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

const LIMITS: &str = "[gateway.limits]\nhttp_stall_ms = 3_000\nmax_http_buffered_bytes = 65536\n";

fn linked(config: &str) -> Builder {
    Gateway::builder().program(env!("CARGO_BIN_EXE_test_gateway")).config(&format!("{LIMITS}{config}"))
}

async fn loaded(shelf: &Shelf) -> Gateway {
    let library = shelf.write("libwires.so", &std::fs::read(example_library("wires")).expect("it was built"));
    Gateway::with_config(&format!("{LIMITS}{}", table("wires", &library))).await
}

/// The plugin in C, with this fault; `None`, said aloud, where there is no compiler.
fn pages(shelf: &Shelf, fault: &[&str]) -> Option<PathBuf> {
    let compiler = Compiler::find(Language::C)?;
    let library = shelf.path().join("pages.so");
    let source = repository().join("tests/fixtures/http.c");
    compiler.library(&compiler::include(), &source, fault, &library).expect("it has no warnings");
    Some(library)
}

async fn get(gateway: &Gateway, path: &str) -> Answer {
    gateway.http("GET", path, &[]).await
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// Waits until something of the plugin has ended.
async fn ended(gateway: &Gateway, what: &str) {
    assert_eq!(get(gateway, &format!("/wires/ended?{what}")).await.body, "true");
}

async fn post(gateway: &Gateway, path: &str, body: &str) -> Answer {
    let head = format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n", gateway.port);
    http(gateway.port, &format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await
}

async fn open(gateway: &Gateway, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", gateway.port)).await.expect("the port is open");
    stream.write_all(request.as_bytes()).await.expect("the request is taken");
    stream
}

type Talk = WebSocketStream<TcpStream>;

async fn talk(gateway: &Gateway, path: &str) -> Talk {
    let stream = TcpStream::connect(("127.0.0.1", gateway.port)).await.expect("the port is open");
    let (mut socket, _) =
        client_async(format!("ws://127.0.0.1:{}{path}", gateway.port), stream).await.expect("an upgrade");
    assert_eq!(heard(&mut socket).await, Message::text("hello"));
    socket
}

async fn heard(socket: &mut Talk) -> Message {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("a message").expect("a message").expect("a message") {
            Message::Ping(_) => {}
            message => return message,
        }
    }
}

async fn closed(socket: &mut Talk) -> Option<u16> {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("the end of a socket") {
            Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(Error::ConnectionClosed | Error::Protocol(_) | Error::Io(_))) | None => return None,
            Some(Err(error)) => panic!("{error}"),
        }
    }
}

/// The same of a plugin that is linked in and of one from a library.
async fn serves(gateway: &Gateway) {
    let fact = gateway.http("GET", "/wires/fact/a%20b?q=1&r", &[("X-Test", "yes")]).await;
    assert_eq!(fact.status, 200, "{fact:?}");
    assert!(fact.head.contains("x-content-type-options: nosniff"), "{fact:?}");
    assert_eq!(
        json_of(&fact),
        json!({ "verb": "GET", "path": "/wires/fact/a%20b", "below": "/fact/a%20b", "query": "q=1&r", "route": "/wires",
                "test": "yes", "authorization": null, "admitted": "none", "base": "", "scheme": "http", "role": null,
                "deviceId": null, "local": true })
    );
    // The longest path is taken, and a name that merely begins like it is not below it.
    assert_eq!(json_of(&get(gateway, "/wires/own/x").await)["route"], "/wires/own");
    assert_eq!(json_of(&get(gateway, "/wires/owner").await)["route"], "/wires");
    assert_eq!(get(gateway, "/wiresx").await.status, 404);

    // Bodies.
    let body = "0123456789".repeat(20_000);
    assert_eq!(json_of(&post(gateway, "/wires/count", &body).await), json!({ "bytes": 200_000 }));
    let echoed = post(gateway, "/wires/echo", &body).await;
    assert!(echoed.head.contains("transfer-encoding: chunked") && unchunked(&echoed.body) == body, "{}", echoed.head);
    assert_eq!(post(gateway, "/wires/count", &"x".repeat(1024 * 1024 + 1)).await.status, 413);
    let chunked = format!(
        "POST /wires/count HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        format!("{:x}\r\n{}\r\n", 4096, "y".repeat(4096)).repeat(300)
    );
    assert_eq!(
        http(gateway.port, &chunked).await.status,
        413,
        "more than its row allows, though nobody said so before"
    );
    let head = gateway.http("HEAD", "/wires/fact", &[]).await;
    assert!(head.status == 200 && head.body.is_empty() && head.head.contains("content-length: "), "{head:?}");

    // Answers that have no body.
    for status in [204, 304] {
        assert_eq!(get(gateway, &format!("/wires/bare?{status}")).await.status, status);
        ended(gateway, &format!("bare-{status}")).await;
    }

    // What goes wrong.
    let wrong = gateway.http("DELETE", "/wires/fact", &[]).await;
    assert!(wrong.status == 405 && wrong.head.contains("allow: get, head, post"), "{wrong:?}");
    for (path, status) in [
        ("/wires/drop", 500),
        ("/wires/fail", 500),
        ("/wires/panic", 500),
        ("/wires/forbidden", 500),
        ("/wires/teapot", 418),
        ("/wires/slow", 504),
        ("/wires/ws", 426),
        ("/wires/../metrics", 400),
        ("/wires/%2e%2E/x", 400),
        ("/wires//x", 400),
        ("/wires/a\\b", 400),
    ] {
        let answer = get(gateway, path).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(!answer.body.contains("asked to"), "{path}: the log has the reason, not the client: {answer:?}");
    }
    ended(gateway, "slow").await;
    let cut = get(gateway, "/wires/cut").await;
    assert!(cut.status != 500 && cut.body.len() < 10, "the client sees that bytes are missing: {cut:?}");

    // Somebody else answers, later.
    let left = open(gateway, "GET /wires/left HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await;
    while json_of(&get(gateway, "/wires/finish").await) == json!(0) {}
    assert!(read_to_end(left).await.ends_with("late, but whole"));

    // Several requests on one connection.
    let twice = "GET /wires/fact HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let mut kept = open(gateway, twice).await;
    let first = read_until(&mut kept, "}").await;
    assert!(!first.to_lowercase().contains("connection: close"), "{first}");
    kept.write_all(twice.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes())
        .await
        .expect("it is still open");
    assert!(read_to_end(kept).await.contains("\"verb\":\"GET\""));

    // Messages.
    let mut socket = talk(gateway, "/wires/ws?talk").await;
    for message in [Message::text("straße"), Message::binary(vec![0, 255]), Message::text("x".repeat(4096))] {
        socket.send(message.clone()).await.expect("it is open");
        assert_eq!(heard(&mut socket).await, message);
    }
    socket.send(Message::text("bye")).await.expect("it is open");
    assert_eq!(closed(&mut socket).await, Some(4001));
    ended(gateway, "ws-talk").await;
    let mut large = talk(gateway, "/wires/ws?large").await;
    large.send(Message::text("x".repeat(4097))).await.expect("it is open");
    assert!(matches!(closed(&mut large).await, Some(1009) | None));
    ended(gateway, "ws-large").await;
    let mut panicking = talk(gateway, "/wires/ws?panicking").await;
    panicking.send(Message::text("panic")).await.expect("it is open");
    assert_eq!(closed(&mut panicking).await, Some(1011));
    let leaving = talk(gateway, "/wires/ws?leaving").await;
    drop(leaving);
    ended(gateway, "ws-leaving").await;

    // A client that goes takes the handler with it.
    let holding = open(gateway, "GET /wires/hold HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
    gateway.metric_becomes("clawhost_http_exchanges", 1.0).await;
    drop(holding);
    ended(gateway, "hold").await;
    gateway.metric_becomes("clawhost_http_exchanges", 0.0).await;
}

/// A client that does not read holds the plugin back, and is cut when it never reads.
async fn holds_back(gateway: &Gateway) {
    let full = "clawhost_limit_hits_total{limit=\"max_http_buffered_bytes\"}";
    let before = gateway.metric(full).await;
    let door = Door::from(SocketAddr::from(([127, 0, 0, 1], gateway.port)));
    let mut slow = door.open_with(Some(64 * 1024)).await;
    slow.write_all(b"GET /wires/flood HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.expect("the request is taken");
    while gateway.metric(full).await == before {}
    // It reads on, and more comes.
    let mut bytes = vec![0; 512 * 1024];
    timeout(PATIENCE, slow.read_exact(&mut bytes)).await.expect("more comes").expect("more comes");
    ended(gateway, "flooded-32").await;
    // Then it never reads again.
    ended(gateway, "flood").await;
    gateway.metric_becomes("clawhost_http_exchanges", 0.0).await;
    drop(slow);
    // A body that does not come is not waited for.
    let stalled = "POST /wires/count HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 10\r\n\r\nabc";
    let answer = http(gateway.port, stalled).await;
    assert_eq!(answer.status, 408, "{answer:?}");
}

fn unchunked(mut text: &str) -> String {
    let mut out = String::new();
    while let Some((length, rest)) = text.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("the length of a chunk");
        out.push_str(&rest[..length]);
        text = &rest[(length + 2).min(rest.len())..];
    }
    out
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("an end").expect("bytes");
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut bytes = [0; 4096];
    while !text.ends_with(end) {
        let count = timeout(PATIENCE, stream.read(&mut bytes)).await.expect("an answer").expect("bytes");
        assert!(count > 0, "closed after {text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    text
}

#[tokio::test]
async fn a_plugin_that_is_linked_in_answers() {
    let gateway = linked("").start().await;
    serves(&gateway).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_plugin_from_a_library_answers() {
    let shelf = Shelf::default();
    let gateway = loaded(&shelf).await;
    serves(&gateway).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_plugin_in_c_answers() {
    let shelf = Shelf::default();
    let Some(library) = pages(&shelf, &[]) else { return };
    let gateway = Gateway::with_config(&table("pages", &library)).await;
    assert_eq!(unchunked(&get(&gateway, "/c").await.body), "a page");
    let body = "x".repeat(65536);
    assert!(unchunked(&post(&gateway, "/c", &body).await.body) == body, "what was sent comes back");
    let mut socket = talk(&gateway, "/c/ws").await;
    socket.send(Message::text("ping")).await.expect("it is open");
    assert_eq!(heard(&mut socket).await, Message::text("ping"));
    drop(socket);
    gateway.metric_becomes("clawhost_http_exchanges", 0.0).await;
    gateway.stop().await;
}

/// A plugin hears of a body what it asked for and no more, and of its end without having asked for that.
#[tokio::test]
async fn a_body_comes_as_far_as_it_was_asked_for() {
    let shelf = Shelf::default();
    let Some(library) = pages(&shelf, &[]) else { return };
    let gateway = Gateway::with_config(&table("pages", &library)).await;
    let byte_by_byte = post(&gateway, "/c/one", &"x".repeat(300)).await;
    assert_eq!(unchunked(&byte_by_byte.body), "300 bytes, 1 at most");
    let all = post(&gateway, "/c/ten", "0123456789").await;
    assert!(unchunked(&all.body).starts_with("10 bytes, "), "{all:?}");
    let chunked = "POST /c/ten HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
                   4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n";
    let all = http(gateway.port, chunked).await;
    assert!(unchunked(&all.body).starts_with("10 bytes, "), "{all:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_peer_of_a_slow_plugin_is_not_taken_for_gone() {
    let shelf = Shelf::default();
    let Some(library) = pages(&shelf, &["-DDAWDLES"]) else { return };
    let limits = "[gateway.limits]\ntick_interval_ms = 400\n";
    let gateway = Gateway::with_config(&format!("{limits}{}", table("pages", &library))).await;
    let mut socket = talk(&gateway, "/c/ws").await;
    for word in ["first", "second"] {
        socket.send(Message::text(word)).await.expect("it is open");
        assert_eq!(heard(&mut socket).await, Message::text(word));
    }
    drop(socket);
    gateway.stop().await;
}

#[tokio::test]
async fn all_that_wait_for_room_hear_of_it() {
    let gateway = linked("").start().await;
    let mut socket = talk(&gateway, "/wires/ws?pair").await;
    for _ in 0..128 {
        assert_eq!(heard(&mut socket).await.len(), 16 * 1024);
    }
    for writer in ["wrote-0", "wrote-1"] {
        ended(&gateway, writer).await;
    }
    assert_eq!(closed(&mut socket).await, Some(1000));
    gateway.stop().await;
}

/// Wherever its code runs, a plugin hears how its exchanges end before it is stopped.
#[tokio::test]
async fn a_stop_ends_exchanges_first() {
    let shelf = Shelf::default();
    let Some(library) = pages(&shelf, &[]) else { return };
    for isolation in ["inline", "pool"] {
        let table = table("pages", &library);
        let config = format!("{table}isolation = \"{isolation}\"\n[gateway.limits]\ndrain_ms = 300\n");
        let gateway = Gateway::with_config(&config).await;
        let head = "POST /c HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\n";
        let mut waiting = open(&gateway, head).await;
        read_until(&mut waiting, "\r\n\r\n").await;
        let stopped = gateway.stop().await;
        assert!(stopped.log.contains("an exchange was stopped"), "{isolation}: {}", stopped.log);
    }
}

#[tokio::test]
async fn who_does_not_read_or_write_holds_back_and_is_cut() {
    let gateway = linked("").start().await;
    holds_back(&gateway).await;
    gateway.stop().await;
    let shelf = Shelf::default();
    let gateway = loaded(&shelf).await;
    holds_back(&gateway).await;
    gateway.stop().await;
}

/// The client has had its answer whole before the plugin ends it.
#[tokio::test]
async fn a_plugin_that_ends_late_keeps_no_socket_open_and_cuts_off_no_request() {
    let limits = "[gateway.limits]\nhttp_stall_ms = 2000\nhttp_keep_alive_ms = 2000\n";
    let gateway = Gateway::builder().program(env!("CARGO_BIN_EXE_test_gateway")).config(limits).start().await;
    let bare = "GET /wires/bare?204 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let silent = open(&gateway, bare).await;
    assert!(read_to_end(silent).await.starts_with("HTTP/1.1 204"), "and then it is closed");
    gateway.metric_becomes("clawhost_http_exchanges", 0.0).await;

    let mut busy = open(&gateway, bare).await;
    read_until(&mut busy, "\r\n\r\n").await;
    let next = b"GET /wires/left HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    busy.write_all(next).await.expect("the request is taken");
    // Longer than anybody has to read an answer: there is none yet.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(get(&gateway, "/wires/finish").await.body, "1");
    assert!(read_to_end(busy).await.ends_with("late, but whole"));
    gateway.stop().await;
}

#[tokio::test]
async fn who_sends_too_much_and_then_reads_is_told_so() {
    // Time for a machine that is slow: nothing ends by it here.
    let gateway = linked("handshake_timeout_ms = 60_000\nclose_grace_ms = 30_000\n").start().await;
    let door = Door::from(SocketAddr::from(([127, 0, 0, 1], gateway.port)));
    let head = "POST /wires/count HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n";
    let whole = "x".repeat(16 * 1024 * 1024);
    let known = http_afterwards(&door, &format!("{head}Content-Length: {}\r\n\r\n{whole}", whole.len())).await;
    assert_eq!(known.status, 413, "{known:?}");
    let chunks = format!("{:x}\r\n{}\r\n", 64 * 1024, "y".repeat(64 * 1024)).repeat(256);
    let found = http_afterwards(&door, &format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")).await;
    assert_eq!(found.status, 413, "{found:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn who_asks_a_plugin_for_a_websocket_asks_as_the_gateway_is_asked() {
    let gateway = linked("").start().await;
    let (key, version) = ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "Sec-WebSocket-Version: 13\r\n");
    let (whole, old) = (format!("{key}{version}"), format!("{key}Sec-WebSocket-Version: 8\r\n"));
    for path in ["/wires/ws", "/elsewhere"] {
        for (verb, http_version, headers, status, said) in [
            ("POST", "1.1", whole.as_str(), 405, "allow: get"),
            ("GET", "1.0", &whole, 426, "upgrade: websocket"),
            ("GET", "1.1", &old, 426, "sec-websocket-version: 13"),
            ("GET", "1.1", key, 426, "sec-websocket-version: 13"),
            ("GET", "1.1", version, 400, "connection: close"),
        ] {
            let upgrade = "Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
            let request = format!("{verb} {path} HTTP/{http_version}\r\n{upgrade}{headers}\r\n");
            let answer = http(gateway.port, &request).await;
            assert!(answer.status == status && answer.head.contains(said), "{request}: {answer:?}");
        }
    }
    let metrics = gateway.metrics().await;
    let asked = |line: &&str| line.starts_with("clawhost_http_requests_total") && line.contains("\"/wires/ws\"");
    let asked: Vec<&str> = metrics.lines().filter(asked).collect();
    assert!(asked.iter().all(|line| line.ends_with(" 0")), "the plugin heard of none: {asked:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn who_may_come() {
    let gateway = linked("").start().await;
    let bearer = format!("Bearer {TOKEN}");
    for path in ["/wires/secret", "/wires/shown"] {
        let refused = get(&gateway, path).await;
        assert!(refused.status == 401 && refused.head.contains("www-authenticate: bearer"), "{refused:?}");
        assert_eq!(gateway.http("GET", path, &[("Authorization", "Bearer wrong")]).await.status, 401);
        let fact = json_of(&gateway.http("GET", path, &[("Authorization", &bearer)]).await);
        assert_eq!((&fact["admitted"], &fact["authorization"]), (&json!("gateway"), &Value::Null));
    }
    // Whoever looks itself is shown what came.
    let own = json_of(&gateway.http("GET", "/wires/own", &[("Authorization", "Bearer its own")]).await);
    assert_eq!(own["authorization"], "Bearer its own");
    // Foreign pages stay out here as well.
    let foreign = gateway.http("GET", "/wires/fact", &[("Origin", "https://evil.example")]).await;
    assert_eq!(foreign.status, 403, "{foreign:?}");

    // Addresses with a capability.
    let node = gateway.node(&Key::new(1)).await;
    assert!(node.hello.get("canvasHostUrl").is_none(), "that is another surface's: {}", node.hello);
    node.close().await;
    for path in
        ["/__openclaw__/cap/AAAA/wires/shown", "/__openclaw__/cap/AAAA/wires/fact", "/__openclaw__/cap//wires/fact"]
    {
        assert_eq!(get(&gateway, path).await.status, 401, "{path}");
    }
    assert_eq!(get(&gateway, "/__openclaw__/cap/AAAA/nobody").await.status, 404);
    gateway.stop().await;
}

#[tokio::test]
async fn too_many_at_once_are_told_so() {
    let limits = "max_http_exchanges = 16\n";
    let gateway = linked(limits).start().await;
    let hold = "GET /wires/hold HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let mut holding = Vec::new();
    for _ in 0..16 {
        holding.push(open(&gateway, hold).await);
    }
    gateway.metric_becomes("clawhost_http_exchanges", 16.0).await;
    let refused = get(&gateway, "/wires/fact").await;
    assert!(refused.status == 503 && refused.head.contains("retry-after: 1"), "{refused:?}");
    assert!(gateway.metric("clawhost_limit_hits_total{limit=\"max_http_exchanges\"}").await >= 1.0);
    drop(holding);
    gateway.metric_becomes("clawhost_http_exchanges", 0.0).await;
    assert_eq!(get(&gateway, "/wires/fact").await.status, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn a_stop_closes_sockets_and_lets_nobody_wait() {
    let gateway = linked("drain_ms = 300\n").start().await;
    let mut socket = talk(&gateway, "/wires/ws?stop").await;
    let holding = open(&gateway, "GET /wires/hold HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
    gateway.metric_becomes("clawhost_http_exchanges", 2.0).await;
    gateway.terminate();
    assert_eq!(closed(&mut socket).await, Some(1012));
    drop(read_to_end(holding).await);
    gateway.stop().await;
}
