//! The shared secret, named tokens and device tokens: who may come in, and what is said to those who may not. The
//! sentences are part of the contract, since clients search them; protocol 3 and 4 differ only in which fields the shared
//! secret may stand in.

mod bootstrap;
mod refusal;
#[cfg(test)]
mod tests;

pub use bootstrap::Invited;
pub use refusal::bootstrap as bootstrap_refusal;

use std::sync::Arc;
use std::time::Duration;

use schemas::ErrorShape;
use schemas::connect::{ClientInfo, Credentials};
use schemas::protocol::Version;

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
    /// The identity in its tailnet.
    Tailscale,
    /// A setup code.
    Bootstrap,
}

impl AuthMethod {
    /// The word for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            AuthMethod::Token => "token",
            AuthMethod::Password => "password",
            AuthMethod::DeviceToken => "device-token",
            AuthMethod::NamedToken => "named-token",
            AuthMethod::Tailscale => "tailscale",
            AuthMethod::Bootstrap => "bootstrap",
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

    /// What the token of this device and role is good for.
    fn reach(&self, _device_id: &str, _role: &str) -> Vec<String> {
        Vec::new()
    }

    /// What the token of a setup code invites this device to in this role. No other device can use it from then on.
    fn verify_bootstrap_token(&self, _device_id: &str, _role: &str, _token: &str, _now_ms: u64) -> Option<Invited> {
        None
    }
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
    /// Whether the tailnet confirms who it is.
    pub in_tailnet: bool,
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
    /// What it was invited to, if it is by a setup code.
    pub invited: Option<Invited>,
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

/// Judges an attempt: by what the client shows, and else by who it is in its tailnet.
///
/// What it shows counts first, since that may bound it, and wrong secrets count as such: nobody guesses for nothing because
/// the tailnet knows them. The tailnet replaces the secret of a device and never the device.
pub fn authorize(
    settings: &AuthSettings,
    tokens: &dyn DeviceTokens,
    limiter: &FailureLimiter,
    attempt: Attempt<'_>,
) -> Result<Authorized, Box<Unauthorized>> {
    by_credentials(settings, tokens, limiter, attempt).or_else(|refused| {
        let is_known = attempt.in_tailnet && attempt.device_id.is_some();
        let authorized = Authorized { method: AuthMethod::Tailscale, token_use: None, named: None, invited: None };
        if is_known { Ok(authorized) } else { Err(refused) }
    })
}

/// Judges what a client shows: the shared secret first, then the named tokens, a setup code, and the device token.
///
/// A lockout stops guesses of the shared secret, of named tokens and of setup codes only. Device tokens cannot be guessed, and their
/// holders should not suffer from the guesses of somebody who shares their address.
fn by_credentials(
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
            return Ok(Authorized { method, token_use: None, named: None, invited: None });
        }
        Err(reason) => reason,
    };
    let named = attempt.credentials.token().filter(|_| blocked.is_none());
    let named = named.and_then(|shown| named_tokens::find(&settings.named, shown)).cloned();
    let admitted = named.as_ref().map(|bounds| bounds.admit(attempt.role, attempt.guesser.ip, attempt.now_ms));
    let named_refusal = match admitted {
        None => None,
        // Its holder might be guessing the shared secret in between, so it forgives no guesses.
        Some(Ok(())) => {
            return Ok(Authorized { method: AuthMethod::NamedToken, token_use: None, named, invited: None });
        }
        Some(Err(refusal)) => Some(refusal),
    };
    let bootstrap = bootstrap::Shown::judge(&attempt, tokens, blocked.is_some());
    if let bootstrap::Shown::Good(invited) = bootstrap {
        let method = AuthMethod::Bootstrap;
        return Ok(Authorized { method, token_use: None, named: None, invited: Some(invited) });
    }
    let device_token = attempt.credentials.device_token().or_else(|| attempt.credentials.token());
    let token_refusal = match attempt.device_id.zip(device_token) {
        None => None,
        Some((device_id, token)) => {
            let Attempt { role, scopes, now_ms, .. } = attempt;
            match tokens.verify_device_token(device_id, role, token, scopes, now_ms) {
                // This proves nothing about the shared secret, so it forgives no guesses of it.
                Ok(token_use) => {
                    let method = AuthMethod::DeviceToken;
                    return Ok(Authorized { method, token_use: Some(token_use), named: None, invited: None });
                }
                Err(refusal) => Some(refusal),
            }
        }
    };
    if let Some(retry_after_ms) = blocked {
        let error = refusal::rate_limited().retry_after(retry_after_ms);
        return Err(Box::new(Unauthorized { error, reason, token_refusal, named: None, delay: None }));
    }
    // A secret was wrong when one was shown: the shared one, or a token that is no device's and has no name. A good token
    // that reaches less far than asked is nobody's guess, and neither is a named one at the wrong time or place.
    let no_such_name = !settings.named.is_empty() && attempt.credentials.token().is_some();
    // A stale device token that is named as one guesses at nothing: the secret that all share is not asked of it.
    let was_token = token_refusal.is_some() && attempt.credentials.device_token().is_none();
    let was_guess = reason.ends_with("_mismatch") || was_token || no_such_name || bootstrap.is_wrong();
    let is_honest =
        named.is_some() || matches!(token_refusal, Some(TokenRefusal::ScopeMismatch | TokenRefusal::TokenExpired));
    let delay = (was_guess && !is_honest).then(|| limiter.failed(attempt.guesser, attempt.now_ms)).flatten();
    let too_far = attempt.device_id.filter(|_| token_refusal == Some(TokenRefusal::ScopeMismatch));
    let reach = too_far.map(|device_id| tokens.reach(device_id, attempt.role));
    let error = refusal::refusal(reason, token_refusal, reach, &attempt);
    let reason = named_refusal.or(bootstrap.word()).unwrap_or(reason);
    Err(Box::new(Unauthorized { error, reason, token_refusal, named, delay }))
}

/// Why a bearer outside of a handshake was refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BearerRefused {
    /// When to try again, if the address is locked out.
    pub retry_after_ms: Option<u64>,
    /// How long the answer is to be held back.
    pub delay: Option<Duration>,
}

/// Judges a bearer outside of a handshake, by the shared secret alone and under the same limits.
pub fn authorize_shared(
    settings: &AuthSettings,
    limiter: &FailureLimiter,
    credentials: &Credentials,
    guesser: Guesser,
    now_ms: u64,
) -> Result<(), BearerRefused> {
    if let Some(retry_after_ms) = limiter.blocked(guesser, now_ms) {
        return Err(BearerRefused { retry_after_ms: Some(retry_after_ms), delay: None });
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
        Some(_) => Err(BearerRefused { retry_after_ms: None, delay: limiter.failed(guesser, now_ms) }),
        None => Err(BearerRefused::default()),
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
