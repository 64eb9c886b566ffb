//! The least a gateway could cost: tokio-tungstenite, the frame parsed, a fixed payload answered. The load tool drives it
//! in the same run as the gateway, so that what the gateway adds shows as a ratio and not as a property of the machine.
//!
//! It relays `node.invoke` to the one connection whose role is node, and that one's answer back.
//!
//! A gateway's hello-ok is many KiB of protocol, and more events follow it: `--hello-bytes` and `--welcome-bytes` make this
//! server's as long, and `--health-bytes` and `--presence-bytes` its answers, so that what is compared with it was done for the
//! same bytes.
//!
//! It prints one line with its address. `bench.broadcast` with `{"event","bytes"}` sends one event to every connection.

use std::collections::HashMap;
use std::io::Read;
use std::iter;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Parser;
use ed25519_dalek::{Signature, VerifyingKey};
use futures_util::{FutureExt, SinkExt, StreamExt};
use schemas::connect::ConnectParams;
use schemas::device::{self, SignedFields};
use schemas::frame::{Request, write};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message, Utf8Bytes};

/// A bare WebSocket server that answers the gateway protocol with fixed payloads.
#[derive(Parser)]
struct Arguments {
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// End when standard input does, so that it never outlives the program that started it.
    #[arg(long)]
    exit_on_stdin_close: bool,
    /// Bytes of the frame with hello-ok, if more than it needs.
    #[arg(long, default_value_t = 0)]
    hello_bytes: usize,
    /// Bytes of an event that follows it at once; none if 0.
    #[arg(long, default_value_t = 0)]
    welcome_bytes: usize,
    /// Bytes of the payload that answers `health`; one of its own if 0.
    #[arg(long, default_value_t = 0)]
    health_bytes: usize,
    /// Bytes of the payload that answers `system-presence`; one of its own if 0.
    #[arg(long, default_value_t = 0)]
    presence_bytes: usize,
}

/// As the gateway: tungstenite zeroes this much before each read.
const READ_BUFFER: usize = 4 * 1024;
/// Events that wait for one connection.
const EVENT_BUFFER: usize = 4096;

const HEALTH: &str = r#"{"ok":true,"ts":1737264000000,"durationMs":2,"channels":{},"channelOrder":[],"channelLabels":{},"heartbeatSeconds":1800,"defaultAgentId":"main","agents":[{"agentId":"main","name":"Main","isDefault":true,"heartbeat":{"enabled":true,"every":"30m","everyMs":1800000,"prompt":"Look at what is open and say what matters; answer HEARTBEAT_OK when nothing does.","target":"last","ackMaxChars":300},"sessions":{"path":"sessions/main.json","count":0,"recent":[]}}],"sessions":{"path":"sessions/main.json","count":0,"recent":[]},"plugins":[{"id":"health","state":"running"},{"id":"presence","state":"running"}]}"#;

const PRESENCE: &str = r#"[{"host":"bare","ip":"127.0.0.1","version":"0","platform":"linux","deviceFamily":"Linux","mode":"gateway","reason":"self","text":"Gateway: bare","ts":1737264000000},{"host":"load","ip":"127.0.0.1","version":"0","platform":"linux","mode":"backend","reason":"connect","text":"Node: load","ts":1737264000000,"roles":["operator"],"scopes":["operator.admin"],"instanceId":"load"}]"#;

const HELLO: &str = r#"{"type":"hello-ok","protocol":3,"server":{"version":"0","connId":"3f1c2b7e-9f60-4a55-8d0a-5b6c7d8e9f01"},"features":{"methods":["bench.broadcast","health"],"events":["bench","connect.challenge","tick"]},"snapshot":{"presence":[{"host":"bare","mode":"gateway","reason":"self","text":"Gateway: bare","ts":1737264000000}],"health":{},"stateVersion":{"presence":1,"health":1},"uptimeMs":1,"sessionDefaults":{"defaultAgentId":"main","mainKey":"main","mainSessionKey":"agent:main:main","scope":"per-sender"}},"policy":{"maxPayload":524288,"maxBufferedBytes":1572864,"tickIntervalMs":30000}}"#;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let listener = match TcpListener::bind(("127.0.0.1", arguments.port)).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("127.0.0.1:{} cannot be bound: {error}", arguments.port);
            return ExitCode::FAILURE;
        }
    };
    println!("ready on ws://{}", listener.local_addr().expect("a bound listener has an address"));
    if arguments.exit_on_stdin_close {
        std::thread::spawn(|| {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(0);
        });
    }
    tokio::select! {
        () = serve(listener, &arguments) => {}
        () = terminated() => {}
    }
    ExitCode::SUCCESS
}

