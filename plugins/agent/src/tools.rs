//! Tools: methods whose manifest row says that agents may use them, as far as the agent's list goes. In a client's run they
//! are called with the client's rights and nothing more; in other runs with the gateway's, and the list is the bound.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plugin_api::catalogue::RegistryList;
use plugin_api::contracts::backend::ToolOffer;
use plugin_api::contracts::run::AgentRecord;
use plugin_api::contracts::{Message, Part};
use plugin_api::{Exposure, Host, Idempotency, MethodError, MethodSpec, NoParams, Principal};
use serde_json::{Map, Value};

use crate::signal::{First, first};

/// The longest name that every provider takes.
const LONGEST_NAME: usize = 64;
const KEY: &str = "idempotencyKey";

/// A method that can be a tool.
pub struct Tool {
    /// The method.
    pub method: String,
    /// As a model is offered it.
    pub offer: ToolOffer,
    /// Whether the method takes an idempotency key, which the model is not asked for.
    takes_key: bool,
}

/// What the registry has, read again when it changes.
pub struct Registry {
    host: Host,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// How often it was said to have changed.
    changes: u64,
    read: Option<(u64, Arc<Read>)>,
}

/// The registry as it was read.
#[derive(Default)]
pub struct Read {
    /// Every tool there is.
    pub tools: Vec<Arc<Tool>>,
    /// Names of all methods.
    methods: HashSet<String>,
}

impl Read {
    /// Whether there is a channel of this id.
    pub fn has_channel(&self, id: &str) -> bool {
        self.methods.contains(&format!("channel.{id}.send"))
    }
}

impl Registry {
    /// The gateway's.
    pub fn new(host: Host) -> Self {
        Registry { host, known: Mutex::default() }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It has changed: what was read of it is old.
    pub fn changed(&self) {
        self.known().changes += 1;
    }

    /// As it is now.
    pub async fn read(&self) -> Result<Arc<Read>, MethodError> {
        let changes = {
            let known = self.known();
            match &known.read {
                Some((changes, read)) if *changes == known.changes => return Ok(read.clone()),
                _ => known.changes,
            }
        };
        let list: RegistryList = self.host.invoke("host.registry.list", &NoParams {}).send().await?;
        let specs: Vec<MethodSpec> = list.methods.iter().filter_map(|entry| entry.spec.read().ok()).collect();
        let methods = specs.iter().map(|spec| spec.name.clone()).collect();
        let read = Arc::new(Read { tools: tools(specs), methods });
        self.known().read = Some((changes, read.clone()));
        Ok(read)
    }
}

fn tools(specs: Vec<MethodSpec>) -> Vec<Arc<Tool>> {
    let mut taken: HashMap<String, ()> = HashMap::new();
    let usable = specs.into_iter().filter(|spec| spec.tool && spec.role != Exposure::Node);
    let make = |spec: MethodSpec| {
        let base: String = spec
            .name
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' })
            .take(LONGEST_NAME)
            .collect();
        let mut name = base.clone();
        let mut count = 1;
        while taken.insert(name.clone(), ()).is_some() {
            count += 1;
            let ending = format!("_{count}");
            name = format!("{}{ending}", &base[..base.len().min(LONGEST_NAME - ending.len())]);
        }
        let (parameters, takes_key) = parameters(spec.params.value(), spec.idempotency == Idempotency::Replay);
        let description = [spec.summary.trim(), spec.description.trim()].join(" ").trim().to_string();
        Arc::new(Tool { method: spec.name, offer: ToolOffer { name, description, parameters }, takes_key })
    };
    usable.map(make).collect()
}

/// A method's schema as a model is shown it: an object, without the key, which the engine fills in.
fn parameters(schema: Value, replays: bool) -> (Value, bool) {
    let Value::Object(mut schema) = schema else { return (serde_json::json!({ "type": "object" }), replays) };
    schema.remove("$schema");
    schema.remove("title");
    schema.insert("type".to_string(), Value::from("object"));
    let properties = schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    let has_key = properties.as_object_mut().is_some_and(|properties| properties.remove(KEY).is_some());
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name != KEY);
    }
    (Value::Object(schema), has_key || replays)
}

/// Whether one of these patterns, a name or a prefix and `*`, means the method.
fn names(patterns: &[String], method: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => method.starts_with(start),
        None => pattern == method,
    })
}

/// The tools that an agent may use.
pub fn of_agent(read: &Read, record: &AgentRecord) -> Vec<Arc<Tool>> {
    let may = |tool: &&Arc<Tool>| names(&record.tools, &tool.method) && !names(&record.tools_denied, &tool.method);
    read.tools.iter().filter(may).cloned().collect()
}

