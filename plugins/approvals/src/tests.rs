use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use plugin_kit::{CancelReason, Harness, PendingCall, Running, Who};
use serde_json::{Value, json};

use super::Approvals;

const TOO_LATE: Duration = Duration::from_secs(121);

fn start() -> Running {
    Harness::new::<Approvals>().start()
}

fn approver() -> Who {
    Who::operator(&["operator.approvals"]).with(|caller| {
        caller.display_name = Some("Anna".to_string());
        caller.client_id = Some("cli".to_string());
    })
}

fn ask(approvals: &Running, params: Value) -> (PendingCall, String) {
    let call = approvals.begin_as(approver(), "exec.approval.request", params);
    let requested = approvals.wait_event("exec.approval.requested").payload;
    (call, requested["id"].as_str().expect("an id").to_string())
}

fn resolve(approvals: &Running, id: &str, decision: &str) -> plugin_kit::Outcome {
    approvals.call_as(approver(), "exec.approval.resolve", json!({ "id": id, "decision": decision }))
}

#[test]
fn a_request_is_told_decided_and_answered() {
    let approvals = start();
    let call = approvals.begin("exec.approval.request", json!({ "command": "ls", "cwd": "/tmp", "id": "a" }));
    let requested = approvals.wait_event("exec.approval.requested");
    assert!(requested.droppable && requested.conns.is_none());
    let (created, expires) = (&requested.payload["createdAtMs"], &requested.payload["expiresAtMs"]);
    let waited = expires.as_u64().unwrap() - created.as_u64().unwrap();
    assert_eq!(waited, 120_000);
    assert_eq!(
        requested.payload["request"],
        json!({ "command": "ls", "cwd": "/tmp", "host": null, "security": null, "ask": null, "agentId": null,
                "resolvedPath": null, "sessionKey": null })
    );
    assert_eq!(approvals.call_as(approver(), "exec.approval.list", json!({})).payload(), json!([requested.payload]));
    assert!(!call.is_done());

    assert_eq!(resolve(&approvals, "a", "allow-always").payload(), json!({ "ok": true }));
    let resolved = approvals.wait_event("exec.approval.resolved").payload;
    assert_eq!((&resolved["id"], &resolved["decision"]), (&json!("a"), &json!("allow-always")));
    assert_eq!(resolved["resolvedBy"], "Anna");
    let answered = call.wait();
    assert!(answered.interims.is_empty());
    assert_eq!(
        answered.payload(),
        json!({ "id": "a", "decision": "allow-always", "createdAtMs": created, "expiresAtMs": expires })
    );
    assert_eq!(approvals.call_as(approver(), "exec.approval.list", json!({})).payload(), json!([]));
}

#[test]
fn the_first_decision_counts() {
    let approvals = start();
    let (call, id) = ask(&approvals, json!({ "command": "ls" }));
    let wrong = resolve(&approvals, &id, "allow").error();
    assert_eq!((wrong.code.as_str(), wrong.message.as_str()), ("INVALID_REQUEST", "invalid decision"));
    resolve(&approvals, &id, "deny").payload();
    let late = resolve(&approvals, &id, "allow-once").error();
    assert_eq!(late.message, "unknown approval id");
    assert_eq!(late.details.unwrap(), json!({ "reason": "APPROVAL_NOT_FOUND", "decision": "deny" }));
    assert_eq!(call.wait().payload()["decision"], "deny");
    let newer = approver().with(|caller| caller.protocol = 4);
    let none = approvals.call_as(newer, "exec.approval.resolve", json!({ "id": "none", "decision": "deny" })).error();
    assert_eq!(none.message, "unknown or expired approval id");
    assert_eq!(none.details.unwrap(), json!({ "reason": "APPROVAL_NOT_FOUND" }));
    assert_eq!(approvals.events().iter().filter(|event| event.name == "exec.approval.resolved").count(), 1);
}

