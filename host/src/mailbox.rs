//! Delivers values to one place of a plugin: in order, one at a time, never from within a host function that the plugin
//! is calling, and never after the plugin's instance has been freed: whoever delivers holds it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics::Counter;
use plugin_api::abi::*;
use plugin_api::hosting::{HttpRequest, Sink};
use tokio::sync::oneshot;

use crate::config::Limits;
use crate::handover::Kind;
use crate::holdings::Held;
use crate::metrics::Metrics;
use crate::plugin::RunningPlugin;

/// How long a sink may take before nobody waits for it any more.
const STUCK: Duration = Duration::from_millis(250);

/// How much may wait for one sink: a plugin that is blocked for good must not fill the memory. What comes then is lost to
/// it, but for last answers, of which there is one a call.
#[derive(Clone)]
pub struct Room {
    /// `plugin_backlog_events`
    pub letters: usize,
    /// `plugin_backlog_bytes`
    pub bytes: usize,
    /// Counts what was lost, by the limit.
    pub lost: [Counter; 2],
}

impl Room {
    /// As these limits say.
    pub fn new(limits: &Limits, metrics: &Metrics) -> Self {
        Room {
            letters: limits.plugin_backlog_events,
            bytes: limits.plugin_backlog_bytes,
            lost: ["plugin_backlog_events", "plugin_backlog_bytes"].map(|limit| metrics.limit(limit)),
        }
    }
}

/// What a plugin hears letters with.
pub enum Ear {
    /// A sink that it handed over.
    Sink(Sink),
    /// Its table for HTTP. The first letter is the request itself.
    Exchange(Box<Asked>),
}

/// A request over HTTP, kept until its plugin hears of it.
pub struct Asked {
    /// The number to answer to.
    pub exchange: u64,
    /// `GWP_HTTP_REQ_…`
    pub flags: u32,
    /// Bytes of the body.
    pub body_len: u64,
    /// `GET`, `POST`, …
    pub verb: String,
    /// The path.
    pub path: String,
    /// What follows `?`.
    pub query: Option<String>,
    /// The path of the manifest's row.
    pub route: String,
    /// The rest, as JSON.
    pub head: String,
}

/// The kind of the letter that is the request itself.
pub const REQUEST: i32 = 0;

impl Ear {
    fn tell(&self, owner: &RunningPlugin, kind: i32, content: &[u8]) {
        match self {
            Ear::Sink(sink) => owner.visit(Kind::Listener, || sink.send(kind, content)),
            Ear::Exchange(asked) if kind == REQUEST => owner.http_request(&HttpRequest {
                exchange: asked.exchange,
                flags: asked.flags,
                body_len: asked.body_len,
                verb: &asked.verb,
                path: &asked.path,
                query: asked.query.as_deref(),
                route: &asked.route,
                head: &asked.head,
            }),
            Ear::Exchange(asked) => owner.http_event(asked.exchange, kind, content),
        }
    }
}

/// What a letter says: shared by all who hear it, or bytes as they came.
pub enum Content {
    /// Shared.
    Shared(Arc<[u8]>),
    /// As they came.
    Bytes(Bytes),
}

impl From<Arc<[u8]>> for Content {
    fn from(content: Arc<[u8]>) -> Self {
        Content::Shared(content)
    }
}

impl From<Bytes> for Content {
    fn from(content: Bytes) -> Self {
        Content::Bytes(content)
    }
}

impl std::ops::Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Content::Shared(content) => content,
            Content::Bytes(content) => content,
        }
    }
}

/// A queue in front of what a plugin hears with.
pub struct Mailbox {
    ear: Ear,
    room: Room,
    queue: Mutex<Queue>,
    /// Held while the sink runs.
    running: Mutex<()>,
}

struct Queue {
    letters: VecDeque<Letter>,
    /// Bytes of the letters.
    bytes: usize,
    /// Since when somebody has been looking for letters, or is about to.
    scheduled: Option<Instant>,
    overflowed: bool,
    closed: bool,
    /// Whose sink it is; let go of when nothing more is delivered.
    owner: Option<Arc<RunningPlugin>>,
    /// What counts it among all that its plugin has.
    held: Option<Held>,
}

impl Queue {
    fn push(&mut self, letter: Letter) {
        self.bytes += letter.json.len();
        self.letters.push_back(letter);
    }

    fn forget_letters(&mut self) {
        self.letters.clear();
        self.bytes = 0;
    }
}

struct Letter {
    kind: i32,
    json: Content,
    delivered: Option<oneshot::Sender<()>>,
}

impl Mailbox {
    /// A mailbox of this plugin, whose code runs in its place.
    pub fn new(ear: Ear, owner: Arc<RunningPlugin>, room: Room) -> Arc<Self> {
        let queue = Queue {
            letters: VecDeque::new(),
            bytes: 0,
            scheduled: None,
            overflowed: false,
            closed: false,
            owner: Some(owner),
            held: None,
        };
        Arc::new(Mailbox { ear, room, queue: Mutex::new(queue), running: Mutex::new(()) })
    }

    /// Counts among what its plugin has for as long as it is there, or until a last word is delivered.
    pub fn count(&self, held: Held) {
        self.lock().held = Some(held);
    }

    /// Queues a value.
    pub fn send(self: &Arc<Self>, kind: i32, json: Arc<[u8]>) {
        let json = Content::Shared(json);
        let mut queue = self.lock();
        if self.has_room(&mut queue, kind, &json) {
            queue.push(Letter { kind, json, delivered: None });
            self.schedule(&mut queue);
        }
    }

