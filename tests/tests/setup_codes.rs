//! Setup codes from outside: a device that is not here yet comes in by one once, as far as whoever made it said.

use clawhost_tests::program::Home;
use clawhost_tests::support::{Client, Connect, Gateway, Key, Knock, Payload, Refused};
use schemas::setup_code::SetupCode;
use serde_json::{Value, json};

const URL: &str = "ws://gateway.example:18789";

/// A client of protocol 4 that shows this token of a setup code and nothing else.
fn by_code(token: &str) -> Connect {
    Connect::operator()
        .payload(Payload::V3)
        .with("minProtocol", json!(4))
        .with("maxProtocol", json!(4))
        .with("auth", json!({ "bootstrapToken": token }))
}

fn with_device_token(connect: &Connect, client: &Client) -> Connect {
    let token = client.hello["auth"]["deviceToken"].as_str().expect("a device token");
    connect.clone().with("auth", json!({ "deviceToken": token }))
}

async fn from_afar(gateway: &Gateway, connect: &Connect) -> Result<Client, Refused> {
    let mut client = gateway.knock_with(&Knock::remote()).await;
    client.connect(connect).await.map(|_| client)
}

async fn refused(gateway: &Gateway, connect: &Connect) -> String {
    let error = from_afar(gateway, connect).await.err().expect("it must not come in").error;
    error.details.expect("details")["code"].as_str().expect("a code").to_string()
}

const INVALID: &str = "AUTH_BOOTSTRAP_TOKEN_INVALID";

async fn made(client: &mut Client, mut params: Value) -> (String, Value) {
    params["url"] = json!(URL);
    let made = client.ok("device.pair.setupCode", params).await;
    let code = SetupCode::decode(made["setupCode"].as_str().expect("a text")).expect("a code");
    assert_eq!((code.url.as_str(), made["url"].as_str()), (URL, Some(URL)));
    (code.bootstrap_token, made)
}

async fn to_read(client: &mut Client) -> String {
    made(client, json!({ "scopes": ["operator.read"] })).await.0
}

async fn device(admin: &mut Client, key: &Key) -> Value {
    let list = admin.ok("device.pair.list", json!({})).await;
    let mut paired = list["paired"].as_array().expect("a list").iter();
    paired.find(|device| device["deviceId"] == json!(key.id())).cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_device_comes_in_once_by_its_code_and_then_by_its_token() {
    let gateway = Gateway::with_config("[gateway.log]\nlevel = \"trace\"").await;
    let (phone, other) = (Key::new(1), Key::new(2));
    let mut admin = gateway.admin().await;
    let (token, answer) = made(&mut admin, json!({ "label": "Phone" })).await;
    assert_eq!((&answer["role"], &answer["scopes"]), (&json!("operator"), &json!(["operator.read", "operator.write"])));
    let connect = by_code(&token).scopes(&["operator.read", "operator.write", "operator.admin"]).device(&phone);
    let mut client = from_afar(&gateway, &connect).await.expect("it was invited");
    // It asked for more than it was invited to.
    assert_eq!(client.hello["auth"]["scopes"], json!(["operator.read", "operator.write"]));
    client.ok("status", json!({})).await;
    let denied = client.refused("system.connections", json!({})).await;
    assert!(denied.message.starts_with("missing scope: operator.admin"), "{denied:?}");
    admin.event("device.pair.resolved").await;
    let record = device(&mut admin, &phone).await;
    assert_eq!((&record["approvedVia"], &record["label"]), (&json!("bootstrap"), &json!("Phone")));
    assert_eq!(record["scopes"], json!(["operator.read", "operator.write"]));

    // It is used, for whoever has it.
    for key in [&phone, &other] {
        assert_eq!(refused(&gateway, &by_code(&token).scopes(&["operator.read"]).device(key)).await, INVALID);
    }
    let again = with_device_token(&connect.scopes(&["operator.read"]), &client);
    from_afar(&gateway, &again).await.expect("by its device token").close().await;

    let line = gateway.log_line("method=\"bootstrap\"").await;
    assert!(line.contains(&phone.id()), "{line}");
    gateway.log_line("action=\"pairing.invite\"").await;
    let shown = admin.ok("device.pair.list", json!({})).await.to_string();
    assert!(!shown.contains(&token));
    for client in [client, admin] {
        client.close().await;
    }
    let stopped = gateway.stop().await;
    assert!(!stopped.log.contains(&token), "the token is in the log");
    for file in stopped.files() {
        let bytes = std::fs::read(&file).expect("a file");
        let found = bytes.windows(token.len()).any(|window| window == token.as_bytes());
        assert!(!found, "the token is in {}", file.display());
    }
}

#[tokio::test]
async fn a_code_is_for_its_role_and_its_device_only() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.admin().await;
    let (token, answer) = made(&mut admin, json!({ "role": "node" })).await;
    assert_eq!((&answer["role"], &answer["scopes"]), (&json!("node"), &json!([])));
    let (node, key) = (by_code(&token).client("node-host", "node").role("node").scopes(&[]), Key::new(1));
    assert_eq!(refused(&gateway, &by_code(&token).device(&key)).await, INVALID, "in another role");
    // Without a device it is nothing at all, and not used up.
    assert_eq!(refused(&gateway, &node).await, "DEVICE_IDENTITY_REQUIRED");
    assert_eq!(refused(&gateway, &by_code(&token)).await, "DEVICE_IDENTITY_REQUIRED");
    // Of many that show it at once, one comes in.
    let knocks = (1..=4u8).map(|n| {
        let connect = node.clone().device(&Key::new(n));
        let gateway = &gateway;
        async move { from_afar(gateway, &connect).await.is_ok() }
    });
    let mut let_in = 0;
    let mut knocks: Vec<_> = knocks.map(Box::pin).collect();
    for at_once in knocks.chunks_mut(2) {
        let [one, two] = at_once else { panic!("they come in pairs") };
        let (one, two) = tokio::join!(one, two);
        let_in += u8::from(one) + u8::from(two);
    }
    assert_eq!(let_in, 1);
    admin.close().await;
}

