//! Holding back what one place in the code logs again and again.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::Context;

use super::counts;
use super::queue::{Message, Queue};
use crate::{audit, dispatch, host_side};

/// Lines of one place that pass in a window.
pub(super) const MOST_IN_WINDOW: u32 = 20;
/// How long a window lasts.
const WINDOW: Duration = Duration::from_secs(10);

/// What each place in the code has logged lately, and what each plugin has. There are only so many of both, so the map needs no
/// other bound.
pub(super) struct Repeats {
    windows: Mutex<HashMap<Place, Window>>,
    queue: Queue,
}

/// A place in the code; the one at which all plugins' lines are written is a place of each.
type Place = (Identifier, Option<Box<str>>);

struct Window {
    began: Instant,
    seen: u32,
    held_back: u64,
    place: &'static Metadata<'static>,
}

/// What was held back in a window that is over.
pub(super) struct Summary {
    lines: u64,
    place: &'static Metadata<'static>,
}

impl Summary {
    pub(super) fn log(&self) {
        let (module, line) = (self.place.target(), self.place.line().unwrap_or_default());
        tracing::warn!(lines = self.lines, of = module, at_line = line, "repeated log lines were held back");
    }
}

impl Repeats {
    pub(super) fn new(queue: Queue) -> Self {
        Repeats { windows: Mutex::default(), queue }
    }

    /// Whether a line of this place may pass.
    fn admit(&self, place: &'static Metadata<'static>, plugin: Option<Box<str>>, now: Instant) -> bool {
        let mut windows = self.lock();
        let fresh = || Window { began: now, seen: 0, held_back: 0, place };
        let window = windows.entry((place.callsite(), plugin)).or_insert_with(fresh);
        // A window with something to tell stays until it was told.
        if window.held_back == 0 && now.duration_since(window.began) >= WINDOW {
            *window = fresh();
        }
        window.seen = window.seen.saturating_add(1);
        let passes = window.seen <= MOST_IN_WINDOW;
        let first_held_back = !passes && window.held_back == 0;
        window.held_back += u64::from(!passes);
        drop(windows);
        if first_held_back {
            self.queue.offer(Message::HeldBack);
        }
        passes
    }

    /// How long until there is something to sum up, if there will be.
    pub(super) fn next_summary(&self, now: Instant) -> Option<Duration> {
        let windows = self.lock();
        let telling = windows.values().filter(|window| window.held_back > 0);
        telling.map(|window| (window.began + WINDOW).saturating_duration_since(now)).min()
    }

    /// What was held back in the windows that are over; they begin anew.
    pub(super) fn summaries(&self, now: Instant) -> Vec<Summary> {
        let mut windows = self.lock();
        let over = windows.values_mut().filter(|w| w.held_back > 0 && now.duration_since(w.began) >= WINDOW);
        over.map(|window| {
            let summary = Summary { lines: window.held_back, place: window.place };
            *window = Window { began: now, seen: 0, held_back: 0, place: window.place };
            summary
        })
        .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Window>> {
        // The counts are sound whatever panicked while they were held.
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The layer that asks [`Repeats`] about every line. Who turned on debug lines wants all of them; an account of who decided
/// what has no gaps, nor has one of the calls of a trace.
pub(super) struct Layer(Arc<Repeats>);

impl Layer {
    pub(super) fn new(repeats: Arc<Repeats>) -> Self {
        Layer(repeats)
    }
}

impl<S: Subscriber> tracing_subscriber::Layer<S> for Layer {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let place = event.metadata();
        counts::line(place.level());
        let is_whole = [audit::TARGET, dispatch::TRACE].contains(&place.target());
        *place.level() > Level::INFO || is_whole || self.0.admit(place, plugin_of(event), Instant::now())
    }
}

/// Whose line it is, if it is a plugin's own.
fn plugin_of(event: &Event<'_>) -> Option<Box<str>> {
    #[derive(Default)]
    struct Found(Option<Box<str>>);

    impl Visit for Found {
        fn record_str(&mut self, field: &Field, value: &str) {
            if field.name() == "plugin" {
                self.0 = Some(value.into());
            }
        }

        fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
    }

    let mut found = Found::default();
    if event.metadata().target() == host_side::LOG {
        event.record(&mut found);
    }
    found.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;
    use tracing::Callsite;

    fn place() -> &'static Metadata<'static> {
        tracing::callsite! { name: "test", kind: tracing::metadata::Kind::EVENT, fields: }.metadata()
    }

    #[test]
    fn twenty_pass_the_rest_is_counted_and_a_new_window_begins() {
        let (sender, receiver) = sync_channel(8);
        let repeats = Repeats::new(Queue::new(sender));
        let start = Instant::now();
        let place = place();
        for _ in 0..MOST_IN_WINDOW {
            assert!(repeats.admit(place, None, start));
        }
        assert!(repeats.next_summary(start).is_none() && receiver.try_recv().is_err());
        assert!(!repeats.admit(place, None, start) && !repeats.admit(place, None, start));
        assert!(matches!(receiver.try_recv(), Ok(Message::HeldBack)));
        assert!(receiver.try_recv().is_err(), "the thread is woken once");
        assert_eq!(repeats.next_summary(start), Some(WINDOW));
        assert!(repeats.summaries(start).is_empty());
        let later = start + WINDOW;
        assert!(!repeats.admit(place, None, later), "held back until the window is summed up");
        let told: Vec<_> = repeats.summaries(later).iter().map(|summary| summary.lines).collect();
        assert_eq!(told, [3]);
        assert!(repeats.admit(place, None, later) && repeats.next_summary(later).is_none());
    }

    #[test]
    fn one_plugin_silences_no_other() {
        let (sender, _receiver) = sync_channel(1);
        let repeats = Repeats::new(Queue::new(sender));
        let (start, place) = (Instant::now(), place());
        let passed = (0..2 * MOST_IN_WINDOW).filter(|_| repeats.admit(place, Some("loud".into()), start)).count();
        assert_eq!(passed, MOST_IN_WINDOW as usize);
        assert!(repeats.admit(place, Some("quiet".into()), start));
    }

    #[test]
    fn a_quiet_place_is_never_held_back() {
        let (sender, _receiver) = sync_channel(1);
        let repeats = Repeats::new(Queue::new(sender));
        let start = Instant::now();
        let place = place();
        for number in 0..10 * MOST_IN_WINDOW {
            assert!(repeats.admit(place, None, start + WINDOW / MOST_IN_WINDOW * number));
        }
    }
}
