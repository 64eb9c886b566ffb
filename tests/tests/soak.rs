//! The tool that keeps a gateway busy for hours does what it says: here for a few rounds, which are counted and not timed.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use clawhost_tests::support::clawhost;
use serde_json::{Value, json};

/// Runs it: whether it found nothing, its report, and all that it printed.
fn soak(program: &Path, more: &[&str]) -> (bool, Value, String) {
    let mut soak = Command::new(env!("CARGO_BIN_EXE_soak"));
    soak.args(["--rounds", "3", "--operators", "3", "--visitors", "2", "--approvers", "1"]).args(more);
    let outcome = soak.arg("--gateway-bin").arg(program).output().expect("the tool can be started");
    let printed = String::from_utf8_lossy(&outcome.stdout).into_owned();
    let report = printed.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    (outcome.status.success(), report, printed + &String::from_utf8_lossy(&outcome.stderr))
}

/// It fails, and one of its findings says this.
fn finds(program: &Path, more: &[&str], fault: &str) {
    let (is_good, report, printed) = soak(program, more);
    let faults = report["faults"].as_array().cloned().unwrap_or_default();
    let is_it = |found: &Value| found.as_str().is_some_and(|found| found.contains(fault));
    assert!(!is_good && faults.iter().any(is_it), "{more:?} is no {fault:?}: {printed}");
}

#[test]
fn a_few_rounds_of_everybody_find_nothing_wrong() {
    let (is_good, report, printed) = soak(clawhost(), &["--nodes", "2"]);
    assert!(is_good, "{printed}");
    let counts = &report["counts"];
    for (what, count) in [
        ("health", 9),
        ("system-presence", 9),
        ("messages answered", 9),
        ("messages answered by HTTP", 9),
        ("node.invoke", 9),
        ("transcripts read", 3),
        ("visits", 6),
        ("approvals decided", 3),
    ] {
        assert_eq!(counts[what], count, "{what}: {printed}");
    }
    assert!(counts["configurations"].as_u64() >= Some(1), "{printed}");
    assert_eq!((&report["faults"], &report["missedTicks"]), (&json!([]), &json!(0)), "{printed}");
    assert!(report["forgivenTicks"].is_u64() && printed.contains(" forgiven "), "{printed}");
    assert!(printed.contains("nothing was lost, doubled or left behind"), "{printed}");
    // So short a run says nothing of what grows, and says so.
    let not_judged = report["notJudged"].to_string();
    assert!(not_judged.contains("whether memory grows") && report["growthKib"].is_null(), "{printed}");
    // A plugin in C takes a compiler.
    let is_called = counts["calls of a plugin in C"] == 9;
    assert!(is_called != not_judged.contains("a plugin in C"), "{printed}");
}

#[test]
fn a_gateway_that_does_not_answer_as_it_should_fails() {
    // It begins without presence, which everybody asks for.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("clawhost");
    let script = format!(
        "#!/bin/sh\nfor word in \"$@\"; do\n  [ \"$before\" = --config ] && printf '[plugins.presence]\\nenabled = false\\n' >> \"$word\"\n  \
         before=$word\ndone\nexec '{}' \"$@\"\n",
        clawhost().display()
    );
    std::fs::write(&program, script).expect("a script can be written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("and be made a program");
    finds(&program, &["--nodes", "0"], "system-presence");
}

#[test]
fn an_answer_that_is_lost_is_missed() {
    finds(clawhost(), &["--lose", r#""type":"res","id":"r4""#], "an answer to r4 did not come within");
}

#[test]
fn an_answer_that_comes_twice_is_noticed() {
    finds(clawhost(), &["--double", r#""type":"res","id":"r4""#], "an answer to nothing, or a second one");
}

#[test]
fn events_that_are_lost_or_come_twice_are_noticed() {
    finds(clawhost(), &["--lose", r#""event":"chat""#], "was due");
    finds(clawhost(), &["--double", r#""event":"chat""#], "was due");
    // Without a number, and all the same.
    finds(clawhost(), &["--double", r#""event":"node.invoke.request""#], "a node was asked twice");
}
