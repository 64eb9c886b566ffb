//! What `plugin_api::catalogue` promises to plugins is what a running host serves: every service answers in its shape,
//! every notice comes in its shape, and there is nothing beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clawhost::boot::{self, Running};
use clawhost::config::{Config, ConfigError, Overrides};
use clawhost::plugins::live;
use clawhost::secret::Secret;
use clawhost::state::StateDir;
use client::{ClientError, ConnectOptions, Connection, Identity};
use plugin_api::catalogue::{NOTICES, SERVICES};
use plugin_api::http::HttpSpec;
use plugin_api::{
    AnyParams, Call, CreateError, HeardEvent, Host, Manifest, Method, MethodError, Methods, Plugin, Reply, Setup,
    StartError, Subscription,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

const TOKEN: &str = "the-shared-token-of-this-test";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_host_serves_its_catalogue() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let running = start(folder.path()).await;
    let url = format!("ws://{}", running.addresses()[0]);
    let operator = || ConnectOptions::new(&url).token(TOKEN).scopes(["operator.admin"]);
    let mut asker =
        Asker { connection: Connection::open(operator()).await.expect("it connects"), asked: BTreeMap::new() };

    asker.ask("host.gateway.info", json!({})).await;
    let counted = asker.ask("host.metrics.read", json!({})).await;
    assert!(counted["text"].as_str().expect("a text").contains("clawhost_calls_total"));
    let registry = asker.ask("host.registry.list", json!({})).await;
    assert_eq!(names(&registry["methods"]), SERVICES.iter().map(|service| service.name.to_string()).collect());
    assert_eq!(names(&registry["events"]), NOTICES.iter().map(|notice| notice.name.to_string()).collect());
    let described = asker.ask("host.registry.describe", json!({ "name": "probe.ask" })).await;
    assert_eq!(described["plugin"], "probe");

    let shown = asker.ask("host.config.read", json!({})).await;
    assert_eq!(shown["parsed"]["gateway"]["session"]["main_key"], "main");
    asker.ask("host.config.schema", json!({})).await;
    let verdict = asker.ask("host.config.validate", json!({ "raw": "[gateway]\nprot = 1\n" })).await;
    assert_eq!(verdict["valid"], false);

    let (laptop, phone) = (Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]));
    let from_afar = |device: &Identity| operator().identity(device.clone()).header("X-Forwarded-For", "192.0.2.4");
    for device in [&laptop, &phone] {
        let refused = Connection::open(from_afar(device)).await.err();
        assert!(matches!(refused, Some(ClientError::Refused { .. })), "{refused:?}");
    }
    let list = asker.ask("host.pairing.list", json!({})).await;
    let request = |device: &Identity| {
        let mut pending = list["pending"].as_array().expect("a list").iter();
        let found = pending.find(|request| request["deviceId"] == device.device_id()).expect("it waits");
        json!({ "requestId": found["requestId"] })
    };
    asker.ask("host.pairing.approve", request(&laptop)).await;
    asker.ask("host.pairing.reject", request(&phone)).await;

    // A device that came in has a token to replace.
    let guest = Connection::open(from_afar(&laptop)).await.expect("it was approved");
    let open = asker.ask("host.connections.list", json!({})).await;
    let mut numbers = open["connections"].as_array().expect("a list").iter().map(|row| row["conn"].clone());
    let guest_number = numbers.next_back().expect("two are connected");
    let record = asker.ask("host.connections.get", json!({ "conn": guest_number })).await;
    assert_eq!(record["deviceId"], laptop.device_id());
    asker.ask("host.connections.close", json!({ "conn": guest_number, "code": 4000, "reason": "enough" })).await;
    let closed = tokio::time::timeout(PATIENCE, guest.closed()).await.expect("it is closed");
    assert!(matches!(closed, ClientError::Closed { code: 4000, .. }), "{closed:?}");

    let own = asker.ask("host.connections.list", json!({})).await["connections"][0]["conn"].clone();
    let fresh = asker.ask("host.surfaces.renew", json!({ "conn": own, "surface": "probe" })).await;
    assert!(fresh["url"].as_str().is_some_and(|url| url.ends_with(fresh["capability"].as_str().unwrap_or("?"))));

    let device = laptop.device_id();
    asker.ask("host.pairing.rename", json!({ "deviceId": device, "label": "Laptop" })).await;
    asker.ask("host.pairing.token.rotate", json!({ "deviceId": device, "role": "operator" })).await;
    asker.ask("host.pairing.token.revoke", json!({ "deviceId": device, "role": "operator" })).await;
    let paired = asker.ask("host.pairing.list", json!({})).await;
    assert_eq!(paired["paired"][0]["label"], "Laptop");
    let invited = asker.ask("host.pairing.invite", json!({ "role": "operator", "label": "Phone" })).await;
    assert_eq!(invited["scopes"], json!(["operator.read", "operator.write"]));
    asker.ask("host.pairing.remove", json!({ "deviceId": device })).await;

    // The instance that asks is the one that is made anew.
    let reloaded = asker.ask("host.plugins.reload", json!({ "id": "probe" })).await;
    assert_eq!((&reloaded["reloaded"], &reloaded["plugin"]["state"]), (&json!(true), &json!("running")), "{reloaded}");
    std::fs::write(folder.path().join(CONFIG), "[gateway.methods]\ndeny = [\"no.such\"]\n").expect("it can be written");
    live::follow_disk(running.gateway(), false, None).await.expect("the configuration is right");

    let unasked: Vec<_> =
        SERVICES.iter().map(|service| service.name).filter(|name| !asker.asked.contains_key(*name)).collect();
    assert!(unasked.is_empty(), "this test has to ask for {unasked:?} too");

    for notice in NOTICES {
        for payload in said(notice.name).await {
            assert_fits(notice.name, &(notice.payload)(), &payload);
        }
    }
    let known: BTreeSet<&str> = NOTICES.iter().map(|notice| notice.name).collect();
    let unknown: Vec<String> =
        lock(&HEARD).iter().map(|(name, _)| name.clone()).filter(|name| !known.contains(&**name)).collect();
    assert!(unknown.is_empty(), "the host said {unknown:?}, which is not in the catalogue");

    asker.connection.close().await;
    running.stop("the test is over").await;
}

