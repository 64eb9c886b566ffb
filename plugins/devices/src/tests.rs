use std::sync::{Arc, Mutex};

use plugin_api::abi::{GWP_BUSY, extension};
use plugin_kit::{Harness, Running, StubCall, Who};
use schemas::ErrorShape;
use serde_json::{Value, json};

use super::Devices;

fn pending(request: &str) -> Value {
    json!({
        "requestId": request, "deviceId": "d1", "publicKey": "k1", "role": "operator", "roles": ["operator"],
        "scopes": ["operator.read"], "remoteIp": "192.0.2.7", "silent": false, "ts": 5,
    })
}

fn paired() -> Value {
    json!({
        "deviceId": "d1", "publicKey": "k1", "roles": ["operator"], "scopes": ["operator.read"],
        "tokens": [{"role": "operator", "scopes": ["operator.read"], "createdAtMs": 6}],
        "createdAtMs": 6, "approvedAtMs": 6,
    })
}

fn resolved(request: &str, decision: &str) -> Value {
    json!({"requestId": request, "deviceId": "d1", "decision": decision, "ts": 7})
}

fn manager() -> Who {
    Who::operator(&["operator.pairing", "operator.read"]).device("d9").remote("192.0.2.9")
}

/// A host that does what it is asked.
fn willing() -> Harness {
    Harness::new::<Devices>()
        .answer("host.pairing.list", json!({"pending": [pending("r1")], "paired": [paired()]}))
        .answer_with("host.pairing.approve", |call: StubCall| {
            call.finish(Ok(json!({"requestId": call.params()["requestId"], "device": paired()})));
        })
        .answer_with("host.pairing.reject", |call: StubCall| {
            call.finish(Ok(json!({"requestId": call.params()["requestId"], "deviceId": "d1"})));
        })
        .answer("host.pairing.remove", json!({"deviceId": "d1"}))
        .answer("host.pairing.rename", json!({"deviceId": "d1", "label": "Kitchen"}))
        .answer(
            "host.pairing.token.rotate",
            json!({
                "deviceId": "d1", "role": "operator", "tokenDelivery": "withheld-cross-device",
                "scopes": ["operator.read"], "rotatedAtMs": 8,
            }),
        )
        .answer("host.pairing.token.revoke", json!({"deviceId": "d1", "role": "operator", "revokedAtMs": 9}))
}

fn decisions(plugin: &Running) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let events = plugin.events().into_iter().filter(|event| event.name == "device.pair.resolved");
    events.map(|event| (text(&event.payload["requestId"]), text(&event.payload["decision"]))).collect()
}

#[test]
fn every_method_goes_to_the_host_with_the_callers_rights() {
    let plugin = willing().start();
    for (method, params, service, answer) in [
        ("device.pair.list", json!({}), "host.pairing.list", json!({"pending": [pending("r1")], "paired": [paired()]})),
        (
            "device.pair.approve",
            json!({"requestId": "r1", "scopes": ["operator.read"]}),
            "host.pairing.approve",
            json!({"requestId": "r1", "device": paired()}),
        ),
        (
            "device.pair.reject",
            json!({"requestId": "r2"}),
            "host.pairing.reject",
            json!({"requestId": "r2", "deviceId": "d1"}),
        ),
        ("device.pair.remove", json!({"deviceId": "d1"}), "host.pairing.remove", json!({"deviceId": "d1"})),
        (
            "device.pair.rename",
            json!({"deviceId": "d1", "label": "Kitchen"}),
            "host.pairing.rename",
            json!({"deviceId": "d1", "label": "Kitchen"}),
        ),
        (
            "device.token.rotate",
            json!({"deviceId": "d1", "role": "operator", "scopes": ["operator.read"]}),
            "host.pairing.token.rotate",
            json!({
                "deviceId": "d1", "role": "operator", "tokenDelivery": "withheld-cross-device",
                "scopes": ["operator.read"], "rotatedAtMs": 8,
            }),
        ),
        (
            "device.token.revoke",
            json!({"deviceId": "d1", "role": "operator"}),
            "host.pairing.token.revoke",
            json!({"deviceId": "d1", "role": "operator", "revokedAtMs": 9}),
        ),
    ] {
        assert_eq!(plugin.call_as(manager(), method, params.clone()).payload(), answer, "{method}");
        let asked = plugin.asked().pop().unwrap();
        assert_eq!((asked.method.as_str(), &asked.params), (service, &params), "{method}");
        assert_eq!(
            (asked.caller.role.as_str(), asked.caller.device_id.as_deref()),
            ("operator", Some("d9")),
            "{method}"
        );
    }
    assert_eq!(plugin.retained(), 0);
}

