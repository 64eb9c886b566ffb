//! [`Wires`] as a shared library.

#[path = "../src/bin/test_gateway/wires.rs"]
mod wires;

use wires::Wires;

plugin_api::dylib!(Wires);
