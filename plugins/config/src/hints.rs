//! Hints for forms, read off the schema itself: whatever key a later host or plugin adds has its hint at once.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// How a form may show a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hint {
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The heading it stands under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its place among its neighbours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<u32>,
    /// Few need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advanced: Option<bool>,
    /// What is typed must not be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensitive: Option<bool>,
}

/// Tables whose defaults suit nearly everybody.
const ADVANCED: [&str; 2] = ["gateway.limits", "gateway.methods"];

/// Tables nest a few levels deep; a schema that nests deeper is not a form any more.
const DEEPEST: usize = 12;

/// The hints of every key of a schema, by dotted path.
pub fn hints(schema: &Value) -> BTreeMap<String, Hint> {
    let mut hints = BTreeMap::new();
    walk(schema, "", 0, &mut hints);
    hints
}

fn walk(schema: &Value, path: &str, depth: usize, hints: &mut BTreeMap<String, Hint>) {
    if depth > DEEPEST {
        return;
    }
    for (place, (name, property)) in schema["properties"].as_object().into_iter().flatten().enumerate() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        hints.insert(path.clone(), hint(property, &path, name, place));
        walk(property, &path, depth + 1, hints);
    }
    if schema["additionalProperties"].is_object() {
        let path = if path.is_empty() { "*".to_string() } else { format!("{path}.*") };
        walk(&schema["additionalProperties"], &path, depth + 1, hints);
    }
    if schema["items"].is_object() {
        walk(&schema["items"], &format!("{path}[]"), depth + 1, hints);
    }
}

fn hint(property: &Value, path: &str, name: &str, place: usize) -> Hint {
    let table = path.split('.').next().unwrap_or(path);
    let advanced = ADVANCED.iter().any(|table| path.starts_with(table));
    let secret = property["writeOnly"] == true || (takes_text(property) && sounds_secret(name));
    Hint {
        label: Some(title(name)),
        help: property["description"].as_str().map(str::to_string),
        group: Some(title(table)),
        order: u32::try_from(place + 1).ok(),
        advanced: advanced.then_some(true),
        sensitive: secret.then_some(true),
    }
}

/// `"string"`, `["string", "null"]`, or the same behind an `anyOf`.
fn takes_text(property: &Value) -> bool {
    match &property["type"] {
        Value::String(kind) => kind == "string",
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "string"),
        _ => property["anyOf"].as_array().is_some_and(|forms| forms.iter().any(takes_text)),
    }
}

/// Plugins' own keys carry no mark, so their names must tell.
fn sounds_secret(name: &str) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    ["token", "password", "passphrase", "secret", "apikey", "privatekey"].iter().any(|ending| name.ends_with(ending))
}

/// `state_dir` and `stateDir` read as `State dir`.
fn title(name: &str) -> String {
    let mut title = String::with_capacity(name.len() + 2);
    for (place, letter) in name.chars().enumerate() {
        match letter {
            '_' | '-' => title.push(' '),
            letter if place == 0 => title.extend(letter.to_uppercase()),
            letter if letter.is_uppercase() => {
                title.push(' ');
                title.extend(letter.to_lowercase());
            }
            letter => title.push(letter),
        }
    }
    title
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_key_has_a_hint_and_secrets_are_marked() {
        let schema = json!({
            "properties": {
                "gateway": {"description": "The gateway itself.", "properties": {
                    "state_dir": {"type": "string", "description": "Folder."},
                    "auth": {"properties": {
                        "token": {"type": "string", "writeOnly": true},
                        "token_file": {"type": "string"},
                        "tokens": {"type": "array", "items": {"properties": {"token": {"type": "string"}}}},
                    }},
                    "limits": {"properties": {"max_payload": {"type": "integer"}}},
                }},
                "plugins": {"additionalProperties": {"properties": {"config": {"properties": {
                    "apiKey": {"type": ["string", "null"]},
                    "maxTokens": {"type": "integer"},
                    "botToken": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                }}}}},
            },
        });
        let hints = hints(&schema);
        let secret: Vec<&str> =
            hints.iter().filter(|(_, hint)| hint.sensitive.is_some()).map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            secret,
            [
                "gateway.auth.token",
                "gateway.auth.tokens[].token",
                "plugins.*.config.apiKey",
                "plugins.*.config.botToken"
            ]
        );
        assert_eq!(
            hints["gateway.state_dir"],
            Hint {
                label: Some("State dir".into()),
                help: Some("Folder.".into()),
                group: Some("Gateway".into()),
                // Objects of serde_json are sorted by name.
                order: Some(3),
                ..Hint::default()
            }
        );
        assert_eq!(hints["gateway.limits.max_payload"].advanced, Some(true));
        assert_eq!(hints["plugins.*.config.maxTokens"].label.as_deref(), Some("Max tokens"));
    }

    #[test]
    fn odd_schemas_give_no_hints() {
        for schema in [json!(null), json!(true), json!({"properties": []}), json!({"additionalProperties": true})] {
            assert!(hints(&schema).is_empty(), "{schema}");
        }
    }
}
