//! The gateway protocol from the client's side: who connects, how it stays connected, what it asks and what it hears.
//! The command line, the tests and the load tool stand on it; it knows the wire (`schemas`) and nothing of the host, a
//! plugin or a method.
//!
//! Reading order: [`options`] (what a connection is told), [`connection`] (one socket from challenge to close),
//! [`reconnect`] (many sockets, one after another), [`event`], [`hello`], [`error`]; then [`identity`] and
//! [`token_store`] (what is kept on disk) and [`tls`].
//!
//! ```no_run
//! # async fn example() -> Result<(), client::ClientError> {
//! use client::{ConnectOptions, Connection};
//! let connection = Connection::open(ConnectOptions::new("ws://127.0.0.1:18789").token("secret")).await?;
//! let health: serde_json::Value = connection.request("health", serde_json::json!({})).await?;
//! println!("{health}");
//! connection.close().await;
//! # Ok(())
//! # }
//! ```

pub mod connection;
pub mod options;
pub mod reconnect;

pub mod backoff;
pub mod error;
pub mod event;
pub mod hello;
pub mod identity;
pub mod retry;
pub mod tls;
pub mod token_store;

mod driver;
mod endpoint;
mod handshake;
mod inbound;
mod pending;
mod private_file;

pub use backoff::Backoff;
pub use connection::Connection;
pub use error::ClientError;
pub use event::{Event, EventStream};
pub use hello::Hello;
pub use identity::{Challenge, Identity, PayloadForm};
pub use options::{ConnectOptions, Direction};
pub use reconnect::{Client, State};
pub use tls::{Fingerprint, TlsOptions};
pub use token_store::{StoredToken, TokenKey, TokenStore};
