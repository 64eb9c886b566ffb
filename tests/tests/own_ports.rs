//! A port that a plugin's HTTP has to itself: what is served there and what is not, and that it comes and goes with the
//! configuration.

use std::net::{SocketAddr, TcpListener};

use clawhost_tests::program::Home;
use clawhost_tests::reloading::{changed, reload, row, start};
use clawhost_tests::support::{Answer, Connect, Door, Gateway, Key, Knock, PATIENCE, TOKEN, http, http_at};
use client::{Fingerprint, TlsOptions};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{client_async, tungstenite};

const PROGRAM: &str = env!("CARGO_BIN_EXE_test_gateway");
const BRANDS: [&str; 3] = ["clawdbot", "moltbot", "openclaw"];

/// A port of loopback that nobody else has: it is taken as long as this is held.
fn taken() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

fn free() -> u16 {
    taken().1
}

/// Whether nobody listens there.
fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

fn wires_at(port: u16) -> String {
    format!("[plugins.wires]\nhttp_port = {port}\n")
}

async fn get_with(port: u16, path: &str, headers: &str) -> Answer {
    http(port, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}Connection: close\r\n\r\n")).await
}

async fn get(port: u16, path: &str) -> Answer {
    get_with(port, path, "").await
}

async fn status(port: u16, path: &str) -> u16 {
    get(port, path).await.status
}

async fn upgrade(port: u16, path: &str, headers: &str) -> u16 {
    let key = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\n{key}{headers}\r\n");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the port is open");
    stream.write_all(request.as_bytes()).await.expect("the request is taken");
    let mut head = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut head)).await.expect("an answer").expect("an answer");
    String::from_utf8_lossy(&head[9..]).parse().expect("a status")
}

/// What follows the port in the address of the canvas that a client was told.
fn base(told: &Value, scheme: &str, port: u16) -> String {
    let told = told.as_str().unwrap_or_else(|| panic!("an address instead of {told}"));
    let base = told.strip_prefix(&format!("{scheme}://127.0.0.1:{port}")).unwrap_or_else(|| panic!("{told}: {port}"));
    assert!(base.starts_with("/__openclaw__/cap/"), "{base}");
    base.to_string()
}

fn of_protocol(connect: Connect, protocol: u64) -> Connect {
    connect.with("minProtocol", json!(protocol)).with("maxProtocol", json!(protocol))
}

#[tokio::test]
async fn a_canvas_with_a_port_to_itself_is_there_and_nowhere_else() {
    let port = free();
    let gateway = Gateway::with_config(&format!("[plugins.canvas]\nhttp_port = {port}")).await;
    let main = gateway.port;
    let reader = Connect::operator().scopes(&["operator.read"]);
    let node = Connect::node().device(&Key::new(1)).with("caps", json!(["canvas"]));
    let mut bases = Vec::new();
    for (connect, place) in [
        (of_protocol(reader.clone(), 3), "/canvasHostUrl"),
        (of_protocol(reader, 4), "/pluginSurfaceUrls/canvas"),
        (of_protocol(node, 4), "/pluginSurfaceUrls/canvas"),
    ] {
        let client = gateway.connect(&connect).await;
        bases.push((base(&client.hello.pointer(place).cloned().unwrap_or_default(), "http", port), client));
    }
    for (base, _) in &bases {
        for brand in BRANDS {
            let page = format!("{base}/__{brand}__/canvas/");
            let shown = get(port, &page).await;
            assert!(shown.status == 200 && shown.head.contains("x-content-type-options: nosniff"), "{shown:?}");
            assert_eq!(status(main, &page).await, 404, "not at the gateway's origin");
        }
    }
    let base = &bases[0].0;
    // The same rules as on the gateway's port.
    assert_eq!(status(port, "/__openclaw__/canvas/").await, 401);
    assert_eq!(status(port, &format!("/__openclaw__/cap/{}/__openclaw__/canvas/", "A".repeat(32))).await, 401);
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(get_with(port, "/__openclaw__/canvas/", &bearer).await.status, 200);
    assert_eq!(get_with(main, "/__openclaw__/canvas/", &bearer).await.status, 404);
    assert_eq!(status(port, &format!("{base}/__openclaw__/canvas/%2e%2e/x")).await, 400);
    assert_eq!(
        http(port, &format!("DELETE {base}/__openclaw__/canvas/ HTTP/1.1\r\nHost: x\r\n\r\n")).await.status,
        405
    );
    // Nothing else is there: not the gateway's protocol, not its metrics, not the doors of others.
    assert_eq!(get_with(port, "/metrics", &bearer).await.status, 404);
    assert_eq!(get_with(main, "/metrics", &bearer).await.status, 200);
    for path in ["/", "/x", "/__openclaw__/canvas", "/v1/models"] {
        assert_eq!(upgrade(port, path, "").await, 404, "{path}");
    }
    assert_eq!(status(port, "/v1/models").await, 404);

    // Pages wait for changes there.
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the port is open");
    let address = format!("ws://127.0.0.1:{port}{base}/__openclaw__/ws");
    let (mut socket, _) = timeout(PATIENCE, client_async(address, stream)).await.expect("an answer").expect("a socket");
    std::fs::write(gateway.state_file("data/canvas/canvas/a.html"), "<p>new").expect("a file of the canvas");
    let heard = loop {
        match timeout(PATIENCE, socket.next()).await.expect("a message").expect("a message").expect("a message") {
            Message::Ping(_) => {}
            other => break other,
        }
    };
    assert_eq!(heard, Message::text("reload"));
    // A page of the canvas is a stranger to the gateway, and one of the gateway to the canvas.
    let of_canvas = format!("Origin: http://127.0.0.1:{port}\r\n");
    assert_eq!(upgrade(main, "/", &of_canvas).await, 403);
    assert_eq!(get_with(port, &format!("{base}/__openclaw__/canvas/"), &of_canvas).await.status, 200);
    let of_gateway = format!("Origin: http://127.0.0.1:{main}\r\n");
    assert_eq!(upgrade(port, &format!("{base}/__openclaw__/ws"), &of_gateway).await, 403);
    let knock = Knock::default().header("Origin", &format!("http://127.0.0.1:{main}"));
    assert!(gateway.try_knock(&knock).await.is_ok());
    gateway.assert_healthy().await;
    assert!(gateway.stop().await.status.success());
    assert!(is_free(port));
}

