//! Parameters and results on the wire.

use plugin_api::{MethodError, lenient};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::file::ApprovalsFile;
use crate::pending::Pending;

/// What an operator may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// This run and no other.
    AllowOnce,
    /// This run and those like it.
    AllowAlways,
    /// It may not.
    Deny,
}

impl Decision {
    const ALL: [Decision; 3] = [Decision::AllowOnce, Decision::AllowAlways, Decision::Deny];

    /// The decision of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decision| decision.name() == name)
    }

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Decision::AllowOnce => "allow-once",
            Decision::AllowAlways => "allow-always",
            Decision::Deny => "deny",
        }
    }
}

/// Parameters of `exec.approval.request`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Ask {
    /// The command as it is shown; with `systemRunPlan` or `commandArgv` it may be absent.
    #[schemars(length(min = 1))]
    command: Option<String>,
    /// The command's words.
    command_argv: Option<Vec<String>>,
    /// What exactly a node would run.
    system_run_plan: Option<Plan>,
    /// The node that would run it.
    node_id: Option<String>,
    /// Id of the request; made up if absent.
    #[schemars(length(min = 1, max = 256))]
    id: Option<String>,
    /// The folder it would run in.
    cwd: Option<String>,
    /// Where it would run, such as `gateway` or `node`.
    host: Option<String>,
    /// The security mode in force.
    security: Option<String>,
    /// When operators are asked there.
    ask: Option<String>,
    /// The agent that wants it.
    agent_id: Option<String>,
    /// The program that would run.
    resolved_path: Option<String>,
    /// The session that wants it.
    session_key: Option<String>,
    /// Milliseconds until it is too late to decide; 120,000 unless configured.
    #[serde(deserialize_with = "lenient::optional_uint")]
    #[schemars(range(min = 1))]
    pub timeout_ms: Option<u64>,
    /// Whether to answer first that it was accepted.
    pub two_phase: Option<bool>,
}

/// What exactly a node would run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The command's words.
    #[schemars(length(min = 1))]
    pub argv: Vec<String>,
    /// The folder.
    #[serde(default)]
    pub cwd: Option<String>,
    /// The command as it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_text: Option<String>,
    /// A shorter form of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_preview: Option<String>,
    /// The agent.
    #[serde(default)]
    pub agent_id: Option<String>,
    /// The session.
    #[serde(default)]
    pub session_key: Option<String>,
    /// Whatever else the node needs to know again what it was asked.
    #[serde(flatten)]
    pub more: serde_json::Map<String, Value>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The command as it is shown. Characters that would deceive whoever reads it are written out, as `\u{202e}`.
    pub command: String,
    /// The command's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_argv: Option<Vec<String>>,
    /// What exactly a node would run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_run_plan: Option<Plan>,
    /// The node that would run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// The folder it would run in.
    pub cwd: Option<String>,
    /// Where it would run.
    pub host: Option<String>,
    /// The security mode in force.
    pub security: Option<String>,
    /// When operators are asked there.
    pub ask: Option<String>,
    /// The agent that wants it.
    pub agent_id: Option<String>,
    /// The program that would run.
    pub resolved_path: Option<String>,
    /// The session that wants it.
    pub session_key: Option<String>,
}

impl Ask {
    /// The id that was asked for, and what is asked.
    pub fn into_request(self) -> Result<(Option<String>, Request), MethodError> {
        let Ask { command, command_argv, system_run_plan: plan, node_id, .. } = self;
        let refused = |why: &str| Err(MethodError::invalid_request(why));
        if self.host.as_deref() == Some("node") && (node_id.is_some() || plan.is_some() || command_argv.is_some()) {
            // Who asks in the older form has none of these.
            if node_id.as_deref().is_none_or(|id| id.trim().is_empty()) {
                return refused("nodeId is required for host=node");
            }
            if plan.is_none() {
                return refused("systemRunPlan is required for host=node");
            }
        }
        // What is bound to run goes before what is said of it.
        let of_plan = plan.as_ref().map(|plan| plan.command_text.clone().unwrap_or_else(|| plan.argv.join(" ")));
        let command_argv = plan.as_ref().map(|plan| plan.argv.clone()).or(command_argv);
        let shown = of_plan.or(command).or_else(|| command_argv.as_ref().map(|argv| argv.join(" ")));
        let Some(command) = shown.filter(|command| !command.trim().is_empty()) else {
            return refused("command is required");
        };
        let of_plan = |pick: fn(&Plan) -> &Option<String>| plan.as_ref().and_then(|plan| pick(plan).clone());
        let request = Request {
            command: plain(&command),
            cwd: of_plan(|plan| &plan.cwd).or(self.cwd),
            host: self.host,
            security: self.security,
            ask: self.ask,
            agent_id: of_plan(|plan| &plan.agent_id).or(self.agent_id),
            resolved_path: self.resolved_path,
            session_key: of_plan(|plan| &plan.session_key).or(self.session_key),
            command_argv,
            node_id,
            system_run_plan: plan,
        };
        Ok((self.id, request))
    }
}

