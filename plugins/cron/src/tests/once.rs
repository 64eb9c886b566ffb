//! A job runs once for each of its times, whatever ends in between.

use std::sync::{Arc, Mutex};

use plugin_kit::{Harness, StubCall};
use schemas::ErrorShape;
use serde_json::{Value, json};

use super::{Bench, HOUR, MINUTE, NOON, later, outcome};

/// The same folder after the process has gone, as it stands: what a crash leaves.
fn after_crash(before: &Bench, more: impl FnOnce(Harness) -> Harness) -> Bench {
    Bench::with(json!({}), before.now(), Some(&before.cron.data_dir()), more)
}

fn knows(status: &'static str, running: &[&str]) -> impl FnOnce(Harness) -> Harness {
    let active: Vec<Value> = running
        .iter()
        .map(|run| json!({ "runId": run, "sessionKey": "s", "spelledKey": "s", "agentId": "ops", "hasBegun": true, "origin": "cron" }))
        .collect();
    move |harness| {
        harness
            .answer("agent.wait", json!({ "runId": "r", "status": status }))
            .answer("agent.runs", json!({ "runs": active }))
    }
}

#[test]
fn what_was_missed_is_run_for_once_after_a_crash() {
    let before = Bench::new();
    let id = before.add_text(json!({ "kind": "every", "everyMs": HOUR }), json!({}));
    let after = Bench::with(json!({}), NOON + 3 * HOUR + 5, Some(&before.cron.data_dir()), |harness| harness);
    after.cron.wait_event("cron");
    after.cron.settle();
    assert_eq!(after.texts(), [format!("cron:{id}:{}", NOON + 3 * HOUR)]);
    assert_eq!(after.job(&id)["state"]["nextRunAtMs"], NOON + 4 * HOUR);
}

#[test]
fn a_clock_that_goes_back_makes_no_job_rest_until_it_is_there_again() {
    let bench = Bench::with(json!({ "missed": "skip" }), NOON + 2 * HOUR + MINUTE, None, |harness| harness);
    let by_span = bench.add_text(json!({ "kind": "every", "everyMs": HOUR }), json!({}));
    let by_clock = bench.add_text(json!({ "kind": "cron", "expr": "0 * * * *" }), json!({}));
    let begins = json!({ "kind": "every", "everyMs": HOUR, "anchorMs": NOON + 10 * HOUR });
    let to_come = bench.add_text(begins, json!({}));
    let next = |bench: &Bench, id: &str| bench.job(id)["state"]["nextRunAtMs"].as_u64();

    bench.jump(NOON + 30 * MINUTE);
    assert_eq!(next(&bench, &by_span), Some(NOON + HOUR + MINUTE), "so long after the last time, as before");
    assert_eq!(next(&bench, &by_clock), Some(NOON + HOUR));
    assert_eq!(next(&bench, &to_come), Some(NOON + 10 * HOUR), "it has a beginning that nobody has seen yet");
    bench.pass(HOUR);
    assert_eq!((bench.runs(&by_span).len(), bench.runs(&by_clock).len(), bench.runs(&to_come).len()), (1, 1, 0));

    // The same, when it went back while no gateway ran.
    let after = Bench::with(json!({}), NOON - 9 * HOUR, Some(&bench.cron.data_dir()), |harness| harness);
    after.cron.wait_until("a look at the clock", |_| next(&after, &by_span) == Some(NOON - 9 * HOUR + MINUTE));
    assert_eq!(next(&after, &by_clock), Some(NOON - 8 * HOUR));
    assert_eq!(next(&after, &to_come), Some(NOON + 10 * HOUR));
}

