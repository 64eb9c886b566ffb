//! The token of a setup code, `auth.bootstrapToken`: one device comes in by it once. Protocol 4 only, and only beside a device
//! that has proved itself.

use schemas::protocol::Version;

use super::{Attempt, DeviceTokens};

/// An invitation that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    /// Which it is, to whoever made it. Not the token.
    pub id: [u8; 32],
    /// What it grants at most.
    pub scopes: Vec<String>,
}

/// What an attempt showed.
pub(super) enum Shown {
    /// No token that could count.
    Nothing,
    /// A good one.
    Good(Invited),
    /// One that lets nobody in, or not this device.
    Wrong,
}

impl Shown {
    /// Looks at the token, unless whoever shows it is locked out.
    pub(super) fn judge(attempt: &Attempt<'_>, tokens: &dyn DeviceTokens, blocked: bool) -> Shown {
        let token = attempt.credentials.bootstrap_token().filter(|_| !blocked && attempt.version >= Version::V4);
        let Some((token, device_id)) = token.zip(attempt.device_id) else { return Shown::Nothing };
        match tokens.verify_bootstrap_token(device_id, attempt.role, token, attempt.now_ms) {
            Some(invited) => Shown::Good(invited),
            None => Shown::Wrong,
        }
    }

    pub(super) fn is_wrong(&self) -> bool {
        matches!(self, Shown::Wrong)
    }

    /// The word for the log.
    pub(super) fn word(&self) -> Option<&'static str> {
        self.is_wrong().then_some("bootstrap_token_invalid")
    }
}
