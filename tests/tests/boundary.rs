//! What the host promises a plugin at every moment of its life, and what it keeps from plugins that ask for more than is
//! theirs. `tests/fixtures/restless.c` is the plugin.

use clawhost_tests::libraries::{Shelf, table};
use clawhost_tests::reloading::{reload, row, start};
use clawhost_tests::support::{Client, Connect, Gateway, Key};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_test_gateway");
const GRANTS: &str = "grants = { invoke = [\"*\"], hear = [\"*\"] }\n";

/// The configuration of `restless` with these further keys of its table, or what comes after it.
fn restless(shelf: &Shelf, more: &str) -> Option<String> {
    Some(format!("{}{GRANTS}{more}\n", table("restless", &shelf.restless()?)))
}

async fn counted(client: &mut Client) -> Value {
    client.ok("restless.counted", json!({})).await
}

#[tokio::test]
async fn a_call_has_one_last_word_however_it_is_cancelled() {
    let shelf = Shelf::default();
    for isolation in ["inline", "pool"] {
        let Some(config) = restless(&shelf, &format!("isolation = \"{isolation}\"")) else { return };
        let gateway = start(PROGRAM, &config).await;
        let mut client = gateway.admin().await;
        let outcome = client.ok("restless.race", json!({})).await;
        assert_eq!((&outcome["twice"], &outcome["afterCancel"]), (&json!(0), &json!(0)), "{isolation}: {outcome}");
        assert!(outcome["cancelled"].as_u64() > Some(0), "{isolation}: nothing was cancelled: {outcome}");
        client.close().await;
    }
}

#[tokio::test]
async fn nothing_of_an_instance_runs_after_it_was_freed() {
    let shelf = Shelf::default();
    for isolation in ["inline", "pool"] {
        let Some(config) = restless(&shelf, &format!("isolation = \"{isolation}\"")) else { return };
        let gateway = start(PROGRAM, &config).await;
        let mut client = gateway.admin().await;
        client.ok("restless.haunt", json!({})).await;
        for _ in 0..20 {
            gateway.admin().await.close().await;
        }
        reload(&mut client, "restless").await;
        gateway.log_line("an instance was freed").await;
        for _ in 0..20 {
            gateway.admin().await.close().await;
        }
        let counted = counted(&mut client).await;
        assert!(counted["ran"].as_u64() > Some(20), "{isolation}: it was not restless: {counted}");
        assert_eq!(counted["afterDestroy"], 0, "{isolation}: {counted}");
        client.close().await;
    }
}

#[tokio::test]
async fn create_has_no_effects() {
    let shelf = Shelf::default();
    for isolation in ["inline", "pool"] {
        let more = format!("isolation = \"{isolation}\"\n[plugins.restless.config]\ncreate = \"eager\"");
        let Some(config) = restless(&shelf, &more) else { return };
        let gateway = start(PROGRAM, &config).await;
        let mut client = gateway.admin().await;
        assert_eq!(client.ok("restless.eager", json!({})).await, json!([-6, -6, -6, -6, -6]), "{isolation}");
        // Its jobs wait until `create` is over, and run then.
        while counted(&mut client).await["ran"] != 3 {}
        assert_eq!(counted(&mut client).await["inCreate"], 0, "{isolation}");
        gateway.log_line("refused within `create`").await;
        client.close().await;
    }
}

#[tokio::test]
async fn what_is_kept_of_a_device_ends_with_it() {
    let shelf = Shelf::default();
    let Some(config) = restless(&shelf, "") else { return };
    let gateway = Gateway::with_config(&config).await;
    let mut admin = gateway.admin().await;
    let key = Key::new(1);
    let mut device = gateway.connect(&Connect::operator().device(&key)).await;
    assert_eq!(device.ok("restless.keep", json!({})).await, 0);
    assert!(admin.ok("restless.use", json!({})).await.is_object(), "the rights of the device suffice");
    device.request("restless.run", json!({})).await;
    device.ok("restless.echo", json!({})).await;
    // Its rights outlive its connection.
    drop(device);
    gateway.metric_becomes("clawhost_connections", 1.0).await;
    assert!(admin.ok("restless.use", json!({})).await.is_object());
    // But not its removal.
    admin.ok("device.pair.remove", json!({ "deviceId": key.id() })).await;
    assert_eq!(admin.ok("restless.use", json!({})).await, -6);
    gateway.log_line("the run was cancelled for reason 5").await;
    admin.close().await;
}

