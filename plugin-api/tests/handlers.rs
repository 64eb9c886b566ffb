//! What a handler's author may write: typed params, `?`, nulls and `3.0`, panics; and what comes of it on the other side.

use std::sync::{Arc, LazyLock};

use plugin_api::{
    AnyParams, Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup,
    StartError, lenient,
};
use plugin_kit::{Harness, Who};
use schemars::JsonSchema;
use schemas::ErrorShape;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

struct Clerk {
    greeting: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    greeting: String,
    #[serde(default)]
    panic: bool,
    #[serde(default)]
    panic_later: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(deserialize_with = "lenient::uint")]
    limit: u64,
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    cursor: Option<u64>,
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    #[schemars(schema_with = "lenient::nullable::<Vec<String>>")]
    names: Vec<String>,
    #[serde(default)]
    text: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Page {
    limit: u64,
    cursor: Option<u64>,
    names: usize,
    text: Option<String>,
}

static METHODS: LazyLock<Methods<Clerk>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::operator("clerk.page", &["operator.read", "operator.write"]), Clerk::page)
        .add(Method::operator("clerk.number", &[]), Clerk::number)
        .add(Method::operator("clerk.panic", &[]), Clerk::panics)
        .add(Method::operator("clerk.refuse", &[]), Clerk::refuse)
        .add(Method::operator("clerk.greeting", &[]), Clerk::greeting)
        .add(Method::operator("clerk.send", &[]).effects().replayed(), Clerk::send)
        .add(Method::everyone("clerk.who"), Clerk::who)
        .add(Method::node("clerk.node"), Clerk::greeting)
        .add(Method::operator("clerk.read", &["operator.read"]), Clerk::greeting)
        .add(Method::operator("clerk.own", &["clerk.keys"]), Clerk::greeting)
});

impl Plugin for Clerk {
    fn manifest() -> Manifest {
        let partial = METHODS.specs().next().unwrap().clone();
        let partial =
            plugin_api::MethodSpec { name: "clerk.partial".into(), result: None, params: json!({}).into(), ..partial };
        Manifest::new("clerk", "1.0.0").config::<Config>().methods(&METHODS).method(partial)
    }

