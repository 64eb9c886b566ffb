//! The error every failed request carries.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Error codes of the wire.
pub mod code {
    /// The request is wrong; repeating it will not help.
    pub const INVALID_REQUEST: &str = "INVALID_REQUEST";
    /// The gateway or the method cannot answer now.
    pub const UNAVAILABLE: &str = "UNAVAILABLE";
    /// The device is not paired, or has no identity.
    pub const NOT_PAIRED: &str = "NOT_PAIRED";
    /// A channel is not linked to its account.
    pub const NOT_LINKED: &str = "NOT_LINKED";
    /// An agent run hit its deadline.
    pub const AGENT_TIMEOUT: &str = "AGENT_TIMEOUT";
    /// A scope is missing (protocol 4; protocol 3 says `INVALID_REQUEST`).
    pub const FORBIDDEN: &str = "FORBIDDEN";
}

/// `details.code` of what the gateway's end cut short: a call, or a run of an agent.
pub const STOPPING: &str = "STOPPING";

/// Why a request failed. It is data, not a `std::error::Error`: what goes on the wire is chosen, never converted by
/// accident. Optional fields are left out, never `null`: clients drop a frame with `"error":null` in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErrorShape {
    /// One of [`code`], or a code a plugin documents.
    #[schemars(length(min = 1))]
    pub code: String,
    /// A sentence for people. Clients search some of these texts, so they are part of the contract.
    #[schemars(length(min = 1))]
    pub message: String,
    /// Facts for programs; usually an object with a `code` of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// Whether the same request may succeed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// When to try again, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ErrorShape {
    /// An error with a code and a sentence.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        let message = if message.is_empty() { "unknown error".to_string() } else { message };
        ErrorShape { code: code.into(), message, details: None, retryable: None, retry_after_ms: None }
    }

    /// `INVALID_REQUEST` with this sentence.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_REQUEST, message)
    }

    /// `UNAVAILABLE` with this sentence.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(code::UNAVAILABLE, message)
    }

    /// The scope a caller lacks, in the form of protocol 4. The host words it for the version of the connection.
    pub fn missing_scope(missing: &str, required: &[String]) -> Self {
        Self::new(code::FORBIDDEN, format!("missing scope: {missing}")).with_details(serde_json::json!({
            "code": "MISSING_SCOPE", "missingScope": missing, "requiredScopes": required,
        }))
    }

    /// Adds facts for programs.
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// Marks the error as one a later try may not meet.
    pub fn retry_after(mut self, after_ms: u64) -> Self {
        self.retryable = Some(true);
        self.retry_after_ms = Some(after_ms);
        self
    }

    /// Marks the error as one a later try may not meet, without saying when.
    pub fn retryable(mut self) -> Self {
        self.retryable = Some(true);
        self
    }
}

impl std::fmt::Display for ErrorShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}
