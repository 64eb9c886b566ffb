//! What may know of what, as `ARCHITECTURE.md` draws it, and other rules about the source that no compiler keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use clawhost_tests::program::repository;
use clawhost_tests::published;

/// Crates of ours that each crate may depend on; plugins have one rule for all.
const FLOORS: [(&str, &[&str]); 9] = [
    ("clawhost-schemas", &[]),
    ("clawhost-plugin-api", &["clawhost-schemas"]),
    ("clawhost-plugin-kit", &["clawhost-plugin-api", "clawhost-schemas"]),
    ("clawhost-client", &["clawhost-schemas"]),
    ("clawhost-node", &["clawhost-client", "clawhost-schemas"]),
    ("clawhost-outside", &["clawhost-plugin-api", "clawhost-schemas"]),
    ("clawhost-database", &["clawhost-plugin-api"]),
    ("clawhost-folder", &["clawhost-plugin-api"]),
    ("clawhost", &["clawhost-plugin-api", "clawhost-schemas"]),
];
const PLUGIN_MAY_USE: [&str; 5] =
    ["clawhost-plugin-api", "clawhost-outside", "clawhost-database", "clawhost-folder", "clawhost-schemas"];
/// Other people's crates that every plugin builds with these two; what is not listed there needs a reason to come in.
/// Features may bring more, which plugins do not switch on.
const EVERY_PLUGIN_BUILDS: [(&str, &[&str]); 2] = [
    ("clawhost-schemas", &["schemars", "serde", "serde_json"]),
    ("clawhost-plugin-api", &["inventory", "schemars", "serde", "serde_json"]),
];
/// What the features of these crates bring, which a plugin gets only if it asks.
const ON_DEMAND: [(&str, &[&str]); 2] =
    [("clawhost-schemas", &["base64", "sha2"]), ("clawhost-plugin-api", &["libloading", "tokio", "tracing-core"])];

/// For tests, every crate but `schemas` may use the kit.
const TEST_KIT: &str = "clawhost-plugin-kit";
/// The only crates that name plugins.
const NAME_PLUGINS: [&str; 2] = ["clawhost-bin", "clawhost-tests"];

/// Names of methods, events and plugins that the host may write, and why.
const NAMES_THE_HOST_MAY_WRITE: [(&str, &str, &str); 10] = [
    ("", "node", "the role of a connection, not the plugin"),
    ("hello.rs", "canvas", "the one surface that protocol 3 has a word for"),
    ("snapshot.rs", "presence", "the protocol fixes the parts of hello-ok's snapshot"),
    ("snapshot.rs", "health", "the protocol fixes the parts of hello-ok's snapshot"),
    ("config/", "config", "the table [plugins.<id>.config], not the plugin"),
    ("plugins/mod.rs", "config", "what an instance is made from, not the plugin"),
    ("services/config.rs", "config", "the table [plugins.<id>.config], not the plugin"),
    ("logging/mod.rs", "logs", "the folder of the log, not the plugin"),
    ("state.rs", "logs", "the folder of the log, not the plugin"),
    ("idempotency.rs", "status", "a field of an answer that was not kept, not the method"),
];

/// Files with `unsafe` in them.
const UNSAFE: [&str; 4] =
    ["plugin-api/src/abi.rs", "plugin-api/src/abi/", "plugin-api/src/hosting/", "plugin-api/src/glue/"];
/// Files that switch the lint off: for a module of [`UNSAFE`], or to be the C side of the table in a test.
const MAY_ALLOW_UNSAFE: [&str; 3] =
    ["plugin-api/src/lib.rs", "plugin-api/tests/c_table.rs", "plugin-api/tests/library.rs"];

/// Channels without a bound, and why they cannot fill up.
const UNBOUNDED: [(&str, &str); 1] = [("host/src/tick.rs", "nothing is sent; its end is the signal to stop")];

const LONGEST_FILE: usize = 600;
/// Files that are longer, how long they may be, and why they are one file.
const LONGER: [(&str, usize, &str); 0] = [];

#[test]
fn no_arrow_points_upwards() {
    let metadata = metadata();
    let ours: BTreeSet<String> = metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
    let plugins = plugin_crates(&metadata);
    let mut forbidden = Vec::new();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let allowed: Vec<&str> = match FLOORS.iter().find(|(floor, _)| *floor == name) {
            Some((_, allowed)) => allowed.to_vec(),
            None if plugins.contains(name) => PLUGIN_MAY_USE.to_vec(),
            None => {
                assert!(NAME_PLUGINS.contains(&name), "{name} stands on no floor; say on which");
                continue;
            }
        };
        for dependency in package.dependencies.iter().filter(|dependency| ours.contains(&dependency.name)) {
            let is_for_tests = dependency.kind == DependencyKind::Development && dependency.name == TEST_KIT;
            let may_test = is_for_tests && name != "clawhost-schemas";
            if !may_test && !allowed.contains(&dependency.name.as_str()) {
                forbidden.push(format!("{name} → {} ({})", dependency.name, dependency.kind));
            }
        }
    }
    assert!(forbidden.is_empty(), "forbidden: {forbidden:#?}");
    let seen: BTreeSet<&str> = FLOORS.iter().map(|(name, _)| *name).collect();
    let missing: Vec<_> = seen.iter().filter(|name| !ours.contains(**name)).collect();
    assert!(missing.is_empty(), "no longer in the workspace: {missing:?}");
}

