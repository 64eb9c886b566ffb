//! The harness finds what a gateway would not stand, and says it by name.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use plugin_api::{
    AnyParams, Audience, Call, CreateError, EventSpec, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin,
    Principal, Reply, Setup, StartError, Subscription, schema_of,
};
use plugin_kit::{Harness, Running, StubCall, sample};
use serde_json::{Value, json};

/// Breaks one rule a method, or one at the time that its configuration names.
struct Rogue {
    host: Host,
    when: String,
    kept: Mutex<Vec<Principal>>,
}

static METHODS: LazyLock<Methods<Rogue>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::operator("emit", &[]), Rogue::emit)
        .add(Method::operator("interim", &[]), Rogue::interim)
        .add(Method::operator("result", &[]), Rogue::result)
        .add(Method::operator("keep", &[]), Rogue::keep)
        .add(Method::operator("hang", &[]), Rogue::hang)
        .add(Method::operator("spin", &[]), Rogue::spin)
});

impl Plugin for Rogue {
    fn manifest() -> Manifest {
        let mut manifest = Manifest::new("rogue", "1.0.0")
            .config::<std::collections::BTreeMap<String, String>>()
            .methods(&METHODS)
            .invokes(&["host.*"])
            .event(EventSpec::operator("number", &[]).payload::<u64>())
            .event(EventSpec::operator("whisper", &[]).targeted());
        let result = manifest.methods.iter_mut().find(|method| method.name == "result").unwrap();
        result.result =
            Some(json!({ "type": "object", "properties": { "deep": { "items": { "type": "string" } } } }).into());
        manifest
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let mut config: std::collections::BTreeMap<String, String> = setup.config()?;
        let when = config.remove("when").unwrap_or_default();
        if when == "create" {
            host.event("number").send(&1)?;
        }
        Ok(Rogue { host, when, kept: Mutex::default() })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn stop(&self) {
        if self.when == "stop" {
            std::future::pending().await
        }
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        if self.when == "drop" {
            self.host.info("last words");
        }
    }
}

type Answer<T = ()> = Result<T, MethodError>;

impl Rogue {
    async fn emit(self: Arc<Self>, call: Call, _: AnyParams) -> Answer {
        let params: Value = call.params()?;
        let name = params["name"].as_str().unwrap_or("").to_string();
        let _ = self.host.event(&name).send(&params["payload"]);
        Ok(())
    }

    async fn interim(self: Arc<Self>, call: Call, _: NoParams) -> Answer {
        let _ = call.interim(&1);
        Ok(())
    }

    async fn result(self: Arc<Self>, _: Call, _: NoParams) -> Answer<Value> {
        Ok(json!({ "deep": ["a", 2] }))
    }

    async fn keep(self: Arc<Self>, call: Call, _: NoParams) -> Answer {
        self.kept.lock().unwrap().push(call.retain()?);
        // An authority that is never given back, as a cycle would keep it.
        std::mem::forget(self.kept.lock().unwrap().pop());
        Ok(())
    }

    async fn hang(self: Arc<Self>, _: Call, _: NoParams) -> Answer<Value> {
        self.host.invoke("host.gateway.info", &json!({})).send().await
    }

    async fn spin(self: Arc<Self>, _: Call, _: NoParams) -> Answer {
        loop {
            self.host.sleep(Duration::ZERO).await;
        }
    }
}

/// What the harness says of a scenario.
fn complaint<T>(scenario: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(scenario)).err().expect("the harness finds nothing wrong");
    panic.downcast_ref::<String>().cloned().unwrap_or_else(|| panic.downcast_ref::<&str>().unwrap().to_string())
}

fn rogue(when: &str) -> Running {
    Harness::new::<Rogue>().config(json!({ "when": when })).start()
}

#[test]
fn events_have_to_be_declared_and_to_fit() {
    let emit =
        |name: &str, payload: Value| complaint(|| rogue("").call("emit", json!({ "name": name, "payload": payload })));
    assert!(emit("secret", json!(1)).contains("rogue: published secret, which its manifest does not declare"));
    assert!(emit("number", json!("one")).contains("published number against its declaration: at the root"));
    assert!(emit("whisper", json!(1)).contains("declared for chosen connections, and was broadcast"));
    assert!(rogue("").call("emit", json!({ "name": "number", "payload": 1 })).result.is_ok());
}

