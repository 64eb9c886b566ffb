//! Answers kept by idempotency key, for methods whose manifest row says `replay`.
//!
//! A key is unique per method across the gateway, because on the wire it is the run's id: the same key from another
//! identity, or with other parameters, is an error and never somebody else's answer. A duplicate of a running call joins
//! it and hears what it has said so far. That a call began is on disk before it runs, so a key that was running during a
//! crash is answered with "outcome unknown" instead of running twice.

mod keys;

use std::sync::{Arc, PoisonError, Weak};

use metrics::Counter;
use schemas::ErrorShape;
use serde_json::json;
use sha2::{Digest, Sha256};

use self::keys::Keys;
use crate::answer::{Answer, Asker};
use crate::calls::InFlight;
use crate::store::{Store, StoreError, idempotency as rows};
use crate::sync::{Mutex, MutexGuard};

/// Limits of the memory of keys.
#[derive(Debug, Clone, Copy)]
pub struct IdempotencyLimits {
    /// How long an answer is kept.
    pub ttl_ms: u64,
    /// How many keys are kept.
    pub entries: usize,
    /// Largest answer that is kept whole, in bytes.
    pub answer_bytes: usize,
}

/// All remembered keys.
pub struct Idempotency {
    keys: Arc<Mutex<Keys>>,
    store: Store,
    limits: IdempotencyLimits,
    /// Keys that were refused for want of room.
    refused: Counter,
}

/// One key and what became of it.
pub struct Run {
    method: Box<str>,
    key: Box<str>,
    fingerprint: String,
    identity: String,
    progress: Mutex<Progress>,
    /// Where it is remembered.
    keys: Weak<Mutex<Keys>>,
    store: Store,
    answer_bytes: usize,
}

struct Progress {
    /// With the slots of the requests that joined.
    askers: Vec<(Asker, Option<InFlight>)>,
    interim: Option<Box<[u8]>>,
    outcome: Outcome,
    ts: u64,
    /// The gateway ended it in the plugin's place.
    is_cut_off: bool,
}

enum Outcome {
    Running,
    /// Kind and bytes of the final answer.
    Done(i32, Box<[u8]>),
    /// It was running when the gateway, or its plugin, was stopped.
    Unknown,
    /// It failed like this, in a way that another try may not: the key is free again.
    Forgotten(i32, Box<[u8]>),
}

/// What a key means for the request that brought it.
pub enum Decision {
    /// It is new: run the method, with the run as asker, once the future's work is on disk. The request's slot is given back.
    Run(Arc<Run>, Option<InFlight>),
    /// It has been answered, or will be.
    Settled,
    /// It has been answered with an error that says why it is not run, nor is another one like it.
    Refused,
}

impl Idempotency {
    /// Reads what is on disk. What ran when the gateway before this one stopped is over, as of now.
    pub async fn load(store: Store, limits: IdempotencyLimits, now_ms: u64) -> Result<Self, StoreError> {
        let kept = store
            .run(move |connection| {
                rows::give_up(connection, now_ms)?;
                rows::load_all(connection)
            })
            .await?;
        let idempotency = Idempotency { keys: Arc::default(), store, limits, refused: Counter::noop() };
        for row in kept {
            let outcome = match row.outcome.as_deref().and_then(decode) {
                Some((kind, json)) => Outcome::Done(kind, json.into()),
                None => Outcome::Unknown,
            };
            let run = idempotency.run(&row.method, &row.key, row.fingerprint, row.identity, outcome, row.ts);
            let mut keys = idempotency.lock();
            keys.insert(run.clone());
            keys.end(&run, false);
        }
        Ok(idempotency)
    }

    /// Counts keys that are refused for want of room.
    pub fn counted_by(self, refused: Counter) -> Self {
        Idempotency { refused, ..self }
    }

