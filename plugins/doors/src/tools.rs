//! `/tools/invoke`: one method that is made for agents, called by a program.

use std::sync::Arc;

use plugin_api::catalogue::RegistryList;
use plugin_api::http::{self, Exchange, Response};
use plugin_api::{Exposure, MethodError, MethodSpec};
use schemas::scope;
use serde_json::{Value, json};

use crate::refusal::Refusal;
use crate::{Doors, DoorsConfig, TOOLS_BODY};

/// Answers a request.
pub async fn answer(doors: &Arc<Doors>, mut exchange: Exchange) -> http::Result {
    let body = crate::object(&mut exchange, TOOLS_BODY).await?;
    let response = match body {
        Ok(body) => invoke(doors, &body).await.unwrap_or_else(|failed| failed),
        Err(Refusal { status, message, .. }) => failed(status, "invalid_request", &message),
    };
    exchange.respond(response).await
}

async fn invoke(doors: &Doors, body: &Value) -> Result<Response, Response> {
    let wrong = |why: &str| failed(400, "invalid_request", why);
    let text = |name: &str| match &body[name] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        _ => Err(wrong(&format!("{name} has to be a text"))),
    };
    let tool = text("tool")?.ok_or_else(|| wrong("tool has to name a tool"))?;
    let (action, session) = (text("action")?, text("sessionKey")?);
    let mut args = match &body["args"] {
        Value::Null => serde_json::Map::new(),
        Value::Object(args) => args.clone(),
        _ => return Err(wrong("args has to be an object")),
    };
    let specs = specs(doors).await.map_err(|error| {
        doors.host.warn(&format!("the methods cannot be looked up: {error}"));
        failed(503, "unavailable", "the gateway's methods cannot be looked up just now")
    })?;
    // The action of a tool is a method of its own, or a parameter.
    let full = action.map(|action| format!("{tool}.{action}"));
    let found = full
        .iter()
        .map(String::as_str)
        .chain([tool])
        .find_map(|name| specs.iter().find(|spec| is_named(spec, name) && is_open(spec, &doors.config)));
    let spec = found.ok_or_else(|| failed(404, "not_found", "there is no such tool, or it is not open here"))?;
    let schema = spec.params.value();
    for (name, value) in [("action", action), ("sessionKey", session)] {
        if let Some(value) = value
            && schema["properties"].get(name).is_some()
        {
            args.entry(name).or_insert_with(|| json!(value));
        }
    }
    let keyed = schema["required"].as_array().is_some_and(|names| names.contains(&json!("idempotencyKey")));
    if keyed {
        args.entry("idempotencyKey").or_insert_with(|| json!(uuid::Uuid::new_v4().to_string()));
    }
    let answer: Result<Value, MethodError> = doors.host.invoke(&spec.name, &Value::Object(args)).send().await;
    match answer {
        Ok(result) => Ok(Response::json(&json!({ "ok": true, "result": result }))),
        Err(error) => Err(failed(400, "tool_error", &error.shape().message)),
    }
}

async fn specs(doors: &Doors) -> Result<Vec<MethodSpec>, MethodError> {
    let list: RegistryList = doors.host.invoke("host.registry.list", &json!({})).send().await?;
    let specs = list.methods.into_iter().filter_map(|entry| entry.spec.read::<MethodSpec>().ok());
    Ok(specs.filter(|spec| spec.tool && spec.role != Exposure::Node).collect())
}

/// As the method is called, or as models are offered it.
fn is_named(spec: &MethodSpec, name: &str) -> bool {
    spec.name == name || spec.name.replace('.', "_") == name
}

/// Whether it may be called from here.
fn is_open(spec: &MethodSpec, config: &DoorsConfig) -> bool {
    if config.tools_allowed.is_empty() {
        return !spec.effects
            && spec.role != Exposure::Internal
            && spec.scopes.iter().any(|needed| needed == scope::READ);
    }
    config.tools_allowed.iter().any(|allowed| match allowed.strip_suffix('*') {
        Some(prefix) => spec.name.starts_with(prefix),
        None => is_named(spec, allowed),
    })
}

fn failed(status: u16, kind: &str, message: &str) -> Response {
    Response::json(&json!({ "ok": false, "error": { "type": kind, "message": message } })).with_status(status)
}
