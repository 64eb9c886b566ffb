//! What sessions keep: messages come back as they were given, and rows that somebody else wrote, or that are damaged, cost
//! nobody more than themselves.

use std::sync::{Mutex, MutexGuard, PoisonError};

use database::rusqlite::{Connection, params};
use plugin_kit::{Harness, Outcome, Running, Who, sample};
use plugin_sessions::Sessions;
use serde_json::{Value, json};

use super::choice;

/// Inputs for one instance: a harness remembers all that it saw.
const INPUTS: u32 = 500;
/// Lines that are messages.
const MESSAGES: usize = 16;

/// An instance of the plugin, and another look at its file.
struct Kept {
    running: Running,
    file: Connection,
    inputs: u32,
}

static KEPT: Mutex<Option<Kept>> = Mutex::new(None);

fn kept() -> MutexGuard<'static, Option<Kept>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stops the instance.
pub fn rest() {
    drop(kept().take());
}

impl Kept {
    fn new() -> Kept {
        let running = Harness::new::<Sessions>().answer("host.gateway.info", sample::gateway_info()).start();
        let file = Connection::open(running.data_dir().join("sessions.db")).expect("the plugin has made its file");
        Kept { running, file, inputs: 0 }
    }

    fn ask(&self, method: &str, params: Value) -> Outcome {
        self.running.call_as(Who::plugin("agent"), &format!("session.store.{method}"), params)
    }
}

pub fn run(data: &[u8]) {
    let mut place = kept();
    if place.as_ref().is_some_and(|kept| kept.inputs >= INPUTS) {
        *place = None;
    }
    let kept = place.get_or_insert_with(Kept::new);
    kept.inputs += 1;
    let (way, rest) = choice(data);
    let text = String::from_utf8_lossy(rest);
    let key = format!("agent:main:fuzzed{}", kept.inputs);
    if way & 1 == 0 {
        comes_back(kept, &key, &text);
    } else {
        harms_nobody_else(kept, &key, &text);
    }
    let gone = kept.running.call("sessions.delete", json!({ "key": key, "deleteTranscript": false }));
    assert!(gone.result.is_ok() || way & 1 == 1, "{:?}", gone.result);
}

/// Lines as messages: JSON where it is some, else what a user says.
fn messages(text: &str) -> Vec<Value> {
    let message = |line: &str| match serde_json::from_str(line) {
        Ok(Value::Object(message)) => Value::Object(message),
        _ => json!({ "role": "user", "content": line }),
    };
    text.lines().take(MESSAGES).map(message).collect()
}

/// All messages are kept as they were given, or none of them is.
fn comes_back(kept: &Kept, key: &str, text: &str) {
    let given = messages(text);
    let appended = kept.ask("append", json!({ "key": key, "messages": given }));
    let read = kept.ask("transcript", json!({ "key": key })).payload();
    let found = read["messages"].as_array().expect("messages");
    let ids = match appended.result {
        Err(error) => {
            assert_eq!(error.code, "INVALID_REQUEST", "{error:?}");
            assert!(found.is_empty(), "some were kept: {found:?}");
            return shows(kept, key);
        }
        Ok(appended) => appended["ids"].as_array().expect("ids").clone(),
    };
    assert_eq!(ids.len(), given.len());
    let mut places = Vec::new();
    for (message, id) in given.iter().zip(&ids) {
        if places.contains(id) {
            continue;
        }
        let back = &found[places.len()];
        places.push(id.clone());
        assert_eq!(&back["id"], id);
        // Numbers with a fraction may lose their last digit on the way through text.
        if has_fraction(message) {
            continue;
        }
        for (name, value) in message.as_object().expect("a message is an object") {
            let is_given = name != "id" && !(name == "timestamp" && value.is_null());
            assert!(!is_given || &back[name] == value, "{name} of {message} is {back}");
        }
    }
    assert_eq!(found.len(), places.len());
    shows(kept, key);
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(fields) => fields.values().any(has_fraction),
        _ => false,
    }
}

/// Everything that shows a session answers, or says that it cannot.
fn shows(kept: &Kept, key: &str) {
    for (method, params) in [
        ("sessions.get", json!({ "key": key })),
        ("sessions.preview", json!({ "keys": [key], "maxChars": 20 })),
        ("sessions.describe", json!({ "key": key, "includeDerivedTitles": true, "includeLastMessage": true })),
        ("sessions.list", json!({ "search": "fuzzed", "includeDerivedTitles": true, "includeLastMessage": true })),
        ("sessions.resolve", json!({ "key": key })),
        ("sessions.compact", json!({ "key": key, "maxLines": 1 })),
    ] {
        is_sound(kept, method, &kept.running.call(method, params));
    }
    is_sound(kept, "transcript", &kept.ask("transcript", json!({ "key": key, "limit": 3 })));
}

/// An answer, or an error without the way to the file: no panic.
fn is_sound(kept: &Kept, method: &str, outcome: &Outcome) {
    let Err(error) = &outcome.result else { return };
    assert_ne!(
        error.details.as_ref().map(|details| &details["code"]),
        Some(&json!("METHOD_PANICKED")),
        "{method}: {error:?}"
    );
    let folder = kept.running.data_dir().display().to_string();
    assert!(!error.message.contains(&folder), "{method}: {error:?}");
}

/// Rows as this plugin would never write them.
fn harms_nobody_else(kept: &Kept, key: &str, text: &str) {
    let healthy = "agent:main:healthy";
    kept.ask("append", json!({ "key": healthy, "messages": [{ "id": "h", "role": "user", "content": "well" }] }))
        .payload();
    let opened = kept.ask("open", json!({ "key": key })).payload();
    let id = opened["sessionId"].as_str().expect("an id");
    for (seq, line) in text.lines().take(MESSAGES).enumerate() {
        let row = params![id, 1 + seq as i64, format!("m{seq}"), "user", line];
        let written = kept
            .file
            .execute("INSERT INTO messages (session_id, seq, id, role, json) VALUES (?1, ?2, ?3, ?4, ?5)", row);
        written.expect("any text fits");
    }
    let count = text.lines().take(MESSAGES).count() as i64;
    let counted =
        "UPDATE conversations SET total = ?2, next_seq = ?2 + 1, title = ?3, last_words = ?3 WHERE session_id = ?1";
    kept.file.execute(counted, params![id, count, text]).expect("any text fits");
    // SQLite itself takes no entry that is not JSON, and no label that is taken.
    let _ = kept.file.execute("UPDATE sessions SET entry = ?2 WHERE key = ?1", params![key, text]);
    shows(kept, key);
    let well = kept.ask("transcript", json!({ "key": healthy })).payload();
    assert_eq!(well["messages"][0]["content"], "well");
    kept.file.execute("DELETE FROM sessions WHERE key = ?1", [key]).expect("it can be removed");
    let listed = kept.running.call("sessions.list", json!({}));
    assert!(listed.result.is_ok(), "what was wrong with one is over: {:?}", listed.result);
}