#[test]
fn nobody_decides_in_time() {
    let approvals = start();
    let (call, id) = ask(&approvals, json!({ "command": "ls" }));
    approvals.advance(Duration::from_secs(119));
    assert!(!call.is_done());
    approvals.advance(Duration::from_secs(2));
    assert_eq!(call.wait().payload()["decision"], Value::Null);
    assert_eq!(resolve(&approvals, &id, "deny").error().message, "unknown approval id");
    assert!(approvals.events().iter().all(|event| event.name != "exec.approval.resolved"));

    let config = json!({ "timeout_ms": 5_000, "max_timeout_ms": 10_000 });
    let approvals = Harness::new::<Approvals>().config(config).start();
    let (short, _) = ask(&approvals, json!({ "command": "ls" }));
    let (long, _) = ask(&approvals, json!({ "command": "ls", "timeoutMs": 1_000_000.0 }));
    approvals.advance(Duration::from_millis(5_001));
    assert!(short.is_done() && !long.is_done());
    approvals.advance(Duration::from_millis(5_000));
    assert_eq!(long.wait().payload()["decision"], Value::Null);
}

#[test]
fn who_has_gone_comes_back_for_the_decision() {
    let approvals = start();
    let (call, id) = ask(&approvals, json!({ "command": "ls", "twoPhase": true }));
    let accepted = call.next_interim();
    assert_eq!((&accepted["status"], &accepted["id"]), (&json!("accepted"), &json!(id)));
    call.cancel(CancelReason::Disconnect);
    assert_eq!(
        approvals.call("exec.approval.request", json!({ "command": "ls", "id": id })).error().message,
        "approval id already pending"
    );
    let waits = approvals.begin_as(approver(), "exec.approval.waitDecision", json!({ "id": id }));
    let given_up = approvals.begin_as(approver(), "exec.approval.waitDecision", json!({ "id": id }));
    given_up.cancel(CancelReason::Disconnect);
    resolve(&approvals, &id, "allow-once").payload();
    assert_eq!(waits.wait().payload()["decision"], "allow-once");
    let again = approvals.call_as(approver(), "exec.approval.waitDecision", json!({ "id": id })).payload();
    assert_eq!(again["decision"], "allow-once", "a decision is kept for who comes late");
    let reused = approvals.call("exec.approval.request", json!({ "command": "rm", "id": id })).error();
    assert_eq!(reused.message, "approval id was decided already");
    approvals.advance(TOO_LATE);
    let gone = approvals.call_as(approver(), "exec.approval.waitDecision", json!({ "id": id })).error();
    assert_eq!(gone.message, "approval expired or not found");
}

#[test]
fn only_so_many_wait_and_only_so_many_are_remembered() {
    let approvals = Harness::new::<Approvals>().config(json!({ "max_pending": 2 })).start();
    let ids: Vec<String> = (0..2).map(|_| ask(&approvals, json!({ "command": "ls" })).1).collect();
    let full = approvals.call("exec.approval.request", json!({ "command": "ls" })).error();
    assert_eq!((full.code.as_str(), full.retryable), ("UNAVAILABLE", Some(true)));
    assert!(full.message.contains("max_pending"), "{full}");
    let mut decided = ids.clone();
    ids.iter().for_each(|id| drop(resolve(&approvals, id, "deny").payload()));
    for _ in 0..5 {
        let (_, id) = ask(&approvals, json!({ "command": "ls" }));
        resolve(&approvals, &id, "deny").payload();
        decided.push(id);
    }
    let remembered =
        |id: &String| approvals.call_as(approver(), "exec.approval.waitDecision", json!({ "id": id })).result.is_ok();
    let remembered: Vec<bool> = decided.iter().map(remembered).collect();
    assert_eq!(remembered, [false, false, false, false, false, true, true]);
    assert_eq!(approvals.timers(), 2, "what is forgotten leaves nothing behind");
}

#[test]
fn a_request_that_is_too_large_is_refused() {
    let approvals = Harness::new::<Approvals>().config(json!({ "max_request_bytes": 300 })).start();
    let error = approvals.call("exec.approval.request", json!({ "command": "x".repeat(300) })).error();
    assert!(error.code == "INVALID_REQUEST" && error.message.contains("max_request_bytes"), "{error}");
    assert!(approvals.events().is_empty());
}

