//! What other plugins ask of the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use plugin_kit::{Harness, Who};
use serde_json::{Value, json};

use super::*;

#[test]
fn a_session_is_opened_once_in_any_spelling() {
    let running = start();
    let absent = ask(&running, "open", json!({ "key": "main", "create": false })).error();
    assert_eq!((absent.code.as_str(), absent.details), ("INVALID_REQUEST", Some(json!({ "code": "NO_SESSION" }))));
    let first = ask(&running, "open", json!({ "key": "main", "set": { "channel": "telegram" } })).payload();
    assert_eq!((&first["key"], &first["agentId"]), (&json!("agent:main:main"), &json!("main")));
    assert_eq!((&first["isNew"], &first["entry"]["channel"]), (&json!(true), &json!("telegram")));
    assert_eq!(first["entry"]["sessionId"], first["sessionId"]);
    for spelled in ["agent:main:main", "MAIN", " main "] {
        let again = ask(&running, "open", json!({ "key": spelled })).payload();
        assert_eq!((&again["isNew"], &again["sessionId"]), (&json!(false), &first["sessionId"]), "{spelled}");
    }
    let other = ask(&running, "open", json!({ "key": "main", "agentId": "Ops" })).payload();
    assert_eq!((&other["key"], &other["agentId"]), (&json!("agent:ops:main"), &json!("ops")));
    assert!(running.call("session.store.open", json!({ "key": "main" })).result.is_err(), "clients may not");
}

#[test]
fn messages_are_appended_once_and_all_or_none() {
    let running = start();
    let made = append(&running, "main", json!([message("user", "hello"), numbered(1)]));
    assert_eq!((&made["total"], &made["ids"][1]), (&json!(2), &json!("m1")));
    let again = append(&running, "main", json!([numbered(1), numbered(2), numbered(2)]));
    assert_eq!((&again["total"], &again["ids"]), (&json!(3), &json!(["m1", "m2", "m2"])));
    assert_eq!(again["sessionId"], made["sessionId"]);

    let no_role = json!({ "key": "main", "messages": [numbered(3), { "role": "" }], "set": { "label": "x" } });
    assert_eq!(ask(&running, "append", no_role).error().code, "INVALID_REQUEST");
    let transcript = ask(&running, "transcript", json!({ "key": "agent:main:main" })).payload();
    assert_eq!((ids(&transcript).len(), &transcript["total"], &transcript["hasMore"]), (3, &json!(3), &json!(false)));
    assert_eq!(transcript["entry"].get("label"), None);
    assert!(transcript["messages"][0]["timestamp"].is_u64(), "it is given a time");
    assert_eq!(transcript["messages"][0]["id"], made["ids"][0], "and an id");
}

#[test]
fn what_this_version_does_not_know_is_kept() {
    let running = start();
    let odd = json!({ "id": "odd", "role": "robot", "timestamp": 7, "mood": { "deep": [1] },
                      "content": [{ "type": "hologram", "watts": 3 }] });
    append(&running, "main", json!([odd]));
    let transcript = ask(&running, "transcript", json!({ "key": "main" })).payload();
    assert_eq!(transcript["messages"], json!([odd]));
}

#[test]
fn a_transcript_is_read_from_its_end() {
    let running = start();
    let absent = ask(&running, "transcript", json!({ "key": "nobody" })).payload();
    assert_eq!(
        absent,
        json!({ "key": "agent:main:nobody", "messages": [], "total": 0, "hasMore": false, "entry": {} })
    );
    append(&running, "main", (1..=6).map(numbered).collect());
    let read = |params: Value| {
        let mut params = params;
        params["key"] = json!("main");
        ask(&running, "transcript", params).payload()
    };
    let last = read(json!({ "limit": 2 }));
    assert_eq!((ids(&last), &last["hasMore"]), (vec!["m5", "m6"], &json!(true)));
    let before = read(json!({ "limit": 3, "offset": 2 }));
    assert_eq!((ids(&before), &before["hasMore"]), (vec!["m2", "m3", "m4"], &json!(true)));
    let rest = read(json!({ "offset": 4 }));
    assert_eq!((ids(&rest), &rest["hasMore"]), (vec!["m1", "m2"], &json!(false)));
    assert_eq!(ids(&read(json!({ "offset": 9 }))), Vec::<&str>::new());
    let tight = read(json!({ "maxBytes": 1 }));
    assert_eq!((ids(&tight), &tight["hasMore"]), (vec!["m6"], &json!(true)), "one stays in any case");
    let two = last["messages"].to_string().len();
    assert_eq!(ids(&read(json!({ "maxBytes": two }))), ["m5", "m6"]);
    assert_eq!(ids(&read(json!({ "maxBytes": two - 1 }))), ["m6"]);
}

