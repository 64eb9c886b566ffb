//! `[[gateway.auth.tokens]]` from outside: whoever shows a named token is an operator within its bounds, and nothing of it
//! outlives it.

use std::process::Command;

use clawhost_tests::support::{Client, Connect, Frame, Gateway, Key, Knock, Payload, clawhost};
use serde_json::json;

const SECRET: &str = "a-secret-of-the-dashboard";

fn table(name: &str, secret: &str, more: &str) -> String {
    format!("[[gateway.auth.tokens]]\nname = \"{name}\"\ntoken = \"{secret}\"\n{more}\n")
}

async fn gateway(more: &str) -> Gateway {
    Gateway::with_config(&table("dashboard", SECRET, more)).await
}

/// Shows the token, and asks for everything.
fn three() -> Connect {
    Connect::operator().token(SECRET)
}

fn four() -> Connect {
    three().payload(Payload::V3).with("minProtocol", json!(4)).with("maxProtocol", json!(4))
}

fn without_scopes(connect: Connect) -> Connect {
    connect.patch(|params| {
        params.as_object_mut().expect("an object").remove("scopes");
    })
}

async fn refused(gateway: &Gateway, connect: &Connect) -> String {
    gateway.knock().await.connect(connect).await.expect_err("the token does not let in").error.message
}

async fn may_read_only(mut client: Client) {
    client.ok("health", json!({})).await;
    client.ok("status", json!({})).await;
    let error = client.refused("system.connections", json!({})).await;
    assert!(error.message.starts_with("missing scope: operator.admin"), "{error:?}");
    client.close().await;
}

#[tokio::test]
async fn a_read_only_token_reads_whatever_is_asked_for() {
    let gateway = gateway("scopes = [\"operator.read\"]").await;
    for connect in
        [three(), without_scopes(three()), four(), four().client("test", "test"), three().device(&Key::new(1))]
    {
        may_read_only(gateway.connect(&connect).await).await;
    }
    // From afar too: the token is bound enough.
    let mut remote = gateway.knock_with(&Knock::remote()).await;
    remote.connect(&four()).await.expect("the token is good");
    may_read_only(remote).await;
    let mut none = gateway.connect(&without_scopes(four())).await;
    assert!(none.call("status", json!({})).await.is_err(), "by protocol 4 nothing is assumed");
    none.close().await;
    let line = gateway.log_line("named-token").await;
    assert!(line.contains("token=\"dashboard\""), "{line}");
}

#[tokio::test]
async fn a_token_is_for_its_methods_on_the_socket_and_through_plugins() {
    let config = table("service", SECRET, "scopes = [\"operator.read\"]\nmethods = [\"spike.*\"]");
    let gateway = Gateway::builder().program(env!("CARGO_BIN_EXE_test_gateway")).config(&config).start().await;
    let mut client = gateway.connect(&three()).await;
    let not_allowed = "method not allowed: vault.read";
    assert_eq!(client.refused("vault.read", json!({})).await.message, not_allowed);
    let ask = json!({ "method": "vault.read", "own": false });
    assert_eq!(client.refused("spike.on_behalf", ask.clone()).await.message, not_allowed);
    client.close().await;
    let mut admin = gateway.admin().await;
    admin.ok("vault.read", json!({})).await;
    admin.ok("spike.on_behalf", ask).await;
    admin.close().await;
}

#[tokio::test]
async fn at_the_wrong_time_or_place_it_is_a_wrong_token_but_no_guess() {
    let past = table("past", SECRET, "scopes = [\"operator.read\"]\nexpires = 2020-01-01");
    let afar = table("afar", "a-secret-from-elsewhere", "scopes = [\"operator.read\"]\nfrom = [\"192.0.2.0/24\"]");
    let gateway = Gateway::with_config(&format!("[gateway.limits]\nauth_failures = 2\n{past}{afar}")).await;
    let other = three().token("a-secret-from-elsewhere");
    let node = Connect::node().token(SECRET);
    let mut remote = gateway.knock_with(&Knock::remote()).await;
    let wrong = remote.connect(&three().token("a-secret-of-nobody")).await.expect_err("it is wrong").error;
    for _ in 0..3 {
        for connect in [&three(), &other, &node] {
            let mut client = gateway.knock_with(&Knock::remote()).await;
            let error = client.connect(connect).await.expect_err("the token does not let in").error;
            assert_eq!(error.details, wrong.details, "{error:?}");
        }
    }
    assert!(refused(&gateway, &three()).await.starts_with("unauthorized: gateway token mismatch"));
    gateway.log_line("named_token_expired (past)").await;
    gateway.log_line("named_token_address (afar)").await;
    // One guess was made, and a second one may be.
    let mut remote = gateway.knock_with(&Knock::remote()).await;
    remote.connect(&Connect::operator()).await.expect("nobody is locked out");
    remote.close().await;
}

