//! A daemon in signal-cli's place, for tests: it speaks over HTTP and over a socket as signal-cli does, answers as the test
//! says, and tells of messages when the test wants it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long a test waits for the other side before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method; for a stream of events, its path with what follows it.
    pub method: String,
    /// Its parameters.
    pub params: Value,
}

/// What the daemon does with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Answers.
    Result(Value),
    /// Refuses: number, sentence, more of it.
    Error(i64, String, Value),
    /// Answers this status, over HTTP.
    Status(u16),
    /// Closes the connection.
    HangUp,
    /// Says nothing, and goes on.
    Silence,
    /// Answers when the test says so.
    Later(Arc<Gate>),
}

/// An answer that waits.
#[derive(Debug, Default)]
pub struct Gate(Mutex<Option<Value>>, Condvar);

impl Gate {
    /// Lets it go out.
    pub fn open(&self, result: Value) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.1.notify_all();
    }

    fn wait(&self) -> Value {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (guard, _) =
            self.1.wait_timeout_while(guard, PATIENCE, |value| value.is_none()).unwrap_or_else(PoisonError::into_inner);
        guard.clone().unwrap_or_default()
    }
}

type Answer = dyn Fn(&Asked) -> Reply + Send + Sync;

/// The daemon. Its threads end with the test's process.
pub struct Daemon {
    /// `http://127.0.0.1:PORT`
    pub http: String,
    /// `tcp://127.0.0.1:PORT`
    pub tcp: String,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Box<Answer>,
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    asked: Vec<Asked>,
    listeners: Vec<(TcpStream, bool)>,
    connections: usize,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, asked: Asked) {
        self.seen().asked.push(asked);
        self.changed.notify_all();
    }

    fn listens(&self, socket: &TcpStream, is_http: bool) {
        if let Ok(socket) = socket.try_clone() {
            let mut seen = self.seen();
            seen.listeners.push((socket, is_http));
            seen.connections += 1;
        }
        self.changed.notify_all();
    }

    fn left(&self, socket: &TcpStream) {
        let address = socket.peer_addr().ok();
        self.seen().listeners.retain(|(known, _)| known.peer_addr().ok() != address);
        self.changed.notify_all();
    }
}

impl Daemon {
    /// A daemon that answers so.
    pub fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared { answer: Box::new(answer), seen: Mutex::default(), changed: Condvar::new() });
        let http = serve(&shared, serve_http);
        let tcp = serve(&shared, serve_lines);
        Daemon { http: format!("http://127.0.0.1:{http}"), tcp: format!("tcp://127.0.0.1:{tcp}"), shared }
    }

    /// A daemon that does what it is asked: it has this account, and numbers messages from 1700000000001 on.
    pub fn obliging(account: &str) -> Self {
        let (account, sent) = (account.to_string(), std::sync::atomic::AtomicU64::new(1_700_000_000_000));
        Self::start(move |asked| match asked.method.as_str() {
            "send" => {
                let timestamp = sent.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                Reply::Result(json!({ "timestamp": timestamp, "results": [{ "type": "SUCCESS" }] }))
            }
            "listAccounts" => Reply::Result(json!([{ "number": account }])),
            "version" => Reply::Result(json!({ "version": "0.14.0" })),
            "getAttachment" => Reply::Result(json!({ "data": "aGVsbG8=" })),
            "sendTyping" | "sendReceipt" => Reply::Result(json!({ "timestamp": 1, "results": [] })),
            _ => Reply::Error(-32_601, "Method not implemented".to_string(), Value::Null),
        })
    }

    /// What it was asked by this method.
    pub fn asked(&self, method: &str) -> Vec<Value> {
        self.shared
            .seen()
            .asked
            .iter()
            .filter(|asked| asked.method == method)
            .map(|asked| asked.params.clone())
            .collect()
    }

    /// All that it was asked, by their methods.
    pub fn methods(&self) -> Vec<String> {
        self.shared.seen().asked.iter().map(|asked| asked.method.clone()).collect()
    }

    /// Waits until it was asked this so often, and gives the last one.
    #[track_caller]
    pub fn wait_asked(&self, method: &str, times: usize) -> Value {
        self.wait(&format!("{method} being asked {times} times"), |seen| {
            seen.asked.iter().filter(|asked| asked.method == method).count() >= times
        });
        self.asked(method)[times - 1].clone()
    }

    /// Waits until somebody listens for the so-manieth time.
    #[track_caller]
    pub fn wait_listener(&self, time: usize) {
        self.wait(&format!("listener number {time}"), |seen| seen.connections >= time && !seen.listeners.is_empty());
    }

    /// Waits until nobody listens.
    #[track_caller]
    pub fn wait_deaf(&self) {
        self.wait("nobody listening", |seen| seen.listeners.is_empty());
    }

    /// How often somebody began to listen.
    pub fn connections(&self) -> usize {
        self.shared.seen().connections
    }

    /// Tells all who listen of a message.
    pub fn tell(&self, told: &Value) {
        self.tell_cut(told, usize::MAX);
    }

    /// Tells of a message in two pieces, cut at this byte; a little later comes the second.
    pub fn tell_cut(&self, told: &Value, cut: usize) {
        let mut seen = self.shared.seen();
        for (socket, is_http) in &mut seen.listeners {
            let text = if *is_http { event(told) } else { line(told) };
            let (first, second) = text.as_bytes().split_at(cut.min(text.len()));
            for piece in [first, second].into_iter().filter(|piece| !piece.is_empty()) {
                let _ = if *is_http { write_chunk(socket, piece) } else { socket.write_all(piece) };
                let _ = socket.flush();
                std::thread::yield_now();
            }
        }
    }

    /// Sends all who listen these bytes.
    pub fn tell_bytes(&self, bytes: &[u8]) {
        for (socket, is_http) in &mut self.shared.seen().listeners {
            let _ = if *is_http { write_chunk(socket, bytes) } else { socket.write_all(bytes) };
        }
    }

    /// Closes the connections of all who listen.
    pub fn hang_up(&self) {
        for (socket, _) in self.shared.seen().listeners.drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    #[track_caller]
    fn wait(&self, what: &str, mut is_so: impl FnMut(&Seen) -> bool) {
        let until = Instant::now() + PATIENCE;
        let mut seen = self.shared.seen();
        while !is_so(&seen) {
            let left = until.checked_duration_since(Instant::now());
            let Some(left) = left else { panic!("{what} did not come in time; asked so far: {:?}", seen.asked) };
            seen = self.shared.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A direct message as signal-cli tells of it.
pub fn message(account: &str, from: &str, timestamp: u64, text: &str) -> Value {
    json!({
        "account": account,
        "envelope": {
            "source": from, "sourceNumber": from, "sourceUuid": uuid_of(from), "sourceName": "Ada", "sourceDevice": 1,
            "timestamp": timestamp, "serverReceivedTimestamp": timestamp, "serverDeliveredTimestamp": timestamp,
            "dataMessage": { "timestamp": timestamp, "message": text, "expiresInSeconds": 0, "viewOnce": false },
        },
    })
}

/// The lasting id of whoever has this number.
pub fn uuid_of(number: &str) -> String {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    format!("00000000-0000-4000-8000-{:0>12}", &digits[digits.len().saturating_sub(12)..])
}

fn event(told: &Value) -> String {
    format!("event:receive\ndata:{told}\n\n")
}

fn line(told: &Value) -> String {
    format!("{}\n", json!({ "jsonrpc": "2.0", "method": "receive", "params": told }))
}

fn write_chunk(socket: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    socket.write_all(&chunk)
}

fn serve(shared: &Arc<Shared>, talk: fn(TcpStream, &Shared) -> Option<()>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a test can listen");
    let port = listener.local_addr().expect("it has an address").port();
    let shared = shared.clone();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let shared = shared.clone();
            let _ = socket.set_nodelay(true);
            std::thread::spawn(move || {
                let known = socket.try_clone();
                talk(socket, &shared);
                if let Ok(known) = known {
                    shared.left(&known);
                    let _ = known.shutdown(Shutdown::Both);
                }
            });
        }
    });
    port
}