#[test]
fn a_start_takes_back_neither_a_last_time_that_was_missed_nor_one_that_was_put_off() {
    /// 2099-01-15T12:00:00Z: what a job is asked for must be to come by the machine's own clock as well.
    const LATE: u64 = 4_072_161_600_000;
    let before = Bench::with(json!({}), LATE, None, |harness| harness);
    let last = before.add_text(json!({ "kind": "cron", "expr": "0 0 13 15 1 * 2099" }), json!({}));
    let put_off = before.add_text(json!({ "kind": "every", "everyMs": HOUR }), json!({}));
    let tomorrow = json!({ "id": put_off, "patch": { "state": { "nextRunAtMs": LATE + 24 * HOUR } } });
    before.cron.call("cron.update", tomorrow).payload();
    let after = Bench::with(json!({}), LATE + HOUR + MINUTE, Some(&before.cron.data_dir()), |harness| harness);
    after.cron.wait_event("cron");
    after.cron.settle();
    assert_eq!(after.texts(), [format!("cron:{last}:{}", LATE + HOUR)], "the only one there will ever be");
    assert_eq!(after.job(&put_off)["state"]["nextRunAtMs"], LATE + 24 * HOUR);
}

#[test]
fn policies_of_a_job_and_of_all() {
    let before = Bench::new();
    let hourly = || json!({ "kind": "every", "everyMs": HOUR });
    let skip = before.add_text(hourly(), json!({ "missed": "skip" }));
    let all = before.add_text(hourly(), json!({ "missed": "all" }));
    let config = json!({ "missed": "skip", "missed_cap": 2 });
    let other = before.add_text(hourly(), json!({}));
    let after = Bench::with(config, NOON + 4 * HOUR + 5 * MINUTE, Some(&before.cron.data_dir()), |harness| harness);
    after.pass(MINUTE);
    let key = |id: &str, n: u64| format!("cron:{id}:{}", NOON + n * HOUR);
    assert_eq!(after.texts(), [key(&all, 3), key(&all, 4)]);
    for id in [&skip, &other] {
        let runs = after.runs(id);
        assert_eq!((runs.len(), &runs[0]["status"]), (1, &json!("skipped")));
        assert!(runs[0]["error"].as_str().unwrap().contains("missed runs are skipped"), "{runs:?}");
        assert_eq!(after.job(id)["state"]["nextRunAtMs"], NOON + 5 * HOUR);
    }
}

#[test]
fn a_text_that_was_cut_off_is_left_under_the_same_name() {
    let kept: Arc<Mutex<Vec<StubCall>>> = Arc::default();
    let calls = kept.clone();
    let before = Bench::with(json!({}), NOON, None, |harness| {
        harness.answer_with("presence.system-events.push", move |call| calls.lock().unwrap().push(call))
    });
    let id = before.add_text(json!({ "kind": "at", "atMs": NOON + MINUTE }), json!({}));
    before.pass(MINUTE);
    before.cron.wait_until("the text", |_| kept.lock().unwrap().len() == 1);
    let after = after_crash(&before, |harness| harness);
    after.cron.wait_event("cron");
    after.cron.settle();
    assert_eq!(after.texts(), [format!("cron:{id}:{}", NOON + MINUTE)], "which the queue takes once");
    assert_eq!((&after.job(&id)["enabled"], after.runs(&id).len()), (&json!(false), 1));
    kept.lock().unwrap().remove(0).finish(Ok(json!({ "queued": true })));
}

#[test]
fn a_run_before_the_agent_has_it_is_asked_for_by_its_name() {
    let before = Bench::new();
    let id = before.add_turn(json!({}));
    before.pass(HOUR);
    let first = before.turn();
    let after = after_crash(&before, |harness| harness);
    let second = after.turn();
    assert_eq!(first.params()["runId"], second.params()["runId"]);
    assert_eq!(
        after.asked("sessions.reset"),
        Vec::<Value>::new(),
        "a conversation that may be under way is left alone"
    );
    outcome(&second, "ok", "done");
    after.cron.wait_event("cron");
    assert_eq!(after.runs(&id)[0]["summary"], "done");
    outcome(&first, "ok", "done");
}

