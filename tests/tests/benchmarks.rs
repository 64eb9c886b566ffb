//! The benchmarks run, on loads so small that they say nothing of speed; the page made of them shows all that was measured;
//! and what the repository shows is what the kept result says.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clawhost_tests::compiler::{self, Compiler, Language};
use clawhost_tests::program::{Outcome, PATIENCE, repository};
use serde_json::Value;

const MARKS: (&str, &str) = ("<!-- measured -->", "<!-- /measured -->");
/// Every load, as the result names it.
const LOADS: [&str; 7] = ["health1", "health16", "presence", "handshake", "deviceHandshake", "fanout", "invoke"];

fn load(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A tiny run, with its result in this file.
fn bench(out: &Path) -> Command {
    let gateway = env!("CARGO_BIN_EXE_bench_gateway");
    let mut command = load(&["bench", "--effort", "tiny", "--clawhost", gateway, "--bench-gateway", gateway]);
    command.args(["--bare", env!("CARGO_BIN_EXE_bare"), "--out"]).arg(out);
    command
}

/// The bare server in node, if it can run here.
fn node_server() -> Option<PathBuf> {
    let folder = repository().join("tests/bench/node");
    let has_node = Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success());
    (has_node && folder.join("node_modules/ws").is_dir()).then(|| folder.join("server.mjs"))
}

#[test]
fn a_run_measures_everything_and_its_page_shows_it() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let at = |name: &str| folder.path().join(name);
    let mut command = bench(&at("results.json"));
    let node = node_server();
    match &node {
        // A gateway that is not installed: the rest goes on, and the page says why it is not there.
        Some(script) => {
            command.args(["--node", "node", "--node-server"]).arg(script).arg("--published").arg(at("nowhere"));
        }
        None => {
            command.args(["--without-node", "this test found none"]);
            compiler::skip("CLAWHOST_REQUIRE_FOREIGN", "there is no node, or no `npm ci` was done in tests/bench/node");
        }
    }
    let outcome = command.output().expect("the load tool can be started");
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
    let result: Value = serde_json::from_str(&read(&at("results.json"))).expect("the result is JSON");
    let contestants: &[&str] = if node.is_some() { &["clawhost", "bare", "node"] } else { &["clawhost", "bare"] };
    for what in LOADS.iter().chain(&["start", "rest", "idle"]) {
        for who in contestants {
            let measured = result["measured"].as_array().expect("a list");
            let measured = measured.iter().find(|it| it["what"] == **what && it["who"] == **who);
            let rounds = measured.and_then(|it| it["rounds"].as_array()).unwrap_or_else(|| panic!("{what} of {who}"));
            assert!(!rounds.is_empty() && rounds.iter().all(Value::is_object), "{what} of {who}: {measured:#?}");
        }
    }
    let sizes = |number: usize| -> Vec<u64> {
        let points = result["curves"][number]["points"].as_array().expect("a list");
        points.iter().map(|point| point["size"].as_u64().expect("a number")).collect()
    };
    assert_eq!((sizes(0), sizes(1)), (vec![10, 20], vec![10, 20]), "{}", result["skipped"]);
    let first = &result["curves"][0]["points"][0]["values"];
    assert!(first["missedTicks"] == 0.0 && first["tickCpuUs"].as_f64() > Some(0.0), "{first}");
    if Compiler::find(Language::C).is_some() {
        assert_eq!(sizes(2), [10, 30], "{}", result["skipped"]);
    }

    std::fs::write(at("README.md"), format!("before\n{}\n{}\nafter\n", MARKS.0, MARKS.1))
        .expect("a file can be written");
    make_page(&at("results.json"), folder.path(), Some(&at("README.md")));
    let page = read(&at("BENCHMARKS.md"));
    for section in
        ["Goals", "Requests", "Handshakes, events, nodes", "Start and memory", "Many connections", "Many plugins"]
    {
        assert!(page.contains(&format!("\n## {section}\n")), "{section}: {page}");
    }
    for who in ["clawhost", "bare tokio-tungstenite", "bare node `ws`", "OpenClaw"] {
        assert!(page.contains(&format!("\n- {who}: ")), "{who}: {page}");
    }
    assert!(page.contains("- OpenClaw: not here, ") && page.contains("shows that the command works"), "{page}");
    assert!(!page.contains(&*folder.path().to_string_lossy()), "it names folders of this machine: {page}");
    for line in page.lines().filter(|line| line.starts_with("| `health`, 64 connections")) {
        assert!(!line.contains("|  |"), "a figure is missing: {line}");
    }
    let answers: Vec<u64> = result["answers"].as_array().expect("a pair").iter().filter_map(Value::as_u64).collect();
    assert!(answers.len() == 2 && answers.iter().all(|bytes| *bytes > 100), "{answers:?}");
    assert!(page.contains(&format!("\n- answers: `health` has {} bytes ", answers[0])), "{page}");
    assert!(page.contains("\n- source: of the programs not known"), "this test does not know it: {page}");
    assert!(!page.contains("cut short"), "{page}");
    for plot in shown_plots(&page) {
        let svg = read(&folder.path().join(&plot));
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("<circle"), "{plot}: {svg}");
    }
    let readme = read(&at("README.md"));
    assert!(readme.starts_with("before\n") && readme.ends_with("after\n"), "{readme}");
    assert_eq!(strangers(&readme, &page), [""; 0]);
    // Made anew of the same result it is the same.
    make_page(&at("results.json"), folder.path(), None);
    assert_eq!(read(&at("BENCHMARKS.md")), page);
}

