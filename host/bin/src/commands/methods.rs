//! `clawhost methods`: what can be asked and heard, and all there is to know about one of it. A gateway without its
//! plugin `system` has only told the names.

use clap::Args;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::cli::Context;
use crate::failure::Failure;
use crate::session::Question;
use crate::show::{Style, Table, clean, json_text};

const LISTING: &str = "system.methods";
const DESCRIPTION: &str = "system.describe";
const PLUGIN: &str = "system";

/// Arguments of `methods`.
#[derive(Debug, Args)]
pub struct MethodsArgs {
    /// Describe this method or event
    name: Option<String>,
    /// List events in place of methods
    #[arg(long, conflicts_with = "name")]
    events: bool,
    /// List also what only plugins can reach
    #[arg(long, conflicts_with = "name")]
    internal: bool,
}

/// Prints the list or the description.
pub fn run(args: MethodsArgs, context: &Context) -> Result<(), Failure> {
    match &args.name {
        Some(name) => describe(name, context),
        None => list(&args, context),
    }
}

fn list(args: &MethodsArgs, context: &Context) -> Result<(), Failure> {
    let params = if args.internal { json!({ "internal": true }) } else { json!({}) };
    let question = Question::new(LISTING, PLUGIN).with(params);
    let answer = context.with_gateway(async |connection| {
        if args.internal || connection.hello().has_method(LISTING) {
            return question.ask(connection).await;
        }
        let features = &connection.hello().features;
        Ok(names_only(&features.methods, &features.events))
    })?;
    context.print_answer(LISTING, &answer, |listing: Listing| {
        let rows = if args.events { listing.events } else { listing.methods };
        Ok(table(rows).render(context.style))
    })
}

fn describe(name: &str, context: &Context) -> Result<(), Failure> {
    let question = Question::new(DESCRIPTION, PLUGIN).with(json!({ "name": name }));
    let answer = context.with_gateway(async |connection| {
        let hello = connection.hello();
        if hello.has_method(DESCRIPTION) {
            return question.ask(connection).await;
        }
        let is_in = |names: &[String]| names.iter().any(|known| known == name);
        let kind = match (is_in(&hello.features.methods), is_in(&hello.features.events)) {
            (true, _) => "method",
            (false, true) => "event",
            (false, false) => return Err(Failure::failed(format!("unknown method or event: {name}"))),
        };
        Ok(to_raw_value(&json!({ "kind": kind, "name": name })).expect("a JSON value is serialisable"))
    })?;
    context.print_answer(DESCRIPTION, &answer, |description: Description| Ok(page(&description, context.style)))
}

#[derive(Deserialize)]
struct Listing {
    methods: Vec<Row>,
    events: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    #[serde(default)]
    plugin: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    role: Value,
    #[serde(default)]
    scopes: Vec<String>,
}

fn names_only(methods: &[String], events: &[String]) -> Box<RawValue> {
    let rows = |names: &[String]| names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>();
    to_raw_value(&json!({ "methods": rows(methods), "events": rows(events) })).expect("a JSON value is serialisable")
}

fn table(mut rows: Vec<Row>) -> Table {
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    let mut table = Table::new(&["NAME", "PLUGIN", "FOR", "SUMMARY"]);
    for row in rows {
        let audience = audience(&row.role, &row.scopes);
        table.row([row.name, row.plugin, audience, row.summary]);
    }
    table
}

/// Who may use it: the scopes, and the role where it is not the usual one.
fn audience(role: &Value, scopes: &[String]) -> String {
    let scopes = scopes.join(", ");
    let role = match role {
        Value::Array(roles) => roles.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" and "),
        Value::String(role) => role.clone(),
        _ => String::new(),
    };
    match (role.as_str(), scopes.is_empty()) {
        (_, true) => role,
        ("operator" | "", false) => scopes,
        (_, false) => format!("{role}: {scopes}"),
    }
}

#[derive(Deserialize)]
struct Description {
    #[serde(flatten)]
    row: Row,
    kind: String,
    #[serde(default)]
    description: String,
    effects: Option<bool>,
    idempotency: Option<String>,
    replies: Option<String>,
    params: Option<Box<RawValue>>,
    result: Option<Box<RawValue>>,
    payload: Option<Box<RawValue>>,
}

fn page(about: &Description, style: Style) -> String {
    let mut text = format!("{} ({}", style.bold(&clean(&about.row.name)), clean(&about.kind));
    if !about.row.plugin.is_empty() {
        text.push_str(&format!(" of {}", clean(&about.row.plugin)));
    }
    text.push_str(")\n");
    let mut sentence = |words: &str| {
        if !words.is_empty() {
            text.push_str(&format!("{}\n", clean(words)));
        }
    };
    sentence(&about.row.summary);
    sentence(&about.description);
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("{} {}\n", style.bold(name), clean(value)));
        }
    };
    fact("for:", &audience(&about.row.role, &about.row.scopes));
    fact("effects:", about.effects.map_or("", |effects| if effects { "yes" } else { "none" }));
    fact("idempotency:", about.idempotency.as_deref().unwrap_or_default());
    fact("replies:", about.replies.as_deref().unwrap_or_default());
    for (name, schema) in [("params:", &about.params), ("result:", &about.result), ("payload:", &about.payload)] {
        if let Some(schema) = schema {
            text.push_str(&format!("{}\n{}\n", style.bold(name), json_text::pretty(schema.get())));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_sorted_and_say_who_may_call_them() {
        let listing = json!({"methods": [
            {"name": "status", "plugin": "status", "summary": "What there is.", "role": "operator",
             "scopes": ["operator.read"]},
            {"name": "node.event", "plugin": "node", "summary": "", "role": "node", "scopes": []},
            {"name": "health", "plugin": "health", "summary": "How it is.", "role": ["node", "operator"], "scopes": []},
        ], "events": []});
        let listing: Listing = serde_json::from_value(listing).unwrap();
        let expected = "NAME        PLUGIN  FOR                SUMMARY\n\
                        health      health  node and operator  How it is.\n\
                        node.event  node    node               -\n\
                        status      status  operator.read      What there is.\n";
        assert_eq!(table(listing.methods).render(Style::plain()), expected);
    }

    #[test]
    fn names_are_enough_when_there_is_nothing_else() {
        let answer = names_only(&["b".into(), "a".into()], &["tick".into()]);
        let listing: Listing = serde_json::from_str(answer.get()).unwrap();
        assert_eq!(table(listing.methods).render(Style::plain()).lines().nth(1), Some("a     -       -    -"));
        assert_eq!(listing.events[0].name, "tick");
    }

    #[test]
    fn a_page_holds_the_schemas() {
        let about = r#"{"kind":"method","plugin":"health","name":"health","summary":"How it is.","role":"operator",
            "scopes":["operator.read"],"effects":false,"idempotency":"none","replies":"single",
            "params":{"type":"object","a":1}}"#;
        let about: Description = serde_json::from_str(about).unwrap();
        let expected = "health (method of health)\nHow it is.\nfor: operator.read\neffects: none\nidempotency: none\n\
                        replies: single\nparams:\n{\n  \"type\": \"object\",\n  \"a\": 1\n}\n";
        assert_eq!(page(&about, Style::plain()), expected);
        let bare: Description = serde_json::from_value(json!({"kind": "event", "name": "tick"})).unwrap();
        assert_eq!(page(&bare, Style::plain()), "tick (event)\n");
    }
}
