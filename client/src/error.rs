//! What can go wrong between a client and its gateway, told apart by what the caller can do about it. Nothing here ever
//! holds a token or a password, so every error may be printed and logged.

use std::fmt;
use std::time::Duration;

use schemas::ErrorShape;

/// Why a connection or a request failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClientError {
    /// The options cannot be used as they are; the sentence says what would be right.
    Options(String),
    /// A file of this client (identity, tokens) cannot be used. It is left as it was found.
    File(String),
    /// The gateway cannot be reached, or the socket broke.
    Io(String),
    /// TLS failed.
    Tls(String),
    /// The gateway's certificate matches none of the pins. Both fingerprints are what the gateway presented.
    PinMismatch {
        /// SHA-256 of the certificate.
        certificate: String,
        /// SHA-256 of its public key.
        key: String,
    },
    /// The gateway answered the upgrade with plain HTTP.
    Upgrade {
        /// The HTTP status.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
    /// The gateway refused `connect`.
    Refused {
        /// What it answered.
        error: Box<ErrorShape>,
        /// How it closed the socket then, when it did in time.
        close: Option<(u16, String)>,
    },
    /// The connection is closed. 1006 stands for a socket that ended without a close frame.
    Closed {
        /// The close code.
        code: u16,
        /// The close reason.
        reason: String,
    },
    /// Nothing came in time.
    Timeout {
        /// What was waited for.
        what: String,
        /// For how long.
        after: Duration,
    },
    /// The peer does not speak this protocol.
    Protocol(String),
    /// A message is larger than the gateway reads; it was not sent.
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The largest size the gateway reads.
        limit: usize,
    },
    /// The method answered with an error.
    Method(Box<ErrorShape>),
    /// The method's parameters or result do not fit the types the caller chose.
    Shape {
        /// The method.
        method: String,
        /// What does not fit.
        problem: String,
    },
}

impl ClientError {
    /// The error of a failed request or of a refused `connect`.
    pub fn shape(&self) -> Option<&ErrorShape> {
        match self {
            ClientError::Refused { error, .. } | ClientError::Method(error) => Some(error),
            _ => None,
        }
    }

    /// `details.code` of [`ClientError::shape`].
    pub fn detail_code(&self) -> Option<&str> {
        detail_code(self.shape()?)
    }

    pub(crate) fn abnormal_close() -> Self {
        ClientError::Closed { code: 1006, reason: String::new() }
    }
}

/// `details.code` of an error.
pub(crate) fn detail_code(error: &ErrorShape) -> Option<&str> {
    error.details.as_ref()?.get("code")?.as_str()
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Options(problem) | ClientError::File(problem) => f.write_str(problem),
            ClientError::Io(problem) => f.write_str(problem),
            ClientError::Tls(problem) => write!(f, "TLS: {problem}"),
            ClientError::PinMismatch { certificate, key } => write!(
                f,
                "the gateway's certificate matches no pin: it presents sha256:{certificate} (public key sha256:{key})"
            ),
            ClientError::Upgrade { status, body } if body.is_empty() => {
                write!(f, "the gateway answered the upgrade with HTTP status {status}")
            }
            ClientError::Upgrade { status, body } => {
                write!(f, "the gateway answered the upgrade with HTTP status {status}: {body}")
            }
            ClientError::Refused { error, .. } => {
                write!(f, "the gateway refused the connection: {error}")?;
                match error.details.as_ref().and_then(|details| details.get("recommendedNextStep")?.as_str()) {
                    Some(step) => write!(f, " (recommended: {})", step.replace('_', " ")),
                    None => Ok(()),
                }
            }
            ClientError::Closed { code: 1006, .. } => f.write_str("the connection ended without a close frame (1006)"),
            ClientError::Closed { code, reason } if reason.is_empty() => {
                write!(f, "the connection was closed ({code})")
            }
            ClientError::Closed { code, reason } => write!(f, "the connection was closed ({code}): {reason}"),
            ClientError::Timeout { what, after } => write!(f, "no {what} within {} ms", after.as_millis()),
            ClientError::Protocol(problem) => write!(f, "the peer does not keep to the gateway protocol: {problem}"),
            ClientError::TooLarge { size, limit } => {
                write!(f, "a message of {size} bytes was not sent: the gateway reads at most {limit}")
            }
            ClientError::Method(error) => error.fmt(f),
            ClientError::Shape { method, problem } => write!(f, "{method}: {problem}"),
        }
    }
}

impl std::error::Error for ClientError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_next_step() {
        let error = ErrorShape::invalid_request("unauthorized: gateway token mismatch").with_details(
            serde_json::json!({"code": "AUTH_TOKEN_MISMATCH", "recommendedNextStep": "update_auth_credentials"}),
        );
        let refused = ClientError::Refused { error: Box::new(error), close: None };
        assert_eq!(refused.detail_code(), Some("AUTH_TOKEN_MISMATCH"));
        assert_eq!(
            refused.to_string(),
            "the gateway refused the connection: INVALID_REQUEST: unauthorized: gateway token mismatch \
             (recommended: update auth credentials)"
        );
    }
}
