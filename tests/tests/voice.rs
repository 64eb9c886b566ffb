//! Voice from outside: words that wake an assistant, and whether somebody talks.

use clawhost_tests::support::{Connect, Gateway, Key};
use serde_json::{Value, json};

#[tokio::test]
async fn words_are_kept_and_told_to_operators_and_nodes() {
    let gateway = Gateway::start().await;
    let default = json!({ "triggers": ["openclaw", "claude", "computer"] });
    let words = json!({ "triggers": ["anna"] });
    let mut writer = gateway.operator(&["operator.write"]).await;
    let mut reader = gateway.operator(&["operator.read"]).await;
    let mut approver = gateway.operator(&["operator.approvals"]).await;
    let mut nodes = Vec::new();
    for (number, protocol) in [3, 4].into_iter().enumerate() {
        let connect = Connect::node().device(&Key::new(number as u8));
        let connect = connect.with("minProtocol", json!(protocol)).with("maxProtocol", json!(protocol));
        let mut node = gateway.connect(&connect).await;
        let told = node.event("voicewake.changed").await;
        assert_eq!((told.seq, told.payload), (None, Some(default.clone())), "right after its hello-ok");
        if protocol == 4 {
            let routing = node.event("voicewake.routing.changed").await;
            assert_eq!(routing.payload.expect("a payload")["config"]["defaultTarget"], json!({ "mode": "current" }));
        }
        nodes.push(node);
    }
    assert_eq!(reader.ok("voicewake.get", json!({})).await, default);
    assert_eq!(writer.ok("voicewake.set", json!({ "triggers": [" anna ", ""] })).await, words);
    for client in [&mut writer, &mut reader] {
        let told = client.event("voicewake.changed").await;
        assert!(told.seq.is_some() && told.payload == Some(words.clone()));
    }
    for node in &mut nodes {
        assert_eq!(node.event("voicewake.changed").await.payload, Some(words.clone()));
    }

    let rules = json!({ "routes": [{ "trigger": "anna", "target": { "agentId": "ops" } }] });
    let routing = writer.ok("voicewake.routing.set", json!({ "config": rules })).await;
    for client in [&mut writer, &mut reader] {
        let told = client.event("voicewake.routing.changed").await;
        assert!(told.seq.is_some() && told.payload == Some(routing.clone()));
    }
    let is_new = |payload: &Value| *payload == routing;
    let told = nodes[1].event_with("voicewake.routing.changed", is_new).await;
    assert_eq!(told.seq, None);
    nodes[0].refused("no.such.method", json!({})).await;
    assert!(nodes[0].heard("voicewake.routing.changed").is_empty(), "protocol 3 knows no rules");

    writer.ok("talk.mode", json!({ "enabled": true, "phase": "listening" })).await;
    for client in nodes.iter_mut().chain([&mut writer]) {
        let mode = client.event("talk.mode").await.payload.expect("a payload");
        assert_eq!((&mode["enabled"], &mode["phase"]), (&json!(true), &json!("listening")));
    }
    for client in [&mut reader, &mut approver] {
        client.ok("health", json!({})).await;
        assert!(client.heard("talk.mode").is_empty());
    }
    assert!(approver.heard("voicewake.changed").is_empty());
    for client in nodes.into_iter().chain([writer, reader, approver]) {
        client.close().await;
    }

    let gateway = gateway.stop().await.restart().await;
    let mut reader = gateway.operator(&["operator.read"]).await;
    assert_eq!(reader.ok("voicewake.get", json!({})).await, words);
    assert_eq!(reader.ok("voicewake.routing.get", json!({})).await, routing);
    reader.close().await;
}

#[tokio::test]
async fn a_web_chat_talks_only_beside_a_phone() {
    let gateway = Gateway::start().await;
    let webchat = Connect::operator().client("webchat", "webchat").device(&Key::new(1));
    let mut webchat = gateway.connect(&webchat).await;
    let talk = json!({ "enabled": true });
    let refused = webchat.refused("talk.mode", talk.clone()).await;
    assert_eq!(refused.code, "UNAVAILABLE");
    assert_eq!(refused.message, "talk disabled: no connected iOS/Android nodes");
    let phone = Connect::node().device(&Key::new(2)).about("platform", "Android 15");
    let mut phone = gateway.connect(&phone).await;
    phone.event("voicewake.changed").await;
    webchat.ok("talk.mode", talk).await;
    phone.close().await;
    webchat.close().await;
}
