//! Plugins that go wild in a process that is not theirs alone. What a plugin that is linked in or loaded allocates by itself
//! nobody can take from it; everything that it asks of the host has an end.

use std::time::{Duration, Instant};

use clawhost_tests::support::{Client, Connect, Gateway, Knock};
use serde_json::json;

use super::means::status_kib;

const PROGRAM: &str = env!("CARGO_BIN_EXE_test_gateway");
/// A few ticks while something goes on.
const TICKS: usize = 5;

async fn start(config: &str) -> Gateway {
    Gateway::builder().program(PROGRAM).config(config).start().await
}

/// A tick that was sent since then, and none that waited to be read.
async fn tick_after(client: &mut Client, then: u64) {
    client.event_with("tick", |tick| tick["ts"].as_u64() >= Some(then)).await;
}

#[tokio::test]
async fn a_plugin_that_spins_is_named_and_takes_neither_the_clock_nor_other_plugins() {
    let limits = "[gateway.limits]\ntick_interval_ms = 100\ndrain_ms = 500\nclose_grace_ms = 300\n";
    let pool = format!("[plugins.unruly]\nisolation = \"pool\"\n[gateway.plugins]\npool_threads = 2\n{limits}");
    let gateway = start(&pool).await;
    let mut client = gateway.admin().await;
    // More than it has threads, and as many as the machine has workers.
    let mut spins = Vec::new();
    for _ in 0..6 {
        spins.push(client.request("unruly.spin", json!({})).await);
    }
    let line = gateway.log_line("keeps a thread of its plugin's").await;
    assert!(line.contains("unruly.spin"), "the watchdog names it: {line}");
    for spin in &spins {
        let error = client.answer(spin).await.expect_err("it has no end");
        assert_eq!(error.message, "unruly.spin timed out after 300 ms");
    }
    let now = schemas::now_ms();
    for _ in 0..TICKS {
        tick_after(&mut client, now).await;
        client.ok("spike.sum", json!({ "a": 1 })).await;
    }
    gateway.assert_healthy().await;
    // It still spins when the gateway is asked to stop, which takes its time and no more.
    drop(client);
    let begun = Instant::now();
    let stopped = gateway.stop().await;
    let took = begun.elapsed();
    eprintln!("stopped in {took:?} while a plugin span");
    // Calls have half a second and connections a third of one; the rest is for a slow machine.
    assert!(took < Duration::from_millis(500 + 300) + Duration::from_secs(10), "{took:?}");
    assert!(stopped.log.contains("stopped"), "{}", stopped.log);
}

#[tokio::test]
async fn a_plugin_that_spins_on_a_worker_is_named_and_timed_out() {
    let gateway = start("[gateway.limits]\ntick_interval_ms = 100\n").await;
    let mut victim = gateway.admin().await;
    let mut client = gateway.admin().await;
    let spin = victim.request("unruly.spin", json!({})).await;
    let line = gateway.log_line("a method is blocking a worker").await;
    assert!(line.contains("unruly.spin"), "the watchdog names it: {line}");
    let now = schemas::now_ms();
    for _ in 0..TICKS {
        tick_after(&mut client, now).await;
    }
    client.ok("spike.sum", json!({ "a": 1 })).await;
    client.ok("unruly.stop", json!({})).await;
    let error = victim.answer(&spin).await.expect_err("it took too long");
    assert_eq!(error.message, "unruly.spin timed out after 300 ms");
    victim.close().await;
    client.close().await;
    gateway.stop().await;
}

/// Events of a wave, and waves: more than the system and the gateway keep for anybody.
const WAVE: u64 = 50;
const WAVES: u64 = 40;

#[tokio::test]
async fn a_flood_of_events_drowns_only_who_does_not_read() {
    let gateway = start("[plugins.health]\nenabled = false\n").await;
    let mut reader = gateway.operator(&["operator.read"]).await;
    let mut deaf = gateway.knock_with(&Knock::default().receive_buffer(4096)).await;
    deaf.connect(&Connect::operator().scopes(&["operator.read"])).await.expect("accepted");
    deaf.checks().allow_holes();
    let mut caller = gateway.operator(&["operator.talk"]).await;
    let before = status_kib(gateway.pid(), "VmHWM");
    for _ in 0..WAVES {
        caller.ok("unruly.shout", json!({ "count": WAVE, "bytes": 8_000 })).await;
        for number in 0..WAVE {
            // Each of them, in order: the client looks whether `seq` has holes.
            for name in ["unruly.said", "unruly.mumbled"] {
                assert_eq!(reader.event(name).await.payload.expect("a payload")["number"], number);
            }
        }
    }
    // Whoever takes nothing is closed, and gone though it does not take that either.
    let line = gateway.log_line("closing a slow consumer").await;
    assert!(line.contains("max_buffered_bytes"), "{line}");
    gateway.metric_becomes("clawhost_connections ", 2.0).await;
    assert_eq!(deaf.closed().await.code, None, "its close frame found no room");
    // All at once is too much for anybody, and for nobody else.
    caller.ok("unruly.shout", json!({ "count": WAVE * WAVES, "bytes": 8_000 })).await;
    gateway.assert_healthy().await;
    let more = status_kib(gateway.pid(), "VmHWM") - before;
    eprintln!("{} events of 8 KB, then all at once: {more} KiB more at the most", WAVE * WAVES);
    assert!(more < 64 * 1024, "{more} KiB");
    drop(reader);
    caller.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_flood_of_lines_fills_neither_the_log_nor_the_disk() {
    let gateway = start("[gateway.log]\nmax_bytes = 65536\nfiles = 2\n").await;
    let mut client = gateway.admin().await;
    client.ok("unruly.rant", json!({ "count": 20_000, "bytes": 500 })).await;
    client.ok("spike.sum", json!({ "a": 1 })).await;
    client.close().await;
    let stopped = gateway.stop().await;
    let logs = std::fs::read_dir(stopped.state_dir().join("logs")).expect("the folder of logs").flatten();
    let bytes: u64 = logs.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum();
    assert!(bytes <= 2 * 65_536, "{bytes} bytes of logs");
    let lines = stopped.log.lines().filter(|line| line.contains("rant rant")).count();
    assert!(lines < 200, "{lines} lines of 20000");
}

#[tokio::test]
async fn a_plugin_keeps_as_much_as_it_may() {
    let gateway = start("[gateway.limits]\nkv_bytes = 100_000\n").await;
    let mut client = gateway.admin().await;
    let hoarded = hoard(&mut client).await;
    assert!((80..100).contains(&hoarded), "{hoarded} values of 1000 bytes in 100000");
    // It is its own limit.
    client.ok("spike.keep", json!({ "key": "k", "value": "v" })).await;
    client.close().await;
    let gateway = gateway.stop().await.restart().await;
    let mut client = gateway.admin().await;
    assert_eq!(client.ok("spike.kept", json!({ "key": "k" })).await["value"], "v");
    assert_eq!(hoard(&mut client).await, hoarded, "nor does a restart forget the limit");
    client.close().await;
    gateway.stop().await;
}

async fn hoard(client: &mut Client) -> u64 {
    let hoarded = client.ok("unruly.hoard", json!({ "count": 1_000, "bytes": 1_000 })).await;
    assert!(hoarded["why"].is_string(), "{hoarded}");
    hoarded["kept"].as_u64().expect("a number")
}
