//! What goes out, and what is said of what did not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::stand_in::ok;

fn message(more: Value) -> Value {
    let mut message = json!({ "to": "7", "text": "Hello", "idempotencyKey": "k" });
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

fn send(plugin: &Running, more: Value) -> Outcome {
    ask(plugin, "send", message(more))
}

/// What an error says to programs, and to people.
fn told(outcome: Outcome) -> (String, String) {
    let error = outcome.error();
    let code = error.details.as_ref().map(|details| details["code"].as_str().unwrap_or_default().to_string());
    (code.unwrap_or_else(|| error.code.clone()), error.message)
}

fn pair(code: &str, message: &str) -> (String, String) {
    (code.to_string(), format!("telegram: {message}"))
}

#[test]
fn a_message_says_all_that_it_was_given() {
    let api = BotApi::start();
    let plugin = start(&api, json!({}));
    for (more, expected) in [
        (json!({}), json!({ "chat_id": 7, "text": "Hello", "parse_mode": "HTML" })),
        (json!({ "to": "@the_news" }), json!({ "chat_id": "@the_news", "text": "Hello", "parse_mode": "HTML" })),
        (
            json!({ "to": "telegram:-1001:topic:3", "text": "a **b** <c>", "replyTo": "12", "silent": true }),
            json!({ "chat_id": -1001, "message_thread_id": 3, "text": "a <b>b</b> &lt;c&gt;", "parse_mode": "HTML",
                    "disable_notification": true,
                    "reply_parameters": { "message_id": 12, "allow_sending_without_reply": true } }),
        ),
        (
            json!({ "to": "-1001", "threadId": "4" }),
            json!({ "chat_id": -1001, "message_thread_id": 4, "text": "Hello", "parse_mode": "HTML" }),
        ),
        (json!({ "to": "-1001:topic:1" }), json!({ "chat_id": -1001, "text": "Hello", "parse_mode": "HTML" })),
    ] {
        let sent = send(&plugin, more.clone()).payload();
        assert_eq!(api.params("sendMessage").pop().unwrap(), expected, "{more}");
        assert!(sent["messageId"].is_string() && sent["chatId"].is_string(), "{sent}");
    }
    let plain = start(&api, json!({ "text_format": "plain", "link_preview": false }));
    send(&plain, json!({ "text": "a **b**" })).payload();
    let expected = json!({ "chat_id": 7, "text": "a **b**", "link_preview_options": { "is_disabled": true } });
    assert_eq!(api.params("sendMessage").pop().unwrap(), expected);
    assert!(account(&plugin)["lastOutboundAt"].is_u64());
    for (more, words) in [
        (json!({ "to": "nobody" }), "BAD_TARGET"),
        (json!({ "replyTo": "x" }), "BAD_TARGET"),
        (json!({ "text": " " }), "INVALID_REQUEST"),
        (json!({ "media": [{}] }), "INVALID_REQUEST"),
        (json!({ "media": [{ "data": "*" }] }), "INVALID_REQUEST"),
        (json!({ "media": [{ "url": "http://10.0.0.1/x.png" }] }), "INVALID_REQUEST"),
    ] {
        assert_eq!(told(send(&plugin, more.clone())).0, words, "{more}");
    }
    assert_silent(&plugin);
}

#[test]
fn what_telegram_cannot_read_as_markup_is_sent_as_it_stands() {
    let api = BotApi::start();
    api.script("sendMessage", refusal(400, "Bad Request: can't parse entities: oh", json!({})));
    let plugin = start(&api, json!({}));
    send(&plugin, json!({ "text": "a **b**" })).payload();
    let asked = api.params("sendMessage");
    assert_eq!(
        (&asked[0]["text"], &asked[1]["text"], asked[1].get("parse_mode")),
        (&json!("a <b>b</b>"), &json!("a **b**"), None)
    );
}

#[test]
fn a_long_text_becomes_several_messages() {
    let api = BotApi::start();
    let plugin = start(&api, json!({}));
    let text = format!("{}\n\n{}\n\nend", "a".repeat(4000), "b".repeat(4000));
    let sent = send(&plugin, json!({ "text": text, "replyTo": "3" })).payload();
    let asked = api.params("sendMessage");
    let lengths: Vec<usize> = asked.iter().map(|asked| asked["text"].as_str().unwrap().len()).collect();
    assert_eq!((lengths, &sent["messageId"]), (vec![4000, 4005], &json!("502")));
    assert_eq!((asked[0].get("reply_parameters").is_some(), asked[1].get("reply_parameters")), (true, None));

    api.script("sendMessage", ok(json!({ "message_id": 1, "chat": { "id": 7 } })));
    api.script("sendMessage", refusal(403, "Forbidden: bot was blocked by the user", json!({})));
    let expected = pair("OUTCOME_UNKNOWN", "1 of 2 messages went out, then: this person has blocked the bot");
    assert_eq!(told(send(&plugin, json!({ "text": text }))), expected);
}

#[test]
fn what_did_not_go_out_is_told_from_what_nobody_knows() {
    let api = BotApi::start();
    let plugin = start(&api, json!({ "request_timeout_ms": 400 }));
    let broke = "the connection to Telegram broke, or its server failed";
    for (acts, expected) in [
        (
            refusal(400, "Bad Request: chat not found", json!({})),
            pair("NOT_SENT", "there is no such chat, or the bot cannot write there; people have to write to it first"),
        ),
        (
            refusal(403, "Forbidden: bot was blocked by the user", json!({})),
            pair("NOT_SENT", "this person has blocked the bot"),
        ),
        (refusal(400, "Bad Request: something new", json!({})), pair("NOT_SENT", "Telegram refused this (400)")),
        (refusal(401, "Unauthorized", json!({})), pair("NOT_SENT", "Telegram refuses the token")),
        (
            whole("302 Found", "location: https://elsewhere.example\r\n", ""),
            pair("NOT_SENT", "Telegram refused this (302)"),
        ),
        (refusal(500, "Internal Server Error", json!({})), pair("OUTCOME_UNKNOWN", broke)),
        (whole("502 Bad Gateway", "", "<html>"), pair("OUTCOME_UNKNOWN", broke)),
        (whole("200 OK", "", "not JSON"), pair("OUTCOME_UNKNOWN", broke)),
        (ok(json!({ "odd": 1 })), pair("OUTCOME_UNKNOWN", broke)),
        (vec![Act::Close], pair("OUTCOME_UNKNOWN", broke)),
        (
            vec![Act::Write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()), Act::Close],
            pair("OUTCOME_UNKNOWN", broke),
        ),
        (vec![Act::AwaitClose], pair("OUTCOME_UNKNOWN", broke)),
    ] {
        api.script("sendMessage", acts.clone());
        assert_eq!(told(send(&plugin, json!({}))), expected, "{acts:?}");
    }
    assert_silent(&plugin);
    // Nobody listens here.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = start(&api, json!({ "base_url": format!("http://127.0.0.1:{port}") }));
    let error = send(&away, json!({})).error();
    assert_eq!((&error.details.unwrap()["code"], error.retryable), (&json!("NOT_SENT"), Some(true)));
    assert_silent(&away);
}

