//! `channel.signal.send` and `.typing`.

use super::*;

/// A daemon that does this with a message, and a plugin that speaks with it.
fn with(way: &str, more: Value, reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Daemon, Running) {
    let daemon = Daemon::start(move |asked| match asked.method.as_str() {
        "send" => reply(asked),
        _ => Reply::Result(json!({})),
    });
    let plugin = harness(address(&daemon, way), more).start();
    (daemon, plugin)
}

fn one(kind: &str) -> Value {
    json!({ "response": { "timestamp": 5, "results": [{ "recipientAddress": { "number": ADA }, "type": kind }] } })
}

#[test]
fn a_message_goes_out_over_either_way() {
    for way in WAYS {
        let daemon = Daemon::obliging(ME);
        let plugin = harness(address(&daemon, way), json!({})).start();
        let sent = send(&plugin, json!({ "text": "😀 **bold** `x`" })).payload();
        assert_eq!(sent, json!({ "messageId": "1700000000001", "chatId": ADA }));
        let asked = daemon.asked("send").remove(0);
        assert_eq!(
            asked,
            json!({ "recipient": [ADA], "message": "😀 bold x", "textStyle": ["3:4:BOLD", "8:1:MONOSPACE"], "account": ME })
        );
    }
}

#[test]
fn each_kind_of_target_and_everything_with_it() {
    let daemon = Daemon::obliging(ME);
    let plugin = harness(&daemon.http, json!({ "markdown": false })).start();
    let uuid = uuid_of(ADA);
    let group = "Pmpi+EfPWmsxiomLe9Nx2XF9HOE483p6iKiFj65iMwI=";
    for (to, name, value) in [
        (format!("signal:{uuid}"), "recipient", json!([uuid])),
        ("u:ada.01".to_string(), "recipient", json!(["u:ada.01"])),
        (format!("group:{group}"), "groupId", json!(group)),
    ] {
        send(&plugin, json!({ "to": to })).payload();
        assert_eq!(daemon.asked("send").pop().unwrap()[name], value);
    }
    let media = json!([{ "data": "aGVsbG8=", "mimeType": "text/plain", "fileName": "a b.txt" }, { "data": "aGk=" }]);
    let quote = format!("1700000000009-{uuid}");
    send(&plugin, json!({ "text": "*as it is*", "media": media, "replyTo": quote, "silent": true })).payload();
    let asked = daemon.asked("send").pop().unwrap();
    assert_eq!(
        asked,
        json!({
            "recipient": [ADA], "message": "*as it is*", "account": ME,
            "attachments": ["data:text/plain;filename=a%20b.txt;base64,aGVsbG8=", "data:application/octet-stream;base64,aGk="],
            "quoteTimestamp": 1_700_000_000_009u64, "quoteAuthor": uuid,
        })
    );
    send(&plugin, json!({ "replyTo": "1700000000001" })).payload();
    assert_eq!(daemon.asked("send").pop().unwrap()["quoteAuthor"], ME, "what was sent from here is one's own");
    send(&plugin, json!({ "text": "", "media": [{ "data": "aGk=" }] })).payload();
    assert_eq!(daemon.asked("send").pop().unwrap()["message"], "");

    call(&plugin, "typing", json!({ "to": format!("group:{group}") })).payload();
    assert_eq!(daemon.asked("sendTyping"), [json!({ "groupId": group, "account": ME })]);
}

#[test]
fn what_is_wrong_is_said_before_the_daemon_hears_of_it() {
    let daemon = Daemon::obliging(ME);
    let plugin = harness(&daemon.http, json!({ "max_media": 1, "max_media_bytes": 4 })).start();
    for (more, part) in [
        (json!({ "to": "nobody" }), "nobody on Signal"),
        (json!({ "accountId": BOB }), "no account"),
        (json!({ "text": " " }), "neither a text nor a file"),
        (json!({ "replyTo": "7" }), "replyTo"),
        (json!({ "media": [{ "data": "aGk=" }, { "data": "aGk=" }] }), "max_media"),
        (json!({ "media": [{ "data": "aGVsbG8=" }] }), "max_media_bytes"),
        (json!({ "media": [{ "data": "?" }] }), "base64"),
        (json!({ "media": [{}] }), "neither an address nor data"),
        (json!({ "media": [{ "url": "http://127.0.0.1/a" }] }), "https"),
        (json!({ "media": [{ "url": "file:///etc/passwd" }] }), "https"),
    ] {
        let error = send(&plugin, more.clone()).error();
        assert_eq!(error.code, "INVALID_REQUEST", "{more}");
        assert!(error.message.contains(part), "{more}: {}", error.message);
    }
    assert_eq!(daemon.asked("send"), Vec::<Value>::new());
}

