//! What clients ask, and every sentence with which they are refused.

use std::sync::Mutex;

use plugin_kit::Who;
use serde_json::{Value, json};

use super::*;

fn keys(listed: &Value) -> Vec<&str> {
    listed["sessions"].as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap()).collect()
}

#[test]
fn lists_are_filtered_ordered_and_paged() {
    let running = harness()
        .answer("agents.get", json!({ "agentId": "main", "models": ["openai/gpt-x", "b/c"] }))
        .answer("agents.list", json!({ "agents": [{ "id": "main" }] }))
        .start();
    for key in ["main", "global", "unknown", "agent:ops:x", "telegram:group:7", "subagent:1"] {
        append(&running, key, json!([message("user", "What is the weather?"), message("assistant", "Fine.")]));
    }
    let set = json!({ "subject": "Weather report", "spawnedBy": "agent:main:main", "label": "kid" });
    ask(&running, "note", json!({ "key": "subagent:1", "set": set })).payload();
    let list = |params: Value| running.call("sessions.list", params).payload();
    let all = list(json!({}));
    let mut sorted = keys(&all);
    sorted.sort_unstable();
    assert_eq!(sorted, ["agent:main:main", "agent:main:subagent:1", "agent:main:telegram:group:7", "agent:ops:x"]);
    assert_eq!(all["defaults"], json!({ "modelProvider": "openai", "model": "gpt-x", "contextTokens": null }));
    assert_eq!((&all["count"], &all["hasMore"], &all["nextOffset"]), (&json!(4), &json!(false), &Value::Null));
    let times: Vec<u64> =
        all["sessions"].as_array().unwrap().iter().map(|row| row["updatedAt"].as_u64().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");

    assert_eq!(list(json!({ "includeGlobal": true, "includeUnknown": true }))["count"], 6);
    assert_eq!(keys(&list(json!({ "agentId": "OPS", "includeGlobal": true }))), ["agent:ops:x"]);
    assert_eq!(list(json!({ "configuredAgentsOnly": true }))["count"], 3);
    assert_eq!(keys(&list(json!({ "spawnedBy": "main" }))), ["agent:main:subagent:1"]);
    assert_eq!(keys(&list(json!({ "label": "kid" }))), ["agent:main:subagent:1"]);
    assert_eq!(keys(&list(json!({ "search": " WEATHER rep" }))), ["agent:main:subagent:1"]);
    assert_eq!(list(json!({ "search": "main" }))["count"], 3);
    assert_eq!(list(json!({ "activeMinutes": 5 }))["count"], 4);
    let row = &list(json!({ "label": "kid", "includeDerivedTitles": true, "includeLastMessage": true }))["sessions"][0];
    assert_eq!((&row["derivedTitle"], &row["lastMessagePreview"]), (&json!("Weather report"), &json!("Fine.")));
    let main = &list(json!({ "search": "agent:main:main", "includeDerivedTitles": true }))["sessions"][0];
    assert_eq!((&main["derivedTitle"], main.get("lastMessagePreview")), (&json!("What is the weather?"), None));
    let group = list(json!({ "search": ":group:" }));
    assert_eq!((&group["sessions"][0]["kind"], &main["kind"]), (&json!("group"), &json!("direct")));

    for search in [json!({}), json!({ "search": "agent" })] {
        let page = |offset: u64| {
            let mut params = search.clone();
            params["limit"] = json!(3);
            params["offset"] = json!(offset);
            list(params)
        };
        let (first, second) = (page(0), page(3));
        assert_eq!((&first["count"], &first["totalCount"], &first["nextOffset"]), (&json!(3), &json!(4), &json!(3)));
        assert_eq!((&second["count"], &second["hasMore"]), (&json!(1), &json!(false)));
        assert!(!keys(&first).contains(&keys(&second)[0]));
    }
    assert!(running.call("sessions.list", json!({ "limit": 0 })).result.is_err());
    assert!(running.call("sessions.list", json!({ "limitt": 1 })).result.is_err());
}

#[test]
fn the_way_to_the_file_is_for_administrators() {
    let running = start();
    let path = running.data_dir().join("sessions.db").display().to_string();
    assert_eq!(running.call("sessions.list", json!({})).payload()["path"], json!(path));
    let reader = Who::operator(&["operator.read"]);
    assert_eq!(running.call_as(reader, "sessions.list", json!({})).payload()["path"], "sessions.db");
    let writer = Who::operator(&["operator.write"]);
    assert_eq!(running.call_as(writer, "sessions.patch", json!({ "key": "x" })).payload()["path"], "sessions.db");
}

#[test]
fn previews_show_the_end_in_short() {
    let running = start();
    let call = json!({ "role": "assistant", "content": [{ "type": "toolCall", "id": "1", "name": "weather", "arguments": {} }] });
    let result = json!({ "role": "toolResult", "toolCallId": "1", "content": [{ "type": "text", "text": "rain" }] });
    append(
        &running,
        "main",
        json!([message("user", &"é".repeat(30)), call, result, message("assistant", "It rains."), message("system", "note"), message("robot", "beep"), { "role": "user", "content": [] }]),
    );
    ask(&running, "open", json!({ "key": "empty" })).payload();
    let previews = running
        .call("sessions.preview", json!({ "keys": ["MAIN", "empty", "nobody", "a\u{1}"], "maxChars": 20 }))
        .payload();
    let previews = previews["previews"].as_array().unwrap().clone();
    let expected = json!([
        { "role": "user", "text": format!("{}...", "é".repeat(17)) }, { "role": "tool", "text": "call weather" },
        { "role": "tool", "text": "rain" }, { "role": "assistant", "text": "It rains." },
        { "role": "system", "text": "note" }, { "role": "other", "text": "beep" },
    ]);
    assert_eq!(previews[0], json!({ "key": "MAIN", "status": "ok", "items": expected }));
    let states: Vec<_> = previews[1..].iter().map(|preview| preview["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["empty", "missing", "error"]);
    let short = running.call("sessions.preview", json!({ "keys": ["main"], "limit": 2 })).payload();
    assert_eq!(short["previews"][0]["items"].as_array().unwrap().len(), 2);
    let many: Vec<String> = (0..70).map(|number| number.to_string()).collect();
    assert_eq!(
        running.call("sessions.preview", json!({ "keys": many })).payload()["previews"].as_array().unwrap().len(),
        64
    );
    for wrong in [json!({ "keys": [] }), json!({ "keys": ["a"], "maxChars": 19 }), json!({ "keys": ["a"], "limit": 0 })]
    {
        assert!(running.call("sessions.preview", wrong).result.is_err());
    }
}

#[test]
fn sessions_are_found_by_key_id_or_label() {
    let running = start();
    let id = ask(&running, "open", json!({ "key": "a", "set": { "label": "one" } })).payload()["sessionId"].clone();
    ask(&running, "open", json!({ "key": "agent:ops:a", "set": { "label": "one" } })).payload();
    let resolve = |params: Value| running.call("sessions.resolve", params);
    let found = json!({ "ok": true, "key": "agent:main:a" });
    assert_eq!(resolve(json!({ "key": "A" })).error().message, "No session found: A");
    for params in [json!({ "key": " a " }), json!({ "sessionId": id }), json!({ "label": "one", "agentId": "main" })] {
        assert_eq!(resolve(params).payload(), found);
    }
    for (params, sentence) in [
        (json!({}), "Either key, sessionId, or label is required"),
        (json!({ "key": "a", "label": "one" }), "Provide either key, sessionId, or label (not multiple)"),
        (json!({ "sessionId": "none" }), "No session found: none"),
        (json!({ "label": "two" }), "No session found with label: two"),
        (json!({ "label": "one" }), "Multiple sessions found with label: one (agent:main:a, agent:ops:a)"),
    ] {
        assert_refused(resolve(params), "INVALID_REQUEST", sentence);
    }
    let describe = |key: &str| running.call("sessions.describe", json!({ "key": key })).payload()["session"].clone();
    assert_eq!((&describe("a")["label"], describe("none")), (&json!("one"), Value::Null));
}

#[test]
fn every_field_of_a_patch() {
    let running = harness()
        .answer(
            "models.list",
            json!({ "models": [{ "id": "gpt-x", "provider": "openai" }, { "id": "m/1", "provider": "b" }] }),
        )
        .start();
    let patch = |params: Value| {
        let mut params = params;
        params["key"] = json!("subagent:1");
        running.call("sessions.patch", params)
    };
    for (written, kept) in [
        (json!({ "label": " name " }), json!({ "label": "name" })),
        (json!({ "thinkingLevel": "Ultra" }), json!({ "thinkingLevel": "high" })),
        (json!({ "thinkingLevel": "xhigh" }), json!({ "thinkingLevel": "xhigh" })),
        (json!({ "thinkingLevel": "off" }), json!({ "thinkingLevel": null })),
        (json!({ "verboseLevel": "off" }), json!({ "verboseLevel": "off" })),
        (json!({ "verboseLevel": "full" }), json!({ "verboseLevel": "full" })),
        (json!({ "reasoningLevel": "stream" }), json!({ "reasoningLevel": "stream" })),
        (json!({ "reasoningLevel": "off" }), json!({ "reasoningLevel": null })),
        (json!({ "responseUsage": "on" }), json!({ "responseUsage": "tokens" })),
        (json!({ "responseUsage": "off" }), json!({ "responseUsage": null })),
        (json!({ "elevatedLevel": "off" }), json!({ "elevatedLevel": "off" })),
        (json!({ "elevatedLevel": "ask" }), json!({ "elevatedLevel": "ask" })),
        (json!({ "execHost": "NODE" }), json!({ "execHost": "node" })),
        (json!({ "execSecurity": "allowlist" }), json!({ "execSecurity": "allowlist" })),
        (json!({ "execAsk": "on-miss" }), json!({ "execAsk": "on-miss" })),
        (json!({ "execNode": " shed " }), json!({ "execNode": "shed" })),
        (
            json!({ "model": "openai/gpt-x" }),
            json!({ "providerOverride": "openai", "modelOverride": "gpt-x", "model": "gpt-x" }),
        ),
        (json!({ "model": "m/1" }), json!({ "providerOverride": "b", "modelOverride": "m/1" })),
        (json!({ "model": null }), json!({ "providerOverride": null, "modelOverride": null, "model": null })),
        (json!({ "spawnedBy": null }), json!({ "spawnedBy": null })),
        (json!({ "spawnedBy": "main" }), json!({ "spawnedBy": "agent:main:main" })),
        (json!({ "spawnedBy": "agent:main:main" }), json!({ "spawnedBy": "agent:main:main" })),
        (
            json!({ "sendPolicy": "deny", "groupActivation": "always" }),
            json!({ "sendPolicy": "deny", "groupActivation": "always" }),
        ),
        (
            json!({ "sendPolicy": null, "label": null }),
            json!({ "sendPolicy": null, "label": null, "groupActivation": "always" }),
        ),
        (
            json!({ "pinned": true, "icon": "x", "fastMode": true }),
            json!({ "pinned": true, "icon": "x", "fastMode": true }),
        ),
    ] {
        let patched = patch(written.clone()).payload();
        assert_eq!((&patched["ok"], &patched["key"]), (&json!(true), &json!("agent:main:subagent:1")));
        for (field, value) in kept.as_object().unwrap() {
            assert_eq!(patched["entry"].get(field).unwrap_or(&Value::Null), value, "{field} of {written}");
        }
    }
}

#[test]
fn every_sentence_of_a_patch() {
    let running = harness()
        .answer("models.list", json!({ "models": [{ "id": "m", "provider": "a" }, { "id": "m", "provider": "b" }] }))
        .start();
    ask(&running, "open", json!({ "key": "taken", "set": { "label": "taken" } })).payload();
    ask(&running, "open", json!({ "key": "subagent:1", "set": { "spawnedBy": "agent:main:main" } })).payload();
    for (key, params, sentence) in [
        ("x", json!({ "label": "taken" }), "label already in use: taken"),
        ("x", json!({ "label": "  " }), "invalid label: empty"),
        ("x", json!({ "label": "x".repeat(65) }), "invalid label: too long (max 64)"),
        ("x", json!({ "thinkingLevel": "deep" }), "invalid thinkingLevel (use off|minimal|low|medium|high|xhigh)"),
        ("x", json!({ "verboseLevel": "loud" }), "invalid verboseLevel (use \"on\"|\"off\")"),
        ("x", json!({ "reasoningLevel": "x" }), "invalid reasoningLevel (use \"on\"|\"off\"|\"stream\")"),
        ("x", json!({ "elevatedLevel": "x" }), "invalid elevatedLevel (use \"on\"|\"off\"|\"ask\"|\"full\")"),
        ("x", json!({ "execHost": "x" }), "invalid execHost (use \"sandbox\"|\"gateway\"|\"node\")"),
        ("x", json!({ "execSecurity": "x" }), "invalid execSecurity (use \"deny\"|\"allowlist\"|\"full\")"),
        ("x", json!({ "execAsk": "x" }), "invalid execAsk (use \"off\"|\"on-miss\"|\"always\")"),
        ("x", json!({ "execNode": " " }), "invalid execNode: empty"),
        ("x", json!({ "model": " " }), "invalid model: empty"),
        ("x", json!({ "model": "c/d" }), "model not allowed: c/d"),
        ("x", json!({ "model": "d" }), "model not allowed: d"),
        ("x", json!({ "model": "m" }), "invalid model: m is offered by several; write provider/model"),
        ("x", json!({ "spawnedBy": "main" }), "spawnedBy is only supported for subagent:* sessions"),
        ("subagent:1", json!({ "spawnedBy": " " }), "invalid spawnedBy: empty"),
        ("subagent:1", json!({ "spawnedBy": null }), "spawnedBy cannot be cleared once set"),
        ("subagent:1", json!({ "spawnedBy": "b" }), "spawnedBy cannot be changed once set"),
    ] {
        let mut params = params;
        params["key"] = json!(key);
        assert_refused(running.call("sessions.patch", params), "INVALID_REQUEST", sentence);
    }
    for schema in [
        json!({ "responseUsage": "x" }),
        json!({ "sendPolicy": "x" }),
        json!({ "groupActivation": "x" }),
        json!({ "label": "" }),
    ] {
        let mut params = schema.clone();
        params["key"] = json!("x");
        assert_eq!(running.call("sessions.patch", params).error().code, "INVALID_REQUEST", "{schema}");
    }
    assert_eq!(running.call("sessions.resolve", json!({ "key": "x" })).error().message, "No session found: x");

    let empty = harness().answer("models.list", json!({ "models": [] })).start();
    let patched = empty.call("sessions.patch", json!({ "key": "x", "model": "gpt" }));
    assert_refused(patched, "INVALID_REQUEST", "invalid model: gpt");
    let alone = start();
    let patched = alone.call("sessions.patch", json!({ "key": "x", "model": "a/b" }));
    assert_refused(patched, "UNAVAILABLE", "model catalog unavailable");
    let modern = Who::admin().with(|caller| caller.protocol = 4);
    let label = json!({ "key": "x", "label": "x".repeat(65) });
    alone.call_as(modern, "sessions.patch", label).payload();
}

#[test]
fn who_may_set_what() {
    let running = harness().answer("models.list", json!({ "models": [] })).start();
    let writer = || Who::operator(&["operator.write"]);
    let light = json!({ "key": "x", "label": "l", "category": "c", "pinned": true, "archived": true, "unread": true,
                        "icon": "i", "color": "c", "model": "a/b", "thinkingLevel": "low", "fastMode": true });
    running.call_as(writer(), "sessions.patch", light).payload();
    for field in [
        "verboseLevel",
        "reasoningLevel",
        "responseUsage",
        "elevatedLevel",
        "execHost",
        "execSecurity",
        "execAsk",
        "execNode",
        "spawnedBy",
        "sendPolicy",
        "groupActivation",
    ] {
        let params = json!({ "key": "x", field: null });
        let error = running.call_as(writer(), "sessions.patch", params.clone()).error();
        assert!(error.message.contains("operator.admin"), "{field}: {error:?}");
        running.call_as(Who::plugin("agent"), "sessions.patch", params).payload();
    }
    let delete = |params: Value| running.call_as(writer(), "sessions.delete", params);
    assert!(delete(json!({ "key": "x" })).error().message.contains("operator.admin"));
    ask(&running, "open", json!({ "key": "y" })).payload();
    assert_refused(
        delete(json!({ "key": "y", "archivedOnly": true })),
        "INVALID_REQUEST",
        "Session agent:main:y is not archived.",
    );
    assert_eq!(delete(json!({ "key": "x", "archivedOnly": true })).payload()["deleted"], true);
    let reader = Who::operator(&["operator.read"]);
    assert!(running.call_as(reader.clone(), "sessions.patch", json!({ "key": "x" })).result.is_err());
    running.call_as(reader, "sessions.resolve", json!({ "key": "y" })).payload();
}

#[test]
fn runs_are_stopped_before_a_session_ends() {
    let still = std::sync::Arc::new(Mutex::new(json!([])));
    let told = still.clone();
    let running = harness()
        .answer_with("agent.abort", move |call| {
            call.finish(Ok(json!({ "runIds": ["r1"], "stillRunning": *told.lock().unwrap() })));
        })
        .start();
    append(&running, "b", json!([numbered(1)]));
    *still.lock().unwrap() = json!(["r1"]);
    for method in ["sessions.reset", "sessions.delete"] {
        let sentence = "Session b is still active; try again in a moment.";
        assert_refused(running.call(method, json!({ "key": "b" })), "UNAVAILABLE", sentence);
    }
    assert_eq!(ids(&ask(&running, "transcript", json!({ "key": "b" })).payload()), ["m1"]);
    *still.lock().unwrap() = json!([]);
    running.call("sessions.reset", json!({ "key": "b" })).payload();
    assert_eq!(running.call("sessions.delete", json!({ "key": "b" })).payload()["deleted"], true);
    let asked = running.asked().into_iter().rfind(|asked| asked.method == "agent.abort").unwrap();
    assert_eq!(asked.params, json!({ "sessionKey": "agent:main:b", "stopReason": "rpc", "waitMs": 15_000 }));
    let aborted = running.call("sessions.abort", json!({ "key": "b" })).payload();
    assert_eq!(aborted, json!({ "ok": true, "abortedRunId": "r1", "status": "aborted" }));
    assert_refused(running.call("sessions.abort", json!({})), "INVALID_REQUEST", "key or runId is required");
    let alone = start();
    assert_eq!(alone.call("sessions.abort", json!({ "key": "b" })).payload()["status"], "no-active-run");
}

#[test]
fn nothing_is_stopped_for_what_is_meant_for_another_conversation() {
    let running = harness().answer("agent.abort", json!({ "runIds": [], "stillRunning": [] })).start();
    append(&running, "b", json!([numbered(1)]));
    for method in ["sessions.reset", "sessions.delete"] {
        let refused = running.call(method, json!({ "key": "b", "expectedSessionId": "another" }));
        assert_eq!(refused.error().details, Some(json!({ "code": "SESSION_CHANGED" })), "{method}");
    }
    assert!(running.asked().iter().all(|asked| asked.method != "agent.abort"));
}

#[test]
fn a_reset_keeps_the_settings_and_the_transcript() {
    let running = start();
    let set = json!({ "label": "l", "addTokens": { "input": 3 }, "abortedLastRun": true, "lastTo": "x" });
    let old = ask(&running, "open", json!({ "key": "b", "set": set })).payload()["sessionId"].clone();
    append(&running, "b", json!([numbered(1)]));
    let reset =
        running.call("sessions.reset", json!({ "key": "b", "reason": "new", "expectedSessionId": old })).payload();
    let entry = &reset["entry"];
    assert_ne!(entry["sessionId"], old);
    assert_eq!((&entry["label"], &entry["lastTo"], &entry["totalTokens"]), (&json!("l"), &json!("x"), &json!(0)));
    assert_eq!(entry["abortedLastRun"], false);
    let stale = running.call("sessions.reset", json!({ "key": "b", "expectedSessionId": old }));
    assert_refused(stale, "INVALID_REQUEST", "Session agent:main:b has begun another conversation.");
    assert_eq!(ids(&ask(&running, "transcript", json!({ "key": "b", "sessionId": old })).payload()), ["m1"]);
    let fresh = running.call("sessions.reset", json!({ "key": "never-seen" })).payload();
    assert!(fresh["entry"]["sessionId"].is_string());
}

#[test]
fn a_deletion_keeps_the_transcript_under_another_name() {
    let running = harness().config(json!({ "archives": 2 })).start();
    assert_refused(
        running.call("sessions.delete", json!({ "key": "MAIN" })),
        "INVALID_REQUEST",
        "Cannot delete the main session (agent:main:main).",
    );
    let nobody = running.call("sessions.delete", json!({ "key": "nobody" })).payload();
    assert_eq!(nobody, json!({ "ok": true, "key": "agent:main:nobody", "deleted": false, "archived": [] }));
    let mut conversations = Vec::new();
    for round in 0..3 {
        let id = append(&running, "b", json!([numbered(round)]))["sessionId"].as_str().unwrap().to_string();
        let params = json!({ "key": "b", "deleteTranscript": round != 1 });
        let deleted = running.call("sessions.delete", params).payload();
        let names = deleted["archived"].as_array().unwrap();
        assert_eq!(names.len(), usize::from(round != 1));
        assert!(names.iter().all(|name| name.as_str().unwrap().starts_with(&format!("{id}.deleted."))), "{names:?}");
        conversations.push(id);
        // Archives are as old as the millisecond in which they were made.
        let now = schemas::now_ms();
        while schemas::now_ms() == now {}
    }
    let kept = |id: &String| ids(&ask(&running, "transcript", json!({ "key": "b", "sessionId": id })).payload()).len();
    assert_eq!(conversations.iter().map(kept).collect::<Vec<_>>(), [0, 1, 1], "the oldest gave way (archives)");
    assert!(running.logs().iter().any(|line| line.message.contains("1 archived transcripts were removed")));
    assert_eq!(running.call("sessions.list", json!({})).payload()["count"], 0);
}

#[test]
fn jobs_and_single_requests_push_out_no_archive_of_a_person() {
    let running = harness().config(json!({ "archives": 1, "program_archives": 2 })).start();
    let talk = append(&running, "talk", json!([numbered(1)]))["sessionId"].clone();
    running.call("sessions.delete", json!({ "key": "talk" })).payload();
    let of_program = ["cron:daily", "cron:daily", "hook:hook-0123456789abcdef0123456789abcdef", "cron:daily"];
    let mut conversations = Vec::new();
    for (number, key) in (0..).zip(of_program) {
        conversations.push(append(&running, key, json!([numbered(number)]))["sessionId"].clone());
        running.call("sessions.reset", json!({ "key": key })).payload();
        // Archives are as old as the millisecond in which they were made.
        let now = schemas::now_ms();
        while schemas::now_ms() == now {}
    }
    let kept = |key: &str, id: &Value| {
        ids(&ask(&running, "transcript", json!({ "key": key, "sessionId": id })).payload()).len()
    };
    let kept_of_program: Vec<_> = of_program.into_iter().zip(&conversations).map(|(key, id)| kept(key, id)).collect();
    assert_eq!((kept("talk", &talk), kept_of_program), (1, vec![0, 0, 1, 1]));
    // Of people's, the oldest goes.
    append(&running, "other", json!([numbered(1)]));
    running.call("sessions.reset", json!({ "key": "other" })).payload();
    assert_eq!(kept("talk", &talk), 0);
}

#[test]
fn what_is_compacted_does_not_begin_with_an_answer_to_nothing() {
    let running = start();
    let compact = |params: Value| running.call("sessions.compact", params).payload();
    assert_eq!(
        compact(json!({ "key": "b" })),
        json!({ "ok": true, "key": "agent:main:b", "compacted": false, "reason": "no sessionId" })
    );
    ask(&running, "open", json!({ "key": "b" })).payload();
    assert_eq!(compact(json!({ "key": "b" }))["reason"], "no transcript");
    let result = json!({ "id": "t", "role": "toolResult", "content": [] });
    append(&running, "b", json!([numbered(1), numbered(2), result, numbered(3)]));
    assert_eq!(
        compact(json!({ "key": "b" })),
        json!({ "ok": true, "key": "agent:main:b", "compacted": false, "kept": 4 })
    );
    let compacted = compact(json!({ "key": "b", "maxLines": 2 }));
    assert_eq!((&compacted["compacted"], &compacted["kept"]), (&json!(true), &json!(1)));
    assert_eq!(ids(&ask(&running, "transcript", json!({ "key": "b" })).payload()), ["m3"]);
    let archive = json!({ "key": "b", "sessionId": compacted["archived"] });
    assert_eq!(ids(&ask(&running, "transcript", archive).payload()), ["m1", "m2", "t"]);
    append(&running, "b", json!([numbered(4)]));
    let got = running.call("sessions.get", json!({ "key": "b" })).payload();
    assert_eq!(ids(&got), ["m3", "m4"]);
}
