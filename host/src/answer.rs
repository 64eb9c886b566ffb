//! Answers on their way back: from whoever answers, to whoever asked.

use std::sync::{Arc, Weak};

use plugin_api::abi::{GWP_ERROR, GWP_ERROR_PAYLOAD, GWP_FINAL, GWP_INTERIM};
use schemas::frame::write;
use schemas::protocol::Version;
use schemas::{ErrorShape, error::code};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::connections::Connection;
use crate::gateway::Gateway;
use crate::idempotency::Run;
use crate::mailbox::Mailbox;

/// An answer as bytes that are JSON already.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'a> {
    /// More is to come.
    Interim(&'a [u8]),
    /// It succeeded.
    Payload(&'a [u8]),
    /// It failed; an `ErrorShape`.
    Error(&'a [u8]),
    /// It failed and has a payload; `{"error","payload"}`.
    ErrorWithPayload(&'a [u8]),
}

impl<'a> Answer<'a> {
    /// An answer of the kind a plugin named.
    pub fn of_kind(kind: i32, json: &'a [u8]) -> Option<Self> {
        match kind {
            GWP_INTERIM => Some(Answer::Interim(json)),
            GWP_FINAL => Some(Answer::Payload(json)),
            GWP_ERROR => Some(Answer::Error(json)),
            GWP_ERROR_PAYLOAD => Some(Answer::ErrorWithPayload(json)),
            _ => None,
        }
    }

    /// Its kind in the plugin interface.
    pub fn kind(&self) -> i32 {
        match self {
            Answer::Interim(_) => GWP_INTERIM,
            Answer::Payload(_) => GWP_FINAL,
            Answer::Error(_) => GWP_ERROR,
            Answer::ErrorWithPayload(_) => GWP_ERROR_PAYLOAD,
        }
    }

    /// Its bytes.
    pub fn json(&self) -> &'a [u8] {
        match self {
            Answer::Interim(json) | Answer::Payload(json) | Answer::Error(json) | Answer::ErrorWithPayload(json) => {
                json
            }
        }
    }

    /// Whether it is a failure.
    pub fn is_error(&self) -> bool {
        matches!(self, Answer::Error(_) | Answer::ErrorWithPayload(_))
    }

    /// Whether it is the last one.
    pub fn is_final(&self) -> bool {
        !matches!(self, Answer::Interim(_))
    }

    /// Whether it says that its method panicked.
    pub fn is_panic(&self) -> bool {
        let names_it = || self.json().windows(PANICKED.len()).any(|window| window == PANICKED.as_bytes());
        self.is_error() && names_it() && self.error().is_some_and(|error| is_panic(&error))
    }

    /// Why a plugin's word for it is not enough: a failure has to be an error, with a payload or without.
    pub fn is_well_formed(&self) -> bool {
        match self {
            Answer::Interim(json) | Answer::Payload(json) => serde_json::from_slice::<&RawValue>(json).is_ok(),
            Answer::Error(_) | Answer::ErrorWithPayload(_) => self.error().is_some(),
        }
    }

    /// The error in it.
    pub fn error(&self) -> Option<ErrorShape> {
        match self {
            Answer::Error(json) => serde_json::from_slice(json).ok(),
            Answer::ErrorWithPayload(json) => serde_json::from_slice::<ErrorAndPayload>(json)
                .ok()
                .and_then(|both| serde_json::from_str(both.error.get()).ok()),
            _ => None,
        }
    }
}

/// Who asked, and so hears the answer.
pub enum Asker {
    /// A request frame of a connection.
    Frame {
        /// The connection.
        connection: Arc<Connection>,
        /// The frame's id.
        id: Arc<str>,
    },
    /// Another plugin.
    Plugin {
        /// Its place for the answers.
        mailbox: Arc<Mailbox>,
        /// Where the invocation is booked.
        gateway: Weak<Gateway>,
        /// Its number.
        number: u64,
    },
    /// The host itself.
    Once(Option<oneshot::Sender<Result<Box<RawValue>, ErrorShape>>>),
    /// Everyone who used the same idempotency key.
    Shared(Arc<Run>),
    /// Nobody any more.
    Nobody,
}

impl Asker {
    /// Delivers an answer.
    pub fn hear(&mut self, answer: Answer<'_>) {
        match self {
            Asker::Frame { connection, id } => respond(connection, id, answer),
            Asker::Plugin { mailbox, gateway, number } => {
                // One last word: whoever takes the invocation out of the books says it, an answer or a cancellation.
                let is_over = || gateway.upgrade().is_none_or(|gateway| !gateway.plugin_books.end_invocation(*number));
                if answer.is_final() && is_over() {
                    return;
                }
                mailbox.send(answer.kind(), for_plugin(answer));
            }
            Asker::Once(slot) if answer.is_final() => {
                if let Some(slot) = slot.take() {
                    let _ = slot.send(outcome(answer));
                }
            }
            Asker::Shared(run) => run.hear(answer),
            Asker::Once(_) | Asker::Nobody => {}
        }
    }

    /// Whoever hears what is not the last word, to be told while the call goes on.
    pub fn for_more(&self) -> Asker {
        match self {
            Asker::Frame { connection, id } => Asker::Frame { connection: connection.clone(), id: id.clone() },
            Asker::Plugin { mailbox, gateway, number } => {
                Asker::Plugin { mailbox: mailbox.clone(), gateway: gateway.clone(), number: *number }
            }
            Asker::Shared(run) => Asker::Shared(run.clone()),
            Asker::Once(_) | Asker::Nobody => Asker::Nobody,
        }
    }

    /// Delivers an error of the host's own.
    pub fn refuse(&mut self, error: &ErrorShape) {
        self.hear(Answer::Error(&serde_json::to_vec(error).unwrap_or_default()));
    }

    /// Whether the answer goes to this connection.
    pub fn is_frame_of(&self, number: u64) -> bool {
        matches!(self, Asker::Frame { connection, .. } if connection.number == number)
    }
}

/// What the glue of a plugin answers for a method that panicked, in `details.code`.
const PANICKED: &str = "METHOD_PANICKED";

fn is_panic(error: &ErrorShape) -> bool {
    error.details.as_ref().is_some_and(|details| details["code"] == PANICKED)
}

/// The bytes for another plugin. That a method panicked is counted against its own plugin, not against one that called it
/// and passes the error on.
fn for_plugin(answer: Answer<'_>) -> Arc<[u8]> {
    if !answer.is_panic() {
        return answer.json().into();
    }
    let mut error = answer.error().unwrap_or_else(|| ErrorShape::unavailable("the method failed"));
    error.details = Some(json!({ "code": "METHOD_FAILED" }));
    let json = match answer {
        Answer::ErrorWithPayload(json) => {
            let payload = serde_json::from_slice::<ErrorAndPayload>(json).ok().map(|both| both.payload);
            serde_json::to_vec(&json!({ "error": error, "payload": payload }))
        }
        _ => serde_json::to_vec(&error),
    };
    json.unwrap_or_default().into()
}

/// Queues a response frame.
fn respond(connection: &Connection, id: &str, answer: Answer<'_>) {
    // A connection that takes no answer any more is closing, and the outbox has said why.
    let _ = connection.outbox.response(|out| match answer {
        Answer::Interim(payload) | Answer::Payload(payload) => write::response_ok(out, id, payload),
        Answer::Error(error) => write::response_error(out, id, &worded(error, connection.version), None),
        Answer::ErrorWithPayload(json) => match serde_json::from_slice::<ErrorAndPayload>(json) {
            Ok(both) => {
                let error = worded(both.error.get().as_bytes(), connection.version);
                write::response_error(out, id, &error, Some(both.payload.get().as_bytes()));
            }
            Err(_) => write::response_error(out, id, &broken_answer(), None),
        },
    });
}

/// An error as the connection's protocol version words it: a missing scope is `FORBIDDEN` with details from 4 on, and
/// `INVALID_REQUEST` with the same sentence before.
pub fn worded(error: &[u8], version: Version) -> std::borrow::Cow<'_, [u8]> {
    let says_forbidden = || error.windows(code::FORBIDDEN.len()).any(|window| window == code::FORBIDDEN.as_bytes());
    if version >= Version::V4 || !says_forbidden() {
        return error.into();
    }
    match serde_json::from_slice::<ErrorShape>(error) {
        Ok(mut shape) if shape.code == code::FORBIDDEN => {
            shape.code = code::INVALID_REQUEST.to_string();
            shape.details = None;
            serde_json::to_vec(&shape).unwrap_or_default().into()
        }
        _ => error.into(),
    }
}

fn outcome(answer: Answer<'_>) -> Result<Box<RawValue>, ErrorShape> {
    match answer {
        Answer::Payload(json) => {
            serde_json::from_slice(json).map_err(|_| ErrorShape::unavailable("the answer was not JSON"))
        }
        other => Err(other.error().unwrap_or_else(|| ErrorShape::unavailable("the method failed"))),
    }
}

fn broken_answer() -> Vec<u8> {
    serde_json::to_vec(&ErrorShape::unavailable("the method gave a broken answer")).unwrap_or_default()
}

/// The json of [`Answer::ErrorWithPayload`].
#[derive(Deserialize)]
struct ErrorAndPayload<'a> {
    #[serde(borrow)]
    error: &'a RawValue,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_scope_is_worded_for_the_version() {
        let error =
            serde_json::to_vec(&ErrorShape::missing_scope("operator.write", &["operator.write".into()])).unwrap();
        let three: ErrorShape = serde_json::from_slice(&worded(&error, Version::V3)).unwrap();
        assert_eq!(three, ErrorShape::invalid_request("missing scope: operator.write"));
        let four: ErrorShape = serde_json::from_slice(&worded(&error, Version::V4)).unwrap();
        assert_eq!(four.code, "FORBIDDEN");
        let talk = serde_json::to_vec(&ErrorShape::invalid_request("FORBIDDEN fruit")).unwrap();
        assert_eq!(&*worded(&talk, Version::V3), &talk[..]);
    }
}
