//! `/v1/chat/completions`.

use std::sync::Arc;

use plugin_api::contracts::Usage;
use plugin_api::contracts::run::RunRequest;
use plugin_api::http::{self, Exchange, Response};
use serde_json::{Value, json};

use crate::answer::{self, flag, no_tools, plain_format, send, text};
use crate::content::{Content, Role, Told, Turn, told};
use crate::refusal::Refusal;
use crate::run::{Run, Step};
use crate::target::Target;
use crate::{CHAT_BODY, Doors};

/// What was asked for.
struct Asked {
    id: String,
    model: String,
    stream: bool,
    with_usage: bool,
    user: Option<String>,
    thinking: Option<String>,
    turns: Vec<Turn>,
}

/// Answers a request.
pub async fn answer(doors: &Arc<Doors>, mut exchange: Exchange) -> http::Result {
    let body = crate::object(&mut exchange, CHAT_BODY).await?;
    let begun = match body.and_then(|body| read(&body)) {
        Ok(asked) => begin(doors, &exchange, asked).await,
        Err(refusal) => Err(refusal),
    };
    match begun {
        Ok((asked, run)) if asked.stream => stream(exchange, &asked, run).await,
        Ok((asked, run)) => whole(exchange, &asked, run).await,
        Err(refusal) => exchange.respond(refusal.response()).await,
    }
}

fn read(body: &Value) -> Result<Asked, Refusal> {
    no_tools(body, &["tools", "functions"])?;
    plain_format(&body["response_format"], "response_format")?;
    if !body["n"].is_null() && body["n"].as_f64() != Some(1.0) {
        return Err(Refusal::of("n", "one answer is given at a time").code("unsupported_parameter"));
    }
    let stream = flag(body, "stream")?;
    let with_usage = stream && flag(&body["stream_options"], "include_usage")?;
    let messages = body["messages"].as_array().filter(|messages| !messages.is_empty());
    let messages = messages.ok_or_else(|| Refusal::of("messages", "messages has to be a list that is not empty"))?;
    let turns = messages.iter().enumerate().map(|(index, message)| turn(message, &format!("messages[{index}]")));
    Ok(Asked {
        id: format!("chatcmpl-{}", uuid::Uuid::new_v4().simple()),
        model: text(body, "model")?.unwrap_or("openclaw").to_string(),
        stream,
        with_usage,
        user: text(body, "user")?.map(str::to_string),
        thinking: answer::thinking(text(body, "reasoning_effort")?),
        turns: turns.collect::<Result<_, _>>()?,
    })
}

fn turn(message: &Value, place: &str) -> Result<Turn, Refusal> {
    let role = message["role"].as_str().and_then(Role::of);
    let role = role.ok_or_else(|| Refusal::of(format!("{place}.role"), format!("{place}.role is not known")))?;
    Ok(Turn { role, content: Content::read(&message["content"], &format!("{place}.content"))? })
}

/// Begins the run. The answer begins when it was taken on, so that what is refused has its own status.
async fn begin(doors: &Arc<Doors>, exchange: &Exchange, mut asked: Asked) -> Result<(Asked, Run), Refusal> {
    let target = Target::of(&doors.host, exchange, &asked.model, asked.user.as_deref(), "openai").await?;
    let fresh = target.is_fresh(&doors.host).await?;
    let Told { system, message, attachments } = told(std::mem::take(&mut asked.turns), fresh, "messages")?;
    let request = RunRequest {
        run_id: asked.id.clone(),
        message,
        session_key: Some(target.session_key),
        agent_id: Some(target.agent_id),
        origin: "http".to_string(),
        attachments,
        thinking: asked.thinking.clone(),
        extra_system_prompt: system,
        timeout_ms: Some(doors.config.run_timeout_ms),
        ..RunRequest::default()
    };
    let run = Run::begin(&doors.host, &doors.runs, &request, doors.config.keep_alive())?;
    Ok((asked, run))
}

async fn whole(exchange: Exchange, asked: &Asked, mut run: Run) -> http::Result {
    let outcome = loop {
        if let Step::Ended(outcome) = run.next().await {
            break *outcome;
        }
    };
    let outcome = outcome.and_then(|outcome| Refusal::of_outcome(&outcome).map_or(Ok(outcome), Err));
    let response = match outcome {
        Ok(outcome) => Response::json(&json!({
            "id": asked.id,
            "object": "chat.completion",
            "created": answer::now(),
            "model": asked.model,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": outcome.text, "refusal": null },
                "logprobs": null,
                "finish_reason": "stop",
            }],
            "usage": usage(&outcome.usage),
        })),
        Err(refusal) => refusal.response(),
    };
    exchange.respond(response).await
}

async fn stream(exchange: Exchange, asked: &Asked, mut run: Run) -> http::Result {
    // What comes first decides whether there is a stream at all.
    let mut step = run.next().await;
    while let Step::Quiet = step {
        step = run.next().await;
    }
    if let Step::Ended(outcome) = &step {
        let refusal = match outcome.as_ref() {
            Ok(outcome) => Refusal::of_outcome(outcome),
            Err(refusal) => Some(refusal.clone()),
        };
        if let Some(refusal) = refusal {
            return exchange.respond(refusal.response()).await;
        }
    }
    let created = answer::now();
    let chunk = |choices: Value| {
        let mut chunk = json!({
            "id": asked.id, "object": "chat.completion.chunk", "created": created, "model": asked.model,
            "choices": choices,
        });
        if asked.with_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    };
    let delta = |delta: Value, why: Option<&str>| {
        chunk(json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": why }]))
    };
    let (mut out, _) = exchange.stream(answer::stream_head())?;
    send(&mut out, &delta(json!({ "role": "assistant", "content": "" }), None)).await?;
    let outcome = loop {
        match step {
            Step::Accepted => {}
            Step::More(text) => send(&mut out, &delta(json!({ "content": text }), None)).await?,
            Step::Quiet => answer::keep_alive(&mut out).await?,
            Step::Ended(outcome) => break *outcome,
        }
        step = run.next().await;
    };
    match outcome.and_then(|outcome| Refusal::of_outcome(&outcome).map_or(Ok(outcome), Err)) {
        Ok(outcome) => {
            send(&mut out, &delta(json!({}), Some("stop"))).await?;
            if asked.with_usage {
                let mut last = chunk(json!([]));
                last["usage"] = usage(&outcome.usage);
                send(&mut out, &last).await?;
            }
        }
        Err(refusal) => send(&mut out, &json!({ "error": refusal.json() })).await?,
    }
    answer::done(out).await
}

fn usage(usage: &Usage) -> Value {
    let (read, cached, written) = answer::tokens(usage);
    json!({
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": { "cached_tokens": cached },
    })
}
