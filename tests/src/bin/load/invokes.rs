//! Questions to a node: from an operator through the server to the node and its answer back. The node answers at once, so
//! what is measured is the way.

use std::time::Duration;

use clap::Args;
use client::Identity;
use futures_util::{FutureExt, SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::report::{Outcome, Report};
use crate::requests::{self, RequestsArguments};
use crate::wire::{Socket, Target, frame, next_text};

#[derive(Debug, Clone, Args)]
pub struct InvokesArguments {
    /// Connections that ask.
    #[arg(long, default_value_t = 8)]
    pub connections: usize,
    /// Questions in flight on each of them.
    #[arg(long, default_value_t = 8)]
    pub in_flight: usize,
    /// How long to measure.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// How long to run before measuring.
    #[arg(long, default_value_t = 0.5)]
    pub warm_up: f64,
}

/// One that gateways let nodes of this kind offer.
pub const COMMAND: &str = "system.which";
/// What the node answers: about as much as it would.
const ANSWER: &str = r#"{"bins":{"git":"/usr/bin/git","node":"/usr/local/bin/node"}}"#;
/// How often it is looked whether the node can be approved, and the pause between two looks.
const LOOKS: (usize, Duration) = (200, Duration::from_millis(10));

pub async fn run(target: &Target, arguments: &InvokesArguments) -> Outcome<Report> {
    let identity = Identity::generate().map_err(|error| error.to_string())?;
    run_with(&identity, target, arguments).await
}

/// The same with a node that there is already.
pub async fn run_with(identity: &Identity, target: &Target, arguments: &InvokesArguments) -> Outcome<Report> {
    let node_id = identity.device_id().to_string();
    let node = target.open_node(identity, COMMAND).await?;
    approve(target, &node_id).await?;
    let answering = tokio::spawn(answer(node));
    let params = json!({
        "nodeId": node_id, "command": COMMAND, "params": { "bins": ["git", "node"] }, "timeoutMs": 10_000,
        "idempotencyKey": "load",
    });
    let report = requests::run(
        target,
        &RequestsArguments {
            connections: arguments.connections,
            in_flight: arguments.in_flight,
            seconds: arguments.seconds,
            requests: None,
            warm_up: arguments.warm_up,
            method: "node.invoke".to_string(),
            params: params.to_string(),
        },
    )
    .await?;
    answering.abort();
    let scenario = format!("invokes {}x{}", arguments.connections, arguments.in_flight);
    Ok(Report { scenario, unit: "invokes", ..report })
}

/// Approves what the node offers, where the server asks for that.
async fn approve(target: &Target, node_id: &str) -> Outcome<()> {
    let mut operator = target.open(None).await?;
    for _ in 0..LOOKS.0 {
        let list = ask(&mut operator, "node.pair.list", json!({})).await?;
        let of_node =
            |list: &Value| list.as_array().and_then(|rows| rows.iter().find(|row| row["nodeId"] == node_id).cloned());
        if let Some(request) = of_node(&list["pending"]) {
            ask(&mut operator, "node.pair.approve", json!({ "requestId": request["requestId"] })).await?;
            return Ok(());
        }
        if of_node(&list["paired"]).is_some() {
            return Ok(());
        }
        tokio::time::sleep(LOOKS.1).await;
    }
    Err(format!("{node_id} does not wait for approval"))
}

async fn ask(socket: &mut Socket, method: &str, params: Value) -> Outcome<Value> {
    let id = format!("{method} of the load tool");
    socket.send(Message::text(frame(&id, method, &params))).await.map_err(|error| error.to_string())?;
    loop {
        let text = next_text(socket).await?;
        let value: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if value["id"] == id.as_str() {
            return if value["ok"] == true { Ok(value["payload"].clone()) } else { Err(text) };
        }
    }
}

/// The node: answers all that has arrived, then flushes once.
async fn answer(mut socket: Socket) {
    #[derive(Deserialize)]
    struct Event<'a> {
        event: &'a str,
        #[serde(borrow)]
        payload: Asked<'a>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Asked<'a> {
        id: &'a str,
        node_id: &'a str,
    }
    let mut count = 0_u64;
    let mut next = socket.next().await;
    while let Some(Ok(message)) = next {
        if let Ok(text) = message.to_text()
            && let Ok(Event { event: "node.invoke.request", payload }) = serde_json::from_str(text)
        {
            count += 1;
            let answer = json!({
                "type": "req", "id": count.to_string(), "method": "node.invoke.result",
                "params": { "id": payload.id, "nodeId": payload.node_id, "ok": true, "payloadJSON": ANSWER },
            });
            if socket.feed(Message::text(answer.to_string())).await.is_err() {
                return;
            }
        }
        next = match socket.next().now_or_never() {
            Some(more) => more,
            None => {
                if socket.flush().await.is_err() {
                    return;
                }
                socket.next().await
            }
        };
    }
}
