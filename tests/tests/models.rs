//! The models for other languages under `schemas/models`: they are what the schemas say, and can be used.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use clawhost_tests::compiler::skip;
use clawhost_tests::foreign;
use clawhost_tests::program::Outcome;
use clawhost_tests::published;

/// What node must be for quicktype.
const NODE: u32 = 20;
const REGENERATE: &str = "npm run models` in `tests/foreign";
const FILES: [&str; 3] = ["Clawhost.kt", "Clawhost.swift", "clawhost.ts"];
/// No file is larger than somebody would put into a project.
const LARGEST: usize = 300_000;

/// A program as its author would write it, and mistakes that the types must find.
const PROBE: &str = r#"
import type { ChatSendParams, ConnectParams, Events, HelloOk, Methods } from "./clawhost";

declare function call<M extends keyof Methods>(method: M, params: Methods[M]["params"]): Promise<Methods[M]["result"]>;
declare function on<E extends keyof Events>(event: E, heard: (payload: Events[E]) => void): void;

const said: ChatSendParams = { sessionKey: "main", message: "Hello", idempotencyKey: "1" };
export const run: Promise<unknown> = call("chat.send", said).then((answer) => answer.runId);
export const ids: Promise<string[]> = call("system.plugins", {}).then(({ plugins }) => plugins.map(({ id }) => id));
export const names = (hello: HelloOk, connect: ConnectParams): string[] => [...hello.features.methods, connect.client.id];
on("chat", ({ runId, seq, state }) => state === "delta" && console.log(runId, seq));
on("tick", ({ ts }) => console.log(ts.toFixed()));

// @ts-expect-error a key is needed
call("chat.send", { sessionKey: "main", message: "Hello" });
// @ts-expect-error there is no such method
call("chat.sing", {});
// @ts-expect-error it is a number
on("tick", ({ ts }) => console.log(ts.trim()));
// @ts-expect-error it takes no such field
call("system.plugins", { all: true });
"#;

#[test]
fn the_models_are_what_the_schemas_say() {
    let Some(node) = foreign::node("quicktype-core", NODE) else { return };
    let made = tempfile::tempdir().expect("a temporary folder can be made");
    let mut command = Command::new(node);
    command.current_dir(foreign::folder()).arg("models.mjs").arg(made.path());
    let outcome = Outcome::of(command, "models.mjs");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(names(made.path()), BTreeSet::from(FILES.map(str::to_string)));
    for name in FILES {
        let (there, now) = (read(&folder().join(name)), read(&made.path().join(name)));
        let line = there.lines().zip(now.lines()).position(|(there, now)| there != now).map_or(0, |line| line + 1);
        assert!(there == now, "schemas/models/{name} (line {line}) is not what the schemas say; run `{REGENERATE}`");
    }
}

/// Without node, too: a method that has none is seen by whoever adds it.
#[test]
fn every_method_and_event_has_its_types() {
    let wanted: BTreeSet<String> = FILES.into_iter().chain(["README.md"]).map(str::to_string).collect();
    assert_eq!(names(&folder()), wanted, "run `{REGENERATE}`");
    let [kotlin, swift, typescript] = FILES.map(|name| read(&folder().join(name)));
    let features = published::wire_names();
    let (methods, events) = typescript
        .split_once("export interface Methods {")
        .and_then(|(_, tables)| tables.split_once("export interface Events {"))
        .expect("the tables of methods and events");
    for (table, names) in [(methods, &features.methods), (events, &features.events)] {
        let rows = table.lines().filter_map(|line| line.trim().strip_prefix('"')?.split('"').next());
        let rows: Vec<&str> = rows.collect();
        assert_eq!(rows, names.iter().map(String::as_str).collect::<Vec<_>>(), "run `{REGENERATE}`");
    }
    for name in ["ChatSendParams", "ChatSendResult", "ChatEvent", "ConnectParams", "HelloOk", "ErrorShape"] {
        assert!(typescript.contains(&format!("export interface {name} {{")), "{name}");
        assert!(kotlin.contains(&format!("data class {name} (")), "{name}");
        assert!(swift.contains(&format!("struct Gateway{name}: Codable {{")), "{name}");
    }
    for (name, text) in FILES.iter().zip([&kotlin, &swift, &typescript]) {
        assert!(text.len() < LARGEST, "{name} has {} bytes", text.len());
    }
    let fields = typescript.lines().filter(|line| line.starts_with("    ") && line.ends_with(';'));
    let (open, all) = fields.fold((0, 0), |(open, all), line| (open + usize::from(line.contains("unknown")), all + 1));
    assert!(open * 10 < all, "{open} of {all} fields say nothing of their value");
}

#[test]
fn typescript_takes_the_models() {
    let Some(node) = foreign::node("typescript", NODE) else { return };
    let place = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::copy(folder().join("clawhost.ts"), place.path().join("clawhost.ts")).expect("a file can be copied");
    std::fs::write(place.path().join("probe.ts"), PROBE).expect("a file can be written");
    let mut command = Command::new(node);
    command.current_dir(place.path()).arg(foreign::folder().join("node_modules/typescript/bin/tsc"));
    command.args(["--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--noEmit"]);
    command.args(["--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler", "--lib", "es2022,dom"]);
    command.args(["--skipLibCheck", "probe.ts"]);
    let outcome = Outcome::of(command, "tsc");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

#[test]
fn swift_takes_the_models() {
    let Some(mut swift) = compiler("swiftc", "--version", "CLAWHOST_REQUIRE_SWIFT") else { return };
    swift.arg("-typecheck").arg(folder().join("Clawhost.swift"));
    let outcome = Outcome::of(swift, "swiftc");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

/// With kotlinx.serialization, whose libraries `CLAWHOST_KOTLIN_CLASSPATH` names.
#[test]
fn kotlin_takes_the_models() {
    let Some(mut kotlin) = compiler("kotlinc", "-version", "CLAWHOST_REQUIRE_KOTLIN") else { return };
    let Some(libraries) = std::env::var_os("CLAWHOST_KOTLIN_CLASSPATH") else {
        skip("CLAWHOST_REQUIRE_KOTLIN", "CLAWHOST_KOTLIN_CLASSPATH does not say where kotlinx.serialization is");
        return;
    };
    let place = tempfile::tempdir().expect("a temporary folder can be made");
    kotlin.arg("-classpath").arg(libraries).arg("-d").arg(place.path().join("models.jar"));
    kotlin.arg(folder().join("Clawhost.kt"));
    let outcome = Outcome::of(kotlin, "kotlinc");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

/// A compiler that is there; `None`, said aloud, where a test has to be skipped for want of it.
fn compiler(name: &str, version: &str, require: &str) -> Option<Command> {
    let answer = Command::new(name).arg(version).output();
    if answer.is_ok_and(|answer| answer.status.success()) {
        return Some(Command::new(name));
    }
    skip(require, &format!("there is no {name}, which would compile schemas/models"));
    None
}

fn folder() -> PathBuf {
    published::folder().join("models")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).expect("the folder can be listed");
    entries.map(|entry| entry.expect("an entry can be read").file_name().to_string_lossy().into_owned()).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
