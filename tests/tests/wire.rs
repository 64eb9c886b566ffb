//! Bad and odd input, frame by frame. The cases are files under `wire/`, and adding one is adding a file:
//!
//! ```text
//! # what this is about
//! @ config gateway.limits.max_payload = 4096        a gateway of its own, with this line
//! @ raw                                             not connected yet; without it, an admin is connected first
//! > {"type":"req",…}                                a text frame
//! >b {…}                                            the same as a binary frame
//! >f3 {…}                                           the same in three fragments
//! >pad 5000 {"id":"x",…}                            the same, padded with blanks to so many bytes
//! >hex ff fe                                        a text frame of these bytes
//! >ping abc                                         a ping, and the pong it must bring
//! < {…}                                             the next frame, events of the gateway's own left out
//! = close 1008 reason                               the connection ends like this
//! = open                                            the connection is served as before
//! ```
//!
//! `{{connect}}` stands for the params of an operator with the token, `{{token}}` for the token, `{{client}}` for a
//! client. Patterns are those of `support::mismatch`. A case without a last `=` must leave the connection open. After
//! each case another client must be served as usual.

use std::net::SocketAddr;
use std::path::Path;

use clawhost_tests::support::{
    Client, Close, Connect, Door, Frame, Gateway, Raw, TOKEN, http, http_afterwards, mismatch,
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;

#[tokio::test]
async fn every_case_of_the_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("wire");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("the folder").flatten().map(|it| it.path()).collect();
    files.sort();
    assert!(files.len() > 20, "cases are missing");
    let shared = Gateway::start().await;
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a case");
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let case = Case::read(&name, &text);
        if case.config.is_empty() {
            case.run(&shared).await;
        } else {
            case.run(&Gateway::with_config(&case.config).await).await;
        }
    }
}

struct Case<'a> {
    name: &'a str,
    config: String,
    raw: bool,
    lines: Vec<(usize, &'a str)>,
}

impl<'a> Case<'a> {
    fn read(name: &'a str, text: &'a str) -> Self {
        let mut case = Case { name, config: String::new(), raw: false, lines: Vec::new() };
        for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim_end())) {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("" | "#", _) => {}
                ("@", "raw") => case.raw = true,
                ("@", rest) => match rest.strip_prefix("config ") {
                    Some(config) => case.config.push_str(&format!("{config}\n")),
                    None => panic!("{name}:{number}: {rest:?} is not known"),
                },
                _ => case.lines.push((number, line)),
            }
        }
        case
    }

    async fn run(&self, gateway: &Gateway) {
        // Shown when the case fails.
        eprintln!("{}", self.name);
        let mut client = gateway.knock().await;
        if !self.raw {
            client.connect(&Connect::operator()).await.unwrap_or_else(|why| panic!("{}: {why:?}", self.name));
        }
        let mut ended = false;
        for (number, line) in &self.lines {
            let place = format!("{}:{number}", self.name);
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            ended = step(&place, &mut client, word, rest).await;
        }
        if !ended {
            assert_open(self.name, &mut client).await;
        }
        drop(client);
        gateway.assert_healthy().await;
    }
}

/// Whether the connection has ended.
async fn step(place: &str, client: &mut Client, word: &str, rest: &str) -> bool {
    match word {
        ">" => client.send_text(&expanded(rest)).await,
        ">b" => client.send_binary(expanded(rest).as_bytes()).await,
        ">f3" => client.send_fragments(&expanded(rest), 3).await,
        ">pad" => {
            let (size, text) = rest.split_once(' ').expect("a size");
            let size: usize = size.parse().expect("a number");
            client.send_padded(&expanded(text), size).await;
        }
        ">hex" => {
            let bytes: Result<Vec<u8>, _> = rest.split(' ').map(|byte| u8::from_str_radix(byte, 16)).collect();
            client.write_frame(Data::Text, &bytes.expect("bytes in hex"), true).await;
        }
        ">ping" => {
            client.write(Message::Ping(rest.as_bytes().to_vec().into())).await;
            assert_eq!(client.pong().await, rest.as_bytes(), "{place}");
        }
        "<" => {
            let pattern: Value = serde_json::from_str(&expanded(rest)).unwrap_or_else(|e| panic!("{place}: {e}"));
            let frame = next(place, client, &pattern).await;
            if let Some(why) = mismatch(&pattern, &frame) {
                panic!("{place}: {why}");
            }
        }
        "=" if rest == "open" => assert_open(place, client).await,
        "=" => {
            let close = rest.strip_prefix("close ").unwrap_or_else(|| panic!("{place}: {rest:?} is not known"));
            let (code, reason) = close.split_once(' ').unwrap_or((close, ""));
            let expected = Close { code: Some(code.parse().expect("a code")), reason: reason.to_string() };
            let mut close = client.closed().await;
            // Lines of a case do not end in blanks.
            close.reason.truncate(close.reason.trim_end().len());
            assert_eq!(close, expected, "{place}");
            // Nothing may come that no line expected.
            while let Some(frame) = client.next().await {
                assert!(is_own_event(&frame), "{place}: {frame:?} was not expected");
            }
            return true;
        }
        _ => panic!("{place}: {word:?} is not known"),
    }
    false
}