/// A text in which nothing is hidden: characters that show nothing, or turn the direction of what follows, are written out.
fn plain(text: &str) -> String {
    let hides = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    text.chars().map(|c| if hides(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// First answer to a request with `twoPhase`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted<'a> {
    status: &'static str,
    id: &'a str,
    created_at_ms: u64,
    expires_at_ms: u64,
}

impl<'a> Accepted<'a> {
    /// Of a request that waits.
    pub fn of(pending: &'a Pending) -> Self {
        let Pending { id, created_at_ms, expires_at_ms, .. } = pending;
        Accepted { status: "accepted", id, created_at_ms: *created_at_ms, expires_at_ms: *expires_at_ms }
    }
}

/// What was decided.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    /// Id of the request.
    id: String,
    /// The decision; null when nobody decided in time.
    decision: Option<Decision>,
    /// When it was asked, in milliseconds since the epoch.
    created_at_ms: u64,
    /// When it was too late to decide.
    expires_at_ms: u64,
}

impl Answered {
    /// Of a request that has its outcome.
    pub fn of(pending: &Pending, decision: Option<Decision>) -> Self {
        let Pending { id, created_at_ms, expires_at_ms, .. } = pending;
        Answered { id: id.clone(), decision, created_at_ms: *created_at_ms, expires_at_ms: *expires_at_ms }
    }
}

/// Parameters of `exec.approval.resolve`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resolve {
    /// Id of the request.
    #[schemars(length(min = 1))]
    pub id: String,
    /// `allow-once`, `allow-always` or `deny`.
    #[schemars(length(min = 1))]
    pub decision: String,
}

/// Which request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalId {
    /// Its id.
    #[schemars(length(min = 1))]
    pub id: String,
}

/// Payload of `exec.approval.resolved`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// Id of the request.
    pub id: String,
    /// The decision.
    pub decision: Decision,
    /// Who decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_by: Option<String>,
    /// When, in milliseconds since the epoch.
    pub ts: u64,
}

/// It is done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Done {
    /// Always true.
    pub ok: bool,
}

/// A request that waits, as whoever decides looks at it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// Its id.
    id: String,
    /// The command as it is shown.
    command_text: String,
    /// A shorter form of it.
    command_preview: Option<String>,
    /// What may be decided.
    allowed_decisions: [Decision; 3],
    /// Where it would run.
    host: Option<String>,
    /// The node that would run it.
    node_id: Option<String>,
    /// The agent that wants it.
    agent_id: Option<String>,
    /// When it is too late to decide, in milliseconds since the epoch.
    expires_at_ms: u64,
}

impl Seen {
    /// Of a request that waits.
    pub fn of(pending: &Pending) -> Self {
        let Pending { id, request, expires_at_ms, .. } = pending;
        let preview = request.system_run_plan.as_ref().and_then(|plan| plan.command_preview.as_deref());
        Seen {
            id: id.clone(),
            command_text: request.command.clone(),
            command_preview: preview.map(plain),
            allowed_decisions: Decision::ALL,
            host: request.host.clone(),
            node_id: request.node_id.clone(),
            agent_id: request.agent_id.clone(),
            expires_at_ms: *expires_at_ms,
        }
    }
}

/// Parameters of `exec.approvals.set`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetFile {
    /// The file.
    pub file: ApprovalsFile,
    /// Hash of the file that it replaces.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub base_hash: Option<String>,
}

/// Parameters of `exec.approvals.node.get`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OfNode {
    /// The node.
    #[schemars(length(min = 1))]
    pub node_id: String,
}

/// Parameters of `exec.approvals.node.set`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetOfNode {
    /// The node.
    #[schemars(length(min = 1))]
    pub node_id: String,
    /// The file, as the node understands it.
    pub file: serde_json::Map<String, Value>,
    /// Hash of the file that it replaces.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub base_hash: Option<String>,
}
