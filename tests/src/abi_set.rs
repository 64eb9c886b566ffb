//! The proof that a plugin built once loads in every later host: `tests/abi/NAME/` holds a header as it was, a plugin in C
//! and one in Rust, and for x86-64 Linux the libraries that were built of them then. `tests/abi.rs` loads them all.
//!
//! The set `draft` follows the interface until that is frozen, and is made anew by a deliberate command only. A set of any
//! other name is never touched again.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::compiler::{Compiler, Language};
use crate::header;
use crate::program::repository;

/// The one that may be made anew.
pub const DRAFT: &str = "draft";
/// The command that makes [`DRAFT`] anew.
pub const REMAKE: &str = "cargo run -p clawhost-tests --bin abi_set -- remake draft";
/// Whether this machine can load the libraries of the sets.
pub const CAN_LOAD: bool = cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"));
/// No library of a set is larger.
pub const LARGEST: u64 = 600 * 1024;

const SUMS: &str = "SHA256SUMS";
const TARGET: &str = "x86_64-unknown-linux-gnu";
const BUILT: &str = "x86_64-linux";
/// In a library: where the machine that built it keeps its files. Words, since any machine may ask.
const MACHINE_PATHS: [&str; 5] = ["/home/", "/root/", "/tmp/", "/Users/", "registry/src/"];

/// One folder of `tests/abi`.
#[derive(Debug, Clone)]
pub struct AbiSet {
    /// Its name: `draft`, or the version of the interface.
    pub name: String,
    folder: PathBuf,
}

impl AbiSet {
    /// Every set, sorted by name.
    pub fn all() -> Vec<AbiSet> {
        let entries = fs::read_dir(sets()).expect("the sets can be listed");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry can be read").file_name().to_string_lossy().into_owned())
            .filter(|name| sets().join(name).is_dir())
            .collect();
        names.sort();
        names.iter().map(|name| AbiSet::named(name)).collect()
    }

    fn named(name: &str) -> AbiSet {
        AbiSet { name: name.to_string(), folder: sets().join(name) }
    }

    /// The folder of its header.
    pub fn include(&self) -> &Path {
        &self.folder
    }

    /// Its plugin in C.
    pub fn c_source(&self) -> PathBuf {
        self.folder.join("c/plugin.c")
    }

    /// Its libraries.
    pub fn libraries(&self) -> [PathBuf; 2] {
        ["abi_c.so", "abi_rust.so"].map(|name| self.folder.join(BUILT).join(name))
    }

    /// What is wrong with its files: one that is not listed, is missing, or has changed since it was listed.
    pub fn faults(&self) -> Vec<String> {
        let listed = fs::read_to_string(self.folder.join(SUMS)).unwrap_or_default();
        let listed: BTreeMap<&str, &str> =
            listed.lines().filter_map(|line| line.split_once("  ")).map(|(sum, name)| (name, sum)).collect();
        let found = self.sums().expect("the files of a set can be read");
        let mut faults = Vec::new();
        for (name, sum) in &found {
            match listed.get(name.as_str()) {
                Some(listed) if listed == sum => {}
                Some(_) => faults.push(format!("{}/{name} has changed", self.name)),
                None => faults.push(format!("{}/{name} is not in {SUMS}", self.name)),
            }
        }
        let missing = listed.keys().filter(|name| !found.contains_key(**name));
        faults.extend(missing.map(|name| format!("{}/{name} is missing", self.name)));
        faults
    }

    /// The checksum of its list of checksums, which stands for all that it is.
    pub fn sum(&self) -> String {
        sum_of(&self.folder.join(SUMS)).expect("a set has a list of its files")
    }

    /// Checksums by path, of every file but the list itself.
    fn sums(&self) -> io::Result<BTreeMap<String, String>> {
        let mut sums = BTreeMap::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(&self.folder).expect("it lies below").to_string_lossy().into_owned();
                if name != SUMS {
                    sums.insert(name, sum_of(&path)?);
                }
            }
        }
        Ok(sums)
    }

    fn write_sums(&self) -> io::Result<()> {
        let lines: String = self.sums()?.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect();
        fs::write(self.folder.join(SUMS), lines)
    }
}

