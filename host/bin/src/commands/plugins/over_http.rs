//! The check of what a plugin answers over HTTP: a gateway with this plugin alone runs in the child, on a port of its own,
//! and clients ask every row of the manifest over real sockets. Some of them go in the middle. What the test kit says of the
//! interface is said by its own checks; here the host is the real one.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clawhost::boot::{self, Running};
use clawhost::config::{Config, Overrides};
use clawhost::secret::Secret;
use clawhost::state::StateDir;
use plugin_api::Manifest;
use plugin_api::http::{Admission, HttpSpec};
use plugin_kit::checks::Verdict;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use toml_edit::{DocumentMut, value};

use super::table::{self, Entry, Grants};
use crate::builtin;

/// Its name on the command line.
pub const NAME: &str = "http";
/// What holds of a plugin that passes.
pub const ABOUT: &str = "over HTTP it answers whole, and goes on when clients go amid a request";

/// How long an answer may take to begin, unless the row says more, and how long between two parts of it.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than any of what is asked here needs on the way through the gateway.
const MARGIN: Duration = Duration::from_secs(2);
/// Clients that go amid a request: more than a plugin has threads.
const GOING: usize = 24;
/// Requests at once.
const AT_ONCE: usize = 32;
/// What lets in where the gateway looks.
const TOKEN: &str = "the-token-of-this-check";

/// Makes the check. `step` hears what is done next.
pub fn check(library: &Path, manifest: &Manifest, config: Option<&Value>, step: &dyn Fn(&str)) -> Verdict {
    if manifest.http.is_empty() {
        return Verdict::Skipped("it answers no HTTP".to_string());
    }
    if builtin::EXPECTED.contains(&manifest.id.as_str()) {
        let why = format!("a plugin {:?} is linked into this program, and no file takes its place", manifest.id);
        return Verdict::Skipped(why);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let found = match runtime {
        Err(error) => vec![format!("this check cannot start threads: {error}")],
        Ok(runtime) => {
            let found = runtime.block_on(ask_all(library, manifest, config, step));
            // Nothing that still runs matters to a check that has its verdict.
            runtime.shutdown_timeout(Duration::from_millis(100));
            found.unwrap_or_else(|why| vec![why])
        }
    };
    if found.is_empty() { Verdict::Passed } else { Verdict::Failed(found) }
}

async fn ask_all(
    library: &Path,
    manifest: &Manifest,
    config: Option<&Value>,
    step: &dyn Fn(&str),
) -> Result<Vec<String>, String> {
    step("a gateway with it starts");
    let folder = tempfile::tempdir().map_err(|error| format!("this check has no folder: {error}"))?;
    let running = start(folder.path(), library, manifest, config).await?;
    let mut asker = Asker { at: running.addresses()[0], found: Vec::new(), step };
    for row in &manifest.http {
        asker.tries(row).await;
        // One that hangs says enough.
        if !asker.found.is_empty() {
            break;
        }
    }
    let found = asker.found;
    step("the gateway stops");
    let patience = PATIENCE + MARGIN;
    match timeout(patience, running.stop("the check is over")).await {
        Ok(()) => Ok(found),
        Err(_) => Ok([found, vec![format!("a gateway with it does not stop within {patience:?}")]].concat()),
    }
}

/// A gateway with this plugin and no other.
async fn start(folder: &Path, library: &Path, manifest: &Manifest, config: Option<&Value>) -> Result<Running, String> {
    let mut document = DocumentMut::new();
    let limits = [
        ("method_timeout_ms", PATIENCE.as_millis() as i64),
        ("http_stall_ms", PATIENCE.as_millis() as i64),
        ("close_grace_ms", 500),
        ("drain_ms", 1_000),
    ];
    for (name, limit) in limits {
        document["gateway"]["limits"][name] = value(limit);
    }
    document["gateway"]["plugins"]["allow_unpinned"] = value(true);
    document["gateway"]["plugins"]["allow_draft_extensions"] = value(true);
    document["gateway"]["plugins"]["drain_ms"] = value(1_000);
    for id in builtin::EXPECTED {
        document["plugins"][id]["enabled"] = value(false);
    }
    let path = library.to_str().ok_or("the path of the file is not UTF-8")?;
    let grants = Grants::wanted(manifest);
    table::write(&mut document, &Entry { id: &manifest.id, path, sha256: None, grants: &grants, config })?;
    let file = folder.join("config.toml");
    std::fs::write(&file, document.to_string()).map_err(|error| format!("this check cannot write: {error}"))?;
    let overrides = Overrides {
        config: Some(file),
        port: Some(0),
        token: Some(Secret::new(TOKEN)),
        state_dir: Some(folder.join("state")),
        ..Overrides::default()
    };
    let started = async {
        // Nothing of this machine's own configuration.
        let settings = Config::load(overrides, |_| None).map_err(|error| error.to_string())?;
        let state = StateDir::open(&settings.gateway.state_dir).map_err(|error| error.to_string())?;
        boot::start(settings, state, &[], None, None).await.map_err(|error| error.to_string())
    };
    let running = started.await.map_err(|why| format!("no gateway starts with it: {why}"))?;
    let state = running.gateway().registry.load().state_of(&manifest.id);
    match state {
        Some(state) if state.state == "running" => Ok(running),
        state => {
            let why = state.and_then(|state| state.error).unwrap_or_else(|| "it is not there".to_string());
            let hint = if config.is_none() { "; --plugin-config gives it a configuration" } else { "" };
            running.stop("the check is over").await;
            Err(format!("a gateway does not run it: {why}{hint}"))
        }
    }
}

/// Clients of the gateway, and what they have found.
struct Asker<'a> {
    at: SocketAddr,
    found: Vec<String>,
    step: &'a dyn Fn(&str),
}

