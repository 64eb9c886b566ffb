//! What a device signs, and how its key is named. The text is shared by both sides, so it lives here; keys and
//! signatures do not.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// The fields a device signs, joined by `|` without escaping.
#[derive(Debug, Clone, Copy)]
pub struct SignedFields<'a> {
    /// `device.id`
    pub device_id: &'a str,
    /// `client.id`
    pub client_id: &'a str,
    /// `client.mode`
    pub client_mode: &'a str,
    /// The role in force, `operator` by default.
    pub role: &'a str,
    /// Scopes in the order sent.
    pub scopes: &'a [String],
    /// `device.signedAt`
    pub signed_at: u64,
    /// The token sent; see `Credentials::signed_token`.
    pub token: &'a str,
    /// `client.platform`, used by payload v3.
    pub platform: &'a str,
    /// `client.deviceFamily`, used by payload v3.
    pub device_family: Option<&'a str>,
}

impl SignedFields<'_> {
    /// Payload v1: no nonce. Good for local connections of protocol 3 only.
    pub fn v1(&self) -> String {
        format!("v1|{}", self.common())
    }

    /// Payload v2: ends with the nonce, trimmed.
    pub fn v2(&self, nonce: &str) -> String {
        format!("v2|{}|{}", self.common(), nonce.trim())
    }

    /// Payload v3: v2 and the platform and device family, trimmed, with ASCII capitals lowered.
    pub fn v3(&self, nonce: &str) -> String {
        let lower = |text: &str| text.trim().to_ascii_lowercase();
        let family = lower(self.device_family.unwrap_or(""));
        format!("v3|{}|{}|{}|{}", self.common(), nonce.trim(), lower(self.platform), family)
    }

    fn common(&self) -> String {
        let scopes = self.scopes.join(",");
        let SignedFields { device_id, client_id, client_mode, role, signed_at, token, .. } = self;
        format!("{device_id}|{client_id}|{client_mode}|{role}|{scopes}|{signed_at}|{token}")
    }
}

/// The id of a device: lower-case hex SHA-256 of its raw public key.
pub fn device_id(public_key: &[u8; 32]) -> String {
    hex(&Sha256::digest(public_key))
}

/// The stored and sent form of a public key: base64url without padding.
pub fn encode_key(public_key: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(public_key)
}

/// The raw public key out of base64url, base64 or a PEM SPKI text.
pub fn decode_key(text: &str) -> Option<[u8; 32]> {
    /// DER of an Ed25519 SubjectPublicKeyInfo up to the key.
    const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    if text.contains("BEGIN") {
        let body: String = text.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
        return decode_base64(&body)?.strip_prefix(&SPKI_PREFIX)?.try_into().ok();
    }
    decode_base64(text)?.try_into().ok()
}

/// The signature's 64 bytes out of base64url or base64.
pub fn decode_signature(text: &str) -> Option<[u8; 64]> {
    decode_base64(text)?.try_into().ok()
}

/// The sent form of a signature: base64url without padding.
pub fn encode_signature(signature: &[u8; 64]) -> String {
    URL_SAFE_NO_PAD.encode(signature)
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Decodes both alphabets, padded or not.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    const ANY_PADDING: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);
    let text = text.trim().replace('+', "-").replace('/', "_");
    URL_SAFE.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg";
    const ID: &str = "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c";
    const NONCE: &str = "3f1c2b7e-9f60-4a55-8d0a-5b6c7d8e9f01";

    #[test]
    fn every_spelling_of_a_key_gives_one_id() {
        let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n-----END PUBLIC KEY-----\n";
        for text in [KEY, &format!("{KEY}="), "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=", pem] {
            let key = decode_key(text).unwrap_or_else(|| panic!("{text:?} is a key"));
            assert_eq!(device_id(&key), ID);
            assert_eq!(encode_key(&key), KEY);
        }
        for text in ["", "AAAA", "not base64 at all!", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"] {
            assert!(decode_key(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn payloads_are_the_published_ones() {
        let scopes = ["operator.admin", "operator.approvals", "operator.pairing"].map(String::from);
        let cli = SignedFields {
            device_id: ID,
            client_id: "cli",
            client_mode: "cli",
            role: "operator",
            scopes: &scopes,
            signed_at: 1_737_264_000_000,
            token: "shared-secret",
            platform: "linux",
            device_family: Some("Linux"),
        };
        let common = format!(
            "{ID}|cli|cli|operator|operator.admin,operator.approvals,operator.pairing|1737264000000|shared-secret"
        );
        assert_eq!(cli.v1(), format!("v1|{common}"));
        assert_eq!(cli.v2(NONCE), format!("v2|{common}|{NONCE}"));
        assert_eq!(cli.v2(&format!("  {NONCE} ")), format!("v2|{common}|{NONCE}"), "the nonce is trimmed");
        assert_eq!(cli.v3(NONCE), format!("v3|{common}|{NONCE}|linux|linux"));
        let page = SignedFields { platform: "Linux x86_64", device_family: None, scopes: &[], token: "", ..cli };
        assert_eq!(page.v3(NONCE), format!("v3|{ID}|cli|cli|operator||1737264000000||{NONCE}|linux x86_64|"));
    }
}