#[tokio::test]
async fn a_code_ends_with_its_time_and_with_the_gateway() {
    let gateway = Gateway::with_config("[gateway.auth]\nsetup_code_ttl = \"1s\"").await;
    let mut admin = gateway.admin().await;
    let (token, answer) = made(&mut admin, json!({})).await;
    let end = answer["expiresAtMs"].as_u64().expect("a time");
    // The gateway's clock decides.
    while schemas::now_ms() <= end {
        admin.ok("health", json!({})).await;
    }
    let connect = |token: &str| by_code(token).scopes(&["operator.read"]).device(&Key::new(1));
    assert_eq!(refused(&gateway, &connect(&token)).await, INVALID);
    admin.close().await;
    gateway.stop().await;

    let gateway = Gateway::start().await;
    let mut admin = gateway.admin().await;
    let token = to_read(&mut admin).await;
    admin.close().await;
    let gateway = gateway.stop().await.restart().await;
    assert_eq!(refused(&gateway, &connect(&token)).await, INVALID);
}

#[tokio::test]
async fn nobody_invites_to_more_than_they_hold() {
    let gateway = Gateway::start().await;
    let mut narrow = gateway.operator(&["operator.pairing", "operator.read"]).await;
    let denied = "device invitation denied";
    for params in
        [json!({ "scopes": ["operator.write"] }), json!({ "scopes": ["operator.admin"] }), json!({ "role": "node" })]
    {
        let mut params = params;
        params["url"] = json!(URL);
        assert_eq!(narrow.refused("device.pair.setupCode", params).await.message, denied);
    }
    let (token, answer) = made(&mut narrow, json!({})).await;
    assert_eq!(answer["scopes"], json!(["operator.read"]), "what is usual, as far as it may");
    let connect = by_code(&token).scopes(&["operator.admin"]).device(&Key::new(1));
    let client = from_afar(&gateway, &connect).await.expect("it was invited");
    assert_eq!(client.hello["auth"]["scopes"], json!(["operator.read"]));
    client.close().await;
    // A device that manages itself only invites nobody, and neither does one on the connection that its code opened.
    let (token, _) = made(&mut narrow, json!({ "scopes": ["operator.pairing", "operator.read"] })).await;
    let connect = by_code(&token).scopes(&["operator.pairing", "operator.read"]).device(&Key::new(2));
    let mut client = from_afar(&gateway, &connect).await.expect("it was invited");
    let params = json!({ "url": URL, "scopes": ["operator.read"] });
    assert_eq!(client.refused("device.pair.setupCode", params.clone()).await.message, denied);
    let mut again = from_afar(&gateway, &with_device_token(&connect, &client)).await.expect("by its token");
    assert_eq!(again.refused("device.pair.setupCode", params).await.message, denied);
    for client in [client, again, narrow] {
        client.close().await;
    }
}

#[tokio::test]
async fn a_code_ends_with_whoever_made_it() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.admin().await;
    let inviter = Key::new(1);
    for deed in ["device.pair.remove", "device.token.revoke"] {
        let mut boss = gateway.connect(&Connect::operator().device(&inviter)).await;
        let token = to_read(&mut boss).await;
        let mut params = json!({ "deviceId": inviter.id() });
        if deed == "device.token.revoke" {
            params["role"] = json!("operator");
        }
        admin.ok(deed, params).await;
        let connect = by_code(&token).scopes(&["operator.read"]).device(&Key::new(2));
        assert_eq!(refused(&gateway, &connect).await, INVALID, "{deed}");
        assert_eq!(device(&mut admin, &Key::new(2)).await, Value::Null);
        drop(boss);
    }
    admin.close().await;
}

