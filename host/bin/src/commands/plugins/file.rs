//! What can be said of a library before any of its code runs, and the copy that is tried out.

use std::path::{Path, PathBuf};

use clawhost::loader::{self, Checks};
use tempfile::TempDir;

use crate::failure::Failure;

/// A file that a gateway would open.
pub struct Library {
    /// Where it is, in full.
    pub path: PathBuf,
    /// SHA-256 of its bytes in lower-case hex.
    pub sha256: String,
    /// The copy that is opened: what was looked at is what runs, also when the file is rebuilt meanwhile.
    pub copy: PathBuf,
    _folder: TempDir,
}

impl Library {
    /// Makes the checks that a gateway makes before it opens a file, but for the checksum.
    pub fn look(path: &Path) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("clawhost-plugin-").tempdir();
        let folder = folder.map_err(|error| Failure::failed(format!("cannot make a temporary folder: {error}")))?;
        let checks = Checks { allow_unpinned: true, ..Checks::default() };
        let admitted = loader::admit(folder.path(), path, &checks);
        let admitted = admitted.map_err(|refusal| Failure::failed(refusal.to_string()))?;
        let path =
            std::path::absolute(path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        Ok(Library { path, sha256: admitted.sha256, copy: admitted.copy, _folder: folder })
    }
}
