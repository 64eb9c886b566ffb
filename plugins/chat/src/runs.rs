//! What runs, and for a while how it ended. Pure: times come in, events to be told come out.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::ChatConfig;
use crate::event::{ChatEvent, State, said};

/// Runs that go on, and ends of runs.
pub struct Book {
    runs: HashMap<String, Run>,
    ended: HashMap<String, (Instant, Ending)>,
    /// Ids of `ended`, the oldest first.
    order: VecDeque<String>,
    next: u64,
    max_runs: usize,
    max_outcomes: usize,
    ttl: Duration,
    is_closed: bool,
}

/// How a run ended, as a repeated message is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It came to its end, or was stopped.
    Ok,
    /// It failed; why.
    Failed(String),
}

/// What a message finds that wants to start a run.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing of its id: the run is entered.
    New,
    /// The run goes on.
    Running,
    /// It ended.
    Ended(Ending),
    /// There is no room.
    Full,
}

struct Run {
    session_key: String,
    agent_id: Option<String>,
    seq: u64,
    /// Tells runs of one id apart, and the older from the younger.
    number: u64,
    /// Started by a message of this plugin.
    own: bool,
    /// `agent` has not said yet that it takes it.
    starting: bool,
    /// Why it shall be stopped as soon as `agent` has it.
    stop: Option<String>,
    hidden: bool,
    text: String,
    told: String,
    /// Its beginning was not heard: what clients have of its text is not known.
    joined: bool,
    /// `agent` did not have it when it was last asked.
    missed: bool,
    /// It grew a moment ago, and nothing is told before the moment is over.
    quiet: bool,
}

impl Book {
    /// An empty book.
    pub fn new(config: &ChatConfig) -> Self {
        Book {
            runs: HashMap::new(),
            ended: HashMap::new(),
            order: VecDeque::new(),
            next: 0,
            max_runs: config.max_runs,
            max_outcomes: config.max_outcomes,
            ttl: Duration::from_millis(config.outcome_ttl_ms),
            is_closed: false,
        }
    }

    /// Enters nothing any more and tells nothing any more.
    pub fn close(&mut self) {
        self.is_closed = true;
        self.runs.clear();
    }

    /// A message wants to start a run.
    pub fn begin(&mut self, run_id: &str, session_key: &str, now: Instant) -> Found {
        if let Some((at, ending)) = self.ended.get(run_id)
            && now.duration_since(*at) < self.ttl
        {
            return Found::Ended(ending.clone());
        }
        if self.runs.contains_key(run_id) {
            return Found::Running;
        }
        if self.is_closed || !self.make_room() {
            return Found::Full;
        }
        self.ended.remove(run_id);
        self.enter(run_id, session_key, None).own = true;
        if let Some(run) = self.runs.get_mut(run_id) {
            run.starting = true;
        }
        Found::New
    }

    /// The run did not start after all.
    pub fn forget(&mut self, run_id: &str) {
        self.runs.remove(run_id);
    }

    /// `agent` has it; whether it shall be stopped at once, and why.
    pub fn accepted(&mut self, run_id: &str) -> Option<String> {
        let run = self.runs.get_mut(run_id)?;
        run.starting = false;
        run.stop.take()
    }

    /// Marks runs of this session that `agent` does not have yet; they are stopped when it has them.
    pub fn stop_starting(&mut self, session_key: &str, run_id: Option<&str>, why: &str) -> Vec<String> {
        let mut stopped: Vec<String> = Vec::new();
        for (id, run) in &mut self.runs {
            if run.starting && run.session_key == session_key && run_id.is_none_or(|wanted| wanted == id) {
                run.stop = Some(why.to_string());
                stopped.push(id.clone());
            }
        }
        stopped.sort();
        stopped
    }

    /// A run begins.
    pub fn started(&mut self, run_id: &str, session_key: &str, agent_id: Option<&str>, seq: u64, hidden: bool) {
        if self.is_closed || self.ended.contains_key(run_id) {
            return;
        }
        if !self.runs.contains_key(run_id) {
            if !self.make_room() {
                return;
            }
            self.enter(run_id, session_key, agent_id);
        }
        if let Some(run) = self.runs.get_mut(run_id) {
            run.agent_id = agent_id.map(str::to_string).or(run.agent_id.take());
            run.seq = run.seq.max(seq);
            run.hidden = hidden;
        }
    }

