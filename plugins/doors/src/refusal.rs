//! Why a request is not answered as it was meant, in the shape that OpenAI's clients read.

use plugin_api::MethodError;
use plugin_api::contracts::backend::code as backend;
use plugin_api::contracts::run::{RunOutcome, status};
use plugin_api::http::Response;
use schemas::error::code;
use serde_json::{Value, json};

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub status: u16,
    pub message: String,
    pub param: Option<String>,
    pub code: Option<&'static str>,
    pub retry_after_ms: Option<u64>,
    /// The limit that was met, by its key.
    pub limit: Option<&'static str>,
}

impl Refusal {
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Refusal { status, message: message.into(), param: None, code: None, retry_after_ms: None, limit: None }
    }

    /// What the client sent cannot be taken, because of this parameter.
    pub fn of(param: impl Into<String>, message: impl Into<String>) -> Self {
        Refusal { param: Some(param.into()), ..Self::new(400, message) }
    }

    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// `type` of the error.
    fn kind(&self) -> &'static str {
        match self.status {
            404 => "not_found_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            504 => "timeout_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        }
    }

    /// The error alone, as streams carry it.
    pub fn json(&self) -> Value {
        let mut error = json!({ "message": self.message, "type": self.kind(), "param": self.param, "code": self.code });
        if let Some(limit) = self.limit {
            error["details"] = json!({ "limit": limit });
        }
        error
    }

    /// The code, or what stands in its place.
    pub fn code_or_kind(&self) -> &'static str {
        self.code.unwrap_or_else(|| self.kind())
    }

    pub fn response(&self) -> Response {
        let response = Response::json(&json!({ "error": self.json() })).with_status(self.status);
        match self.retry_after_ms {
            Some(ms) => response.header("retry-after", &ms.div_ceil(1000).max(1).to_string()),
            None => response,
        }
    }

    /// A method did not do what it was called for.
    pub fn of_method(error: &MethodError) -> Self {
        let shape = error.shape();
        let status = match shape.code.as_str() {
            code::INVALID_REQUEST => 400,
            code::FORBIDDEN => 403,
            code::AGENT_TIMEOUT => 504,
            _ => 503,
        };
        Refusal { retry_after_ms: shape.retry_after_ms, ..Self::new(status, &shape.message) }
    }

    /// A run did not end well; `None` if it did.
    pub fn of_outcome(outcome: &RunOutcome) -> Option<Self> {
        let (status, code, fallback) = match (outcome.status.as_str(), outcome.error_code.as_deref()) {
            (status::OK, _) => return None,
            (status::TIMEOUT, _) | (_, Some(code::AGENT_TIMEOUT)) => (504, "timeout", "the run took too long"),
            (status::ABORTED, _) => (500, "run_aborted", "somebody stopped the run"),
            (status::INTERRUPTED, _) => (503, "interrupted", "the gateway stopped while it ran"),
            (_, Some(backend::RATE_LIMIT)) => (429, "rate_limit_exceeded", "the model takes no more requests just now"),
            (_, Some(backend::OVERLOADED | backend::UNREACHABLE)) => {
                (503, "model_unavailable", "the model cannot be reached just now")
            }
            (_, Some(backend::CONTEXT_LENGTH)) => (400, "context_length_exceeded", "the conversation is too long"),
            _ => (500, "run_failed", "the run failed"),
        };
        let message = outcome.error.clone().unwrap_or_else(|| fallback.to_string());
        Some(Self::new(status, message).code(code))
    }
}
