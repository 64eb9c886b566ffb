//! Plugins as shared libraries, made for the tests that load them: one in Rust, and one in C that misbehaves as it is
//! told to.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::compiler::{self, Compiler, Language};
use crate::program::repository;
use crate::support::example_library;

/// The methods of the plugin in C, each named after what it does.
const MISDEEDS: [&str; 18] = [
    "echo",
    "last",
    "twice",
    "foreign",
    "stranger",
    "malformed",
    "latin",
    "two_values",
    "no_error",
    "half_error",
    "shout",
    "huge",
    "undeclared",
    "interim",
    "kind",
    "late",
    "block",
    "never",
];

/// A folder of libraries, for their owner only.
pub struct Shelf {
    folder: TempDir,
}

impl Default for Shelf {
    fn default() -> Self {
        Shelf { folder: tempfile::tempdir().expect("a temporary folder can be made") }
    }
}

impl Shelf {
    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file that is no library.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, bytes).expect("a file can be written");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("a file of ours can be changed");
        path
    }

    /// The plugin in Rust, `loaded`; see `tests/examples/loaded.rs`.
    pub fn rust(&self) -> PathBuf {
        static BUILT: OnceLock<PathBuf> = OnceLock::new();
        let library = BUILT.get_or_init(|| example_library("loaded"));
        self.write("libloaded.so", &fs::read(library).expect("it was built"))
    }

    /// The message channel that is a folder, `mailbox`; see `plugin-api/examples/channel.rs`.
    pub fn mailbox(&self) -> PathBuf {
        static BUILT: OnceLock<PathBuf> = OnceLock::new();
        let library = BUILT.get_or_init(|| example_library("mailbox"));
        self.write("libmailbox.so", &fs::read(library).expect("it was built"))
    }

    /// The plugin in Rust that is made anew, `reborn`, in the build of this letter; see `tests/examples/reborn.rs`.
    pub fn reborn(&self, build: char) -> PathBuf {
        static BUILT: OnceLock<PathBuf> = OnceLock::new();
        const VERSION: &[u8] = b"1.0.0-build-";
        let library = BUILT.get_or_init(|| example_library("reborn"));
        let mut bytes = fs::read(library).expect("it was built");
        let at = bytes.windows(VERSION.len()).position(|part| part == VERSION).expect("its version is in it");
        bytes[at + VERSION.len()] = build as u8;
        self.write("libreborn.so", &bytes)
    }

    /// The plugin in C under this id; see `tests/fixtures/hostile.c` for the definitions. `None`, said aloud, where there
    /// is no compiler.
    pub fn c(&self, id: &str, definitions: &[&str]) -> Option<PathBuf> {
        self.c_with(id, &manifest(id).to_string(), definitions)
    }

    /// Many plugins in C, each with an id and `methods` methods of its own. It is compiled once: the others are copies with
    /// another id in them. `None`, said aloud, where there is no compiler.
    pub fn many(&self, count: usize, methods: usize) -> Option<Vec<(String, PathBuf)>> {
        const FIRST: &str = "many00000";
        let mut manifest = manifest(FIRST);
        manifest["methods"].as_array_mut().expect("it has methods").truncate(methods);
        let library = self.c_with(FIRST, &manifest.to_string(), &[])?;
        let bytes = fs::read(library).expect("it was built");
        let places: Vec<usize> = bytes
            .windows(FIRST.len())
            .enumerate()
            .filter(|(_, part)| *part == FIRST.as_bytes())
            .map(|(at, _)| at)
            .collect();
        let plugins = (0..count).map(|number| {
            let id = format!("many{number:05}");
            let mut mine = bytes.clone();
            for &at in &places {
                mine[at..at + id.len()].copy_from_slice(id.as_bytes());
            }
            let library = self.write(&format!("{id}.so"), &mine);
            (id, library)
        });
        Some(plugins.collect())
    }

    /// The same with a manifest of the test's own, which need not be JSON.
    pub fn c_with(&self, id: &str, manifest: &str, definitions: &[&str]) -> Option<PathBuf> {
        self.c_from("hostile.c", id, manifest, definitions)
    }

    /// The plugin in C that uses all of the host at once, `restless`; see `tests/fixtures/restless.c`.
    pub fn restless(&self) -> Option<PathBuf> {
        self.c_from("restless.c", "restless", &restless().to_string(), &[])
    }

    fn c_from(&self, source: &str, id: &str, manifest: &str, definitions: &[&str]) -> Option<PathBuf> {
        let compiler = Compiler::find(Language::C)?;
        let library = self.path().join(format!("{id}.so"));
        // JSON's way to write a text is C's way too, as long as it is ASCII.
        let manifest = format!("-DMANIFEST={}", Value::from(manifest));
        let definitions: Vec<String> = definitions.iter().map(|definition| format!("-D{definition}")).collect();
        let mut more = vec!["-pthread", manifest.as_str()];
        more.extend(definitions.iter().map(String::as_str));
        let source = repository().join("tests/fixtures").join(source);
        compiler.library(&compiler::include(), &source, &more, &library).unwrap_or_else(|why| panic!("{id}: {why}"));
        fs::set_permissions(&library, Permissions::from_mode(0o644)).expect("a file of ours can be changed");
        Some(library)
    }
}

/// The manifest of the plugin in C, right as it is.
pub fn manifest(id: &str) -> Value {
    let method = |name: &&str| {
        json!({
            "name": format!("{id}.{name}"), "role": "operator", "scopes": [], "params": { "type": "object" },
            "replies": if *name == "interim" { "interim" } else { "single" },
            "timeoutMs": if ["late", "block", "never"].contains(name) { 200 } else { 10_000 },
        })
    };
    let create =
        json!({ "type": "object", "properties": { "create": { "type": "string" } }, "additionalProperties": false });
    json!({
        "manifest": 1, "id": id, "version": "1.0.0", "config": create,
        "methods": MISDEEDS.iter().map(method).collect::<Vec<_>>(),
    })
}

/// The manifest of `restless`.
fn restless() -> Value {
    let names = [
        "echo", "haunt", "counted", "eager", "race", "keep", "use", "run", "publish", "deafen", "noise", "never",
        "lost", "leave", "grip", "release", "greedy",
    ];
    let timeout_ms = |name: &str| match name {
        "race" => 120_000,
        "never" => 0,
        "grip" => 300,
        _ => 20_000,
    };
    let method = |name: &&str| {
        json!({
            "name": format!("restless.{name}"), "role": "operator", "scopes": [], "params": { "type": "object" },
            "timeoutMs": timeout_ms(name),
            "onDisconnect": if *name == "run" { "detach" } else { "cancel" },
        })
    };
    json!({
        "manifest": 1, "id": "restless", "version": "1.0.0",
        "config": { "type": "object", "properties": { "create": { "type": "string" } }, "additionalProperties": false },
        "methods": names.iter().map(method).collect::<Vec<_>>(),
        "events": [{ "name": "restless.noise", "role": "operator", "scopes": ["operator.admin"], "to": "broadcast" }],
    })
}

/// The table of a plugin with the checksum that its file has now.
pub fn table(id: &str, file: &Path) -> String {
    let sum = clawhost::loader::file::read(file).unwrap_or_else(|fault| panic!("{}: {fault}", file.display())).sha256;
    format!("[plugins.{id}]\npath = {:?}\nsha256 = \"{sum}\"\n", file.display().to_string())
}
