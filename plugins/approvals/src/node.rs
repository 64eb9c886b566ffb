//! A node's own file of what may run on it: asked for and changed there, by an internal method of whoever knows the nodes.

use std::sync::Arc;

use plugin_api::{Call, MethodError};
use serde::Serialize;
use serde_json::{Value, json};

use crate::Approvals;
use crate::params::{OfNode, SetOfNode};

/// Asks a node on a plugin's behalf.
pub const CALL: &str = "node.call";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeCall<'a> {
    node_id: &'a str,
    command: &'a str,
    params: Value,
}

impl Approvals {
    pub(crate) async fn get_of_node(self: Arc<Self>, call: Call, params: OfNode) -> Result<Value, MethodError> {
        ask(&call, &params.node_id, "system.execApprovals.get", json!({})).await
    }

    pub(crate) async fn set_of_node(self: Arc<Self>, call: Call, params: SetOfNode) -> Result<Value, MethodError> {
        let mut change = json!({ "file": params.file });
        if let Some(hash) = params.base_hash {
            change["baseHash"] = json!(hash);
        }
        ask(&call, &params.node_id, "system.execApprovals.set", change).await
    }
}

async fn ask(call: &Call, node_id: &str, command: &str, params: Value) -> Result<Value, MethodError> {
    if node_id.trim().is_empty() {
        return Err(MethodError::invalid_request("nodeId required"));
    }
    let asked = NodeCall { node_id, command, params };
    let answer = call.invoke(CALL, &asked).with_own_grants().send().await?;
    Ok(without_token(answer))
}

/// What a node says, without what lets somebody in to its socket: nodes should leave that out, and some may not.
fn without_token(mut answer: Value) -> Value {
    let socket = answer.pointer_mut("/file/socket").and_then(Value::as_object_mut);
    if let Some(socket) = socket {
        socket.retain(|key, _| key == "path");
    }
    answer
}