    /// Delivers a value here and now, behind those that wait. When another thread is delivering, or the sink has a place of
    /// its own, it is left to that one, and the receiver resolves when the sink has heard it, or will not. For a sink that
    /// has been busy for long nobody waits.
    ///
    /// For the host's own threads only: never from within a host function that a plugin is calling.
    pub fn send_now(self: &Arc<Self>, kind: i32, json: Arc<[u8]>) -> Option<oneshot::Receiver<()>> {
        self.deliver_or_leave(kind, json.into(), STUCK)
    }

    /// As [`Mailbox::send_now`], but whoever hands over more than one thing waits for each, however long it takes: that is
    /// what keeps the queue short.
    pub fn hand(self: &Arc<Self>, kind: i32, content: Content) -> Option<oneshot::Receiver<()>> {
        self.deliver_or_leave(kind, content, Duration::MAX)
    }

    fn deliver_or_leave(
        self: &Arc<Self>,
        kind: i32,
        json: Content,
        patience: Duration,
    ) -> Option<oneshot::Receiver<()>> {
        let mut queue = self.lock();
        if !self.has_room(&mut queue, kind, &json) {
            return None;
        }
        let has_place = queue.owner.as_ref().is_some_and(|owner| owner.place.is_pool());
        if queue.scheduled.is_some() || has_place {
            let (delivered, heard) = oneshot::channel();
            queue.push(Letter { kind, json, delivered: Some(delivered) });
            let is_stuck = queue.scheduled.is_some_and(|since| since.elapsed() > patience);
            self.schedule(&mut queue);
            return (!is_stuck).then_some(heard);
        }
        queue.push(Letter { kind, json, delivered: None });
        queue.scheduled = Some(Instant::now());
        drop(queue);
        self.deliver();
        None
    }

    /// Delivers nothing any more. `GWP_BUSY` when the sink is running right now and so may still be using what it owns.
    pub fn close(&self) -> i32 {
        let owner = {
            let mut queue = self.lock();
            queue.closed = true;
            queue.forget_letters();
            queue.owner.take()
        };
        drop(owner);
        if self.running.try_lock().is_ok() { GWP_OK } else { GWP_BUSY }
    }

    /// Whether it was closed and the sink has come to its end.
    pub fn is_over(&self) -> bool {
        self.lock().closed && self.running.try_lock().is_ok()
    }

    /// Delivers nothing any more but, when the sink is running right now, this last letter: then the sink learns of the
    /// end from it, and the code is `GWP_GONE`.
    pub fn end(self: &Arc<Self>, kind: i32, json: Arc<[u8]>) -> i32 {
        let json = Content::Shared(json);
        let mut queue = self.lock();
        queue.closed = true;
        queue.forget_letters();
        if self.running.try_lock().is_ok() {
            let owner = queue.owner.take();
            drop(queue);
            drop(owner);
            return GWP_OK;
        }
        queue.push(Letter { kind, json, delivered: None });
        self.schedule(&mut queue);
        GWP_GONE
    }

    /// Delivers nothing any more but this last letter, behind those that wait.
    pub fn finish(self: &Arc<Self>, kind: i32, content: Bytes) {
        let mut queue = self.lock();
        if queue.closed {
            return;
        }
        queue.push(Letter { kind, json: content.into(), delivered: None });
        self.schedule(&mut queue);
        queue.closed = true;
    }

    /// Whether a letter may wait too. What is not the last word may be lost to a plugin that does not hear.
    fn has_room(&self, queue: &mut Queue, kind: i32, json: &[u8]) -> bool {
        if queue.closed {
            return false;
        }
        let may_be_lost = matches!(kind, GWP_SINK_EVENT | GWP_INTERIM);
        let limit = if queue.letters.len() >= self.room.letters {
            0
        } else if !queue.letters.is_empty() && queue.bytes + json.len() > self.room.bytes {
            1
        } else {
            return true;
        };
        if may_be_lost {
            self.room.lost[limit].increment(1);
            if !std::mem::replace(&mut queue.overflowed, true) {
                let plugin = queue.owner.as_ref().map(|owner| &*owner.id);
                let (letters, bytes) = (queue.letters.len(), queue.bytes);
                tracing::warn!(plugin, letters, bytes, "a plugin does not hear its events; some are lost to it");
            }
        }
        !may_be_lost
    }

    /// Sees to it that somebody looks for letters.
    fn schedule(self: &Arc<Self>, queue: &mut Queue) {
        if queue.scheduled.is_none()
            && let Some(owner) = &queue.owner
        {
            queue.scheduled = Some(Instant::now());
            let mailbox = self.clone();
            owner.place.run(move || mailbox.deliver());
        }
    }

    fn deliver(&self) {
        let _running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((letter, owner)) = self.next() {
            self.ear.tell(&owner, letter.kind, &letter.json);
            // Nothing of the instance runs here any more: from now on it may be freed.
            drop(owner);
            if let Some(delivered) = letter.delivered {
                let _ = delivered.send(());
            }
        }
    }

    /// The next letter, and the instance it is for, which lives on until it was delivered.
    fn next(&self) -> Option<(Letter, Arc<RunningPlugin>)> {
        let mut queue = self.lock();
        let owner = queue.owner.clone();
        if let (Some(letter), Some(owner)) = (queue.letters.pop_front(), owner) {
            queue.bytes -= letter.json.len();
            queue.scheduled = Some(Instant::now());
            // Whoever hears the last word of a call or a write may begin another from within it.
            if matches!(letter.kind, GWP_FINAL | GWP_ERROR | GWP_ERROR_PAYLOAD)
                || matches!(letter.kind, GWP_SINK_DURABLE | GWP_SINK_CONFLICT | GWP_SINK_FAILED)
            {
                drop(queue.held.take());
            }
            return Some((letter, owner));
        }
        queue.scheduled = None;
        let last = if queue.closed { queue.owner.take() } else { None };
        drop(queue);
        drop(last);
        None
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
