//! What clients of either version ask and are shown, and what jobs ask of others.

use plugin_kit::{Harness, Who};
use schemas::ErrorShape;
use serde_json::{Value, json};

use super::{Bench, HOUR, MINUTE, NOON, later, outcome};

#[test]
fn one_job_in_both_forms() {
    let bench = Bench::new();
    let three = json!({ "kind": "agentTurn", "message": "m", "deliver": true, "channel": "telegram", "to": "7",
                        "bestEffortDeliver": true });
    let id = bench.add_turn(json!({ "payload": three }));
    let old = bench.job(&id);
    assert_eq!((&old["payload"], &old["schedule"]), (&three, &json!({ "kind": "at", "atMs": NOON + HOUR })));
    let new = bench.cron.call_as(later(), "cron.get", json!({ "id": id })).payload();
    assert_eq!(new["payload"], json!({ "kind": "agentTurn", "message": "m" }));
    assert_eq!(new["delivery"], json!({ "mode": "announce", "channel": "telegram", "to": "7", "bestEffort": true }));
    assert_eq!(new["schedule"], json!({ "kind": "at", "at": "2026-01-15T13:00:00.000Z" }));

    let four = json!({ "name": "n", "schedule": { "kind": "at", "at": "2026-01-15T13:00:00Z", "staggerMs": 5 },
                       "payload": { "kind": "agentTurn", "message": "m", "lightContext": true },
                       "sessionTarget": "session:work", "delivery": { "mode": "announce", "to": "7" }, "declarationKey": "k" });
    let made = bench.cron.call_as(later(), "cron.add", four).payload();
    assert_eq!((&made["sessionTarget"], &made["enabled"]), (&json!("session:work"), &json!(true)));
    let old = bench.job(made["id"].as_str().unwrap());
    assert_eq!((&old["sessionTarget"], &old["payload"]["deliver"]), (&json!("isolated"), &json!(true)));
}

#[test]
fn what_is_written_otherwise_means_the_same() {
    let bench = Bench::new();
    let text = || json!({ "text": "t" });
    let at = NOON + HOUR;
    for (job, schedule) in [
        (
            json!({ "data": { "name": "n", "schedule": { "atMs": at }, "payload": text() } }),
            json!({ "kind": "at", "atMs": at }),
        ),
        (
            json!({ "job": { "name": "n", "schedule": { "at": "2026-01-15T13:00" }, "payload": text() } }),
            json!({ "kind": "at", "atMs": at }),
        ),
        (
            json!({ "name": "n", "schedule": { "kind": "at", "atMs": at.to_string() }, "payload": text() }),
            json!({ "kind": "at", "atMs": at }),
        ),
        (
            json!({ "name": "n", "schedule": { "everyMs": 5000.0 }, "payload": text() }),
            json!({ "kind": "every", "everyMs": 5000, "anchorMs": NOON }),
        ),
        (
            json!({ "name": "n", "schedule": { "expr": "0 0 * * *" }, "payload": text(), "enabled": "false" }),
            json!({ "kind": "cron", "expr": "0 0 * * *" }),
        ),
    ] {
        let made = bench.add(job);
        assert_eq!(made["schedule"], schedule);
        assert_eq!((&made["sessionTarget"], &made["wakeMode"]), (&json!("main"), &json!("next-heartbeat")));
    }
    let id = bench.add_turn(json!({ "agentId": " Ops Team! ", "payload": { "message": "m", "provider": "signal" } }));
    let job = bench.job(&id);
    assert_eq!(
        (&job["agentId"], &job["sessionTarget"], &job["payload"]["channel"]),
        (&json!("ops-team"), &json!("isolated"), &json!("signal"))
    );
}

