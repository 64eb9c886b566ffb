//! What a plugin in Rust can ask of its host, each thing once. Built against the plugin-api of its time, and kept.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use plugin_api::http::{self, Exchange, HttpSpec, Message, Response};
use plugin_api::{
    Call, Caller, CreateError, EventSpec, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup,
    StartError, Subscription,
};
use serde_json::{Value, json};

const KEYS: [&str; 2] = ["kept/value", "kept/copy"];

struct Everything {
    host: Host,
    cancelled: AtomicU64,
    hearing: Mutex<Option<Subscription>>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    refuse: Option<String>,
}

/// All but the last two are served by one function, which keeps the library small.
const NAMES: [&str; 18] = [
    "abi.echo",
    "abi.refuse",
    "abi.both",
    "abi.ask",
    "abi.keep",
    "abi.keep_new",
    "abi.forget",
    "abi.kept",
    "abi.entries",
    "abi.later",
    "abi.soon",
    "abi.blocking",
    "abi.cancelled",
    "abi.tell",
    "abi.tell_me",
    "abi.trace",
    "abi.publish",
    "abi.panic",
];

static METHODS: LazyLock<Methods<Everything>> = LazyLock::new(|| {
    let method = |name| Method::operator(name, &[]);
    let methods = NAMES.into_iter().fold(Methods::new(), |all, name| all.add(method(name), Everything::serve));
    let methods = methods.add(method("abi.steps").interim(), Everything::serve);
    methods.add(method("abi.wait"), Everything::wait).add(method("abi.who"), Everything::who)
});

impl Plugin for Everything {
    fn manifest() -> Manifest {
        let manifest = Manifest::new("abi-rust", "1.0.0").config::<Config>().invokes(&["elsewhere"]);
        let manifest = manifest
            .http(HttpSpec::anyone("/abi").verbs(&["GET", "POST"]).max_body(65536))
            .http(HttpSpec::anyone("/abi/ws").upgrade(4096));
        let both = ["abi.told", "abi.heard"].map(|name| EventSpec::operator(name, &[]));
        both.into_iter().fold(manifest.hears(&["outside"]).methods(&METHODS), Manifest::event)
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        match setup.config::<Config>()?.refuse {
            Some(_) => Err(CreateError::new("refuse: as configured")),
            None => Ok(Everything { host, cancelled: AtomicU64::new(0), hearing: Mutex::default() }),
        }
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let host = self.host.clone();
        let hearing = self.host.subscribe("outside", move |event| {
            let record = json!({ "event": event.event, "payload": event.payload::<Value>().unwrap_or_default() });
            let _ = host.event("abi.heard").droppable().send(&record);
        });
        let hearing = hearing.map_err(|error| StartError::new(error.to_string()))?;
        *self.hearing.lock().unwrap_or_else(PoisonError::into_inner) = Some(hearing);
        self.host.info("it is live");
        Ok(())
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        if call.method() != "abi.both" {
            return METHODS.dispatch(self, call).await;
        }
        let payload = serde_json::value::to_raw_value(&json!({ "kept": true })).expect("it is JSON");
        Reply::ErrorWithPayload(MethodError::unavailable("as asked"), payload)
    }

    /// Says back what it is sent: the path for a GET, the body for a POST, each message of a WebSocket.
    async fn http(self: Arc<Self>, mut exchange: Exchange) -> http::Result {
        if exchange.route() == "/abi/ws" {
            let mut socket = exchange.upgrade()?;
            socket.text("hello").await?;
            while let Some(message) = socket.next().await? {
                match message {
                    Message::Text(text) => socket.text(&text).await?,
                    Message::Binary(bytes) => socket.binary(&bytes).await?,
                }
            }
            return Ok(());
        }
        let body = exchange.body().await?;
        let said = if exchange.verb() == "GET" { exchange.path().as_bytes().to_vec() } else { body };
        exchange.respond(Response::text(String::from_utf8_lossy(&said))).await
    }

    async fn quiesce(&self) {
        drop(self.hearing.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

plugin_api::dylib!(Everything);

struct Cancelled(Arc<Everything>);

impl Drop for Cancelled {
    fn drop(&mut self) {
        self.0.cancelled.fetch_add(1, Ordering::AcqRel);
    }
}

type Any = serde_json::Map<String, Value>;
type Answer = Result<Value, MethodError>;

impl Everything {
    async fn serve(self: Arc<Self>, call: Call, params: Any) -> Answer {
        let params = Value::from(params);
        let kv = self.host.kv();
        match call.method() {
            "abi.echo" => return Ok(params),
            "abi.steps" => {
                call.interim(&json!({ "step": 1 }))?;
                call.interim(&json!({ "step": 2 }))?;
                return Ok(json!({ "step": 3 }));
            }
            "abi.refuse" => return Err(MethodError::unavailable("as asked")),
            "abi.ask" => return call.invoke("elsewhere", &params).send().await,
            "abi.keep" => self.durable(kv.batch().set(KEYS[0], call.params_text()).set(KEYS[1], "1")).await?,
            "abi.keep_new" => {
                let text = call.params_text();
                self.durable(kv.batch().set_if_absent(KEYS[0], text).set_if_absent(KEYS[1], "1")).await?;
            }
            "abi.forget" => self.durable(kv.batch().delete(KEYS[0]).delete(KEYS[1])).await?,
            "abi.kept" => return Ok(kv.json(KEYS[0])?.unwrap_or_default()),
            "abi.entries" => return Ok(json!({ "entries": kv.scan("kept/")?.len() })),
            "abi.later" => {
                self.host.sleep(Duration::from_secs(60)).await;
                return Ok(params);
            }
            "abi.soon" => {
                once_more().await;
                return Ok(params);
            }
            "abi.blocking" => return Ok(self.host.blocking(move || params).await?),
            "abi.trace" => return Ok(json!({ "trace": call.traceparent().unwrap_or_default() })),
            "abi.cancelled" => return Ok(json!({ "cancelled": self.cancelled.load(Ordering::Acquire) })),
            "abi.tell" => self.host.event("abi.told").send(&params)?,
            "abi.tell_me" => self.host.event("abi.told").send_to(&[call.conn().unwrap_or(0)], &params)?,
            "abi.publish" => self.host.publish_snapshot("health", &params)?,
            _ => panic!("as asked"),
        }
        Ok(json!({ "durable": true }))
    }

    async fn durable(&self, batch: plugin_api::Batch) -> Result<(), MethodError> {
        batch.write().await.map_err(|error| MethodError::unavailable(error.to_string()))
    }

    async fn wait(self: Arc<Self>, _: Call, _: NoParams) -> Answer {
        let _cancelled = Cancelled(self);
        std::future::pending().await
    }

    async fn who(self: Arc<Self>, call: Call, _: NoParams) -> Result<Caller, MethodError> {
        Ok(call.caller()?)
    }
}

/// Waits until the host has run the task again.
async fn once_more() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
