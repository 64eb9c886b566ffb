//! Every limit that a stranger or a client can run into: what it says, that it is counted, and that others do not feel it.

use clawhost_tests::support::{Client, Close, Connect, Gateway, Knock, Raw, TOKEN};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

const TEST_GATEWAY: &str = env!("CARGO_BIN_EXE_test_gateway");

/// Without `health`, whose event must not be missed: a slow consumer would be closed by it at a moment of its own.
async fn with(config: &str) -> Gateway {
    let config = format!("[plugins.health]\nenabled = false\n{config}");
    Gateway::builder().program(TEST_GATEWAY).config(&config).start().await
}

fn hits(limit: &str) -> String {
    format!("clawhost_limit_hits_total{{limit=\"{limit}\"}}")
}

#[tokio::test]
async fn calls_of_one_connection() {
    let gateway = with("[gateway.limits]\nmax_in_flight = 2").await;
    let mut client = gateway.admin().await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        waiting.push(client.request("spike.wait", json!({ "gate": "g" })).await);
    }
    let error = client.refused("spike.effects", json!({})).await;
    assert_eq!(error.code, "UNAVAILABLE");
    assert_eq!((error.retryable, error.retry_after_ms), (Some(true), Some(250)));
    assert_eq!(error.details, Some(json!({ "limit": "max_in_flight" })));
    assert_eq!(gateway.metric(&hits("max_in_flight")).await, 1.0);
    // The limit is each connection's own.
    let mut other = gateway.admin().await;
    other.ok("spike.open", json!({ "gate": "g" })).await;
    for id in waiting {
        client.answer(&id).await.expect("an answer");
    }
    client.ok("spike.effects", json!({})).await;
    client.close().await;
    other.close().await;
}

#[tokio::test]
async fn calls_of_one_plugin() {
    let gateway = with("[gateway.limits]\nmax_plugin_in_flight = 1").await;
    let mut client = gateway.admin().await;
    let mut other = gateway.admin().await;
    let id = client.request("spike.run", json!({ "run": "r" })).await;
    client.reply(&id).await;
    let error = other.refused("spike.effects", json!({})).await;
    assert_eq!((error.code.as_str(), error.retryable), ("UNAVAILABLE", Some(true)));
    assert_eq!(error.details, Some(json!({ "limit": "max_plugin_in_flight" })));
    other.ok("vault.read", json!({})).await;
    assert_eq!(gateway.metric(&hits("max_plugin_in_flight")).await, 1.0);
    drop((client, other));
    // The run waits for nobody who could open its gate; the gateway stops all the same when its time is up.
    let stopped = gateway.stop().await;
    assert!(stopped.log.contains("stopped"), "{}", stopped.log);
}

#[tokio::test]
async fn open_sockets() {
    let gateway = with("[gateway.limits]\nmax_connections = 2").await;
    let first = gateway.admin().await;
    let second = gateway.admin().await;
    let answer = gateway.http("GET", "/metrics", &[]).await;
    assert_eq!((answer.status, answer.body.as_str()), (0, ""), "the socket is closed without a word: {answer:?}");
    first.close().await;
    // The place is free when the gateway has seen the end of the first.
    for attempt in 0.. {
        let answer = gateway.http("GET", "/metrics", &[("Authorization", &format!("Bearer {TOKEN}"))]).await;
        if answer.status == 200 {
            let hits = hits("max_connections");
            assert!(answer.body.lines().any(|line| line.starts_with(&hits)), "{}", answer.body);
            break;
        }
        assert!(attempt < 1000, "the place never became free: {answer:?}");
    }
    second.close().await;
}

#[tokio::test]
async fn handshakes_in_all_and_by_address() {
    let gateway = with(
        "[gateway]\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [gateway.limits]\nmax_pending_handshakes = 5\nmax_pending_handshakes_per_ip = 2",
    )
    .await;
    let from = |address: &str| Knock::default().header("X-Forwarded-For", address);
    let [a, b, c] = ["203.0.113.7", "203.0.113.8", "203.0.113.9"].map(from);
    let mut first = gateway.knock_with(&a).await;
    let second = gateway.knock_with(&a).await;
    let Err(answer) = gateway.try_knock(&a).await else { panic!("a third one of this address came in") };
    assert_eq!(answer.status, 503);
    assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
    let others = [gateway.knock_with(&b).await, gateway.knock_with(&b).await, gateway.knock_with(&c).await];
    let Err(answer) = gateway.try_knock(&c).await else { panic!("a sixth one came in") };
    assert_eq!(answer.status, 503);
    for limit in ["max_pending_handshakes", "max_pending_handshakes_per_ip"] {
        assert_eq!(gateway.metric(&hits(limit)).await, 1.0, "{limit}");
    }
    assert_eq!(gateway.metric("clawhost_pending_handshakes").await, 5.0);
    // Who has proved itself does not count any more.
    first.connect(&Connect::operator()).await.expect("accepted");
    gateway.assert_healthy().await;
    drop((first, second, others));
}