#[test]
fn a_limit_is_waited_for_if_there_is_time() {
    let api = BotApi::start();
    let plugin = start(&api, json!({}));
    api.script("sendMessage", refusal(429, "Too Many Requests: retry after 1", json!({ "retry_after": 1 })));
    send(&plugin, json!({})).payload();
    assert_eq!(api.asked("sendMessage").len(), 2);
    api.script("sendMessage", refusal(429, "Too Many Requests: retry after 3000", json!({ "retry_after": 3000 })));
    let error = send(&plugin, json!({})).error();
    assert_eq!((&error.details.unwrap()["code"], error.retry_after_ms), (&json!("NOT_SENT"), Some(3_000_000)));
    api.script("sendMessage", refusal(429, "Too Many Requests", json!({ "retry_after": u64::MAX })));
    assert_eq!(send(&plugin, json!({})).error().retry_after_ms, Some(30 * 24 * 60 * 60 * 1000), "a time to add to");
}

#[test]
fn a_group_with_a_new_number_is_followed_once() {
    let api = BotApi::start();
    let plugin = start(&api, json!({}));
    let moved = |to: i64| {
        refusal(400, "Bad Request: group chat was upgraded to a supergroup chat", json!({ "migrate_to_chat_id": to }))
    };
    api.script("sendMessage", moved(-1005));
    let sent = send(&plugin, json!({ "to": "-5" })).payload();
    assert_eq!((&sent["chatId"], &api.params("sendMessage")[1]["chat_id"]), (&json!("-1005"), &json!(-1005)));
    api.script("sendMessage", moved(-1006));
    api.script("sendMessage", moved(-1007));
    assert_eq!(told(send(&plugin, json!({ "to": "-6" }))).0, "NOT_SENT");
}

