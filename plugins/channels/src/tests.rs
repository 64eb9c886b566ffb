mod inbound;
mod people;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use plugin_kit::{Harness, StubCall, Who};
use schemas::ErrorShape;
use serde_json::{Value, json};

use super::Channels;

fn registry(methods: &[&str]) -> Value {
    let row =
        |name: &&str| json!({"kind": "method", "plugin": "some", "spec": {"name": name, "params": {"deep": [1]}}});
    json!({"plugins": [], "methods": methods.iter().map(row).collect::<Vec<_>>(), "events": []})
}

fn with(methods: &[&str]) -> Harness {
    Harness::new::<Channels>().answer("host.registry.list", registry(methods))
}

fn telegram() -> Value {
    json!({
        "label": "Telegram", "detailLabel": "Telegram bot", "systemImage": "paperplane", "defaultAccountId": "bot",
        "summary": {"configured": true, "running": true},
        "accounts": [{"accountId": "bot", "configured": true, "connected": true, "lastInboundAt": null}],
    })
}

#[test]
fn without_channels_everything_is_empty() {
    let plugin = with(&["channels.status", "channel", "channel..status", "channel.x.send"]).start();
    for params in [json!({}), json!({"probe": false, "timeoutMs": 8000}), json!({"probe": null, "timeoutMs": null})] {
        let mut got = plugin.call_as(Who::operator(&["operator.read"]), "channels.status", params).payload();
        assert!(got["ts"].as_u64().is_some_and(|ts| ts > 1_700_000_000_000), "{got}");
        got["ts"] = json!(0);
        assert_eq!(
            got,
            json!({
                "ts": 0, "channelOrder": [], "channelLabels": {}, "channels": {}, "channelAccounts": {},
                "channelDefaultAccountId": {},
            })
        );
    }
}

#[test]
fn channels_are_shown_sorted_whatever_they_tell() {
    let plugin = with(&["channel.telegram.status", "channel.irc.status"])
        .answer("channel.telegram.status", telegram())
        .answer("channel.irc.status", json!({}))
        .start();
    let mut got = plugin.call("channels.status", json!({"probe": true, "timeoutMs": 2000.0})).payload();
    got["ts"] = json!(0);
    assert_eq!(
        got,
        json!({
            "ts": 0,
            "channelOrder": ["irc", "telegram"],
            "channelLabels": {"irc": "Irc", "telegram": "Telegram"},
            "channelDetailLabels": {"irc": "Irc", "telegram": "Telegram bot"},
            "channelSystemImages": {"telegram": "paperplane"},
            "channelMeta": [
                {"id": "irc", "label": "Irc", "detailLabel": "Irc"},
                {"id": "telegram", "label": "Telegram", "detailLabel": "Telegram bot", "systemImage": "paperplane"},
            ],
            "channels": {"irc": {"configured": false}, "telegram": {"configured": true, "running": true}},
            "channelAccounts": {"irc": [], "telegram": telegram()["accounts"]},
            "channelDefaultAccountId": {"irc": "default", "telegram": "bot"},
        })
    );
    let asked = plugin.asked().pop().unwrap();
    assert_eq!(asked.params, json!({"probe": true, "timeoutMs": 2000}));
    assert_eq!(asked.caller.role, "plugin", "readers have no right to internal methods of their own");
}

#[test]
fn one_channel_alone() {
    let plugin =
        with(&["channel.telegram.status", "channel.irc.status"]).answer("channel.telegram.status", telegram()).start();
    for (channel, order) in [("Telegram", json!(["telegram"])), ("fax", json!([]))] {
        let got = plugin.call("channels.status", json!({"channel": channel})).payload();
        assert_eq!(got["channelOrder"], order, "{channel}");
    }
}

#[test]
fn failing_and_late_channels_leave_the_others_alone() {
    let plugin = with(&["channel.bad.status", "channel.gone.status", "channel.late.status", "channel.telegram.status"])
        .answer_error("channel.bad.status", ErrorShape::unavailable("login refused"))
        .answer_with("channel.late.status", |_: StubCall| {})
        .answer("channel.telegram.status", telegram())
        .start();
    // Less than a second is not given.
    let call = plugin.begin("channels.status", json!({"probe": true, "timeoutMs": 10}));
    plugin.advance(Duration::from_millis(900));
    assert!(!call.is_done(), "the late one may still answer");
    plugin.advance(Duration::from_millis(100));
    let got = call.wait().payload();
    assert_eq!(got["channelOrder"], json!(["bad", "gone", "late", "telegram"]));
    assert_eq!(got["channels"]["bad"], json!({"configured": true, "lastError": "login refused"}));
    assert_eq!(
        got["channelAccounts"]["bad"],
        json!([{"accountId": "default", "configured": true, "lastError": "login refused"}])
    );
    for channel in ["gone", "late"] {
        assert!(got["channels"][channel]["lastError"].is_string(), "{got}");
    }
    assert_eq!(got["channels"]["telegram"], json!({"configured": true, "running": true}));
}

#[test]
fn all_are_asked_before_any_answers() {
    let waiting: Arc<Mutex<Vec<StubCall>>> = Arc::default();
    let mut harness = with(&["channel.a.status", "channel.b.status", "channel.c.status"]);
    for channel in ["a", "b", "c"] {
        let waiting = waiting.clone();
        harness =
            harness.answer_with(&format!("channel.{channel}.status"), move |call| waiting.lock().unwrap().push(call));
    }
    let plugin = harness.start();
    let call = plugin.begin("channels.status", json!({}));
    plugin.wait_until("three channels being asked", |_| waiting.lock().unwrap().len() == 3);
    for (place, asked) in waiting.lock().unwrap().drain(..).enumerate() {
        asked.finish(Ok(json!({"summary": {"configured": true, "place": place}})));
    }
    assert_eq!(call.wait().payload()["channelOrder"], json!(["a", "b", "c"]));
}

#[test]
fn access_params_and_failures() {
    let plugin =
        Harness::new::<Channels>().answer_error("host.registry.list", ErrorShape::unavailable("stopping")).start();
    plugin.call_as(Who::operator(&["operator.pairing"]), "channels.status", json!({})).error();
    plugin.call_as(Who::node(), "channels.status", json!({})).error();
    for wrong in [json!({"probe": "yes"}), json!({"timeoutMs": -1}), json!({"timeoutMs": 1.5}), json!({"all": true})] {
        let error = plugin.call("channels.status", wrong.clone()).error();
        assert!(error.message.starts_with("invalid channels.status params: "), "{wrong}: {}", error.message);
    }
    assert_eq!(plugin.call("channels.status", json!({})).error(), ErrorShape::unavailable("stopping"));
}

#[test]
fn nobody_waits_longer_than_the_caller() {
    let seconds = Duration::from_secs;
    assert_eq!(crate::status::timeout(None, None), seconds(10));
    assert_eq!(crate::status::timeout(Some(8000), Some(seconds(30))), seconds(8));
    assert_eq!(crate::status::timeout(Some(0), None), seconds(1));
    assert!(crate::status::timeout(Some(60_000), Some(seconds(5))) < seconds(5));
    assert!(crate::status::timeout(Some(60_000), Some(seconds(0))) > seconds(0), "0 would mean no timeout at all");
}
