//! One connection against a gateway that follows a script.

mod support;

use std::time::Duration;

use client::{ClientError, ConnectOptions, Connection, Event, Identity};
use serde_json::{Value, json};
use support::{Gateway, Peer, soon};

async fn connected(options: impl FnOnce(ConnectOptions) -> ConnectOptions, hello: Value) -> (Connection, Peer) {
    let gateway = Gateway::listen().await;
    let opening = Connection::open(options(ConnectOptions::new(gateway.url())));
    let accepting = async {
        let mut peer = gateway.accept().await;
        peer.welcome_with(hello).await;
        peer
    };
    let (connection, peer) = soon(async { tokio::join!(opening, accepting) }).await;
    (connection.unwrap(), peer)
}

#[tokio::test]
async fn a_client_introduces_itself_and_signs_the_challenge() {
    let gateway = Gateway::listen().await;
    let identity = Identity::from_seed(&std::array::from_fn(|index| index as u8));
    let options = ConnectOptions::new(gateway.url())
        .client("cli", "cli")
        .scopes(["operator.admin", "operator.approvals", "operator.pairing"])
        .token("shared-secret")
        .origin("http://somewhere")
        .identity(identity);
    let (connection, params) =
        soon(async { tokio::join!(Connection::open(options), async { gateway.accept().await.welcome().await }) }).await;
    assert_eq!(connection.unwrap().hello().server.conn_id, "c-1");
    assert_eq!(params["auth"]["token"], "shared-secret");
    assert_eq!(params["device"]["signedAt"], 1_737_264_000_000u64, "the gateway's clock is signed");
    assert_eq!(params["device"]["nonce"], support::NONCE);
    assert_eq!(
        params["device"]["signature"],
        "hNCX8rZtsZjJ_A2SMOtWQPWXx5JPy_oz6AjOtTABXZl1Y6E-eTfw8L9sYt-h4QN6w6whAGJ_PG5styn0PldBAA",
        "the published signature"
    );
    schemas_accept(params);
}

fn schemas_accept(params: Value) {
    serde_json::from_value::<schemas::connect::ConnectParams>(params).expect("the closed schema of connect");
}

#[tokio::test]
async fn requests_are_answered_out_of_order() {
    let (connection, mut peer) = connected(|options| options, json!({})).await;
    let script = async {
        let first = peer.request().await;
        let second = peer.request().await;
        peer.answer(&second, json!({"method": second["method"]})).await;
        peer.event("tick", json!({}), Some(1)).await;
        peer.binary(json!({"type": "res", "id": first["id"], "ok": true, "payload": {"method": first["method"]}}))
            .await;
        let third = peer.request().await;
        peer.refuse(&third, json!({"code": "INVALID_REQUEST", "message": "unknown method: c"})).await;
        let fourth = peer.request().await;
        peer.answer(&fourth, json!({"status": "accepted", "runId": "r"})).await;
        peer.answer(&fourth, json!({"status": "ok", "runId": "r"})).await;
    };
    let client = async {
        let (a, b) =
            tokio::join!(connection.request::<Value>("a", json!({})), connection.request::<Value>("b", json!({})));
        assert_eq!((a.unwrap()["method"].clone(), b.unwrap()["method"].clone()), (json!("a"), json!("b")));
        let refused = connection.request::<Value>("c", json!({})).await.unwrap_err();
        assert_eq!(refused.to_string(), "INVALID_REQUEST: unknown method: c");
        let mut interims = Vec::new();
        let last = connection.request_final("d", None, None, |interim| interims.push(interim.get().to_string())).await;
        assert!(last.unwrap().get().contains("\"ok\""));
        assert_eq!(interims.len(), 1);
    };
    soon(async { tokio::join!(script, client) }).await;
}

#[tokio::test]
async fn a_refusal_carries_the_answer_and_the_close() {
    let gateway = Gateway::listen().await;
    let script = async {
        let mut peer = gateway.accept().await;
        let request = peer.request().await;
        let error = json!({"code": "NOT_PAIRED", "message": "pairing required", "details": {"requestId": "r-1"}});
        peer.refuse(&request, error).await;
        peer.close(1008, "pairing required").await;
    };
    let (opened, ()) = soon(async { tokio::join!(Connection::open(ConnectOptions::new(gateway.url())), script) }).await;
    let Err(ClientError::Refused { error, close }) = opened else { panic!("refused, not {opened:?}") };
    assert_eq!(error.details.unwrap()["requestId"], "r-1");
    assert_eq!(close, Some((1008, "pairing required".to_string())));
}

