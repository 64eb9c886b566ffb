//! A server in a service's place, for tests: it speaks HTTP/1.1 over real sockets and answers as the test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// How long a test waits for the other side before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its verb and path, `GET /models`.
    pub what: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body, as far as it is text.
    pub body: String,
    /// Its body.
    pub bytes: Vec<u8>,
}

impl Asked {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }
}

/// What the server does, in order.
#[derive(Debug, Clone)]
pub enum Act {
    /// Writes these bytes as they are.
    Write(Vec<u8>),
    /// Waits until the other side closes, and says so to [`Server::wait_closed`].
    AwaitClose,
    /// Closes.
    Close,
}

/// The server. Its threads end with the test's process.
pub struct Server {
    /// Its address, `http://127.0.0.1:PORT`.
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    closed: Mutex<Receiver<()>>,
}

impl Server {
    /// A server that answers each request with what the closure says. A connection is kept open between answers.
    pub fn start(answer: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a test can listen");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let (asked, (tell, closed), answer) = (Arc::<Mutex<Vec<Asked>>>::default(), channel(), Arc::new(answer));
        let seen = asked.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (seen, tell, answer) = (seen.clone(), tell.clone(), answer.clone());
                std::thread::spawn(move || serve(socket, &seen, &tell, &*answer));
            }
        });
        Server { url, asked, closed: Mutex::new(closed) }
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test failed while it held this").clone()
    }

    /// Waits until the other side has closed a connection in the midst of an answer.
    #[track_caller]
    pub fn wait_closed(&self) {
        let closed = self.closed.lock().expect("no test failed while it held this");
        closed.recv_timeout(PATIENCE).expect("the connection is closed in time");
    }
}

fn serve(socket: TcpStream, asked: &Mutex<Vec<Asked>>, closed: &Sender<()>, answer: &dyn Fn(&Asked) -> Vec<Act>) {
    let Ok(mut writer) = socket.try_clone() else { return };
    let _ = socket.set_nodelay(true);
    let mut reader = BufReader::new(socket);
    while let Some(request) = read(&mut reader) {
        asked.lock().expect("no test failed while it held this").push(request.clone());
        for act in answer(&request) {
            match act {
                Act::Write(bytes) => {
                    if writer.write_all(&bytes).is_err() {
                        return;
                    }
                }
                Act::AwaitClose => {
                    let _ = reader.read(&mut [0]);
                    let _ = closed.send(());
                    return;
                }
                Act::Close => return,
            }
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|&count| count > 0)?;
        Some(line.trim_end().to_string())
    };
    let what = line()?.strip_suffix(" HTTP/1.1")?.to_string();
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_string()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(Ok(0), |(_, value)| value.parse());
    let mut body = vec![0; length.ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { what, headers, body: String::from_utf8_lossy(&body).into_owned(), bytes: body })
}

/// A whole answer of this status, `429 Too Many Requests`, with further lines of its head.
pub fn whole(status: &str, head: &str, body: &str) -> Vec<Act> {
    let text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{head}\r\n{body}", body.len());
    vec![Act::Write(text.into_bytes())]
}

/// A stream of events, in these chunks, with its end.
pub fn stream(chunks: &[&[u8]]) -> Vec<Act> {
    let mut acts = open_stream(chunks);
    acts.push(Act::Write(b"0\r\n\r\n".to_vec()));
    acts
}

/// A stream of events, in these chunks, that goes on.
pub fn open_stream(chunks: &[&[u8]]) -> Vec<Act> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut acts = vec![Act::Write(head.as_bytes().to_vec())];
    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
        let mut bytes = format!("{:x}\r\n", chunk.len()).into_bytes();
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        acts.push(Act::Write(bytes));
    }
    acts
}
