//! Frames as they come from a gateway, read with as few demands as possible: a newer gateway may say more than this code
//! knows, and one odd frame must not cost the connection.

use std::borrow::Cow;

use schemas::ErrorShape;
use schemas::frame::{Event, LooseError, StateVersion};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::hello::Versions;

/// A frame from the gateway.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// An answer.
    Response(Response),
    /// Something that happened.
    Event(Event),
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) id: String,
    pub(crate) outcome: Result<Box<RawValue>, ErrorShape>,
}

impl Inbound {
    /// `None` says that it is no frame of this protocol.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let wire: Wire = object(text)?;
        match &*wire.kind {
            "res" => {
                let outcome = if wire.ok? { Ok(owned(wire.payload)) } else { Err(error(wire.error)) };
                Some(Inbound::Response(Response { id: wire.id?.into_owned(), outcome }))
            }
            "event" => Some(Inbound::Event(Event {
                event: wire.event?.into_owned(),
                payload: wire.payload.map(ToOwned::to_owned),
                seq: wire.seq,
                state_version: wire
                    .state_version
                    .and_then(|raw| serde_json::from_str::<Versions>(raw.get()).ok())
                    .map(StateVersion::from),
            })),
            _ => None,
        }
    }
}

/// Whether this is the first of two answers.
pub(crate) fn is_interim(payload: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Status<'a> {
        #[serde(borrow)]
        status: Cow<'a, str>,
    }
    object::<Status>(payload.get()).is_some_and(|payload| payload.status == "accepted")
}

/// Reads a JSON object; serde would take an array for a struct as well.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok())?
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    ok: Option<bool>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(default)]
    event: Option<Cow<'a, str>>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(borrow, default)]
    state_version: Option<&'a RawValue>,
}

fn owned(payload: Option<&RawValue>) -> Box<RawValue> {
    payload.unwrap_or(RawValue::NULL).to_owned()
}

fn error(raw: Option<&RawValue>) -> ErrorShape {
    let loose = raw.and_then(|raw| serde_json::from_str::<LooseError>(raw.get()).ok());
    loose.map_or_else(|| ErrorShape::unavailable("the gateway gave no reason"), ErrorShape::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_newer_gateways_are_read() {
        let event = r#"{"type":"event","event":"health","payload":{"ok":true},"seq":4,"recipientProfileId":"p",
                        "stateVersion":{"presence":1,"health":2,"more":3}}"#;
        let Some(Inbound::Event(event)) = Inbound::parse(event) else { panic!("an event") };
        assert_eq!((event.event.as_str(), event.seq), ("health", Some(4)));
        assert_eq!(event.state_version, Some(StateVersion { presence: 1, health: 2 }));

        let Some(Inbound::Response(response)) = Inbound::parse(r#"{"type":"res","id":"1","ok":true}"#) else {
            panic!()
        };
        assert_eq!(response.outcome.unwrap().get(), "null");
        let failed = r#"{"type":"res","id":"1","ok":false,"error":{"code":"X","message":"no","traceparent":"t"}}"#;
        let Some(Inbound::Response(response)) = Inbound::parse(failed) else { panic!() };
        assert_eq!(response.outcome.unwrap_err().code, "X");
        let Some(Inbound::Response(response)) = Inbound::parse(r#"{"type":"res","id":"1","ok":false,"error":7}"#)
        else {
            panic!()
        };
        assert_eq!(response.outcome.unwrap_err().code, "UNAVAILABLE");
    }

    #[test]
    fn what_is_no_frame_is_passed_over() {
        for text in ["", r#"["res"]"#, "{}", r#"{"type":"req","id":"1","method":"m"}"#, r#"{"type":"res","ok":true}"#] {
            assert!(Inbound::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn only_a_status_of_accepted_is_interim() {
        let is = |text: &str| is_interim(&RawValue::from_string(text.to_string()).unwrap());
        assert!(is(r#"{"runId":"r","status":"accepted"}"#));
        for text in [r#"{"status":"ok"}"#, r#"{"status":1}"#, "{}", "null", r#"["accepted"]"#, r#""accepted""#] {
            assert!(!is(text), "{text}");
        }
    }
}