#[test]
fn what_a_node_would_run_is_what_is_shown() {
    let approvals = start();
    let plan = json!({ "argv": ["rm", "-r", "x"], "cwd": "/a", "commandText": "rm -r x", "commandPreview": "rm",
                       "agentId": "main", "sessionKey": null, "binding": { "v": 1 } });
    let params = json!({ "command": "ls", "cwd": "/b", "agentId": "other", "host": "node", "nodeId": "n",
                         "systemRunPlan": plan, "sessionKey": "s" });
    let (_call, id) = ask(&approvals, params);
    let listed = approvals.call_as(approver(), "exec.approval.list", json!({})).payload();
    let request = &listed[0]["request"];
    assert_eq!((&request["command"], &request["cwd"]), (&json!("rm -r x"), &json!("/a")));
    assert_eq!((&request["agentId"], &request["sessionKey"]), (&json!("main"), &json!("s")));
    assert_eq!((&request["commandArgv"], &request["nodeId"]), (&json!(["rm", "-r", "x"]), &json!("n")));
    assert_eq!(request["systemRunPlan"], plan, "whoever binds a run to it finds it unchanged");
    let seen = approvals.call_as(approver(), "exec.approval.get", json!({ "id": id })).payload();
    assert_eq!((&seen["commandText"], &seen["commandPreview"]), (&json!("rm -r x"), &json!("rm")));
    assert_eq!(seen["allowedDecisions"], json!(["allow-once", "allow-always", "deny"]));
    assert_eq!(approvals.call("exec.approval.get", json!({ "id": "x" })).error().code, "INVALID_REQUEST");

    for (params, why) in [
        (json!({ "command": "ls", "host": "node", "systemRunPlan": plan }), "nodeId is required for host=node"),
        (json!({ "command": "ls", "host": "node", "nodeId": "n" }), "systemRunPlan is required for host=node"),
        (json!({ "command": "  " }), "command is required"),
        (json!({}), "command is required"),
    ] {
        assert_eq!(approvals.call("exec.approval.request", params).error().message, why);
    }
    // The form of protocol 3 has neither.
    ask(&approvals, json!({ "command": "ls", "host": "node" }));
    let (_call, _) = ask(&approvals, json!({ "commandArgv": ["git", "\u{202e}gnp"] }));
    let listed = approvals.call_as(approver(), "exec.approval.list", json!({})).payload().to_string();
    assert!(listed.contains(r"git \\u{202e}gnp"), "nothing is hidden from whoever decides: {listed}");
}

/// An instance that finds what this one has left.
fn start_after(before: &Running) -> Running {
    Harness::new::<Approvals>().data_of(before.data_dir()).start()
}

fn list(approvals: &Running) -> Value {
    approvals.call_as(approver(), "exec.approval.list", json!({})).payload()
}

fn wait_for(approvals: &Running, id: &str) -> PendingCall {
    approvals.begin_as(approver(), "exec.approval.waitDecision", json!({ "id": id }))
}

#[test]
fn the_end_of_an_instance_is_told_to_who_waits_and_the_next_one_knows() {
    let first = start();
    let (call, id) = ask(
        &first,
        json!({ "command": "ls", "cwd": "/tmp", "host": "node", "nodeId": "n",
        "systemRunPlan": { "argv": ["ls", "-l"], "cwd": "/a", "binding": { "v": 1 } } }),
    );
    let asked = list(&first);
    first.quiesce();
    let error = call.wait().error();
    assert_eq!((error.code.as_str(), error.retryable), ("UNAVAILABLE", Some(true)));
    assert_eq!(error.details.unwrap(), json!({ "reason": "APPROVAL_WAITS_ON", "id": id }));
    // It says nothing about requests any more, not even that there are none.
    for (method, params) in [
        ("exec.approval.request", json!({ "command": "ls" })),
        ("exec.approval.resolve", json!({ "id": id, "decision": "deny" })),
        ("exec.approval.list", json!({})),
        ("exec.approval.get", json!({ "id": id })),
        ("exec.approval.waitDecision", json!({ "id": id })),
    ] {
        let error = first.call(method, params).error();
        assert_eq!((error.code.as_str(), error.retryable), ("UNAVAILABLE", Some(true)), "{method}: {error}");
    }
    assert_eq!(first.timers(), 0);
    let file = first.data_dir().join("approvals.db");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let second = start_after(&first);
    assert_eq!(list(&second), asked, "with its times and what a node would run");
    assert!(second.events().is_empty(), "nobody is asked a second time");
    let doubled = second.call("exec.approval.request", json!({ "command": "rm", "id": id })).error();
    assert_eq!(doubled.message, "approval id already pending");
    let waits = wait_for(&second, &id);
    resolve(&second, &id, "allow-once").payload();
    assert_eq!(waits.wait().payload()["decision"], "allow-once");
    second.quiesce();

    // Answered once, whoever asks; who comes late hears of it.
    let third = start_after(&second);
    assert_eq!(list(&third), json!([]));
    let late = resolve(&third, &id, "deny").error();
    assert_eq!(late.details.unwrap(), json!({ "reason": "APPROVAL_NOT_FOUND", "decision": "allow-once" }));
    assert_eq!(wait_for(&third, &id).wait().payload()["decision"], "allow-once");
    assert!(third.events().iter().all(|event| event.name != "exec.approval.resolved"));
    third.advance(TOO_LATE);
    assert_eq!(wait_for(&third, &id).wait().error().message, "approval expired or not found");
    third.quiesce();
    assert_eq!(wait_for(&start_after(&third), &id).wait().error().message, "approval expired or not found");
}

