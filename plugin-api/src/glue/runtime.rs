//! Where a plugin's code runs: on the host's threads as they are, or on them inside a tokio runtime, so that tokio's
//! timers and sockets work. The registration decides, and a cargo feature only says whether the choice is there: features
//! are unified across a build, and what one plugin needs must not change another.

/// Runs a piece of the plugin's code in the surroundings that it was promised.
pub(crate) type Inside = fn(&mut dyn FnMut());

/// What `plugin!` and `dylib!` name after `runtime =`.
#[doc(hidden)]
pub trait Runtime: sealed::Runtime {}

mod sealed {
    pub trait Runtime: 'static {
        /// Makes what there is to make, before an instance is created; an error is for the operator.
        fn prepare() -> Result<Option<super::Inside>, String>;
    }
}

/// No runtime: the host's threads as they are.
#[doc(hidden)]
pub enum HostThreads {}

impl Runtime for HostThreads {}

impl sealed::Runtime for HostThreads {
    fn prepare() -> Result<Option<Inside>, String> {
        Ok(None)
    }
}

#[cfg(feature = "tokio")]
pub use in_tokio::Tokio;

#[cfg(feature = "tokio")]
mod in_tokio {
    use std::sync::{Mutex, OnceLock, PoisonError};

    use tokio::runtime::{Builder, Handle, Runtime};

    use super::Inside;

    /// A thread for timers, sockets and spawned tasks, and one more, so that a task which keeps the first does not stop
    /// them.
    const THREADS: usize = 2;

    /// A runtime of tokio. Statics exist once per library: the plugins that are linked in share one, and each loaded
    /// library has its own.
    #[doc(hidden)]
    pub enum Tokio {}

    static HANDLE: OnceLock<Handle> = OnceLock::new();

    impl super::Runtime for Tokio {}

    impl super::sealed::Runtime for Tokio {
        fn prepare() -> Result<Option<Inside>, String> {
            static MAKING: Mutex<()> = Mutex::new(());
            let _one = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
            if HANDLE.get().is_none() {
                let handle = make().map_err(|error| format!("the tokio runtime cannot be made: {error}"))?;
                HANDLE.get_or_init(|| handle);
            }
            Ok(Some(inside))
        }
    }

    fn make() -> std::io::Result<Handle> {
        let mut builder = Builder::new_multi_thread();
        let runtime: Runtime = builder.worker_threads(THREADS).thread_name("plugin-tokio").enable_all().build()?;
        let handle = runtime.handle().clone();
        // It lasts as long as the code: libraries are never unloaded, and a late task may still be on its way.
        std::mem::forget(runtime);
        Ok(handle)
    }

    fn inside(body: &mut dyn FnMut()) {
        let _entered = HANDLE.get().map(Handle::enter);
        body();
    }
}