    /// A run grows of which the beginning was not heard, such as after a reload. Nothing gives way to it: a run that gave way
    /// itself would come back with its next word, and push out the next one.
    pub fn joined(&mut self, run_id: &str, session_key: &str, agent_id: Option<&str>) {
        let is_known = self.runs.contains_key(run_id) || self.ended.contains_key(run_id);
        if !is_known && !self.is_closed && self.runs.len() < self.max_runs {
            self.enter(run_id, session_key, agent_id).joined = true;
        }
    }

    /// Whether anything runs.
    pub fn is_idle(&self) -> bool {
        self.runs.is_empty()
    }

    /// Runs that `agent` does not have, for the second time in a row: their end was not heard. Once says nothing: the end
    /// may be on its way, or the run have begun since `agent` was asked.
    pub fn lost(&mut self, active: &HashSet<String>) -> Vec<String> {
        let mut lost = Vec::new();
        for (id, run) in self.runs.iter_mut().filter(|(_, run)| !run.starting) {
            let is_missing = !active.contains(id);
            if is_missing && run.missed {
                lost.push(id.clone());
            }
            run.missed = is_missing;
        }
        lost.sort();
        lost
    }

    /// The answer grows. `Some` is what to tell, and the number with which to ask again when the moment is over.
    pub fn grew(&mut self, run_id: &str, text: &str, seq: u64) -> Option<(ChatEvent, u64)> {
        let run = self.runs.get_mut(run_id)?;
        run.seq = run.seq.max(seq);
        run.text = text.to_string();
        if run.quiet || run.hidden {
            return None;
        }
        let event = run.delta(run_id)?;
        run.quiet = true;
        Some((event, run.number))
    }

    /// The moment after a delta is over: what has grown meanwhile, if anything. `None` ends the asking.
    pub fn moment_over(&mut self, run_id: &str, number: u64) -> Option<ChatEvent> {
        let run = self.runs.get_mut(run_id).filter(|run| run.number == number)?;
        let event = run.delta(run_id);
        run.quiet = event.is_some();
        event
    }

    /// The run ends. Of its event, what only the book knows is filled in; `None` when nobody shall hear of it.
    pub fn end(&mut self, mut event: ChatEvent, hidden: bool, ending: Ending, now: Instant) -> Option<ChatEvent> {
        if self.is_closed || self.ended.get(&event.run_id).is_some_and(|(at, _)| now.duration_since(*at) < self.ttl) {
            return None;
        }
        let run = self.runs.remove(&event.run_id);
        self.remember(&event.run_id, ending, now);
        let was_hidden = run.as_ref().is_some_and(|run| run.hidden);
        if let Some(run) = run {
            event.session_key = run.session_key;
            event.agent_id = event.agent_id.or(run.agent_id);
            event.seq = event.seq.max(run.seq + 1);
            if event.state == State::Final && event.message.is_none() && !run.text.trim().is_empty() {
                event.message = Some(said(run.text.trim()));
            }
        }
        (!hidden && !was_hidden && !event.session_key.is_empty()).then_some(event)
    }

    /// The run was told to stop: nothing of it is told any more but that.
    pub fn stopped(&mut self, run_id: &str, why: &str, now: Instant) -> Option<ChatEvent> {
        // Of one that is not known here its own end will tell.
        self.runs.get(run_id)?;
        let stop_reason = Some(why.to_string());
        let event =
            ChatEvent { run_id: run_id.to_string(), state: State::Aborted, stop_reason, ..ChatEvent::default() };
        self.end(event, false, Ending::Ok, now)
    }

    fn enter(&mut self, run_id: &str, session_key: &str, agent_id: Option<&str>) -> &mut Run {
        self.next += 1;
        let run = Run {
            session_key: session_key.to_string(),
            agent_id: agent_id.map(str::to_string),
            seq: 0,
            number: self.next,
            own: false,
            starting: false,
            stop: None,
            hidden: false,
            text: String::new(),
            told: String::new(),
            joined: false,
            missed: false,
            quiet: false,
        };
        self.runs.entry(run_id.to_string()).insert_entry(run).into_mut()
    }