    fn create(_: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: Config = setup.config()?;
        assert!(!config.panic, "the ink is out");
        if config.greeting == "secret" {
            return Err(CreateError::new("greeting: \"secret\" is no greeting; say \"hello\""));
        }
        let greeting = if config.panic_later { "panic" } else { &config.greeting };
        Ok(Clerk { greeting: greeting.to_string() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        assert_ne!(self.greeting, "panic", "the ink ran out on the way");
        if self.greeting == "late" { Err(StartError::new("the clerk is late")) } else { Ok(()) }
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        if call.method() == "clerk.partial" {
            let error = MethodError::unavailable("half of it").log("the other half is on the floor");
            let payload = serde_json::value::to_raw_value(&json!({ "half": 1 })).unwrap();
            return Reply::ErrorWithPayload(error, payload);
        }
        METHODS.dispatch(self, call).await
    }

    async fn quiesce(&self) {
        assert_ne!(self.greeting, "bad ending", "cannot quiesce");
    }

    async fn stop(&self) {
        assert_ne!(self.greeting, "bad ending", "cannot stop");
    }
}

impl Clerk {
    async fn page(self: Arc<Self>, _: Call, query: Query) -> Result<Page, MethodError> {
        let Query { limit, cursor, names, text } = query;
        Ok(Page { limit, cursor, names: names.len(), text })
    }

    async fn number(self: Arc<Self>, call: Call, _: AnyParams) -> Result<i64, MethodError> {
        let params: Value = call.params()?;
        Ok(params["text"].as_str().unwrap_or("").parse::<i64>()?)
    }

    async fn panics(self: Arc<Self>, _: Call, _: NoParams) -> Result<i64, MethodError> {
        panic!("the pen broke")
    }

    async fn refuse(self: Arc<Self>, _: Call, _: NoParams) -> Result<i64, MethodError> {
        let wait = std::time::Duration::from_millis(1500);
        Err(MethodError::new("NOT_LINKED", "no ink").with_details(json!({ "ink": 0 })).retry_after(wait))
    }

    async fn greeting(self: Arc<Self>, _: Call, _: NoParams) -> Result<String, MethodError> {
        Ok(self.greeting.clone())
    }

    async fn send(self: Arc<Self>, call: Call, _: AnyParams) -> Result<Option<String>, MethodError> {
        Ok(call.idempotency_key().map(str::to_string))
    }

    async fn who(self: Arc<Self>, call: Call, _: NoParams) -> Result<Value, MethodError> {
        let caller = call.caller()?;
        let flags = [call.is_local(), call.is_admin(), call.is_node()];
        Ok(json!({ "conn": call.conn(), "device": caller.device_id, "ip": caller.remote_ip, "flags": flags }))
    }
}

#[test]
fn params_are_read_as_clients_write_them() {
    let plugin = Harness::new::<Clerk>().start();
    let page = |params: Value| plugin.call("clerk.page", params);
    let nulls = page(json!({ "limit": 3.0, "cursor": null, "names": null, "text": null })).payload();
    assert_eq!(nulls, json!({ "limit": 3, "cursor": null, "names": 0, "text": null }));
    let full = page(json!({ "limit": 1, "cursor": 2.0, "names": ["a"], "text": "t" })).payload();
    assert_eq!(full, json!({ "limit": 1, "cursor": 2, "names": 1, "text": "t" }));
    for bad in [json!({}), json!({ "limit": 1.5 }), json!({ "limit": -1 }), json!({ "limit": 1, "more": 1 }), json!([])]
    {
        let error = page(bad.clone()).error();
        assert_eq!(error.code, "INVALID_REQUEST", "{bad}");
        assert!(error.message.starts_with("invalid clerk.page params: at "), "{error}");
    }
}

#[test]
fn a_question_mark_tells_the_caller_little_and_the_log_all() {
    let plugin = Harness::new::<Clerk>().start();
    assert_eq!(plugin.call("clerk.number", json!({ "text": "12" })).payload(), 12);
    let error = plugin.call("clerk.number", json!({ "text": "twelve" })).error();
    assert_eq!(error, ErrorShape::unavailable("the method failed; the gateway's log has the details"));
    let line = plugin.logs().pop().unwrap();
    assert_eq!((line.target.as_str(), line.message.as_str()), ("clerk.number", "invalid digit found in string"));
}

#[test]
fn an_error_says_all_that_it_was_given() {
    let plugin = Harness::new::<Clerk>().start();
    let error = plugin.call("clerk.refuse", json!({})).error();
    assert_eq!(
        serde_json::to_value(error).unwrap(),
        json!({ "code": "NOT_LINKED", "message": "no ink", "details": { "ink": 0 }, "retryable": true, "retryAfterMs": 1500 })
    );
    let partial = plugin.call("clerk.partial", json!({}));
    assert_eq!(partial.error_payload, Some(json!({ "half": 1 })));
    assert_eq!(partial.error().message, "half of it");
    assert_eq!(plugin.logs().pop().unwrap().message, "the other half is on the floor");
}

#[test]
fn a_panic_costs_one_answer() {
    let plugin = Harness::new::<Clerk>().config(json!({ "greeting": "hello" })).start();
    for _ in 0..3 {
        let error = plugin.call("clerk.panic", json!({})).error();
        assert_eq!((error.code.as_str(), error.retryable), ("UNAVAILABLE", Some(true)));
        assert_eq!(error.details.unwrap()["code"], "METHOD_PANICKED");
        assert!(!error.message.contains("pen"), "the peer does not hear what the panic said");
    }
    plugin.settle();
    assert!(plugin.logs().iter().any(|line| line.level == 1 && line.message == "the pen broke"));
    assert_eq!(plugin.call("clerk.greeting", json!({})).payload(), "hello");
}

#[test]
fn a_panic_at_the_end_does_not_hold_the_end_up() {
    Harness::new::<Clerk>().config(json!({ "greeting": "bad ending" })).start().stop();
}

/// Throws a value that panics in its turn when it is dropped.
struct Thrower;

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the value of a panic is dropped");
    }
}

