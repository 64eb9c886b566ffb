//! The first frame of a connection, as a whole and with recorded signatures in it: who comes in, and what is said to those
//! who do not.

use std::net::IpAddr;
use std::sync::LazyLock;

use clawhost::auth::{AuthMode, AuthSettings, DeviceTokens, TokenRefusal, TokenUse};
use clawhost::failures::{FailureLimiter, FailureSettings};
use clawhost::handshake::{Challenged, ControlUi, HandshakeSettings, Refusal, Stage};
use clawhost::locality::Peer;
use clawhost::secret::Secret;
use schemas::ErrorShape;
use schemas::bounds;
use schemas::connect::ConnectParams;
use schemas::protocol::{MAX_CLOSE_REASON, Version};
use serde_json::{Value, json};

use super::{SECRET, hides_secrets};

/// The shared token of the recordings, so that they come in.
const TOKEN: &str = "test-token";
/// The one token that a device has here.
const DEVICE_TOKEN: &str = "a-token-of-a-device";
/// Fields of credentials.
const CREDENTIALS: [&str; 4] = ["token", "password", "deviceToken", "bootstrapToken"];

static SETTINGS: LazyLock<HandshakeSettings> = LazyLock::new(|| settings(TOKEN));
/// Nothing that a client shows is this one's secret, so that wherever it turns up it was told.
static GUARDED: LazyLock<HandshakeSettings> = LazyLock::new(|| settings("0wn-s3cret-of-the-gateway"));

fn settings(token: &str) -> HandshakeSettings {
    let token = Some(Secret::new(token));
    let auth = AuthSettings { mode: AuthMode::Token, token, password: None, named: Vec::new() };
    HandshakeSettings::new(vec![Version::V3, Version::V4], auth, ControlUi::default(), &[])
        .expect("the schema compiles")
}

/// Knows one token, whatever the device.
struct OneToken;

impl DeviceTokens for OneToken {
    fn verify_device_token(
        &self,
        _: &str,
        _: &str,
        token: &str,
        _: &[String],
        _: u64,
    ) -> Result<TokenUse, TokenRefusal> {
        if token == DEVICE_TOKEN { Ok(TokenUse { epoch: 1 }) } else { Err(TokenRefusal::TokenMismatch) }
    }
}

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let frame: Option<Value> = serde_json::from_str(&text).ok();
    // Parameters alone are tried as those of a frame.
    let is_params = frame.as_ref().is_some_and(|frame| frame.get("client").is_some() && frame.get("method").is_none());
    let text = match &frame {
        Some(params) if is_params => {
            json!({ "type": "req", "id": "1", "method": "connect", "params": params }).to_string()
        }
        _ => text.into_owned(),
    };
    let Ok(frame) = serde_json::from_str(&text) else {
        // Whatever it is, it is judged; what came of it cannot be compared with anything.
        return drop(judged(&text, &Value::Null, &remote(), &SETTINGS));
    };
    for peer in [Peer::direct_local(), remote()] {
        match judged(&text, &frame, &peer, &SETTINGS) {
            Stage::Authenticated(authenticated) => {
                let shown = CREDENTIALS.iter().filter_map(|field| frame["params"]["auth"][*field].as_str());
                let is_known = |shown: &str| shown == TOKEN || shown == DEVICE_TOKEN;
                assert!(shown.clone().any(is_known), "somebody came in without showing a secret: {text}");
                let proof = &frame["params"]["device"]["id"];
                if let Some(candidate) = authenticated.candidate() {
                    assert_eq!(proof.as_str(), Some(candidate.device_id.as_str()), "the device is the one that signed");
                    assert!(!candidate.local || peer.local, "only who comes from here is let in unasked");
                    within_what_was_asked(&frame["params"], &candidate.role, &candidate.scopes);
                }
            }
            Stage::Refused(refusal) => is_sound(&refusal, &frame),
        }
    }
    repeats_no_credentials(&frame);
    is_read_again(&frame["params"]);
}

