//! The table of all methods and events. Everything is checked first, then everything is published at once: a
//! half-applied registration does not exist. A table never changes; a new one takes its place.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use metrics::Counter;
use plugin_api::catalogue::{self, PluginState, RegistryEntry};
use plugin_api::{Audience, EventSpec, Exposure, JsonText, Manifest, MethodSpec, OnDisconnect};
use schemas::hello::Features;
use serde_json::Value;

use crate::access::{self, Access, TooManyScopes};
use crate::authority::Authority;
use crate::config::MethodRules;
use crate::exchange::Routes;
use crate::metrics::{MethodMetrics, Metrics};
use crate::plugin::RunningPlugin;
use crate::services::HostService;
use crate::validation::{Shape, Validator};

/// Events the host itself publishes to sockets, and no plugin may claim.
const HOST_EVENTS: [(&str, &str); 3] = [
    ("connect.challenge", "The first frame: the nonce a device signs."),
    ("shutdown", "The gateway stops or restarts."),
    ("tick", "The gateway is alive."),
];

/// All methods and events of one generation.
#[derive(Default)]
pub struct Registry {
    methods: HashMap<Box<str>, Arc<MethodEntry>>,
    events: HashMap<Box<str>, Arc<EventEntry>>,
    plugins: Vec<Arc<RunningPlugin>>,
    idle: Vec<PluginState>,
    features: Features,
    features_json: Box<str>,
    rows_json: Box<str>,
    rules: MethodRules,
    routes: Routes,
}

/// A method, ready to be called.
pub struct MethodEntry {
    /// Its row of the manifest.
    pub spec: MethodSpec,
    /// Who answers.
    pub handler: Handler,
    /// What it demands.
    pub access: Access,
    /// What it counts.
    pub metrics: Arc<MethodMetrics>,
    params: OnceLock<ParamsCheck>,
}

/// Who answers a method.
pub enum Handler {
    /// A plugin.
    Plugin(Arc<RunningPlugin>),
    /// The host.
    Host(HostService),
}

/// An event, ready to be published.
pub struct EventEntry {
    /// Its name.
    pub name: Box<str>,
    /// The plugin that may publish it; `None` is the host.
    pub owner: Option<Arc<str>>,
    /// Who may see it.
    pub access: Access,
    /// Whether it goes to chosen connections only.
    pub targeted: bool,
    /// Its row of the manifest.
    pub spec: EventSpec,
    /// Methods of its plugin.
    siblings: Arc<[Box<str>]>,
    published: OnceLock<Counter>,
}

impl EventEntry {
    /// The entry of a manifest row.
    pub fn new(owner: Option<Arc<str>>, spec: EventSpec) -> Result<Self, TooManyScopes> {
        let access = Access::new(spec.role, &spec.scopes)?;
        let (name, targeted, published) = (spec.name.as_str().into(), spec.to == Audience::Targeted, OnceLock::new());
        Ok(EventEntry { name, owner, access, targeted, spec, siblings: Arc::default(), published })
    }

    /// Whether one who came in with this authority may see it.
    pub fn admits(&self, authority: &Authority) -> bool {
        self.access.admits(authority) && self.is_within(authority)
    }

    /// Whether it may be sent to this one, whom a plugin chose.
    pub fn admits_chosen(&self, authority: &Authority) -> bool {
        self.access.admits_chosen(authority) && self.is_within(authority)
    }

    /// A token that is for some methods only is for the events of the plugins that have them. The host's own are everybody's.
    fn is_within(&self, authority: &Authority) -> bool {
        self.owner.is_none() || authority.reaches_any(&self.siblings)
    }

    /// Counts it: it is being published.
    pub fn count(&self, metrics: &Metrics) {
        self.published.get_or_init(|| metrics.event(&self.name)).increment(1);
    }
}

/// The id of a plugin, and its methods.
type Owner<'a> = (&'a Arc<str>, &'a Arc<[Box<str>]>);

