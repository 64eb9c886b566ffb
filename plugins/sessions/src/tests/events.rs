//! What subscribers hear.

use std::time::Duration;

use plugin_kit::{Running, Who, sample};
use serde_json::{Value, json};

use super::*;
use crate::watch::GATHER;

fn on(conn: u64) -> Who {
    Who::operator(&["operator.read"]).conn(conn)
}

/// With connections 1 and 2.
fn with_two() -> (Running, plugin_api::catalogue::ConnectionOpened) {
    let running = start();
    let second = sample::opened(2);
    running.open_connection(&second);
    (running, second)
}

fn heard(running: &Running, event: &str) -> Vec<(Vec<u64>, Value)> {
    let events = running.events().into_iter().filter(|emitted| emitted.name == event);
    events.map(|emitted| (emitted.conns.unwrap(), emitted.payload)).collect()
}

#[test]
fn a_session_is_told_of_once_in_a_while() {
    let (running, _) = with_two();
    append(&running, "main", json!([numbered(1)]));
    running.advance(Duration::from_secs(1));
    assert!(heard(&running, "sessions.changed").is_empty(), "nobody asked for it");
    assert_eq!(running.call_as(on(2), "sessions.subscribe", json!({})).payload(), json!({ "subscribed": true }));
    for number in 2..6 {
        append(&running, "main", json!([numbered(number)]));
    }
    append(&running, "b", json!([numbered(1)]));
    running.advance(GATHER);
    running.wait_until("both are told", |running| heard(running, "sessions.changed").len() == 2);
    let told = heard(&running, "sessions.changed");
    assert!(told.iter().all(|(conns, _)| conns == &[2]));
    let of_main =
        told.iter().map(|(_, payload)| payload).find(|payload| payload["sessionKey"] == "agent:main:main").unwrap();
    assert_eq!((&of_main["reason"], &of_main["agentId"]), (&json!("message"), &json!("main")));
    assert_eq!(
        (&of_main["session"]["key"], &of_main["session"]["lastMessagePreview"]),
        (&json!("agent:main:main"), &json!("text 5"))
    );

    running.call("sessions.delete", json!({ "key": "b" })).payload();
    running.advance(GATHER);
    running.wait_until("the deletion is told", |running| heard(running, "sessions.changed").len() == 3);
    let gone = heard(&running, "sessions.changed").pop().unwrap().1;
    assert_eq!(gone, json!({ "sessionKey": "agent:main:b", "agentId": "main", "reason": "delete" }));
    running.call_as(on(2), "sessions.unsubscribe", json!({})).payload();
    append(&running, "main", json!([numbered(7)]));
    running.advance(Duration::from_secs(1));
    assert_eq!(heard(&running, "sessions.changed").len(), 3);
}

#[test]
fn messages_are_told_in_order_to_those_who_hear_the_session() {
    let (running, _) = with_two();
    let params = json!({ "key": "main", "includeApprovals": true });
    let subscribed = running.call_as(on(1), "sessions.messages.subscribe", params).payload();
    assert_eq!(subscribed, json!({ "subscribed": true, "key": "agent:main:main" }));
    running.call_as(on(2), "sessions.messages.subscribe", json!({ "key": "b" })).payload();
    append(&running, "agent:main:main", json!([numbered(1), numbered(2)]));
    append(&running, "main", json!([numbered(2), numbered(3)]));
    let told = heard(&running, "session.message");
    let seen: Vec<_> = told
        .iter()
        .map(|(conns, payload)| {
            (conns[0], payload["messageId"].as_str().unwrap(), payload["messageSeq"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(seen, [(1, "m1", 1), (1, "m2", 2), (1, "m3", 3)]);
    assert_eq!(told[0].1["message"]["content"][0]["text"], "text 1");
    let off = running.call_as(on(1), "sessions.messages.unsubscribe", json!({ "key": "main" })).payload();
    assert_eq!(off, json!({ "subscribed": false, "key": "agent:main:main" }));
    append(&running, "main", json!([numbered(4)]));
    assert_eq!(heard(&running, "session.message").len(), 3);
}

#[test]
fn subscriptions_end_with_their_connection_and_are_bounded() {
    let running = harness().config(json!({ "max_subscriptions": 2 })).start();
    let second = sample::opened(2);
    running.open_connection(&second);
    running.call_as(on(2), "sessions.subscribe", json!({})).payload();
    let subscribe = |key: &str| running.call_as(on(2), "sessions.messages.subscribe", json!({ "key": key }));
    for key in ["main", "b", "main"] {
        subscribe(key).payload();
    }
    assert!(subscribe("c").error().message.contains("max_subscriptions"));
    running.call_as(on(2), "sessions.messages.unsubscribe", json!({ "key": "b" })).payload();
    subscribe("c").payload();
    running.close_connection(&sample::closed(&second));
    append(&running, "main", json!([numbered(1)]));
    running.advance(Duration::from_secs(1));
    assert!(heard(&running, "session.message").is_empty() && heard(&running, "sessions.changed").is_empty());
    let plugin = running.call_as(Who::plugin("agent"), "sessions.subscribe", json!({}));
    assert!(plugin.result.is_err(), "only a connection can hear");
}
