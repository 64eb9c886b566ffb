//! What comes in by polling: handed over once, in order, and confirmed only then.

use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemas::ErrorShape;

use super::*;
use crate::stand_in::{BOT, ok};

#[test]
fn a_message_is_handed_over_and_then_confirmed() {
    let api = BotApi::start();
    let id = api.push("message", direct("Hello"));
    let plugin = start(&api, json!({}));
    plugin.wait_until("it is confirmed", |_| api.unconfirmed().is_empty());
    let message = &handed(&plugin)[0];
    assert_eq!(
        (&message["text"], &message["messageId"], &message["accountId"]),
        (&json!("Hello"), &json!("5"), &json!("default"))
    );
    let place: Value = serde_json::from_str(&plugin.kv("offset/default").unwrap()).unwrap();
    assert_eq!((&place["bot"], &place["offset"]), (&json!(BOT), &json!(id + 1)));
    let asked = api.params("getUpdates").remove(0);
    assert_eq!(asked["allowed_updates"], json!(["message", "edited_message", "channel_post", "edited_channel_post"]));
    assert_eq!((asked.get("offset"), &asked["timeout"]), (None, &json!(1)));
    let row = account(&plugin);
    assert!(row["lastInboundAt"].is_u64() && row["lastError"].is_null(), "{row}");
    assert_silent(&plugin);
}

#[test]
fn a_message_that_is_not_taken_comes_again_before_the_next() {
    let api = BotApi::start();
    let failures = Mutex::new(3);
    let (harness, _folder) = harness(&api, json!({}));
    let plugin = harness
        .answer_with("channels.inbound", move |call| {
            let mut left = failures.lock().unwrap();
            *left -= i32::from(*left > 0);
            call.finish(match *left > 0 {
                true => Err(ErrorShape::unavailable("the disk is full")),
                false => Ok(json!({ "verdict": "run" })),
            });
        })
        .start();
    api.push("message", direct("one"));
    api.push("edited_message", direct("two"));
    plugin.wait_until("both are confirmed", |_| api.unconfirmed().is_empty());
    assert_eq!(texts(&plugin), ["one", "one", "one", "two"]);
    assert_eq!(handed(&plugin)[3]["edited"], true);
}

#[test]
fn nothing_is_confirmed_before_it_is_taken() {
    let api = BotApi::start();
    let kept = std::sync::Arc::new(Mutex::new(None));
    let (harness, _folder) = harness(&api, json!({}));
    let keep = kept.clone();
    let plugin = harness.answer_with("channels.inbound", move |call| *keep.lock().unwrap() = Some(call)).start();
    let id = api.push("message", direct("one"));
    plugin.wait_until("it is handed over", |_| kept.lock().unwrap().is_some());
    assert_eq!((api.unconfirmed(), plugin.kv("offset/default")), (vec![id], None));
    let call = kept.lock().unwrap().take().unwrap();
    call.finish(Ok(json!({ "verdict": "ignored" })));
    plugin.wait_until("it is confirmed", |_| api.unconfirmed().is_empty());
}

#[test]
fn a_place_that_cannot_be_kept_is_not_asked_for_without_a_pause() {
    let api = BotApi::start();
    let plugin = start(&api, json!({ "retry_min_ms": 3_000, "retry_max_ms": 3_000 }));
    plugin.wait_until("the bot runs", |plugin| account(plugin)["running"] == true);
    plugin.fail_writes("the disk is full");
    api.push("message", direct("one"));
    plugin.wait_until("it is handed over", |plugin| !texts(plugin).is_empty());
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(texts(&plugin), ["one"]);
}

#[test]
fn a_message_that_is_wrong_for_good_holds_nobody_up() {
    let api = BotApi::start();
    let (harness, _folder) = harness(&api, json!({}));
    let plugin = harness
        .answer_with("channels.inbound", |call| {
            call.finish(match call.params()["text"] == "wrong" {
                true => Err(ErrorShape::invalid_request("no")),
                false => Ok(json!({ "verdict": "run" })),
            });
        })
        .start();
    api.push("message", direct("wrong"));
    api.push("message", direct("right"));
    plugin.wait_until("both are confirmed", |_| api.unconfirmed().is_empty());
    assert_eq!(texts(&plugin), ["wrong", "right"]);
    assert!(plugin.logs().iter().any(|line| line.message.contains("passed over")));
}