#[tokio::test]
async fn strangers_behind_a_proxy_do_not_shut_out_the_owner() {
    let gateway = with("[gateway.limits]\nmax_pending_handshakes = 16\nmax_pending_handshakes_per_ip = 14").await;
    // A proxy on this machine that nobody configured: all of its clients have the proxy's address.
    let proxied = Knock::remote().header("X-Forwarded-For", "203.0.113.7");
    let mut strangers = Vec::new();
    for _ in 0..14 {
        strangers.push(gateway.knock_with(&proxied).await);
    }
    for stranger in [proxied, Knock::remote()] {
        let Err(answer) = gateway.try_knock(&stranger).await else { panic!("one more stranger came in") };
        assert_eq!(answer.status, 503);
    }
    let also_here = gateway.knock().await;
    gateway.assert_healthy().await;
    drop((strangers, also_here));
}

#[tokio::test]
async fn clients_of_this_machine_do_not_count_by_address() {
    let gateway = with("[gateway.limits]\nmax_pending_handshakes_per_ip = 1").await;
    let silent = [gateway.knock().await, gateway.knock().await, gateway.knock().await];
    gateway.assert_healthy().await;
    assert_eq!(gateway.metric(&hits("max_pending_handshakes_per_ip")).await, 0.0);
    drop(silent);
}

#[tokio::test]
async fn sockets_that_say_nothing() {
    let gateway = with("[gateway.limits]\nmax_pending_handshakes = 4").await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(("127.0.0.1", gateway.port)).await.expect("the port is open"));
    }
    // It is taken by the system and closed by the gateway, which says nothing either.
    let mut fifth = TcpStream::connect(("127.0.0.1", gateway.port)).await.expect("the port is open");
    assert_eq!(fifth.read(&mut [0; 16]).await.expect("an end"), 0);
    drop(silent);
    // The places are free when the gateway has seen the ends.
    for attempt in 0.. {
        let answer = gateway.http("GET", "/metrics", &[("Authorization", &format!("Bearer {TOKEN}"))]).await;
        if answer.status == 200 {
            assert!(answer.body.contains(&hits("max_pending_handshakes")), "{}", answer.body);
            break;
        }
        assert!(attempt < 1000, "no place became free: {answer:?}");
    }
    gateway.assert_healthy().await;
    // A socket is as silent in the middle of its head.
    let mut talking = TcpStream::connect(("127.0.0.1", gateway.port)).await.expect("the port is open");
    talking.write_all(b"GET / HTTP/1.1\r\nHost: ").await.expect("taken");
    gateway.metric_becomes("clawhost_pending_heads", 2.0).await;
}

#[tokio::test]
async fn a_place_at_the_door_is_for_one_request() {
    let gateway = with("[gateway.limits]\nhandshake_timeout_ms = 5_000").await;
    let head = format!("GET /x HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", gateway.port);
    let mut talking = TcpStream::connect(("127.0.0.1", gateway.port)).await.expect("the port is open");
    talking.write_all(head.repeat(3).as_bytes()).await.expect("requests are taken");
    let mut answers = String::new();
    // The peer may end with requests unread, which is an error on this side; what came before it counts.
    let _ = talking.read_to_string(&mut answers).await;
    assert_eq!(answers.matches("HTTP/1.1 404").count(), 1, "{answers}");
    assert!(answers.to_ascii_lowercase().contains("connection: close"), "{answers}");
    // Its own head is one more when the gauge is read.
    let mut slow = TcpStream::connect(("127.0.0.1", gateway.port)).await.expect("the port is open");
    slow.write_all(&head.as_bytes()[..20]).await.expect("a part is taken");
    gateway.metric_becomes("clawhost_pending_heads", 2.0).await;
    gateway.metric_becomes("clawhost_pending_heads", 1.0).await;
}

