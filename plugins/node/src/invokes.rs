//! Questions to nodes that are not answered yet. Each is answered once: by the connection that was asked, by its end, or
//! by the deadline, whichever comes first. What comes later finds nothing to answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use serde_json::value::RawValue;

use crate::params::NodeError;

/// What became of a question.
#[derive(Debug)]
pub enum Outcome {
    /// The node did it.
    Done { payload: Option<Box<RawValue>>, payload_json: Option<String> },
    /// The node did not.
    Failed(Option<NodeError>),
    /// The node answered, and did not say whether it did it.
    Unreadable,
    /// The connection has gone.
    Disconnected,
    /// What was approved of the node was taken back.
    Revoked,
    /// The answer would come to another instance of this plugin, which was not asked.
    Stopped,
}

/// Where an outcome arrives.
#[derive(Default)]
pub struct Slot(Mutex<(Option<Outcome>, Option<Waker>)>);

impl Slot {
    /// Whoever asked has the outcome.
    pub fn fill(&self, outcome: Outcome) {
        let waker = {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            slot.0.get_or_insert(outcome);
            slot.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The outcome, once.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.0.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                slot.1 = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Open questions by id.
#[derive(Default)]
pub struct Invokes(HashMap<String, Open>);

/// An open question.
struct Open {
    /// The connection that is asked.
    conn: u64,
    /// Who asks; nobody in particular what was left for a node.
    asker: Option<String>,
    slot: Arc<Slot>,
}

impl Invokes {
    /// How many are open.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether somebody may ask one more. Of so many places a quarter is kept from whoever has the others, so that no one
    /// caller keeps all the others from asking.
    pub fn has_room(&self, asker: &str, places: usize) -> bool {
        let share = places - places / 4;
        let of_asker = || self.0.values().filter(|open| open.asker.as_deref() == Some(asker)).count();
        // While there are fewer than that at all, they need not be told apart.
        self.len() < places && (self.len() < share || of_asker() < share)
    }

    /// This connection is asked, by whoever that is.
    pub fn ask(&mut self, id: &str, conn: u64, asker: Option<String>) -> Arc<Slot> {
        let slot = Arc::<Slot>::default();
        self.0.insert(id.to_string(), Open { conn, asker, slot: slot.clone() });
        slot
    }

    /// Whether this connection was asked that and has not answered.
    pub fn is_open(&self, id: &str, conn: u64) -> bool {
        self.0.get(id).is_some_and(|open| open.conn == conn)
    }

    /// Takes the question that this connection answers; `None` when it was never asked that, or has answered, or is late.
    pub fn answered(&mut self, id: &str, conn: u64) -> Option<Arc<Slot>> {
        if !self.is_open(id, conn) {
            return None;
        }
        self.0.remove(id).map(|open| open.slot)
    }

    /// Nobody waits for the answer any more; false when it was there already.
    pub fn give_up(&mut self, id: &str) -> bool {
        self.0.remove(id).is_some()
    }

    /// Takes every question to a connection that has gone, or that may not be asked any more.
    pub fn take_all_of(&mut self, conn: u64) -> Vec<(String, Arc<Slot>)> {
        self.0.extract_if(|_, open| open.conn == conn).map(|(id, open)| (id, open.slot)).collect()
    }
}

/// A text as the JSON it holds. Text that is none, or is nested so deeply that readers would refuse the whole frame, comes
/// as it is, under `payloadJSON`.
pub fn parsed(text: &str) -> Option<Box<RawValue>> {
    if text.trim().is_empty() {
        return None;
    }
    let parsed = if depth(text) <= MAX_DEPTH { RawValue::from_string(text.to_string()).ok() } else { None };
    parsed.or_else(|| serde_json::value::to_raw_value(&serde_json::json!({ "payloadJSON": text })).ok())
}

/// Readers commonly stop at 128 levels; the frame around the payload takes a few.
const MAX_DEPTH: usize = 100;

fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_parsed_or_handed_on_as_it_is() {
        let text = |text: &str| parsed(text).map(|raw| raw.get().to_string());
        assert_eq!(text(r#" {"a": [1, "]]"]} "#).unwrap(), r#"{"a": [1, "]]"]}"#);
        assert_eq!(text("null").unwrap(), "null");
        assert_eq!(text("  "), None);
        assert_eq!(text("{oops").unwrap(), r#"{"payloadJSON":"{oops"}"#);
        let deep = "[".repeat(101) + &"]".repeat(101);
        assert_eq!(text(&deep).unwrap(), serde_json::json!({ "payloadJSON": deep }).to_string());
        let strings = format!("[{:?}]", "[".repeat(500));
        assert_eq!(text(&strings).unwrap(), strings);
    }

    #[test]
    fn a_quarter_of_the_places_is_for_others() {
        let mut invokes = Invokes::default();
        invokes.ask("left", 1, None);
        for id in 0..6 {
            assert!(invokes.has_room("greedy", 8), "{id}");
            invokes.ask(&id.to_string(), 1, Some("greedy".to_string()));
        }
        assert!(!invokes.has_room("greedy", 8) && invokes.has_room("other", 8));
        invokes.ask("last", 1, Some("other".to_string()));
        assert!(!invokes.has_room("other", 8));
        invokes.give_up("0");
        assert!(invokes.has_room("greedy", 8), "it has less than its share again");
        let few = Invokes::default();
        assert!(few.has_room("anybody", 1) && !few.has_room("anybody", 0));
    }

    #[test]
    fn only_who_was_asked_answers_and_only_once() {
        let mut invokes = Invokes::default();
        invokes.ask("i", 1, None);
        assert!(invokes.answered("i", 2).is_none() && invokes.answered("other", 1).is_none());
        assert!(invokes.answered("i", 1).is_some() && invokes.answered("i", 1).is_none());
        invokes.ask("j", 1, None);
        invokes.ask("k", 2, None);
        assert_eq!(invokes.take_all_of(1).len(), 1);
        assert!(!invokes.give_up("j") && invokes.give_up("k") && invokes.len() == 0);
    }
}