#[test]
fn files_go_by_address_or_as_they_are() {
    let api = BotApi::start();
    let plugin = start(&api, json!({ "max_upload_bytes": 100 }));
    let by_url = |url: &str| json!([{ "url": url }]);
    send(&plugin, json!({ "media": by_url("https://x.example/a.png?b=1") })).payload();
    let photo =
        json!({ "chat_id": 7, "photo": "https://x.example/a.png?b=1", "caption": "Hello", "parse_mode": "HTML" });
    assert_eq!(api.params("sendPhoto")[0], photo);
    send(&plugin, json!({ "text": "", "gifPlayback": true, "media": by_url("https://x.example/a.mp4") })).payload();
    assert_eq!(api.params("sendAnimation")[0], json!({ "chat_id": 7, "animation": "https://x.example/a.mp4" }));

    let bytes = [0u8, 255, 13, 10, 7];
    let media = json!([
        { "data": STANDARD.encode(bytes), "mimeType": "application/pdf", "fileName": "a \"b\".pdf" },
        { "data": STANDARD.encode(b"ogg"), "mimeType": "audio/ogg; codecs=opus" },
    ]);
    send(&plugin, json!({ "to": "-1001:topic:3", "text": "**two**", "media": media, "silent": true })).payload();
    let form = api.asked("sendDocument").remove(0);
    assert!(form.header("content-type").unwrap().starts_with("multipart/form-data; boundary="));
    for part in [
        "name=\"chat_id\"\r\n\r\n-1001\r\n",
        "name=\"caption\"\r\n\r\n<b>two</b>\r\n",
        "name=\"message_thread_id\"\r\n\r\n3\r\n",
        "name=\"disable_notification\"\r\n\r\ntrue\r\n",
        "name=\"document\"; filename=\"a %22b%22.pdf\"\r\ncontent-type: application/pdf\r\n\r\n",
    ] {
        assert!(form.body.contains(part), "{part} in {}", form.body);
    }
    assert!(form.bytes.windows(bytes.len()).any(|window| window == bytes), "the bytes are as they were");
    assert!(!api.asked("sendVoice")[0].body.contains("caption"), "only the first file has the text");

    let long = "a".repeat(1025);
    send(&plugin, json!({ "text": long, "media": by_url("https://x.example/a.png") })).payload();
    assert_eq!(
        (api.params("sendPhoto")[1].get("caption"), &api.params("sendMessage")[0]["text"]),
        (None, &json!(long))
    );

    let large = json!([{ "data": STANDARD.encode([0; 101]), "mimeType": "image/png" }]);
    assert!(told(send(&plugin, json!({ "media": large }))).1.contains("max_upload_bytes (100)"));
}

#[test]
fn a_picture_that_telegram_does_not_show_goes_as_a_file() {
    let api = BotApi::start();
    let plugin = start(&api, json!({}));
    api.script("sendPhoto", refusal(400, "Bad Request: PHOTO_INVALID_DIMENSIONS", json!({})));
    send(&plugin, json!({ "media": [{ "data": STANDARD.encode(b"png"), "mimeType": "image/png" }] })).payload();
    assert_eq!((api.asked("sendPhoto").len(), api.asked("sendDocument").len()), (1, 1));
    api.script("sendPhoto", refusal(400, "Bad Request: failed to get HTTP URL content", json!({})));
    let expected = pair("NOT_SENT", "Telegram could not fetch the file from its address");
    assert_eq!(told(send(&plugin, json!({ "media": [{ "url": "https://x.example/a.png" }] }))), expected);
}

