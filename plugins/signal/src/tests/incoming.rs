//! What comes in, and is handed to `channels.inbound`.

use super::*;

fn hello(timestamp: u64, text: &str) -> Value {
    message(ME, ADA, 1_700_000_000_000 + timestamp, text)
}

/// Whether these texts were handed over, in this order, and no others.
fn wait_taken(plugin: &Running, expected: &[&str]) {
    plugin.wait_until("the messages", |plugin| taken(plugin).len() >= expected.len());
    assert_eq!(taken(plugin), expected);
}

/// Messages that wait, by the status.
fn waiting(plugin: &Running) -> u64 {
    call(plugin, "status", json!({})).payload()["summary"]["waiting"].as_u64().unwrap()
}

#[test]
fn a_message_is_the_same_wherever_it_is_cut() {
    for way in WAYS {
        let daemon = Daemon::obliging(ME);
        let plugin = harness(address(&daemon, way), json!({})).start();
        daemon.wait_listener(1);
        let length = hello(1, "Grüße 😀").to_string().len();
        let cuts: Vec<usize> = (0..length + 40).step_by(7).chain([1, 2, 3]).collect();
        for (number, cut) in cuts.iter().enumerate() {
            daemon.tell_cut(&hello(number as u64, "Grüße 😀"), *cut);
        }
        plugin.wait_until("all messages", |plugin| taken(plugin).len() == cuts.len());
        assert!(taken(&plugin).iter().all(|text| text == "Grüße 😀"));
        let asked = plugin.asked().into_iter().find(|asked| asked.method == "channels.inbound").unwrap();
        assert_eq!((&asked.params["accountId"], &asked.params["from"]["id"]), (&json!(ME), &json!(uuid_of(ADA))));
        assert_eq!((&asked.params["from"]["handle"], &asked.params["chat"]["kind"]), (&json!(ADA), &json!("direct")));
        plugin.wait_until("nothing waiting", |plugin| waiting(plugin) == 0);
    }
}

#[test]
fn signs_of_life_and_what_is_no_message_are_passed_over() {
    for way in WAYS {
        let daemon = Daemon::obliging(ME);
        let plugin = harness(address(&daemon, way), json!({})).start();
        daemon.wait_listener(1);
        let noise: &[u8] = if way == "http" {
            b":\n:\nevent:other\ndata:{}\n\n"
        } else {
            b"{\"jsonrpc\":\"2.0\",\"method\":\"callEvent\",\"params\":{}}\n{}\n"
        };
        daemon.tell_bytes(noise);
        let mut other = hello(1, "for another account");
        other["account"] = json!(BOB);
        daemon.tell(&other);
        daemon.tell(
            &json!({ "account": ME, "envelope": { "sourceNumber": ADA, "typingMessage": { "action": "STARTED" } } }),
        );
        daemon.tell(&json!({ "account": ME, "exception": { "message": "x", "type": "UntrustedIdentityException" }, "envelope": { "sourceNumber": ADA } }));
        daemon.tell(&json!({ "account": ME, "envelope": [1] }));
        daemon.tell(&hello(2, "hello"));
        wait_taken(&plugin, &["hello"]);
        let warned = |part: &str| plugin.logs().iter().any(|line| line.message.contains(part));
        assert!(warned("UntrustedIdentityException") && warned("not understood"), "{way}");
        assert_eq!(daemon.connections(), 1, "{way}: the connection held");
    }
}

#[test]
fn a_message_that_is_not_taken_is_handed_over_again_in_the_order_of_its_chat() {
    let daemon = Daemon::obliging(ME);
    let refusals = Arc::new(Mutex::new(3));
    let left = refusals.clone();
    let plugin = Harness::registered("signal")
        .config(config(&daemon.http, json!({})))
        .answer_with("channels.inbound", move |call: StubCall| {
            let mut left = left.lock().unwrap();
            let is_first = call.params()["text"] == "one";
            if is_first && *left > 0 {
                *left -= 1;
                return call.finish(Err(ErrorShape::unavailable("the disk is full")));
            }
            call.finish(Ok(json!({ "verdict": "run" })));
        })
        .start();
    daemon.wait_listener(1);
    for (timestamp, text) in [(1, "one"), (2, "two"), (3, "three")] {
        daemon.tell(&hello(timestamp, text));
    }
    daemon.tell(&message(ME, BOB, 1_700_000_000_009, "of another chat"));
    plugin.wait_until("all of them", |plugin| taken(plugin).len() == 7);
    let of_ada: Vec<String> = taken(&plugin).into_iter().filter(|text| text != "of another chat").collect();
    assert_eq!(of_ada, ["one", "one", "one", "one", "two", "three"]);
    assert_eq!(*refusals.lock().unwrap(), 0);
    plugin.wait_until("nothing waiting", |plugin| waiting(plugin) == 0);
}

