//! Frames as texts: requests as they are read, and all kinds as they are written.

use std::io::Cursor;
use std::sync::LazyLock;

use clawhost::frames;
use clawhost::validation::Validator;
use schemas::frame::{EventFrame, Request, RequestFrame, ResponseFrame, StateVersion, write};
use schemas::protocol::MAX_CLOSE_REASON;
use serde_json::Value;
use tokio_tungstenite::tungstenite::protocol::frame::FrameSocket;

use super::{SECRET, hides_secrets, marked};

static FRAME: LazyLock<Validator> = LazyLock::new(Validator::request_frame);

/// Longest sentence about what is wrong with a frame, in bytes, and some more for what says that it was cut.
const LONGEST: usize = 2048 + 64;

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Request::parse(&text) {
        Some(request) => is_read_again(&text, &request),
        None => is_described(&text),
    }
    is_written(&text);
    leaves_as(data);
}

/// A request that was read, written and read again is the same; and the type that its schema is made of reads it so too.
fn is_read_again(text: &str, request: &Request<'_>) {
    assert!(!request.id.is_empty() && !request.method.is_empty());
    let mut written = Vec::new();
    write::request(&mut written, &request.id, &request.method, request.params.map(|params| params.get()));
    let written = String::from_utf8(written).expect("text stays text");
    let again = Request::parse(&written).expect("what was read is written so that it can be read");
    assert_eq!((&again.id, &again.method), (&request.id, &request.method));
    assert_eq!(again.params_text(), request.params_text());
    // The type reads parameters into a value, which not all JSON can be: too deep, or a number out of range.
    if let Ok(frame) = serde_json::from_str::<RequestFrame>(text) {
        assert_eq!(
            (frame.kind.as_str(), frame.id.as_str(), frame.method.as_str()),
            ("req", &*request.id, &*request.method)
        );
        let params = frame.params.unwrap_or_else(|| Value::Object(Default::default()));
        assert_eq!(serde_json::from_str::<Value>(request.params_text()).ok(), Some(params));
        let value: Value = serde_json::from_str(text).expect("it was read into a type");
        assert!(FRAME.is_valid(&value), "what is read is what the schema says");
    }
}

/// What is JSON and no request is described: never as right, in a bounded sentence, and without its values.
fn is_described(text: &str) {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return;
    }
    let said = FRAME.describe_frame(text);
    assert!(!said.is_empty() && said.len() <= LONGEST, "{} bytes: {said}", said.len());
    assert!(!said.contains(char::is_control), "{said:?}");
    let value: Option<Value> = serde_json::from_str(text).ok().filter(|_| !text.contains(SECRET));
    if let Some(value) = value {
        hides_secrets(&FRAME.describe_frame(&marked(&value).to_string()));
    }
}

/// Answers and events around any text are frames of their kind with that text in them.
fn is_written(text: &str) {
    let payload = serde_json::to_vec(text).expect("a text has a JSON form");
    let mut out = Vec::new();
    write::response_ok(&mut out, text, &payload);
    let response: ResponseFrame = serde_json::from_slice(&out).expect("a response");
    assert_eq!((response.id.as_str(), response.payload.as_ref().and_then(Value::as_str)), (text, Some(text)));
    let (seq, version) = (text.len() as u64, StateVersion { presence: u64::MAX, health: text.len() as u64 });
    let mut out = Vec::new();
    write::event_open(&mut out, text, Some(&payload), Some(version));
    write::event_close_with_seq(&mut out, seq);
    let event: EventFrame = serde_json::from_slice(&out).expect("an event");
    assert_eq!((event.event.as_str(), event.seq, event.state_version), (text, Some(seq), Some(version)));
}

/// Whatever is sent is read by others as what it was.
fn leaves_as(data: &[u8]) {
    let half = data.len() / 2;
    let reason = String::from_utf8_lossy(data);
    let mut out = Vec::new();
    frames::text(&mut out, |out| out.extend_from_slice(data));
    frames::text_of_parts(&mut out, &[&data[..half], &data[half..]]);
    frames::close(&mut out, 1008, &reason);
    let mut socket = FrameSocket::new(Cursor::new(out));
    let mut next = || socket.read(None).expect("well-formed").expect("a frame").into_payload();
    assert_eq!(next(), data);
    assert_eq!(next(), data);
    let close = next();
    let (code, told) = close.split_at(2);
    assert_eq!(code, 1008u16.to_be_bytes());
    let told = std::str::from_utf8(told).expect("it is cut between characters");
    assert!(reason.starts_with(told) && told.len() <= MAX_CLOSE_REASON);
    assert!(told.len() == reason.len() || told.len() + 4 > MAX_CLOSE_REASON, "no more is cut than has to be");
    let line = frames::one_line(&reason);
    assert!(!line.contains(|c: char| c.is_control() && c != '\t'), "{line:?}");
}