#[test]
fn a_request_has_its_time_and_no_more_across_instances() {
    let first = start();
    let (_short, short) = ask(&first, json!({ "command": "ls", "id": "short", "timeoutMs": 40 }));
    let (_long, long) = ask(&first, json!({ "command": "ls", "id": "long", "timeoutMs": 600_000 }));
    first.quiesce();
    // Virtual time stood still for the first one; the clock on the wall did not.
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(50) {
        std::thread::yield_now();
    }
    let second = start_after(&first);
    let waiting = list(&second);
    assert_eq!((waiting.as_array().unwrap().len(), &waiting[0]["id"]), (1, &json!(long)));
    assert_eq!(wait_for(&second, &short).wait().error().message, "approval expired or not found");
    let waits = wait_for(&second, &long);
    second.advance(Duration::from_secs(500));
    assert!(!waits.is_done(), "what is left of its time is not over");
    second.advance(Duration::from_secs(101));
    assert_eq!(waits.wait().payload()["decision"], Value::Null);
    second.quiesce();
    assert_eq!(list(&start_after(&second)), json!([]), "it does not come back");
}

#[test]
fn what_cannot_be_written_down_is_neither_asked_nor_decided() {
    let approvals = start();
    let (call, id) = ask(&approvals, json!({ "command": "ls" }));
    let file = database::rusqlite::Connection::open(approvals.data_dir().join("approvals.db")).unwrap();
    let break_off = |event: &str| {
        let fails = "SELECT RAISE(ABORT, 'the disk is full')";
        file.execute_batch(&format!("CREATE TRIGGER broken BEFORE {event} ON requests BEGIN {fails}; END")).unwrap();
    };
    let mend = || file.execute_batch("DROP TRIGGER broken").unwrap();
    break_off("INSERT");
    let unasked = approvals.call("exec.approval.request", json!({ "command": "rm", "id": "b" })).error();
    assert!(unasked.code == "UNAVAILABLE" && !unasked.message.contains("disk"), "{unasked}");
    assert_eq!(approvals.events().len(), 1, "nobody heard of it");
    mend();
    break_off("UPDATE");
    let undecided = resolve(&approvals, &id, "deny").error();
    assert_eq!(undecided.code, "UNAVAILABLE");
    mend();
    assert!(!call.is_done() && list(&approvals)[0]["id"] == json!(id), "it waits as before");
    assert!(approvals.events().iter().all(|event| event.name != "exec.approval.resolved"));
    resolve(&approvals, &id, "allow-once").payload();
    assert_eq!(call.wait().payload()["decision"], "allow-once");
    ask(&approvals, json!({ "command": "rm", "id": "b" }));
}

#[test]
fn a_file_that_cannot_be_read_stops_the_plugin_and_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("approvals.db");
    fs::write(&file, "no database").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let why = Harness::new::<Approvals>().data_of(folder.path()).start_error();
    assert!(why.contains("approvals.db"), "{why}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "no database");
}

