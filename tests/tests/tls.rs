//! A gateway that speaks TLS, or that is behind a proxy which does: who may answer is said with a fingerprint.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use clawhost_tests::program::{Gateway, Home, Outcome, PATIENCE};
use clawhost_tests::support::{Door, http_afterwards, http_at};
use client::{ClientError, ConnectOptions, Connection, Fingerprint, TlsOptions};
use rcgen::PublicKeyData;
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

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

const TLS: &str = "[gateway.tls]\nenabled = true\n";
const OWN_FILES: &str = "[gateway.tls]\nenabled = true\ncert_file = \"my.crt\"\nkey_file = \"my.key\"\n";

fn fingerprint_in(file: &Path) -> Fingerprint {
    Fingerprint::of(&CertificateDer::from_pem_file(file).expect("a certificate in PEM"))
}

/// Writes a certificate for the operator's files, beside the configuration.
fn write_files(home: &Home) -> Fingerprint {
    let pair = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(vec!["gateway.example".to_string()]).expect("a name");
    let certificate = parameters.self_signed(&pair).expect("a certificate");
    std::fs::write(home.path().join("my.crt"), certificate.pem()).expect("a file can be written");
    std::fs::write(home.path().join("my.key"), pair.serialize_pem()).expect("a file can be written");
    Fingerprint::of(certificate.der())
}

