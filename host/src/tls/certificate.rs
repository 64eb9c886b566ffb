//! Certificates: the operator's files, and the one that the gateway makes for itself.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::state::write_private;

const CERT: &str = "tls.crt";
const KEY: &str = "tls.key";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A certificate with its chain, and its key, both in PEM.
pub fn read(cert: &Path, key: &Path) -> Result<CertifiedKey, String> {
    let chain = std::fs::read(cert).map_err(|error| format!("{}: cannot read: {error}", cert.display()))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{}: no certificate in PEM: {error}", cert.display()))?;
    if chain.is_empty() {
        return Err(format!("{}: there is no certificate in PEM in it", cert.display()));
    }
    let text = std::fs::read(key).map_err(|error| format!("{}: cannot read: {error}", key.display()))?;
    // What is wrong with the key is not told: nothing of it belongs in a log.
    let private = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| format!("{}: there is no private key in PEM in it", key.display()))?;
    CertifiedKey::from_der(chain, private, &ring::default_provider())
        .map_err(|error| format!("{} and {} do not go together: {error}", cert.display(), key.display()))
}

/// The gateway's own certificate, made now if there is none.
pub fn own(state_dir: &Path, host: &str, addresses: &[SocketAddr]) -> Result<CertifiedKey, String> {
    let (cert, key) = (state_dir.join(CERT), state_dir.join(KEY));
    match (cert.exists(), key.exists()) {
        (true, true) => {}
        (false, false) => {
            let (certificate, private) =
                make(host, addresses).map_err(|error| format!("no certificate can be made: {error}"))?;
            for (path, text) in [(&key, private), (&cert, certificate)] {
                write_private(path, text.as_bytes())
                    .map_err(|error| format!("{}: cannot write: {error}", path.display()))?;
            }
            tracing::info!(file = %cert.display(), "made a certificate for TLS");
        }
        (has_cert, _) => {
            let (there, gone) = if has_cert { (&cert, KEY) } else { (&key, CERT) };
            return Err(format!(
                "{}: {gone} is missing beside it; put it back, or delete this file too so that a new certificate is \
                 made, which clients have to be told of",
                there.display()
            ));
        }
    }
    read(&cert, &key)
}

/// A self-signed certificate and its key, in PEM.
fn make(host: &str, addresses: &[SocketAddr]) -> Result<(String, String), rcgen::Error> {
    let mut parameters = CertificateParams::new(names(host, addresses))?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "clawhost");
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // A day early, for clients whose clocks are behind.
    parameters.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(DAY);
    parameters.not_after = date_time_ymd(1970, 1, 1) + now + TEN_YEARS;
    let key = KeyPair::generate()?;
    Ok((parameters.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// Names and addresses under which clients may reach it.
fn names(host: &str, addresses: &[SocketAddr]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_string).into();
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if !host.is_empty() && host.chars().all(sound) {
        let first = host.split('.').next().unwrap_or(host);
        names.extend([host.to_string(), format!("{first}.local")]);
    }
    let addresses = addresses.iter().map(SocketAddr::ip).filter(|address| !address.is_unspecified());
    names.extend(addresses.map(|address| address.to_string()));
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_where_the_gateway_is_reached() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let beyond = |host: &str, addresses: &[SocketAddr]| {
            let names = names(host, addresses);
            assert_eq!(names[..3], ["localhost", "127.0.0.1", "::1"]);
            names[3..].to_vec()
        };
        assert_eq!(beyond("box", &[at("127.0.0.1:1"), at("[::1]:1")]), ["box", "box.local"]);
        assert_eq!(beyond("box.lan", &[at("192.0.2.7:1")]), ["box.lan", "box.local", "192.0.2.7"]);
        assert_eq!(beyond("box.local", &[at("0.0.0.0:1")]), ["box.local"]);
        assert!(beyond("a box", &[at("[::]:1")]).is_empty(), "no name of DNS");
    }

    #[test]
    fn half_a_certificate_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let own = || own(folder.path(), "box", &[]).map(|certified| certified.cert);
        let made = own().unwrap();
        assert_eq!(own().unwrap(), made, "the next start shows the same one");
        std::fs::remove_file(folder.path().join(KEY)).unwrap();
        assert!(own().unwrap_err().contains("tls.key is missing"));
    }
}