#[test]
fn a_plugin_builds_little_of_other_people() {
    let metadata = metadata();
    let packages = metadata.workspace_packages();
    for ((name, always), (_, on_demand)) in EVERY_PLUGIN_BUILDS.iter().zip(&ON_DEMAND) {
        let package = packages.iter().find(|package| package.name.as_str() == *name).expect("it is in the workspace");
        let direct = |optional: bool| -> Vec<&str> {
            let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
            let others = normal.filter(|dependency| dependency.path.is_none() && dependency.optional == optional);
            let mut names: Vec<&str> = others.map(|dependency| dependency.name.as_str()).collect();
            names.sort_unstable();
            names
        };
        assert_eq!((direct(false), direct(true)), (always.to_vec(), on_demand.to_vec()), "{name}");
    }
    // What is on by default in one is switched off where the other names it.
    let api = packages.iter().find(|package| package.name.as_str() == "clawhost-plugin-api").expect("it was found");
    for dependency in api.dependencies.iter().filter(|dependency| dependency.name == "clawhost-schemas") {
        assert!(!dependency.uses_default_features && dependency.features.is_empty(), "{:?}", dependency.features);
    }
}

/// The binary's list, its features and its dependencies, the linked-in manifests and the folders are one set.
#[test]
fn the_built_in_plugins_are_those_of_the_folder() {
    let folders: BTreeSet<String> = std::fs::read_dir(repository().join("plugins"))
        .expect("the folder of plugins can be listed")
        .map(|entry| entry.expect("an entry can be read").file_name().to_string_lossy().into_owned())
        .collect();
    let manifests: BTreeSet<String> = published::manifests().into_iter().map(|manifest| manifest.id).collect();
    assert_eq!(manifests, folders, "plugins/ and what is linked into these tests");

    let builtin = read(&repository().join("host/bin/src/builtin.rs"));
    let listed = |line: &str| -> Option<(String, String)> {
        let (feature, krate) = line.trim().strip_suffix(',')?.split_once(" => ")?;
        Some((feature.trim_matches('"').to_string(), krate.to_string()))
    };
    let listed: BTreeMap<String, String> =
        builtin.lines().filter(|line| line.trim().starts_with('"')).filter_map(listed).collect();
    assert_eq!(listed.keys().cloned().collect::<BTreeSet<_>>(), folders, "host/bin/src/builtin.rs");
    for (id, krate) in &listed {
        assert_eq!(*krate, format!("plugin_{}", id.replace('-', "_")), "host/bin/src/builtin.rs");
    }

    let metadata = metadata();
    let packages = metadata.workspace_packages();
    let binary = packages.iter().find(|package| package.name.as_str() == "clawhost-bin").expect("there is a binary");
    let all: BTreeSet<String> = binary.features["all-plugins"].iter().cloned().collect();
    assert_eq!(all, folders, "feature all-plugins of host/bin");
    assert_eq!(plugin_crates(&metadata), folders.iter().map(|id| format!("plugin-{id}")).collect());
}

#[test]
fn the_host_names_no_method_event_or_plugin() {
    let mut names = BTreeSet::new();
    for manifest in published::manifests() {
        names.extend(manifest.methods.iter().map(|method| method.name.clone()));
        names.extend(manifest.events.iter().map(|event| event.name.clone()));
        names.insert(manifest.id);
    }
    let (mut found, mut excused) = (Vec::new(), BTreeSet::new());
    for file in shipped("host/src") {
        let path = relative(&file);
        for (line, literal) in literals(&without_tests(&read(&file))) {
            if !names.contains(&literal) {
                continue;
            }
            let inside = path.strip_prefix("host/src/").expect("it is a file of the host");
            let excuse = NAMES_THE_HOST_MAY_WRITE
                .iter()
                .position(|(place, name, _)| inside.starts_with(place) && literal == *name);
            match excuse {
                Some(number) => drop(excused.insert(number)),
                None => found.push(format!("{path}:{line}: {literal:?}")),
            }
        }
    }
    assert!(found.is_empty(), "the host knows no method, and yet: {found:#?}");
    assert_eq!(excused.len(), NAMES_THE_HOST_MAY_WRITE.len(), "an exception is not needed any more");
}

#[test]
fn unsafe_has_an_address() {
    for file in sources("") {
        let (path, text) = (relative(&file), read(&file));
        let is_at_home = UNSAFE.iter().any(|place| path.starts_with(place));
        let switches_off = text.contains(concat!("allow(", "unsafe_code)"));
        assert!(!switches_off || is_at_home || MAY_ALLOW_UNSAFE.contains(&path.as_str()), "{path} allows unsafe code");
    }
    let manifest = read(&repository().join("Cargo.toml"));
    assert!(manifest.contains("unsafe_code = \"deny\""), "the lint is what keeps the rest");
    for package in metadata().workspace_packages() {
        let manifest = read(package.manifest_path.as_std_path());
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} has lints of its own", package.name);
    }
}

