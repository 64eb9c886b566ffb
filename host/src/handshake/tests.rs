use serde_json::Value;

use super::*;
use crate::auth::{AuthMode, TokenRefusal, TokenUse};
use crate::failures::FailureSettings;
use crate::gateway_key::GatewayKey;
use crate::pairing::{Pairing, PairingSettings};
use crate::secret::Secret;
use crate::store::Store;
use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;
use schemas::device::{SignedFields, device_id, encode_key, encode_signature};
use std::time::Duration;

const NONCE: &str = "3f1c2b7e-9f60-4a55-8d0a-5b6c7d8e9f01";
const NOW: u64 = 1_737_264_000_000;

/// Nobody is paired.
struct NoTokens;

impl DeviceTokens for NoTokens {
    fn verify_device_token(&self, _: &str, _: &str, _: &str, _: &[String], _: u64) -> Result<TokenUse, TokenRefusal> {
        Err(TokenRefusal::DeviceNotPaired)
    }
}

fn settings(mode: AuthMode, control_ui: ControlUi) -> HandshakeSettings {
    let auth =
        AuthSettings { mode, token: Some(Secret::new("T")), password: Some(Secret::new("P")), named: Vec::new() };
    HandshakeSettings::new(vec![Version::V3], auth, control_ui, &[]).unwrap()
}

fn far_away() -> Peer {
    Peer {
        local: false,
        client_ip: "203.0.113.1".parse().unwrap(),
        reported_ip: Some("203.0.113.1".to_string()),
        ..Peer::direct_local()
    }
}

fn receive(text: &str, peer: &Peer, settings: &HandshakeSettings) -> Result<Box<Authenticated>, Box<Refusal>> {
    let limiter = FailureLimiter::new(FailureSettings::default());
    match Challenged::new(NONCE).receive(text, peer, settings, &NoTokens, &limiter, NOW) {
        Stage::Authenticated(authenticated) => Ok(authenticated),
        Stage::Refused(refusal) => Err(refusal),
    }
}

fn knock(params: &Value) -> Result<Box<Authenticated>, Box<Refusal>> {
    receive(&frame(params), &far_away(), &settings(AuthMode::Token, ControlUi::default()))
}

fn frame(params: &Value) -> String {
    json!({ "type": "req", "id": "c1", "method": "connect", "params": params }).to_string()
}

fn backend() -> Value {
    json!({
        "minProtocol": 3, "maxProtocol": 3, "role": "operator", "scopes": ["operator.read"],
        "client": { "id": "gateway-client", "version": "t", "platform": "linux", "mode": "backend" },
        "auth": { "token": "T" },
    })
}

fn page(auth: Value) -> Value {
    let mut params = backend();
    params["client"]["id"] = json!("moltbot-control-ui");
    params["client"]["mode"] = json!("webchat");
    params["auth"] = auth;
    params
}

/// Adds a device that signs the params as they are.
fn signed(mut params: Value, seed: u8, nonce: Option<&str>) -> Value {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let public = key.verifying_key().to_bytes();
    let id = device_id(&public);
    let text = |pointer: &str| params.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string();
    let scopes: Vec<String> = serde_json::from_value(params["scopes"].clone()).unwrap_or_default();
    let role = params["role"].as_str().unwrap_or("operator").to_string();
    let (client_id, client_mode, platform) = (text("/client/id"), text("/client/mode"), text("/client/platform"));
    let token = text("/auth/token");
    let fields = SignedFields {
        device_id: &id,
        client_id: &client_id,
        client_mode: &client_mode,
        role: &role,
        scopes: &scopes,
        signed_at: NOW,
        token: &token,
        platform: &platform,
        device_family: None,
    };
    let payload = nonce.map_or_else(|| fields.v1(), |nonce| fields.v2(nonce));
    let signature = encode_signature(&key.sign(payload.as_bytes()).to_bytes());
    params["device"] = json!({ "id": id, "publicKey": encode_key(&public), "signature": signature, "signedAt": NOW });
    if let Some(nonce) = nonce {
        params["device"]["nonce"] = json!(nonce);
    }
    params
}

