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
use clawhost_tests::program::{Home, Outcome, repository};
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

/// The fenced blocks of the README in this language.
fn blocks(language: &str) -> Vec<Block> {
    let readme = std::fs::read_to_string(repository().join("README.md")).expect("the README can be read");
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
