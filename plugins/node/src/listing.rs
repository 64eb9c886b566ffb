//! `node.list`, `node.describe`, `node.rename`: nodes that are connected and nodes that are paired, as one list.

use std::sync::Arc;

use plugin_api::catalogue::{PairedDevice, RenameDevice};
use plugin_api::{Call, MethodError, NoParams};
use schemas::scope::{self, PAIRING};

use crate::book::Approved;
use crate::params::{Described, NodeId, NodeList, NodeRow, PairedNode, Rename, RenamedNode};
use crate::sessions::Session;
use crate::surface::About;
use crate::{Node, State};

impl Node {
    pub(crate) async fn list(self: Arc<Self>, call: Call, _: NoParams) -> Result<NodeList, MethodError> {
        let nodes = self.rows(&call).await?;
        Ok(NodeList { ts: schemas::now_ms(), nodes })
    }

    pub(crate) async fn describe(
        self: Arc<Self>,
        call: Call,
        NodeId { node_id }: NodeId,
    ) -> Result<Described, MethodError> {
        let node_id = node_id.trim();
        if node_id.is_empty() {
            return Err(MethodError::invalid_request("nodeId required"));
        }
        let node = self.rows(&call).await?.into_iter().find(|node| node.node_id == node_id);
        let node = node.ok_or_else(unknown_node)?;
        Ok(Described { ts: schemas::now_ms(), node })
    }

    pub(crate) async fn rename(self: Arc<Self>, call: Call, params: Rename) -> Result<RenamedNode, MethodError> {
        let (node_id, display_name) = (params.node_id.trim(), params.display_name.trim());
        if display_name.is_empty() {
            return Err(MethodError::invalid_request("displayName required"));
        }
        let devices = self.device(&call, node_id).await?;
        if !devices.get(node_id).is_some_and(is_node) {
            return Err(unknown_node());
        }
        let label = RenameDevice { device_id: node_id.to_string(), label: display_name.to_string() };
        let renamed: RenameDevice = call.invoke("host.pairing.rename", &label).send().await?;
        Ok(RenamedNode { node_id: renamed.device_id, display_name: renamed.label })
    }

    /// Every node, connected ones first, then by name.
    async fn rows(&self, call: &Call) -> Result<Vec<NodeRow>, MethodError> {
        let may_decide = scope::any_satisfies(&call.caller()?.scopes, PAIRING);
        let devices = self.devices(call).await?;
        self.settled(None).await;
        let state = self.state();
        let is_here = |device: &PairedDevice| state.sessions.of_node(&device.device_id).is_some();
        let mut rows: Vec<NodeRow> = devices
            .paired()
            .filter(|it| is_node(it) && !is_here(it))
            .map(|device| row(&state, Some(device), None))
            .collect();
        for session in state.sessions.current() {
            let device = devices.get(&session.node_id);
            rows.push(row(&state, device, Some(session)));
        }
        if !may_decide {
            for row in &mut rows {
                (row.pending_request_id, row.pending_declared_caps) = (None, None);
                (row.pending_declared_commands, row.withheld_commands) = (None, None);
            }
        }
        rows.sort_by_cached_key(|row| {
            let name = row.about.display_name.as_deref().unwrap_or(&row.node_id).to_lowercase();
            (!row.connected, name, row.node_id.clone())
        });
        Ok(rows)
    }
}

/// Whether a device is paired as a node.
pub fn is_node(device: &PairedDevice) -> bool {
    match &device.roles {
        Some(roles) => roles.iter().any(|role| role == "node"),
        None => device.role.as_deref() == Some("node"),
    }
}

/// An approval as it is listed.
pub fn paired_node(node_id: &str, approved: &Approved, device: Option<&PairedDevice>) -> PairedNode {
    let last_seen_at_ms = device.and_then(|device| device.last_seen_at_ms);
    let mut about = approved.about.clone();
    name(&mut about, device);
    PairedNode {
        node_id: node_id.to_string(),
        about,
        surface: approved.surface.clone(),
        created_at_ms: approved.created_at_ms,
        approved_at_ms: approved.approved_at_ms,
        last_seen_at_ms,
        last_seen_reason: last_seen_at_ms.map(|_| "connect".to_string()),
    }
}

fn row(state: &State, device: Option<&PairedDevice>, session: Option<&Session>) -> NodeRow {
    let node_id = session.map(|session| session.node_id.as_str());
    let node_id = node_id.or(device.map(|device| device.device_id.as_str())).unwrap_or_default().to_string();
    let approved = state.book.approved.get(&node_id);
    let waiting = state.book.pending.get(&node_id).map(|waiting| &waiting.request);
    let approval_state = match (approved, waiting) {
        (Some(_), None) => "approved",
        (Some(_), Some(_)) => "pending-reapproval",
        (None, Some(_)) => "pending-approval",
        (None, None) => "unapproved",
    };
    let mut about = session.map(|session| session.about.clone()).unwrap_or_default();
    if let (None, Some(device)) = (session, device) {
        about = approved.map(|approved| approved.about.clone()).unwrap_or_default();
        for (field, known) in [
            (&mut about.client_id, &device.client_id),
            (&mut about.client_mode, &device.client_mode),
            (&mut about.display_name, &device.display_name),
            (&mut about.platform, &device.platform),
            (&mut about.device_family, &device.device_family),
        ] {
            *field = known.clone().or(field.take());
        }
    }
    name(&mut about, device);
    let connected_at_ms = session.map(|session| session.connected_at_ms);
    let last_seen_at_ms = connected_at_ms.max(device.and_then(|device| device.last_seen_at_ms));
    let approved_at_ms = approved.map(|approved| approved.approved_at_ms);
    NodeRow {
        node_id,
        about,
        remote_ip: match session {
            Some(session) => session.remote_ip.clone(),
            None => device.and_then(|device| device.remote_ip.clone()),
        },
        surface: match session {
            Some(session) => session.effective.clone(),
            None => approved.map(|approved| approved.surface.clone()).unwrap_or_default(),
        },
        path_env: session.and_then(|session| session.path_env.clone()),
        session_host: false,
        node_plugin_tools: Vec::new(),
        host_stats: session.and_then(|session| session.host_stats.clone()),
        approval_state: approval_state.to_string(),
        pending_request_id: waiting.map(|request| request.request_id.clone()),
        pending_declared_caps: waiting.map(|request| request.surface.caps.clone()),
        pending_declared_commands: waiting.map(|request| request.surface.commands.clone()),
        withheld_commands: approved.map(|approved| approved.withheld.clone()).filter(|withheld| !withheld.is_empty()),
        approved_at_ms: approved_at_ms.or(device.map(|device| device.approved_at_ms)),
        connected_at_ms,
        last_connected_at_ms: connected_at_ms,
        last_seen_at_ms,
        last_seen_reason: last_seen_at_ms.map(|_| "connect".to_string()),
        paired: device.is_some(),
        connected: session.is_some(),
    }
}

/// The name that an operator gave goes before the node's own.
fn name(about: &mut About, device: Option<&PairedDevice>) {
    let label = device.and_then(|device| device.label.clone()).filter(|label| !label.is_empty());
    about.display_name = label.or(about.display_name.take());
}

fn unknown_node() -> MethodError {
    MethodError::invalid_request("unknown nodeId")
}
