//! The clock on the wall is set, forward and back, while a gateway runs. What counts time spans goes on as before; what is due
//! by the clock is due, once.

use std::time::Instant;

use clawhost_tests::support::{Client, Connect, Gateway, Key, Knock, PATIENCE};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::means::Clock;

const DAY: i64 = 86_400;
const TICK_MS: u64 = 100;
const CONFIG: &str = "[gateway.limits]\ntick_interval_ms = 100\n[plugins.echo.config]\nword_ms = 600_000\n";

#[tokio::test]
async fn a_clock_set_forward_ends_what_has_an_end_by_it_and_nothing_else() {
    let Some(clock) = Clock::find("a_clock_set_forward_ends_what_has_an_end_by_it_and_nothing_else") else { return };
    let gateway = clock.of(Gateway::builder().config(CONFIG)).start().await;
    let key = Key::new(1);
    let mut client = gateway.connect(&of_4(Connect::operator().device(&key))).await;
    let token = token(&client);
    let waiting = must_wait(&gateway, 2, 0).await;
    let tomorrow = schemas::now_ms() + 1000 * DAY as u64;
    client.ok("cron.add", job("once", json!({ "kind": "at", "atMs": tomorrow }))).await;
    client.ok("cron.add", job("hourly", json!({ "kind": "every", "everyMs": 3_600_000 }))).await;
    // A run that goes on, and somebody who waits for it with a time limit.
    let run = json!({ "sessionKey": "main", "message": "one two", "idempotencyKey": "run" });
    client.ok("chat.send", run).await;
    let waits = client.request("agent.wait", json!({ "runId": "run", "timeoutMs": 3_600_000 })).await;

    let begun = now_ms(40 * DAY);
    clock.set(40 * DAY);
    ticks_keep_their_distance(&mut client, 40 * DAY, |ts| ts >= begun).await;
    client.ok("health", json!({})).await;
    assert!(client.ok("status", json!({})).await["uptimeMs"].as_u64() < Some(600_000), "it has not run for 40 days");
    // A token lives 30 days, and a request five minutes.
    let late = |connect: Connect| connect.signed_at(40 * DAY * 1000);
    let by_token = late(Connect::operator().device(&key).token(&token));
    gateway.knock().await.connect(&by_token).await.expect_err("its token has expired");
    let again = gateway.connect(&late(Connect::operator().device(&key))).await;
    assert_ne!(self::token(&again), token, "a fresh one by the shared secret");
    again.close().await;
    let listed = client.ok("device.pair.list", json!({})).await;
    assert_eq!(listed["pending"], json!([]), "it has expired");
    assert_ne!(must_wait(&gateway, 2, 40 * DAY * 1000).await, waiting);
    // Jobs that are due now are done once. The clock is looked at when jobs change, and each half minute.
    client.ok("cron.add", job("later", json!({ "kind": "every", "everyMs": 3_600_000 }))).await;
    all_is_done(&mut client, 40 * DAY).await;
    let left = client.ok("status", json!({})).await["queuedSystemEvents"].clone();
    for name in ["once", "hourly"] {
        let of_it = left.as_array().expect("texts").iter().filter(|text| **text == name).count();
        assert_eq!(of_it, 1, "{name} leaves a text: {left}");
        assert_eq!(runs_of(&mut client, name).await.len(), 1, "{name}");
    }
    assert!(runs_of(&mut client, "later").await.is_empty(), "it is not due for an hour");
    // Nobody's patience is over.
    client.ok("chat.abort", json!({ "sessionKey": "main", "runId": "run" })).await;
    let waited = client.answer(&waits).await.expect("an answer");
    assert_ne!(waited["status"], "timeout", "{waited}");
    client.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_clock_set_back_ends_nothing_and_repeats_nothing() {
    let Some(clock) = Clock::find("a_clock_set_back_ends_nothing_and_repeats_nothing") else { return };
    let gateway = clock.of(Gateway::builder().config(CONFIG)).start().await;
    let key = Key::new(1);
    let mut client = gateway.connect(&of_4(Connect::operator().device(&key))).await;
    let token = token(&client);
    let waiting = must_wait(&gateway, 2, 0).await;
    client.ok("cron.add", job("once", json!({ "kind": "at", "atMs": now_ms(0) }))).await;
    client.ok("cron.add", job("seconds", json!({ "kind": "every", "everyMs": 1_000 }))).await;
    for _ in 0..2 {
        finished(&mut client, "seconds", |_| true).await;
    }

    let begun = now_ms(-3_600);
    clock.set(-2 * 3_600);
    ticks_keep_their_distance(&mut client, -2 * 3_600, |ts| ts < begun).await;
    // What is done each second goes on, also where the clock was never before.
    client.ok("cron.add", job("later", json!({ "kind": "every", "everyMs": 3_600_000 }))).await;
    for _ in 0..2 {
        finished(&mut client, "seconds", |at| at < begun).await;
    }
    // Then the clock shows what it has shown already, and no time is run for twice.
    let before = times(&runs_of(&mut client, "seconds").await);
    let (first, last) = (before.iter().filter(|at| **at > begun).min(), before.iter().max());
    let (first, last) = (*first.expect("two"), *last.expect("two"));
    let back = (first as i64 - now_ms(0) as i64).div_euclid(1_000);
    clock.set(back);
    client.ok("cron.add", job("again", json!({ "kind": "every", "everyMs": 3_600_000 }))).await;
    run_for(&mut client, "seconds", last).await;
    let seconds = find(&mut client, "seconds").await["id"].clone();
    client.ok("cron.update", json!({ "id": seconds, "patch": { "enabled": false } })).await;
    all_is_done(&mut client, back).await;
    for name in ["once", "seconds"] {
        let runs = runs_of(&mut client, name).await;
        let id = find(&mut client, name).await["id"].clone();
        // The last end may be in the file and not yet be told of.
        while told(&client, &id, "finished") < runs.len() {
            client.event("cron").await;
        }
        for action in ["started", "finished"] {
            assert_eq!(told(&client, &id, action), runs.len(), "so often {name} was {action}; it was run for {runs:?}");
        }
    }
    assert_eq!(runs_of(&mut client, "once").await.len(), 1);
    clock.set(-2 * 3_600);
    client.event_with("tick", |tick| tick["ts"].as_u64() < Some(begun)).await;
    // Tokens and requests that seem to be of the future are good.
    let early = |connect: Connect| connect.signed_at(-2 * 3_600_000);
    gateway.connect(&early(Connect::operator().device(&key).token(&token))).await.close().await;
    assert_eq!(must_wait(&gateway, 2, -2 * 3_600_000).await, waiting);
    client.ok("device.pair.approve", json!({ "requestId": waiting })).await;
    // Who comes and goes is seen.
    let guest = Connect::operator().client("test", "ui").about("instanceId", "guest");
    let guest = gateway.connect(&guest).await;
    presence(&mut client, "connect").await;
    guest.close().await;
    presence(&mut client, "disconnect").await;
    client.close().await;
    gateway.stop().await;
}

/// By protocol 4, which is told the names of jobs' runs.
fn of_4(connect: Connect) -> Connect {
    connect.with("minProtocol", json!(4)).with("maxProtocol", json!(4))
}

fn job(name: &str, schedule: Value) -> Value {
    json!({ "name": name, "schedule": schedule, "sessionTarget": "main", "wakeMode": "next-heartbeat",
            "payload": { "kind": "systemEvent", "text": name } })
}

/// What a clock shows that differs by so many seconds.
fn now_ms(offset: i64) -> u64 {
    schemas::now_ms().saturating_add_signed(1_000 * offset)
}

/// Ticks of after a change of the clock, which these times are of. They show the time at which they were sent, each after the
/// one before it, and none is made up for: however slow the machine is, so many take so long.
async fn ticks_keep_their_distance(client: &mut Client, offset: i64, is_after: impl Fn(u64) -> bool) {
    const SOME: u64 = 6;
    // What sets the clock rounds.
    const ROUNDED: u64 = 20;
    let mut shown = Vec::new();
    let begun = Instant::now();
    for _ in 0..SOME {
        let tick = client.event_with("tick", |tick| tick["ts"].as_u64().is_some_and(&is_after)).await;
        let ts = tick.payload.expect("a payload")["ts"].as_u64().expect("a time");
        assert!(ts <= now_ms(offset) + ROUNDED, "a tick of {ts} has come");
        shown.push(ts);
    }
    assert!(begun.elapsed() < PATIENCE, "{SOME} ticks took {:?}", begun.elapsed());
    assert!(shown.is_sorted(), "{shown:?}");
    let span = shown[shown.len() - 1] - shown[0];
    // One that was late is followed at once, and by no second one.
    assert!(span + ROUNDED >= (SOME - 2) * TICK_MS, "{shown:?}");
}

/// A job as the list shows it.
async fn find(client: &mut Client, name: &str) -> Value {
    let listed = client.ok("cron.list", json!({ "includeDisabled": true })).await;
    let jobs = listed["jobs"].as_array().expect("jobs");
    jobs.iter().find(|job| job["name"] == name).unwrap_or_else(|| panic!("no {name} in {listed}")).clone()
}

/// The names of a job's runs.
async fn runs_of(client: &mut Client, name: &str) -> Vec<String> {
    let id = find(client, name).await["id"].clone();
    let runs = client.ok("cron.runs", json!({ "id": id, "limit": 200 })).await;
    let runs = runs["entries"].as_array().expect("runs");
    runs.iter().map(|run| run["runId"].as_str().expect("a name").to_string()).collect()
}

/// The times that runs are for, which their names end with.
fn times(runs: &[String]) -> Vec<u64> {
    runs.iter().map(|run| run.rsplit(':').next().and_then(|at| at.parse().ok()).expect("a time")).collect()
}

/// Waits until a run of a job has ended that began at such a time.
async fn finished(client: &mut Client, name: &str, began: impl Fn(u64) -> bool) {
    let id = find(client, name).await["id"].clone();
    let is_it = |told: &Value| told["jobId"] == id && told["action"] == "finished";
    client.event_with("cron", |told| is_it(told) && told["runAtMs"].as_u64().is_some_and(&began)).await;
}

/// How often a job was told of, since the client is there.
fn told(client: &Client, id: &Value, action: &str) -> usize {
    let payloads = client.heard("cron").into_iter().filter_map(|event| event.payload.as_ref());
    payloads.filter(|told| told["jobId"] == *id && told["action"] == action).count()
}

/// Waits until a job was run for a time after this one.
async fn run_for(client: &mut Client, name: &str, after: u64) {
    let waits = async {
        while times(&runs_of(client, name).await).iter().all(|at| *at <= after) {
            client.event("cron").await;
        }
    };
    timeout(PATIENCE, waits).await.unwrap_or_else(|_| panic!("{name} is not run for any more"));
}

/// Whatever is due by now was begun and has ended: so has a job that is due last of all.
async fn all_is_done(client: &mut Client, offset: i64) {
    client.ok("cron.add", job("last", json!({ "kind": "at", "atMs": now_ms(offset) }))).await;
    finished(client, "last", |_| true).await;
    loop {
        let listed = client.ok("cron.list", json!({ "includeDisabled": true })).await;
        let is_running = |job: &Value| job["state"]["runningAtMs"].is_number();
        if !listed["jobs"].as_array().expect("jobs").iter().any(is_running) {
            return;
        }
        client.event("cron").await;
    }
}

async fn must_wait(gateway: &Gateway, device: u8, offset_ms: i64) -> String {
    let mut stranger = gateway.knock_with(&Knock::remote()).await;
    let connect = Connect::operator().device(&Key::new(device)).signed_at(offset_ms);
    let refused = stranger.connect(&connect).await.expect_err("it waits");
    assert_eq!(refused.error.code, "NOT_PAIRED", "{refused:?}");
    refused.error.details.expect("details")["requestId"].as_str().expect("an id").to_string()
}

async fn presence(client: &mut Client, reason: &str) {
    let of_guest = |payload: &Value| {
        let rows = payload["presence"].as_array().into_iter().flatten();
        rows.into_iter().any(|row| row["instanceId"] == "guest" && row["reason"] == reason)
    };
    client.event_with("presence", of_guest).await;
}

fn token(client: &Client) -> String {
    client.hello["auth"]["deviceToken"].as_str().expect("a device token").to_string()
}
