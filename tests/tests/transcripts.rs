//! Recorded traffic of real clients and of the reference gateway, played again. What the client said is sent, with its
//! devices signing anew; what the gateway answered is compared in structure: the same errors and closes word for word,
//! the same keys with the same types at every level. The newest reference sends far more keys than its clients read: of
//! recordings of protocol 4 those that both send are compared, and those that its schema requires in hello-ok are
//! there. Where this gateway differs on purpose, a table in differences.rs says why, and a row of a table that nothing
//! needs any more fails the test.

#[path = "transcripts/differences.rs"]
mod differences;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use clawhost_tests::support::{Client, Connect, Gateway, Key, Knock, Payload, TOKEN};
use differences::*;
use schemas::ErrorShape;
use serde_json::{Value, json};

thread_local! {
    /// Rows of the tables that something needed.
    static USED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

#[tokio::test]
async fn every_recorded_conversation() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("the folder").flatten().map(|it| it.path()).collect();
    files.sort();
    let mut problems = Vec::new();
    for file in files {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("a transcript");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let replay = Replay::start(&name, &lines).await;
        problems.extend(replay.run(&lines).await.into_iter().map(|problem| format!("{name}: {problem}")));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let used = USED.take();
    let rows = [ABSENT, EXTRA, OTHER_TYPE, OPAQUE, APPROVED].into_iter().flatten().map(|row| row.0);
    let rows = rows.chain(SENTENCES.iter().map(|row| row.0)).chain(ANSWERED.iter().map(|row| row.0));
    let unused: Vec<_> = rows.filter(|row| !used.contains(*row)).collect();
    assert!(unused.is_empty(), "nothing needs these rows any more: {unused:?}");
}

/// A connection of the recording: the door it came by, and its number there.
type Place = (String, u64);

struct Replay {
    name: String,
    gateway: Gateway,
    devices: HashMap<String, Device>,
    /// Recorded ids and keys, and ours.
    words: HashMap<String, String>,
    open: HashMap<Place, Open>,
    problems: Vec<String>,
}

struct Device {
    key: Key,
    /// Our tokens by role.
    tokens: HashMap<String, String>,
}

struct Open {
    client: Client,
    /// Methods by id of their requests.
    sent: HashMap<String, String>,
    greeted: bool,
    /// The recorded device that connected.
    device: Option<String>,
}

impl Replay {
    async fn start(name: &str, lines: &[Value]) -> Self {
        // The recorded silence is ended by a shorter timer, the ticks come sooner.
        let config = match name {
            "p3-raw-errors.jsonl" => "[gateway.limits]\nhandshake_timeout_ms = 3000",
            "p3-ticks.jsonl" | "p3-node-host.jsonl" => "[gateway.limits]\ntick_interval_ms = 100",
            _ => "",
        };
        let gateway = Gateway::with_config(config).await;
        let name = name.to_string();
        let mut replay = Replay {
            name,
            gateway,
            devices: HashMap::new(),
            words: HashMap::new(),
            open: HashMap::new(),
            problems: Vec::new(),
        };
        replay.pair_known_devices(lines).await;
        // The first health summary is there before the first client, as it was in the recordings.
        replay.gateway.assert_healthy().await;
        replay
    }

    /// Devices that showed a device token first were paired before the recording began.
    async fn pair_known_devices(&mut self, lines: &[Value]) {
        let mut seen = BTreeSet::new();
        for params in lines.iter().filter(|line| is_connect(line)).map(|line| &line["frame"]["params"]) {
            let Some(id) = params["device"]["id"].as_str() else { continue };
            let number = self.devices.len() as u8;
            let device = self.devices.entry(id.to_string()).or_insert_with(|| {
                let key = Key::new(number);
                self.words.insert(id.to_string(), key.id());
                Device { key, tokens: HashMap::new() }
            });
            if !seen.insert(id.to_string()) || !is_device_token(params["auth"]["token"].as_str()) {
                continue;
            }
            let mut params = params.clone();
            params["auth"]["token"] = json!(TOKEN);
            let role = params["role"].as_str().unwrap_or("operator").to_string();
            let client = self.gateway.connect(&Connect::with_params(params).device(&device.key)).await;
            let token = client.hello["auth"]["deviceToken"].as_str().expect("a device token").to_string();
            device.tokens.insert(role, token);
            client.close().await;
        }
    }

    async fn run(mut self, lines: &[Value]) -> Vec<String> {
        for (number, line) in lines.iter().enumerate() {
            let place = (line["door"].as_str().unwrap_or("").to_string(), line["conn"].as_u64().unwrap_or(0));
            if SKIPPED.iter().any(|(name, conn, _)| *name == self.name && *conn == place.1) {
                continue;
            }
            if self.gets_another_version_here(lines, place.1) {
                continue;
            }
            // Frames of a connection name the door only where it opens.
            let place = self.known(lines, number, place);
            match line["dir"].as_str() {
                Some("open") => {
                    let is_local = place.0 != "remote" || LOCAL_DOORS.iter().any(|row| row.0 == self.name);
                    let knock = if is_local { Knock::default() } else { Knock::remote() };
                    let client = self.gateway.knock_with(&knock).await;
                    self.open.insert(place, Open { client, sent: HashMap::new(), greeted: false, device: None });
                }
                Some("c2s") => self.client_says(&place, lines, number).await,
                Some("s2c") => self.gateway_says(&place, &line["frame"]).await,
                Some("close") => self.ends(place, line).await,
                _ => {}
            }
        }
        for (_, open) in std::mem::take(&mut self.open) {
            open.client.close().await;
        }
        self.gateway.stop().await;
        self.problems
    }

    /// Whether this gateway, which serves both versions, gives a client another one than the reference of the recording did,
    /// which served one: `handshake.rs` has the ranges, and the answers are those of another recording.
    fn gets_another_version_here(&self, lines: &[Value], conn: u64) -> bool {
        let connects = lines.iter().filter(|line| is_connect(line) && line["conn"].as_u64() == Some(conn));
        connects.map(|line| &line["frame"]["params"]).any(|params| {
            let (min, max) = (params["minProtocol"].as_u64(), params["maxProtocol"].as_u64());
            let offers = |version| min.is_some_and(|min| min <= version) && max.is_some_and(|max| max >= version);
            if self.is_of_4() { !offers(4) && offers(3) } else { offers(4) }
        })
    }

    fn is_of_4(&self) -> bool {
        self.name.starts_with("p4-")
    }

    /// The connection a line belongs to: the one of that number that is open, the remote one if the line says so.
    fn known(&self, lines: &[Value], number: usize, place: Place) -> Place {
        if lines[number]["dir"] == "open" || self.open.contains_key(&place) {
            return place;
        }
        let other = if place.0.is_empty() { "remote" } else { "" };
        (other.to_string(), place.1)
    }

    async fn client_says(&mut self, place: &Place, lines: &[Value], number: usize) {
        let frame = &lines[number]["frame"];
        let Some(object) = frame.as_object() else {
            let text = frame.as_str().unwrap_or_default().to_string();
            return self.connection(place).client.send_text(&text).await;
        };
        let answer = recorded_answer(lines, number);
        let id = object.get("id").and_then(Value::as_str).unwrap_or("invalid").to_string();
        let method = object.get("method").and_then(Value::as_str).unwrap_or("").to_string();
        let mut frame = frame.clone();
        if method == "connect" && frame["params"]["client"].is_object() {
            let connect = self.connect(&frame["params"], answer);
            let open = self.connection(place);
            open.device = frame["params"]["device"]["id"].as_str().map(str::to_string);
            frame["params"] = connect.params(open.client.nonce());
        } else {
            let hello = &self.connection(place).client.hello;
            let served = hello["features"]["methods"].as_array().is_some_and(|all| all.contains(&json!(method)));
            let message = answer.and_then(|answer| answer["error"]["message"].as_str()).unwrap_or("");
            let same_anyway = ["unknown method", "unauthorized role", "invalid request frame", "invalid handshake"];
            let is_connected = !hello.is_null();
            let any = method.is_empty() || method == "connect" || same_anyway.iter().any(|it| message.starts_with(it));
            if is_connected && !served && !any {
                return;
            }
            frame = self.translated(&frame);
        }
        let open = self.connection(place);
        open.sent.insert(id, method);
        open.client.send(&frame).await;
    }

    /// The recorded connect, signed by our key for its device, with our secrets.
    fn connect(&self, params: &Value, answer: Option<&Value>) -> Connect {
        let mut params = params.clone();
        let proof = params["device"].clone();
        let role = params["role"].as_str().unwrap_or("operator").to_string();
        let device = proof["id"].as_str().and_then(|id| self.devices.get(id));
        match params["auth"]["token"].as_str() {
            Some("test-token") => params["auth"]["token"] = json!(TOKEN),
            token if is_device_token(token) => {
                let ours = device.and_then(|device| device.tokens.get(&role)).expect("the device has a token");
                params["auth"]["token"] = json!(ours);
            }
            _ => {}
        }
        let commands = params.get_mut("commands").and_then(Value::as_array_mut);
        if let Some(commands) = commands.filter(|list| list.contains(&json!("<cut 9 more>"))) {
            commands.pop();
            commands.extend(CUT.map(Value::from));
        }
        let payload = match answer.and_then(|answer| answer["error"]["message"].as_str()) {
            Some("device signature invalid") => Payload::V3,
            _ if self.is_of_4() => Payload::V3,
            _ if proof["nonce"].is_string() => Payload::V2,
            _ => Payload::V1,
        };
        let connect = Connect::with_params(params).payload(payload);
        match device {
            Some(device) => connect.device(&device.key),
            None => connect,
        }
    }

    async fn gateway_says(&mut self, place: &Place, recorded: &Value) {
        match recorded["type"].as_str() {
            Some("event") => self.event(place, recorded).await,
            _ => self.response(place, recorded).await,
        }
    }

    async fn event(&mut self, place: &Place, recorded: &Value) {
        let name = recorded["event"].as_str().expect("a name");
        let is_of_4 = self.is_of_4();
        let open = self.connection(place);
        let payload = match name {
            "connect.challenge" => open.client.challenge.clone(),
            // The reference tells everyone of the refresh that each request sets off; here the newcomer hears it once.
            "health" if std::mem::replace(&mut open.greeted, true) => return,
            // The newest reference refreshes and ticks at times of its own; `events.rs` has ours.
            "tick" if is_of_4 => return,
            // What programs a node has run wakes the reference's agent.
            "heartbeat" => return,
            _ if !open.client.hello["features"]["events"].as_array().is_some_and(|all| all.contains(&json!(name))) => {
                return;
            }
            _ => open.client.event(name).await.payload.unwrap_or_default(),
        };
        if name == "node.invoke.request" {
            self.learn(&recorded["payload"]["id"], &payload["id"]);
        }
        self.compare(name, &recorded["payload"], &payload);
    }

    /// An operator who is in no recording lets a node be used.
    async fn approve(&mut self, hello: &Value) {
        let mut admin = self.gateway.admin().await;
        let list = admin.ok("node.pair.list", json!({})).await;
        let request = list["pending"][0]["requestId"].clone();
        assert!(request.is_string(), "{list} after {hello}");
        admin.ok("node.pair.approve", json!({ "requestId": request })).await;
        admin.close().await;
    }

    /// Ours stands for the recorded one from now on.
    fn learn(&mut self, recorded: &Value, ours: &Value) {
        if let (Some(recorded), Some(ours)) = (recorded.as_str(), ours.as_str()) {
            self.words.insert(recorded.to_string(), ours.to_string());
        }
    }

    /// Learns the ids that an answer or event brings.
    fn learn_ids(&mut self, recorded: &Value, ours: &Value) {
        match (recorded, ours) {
            (Value::Object(recorded), Value::Object(ours)) => {
                for (key, value) in recorded {
                    let Some(our) = ours.get(key) else { continue };
                    if IDS.contains(&key.as_str()) {
                        self.learn(value, our);
                    }
                    self.learn_ids(value, our);
                }
            }
            (Value::Array(recorded), Value::Array(ours)) => {
                recorded.iter().zip(ours).for_each(|(recorded, ours)| self.learn_ids(recorded, ours));
            }
            _ => {}
        }
    }

    async fn response(&mut self, place: &Place, recorded: &Value) {
        let id = recorded["id"].as_str().expect("an id").to_string();
        let open = self.connection(place);
        let Some(method) = open.sent.remove(&id) else { return };
        let answer = match method.as_str() {
            "connect" if open.client.hello.is_null() => {
                let answer = open.client.answer(&id).await;
                if let Ok(hello) = &answer {
                    open.client.hello = hello.clone();
                }
                answer
            }
            _ => open.client.answer(&id).await,
        };
        let device = open.device.clone();
        self.remember_token(device.as_deref(), &answer);
        if let (Ok(hello), Some(row)) = (&answer, APPROVED.iter().find(|row| row.0 == self.name))
            && hello["auth"]["role"] == "node"
        {
            self.approve(hello).await;
            used(row.0);
        }
        let recorded_message = recorded["error"]["message"].as_str().unwrap_or("");
        match (recorded["ok"] == true, answer) {
            (true, Ok(payload)) => {
                let root = if payload["type"] == "hello-ok" { "hello-ok" } else { &method };
                self.compare(root, &recorded["payload"], &payload);
            }
            (false, Err(error)) => self.compare_errors(&method, &recorded["error"], &error),
            (false, Ok(_)) if ANSWERED.iter().any(|row| row.0 == method && recorded_message.starts_with(row.1)) => {
                used(&method)
            }
            (ok, answer) => self.problems.push(format!("{method}: ok was {ok}, but: {answer:?}")),
        }
    }

    fn compare_errors(&mut self, method: &str, recorded: &Value, ours: &ErrorShape) {
        let message = recorded["message"].as_str().expect("a message");
        let same = match SENTENCES.iter().find(|row| row.0 == message) {
            Some((_, begin, _)) => {
                used(message);
                ours.message.starts_with(begin)
            }
            None => ours.message == message,
        };
        if !same || recorded["code"] != json!(ours.code) {
            self.problems.push(format!("{method}: {recorded} became {ours:?}"));
        }
        // Facts beside the sentence may be more than they were, never fewer.
        for (key, value) in recorded["details"].as_object().into_iter().flatten() {
            let our = ours.details.as_ref().and_then(|details| details.get(key));
            match (key.as_str(), value.as_str(), our.and_then(Value::as_str)) {
                ("requestId", Some(theirs), Some(our)) => {
                    self.words.insert(theirs.to_string(), our.to_string());
                }
                _ if our == Some(value) => {}
                // The newest that is served, whatever was offered.
                ("expectedProtocol", ..) if our == Some(&json!(4)) => {}
                _ => self.problems.push(format!("{method}: details.{key} was {value} and is {our:?}")),
            }
        }
    }

    fn remember_token(&mut self, device: Option<&str>, answer: &Result<Value, ErrorShape>) {
        let (Some(device), Ok(hello)) = (device.and_then(|id| self.devices.get_mut(id)), answer) else { return };
        let auth = &hello["auth"];
        if let (Some(token), Some(role)) = (auth["deviceToken"].as_str(), auth["role"].as_str()) {
            device.tokens.insert(role.to_string(), token.to_string());
        }
    }

    async fn ends(&mut self, place: Place, line: &Value) {
        let Some(mut open) = self.open.remove(&place) else { return };
        if line["by"] == "client" {
            return open.client.close().await;
        }
        if !open.client.hello.is_null() {
            // One that the reference refused and this gateway took in.
            return open.client.close().await;
        }
        let close = open.client.closed().await;
        let reason = line["reason"].as_str().unwrap_or("");
        let same = match SENTENCES.iter().find(|row| row.0.starts_with(reason) && !reason.is_empty()) {
            Some((_, begin, _)) => close.reason.starts_with(&begin[..begin.len().min(close.reason.len())]),
            None => close.reason == reason,
        };
        if !same || line["code"].as_u64() != close.code.map(u64::from) {
            self.problems.push(format!("conn {}: close {} {reason:?} became {close:?}", place.1, line["code"]));
        }
    }

    fn compare(&mut self, root: &str, recorded: &Value, ours: &Value) {
        self.learn_ids(recorded, ours);
        let root = match root {
            "system-presence" => "presence",
            "node.describe" => "node",
            other => other,
        };
        if !self.is_of_4() {
            return shape(root, &[recorded], ours, &mut self.problems);
        }
        same_kinds(root, recorded, ours, &mut self.problems);
        for place in REQUIRED_BY_4.iter().filter(|place| root == "hello-ok" && ours.pointer(place).is_none()) {
            self.problems.push(format!("hello-ok{place} is missing"));
        }
    }

    fn connection(&mut self, place: &Place) -> &mut Open {
        self.open.get_mut(place).unwrap_or_else(|| panic!("{place:?} is not open"))
    }

    /// Recorded ids replaced by ours.
    fn translated(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => json!(self.words.get(text).unwrap_or(text)),
            Value::Array(list) => list.iter().map(|item| self.translated(item)).collect(),
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), self.translated(value))).collect(),
            other => other.clone(),
        }
    }
}