/// What is answered; `None` for nothing, and an error to close.
fn answer(shared: &Shared, request: &Value) -> Result<Option<Result<Value, u16>>, ()> {
    let asked =
        Asked { method: request["method"].as_str().unwrap_or_default().to_string(), params: request["params"].clone() };
    let reply = (shared.answer)(&asked);
    shared.note(asked);
    let id = &request["id"];
    let with_result = |result: Value| json!({ "jsonrpc": "2.0", "result": result, "id": id });
    Ok(Some(match reply {
        Reply::Result(result) => Ok(with_result(result)),
        Reply::Error(code, message, data) => {
            Ok(json!({ "jsonrpc": "2.0", "error": { "code": code, "message": message, "data": data }, "id": id }))
        }
        Reply::Status(status) => Err(status),
        Reply::HangUp => return Err(()),
        Reply::Silence => return Ok(None),
        Reply::Later(gate) => Ok(with_result(gate.wait())),
    }))
}

fn serve_lines(mut socket: TcpStream, shared: &Shared) -> Option<()> {
    let mut reader = BufReader::new(socket.try_clone().ok()?);
    shared.listens(&socket, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|&count| count > 0)?;
        let request: Value = serde_json::from_str(&line).ok()?;
        if let Some(Ok(response)) = answer(shared, &request).ok()? {
            // In one write, or a message that is told meanwhile would come between.
            let text = format!("{response}\n");
            let _seen = shared.seen();
            socket.write_all(text.as_bytes()).ok()?;
        }
    }
}

fn serve_http(mut socket: TcpStream, shared: &Shared) -> Option<()> {
    let mut reader = BufReader::new(socket.try_clone().ok()?);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|&count| count > 0)?;
        let what = line.trim_end().strip_suffix(" HTTP/1.1")?.to_string();
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        if let Some(path) = what.strip_prefix("GET ").filter(|path| path.starts_with("/api/v1/events")) {
            return stream(socket, reader, path, shared);
        }
        let request: Value = serde_json::from_slice(&body).ok().filter(|_| what == "POST /api/v1/rpc")?;
        let (status, body) = match answer(shared, &request).ok()? {
            Some(Ok(response)) => (200, response.to_string()),
            Some(Err(status)) => (status, String::new()),
            None => {
                // Until the other side has enough.
                let _ = reader.read(&mut [0]);
                return None;
            }
        };
        let text = format!(
            "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(text.as_bytes()).ok()?;
    }
}

fn stream(mut socket: TcpStream, mut reader: BufReader<TcpStream>, path: &str, shared: &Shared) -> Option<()> {
    let asked = Asked { method: path.to_string(), params: Value::Null };
    let reply = (shared.answer)(&asked);
    shared.note(asked);
    let head = match reply {
        Reply::Status(status) => format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n"),
        _ => "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_string(),
    };
    socket.write_all(head.as_bytes()).ok()?;
    if head.contains("chunked") {
        shared.listens(&socket, true);
        let _ = reader.read(&mut [0]);
    }
    None
}