#[test]
fn what_is_not_understood_is_passed_over() {
    let api = BotApi::start();
    api.push("a_kind_of_the_future", json!({ "id": [] }));
    api.push("message", json!({ "chat": "nonsense" }));
    api.push(
        "message",
        json!({ "message_id": 1, "chat": { "id": -1, "type": "a_kind_of_the_future" }, "a_field": {} }),
    );
    api.push("message", direct("Hello"));
    let plugin = start(&api, json!({}));
    plugin.wait_until("all are confirmed", |_| api.unconfirmed().is_empty());
    assert_eq!(texts(&plugin), ["Hello"]);
}

#[test]
fn edits_can_be_left_out() {
    let api = BotApi::start();
    api.push("edited_message", direct("edited"));
    api.push(
        "channel_post",
        json!({ "message_id": 1, "text": "post", "chat": { "id": -1009, "type": "channel", "title": "News" },
                                     "sender_chat": { "id": -1009, "type": "channel", "title": "News" } }),
    );
    let plugin = start(&api, json!({ "edits": false }));
    plugin.wait_until("all are confirmed", |_| api.unconfirmed().is_empty());
    assert_eq!(texts(&plugin), ["post"]);
}

#[test]
fn failures_of_the_server_are_waited_out() {
    let api = BotApi::start();
    for acts in [
        refusal(409, "Conflict: terminated by other getUpdates request", json!({})),
        refusal(429, "Too Many Requests: retry after 1", json!({ "retry_after": 1 })),
        refusal(500, "Internal Server Error", json!({})),
        whole("502 Bad Gateway", "", "<html>"),
        whole("200 OK", "", "not JSON"),
        ok(json!({ "not": "a list" })),
        vec![Act::Write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec()), Act::Close],
        vec![Act::Close],
        refusal(409, "Conflict: can't use getUpdates method while webhook is active", json!({})),
    ] {
        api.script("getUpdates", acts);
    }
    api.script("getMe", whole("502 Bad Gateway", "", ""));
    api.push("message", direct("at last"));
    let plugin = start(&api, json!({}));
    plugin.wait_until("it is confirmed", |_| api.unconfirmed().is_empty());
    assert_eq!(texts(&plugin), ["at last"]);
    assert_eq!(api.asked("deleteWebhook").len(), 1, "a webhook that was left is removed");
    assert_eq!(account(&plugin)["lastError"], Value::Null);
    assert_silent(&plugin);
}

#[test]
fn a_bad_token_ends_it_and_a_start_tries_again() {
    let api = BotApi::start();
    api.script("getMe", refusal(401, "Unauthorized", json!({})));
    let plugin = start(&api, json!({}));
    plugin.wait_until("it is told", |plugin| {
        account(plugin)["lastError"].as_str().is_some_and(|error| error.contains("refuses the token"))
    });
    assert_eq!((account(&plugin)["running"].clone(), api.asked("getUpdates").len()), (json!(false), 0));
    ask(&plugin, "start", json!({})).payload();
    plugin.wait_until("the bot runs", |plugin| account(plugin)["running"] == true);
    api.script("getUpdates", refusal(401, "Unauthorized", json!({})));
    plugin.wait_until("it is over", |plugin| account(plugin)["running"] == false);
    assert_silent(&plugin);
}

#[test]
fn an_end_does_not_wait_for_an_open_question() {
    let api = BotApi::start();
    api.script("getUpdates", vec![Act::AwaitClose]);
    let plugin = start(&api, json!({ "poll_timeout_s": 50 }));
    plugin.wait_until("it asks", |_| api.asked("getUpdates").len() == 1);
    plugin.quiesce();
    api.wait_closed();
    assert_eq!(api.asked("getUpdates").len(), 1);
}

#[test]
fn the_next_instance_goes_on_where_the_last_one_was() {
    let api = BotApi::start();
    let first = start(&api, json!({}));
    api.push("message", direct("one"));
    first.wait_until("its place is kept", |first| first.kv("offset/default").is_some());
    let kept = first.kv_entries();
    first.stop();
    api.push("message", direct("two"));
    let (second, _folder) = harness(&api, json!({}));
    let second = kept.iter().fold(second, |second, (key, value)| second.kv(key, value.clone()));
    let second = second.answer("channels.inbound", json!({ "verdict": "run" })).start();
    second.wait_until("it is confirmed", |_| api.unconfirmed().is_empty());
    assert_eq!((texts(&first), texts(&second)), (vec!["one".to_string()], vec!["two".to_string()]));
}

