//! Descriptors and memory that run out: whoever is there is served, and whoever comes later when there is room again.

use std::net::SocketAddr;
use std::time::Duration;

use clawhost_tests::support::{Client, Gateway, Raw};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::means::{descriptors, limit, status_kib};

/// Sockets that want in.
const CROWD: usize = 60;
/// Descriptors that are left for them.
const LEFT: usize = 30;

#[tokio::test]
async fn a_gateway_without_descriptors_serves_who_is_there_and_recovers() {
    let gateway = Gateway::start().await;
    let mut client = gateway.admin().await;
    say(&mut client, "before").await;
    let open = descriptors(gateway.pid());
    let name = "a_gateway_without_descriptors_serves_who_is_there_and_recovers";
    if !limit(name, &gateway, &format!("--nofile={}", open + LEFT)) {
        return;
    }
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut socket = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], gateway.port))).await.expect("a backlog");
        socket.write_all(b"GET / HTTP/1.1\r\n").await.expect("the system takes it");
        crowd.push(socket);
    }
    gateway.log_line("a socket could not be accepted").await;
    assert!(descriptors(gateway.pid()) >= open + LEFT - 1);
    // Who is in has what is open already, databases too.
    for round in 0..20 {
        client.ok("health", json!({})).await;
        say(&mut client, &format!("amid-{round}")).await;
    }
    assert!(gateway.log_lines("a socket could not be accepted").len() < 20, "the log is no victim");
    drop(crowd);
    for _ in 0..5 {
        gateway.assert_healthy().await;
    }
    client.close().await;
    gateway.stop().await;
}

/// Peers that send as much as they may, at once.
const PEERS: usize = 24;
/// Their messages each.
const MESSAGES: usize = 4;
/// The largest message.
const LARGEST: usize = 512 * 1024;
/// Memory that they may cost at once: less than all that they send.
const MOST_KIB: u64 = 40 * 1024;
/// Address space that the gateway is left beyond what it has, for that and for threads.
const SPARE_KIB: u64 = 128 * 1024;

#[tokio::test]
async fn the_largest_frames_of_many_peers_do_not_exhaust_its_memory() {
    let gateway = Gateway::start().await;
    gateway.assert_healthy().await;
    let pid = gateway.pid();
    let name = "the_largest_frames_of_many_peers_do_not_exhaust_its_memory";
    let most = (status_kib(pid, "VmSize") + SPARE_KIB) * 1024;
    if !limit(name, &gateway, &format!("--as={most}")) {
        return;
    }
    assert!((PEERS * MESSAGES * LARGEST) as u64 / 1024 > MOST_KIB, "all at once must not fit");
    let before = status_kib(pid, "VmHWM");
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        peers.push(gateway.admin().await);
    }
    let served = peers.into_iter().map(|mut peer| {
        tokio::spawn(async move {
            let mut asked = Vec::new();
            for number in 0..MESSAGES {
                let id = format!("big-{number}");
                // One that is large, one that is deep as well, one that nobody serves.
                match number % 3 {
                    0 => {
                        peer.send_padded(&json!({ "type": "req", "id": id, "method": "health" }).to_string(), LARGEST)
                            .await
                    }
                    1 => peer.send(&large(&id, "status")).await,
                    _ => peer.send(&large(&id, "no.such.method")).await,
                }
                asked.push(id);
            }
            let mut answered = 0;
            for id in asked {
                let _ = peer.answer(&id).await;
                answered += 1;
            }
            peer.close().await;
            answered
        })
    });
    for peer in served.collect::<Vec<_>>() {
        assert_eq!(peer.await.expect("every message has its answer"), MESSAGES);
    }
    // Messages that are promised and never come whole.
    let mut halves = Vec::new();
    for _ in 0..PEERS {
        let mut half = Raw::open(gateway.port).await;
        half.send(&Raw::masked(0x01, &[b' '; 60_000])).await;
        halves.push(half);
    }
    gateway.assert_healthy().await;
    let more = status_kib(pid, "VmHWM") - before;
    eprintln!("{PEERS} peers with {MESSAGES} messages of {LARGEST} bytes: {more} KiB more at the most");
    assert!(more < MOST_KIB, "{more} KiB");
    drop(halves);
    gateway.assert_healthy().await;
    gateway.stop().await;
}

/// A request of the largest size that nests as deeply as it may.
fn large(id: &str, method: &str) -> serde_json::Value {
    let deep = (0..60).fold(json!("x"), |inner, _| json!([inner]));
    json!({ "type": "req", "id": id, "method": method, "params": { "deep": deep, "x": "x".repeat(LARGEST - 1000) } })
}

/// A message and its answer, which take two databases.
async fn say(client: &mut Client, key: &str) {
    client.ok("chat.send", json!({ "sessionKey": "main", "message": key, "idempotencyKey": key })).await;
    let waited = timeout(Duration::from_secs(20), client.ok("agent.wait", json!({ "runId": key }))).await;
    assert_eq!(waited.expect("an end")["status"], "ok");
}
