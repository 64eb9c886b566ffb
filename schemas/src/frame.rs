//! The three frames. A request is parsed once and borrows from the message that carried it; a response or an event is
//! written around payload bytes that are never parsed again.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::ErrorShape;

/// A request as it arrived: `{"type":"req","id","method","params"?,"traceparent"?}`.
///
/// `params` are the bytes of the message; `None` when they are absent or `null`, which both mean `{}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    /// Chosen by the client and echoed.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The method's name.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// The method's parameters, unparsed.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
    /// The trace it belongs to, as it was sent; [`crate::trace::traceparent`] reads it.
    #[serde(borrow, default)]
    pub traceparent: Option<Cow<'a, str>>,
}

impl<'a> Request<'a> {
    /// Parses a message. `None` says that it is not a well-formed request; what exactly is wrong with it is worth
    /// finding out only then, with [`RequestFrame`]'s schema.
    pub fn parse(text: &'a str) -> Option<Self> {
        let request: Request<'a> = serde_json::from_str(text).ok()?;
        (request.kind == "req" && !request.id.is_empty() && !request.method.is_empty()).then_some(request)
    }

    /// The parameters as JSON text.
    pub fn params_text(&self) -> &'a str {
        self.params.map_or("{}", RawValue::get)
    }
}

/// The schema of a request frame; [`Request`] is what the host reads it into.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestFrame {
    /// Always `req`.
    #[serde(rename = "type")]
    #[schemars(extend("const" = "req"))]
    pub kind: String,
    /// Chosen by the client and echoed.
    #[schemars(length(min = 1))]
    pub id: String,
    /// The method's name.
    #[schemars(length(min = 1))]
    pub method: String,
    /// The method's parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<serde_json::Value>,
    /// The trace it belongs to (W3C Trace Context).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// The schema of a response frame: `{"type":"res","id","ok","payload"?,"error"?}`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResponseFrame {
    /// Always `res`.
    #[serde(rename = "type")]
    #[schemars(extend("const" = "res"))]
    pub kind: String,
    /// The request's id.
    #[schemars(length(min = 1))]
    pub id: String,
    /// Whether the request succeeded.
    pub ok: bool,
    /// The method's result; some failures carry one too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<serde_json::Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorShape>,
}

/// The schema of an event frame: `{"type":"event","event","payload"?,"seq"?,"stateVersion"?}`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventFrame {
    /// Always `event`.
    #[serde(rename = "type")]
    #[schemars(extend("const" = "event"))]
    pub kind: String,
    /// The event's name.
    #[schemars(length(min = 1))]
    pub event: String,
    /// The event's content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<serde_json::Value>,
    /// Counts the broadcasts of this connection from 1. Absent on events sent to chosen connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Versions of the snapshot this event belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_version: Option<StateVersion>,
}

/// Versions of the parts of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateVersion {
    /// Raised with every change of the presence list.
    pub presence: u64,
    /// Raised with every refresh of the health summary.
    pub health: u64,
}

/// An event as the client side reads it; unknown fields are passed over, so that newer gateways stay readable.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The event's name.
    pub event: String,
    /// The content, unparsed.
    #[serde(default)]
    pub payload: Option<Box<RawValue>>,
    /// Counts the broadcasts of this connection.
    #[serde(default)]
    pub seq: Option<u64>,
    /// Versions of the snapshot this event belongs to.
    #[serde(default, deserialize_with = "loose_version")]
    pub state_version: Option<StateVersion>,
}

/// Reads versions of which a newer gateway may have more.
fn loose_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<StateVersion>, D::Error> {
    #[derive(Deserialize)]
    struct Known {
        presence: u64,
        health: u64,
    }
    let known = Option::<Known>::deserialize(deserializer)?;
    Ok(known.map(|Known { presence, health }| StateVersion { presence, health }))
}

/// [`ErrorShape`] as the client side reads it: unknown fields are passed over.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LooseError {
    /// The error's code.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Facts for programs.
    #[serde(default)]
    pub details: Option<serde_json::Value>,
    /// Whether a later try may succeed.
    #[serde(default)]
    pub retryable: Option<bool>,
    /// When to try again, in milliseconds.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
}

impl From<LooseError> for ErrorShape {
    fn from(error: LooseError) -> Self {
        ErrorShape {
            code: error.code,
            message: error.message,
            details: error.details,
            retryable: error.retryable,
            retry_after_ms: error.retry_after_ms,
        }
    }
}

/// Writes frames around bytes that are already JSON.
pub mod write {
    use super::*;

    /// Appends `{"type":"res","id":…,"ok":true,"payload":…}`.
    pub fn response_ok(out: &mut Vec<u8>, id: &str, payload: &[u8]) {
        out.reserve(payload.len() + id.len() + 48);
        out.extend_from_slice(b"{\"type\":\"res\",\"id\":");
        string(out, id);
        out.extend_from_slice(b",\"ok\":true,\"payload\":");
        out.extend_from_slice(payload);
        out.push(b'}');
    }

    /// Appends `{"type":"res","id":…,"ok":false,"payload"?:…,"error":…}` where `error` is an [`ErrorShape`] as JSON.
    pub fn response_error(out: &mut Vec<u8>, id: &str, error: &[u8], payload: Option<&[u8]>) {
        out.extend_from_slice(b"{\"type\":\"res\",\"id\":");
        string(out, id);
        out.extend_from_slice(b",\"ok\":false");
        if let Some(payload) = payload {
            out.extend_from_slice(b",\"payload\":");
            out.extend_from_slice(payload);
        }
        out.extend_from_slice(b",\"error\":");
        out.extend_from_slice(error);
        out.push(b'}');
    }

