//! Shapes of addresses at which clients find what plugins show: as plugins ask the host for them, and as the methods do that
//! give clients a fresh one.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which address is asked for anew, and by whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SurfaceOf {
    /// The connection that is to be told, by its number.
    pub conn: u64,
    /// Name of the surface.
    pub surface: String,
    /// The address that it knows. If another one is in force already, that one is the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_url: Option<String>,
}

/// An address at which a client finds what a plugin shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SurfaceAddress {
    /// Name of the surface.
    pub surface: String,
    /// The address; whoever has it gets in.
    pub url: String,
    /// The part of it that lets in.
    pub capability: String,
    /// How long it is good at least, in milliseconds since the epoch; while the connection is open, longer.
    pub good_until_ms: u64,
}

/// What a client asks for: a fresh address of a surface.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefreshSurface {
    /// Name of the surface.
    #[schemars(length(min = 1, max = 128))]
    pub surface: String,
    /// The address that the client knows. If it is not the one in force, the one in force is the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub observed_url: Option<String>,
}

/// What a client is told then.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FreshSurface {
    /// Name of the surface.
    pub surface: String,
    /// Its address, by its name.
    pub plugin_surface_urls: BTreeMap<String, String>,
    /// How long the address is good at least, in milliseconds since the epoch.
    pub expires_at_ms: u64,
}

impl From<SurfaceAddress> for FreshSurface {
    fn from(SurfaceAddress { surface, url, good_until_ms, .. }: SurfaceAddress) -> Self {
        let plugin_surface_urls = BTreeMap::from([(surface.clone(), url)]);
        FreshSurface { surface, plugin_surface_urls, expires_at_ms: good_until_ms }
    }
}
