//! The gateway host. It owns sockets, identity and order, and knows no method: everything a client can ask for comes from
//! a plugin, and what it advertises is the sorted content of its registry.
//!
//! A gateway with plugins of one's own is a `main.rs` of a few lines:
//!
//! ```no_run
//! // use plugin_weather as _;   // one line a plugin: the linker drops crates that nobody names
//! fn main() -> std::process::ExitCode {
//!     clawhost::run()
//! }
//! ```
//!
//! The way of a frame: [`http`] (accept, Host and Origin, upgrade) → [`connection`] (challenge, [`handshake`], joining)
//! → [`dispatch`] ([`registry`] entry, [`access`], parameters, [`idempotency`]) → a plugin, which sees the host through
//! [`host_side`] → [`answer`] → [`outbox`] → [`socket`]. Events go from [`host_side`] through [`events`] to every
//! [`outbox`].

pub mod access;
pub mod answer;
pub mod audit;
pub mod auth;
pub mod authority;
pub mod boot;
pub mod broadcasts;
pub mod calls;
pub mod capabilities;
pub mod claims;
pub mod config;
pub mod config_watch;
pub mod connection;
pub mod connections;
pub mod deadlines;
pub mod device_auth;
pub mod dispatch;
pub mod doorkeeper;
pub mod doors;
pub mod doorway;
pub mod events;
pub mod exchange;
pub mod failures;
pub mod frames;
pub mod gateway;
pub mod gateway_key;
pub mod grants;
pub mod handover;
pub mod handshake;
pub mod hello;
pub mod holdings;
pub mod host_side;
pub mod http;
pub mod idempotency;
pub mod lingering;
pub mod listener;
pub mod loader;
pub mod locality;
pub mod logging;
pub mod mailbox;
pub mod metrics;
pub mod named_tokens;
pub mod outbox;
pub mod own_ports;
pub mod pairing;
pub mod place;
pub mod plugin;
pub mod plugin_books;
pub mod plugins;
pub mod record;
pub mod redact;
pub mod refusals;
pub mod registry;
pub mod revocation;
mod run;
#[cfg(all(test, feature = "schedules"))]
mod schedules;
pub mod secret;
pub mod services;
pub mod snapshot;
pub mod socket;
pub mod state;
pub mod store;
pub mod surfaces;
mod sync;
pub mod tailscale;
pub mod tick;
pub mod timers;
pub mod tls;
pub mod tokens;
pub mod upgrade;
pub mod validation;

pub use run::{EXIT_CONFIG, RunArgs, run, serve};
