//! The words of tests that change plugins while a gateway runs.

use serde_json::{Value, json};

use crate::support::{Client, Gateway};

/// The gateway of tests, with [`crate::libraries::Shelf::reborn`] beside its plugins if the configuration names it.
pub async fn start(program: &str, config: &str) -> Gateway {
    Gateway::builder().program(program).config(config).start().await
}

/// The row of a plugin in `system.plugins`; `null` when it is not listed.
pub async fn row(client: &mut Client, id: &str) -> Value {
    let plugins = client.ok("system.plugins", json!({})).await;
    let rows = plugins["plugins"].as_array().expect("a list");
    rows.iter().find(|row| row["id"] == id).cloned().unwrap_or_default()
}

/// Reloads a plugin, which must succeed: its row.
pub async fn reload(client: &mut Client, id: &str) -> Value {
    let outcome = client.ok("plugins.reload", json!({ "id": id })).await;
    assert!(outcome["reloaded"] == true && outcome["error"].is_null(), "{outcome}");
    outcome["plugin"].clone()
}

/// Reloads a plugin, which must fail: the reason, and its row.
pub async fn reload_fails(client: &mut Client, id: &str) -> (String, Value) {
    let outcome = client.ok("plugins.reload", json!({ "id": id })).await;
    assert_eq!(outcome["reloaded"], false, "{outcome}");
    (outcome["error"].as_str().expect("a reason").to_string(), outcome["plugin"].clone())
}

/// Waits until clients are told that this plugin changed.
pub async fn changed(client: &mut Client, id: &str) -> Value {
    let names = |payload: &Value| payload["plugins"].as_array().is_some_and(|ids| ids.iter().any(|known| known == id));
    client.event_with("plugins.changed", names).await.payload.unwrap_or_default()
}

/// Reads whatever was on its way to this client when this was called.
pub async fn read_up(client: &mut Client) {
    client.refused("no.such.method", json!({})).await;
}

/// Whether a newcomer is told of a method.
pub async fn is_served(gateway: &Gateway, method: &str) -> bool {
    let client = gateway.admin().await;
    let methods = client.hello["features"]["methods"].as_array().expect("a list").clone();
    client.close().await;
    methods.iter().any(|name| name == method)
}
