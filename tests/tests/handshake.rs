//! The handshake at the wire: what a device signs, who counts as local, which secret opens, and what those are told who
//! stay outside.

use clawhost_tests::support::{Close, Connect, Gateway, Key, Knock, Payload, Refused, TOKEN};
use serde_json::{Value, json};

/// Panics unless a refusal says this and the close that follows says the same.
fn assert_refused(result: Result<Value, Refused>, code: &str, message: &str) -> Refused {
    let refused = result.expect_err(message);
    assert_eq!((refused.error.code.as_str(), refused.error.message.as_str()), (code, message));
    let reason = message[..message.floor_char_boundary(120)].to_string();
    assert_eq!(refused.close, Close { code: Some(1008), reason });
    refused
}

#[tokio::test]
async fn every_payload_version_is_accepted_where_it_may_be() {
    let gateway = Gateway::start().await;
    for (number, payload) in [Payload::V1, Payload::V2, Payload::V3].into_iter().enumerate() {
        let key = Key::new(number as u8);
        let connect = Connect::operator().about("deviceFamily", " Linux ").device(&key).payload(payload);
        let client = gateway.connect(&connect).await;
        let auth = &client.hello["auth"];
        assert_eq!(auth["deviceToken"].as_str().map(str::len), Some(32), "{payload:?}: {auth}");
        assert_eq!((&auth["role"], &auth["scopes"]), (&json!("operator"), &json!(["operator.admin"])));
        assert!(auth["issuedAtMs"].is_u64());
        client.close().await;
    }
    // From elsewhere, a signature without a nonce could have been recorded.
    let mut remote = gateway.knock_with(&Knock::remote()).await;
    let connect = Connect::operator().device(&Key::new(9)).payload(Payload::V1);
    let refused = assert_refused(remote.connect(&connect).await, "INVALID_REQUEST", "device nonce required");
    assert_eq!(refused.error.details.expect("details")["code"], "DEVICE_AUTH_NONCE_REQUIRED");
    gateway.assert_healthy().await;
}

#[tokio::test]
async fn what_was_signed_is_what_counts() {
    let gateway = Gateway::start().await;
    let (key, other) = (Key::new(1), Key::new(2));
    let base = || Connect::operator().device(&key);
    let (other_id, other_public) = (other.id(), other.public());
    let other_signature = {
        let params = Connect::operator().device(&other).params("x");
        params["device"]["signature"].as_str().expect("a text").to_string()
    };
    let set = |pointer: &'static str, value: Value| {
        base().patch(move |params| *params.pointer_mut(pointer).expect("it is there") = value.clone())
    };
    for (what, connect, message) in [
        ("another id", set("/device/id", json!(other_id)), "device identity mismatch"),
        ("another key", set("/device/publicKey", json!(other_public)), "device identity mismatch"),
        ("no key", set("/device/publicKey", json!("no key")), "device identity mismatch"),
        ("upper case", set("/device/id", json!(key.id().to_uppercase())), "device identity mismatch"),
        ("too old", base().signed_at(-601_000), "device signature expired"),
        ("too new", base().signed_at(660_000), "device signature expired"),
        ("another nonce", base().nonce("00000000-0000-4000-8000-000000000000"), "device nonce mismatch"),
        ("a nonce after the fact", set("/device/nonce", json!("made-up")), "device nonce mismatch"),
        ("another's signature", set("/device/signature", json!(other_signature)), "device signature invalid"),
        ("no signature", set("/device/signature", json!("AAAA")), "device signature invalid"),
        ("another role", set("/role", json!("node")), "device signature invalid"),
        ("more scopes", set("/scopes", json!(["operator.admin", "operator.x"])), "device signature invalid"),
        ("another client", set("/client/id", json!("gateway-client")), "device signature invalid"),
        ("another mode", set("/client/mode", json!("probe")), "device signature invalid"),
        ("another token", set("/auth/token", json!("other")), "device signature invalid"),
        (
            "another platform",
            base().payload(Payload::V3).patch(|params| params["client"]["platform"] = json!("macos")),
            "device signature invalid",
        ),
        (
            "a nonce on a signature without",
            base().payload(Payload::V1).patch(|params| params["device"]["nonce"] = json!("  ")),
            "",
        ),
    ] {
        let mut client = gateway.knock().await;
        let result = client.connect(&connect).await;
        if message.is_empty() {
            result.unwrap_or_else(|refused| panic!("{what}: a blank nonce counts as absent: {refused:?}"));
        } else {
            let refused = result.expect_err(what);
            assert_eq!(refused.error.message, message, "{what}");
            assert_eq!(refused.close, Close { code: Some(1008), reason: message.to_string() }, "{what}");
        }
    }
    // Within ten minutes, and with blanks around the nonce.
    for connect in [base().signed_at(-590_000), base().signed_at(590_000)] {
        gateway.connect(&connect).await.close().await;
    }
    let mut client = gateway.knock().await;
    let padded = set("/device/nonce", json!(format!(" {} ", client.nonce())));
    client.connect(&padded).await.expect("a nonce is trimmed");
    gateway.assert_healthy().await;
}

