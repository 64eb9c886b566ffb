//! `clawhost plugins check` finds what is planted, above all what ends the process that it happens in. The plugin is in C,
//! so that nothing but the header keeps it in order.

use std::path::PathBuf;

use clawhost_tests::compiler::{self, Compiler, Language};
use clawhost_tests::libraries::Shelf;
use clawhost_tests::program::{Home, repository};
use clawhost_tests::published;
use plugin_kit::checks::{Subject, Verdict};
use serde_json::Value;

/// A fault of `fixtures/faulty.c`, the check that finds it, and words of the finding.
const FAULTS: [(&str, &str, &str); 20] = [
    ("CRASHES", "answers", "it ended the process (signal 11 (segmentation fault)) during: a call to one"),
    ("ABORTS_IN_CREATE", "create", "it ended the process (signal 6 (abort)) during: create"),
    ("EXITS", "answers", "it ended the process (exit code 0) during: a call to one"),
    ("HANGS", "answers", "it was not done after 10 s during: "),
    ("ANSWERS_TWICE", "answers", "answered a call a second time"),
    ("NOT_JSON", "answers", "answered one with what is not JSON"),
    ("NOT_UTF8", "answers", "answered one with what is not JSON"),
    ("ODD_KIND", "answers", "answered one with the unknown kind 17"),
    ("MOVING_MANIFEST", "manifest", "the manifest is somewhere else the second time"),
    ("BROKEN_MANIFEST", "manifest", "the manifest cannot be read"),
    ("NO_CALL", "create", "`call` is NULL"),
    ("SHORT_TABLE", "create", "`create` says that its table has 16 bytes, and gwp 1 has 72"),
    ("NO_REASON", "bad-config", "create failed with code -3 and no reason"),
    ("LEAKS_THREADS", "bad-config", "threads behind"),
    ("ONE_SIZE_ONLY", "later-host", "one has not answered within"),
    ("TRUSTS_EXTENSIONS", "bare-host", "signal 11 (segmentation fault)) during: without gwp.kv/1"),
    ("CRASHES_ON_CANCEL", "cancel", "signal 6 (abort)) during: a cancel of a call that never was"),
    ("ANSWERS_ANYTHING", "unknown-method", "was answered as if it were a method of it"),
    ("NEVER_DONE", "stop-under-load", "the end of `quiesce` did not come within"),
    ("ANSWERS_FROM_BEYOND", "silence", "answered a call after it was destroyed"),
];

/// Made in a folder of the test; `None`, said aloud, without a compiler.
fn library(home: &Home, fault: &str) -> Option<PathBuf> {
    let compiler = Compiler::find(Language::C)?;
    let source = repository().join("tests/fixtures/faulty.c");
    let library = home.path().join(format!("{fault}.so"));
    let more = [format!("-DFAULT={fault}"), "-pthread".to_string()];
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    compiler.library(&compiler::include(), &source, &more, &library).unwrap_or_else(|why| panic!("{fault}: {why}"));
    Some(library)
}

/// What the checks say of a file.
fn report(home: &Home, library: &str, more: &[&str]) -> (Option<i32>, Value) {
    let mut arguments = vec!["plugins", "check", library, "--json"];
    arguments.extend(more);
    let outcome = clawhost_tests::program::Outcome::of(home.command(&arguments), library);
    let report = serde_json::from_str(&outcome.out).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    (outcome.code, report)
}

