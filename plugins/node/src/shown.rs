//! What plugins show on nodes has an address that ends; a node asks for a fresh one before that. The host makes it, here are
//! the shapes of both protocol versions.

use std::sync::Arc;

use plugin_api::catalogue::{FreshSurface, RefreshSurface, SurfaceAddress, SurfaceOf};
use plugin_api::{Call, MethodError, NoParams};
use schemars::JsonSchema;
use serde::Serialize;

use crate::Node;

/// The one surface that protocol 3 knows.
const CANVAS: &str = "canvas";

impl Node {
    pub(crate) async fn refresh_surface(
        self: Arc<Self>,
        call: Call,
        asked: RefreshSurface,
    ) -> Result<FreshSurface, MethodError> {
        Ok(self.renewed(&call, asked.surface, asked.observed_url).await?.into())
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
