//! The shape of `config.toml` as JSON Schema, for editors and for clients that draw a form.

use serde_json::{Map, Value, json};

use super::keys::{self, Key, Kind};
use super::named_tokens;
use super::plugins;

/// The schema of the file.
pub(super) fn json_schema() -> Value {
    let mut gateway = table("The gateway itself.");
    for key in keys::all() {
        insert(&mut gateway, key.path.trim_start_matches("gateway."), key);
    }
    let mut token = table("A named token.");
    for key in named_tokens::KEYS {
        token["properties"][key.name()] = property(key);
    }
    gateway["properties"]["auth"]["properties"]["tokens"] =
        json!({"type": "array", "description": named_tokens::DOC, "items": token});
    let mut plugin = table("What the host decides about a plugin.");
    for key in plugins::KEYS {
        insert(&mut plugin, key.path.trim_start_matches("plugins.<id>."), key);
    }
    plugin["properties"]["config"] = json!({"type": "object", "description": "The plugin's own keys."});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "config.toml",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "gateway": gateway,
            "plugins": {
                "type": "object",
                "description": "One table for each plugin, named after its id.",
                "additionalProperties": plugin,
            },
        },
    })
}

fn table(description: &str) -> Value {
    json!({"type": "object", "description": description, "additionalProperties": false, "properties": {}})
}

/// Puts a key at a dotted path below a table, making the tables on the way.
fn insert(parent: &mut Value, path: &str, key: &Key) {
    match path.split_once('.') {
        Some((head, rest)) => {
            let child = &mut parent["properties"][head];
            if child.is_null() {
                *child = table(&format!("[{}]", key.table()));
            }
            insert(child, rest, key);
        }
        None => parent["properties"][path] = property(key),
    }
}

fn property(key: &Key) -> Value {
    let mut property = Map::new();
    let kind = match key.kind {
        Kind::Flag => "boolean",
        Kind::Whole { .. } => "integer",
        Kind::List => "array",
        Kind::Text
        | Kind::Choice(_)
        | Kind::Span { .. }
        | Kind::Path
        | Kind::Secret
        | Kind::Sha256
        | Kind::Signature
        | Kind::Moment => "string",
    };
    property.insert("type".to_string(), json!(kind));
    property.insert("description".to_string(), json!(key.doc.trim()));
    if let Some(default) = key.default_value() {
        property.insert("default".to_string(), default);
    }
    match key.kind {
        Kind::Whole { min, max } => {
            property.insert("minimum".to_string(), json!(min));
            property.insert("maximum".to_string(), json!(max));
        }
        Kind::Choice(words) => {
            let unset = key.optional().then_some("");
            property.insert("enum".to_string(), words.iter().copied().chain(unset).collect());
        }
        Kind::List => {
            property.insert("items".to_string(), json!({"type": "string"}));
        }
        Kind::Secret => {
            property.insert("writeOnly".to_string(), json!(true));
        }
        Kind::Sha256 => {
            property.insert("pattern".to_string(), json!("^[0-9A-Fa-f]{64}$"));
        }
        Kind::Flag | Kind::Text | Kind::Span { .. } | Kind::Path | Kind::Signature | Kind::Moment => {}
    }
    Value::Object(property)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_place_in_the_schema() {
        let schema = json_schema();
        for key in keys::all() {
            let pointer = format!("/properties/{}", key.path.replace('.', "/properties/"));
            let property = schema.pointer(&pointer).unwrap_or_else(|| panic!("{pointer}"));
            assert!(property["description"].as_str().is_some_and(|text| text.ends_with('.')), "{pointer}");
        }
        assert_eq!(schema["properties"]["gateway"]["additionalProperties"], false);
        let plugin = &schema["properties"]["plugins"]["additionalProperties"]["properties"];
        assert_eq!(plugin["enabled"]["default"], true);
        assert_eq!(plugin["grants"]["properties"]["hear"]["type"], "array");
        let token = &schema["properties"]["gateway"]["properties"]["auth"]["properties"]["tokens"]["items"];
        assert_eq!(token["properties"]["token"]["writeOnly"], true);
        assert_eq!(plugin["sha256"]["pattern"], "^[0-9A-Fa-f]{64}$");
    }
}
