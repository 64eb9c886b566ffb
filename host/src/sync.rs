//! Locks and atomics of what `schedules` tries in other orders of events than a machine would happen to choose: the standard
//! library's, but in the build of those tests, where shuttle's stand in and decide at each of them who goes on.

#[cfg(not(all(test, feature = "schedules")))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};

#[cfg(all(test, feature = "schedules"))]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};
