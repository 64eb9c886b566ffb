//! Parameters and results on the wire.

use plugin_api::lenient;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::book::Request;
use crate::queue::Status;
use crate::surface::{About, Surface};

/// A node.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeId {
    /// Its id.
    #[schemars(length(min = 1))]
    pub node_id: String,
}

/// Parameters of `node.rename`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rename {
    /// The node.
    #[schemars(length(min = 1))]
    pub node_id: String,
    /// Its new name.
    #[schemars(length(min = 1))]
    pub display_name: String,
}

/// A request of a node.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestId {
    /// Its id.
    #[schemars(length(min = 1))]
    pub request_id: String,
}

/// Parameters of `node.pair.approve`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approve {
    /// The request's id.
    #[schemars(length(min = 1))]
    pub request_id: String,
    /// Those of the commands it asks for that are approved; all of them if absent. Those in withheldCommands may be named
    /// as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<Vec<String>>,
}

/// Parameters of `node.invoke`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Invoke {
    /// The node.
    #[schemars(length(min = 1))]
    pub node_id: String,
    /// The command.
    #[schemars(length(min = 1))]
    pub command: String,
    /// Its parameters, as the command has them.
    #[serde(default)]
    #[schemars(with = "Value")]
    pub params: Option<Box<RawValue>>,
    /// Milliseconds until the node must have answered; 30,000 if absent.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    pub timeout_ms: Option<u64>,
    /// Passed on to the node, which may use it to tell a repeated question.
    #[schemars(length(min = 1))]
    pub idempotency_key: String,
    /// What to do when the node is away and the configuration lets the command wait for it. Who says nothing is told at
    /// once that it is not connected, unless queue_unasked is set.
    #[serde(default)]
    pub queue: Option<Queueing>,
    /// The session on whose behalf it is asked; passed over.
    #[serde(default)]
    #[expect(dead_code, reason = "clients of protocol 4 send it")]
    pub session_key: Option<String>,
    /// Where the session's turn came from; passed over.
    #[serde(default)]
    #[expect(dead_code, reason = "clients of protocol 4 send it")]
    pub turn_source_channel: Option<String>,
    /// Where the session's turn came from; passed over.
    #[serde(default)]
    #[expect(dead_code, reason = "clients of protocol 4 send it")]
    pub turn_source_to: Option<String>,
    /// Where the session's turn came from; passed over.
    #[serde(default)]
    #[expect(dead_code, reason = "clients of protocol 4 send it")]
    pub turn_source_account_id: Option<String>,
    /// Where the session's turn came from; passed over.
    #[serde(default)]
    #[expect(dead_code, reason = "clients of protocol 4 send it")]
    pub turn_source_thread_id: Option<Value>,
}

/// How a question waits for a node that is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Queueing {
    /// Whoever asks waits, up to timeoutMs, and nothing of it is left behind then.
    Wait,
    /// The question is kept until the node comes or its time is up; whoever asks has a ticket at once.
    Ticket,
}

/// What a node answered.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Invoked {
    /// Always true.
    pub ok: bool,
    /// The node.
    pub node_id: String,
    /// The command.
    pub command: String,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Value>")]
    pub payload: Option<Box<RawValue>>,
    /// The same as text, if the node sent text.
    #[serde(rename = "payloadJSON")]
    pub payload_json: Option<String>,
    /// The question as it was left for the node, for those who asked for a ticket; nothing came of it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued: Option<Ticket>,
}

/// A question that was left for a node, and the payload of `node.queue.done`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// Its name.
    pub ticket: String,
    /// The node.
    pub node_id: String,
    /// The command.
    pub command: String,
    /// As it was asked with.
    pub idempotency_key: String,
    /// What became of it.
    pub status: Status,
    /// When it was left, in milliseconds since the epoch.
    pub queued_at_ms: u64,
    /// When it is given up, or, when it is over, forgotten.
    pub expires_at_ms: u64,
    /// What came of it. A long one is in the event only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Value>")]
    pub payload: Option<Box<RawValue>>,
    /// Why nothing came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<NodeError>,
}

/// Parameters of `node.queue.list`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueOf {
    /// Of this node only.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub node_id: Option<String>,
}

/// Questions that were left for nodes.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueList {
    /// When, in milliseconds since the epoch.
    pub ts: u64,
    /// In the order in which they were left.
    pub queued: Vec<Ticket>,
    /// Callers that wait for a node themselves.
    pub waiting: usize,
    /// Questions that connected nodes were asked and have not answered, of all nodes.
    pub open: usize,
}

/// A ticket.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TicketName {
    /// Its name.
    #[schemars(length(min = 1))]
    pub ticket: String,
}

/// Payload of `node.invoke.request`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Asked<'a> {
    /// Id of the question.
    pub id: &'a str,
    /// The node.
    pub node_id: &'a str,
    /// The command.
    pub command: &'a str,
    /// Its parameters as JSON text.
    #[serde(rename = "paramsJSON")]
    pub params_json: Option<&'a str>,
    /// Milliseconds that are left.
    pub timeout_ms: u64,
    /// As it was asked with.
    pub idempotency_key: &'a str,
}

/// Payload of `node.invoke.cancel`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cancelled<'a> {
    /// Id of the question.
    pub invoke_id: &'a str,
    /// The node.
    pub node_id: &'a str,
}

