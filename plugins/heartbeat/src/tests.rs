use plugin_kit::{Harness, Running, Who};
use serde_json::{Value, json};

use super::Heartbeat;

fn start() -> Running {
    Harness::new::<Heartbeat>().start()
}

fn agent() -> Who {
    Who::plugin("agent")
}

fn settings(heartbeat: &Running) -> Value {
    heartbeat.call_as(agent(), "heartbeat.settings", json!({})).payload()
}

#[test]
fn there_was_none_yet() {
    let heartbeat = start();
    assert_eq!(heartbeat.call("last-heartbeat", json!({})).payload(), Value::Null);
    let reader = Who::operator(&["operator.read"]);
    assert_eq!(heartbeat.call_as(reader, "last-heartbeat", json!({ "odd": [1] })).payload(), Value::Null);
    assert!(heartbeat.call_as(Who::node(), "last-heartbeat", json!({})).result.is_err());
}

#[test]
fn what_was_reported_is_kept_and_told() {
    let heartbeat = start();
    let beat = json!({ "ts": 5, "status": "ok-token", "durationMs": 12, "silent": true, "indicatorType": "ok" });
    let mut sent = beat.clone();
    sent["ts"] = json!(5.0);
    sent["preview"] = Value::Null;
    heartbeat.call_as(agent(), "heartbeat.report", sent).payload();
    let told = heartbeat.wait_event("heartbeat");
    assert_eq!(told.payload, beat);
    assert!(told.droppable && !told.stamped && told.conns.is_none());
    assert_eq!(heartbeat.call("last-heartbeat", json!({})).payload(), beat);

    let kept = heartbeat.kv("last").unwrap();
    let again = Harness::new::<Heartbeat>().kv("last", kept).start();
    assert_eq!(again.call("last-heartbeat", json!({})).payload(), beat);
}

#[test]
fn a_report_has_to_be_one() {
    let heartbeat = start();
    for params in
        [json!({ "ts": 5, "status": "fine" }), json!({ "status": "sent" }), json!({ "ts": -1, "status": "sent" })]
    {
        assert_eq!(heartbeat.call_as(agent(), "heartbeat.report", params).error().code, "INVALID_REQUEST");
    }
    let valid = json!({ "ts": 5, "status": "sent" });
    assert!(heartbeat.call("heartbeat.report", valid).result.is_err(), "plugins only");
    assert!(heartbeat.events().is_empty());
}

#[test]
fn they_are_switched_for_good() {
    let heartbeat = start();
    let on = settings(&heartbeat);
    assert_eq!((&on["enabled"], &on["every"], &on["everyMs"]), (&json!(true), &json!("30m"), &json!(1_800_000)));
    assert_eq!((&on["target"], &on["ackMaxChars"]), (&json!("last"), &json!(300)));

    let off = heartbeat.call("set-heartbeats", json!({ "enabled": false, "more": 1 })).payload();
    assert_eq!(off, json!({ "ok": true, "enabled": false }));
    let off = settings(&heartbeat);
    assert_eq!((&off["enabled"], &off["every"], &off["everyMs"]), (&json!(false), &json!("disabled"), &Value::Null));

    let kept = heartbeat.kv("enabled").unwrap();
    let again = Harness::new::<Heartbeat>().kv("enabled", kept).start();
    assert_eq!(settings(&again)["enabled"], false);
    assert_eq!(again.call("set-heartbeats", json!({ "enabled": true })).payload()["enabled"], true);
    assert_eq!(settings(&again)["enabled"], true);
}

