//! Puts the built page into the program: a list of the files of `dist`, so that building the gateway needs no Node.js.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=dist");
    // Asked when it runs, not when it is compiled: a folder of builds may be used for another copy of the tree.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where");
    let dist = Path::new(&here).join("dist");
    let mut files = Vec::new();
    collect(&dist, &mut files);
    files.sort();
    let mut list = String::from("&[\n");
    for file in files {
        let name = file.strip_prefix(&dist).expect("it was found below").to_string_lossy().replace('\\', "/");
        let path = file.display().to_string();
        writeln!(list, "    ({:?}, include_bytes!({path:?})),", format!("/{name}")).expect("a string grows");
    }
    list.push_str("]\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where to")).join("bundle.rs");
    std::fs::write(&out, list).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}
