//! A plugin that is made anew while it is in use: a shared library whose answers say which instance gave them, and whether
//! that one was stopped already. `[plugins.reborn.config]` says where it fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use plugin_api::{
    Call, CreateError, EventSpec, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup,
    StartError, Subscription,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Tests make another build by changing its last letter in the library.
static VERSION: &str = "1.0.0-build-a";

struct Reborn {
    host: Host,
    config: Config,
    /// When it was made, in nanoseconds: later instances have larger ones.
    instance: u64,
    stopped: AtomicBool,
    heard: Arc<Mutex<Vec<Value>>>,
    hearing: Mutex<Option<Subscription>>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// "create", "panic" (in create), "start"; "quiesce" and "stop" never end.
    fails_in: String,
    /// Shown by `reborn.who`.
    note: String,
    /// Whether it hears of connections.
    hears: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Echo {
    #[serde(default)]
    ms: u64,
    #[serde(default)]
    value: Value,
    /// Whether it is said to everyone too.
    #[serde(default)]
    said: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Through {
    method: String,
    #[serde(default)]
    params: Value,
}

static METHODS: LazyLock<Methods<Reborn>> = LazyLock::new(|| {
    let anyone = |name| Method::operator(name, &[]);
    Methods::new()
        .add(anyone("reborn.who"), Reborn::who)
        .add(anyone("reborn.echo"), Reborn::echo)
        .add(anyone("reborn.through"), Reborn::through)
        .add(anyone("reborn.heard"), Reborn::heard)
        .add(anyone("reborn.panic"), Reborn::panic)
        .add(anyone("reborn.block").timeout_ms(200), Reborn::block)
});

impl Plugin for Reborn {
    fn manifest() -> Manifest {
        Manifest::new("reborn", std::hint::black_box(VERSION))
            .summary("Made anew while it is in use.")
            .invokes(&["spike.*", "reborn.*"])
            .hears(&["host.connection.*"])
            .config::<Config>()
            .methods(&METHODS)
            .event(EventSpec::operator("reborn.said", &[]))
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: Config = setup.config()?;
        match config.fails_in.as_str() {
            "create" => return Err(CreateError::new("fails_in says so")),
            "panic" => panic!("fails_in says so"),
            _ => {}
        }
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(Reborn {
            host,
            config,
            instance: since.as_nanos() as u64,
            stopped: AtomicBool::new(false),
            heard: Arc::default(),
            hearing: Mutex::default(),
        })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        if self.config.fails_in == "start" {
            return Err(StartError::new("fails_in says so"));
        }
        if self.config.hears {
            let heard = self.heard.clone();
            let hearing = self.host.subscribe("host.connection.*", move |event| {
                let payload: Value = event.payload().unwrap_or_default();
                let entry =
                    json!({ "event": event.event, "connId": payload["connId"], "replay": payload["replay"] == true });
                heard.lock().expect("nobody panicked with it").push(entry);
            })?;
            *self.hearing.lock().expect("nobody panicked with it") = Some(hearing);
        }
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn quiesce(&self) {
        if self.stopped.load(Ordering::SeqCst) {
            self.host.error("quiesced after its end");
        }
        let hearing = self.hearing.lock().expect("nobody panicked with it").take();
        drop(hearing);
        if self.config.fails_in == "quiesce" {
            std::future::pending::<()>().await;
        }
    }

    async fn stop(&self) {
        if self.stopped.swap(true, Ordering::SeqCst) {
            self.host.error("ended twice");
        }
        if self.config.fails_in == "stop" {
            std::future::pending::<()>().await;
        }
    }
}

impl Reborn {
    fn signed(&self, value: Value) -> Value {
        let version = std::hint::black_box(VERSION);
        let stopped = self.stopped.load(Ordering::SeqCst);
        json!({ "build": version, "instance": self.instance, "stopped": stopped, "value": value })
    }

    async fn who(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        Ok(self.signed(json!(self.config.note)))
    }

    async fn echo(self: Arc<Self>, _: Call, echo: Echo) -> Result<Value, MethodError> {
        if echo.ms > 0 {
            self.host.sleep(Duration::from_millis(echo.ms)).await;
        }
        if echo.said {
            self.host.event("reborn.said").send(&echo.value)?;
        }
        Ok(self.signed(echo.value))
    }

    /// Answers when the other method has.
    async fn through(self: Arc<Self>, call: Call, wanted: Through) -> Result<Value, MethodError> {
        let params = if wanted.params.is_null() { json!({}) } else { wanted.params };
        let answer: Value = call.invoke(&wanted.method, &params).with_own_grants().send().await?;
        Ok(self.signed(answer))
    }

    async fn heard(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        let heard = self.heard.lock().expect("nobody panicked with it").clone();
        Ok(self.signed(json!(heard)))
    }

    async fn panic(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        panic!("as it was asked to")
    }

    /// Keeps the thread for good, as a plugin never should.
    async fn block(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        loop {
            std::thread::park();
        }
    }
}

plugin_api::dylib!(Reborn);