#[test]
fn the_switch_is_on_or_off_and_nothing_else() {
    let heartbeat = start();
    for params in [json!({}), json!({ "enabled": null }), json!({ "enabled": "true" }), json!({ "enabled": 1 })] {
        let error = heartbeat.call("set-heartbeats", params).error();
        assert_eq!(error.code, "INVALID_REQUEST");
        assert_eq!(error.message, "invalid set-heartbeats params: enabled (boolean) required");
    }
    let writer = Who::operator(&["operator.write"]);
    assert!(heartbeat.call_as(writer, "set-heartbeats", json!({ "enabled": false })).result.is_err());
    assert_eq!(settings(&heartbeat)["enabled"], true);
    heartbeat.fail_writes("disk full");
    assert_eq!(heartbeat.call("set-heartbeats", json!({ "enabled": false })).error().code, "UNAVAILABLE");
}

#[test]
fn the_operator_words_them() {
    let config = json!({ "every_ms": 7_200_000, "prompt": "Anything?", "target": "none", "ack_max_chars": 5 });
    let heartbeat = Harness::new::<Heartbeat>().config(config).start();
    let settings = settings(&heartbeat);
    assert_eq!((&settings["every"], &settings["prompt"]), (&json!("2h"), &json!("Anything?")));
    assert!(Harness::new::<Heartbeat>().config(json!({ "every": "1h" })).create_error().contains("every"));
}

#[test]
fn times_for_people() {
    for (ms, words) in [(86_400_000, "1d"), (5_400_000, "90m"), (90_000, "90s"), (1_500, "1500ms"), (0, "0ms")] {
        assert_eq!(super::words(ms), words);
    }
}

/// A gateway with an agent whose first model is this, and which answers so.
fn with_agent(model: &str, said: &str) -> Harness {
    let entry = plugin_api::catalogue::RegistryEntry {
        kind: "method".into(),
        plugin: "agent".into(),
        spec: json!({ "name": "agent.run", "role": "internal", "scopes": [], "params": {} }).into(),
    };
    let registry = plugin_api::catalogue::RegistryList { plugins: vec![], methods: vec![entry], events: vec![] };
    let outcome = json!({ "runId": "r", "status": "ok", "sessionKey": "agent:main:main", "agentId": "main", "text": said,
                          "endedAt": 1 });
    Harness::new::<Heartbeat>()
        .answer("host.registry.list", registry)
        .answer("agents.get", json!({ "agentId": "main", "models": [model] }))
        .answer("agent.run", outcome)
        .answer("presence.system-events", json!({ "events": [{ "text": "the door is open", "ts": 1 }], "last": 4 }))
        .answer("presence.system-events.drain", json!({ "events": [] }))
        .answer("presence.system-events.push", json!({ "queued": true }))
        .answer("send.deliver", json!({ "runId": "r", "channel": "telegram", "to": "7", "messageId": "1" }))
}

fn idle(harness: Harness) -> Running {
    harness.answer("agent.runs", json!({ "runs": [] })).start()
}

fn asked(heartbeat: &Running, method: &str) -> Vec<Value> {
    heartbeat.asked().into_iter().filter(|asked| asked.method == method).map(|asked| asked.params).collect()
}

const HALF_AN_HOUR: std::time::Duration = std::time::Duration::from_secs(1_800);
const A_MOMENT: std::time::Duration = std::time::Duration::from_secs(1);

#[test]
fn an_agent_is_asked_every_so_often_and_what_it_says_is_passed_on() {
    let heartbeat = idle(with_agent("openai/m", "The door is open."));
    heartbeat.advance(HALF_AN_HOUR);
    let told = heartbeat.wait_event("heartbeat").payload;
    assert_eq!([&told["status"], &told["channel"], &told["to"]], [&json!("sent"), &json!("telegram"), &json!("7")]);
    let run = asked(&heartbeat, "agent.run").remove(0);
    assert_eq!(
        (&run["origin"], &run["hidden"], &run["sessionKey"]),
        (&json!("heartbeat"), &json!(true), &json!("main"))
    );
    assert!(run["message"].as_str().unwrap().starts_with("System: the door is open\n"));
    assert_eq!(asked(&heartbeat, "presence.system-events.drain"), [json!({ "through": 4 })]);
    let sent = &asked(&heartbeat, "send.deliver")[0];
    assert_eq!([&sent["channel"], &sent["to"], &sent["sessionKey"]], [&json!("last"), &Value::Null, &json!("main")]);
    assert_eq!(sent["text"], "The door is open.");
    heartbeat.advance(HALF_AN_HOUR);
    heartbeat.wait_event("heartbeat");
    assert_eq!(asked(&heartbeat, "agent.run").len(), 2);
}

