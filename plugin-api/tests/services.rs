//! What a plugin asks of its host: key-value state, the snapshot, events, blocking work, the log; and a host that has
//! none of it, or no time.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use plugin_api::abi::{GWP_BUSY, GWP_GONE, GWP_TOO_LARGE, extension};
use plugin_api::{
    AnyParams, Call, CreateError, EventSpec, Host, HostError, InvokeReply, Manifest, Method, MethodError, Methods,
    NoParams, Plugin, Reply, Setup,
};
use plugin_kit::{Harness, StubCall, sample};
use schemas::ErrorShape;
use serde_json::{Value, json};

struct Tenant {
    host: Host,
}

static METHODS: LazyLock<Methods<Tenant>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::operator("kv.claim", &[]), Tenant::claim)
        .add(Method::operator("kv.move", &[]), Tenant::move_on)
        .add(Method::operator("kv.scan", &[]), Tenant::scan)
        .add(Method::operator("kv.fill", &[]), Tenant::fill)
        .add(Method::operator("snapshot", &[]), Tenant::snapshot)
        .add(Method::operator("tell", &[]), Tenant::tell)
        .add(Method::operator("compute", &[]), Tenant::compute)
        .add(Method::operator("compute.panic", &[]), Tenant::compute_panic)
        .add(Method::operator("ask", &[]), Tenant::ask)
        .add(Method::operator("ask.twice", &[]), Tenant::ask_twice)
        .add(Method::operator("everything", &[]), Tenant::everything)
        .add(Method::operator("nap", &[]), Tenant::nap)
        .add(Method::operator("blink", &[]), Tenant::blink)
        .add(Method::operator("folder", &[]), Tenant::folder)
});

