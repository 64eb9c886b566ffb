//! What `/metrics` shows: all that the table in ARCHITECTURE.md names and nothing else, and numbers that are right.

use std::collections::{BTreeMap, BTreeSet};

use clawhost_tests::prometheus::{Family, documented, read};
use clawhost_tests::reloading::{changed, row};
use clawhost_tests::support::{Client, Connect, Gateway, Key, Knock, Payload, resident_kib};
use serde_json::json;

const TEST_GATEWAY: &str = env!("CARGO_BIN_EXE_test_gateway");

async fn page(gateway: &Gateway) -> BTreeMap<String, Family> {
    read(&gateway.metrics().await)
}

async fn value(gateway: &Gateway, name: &str, labels: &[(&str, &str)]) -> f64 {
    page(gateway).await[name].value(labels).unwrap_or_else(|| panic!("there is no {name} with {labels:?}"))
}

#[tokio::test]
async fn the_table_and_the_page_name_the_same() {
    let gateway = Gateway::builder().program(TEST_GATEWAY).start().await;
    let mut client = gateway.admin().await;
    // What comes into being when it first happens: an event, and a plugin that is changed.
    gateway.write_config("[plugins.vault]\nenabled = false");
    changed(&mut client, "vault").await;
    let shown = page(&gateway).await;
    let rows = documented();
    let named: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(named.len(), rows.len(), "a name comes twice in the table");
    let elsewhere = |name: &&str| cfg!(target_os = "linux") || !name.starts_with("process_");
    let found: BTreeSet<&str> = shown.keys().map(String::as_str).collect();
    assert_eq!(found, named.into_iter().filter(elsewhere).collect());
    for row in rows.iter().filter(|row| shown.contains_key(&row.name)) {
        let family = &shown[&row.name];
        let labels: BTreeSet<Vec<&str>> = BTreeSet::from([row.labels.iter().map(String::as_str).collect()]);
        assert_eq!((&family.help, family.labels()), (&row.meaning, labels), "{}", row.name);
        let kind = if row.name.ends_with("_total") { "counter" } else { "gauge" };
        assert_eq!(family.kind, kind, "{}", row.name);
    }
    client.close().await;
}

#[tokio::test]
async fn the_same_page_reaches_plugins() {
    // A machine that has much to do keeps any call for long.
    let gateway = Gateway::with_config("[gateway.limits]\nworker_stall_ms = 60_000").await;
    let mut client = gateway.admin().await;
    client.ok("health", json!({})).await;
    let counted = client.ok("system.metrics", json!({})).await;
    let rows = counted["methods"].as_array().expect("a list");
    assert!(rows.iter().any(|row| row["method"] == "health" && row["calls"] == 1), "{counted}");
    assert_eq!(counted["limits"], json!([]), "limits that were not hit are no news");
    client.close().await;
}

/// Whatever happens to a call is counted under its method.
#[tokio::test]
async fn calls_errors_panics_and_stalls_have_a_name() {
    let gateway = Gateway::builder().program(TEST_GATEWAY).start().await;
    let mut client = gateway.admin().await;
    let of = |method: &'static str| [("method", method), ("plugin", "spike")];
    let before = page(&gateway).await;
    for name in ["calls", "call_errors", "worker_stalls", "panics"].map(|what| format!("clawhost_{what}_total")) {
        assert_eq!(before[&name].value(&of("spike.panic")), Some(0.0), "{name} is there before anything happens");
    }
    let stalls_before = before["clawhost_limit_hits_total"].value(&[("limit", "worker_stall_ms")]).expect("a line");

    client.ok("spike.sum", json!({ "a": 1 })).await;
    client.refused("spike.panic", json!({})).await;
    client.ok("spike.block", json!({ "ms": 150 })).await;
    let waiting = client.request("spike.wait", json!({ "gate": "g" })).await;
    client.ok("spike.sum", json!({ "a": 1 })).await;
    let after = page(&gateway).await;
    let shown = |name: &str, method| after[name].value(&of(method)).expect("a line");
    assert_eq!(shown("clawhost_calls_total", "spike.sum"), 2.0);
    assert_eq!(shown("clawhost_call_errors_total", "spike.sum"), 0.0);
    assert_eq!(shown("clawhost_call_errors_total", "spike.panic"), 1.0);
    assert_eq!(shown("clawhost_worker_stalls_total", "spike.block"), 1.0);
    assert!(shown("clawhost_call_microseconds_total", "spike.block") >= 150_000.0);
    assert_eq!((shown("clawhost_panics_total", "spike.panic"), shown("clawhost_panics_total", "")), (1.0, 0.0));
    // On a machine that has much to do others may have taken as long.
    assert!(after["clawhost_limit_hits_total"].value(&[("limit", "worker_stall_ms")]) > Some(stalls_before));
    assert_eq!(after["clawhost_plugin_calls_in_flight"].value(&[("plugin", "spike")]), Some(1.0));
    assert!(after["clawhost_calls_in_flight"].value(&[]) >= Some(1.0));
    client.ok("spike.open", json!({ "gate": "g" })).await;
    client.answer(&waiting).await.expect("it was let go");
    assert_eq!(value(&gateway, "clawhost_plugin_calls_in_flight", &[("plugin", "spike")]).await, 0.0);
    client.close().await;
}

