//! Plugins that do not deserve to go on, and plugins that do not want to end.

use clawhost_tests::libraries::{Shelf, table};
use clawhost_tests::reloading::{changed, reload, reload_fails, row, start};
use clawhost_tests::support::{Client, Gateway};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_test_gateway");

fn reborn(shelf: &Shelf, build: char, host: &str, fails_in: &str) -> String {
    let config = format!("[plugins.reborn.config]\nfails_in = \"{fails_in}\"\n");
    format!("[gateway.plugins]\n{host}\n{}{config}", table("reborn", &shelf.reborn(build)))
}

async fn instance(client: &mut Client) -> Value {
    client.ok("reborn.who", json!({})).await["instance"].clone()
}

/// What `health` says, once it says that this many plugins have failed; each look is a request.
async fn failed(client: &mut Client, names: Value) {
    while client.ok("health", json!({})).await["plugins"]["errors"] != names {}
}

#[tokio::test]
async fn a_plugin_that_panics_too_often_is_made_anew_and_then_taken_out() {
    let shelf = Shelf::default();
    let config = reborn(&shelf, 'a', "max_panics = 3\nmax_panics_window_ms = 60000", "");
    let gateway = start(PROGRAM, &config).await;
    let mut client = gateway.admin().await;
    let first = instance(&mut client).await;
    for _ in 0..2 {
        client.refused("reborn.panic", json!({})).await;
    }
    assert_eq!(instance(&mut client).await, first, "two are not three");
    assert_eq!(client.heard("plugins.changed").len(), 0);
    client.refused("reborn.panic", json!({})).await;
    changed(&mut client, "reborn").await;
    let second = instance(&mut client).await;
    assert_ne!(second, first, "made anew");
    let state = row(&mut client, "reborn").await;
    assert_eq!((&state["state"], &state["panics"]), (&json!("running"), &json!(3)), "{state}");
    assert_eq!(gateway.metric("clawhost_limit_hits_total{limit=\"max_panics\"}").await, 1.0);

    for _ in 0..3 {
        client.refused("reborn.panic", json!({})).await;
    }
    changed(&mut client, "reborn").await;
    let error = client.refused("reborn.who", json!({})).await;
    assert_eq!(error.code, "UNAVAILABLE", "{error:?}");
    assert_eq!(error.details.as_ref().map(|details| &details["code"]), Some(&json!("PLUGIN_FAILED")), "{error:?}");
    let state = row(&mut client, "reborn").await;
    assert_eq!((&state["state"], &state["panics"]), (&json!("failed"), &json!(6)), "{state}");
    let why = state["error"].as_str().expect("a reason");
    assert!(why.contains("panicked 3 times") && why.contains("plugins reload reborn"), "{why}");
    failed(&mut client, json!([{ "id": "reborn", "origin": "loaded", "activated": false, "error": why }])).await;
    assert_eq!(gateway.metric("clawhost_limit_hits_total{limit=\"max_panics\"}").await, 2.0);
    client.ok("spike.sum", json!({ "a": 1 })).await;

    assert_eq!(reload(&mut client, "reborn").await["state"], "running");
    let third = instance(&mut client).await;
    assert!(third != second && third != first);
    failed(&mut client, json!([])).await;
    // It begins anew: the first round is not held against it.
    for _ in 0..3 {
        client.refused("reborn.panic", json!({})).await;
    }
    changed(&mut client, "reborn").await;
    changed(&mut client, "reborn").await;
    assert_ne!(instance(&mut client).await, third);
    client.close().await;
    let log = gateway.stop().await.log;
    assert!(!log.contains("ended twice") && !log.contains("after its end"), "{log}");
}

#[tokio::test]
async fn a_plugin_is_made_anew_of_the_code_that_ran() {
    let shelf = Shelf::default();
    let gateway = start(PROGRAM, &reborn(&shelf, 'a', "max_panics = 1", "")).await;
    let mut client = gateway.admin().await;
    let first = instance(&mut client).await;
    // The operator may put another file there while this one runs, and has not asked for it yet.
    shelf.reborn('b');
    client.refused("reborn.panic", json!({})).await;
    changed(&mut client, "reborn").await;
    let now = client.ok("reborn.who", json!({})).await;
    assert_eq!(now["build"], "1.0.0-build-a");
    assert_ne!(now["instance"], first);
    client.close().await;
}

