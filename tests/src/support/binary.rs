//! Finds the product's binary, and libraries that tests load. Cargo names binaries to the tests of their own package only, so it is looked for beside
//! the running test, and built when it is not there or older than its sources.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The `clawhost` binary: `CLAWHOST_BIN`, else the one of this build.
pub fn clawhost() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| match std::env::var_os("CLAWHOST_BIN") {
        Some(path) => path.into(),
        None => built(),
    })
}

/// The library that an example of `clawhost-plugin-api` makes, built if it has to be.
pub fn example_library(example: &str) -> PathBuf {
    let profile = profile();
    let _lock = lock(&profile);
    // Together with the tests, whose choice of features the libraries below were already built with.
    build(&profile, &["--package", "clawhost-tests", "--package", "clawhost-plugin-api", "--example", example]);
    let name = format!("{}{example}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    profile.join("examples").join(name)
}

fn built() -> PathBuf {
    let profile = profile();
    let binary = profile.join("clawhost");
    let _lock = lock(&profile);
    if is_stale(&binary) {
        build(&profile, &["--package", "clawhost-bin"]);
    }
    assert!(binary.is_file(), "no {}", binary.display());
    binary
}

/// The folder of the build that this test belongs to.
fn profile() -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    // target/PROFILE/deps/test-HASH
    test.parent().and_then(Path::parent).expect("tests lie in a folder of the build").to_path_buf()
}

/// Held while something is built: one test builds, the others wait for it.
fn lock(profile: &Path) -> File {
    let lock = File::create(profile.join(".clawhost-tests.lock")).expect("the build's folder is writable");
    lock.lock().expect("a file can be locked");
    lock
}

/// Whether the binary is missing or one of the sources it was built from is younger.
fn is_stale(binary: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    let (Some(built), Ok(sources)) = (modified(binary), fs::read_to_string(binary.with_extension("d"))) else {
        return true;
    };
    let sources = sources.split_once(": ").map_or("", |(_, sources)| sources);
    sources.split_whitespace().any(|source| modified(Path::new(source)).is_none_or(|changed| changed > built))
}

fn build(profile: &Path, what: &[&str]) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet"]).args(what).current_dir(env!("CARGO_MANIFEST_DIR"));
    // What cargo tells this test about its package would make build scripts that look at it run again, here and, without
    // it, in the next build: each would throw away what the other one built.
    let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
        cargo.env_remove(name);
    }
    if profile.file_name().is_some_and(|name| name == "release") {
        cargo.arg("--release");
    }
    if let Some(target) = profile.parent() {
        cargo.arg("--target-dir").arg(target);
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "could not be built: {what:?}");
}
