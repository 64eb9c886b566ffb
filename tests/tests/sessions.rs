//! Sessions as clients and other plugins meet them: over a socket, across restarts and kills.

use std::path::PathBuf;

use clawhost_tests::support::{Client, Connect, Gateway, Payload};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_test_gateway");

/// A gateway with the plugin that asks `session.store.*` for a test.
async fn start(config: &str) -> Gateway {
    Gateway::builder().program(PROGRAM).config(config).start().await
}

async fn store(client: &mut Client, method: &str, params: Value) -> Value {
    client.ok("t.session", json!({ "method": format!("session.store.{method}"), "params": params })).await
}

fn message(id: &str, role: &str, text: &str) -> Value {
    json!({ "id": id, "role": role, "content": [{ "type": "text", "text": text }] })
}

async fn append(client: &mut Client, key: &str, messages: Value) -> Value {
    store(client, "append", json!({ "key": key, "messages": messages })).await
}

fn ids(transcript: &Value) -> Vec<&str> {
    let messages = transcript["messages"].as_array().expect("a list");
    messages.iter().map(|message| message["id"].as_str().expect("an id")).collect()
}

async fn refused(client: &mut Client, method: &str, params: Value, code: &str, sentence: &str) {
    let error = client.refused(method, params.clone()).await;
    assert_eq!((error.code.as_str(), error.message.as_str()), (code, sentence), "{method} {params}");
}

fn database(gateway: &Gateway) -> PathBuf {
    fn find(folder: PathBuf) -> Option<PathBuf> {
        let entries = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
        entries
            .filter_map(|path| if path.is_dir() { find(path) } else { path.ends_with("sessions.db").then_some(path) })
            .next()
    }
    find(gateway.state_dir()).expect("there is a file of sessions")
}

fn four(scopes: &[&str]) -> Connect {
    let connect = Connect::operator().client("cli", "cli").payload(Payload::V3).scopes(scopes);
    connect.with("minProtocol", json!(4)).with("maxProtocol", json!(4))
}

#[tokio::test]
async fn clients_manage_sessions() {
    let gateway = start("").await;
    let mut client = gateway.admin().await;
    let patched = client.ok("sessions.patch", json!({ "key": "main", "label": "home", "thinkingLevel": "high" })).await;
    assert_eq!((&patched["ok"], &patched["key"]), (&json!(true), &json!("agent:main:main")));
    let entry = &patched["entry"];
    assert_eq!((&entry["label"], &entry["thinkingLevel"]), (&json!("home"), &json!("high")));
    let id = entry["sessionId"].clone();
    let said = json!([
        message("1", "user", "What is the weather?"),
        message("2", "assistant", "Fine."),
        message("3", "user", "And tomorrow?")
    ]);
    append(&mut client, "main", said).await;

    let params = json!({ "includeDerivedTitles": true, "includeLastMessage": true });
    let listed = client.ok("sessions.list", params).await;
    let row = &listed["sessions"][0];
    assert_eq!((&listed["count"], &row["key"], &row["kind"]), (&json!(1), &json!("agent:main:main"), &json!("direct")));
    assert_eq!(
        (&row["derivedTitle"], &row["lastMessagePreview"]),
        (&json!("What is the weather?"), &json!("And tomorrow?"))
    );
    assert_eq!(row["sessionId"], id);
    for by in [json!({ "key": "main" }), json!({ "sessionId": id }), json!({ "label": "home" })] {
        assert_eq!(client.ok("sessions.resolve", by).await, json!({ "ok": true, "key": "agent:main:main" }));
    }
    let previews = client.ok("sessions.preview", json!({ "keys": ["main", "x"], "limit": 1 })).await;
    assert_eq!(
        previews["previews"],
        json!([{ "key": "main", "status": "ok", "items": [{ "role": "user", "text": "And tomorrow?" }] },
               { "key": "x", "status": "missing", "items": [] }])
    );
    let compacted = client.ok("sessions.compact", json!({ "key": "main", "maxLines": 1 })).await;
    assert_eq!((&compacted["compacted"], &compacted["kept"]), (&json!(true), &json!(1)));
    assert!(compacted["archived"].is_string());
    assert_eq!(ids(&client.ok("sessions.get", json!({ "key": "main" })).await), ["3"]);
    let reset = client.ok("sessions.reset", json!({ "key": "main" })).await;
    assert_eq!((&reset["entry"]["label"], &reset["entry"]["totalTokens"]), (&json!("home"), &json!(0)));
    assert_ne!(reset["entry"]["sessionId"], id);

    append(&mut client, "b", json!([message("1", "user", "x")])).await;
    let deleted = client.ok("sessions.delete", json!({ "key": "b" })).await;
    assert_eq!((&deleted["key"], &deleted["deleted"]), (&json!("agent:main:b"), &json!(true)));
    assert_eq!(deleted["archived"].as_array().map(Vec::len), Some(1));
    let again = client.ok("sessions.delete", json!({ "key": "b" })).await;
    assert_eq!(again, json!({ "ok": true, "key": "agent:main:b", "deleted": false, "archived": [] }));
    client.close().await;
}