/// A request for a method is one call, answered or refused, and at most one error. Only where a plugin has threads of its own
/// do calls wait for one, whatever is found wrong with them then.
#[tokio::test]
async fn a_request_is_counted_once_whatever_becomes_of_it() {
    for (isolation, waits) in [("inline", false), ("pool", true)] {
        let limits = "[gateway.limits]\nmax_plugin_in_flight = 1\n";
        let config = format!("[plugins.spike]\nisolation = \"{isolation}\"\n{limits}");
        let gateway = Gateway::builder().program(TEST_GATEWAY).config(&config).start().await;
        let mut client = gateway.admin().await;
        client.ok("spike.sum", json!({ "a": 1 })).await;
        let wrong = client.refused("spike.sum", json!({ "a": "one" })).await;
        assert_eq!(wrong.code, "INVALID_REQUEST", "{isolation}");
        client.request("spike.wait", json!({ "gate": "g" })).await;
        let busy = client.refused("spike.sum", json!({ "a": 1 })).await;
        assert_eq!(busy.details.expect("details")["limit"], "max_plugin_in_flight", "{isolation}");
        let mut stranger = gateway.operator(&["operator.talk"]).await;
        stranger.refused("spike.effects", json!({})).await;
        stranger.refused("spike.result", json!({ "run": "r" })).await;

        let shown = page(&gateway).await;
        let of = |name: &str, method: &str| {
            let value = shown[name].value(&[("method", method), ("plugin", "spike")]);
            value.unwrap_or_else(|| panic!("{isolation}: no {name} of {method}"))
        };
        let counts = |method| (of("clawhost_calls_total", method), of("clawhost_call_errors_total", method));
        assert_eq!(counts("spike.sum"), (3.0, 2.0), "{isolation}: answered, wrong, and one too many");
        assert_eq!(counts("spike.wait"), (1.0, 0.0), "{isolation}: it waits");
        assert_eq!(counts("spike.effects"), (1.0, 1.0), "{isolation}: one too many");
        assert_eq!(counts("spike.result"), (1.0, 1.0), "{isolation}: not for this one");
        let queued = |method| of("clawhost_call_queue_microseconds_total", method);
        assert_eq!((queued("spike.sum") > 0.0, queued("spike.effects")), (waits, 0.0), "{isolation}");
        let state = row(&mut client, "spike").await;
        assert_eq!((&state["calls"], &state["errors"]), (&json!(6), &json!(4)), "{isolation}: {state}");
        // What waits ends with its connection.
        drop(client);
        gateway.metric_becomes("clawhost_plugin_calls_in_flight{plugin=\"spike\"}", 0.0).await;
        stranger.close().await;
    }
}

/// Outside of calls no answer says that a plugin panicked.
#[tokio::test]
async fn a_panic_beside_calls_is_counted_under_its_plugin() {
    let gateway = Gateway::builder().program(TEST_GATEWAY).start().await;
    let of = [("method", ""), ("plugin", "wires")];
    assert_eq!(value(&gateway, "clawhost_panics_total", &of).await, 0.0);
    assert_eq!(gateway.http("GET", "/wires/panic", &[]).await.status, 500);
    gateway.metric_becomes("clawhost_panics_total{method=\"\",plugin=\"wires\"}", 1.0).await;
}

