//! The plugin that does what the boundary was made for, and what it must withstand. Its methods wait for gates that a
//! test opens, never for time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use plugin_api::catalogue::{ConnectionClosed, ConnectionOpened};
use plugin_api::{
    Call, CreateError, EventSpec, HeardEvent, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply,
    Setup, StartError, Subscription, lenient,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

/// The plugin.
pub struct Spike {
    host: Host,
    board: Arc<watch::Sender<Board>>,
    subscription: Mutex<Option<Subscription>>,
}

/// Everything tests ask about, in one place that can be waited for.
#[derive(Default)]
struct Board {
    gates: BTreeSet<String>,
    /// Connection and what happened to it, in order.
    journal: Vec<(u64, &'static str)>,
    /// Calls that were dropped before their end.
    dropped: BTreeSet<String>,
    results: BTreeMap<String, Value>,
    effects: u64,
}

static METHODS: LazyLock<Methods<Spike>> = LazyLock::new(|| {
    let reader = |name| Method::operator(name, &["operator.read"]);
    let anyone = |name| Method::operator(name, &[]);
    Methods::new()
        .add(reader("spike.run").interim().detached().timeout_ms(0), Spike::run)
        .add(reader("spike.attached").interim().timeout_ms(0), Spike::run)
        .add(reader("spike.result"), Spike::result)
        .add(reader("spike.dropped"), Spike::dropped)
        .add(anyone("spike.open"), Spike::open)
        .add(anyone("spike.wait"), Spike::wait)
        .add(anyone("spike.mark"), Spike::mark)
        .add(reader("spike.journal"), Spike::journal)
        .add(reader("spike.once").interim().replayed().timeout_ms(0), Spike::once)
        .add(anyone("spike.effects"), Spike::effects)
        .add(anyone("spike.on_behalf"), Spike::on_behalf)
        .add(anyone("spike.deep"), Spike::deep)
        .add(anyone("spike.panic"), Spike::panic)
        .add(anyone("spike.timeout").timeout_ms(150), Spike::timeout)
        .add(anyone("spike.block"), Spike::block)
        .add(anyone("spike.note"), Spike::note)
        .add(anyone("spike.emit"), Spike::emit)
        .add(anyone("spike.big"), Spike::big)
        .add(anyone("spike.fail"), Spike::fail)
        .add(anyone("spike.sum"), Spike::sum)
        .add(anyone("spike.keep"), Spike::keep)
        .add(anyone("spike.kept"), Spike::kept)
});

impl Plugin for Spike {
    fn manifest() -> Manifest {
        Manifest::new("spike", "1.0.0")
            .invokes(&["vault.*", "spike.deep", "nobody.*"])
            .hears(&["host.connection.*"])
            .methods(&METHODS)
            .event(EventSpec::everyone("spike.note").targeted())
            .event(EventSpec::operator("spike.burst", &["spike.listen"]))
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Spike { host, board: Arc::new(watch::Sender::default()), subscription: Mutex::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let board = self.board.clone();
        let subscription = self.host.subscribe("host.connection.*", move |event| note_connection(&board, &event))?;
        *self.subscription.lock().expect("nobody panicked with it") = Some(subscription);
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Spike);

#[derive(Deserialize, JsonSchema)]
struct Run {
    run: String,
}

#[derive(Deserialize, JsonSchema)]
struct Gate {
    gate: String,
}

#[derive(Deserialize, JsonSchema)]
struct Conn {
    conn: u64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Once {
    #[serde(rename = "idempotencyKey")]
    key: String,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    gate: Option<String>,
    #[serde(default)]
    fail: Option<String>,
    #[serde(default)]
    bytes: usize,
}

#[derive(Deserialize, JsonSchema)]
struct Ask {
    method: String,
    #[serde(default)]
    own: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Level {
    #[serde(default)]
    level: u64,
    /// In the plugin's own name, on nobody's account.
    #[serde(default)]
    own: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Size {
    #[serde(default)]
    bytes: usize,
    #[serde(default)]
    ms: u64,
    #[serde(default)]
    droppable: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Numbers {
    #[serde(deserialize_with = "lenient::uint")]
    a: u64,
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    b: Option<u64>,
}

#[derive(Deserialize, JsonSchema)]
struct Entry {
    key: String,
    #[serde(default)]
    value: String,
}

impl Spike {
    async fn run(self: Arc<Self>, call: Call, run: Run) -> Result<Value, MethodError> {
        let mut guard = Dropped { board: self.board.clone(), name: Some(run.run.clone()) };
        call.interim(&json!({ "status": "accepted", "runId": run.run }))?;
        self.until(|board| board.gates.contains(&run.run)).await;
        guard.name = None;
        let result = json!({ "status": "ok", "runId": run.run });
        self.board.send_modify(|board| {
            board.results.insert(run.run.clone(), result.clone());
        });
        Ok(result)
    }

    async fn result(self: Arc<Self>, _: Call, run: Run) -> Result<Value, MethodError> {
        self.until(|board| board.results.contains_key(&run.run)).await;
        Ok(self.board.borrow().results[&run.run].clone())
    }

    async fn dropped(self: Arc<Self>, _: Call, run: Run) -> Result<Value, MethodError> {
        self.until(|board| board.dropped.contains(&run.run)).await;
        Ok(json!({ "dropped": run.run }))
    }

    async fn open(self: Arc<Self>, _: Call, gate: Gate) -> Result<Value, MethodError> {
        self.board.send_modify(|board| {
            board.gates.insert(gate.gate);
        });
        Ok(json!({}))
    }

    async fn wait(self: Arc<Self>, _: Call, gate: Gate) -> Result<Value, MethodError> {
        self.until(|board| board.gates.contains(&gate.gate)).await;
        Ok(json!({}))
    }

    async fn mark(self: Arc<Self>, call: Call, _: NoParams) -> Result<Value, MethodError> {
        let conn = call.conn().unwrap_or(0);
        self.board.send_modify(|board| board.journal.push((conn, "call")));
        Ok(json!({ "conn": conn }))
    }

    async fn journal(self: Arc<Self>, _: Call, conn: Conn) -> Result<Value, MethodError> {
        self.until(|board| board.journal.contains(&(conn.conn, "closed"))).await;
        let board = self.board.borrow();
        let entries = board.journal.iter().filter(|(of, _)| *of == conn.conn);
        Ok(json!({ "entries": entries.map(|(_, what)| *what).collect::<Vec<_>>() }))
    }

    async fn once(self: Arc<Self>, call: Call, once: Once) -> Result<Value, MethodError> {
        let mut count = 0;
        self.board.send_modify(|board| {
            board.effects += 1;
            count = board.effects;
        });
        call.interim(&json!({ "status": "accepted", "runId": once.key }))?;
        if let Some(gate) = &once.gate {
            self.until(|board| board.gates.contains(gate)).await;
        }
        match once.fail.as_deref() {
            Some("invalid") => Err(MethodError::invalid_request("not like that")),
            Some("retry") => Err(MethodError::unavailable("later").retryable()),
            Some(_) => Err(MethodError::unavailable("never")),
            None => Ok(json!({ "effect": count, "value": once.value, "filler": "x".repeat(once.bytes) })),
        }
    }

    async fn effects(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        Ok(json!({ "count": self.board.borrow().effects }))
    }

    async fn on_behalf(self: Arc<Self>, call: Call, ask: Ask) -> Result<Value, MethodError> {
        let invoke = call.invoke(&ask.method, &json!({}));
        if ask.own { invoke.with_own_grants().send().await } else { invoke.send().await }
    }

    /// Calls itself until the host says no; how deep that was, and its words.
    async fn deep(self: Arc<Self>, call: Call, Level { level, own }: Level) -> Result<Value, MethodError> {
        let params = json!({ "level": level + 1, "own": own });
        let invoke = if own { self.host.invoke("spike.deep", &params) } else { call.invoke("spike.deep", &params) };
        match invoke.send::<Value>().await {
            Ok(deeper) => Ok(deeper),
            Err(error) => Ok(json!({ "level": level, "error": error.shape() })),
        }
    }

    async fn panic(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        panic!("on purpose, with a secret in /a/path")
    }

    async fn timeout(self: Arc<Self>, _: Call, run: Run) -> Result<Value, MethodError> {
        let _guard = Dropped { board: self.board.clone(), name: Some(run.run) };
        std::future::pending().await
    }

    /// Keeps the worker, as a plugin never should.
    async fn block(self: Arc<Self>, _: Call, size: Size) -> Result<Value, MethodError> {
        std::thread::sleep(Duration::from_millis(size.ms));
        Ok(json!({}))
    }

    async fn note(self: Arc<Self>, call: Call, _: NoParams) -> Result<Value, MethodError> {
        let gone = self.host.event("spike.note").send_to(&[u64::MAX], &json!({})).err();
        self.host.event("spike.note").send_to(&[call.conn().unwrap_or(0)], &json!({ "for": "you" }))?;
        Ok(json!({ "gone": gone.map(|error| error.to_string()) }))
    }

    async fn emit(self: Arc<Self>, _: Call, size: Size) -> Result<Value, MethodError> {
        let event = self.host.event("spike.burst");
        let event = if size.droppable { event.droppable() } else { event };
        event.send(&json!({ "filler": "x".repeat(size.bytes) }))?;
        Ok(json!({}))
    }

    async fn big(self: Arc<Self>, _: Call, size: Size) -> Result<Value, MethodError> {
        Ok(json!({ "filler": "x".repeat(size.bytes) }))
    }

    async fn fail(self: Arc<Self>, _: Call, _: NoParams) -> Result<Value, MethodError> {
        let text = std::fs::read_to_string("/no/such/path/of-a-plugin")?;
        Ok(json!({ "text": text }))
    }

    async fn sum(self: Arc<Self>, _: Call, numbers: Numbers) -> Result<Value, MethodError> {
        Ok(json!({ "sum": numbers.a + numbers.b.unwrap_or(0) }))
    }

    async fn keep(self: Arc<Self>, _: Call, entry: Entry) -> Result<Value, MethodError> {
        self.host.kv().set_json(&entry.key, &entry.value).await?;
        Ok(json!({}))
    }

    async fn kept(self: Arc<Self>, _: Call, entry: Entry) -> Result<Value, MethodError> {
        Ok(json!({ "value": self.host.kv().json::<String>(&entry.key)? }))
    }

    async fn until(&self, holds: impl FnMut(&Board) -> bool) {
        // The sender is this plugin's own, so the wait cannot fail.
        let _ = self.board.subscribe().wait_for(holds).await;
    }
}

/// Writes down that a call was dropped where it waited.
struct Dropped {
    board: Arc<watch::Sender<Board>>,
    name: Option<String>,
}

impl Drop for Dropped {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            self.board.send_modify(|board| {
                board.dropped.insert(name);
            });
        }
    }
}

fn note_connection(board: &watch::Sender<Board>, event: &HeardEvent<'_>) {
    let entry = match &*event.event {
        "host.connection.opened" => event.payload::<ConnectionOpened>().map(|it| (it.connection.conn, "opened")),
        _ => event.payload::<ConnectionClosed>().map(|it| (it.conn, "closed")),
    };
    if let Ok(entry) = entry {
        board.send_modify(|board| board.journal.push(entry));
    }
}