/// Parameters of `node.invoke.result`, with the nulls and the objects in the place of text that nodes really send.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InvokeResult {
    /// Id of the question.
    #[schemars(length(min = 1))]
    pub id: String,
    /// The node.
    #[schemars(length(min = 1))]
    pub node_id: String,
    /// Whether the command succeeded: true or false. What is neither is refused, and ends the question all the same.
    #[serde(default)]
    #[schemars(extend("examples" = [true, false]))]
    pub ok: Value,
    /// What came of it.
    #[serde(default)]
    #[schemars(with = "Value")]
    pub payload: Option<Box<RawValue>>,
    /// The same as JSON text. What is not text counts as `payload`, unless that is there.
    #[serde(default, rename = "payloadJSON")]
    #[schemars(with = "Value")]
    pub payload_json: Option<Box<RawValue>>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<NodeError>,
}

/// Why a command failed. What else a node says of it is passed over.
// To refuse it would keep whoever asked waiting until the deadline, for a reason that is lost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeError {
    /// The node's code.
    #[serde(default, deserialize_with = "unless_empty", skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A sentence.
    #[serde(default, deserialize_with = "unless_empty", skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

fn unless_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// It was heard.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Heard {
    /// Always true.
    pub ok: bool,
    /// Nothing came of it: it was unknown, late, said before, or not this node's to say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignored: bool,
}

/// Parameters of `node.invoke.progress`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Progress {
    /// Id of the question.
    #[schemars(length(min = 1))]
    #[expect(dead_code, reason = "nobody hears of progress")]
    pub invoke_id: String,
    /// The node.
    #[schemars(length(min = 1))]
    pub node_id: String,
    /// Its number.
    #[serde(deserialize_with = "lenient::uint")]
    #[expect(dead_code, reason = "nobody hears of progress")]
    pub seq: u64,
    /// A piece of what comes of the command.
    #[schemars(length(max = 16_384))]
    #[expect(dead_code, reason = "nobody hears of progress")]
    pub chunk: String,
}

/// Parameters of `node.event`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeEvent {
    /// Its name.
    #[schemars(length(min = 1))]
    pub event: String,
    /// Its content.
    #[serde(default)]
    #[schemars(with = "Value")]
    pub payload: Option<Box<RawValue>>,
    /// Its content as JSON text.
    #[serde(default, rename = "payloadJSON")]
    pub payload_json: Option<String>,
}

/// The answer to an inventory.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// The node.
    pub node_id: String,
    /// Skills that are kept: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skills: Option<Vec<Value>>,
    /// Tools that are kept: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<Value>>,
}

/// Programs that skills need.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Bins {
    /// Their names.
    pub bins: Vec<String>,
}

/// Every node.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NodeList {
    /// When, in milliseconds since the epoch.
    pub ts: u64,
    /// Connected ones first, then by name.
    pub nodes: Vec<NodeRow>,
}

/// One node.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Described {
    /// When, in milliseconds since the epoch.
    pub ts: u64,
    #[serde(flatten)]
    pub node: NodeRow,
}

/// A node, connected or paired or both.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeRow {
    /// Its id.
    pub node_id: String,
    #[serde(flatten)]
    pub about: About,
    /// Address it connected from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// What may be used: of a node that is away, what was approved.
    #[serde(flatten)]
    pub surface: Surface,
    /// Its search path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_env: Option<String>,
    /// Whether it keeps sessions: none does.
    pub session_host: bool,
    /// Tools that it publishes: none are kept.
    pub node_plugin_tools: Vec<Value>,
    /// What the machine last said of its load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_stats: Option<Value>,
    /// `approved`, `pending-approval`, `pending-reapproval` (what was approved before stays) or `unapproved`.
    pub approval_state: String,
    /// The request that waits; for those who may decide about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_request_id: Option<String>,
    /// What it asks for; for those who may decide about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_declared_caps: Option<Vec<String>>,
    /// What it asks for; for those who may decide about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_declared_commands: Option<Vec<String>>,
    /// Commands that it asked for and was not given; for those who may decide about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withheld_commands: Option<Vec<String>>,
    /// When it was approved, in milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_at_ms: Option<u64>,
    /// When it connected, if it is connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected_at_ms: Option<u64>,
    /// When it last connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_connected_at_ms: Option<u64>,
    /// When it was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_at_ms: Option<u64>,
    /// What it was seen doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_reason: Option<String>,
    /// Whether its device is paired.
    pub paired: bool,
    /// Whether it is connected.
    pub connected: bool,
}

/// Requests and approvals.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PairList {
    /// Newest first.
    pub pending: Vec<Request>,
    /// Last approved first.
    pub paired: Vec<PairedNode>,
}

/// A node whose surface was approved.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairedNode {
    /// The node.
    pub node_id: String,
    #[serde(flatten)]
    pub about: About,
    #[serde(flatten)]
    pub surface: Surface,
    /// When it was first approved.
    pub created_at_ms: u64,
    /// When it was last approved.
    pub approved_at_ms: u64,
    /// When it was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_at_ms: Option<u64>,
    /// What it was seen doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_reason: Option<String>,
}

/// It was approved.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovedNode {
    /// Id of the request.
    pub request_id: String,
    /// The node.
    pub node: PairedNode,
}

/// It was rejected.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedNode {
    /// Id of the request.
    pub request_id: String,
    /// The node.
    pub node_id: String,
}

/// It was forgotten.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemovedNode {
    /// The node.
    pub node_id: String,
}

/// A node and its name.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenamedNode {
    /// The node.
    pub node_id: String,
    /// Its name.
    pub display_name: String,
}

/// Payload of `node.pair.resolved`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resolved<'a> {
    /// Id of the request.
    pub request_id: &'a str,
    /// The node.
    pub node_id: &'a str,
    /// `approved` or `rejected`.
    pub decision: &'a str,
    /// When, in milliseconds since the epoch.
    pub ts: u64,
}
