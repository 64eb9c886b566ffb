//! Who knocks, who is let in, and what is passed on to channels.

use plugin_kit::{Harness, Who};
use schemas::ErrorShape;
use serde_json::{Value, json};

use super::inbound::{asked, harness, message, takes, wait_for};
use crate::Channels;

fn agent(harness: Harness) -> Harness {
    harness.answer_with("agent.run", |call| {
        let run = call.params();
        call.finish(Ok(json!({ "runId": run["runId"], "status": "ok", "sessionKey": run["sessionKey"],
            "agentId": "main", "text": "hi", "endedAt": 2 })));
    })
}

fn code_in(sent: &Value) -> String {
    let text = sent["text"].as_str().unwrap();
    let rest = text.split("Your code is ").nth(1).unwrap_or_else(|| panic!("no code in {text:?}"));
    rest.chars().take_while(char::is_ascii_alphanumeric).collect()
}

#[test]
fn somebody_who_is_not_known_is_told_a_code_and_nothing_else() {
    let plugin = agent(harness(json!({}))).start();
    for id in ["1", "2", "3"] {
        assert_eq!(takes(&plugin, message(id, json!({ "text": "let me in" }))), "pairing");
        plugin.settle();
    }
    let told = asked(&plugin, "send.deliver");
    assert_eq!(told.len(), 1, "they are told once");
    let code = code_in(&told[0]);
    assert_eq!((asked(&plugin, "agent.run").len(), asked(&plugin, "session.store.open").len()), (0, 0));

    let list = plugin.call_as(Who::operator(&["operator.pairing"]), "channels.pairing.list", json!({})).payload();
    assert!(!list.to_string().contains(&code), "who approves by code has heard it from the sender");
    let request = &list["requests"][0];
    assert_eq!(
        (&request["channel"], &request["channelLabel"], &request["accountId"], &request["senderId"]),
        (&json!("post"), &json!("Post"), &json!("default"), &json!("7"))
    );
    assert_eq!((&request["senderLabel"], &request["metadata"]), (&json!("Sender id"), &json!({ "name": "Ann" })));
    for time in ["createdAt", "lastSeenAt", "expiresAt"] {
        assert!(request[time].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{time}");
    }
    assert_eq!(list["limits"], json!({ "pendingPerAccount": 20, "ttlMs": 3_600_000 }));
    assert_eq!(list["accounts"][0]["notifySupported"], true);

    let approved = json!({ "channel": "POST", "requestId": code.to_lowercase(), "notify": true });
    let approved = plugin.call("channels.pairing.approve", approved).payload();
    assert_eq!((&approved["senderId"], &approved["notification"]), (&json!("7"), &json!("sent")));
    assert_eq!(takes(&plugin, message("4", json!({}))), "run");
    assert_eq!(wait_for(&plugin, "send.deliver", 3)[2]["text"], "hi");

    let senders = plugin.call("channels.senders.list", json!({ "channel": "post" })).payload();
    assert_eq!((&senders["senders"][0]["senderId"], &senders["senders"][0]["name"]), (&json!("7"), &json!("Ann")));
    let remove = json!({ "channel": "post", "senderId": "7" });
    assert_eq!(plugin.call("channels.senders.remove", remove.clone()).payload(), json!({ "removed": true }));
    assert_eq!(plugin.call("channels.senders.remove", remove).payload(), json!({ "removed": false }));
    assert_eq!(takes(&plugin, message("5", json!({}))), "pairing");
}

#[test]
fn requests_are_answered_once_and_forgotten_in_time() {
    let plugin = agent(harness(json!({ "max_pairing_requests": 2, "pairing_ttl_ms": 1000 }))).start();
    let from = |id: &str| message(id, json!({ "from": { "id": id }, "chat": { "id": id, "kind": "direct" } }));
    for id in ["1", "2", "3"] {
        assert_eq!(takes(&plugin, from(id)), "pairing");
    }
    assert_eq!(wait_for(&plugin, "send.deliver", 2).len(), 2);
    let list = plugin.call("channels.pairing.list", json!({ "channel": "post" })).payload();
    assert_eq!(list["requests"].as_array().map(Vec::len), Some(2), "more than max_pairing_requests are passed over");
    let request = json!({ "channel": "post", "accountId": "default", "requestId": list["requests"][0]["requestId"] });
    let dismissed = plugin.call("channels.pairing.dismiss", request.clone()).payload();
    assert_eq!(dismissed["senderId"], "1");
    for method in ["channels.pairing.dismiss", "channels.pairing.approve"] {
        let error = plugin.call(method, request.clone()).error();
        assert_eq!(error.message, "pending DM access request no longer exists");
    }
    plugin.wait_until("it is forgotten", |plugin| {
        plugin.call("channels.pairing.list", json!({})).payload()["requests"] == json!([])
    });
    let unknown = plugin.call("channels.pairing.list", json!({ "channel": "pigeon" })).error();
    assert_eq!(unknown.message, "unknown pairing channel: pigeon");
}

#[test]
fn a_code_that_could_not_be_told_is_told_at_the_next_message() {
    let plugin = agent(harness(json!({})))
        .answer_with("send.deliver", {
            let first = std::sync::atomic::AtomicBool::new(true);
            move |call| {
                let failed = first.swap(false, std::sync::atomic::Ordering::SeqCst);
                let sent = json!({ "runId": "r", "channel": "post", "messageId": "1" });
                call.finish(if failed { Err(ErrorShape::unavailable("away")) } else { Ok(sent) });
            }
        })
        .start();
    takes(&plugin, message("1", json!({})));
    plugin.settle();
    takes(&plugin, message("2", json!({})));
    let told = wait_for(&plugin, "send.deliver", 2);
    assert_eq!(code_in(&told[0]), code_in(&told[1]));
}

fn with_logins(methods: &[&str]) -> Harness {
    let row = |name: &&str| json!({ "kind": "method", "plugin": "post", "spec": { "name": name, "params": {} } });
    let methods: Vec<_> = methods.iter().map(row).collect();
    Harness::new::<Channels>()
        .answer("host.registry.list", json!({ "plugins": [], "methods": methods, "events": [] }))
        .answer("channel.post.start", json!({}))
        .answer("channel.post.stop", json!({}))
        .answer("channel.post.logout", json!({ "cleared": true }))
        .answer("channel.post.login", json!({ "qrDataUrl": "data:image/png;base64,AA", "message": "scan it" }))
        .answer("channel.post.login.wait", json!({ "connected": true, "message": "welcome" }))
}

#[test]
fn channels_are_started_stopped_and_logged_in_to() {
    let plugin = with_logins(&[
        "channel.post.send",
        "channel.post.start",
        "channel.post.stop",
        "channel.post.logout",
        "channel.post.login",
        "channel.post.login.wait",
    ])
    .start();
    let which = json!({ "channel": "Post", "accountId": "work" });
    for (method, expected) in [
        ("channels.start", json!({ "channel": "post", "accountId": "work", "started": true })),
        ("channels.stop", json!({ "channel": "post", "accountId": "work", "stopped": true })),
        ("channels.logout", json!({ "channel": "post", "accountId": "work", "cleared": true, "loggedOut": true })),
    ] {
        assert_eq!(plugin.call(method, which.clone()).payload(), expected);
    }
    let shown = plugin.call("web.login.start", json!({ "force": true, "timeoutMs": 5000 })).payload();
    assert_eq!(shown, json!({ "qrDataUrl": "data:image/png;base64,AA", "message": "scan it" }));
    assert_eq!(asked(&plugin, "channel.post.login"), [json!({ "force": true, "timeoutMs": 5000 })]);
    let waited = plugin.call("web.login.wait", json!({})).payload();
    assert_eq!(waited, json!({ "connected": true, "message": "welcome" }));
    assert_eq!(asked(&plugin, "channel.post.start").len(), 2, "a channel that was logged in to is started");
}

#[test]
fn what_a_channel_cannot_is_said() {
    let plugin = with_logins(&["channel.post.send"]).start();
    let refused = |method: &str, params: Value| plugin.call(method, params).error().message;
    assert_eq!(refused("channels.logout", json!({ "channel": "pigeon" })), "invalid channels.logout channel");
    assert_eq!(refused("channels.logout", json!({ "channel": "post" })), "channel post does not support logout");
    assert_eq!(refused("channels.start", json!({ "channel": "post" })), "channel post does not support start");
    assert_eq!(refused("web.login.start", json!({})), "web login provider is not available");
    let wrong = Harness::new::<Channels>().config(json!({ "rules": [{}, { "from": ["@ann"] }] })).create_error();
    assert!(wrong.contains("rules[1].from: \"@ann\" is a name"), "{wrong}");
}
