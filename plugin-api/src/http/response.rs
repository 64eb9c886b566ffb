//! What an exchange is answered with.

use serde::Serialize;

/// A status, headers and a body. The host says the length and closes, and refuses headers that are the connection's
/// (`connection`, `transfer-encoding`, `upgrade`, …).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Response {
    /// A status, and its reason as text for those that have no body of their own.
    pub fn status(status: u16) -> Self {
        let reason = match status {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            409 => "Conflict",
            413 => "Payload Too Large",
            415 => "Unsupported Media Type",
            426 => "Upgrade Required",
            429 => "Too Many Requests",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            _ => return Response { status, headers: Vec::new(), body: Vec::new() },
        };
        Self::text(reason).with_status(status)
    }

    /// 200 with plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::body("text/plain; charset=utf-8", text.into())
    }

    /// 200 with a page.
    pub fn html(page: impl Into<String>) -> Self {
        Self::body("text/html; charset=utf-8", page.into())
    }

    /// 200 with JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => Self::body("application/json", json),
            Err(_) => Self::status(500),
        }
    }

    /// 200 with bytes of this type.
    pub fn body(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Response { status: 200, headers: Vec::new(), body: body.into() }.header("content-type", content_type)
    }

    /// 200 and a content type; the body is for [`crate::http::Exchange::stream`].
    pub fn begin(content_type: &str) -> Self {
        Self::body(content_type, Vec::new())
    }

    /// With another status.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_string()));
        self
    }

    /// Its status.
    pub fn code(&self) -> u16 {
        self.status
    }

    /// Its headers.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Its body.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The headers as the interface wants them; with the length of the body if that is all.
    pub(super) fn headers_json(&self, whole: bool) -> String {
        let mut headers: Vec<(&str, String)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let bodiless = self.status == 204 || self.status == 304 || self.status < 200;
        if whole && !bodiless && !headers.iter().any(|(name, _)| *name == "content-length") {
            headers.push(("content-length", self.body.len().to_string()));
        }
        serde_json::to_string(&headers).unwrap_or_default()
    }
}
