//! The shared secret, named tokens and device tokens: who may come in, and what is said to those who may not. The
//! sentences are part of the contract, since clients search them; protocol 3 and 4 differ only in which fields the shared
//! secret may stand in.

use std::sync::Arc;
use std::time::Duration;

use schemas::ErrorShape;
use schemas::connect::{ClientInfo, Credentials};
use schemas::error::code;
use schemas::protocol::{self, Version};
use serde_json::json;

use crate::failures::{FailureLimiter, Guesser};
use crate::named_tokens::{self, Bounds, NamedToken};
use crate::secret::Secret;

/// What the gateway asks for.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// Which of the two secrets counts.
    pub mode: AuthMode,
    /// `gateway.auth.token`
    pub token: Option<Secret>,
    /// `gateway.auth.password`
    pub password: Option<Secret>,
    /// `gateway.auth.tokens`
    pub named: Vec<NamedToken>,
}

/// Which secret counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// The shared token.
    Token,
    /// The shared password.
    Password,
}

/// By what a client came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// The shared token.
    Token,
    /// The shared password.
    Password,
    /// A device token.
    DeviceToken,
    /// A named token.
    NamedToken,
}

impl AuthMethod {
    /// The word for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            AuthMethod::Token => "token",
            AuthMethod::Password => "password",
            AuthMethod::DeviceToken => "device-token",
            AuthMethod::NamedToken => "named-token",
        }
    }
}

/// A device token that was found good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenUse {
    /// Changes when everything that stands on the token must fall; see `Pairing::stands`.
    pub epoch: u64,
}

/// Why a device token is not good, in the order of the checks. Never told to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefusal {
    /// The device is unknown.
    DeviceNotPaired,
    /// The device was never approved in this role.
    RoleMissing,
    /// The role has no token.
    TokenMissing,
    /// The token was revoked.
    TokenRevoked,
    /// It is another token.
    TokenMismatch,
    /// It is too old.
    TokenExpired,
    /// It does not reach as far as was asked.
    ScopeMismatch,
}

impl TokenRefusal {
    /// The word for the log.
    pub fn name(self) -> &'static str {
        match self {
            TokenRefusal::DeviceNotPaired => "device-not-paired",
            TokenRefusal::RoleMissing => "role-missing",
            TokenRefusal::TokenMissing => "token-missing",
            TokenRefusal::TokenRevoked => "token-revoked",
            TokenRefusal::TokenMismatch => "token-mismatch",
            TokenRefusal::TokenExpired => "token-expired",
            TokenRefusal::ScopeMismatch => "scope-mismatch",
        }
    }
}

/// Whoever knows the tokens of devices.
pub trait DeviceTokens {
    /// Whether this is a good token of this device and role for these scopes.
    fn verify_device_token(
        &self,
        device_id: &str,
        role: &str,
        token: &str,
        scopes: &[String],
        now_ms: u64,
    ) -> Result<TokenUse, TokenRefusal>;
}

/// One attempt to come in.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The version of the connection.
    pub version: Version,
    /// The credentials as sent.
    pub credentials: &'a Credentials,
    /// The program, for the hint.
    pub client: &'a ClientInfo,
    /// The verified device, if there is one.
    pub device_id: Option<&'a str>,
    /// The role in force.
    pub role: &'a str,
    /// The scopes in force.
    pub scopes: &'a [String],
    /// Whether it comes from this machine.
    pub local: bool,
    /// Who tries.
    pub guesser: Guesser,
    /// The gateway's clock.
    pub now_ms: u64,
}

/// An attempt that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorized {
    /// By what.
    pub method: AuthMethod,
    /// The token it stands on, if it is a device token.
    pub token_use: Option<TokenUse>,
    /// The bounds it stays within, if it is by a named token.
    pub named: Option<Arc<Bounds>>,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Unauthorized {
    /// What the client is told.
    pub error: ErrorShape,
    /// For the log.
    pub reason: &'static str,
    /// What was wrong with the device token, for the log.
    pub token_refusal: Option<TokenRefusal>,
    /// The named token that was shown but does not let in, for the log.
    pub named: Option<Arc<Bounds>>,
    /// How long the answer should be held back.
    pub delay: Option<Duration>,
}

