//! Device tokens. They are computed, not stored: the same device, role and mint give the same token under the same key,
//! so a token can be handed out again, and forgetting the mint kills it for good.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::gateway_key::GatewayKey;
use schemas::device::hex;

/// How long a token lives unless configured: 30 days.
pub const DEFAULT_TTL_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// Makes and recognises device tokens.
#[derive(Debug, Clone)]
pub struct TokenMaker {
    key: GatewayKey,
    ttl_ms: u64,
}

impl TokenMaker {
    /// Tokens under this key that live this long.
    pub fn new(key: GatewayKey, ttl_ms: u64) -> Self {
        TokenMaker { key, ttl_ms: ttl_ms.max(1) }
    }

    /// Draws the id of a new token.
    pub fn draw_mint() -> String {
        let mut id = [0u8; 16];
        getrandom::fill(&mut id).expect("the system's random source has been answering since the start");
        hex(&id)
    }

    /// The token of a device and role with this mint: 32 lower-case hex characters.
    pub fn token(&self, device_id: &str, role: &str, mint: &str) -> Zeroizing<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.bytes()).expect("HMAC takes keys of any length");
        mac.update(format!("device-token|{device_id}|{role}|{mint}").as_bytes());
        Zeroizing::new(hex(&mac.finalize().into_bytes()[..16]))
    }

    /// Whether `candidate` is that token. How long it takes tells nothing about where it differs.
    pub fn matches(&self, device_id: &str, role: &str, mint: &str, candidate: &str) -> bool {
        self.token(device_id, role, mint).as_bytes().ct_eq(candidate.as_bytes()).into()
    }

    /// Whether a token minted then is too old now.
    pub fn is_expired(&self, issued_at_ms: u64, now_ms: u64) -> bool {
        now_ms.saturating_sub(issued_at_ms) >= self.ttl_ms
    }

    /// Whether a token minted then is past half of its life, so that the next connect should hand out a fresh one.
    pub fn wants_renewal(&self, issued_at_ms: u64, now_ms: u64) -> bool {
        now_ms.saturating_sub(issued_at_ms) >= self.ttl_ms / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maker(byte: u8) -> TokenMaker {
        TokenMaker::new(GatewayKey::from_bytes([byte; 32]), 1000)
    }

    #[test]
    fn a_token_is_bound_to_key_device_role_and_mint() {
        let token = maker(1).token("d", "operator", "m");
        assert_eq!(token.len(), 32);
        assert!(token.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        assert!(maker(1).matches("d", "operator", "m", &token));
        for (maker, device, role, mint) in [
            (maker(2), "d", "operator", "m"),
            (maker(1), "e", "operator", "m"),
            (maker(1), "d", "node", "m"),
            (maker(1), "d", "operator", "n"),
        ] {
            assert!(!maker.matches(device, role, mint, &token));
        }
        assert!(!maker(1).matches("d", "operator", "m", &token[..31]));
        assert!(!maker(1).matches("d", "operator", "m", ""));
    }

    #[test]
    fn the_derivation_is_the_documented_one() {
        // printf 'device-token|d|operator|m' | openssl dgst -sha256 -mac HMAC -macopt hexkey:<32 zero bytes>
        let token = TokenMaker::new(GatewayKey::from_bytes([0; 32]), 1).token("d", "operator", "m");
        assert_eq!(*token, "e7ffb132ba1bc2df60eff5cb0645ec6c");
    }

    #[test]
    fn mints_differ_and_life_has_two_halves() {
        assert_ne!(TokenMaker::draw_mint(), TokenMaker::draw_mint());
        let maker = maker(1);
        assert!(!maker.wants_renewal(100, 599) && maker.wants_renewal(100, 600));
        assert!(!maker.is_expired(100, 1099) && maker.is_expired(100, 1100));
        assert!(!maker.is_expired(100, 50), "a clock set back kills nothing");
    }
}
