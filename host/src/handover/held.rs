//! Which thread runs code of which plugin, and since when. Each thread that does has a place in which it writes this down,
//! and in which the watchdog reads it: so whatever does not give its thread back is named and counted while it has it, and
//! not when it comes back, which may be never. To write it down costs a thread a few plain stores.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::gateway::Gateway;
use crate::metrics::MethodMetrics;

/// What is run of a plugin. Code of its life (`create`, `start`, `stop`) is not looked at: it may take its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call, until its plugin gives the thread back for the first time.
    Call,
    /// A job; the rest of a call is one as well, since a plugin does not say what a job is for.
    Job,
    /// A timer.
    Timer,
    /// Whatever hears events, answers and ends of writes.
    Listener,
    /// What hears of an HTTP request, and of what comes after it.
    Http,
    /// The news that a call has ended.
    Cancel,
    /// A job that said it may block: nobody waits for its thread.
    Blocking,
}

impl Kind {
    const ALL: [Kind; 7] =
        [Kind::Call, Kind::Job, Kind::Timer, Kind::Listener, Kind::Http, Kind::Cancel, Kind::Blocking];

    /// The word for it in the log.
    fn name(self) -> &'static str {
        match self {
            Kind::Call => "a method",
            Kind::Job | Kind::Blocking => "a job",
            Kind::Timer => "a timer",
            Kind::Listener => "a listener",
            Kind::Http => "an HTTP handler",
            Kind::Cancel => "the news of a call's end",
        }
    }
}

/// Code of a plugin that is about to run on this thread.
pub struct Visit<'a> {
    /// What it is.
    pub kind: Kind,
    /// What counts it, and by which number the watchdog knows it.
    pub counts: &'a MethodMetrics,
    /// The method, if it is a call.
    pub method: Option<&'a str>,
    /// Its plugin.
    pub plugin: &'a str,
    /// Whether the thread is one of the plugin's own.
    pub has_own_thread: bool,
    /// Whether it said that it may block.
    pub may_block: bool,
    /// How long it may keep the thread.
    pub patience: Duration,
}

impl Visit<'_> {
    /// Runs it; it has had the thread since then. Tells how long it kept it.
    #[inline]
    pub fn run(&self, since: Instant, body: impl FnOnce()) -> Duration {
        let outer = PANIC.replace(Panic::None);
        let (kept, stall) = THREAD.with(|thread| {
            let is_watched = !self.may_block && thread.enter(self.word(), since);
            body();
            let kept = since.elapsed();
            let stall = is_watched.then(|| thread.leave(kept >= self.patience)).flatten();
            (kept, stall)
        });
        if PANIC.replace(outer) == Panic::Said {
            self.counts.panicked();
        }
        if let Some(stall) = stall {
            self.kept_too_long(kept, stall);
        }
        kept
    }

    /// It has given the thread back late.
    #[cold]
    fn kept_too_long(&self, kept: Duration, stall: Stall) {
        if stall == Stall::Unnoticed {
            self.counts.stalled();
        }
        // On a thread of its own it has held up nobody else; that it keeps one is said while it does.
        if !self.has_own_thread {
            let (method, plugin, what) = (self.method, self.plugin, self.kind.name());
            tracing::warn!(method, plugin, ?kept, "{what} kept a worker too long");
        }
    }

    /// The lower half of [`Thread::word`].
    fn word(&self) -> u64 {
        let own = if self.has_own_thread { OWN_THREAD } else { 0 };
        ((self.kind as u64) << KIND_AT) | own | u64::from(self.counts.number)
    }
}

/// What a plugin does beside its calls, as it is counted and looked at.
pub struct Beside {
    /// What counts it.
    pub counts: Arc<MethodMetrics>,
    /// How long it may keep a thread.
    pub patience: Duration,
}

/// What one thread runs of a plugin, for the watchdog to see.
struct Thread {
    /// Above, how often it has run something; below, what it runs: the number of its counters, and the bits that follow.
    /// The lower half is zero while it runs nothing.
    word: AtomicU64,
    /// Since when, in microseconds after [`BEGIN`]. Written before `word`, so whoever has read a word has no earlier time
    /// than its own; and the watchdog's note in it fails if the thread has gone on to something else.
    since: AtomicU64,
}

/// Where the count of what a thread has run begins.
const TURNS_AT: u32 = 32;
/// The lower half.
const WHAT: u64 = u32::MAX as u64;
/// The watchdog has said that it is too long.
const NOTICED: u64 = 1 << 31;
/// The thread is one of the plugin's own.
const OWN_THREAD: u64 = 1 << 30;
/// Where its [`Kind`] stands.
const KIND_AT: u32 = 27;
/// The number of its counters.
const NUMBER: u64 = (1 << KIND_AT) - 1;