#[test]
fn refusals_are_the_recorded_ones() {
    let with = |pointer: &str, value: Value| {
        let mut params = backend();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        params.pointer_mut(parent).unwrap()[key] = value;
        frame(&params)
    };
    let mut no_auth = backend();
    no_auth.as_object_mut().unwrap().remove("auth");
    let method = json!({ "type": "req", "id": "c1", "method": "health" }).to_string();
    for (text, code, message, close_code, reason) in [
        ("hello".to_string(), "", "", 1000, ""),
        ("{\"foo\":1}".to_string(), "", "", 1008, "invalid request frame"),
        ("[]".to_string(), "", "", 1008, "invalid request frame"),
        (method, "INVALID_REQUEST", "invalid handshake: first request must be connect", 1008, "="),
        (frame(&json!("x")), "INVALID_REQUEST", "invalid connect params: must be object", 1008, "="),
        (
            with("/bogus", json!(1)),
            "INVALID_REQUEST",
            "invalid connect params: at root: unexpected property 'bogus'",
            1008,
            "=",
        ),
        (with("/role", json!("admin")), "INVALID_REQUEST", "invalid role", 1008, "="),
        (with("/minProtocol", json!(4)), "INVALID_REQUEST", "protocol mismatch", 1002, "="),
        (with("/maxProtocol", json!(2)), "INVALID_REQUEST", "protocol mismatch", 1002, "="),
        (frame(&no_auth), "NOT_PAIRED", "device identity required", 1008, "="),
        (with("/auth", json!({ "password": "P" })), "NOT_PAIRED", "device identity required", 1008, "="),
        (
            with("/auth/token", json!("x")),
            "INVALID_REQUEST",
            "unauthorized: gateway token mismatch (provide gateway auth token)",
            1008,
            "=",
        ),
        (
            frame(&page(json!({ "token": "T" }))),
            "INVALID_REQUEST",
            "control ui requires HTTPS or localhost (secure context)",
            1008,
            "=",
        ),
    ] {
        let settings = settings(AuthMode::Token, ControlUi::default());
        let refused = receive(&text, &far_away(), &settings).expect_err(&text);
        let reason = if reason == "=" { message } else { reason };
        assert_eq!((refused.close_code, refused.close_reason.as_str()), (close_code, reason), "{text}");
        let (id, error) = refused.response.map_or_else(Default::default, |(id, error)| (id, Some(error)));
        assert_eq!(error.as_ref().map_or("", |error| &error.code), code, "{text}");
        assert_eq!(error.as_ref().map_or("", |error| &error.message), message, "{text}");
        assert_eq!(id, if code.is_empty() { "" } else { "c1" });
    }
}

#[test]
fn a_version_mismatch_carries_both_bounds() {
    let mut params = backend();
    (params["minProtocol"], params["maxProtocol"]) = (json!(4), json!(9));
    let details = knock(&params).unwrap_err().response.unwrap().1.details.unwrap();
    assert_eq!(
        details,
        json!({ "expectedProtocol": 3, "code": "PROTOCOL_MISMATCH", "clientMinProtocol": 4,
            "clientMaxProtocol": 9, "minimumProbeProtocol": 3 })
    );
    params["minProtocol"] = json!(3.0);
    assert_eq!(knock(&params).unwrap().version, Version::V3);
}

#[test]
fn close_reasons_are_cut_and_answers_are_not() {
    let mut params = backend();
    params["client"]["id"] = json!("unknown");
    let refused = knock(&params).unwrap_err();
    let message = refused.response.unwrap().1.message;
    assert!(refused.close_reason.len() <= 120 && message.len() > 200);
    assert!(message.starts_with(&refused.close_reason) && message.contains("gateway-client"));
}

#[test]
fn the_early_ends_have_their_codes() {
    for (refusal, code, reason) in [
        (Refusal::timeout(), 1000, ""),
        (Refusal::not_json(), 1000, ""),
        (Refusal::too_big(), 1009, ""),
        (Refusal::broken(1002, ""), 1002, ""),
    ] {
        assert_eq!((refusal.close_code, refusal.close_reason.as_str()), (code, reason));
        assert!(refusal.response.is_none());
    }
}

