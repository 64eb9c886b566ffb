//! Lanes: each session's messages are answered one after another, in the order in which they came; so many sessions at once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plugin_api::Spawned;

use crate::{Channels, book, work};

/// Which sessions are at work.
#[derive(Default)]
pub struct Lanes(Mutex<State>);

#[derive(Default)]
struct State {
    running: HashMap<String, Lane>,
    /// Those that wait for one of the others to end, each once.
    waiting: VecDeque<String>,
    /// Those whose people were told that too many of their messages wait.
    full: HashSet<String>,
    is_closed: bool,
}

#[derive(Default)]
struct Lane {
    /// A message came while it was at work.
    has_more: bool,
    task: Option<Spawned>,
}

impl Lanes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the work. What agents do goes on; whoever comes after this instance asks for its outcome.
    pub fn close(&self) {
        let running = {
            let mut state = self.state();
            state.is_closed = true;
            state.waiting.clear();
            std::mem::take(&mut state.running)
        };
        running.into_values().filter_map(|lane| lane.task).for_each(|task| task.cancel());
    }
}

/// A session has a message to answer. False when this instance begins nothing any more.
pub fn wake(plugin: &Arc<Channels>, session: &str) -> bool {
    let mut state = plugin.lanes.state();
    if state.is_closed {
        return false;
    }
    if let Some(lane) = state.running.get_mut(session) {
        lane.has_more = true;
    } else if state.running.len() < plugin.config.max_concurrent {
        begin(plugin, &mut state, session.to_string());
    } else if !state.waiting.iter().any(|waiting| waiting == session) {
        state.waiting.push_back(session.to_string());
    }
    true
}

/// Whether the session's people are to be told that too many of their messages wait: once until none does.
pub fn tell_full(plugin: &Channels, session: &str) -> bool {
    plugin.lanes.state().full.insert(session.to_string())
}

fn begin(plugin: &Arc<Channels>, state: &mut State, session: String) {
    let (at_work, name) = (plugin.clone(), session.clone());
    // Its place is there before it begins, and the lock is held until its task is in it.
    let task = plugin.host.spawn(async move { go(at_work, name).await });
    state.running.insert(session, Lane { has_more: false, task: Some(task) });
}

async fn go(plugin: Arc<Channels>, session: String) {
    loop {
        let name = session.clone();
        match plugin.db(move |db| book::next(db, &name)).await {
            Ok(Some(open)) => work::answer(&plugin, open).await,
            Ok(None) => {
                if end(&plugin, &session) {
                    return;
                }
            }
            Err(error) => {
                plugin.host.error(&format!("messages of {session} wait, because they cannot be read: {error}"));
                plugin.host.sleep(work::LONG_PAUSE).await;
            }
        }
    }
}

/// Ends a lane, unless a message came meanwhile; another one begins in its place.
fn end(plugin: &Arc<Channels>, session: &str) -> bool {
    let mut state = plugin.lanes.state();
    if let Some(lane) = state.running.get_mut(session)
        && std::mem::take(&mut lane.has_more)
    {
        return false;
    }
    state.running.remove(session);
    state.full.remove(session);
    if !state.is_closed
        && let Some(next) = state.waiting.pop_front()
    {
        begin(plugin, &mut state, next);
    }
    true
}
