//! The channel of `plugin-api/examples/channel.rs`, as the library that a gateway loads.

#[allow(dead_code)]
#[path = "../../plugin-api/examples/channel.rs"]
mod channel;

plugin_api::dylib!(channel::Mailbox);
