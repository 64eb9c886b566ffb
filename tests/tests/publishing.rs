//! What is published can be: each crate of ours that others build on says what a registry asks for, and the versions that
//! stand in several places are the same in all of them.

use std::collections::BTreeSet;
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use clawhost_tests::program::repository;

/// Crates that others build on, in the order in which a registry can take them.
const PUBLISHED: [&str; 5] =
    ["clawhost-schemas", "clawhost-plugin-api", "clawhost-plugin-kit", "clawhost-client", "clawhost"];

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.current_dir(repository()).no_deps().other_options(["--offline".to_string()]);
    command.exec().expect("cargo describes the workspace")
}

fn is_published(package: &Package) -> bool {
    package.publish.as_ref().is_none_or(|registries| !registries.is_empty())
}

#[test]
fn what_others_build_on_is_published_and_nothing_else() {
    let metadata = metadata();
    let packages = metadata.workspace_packages();
    let published: BTreeSet<&str> =
        packages.iter().filter(|package| is_published(package)).map(|package| package.name.as_str()).collect();
    assert_eq!(published, PUBLISHED.into_iter().collect());
}

#[test]
fn what_is_published_says_what_a_registry_asks_for() {
    let metadata = metadata();
    for package in metadata.workspace_packages().into_iter().filter(|package| is_published(package)) {
        let name = package.name.as_str();
        let folder = package.manifest_path.parent().expect("a manifest lies in a folder");
        assert!(package.description.as_deref().is_some_and(|text| (20..=120).contains(&text.len())), "{name}");
        assert_eq!(package.license.as_deref(), Some("MIT OR Apache-2.0"), "{name}");
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let (own, ours) = (folder.join(licence), repository().join(licence));
            assert_eq!(read(own.as_std_path()), read(&ours), "{name}: {licence}");
        }
        let readme = package.readme.as_ref().unwrap_or_else(|| panic!("{name} has no readme"));
        assert!(read(folder.join(readme).as_std_path()).starts_with(&format!("# {name}\n")), "{name}: {readme}");
        assert_eq!(package.documentation.as_deref(), Some(format!("https://docs.rs/{name}").as_str()));
        // What crates.io takes.
        assert!((1..=5).contains(&package.keywords.len()), "{name}: {:?}", package.keywords);
        for keyword in &package.keywords {
            let is_plain = keyword.chars().all(|c| c.is_ascii_alphanumeric() || "-_+".contains(c));
            assert!(is_plain && keyword.len() <= 20, "{name}: {keyword:?}");
        }
        assert!((1..=5).contains(&package.categories.len()), "{name}: {:?}", package.categories);
    }
}

/// A registry takes a crate when all that it needs is there; what only its own tests need is left out of what it gets.
#[test]
fn what_is_published_needs_only_what_is_published_before_it() {
    let metadata = metadata();
    let packages = metadata.workspace_packages();
    for (place, name) in PUBLISHED.iter().enumerate() {
        let package = packages.iter().find(|package| package.name.as_str() == *name).expect("it is in the workspace");
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let found = PUBLISHED.iter().position(|other| *other == dependency.name);
            let is_named_by_version = dependency.req.matches(&package.version) && dependency.req.to_string() != "*";
            match dependency.kind {
                DependencyKind::Development => assert!(
                    !is_named_by_version || found.is_some_and(|at| at < place),
                    "{name}: {} is published later, so its tests name it by path alone",
                    dependency.name
                ),
                _ => {
                    assert!(found.is_some_and(|at| at < place), "{name} needs {}", dependency.name);
                    assert!(is_named_by_version, "{name} needs {} {}", dependency.name, dependency.req);
                }
            }
        }
    }
}

/// The compiler that is needed at least is said in one place for cargo and in the README for people; where a file chooses
/// a compiler, that is the one which proves it.
#[test]
fn the_oldest_compiler_is_the_same_everywhere() {
    let metadata = metadata();
    let stated: BTreeSet<String> = metadata
        .workspace_packages()
        .into_iter()
        .map(|package| {
            let version = package.rust_version.as_ref().unwrap_or_else(|| panic!("{} states none", package.name));
            format!("{}.{}", version.major, version.minor)
        })
        .collect();
    let [stated] = &Vec::from_iter(stated)[..] else { panic!("more than one is stated") };
    let readme = read(&repository().join("README.md"));
    assert!(readme.contains(&format!("[Rust](https://rustup.rs) {stated} or newer")), "the README says otherwise");
    for choice in ["rust-toolchain", "rust-toolchain.toml"] {
        if let Ok(text) = std::fs::read_to_string(repository().join(choice)) {
            assert!(text.contains(stated.as_str()), "{choice} does not choose {stated}, so nothing proves it:\n{text}");
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