/// Builds the draft anew, of its sources and today's header. A set that is frozen is refused.
pub fn remake(name: &str) -> Result<AbiSet, String> {
    if name != DRAFT {
        return Err(format!("{name} is not {DRAFT}: a frozen set proves something because nobody touches it"));
    }
    if !CAN_LOAD {
        return Err(format!("the libraries of a set are for {TARGET}; make them there"));
    }
    let set = AbiSet::named(name);
    fs::create_dir_all(set.folder.join(BUILT)).map_err(said)?;
    fs::write(set.folder.join("gwp.h"), header::text()).map_err(said)?;
    let [c, rust] = set.libraries();
    build_c(&set, &c)?;
    build_rust(&set, &rust)?;
    for library in [&c, &rust] {
        if let Some(fault) = library_fault(library) {
            return Err(fault);
        }
    }
    set.write_sums().map_err(said)?;
    Ok(set)
}

/// Keeps the draft as it is under the name of a version, for ever.
pub fn freeze(name: &str) -> Result<AbiSet, String> {
    let (draft, set) = (AbiSet::named(DRAFT), AbiSet::named(name));
    let faults = draft.faults();
    if !faults.is_empty() {
        return Err(format!("{}; run `{REMAKE}` first", faults.join("; ")));
    }
    if set.folder.exists() {
        return Err(format!("{name} is frozen already"));
    }
    for file in draft.sums().map_err(said)?.keys().map(String::as_str).chain([SUMS]) {
        let to = set.folder.join(file);
        fs::create_dir_all(to.parent().expect("it lies in a folder")).map_err(said)?;
        fs::copy(draft.folder.join(file), to).map_err(said)?;
    }
    Ok(set)
}

/// What makes a library unfit to be kept: its size, or a path of the machine that built it.
pub fn library_fault(library: &Path) -> Option<String> {
    let bytes = match fs::read(library) {
        Ok(bytes) => bytes,
        Err(error) => return Some(format!("{}: {error}", library.display())),
    };
    let name = library.file_name().unwrap_or_default().to_string_lossy();
    if bytes.len() as u64 > LARGEST {
        return Some(format!("{name} has {} bytes, more than {LARGEST}", bytes.len()));
    }
    let here = repository().to_string_lossy().into_owned();
    let paths = MACHINE_PATHS.into_iter().chain([here.as_str()]);
    let mut found = paths.filter(|path| bytes.windows(path.len()).any(|part| part == path.as_bytes()));
    found.next().map(|path| format!("{name} tells of the machine that built it: {path}"))
}

fn build_c(set: &AbiSet, library: &Path) -> Result<(), String> {
    let compiler = Compiler::find(Language::C).ok_or("there is no C compiler")?;
    compiler.library(set.include(), &set.c_source(), &["-s", "-Wl,--build-id=none"], library)
}

fn build_rust(set: &AbiSet, library: &Path) -> Result<(), String> {
    let folder = set.folder.join("rust");
    // With the versions that the gateway itself is built with; cargo drops what this plugin does not need.
    fs::copy(repository().join("Cargo.lock"), folder.join("Cargo.lock")).map_err(said)?;
    let target = tempfile::tempdir().map_err(said)?;
    let flags = rust_flags().map_err(said)?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--target", TARGET, "--target-dir"]).arg(target.path()).current_dir(&folder);
    cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    let status = cargo.status().map_err(said)?;
    if !status.success() {
        return Err("the plugin in Rust could not be built".to_string());
    }
    let built = target.path().join(TARGET).join("release/libabi_rust.so");
    fs::copy(built, library).map(drop).map_err(said)
}

/// Flags that keep paths of this machine out of the library: of the repository, and of every registry's sources.
fn rust_flags() -> io::Result<Vec<String>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo"))).unwrap_or_default();
    let mut flags = vec![format!("--remap-path-prefix={}=clawhost", repository().display())];
    if let Ok(registries) = fs::read_dir(home.join("registry/src")) {
        for registry in registries {
            flags.push(format!("--remap-path-prefix={}=crates", registry?.path().display()));
        }
    }
    flags.push("-Clink-arg=-Wl,--build-id=none".to_string());
    Ok(flags)
}

fn sum_of(file: &Path) -> io::Result<String> {
    let sum = Sha256::digest(fs::read(file)?);
    Ok(sum.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn sets() -> PathBuf {
    repository().join("tests/abi")
}

fn said(error: io::Error) -> String {
    error.to_string()
}
