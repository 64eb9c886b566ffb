//! Three plugins that the boundary was made for: one that outlives its connection, one that calls another with the
//! caller's rights, one that hears of connections.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use plugin_api::{
    AnyParams, Call, CreateError, EventSpec, HeardEvent, Host, HostError, Manifest, Method, MethodError, Methods,
    NoParams, Plugin, Principal, Reply, Setup, StartError, Subscription,
};
use plugin_kit::{CancelReason, Harness, Running, Who, sample};
use serde::Deserialize;
use serde_json::{Value, json};

/// Accepts at once, works for a while, and answers whether or not somebody is still there.
struct Runner {
    host: Host,
}

static RUNNER: LazyLock<Methods<Runner>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::operator("run", &["operator.write"]).interim().detached().timeout_ms(0), Runner::run)
        .add(Method::operator("run.attached", &["operator.write"]).interim(), Runner::run)
        .add(Method::operator("run.late", &["operator.write"]).interim(), Runner::late)
});

impl Plugin for Runner {
    fn manifest() -> Manifest {
        Manifest::new("runner", "1.0.0").methods(&RUNNER).event(EventSpec::operator("run.step", &["operator.read"]))
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Runner { host })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        RUNNER.dispatch(self, call)
    }
}

impl Runner {
    async fn run(self: Arc<Self>, call: Call, _: NoParams) -> Result<Value, MethodError> {
        call.interim(&json!({ "runId": "r1", "status": "accepted" }))?;
        for step in 1..=2 {
            self.host.sleep(Duration::from_secs(5)).await;
            self.host.event("run.step").send(&json!({ "runId": "r1", "step": step }))?;
        }
        Ok(json!({ "runId": "r1", "status": "ok" }))
    }

    /// Hands the call to a task of the plugin's own, which goes on after the call has gone.
    async fn late(self: Arc<Self>, call: Call, _: NoParams) -> Result<Value, MethodError> {
        let host = self.host.clone();
        self.host.spawn(async move {
            host.sleep(Duration::from_secs(5)).await;
            let answered = call.interim(&json!("too late")).err().map(|error| error.to_string());
            let caller = call.caller().err().map(|error| error.to_string());
            let retained = call.retain().err().map(|error| error.to_string());
            let told = host.event("run.step").send(&json!([answered, caller, retained]));
            told.expect("the event is declared");
        });
        std::future::pending().await
    }
}

#[test]
fn a_detached_call_outlives_its_connection() {
    let plugin = Harness::new::<Runner>().start();
    let opened = sample::opened(7);
    plugin.open_connection(&opened);
    let run = plugin.begin_as(Who::of(&opened), "run", json!({}));
    assert_eq!(run.next_interim()["status"], "accepted");
    plugin.close_connection(&sample::closed(&opened));
    plugin.advance(Duration::from_secs(4));
    assert!(!run.is_done());
    plugin.advance(Duration::from_secs(6));
    let outcome = run.wait();
    assert_eq!(outcome.interims.len(), 1);
    assert_eq!(outcome.payload()["status"], "ok");
    let steps: Vec<_> = plugin.events().iter().map(|event| event.payload["step"].clone()).collect();
    assert_eq!(steps, [1, 2]);
}

#[test]
fn any_other_call_ends_with_its_connection() {
    let plugin = Harness::new::<Runner>().start();
    let run = plugin.begin("run.attached", json!({}));
    run.next_interim();
    plugin.settle();
    assert_eq!(plugin.timers(), 1);
    plugin.close_connection(&sample::closed(&sample::opened(1)));
    assert_eq!(run.wait().error().details.unwrap()["code"], "CALL_ENDED");
    plugin.settle();
    assert_eq!(plugin.timers(), 0, "the future was dropped where it waited, and its timer with it");
    plugin.advance(Duration::from_secs(60));
    assert!(plugin.events().is_empty());
}

#[test]
fn a_late_answer_finds_nobody_and_harms_nobody() {
    let plugin = Harness::new::<Runner>().start();
    let run = plugin.begin("run.late", json!({}));
    plugin.settle();
    run.cancel(CancelReason::Timeout);
    plugin.advance(Duration::from_secs(5));
    let gone = "it is no more";
    assert_eq!(plugin.wait_event("run.step").payload, json!([gone, gone, gone]));
    assert!(plugin.begin("run", json!({})).next_interim().is_object());
}

/// Calls another plugin, in each of the ways there are.
struct Broker {
    host: Host,
    kept: Mutex<Option<Principal>>,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Ask {
    method: String,
    #[serde(default)]
    own: bool,
}

static BROKER: LazyLock<Methods<Broker>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::operator("broker.ask", &["operator.read"]), Broker::ask)
        .add(Method::operator("broker.keep", &["operator.read"]), Broker::keep)
        .add(Method::operator("broker.use", &[]), Broker::use_kept)
        .add(Method::operator("broker.forget", &[]), Broker::forget)
        .add(Method::operator("broker.down", &[]), Broker::down)
});

