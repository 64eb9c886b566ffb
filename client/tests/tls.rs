//! `wss://` with a certificate made for the test.

mod support;

use std::sync::Arc;

use client::{ClientError, ConnectOptions, Connection, Fingerprint, Identity, TlsOptions, TokenStore};
use serde_json::json;
use support::{Gateway, Peer, soon};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};

struct Certificate {
    der: CertificateDer<'static>,
    key: rcgen::KeyPair,
}

impl Certificate {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        Self::with(key, "elsewhere.example")
    }

    fn with(key: rcgen::KeyPair, name: &str) -> Self {
        let parameters = rcgen::CertificateParams::new(vec![name.to_string()]).unwrap();
        Certificate { der: parameters.self_signed(&key).unwrap().der().clone(), key }
    }

    fn pin(&self) -> Fingerprint {
        Fingerprint::of(&self.der)
    }

    fn key_pin(&self) -> Fingerprint {
        use rcgen::PublicKeyData;
        Fingerprint::of(&self.key.subject_public_key_info())
    }

    /// Whether certificate and key belong together is left to the client to find out.
    fn acceptor(&self) -> TlsAcceptor {
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        let key = ring::sign::any_supported_type(&key.into()).unwrap();
        let certified = CertifiedKey::new(vec![self.der.clone()], key);
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        TlsAcceptor::from(Arc::new(config))
    }
}

async fn connect(certificate: &Certificate, tls: TlsOptions) -> Result<Connection, ClientError> {
    let gateway = Gateway::listen().await;
    let options = ConnectOptions::new(gateway.url().replace("ws://", "wss://")).tls(tls);
    let script = async {
        if let Ok(stream) = certificate.acceptor().accept(gateway.tcp().await).await {
            Peer::challenge(stream).await.welcome().await;
        }
    };
    soon(async { tokio::join!(Connection::open(options), script) }).await.0
}

#[tokio::test]
async fn a_pin_on_the_certificate_or_its_key_is_enough() {
    let certificate = Certificate::new();
    let other = Fingerprint::of(b"the key of next year");
    for pins in [vec![certificate.pin()], vec![certificate.key_pin()], vec![other, certificate.key_pin()]] {
        let connection = connect(&certificate, TlsOptions::pinned(pins)).await.unwrap();
        assert_eq!(connection.hello().protocol, 3);
    }
}

#[tokio::test]
async fn a_pin_on_the_key_outlives_the_certificate() {
    let old = Certificate::new();
    let (certificate_pin, key_pin) = (old.pin(), old.key_pin());
    let renewed = Certificate::with(old.key, "renewed.example");
    connect(&renewed, TlsOptions::pinned([key_pin])).await.unwrap();
    let refused = connect(&renewed, TlsOptions::pinned([certificate_pin])).await.unwrap_err();
    let ClientError::PinMismatch { certificate, key } = refused else { panic!("a mismatch, not {refused:?}") };
    assert_eq!((certificate, key), (renewed.pin().to_string(), renewed.key_pin().to_string()), "what was presented");
}

#[tokio::test]
async fn a_pinned_certificate_without_its_key_is_refused() {
    let genuine = Certificate::new();
    let copied = Certificate { der: genuine.der.clone(), key: rcgen::KeyPair::generate().unwrap() };
    let refused = connect(&copied, TlsOptions::pinned([genuine.pin()])).await.unwrap_err();
    assert!(matches!(refused, ClientError::Tls(_)), "{refused:?}");
}

#[tokio::test]
async fn without_a_pin_a_self_signed_certificate_is_refused() {
    let refused = connect(&Certificate::new(), TlsOptions::default()).await.unwrap_err();
    assert!(matches!(refused, ClientError::Tls(_)), "{refused:?}");
}

#[tokio::test]
async fn a_pin_needs_wss() {
    let options = ConnectOptions::new("ws://127.0.0.1:1").tls(TlsOptions::pinned([Fingerprint::of(b"x")]));
    let refused = soon(Connection::open(options)).await.unwrap_err();
    assert!(matches!(&refused, ClientError::Options(problem) if problem.contains("wss://")), "{refused:?}");
}

/// A gateway that hands out device tokens, and shows the certificate that the test chooses.
struct Granting {
    gateway: Gateway,
    identity: Identity,
    store: TokenStore,
    _directory: tempfile::TempDir,
}

impl Granting {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = TokenStore::new(directory.path().join("tokens.json"));
        let identity = Identity::generate().unwrap();
        Granting { gateway: Gateway::listen().await, identity, store, _directory: directory }
    }

    fn options(&self) -> ConnectOptions {
        let options = ConnectOptions::new(self.gateway.url().replace("ws://", "wss://"));
        options.identity(self.identity.clone()).token_store(self.store.clone())
    }

    async fn connect(&self, certificate: &Certificate, options: ConnectOptions) -> Result<Connection, ClientError> {
        let granted = json!({"auth": {"deviceToken": "device", "role": "operator", "scopes": []}});
        let script = async {
            if let Ok(stream) = certificate.acceptor().accept(self.gateway.tcp().await).await {
                Peer::challenge(stream).await.welcome_with(granted).await;
            }
        };
        soon(async { tokio::join!(Connection::open(options), script) }).await.0
    }
}

fn is_mismatch(opened: &Result<Connection, ClientError>) -> bool {
    matches!(opened, Err(ClientError::PinMismatch { .. }))
}

#[tokio::test]
async fn the_pin_of_a_setup_code_is_kept_with_the_token_that_came_of_it() {
    let granting = Granting::new().await;
    let (first, second) = (Certificate::new(), Certificate::new());
    let pinned = |options: ConnectOptions, pin| options.tls(TlsOptions::pinned([pin]));
    let invited = pinned(granting.options().bootstrap_token("code"), first.pin());
    granting.connect(&first, invited).await.unwrap();

    granting.connect(&first, granting.options()).await.unwrap();
    let impostor = granting.connect(&second, granting.options()).await;
    assert!(is_mismatch(&impostor), "{impostor:?}");

    // What is said now comes first, and is kept, since the pin before would stand against it.
    granting.connect(&second, pinned(granting.options(), second.pin())).await.unwrap();
    granting.connect(&second, granting.options()).await.unwrap();
    let old = granting.connect(&first, granting.options()).await;
    assert!(is_mismatch(&old), "{old:?}");

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(granting.store.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_pin_that_was_said_without_a_setup_code_is_not_kept() {
    let granting = Granting::new().await;
    let certificate = Certificate::new();
    let pinned = granting.options().token("shared").tls(TlsOptions::pinned([certificate.pin()]));
    granting.connect(&certificate, pinned).await.unwrap();
    let unsigned = granting.connect(&certificate, granting.options()).await;
    assert!(matches!(unsigned, Err(ClientError::Tls(_))), "{unsigned:?}");
}