#[tokio::test]
async fn a_signature_is_good_for_one_socket() {
    let gateway = Gateway::start().await;
    let first = gateway.knock().await;
    let frame = first.connect_frame(&Connect::operator().device(&Key::new(1)));
    let mut second = gateway.knock().await;
    second.send(&frame).await;
    assert_refused(second.connected().await, "INVALID_REQUEST", "device nonce mismatch");
}

#[tokio::test]
async fn keys_in_every_spelling() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let url = key.public();
    let plain = url.replace('-', "+").replace('_', "/") + "=";
    let der = der_base64(&key);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
    for spelling in [url.clone(), format!("{url}="), plain, pem] {
        let connect = Connect::operator().device(&key).patch({
            let spelling = spelling.clone();
            move |params| params["device"]["publicKey"] = json!(spelling)
        });
        let mut client = gateway.connect(&connect).await;
        let list = client.ok("device.pair.list", json!({})).await;
        assert_eq!(list["paired"][0]["publicKey"], json!(url), "{spelling} is kept in one form");
        client.close().await;
    }
}

/// The key as base64 of an SPKI structure.
fn der_base64(key: &Key) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    bytes.extend_from_slice(&key.raw());
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = (number >> (18 - 6 * place)) & 63;
            out.push(if place <= chunk.len() { ALPHABET[digit as usize] as char } else { '=' });
        }
    }
    out
}

/// The table of `protocol.md` 1.7: a new device is let in at once when it is local, and must ask when it is not.
#[tokio::test]
async fn who_is_local() {
    let plain = Gateway::start().await;
    let proxied = Gateway::with_config("[gateway]\ntrusted_proxies = [\"127.0.0.1\"]").await;
    let knock = Knock::default;
    let cases = [
        (&plain, knock(), true, "direct"),
        (&plain, knock().host("localhost"), true, "localhost"),
        (&plain, knock().host("LOCALHOST:1"), true, "upper case, with a port"),
        (&plain, knock().host("[::1]:18789"), true, "IPv6 in brackets"),
        (&plain, knock().host("box.tail1234.ts.net"), true, "a tailnet name"),
        (&plain, knock().host("gateway.example"), false, "a name that is not this machine's"),
        (&plain, knock().host("localhost.evil.example"), false, "a name that begins like it"),
        (&plain, knock().host("evil-ts.net.example"), false, "a name that holds it"),
        (&plain, knock().host("127.0.0.1.evil.example"), false, "an address that goes on"),
        (&plain, knock().host("0.0.0.0"), false, "every address"),
        (&plain, knock().header("X-Forwarded-For", "127.0.0.1"), false, "an untrusted proxy"),
        (&plain, knock().header("X-Real-IP", "127.0.0.1"), false, "an untrusted proxy"),
        (&plain, knock().header("X-Forwarded-Host", "localhost"), false, "an untrusted proxy"),
        (&plain, knock().header("Forwarded", "for=127.0.0.1"), false, "an untrusted proxy"),
        (&proxied, knock(), true, "the trusted proxy itself"),
        (&proxied, knock().header("X-Forwarded-For", "127.0.0.1"), true, "a trusted proxy for this machine"),
        (&proxied, knock().header("X-Forwarded-For", "203.0.113.7"), false, "a trusted proxy for another"),
        (&proxied, knock().header("X-Real-IP", "203.0.113.7"), false, "a trusted proxy for another"),
        (&proxied, knock().header("X-Forwarded-For", "127.0.0.1, 203.0.113.7"), false, "a first hop made up"),
        (&proxied, knock().header("X-Forwarded-For", "nonsense"), false, "an address that is none"),
        (
            &proxied,
            knock().header("X-Forwarded-For", "127.0.0.1").host("gateway.example"),
            false,
            "a trusted proxy under another name",
        ),
    ];
    for (number, (gateway, knock, local, what)) in cases.into_iter().enumerate() {
        let mut client = gateway.knock_with(&knock).await;
        let result = client.connect(&Connect::operator().device(&Key::new(number as u8))).await;
        match result {
            Ok(_) => assert!(local, "{what} counts as local"),
            Err(refused) => {
                assert!(!local, "{what} does not count as local: {refused:?}");
                assert_refused(Err(refused), "NOT_PAIRED", "pairing required");
            }
        }
    }
}