/// A client that is elsewhere.
fn remote() -> Peer {
    let ip: IpAddr = [203, 0, 113, 7].into();
    Peer { local: false, client_ip: ip, reported_ip: Some(ip.to_string()), ..Peer::direct_local() }
}

/// As the gateway judges it, which sent the nonce that was signed at the moment at which it was: else no recording came in.
fn judged(text: &str, frame: &Value, peer: &Peer, settings: &HandshakeSettings) -> Stage {
    let device = &frame["params"]["device"];
    let nonce = device["nonce"].as_str().map_or("a-nonce", str::trim);
    let now_ms = device["signedAt"].as_u64().unwrap_or(1_737_264_000_000);
    let limiter = FailureLimiter::new(FailureSettings::default());
    Challenged::new(nonce).receive(text, peer, settings, &OneToken, &limiter, now_ms)
}

/// What was granted was asked for, but for the one default of protocol 3.
fn within_what_was_asked(params: &Value, role: &str, scopes: &[String]) {
    let asked: Vec<&str> = params["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert!(role == "operator" || scopes.is_empty(), "a node has no scopes: {scopes:?}");
    let is_default = asked.is_empty() && scopes == ["operator.admin"];
    assert!(is_default || scopes.iter().all(|scope| asked.contains(&scope.as_str())), "{scopes:?} of {asked:?}");
    assert!(scopes.len() <= bounds::MAX_SCOPES);
}

/// A refusal can be sent: its words fit where they have to.
fn is_sound(refusal: &Refusal, frame: &Value) {
    assert!(refusal.close_reason.len() <= MAX_CLOSE_REASON, "{}", refusal.close_reason);
    assert!([1000, 1002, 1008].contains(&refusal.close_code), "{}", refusal.close_code);
    if let Some((id, error)) = &refusal.response {
        assert_eq!(frame["id"].as_str(), Some(id.as_str()));
        let written = serde_json::to_string(error).expect("an error is JSON");
        assert_eq!(&serde_json::from_str::<ErrorShape>(&written).expect("as it was written"), error);
        assert!(!error.code.is_empty() && !error.message.is_empty());
    }
}

/// No credential of the client's is repeated to it or to the log, and none of the gateway's told.
fn repeats_no_credentials(frame: &Value) {
    if frame.to_string().contains(SECRET) {
        return;
    }
    let mut frame = frame.clone();
    for field in CREDENTIALS {
        if let Some(credential @ Value::String(_)) = frame.pointer_mut(&format!("/params/auth/{field}")) {
            *credential = json!(format!("{SECRET}-{field}"));
        }
    }
    match judged(&frame.to_string(), &frame, &remote(), &GUARDED) {
        Stage::Refused(refusal) => hides_secrets(&format!("{refusal:?}")),
        Stage::Authenticated(authenticated) => panic!("none of them is right: {authenticated:?}"),
    }
}

/// What the schema lets through can be read, and is the same when it was written; bounds change nothing twice.
fn is_read_again(params: &Value) {
    let validator = &SETTINGS.connect_validator;
    let read = serde_json::from_value::<ConnectParams>(params.clone());
    assert_eq!(validator.is_valid(params), validator.describe(params).is_none(), "one answer in two ways");
    let Ok(read) = read else {
        let in_range = |field: &str| params.pointer(field).is_none_or(|number| number.as_u64().is_some());
        let whole = ["/minProtocol", "/maxProtocol", "/device/signedAt"].iter().all(|field| in_range(field));
        assert!(!whole || !validator.is_valid(params), "the schema lets through what cannot be read: {params}");
        return;
    };
    let written = serde_json::to_value(&read).expect("params are JSON");
    let again: ConnectParams =
        serde_json::from_value(written.clone()).expect("what was read is written so that it can be read");
    assert_eq!(serde_json::to_value(&again).expect("as above"), written);
    let bounded = read.bounded();
    let once = serde_json::to_value(&bounded).expect("as above");
    assert_eq!(serde_json::to_value(bounded.bounded()).expect("as above"), once);
}
