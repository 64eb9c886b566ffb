//! `/v1/models`: the agents, under names by which the other doors find them.

use std::sync::Arc;

use plugin_api::MethodError;
use plugin_api::http::{self, Exchange, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Doors;
use crate::refusal::Refusal;
use crate::target::of_model;

/// The part of `agents.list` that is looked at.
#[derive(Deserialize)]
struct Agents {
    #[serde(default)]
    agents: Vec<Agent>,
}

#[derive(Deserialize)]
struct Agent {
    id: String,
}

/// Answers a request.
pub async fn answer(doors: &Arc<Doors>, exchange: Exchange) -> http::Result {
    let listed: Result<Agents, MethodError> = doors.host.invoke("agents.list", &json!({})).send().await;
    let response = match listed {
        Ok(Agents { agents }) => match exchange.below().trim_start_matches('/') {
            "" => {
                let models: Vec<Value> = agents.iter().map(|agent| model(&agent.id)).collect();
                Response::json(&json!({ "object": "list", "data": models }))
            }
            name => {
                let name = name.replace("%2F", "/").replace("%2f", "/").replace("%3A", ":").replace("%3a", ":");
                match of_model(&name).filter(|id| agents.iter().any(|agent| agent.id == *id)) {
                    Some(id) => Response::json(&model(&id)),
                    None => Refusal::new(404, "there is no such agent").code("model_not_found").response(),
                }
            }
        },
        Err(error) => Refusal::of_method(&error).response(),
    };
    exchange.respond(response).await
}

fn model(agent: &str) -> Value {
    json!({ "id": format!("openclaw/{agent}"), "object": "model", "created": 0, "owned_by": "openclaw" })
}