#[test]
fn all_is_well_and_nobody_is_told() {
    for (said, status) in [("HEARTBEAT_OK", "ok-token"), ("", "ok-empty")] {
        let heartbeat = idle(with_agent("openai/m", said));
        heartbeat.advance(HALF_AN_HOUR);
        let told = heartbeat.wait_event("heartbeat").payload;
        assert_eq!((&told["status"], &told["silent"]), (&json!(status), &json!(true)));
        assert!(asked(&heartbeat, "send.deliver").is_empty());
    }
}

#[test]
fn an_echo_is_asked_only_by_who_wakes_it() {
    let heartbeat = idle(with_agent("echo/echo", "The door is open."));
    heartbeat.advance(HALF_AN_HOUR * 3);
    assert!(asked(&heartbeat, "agent.run").is_empty() && heartbeat.events().is_empty());
    let writer = Who::operator(&["operator.write"]);
    let wake = |mode: &str| heartbeat.call_as(writer.clone(), "wake", json!({ "mode": mode, "text": " x " })).payload();
    assert_eq!(wake("next-heartbeat"), json!({ "ok": true }));
    heartbeat.advance(A_MOMENT);
    assert!(asked(&heartbeat, "agent.run").is_empty());
    wake("now");
    heartbeat.advance(A_MOMENT);
    assert_eq!(heartbeat.wait_event("heartbeat").payload["status"], "sent");
    assert_eq!(asked(&heartbeat, "presence.system-events.push"), [json!({ "text": "x" }), json!({ "text": "x" })]);
}

#[test]
fn what_is_for_another_agent_is_not_told_to_the_default_one() {
    let heartbeat = idle(with_agent("openai/m", "x"));
    let wake = |whom: Value| {
        let mut params = json!({ "mode": "now", "text": "x" });
        params.as_object_mut().unwrap().extend(whom.as_object().unwrap().clone());
        heartbeat.call_as(Who::operator(&["operator.write"]), "wake", params)
    };
    for whom in [json!({ "agentId": "ops" }), json!({ "sessionKey": "agent:ops:main" })] {
        let error = wake(whom).error();
        assert_eq!((error.code.as_str(), error.message.contains("only main")), ("INVALID_REQUEST", true));
    }
    assert!(asked(&heartbeat, "presence.system-events.push").is_empty());
    let own = [json!({ "agentId": " Main " }), json!({ "sessionKey": "agent:main:x" }), json!({ "sessionKey": "x" })];
    for whom in own {
        assert_eq!(wake(whom).payload(), json!({ "ok": true }));
    }
}

#[test]
fn without_an_agent_or_switched_off_nobody_is_asked() {
    let nobody = start();
    nobody.advance(HALF_AN_HOUR * 2);
    assert!(nobody.events().is_empty());
    let off = idle(with_agent("openai/m", "x"));
    off.call("set-heartbeats", json!({ "enabled": false })).payload();
    off.advance(HALF_AN_HOUR * 2);
    assert!(off.events().is_empty());
    off.call_as(Who::plugin("cron"), "heartbeat.wake", json!({})).payload();
    off.advance(A_MOMENT);
    assert_eq!(off.wait_event("heartbeat").payload["reason"], "disabled");
    assert!(asked(&off, "agent.run").is_empty());
}

