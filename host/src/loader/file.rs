//! Reads a library so that what was read is known to be what the operator put there: opened once, without following a
//! link, and out of reach of everybody but root and the user the gateway runs as.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use super::{Fault, MAX_FILE};

/// Permission of a folder in which one may only rename and delete what is one's own.
const STICKY: u32 = 0o1000;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The bytes of a file.
pub struct Contents {
    /// All of them.
    pub bytes: Vec<u8>,
    /// Their SHA-256 in lower-case hex.
    pub sha256: String,
}

/// Reads a file that only root or the gateway's own user can change. Everything is asked of the open file, so a file that
/// is swapped meanwhile is either the one that was judged or is not read. Runs no code of it. Blocks.
pub fn read(path: &Path) -> Result<Contents, Fault> {
    let path = std::path::absolute(path).map_err(|error| Fault::Read(error.to_string()))?;
    let mut file = open(&path)?;
    let metadata = file.metadata().map_err(|error| Fault::Read(error.to_string()))?;
    if !metadata.is_file() {
        return Err(Fault::NotAFile);
    }
    let us = rustix::process::geteuid().as_raw();
    check(&path, &metadata, us)?;
    check_folders(&path, &metadata, us)?;
    if metadata.len() > MAX_FILE {
        return Err(Fault::TooLarge { bytes: metadata.len() });
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // It may grow while it is read.
    let read = file.by_ref().take(MAX_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|error| Fault::Read(error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Fault::TooLarge { bytes: bytes.len() as u64 });
    }
    let sha256 = hex(&Sha256::digest(&bytes));
    Ok(Contents { bytes, sha256 })
}

/// Opens a file for reading, but no link to one. A pipe without a writer does not keep us waiting.
pub(super) fn open(path: &Path) -> Result<File, Fault> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Fault::Missing,
        _ if path.is_symlink() => Fault::Link,
        _ => Fault::Read(error.to_string()),
    })
}

/// Whether only root and we can write to it.
fn check(path: &Path, metadata: &Metadata, us: u32) -> Result<(), Fault> {
    if metadata.uid() != us && metadata.uid() != 0 {
        return Err(Fault::Owner { path: path.to_path_buf(), uid: metadata.uid() });
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(Fault::Writable { path: path.to_path_buf(), mode: metadata.mode() & 0o7777 });
    }
    Ok(())
}

/// Whoever can write to a folder can put another file in the place of ours, and whoever can write to the folder above it
/// another folder; so all of them count, up to the root. A folder that everybody may write to but in which only owners may
/// rename and delete (`/tmp`) is harmless as long as what we go on to in it is root's or ours, which the checks of that
/// next step say: nobody else can then take it away.
///
/// The folders are those the path really leads through: links on the way are resolved first, and only an owner of one of
/// these folders could have made or changed them.
fn check_folders(path: &Path, file: &Metadata, us: u32) -> Result<(), Fault> {
    let failed = |error: std::io::Error| Fault::Read(error.to_string());
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Err(Fault::NotAFile) };
    let folder = folder.canonicalize().map_err(failed)?;
    // The file was opened by the path as it was written; it must be the one in these folders.
    let there = folder.join(name).symlink_metadata().map_err(failed)?;
    if (there.dev(), there.ino()) != (file.dev(), file.ino()) {
        return Err(Fault::Read("it was replaced while it was being read; try again".to_string()));
    }
    for folder in folder.ancestors() {
        let metadata = folder.symlink_metadata().map_err(failed)?;
        match check(folder, &metadata, us) {
            Err(Fault::Writable { mode, .. }) if mode & STICKY != 0 => {}
            checked => checked?,
        }
    }
    Ok(())
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