#[tokio::test]
async fn an_early_close_is_told_as_it_is() {
    let gateway = Gateway::listen().await;
    let script = async {
        let mut peer = gateway.accept().await;
        peer.request().await;
        peer.close(1013, "gateway starting").await;
        drop(gateway.tcp().await);
    };
    let client = async {
        let first = Connection::open(ConnectOptions::new(gateway.url())).await;
        assert!(
            matches!(&first, Err(ClientError::Closed { code: 1013, reason }) if reason == "gateway starting"),
            "{first:?}"
        );
        let second = Connection::open(ConnectOptions::new(gateway.url())).await;
        assert!(matches!(second, Err(ClientError::Closed { code: 1006, .. } | ClientError::Protocol(_))), "{second:?}");
    };
    soon(async { tokio::join!(script, client) }).await;
}

#[tokio::test]
async fn a_gateway_that_stays_silent_is_left() {
    let gateway = Gateway::listen().await;
    let options = ConnectOptions::new(gateway.url()).connect_timeout(Duration::from_secs(2));
    let (opened, _peer) = soon(async { tokio::join!(Connection::open(options), gateway.accept()) }).await;
    assert!(matches!(&opened, Err(ClientError::Timeout { what, .. }) if what == "answer to connect"), "{opened:?}");
}

#[tokio::test]
async fn a_plain_http_refusal_keeps_its_sentence() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let gateway = Gateway::listen().await;
    let script = async {
        let mut stream = gateway.tcp().await;
        let mut head = [0u8; 1024];
        assert!(stream.read(&mut head).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 15\r\n\r\norigin refused\n").await.unwrap();
        stream.shutdown().await.unwrap();
        stream
    };
    let opening = Connection::open(ConnectOptions::new(gateway.url()));
    let (opened, _stream) = soon(async { tokio::join!(opening, script) }).await;
    assert!(matches!(&opened, Err(ClientError::Upgrade { status: 403, .. })), "{opened:?}");
}

#[tokio::test]
async fn a_late_answer_times_out_and_is_dropped() {
    let (connection, mut peer) = connected(|options| options, json!({})).await;
    let limit = Duration::from_millis(30);
    let late = connection.request_within::<Value>("slow", json!({}), limit).await;
    assert!(matches!(&late, Err(ClientError::Timeout { what, .. }) if what == "answer to slow"), "{late:?}");
    let script = async {
        let slow = peer.request().await;
        peer.answer(&slow, json!("late")).await;
        let next = peer.request().await;
        peer.answer(&next, json!("in time")).await;
    };
    let (answer, ()) = soon(async { tokio::join!(connection.request::<String>("fast", json!({})), script) }).await;
    assert_eq!(answer.unwrap(), "in time");
}

#[tokio::test]
async fn closing_fails_what_waits_and_what_comes() {
    let (connection, mut peer) = connected(|options| options, json!({})).await;
    let script = async {
        peer.request().await;
        peer.close(1012, "service restart").await;
    };
    let (answer, ()) = soon(async { tokio::join!(connection.request::<Value>("a", json!({})), script) }).await;
    assert!(
        matches!(&answer, Err(ClientError::Closed { code: 1012, reason }) if reason == "service restart"),
        "{answer:?}"
    );
    assert!(matches!(soon(connection.closed()).await, ClientError::Closed { code: 1012, .. }));
    let after = connection.request::<Value>("b", json!({})).await;
    assert!(matches!(after, Err(ClientError::Closed { code: 1012, .. })), "{after:?}");
    assert!(connection.is_closed() && soon(connection.events().next()).await.is_none());
}

#[tokio::test]
async fn the_client_closes_in_order() {
    let (connection, mut peer) = connected(|options| options, json!({})).await;
    let ((), end) = soon(async { tokio::join!(connection.close_with(1000, "done"), peer.closed()) }).await;
    assert_eq!(end, (1000, "done".to_string()));
    let (connection, mut peer) = connected(|options| options, json!({})).await;
    drop(connection);
    assert_eq!(soon(peer.closed()).await, (1000, String::new()), "the last handle closes");
}

