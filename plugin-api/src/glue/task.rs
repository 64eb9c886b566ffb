//! A future run on the host's threads, without a runtime of the plugin's own: its waker asks the host to run it soon.
//! The first poll happens where it is started, so a handler that never waits costs no switch of threads.

use std::collections::HashMap;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::raw::RawHost;
use crate::abi::GWP_OK;

const IDLE: u8 = 0;
const SCHEDULED: u8 = 1;
const RUNNING: u8 = 2;
const NOTIFIED: u8 = 3;
const DONE: u8 = 4;

/// The suspended futures of one instance, by number, so that they can be cancelled.
#[derive(Default)]
pub(crate) struct Suspended {
    tasks: Mutex<HashMap<u64, Arc<dyn Cancel>>>,
}

impl Suspended {
    /// Drops the future with this number, wherever it waits.
    pub(crate) fn cancel(&self, id: u64) {
        let task = self.lock().get(&id).cloned();
        if let Some(task) = task {
            task.cancel();
        }
    }

    /// Drops all of them.
    pub(crate) fn cancel_all(&self) {
        let tasks: Vec<_> = self.lock().values().cloned().collect();
        tasks.into_iter().for_each(|task| task.cancel());
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
    let task = Arc::new(Task {
        host,
        id,
        suspended: suspended.clone(),
        state: AtomicU8::new(RUNNING),
        cancelled: AtomicBool::new(false),
        future: Mutex::new(Some(future)),
    });
    if task.poll() {
        return false;
    }
    suspended.lock().insert(id, task.clone());
    if task.state.load(Ordering::Acquire) == DONE {
        suspended.lock().remove(&id);
        return false;
    }
    true
}

struct Task<F> {
    host: RawHost,
    id: u64,
    suspended: Arc<Suspended>,
    state: AtomicU8,
    cancelled: AtomicBool,
    future: Mutex<Option<F>>,
}

impl<F: Future<Output = ()> + Send + 'static> Task<F> {
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
                Err(_) => self.state.store(RUNNING, Ordering::Release),
            }
        }
    }

    fn poll_future(&self, context: &mut Context<'_>) -> bool {
        let mut slot = self.future.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(future) = slot.as_mut() else { return true };
        // SAFETY: the future lies inside the task's allocation, never moves out of it, and is dropped in place.
        let future = unsafe { Pin::new_unchecked(future) };
        // A panic ends the future; its drop guards answer whoever waits for it.
        !matches!(catch_unwind(AssertUnwindSafe(|| future.poll(context))), Ok(Poll::Pending))
    }

    /// Drops the future in place. Only the thread that holds RUNNING does this, so it never runs beside a poll.
    fn finish(&self) {
        self.state.store(DONE, Ordering::Release);
        let mut slot = self.future.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = catch_unwind(AssertUnwindSafe(|| *slot = None));
    }

    /// Asks the host to run it. A host that refuses is stopping this instance: the future is dropped here then.
    fn schedule(self: Arc<Self>) {
        unsafe extern "C" fn run<F: Future<Output = ()> + Send + 'static>(user: *mut c_void) {
            // SAFETY: `user` is the task handed over below, and the host runs this once.
            let task = unsafe { Arc::from_raw(user.cast::<Task<F>>()) };
            task.state.store(RUNNING, Ordering::Release);
            if task.poll() {
                task.suspended.lock().remove(&task.id);
            }
        }
        let user = Arc::into_raw(self.clone()).cast_mut().cast();
        // SAFETY: the reference count is handed over to `run`, or taken back below.
        if unsafe { self.host.soon_with(run::<F>, user) } != GWP_OK {
            // SAFETY: the host did not take it.
            drop(unsafe { Arc::from_raw(user.cast::<Task<F>>()) });
            self.finish();
            self.suspended.lock().remove(&self.id);
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Wake for Task<F> {
    fn wake(self: Arc<Self>) {
        loop {
            match self.state.load(Ordering::Acquire) {
                IDLE => {
                    if self.state.compare_exchange(IDLE, SCHEDULED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                        return self.schedule();
                    }
                }
                RUNNING => {
                    if self.state.compare_exchange(RUNNING, NOTIFIED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                        return;
                    }
                }
                _ => return,
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
