//! Plugins that were built once, against the header of their time, do everything they can with today's host: the libraries
//! under `tests/abi` are loaded as they are, and those in C are compiled again, by their header and by today's.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clawhost_tests::abi_set::{self, AbiSet, CAN_LOAD, DRAFT, REMAKE};
use clawhost_tests::compiler::{self, Compiler, Language};
use plugin_api::abi::gwp_entry;
use plugin_api::hosting;
use plugin_api::http::Message;
use plugin_kit::http::Ask;
use plugin_kit::{CancelReason, Harness, Running, Who};
use schemas::ErrorShape;
use serde_json::{Value, json};

/// Each frozen set and the checksum of its `SHA256SUMS`. One that is made anew has another one, however well its own files fit
/// together; a set is added here when it is frozen, and its line stays.
const FROZEN: [(&str, &str); 1] = [("1.0", "721e09ba61d238e6a298dc07b1b1e3d2d051282030c0fb3308ec1b1a17beb164")];

#[test]
fn every_set_is_as_it_was_made() {
    let sets = AbiSet::all();
    assert!(sets.iter().any(|set| set.name == DRAFT), "there is no draft");
    for set in sets {
        let faults: Vec<String> = set.faults().into_iter().chain(faults_of_libraries(&set)).collect();
        let remedy = if set.name == DRAFT { format!("; if it is meant so, `{REMAKE}`") } else { String::new() };
        assert!(faults.is_empty(), "{}{remedy}", faults.join("; "));
    }
}

#[test]
fn every_frozen_set_is_the_one_that_was_frozen() {
    let sets = AbiSet::all();
    let frozen = sets.iter().filter(|set| set.name != DRAFT);
    let found: BTreeMap<&str, String> = frozen.map(|set| (set.name.as_str(), set.sum())).collect();
    let pinned: BTreeMap<&str, String> = FROZEN.map(|(name, sum)| (name, sum.to_string())).into();
    assert_eq!(found, pinned, "a frozen set is another one, is missing, or has no line here");
}

fn faults_of_libraries(set: &AbiSet) -> Vec<String> {
    set.libraries().iter().filter_map(|library| abi_set::library_fault(library)).collect()
}

#[test]
fn a_frozen_set_is_not_made_anew() {
    assert!(abi_set::remake("1.0").is_err_and(|why| why.contains("frozen")));
    assert!(abi_set::freeze(DRAFT).is_err_and(|why| why.contains("frozen already")));
}

#[test]
fn what_was_built_once_still_works() {
    if !CAN_LOAD {
        return compiler::skip("CLAWHOST_REQUIRE_ABI", "the libraries of tests/abi are for x86-64 Linux with glibc");
    }
    for set in AbiSet::all() {
        assert!(set.faults().is_empty(), "nothing is loaded that is not what it was");
        for library in set.libraries() {
            tell(&format!("{} of {}", library.file_name().unwrap_or_default().to_string_lossy(), set.name));
            drive(load(&library));
        }
    }
}

#[test]
fn plugins_in_c_compile_by_their_header_and_by_todays() {
    let Some(compiler) = Compiler::find(Language::C) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for set in AbiSet::all() {
        for (which, include) in [("its own", set.include()), ("today's", &compiler::include())] {
            let library = folder.path().join(format!("{}-{}.so", set.name, which.trim_end_matches("'s")));
            let built = compiler.library(include, &set.c_source(), &[], &library);
            built.unwrap_or_else(|why| panic!("{} with {which} header: {why}", set.name));
            tell(&format!("the plugin in C of {} with {which} header", set.name));
            drive(load(&library));
        }
    }
}

/// What follows is about this; shown when a test fails.
fn tell(what: &str) {
    println!("{what}");
}

fn load(library: &Path) -> &'static gwp_entry {
    hosting::open(library).unwrap_or_else(|why| panic!("{}: {why}", library.display()))
}

/// A life from end to end, twice: whatever the plugins of a set can do.
fn drive(entry: &'static gwp_entry) {
    let refused = Harness::of_entry(entry).config(json!({ "refuse": "yes" })).create_error();
    assert_eq!(refused, "refuse: as configured");
    for _ in 0..2 {
        let plugin = Harness::of_entry(entry).answer("elsewhere", json!({ "far": true })).start();
        assert!(plugin.logs().iter().any(|line| line.message == "it is live"));
        answers(&plugin);
        keeps(&plugin);
        waits(&plugin);
        publishes(&plugin);
        if plugin.manifest().http.is_empty() {
            tell("it serves no HTTP");
        } else {
            serves(&plugin);
        }
        ends(&plugin);
    }
    let denied = ErrorShape::invalid_request("not today");
    let plugin = Harness::of_entry(entry).answer_error("elsewhere", denied).start();
    assert_eq!(plugin.call("abi.ask", json!({})).error().message, "not today");
}

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn answers(plugin: &Running) {
    let any = json!({ "text": "héllo \u{1f980}", "deep": [1, { "two": null }] });
    assert_eq!(plugin.call("abi.echo", any.clone()).payload(), any);
    let steps = plugin.call("abi.steps", json!({}));
    assert_eq!(steps.interims, [json!({ "step": 1 }), json!({ "step": 2 })]);
    assert_eq!(steps.payload(), json!({ "step": 3 }));
    let refused = plugin.call("abi.refuse", json!({})).error();
    assert_eq!((refused.code.as_str(), refused.message.as_str()), ("UNAVAILABLE", "as asked"));
    let both = plugin.call("abi.both", json!({}));
    assert_eq!(both.error_payload, Some(json!({ "kept": true })));
    assert_eq!(both.error().message, "as asked");
    assert_eq!(plugin.call("abi.who", json!({})).payload()["role"], "operator");

    let reader = Who::operator(&["operator.read"]);
    assert_eq!(plugin.call_as(reader, "abi.ask", json!({ "n": 1 })).payload(), json!({ "far": true }));
    let asked = plugin.asked().pop().expect("it asked");
    assert_eq!((asked.method.as_str(), asked.params), ("elsewhere", json!({ "n": 1 })));
    assert_eq!(asked.caller.scopes, ["operator.read"], "with its caller's rights");
    assert_eq!(plugin.retained(), 0);
    let traced = Who::admin().traced(TRACE);
    plugin.call_as(traced.clone(), "abi.ask", json!({})).payload();
    let asked = plugin.asked().pop().expect("it asked");
    assert_eq!(asked.traceparent.as_deref(), Some(TRACE), "what it asks belongs to the same trace");
    if plugin.manifest().methods.iter().any(|method| method.name == "abi.trace") {
        assert_eq!(plugin.call_as(traced, "abi.trace", json!({})).payload(), json!({ "trace": TRACE }));
        assert_eq!(plugin.call("abi.trace", json!({})).payload(), json!({ "trace": "" }));
    }
    if plugin.manifest().methods.iter().any(|method| method.name == "abi.panic") {
        assert_eq!(plugin.call("abi.panic", json!({})).error().code, "UNAVAILABLE");
    }
}