#[test]
fn the_file_is_changed_by_who_knows_it_and_its_token_stays_in_it() {
    let approvals = start();
    let get = || approvals.call("exec.approvals.get", json!({})).payload();
    let set = |file: Value, hash: Option<&Value>| {
        let mut params = json!({ "file": file });
        if let Some(hash) = hash {
            params["baseHash"] = hash.clone();
        }
        approvals.call("exec.approvals.set", params)
    };
    let none = get();
    assert_eq!((&none["exists"], &none["file"]), (&json!(false), &json!({ "version": 1, "agents": {} })));

    let rule = json!({ "pattern": "/usr/bin/git", "argPattern": "^status$", "lastUsedAt": 5 });
    let file = json!({ "version": 1, "socket": { "path": "/s", "token": "the-token-of-the-socket" },
                       "agents": { "main": { "security": "allowlist", "allowlist": [rule] } } });
    let first = set(file, None).payload();
    assert_eq!((&first["exists"], &first["file"]["socket"]), (&json!(true), &json!({ "path": "/s" })));
    assert_eq!(first["file"]["agents"]["main"]["allowlist"][0], rule, "what bounds a rule is kept");
    assert_eq!(get(), first);
    let path = approvals.data_dir().join("exec-approvals.json");
    assert_eq!(first["path"], path.display().to_string());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let next = json!({ "version": 1.0, "defaults": { "security": "deny", "ask": null }, "agents": null });
    let error = set(next.clone(), None).error();
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("INVALID_REQUEST", "exec approvals base hash required; re-run exec.approvals.get and retry")
    );
    let error = set(next.clone(), Some(&none["hash"])).error();
    assert_eq!(error.message, "exec approvals changed since last load; re-run exec.approvals.get and retry");
    let second = set(next, Some(&first["hash"])).payload();
    assert_ne!(second["hash"], first["hash"]);
    assert!(!second.to_string().contains("the-token") && second["file"]["socket"]["path"] == "/s");
    assert!(fs::read_to_string(&path).unwrap().contains("the-token-of-the-socket"), "it was kept");

    let odd = set(json!({ "version": 1, "defaults": { "security": "ful" } }), Some(&second["hash"])).error();
    assert!(odd.message.contains("security is one of deny, allowlist, full"), "{odd}");
    let two = set(json!({ "version": 2 }), Some(&second["hash"])).error();
    assert_eq!(two.code, "INVALID_REQUEST");
    let writer = Who::operator(&["operator.write", "operator.approvals"]);
    assert!(approvals.call_as(writer, "exec.approvals.get", json!({})).result.is_err(), "admins only");

    fs::write(&path, "{ broken").unwrap();
    let broken = approvals.call("exec.approvals.get", json!({})).error();
    assert!(broken.code == "UNAVAILABLE" && !broken.message.contains("exec-approvals.json"), "{broken}");
    let error = set(json!({ "version": 1 }), Some(&second["hash"])).error();
    assert_eq!(error.message, "exec approvals base hash unavailable; re-run exec.approvals.get and retry");
    assert_eq!(fs::read_to_string(&path).unwrap(), "{ broken", "what cannot be read is not written over");
}

#[test]
fn a_file_has_a_largest_size() {
    let approvals = Harness::new::<Approvals>().config(json!({ "max_file_bytes": 300 })).start();
    let large = json!({ "version": 1, "agents": { "a": { "allowlist": [{ "pattern": "x".repeat(300) }] } } });
    let error = approvals.call("exec.approvals.set", json!({ "file": large })).error();
    assert!(error.code == "INVALID_REQUEST" && error.message.contains("max_file_bytes"), "{error}");
    fs::write(approvals.data_dir().join("exec-approvals.json"), " ".repeat(301)).unwrap();
    assert_eq!(approvals.call("exec.approvals.get", json!({})).error().code, "UNAVAILABLE");
}

#[test]
fn a_node_keeps_its_own_file() {
    let of_node = json!({ "path": "/n", "exists": true, "hash": "h",
                          "file": { "version": 1, "socket": { "path": "/s", "token": "t" }, "more": 1 } });
    let approvals = Harness::new::<Approvals>().answer("node.call", of_node).start();
    let got = approvals.call("exec.approvals.node.get", json!({ "nodeId": "n" })).payload();
    assert_eq!(got["file"], json!({ "version": 1, "socket": { "path": "/s" }, "more": 1 }));
    let file = json!({ "version": 1, "agents": {}, "ofTheNode": true });
    let set = json!({ "nodeId": "n", "file": file, "baseHash": "h" });
    approvals.call("exec.approvals.node.set", set).payload();
    let asked: Vec<Value> = approvals.asked().into_iter().map(|asked| asked.params).collect();
    assert_eq!(asked[0], json!({ "nodeId": "n", "command": "system.execApprovals.get", "params": {} }));
    let params = json!({ "file": file, "baseHash": "h" });
    assert_eq!(asked[1], json!({ "nodeId": "n", "command": "system.execApprovals.set", "params": params }));
    let blank = approvals.call("exec.approvals.node.get", json!({ "nodeId": " " })).error();
    assert_eq!(blank.message, "nodeId required");
}
