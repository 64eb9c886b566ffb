//! Asks models for an answer: each of the agent's in order, each several times when it says that it may work later.

use std::time::Duration;

use plugin_api::contracts::backend::{BackendResult, BackendRun, Piece, code};
use plugin_api::{Host, InvokeReply, MethodError};
use schemas::error::STOPPING;
use serde_json::{Value, json};

use crate::config::AgentConfig;
use crate::events::Events;
use crate::store::is_unknown;

/// Why there is no answer.
#[derive(Debug, Clone)]
pub struct Failure {
    /// A sentence for people.
    pub message: String,
    /// A code for programs.
    pub code: Option<String>,
}

impl Failure {
    /// A failure with a code.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Failure { message: message.into(), code: Some(code.to_string()) }
    }

    /// What a method said, with its code if it gave one.
    pub fn of(error: &MethodError) -> Self {
        let code = error.shape().details.as_ref().and_then(|details| details["code"].as_str()).map(str::to_string);
        Failure { message: error.shape().message.clone(), code }
    }
}

/// An answer, and who gave it.
pub struct Answer {
    /// What the backend gave.
    pub result: BackendResult,
    /// Who provided the model.
    pub provider: String,
    /// The model.
    pub model: Option<String>,
}

/// What becomes of a failed try.
enum Next {
    /// The same model again, after this long.
    Again(Duration),
    /// The next model.
    Another,
    /// Nothing.
    End,
}

/// Asks these models, in order, for the next answer of a conversation.
pub async fn ask(
    host: &Host,
    config: &AgentConfig,
    events: &Events,
    models: &[String],
    run: &mut BackendRun,
) -> Result<Answer, Failure> {
    let mut failure = Failure { message: "the agent has no model".to_string(), code: None };
    for (place, name) in models.iter().enumerate() {
        let (backend, model) = name.split_once('/').map_or((name.as_str(), None), |(id, model)| (id, Some(model)));
        run.model = model.map(str::to_string);
        let mut tries = 0;
        loop {
            let error = match once(host, config, events, backend, run).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            events.take_back();
            let method = method(backend);
            let is_missing = is_unknown(&error, &method);
            failure = match is_missing {
                true => Failure::new(
                    "UNKNOWN_BACKEND",
                    format!("There is no agent backend \"{backend}\", which the model \"{name}\" needs."),
                ),
                false => Failure::of(&error),
            };
            host.warn(&format!("the run {:?} got no answer from {name}: {error}", run.run_id));
            let is_last = place + 1 == models.len();
            let next = if is_missing { Next::Another } else { next(config, &error, &failure, tries, is_last) };
            match next {
                Next::Again(wait) => host.sleep(wait).await,
                Next::Another => break,
                Next::End => return Err(failure),
            }
            tries += 1;
        }
    }
    Err(failure)
}

fn next(config: &AgentConfig, error: &MethodError, failure: &Failure, tries: u32, is_last: bool) -> Next {
    match failure.code.as_deref() {
        Some(code::AUTH | code::UNKNOWN_MODEL) => return Next::Another,
        Some(STOPPING) => return Next::End,
        _ => {}
    }
    if error.shape().retryable != Some(true) {
        return Next::End;
    }
    if tries >= config.retries {
        return Next::Another;
    }
    let own = config.retry_ms.saturating_mul(1 << tries.min(20)).min(config.max_retry_ms);
    match error.shape().retry_after_ms {
        Some(asked) if asked > config.max_retry_ms && !is_last => Next::Another,
        Some(asked) if asked > config.max_retry_ms => Next::End,
        Some(asked) => Next::Again(Duration::from_millis(asked.max(1))),
        None => Next::Again(Duration::from_millis(own)),
    }
}

fn method(backend: &str) -> String {
    format!("agent.backend.{backend}.run")
}

async fn once(
    host: &Host,
    config: &AgentConfig,
    events: &Events,
    backend: &str,
    run: &BackendRun,
) -> Result<Answer, MethodError> {
    let mut provider = backend.to_string();
    let mut model = run.model.clone();
    // The run has a deadline of its own; the backend's call ends with it.
    let longest = Duration::from_millis(config.max_timeout_ms);
    let mut replies = host.invoke(&method(backend), run).timeout(longest).replies();
    loop {
        let piece = match replies.next().await {
            InvokeReply::Interim(piece) => piece,
            InvokeReply::Final(result) => {
                let result: BackendResult = serde_json::from_str(result?.get())?;
                // Backends need not have told it in pieces.
                if events.bytes_before() + result.message.plain_text().len() > config.max_answer_bytes {
                    return Err(too_long());
                }
                let provider = result.message.provider.clone().unwrap_or(provider);
                let model = result.message.model.clone().or(model);
                events.model(&provider, model.as_deref());
                return Ok(Answer { result, provider, model });
            }
        };
        match serde_json::from_str::<Piece>(piece.get()) {
            Ok(Piece::Text { delta }) => {
                events.model(&provider, model.as_deref());
                if events.said_bytes() + delta.len() > config.max_answer_bytes {
                    return Err(too_long());
                }
                events.text(&delta);
            }
            Ok(Piece::Model { provider: who, model: which }) => {
                (provider, model) = (who, Some(which));
                events.model(&provider, model.as_deref());
            }
            Ok(Piece::Tool { phase, name, tool_call_id, args, result, is_error }) => {
                events.tool(tool_data(&phase, &name, &tool_call_id, args, result, is_error));
            }
            // Thoughts are in the result; what is of another kind is for others.
            Ok(Piece::Thinking { .. } | Piece::Other) | Err(_) => {}
        }
    }
}

fn too_long() -> MethodError {
    let message = "the answer is too long (max_answer_bytes)";
    MethodError::unavailable(message).with_details(json!({ "code": "ANSWER_TOO_LONG" }))
}

/// The data of a tool's event.
pub fn tool_data(
    phase: &str,
    name: &str,
    tool_call_id: &str,
    args: Option<Value>,
    result: Option<Value>,
    is_error: bool,
) -> Value {
    let mut data = json!({ "phase": phase, "name": name, "toolCallId": tool_call_id });
    match phase {
        "start" => data["args"] = args.unwrap_or_else(|| json!({})),
        "update" => data["partialResult"] = result.unwrap_or(Value::Null),
        _ => {
            data["result"] = result.unwrap_or(Value::Null);
            data["isError"] = Value::Bool(is_error);
        }
    }
    data
}
