//! From a file to the entry of a plugin. Before any code of the file runs it is [`file::read`], checked against what the
//! operator wrote down, and copied ([`admit`]); what is then [opened](Admitted::open) is the copy, so the bytes that were
//! checked are the bytes that are loaded, and the original may be overwritten while it is in use.
//!
//! A native plugin is as trusted as the gateway: nothing here makes a hostile library harmless. It keeps a file that the
//! operator did not mean from being loaded, and one that is broken from taking the gateway down more than once
//! ([`marker`]).

pub mod file;
mod image;
pub mod marker;
mod refusal;
mod store;

use std::path::{Path, PathBuf};

use ed25519_dalek::{Signature, VerifyingKey};
use plugin_api::Manifest;
use plugin_api::abi::gwp_entry;
use plugin_api::hosting::{self, EntryError, OpenError};

pub use refusal::{Fault, Refusal};
pub use store::prune;

use crate::config::{PluginHostSettings, PluginSettings};

/// Largest library that is read.
pub const MAX_FILE: u64 = 256 * 1024 * 1024;
/// Largest manifest that is read.
pub const MAX_MANIFEST: usize = 1024 * 1024;

/// What a file is checked against.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// SHA-256 in lower-case hex.
    pub sha256: Option<String>,
    /// Whether a file without a checksum is loaded all the same.
    pub allow_unpinned: bool,
    /// Signature over the file's bytes.
    pub signature: Option<Signature>,
    /// Who may sign. When it is not empty, a signature is needed.
    pub keys: Vec<VerifyingKey>,
}

impl Checks {
    /// What the configuration asks of a plugin.
    pub fn configured(gateway: &PluginHostSettings, plugin: &PluginSettings) -> Checks {
        Checks {
            sha256: plugin.sha256.clone(),
            allow_unpinned: gateway.allow_unpinned,
            signature: plugin.signature,
            keys: gateway.keys.clone(),
        }
    }

    fn pass(&self, found: &file::Contents) -> Result<(), Fault> {
        match &self.sha256 {
            Some(pinned) if *pinned != found.sha256 => {
                return Err(Fault::Sum { pinned: pinned.clone(), found: found.sha256.clone() });
            }
            None if !self.allow_unpinned => return Err(Fault::Unpinned { found: found.sha256.clone() }),
            _ => {}
        }
        if self.keys.is_empty() {
            return Ok(());
        }
        let signature = self.signature.as_ref().ok_or(Fault::Unsigned)?;
        let signed = self.keys.iter().any(|key| key.verify_strict(&found.bytes, signature).is_ok());
        if signed { Ok(()) } else { Err(Fault::Signature { keys: self.keys.len() }) }
    }
}

/// A file that passed every check that can be made without running it, and its copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The file the operator named.
    pub file: PathBuf,
    /// SHA-256 of its bytes in lower-case hex.
    pub sha256: String,
    /// The copy that is loaded: `<sha256>.so`.
    pub copy: PathBuf,
}

/// The entry of a plugin and what it says of itself.
#[derive(Clone)]
pub struct Opened {
    /// Its entry, readable until the process ends.
    pub entry: &'static gwp_entry,
    /// Its manifest.
    pub manifest: Manifest,
}

/// Reads and checks a file and copies it into `folder`, which is made if there is none. Runs no code of it. Blocks.
pub fn admit(folder: &Path, path: &Path, checks: &Checks) -> Result<Admitted, Refusal> {
    let refuse = |fault| Refusal { file: path.to_path_buf(), fault };
    let found = file::read(path).map_err(refuse)?;
    // The checksum comes first: of a file that was replaced nothing else is worth saying.
    checks.pass(&found).map_err(refuse)?;
    image::look(&found.bytes).map_err(|what| refuse(Fault::Image(what)))?;
    let copy = store::keep(folder, &found).map_err(refuse)?;
    Ok(Admitted { file: path.to_path_buf(), sha256: found.sha256, copy })
}

impl Admitted {
    /// Loads the library, finds its entry and reads its manifest. **Runs code of the file**: its initialisers and
    /// `manifest`. May block for as long as that code likes.
    pub fn open(&self) -> Result<Opened, Refusal> {
        let refuse = |fault| Refusal { file: self.file.clone(), fault };
        let entry = hosting::open(&self.copy).map_err(|error| {
            refuse(match error {
                OpenError::Library(why) => Fault::Library(why),
                OpenError::Symbol => Fault::Symbol,
                OpenError::Entry(error) => Fault::Entry(error),
            })
        })?;
        let manifest = read_manifest(entry).map_err(refuse)?;
        Ok(Opened { entry, manifest })
    }
}

/// The manifest of an entry. It is asked for once and kept: the registry is built from it, and a plugin that is created anew
/// is not read anew, so one that says something else the second time is held to what it said first. Whether it is pure is
/// for the test kit to find, before the file is pinned.
fn read_manifest(entry: &'static gwp_entry) -> Result<Manifest, Fault> {
    let text = hosting::manifest(entry).map_err(|error| match error {
        EntryError::Manifest => Fault::Manifest("it is not UTF-8 text".to_string()),
        other => Fault::Entry(other),
    })?;
    if text.len() > MAX_MANIFEST {
        return Err(Fault::Manifest(format!("it has {} bytes, and {MAX_MANIFEST} are the most", text.len())));
    }
    Manifest::parse(text).map_err(|error| Fault::Manifest(error.to_string()))
}

#[cfg(test)]
mod tests;