/// Compares one of our values with all recorded ones that stand in the same place.
fn shape(path: &str, recorded: &[&Value], ours: &Value, problems: &mut Vec<String>) {
    let is_opaque = OPAQUE.iter().find(|row| row.0 == path).map(|row| used(row.0)).is_some();
    match ours {
        _ if is_opaque && recorded.iter().all(|value| kind(value) == kind(ours)) => {}
        Value::Object(map) => {
            let recorded: Vec<_> = recorded.iter().filter_map(|value| value.as_object()).collect();
            if recorded.is_empty() {
                return problems.push(format!("{path} was no object, and is {ours}"));
            }
            // Maps from names that people choose have no keys to compare.
            for (key, value) in map {
                let below: Vec<&Value> = recorded.iter().filter_map(|other| other.get(key)).collect();
                let path = format!("{path}/{key}");
                if below.is_empty() {
                    excused(EXTRA, &path, "is more than the reference sends", problems);
                } else {
                    shape(&path, &below, value, problems);
                }
            }
            let always = recorded[0].keys().filter(|key| recorded.iter().all(|other| other.contains_key(*key)));
            for key in always.filter(|key| !map.contains_key(*key)) {
                let path = format!("{path}/{key}");
                if !MAYBE.iter().any(|row| row.0 == path) {
                    excused(ABSENT, &path, "is missing", problems);
                }
            }
        }
        Value::Array(list) => {
            let lists: Vec<_> = recorded.iter().filter_map(|value| value.as_array()).collect();
            if lists.is_empty() {
                return problems.push(format!("{path} was no list, and is {ours}"));
            }
            let items: Vec<&Value> = lists.into_iter().flatten().collect();
            // A node is the same in both of its answers.
            let below = if path == "node.list/nodes" { "node".to_string() } else { format!("{path}/[]") };
            for item in list.iter().filter(|_| !items.is_empty()) {
                shape(&below, &items, item, problems);
            }
        }
        _ => {
            if !recorded.iter().any(|value| kind(value) == kind(ours)) {
                excused(OTHER_TYPE, path, &format!("was {recorded:?}, and is {ours}"), problems);
            }
        }
    }
}