/// Judges an attempt: the shared secret first, then the named tokens, then the device token.
///
/// A lockout stops guesses of the shared secret and of named tokens only. Device tokens cannot be guessed, and their
/// holders should not suffer from the guesses of somebody who shares their address.
pub fn authorize(
    settings: &AuthSettings,
    tokens: &dyn DeviceTokens,
    limiter: &FailureLimiter,
    attempt: Attempt<'_>,
) -> Result<Authorized, Box<Unauthorized>> {
    let blocked = limiter.blocked(attempt.guesser, attempt.now_ms);
    let shared = match blocked {
        None => check_shared(settings, &attempt),
        Some(_) => Err("rate_limited"),
    };
    let reason = match shared {
        Ok(method) => {
            limiter.succeeded(attempt.guesser, attempt.now_ms);
            return Ok(Authorized { method, token_use: None, named: None });
        }
        Err(reason) => reason,
    };
    let named = attempt.credentials.token().filter(|_| blocked.is_none());
    let named = named.and_then(|shown| named_tokens::find(&settings.named, shown)).cloned();
    let admitted = named.as_ref().map(|bounds| bounds.admit(attempt.role, attempt.guesser.ip, attempt.now_ms));
    let named_refusal = match admitted {
        None => None,
        // Its holder might be guessing the shared secret in between, so it forgives no guesses.
        Some(Ok(())) => return Ok(Authorized { method: AuthMethod::NamedToken, token_use: None, named }),
        Some(Err(refusal)) => Some(refusal),
    };
    let device_token = attempt.credentials.device_token().or_else(|| attempt.credentials.token());
    let token_refusal = match attempt.device_id.zip(device_token) {
        None => None,
        Some((device_id, token)) => {
            let Attempt { role, scopes, now_ms, .. } = attempt;
            match tokens.verify_device_token(device_id, role, token, scopes, now_ms) {
                // This proves nothing about the shared secret, so it forgives no guesses of it.
                Ok(token_use) => {
                    let method = AuthMethod::DeviceToken;
                    return Ok(Authorized { method, token_use: Some(token_use), named: None });
                }
                Err(refusal) => Some(refusal),
            }
        }
    };
    if let Some(retry_after_ms) = blocked {
        let error = rate_limited().retry_after(retry_after_ms);
        return Err(Box::new(Unauthorized { error, reason, token_refusal, named: None, delay: None }));
    }
    // A secret was wrong when one was shown: the shared one, or a token that is no device's and has no name. A good token
    // that reaches less far than asked is nobody's guess, and neither is a named one at the wrong time or place.
    let no_such_name = !settings.named.is_empty() && attempt.credentials.token().is_some();
    let was_guess = reason.ends_with("_mismatch") || token_refusal.is_some() || no_such_name;
    let is_honest =
        named.is_some() || matches!(token_refusal, Some(TokenRefusal::ScopeMismatch | TokenRefusal::TokenExpired));
    let delay = (was_guess && !is_honest).then(|| limiter.failed(attempt.guesser, attempt.now_ms)).flatten();
    let error = refusal(reason, token_refusal, &attempt);
    let reason = named_refusal.unwrap_or(reason);
    Err(Box::new(Unauthorized { error, reason, token_refusal, named, delay }))
}

/// Judges a bearer outside of a handshake, by the shared secret alone and under the same limits. The error is when to
/// try again, if the address is locked out.
pub fn authorize_shared(
    settings: &AuthSettings,
    limiter: &FailureLimiter,
    credentials: &Credentials,
    guesser: Guesser,
    now_ms: u64,
) -> Result<(), Option<u64>> {
    if let Some(retry_after_ms) = limiter.blocked(guesser, now_ms) {
        return Err(Some(retry_after_ms));
    }
    let (secret, shown) = match settings.mode {
        AuthMode::Token => (&settings.token, credentials.token()),
        AuthMode::Password => (&settings.password, credentials.password()),
    };
    match secret.as_ref().filter(|secret| !secret.expose().is_empty()).zip(shown) {
        Some((secret, shown)) if secret.matches(shown) => {
            limiter.succeeded(guesser, now_ms);
            Ok(())
        }
        Some(_) => {
            limiter.failed(guesser, now_ms);
            Err(None)
        }
        None => Err(None),
    }
}

