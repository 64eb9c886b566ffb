//! `[plugins.signal.config]`

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// Numbers that can be configured.
const MOST_ACCOUNTS: usize = 16;
/// Largest file in bytes: signal-cli reads no longer text in a request.
const LARGEST_MEDIA: usize = 14 * 1024 * 1024;

/// `[plugins.signal.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SignalConfig {
    /// Where signal-cli's daemon listens: `http://127.0.0.1:8080`, `tcp://127.0.0.1:7583` or `unix:/run/signal-cli/socket`.
    pub address: Option<String>,
    /// Whether the daemon may be on another machine without https. It has no authentication of its own.
    pub allow_remote: bool,
    /// The number it speaks for; needed where the daemon has several.
    pub account: Option<String>,
    /// Further numbers of the same daemon.
    pub accounts: Vec<String>,
    /// What a device that is linked here is called on the telephone.
    #[schemars(length(min = 1))]
    pub device_name: String,
    /// Whether people see that an agent has their message.
    pub read_receipts: bool,
    /// Whether what one writes to oneself (Note to Self) on another device is heard.
    pub note_to_self: bool,
    /// Whether Markdown becomes Signal's bold, italic, monospace, struck through and spoilers.
    pub markdown: bool,
    /// Whether files that come in are fetched for agents.
    pub fetch_media: bool,
    /// Whether files to send may be named by http addresses of this machine.
    pub local_media: bool,
    /// Largest file, in bytes, in and out.
    #[schemars(range(min = 1, max = LARGEST_MEDIA))]
    pub max_media_bytes: usize,
    /// Most files of a message, in and out.
    pub max_media: usize,
    /// Longest text of one message in bytes; a longer one is cut into several. What Signal's apps show ends at 65536.
    #[schemars(range(min = 200, max = 65_536))]
    pub max_message_bytes: usize,
    /// Largest message that the daemon may tell of, in bytes, without its files.
    #[schemars(range(min = 4_096))]
    pub max_event_bytes: usize,
    /// Messages that are kept until they are taken. With more nothing is read from the daemon.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_waiting: usize,
    /// Time to connect.
    #[schemars(range(min = 1))]
    pub connect_timeout_ms: u64,
    /// Time without a sign of life of the daemon after which it is connected anew. It gives one every 15 seconds.
    #[schemars(range(min = 10))]
    pub stall_timeout_ms: u64,
    /// Time that the daemon may take for a request.
    #[schemars(range(min = 10))]
    pub request_timeout_ms: u64,
    /// Time until the daemon is connected, or a message handed over, again; it doubles each time.
    #[schemars(range(min = 1))]
    pub retry_min_ms: u64,
    /// The longest such time.
    #[schemars(range(min = 1))]
    pub retry_max_ms: u64,
}

impl Default for SignalConfig {
    fn default() -> Self {
        SignalConfig {
            address: None,
            allow_remote: false,
            account: None,
            accounts: Vec::new(),
            device_name: "clawhost".to_string(),
            read_receipts: false,
            note_to_self: false,
            markdown: true,
            fetch_media: true,
            local_media: false,
            max_media_bytes: 8 * 1024 * 1024,
            max_media: 10,
            max_message_bytes: 60_000,
            max_event_bytes: 1024 * 1024,
            max_waiting: 1_000,
            connect_timeout_ms: 10_000,
            stall_timeout_ms: 60_000,
            request_timeout_ms: 60_000,
            retry_min_ms: 1_000,
            retry_max_ms: 60_000,
        }
    }
}

impl SignalConfig {
    /// The numbers, the default one first; none where the daemon has only one.
    pub fn numbers(&self) -> Result<Vec<String>, String> {
        let mut numbers: Vec<String> = Vec::new();
        let all = self.account.iter().map(|number| ("account", number));
        for (key, number) in all.chain(self.accounts.iter().map(|number| ("accounts", number))) {
            let number = number.trim();
            if !crate::target::is_number(number) {
                return Err(format!("{key}: {number:?} is no number such as \"+4915112345678\""));
            }
            if !numbers.iter().any(|known| known == number) {
                numbers.push(number.to_string());
            }
        }
        if numbers.len() > MOST_ACCOUNTS {
            return Err(format!("accounts: at most {MOST_ACCOUNTS} numbers are possible"));
        }
        Ok(numbers)
    }

    /// How long to wait after so many failures in a row.
    pub fn pause(&self, failures: u32) -> Duration {
        let doubled = self.retry_min_ms.saturating_mul(1 << failures.saturating_sub(1).min(20));
        Duration::from_millis(doubled.min(self.retry_max_ms).max(1))
    }

    /// How long the daemon may take for a request.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }
}
