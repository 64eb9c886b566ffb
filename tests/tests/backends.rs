//! Agent backends in the product: the services they ask, over TLS.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use clawhost_tests::program::{Gateway, Home};
use serde_json::Value;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A service that lists one model over TLS. What it is asked comes out of the channel, or that nobody spoke to it.
fn service(home: &Home) -> (u16, PathBuf, Receiver<Option<String>>) {
    let pair = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_string()]).expect("a name");
    let certificate = parameters.self_signed(&pair).expect("a certificate");
    let path = home.path().join("root.pem");
    std::fs::write(&path, certificate.pem()).expect("a file can be written");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(pair.serialize_der()).into())
        .expect("they belong together");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            let mut stream = BufReader::new(StreamOwned::new(connection, socket));
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).is_ok_and(|count| count > 0) {}
            if !head.ends_with("\r\n\r\n") {
                let _ = tell.send(None);
                continue;
            }
            let body = r#"{"data":[{"id":"tiny"}]}"#;
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _ = stream.get_mut().write_all(answer.as_bytes());
            stream.get_mut().conn.send_close_notify();
            let _ = stream.get_mut().flush();
            let _ = tell.send(Some(head));
            let _ = stream.read(&mut [0]);
        }
    });
    (port, path, told)
}

/// A gateway with that service, where a certificate is vouched for by `root` alone.
fn gateway(home: &Home, port: u16, root: &str) -> Gateway {
    home.configure(&format!(
        "[plugins.openai.config]\nbase_url = \"https://localhost:{port}/v1\"\napi_key_env = \"THE_KEY\"\n"
    ));
    let mut command = home.command(["run", "--port", "0"]);
    command.env("SSL_CERT_FILE", root).env_remove("SSL_CERT_DIR").env("THE_KEY", "sk-test-key");
    command.env_remove("OPENAI_API_KEY").env_remove("ANTHROPIC_API_KEY");
    Gateway::start(command)
}

fn models(home: &Home) -> Vec<String> {
    let listed: Value = home.json("call models.list");
    let models = listed["models"].as_array().unwrap_or_else(|| panic!("a list of models: {listed}"));
    models.iter().map(|model| format!("{}/{}", model["provider"], model["id"]).replace('"', "")).collect()
}

#[test]
fn a_service_is_asked_over_tls_and_only_with_a_certificate_that_is_vouched_for() {
    let patience = Duration::from_secs(30);
    let home = Home::default();
    let (port, root, asked) = service(&home);
    let mut vouched = gateway(&home, port, root.to_str().expect("a path of ASCII"));
    assert_eq!(models(&home), ["echo/echo", "openai/tiny"]);
    let head = asked.recv_timeout(patience).expect("it was asked").expect("over TLS").to_ascii_lowercase();
    assert!(head.starts_with("get /v1/models http/1.1\r\n") && head.contains("authorization: bearer sk-test-key\r\n"));
    assert!(vouched.terminate().is_some());

    // Another certificate vouches for nothing.
    let other = Home::default();
    let (_, stranger, _) = service(&other);
    let refused = gateway(&home, port, stranger.to_str().expect("a path of ASCII"));
    assert_eq!(models(&home), ["echo/echo"]);
    refused.wait_for("agent.backend.openai.models goes without some");
    assert_eq!(asked.recv_timeout(patience), Ok(None), "nothing was said to it");
}
