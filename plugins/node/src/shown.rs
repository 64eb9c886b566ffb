//! What plugins show on nodes has an address that ends; a node asks for a fresh one before that. The host makes it, here are
//! the shapes of both protocol versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use plugin_api::catalogue::{SurfaceAddress, SurfaceOf};
use plugin_api::{Call, MethodError, NoParams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Node;

/// The one surface that protocol 3 knows.
const CANVAS: &str = "canvas";

impl Node {
    pub(crate) async fn refresh_surface(self: Arc<Self>, call: Call, asked: Refresh) -> Result<Fresh, MethodError> {
        let SurfaceAddress { surface, url, good_until_ms, .. } =
            self.renewed(&call, asked.surface, asked.observed_url).await?;
        let plugin_surface_urls = BTreeMap::from([(surface.clone(), url)]);
        Ok(Fresh { surface, plugin_surface_urls, expires_at_ms: good_until_ms })
    }

    pub(crate) async fn refresh_canvas(self: Arc<Self>, call: Call, _: NoParams) -> Result<FreshCanvas, MethodError> {
        let SurfaceAddress { url, capability, good_until_ms, .. } =
            self.renewed(&call, CANVAS.to_string(), None).await?;
        Ok(FreshCanvas {
            canvas_capability: capability,
            canvas_capability_expires_at_ms: good_until_ms,
            canvas_host_url: url,
        })
    }

    async fn renewed(
        &self,
        call: &Call,
        surface: String,
        observed_url: Option<String>,
    ) -> Result<SurfaceAddress, MethodError> {
        let conn =
            call.conn().ok_or_else(|| MethodError::invalid_request("only a connected node is told addresses"))?;
        let asked = SurfaceOf { conn, surface, observed_url };
        self.host.invoke("host.surfaces.renew", &asked).with_own_grants().send().await
    }
}

/// Parameters of `node.pluginSurface.refresh`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Refresh {
    /// Name of the surface.
    #[schemars(length(min = 1, max = 128))]
    surface: String,
    /// The address that the node knows. If it is not the one in force, the one in force is the answer.
    #[serde(default)]
    #[schemars(length(max = 2048))]
    observed_url: Option<String>,
}

/// Result of `node.pluginSurface.refresh`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fresh {
    /// Name of the surface.
    surface: String,
    /// Its address, by its name.
    plugin_surface_urls: BTreeMap<String, String>,
    /// How long the address is good at least, in milliseconds since the epoch.
    expires_at_ms: u64,
}

/// Result of `node.canvas.capability.refresh`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FreshCanvas {
    /// The part of the address that lets in.
    canvas_capability: String,
    /// How long it is good at least, in milliseconds since the epoch.
    canvas_capability_expires_at_ms: u64,
    /// The address, that part included.
    canvas_host_url: String,
}