#[tokio::test]
async fn addresses_are_reported_only_when_they_can_be_believed() {
    let gateway = Gateway::with_config("[gateway]\ntrusted_proxies = [\"127.0.0.1\"]").await;
    let mut admin = gateway.admin().await;
    let known = Knock::remote().header("X-Forwarded-For", "203.0.113.7:4711");
    let _known = gateway.knock_with(&known).await.connect(&Connect::operator().device(&Key::new(1))).await;
    let _unknown = gateway.knock_with(&Knock::remote()).await.connect(&Connect::operator().device(&Key::new(2))).await;
    let pending = admin.ok("device.pair.list", json!({})).await["pending"].clone();
    let of = |key: &Key| pending.as_array().expect("a list").iter().find(|it| it["deviceId"] == key.id()).cloned();
    assert_eq!(of(&Key::new(1)).expect("it waits")["remoteIp"], "203.0.113.7");
    assert_eq!(of(&Key::new(2)).expect("it waits").get("remoteIp"), None);
    admin.close().await;
}

#[tokio::test]
async fn wrong_and_missing_tokens_with_the_hint_for_each_client() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let cli = "(set gateway.remote.token to match gateway.auth.token)";
    let page = "(open a tokenized dashboard URL or paste token in Control UI settings)";
    let other = "(provide gateway auth token)";
    for (id, mode, hint) in [
        ("cli", "cli", cli),
        ("openclaw-control-ui", "webchat", page),
        ("webchat-ui", "ui", page),
        ("gateway-client", "backend", other),
    ] {
        let missing = Connect::operator().client(id, mode).no_auth().device(&key);
        let refused = gateway.knock().await.connect(&missing).await;
        let message = format!("unauthorized: gateway token missing {hint}");
        let refused = assert_refused(refused, "INVALID_REQUEST", &message);
        let details = refused.error.details.expect("details");
        assert_eq!((&details["code"], &details["authReason"]), (&json!("AUTH_TOKEN_MISSING"), &json!("token_missing")));
    }
    let wrong = Connect::operator().client("gateway-client", "backend").token("wrong");
    let refused = gateway.knock().await.connect(&wrong).await;
    let message = format!("unauthorized: gateway token mismatch {other}");
    let refused = assert_refused(refused, "INVALID_REQUEST", &message);
    let details = refused.error.details.expect("details");
    assert_eq!(details["code"], "AUTH_TOKEN_MISMATCH");
    assert_eq!(details["canRetryWithDeviceToken"], false);
    // With a device the client may try its stored token.
    let refused = gateway.knock().await.connect(&wrong.device(&key)).await.expect_err("the token is wrong");
    assert_eq!(refused.error.details.expect("details")["recommendedNextStep"], "retry_with_device_token");
    // An empty one is none; a password is none of its business.
    let nothing = Connect::operator().client("gateway-client", "backend").token("").password(TOKEN);
    assert_refused(gateway.knock().await.connect(&nothing).await, "NOT_PAIRED", "device identity required");
    gateway.assert_healthy().await;
}

