//! `/v1/responses`: the part of OpenAI's responses that a run of an agent can answer.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use plugin_api::contracts::Usage;
use plugin_api::contracts::run::{RunOutcome, RunRequest};
use plugin_api::http::{self, Exchange, Outgoing, Response};
use serde_json::{Value, json};

use crate::answer::{self, flag, no_tools, plain_format, text};
use crate::content::{Content, Role, Told, Turn, told};
use crate::refusal::Refusal;
use crate::run::{Run, Step};
use crate::target::Target;
use crate::{Doors, RESPONSES_BODY};

/// Which conversation a response belongs to; the oldest are forgotten, and all of them when the gateway restarts.
pub struct Conversations {
    known: Mutex<(HashMap<String, Target>, VecDeque<String>)>,
    most: usize,
}

impl Conversations {
    pub fn new(most: usize) -> Self {
        Conversations { known: Mutex::default(), most }
    }

    fn of(&self, response: &str) -> Option<Target> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).0.get(response).cloned()
    }

    fn note(&self, response: &str, target: Target) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (targets, order) = &mut *known;
        while order.len() >= self.most {
            if let Some(oldest) = order.pop_front() {
                targets.remove(&oldest);
            }
        }
        order.push_back(response.to_string());
        targets.insert(response.to_string(), target);
    }
}

/// What was asked for.
struct Asked {
    id: String,
    item: String,
    created: u64,
    model: String,
    stream: bool,
    store: bool,
    user: Option<String>,
    previous: Option<String>,
    instructions: Option<String>,
    metadata: Value,
    thinking: Option<String>,
    turns: Vec<Turn>,
}

/// Answers a request.
pub async fn answer(doors: &Arc<Doors>, mut exchange: Exchange) -> http::Result {
    let body = crate::object(&mut exchange, RESPONSES_BODY).await?;
    let begun = match body.and_then(|body| read(&body)) {
        Ok(asked) => begin(doors, &exchange, asked).await,
        Err(refusal) => Err(refusal),
    };
    match begun {
        Ok((asked, target, run)) if asked.stream => stream(doors, exchange, &asked, target, run).await,
        Ok((asked, target, run)) => whole(doors, exchange, &asked, target, run).await,
        Err(refusal) => exchange.respond(refusal.response()).await,
    }
}

fn read(body: &Value) -> Result<Asked, Refusal> {
    no_tools(body, &["tools"])?;
    plain_format(&body["text"]["format"], "text.format")?;
    for name in ["background", "conversation", "prompt"] {
        if !matches!(body[name], Value::Null | Value::Bool(false)) {
            return Err(Refusal::of(name, format!("{name} is not supported")).code("unsupported_parameter"));
        }
    }
    let turns = match &body["input"] {
        Value::String(text) => {
            vec![Turn { role: Role::User, content: Content { text: text.clone(), ..Content::default() } }]
        }
        Value::Array(items) => {
            let turns = items.iter().enumerate().map(|(index, item)| turn(item, &format!("input[{index}]")));
            turns.filter_map(Result::transpose).collect::<Result<_, _>>()?
        }
        _ => return Err(Refusal::of("input", "input has to be a text or a list of items")),
    };
    Ok(Asked {
        id: format!("resp_{}", uuid::Uuid::new_v4().simple()),
        item: format!("msg_{}", uuid::Uuid::new_v4().simple()),
        created: answer::now(),
        model: text(body, "model")?.unwrap_or("openclaw").to_string(),
        stream: flag(body, "stream")?,
        store: body["store"].is_null() || flag(body, "store")?,
        user: text(body, "user")?.map(str::to_string),
        previous: text(body, "previous_response_id")?.map(str::to_string),
        instructions: text(body, "instructions")?.filter(|text| !text.is_empty()).map(str::to_string),
        metadata: if body["metadata"].is_object() { body["metadata"].clone() } else { json!({}) },
        thinking: answer::thinking(text(&body["reasoning"], "effort")?),
        turns,
    })
}

/// An item of the input; nothing for one that says nothing to an agent.
fn turn(item: &Value, place: &str) -> Result<Option<Turn>, Refusal> {
    match item["type"].as_str().unwrap_or("message") {
        "message" => {}
        "reasoning" => return Ok(None),
        other => return Err(Refusal::of(place, format!("items of the type {other:?} are not taken"))),
    }
    let role = item["role"].as_str().and_then(Role::of).filter(|role| *role != Role::Tool);
    let role = role.ok_or_else(|| Refusal::of(format!("{place}.role"), format!("{place}.role is not known")))?;
    Ok(Some(Turn { role, content: Content::read(&item["content"], &format!("{place}.content"))? }))
}

async fn begin(doors: &Arc<Doors>, exchange: &Exchange, mut asked: Asked) -> Result<(Asked, Target, Run), Refusal> {
    let target = match &asked.previous {
        Some(previous) => doors.conversations.of(previous).ok_or_else(|| {
            let gone = Refusal::new(404, "there is no such response, or it is forgotten");
            Refusal { param: Some("previous_response_id".into()), ..gone }.code("previous_response_not_found")
        })?,
        None => Target::of(&doors.host, exchange, &asked.model, asked.user.as_deref(), "openresponses").await?,
    };
    let fresh = target.is_fresh(&doors.host).await?;
    let Told { system, message, attachments } = told(std::mem::take(&mut asked.turns), fresh, "input")?;
    let system: Vec<String> = asked.instructions.iter().cloned().chain(system).collect();
    let request = RunRequest {
        run_id: asked.id.clone(),
        message,
        session_key: Some(target.session_key.clone()),
        agent_id: Some(target.agent_id.clone()),
        origin: "http".to_string(),
        attachments,
        thinking: asked.thinking.clone(),
        extra_system_prompt: (!system.is_empty()).then(|| system.join("\n\n")),
        timeout_ms: Some(doors.config.run_timeout_ms),
        ..RunRequest::default()
    };
    let run = Run::begin(&doors.host, &doors.runs, &request, doors.config.keep_alive())?;
    Ok((asked, Target { is_kept: true, ..target }, run))
}

