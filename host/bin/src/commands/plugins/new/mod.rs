//! `clawhost plugins new`: a project that builds, tests and loads as it is.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::builtin;
use crate::cli::Context;
use crate::failure::Failure;
use crate::show::print;

mod vendor;

/// Arguments of `plugins new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The plugin's id, and the folder to write: lower-case letters, digits and '-'
    name: String,
    /// What to write it in
    #[arg(long, value_name = "LANGUAGE", default_value = "rust")]
    lang: Language,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    C,
}

/// A file of a project: where it goes, and its text.
type ProjectFile = (PathBuf, String);

/// Writes the project into a folder of its name.
pub fn run(args: NewArgs, context: &Context) -> Result<(), Failure> {
    check_name(&args.name).map_err(Failure::usage)?;
    let folder = Path::new(&args.name);
    let files = match args.lang {
        Language::Rust => rust(&args.name),
        Language::C => c(&args.name),
    };
    write(folder, &files)?;
    if context.json {
        let names: Vec<_> = files.iter().map(|(name, _)| name).collect();
        return print(&format!("{}\n", json!({ "folder": folder, "files": names })));
    }
    let first = match args.lang {
        Language::Rust => "cargo test",
        Language::C => "make check",
    };
    print(&format!("wrote {0}/\nnext: cd {0} && {first}; {0}/README.md has the rest\n", args.name))
}

/// Names that a crate of this kind cannot have, because Rust or its dependencies have them.
const TAKEN: [&str; 14] = [
    "alloc",
    "core",
    "host",
    "plugin-api",
    "plugin-kit",
    "proc-macro",
    "schemars",
    "schemas",
    "serde",
    "serde-json",
    "std",
    "test",
    "gwp",
    "vendor",
];
const KEYWORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern false final \
                        fn for gen if impl in let loop macro match mod move mut override priv pub ref return self static \
                        struct super trait true try type typeof unsafe unsized use virtual where while yield";
/// As long as an id may be.
const LONGEST: usize = 64;

fn check_name(name: &str) -> Result<(), String> {
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    let is_plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !begins || !is_plain || name.ends_with('-') || name.contains("--") || name.len() > LONGEST {
        return Err(format!(
            "{name:?} cannot be a plugin's id: up to {LONGEST} lower-case letters, digits and single '-' are needed, with a \
             letter first and no '-' last, such as \"weather\""
        ));
    }
    if builtin::EXPECTED.contains(&name) {
        return Err(format!("{name} is a plugin that is linked into this gateway; choose another name"));
    }
    if TAKEN.contains(&name) || name.starts_with("clawhost-") || KEYWORDS.split_whitespace().any(|word| word == name) {
        return Err(format!("{name} is the name of something else in a project of this kind; choose another one"));
    }
    Ok(())
}

fn rust(name: &str) -> Vec<ProjectFile> {
    let mut files = vec![
        ("Cargo.toml", filled(include_str!("../../../../templates/rust/Cargo.toml.in"), name)),
        ("src/lib.rs", filled(include_str!("../../../../templates/rust/lib.rs.in"), name)),
        ("tests/kit.rs", filled(include_str!("../../../../templates/rust/kit.rs.in"), name)),
        ("README.md", filled(include_str!("../../../../templates/rust/README.md.in"), name)),
        (".gitignore", include_str!("../../../../templates/rust/gitignore").to_string()),
    ];
    files.retain(|(_, text)| !text.is_empty());
    let own = files.into_iter().map(|(name, text)| (PathBuf::from(name), text));
    own.chain(vendor::files()).collect()
}

fn c(name: &str) -> Vec<ProjectFile> {
    let files = [
        (format!("{name}.c"), filled(include_str!("../../../../templates/c/plugin.c.in"), name)),
        ("gwp.h".to_string(), plugin_api::HEADER.to_string()),
        ("Makefile".to_string(), filled(include_str!("../../../../templates/c/Makefile.in"), name)),
        ("README.md".to_string(), filled(include_str!("../../../../templates/c/README.md.in"), name)),
        (".gitignore".to_string(), include_str!("../../../../templates/c/gitignore").to_string()),
    ];
    files.into_iter().map(|(name, text)| (PathBuf::from(name), text)).collect()
}

/// A template with its blanks filled.
fn filled(template: &str, name: &str) -> String {
    let blanks = [
        ("{{name}}", name.to_string()),
        ("{{ident}}", name.replace('-', "_")),
        ("{{Type}}", type_name(name)),
        ("{{rust-version}}", env!("CARGO_PKG_RUST_VERSION").to_string()),
        ("{{plugin-api}}", vendor::dependency("clawhost-plugin-api", "plugin-api")),
        ("{{plugin-kit}}", vendor::dependency("clawhost-plugin-kit", "plugin-kit")),
        ("{{vendor}}", vendor::REMARK.to_string()),
    ];
    blanks.iter().fold(template.to_string(), |text, (blank, filling)| text.replace(blank, filling))
}

/// `my-weather` becomes `MyWeatherPlugin`: no name of the interface ends like this.
fn type_name(name: &str) -> String {
    let part = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
    name.split('-').map(part).collect::<String>() + "Plugin"
}

/// Writes all files into a folder that is new or empty.
fn write(folder: &Path, files: &[ProjectFile]) -> Result<(), Failure> {
    let shown = folder.display();
    match std::fs::read_dir(folder) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(Failure::failed(format!(
                    "{shown}: there is something in this folder; nothing was written"
                )));
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::failed(format!("{shown}: cannot write a project here: {error}"))),
    }
    for (name, text) in files {
        let path = folder.join(name);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
        written.map_err(|error| Failure::failed(format!("{}: cannot be written: {error}", path.display())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_are_refused_with_what_would_be_right() {
        for name in ["weather", "my-weather", "w2"] {
            assert_eq!(check_name(name), Ok(()));
        }
        for name in ["", "Weather", "2w", "-w", "w-", "a--b", "../w", "we ather", "wéather", &"w".repeat(65)] {
            assert!(check_name(name).is_err_and(|why| why.contains("such as \"weather\"")), "{name}");
        }
        for name in ["match", "serde", "std", "clawhost-x", "vendor"] {
            assert!(check_name(name).is_err_and(|why| why.contains("something else")), "{name}");
        }
        if let Some(own) = builtin::EXPECTED.first() {
            assert!(check_name(own).is_err_and(|why| why.contains("linked into this gateway")));
        }
    }

    #[test]
    fn no_blank_stays_empty() {
        assert_eq!(type_name("my-weather"), "MyWeatherPlugin");
        for (path, text) in rust("my-weather").into_iter().chain(c("my-weather")) {
            let own = !path.starts_with("vendor");
            assert!(!own || !text.contains("{{"), "{}", path.display());
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("weather");
        let files = [(PathBuf::from("src/a"), "1".to_string())];
        write(&folder, &files).unwrap();
        assert_eq!(std::fs::read_to_string(folder.join("src/a")).unwrap(), "1");
        assert!(write(&folder, &files).is_err_and(|why| why.sentence().contains("nothing was written")));
        std::fs::write(root.path().join("file"), "").unwrap();
        assert!(write(&root.path().join("file"), &files).is_err());
    }
}
