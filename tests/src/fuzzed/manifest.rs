//! A plugin's manifest, which a gateway reads before it runs anything of it.

use clawhost::registry::check_schemas;
use clawhost::validation::Validator;
use plugin_api::Manifest;
use serde_json::{Value, json};

use super::{SECRET, hides_secrets, marked};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let manifest = match Manifest::parse(text) {
        Ok(manifest) => manifest,
        Err(error) => {
            assert!(!schemas::json::fault(&error).is_empty());
            return;
        }
    };
    let again = Manifest::parse(&manifest.to_json()).expect("what was read is written so that it can be read");
    assert_eq!(again, manifest);
    let form = manifest.check_form();
    assert_eq!(form, again.check_form());
    if form.is_ok() {
        has_form(&manifest);
    }
    if is_flat(&manifest) && check_schemas(&manifest).is_ok() {
        manifest.methods.iter().for_each(|method| judges(&method.params.value()));
    }
}

/// Told once more, in other words than the product's.
fn has_form(manifest: &Manifest) {
    let is_id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let id = manifest.id.as_str();
    assert!(
        (1..=64).contains(&id.len()) && id.chars().all(is_id) && id != "host" && !id.starts_with(['-', '0', '9']),
        "{id}"
    );
    let names =
        manifest.methods.iter().map(|method| &method.name).chain(manifest.events.iter().map(|event| &event.name));
    for name in names {
        assert!((1..=128).contains(&name.len()) && name.bytes().all(|byte| (0x21..0x7f).contains(&byte)), "{name:?}");
        assert!(
            !name.contains(['*', '"', '\\']) && !name.starts_with("host.") && name != "connect" && name != "tick",
            "{name}"
        );
    }
    for row in &manifest.http {
        let is_clean = !row.path.contains("..") || row.path.split('/').all(|segment| segment != "..");
        assert!(row.path.starts_with('/') && is_clean && !row.path.contains(['%', '?', '#']), "{:?}", row.path);
        assert!(!row.path.starts_with("/metrics/") && row.path != "/metrics", "{:?}", row.path);
    }
}

/// Whether no schema refers to another place. One that does may refer to itself, and then takes as long and as deep as it
/// likes: a plugin checks such on threads of its own.
fn is_flat(manifest: &Manifest) -> bool {
    manifest.methods.iter().all(|method| {
        let text = method.params.as_str();
        !text.contains("$ref") && !text.contains("$dynamicRef") && !text.contains("ef\\") && !text.contains("attern")
    })
}

/// A schema that a gateway takes judges anything, the quick way and the one with words, and repeats no values.
fn judges(schema: &Value) {
    let Ok(validator) = Validator::new(schema) else { return };
    if schema.to_string().contains(SECRET) {
        return;
    }
    for value in
        [json!({}), json!({ "a": "b", "list": [1, "c", { "d": null }] }), json!(["x"]), json!("x"), Value::Null]
    {
        let said = validator.describe(&value);
        assert_eq!(said.is_none(), validator.is_valid(&value), "{value} by {schema}");
        if let Some(said) = validator.describe(&marked(&value)) {
            hides_secrets(&said);
            assert!(said.len() <= 2048 + 64, "{} bytes: {said}", said.len());
        }
    }
}