#[tokio::test]
async fn wrong_codes_lock_out_like_wrong_secrets() {
    let gateway = Gateway::with_config("[gateway.limits]\nauth_failures = 3").await;
    let mut admin = gateway.admin().await;
    let right = to_read(&mut admin).await;
    let connect = |token: &str| by_code(token).scopes(&["operator.read"]).device(&Key::new(1));
    for n in 0..3 {
        assert_eq!(refused(&gateway, &connect(&format!("guess {n}"))).await, INVALID);
    }
    assert_eq!(refused(&gateway, &connect(&right)).await, "AUTH_RATE_LIMITED");
    admin.close().await;
}

#[tokio::test]
async fn codes_are_few_and_addresses_plain() {
    let gateway = Gateway::with_config("[gateway.limits]\nmax_setup_codes = 2").await;
    let mut admin = gateway.admin().await;
    for url in ["gateway.example", "http://h", "ws://user@h", "ws://h?token=x"] {
        let error = admin.refused("device.pair.setupCode", json!({ "url": url })).await;
        assert_eq!(error.message, "url must be ws://HOST:PORT or wss://HOST:PORT", "{url}");
    }
    let unnamed = admin.refused("device.pair.setupCode", json!({})).await;
    assert!(unnamed.message.contains("name one as `url`"), "it listens on loopback only: {unnamed:?}");
    to_read(&mut admin).await;
    to_read(&mut admin).await;
    let full = admin.refused("device.pair.setupCode", json!({ "url": URL })).await;
    assert_eq!((full.code.as_str(), full.retryable), ("UNAVAILABLE", Some(true)), "{full:?}");
    assert!(full.message.contains("gateway.limits.max_setup_codes"), "{full:?}");
    assert_eq!(gateway.metric("clawhost_limit_hits_total{limit=\"max_setup_codes\"}").await, 1.0);
    admin.close().await;
}

#[test]
fn the_command_line_makes_a_code_and_comes_in_by_one() {
    let (home, away) = (Home::default(), Home::default());
    let gateway = home.start();
    let made = home.json(&format!("pair --scopes operator.read --label Desk --reach {}", gateway.url));
    let code = made["setupCode"].as_str().expect("a code");
    let shown = home.run(&format!("pair --node --reach {} --no-qr", gateway.url));
    assert!(shown.code == Some(0) && shown.out.contains("comes in as node") && !shown.out.contains('█'), "{shown:?}");
    let drawn = home.run(&format!("pair --reach {}", gateway.url));
    assert!(drawn.out.contains('█') && drawn.out.contains("For one device, once, within"), "{drawn:?}");

    let first = away.run(&format!("status --setup-code {code}"));
    assert_eq!(first.code, Some(0), "{first:?}");
    let list = home.json("devices list");
    let device = &list["paired"][0];
    assert_eq!((&device["approvedVia"], &device["label"]), (&json!("bootstrap"), &json!("Desk")));
    assert_eq!(device["scopes"], json!(["operator.read"]));
    // From now on its token is enough, and no more is asked for than that is for.
    let later = away.run(&format!("status --url {}", gateway.url));
    assert_eq!(later.code, Some(0), "{later:?}");
    let again = away.run(&format!("status --setup-code {code}"));
    assert!(again.code == Some(1) && again.err.contains("setup code invalid"), "{again:?}");
}

#[test]
fn the_certificate_that_a_code_names_is_held_to_afterwards() {
    let (home, away) = (Home::default(), Home::default());
    home.configure("[gateway.tls]\nenabled = true\n");
    let gateway = home.start();
    let made = home.json(&format!("pair --scopes operator.read --reach {}", gateway.url));
    let code = made["setupCode"].as_str().expect("a code");
    let first = away.run(&format!("status --setup-code {code}"));
    assert_eq!(first.code, Some(0), "{first:?}");
    // No authority vouches for it, and nobody names it again.
    let later = away.run(&format!("status --url {}", gateway.url));
    assert_eq!(later.code, Some(0), "{later:?}");
    let other = away.run(&format!("status --url {} --tls-fingerprint {}", gateway.url, "ab".repeat(32)));
    assert!(other.code == Some(1) && other.err.contains("matches no pin"), "{other:?}");
    let again = away.run(&format!("status --url {}", gateway.url));
    assert_eq!(again.code, Some(0), "one that did not let in is not kept: {again:?}");
}