#[test]
fn a_file_is_fetched_first_and_within_its_limit() {
    let server = Server::start(|asked| match asked.what.as_str() {
        "GET /cat.png?size=1" => whole("200 OK", "content-type: image/png; q=1\r\n", "hello"),
        "GET /moved" => whole("302 Found", "location: /cat.png\r\n", ""),
        "GET /large" => whole("200 OK", "", "hello there"),
        _ => whole("404 Not Found", "", ""),
    });
    let daemon = Daemon::obliging(ME);
    let plugin = harness(&daemon.http, json!({ "local_media": true, "max_media_bytes": 5 })).start();
    let with = |path: &str| send(&plugin, json!({ "media": [{ "url": format!("{}{path}", server.url) }] }));
    with("/cat.png?size=1").payload();
    assert_eq!(daemon.asked("send")[0]["attachments"], json!(["data:image/png;filename=cat.png;base64,aGVsbG8="]));
    for (path, part, expected) in [
        ("/moved", "redirects are not followed", "NOT_SENT"),
        ("/none", "HTTP 404", "NOT_SENT"),
        ("/large", "max_media_bytes", ""),
    ] {
        let error = with(path).error();
        assert_eq!(code(&error), expected, "{path}");
        assert!(error.message.contains(part), "{path}: {}", error.message);
    }
    assert_eq!(daemon.asked("send").len(), 1);
}

#[test]
fn a_long_text_goes_out_in_parts_with_its_files_at_the_end() {
    let daemon = Daemon::obliging(ME);
    let plugin = harness(&daemon.http, json!({ "max_message_bytes": 200 })).start();
    let text = format!("**{}**\n\n{}", "first ".repeat(30).trim_end(), "second ".repeat(20));
    let quote = format!("1700000000009-{}", uuid_of(ADA));
    let sent = send(&plugin, json!({ "text": text, "media": [{ "data": "aGk=" }], "replyTo": quote })).payload();
    assert_eq!(sent["messageId"], "1700000000002", "that of the last one");
    let [first, second] = &daemon.asked("send")[..] else { panic!("two messages") };
    assert_eq!((&first["textStyle"], first["message"].as_str().unwrap().len()), (&json!(["0:179:BOLD"]), 179));
    assert!(first["quoteTimestamp"].is_u64() && first["attachments"].is_null() && second["quoteTimestamp"].is_null());
    assert_eq!(second["attachments"], json!(["data:application/octet-stream;base64,aGk="]));
    assert!(second["message"].as_str().unwrap().starts_with("second second"));

    // When one has gone out, nobody may send it again from the beginning.
    let count = std::sync::atomic::AtomicUsize::new(0);
    let (_daemon, plugin) = super::sending::with("http", json!({ "max_message_bytes": 200 }), move |_| {
        match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Reply::Result(json!({ "timestamp": 1 })),
            _ => Reply::Error(-1, "Failed to send message".into(), one("UNREGISTERED_FAILURE")),
        }
    });
    let error = send(&plugin, json!({ "text": text })).error();
    assert_eq!(code(&error), "OUTCOME_UNKNOWN");
    assert!(error.message.starts_with("only 1 of 2 parts"), "{}", error.message);
}

