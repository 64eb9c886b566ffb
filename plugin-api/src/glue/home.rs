//! Where a plugin's code lives: in the program, whose panic hook and log it shares, or in a library of its own, which has
//! copies of both. In a library they are made to write to the host's log.

use super::raw::RawHost;

/// What `plugin!` and `dylib!` choose between.
#[doc(hidden)]
pub trait Home: sealed::Home {}

mod sealed {
    pub trait Home: 'static {
        /// Whether the code has copies of what a program has once.
        const OWN_COPIES: bool;
    }
}

/// Before an instance is created that sees this host.
pub(super) fn settle<H: Home>(host: RawHost) {
    if H::OWN_COPIES {
        log::to(host);
    }
}

/// Linked into the program.
#[doc(hidden)]
pub enum Program {}

impl Home for Program {}

impl sealed::Home for Program {
    const OWN_COPIES: bool = false;
}

/// In a library of its own.
#[doc(hidden)]
pub enum Library {}

impl Home for Library {}

impl sealed::Home for Library {
    const OWN_COPIES: bool = true;
}

mod log {
    use std::panic::PanicHookInfo;
    use std::sync::{Mutex, MutexGuard, Once, PoisonError};

    use crate::abi::{GWP_GONE, GWP_OK};
    use crate::glue::raw::RawHost;

    /// The hosts of instances, the newest last. Their tables are never freed, so late lines are heard too, or refused.
    static HOSTS: Mutex<Vec<RawHost>> = Mutex::new(Vec::new());

    pub(super) fn to(host: RawHost) {
        static ONCE: Once = Once::new();
        hosts().push(host);
        ONCE.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if !panicked(panic) {
                    before(panic);
                }
            }));
            #[cfg(feature = "tracing")]
            super::forward::install();
        });
    }

    /// Whether a host took the line. The newest is asked first; if its instance is over, as when it could not be made, one
    /// that was there before may run on.
    pub(super) fn line(level: i32, target: &str, message: &str, fields: &str) -> bool {
        loop {
            let Some(host) = hosts().last().copied() else { return false };
            let code = host.log(level, target, message, fields);
            if code != GWP_GONE || !forget(host) {
                return code == GWP_OK;
            }
        }
    }

    /// Forgets the host of an instance that is over; false if there is no other.
    fn forget(over: RawHost) -> bool {
        let mut hosts = hosts();
        let others = hosts.len() > 1;
        if others {
            hosts.retain(|known| !known.is(over));
        }
        others
    }

    /// Held for a moment only, and never while a host is called.
    fn hosts() -> MutexGuard<'static, Vec<RawHost>> {
        HOSTS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the host took the line.
    fn panicked(panic: &PanicHookInfo<'_>) -> bool {
        let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
        let said = panic.payload_as_str().unwrap_or("a panic without a text");
        line(1, "panic", &format!("{said}{place}"), "")
    }
}

#[cfg(feature = "tracing")]
mod forward {
    use std::fmt::Write;
    use std::sync::atomic::{AtomicU64, Ordering};

    use serde_json::{Map, Value};
    use tracing_core::field::{Field, Visit};
    use tracing_core::span::{Attributes, Id, Record};
    use tracing_core::{Dispatch, Event, Interest, Level, LevelFilter, Metadata, Subscriber};

    use super::log;

    /// What the library writes with `tracing`, as lines of the host's log. The host filters by its own level; below debug
    /// nothing is passed on. Spans are not shown.
    struct Forward(AtomicU64);

    pub(super) fn install() {
        // A plugin that has set a subscriber of its own keeps it.
        let _ = tracing_core::dispatcher::set_global_default(Dispatch::new(Forward(AtomicU64::new(1))));
    }

    impl Subscriber for Forward {
        fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
            if self.enabled(metadata) { Interest::always() } else { Interest::never() }
        }

        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= Level::DEBUG
        }

        fn max_level_hint(&self) -> Option<LevelFilter> {
            Some(LevelFilter::DEBUG)
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(self.0.fetch_add(1, Ordering::Relaxed))
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let metadata = event.metadata();
            let level = match *metadata.level() {
                Level::ERROR => 1,
                Level::WARN => 2,
                Level::INFO => 3,
                Level::DEBUG => 4,
                Level::TRACE => 5,
            };
            let mut line = Line::default();
            event.record(&mut line);
            let fields = if line.fields.is_empty() { String::new() } else { Value::Object(line.fields).to_string() };
            log::line(level, metadata.target(), &line.message, &fields);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    /// An event's message and its fields.
    #[derive(Default)]
    struct Line {
        message: String,
        fields: Map<String, Value>,
    }

    impl Line {
        fn set(&mut self, field: &Field, value: Value) {
            self.fields.insert(field.name().to_string(), value);
        }
    }

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            if field.name() == "message" {
                let _ = write!(self.message, "{value:?}");
            } else {
                self.set(field, Value::String(format!("{value:?}")));
            }
        }

        fn record_str(&mut self, field: &Field, value: &str) {
            if field.name() == "message" {
                self.message.push_str(value);
            } else {
                self.set(field, value.into());
            }
        }

        fn record_i64(&mut self, field: &Field, value: i64) {
            self.set(field, value.into());
        }

        fn record_u64(&mut self, field: &Field, value: u64) {
            self.set(field, value.into());
        }

        fn record_bool(&mut self, field: &Field, value: bool) {
            self.set(field, value.into());
        }

        fn record_f64(&mut self, field: &Field, value: f64) {
            self.set(field, value.into());
        }
    }
}