#[test]
fn a_message_that_is_wrong_for_good_holds_nobody_up() {
    let daemon = Daemon::obliging(ME);
    let failures = Mutex::new(2);
    let plugin = Harness::registered("signal")
        .config(config(&daemon.http, json!({})))
        .answer_with("channels.inbound", move |call: StubCall| {
            let mut left = failures.lock().unwrap();
            call.finish(match call.params()["text"].as_str() {
                Some("wrong") => Err(ErrorShape::invalid_request("no")),
                Some("not yet") if *left > 0 => {
                    *left -= 1;
                    Err(ErrorShape::invalid_request("no").retryable())
                }
                _ => Ok(json!({ "verdict": "run" })),
            });
        })
        .start();
    daemon.wait_listener(1);
    for (timestamp, text) in [(1, "wrong"), (2, "not yet"), (3, "right")] {
        daemon.tell(&hello(timestamp, text));
    }
    plugin.wait_until("the last one", |plugin| taken(plugin).len() == 5);
    assert_eq!(taken(&plugin), ["wrong", "not yet", "not yet", "not yet", "right"]);
    plugin.wait_until("nothing waiting", |plugin| waiting(plugin) == 0);
    let refused = plugin.logs().into_iter().filter(|line| line.message.contains("refused, and is passed over"));
    assert_eq!(refused.count(), 1);
    plugin.quiesce();
    let again = harness(&daemon.http, json!({})).data_of(plugin.data_dir()).start();
    assert_eq!((waiting(&again), taken(&again)), (0, vec![]), "it is forgotten");
}

#[test]
fn what_was_not_taken_survives_a_restart() {
    for way in WAYS {
        let daemon = Daemon::obliging(ME);
        let refusing = Harness::registered("signal")
            .config(config(address(&daemon, way), json!({})))
            .answer_error("channels.inbound", ErrorShape::unavailable("not now"))
            .start();
        daemon.wait_listener(1);
        for (timestamp, text) in [(1, "one"), (2, "two"), (2, "two")] {
            daemon.tell(&hello(timestamp, text));
        }
        daemon.tell(&message(ME, BOB, 1_700_000_000_009, "three"));
        refusing.wait_until("three that wait", |plugin| waiting(plugin) == 3);
        let data = refusing.data_dir();
        refusing.quiesce();
        daemon.wait_deaf();
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(data.join("signal.db")).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);

        let plugin = harness(address(&daemon, way), json!({})).data_of(&data).start();
        plugin.wait_until("all of them", |plugin| taken(plugin).len() == 3);
        let mut all = taken(&plugin);
        let place = |text: &str| all.iter().position(|one| one == text);
        assert!(place("one") < place("two"));
        all.sort();
        assert_eq!(all, ["one", "three", "two"]);
        plugin.wait_until("nothing waiting", |plugin| waiting(plugin) == 0);
        plugin.quiesce();
        let again = harness(address(&daemon, way), json!({})).data_of(plugin.data_dir()).start();
        assert_eq!((waiting(&again), taken(&again)), (0, vec![]));
    }
}

#[test]
fn what_has_come_when_it_ends_is_kept() {
    for way in WAYS {
        let daemon = Daemon::obliging(ME);
        let plugin = harness(address(&daemon, way), json!({})).start();
        let data = plugin.data_dir();
        daemon.wait_listener(1);
        for timestamp in 0..50 {
            daemon.tell(&hello(timestamp, &timestamp.to_string()));
        }
        let began = std::time::Instant::now();
        plugin.quiesce();
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{way}: it ends promptly: {:?}", began.elapsed());
        let mut known = taken(&plugin);
        let after = harness(address(&daemon, way), json!({})).data_of(&data).start();
        after.wait_until("nothing waiting", |plugin| waiting(plugin) == 0);
        known.extend(taken(&after));
        for timestamp in 0..50 {
            assert!(known.contains(&timestamp.to_string()), "{way}: {timestamp} is lost");
        }
    }
}

