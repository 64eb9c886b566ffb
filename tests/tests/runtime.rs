//! `runtime = tokio`: timers and sockets work for a plugin that declared it, linked in and in a library, and nothing
//! changes for one that did not.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use clawhost_tests::support::{Gateway, example_library};
use plugin_api::{
    Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup, StartError,
    Subscription, hosting,
};
use plugin_kit::Harness;
use serde_json::json;
use tokio::runtime::Handle;

#[allow(dead_code)]
#[path = "../../plugin-api/examples/network.rs"]
mod network;

/// Looks for tokio wherever code of a plugin runs.
struct Everywhere {
    host: Host,
    hearing: Mutex<Option<Subscription>>,
    /// Found in `create`.
    created: bool,
}

static METHODS: LazyLock<Methods<Everywhere>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::operator("everywhere.sleep", &[]), Everywhere::sleep)
        .add(Method::operator("everywhere.found", &[]), Everywhere::found)
});

impl Plugin for Everywhere {
    fn manifest() -> Manifest {
        let heard = plugin_api::EventSpec::everyone("everywhere.heard");
        let begun = plugin_api::EventSpec::everyone("everywhere.begun");
        let manifest = Manifest::new("everywhere", "1.0.0").hears(&["elsewhere"]);
        manifest.methods(&METHODS).event(heard).event(begun)
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Everywhere { host, hearing: Mutex::default(), created: Handle::try_current().is_ok() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let host = self.host.clone();
        let listener = self.host.subscribe("elsewhere", move |_| {
            let _ = host.event("everywhere.heard").send(&json!({ "found": Handle::try_current().is_ok() }));
        });
        *self.hearing.lock().expect("nobody panics with it") = listener.ok();
        let host = self.host.clone();
        self.host.spawn(async move {
            let started = Handle::try_current().is_ok();
            let _ = host.event("everywhere.begun").send(&json!({ "found": started }));
        });
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Everywhere, runtime = tokio);

impl Everywhere {
    async fn sleep(self: Arc<Self>, _: Call, _: NoParams) -> Result<bool, MethodError> {
        let spawned = tokio::spawn(async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            true
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        spawned.await.map_err(|error| MethodError::unavailable(error.to_string()))
    }

    async fn found(self: Arc<Self>, _: Call, _: NoParams) -> Result<serde_json::Value, MethodError> {
        let before = Handle::try_current().is_ok();
        let blocking = self.host.blocking(|| Handle::try_current().is_ok()).await?;
        Ok(json!({ "create": self.created, "call": before, "blocking": blocking,
                   "after": Handle::try_current().is_ok() }))
    }
}

#[test]
fn tokio_is_wherever_the_plugins_code_runs() {
    for (harness, there) in [(Harness::registered("everywhere"), true), (Harness::new::<Everywhere>(), false)] {
        let plugin = harness.start();
        let found = plugin.call("everywhere.found", json!({})).payload();
        assert_eq!(found, json!({ "create": there, "call": there, "blocking": there, "after": there }));
        assert_eq!(plugin.wait_event("everywhere.begun").payload, json!({ "found": there }));
        plugin.publish("elsewhere", json!({}));
        assert_eq!(plugin.wait_event("everywhere.heard").payload, json!({ "found": there }));
        plugin.stop();
    }
}

#[test]
fn timers_and_tasks_work_where_they_are_declared() {
    let plugin = Harness::registered("everywhere").start();
    assert_eq!(plugin.call("everywhere.sleep", json!({})).payload(), true);
}

#[test]
fn a_forgotten_declaration_costs_the_call_and_says_why() {
    let plugin = Harness::new::<Everywhere>().start();
    let error = plugin.call("everywhere.sleep", json!({})).error();
    assert_eq!(error.code, "UNAVAILABLE");
    // The answer goes out while the panic unwinds, the line after it.
    plugin.settle();
    let logs = plugin.logs();
    assert!(logs.iter().any(|line| line.message.contains("there is no reactor running")), "{logs:?}");
    assert_eq!(plugin.call("everywhere.found", json!({})).payload()["call"], false, "it goes on serving");
}

#[test]
fn a_library_has_a_runtime_of_its_own() {
    let library = example_library("as_library");
    let loaded = hosting::open(&library).expect("it is a plugin");
    for harness in [Harness::registered("dictionary"), Harness::of_entry(loaded)] {
        let plugin = harness.config(json!({ "server": network::server(), "timeout_ms": 300 })).start();
        let asked: Vec<_> = (0..20).map(|_| plugin.begin("define", json!({ "word": "gate" }))).collect();
        for call in asked {
            assert_eq!(call.wait().payload(), json!({ "meaning": "a door in a wall" }));
        }
        let error = plugin.call("define", json!({ "word": "wall" })).error();
        assert_eq!(error.message, "the server of words is slow", "tokio's timer fires");
        // A call that waits on a socket of the runtime's is dropped on the host's threads.
        let waiting = plugin.begin("define", json!({ "word": "wall" }));
        plugin.settle();
        plugin.stop();
        assert!(waiting.is_done());
    }
    let bare = Harness::new::<network::Dictionary>().config(json!({ "server": network::server() })).start();
    assert_eq!(bare.call("define", json!({ "word": "gate" })).error().code, "UNAVAILABLE");
}

#[tokio::test]
async fn a_gateway_polls_it_beside_plugins_without_a_runtime() {
    for config in ["", "[plugins.tides]\nisolation = \"pool\""] {
        let gateway = Gateway::builder().program(env!("CARGO_BIN_EXE_test_gateway")).config(config).start().await;
        let mut client = gateway.admin().await;
        let asked: Vec<String> = {
            let mut ids = Vec::new();
            for _ in 0..20 {
                ids.push(client.request("tides.round", json!({})).await);
            }
            ids
        };
        for id in asked {
            let expected = json!({ "ebb": "moon", "flood": "moon", "role": "operator", "blocking": 7, "kept": "moon" });
            assert_eq!(client.answer(&id).await.expect("an answer"), expected, "{config}");
        }
        let waiting = client.request("tides.wait", json!({})).await;
        client.reply(&waiting).await;
        drop(client);
        gateway.metric_becomes("clawhost_calls_in_flight", 0.0).await;
        let mut other = gateway.admin().await;
        other.ok("vault.read", json!({})).await;
        other.close().await;
    }
}