/// How long anything may take that takes no time on an idle machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client that asks the host through the probe, and looks at every answer.
struct Asker {
    connection: Connection,
    asked: BTreeMap<String, usize>,
}

impl Asker {
    async fn ask(&mut self, name: &str, params: Value) -> Value {
        let service = SERVICES.iter().find(|service| service.name == name).expect("the catalogue has it");
        assert_fits(&format!("parameters of {name}"), &(service.params)(), &params);
        let question = json!({ "service": name, "params": params });
        let answer: Value = match self.connection.request("probe.ask", question).await {
            Ok(answer) => answer,
            Err(error) => panic!("{name}: {error}"),
        };
        assert_fits(&format!("result of {name}"), &(service.result)(), &answer);
        *self.asked.entry(name.to_string()).or_default() += 1;
        answer
    }
}

async fn start(folder: &Path) -> Running {
    std::fs::write(folder.join(CONFIG), "[gateway.session]\nmain_key = \"main\"\n").expect("a file can be written");
    let own = folder.to_path_buf();
    let reread: live::Reread = Box::new(move || config(&own));
    let config = config(folder).expect("the configuration is right");
    let state = StateDir::open(&config.gateway.state_dir).expect("the folder is new");
    boot::start(config, state, &["probe"], None, Some(reread)).await.expect("it starts")
}

const CONFIG: &str = "config.toml";

fn config(folder: &Path) -> Result<Config, ConfigError> {
    let file = folder.join(CONFIG);
    let overrides = Overrides {
        config: Some(file),
        port: Some(0),
        token: Some(Secret::new(TOKEN)),
        state_dir: Some(folder.join("state")),
        ..Overrides::default()
    };
    Config::load(overrides, |_| None)
}

/// What a notice held each time it came, once it has come.
async fn said(name: &str) -> Vec<Value> {
    let heard = async {
        loop {
            let more = MORE.notified();
            let payloads: Vec<Value> =
                lock(&HEARD).iter().filter(|(heard, _)| heard == name).map(|(_, payload)| payload.clone()).collect();
            if !payloads.is_empty() {
                return payloads;
            }
            more.await;
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.unwrap_or_else(|_| panic!("the host never said {name}"))
}

/// Names of the rows that are the host's own and for plugins only.
fn names(rows: &Value) -> BTreeSet<String> {
    let rows = rows.as_array().expect("a list").iter();
    let own = rows.filter(|row| row["plugin"] == "host" && row["spec"]["role"] == "internal");
    own.map(|row| row["spec"]["name"].as_str().expect("a row has a name").to_string()).collect()
}

/// Panics unless the value has the shape, and no field that the shape does not name.
fn assert_fits(what: &str, schema: &Value, value: &Value) {
    let validator = jsonschema::validator_for(&closed(schema)).expect("the catalogue's schemas compile");
    let faults: Vec<String> =
        validator.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{what}: {faults:#?} in {value:#}");
}

/// The schema with every object closed that lists its fields.
fn closed(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let mut fields: serde_json::Map<_, _> =
                fields.iter().map(|(name, value)| (name.clone(), closed(value))).collect();
            if fields.get("type") == Some(&json!("object")) && fields.contains_key("properties") {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
            Value::Object(fields)
        }
        Value::Array(items) => items.iter().map(closed).collect(),
        other => other.clone(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A plugin that passes a client's questions on to the host, and keeps what it hears.
struct Probe {
    host: Host,
    subscription: Mutex<Option<Subscription>>,
}

/// What the probe has heard: name and payload. One gateway runs in this program, so one list will do.
static HEARD: Mutex<Vec<(String, Value)>> = Mutex::new(Vec::new());
/// Something was added to the list.
static MORE: Notify = Notify::const_new();

static METHODS: LazyLock<Methods<Probe>> = LazyLock::new(|| {
    Methods::new().add(Method::operator("probe.ask", &["operator.admin"]).summary("Asks the host."), Probe::ask)
});

impl Plugin for Probe {
    fn manifest() -> Manifest {
        let shown = HttpSpec::capability("/probe").surface("probe");
        Manifest::new("probe", "1.0.0").invokes(&["host.*"]).hears(&["host.*"]).methods(&METHODS).http(shown)
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Probe { host, subscription: Mutex::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let listen = |event: HeardEvent<'_>| {
            let payload = event.payload().expect("a notice is JSON");
            lock(&HEARD).push((event.event.into_owned(), payload));
            MORE.notify_one();
        };
        *lock(&self.subscription) = Some(self.host.subscribe("host.*", listen)?);
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn quiesce(&self) {
        lock(&self.subscription).take();
    }
}

plugin_api::plugin!(Probe);

#[derive(Deserialize)]
struct Question {
    service: String,
    params: Value,
}

impl Probe {
    async fn ask(self: Arc<Self>, call: Call, _: AnyParams) -> Result<Value, MethodError> {
        let question: Question = call.params()?;
        self.host.invoke(&question.service, &question.params).send().await
    }
}
