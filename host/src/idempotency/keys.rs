//! Which keys are remembered, and which of them is forgotten next.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::Run;

/// The keys, and those of them that are answered in the order in which they were: whoever is to be forgotten is in front, so
/// that a table that is full makes room without looking through all of it.
#[derive(Default)]
pub(super) struct Keys {
    runs: HashMap<Place, Arc<Run>>,
    /// One that has lost its place since, which only a stale one does, is passed over.
    ended: VecDeque<Arc<Run>>,
}

/// Method and key.
type Place = (Box<str>, Box<str>);

impl Keys {
    pub fn get(&self, method: &str, key: &str) -> Option<&Arc<Run>> {
        self.runs.get(&place(method, key))
    }

    /// Those that are remembered.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.runs.values()
    }

    /// Remembers one that goes on; one of the same name has lost its place.
    pub fn insert(&mut self, run: Arc<Run>) {
        self.runs.insert(place(&run.method, &run.key), run);
    }

    /// It goes on no longer. With its key free again there is nothing to remember.
    pub fn end(&mut self, run: &Arc<Run>, is_free: bool) {
        if !self.holds(run) {
            return;
        }
        match is_free {
            true => self.remove(run),
            false => self.ended.push_back(run.clone()),
        }
    }

    /// Forgets what is older than its time.
    pub fn forget_stale(&mut self, now_ms: u64, ttl_ms: u64) {
        while self.ended.front().is_some_and(|run| run.is_stale(now_ms, ttl_ms)) {
            self.forget_oldest();
        }
    }

    /// Makes room for one among so many, at the cost of what was answered first. False if all of them go on.
    pub fn make_room(&mut self, entries: usize) -> bool {
        while self.runs.len() >= entries {
            if !self.forget_oldest() {
                return false;
            }
        }
        true
    }

    fn forget_oldest(&mut self) -> bool {
        let Some(run) = self.ended.pop_front() else { return false };
        if self.holds(&run) {
            self.remove(&run);
        }
        true
    }

    fn holds(&self, run: &Arc<Run>) -> bool {
        self.get(&run.method, &run.key).is_some_and(|held| Arc::ptr_eq(held, run))
    }

    fn remove(&mut self, run: &Run) {
        self.runs.remove(&place(&run.method, &run.key));
    }
}

fn place(method: &str, key: &str) -> Place {
    (method.into(), key.into())
}
