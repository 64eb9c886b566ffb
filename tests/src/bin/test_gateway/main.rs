//! A gateway with plugins made for tests: each of their methods does one thing that no product plugin should do.
//! `system` and `health` are linked in as well, because they show how plugins are doing, and `sessions`, because much of
//! what it does is asked by plugins only.

mod grumpy;
mod session_store;
mod spike;
mod tides;
mod unruly;
mod vault;
mod wires;

use plugin_health as _;
use plugin_sessions as _;
use plugin_system as _;

plugin_api::plugin!(wires::Wires);

fn main() -> std::process::ExitCode {
    clawhost::run()
}
