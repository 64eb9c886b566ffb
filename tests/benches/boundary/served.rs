//! A gateway with the plugin linked in and loaded, and a connection without a socket behind it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::task::{Wake, Waker};
use std::thread::Thread;

use clawhost::authority::Authority;
use clawhost::boot::{self, Running};
use clawhost::config::{Config, Overrides};
use clawhost::connections::Connection;
use clawhost::dispatch;
use clawhost::gateway::Gateway;
use clawhost::secret::Secret;
use clawhost::state::StateDir;
use clawhost_tests::libraries;
use plugin_api::Caller;
use schemas::protocol::Version;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// It ends when this is dropped.
pub struct Served {
    runtime: Runtime,
    running: Option<Running>,
    _state: TempDir,
}

/// Calls of one method, as a connection makes them.
pub struct Calls {
    gateway: Arc<Gateway>,
    connection: Arc<Connection>,
    request: String,
    /// How many are made before the first answer is waited for.
    pub at_once: usize,
    waker: Waker,
    /// Bytes of one answer; they are all alike.
    answer: usize,
}

impl Served {
    /// With the library loaded as this `isolation` says.
    pub fn start(library: &Path, isolation: &str) -> Served {
        let runtime = Runtime::new().expect("threads");
        let state = tempfile::tempdir().expect("a folder");
        let config = state.path().join("config.toml");
        let table = libraries::table(crate::LOADED_ID, library);
        std::fs::write(&config, format!("{table}isolation = \"{isolation}\"\n")).expect("a file can be written");
        let overrides = Overrides {
            config: Some(config),
            port: Some(0),
            token: Some(Secret::new("bench")),
            state_dir: Some(state.path().join("state")),
            ..Overrides::default()
        };
        let config = Config::load(overrides, |_| None).unwrap_or_else(|error| panic!("{error}"));
        let folder = StateDir::open(&config.gateway.state_dir).expect("a state folder");
        let running = runtime.block_on(boot::start(config, folder, &[crate::ID], None, None));
        let running = running.unwrap_or_else(|error| panic!("{error}"));
        Served { runtime, running: Some(running), _state: state }
    }

    /// Calls of this method, so many at a time.
    pub fn calls(&self, method: &str, at_once: usize) -> Calls {
        let gateway = self.running.as_ref().expect("it runs until it is dropped").gateway().clone();
        let request = format!(
            r#"{{"type":"req","id":"3f1c2b7e-9f60-4a55-8d0a-5b6c7d8e9f01","method":"{method}","params":{}}}"#,
            crate::PARAMS
        );
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let connection = connection(&gateway);
        let mut calls = Calls { gateway, connection, request, at_once: 1, waker, answer: 0 };
        calls.send();
        let first = calls.take();
        let text = String::from_utf8_lossy(&first);
        assert!(text.contains("Hello, Ada!"), "{method} is not answered as it should be: {text}");
        (calls.answer, calls.at_once) = (first.len(), at_once);
        calls
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop("done"));
        }
    }
}

impl Calls {
    /// Makes them, and waits until all are answered.
    pub fn run(&self) {
        for _ in 0..self.at_once {
            self.send();
        }
        let mut missing = self.at_once * self.answer;
        while missing > 0 {
            missing -= self.take().len();
        }
    }

    fn send(&self) {
        dispatch::message(&self.gateway, &self.connection, &self.request);
    }

    /// What the socket's task does: takes all bytes, waiting for the first, and says that they are written.
    fn take(&self) -> Vec<u8> {
        loop {
            match self.connection.outbox.take(&self.waker) {
                Some(bytes) => {
                    self.connection.outbox.written(bytes.len());
                    return bytes;
                }
                None => std::thread::park(),
            }
        }
    }
}

fn connection(gateway: &Gateway) -> Arc<Connection> {
    let caller = json!({ "role": "operator", "scopes": ["operator.admin"], "protocol": 3 });
    let caller: Caller = serde_json::from_value(caller).expect("a caller");
    Arc::new(Connection {
        number: gateway.connections.next_number(),
        id: "bench".to_string(),
        version: Version::V3,
        authority: Arc::new(Authority::new(caller)),
        outbox: Arc::new(gateway.outbox()),
        record: "{}".into(),
        announced: AtomicBool::new(true),
        vantage: Default::default(),
        has_capability: AtomicBool::new(false),
        presence_key: None,
        in_flight: AtomicUsize::new(0),
        idle: Default::default(),
        refusals: Default::default(),
    })
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
