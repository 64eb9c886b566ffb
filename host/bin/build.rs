//! Puts the sources that a new plugin project brings with it into the program: `clawhost plugins new` writes them out, so
//! that it builds against the very `plugin-api` that this gateway was built with. Outside of the repository there is
//! nothing to collect; projects then take the published crates.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What to collect, from the top of the repository.
const PARTS: [&str; 11] = [
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "schemas/Cargo.toml",
    "schemas/src",
    "plugin-api/Cargo.toml",
    "plugin-api/src",
    "plugin-api/include",
    "plugin-api/kit/Cargo.toml",
    "plugin-api/kit/src",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Asked when it runs, not when it is compiled: a folder of builds may be used for another copy of the tree.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where");
    let top = Path::new(&here).join("../..");
    let is_repository = PARTS.iter().all(|part| top.join(part).exists());
    let mut list = String::from("&[\n");
    for part in PARTS.iter().filter(|_| is_repository) {
        println!("cargo::rerun-if-changed={}", top.join(part).display());
        let mut files = Vec::new();
        collect(&top.join(part), &mut files);
        files.sort();
        for file in files {
            let name = file.strip_prefix(&top).expect("it was found below").to_string_lossy().replace('\\', "/");
            writeln!(list, "    ({name:?}, include_str!({:?})),", file.display().to_string()).expect("a string grows");
        }
    }
    list.push_str("]\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where to")).join("sources.rs");
    std::fs::write(&out, list).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_file() {
        return files.push(path.to_path_buf());
    }
    let entries = std::fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for entry in entries {
        collect(&entry.expect("an entry can be read").path(), files);
    }
}
