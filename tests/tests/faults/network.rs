//! A network that fails between a client and its gateway: cut, or silent in one direction or in both.

use std::time::{Duration, Instant};

use clawhost_tests::support::{Client, Connect, Gateway, Key, Knock, PATIENCE, Payload, Proxy, TOKEN, Way};
use client::{Backoff, ConnectOptions, State};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A ping in three seconds here, and one in 25 unless configured. A test that does other things for so long is gone, too.
const CONFIG: &str = "[gateway.limits]\nping_interval_ms = 3_000\ntick_interval_ms = 500\n";

/// Who speaks protocol 4 is pinged.
fn of_4(connect: Connect) -> Connect {
    connect.payload(Payload::V3).with("minProtocol", json!(4)).with("maxProtocol", json!(4))
}

/// A guest whom others see, through a network that may fail.
async fn guest(proxy: &Proxy, name: &str) -> Client {
    let mut client = Client::open(&proxy.door(), &Knock::default()).await.expect("an upgrade");
    let connect = of_4(Connect::operator().client("test", "ui").about("instanceId", name));
    client.connect(&connect).await.expect("accepted");
    client
}

/// Waits until others see that somebody came or went.
async fn seen(watcher: &mut Client, name: &str, reason: &str) {
    let of_guest = |payload: &Value| {
        let rows = payload["presence"].as_array().into_iter().flatten();
        rows.into_iter().any(|row| row["instanceId"] == name && row["reason"] == reason)
    };
    watcher.event_with("presence", of_guest).await;
}

