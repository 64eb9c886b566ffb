//! `gateway.auth.allow_tailscale` from outside, with a stand-in for the daemon that knows whose an address is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clawhost_tests::support::{Client, Connect, Gateway, Key, Knock};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const HEADERS: [(&str, &str); 4] = [
    ("Tailscale-User-Login", " Ann@example.org"),
    ("X-Forwarded-For", "100.64.0.7"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "box.tail1.ts.net"),
];

/// A daemon that answers each request with the same bytes; with none it never answers.
struct Daemon {
    folder: TempDir,
    asked: Arc<AtomicUsize>,
}

impl Daemon {
    fn answering(answer: impl Into<Vec<u8>>) -> Daemon {
        let folder = TempDir::new().expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join("sock")).expect("a socket");
        let (asked, answer) = (Arc::new(AtomicUsize::new(0)), answer.into());
        let count = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), count.clone()));
            }
        });
        Daemon { folder, asked }
    }

    fn knowing(login: &str) -> Daemon {
        let body = json!({ "Node": { "ID": 1 }, "UserProfile": { "ID": 2, "LoginName": login } }).to_string();
        Daemon::answering(with_body(&body))
    }

    fn config(&self) -> String {
        let socket = self.folder.path().join("sock");
        format!("[gateway.auth]\nallow_tailscale = true\ntailscale_socket = \"{}\"\n", socket.display())
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: UnixStream, answer: Vec<u8>, asked: Arc<AtomicUsize>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    assert!(head.starts_with("get /localapi/v0/whois?addr=100.64.0.7:1 http/1.1\r\n"), "{head}");
    assert!(head.contains("host: local-tailscaled.sock\r\n"), "{head}");
    asked.fetch_add(1, Ordering::SeqCst);
    if answer.is_empty() {
        // Until the gateway gives up.
        let _ = stream.read_u8().await;
    }
    let _ = stream.write_all(&answer).await;
}