#[test]
fn a_file_of_this_machine_is_fetched_here() {
    let api = BotApi::start();
    let files = outside::stand_in::Server::start(|asked| match asked.what.as_str() {
        "GET /a.png" => whole("200 OK", "", "a picture"),
        _ => whole("404 Not Found", "", ""),
    });
    let plugin = start(&api, json!({}));
    send(&plugin, json!({ "media": [{ "url": format!("{}/a.png", files.url) }] })).payload();
    assert!(
        api.asked("sendPhoto")[0].body.contains("filename=\"a.png\"\r\ncontent-type: image/png\r\n\r\na picture\r\n")
    );
    let missing = told(send(&plugin, json!({ "media": [{ "url": format!("{}/b.png", files.url) }] })));
    assert_eq!(missing, pair("INVALID_REQUEST", "a file of this machine could not be fetched"));
}

#[test]
fn a_poll_is_asked_as_telegram_takes_it() {
    let api = BotApi::start();
    let plugin = start(&api, json!({}));
    let poll = json!({ "to": "-1001", "question": "When?", "options": ["now", "later"], "maxSelections": 2, "idempotencyKey": "k" });
    let sent = ask(&plugin, "poll", poll.clone()).payload();
    assert_eq!((&sent["pollId"], &sent["chatId"]), (&json!("poll-1"), &json!("-1001")));
    let expected = json!({ "chat_id": -1001, "question": "When?", "options": [{ "text": "now" }, { "text": "later" }],
                           "allows_multiple_answers": true });
    assert_eq!(api.params("sendPoll")[0], expected);
    for (field, value) in
        [("durationHours", json!(1)), ("question", json!("x".repeat(301))), ("options", json!(["a", " "]))]
    {
        let mut wrong = poll.clone();
        wrong[field] = value;
        assert_eq!(told(ask(&plugin, "poll", wrong)).0, "INVALID_REQUEST", "{field}");
    }
}

#[test]
fn a_target_is_known_or_asked_for_once() {
    let api = BotApi::start();
    let plugin = start(&api, json!({}));
    for (to, expected) in [
        ("telegram:7", json!({ "to": "7", "chatType": "direct" })),
        ("@the_news", json!({ "to": "-1009", "chatType": "channel", "label": "News" })),
        ("@The_News", json!({ "to": "-1009", "chatType": "channel", "label": "News" })),
        ("-1001:topic:7", json!({ "to": "-1001:topic:7", "chatType": "group", "label": "Team" })),
    ] {
        assert_eq!(ask(&plugin, "resolve", json!({ "to": to })).payload(), expected, "{to}");
    }
    assert_eq!(api.asked("getChat").len(), 2);
    for wrong in ["@nobody", "nonsense", ""] {
        assert_eq!(told(ask(&plugin, "resolve", json!({ "to": wrong }))).0, "BAD_TARGET", "{wrong}");
    }
    api.script("getChat", vec![Act::Close]);
    let unasked = ask(&plugin, "resolve", json!({ "to": "-1002" })).payload();
    assert_eq!(unasked, json!({ "to": "-1002", "chatType": "group" }), "it can be sent to all the same");
}

#[test]
fn people_see_that_the_bot_writes() {
    let api = BotApi::start();
    let plugin = start(&api, json!({}));
    ask(&plugin, "typing", json!({ "to": "-1001", "threadId": "1" })).payload();
    let expected = json!({ "chat_id": -1001, "message_thread_id": 1, "action": "typing" });
    assert_eq!(api.params("sendChatAction")[0], expected);
    api.script("sendChatAction", vec![Act::Close]);
    assert_eq!(
        ask(&plugin, "typing", json!({ "to": "7" })).error().message,
        "telegram: it could not be shown that the bot writes"
    );
}