#[tokio::test]
async fn a_password_opens_in_password_mode_only() {
    let gateway = Gateway::builder()
        .config("[gateway.auth]\nmode = \"password\"\npassword = \"open sesame\"")
        .no_token()
        .start()
        .await;
    let key = Key::new(1);
    let base = || Connect::operator().client("gateway-client", "backend").no_auth();
    let hint = "(provide gateway auth password)";
    for (connect, code, message) in [
        (base().device(&key), "INVALID_REQUEST", format!("unauthorized: gateway password missing {hint}")),
        (
            base().password("wrong").device(&key),
            "INVALID_REQUEST",
            format!("unauthorized: gateway password mismatch {hint}"),
        ),
        // A password replaces no device, and the token field is not looked at.
        (base().password("open sesame"), "NOT_PAIRED", "device identity required".to_string()),
        (base().token("open sesame"), "INVALID_REQUEST", format!("unauthorized: gateway password missing {hint}")),
    ] {
        assert_refused(gateway.knock().await.connect(&connect).await, code, &message);
    }
    let first = gateway.connect(&base().password("open sesame").device(&key)).await;
    let token = first.hello["auth"]["deviceToken"].as_str().expect("a device token").to_string();
    first.close().await;
    // A returning client sends its device token, with or without the password beside it.
    gateway.connect(&base().token(&token).device(&key)).await.close().await;
    gateway.connect(&base().token(&token).password("open sesame").device(&key)).await.close().await;
}

#[tokio::test]
async fn a_device_token_is_good_for_its_device_and_role_alone() {
    let gateway = Gateway::start().await;
    let (key, other) = (Key::new(1), Key::new(2));
    let mut first = gateway.connect(&Connect::operator().device(&key)).await;
    let token = first.hello["auth"]["deviceToken"].as_str().expect("a device token").to_string();
    let again = gateway.connect(&Connect::operator().device(&key).token(&token)).await;
    assert_eq!(again.hello["auth"]["deviceToken"], json!(token), "the same token is handed out again");
    let mismatch = "unauthorized: gateway token mismatch (set gateway.remote.token to match gateway.auth.token)";
    gateway.connect(&Connect::operator().device(&other)).await.close().await;
    for (what, connect) in [
        ("another device", Connect::operator().device(&other).token(&token)),
        ("another role", Connect::operator().role("node").device(&key).token(&token)),
    ] {
        let refused = gateway.knock().await.connect(&connect).await.expect_err(what);
        assert_eq!(refused.error.message, mismatch, "{what}");
    }
    // Without a device it is no token at all.
    let refused = gateway.knock().await.connect(&Connect::operator().token(&token)).await.expect_err("no device");
    assert_eq!(refused.error.message, mismatch);
    // In the field of protocol 4.
    let field = Connect::operator().no_auth().with("auth", json!({ "deviceToken": token })).device(&key);
    gateway.connect(&field).await.close().await;
    first.ok("health", json!({})).await;
    first.close().await;
    again.close().await;
}

#[tokio::test]
async fn a_token_of_few_scopes_opens_no_more() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let reader = Connect::operator().scopes(&["operator.read"]).device(&key);
    let first = gateway.connect(&reader).await;
    let token = first.hello["auth"]["deviceToken"].as_str().expect("a device token").to_string();
    first.close().await;
    let wider = Connect::operator().scopes(&["operator.read", "operator.admin"]).device(&key).token(&token);
    gateway.knock().await.connect(&wider).await.expect_err("the token does not reach that far");
    // No scopes means admin in protocol 3, so it asks for more than the token has.
    let everything = Connect::operator().scopes(&[]).device(&key).token(&token);
    gateway.knock().await.connect(&everything).await.expect_err("the token does not reach that far");
    let mut again = gateway.connect(&reader.token(&token)).await;
    assert_eq!(again.refused("set-heartbeats", json!({})).await.message, "missing scope: operator.admin");
    again.close().await;
}

