//! Every row of SECURITY.md and of RELIABILITY.md names tests, and they exist.

use std::collections::HashSet;
use std::path::Path;

use clawhost_tests::program::repository;

/// The tests of a folder's sources, as `file::name`.
fn tests_below(folder: &Path, found: &mut HashSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "node_modules" && name != "target") {
                tests_below(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            // `pairing/tests.rs` holds the tests of `pairing`.
            let stem = |path: &Path| path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_string();
            let folder = path.parent().map(stem).unwrap_or_default();
            found.extend(
                names(&text).flat_map(|name| [format!("{}::{name}", stem(&path)), format!("{folder}::{name}")]),
            );
        }
    }
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    let marked = |attribute: &str| attribute.contains("test]") || attribute.contains("::test(");
    let mut is_test = false;
    text.lines().map(str::trim).filter_map(move |line| {
        if line.starts_with("#[") {
            is_test |= marked(line);
            return None;
        }
        let name = line.trim_start_matches("async ").strip_prefix("fn ")?;
        std::mem::take(&mut is_test).then(|| name.split(['(', '<']).next().unwrap_or_default())
    })
}

#[test]
fn every_promise_has_its_test() {
    let mut known = HashSet::new();
    for folder in ["host", "tests/src", "tests/tests", "client", "plugin-api", "plugins"] {
        tests_below(&repository().join(folder), &mut known);
    }
    let mut wrong = Vec::new();
    for (document, head, fewest) in [("SECURITY.md", "attack", 20), ("RELIABILITY.md", "promise", 40)] {
        let text = std::fs::read_to_string(repository().join(document)).expect(document);
        let mut rows = 0;
        for row in text.lines().filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 2) {
            if row.starts_with(&format!("| {head} |")) || row.contains("| --- |") {
                continue;
            }
            let tests: Vec<&str> = row.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
            rows += 1;
            if tests.is_empty() {
                wrong.push(format!("{document}: names no test: {row}"));
            }
            let missing = tests.into_iter().filter(|name| !known.contains(*name));
            wrong.extend(missing.map(|name| format!("{document}: there is no test {name}")));
        }
        assert!(rows > fewest, "only {rows} rows of {document} were read");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
