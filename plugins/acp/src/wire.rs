//! JSON-RPC with a program, a message a line.

use std::io;
use std::time::Duration;

use outside::backend;
use outside::child::{Output, OutputError, Program, Running};
use plugin_api::MethodError;
use plugin_api::contracts::backend::code;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Messages that wait to be read by the program. One that reads none is not read either.
const WAITING: usize = 64;

/// A program, and what is said with it.
pub(crate) struct Peer {
    running: Running,
    output: Output,
    /// Dropped, it closes the program's input.
    input: Option<mpsc::Sender<Vec<u8>>>,
    last_id: u64,
}

/// What a program says.
#[derive(Debug)]
pub(crate) enum Said {
    /// It asks for something, under this id.
    Asks { id: Value, method: String, params: Value },
    /// It tells something.
    Tells { method: String, params: Value },
    /// It answers what it was asked under this number.
    Answers { id: u64, result: Result<Value, Value> },
    /// What is no message.
    Nothing,
}

impl Peer {
    pub(crate) fn start(program: &Program, max_output: u64) -> io::Result<Self> {
        let (running, mut stdin, stdout) = program.start()?;
        let (input, mut messages) = mpsc::channel::<Vec<u8>>(WAITING);
        // Ends with the sender, and with a program that takes no more.
        tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                if stdin.write_all(&message).await.is_err() {
                    return;
                }
            }
        });
        Ok(Peer { running, output: Output::new(stdout, max_output), input: Some(input), last_id: 0 })
    }

    /// Asks, and gives the number that the answer will have.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        self.write(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
        id
    }

    pub(crate) async fn tell(&self, method: &str, params: Value) {
        self.write(json!({ "jsonrpc": "2.0", "method": method, "params": params })).await;
    }

    /// Answers what the program asked; an error is a sentence.
    pub(crate) async fn answer(&self, id: Value, answer: Result<Value, (i32, &str)>) {
        let message = match answer {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err((code, message)) => {
                json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
            }
        };
        self.write(message).await;
    }

    /// What it does not take shows itself when it is listened to.
    async fn write(&self, message: Value) {
        if let Some(input) = &self.input {
            let mut line = message.to_string().into_bytes();
            line.push(b'\n');
            let _ = input.send(line).await;
        }
    }

    /// What it says next.
    pub(crate) async fn listen(&mut self) -> Result<Said, MethodError> {
        match self.output.line().await {
            Ok(Some(line)) => Ok(Said::parse(&line)),
            Ok(None) => Err(self.failed("the program ended before its answer did")),
            Err(OutputError::TooMuch(limit)) => {
                // Another try would be as long.
                let error = MethodError::unavailable("acp: the program wrote more than max_output_bytes");
                let error = error.with_details(json!({ "code": code::BROKEN_STREAM }));
                Err(error.log(format!("more than {limit} bytes: {}", self.running.complaints())))
            }
            Err(OutputError::Io(error)) => Err(self.failed(&error.to_string())),
        }
    }

    /// The program did not do as it should; why, for the log.
    pub(crate) fn failed(&self, why: &str) -> MethodError {
        let why = format!("{why}; {}", self.running.complaints());
        let error = backend::error(code::BROKEN_STREAM, None, "acp: the program failed".to_string());
        error.log(backend::for_log(&why, None))
    }

    /// The end: it is told this and no more, and killed unless it ends by itself before long.
    pub(crate) async fn end(mut self, last: Option<(&str, Value)>, grace: Duration) {
        if let Some((method, params)) = last {
            // One that reads nothing cannot be told.
            let _ = timeout(grace, self.tell(method, params)).await;
        }
        self.input = None;
        let rest = async {
            while let Ok(Some(_)) = self.output.line().await {}
            self.running.ended().await
        };
        let _ = timeout(grace, rest).await;
    }
}

impl Said {
    fn parse(line: &[u8]) -> Said {
        let Ok(mut message) = serde_json::from_slice::<Value>(line) else { return Said::Nothing };
        let method = message["method"].as_str().map(str::to_string);
        let id = message.get("id").filter(|id| !id.is_null()).cloned();
        match (method, id) {
            (Some(method), Some(id)) => Said::Asks { id, method, params: message["params"].take() },
            (Some(method), None) => Said::Tells { method, params: message["params"].take() },
            (None, Some(id)) => match id.as_u64() {
                Some(id) if message["error"].is_object() => Said::Answers { id, result: Err(message["error"].take()) },
                Some(id) => Said::Answers { id, result: Ok(message["result"].take()) },
                None => Said::Nothing,
            },
            (None, None) => Said::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_reads_nothing_is_ended_all_the_same() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let args = vec!["600".to_string()];
            let program = Program { program: "sleep".into(), args, cwd: None, env: Vec::new() };
            let peer = Peer::start(&program, 1_000).unwrap();
            let long = json!("x".repeat(100_000));
            while timeout(Duration::from_millis(100), peer.tell("news", long.clone())).await.is_ok() {}
            let ended = peer.end(Some(("session/cancel", json!({}))), Duration::from_millis(50));
            assert!(timeout(Duration::from_secs(20), ended).await.is_ok());
        });
    }
}
