//! Shapes of the registry: which plugins there are, with their methods and events, and what changes about them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::JsonText;

/// A method's or event's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NamedThing {
    /// The name.
    pub name: String,
}

/// A method or an event of the registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegistryEntry {
    /// `method` or `event`.
    pub kind: String,
    /// The plugin that owns it; `host` for the host's own.
    pub plugin: String,
    /// Its row of the manifest.
    pub spec: JsonText,
}

/// Everything the registry holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegistryList {
    /// Sorted by id; failed and disabled ones included.
    pub plugins: Vec<PluginState>,
    /// Sorted by name, internal ones included.
    pub methods: Vec<RegistryEntry>,
    /// Sorted by name, internal ones included.
    pub events: Vec<RegistryEntry>,
}

/// A plugin and how it is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginState {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// What it is for.
    #[serde(default)]
    pub summary: String,
    /// `linked` or `loaded`.
    pub origin: String,
    /// `running`, `disabled` (by config) or `failed`.
    pub state: String,
    /// Why it failed: in the operator's words, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Names of its enabled methods.
    pub methods: Vec<String>,
    /// Names of its events.
    pub events: Vec<String>,
    /// Calls since the start.
    pub calls: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Calls that panicked.
    pub panics: u64,
    /// The port that its HTTP has to itself, while it runs and the configuration gives it one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_port: Option<HttpPort>,
}

/// A port that a plugin's HTTP has to itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HttpPort {
    /// Its number.
    pub port: u16,
    /// Why nobody listens there, if nobody does. The plugin's HTTP is then served nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Payload of `host.registry.changed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegistryChanged {
    /// How often the registry has changed.
    pub generation: u64,
    /// Ids of the plugins that were changed; none at the start.
    #[serde(default)]
    pub plugins: Vec<String>,
}

/// Payload of `host.config.changed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigChanged {
    /// Ids of the plugins for which something changed; none when only rules for methods did.
    pub plugins: Vec<String>,
}

/// A plugin's id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PluginId {
    /// The id: the name of its table in `config.toml`.
    pub id: String,
}

/// What became of a plugin that was to be made anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PluginReloaded {
    /// Whether a new instance answers now, or none because the configuration wants none.
    pub reloaded: bool,
    /// Why not: in the operator's words, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How the plugin is doing now.
    pub plugin: PluginState,
}