#[test]
fn with_too_many_waiting_nothing_more_is_read() {
    for way in WAYS {
        let daemon = Daemon::obliging(ME);
        let held: Arc<Mutex<Vec<StubCall>>> = Arc::default();
        let keep = held.clone();
        let plugin = Harness::registered("signal")
            .config(config(address(&daemon, way), json!({ "max_waiting": 2 })))
            .answer_with("channels.inbound", move |call| keep.lock().unwrap().push(call))
            .start();
        daemon.wait_listener(1);
        for (timestamp, text) in [(1, "one"), (2, "two"), (3, "three")] {
            daemon.tell(&hello(timestamp, text));
        }
        plugin
            .wait_until("the warning", |plugin| plugin.logs().iter().any(|line| line.message.contains("max_waiting")));
        assert_eq!(waiting(&plugin), 2);
        let mut order = Vec::new();
        while order.len() < 3 {
            plugin.wait_until("the next one", |_| !held.lock().unwrap().is_empty());
            let call = held.lock().unwrap().remove(0);
            order.push(call.params()["text"].as_str().unwrap().to_string());
            call.finish(Ok(json!({ "verdict": "run" })));
        }
        assert_eq!(order, ["one", "two", "three"], "{way}");
    }
}

#[test]
fn a_connection_that_broke_or_fell_silent_is_made_anew() {
    for way in WAYS {
        let daemon = Daemon::start(|asked| match asked.method.as_str() {
            "version" => Reply::Silence,
            _ => Reply::Result(json!({})),
        });
        let plugin = harness(address(&daemon, way), json!({ "stall_timeout_ms": 1_500 })).start();
        daemon.wait_listener(1);
        daemon.tell(&hello(1, "one"));
        wait_taken(&plugin, &["one"]);
        daemon.hang_up();
        daemon.wait_listener(2);
        daemon.tell(&hello(2, "two"));
        wait_taken(&plugin, &["one", "two"]);
        // Nothing comes, not even a sign of life.
        daemon.wait_listener(3);
        daemon.tell_bytes(if way == "http" { b"data: no json\n\n" } else { b"no json\n" });
        daemon.wait_listener(4);
        daemon.tell(&hello(3, "three"));
        wait_taken(&plugin, &["one", "two", "three"]);
    }
}

#[test]
fn a_socket_that_answers_is_alive() {
    let daemon = Daemon::obliging(ME);
    let plugin = harness(&daemon.tcp, json!({ "stall_timeout_ms": 150 })).start();
    daemon.wait_listener(1);
    daemon.wait_asked("version", 5);
    assert_eq!(daemon.connections(), 1);
    daemon.tell(&hello(1, "still here"));
    wait_taken(&plugin, &["still here"]);
}

#[test]
fn who_reads_nothing_for_want_of_room_hears_no_silence() {
    let daemon = Daemon::obliging(ME);
    let held: Arc<Mutex<Vec<StubCall>>> = Arc::default();
    let keep = held.clone();
    let plugin = Harness::registered("signal")
        .config(config(&daemon.tcp, json!({ "max_waiting": 1, "stall_timeout_ms": 1_000 })))
        .answer_with("channels.inbound", move |call| keep.lock().unwrap().push(call))
        .start();
    daemon.wait_listener(1);
    for timestamp in 0..4 {
        daemon.tell(&hello(timestamp, &timestamp.to_string()));
    }
    for _ in 0..4 {
        plugin.wait_until("the next one", |_| !held.lock().unwrap().is_empty());
        // Longer than the daemon may be silent.
        std::thread::sleep(std::time::Duration::from_millis(1_200));
        let call = held.lock().unwrap().remove(0);
        call.finish(Ok(json!({ "verdict": "run" })));
    }
    plugin.wait_until("nothing waiting", |plugin| waiting(plugin) == 0);
    // What lies in a connection that is given up is told by nobody again.
    assert_eq!(taken(&plugin), ["0", "1", "2", "3"]);
}

#[test]
fn a_message_without_an_end_is_not_read_for_ever() {
    for way in WAYS {
        let daemon = Daemon::obliging(ME);
        let plugin = harness(address(&daemon, way), json!({ "max_event_bytes": 4096 })).start();
        daemon.wait_listener(1);
        daemon.tell_bytes("data:".repeat(4_000).as_bytes());
        daemon.wait_listener(2);
        daemon.tell(&hello(1, "hello"));
        wait_taken(&plugin, &["hello"]);
        assert!(plugin.logs().iter().any(|line| line.message.contains("4096 bytes")), "{way}");
    }
}

