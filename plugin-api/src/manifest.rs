//! What a plugin says of itself: pure data, readable without running anything of it.

use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::HttpSpec;
use crate::json_text::JsonText;

/// A plugin's manifest. [`Manifest::new`] and the builder methods make one; [`Manifest::parse`] reads one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Version of this document's form: 1.
    pub manifest: u32,
    /// Short id: lower-case letters, digits and `-`. The name of its table in `config.toml` and of its data folder.
    pub id: String,
    /// Who makes it, as a reversed domain name.
    #[serde(default)]
    pub vendor: String,
    /// Its version.
    pub version: String,
    /// Its licence, as an SPDX expression.
    #[serde(default)]
    pub license: String,
    /// What it is for, in a sentence.
    #[serde(default)]
    pub summary: String,
    /// Extensions it cannot live without.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Methods it calls in its own name; wildcards allowed.
    #[serde(default)]
    pub invokes: Vec<String>,
    /// Internal events it hears; wildcards allowed.
    #[serde(default)]
    pub hears: Vec<String>,
    /// Whether its calls may block, and so run on the blocking pool.
    #[serde(default)]
    pub blocking: bool,
    /// Whether it runs, linked in, only where the configuration has a table for it: it is of no use without one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub opt_in: bool,
    /// How many of its calls may run at once.
    #[serde(default = "default_max_concurrent")]
    pub max_concurrent: u32,
    /// JSON Schema of `[plugins.<id>.config]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<JsonText>,
    /// Methods it serves.
    #[serde(default)]
    pub methods: Vec<MethodSpec>,
    /// Events it publishes.
    #[serde(default)]
    pub events: Vec<EventSpec>,
    /// Paths it serves over HTTP; see `gwp.http/1`.
    #[serde(default)]
    pub http: Vec<HttpSpec>,
}

/// A method of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MethodSpec {
    /// Its name on the wire.
    pub name: String,
    /// What it does, in a sentence.
    #[serde(default)]
    pub summary: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Who may call it.
    pub role: Exposure,
    /// Any of these scopes is needed; `[]` means none is.
    pub scopes: Vec<String>,
    /// Whether it has effects; for audit only.
    #[serde(default)]
    pub effects: bool,
    /// What a repeated key does.
    #[serde(default)]
    pub idempotency: Idempotency,
    /// Whether it answers once or with interim replies.
    #[serde(default)]
    pub replies: Replies,
    /// What a disconnect does to a running call.
    #[serde(default)]
    pub on_disconnect: OnDisconnect,
    /// Milliseconds until it is timed out; 0 is never; absent is the gateway's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whether agents may use it as a tool.
    #[serde(default)]
    pub tool: bool,
    /// JSON Schema of its parameters.
    pub params: JsonText,
    /// JSON Schema of its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<JsonText>,
}

/// An event of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventSpec {
    /// Its name on the wire.
    pub name: String,
    /// When it comes, in a sentence.
    #[serde(default)]
    pub summary: String,
    /// Who may see it.
    pub role: Exposure,
    /// Any of these scopes is needed; `[]` means none is. Nodes have no scopes.
    pub scopes: Vec<String>,
    /// Whether it is broadcast or sent to chosen connections.
    #[serde(default)]
    pub to: Audience,
    /// JSON Schema of its payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<JsonText>,
}

/// Who may call a method or see an event: `operator`, `node`, a list of both, or `internal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RoleText", into = "RoleText")]
pub enum Exposure {
    /// Role operator, with the scopes.
    Operator,
    /// Role node.
    Node,
    /// Both.
    OperatorAndNode,
    /// Plugins that hold a grant, and the host; never a socket.
    Internal,
}

impl Exposure {
    /// Whether connections of this role are meant.
    pub fn admits(self, role: &str) -> bool {
        match self {
            Exposure::Operator => role == "operator",
            Exposure::Node => role == "node",
            Exposure::OperatorAndNode => role == "operator" || role == "node",
            Exposure::Internal => false,
        }
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum RoleText {
    One(String),
    Many(Vec<String>),
}

impl TryFrom<RoleText> for Exposure {
    type Error = String;

    fn try_from(text: RoleText) -> Result<Self, String> {
        let mut roles = match text {
            RoleText::One(role) => vec![role],
            RoleText::Many(roles) => roles,
        };
        roles.sort();
        match roles.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["operator"] => Ok(Exposure::Operator),
            ["node"] => Ok(Exposure::Node),
            ["node", "operator"] => Ok(Exposure::OperatorAndNode),
            ["internal"] => Ok(Exposure::Internal),
            _ => Err(r#"role is "operator", "node", ["operator","node"] or "internal""#.to_string()),
        }
    }
}

impl From<Exposure> for RoleText {
    fn from(exposure: Exposure) -> Self {
        match exposure {
            Exposure::Operator => RoleText::One("operator".into()),
            Exposure::Node => RoleText::One("node".into()),
            Exposure::OperatorAndNode => RoleText::Many(vec!["operator".into(), "node".into()]),
            Exposure::Internal => RoleText::One("internal".into()),
        }
    }
}

impl JsonSchema for Exposure {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Exposure".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                { "enum": ["operator", "node", "internal"] },
                { "type": "array", "items": { "enum": ["operator", "node"] }, "minItems": 1, "uniqueItems": true },
            ]
        })
    }
}

/// What a repeated idempotency key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Idempotency {
    /// The method takes no key.
    #[default]
    None,
    /// The host keeps the answer and gives it again; the plugin never sees a duplicate.
    Replay,
    /// The key is handed through; the plugin sees to it.
    Plugin,
}

