//! What the tests of the product share: gateways as processes, and a client that watches the protocol's rules while it
//! is used. The product's own client is not used here on purpose: a test must be able to send what no client sends.

pub mod abi_set;
pub mod chance;
pub mod command_line;
pub mod compiler;
pub mod foreign;
pub mod fuzzed;
pub mod header;
pub mod libraries;
pub mod program;
pub mod projects;
pub mod prometheus;
pub mod published;
pub mod reloading;
pub mod seeds;
pub mod support;
