//! Requests that wait for a decision. Each has one outcome: the first decision, or the end of its time. Decided ones are
//! remembered until their time would have been over, for those who come back for the decision. An instance that ends tells
//! those who wait that the next one knows the request.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use plugin_api::Spawned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::params::{Decision, Request};

/// A request as operators see it: payload of `exec.approval.requested`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// Its id.
    pub id: String,
    /// What is asked.
    pub request: Request,
    /// When it was asked, in milliseconds since the epoch.
    pub created_at_ms: u64,
    /// When it is too late to decide.
    pub expires_at_ms: u64,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An operator decided.
    Decided(Decision),
    /// Nobody did in time.
    Expired,
    /// This instance ended before.
    Stopped,
}

/// A request, and where its outcome arrives.
pub struct Approval {
    pub pending: Pending,
    outcome: Mutex<(Option<Outcome>, Vec<Waker>)>,
}

impl Approval {
    /// One that has no outcome yet.
    pub fn new(pending: Pending) -> Self {
        Approval { pending, outcome: Mutex::default() }
    }

    /// Everybody who waits has the outcome. The first one counts.
    pub fn fill(&self, outcome: Outcome) {
        let wakers = {
            let mut slot = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            slot.0.get_or_insert(outcome);
            std::mem::take(&mut slot.1)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Waits for the outcome.
    pub async fn outcome(&self) -> Outcome {
        std::future::poll_fn(|context| {
            let mut slot = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            match slot.0 {
                Some(outcome) => Poll::Ready(outcome),
                None => {
                    // Each is one call that waits, which the host bounds.
                    if !slot.1.iter().any(|waker| waker.will_wake(context.waker())) {
                        slot.1.push(context.waker().clone());
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unopened {
    /// One of this id waits.
    Pending,
    /// One of this id was decided a moment ago.
    Decided,
    /// Too many wait.
    Full,
}

/// Why a request is not decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undecided(pub Option<Decision>);

/// Requests by id.
#[derive(Default)]
pub struct Book {
    /// Whether it holds what is on disk, and is in use: from the start of its instance until that is about to end.
    pub is_open: bool,
    entries: HashMap<String, Entry>,
    /// Those that are being written down, of which nobody has heard.
    opening: HashSet<String>,
    /// Those that are decided, the oldest decision first.
    decided: VecDeque<String>,
}

struct Entry {
    approval: Arc<Approval>,
    decision: Option<Decision>,
    timer: Spawned,
}

impl Book {
    /// Keeps a place for a request of this id, until it is opened or [`Book::release`]d.
    pub fn reserve(&mut self, id: &str, most: usize) -> Result<(), Unopened> {
        match self.entries.get(id) {
            _ if self.opening.contains(id) => return Err(Unopened::Pending),
            Some(Entry { decision: None, .. }) => return Err(Unopened::Pending),
            Some(_) => return Err(Unopened::Decided),
            None if self.entries.len() - self.decided.len() + self.opening.len() >= most => return Err(Unopened::Full),
            None => {}
        }
        self.opening.insert(id.to_string());
        Ok(())
    }

    /// A request was not opened after all.
    pub fn release(&mut self, id: &str) {
        self.opening.remove(id);
    }

    /// Enters a request that is on disk, with its decision. Its timer calls [`Book::expire`].
    pub fn open(&mut self, approval: &Arc<Approval>, decision: Option<Decision>, timer: Spawned) {
        let id = approval.pending.id.clone();
        self.opening.remove(&id);
        if let Some(decision) = decision {
            approval.fill(Outcome::Decided(decision));
            self.decided.push_back(id.clone());
        }
        self.entries.insert(id, Entry { approval: approval.clone(), decision, timer });
    }

    /// Decides about a request that waits; `Err` is of one that does not, with the decision if there was one. At most
    /// `most` decided ones are remembered.
    pub fn decide(&mut self, id: &str, decision: Decision, most: usize) -> Result<Arc<Approval>, Undecided> {
        let entry = self.entries.get_mut(id).ok_or(Undecided(None))?;
        if entry.decision.is_some() {
            return Err(Undecided(entry.decision));
        }
        entry.decision = Some(decision);
        let approval = entry.approval.clone();
        self.decided.push_back(id.to_string());
        while self.decided.len() > most {
            let oldest = self.decided.pop_front().and_then(|oldest| self.entries.remove(&oldest));
            if let Some(entry) = oldest {
                entry.timer.cancel();
            }
        }
        Ok(approval)
    }

    /// A decision could not be written down: the request waits as before. `false` when its time is over meanwhile.
    pub fn undecide(&mut self, id: &str) -> bool {
        self.decided.retain(|decided| decided != id);
        self.entries.get_mut(id).map(|entry| entry.decision = None).is_some()
    }

    /// A request's time is over; it, and whether it was waiting.
    pub fn expire(&mut self, id: &str) -> Option<(Arc<Approval>, bool)> {
        let entry = self.entries.remove(id)?;
        self.decided.retain(|decided| decided != id);
        Some((entry.approval, entry.decision.is_none()))
    }

    /// A request whose time is not over, and its decision.
    pub fn get(&self, id: &str) -> Option<(&Arc<Approval>, Option<Decision>)> {
        self.entries.get(id).map(|entry| (&entry.approval, entry.decision))
    }

    /// Those that wait, the oldest first.
    pub fn waiting(&self) -> Vec<Pending> {
        let undecided = self.entries.values().filter(|entry| entry.decision.is_none());
        let mut waiting: Vec<Pending> = undecided.map(|entry| entry.approval.pending.clone()).collect();
        waiting.sort_by(|a, b| (a.created_at_ms, &a.id).cmp(&(b.created_at_ms, &b.id)));
        waiting
    }

    /// Is of no use any more; those that wait. The next instance makes a book of its own.
    pub fn close(&mut self) -> Vec<Arc<Approval>> {
        self.is_open = false;
        self.decided.clear();
        let entries = std::mem::take(&mut self.entries);
        let ended = entries.into_values().inspect(|entry| entry.timer.cancel());
        ended.filter(|entry| entry.decision.is_none()).map(|entry| entry.approval).collect()
    }
}
