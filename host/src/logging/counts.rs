//! How many lines there were. The log is the process's, and so are these counts.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::Level;

static LINES: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];
static LOST: AtomicU64 = AtomicU64::new(0);

/// As lines call them, and in the order of [`place`].
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Lines since the start, by level.
pub fn lines() -> impl Iterator<Item = (&'static str, u64)> {
    LEVELS.into_iter().zip(&LINES).map(|(level, lines)| (level, lines.load(Ordering::Relaxed)))
}

/// Lines that did not fit into the queue.
pub fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

pub(super) fn line(level: &Level) {
    LINES[place(level)].fetch_add(1, Ordering::Relaxed);
}

pub(super) fn lose() {
    LOST.fetch_add(1, Ordering::Relaxed);
}

fn place(level: &Level) -> usize {
    match *level {
        Level::ERROR => 0,
        Level::WARN => 1,
        Level::INFO => 2,
        Level::DEBUG => 3,
        Level::TRACE => 4,
    }
}
