//! Devices at the door: knocking, being let in, being thrown out, and what of it is on disk.

use std::os::unix::fs::PermissionsExt;

use clawhost_tests::support::{Client, Connect, Gateway, Key, Knock, Refused, TOKEN};
use serde_json::{Value, json};

async fn knock_remotely(gateway: &Gateway, connect: &Connect) -> Result<Client, Refused> {
    let mut client = gateway.knock_with(&Knock::remote()).await;
    client.connect(connect).await.map(|_| client)
}

/// Knocks from elsewhere and must wait: the id of the request.
async fn must_wait(gateway: &Gateway, connect: &Connect, reason: &str) -> String {
    let Err(refused) = knock_remotely(gateway, connect).await else { panic!("it came in") };
    assert_eq!((refused.error.code.as_str(), refused.error.message.as_str()), ("NOT_PAIRED", "pairing required"));
    assert_eq!((refused.close.code, refused.close.reason.as_str()), (Some(1008), "pairing required"));
    let details = refused.error.details.expect("details");
    assert_eq!(details["reason"], reason);
    // Without this hint node hosts stop knocking.
    assert_eq!((&details["recommendedNextStep"], &details["retryable"]), (&json!("wait_then_retry"), &json!(true)));
    assert_eq!(details["pauseReconnect"], false);
    details["requestId"].as_str().expect("an id").to_string()
}

fn device_token(client: &Client) -> String {
    client.hello["auth"]["deviceToken"].as_str().expect("a device token").to_string()
}

async fn list(admin: &mut Client) -> Value {
    admin.ok("device.pair.list", json!({})).await
}

#[tokio::test]
async fn a_device_knocks_is_approved_and_comes_back_with_a_token() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let phone = Connect::node().about("displayName", "Phone").device(&key);
    let mut admin = gateway.admin().await;
    let request = must_wait(&gateway, &phone, "not-paired").await;
    let requested = admin.event("device.pair.requested").await.payload.expect("a payload");
    assert_eq!((&requested["requestId"], &requested["deviceId"]), (&json!(request), &json!(key.id())));
    assert_eq!((&requested["role"], &requested["displayName"]), (&json!("node"), &json!("Phone")));
    assert_eq!((&requested["silent"], &requested["isRepair"]), (&json!(false), &json!(false)));
    assert_eq!(list(&mut admin).await["pending"], json!([requested]), "the event is the record");

    // It knocks on: the same request, and no new event.
    assert_eq!(must_wait(&gateway, &phone, "not-paired").await, request);

    let id = admin.request("device.pair.approve", json!({ "requestId": request })).await;
    let resolved = admin.event("device.pair.resolved").await;
    let approved = admin.answer(&id).await.expect("an answer");
    let payload = resolved.payload.expect("a payload");
    assert_eq!((&payload["requestId"], &payload["decision"]), (&json!(request), &json!("approved")));
    assert_eq!((&approved["requestId"], &approved["device"]["deviceId"]), (&json!(request), &json!(key.id())));
    assert!(!approved.to_string().contains("\"token\""), "tokens are told to nobody else: {approved}");
    assert_eq!(admin.heard("device.pair.requested").len(), 1);

    let client = knock_remotely(&gateway, &phone).await.expect("approved");
    let token = device_token(&client);
    let again = knock_remotely(&gateway, &phone.clone().token(&token)).await.expect("by its token");
    assert_eq!(device_token(&again), token);
    // A request is gone once it is decided.
    assert_eq!(
        admin.refused("device.pair.approve", json!({ "requestId": request })).await.message,
        "unknown requestId"
    );
    let paired = list(&mut admin).await;
    assert_eq!((&paired["pending"], paired["paired"].as_array().map(Vec::len)), (&json!([]), Some(1)));
    let device = &paired["paired"][0];
    assert_eq!((&device["roles"], &device["tokens"][0]["role"]), (&json!(["node"]), &json!("node")));
    assert!(!paired.to_string().contains(&token));
    for client in [client, again, admin] {
        client.close().await;
    }
}

