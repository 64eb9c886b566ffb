//! A client that stays connected, against a gateway that does not.

mod support;

use std::time::Duration;

use client::{Backoff, Client, ClientError, ConnectOptions, State};
use serde_json::{Value, json};
use support::{Gateway, soon};
use tokio::sync::watch;

fn start(gateway: &Gateway) -> Client {
    Client::start_with(
        ConnectOptions::new(gateway.url()),
        Backoff::new(Duration::from_millis(10), Duration::from_millis(40)),
    )
}

async fn reach(states: &mut watch::Receiver<State>, wanted: impl FnMut(&State) -> bool) -> State {
    soon(states.wait_for(wanted)).await.unwrap().clone()
}

#[tokio::test]
async fn a_lost_connection_is_replaced_and_events_go_on() {
    let gateway = Gateway::listen().await;
    let client = start(&gateway);
    let mut events = client.events();
    let mut states = client.state();

    let mut peer = soon(gateway.accept()).await;
    soon(peer.welcome()).await;
    peer.event("tick", json!({}), Some(9)).await;
    assert_eq!(soon(events.next_named("tick")).await.unwrap().seq, Some(9));
    soon(peer.close(1012, "service restart")).await;

    let mut peer = soon(gateway.accept()).await;
    let waiting = client.request::<Value>("health", json!({}));
    let script = async {
        peer.welcome().await;
        let request = peer.request().await;
        assert_eq!(request["method"], "health", "nothing is repeated");
        peer.answer(&request, json!({"ok": true})).await;
        peer.event("tick", json!({}), Some(1)).await;
    };
    let (answer, ()) = soon(async { tokio::join!(waiting, script) }).await;
    assert_eq!(answer.unwrap()["ok"], true, "a request waits for the connection");
    let event = soon(events.next()).await.unwrap();
    assert_eq!(event.frame().unwrap().seq, Some(1), "a new connection counts anew and shows no gap");

    let ((), end) = soon(async { tokio::join!(client.stop(), peer.closed()) }).await;
    assert_eq!(end.0, 1000);
    reach(&mut states, |state| matches!(state, State::Stopped { error: None })).await;
    assert!(client.connection().await.is_err());
}

#[tokio::test]
async fn a_wrong_secret_stops_it() {
    let gateway = Gateway::listen().await;
    let client = start(&gateway);
    let mut peer = soon(gateway.accept()).await;
    let request = soon(peer.request()).await;
    peer.refuse(&request, json!({"code": "INVALID_REQUEST", "message": "unauthorized"})).await;
    soon(peer.close(1008, "unauthorized")).await;
    let state = reach(&mut client.state(), |state| matches!(state, State::Stopped { .. })).await;
    assert!(matches!(state, State::Stopped { error: Some(ClientError::Refused { .. }) }), "{state:?}");
    let error = soon(client.connection()).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { .. }), "who asks later is told why");
    assert!(soon(client.events().next()).await.is_none());
}

#[tokio::test]
async fn a_pending_pairing_is_knocked_for_until_it_is_approved() {
    let gateway = Gateway::listen().await;
    let client = start(&gateway);
    let mut states = client.state();
    for _ in 0..3 {
        let mut peer = soon(gateway.accept()).await;
        let request = soon(peer.request()).await;
        let error = json!({"code": "NOT_PAIRED", "message": "pairing required", "details": {"requestId": "r-1"}});
        peer.refuse(&request, error).await;
        soon(peer.close(1008, "pairing required")).await;
        let state = reach(&mut states, |state| matches!(state, State::PairingPending { .. })).await;
        assert!(matches!(state, State::PairingPending { request_id: Some(id), .. } if id == "r-1"));
    }
    let mut peer = soon(gateway.accept()).await;
    soon(peer.welcome()).await;
    let state = reach(&mut states, |state| matches!(state, State::Connected { .. })).await;
    assert!(matches!(state, State::Connected { hello } if hello.server.conn_id == "c-1"));
}

#[tokio::test]
async fn a_starting_gateway_is_asked_again_when_it_says() {
    let gateway = Gateway::listen().await;
    let slow = Backoff::new(Duration::from_secs(3600), Duration::from_secs(3600));
    let client = Client::start_with(ConnectOptions::new(gateway.url()), slow);
    let mut peer = soon(gateway.accept()).await;
    let request = soon(peer.request()).await;
    let error = json!({"code": "UNAVAILABLE", "message": "gateway starting", "retryable": true, "retryAfterMs": 100});
    peer.refuse(&request, error).await;
    soon(peer.close(1013, "gateway starting")).await;
    let mut peer = soon(gateway.accept()).await;
    soon(peer.welcome()).await;
    soon(client.connection()).await.unwrap();
}

#[tokio::test]
async fn the_last_handle_stops_it() {
    let gateway = Gateway::listen().await;
    let client = start(&gateway);
    let mut peer = soon(gateway.accept()).await;
    soon(peer.welcome()).await;
    soon(client.connection()).await.unwrap();
    let mut states = client.state();
    drop(client);
    assert_eq!(soon(peer.closed()).await.0, 1000);
    reach(&mut states, |state| matches!(state, State::Stopped { error: None })).await;
}
