//! The store against a model of it that fits on a few pages and knows no database: whatever is done in whatever order, and
//! wherever a crash comes in between, both say the same of sessions, their fields, and every conversation there ever was.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Sessions, of two agents.
const KEYS: [&str; 4] = ["agent:main:s0", "agent:main:s1", "agent:ops:s0", "agent:ops:s1"];
/// How long a write may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);
const ROLES: [&str; 3] = ["user", "assistant", "toolResult"];

#[derive(Debug, Clone)]
enum Step {
    Open {
        of: usize,
        create: bool,
    },
    /// Messages, by number and role, and tokens that they cost.
    Append {
        of: usize,
        messages: Vec<(u64, usize)>,
        tokens: u64,
    },
    /// Messages for a conversation that is over.
    Late {
        which: usize,
        messages: Vec<(u64, usize)>,
    },
    Patch {
        of: usize,
        label: Option<Option<u8>>,
        pinned: Option<Option<bool>>,
        archived: Option<Option<bool>>,
    },
    Reset {
        of: usize,
        expects_another: bool,
    },
    Delete {
        of: usize,
        keeps_name: bool,
    },
    Compact {
        of: usize,
        keep: usize,
    },
    /// Another instance finds what this one has on the disk while messages are on their way there.
    Crash {
        of: usize,
        messages: Vec<(u64, usize)>,
        tokens: u64,
        moment: Moment,
    },
}

/// When the folder is taken as it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    /// The messages are on their way.
    AtOnce,
    /// Some of their bytes are in the file.
    Amid,
    /// They were answered.
    Afterwards,
}

fn step() -> impl Strategy<Value = Step> {
    let of = || 0..KEYS.len();
    let messages = || proptest::collection::vec((0..12u64, 0..ROLES.len()), 0..4);
    let seldom = || proptest::bool::weighted(0.25);
    let flag = || proptest::option::of(proptest::option::of(any::<bool>()));
    prop_oneof![
        1 => (of(), any::<bool>()).prop_map(|(of, create)| Step::Open { of, create }),
        6 => (of(), messages(), 0..9u64).prop_map(|(of, messages, tokens)| Step::Append { of, messages, tokens }),
        1 => (0..4usize, messages()).prop_map(|(which, messages)| Step::Late { which, messages }),
        3 => (of(), proptest::option::of(proptest::option::of(0..2u8)), flag(), flag())
            .prop_map(|(of, label, pinned, archived)| Step::Patch { of, label, pinned, archived }),
        1 => (of(), seldom()).prop_map(|(of, expects_another)| Step::Reset { of, expects_another }),
        1 => (of(), seldom()).prop_map(|(of, keeps_name)| Step::Delete { of, keeps_name }),
        2 => (of(), 1..4usize).prop_map(|(of, keep)| Step::Compact { of, keep }),
        3 => (of(), messages(), 0..9u64, proptest::sample::select(vec![Moment::AtOnce, Moment::Amid, Moment::Afterwards]))
            .prop_map(|(of, messages, tokens, moment)| Step::Crash { of, messages, tokens, moment }),
    ]
}

/// Ids of messages and their roles, oldest first.
type Messages = Vec<(String, usize)>;

#[derive(Debug, Clone, Default, PartialEq)]
struct Session {
    id: String,
    messages: Messages,
    /// What clients set.
    fields: BTreeMap<&'static str, Value>,
    tokens: Option<u64>,
}

struct World {
    running: Running,
    sessions: BTreeMap<usize, Session>,
    /// Conversations that are over: of which session, under which id, and what was said.
    over: Vec<(usize, String, Messages)>,
}

type Outcome = Result<(), TestCaseError>;

fn said(messages: &[(u64, usize)]) -> Vec<Value> {
    let one = |(number, role): &(u64, usize)| {
        let mut message = numbered(*number);
        message["role"] = json!(ROLES[*role]);
        message
    };
    messages.iter().map(one).collect()
}