#[tokio::test]
async fn the_event_comes_before_the_answer() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.admin().await;
    for decision in ["approve", "reject"] {
        let request = must_wait(&gateway, &Connect::operator().device(&Key::new(1)), "not-paired").await;
        admin.ok(&format!("device.pair.{decision}"), json!({ "requestId": request })).await;
        // The answer has been read; the event was there before it.
        assert!(
            admin
                .heard("device.pair.resolved")
                .iter()
                .any(|event| { event.payload.as_ref().is_some_and(|payload| payload["requestId"] == json!(request)) })
        );
        let device = json!({ "deviceId": Key::new(1).id() });
        let _ = admin.call("device.pair.remove", device).await;
    }
    admin.close().await;
}

#[tokio::test]
async fn a_rejected_device_may_ask_again() {
    let gateway = Gateway::start().await;
    let connect = Connect::operator().device(&Key::new(1));
    let mut admin = gateway.admin().await;
    let first = must_wait(&gateway, &connect, "not-paired").await;
    let answer = admin.ok("device.pair.reject", json!({ "requestId": first })).await;
    assert_eq!(answer, json!({ "requestId": first, "deviceId": Key::new(1).id() }));
    let second = must_wait(&gateway, &connect, "not-paired").await;
    assert_ne!(first, second);
    admin.close().await;
}

#[tokio::test]
async fn another_wish_replaces_the_first_request() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let mut admin = gateway.admin().await;
    let first = must_wait(&gateway, &Connect::operator().scopes(&["operator.read"]).device(&key), "not-paired").await;
    let second = must_wait(&gateway, &Connect::operator().scopes(&["operator.admin"]).device(&key), "not-paired").await;
    assert_ne!(first, second);
    let rejected = admin.event("device.pair.resolved").await.payload.expect("a payload");
    assert_eq!((&rejected["requestId"], &rejected["decision"]), (&json!(first), &json!("rejected")));
    let pending = list(&mut admin).await["pending"].clone();
    assert_eq!(pending.as_array().map(Vec::len), Some(1), "one request a device and role");
    assert_eq!(pending[0]["requestId"], json!(second));
    assert_eq!(admin.refused("device.pair.approve", json!({ "requestId": first })).await.message, "unknown requestId");
    admin.close().await;
}

#[tokio::test]
async fn an_operator_and_a_node_of_one_device_do_not_displace_each_other() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let (operator, node) = (Connect::operator().device(&key), Connect::node().device(&key));
    let mut admin = gateway.admin().await;
    let as_operator = must_wait(&gateway, &operator, "not-paired").await;
    let as_node = must_wait(&gateway, &node, "not-paired").await;
    for _ in 0..3 {
        assert_eq!(must_wait(&gateway, &operator, "not-paired").await, as_operator);
        assert_eq!(must_wait(&gateway, &node, "not-paired").await, as_node);
    }
    for (request, connect) in [(as_operator, operator), (as_node, node)] {
        admin.ok("device.pair.approve", json!({ "requestId": request })).await;
        knock_remotely(&gateway, &connect).await.expect("approved").close().await;
    }
    assert_eq!(list(&mut admin).await["paired"][0]["roles"], json!(["operator", "node"]));
    assert_eq!((admin.heard("device.pair.requested").len(), admin.heard("device.pair.resolved").len()), (2, 2));
    admin.close().await;
}

#[tokio::test]
async fn more_scopes_or_another_role_need_a_new_approval() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let reader = Connect::operator().scopes(&["operator.read"]).device(&key);
    let mut admin = gateway.admin().await;
    let request = must_wait(&gateway, &reader, "not-paired").await;
    admin.ok("device.pair.approve", json!({ "requestId": request })).await;
    let first = knock_remotely(&gateway, &reader).await.expect("approved");
    let wider = Connect::operator().scopes(&["operator.read", "operator.pairing"]).device(&key);
    must_wait(&gateway, &wider, "scope-upgrade").await;
    must_wait(&gateway, &Connect::operator().scopes(&[]).device(&key), "scope-upgrade").await;
    let request = must_wait(&gateway, &Connect::node().device(&key), "role-upgrade").await;
    let pending = list(&mut admin).await["pending"].clone();
    let own = pending.as_array().expect("a list").iter().find(|own| own["requestId"] == json!(request));
    assert_eq!((own.expect("listed")["isRepair"].clone(), pending.as_array().map(Vec::len)), (json!(true), Some(2)));
    // What it was approved for, it keeps.
    knock_remotely(&gateway, &reader).await.expect("still approved").close().await;
    admin.ok("device.pair.approve", json!({ "requestId": request })).await;
    knock_remotely(&gateway, &Connect::node().device(&key)).await.expect("approved as a node").close().await;
    first.close().await;
    admin.close().await;
}