/// A run whose time is over says so, and nobody quotes it.
#[test]
fn a_run_that_was_cut_short_is_not_quoted() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let at = |name: &str| folder.path().join(name);
    let outcome = bench(&at("results.json")).args(["--minutes", "0.001", "--built", "1234567"]).output();
    let outcome = outcome.expect("the load tool can be started");
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
    let readme = format!("before\n{}\n| a | 1 |\n{}\nafter\n", MARKS.0, MARKS.1);
    std::fs::write(at("README.md"), &readme).expect("a file can be written");
    make_page(&at("results.json"), folder.path(), Some(&at("README.md")));
    assert_eq!(read(&at("README.md")), readme);
    let page = read(&at("BENCHMARKS.md"));
    assert!(page.contains("This run was cut short") && page.contains("\n- source: 1234567, built with "), "{page}");
    assert!(page.contains("\n- 10 connections to clawhost: the time was over\n"), "{page}");
}

/// The tool is killed, as by a user whose patience is over, while servers run.
#[test]
fn no_server_outlives_the_tool() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut tool =
        bench(&folder.path().join("results.json")).stderr(Stdio::piped()).spawn().expect("it can be started");
    let mut servers = BTreeSet::new();
    // Kept open to the end: the tool shall die of nothing else.
    let mut lines = BufReader::new(tool.stderr.take().expect("it is piped")).lines();
    for line in lines.by_ref().map_while(Result::ok) {
        servers.extend(line.split_once(" runs as process ").map(|(_, pid)| pid.to_string()));
        if servers.len() == 2 {
            break;
        }
    }
    assert_eq!(servers.len(), 2, "two servers were to be started");
    assert!(servers.iter().all(|pid| is_running(pid)), "{servers:?}");
    tool.kill().expect("it can be killed");
    tool.wait().expect("it can be waited for");
    let end = Instant::now() + PATIENCE;
    while servers.iter().any(|pid| is_running(pid)) {
        assert!(Instant::now() < end, "they still run: {servers:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `BENCHMARKS.md`, its plots and the README's figures come from the kept result, all of it and nothing else.
#[test]
fn what_is_shown_is_what_was_measured() {
    let (page, readme) = (repository().join("BENCHMARKS.md"), read(&repository().join("README.md")));
    assert!(between_marks(&readme).is_some(), "the README has no place for figures of tests/bench/run");
    let page = if page.exists() { read(&page) } else { String::new() };
    let kept = repository().join("tests/bench/results.json");
    assert_eq!(kept.exists(), between_marks(&page).is_some(), "a page and the result that it was made of go together");
    if !kept.exists() {
        return;
    }
    let result: Value = serde_json::from_str(&read(&kept)).expect("the result is JSON");
    assert_eq!((&result["build"], &result["effort"]), (&"release".into(), &"full".into()), "not a run to show");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("BENCHMARKS.md"), &page).expect("a file can be written");
    std::fs::write(at("README.md"), &readme).expect("a file can be written");
    make_page(&kept, folder.path(), Some(&at("README.md")));
    assert!(
        read(&at("BENCHMARKS.md")) == page,
        "BENCHMARKS.md is not what `load page` makes of tests/bench/results.json"
    );
    assert!(read(&at("README.md")) == readme, "the README does not quote what `load page` would");
    // It keeps the figures that it has when a run is cut short.
    if !page.contains("This run was cut short") {
        assert_eq!(strangers(&readme, &page), [""; 0]);
    }
    let shown = shown_plots(&page);
    assert!(!shown.is_empty(), "there are no plots");
    for plot in shown {
        assert!(read(&at(&plot)) == read(&repository().join(&plot)), "{plot} is not made of the kept result");
    }
}

/// What was typed in the section about speed grows old beside what is measured anew.
#[test]
fn the_readme_has_no_figure_that_was_typed() {
    let readme = read(&repository().join("README.md"));
    let section = readme.split("\n## ").find(|section| section.starts_with("Speed and memory\n")).expect("the section");
    assert_eq!(typed(section), [""; 0]);
}

/// How long a run may take is said where people look, and decided where it is measured.
#[test]
fn a_run_takes_no_longer_than_is_said() {
    let sizes = read(&repository().join("tests/src/bin/load/bench/mod.rs"));
    let (readme, script) = (read(&repository().join("README.md")), read(&repository().join("tests/bench/run")));
    for (effort, command) in [("Full", "measures"), ("Quick", "--quick")] {
        let of_it = sizes.split_once(&format!("Effort::{effort} => Sizes {{")).expect("its sizes").1;
        let minutes = of_it.split_once("minutes: ").expect("its time").1.split('.').next().unwrap_or_default();
        let said = format!("for up to {minutes} minutes");
        for (name, text) in [("README.md", &readme), ("tests/bench/run", &script)] {
            let is_said = text.lines().any(|line| line.contains(command) && line.contains(&said));
            assert!(is_said, "{name} says nothing of {command} {said}");
        }
    }
}

#[test]
fn a_figure_that_was_not_measured_is_noticed() {
    let page = "| a | 1 |\n| b | 2 |\n";
    let readme = |row: &str| format!("| c | 9 |\n{}\n\nWords.\n\n| a | 1 |\n{row}\n{}\n", MARKS.0, MARKS.1);
    assert_eq!(strangers(&readme("| b | 2 |"), page), [""; 0]);
    assert_eq!(strangers(&readme("| b | 3 |"), page), ["| b | 3 |"]);
    assert_eq!(typed(&readme("| b | 3 ms |")), [""; 0]);
    let prose = "in 3.5\nms, (goal: 5 ms), with 64 calls (goals: 1 KiB, 2 µs) and 7 MiB";
    assert_eq!(typed(&format!("{}{prose}.", readme("| b | 3 ms |"))), ["3.5 ms", "7 MiB"]);
}

/// Makes the page of a result in a folder where it lies as in the repository.
fn make_page(result: &Path, folder: &Path, readme: Option<&Path>) {
    let mut command = load(&["page", "--from"]);
    command.arg(result).arg("--into").arg(folder.join("BENCHMARKS.md"));
    command.arg("--plots").arg(folder.join("tests/bench/plots"));
    if let Some(readme) = readme {
        command.arg("--readme").arg(readme);
    }
    let outcome = Outcome::of(command, "load page");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

/// Rows of tables that a text quotes and the page does not have.
fn strangers<'a>(text: &'a str, page: &str) -> Vec<&'a str> {
    let quoted = between_marks(text).unwrap_or_default();
    let rows = quoted.lines().filter(|line| line.starts_with('|'));
    rows.filter(|row| !page.lines().any(|line| line == *row)).collect()
}