/// How the parameters of a method are checked.
enum ParamsCheck {
    /// Any object will do.
    AnyObject,
    /// Against the schema. `{}` may be known to be valid; and the whole validator is made when something is wrong, or the
    /// schema has no shape.
    Schema { shape: Option<Shape>, whole: OnceLock<Option<Box<Validator>>>, empty_is_valid: bool },
    /// Nothing passes: the schema is none. Loaded plugins' were tried before; those of linked ones are by a test.
    Broken(String),
}

/// What a caller hears of a schema that is none.
const CANNOT_CHECK: &str = "cannot be checked";

impl MethodEntry {
    /// What is wrong with these parameters, in the words of the wire; `None` when nothing is.
    pub fn params_fault(&self, params: &str) -> Option<String> {
        match self.params() {
            ParamsCheck::AnyObject if params.starts_with('{') => None,
            ParamsCheck::AnyObject => Some("must be object".to_string()),
            ParamsCheck::Schema { empty_is_valid: true, .. } if params == "{}" => None,
            ParamsCheck::Schema { shape: Some(shape), .. } if shape.admits(params) => None,
            ParamsCheck::Broken(why) => {
                tracing::error!(method = self.spec.name, why, "the schema of a method is broken");
                Some(CANNOT_CHECK.to_string())
            }
            ParamsCheck::Schema { .. } => match schemas::json::value(params) {
                Ok(value) => self.whole().map_or(Some(CANNOT_CHECK.to_string()), |whole| whole.describe(&value)),
                // They are JSON when they come this far, but not all of that can be read.
                Err(error) => Some(schemas::json::fault(&error).to_string()),
            },
        }
    }

    /// How its parameters are checked. A schema is compiled when it is first needed: most never are.
    fn params(&self) -> &ParamsCheck {
        self.params.get_or_init(|| ParamsCheck::new(&self.spec.params).unwrap_or_else(ParamsCheck::Broken))
    }

    /// The validator that finds the words.
    fn whole(&self) -> Option<&Validator> {
        let ParamsCheck::Schema { whole, .. } = self.params() else { return None };
        whole.get_or_init(|| Validator::new(&self.spec.params.value()).ok().map(Box::new)).as_deref()
    }

    /// These parameters without what the method does not know, if there is such a thing in them.
    pub fn without_extra(&self, params: &str) -> Option<String> {
        let mut value = schemas::json::value(params).ok()?;
        self.whole()?.leave_out_extra(&mut value).then(|| value.to_string())
    }

    /// Whether a disconnect lets it run on.
    pub fn is_detached(&self) -> bool {
        self.spec.on_disconnect == OnDisconnect::Detach || self.spec.idempotency == plugin_api::Idempotency::Replay
    }

    /// The plugin that answers, or `host`.
    pub fn owner(&self) -> &str {
        match &self.handler {
            Handler::Plugin(plugin) => &plugin.id,
            Handler::Host(_) => "host",
        }
    }
}

impl Registry {
    /// Builds the table of these plugins. `idle` are those that are only listed: disabled, or failed.
    ///
    /// Fails with a sentence that names both sides of a clash, and then nothing is published.
    pub fn build(
        plugins: Vec<Arc<RunningPlugin>>,
        idle: Vec<PluginState>,
        enabled: impl Fn(&str, &str) -> bool,
        metrics: &Metrics,
    ) -> Result<Registry, RegistryError> {
        let mut registry = Registry { plugins, idle, ..Registry::default() };
        for (name, summary) in HOST_EVENTS {
            let spec = EventSpec::everyone(name).summary(summary);
            registry.add_event(None, spec).map_err(|fault| RegistryError::new("host", fault))?;
        }
        for notice in catalogue::NOTICES {
            let mut spec = EventSpec::internal(notice.name).summary(notice.summary);
            spec.payload = Some((notice.payload)().into());
            registry.add_event(None, spec).map_err(|fault| RegistryError::new("host", fault))?;
        }
        for service in HostService::all() {
            let (spec, handler) = (service.spec(), Handler::Host(service));
            registry.add_method(spec, handler, metrics).map_err(|fault| RegistryError::new("host", fault))?;
        }
        for plugin in registry.plugins.clone() {
            let claim = |fault| RegistryError::new(&plugin.id, fault);
            plugin.manifest.check_form().map_err(claim)?;
            for spec in &plugin.manifest.methods {
                if enabled(&plugin.id, &spec.name) {
                    registry.add_method(spec.clone(), Handler::Plugin(plugin.clone()), metrics).map_err(claim)?;
                }
            }
            let siblings: Arc<[Box<str>]> =
                plugin.manifest.methods.iter().map(|method| method.name.as_str().into()).collect();
            for spec in &plugin.manifest.events {
                registry.add_event(Some((&plugin.id, &siblings)), spec.clone()).map_err(claim)?;
            }
            for spec in &plugin.manifest.http {
                registry.routes.add(&plugin, spec, metrics).map_err(claim)?;
            }
        }
        registry.features = registry.collect_features();
        registry.features_json = serde_json::to_string(&registry.features).unwrap_or_default().into();
        registry.rows_json = registry.collect_rows().into();
        Ok(registry)
    }