fn succeeds(outcome: &Outcome) {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

#[test]
fn a_gateway_shows_a_certificate_of_its_own_and_keeps_it() {
    let home = Home::default();
    home.configure(TLS);
    let mut gateway = home.start();
    assert!(gateway.url.starts_with("wss://"), "{}", gateway.url);
    succeeds(&home.run("health"));
    succeeds(&home.run(&format!("health --url wss://localhost:{}", gateway.port)));

    let certificate = home.state().join("tls.crt");
    let own = fingerprint_in(&certificate);
    gateway.wait_for(&format!("sha256:{own}"));
    let described = std::fs::read(home.state().join("gateway.json")).expect("it runs");
    let described: Value = serde_json::from_slice(&described).expect("it is JSON");
    assert_eq!(
        (&described["url"], &described["tlsFingerprint"]),
        (&json!(gateway.url), &json!(format!("sha256:{own}")))
    );
    assert_eq!(home.json("status")["tlsFingerprint"], described["tlsFingerprint"]);
    let mode = std::fs::metadata(home.state().join("tls.key")).expect("it was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let other = Fingerprint::of(b"another certificate");
    let wrong = home.run(&format!("health --tls-fingerprint {other}"));
    assert!(wrong.code == Some(1) && wrong.err.contains(&own.to_string()), "{wrong:?}");
    let unsigned = home.run(&format!("health --url {} --token {}", gateway.url, home.token()));
    assert_eq!(unsigned.code, Some(1), "no authority vouches for it: {unsigned:?}");

    assert!(gateway.terminate().is_some());
    let gateway = home.start();
    gateway.wait_for(&format!("sha256:{own}"));
    assert_eq!(fingerprint_in(&certificate), own);
    succeeds(&home.run("health"));
}

#[test]
fn who_does_not_speak_tls_is_told_so() {
    let home = Home::default();
    home.configure(TLS);
    let gateway = home.start();
    let mut plain = std::net::TcpStream::connect(("127.0.0.1", gateway.port)).expect("the port is open");
    plain.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is taken");
    let mut answer = String::new();
    plain.read_to_string(&mut answer).expect("an answer, and the end");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("wss://"), "{answer}");
    let refused = home.run(&format!("health --url ws://127.0.0.1:{} --token {}", gateway.port, home.token()));
    assert!(refused.code == Some(1) && refused.err.contains("wss://"), "{refused:?}");
}

#[test]
fn a_tls_handshake_keeps_a_place_and_has_an_end() {
    let home = Home::default();
    home.configure(&format!("{TLS}[gateway.limits]\nmax_pending_handshakes = 2\nhandshake_timeout_ms = 10_000\n"));
    let gateway = home.start();
    let begun = std::time::Instant::now();
    let knock = || {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", gateway.port)).expect("the port is open");
        stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
        // The first bytes of a handshake that goes no further; none arrive where there is no place.
        let _ = stream.write_all(&[0x16, 3, 1]);
        stream
    };
    let mut waiting = [knock(), knock()];
    let _ = knock().read(&mut [0]);
    assert!(begun.elapsed().as_millis() < 10_000, "the third one finds no place");
    for stream in &mut waiting {
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert!(begun.elapsed().as_millis() >= 10_000, "the places are kept for as long as a handshake may take");
    succeeds(&home.run("health"));
}

#[test]
fn the_operators_certificate_is_read_again() {
    let home = Home::default();
    home.configure(OWN_FILES);
    let first = write_files(&home);
    let gateway = home.start();
    gateway.wait_for(&format!("sha256:{first}"));
    succeeds(&home.run("health"));
    assert!(!home.state().join("tls.crt").exists(), "none of its own is made");

    let second = write_files(&home);
    let line = gateway.wait_for("new connections are shown another certificate");
    assert!(line.contains(&second.to_string()), "{line}");
    succeeds(&home.run("health"));

    std::fs::write(home.path().join("my.crt"), "not a certificate").expect("a file can be written");
    gateway.wait_for("the certificate was not read again");
    succeeds(&home.run(&format!("health --tls-fingerprint {second}")));

    // To see the next one the gateway has to look twice, and what was wrong was there until then.
    let third = write_files(&home);
    gateway.wait_for(&third.to_string());
    succeeds(&home.run("health"));
    let told = gateway.said().iter().filter(|line| line.contains("there is no certificate in PEM")).count();
    assert_eq!(told, 1, "what is wrong is told once: {:#?}", gateway.said());

    std::fs::write(home.path().join("my.key"), "not a key").expect("a file can be written");
    gateway.signal("HUP");
    gateway.wait_for("there is no private key in PEM");
    succeeds(&home.run(&format!("health --tls-fingerprint {third}")));
}

#[tokio::test]
async fn tls_handshakes_that_fail_are_counted() {
    let home = Home::default();
    home.configure(TLS);
    let gateway = home.start();
    let own = fingerprint_in(&home.state().join("tls.crt"));
    let door = Door {
        address: ([127, 0, 0, 1], gateway.port).into(),
        tls: Some(("localhost".to_string(), TlsOptions::pinned([own]))),
    };
    // One that speaks no TLS, and one that does not like the certificate.
    let plain = http_at(&Door::from(door.address), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(plain.status, 400, "{plain:?}");
    let other = Fingerprint::of(b"another certificate");
    assert_eq!(home.run(&format!("health --tls-fingerprint {other}")).code, Some(1));
    let request = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n", home.token());
    let counted = async {
        // The gateway counts after the peer has gone.
        while !http_at(&door, &request).await.body.contains("\nclawhost_tls_handshakes_failed_total 2\n") {}
    };
    tokio::time::timeout(PATIENCE, counted).await.expect("both are counted, and no other one");
}

/// The gateway answers before all of the request has come.
#[tokio::test]
async fn an_answer_in_tls_reaches_who_reads_it_when_all_is_sent() {
    /// More than the buffers of both sides hold.
    const MUCH: usize = 16 * 1024 * 1024;
    let home = Home::default();
    // Time for a machine that is slow: nothing ends by it here.
    home.configure(&format!("{TLS}[gateway.limits]\nhandshake_timeout_ms = 60_000\nclose_grace_ms = 30_000\n"));
    let gateway = home.start();
    let own = fingerprint_in(&home.state().join("tls.crt"));
    let door = Door {
        address: ([127, 0, 0, 1], gateway.port).into(),
        tls: Some(("localhost".to_string(), TlsOptions::pinned([own]))),
    };
    let head = format!("POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MUCH}\r\n\r\n");
    let answer = http_afterwards(&door, &(head + &"x".repeat(MUCH))).await;
    assert_eq!(answer.status, 404, "{answer:?}");
}

#[test]
fn a_second_gateway_is_told_what_the_first_one_speaks() {
    let (first, second) = (Home::default(), Home::default());
    first.configure(TLS);
    let gateway = first.start();
    let refused = second.run(&format!("run --port {}", gateway.port));
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains(&format!("already listening on wss://127.0.0.1:{}", gateway.port)), "{refused:?}");
}

#[test]
fn a_certificate_without_its_key_is_a_mistake_of_the_configuration() {
    let home = Home::default();
    write_files(&home);
    let started = |files: &str| {
        home.configure(&format!("{TLS}{files}"));
        let outcome = home.run("run --port 0");
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        outcome.err
    };
    assert!(started("cert_file = \"my.crt\"").contains("key_file is needed as well"));
    assert!(started("key_file = \"my.key\"").contains("cert_file is needed as well"));
    assert!(started("cert_file = \"my.crt\"\nkey_file = \"gone.key\"").contains("gone.key"));
    let certificate = std::fs::read(home.path().join("my.crt")).expect("it was written");
    std::fs::write(home.path().join("old.crt"), certificate).expect("a file can be written");
    write_files(&home);
    assert!(started("cert_file = \"old.crt\"\nkey_file = \"my.key\"").contains("do not go together"));
}

#[tokio::test]
async fn limits_hold_and_large_messages_pass_in_tls() {
    let home = Home::default();
    home.configure(&format!("{TLS}[gateway.limits]\nmax_preauth_bytes = 32768\n"));
    let gateway = home.start();
    let options = || {
        let own = fingerprint_in(&home.state().join("tls.crt"));
        ConnectOptions::new(&gateway.url).tls(TlsOptions::pinned([own])).token(home.token()).scopes(["operator.read"])
    };
    let stranger = Connection::open(options().locale("x".repeat(40_000))).await.expect_err("it says too much");
    assert!(matches!(stranger, ClientError::Closed { code: 1009, .. }), "{stranger:?}");

    let connection = Connection::open(options()).await.expect("it is let in");
    // Many records at once, in.
    let large = json!({ "name": "x".repeat(200_000) });
    let calls = (0..8).map(|_| connection.request::<Value>("no.such.method", &large));
    for answer in futures_util::future::join_all(calls).await {
        assert!(matches!(answer, Err(ClientError::Method(_))), "{answer:?}");
    }
    // And out: more than TLS keeps for a socket that takes nothing just then.
    let calls = (0..128).map(|_| connection.request::<Value>("config.get", json!({})));
    let answers = futures_util::future::join_all(calls).await;
    let bytes: usize = answers.into_iter().map(|answer| answer.expect("an answer").to_string().len()).sum();
    assert!(bytes > 128 * 1024, "{bytes}");
    connection.close().await;
}