#[tokio::test]
async fn a_port_that_is_taken_stops_nobody_and_is_tried_again() {
    let (held, port) = taken();
    let config = format!("[plugins.canvas]\nhttp_port = {port}");
    let gateway = Gateway::with_config(&config).await;
    let why = format!("http_port {port} is taken");
    assert!(gateway.log_line(&why).await.contains("canvas"));
    let mut client = gateway.connect(&of_protocol(Connect::operator(), 3)).await;
    assert!(client.hello.get("canvasHostUrl").is_none(), "nobody is sent to another program: {}", client.hello);
    let canvas = row(&mut client, "canvas").await;
    assert!(canvas["state"] == "running" && canvas["httpPort"]["port"] == port, "{canvas}");
    assert!(canvas["httpPort"]["error"].as_str().is_some_and(|told| told.starts_with(&why)), "{canvas}");
    let health = client.ok("health", json!({ "probe": true })).await;
    let errors = health["plugins"]["errors"].as_array().cloned().unwrap_or_default();
    let told = errors.iter().find(|row| row["id"] == "canvas").unwrap_or_else(|| panic!("{health}"));
    assert!(told["activated"] == true && told["error"].as_str().is_some_and(|told| told.starts_with(&why)), "{told}");
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(
        get_with(gateway.port, "/__openclaw__/canvas/", &bearer).await.status,
        404,
        "not where it was not to be"
    );

    // A plugin that is made anew tries, and fails again.
    let again = reload(&mut client, "canvas").await;
    assert!(again["httpPort"]["error"].as_str().is_some_and(|told| told.starts_with(&why)), "{again}");
    drop(held);
    gateway.hang_up();
    gateway.log_line("served on a port of its own").await;
    assert_eq!(get_with(port, "/__openclaw__/canvas/", &bearer).await.status, 200);
    assert_eq!(row(&mut client, "canvas").await["httpPort"], json!({ "port": port }));
    let newcomer = gateway.connect(&of_protocol(Connect::operator(), 3)).await;
    base(&newcomer.hello["canvasHostUrl"], "http", port);
}