#[tokio::test]
async fn every_sentence_at_the_wire() {
    let gateway = start("").await;
    let mut client = gateway.admin().await;
    client.ok("sessions.patch", json!({ "key": "taken", "label": "taken" })).await;
    client.ok("sessions.patch", json!({ "key": "subagent:1", "spawnedBy": "main" })).await;
    for (params, sentence) in [
        (json!({ "label": "taken" }), "label already in use: taken"),
        (json!({ "label": " " }), "invalid label: empty"),
        (json!({ "thinkingLevel": "deep" }), "invalid thinkingLevel (use off|minimal|low|medium|high|xhigh)"),
        (json!({ "verboseLevel": "x" }), "invalid verboseLevel (use \"on\"|\"off\")"),
        (json!({ "reasoningLevel": "x" }), "invalid reasoningLevel (use \"on\"|\"off\"|\"stream\")"),
        (json!({ "elevatedLevel": "x" }), "invalid elevatedLevel (use \"on\"|\"off\"|\"ask\"|\"full\")"),
        (json!({ "execHost": "x" }), "invalid execHost (use \"sandbox\"|\"gateway\"|\"node\")"),
        (json!({ "execSecurity": "x" }), "invalid execSecurity (use \"deny\"|\"allowlist\"|\"full\")"),
        (json!({ "execAsk": "x" }), "invalid execAsk (use \"off\"|\"on-miss\"|\"always\")"),
        (json!({ "execNode": " " }), "invalid execNode: empty"),
        (json!({ "model": " " }), "invalid model: empty"),
        (json!({ "spawnedBy": "main" }), "spawnedBy is only supported for subagent:* sessions"),
        (json!({ "key": "subagent:1", "spawnedBy": null }), "spawnedBy cannot be cleared once set"),
        (json!({ "key": "subagent:1", "spawnedBy": "x" }), "spawnedBy cannot be changed once set"),
    ] {
        let mut params = params;
        params.as_object_mut().expect("an object").entry("key").or_insert(json!("x"));
        refused(&mut client, "sessions.patch", params, "INVALID_REQUEST", sentence).await;
    }
    // This gateway has no plugin that lists models.
    let model = json!({ "key": "x", "model": "a/b" });
    refused(&mut client, "sessions.patch", model, "UNAVAILABLE", "model catalog unavailable").await;
    for (params, sentence) in [
        (json!({}), "Either key, sessionId, or label is required"),
        (json!({ "key": "x", "sessionId": "y" }), "Provide either key, sessionId, or label (not multiple)"),
        (json!({ "key": "x" }), "No session found: x"),
        (json!({ "sessionId": "y" }), "No session found: y"),
        (json!({ "label": "z" }), "No session found with label: z"),
    ] {
        refused(&mut client, "sessions.resolve", params, "INVALID_REQUEST", sentence).await;
    }
    let main = "Cannot delete the main session (agent:main:main).";
    refused(&mut client, "sessions.delete", json!({ "key": "main" }), "INVALID_REQUEST", main).await;
    for (method, params, begin) in [
        (
            "sessions.patch",
            json!({ "key": "x", "sendPolicy": "maybe" }),
            "invalid sessions.patch params: at /sendPolicy",
        ),
        (
            "sessions.patch",
            json!({ "key": "x", "colour": "red" }),
            "invalid sessions.patch params: at root: unexpected property 'colour'",
        ),
        ("sessions.list", json!({ "limit": 0 }), "invalid sessions.list params: at /limit"),
        ("sessions.preview", json!({ "keys": [] }), "invalid sessions.preview params: at /keys"),
        ("sessions.reset", json!({}), "invalid sessions.reset params: must have required property 'key'"),
    ] {
        let error = client.refused(method, params).await;
        assert!(error.code == "INVALID_REQUEST" && error.message.starts_with(begin), "{error:?}");
    }
    for (key, reason) in [("nobody", "no sessionId"), ("taken", "no transcript")] {
        let compacted = client.ok("sessions.compact", json!({ "key": key })).await;
        assert_eq!((&compacted["compacted"], &compacted["reason"]), (&json!(false), &json!(reason)));
    }
    client.close().await;
}