#[test]
fn scopes_are_admin_by_default_and_none_for_nodes() {
    let mut params = backend();
    for (role, scopes, expected) in [
        ("operator", json!([]), vec!["operator.admin"]),
        ("operator", json!(["operator.read", "x"]), vec!["operator.read", "x"]),
        ("node", json!(["operator.admin"]), vec![]),
    ] {
        (params["role"], params["scopes"]) = (json!(role), scopes);
        let accepted = knock(&params).unwrap().resolve(None).unwrap();
        assert_eq!((accepted.role.as_str(), accepted.scopes), (role, expected.into_iter().map(String::from).collect()));
    }
}

#[test]
fn what_is_accepted_holds_no_secret() {
    let mut params = backend();
    params["auth"] = json!({ "token": "T", "password": "hunter2" });
    let accepted = knock(&params).unwrap().resolve(None).unwrap();
    assert!(accepted.params.auth.is_none());
    assert!((accepted.granted.as_ref(), accepted.device_id.as_ref(), accepted.epoch) == (None, None, None));
    assert_eq!((accepted.auth_method, accepted.via_device_token), (AuthMethod::Token, false));
}

#[test]
fn the_exceptions_of_the_control_ui() {
    let insecure = ControlUi { allow_insecure_auth: true, ..ControlUi::default() };
    let disabled = ControlUi { dangerously_disable_device_auth: true, ..ControlUi::default() };
    let password = page(json!({ "password": "P" }));
    let broken_device = |mut params: Value| {
        params = signed(params, 1, Some(NONCE));
        params["device"]["signature"] = json!("AAAA");
        params
    };
    let judge = |params: &Value, control_ui| {
        receive(&frame(params), &far_away(), &settings(AuthMode::Password, control_ui))
            .map_err(|refusal| refusal.outcome)
    };
    assert_eq!(judge(&password, ControlUi::default()).unwrap_err(), "insecure-context");
    for exception in [insecure, disabled] {
        assert!(judge(&password, exception).unwrap().candidate().is_none());
        assert_eq!(judge(&page(json!({ "password": "x" })), exception).unwrap_err(), "unauthorized");
        assert_eq!(judge(&page(json!({})), exception).unwrap_err(), "device-required");
        let mut other = password.clone();
        other["client"]["id"] = json!("webchat");
        assert_eq!(judge(&other, exception).unwrap_err(), "device-required", "only for the Control UI's own id");
    }
    assert_eq!(judge(&broken_device(password.clone()), insecure).unwrap_err(), "device-signature");
    let ignored = judge(&broken_device(password.clone()), disabled).unwrap();
    assert!(ignored.candidate().is_none() && ignored.params.device.is_none(), "a device nobody verified is no device");
    let verified = judge(&signed(password.clone(), 1, Some(NONCE)), insecure).unwrap();
    assert!(verified.candidate().unwrap().pairing_optional);
    let plain = judge(&signed(password, 1, Some(NONCE)), ControlUi::default()).unwrap();
    assert!(!plain.candidate().unwrap().pairing_optional);
}

#[test]
fn a_page_of_another_program_is_not_paired_silently() {
    let settings = settings(AuthMode::Token, ControlUi::default());
    let browser = Peer { origin: Some("http://localhost:18789".to_string()), ..Peer::direct_local() };
    let local = |params: &Value, peer: &Peer| {
        receive(&frame(&signed(params.clone(), 1, None)), peer, &settings).unwrap().candidate().unwrap().local
    };
    assert!(local(&backend(), &Peer::direct_local()));
    assert!(!local(&backend(), &browser));
    assert!(local(&page(json!({ "token": "T" })), &browser));
}