impl Asker<'_> {
    fn find(&mut self, finding: String) {
        if !self.found.contains(&finding) {
            self.found.push(finding);
        }
    }

    /// All that is asked of one row, until something is found.
    async fn tries(&mut self, row: &HttpSpec) {
        for verb in &row.verbs {
            self.asks(row, verb).await;
        }
        if row.upgrade && self.found.is_empty() {
            self.talks(row).await;
        }
        if !self.found.is_empty() {
            return;
        }
        for verb in row.verbs.iter().filter(|verb| has_body(verb)) {
            self.goes_amid_a_body(row, verb).await;
        }
        if let Some(verb) = row.verbs.first() {
            self.goes_amid_an_answer(row, verb).await;
            self.asks_again(row, verb).await;
        }
    }

    /// One request, whose answer has to be whole.
    async fn asks(&mut self, row: &HttpSpec, verb: &str) {
        let what = format!("{verb} {}", row.path);
        (self.step)(&what);
        match answer(self.at, &request(row, verb, self.at), verb, patience(row)).await {
            // A row that says how long it may take may wait for something.
            Ok(504) if row.timeout_ms.is_none() => self.find(format!(
                "{what} was not answered within {PATIENCE:?}; a path that waits for something says how long with timeoutMs"
            )),
            Ok(_) => {}
            Err(why) => self.find(format!("{what}: {why}")),
        }
    }

    /// Many at once after all the bad ones: each is answered.
    async fn asks_again(&mut self, row: &HttpSpec, verb: &str) {
        let what = format!("{verb} {}", row.path);
        (self.step)(&format!("{AT_ONCE} times {what} at once, after clients that went"));
        let (at, request, patience) = (self.at, request(row, verb, self.at), patience(row));
        let asking: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let (request, verb) = (request.clone(), verb.to_string());
                tokio::spawn(async move { answer(at, &request, &verb, patience).await })
            })
            .collect();
        let mut unanswered = 0;
        for asked in asking {
            let status = asked.await.unwrap_or_else(|error| Err(error.to_string()));
            unanswered += usize::from(status.is_err() || (status == Ok(504) && row.timeout_ms.is_none()));
        }
        if unanswered > 0 {
            self.find(format!("{what}: {unanswered} of {AT_ONCE} at once were not answered after clients that went"));
        }
    }

    /// A WebSocket, if it takes one: a message, then the end.
    async fn talks(&mut self, row: &HttpSpec) {
        let what = format!("an upgrade of {}", row.path);
        (self.step)(&what);
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let request = format!("{}{upgrade}\r\n", head(row, "GET", self.at));
        let talk = async {
            let mut stream = open(self.at, &request).await?;
            let mut bytes = Vec::new();
            let status = loop {
                match whole_head(&bytes) {
                    Some((status, _)) => break status?,
                    None if read_more(&mut stream, &mut bytes, patience(row)).await? == 0 => {
                        return Err("it was not answered".to_string());
                    }
                    None => {}
                }
            };
            if status != 101 {
                return Ok(());
            }
            // A text, and a close with 1000; both under a mask of zeros.
            let frames = [&[0x81, 0x85, 0, 0, 0, 0][..], b"hello", &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]].concat();
            // It may have closed by itself.
            let _ = stream.write_all(&frames).await;
            while read_more(&mut stream, &mut bytes, PATIENCE + MARGIN).await? > 0 {
                bytes.clear();
            }
            Ok(())
        };
        let outcome: Result<(), String> = talk.await;
        if let Err(why) = outcome {
            self.find(format!("{what}: {why}"));
        }
        // And some that go without a word.
        self.go(&request, what).await;
    }

    /// Clients that send this, see the answer begin, and go.
    async fn go(&mut self, request: &str, what: String) {
        let going: Vec<_> = (0..GOING)
            .map(|_| {
                let (at, request) = (self.at, request.to_string());
                tokio::spawn(async move {
                    let mut stream = open(at, &request).await?;
                    drop(timeout(MARGIN, stream.read(&mut [0; 1])).await);
                    Ok::<_, String>(())
                })
            })
            .collect();
        for gone in going {
            if let Ok(Err(why)) = gone.await {
                self.find(format!("{what}: {why}"));
            }
        }
    }

    /// Clients that promise a body, send some of it, and go.
    async fn goes_amid_a_body(&mut self, row: &HttpSpec, verb: &str) {
        let what = format!("{verb} {} whose client goes amid the body", row.path);
        (self.step)(&what);
        let length = row.max_body.clamp(2, 1000);
        let request = format!("{}Content-Length: {length}\r\n\r\nx", head(row, verb, self.at));
        for _ in 0..GOING {
            if let Err(why) = open(self.at, &request).await {
                return self.find(format!("{what}: {why}"));
            }
        }
    }

    /// Clients that read the beginning of an answer, and go.
    async fn goes_amid_an_answer(&mut self, row: &HttpSpec, verb: &str) {
        let what = format!("{verb} {} whose client goes amid the answer", row.path);
        (self.step)(&what);
        self.go(&request(row, verb, self.at), what).await;
    }
}

