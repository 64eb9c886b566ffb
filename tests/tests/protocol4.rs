//! What clients of protocol 4 get, on the port where clients of 3 get theirs.

use clawhost_tests::support::{Client, Close, Connect, Gateway, Key, Knock, Payload, TOKEN};
use serde_json::{Value, json};

/// A client that speaks 4 and nothing else.
fn four(id: &str, mode: &str) -> Connect {
    Connect::operator()
        .client(id, mode)
        .payload(Payload::V3)
        .with("minProtocol", json!(4))
        .with("maxProtocol", json!(4))
}

fn granted(client: &Client) -> Value {
    client.hello["auth"]["scopes"].clone()
}

#[tokio::test]
async fn hello_is_that_of_4() {
    let gateway = Gateway::start().await;
    let client = gateway.connect(&four("cli", "cli").scopes(&["operator.read"])).await;
    let hello = &client.hello;
    assert_eq!((&hello["type"], &hello["protocol"]), (&json!("hello-ok"), &json!(4)));
    let server: Vec<_> = hello["server"].as_object().expect("an object").keys().collect();
    assert_eq!(server, ["connId", "version"], "the schema is closed");
    assert_eq!(hello["auth"], json!({ "role": "operator", "scopes": ["operator.read"] }));
    assert!(hello["snapshot"]["presence"].as_array().is_some_and(|rows| !rows.is_empty()));
    assert!(hello["snapshot"].get("configPath").is_none(), "for admins");
    client.close().await;

    let device = gateway.connect(&four("cli", "cli").scopes(&["operator.read"]).device(&Key::new(1))).await;
    assert!(device.hello["auth"]["deviceToken"].is_string() && device.hello["auth"]["issuedAtMs"].is_u64());
    device.close().await;
}

