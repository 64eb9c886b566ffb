//! The host's own methods, `host.*`: what plugins get beyond the small interface. Their names and shapes are
//! [`plugin_api::catalogue`]'s; here is what they do.

mod config;
mod connections;
mod pairing;

use std::sync::Arc;

use plugin_api::catalogue::{self, MetricsText, NamedThing, PluginId};
use plugin_api::{Exposure, Idempotency, MethodSpec, OnDisconnect, Replies};
use schemas::ErrorShape;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};

use crate::audit;
use crate::authority::Authority;
use crate::gateway::Gateway;
use crate::metrics;
use crate::plugins::live;

pub use pairing::publish as publish_pairing_events;

/// One method of the host.
#[derive(Clone, Copy)]
pub struct HostService(&'static catalogue::Service);

/// What a service answers.
type Outcome = Result<Box<RawValue>, ErrorShape>;

impl HostService {
    /// Every method of the host.
    pub fn all() -> impl Iterator<Item = HostService> {
        catalogue::SERVICES.iter().map(HostService)
    }

    /// Its row for the registry.
    pub fn spec(&self) -> MethodSpec {
        MethodSpec {
            name: self.0.name.to_string(),
            summary: self.0.summary.to_string(),
            description: String::new(),
            role: Exposure::Internal,
            scopes: Vec::new(),
            effects: false,
            idempotency: Idempotency::None,
            replies: Replies::Single,
            on_disconnect: OnDisconnect::Cancel,
            timeout_ms: None,
            tool: false,
            params: (self.0.params)().into(),
            result: Some((self.0.result)().into()),
        }
    }

    /// Answers a call. `authority` is the caller a plugin acts for, or the plugin itself.
    pub async fn call(&self, gateway: &Arc<Gateway>, authority: &Authority, params: &str) -> Outcome {
        let outcome = self.answered(gateway, authority, params).await;
        if self.decides() {
            audit::decided(self.0.name, authority, params, outcome.as_ref().err());
        }
        outcome
    }

    /// Whether a call changes something that somebody may ask about later.
    fn decides(&self) -> bool {
        match self.0.name {
            "host.connections.close" | "host.plugins.reload" => true,
            name => name.starts_with("host.pairing.") && name != "host.pairing.list",
        }
    }

    async fn answered(&self, gateway: &Arc<Gateway>, authority: &Authority, params: &str) -> Outcome {
        match self.0.name {
            "host.config.read" => answer(&config::read(gateway)),
            "host.config.schema" => answer(&config::schema(gateway)),
            "host.config.validate" => answer(&config::validate(parse(params)?)),
            "host.connections.close" => answer(&connections::close(gateway, parse(params)?)?),
            "host.connections.get" => answer(&connections::get(gateway, parse(params)?)?),
            "host.connections.list" => answer(&connections::list(gateway)),
            "host.gateway.info" => answer(&gateway.info()),
            "host.metrics.read" => answer(&MetricsText { text: metrics::render(gateway) }),
            "host.plugins.reload" => {
                let PluginId { id } = parse(params)?;
                let outcome = live::reload(gateway, &id).await;
                answer(&outcome.ok_or_else(|| ErrorShape::invalid_request(format!("no such plugin: {id}")))?)
            }
            "host.registry.describe" => {
                let NamedThing { name } = parse(params)?;
                let entry = gateway.registry.load().describe(&name);
                answer(&entry.ok_or_else(|| ErrorShape::invalid_request(format!("unknown name: {name}")))?)
            }
            "host.registry.list" => RawValue::from_string(gateway.registry.load().list_json()).map_err(unanswerable),
            "host.surfaces.renew" => answer(&connections::renew_surface(gateway, parse(params)?)?),
            name => pairing::call(gateway, authority, name, params).await,
        }
    }
}

fn answer<T: Serialize>(value: &T) -> Outcome {
    to_raw_value(value).map_err(unanswerable)
}

fn unanswerable(error: serde_json::Error) -> ErrorShape {
    tracing::error!(%error, "a service's answer has no JSON form");
    ErrorShape::unavailable("the gateway could not answer")
}

fn parse<T: DeserializeOwned>(params: &str) -> Result<T, ErrorShape> {
    let invalid = |error| ErrorShape::invalid_request(format!("invalid params: {}", schemas::json::fault(&error)));
    serde_json::from_str(params).map_err(invalid)
}