    /// The same with the operator's rules of who may call what.
    pub fn with_rules(self, rules: MethodRules) -> Self {
        Registry { rules, ..self }
    }

    /// Whether the operator lets this role call this method.
    pub fn permits(&self, role: &str, method: &str) -> bool {
        self.rules.permits(role, method)
    }

    /// A plugin by its id.
    pub fn plugin(&self, id: &str) -> Option<&Arc<RunningPlugin>> {
        self.plugins.iter().find(|plugin| &*plugin.id == id)
    }

    /// A method by its name.
    pub fn method(&self, name: &str) -> Option<&Arc<MethodEntry>> {
        self.methods.get(name)
    }

    /// An event by its name.
    pub fn event(&self, name: &str) -> Option<&Arc<EventEntry>> {
        self.events.get(name)
    }

    /// Paths that plugins serve over HTTP.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Plugins that run.
    pub fn plugins(&self) -> &[Arc<RunningPlugin>] {
        &self.plugins
    }

    /// Plugins that are only listed.
    pub fn idle(&self) -> &[PluginState] {
        &self.idle
    }

    /// What hello-ok advertises: the sorted names that sockets may use, and nothing else.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// [`Registry::features`] as JSON, made once.
    pub fn features_json(&self) -> &str {
        &self.features_json
    }

    /// Everything, for `host.registry.list`: a [`catalogue::RegistryList`] as JSON. Its rows never change while the table
    /// is in force, so they are written once.
    pub fn list_json(&self) -> String {
        let mut plugins: Vec<PluginState> = self.plugins.iter().map(|plugin| self.running_state(plugin)).collect();
        plugins.extend(self.idle.iter().cloned());
        plugins.sort_by(|a, b| a.id.cmp(&b.id));
        let plugins = serde_json::to_string(&plugins).unwrap_or_default();
        format!("{{\"plugins\":{plugins},{}}}", self.rows_json)
    }

    /// How a plugin is doing.
    pub fn state_of(&self, id: &str) -> Option<PluginState> {
        let running = self.plugin(id).map(|plugin| self.running_state(plugin));
        running.or_else(|| self.idle.iter().find(|state| state.id == id).cloned())
    }

    fn running_state(&self, plugin: &RunningPlugin) -> PluginState {
        let mut state = plugin.state();
        state.methods.retain(|name| self.methods.contains_key(name.as_str()));
        state.calls = state.methods.iter().filter_map(|name| self.method(name)).map(|m| m.metrics.calls.sum()).sum();
        state
    }

    /// One method or event, for `host.registry.describe`.
    pub fn describe(&self, name: &str) -> Option<RegistryEntry> {
        self.methods
            .get(name)
            .map(|entry| method_row(entry))
            .or_else(|| self.events.get(name).map(|entry| event_row(entry)))
    }

    fn add_method(&mut self, spec: MethodSpec, handler: Handler, metrics: &Metrics) -> Result<(), String> {
        let name = spec.name.clone();
        let owner = match &handler {
            Handler::Plugin(plugin) => plugin.id.to_string(),
            Handler::Host(_) => "host".to_string(),
        };
        if let Some(other) = self.methods.get(name.as_str()) {
            return Err(format!("method {name:?} is claimed by {:?} and by {owner:?}", other.owner()));
        }
        let access = Access::new(spec.role, &spec.scopes).map_err(|error| format!("method {name:?}: {error}"))?;
        let metrics = metrics.of_method(&name, &owner);
        let params = OnceLock::new();
        self.methods.insert(name.into(), Arc::new(MethodEntry { spec, handler, access, metrics, params }));
        Ok(())
    }

