//! What is made from the command line's own description: completions that shells take, and a manual page for each command.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use clawhost_tests::command_line::commands;
use clawhost_tests::compiler::skip;
use clawhost_tests::program::{Home, Outcome};

/// The program's completion script for this shell, in a file.
fn script(home: &Home, shell: &str) -> String {
    let outcome = home.run(&format!("completions {shell}"));
    assert_eq!(outcome.code, Some(0), "{shell}: {outcome:?}");
    std::fs::write(home.path().join(shell), &outcome.out).expect("a file can be written");
    outcome.out
}

#[test]
fn every_shells_script_knows_every_command() {
    let home = Home::default();
    let commands = commands(&home);
    assert!(commands.len() > 50, "only {} commands were found", commands.len());
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = script(&home, shell);
        let missing: Vec<_> =
            commands.iter().filter(|command| command.words.iter().any(|word| !script.contains(word))).collect();
        assert!(missing.is_empty(), "{shell}: {missing:?}");
    }
    assert!(!home.state().exists(), "questions leave nothing behind");
}

#[test]
fn bash_completes_commands_and_flags() {
    let home = Home::default();
    script(&home, "bash");
    for (words, offered) in [
        (vec!["clawhost", "dev"], vec!["devices"]),
        (vec!["clawhost", "devices", "app"], vec!["approve"]),
        (vec!["clawhost", "doctor", "--f"], vec!["--fix"]),
        (vec!["clawhost", "completions", "ba"], vec!["bash"]),
        (vec!["clawhost", "man", "--d"], vec!["--dir"]),
    ] {
        let last = words.len() - 1;
        let asked = format!(
            "set -eu; source ./bash; COMP_WORDS=({}); COMP_CWORD={last}; _clawhost clawhost {} {}; echo \"${{COMPREPLY[*]}}\"",
            words.join(" "),
            words[last],
            words[last - 1]
        );
        let mut bash = Command::new("bash");
        bash.current_dir(home.path()).args(["--norc", "-c", &asked]);
        let outcome = Outcome::of(bash, &asked);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(outcome.out.split_whitespace().collect::<Vec<_>>(), offered, "{words:?}: {outcome:?}");
    }
}

#[test]
fn other_shells_that_are_there_take_their_scripts() {
    let home = Home::default();
    for shell in ["bash", "zsh", "fish"] {
        script(&home, shell);
        let mut command = Command::new(shell);
        command.current_dir(home.path()).args(["-n", shell]).stdin(Stdio::null());
        match command.output() {
            Err(error) => skip("CLAWHOST_REQUIRE_SHELLS", &format!("{shell}: {error}")),
            Ok(said) => assert!(said.status.success(), "{shell}: {}", String::from_utf8_lossy(&said.stderr)),
        }
    }
}

#[test]
fn every_command_has_its_manual_page() {
    let home = Home::default();
    let outcome = home.run("man --dir pages/man1");
    assert!(outcome.code == Some(0) && outcome.out.is_empty(), "{outcome:?}");
    let folder = home.path().join("pages/man1");
    let commands = commands(&home);
    let expected: BTreeSet<String> =
        commands.iter().map(|command| format!("{}.1", command.name().replace(' ', "-"))).collect();
    let there: BTreeSet<String> = std::fs::read_dir(&folder)
        .expect("the folder was made")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(there, expected);

    let page = std::fs::read_to_string(folder.join("clawhost.1")).expect("a page");
    assert_eq!(home.run("man").out, page, "without a folder it is printed");
    for command in commands.iter().filter(|command| command.words.len() == 1) {
        let name = format!("clawhost\\-{}(1)", command.words[0].replace('-', "\\-"));
        assert!(page.contains(&name), "{name} is not in the program's page");
    }
    let doctor = std::fs::read_to_string(folder.join("clawhost-doctor.1")).expect("a page");
    assert!(doctor.contains("\\-\\-fix") && doctor.contains("\\-\\-json"), "{doctor}");
    for name in there {
        proofread(&folder.join(name));
    }
    assert_eq!(home.run("man --dir /dev/null/pages").code, Some(1));
    assert_eq!(home.run("man --url ws://127.0.0.1:1").code, Some(2), "it looks at nothing but the program");
}

/// Whether groff finds nothing to complain of, where there is one.
fn proofread(page: &Path) {
    let groff = Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z"]).arg(page).output();
    match groff {
        Ok(said) => {
            let complaints = String::from_utf8_lossy(&said.stderr);
            assert!(said.status.success() && complaints.is_empty(), "{}: {complaints}", page.display());
        }
        Err(error) if page.ends_with("clawhost.1") => {
            writeln!(std::io::stderr(), "SKIPPED: no groff to read manual pages: {error}")
                .expect("standard error is open");
        }
        Err(_) => {}
    }
}
