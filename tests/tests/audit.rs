//! Who came in, who did not, and who decided what, as the log tells it afterwards.

use clawhost_tests::support::{Client, Connect, Gateway, Key, Knock, TOKEN};
use serde_json::{Value, json};

/// The account of a gateway that has ended: its lines, in order.
fn account(gateway: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(gateway.join("logs/clawhost.jsonl")).expect("a log");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let is_audit = |line: &Value| line["target"].as_str().is_some_and(|target| target.starts_with("clawhost::audit"));
    lines.filter(is_audit).collect()
}

fn of<'a>(account: &'a [Value], action: &str) -> Vec<&'a Value> {
    account.iter().filter(|fields| fields["action"] == action).collect()
}

async fn knock(gateway: &Gateway, connect: &Connect) -> Result<Client, Value> {
    let mut client = gateway.knock_with(&Knock::remote()).await;
    match client.connect(connect).await {
        Ok(_) => Ok(client),
        Err(refused) => Err(refused.error.details.unwrap_or_default()),
    }
}

#[tokio::test]
async fn every_decision_has_a_line_that_says_who_and_from_where() {
    let gateway = Gateway::start().await;
    let key = Key::new(1);
    let phone = Connect::node().device(&key);
    let mut admin = gateway.admin().await;
    let admin_conn = admin.hello["server"]["connId"].clone();
    let request = knock(&gateway, &phone).await.err().expect("it must wait")["requestId"].clone();
    admin.ok("device.pair.approve", json!({ "requestId": request })).await;
    let client = knock(&gateway, &phone).await.expect("approved");
    let device_token = client.hello["auth"]["deviceToken"].as_str().expect("a token").to_string();
    assert!(knock(&gateway, &Connect::operator().token("a-guess")).await.is_err());
    admin.ok("device.token.revoke", json!({ "deviceId": key.id(), "role": "node" })).await;
    admin.refused("device.pair.reject", json!({ "requestId": "nobody's" })).await;
    admin.ok("device.pair.remove", json!({ "deviceId": key.id() })).await;
    admin.ok("plugins.reload", json!({ "id": "status" })).await;
    admin.refused("plugins.reload", json!({ "id": "x".repeat(100_000) })).await;
    let state = gateway.state_dir();
    let stopped = gateway.stop().await;

    let account = account(&state);
    let requested = of(&account, "pairing-requested");
    assert_eq!((requested.len(), &requested[0]["request"], &requested[0]["device"]), (1, &request, &json!(key.id())));
    let approved = of(&account, "pairing.approve");
    assert_eq!((approved.len(), &approved[0]["by_conn"], &approved[0]["request"]), (1, &admin_conn, &request));
    assert_eq!((&approved[0]["local"], &approved[0]["refused"]), (&json!(true), &json!("")));
    assert_eq!(of(&account, "pairing-approved").len(), 1);
    let came_in = of(&account, "connected");
    let device = came_in.iter().find(|fields| fields["device"] == key.id()).expect("the device came in");
    assert_eq!(
        (&device["role"], &device["local"], &device["method"]),
        (&json!("node"), &json!(false), &json!("token"))
    );
    let refusals = of(&account, "refused");
    let outcomes: Vec<&Value> = refusals.iter().map(|fields| &fields["outcome"]).collect();
    assert_eq!(refusals.len(), 2, "{outcomes:?}");
    for action in ["pairing.token.revoke", "pairing.remove"] {
        let lines = of(&account, action);
        assert_eq!((lines.len(), &lines[0]["device"], &lines[0]["by_conn"]), (1, &json!(key.id()), &admin_conn));
    }
    assert_eq!(of(&account, "pairing.reject")[0]["refused"], "unknown requestId");
    let reloads = of(&account, "plugins.reload");
    assert_eq!((&reloads[0]["id"], &reloads[0]["by_conn"]), (&json!("status"), &admin_conn));
    assert!(reloads[1].to_string().len() < 2_000, "what a caller sends is not written down at length");
    for secret in [TOKEN, "a-guess", &device_token] {
        let told = account.iter().find(|fields| fields.to_string().contains(secret));
        assert!(told.is_none() && !stopped.log.contains(secret), "a secret is in the log: {told:?}");
    }
}

#[tokio::test]
async fn decisions_have_no_gaps_and_crowds_at_the_door_are_summed_up() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.admin().await;
    let begun = std::time::Instant::now();
    for _ in 0..40 {
        admin.refused("device.pair.reject", json!({ "requestId": "nobody's" })).await;
        gateway.admin().await.close().await;
        assert!(knock(&gateway, &Connect::operator().no_auth()).await.is_err());
    }
    admin.close().await;
    // Twenty pass in ten seconds.
    let most = 20 * (2 + begun.elapsed().as_secs() as usize / 10);
    let state = gateway.state_dir();
    let stopped = gateway.stop().await;
    let account = account(&state);
    assert_eq!(of(&account, "pairing.reject").len(), 40);
    let connected = of(&account, "connected").len();
    assert!((20..most.min(42)).contains(&connected), "{connected} of {most}");
    assert!(of(&account, "refused").len() < most.min(41), "anybody can cause these");
    assert!(stopped.log.contains("refused a connection"));
}

#[tokio::test]
async fn another_configuration_is_told_of() {
    let gateway = Gateway::start().await;
    gateway.write_config("[plugins.status]\nenabled = false\n");
    gateway.hang_up();
    let line = gateway.log_line("another configuration is in force").await;
    assert!(line.contains("status"), "{line}");
}
