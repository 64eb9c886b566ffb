//! Device tokens from connection to connection.

mod support;

use client::{ClientError, ConnectOptions, Connection, Identity, StoredToken, TokenKey, TokenStore};
use serde_json::{Value, json};
use support::{Gateway, soon};

struct Home {
    gateway: Gateway,
    store: TokenStore,
    key: TokenKey,
    identity: Identity,
    _directory: tempfile::TempDir,
}

impl Home {
    async fn new() -> Self {
        let gateway = Gateway::listen().await;
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity::generate().unwrap();
        let key = TokenKey {
            gateway: gateway.url(),
            device_id: identity.device_id().to_string(),
            role: "operator".to_string(),
        };
        let store = TokenStore::new(directory.path().join("tokens.json"));
        Home { gateway, store, key, identity, _directory: directory }
    }

    fn options(&self) -> ConnectOptions {
        ConnectOptions::new(self.gateway.url()).identity(self.identity.clone()).token_store(self.store.clone())
    }

    fn keep(&self, token: &str) {
        let token = StoredToken { token: token.into(), scopes: vec!["operator.admin".into()], issued_at_ms: None };
        self.store.save(&self.key, &token).unwrap();
    }

    fn kept(&self) -> Option<String> {
        self.store.load(&self.key).unwrap().map(|token| token.token)
    }
}

fn granting(token: &str) -> Value {
    json!({"auth": {"deviceToken": token, "role": "operator", "scopes": ["operator.admin"], "issuedAtMs": 5}})
}

const MISMATCH: &str = "unauthorized: gateway token mismatch (provide gateway auth token)";

#[tokio::test]
async fn a_granted_token_is_kept_and_shown_next_time() {
    let home = Home::new().await;
    for (shown, granted) in [("shared", "device-1"), ("device-1", "device-2"), ("device-2", "device-2")] {
        let script = async { home.gateway.accept().await.welcome_with(granting(granted)).await };
        let (opened, params) =
            soon(async { tokio::join!(Connection::open(home.options().token("shared")), script) }).await;
        opened.unwrap();
        assert_eq!(params["auth"]["token"], shown);
        assert_eq!(home.kept().as_deref(), Some(granted));
    }
}

#[tokio::test]
async fn a_refused_token_gives_way_to_the_shared_one() {
    let home = Home::new().await;
    home.keep("stale");
    let script = async {
        let mut peer = home.gateway.accept().await;
        let request = peer.request().await;
        assert_eq!(request["params"]["auth"]["token"], "stale");
        peer.refuse(&request, json!({"code": "INVALID_REQUEST", "message": MISMATCH})).await;
        peer.close(1008, MISMATCH).await;
        home.gateway.accept().await.welcome_with(granting("fresh")).await
    };
    let (opened, params) = soon(async { tokio::join!(Connection::open(home.options().token("shared")), script) }).await;
    opened.unwrap();
    assert_eq!(params["auth"]["token"], "shared");
    assert_eq!(home.kept().as_deref(), Some("fresh"));
}

#[tokio::test]
async fn without_a_shared_secret_only_a_named_mismatch_drops_the_token() {
    let home = Home::new().await;
    home.keep("device");
    let refusals = [
        (json!({"code": "INVALID_REQUEST", "message": MISMATCH}), Some("device")),
        (
            json!({"code": "INVALID_REQUEST", "message": "unauthorized: device token mismatch",
            "details": {"code": "AUTH_DEVICE_TOKEN_MISMATCH"}}),
            None,
        ),
    ];
    for (error, kept) in refusals {
        let script = async {
            let mut peer = home.gateway.accept().await;
            let request = peer.request().await;
            peer.refuse(&request, error).await;
            peer.close(1008, "").await;
        };
        let (opened, ()) = soon(async { tokio::join!(Connection::open(home.options()), script) }).await;
        assert!(matches!(opened, Err(ClientError::Refused { .. })), "{opened:?}");
        assert_eq!(home.kept().as_deref(), kept);
    }
}

#[tokio::test]
async fn other_refusals_leave_the_token_alone() {
    let home = Home::new().await;
    home.keep("device");
    for error in [
        json!({"code": "NOT_PAIRED", "message": "pairing required"}),
        json!({"code": "INVALID_REQUEST", "message": "unauthorized: too many failed authentication attempts (retry later)",
            "retryable": true, "retryAfterMs": 1000, "details": {"code": "AUTH_RATE_LIMITED"}}),
    ] {
        let script = async {
            let mut peer = home.gateway.accept().await;
            let request = peer.request().await;
            peer.refuse(&request, error).await;
            peer.close(1008, "").await;
        };
        let options = home.options().token("shared");
        let (opened, ()) = soon(async { tokio::join!(Connection::open(options), script) }).await;
        assert!(matches!(opened, Err(ClientError::Refused { .. })), "{opened:?}");
        assert_eq!(home.kept().as_deref(), Some("device"));
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_read_stops_before_dialling() {
    let home = Home::new().await;
    std::fs::write(home.store.path(), "half a fi").unwrap();
    let opened = soon(Connection::open(home.options().token("shared"))).await;
    assert!(matches!(opened, Err(ClientError::File(_))), "{opened:?}");
    assert_eq!(std::fs::read_to_string(home.store.path()).unwrap(), "half a fi");
}
