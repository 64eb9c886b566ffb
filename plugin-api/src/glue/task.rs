//! A future run on the host's threads, without a runtime of the plugin's own: its waker asks the host to run it soon.
//! The first poll happens where it is started, so a handler that never waits costs no switch of threads.

use std::collections::HashMap;
use std::ffi::c_void;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::raw::RawHost;
use crate::abi::{GWP_BUSY, GWP_OK};

const IDLE: u8 = 0;
const SCHEDULED: u8 = 1;
const RUNNING: u8 = 2;
const NOTIFIED: u8 = 3;
const DONE: u8 = 4;

/// The suspended futures of one instance, by number, so that they can be cancelled; and a count of everything that runs
/// or waits, so that the end can be waited for.
#[derive(Default)]
pub(crate) struct Suspended {
    tasks: Mutex<HashMap<u64, Arc<dyn Cancel>>>,
    live: AtomicUsize,
    closing: AtomicBool,
    idle: Mutex<Option<Waker>>,
}

/// Something of the plugin's that runs: [`Suspended::close`] waits until it is dropped.
pub(crate) struct Working(Arc<Suspended>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Suspended {
    /// Counts something that runs; `None` once everything is being ended.
    pub(crate) fn work(self: &Arc<Self>) -> Option<Working> {
        self.enter().then(|| Working(self.clone()))
    }

    /// Counts something that runs, unless everything is being ended. Whoever was counted calls [`Suspended::leave`].
    fn enter(&self) -> bool {
        self.live.fetch_add(1, Ordering::SeqCst);
        let open = !self.closing.load(Ordering::SeqCst);
        if !open {
            self.leave();
        }
        open
    }

    fn leave(&self) {
        // Sequentially consistent like `close`, so that either this sees that somebody waits or that one sees nought.
        if self.live.fetch_sub(1, Ordering::SeqCst) == 1 && self.closing.load(Ordering::SeqCst) {
            let waker = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Takes nothing new from now on, and drops every future where it waits.
    pub(crate) fn cancel_all(&self) {
        self.closing.store(true, Ordering::SeqCst);
        let tasks: Vec<_> = self.lock().values().cloned().collect();
        tasks.into_iter().for_each(|task| task.cancel());
    }

    /// [`Suspended::cancel_all`], and waits until nothing runs any more.
    pub(crate) async fn close(&self) {
        self.cancel_all();
        std::future::poll_fn(|context| {
            *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
            if self.live.load(Ordering::SeqCst) == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Drops the future with this number, wherever it waits.
    pub(crate) fn cancel(&self, id: u64) {
        let task = self.lock().get(&id).cloned();
        if let Some(task) = task {
            task.cancel();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<dyn Cancel>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that can be told to drop its future.
pub(crate) trait Cancel: Send + Sync {
    fn cancel(self: Arc<Self>);
}

/// Polls the future once here; if it is not done by then, keeps it under `id` and lets the host poll it on.
///
/// Returns whether it is still pending.
pub(crate) fn start<F>(host: RawHost, suspended: &Arc<Suspended>, id: u64, future: F) -> bool
where
    F: Future<Output = ()> + Send + 'static,
{
    let Some(task) = Task::new(host, suspended, id, RUNNING, future) else { return false };
    if task.poll() {
        return false;
    }
    suspended.lock().insert(id, task.clone());
    if task.state.load(Ordering::Acquire) == DONE {
        suspended.lock().remove(&id);
        return false;
    }
    // What ends everything may have looked before the task was kept.
    if suspended.closing.load(Ordering::SeqCst) {
        task.cancel();
    }
    true
}

/// Lets the host poll the future, and returns before it is polled: whoever spawns may hold a lock that it takes.
pub(crate) fn spawn<F>(host: RawHost, suspended: &Arc<Suspended>, id: u64, future: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let Some(task) = Task::new(host, suspended, id, SCHEDULED, future) else { return };
    suspended.lock().insert(id, task.clone());
    if suspended.closing.load(Ordering::SeqCst) {
        task.cancelled.store(true, Ordering::Release);
    }
    task.schedule();
}

struct Task<F> {
    host: RawHost,
    id: u64,
    suspended: Arc<Suspended>,
    state: AtomicU8,
    cancelled: AtomicBool,
    future: Mutex<Option<F>>,
    /// Whether `suspended` counts it.
    counted: AtomicBool,
}

impl<F> Task<F> {
    fn leave(&self) {
        if self.counted.swap(false, Ordering::AcqRel) {
            self.suspended.leave();
        }
    }
}

impl<F> Drop for Task<F> {
    fn drop(&mut self) {
        // The future goes first: who waits for the end must not find it alive.
        let (host, future) = (self.host, self.future.get_mut().unwrap_or_else(PoisonError::into_inner));
        if future.is_some() {
            host.contain(|| *future = None);
        }
        self.leave();
    }
}

impl<F: Future<Output = ()> + Send + 'static> Task<F> {
    /// `None`, and the future dropped, once everything is being ended.
    fn new(host: RawHost, suspended: &Arc<Suspended>, id: u64, state: u8, future: F) -> Option<Arc<Self>> {
        suspended.enter().then(|| {
            Arc::new(Task {
                host,
                id,
                suspended: suspended.clone(),
                state: AtomicU8::new(state),
                cancelled: AtomicBool::new(false),
                future: Mutex::new(Some(future)),
                counted: AtomicBool::new(true),
            })
        })
    }

    /// Polls until the future is done (true) or waits without having been woken meanwhile (false).
    fn poll(self: &Arc<Self>) -> bool {
        let waker = Waker::from(self.clone());
        let mut context = Context::from_waker(&waker);
        loop {
            if self.cancelled.load(Ordering::Acquire) || self.poll_future(&mut context) {
                self.finish();
                return true;
            }
            match self.state.compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return false,
                // Not a plain store: it takes over what the thread that woke the task wrote before.
                Err(_) => self.state.swap(RUNNING, Ordering::AcqRel),
            };
        }
    }

    fn poll_future(&self, context: &mut Context<'_>) -> bool {
        let mut slot = self.future.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(future) = slot.as_mut() else { return true };
        // SAFETY: the future lies inside the task's allocation, never moves out of it, and is dropped in place.
        let future = unsafe { Pin::new_unchecked(future) };
        // A panic ends the future; its drop guards answer whoever waits for it.
        !matches!(self.host.contain(|| future.poll(context)), Some(Poll::Pending))
    }

    /// Drops the future in place. Only the thread that holds RUNNING does this, so it never runs beside a poll.
    fn finish(&self) {
        self.state.store(DONE, Ordering::Release);
        let mut slot = self.future.lock().unwrap_or_else(PoisonError::into_inner);
        self.host.contain(|| *slot = None);
        drop(slot);
        self.leave();
    }

    /// Asks the host to run it. One that has as many jobs of this plugin as it keeps is no reason to forget a future: that
    /// one runs on a thread of the plugin's own. A host that refuses for another reason is stopping this instance: the
    /// future is dropped here then.
    fn schedule(self: Arc<Self>) {
        unsafe extern "C" fn run<F: Future<Output = ()> + Send + 'static>(user: *mut c_void) {
            // SAFETY: `user` is the task handed over below, and the host runs this once.
            unsafe { Arc::from_raw(user.cast::<Task<F>>()) }.run();
        }
        let user = Arc::into_raw(self.clone()).cast_mut().cast();
        // SAFETY: the reference count is handed over to `run`, or taken back below.
        let code = unsafe { self.host.soon_with(run::<F>, user) };
        if code == GWP_OK {
            return;
        }
        // SAFETY: the host did not take it.
        let task = unsafe { Arc::from_raw(user.cast::<Task<F>>()) };
        if code != GWP_BUSY || !self.host.run_spare(move || task.run()) {
            self.finish();
            self.suspended.lock().remove(&self.id);
        }
    }

    /// Polls it on a thread that has come to do so.
    fn run(self: Arc<Self>) {
        self.state.swap(RUNNING, Ordering::AcqRel);
        if self.poll() {
            self.suspended.lock().remove(&self.id);
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Wake for Task<F> {
    fn wake(self: Arc<Self>) {
        let mut current = self.state.load(Ordering::Relaxed);
        loop {
            let next = match current {
                IDLE => SCHEDULED,
                RUNNING => NOTIFIED,
                DONE => return,
                // Written again though it stays as it is: the coming poll must see what was written before this wake,
                // and a mere look at the state would not say so to the thread that polls.
                waiting => waiting,
            };
            match self.state.compare_exchange_weak(current, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(IDLE) => return self.schedule(),
                Ok(_) => return,
                Err(now) => current = now,
            }
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Cancel for Task<F> {
    fn cancel(self: Arc<Self>) {
        self.cancelled.store(true, Ordering::Release);
        self.wake();
    }
}
