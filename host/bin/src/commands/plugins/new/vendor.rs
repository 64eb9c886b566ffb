//! What a project brings with it: the sources of `plugin-api` that this gateway was built with, with manifests that do not
//! lean on our workspace, and the versions of other people's crates that they were built with.

use std::path::PathBuf;

use toml_edit::{DocumentMut, Item, Table, TableLike, Value, value};

use super::ProjectFile;

/// Files of the repository by their place in it; empty when this program was built from published crates.
const SOURCES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sources.rs"));
const IS_VENDORED: bool = !SOURCES.is_empty();

/// Our crates by where they lie in the repository, and their folders below `vendor`.
const CRATES: [(&str, &str); 3] =
    [("plugin-api/kit", "plugin-kit"), ("plugin-api", "plugin-api"), ("schemas", "schemas")];

/// What a project's README says about it.
pub const REMARK: &str = if IS_VENDORED {
    "\n`vendor` holds the `plugin-api` of the gateway that wrote this project. A library built with it loads in every later gateway of\n\
     the same major version.\n"
} else {
    "\nA library built with this version of `plugin-api` loads in every later gateway of the same major version.\n"
};

/// How a project depends on one of our crates.
pub fn dependency(package: &str, folder: &str) -> String {
    match IS_VENDORED {
        true => format!("{{ package = \"{package}\", path = \"vendor/{folder}\" }}"),
        false => format!("{{ package = \"{package}\", version = \"{}\" }}", env!("CARGO_PKG_VERSION")),
    }
}

/// The files of `vendor`, and `Cargo.lock`.
pub fn files() -> Vec<ProjectFile> {
    let Some(workspace) = source("Cargo.toml") else { return Vec::new() };
    let workspace: DocumentMut = workspace.parse().expect("our own manifest is well-formed");
    let mut files: Vec<ProjectFile> = Vec::new();
    for (place, text) in SOURCES {
        let Some((krate, folder)) = CRATES.iter().find(|(krate, _)| place.starts_with(&format!("{krate}/"))) else {
            continue;
        };
        let inside = &place[krate.len() + 1..];
        let text = if inside == "Cargo.toml" { standalone(text, &workspace) } else { text.to_string() };
        files.push((PathBuf::from("vendor").join(folder).join(inside), text));
    }
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        files.extend(source(licence).map(|text| (PathBuf::from("vendor").join(licence), text.to_string())));
    }
    files.extend(source("Cargo.lock").map(|lock| (PathBuf::from("Cargo.lock"), others_only(lock))));
    files
}

fn source(name: &str) -> Option<&'static str> {
    SOURCES.iter().find(|(place, _)| *place == name).map(|(_, text)| *text)
}

/// A crate's manifest without what it inherits from the workspace, and without what only we need.
fn standalone(text: &str, workspace: &DocumentMut) -> String {
    let mut manifest: DocumentMut = text.parse().expect("our own manifest is well-formed");
    let inherited = &workspace["workspace"];
    for surplus in ["lints", "dev-dependencies", "bench", "test", "example"] {
        manifest.remove(surplus);
    }
    if let Some(package) = manifest["package"].as_table_mut() {
        let keys: Vec<String> = package.iter().filter(|(_, item)| inherits(item)).map(|(key, _)| key.into()).collect();
        for key in keys {
            match inherited["package"].get(&key).and_then(Item::as_value) {
                Some(said) => package[&key] = value(said.clone()),
                None => drop(package.remove(&key)),
            }
        }
    }
    if let Some(dependencies) = manifest["dependencies"].as_table_mut() {
        for (name, own) in dependencies.clone().iter().filter(|(_, own)| inherits(own)) {
            dependencies[name] = dependency_of(own, &inherited["dependencies"][name]);
        }
    }
    manifest.to_string()
}

fn inherits(item: &Item) -> bool {
    item.as_table_like().and_then(|table| table.get("workspace")).and_then(Item::as_bool) == Some(true)
}

/// What the workspace says of a dependency, with what the crate adds to it.
fn dependency_of(own: &Item, said: &Item) -> Item {
    let mut table = Table::new();
    match said.as_table_like() {
        Some(said) => said.iter().for_each(|(key, item)| drop(table.insert(key, item.clone()))),
        None => drop(table.insert("version", said.clone())),
    }
    let path = table.get("path").and_then(Item::as_str).map(str::to_string);
    if let Some((_, folder)) = CRATES.iter().find(|(krate, _)| Some(*krate) == path.as_deref()) {
        table["path"] = value(format!("../{folder}"));
    }
    let own: &dyn TableLike = own.as_table_like().expect("what inherits is a table");
    for (key, item) in own.iter().filter(|(key, _)| *key != "workspace") {
        let more = item.as_array().filter(|_| key == "features");
        match (table.get_mut(key).and_then(Item::as_array_mut), more) {
            (Some(features), Some(more)) => features.extend(more.iter().filter_map(Value::as_str)),
            _ => drop(table.insert(key, item.clone())),
        }
    }
    value(table.into_inline_table())
}

/// Our lock file without our own crates: the project builds with versions that are known to work, and cargo drops what it
/// does not need.
fn others_only(lock: &str) -> String {
    let mut lock: DocumentMut = lock.parse().expect("our own lock file is well-formed");
    if let Some(packages) = lock["package"].as_array_of_tables_mut() {
        packages.retain(|package| package.contains_key("source"));
    }
    lock.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leans_on_our_workspace() {
        let files = files();
        let manifests: Vec<_> = files.iter().filter(|(path, _)| path.ends_with("Cargo.toml")).collect();
        assert_eq!(manifests.len(), if IS_VENDORED { CRATES.len() } else { 0 });
        for (path, text) in manifests {
            assert!(!text.contains("workspace = true"), "{}:\n{text}", path.display());
        }
        let lock = files.iter().find(|(path, _)| path.ends_with("Cargo.lock"));
        assert!(lock.is_none_or(|(_, lock)| !lock.contains("name = \"clawhost") && lock.contains("name = \"serde\"")));
    }

    #[test]
    fn what_a_crate_adds_is_kept() {
        let workspace: DocumentMut = "[workspace.package]\nversion = \"1.2.3\"\n[workspace.dependencies]\n\
            a = { version = \"1\", features = [\"x\"] }\nb = \"2\"\nschemas = { package = \"p\", path = \"schemas\" }\n"
            .parse()
            .unwrap();
        let text = "[package]\nname = \"n\"\nversion.workspace = true\n[lints]\nworkspace = true\n[dependencies]\n\
            a = { workspace = true, features = [\"y\"], optional = true }\nb.workspace = true\nschemas.workspace = true\n";
        let made: toml::Table = standalone(text, &workspace).parse().unwrap();
        let expected: toml::Table = "[package]\nname = \"n\"\nversion = \"1.2.3\"\n[dependencies]\n\
            a = { version = \"1\", features = [\"x\", \"y\"], optional = true }\nb = { version = \"2\" }\n\
            schemas = { package = \"p\", path = \"../schemas\" }\n"
            .parse()
            .unwrap();
        assert_eq!(made, expected);
    }
}
