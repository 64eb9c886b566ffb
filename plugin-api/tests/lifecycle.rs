//! The beginning and the end of calls, tasks and instances, and everything that may fall between.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, mpsc};
use std::time::Duration;

use plugin_api::{
    Call, CreateError, EventSpec, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup,
    StartError,
};
use plugin_kit::{CancelReason, Harness};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Waits in several ways, and counts who is inside.
struct Waiter {
    host: Host,
    inside: Arc<AtomicUsize>,
    begun: Mutex<u64>,
}

/// Somebody inside a handler; leaves when the handler's future is dropped.
struct Guest(Arc<AtomicUsize>);

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Deserialize, JsonSchema)]
struct Number {
    number: u64,
    #[serde(default)]
    wait: bool,
}

static WAITER: LazyLock<Methods<Waiter>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::operator("wait.nap", &[]), Waiter::nap)
        .add(Method::operator("wait.short", &[]).timeout_ms(500), Waiter::nap)
        .add(Method::operator("wait.forever", &[]), Waiter::forever)
        .add(Method::operator("wait.number", &[]), Waiter::number)
        .add(Method::operator("wait.inside", &[]), Waiter::inside)
        .add(Method::operator("wait.begun", &[]), Waiter::begun)
        .add(Method::operator("wait.spawn", &[]), Waiter::spawn)
});

impl Plugin for Waiter {
    fn manifest() -> Manifest {
        Manifest::new("waiter", "1.0.0").methods(&WAITER).event(EventSpec::operator("wait.told", &[]))
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Waiter { host, inside: Arc::default(), begun: Mutex::new(0) })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        // The task takes the lock that is held here: it must not be polled before `spawn` returned.
        let mut begun = self.begun.lock().unwrap();
        let this = self.clone();
        self.host.spawn(async move { *this.begun.lock().unwrap() += 1 });
        *begun += 10;
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        WAITER.dispatch(self, call)
    }
}

impl Waiter {
    fn enter(&self) -> Guest {
        self.inside.fetch_add(1, Ordering::SeqCst);
        Guest(self.inside.clone())
    }

    async fn nap(self: Arc<Self>, call: Call, _: NoParams) -> Result<bool, MethodError> {
        let _guest = self.enter();
        self.host.sleep(Duration::from_secs(1)).await;
        Ok(call.time_left().is_some())
    }

    async fn forever(self: Arc<Self>, _: Call, _: NoParams) -> Result<(), MethodError> {
        let _guest = self.enter();
        std::future::pending().await
    }

    async fn number(self: Arc<Self>, _: Call, params: Number) -> Result<u64, MethodError> {
        let _guest = self.enter();
        if params.wait {
            self.host.sleep(Duration::from_millis(1)).await;
        }
        Ok(params.number)
    }

    async fn inside(self: Arc<Self>, _: Call, _: NoParams) -> Result<usize, MethodError> {
        Ok(self.inside.load(Ordering::SeqCst))
    }

    async fn begun(self: Arc<Self>, _: Call, _: NoParams) -> Result<u64, MethodError> {
        Ok(*self.begun.lock().unwrap())
    }

    async fn spawn(self: Arc<Self>, _: Call, _: NoParams) -> Result<(), MethodError> {
        let (host, guest) = (self.host.clone(), self.enter());
        let nap = self.host.spawn(async move {
            let _guest = guest;
            host.sleep(Duration::from_secs(5)).await;
            let _ = host.event("wait.told").send(&json!("woke up"));
        });
        let host = self.host.clone();
        self.host.spawn(async move {
            host.sleep(Duration::from_secs(2)).await;
            nap.cancel();
        });
        let host = self.host.clone();
        self.host.spawn(async move {
            host.sleep(Duration::from_secs(1)).await;
            panic!("a task fell over");
        });
        Ok(())
    }
}

#[test]
fn a_deadline_drops_the_call_where_it_waits() {
    let plugin = Harness::new::<Waiter>().start();
    let late = plugin.begin("wait.short", json!({}));
    let in_time = plugin.begin("wait.nap", json!({}));
    plugin.advance(Duration::from_millis(499));
    assert_eq!(plugin.timers(), 2);
    plugin.advance(Duration::from_millis(1));
    assert_eq!(plugin.timers(), 1, "the timer of the dropped future was taken back");
    assert_eq!(late.wait().error().details.unwrap()["reason"], 2);
    assert_eq!(plugin.call("wait.inside", json!({})).payload(), 1);
    plugin.advance(Duration::from_millis(500));
    assert_eq!(in_time.wait().payload(), false);
    assert_eq!(plugin.call("wait.inside", json!({})).payload(), 0);
}

