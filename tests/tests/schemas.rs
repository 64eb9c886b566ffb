//! The files under `schemas/` say what the code says, and are schemas.

use std::collections::BTreeSet;

use clawhost_tests::program::Home;
use clawhost_tests::published::{self, FEATURES, REGENERATE};
use client::{ConnectOptions, Connection};
use serde_json::Value;

#[test]
fn the_files_are_what_the_types_say() {
    let (folder, expected) = (published::folder(), published::files());
    let present: BTreeSet<String> = std::fs::read_dir(folder.join("json"))
        .expect("schemas/json can be listed")
        .map(|entry| format!("json/{}", entry.expect("an entry can be read").file_name().to_string_lossy()))
        .chain([FEATURES.to_string()])
        .collect();
    let mut drifted: Vec<String> = Vec::new();
    for name in present.iter().filter(|name| !expected.contains_key(*name)) {
        drifted.push(format!("schemas/{name}: nothing makes this file any more"));
    }
    for (name, text) in &expected {
        match std::fs::read_to_string(folder.join(name)) {
            Ok(found) if found == *text => {}
            Ok(found) => drifted.push(format!("schemas/{name}: {}", first_difference(&found, text))),
            Err(_) => drifted.push(format!("schemas/{name}: missing")),
        }
    }
    assert!(drifted.is_empty(), "run `{REGENERATE}` and look at what changed:\n{}", drifted.join("\n"));
}

#[test]
fn every_schema_compiles_and_every_reference_leads_somewhere() {
    for (name, schema) in published::schemas() {
        if let Err(error) = jsonschema::meta::validate(&schema) {
            panic!("{name} is not a schema: {error}");
        }
        if let Err(error) = jsonschema::validator_for(&schema) {
            panic!("{name} does not compile: {error}");
        }
        for reference in references(&schema) {
            let target = reference.strip_prefix('#').and_then(|pointer| schema.pointer(pointer));
            assert!(target.is_some(), "{name}: {reference} leads nowhere in the file");
        }
    }
}

#[test]
fn names_are_fit_for_files_and_unlike_each_other() {
    let mut seen = BTreeSet::new();
    for name in published::files().keys() {
        let fit = name.chars().all(|c| c.is_ascii_alphanumeric() || "-._/".contains(c));
        assert!(fit && name.matches('/').count() <= 1, "{name:?} is no portable file name");
        assert!(seen.insert(name.to_lowercase()), "{name:?} differs from another file in capitals only");
    }
}

#[tokio::test]
async fn a_running_gateway_advertises_the_listing() {
    let home = Home::default();
    let gateway = home.start();
    let connection =
        Connection::open(ConnectOptions::new(&gateway.url).token(home.token())).await.expect("it connects");
    let listing: Value = read(FEATURES);
    let wire = |kind: &str| -> Vec<String> {
        let rows = listing[kind].as_array().expect("the listing has both kinds");
        let wire = rows.iter().filter(|row| row["role"] != "internal");
        wire.map(|row| row["name"].as_str().expect("a row has a name").to_string()).collect()
    };
    let features = &connection.hello().features;
    assert_eq!(features.methods, wire("methods"));
    assert_eq!(features.events, wire("events"));
    connection.close().await;
}

fn read(name: &str) -> Value {
    let text = std::fs::read_to_string(published::folder().join(name)).expect("the file can be read");
    serde_json::from_str(&text).expect("the file is JSON")
}

/// The first line that is not the same.
fn first_difference(found: &str, expected: &str) -> String {
    let mut lines = found.lines().zip(expected.lines()).enumerate();
    match lines.find(|(_, (found, expected))| found != expected) {
        Some((number, (found, expected))) => {
            format!("line {}: the file says {:?}, the code {:?}", number + 1, found.trim(), expected.trim())
        }
        None => format!("{} lines in the file, {} by the code", found.lines().count(), expected.lines().count()),
    }
}

fn references(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(fields) => {
            let here = fields.get("$ref").and_then(Value::as_str).map(str::to_string);
            here.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