fn appending(of: usize, messages: &[(u64, usize)], tokens: u64) -> Value {
    let tokens = json!({ "addTokens": { "input": tokens, "output": 1 } });
    json!({ "key": KEYS[of], "messages": said(messages), "set": tokens })
}

/// A message that is there already is passed over.
fn grow(transcript: &mut Messages, messages: &[(u64, usize)]) {
    for (number, role) in messages {
        let id = format!("m{number}");
        if !transcript.iter().any(|(known, _)| *known == id) {
            transcript.push((id, *role));
        }
    }
}

/// Of one agent no two sessions have one label.
fn agent(of: usize) -> &'static str {
    KEYS[of].split(':').nth(1).expect("a key names its agent")
}

impl World {
    fn new() -> World {
        World { running: start(), sessions: BTreeMap::new(), over: Vec::new() }
    }

    fn step(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Open { of, create } => {
                let opened = ask(&self.running, "open", json!({ "key": KEYS[*of], "create": create }));
                match opened.result {
                    Ok(opened) => {
                        prop_assert_eq!(&opened["isNew"], &json!(!self.sessions.contains_key(of)));
                        self.is_there(*of, &opened["sessionId"])?;
                    }
                    Err(_) => prop_assert!(!create && !self.sessions.contains_key(of)),
                }
            }
            Step::Append { of, messages, tokens } => {
                let appended = ask(&self.running, "append", appending(*of, messages, *tokens)).payload();
                self.is_there(*of, &appended["sessionId"])?;
                let session = self.sessions.get_mut(of).expect("it is there now");
                grow(&mut session.messages, messages);
                session.tokens = Some(session.tokens.unwrap_or(0) + tokens);
                prop_assert_eq!(&appended["total"], &json!(session.messages.len()));
            }
            Step::Late { which, messages } => {
                let Some((of, id, transcript)) = self.over.get_mut(*which) else { return Ok(()) };
                let params = json!({ "key": KEYS[*of], "sessionId": id, "messages": said(messages) });
                let appended = ask(&self.running, "append", params).payload();
                grow(transcript, messages);
                prop_assert_eq!((&appended["sessionId"], &appended["total"]), (&json!(id), &json!(transcript.len())));
            }
            Step::Patch { of, label, pinned, archived } => {
                self.patch(*of, label, [("pinned", pinned), ("archived", archived)])?
            }
            Step::Reset { of, expects_another } => self.reset(*of, *expects_another)?,
            Step::Delete { of, keeps_name } => {
                let params = json!({ "key": KEYS[*of], "deleteTranscript": !keeps_name });
                let deleted = self.running.call("sessions.delete", params).payload();
                let before = self.sessions.remove(of);
                prop_assert_eq!(&deleted["deleted"], &json!(before.is_some()));
                let is_archived = before.as_ref().is_some_and(|before| !before.messages.is_empty() && !keeps_name);
                prop_assert_eq!(deleted["archived"].as_array().map(Vec::len), Some(usize::from(is_archived)));
                self.over.extend(before.map(|before| (*of, before.id, before.messages)));
            }
            Step::Compact { of, keep } => self.compact(*of, *keep)?,
            Step::Crash { of, messages, tokens, moment } => self.crash(*of, messages, *tokens, *moment)?,
        }
        self.compare()
    }

    /// The folder is taken as it stands while an append is under way, and whatever the instance before does afterwards, its
    /// orderly end among it, is none of the next one's business. All of the append is there or nothing, and all of it if it
    /// was answered before.
    fn crash(&mut self, of: usize, messages: &[(u64, usize)], tokens: u64, moment: Moment) -> Outcome {
        let log = self.running.data_dir().join("sessions.db-wal");
        let size = || std::fs::metadata(&log).map_or(0, |log| log.len());
        let (append, before) = (appending(of, messages, tokens), size());
        let pending = self.running.begin_as(Who::plugin("agent"), "session.store.append", append);
        match moment {
            Moment::AtOnce => {}
            Moment::Amid => {
                let begun = Instant::now();
                while size() == before && !pending.is_done() {
                    prop_assert!(begun.elapsed() < PATIENCE, "nothing is written");
                    std::thread::yield_now();
                }
            }
            Moment::Afterwards => drop(pending.wait().payload()),
        }
        let was_answered = pending.is_done();
        self.running = harness().data_of(self.running.data_dir()).start();
        let found = ask(&self.running, "transcript", json!({ "key": KEYS[of] })).payload();
        let mut after = self.sessions.get(&of).cloned().unwrap_or_default();
        grow(&mut after.messages, messages);
        after.tokens = Some(after.tokens.unwrap_or(0) + tokens);
        let has_happened = found["sessionId"].is_string()
            && found["total"] == json!(after.messages.len())
            && found["entry"].get("inputTokens").and_then(Value::as_u64) == after.tokens;
        prop_assert!(has_happened || !was_answered, "what was answered is gone: {}", found);
        if has_happened {
            self.is_there(of, &found["sessionId"])?;
            let session = self.sessions.get_mut(&of).expect("it is there now");
            (session.messages, session.tokens) = (after.messages, after.tokens);
        }
        Ok(())
    }

    /// A session is there, made just now if it was not, and in this conversation.
    fn is_there(&mut self, of: usize, id: &Value) -> Outcome {
        let id = id.as_str().expect("an id").to_string();
        let is_fresh = self.over.iter().all(|(_, over, _)| *over != id);
        let session = self.sessions.entry(of).or_insert_with(|| Session { id: id.clone(), ..Session::default() });
        prop_assert!(is_fresh && session.id == id, "{} is another conversation than {}", id, session.id);
        Ok(())
    }

    fn patch(
        &mut self,
        of: usize,
        label: &Option<Option<u8>>,
        flags: [(&'static str, &Option<Option<bool>>); 2],
    ) -> Outcome {
        let mut fields: BTreeMap<&'static str, Value> = BTreeMap::new();
        fields.extend(label.map(|label| ("label", json!(label.map(|number| format!("label {number}"))))));
        fields.extend(flags.into_iter().filter_map(|(field, flag)| Some((field, json!(flag.as_ref()?)))));
        let mut params = json!(fields);
        params["key"] = json!(KEYS[of]);
        let taken = |(other, session): (&usize, &Session)| {
            let own = fields.get("label").filter(|label| !label.is_null());
            *other != of && agent(*other) == agent(of) && own.is_some() && session.fields.get("label") == own
        };
        let patched = self.running.call("sessions.patch", params);
        if self.sessions.iter().any(taken) {
            prop_assert!(patched.error().message.starts_with("label already in use: label "));
            return Ok(());
        }
        self.is_there(of, &patched.payload()["entry"]["sessionId"])?;
        let session = self.sessions.get_mut(&of).expect("it is there now");
        for (field, value) in fields {
            if value.is_null() { drop(session.fields.remove(field)) } else { drop(session.fields.insert(field, value)) }
        }
        Ok(())
    }

    fn reset(&mut self, of: usize, expects_another: bool) -> Outcome {
        let mut params = json!({ "key": KEYS[of] });
        if expects_another {
            params["expectedSessionId"] = json!("another");
        }
        let reset = self.running.call("sessions.reset", params);
        if expects_another {
            prop_assert_eq!(reset.error().details, Some(json!({ "code": "SESSION_CHANGED" })));
            return Ok(());
        }
        let id = reset.payload()["entry"]["sessionId"].as_str().expect("an id").to_string();
        let before = self.sessions.remove(&of);
        let fields = before.as_ref().map(|before| before.fields.clone()).unwrap_or_default();
        self.over.extend(before.map(|before| (of, before.id, before.messages)));
        prop_assert!(self.over.iter().all(|(_, over, _)| *over != id), "it begins another conversation");
        self.sessions.insert(of, Session { id, fields, tokens: Some(0), ..Session::default() });
        Ok(())
    }

    fn compact(&mut self, of: usize, keep: usize) -> Outcome {
        let compacted = self.running.call("sessions.compact", json!({ "key": KEYS[of], "maxLines": keep })).payload();
        let session = self.sessions.get_mut(&of).filter(|session| session.messages.len() > keep);
        prop_assert_eq!(&compacted["compacted"], &json!(session.is_some()));
        let Some(session) = session else { return Ok(()) };
        // The answer of a tool is no beginning.
        let last = session.messages.len() - keep;
        let is_beginning = |(_, role): &(String, usize)| ROLES[*role] != "toolResult";
        let dropped =
            session.messages[last..].iter().position(is_beginning).map_or(session.messages.len(), |at| last + at);
        let earlier = session.messages.drain(..dropped).collect();
        session.tokens = None;
        prop_assert_eq!(&compacted["kept"], &json!(session.messages.len()));
        let name = compacted["archived"].as_str().expect("a name").to_string();
        self.over.push((of, name, earlier));
        Ok(())
    }

    /// What is true of all sessions and conversations, by both.
    fn compare(&self) -> Outcome {
        for (of, key) in KEYS.iter().enumerate() {
            let found = ask(&self.running, "transcript", json!({ "key": key })).payload();
            let known = self.sessions.get(&of);
            prop_assert_eq!(found.get("sessionId").and_then(Value::as_str), known.map(|known| known.id.as_str()));
            let known = known.cloned().unwrap_or_default();
            prop_assert_eq!(ids(&found), known.messages.iter().map(|(id, _)| id).collect::<Vec<_>>());
            prop_assert_eq!((&found["total"], &found["hasMore"]), (&json!(known.messages.len()), &json!(false)));
            prop_assert_eq!(found["entry"].get("inputTokens").and_then(Value::as_u64), known.tokens);
            for field in ["label", "pinned", "archived"] {
                prop_assert_eq!(found["entry"].get(field), known.fields.get(field), "{} of {}", field, key);
            }
        }
        for (of, id, messages) in &self.over {
            let found = ask(&self.running, "transcript", json!({ "key": KEYS[*of], "sessionId": id })).payload();
            prop_assert_eq!(ids(&found), messages.iter().map(|(id, _)| id).collect::<Vec<_>>());
        }
        for archived in [false, true] {
            let listed = self.running.call("sessions.list", json!({ "archived": archived })).payload();
            let rows = listed["sessions"].as_array().expect("rows");
            let keys: BTreeSet<&str> = rows.iter().filter_map(|row| row["key"].as_str()).collect();
            let is_put_away = |session: &Session| session.fields.get("archived") == Some(&json!(true));
            let known = self.sessions.iter().filter(|(_, session)| is_put_away(session) == archived);
            prop_assert_eq!(keys, known.map(|(of, _)| KEYS[*of]).collect::<BTreeSet<_>>());
            prop_assert!(rows.iter().map(|row| row["updatedAt"].as_u64()).is_sorted_by(|a, b| a >= b));
        }
        for (of, session) in &self.sessions {
            if let Some(label) = session.fields.get("label") {
                let asked = json!({ "label": label, "agentId": agent(*of) });
                prop_assert_eq!(&self.running.call("sessions.resolve", asked).payload()["key"], KEYS[*of]);
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_store_and_its_model_agree(steps in proptest::collection::vec(step(), 1..24)) {
        let mut world = World::new();
        for (place, step) in steps.iter().enumerate() {
            let agreed = world.step(step);
            agreed.map_err(|error| TestCaseError::fail(format!("step {place}, {step:?}: {error}")))?;
        }
    }
}
