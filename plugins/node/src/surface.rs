//! What a node offers: capabilities, commands, permissions. It declares a surface, somebody approves one, and what both
//! have is what may be used.

use std::collections::BTreeMap;

use plugin_api::catalogue::{Connection, PairedDevice};
use schemars::JsonSchema;
use schemas::scope;
use serde::{Deserialize, Serialize};

use crate::policy::{self, Class, Policy};

/// A surface. Lists are sorted and have nothing twice.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Surface {
    /// Capabilities.
    pub caps: Vec<String>,
    /// Commands.
    pub commands: Vec<String>,
    /// What its system lets it do.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub permissions: BTreeMap<String, bool>,
}

impl Surface {
    /// What a connection declares, as far as the policy admits it.
    pub fn declared(connection: &Connection, class: Class, policy: &Policy) -> Self {
        let permissions = connection.permissions.as_ref().and_then(|said| serde_json::from_value(said.clone()).ok());
        let mut commands = names(&connection.commands);
        commands.retain(|command| policy.admits(class, command));
        Surface { caps: names(&connection.caps), commands, permissions: permissions.unwrap_or_default() }
    }

    /// Whether there is nothing in `other` beyond this one.
    pub fn covers(&self, other: &Surface) -> bool {
        let all = |mine: &[String], theirs: &[String]| theirs.iter().all(|name| mine.contains(name));
        all(&self.caps, &other.caps)
            && all(&self.commands, &other.commands)
            && other.permissions.iter().all(|(name, on)| !on || self.permits(name))
    }

    /// What both have.
    pub fn meet(&self, declared: &Surface) -> Self {
        let both = |mine: &[String], theirs: &[String]| -> Vec<String> {
            theirs.iter().filter(|name| mine.contains(name)).cloned().collect()
        };
        let permissions = declared.permissions.iter().map(|(name, on)| (name.clone(), *on && self.permits(name)));
        Surface {
            caps: both(&self.caps, &declared.caps),
            commands: both(&self.commands, &declared.commands),
            permissions: permissions.collect(),
        }
    }

    /// What either has: what was approved before stays when more is.
    pub fn join(&self, more: &Surface) -> Self {
        let either = |mine: &[String], theirs: &[String]| scope::normalized(&[mine, theirs].concat());
        let mut permissions = more.permissions.clone();
        for (name, on) in &self.permissions {
            *permissions.entry(name.clone()).or_default() |= on;
        }
        Surface { caps: either(&self.caps, &more.caps), commands: either(&self.commands, &more.commands), permissions }
    }

    /// Scopes that its approval takes.
    pub fn required_scopes(&self) -> Vec<String> {
        let mut scopes = vec![scope::PAIRING.to_string()];
        if self.commands.iter().any(|command| policy::is_approved_by_admins(command)) {
            scopes.push(scope::ADMIN.to_string());
        } else if !self.commands.is_empty() {
            scopes.push(scope::WRITE.to_string());
        }
        scopes
    }

    fn permits(&self, permission: &str) -> bool {
        self.permissions.get(permission) == Some(&true)
    }
}

/// Which pairing of a device an approval is for. A device that was removed and paired again is another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pairing {
    public_key: String,
    paired_at_ms: u64,
}

impl Pairing {
    /// The pairing that is in force.
    pub fn of(device: &PairedDevice) -> Self {
        Pairing { public_key: device.public_key.clone(), paired_at_ms: device.created_at_ms }
    }
}

/// What a node says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// `client.id`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// `client.mode`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Its system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Kind of device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// Model of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
}

impl About {
    /// What a connection's `client` says.
    pub fn of(connection: &Connection) -> Self {
        let text = |key: &str| {
            let text = connection.client.get(key).and_then(|value| value.as_str());
            text.filter(|text| !text.is_empty()).map(str::to_string)
        };
        About {
            client_id: text("id"),
            client_mode: text("mode"),
            display_name: text("displayName"),
            platform: text("platform"),
            version: text("version"),
            device_family: text("deviceFamily"),
            model_identifier: text("modelIdentifier"),
        }
    }
}

fn names(list: &[String]) -> Vec<String> {
    let trimmed: Vec<&str> = list.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).collect();
    scope::normalized(&trimmed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surface(commands: &[&str], camera: bool) -> Surface {
        Surface {
            caps: Vec::new(),
            commands: commands.iter().map(|name| name.to_string()).collect(),
            permissions: BTreeMap::from([("camera".to_string(), camera)]),
        }
    }

    #[test]
    fn less_is_covered_and_more_is_not() {
        let approved = surface(&["a", "b"], false);
        assert!(approved.covers(&surface(&["a"], false)) && approved.covers(&approved));
        assert!(!approved.covers(&surface(&["a", "c"], false)));
        assert!(!approved.covers(&surface(&["a"], true)), "a permission that turned true is more");
        assert!(surface(&[], true).covers(&surface(&[], false)));
        assert_eq!(approved.meet(&surface(&["b", "c"], true)), surface(&["b"], false));
        assert_eq!(Surface::default().meet(&surface(&["a"], true)), surface(&[], false));
        assert_eq!(surface(&["b"], true).join(&surface(&["a", "b"], false)), surface(&["a", "b"], true));
    }

    #[test]
    fn what_an_approval_takes() {
        assert_eq!(surface(&[], true).required_scopes(), ["operator.pairing"]);
        assert_eq!(surface(&["camera.list"], true).required_scopes(), ["operator.pairing", "operator.write"]);
        let desktop = surface(&["camera.list", "system.run"], true);
        assert_eq!(desktop.required_scopes(), ["operator.pairing", "operator.admin"]);
    }
}