#[test]
fn what_is_wrong_is_said() {
    let bench = Bench::with(json!({ "max_name_bytes": 9, "max_text_bytes": 300 }), NOON, None, |harness| harness);
    let job = |change: Value| {
        let mut job = json!({ "name": "n", "schedule": { "kind": "at", "atMs": NOON }, "payload": { "kind": "systemEvent", "text": "t" } });
        job.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        job
    };
    for (change, code, words) in [
        (json!({ "extra": 1 }), "INVALID_REQUEST", "unexpected property 'extra'"),
        (json!({ "name": " " }), "INVALID_REQUEST", "/name"),
        (json!({ "name": "longer than nine" }), "INVALID_REQUEST", "max_name_bytes"),
        (json!({ "schedule": { "kind": "cron", "expr": "x y" } }), "INVALID_REQUEST", "/schedule/expr"),
        (json!({ "schedule": { "kind": "cron", "expr": "0 0 30 2 *" } }), "INVALID_REQUEST", "/schedule/expr"),
        (
            json!({ "schedule": { "kind": "cron", "expr": "0 0 * * *", "tz": "Mars/Base" } }),
            "INVALID_REQUEST",
            "/schedule/tz",
        ),
        (json!({ "schedule": { "kind": "every", "everyMs": 1 } }), "INVALID_REQUEST", "must be >= 1000"),
        (json!({ "schedule": { "kind": "stream" } }), "INVALID_REQUEST", "stream is not served"),
        (json!({ "payload": { "kind": "systemEvent", "text": "t".repeat(301) } }), "INVALID_REQUEST", "max_text_bytes"),
        (json!({ "payload": { "message": "m", "model": "m".repeat(301) } }), "INVALID_REQUEST", "at /payload/model"),
        (
            json!({ "payload": { "message": "m", "thinking": "t".repeat(301) } }),
            "INVALID_REQUEST",
            "at /payload/thinking",
        ),
        (json!({ "state": { "lastError": "e".repeat(2_001) } }), "INVALID_REQUEST", "max_summary_bytes"),
        (json!({ "payload": { "kind": "command", "command": "rm" } }), "INVALID_REQUEST", "command is not served"),
        (json!({ "delivery": { "mode": "webhook" } }), "INVALID_REQUEST", "webhook is not served"),
        (
            json!({ "delivery": { "mode": "fax" } }),
            "INVALID_REQUEST",
            "at /delivery/mode: must be one of none, announce",
        ),
        (
            json!({ "schedule": { "kind": "weekly" } }),
            "INVALID_REQUEST",
            "at /schedule/kind: must be one of at, every, cron",
        ),
        (json!({ "wakeMode": "later" }), "INVALID_REQUEST", "at /wakeMode: must be one of now, next-heartbeat"),
        (json!({ "deleteAfterRun": "yes" }), "INVALID_REQUEST", "at /deleteAfterRun: must be boolean"),
        (json!({ "agentId": "other" }), "INVALID_REQUEST", "at /agentId: texts are for the main session of ops"),
        (
            json!({ "sessionTarget": "isolated" }),
            "UNAVAILABLE",
            r#"Error: isolated cron jobs require payload.kind="agentTurn""#,
        ),
        (
            json!({ "sessionTarget": "main", "payload": { "message": "m" } }),
            "UNAVAILABLE",
            r#"Error: main cron jobs require payload.kind="systemEvent""#,
        ),
    ] {
        let error = bench.cron.call("cron.add", job(change)).error();
        assert!(error.code == code && error.message.contains(words), "{words}: {error:?}");
    }
    for name in ["name", "schedule", "payload"] {
        let error = bench.cron.call("cron.add", job(json!({ name: null }))).error();
        assert_eq!(error.message, format!("invalid cron.add params: must have required property '{name}'"));
    }
    for params in [json!({}), json!({ "id": "a", "jobId": "a" })] {
        for method in ["cron.get", "cron.remove", "cron.run", "cron.runs"] {
            assert!(
                bench
                    .cron
                    .call(method, params.clone())
                    .error()
                    .message
                    .starts_with(&format!("invalid {method} params"))
            );
        }
    }
    let missing = json!({ "id": "nope", "patch": {} });
    assert_eq!(bench.cron.call("cron.update", missing.clone()).error().message, "Error: unknown cron job id: nope");
    let error = bench.cron.call_as(later(), "cron.run", json!({ "jobId": "nope" })).error();
    assert_eq!((error.code.as_str(), &error.details.unwrap()["jobId"]), ("INVALID_REQUEST", &json!("nope")));
    assert_eq!(
        bench.cron.call("cron.remove", json!({ "id": "nope" })).payload(),
        json!({ "ok": true, "removed": false })
    );
    let reader = Who::operator(&["operator.read"]);
    assert!(bench.cron.call_as(reader, "cron.add", job(json!({}))).result.is_err());
    assert_eq!(bench.cron.call("cron.list", json!({ "includeDisabled": true })).payload(), json!({ "jobs": [] }));
}