#[test]
fn files_come_with_the_message_or_are_told_of() {
    let daemon = Daemon::start(|asked| match (asked.method.as_str(), asked.params["id"].as_str()) {
        ("getAttachment", Some("gone")) => {
            Reply::Error(-1, "Could not find attachment with ID: gone".into(), Value::Null)
        }
        ("getAttachment", _) => Reply::Result(json!({ "data": "aGVsbG8=" })),
        _ => Reply::Result(json!({})),
    });
    let plugin = harness(&daemon.tcp, json!({ "max_media": 4, "max_media_bytes": 9 })).start();
    daemon.wait_listener(1);
    let file = |id: &str, size: u64| json!({ "contentType": "text/plain", "filename": format!("/x/{id}.txt"), "id": id, "size": size });
    let mut told = hello(1, "look");
    told["envelope"]["dataMessage"]["attachments"] = json!([file("a", 5), file("large", 10), file("gone", 5), { "contentType": "image/png", "size": 5 }, file("fifth", 5)]);
    daemon.tell(&told);
    plugin.wait_until("the message", |plugin| !taken(plugin).is_empty());
    let inbound = plugin.asked().pop().unwrap().params;
    assert_eq!(inbound["media"], json!([{ "data": "aGVsbG8=", "mimeType": "text/plain", "fileName": "a.txt" }]));
    assert_eq!(
        inbound["text"],
        "look\n[large.txt: a file over 9 bytes (max_media_bytes)]\n[gone.txt: a file that could not be fetched]\n\
         [png: a file that signal-cli did not fetch]\n[fifth.txt: a file beyond the first 4 (max_media)]"
    );
    let asked: Vec<Value> = daemon.asked("getAttachment");
    assert_eq!(asked[0], json!({ "id": "a", "recipient": uuid_of(ADA), "account": ME }));
    assert_eq!(asked.len(), 2, "what is too large is not fetched");
}

#[test]
fn a_receipt_goes_to_whoever_was_heard() {
    let daemon = Daemon::obliging(ME);
    let plugin = Harness::registered("signal")
        .config(config(&daemon.http, json!({ "read_receipts": true })))
        .answer_with("channels.inbound", |call: StubCall| {
            let verdict = if call.params()["text"] == "known" { "run" } else { "ignored" };
            call.finish(Ok(json!({ "verdict": verdict })));
        })
        .start();
    daemon.wait_listener(1);
    daemon.tell(&hello(1, "not known"));
    daemon.tell(&hello(2, "known"));
    let asked = daemon.wait_asked("sendReceipt", 1);
    assert_eq!(
        asked,
        json!({ "recipient": uuid_of(ADA), "targetTimestamp": [1_700_000_000_002u64], "type": "read", "account": ME })
    );
    plugin.wait_until("nothing waiting", |plugin| waiting(plugin) == 0);
    assert_eq!(daemon.asked("sendReceipt").len(), 1);
}

#[test]
fn what_comes_on_the_connection_of_a_request_waits_until_it_is_started() {
    let gate = Arc::new(Gate::default());
    let shut = gate.clone();
    let daemon = Daemon::start(move |asked| match asked.method.as_str() {
        "send" => Reply::Later(shut.clone()),
        _ => Reply::Result(json!({})),
    });
    let plugin = harness(&daemon.tcp, json!({})).start();
    daemon.wait_listener(1);
    call(&plugin, "stop", json!({})).payload();
    daemon.wait_deaf();
    let sending = plugin.begin_as(
        Who::plugin("send"),
        "channel.signal.send",
        json!({ "to": ADA, "text": "x", "idempotencyKey": "k" }),
    );
    daemon.wait_asked("send", 1);
    daemon.tell(&hello(1, "meanwhile"));
    gate.open(json!({ "timestamp": 7 }));
    assert_eq!(sending.wait().payload()["messageId"], "7");
    plugin.wait_until("one that waits", |plugin| waiting(plugin) == 1);
    assert_eq!(taken(&plugin), Vec::<String>::new());
    call(&plugin, "start", json!({})).payload();
    wait_taken(&plugin, &["meanwhile"]);
}
