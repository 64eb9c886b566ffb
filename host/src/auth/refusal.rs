//! What is said to those who may not come in.

use schemas::ErrorShape;
use schemas::error::code;
use schemas::protocol::{self, Version};
use serde_json::json;

use super::{Attempt, TokenRefusal};

/// Too many wrong secrets.
pub(super) fn rate_limited() -> ErrorShape {
    ErrorShape::invalid_request("unauthorized: too many failed authentication attempts (retry later)").with_details(
        json!({ "code": "AUTH_RATE_LIMITED", "authReason": "rate_limited", "canRetryWithDeviceToken": false,
            "recommendedNextStep": "wait_then_retry" }),
    )
}

/// What a client is told whose credentials do not let it in. `reach` is what its device token is good for, which it is told
/// if it asked for more: it has proved its key, and can come again with that.
pub(super) fn refusal(
    reason: &'static str,
    token: Option<TokenRefusal>,
    reach: Option<Vec<String>>,
    attempt: &Attempt<'_>,
) -> ErrorShape {
    if let Some(error) = special_refusal(token, reach, attempt) {
        return error;
    }
    let hints = hints(attempt);
    let message = match reason {
        "token_missing" => format!("unauthorized: gateway token missing ({})", hints.token),
        "token_mismatch" => format!("unauthorized: gateway token mismatch ({})", hints.token),
        "token_missing_config" => {
            "unauthorized: gateway token not configured on gateway (set gateway.auth.token)".to_string()
        }
        "password_missing" => format!("unauthorized: gateway password missing ({})", hints.password),
        "password_mismatch" => format!("unauthorized: gateway password mismatch ({})", hints.password),
        "password_missing_config" => {
            "unauthorized: gateway password not configured on gateway (set gateway.auth.password)".to_string()
        }
        _ => "unauthorized".to_string(),
    };
    let credentials = attempt.credentials;
    let may_retry_with_device_token = reason == "token_mismatch"
        && attempt.device_id.is_some()
        && credentials.device_token().is_none()
        && credentials.password().is_none();
    let next_step = match reason {
        _ if may_retry_with_device_token => "retry_with_device_token",
        "token_mismatch" | "password_mismatch" => "update_auth_credentials",
        _ => "update_auth_configuration",
    };
    ErrorShape::new(code::INVALID_REQUEST, message).with_details(json!({
        "code": format!("AUTH_{}", reason.to_ascii_uppercase()),
        "authReason": reason,
        "canRetryWithDeviceToken": may_retry_with_device_token,
        "recommendedNextStep": next_step,
    }))
}

/// What is said of credentials that only protocol 4 has fields for: whoever uses one hears of that one.
fn special_refusal(
    token: Option<TokenRefusal>,
    reach: Option<Vec<String>>,
    attempt: &Attempt<'_>,
) -> Option<ErrorShape> {
    if attempt.credentials.bootstrap_token().is_some() {
        return Some(bootstrap());
    }
    let (code, reason, message, next_step) = if attempt.credentials.device_token().is_none() {
        return None;
    } else if token == Some(TokenRefusal::ScopeMismatch) {
        let message = "unauthorized: device token scope mismatch (re-pair or approve scope upgrade)";
        ("AUTH_SCOPE_MISMATCH", "scope_mismatch", message, "review_auth_configuration")
    } else {
        let message = "unauthorized: device token mismatch (rotate/reissue device token)";
        ("AUTH_DEVICE_TOKEN_MISMATCH", "device_token_mismatch", message, "update_auth_credentials")
    };
    let mut details = json!({
        "code": code, "authReason": reason, "canRetryWithDeviceToken": false, "recommendedNextStep": next_step,
    });
    if let Some(reach) = reach {
        details["approvedScopes"] = json!(reach);
    }
    Some(ErrorShape::invalid_request(message).with_details(details))
}

/// A setup code that lets nobody in, whatever is wrong with it.
pub fn bootstrap() -> ErrorShape {
    let message = "unauthorized: setup code invalid, expired, revoked, or already used (create a new code; review \
                   `openclaw devices list`)";
    ErrorShape::invalid_request(message).with_details(json!({
        "code": "AUTH_BOOTSTRAP_TOKEN_INVALID", "authReason": "bootstrap_token_invalid",
        "canRetryWithDeviceToken": false, "recommendedNextStep": "review_auth_configuration",
    }))
}

struct Hints {
    token: &'static str,
    password: &'static str,
}

fn hints(attempt: &Attempt<'_>) -> Hints {
    let (client, is_new) = (attempt.client, attempt.version >= Version::V4);
    let is_page = protocol::is_control_ui(&client.id) || protocol::is_webchat(&client.id, &client.mode);
    if client.mode == "cli" {
        let token = match is_new && attempt.local {
            true => "use this gateway's gateway.auth.token or pair the device",
            false => "set gateway.remote.token to match gateway.auth.token",
        };
        Hints { token, password: "set gateway.remote.password to match gateway.auth.password" }
    } else if is_page || (is_new && protocol::is_terminal_ui(&client.id)) {
        let token = match is_new {
            true => "open the dashboard URL and paste the token in Control UI settings",
            false => "open a tokenized dashboard URL or paste token in Control UI settings",
        };
        Hints { token, password: "enter the password in Control UI settings" }
    } else {
        Hints { token: "provide gateway auth token", password: "provide gateway auth password" }
    }
}