/// The next frame, events that come by themselves left out unless one is expected.
async fn next(place: &str, client: &mut Client, pattern: &Value) -> Value {
    loop {
        let frame = client.next().await.unwrap_or_else(|| panic!("{place}: closed before {pattern}"));
        if is_own_event(&frame) && pattern["type"] != "event" {
            continue;
        }
        return match frame {
            Frame::Response(response) => serde_json::to_value(response),
            Frame::Event(event) => serde_json::to_value(event),
        }
        .expect("a frame is JSON");
    }
}

fn is_own_event(frame: &Frame) -> bool {
    matches!(frame, Frame::Event(event) if ["health", "presence", "tick"].contains(&event.event.as_str()))
}

async fn assert_open(place: &str, client: &mut Client) {
    let health = client.call("health", json!({})).await;
    assert!(health.is_ok_and(|health| health["ok"] == true), "{place}: the connection is not served any more");
    assert!(client.checks().waiting().is_empty() || place.contains("ignored"), "{place}: a request has no answer");
}

fn expanded(text: &str) -> String {
    let client = json!({ "id": "cli", "version": "1.0.0", "platform": "linux", "mode": "cli" });
    text.replace("{{connect}}", &Connect::operator().params("").to_string())
        .replace("{{client}}", &client.to_string())
        .replace("{{token}}", TOKEN)
}

