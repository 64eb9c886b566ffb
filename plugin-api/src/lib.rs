//! The boundary between the gateway and its methods. A plugin says what it serves in a [`Manifest`] and answers
//! [`Call`]s; it sees the host as a [`Host`]. One that is linked in and one that is loaded from a library go through the
//! same table of C functions ([`abi`]), so there is one road into the registry and one set of rules.
//!
//! Reading order: [`Plugin`], [`Methods`] (typed handlers), [`Call`] and [`Reply`], [`Host`], [`Manifest`], [`http`]
//! (pages, webhooks, WebSockets), [`catalogue`] (what the host itself serves to plugins), [`contracts`] (what plugins ask
//! of each other: agent backends, message channels). [`abi`] and [`hosting`] are for those who build hosts.
//!
//! ```
//! use std::sync::{Arc, LazyLock};
//! use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, Plugin, Reply, Setup};
//! use serde::{Deserialize, Serialize};
//!
//! struct Greeter;
//!
//! #[derive(Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Who { name: String }
//!
//! #[derive(Serialize, schemars::JsonSchema)]
//! struct Greeting { text: String }
//!
//! static METHODS: LazyLock<Methods<Greeter>> = LazyLock::new(|| {
//!     Methods::new().add(Method::operator("greet", &["operator.read"]).summary("Greets somebody."), Greeter::greet)
//! });
//!
//! impl Plugin for Greeter {
//!     fn manifest() -> Manifest {
//!         Manifest::new("greeter", "1.0.0").methods(&METHODS)
//!     }
//!     fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
//!         Ok(Greeter)
//!     }
//!     fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
//!         METHODS.dispatch(self, call)
//!     }
//! }
//!
//! impl Greeter {
//!     async fn greet(self: Arc<Self>, _: Call, who: Who) -> Result<Greeting, MethodError> {
//!         Ok(Greeting { text: format!("Hello, {}!", who.name) })
//!     }
//! }
//!
//! plugin_api::plugin!(Greeter);
//! ```

#[allow(unsafe_code)]
pub mod abi;
mod call;
pub mod catalogue;
pub mod contracts;
mod error;
pub mod form;
#[allow(unsafe_code)]
pub mod glue;
mod heard;
mod host;
#[allow(unsafe_code)]
pub mod hosting;
pub mod http;
mod json_text;
mod kv;
pub mod lenient;
mod manifest;
mod methods;

use std::path::PathBuf;
use std::sync::Arc;

use serde::de::DeserializeOwned;

pub use call::{Call, Caller, Principal, Reply};
pub use error::{CreateError, MethodError, StartError};
pub use heard::HeardEvent;
pub use host::{
    Blocking, Emit, Host, HostError, Invoke, InvokeReply, Replies as InvokeReplies, Sleep, Spawned, Subscription,
};
pub use json_text::JsonText;
pub use kv::{Batch, Kv, Write, WriteError};
pub use manifest::{
    Audience, EventSpec, Exposure, Idempotency, Manifest, MethodSpec, OnDisconnect, Replies, schema_of,
};
pub use methods::{AnyParams, Method, Methods, NoParams};

/// `gwp.h`, the interface for authors who write in C: the text of the header.
pub const HEADER: &str = include_str!("../include/gwp.h");

#[doc(hidden)]
pub use inventory;

/// A plugin: the life of one.
///
/// 1. [`manifest`](Plugin::manifest) says what it serves. It is pure: the same bytes every time, no effect.
/// 2. [`create`](Plugin::create) `[control]` makes an instance from its configuration, without outward effect: a second
///    one may be made beside a running one, and may be thrown away. Until it has returned, subscribing, calling, publishing
///    and writing keys are [`HostError::Denied`], and what was spawned waits.
/// 3. [`start`](Plugin::start) `[control]` goes live: subscribe, poll, schedule.
/// 4. [`call`](Plugin::call) `[worker]` answers requests, several at once, on the host's threads. Its first poll should
///    return within about a millisecond; work that blocks goes through [`Host::blocking`], or the manifest says
///    `blocking`. A call whose deadline passes, or whose connection goes, is dropped where it waits; destructors run.
/// 5. [`quiesce`](Plugin::quiesce) `[control]` ends its own work (pollers, timers, jobs); calls are still answered.
/// 6. [`stop`](Plugin::stop) `[control]` ends the rest; no call comes after it. Then the instance is dropped.
///
/// A panic in any of these stays inside: a call answers `UNAVAILABLE`, a failed `create` disables the plugin.
pub trait Plugin: Send + Sync + Sized + 'static {
    /// What it serves.
    fn manifest() -> Manifest;

    /// Makes an instance; no outward effect yet. The error's sentence reaches the operator with file, table and key.
    fn create(host: Host, setup: Setup) -> Result<Self, CreateError>;

    /// Goes live.
    fn start(self: Arc<Self>) -> Result<(), StartError> {
        Ok(())
    }

    /// Answers a request. Write it as `async fn`, or hand it to [`Methods::dispatch`].
    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send;

    /// Answers HTTP below one of the paths of the manifest. See [`http`].
    fn http(self: Arc<Self>, exchange: http::Exchange) -> impl Future<Output = http::Result> + Send {
        async { exchange.respond(http::Response::status(404)).await }
    }

    /// Ends its own work; calls are still answered.
    fn quiesce(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Ends the rest.
    fn stop(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// What an instance is made from.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setup {
    /// The plugin's id, the name of its table in `config.toml`.
    pub id: String,
    /// The plugin's own folder; made when first asked for by [`Setup::data_dir`].
    data_dir: PathBuf,
    /// `[plugins.<id>.config]`, valid against the manifest's schema.
    #[serde(default)]
    config: serde_json::Value,
}

impl Setup {
    pub(crate) fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// The configuration as a type; an absent table reads as an empty one.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, CreateError> {
        let config = if self.config.is_null() { serde_json::json!({}) } else { self.config.clone() };
        serde_json::from_value(config).map_err(|error| CreateError::new(error.to_string()))
    }

    /// The plugin's own folder, made if it is not there yet.
    pub fn data_dir(&self) -> Result<&std::path::Path, CreateError> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(&self.data_dir)
            .map_err(|error| CreateError::new(format!("cannot make {}: {error}", self.data_dir.display())))?;
        Ok(&self.data_dir)
    }
}

