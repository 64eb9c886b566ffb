//! One connection of a command: opened, used, closed.

use std::time::Duration;

use client::{ClientError, Connection};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::cli::Context;
use crate::failure::Failure;
use crate::show::{json_text, print};

impl Context {
    /// Connects, works, closes.
    pub fn with_gateway<T>(&self, work: impl AsyncFnOnce(&Connection) -> Result<T, Failure>) -> Result<T, Failure> {
        block_on(async {
            let connection = Connection::open(self.target.options()?).await?;
            let done = work(&connection).await;
            connection.close().await;
            done
        })
    }

    /// Asks one question and prints the answer: as it came for scripts, as `render` words it for people.
    pub fn show<T: DeserializeOwned>(
        &self,
        asked: &Question<'_>,
        render: impl FnOnce(T) -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        let answer = self.with_gateway(async |connection| asked.ask(connection).await)?;
        self.print_answer(asked.method, &answer, render)
    }

    /// Prints an answer that is there already. What is a failure for people leaves with 1 for scripts, too.
    pub fn print_answer<T: DeserializeOwned>(
        &self,
        method: &str,
        answer: &RawValue,
        render: impl FnOnce(T) -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        if !self.json {
            return print(&render(read(method, answer)?)?);
        }
        print(&format!("{}\n", json_text::compact(answer.get())))?;
        // What is not understood is shown all the same.
        match read(method, answer).ok().map(render) {
            Some(Err(_)) => Err(Failure::Said(1)),
            _ => Ok(()),
        }
    }
}

/// A method to call, and the plugin that serves it: when that is off, the answer is a sentence, not an error code.
pub struct Question<'a> {
    /// The method.
    pub method: &'a str,
    /// The plugin that serves it here.
    pub plugin: &'a str,
    /// Its parameters.
    pub params: Value,
    /// How long to wait for the answer, if not as long as for any other.
    pub limit: Option<Duration>,
}

impl<'a> Question<'a> {
    /// A question without parameters.
    pub fn new(method: &'a str, plugin: &'a str) -> Self {
        Question { method, plugin, params: json!({}), limit: None }
    }

    /// The same question with parameters.
    pub fn with(self, params: Value) -> Self {
        Question { params, ..self }
    }

    /// The same question, whose answer may take this long.
    pub fn within(self, limit: Duration) -> Self {
        Question { limit: Some(limit), ..self }
    }

    /// Whether the gateway serves it at all.
    pub fn check(&self, connection: &Connection) -> Result<(), Failure> {
        if !connection.hello().has_method(self.method) {
            return Err(Failure::failed(format!(
                "this gateway does not serve {}: its plugin {:?} is disabled or not part of it",
                self.method, self.plugin
            )));
        }
        Ok(())
    }

    /// Asks it.
    pub async fn ask(&self, connection: &Connection) -> Result<Box<RawValue>, Failure> {
        self.check(connection)?;
        let params = serde_json::value::to_raw_value(&self.params).expect("a JSON value is serialisable");
        Ok(connection.request_raw(self.method, Some(&params), self.limit).await?)
    }

    /// Asks it, and reads the answer.
    pub async fn ask_for<T: DeserializeOwned>(&self, connection: &Connection) -> Result<T, Failure> {
        read(self.method, &self.ask(connection).await?)
    }
}

/// Runs to the end, on this thread.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let done = runtime.block_on(work);
    // Nothing that still runs matters to a command that has its answer.
    runtime.shutdown_timeout(Duration::from_millis(100));
    done
}

/// Runs until it ends or the user presses Ctrl-C, which is the way to end what follows something.
pub async fn until_interrupted(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::select! {
        done = work => done,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(|error| Failure::failed(format!("cannot listen for Ctrl-C: {error}")))
        }
    }
}

/// Reads an answer of this method.
pub fn read<T: DeserializeOwned>(method: &str, answer: &RawValue) -> Result<T, Failure> {
    serde_json::from_str(answer.get()).map_err(|error| {
        Failure::from(ClientError::Shape {
            method: method.to_string(),
            problem: format!("the answer is not understood ({error}); --json shows it as it is"),
        })
    })
}