#[test]
fn a_conversation_that_is_over_can_still_be_finished() {
    let running = start();
    let old = append(&running, "main", json!([numbered(1)]))["sessionId"].clone();
    running.call("sessions.reset", json!({ "key": "main" })).payload();
    let late =
        json!({ "key": "main", "sessionId": old, "messages": [numbered(2)], "set": { "addTokens": { "input": 9 } } });
    let late = ask(&running, "append", late).payload();
    assert_eq!((&late["sessionId"], &late["total"]), (&old, &json!(2)));
    let now = ask(&running, "transcript", json!({ "key": "main" })).payload();
    assert_eq!((&now["total"], &now["entry"]["inputTokens"]), (&json!(0), &json!(0)), "the new one is untouched");
    assert_ne!(now["sessionId"], old);
    let then = ask(&running, "transcript", json!({ "key": "main", "sessionId": old })).payload();
    assert_eq!(ids(&then), ["m1", "m2"]);
    let elsewhere = json!({ "key": "other", "sessionId": old, "messages": [numbered(3)] });
    assert_eq!(ask(&running, "append", elsewhere).error().details, Some(json!({ "code": "NO_SESSION" })));
}

#[test]
fn tokens_are_counted_on() {
    let running = start();
    let note = |set: Value| ask(&running, "note", json!({ "key": "main", "set": set })).payload()["entry"].clone();
    let usage = json!({ "input": 10, "output": 5, "totalTokens": 40 });
    note(json!({ "addTokens": usage, "model": "m", "lastTo": "x" }));
    let entry = note(json!({ "addTokens": { "input": 1, "output": 2 }, "lastTo": null, "sessionId": "mine" }));
    assert_eq!(
        (&entry["inputTokens"], &entry["outputTokens"], &entry["totalTokens"]),
        (&json!(11), &json!(7), &json!(43))
    );
    assert_eq!((&entry["model"], entry.get("lastTo")), (&json!("m"), None));
    assert_ne!(entry["sessionId"], "mine");
    for wrong in [json!({ "addTokens": "many" }), json!({ "label": 7 }), json!({ "archived": "yes" })] {
        let error = ask(&running, "note", json!({ "key": "main", "set": wrong })).error();
        assert_eq!(error.code, "INVALID_REQUEST", "{wrong}");
    }
}

#[test]
fn limits_have_names() {
    let config = json!({ "max_sessions": 1, "max_message_bytes": 1024, "max_entry_bytes": 1024, "max_messages": 2 });
    let running = harness().config(config).start();
    append(&running, "main", (1..=3).map(numbered).collect());
    let transcript = ask(&running, "transcript", json!({ "key": "main" })).payload();
    assert_eq!(
        (ids(&transcript), &transcript["total"], &transcript["hasMore"]),
        (vec!["m2", "m3"], &json!(3), &json!(true))
    );
    let refused = |method: &str, params: Value| ask(&running, method, params).error().message;
    let long = message("user", &"x".repeat(1_024));
    assert!(refused("append", json!({ "key": "main", "messages": [long] })).contains("max_message_bytes"));
    assert!(refused("open", json!({ "key": "second" })).contains("max_sessions"));
    assert!(refused("note", json!({ "key": "main", "set": { "x": "y".repeat(1_024) } })).contains("max_entry_bytes"));
    assert!(Harness::new::<Sessions>().config(json!({ "archive": 1 })).create_error().contains("archive"));
}

#[test]
fn where_there_are_too_many_the_oldest_session_of_one_request_gives_way() {
    let keys = [
        "openai:00000000-0000-4000-8000-000000000000",
        "openresponses:00000000-0000-4000-8000-000000000001",
        "hook:hook-00000000000040008000000000000002",
    ];
    let run = json!({ "runId": "r", "sessionKey": format!("agent:main:{}", keys[0]), "spelledKey": keys[0],
                      "agentId": "main", "hasBegun": true, "origin": "http" });
    let config = json!({ "max_sessions": 5 });
    let running = harness().config(config).answer("agent.runs", json!({ "runs": [run] })).start();
    append(&running, "openai:mine", json!([numbered(9)]));
    append(&running, "main", json!([numbered(9)]));
    let mut conversations = Vec::new();
    for (number, key) in (0..).zip(keys) {
        conversations.push(append(&running, key, json!([numbered(number)]))["sessionId"].clone());
        // Sessions are as old as the millisecond in which they were used last.
        let now = schemas::now_ms();
        while schemas::now_ms() == now {}
    }
    let is_there = |key: &str| ask(&running, "open", json!({ "key": key, "create": false })).result.is_ok();
    let pin = |pinned: Value| {
        running.call("sessions.patch", json!({ "key": keys[2], "pinned": pinned })).payload();
    };
    pin(json!(true));
    ask(&running, "open", json!({ "key": "new" })).payload();
    assert_eq!(keys.map(is_there), [true, false, true], "something runs in the first one");
    let archive = json!({ "key": keys[1], "sessionId": conversations[1] });
    assert_eq!(ids(&ask(&running, "transcript", archive).payload()), ["m1"]);
    assert!(ask(&running, "open", json!({ "key": "newer" })).error().message.contains("max_sessions"));
    pin(Value::Null);
    running.call("sessions.reset", json!({ "key": "newer" })).payload();
    assert_eq!(keys.map(is_there), [true, false, false]);
    assert!(running.call("sessions.patch", json!({ "key": "newest" })).error().message.contains("max_sessions"));
    assert!(["openai:mine", "main", "new", "newer"].into_iter().all(is_there));
}