#[tokio::test]
async fn guesses_are_counted_by_address_and_missing_secrets_are_not() {
    let gateway = Gateway::with_config(
        "[gateway]\ntrusted_proxies = [\"127.0.0.1\"]\n[gateway.limits]\nauth_failures = 3\nauth_lockout_ms = 600000",
    )
    .await;
    let from = |address: &str| Knock::remote().header("X-Forwarded-For", address);
    let key = Key::new(1);
    let paired = gateway.connect(&Connect::operator().device(&key)).await;
    let token = paired.hello["auth"]["deviceToken"].as_str().expect("a device token").to_string();
    let (guesser, neighbour) = (from("203.0.113.7"), from("203.0.113.8"));

    for _ in 0..5 {
        let missing = Connect::operator().no_auth().device(&key);
        let refused = gateway.knock_with(&guesser).await.connect(&missing).await.expect_err("no secret");
        assert!(refused.error.message.contains("token missing"), "{refused:?}");
    }
    for _ in 0..3 {
        let refused = gateway.knock_with(&guesser).await.connect(&Connect::operator().token("guess")).await;
        assert!(refused.expect_err("a guess").error.message.contains("token mismatch"));
    }
    // From here on the right one does not help either.
    let refused = gateway.knock_with(&guesser).await.connect(&Connect::operator()).await;
    let message = "unauthorized: too many failed authentication attempts (retry later)";
    let refused = assert_refused(refused, "INVALID_REQUEST", message);
    assert_eq!(refused.error.retryable, Some(true));
    assert!(refused.error.retry_after_ms.is_some_and(|ms| ms > 500_000 && ms <= 600_000), "{refused:?}");
    assert_eq!(refused.error.details.expect("details")["code"], "AUTH_RATE_LIMITED");
    // The bearer of /metrics is judged by the same count.
    let bearer = ("Authorization", &*format!("Bearer {TOKEN}"));
    let answer = gateway.http("GET", "/metrics", &[bearer, ("X-Forwarded-For", "203.0.113.7")]).await;
    assert_eq!(answer.status, 429, "{answer:?}");
    assert!(answer.head.contains("retry-after: "), "{answer:?}");
    // Nobody else suffers: a neighbour, this machine, and a device with a token of its own behind the same address.
    gateway.knock_with(&neighbour).await.connect(&Connect::operator()).await.expect("a neighbour");
    gateway.assert_healthy().await;
    let device = Connect::operator().device(&key).token(&token);
    gateway.knock_with(&guesser).await.connect(&device).await.expect("a device token is not guessed");
    paired.close().await;
}

#[tokio::test]
async fn the_owner_ends_no_lockout_of_those_who_share_the_address() {
    let gateway = Gateway::with_config("[gateway.limits]\nauth_failures = 3\nauth_lockout_ms = 600000").await;
    // A proxy on this machine that nobody configured gives its clients this machine's address.
    let proxied = Knock::remote().header("X-Forwarded-For", "203.0.113.7");
    for _ in 0..3 {
        gateway.assert_healthy().await;
        let refused = gateway.knock_with(&proxied).await.connect(&Connect::operator().token("guess")).await;
        assert!(refused.expect_err("a guess").error.message.contains("token mismatch"));
    }
    gateway.assert_healthy().await;
    gateway.metrics().await;
    let refused = gateway.knock_with(&proxied).await.connect(&Connect::operator()).await.expect_err("locked out");
    assert_eq!(refused.error.details.expect("details")["code"], "AUTH_RATE_LIMITED");
}