impl Plugin for Tenant {
    fn manifest() -> Manifest {
        Manifest::new("tenant", "1.0.0")
            .methods(&METHODS)
            .invokes(&["host.*", "slow"])
            .hears(&["news"])
            .event(EventSpec::operator("told", &[]))
            .event(EventSpec::operator("whispered", &[]).targeted())
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        std::fs::write(setup.data_dir()?.join("made"), "here")?;
        Ok(Tenant { host })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

type Answer<T = Value> = Result<T, MethodError>;

impl Tenant {
    async fn claim(self: Arc<Self>, _: Call, _: NoParams) -> Answer {
        let kv = self.host.kv();
        let write = kv.batch().set("also", "x").set_if_absent("owner", "me").write();
        let seen = kv.text("owner")?;
        let written = write.await.map_err(|error| format!("{error:?}"));
        Ok(json!({ "seen": seen, "written": written }))
    }

    async fn move_on(self: Arc<Self>, _: Call, _: NoParams) -> Answer {
        let kv = self.host.kv();
        kv.batch().set_if_equal("owner", "me", "you").delete("also").write().await?;
        kv.set_json("count", &7).await?;
        let wrong: Result<Option<bool>, HostError> = kv.json("count");
        Ok(json!([kv.text("owner")?, kv.json::<u64>("count")?, wrong.is_err(), kv.text("also")?]))
    }

    async fn scan(self: Arc<Self>, _: Call, _: NoParams) -> Answer {
        Ok(json!(self.host.kv().scan("a/")?))
    }

    async fn fill(self: Arc<Self>, _: Call, _: NoParams) -> Answer<()> {
        self.host.kv().batch().set("big", "x".repeat(100)).write().await?;
        Ok(())
    }

    async fn snapshot(self: Arc<Self>, _: Call, _: NoParams) -> Answer<bool> {
        self.host.publish_snapshot("presence", &json!([1]))?;
        self.host.publish_snapshot("presence", &json!([1, 2]))?;
        Ok(self.host.publish_snapshot("weather", &json!({})).is_err())
    }

    async fn tell(self: Arc<Self>, _: Call, _: NoParams) -> Answer<bool> {
        self.host.event("told").droppable().stamped().send(&json!("all"))?;
        self.host.event("whispered").send_to(&[1, 99], &json!("one"))?;
        Ok(self.host.event("whispered").send_to(&[99], &json!("none")) == Err(HostError::Gone))
    }

    async fn compute(self: Arc<Self>, _: Call, _: NoParams) -> Answer<bool> {
        let here = std::thread::current().id();
        Ok(self.host.blocking(move || std::thread::current().id() != here).await?)
    }

    async fn compute_panic(self: Arc<Self>, _: Call, _: NoParams) -> Answer<()> {
        Ok(self.host.blocking(|| panic!("the abacus broke")).await?)
    }

    async fn ask(self: Arc<Self>, call: Call, _: AnyParams) -> Answer {
        let params: Value = call.params()?;
        let invoke = self.host.invoke(params["method"].as_str().unwrap_or(""), &json!({}));
        invoke.timeout(Duration::from_millis(params["ms"].as_u64().unwrap_or(3000))).send().await
    }

    /// Hears interim answers one by one, and leaves after the first when told so.
    async fn ask_twice(self: Arc<Self>, call: Call, _: AnyParams) -> Answer {
        let params: Value = call.params()?;
        let mut replies = self.host.invoke("slow", &json!({})).replies();
        let mut heard = Vec::new();
        loop {
            match replies.next().await {
                InvokeReply::Interim(_) if params["leave"] == true => return Ok(json!("left")),
                InvokeReply::Interim(payload) => heard.push(serde_json::from_str::<Value>(payload.get())?),
                InvokeReply::Final(payload) => {
                    heard.push(serde_json::from_str(payload?.get())?);
                    return Ok(json!(heard));
                }
            }
        }
    }

    async fn everything(self: Arc<Self>, call: Call, _: NoParams) -> Answer {
        let host = &self.host;
        let text = |outcome: Result<(), String>| outcome.err().unwrap_or_else(|| "done".into());
        Ok(json!({
            "kv": text(host.kv().text("k").map(drop).map_err(|error| error.to_string())),
            "write": text(host.kv().set_json("k", &1).await.map_err(|error| error.to_string())),
            "subscribe": text(host.subscribe("news", |_| ()).map(drop).map_err(|error| error.to_string())),
            "caller": text(call.caller().map(drop).map_err(|error| error.to_string())),
            "retain": text(call.retain().map(drop).map_err(|error| error.to_string())),
            "snapshot": text(host.publish_snapshot("health", &1).map_err(|error| error.to_string())),
            "blocking": text(host.blocking(|| ()).await.map_err(|error| error.to_string())),
            "emit": text(host.event("told").send(&1).map_err(|error| error.to_string())),
            "invoke": text(host.invoke("slow", &json!({})).raw().await.map(drop).map_err(|error| error.to_string())),
        }))
    }

    async fn nap(self: Arc<Self>, _: Call, _: NoParams) -> Answer<()> {
        self.host.sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    async fn blink(self: Arc<Self>, _: Call, _: NoParams) -> Answer<()> {
        self.host.sleep(Duration::from_millis(1)).await;
        Ok(())
    }

    async fn folder(self: Arc<Self>, _: Call, _: NoParams) -> Answer<String> {
        Ok(self.host.plugin_id().to_string())
    }
}

#[test]
fn a_write_happens_wholly_or_not_at_all() {
    let plugin = Harness::new::<Tenant>().start();
    let claim = || plugin.call("kv.claim", json!({})).payload();
    assert_eq!(claim(), json!({ "seen": "me", "written": { "Ok": null } }));
    assert_eq!(plugin.kv_entries(), [("also".into(), "x".into()), ("owner".into(), "me".into())]);
    assert_eq!(plugin.call("kv.move", json!({})).payload(), json!(["you", 7, true, null]));
    assert_eq!(claim(), json!({ "seen": "you", "written": { "Err": "Conflict(\"you\")" } }));
    assert_eq!(plugin.kv("also"), None, "no part of the batch was written");
    assert!(plugin.call("kv.move", json!({})).error().message.starts_with("the method failed"));
}

#[test]
fn what_is_kept_can_be_scanned_and_has_a_bound() {
    let harness = Harness::new::<Tenant>().kv("a/2", "two").kv("a/1", "one").kv("b", "x").kv_cap(100);
    let plugin = harness.start();
    assert_eq!(plugin.call("kv.scan", json!({})).payload(), json!([["a/1", "one"], ["a/2", "two"]]));
    plugin.call("kv.fill", json!({})).error();
    assert_eq!(plugin.logs().pop().unwrap().message, "over a size limit");
    plugin.fail_writes("disk full");
    let claimed = plugin.call("kv.claim", json!({})).payload();
    assert_eq!(claimed["written"], json!({ "Err": "Failed(\"disk full\")" }));
}

#[test]
fn the_snapshot_holds_the_latest_and_counts() {
    let plugin = Harness::new::<Tenant>().start();
    assert_eq!(plugin.snapshot("presence"), None);
    assert_eq!(plugin.call("snapshot", json!({})).payload(), true);
    assert_eq!((plugin.snapshot("presence"), plugin.snapshot_version("presence")), (Some(json!([1, 2])), 2));
}

#[test]
fn events_go_to_all_or_to_some() {
    let plugin = Harness::new::<Tenant>().start();
    assert_eq!(plugin.call("tell", json!({})).payload(), true);
    let told = plugin.wait_event("told");
    assert_eq!((told.conns, told.droppable, told.stamped), (None, true, true));
    assert_eq!(plugin.wait_event("whispered").conns, Some(vec![1, 99]));
    assert_eq!(plugin.events().len(), 2);
}

#[test]
fn blocking_work_runs_elsewhere_and_may_panic() {
    let plugin = Harness::new::<Tenant>().start();
    assert_eq!(plugin.call("compute", json!({})).payload(), true);
    assert_eq!(plugin.call("compute.panic", json!({})).error().code, "UNAVAILABLE");
    plugin.settle();
    assert!(plugin.logs().iter().any(|line| line.message == "the abacus broke"));
}

#[test]
fn a_folder_is_made_where_the_host_says() {
    let plugin = Harness::new::<Tenant>().start();
    assert_eq!(std::fs::read_to_string(plugin.data_dir().join("made")).unwrap(), "here");
    assert_eq!(plugin.call("folder", json!({})).payload(), "tenant");
}

#[test]
fn another_method_answers_fails_or_takes_too_long() {
    let plugin = Harness::new::<Tenant>()
        .answer("host.gateway.info", sample::gateway_info())
        .answer_error("host.connections.list", ErrorShape::unavailable("not now").retryable())
        .answer_with("slow", |_| ())
        .start();
    let ask = |method: &str| plugin.begin("ask", json!({ "method": method }));
    assert_eq!(ask("host.gateway.info").wait().payload()["host"], "testhost");
    assert_eq!(ask("host.connections.list").wait().error(), ErrorShape::unavailable("not now").retryable());
    assert_eq!(ask("host.connections.get").wait().error().message, "unknown method: host.connections.get");
    let slow = ask("slow");
    plugin.advance(Duration::from_secs(3));
    assert_eq!(slow.wait().error().details.unwrap()["reason"], 2);
    let hasty = plugin.begin("ask", json!({ "method": "slow", "ms": 0 }));
    plugin.advance(Duration::from_millis(1));
    assert_eq!(hasty.wait().error().details.unwrap()["reason"], 2, "no time is not all the time there is");
    assert_eq!(plugin.asked().last().unwrap().caller.plugin.as_deref(), Some("tenant"));
}

#[test]
fn interim_answers_come_in_order_and_nobody_has_to_stay() {
    let (tell, calls) = std::sync::mpsc::channel::<StubCall>();
    let tell = std::sync::Mutex::new(tell);
    let answer = move |call: StubCall| {
        (1..=3).for_each(|step| call.interim(json!(step)));
        tell.lock().unwrap().send(call).unwrap();
    };
    let plugin = Harness::new::<Tenant>().answer_with("slow", answer).start();
    let next = || calls.recv_timeout(Duration::from_secs(10)).unwrap();
    let stayed = plugin.begin("ask.twice", json!({}));
    next().finish(Ok(json!("end")));
    assert_eq!(stayed.wait().payload(), json!([1, 2, 3, "end"]));
    assert_eq!(plugin.call("ask.twice", json!({ "leave": true })).payload(), "left");
    let left = next();
    left.wait_ended();
    left.finish(Ok(json!("too late")));
    plugin.settle();
}

#[test]
fn a_plugin_is_told_what_its_host_does_not_offer() {
    let all = || Harness::new::<Tenant>().answer("slow", json!(1));
    let everything = |harness: Harness| harness.start().call("everything", json!({})).payload();
    let refused = |answers: &Value| -> Vec<String> {
        let answers = answers.as_object().unwrap().iter();
        answers.filter(|(_, text)| *text != "done").map(|(key, _)| key.clone()).collect()
    };
    assert!(refused(&everything(all())).is_empty());
    for (extension, gone) in [
        (extension::KV, &["kv", "write"][..]),
        (extension::EVENTS, &["subscribe"]),
        (extension::CALLER, &["caller", "retain"]),
        (extension::SNAPSHOT, &["snapshot"]),
        (extension::INVOKE, &["invoke"]),
    ] {
        let answers = everything(all().without(extension));
        assert_eq!(refused(&answers), gone, "{extension}");
        assert!(answers[gone[0]].as_str().unwrap().contains("does not offer this") || gone[0] == "invoke");
    }
    // Without an executor nothing that waits can go on; what needs no waiting is still answered.
    let plugin = all().without(extension::EXEC).start();
    assert_eq!(plugin.call("snapshot", json!({})).payload(), true);
    assert_eq!(plugin.call("compute", json!({})).error().code, "UNAVAILABLE");
}

#[test]
fn a_busy_host_costs_an_answer_and_no_more() {
    let plugin = Harness::new::<Tenant>().answer("slow", json!(1)).start();
    // `get` of a caller that answers GONE says that the call is over, so that one stays as it is.
    let extensions = [extension::KV, extension::EVENTS, extension::SNAPSHOT, extension::INVOKE, "emit"];
    for (code, told) in [(GWP_BUSY, "the host is busy"), (GWP_GONE, "it is no more")] {
        extensions.iter().for_each(|name| plugin.refuse(name, code));
        let answers = plugin.call("everything", json!({})).payload();
        for key in ["kv", "write", "subscribe", "snapshot", "emit"] {
            assert_eq!(answers[key], told, "{key}");
        }
        assert_eq!((&answers["caller"], &answers["blocking"]), (&json!("done"), &json!("done")));
        assert_ne!(answers["invoke"], "done");
        extensions.iter().for_each(|name| plugin.serve_again(name));
    }
    plugin.refuse(extension::EXEC, GWP_BUSY);
    assert_eq!(plugin.call("compute", json!({})).error().code, "UNAVAILABLE");
    assert_eq!(plugin.logs().pop().unwrap().message, "the host is busy");
    plugin.serve_again(extension::EXEC);
    assert_eq!(plugin.call("compute", json!({})).payload(), true);
}

#[test]
fn whoever_waits_is_not_forgotten_by_a_busy_host() {
    let plugin = Harness::new::<Tenant>().start();
    let naps: Vec<_> = (0..10).map(|_| plugin.begin("nap", json!({}))).collect();
    plugin.settle();
    plugin.refuse(extension::EXEC, GWP_BUSY);
    // Their timers are due, and no wake is taken; nor is the timer of one that comes now.
    plugin.advance(Duration::from_secs(1));
    naps.into_iter().for_each(|nap| assert_eq!(nap.wait().payload(), Value::Null));
    assert_eq!(plugin.call("blink", json!({})).payload(), Value::Null);
    plugin.serve_again(extension::EXEC);
    assert_eq!(plugin.call("compute", json!({})).payload(), true);
}

#[test]
fn what_waits_is_dropped_when_the_host_is_no_more() {
    let plugin = Harness::new::<Tenant>().start();
    let nap = plugin.begin("nap", json!({}));
    plugin.settle();
    plugin.refuse(extension::EXEC, GWP_GONE);
    plugin.advance(Duration::from_secs(1));
    assert_eq!(nap.wait().error().details.unwrap()["code"], "METHOD_STOPPED");
    plugin.serve_again(extension::EXEC);
    assert_eq!(plugin.call("compute", json!({})).payload(), true);
}

#[test]
fn an_answer_that_the_host_does_not_take_becomes_an_error() {
    let plugin = Harness::new::<Tenant>().start();
    plugin.refuse("reply", GWP_TOO_LARGE);
    let error = plugin.call("folder", json!({})).error();
    assert_eq!(error.code, "UNAVAILABLE");
    assert!(plugin.logs().pop().unwrap().message.contains("over a size limit"));
}
