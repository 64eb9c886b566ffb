//! Where a run took place, and what took part.

use std::path::Path;
use std::process::Command;

use clawhost_tests::program::repository;
use serde_json::Value;

use crate::bench::record::Machine;
use crate::process;

const UNKNOWN: &str = "unknown";

pub fn here(node: Option<&Path>) -> Machine {
    let processor = field("/proc/cpuinfo", "model name").unwrap_or(UNKNOWN.to_string());
    let memory =
        field("/proc/meminfo", "MemTotal").and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    let system = std::fs::read_to_string("/etc/os-release").ok().and_then(|text| {
        let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(name.trim_matches('"').to_string())
    });
    Machine {
        processor,
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        memory_mib: memory.unwrap_or(0) / 1024,
        system: system.unwrap_or(UNKNOWN.to_string()),
        kernel: said("uname", &["-srm"]),
        rustc: said("rustc", &["--version"]),
        node: node.map_or("none".to_string(), |node| said(node, &["--version"])),
        commit: said("git", &["-C", &repository().display().to_string(), "describe", "--always", "--dirty"]),
        open_files: process::descriptor_limit(None).unwrap_or(0),
    }
}

/// The minute it is, in UTC.
pub fn now() -> String {
    said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])
}

/// What a program says of its version.
pub fn version_of(program: &Path) -> String {
    said(program, &["--version"])
}

/// The version of a crate that these programs were built with.
pub fn locked(name: &str) -> String {
    let lock = std::fs::read_to_string(repository().join("Cargo.lock")).unwrap_or_default();
    let version =
        lock.split(&format!("name = \"{name}\"\nversion = \"")).nth(1).and_then(|rest| rest.split('"').next());
    version.unwrap_or(UNKNOWN).to_string()
}

/// The version of a package of npm in its folder.
pub fn packaged(folder: &Path) -> String {
    let package = std::fs::read(folder.join("package.json")).ok();
    let package: Option<Value> = package.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    package.and_then(|package| Some(package["version"].as_str()?.to_string())).unwrap_or(UNKNOWN.to_string())
}

/// What a file takes, or a folder with all that is in it.
pub fn size_mib(path: &Path) -> Option<f64> {
    Some(size(path)? as f64 / 1024.0 / 1024.0)
}

fn size(path: &Path) -> Option<u64> {
    let here = std::fs::symlink_metadata(path).ok()?;
    if !here.is_dir() {
        return Some(here.len());
    }
    let mut sum = 0;
    for entry in std::fs::read_dir(path).ok()? {
        sum += size(&entry.ok()?.path())?;
    }
    Some(sum)
}

/// A line `NAME: VALUE` of a file of the kernel's.
fn field(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

fn said(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    let first = text.lines().next().unwrap_or_default().trim();
    if first.is_empty() { UNKNOWN.to_string() } else { first.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_described() {
        let machine = here(None);
        assert!(machine.cores > 0 && machine.open_files > 0 && machine.memory_mib > 0, "{machine:?}");
        assert!(machine.kernel.starts_with("Linux"), "{machine:?}");
        assert!(locked("tungstenite").starts_with(|c: char| c.is_ascii_digit()), "{}", locked("tungstenite"));
        assert_eq!(locked("no-such-crate"), UNKNOWN);
        let size = size_mib(&repository().join("tests/bench/node/package.json")).expect("it is there");
        assert!(size > 0.0 && size < 1.0, "{size}");
    }
}