#[tokio::test]
async fn a_device_is_neither_paired_nor_handed_a_token() {
    let gateway = gateway("scopes = [\"operator.read\"]").await;
    for connect in [three().device(&Key::new(1)), four().device(&Key::new(1))] {
        let client = gateway.connect(&connect).await;
        assert_eq!(client.hello["auth"].get("deviceToken"), None, "{}", client.hello);
        client.close().await;
    }
    let mut admin = gateway.admin().await;
    let list = admin.ok("device.pair.list", json!({})).await;
    assert_eq!((&list["paired"], &list["pending"]), (&json!([]), &json!([])));
    admin.close().await;
}

#[tokio::test]
async fn no_secret_is_shown() {
    let gateway = gateway("scopes = [\"operator.read\"] # instead of a-secret-of-the-dashboard").await;
    let mut admin = gateway.admin().await;
    let shown = admin.ok("config.get", json!({})).await.to_string();
    assert!(!shown.contains(SECRET) && shown.contains("dashboard"), "{shown}");
    gateway.connect(&three()).await.close().await;
    refused(&gateway, &Connect::node().token(SECRET)).await;
    gateway.log_line("named_token_role (dashboard)").await;
    assert!(gateway.log_lines(SECRET).is_empty());
    admin.close().await;
}

/// The lines of a token for reading that lasts a few seconds.
fn expires_soon() -> String {
    let soon = schemas::now_ms() / 1_000 + 15;
    let written = Command::new("date").args(["-u", "-d", &format!("@{soon}"), "+%FT%TZ"]).output().expect("date runs");
    let expires = String::from_utf8(written.stdout).expect("a date is text");
    format!("scopes = [\"operator.read\"]\nexpires = {}", expires.trim())
}

#[tokio::test]
async fn what_a_connection_left_behind_ends_with_its_token() {
    let config = table("dashboard", SECRET, &expires_soon());
    let gateway = Gateway::builder().program(env!("CARGO_BIN_EXE_test_gateway")).config(&config).start().await;
    let mut client = gateway.connect(&three()).await;
    let id = client.request("spike.run", json!({ "run": "r1" })).await;
    client.reply(&id).await;
    drop(client);
    gateway.metric_becomes("clawhost_connections", 0.0).await;
    let mut admin = gateway.admin().await;
    assert_eq!(admin.ok("spike.dropped", json!({ "run": "r1" })).await["dropped"], "r1");
    gateway.metric_becomes("clawhost_calls_in_flight", 0.0).await;
    admin.close().await;
}

#[tokio::test]
async fn a_connection_ends_with_its_token() {
    // Where the program must be built first, that takes longer than the token lasts.
    clawhost();
    let gateway = gateway(&expires_soon()).await;
    let mut clients = [(gateway.connect(&three()).await, 1008), (gateway.connect(&four()).await, 4001)];
    for (client, _) in &mut clients {
        client.ok("status", json!({})).await;
    }
    for (client, code) in &mut clients {
        client.expect_close(*code, "gateway auth changed").await;
    }
    assert!(refused(&gateway, &three()).await.starts_with("unauthorized: gateway token mismatch"));
    gateway.assert_healthy().await;
}

#[tokio::test]
async fn a_token_for_some_methods_hears_what_their_plugins_say_and_no_more() {
    let gateway = gateway("scopes = [\"operator.read\"]\nmethods = [\"health\", \"system-presence\"]").await;
    let mut dashboard = gateway.connect(&three()).await;
    let mut admin = gateway.admin().await;
    let said = json!({ "sessionKey": "main", "message": "a secret of two", "idempotencyKey": "k" });
    admin.ok("chat.send", said).await;
    admin.event_with("chat", |payload| payload["state"] == "final").await;
    // Behind all that the chat had to say.
    let newcomer = gateway.connect(&Connect::operator().client("test", "ui").about("instanceId", "late")).await;
    loop {
        match dashboard.next().await.expect("the connection stays") {
            Frame::Event(event) => {
                assert!(["presence", "health", "tick"].contains(&event.event.as_str()), "{event:?}");
                if event.event == "presence"
                    && event.payload.is_some_and(|payload| payload.to_string().contains("late"))
                {
                    break;
                }
            }
            other => panic!("nothing was asked: {other:?}"),
        }
    }
    newcomer.close().await;
    admin.close().await;
    dashboard.close().await;
}