#[test]
fn many_at_once_share_commits_and_each_is_answered() {
    let running = start();
    let calls: Vec<_> = (0..300)
        .map(|number| {
            let params = json!({ "key": format!("run:{}", number % 30), "messages": [numbered(number)] });
            running.begin_as(Who::plugin("agent"), "session.store.append", params)
        })
        .collect();
    calls.iter().for_each(|call| drop(call.wait().payload()));
    for session in 0..30 {
        let transcript = ask(&running, "transcript", json!({ "key": format!("run:{session}") })).payload();
        let mut found = ids(&transcript);
        found.sort_unstable();
        let mut expected: Vec<String> = (0..10).map(|round| format!("m{}", session + 30 * round)).collect();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_full_queue_is_an_error_and_not_a_wait() {
    let running = harness().config(json!({ "max_queue": 1 })).start();
    append(&running, "main", json!([numbered(0)]));
    // Another process holds the file for as long as this connection lives.
    let path = running.data_dir().join("sessions.db");
    let other = database::rusqlite::Connection::open(path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begin = |number| {
        let params = json!({ "key": "main", "messages": [numbered(number)] });
        running.begin_as(Who::plugin("agent"), "session.store.append", params)
    };
    let calls: Vec<_> = (1..=3).map(begin).collect();
    running.wait_until("one of three is refused", |_| calls.iter().any(|call| call.is_done()));
    other.execute_batch("ROLLBACK").unwrap();
    let refused = Arc::new(AtomicUsize::new(0));
    for call in calls {
        if let Err(error) = call.wait().result {
            assert!(error.message.contains("max_queue") && error.retryable == Some(true), "{error:?}");
            refused.fetch_add(1, Ordering::Relaxed);
        }
    }
    assert!((1..=2).contains(&refused.load(Ordering::Relaxed)));
}

#[test]
fn a_disk_that_refuses_costs_the_write_and_nothing_else() {
    let running = start();
    append(&running, "main", json!([numbered(1)]));
    let path = running.data_dir().join("sessions.db");
    let refuse =
        "CREATE TRIGGER full BEFORE INSERT ON messages WHEN new.id = 'm2' BEGIN SELECT RAISE(ABORT, 'disk full'); END";
    database::rusqlite::Connection::open(path).unwrap().execute_batch(refuse).unwrap();
    let bad = json!({ "key": "main", "messages": [numbered(3), numbered(2)] });
    let error = ask(&running, "append", bad).error();
    assert_eq!(error.code, "UNAVAILABLE");
    assert!(!error.message.contains("disk"), "{error:?}");
    append(&running, "main", json!([numbered(4)]));
    let transcript = ask(&running, "transcript", json!({ "key": "main" })).payload();
    assert_eq!((ids(&transcript), &transcript["total"]), (vec!["m1", "m4"], &json!(2)));
}

#[test]
fn a_summary_for_overviews() {
    let running = start();
    append(&running, "main", json!([numbered(1)]));
    let set = json!({ "addTokens": { "input": 30, "output": 20 }, "contextTokens": 200, "model": "m" });
    ask(&running, "note", json!({ "key": "agent:ops:main", "set": set })).payload();
    let summary = ask(&running, "summary", json!({ "agents": ["main", "ops", "none"], "recent": 5 })).payload();
    assert_eq!((&summary["path"], &summary["count"]), (&json!("sessions.db"), &json!(2)));
    assert_eq!(summary["byAgent"][2], json!({ "agentId": "none", "path": "sessions.db", "count": 0, "recent": [] }));
    let row = &summary["byAgent"][1]["recent"][0];
    assert_eq!(
        (&row["key"], &row["percentUsed"], &row["remainingTokens"]),
        (&json!("agent:ops:main"), &json!(25), &json!(150))
    );
    assert!(row["age"].is_u64());
}