#[tokio::test]
async fn a_lockout_ends() {
    let gateway = Gateway::with_config(
        "[gateway]\ntrusted_proxies = [\"127.0.0.1\"]\n[gateway.limits]\nauth_failures = 1\nauth_lockout_ms = 50",
    )
    .await;
    let knock = Knock::remote().header("X-Forwarded-For", "203.0.113.7");
    gateway.knock_with(&knock).await.connect(&Connect::operator().token("guess")).await.expect_err("a guess");
    for _ in 0..1000 {
        if gateway.knock_with(&knock).await.connect(&Connect::operator()).await.is_ok() {
            return;
        }
    }
    panic!("the lockout did not end");
}

#[tokio::test]
async fn the_control_ui_needs_a_device_unless_the_operator_says_otherwise() {
    let ui = || Connect::operator().client("openclaw-control-ui", "webchat");
    let insecure_context = "control ui requires HTTPS or localhost (secure context)";
    let key = Key::new(1);

    let gateway = Gateway::start().await;
    for brand in ["openclaw", "moltbot", "clawdbot"] {
        let connect = Connect::operator().client(&format!("{brand}-control-ui"), "ui");
        assert_refused(gateway.knock().await.connect(&connect).await, "INVALID_REQUEST", insecure_context);
    }
    gateway.connect(&ui().device(&key)).await.close().await;

    let gateway = Gateway::with_config("[gateway.control_ui]\nallow_insecure_auth = true").await;
    let client = gateway.connect(&ui()).await;
    assert_eq!(client.hello.get("auth"), None, "nothing is paired, so there is no device token");
    client.close().await;
    let refused = gateway.knock().await.connect(&ui().no_auth()).await;
    assert_refused(refused, "NOT_PAIRED", "device identity required");
    let forged = ui().device(&key).patch(|params| params["device"]["signature"] = json!("AAAA"));
    assert_refused(gateway.knock().await.connect(&forged).await, "INVALID_REQUEST", "device signature invalid");
    // A device from elsewhere comes in without being paired, and gets no token for it.
    let mut remote = gateway.knock_with(&Knock::remote()).await;
    let hello = remote.connect(&ui().device(&key)).await.expect("pairing is skipped");
    assert_eq!(hello.get("auth"), None);
    let list = remote.ok("device.pair.list", json!({})).await;
    assert_eq!((&list["pending"], &list["paired"]), (&json!([]), &json!([])));
    remote.close().await;
    // The exception is the Control UI's alone.
    let mut other = gateway.knock_with(&Knock::remote()).await;
    assert_refused(other.connect(&Connect::operator().device(&key)).await, "NOT_PAIRED", "pairing required");

    let gateway = Gateway::with_config("[gateway.control_ui]\ndangerously_disable_device_auth = true").await;
    let mut client = gateway.connect(&forged).await;
    client.ok("health", json!({})).await;
    client.close().await;
    let wrong = ui().token("wrong");
    let refused = gateway.knock().await.connect(&wrong).await.expect_err("the secret is still needed");
    assert!(refused.error.message.starts_with("unauthorized: gateway token mismatch"), "{refused:?}");
}

#[tokio::test]
async fn foreign_pages_are_turned_away_before_the_upgrade() {
    let gateway = Gateway::with_config(
        "[gateway]\nallowed_origins = [\"https://ui.example\"]\nallowed_hosts = [\"gateway.example\"]",
    )
    .await;
    let port = gateway.port;
    let own = format!("http://127.0.0.1:{port}");
    let with = |origin: &str| Knock::default().header("Origin", origin);
    for (knock, what) in [
        (with(&own), "the gateway's own page"),
        (with("https://UI.example:443"), "a listed origin in another spelling"),
        (with("https://gateway.example").host("gateway.example"), "a page under a listed name"),
        (Knock::default(), "no browser"),
    ] {
        let client = gateway.try_knock(&knock).await;
        assert!(client.is_ok(), "{what}: {:?}", client.err());
    }
    for (knock, what) in [
        (with("https://evil.example"), "a foreign page"),
        (with("null"), "a page without an origin"),
        (with(&format!("http://evil.example:{port}")).host(&format!("evil.example:{port}")), "a rebound name"),
        (with("http://127.0.0.1:1"), "another port of this machine"),
        (with("http://ui.example"), "a listed origin without its scheme"),
        (with(&own).header("Origin", "https://evil.example"), "two origins"),
    ] {
        let Err(answer) = gateway.try_knock(&knock).await else { panic!("{what} came in") };
        assert_eq!(answer.status, 403, "{what}");
        assert!(answer.body.contains("origin"), "{what}: a sentence says why: {answer:?}");
    }
    assert_eq!(gateway.metric("clawhost_upgrades_refused_total").await, 6.0);
    // A listed page on this machine is still somebody else's: it is not paired in silence unless it is the Control UI.
    let mut page = gateway.knock_with(&with("https://ui.example")).await;
    assert_refused(page.connect(&Connect::operator().device(&Key::new(1))).await, "NOT_PAIRED", "pairing required");
    gateway.assert_healthy().await;
}