#[tokio::test]
async fn a_plugin_that_blocks_all_its_threads_is_left_behind() {
    let shelf = Shelf::default();
    let host = "pool_threads = 2\ndrain_ms = 100\ndrain_detached_ms = 100";
    let limits = "[gateway.limits]\ntick_interval_ms = 50\n";
    let config = |build| format!("{limits}{}", reborn(&shelf, build, host, ""));
    let gateway = start(PROGRAM, &config('a')).await;
    let mut client = gateway.admin().await;
    let mut blocked = Vec::new();
    for _ in 0..8 {
        blocked.push(client.request("reborn.block", json!({})).await);
    }
    let waiting = client.request("reborn.echo", json!({})).await;
    let ticks = client.heard("tick").len();
    client.ok("spike.sum", json!({ "a": 1 })).await;
    gateway.assert_healthy().await;
    for id in &blocked {
        let error = client.answer(id).await.expect_err("it blocks");
        assert_eq!(error.message, "reborn.block timed out after 200 ms");
    }
    client.event("tick").await;
    assert!(client.heard("tick").len() > ticks, "time goes on");

    gateway.replace_config(&config('b'));
    assert_eq!(reload(&mut client, "reborn").await["version"], "1.0.0-build-b");
    assert_eq!(client.ok("reborn.who", json!({})).await["build"], "1.0.0-build-b");
    // What waited for a thread of the old one is told that it will not come.
    let error = client.answer(&waiting).await.expect_err("nobody is left to answer");
    assert_eq!((&*error.code, error.retryable), ("UNAVAILABLE", Some(true)), "{error:?}");
    gateway.log_line("its instance is abandoned").await;
    client.close().await;
}

#[tokio::test]
async fn calls_behind_threads_that_never_come_back_have_a_bound() {
    let shelf = Shelf::default();
    let limits = "[gateway.limits]\nmax_plugin_in_flight = 3\n";
    let host = "pool_threads = 1\ndrain_ms = 100\ndrain_detached_ms = 100";
    let gateway = start(PROGRAM, &format!("{limits}{}", reborn(&shelf, 'a', host, ""))).await;
    let mut client = gateway.admin().await;
    // The first has the thread. The others are answered without it, and are still kept for it.
    for _ in 0..4 {
        let error = client.refused("reborn.block", json!({})).await;
        assert_eq!(error.message, "reborn.block timed out after 200 ms");
    }
    let error = client.refused("reborn.echo", json!({})).await;
    assert_eq!((&*error.code, error.retryable), ("UNAVAILABLE", Some(true)), "{error:?}");
    assert_eq!(error.details, Some(json!({ "limit": "max_plugin_in_flight" })));
    assert_eq!(gateway.metric("clawhost_limit_hits_total{limit=\"max_plugin_in_flight\"}").await, 1.0);
    client.ok("spike.sum", json!({ "a": 1 })).await;
    // An instance with threads of its own begins anew.
    reload(&mut client, "reborn").await;
    client.ok("reborn.echo", json!({})).await;
    client.close().await;
}

#[tokio::test]
async fn an_end_that_never_comes_is_not_waited_for() {
    let shelf = Shelf::default();
    let config = |build, fails_in| reborn(&shelf, build, "drain_ms = 100\ndrain_detached_ms = 100", fails_in);
    let gateway = start(PROGRAM, &config('a', "quiesce")).await;
    let mut client = gateway.admin().await;
    gateway.replace_config(&config('b', "stop"));
    reload(&mut client, "reborn").await;
    gateway.log_line("did not quiesce in time").await;
    assert_eq!(client.ok("reborn.who", json!({})).await["build"], "1.0.0-build-b");
    gateway.replace_config(&config('c', ""));
    reload(&mut client, "reborn").await;
    gateway.log_line("its instance is abandoned").await;
    assert_eq!(client.ok("reborn.who", json!({})).await["build"], "1.0.0-build-c");
    gateway.assert_healthy().await;
    client.close().await;
}