#[test]
fn a_place_of_another_bot_or_of_long_ago_means_nothing() {
    for (bot, at) in [(BOT + 1, schemas::now_ms()), (BOT, 0)] {
        let api = BotApi::start();
        api.push("message", direct("one"));
        let (harness, _folder) = harness(&api, json!({}));
        let place = json!({ "bot": bot, "offset": 9_999_999, "at": at }).to_string();
        let plugin =
            harness.kv("offset/default", place).answer("channels.inbound", json!({ "verdict": "run" })).start();
        plugin.wait_until("it is handed over", |plugin| texts(plugin) == ["one"]);
    }
}

#[test]
fn files_come_along_up_to_a_limit() {
    let api = BotApi::start();
    let with = |more: Value| {
        let mut message = direct("");
        message.as_object_mut().unwrap().remove("text");
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message
    };
    api.push("message", with(json!({ "caption": "look", "photo": [{ "file_id": "p", "width": 1, "height": 1 }] })));
    api.push("message", with(json!({ "document": { "file_id": "d", "file_name": "big.zip", "file_size": 101 } })));
    api.push("message", with(json!({ "voice": { "file_id": "v", "mime_type": "audio/ogg" } })));
    let plugin = start(&api, json!({ "max_media_bytes": 100 }));
    plugin.wait_until("all are confirmed", |_| api.unconfirmed().is_empty());
    let all = handed(&plugin);
    let photo =
        json!([{ "data": STANDARD.encode(b"\xff\xd8 a photo"), "mimeType": "image/jpeg", "fileName": "p.jpg" }]);
    assert_eq!((&all[0]["text"], &all[0]["media"]), (&json!("look"), &photo));
    assert_eq!(all[1]["text"], "[document big.zip: larger than 100 bytes, and not fetched]");
    assert_eq!((&all[2]["media"][0]["mimeType"], all[1].get("media")), (&json!("audio/ogg"), None));

    api.file(&[7; 101]);
    api.push("message", with(json!({ "photo": [{ "file_id": "q" }] })));
    plugin.wait_until("it is confirmed", |_| api.unconfirmed().is_empty());
    assert_eq!(texts(&plugin)[3], "[photo: larger than 100 bytes, and not fetched]", "whatever was said of its size");
    api.script("getFile", whole("502 Bad Gateway", "", ""));
    api.script("getFile", refusal(400, "Bad Request: wrong file_id", json!({})));
    api.push("message", with(json!({ "photo": [{ "file_id": "r" }] })));
    plugin.wait_until("it is confirmed", |_| api.unconfirmed().is_empty());
    assert_eq!(texts(&plugin)[4], "[photo: could not be fetched]");
    for path in ["/etc/passwd", "../secret", "a b"] {
        api.script("getFile", ok(json!({ "file_id": "s", "file_path": path })));
        let before = texts(&plugin).len();
        api.push("message", with(json!({ "photo": [{ "file_id": "s" }] })));
        plugin.wait_until("it is confirmed", |_| api.unconfirmed().is_empty());
        assert_eq!(texts(&plugin)[before], "[photo: could not be fetched]", "{path}");
    }
    assert_silent(&plugin);
}

#[test]
fn each_account_has_a_bot_of_its_own() {
    let (one, other) = (BotApi::start(), BotApi::start());
    let folder = tempfile::tempdir().unwrap();
    let file = write_token(folder.path(), TOKEN);
    let config = json!({ "poll_timeout_s": 1, "retry_min_ms": 10, "default_account": "b", "accounts": {
        "a": { "token_file": file, "base_url": one.url(), "name": "First" },
        "b": { "token_file": file, "base_url": other.url() },
    } });
    let plugin = Harness::registered("telegram").config(config).real_time();
    let plugin = plugin.answer("channels.inbound", json!({ "verdict": "run" })).start();
    one.push("message", direct("to one"));
    plugin.wait_until("a message", |plugin| texts(plugin) == ["to one"]);
    assert_eq!(handed(&plugin)[0]["accountId"], "a");
    ask(&plugin, "send", json!({ "to": "7", "text": "x", "idempotencyKey": "k" })).payload();
    ask(&plugin, "send", json!({ "to": "7", "text": "x", "accountId": "a", "idempotencyKey": "l" })).payload();
    assert_eq!((one.asked("sendMessage").len(), other.asked("sendMessage").len()), (1, 1));
    let report = ask(&plugin, "status", json!({})).payload();
    assert_eq!((&report["defaultAccountId"], &report["accounts"][0]["name"]), (&json!("b"), &json!("First")));
}
