//! The doors of `clawhost_tests::fuzzed` with recorded traffic, with everything that was ever found wrong with them, and with
//! so many changes of both, the same ones every time: what a fuzzer does for hours is begun here with any compiler.
//!
//! `CLAWHOST_FUZZ_ROUNDS` is how often, with other changes each time; once unless it says otherwise.
//!
//! Bytes that fail are kept in the folder that the test names; as a file of `tests/fuzz/finds/<target>` they are tried from then
//! on.

use std::path::Path;

use clawhost_tests::fuzzed::{self, TARGETS, Target, target};
use clawhost_tests::program::repository;
use clawhost_tests::seeds::{self, Changes};

/// Tries a door with its seeds, its finds, and so many changes.
fn tried(name: &str, changes: usize) {
    let target = target(name);
    let mut seeds = seeds::of(name);
    assert!(seeds.len() >= 8, "{name} begins with {} seeds", seeds.len());
    seeds.iter().for_each(|seed| one(target, seed));
    let finds = seeds::finds(name);
    finds.iter().for_each(|(_, find)| one(target, find));
    seeds.extend(finds.into_iter().map(|(_, find)| find));
    for round in 0..rounds() {
        let mut series = Changes::of(&format!("{name} {round}"));
        (0..changes).for_each(|_| one(target, &series.next(&seeds)));
    }
}

/// Other changes in each.
fn rounds() -> u32 {
    std::env::var("CLAWHOST_FUZZ_ROUNDS").ok().map_or(1, |rounds| rounds.parse().expect("a number"))
}

fn one(target: Target, bytes: &[u8]) {
    let _kept = Kept { name: target.name, bytes };
    (target.run)(bytes);
}

/// Writes down what was being tried when a test failed.
struct Kept<'a> {
    name: &'a str,
    bytes: &'a [u8],
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(self.name);
        let path = folder.join(format!("{} bytes", self.bytes.len()));
        let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, self.bytes));
        let bytes = self.bytes.escape_ascii();
        eprintln!("{} failed with {bytes}\nkept as {} ({written:?})", self.name, path.display());
    }
}

#[test]
fn frames() {
    tried("frame", 12_000);
}

#[test]
fn streams() {
    tried("stream", 6_000);
}

#[test]
fn connects() {
    tried("connect", 6_000);
}

#[test]
fn signatures() {
    tried("signature", 1_500);
}

#[test]
fn manifests() {
    tried("manifest", 4_000);
}

#[test]
fn configs() {
    tried("config", 2_000);
}

#[test]
fn heads() {
    tried("heads", 10_000);
}

/// One after the other, since both keep instances of plugins from one run to the next.
#[test]
fn stores_and_requests() {
    tried("store", 250);
    tried("http", 400);
    fuzzed::rest();
}

/// Doors are tried with what came through them, and not only with what somebody made up.
#[test]
fn seeds_come_from_recordings_and_from_files_that_are_shipped() {
    for (name, parts) in [
        ("frame", &["hello from the control ui", "openclaw-control-ui"][..]),
        ("stream", &["hello from the tui"]),
        ("connect", &["clawdbot-control-ui", "openclaw-control-ui", "node-host"]),
        ("signature", &["gateway-client", "openclaw-control-ui"]),
        ("manifest", &["\"id\":\"sessions\"", "\"id\":\"telegram\""]),
        ("config", &["[gateway.limits]", "channel = \"signal\""]),
        ("store", &["hello from the tui", "fcd4acc4-d36b-425c-b26b-e45b8f6c9ade", "activitySummary"]),
        ("heads", &["HeadlessChrome", "x-stainless-lang: js", "sec-websocket-extensions"]),
        ("http", &["one two three", "previous_response_id\":\"resp_1\"}", "hello from the control ui"]),
    ] {
        let seeds: Vec<String> =
            seeds::of(name).iter().map(|seed| String::from_utf8_lossy(seed).into_owned()).collect();
        for part in parts {
            assert!(seeds.iter().any(|seed| seed.contains(part)), "{name} has no seed with {part}");
        }
    }
}

/// What cannot be tried any more would be missed by nobody: a folder without a target, or a target without its program.
#[test]
fn every_target_has_a_program_and_every_find_a_target() {
    let folder = repository().join("tests/fuzz");
    let programs = std::fs::read_to_string(folder.join("Cargo.toml")).expect("the fuzzer's manifest");
    for Target { name, .. } in TARGETS {
        assert!(programs.contains(&format!("\nname = \"{name}\"\npath = \"targets/{name}.rs\"\n")), "{name}");
        let program = std::fs::read_to_string(folder.join("targets").join(format!("{name}.rs"))).expect("a program");
        assert!(program.contains(&format!("target(\"{name}\")")), "{name}");
    }
    for entry in std::fs::read_dir(folder.join("finds")).into_iter().flatten() {
        let entry = entry.expect("a folder can be listed").file_name().to_string_lossy().into_owned();
        assert!(TARGETS.iter().any(|target| target.name == entry), "{entry} is no target");
        assert!(!seeds::finds(&entry).is_empty(), "{entry}");
    }
    assert_eq!(programs.matches("[[bin]]").count(), TARGETS.len());
}
