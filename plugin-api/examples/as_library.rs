//! How does a plugin become a library that a gateway loads? By a crate of its own with `crate-type = ["cdylib"]` and one
//! line: `cargo build --example as_library --features tokio`

#[allow(dead_code)]
#[path = "network.rs"]
mod network;

plugin_api::dylib!(network::Dictionary, runtime = tokio);