#[test]
fn absent_and_null_scopes_ask_for_no_narrowing() {
    let plugin = willing().start();
    for params in [json!({"requestId": "r1"}), json!({"requestId": "r1", "scopes": null})] {
        plugin.call("device.pair.approve", params).payload();
        assert_eq!(plugin.asked().pop().unwrap().params, json!({"requestId": "r1"}));
    }
}

#[test]
fn only_pairing_scope_lets_in() {
    let plugin = willing().start();
    let methods: Vec<String> = plugin.manifest().methods.iter().map(|method| method.name.clone()).collect();
    assert_eq!(methods.len(), 8);
    for method in methods {
        for who in [Who::operator(&["operator.read", "operator.write", "operator.approvals"]), Who::node()] {
            plugin.call_as(who, &method, json!({})).error();
        }
    }
    assert!(plugin.asked().is_empty());
    for event in plugin.manifest().events {
        assert_eq!(event.scopes, ["operator.pairing"], "{}", event.name);
    }
}

#[test]
fn wrong_params_never_reach_the_host() {
    let plugin = willing().start();
    for (method, params) in [
        ("device.pair.list", json!({"all": true})),
        ("device.pair.approve", json!({})),
        ("device.pair.approve", json!({"requestId": ""})),
        ("device.pair.approve", json!({"requestId": 7})),
        ("device.pair.approve", json!({"requestId": "r1", "scopes": [""]})),
        ("device.pair.approve", json!({"requestId": "r1", "force": true})),
        ("device.pair.reject", json!({"requestId": null})),
        ("device.pair.remove", json!({"deviceId": ""})),
        ("device.pair.rename", json!({"deviceId": "d1", "label": "x".repeat(65)})),
        ("device.token.rotate", json!({"deviceId": "d1"})),
        ("device.token.rotate", json!({"deviceId": "d1", "role": "operator", "scopes": "operator.read"})),
        ("device.token.revoke", json!({"deviceId": "d1", "role": ""})),
    ] {
        let error = plugin.call(method, params.clone()).error();
        assert_eq!(error.code, "INVALID_REQUEST", "{method} {params}");
        assert!(error.message.starts_with(&format!("invalid {method} params: ")), "{}", error.message);
    }
    assert!(plugin.asked().is_empty() && plugin.events().is_empty());
}

#[test]
fn the_hosts_errors_are_the_answer() {
    let denied = ErrorShape::missing_scope("operator.admin", &["operator.admin".to_string()]);
    let plugin = Harness::new::<Devices>()
        .answer_error("host.pairing.approve", ErrorShape::invalid_request("unknown requestId"))
        .answer_error("host.pairing.reject", ErrorShape::invalid_request("unknown requestId"))
        .answer_error("host.pairing.token.rotate", denied.clone())
        .answer_error("host.pairing.token.revoke", ErrorShape::invalid_request("unknown deviceId/role"))
        .start();
    for method in ["device.pair.approve", "device.pair.reject"] {
        let error = plugin.call_as(manager(), method, json!({"requestId": "r1"})).error();
        assert_eq!(error, ErrorShape::invalid_request("unknown requestId"), "{method}");
    }
    let token = json!({"deviceId": "d1", "role": "operator"});
    assert_eq!(plugin.call_as(manager(), "device.token.rotate", token.clone()).error(), denied);
    let error = plugin.call_as(manager(), "device.token.revoke", token).error();
    assert_eq!(error, ErrorShape::invalid_request("unknown deviceId/role"));
    assert!(plugin.events().is_empty(), "nothing was decided");
}