#[tokio::test]
async fn every_instance_that_was_made_is_ended_whether_it_started_or_not() {
    let shelf = Shelf::default();
    let Some(file) = shelf.c("once", &[]) else { return };
    let config = format!("{}[plugins.once.config]\ncreate = \"starts-once\"\n", table("once", &file));
    let gateway = start(PROGRAM, &config).await;
    let mut client = gateway.admin().await;
    client.ok("once.echo", json!({})).await;
    let (why, row) = reload_fails(&mut client, "once").await;
    assert!(why.contains("it cannot be made as it was before") && row["state"] == "failed", "{why} {row}");
    client.close().await;
    let log = gateway.stop().await.log;
    // The one that ran, the one that was to take its place, and one more of the old kind.
    assert_eq!(log.matches("an instance is destroyed").count(), 3, "{log}");
}

#[tokio::test]
async fn what_is_out_of_service_is_taken_away_and_stopped_only_once() {
    let shelf = Shelf::default();
    let config = reborn(&shelf, 'a', "max_panics = 1", "");
    let gateway = start(PROGRAM, &config).await;
    let mut client = gateway.admin().await;
    for _ in 0..2 {
        client.refused("reborn.panic", json!({})).await;
        changed(&mut client, "reborn").await;
    }
    assert_eq!(row(&mut client, "reborn").await["state"], "failed");
    gateway.replace_config("");
    changed(&mut client, "reborn").await;
    assert!(row(&mut client, "reborn").await.is_null());
    client.close().await;
    let log = gateway.stop().await.log;
    assert!(!log.contains("ended twice") && !log.contains("after its end"), "{log}");
}

#[tokio::test]
async fn a_gateway_that_stops_while_a_plugin_is_made_anew_ends_in_order() {
    let shelf = Shelf::default();
    let config = |build, fails_in| reborn(&shelf, build, "drain_ms = 500\ndrain_detached_ms = 500", fails_in);
    let gateway = start(PROGRAM, &config('a', "quiesce")).await;
    let mut client = gateway.admin().await;
    gateway.replace_config(&config('b', ""));
    let reloading = client.request("plugins.reload", json!({ "id": "reborn" })).await;
    // Its quiesce is being waited for.
    gateway.log_line("one more library stays mapped").await;
    let late = client.request("plugins.reload", json!({ "id": "spike" })).await;
    gateway.terminate();
    assert_eq!(client.answer(&reloading).await.expect("it was under way")["reloaded"], true);
    let outcome = client.answer(&late).await.expect("an outcome");
    let why = outcome["error"].as_str().unwrap_or("");
    assert!(outcome["reloaded"] == true || why.contains("stopping"), "{outcome}");
    client.expect_close(1012, "service restart").await;
    gateway.stop().await;
}

#[tokio::test]
async fn functions_that_are_missing_are_named() {
    let shelf = Shelf::default();
    let mut config = String::new();
    let functions = ["start", "call", "cancel", "quiesce", "stop", "destroy", "extension", "manifest", "create"];
    for function in functions {
        let id = format!("no-{function}");
        let Some(file) = shelf.c(&id, &[&format!("WITHOUT_{}", function.to_uppercase())]) else { return };
        config.push_str(&table(&id, &file));
    }
    let gateway = Gateway::with_config(&config).await;
    let mut client = gateway.admin().await;
    for function in functions {
        let state = row(&mut client, &format!("no-{function}")).await;
        let why = state["error"].as_str().unwrap_or_else(|| panic!("{function}: {state}"));
        assert!(state["state"] == "failed" && why.contains(&format!("`{function}` is NULL")), "{why}");
    }
    client.close().await;
    gateway.assert_healthy().await;
}