    fn add_event(&mut self, owner: Option<Owner<'_>>, spec: EventSpec) -> Result<(), String> {
        let name: Box<str> = spec.name.as_str().into();
        if let Some(other) = self.events.get(&name) {
            let (other, owner) = (other.owner.as_deref().unwrap_or("host"), owner.map_or("host", |(id, _)| id));
            return Err(format!("event {name:?} is claimed by {other:?} and by {owner:?}"));
        }
        let mut entry = EventEntry::new(owner.map(|(id, _)| id.clone()), spec)
            .map_err(|error| format!("event {name:?}: {error}"))?;
        entry.siblings = owner.map(|(_, siblings)| siblings.clone()).unwrap_or_default();
        self.events.insert(name, Arc::new(entry));
        Ok(())
    }

    /// `"methods":[…],"events":[…]`, sorted by name.
    fn collect_rows(&self) -> String {
        // One row at a time: all of them as values would be the most memory that a gateway ever needs.
        let methods: BTreeMap<_, _> = self.methods.iter().collect();
        let events: BTreeMap<_, _> = self.events.iter().collect();
        let mut rows = String::from("\"methods\":");
        append_rows(&mut rows, methods.values().map(|entry| method_row(entry)));
        rows.push_str(",\"events\":");
        append_rows(&mut rows, events.values().map(|entry| event_row(entry)));
        rows
    }

    fn collect_features(&self) -> Features {
        let mut methods: Vec<String> = self
            .methods
            .values()
            .filter(|entry| entry.spec.role != Exposure::Internal)
            .map(|entry| entry.spec.name.clone())
            .collect();
        let mut events: Vec<String> = self
            .events
            .values()
            .filter(|entry| entry.spec.role != Exposure::Internal)
            .map(|entry| entry.name.to_string())
            .collect();
        methods.sort();
        events.sort();
        Features { methods, events }
    }
}

impl ParamsCheck {
    fn new(schema: &JsonText) -> Result<Self, String> {
        let schema = schema.value();
        let constrains = |schema: &serde_json::Map<String, Value>| {
            schema.iter().any(|(key, value)| match key.as_str() {
                "$schema" | "$id" | "title" | "description" | "$comment" => false,
                "type" => value != "object",
                "properties" => value.as_object().is_none_or(|map| !map.is_empty()),
                "additionalProperties" => value != &Value::Bool(true),
                _ => true,
            })
        };
        match schema.as_object() {
            Some(map) if !constrains(map) => return Ok(ParamsCheck::AnyObject),
            Some(_) => {}
            None => return Err("the schema is not an object".to_string()),
        }
        if let Some(shape) = Shape::of(&schema) {
            let empty_is_valid = shape.admits("{}");
            return Ok(ParamsCheck::Schema { shape: Some(shape), whole: OnceLock::new(), empty_is_valid });
        }
        let whole = Validator::new(&schema)?;
        let empty_is_valid = whole.is_valid(&serde_json::json!({}));
        Ok(ParamsCheck::Schema { shape: None, whole: Some(Box::new(whole)).into(), empty_is_valid })
    }
}

/// Why a table was not published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryError {
    /// The plugin that the fault was found in.
    pub plugin: String,
    fault: String,
}

impl RegistryError {
    fn new(plugin: &str, fault: String) -> Self {
        RegistryError { plugin: plugin.to_string(), fault }
    }
}

impl std::fmt::Display for RegistryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "plugin {:?}: {}", self.plugin, self.fault)
    }
}

/// Compiles every schema of a manifest, and names the method whose schema does not.
pub fn check_schemas(manifest: &Manifest) -> Result<(), String> {
    for method in &manifest.methods {
        let fault = |error| format!("method {:?}: params: {error}", method.name);
        ParamsCheck::new(&method.params).map_err(fault)?;
        // A shape passes over what is not its business.
        Validator::new(&method.params.value()).map_err(fault)?;
    }
    Ok(())
}

