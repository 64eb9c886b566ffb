//! Jobs from outside: made, run and removed by clients of both protocols, and kept when the gateway is killed.

use clawhost_tests::program::Home;
use clawhost_tests::support::{Connect, Gateway, Key};
use client::{ConnectOptions, Connection};
use serde_json::{Value, json};

fn operator(protocol: u32) -> Connect {
    let connect = Connect::operator().device(&Key::new(protocol as u8));
    connect.with("minProtocol", json!(protocol)).with("maxProtocol", json!(protocol))
}

#[tokio::test]
async fn jobs_are_made_run_and_removed_by_clients_of_both_protocols() {
    let gateway = Gateway::start().await;
    let mut three = gateway.connect(&operator(3)).await;
    let mut four = gateway.connect(&operator(4)).await;
    let job = json!({ "name": "tea", "schedule": { "kind": "cron", "expr": "0 9 * * *", "tz": "Europe/Berlin" },
                      "sessionTarget": "main", "wakeMode": "next-heartbeat",
                      "payload": { "kind": "systemEvent", "text": "the tea is ready" } });
    let made = three.ok("cron.add", job).await;
    let id = made["id"].as_str().expect("an id").to_string();
    let told = four.event("cron").await.payload.expect("a payload");
    assert_eq!((&told["action"], &told["jobId"]), (&json!("added"), &json!(id)));

    let page = four.ok("cron.list", json!({ "limit": 50, "offset": 0, "enabled": "all", "compact": true })).await;
    assert_eq!((&page["total"], &page["hasMore"], &page["nextOffset"]), (&json!(1), &json!(false), &Value::Null));
    assert_eq!(
        three.ok("cron.run", json!({ "id": id })).await,
        json!({ "ok": true, "ran": false, "reason": "not-due" })
    );
    assert_eq!(three.ok("cron.run", json!({ "id": id, "mode": "force" })).await, json!({ "ok": true, "ran": true }));
    let enqueued = four.ok("cron.run", json!({ "id": id })).await;
    assert_eq!(enqueued["enqueued"], true);
    for action in ["started", "finished", "started", "finished"] {
        let told = four.event("cron").await.payload.expect("a payload");
        assert_eq!(told["action"], action);
    }
    let runs = four.ok("cron.runs", json!({ "id": id })).await;
    assert_eq!((&runs["entries"][0]["runId"], &runs["total"]), (&enqueued["runId"], &json!(2)));
    let queued = three.ok("status", json!({})).await["queuedSystemEvents"].clone();
    assert!(queued.to_string().contains("the tea is ready"), "{queued}");

    let unknown = four.refused("cron.run", json!({ "id": "nope" })).await;
    assert_eq!(unknown.details.expect("details")["code"], "CRON_JOB_NOT_FOUND");
    assert_eq!(three.ok("cron.remove", json!({ "id": id })).await, json!({ "ok": true, "removed": true }));
    assert_eq!(four.ok("cron.list", json!({ "includeDisabled": true })).await["jobs"], json!([]));
    three.close().await;
    four.close().await;
}

#[tokio::test]
async fn a_gateway_that_is_killed_runs_what_it_missed_once() {
    let gateway = Gateway::start().await;
    let mut client = gateway.connect(&operator(3)).await;
    let soon = schemas::now_ms() + 3_000;
    let job = json!({ "name": "soon", "schedule": { "kind": "at", "atMs": soon }, "sessionTarget": "main",
                      "wakeMode": "next-heartbeat", "payload": { "kind": "systemEvent", "text": "it is soon" } });
    let id = client.ok("cron.add", job).await["id"].clone();
    let gateway = gateway.kill().await.restart().await;
    let mut client = gateway.connect(&operator(3)).await;
    // The event may have gone out before this client was there; the book has it in any case.
    let mut runs = client.ok("cron.runs", json!({ "id": id })).await;
    if runs["entries"] == json!([]) {
        client.event_with("cron", |told| told["action"] == "finished").await;
        runs = client.ok("cron.runs", json!({ "id": id })).await;
    }
    assert_eq!((runs["entries"].as_array().map(Vec::len), &runs["entries"][0]["status"]), (Some(1), &json!("ok")));
    let list = client.ok("cron.list", json!({ "includeDisabled": true })).await;
    assert_eq!(list["jobs"][0]["enabled"], false);
    client.close().await;
}

