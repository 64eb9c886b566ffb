//! Compilers of C and C++, for the header and for plugins in C: `$CC` and `$CXX`, or `cc` and `c++`.
//!
//! Where there is none a test says loudly that it did nothing, unless `CLAWHOST_REQUIRE_CC=1`, which continuous
//! integration sets, makes that a failure.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::repository;

/// What every file of ours has to pass.
pub const STRICT: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wstrict-prototypes"];

/// A compiler that is there.
#[derive(Debug, Clone)]
pub struct Compiler {
    program: String,
    language: Language,
}

/// What it compiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// C, in a file that ends in `.c`.
    C,
    /// C++, in a file that ends in `.cpp`.
    Cpp,
}

impl Compiler {
    /// The compiler of this language; `None`, said aloud, where a test has to be skipped for want of it.
    #[track_caller]
    pub fn find(language: Language) -> Option<Compiler> {
        let (variable, usual) = match language {
            Language::C => ("CC", "cc"),
            Language::Cpp => ("CXX", "c++"),
        };
        let program = std::env::var(variable).ok().filter(|name| !name.is_empty()).unwrap_or(usual.to_string());
        let answer = Command::new(&program).arg("--version").output();
        if answer.is_ok_and(|output| output.status.success()) {
            return Some(Compiler { program, language });
        }
        let why = format!("there is no compiler {program:?}; install one or name it in ${variable}");
        skip("CLAWHOST_REQUIRE_CC", &why);
        None
    }

    /// Compiles one text without linking it; what the compiler says when it refuses.
    pub fn check(&self, standard: &str, text: &str) -> Result<(), String> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let source = folder.path().join(if self.language == Language::C { "file.c" } else { "file.cpp" });
        std::fs::write(&source, text).expect("a file can be written");
        let mut command = self.strict(standard, &include());
        command.arg("-fsyntax-only").arg(&source);
        run(command)
    }

    /// Runs a documented command in a folder, with this compiler in the place of `cc`.
    pub fn run_documented(&self, command: &str, folder: &Path) -> Result<(), String> {
        let arguments = command.strip_prefix("cc ").unwrap_or_else(|| panic!("{command:?} does not begin with `cc`"));
        let mut command = Command::new(&self.program);
        command.args(arguments.split_whitespace()).current_dir(folder);
        run(command)
    }

    /// Makes a shared library of one file, as C99 or C++11, with the header of this folder.
    pub fn library(&self, include: &Path, source: &Path, more: &[&str], library: &Path) -> Result<(), String> {
        let mut command = self.strict(if self.language == Language::C { "c99" } else { "c++11" }, include);
        command.args(["-O2", "-fPIC", "-shared"]).args(more).arg("-o").arg(library).arg(source);
        run(command)
    }

    fn strict(&self, standard: &str, include: &Path) -> Command {
        let mut command = Command::new(&self.program);
        // No machine's own flags: what is compiled here is compiled so everywhere.
        command.env_remove("CFLAGS").env_remove("CPATH").env_remove("C_INCLUDE_PATH").env("LC_ALL", "C");
        command.arg(format!("-std={standard}")).arg("-I").arg(include);
        // The last one of the list is for C alone.
        command.args(if self.language == Language::C { &STRICT[..] } else { &STRICT[..4] });
        command
    }
}

/// The folder of today's header.
pub fn include() -> PathBuf {
    repository().join("plugin-api/include")
}

/// Says past the test runner, which keeps back what a test that passes prints, that a test does nothing. Fails it if this
/// variable is `1`.
#[track_caller]
pub fn skip(unless: &str, why: &str) {
    assert!(std::env::var_os(unless).is_none_or(|value| value != "1"), "{unless} is set, and yet {why}");
    writeln!(std::io::stderr(), "SKIPPED: {why}").expect("standard error is open");
}

fn run(mut command: Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