    /// Decides about a request with a key. On [`Decision::Run`] the caller must [`Idempotency::persist`] before it runs.
    pub fn begin(
        &self,
        method: &str,
        key: &str,
        params: &str,
        identity: &str,
        (mut asker, slot): (Asker, Option<InFlight>),
        now_ms: u64,
    ) -> Decision {
        let fingerprint = fingerprint(params);
        let mut keys = self.lock();
        if let Some(run) = keys.get(method, key).cloned()
            && !run.is_stale(now_ms, self.limits.ttl_ms)
        {
            drop(keys);
            if run.fingerprint != fingerprint || run.identity != identity {
                asker.refuse(
                    &ErrorShape::invalid_request("idempotencyKey was used for another request")
                        .with_details(json!({ "code": "IDEMPOTENCY_KEY_REUSED" })),
                );
                return Decision::Refused;
            }
            run.join(asker, slot);
            return Decision::Settled;
        }
        keys.forget_stale(now_ms, self.limits.ttl_ms);
        if !keys.make_room(self.limits.entries) {
            drop(keys);
            self.refused.increment(1);
            asker.refuse(
                &ErrorShape::unavailable("too many requests with idempotency keys are running; try again in a moment")
                    .with_details(json!({ "limit": "idempotency_entries" }))
                    .retry_after(1000),
            );
            return Decision::Refused;
        }
        let run = self.run(method, key, fingerprint, identity.to_string(), Outcome::Running, now_ms);
        run.lock().askers.push((asker, None));
        keys.insert(run.clone());
        Decision::Run(run, slot)
    }

    /// A connection has gone: it hears no more, and its requests count no longer.
    pub fn forget_connection(&self, number: u64) {
        let runs: Vec<_> = self.lock().all().filter(|run| run.is_running()).cloned().collect();
        runs.iter().for_each(|run| run.forget_connection(number));
    }

    /// Writes that a run begins.
    pub async fn persist(&self, run: &Run, now_ms: u64) -> Result<(), StoreError> {
        let (method, key) = (run.method.to_string(), run.key.to_string());
        let (fingerprint, identity) = (run.fingerprint.clone(), run.identity.clone());
        self.store
            .run(move |connection| {
                rows::forget(connection, &method, &key)?;
                rows::begin(connection, &method, &key, &fingerprint, &identity, now_ms)
            })
            .await
    }

    /// Forgets what is older than its time.
    pub fn sweep(&self, now_ms: u64) {
        self.lock().forget_stale(now_ms, self.limits.ttl_ms);
        let before = now_ms.saturating_sub(self.limits.ttl_ms);
        let _ = self
            .store
            .submit("purge idempotency keys", move |connection| rows::purge_before(connection, before).map(|_| ()));
    }