/// Compares the kinds of what both sides send.
fn same_kinds(path: &str, recorded: &Value, ours: &Value, problems: &mut Vec<String>) {
    match (recorded, ours) {
        (Value::Object(recorded), Value::Object(ours)) => {
            for (key, value) in ours {
                if let Some(recorded) = recorded.get(key) {
                    same_kinds(&format!("{path}/{key}"), recorded, value, problems);
                }
            }
        }
        (Value::Array(recorded), Value::Array(ours)) => {
            for (recorded, ours) in recorded.iter().zip(ours) {
                same_kinds(&format!("{path}/[]"), recorded, ours, problems);
            }
        }
        _ if kind(recorded) == kind(ours) => {}
        _ => excused(OTHER_TYPE, path, &format!("was {recorded}, and is {ours}"), problems),
    }
}

fn excused(table: &[(&str, &str)], path: &str, what: &str, problems: &mut Vec<String>) {
    match table.iter().find(|row| row.0 == path) {
        Some(row) => used(row.0),
        None => problems.push(format!("{path} {what}")),
    }
}

fn used(row: &str) {
    USED.with_borrow_mut(|used| used.insert(row.to_string()));
}

/// What clients that read strictly tell apart.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "fraction",
        Value::Number(_) => "integer",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

fn is_connect(line: &Value) -> bool {
    line["dir"] == "c2s" && line["frame"]["method"] == "connect"
}

fn is_device_token(token: Option<&str>) -> bool {
    token.is_some_and(|token| token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The recorded answer to the request in this line.
fn recorded_answer(lines: &[Value], number: usize) -> Option<&Value> {
    let (conn, id) = (&lines[number]["conn"], &lines[number]["frame"]["id"]);
    lines[number..]
        .iter()
        .find(|line| line["dir"] == "s2c" && line["conn"] == *conn && line["frame"]["id"] == *id)
        .map(|line| &line["frame"])
}