/// Something that had its thread for too long.
#[derive(Debug, PartialEq, Eq)]
enum Stall {
    /// The watchdog has seen it.
    Noticed,
    /// It was over before the watchdog looked.
    Unnoticed,
}

impl Thread {
    /// Writes down what runs. False while something else does: what is run from within that is part of it.
    fn enter(&self, what: u64, since: Instant) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        if word & WHAT != 0 {
            return false;
        }
        self.since.store(micros(since), Ordering::Relaxed);
        self.word.store((((word >> TURNS_AT) + 1) << TURNS_AT) | what, Ordering::Release);
        true
    }

    /// It runs no more. If it was long, whether the watchdog has seen that.
    fn leave(&self, was_long: bool) -> Option<Stall> {
        let nothing = self.word.load(Ordering::Relaxed) & !WHAT;
        if !was_long {
            self.word.store(nothing, Ordering::Release);
            return None;
        }
        let was_noticed = self.word.swap(nothing, Ordering::AcqRel) & NOTICED != 0;
        Some(if was_noticed { Stall::Noticed } else { Stall::Unnoticed })
    }

    /// What has had this thread for so long, if there is such a thing.
    fn overdue(&self, now: u64, patience: Duration) -> Option<Held> {
        let word = self.word.load(Ordering::Acquire);
        let held = Duration::from_micros(now.saturating_sub(self.since.load(Ordering::Relaxed)));
        (word & WHAT != 0 && held >= patience).then_some(Held { word, held })
    }

    /// Notes that this was noticed; false if it is over meanwhile.
    fn notice(&self, held: &Held) -> bool {
        self.word.compare_exchange(held.word, held.word | NOTICED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

/// A thread that is held, as the watchdog found it.
struct Held {
    word: u64,
    held: Duration,
}

impl Held {
    fn number(&self) -> u32 {
        (self.word & NUMBER) as u32
    }

    fn kind(&self) -> Kind {
        let place = (self.word & WHAT & !(NOTICED | OWN_THREAD)) >> KIND_AT;
        Kind::ALL.get(place as usize).copied().unwrap_or(Kind::Job)
    }

    fn has_own_thread(&self) -> bool {
        self.word & OWN_THREAD != 0
    }

    fn is_noticed(&self) -> bool {
        self.word & NOTICED != 0
    }
}

/// Times are counted from here.
static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

fn micros(at: Instant) -> u64 {
    at.saturating_duration_since(*BEGIN).as_micros() as u64
}

/// All threads that have run code of a plugin. Of the process: a thread may serve two gateways in a row.
static THREADS: Mutex<Vec<Weak<Thread>>> = Mutex::new(Vec::new());

thread_local! {
    static THREAD: Arc<Thread> = {
        let thread = Arc::new(Thread { word: AtomicU64::new(0), since: AtomicU64::new(0) });
        all_threads().push(Arc::downgrade(&thread));
        thread
    };
    /// What is known of a panic in what this thread runs.
    static PANIC: Cell<Panic> = const { Cell::new(Panic::Outside) };
}

fn all_threads() -> MutexGuard<'static, Vec<Weak<Thread>>> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names and counts what keeps a thread for too long, each once. Whether one of them is a worker. For a thread that no plugin
/// can block.
pub fn look(gateway: &Gateway) -> bool {
    let threads: Vec<Arc<Thread>> = {
        let mut threads = all_threads();
        // Those of pools come and go.
        threads.retain(|thread| thread.strong_count() > 0);
        threads.iter().filter_map(Weak::upgrade).collect()
    };
    let now = micros(Instant::now());
    let patience = Duration::from_millis(gateway.limits().worker_stall_ms);
    let mut is_worker_held = false;
    for thread in threads {
        let Some(held) = thread.overdue(now, patience) else { continue };
        is_worker_held |= !held.has_own_thread();
        if held.is_noticed() {
            continue;
        }
        // Another gateway of this process has numbers of its own.
        let Some((plugin, method, counts)) = gateway.metrics.numbered(held.number()) else { continue };
        if thread.notice(&held) {
            counts.stalled();
            name(gateway, &held, &plugin, &method);
        }
    }
    is_worker_held
}

fn name(gateway: &Gateway, held: &Held, plugin: &str, method: &str) {
    let (what, is_own) = (held.kind().name(), held.has_own_thread());
    let method = (!method.is_empty()).then_some(method);
    // Which call a job belongs to only its plugin knows: it is one of these, if it is any.
    let unanswered = if held.kind() == Kind::Call { None } else { unanswered(gateway, plugin) };
    let held = held.held;
    if is_own {
        tracing::warn!(method, plugin, ?held, unanswered, "{what} keeps a thread of its plugin's");
    } else {
        tracing::warn!(method, plugin, ?held, unanswered, "{what} is blocking a worker");
    }
}

/// Methods of the calls that a plugin has not answered, if there are any.
fn unanswered(gateway: &Gateway, plugin: &str) -> Option<String> {
    let mut methods = BTreeSet::new();
    gateway.calls.each(|_, call| {
        if call.method.owner() == plugin {
            methods.insert(call.method.spec.name.clone());
        }
    });
    (!methods.is_empty()).then(|| methods.into_iter().collect::<Vec<_>>().join(", "))
}

/// What is known of a panic in what a thread runs of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Panic {
    /// It runs nothing of one.
    Outside,
    /// There was none.
    None,
    /// A line of the log said so, and no call was answered with it: it was in a timer, a job or whatever hears.
    Said,
    /// A call was answered with it, and counts it.
    Answered,
}

/// The plugin whose code this thread runs has said that it panicked.
pub fn panic_said() {
    if PANIC.get() == Panic::None {
        PANIC.set(Panic::Said);
    }
}

/// A call was answered with a panic. A library says so before it is answered, a plugin that is linked in afterwards.
pub fn panic_answered() {
    if PANIC.get() != Panic::Outside {
        PANIC.set(Panic::Answered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    const WHAT_RUNS: u64 = OWN_THREAD | 7;

    fn thread() -> Thread {
        Thread { word: AtomicU64::new(0), since: AtomicU64::new(0) }
    }

    /// What the watchdog finds if it has no patience at all.
    fn found(thread: &Thread) -> Option<Held> {
        thread.overdue(u64::MAX, Duration::ZERO)
    }

    #[test]
    fn a_thread_says_what_it_runs_and_since_when() {
        let thread = thread();
        assert!(found(&thread).is_none(), "it runs nothing");
        let kind = (Kind::Http as u64) << KIND_AT;
        assert!(thread.enter(kind | WHAT_RUNS, *BEGIN + Duration::from_millis(5)));
        assert!(thread.overdue(104_999, Duration::from_millis(100)).is_none(), "nobody says so too early");
        let held = thread.overdue(105_000, Duration::from_millis(100)).expect("it is held");
        assert_eq!((held.number(), held.kind(), held.held), (7, Kind::Http, Duration::from_millis(100)));
        assert!(held.has_own_thread());
        assert!(!thread.enter(8, *BEGIN), "what is run from within is part of it");
        assert_eq!(found(&thread).map(|held| held.number()), Some(7));
    }

    #[test]
    fn a_stall_is_counted_once_by_whoever_sees_it_first() {
        let thread = thread();
        thread.enter(WHAT_RUNS, *BEGIN);
        let held = found(&thread).expect("it is held");
        assert!(!held.is_noticed() && thread.notice(&held) && !thread.notice(&held), "it is noticed once");
        assert!(found(&thread).is_some_and(|held| held.is_noticed()));
        assert_eq!(thread.leave(true), Some(Stall::Noticed));
        thread.enter(WHAT_RUNS, *BEGIN);
        assert_eq!(thread.leave(true), Some(Stall::Unnoticed));
        thread.enter(WHAT_RUNS, *BEGIN);
        assert_eq!((thread.leave(false), found(&thread).is_none()), (None, true));
    }

    #[test]
    fn what_has_just_begun_is_not_taken_for_what_was_there_before() {
        let thread = thread();
        // Also where the count of turns begins anew.
        for word in [0, !WHAT] {
            thread.word.store(word, Ordering::Relaxed);
            thread.enter(WHAT_RUNS, *BEGIN);
            let held = found(&thread).expect("it is held");
            thread.leave(false);
            thread.enter(WHAT_RUNS, *BEGIN);
            assert!(!thread.notice(&held) && thread.leave(true) == Some(Stall::Unnoticed));
        }
    }

    #[test]
    fn a_panic_that_answered_a_call_is_counted_with_the_call_and_any_other_here() {
        let counts = Metrics::new().of_plugin("p");
        let (method, plugin, patience) = (None, "p", Duration::MAX);
        let counted = |may_block, body: fn()| {
            let before = counts.panics();
            let (kind, has_own_thread) = (Kind::Job, false);
            let visit = Visit { kind, counts: &counts, method, plugin, has_own_thread, may_block, patience };
            visit.run(Instant::now(), body);
            counts.panics() - before
        };
        assert_eq!(counted(false, || ()), 0);
        assert_eq!((counted(false, panic_said), counted(true, panic_said)), (1, 1));
        let said_twice = || [panic_said, panic_said].iter().for_each(|say| say());
        assert_eq!(counted(false, said_twice), 1, "a library says so when it happens and when it is caught");
        assert_eq!(counted(false, || [panic_answered, panic_said].iter().for_each(|say| say())), 0);
        assert_eq!(counted(false, || [panic_said, panic_answered].iter().for_each(|say| say())), 0);
        // On a thread that runs nothing of a plugin for the host.
        [panic_said, panic_answered].iter().for_each(|say| say());
        assert_eq!((PANIC.get(), counted(false, || ())), (Panic::Outside, 0));
    }
}
