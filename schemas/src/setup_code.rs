//! A setup code: what a device needs to find a gateway and to pair itself with it, in one text that can be typed or scanned.
//! It is the JSON of [`SetupCode`] as base64url without padding.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// Longer texts are no setup codes.
const LONGEST: usize = 4096;

/// What a setup code holds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetupCode {
    /// Where the gateway is: `ws://…` or `wss://…`
    pub url: String,
    /// Sent once, as `auth.bootstrapToken`.
    pub bootstrap_token: String,
    /// SHA-256 of the certificate that the gateway shows, in hex, if it made that itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_sha256: Option<String>,
}

impl SetupCode {
    /// The text.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("strings have a JSON form"))
    }

    /// What the text holds, if it is a setup code.
    pub fn decode(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches('=');
        let bytes = (text.len() <= LONGEST).then(|| URL_SAFE_NO_PAD.decode(text).ok())??;
        let code: SetupCode = serde_json::from_slice(&bytes).ok()?;
        (!code.url.is_empty() && !code.bootstrap_token.is_empty()).then_some(code)
    }
}

impl std::fmt::Debug for SetupCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetupCode")
            .field("url", &self.url)
            .field("tls_sha256", &self.tls_sha256)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_as_it_was_written_and_hides_its_token() {
        let code = SetupCode { url: "ws://h:1".into(), bootstrap_token: "s3cret".into(), tls_sha256: None };
        let text = code.encode();
        assert_eq!(URL_SAFE_NO_PAD.decode(&text).unwrap(), br#"{"url":"ws://h:1","bootstrapToken":"s3cret"}"#);
        assert_eq!(SetupCode::decode(&format!(" {text}\n")), Some(code.clone()));
        assert!(!format!("{code:?}").contains("s3cret"));
        let empty = SetupCode { bootstrap_token: String::new(), ..code };
        for wrong in ["", "x", "e30", &"A".repeat(9000), &empty.encode()] {
            assert_eq!(SetupCode::decode(wrong), None, "{wrong}");
        }
    }
}