#[test]
fn a_run_that_goes_on_is_joined() {
    let before = Bench::new();
    let id = before.add_turn(json!({}));
    before.pass(HOUR);
    let first = before.turn();
    let name = first.params()["runId"].as_str().unwrap().to_string();
    first.interim(json!({ "runId": name, "status": "accepted", "acceptedAt": 1 }));
    before.cron.settle();
    let after = after_crash(&before, knows("timeout", &[&name]));
    let second = after.turn();
    assert_eq!(second.params()["runId"], name.as_str());
    outcome(&second, "interrupted", "");
    after.cron.wait_event("cron");
    let run = &after.runs(&id)[0];
    assert_eq!((&run["status"], &run["error"]), (&json!("error"), &json!("the run ended with interrupted")));
    assert_eq!(after.job(&id)["state"]["lastStatus"], "error");
    outcome(&first, "ok", "");
}

#[test]
fn a_run_that_nobody_knows_any_more_is_not_run_again() {
    let before = Bench::new();
    let id = before.add_turn(json!({}));
    before.pass(HOUR);
    let first = before.turn();
    first.interim(json!({ "runId": first.params()["runId"], "status": "accepted", "acceptedAt": 1 }));
    before.cron.settle();
    let after = after_crash(&before, knows("timeout", &[]));
    after.cron.wait_event("cron");
    after.pass(2 * HOUR);
    assert_eq!(after.agent.lock().unwrap().len(), 0);
    let runs = after.runs(&id);
    assert_eq!((runs.len(), &runs[0]["status"]), (1, &json!("error")));
    assert!(runs[0]["error"].as_str().unwrap().contains("not run again"), "{runs:?}");
    outcome(&first, "ok", "");
}

#[test]
fn what_ended_stays_ended_and_what_was_asked_for_still_runs() {
    let before = Bench::new();
    let done = before.add_text(json!({ "kind": "at", "atMs": NOON + MINUTE }), json!({}));
    before.pass(MINUTE);
    before.cron.wait_until("its end", |_| before.runs(&done).len() == 1);
    // No job may run here, so what is asked for waits.
    let turn = before.add_turn(json!({}));
    before.cron.quiesce();
    let answer = before.cron.call_as(later(), "cron.run", json!({ "id": turn })).payload();
    let after = after_crash(&before, |harness| harness);
    let call = after.turn();
    assert_eq!(call.params()["runId"], answer["runId"]);
    outcome(&call, "ok", "");
    after.cron.wait_until("its end", |_| after.runs(&turn).len() == 1);
    let told = answer["runId"].as_str().expect("a run").to_string();
    assert_eq!((after.texts(), after.runs(&done).len()), (vec![told], 1), "only what the second one brought");
}

#[test]
fn so_many_at_once_and_the_others_in_turn() {
    let bench = Bench::with(json!({ "max_concurrent_runs": 2 }), NOON, None, |harness| harness);
    let ids: Vec<String> = (0..3).map(|_| bench.add_turn(json!({}))).collect();
    bench.pass(HOUR);
    let (first, _second) = (bench.turn(), bench.turn());
    bench.pass(MINUTE);
    assert!(bench.agent.lock().unwrap().is_empty(), "two run");
    outcome(&first, "ok", "");
    let third = bench.turn();
    assert_eq!(third.params()["runId"], format!("cron:{}:{}", ids[2], NOON + HOUR));
    outcome(&third, "ok", "");
    outcome(&_second, "ok", "");
    bench.cron.settle();
}

#[test]
fn times_that_come_while_it_runs_are_not_made_up_for() {
    let bench = Bench::new();
    let id = bench.add_turn(json!({ "schedule": { "kind": "every", "everyMs": MINUTE } }));
    bench.pass(MINUTE);
    let call = bench.turn();
    bench.pass(5 * MINUTE);
    outcome(&call, "ok", "");
    bench.cron.wait_until("its end", |_| bench.runs(&id).len() == 1);
    assert_eq!(bench.job(&id)["state"]["nextRunAtMs"], NOON + 7 * MINUTE);
    assert!(bench.agent.lock().unwrap().is_empty());
}

