//! How a handshake ends badly: what the client is told, how the socket is closed, and what the log says.

use std::time::Duration;

use schemas::ErrorShape;
use schemas::protocol::{MAX_CLOSE_REASON, close};

use crate::pairing::PairingEvent;

/// A refused handshake. The response, if any, goes out before the close.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The response: the request's id and the error.
    pub response: Option<(String, ErrorShape)>,
    /// The close code.
    pub close_code: u16,
    /// The close reason, short enough for a close frame.
    pub close_reason: String,
    /// The metric's label: one of a closed list.
    pub outcome: &'static str,
    /// The cause, for the log; never sent. Texts of the peer in it are quoted and cut.
    pub detail_for_log: String,
    /// How long to wait before answering.
    pub delay: Option<Duration>,
    /// What to publish although nobody came in: a device that asks to be paired.
    pub events: Vec<PairingEvent>,
}

impl Refusal {
    /// Nothing acceptable arrived in time.
    pub fn timeout() -> Self {
        Self::wordless(close::NORMAL, "", "timeout", "no accepted connect in time")
    }

    /// The first frame is not JSON, or not even text.
    pub fn not_json() -> Self {
        Self::wordless(close::NORMAL, "", "not-json", "the first frame is not JSON")
    }

    /// More bytes arrived than a client may send before it is known.
    pub fn too_big() -> Self {
        Self::wordless(close::TOO_BIG, "", "too-big", "more bytes than allowed before authentication")
    }

    /// The peer broke the WebSocket protocol.
    pub fn broken(code: u16, reason: &str) -> Self {
        Self::wordless(code, reason, "broken", "the peer broke the WebSocket protocol")
    }

    /// The peer went before it said who it is.
    pub fn gone() -> Self {
        Self::wordless(close::NORMAL, "", "gone", "the peer left during the handshake")
    }

    pub(super) fn wordless(
        close_code: u16,
        close_reason: &str,
        outcome: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Refusal {
            response: None,
            close_code,
            close_reason: cut_reason(close_reason),
            outcome,
            detail_for_log: detail.into(),
            delay: None,
            events: Vec::new(),
        }
    }

    /// Answers with an error and closes with its message.
    pub(super) fn with_error(id: &str, error: ErrorShape, outcome: &'static str, detail: impl Into<String>) -> Self {
        let mut refusal = Self::wordless(close::POLICY, &error.message, outcome, detail);
        refusal.response = Some((id.to_string(), error));
        refusal
    }

    pub(super) fn closing_with(mut self, close_code: u16) -> Self {
        self.close_code = close_code;
        self
    }
}

/// A close reason cut to what a close frame can hold, on a character boundary.
pub fn cut_reason(reason: &str) -> String {
    reason[..reason.floor_char_boundary(MAX_CLOSE_REASON)].to_string()
}

/// A text of the peer, quoted and cut for the log.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(64).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_fit_a_close_frame() {
        assert_eq!(cut_reason("short"), "short");
        assert_eq!(cut_reason(&"x".repeat(500)).len(), 120);
        let cut = cut_reason(&"ä…".repeat(60));
        assert!(cut.len() <= 120 && cut.len() > 115 && "ä…".repeat(60).starts_with(&cut));
    }
}
