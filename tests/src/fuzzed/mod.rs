//! The doors through which bytes of strangers come in, each as one function that takes any bytes and says what has to be true
//! whatever they are: what was read is written and read again as the same, limits hold, and no sentence repeats a secret.
//!
//! `tests/fuzz` lets a fuzzer look for bytes that prove one of them wrong; `tests/tests/fuzz_corpus.rs` tries recorded
//! traffic, changes of it, and everything that was ever found, with the ordinary compiler. This folder is built by both, so
//! it names nothing of the rest of this crate.

mod config;
mod connect;
mod frame;
mod heads;
mod http;
mod manifest;
mod signature;
mod store;
mod stream;

use serde_json::Value;

/// A door.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: of the fuzzer's program, and of the folders of its corpus and of what was found.
    pub name: &'static str,
    /// Tries some bytes.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 9] = [
    Target { name: "frame", run: frame::run },
    Target { name: "stream", run: stream::run },
    Target { name: "connect", run: connect::run },
    Target { name: "signature", run: signature::run },
    Target { name: "manifest", run: manifest::run },
    Target { name: "config", run: config::run },
    Target { name: "store", run: store::run },
    Target { name: "heads", run: heads::run },
    Target { name: "http", run: http::run },
];

/// The target of this name.
pub fn target(name: &str) -> Target {
    *TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("there is no target {name}"))
}

/// Lets go of what targets keep from one run to the next.
pub fn rest() {
    store::rest();
    http::rest();
}

/// What stands in place of secrets, so that they are found wherever they turn up.
const SECRET: &str = "s3cret";

/// The same with every text in it replaced by one that tells where it turns up; names of properties stay.
fn marked(value: &Value) -> Value {
    fn mark(value: &Value, count: &mut usize) -> Value {
        match value {
            Value::String(_) => {
                *count += 1;
                Value::String(format!("{SECRET}-{count}"))
            }
            Value::Array(items) => items.iter().map(|item| mark(item, count)).collect(),
            Value::Object(fields) => {
                Value::Object(fields.iter().map(|(name, value)| (name.clone(), mark(value, count))).collect())
            }
            other => other.clone(),
        }
    }
    mark(value, &mut 0)
}

/// Fails if a sentence repeats what stood in place of a secret.
#[track_caller]
fn hides_secrets(sentence: &str) {
    assert!(!sentence.contains(SECRET), "a secret is repeated: {sentence}");
}

/// Takes a byte off the front, to choose by.
fn choice(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}

/// Takes a line off the front.
fn line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}