/// A plugin that is linked in, as `inventory` collects it.
pub struct LinkedPlugin {
    /// Its entry, the same table a library exports.
    pub entry: &'static abi::gwp_entry,
    /// The crate that registered it.
    pub crate_name: &'static str,
}

inventory::collect!(LinkedPlugin);

/// Registers a plugin with the program it is linked into: `plugin_api::plugin!(Health);`.
///
/// The program must also name the crate (`use plugin_health as _;`), or the linker drops it and this registration.
///
/// A plugin's code runs on the host's threads, outside any runtime. One that uses tokio's timers or sockets says so:
/// `plugin_api::plugin!(Telegram, runtime = tokio);`, with feature `tokio` of this crate. Its code is then polled inside a
/// runtime that all such plugins of the program share; in a library ([`dylib!`]) the runtime is the library's own. What it
/// spawns with tokio instead of [`Host::spawn`] is its own to end. Without the declaration tokio's timers and sockets
/// panic ("there is no reactor running"), and the call answers `UNAVAILABLE`.
#[macro_export]
macro_rules! plugin {
    ($plugin:ty $(, runtime = $runtime:ident)? $(,)?) => {
        const _: () = {
            static ENTRY: $crate::abi::gwp_entry = $crate::__entry!(Program, $plugin $(, $runtime)?);
            $crate::inventory::submit! {
                $crate::LinkedPlugin { entry: &ENTRY, crate_name: env!("CARGO_CRATE_NAME") }
            }
        };
    };
}

/// Exports a plugin from a shared library: `plugin_api::dylib!(plugin_health::Health);`, the one line of a crate whose
/// `crate-type` is `cdylib`. A program that links plugins in uses [`plugin!`] instead: two of these symbols in one
/// program would clash. `runtime = tokio` means what it means there.
///
/// A library has a panic hook of its own; it writes to the host's log. So does what is written with `tracing`, with feature
/// `tracing` of this crate.
#[macro_export]
macro_rules! dylib {
    ($plugin:ty $(, runtime = $runtime:ident)? $(,)?) => {
        /// The entry, under the name of the interface's first major.
        #[unsafe(no_mangle)]
        #[allow(unsafe_code, non_upper_case_globals)]
        pub static gwp_entry_v1: $crate::abi::gwp_entry = $crate::__entry!(Library, $plugin $(, $runtime)?);
    };
}

/// The entry of a plugin, and where its code runs.
#[cfg(feature = "tokio")]
#[doc(hidden)]
#[macro_export]
macro_rules! __entry {
    ($home:ident, $plugin:ty) => {
        $crate::glue::entry_in::<$plugin, $crate::glue::runtime::HostThreads, $crate::glue::home::$home>()
    };
    ($home:ident, $plugin:ty, tokio) => {
        $crate::glue::entry_in::<$plugin, $crate::glue::runtime::Tokio, $crate::glue::home::$home>()
    };
    ($home:ident, $plugin:ty, $other:ident) => {
        compile_error!("`runtime` is `tokio`, or left out")
    };
}

/// The entry of a plugin, and where its code runs.
#[cfg(not(feature = "tokio"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __entry {
    ($home:ident, $plugin:ty) => {
        $crate::glue::entry_in::<$plugin, $crate::glue::runtime::HostThreads, $crate::glue::home::$home>()
    };
    ($home:ident, $plugin:ty, tokio) => {
        compile_error!("`runtime = tokio` needs the dependency on clawhost-plugin-api to have `features = [\"tokio\"]`")
    };
    ($home:ident, $plugin:ty, $other:ident) => {
        compile_error!("`runtime` is `tokio`, or left out")
    };
}
