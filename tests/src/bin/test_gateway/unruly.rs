//! A plugin that takes what it can get: time, memory, the ears of everybody, the log, and whatever a host does for plugins.

use std::any::Any;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use plugin_api::{
    Call, CreateError, EventSpec, Host, HostError, InvokeReply, Manifest, Method, MethodError, Methods, NoParams,
    Plugin, Reply, Setup,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The plugin.
pub struct Unruly {
    host: Host,
    is_enough: AtomicBool,
    /// What it has taken and does not give back.
    taken: Mutex<Vec<Box<dyn Any + Send>>>,
    fidgeted: AtomicU64,
    gate: Arc<Gate>,
}

/// What work waits for.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

static METHODS: LazyLock<Methods<Unruly>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::operator("unruly.spin", &[]).timeout_ms(300), Unruly::spin)
        .add(Method::operator("unruly.brood", &[]).timeout_ms(1_000), Unruly::brood)
        .add(Method::operator("unruly.stop", &[]), Unruly::stop)
        .add(Method::operator("unruly.shout", &[]), Unruly::shout)
        .add(Method::operator("unruly.rant", &[]), Unruly::rant)
        .add(Method::operator("unruly.hoard", &[]), Unruly::hoard)
        .add(Method::operator("unruly.doze", &[]), Unruly::doze)
        .add(Method::operator("unruly.fidget", &[]), Unruly::fidget)
        .add(Method::operator("unruly.fidgeted", &[]), Unruly::fidgeted)
        .add(Method::operator("unruly.toil", &[]), Unruly::toil)
        .add(Method::operator("unruly.nag", &[]), Unruly::nag)
        .add(Method::operator("unruly.listen", &[]), Unruly::listen)
        .add(Method::operator("unruly.cling", &[]), Unruly::cling)
        .add(Method::operator("unruly.relent", &[]), Unruly::relent)
});

impl Plugin for Unruly {
    fn manifest() -> Manifest {
        Manifest::new("unruly", "1.0.0")
            .invokes(&["host.gateway.info"])
            .hears(&["unruly.said"])
            .methods(&METHODS)
            .event(EventSpec::operator("unruly.said", &["operator.read"]))
            .event(EventSpec::operator("unruly.mumbled", &["operator.read"]))
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Unruly {
            host,
            is_enough: AtomicBool::new(false),
            taken: Mutex::default(),
            fidgeted: AtomicU64::new(0),
            gate: Arc::default(),
        })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Unruly);

#[derive(Deserialize, JsonSchema)]
struct Much {
    count: u64,
    #[serde(default)]
    bytes: usize,
}

#[derive(Deserialize, JsonSchema)]
struct Brood {
    /// Whether it goes on when nobody waits for the outcome any more.
    #[serde(default)]
    stubborn: bool,
}

impl Unruly {
    /// Computes until somebody says that it is enough, and looks at nothing else.
    async fn spin(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        let mut sum = 0u64;
        while !self.is_enough.load(Ordering::Relaxed) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        Ok(json!({ "sum": sum }))
    }

    /// Waits for a moment, and then computes until somebody says that it is enough or the call is over.
    async fn brood(self: Arc<Self>, call: Call, brood: Brood) -> Result<Value, MethodError> {
        self.host.sleep(Duration::from_millis(1)).await;
        let mut rounds = 0u64;
        while !self.is_enough.load(Ordering::Relaxed) && (brood.stubborn || call.caller().is_ok()) {
            rounds = std::hint::black_box(rounds.wrapping_add(1));
        }
        Ok(json!({ "rounds": rounds }))
    }

    async fn stop(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        self.is_enough.store(true, Ordering::Relaxed);
        Ok(json!({}))
    }

    /// Tells everybody, and whoever can do without it.
    async fn shout(self: Arc<Self>, _: Call, much: Much) -> Result<Value, MethodError> {
        let filler = "x".repeat(much.bytes);
        for number in 0..much.count {
            self.host.event("unruly.said").send(&json!({ "number": number }))?;
            self.host.event("unruly.mumbled").droppable().send(&json!({ "number": number, "filler": filler }))?;
        }
        Ok(json!({}))
    }