/// Compares the shared secret. The only place that knows which field a version may put it in.
fn check_shared(settings: &AuthSettings, attempt: &Attempt<'_>) -> Result<AuthMethod, &'static str> {
    let (token, password) = (attempt.credentials.token(), attempt.credentials.password());
    let either = attempt.version == Version::V4;
    let (configured, shown, method, reasons) = match settings.mode {
        AuthMode::Token => {
            let shown = token.or(if either { password } else { None });
            let reasons = ["token_missing_config", "token_missing", "token_mismatch"];
            (&settings.token, shown, AuthMethod::Token, reasons)
        }
        AuthMode::Password => {
            let shown = password.or(if either { token } else { None });
            let reasons = ["password_missing_config", "password_missing", "password_mismatch"];
            (&settings.password, shown, AuthMethod::Password, reasons)
        }
    };
    let [missing_config, missing, mismatch] = reasons;
    let configured = configured.as_ref().filter(|secret| !secret.expose().is_empty()).ok_or(missing_config)?;
    let shown = shown.ok_or(missing)?;
    if configured.matches(shown) { Ok(method) } else { Err(mismatch) }
}

fn rate_limited() -> ErrorShape {
    ErrorShape::invalid_request("unauthorized: too many failed authentication attempts (retry later)").with_details(
        json!({ "code": "AUTH_RATE_LIMITED", "authReason": "rate_limited", "canRetryWithDeviceToken": false,
            "recommendedNextStep": "wait_then_retry" }),
    )
}

fn refusal(reason: &'static str, token: Option<TokenRefusal>, attempt: &Attempt<'_>) -> ErrorShape {
    if let Some(error) = special_refusal(token, attempt) {
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
fn special_refusal(token: Option<TokenRefusal>, attempt: &Attempt<'_>) -> Option<ErrorShape> {
    let (code, reason, message, next_step) = if attempt.credentials.bootstrap_token().is_some() {
        let message = "unauthorized: setup code invalid, expired, revoked, or already used (create a new code; review \
                       `openclaw devices list`)";
        ("AUTH_BOOTSTRAP_TOKEN_INVALID", "bootstrap_token_invalid", message, "review_auth_configuration")
    } else if attempt.credentials.device_token().is_none() {
        return None;
    } else if token == Some(TokenRefusal::ScopeMismatch) {
        let message = "unauthorized: device token scope mismatch (re-pair or approve scope upgrade)";
        ("AUTH_SCOPE_MISMATCH", "scope_mismatch", message, "review_auth_configuration")
    } else {
        let message = "unauthorized: device token mismatch (rotate/reissue device token)";
        ("AUTH_DEVICE_TOKEN_MISMATCH", "device_token_mismatch", message, "update_auth_credentials")
    };
    Some(ErrorShape::invalid_request(message).with_details(json!({
        "code": code, "authReason": reason, "canRetryWithDeviceToken": false, "recommendedNextStep": next_step,
    })))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failures::FailureSettings;
    use std::net::IpAddr;

    struct OneToken;

    impl DeviceTokens for OneToken {
        fn verify_device_token(
            &self,
            device: &str,
            _: &str,
            token: &str,
            scopes: &[String],
            _: u64,
        ) -> Result<TokenUse, TokenRefusal> {
            match (device, token) {
                ("d", "good") if scopes.is_empty() => Ok(TokenUse { epoch: 7 }),
                ("d", "good") => Err(TokenRefusal::ScopeMismatch),
                _ => Err(TokenRefusal::TokenMismatch),
            }
        }
    }

    struct World {
        settings: AuthSettings,
        limiter: FailureLimiter,
        client: ClientInfo,
        version: Version,
        direct: bool,
    }

    fn world(mode: AuthMode) -> World {
        let secret = |text: &str| Some(Secret::new(text));
        World {
            settings: AuthSettings { mode, token: secret("T"), password: secret("P"), named: Vec::new() },
            limiter: FailureLimiter::new(FailureSettings { auth_failures: 3, ..FailureSettings::default() }),
            client: serde_json::from_value(json!({ "id": "cli", "version": "1", "platform": "x", "mode": "cli" }))
                .unwrap(),
            version: Version::V3,
            direct: false,
        }
    }

    impl World {
        fn knock(&self, token: &str, password: &str, device_id: Option<&str>) -> Result<Authorized, Box<Unauthorized>> {
            let credentials = Credentials {
                token: Some(token.to_string()),
                password: Some(password.to_string()),
                ..Credentials::default()
            };
            let attempt = Attempt {
                version: self.version,
                credentials: &credentials,
                client: &self.client,
                device_id,
                role: "operator",
                scopes: &[],
                local: false,
                guesser: Guesser { ip: IpAddr::from([203, 0, 113, 1]), direct: self.direct },
                now_ms: 1_000,
            };
            authorize(&self.settings, &OneToken, &self.limiter, attempt)
        }
    }

    #[test]
    fn the_secret_of_the_mode_lets_in() {
        let token = world(AuthMode::Token).knock("T", "", None).unwrap();
        assert_eq!(token, Authorized { method: AuthMethod::Token, token_use: None, named: None });
        assert_eq!(world(AuthMode::Password).knock("wrong", "P", None).unwrap().method, AuthMethod::Password);
        let by_device = world(AuthMode::Password).knock("good", "", Some("d")).unwrap();
        assert_eq!(by_device.token_use, Some(TokenUse { epoch: 7 }), "a device token passes in password mode too");
        assert_eq!(by_device.method, AuthMethod::DeviceToken);
        assert!(world(AuthMode::Token).knock("good", "", None).is_err(), "a device token needs its device");
    }

    #[test]
    fn protocol_4_takes_the_secret_from_either_field() {
        for (mode, token, password) in [(AuthMode::Token, "", "T"), (AuthMode::Password, "P", "")] {
            let mut world = world(mode);
            assert!(world.knock(token, password, None).is_err());
            world.version = Version::V4;
            assert!(world.knock(token, password, None).is_ok());
        }
    }

    #[test]
    fn refusals_have_their_sentences() {
        let token_hint = "set gateway.remote.token to match gateway.auth.token";
        let password_hint = "set gateway.remote.password to match gateway.auth.password";
        for (mode, token, password, message, code) in [
            (AuthMode::Token, "", "", format!("gateway token missing ({token_hint})"), "AUTH_TOKEN_MISSING"),
            (AuthMode::Token, "", "P", format!("gateway token missing ({token_hint})"), "AUTH_TOKEN_MISSING"),
            (AuthMode::Token, "x", "", format!("gateway token mismatch ({token_hint})"), "AUTH_TOKEN_MISMATCH"),
            (
                AuthMode::Password,
                "T",
                "",
                format!("gateway password missing ({password_hint})"),
                "AUTH_PASSWORD_MISSING",
            ),
            (
                AuthMode::Password,
                "",
                "x",
                format!("gateway password mismatch ({password_hint})"),
                "AUTH_PASSWORD_MISMATCH",
            ),
        ] {
            let refused = world(mode).knock(token, password, None).unwrap_err();
            assert_eq!(refused.error.message, format!("unauthorized: {message}"));
            assert_eq!(refused.error.details.unwrap()["code"], code);
        }
        let mut unset = world(AuthMode::Token);
        unset.settings.token = Some(Secret::new(""));
        assert_eq!(
            unset.knock("", "", None).unwrap_err().error.message,
            "unauthorized: gateway token not configured on gateway (set gateway.auth.token)"
        );
    }

    #[test]
    fn hints_fit_the_client() {
        for (id, mode, hint) in [
            ("moltbot-control-ui", "ui", "open a tokenized dashboard URL or paste token in Control UI settings"),
            ("webchat", "webchat", "open a tokenized dashboard URL or paste token in Control UI settings"),
            ("gateway-client", "backend", "provide gateway auth token"),
        ] {
            let mut world = world(AuthMode::Token);
            (world.client.id, world.client.mode) = (id.into(), mode.into());
            let message = world.knock("x", "", None).unwrap_err().error.message;
            assert_eq!(message, format!("unauthorized: gateway token mismatch ({hint})"));
        }
    }

    #[test]
    fn wrong_secrets_count_and_missing_ones_do_not() {
        let world = world(AuthMode::Token);
        for _ in 0..10 {
            assert_eq!(world.knock("", "", None).unwrap_err().reason, "token_missing");
        }
        for _ in 0..3 {
            assert_eq!(world.knock("x", "", None).unwrap_err().reason, "token_mismatch");
        }
        let locked = world.knock("T", "", None).unwrap_err();
        assert_eq!(locked.error.message, "unauthorized: too many failed authentication attempts (retry later)");
        assert_eq!((locked.error.retryable, locked.error.retry_after_ms), (Some(true), Some(300_000)));
        assert!(world.knock("good", "", Some("d")).is_ok(), "a device that proves itself is not locked out");
        assert!(world.knock("T", "", None).is_err(), "and that ends no lockout");
    }

    fn named(secret: &str, expires_at_ms: Option<u64>) -> NamedToken {
        let (scopes, methods) = (vec!["operator.read".to_string()], Default::default());
        let bounds = Bounds { name: secret.to_string(), scopes, methods, expires_at_ms, from: None };
        NamedToken { secret: Secret::new(secret), bounds: Arc::new(bounds) }
    }

    #[test]
    fn a_named_token_lets_in_and_forgives_no_guesses() {
        let mut world = world(AuthMode::Token);
        world.settings.named = vec![named("one", None), named("two", None)];
        for _ in 0..2 {
            assert_eq!(world.knock("x", "", None).unwrap_err().reason, "token_mismatch");
            let authorized = world.knock("two", "", Some("d")).unwrap();
            assert_eq!(authorized.method, AuthMethod::NamedToken);
            assert_eq!(authorized.named.unwrap().name, "two");
        }
        assert!(world.knock("x", "", None).is_err());
        assert_eq!(world.knock("two", "", None).unwrap_err().reason, "rate_limited", "it could be guessed as well");
    }

    #[test]
    fn a_named_token_is_no_easier_to_guess_where_the_shared_secret_is_a_password() {
        let mut world = world(AuthMode::Password);
        world.settings.named = vec![named("one", None)];
        assert!(world.knock("one", "", None).is_ok());
        for _ in 0..3 {
            assert_eq!(world.knock("x", "", None).unwrap_err().reason, "password_missing");
        }
        assert_eq!(world.knock("one", "", None).unwrap_err().reason, "rate_limited");
    }

    #[test]
    fn an_expired_named_token_is_a_mismatch_and_no_guess() {
        let mut world = world(AuthMode::Token);
        world.settings.named = vec![named("old", Some(1_000))];
        world.direct = true;
        for _ in 0..5 {
            let refused = world.knock("old", "", None).unwrap_err();
            assert_eq!((refused.reason, refused.delay), ("named_token_expired", None));
            assert!(refused.error.message.starts_with("unauthorized: gateway token mismatch"));
        }
        assert_eq!(world.knock("x", "", None).unwrap_err().delay, Some(Duration::from_millis(250)), "it is the first");
    }

    #[test]
    fn a_direct_client_is_delayed() {
        let mut world = world(AuthMode::Token);
        world.direct = true;
        assert_eq!(world.knock("", "", None).unwrap_err().delay, None);
        assert_eq!(world.knock("x", "", None).unwrap_err().delay, Some(Duration::from_millis(250)));
    }

    #[test]
    fn the_next_step_is_named() {
        let step = |refused: Box<Unauthorized>| refused.error.details.unwrap()["recommendedNextStep"].clone();
        let world = world(AuthMode::Token);
        assert_eq!(step(world.knock("x", "", Some("d")).unwrap_err()), "retry_with_device_token");
        assert_eq!(step(world.knock("x", "", None).unwrap_err()), "update_auth_credentials");
        assert_eq!(step(world.knock("", "", None).unwrap_err()), "update_auth_configuration");
    }
}
