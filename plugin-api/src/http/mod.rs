//! HTTP on the gateway's port, for pages, webhooks, streams and WebSockets: `gwp.http/1`.
//!
//! The manifest names the paths ([`HttpSpec`]); [`crate::Plugin::http`] answers what comes below them. A request is an
//! [`Exchange`] until it is answered: at once with [`Exchange::respond`], piece by piece with [`Exchange::stream`], or as
//! a [`WebSocket`] with [`Exchange::upgrade`]. When the client goes, the future is dropped where it waits, as with a call.
//!
//! ```
//! # use std::sync::Arc;
//! # use plugin_api::{http, Call, CreateError, Host, Manifest, Plugin, Reply, Setup};
//! use plugin_api::http::{Exchange, HttpSpec, Response};
//!
//! struct Hooks;
//!
//! impl Plugin for Hooks {
//!     fn manifest() -> Manifest {
//!         Manifest::new("hooks", "1.0.0").http(HttpSpec::gateway("/hooks").verbs(&["POST"]).max_body(256 * 1024))
//!     }
//!     // …
//! #    fn create(_: Host, _: Setup) -> Result<Self, CreateError> { Ok(Hooks) }
//! #    async fn call(self: Arc<Self>, call: Call) -> Reply { Reply::unknown_method(call.method()) }
//!     async fn http(self: Arc<Self>, mut exchange: Exchange) -> http::Result {
//!         let body = exchange.body().await?;
//!         exchange.respond(Response::json(&serde_json::json!({ "ok": true, "bytes": body.len() }))).await
//!     }
//! }
//! ```

mod exchange;
mod response;
mod spec;
mod wire;

pub use exchange::{Body, Exchange, Head, Outgoing};
pub use response::Response;
pub use spec::{Admission, HttpSpec};
pub(crate) use wire::{Answering, Exchanges};

mod websocket;
pub use websocket::{Message, WebSocket};

use crate::host::HostError;

/// Headers, in lower case, by which a proxy speaks about the request before it.
pub const FORWARDING_HEADERS: [&str; 4] = ["x-forwarded-for", "x-real-ip", "x-forwarded-host", "forwarded"];

/// How a handler ends: `Ok` when it has answered.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// Why an exchange was not answered as it should have been.
#[derive(Debug)]
pub enum Error {
    /// The client has gone, or the host ended the exchange; nobody hears more.
    Gone,
    /// The host refused what the plugin said, or the plugin failed. The client hears status 500, or sees that the answer
    /// was cut off when it had begun; the log has the reason.
    Failed(String),
    /// What the client sent cannot be answered; it hears this, if nothing was answered yet.
    Answer(Response),
}

impl Error {
    /// The plugin failed; this is for the log.
    pub fn failed(why: impl ToString) -> Self {
        Error::Failed(why.to_string())
    }
}

impl From<HostError> for Error {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Gone => Error::Gone,
            other => Error::Failed(other.to_string()),
        }
    }
}

impl From<Response> for Error {
    fn from(response: Response) -> Self {
        Error::Answer(response)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Gone => f.write_str("the exchange is over"),
            Error::Failed(why) => f.write_str(why),
            Error::Answer(response) => write!(f, "answered with status {}", response.code()),
        }
    }
}

impl std::error::Error for Error {}