#[tokio::test]
async fn some_fields_take_more_than_writing() {
    let gateway = start("").await;
    let mut writer = gateway.connect(&four(&["operator.write"])).await;
    writer.ok("sessions.patch", json!({ "key": "x", "label": "mine", "pinned": true, "archived": true })).await;
    let error = writer.refused("sessions.patch", json!({ "key": "x", "execHost": "gateway" })).await;
    assert_eq!((error.code.as_str(), error.message.as_str()), ("FORBIDDEN", "missing scope: operator.admin"));
    assert_eq!(writer.refused("sessions.delete", json!({ "key": "x" })).await.code, "FORBIDDEN");
    assert_eq!(writer.refused("sessions.reset", json!({ "key": "x" })).await.code, "FORBIDDEN");
    assert_eq!(writer.ok("sessions.list", json!({})).await["count"], 0, "what was put away is not listed");
    assert_eq!(writer.ok("sessions.list", json!({ "archived": true, "later": 1 })).await["count"], 1);
    let deleted = writer.ok("sessions.delete", json!({ "key": "x", "archivedOnly": true })).await;
    assert_eq!(deleted["deleted"], true);
    let mut old = gateway.operator(&["operator.write"]).await;
    let error = old.refused("sessions.patch", json!({ "key": "x", "execHost": "gateway" })).await;
    assert_eq!((error.code.as_str(), error.message.as_str()), ("INVALID_REQUEST", "missing scope: operator.admin"));
    assert_eq!(old.refused("session.store.open", json!({ "key": "x" })).await.message, "missing scope: operator.admin");
    writer.close().await;
    old.close().await;
}

