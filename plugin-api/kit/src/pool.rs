//! The harness's own threads: a few workers, and one thread for each blocking job. Nothing here is an async runtime.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

type Work = Box<dyn FnOnce() + Send>;

/// Threads that run what the plugin and the harness hand over.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    idle: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Work>,
    busy: usize,
    blocking: usize,
    closed: bool,
}

impl Pool {
    pub(crate) fn new(threads: usize) -> Self {
        let shared = Shared { queue: Mutex::default(), ready: Condvar::new(), idle: Condvar::new() };
        let pool = Pool(Arc::new(shared));
        for number in 0..threads {
            let pool = pool.clone();
            let name = format!("kit-worker-{number}");
            std::thread::Builder::new().name(name).spawn(move || pool.work()).expect("a test can start a thread");
        }
        pool
    }

    /// Runs it on a worker, soon.
    pub(crate) fn run(&self, work: impl FnOnce() + Send + 'static) {
        self.lock().jobs.push_back(Box::new(work));
        self.0.ready.notify_one();
    }

    /// Runs it on a thread of its own.
    pub(crate) fn run_blocking(&self, work: impl FnOnce() + Send + 'static) {
        self.lock().blocking += 1;
        let pool = self.clone();
        let body = move || pool.finish_one(Box::new(work), |queue| queue.blocking -= 1);
        std::thread::Builder::new().name("kit-blocking".into()).spawn(body).expect("a test can start a thread");
    }

    /// Waits until nothing runs and nothing is queued, on the workers or on all threads; false if that takes longer than
    /// `limit`.
    pub(crate) fn wait_idle(&self, limit: Duration, blocking_too: bool) -> bool {
        let until = Instant::now() + limit;
        let mut queue = self.lock();
        while queue.busy > 0 || !queue.jobs.is_empty() || (blocking_too && queue.blocking > 0) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            queue = self.0.idle.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Whether blocking work runs.
    pub(crate) fn is_blocking(&self) -> bool {
        self.lock().blocking > 0
    }

    /// Lets the workers go once the queue is empty.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.0.ready.notify_all();
    }

    fn work(&self) {
        let mut queue = self.lock();
        loop {
            if let Some(work) = queue.jobs.pop_front() {
                queue.busy += 1;
                drop(queue);
                self.finish_one(work, |queue| queue.busy -= 1);
                queue = self.lock();
            } else if queue.closed {
                return;
            } else {
                queue = self.0.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Runs work that is already counted.
    fn finish_one(&self, work: Work, count_down: impl FnOnce(&mut Queue)) {
        // The panic of a test's closure is reported by whoever made the job; the count must be right all the same.
        let _ = catch_unwind(AssertUnwindSafe(work));
        let mut queue = self.lock();
        count_down(&mut queue);
        if queue.busy == 0 && queue.jobs.is_empty() {
            self.0.idle.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