#[test]
fn answers_have_to_be_what_the_manifest_promises() {
    let interim = complaint(|| rogue("").call("interim", json!({})));
    assert!(interim.contains("interim sent an interim answer and declares none"), "{interim}");
    let result = complaint(|| rogue("").call("result", json!({})));
    assert!(result.contains("the result of result does not fit its schema: at /deep/1"), "{result}");
}

#[test]
fn each_stage_has_its_rules() {
    assert!(complaint(|| rogue("create")).contains("used emit before `start`: `create` has no outward effect"));
    assert!(complaint(|| rogue("drop").stop()).contains("rogue: used log after it was destroyed"));
    let kept = complaint(|| {
        let plugin = rogue("");
        plugin.call("keep", json!({})).payload();
        plugin.stop();
    });
    assert!(kept.contains("rogue: left 1 authorities behind when it was destroyed"), "{kept}");
}

#[test]
fn what_does_not_come_is_named() {
    let stuck = Harness::new::<Rogue>().config(json!({ "when": "stop" })).patience(Duration::from_millis(100));
    let late = complaint(|| stuck.start().stop());
    assert!(late.starts_with("the end of `stop` did not come within"), "{late}");
    let spin = complaint(|| {
        let plugin = rogue("");
        plugin.begin("spin", json!({}));
        plugin.advance(Duration::from_secs(1));
    });
    assert!(spin.contains("one sets itself again without waiting"), "{spin}");
}

#[test]
fn the_tests_own_answers_have_to_fit_the_catalogue() {
    let harness = || Harness::new::<Rogue>();
    let early = complaint(|| harness().answer("host.gateway.info", json!({ "version": 1 })));
    assert!(early.starts_with("the catalogue says otherwise of the answer of host.gateway.info: at "), "{early}");
    assert_eq!(complaint(|| harness().answer("host.weather", json!({}))), "the catalogue has no host.weather");
    let late = |answer: fn(StubCall)| {
        complaint(|| harness().answer_with("host.gateway.info", answer).start().call("hang", json!({})).result.is_ok())
    };
    assert!(late(|call| call.finish(Ok(json!(1)))).contains("the test's answer to host.gateway.info does not fit"));
    let panicked = complaint(|| {
        let plugin = harness().answer_with("host.gateway.info", |_| panic!("no answer")).start();
        plugin.begin("hang", json!({}));
        plugin.settle();
    });
    assert!(panicked.contains("the test's own answer to host.gateway.info panicked"), "{panicked}");
    assert!(
        complaint(|| rogue("").publish("host.registry.changed", json!({}))).contains("the catalogue says otherwise")
    );
    assert!(complaint(|| rogue("").publish("host.weather", json!({}))).contains("the catalogue has no such event"));
    rogue("").open_connection(&sample::opened(2));
}

/// Says something else each time.
struct Fickle;

static FICKLE: AtomicU64 = AtomicU64::new(0);