#[tokio::test]
async fn subscribers_hear_what_happens() {
    let gateway = start("").await;
    let mut admin = gateway.admin().await;
    let mut reader = gateway.operator(&["operator.read"]).await;
    let mut deaf = gateway.operator(&["operator.read"]).await;
    assert_eq!(reader.ok("sessions.subscribe", json!({})).await, json!({ "subscribed": true }));
    let params = json!({ "key": "main", "includeApprovals": true });
    let subscribed = reader.ok("sessions.messages.subscribe", params).await;
    assert_eq!(subscribed, json!({ "subscribed": true, "key": "agent:main:main" }));
    append(&mut admin, "main", json!([message("1", "user", "one"), message("2", "assistant", "two")])).await;
    for (id, seq) in [("1", 1), ("2", 2)] {
        let event = reader.event("session.message").await;
        assert_eq!(event.seq, None, "it was sent to this connection");
        let payload = event.payload.expect("a payload");
        assert_eq!((&payload["messageId"], &payload["messageSeq"]), (&json!(id), &json!(seq)));
        assert_eq!((&payload["sessionKey"], &payload["message"]["id"]), (&json!("agent:main:main"), &json!(id)));
    }
    let changed = reader.event("sessions.changed").await.payload.expect("a payload");
    assert_eq!((&changed["sessionKey"], &changed["agentId"]), (&json!("agent:main:main"), &json!("main")));
    assert_eq!(changed["session"]["lastMessagePreview"], "two");
    admin.ok("sessions.patch", json!({ "key": "b", "label": "b" })).await;
    let of_b = |payload: &Value| payload["sessionKey"] == "agent:main:b" && payload["reason"] == "delete";
    admin.ok("sessions.delete", json!({ "key": "b" })).await;
    let gone = reader.event_with("sessions.changed", of_b).await.payload.expect("a payload");
    assert_eq!(gone.get("session"), None);

    reader.ok("sessions.messages.unsubscribe", json!({ "key": "main" })).await;
    reader.ok("sessions.unsubscribe", json!({})).await;
    append(&mut admin, "main", json!([message("3", "user", "three")])).await;
    reader.ok("sessions.describe", json!({ "key": "main" })).await;
    assert_eq!(reader.heard("session.message").len(), 2);
    deaf.ok("sessions.describe", json!({ "key": "main" })).await;
    assert!(deaf.heard("session.message").is_empty() && deaf.heard("sessions.changed").is_empty());
    for client in [admin, reader, deaf] {
        client.close().await;
    }
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let gateway = start("").await;
    let mut client = gateway.admin().await;
    client.ok("sessions.patch", json!({ "key": "main", "label": "home", "sendPolicy": "deny" })).await;
    append(&mut client, "main", json!([message("1", "user", "one")])).await;
    store(&mut client, "note", json!({ "key": "main", "set": { "addTokens": { "input": 7 } } })).await;
    append(&mut client, "agent:ops:x", json!([message("1", "user", "x")])).await;
    let before = client.ok("sessions.list", json!({ "includeDerivedTitles": true })).await;
    let transcript = store(&mut client, "transcript", json!({ "key": "main" })).await;
    assert_eq!(transcript["entry"]["inputTokens"], 7);
    client.close().await;
    let gateway = gateway.stop().await.restart().await;
    let mut client = gateway.admin().await;
    let after = client.ok("sessions.list", json!({ "includeDerivedTitles": true })).await;
    assert_eq!(after["sessions"], before["sessions"]);
    assert_eq!(store(&mut client, "transcript", json!({ "key": "main" })).await, transcript);
    let again = append(&mut client, "main", json!([message("1", "user", "one")])).await;
    assert_eq!(again["total"], 1, "an id is known across restarts");

    // Made anew while it runs, it goes on with the same file.
    client.ok("plugins.reload", json!({ "id": "sessions" })).await;
    append(&mut client, "main", json!([message("2", "user", "two")])).await;
    assert_eq!(ids(&store(&mut client, "transcript", json!({ "key": "main" })).await), ["1", "2"]);
    client.close().await;
}

#[tokio::test]
async fn a_kill_amid_appends_tears_nothing() {
    let mut gateway = start("").await;
    let mut confirmed = Vec::new();
    for round in 0..3 {
        let mut client = gateway.admin().await;
        // Each leaves three messages or none. Many are on their way when the gateway is killed.
        let mut asked = Vec::new();
        for number in 0..60 {
            let id = format!("{round}-{number}");
            let trio = json!([
                message(&format!("{id}-a"), "user", "a"),
                message(&format!("{id}-b"), "assistant", "b"),
                message(&format!("{id}-c"), "user", "c")
            ]);
            let append = json!({ "key": format!("s{}", number % 4), "messages": trio });
            let params = json!({ "method": "session.store.append", "params": append });
            asked.push((id, client.request("t.session", params).await));
        }
        for (id, request) in asked.into_iter().take(20) {
            client.answer(&request).await.expect("it is appended");
            confirmed.push(id);
        }
        gateway = gateway.kill().await.restart().await;
    }
    let mut client = gateway.admin().await;
    let mut kept = Vec::new();
    for session in 0..4 {
        let transcript = store(&mut client, "transcript", json!({ "key": format!("s{session}") })).await;
        let found = ids(&transcript);
        assert_eq!(transcript["total"], found.len());
        for trio in found.chunks(3) {
            let id = trio[0].strip_suffix("-a").expect("the first of three");
            assert_eq!(trio, [format!("{id}-a"), format!("{id}-b"), format!("{id}-c")], "all or none");
            kept.push(id.to_string());
        }
    }
    let lost: Vec<_> = confirmed.iter().filter(|id| !kept.contains(id)).collect();
    assert!(lost.is_empty(), "what was answered is on the disk: {lost:?}");
    client.close().await;
}