#[test]
fn a_request_is_announced_as_it_is() {
    let plugin = willing().start();
    plugin.publish("host.pairing.requested", pending("r1"));
    let event = plugin.wait_event("device.pair.requested");
    assert_eq!(event.payload, pending("r1"));
    assert!(event.droppable && event.conns.is_none() && !event.stamped);
}

#[test]
fn a_decision_made_elsewhere_is_announced() {
    let plugin = willing().start();
    plugin.publish("host.pairing.resolved", resolved("r1", "approved"));
    let event = plugin.wait_event("device.pair.resolved");
    assert_eq!(event.payload, resolved("r1", "approved"));
    assert!(event.droppable);
}

#[test]
fn the_event_is_out_before_the_answer_and_only_once() {
    let plugin = willing().start();
    plugin.call("device.pair.approve", json!({"requestId": "r1"})).payload();
    assert_eq!(decisions(&plugin), [("r1".into(), "approved".into())], "before the host's notice");
    plugin.publish("host.pairing.resolved", resolved("r1", "approved"));
    assert_eq!(decisions(&plugin).len(), 1, "the notice is the same decision");

    plugin.call("device.pair.reject", json!({"requestId": "r2"})).payload();
    plugin.publish("host.pairing.resolved", resolved("r2", "rejected"));
    assert_eq!(decisions(&plugin)[1..], [("r2".into(), "rejected".into())]);
}

#[test]
fn a_notice_that_outruns_the_answer_is_the_only_event() {
    let kept: Arc<Mutex<Option<StubCall>>> = Arc::default();
    let keep = kept.clone();
    let plugin = Harness::new::<Devices>()
        .answer_with("host.pairing.approve", move |call| *keep.lock().unwrap() = Some(call))
        .start();
    let call = plugin.begin("device.pair.approve", json!({"requestId": "r1"}));
    plugin.wait_until("the host being asked", |_| kept.lock().unwrap().is_some());
    plugin.publish("host.pairing.resolved", resolved("r1", "approved"));
    assert_eq!(decisions(&plugin).len(), 1);
    let host = kept.lock().unwrap().take().unwrap();
    host.finish(Ok(json!({"requestId": "r1", "device": paired()})));
    call.wait().payload();
    assert_eq!(decisions(&plugin).len(), 1);
}

#[test]
fn many_silent_approvals_are_forgotten_but_announced() {
    let plugin = willing().start();
    for number in 0..300 {
        plugin.publish("host.pairing.resolved", resolved(&format!("r{number}"), "approved"));
    }
    assert_eq!(decisions(&plugin).len(), 300);
}

#[test]
fn an_event_that_cannot_go_out_fails_no_decision() {
    let plugin = willing().start();
    plugin.refuse("emit", GWP_BUSY);
    plugin.call("device.pair.approve", json!({"requestId": "r1"})).payload();
    assert!(plugin.logs().iter().any(|line| line.level == 2 && line.message.contains("device.pair.resolved")));
}

#[test]
fn after_quiesce_it_is_silent_but_answers() {
    let plugin = willing().start();
    plugin.quiesce();
    assert_eq!(plugin.subscriptions(), 0);
    plugin.publish("host.pairing.requested", pending("r1"));
    assert!(plugin.events().is_empty());
    plugin.call("device.pair.list", json!({})).payload();
}

#[test]
fn a_host_without_events_is_refused() {
    assert!(Harness::new::<Devices>().without(extension::EVENTS).create_error().contains("gwp.events/1"));
}