/// What is linked in goes through the same table, and so through the same checks.
#[test]
fn every_built_in_plugin_passes() {
    let mut findings = Vec::new();
    let mut checked = 0;
    // Naming them links them in.
    let built_in = published::manifests().len();
    for plugin in plugin_api::inventory::iter::<plugin_api::LinkedPlugin>() {
        let subject = Subject::of_entry(plugin.entry);
        for check in plugin_kit::checks::ALL {
            checked += 1;
            if let Verdict::Failed(found) = check.run(&subject) {
                findings.push(format!("{}: {}: {found:?}", plugin.crate_name, check.name));
            }
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert_eq!(checked, built_in * plugin_kit::checks::ALL.len());
}

#[test]
fn a_sound_plugin_passes_every_check() {
    let home = Home::default();
    let Some(library) = library(&home, "NONE") else { return };
    let (code, report) = report(&home, library.to_str().expect("an ASCII path"), &[]);
    assert_eq!((code, &report["passed"]), (Some(0), &Value::Bool(true)), "{report:#}");
    let skipped: Vec<_> =
        report["checks"].as_array().into_iter().flatten().filter(|c| c["verdict"] != "passed").collect();
    let skipped: Vec<_> = skipped.iter().map(|check| (check["name"].as_str(), check["why"].as_str())).collect();
    assert_eq!(skipped, [(Some("http"), Some("it answers no HTTP"))]);
}

#[test]
fn every_planted_fault_is_found() {
    let home = Home::default();
    let mut missed = Vec::new();
    for (fault, check, words) in FAULTS {
        let Some(library) = library(&home, fault) else { return };
        let library = library.to_str().expect("an ASCII path").to_string();
        let limit = if fault == "HANGS" { "10" } else { "60" };
        let (code, report) = report(&home, &library, &["--only", check, "--limit", limit]);
        let said = report["checks"][0]["why"].to_string();
        if code != Some(1) || report["passed"] != false || !said.contains(&words.replace('"', "\\\"")) {
            missed.push(format!("{fault}: {check} does not find {words:?}, but: {report}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Over HTTP, asked by real clients through a real gateway.
#[test]
fn what_is_wrong_over_http_is_found() {
    let home = Home::default();
    let Some(compiler) = Compiler::find(Language::C) else { return };
    let source = repository().join("tests/fixtures/http.c");
    for (fault, words) in [
        (None, None),
        (Some("SILENT"), Some("GET /c was not answered within")),
        (Some("BREAKS_OFF"), Some("GET /c: its answer breaks off after 6 bytes")),
        (Some("HANGS_ON_PARTS"), Some("at once were not answered after clients that went")),
    ] {
        let library = home.path().join(format!("{}.so", fault.unwrap_or("sound")));
        let define = fault.map(|fault| format!("-D{fault}"));
        let more: Vec<&str> = define.iter().map(String::as_str).collect();
        compiler
            .library(&compiler::include(), &source, &more, &library)
            .unwrap_or_else(|why| panic!("{fault:?}: {why}"));
        let (code, report) = report(&home, library.to_str().expect("an ASCII path"), &["--only", "http"]);
        let checked = &report["checks"][0];
        match words {
            None => assert!(code == Some(0) && checked["verdict"] == "passed", "{report:#}"),
            Some(words) => {
                assert!(code == Some(1) && checked["why"].to_string().contains(words), "{fault:?}: {report:#}");
            }
        }
    }
}

/// A gateway reads a manifest once and keeps to it, so it is here that one which changes is found.
#[test]
fn a_manifest_that_changes_is_found_before_a_gateway_reads_it() {
    let (home, shelf) = (Home::default(), Shelf::default());
    let Some(library) = shelf.c("fickle", &["FICKLE"]) else { return };
    let library = library.to_str().expect("an ASCII path");
    let (code, report) = report(&home, library, &["--only", "manifest"]);
    let said = report["checks"][0]["why"].to_string();
    assert!(code == Some(1) && said.contains("the manifest is not the same bytes every time"), "{report}");
    let added = home.run(&format!("plugins add {library}"));
    assert!(added.code == Some(1) && added.err.contains("nothing was written"), "{added:?}");
}

#[test]
fn what_is_no_plugin_is_said_to_be_none() {
    let home = Home::default();
    std::fs::write(home.path().join("text.so"), "#!/bin/sh\n").expect("a file can be written");
    for (file, words) in [("text.so", "text.so: it is"), ("absent.so", "there is no such file")] {
        let outcome = home.run(&format!("plugins check {file}"));
        assert!(outcome.code == Some(1) && outcome.err.contains(words), "{file}: {outcome:?}");
    }
    let wrong = home.run("plugins check text.so --only everything");
    assert!(wrong.code == Some(2) && wrong.err.contains("calls-at-once"), "{wrong:?}");
    let wrong = home.run("plugins check text.so --plugin-config 7");
    assert!(wrong.code == Some(2) && wrong.err.contains("not a JSON object"), "{wrong:?}");
}