#[tokio::test]
async fn a_thousand_runs_append_at_once() {
    let gateway = start("").await;
    let mut client = gateway.admin().await;
    let params: Vec<Value> = (0..1_000)
        .map(|run| json!({ "key": format!("run:{run}"), "messages": [message("1", "user", "go"), message("2", "assistant", "gone")] }))
        .collect();
    let done = client.ok("t.session.at-once", json!({ "method": "session.store.append", "params": params })).await;
    assert_eq!(done, json!({ "done": 1_000, "failed": null }));
    let listed = client.ok("sessions.list", json!({ "limit": 10, "search": "run:" })).await;
    assert_eq!(
        (&listed["count"], &listed["totalCount"], &listed["hasMore"]),
        (&json!(10), &json!(1_000), &json!(true))
    );
    client.close().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_left_alone() {
    let gateway = start("").await;
    let mut client = gateway.admin().await;
    append(&mut client, "main", json!([message("1", "user", "one")])).await;
    client.close().await;
    let file = database(&gateway);
    let stopped = gateway.stop().await;
    let whole = std::fs::read(&file).expect("the file can be read");
    let broken = b"somebody may want this back".repeat(200);
    std::fs::write(&file, &broken).expect("the file can be written");
    let gateway = stopped.restart().await;
    gateway.log_line("restore a backup").await;
    let mut client = gateway.admin().await;
    assert_eq!(client.refused("sessions.list", json!({})).await.message, "unknown method: sessions.list");
    gateway.assert_healthy().await;
    client.close().await;
    let stopped = gateway.stop().await;
    assert_eq!(std::fs::read(&file).expect("it is still there"), broken);
    std::fs::write(&file, &whole).expect("the file can be written");
    let gateway = stopped.restart().await;
    let mut client = gateway.admin().await;
    assert_eq!(ids(&client.ok("sessions.get", json!({ "key": "main" })).await), ["1"]);
    client.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_on_the_machine_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let gateway = start("").await;
    let mut client = gateway.admin().await;
    append(&mut client, "main", json!([message("1", "user", "one")])).await;
    let file = database(&gateway);
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().expect("a folder"))), (0o600, 0o700));
    client.close().await;
}

#[tokio::test]
async fn overviews_show_sessions() {
    let gateway = Gateway::start().await;
    let mut client = gateway.admin().await;
    client.ok("sessions.patch", json!({ "key": "main", "label": "home" })).await;
    let status = client.ok("status", json!({})).await;
    let sessions = &status["sessions"];
    assert_eq!((&sessions["paths"], &sessions["count"]), (&json!(["sessions.db"]), &json!(1)));
    assert_eq!(sessions["recent"][0]["key"], "agent:main:main");
    assert_eq!((&sessions["byAgent"][0]["agentId"], &sessions["byAgent"][0]["count"]), (&json!("main"), &json!(1)));
    let health = client.ok("health", json!({ "probe": true })).await;
    assert_eq!((&health["sessions"]["path"], &health["sessions"]["count"]), (&json!("sessions.db"), &json!(1)));
    let recent = &health["agents"][0]["sessions"]["recent"][0];
    assert!(recent["key"] == "agent:main:main" && recent["age"].is_u64() && recent["updatedAt"].is_u64(), "{recent}");
    client.close().await;
}

