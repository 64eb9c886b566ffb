//! Numbers and closed lists of the protocol.

/// A protocol version this code can name. What a gateway serves is its own list of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Protocol 3, spoken by the Clawdbot, Moltbot and early OpenClaw clients.
    V3,
    /// Protocol 4, spoken by OpenClaw clients from 2026.5 on.
    V4,
}

impl Version {
    /// The number on the wire.
    pub const fn number(self) -> u32 {
        match self {
            Version::V3 => 3,
            Version::V4 => 4,
        }
    }
}

/// The highest of `served` that lies in the offered range.
pub fn negotiate(served: &[Version], min: u64, max: u64) -> Option<Version> {
    served.iter().copied().filter(|version| (min..=max).contains(&u64::from(version.number()))).max()
}

/// TCP port of a gateway that was told none.
pub const DEFAULT_PORT: u16 = 18789;
/// Largest inbound message, in bytes, unless configured.
pub const MAX_PAYLOAD: usize = 512 * 1024;
/// Outbound backlog of one connection, in bytes, above which it is a slow consumer.
pub const MAX_BUFFERED_BYTES: usize = 1536 * 1024;
/// Bytes a connection may send before it is authenticated.
pub const MAX_PREAUTH_BYTES: usize = 64 * 1024;
/// Milliseconds between two `tick` events.
pub const TICK_INTERVAL_MS: u64 = 30_000;
/// Milliseconds between two WebSocket pings to a client, and within which one is to be answered.
pub const PING_INTERVAL_MS: u64 = 25_000;
/// Milliseconds from accepting the socket to an accepted `connect`.
pub const HANDSHAKE_TIMEOUT_MS: u64 = 15_000;
/// How far `device.signedAt` may lie from the gateway's clock, in milliseconds.
pub const SIGNATURE_SKEW_MS: u64 = 600_000;
/// Longest close reason, in bytes of UTF-8.
pub const MAX_CLOSE_REASON: usize = 120;

/// Close codes the gateway uses.
pub mod close {
    /// Handshake timeout, or a first frame that is not JSON.
    pub const NORMAL: u16 = 1000;
    /// Version negotiation failed.
    pub const PROTOCOL: u16 = 1002;
    /// The bytes of a text message are not UTF-8.
    pub const INVALID_DATA: u16 = 1007;
    /// Every other refusal.
    pub const POLICY: u16 = 1008;
    /// A message over the limit.
    pub const TOO_BIG: u16 = 1009;
    /// Shutdown or restart.
    pub const RESTART: u16 = 1012;
    /// Come back soon.
    pub const TRY_AGAIN: u16 = 1013;
    /// What the client came in by has fallen; in protocol 4.
    pub const INVALIDATED: u16 = 4001;
}

/// Client ids without a brand in them.
const PLAIN_CLIENT_IDS: [&str; 8] =
    ["webchat-ui", "webchat", "cli", "gateway-client", "node-host", "test", "fingerprint", "openclaw-tui"];
/// Endings that follow a brand in a client id.
const BRANDED_CLIENT_IDS: [&str; 9] =
    ["control-ui", "macos", "ios", "android", "probe", "linux", "watchos", "worker", "browser-copilot"];
/// The names under which the protocol has shipped.
pub const BRANDS: [&str; 3] = ["clawdbot", "moltbot", "openclaw"];

/// Every value of `client.id` that clients of protocols 3 and 4 send, in a fixed order.
pub fn client_ids() -> Vec<String> {
    let branded = BRANDS.iter().flat_map(|brand| BRANDED_CLIENT_IDS.iter().map(move |id| format!("{brand}-{id}")));
    PLAIN_CLIENT_IDS.iter().map(|id| id.to_string()).chain(branded).collect()
}

/// Every value of `client.mode` that clients of protocols 3 and 4 send.
pub const CLIENT_MODES: [&str; 8] = ["webchat", "cli", "ui", "backend", "node", "probe", "test", "worker"];

/// Whether this client id is the Control UI's, under any brand.
pub fn is_control_ui(client_id: &str) -> bool {
    BRANDS.iter().any(|brand| client_id.strip_prefix(brand) == Some("-control-ui"))
}

/// Whether this client id is the terminal interface's.
pub fn is_terminal_ui(client_id: &str) -> bool {
    client_id == "openclaw-tui"
}

/// Whether this is a worker, which has a path of its own in the reference and none here.
pub fn is_worker(client_id: &str, mode: &str) -> bool {
    mode == "worker" || client_id.ends_with("-worker")
}

/// Whether this client counts as web chat.
pub fn is_webchat(client_id: &str, mode: &str) -> bool {
    mode == "webchat" || client_id == "webchat-ui"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiation_takes_the_highest_common_version() {
        let both = [Version::V3, Version::V4];
        assert_eq!(negotiate(&both, 3, 3), Some(Version::V3));
        assert_eq!(negotiate(&both, 3, 4), Some(Version::V4));
        assert_eq!(negotiate(&both, 4, 99), Some(Version::V4));
        assert_eq!(negotiate(&both, 5, 9), None);
        assert_eq!(negotiate(&both, 4, 3), None, "an empty range holds nothing");
        assert_eq!(negotiate(&[Version::V3], 3, 4), Some(Version::V3));
        assert_eq!(negotiate(&[Version::V3], 4, 4), None);
    }

    #[test]
    fn all_brands_name_a_control_ui() {
        for brand in BRANDS {
            assert!(is_control_ui(&format!("{brand}-control-ui")));
        }
        assert!(!is_control_ui("control-ui"));
        assert!(client_ids().contains(&"moltbot-probe".to_string()));
    }
}
