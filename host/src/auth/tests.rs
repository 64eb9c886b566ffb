use std::net::IpAddr;

use serde_json::json;

use super::*;
use crate::failures::FailureSettings;

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
    in_tailnet: bool,
}

fn world(mode: AuthMode) -> World {
    let secret = |text: &str| Some(Secret::new(text));
    World {
        settings: AuthSettings { mode, token: secret("T"), password: secret("P"), named: Vec::new() },
        limiter: FailureLimiter::new(FailureSettings { auth_failures: 3, ..FailureSettings::default() }),
        client: serde_json::from_value(json!({ "id": "cli", "version": "1", "platform": "x", "mode": "cli" })).unwrap(),
        version: Version::V3,
        direct: false,
        in_tailnet: false,
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
            in_tailnet: self.in_tailnet,
            guesser: Guesser { ip: IpAddr::from([203, 0, 113, 1]), direct: self.direct },
            now_ms: 1_000,
        };
        authorize(&self.settings, &OneToken, &self.limiter, attempt)
    }
}

#[test]
fn the_secret_of_the_mode_lets_in() {
    let token = world(AuthMode::Token).knock("T", "", None).unwrap();
    assert_eq!(token, Authorized { method: AuthMethod::Token, token_use: None, named: None, invited: None });
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
        (AuthMode::Password, "T", "", format!("gateway password missing ({password_hint})"), "AUTH_PASSWORD_MISSING"),
        (AuthMode::Password, "", "x", format!("gateway password mismatch ({password_hint})"), "AUTH_PASSWORD_MISMATCH"),
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

#[test]
fn the_tailnet_stands_in_for_a_secret_and_not_for_a_device() {
    let world = World { in_tailnet: true, ..world(AuthMode::Token) };
    assert_eq!(world.knock("", "", Some("d")).unwrap().method, AuthMethod::Tailscale);
    assert!(world.knock("wrong", "", None).is_err());
    assert_eq!(world.knock("T", "", Some("d")).unwrap().method, AuthMethod::Token, "what is shown counts first");
    assert_eq!(world.knock("good", "", Some("d")).unwrap().method, AuthMethod::DeviceToken);
}

#[test]
fn the_tailnet_makes_no_guess_free() {
    let world = World { in_tailnet: true, ..world(AuthMode::Token) };
    for _ in 0..3 {
        assert_eq!(world.knock("wrong", "", Some("d")).unwrap().method, AuthMethod::Tailscale);
    }
    assert_eq!(world.knock("T", "", None).unwrap_err().reason, "rate_limited");
    assert_eq!(world.knock("", "", Some("d")).unwrap().method, AuthMethod::Tailscale, "it is not locked out itself");
}
