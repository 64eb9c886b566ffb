//! Shapes of addresses at which clients find what plugins show.

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