#[test]
fn a_cancel_before_during_or_after_leaves_nobody_inside() {
    let plugin = Harness::new::<Waiter>().start();
    for round in 0..300 {
        let call = plugin.begin("wait.forever", json!({}));
        if round % 3 == 0 {
            plugin.settle();
        }
        call.cancel(CancelReason::Asked);
        call.cancel(CancelReason::Asked);
        call.wait().error();
    }
    let done = plugin.begin("wait.number", json!({ "number": 4 }));
    assert_eq!(done.wait().payload(), 4);
    done.cancel(CancelReason::Disconnect);
    assert_eq!(done.wait().payload(), 4);
    plugin.settle();
    assert_eq!(plugin.call("wait.inside", json!({})).payload(), 0);
}

#[test]
fn a_thousand_calls_from_eight_threads() {
    let plugin = Harness::new::<Waiter>().real_time().start();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let plugin = &plugin;
            scope.spawn(move || {
                for step in 0..125 {
                    let number = thread * 1000 + step;
                    let call = plugin.begin("wait.number", json!({ "number": number, "wait": step % 4 == 0 }));
                    assert_eq!(call.wait().payload(), number);
                }
            });
        }
    });
    assert_eq!(plugin.call("wait.inside", json!({})).payload(), 0);
}

#[test]
fn a_stop_under_load_answers_everybody_and_leaves_nobody() {
    let plugin = Harness::new::<Waiter>().start();
    let calls: Vec<_> = ["wait.nap", "wait.forever"].into_iter().cycle().take(100).collect();
    let calls: Vec<_> = calls.into_iter().map(|method| plugin.begin(method, json!({}))).collect();
    plugin.call("wait.spawn", json!({})).payload();
    plugin.stop();
    for call in calls {
        assert_eq!(call.wait().error().details.unwrap()["reason"], 3);
    }
    assert_eq!(plugin.call("wait.nap", json!({})).error().code, "UNAVAILABLE");
}

#[test]
fn tasks_run_on_are_cancelled_and_may_panic() {
    let plugin = Harness::new::<Waiter>().start();
    assert_eq!(plugin.call("wait.begun", json!({})).payload(), 11);
    plugin.call("wait.spawn", json!({})).payload();
    plugin.advance(Duration::from_secs(1));
    assert!(plugin.logs().iter().any(|line| line.message == "a task fell over"));
    assert_eq!(plugin.call("wait.inside", json!({})).payload(), 1);
    plugin.advance(Duration::from_secs(1));
    assert_eq!(plugin.call("wait.inside", json!({})).payload(), 0);
    plugin.advance(Duration::from_secs(10));
    assert!(plugin.events().is_empty());
    assert_eq!(plugin.timers(), 0);
}

/// Gives a call to a thread of its own, which the host knows nothing of.
struct Stray;

type Told = (bool, bool, bool);
static STRAY_GATE: OnceLock<(mpsc::SyncSender<()>, Mutex<mpsc::Receiver<Told>>)> = OnceLock::new();
static STRAY: LazyLock<Methods<Stray>> =
    LazyLock::new(|| Methods::new().add(Method::operator("stray", &[]).interim(), Stray::stray));

impl Plugin for Stray {
    fn manifest() -> Manifest {
        Manifest::new("stray", "1.0.0").methods(&STRAY).event(EventSpec::operator("stray.told", &[]))
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Stray)
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        STRAY.dispatch(self, call)
    }
}

impl Stray {
    async fn stray(self: Arc<Self>, call: Call, _: NoParams) -> Result<(), MethodError> {
        let (open, gate) = mpsc::sync_channel(0);
        let (tell, told) = mpsc::channel();
        assert!(STRAY_GATE.set((open, Mutex::new(told))).is_ok(), "one test calls this");
        std::thread::spawn(move || {
            gate.recv().unwrap();
            let host = call.host().clone();
            let answered = call.interim(&1).is_err();
            let published = host.event("stray.told").send(&1).is_err();
            let spawned = host.spawn(async { unreachable!("the host takes no more work") });
            spawned.cancel();
            tell.send((answered, published, host.kv().text("key").is_err())).unwrap();
        });
        Ok(())
    }
}

#[test]
fn a_stray_thread_after_the_end_is_told_so_and_harms_nobody() {
    let plugin = Harness::new::<Stray>().start();
    plugin.call("stray", json!({})).payload();
    plugin.stop();
    let (open, told) = STRAY_GATE.get().unwrap();
    open.send(()).unwrap();
    assert_eq!(told.lock().unwrap().recv_timeout(Duration::from_secs(10)).unwrap(), (true, true, true));
}

/// Is still busy on a thread when it is told to stop.
struct Busy {
    host: Host,
    open: Mutex<Option<mpsc::Sender<()>>>,
}

static BUSY_DONE: AtomicBool = AtomicBool::new(false);
static BUSY_AT_THE_END: Mutex<Option<bool>> = Mutex::new(None);
static BUSY: LazyLock<Methods<Busy>> = LazyLock::new(Methods::new);