#[tokio::test]
async fn a_plugin_is_no_way_around_the_rules_for_a_role() {
    let shelf = Shelf::default();
    let Some(config) = restless(&shelf, "[gateway.methods.operator]\ndeny = [\"system.methods\"]") else { return };
    let gateway = start(PROGRAM, &config).await;
    let mut client = gateway.admin().await;
    assert_eq!(client.refused("system.methods", json!({})).await.message, "method not allowed: system.methods");
    client.ok("restless.keep", json!({})).await;
    assert_eq!(client.refused("restless.use", json!({})).await.message, "method not allowed: system.methods");
    client.close().await;
}

#[tokio::test]
async fn hello_ok_is_kept_by_those_who_keep_it() {
    let shelf = Shelf::default();
    let Some(config) = restless(&shelf, "") else { return };
    let gateway = start(PROGRAM, &config).await;
    let mut client = gateway.admin().await;
    assert_eq!(client.ok("restless.publish", json!({})).await, -6, "health has its keeper");
    gateway.log_line("another plugin keeps").await;
    let newcomer = gateway.admin().await;
    assert!(newcomer.hello["snapshot"]["health"]["mine"].is_null());
    newcomer.close().await;
    // Without that one anybody may.
    gateway.replace_config(&format!("{config}[plugins.health]\nenabled = false\n"));
    while row(&mut client, "health").await["state"] != "disabled" {}
    assert_eq!(client.ok("restless.publish", json!({})).await, 0);
    let newcomer = gateway.admin().await;
    assert_eq!(newcomer.hello["snapshot"]["health"], json!({ "mine": true }));
    newcomer.close().await;
    client.close().await;
}

#[tokio::test]
async fn what_waits_for_a_deaf_plugin_is_bounded() {
    let shelf = Shelf::default();
    let Some(config) = restless(&shelf, "[gateway.limits]\nplugin_backlog_bytes = 65_536") else { return };
    let gateway = start(PROGRAM, &config).await;
    let mut client = gateway.connect(&Connect::operator().scopes(&["operator.read"])).await;
    let lost = "clawhost_limit_hits_total{limit=\"plugin_backlog_bytes\"}";
    assert_eq!(client.ok("restless.deafen", json!({})).await, 0);
    client.ok("restless.noise", json!({})).await;
    // 64 events of 16 KiB; four wait and one is being heard.
    assert!(gateway.metric(lost).await >= 50.0, "{}", gateway.metric(lost).await);
    gateway.log_line("a plugin does not hear its events").await;
    gateway.assert_healthy().await;
    client.close().await;
}

#[tokio::test]
async fn a_plugin_that_asks_for_too_much_is_told_so_and_has_room_when_it_gives_back() {
    let shelf = Shelf::default();
    for isolation in ["inline", "pool"] {
        let limits = "[gateway.limits]\nmax_plugin_timers = 20\nmax_plugin_subscriptions = 30";
        let Some(config) = restless(&shelf, &format!("isolation = \"{isolation}\"\n{limits}")) else { return };
        let gateway = start(PROGRAM, &config).await;
        let mut client = gateway.admin().await;
        assert_eq!(client.ok("restless.greedy", json!({})).await, json!([20, -5, 0, 30, -5, 0]), "{isolation}");
        for limit in ["max_plugin_timers", "max_plugin_subscriptions"] {
            let hits = gateway.metric(&format!("clawhost_limit_hits_total{{limit=\"{limit}\"}}")).await;
            assert_eq!(hits, 1.0, "{limit}");
        }
        // What an instance has taken goes with it.
        reload(&mut client, "restless").await;
        assert_eq!(client.ok("restless.greedy", json!({})).await, json!([20, -5, 0, 30, -5, 0]), "{isolation}");
        client.close().await;
    }
}