/// Over HTTP: a page, a body as it comes, and a WebSocket.
fn serves(plugin: &Running) {
    let page = plugin.http(Ask::get("/abi/page")).wait();
    assert_eq!((page.status, page.text().as_str(), page.whole), (200, "/abi/page", true));
    let body = "bytes ".repeat(1000);
    assert_eq!(plugin.http(Ask::post("/abi", body.clone())).wait().text(), body);
    let talk = plugin.http(Ask::upgrade("/abi/ws"));
    talk.upgraded();
    assert_eq!(talk.message(), Message::Text("hello".to_string()));
    talk.say("who is there?");
    assert_eq!(talk.message(), Message::Text("who is there?".to_string()));
    talk.hang_up();
}

fn keeps(plugin: &Running) {
    let value = json!({ "a": [1, 2, 3] });
    let kept = |plugin: &Running| plugin.call("abi.kept", json!({})).payload();
    assert_eq!(kept(plugin), Value::Null);
    assert_eq!(plugin.call("abi.keep_new", value.clone()).payload(), json!({ "durable": true }));
    assert_eq!(kept(plugin), value);
    assert_eq!(plugin.call("abi.keep_new", json!({})).error().message, "another value is there");
    assert_eq!(plugin.call("abi.keep", json!({ "b": 2 })).payload(), json!({ "durable": true }));
    assert_eq!(kept(plugin), json!({ "b": 2 }));
    assert_eq!(plugin.call("abi.entries", json!({})).payload(), json!({ "entries": 2 }));
    assert_eq!(plugin.call("abi.forget", json!({})).payload(), json!({ "durable": true }));
    assert_eq!(plugin.kv_entries(), []);
}

fn waits(plugin: &Running) {
    for method in ["abi.soon", "abi.blocking"] {
        assert_eq!(plugin.call(method, json!({ "m": method })).payload(), json!({ "m": method }));
    }
    let later = plugin.begin("abi.later", json!({ "n": 7 }));
    plugin.advance(Duration::from_secs(59));
    assert!(!later.is_done());
    plugin.advance(Duration::from_secs(1));
    assert_eq!(later.wait().payload(), json!({ "n": 7 }));

    let waiting: Vec<_> = (0..3).map(|_| plugin.begin("abi.wait", json!({}))).collect();
    plugin.settle();
    for (call, reason) in waiting.iter().zip([CancelReason::Asked, CancelReason::Timeout, CancelReason::Disconnect]) {
        call.cancel(reason);
    }
    plugin.settle();
    assert_eq!(plugin.call("abi.cancelled", json!({})).payload(), json!({ "cancelled": 3 }));
}

fn publishes(plugin: &Running) {
    plugin.call("abi.tell", json!({ "n": 1 })).payload();
    plugin.call("abi.tell_me", json!({ "n": 2 })).payload();
    let (all, me) = (plugin.wait_event("abi.told"), plugin.wait_event("abi.told"));
    assert_eq!((all.payload, all.conns), (json!({ "n": 1 }), None));
    assert_eq!((me.payload, me.conns), (json!({ "n": 2 }), Some(vec![1])));
    plugin.publish("outside", json!({ "wind": "west" }));
    let heard = plugin.wait_event("abi.heard");
    assert_eq!((&heard.payload["event"], &heard.payload["payload"]), (&json!("outside"), &json!({ "wind": "west" })));
    assert!(heard.droppable);
    plugin.call("abi.publish", json!({ "ok": true })).payload();
    assert_eq!(plugin.snapshot("health"), Some(json!({ "ok": true })));
}

fn ends(plugin: &Running) {
    let waiting = plugin.begin("abi.wait", json!({}));
    plugin.quiesce();
    assert_eq!(plugin.subscriptions(), 0);
    assert_eq!(plugin.call("abi.echo", json!({})).payload(), json!({}), "calls are still answered");
    plugin.stop();
    assert_eq!(waiting.wait().error().message, "the call ended before its answer: Stop");
}
