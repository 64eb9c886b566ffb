//! What is public, as files under review: the JSON Schemas of the wire, of every built-in method and event and of the
//! host's services, and the listing of all names. They follow from the types and the manifests, so a change of either
//! shows as a difference of a file. The generator writes them; a test compares them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clawhost::metrics::Metrics;
use clawhost::registry::Registry;
use plugin_api::catalogue::{self, RegistryEntry, RegistryList};
use plugin_api::{EventSpec, Exposure, LinkedPlugin, Manifest, MethodSpec, hosting, schema_of};
use schemas::frame::{EventFrame, RequestFrame, ResponseFrame};
use schemas::hello::HelloOk;
use schemas::{ErrorShape, PresenceEntry};
use serde::Serialize;
use serde_json::{Value, json};

// A linker drops crates that nobody names, and their registration with them.
use plugin_acp as _;
use plugin_agent as _;
use plugin_agents as _;
use plugin_anthropic as _;
use plugin_approvals as _;
use plugin_canvas as _;
use plugin_channels as _;
use plugin_chat as _;
use plugin_command as _;
use plugin_config as _;
use plugin_console as _;
use plugin_cron as _;
use plugin_devices as _;
use plugin_discovery as _;
use plugin_doors as _;
use plugin_echo as _;
use plugin_health as _;
use plugin_heartbeat as _;
use plugin_hooks as _;
use plugin_logs as _;
use plugin_models as _;
use plugin_node as _;
use plugin_openai as _;
use plugin_presence as _;
use plugin_send as _;
use plugin_sessions as _;
use plugin_signal as _;
use plugin_status as _;
use plugin_system as _;
use plugin_telegram as _;
use plugin_voice as _;

/// The command that writes the files anew.
pub const REGENERATE: &str = "cargo run -p clawhost-tests --bin schemas";
/// The listing of all names, relative to [`folder`].
pub const FEATURES: &str = "features.json";

/// The folder the files are in.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).with_file_name("schemas")
}

/// Every file by its path relative to [`folder`], with its text.
pub fn files() -> BTreeMap<String, String> {
    let schemas = schemas().into_iter().map(|(name, schema)| (format!("json/{name}.json"), text(&schema)));
    schemas.chain([(FEATURES.to_string(), text(&features()))]).collect()
}

/// Every schema by its name: `connect`, `health.params`, `health.result`, `tick.payload` and so on.
pub fn schemas() -> BTreeMap<String, Value> {
    let mut all = BTreeMap::from([
        ("connect".to_string(), schemas::connect::schema(&[])),
        ("request-frame".to_string(), schema_of::<RequestFrame>()),
        ("response-frame".to_string(), schema_of::<ResponseFrame>()),
        ("event-frame".to_string(), schema_of::<EventFrame>()),
        ("hello-ok".to_string(), schema_of::<HelloOk>()),
        ("error-shape".to_string(), schema_of::<ErrorShape>()),
        ("presence-entry".to_string(), schema_of::<PresenceEntry>()),
        ("manifest".to_string(), catalogue::manifest_schema()),
    ]);
    let mut put = |name: String, schema: Value| {
        assert!(all.insert(name.clone(), schema).is_none(), "two schemas have the name {name:?}");
    };
    for service in catalogue::SERVICES {
        put(format!("{}.params", service.name), (service.params)());
        put(format!("{}.result", service.name), (service.result)());
    }
    for notice in catalogue::NOTICES {
        put(format!("{}.payload", notice.name), (notice.payload)());
    }
    for (name, payload) in host_events() {
        put(format!("{name}.payload"), payload);
    }
    for manifest in manifests() {
        for method in manifest.methods {
            put(format!("{}.params", method.name), method.params.value());
            put(format!("{}.result", method.name), method.result.map_or_else(|| json!({}), |schema| schema.value()));
        }
        for event in manifest.events {
            put(format!("{}.payload", event.name), event.payload.map_or_else(|| json!({}), |schema| schema.value()));
        }
    }
    all
}

/// The manifests of the plugins that are linked in, sorted by id.
pub fn manifests() -> Vec<Manifest> {
    let read = |plugin: &LinkedPlugin| {
        let text = hosting::manifest(plugin.entry).expect("a built-in plugin has a readable entry");
        Manifest::parse(text).expect("a built-in plugin has a readable manifest")
    };
    let mut manifests: Vec<Manifest> = plugin_api::inventory::iter::<LinkedPlugin>().map(read).collect();
    manifests.sort_by(|a, b| a.id.cmp(&b.id));
    manifests
}