/// `{"type":"req","id":"connect",…}` as the bytes of a frame that this test writes itself.
fn connect_text() -> String {
    expanded(r#"{"type":"req","id":"c","method":"connect","params":{{connect}}}"#)
}

#[tokio::test]
async fn what_no_websocket_library_sends() {
    let gateway = Gateway::start().await;
    let hello = connect_text();
    for connected in [false, true] {
        for (what, bytes, code) in [
            ("an unmasked frame", vec![0x81, 2, b'{', b'}'], 1002),
            ("a reserved opcode", Raw::masked(0x83, b"{}"), 1002),
            ("a reserved control opcode", Raw::masked(0x8b, b""), 1002),
            ("a reserved bit", Raw::masked(0xc1, b"{}"), 1002),
            ("a continuation of nothing", Raw::masked(0x80, b"{}"), 1002),
            ("a text inside of a text", [Raw::masked(0x01, b"{"), Raw::masked(0x81, b"}")].concat(), 1002),
            ("a ping in fragments", Raw::masked(0x09, b""), 1002),
            ("a ping that is too long", Raw::masked(0x89, &[b'x'; 126]), 1002),
            ("a text that is not UTF-8", Raw::masked(0x81, b"\"\xff\xfe\""), 1007),
            (
                "a length that is not to be believed",
                [vec![0x81, 0xff], (1u64 << 40).to_be_bytes().to_vec(), vec![0; 4]].concat(),
                1009,
            ),
        ] {
            let mut raw = Raw::open(gateway.port).await;
            if connected {
                raw.send(&Raw::masked(0x81, hello.as_bytes())).await;
                for _ in 0..2 {
                    raw.frame().await.expect("the challenge, then hello-ok");
                }
            }
            raw.send(&bytes).await;
            let close = raw.close().await.unwrap_or_else(|| panic!("{what}: no close frame, connected: {connected}"));
            assert_eq!((close.code, close.reason.as_str()), (Some(code), ""), "{what}, connected: {connected}");
            assert!(raw.ends().await, "{what}: the socket stays open");
        }
    }
    gateway.assert_healthy().await;
}

#[tokio::test]
async fn a_clients_close_is_answered_with_its_code() {
    let gateway = Gateway::start().await;
    for payload in [&b""[..], b"\x03\xe8bye", b"\x0f\xa8connect failed"] {
        let mut raw = Raw::open(gateway.port).await;
        raw.send(&Raw::masked(0x81, connect_text().as_bytes())).await;
        raw.send(&Raw::masked(0x88, payload)).await;
        let (opcode, answer) = loop {
            let frame = raw.frame().await.expect("a close frame");
            if frame.0 == 8 {
                break frame;
            }
        };
        assert_eq!((opcode, answer.get(..2)), (8, payload.get(..2)), "{payload:?}");
        assert!(raw.ends().await);
    }
    gateway.assert_healthy().await;
}

#[tokio::test]
async fn one_byte_at_a_time() {
    let gateway = Gateway::start().await;
    let mut raw = Raw::open(gateway.port).await;
    for byte in Raw::masked(0x81, connect_text().as_bytes()) {
        raw.send(&[byte]).await;
    }
    raw.frame().await.expect("the challenge");
    let (_, hello) = raw.frame().await.expect("hello-ok");
    assert!(String::from_utf8_lossy(&hello).contains("hello-ok"));
}

#[tokio::test]
async fn upgrades_that_are_none() {
    let gateway = Gateway::start().await;
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    let key = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let with = |more: &[(&'static str, &'static str)]| [&upgrade[..], more].concat();
    for (what, method, headers, status) in [
        ("version 8", "GET", with(&[key, ("Sec-WebSocket-Version", "8")]), 426),
        ("no version", "GET", with(&[key]), 426),
        ("no key", "GET", with(&[("Sec-WebSocket-Version", "13")]), 400),
        ("a short key", "GET", with(&[("Sec-WebSocket-Key", "c2hvcnQ="), ("Sec-WebSocket-Version", "13")]), 400),
        ("a body", "GET", with(&[key, ("Sec-WebSocket-Version", "13"), ("Content-Length", "1")]), 400),
        ("POST", "POST", with(&[key, ("Sec-WebSocket-Version", "13")]), 405),
    ] {
        let answer = gateway.http(method, "/", &headers).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
    // What proxies say and speak by default.
    let closing = [("Connection", "close"), ("Upgrade", "websocket"), key, ("Sec-WebSocket-Version", "13")];
    let answer = gateway.http("GET", "/", &closing).await;
    assert!(answer.status == 400 && answer.body.contains("proxy_set_header Connection"), "{answer:?}");
    let old = "GET / HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
               Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let answer = http(gateway.port, old).await;
    assert_eq!(answer.status, 426, "{answer:?}");
    assert!(answer.body.contains("proxy_http_version 1.1"), "{answer:?}");
    for (path, status) in [("/", 200), ("/health", 404), ("/metrics/", 404), ("/../etc/passwd", 400), ("/%00", 400)] {
        assert_eq!(gateway.http("GET", path, &[]).await.status, status, "{path}");
    }
    gateway.assert_healthy().await;
}

/// The gateway answers such requests before all of them has come.
#[tokio::test]
async fn an_answer_reaches_who_reads_it_when_all_is_sent() {
    /// More than the buffers of both sides hold.
    const MUCH: usize = 16 * 1024 * 1024;
    // Time for a machine that is slow: nothing ends by it here.
    let gateway =
        Gateway::with_config("[gateway.limits]\nhandshake_timeout_ms = 60_000\nclose_grace_ms = 30_000").await;
    let door = Door::from(SocketAddr::from(([127, 0, 0, 1], gateway.port)));
    let (host, much) = (format!("Host: 127.0.0.1:{}\r\n", gateway.port), "x".repeat(MUCH));
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    for (first, headers, status, said) in [
        ("POST /nothing", "", 404, "connection: close"),
        ("POST /nothing", "Origin: https://evil.example\r\n", 403, "connection: close"),
        ("POST /metrics", "", 405, "allow: get"),
        ("POST /nothing", upgrade, 405, "allow: get"),
    ] {
        let request = format!("{first} HTTP/1.1\r\n{host}{headers}Content-Length: {MUCH}\r\n\r\n{much}");
        let answer = http_afterwards(&door, &request).await;
        assert!(answer.status == status && answer.head.contains(said), "{first}: {answer:?}");
    }
    let endless = http_afterwards(&door, &format!("GET / HTTP/1.1\r\n{host}X: {much}\r\n\r\n")).await;
    assert_eq!(endless.status, 431, "{endless:?}");
    gateway.assert_healthy().await;
}

#[tokio::test]
async fn any_path_upgrades_and_no_extension_is_taken() {
    let gateway = Gateway::start().await;
    for path in ["/", "/gateway", "/a/b?token=x", "/%20"] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
        );
        // An unmasked frame right behind the request, so that the answer has an end.
        let answer = http(gateway.port, &format!("{request}\u{1}\u{0}")).await;
        assert_eq!(answer.status, 101, "{path}: {answer:?}");
        assert!(
            !answer.head.contains("sec-websocket-extensions") && !answer.head.contains("sec-websocket-protocol"),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_frame_that_nests_too_deeply_is_answered_by_its_id() {
    let gateway = Gateway::start().await;
    let mut client = gateway.admin().await;
    let (open, close) = ("[".repeat(300), "]".repeat(300));
    client.send_text(&format!(r#"{{"type":"req","id":"deep","method":"health","x":{open}{close}}}"#)).await;
    let error = client.answer("deep").await.expect_err("no frame");
    assert!(error.message.starts_with("invalid request frame"), "{error:?}");
    client.close().await;
}