impl Plugin for Broker {
    fn manifest() -> Manifest {
        Manifest::new("broker", "1.0.0").invokes(&["vault.*", "broker.down", "nobody.*"]).methods(&BROKER)
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Broker { host, kept: Mutex::default() })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        BROKER.dispatch(self, call)
    }
}

impl Broker {
    async fn ask(self: Arc<Self>, call: Call, ask: Ask) -> Result<Value, MethodError> {
        let invoke = call.invoke(&ask.method, &json!({}));
        if ask.own { invoke.with_own_grants().send().await } else { invoke.send().await }
    }

    async fn keep(self: Arc<Self>, call: Call, _: NoParams) -> Result<(), MethodError> {
        *self.kept.lock().unwrap() = Some(call.retain()?);
        Ok(())
    }

    async fn use_kept(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        let kept = self.kept.lock().unwrap().take().ok_or_else(|| MethodError::unavailable("nothing is kept"))?;
        self.host.invoke("vault.read", &json!({})).on_behalf_of(kept).send().await
    }

    async fn forget(self: Arc<Self>, _: Call, _: NoParams) -> Result<(), MethodError> {
        self.kept.lock().unwrap().take();
        Ok(())
    }

    /// Calls itself until the host has enough.
    async fn down(self: Arc<Self>, call: Call, _: AnyParams) -> Result<u64, MethodError> {
        let below: Result<u64, _> = call.invoke("broker.down", &json!({})).send().await;
        Ok(below.map_or(0, |depth| depth + 1))
    }
}

/// Holds what not everybody may read, and says when somebody stops waiting.
struct Vault {
    host: Host,
}

static VAULT: LazyLock<Methods<Vault>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::operator("vault.read", &["operator.write"]), Vault::read)
        .add(Method::operator("vault.wait", &["operator.read"]), Vault::wait)
        .add(Method::internal("vault.inside"), Vault::read)
});

impl Plugin for Vault {
    fn manifest() -> Manifest {
        Manifest::new("vault", "1.0.0").methods(&VAULT).event(EventSpec::internal("vault.dropped"))
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Vault { host })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        VAULT.dispatch(self, call)
    }
}

impl Vault {
    async fn read(self: Arc<Self>, call: Call, _: NoParams) -> Result<Value, MethodError> {
        let caller = call.caller()?;
        Ok(json!({ "role": caller.role, "scopes": caller.scopes, "plugin": caller.plugin, "conn": call.conn() }))
    }

    async fn wait(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        struct Leaves(Host);
        impl Drop for Leaves {
            fn drop(&mut self) {
                let _ = self.0.event("vault.dropped").send(&json!({}));
            }
        }
        let _leaves = Leaves(self.host.clone());
        std::future::pending().await
    }
}

fn broker() -> Running {
    Harness::new::<Broker>().beside::<Vault>(json!({})).start()
}

#[test]
fn a_call_goes_with_the_callers_rights_and_gives_them_back() {
    let plugin = broker();
    let ask = |scope: &str, params: Value| plugin.call_as(Who::operator(&[scope]).conn(3), "broker.ask", params);
    let read = ask("operator.admin", json!({ "method": "vault.read" })).payload();
    assert_eq!(read, json!({ "role": "operator", "scopes": ["operator.admin"], "plugin": null, "conn": null }));
    let refused = ask("operator.read", json!({ "method": "vault.read" })).error();
    assert_eq!(refused.code, "FORBIDDEN");
    assert_eq!(refused.details.unwrap()["missingScope"], "operator.write");
    let own = ask("operator.read", json!({ "method": "vault.read", "own": true })).payload();
    assert_eq!((own["role"].as_str(), own["plugin"].as_str()), (Some("plugin"), Some("broker")));
    ask("operator.read", json!({ "method": "vault.inside" })).payload();
    plugin.settle();
    assert_eq!(plugin.retained(), 0);
}

#[test]
fn a_call_never_goes_beyond_the_grants() {
    let plugin = broker();
    let ask = |method: &str| plugin.call("broker.ask", json!({ "method": method, "own": true })).error().message;
    assert_eq!(ask("host.gateway.info"), "calling host.gateway.info is not allowed here");
    assert_eq!(ask("nobody.there"), "unknown method: nobody.there");
    let inside = plugin.call("vault.inside", json!({})).error();
    assert_eq!(inside.message, "unknown method: vault.inside", "no grant lets a connection in");
}

