//! What must hold for every frame a gateway sends, whatever the test is about.
//!
//! - The challenge comes first and without `seq`; nothing comes between it and the answer to `connect`.
//! - Only the keys of the schemas, no `null` where a field may be left out, integers without a fraction.
//! - `seq` begins at 1 and has no holes; it is on broadcasts and on nothing else. Events are those of hello-ok.
//! - `stateVersion` is on `presence` and `health` and on nothing else, and never goes back.
//! - Every answer belongs to a request, every request has one final answer, interim ones only where they are declared.

use std::collections::{BTreeSet, HashMap};

use schemas::frame::{EventFrame, ResponseFrame, StateVersion};
use schemas::hello::HelloOk;
use serde_json::Value;

use super::client::Frame;

/// Events that go to chosen connections only, and so carry no `seq`.
const TARGETED: [&str; 6] = [
    "connect.challenge",
    "node.invoke.cancel",
    "node.invoke.request",
    "session.message",
    "sessions.changed",
    "spike.note",
];
/// Events that are broadcast, and also sent to some connections alone: a newcomer, a node that was approved, every node, and
/// whoever asked to be shown tools.
const BOTH: [&str; 6] =
    ["agent", "health", "node.pair.resolved", "talk.mode", "voicewake.changed", "voicewake.routing.changed"];
/// Events that carry the versions of the snapshot.
const STAMPED: [&str; 2] = ["health", "presence"];
/// Methods whose manifest row says `interim`.
const INTERIM: [&str; 5] = ["agent", "exec.approval.request", "spike.run", "spike.attached", "spike.once"];

/// What is known of a connection.
#[derive(Default)]
pub struct Checks {
    stage: Stage,
    seq: u64,
    holes_allowed: bool,
    version: StateVersion,
    events: BTreeSet<String>,
    /// Requests by id: methods that wait for their final answer, in the order sent.
    waiting: HashMap<String, Vec<String>>,
    connect_id: Option<String>,
}

#[derive(Default, PartialEq, Eq, Clone, Copy, Debug)]
enum Stage {
    #[default]
    Upgraded,
    Challenged,
    Connected,
    Refused,
}

impl Checks {
    /// The connection is about to miss droppable events: holes in `seq` are expected.
    pub fn allow_holes(&mut self) {
        self.holes_allowed = true;
    }

    /// How often this connection was broadcast to, as far as `seq` tells.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Notes a text that is about to be sent. Params are passed over, so that they may be nested as deep as they like.
    pub fn sent(&mut self, text: &str) {
        #[derive(Default, serde::Deserialize)]
        #[serde(default)]
        struct Sent {
            id: Value,
            method: Value,
        }
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        if !is_json {
            return;
        }
        // A key that is there twice fails the first reading; the last one counts in the second.
        let read_again = |_| {
            serde_json::from_str(text)
                .map(|value: Value| Sent { id: value["id"].clone(), method: value["method"].clone() })
        };
        let Sent { id, method } = serde_json::from_str(text).or_else(read_again).unwrap_or_default();
        let id = id.as_str().filter(|id| !id.is_empty()).unwrap_or("invalid");
        let method = method.as_str().unwrap_or("");
        if self.connect_id.is_none() {
            self.connect_id = Some(id.to_string());
        }
        self.waiting.entry(id.to_string()).or_default().push(method.to_string());
    }

    /// Requests that still wait for an answer.
    pub fn waiting(&self) -> Vec<&str> {
        self.waiting.values().flatten().map(String::as_str).collect()
    }

    /// Looks at a text that arrived, and takes it apart.
    pub fn received(&mut self, text: &str) -> Frame {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
        let object = value.as_object().unwrap_or_else(|| panic!("not an object: {text}"));
        for key in ["error", "seq", "stateVersion"] {
            assert!(object.get(key) != Some(&Value::Null), "{key} is null in {text}");
        }
        // A payload of `null` is one; reading it into an option has lost it.
        let payload = object.get("payload").cloned();
        match value["type"].as_str() {
            Some("res") => Frame::Response(ResponseFrame { payload, ..self.response(text) }),
            Some("event") => Frame::Event(EventFrame { payload, ..self.event(text) }),
            _ => panic!("neither an answer nor an event: {text}"),
        }
    }

