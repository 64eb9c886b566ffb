//! Where the code of one plugin runs: on the gateway's workers, or on threads of its own. Sockets, ticks and other plugins
//! go on when every thread of a pool is blocked.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// Threads at most for jobs that a plugin says may block.
const BLOCKING_THREADS: usize = 16;
/// How long a thread of a pool waits for more work before it ends.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Where one plugin's code runs. Copies share the threads.
#[derive(Clone)]
pub struct Place(Arc<Threads>);

struct Threads {
    name: String,
    workers: Handle,
    /// Calls, timers and events, if they do not run on the workers.
    pool: Option<Pool>,
    /// One thread for what must not wait behind the plugin's jobs, nor keep the thread that asks for it.
    aside: OnceLock<Option<Pool>>,
    /// Jobs that may block; its threads start with the first one.
    blocking: OnceLock<Option<Pool>>,
}

impl Threads {
    fn new(plugin: &str, workers: Handle, pool: Option<Pool>) -> Arc<Self> {
        let name = plugin.to_string();
        Arc::new(Threads { name, workers, pool, aside: OnceLock::new(), blocking: OnceLock::new() })
    }
}

impl Place {
    /// On the gateway's workers.
    pub fn workers(plugin: &str, workers: Handle) -> Self {
        Place(Threads::new(plugin, workers, None))
    }

    /// On at most so many threads of its own, which start when there is work.
    pub fn pool(plugin: &str, workers: Handle, threads: usize) -> std::io::Result<Self> {
        let pool = Some(Pool::new(plugin, threads)?);
        Ok(Place(Threads::new(plugin, workers, pool)))
    }

    /// Whether it has threads of its own.
    pub fn is_pool(&self) -> bool {
        self.0.pool.is_some()
    }

    /// Runs this soon. It must not block, unless the place is a pool.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) {
        match &self.0.pool {
            Some(pool) => pool.run(job),
            None => drop(self.0.workers.spawn(async move { job() })),
        }
    }

    /// Runs this soon, on a thread of its own beside all others.
    pub fn run_aside(&self, job: impl FnOnce() + Send + 'static) {
        match self.0.aside.get_or_init(|| Pool::new(&self.0.name, 1).ok()) {
            Some(aside) => aside.run(job),
            None => self.run(job),
        }
    }

    /// Runs this now, from a task of its own: on it, or on a thread of the plugin's.
    pub fn run_here(&self, job: impl FnOnce() + Send + 'static) {
        match &self.0.pool {
            Some(pool) => pool.run(job),
            None => job(),
        }
    }

    /// The gateway's workers.
    pub fn worker_threads(&self) -> &Handle {
        &self.0.workers
    }

    /// Whether there are threads for what may block.
    pub fn can_block(&self) -> bool {
        self.blocking().is_some()
    }

    /// Runs this where it may block, if [`Place::can_block`].
    pub fn run_blocking(&self, job: impl FnOnce() + Send + 'static) {
        if let Some(pool) = self.blocking() {
            pool.run(job);
        }
    }

    fn blocking(&self) -> Option<&Pool> {
        self.0.blocking.get_or_init(|| Pool::new(&self.0.name, BLOCKING_THREADS).ok()).as_ref()
    }
}

/// Threads that take jobs in order. The blocking threads of a runtime that is never driven: they start when there is work
/// and end when there is none.
struct Pool(Option<Runtime>);

impl Pool {
    fn new(plugin: &str, threads: usize) -> std::io::Result<Self> {
        // The system cuts names of threads at 15 bytes.
        let runtime = Builder::new_current_thread()
            .thread_name(format!("plugin {plugin}"))
            .max_blocking_threads(threads.max(1))
            .thread_keep_alive(KEEP_ALIVE)
            .build()?;
        Ok(Pool(Some(runtime)))
    }

    fn run(&self, job: impl FnOnce() + Send + 'static) {
        if let Some(runtime) = &self.0 {
            drop(runtime.spawn_blocking(job));
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Waits for nobody: a thread may be blocked for good.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_blocked_pool_blocks_itself_only() {
        let stuck = Place::pool("stuck", Handle::current(), 1).unwrap();
        let free = Place::pool("free", Handle::current(), 1).unwrap();
        let (release, blocked) = mpsc::channel::<()>();
        let (tell, told) = tokio::sync::mpsc::unbounded_channel();
        let mut told = told;
        stuck.run(move || assert!(blocked.recv().is_err()));
        let (second, third) = (tell.clone(), tell.clone());
        stuck.run(move || second.send("stuck").unwrap());
        free.run(move || tell.send("free").unwrap());
        assert_eq!(told.recv().await, Some("free"));
        let worker = third.clone();
        Place::workers("w", Handle::current()).run(move || worker.send("worker").unwrap());
        assert_eq!(told.recv().await, Some("worker"));
        assert!(stuck.can_block());
        stuck.run_blocking(move || third.send("blocking").unwrap());
        assert_eq!(told.recv().await, Some("blocking"));
        drop(release);
        assert_eq!(told.recv().await, Some("stuck"));
    }
}