#[tokio::test]
async fn a_star_lets_every_page_or_every_name_in_and_the_log_says_so() {
    let gateway = Gateway::with_config("[gateway]\nallowed_origins = [\"*\"]").await;
    gateway.log_line("allowed_origins holds").await;
    for origin in ["https://evil.example", "null", "file://"] {
        let client = gateway.try_knock(&Knock::default().header("Origin", origin)).await;
        assert!(client.is_ok(), "{origin}: {:?}", client.err());
    }
    let gateway = Gateway::with_config("[gateway]\nallowed_hosts = [\"*\"]").await;
    gateway.log_line("allowed_hosts holds").await;
    let port = gateway.port;
    let page = Knock::default().header("Origin", &format!("http://any.example:{port}"));
    let client = gateway.try_knock(&page.clone().host(&format!("any.example:{port}"))).await;
    assert!(client.is_ok(), "a page of the gateway's under a name of somebody's: {:?}", client.err());
    let Err(answer) = gateway.try_knock(&page).await else { panic!("somebody else's page came in") };
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn hello_has_all_that_clients_need() {
    let gateway = Gateway::start().await;
    let client = gateway.connect(&Connect::operator().client("test", "test").about("instanceId", "inst-1")).await;
    let hello = &client.hello;
    assert_eq!((&hello["type"], &hello["protocol"]), (&json!("hello-ok"), &json!(3)));
    assert_eq!(hello["policy"], json!({ "maxPayload": 524288, "maxBufferedBytes": 1572864, "tickIntervalMs": 30000 }));
    assert_eq!(
        hello["snapshot"]["sessionDefaults"],
        json!({ "defaultAgentId": "main", "mainKey": "main", "mainSessionKey": "agent:main:main", "scope": "per-sender" })
    );
    assert_eq!(hello["server"]["connId"].as_str().map(str::len), Some(36));
    assert!(hello["server"]["version"].as_str().is_some_and(|version| !version.is_empty()));
    assert!(hello["snapshot"]["uptimeMs"].is_u64());
    let presence = hello["snapshot"]["presence"].as_array().expect("a list");
    let own: Vec<_> = presence.iter().filter(|entry| entry["instanceId"] == "inst-1").collect();
    assert_eq!(own.len(), 1, "the newcomer sees itself once: {presence:?}");
    assert_eq!(
        (&own[0]["host"], &own[0]["mode"], &own[0]["reason"]),
        (&json!("test"), &json!("test"), &json!("connect"))
    );
    assert_eq!(hello.get("auth"), None, "protocol 3 without a device");
    client.close().await;
    let cli = gateway.admin().await;
    assert!(!cli.hello["snapshot"]["presence"].to_string().contains("\"cli\""), "a command line has no row");
    cli.close().await;
}

#[tokio::test]
async fn ranges_of_versions() {
    let gateway = Gateway::start().await;
    let offer =
        |min: u64, max: u64| Connect::operator().with("minProtocol", json!(min)).with("maxProtocol", json!(max));
    for (min, max, version) in [(3, 3, 3), (1, 3, 3), (4, 4, 4), (3, 4, 4), (4, 5, 4), (1, 9, 4)] {
        let client = gateway.connect(&offer(min, max)).await;
        assert_eq!(client.hello["protocol"], version, "{min} to {max}");
        client.close().await;
    }
    for (min, max) in [(5, 5), (1, 2), (4, 3), (9, 9)] {
        let refused = gateway.knock().await.connect(&offer(min, max)).await.expect_err("no common version");
        assert_eq!(
            (refused.error.code.as_str(), refused.error.message.as_str()),
            ("INVALID_REQUEST", "protocol mismatch")
        );
        let details = refused.error.details.expect("details");
        assert_eq!((&details["expectedProtocol"], &details["minimumProbeProtocol"]), (&json!(4), &json!(3)));
        assert_eq!((&details["clientMinProtocol"], &details["clientMaxProtocol"]), (&json!(min), &json!(max)));
        assert_eq!(refused.close, Close { code: Some(1002), reason: "protocol mismatch".to_string() });
    }
}

#[tokio::test]
async fn every_client_id_of_the_three_brands_and_of_the_operator() {
    let gateway = Gateway::with_config("[gateway]\nclient_ids = [\"my-own-app\"]").await;
    let plain = ["webchat-ui", "webchat", "cli", "gateway-client", "node-host", "test", "fingerprint", "my-own-app"];
    let branded = ["clawdbot", "moltbot", "openclaw"]
        .into_iter()
        .flat_map(|brand| ["macos", "ios", "android", "probe"].map(|id| format!("{brand}-{id}")));
    for id in plain.into_iter().map(str::to_string).chain(branded) {
        gateway.connect(&Connect::operator().client(&id, "ui")).await.close().await;
    }
    for id in ["my-other-app", "CLI", "cli ", "openclaw"] {
        let refused = gateway.knock().await.connect(&Connect::operator().client(id, "cli")).await.expect_err(id);
        let message = &refused.error.message;
        assert!(message.starts_with("invalid connect params: at /client/id: must be equal to "), "{message}");
        assert_eq!(refused.close.code, Some(1008));
        assert!(refused.close.reason.len() <= 120 && message.starts_with(&refused.close.reason));
    }
}

#[tokio::test]
async fn what_a_client_says_of_itself_is_signed_in_full_and_kept_short() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.admin().await;
    let text = "ß".repeat(3_000);
    let talkative = ["platform", "deviceFamily", "displayName", "version", "modelIdentifier", "instanceId"]
        .into_iter()
        .fold(Connect::operator().client("clawdbot-macos", "ui"), |connect, field| connect.about(field, &text))
        .with("scopes", json!((0..400).map(|n| format!("operator.{n}")).collect::<Vec<_>>()))
        .with("caps", json!((0..400).map(|n| format!("cap-{n}")).collect::<Vec<_>>()))
        .with("pathEnv", json!("x".repeat(8_000)))
        .payload(Payload::V3)
        .device(&Key::new(1));

    // From afar it waits, and here it is let in: both times the signature is over the full text.
    let refused = gateway.knock_with(&Knock::remote()).await.connect(&talkative).await.expect_err("it must wait");
    assert_eq!(refused.error.message, "pairing required");
    let requested = admin.event("device.pair.requested").await.payload.expect("a payload");
    let client = gateway.connect(&talkative).await;
    let paired = admin.ok("device.pair.list", json!({})).await["paired"][0].clone();
    let connections = admin.ok("system.connections", json!({})).await;
    let presence = admin.ok("system-presence", json!({})).await;
    for (what, length) in [(&requested, 8_000), (&paired, 8_000), (&connections, 16_000), (&presence, 16_000)] {
        assert!(what.to_string().len() < length, "{what}");
        assert!(what.to_string().contains(&"ß".repeat(200)) && !what.to_string().contains(&"ß".repeat(201)), "{what}");
    }
    let scopes = client.hello["auth"]["scopes"].as_array().expect("scopes");
    assert_eq!((scopes.len(), &scopes[0]), (32, &json!("operator.0")));
    client.close().await;
    admin.close().await;
}