#[test]
fn wrong_secrets_of_local_clients_are_delayed_and_those_of_others_locked_out() {
    let settings = settings(AuthMode::Token, ControlUi::default());
    let limiter = FailureLimiter::new(FailureSettings { auth_failures: 2, ..FailureSettings::default() });
    let mut params = backend();
    params["auth"]["token"] = json!("guess");
    let guess = |peer: &Peer| match Challenged::new(NONCE).receive(
        &frame(&params),
        peer,
        &settings,
        &NoTokens,
        &limiter,
        NOW,
    ) {
        Stage::Refused(refusal) => refusal,
        Stage::Authenticated(_) => panic!("a guess came in"),
    };
    assert_eq!(guess(&Peer::direct_local()).delay, Some(Duration::from_millis(250)));
    assert_eq!(guess(&far_away()).outcome, "unauthorized");
    assert_eq!(guess(&far_away()).outcome, "unauthorized");
    let locked = guess(&far_away());
    assert_eq!(locked.outcome, "rate-limited");
    let (_, error) = locked.response.unwrap();
    assert_eq!((error.retryable, error.retry_after_ms), (Some(true), Some(300_000)));
    assert!(!locked.detail_for_log.contains("guess"));
}

#[test]
fn with_the_pairing_book() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let key = GatewayKey::from_bytes([1; 32]);
        let book = Pairing::load(&Store::in_memory(), key, PairingSettings::default()).await.unwrap();
        let settings = settings(AuthMode::Token, ControlUi::default());
        let limiter = FailureLimiter::new(FailureSettings::default());
        let come = async |params: &Value, peer: &Peer| {
            let stage = Challenged::new(NONCE).receive(&frame(params), peer, &settings, &book, &limiter, NOW);
            let Stage::Authenticated(authenticated) = stage else { panic!("{stage:?}") };
            let admission = match authenticated.candidate() {
                Some(candidate) => Some(book.admit(candidate, NOW).await.unwrap()),
                None => None,
            };
            authenticated.resolve(admission)
        };
        let refused = come(&signed(backend(), 1, Some(NONCE)), &far_away()).await.unwrap_err();
        assert_eq!((refused.close_code, refused.close_reason.as_str()), (1008, "pairing required"));
        assert_eq!(refused.events.len(), 1);
        let (_, error) = refused.response.unwrap();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("NOT_PAIRED", "pairing required"));
        let request_id = book.list(None, &[], NOW).pending[0].request_id.clone();
        let details = error.details.unwrap();
        for (key, value) in [
            ("requestId", json!(request_id)),
            ("code", json!("PAIRING_REQUIRED")),
            ("reason", json!("not-paired")),
            ("requestedScopes", json!(["operator.read"])),
            ("recommendedNextStep", json!("wait_then_retry")),
            ("retryable", json!(true)),
            ("pauseReconnect", json!(false)),
        ] {
            assert_eq!(details[key], value, "{key}");
        }

        let local = come(&signed(backend(), 1, None), &Peer::direct_local()).await.unwrap();
        assert_eq!(local.events.len(), 1);
        let token = local.granted.unwrap().device_token.unwrap();
        let mut by_token = backend();
        by_token["auth"]["token"] = json!(token);
        let returning = come(&signed(by_token.clone(), 1, Some(NONCE)), &far_away()).await.unwrap();
        assert_eq!((returning.auth_method, returning.via_device_token), (AuthMethod::DeviceToken, true));
        let device = returning.device_id.unwrap();
        assert!(book.stands(&device, "operator", returning.epoch.unwrap()));

        let stage = Challenged::new(NONCE).receive(
            &frame(&signed(by_token, 2, Some(NONCE))),
            &far_away(),
            &settings,
            &book,
            &limiter,
            NOW,
        );
        assert!(matches!(stage, Stage::Refused(_)), "another device's token opens nothing");
    });
}

#[test]
fn a_pairing_book_without_an_answer_accepts_nobody() {
    let refused = |admission| knock(&signed(backend(), 1, Some(NONCE))).unwrap().resolve(admission).unwrap_err();
    for admission in [None, Some(Admission::Busy)] {
        let refusal = refused(admission);
        assert_eq!(refusal.close_code, 1013);
        assert_eq!(refusal.response.unwrap().1.retryable, Some(true));
    }
    assert_eq!(refused(Some(Admission::TokenFallen)).outcome, "unauthorized");
}

