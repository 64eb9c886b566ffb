//! The clock on the wall is set, forward and back, while a gateway runs. What counts time spans goes on as before; what is due
//! by the clock is due, once.

use std::time::Duration;

use clawhost_tests::support::{Client, Connect, Gateway, Key, Knock, PATIENCE};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::means::Clock;

const DAY: i64 = 86_400;
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

    clock.set(40 * DAY);
    let set_to = schemas::now_ms() + 1000 * 40 * DAY as u64 - 1000;
    // Ticks keep their distance, and show the new time.
    client.event_with("tick", |tick| tick["ts"].as_u64() >= Some(set_to)).await;
    let ticks = client.heard("tick").len();
    for _ in 0..5 {
        client.event("tick").await;
    }
    assert!(client.heard("tick").len() >= ticks, "ticks go on");
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
    for name in ["once", "hourly"] {
        let runs = runs_of(&mut client, name, 1).await;
        assert_eq!(runs.len(), 1, "{name}: {runs:?}");
    }
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
    client.ok("cron.add", job("seconds", json!({ "kind": "every", "everyMs": 1_000 }))).await;
    let before = runs_of(&mut client, "seconds", 1).await;

    clock.set(-2 * 3600);
    let set_to = schemas::now_ms() - 2 * 3_600_000 + 60_000;
    client.event_with("tick", |tick| tick["ts"].as_u64() < Some(set_to)).await;
    for _ in 0..5 {
        client.event("tick").await;
    }
    // No time was run for twice.
    client.ok("cron.add", job("later", json!({ "kind": "every", "everyMs": 3_600_000 }))).await;
    let after = runs_of(&mut client, "seconds", before.len()).await;
    let mut different = after.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), after.len(), "{after:?}");
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

/// The names of a job's runs, once there are so many.
async fn runs_of(client: &mut Client, name: &str, least: usize) -> Vec<String> {
    let listed = client.ok("cron.list", json!({ "includeDisabled": true })).await;
    let jobs = listed["jobs"].as_array().expect("jobs");
    let job = jobs.iter().find(|job| job["name"] == name).unwrap_or_else(|| panic!("no {name} in {listed}"));
    let (id, begun) = (job["id"].clone(), async {
        loop {
            let runs = client.ok("cron.runs", json!({ "id": job["id"] })).await;
            let runs = runs["entries"].as_array().expect("runs").clone();
            if runs.len() >= least {
                return runs.iter().map(|run| run["runId"].as_str().expect("a name").to_string()).collect();
            }
            // A finished one is told; this one may have been told before.
            let _ = timeout(Duration::from_millis(200), client.event("cron")).await;
        }
    });
    timeout(PATIENCE, begun).await.unwrap_or_else(|_| panic!("{name} ({id}) was not done {least} times"))
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