#[test]
fn a_refusal_says_whether_anything_went_out() {
    for way in WAYS {
        for (reply, expected) in [
            (Reply::Error(-1, "Failed to send message".into(), one("UNREGISTERED_FAILURE")), "NOT_SENT"),
            (Reply::Error(-4, "untrusted".into(), one("IDENTITY_FAILURE")), "NOT_SENT"),
            (Reply::Error(-1, "Failed to send message".into(), one("NETWORK_FAILURE")), "OUTCOME_UNKNOWN"),
            (Reply::Error(-32_603, "x (IOException)".into(), Value::Null), "OUTCOME_UNKNOWN"),
            (Reply::Result(json!({ "odd": 1 })), "OUTCOME_UNKNOWN"),
            (Reply::HangUp, "OUTCOME_UNKNOWN"),
            (Reply::Silence, "OUTCOME_UNKNOWN"),
        ] {
            let shown = format!("{way}: {reply:?}");
            let (daemon, plugin) = with(way, json!({ "request_timeout_ms": 500 }), move |_| reply.clone());
            let error = send(&plugin, json!({})).error();
            assert_eq!(code(&error), expected, "{shown}");
            assert_eq!(daemon.asked("send").len(), 1, "{shown}: once");
        }
    }
    let (_daemon, plugin) = with("http", json!({}), |_| Reply::Status(415));
    assert_eq!(code(&send(&plugin, json!({})).error()), "NOT_SENT");
}

#[test]
fn a_daemon_that_is_away_has_sent_nothing() {
    for scheme in ["http", "tcp"] {
        // A port that was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let plugin = harness(&format!("{scheme}://127.0.0.1:{port}"), json!({})).start();
        let error = send(&plugin, json!({})).error();
        assert_eq!((code(&error).as_str(), error.retryable), ("NOT_SENT", Some(true)), "{scheme}");
        plugin.wait_until("the error", |plugin| account(plugin, false)["lastError"].is_string());
        let shown = account(&plugin, true);
        assert_eq!((&shown["connected"], &shown["probe"]["ok"]), (&json!(false), &json!(false)));
    }
}

#[test]
fn a_rate_limit_is_waited_for_as_long_as_the_caller_does() {
    let limited = |seconds: u64| {
        let count = std::sync::atomic::AtomicUsize::new(0);
        move |_: &Asked| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Reply::Error(
                -5,
                "rate".into(),
                json!({ "response": { "results": [{ "type": "RATE_LIMIT_FAILURE", "retryAfterSeconds": seconds }] } }),
            ),
            _ => Reply::Result(json!({ "timestamp": 9 })),
        }
    };
    let (daemon, plugin) = with("tcp", json!({}), limited(1));
    assert_eq!(send(&plugin, json!({})).payload()["messageId"], "9");
    assert_eq!(daemon.asked("send").len(), 2);

    let (daemon, plugin) = with("http", json!({}), limited(100_000));
    let error = send(&plugin, json!({})).error();
    assert_eq!((code(&error).as_str(), error.retry_after_ms), ("NOT_SENT", Some(100_000_000)));
    assert_eq!(daemon.asked("send").len(), 1);
}

#[test]
fn several_accounts_of_one_daemon() {
    let daemon = Daemon::obliging(ME);
    let plugin = harness(&daemon.http, json!({ "accounts": [BOB] })).start();
    send(&plugin, json!({ "accountId": BOB })).payload();
    send(&plugin, json!({ "accountId": "default" })).payload();
    let accounts: Vec<Value> = daemon.asked("send").iter().map(|asked| asked["account"].clone()).collect();
    assert_eq!(accounts, [BOB, ME]);
    let report = call(&plugin, "status", json!({ "probe": true })).payload();
    assert_eq!(report["defaultAccountId"], ME);
    let linked: Vec<(&Value, &Value)> = report["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|account| (&account["accountId"], &account["linked"]))
        .collect();
    assert_eq!(linked, [(&json!(ME), &json!(true)), (&json!(BOB), &json!(false))]);
    // One stream for each.
    daemon.wait_listener(2);
    call(&plugin, "stop", json!({ "accountId": BOB })).payload();
    let running = call(&plugin, "status", json!({})).payload();
    assert_eq!((&running["accounts"][0]["running"], &running["accounts"][1]["running"]), (&json!(true), &json!(false)));
}
