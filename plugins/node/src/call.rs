//! `node.call`: a plugin asks a node in its own name, for what operators may not ask by `node.invoke`; and what that is.

use std::sync::Arc;

use plugin_api::{Call, Caller, MethodError, lenient};
use schemars::JsonSchema;
use schemas::scope::{self, APPROVALS};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Node;
use crate::params::Invoke;

/// What only plugins may ask: who may run what on a node is changed by those who may, through methods of their own.
const RESERVED: &str = "system.execApprovals.";

/// Parameters of `node.call`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeCall {
    /// The node.
    #[schemars(length(min = 1))]
    node_id: String,
    /// The command, which the node must offer and somebody have approved.
    #[schemars(length(min = 1))]
    command: String,
    /// Its parameters, as the command has them.
    #[serde(default)]
    #[schemars(with = "Value")]
    params: Option<Box<RawValue>>,
    /// Milliseconds until the node must have answered; 30,000 if absent.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    timeout_ms: Option<u64>,
}

impl Node {
    /// What the node answered, bare.
    pub(crate) async fn call_node(self: Arc<Self>, call: Call, asked: NodeCall) -> Result<Value, MethodError> {
        let payload = self.invoke(call, asked.into_invoke()?).await?.payload;
        Ok(payload.map(|payload| serde_json::from_str(payload.get())).transpose()?.unwrap_or_default())
    }
}

impl NodeCall {
    /// The same as an operator would ask it.
    fn into_invoke(self) -> Result<Invoke, MethodError> {
        let written = serde_json::to_string(&AsOperator {
            node_id: &self.node_id,
            command: &self.command,
            params: self.params.as_deref(),
            timeout_ms: self.timeout_ms,
            idempotency_key: &uuid::Uuid::new_v4().to_string(),
        })?;
        Ok(serde_json::from_str(&written)?)
    }
}

/// Parameters of `node.invoke`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AsOperator<'a> {
    node_id: &'a str,
    command: &'a str,
    params: Option<&'a RawValue>,
    timeout_ms: Option<u64>,
    idempotency_key: &'a str,
}

/// Checks that a caller of `node.invoke` may ask that at all. Other methods of this plugin are plugins' own affair.
pub fn check_wish(call: &Call, caller: &Caller, command: &str, params: Option<&RawValue>) -> Result<(), MethodError> {
    if call.method() != "node.invoke" {
        return Ok(());
    }
    if command.starts_with(RESERVED) {
        let why = "node.invoke does not allow system.execApprovals.*; use exec.approvals.node.*";
        return Err(MethodError::invalid_request(why));
    }
    if command == "system.run"
        && params.is_some_and(claims_approval)
        && caller.role != "plugin"
        && !scope::any_satisfies(&caller.scopes, APPROVALS)
    {
        // Whoever may not decide about runs may not say either that one was decided.
        return Err(MethodError::missing_scope(APPROVALS));
    }
    Ok(())
}

/// Whether params of a run say that somebody approved it.
fn claims_approval(params: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Claims {
        #[serde(default)]
        approved: Value,
        #[serde(default, rename = "approvalDecision")]
        decision: Value,
    }
    match serde_json::from_str::<Claims>(params.get()) {
        Ok(claims) => !matches!(claims.approved, Value::Null | Value::Bool(false)) || !claims.decision.is_null(),
        // Such as a key that stands there twice: a node may read either.
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_seen_in_any_form() {
        let claims = |text: &str| claims_approval(&RawValue::from_string(text.to_string()).unwrap());
        for text in [
            r#"{"approved":true}"#,
            r#"{"approved":"yes"}"#,
            r#"{"approvalDecision":"allow-once"}"#,
            r#"{"approved":false,"approved":true}"#,
            "[true]",
        ] {
            assert!(claims(text), "{text}");
        }
        for text in [r#"{"command":["ls"]}"#, r#"{"approved":false,"approvalDecision":null}"#] {
            assert!(!claims(text), "{text}");
        }
    }
}