#[test]
fn a_busy_agent_is_left_alone_and_asked_later_by_who_woke_it() {
    let busy = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_busy = busy.clone();
    let run = json!({ "runId": "r", "sessionKey": "s", "spelledKey": "s", "agentId": "main", "hasBegun": true,
                      "origin": "client" });
    let heartbeat = with_agent("openai/m", "x")
        .answer_with("agent.runs", move |call| {
            let runs = if is_busy.load(std::sync::atomic::Ordering::SeqCst) { vec![run.clone()] } else { vec![] };
            call.finish(Ok(json!({ "runs": runs })));
        })
        .start();
    heartbeat.call_as(Who::plugin("cron"), "heartbeat.wake", json!({})).payload();
    heartbeat.advance(A_MOMENT);
    let told = heartbeat.wait_event("heartbeat").payload;
    assert_eq!((&told["status"], &told["reason"]), (&json!("skipped"), &json!("requests-in-flight")));
    busy.store(false, std::sync::atomic::Ordering::SeqCst);
    heartbeat.advance(A_MOMENT * 6);
    assert_eq!(heartbeat.wait_event("heartbeat").payload["status"], "sent");
}

#[test]
fn an_answer_that_a_restart_cut_off_is_waited_for_again() {
    let (told, runs) = std::sync::mpsc::channel();
    let pending = || {
        let told = told.clone();
        with_agent("openai/m", "").answer_with("agent.run", move |call| told.send(call).expect("the test waits"))
    };
    let before = idle(pending());
    before.advance(HALF_AN_HOUR);
    let first = runs.recv().expect("a run");
    first.interim(json!({ "runId": first.params()["runId"], "status": "accepted", "acceptedAt": 1 }));
    before.wait_until("what happened is read", |plugin| !asked(plugin, "presence.system-events.drain").is_empty());
    let kept = before.kv_entries();

    let reborn = |status: &str| {
        let waited = json!({ "runId": first.params()["runId"], "status": status });
        let harness = pending().answer("agent.wait", waited);
        idle(kept.iter().fold(harness, |harness, (key, value)| harness.kv(key, value.as_str())))
    };
    let forgotten = reborn("timeout");
    forgotten.wait_until("it is given up", |plugin| plugin.kv("asked").is_none());
    assert!(runs.try_recv().is_err(), "it is not begun anew");
    let after = reborn("ok");
    let again = runs.recv().expect("the same run");
    assert_eq!(again.params(), first.params());
    let outcome = json!({ "runId": first.params()["runId"], "status": "ok", "sessionKey": "agent:main:main",
                          "agentId": "main", "text": "The door is open.", "endedAt": 1 });
    again.finish(Ok(outcome.clone()));
    assert_eq!(after.wait_event("heartbeat").payload["status"], "sent");
    assert!(asked(&after, "presence.system-events.drain").is_empty(), "there may be news since");
    assert_eq!(after.kv("asked"), None);
    first.finish(Ok(outcome));
    before.wait_event("heartbeat");
    let keys = |plugin: &Running| -> Vec<Value> {
        asked(plugin, "send.deliver").into_iter().map(|sent| sent["idempotencyKey"].clone()).collect()
    };
    assert_eq!(keys(&before), keys(&after), "so that it goes out once");
}

#[test]
fn quiet_hours_go_beyond_midnight() {
    let config = |from: &str, until: &str| json!({ "quiet_from": from, "quiet_until": until, "time_zone": "UTC" });
    let hours = |from: &str, until: &str| {
        super::quiet::Hours::read(&serde_json::from_value(config(from, until)).unwrap()).unwrap().unwrap()
    };
    const HOUR: u64 = 3_600_000;
    let night = hours("22:00", "08:00");
    assert_eq!([21, 22, 0, 7, 8].map(|hour| night.hold(hour * HOUR)), [false, true, true, true, false]);
    let day = hours("08:00", "22:00");
    assert_eq!([7, 8, 21, 22].map(|hour| day.hold(hour * HOUR)), [false, true, true, false]);
    let odd = Harness::new::<Heartbeat>().config(config("10pm", "08:00")).create_error();
    assert!(odd.contains("quiet_from"), "{odd}");
}
