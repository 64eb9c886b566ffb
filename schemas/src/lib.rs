//! The wire core of the gateway protocol as types: frames, `connect`, `hello-ok`, errors, presence entries, scopes and
//! the text a device signs. Everything here follows from the protocol alone; nothing knows the host, a plugin or a
//! method.
//!
//! Reading order: [`frame`] (what travels), [`connect`] and [`hello`] (the handshake), [`device`] (who signs what),
//! [`scope`] (what a scope satisfies), [`error`] and [`json`] (what goes wrong), [`presence`], [`trace`], and the numbers in [`protocol`] and [`bounds`].

pub mod bounds;
pub mod connect;
#[cfg(feature = "device")]
pub mod device;
pub mod error;
pub mod frame;
pub mod hello;
pub mod json;
pub mod presence;
pub mod protocol;
pub mod scope;
#[cfg(feature = "device")]
pub mod setup_code;
pub mod trace;

pub use error::ErrorShape;
pub use presence::PresenceEntry;

/// Milliseconds since the Unix epoch, as every `…At`, `…AtMs` and `ts` field of the wire holds them.
pub fn unix_ms(time: std::time::SystemTime) -> u64 {
    time.duration_since(std::time::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
}

/// The wall clock in milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    unix_ms(std::time::SystemTime::now())
}
