//! What the daemon's refusals mean: for people a sentence, for programs whether anything went out.

use std::time::Duration;

use plugin_api::MethodError;
use plugin_api::contracts::channel::{NOT_SENT, OUTCOME_UNKNOWN};
use serde::Deserialize;
use serde_json::json;

use crate::rpc::{Failure, Refusal};

/// Where a challenge is solved.
const CAPTCHA: &str = "https://signalcaptchas.org/challenge/generate.html";
/// How much of the daemon's words the log is told.
const FOR_LOG: usize = 2_000;

/// What came of a message for one of those it is for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Outcome {
    /// `SUCCESS`, or why not.
    #[serde(rename = "type")]
    pub kind: String,
    /// The token of a challenge.
    pub token: Option<String>,
    /// When it may be tried again.
    pub retry_after_seconds: Option<u64>,
}

/// An error after which the service surely has nothing.
pub fn not_sent(message: impl Into<String>) -> MethodError {
    MethodError::unavailable(message).with_details(json!({ "code": NOT_SENT }))
}

/// An error after which nobody knows whether it went out.
pub fn unknown(message: impl Into<String>) -> MethodError {
    MethodError::unavailable(message).with_details(json!({ "code": OUTCOME_UNKNOWN }))
}

/// The error of a message that was not sent, or about which nobody knows.
pub fn of_send(failure: Failure) -> MethodError {
    match failure {
        Failure::Unreachable(why) => {
            not_sent("signal-cli's daemon could not be reached").retryable().log(for_log(&why))
        }
        Failure::Lost(why) => {
            unknown("signal-cli's daemon fell silent; nobody knows whether the message went out").log(for_log(&why))
        }
        Failure::Status(status) => not_sent(status_sentence(status)),
        Failure::Refused(refusal) => {
            let (error, words) = (of_refusal(&refusal), for_log(&refusal.message));
            // Whoever solves a challenge needs its token.
            let tokens = refusal.data["response"]["results"].as_array().into_iter().flatten();
            let tokens: Vec<&str> = tokens.filter_map(|outcome| outcome["token"].as_str()).collect();
            let challenge =
                if tokens.is_empty() { String::new() } else { format!("; challenge {}", for_log(&tokens.join(" "))) };
            error.log(format!("signal-cli: {} ({words}){challenge}", refusal.code))
        }
    }
}

/// The error of a request that sends nothing.
pub fn of_request(failure: Failure) -> MethodError {
    match failure {
        Failure::Unreachable(why) => {
            MethodError::unavailable("signal-cli's daemon could not be reached").retryable().log(for_log(&why))
        }
        Failure::Lost(why) => {
            MethodError::unavailable("signal-cli's daemon did not answer").retryable().log(for_log(&why))
        }
        Failure::Status(status) => MethodError::unavailable(status_sentence(status)),
        Failure::Refused(refusal) => {
            let message = format!("signal-cli refused the request ({})", refusal.code);
            MethodError::unavailable(message).log(for_log(&refusal.message))
        }
    }
}

fn status_sentence(status: u16) -> String {
    let hint = match status {
        404 => "; is it signal-cli's daemon, started with --http?",
        421 => "; it was asked by a name that it was not started with",
        _ => "",
    };
    format!("what answers at the address of signal-cli's daemon refused the request (HTTP {status}){hint}")
}

fn of_refusal(refusal: &Refusal) -> MethodError {
    let outcomes = &refusal.data["response"]["results"];
    let outcomes: Vec<Outcome> = Deserialize::deserialize(outcomes).unwrap_or_default();
    let says = |word: &str| refusal.message.to_ascii_lowercase().contains(word);
    match refusal.code {
        // The error of whoever asked, before anything was sent; or what came of it for each.
        -1 if !outcomes.is_empty() => of_outcomes(&outcomes),
        -4 => untrusted(),
        -5 => rate_limited(&outcomes),
        -6 => not_sent("Signal did not accept the solution of its challenge"),
        -32_700..=-32_600 if refusal.code != -32_603 => {
            if says("account") {
                not_sent("signal-cli's daemon does not have this account; say which in plugins.signal.config.account")
            } else {
                not_sent("signal-cli's daemon did not understand the request; its version may not fit")
            }
        }
        -1 if says("not registered") => not_sent("nobody with this number or name is registered at Signal"),
        -1 if says("group") && (says("not found") || says("not a member") || says("not a group member")) => {
            not_sent("the account is not a member of this group")
        }
        -1 if says("not allowed") => not_sent("the account may not write in this group"),
        -1 => not_sent("signal-cli did not accept the message"),
        -32_603 if says("attachmentinvalid") => not_sent("signal-cli did not accept a file of the message"),
        -32_603 if says("no prekeys") || says("notregistered") || says("authorizationfailed") => {
            not_sent("the account may not send: it is no longer registered, or whom it is for was away too long")
        }
        // It may have failed at any step.
        _ => unknown("signal-cli failed while it sent the message; nobody knows whether it went out"),
    }
}

/// None of them got it, or signal-cli would not call it an error.
fn of_outcomes(outcomes: &[Outcome]) -> MethodError {
    let any = |kind: &str| outcomes.iter().any(|outcome| outcome.kind == kind);
    let all = |kind: &str| outcomes.iter().all(|outcome| outcome.kind == kind);
    if any("NETWORK_FAILURE") || any("SUCCESS") {
        unknown("signal-cli lost its connection to Signal while it sent; nobody knows whether the message went out")
    } else if any("RATE_LIMIT_FAILURE") {
        rate_limited(outcomes)
    } else if all("UNREGISTERED_FAILURE") {
        not_sent("nobody with this number or name is registered at Signal")
    } else if any("IDENTITY_FAILURE") {
        untrusted()
    } else {
        not_sent("signal-cli could not send the message to anybody")
    }
}