#[tokio::test]
async fn a_gateway_that_reads_nothing_holds_up_no_close() {
    let policy = json!({"policy": {"maxPayload": 67_108_864, "maxBufferedBytes": 4096, "tickIntervalMs": 30_000}});
    let (connection, _peer) = connected(|options| options, policy).await;
    // More than there is room for on the way.
    let big = "x".repeat(16 * 1024 * 1024);
    let unread = connection.request_within::<Value>("big", &big, Duration::from_millis(100)).await;
    assert!(matches!(unread, Err(ClientError::Timeout { .. })), "{unread:?}");
    soon(connection.close()).await;
    assert!(connection.is_closed());
}

#[tokio::test]
async fn events_and_gaps_come_in_order_from_the_first() {
    let (connection, mut peer) = connected(|options| options.event_buffer(8), json!({})).await;
    for seq in [1, 2, 5] {
        peer.event("tick", json!({"seq": seq}), Some(seq)).await;
    }
    peer.text("no frame at all".to_string()).await;
    peer.event("tick", json!({"seq": 0}), None).await;
    let mut events = connection.events();
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(match soon(events.next()).await.unwrap() {
            Event::Gap { expected, received } => format!("gap {expected}..{received}"),
            event => event.payload::<Value>("tick").unwrap().unwrap()["seq"].to_string(),
        });
    }
    assert_eq!(seen, ["1", "2", "gap 3..5", "5", "0"]);

    for seq in 6..30 {
        peer.event("tick", json!({}), Some(seq)).await;
    }
    let ping = async {
        let request = peer.request().await;
        peer.answer(&request, json!(1)).await;
    };
    // The answer comes behind the events, so all of them were heard.
    let (answer, ()) = soon(async { tokio::join!(connection.request::<u8>("ping", json!({})), ping) }).await;
    answer.unwrap();
    assert!(matches!(soon(events.next()).await, Some(Event::Lagged { missed: 16 })));
}

#[tokio::test]
async fn silence_for_two_ticks_closes_with_4000() {
    let policy = json!({"policy": {"maxPayload": 4096, "maxBufferedBytes": 4096, "tickIntervalMs": 40}});
    let (connection, mut peer) = connected(|options| options, policy.clone()).await;
    let started = std::time::Instant::now();
    let (end, close) = soon(async { tokio::join!(connection.closed(), peer.closed()) }).await;
    assert!(matches!(&end, ClientError::Closed { code: 4000, .. }), "{end:?}");
    assert_eq!(close, (4000, "tick timeout".to_string()));
    assert!(started.elapsed() >= Duration::from_millis(60));

    let (connection, mut peer) = connected(|options| options.tick_watchdog(false), policy).await;
    let quiet = tokio::time::timeout(Duration::from_millis(200), connection.closed()).await;
    assert!(quiet.is_err(), "without the watchdog nothing happens");
    let ((), end) = soon(async { tokio::join!(connection.close(), peer.closed()) }).await;
    assert_eq!(end.0, 1000);
}

#[tokio::test]
async fn any_frame_keeps_the_watchdog_quiet() {
    let policy = json!({"policy": {"maxPayload": 4096, "maxBufferedBytes": 4096, "tickIntervalMs": 1500}});
    let (connection, mut peer) = connected(|options| options, policy).await;
    let mut ticker = tokio::time::interval(Duration::from_millis(250));
    for _ in 0..16 {
        ticker.tick().await;
        peer.event("health", json!({}), None).await;
    }
    assert!(!connection.is_closed(), "3750 ms of a patience of 3000");
}

#[tokio::test]
async fn messages_over_the_limits_are_errors() {
    let (connection, mut peer) = connected(|options| options.max_message(2048), json!({})).await;
    let big = connection.request::<Value>("big", &"x".repeat(5000)).await;
    assert!(matches!(big, Err(ClientError::TooLarge { limit: 4096, .. })), "{big:?}");
    assert!(!connection.is_closed(), "what was not sent harms nobody");
    peer.text("x".repeat(3000)).await;
    let (end, close) = soon(async { tokio::join!(connection.closed(), peer.closed()) }).await;
    assert_eq!(close.0, 1009);
    assert!(matches!(end, ClientError::Protocol(_)), "{end:?}");
}
