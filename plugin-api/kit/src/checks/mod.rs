//! One suite for every plugin, in whatever language it is written: what the interface asks of it, tried out by a host
//! that is sometimes busy, sometimes gone, and always watching. `clawhost plugins check FILE` runs each check in a process
//! of its own, because the plugin under test may end the process; a test may run them in its own.
//!
//! Methods are called with parameters made up from their schemas; `examples` in a schema are used first. The methods are
//! really called, with a host that is made up: what a plugin does by itself, such as writing a file, it does.
//!
//! ```
//! use plugin_kit::checks::{self, Subject, Verdict};
//! # use std::sync::Arc;
//! # use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};
//! # struct Quiet;
//! # impl Plugin for Quiet {
//! #     fn manifest() -> Manifest { Manifest::new("quiet", "1.0.0") }
//! #     fn create(_: Host, _: Setup) -> Result<Self, CreateError> { Ok(Quiet) }
//! #     async fn call(self: Arc<Self>, call: Call) -> Reply { Reply::unknown_method(call.method()) }
//! # }
//!
//! let subject = Subject::of::<Quiet>();
//! for check in checks::ALL {
//!     assert!(!matches!(check.run(&subject), Verdict::Failed(_)), "{}", check.name);
//! }
//! ```

mod bench;
mod life;
mod requests;
mod shape;
mod strain;
mod trouble;
mod usage;

use std::sync::Arc;

use plugin_api::abi::gwp_entry;
use plugin_api::{Plugin, glue};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use bench::Bench;

/// A plugin to be checked.
#[derive(Clone)]
pub struct Subject {
    entry: &'static gwp_entry,
    config: Option<Value>,
    on_step: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Subject {
    /// A plugin that is linked in.
    pub fn of<P: Plugin>() -> Self {
        Self::of_entry(const { &glue::entry::<P>() })
    }

    /// Whatever this entry makes.
    pub fn of_entry(entry: &'static gwp_entry) -> Self {
        Subject { entry, config: None, on_step: Arc::new(|_| {}) }
    }

    /// The plugin in this shared library. Its initialisers run.
    #[cfg(feature = "load")]
    pub fn open(path: &std::path::Path) -> Result<Self, plugin_api::hosting::OpenError> {
        plugin_api::hosting::open(path).map(Self::of_entry)
    }

    /// The configuration to make instances with; without it one is made up from the manifest's schema.
    pub fn config(mut self, config: Value) -> Self {
        self.config = Some(config);
        self
    }

    /// Who hears what is done next: the last thing heard is what a crash came from.
    pub fn on_step(mut self, hear: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_step = Arc::new(hear);
        self
    }
}

/// One thing that is checked.
pub struct Check {
    /// Its name on the command line.
    pub name: &'static str,
    /// What holds of a plugin that passes.
    pub about: &'static str,
    run: fn(&mut Bench) -> Done,
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "verdict", content = "why")]
pub enum Verdict {
    /// Nothing was found.
    Passed,
    /// What was found, a sentence each.
    Failed(Vec<String>),
    /// There is nothing to check here, and why.
    Skipped(String),
}

/// What a check gives back: findings are kept by the bench.
type Done = Result<(), Skip>;

/// Why a check has nothing to look at.
struct Skip(String);

/// Every check, in the order in which they tell most.
pub const ALL: &[Check] = &[
    Check { name: "entry", about: "the entry has magic, size and functions of this interface", run: shape::entry },
    Check {
        name: "manifest",
        about: "the manifest is pure, valid, and its names are free to take",
        run: shape::manifest,
    },
    Check {
        name: "create",
        about: "an instance is made without outward effect, and can be thrown away",
        run: life::create,
    },
    Check {
        name: "bad-config",
        about: "a wrong configuration fails with a reason and leaves nothing behind",
        run: life::bad_config,
    },
    Check {
        name: "answers",
        about: "each method answers once, as declared, in well-formed JSON",
        run: requests::answers,
    },
    Check {
        name: "unknown-method",
        about: "a method that is not its own is answered with an error",
        run: requests::unknown_method,
    },
    Check { name: "later-host", about: "longer records of a later host are understood", run: requests::later_host },
    Check { name: "calls-at-once", about: "1,000 calls from 8 threads are each answered", run: strain::calls_at_once },
    Check { name: "cancel", about: "a cancel before, during and after a call is harmless", run: strain::cancel },
    Check { name: "late-answers", about: "an answer that comes too late is harmless", run: trouble::late_answers },
    Check { name: "busy-host", about: "a host that is too busy for anything is survived", run: trouble::busy },
    Check { name: "gone-host", about: "a host for which everything is gone is survived", run: trouble::gone },
    Check { name: "bare-host", about: "a host without optional extensions is survived", run: trouble::bare },
    Check { name: "stop-under-load", about: "a stop amid calls is done in time", run: strain::stop_under_load },
    Check { name: "silence", about: "after the end nothing is heard of it", run: life::silence },
    Check {
        name: "again",
        about: "a second instance takes over from the first, and a third can be made",
        run: life::again,
    },
];

/// The check of this name.
pub fn find(name: &str) -> Option<&'static Check> {
    ALL.iter().find(|check| check.name == name)
}

impl Check {
    /// Runs it in this process.
    pub fn run(&self, subject: &Subject) -> Verdict {
        let mut bench = Bench::new(subject);
        match bench.guarded(self.run) {
            _ if !bench.findings.is_empty() => Verdict::Failed(bench.findings),
            Some(Err(Skip(why))) => Verdict::Skipped(why),
            Some(Ok(())) | None => Verdict::Passed,
        }
    }
}
