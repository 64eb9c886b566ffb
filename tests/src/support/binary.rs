//! Finds the product's binary. Cargo names binaries to the tests of their own package only, so it is looked for beside
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

fn built() -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    // target/PROFILE/deps/test-HASH
    let profile = test.parent().and_then(Path::parent).expect("tests lie in a folder of the build");
    let binary = profile.join("clawhost");
    let lock = File::create(profile.join(".clawhost-tests.lock")).expect("the build's folder is writable");
    lock.lock().expect("a file can be locked");
    if is_stale(&binary) {
        build(profile);
    }
    assert!(binary.is_file(), "no {}", binary.display());
    binary
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

fn build(profile: &Path) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "clawhost-bin"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.file_name().is_some_and(|name| name == "release") {
        cargo.arg("--release");
    }
    if let Some(target) = profile.parent() {
        cargo.arg("--target-dir").arg(target);
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "clawhost could not be built");
}