    /// Whether one more fits in; of others' runs the oldest gives way.
    fn make_room(&mut self) -> bool {
        if self.runs.len() < self.max_runs {
            return true;
        }
        let others = self.runs.iter().filter(|(_, run)| !run.own);
        let oldest = others.min_by_key(|(_, run)| run.number).map(|(id, _)| id.clone());
        oldest.is_some_and(|id| self.runs.remove(&id).is_some())
    }

    fn remember(&mut self, run_id: &str, ending: Ending, now: Instant) {
        while let Some(oldest) = self.order.front() {
            let is_over = self.ended.get(oldest).is_none_or(|(at, _)| now.duration_since(*at) >= self.ttl);
            if !is_over && self.order.len() < self.max_outcomes {
                break;
            }
            self.ended.remove(oldest);
            self.order.pop_front();
        }
        if self.ended.insert(run_id.to_string(), (now, ending)).is_none() {
            self.order.push_back(run_id.to_string());
        }
    }
}

impl Run {
    /// What was added since the last time, if anything.
    fn delta(&mut self, run_id: &str) -> Option<ChatEvent> {
        if self.text == self.told || self.text.is_empty() {
            return None;
        }
        let (delta_text, replace) = match self.text.strip_prefix(self.told.as_str()) {
            Some(added) if !self.joined => (added.to_string(), None),
            _ => (self.text.clone(), Some(true)),
        };
        self.joined = false;
        self.told = self.text.clone();
        Some(ChatEvent {
            run_id: run_id.to_string(),
            session_key: self.session_key.clone(),
            agent_id: self.agent_id.clone(),
            seq: self.seq,
            state: State::Delta,
            message: Some(said(&self.text)),
            delta_text: Some(delta_text),
            replace,
            ..ChatEvent::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(config: ChatConfig) -> Book {
        Book::new(&config)
    }

    fn done(id: &str) -> ChatEvent {
        ChatEvent { run_id: id.to_string(), session_key: "main".to_string(), ..ChatEvent::default() }
    }

    #[test]
    fn ends_are_remembered_for_a_while_and_only_so_many() {
        let mut book = book(ChatConfig { max_outcomes: 2, ..ChatConfig::default() });
        let begin = Instant::now();
        for id in ["a", "b", "c"] {
            assert_eq!(book.begin(id, "main", begin), Found::New);
            assert_eq!(book.begin(id, "main", begin), Found::Running);
            assert!(book.end(done(id), false, Ending::Ok, begin).is_some());
            assert!(book.end(done(id), false, Ending::Ok, begin).is_none(), "one end each");
        }
        assert_eq!(book.begin("c", "main", begin), Found::Ended(Ending::Ok));
        assert_eq!(book.begin("a", "main", begin), Found::New, "it gave way");
        let later = begin + Duration::from_millis(300_000);
        assert_eq!(book.begin("c", "main", later), Found::New);
    }

    #[test]
    fn others_runs_give_way_and_own_ones_do_not() {
        let mut book = book(ChatConfig { max_runs: 2, ..ChatConfig::default() });
        let now = Instant::now();
        book.started("other", "main", None, 1, false);
        assert_eq!(book.begin("a", "main", now), Found::New);
        assert_eq!(book.begin("b", "main", now), Found::New);
        assert!(book.grew("other", "text", 2).is_none(), "it is no longer followed");
        assert_eq!(book.begin("c", "main", now), Found::Full);
        book.joined("other", "main", None);
        assert!(book.grew("other", "text", 3).is_none(), "nothing gives way to what gave way");
        book.forget("a");
        assert_eq!(book.begin("c", "main", now), Found::New);
    }

    #[test]
    fn a_run_is_lost_when_nobody_has_it_twice() {
        let mut book = book(ChatConfig::default());
        let (none, both) = (HashSet::new(), HashSet::from(["a".to_string(), "b".to_string()]));
        for id in ["a", "b", "starting"] {
            book.begin(id, "main", Instant::now());
        }
        book.accepted("a");
        book.accepted("b");
        assert_eq!(book.lost(&none), Vec::<String>::new());
        assert_eq!(book.lost(&both), Vec::<String>::new(), "they are there after all");
        assert_eq!(book.lost(&none), Vec::<String>::new());
        assert_eq!(book.lost(&none), ["a", "b"], "not what the agent has not taken yet");
    }
}
