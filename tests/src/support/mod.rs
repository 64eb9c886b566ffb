//! Gateways, clients, and the words tests are written in.

mod binary;
mod checks;
mod client;
mod connect;
mod door;
mod gateway;
mod http;
mod key;
mod memory;
mod pattern;
mod process;
mod proxy;
mod secrets;

pub use binary::{clawhost, example_library};
pub use checks::Checks;
pub use client::{Client, Close, Frame, PATIENCE};
pub use connect::{Connect, Payload, Refused};
pub use door::{Carrier, Door};
pub use gateway::{Builder, Gateway, Knock, Stopped, TOKEN};
pub use http::{Answer, Raw, frame_header, http, http_afterwards, http_at};
pub use key::Key;
pub use memory::resident_kib;
pub use pattern::mismatch;
pub use proxy::{Proxy, Way};