#[tokio::test]
async fn a_schema_that_takes_for_ever_takes_it_from_its_own_plugin() {
    let shelf = Shelf::default();
    let nested = json!({ "$ref": "#" });
    let params = json!({
        "type": "object",
        "properties": { "a": { "anyOf": [nested, { "allOf": [nested] }, { "oneOf": [nested] }] }, "b": { "type": "integer" } },
    });
    let manifest = json!({
        "manifest": 1, "id": "deep", "version": "1.0.0",
        "methods": [{ "name": "deep.echo", "role": "operator", "scopes": [], "params": params, "timeoutMs": 3_000 }],
    });
    let Some(file) = shelf.c_with("deep", &manifest.to_string(), &[]) else { return };
    let gateway = start(PROGRAM, &table("deep", &file)).await;
    let mut client = gateway.admin().await;
    assert_eq!(client.ok("deep.echo", json!({ "b": 1 })).await, json!({ "b": 1 }));
    let error = client.refused("deep.echo", json!({ "b": "x" })).await;
    assert!(error.message.starts_with("invalid deep.echo params: at /b"), "{error:?}");
    let deep = (0..40).fold(json!({ "b": "x" }), |inner, _| json!({ "a": inner }));
    let ids = [client.request("deep.echo", deep.clone()).await, client.request("deep.echo", deep).await];
    client.ok("health", json!({})).await;
    gateway.assert_healthy().await;
    for id in &ids {
        assert_eq!(client.answer(id).await.expect_err("it takes long").message, "deep.echo timed out after 3000 ms");
    }
    gateway.log_line("a method keeps a thread of its plugin's").await;
    client.close().await;
}

/// Calls that run.
const OPEN: &str = "clawhost_calls_in_flight";

#[tokio::test]
async fn a_call_that_is_not_wanted_any_more_ends_whether_it_was_made_yet_or_not() {
    let shelf = Shelf::default();
    for isolation in ["inline", "pool"] {
        let Some(config) = restless(&shelf, &format!("isolation = \"{isolation}\"")) else { return };
        let gateway = start(PROGRAM, &config).await;
        let mut client = gateway.admin().await;
        client.ok("restless.lost", json!({})).await;
        gateway.metric_becomes(OPEN, 0.0).await;
        // Those of an instance that has ended are nobody's.
        client.ok("restless.leave", json!({})).await;
        gateway.metric_becomes(OPEN, 50.0).await;
        reload(&mut client, "restless").await;
        gateway.metric_becomes(OPEN, 0.0).await;
        client.close().await;
        // Who goes away leaves no fault behind.
        let mut gone = gateway.admin().await;
        gone.request("restless.never", json!({})).await;
        gateway.metric_becomes(OPEN, 1.0).await;
        drop(gone);
        gateway.metric_becomes(OPEN, 0.0).await;
        assert!(gateway.log_lines("not passed on").is_empty(), "{:?}", gateway.log_lines("not passed on"));
    }
}

#[tokio::test]
async fn a_cancel_that_blocks_stops_no_clock() {
    let shelf = Shelf::default();
    let more = "isolation = \"inline\"\n[gateway.limits]\ntick_interval_ms = 100";
    let Some(config) = restless(&shelf, more) else { return };
    let gateway = start(PROGRAM, &config).await;
    let mut gripping = gateway.admin().await;
    let mut client = gateway.admin().await;
    let grip = gripping.request("restless.grip", json!({})).await;
    gateway.log_line("a method is blocking a worker").await;
    for _ in 0..5 {
        client.event("tick").await;
    }
    client.ok("spike.sum", json!({ "a": 1 })).await;
    gateway.assert_healthy().await;
    client.ok("restless.release", json!({})).await;
    let error = gripping.answer(&grip).await.expect_err("it took too long");
    assert_eq!(error.message, "restless.grip timed out after 300 ms");
    gripping.close().await;
    client.close().await;
}

#[tokio::test]
async fn an_error_passed_on_is_not_the_panic_of_who_passes_it_on() {
    let shelf = Shelf::default();
    let config = format!(
        "[gateway.plugins]\nmax_panics = 3\n{}{}{GRANTS}",
        table("loaded", &shelf.rust()),
        table("reborn", &shelf.reborn('a'))
    );
    let gateway = start(PROGRAM, &config).await;
    let mut client = gateway.admin().await;
    for _ in 0..2 {
        let error = client.refused("reborn.through", json!({ "method": "loaded.panic", "params": {} })).await;
        assert_eq!(error.code, "UNAVAILABLE", "{error:?}");
    }
    let panics = async |client: &mut Client, id| row(client, id).await["panics"].clone();
    assert_eq!(panics(&mut client, "loaded").await, 2);
    assert_eq!(panics(&mut client, "reborn").await, 0);
    client.close().await;
}