/// The response as it stands.
fn shown(asked: &Asked, status: &str, text: Option<&str>, usage: Option<&Usage>, error: Option<&Refusal>) -> Value {
    let error = error.map(|refusal| json!({ "code": refusal.code_or_kind(), "message": refusal.message }));
    json!({
        "id": asked.id,
        "object": "response",
        "created_at": asked.created,
        "status": status,
        "model": asked.model,
        "output": text.map_or_else(Vec::new, |text| vec![message(asked, status, Some(text))]),
        "error": error,
        "incomplete_details": null,
        "instructions": asked.instructions,
        "metadata": asked.metadata,
        "parallel_tool_calls": false,
        "tool_choice": "none",
        "tools": [],
        "temperature": null,
        "top_p": null,
        "previous_response_id": asked.previous,
        "store": asked.store,
        "usage": usage.map(shown_usage),
    })
}

fn message(asked: &Asked, status: &str, text: Option<&str>) -> Value {
    let content: Vec<Value> = text.into_iter().map(part).collect();
    json!({ "type": "message", "id": asked.item, "status": status, "role": "assistant", "content": content })
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
}

fn shown_usage(usage: &Usage) -> Value {
    let (read, cached, written) = answer::tokens(usage);
    json!({
        "input_tokens": read,
        "input_tokens_details": { "cached_tokens": cached },
        "output_tokens": written,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": read + written,
    })
}

fn judged(outcome: Result<RunOutcome, Refusal>) -> Result<RunOutcome, Refusal> {
    outcome.and_then(|outcome| Refusal::of_outcome(&outcome).map_or(Ok(outcome), Err))
}

async fn whole(doors: &Doors, exchange: Exchange, asked: &Asked, target: Target, mut run: Run) -> http::Result {
    let outcome = loop {
        if let Step::Ended(outcome) = run.next().await {
            break *outcome;
        }
    };
    let response = match judged(outcome) {
        Ok(outcome) => {
            if asked.store {
                doors.conversations.note(&asked.id, target);
            }
            Response::json(&shown(asked, "completed", Some(&outcome.text), Some(&outcome.usage), None))
        }
        Err(refusal) => refusal.response(),
    };
    exchange.respond(response).await
}

/// Events with their names and numbers.
struct Events {
    out: Outgoing,
    number: u64,
}

impl Events {
    async fn send(&mut self, kind: &str, mut fields: Value) -> http::Result {
        fields["type"] = json!(kind);
        fields["sequence_number"] = json!(self.number);
        self.number += 1;
        self.out.write(format!("event: {kind}\ndata: {fields}\n\n").as_bytes()).await
    }
}

async fn stream(doors: &Doors, exchange: Exchange, asked: &Asked, target: Target, mut run: Run) -> http::Result {
    let mut step = run.next().await;
    while let Step::Quiet = step {
        step = run.next().await;
    }
    step = match step {
        Step::Ended(outcome) => match judged(*outcome) {
            Ok(outcome) => Step::Ended(Box::new(Ok(outcome))),
            Err(refusal) => return exchange.respond(refusal.response()).await,
        },
        step => step,
    };
    let (out, _) = exchange.stream(answer::stream_head())?;
    let mut events = Events { out, number: 0 };
    let begun = json!({ "response": shown(asked, "in_progress", None, None, None) });
    events.send("response.created", begun.clone()).await?;
    events.send("response.in_progress", begun).await?;
    let item = message(asked, "in_progress", None);
    events.send("response.output_item.added", json!({ "output_index": 0, "item": item })).await?;
    let within = |fields: Value| {
        let mut within = json!({ "item_id": asked.item, "output_index": 0, "content_index": 0 });
        for (name, value) in fields.as_object().into_iter().flatten() {
            within[name] = value.clone();
        }
        within
    };
    events.send("response.content_part.added", within(json!({ "part": part("") }))).await?;
    let mut all = String::new();
    let outcome = loop {
        match step {
            Step::Accepted => {}
            Step::More(text) => {
                all.push_str(&text);
                let delta = within(json!({ "delta": text, "logprobs": [] }));
                events.send("response.output_text.delta", delta).await?;
            }
            Step::Quiet => answer::keep_alive(&mut events.out).await?,
            Step::Ended(outcome) => break *outcome,
        }
        step = run.next().await;
    };
    match judged(outcome) {
        Ok(outcome) => {
            let done = within(json!({ "text": all, "logprobs": [] }));
            events.send("response.output_text.done", done).await?;
            events.send("response.content_part.done", within(json!({ "part": part(&all) }))).await?;
            let item = message(asked, "completed", Some(&all));
            events.send("response.output_item.done", json!({ "output_index": 0, "item": item })).await?;
            if asked.store {
                doors.conversations.note(&asked.id, target);
            }
            let response = shown(asked, "completed", Some(&all), Some(&outcome.usage), None);
            events.send("response.completed", json!({ "response": response })).await?;
        }
        Err(refusal) => {
            let response = shown(asked, "failed", None, None, Some(&refusal));
            events.send("response.failed", json!({ "response": response })).await?;
        }
    }
    answer::done(events.out).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_are_bounded() {
        let known = Conversations::new(2);
        let target = |key: &str| Target { agent_id: "main".into(), session_key: key.into(), is_kept: true };
        for id in ["a", "b", "c"] {
            known.note(id, target(id));
        }
        assert_eq!((known.of("a"), known.of("c")), (None, Some(target("c"))));
    }
}
