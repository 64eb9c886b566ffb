//! Whether another attempt makes sense. A pure function of the error, so that every rule can be tested without a socket.

use std::time::Duration;

use schemas::ErrorShape;
use schemas::error::code;

use crate::ClientError;
use crate::error::detail_code;

/// What to do after a failed or lost connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Try again: after the back-off, or after what the gateway asked for.
    Retry {
        /// What the gateway asked for.
        asked: Option<Duration>,
    },
    /// An operator has to approve this device; knock on until then.
    PairingPending {
        /// What the operator approves.
        request_id: Option<String>,
        /// What the gateway asked for.
        asked: Option<Duration>,
    },
    /// The same attempt would fail the same way: someone has to change something first.
    GiveUp,
}

/// Judges an error of [`crate::Connection::open`] or of a connection that ended.
pub fn verdict(error: &ClientError) -> Verdict {
    match error {
        ClientError::Refused { error, .. } => refused(error),
        ClientError::Closed { code: 1002, reason } if reason.contains("protocol mismatch") => Verdict::GiveUp,
        ClientError::Upgrade { status, .. } if *status >= 500 || *status == 429 => retry(),
        ClientError::Closed { .. }
        | ClientError::Io(_)
        | ClientError::Tls(_)
        | ClientError::Timeout { .. }
        | ClientError::Protocol(_) => retry(),
        ClientError::Options(_)
        | ClientError::File(_)
        | ClientError::PinMismatch { .. }
        | ClientError::Upgrade { .. }
        | ClientError::TooLarge { .. }
        | ClientError::Method(_)
        | ClientError::Shape { .. } => Verdict::GiveUp,
    }
}

fn retry() -> Verdict {
    Verdict::Retry { asked: None }
}

fn refused(error: &ErrorShape) -> Verdict {
    let asked = error.retry_after_ms.map(Duration::from_millis);
    let detail = |key: &str| error.details.as_ref().and_then(|details| details.get(key));
    let text = error.message.to_ascii_lowercase();

    if detail_code(error) == Some("PAIRING_REQUIRED") || text.starts_with("pairing required") {
        if detail("pauseReconnect").and_then(serde_json::Value::as_bool) == Some(true) {
            return Verdict::GiveUp;
        }
        let request_id = detail("requestId").and_then(|id| id.as_str()).map(str::to_string);
        return Verdict::PairingPending { request_id, asked };
    }
    if asked.is_some() || error.retryable == Some(true) || error.code == code::UNAVAILABLE {
        return Verdict::Retry { asked };
    }
    match detail("recommendedNextStep").and_then(|step| step.as_str()) {
        Some("wait_then_retry") => return Verdict::Retry { asked },
        Some(_) => return Verdict::GiveUp,
        None => {}
    }
    // A new socket brings a new challenge, which is all these need.
    let stale = ["device signature expired", "device nonce mismatch", "device nonce required"];
    if stale.iter().any(|stale| text.contains(stale)) { retry() } else { Verdict::GiveUp }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judge(value: Value) -> Verdict {
        let error: ErrorShape = serde_json::from_value(value).unwrap();
        verdict(&ClientError::Refused { error: Box::new(error), close: None })
    }

    #[test]
    fn a_wrong_secret_or_version_ends_it() {
        for message in [
            "unauthorized: gateway token mismatch (provide gateway auth token)",
            "unauthorized",
            "protocol mismatch",
            "invalid role",
            "device identity mismatch",
        ] {
            assert_eq!(judge(json!({"code": "INVALID_REQUEST", "message": message})), Verdict::GiveUp, "{message}");
        }
        let identity = json!({"code": "NOT_PAIRED", "message": "device identity required"});
        assert_eq!(judge(identity), Verdict::GiveUp);
        let step = json!({"code": "INVALID_REQUEST", "message": "device nonce mismatch",
            "details": {"recommendedNextStep": "update_auth_credentials"}});
        assert_eq!(judge(step), Verdict::GiveUp, "the gateway's word counts first");
        let mismatch = ClientError::Closed { code: 1002, reason: "protocol mismatch".into() };
        assert_eq!(verdict(&mismatch), Verdict::GiveUp);
    }

    #[test]
    fn a_pending_pairing_is_knocked_for() {
        let pending = |id: Option<&str>| Verdict::PairingPending { request_id: id.map(String::from), asked: None };
        let old = json!({"code": "NOT_PAIRED", "message": "pairing required", "details": {"requestId": "r1"}});
        assert_eq!(judge(old), pending(Some("r1")));
        let new = json!({"code": "NOT_PAIRED", "message": "pairing required: device is not approved yet",
            "details": {"code": "PAIRING_REQUIRED", "requestId": "r2", "pauseReconnect": false}});
        assert_eq!(judge(new), pending(Some("r2")));
        assert_eq!(judge(json!({"code": "NOT_PAIRED", "message": "pairing required"})), pending(None));
        let paused = json!({"code": "NOT_PAIRED", "message": "pairing required",
            "details": {"code": "PAIRING_REQUIRED", "pauseReconnect": true}});
        assert_eq!(judge(paused), Verdict::GiveUp);
    }

    #[test]
    fn a_busy_gateway_is_asked_again_when_it_says() {
        let starting = json!({"code": "UNAVAILABLE", "message": "gateway starting; retry shortly",
            "retryable": true, "retryAfterMs": 500});
        assert_eq!(judge(starting), Verdict::Retry { asked: Some(Duration::from_millis(500)) });
        let limited = json!({"code": "INVALID_REQUEST", "message": "unauthorized: too many failed attempts",
            "details": {"code": "AUTH_RATE_LIMITED", "recommendedNextStep": "wait_then_retry"}});
        assert_eq!(judge(limited), retry());
        assert_eq!(judge(json!({"code": "INVALID_REQUEST", "message": "device signature expired"})), retry());
        for error in [
            ClientError::Closed { code: 1012, reason: "service restart".into() },
            ClientError::Closed { code: 1008, reason: "slow consumer".into() },
            ClientError::Upgrade { status: 503, body: String::new() },
            ClientError::Io("connection refused".into()),
        ] {
            assert_eq!(verdict(&error), retry(), "{error}");
        }
        assert_eq!(verdict(&ClientError::Upgrade { status: 403, body: String::new() }), Verdict::GiveUp);
    }
}