/// Names that sockets may use, sorted: what a gateway with all these plugins says in its hello-ok.
pub fn wire_names() -> schemas::hello::Features {
    let (mut methods, mut events) = rows();
    methods.retain(|row| row.role != Exposure::Internal);
    events.retain(|row| row.role != Exposure::Internal);
    schemas::hello::Features {
        methods: methods.into_iter().map(|row| row.name).collect(),
        events: events.into_iter().map(|row| row.name).collect(),
    }
}

/// Payloads of the events that the host itself sends to sockets. The protocol fixes them; the host declares none.
fn host_events() -> [(&'static str, Value); 3] {
    let object = |title: &str, properties: Value, required: Value| {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, "type": "object",
            "properties": properties, "required": required, "additionalProperties": false,
        })
    };
    let time = json!({ "description": "Milliseconds since the epoch.", "type": "integer", "minimum": 0 });
    let nonce = json!({ "description": "What a device signs.", "type": "string", "minLength": 1 });
    let reason = json!({ "description": "Why, for people.", "type": "string" });
    let back = json!({
        "description": "When the gateway is expected back, in milliseconds; null when it is not.",
        "type": ["integer", "null"], "minimum": 0,
    });
    [
        (
            "connect.challenge",
            object("ConnectChallenge", json!({ "nonce": nonce, "ts": time }), json!(["nonce", "ts"])),
        ),
        ("shutdown", object("Shutdown", json!({ "reason": reason, "restartExpectedMs": back }), json!(["reason"]))),
        ("tick", object("Tick", json!({ "ts": time }), json!(["ts"]))),
    ]
}

/// The listing: every method and event with its owner and who may use it, internal ones included.
fn features() -> Value {
    let (methods, events) = rows();
    let line = |row: &Row| serde_json::to_value(row).expect("a row is JSON");
    json!({
        "methods": methods.iter().map(line).collect::<Vec<_>>(),
        "events": events.iter().map(line).collect::<Vec<_>>(),
    })
}

/// A method or an event of the listing.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    plugin: String,
    role: Exposure,
    scopes: Vec<String>,
    #[serde(flatten)]
    more: Value,
}

impl Row {
    fn method(plugin: &str, spec: MethodSpec) -> Self {
        let MethodSpec { name, role, scopes, effects, idempotency, replies, .. } = spec;
        let more = json!({ "effects": effects, "idempotency": idempotency, "replies": replies });
        Row { name, plugin: plugin.to_string(), role, scopes, more }
    }

    fn event(plugin: &str, spec: EventSpec) -> Self {
        let EventSpec { name, role, scopes, to, .. } = spec;
        Row { name, plugin: plugin.to_string(), role, scopes, more: json!({ "to": to }) }
    }
}

/// The rows of methods and of events, each sorted by name: the host's own, as an empty registry lists them, and those of
/// the manifests.
fn rows() -> (Vec<Row>, Vec<Row>) {
    let empty =
        Registry::build(Vec::new(), Vec::new(), |_, _| true, &Metrics::new()).expect("the host's own rows agree");
    let list: RegistryList = serde_json::from_str(&empty.list_json()).expect("the list has the shape of the catalogue");
    let mut methods: Vec<Row> = list.methods.into_iter().map(|entry| Row::method("host", spec(entry))).collect();
    let mut events: Vec<Row> = list.events.into_iter().map(|entry| Row::event("host", spec(entry))).collect();
    for manifest in manifests() {
        methods.extend(manifest.methods.into_iter().map(|spec| Row::method(&manifest.id, spec)));
        events.extend(manifest.events.into_iter().map(|spec| Row::event(&manifest.id, spec)));
    }
    for rows in [&mut methods, &mut events] {
        rows.sort_by(|a, b| a.name.cmp(&b.name));
    }
    (methods, events)
}

fn spec<T: serde::de::DeserializeOwned>(entry: RegistryEntry) -> T {
    entry.spec.read().expect("the registry lists rows of manifests")
}

/// Pretty JSON with sorted keys: the same bytes whichever features `serde_json` was built with.
fn text(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields: BTreeMap<_, _> = fields.iter().collect();
                fields.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
            }
            Value::Array(items) => items.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    let mut text = serde_json::to_string_pretty(&sorted(value)).expect("a value is JSON");
    text.push('\n');
    text
}