/// What is wrong with a connect, besides nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    FrameType,
    Method,
    ExtraKey,
    Version,
    Role,
    NoDevice,
    DeviceId,
    OtherKey,
    Stale,
    NoNonce,
    OtherNonce,
    ReplayedNonce,
    SignedRole,
    SignedScopes,
    SignedClient,
    SignedMode,
    SignedTime,
    SignedToken,
    SignatureBit,
    WrongToken,
    NoToken,
}

const FLAWS: [Flaw; 21] = [
    Flaw::FrameType,
    Flaw::Method,
    Flaw::ExtraKey,
    Flaw::Version,
    Flaw::Role,
    Flaw::NoDevice,
    Flaw::DeviceId,
    Flaw::OtherKey,
    Flaw::Stale,
    Flaw::NoNonce,
    Flaw::OtherNonce,
    Flaw::ReplayedNonce,
    Flaw::SignedRole,
    Flaw::SignedScopes,
    Flaw::SignedClient,
    Flaw::SignedMode,
    Flaw::SignedTime,
    Flaw::SignedToken,
    Flaw::SignatureBit,
    Flaw::WrongToken,
    Flaw::NoToken,
];

/// A Control UI of a paired kind, so that coming without a device is a flaw too.
fn connect_with(flaws: &[Flaw], seed: u8, bit: usize) -> String {
    let has = |flaw| flaws.contains(&flaw);
    let mut params = page(json!({ "token": if has(Flaw::WrongToken) { "t" } else { "T" } }));
    if has(Flaw::NoToken) {
        params["auth"] = json!({ "password": "T" });
    }
    if has(Flaw::Role) {
        params["role"] = json!("root");
    }
    let nonce = if has(Flaw::ReplayedNonce) { "00000000-0000-4000-8000-000000000000" } else { NONCE };
    params = signed(params, seed, if has(Flaw::NoNonce) { None } else { Some(nonce) });
    let device = &mut params["device"];
    if has(Flaw::DeviceId) {
        device["id"] = json!("0".repeat(64));
    }
    if has(Flaw::OtherKey) {
        let other = SigningKey::from_bytes(&[seed.wrapping_add(1); 32]).verifying_key().to_bytes();
        device["publicKey"] = json!(encode_key(&other));
        device["id"] = json!(device_id(&other));
    }
    if has(Flaw::Stale) {
        device["signedAt"] = json!(NOW - 600_001);
    }
    if has(Flaw::SignedTime) {
        device["signedAt"] = json!(NOW + 1);
    }
    if has(Flaw::OtherNonce) {
        device["nonce"] = json!("another");
    }
    if has(Flaw::SignatureBit) {
        let mut bytes = schemas::device::decode_signature(device["signature"].as_str().unwrap()).unwrap();
        bytes[bit / 8 % 64] ^= 1 << (bit % 8);
        device["signature"] = json!(encode_signature(&bytes));
    }
    for (flaw, pointer, value) in [
        (Flaw::SignedRole, "/role", json!("node")),
        (Flaw::SignedScopes, "/scopes", json!(["operator.admin"])),
        (Flaw::SignedClient, "/client/id", json!("clawdbot-control-ui")),
        (Flaw::SignedMode, "/client/mode", json!("ui")),
        (Flaw::SignedToken, "/auth/token", json!("T ")),
        (Flaw::Version, "/minProtocol", json!(4)),
    ] {
        if has(flaw)
            && let Some(place) = params.pointer_mut(pointer)
        {
            *place = value;
        }
    }
    if has(Flaw::SignedToken) && has(Flaw::NoToken) {
        params["auth"]["token"] = json!("T ");
    }
    if has(Flaw::NoDevice) {
        params.as_object_mut().unwrap().remove("device");
    }
    if has(Flaw::ExtraKey) {
        params["client"]["extra"] = json!(1);
    }
    let kind = if has(Flaw::FrameType) { "event" } else { "req" };
    let method = if has(Flaw::Method) { "health" } else { "connect" };
    json!({ "type": kind, "id": "c1", "method": method, "params": params }).to_string()
}

