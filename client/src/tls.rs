//! `wss://`: the system's roots, or pins. A pin names the gateway's certificate or, so that a renewal does not lock
//! anybody out, its public key; with a pin neither chain nor host name count, but the gateway still proves that it holds
//! the key.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

use crate::ClientError;

/// How `wss://` trusts the gateway.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// Fingerprints of which one has to match; two let a gateway change its key. Without any, the certificate has to
    /// be good for the system's roots and the host name.
    pub pins: Vec<Fingerprint>,
}

impl TlsOptions {
    /// Trusts these fingerprints and nothing else.
    pub fn pinned(pins: impl IntoIterator<Item = Fingerprint>) -> Self {
        TlsOptions { pins: pins.into_iter().collect() }
    }
}

/// SHA-256 of a certificate (DER) or of its public key (DER of the SubjectPublicKeyInfo).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of these DER bytes.
    pub fn of(der: &[u8]) -> Self {
        Fingerprint(Sha256::digest(der).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&schemas::device::hex(&self.0))
    }
}

impl FromStr for Fingerprint {
    type Err = ClientError;

    /// Reads 64 hex digits in any case, with any separators, after an optional `sha256` or `sha-256` and colon.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.strip_prefix("sha256").or_else(|| lower.strip_prefix("sha-256")).unwrap_or(&lower);
        let wrong =
            || ClientError::Options(format!("{text:?} is no fingerprint; expected sha256: and 64 hexadecimal digits"));
        let nibbles: Option<Vec<u8>> =
            digits.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
        let nibbles = nibbles.filter(|nibbles| nibbles.len() == 64).ok_or_else(wrong)?;
        Ok(Fingerprint(std::array::from_fn(|index| nibbles[2 * index] << 4 | nibbles[2 * index + 1])))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Does the TLS handshake on an open TCP connection.
pub async fn connect(options: &TlsOptions, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, ClientError> {
    let tls_error = |error: &dyn fmt::Display| ClientError::Tls(error.to_string());
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| tls_error(&error))?;
    let presented = Arc::new(OnceLock::new());
    let config = if options.pins.is_empty() {
        builder.with_root_certificates(system_roots().await?).with_no_client_auth()
    } else {
        let verifier = PinVerifier { pins: options.pins.clone(), provider, presented: presented.clone() };
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
    };
    let name = ServerName::try_from(host.to_string())
        .map_err(|_| ClientError::Options(format!("{host:?} is no name a certificate can be made for")))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| match presented.get() {
        Some(Presented { certificate, key }) => {
            let key = key.map_or_else(|| "unreadable".to_string(), |key| key.to_string());
            ClientError::PinMismatch { certificate: certificate.to_string(), key }
        }
        None => tls_error(&error),
    })
}

async fn system_roots() -> Result<RootCertStore, ClientError> {
    // Reads a few hundred files.
    let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
    let loaded = loaded.map_err(|_| ClientError::Tls("the system's certificates cannot be read".to_string()))?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(loaded.certs);
    if added == 0 {
        return Err(ClientError::Tls(
            "this system trusts no certificate authority; install them, or pin the gateway's certificate".to_string(),
        ));
    }
    Ok(roots)
}

/// What a gateway presented that matched no pin.
#[derive(Debug)]
struct Presented {
    certificate: Fingerprint,
    key: Option<Fingerprint>,
}

#[derive(Debug)]
struct PinVerifier {
    pins: Vec<Fingerprint>,
    provider: Arc<CryptoProvider>,
    presented: Arc<OnceLock<Presented>>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let certificate = Fingerprint::of(end_entity);
        let key = ParsedCertificate::try_from(end_entity)
            .ok()
            .map(|parsed| Fingerprint::of(&parsed.subject_public_key_info()));
        if self.pins.iter().any(|pin| *pin == certificate || Some(*pin) == key) {
            return Ok(ServerCertVerified::assertion());
        }
        // The first one stands; a connector serves one handshake.
        let _ = self.presented.set(Presented { certificate, key });
        Err(TlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_fingerprint_is_one() {
        let expected = Fingerprint::of(b"certificate");
        let hex = expected.to_string();
        let pairs: Vec<&str> = (0..32).map(|index| &hex[2 * index..2 * index + 2]).collect();
        for text in [
            hex.clone(),
            hex.to_uppercase(),
            format!("sha256:{hex}"),
            format!("SHA-256 {hex}"),
            format!("sha256{hex}"),
            format!("SHA256:{}", pairs.join(":").to_uppercase()),
            pairs.join(" "),
        ] {
            assert_eq!(text.parse::<Fingerprint>().unwrap(), expected, "{text}");
        }
        for text in ["", "sha256:", &hex[1..], &format!("{hex}0"), &format!("md5:{hex}"), &hex.replace(&hex[..1], "g")]
        {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