#[test]
fn one_shots_are_over_when_they_went_well() {
    let bench = Bench::new();
    let removed = bench.add_turn(json!({ "deleteAfterRun": true }));
    let failed = bench.add_turn(json!({ "deleteAfterRun": true }));
    bench.pass(HOUR);
    let (first, second) = (bench.turn(), bench.turn());
    outcome(&first, "ok", "fine");
    second.finish(Err(ErrorShape::unavailable("no model")));
    bench.cron.wait_until("both ends", |_| bench.runs(&removed).len() + bench.runs(&failed).len() == 2);
    assert_eq!(
        bench.cron.call("cron.get", json!({ "id": removed })).error().details.unwrap()["code"],
        "CRON_JOB_NOT_FOUND"
    );
    let job = bench.job(&failed);
    assert_eq!((&job["enabled"], &job["state"]["lastError"]), (&json!(true), &json!("no model")));
    assert!(job["state"].get("nextRunAtMs").is_none(), "it is not tried again by itself");
}

#[test]
fn a_one_shot_that_is_put_off_while_it_runs_runs_again() {
    let bench = Bench::new();
    let id = bench.add_turn(json!({ "deleteAfterRun": true }));
    bench.pass(HOUR);
    let first = bench.turn();
    let later = json!({ "schedule": { "kind": "at", "atMs": NOON + 3 * HOUR } });
    bench.cron.call("cron.update", json!({ "id": id, "patch": later })).payload();
    outcome(&first, "ok", "");
    bench.cron.wait_until("its end", |_| bench.runs(&id).len() == 1);
    let job = bench.job(&id);
    assert_eq!((&job["enabled"], &job["state"]["nextRunAtMs"]), (&json!(true), &json!(NOON + 3 * HOUR)));
    bench.pass(2 * HOUR);
    outcome(&bench.turn(), "ok", "");
    bench.cron.wait_until("the end of it all", |_| bench.cron.call("cron.get", json!({ "id": id })).result.is_err());
}

#[test]
fn a_one_shot_that_was_had_is_not_had_again_when_it_is_enabled() {
    let bench = Bench::new();
    let id = bench.add_text(json!({ "kind": "at", "atMs": NOON + MINUTE }), json!({}));
    bench.pass(MINUTE);
    bench.cron.wait_until("its end", |_| bench.runs(&id).len() == 1);
    let update = |patch: Value| bench.cron.call("cron.update", json!({ "id": id, "patch": patch })).payload();
    let again = update(json!({ "enabled": true }));
    assert_eq!((&again["enabled"], again["state"].get("nextRunAtMs")), (&json!(true), None));
    bench.pass(MINUTE);
    assert_eq!(bench.runs(&id).len(), 1);
    update(json!({ "schedule": { "kind": "at", "atMs": bench.now() + MINUTE } }));
    bench.pass(MINUTE);
    bench.cron.wait_until("its other end", |_| bench.runs(&id).len() == 2);
}

#[test]
fn what_cannot_be_read_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let garbage = b"this is not a database, but somebody may want it back".repeat(40);
    std::fs::write(folder.path().join("cron.db"), &garbage).unwrap();
    let bench = Bench::with(json!({}), NOON, Some(folder.path()), |harness| harness);
    let error = bench.cron.call("cron.list", json!({})).error();
    assert_eq!((error.code.as_str(), error.message.contains("cron.db")), ("UNAVAILABLE", false));
    assert!(bench.cron.logs().iter().any(|line| line.message.contains("restore a backup")));
    assert_eq!(std::fs::read(bench.cron.data_dir().join("cron.db")).unwrap(), garbage);
}

#[cfg(unix)]
#[test]
fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    bench.add_turn(json!({}));
    for name in ["cron.db", "cron.db-wal", "cron.db-shm"] {
        let mode = std::fs::metadata(bench.cron.data_dir().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
