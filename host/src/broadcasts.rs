//! Broadcasts on their way to the outboxes. Publishing is one entry in a list, however many connections there are; a task
//! then delivers everything that has gathered to each connection in one go. Under load more gathers, so more events leave
//! each socket in one write.
//!
//! The order on a connection is kept: whatever else is queued for it takes the broadcasts before it out of the list first.

use std::sync::{Arc, PoisonError};

use crate::registry::EventEntry;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// Bytes that may gather before the one who publishes delivers them himself.
const MAX_GATHERED: usize = 256 * 1024;

/// An event that everybody may see who its row admits.
pub struct Broadcast {
    /// Its row.
    pub entry: Arc<EventEntry>,
    /// Its frame without the closing brace: what is missing differs by connection.
    pub open: Vec<u8>,
    /// Whether a slow consumer may miss it.
    pub droppable: bool,
}

/// Broadcasts that some connection has not taken yet, numbered from 0.
#[derive(Default)]
pub struct Broadcasts {
    /// The number of the next one; readable without a lock.
    next: AtomicU64,
    gathered: Mutex<Gathered>,
    /// Held by whoever delivers: what is forgotten afterwards has reached everybody.
    delivering: Mutex<()>,
}

#[derive(Default)]
struct Gathered {
    /// Number of the first in the list.
    first: u64,
    list: Vec<Arc<Broadcast>>,
    bytes: usize,
    /// Somebody has promised to deliver what is there.
    promised: bool,
}

/// Whose turn it is to deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deliver {
    /// Somebody else has promised to.
    Promised,
    /// The one who published, soon.
    Soon,
    /// The one who published, at once: too much has gathered.
    Now,
}

impl Broadcasts {
    /// Adds one, and tells who has to deliver it.
    pub fn publish(&self, broadcast: Broadcast) -> Deliver {
        let mut gathered = self.gathered();
        gathered.bytes += broadcast.open.len();
        gathered.list.push(Arc::new(broadcast));
        self.next.store(gathered.first + gathered.list.len() as u64, Ordering::Release);
        match (gathered.bytes > MAX_GATHERED, std::mem::replace(&mut gathered.promised, true)) {
            (true, _) => Deliver::Now,
            (false, true) => Deliver::Promised,
            (false, false) => Deliver::Soon,
        }
    }

    /// The number of the next one.
    pub fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Those from this number on. None of them is forgotten as long as somebody who has joined has not taken it.
    pub fn since(&self, number: u64) -> Vec<Arc<Broadcast>> {
        let gathered = self.gathered();
        let known = number.saturating_sub(gathered.first) as usize;
        gathered.list.get(known..).unwrap_or_default().to_vec()
    }

    /// Gives all that has gathered, with the number of the first, to `everybody`, and forgets it.
    pub fn deliver(&self, everybody: impl FnOnce(u64, &[Arc<Broadcast>])) {
        let _alone = self.delivering.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, list) = {
            let mut gathered = self.gathered();
            gathered.promised = false;
            (gathered.first, gathered.list.clone())
        };
        if list.is_empty() {
            return;
        }
        everybody(first, &list);
        let mut gathered = self.gathered();
        let delivered = gathered.list.drain(..list.len()).map(|broadcast| broadcast.open.len()).sum::<usize>();
        gathered.bytes -= delivered;
        gathered.first += list.len() as u64;
        if gathered.list.is_empty() {
            // An idle gateway keeps no room for a burst.
            gathered.list = Vec::new();
        }
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
