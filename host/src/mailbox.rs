//! Delivers values to one place of a plugin: in order, one at a time, never from within a host function that the plugin
//! is calling.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use plugin_api::abi::{GWP_BUSY, GWP_GONE, GWP_OK};
use plugin_api::hosting::Sink;
use tokio::sync::oneshot;

use crate::place::Place;

/// Letters that wait for one sink at most: a plugin that is blocked for good must not fill the memory.
const MAX_LETTERS: usize = 16 * 1024;
/// How long a sink may take before nobody waits for it any more.
const STUCK: Duration = Duration::from_millis(250);

/// A queue in front of a sink.
pub struct Mailbox {
    sink: Sink,
    place: Place,
    queue: Mutex<Queue>,
    /// Held while the sink runs.
    running: Mutex<()>,
}

#[derive(Default)]
struct Queue {
    letters: VecDeque<Letter>,
    /// Since when somebody has been looking for letters, or is about to.
    scheduled: Option<Instant>,
    overflowed: bool,
    closed: bool,
}

impl Queue {
    fn has_room(&mut self) -> bool {
        let full = self.letters.len() >= MAX_LETTERS;
        if full && !self.closed && !std::mem::replace(&mut self.overflowed, true) {
            tracing::warn!(
                waiting = MAX_LETTERS,
                "a plugin does not hear its events; those that come now are lost to it"
            );
        }
        !full && !self.closed
    }
}

struct Letter {
    kind: i32,
    json: Arc<[u8]>,
    delivered: Option<oneshot::Sender<()>>,
}

impl Mailbox {
    /// A mailbox whose letters are delivered at this place.
    pub fn new(sink: Sink, place: Place) -> Arc<Self> {
        Arc::new(Mailbox { sink, place, queue: Mutex::default(), running: Mutex::new(()) })
    }

    /// Queues a value.
    pub fn send(self: &Arc<Self>, kind: i32, json: Arc<[u8]>) {
        self.post(Letter { kind, json, delivered: None });
    }

    /// Delivers a value here and now, behind those that wait. When another thread is delivering, or the sink has a place of
    /// its own, it is left to that one, and the receiver resolves when the sink has heard it, or will not. For a sink that
    /// has been busy for long nobody waits.
    ///
    /// For the host's own threads only: never from within a host function that a plugin is calling.
    pub fn send_now(self: &Arc<Self>, kind: i32, json: Arc<[u8]>) -> Option<oneshot::Receiver<()>> {
        let mut queue = self.lock();
        if !queue.has_room() {
            return None;
        }
        if queue.scheduled.is_some() || self.place.is_pool() {
            let (delivered, heard) = oneshot::channel();
            queue.letters.push_back(Letter { kind, json, delivered: Some(delivered) });
            let is_stuck = queue.scheduled.is_some_and(|since| since.elapsed() > STUCK);
            self.schedule(&mut queue);
            return (!is_stuck).then_some(heard);
        }
        queue.letters.push_back(Letter { kind, json, delivered: None });
        queue.scheduled = Some(Instant::now());
        drop(queue);
        self.deliver();
        None
    }

    /// Delivers nothing any more. `GWP_BUSY` when the sink is running right now and so may still be using what it owns.
    pub fn close(&self) -> i32 {
        {
            let mut queue = self.lock();
            queue.closed = true;
            queue.letters.clear();
        }
        if self.running.try_lock().is_ok() { GWP_OK } else { GWP_BUSY }
    }

    /// Delivers nothing any more but, when the sink is running right now, this last letter: then the sink learns of the
    /// end from it, and the code is `GWP_GONE`.
    pub fn end(self: &Arc<Self>, kind: i32, json: Arc<[u8]>) -> i32 {
        let mut queue = self.lock();
        queue.closed = true;
        queue.letters.clear();
        if self.running.try_lock().is_ok() {
            return GWP_OK;
        }
        queue.letters.push_back(Letter { kind, json, delivered: None });
        self.schedule(&mut queue);
        GWP_GONE
    }

    fn post(self: &Arc<Self>, letter: Letter) {
        let mut queue = self.lock();
        if queue.has_room() {
            queue.letters.push_back(letter);
            self.schedule(&mut queue);
        }
    }

    /// Sees to it that somebody looks for letters.
    fn schedule(self: &Arc<Self>, queue: &mut Queue) {
        if queue.scheduled.is_none() {
            queue.scheduled = Some(Instant::now());
            let mailbox = self.clone();
            self.place.run(move || mailbox.deliver());
        }
    }

    fn deliver(&self) {
        let _running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let letter = {
                let mut queue = self.lock();
                match queue.letters.pop_front() {
                    Some(letter) => {
                        queue.scheduled = Some(Instant::now());
                        letter
                    }
                    None => {
                        queue.scheduled = None;
                        return;
                    }
                }
            };
            self.sink.send(letter.kind, &letter.json);
            if let Some(delivered) = letter.delivered {
                let _ = delivered.send(());
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
