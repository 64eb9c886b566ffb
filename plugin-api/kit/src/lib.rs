//! Calls a plugin as the gateway does, in a test: without any socket, and outside any async runtime, so that a plugin
//! which needs one without saying so is found out. A [`Harness`] makes an instance through the very table that a loaded
//! library exports, and a [`Running`] one is asked, told of events, and stopped.
//!
//! What a gateway would refuse or suffer from fails the test by name, at the next thing the test does with the harness:
//! an event that the manifest does not declare, an interim answer of a method that declares none, a second final answer,
//! malformed JSON, a result that does not fit its schema, an effect before `start`, anything at all after `destroy`.
//! Dropping a [`Running`] stops it and checks that it gave everything back: timers, subscriptions, authorities, calls.
//!
//! Time is virtual unless [`Harness::real_time`] is asked for: [`Running::advance`] moves it, timer by timer, and waits
//! until what each set off has come to rest. Waits are bounded and say what they waited for.
//!
//! ```
//! use std::sync::{Arc, LazyLock};
//! use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup};
//! use plugin_kit::Harness;
//! use serde_json::json;
//!
//! struct Counter(std::sync::atomic::AtomicU64);
//!
//! static METHODS: LazyLock<Methods<Counter>> =
//!     LazyLock::new(|| Methods::new().add(Method::operator("count", &["operator.read"]), Counter::count));
//!
//! impl Plugin for Counter {
//!     fn manifest() -> Manifest {
//!         Manifest::new("counter", "1.0.0").methods(&METHODS)
//!     }
//!     fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
//!         Ok(Counter(Default::default()))
//!     }
//!     fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
//!         METHODS.dispatch(self, call)
//!     }
//! }
//!
//! impl Counter {
//!     async fn count(self: Arc<Self>, _: Call, _: NoParams) -> Result<u64, MethodError> {
//!         Ok(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
//!     }
//! }
//!
//! let plugin = Harness::new::<Counter>().start();
//! assert_eq!(plugin.call("count", json!({})).payload(), 0);
//! assert_eq!(plugin.call("count", json!({})).payload(), 1);
//! assert_eq!(plugin.call("count", json!({"step": 2})).error().code, "INVALID_REQUEST");
//! ```

mod harness;
mod running;

pub mod checks;
mod transcript;

mod outcome;
pub mod sample;
mod stub;
mod who;

mod calls;
mod clock;
pub mod http;
mod made_up;
mod pool;
mod rows;
mod services;
mod sink;
mod world;

pub use harness::Harness;
pub use outcome::{CancelReason, Outcome, PendingCall};
pub use running::Running;
pub use stub::{Asked, StubCall};
pub use transcript::same;
pub use who::Who;
pub use world::{Emitted, LogLine};