#[test]
fn every_queue_has_a_bound() {
    let mut found = Vec::new();
    for file in ["host/src", "client/src"].into_iter().flat_map(shipped) {
        let (path, text) = (relative(&file), without_tests(&read(&file)));
        let endless = text.contains("unbounded") || (text.contains("std::sync::mpsc") && calls_channel(&text));
        if endless && !UNBOUNDED.iter().any(|(place, _)| *place == path) {
            found.push(path);
        }
    }
    assert!(found.is_empty(), "channels without a bound in {found:?}");
}

#[test]
fn no_file_is_too_long_to_read() {
    let mut long = Vec::new();
    for file in sources("") {
        let (path, lines) = (relative(&file), read(&file).lines().count());
        let limit = LONGER.iter().find(|(place, ..)| *place == path).map_or(LONGEST_FILE, |(_, limit, _)| *limit);
        if lines > limit {
            long.push(format!("{path}: {lines} lines, at most {limit}"));
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn the_source_is_read_as_meant() {
    let text = "let a = \"one\"; // \"no\"\nlet b = ['\"', 'x'];\nlet c = \"t\\\"wo\";\n#[cfg(test)]\nmod tests {\n    \"three\"\n}\nlet d = r#\"fo\"ur\"#;\n";
    let found: Vec<_> = literals(&without_tests(text)).into_iter().map(|(_, literal)| literal).collect();
    assert_eq!(found, ["one", "t\\\"wo", "fo\"ur"]);
    assert!(calls_channel("let (a, b) = channel::<()>();") && !calls_channel("sync_channel(4)"));
}

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.current_dir(repository()).no_deps().other_options(["--offline".to_string()]);
    command.exec().expect("cargo describes the workspace")
}

fn plugin_crates(metadata: &Metadata) -> BTreeSet<String> {
    let plugins = metadata.workspace_root.join("plugins");
    let packages = metadata.workspace_packages();
    let ours = packages.iter().filter(|package| package.manifest_path.starts_with(&plugins));
    ours.map(|package| package.name.to_string()).collect()
}

/// The Rust files below a folder of the repository, sorted; nothing that was built or downloaded.
fn sources(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
                walk(&path, found);
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&repository().join(folder), &mut found);
    found.sort();
    found
}

/// Those of [`sources`] that end up in the product.
fn shipped(folder: &str) -> Vec<PathBuf> {
    sources(folder).into_iter().filter(|path| path.file_name().is_some_and(|name| name != "tests.rs")).collect()
}

fn relative(path: &Path) -> String {
    let path = path.strip_prefix(repository()).expect("it lies in the repository");
    path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text without what follows `#[cfg(test)]`: one line, or a block that ends with an unindented brace.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        kept.push_str(if line == "#[cfg(test)]" { "" } else { line });
        kept.push('\n');
        if line == "#[cfg(test)]" {
            let is_block = lines.next().is_some_and(|item| item.ends_with('{'));
            let skipped = if is_block { lines.by_ref().take_while(|line| *line != "}").count() + 1 } else { 0 };
            kept.push_str(&"\n".repeat(skipped + 1));
        }
    }
    kept
}

/// The string literals of Rust source with their lines; comments are passed over.
fn literals(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(at) = rest.find(['"', '/', '\'', '\n']) {
        let (before, here) = rest.split_at(at);
        let hashes = before.len() - before.trim_end_matches('#').len();
        let is_raw = before[..before.len() - hashes].ends_with('r');
        let length = match here.as_bytes()[0] {
            b'/' if here.starts_with("//") => here.find('\n').unwrap_or(here.len()),
            b'\'' => ["'\"'", "'\\\"'", "'\\''", "'/'", "'\\\\'"]
                .iter()
                .find(|c| here.starts_with(**c))
                .map_or(1, |c| c.len()),
            b'"' => {
                let end = if is_raw { format!("\"{}", "#".repeat(hashes)) } else { "\"".to_string() };
                let body = &here[1..];
                let ends = |at: usize| is_raw || body[..at].chars().rev().take_while(|c| *c == '\\').count() % 2 == 0;
                let close = body.match_indices(&end).map(|(at, _)| at).find(|at| ends(*at)).unwrap_or(body.len());
                found.push((line, body[..close].to_string()));
                (1 + close + end.len()).min(here.len())
            }
            _ => 1,
        };
        line += here[..length].matches('\n').count();
        rest = &here[length..];
    }
    found
}

/// Whether `channel` itself is called, and not `sync_channel`.
fn calls_channel(text: &str) -> bool {
    let is_word = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let is_call = |at: usize| ["channel()", "channel::<"].iter().any(|call| text[at..].starts_with(call));
    text.match_indices("channel").any(|(at, _)| is_word(at) && is_call(at))
}
