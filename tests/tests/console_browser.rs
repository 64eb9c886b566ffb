//! The page as people see it: Chromium, driven by Playwright, against a gateway of its own for each scenario.
//!
//! It takes node, Chromium, and `npm ci` in `tests/browser`, where the scenarios are. Where one of these is missing the
//! test says loudly that it did nothing, unless `CLAWHOST_REQUIRE_BROWSER=1`, which continuous integration sets, makes that
//! a failure. Pictures of the pages are left in `target/console`.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use clawhost_tests::compiler::skip;
use clawhost_tests::libraries::{Shelf, table};
use clawhost_tests::program::{repository, wait};
use clawhost_tests::support::clawhost;
use serde_json::Value;

/// A scenario of many pages on a slow machine.
const PATIENCE: Duration = Duration::from_secs(180);
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

#[test]
fn a_job() {
    run("a_job");
}

#[test]
fn a_plugin_is_disabled() {
    run("a_plugin_is_disabled");
}

#[test]
fn a_strangers_method() {
    run("a_strangers_method");
}

#[test]
fn abort() {
    run("abort");
}

#[test]
fn approve_less() {
    run("approve_less");
}

#[test]
fn chat_streams() {
    run("chat_streams");
}

#[test]
fn dark() {
    run("dark");
}

#[test]
fn decide() {
    run("decide");
}

#[test]
fn few_plugins() {
    run("few_plugins");
}

#[test]
fn first_visit() {
    run("first_visit");
}

#[test]
fn keyboard() {
    run("keyboard");
}

#[test]
fn light() {
    run("light");
}

#[test]
fn lost_event() {
    run("lost_event");
}

#[test]
fn one_time_link() {
    run("one_time_link");
}

#[test]
fn pairing() {
    run("pairing");
}

#[test]
fn phone() {
    run("phone");
}

#[test]
fn restart() {
    run("restart");
}

#[test]
fn slow_network() {
    run("slow_network");
}

#[test]
fn try_a_method() {
    run("try_a_method");
}

#[test]
fn turned_away() {
    run("turned_away");
}

#[test]
fn unread_history() {
    run("unread_history");
}

#[test]
fn each_scenario_is_run() {
    let mut written = Vec::new();
    for entry in std::fs::read_dir(folder().join("scenarios")).expect("the scenarios") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a scenario");
        let names = text.lines().filter_map(|line| line.strip_prefix("export async function ")?.split('(').next());
        written.extend(names.map(str::to_string));
    }
    written.sort();
    let run = include_str!("console_browser.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("    run(\"")?.split('"').next());
    assert_eq!(written, run.collect::<Vec<_>>());
}

fn run(scenario: &str) {
    let browser = match tools() {
        Ok(browser) => browser,
        Err(why) => return skip("CLAWHOST_REQUIRE_BROWSER", &format!("{scenario} {why}")),
    };
    let home = tempfile::tempdir().expect("a temporary folder");
    let shelf = Shelf::default();
    let strangers = format!("{}grants = {{ invoke = [\"system-presence\"] }}\n", table("loaded", &shelf.rust()));
    let said = home.path().join("said");
    let file = std::fs::File::create(&said).expect("a file");
    let mut command = Command::new("node");
    command.arg("run.mjs").arg(scenario).current_dir(folder()).stdin(Stdio::null());
    command.env("CLAWHOST_BIN", clawhost()).env("CHROMIUM", browser).env("SCENARIO_HOME", home.path());
    command.env("SCENARIO_CONFIG", strangers);
    command.env("CONSOLE_SCREENSHOTS", repository().join("target/console"));
    command.stdout(file.try_clone().expect("a file")).stderr(file);
    let mut child = command.spawn().expect("node runs");
    let status = wait(&mut child, PATIENCE);
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let said = std::fs::read_to_string(&said).unwrap_or_default();
    assert!(status.is_some_and(|status| status.success()), "{scenario}: {status:?}\n{said}");
}

/// The browser, if everything is there.
fn tools() -> Result<PathBuf, String> {
    let json = |name: &str| -> Option<Value> {
        serde_json::from_str(&std::fs::read_to_string(folder().join(name)).ok()?).ok()
    };
    let lock = json("package-lock.json").ok_or("needs its lock file")?;
    for package in ["playwright-core", "axe-core"] {
        let wanted = &lock["packages"][format!("node_modules/{package}")]["version"];
        let there = json(&format!("node_modules/{package}/package.json"));
        if there.is_none_or(|there| there["version"] != *wanted) {
            return Err("needs Playwright: run `npm ci` in tests/browser".to_string());
        }
    }
    if !Command::new("node").arg("--version").output().is_ok_and(|ran| ran.status.success()) {
        return Err("needs node, which is missing".to_string());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = BROWSERS.iter().find_map(|name| {
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
    });
    found.ok_or_else(|| "needs Chromium, which is missing".to_string())
}

fn folder() -> PathBuf {
    repository().join("tests/browser")
}
