//! What a handler returns when it fails, and what plugins return when they cannot be made.

use std::time::Duration;

use schemas::ErrorShape;
use serde_json::Value;

/// Why a method failed: one message for the peer, another for the log.
///
/// Any `std::error::Error` turns into one with `?`: the peer then hears that the method failed, and the log hears why.
#[derive(Debug, Clone)]
pub struct MethodError {
    shape: Box<ErrorShape>,
    detail_for_log: Option<String>,
}

impl MethodError {
    /// An error with a code of [`schemas::error::code`] and a sentence for the peer.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self::from_shape(ErrorShape::new(code, message))
    }

    /// An error with everything the peer hears.
    pub fn from_shape(shape: ErrorShape) -> Self {
        MethodError { shape: Box::new(shape), detail_for_log: None }
    }

    /// The request is wrong; repeating it will not help.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::from_shape(ErrorShape::invalid_request(message))
    }

    /// The method cannot answer now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::from_shape(ErrorShape::unavailable(message))
    }

    /// The caller lacks a scope that this request needs because of its parameters. The host words it for the caller's
    /// protocol version.
    pub fn missing_scope(scope: &str) -> Self {
        Self::from_shape(ErrorShape::missing_scope(scope, &[scope.to_string()]))
    }

    /// Adds facts for programs.
    pub fn with_details(mut self, details: Value) -> Self {
        self.shape.details = Some(details);
        self
    }

    /// A later try may succeed.
    pub fn retryable(mut self) -> Self {
        self.shape.retryable = Some(true);
        self
    }

    /// A later try may succeed, after this long.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.shape.retryable = Some(true);
        self.shape.retry_after_ms = Some(wait.as_millis() as u64);
        self
    }

    /// What the log shall hold beside the peer's message: paths, causes, whatever helps the operator.
    pub fn log(mut self, detail: impl std::fmt::Display) -> Self {
        self.detail_for_log = Some(detail.to_string());
        self
    }

    /// What goes to the peer.
    pub fn shape(&self) -> &ErrorShape {
        &self.shape
    }

    /// What goes to the log.
    pub fn detail_for_log(&self) -> Option<&str> {
        self.detail_for_log.as_deref()
    }
}

impl std::fmt::Display for MethodError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.detail_for_log {
            Some(detail) => write!(f, "{} ({detail})", self.shape),
            None => self.shape.fmt(f),
        }
    }
}

impl<E: std::error::Error> From<E> for MethodError {
    fn from(error: E) -> Self {
        let mut detail = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            detail.push_str(": ");
            detail.push_str(&inner.to_string());
            cause = inner.source();
        }
        MethodError::unavailable("the method failed; the gateway's log has the details").log(detail)
    }
}

/// Why `create` gave no instance: a sentence for the operator, who sees it with file, table and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateError(String);

impl CreateError {
    /// Why, in a sentence.
    pub fn new(why: impl Into<String>) -> Self {
        CreateError(why.into())
    }
}

impl std::fmt::Display for CreateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for CreateError {
    fn from(error: E) -> Self {
        CreateError(error.to_string())
    }
}

/// Why `start` did not go live: a sentence for the operator.
pub type StartError = CreateError;