#[test]
fn a_retained_authority_outlives_the_call_but_not_revocation() {
    let plugin = broker();
    plugin.call_as(Who::operator(&["operator.read", "operator.write"]).conn(3), "broker.keep", json!({})).payload();
    plugin.close_connection(&sample::closed(&sample::opened(3)));
    assert_eq!(plugin.retained(), 1);
    let used = plugin.call_as(Who::node().with(|caller| caller.role = "operator".into()), "broker.use", json!({}));
    assert_eq!(used.payload()["scopes"], json!(["operator.read", "operator.write"]));
    assert_eq!(plugin.retained(), 0);
    plugin.call("broker.keep", json!({})).payload();
    plugin.revoke_authorities();
    let denied = plugin.call("broker.use", json!({})).error();
    assert_eq!(denied.message, "calling vault.read is not allowed here");
    plugin.call("broker.keep", json!({})).payload();
    plugin.call("broker.forget", json!({})).payload();
    assert_eq!(plugin.retained(), 0);
}

#[test]
fn a_cancelled_parent_cancels_its_child() {
    let plugin = broker();
    let parent = plugin.begin("broker.ask", json!({ "method": "vault.wait" }));
    plugin.settle();
    assert_eq!(plugin.asked()[0].depth, 1);
    parent.cancel(CancelReason::Asked);
    plugin.wait_event("vault.dropped");
    parent.wait().error();
    plugin.settle();
    assert_eq!(plugin.retained(), 0);
}

#[test]
fn calls_lead_to_calls_only_so_deep() {
    let plugin = broker();
    assert_eq!(plugin.call("broker.down", json!({})).payload(), 8);
}

/// Keeps what it hears of connections, in order, under a lock that it also holds while it calls the host.
struct Watcher {
    host: Host,
    heard: Mutex<Vec<String>>,
    subscription: Mutex<Option<Subscription>>,
}

static WATCHER: LazyLock<Methods<Watcher>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::operator("watcher.heard", &[]), Watcher::list)
        .add(Method::operator("watcher.denied", &[]), Watcher::denied)
});

impl Plugin for Watcher {
    fn manifest() -> Manifest {
        Manifest::new("watcher", "1.0.0")
            .methods(&WATCHER)
            .hears(&["host.connection.*"])
            .event(EventSpec::operator("watcher.moved", &[]))
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Watcher { host, heard: Mutex::default(), subscription: Mutex::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        // The listener holds the plugin, which holds the listener: the end of the instance has to part them.
        let this = self.clone();
        let subscription = self.host.subscribe("host.connection.*", move |event| this.hear(event))?;
        *self.subscription.lock().unwrap() = Some(subscription);
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        WATCHER.dispatch(self, call)
    }
}

impl Watcher {
    fn hear(&self, event: HeardEvent<'_>) {
        let mut heard = self.heard.lock().unwrap();
        let payload: Value = event.payload().unwrap();
        heard.push(format!("{} {}", event.event.rsplit('.').next().unwrap(), payload["conn"]));
        self.host.event("watcher.moved").send(&payload["conn"]).unwrap();
    }

    async fn list(self: Arc<Self>, _: Call, _: NoParams) -> Result<Vec<String>, MethodError> {
        Ok(self.heard.lock().unwrap().clone())
    }

    async fn denied(self: Arc<Self>, _: Call, _: NoParams) -> Result<bool, MethodError> {
        let ungranted = ["host.*", "host.pairing.requested", "*"];
        Ok(ungranted.iter().all(|pattern| self.host.subscribe(pattern, |_| ()).err() == Some(HostError::Denied)))
    }
}

#[test]
fn connection_events_come_in_order_one_at_a_time() {
    let plugin = Harness::new::<Watcher>().start();
    let mut expected = Vec::new();
    for conn in 10..40 {
        let opened = sample::opened(conn);
        plugin.open_connection(&opened);
        plugin.close_connection(&sample::closed(&opened));
        expected.extend([format!("opened {conn}"), format!("closed {conn}")]);
    }
    let heard: Vec<String> = plugin.call("watcher.heard", json!({})).parse();
    assert_eq!(heard, expected);
    assert_eq!(plugin.events().len(), expected.len());
}

#[test]
fn a_plugin_hears_no_more_than_it_is_granted() {
    let plugin = Harness::new::<Watcher>().start();
    assert_eq!(plugin.call("watcher.denied", json!({})).payload(), true);
    plugin.publish("host.registry.changed", json!({ "generation": 2 }));
    assert_eq!(plugin.call("watcher.heard", json!({})).payload(), json!([]));
}

#[test]
fn the_end_parts_a_plugin_from_a_listener_that_holds_it() {
    let plugin = Harness::new::<Watcher>().start();
    assert_eq!(plugin.subscriptions(), 1);
    plugin.stop();
    assert_eq!(plugin.subscriptions(), 0);
}