#[test]
fn no_more_jobs_than_there_is_room_for() {
    let bench = Bench::with(json!({ "max_jobs": 1, "runs_kept": 2 }), NOON, None, |harness| harness);
    let id = bench.add_text(json!({ "kind": "every", "everyMs": MINUTE }), json!({}));
    let again = json!({ "name": "n", "schedule": { "atMs": NOON }, "payload": { "text": "t" } });
    assert!(bench.cron.call("cron.add", again).error().message.contains("max_jobs"));
    bench.pass(5 * MINUTE);
    let runs = bench.runs(&id);
    assert_eq!((runs.len(), &runs[1]["runAtMs"]), (2, &json!(NOON + 5 * MINUTE)), "oldest first");
}

#[test]
fn a_patch_changes_what_it_names() {
    let bench = Bench::new();
    let id = bench.add_turn(json!({ "payload": { "kind": "agentTurn", "message": "m", "model": "a/b", "to": "7" } }));
    let patch = json!({ "payload": { "kind": "agentTurn", "message": "new" }, "name": "other", "schedule": { "everyMs": HOUR } });
    let changed = bench.cron.call("cron.update", json!({ "jobId": id, "patch": patch })).payload();
    assert_eq!(changed["payload"], json!({ "kind": "agentTurn", "message": "new", "model": "a/b", "to": "7" }));
    assert_eq!((&changed["name"], &changed["state"]["nextRunAtMs"]), (&json!("other"), &json!(NOON + HOUR)));
    let off = bench.cron.call("cron.update", json!({ "id": id, "patch": { "enabled": false } })).payload();
    assert!(off["state"].get("nextRunAtMs").is_none());
    assert_eq!(bench.cron.call("cron.list", json!({})).payload()["jobs"], json!([]));
    assert_eq!(bench.events(), ["added", "updated", "updated"]);
    bench.cron.call("cron.remove", json!({ "id": id })).payload();
    assert_eq!(bench.events().last().unwrap(), "removed");
}