fn has_body(verb: &str) -> bool {
    matches!(verb, "POST" | "PUT" | "PATCH")
}

/// How long the answer of a row may take to begin.
fn patience(row: &HttpSpec) -> Duration {
    match row.timeout_ms {
        None | Some(0) => PATIENCE + MARGIN,
        Some(ms) => Duration::from_millis(ms).min(2 * PATIENCE) + MARGIN,
    }
}

/// The beginning of a request, as somebody sends it who may come.
fn head(row: &HttpSpec, verb: &str, at: SocketAddr) -> String {
    let secret = match row.admit {
        Admission::Gateway | Admission::Capability => format!("Authorization: Bearer {TOKEN}\r\n"),
        // Whoever looks for itself knows nothing of this one.
        Admission::Plugin | Admission::Anyone => String::new(),
    };
    format!("{verb} {} HTTP/1.1\r\nHost: {at}\r\n{secret}", row.path)
}

fn request(row: &HttpSpec, verb: &str, at: SocketAddr) -> String {
    let body = match has_body(verb) && row.max_body >= 2 {
        true => "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        false => "\r\n",
    };
    format!("{}Connection: close\r\n{body}", head(row, verb, at))
}

async fn open(at: SocketAddr, request: &str) -> Result<TcpStream, String> {
    let opened = async {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_all(request.as_bytes()).await?;
        std::io::Result::Ok(stream)
    };
    let opened = timeout(PATIENCE, opened).await.map_err(|_| "the gateway takes no connection any more".to_string())?;
    opened.map_err(|error| format!("the gateway takes no connection any more: {error}"))
}

/// Reads some; 0 is the end.
async fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>, patience: Duration) -> Result<usize, String> {
    let mut part = [0; 16 * 1024];
    let count = timeout(patience, stream.read(&mut part)).await.map_err(|_| "nothing came for too long".to_string())?;
    // A reset is an end too.
    let count = count.unwrap_or(0);
    bytes.extend_from_slice(&part[..count]);
    Ok(count)
}

/// Sends a request and reads its answer to the end: its status.
async fn answer(at: SocketAddr, request: &str, verb: &str, patience: Duration) -> Result<u16, String> {
    /// As much of an answer that goes on and on is enough.
    const ENOUGH: usize = 4 * 1024 * 1024;
    let mut stream = open(at, request).await?;
    let mut bytes = Vec::new();
    let (status, start) = loop {
        if let Some((status, start)) = whole_head(&bytes) {
            break (status?, start);
        }
        if read_more(&mut stream, &mut bytes, patience).await? == 0 {
            return Err("it was not answered".to_string());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..start]).to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    if verb == "HEAD" || status == 204 || status == 304 {
        return Ok(status);
    }
    let length = field("content-length").and_then(|length| length.parse::<usize>().ok());
    let is_chunked = field("transfer-encoding").is_some_and(|coding| coding.contains("chunked"));
    let is_whole = |bytes: &[u8]| match length {
        Some(length) => bytes.len() - start >= length,
        None => is_chunked && bytes.ends_with(b"0\r\n\r\n"),
    };
    while !is_whole(&bytes) && bytes.len() < ENOUGH {
        match read_more(&mut stream, &mut bytes, PATIENCE).await {
            Ok(0) if length.is_none() && !is_chunked => break,
            Ok(0) => return Err(format!("its answer breaks off after {} bytes", bytes.len() - start)),
            Ok(_) => {}
            // It is no fault to have nothing to say for a while, such as in a stream of events.
            Err(_) if length.is_none() => break,
            Err(why) => return Err(why),
        }
    }
    Ok(status)
}

/// Status of an answer whose head is there, and where its body begins.
fn whole_head(bytes: &[u8]) -> Option<(Result<u16, String>, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let line = String::from_utf8_lossy(&bytes[..end]).lines().next().unwrap_or_default().to_string();
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    Some((status.ok_or_else(|| format!("{line:?} is no status line")), end + 4))
}