/// Figures with a unit outside of the marks; goals, which say so in parentheses, are none.
fn typed(text: &str) -> Vec<String> {
    const UNITS: [&str; 4] = ["ms", "µs", "KiB", "MiB"];
    let mut kept = match between_marks(text) {
        Some(quoted) => text.replacen(quoted, "", 1),
        None => text.to_string(),
    };
    while let Some((before, goal)) = kept.split_once("(goal") {
        kept = format!("{before}{}", goal.split_once(')').map_or("", |(_, after)| after));
    }
    let words: Vec<&str> =
        kept.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric())).collect();
    let is_figure = |pair: &&[&str]| pair[0].ends_with(|c: char| c.is_ascii_digit()) && UNITS.contains(&pair[1]);
    words.windows(2).filter(is_figure).map(|pair| pair.join(" ")).collect()
}

fn between_marks(text: &str) -> Option<&str> {
    Some(text.split_once(MARKS.0)?.1.split_once(MARKS.1)?.0)
}

/// Files of the pictures on a page.
fn shown_plots(page: &str) -> Vec<String> {
    let names = page.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    names.map(|(name, _)| name.to_string()).filter(|name| name.ends_with(".svg")).collect()
}

/// Whether a process is there and has not ended: one that nobody has collected yet has.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