#[tokio::test]
async fn admin_covers_every_scope_of_a_device() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    gateway.connect(&Connect::operator().device(&key)).await.close().await;
    let narrower = Connect::operator().scopes(&["operator.read", "operator.pairing"]).device(&key);
    knock_remotely(&gateway, &narrower).await.expect("less than it was approved for").close().await;
}

#[tokio::test]
async fn approval_can_grant_less_and_never_more() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let asks = Connect::operator().scopes(&["operator.read", "operator.write"]).device(&key);
    let mut admin = gateway.admin().await;
    let request = must_wait(&gateway, &asks, "not-paired").await;
    let more = json!({ "requestId": request, "scopes": ["operator.read", "operator.admin"] });
    assert_eq!(admin.refused("device.pair.approve", more).await.message, "device pairing approval denied");
    admin.ok("device.pair.approve", json!({ "requestId": request, "scopes": ["operator.read"] })).await;
    must_wait(&gateway, &asks, "scope-upgrade").await;
    let reader = Connect::operator().scopes(&["operator.read"]).device(&key);
    knock_remotely(&gateway, &reader).await.expect("with what it was granted").close().await;
    admin.close().await;
}

#[tokio::test]
async fn nobody_grants_more_than_they_hold() {
    let gateway = Gateway::start().await;
    let mut clerk = gateway.operator(&["operator.pairing", "operator.read"]).await;
    let admin_wish = must_wait(&gateway, &Connect::operator().device(&Key::new(1)), "not-paired").await;
    let node_wish = must_wait(&gateway, &Connect::node().device(&Key::new(2)), "not-paired").await;
    let reader = Connect::operator().scopes(&["operator.read"]).device(&Key::new(3));
    let reader_wish = must_wait(&gateway, &reader, "not-paired").await;
    for request in [&admin_wish, &node_wish] {
        let error = clerk.refused("device.pair.approve", json!({ "requestId": request })).await;
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("INVALID_REQUEST", "device pairing approval denied")
        );
    }
    clerk.ok("device.pair.approve", json!({ "requestId": reader_wish })).await;
    knock_remotely(&gateway, &reader).await.expect("approved").close().await;

    // The same by way of tokens: neither of an admin's device, nor a wider one of their own.
    let (owner, key) = (Key::new(4), Key::new(5));
    gateway.connect(&Connect::operator().device(&owner)).await.close().await;
    let own = Connect::operator().scopes(&["operator.pairing"]).device(&key);
    let first = gateway.connect(&own).await;
    let token = device_token(&first);
    first.close().await;
    let mut by_token = gateway.connect(&own.clone().token(&token)).await;
    for (method, params, message) in [
        ("device.token.rotate", json!({ "deviceId": owner.id(), "role": "operator" }), "device token rotation denied"),
        (
            "device.token.revoke",
            json!({ "deviceId": owner.id(), "role": "operator" }),
            "device token revocation denied",
        ),
        ("device.pair.remove", json!({ "deviceId": owner.id() }), "device removal denied"),
        ("device.pair.rename", json!({ "deviceId": owner.id(), "label": "mine" }), "device rename denied"),
        (
            "device.token.rotate",
            json!({ "deviceId": key.id(), "role": "operator", "scopes": ["operator.admin"] }),
            "device token rotation denied",
        ),
        ("device.token.rotate", json!({ "deviceId": key.id(), "role": "node" }), "device token rotation denied"),
        ("device.token.revoke", json!({ "deviceId": key.id(), "role": "node" }), "unknown deviceId/role"),
        ("device.pair.approve", json!({ "requestId": admin_wish }), "device pairing approval denied"),
        ("device.pair.reject", json!({ "requestId": admin_wish }), "device pairing rejection denied"),
    ] {
        let error = by_token.refused(method, params.clone()).await;
        assert_eq!((error.code.as_str(), error.message.as_str()), ("INVALID_REQUEST", message), "{method} {params}");
    }
    // It sees itself and nobody else.
    let seen = by_token.ok("device.pair.list", json!({})).await;
    assert_eq!(seen["pending"], json!([]));
    assert_eq!((seen["paired"].as_array().map(Vec::len), &seen["paired"][0]["deviceId"]), (Some(1), &json!(key.id())));
    by_token.close().await;
    clerk.close().await;
}