#[tokio::test]
async fn who_is_connected_by_role_and_protocol() {
    let gateway = Gateway::start().await;
    let count =
        async |role, protocol| value(&gateway, "clawhost_clients", &[("protocol", protocol), ("role", role)]).await;
    for (role, protocol) in [("operator", "3"), ("operator", "4"), ("node", "3"), ("node", "4")] {
        assert_eq!(count(role, protocol).await, 0.0);
    }
    let admin = gateway.admin().await;
    let newer = gateway
        .connect(
            &Connect::operator()
                .with("minProtocol", json!(4))
                .with("maxProtocol", json!(4))
                .payload(Payload::V3)
                .device(&Key::new(7)),
        )
        .await;
    let node = gateway.node(&Key::new(8)).await;
    let silent = gateway.knock().await;
    assert_eq!((count("operator", "3").await, count("operator", "4").await), (1.0, 1.0));
    assert_eq!((count("node", "3").await, count("node", "4").await), (1.0, 0.0));
    assert_eq!(value(&gateway, "clawhost_connections", &[]).await, 4.0, "with the one that has said nothing");
    assert_eq!(value(&gateway, "clawhost_handshakes_total", &[("outcome", "accepted")]).await, 3.0);
    for client in [admin, newer, node, silent] {
        client.close().await;
    }
    gateway.metric_becomes("clawhost_clients{protocol=\"4\",role=\"operator\"}", 0.0).await;
}

#[tokio::test]
async fn devices_that_wait_and_codes_that_invite() {
    let gateway = Gateway::start().await;
    let counts = async || {
        let shown = page(&gateway).await;
        ["clawhost_pairing_requests", "clawhost_paired_devices", "clawhost_setup_codes"]
            .map(|name| shown[name].value(&[]).expect("a line"))
    };
    let mut admin = gateway.admin().await;
    assert_eq!(counts().await, [0.0, 0.0, 0.0]);
    let mut stranger: Client = gateway.knock_with(&Knock::remote()).await;
    let refused = stranger.connect(&Connect::node().device(&Key::new(1))).await.expect_err("nobody has approved it");
    assert_eq!(counts().await, [1.0, 0.0, 0.0]);
    let request = refused.error.details.expect("details")["requestId"].clone();
    admin.ok("device.pair.approve", json!({ "requestId": request })).await;
    admin.ok("device.pair.setupCode", json!({ "url": "ws://gateway.example:18789" })).await;
    assert_eq!(counts().await, [0.0, 1.0, 1.0]);
    admin.close().await;
}

#[tokio::test]
async fn answers_over_http_by_class_and_faults_by_path() {
    let gateway = Gateway::builder().program(TEST_GATEWAY).start().await;
    let before = page(&gateway).await;
    for (path, status) in [("/wires/x", 200), ("/nothing", 404), ("/wires/fail", 500), ("/wires/slow", 504)] {
        assert_eq!(gateway.http("GET", path, &[]).await.status, status, "{path}");
    }
    let after = page(&gateway).await;
    let more = |name: &str, labels: &[(&str, &str)]| {
        after[name].value(labels).expect("a line") - before[name].value(labels).expect("a line")
    };
    let classes =
        ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| more("clawhost_http_answers_total", &[("class", class)]));
    // The first look at the page is one of them.
    assert_eq!(classes, [0.0, 2.0, 0.0, 1.0, 2.0]);
    let of = |path: &'static str| [("path", path), ("plugin", "wires")];
    assert_eq!(more("clawhost_http_requests_total", &of("/wires")), 2.0);
    assert_eq!(more("clawhost_http_failures_total", &of("/wires")), 1.0);
    assert_eq!(more("clawhost_http_failures_total", &of("/wires/slow")), 1.0);
}