async fn serve(listener: TcpListener, arguments: &Arguments) {
    let (events, _) = broadcast::channel(EVENT_BUFFER);
    let server = Arc::new(Server {
        hello: hello(arguments.hello_bytes),
        welcome: (arguments.welcome_bytes > 0).then(|| welcome(arguments.welcome_bytes).into()),
        health: payload(arguments.health_bytes, HEALTH),
        presence: payload(arguments.presence_bytes, PRESENCE),
        events,
        broadcasts: AtomicU64::new(0),
        connections: AtomicU64::new(0),
        relay: Mutex::default(),
    });
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let server = server.clone();
        tokio::spawn(async move {
            // A peer that goes away is the usual end.
            let _ = connection(&server, stream).await;
        });
    }
}

async fn terminated() {
    #[cfg(unix)]
    if let Ok(mut signal) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = signal.recv() => return,
            _ = tokio::signal::ctrl_c() => return,
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

struct Server {
    hello: String,
    welcome: Option<Utf8Bytes>,
    health: String,
    presence: String,
    events: broadcast::Sender<Utf8Bytes>,
    broadcasts: AtomicU64,
    connections: AtomicU64,
    relay: Mutex<Relay>,
}

/// What is passed between operators and the node.
#[derive(Default)]
struct Relay {
    node: Option<(String, Way)>,
    asked: HashMap<u64, (Way, String)>,
    last: u64,
}

/// Frames of others on their way to a connection.
type Way = mpsc::Sender<String>;

async fn connection(server: &Server, stream: TcpStream) -> Result<(), SocketError> {
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let mut socket = tokio_tungstenite::accept_async_with_config(stream, Some(config)).await?;
    // Different for each connection is enough: nothing here is worth a stolen signature.
    let nonce = format!("{}-{}", schemas::now_ms(), server.connections.fetch_add(1, Ordering::Relaxed));
    let challenge = format!(
        r#"{{"type":"event","event":"connect.challenge","payload":{{"nonce":"{nonce}","ts":{}}}}}"#,
        schemas::now_ms()
    );
    socket.send(Message::text(challenge)).await?;

    let Some(first) = socket.next().await.transpose()? else { return Ok(()) };
    let Some(answer) = first.to_text().ok().and_then(|text| connect(server, text, &nonce)) else {
        return socket.close(None).await;
    };
    // First: whoever has been greeted hears what is broadcast from then on.
    let mut events = server.events.subscribe();
    greet(server, &mut socket, answer).await?;
    let (way, mut relayed) = mpsc::channel(EVENT_BUFFER);
    if let Some(node) = first.to_text().ok().and_then(node_of) {
        server.relay.lock().unwrap_or_else(PoisonError::into_inner).node = Some((node, way.clone()));
    }
    // It lies in the buffer that was read into, which would stay beside the next one for as long as the connection.
    drop(first);

    loop {
        tokio::select! {
            message = socket.next() => match message.transpose()? {
                Some(message) => answer_all(server, &mut socket, &way, message).await?,
                None => return Ok(()),
            },
            frame = relayed.recv() => {
                let Some(frame) = frame else { return Ok(()) };
                socket.feed(Message::text(frame)).await?;
                while let Ok(frame) = relayed.try_recv() {
                    socket.feed(Message::text(frame)).await?;
                }
                socket.flush().await?;
            }
            event = events.recv() => {
                let Ok(event) = event else { return socket.close(None).await };
                socket.feed(Message::Text(event)).await?;
                while let Ok(event) = events.try_recv() {
                    socket.feed(Message::Text(event)).await?;
                }
                socket.flush().await?;
            }
        }
    }
}

/// Sends hello-ok and what follows it in one write, past the socket's own buffer: that one never becomes smaller again, and a
/// greeting is many times longer than anything that an idle connection sends after it.
async fn greet(server: &Server, socket: &mut WebSocketStream<TcpStream>, answer: String) -> Result<(), SocketError> {
    let mut greeting = Vec::new();
    for text in iter::once(answer.into()).chain(server.welcome.clone()) {
        Frame::message(text, OpCode::Data(Data::Text), true).format(&mut greeting)?;
    }
    // Nothing waits in the buffer that should have gone before.
    socket.flush().await?;
    Ok(socket.get_mut().write_all(&greeting).await?)
}

/// Answers everything that has arrived, then flushes once.
async fn answer_all(
    server: &Server,
    socket: &mut WebSocketStream<TcpStream>,
    way: &Way,
    first: Message,
) -> Result<(), SocketError> {
    let mut next = Some(first);
    while let Some(message) = next {
        if let Some(answer) = message.to_text().ok().and_then(|text| answer(server, way, text)) {
            socket.feed(Message::text(answer)).await?;
        }
        next = match socket.next().now_or_never() {
            Some(Some(message)) => Some(message?),
            Some(None) | None => None,
        };
    }
    socket.flush().await
}

fn answer(server: &Server, way: &Way, text: &str) -> Option<String> {
    let request = Request::parse(text)?;
    match &*request.method {
        "health" => Some(ok(&request.id, &server.health)),
        "system-presence" => Some(ok(&request.id, &server.presence)),
        "node.invoke" => {
            ask(server, way, &request)?;
            None
        }
        "node.invoke.result" => {
            pass_on(server, &request)?;
            Some(ok(&request.id, r#"{"ok":true}"#))
        }
        "node.pair.list" => {
            let relay = server.relay.lock().unwrap_or_else(PoisonError::into_inner);
            let node = relay.node.as_ref().map(|(node, _)| node.as_str());
            Some(ok(
                &request.id,
                &format!(r#"{{"pending":[],"paired":[{{"nodeId":"{}"}}]}}"#, node.unwrap_or_default()),
            ))
        }
        "bench.broadcast" => {
            let params: Broadcast = serde_json::from_str(request.params_text()).ok()?;
            let seq = server.broadcasts.fetch_add(1, Ordering::Relaxed) + 1;
            let filling = "x".repeat(params.bytes.min(1 << 20));
            let mut frame = Vec::new();
            let payload = serde_json::to_vec(&serde_json::json!({ "filling": filling })).ok()?;
            write::event_open(&mut frame, params.event.as_deref().unwrap_or("bench"), Some(&payload), None);
            write::event_close_with_seq(&mut frame, seq);
            let frame = String::from_utf8(frame).ok()?;
            let _ = server.events.send(frame.into());
            Some(ok(&request.id, r#"{"ok":true}"#))
        }
        _ => {
            let mut out = Vec::new();
            write::response_error(
                &mut out,
                &request.id,
                br#"{"code":"INVALID_REQUEST","message":"unknown method"}"#,
                None,
            );
            String::from_utf8(out).ok()
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invoke<'a> {
    node_id: &'a str,
    command: &'a str,
    #[serde(borrow)]
    params: &'a RawValue,
    timeout_ms: u64,
    idempotency_key: &'a str,
}

/// Asks the node.
fn ask(server: &Server, way: &Way, request: &Request<'_>) -> Option<()> {
    let Invoke { node_id, command, params, timeout_ms, idempotency_key } =
        serde_json::from_str(request.params_text()).ok()?;
    let mut relay = server.relay.lock().unwrap_or_else(PoisonError::into_inner);
    relay.last += 1;
    let number = relay.last;
    let payload = serde_json::json!({
        "id": number.to_string(), "nodeId": node_id, "command": command, "paramsJSON": params.get(),
        "timeoutMs": timeout_ms, "idempotencyKey": idempotency_key,
    });
    let mut frame = Vec::new();
    write::event_open(&mut frame, "node.invoke.request", Some(payload.to_string().as_bytes()), None);
    frame.push(b'}');
    relay.asked.insert(number, (way.clone(), request.id.to_string()));
    let (_, node) = relay.node.as_ref()?;
    node.try_send(String::from_utf8(frame).ok()?).ok()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answered<'a> {
    id: &'a str,
    node_id: &'a str,
    #[serde(rename = "payloadJSON")]
    payload_json: String,
}

/// Passes on what the node answered.
fn pass_on(server: &Server, request: &Request<'_>) -> Option<()> {
    let Answered { id, node_id, payload_json } = serde_json::from_str(request.params_text()).ok()?;
    let mut relay = server.relay.lock().unwrap_or_else(PoisonError::into_inner);
    let (way, asked) = relay.asked.remove(&id.parse().ok()?)?;
    drop(relay);
    let payload: &RawValue = serde_json::from_str(&payload_json).ok()?;
    let payload = serde_json::json!({ "ok": true, "nodeId": node_id, "payload": payload, "payloadJSON": payload_json });
    way.try_send(ok(&asked, &payload.to_string())).ok()
}

/// The id of a node that connects.
fn node_of(text: &str) -> Option<String> {
    let request = Request::parse(text)?;
    let params: ConnectParams = serde_json::from_str(request.params_text()).ok()?;
    (params.role() == "node").then(|| params.device.map(|device| device.id.to_string()))?
}

#[derive(Deserialize)]
struct Broadcast {
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    bytes: usize,
}

/// The answer to `connect`; `None` when it is not one or its device does not prove itself.
fn connect(server: &Server, text: &str, nonce: &str) -> Option<String> {
    let request = Request::parse(text).filter(|request| request.method == "connect")?;
    let params: ConnectParams = serde_json::from_str(request.params_text()).ok()?;
    let credentials = params.credentials();
    if let Some(proof) = &params.device {
        let public_key = device::decode_key(&proof.public_key)?;
        let fields = SignedFields {
            device_id: &proof.id,
            client_id: &params.client.id,
            client_mode: &params.client.mode,
            role: params.role(),
            scopes: params.requested_scopes(),
            signed_at: proof.signed_at,
            token: credentials.signed_token(),
            platform: &params.client.platform,
            device_family: params.client.device_family.as_deref(),
        };
        let signature = Signature::from_bytes(&device::decode_signature(&proof.signature)?);
        let key = VerifyingKey::from_bytes(&public_key).ok()?;
        key.verify_strict(fields.v2(nonce).as_bytes(), &signature).ok()?;
    }
    Some(ok(&request.id, &server.hello))
}

/// A payload that makes the answer to `connect` this long.
fn hello(bytes: usize) -> String {
    let open = HELLO.strip_suffix('}').expect("it is an object");
    let filled = |filling: &str| format!(r#"{open},"filling":"{filling}"}}"#);
    match bytes.checked_sub(ok("connect", &filled("")).len()) {
        Some(missing) => filled(&"x".repeat(missing)),
        None => HELLO.to_string(),
    }
}

/// A payload this long, since nobody looks into it, or this one.
fn payload(bytes: usize, own: &str) -> String {
    let filled = |filling: &str| format!(r#"{{"filling":"{filling}"}}"#);
    match bytes {
        0 => own.to_string(),
        _ => filled(&"x".repeat(bytes.saturating_sub(filled("").len()))),
    }
}

/// An event this long.
fn welcome(bytes: usize) -> String {
    let filled = |filling: &str| format!(r#"{{"type":"event","event":"health","payload":{{"filling":"{filling}"}}}}"#);
    filled(&"x".repeat(bytes.saturating_sub(filled("").len())))
}

fn ok(id: &str, payload: &str) -> String {
    let mut out = Vec::new();
    write::response_ok(&mut out, id, payload.as_bytes());
    String::from_utf8(out).expect("a frame is made of strings")
}