#[tokio::test]
async fn a_text_waits_for_the_agent() {
    let gateway = Gateway::start().await;
    let mut writer = gateway.operator(&["operator.write"]).await;
    assert_eq!(writer.ok("wake", json!({ "mode": "next-heartbeat", "text": " " })).await, json!({ "ok": false }));
    let wake = json!({ "mode": "next-heartbeat", "text": "the door is open" });
    assert_eq!(writer.ok("wake", wake).await, json!({ "ok": true }));
    let queued = writer.ok("status", json!({})).await["queuedSystemEvents"].clone();
    assert!(queued.to_string().contains("the door is open"), "{queued}");
    writer.close().await;
}

#[cfg(target_os = "linux")]
#[test]
fn jobs_as_their_user_has_them() {
    let home = Home::default();
    let _gateway = home.start();
    let shown = |words: &[&str]| {
        let outcome = clawhost_tests::program::Outcome::of(home.command(words), &words.join(" "));
        assert_eq!(outcome.code, Some(0), "{words:?}: {outcome:?}");
        outcome.out
    };
    assert!(shown(&["cron", "list"]).contains("there is no job"));
    assert!(shown(&["cron", "add", "tea", "--every", "30m", "--text", "the tea is ready"]).contains("in "));
    assert!(shown(&["cron", "list"]).contains("every 30 min"));
    shown(&["cron", "run", "tea"]);
    shown(&["cron", "edit", "tea", "--cron", "0 9 * * *", "--tz", "Europe/Berlin"]);
    assert!(shown(&["cron", "disable", "tea"]).contains("disabled"));
    assert!(shown(&["cron", "list"]).contains("there is no job"));
    assert!(shown(&["cron", "list", "--all"]).contains("0 9 * * * Europe/Berlin"));
    shown(&["cron", "enable", "tea"]);
    assert!(shown(&["cron", "rm", "tea"]).contains("removed"));
    let gone = home.run("cron rm tea");
    assert!(gone.code == Some(1) && gone.err.contains("there is no job tea"), "{gone:?}");
    assert_eq!(home.run("cron rm tea --json").code, Some(1));
    let odd = clawhost_tests::program::Outcome::of(home.command(["cron", "add", "tea", "--text", "t"]), "cron add");
    assert_eq!(odd.code, Some(2), "{odd:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn jobs_are_listed_and_found_however_many_there_are() {
    const JOBS: u64 = 203;
    let home = Home::default();
    let gateway = home.start();
    let added = async {
        let options = ConnectOptions::new(&gateway.url).token(home.token()).client("cli", "cli");
        let client = Connection::open(options.scopes(["operator.admin"])).await.expect("it is let in");
        let soon = schemas::now_ms() + 3_600_000;
        for number in 0..JOBS {
            let job = json!({ "name": format!("job {number}"), "schedule": { "kind": "at", "atMs": soon + number },
                              "sessionTarget": "main", "wakeMode": "next-heartbeat",
                              "payload": { "kind": "systemEvent", "text": "it is time" } });
            client.request::<Value>("cron.add", job).await.expect("an answer");
        }
        client.close().await;
    };
    tokio::runtime::Runtime::new().expect("a runtime").block_on(added);
    let list = home.json("cron list");
    let jobs = list["jobs"].as_array().expect("jobs");
    let last = jobs.last().expect("a job");
    assert_eq!((jobs.len() as u64, &jobs[0]["name"], &last["name"]), (JOBS, &json!("job 0"), &json!("job 202")));
    let last = last["id"].as_str().expect("an id");
    let removed = home.run(&format!("cron rm {last}"));
    assert!(removed.code == Some(0) && removed.out.contains("removed"), "{removed:?}");
    let shown = home.run("cron list");
    assert!(shown.out.contains("job 201") && !shown.out.contains("job 202"), "{shown:?}");
}
