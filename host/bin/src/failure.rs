//! What is said and returned when a command fails. Every failure is a sentence on standard error, and where something
//! can be done about it, a second one that says what.

use std::process::ExitCode;

use client::ClientError;
use schemas::ErrorShape;
use serde_json::{Value, json};

use crate::cli::Context;
use crate::show::{Style, clean, json_text, print, remark};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The command line or the configuration is wrong; leaves with 2.
    Usage(String),
    /// It did not work; leaves with 1.
    Failed(String),
    /// The gateway refused, or cannot be reached; leaves with 1, or 2 when the address is none.
    Client(Box<ClientError>),
    /// All was said already; leaves with this.
    Said(u8),
    /// Whoever read the output has gone, which is no error: `clawhost events | head`.
    NobodyReads,
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Failure::Client(Box::new(error))
    }
}

impl Failure {
    /// Something that did not work.
    pub fn failed(sentence: impl Into<String>) -> Self {
        Failure::Failed(sentence.into())
    }

    /// Something that was asked for in a wrong way.
    pub fn usage(sentence: impl Into<String>) -> Self {
        Failure::Usage(sentence.into())
    }

    /// Says it, and gives the exit code.
    pub fn report(&self, context: &Context) -> ExitCode {
        if matches!(self, Failure::NobodyReads | Failure::Said(_)) {
            return ExitCode::from(self.code());
        }
        if context.json {
            // The exit code tells, also when nobody can be told.
            let said = json!({ "error": self.to_json() }).to_string();
            let _ = print(&format!("{}\n", json_text::compact(&said)));
        }
        let style = Style::of_stderr();
        remark(&format!("{} {}", style.red("error:"), clean_lines(&self.sentence())));
        if let Some(next) = self.shape().and_then(next_step) {
            remark(&format!("{} {}", style.bold("next:"), clean_lines(&next)));
        }
        ExitCode::from(self.code())
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Failure::NobodyReads => 0,
            Failure::Said(code) => *code,
            Failure::Usage(_) => 2,
            Failure::Client(error) if matches!(**error, ClientError::Options(_)) => 2,
            Failure::Failed(_) | Failure::Client(_) => 1,
        }
    }

    /// What went wrong.
    pub fn sentence(&self) -> String {
        match self {
            Failure::Usage(sentence) | Failure::Failed(sentence) => sentence.clone(),
            Failure::Client(error) => match &**error {
                ClientError::Refused { error, .. } => format!("the gateway refused the connection: {error}"),
                ClientError::PinMismatch { .. } => {
                    format!(
                        "{error}\nif its certificate was changed on purpose, name the new one with --tls-fingerprint"
                    )
                }
                error => error.to_string(),
            },
            Failure::Said(_) => String::new(),
            Failure::NobodyReads => "nobody reads the output".to_string(),
        }
    }

    /// What the gateway answered, if it did.
    pub fn shape(&self) -> Option<&ErrorShape> {
        match self {
            Failure::Client(error) => error.shape(),
            _ => None,
        }
    }

    fn to_json(&self) -> Value {
        match self.shape() {
            Some(shape) => serde_json::to_value(shape).unwrap_or_default(),
            None => json!({ "code": "CLIENT", "message": self.sentence() }),
        }
    }
}

/// What can be done about an error, as far as the gateway hints at it.
pub fn next_step(error: &ErrorShape) -> Option<String> {
    let detail = |key: &str| error.details.as_ref()?.get(key)?.as_str();
    if let (Some(id), true) = (detail("requestId"), error.code == schemas::error::code::NOT_PAIRED) {
        return Some(format!("an operator approves this device with `clawhost devices approve {id}`; then try again"));
    }
    let step = match detail("recommendedNextStep")? {
        "update_auth_credentials" => "the gateway asks for another secret; see --token, --password and `token show`",
        "update_auth_configuration" => {
            "give the secret with --token, --password or CLAWHOST_GATEWAY_TOKEN, or see to the gateway's [gateway.auth]"
        }
        "review_auth_configuration" => "see to [gateway.auth] in the gateway's configuration",
        "retry_with_device_token" => "this is not the gateway's shared token; a device that is paired needs none",
        "wait_then_retry" => match error.retry_after_ms {
            Some(after) => return Some(format!("try again in {} s", after.div_ceil(1000))),
            None => "wait a little and try again",
        },
        other => return Some(other.replace('_', " ")),
    };
    Some(step.to_string())
}

/// Cleans a text that may have several lines.
fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str, details: Value) -> Failure {
        let error = ErrorShape::new(code, "no").with_details(details);
        ClientError::Refused { error: Box::new(error), close: None }.into()
    }

    #[test]
    fn exit_codes_tell_whose_mistake_it_was() {
        assert_eq!(Failure::usage("x").code(), 2);
        assert_eq!(Failure::failed("x").code(), 1);
        assert_eq!(Failure::from(ClientError::Options("x".into())).code(), 2);
        assert_eq!(Failure::from(ClientError::Io("x".into())).code(), 1);
        assert_eq!(Failure::NobodyReads.code(), 0);
    }

    #[test]
    fn a_certificate_that_was_changed_can_be_named() {
        let mismatch = ClientError::PinMismatch { certificate: "ab".into(), key: "cd".into() };
        let said = Failure::from(mismatch).sentence();
        assert!(said.contains("sha256:ab") && said.ends_with("name the new one with --tls-fingerprint"), "{said}");
    }

    #[test]
    fn what_to_do_next_is_named() {
        let pairing = refused("NOT_PAIRED", json!({"requestId": "r-1", "recommendedNextStep": "wait_then_retry"}));
        assert!(next_step(pairing.shape().unwrap()).unwrap().contains("clawhost devices approve r-1"));
        let other = refused("INVALID_REQUEST", json!({"recommendedNextStep": "ask_your_mother"}));
        assert_eq!(next_step(other.shape().unwrap()).unwrap(), "ask your mother");
        let busy = ErrorShape::unavailable("busy").with_details(json!({"recommendedNextStep": "wait_then_retry"}));
        assert_eq!(next_step(&busy.retry_after(1500)).unwrap(), "try again in 2 s");
        assert_eq!(next_step(&ErrorShape::unavailable("busy")), None);
    }

    #[test]
    fn scripts_get_the_error_as_it_came() {
        let failure = refused("NOT_PAIRED", json!({"requestId": "r-1"}));
        let expected = json!({"code": "NOT_PAIRED", "message": "no", "details": {"requestId": "r-1"}});
        assert_eq!(failure.to_json(), expected);
        assert_eq!(failure.sentence(), "the gateway refused the connection: NOT_PAIRED: no");
        assert_eq!(Failure::failed("no gateway").to_json(), json!({"code": "CLIENT", "message": "no gateway"}));
        assert_eq!(clean_lines("a\nb\u{1b}[2J"), "a\nb\\u{1b}[2J");
    }
}