#[tokio::test]
async fn plugins_their_states_and_the_configuration() {
    let fails = "[plugins.grumpy.config]\nfails_in = \"create\"\n";
    let gateway = Gateway::builder().program(TEST_GATEWAY).config(fails).start().await;
    let mut client = gateway.admin().await;
    let states = async || {
        let shown = page(&gateway).await;
        let mut states = BTreeMap::new();
        for (labels, value) in &shown["clawhost_plugin_state"].samples {
            assert_eq!(*value, 1.0, "{labels:?}");
            assert!(states.insert(labels["plugin"].clone(), labels["state"].clone()).is_none(), "{labels:?} twice");
        }
        states
    };
    let before = states().await;
    assert_eq!((before["grumpy"].as_str(), before["vault"].as_str()), ("failed", "running"));
    gateway.write_config(&format!("{fails}[plugins.vault]\nenabled = false\n"));
    changed(&mut client, "vault").await;
    let after = states().await;
    assert_eq!((after["grumpy"].as_str(), after["vault"].as_str()), ("failed", "disabled"));
    assert_eq!(after.len(), before.len());
    let done = [("outcome", "done"), ("plugin", "vault")];
    assert_eq!(value(&gateway, "clawhost_plugin_changes_total", &done).await, 1.0);

    assert_eq!(value(&gateway, "clawhost_config_valid", &[]).await, 1.0);
    gateway.write_config("[gateway]\nprot = 1\n");
    gateway.metric_becomes("clawhost_config_valid", 0.0).await;
    gateway.write_config(fails);
    changed(&mut client, "vault").await;
    gateway.metric_becomes("clawhost_config_valid", 1.0).await;
    client.close().await;
}

#[tokio::test]
async fn a_key_too_many_is_a_limit_that_was_hit() {
    let config = "[gateway.limits]\nidempotency_entries = 1";
    let gateway = Gateway::builder().program(TEST_GATEWAY).config(config).start().await;
    let mut client = gateway.admin().await;
    let running = client.request("spike.once", json!({ "idempotencyKey": "a", "gate": "g" })).await;
    client.reply(&running).await;
    client.refused("spike.once", json!({ "idempotencyKey": "b" })).await;
    assert_eq!(value(&gateway, "clawhost_limit_hits_total", &[("limit", "idempotency_entries")]).await, 1.0);
    client.ok("spike.open", json!({ "gate": "g" })).await;
    client.answer(&running).await.expect("it was let go");
    client.close().await;
}

/// How many files the process has open, as the kernel lists them.
#[cfg(target_os = "linux")]
fn open_files(process: u32) -> f64 {
    std::fs::read_dir(format!("/proc/{process}/fd")).expect("it runs").count() as f64
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_process_is_the_one_that_the_kernel_knows() {
    let begun = schemas::now_ms() as f64 / 1000.0;
    let gateway = Gateway::start().await;
    let shown = page(&gateway).await;
    let number = |name: &str| shown[name].value(&[]).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(shown["clawhost_build_info"].value(&[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    let started = number("process_start_time_seconds");
    assert!(begun <= started && started <= schemas::now_ms() as f64 / 1000.0, "{begun} {started}");
    let resident = resident_kib(gateway.pid()).expect("it runs") as f64 * 1024.0;
    let told = number("process_resident_memory_bytes");
    assert!((resident * 0.5..resident * 2.0).contains(&told), "{told} and {resident}");
    assert!(number("process_virtual_memory_bytes") > told);
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("it runs");
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")).expect("a line");
    let threads: f64 = threads.trim().parse().expect("a number");
    // Those for what may block come and go.
    assert!((number("process_threads") - threads).abs() <= 8.0, "{threads}");
    assert!(number("clawhost_workers") >= 1.0 && number("clawhost_workers") < threads);
    assert!(number("clawhost_tasks") >= 1.0);

    let sockets: Vec<_> = [gateway.knock().await, gateway.knock().await, gateway.knock().await].into();
    let before = open_files(gateway.pid());
    let later = page(&gateway).await;
    let after = open_files(gateway.pid());
    let told = later["process_open_fds"].value(&[]).expect("a line");
    // The page has a socket of its own, and a database may open its files meanwhile.
    let known = before.min(after) - 4.0..=before.max(after) + 4.0;
    assert!(known.contains(&told), "{told}, and the kernel knew {before} and then {after}");
    assert!(told > sockets.len() as f64);
    assert!(number("process_open_fds") < number("process_max_fds"));
    for name in ["process_cpu_seconds_total", "clawhost_worker_busy_seconds_total"] {
        assert!(later[name].value(&[]).expect("a line") >= number(name), "{name}");
    }
    for socket in sockets {
        socket.close().await;
    }
}