#[tokio::test]
async fn a_method_that_keeps_workers_for_long_takes_nobody_for_gone() {
    const PROGRAM: &str = env!("CARGO_BIN_EXE_test_gateway");
    let config = "[gateway.limits]\nping_interval_ms = 3000\ntick_interval_ms = 100\n";
    let gateway = Gateway::builder().program(PROGRAM).config(config).start().await;
    let mut tasks = Vec::new();
    // As many as keep every worker for several pings, and others beside them. Their library answers pings while they read.
    for number in 0..8 {
        let mut client = gateway.connect(&four("cli", "cli").scopes(&["operator.admin"])).await;
        tasks.push(tokio::spawn(async move {
            if number < 4 {
                client.ok("spike.block", json!({ "ms": 7500 })).await;
            }
            for _ in 0..5 {
                client.event("tick").await;
            }
            client.ok("health", json!({})).await;
            client
        }));
    }
    for task in tasks {
        task.await.expect("it was served all the time").close().await;
    }
    assert_eq!(gateway.metric("clawhost_limit_hits_total{limit=\"ping_interval_ms\"}").await, 0.0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_photo_comes_in_one_message() {
    let gateway = Gateway::start().await;
    let photo = json!({ "type": "req", "id": "p", "method": "health", "params": { "probe": false } }).to_string();
    const LARGE: usize = 3 * 1024 * 1024;
    let mut client = gateway.connect(&four("cli", "cli")).await;
    assert_eq!(client.hello["policy"]["maxPayload"], 26_214_400);
    client.send_padded(&photo, LARGE).await;
    client.answer("p").await.expect("an answer");
    client.close().await;
    let mut older = gateway.admin().await;
    older.send_padded(&photo, LARGE).await;
    assert_eq!(older.closed().await.code, Some(1009));
    assert_eq!(gateway.metric("clawhost_limit_hits_total{limit=\"max_payload\"}").await, 1.0);
}

#[tokio::test]
async fn scopes_are_granted_and_never_assumed() {
    let gateway = Gateway::start().await;
    let read = &["operator.read"][..];
    // Without a device the command line and helpers of this machine alone may name their scopes.
    for (id, mode, knock, asked, expected) in [
        ("cli", "cli", Knock::default(), read, json!(read)),
        ("gateway-client", "backend", Knock::default(), read, json!(read)),
        ("cli", "cli", Knock::default(), &[], json!([])),
        ("cli", "probe", Knock::default(), read, json!([])),
        ("test", "test", Knock::default(), read, json!([])),
        ("cli", "cli", Knock::remote(), read, json!([])),
        ("gateway-client", "backend", Knock::remote(), &["operator.admin"], json!([])),
    ] {
        let mut client = gateway.knock_with(&knock).await;
        client.connect(&four(id, mode).scopes(asked)).await.expect("the secret is right");
        assert_eq!(granted(&client), expected, "{id} {mode} {asked:?}");
        client.ok("health", json!({})).await;
        let status = client.call("status", json!({})).await;
        assert_eq!(status.is_ok(), expected == json!(read), "{id} {mode} {asked:?}");
        client.close().await;
    }
    let absent = four("cli", "cli").scopes(&[]).device(&Key::new(1)).patch(|params| {
        params.as_object_mut().expect("an object").remove("scopes");
    });
    let client = gateway.connect(&absent).await;
    assert_eq!(granted(&client), json!([]), "at 3 this would be an admin");
    assert_eq!(client.hello["snapshot"]["presence"], json!([]), "for those who may read");
    client.close().await;
}

#[tokio::test]
async fn a_missing_scope_is_forbidden() {
    let gateway = Gateway::start().await;
    let mut client = gateway.connect(&four("cli", "cli").scopes(&["operator.pairing"])).await;
    let error = client.refused("status", json!({})).await;
    assert_eq!((&*error.code, &*error.message), ("FORBIDDEN", "missing scope: operator.read"));
    let expected =
        json!({ "code": "MISSING_SCOPE", "missingScope": "operator.read", "requiredScopes": ["operator.read"] });
    assert_eq!(error.details, Some(expected));
    client.close().await;
    let mut three = gateway.operator(&["operator.pairing"]).await;
    let error = three.refused("status", json!({})).await;
    assert_eq!((&*error.code, error.details), ("INVALID_REQUEST", None));
    three.close().await;
}

#[tokio::test]
async fn newer_clients_may_send_more_than_is_known() {
    let gateway = Gateway::start().await;
    let params = json!({ "limit": 1, "sinceNextMonth": { "a": 1 } });
    let mut new = gateway.connect(&four("cli", "cli").scopes(&["operator.read"])).await;
    new.ok("logs.tail", params.clone()).await;
    let error = new.refused("logs.tail", json!({ "limit": "x", "more": 1 })).await;
    assert_eq!(error.message, "invalid logs.tail params: at /limit: must be null,integer");
    new.close().await;
    let mut old = gateway.admin().await;
    let error = old.refused("logs.tail", params).await;
    assert_eq!(error.message, "invalid logs.tail params: at root: unexpected property 'sinceNextMonth'");
    old.close().await;
}

/// How a connect is refused: message, `details.code`, and the close.
async fn refused(gateway: &Gateway, knock: &Knock, connect: &Connect) -> (String, Value, Close) {
    let mut client = gateway.knock_with(knock).await;
    let refused = client.connect(connect).await.expect_err("it is refused");
    let code = refused.error.details.map_or(Value::Null, |details| details["code"].clone());
    (refused.error.message, code, refused.close)
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let gateway = Gateway::start().await;
    let (near, far) = (Knock::default(), Knock::remote());
    let page = Knock::default().header("Origin", &format!("http://127.0.0.1:{}", gateway.port));
    let auth = |value: Value| four("test", "test").device(&Key::new(1)).with("auth", value);
    let wrong = "nobody-has-this";
    for (what, knock, connect, message, code) in [
        (
            "a page without a device",
            &page,
            four("openclaw-control-ui", "webchat"),
            "control ui requires device identity (use HTTPS or localhost secure context)",
            "CONTROL_UI_DEVICE_IDENTITY_REQUIRED",
        ),
        (
            "a page without an origin",
            &near,
            four("openclaw-control-ui", "webchat").device(&Key::new(1)),
            "origin not allowed (open the Control UI from the gateway host or allow it in \
             gateway.controlUi.allowedOrigins)",
            "CONTROL_UI_ORIGIN_NOT_ALLOWED",
        ),
        (
            "a terminal interface without a device",
            &near,
            four("openclaw-tui", "ui"),
            "control ui requires device identity (use HTTPS or localhost secure context)",
            "CONTROL_UI_DEVICE_IDENTITY_REQUIRED",
        ),
        (
            "a node without a device",
            &near,
            four("node-host", "node").role("node"),
            "device identity required",
            "DEVICE_IDENTITY_REQUIRED",
        ),
        (
            "a wrong token on the command line of this machine",
            &near,
            four("cli", "cli").token(wrong),
            "unauthorized: gateway token mismatch (use this gateway's gateway.auth.token or pair the device)",
            "AUTH_TOKEN_MISMATCH",
        ),
        (
            "a wrong token on a command line elsewhere",
            &far,
            four("cli", "cli").token(wrong),
            "unauthorized: gateway token mismatch (set gateway.remote.token to match gateway.auth.token)",
            "AUTH_TOKEN_MISMATCH",
        ),
        (
            "a device token that is none",
            &near,
            auth(json!({ "deviceToken": wrong })),
            "unauthorized: device token mismatch (rotate/reissue device token)",
            "AUTH_DEVICE_TOKEN_MISMATCH",
        ),
        (
            "a setup code",
            &near,
            auth(json!({ "bootstrapToken": wrong })),
            "unauthorized: setup code invalid, expired, revoked, or already used (create a new code; review \
             `openclaw devices list`)",
            "AUTH_BOOTSTRAP_TOKEN_INVALID",
        ),
    ] {
        let (said, detail, close) = refused(&gateway, knock, &connect).await;
        assert_eq!((said.as_str(), &detail), (message, &json!(code)), "{what}");
        let reason: String = message.chars().take(120).collect();
        assert_eq!((close.code, close.reason.as_str()), (Some(1008), reason.as_str()), "{what}");
    }
    // One secret in both fields, as the page sends it, or in the field of the other mode.
    for both in [json!({ "token": TOKEN, "password": TOKEN }), json!({ "password": TOKEN })] {
        gateway.connect(&four("cli", "cli").with("auth", both)).await.close().await;
    }
    let mut worker = gateway.knock().await;
    let frame = worker.connect_frame(&four("openclaw-worker", "worker"));
    worker.send(&frame).await;
    worker.expect_close(1008, "invalid-handshake").await;
}

#[tokio::test]
async fn who_waits_for_approval_is_told_how_to_wait() {
    let gateway = Gateway::start().await;
    let node = four("node-host", "node").role("node").scopes(&[]).device(&Key::new(1));
    let mut client = gateway.knock_with(&Knock::remote()).await;
    let refused = client.connect(&node).await.expect_err("it is not paired");
    assert_eq!(refused.error.message, "pairing required: device is not approved yet");
    let details = refused.error.details.expect("details");
    let request = details["requestId"].as_str().expect("an id").to_string();
    let reason = format!("pairing required: device is not approved yet (requestId: {request})");
    assert_eq!((refused.close.code, refused.close.reason), (Some(1008), reason));
    for (key, value) in [
        ("code", json!("PAIRING_REQUIRED")),
        ("reason", json!("not-paired")),
        ("deviceId", json!(Key::new(1).id())),
        ("requestedRole", json!("node")),
        ("recommendedNextStep", json!("wait_then_retry")),
        ("retryable", json!(true)),
        ("pauseReconnect", json!(false)),
    ] {
        assert_eq!(details[key], value, "{key}");
    }
    let mut admin = gateway.admin().await;
    admin.ok("device.pair.approve", json!({ "requestId": request })).await;
    let mut client = gateway.knock_with(&Knock::remote()).await;
    let hello = client.connect(&node).await.expect("it was approved");
    assert_eq!((&hello["auth"]["role"], &hello["auth"]["scopes"]), (&json!("node"), &json!([])));
    assert!(hello["auth"]["deviceToken"].is_string());
    client.ok("health", json!({})).await;
    client.close().await;
    admin.close().await;
}

#[tokio::test]
async fn clients_of_both_versions_hear_the_same_event() {
    let gateway = Gateway::with_config("[gateway.limits]\ntick_interval_ms = 100").await;
    let mut old = gateway.admin().await;
    let mut new = gateway.connect(&four("cli", "cli").scopes(&["operator.admin"])).await;
    new.ok("system-event", json!({ "text": "both shall hear of this", "deviceId": "d" })).await;
    let is_it = |payload: &Value| payload.to_string().contains("both shall hear of this");
    let [at_3, at_4] = [old.event_with("presence", is_it).await, new.event_with("presence", is_it).await];
    assert_eq!(at_3.payload, at_4.payload);
    assert_eq!(old.event("tick").await.payload.expect("a payload").as_object().map(|it| it.len()), Some(1));
    new.event("tick").await;
    old.close().await;
    new.close().await;
}

#[tokio::test]
async fn a_client_whose_device_was_removed_is_told_by_the_code_of_its_version() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.admin().await;
    for (connect, code, reason) in [
        (four("cli", "cli").scopes(&["operator.read"]), 4001, "client invalidated: device access changed"),
        (Connect::operator(), 1008, "device access changed; connect again"),
    ] {
        let key = Key::new(9);
        let mut client = gateway.connect(&connect.device(&key)).await;
        admin.ok("device.pair.remove", json!({ "deviceId": key.id() })).await;
        client.expect_close(code, reason).await;
    }
}

#[tokio::test]
async fn a_device_that_describes_itself_anew_waits_for_another_approval() {
    let gateway = Gateway::start().await;
    let far = Knock::remote();
    let about = |platform: &str, family: &str| {
        let node = four("node-host", "node").role("node").scopes(&[]);
        node.about("platform", platform).about("deviceFamily", family).device(&Key::new(1))
    };
    let mut admin = gateway.admin().await;
    let approve_latest = async |admin: &mut Client| {
        let request = admin.event("device.pair.requested").await.payload.expect("a payload");
        admin.ok("device.pair.approve", json!({ "requestId": request["requestId"] })).await;
        request
    };
    refused(&gateway, &far, &about("macos", "Mac")).await;
    approve_latest(&mut admin).await;

    let mut node = gateway.knock_with(&far).await;
    let hello = node.connect(&about("Darwin", "mac")).await.expect("another spelling is the same");
    let token = hello["auth"]["deviceToken"].as_str().expect("a device token").to_string();
    node.close().await;
    // Protocol 3 says what it likes, which is shown and changes nothing for protocol 4.
    let old = Connect::node().about("platform", "ios").about("deviceFamily", "iPhone").device(&Key::new(1));
    let mut client = gateway.knock_with(&far).await;
    client.connect(&old).await.expect("protocol 3 is held to nothing");
    client.close().await;
    assert_eq!(admin.ok("device.pair.list", json!({})).await["paired"][0]["platform"], "ios");

    for changed in [about("ios", "iPhone"), about("ios", "iPhone").token(&token)] {
        let mut client = gateway.knock_with(&far).await;
        let refused = client.connect(&changed).await.expect_err("it describes itself anew");
        let message = "pairing required: device identity changed and must be re-approved";
        assert_eq!((&*refused.error.code, &*refused.error.message), ("NOT_PAIRED", message));
        let details = refused.error.details.expect("details");
        assert_eq!((&details["code"], &details["reason"]), (&json!("PAIRING_REQUIRED"), &json!("metadata-upgrade")));
        let request = details["requestId"].as_str().expect("an id");
        assert_eq!(refused.close.code, Some(1008));
        // The whole would be longer than a reason may be.
        assert!(format!("{message} (requestId: {request})").starts_with(refused.close.reason.trim_end_matches('…')));
    }
    let request = approve_latest(&mut admin).await;
    assert_eq!((&request["platform"], &request["isRepair"]), (&json!("ios"), &json!(true)));
    assert!(request.get("pins").is_none(), "it is nobody's business");
    assert_eq!(admin.heard("device.pair.requested").len(), 2, "it knocked twice with one request");

    let mut node = gateway.knock_with(&far).await;
    node.connect(&about("ios", "iPhone").token(&token)).await.expect("approved, and its token is as good as before");
    node.close().await;
    let (_, code, _) = refused(&gateway, &far, &about("macos", "Mac")).await;
    assert_eq!(code, "PAIRING_REQUIRED", "the pin has moved");
    admin.close().await;
    // From this machine, with the secret, nobody need be asked.
    gateway.connect(&about("windows", "PC")).await.close().await;
}