/// How often a method answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Replies {
    /// Once.
    #[default]
    Single,
    /// Any number of interim answers, then one final.
    Interim,
}

/// What a disconnect does to a running call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnDisconnect {
    /// It is cancelled.
    #[default]
    Cancel,
    /// It runs on to its final answer.
    Detach,
}

/// Where an event goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// To everyone who may see it.
    #[default]
    Broadcast,
    /// To chosen connections only.
    Targeted,
}

fn default_max_concurrent() -> u32 {
    256
}

impl Manifest {
    /// A manifest with no methods yet.
    pub fn new(id: &str, version: &str) -> Self {
        Manifest {
            manifest: 1,
            id: id.to_string(),
            vendor: String::new(),
            version: version.to_string(),
            license: String::new(),
            summary: String::new(),
            requires: Vec::new(),
            invokes: Vec::new(),
            hears: Vec::new(),
            blocking: false,
            opt_in: false,
            max_concurrent: default_max_concurrent(),
            config: None,
            methods: Vec::new(),
            events: Vec::new(),
            http: Vec::new(),
        }
    }

    /// Who makes it, as a reversed domain name.
    pub fn vendor(mut self, vendor: &str) -> Self {
        self.vendor = vendor.to_string();
        self
    }

    /// Its licence, as an SPDX expression.
    pub fn license(mut self, license: &str) -> Self {
        self.license = license.to_string();
        self
    }

    /// What it is for, in a sentence.
    pub fn summary(mut self, summary: &str) -> Self {
        self.summary = summary.to_string();
        self
    }

    /// Extensions it cannot live without; see [`crate::abi::extension`].
    pub fn requires(mut self, extensions: &[&str]) -> Self {
        self.requires = owned(extensions);
        self
    }

    /// Methods it calls in its own name.
    pub fn invokes(mut self, methods: &[&str]) -> Self {
        self.invokes = owned(methods);
        self
    }

    /// Internal events it hears.
    pub fn hears(mut self, events: &[&str]) -> Self {
        self.hears = owned(events);
        self
    }

    /// Linked in, it runs only where the configuration has a table for it.
    pub fn opt_in(mut self) -> Self {
        self.opt_in = true;
        self
    }

    /// Its calls may block: they run on the blocking pool.
    pub fn blocking(mut self) -> Self {
        self.blocking = true;
        self
    }

    /// How many of its calls may run at once.
    pub fn max_concurrent(mut self, limit: u32) -> Self {
        self.max_concurrent = limit;
        self
    }

    /// The type of `[plugins.<id>.config]`; unknown keys are refused if the type refuses them.
    pub fn config<T: JsonSchema>(mut self) -> Self {
        self.config = Some(schema_of::<T>().into());
        self
    }

    /// Adds the rows of a table of typed methods.
    pub fn methods<P>(mut self, methods: &crate::methods::Methods<P>) -> Self {
        self.methods.extend(methods.specs().cloned());
        self
    }

    /// Adds a method.
    pub fn method(mut self, method: MethodSpec) -> Self {
        self.methods.push(method);
        self
    }

    /// Adds a path served over HTTP.
    pub fn http(mut self, row: HttpSpec) -> Self {
        self.http.push(row);
        self
    }

    /// Adds an event.
    pub fn event(mut self, event: EventSpec) -> Self {
        self.events.push(event);
        self
    }

    /// As JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a manifest has only string keys")
    }

    /// Reads a manifest; fields that this version does not know are passed over.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }
}

impl EventSpec {
    /// An event that operators with any of these scopes may see.
    pub fn operator(name: &str, scopes: &[&str]) -> Self {
        Self::with(name, Exposure::Operator, scopes)
    }

    /// An event that every connection may see, nodes included.
    pub fn everyone(name: &str) -> Self {
        Self::with(name, Exposure::OperatorAndNode, &[])
    }

    /// An event for plugins only.
    pub fn internal(name: &str) -> Self {
        Self::with(name, Exposure::Internal, &[])
    }

    /// When it comes, in a sentence.
    pub fn summary(mut self, summary: &str) -> Self {
        self.summary = summary.to_string();
        self
    }

    /// The type of its payload.
    pub fn payload<T: JsonSchema>(mut self) -> Self {
        self.payload = Some(schema_of::<T>().into());
        self
    }

    /// It goes to chosen connections only.
    pub fn targeted(mut self) -> Self {
        self.to = Audience::Targeted;
        self
    }

    fn with(name: &str, role: Exposure, scopes: &[&str]) -> Self {
        EventSpec {
            name: name.to_string(),
            summary: String::new(),
            role,
            scopes: owned(scopes),
            to: Audience::Broadcast,
            payload: None,
        }
    }
}

/// The JSON Schema (2020-12) of a type. Integers have bounds, so that one which no field could take is refused in the words
/// of a schema rather than in those of a parser.
pub fn schema_of<T: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T);
    RecursiveTransform(bound_integer).transform(&mut schema);
    schema.to_value()
}

fn bound_integer(schema: &mut Schema) {
    /// Beyond this, not every program reads the integer that was written.
    const MAX_SAFE: i64 = (1 << 53) - 1;
    let (min, max) = match schema.get("format").and_then(Value::as_str) {
        Some("uint" | "uint64") => (0, MAX_SAFE),
        Some("int" | "int64") => (-MAX_SAFE, MAX_SAFE),
        Some("uint32") => (0, u32::MAX.into()),
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        _ => return,
    };
    for (bound, exclusive, value) in [("minimum", "exclusiveMinimum", min), ("maximum", "exclusiveMaximum", max)] {
        if schema.get(bound).is_none() && schema.get(exclusive).is_none() {
            schema.insert(bound.to_string(), value.into());
        }
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}