impl Plugin for Thrower {
    fn manifest() -> Manifest {
        Manifest::new("thrower", "1.0.0").config::<std::collections::BTreeMap<String, bool>>()
    }

    fn create(_: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: std::collections::BTreeMap<String, bool> = setup.config()?;
        if config.contains_key("early") { std::panic::panic_any(Bomb) } else { Ok(Thrower) }
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        std::panic::panic_any(Bomb)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }
}

#[test]
fn what_a_panic_throws_stays_inside_too() {
    let harness = Harness::new::<Thrower>;
    assert_eq!(harness().config(json!({ "early": true })).create_error(), "create panicked: ?");
    assert_eq!(harness().start_error(), "it panicked: ?");
}

#[test]
fn a_failed_create_gives_its_sentence() {
    let why = |config: Value| Harness::new::<Clerk>().config(config).create_error();
    assert_eq!(why(json!({ "greeting": "secret" })), "greeting: \"secret\" is no greeting; say \"hello\"");
    assert_eq!(why(json!({ "panic": true })), "create panicked: the ink is out");
    assert!(why(json!({ "color": "red" })).starts_with("[plugins.clerk.config] at the root: "));
}

#[test]
fn a_failed_start_is_told() {
    let why = |config: Value| Harness::new::<Clerk>().config(config).start_error();
    assert_eq!(why(json!({ "greeting": "late" })), "the clerk is late");
    assert!(why(json!({ "panic_later": true })).contains("the ink ran out on the way"));
}

#[test]
fn the_caller_is_known() {
    let plugin = Harness::new::<Clerk>().start();
    let ask = |who: Who| plugin.call_as(who, "clerk.who", json!({})).payload();
    let admin = ask(Who::admin().conn(5).device("d1"));
    assert_eq!(admin, json!({ "conn": 5, "device": "d1", "ip": null, "flags": [true, true, false] }));
    let node = ask(Who::node().remote("192.0.2.1"));
    assert_eq!(node, json!({ "conn": 1, "device": null, "ip": "192.0.2.1", "flags": [false, false, true] }));
    let plain = ask(Who::plugin("other"));
    assert_eq!(plain, json!({ "conn": null, "device": null, "ip": null, "flags": [true, false, false] }));
}

#[test]
fn roles_scopes_and_keys_are_the_hosts_to_check() {
    let plugin = Harness::new::<Clerk>().start();
    let page = json!({ "limit": 1 });
    for scope in ["operator.read", "operator.write", "operator.admin"] {
        plugin.call_as(Who::operator(&[scope]), "clerk.page", page.clone()).payload();
    }
    plugin.call_as(Who::operator(&["operator.write"]), "clerk.read", json!({})).payload();
    plugin.call_as(Who::operator(&["clerk.keys"]), "clerk.own", json!({})).payload();
    assert_eq!(plugin.call("clerk.own", json!({})).error().message, "missing scope: clerk.keys");
    let refused = plugin.call_as(Who::operator(&["operator.pairing"]), "clerk.page", page.clone()).error();
    assert_eq!(refused.message, "missing scope: operator.read");
    assert_eq!(plugin.call_as(Who::node(), "clerk.page", page).error().message, "unauthorized role: node");
    assert_eq!(plugin.call("clerk.node", json!({})).error().message, "unauthorized role: operator");
    assert_eq!(plugin.call("clerk.unheard", json!({})).error().message, "unknown method: clerk.unheard");
    assert_eq!(plugin.call("clerk.send", json!({ "idempotencyKey": "k" })).payload(), "k");
    assert_eq!(plugin.call("clerk.send", json!({})).error().code, "INVALID_REQUEST");
}
