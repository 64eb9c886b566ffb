//! What plugins reach the world with, so that each need not bring it: services over HTTP with their keys ([`http`],
//! [`service`], [`multipart`]), their streams ([`sse`]), other people's programs ([`child`]), and what agent backends tell of failures
//! and make of a conversation ([`backend`]). Everything in here runs inside tokio: a plugin that uses it says
//! `plugin_api::plugin!(X, runtime = tokio)`.

pub mod backend;
pub mod child;
pub mod http;
pub mod multipart;
pub mod service;
pub mod sse;
#[cfg(feature = "stand-in")]
pub mod stand_in;

pub use hyper::{self, HeaderMap, Method, StatusCode};

/// Waits for a future for so long at most; `None` when that was not enough.
pub async fn timeout<T>(limit: std::time::Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, future).await.ok()
}