#[test]
fn each_flaw_alone_is_found() {
    let settings = settings(AuthMode::Token, ControlUi::default());
    assert!(receive(&connect_with(&[], 1, 0), &far_away(), &settings).is_ok());
    for flaw in FLAWS {
        assert!(receive(&connect_with(&[flaw], 1, 0), &far_away(), &settings).is_err(), "{flaw:?}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![Just("req"), Just("connect"), Just("T"), Just("operator"), Just("cli"), Just("")]
            .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 8, |inner| {
        let key = prop_oneof![
            prop_oneof![Just("type"), Just("id"), Just("method"), Just("params"), Just("client"), Just("auth")]
                .prop_map(str::to_string),
            prop_oneof![Just("device"), Just("token"), Just("role"), Just("mode"), Just("minProtocol")]
                .prop_map(str::to_string),
            ".{0,6}",
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nobody_with_a_flaw_gets_further(
        flaws in proptest::sample::subsequence(FLAWS.to_vec(), 0..=3),
        seed in any::<u8>(),
        bit in 0usize..512,
    ) {
        let settings = settings(AuthMode::Token, ControlUi::default());
        let outcome = receive(&connect_with(&flaws, seed, bit), &far_away(), &settings);
        prop_assert_eq!(outcome.is_ok(), flaws.is_empty());
        if let Err(refusal) = outcome {
            prop_assert!(refusal.close_reason.len() <= 120 && refusal.close_code >= 1000);
        }
    }

    #[test]
    fn no_text_and_no_json_comes_in_by_chance(text in ".{0,200}", value in any_json()) {
        let settings = settings(AuthMode::Token, ControlUi::default());
        prop_assert!(receive(&text, &far_away(), &settings).is_err());
        prop_assert!(receive(&value.to_string(), &far_away(), &settings).is_err());
        let refusal = receive(&frame(&value), &Peer::direct_local(), &settings);
        prop_assert!(refusal.is_err());
    }

    #[test]
    fn a_valid_connect_with_any_one_value_replaced_is_refused_or_still_proved(
        place in 0usize..64,
        value in any_json(),
    ) {
        let settings = settings(AuthMode::Token, ControlUi::default());
        let mut params = signed(page(json!({ "token": "T" })), 3, Some(NONCE));
        let pointers = pointers(&params, String::new());
        let pointer = &pointers[place % pointers.len()];
        let before = params.pointer(pointer).cloned();
        *params.pointer_mut(pointer).unwrap() = value.clone();
        // Only what nobody signs may change freely: descriptive text and the offered range.
        let unsigned = ["/client/version", "/client/platform", "/minProtocol", "/maxProtocol"];
        let harmless = before == Some(value) || unsigned.contains(&pointer.as_str());
        prop_assert!(harmless || receive(&frame(&params), &far_away(), &settings).is_err(), "{}", pointer);
    }
}

fn pointers(value: &Value, prefix: String) -> Vec<String> {
    let mut all = Vec::new();
    for (key, inner) in value.as_object().into_iter().flatten() {
        let pointer = format!("{prefix}/{key}");
        all.extend(pointers(inner, pointer.clone()));
        all.push(pointer);
    }
    all
}

#[test]
fn the_tailnet_never_replaces_pairing() {
    let lenient = settings(AuthMode::Token, ControlUi { allow_insecure_auth: true, ..ControlUi::default() });
    let known = Peer { tailscale_login: Some("ann@example.org".to_string()), ..far_away() };
    let [good, wrong] = ["T", "wrong"].map(|token| page(json!({ "token": token })));
    let optional = |params: &Value| {
        let authenticated = receive(&frame(&signed(params.clone(), 1, Some(NONCE))), &known, &lenient).unwrap();
        authenticated.candidate().unwrap().pairing_optional
    };
    assert!(optional(&good) && !optional(&wrong));
    let without_device = receive(&frame(&wrong), &known, &lenient).unwrap_err();
    assert_eq!(without_device.outcome, "unauthorized", "{without_device:?}");
}
