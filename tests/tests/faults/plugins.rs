//! Plugins that go wild in a process that is not theirs alone. What a plugin that is linked in or loaded allocates by itself
//! nobody can take from it; everything that it asks of the host has an end.

use std::time::{Duration, Instant};

use clawhost_tests::reloading::reload;
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
    // Counted while they have their threads, of which they never let go.
    gateway.metric_becomes(&stalls("unruly.spin"), 2.0).await;
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
    assert_eq!(gateway.metric(&stalls("unruly.spin")).await, 1.0, "counted while it has the worker");
    client.ok("unruly.stop", json!({})).await;
    let error = victim.answer(&spin).await.expect_err("it took too long");
    assert_eq!(error.message, "unruly.spin timed out after 300 ms");
    gateway.log_line("a method kept a worker too long").await;
    assert_eq!(gateway.metric(&stalls("unruly.spin")).await, 1.0, "and once");
    victim.close().await;
    client.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_plugin_that_spins_after_it_has_waited_is_named_and_timed_out() {
    let gateway = start("[gateway.limits]\nworker_stall_ms = 200\n").await;
    let mut client = gateway.admin().await;
    let brood = client.request("unruly.brood", json!({ "stubborn": true })).await;
    let line = gateway.log_line("a job is blocking a worker").await;
    assert!(line.contains("plugin=\"unruly\""), "the watchdog names it: {line}");
    assert!(line.contains("unanswered=\"unruly.brood\""), "and what it may be at: {line}");
    // Sockets are seen to though nothing else happens that would wake another worker.
    assert_eq!(gateway.metric(&stalls("")).await, 1.0, "counted while it has the worker");
    let error = client.answer(&brood).await.expect_err("it has no end");
    assert_eq!(error.message, "unruly.brood timed out after 1000 ms");
    client.ok("spike.sum", json!({ "a": 1 })).await;
    client.ok("unruly.stop", json!({})).await;
    gateway.log_line("a job kept a worker too long").await;
    assert_eq!(gateway.metric(&stalls("")).await, 1.0, "and once");
    client.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_plugin_that_holds_every_worker_is_timed_out_all_the_same() {
    let gateway = start("").await;
    let mut client = gateway.admin().await;
    // One more than there are workers. Each goes on until its call is over, which no worker is left to say.
    let crowd = 1 + std::thread::available_parallelism().map_or(2, |count| count.get().max(2));
    let mut broods = Vec::new();
    for _ in 0..crowd {
        broods.push(client.request("unruly.brood", json!({})).await);
    }
    for brood in &broods {
        let error = client.answer(brood).await.expect_err("it goes on for longer than it may");
        assert_eq!(error.message, "unruly.brood timed out after 1000 ms");
    }
    gateway.assert_healthy().await;
    gateway.metric_becomes("clawhost_calls_in_flight", 0.0).await;
    client.close().await;
    gateway.stop().await;
}

/// How often something of the plugin kept a thread for too long: this method, or nothing of a call.
fn stalls(method: &str) -> String {
    format!("clawhost_worker_stalls_total{{method=\"{method}\",plugin=\"unruly\"}}")
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

/// What one plugin may have of each thing, and how much it asks for.
const SHARE: u64 = 200;
const GREED: u64 = 20_000;
/// Threads for what may block, which have begun with it and keep none waiting.
const BLOCKING_THREADS: u64 = 16;

fn hits(limit: &str) -> String {
    format!("clawhost_limit_hits_total{{limit=\"{limit}\"}}")
}

#[tokio::test]
async fn a_plugin_has_so_much_of_the_host_and_others_have_theirs() {
    let kinds = ["timers", "jobs", "invokes", "subscriptions", "principals"];
    let limits = kinds.map(|kind| format!("max_plugin_{kind} = {SHARE}\n")).concat();
    // On its one thread nothing that it asks for can come about while it asks for more.
    let alone = "[plugins.unruly]\nisolation = \"pool\"\n[gateway.plugins]\npool_threads = 1\n";
    let gateway = start(&format!("{alone}[gateway.limits]\n{limits}")).await;
    let mut client = gateway.admin().await;
    let much = || json!({ "count": GREED });
    let before = status_kib(gateway.pid(), "VmHWM");

    let share = json!({ "kept": SHARE, "why": "the host is busy" });
    for (method, limit) in [
        ("unruly.nag", "max_plugin_invokes"),
        ("unruly.listen", "max_plugin_subscriptions"),
        ("unruly.cling", "max_plugin_principals"),
    ] {
        assert_eq!(client.ok(method, much()).await, share, "{method}");
        assert_eq!(gateway.metric(&hits(limit)).await, (GREED - SHARE) as f64, "{limit}");
    }
    // What is refused of timers and wakes is the plugin's own to see to, and none of it is lost.
    assert_eq!(client.ok("unruly.doze", much()).await["kept"], GREED);
    assert_eq!(gateway.metric(&hits("max_plugin_timers")).await, (GREED - SHARE) as f64);
    client.ok("unruly.fidget", much()).await;
    while client.ok("unruly.fidgeted", json!({})).await["count"] != GREED {}
    assert_eq!(gateway.metric(&hits("max_plugin_jobs")).await, (GREED - SHARE) as f64);
    let toil = client.ok("unruly.toil", much()).await;
    let kept = toil["kept"].as_u64().expect("a number");
    assert!((SHARE..=SHARE + BLOCKING_THREADS).contains(&kept) && toil["why"] == "the host is busy", "{toil}");
    assert_eq!(gateway.metric(&hits("max_plugin_jobs")).await, (2 * GREED - SHARE - kept) as f64);
    let line = gateway.log_line("a plugin has as much of this as it may").await;
    assert!(line.contains("unruly"), "{line}");
    let more = status_kib(gateway.pid(), "VmHWM") - before;
    eprintln!("{GREED} of each thing asked for, {SHARE} given: {more} KiB more at the most");
    assert!(more < 64 * 1024, "{more} KiB");

    // All of that is still taken. Another one waits, works, calls and keeps its caller's rights; and a new one hears.
    client.ok("tides.round", json!({})).await;
    reload(&mut client, "spike").await;
    gateway.assert_healthy().await;

    // Whoever gives back may have as much again.
    client.ok("unruly.relent", json!({})).await;
    for method in ["unruly.listen", "unruly.cling", "unruly.doze"] {
        let taken = client.ok(method, json!({ "count": SHARE })).await;
        assert_eq!(taken, json!({ "kept": SHARE, "why": null }), "{method}");
    }
    for limit in ["max_plugin_subscriptions", "max_plugin_principals", "max_plugin_timers"] {
        assert_eq!(gateway.metric(&hits(limit)).await, (GREED - SHARE) as f64, "{limit}");
    }
    client.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn the_rights_that_all_plugins_keep_together_have_an_end() {
    let gateway = start("[gateway.limits]\nmax_principals = 100\n").await;
    let mut client = gateway.admin().await;
    assert_eq!(client.ok("unruly.cling", json!({ "count": 150 })).await["kept"], 100);
    assert_eq!(gateway.metric(&hits("max_principals")).await, 50.0);
    let error = client.refused("tides.round", json!({})).await;
    assert_eq!((error.code.as_str(), error.retryable), ("UNAVAILABLE", Some(true)), "{error:?}");
    client.ok("unruly.relent", json!({})).await;
    client.ok("tides.round", json!({})).await;
    client.close().await;
    gateway.stop().await;
}