#[tokio::test]
async fn who_was_answered_and_sends_on_keeps_its_place_until_it_goes() {
    let gateway = with("[gateway.limits]\nhandshake_timeout_ms = 60_000\nclose_grace_ms = 30_000").await;
    let part = format!("POST /x HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 10\r\n\r\nabc", gateway.port);
    let mut sending = TcpStream::connect(("127.0.0.1", gateway.port)).await.expect("the port is open");
    sending.write_all(part.as_bytes()).await.expect("a part is taken");
    let mut answer = String::new();
    sending.read_to_string(&mut answer).await.expect("an answer, and its end");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    // Its own head is one more when the gauge is read.
    gateway.metric_becomes("clawhost_pending_heads", 2.0).await;
    sending.write_all(b"defghij").await.expect("it is still taken");
    drop(sending);
    gateway.metric_becomes("clawhost_pending_heads", 1.0).await;
}

#[tokio::test]
async fn bytes_before_authentication_in_one_frame_or_in_many() {
    let gateway = with("[gateway.limits]\nmax_preauth_bytes = 2048").await;
    let mut big = gateway.knock().await;
    big.send_text(&"x".repeat(4000)).await;
    big.expect_close(1009, "").await;

    // Pings are no way around it, nor are fragments that never end.
    for frame in [Raw::masked(0x89, &[b'p'; 100]), Raw::masked(0x00, &[b'f'; 100])] {
        let mut raw = Raw::open(gateway.port).await;
        raw.send(&Raw::masked(0x01, b"{")).await;
        for _ in 0..40 {
            raw.send(&frame).await;
        }
        assert_eq!(raw.close().await, Some(Close { code: Some(1009), reason: String::new() }));
    }
    assert_eq!(gateway.metric(&hits("max_preauth_bytes")).await, 3.0);
    // Afterwards a client may send more at once.
    let mut client = gateway.admin().await;
    client.send_padded(r#"{"type":"req","id":"1","method":"spike.effects"}"#, 100_000).await;
    client.answer("1").await.expect("an answer");
    client.close().await;
}

#[tokio::test]
async fn payloads() {
    let gateway = with("[gateway.limits]\nmax_payload = 2048").await;
    let mut client = gateway.admin().await;
    assert_eq!(client.hello["policy"]["maxPayload"], 2048);
    client.send_padded(r#"{"type":"req","id":"1","method":"spike.effects"}"#, 2048).await;
    client.answer("1").await.expect("an answer");
    client.write(tokio_tungstenite::tungstenite::Message::text("x".repeat(2049))).await;
    client.expect_close(1009, "").await;
    assert_eq!(gateway.metric(&hits("max_payload")).await, 1.0);
    gateway.assert_healthy().await;
}

#[tokio::test]
async fn a_flood_of_refused_calls_is_slowed_and_closed() {
    let gateway = with("[gateway.limits]\nmax_refused_calls = 4").await;
    let kinds = [
        (json!({ "method": "vault.admin" }), "missing scope: operator.admin"),
        (
            json!({ "method": "spike.wait", "params": { "gate": 7 } }),
            "invalid spike.wait params: at /gate: must be string",
        ),
        (json!({ "method": "spike.once", "params": { "run": "r" } }), "invalid spike.once params: "),
        (json!({ "methods": [] }), "invalid request frame: must have required property 'method'"),
    ];
    for (hit, (what, fault)) in kinds.into_iter().enumerate() {
        let mut client = gateway.operator(&["operator.read"]).await;
        let frame = |n: usize| {
            let mut frame = json!({ "type": "req", "id": format!("{n}") });
            frame.as_object_mut().expect("a frame").extend(what.as_object().expect("fields").clone());
            frame
        };
        client.send_all(&(0..50).map(frame).collect::<Vec<_>>()).await;
        for n in 0..5 {
            let error = client.answer(&format!("{n}")).await.expect_err("refused");
            assert!(error.message.starts_with(fault), "{error:?}");
        }
        client.expect_close(1008, "too many refused requests").await;
        assert_eq!(gateway.metric(&hits("max_refused_calls")).await, hit as f64 + 1.0);
        // Behind the third and the fourth the gateway took its time, so the rest was never read.
        assert_eq!(gateway.metric("clawhost_reads_paused_total").await, 2.0 * (hit as f64 + 1.0));
    }
    // The log holds the first, the moment it was slowed, and the last: not fifty lines each.
    let log = gateway.stop().await.log;
    for line in ["refused a request", "slowing a connection", "closing a connection"] {
        assert_eq!(log.matches(line).count(), 4, "{line}: {log}");
    }
}

#[tokio::test]
async fn a_slowed_connection_is_served_in_order() {
    let gateway = with("[gateway.limits]\nmax_refused_calls = 4").await;
    let mut client = gateway.operator(&["operator.talk"]).await;
    let methods = ["no.such", "no.such", "no.such", "spike.effects", "no.such", "spike.effects"];
    let frame = |(n, method): (usize, &&str)| json!({ "type": "req", "id": format!("{n}"), "method": method });
    client.send_all(&methods.iter().enumerate().map(frame).collect::<Vec<_>>()).await;
    for (n, method) in methods.iter().enumerate() {
        assert_eq!(client.answer(&format!("{n}")).await.is_ok(), *method == "spike.effects", "{n}");
    }
    assert_eq!(gateway.metric("clawhost_reads_paused_total").await, 2.0);
    client.close().await;
}

#[tokio::test]
async fn refused_calls_are_forgotten() {
    // Two thousand drain away in a second, which is more than a connection that is slowed can send.
    let gateway = with("[gateway.limits]\nmax_refused_calls = 100\nrefused_window_ms = 50").await;
    let mut client = gateway.admin().await;
    for _ in 0..400 {
        client.refused("no.such", json!({})).await;
    }
    assert_eq!(gateway.metric(&hits("max_refused_calls")).await, 0.0);
    client.close().await;
}

#[tokio::test]
async fn answers_that_are_not_taken() {
    let gateway =
        with("[gateway.limits]\nmax_buffered_bytes = 65536\nmax_buffered_hard_bytes = 1048576\nmax_in_flight = 1000")
            .await;
    let mut slow = gateway.knock_with(&Knock::default().receive_buffer(4096)).await;
    slow.connect(&Connect::operator()).await.expect("accepted");
    // Sixty-four answers of half a megabyte are more than any kernel keeps for a reader that does not read.
    let ask = |n: usize| json!({ "type": "req", "id": format!("b{n}"), "method": "spike.big", "params": { "bytes": 500_000 } });
    slow.send_all(&(0..64).map(ask).collect::<Vec<_>>()).await;
    gateway.log_line("limit=\"max_buffered_hard_bytes\"").await;
    assert_eq!(slow.closed().await, Close { code: Some(1008), reason: "slow consumer".to_string() });
    assert_eq!(gateway.metric(&hits("max_buffered_hard_bytes")).await, 1.0);
    gateway.assert_healthy().await;
}

#[tokio::test]
async fn a_connection_over_its_budget_is_not_read_until_it_drains() {
    let gateway = with("[gateway.limits]\nmax_buffered_bytes = 65536\nmax_in_flight = 1000").await;
    let mut slow = gateway.knock_with(&Knock::default().receive_buffer(4096)).await;
    slow.connect(&Connect::operator()).await.expect("accepted");
    // One by one, so that the gateway sees its backlog between them: most of these wait in the client's socket.
    const COUNT: usize = 40;
    for n in 0..COUNT {
        let params = json!({ "bytes": 300_000 });
        slow.send(&json!({ "type": "req", "id": format!("b{n}"), "method": "spike.big", "params": params })).await;
    }
    for n in 0..COUNT {
        slow.answer(&format!("b{n}")).await.expect("every request is answered in the end");
    }
    slow.close().await;
}

#[tokio::test]
async fn clients_that_ping_behind_answers_they_do_not_take_hold_no_worker() {
    let room = 64_u64 * 1024 * 1024;
    let config = format!("[gateway.limits]\nmax_buffered_bytes = {room}\nmax_buffered_hard_bytes = {room}");
    let gateway = with(&format!("{config}\nmax_buffered_total_bytes = {}", 64 * room)).await;
    // As many as there are workers, and more.
    let crowd = 1 + std::thread::available_parallelism().map_or(2, usize::from);
    let mut stuck = Vec::new();
    for number in 1..=crowd {
        let mut slow = gateway.knock_with(&Knock::default().receive_buffer(4096)).await;
        slow.connect(&Connect::operator()).await.expect("accepted");
        let ask = |n: usize| json!({ "type": "req", "id": format!("b{n}"), "method": "spike.big", "params": { "bytes": 500_000 } });
        slow.send_all(&(0..32).map(ask).collect::<Vec<_>>()).await;
        let begun = "clawhost_calls_total{method=\"spike.big\",plugin=\"spike\"}";
        gateway.metric_becomes(begun, (32 * number) as f64).await;
        slow.write(Message::Ping(Default::default())).await;
        stuck.push(slow);
    }
    gateway.assert_healthy().await;
}

#[tokio::test]
async fn a_slow_consumer_is_closed_by_an_event_it_must_not_miss() {
    let gateway = with("[gateway.limits]\nmax_buffered_bytes = 65536\nslow_close_ms = 600_000").await;
    let (mut slow, mut quick, mut source) = slow_quick_source(&gateway).await;
    for _ in 0..ROUNDS {
        source.ok("spike.emit", json!({ "bytes": 64_000 })).await;
        quick.event("spike.burst").await;
    }
    slow.expect_close(1008, "slow consumer").await;
    let heard = slow.heard("spike.burst").len();
    assert!(heard > 0 && heard < ROUNDS, "{heard}");
    assert_eq!(gateway.metric(&hits("max_buffered_bytes")).await, 1.0);
    quick.close().await;
    source.close().await;
}

#[tokio::test]
async fn a_slow_consumer_misses_what_may_be_missed_and_sees_the_hole() {
    let gateway = with("[gateway.limits]\nmax_buffered_bytes = 65536\ntick_interval_ms = 3_600_000").await;
    let (mut slow, mut quick, mut source) = slow_quick_source(&gateway).await;
    slow.checks().allow_holes();
    for _ in 0..ROUNDS {
        source.ok("spike.emit", json!({ "bytes": 64_000, "droppable": true })).await;
        quick.event("spike.burst").await;
    }
    // It is still a client: what it reads now has a hole where it was slow.
    slow.ok("spike.effects", json!({})).await;
    source.ok("spike.emit", json!({ "bytes": 1 })).await;
    slow.event_with("spike.burst", |payload| payload["filler"] == "x").await;
    let (heard, seq) = (slow.heard("spike.burst").len() as u64, slow.checks().seq());
    let dropped = gateway.metric("clawhost_events_dropped_total").await;
    assert!(dropped > 0.0);
    assert_eq!(seq - heard, dropped as u64, "every missed event is a number that did not come");
    slow.close().await;
    quick.close().await;
    source.close().await;
}

/// So many events of 64 KB are more than kernels keep for a reader that does not read.
const ROUNDS: usize = 200;

/// One that listens and does not read, one that listens and reads, and one that makes events and does not hear them.
async fn slow_quick_source(gateway: &Gateway) -> (Client, Client, Client) {
    let listener = Connect::operator().scopes(&["spike.listen"]);
    let mut slow = gateway.knock_with(&Knock::default().receive_buffer(4096)).await;
    slow.connect(&listener).await.expect("accepted");
    (slow, gateway.connect(&listener).await, gateway.operator(&["operator.talk"]).await)
}

#[tokio::test]
async fn metrics_are_for_those_who_hold_the_secret() {
    let gateway = Gateway::start().await;
    for headers in [
        vec![],
        vec![("Authorization", "Bearer wrong".to_string())],
        vec![("Authorization", TOKEN.to_string())],
        vec![("Authorization", format!("Basic {TOKEN}"))],
        vec![("X-Token", TOKEN.to_string())],
    ] {
        let borrowed: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = gateway.http("GET", "/metrics", &borrowed).await;
        assert_eq!(answer.status, 401, "{headers:?}");
        assert!(answer.head.contains("www-authenticate: bearer"), "{answer:?}");
        assert_eq!(answer.body, r#"{"error":{"message":"Unauthorized","type":"unauthorized"}}"#);
    }
    assert_eq!(gateway.http("GET", &format!("/metrics?token={TOKEN}"), &[]).await.status, 401);
    let bearer = ("Authorization", &*format!("Bearer {TOKEN}"));
    let answer = gateway.http("GET", "/metrics", &[bearer, ("Origin", "https://evil.example")]).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(gateway.http("POST", "/metrics", &[bearer]).await.status, 405);
    let answer = gateway.http("GET", "/metrics", &[bearer]).await;
    assert_eq!(answer.status, 200);
    for scheme in ["bearer", "BEARER"] {
        let answer = gateway.http("GET", "/metrics", &[("Authorization", &format!("{scheme} {TOKEN}"))]).await;
        assert_eq!(answer.status, 200, "{scheme}");
    }
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{answer:?}");
    assert!(!answer.body.contains(TOKEN));
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let gateway = Gateway::start().await;
    let mut client = gateway.admin().await;
    client.ok("health", json!({})).await;
    client.refused("no.such", json!({})).await;
    client.refused("device.pair.approve", json!({})).await;
    let refused = gateway.knock().await.connect(&Connect::operator().role("boss")).await;
    refused.expect_err("no such role");
    for (line, value) in [
        ("clawhost_connections ", 1.0),
        ("clawhost_connections_opened_total", 2.0),
        ("clawhost_handshakes_total{outcome=\"accepted\"}", 1.0),
        ("clawhost_handshakes_total{outcome=\"invalid-role\"}", 1.0),
        ("clawhost_calls_total{method=\"health\",plugin=\"health\"}", 1.0),
        ("clawhost_call_errors_total{method=\"device.pair.approve\",plugin=\"devices\"}", 1.0),
        ("clawhost_frames_received_total", 5.0),
        ("clawhost_pending_handshakes", 0.0),
        ("clawhost_calls_in_flight", 0.0),
    ] {
        gateway.metric_becomes(line, value).await;
    }
    assert!(gateway.metric("clawhost_bytes_sent_total").await > 1000.0);
    client.close().await;
    let off = Gateway::with_config("[gateway.metrics]\nenabled = false").await;
    let bearer = ("Authorization", &*format!("Bearer {TOKEN}"));
    assert_eq!(off.http("GET", "/metrics", &[bearer]).await.status, 404);
}

#[tokio::test]
async fn requests_that_join_another_are_requests_of_their_connection() {
    let gateway = with("[gateway.limits]\nmax_in_flight = 2").await;
    let mut first = gateway.admin().await;
    let params = json!({ "idempotencyKey": "k", "gate": "g" });
    let running = first.request("spike.once", params.clone()).await;
    first.reply(&running).await;
    let mut second = gateway.admin().await;
    let mut joined = Vec::new();
    for _ in 0..2 {
        let id = second.request("spike.once", params.clone()).await;
        second.reply(&id).await;
        joined.push(id);
    }
    let error = second.refused("spike.once", params.clone()).await;
    assert_eq!(error.details, Some(json!({ "limit": "max_in_flight" })));
    first.ok("spike.open", json!({ "gate": "g" })).await;
    first.answer(&running).await.expect("an answer");
    for id in joined {
        second.answer(&id).await.expect("the same answer");
    }
    second.ok("spike.once", params).await;
    first.close().await;
    second.close().await;
}

#[tokio::test]
async fn a_wrong_bearer_is_answered_late() {
    let gateway = with("").await;
    for least in [250, 500] {
        let asked = std::time::Instant::now();
        let answer = gateway.http("GET", "/metrics", &[("Authorization", "Bearer wrong")]).await;
        assert_eq!(answer.status, 401);
        assert!(asked.elapsed().as_millis() >= least, "{:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn a_websocket_behind_other_requests_has_the_time_of_a_handshake() {
    // With the page, whose plugin answers: whoever gets it may ask again.
    let gateway = Gateway::with_config("[gateway.limits]\nhandshake_timeout_ms = 3_000").await;
    let mut socket = TcpStream::connect(("127.0.0.1", gateway.port)).await.expect("the port is open");
    let host = format!("Host: 127.0.0.1:{}\r\n", gateway.port);
    let page = format!("GET / HTTP/1.1\r\n{host}\r\n");
    let begun = std::time::Instant::now();
    // As a proxy does, which keeps its sockets for whoever comes.
    while begun.elapsed().as_millis() <= 3_100 {
        socket.write_all(page.as_bytes()).await.expect("it is taken");
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains("</html>") {
            assert!(socket.read_buf(&mut read).await.expect("an answer") > 0, "{}", String::from_utf8_lossy(&read));
        }
    }
    let upgrade = format!(
        "GET / HTTP/1.1\r\n{host}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(upgrade.as_bytes()).await.expect("it is taken");
    let connect = json!({ "type": "req", "id": "c", "method": "connect", "params": {
        "minProtocol": 3, "maxProtocol": 3, "role": "operator", "auth": { "token": TOKEN },
        "client": { "id": "cli", "version": "1.0.0", "platform": "linux", "mode": "cli" },
    }});
    socket.write_all(&Raw::masked(0x81, connect.to_string().as_bytes())).await.expect("it is taken");
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("hello-ok") {
        assert!(socket.read_buf(&mut read).await.expect("bytes") > 0, "{}", String::from_utf8_lossy(&read));
    }
}