#[tokio::test]
async fn a_removed_device_is_out_at_once() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let connect = Connect::operator().device(&key);
    let mut device = gateway.connect(&connect).await;
    let mut node = gateway.node(&key).await;
    let mut bystander = gateway.connect(&Connect::operator().device(&Key::new(2))).await;
    let token = device_token(&device);
    let mut admin = gateway.admin().await;
    assert_eq!(admin.ok("device.pair.remove", json!({ "deviceId": key.id() })).await, json!({ "deviceId": key.id() }));
    for client in [&mut device, &mut node] {
        client.expect_close(1008, "device access changed; connect again").await;
    }
    bystander.ok("health", json!({})).await;
    let refused = gateway.knock().await.connect(&connect.token(&token)).await.expect_err("its token is dead");
    assert!(refused.error.message.starts_with("unauthorized: gateway token mismatch"), "{refused:?}");
    let error = admin.refused("device.pair.remove", json!({ "deviceId": key.id() })).await;
    assert_eq!(error.message, "unknown deviceId");
    bystander.close().await;
    admin.close().await;
}

#[tokio::test]
async fn who_removes_itself_hears_so_before_the_end() {
    let gateway = Gateway::start().await;
    for number in 0..10 {
        let key = Key::new(number);
        let mut device = gateway.connect(&Connect::operator().device(&key)).await;
        // Requests behind it on the same connection do not keep it open.
        let removal =
            json!({ "type": "req", "id": "bye", "method": "device.pair.remove", "params": { "deviceId": key.id() } });
        let more = (0..20).map(|n| json!({ "type": "req", "id": format!("{n}"), "method": "system.methods" }));
        device.send_all(&std::iter::once(removal).chain(more).collect::<Vec<_>>()).await;
        assert_eq!(device.answer("bye").await, Ok(json!({ "deviceId": key.id() })));
        device.expect_close(1008, "device access changed; connect again").await;
    }
}

#[tokio::test]
async fn a_token_is_renewed_in_the_second_half_of_its_life() {
    let gateway = Gateway::with_config("[gateway.auth]\ntoken_ttl = \"12s\"").await;
    let connect = Connect::operator().device(&Key::new(1));
    let first = gateway.connect(&connect).await;
    let old = device_token(&first);
    first.close().await;
    // The gateway's clock decides; each look is a connection by the old token, as a returning client makes it.
    let new = loop {
        let client = gateway.connect(&connect.clone().token(&old)).await;
        let token = device_token(&client);
        client.close().await;
        if token != old {
            break token;
        }
    };
    // A client that lost the answer still comes in, and is given the same one.
    let client = gateway.connect(&connect.clone().token(&old)).await;
    assert_eq!(device_token(&client), new);
    client.close().await;
    // Once the new one was used, the old one is dead.
    gateway.connect(&connect.clone().token(&new)).await.close().await;
    let refused = gateway.knock().await.connect(&connect.token(&old)).await.expect_err("it was replaced");
    assert!(refused.error.message.starts_with("unauthorized: gateway token mismatch"), "{refused:?}");
}

#[tokio::test]
async fn rotation_and_revocation() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let connect = Connect::operator().device(&key);
    let first = gateway.connect(&connect).await;
    let old = device_token(&first);
    first.close().await;
    let mut device = gateway.connect(&connect.clone().token(&old)).await;

    // The device itself gets the new token, even though its connection ends with the old one.
    let params = json!({ "deviceId": key.id(), "role": "operator" });
    let rotated = device.ok("device.token.rotate", params.clone()).await;
    assert_eq!((&rotated["tokenDelivery"], &rotated["scopes"]), (&json!("in-band"), &json!(["operator.admin"])));
    let new = rotated["token"].as_str().expect("its own token").to_string();
    assert_ne!(old, new);
    device.expect_close(1008, "device access changed; connect again").await;
    gateway.knock().await.connect(&connect.clone().token(&old)).await.expect_err("the old one is dead");
    let mut device = gateway.connect(&connect.clone().token(&new)).await;

    // Somebody else does not.
    let mut admin = gateway.admin().await;
    let rotated = admin.ok("device.token.rotate", params.clone()).await;
    assert_eq!((rotated.get("token"), &rotated["tokenDelivery"]), (None, &json!("withheld-cross-device")));
    device.expect_close(1008, "device access changed; connect again").await;
    gateway.knock().await.connect(&connect.clone().token(&new)).await.expect_err("this one is dead too");

    // With the shared secret it gets a fresh one; revoked, that one is dead as well.
    let client = gateway.connect(&connect).await;
    let fresh = device_token(&client);
    let revoked = admin.ok("device.token.revoke", params).await;
    assert!(revoked["revokedAtMs"].is_u64());
    gateway.knock().await.connect(&connect.clone().token(&fresh)).await.expect_err("revoked");
    drop(client);
    let listed = list(&mut admin).await;
    assert!(listed["paired"][0]["tokens"][0]["revokedAtMs"].is_u64(), "{listed}");
    for params in [json!({ "deviceId": "nobody", "role": "operator" }), json!({ "deviceId": key.id(), "role": "node" })]
    {
        let error = admin.refused("device.token.revoke", params.clone()).await;
        assert_eq!(error.message, "unknown deviceId/role", "{params}");
    }
    admin.close().await;
}

