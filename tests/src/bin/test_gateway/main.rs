//! A gateway with plugins made for tests: each of their methods does one thing that no product plugin should do.
//! `system` and `health` are linked in as well, because they show how plugins are doing.

mod grumpy;
mod spike;
mod tides;
mod vault;

use plugin_health as _;
use plugin_system as _;

fn main() -> std::process::ExitCode {
    clawhost::run()
}