impl Plugin for Busy {
    fn manifest() -> Manifest {
        Manifest::new("busy", "1.0.0").event(EventSpec::operator("busy.done", &[]))
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Busy { host, open: Mutex::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let (open, gate) = mpsc::channel::<()>();
        *self.open.lock().unwrap() = Some(open);
        let host = self.host.clone();
        // Nobody awaits it: the end of the instance has to.
        drop(self.host.blocking(move || {
            gate.recv().unwrap_err();
            // Long enough that an end which does not wait comes first.
            std::thread::sleep(Duration::from_millis(50));
            host.event("busy.done").send(&json!({})).unwrap();
            BUSY_DONE.store(true, Ordering::SeqCst);
        }));
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        BUSY.dispatch(self, call)
    }

    async fn stop(&self) {
        self.open.lock().unwrap().take();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *BUSY_AT_THE_END.lock().unwrap() = Some(BUSY_DONE.load(Ordering::SeqCst));
    }
}

#[test]
fn the_end_waits_for_blocking_work() {
    let plugin = Harness::new::<Busy>().start();
    plugin.stop();
    assert_eq!(plugin.events().len(), 1);
    assert_eq!(*BUSY_AT_THE_END.lock().unwrap(), Some(true), "the plugin went while its own work still ran");
}

/// Panics when it is told to stop, while its own work still runs.
struct Toppled {
    host: Host,
    open: Mutex<Option<mpsc::Sender<()>>>,
}

impl Plugin for Toppled {
    fn manifest() -> Manifest {
        Manifest::new("toppled", "1.0.0").event(EventSpec::operator("toppled.done", &[]))
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Toppled { host, open: Mutex::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let (open, gate) = mpsc::channel::<()>();
        *self.open.lock().unwrap() = Some(open);
        let host = self.host.clone();
        drop(self.host.blocking(move || {
            gate.recv().unwrap_err();
            // Long enough that an end which does not wait comes first.
            std::thread::sleep(Duration::from_millis(50));
            let _ = host.event("toppled.done").send(&json!({}));
        }));
        Ok(())
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }

    async fn stop(&self) {
        drop(self.open.lock().unwrap().take());
        panic!("it fell over");
    }
}

#[test]
fn an_end_that_panics_waits_for_blocking_work_all_the_same() {
    let plugin = Harness::new::<Toppled>().start();
    plugin.stop();
    assert_eq!(plugin.events().len(), 1);
    assert!(plugin.logs().iter().any(|line| line.target == "panic" && line.message == "it fell over"));
}

/// Begins work in `create` and then fails: nothing of it may live on.
struct Stillborn;

static STILLBORN_TASK: AtomicUsize = AtomicUsize::new(0);
static STILLBORN: LazyLock<Methods<Stillborn>> = LazyLock::new(Methods::new);

impl Plugin for Stillborn {
    fn manifest() -> Manifest {
        Manifest::new("stillborn", "1.0.0")
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        STILLBORN_TASK.fetch_add(1, Ordering::SeqCst);
        let guest = Guest(Arc::new(AtomicUsize::new(1)));
        let inside = guest.0.clone();
        host.spawn(async move {
            let _guest = guest;
            std::future::pending().await
        });
        std::thread::spawn(move || {
            while inside.load(Ordering::SeqCst) > 0 {
                std::thread::yield_now();
            }
            STILLBORN_TASK.fetch_sub(1, Ordering::SeqCst);
        });
        Err(CreateError::new("not today"))
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        STILLBORN.dispatch(self, call)
    }
}

#[test]
fn what_a_failed_create_began_is_dropped() {
    assert_eq!(Harness::new::<Stillborn>().create_error(), "not today");
    let until = std::time::Instant::now() + Duration::from_secs(10);
    while STILLBORN_TASK.load(Ordering::SeqCst) > 0 {
        assert!(std::time::Instant::now() < until, "the task of an instance that was never made lives on");
        std::thread::yield_now();
    }
}

/// Tells of its stages: each comes once, in order.
struct Stages(Host);

static STAGES: LazyLock<Methods<Stages>> =
    LazyLock::new(|| Methods::new().add(Method::operator("stages.ask", &[]), Stages::ask));

impl Plugin for Stages {
    fn manifest() -> Manifest {
        Manifest::new("stages", "1.0.0").methods(&STAGES)
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        host.info("create");
        Ok(Stages(host))
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        self.0.info("start");
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        STAGES.dispatch(self, call)
    }

    async fn quiesce(&self) {
        self.0.info("quiesce");
        self.0.sleep(Duration::from_secs(1)).await;
        self.0.info("quiet");
    }

    async fn stop(&self) {
        self.0.info("stop");
    }
}

impl Stages {
    async fn ask(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        Ok(json!("still here"))
    }
}

#[test]
fn the_stages_of_a_life_come_in_order() {
    let plugin = Harness::new::<Stages>().start();
    plugin.quiesce();
    assert_eq!(plugin.call("stages.ask", json!({})).payload(), "still here");
    plugin.stop();
    let lines: Vec<_> = plugin.logs().into_iter().map(|line| line.message).collect();
    assert_eq!(lines, ["create", "start", "quiesce", "quiet", "stop"]);
}