    /// Appends an event frame up to, and without, its closing brace, so that `,"seq":N` can follow per connection.
    pub fn event_open(out: &mut Vec<u8>, event: &str, payload: Option<&[u8]>, version: Option<StateVersion>) {
        out.extend_from_slice(b"{\"type\":\"event\",\"event\":");
        string(out, event);
        if let Some(payload) = payload {
            out.extend_from_slice(b",\"payload\":");
            out.extend_from_slice(payload);
        }
        if let Some(version) = version {
            out.extend_from_slice(b",\"stateVersion\":{\"presence\":");
            integer(out, version.presence);
            out.extend_from_slice(b",\"health\":");
            integer(out, version.health);
            out.push(b'}');
        }
    }

    /// Appends `,"seq":N}`, the end of a broadcast's frame.
    pub fn event_close_with_seq(out: &mut Vec<u8>, seq: u64) {
        out.extend_from_slice(b",\"seq\":");
        integer(out, seq);
        out.push(b'}');
    }

    /// Appends a request frame; `params` is JSON text.
    pub fn request(out: &mut Vec<u8>, id: &str, method: &str, params: Option<&str>) {
        out.extend_from_slice(b"{\"type\":\"req\",\"id\":");
        string(out, id);
        out.extend_from_slice(b",\"method\":");
        string(out, method);
        if let Some(params) = params {
            out.extend_from_slice(b",\"params\":");
            out.extend_from_slice(params.as_bytes());
        }
        out.push(b'}');
    }

    /// Appends a JSON string. Ids and names rarely need escaping, so they are looked at once and copied.
    pub fn string(out: &mut Vec<u8>, text: &str) {
        if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
            out.push(b'"');
            out.extend_from_slice(text.as_bytes());
            out.push(b'"');
        } else {
            serde_json::to_writer(&mut *out, text).expect("a string always has a JSON form");
        }
    }

    /// Appends a number in decimal.
    pub fn integer(out: &mut Vec<u8>, value: u64) {
        out.extend_from_slice(digits(&mut [0; 20], value));
    }

    /// A number in decimal, written into `room`.
    pub fn digits(room: &mut [u8; 20], mut value: u64) -> &[u8] {
        let mut at = room.len();
        loop {
            at -= 1;
            room[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                return &room[at..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_borrows_what_it_can() {
        let text = r#"{"type":"req","id":"1","method":"health","params":{"probe": true}}"#;
        let request = Request::parse(text).expect("well-formed");
        assert!(matches!(request.id, Cow::Borrowed("1")));
        assert_eq!(request.params_text(), r#"{"probe": true}"#);
        let escaped = Request::parse(r#"{"type":"req","id":"a\"b","method":"health"}"#).expect("well-formed");
        assert_eq!(escaped.id, "a\"b");
        assert_eq!(escaped.params_text(), "{}");
    }

    #[test]
    fn what_is_not_a_request_is_refused() {
        for text in [
            "nonsense",
            "[]",
            r#"{"type":"res","id":"1","ok":true}"#,
            r#"{"type":"req","id":"","method":"m"}"#,
            r#"{"type":"req","id":"1","method":""}"#,
            r#"{"type":"req","id":1,"method":"m"}"#,
            r#"{"type":"req","id":"1","method":"m","extra":1}"#,
            r#"{"type":"req","id":"1","id":"2","method":"m"}"#,
        ] {
            assert!(Request::parse(text).is_none(), "{text}");
        }
        assert!(Request::parse(r#"{"type":"req","id":"1","method":"m","params":null}"#).unwrap().params.is_none());
    }

    #[test]
    fn written_frames_satisfy_their_schema_types() {
        let mut out = Vec::new();
        write::response_ok(&mut out, "a\"\n", b"{\"x\":1}");
        let frame: ResponseFrame = serde_json::from_slice(&out).unwrap();
        assert_eq!((frame.id.as_str(), frame.ok), ("a\"\n", true));

        let mut out = Vec::new();
        let error = serde_json::to_vec(&ErrorShape::invalid_request("no")).unwrap();
        write::response_error(&mut out, "1", &error, Some(b"{}"));
        let frame: ResponseFrame = serde_json::from_slice(&out).unwrap();
        assert_eq!(frame.error.unwrap().message, "no");

        let mut out = Vec::new();
        write::event_open(&mut out, "tick", Some(b"{\"ts\":1}"), Some(StateVersion { presence: 2, health: 10 }));
        write::event_close_with_seq(&mut out, u64::MAX);
        let frame: EventFrame = serde_json::from_slice(&out).unwrap();
        assert_eq!(frame.seq, Some(u64::MAX));
        assert_eq!(frame.state_version, Some(StateVersion { presence: 2, health: 10 }));
    }

    #[test]
    fn an_event_of_a_newer_gateway_is_read() {
        let text = r#"{"type":"event","event":"health","more":1,"stateVersion":{"presence":1,"health":2,"more":3}}"#;
        let event: Event = serde_json::from_str(text).unwrap();
        assert_eq!(event.state_version, Some(StateVersion { presence: 1, health: 2 }));
        let event: Event = serde_json::from_str(r#"{"event":"tick","stateVersion":null}"#).unwrap();
        assert_eq!((event.event.as_str(), event.state_version), ("tick", None));
    }
}
