//! The commands of the README work, and its examples of configuration are right.
//!
//! Every `sh` block says in its first line what becomes of it:
//!
//! - `# run by tests`: bash runs it at the top of the repository while a gateway runs; the first command that fails fails
//!   the test. `clawhost` is the program of this build, and `cargo run … --` stands for it too, so that nothing is built
//!   a second time with `--release`.
//! - `# not run: REASON`: it is only read.

use std::os::unix::fs::symlink;
use std::process::Command;

use clawhost::config::Config;
use clawhost_tests::command_line::{commands, fault};
use clawhost_tests::program::{Home, Outcome, repository};
use clawhost_tests::published;
use clawhost_tests::support::clawhost;

const RUN: &str = "# run by tests";
const NOT_RUN: &str = "# not run: ";

/// What stands before every block.
const PRELUDE: &str = r#"set -euo pipefail
cargo() {
    [ "$1" = run ] || { command cargo "$@"; return; }
    while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done
    shift
    clawhost "$@"
}
"#;

#[test]
fn every_shell_block_works_or_says_why_it_is_not_tried() {
    let home = Home::default();
    let _gateway = home.start();
    let programs = home.path().join("bin");
    std::fs::create_dir(&programs).expect("a folder can be made");
    symlink(clawhost(), programs.join("clawhost")).expect("a link can be made");

    let (mut run, mut wrong) = (0, Vec::new());
    for block in blocks("sh") {
        let first = block.text.lines().next().unwrap_or_default();
        if first == RUN {
            run += 1;
            let outcome = Outcome::of(shell(&home, &block.text), &block.place());
            if outcome.code != Some(0) {
                wrong.push(format!("{}: {outcome:?}", block.place()));
            }
        } else if first.strip_prefix(NOT_RUN).is_none_or(|reason| reason.trim().is_empty()) {
            wrong.push(format!("{}: begins with {first:?}, not with {RUN:?} or {NOT_RUN:?}", block.place()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(run > 0, "no block is run");
}

#[test]
fn every_example_of_configuration_is_accepted() {
    let examples = blocks("toml");
    assert!(!examples.is_empty(), "there is no example");
    for block in examples {
        let issues = Config::validate_text(&block.text);
        assert!(issues.is_empty(), "{}: {issues:?}", block.place());
    }
}

/// The table of surfaces: each row says yes, partly or absent, what is missing if anything is, and names commands that exist.
#[test]
fn every_surface_has_commands_that_exist() {
    let text = readme();
    let section = text.split("\n## ").find(|section| section.starts_with("What is here\n")).expect("the section");
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert_eq!(rows[0], ["surface", "here", "what of it", "command"]);
    let (known, features) = (commands(&Home::default()), published::wire_names());
    let mut wrong = Vec::new();
    for row in &rows[2..] {
        let [surface, here, what, shown] = row[..] else { panic!("{row:?} has not four columns") };
        let says_what = !what.is_empty() || here != "partly";
        if !["yes", "partly", "absent"].contains(&here) || !says_what {
            wrong.push(format!("{surface}: {here:?}, and what of it: {what:?}"));
        }
        let named: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            wrong.push(format!("{surface} names no command"));
        }
        for line in named {
            let unknown = match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["clawhost", "call", method] if !features.methods.iter().any(|name| name == method) => {
                    Some(format!("there is no method {method}"))
                }
                ["clawhost", ..] => fault(&known, line),
                ["npm", "run", script] => (!package_scripts().contains(&script.to_string())).then(|| line.to_string()),
                ["cargo", "run", "-p", "clawhost-tests", "--bin", name] => {
                    let source = repository().join("tests/src/bin").join(name).with_extension("rs");
                    (!source.exists()).then(|| line.to_string())
                }
                _ => (!repository().join(line).is_file()).then(|| format!("there is no file {line}")),
            };
            wrong.extend(unknown.map(|unknown| format!("{surface}: {unknown}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows.len() > 20, "only {} rows were read", rows.len());
}

/// Scripts that npm runs in the folder of other people's clients.
fn package_scripts() -> Vec<String> {
    let text = std::fs::read_to_string(repository().join("tests/foreign/package.json")).expect("the file is there");
    let package: serde_json::Value = serde_json::from_str(&text).expect("the file is JSON");
    package["scripts"].as_object().expect("it has scripts").keys().cloned().collect()
}

struct Block {
    line: usize,
    text: String,
}

impl Block {
    fn place(&self) -> String {
        format!("README.md:{}", self.line)
    }
}

fn shell(home: &Home, block: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(home.path().join("bin")).chain(std::env::split_paths(&path));
    let mut command = Command::new("bash");
    home.isolate(&mut command);
    command.current_dir(repository()).arg("-c").arg(format!("{PRELUDE}{block}"));
    command.env("PATH", std::env::join_paths(path).expect("no folder has a separator in its name"));
    command.env("CLAWHOST_STATE_DIR", home.state());
    command
}

fn readme() -> String {
    std::fs::read_to_string(repository().join("README.md")).expect("the README can be read")
}

/// The fenced blocks of the README in this language.
fn blocks(language: &str) -> Vec<Block> {
    let readme = readme();
    let mut found: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    let mut fenced = false;
    for (number, line) in readme.lines().enumerate() {
        match (line.strip_prefix("```"), fenced) {
            (Some(info), false) => {
                fenced = true;
                open = (info.trim() == language).then(|| Block { line: number + 1, text: String::new() });
            }
            (Some(_), true) => {
                fenced = false;
                found.extend(open.take());
            }
            (None, _) => {
                if let Some(block) = &mut open {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
            }
        }
    }
    assert!(!fenced, "the last block of the README is not closed");
    found
}