/// Makes sure that there are bits for the scopes of a manifest.
pub fn reserve_scopes(manifest: &Manifest) -> Result<(), String> {
    let methods = manifest.methods.iter().flat_map(|method| &method.scopes);
    let events = manifest.events.iter().flat_map(|event| &event.scopes);
    access::reserve(methods.chain(events)).map_err(|error| error.to_string())
}

/// Appends a list.
fn append_rows(out: &mut String, rows: impl Iterator<Item = RegistryEntry>) {
    for (place, row) in rows.enumerate() {
        out.push(if place == 0 { '[' } else { ',' });
        out.push_str(&serde_json::to_string(&row).unwrap_or_default());
    }
    out.push_str(if out.ends_with(':') { "[]" } else { "]" });
}

fn method_row(entry: &MethodEntry) -> RegistryEntry {
    RegistryEntry {
        kind: "method".to_string(),
        plugin: entry.owner().to_string(),
        spec: serde_json::to_value(&entry.spec).unwrap_or_default().into(),
    }
}

fn event_row(entry: &EventEntry) -> RegistryEntry {
    RegistryEntry {
        kind: "event".to_string(),
        plugin: entry.owner.as_deref().unwrap_or("host").to_string(),
        spec: serde_json::to_value(&entry.spec).unwrap_or_default().into(),
    }
}

#[cfg(test)]
mod tests {
    use plugin_api::{NoParams, schema_of};
    use schemas::frame::Request;
    use serde_json::json;

    use super::*;

    /// A method with these parameters, which nobody has called yet.
    fn method(params: Value) -> MethodEntry {
        let service = HostService::all().next().expect("the host has some");
        let spec = MethodSpec { params: params.into(), ..service.spec() };
        let access = Access::new(spec.role, &spec.scopes).expect("a few scopes");
        let metrics = Metrics::new().of_method(&spec.name, "host");
        MethodEntry { spec, handler: Handler::Host(service), access, metrics, params: OnceLock::new() }
    }

    /// Whether the validator that finds the words was made.
    fn has_words(method: &MethodEntry) -> bool {
        matches!(method.params.get(), Some(ParamsCheck::Schema { whole, .. }) if whole.get().is_some())
    }

    #[test]
    fn empty_parameters_that_are_known_to_be_valid_are_looked_at_by_nobody() {
        let demands = json!({ "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] });
        let shape = Shape::of(&demands).expect("it has a shape");
        assert!(!shape.admits("{}"));
        // Whoever asks the shape is refused, and so is whoever asks for words: there are none.
        let rigged = |empty_is_valid| {
            let (method, whole) = (method(demands.clone()), OnceLock::from(None));
            let check = ParamsCheck::Schema { shape: Some(shape.clone()), whole, empty_is_valid };
            assert!(method.params.set(check).is_ok(), "nobody has called it");
            method
        };
        let known = rigged(true);
        assert_eq!(known.params_fault("{}"), None);
        assert_eq!(known.params_fault("{ }").as_deref(), Some(CANNOT_CHECK), "any other text is looked at");
        assert_eq!(rigged(false).params_fault("{}").as_deref(), Some(CANNOT_CHECK));
        // That is what a request without parameters has.
        let request = Request::parse(r#"{"type":"req","id":"1","method":"health"}"#).expect("a request");
        assert_eq!(request.params_text(), "{}");
    }

    #[test]
    fn words_are_looked_for_when_there_is_something_wrong_and_not_before() {
        let none = schema_of::<NoParams>();
        let some = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
        for (schema, valid, wrong) in [(none, "{}", r#"{"a":1}"#), (some, r#"{"a":"b"}"#, r#"{"a":1}"#)] {
            let method = method(schema);
            assert!(method.params.get().is_none(), "a schema is read when it is first needed");
            for _ in 0..2 {
                assert_eq!(method.params_fault(valid), None);
            }
            assert!(!has_words(&method), "{valid} took the whole of JSON Schema");
            assert!(method.params_fault(wrong).is_some() && has_words(&method), "{wrong}");
        }
    }
}