#[tokio::test]
async fn a_port_comes_and_goes_with_the_configuration() {
    let gateway = start(PROGRAM, "").await;
    let (main, first, second) = (gateway.port, free(), free());
    let mut client = gateway.admin().await;
    assert_eq!(status(main, "/wires/fact").await, 200);

    gateway.write_config(&wires_at(first));
    changed(&mut client, "wires").await;
    assert_eq!((status(first, "/wires/fact").await, status(main, "/wires/fact").await), (200, 404));
    assert_eq!(row(&mut client, "wires").await["httpPort"], json!({ "port": first }));

    // Who keeps a connection to the old port open does not keep the port.
    let mut idle = TcpStream::connect(("127.0.0.1", first)).await.expect("the port is open");
    idle.write_all(format!("GET /wires/fact HTTP/1.1\r\nHost: 127.0.0.1:{first}\r\n\r\n").as_bytes()).await.unwrap();
    let mut some = [0; 64];
    assert!(timeout(PATIENCE, idle.read(&mut some)).await.expect("an answer").expect("an answer") > 0);
    gateway.replace_config(&wires_at(second));
    changed(&mut client, "wires").await;
    assert_eq!((status(second, "/wires/fact").await, status(main, "/wires/fact").await), (200, 404));
    assert!(TcpStream::connect(("127.0.0.1", first)).await.is_err() && is_free(first));
    timeout(PATIENCE, idle.read_to_end(&mut Vec::new())).await.expect("an end").expect("an end");

    // The port stays where the instance changes, and knows the new one.
    for _ in 0..2 {
        reload(&mut client, "wires").await;
        changed(&mut client, "wires").await;
    }
    assert_eq!(status(second, "/wires/fact").await, 200);

    gateway.write_config(&format!("{}enabled = false", wires_at(second)));
    changed(&mut client, "wires").await;
    assert!(TcpStream::connect(("127.0.0.1", second)).await.is_err() && is_free(second));
    assert!(row(&mut client, "wires").await.get("httpPort").is_none());
    gateway.write_config(&wires_at(second));
    changed(&mut client, "wires").await;
    assert_eq!(status(second, "/wires/fact").await, 200);

    gateway.write_config(&wires_at(0));
    changed(&mut client, "wires").await;
    assert!(is_free(second));
    assert_eq!(status(main, "/wires/fact").await, 200);
    gateway.assert_healthy().await;
}

#[tokio::test]
async fn what_cannot_be_a_port_of_a_plugin_is_said() {
    let gateway = start(PROGRAM, "").await;
    let mut client = gateway.admin().await;
    gateway.write_config(&wires_at(gateway.port));
    changed(&mut client, "wires").await;
    let wires = row(&mut client, "wires").await;
    assert!(wires["httpPort"]["error"].as_str().is_some_and(|why| why.contains("the gateway's own port")), "{wires}");
    assert_eq!(status(gateway.port, "/wires/fact").await, 404);
    gateway.assert_healthy().await;

    // A plugin that has nothing to show there goes on as it was.
    gateway.write_config("[plugins.vault]\nhttp_port = 18793\n");
    let line = gateway.log_line("the plugin answers no HTTP").await;
    assert!(line.contains("vault") && line.contains("test.toml:1"), "{line}");
    client.ok("vault.read", json!({})).await;
    gateway.write_config("[plugins.wires]\nhttp_port = 65536\n");
    let line = gateway.log_line("http_port = 65536").await;
    assert!(line.contains("test.toml:2"), "{line}");
    assert_eq!(status(gateway.port, "/wires/fact").await, 200);
}

#[tokio::test]
async fn a_socket_of_the_old_port_ends_when_the_port_changes() {
    let (first, second) = (free(), free());
    let gateway = start(PROGRAM, &wires_at(first)).await;
    let mut client = gateway.admin().await;
    let stream = TcpStream::connect(("127.0.0.1", first)).await.expect("the port is open");
    let (mut socket, _) = client_async(format!("ws://127.0.0.1:{first}/wires/ws"), stream).await.expect("a socket");
    assert_eq!(socket.next().await.expect("a message").expect("a message"), Message::text("hello"));
    gateway.write_config(&wires_at(second));
    changed(&mut client, "wires").await;
    let code = loop {
        match timeout(PATIENCE, socket.next()).await.expect("the end of a socket") {
            Some(Ok(Message::Close(frame))) => break frame.map(|frame| u16::from(frame.code)),
            Some(Ok(_)) => {}
            Some(Err(tungstenite::Error::ConnectionClosed)) | None => break None,
            Some(Err(error)) => panic!("{error}"),
        }
    };
    assert_eq!(code, Some(1012));
    assert!(is_free(first));
}

#[test]
fn a_port_of_a_plugin_speaks_tls_where_the_gateway_does() {
    let port = free();
    let home = Home::default();
    home.configure(&format!("[gateway.tls]\nenabled = true\n[plugins.canvas]\nhttp_port = {port}\n"));
    let gateway = home.start();
    let described = std::fs::read_to_string(home.state().join("gateway.json")).expect("it says where it is");
    let described: Value = serde_json::from_str(&described).expect("JSON");
    let fingerprint: Fingerprint = described["tlsFingerprint"].as_str().expect("a fingerprint").parse().expect("one");
    let tls = TlsOptions::pinned([fingerprint]);
    let door = Door { address: SocketAddr::from(([127, 0, 0, 1], port)), tls: Some(("127.0.0.1".to_string(), tls)) };
    let bearer = format!("Authorization: Bearer {}\r\nConnection: close\r\n", home.token());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let ask = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{bearer}\r\n");
        runtime.block_on(http_at(&door, &request)).status
    };
    assert_eq!((ask("/__openclaw__/canvas/"), ask("/metrics")), (200, 404));
    assert!(gateway.said().iter().any(|line| line.contains("a port of its own")));
}
