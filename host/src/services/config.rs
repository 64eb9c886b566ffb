//! `host.config.*`

use plugin_api::catalogue::{ConfigDocument, ConfigIssue, ConfigSchema, ConfigText, ConfigVerdict};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::gateway::Gateway;
use crate::redact;
use crate::secret::Secret;

pub(super) fn read(gateway: &Gateway) -> ConfigDocument {
    let config = gateway.live.load();
    let file = config.file.as_ref();
    let text = file.map(|file| file.text.expose());
    let auth = &gateway.handshake.auth;
    let named = auth.named.iter().map(|token| &token.secret);
    let in_force: Vec<&str> =
        [&auth.token, &auth.password].into_iter().flatten().chain(named).map(Secret::expose).collect();
    ConfigDocument {
        path: file.map(|file| file.path.display().to_string()),
        exists: file.is_some(),
        raw: text.map(|text| redact::toml_text(text, &in_force)),
        hash: file.map_or_else(|| schemas::device::hex(&Sha256::digest(b"")), |file| file.sha256.clone()),
        parsed: text.map_or_else(|| json!({}), redact::toml_value),
        config: config.redacted(),
    }
}

pub(super) fn schema(gateway: &Gateway) -> ConfigSchema {
    let mut schema = Config::json_schema();
    let registry = gateway.registry.load();
    for plugin in registry.plugins() {
        if let Some(config) = &plugin.manifest.config
            && let Some(plugins) = schema.pointer_mut("/properties/plugins").and_then(Value::as_object_mut)
        {
            let table = json!({ "type": "object", "properties": { "config": config } });
            let rows = plugins.entry("properties").or_insert_with(|| json!({}));
            rows[&*plugin.id] = table;
        }
    }
    ConfigSchema { schema }
}

pub(super) fn validate(text: ConfigText) -> ConfigVerdict {
    let issues: Vec<ConfigIssue> = Config::validate_text(&text.raw)
        .into_iter()
        .map(|issue| ConfigIssue { path: issue.path, message: issue.message })
        .collect();
    ConfigVerdict { valid: issues.is_empty(), issues }
}
