//! The plugin's own small state: texts by key, mirrored in the host's memory and written behind.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::abi::*;
use crate::glue::raw::RawHost;
use crate::host::HostError;

/// Key-value state of this plugin. Reads do not block; a write is visible at once and durable when awaited.
#[derive(Clone, Copy)]
pub struct Kv {
    raw: RawHost,
}

impl Kv {
    pub(crate) fn new(raw: RawHost) -> Self {
        Kv { raw }
    }

    /// The text under a key.
    pub fn text(&self, key: &str) -> Result<Option<String>, HostError> {
        let mut found = None;
        HostError::check(self.raw.kv_get(key, |kind, value| {
            if kind == GWP_SINK_FOUND {
                found = Some(String::from_utf8_lossy(value).into_owned());
            }
        }))?;
        Ok(found)
    }

    /// The JSON value under a key. A value that does not fit the type is an error, never silently absent.
    pub fn json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, HostError> {
        self.text(key)?.map(|text| serde_json::from_str(&text).map_err(|_| HostError::Invalid)).transpose()
    }

    /// All entries whose key starts so, in order of their keys.
    pub fn scan(&self, prefix: &str) -> Result<Vec<(String, String)>, HostError> {
        #[derive(serde::Deserialize)]
        struct Entry {
            key: String,
            value: String,
        }
        let mut entries = Vec::new();
        HostError::check(self.raw.kv_scan(prefix, |kind, json| {
            if kind == GWP_SINK_ENTRY
                && let Ok(entry) = serde_json::from_slice::<Entry>(json)
            {
                entries.push((entry.key, entry.value));
            }
        }))?;
        Ok(entries)
    }

    /// Begins a batch of writes: all of them happen, or none.
    pub fn batch(&self) -> Batch {
        Batch { raw: self.raw, ops: Vec::new() }
    }

    /// Writes one JSON value.
    pub fn set_json<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Write {
        match serde_json::to_string(value) {
            Ok(text) => self.batch().set(key, text).write(),
            Err(_) => Write::failed(HostError::Invalid),
        }
    }
}

/// A batch of writes.
#[must_use = "a batch is written by `write`"]
pub struct Batch {
    raw: RawHost,
    ops: Vec<Op>,
}

struct Op {
    flags: u32,
    key: String,
    value: String,
    expected: String,
}

impl Batch {
    /// Sets a text.
    pub fn set(self, key: &str, value: impl Into<String>) -> Self {
        self.op(0, key, value.into(), String::new())
    }

    /// Sets a text if nothing is there.
    pub fn set_if_absent(self, key: &str, value: impl Into<String>) -> Self {
        self.op(GWP_KV_IF_ABSENT, key, value.into(), String::new())
    }

    /// Sets a text if `expected` is there.
    pub fn set_if_equal(self, key: &str, expected: impl Into<String>, value: impl Into<String>) -> Self {
        self.op(GWP_KV_IF_EQUAL, key, value.into(), expected.into())
    }

    /// Deletes a key.
    pub fn delete(self, key: &str) -> Self {
        self.op(GWP_KV_DELETE, key, String::new(), String::new())
    }

    fn op(mut self, flags: u32, key: &str, value: String, expected: String) -> Self {
        self.ops.push(Op { flags, key: key.to_string(), value, expected });
        self
    }

    /// Writes the batch. It is visible when this returns, and durable when the outcome is awaited.
    pub fn write(self) -> Write {
        let ops: Vec<gwp_kv_op> = self
            .ops
            .iter()
            .map(|op| gwp_kv_op {
                size: size_of::<gwp_kv_op>() as u32,
                flags: op.flags,
                key: gwp_bytes::text(&op.key),
                value: gwp_bytes::text(&op.value),
                expected: gwp_bytes::text(&op.expected),
            })
            .collect();
        let outcome: Arc<Mutex<Outcome>> = Arc::default();
        let slot = outcome.clone();
        let started = self.raw.kv_write(&ops, move |kind, json| {
            let text = String::from_utf8_lossy(json).into_owned();
            Outcome::fill(
                &slot,
                match kind {
                    GWP_SINK_DURABLE => Ok(()),
                    GWP_SINK_CONFLICT => Err(WriteError::Conflict(text)),
                    _ => Err(WriteError::Failed(text)),
                },
            );
        });
        match started {
            Ok(()) => Write(outcome),
            Err(code) => Write::failed(HostError::from_code(code)),
        }
    }
}

/// The outcome of a write, once durable.
pub struct Write(Arc<Mutex<Outcome>>);

#[derive(Default)]
struct Outcome {
    result: Option<Result<(), WriteError>>,
    waker: Option<Waker>,
}

impl Outcome {
    fn fill(slot: &Mutex<Self>, result: Result<(), WriteError>) {
        let waker = {
            let mut outcome = slot.lock().unwrap_or_else(PoisonError::into_inner);
            outcome.result = Some(result);
            outcome.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Write {
    fn failed(error: HostError) -> Self {
        Write(Arc::new(Mutex::new(Outcome { result: Some(Err(WriteError::Host(error))), waker: None })))
    }
}

impl Future for Write {
    type Output = Result<(), WriteError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut outcome = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                outcome.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Why nothing of a batch was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteError {
    /// A condition failed; the text that is there.
    Conflict(String),
    /// The disk refused; why.
    Failed(String),
    /// The host did not take the batch.
    Host(HostError),
}

impl std::fmt::Display for WriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WriteError::Conflict(_) => f.write_str("another value is there"),
            WriteError::Failed(why) => write!(f, "the write failed: {why}"),
            WriteError::Host(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WriteError {}
