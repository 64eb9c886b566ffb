//! Delivers values to one place of a plugin: in order, one at a time, never from within a host function that the plugin
//! is calling.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use plugin_api::abi::{GWP_BUSY, GWP_GONE, GWP_OK};
use plugin_api::hosting::Sink;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A queue in front of a sink.
pub struct Mailbox {
    sink: Sink,
    runtime: Handle,
    queue: Mutex<Queue>,
    /// Held while the sink runs.
    running: Mutex<()>,
}

#[derive(Default)]
struct Queue {
    letters: VecDeque<Letter>,
    scheduled: bool,
    closed: bool,
}

struct Letter {
    kind: i32,
    json: Arc<[u8]>,
    delivered: Option<oneshot::Sender<()>>,
}

impl Mailbox {
    /// A mailbox whose letters are delivered on this runtime.
    pub fn new(sink: Sink, runtime: Handle) -> Arc<Self> {
        Arc::new(Mailbox { sink, runtime, queue: Mutex::default(), running: Mutex::new(()) })
    }

    /// Queues a value.
    pub fn send(self: &Arc<Self>, kind: i32, json: Arc<[u8]>) {
        self.post(Letter { kind, json, delivered: None });
    }

    /// Delivers a value here and now, behind those that wait. When another thread is delivering, it is left to that one,
    /// and the receiver resolves when the sink has heard it, or will not.
    ///
    /// For the host's own threads only: never from within a host function that a plugin is calling.
    pub fn send_now(self: &Arc<Self>, kind: i32, json: Arc<[u8]>) -> Option<oneshot::Receiver<()>> {
        let mut queue = self.lock();
        if queue.closed {
            return None;
        }
        if queue.scheduled {
            let (delivered, heard) = oneshot::channel();
            queue.letters.push_back(Letter { kind, json, delivered: Some(delivered) });
            return Some(heard);
        }
        queue.letters.push_back(Letter { kind, json, delivered: None });
        queue.scheduled = true;
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
        if queue.closed {
            return;
        }
        queue.letters.push_back(letter);
        self.schedule(&mut queue);
    }

    /// Sees to it that somebody looks for letters.
    fn schedule(self: &Arc<Self>, queue: &mut Queue) {
        if !std::mem::replace(&mut queue.scheduled, true) {
            let mailbox = self.clone();
            self.runtime.spawn(async move { mailbox.deliver() });
        }
    }

    fn deliver(&self) {
        let _running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let letter = {
                let mut queue = self.lock();
                match queue.letters.pop_front() {
                    Some(letter) => letter,
                    None => {
                        queue.scheduled = false;
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