/// Gives calls whose ids were there before ids of their own. Some services count anew with each answer, and the id is
/// part of the key by which a tool is called once.
pub fn name_apart(content: &mut [Part], earlier: &[Message]) {
    let mut known: HashSet<String> = HashSet::new();
    for part in earlier.iter().flat_map(|message| &message.content) {
        if let Part::ToolCall { id, .. } = part {
            known.insert(id.clone());
        }
    }
    for part in content {
        let Part::ToolCall { id, .. } = part else { continue };
        let (given, mut count) = (id.clone(), 1);
        while !known.insert(id.clone()) {
            count += 1;
            *id = format!("{given}_{count}");
        }
    }
}

/// What came of a tool.
pub struct Answered {
    /// What the model is told.
    pub text: String,
    /// Whether it failed.
    pub is_error: bool,
}

impl Answered {
    /// It failed, for this reason.
    pub fn failed(why: impl Into<String>) -> Self {
        Answered { text: why.into(), is_error: true }
    }
}

/// Calls a tool. Whatever goes wrong is its result.
pub async fn call(
    host: &Host,
    tool: &Tool,
    arguments: &Value,
    key: &str,
    principal: Option<&Principal>,
    limits: (Duration, usize),
) -> Answered {
    let (time, bytes) = limits;
    let mut arguments = match arguments {
        Value::Object(arguments) => arguments.clone(),
        Value::Null => Map::new(),
        _ => return Answered::failed("What a tool is given has to be a JSON object."),
    };
    if tool.takes_key {
        arguments.insert(KEY.to_string(), Value::from(key));
    }
    let mut invoke = host.invoke(&tool.method, &arguments).timeout(time);
    if let Some(principal) = principal {
        invoke = invoke.on_behalf_of(principal.clone());
    }
    match first(invoke.raw(), host.sleep(time)).await {
        First::Left(Ok(payload)) => Answered { text: cut(payload.get(), bytes), is_error: false },
        First::Left(Err(error)) => Answered::failed(cut(&error.shape().message, bytes)),
        First::Right(()) => {
            Answered::failed(format!("It took longer than {} seconds and was given up.", time.as_secs_f64()))
        }
    }
}

fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_string();
    }
    let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}\n[The rest, {} bytes, is left out.]", &text[..end], text.len() - end)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(name: &str, params: Value) -> MethodSpec {
        let row = json!({
            "name": name, "summary": "Does it.", "description": "Well.", "role": "operator", "scopes": [], "tool": true,
            "params": params,
        });
        serde_json::from_value(row).expect("a row")
    }

    #[test]
    fn methods_become_tools() {
        let long = "x".repeat(80);
        let params = json!({
            "$schema": "s", "type": "object", "properties": { "a": {}, "idempotencyKey": {} },
            "required": ["a", "idempotencyKey"],
        });
        let rows = vec![
            spec("node.invoke", params),
            spec("node_invoke", json!({})),
            spec(&long, json!({})),
            spec(&format!("{long}y"), json!({})),
        ];
        let tools = tools(rows);
        let names: Vec<_> = tools.iter().map(|tool| tool.offer.name.as_str()).collect();
        let (first, second) = ("x".repeat(64), format!("{}_2", "x".repeat(62)));
        assert_eq!(names, ["node_invoke", "node_invoke_2", &first, &second]);
        assert!(tools[0].takes_key && !tools[1].takes_key);
        assert_eq!(tools[0].offer.description, "Does it. Well.");
        assert_eq!(
            tools[0].offer.parameters,
            json!({ "type": "object", "properties": { "a": {} }, "required": ["a"] })
        );
        let read = Read { tools, ..Read::default() };
        let may = |tools: &[&str], denied: &[&str]| {
            let texts = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
            let record = AgentRecord { tools: texts(tools), tools_denied: texts(denied), ..AgentRecord::default() };
            of_agent(&read, &record).iter().map(|tool| tool.method.clone()).collect::<Vec<_>>()
        };
        assert_eq!(may(&["node.*"], &[]), ["node.invoke"]);
        assert_eq!(may(&["*"], &["x*"]), ["node.invoke", "node_invoke"]);
        assert_eq!(may(&["node.invoke"], &["node.*"]), Vec::<String>::new());
        assert_eq!(may(&[], &[]), Vec::<String>::new());
    }

    #[test]
    fn long_results_are_cut_between_characters() {
        assert_eq!(cut("äää", 6), "äää");
        assert_eq!(cut("äää", 3), "ä\n[The rest, 4 bytes, is left out.]");
    }
}