#[tokio::test]
async fn nobody_rotates_away_what_they_do_not_hold() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let mut device = gateway.connect(&Connect::operator().device(&key)).await;
    let mut clerk = gateway.connect(&Connect::operator().scopes(&["operator.pairing"])).await;
    for scopes in [json!([]), json!(["operator.pairing"])] {
        let params = json!({ "deviceId": key.id(), "role": "operator", "scopes": scopes });
        let error = clerk.refused("device.token.rotate", params).await;
        assert_eq!(error.message, "device token rotation denied", "an admin's token would end");
    }
    device.ok("health", json!({})).await;
    device.close().await;
    clerk.close().await;
}

#[tokio::test]
async fn labels() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let mut client = gateway.connect(&Connect::operator().device(&key)).await;
    let params = json!({ "deviceId": key.id(), "label": " Kitchen " });
    let renamed = client.ok("device.pair.rename", params).await;
    assert_eq!(renamed, json!({ "deviceId": key.id(), "label": "Kitchen" }));
    for label in ["", "   ", &"x".repeat(65)] {
        let error = client.refused("device.pair.rename", json!({ "deviceId": key.id(), "label": label })).await;
        assert_eq!(error.code, "INVALID_REQUEST", "{label:?}");
    }
    client.close().await;
    let gateway = gateway.stop().await.restart().await;
    let mut admin = gateway.admin().await;
    assert_eq!(list(&mut admin).await["paired"][0]["label"], "Kitchen");
    admin.close().await;
}

#[tokio::test]
async fn what_a_client_was_told_survives_a_kill() {
    let gateway = Gateway::start().await;
    let (pending, approved, removed) = (Key::new(1), Key::new(2), Key::new(3));
    let connect = |key: &Key| Connect::operator().device(key);
    let mut admin = gateway.admin().await;
    let removed_client = gateway.connect(&connect(&removed)).await;
    let removed_token = device_token(&removed_client);
    let request = must_wait(&gateway, &connect(&approved), "not-paired").await;
    admin.ok("device.pair.approve", json!({ "requestId": request })).await;
    admin.ok("device.pair.remove", json!({ "deviceId": removed.id() })).await;
    let waiting = must_wait(&gateway, &connect(&pending), "not-paired").await;
    drop(removed_client);
    let gateway = gateway.kill().await.restart().await;

    let client = knock_remotely(&gateway, &connect(&approved)).await.expect("approved before the kill");
    let token = device_token(&client);
    assert_eq!(must_wait(&gateway, &connect(&pending), "not-paired").await, waiting, "the same request still waits");
    gateway.knock().await.connect(&connect(&removed).token(&removed_token)).await.expect_err("removed before the kill");
    // A token told just now is good after the next kill.
    let gateway = gateway.kill().await.restart().await;
    knock_remotely(&gateway, &connect(&approved).token(&token)).await.expect("by its token").close().await;
    let gateway = gateway.stop().await.restart().await;
    let again = knock_remotely(&gateway, &connect(&approved).token(&token)).await.expect("after a stop");
    assert_eq!(device_token(&again), token);
    again.close().await;
}