impl Plugin for Fickle {
    fn manifest() -> Manifest {
        Manifest::new("fickle", &FICKLE.fetch_add(1, Ordering::Relaxed).to_string())
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Fickle)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

/// Declares what the test writes into it.
struct Declared<const CASE: usize>;

impl<const CASE: usize> Plugin for Declared<CASE> {
    fn manifest() -> Manifest {
        let method = METHODS.specs().next().unwrap().clone();
        let named = |name: &str| plugin_api::MethodSpec { name: name.into(), ..method.clone() };
        match CASE {
            0 => Manifest::new("Upper", "1.0.0"),
            1 => Manifest::new("declared", "1.0.0").method(named("connect")),
            2 => Manifest::new("declared", "1.0.0").method(named("host.mine")),
            3 => Manifest::new("declared", "1.0.0").method(named("twice")).method(named("twice")),
            4 => Manifest::new("declared", "1.0.0")
                .method(plugin_api::MethodSpec { params: json!({ "type": "nothing" }).into(), ..named("schema") }),
            5 => Manifest::new("declared", "1.0.0").requires(&["gwp.telepathy/1"]),
            6 => Manifest::new("declared", "1.0.0").event(EventSpec::operator("tick", &[])),
            _ => Manifest::new("declared", "1.0.0").requires(&["gwp.kv/1"]).method(named("emit")),
        }
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Declared)
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        Ok(())
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

#[test]
fn a_manifest_that_a_gateway_would_refuse_is_refused() {
    assert!(complaint(Harness::new::<Fickle>).contains("does not give the same bytes every time"));
    assert!(complaint(Harness::new::<Declared<0>>).contains("id \"Upper\" must be up to 64 lower-case letters"));
    assert!(complaint(Harness::new::<Declared<1>>).contains("\"connect\" is reserved for the host"));
    assert!(complaint(Harness::new::<Declared<2>>).contains("\"host.mine\" is reserved for the host"));
    assert!(complaint(Harness::new::<Declared<3>>).contains("\"twice\" is declared twice"));
    assert!(complaint(Harness::new::<Declared<4>>).contains("params of schema: the schema does not compile"));
    assert!(complaint(Harness::new::<Declared<5>>).contains("requires gwp.telepathy/1"));
    assert!(complaint(Harness::new::<Declared<6>>).contains("\"tick\" is reserved for the host"));
    let without = Harness::new::<Declared<7>>().without("gwp.kv/1").create_error();
    assert_eq!(without, "this host has no gwp.kv/1, which declared requires");
    let clash = complaint(|| Harness::new::<Declared<7>>().beside::<Rogue>(json!({})).start());
    assert_eq!(clash, "declared and rogue both have emit");
    assert!(
        complaint(|| Harness::new::<Declared<7>>().config(json!({ "a": 1 })).start())
            .contains("[plugins.declared.config]")
    );
}

/// Hears one event, and ends its subscription from within.
struct OnceHeard {
    host: Host,
    hearing: Arc<Mutex<Option<Subscription>>>,
}

impl Plugin for OnceHeard {
    fn manifest() -> Manifest {
        Manifest::new("once-heard", "1.0.0").hears(&["news"])
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(OnceHeard { host, hearing: Arc::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let (host, own) = (self.host.clone(), self.hearing.clone());
        let hearing = self.host.subscribe("news", move |_| {
            host.info("heard");
            let hearing = own.lock().unwrap().take();
            drop(hearing);
        })?;
        *self.hearing.lock().unwrap() = Some(hearing);
        Ok(())
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

#[test]
fn a_subscription_that_ends_while_it_is_told_something_is_not_left_behind() {
    let plugin = Harness::new::<OnceHeard>().start();
    assert_eq!(plugin.subscriptions(), 1);
    plugin.publish("news", 1);
    plugin.publish("news", 2);
    assert_eq!((plugin.logs().len(), plugin.subscriptions()), (1, 0));
    plugin.stop();
}

#[test]
fn what_a_test_may_ask_of_a_started_plugin() {
    fn shared<T: Send + Sync>(_: &T) {}
    let plugin = rogue("");
    shared(&plugin);
    assert_eq!(plugin.manifest().id, "rogue");
    assert_eq!(plugin.manifest().events[1].to, Audience::Targeted);
    assert_eq!(plugin.manifest().events[0].payload, Some(schema_of::<u64>().into()));
    assert_eq!((plugin.timers(), plugin.subscriptions(), plugin.retained()), (0, 0, 0));
    plugin.call("emit", json!({ "name": "number", "payload": 1 })).payload();
    plugin.call("emit", json!({ "name": "number", "payload": 2 })).payload();
    assert_eq!(plugin.wait_event("number").payload, 1);
    assert_eq!(plugin.wait_event("number").payload, 2);
    plugin.wait_until("two events", |plugin| plugin.events().len() == 2);
    plugin.stop();
    plugin.stop();
}