    async fn rant(self: Arc<Self>, _: Call, much: Much) -> Result<Value, MethodError> {
        let words = "rant ".repeat(much.bytes / 5);
        for number in 0..much.count {
            self.host.warn(&format!("{number} {words}"));
        }
        Ok(json!({}))
    }

    /// Keeps state until it may keep no more: how much that was.
    async fn hoard(self: Arc<Self>, _: Call, much: Much) -> Result<Value, MethodError> {
        let value = "x".repeat(much.bytes);
        for number in 0..much.count {
            if let Err(error) = self.host.kv().set_json(&format!("hoard-{number}"), &value).await {
                return Ok(json!({ "kept": number, "why": error.to_string() }));
            }
        }
        Ok(json!({ "kept": much.count }))
    }

    /// Sets timers for a time that nobody waits for.
    async fn doze(self: Arc<Self>, _: Call, much: Much) -> Result<Value, MethodError> {
        Ok(self.take(much.count, || {
            let mut sleep = self.host.sleep(Duration::from_secs(3600));
            let is_set = now(&mut sleep).is_pending();
            if is_set { Ok(sleep) } else { Err(HostError::Gone) }
        }))
    }

    /// Begins futures that have nothing to wait for.
    async fn fidget(self: Arc<Self>, _: Call, much: Much) -> Result<Value, MethodError> {
        for _ in 0..much.count {
            let this = self.clone();
            self.host.spawn(async move {
                this.fidgeted.fetch_add(1, Ordering::Relaxed);
            });
        }
        Ok(json!({}))
    }

    async fn fidgeted(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        Ok(json!({ "count": self.fidgeted.load(Ordering::Relaxed) }))
    }

    /// Begins work that blocks until it relents.
    async fn toil(self: Arc<Self>, _: Call, much: Much) -> Result<Value, MethodError> {
        Ok(self.take(much.count, || {
            let gate = self.gate.clone();
            let mut work = self.host.blocking(move || gate.wait());
            match now(&mut work) {
                Poll::Ready(Err(error)) => Err(error),
                _ => Ok(work),
            }
        }))
    }

    /// Asks the host so often that it hears no answer meanwhile.
    async fn nag(self: Arc<Self>, _: Call, much: Much) -> Result<Value, MethodError> {
        Ok(self.take(much.count, || {
            let mut replies = self.host.invoke("host.gateway.info", &json!({})).replies();
            let heard = now(pin!(replies.next()));
            match heard {
                Poll::Ready(InvokeReply::Final(Err(_))) => Err(HostError::Busy),
                _ => Ok(replies),
            }
        }))
    }

    async fn listen(self: Arc<Self>, _: Call, much: Much) -> Result<Value, MethodError> {
        Ok(self.take(much.count, || self.host.subscribe("unruly.said", |_| ())))
    }

    /// Keeps the rights of whoever asks, again and again.
    async fn cling(self: Arc<Self>, call: Call, much: Much) -> Result<Value, MethodError> {
        Ok(self.take(much.count, || call.retain()))
    }

    /// Gives back what it has taken, and lets work end.
    async fn relent(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        drop(std::mem::take(&mut *self.taken.lock().unwrap_or_else(PoisonError::into_inner)));
        self.gate.open();
        Ok(json!({}))
    }

    /// Asks for so many of something: how many it has then, and why it has no more.
    fn take<T: Send + 'static>(&self, count: u64, mut ask: impl FnMut() -> Result<T, HostError>) -> Value {
        let (mut kept, mut why) = (0, None);
        for _ in 0..count {
            match ask() {
                Ok(one) => {
                    self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(one));
                    kept += 1;
                }
                Err(error) => why = Some(error.to_string()),
            }
        }
        json!({ "kept": kept, "why": why })
    }
}

impl Gate {
    fn open(&self) {
        *self.is_open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.opened.notify_all();
    }

    fn wait(&self) {
        let is_open = self.is_open.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.opened.wait_while(is_open, |is_open| !*is_open));
    }
}

/// What a future has to say at once.
fn now<F: Future + Unpin>(mut future: F) -> Poll<F::Output> {
    Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()))
}
