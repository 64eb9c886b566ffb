//! The command line and a gateway behind a proxy that does TLS: who may answer is said with a fingerprint.

use std::sync::Arc;

use clawhost_tests::program::{Gateway, Home, Outcome};
use client::Fingerprint;
use rcgen::PublicKeyData;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// A proxy on a port of this machine, with a certificate that no authority has signed.
struct Proxy {
    url: String,
    certificate: Fingerprint,
    key: Fingerprint,
    _runtime: Runtime,
}

impl Proxy {
    fn of(gateway: &Gateway) -> Self {
        let pair = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(vec!["gateway.example".to_string()]).expect("a name");
        let certificate = parameters.self_signed(&pair).expect("a certificate").der().clone();
        let fingerprints = (Fingerprint::of(&certificate), Fingerprint::of(&pair.subject_public_key_info()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivatePkcs8KeyDer::from(pair.serialize_der()).into())
            .expect("they belong together");
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let url = format!("wss://{}", listener.local_addr().expect("an address"));
        runtime.spawn(pass_on(TlsAcceptor::from(Arc::new(config)), listener, gateway.port));
        Proxy { url, certificate: fingerprints.0, key: fingerprints.1, _runtime: runtime }
    }
}

async fn pass_on(acceptor: TlsAcceptor, listener: TcpListener, port: u16) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A client that does not like the certificate ends here.
            let Ok(mut client) = acceptor.accept(stream).await else { return };
            let mut gateway = TcpStream::connect(("127.0.0.1", port)).await.expect("the gateway listens");
            let _ = copy_bidirectional(&mut client, &mut gateway).await;
        });
    }
}

#[test]
fn a_fingerprint_says_which_gateway_is_trusted() {
    let home = Home::default();
    let gateway = home.start();
    let proxy = Proxy::of(&gateway);
    let call = format!("call health --url {} --token {}", proxy.url, home.token());
    let other = Fingerprint::of(b"the key of next year");

    for pins in [
        format!("--tls-fingerprint {}", proxy.key),
        format!("--tls-fingerprint sha256:{}", proxy.certificate),
        format!("--tls-fingerprint {other} --tls-fingerprint {}", proxy.key),
    ] {
        let outcome = home.run(&format!("{call} {pins}"));
        assert_eq!(outcome.code, Some(0), "{pins}: {outcome:?}");
    }
    let said = |pins: &str, line: &str| {
        let mut command = home.command(line.split_whitespace());
        command.env("CLAWHOST_TLS_FINGERPRINT", pins);
        Outcome::of(command, line)
    };
    let both = said(&format!("{other},{}", proxy.key), &call);
    assert_eq!(both.code, Some(0), "{both:?}");

    for outcome in [
        home.run(&format!("{call} --tls-fingerprint {other}")),
        said(&proxy.key.to_string(), &format!("{call} --tls-fingerprint {other}")),
        said(&other.to_string(), &call),
    ] {
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.err.contains(&proxy.key.to_string()), "it says what was presented: {outcome:?}");
    }
    let unsigned = home.run(&call);
    assert_eq!(unsigned.code, Some(1), "no authority vouches for it: {unsigned:?}");

    // Without TLS nothing could be compared, and this machine's own gateway needs none.
    let plain = format!("health --url {} --token {}", gateway.url, home.token());
    assert_eq!(said(&other.to_string(), &plain).code, Some(2));
    assert_eq!(said(&other.to_string(), "health").code, Some(0));
    let misread = home.run("health --tls-fingerprint abc");
    assert!(misread.code == Some(2) && misread.err.contains("64 hexadecimal digits"), "{misread:?}");
}