#[tokio::test]
async fn a_copy_of_the_database_lets_nobody_in() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let connect = Connect::operator().device(&key);
    let client = gateway.connect(&connect).await;
    let token = device_token(&client);
    client.close().await;
    let stopped = gateway.stop().await;

    let copy = Gateway::builder();
    std::fs::create_dir_all(copy.state_dir()).expect("a folder");
    std::fs::copy(stopped.state_dir().join("state.db"), copy.state_dir().join("state.db")).expect("a copy");
    // Without its key the database is not taken over in silence.
    let (code, log) = copy.clone().fail().await;
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("gateway.key"), "{log}");
    // With another key, the tokens are others.
    std::fs::write(copy.state_dir().join("gateway.key"), [7; 32]).expect("a file");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(copy.state_dir().join("gateway.key"), private).expect("it is ours");
    let thief = copy.start().await;
    let refused = thief.knock().await.connect(&connect.clone().token(&token)).await.expect_err("another key");
    assert!(refused.error.message.starts_with("unauthorized: gateway token mismatch"), "{refused:?}");
    // The owner's own gateway goes on.
    let gateway = stopped.restart().await;
    gateway.connect(&connect.token(&token)).await.close().await;
}

#[tokio::test]
async fn files_are_private_and_hold_no_secrets() {
    let gateway = Gateway::with_config("[gateway.log]\nlevel = \"trace\"").await;
    let key = Key::new(1);
    let connect = Connect::operator().device(&key);
    let client = gateway.connect(&connect).await;
    let token = device_token(&client);
    client.close().await;
    gateway.connect(&connect.clone().token(&token)).await.close().await;
    let guess = "a-guess-that-is-wrong";
    gateway.knock().await.connect(&connect.clone().token(guess)).await.expect_err("a guess");
    gateway.knock().await.connect(&Connect::operator().token(guess)).await.expect_err("a guess");
    let bad = connect.with("auth", json!({ "token": TOKEN, "secret": guess }));
    gateway.knock().await.connect(&bad).await.expect_err("an unknown property");
    gateway.metrics().await;
    let mut reader = gateway.operator(&["operator.read"]).await;
    for method in ["config.get", "logs.tail", "status", "system.plugins", "health"] {
        let payload = reader.ok(method, json!({})).await.to_string();
        assert!(!payload.contains(TOKEN) && !payload.contains(&token), "{method} shows a secret");
    }
    reader.close().await;

    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&gateway.state_dir()), 0o700);
    for name in ["gateway.json", "gateway.key", "state.db"] {
        assert_eq!(mode(&gateway.state_file(name)), 0o600, "{name}");
    }
    // `gateway.json` is the one place that holds the token, for clients of the same owner, while the gateway runs.
    assert!(std::fs::read_to_string(gateway.state_file("gateway.json")).expect("a file").contains(TOKEN));
    let stopped = gateway.stop().await;
    let files = stopped.files();
    assert!(files.iter().any(|file| file.ends_with("logs/clawhost.jsonl")), "{files:?}");
    for file in files {
        assert_eq!(mode(&file) & 0o077, 0, "{} is open to others", file.display());
        let bytes = std::fs::read(&file).expect("a file");
        for (what, secret) in [("the shared token", TOKEN), ("a device token", &token), ("a guess", guess)] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{what} is in {}", file.display());
        }
    }
    assert!(!stopped.log.contains(TOKEN) && !stopped.log.contains(&token) && !stopped.log.contains(guess));
}

#[tokio::test]
async fn local_devices_are_paired_in_silence_and_the_event_says_so() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let mut admin = gateway.admin().await;
    let waiting = must_wait(&gateway, &Connect::operator().device(&key), "not-paired").await;
    // It knocked from elsewhere first; from here its request is settled, not in its way.
    gateway.connect(&Connect::operator().device(&key)).await.close().await;
    let resolved = admin.event("device.pair.resolved").await.payload.expect("a payload");
    assert_eq!((&resolved["requestId"], &resolved["decision"]), (&json!(waiting), &json!("approved")));
    assert_eq!(list(&mut admin).await["pending"], json!([]));
    gateway.connect(&Connect::node().device(&Key::new(2))).await.close().await;
    let resolved = admin.event("device.pair.resolved").await.payload.expect("a payload");
    assert_eq!((&resolved["deviceId"], &resolved["decision"]), (&json!(Key::new(2).id()), &json!("approved")));
    assert_eq!(admin.heard("device.pair.requested").len(), 1, "the silent one was never requested");
    admin.close().await;
}