    fn run(
        &self,
        method: &str,
        key: &str,
        fingerprint: String,
        identity: String,
        outcome: Outcome,
        ts: u64,
    ) -> Arc<Run> {
        Arc::new(Run {
            method: method.into(),
            key: key.into(),
            fingerprint,
            identity,
            progress: Mutex::new(Progress { askers: Vec::new(), interim: None, outcome, ts, is_cut_off: false }),
            keys: Arc::downgrade(&self.keys),
            store: self.store.clone(),
            answer_bytes: self.limits.answer_bytes,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    /// Passes an answer of the run to everyone who joined, and keeps it.
    pub fn hear(self: &Arc<Self>, answer: Answer<'_>) {
        let mut progress = self.lock();
        let mut askers = if answer.is_final() { std::mem::take(&mut progress.askers) } else { Vec::new() };
        if answer.is_final() {
            progress.ts = schemas::now_ms();
            progress.outcome = self.keep(answer, progress.is_cut_off, progress.ts);
            let is_free = matches!(progress.outcome, Outcome::Forgotten(..));
            drop(progress);
            if let Some(keys) = self.keys.upgrade() {
                keys.lock().unwrap_or_else(PoisonError::into_inner).end(self, is_free);
            }
            askers.iter_mut().for_each(|(asker, _)| asker.hear(answer));
        } else {
            progress.interim = Some(answer.json().into());
            progress.askers.iter_mut().for_each(|(asker, _)| asker.hear(answer));
        }
    }

    /// The answer that comes now is not the plugin's, which had begun: whatever the answer says about another try, nobody knows
    /// what this one has done, and the key is not free.
    pub fn cut_off(&self) {
        self.lock().is_cut_off = true;
    }

    /// The connection has gone: it hears no more.
    pub fn forget_connection(&self, number: u64) {
        self.lock().askers.retain(|(asker, _)| !asker.is_frame_of(number));
    }

    fn join(&self, mut asker: Asker, slot: Option<InFlight>) {
        let mut progress = self.lock();
        match &progress.outcome {
            Outcome::Running => {
                if let Some(interim) = &progress.interim {
                    asker.hear(Answer::Interim(interim));
                }
                progress.askers.push((asker, slot));
            }
            // One that is forgotten by now was there when this asker came, who hears what those beside it have heard.
            Outcome::Done(kind, json) | Outcome::Forgotten(kind, json) => {
                if let Some(answer) = Answer::of_kind(*kind, json) {
                    asker.hear(answer);
                }
            }
            Outcome::Unknown => asker.refuse(&unknown()),
        }
    }

    /// Decides what is kept of a final answer, and writes it.
    fn keep(&self, answer: Answer<'_>, is_cut_off: bool, ts: u64) -> Outcome {
        let (method, key) = (self.method.to_string(), self.key.to_string());
        if is_cut_off {
            let _ = self.store.submit("keep that an outcome is unknown", move |connection| {
                rows::complete(connection, &method, &key, &[], ts).map(|_| ())
            });
            return Outcome::Unknown;
        }
        let retry_may_help = answer
            .error()
            .is_some_and(|error| error.code == schemas::error::code::INVALID_REQUEST || error.retryable == Some(true));
        if retry_may_help {
            let _ = self
                .store
                .submit("forget an idempotency key", move |connection| rows::forget(connection, &method, &key));
            return Outcome::Forgotten(answer.kind(), answer.json().into());
        }
        let summary;
        let (kind, json) = if answer.json().len() <= self.answer_bytes {
            (answer.kind(), answer.json())
        } else {
            let status = if answer.is_error() { "error" } else { "ok" };
            summary = json!({ "runId": &*self.key, "status": status, "summary": "done; ask by runId" }).to_string();
            (plugin_api::abi::GWP_FINAL, summary.as_bytes())
        };
        let encoded = encode(kind, json);
        let _ = self.store.submit("keep an answer", move |connection| {
            rows::complete(connection, &method, &key, &encoded, ts).map(|_| ())
        });
        Outcome::Done(kind, json.into())
    }

    fn is_running(&self) -> bool {
        matches!(self.lock().outcome, Outcome::Running)
    }

    fn is_stale(&self, now_ms: u64, ttl_ms: u64) -> bool {
        let progress = self.lock();
        match progress.outcome {
            Outcome::Running => false,
            Outcome::Forgotten(..) => true,
            Outcome::Done(..) | Outcome::Unknown => now_ms.saturating_sub(progress.ts) > ttl_ms,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said of a call that somebody else ended.
pub fn unknown() -> ErrorShape {
    ErrorShape::unavailable("the gateway or its plugin stopped while this request ran; its outcome is unknown")
        .with_details(json!({ "code": "OUTCOME_UNKNOWN" }))
}

/// A digest of the parameters that does not depend on the order of their keys.
fn fingerprint(params: &str) -> String {
    let canonical = schemas::json::value(params).map(|value| value.to_string());
    schemas::device::hex(&Sha256::digest(canonical.as_deref().unwrap_or(params)))
}

/// Kind and bytes as one blob.
fn encode(kind: i32, json: &[u8]) -> Vec<u8> {
    let mut blob = kind.to_le_bytes().to_vec();
    blob.extend_from_slice(json);
    blob
}

fn decode(blob: &[u8]) -> Option<(i32, &[u8])> {
    let (kind, json) = blob.split_first_chunk::<4>()?;
    Some((i32::from_le_bytes(*kind), json))
}