/// What the recorded clients ask about sessions, and what they read in the answers.
#[tokio::test]
async fn what_known_clients_ask() {
    let gateway = start("").await;
    let mut admin = gateway.admin().await;
    let set = json!({ "chatType": "direct", "origin": { "provider": "webchat" }, "systemSent": true, "abortedLastRun": false,
                      "totalTokens": 0, "lastChannel": "webchat", "lastTo": "heartbeat" });
    store(&mut admin, "open", json!({ "key": "main", "set": set })).await;
    append(&mut admin, "main", json!([message("1", "user", "hello chat")])).await;
    // The TUI and the Control UI of protocol 3, and a node host's tool.
    for params in [
        json!({ "includeGlobal": false, "includeUnknown": false, "agentId": "main" }),
        json!({ "includeGlobal": true, "includeUnknown": false, "limit": 120 }),
        json!({}),
    ] {
        let listed = admin.ok("sessions.list", params).await;
        for key in ["ts", "path", "count", "defaults", "sessions"] {
            assert!(listed.get(key).is_some(), "{key} of {listed}");
        }
        for key in ["modelProvider", "model", "contextTokens"] {
            assert!(listed["defaults"].get(key).is_some(), "{key} of {listed}");
        }
        let row = &listed["sessions"][0];
        let keys: Vec<_> = row.as_object().expect("an object").keys().cloned().collect();
        let recorded = [
            "abortedLastRun",
            "chatType",
            "deliveryContext",
            "key",
            "kind",
            "lastChannel",
            "lastTo",
            "origin",
            "sessionId",
            "systemSent",
            "totalTokens",
            "updatedAt",
        ];
        assert_eq!(keys, recorded);
        assert_eq!(row["deliveryContext"], json!({ "channel": "webchat", "to": "heartbeat" }));
    }
    // The Control UI of protocol 4.
    let mut ui = gateway.connect(&four(&["operator.read"])).await;
    assert_eq!(ui.ok("sessions.subscribe", json!({})).await, json!({ "subscribed": true }));
    let listed = ui
        .ok(
            "sessions.list",
            json!({ "includeGlobal": true, "includeUnknown": true, "configuredAgentsOnly": true, "limit": 200,
                    "includeDerivedTitles": true, "includeLastMessage": true, "ownerFirst": true, "agentId": "main" }),
        )
        .await;
    for (key, value) in [
        ("count", json!(1)),
        ("totalCount", json!(1)),
        ("limitApplied", json!(200)),
        ("nextOffset", Value::Null),
        ("hasMore", json!(false)),
        ("owners", json!([])),
    ] {
        assert_eq!(listed[key], value, "{key}");
    }
    assert_eq!(listed["sessions"][0]["lastMessagePreview"], "hello chat");
    let children = json!({ "includeGlobal": false, "includeUnknown": false, "configuredAgentsOnly": true, "limit": 10000,
                           "spawnedBy": "agent:main:main" });
    assert_eq!(ui.ok("sessions.list", children).await["count"], 0);
    let subscribed =
        ui.ok("sessions.messages.subscribe", json!({ "key": "agent:main:main", "includeApprovals": true })).await;
    assert_eq!(subscribed, json!({ "subscribed": true, "key": "agent:main:main" }));
    let described = ui.ok("sessions.describe", json!({ "key": "agent:main:main" })).await;
    assert_eq!(described["session"]["key"], "agent:main:main");
    assert_eq!(ui.ok("sessions.describe", json!({ "key": "agent:main:none" })).await, json!({ "session": null }));
    // What is not served is not listed, and called by nobody who looks.
    let methods = ui.hello["features"]["methods"].to_string();
    for absent in ["sessions.viewers.set", "sessions.groups.list", "sessions.branches.list", "sessions.catalog.list"] {
        assert!(!methods.contains(absent), "{absent}");
    }
    admin.close().await;
    ui.close().await;
}