fn untrusted() -> MethodError {
    not_sent(
        "the safety number of whom it is for has changed, and signal-cli does not trust the new one; look at it with \
         signal-cli listIdentities, and accept it with signal-cli trust",
    )
}

fn rate_limited(outcomes: &[Outcome]) -> MethodError {
    let wait = outcomes.iter().filter_map(|outcome| outcome.retry_after_seconds).max().filter(|&seconds| seconds > 0);
    let error = if outcomes.iter().any(|outcome| outcome.token.is_some()) {
        not_sent(format!(
            "Signal wants a challenge to be solved before the account sends more; solve it at {CAPTCHA} and hand it in with \
             signal-cli submitRateLimitChallenge"
        ))
    } else {
        not_sent("Signal takes no more messages of the account for now")
    };
    match wait {
        // Longer than anybody waits, and short enough to be added to a time.
        Some(seconds) => error.retry_after(Duration::from_secs(seconds.min(30 * 24 * 60 * 60))),
        None => error.retryable(),
    }
}

/// Somebody else's words as one line of the log.
pub fn for_log(text: &str) -> String {
    text.chars().take(FOR_LOG).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn told(code: i64, message: &str, results: Value) -> (String, String, Option<u64>, Option<bool>) {
        let data =
            if results.is_null() { Value::Null } else { json!({ "response": { "timestamp": 1, "results": results } }) };
        let error = of_send(Failure::Refused(Refusal { code, message: message.to_string(), data }));
        let shape = error.shape();
        assert!(!shape.message.contains(message) || message.is_empty(), "the daemon's words are for the log");
        assert!(error.detail_for_log().unwrap().contains(message));
        let code = shape.details.as_ref().unwrap()["code"].as_str().unwrap().to_string();
        (code, shape.message.clone(), shape.retry_after_ms, shape.retryable)
    }

    #[test]
    fn a_refusal_says_whether_anything_went_out() {
        let one = |kind: &str| json!([{ "recipientAddress": { "number": "+49" }, "type": kind }]);
        let both = json!([{ "type": "UNREGISTERED_FAILURE" }, { "type": "NETWORK_FAILURE" }]);
        for (code, message, results, sent, part) in [
            (-1, "Failed to send message", one("UNREGISTERED_FAILURE"), NOT_SENT, "registered at Signal"),
            (-1, "Failed to send message", one("IDENTITY_FAILURE"), NOT_SENT, "safety number"),
            (-1, "Failed to send message", one("NETWORK_FAILURE"), OUTCOME_UNKNOWN, "nobody knows"),
            (-1, "Failed to send message", both, OUTCOME_UNKNOWN, "nobody knows"),
            (-1, "Failed to send message", one("INVALID_PRE_KEY_FAILURE"), NOT_SENT, "anybody"),
            (-1, "The user +49 is not registered.", Value::Null, NOT_SENT, "registered at Signal"),
            (-1, "Group not found: abc", Value::Null, NOT_SENT, "member of this group"),
            (-1, "Invalid phone number", Value::Null, NOT_SENT, "did not accept"),
            (-3, "Failed: timeout", Value::Null, OUTCOME_UNKNOWN, "nobody knows"),
            (
                -4,
                "Failed to send message due to untrusted identities",
                one("IDENTITY_FAILURE"),
                NOT_SENT,
                "signal-cli trust",
            ),
            (-6, "Captcha rejected", Value::Null, NOT_SENT, "challenge"),
            (-32_601, "Method not implemented", Value::Null, NOT_SENT, "did not understand"),
            (-32_602, "Specified account does not exist", Value::Null, NOT_SENT, "plugins.signal.config.account"),
            (-32_603, "Failed to send message: x (AttachmentInvalidException)", Value::Null, NOT_SENT, "a file"),
            (-32_603, "Failed to send message: x (IOException)", Value::Null, OUTCOME_UNKNOWN, "nobody knows"),
            (-99, "of tomorrow", Value::Null, OUTCOME_UNKNOWN, "nobody knows"),
        ] {
            let (told_sent, sentence, ..) = told(code, message, results);
            assert_eq!(told_sent, sent, "{code} {message}");
            assert!(sentence.contains(part), "{code} {message}: {sentence}");
        }
    }

    #[test]
    fn a_rate_limit_says_when_and_what_to_do() {
        let limited = json!([{ "type": "RATE_LIMIT_FAILURE", "retryAfterSeconds": 90 }]);
        let (code, _, wait, retryable) = told(-5, "Slow down", limited);
        assert_eq!((code.as_str(), wait, retryable), (NOT_SENT, Some(90_000), Some(true)));
        let challenge = json!([{ "type": "RATE_LIMIT_FAILURE", "token": "a-token", "retryAfterSeconds": 86_400 }]);
        let (code, sentence, wait, _) = told(-1, "Slow down", challenge);
        assert_eq!((code.as_str(), wait), (NOT_SENT, Some(86_400_000)));
        assert!(sentence.contains(CAPTCHA) && !sentence.contains("a-token"), "{sentence}");
        assert_eq!(told(-5, "Slow down", Value::Null).3, Some(true));
    }

    #[test]
    fn a_daemon_that_is_not_there_has_sent_nothing() {
        let code = |failure| of_send(failure).shape().details.as_ref().unwrap()["code"].as_str().unwrap().to_string();
        assert_eq!(code(Failure::Unreachable("refused".into())), NOT_SENT);
        assert_eq!(code(Failure::Status(404)), NOT_SENT);
        assert_eq!(code(Failure::Lost("reset".into())), OUTCOME_UNKNOWN);
    }
}
