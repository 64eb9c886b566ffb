//! Requests that wait for a decision. Each has one outcome: the first decision, or the end of its time, or that of this
//! instance. Decided ones are remembered until their time would have been over, for those who come back for the decision.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use plugin_api::Spawned;
use schemars::JsonSchema;
use serde::Serialize;

use crate::params::{Decision, Request};

/// A request as operators see it: payload of `exec.approval.requested`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
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
    /// This instance ends.
    Stopping,
}

/// Requests by id.
#[derive(Default)]
pub struct Book {
    entries: HashMap<String, Entry>,
    /// Those that are decided, the oldest decision first.
    decided: VecDeque<String>,
    is_closed: bool,
}

struct Entry {
    approval: Arc<Approval>,
    decision: Option<Decision>,
    timer: Spawned,
}

impl Book {
    /// Whether a request of this id may be opened.
    pub fn may_open(&self, id: &str, most: usize) -> Result<(), Unopened> {
        match self.entries.get(id) {
            _ if self.is_closed => Err(Unopened::Stopping),
            Some(Entry { decision: None, .. }) => Err(Unopened::Pending),
            Some(_) => Err(Unopened::Decided),
            None if self.entries.len() - self.decided.len() >= most => Err(Unopened::Full),
            None => Ok(()),
        }
    }

    /// Opens a request that may be. Its timer calls [`Book::expire`].
    pub fn open(&mut self, pending: Pending, timer: Spawned) -> Arc<Approval> {
        let id = pending.id.clone();
        let approval = Arc::new(Approval { pending, outcome: Mutex::default() });
        self.entries.insert(id, Entry { approval: approval.clone(), decision: None, timer });
        approval
    }

    /// Decides about a request that waits; `Err` is of one that does not, with the decision if there was one. At most
    /// `most` decided ones are remembered.
    pub fn decide(&mut self, id: &str, decision: Decision, most: usize) -> Result<Arc<Approval>, Option<Decision>> {
        let entry = self.entries.get_mut(id).ok_or(None)?;
        if entry.decision.is_some() {
            return Err(entry.decision);
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

    /// A request's time is over; it, if it was waiting.
    pub fn expire(&mut self, id: &str) -> Option<Arc<Approval>> {
        let entry = self.entries.remove(id)?;
        if entry.decision.is_some() {
            self.decided.retain(|decided| decided != id);
            return None;
        }
        Some(entry.approval)
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

    /// Takes no more requests; those that wait.
    pub fn close(&mut self) -> Vec<Arc<Approval>> {
        self.is_closed = true;
        self.decided.clear();
        let entries = std::mem::take(&mut self.entries);
        let ended = entries.into_values().inspect(|entry| entry.timer.cancel());
        ended.filter(|entry| entry.decision.is_none()).map(|entry| entry.approval).collect()
    }
}