fn with_body(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// As Tailscale Serve passes a request on, but for one header.
fn served_without(left_out: &str) -> Knock {
    let kept = HEADERS.iter().filter(|(name, _)| *name != left_out);
    kept.fold(Knock::default().host("box.tail1.ts.net"), |knock, (name, value)| knock.header(name, value))
}

fn served() -> Knock {
    served_without("")
}

fn device() -> Connect {
    Connect::operator().no_auth().device(&Key::new(1))
}

async fn message(gateway: &Gateway, knock: &Knock, connect: &Connect) -> String {
    gateway.knock_with(knock).await.connect(connect).await.expect_err("it is refused").error.message
}

async fn pair(gateway: &Gateway) {
    let refused = gateway.knock_with(&served()).await.connect(&device()).await.expect_err("nobody has approved it");
    assert_eq!(refused.error.code, "NOT_PAIRED", "{refused:?}");
    let details = refused.error.details.expect("details");
    let request = details["requestId"].as_str().expect("the id of a request");
    let mut admin = gateway.admin().await;
    admin.ok("device.pair.approve", json!({ "requestId": request })).await;
    admin.close().await;
}

async fn enter(gateway: &Gateway, connect: &Connect) -> Client {
    let mut client = gateway.knock_with(&served()).await;
    client.connect(connect).await.expect("the tailnet knows it");
    client
}

#[tokio::test]
async fn a_device_of_the_tailnet_needs_pairing_and_no_secret() {
    let daemon = Daemon::knowing("ann@EXAMPLE.org");
    let gateway = Gateway::with_config(&daemon.config()).await;
    pair(&gateway).await;
    let mut client = enter(&gateway, &device()).await;
    client.ok("health", json!({})).await;
    client.close().await;
    let line = gateway.log_line("method=\"tailscale\"").await;
    assert!(line.contains("login=\"ann@EXAMPLE.org\"") && line.contains("local=false"), "{line}");
    assert_eq!(daemon.asked(), 1, "the answer is kept");
}

#[tokio::test]
async fn it_gets_the_scopes_that_were_approved() {
    let daemon = Daemon::knowing("ann@example.org");
    let gateway = Gateway::with_config(&daemon.config()).await;
    let connect = device().scopes(&["operator.read"]);
    let refused = gateway.knock_with(&served()).await.connect(&connect).await.expect_err("nobody has approved it");
    let request = refused.error.details.expect("details")["requestId"].clone();
    let mut admin = gateway.admin().await;
    admin.ok("device.pair.approve", json!({ "requestId": request })).await;
    admin.close().await;
    let mut client = enter(&gateway, &connect).await;
    client.refused("system.connections", json!({})).await;
    client.close().await;
    assert!(message(&gateway, &served(), &device()).await.starts_with("pairing required"), "more needs an approval");
}

#[tokio::test]
async fn without_a_device_the_tailnet_lets_nobody_in() {
    let daemon = Daemon::knowing("ann@example.org");
    let gateway = Gateway::with_config(&daemon.config()).await;
    assert_eq!(message(&gateway, &served(), &Connect::operator().no_auth()).await, "device identity required");
    let wrong = Connect::operator().token("a-secret-of-nobody");
    let four = wrong.clone().with("minProtocol", json!(4)).with("maxProtocol", json!(4));
    for connect in [wrong, four] {
        assert!(message(&gateway, &served(), &connect).await.starts_with("unauthorized: gateway token mismatch"));
    }
}

#[tokio::test]
async fn every_header_must_be_there() {
    let daemon = Daemon::knowing("ann@example.org");
    let gateway = Gateway::with_config(&daemon.config()).await;
    let missing = "unauthorized: gateway token missing";
    for (name, value) in HEADERS {
        assert!(message(&gateway, &served_without(name), &device()).await.starts_with(missing), "without {name}");
        let twice = served().header(name, value);
        assert!(message(&gateway, &twice, &device()).await.starts_with(missing), "{name} twice");
    }
    assert_eq!(daemon.asked(), 0);
}

#[tokio::test]
async fn headers_mean_nothing_unless_allowed() {
    let daemon = Daemon::knowing("ann@example.org");
    let config = daemon.config().replace("allow_tailscale = true", "allow_tailscale = false");
    let gateway = Gateway::with_config(&config).await;
    assert!(message(&gateway, &served(), &device()).await.starts_with("unauthorized: gateway token missing"));
    assert_eq!(daemon.asked(), 0);
}

#[tokio::test]
async fn a_claim_of_somebody_elses_login_falls() {
    let daemon = Daemon::knowing("bob@example.org");
    let gateway = Gateway::with_config(&daemon.config()).await;
    assert!(message(&gateway, &served(), &device()).await.starts_with("unauthorized: gateway token missing"));
    gateway.log_line("mismatch").await;
}

#[tokio::test]
async fn whatever_the_daemon_does_the_secret_still_lets_in() {
    let large = json!({ "UserProfile": { "LoginName": "ann@example.org" }, "more": "x".repeat(70_000) }).to_string();
    for (answer, kind) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_string(), "refused"),
        ("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_string(), "refused"),
        ("no HTTP at all\r\n\r\n".to_string(), "bad-answer"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_string(), "bad-answer"),
        (with_body("{}"), "bad-answer"),
        (with_body(&json!({ "UserProfile": { "LoginName": "tagged-devices" } }).to_string()), "bad-answer"),
        (with_body(&large), "bad-answer"),
        (String::new(), "timeout"),
    ] {
        let daemon = Daemon::answering(answer);
        let config = format!("{}[gateway.limits]\nhandshake_timeout_ms = 3000\n", daemon.config());
        falls_through(&Gateway::with_config(&config).await, kind).await;
        assert_eq!(daemon.asked(), 1, "a failure is kept too");
    }
    let absent = "[gateway.auth]\nallow_tailscale = true\ntailscale_socket = \"/nonexistent/sock\"\n";
    falls_through(&Gateway::with_config(absent).await, "no-daemon").await;
}

async fn falls_through(gateway: &Gateway, kind: &str) {
    let mut client = gateway.knock_with(&served()).await;
    client.connect(&Connect::operator()).await.expect("the token is good");
    client.close().await;
    let refused = message(gateway, &served(), &device()).await;
    assert!(refused.starts_with("unauthorized: gateway token missing"), "{kind}: {refused}");
    gateway.log_line(&format!("kind=\"{kind}\"")).await;
    assert_eq!(gateway.log_lines("was not confirmed").len(), 1, "{kind}");
}