    fn response(&mut self, text: &str) -> ResponseFrame {
        let response: ResponseFrame = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
        assert_eq!(response.ok, response.error.is_none(), "ok and error disagree in {text}");
        if let Some(error) = &response.error {
            assert!(!error.code.is_empty() && !error.message.is_empty(), "an empty code or message in {text}");
        }
        assert_ne!(self.stage, Stage::Upgraded, "an answer before the challenge: {text}");
        let methods = self.waiting.get_mut(&response.id);
        let methods = methods.filter(|methods| !methods.is_empty());
        let methods = methods.unwrap_or_else(|| panic!("an answer to nothing, or a second one: {text}"));
        if is_interim(&response) {
            assert!(methods.iter().any(|method| INTERIM.contains(&method.as_str())), "an interim answer: {text}");
            return response;
        }
        let method = methods.remove(0);
        if self.stage == Stage::Challenged {
            assert_eq!(Some(&response.id), self.connect_id.as_ref(), "not the answer to the first frame: {text}");
            self.stage = Stage::Refused;
            if response.ok {
                assert_eq!(method, "connect", "{text}");
                self.hello(response.payload.as_ref().unwrap_or(&Value::Null));
            }
        }
        response
    }

    fn hello(&mut self, payload: &Value) {
        let hello: HelloOk = serde_json::from_value(payload.clone()).unwrap_or_else(|e| panic!("{e} in {payload}"));
        assert_eq!(hello.kind, "hello-ok");
        for list in [&hello.features.methods, &hello.features.events] {
            assert!(list.is_sorted() && list.windows(2).all(|pair| pair[0] != pair[1]), "unsorted: {list:?}");
        }
        serde_json::from_str::<Vec<schemas::PresenceEntry>>(hello.snapshot.presence.get()).expect("presence entries");
        assert!(hello.snapshot.health.get().starts_with('{'), "{payload}");
        assert!(hello.snapshot.session_defaults.is_some(), "user interfaces need sessionDefaults: {payload}");
        self.version = hello.snapshot.state_version;
        assert!(self.version.presence >= 1 && self.version.health >= 1, "versions count from 1: {payload}");
        self.events = hello.features.events.into_iter().collect();
        self.stage = Stage::Connected;
    }

    fn event(&mut self, text: &str) -> EventFrame {
        let event: EventFrame = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
        if self.stage == Stage::Upgraded {
            assert_eq!(event.event, "connect.challenge", "the challenge comes first: {text}");
            let payload = event.payload.as_ref().unwrap_or(&Value::Null);
            assert!(payload["nonce"].as_str().is_some_and(|nonce| nonce.len() == 36), "{text}");
            assert!(payload["ts"].is_u64() && event.seq.is_none(), "{text}");
            self.stage = Stage::Challenged;
            return event;
        }
        assert_eq!(self.stage, Stage::Connected, "an event before hello-ok: {text}");
        assert!(self.events.contains(&event.event), "hello-ok does not list it: {text}");
        let name = event.event.as_str();
        match event.seq {
            None => assert!(TARGETED.contains(&name) || BOTH.contains(&name), "a broadcast without seq: {text}"),
            Some(seq) => {
                assert!(!TARGETED.contains(&name), "a targeted event with seq: {text}");
                let next = self.seq + 1;
                assert!(seq == next || (seq > next && self.holes_allowed), "seq {next} was due: {text}");
                self.seq = seq;
            }
        }
        self.state_version(&event, text);
        event
    }

    fn state_version(&mut self, event: &EventFrame, text: &str) {
        assert_eq!(event.state_version.is_some(), STAMPED.contains(&event.event.as_str()), "stateVersion: {text}");
        let Some(version) = event.state_version.filter(|_| event.seq.is_some()) else { return };
        // Two plugins may stamp at the same instant, so only the part that the event is about has an order.
        if event.event == "presence" {
            assert!(version.presence >= self.version.presence, "presence goes back: {text}");
            self.version.presence = version.presence;
        } else {
            assert!(version.health >= self.version.health, "health goes back: {text}");
            self.version.health = version.health;
        }
    }
}

/// Whether an answer announces another one.
pub(super) fn is_interim(response: &ResponseFrame) -> bool {
    response.ok && response.payload.as_ref().is_some_and(|payload| payload["status"] == "accepted")
}
