//! What instances that follow each other share. A reload replaces an instance, and its runs go on in it to their end: the new
//! one lists and stops them, and in their sessions nobody passes them. Both are of one process and one folder; a plugin that
//! is loaded from a file shares nothing with the one before it, and knows of its runs from the book alone.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::Agent;
use crate::desk::Desk;

/// The runs of one folder's instances, and who they are.
#[derive(Default)]
pub struct Shared {
    desk: Mutex<Desk>,
    current: Mutex<Weak<Agent>>,
    /// Runs whose answers somebody sees to.
    delivering: Mutex<HashSet<String>>,
    /// Held by each run that says something.
    crowd: Crowd,
}

/// How many there are that say something.
#[derive(Clone, Default)]
pub struct Crowd(Arc<()>);

impl Crowd {
    /// How many others hold it.
    pub fn size(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

/// By folder. Those that nobody has any more are swept out when another one comes.
static ALL: Mutex<Option<HashMap<PathBuf, Weak<Shared>>>> = Mutex::new(None);

impl Shared {
    /// What the instances of this folder share.
    pub fn of(folder: &Path) -> Arc<Self> {
        let mut all = lock(&ALL);
        let all = all.get_or_insert_default();
        all.retain(|_, shared| shared.strong_count() > 0);
        if let Some(shared) = all.get(folder).and_then(Weak::upgrade) {
            return shared;
        }
        let shared = Arc::new(Shared::default());
        all.insert(folder.to_path_buf(), Arc::downgrade(&shared));
        shared
    }

    /// To be held while a run says something.
    pub fn crowd(&self) -> Crowd {
        self.crowd.clone()
    }

    pub fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }

    /// From now on this instance is the one that is called.
    pub fn begin(&self, agent: &Arc<Agent>) {
        *lock(&self.current) = Arc::downgrade(agent);
    }

    /// The instance that took the place of this one.
    pub fn successor(&self, agent: &Agent) -> Option<Arc<Agent>> {
        lock(&self.current).upgrade().filter(|current| !std::ptr::eq(&**current, agent))
    }

    /// Whether somebody sees to this run's answer.
    pub fn is_delivering(&self, run_id: &str) -> bool {
        lock(&self.delivering).contains(run_id)
    }
}

/// The duty to see to a run's answer. Given up, it passes to the instance that took the place of this one.
pub struct Delivering {
    agent: Arc<Agent>,
    run_id: String,
    is_done: bool,
}

impl Delivering {
    pub fn new(agent: &Arc<Agent>, run_id: &str) -> Self {
        lock(&agent.shared.delivering).insert(run_id.to_string());
        Delivering { agent: agent.clone(), run_id: run_id.to_string(), is_done: false }
    }

    pub fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Delivering {
    fn drop(&mut self) {
        lock(&self.agent.shared.delivering).remove(&self.run_id);
        if self.is_done {
            return;
        }
        if let Some(next) = self.agent.shared.successor(&self.agent) {
            next.host.clone().spawn(next.deliver_left());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