#[tokio::test]
async fn a_peer_that_is_gone_without_a_word_is_found_and_its_presence_follows() {
    let gateway = Gateway::with_config(CONFIG).await;
    let mut watcher = gateway.operator(&["operator.read"]).await;
    // Lost: the system at the other end still takes what is sent. Stalled: nothing takes it any more.
    const GONE: usize = 4;
    let fates = [
        ("lost", Way::Lost, Way::Lost),
        ("stalled", Way::Stalled, Way::Stalled),
        ("unheard", Way::Lost, Way::Open),
        ("deaf", Way::Open, Way::Lost),
        ("well", Way::Open, Way::Open),
    ];
    let (mut guests, mut proxies) = (JoinSet::new(), Vec::new());
    for (name, to_gateway, to_client) in fates {
        let proxy = Proxy::to(gateway.port).await;
        let mut guest = guest(&proxy, name).await;
        seen(&mut watcher, name, "connect").await;
        // Each of them reads, and would answer every ping that it hears: it is the network that makes it silent.
        guests.spawn(async move { while guest.next().await.is_some() {} });
        proxies.push((proxy, to_gateway, to_client));
    }
    let begun = Instant::now();
    for (proxy, to_gateway, to_client) in &proxies {
        proxy.ways(*to_gateway, *to_client);
    }
    let all_gone = |payload: &Value| {
        let rows = payload["presence"].as_array().into_iter().flatten();
        let gone = rows.filter(|row| row["reason"] == "disconnect" && row["instanceId"].is_string());
        gone.count() == GONE
    };
    watcher.event_with("presence", all_gone).await;
    let found = begun.elapsed();
    eprintln!("{GONE} peers that were gone without a word: found after {found:?}, with a ping in three seconds");
    assert!(found < PATIENCE, "{found:?}");
    let line = gateway.log_line("answers no pings").await;
    assert!(line.contains("INFO"), "{line}");
    assert_eq!(gateway.metric("clawhost_limit_hits_total{limit=\"ping_interval_ms\"}").await, GONE as f64);
    // Whom nothing was lost of is still there.
    gateway.metric_becomes("clawhost_connections ", 2.0).await;
    let rows = watcher.ok("system-presence", json!({})).await;
    let is_well = |row: &Value| row["instanceId"] == "well" && row["reason"] == "connect";
    assert!(rows.as_array().is_some_and(|rows| rows.iter().any(is_well)), "{rows}");
    guests.shutdown().await;
    watcher.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_peer_that_answers_stays_whatever_else_it_does_not_say() {
    let gateway = Gateway::with_config(CONFIG).await;
    let proxy = Proxy::to(gateway.port).await;
    let mut quiet = guest(&proxy, "quiet").await;
    // Its library answers pings while it reads, and it reads ticks; it asks for nothing.
    for _ in 0..20 {
        quiet.event("tick").await;
    }
    quiet.ok("health", json!({})).await;
    // A network that stands still for less than that costs nothing.
    proxy.ways(Way::Stalled, Way::Stalled);
    let _ = timeout(Duration::from_millis(50), quiet.event("tick")).await;
    proxy.up();
    quiet.ok("health", json!({})).await;
    quiet.close().await;
    assert_eq!(gateway.metric("clawhost_limit_hits_total{limit=\"ping_interval_ms\"}").await, 0.0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_gateway_that_slept_takes_nobody_for_gone() {
    let gateway = Gateway::with_config("[gateway.limits]\nping_interval_ms = 3_000\ntick_interval_ms = 100\n").await;
    let mut client = gateway.connect(&of_4(Connect::operator().scopes(&["operator.admin"]))).await;
    gateway.signal("STOP");
    // Several intervals, in which it could hear nobody.
    let _ = timeout(Duration::from_millis(9_500), client.event("never")).await;
    gateway.signal("CONT");
    for _ in 0..30 {
        client.event("tick").await;
    }
    client.ok("health", json!({})).await;
    client.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_question_to_a_node_that_is_gone_without_a_word_is_answered() {
    let gateway = Gateway::with_config(CONFIG).await;
    let proxy = Proxy::to(gateway.port).await;
    let mut admin = gateway.admin().await;
    let key = Key::new(1);
    let connect = of_4(Connect::node().device(&key).with("commands", json!(["system.which"])));
    let mut node = Client::open(&proxy.door(), &Knock::default()).await.expect("an upgrade");
    node.connect(&connect).await.expect("accepted");
    let request = admin.event("node.pair.requested").await.payload.expect("a payload")["requestId"].clone();
    admin.ok("node.pair.approve", json!({ "requestId": request })).await;
    let ask = json!({ "nodeId": key.id(), "command": "system.which", "params": { "bins": ["sh"] },
                      "idempotencyKey": "which", "timeoutMs": 600_000 });
    let asked = admin.request("node.invoke", ask).await;
    node.event("node.invoke.request").await;
    proxy.ways(Way::Lost, Way::Lost);
    let error = timeout(PATIENCE, admin.answer(&asked)).await.expect("long before its time").expect_err("it is gone");
    assert!(error.message.contains("node disconnected"), "{error:?}");
    admin.close().await;
    drop(node);
    gateway.stop().await;
}

/// A client as people use it, which connects again by itself.
fn lasting(proxy: &Proxy) -> client::Client {
    let options = ConnectOptions::new(format!("ws://127.0.0.1:{}", proxy.port)).token(TOKEN).scopes(["operator.admin"]);
    // What a network loses of an attempt to connect is not sent again.
    let options = options.connect_timeout(Duration::from_secs(1));
    client::Client::start_with(options, Backoff::new(Duration::from_millis(10), Duration::from_millis(50)))
}

/// Cuts in which a client has a run going.
const CUTS: usize = 9;

#[tokio::test]
async fn a_client_that_is_cut_off_comes_back_and_misses_nothing_it_was_promised() {
    let gateway = Gateway::with_config(&format!("{CONFIG}[plugins.echo.config]\nword_ms = 30\n")).await;
    let proxy = Proxy::to(gateway.port).await;
    let client = lasting(&proxy);
    let mut states = client.state();
    let request = async |method: &str, params: Value| {
        let asked = timeout(PATIENCE, client.request::<Value>(method, params)).await;
        asked.expect("the network is in order").unwrap_or_else(|error| panic!("{method}: {error}"))
    };
    for cut in 0..CUTS {
        let run =
            json!({ "sessionKey": "main", "message": "one two three four", "idempotencyKey": format!("run-{cut}") });
        request("chat.send", run.clone()).await;
        // Silently, loudly, or for a while.
        match cut % 3 {
            0 => proxy.ways(Way::Lost, Way::Lost),
            1 => proxy.cut(),
            _ => proxy.down(),
        }
        let gone = states.wait_for(|state| !matches!(state, State::Connected { .. }));
        timeout(PATIENCE, gone).await.expect("it notices, by the ticks that do not come").expect("it goes on");
        proxy.up();
        let back = states.wait_for(|state| matches!(state, State::Connected { .. }));
        timeout(PATIENCE, back).await.expect("it comes back").expect("it goes on");
        // The run went on without it; asked for again it is the same one.
        let waited = request("agent.wait", json!({ "runId": format!("run-{cut}"), "timeoutMs": 10_000 })).await;
        assert_eq!(waited["status"], "ok", "{waited}");
        let again = request("chat.send", run).await;
        assert_eq!(again["runId"], format!("run-{cut}"), "{again}");
    }
    let history = request("chat.history", json!({ "sessionKey": "main", "limit": 1000 })).await;
    let messages = history["messages"].as_array().expect("messages");
    for cut in 0..CUTS {
        let of_run: Vec<_> = messages.iter().filter(|message| message["runId"] == format!("run-{cut}")).collect();
        let roles: Vec<_> = of_run.iter().filter_map(|message| message["role"].as_str()).collect();
        assert_eq!(roles, ["user", "assistant"], "run-{cut}: {of_run:?}");
    }
    client.stop().await;
    // None of its many connections is left behind.
    gateway.metric_becomes("clawhost_connections ", 0.0).await;
    gateway.stop().await;
}
