//! How does a plugin talk to the network, with tokio? `cargo run --example network --features tokio`

use std::io::{BufRead, BufReader as Lines, Write};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, Plugin, Reply, Setup};
use plugin_kit::Harness;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub(crate) struct Dictionary {
    config: Config,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Where the server of words listens, `HOST:PORT`.
    server: String,
    /// How long it may take to answer.
    #[serde(default = "a_second")]
    timeout_ms: u64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Word {
    word: String,
}

#[derive(Serialize, JsonSchema)]
struct Meaning {
    meaning: String,
}

static METHODS: LazyLock<Methods<Dictionary>> = LazyLock::new(|| {
    let define = Method::operator("define", &["operator.read"]).summary("Asks a server what a word means.");
    Methods::new().add(define, Dictionary::define)
});

impl Plugin for Dictionary {
    fn manifest() -> Manifest {
        Manifest::new("dictionary", "1.0.0").config::<Config>().methods(&METHODS)
    }

    fn create(_: Host, setup: Setup) -> Result<Self, CreateError> {
        Ok(Dictionary { config: setup.config()? })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

// Without `runtime = tokio` the first socket panics: "there is no reactor running".
plugin_api::plugin!(Dictionary, runtime = tokio);

impl Dictionary {
    async fn define(self: Arc<Self>, _: Call, word: Word) -> Result<Meaning, MethodError> {
        let limit = Duration::from_millis(self.config.timeout_ms);
        let answer = tokio::time::timeout(limit, self.ask(&word.word)).await;
        let answer = answer.map_err(|_| MethodError::unavailable("the server of words is slow").retryable())?;
        Ok(Meaning { meaning: answer? })
    }

    async fn ask(&self, word: &str) -> std::io::Result<String> {
        let mut stream = BufReader::new(TcpStream::connect(&self.config.server).await?);
        stream.write_all(format!("{word}\n").as_bytes()).await?;
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        Ok(line.trim_end().to_string())
    }
}

fn a_second() -> u64 {
    1000
}

/// A server that knows one word, and never answers when it is asked for another.
pub(crate) fn server() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it listens").to_string();
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming().map_while(Result::ok) {
            let mut word = String::new();
            let _ = Lines::new(&stream).read_line(&mut word);
            if word == "gate\n" {
                let _ = (&stream).write_all(b"a door in a wall\n");
            } else {
                silent.push(stream);
            }
        }
    });
    address
}

pub(crate) fn main() {
    // `Harness::new` runs a plugin outside any runtime; `registered` runs it as its registration says.
    let config = json!({ "server": server(), "timeout_ms": 200 });
    let plugin = Harness::registered("dictionary").config(config).start();
    println!("{}", plugin.call("define", json!({ "word": "gate" })).payload());
    println!("{}", plugin.call("define", json!({ "word": "wall" })).error());
}