#[test]
fn a_job_that_names_no_agent_is_one_of_the_default_agent() {
    let bench = Bench::new();
    bench.add_text(json!({ "everyMs": HOUR }), json!({ "name": "text" }));
    bench.add_turn(json!({ "name": "turn" }));
    bench.add_turn(json!({ "name": "other", "agentId": "b" }));
    let names = |agent: &str| -> Vec<String> {
        let list = bench.cron.call_as(later(), "cron.list", json!({ "agentId": agent, "sortBy": "name" })).payload();
        list["jobs"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!((names("ops"), names("b")), (vec!["text".into(), "turn".into()], vec!["other".into()]));
    assert!(names("c").is_empty());
}

#[test]
fn a_text_reaches_no_other_agent_than_it_is_for() {
    let before = Bench::new();
    let id = before.add_text(json!({ "everyMs": HOUR }), json!({ "agentId": "ops" }));
    let update =
        |bench: &Bench, patch: Value| bench.cron.call("cron.update", json!({ "id": id, "patch": patch })).result;
    let error = update(&before, json!({ "agentId": "b" })).unwrap_err();
    assert!(error.message.contains("at /agentId"), "{error:?}");

    let other = |harness: Harness| harness.answer("agents.list", json!({ "defaultId": "b" }));
    let after = Bench::with(json!({}), NOON, Some(&before.cron.data_dir()), other);
    after.pass(HOUR);
    let run = after.runs(&id).remove(0);
    assert_eq!((&run["status"], after.texts().len()), (&json!("error"), 0));
    assert!(run["error"].as_str().unwrap().contains("the main session of b"), "{run}");
    update(&after, json!({ "enabled": false })).unwrap();
}

#[test]
fn pages_for_those_who_know_them() {
    let bench = Bench::new();
    for n in [3, 1, 2] {
        bench.add_turn(json!({ "name": format!("j{n}"), "schedule": { "atMs": NOON + n * HOUR } }));
    }
    let list = bench
        .cron
        .call_as(later(), "cron.list", json!({ "limit": 2, "compact": true, "sortBy": "nextRunAtMs" }))
        .payload();
    let names: Vec<&str> = list["jobs"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["j1", "j2"]);
    assert_eq!(list["jobs"][0]["scheduleKind"], "at");
    assert_eq!(
        [&list["total"], &list["limit"], &list["offset"], &list["hasMore"], &list["nextOffset"]],
        [&json!(3), &json!(2), &json!(0), &json!(true), &json!(2)]
    );
    let rest = bench.cron.call_as(later(), "cron.list", json!({ "offset": 2, "sortDir": "desc" })).payload();
    assert_eq!((&rest["jobs"][0]["name"], &rest["nextOffset"]), (&json!("j1"), &Value::Null));
    assert_eq!(bench.cron.call("cron.list", json!({})).payload().as_object().unwrap().len(), 1, "and for nobody else");
    let all = bench.cron.call_as(later(), "cron.runs", json!({ "scope": "all" })).payload();
    assert_eq!((&all["entries"], &all["total"]), (&json!([]), &json!(0)));
    let status = bench.cron.call("cron.status", json!({})).payload();
    assert_eq!(
        status,
        json!({ "enabled": true, "storePath": "data/cron/cron.db", "jobs": 3, "nextWakeAtMs": NOON + HOUR })
    );
    assert_eq!(bench.cron.call_as(later(), "cron.status", json!({})).payload()["storage"], "sqlite");
}

#[test]
fn who_runs_a_job_is_answered_as_its_version_has_it() {
    let bench = Bench::new();
    let id = bench.add_turn(json!({}));
    let not_due = bench.cron.call("cron.run", json!({ "id": id })).payload();
    assert_eq!(not_due, json!({ "ok": true, "ran": false, "reason": "not-due" }));
    let waits = bench.cron.begin("cron.run", json!({ "id": id, "mode": "force" }));
    let call = bench.turn();
    assert!(!waits.is_done());
    assert_eq!(
        bench.cron.call("cron.list", json!({})).payload()["jobs"][0]["state"]["runningAtMs"],
        NOON,
        "others are served meanwhile"
    );
    let busy = bench.cron.call_as(later(), "cron.run", json!({ "id": id })).payload();
    assert_eq!(busy["reason"], "already-running");
    outcome(&call, "ok", "");
    assert_eq!(waits.wait().payload(), json!({ "ok": true, "ran": true }));
    let other = bench.add_turn(json!({}));
    let answer = bench.cron.call_as(later(), "cron.run", json!({ "id": other })).payload();
    assert_eq!((&answer["enqueued"], &answer["runId"]), (&json!(true), &json!(format!("cron:{other}:{NOON}"))));
    let call = bench.turn();
    assert_eq!(call.params()["runId"], answer["runId"]);
    outcome(&call, "ok", "");
    bench.cron.wait_until("its end", |_| bench.runs(&other).len() == 1);
    assert_eq!(bench.events(), ["added", "started", "finished", "added", "started", "finished"]);
}

#[test]
fn who_waits_for_a_job_that_goes_before_it_runs_is_told() {
    let bench = Bench::with(json!({ "max_concurrent_runs": 1 }), NOON, None, |harness| harness);
    let (busy, id) = (bench.add_turn(json!({})), bench.add_turn(json!({})));
    bench.cron.call_as(later(), "cron.run", json!({ "id": busy })).payload();
    let call = bench.turn();
    let waits = bench.cron.begin("cron.run", json!({ "id": id, "mode": "force" }));
    bench.cron.settle();
    assert!(!waits.is_done());
    bench.cron.call("cron.remove", json!({ "id": id })).payload();
    let error = waits.wait().error();
    assert!(error.message.contains("removed before its run began"), "{error:?}");
    outcome(&call, "ok", "");
    bench.cron.wait_until("the other's end", |_| bench.runs(&busy).len() == 1);
}

#[test]
fn the_main_session_hears_of_a_run_that_was_refused() {
    let bench = Bench::new();
    let id = bench.add_turn(json!({ "wakeMode": "now" }));
    bench.pass(HOUR);
    bench.turn().finish(Err(ErrorShape::unavailable("no such model")));
    bench.cron.wait_until("its end", |_| bench.runs(&id).len() == 1);
    assert_eq!(bench.runs(&id)[0]["error"], "no such model");
    let text = json!({ "text": "Cron (j): failed: no such model", "key": format!("cron:{id}:{}", NOON + HOUR) });
    assert_eq!((bench.asked("presence.system-events.push"), bench.asked("heartbeat.wake").len()), (vec![text], 1));
}

#[test]
fn an_isolated_job_is_asked_delivered_and_told_of() {
    let sent = json!({ "runId": "r", "channel": "telegram", "messageId": "1" });
    let bench = Bench::with(json!({}), NOON, None, |harness| harness.answer("send.deliver", sent));
    let payload = json!({ "kind": "agentTurn", "message": "m", "model": "a/b", "thinking": "low", "timeoutSeconds": 9,
                          "deliver": true, "channel": "last" });
    let isolation = json!({ "postToMainPrefix": "News", "postToMainMaxChars": 3 });
    let id = bench.add_turn(json!({ "payload": payload, "isolation": isolation, "wakeMode": "now" }));
    bench.pass(HOUR);
    let call = bench.turn();
    let run = format!("cron:{id}:{}", NOON + HOUR);
    let key = format!("agent:ops:cron:{id}");
    assert_eq!(
        *call.params(),
        json!({ "runId": run, "message": "m", "sessionKey": key, "origin": "cron", "model": "a/b",
                                       "thinking": "low", "timeoutMs": 9000, "hidden": false })
    );
    assert_eq!(bench.asked("sessions.reset"), [json!({ "key": key })]);
    outcome(&call, "ok", "hello");
    bench.cron.wait_until("its end", |_| bench.runs(&id).len() == 1);
    assert_eq!(
        bench.asked("send.deliver"),
        [json!({ "channel": "last", "sessionKey": "main", "text": "hello", "silent": false,
                 "idempotencyKey": format!("{run}:answer") })]
    );
    assert_eq!(bench.asked("presence.system-events.push"), [json!({ "text": "News (j): hel", "key": run })]);
    assert_eq!(bench.asked("heartbeat.wake").len(), 1);
}

#[test]
fn an_answer_that_cannot_be_sent_is_trouble_of_the_answer() {
    let bench = Bench::with(json!({}), NOON, None, |harness| {
        harness.answer_error("send.deliver", ErrorShape::unavailable("no such channel"))
    });
    let payload = |best: bool| json!({ "payload": { "kind": "agentTurn", "message": "m", "channel": "x", "to": "7", "bestEffortDeliver": best } });
    for (best, status) in [(true, "ok"), (false, "error")] {
        let id = bench.add_turn(payload(best));
        bench.pass(HOUR);
        outcome(&bench.turn(), "ok", "hello");
        bench.cron.wait_until("its end", |_| bench.runs(&id).len() == 1);
        let run = bench.runs(&id).remove(0);
        assert_eq!((&run["status"], &run["summary"]), (&json!(status), &json!("hello")));
        assert_eq!(run["error"], "the answer could not be sent: no such channel");
    }
}
